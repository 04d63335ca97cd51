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
        (Some(since), Some(modified)) => seconds(modified) <= since,
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
        (Some(since), Some(modified)) => seconds(modified) <= since,
        _ => false,
    }
}

/// A date field that stands there once and can be read, in seconds since 1970.
fn date(headers: &Headers<'_>, field: Field) -> Option<i64> {
    if headers.is_repeated(field) { None } else { headers.text(field).and_then(date::parse) }
}

fn seconds(at: Wall) -> i64 {
    i64::try_from(at.as_seconds()).unwrap_or(i64::MAX)
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
        (Some(given), Some(modified)) => given == seconds(modified) && !own.is_some_and(|own| own.is_weak),
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
mod tests;
