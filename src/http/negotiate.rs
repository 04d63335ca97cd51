//! What a client would rather have (RFC 9110, section 12): HTML or JSON, and which coding of a file that lies there in
//! several.
//!
//! Nothing here can fail. A member of a list that is not by the grammar is passed over, and the rest counts.

/// Whether `Accept` (RFC 9110, section 12.5.1) would rather have HTML than JSON.
///
/// Takes the lines of the field: an `Option` of one, or all of them. HTML must be named, or `text/*`: scripts say `*/*` and
/// want JSON. Where both are wanted alike, the one that is named more exactly is preferred, then the one named first.
pub fn prefers_html<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let (html, json) = wishes(accept);
    html.is_named() && html.is_before(&json)
}

/// The same from the other side, for what is HTML unless JSON is asked for by its name, or as `application/*`.
pub fn prefers_json<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let (html, json) = wishes(accept);
    json.is_named() && json.is_before(&html)
}

/// How much HTML and JSON are wanted.
fn wishes<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> (Wish, Wish) {
    let mut html = Wish::NONE;
    let mut json = Wish::NONE;
    let members = accept.into_iter().flat_map(members);
    for (place, (range, quality)) in (0..).zip(members.filter_map(weighed)) {
        for (wish, kind, exact) in
            [(&mut html, &b"text/*"[..], &b"text/html"[..]), (&mut json, b"application/*", b"application/json")]
        {
            let exactness = match range {
                range if range.eq_ignore_ascii_case(exact) => 3,
                // Whoever knows problem documents is a program, and reads JSON.
                b"application/problem+json" if exact == b"application/json" => 3,
                range if range.eq_ignore_ascii_case(kind) => 2,
                b"*/*" => 1,
                _ => continue,
            };
            if exactness > wish.exactness {
                *wish = Wish { quality, exactness, place };
            }
        }
    }
    (html, json)
}

/// How much one kind is wanted, by the most exact member that covers it.
#[derive(Clone, Copy)]
struct Wish {
    /// In thousandths.
    quality: u16,
    exactness: u8,
    place: usize,
}

impl Wish {
    const NONE: Wish = Wish { quality: 0, exactness: 0, place: usize::MAX };

    /// Whether it is wanted by more than `*/*`.
    fn is_named(&self) -> bool {
        self.exactness > 1 && self.quality > 0
    }

    /// Whether it is wanted more than the other.
    fn is_before(&self, other: &Wish) -> bool {
        let (this, that) = ((self.quality, self.exactness), (other.quality, other.exactness));
        this > that || this == that && self.place < other.place
    }
}

/// A content coding that a file may lie there in, beside itself (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them, the one we would rather send first.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What a sibling file in this coding is called: the file's name with this after it.
    pub const fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    fn is_named(self, token: &[u8]) -> bool {
        // Section 8.4.1.3: `x-gzip` is an old name of gzip.
        token.eq_ignore_ascii_case(self.token().as_bytes())
            || (self == Coding::Gzip && token.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// A set of codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodingSet(u8);

impl CodingSet {
    /// No coding.
    pub const NONE: CodingSet = CodingSet(0);

    /// This set and one more.
    pub const fn with(self, coding: Coding) -> CodingSet {
        CodingSet(self.0 | 1 << coding as u8)
    }

    /// Whether a coding is in it.
    pub const fn has(self, coding: Coding) -> bool {
        self.0 & 1 << coding as u8 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How much a client wants each coding, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    qualities: [u16; Coding::ALL.len()],
    /// Of no coding at all, if that was weighed.
    identity: u16,
}

/// Reads `Accept-Encoding` (RFC 9110, section 12.5.3), one line or all of them. Without the field no coding is taken: by the
/// RFC any would do, but who did not say so may not be able to decode it.
///
/// A coding named twice counts as it was named first.
pub fn accepted_codings<'a>(accept_encoding: impl IntoIterator<Item = &'a [u8]>) -> AcceptedCodings {
    let mut named: [Option<u16>; Coding::ALL.len()] = [None; _];
    let mut identity = None;
    let mut others = None;
    for (token, quality) in accept_encoding.into_iter().flat_map(members).filter_map(weighed) {
        let slot = if token == b"*" {
            &mut others
        } else if token.eq_ignore_ascii_case(b"identity") {
            &mut identity
        } else if let Some((_, slot)) = Coding::ALL.iter().zip(&mut named).find(|(coding, _)| coding.is_named(token)) {
            slot
        } else {
            continue;
        };
        slot.get_or_insert(quality);
    }
    AcceptedCodings {
        qualities: named.map(|quality| quality.or(others).unwrap_or(0)),
        // A star does not raise the plain file over its codings; only its own name does.
        identity: identity.unwrap_or(0),
    }
}

impl AcceptedCodings {
    /// The codings the client can take.
    pub fn set(&self) -> CodingSet {
        Coding::ALL.into_iter().filter(|&coding| self.quality(coding) > 0).fold(CodingSet::NONE, CodingSet::with)
    }

    /// Which of those that are there to send: the one wanted most, of equals the one we would rather. `None` for the file
    /// as it is, also when the client said it does not want that: better that than nothing (section 12.5.3).
    pub fn best(&self, available: CodingSet) -> Option<Coding> {
        let mut best = None;
        for coding in Coding::ALL.into_iter().filter(|&coding| available.has(coding)) {
            let quality = self.quality(coding);
            if quality > best.map_or(0, |best| self.quality(best)) && quality >= self.identity {
                best = Some(coding);
            }
        }
        best
    }

    fn quality(&self, coding: Coding) -> u16 {
        self.qualities[coding as usize]
    }
}

/// The members of a list whose parameters may hold quoted strings (RFC 9110, sections 5.6.1 and 5.6.4).
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    list.split(move |&byte| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match byte {
            _ if was_escaped => false,
            b'"' => {
                is_quoted = !is_quoted;
                false
            }
            b'\\' if is_quoted => {
                is_escaped = true;
                false
            }
            b',' => !is_quoted,
            _ => false,
        }
    })
}

/// A member's value and its weight (RFC 9110, section 12.4.2); parameters other than the weight are passed over. `None` if
/// the weight cannot be read.
fn weighed(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut pieces = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let value = pieces.next().filter(|value| !value.is_empty())?;
    let mut quality = 1000;
    for piece in pieces {
        if let Some(digits) = piece.strip_prefix(b"q=").or_else(|| piece.strip_prefix(b"Q=")) {
            quality = thousandths(digits)?;
        }
    }
    Some((value, quality))
}

fn thousandths(text: &[u8]) -> Option<u16> {
    let (&whole, rest) = text.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut value = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (&digit, worth) in digits.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value += u16::from(digit - b'0') * worth;
    }
    if value <= 1000 { Some(value) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            ("text/html", true),
            ("TEXT/HTML", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("text/html, application/xhtml+xml, */*", true),
            ("text/html;charset=utf-8, */*;q=0.1", true),
            ("text/*", true),
            ("text/*, application/json;q=0.9", true),
            ("text/html, application/json", true),
            ("application/json;q=0.5, text/html;q=0.6", true),
            ("application/json;q=0, text/html;q=0.001", true),
            ("*/*, text/html", true),
            ("a/b;x=\"y,z\\\",\", text/html", true),
            ("application/json;q=oops, text/html;q=0.1", true),
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0.1, application/problem+json", false),
            ("application/json, text/plain, */*", false),
            ("application/json, text/html", false),
            ("text/html;q=0.9, application/json", false),
            ("text/html;q=0.9, */*", false),
            ("text/html;q=0", false),
            ("text/html; q=0.0, text/*", false),
            ("text/*, application/json", false),
            ("text/html;q=2", false),
            ("text/html;q=", false),
            ("text/html;q=0.1234", false),
            ("text/plain", false),
            ("text/htmlx", false),
            ("\"text/html\"", false),
            (",;,=;q", false),
            ("image/avif,image/webp,*/*;q=0.8", false),
        ] {
            assert_eq!(prefers_html(Some(accept.as_bytes())), expected, "{accept}");
        }
        assert!(!prefers_html(None) && !prefers_json(None));
        assert!(!prefers_json([&b"*/*"[..]]) && prefers_json([&b"application/json, */*;q=0.1"[..]]));
        assert!(prefers_html([&b"application/json;q=0.1"[..], b"text/html"]));
    }

    #[test]
    fn codings_are_taken_as_they_are_wanted() {
        use Coding::{Brotli, Gzip, Zstd};
        let all = Coding::ALL.into_iter().fold(CodingSet::NONE, CodingSet::with);
        let gzip = CodingSet::NONE.with(Gzip);
        for (accepted, available, expected) in [
            ("gzip, deflate, br, zstd", all, Some(Brotli)),
            ("gzip, deflate, br, zstd", gzip, Some(Gzip)),
            ("gzip, zstd", all, Some(Zstd)),
            ("gzip", all, Some(Gzip)),
            ("GZip", all, Some(Gzip)),
            ("x-gzip", all, Some(Gzip)),
            ("gzip;q=1.0, br;q=0.5", all, Some(Gzip)),
            ("gzip;q=0.5, br;q=0.5", all, Some(Brotli)),
            ("br;q=0, *", all, Some(Zstd)),
            ("*", gzip, Some(Gzip)),
            ("*;q=0.1", all, Some(Brotli)),
            ("gzip;q=0.5, *;q=0", all, Some(Gzip)),
            ("gzip, identity", all, Some(Gzip)),
            ("gzip;q=0.5, identity;q=0.1", all, Some(Gzip)),
            ("identity;q=0", gzip, None),
            ("gzip;q=0.5, identity", all, None),
            ("gzip;q=0", all, None),
            ("gzip;q=0.000, gzip", all, None),
            ("*;q=0", all, None),
            ("identity", all, None),
            ("deflate", all, None),
            ("br", gzip, None),
            ("", all, None),
            (",,;q=1,", all, None),
            ("gzip;q=x", all, None),
            ("gzip;q=1.001", all, None),
            ("gzip;q=-1", all, None),
            ("gzipped", all, None),
            ("gzip", CodingSet::NONE, None),
        ] {
            assert_eq!(accepted_codings(Some(accepted.as_bytes())).best(available), expected, "{accepted}");
        }
        assert_eq!(accepted_codings(None).best(all), None);
        assert_eq!(accepted_codings([&b"gzip;q=0.1"[..], b"br"]).best(all), Some(Brotli));
        let set = accepted_codings(Some(&b"gzip, br;q=0, *;q=0.5"[..])).set();
        assert!(set.has(Gzip) && set.has(Zstd) && !set.has(Brotli) && !set.is_empty());
    }

    #[test]
    fn weights_have_up_to_three_digits_and_end_at_one() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.", Some(0)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.999", Some(999)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            (".5", None),
            ("00.5", None),
            ("0,5", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_borne(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[a-z*/,;=q0-9.\" \\\\]{0,60}") {
            for value in [&bytes[..], text.as_bytes()] {
                prefers_html(Some(value));
                accepted_codings(Some(value)).set();
            }
        }

        #[test]
        fn what_is_sent_is_there_and_wanted(accepted in "((gzip|br|zstd|identity|\\*)(;q=(0|1|0\\.[0-9]))?, ){0,5}", bits in 0u8..8) {
            let available = CodingSet(bits);
            let wanted = accepted_codings(Some(accepted.as_bytes()));
            if let Some(coding) = wanted.best(available) {
                prop_assert!(available.has(coding) && wanted.set().has(coding));
            }
        }

        #[test]
        fn garbage_beside_a_wish_does_not_spoil_it(garbage in "[a-z;=. ]{0,12}") {
            let accept = format!("{garbage}, text/html;q=0.7");
            prop_assert!(prefers_html(Some(accept.as_bytes())));
        }
    }
}
