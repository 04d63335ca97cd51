//! Any text as a date of HTTP: none, or one that is written and read again.
#![no_main]

use hythe::clock::Wall;
use hythe::http::date;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(at) = date::parse(text) else { return };
    // Those before 1970 are only read.
    let Ok(seconds) = u64::try_from(at) else { return };
    let written = date::imf(Wall::from_seconds(seconds));
    let written = std::str::from_utf8(&written).expect("a date is text");
    assert_eq!(date::parse(written), Some(at), "{text:?} and {written:?}");
});
