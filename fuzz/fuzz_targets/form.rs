//! Forms, queries and file names: what is written is read back, and no name breaks out of its header.
#![no_main]

use hythe::http::form::{content_disposition, encode_path, encode_query, parse, query, query_strict};
use libfuzzer_sys::fuzz_target;

/// The file name of a Content-Disposition of ours, as RFC 6266 and RFC 8187 have it read.
fn file_name(value: &str) -> String {
    let rest = value.strip_prefix("attachment; filename=\"").expect("a file name is told");
    let (plain, rest) = rest.split_once('"').expect("the quotes are closed");
    match rest.strip_prefix("; filename*=UTF-8''") {
        None => {
            assert_eq!(rest, "");
            plain.to_owned()
        }
        Some(extended) => {
            let mut bytes = Vec::new();
            let mut rest = extended.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                if byte == b'%' {
                    let digits = std::str::from_utf8(&after[..2]).expect("digits");
                    bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
                    rest = &after[2..];
                } else {
                    bytes.push(byte);
                }
            }
            String::from_utf8(bytes).expect("UTF-8")
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let fields = parse(bytes, 20);
    assert!(fields.as_ref().map_or(true, |fields| fields.len() <= 20));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read: Vec<_> = query(text).collect();
    if let Ok(fields) = fields {
        assert!(
            fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(read.iter().map(|(n, v)| (&**n, &**v)))
        );
    }
    for (strict, forgiven) in query_strict(text).zip(&read) {
        assert!(strict.is_err() || strict.as_ref() == Ok(forgiven));
    }
    let again: Vec<String> =
        read.iter().map(|(name, value)| format!("{}={}", encode_query(name), encode_query(value))).collect();
    let again = again.join("&");
    assert!(query_strict(&again).eq(read.iter().map(|pair| Ok(pair.clone()))), "what is written is read back");

    let value = content_disposition(text);
    assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "one line of ASCII");
    assert_eq!(file_name(&value), text);
    for encoded in [encode_path(text), encode_query(text)] {
        assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte)));
    }
});
