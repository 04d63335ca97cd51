//! The one canonical path type. Every check, every route and every open takes it; only its constructors make one.
//!
//! Invariants of a [`RelPath`]: it is UTF-8; it neither begins nor ends with a slash; no segment is empty, `.` or
//! `..`; no segment begins with a dot, save `.well-known` (RFC 8615); it holds no NUL, no control byte and no
//! backslash. The empty path is the root itself. It says nothing about what is on the disk: symbolic links and the
//! like are the second layer's affair (`openat2`).

use std::borrow::Cow;
use std::fmt;

/// Why a string is not a canonical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It has a `..` segment: it means to leave the root.
    Climbs,
    /// It has an empty segment or one that begins with a dot: there is nothing to be found there.
    Hidden,
    /// It is not a path at all; the reason in words.
    Bad(&'static str),
}

/// A path relative to some root, proven to stay inside it as far as a string can prove that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath<'a>(Cow<'a, str>);

/// What a byte of a path means, a bit each; none for an ordinary one.
const BAD: u8 = 1;
const SLASH: u8 = 1 << 1;
const DOT: u8 = 1 << 2;
const PERCENT: u8 = 1 << 3;
/// No segment may begin with it, or it is looked at more closely.
const ODD_START: u8 = 1 << 4;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        class[byte] = BAD;
        byte += 1;
    }
    class[0x7f] = BAD;
    class[b'\\' as usize] = BAD;
    class[b'/' as usize] = SLASH | ODD_START;
    class[b'.' as usize] = DOT | ODD_START;
    class[b'%' as usize] = PERCENT;
    class
};

impl<'a> RelPath<'a> {
    /// The root itself.
    pub const ROOT: RelPath<'static> = RelPath(Cow::Borrowed(""));

    /// Reads the path of a request target (RFC 3986, section 3.3): `raw` begins with a slash, has no query, and is
    /// percent-decoded exactly once. Tells beside the path whether a slash ended it.
    ///
    /// # Errors
    /// If it is no canonical path, with the reason.
    pub fn from_target(raw: &'a str) -> Result<(RelPath<'a>, bool), PathFault> {
        let Some(rest) = raw.strip_prefix('/') else {
            return Err(PathFault::Bad("the path does not begin with a slash"));
        };
        let (text, has_slash) = match rest.strip_suffix('/') {
            Some(text) => (text, true),
            None => (rest, false),
        };
        if text.is_empty() && has_slash {
            return Err(PathFault::Hidden);
        }
        let (is_plain, is_escaped) = look(text);
        let text = if is_escaped { Cow::Owned(decode(text)?) } else { Cow::Borrowed(text) };
        if is_escaped || !is_plain {
            check(&text)?;
        }
        Ok((RelPath(text), has_slash || rest.is_empty()))
    }

    /// Takes a path as it stands, without decoding: from a JSON member, a form field, a command line.
    ///
    /// # Errors
    /// If it is no canonical path, with the reason.
    pub fn from_plain(text: &'a str) -> Result<RelPath<'a>, PathFault> {
        check(text)?;
        Ok(RelPath(Cow::Borrowed(text)))
    }

    /// The path as text: no slash at either end, empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its segments, from the root on; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The last segment; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.segments().next_back()
    }

    /// The folder it lies in; `None` for the root.
    pub fn parent(&self) -> Option<RelPath<'_>> {
        if self.is_root() {
            return None;
        }
        let folder = self.0.rfind('/').map_or("", |at| &self.0[..at]);
        Some(RelPath(Cow::Borrowed(folder)))
    }

    /// This path with `below` appended.
    pub fn join(&self, below: &RelPath<'_>) -> RelPath<'static> {
        let joined = match (self.is_root(), below.is_root()) {
            (true, _) => below.0.to_string(),
            (_, true) => self.0.to_string(),
            _ => format!("{}/{}", self.0, below.0),
        };
        RelPath(Cow::Owned(joined))
    }

    /// What remains below `folder`, if this path is in it or is it.
    pub fn strip(&self, folder: &str) -> Option<RelPath<'_>> {
        // Not for the answer but for speed: the address of an empty text is 1, and a C library that compares no bytes there
        // by a masked load pays hundreds of cycles for the page that is missing.
        if folder.is_empty() {
            return Some(self.borrow());
        }
        let rest = self.0.strip_prefix(folder)?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(RelPath(Cow::Borrowed(rest))),
            None if rest.is_empty() => Some(RelPath(Cow::Borrowed(rest))),
            None => None,
        }
    }

    /// The same path, owning its text.
    pub fn into_owned(self) -> RelPath<'static> {
        RelPath(Cow::Owned(self.0.into_owned()))
    }

    /// The same path, borrowed.
    pub fn borrow(&self) -> RelPath<'_> {
        RelPath(Cow::Borrowed(&self.0))
    }
}

impl fmt::Display for RelPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decodes the escapes of a path, once. An encoded slash or NUL is refused here, since after decoding it could not be told
/// from a real one.
fn decode(raw: &str) -> Result<String, PathFault> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (rest.first().and_then(hex), rest.get(1).and_then(hex)) else {
            return Err(PathFault::Bad("an escape is not % and two hexadecimal digits"));
        };
        let value = high << 4 | low;
        if value == b'/' {
            return Err(PathFault::Bad("a slash is encoded"));
        }
        bytes.push(value);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| PathFault::Bad("it does not decode to UTF-8"))
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Proves the invariants for decoded text. Broken bytes are told before climbing, climbing before hiding, so that the
/// answer does not depend on where in the path each stands.
fn check(text: &str) -> Result<(), PathFault> {
    if look(text).0 { Ok(()) } else { check_closely(text) }
}

/// The first, quick look: whether nothing is amiss (no bad byte, and no segment that is empty or begins with a dot), and
/// whether there is a percent sign.
#[inline]
fn look(text: &str) -> (bool, bool) {
    let (mut seen, mut odd) = (0, 0);
    // What the next byte must not be: behind a slash, what no segment begins with.
    let mut not_next = ODD_START;
    for &byte in text.as_bytes() {
        let class = CLASS[usize::from(byte)];
        seen |= class;
        odd |= class & not_next;
        not_next = if class & SLASH == 0 { 0 } else { ODD_START };
    }
    let ends_well = not_next == 0 || text.is_empty();
    (seen & BAD == 0 && odd == 0 && ends_well, seen & PERCENT != 0)
}

fn check_closely(text: &str) -> Result<(), PathFault> {
    let mut climbs = false;
    let mut hides = false;
    let mut start = true;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match CLASS[usize::from(byte)] & !ODD_START {
            BAD => return Err(PathFault::Bad("it holds a control byte or a backslash")),
            SLASH => {
                hides |= start;
                start = true;
                continue;
            }
            DOT if start => {
                let segment = bytes[at..].split(|&byte| byte == b'/').next().unwrap_or_default();
                climbs |= segment == b"..";
                hides |= segment != b".well-known";
            }
            _ => {}
        }
        start = false;
    }
    hides |= start && !text.is_empty();
    match (climbs, hides) {
        (true, _) => Err(PathFault::Climbs),
        (_, true) => Err(PathFault::Hidden),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(raw: &str) -> Result<(String, bool), PathFault> {
        RelPath::from_target(raw).map(|(path, is_folder)| (path.to_string(), is_folder))
    }

    #[test]
    fn ordinary_targets_keep_their_text() {
        for (raw, text, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.txt", "a/b.txt", false),
            ("/a%20b", "a b", false),
            ("/%C3%A9", "é", false),
            ("/a%25b", "a%b", false),
            ("/.well-known/x", ".well-known/x", false),
            ("/a.b..c", "a.b..c", false),
            ("/~ada/x", "~ada/x", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
        ] {
            assert_eq!(target(raw), Ok((text.to_owned(), is_folder)), "{raw}");
        }
    }

    #[test]
    fn each_fault_has_its_kind() {
        use PathFault::{Climbs, Hidden};
        for raw in ["/..", "/a/..", "/../a", "/a/../b", "/%2e%2e/a", "/.%2e/a", "/a/%2E./", "/../.hidden"] {
            assert_eq!(target(raw), Err(Climbs), "{raw}");
        }
        for raw in ["/.git", "/a/.b", "/./a", "/.", "//", "//a", "/a//b", "/a//", "/.well-known2", "/%2egit"] {
            assert_eq!(target(raw), Err(Hidden), "{raw}");
        }
        for raw in [
            "a", "", "/a%", "/a%2", "/%zz", "/%00", "/a%2fb", "/a%5cb", "/a\\b", "/%0a", "/%7f", "/%ff", "/%c0%af",
            "/..%2f",
        ] {
            assert!(matches!(target(raw), Err(PathFault::Bad(_))), "{raw}: {:?}", target(raw));
        }
    }

    #[test]
    fn parents_names_and_joins() {
        let path = RelPath::from_plain("a/b/c.txt").unwrap();
        assert_eq!(path.name(), Some("c.txt"));
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(path.parent().unwrap().parent().unwrap().parent().unwrap(), RelPath::ROOT);
        assert_eq!(RelPath::ROOT.parent(), None);
        assert_eq!(RelPath::ROOT.join(&path), path);
        assert_eq!(path.join(&RelPath::ROOT), path);
        assert_eq!(path.strip("a").unwrap().as_str(), "b/c.txt");
        assert_eq!(path.strip("a/b/c.txt").unwrap(), RelPath::ROOT);
        assert_eq!(path.strip("a/b/c"), None);
        assert_eq!(path.strip("").unwrap(), path);
    }

    proptest! {
        #[test]
        fn what_passes_keeps_the_invariants(raw in "/[ -~\u{0}-\u{1f}é/.%]{0,40}") {
            if let Ok((path, _)) = RelPath::from_target(&raw) {
                for segment in path.as_str().split('/').filter(|_| !path.is_root()) {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.starts_with('.') || segment == ".well-known");
                    prop_assert!(!segment.bytes().any(|b| b < 0x20 || b == 0x7f || b == b'\\'));
                }
            }
        }
    }
}
