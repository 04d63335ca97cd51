//! Media types: which one a file name has, which may be shown in place, and what a `Content-Type` field says.
//!
//! The table is kept by hand. It knows what people put on a file server; all else is `application/octet-stream`, which a
//! browser saves and never runs. Text is UTF-8 unless proven otherwise, and nobody here proves anything: contents are not
//! looked at, and `X-Content-Type-Options: nosniff` keeps the browser from doing so.

use std::borrow::Cow;

use crate::http::headers::{as_text, is_token_byte};

const PLAIN: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What a file of no known kind is.
pub const UNKNOWN: &str = "application/octet-stream";

/// Extensions in lower case and in order, for the binary search.
#[rustfmt::skip]
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("abw", "application/x-abiword"),
    ("aif", "audio/aiff"),
    ("aiff", "audio/aiff"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("azw", "application/vnd.amazon.ebook"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", PLAIN),
    ("cbor", "application/cbor"),
    ("cc", PLAIN),
    ("cer", "application/pkix-cert"),
    ("cfg", PLAIN),
    ("cjs", SCRIPT),
    ("conf", PLAIN),
    ("cpp", PLAIN),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("cur", "image/x-icon"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dmg", "application/x-apple-diskimage"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eml", "message/rfc822"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("exe", "application/vnd.microsoft.portable-executable"),
    ("flac", "audio/flac"),
    ("flv", "video/x-flv"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("go", PLAIN),
    ("gpx", "application/gpx+xml"),
    ("gz", "application/gzip"),
    ("h", PLAIN),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("hpp", PLAIN),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("ini", PLAIN),
    ("iso", "application/x-iso9660-image"),
    ("jar", "application/java-archive"),
    ("java", PLAIN),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", SCRIPT),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("kml", "application/vnd.google-earth.kml+xml"),
    ("kmz", "application/vnd.google-earth.kmz"),
    ("log", PLAIN),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/x-m4v"),
    ("map", "application/json"),
    ("markdown", "text/markdown; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", SCRIPT),
    ("mkv", "video/matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("ndjson", "application/x-ndjson"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("pem", "application/x-pem-file"),
    ("pl", PLAIN),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("py", PLAIN),
    ("rar", "application/vnd.rar"),
    ("rb", PLAIN),
    ("rpm", "application/x-rpm"),
    ("rs", PLAIN),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", PLAIN),
    ("sql", "application/sql"),
    ("sqlite", "application/vnd.sqlite3"),
    ("srt", PLAIN),
    ("stl", "model/stl"),
    ("svg", "image/svg+xml"),
    ("swf", "application/x-shockwave-flash"),
    ("tar", "application/x-tar"),
    ("tex", PLAIN),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("torrent", "application/x-bittorrent"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", PLAIN),
    ("vcard", "text/vcard; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("wma", "audio/x-ms-wma"),
    ("wmv", "video/x-ms-wmv"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The kinds that may be shown in place of being saved: none of them can run a script in our origin.
const INLINE: &[&str] = &[
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/webm",
];

/// The media type of a file by what follows the last dot of its name, in whatever case.
pub fn media_type(name: &str) -> &'static str {
    let Some((_, extension)) = name.rsplit_once('.') else { return UNKNOWN };
    let lowered = || extension.bytes().map(|byte| byte.to_ascii_lowercase());
    match TYPES.binary_search_by(|(known, _)| known.bytes().cmp(lowered())) {
        Ok(at) => TYPES.get(at).map_or(UNKNOWN, |(_, kind)| kind),
        Err(_) => UNKNOWN,
    }
}

/// Whether a file of this media type may be shown in place where the client asks for it. SVG, HTML and PDF may not.
pub fn may_be_inline(media_type: &str) -> bool {
    let essence = media_type.split_once(';').map_or(media_type, |(essence, _)| essence).trim_ascii();
    INLINE.iter().any(|known| known.eq_ignore_ascii_case(essence))
}

/// A `Content-Type` field (RFC 9110, section 8.3), as far as it is of use here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// Type and subtype as they came; ask with [`is`](MediaType::is).
    pub essence: &'a str,
    /// The `charset` parameter, without its quotes.
    pub charset: Option<Cow<'a, str>>,
    /// The `boundary` parameter, without its quotes.
    pub boundary: Option<Cow<'a, str>>,
}

impl<'a> MediaType<'a> {
    /// Reads the field. `None` when it is not by the grammar (sections 8.3.1 and 5.6.6), and also when it names a charset
    /// or boundary twice: what two readers could take in two ways is not read at all.
    pub fn parse(value: &'a [u8]) -> Option<MediaType<'a>> {
        let text = as_text(value)?.trim_ascii();
        let (essence, mut rest) = text.split_at_checked(text.find([';', ' ', '\t']).unwrap_or(text.len()))?;
        let (kind, subkind) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subkind) {
            return None;
        }
        let mut media = MediaType { essence, charset: None, boundary: None };
        loop {
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                return Some(media);
            }
            rest = rest.strip_prefix(';')?.trim_ascii_start();
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, after) = rest.split_once('=')?;
            if !is_token(name) {
                return None;
            }
            let (value, after) = parameter_value(after)?;
            let slot = match name {
                name if name.eq_ignore_ascii_case("charset") => Some(&mut media.charset),
                name if name.eq_ignore_ascii_case("boundary") => Some(&mut media.boundary),
                _ => None,
            };
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return None;
            }
            rest = after;
        }
    }

    /// Whether type and subtype are these, in whatever case.
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// A token or a quoted string (RFC 9110, sections 5.6.2 and 5.6.4) that `text` begins with, and what follows it.
fn parameter_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return if token.is_empty() { None } else { Some((Cow::Borrowed(token), rest)) };
    };
    let mut unescaped = String::new();
    let mut rest = inner;
    loop {
        let (plain, stop) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
        if let Some(after) = stop.strip_prefix('"') {
            let value = if unescaped.is_empty() { Cow::Borrowed(plain) } else { Cow::Owned(unescaped + plain) };
            return Some((value, after));
        }
        unescaped.push_str(plain);
        let mut escape = stop.chars();
        escape.next();
        unescaped.push(escape.next()?);
        rest = escape.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_in_order_and_in_lower_case() {
        assert!(TYPES.len() >= 120);
        assert!(TYPES.is_sorted_by(|one, other| one.0 < other.0));
        for (extension, kind) in TYPES {
            assert!(extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{extension}");
            assert_eq!(media_type(&format!("a.{extension}")), *kind);
            assert!(MediaType::parse(kind.as_bytes()).is_some(), "{kind}");
        }
    }

    #[test]
    fn names_have_the_type_of_their_last_extension() {
        for (name, kind) in [
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.TXT", "text/plain; charset=utf-8"),
            ("photo.JpG", "image/jpeg"),
            ("photo.jpeg", "image/jpeg"),
            ("index.html", "text/html; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("a.json", "application/json"),
            (".txt", "text/plain; charset=utf-8"),
            ("README", UNKNOWN),
            ("txt", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.txt.", UNKNOWN),
            ("a.txtt", UNKNOWN),
            ("a.tx", UNKNOWN),
            ("a.tёxt", UNKNOWN),
            ("a.txt\0", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(media_type(name), kind, "{name:?}");
        }
    }

    #[test]
    fn only_what_cannot_run_is_shown_in_place() {
        for name in "png jpg jpeg gif webp avif txt mp4 webm ogg mp3 wav flac".split(' ') {
            assert!(may_be_inline(media_type(&format!("a.{name}"))), "{name}");
        }
        for name in "html htm xhtml svg xml js mjs css json pdf md csv zip swf wasm".split(' ') {
            assert!(!may_be_inline(media_type(&format!("a.{name}"))), "{name}");
        }
        assert!(may_be_inline("Image/PNG"));
        assert!(!may_be_inline("text/plainer"));
        assert!(!may_be_inline(""));
    }

    #[test]
    fn content_types_are_read() {
        for (value, essence, charset, boundary) in [
            ("text/html", "text/html", None, None),
            ("Text/HTML;Charset=\"utf-8\"", "Text/HTML", Some("utf-8"), None),
            ("text/html ; charset=UTF-8 ; x=y", "text/html", Some("UTF-8"), None),
            ("text/html;;; charset=a;", "text/html", Some("a"), None),
            ("multipart/form-data; BOUNDARY=--x", "multipart/form-data", None, Some("--x")),
            ("multipart/form-data; boundary=\"a b;=\\\"\"", "multipart/form-data", None, Some("a b;=\"")),
            ("a/b; x=\"; boundary=c\"; boundary=d", "a/b", None, Some("d")),
            ("a/b; boundary=\"\"", "a/b", None, Some("")),
        ] {
            let media = MediaType::parse(value.as_bytes()).expect(value);
            assert!(media.is(&essence.to_lowercase()), "{value}");
            assert_eq!(media.essence, essence);
            assert_eq!((media.charset.as_deref(), media.boundary.as_deref()), (charset, boundary), "{value}");
        }
    }

    #[test]
    fn what_is_not_a_content_type_is_none() {
        for value in [
            "",
            "text",
            "text/",
            "/html",
            "text /html",
            "text/html charset=a",
            "text/html; charset",
            "text/html; charset=",
            "text/html; charset = a",
            "text/html; charset=\"a",
            "text/html; charset=\"a\\",
            "text/html; charset=\"a\"b",
            "text/html, text/html",
            "text/html; charset=a; charset=b",
            "a/b; boundary=x; Boundary=x",
            "a/b/c",
            "text/html; charset=é",
        ] {
            assert_eq!(MediaType::parse(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_upsets_the_reader(value in proptest::collection::vec(any::<u8>(), 0..60), name in "\\PC{0,12}") {
            let _ = MediaType::parse(&value);
            let _ = media_type(&name);
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was(boundary in "[ -~]{0,70}") {
            let quoted = boundary.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("multipart/form-data; x=y; boundary=\"{quoted}\";charset=z");
            let media = MediaType::parse(value.as_bytes()).unwrap();
            prop_assert_eq!(media.boundary.as_deref(), Some(boundary.as_str()));
            prop_assert_eq!(media.charset.as_deref(), Some("z"));
        }
    }
}
