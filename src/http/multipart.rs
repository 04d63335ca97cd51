//! The body of an upload form, window by window: multipart/form-data (RFC 7578) over the grammar of RFC 2046, section 5.1.
//!
//! A push machine: it is given bytes as they come, and answers with one event and how many bytes it has used up. It copies
//! part heads only. A file's bytes are told as ranges of the caller's own window. However the body is cut into windows, the
//! events are the same, and the data of each part joined together is the same.
//!
//! A window may end in what looks like the beginning of a delimiter. The machine uses these bytes up and notes how many they
//! are, but keeps none: they equal the delimiter's first bytes. If the next window shows that they were data after all, it
//! hands them out from its own copy of the delimiter, as [`Event::Held`]. That this is all of them, and that no delimiter
//! begins inside them, follows from a delimiter having a CR at its beginning and nowhere else.
//!
//! Stricter than the RFCs in places where two readers could disagree: lines end in CR LF, a line that begins with the
//! boundary is a delimiter or an error, and nothing of importance may be told twice.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;

use crate::http::fault::Fault;
use crate::http::media::MediaType;
use crate::http::status::Status;

/// How much of a body may be something other than data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most parts, of files and of other fields together.
    pub parts_max: usize,
    /// The most bytes in the head of one part. A head is a field name, a file name and a media type.
    pub head_bytes_max: usize,
    /// The most bytes before the first delimiter, and again after the last: nobody sends any but for a line end.
    pub margin_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { parts_max: 64, head_bytes_max: 8 * 1024, margin_bytes_max: 8 * 1024 }
    }
}

/// The head of a part (RFC 7578, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The file's name as the client gave it: text to be judged, not a path. Empty where a form had a file field and nobody
    /// chose a file.
    pub filename: Option<String>,
    /// The part's `Content-Type`, as it came.
    pub content_type: Option<String>,
}

/// What the machine has seen.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'m> {
    /// The window is used up. Come again with more, or call [`Multipart::finish`].
    NeedBytes,
    /// A part begins.
    Part(Part),
    /// Bytes of the part: this range of the window that was pushed. It may end before the bytes that were used.
    Data(Range<usize>),
    /// Bytes of the part, of an earlier window: they looked like a delimiter and were none.
    Held(&'m [u8]),
    /// The part is complete.
    PartEnd,
    /// The last part is complete. What follows is used up and thrown away.
    End,
}

/// The machine.
#[derive(Debug)]
pub struct Multipart {
    /// Finds the delimiter, CR LF and two hyphens and the boundary, and keeps it.
    delimiter: Finder<'static>,
    limits: Limits,
    parts: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before the first delimiter: `matched` bytes of one have been used up last.
    Preamble { matched: usize, margin: usize },
    /// Behind a delimiter, which is to be ended.
    Line { ending: Ending, spaces: usize },
    /// In the head of a part. It begins with the line end of the delimiter, so that a head of no lines ends like any other.
    Head { head: Vec<u8> },
    /// In the bytes of a part: `matched` bytes of a delimiter have been used up last. At its beginning the first two of
    /// these are the end of the blank line, which a part without a body shares with the delimiter; they are no data.
    Body { matched: usize, is_start: bool },
    /// After the last delimiter.
    Epilogue { margin: usize },
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    /// Nothing yet.
    Open,
    /// One hyphen of the two that make it the last.
    Hyphen,
    /// White space, which transport may have put there.
    Space,
    /// The CR of its line end.
    Return,
}

/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// How much white space a delimiter may have behind it.
const SPACES_MAX: usize = 64;

/// How many header lines a part may have; the RFCs know of three.
const LINES_MAX: usize = 16;

/// What ends the head of a part.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

fn bad(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_multipart", detail)
}

impl Multipart {
    /// A machine for the body of a request with this `Content-Type`: 415 when it is not multipart/form-data, 400
    /// `bad_multipart` when its boundary is missing or not one of RFC 2046, section 5.1.1.
    pub fn new(content_type: &[u8], limits: Limits) -> Result<Multipart, Fault> {
        let Some(media) = MediaType::parse(content_type) else { return Err(bad("the Content-Type cannot be read")) };
        if !media.is("multipart/form-data") {
            let detail = "the Content-Type is not multipart/form-data";
            return Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let Some(boundary) = media.boundary.filter(|boundary| is_boundary(boundary)) else {
            return Err(bad("the Content-Type needs a boundary of 1 to 70 letters, digits and '()+_,-./:=?"));
        };
        let delimiter = format!("\r\n--{boundary}");
        Ok(Multipart {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            limits,
            parts: 0,
            // The first delimiter needs no line end before it: take it that one has been seen.
            state: State::Preamble { matched: 2, margin: 0 },
        })
    }

    /// Goes on with the bytes of `window` that have not been used yet: how many more are used now, and what was seen.
    ///
    /// Call it again with the rest until it says [`Event::NeedBytes`]; it may have used none and yet have seen something.
    /// After a fault, do not.
    pub fn push(&mut self, window: &[u8]) -> Result<(usize, Event<'_>), Fault> {
        let mut at = 0;
        loop {
            // Never beyond the end: each step uses at most what it is given.
            let rest = window.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok((at, Event::NeedBytes));
            }
            match &mut self.state {
                State::Preamble { matched, margin } => {
                    let (used, seen) = seek(&self.delimiter, matched, rest);
                    at += used;
                    *margin = margin.saturating_add(used);
                    // The delimiter itself is no margin, but what may still become one is not told apart from it.
                    if *margin > self.limits.margin_bytes_max.saturating_add(self.delimiter.needle().len()) {
                        return Err(bad("the first boundary is missing or stands too late"));
                    }
                    if let Seen::Delimiter = seen {
                        self.state = State::Line { ending: Ending::Open, spaces: 0 };
                    }
                }
                State::Line { ending, spaces } => {
                    at += 1;
                    match (*ending, rest.first()) {
                        (Ending::Open, Some(b'-')) => *ending = Ending::Hyphen,
                        (Ending::Hyphen, Some(b'-')) => {
                            self.state = State::Epilogue { margin: 0 };
                            return Ok((at, Event::End));
                        }
                        (Ending::Open | Ending::Space, Some(b' ' | b'\t')) if *spaces < SPACES_MAX => {
                            *ending = Ending::Space;
                            *spaces += 1;
                        }
                        (Ending::Open | Ending::Space, Some(b'\r')) => *ending = Ending::Return,
                        (Ending::Return, Some(b'\n')) => {
                            if self.parts >= self.limits.parts_max {
                                return Err(bad(format!("a form has at most {} parts", self.limits.parts_max)));
                            }
                            self.parts += 1;
                            self.state = State::Head { head: b"\r\n".to_vec() };
                        }
                        _ => return Err(bad("a line begins with the boundary and does not end as a delimiter does")),
                    }
                }
                State::Head { head } => {
                    let Some((used, part)) = gather_head(head, rest, &self.delimiter, self.limits.head_bytes_max)?
                    else {
                        return Ok((window.len(), Event::NeedBytes));
                    };
                    self.state = State::Body { matched: 2, is_start: true };
                    return Ok((at + used, Event::Part(part)));
                }
                State::Body { matched, is_start } => {
                    let held = if *is_start { 2..*matched } else { 0..*matched };
                    let (used, seen) = seek(&self.delimiter, matched, rest);
                    let start = at;
                    at += used;
                    match seen {
                        Seen::Nothing => {}
                        Seen::Held => {
                            *is_start = false;
                            if !held.is_empty() {
                                let held = self.delimiter.needle().get(held).unwrap_or_default();
                                return Ok((at, Event::Held(held)));
                            }
                        }
                        Seen::Other(count) => return Ok((at, Event::Data(start..start + count))),
                        Seen::Delimiter => {
                            self.state = State::Line { ending: Ending::Open, spaces: 0 };
                            return Ok((at, Event::PartEnd));
                        }
                    }
                }
                State::Epilogue { margin } => {
                    *margin = margin.saturating_add(rest.len());
                    if *margin > self.limits.margin_bytes_max {
                        return Err(bad("too much follows the last boundary"));
                    }
                    at = window.len();
                }
            }
        }
    }

    /// Whether the body may end here: 400 `bad_multipart` if the last delimiter has not been seen.
    pub fn finish(&self) -> Result<(), Fault> {
        match self.state {
            State::Epilogue { .. } => Ok(()),
            _ => Err(bad("the body ends before its last boundary")),
        }
    }
}

/// The fields of a small form that is all there: names and values, a file's as any other's.
///
/// # Errors
/// As [`Multipart::new`] and [`Multipart::push`]; 400 `bad_form` for a value that is not UTF-8.
pub fn fields(content_type: &[u8], body: &[u8], limits: Limits) -> Result<Vec<(String, String)>, Fault> {
    let mut machine = Multipart::new(content_type, limits)?;
    let (mut fields, mut name, mut value, mut at) = (Vec::new(), String::new(), Vec::new(), 0);
    loop {
        let rest = &body[at..];
        let (used, event) = machine.push(rest)?;
        at += used;
        match event {
            Event::Part(part) => name = part.name,
            Event::Data(range) => value.extend_from_slice(&rest[range]),
            Event::Held(bytes) => value.extend_from_slice(bytes),
            Event::PartEnd => {
                let text = String::from_utf8(std::mem::take(&mut value)).map_err(|_| {
                    Fault::new(Status::BAD_REQUEST, "bad_form", "a field of the form does not decode to UTF-8")
                })?;
                fields.push((std::mem::take(&mut name), text));
            }
            Event::End => {}
            Event::NeedBytes => {
                machine.finish()?;
                return Ok(fields);
            }
        }
    }
}

/// Adds to the `head` of a part what `rest` has of it. Once all of it is there: how many bytes of `rest` were its own, and what it
/// says of the part.
fn gather_head(
    head: &mut Vec<u8>,
    rest: &[u8],
    delimiter: &Finder<'_>,
    most: usize,
) -> Result<Option<(usize, Part)>, Fault> {
    // A head may not fill the room: the blank line that ends it must fit too.
    let room = most.saturating_add(BLANK_LINE.len()).saturating_sub(head.len());
    let taken = rest.get(..room.min(rest.len())).unwrap_or_default();
    // The blank line may have begun in the last window.
    let seen = head.len().saturating_sub(BLANK_LINE.len() - 1);
    let before = head.len();
    head.extend_from_slice(taken);
    let tail = head.get(seen..).unwrap_or_default();
    let Some(end) = memchr::memmem::find(tail, BLANK_LINE).map(|end| seen + end + BLANK_LINE.len()) else {
        if taken.len() == room {
            return Err(bad(format!("the head of a part is larger than {most} bytes")));
        }
        return Ok(None);
    };
    // By httparse it would be a header field, by a reader that splits at the boundary the end of the part.
    if delimiter.find(head.get(..end).unwrap_or_default()).is_some() {
        return Err(bad("a line in the head of a part begins with the boundary"));
    }
    let part = read_head(head.get(2..end).unwrap_or_default())?;
    Ok(Some((end.saturating_sub(before), part)))
}

/// What a search has come upon.
enum Seen {
    /// Only what may become a delimiter.
    Nothing,
    /// What has been used up before as the beginning of a delimiter is none.
    Held,
    /// So many bytes that are in no delimiter.
    Other(usize),
    /// A whole delimiter.
    Delimiter,
}

/// Looks for the delimiter in a window that is not empty, `matched` bytes of one having been used up before it. Gives how
/// many bytes it has used now, and notes how many at their end may begin a delimiter.
fn seek(delimiter: &Finder<'_>, matched: &mut usize, window: &[u8]) -> (usize, Seen) {
    let needle = delimiter.needle();
    if *matched > 0 {
        let wanted = needle.get(*matched..).unwrap_or_default();
        let count = wanted.len().min(window.len());
        if wanted.get(..count) != window.get(..count) {
            *matched = 0;
            return (0, Seen::Held);
        }
        *matched += count;
        return (count, if count == wanted.len() { Seen::Delimiter } else { Seen::Nothing });
    }
    match delimiter.find(window) {
        Some(0) => (needle.len(), Seen::Delimiter),
        Some(count) => (count, Seen::Other(count)),
        None => {
            // Its only CR is its first byte, so no more than the last CR of the window can begin one.
            let tail = memchr::memrchr(b'\r', window).and_then(|at| window.get(at..)).unwrap_or_default();
            *matched = if needle.starts_with(tail) { tail.len() } else { 0 };
            match window.len() - *matched {
                0 => (window.len(), Seen::Nothing),
                count => (window.len(), Seen::Other(count)),
            }
        }
    }
}

/// RFC 2046, section 5.1.1: `bchars`, of which a space may not be the last.
fn is_boundary(text: &str) -> bool {
    (1..=BOUNDARY_BYTES_MAX).contains(&text.len())
        && !text.ends_with(' ')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte))
}

/// Reads the header lines of a part, their blank line included (RFC 7578, sections 4.2 to 4.8).
fn read_head(head: &[u8]) -> Result<Part, Fault> {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    let lines = match httparse::parse_headers(head, &mut lines) {
        // httparse would bear a line that ends in LF alone.
        Ok(httparse::Status::Complete((_, lines))) if has_whole_line_ends(head) => lines,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(bad(format!("a part has more than {LINES_MAX} header lines")));
        }
        _ if has_control_in_name(head) => {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_name", "a file name holds a control byte"));
        }
        _ => return Err(bad("the head of a part cannot be read")),
    };
    let mut disposition = None;
    let mut content_type = None;
    for line in lines.iter() {
        if line.name.eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(line.value).is_some() {
                return Err(bad("a part has two Content-Disposition lines"));
            }
        } else if line.name.eq_ignore_ascii_case("content-type") {
            let text = std::str::from_utf8(line.value).map_err(|_| bad("the Content-Type of a part is not UTF-8"))?;
            if content_type.replace(text.to_owned()).is_some() {
                return Err(bad("a part has two Content-Type lines"));
            }
        } else if line.name.eq_ignore_ascii_case("content-transfer-encoding") {
            // Section 4.7: nobody sends it any more. To store the encoded text in silence would damage the file.
            let is_none = [&b"7bit"[..], b"8bit", b"binary"].iter().any(|kind| kind.eq_ignore_ascii_case(line.value));
            if !is_none {
                return Err(bad("a part has a Content-Transfer-Encoding; send its bytes as they are"));
            }
        }
    }
    let Some(disposition) = disposition else { return Err(bad("a part has no Content-Disposition")) };
    let disposition = std::str::from_utf8(disposition)
        .map_err(|_| bad("a Content-Disposition is not UTF-8; names in other encodings are not taken"))?;
    let (name, filename) = read_disposition(disposition)?;
    Ok(Part { name, filename, content_type })
}

/// Whether what is wrong with a head is a byte in its file name that no name may hold.
fn has_control_in_name(head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).any(|line| {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        let controls = |&byte: &u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
        name.eq_ignore_ascii_case(b"content-disposition")
            && memchr::memmem::find(value, b"filename=")
                .is_some_and(|at| value[at..].iter().any(controls) && !value[..at].iter().any(controls))
    })
}

fn has_whole_line_ends(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\r'))
}

/// The `name` and `filename` of a Content-Disposition (RFC 7578, section 4.2). Other parameters are passed over, and so is
/// `filename*`, which that section forbids.
fn read_disposition(value: &str) -> Result<(String, Option<String>), Fault> {
    let unreadable = || bad("a Content-Disposition is not form-data with name=\"…\" and maybe filename=\"…\"");
    let (kind, mut rest) = value.split_at_checked(value.find(';').unwrap_or(value.len())).ok_or_else(unreadable)?;
    if !kind.trim_ascii().eq_ignore_ascii_case("form-data") {
        return Err(unreadable());
    }
    let (mut name, mut filename) = (None, None);
    while let Some(after) = rest.strip_prefix(';') {
        let parameter = after.trim_ascii_start();
        if parameter.is_empty() {
            rest = parameter;
            break;
        }
        let (key, after) = parameter.split_once('=').ok_or_else(unreadable)?;
        let (text, after) = parameter_value(after).ok_or_else(unreadable)?;
        let slot = match key {
            key if key.eq_ignore_ascii_case("name") => Some(&mut name),
            key if key.eq_ignore_ascii_case("filename") => Some(&mut filename),
            key if key.contains([';', '"', ' ']) => return Err(unreadable()),
            _ => None,
        };
        if slot.is_some_and(|slot| slot.replace(unescape(&text)).is_some()) {
            return Err(bad("a Content-Disposition gives a name or file name twice"));
        }
        rest = after.trim_ascii_start();
    }
    if !rest.is_empty() {
        return Err(unreadable());
    }
    match name {
        Some(name) => Ok((name, filename)),
        None => Err(bad("a part has no name; its Content-Disposition needs name=\"…\"")),
    }
}

/// The value that `text` begins with, in quotes or not, and what follows it.
///
/// A backslash escapes a quote or a backslash, as curl writes them; before anything else it stands for itself, for old
/// browsers send whole Windows paths.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at_checked(text.find(';').unwrap_or(text.len()))?;
        let token = token.trim_ascii_end();
        return if token.contains(['"', ' ', '\t']) { None } else { Some((token.to_owned(), rest)) };
    };
    let mut value = String::new();
    let mut letters = inner.chars();
    loop {
        match letters.next()? {
            '"' => return Some((value, letters.as_str())),
            '\\' if letters.as_str().starts_with(['"', '\\']) => value.extend(letters.next()),
            letter => value.push(letter),
        }
    }
}

/// Undoes the three escapes that browsers make in names (WHATWG HTML, section 4.10.21.8), and no others: a percent sign
/// that the user typed is not escaped, so it stands for itself.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let escaped = match after.as_bytes() {
            [b'2', b'2', ..] => Some('"'),
            [b'0', b'D' | b'd', ..] => Some('\r'),
            [b'0', b'A' | b'a', ..] => Some('\n'),
            _ => None,
        };
        plain.push(escaped.unwrap_or('%'));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests;
