//! The header fields of a request (RFC 9110, section 5), gone over once.
//!
//! Fields that the server itself asks for have a [`Field`]; one pass notes where each first stands and whether it stands
//! there twice, so that nobody searches again.

/// The most header fields a request may have unless the configuration says otherwise, and the most trailers.
pub const HEADERS_MAX: usize = 100;

/// Fields that are the most whatever the configuration says.
pub const HEADERS_MOST: usize = 65_000;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A header field the server looks at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Field { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        const FIELDS: usize = [$($name),*].len();

        impl Field {
            /// The field's name in lower case.
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }

            const ALL: [Field; FIELDS] = [$(Field::$variant),*];

            /// One look into a table, one comparison: for a field nobody asks for as a rule not even that.
            #[inline]
            fn of(name: &str) -> Option<Field> {
                let known = Field::ALL.get(usize::from(PLACES[place_of(name.as_bytes())]))?;
                is_named(name.as_bytes(), known.name().as_bytes()).then_some(*known)
            }
        }
    };
}

/// Where a name stands in [`PLACES`]: made of its length, its first and its last letter, without their case.
const fn place_of(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return 0;
    };
    (name.len() + (*first | 0x20) as usize * 2 + (*last | 0x20) as usize * 14) % 128
}

/// Whether a token is this name, in whatever case. `name` has lower-case letters, digits and hyphens only: the bit that
/// tells upper case from lower is set in all of them, and no other byte of a token becomes one of them by having it set.
/// Compares words, and for what is no whole word the last one once more: names are short, and byte by byte takes long.
#[inline]
fn is_named(token: &[u8], name: &[u8]) -> bool {
    const FOLD: u64 = 0x2020_2020_2020_2020;
    let is_word = |have: &[u8; 8], want: &[u8; 8]| u64::from_ne_bytes(*have) | FOLD == u64::from_ne_bytes(*want);
    let is_half =
        |have: &[u8; 4], want: &[u8; 4]| u32::from_ne_bytes(*have) | (FOLD as u32) == u32::from_ne_bytes(*want);
    if token.len() != name.len() {
        return false;
    }
    if let (Some(end), Some(name_end)) = (token.last_chunk(), name.last_chunk()) {
        let words = token.as_chunks().0.iter().zip(name.as_chunks().0);
        return is_word(end, name_end) && words.into_iter().all(|(have, want)| is_word(have, want));
    }
    if let (Some(start), Some(end)) = (token.first_chunk(), token.last_chunk())
        && let (Some(name_start), Some(name_end)) = (name.first_chunk(), name.last_chunk())
    {
        return is_half(start, name_start) && is_half(end, name_end);
    }
    token.iter().zip(name).all(|(have, want)| have | 0x20 == *want)
}

/// For each place the field whose name has it; [`FIELDS`] for none. Two fields with one place do not compile.
const PLACES: [u8; 128] = {
    let mut places = [FIELDS as u8; 128];
    let mut field = 0;
    while field < FIELDS {
        let place = place_of(Field::ALL[field].name().as_bytes());
        assert!(places[place] as usize == FIELDS, "two fields have one place");
        places[place] = field as u8;
        field += 1;
    }
    places
};

fields! {
    Host = "host",
    Connection = "connection",
    UserAgent = "user-agent",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    Cookie = "cookie",
    Referer = "referer",
    ContentLength = "content-length",
    ContentType = "content-type",
    TransferEncoding = "transfer-encoding",
    Expect = "expect",
    Upgrade = "upgrade",
    Authorization = "authorization",
    Origin = "origin",
    SecFetchSite = "sec-fetch-site",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfMatch = "if-match",
    IfUnmodifiedSince = "if-unmodified-since",
    IfRange = "if-range",
    Range = "range",
    ContentEncoding = "content-encoding",
    ContentRange = "content-range",
    LastEventId = "last-event-id",
    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    Via = "via",
    CfConnectingIp = "cf-connecting-ip",
    AccessControlRequestMethod = "access-control-request-method",
}

/// A request's header fields, borrowed from the bytes they came in.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    fields: &'a [httparse::Header<'a>],
    /// Where each known field first stands, counted from one; zero where it is not.
    first: [u16; FIELDS],
    /// A bit for each known field that stands there more than once.
    repeated: u32,
    /// Whether a field begins with `x-forwarded-`.
    is_forwarded: bool,
}

/// What proxies call the fields in which they tell what they hide.
const FORWARDED: &[u8] = b"x-forwarded-";

const _: () = assert!(FIELDS <= 32, "`repeated` has a bit for each field");

impl<'a> Headers<'a> {
    /// Goes over the fields once.
    ///
    /// # Panics
    /// If there are more than [`HEADERS_MOST`].
    pub fn new(fields: &'a [httparse::Header<'a>]) -> Headers<'a> {
        assert!(fields.len() <= HEADERS_MOST, "the parser lets no more pass");
        let mut first = [0u16; FIELDS];
        let mut repeated = 0u32;
        let mut is_forwarded = false;
        for (place, field) in (1u16..).zip(fields) {
            if let Some((start @ [b'x' | b'X', ..], _)) = field.name.as_bytes().split_at_checked(FORWARDED.len()) {
                is_forwarded |= is_named(start, FORWARDED);
            }
            if let Some(known) = Field::of(field.name) {
                let slot = &mut first[known as usize];
                if *slot == 0 {
                    *slot = place;
                } else {
                    repeated |= 1 << known as u32;
                }
            }
        }
        Headers { fields, first, repeated, is_forwarded }
    }

    /// The value of a known field; of its first line where it has several.
    pub fn get(&self, field: Field) -> Option<&'a [u8]> {
        match self.first[field as usize] {
            0 => None,
            place => Some(self.fields[usize::from(place) - 1].value),
        }
    }

    /// The value of a known field as text; `None` too when it is not visible ASCII, space and tab.
    pub fn text(&self, field: Field) -> Option<&'a str> {
        self.get(field).and_then(as_text)
    }

    /// Whether a known field is there.
    pub fn has(&self, field: Field) -> bool {
        self.first[field as usize] != 0
    }

    /// Whether a known field stands there more than once.
    pub fn is_repeated(&self, field: Field) -> bool {
        self.repeated & 1 << field as u32 != 0
    }

    /// Whether a proxy's `X-Forwarded-` field of whatever kind is there.
    pub fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    /// All values of a known field, in order.
    pub fn all(&self, field: Field) -> impl Iterator<Item = &'a [u8]> {
        let skip = match self.first[field as usize] {
            0 => self.fields.len(),
            place => usize::from(place) - 1,
        };
        self.fields[skip..]
            .iter()
            .filter(move |other| other.name.eq_ignore_ascii_case(field.name()))
            .map(|other| other.value)
    }

    /// The first value of any field, by name in whatever case.
    pub fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Every field, as it came.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// A value as text, if it is visible ASCII, space and tab (RFC 9110, section 5.5, without obs-text).
pub fn as_text(value: &[u8]) -> Option<&str> {
    let is_plain = value.iter().all(|&byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    if is_plain { std::str::from_utf8(value).ok() } else { None }
}

/// The members of a comma-separated list (RFC 9110, section 5.6.1), trimmed, empty ones left out. Knows nothing of quoted
/// strings: for lists of tokens only.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(name: &'a str, value: &'a [u8]) -> httparse::Header<'a> {
        httparse::Header { name, value }
    }

    #[test]
    fn known_fields_are_found_in_any_case_and_repeats_are_noted() {
        let fields = [field("HOST", b"a"), field("X-Other", b"1"), field("accept", b"x"), field("Accept", b"y")];
        let headers = Headers::new(&fields);
        assert_eq!(headers.get(Field::Host), Some(&b"a"[..]));
        assert!(!headers.is_repeated(Field::Host));
        assert!(headers.is_repeated(Field::Accept));
        assert_eq!(headers.all(Field::Accept).collect::<Vec<_>>(), [b"x", b"y"]);
        assert_eq!(headers.all(Field::Cookie).count(), 0);
        assert_eq!(headers.get(Field::Range), None);
        assert_eq!(headers.find("x-other"), Some(&b"1"[..]));
    }

    #[test]
    fn every_field_is_known_by_its_own_name() {
        let names = ["host", "via", "range", "access-control-request-method", "cf-connecting-ip"];
        for name in names {
            assert_eq!(Field::of(name).map(Field::name), Some(name));
            assert_eq!(Field::of(&name.to_uppercase()).map(Field::name), Some(name));
        }
        assert_eq!(Field::of("x-unknown"), None);
    }

    #[test]
    fn no_other_token_passes_for_a_name() {
        for field in Field::ALL {
            let name = field.name().as_bytes();
            for at in 0..name.len() {
                for byte in (0..=255).filter(|&byte| is_token_byte(byte)) {
                    let mut token = name.to_vec();
                    token[at] = byte;
                    assert_eq!(is_named(&token, name), token.eq_ignore_ascii_case(name), "{}", token.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn lists_lose_their_empty_members() {
        assert_eq!(tokens(b" a ,, b,").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(tokens(b"").count(), 0);
    }
}
