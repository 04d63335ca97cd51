//! Any text as a date of HTTP: none, or one that is written and read again.
#![no_main]

use hythe::http::date;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(at) = date::parse(text) else { return };
    let written = date::imf(at);
    let written = std::str::from_utf8(&written).expect("a date is text");
    assert_eq!(date::parse(written), Some(at), "{text:?} and {written:?}");
});
