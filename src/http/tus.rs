//! What the header fields of tus 1.0.0 say (<https://tus.io/protocols/resumable-upload>): counts, metadata, checksums.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::fault::Fault;
use crate::http::headers::Headers;
use crate::http::status::Status;

/// The one version there is.
pub const VERSION: &str = "1.0.0";
/// What we can do beyond the core.
pub const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration";
/// Checksums we compute.
pub const ALGORITHMS: &str = "sha1,sha256";
/// The media type of a piece.
pub const MEDIA_TYPE: &str = "application/offset+octet-stream";
/// Pairs of metadata; we look at four.
const PAIRS_MAX: usize = 64;

fn bad(field: &str, what: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_header", format!("{field} {what}"))
}

/// A field that stands there once at most.
fn single<'a>(headers: &Headers<'a>, name: &str) -> Result<Option<&'a [u8]>, Fault> {
    let mut values = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(bad(name, "is given twice")),
        (value, _) => Ok(value),
    }
}

/// A count of bytes, such as `Upload-Offset`.
///
/// # Errors
/// 400 if it is none, or stands there twice.
pub fn count(headers: &Headers<'_>, name: &str) -> Result<Option<u64>, Fault> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // What file systems count with has a sign.
    let number = text.and_then(|text| text.parse().ok()).filter(|&number| i64::try_from(number).is_ok());
    number.map(Some).ok_or_else(|| bad(name, "is a number of bytes"))
}

/// How long an upload will be, as its creation tells it: `None` if that is to be told later.
///
/// # Errors
/// 400 unless it is told in exactly one way.
pub fn announced(headers: &Headers<'_>) -> Result<Option<u64>, Fault> {
    match (count(headers, "Upload-Length")?, single(headers, "Upload-Defer-Length")?) {
        (Some(length), None) => Ok(Some(length)),
        (None, Some(b"1")) => Ok(None),
        _ => Err(bad("Upload-Length", "or Upload-Defer-Length: 1 is needed, and only one of them")),
    }
}

/// What metadata there is: names, each once, and what they stand for. An empty field is none.
///
/// # Errors
/// 400 if it is not as tus has it.
pub fn metadata(value: &[u8]) -> Result<Vec<(&str, Vec<u8>)>, Fault> {
    const NAME: &str = "Upload-Metadata";
    let text = std::str::from_utf8(value).map_err(|_| bad(NAME, "is ASCII"))?.trim();
    let mut pairs: Vec<(&str, Vec<u8>)> = Vec::new();
    if text.is_empty() {
        return Ok(pairs);
    }
    for pair in text.split(',') {
        let pair = pair.trim();
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if name.is_empty() || !name.is_ascii() || pairs.iter().any(|(known, _)| *known == name) {
            return Err(bad(NAME, "holds names, each once, and their values in Base64"));
        }
        let value = STANDARD.decode(value.trim()).map_err(|_| bad(NAME, "holds a value that is not Base64"))?;
        if pairs.len() == PAIRS_MAX {
            return Err(bad(NAME, "holds too many pairs"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// How a piece is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `sha1`
    Sha1,
    /// `sha256`
    Sha256,
}

/// What a piece must come to: `Upload-Checksum`.
///
/// # Errors
/// 400 if it is none that we can compute.
pub fn checksum(headers: &Headers<'_>) -> Result<Option<(Algorithm, Vec<u8>)>, Fault> {
    const NAME: &str = "Upload-Checksum";
    let Some(value) = single(headers, NAME)? else { return Ok(None) };
    let read = || {
        let (name, digest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let (algorithm, length) = match name {
            "sha1" => (Algorithm::Sha1, 20),
            "sha256" => (Algorithm::Sha256, 32),
            _ => return None,
        };
        let digest = STANDARD.decode(digest).ok().filter(|digest| digest.len() == length)?;
        Some((algorithm, digest))
    };
    read().map(Some).ok_or_else(|| bad(NAME, "is sha1 or sha256, a space, and the digest in Base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<R>(lines: &[(&str, &str)], look: impl Fn(&Headers<'_>) -> R) -> R {
        let fields: Vec<_> =
            lines.iter().map(|&(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
        look(&Headers::new(&fields))
    }

    #[test]
    fn counts_are_digits() {
        let count = |value| with(&[("upload-offset", value)], |headers| count(headers, "Upload-Offset")).ok().flatten();
        for (value, expected) in [("0", 0), ("007", 7), ("9223372036854775807", i64::MAX as u64)] {
            assert_eq!(count(value), Some(expected), "{value}");
        }
        for value in ["", "-1", "+1", "1 ", "0x1", "9223372036854775808", "99999999999999999999", "1,1", "1.0"] {
            assert_eq!(count(value), None, "{value}");
        }
        assert!(
            with(&[("Upload-Offset", "1"), ("upload-offset", "1")], |headers| super::count(headers, "Upload-Offset"))
                .is_err()
        );
        assert_eq!(with(&[], |headers| super::count(headers, "Upload-Offset")), Ok(None));
    }

    #[test]
    fn a_length_is_told_now_or_later_and_not_both() {
        let announced = |lines: &[_]| with(lines, announced).map_err(|fault| fault.code);
        assert_eq!(announced(&[("Upload-Length", "5")]), Ok(Some(5)));
        assert_eq!(announced(&[("Upload-Defer-Length", "1")]), Ok(None));
        for lines in [
            &[][..],
            &[("Upload-Length", "5"), ("Upload-Defer-Length", "1")],
            &[("Upload-Defer-Length", "2")],
            &[("Upload-Length", "five")],
        ] {
            assert_eq!(announced(lines), Err("bad_header"), "{lines:?}");
        }
    }

    #[test]
    fn metadata_is_read_pair_by_pair() {
        let pairs = |text: &'static str| metadata(text.as_bytes());
        assert_eq!(pairs(""), Ok(vec![]));
        assert_eq!(pairs(" "), Ok(vec![]));
        assert_eq!(pairs("is_private"), Ok(vec![("is_private", vec![])]));
        assert_eq!(
            pairs("filename YS50eHQ=, dir eA==,empty "),
            Ok(vec![("filename", b"a.txt".to_vec()), ("dir", b"x".to_vec()), ("empty", vec![])])
        );
        for text in ["filename YS50eHQ", "a YQ==,a YQ==", ",", "a YQ==,", "é YQ==", "a YQ== YQ==", "a @@"] {
            assert!(pairs(text).is_err(), "{text}");
        }
        assert!(metadata(b"a \xff").is_err());
        let many: Vec<String> = (0..=PAIRS_MAX).map(|number| format!("k{number}")).collect();
        assert!(metadata(many.join(",").as_bytes()).is_err());
        assert!(metadata(many[1..].join(",").as_bytes()).is_ok());
    }

    #[test]
    fn a_checksum_is_one_that_we_compute_and_of_its_length() {
        let checksum = |value| with(&[("Upload-Checksum", value)], checksum).ok().flatten();
        let sha1 = "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
        assert_eq!(checksum(sha1).map(|(algorithm, digest)| (algorithm, digest.len())), Some((Algorithm::Sha1, 20)));
        assert!(checksum("sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").is_some());
        for value in
            ["", "sha1", "sha1 ", "sha1 AAAA", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "SHA1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="]
        {
            assert_eq!(checksum(value), None, "{value}");
        }
    }
}
