//! Names and values as forms and URLs carry them, both ways: `application/x-www-form-urlencoded` (WHATWG URL, section 5),
//! query strings, percent-encoding, and the file name of a `Content-Disposition`.
//!
//! Reading is forgiving as browsers are, except where the caller asks for strictness. Writing encodes more than it must,
//! so that what it gives is safe in a header, in a Location and in an HTML attribute alike.

use std::borrow::Cow;

use crate::http::fault::Fault;
use crate::http::status::Status;

/// An escape that is not `%` and two hexadecimal digits, or bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

impl From<BadEscape> for Fault {
    fn from(_: BadEscape) -> Fault {
        Fault::new(
            Status::BAD_REQUEST,
            "bad_query",
            "an escape in the query is not % and two hexadecimal digits, or it does not decode to UTF-8",
        )
    }
}

/// Reads the body of a form (WHATWG URL, section 5.1). A broken escape stands for itself, as `100% sure` from a shell means it.
///
/// # Errors
/// 400 `bad_form` for more than `fields_max` fields, and for what does not decode to UTF-8: no browser sends it, and what is kept is
/// kept as it was sent.
pub fn parse(body: &[u8], fields_max: usize) -> Result<Vec<(String, String)>, Fault> {
    let mut fields = Vec::new();
    for (name, value) in pairs(body) {
        if fields.len() == fields_max {
            let detail = format!("a form has at most {fields_max} fields");
            return Err(Fault::new(Status::BAD_REQUEST, "bad_form", detail));
        }
        fields.push((utf8(name)?, utf8(value)?));
    }
    Ok(fields)
}

/// The names and values of a query string, without its `?`, read as a form is. It is as long as the target, which is
/// bounded, and allocates only where something is escaped.
pub fn query(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    pairs(query.as_bytes()).map(|(name, value)| (forgiving(name), forgiving(value)))
}

/// As [`query()`], but what cannot be decoded is an error.
pub fn query_strict(query: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), BadEscape>> {
    pairs(query.as_bytes()).map(|(name, value)| Ok((strict(name)?, strict(value)?)))
}

/// The first of these names to which a query string gives a second value: it would mean one thing or the other, depending on who
/// reads it. An empty value counts for none, for a form sends its empty fields too.
pub fn given_twice<'n>(text: &str, names: &[&'n str]) -> Option<&'n str> {
    let mut given: Vec<&str> = Vec::new();
    query(text).filter(|(_, value)| !value.is_empty()).find_map(|(name, _)| {
        let known = names.iter().copied().find(|known| *known == name)?;
        if given.contains(&known) {
            return Some(known);
        }
        given.push(known);
        None
    })
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

fn utf8(raw: &[u8]) -> Result<String, Fault> {
    let bad = |_| Fault::new(Status::BAD_REQUEST, "bad_form", "a field of the form does not decode to UTF-8");
    String::from_utf8(decode(raw).0.into_owned()).map_err(bad)
}

fn forgiving(raw: &[u8]) -> Cow<'_, str> {
    match decode(raw).0 {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn strict(raw: &[u8]) -> Result<Cow<'_, str>, BadEscape> {
    match decode(raw) {
        (_, false) => Err(BadEscape),
        (Cow::Borrowed(bytes), true) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| BadEscape),
        (Cow::Owned(bytes), true) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadEscape),
    }
}

/// Decodes plus signs and escapes, and tells whether every escape was whole. A broken one is left as it stands.
fn decode(raw: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return (Cow::Borrowed(raw), true);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut is_whole = true;
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match after.split_first_chunk().and_then(|(digits, after)| Some((hex_pair(*digits)?, after))) {
                Some((value, after)) => {
                    bytes.push(value);
                    rest = after;
                }
                None => {
                    bytes.push(b'%');
                    is_whole = false;
                }
            },
            _ => bytes.push(byte),
        }
    }
    (Cow::Owned(bytes), is_whole)
}

fn hex_pair(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// Percent-encodes a path, its slashes kept (RFC 3986, section 3.3). All but unreserved characters is encoded.
pub fn encode_path(path: &str) -> String {
    encode(path, |byte| is_unreserved(byte) || byte == b'/')
}

/// Percent-encodes a name or value of a query (RFC 3986, section 3.4). A space is `%20`, which every reader takes for one.
pub fn encode_query(value: &str) -> String {
    encode(value, is_unreserved)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn encode(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

/// The value of `Content-Disposition` that saves a file under this name (RFC 6266, section 4).
///
/// A plain name is told once. Others are told twice: with `_` for what is not plain, for old clients, and whole in the
/// extended form (RFC 8187, section 3.2), which wins. A percent sign is not plain, for some clients decode it
/// (RFC 6266, appendix D).
pub fn content_disposition(name: &str) -> String {
    let is_plain = |letter: char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '%');
    if name.chars().all(is_plain) {
        return format!("attachment; filename=\"{name}\"");
    }
    let fallback: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let extended = encode(name, |byte| {
        is_unreserved(byte) || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'+' | b'^' | b'`' | b'|')
    });
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs_of(text: &str) -> Vec<(String, String)> {
        query(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn a_name_that_is_given_two_values_is_found() {
        for (query, found) in [
            ("", None),
            ("a=1&b=1&c=2", None),
            ("a=1&b=2&a=1", Some("a")),
            ("%61=1&b=2&b=2&a=1", Some("b")),
            ("a=&a=1&a=", None),
            ("c=1&c=2&d&d", None),
        ] {
            assert_eq!(given_twice(query, &["a", "b"]), found, "{query}");
        }
    }

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a=b", &[("a", "b")]),
            ("a=b&c=d&", &[("a", "b"), ("c", "d")]),
            ("a", &[("a", "")]),
            ("=", &[("", "")]),
            ("=b", &[("", "b")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("message=Hello+w%C3%B6rld%21", &[("message", "Hello wörld!")]),
            ("a%3Db=%26", &[("a=b", "&")]),
            ("a=%0D%0A", &[("a", "\r\n")]),
            ("a=%2B+", &[("a", "+ ")]),
            ("a=%&b=%2&c=%zz&d=%%41", &[("a", "%"), ("b", "%2"), ("c", "%zz"), ("d", "%A")]),
            ("a=%2541", &[("a", "%41")]),
            ("a;b=c", &[("a;b", "c")]),
            ("é=è", &[("é", "è")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(pairs_of(text), expected, "{text}");
            assert_eq!(parse(text.as_bytes(), 9).unwrap(), expected, "{text}");
        }
        assert_eq!(pairs_of("a=%FF"), [("a".to_owned(), "\u{fffd}".to_owned())], "a query is forgiven");
        for body in [&b"a=\xff"[..], b"a=%FF", b"%ff=a", b"a=b&c=%C3"] {
            assert_eq!(parse(body, 9).unwrap_err().code, "bad_form", "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_form_has_as_many_fields_as_allowed_and_not_one_more() {
        assert_eq!(parse(b"a&&b", 2).unwrap().len(), 2);
        let fault = parse(b"a&b&c", 2).unwrap_err();
        assert_eq!((fault.status, fault.code), (Status::BAD_REQUEST, "bad_form"));
        assert!(parse(b"", 0).unwrap().is_empty());
    }

    #[test]
    fn the_strict_reader_refuses_what_the_other_forgives() {
        for text in ["a=%", "a=%4", "a=%zz", "%4=b", "a=%+4", "a=%FF", "a=%C3", "a=%E2%82", "x&a=%ED%A0%80"] {
            assert!(query_strict(text).any(|pair| pair == Err(BadEscape)), "{text}");
        }
        let fine: Vec<_> = query_strict("a=%c3%A9&b=+").map(Result::unwrap).collect();
        assert_eq!(fine, [("a".into(), "é".into()), ("b".into(), " ".into())]);
        assert_eq!(Fault::from(BadEscape).code, "bad_query");
    }

    #[test]
    fn what_is_not_escaped_is_not_copied() {
        let (name, value) = query("room=lobby").next().unwrap();
        assert!(matches!((name, value), (Cow::Borrowed("room"), Cow::Borrowed("lobby"))));
    }

    #[test]
    fn paths_and_values_are_encoded() {
        assert_eq!(encode_path("~ada/a b?/é%\"'.txt"), "~ada/a%20b%3F/%C3%A9%25%22%27.txt");
        assert_eq!(encode_query("a/b"), "a%2Fb");
        assert_eq!(encode_query("a&b=c d+#"), "a%26b%3Dc%20d%2B%23");
    }

    #[test]
    fn file_names_are_told_plainly_or_twice() {
        for (name, expected) in [
            ("a.txt", "attachment; filename=\"a.txt\""),
            ("a b;c=d.txt", "attachment; filename=\"a b;c=d.txt\""),
            ("a\"b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
            ("a\\b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
            ("50%41", "attachment; filename=\"50_41\"; filename*=UTF-8''50%2541"),
            ("é €.txt", "attachment; filename=\"_ _.txt\"; filename*=UTF-8''%C3%A9%20%E2%82%AC.txt"),
            ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
            ("é'*(1)", "attachment; filename=\"_'*(1)\"; filename*=UTF-8''%C3%A9%27%2A%281%29"),
        ] {
            assert_eq!(content_disposition(name), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(name in "\\PC{0,12}", value in any::<String>()) {
            let text = format!("{}={}", encode_query(&name), encode_query(&value));
            prop_assert_eq!(pairs_of(&text), vec![(name.clone(), value.clone())]);
            prop_assert_eq!(query_strict(&text).next(), Some(Ok((name.into(), value.into()))));
        }

        #[test]
        fn a_path_is_decoded_by_the_path_type(path in "[a-zé%&?#\"'+ =~]{1,8}(/[a-zé%&?#\"'+ =~]{1,8}){0,3}") {
            let target = format!("/{}", encode_path(&path));
            let (read, _) = crate::path::RelPath::from_target(&target).unwrap();
            prop_assert_eq!(read.as_str(), path);
        }

        #[test]
        fn no_body_upsets_the_reader(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&body, 10);
        }

        #[test]
        fn where_the_strict_reader_agrees_it_reads_the_same(text in "[a-c%0-9&=+]{0,20}") {
            for (pair, forgiven) in query_strict(&text).zip(query(&text)) {
                prop_assert!(pair.is_err() || pair == Ok(forgiven));
            }
        }

        #[test]
        fn a_disposition_is_one_line_of_ascii(name in any::<String>()) {
            let value = content_disposition(&name);
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
