//! Any bytes as a Content-Type, any name as a file's: what is read can be written and read again.
#![no_main]

use hythe::http::media::{MediaType, may_be_inline, media_type};
use libfuzzer_sys::fuzz_target;

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(media) = MediaType::parse(bytes) {
        let mut again = media.essence.to_owned();
        for (name, value) in [("charset", &media.charset), ("boundary", &media.boundary)] {
            if let Some(value) = value {
                again.push_str(&format!("; {name}={}", quoted(value)));
            }
        }
        assert_eq!(MediaType::parse(again.as_bytes()).as_ref(), Some(&media), "{again}");
        assert!(media.is(&media.essence.to_ascii_uppercase()));
    }
    if let Ok(name) = std::str::from_utf8(bytes) {
        let kind = media_type(name);
        assert!(MediaType::parse(kind.as_bytes()).is_some());
        assert_eq!(media_type(&name.to_ascii_uppercase()), kind);
        if may_be_inline(kind) {
            assert!(!kind.contains("html") && !kind.contains("svg") && !kind.contains("script"));
        }
        let _ = may_be_inline(name);
    }
});
