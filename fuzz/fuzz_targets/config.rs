//! Any bytes as a configuration file, any text as a duration, a size or a rate: a value or a sentence.
#![no_main]

use std::ffi::OsString;
use std::io;
use std::path::Path;

use hythe::cli::command::{self, Heard, Words};
use hythe::cli::layers::{self, World};
use hythe::cli::units;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORDS: Words = match command::hear(["hythe", "--config", "h.toml"].map(OsString::from)) {
        Ok(Heard::Words(words)) => words,
        _ => panic!("these are words"),
    };
}

fuzz_target!(|bytes: &[u8]| {
    let read = |path: &Path| match path.to_str() {
        Some("h.toml") => Ok(bytes.to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    WORDS.with(|words| {
        if let Err(mistake) = layers::settle(words, &World { variables: &[], read: &read }) {
            assert!(!mistake.sentence.is_empty());
        }
    });
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(ms) = units::duration_ms(text) {
        assert_eq!(units::duration_ms(&units::duration_text(ms)), Ok(ms));
    }
    if let Ok(size) = units::size_bytes(text) {
        assert_eq!(units::size_bytes(&units::size_text(size)), Ok(size));
    }
    if let Ok(rate) = units::rate(text, 1) {
        assert_eq!(units::rate(&units::rate_text(rate), 1), Ok(rate));
    }
    let _ = (units::count(text), units::bytes_per_second(text));
    let variables = [(OsString::from("HYTHE_SEND_RATE"), OsString::from(text))];
    WORDS.with(|words| {
        let none = |_: &Path| Ok(Vec::new());
        let _ = layers::settle(words, &World { variables: &variables, read: &none });
    });
});
