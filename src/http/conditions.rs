//! What a conditional request is answered with: the preconditions of RFC 9110, section 13, and the ranges of section 14,
//! as one decision over the headers and three facts about what stands there now.
//!
//! It sends nothing and opens nothing. A request without any of the fields costs five loads and a branch.
//!
//! Wherever a field cannot be read, the answer is the one that loses nothing: the whole file is sent, or the write is not
//! made.

use std::ops::Range;

use crate::clock::Wall;
use crate::http::date;
use crate::http::headers::{Field, Headers, as_text};

/// More ranges than this in one request are answered by the whole: nobody sensible asks so, and each costs a part head.
pub const RANGES_MAX: usize = 32;

/// What stands at the target now.
#[derive(Clone, Copy, Debug)]
pub struct Representation<'a> {
    /// Its entity tag as it is sent, quoted and maybe with `W/` before it; empty if it has none.
    pub etag: &'a str,
    /// When it was last modified. Only its seconds count, for `Last-Modified` says no more.
    pub modified: Option<Wall>,
    /// How many bytes it has.
    pub length: u64,
}

/// What the method means to do with the representation. OPTIONS and the like select none and have no conditions
/// (RFC 9110, section 13.2.1): do not ask for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// GET: the one method with ranges (RFC 9110, section 14.2).
    Get,
    /// HEAD: as GET, without ranges.
    Head,
    /// Any method that changes it.
    Change,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Do as the method says; for GET, send the whole (200).
    Whole,
    /// Send this range (206). It is never empty and lies inside the length.
    Part(Range<u64>),
    /// Send these ranges as multipart/byteranges (206), in this order. At least two, none empty, none overlapping.
    Parts(Vec<Range<u64>>),
    /// 304: the client has it already.
    NotModified,
    /// 412: what stands there is not what the client thinks.
    PreconditionFailed,
    /// 416: none of the ranges is inside the length.
    NotSatisfiable,
}

/// Decides by the order of RFC 9110, section 13.2.2.
///
/// Call it where the answer without conditions would be a success: a redirect or a refusal comes first (section 13.2.1).
pub fn evaluate(headers: &Headers<'_>, current: &Representation<'_>, access: Access) -> Outcome {
    let is_guarded = headers.has(Field::IfMatch) | headers.has(Field::IfUnmodifiedSince);
    let is_cached = headers.has(Field::IfNoneMatch) | headers.has(Field::IfModifiedSince);
    if !(is_guarded | is_cached | headers.has(Field::Range)) {
        return Outcome::Whole;
    }
    if is_guarded && !is_as_expected(headers, Some(current)) {
        return Outcome::PreconditionFailed;
    }
    match access {
        Access::Change if !is_new(headers, Some(current)) => return Outcome::PreconditionFailed,
        Access::Get | Access::Head if is_cached && is_known(headers, current) => return Outcome::NotModified,
        _ => {}
    }
    if access == Access::Get && headers.has(Field::Range) { ranges(headers, current) } else { Outcome::Whole }
}

/// Whether the preconditions let a write go on; `current` is what it would replace, if there is anything. When not, the
/// answer is 412.
///
/// `If-None-Match: *` lets a write only create, `If-Match: *` only replace (RFC 9110, sections 13.1.1 and 13.1.2).
pub fn allows_write(headers: &Headers<'_>, current: Option<&Representation<'_>>) -> bool {
    is_as_expected(headers, current) && is_new(headers, current)
}

/// Steps 1 and 2 of section 13.2.2. A list that cannot be read names nothing, so a write guarded by it is not made.
fn is_as_expected(headers: &Headers<'_>, current: Option<&Representation<'_>>) -> bool {
    if headers.has(Field::IfMatch) {
        return match look_up(headers, Field::IfMatch, current, Comparison::Strong) {
            Listed::Any => current.is_some(),
            Listed::Named => true,
            Listed::Unnamed | Listed::Unreadable => false,
        };
    }
    match (date(headers, Field::IfUnmodifiedSince), current.and_then(|current| current.modified)) {
        (Some(since), Some(modified)) => modified.as_seconds() <= since.as_seconds(),
        // Section 13.1.4: without a readable date, or a date to compare it with, the field is as if it were not there.
        _ => true,
    }
}

/// Step 3 of section 13.2.2 for a method that changes something. Here a list that cannot be read refuses: the client meant
/// not to overwrite something, and we cannot tell what.
fn is_new(headers: &Headers<'_>, current: Option<&Representation<'_>>) -> bool {
    if !headers.has(Field::IfNoneMatch) {
        return true;
    }
    match look_up(headers, Field::IfNoneMatch, current, Comparison::Weak) {
        Listed::Any => current.is_none(),
        Listed::Unnamed => true,
        Listed::Named | Listed::Unreadable => false,
    }
}

/// Steps 3 and 4 of section 13.2.2 for GET and HEAD. A list that cannot be read names nothing, and still takes
/// `If-Modified-Since` out of play: at worst the file is sent once more.
fn is_known(headers: &Headers<'_>, current: &Representation<'_>) -> bool {
    if headers.has(Field::IfNoneMatch) {
        return matches!(
            look_up(headers, Field::IfNoneMatch, Some(current), Comparison::Weak),
            Listed::Any | Listed::Named
        );
    }
    // Section 13.1.3 no longer makes an exception for dates in the future, so no clock is asked.
    match (date(headers, Field::IfModifiedSince), current.modified) {
        (Some(since), Some(modified)) => modified.as_seconds() <= since.as_seconds(),
        _ => false,
    }
}

/// A date field that stands there once and can be read.
fn date(headers: &Headers<'_>, field: Field) -> Option<Wall> {
    if headers.is_repeated(field) { None } else { headers.text(field).and_then(date::parse) }
}

/// An entity tag (RFC 9110, section 8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntityTag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// The tag that `text` begins with, and what follows it.
    fn take(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', inner)?;
        let (opaque, rest) = inner.split_at_checked(end)?;
        // A backslash is a byte like any other here; an entity tag has no escapes.
        let is_plain = opaque.iter().all(|&byte| byte == b'!' || (byte >= b'#' && byte != 0x7f));
        if is_plain { Some((EntityTag { is_weak, opaque }, rest.strip_prefix(b"\"")?)) } else { None }
    }

    /// A tag that is all of `text`.
    fn whole(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::take(text)?;
        if rest.is_empty() { Some(tag) } else { None }
    }

    /// Whether two tags match by either comparison.
    fn matches(self, other: EntityTag<'_>, comparison: Comparison) -> bool {
        self.opaque == other.opaque && (comparison == Comparison::Weak || !(self.is_weak || other.is_weak))
    }
}

/// How two tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// What a list of entity tags says of the one that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// The list is `*`.
    Any,
    Named,
    Unnamed,
    /// It is not by the grammar, in whatever place: the whole of it counts for nothing.
    Unreadable,
}

/// Reads all lines of a field as one list (RFC 9110, section 5.3), to its end even after a match, so that the verdict does
/// not depend on the order of its members.
fn look_up(
    headers: &Headers<'_>,
    field: Field,
    current: Option<&Representation<'_>>,
    comparison: Comparison,
) -> Listed {
    let own = current.and_then(|current| EntityTag::whole(current.etag.as_bytes()));
    let mut verdict = Listed::Unreadable;
    for line in headers.all(field) {
        if line.trim_ascii() == b"*" && !headers.is_repeated(field) {
            return Listed::Any;
        }
        let mut rest = skip_separators(line);
        while !rest.is_empty() {
            let Some((tag, after)) = EntityTag::take(rest) else { return Listed::Unreadable };
            let next = after.trim_ascii_start();
            if !next.is_empty() && !next.starts_with(b",") {
                return Listed::Unreadable;
            }
            let is_named = own.is_some_and(|own| own.matches(tag, comparison));
            verdict = if is_named || verdict == Listed::Named { Listed::Named } else { Listed::Unnamed };
            rest = skip_separators(next);
        }
    }
    verdict
}

/// Skips white space and the commas of empty members, which section 5.6.1.2 asks us to bear.
fn skip_separators(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b',')).count();
    text.get(count..).unwrap_or_default()
}

/// Step 5 of section 13.2.2: GET with a Range.
fn ranges(headers: &Headers<'_>, current: &Representation<'_>) -> Outcome {
    // Two Range lines are no list: the field is a single value, so together they say nothing.
    if headers.is_repeated(Field::Range) || (headers.has(Field::IfRange) && !is_same(headers, current)) {
        return Outcome::Whole;
    }
    match headers.get(Field::Range).and_then(|value| byte_ranges(value, current.length)) {
        Some(found) => found,
        None => Outcome::Whole,
    }
}

/// Whether `If-Range` holds (RFC 9110, section 13.1.5): a strong match of the tag, or exactly our date.
///
/// A date must be a strong validator too (section 8.8.2.2). Whether it was strong when the client got it only the client
/// can know, and is bound to; we take it as strong where our own tag is, for a weak tag says that we do not answer for
/// every byte.
fn is_same(headers: &Headers<'_>, current: &Representation<'_>) -> bool {
    if headers.is_repeated(Field::IfRange) {
        return false;
    }
    let Some(value) = headers.get(Field::IfRange).map(<[u8]>::trim_ascii) else { return true };
    let own = EntityTag::whole(current.etag.as_bytes());
    if let Some(tag) = EntityTag::whole(value) {
        return own.is_some_and(|own| own.matches(tag, Comparison::Strong));
    }
    let given = as_text(value).and_then(date::parse);
    match (given, current.modified) {
        (Some(given), Some(modified)) => {
            given.as_seconds() == modified.as_seconds() && !own.is_some_and(|own| own.is_weak)
        }
        _ => false,
    }
}

/// Reads a Range value (RFC 9110, sections 14.1.1 and 14.1.2). `None` is for what is to be ignored: another unit, a breach
/// of the grammar, more ranges than we serve, ranges that overlap.
fn byte_ranges(value: &[u8], length: u64) -> Option<Outcome> {
    const UNIT: &[u8] = b"bytes=";
    let (unit, set) = value.split_at_checked(UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let mut count = 0;
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut wants_start = false;
    for text in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
        count += 1;
        if count > RANGES_MAX {
            return None;
        }
        let spec = RangeSpec::read(text)?;
        wants_start |= matches!(spec, RangeSpec::From { first: 0, .. } | RangeSpec::Last(1..));
        let range = spec.within(length);
        if !range.is_empty() {
            found.push(range);
        }
    }
    let overlaps = |(at, one): (usize, &Range<u64>)| {
        found.iter().skip(at + 1).any(|other| one.start < other.end && other.start < one.end)
    };
    if count == 0 || found.iter().enumerate().any(overlaps) {
        return None;
    }
    Some(match found.len() {
        // Only a file of no bytes gets here. Its last bytes can be had but not told in a Content-Range, and who puts
        // `bytes=0-` on every request is better served by an empty 200, which section 14.2 allows, than by an error.
        0 if wants_start => return None,
        0 => Outcome::NotSatisfiable,
        1 => Outcome::Part(found.swap_remove(0)),
        _ => Outcome::Parts(found),
    })
}

/// One range as it was asked for.
#[derive(Clone, Copy, Debug)]
enum RangeSpec {
    /// From a position to another, both inside the range; to the end if there is no other.
    From { first: u64, last: Option<u64> },
    /// The last so many bytes.
    Last(u64),
}

impl RangeSpec {
    fn read(text: &[u8]) -> Option<RangeSpec> {
        let (first, last) = text.split_at_checked(memchr::memchr(b'-', text)?)?;
        let last = last.strip_prefix(b"-")?;
        if first.is_empty() {
            return position(last).map(RangeSpec::Last);
        }
        let first = position(first)?;
        let last = if last.is_empty() { None } else { Some(position(last)?) };
        if last.is_some_and(|last| first > last) { None } else { Some(RangeSpec::From { first, last }) }
    }

    /// What there is of it; empty if nothing.
    fn within(self, length: u64) -> Range<u64> {
        match self {
            RangeSpec::From { first, last } => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            RangeSpec::Last(count) => length.saturating_sub(count)..length,
        }
    }
}

/// A position or a length: digits only. One too large for 64 bits is the largest there is; no file reaches it.
fn position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => Some(value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
        _ => None,
    })
}

/// The value of `Content-Range` for a part of `length` bytes (RFC 9110, section 14.4). The range must not be empty.
pub fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1))
}

/// The value of `Content-Range` in a 416 (RFC 9110, section 14.4).
pub fn unsatisfied(length: u64) -> String {
    format!("bytes */{length}")
}

/// Writes the frame of a multipart/byteranges body (RFC 9110, section 14.6; RFC 2046, section 5.1.1): before each range its
/// part head, after the last one the closing delimiter.
#[derive(Clone, Copy, Debug)]
pub struct ByteRanges<'a> {
    /// 1 to 70 characters that no part contains in a line of its own after `--`.
    pub boundary: &'a str,
    /// The media type of the whole, told in each part.
    pub media_type: &'a str,
    /// The length of the whole.
    pub length: u64,
}

impl ByteRanges<'_> {
    /// The `Content-Type` of the answer.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary=\"{}\"", self.boundary)
    }

    /// What stands before a range's bytes. It begins with a line end also before the first part, which section 14.6
    /// allows, so that all heads are alike.
    pub fn part_head(&self, range: &Range<u64>) -> String {
        let ByteRanges { boundary, media_type, length } = self;
        let range = content_range(range, *length);
        format!("\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {range}\r\n\r\n")
    }

    /// What stands after the last range's bytes.
    pub fn closing(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// How many bytes the whole body has.
    pub fn total(&self, ranges: &[Range<u64>]) -> u64 {
        let size = |text: String| u64::try_from(text.len()).unwrap_or(u64::MAX);
        ranges.iter().fold(size(self.closing()), |total, range| {
            total.saturating_add(size(self.part_head(range))).saturating_add(range.end.saturating_sub(range.start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{NotModified, NotSatisfiable, Part, Parts, PreconditionFailed, Whole};
    use super::*;
    use proptest::prelude::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sat, 06 Nov 2094 08:49:38 GMT";

    const FILE: Representation<'_> =
        Representation { etag: "\"a,b\"", modified: Some(Wall::from_millis(784_111_777_999)), length: 100 };

    fn with<T>(lines: &[(&str, &str)], then: impl FnOnce(&Headers<'_>) -> T) -> T {
        let fields: Vec<_> =
            lines.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
        then(&Headers::new(&fields))
    }

    fn outcome(lines: &[(&str, &str)], current: &Representation<'_>, access: Access) -> Outcome {
        with(lines, |headers| evaluate(headers, current, access))
    }

    fn get(lines: &[(&str, &str)]) -> Outcome {
        outcome(lines, &FILE, Access::Get)
    }

    fn range(value: &str) -> Outcome {
        get(&[("Range", value)])
    }

    #[test]
    fn without_conditions_all_is_sent() {
        for access in [Access::Get, Access::Head, Access::Change] {
            assert_eq!(outcome(&[("Host", "a"), ("If-Range", "\"x\"")], &FILE, access), Whole);
        }
    }

    #[test]
    fn if_none_match_compares_weakly_and_reads_its_list_strictly() {
        for (value, expected) in [
            ("\"a,b\"", NotModified),
            ("W/\"a,b\"", NotModified),
            ("\"x\", \"a,b\"", NotModified),
            ("\"x\",,\t\"a,b\" ,", NotModified),
            ("*", NotModified),
            (" * ", NotModified),
            ("\"a\"", Whole),
            ("\"a,b", Whole),
            ("a,b", Whole),
            ("w/\"a,b\"", Whole),
            ("W/ \"a,b\"", Whole),
            ("\"a,b\" \"x\"", Whole),
            ("\"a,b\", x", Whole),
            ("x, \"a,b\"", Whole),
            ("\"a,b\", *", Whole),
            ("\"a b\", \"a,b\"", Whole),
            ("", Whole),
            (",", Whole),
            ("**", Whole),
        ] {
            assert_eq!(get(&[("If-None-Match", value)]), expected, "{value}");
            assert_eq!(outcome(&[("If-None-Match", value)], &FILE, Access::Head), expected, "{value}");
        }
    }

    #[test]
    fn lines_that_repeat_are_one_list() {
        assert_eq!(get(&[("If-None-Match", "\"x\""), ("if-none-match", "\"a,b\"")]), NotModified);
        assert_eq!(get(&[("If-None-Match", "\"a,b\""), ("If-None-Match", "\"x\"")]), NotModified);
        assert_eq!(get(&[("If-None-Match", "\"a,b\""), ("If-None-Match", "x")]), Whole);
        assert_eq!(get(&[("If-None-Match", "*"), ("If-None-Match", "*")]), Whole);
        assert_eq!(get(&[("If-Match", "\"x\""), ("If-Match", "\"a,b\"")]), Whole);
        assert_eq!(get(&[("If-Match", "*"), ("If-Match", "\"a,b\"")]), PreconditionFailed);
    }

    #[test]
    fn if_match_compares_strongly_and_refuses_what_it_cannot_read() {
        let weak = Representation { etag: "W/\"a\"", ..FILE };
        for access in [Access::Get, Access::Head, Access::Change] {
            for (value, expected) in [
                ("\"a,b\"", Whole),
                ("\"x\", \"a,b\"", Whole),
                ("*", Whole),
                ("W/\"a,b\"", PreconditionFailed),
                ("\"x\"", PreconditionFailed),
                ("a,b", PreconditionFailed),
                ("", PreconditionFailed),
            ] {
                assert_eq!(outcome(&[("If-Match", value)], &FILE, access), expected, "{value}");
            }
            assert_eq!(outcome(&[("If-Match", "W/\"a\"")], &weak, access), PreconditionFailed);
            assert_eq!(outcome(&[("If-Match", "\"a\"")], &weak, access), PreconditionFailed);
        }
    }

    #[test]
    fn dates_count_by_the_second_and_only_when_they_can_be_read() {
        for (field, value, expected) in [
            ("If-Modified-Since", DATE, NotModified),
            ("If-Modified-Since", LATER, NotModified),
            ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("If-Modified-Since", EARLIER, Whole),
            ("If-Modified-Since", "soon", Whole),
            ("If-Unmodified-Since", DATE, Whole),
            ("If-Unmodified-Since", LATER, Whole),
            ("If-Unmodified-Since", EARLIER, PreconditionFailed),
            ("If-Unmodified-Since", "soon", Whole),
        ] {
            assert_eq!(get(&[(field, value)]), expected, "{field}: {value}");
            let dateless = Representation { modified: None, ..FILE };
            assert_eq!(outcome(&[(field, value)], &dateless, Access::Get), Whole, "{field}: {value}");
        }
        assert_eq!(get(&[("If-Modified-Since", DATE), ("If-Modified-Since", DATE)]), Whole);
        assert_eq!(get(&[("If-Unmodified-Since", EARLIER), ("If-Unmodified-Since", EARLIER)]), Whole);
        assert_eq!(outcome(&[("If-Modified-Since", DATE)], &FILE, Access::Change), Whole);
        assert_eq!(outcome(&[("If-Unmodified-Since", EARLIER)], &FILE, Access::Change), PreconditionFailed);
    }

    #[test]
    fn tags_come_before_dates_and_matches_before_none_matches() {
        for (lines, expected) in [
            (&[("If-Match", "\"a,b\""), ("If-Unmodified-Since", EARLIER)][..], Whole),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", DATE)], Whole),
            (&[("If-None-Match", "x"), ("If-Modified-Since", DATE)], Whole),
            (&[("If-None-Match", "\"a,b\""), ("If-Modified-Since", EARLIER)], NotModified),
            (&[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], PreconditionFailed),
            (&[("If-Match", "\"a,b\""), ("If-None-Match", "\"a,b\"")], NotModified),
            (&[("If-Unmodified-Since", EARLIER), ("If-Modified-Since", DATE)], PreconditionFailed),
            (&[("If-None-Match", "\"a,b\""), ("Range", "bytes=0-0")], NotModified),
            (&[("If-Match", "\"x\""), ("Range", "bytes=0-0")], PreconditionFailed),
            (&[("If-Match", "\"a,b\""), ("Range", "bytes=0-0")], Part(0..1)),
        ] {
            assert_eq!(get(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn writes_are_guarded() {
        let absent = None;
        let there = Some(&FILE);
        for (lines, current, expected) in [
            (&[][..], absent, true),
            (&[], there, true),
            (&[("If-None-Match", "*")], absent, true),
            (&[("If-None-Match", "*")], there, false),
            (&[("If-None-Match", "\"a,b\"")], there, false),
            (&[("If-None-Match", "W/\"a,b\"")], there, false),
            (&[("If-None-Match", "\"x\"")], there, true),
            (&[("If-None-Match", "\"x\"")], absent, true),
            (&[("If-None-Match", "x")], there, false),
            (&[("If-None-Match", "x")], absent, false),
            (&[("If-Match", "*")], absent, false),
            (&[("If-Match", "*")], there, true),
            (&[("If-Match", "\"a,b\"")], absent, false),
            (&[("If-Match", "\"a,b\"")], there, true),
            (&[("If-Match", "\"a,b\""), ("If-None-Match", "*")], there, false),
            (&[("If-Match", "\"old\"")], there, false),
            (&[("If-Match", "old")], there, false),
            (&[("If-Unmodified-Since", EARLIER)], there, false),
            (&[("If-Unmodified-Since", EARLIER)], absent, true),
            (&[("If-Modified-Since", LATER), ("Range", "bytes=0-0")], there, true),
        ] {
            assert_eq!(with(lines, |headers| allows_write(headers, current)), expected, "{lines:?} {current:?}");
            if let Some(current) = current {
                let expected = if expected { Whole } else { PreconditionFailed };
                assert_eq!(outcome(lines, current, Access::Change), expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn a_file_without_a_tag_matches_only_the_star() {
        let bare = Representation { etag: "", ..FILE };
        assert_eq!(outcome(&[("If-None-Match", "\"\"")], &bare, Access::Get), Whole);
        assert_eq!(outcome(&[("If-None-Match", "*")], &bare, Access::Get), NotModified);
        assert_eq!(outcome(&[("If-Match", "\"\"")], &bare, Access::Get), PreconditionFailed);
    }

    #[test]
    fn single_ranges() {
        for (value, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-", Part(0..100)),
            ("bytes=10-19", Part(10..20)),
            ("BYTES=99-99", Part(99..100)),
            ("bytes=90-100", Part(90..100)),
            ("bytes=90-18446744073709551615", Part(90..100)),
            ("bytes=90-99999999999999999999999", Part(90..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-100", Part(0..100)),
            ("bytes=-99999999999999999999999", Part(0..100)),
            ("bytes= 5-6 ,", Part(5..7)),
            ("bytes=100-", NotSatisfiable),
            ("bytes=100-200", NotSatisfiable),
            ("bytes=99999999999999999999999-", NotSatisfiable),
            ("bytes=-0", NotSatisfiable),
            ("bytes=-0,200-", NotSatisfiable),
            ("bytes=200-,1-2", Part(1..3)),
        ] {
            assert_eq!(range(value), expected, "{value}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=a-b",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=2-1",
            "bytes=0-1,2-1",
            "bytes=0-1;2-3",
            "bytes=0-1-2",
            "bytes 0-1",
            "bytes =0-1",
            "lines=0-1",
            "bits=0-1",
            "0-1",
        ] {
            assert_eq!(range(value), Whole, "{value}");
        }
        assert_eq!(get(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]), Whole);
        assert_eq!(outcome(&[("Range", "bytes=0-1")], &FILE, Access::Head), Whole);
        assert_eq!(outcome(&[("Range", "bytes=0-1")], &FILE, Access::Change), Whole);
    }

    #[test]
    fn several_ranges_keep_their_order_and_must_not_overlap() {
        assert_eq!(range("bytes=0-1,4-5"), Parts(vec![0..2, 4..6]));
        assert_eq!(range("bytes=4-5, 0-1, -1"), Parts(vec![4..6, 0..2, 99..100]));
        assert_eq!(range("bytes=0-1,2-3"), Parts(vec![0..2, 2..4]));
        assert_eq!(range("bytes=0-1,200-"), Part(0..2));
        assert_eq!(range("bytes=0-1,1-2"), Whole);
        assert_eq!(range("bytes=0-9,2-3"), Whole);
        assert_eq!(range("bytes=0-,-1"), Whole);
        let many = |count: u64| {
            let specs: Vec<_> = (0..count).map(|at| format!("{}-{}", at * 3, at * 3)).collect();
            range(&format!("bytes={}", specs.join(",")))
        };
        assert_eq!(many(32), Parts((0..32).map(|at| at * 3..at * 3 + 1).collect()));
        assert_eq!(many(33), Whole);
        let hopeless = "200-,".repeat(33);
        assert_eq!(range(&format!("bytes={hopeless}")), Whole);
    }

    #[test]
    fn of_nothing_nothing_can_be_cut() {
        let empty = Representation { length: 0, ..FILE };
        for (value, expected) in [
            ("bytes=0-", Whole),
            ("bytes=0-9", Whole),
            ("bytes=-5", Whole),
            ("bytes=-0", NotSatisfiable),
            ("bytes=1-", NotSatisfiable),
        ] {
            assert_eq!(outcome(&[("Range", value)], &empty, Access::Get), expected, "{value}");
        }
    }

    #[test]
    fn if_range_holds_for_the_very_same_file_only() {
        let weak = Representation { etag: "W/\"a\"", ..FILE };
        let bare = Representation { etag: "", ..FILE };
        let dateless = Representation { modified: None, ..FILE };
        for (current, value, holds) in [
            (&FILE, "\"a,b\"", true),
            (&FILE, "W/\"a,b\"", false),
            (&FILE, "\"x\"", false),
            (&FILE, "\"a,b\", \"x\"", false),
            (&FILE, "*", false),
            (&FILE, "", false),
            (&FILE, DATE, true),
            (&FILE, "Sun Nov  6 08:49:37 1994", true),
            (&FILE, EARLIER, false),
            (&FILE, LATER, false),
            (&weak, "W/\"a\"", false),
            (&weak, "\"a\"", false),
            (&weak, DATE, false),
            (&bare, DATE, true),
            (&bare, "\"\"", false),
            (&dateless, DATE, false),
        ] {
            let expected = if holds { Part(1..3) } else { Whole };
            let lines = [("Range", "bytes=1-2"), ("If-Range", value)];
            assert_eq!(outcome(&lines, current, Access::Get), expected, "{value} {current:?}");
        }
        let twice = [("Range", "bytes=1-2"), ("If-Range", "\"a,b\""), ("If-Range", "\"a,b\"")];
        assert_eq!(get(&twice), Whole);
        assert_eq!(get(&[("Range", "bytes=200-"), ("If-Range", "\"x\"")]), Whole);
    }

    #[test]
    fn the_frame_of_several_parts_is_as_long_as_it_says() {
        let frame = ByteRanges { boundary: "b0", media_type: "text/plain", length: 100 };
        let ranges = [0..2, 98..100];
        let mut body = String::new();
        for range in &ranges {
            body += &frame.part_head(range);
            body += "xy";
        }
        body += &frame.closing();
        assert_eq!(
            body,
            "\r\n--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\nxy\
             \r\n--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes 98-99/100\r\n\r\nxy\r\n--b0--\r\n"
        );
        assert_eq!(frame.total(&ranges), body.len() as u64);
        assert_eq!(frame.content_type(), "multipart/byteranges; boundary=\"b0\"");
        assert_eq!(unsatisfied(100), "bytes */100");
    }

    proptest! {
        #[test]
        fn no_value_upsets_the_verdict(
            names in proptest::collection::vec(0usize..6, 0..6),
            values in proptest::collection::vec("[ -~é]{0,20}|bytes=[0-9, -]{0,20}|(W/)?\"[a-c,]{0,3}\"|\\*", 6),
            length in any::<u64>(),
        ) {
            const NAMES: [&str; 6] =
                ["If-Match", "If-None-Match", "If-Range", "Range", "If-Modified-Since", "If-Unmodified-Since"];
            let lines: Vec<_> = names.iter().map(|&at| (NAMES[at], values[at].as_str())).collect();
            let current = Representation { length, ..FILE };
            for access in [Access::Get, Access::Head, Access::Change] {
                let ranges = match outcome(&lines, &current, access) {
                    Part(range) => vec![range],
                    Parts(ranges) => {
                        prop_assert!(ranges.len() >= 2 && ranges.len() <= RANGES_MAX);
                        ranges
                    }
                    _ => vec![],
                };
                prop_assert!(ranges.is_empty() || access == Access::Get);
                for range in ranges {
                    prop_assert!(range.start < range.end && range.end <= length, "{range:?}");
                }
            }
            with(&lines, |headers| allows_write(headers, Some(&current)));
            with(&lines, |headers| allows_write(headers, None));
        }

        #[test]
        fn ranges_inside_the_length_are_given_as_asked(first in 0u64..1000, size in 1u64..1000, spare in 0u64..1000) {
            let current = Representation { length: first + size + spare, ..FILE };
            let asked = format!("bytes={first}-{}", first + size - 1);
            prop_assert_eq!(outcome(&[("Range", &asked)], &current, Access::Get), Part(first..first + size));
            let told = content_range(&(first..first + size), current.length);
            prop_assert_eq!(told, format!("bytes {first}-{}/{}", first + size - 1, current.length));
        }
    }
}
