//! Any bytes as Accept and Accept-Encoding: what is chosen is there and wanted, in one line or in several.
#![no_main]

use hythe::http::negotiate::{Coding, CodingSet, accepted_codings, prefers_html};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&bits, value)) = bytes.split_first() else { return };
    let mut available = CodingSet::NONE;
    for (at, coding) in Coding::ALL.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1) {
        available = available.with(coding);
        assert!(available.has(Coding::ALL[at]));
    }
    let wanted = accepted_codings(Some(value));
    if let Some(best) = wanted.best(available) {
        assert!(available.has(best) && wanted.set().has(best));
    }
    let likes_html = prefers_html(Some(value));
    if likes_html {
        let lowered = value.to_ascii_lowercase();
        let names = |wanted: &[u8]| lowered.windows(wanted.len()).any(|window| window == wanted);
        assert!(names(b"text/html") || names(b"text/*"), "HTML must be named");
    }
    // A list is the same in one line and in several (RFC 9110, section 5.3).
    if !value.contains(&b'"') {
        let lines: Vec<&[u8]> = value.split(|&byte| byte == b',').collect();
        assert_eq!(prefers_html(lines.iter().copied()), likes_html);
        assert_eq!(accepted_codings(lines.iter().copied()), wanted);
    }
});
