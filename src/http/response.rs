//! An answer, and how its head is written (RFC 9112, section 4; RFC 9110, section 8).

use std::fmt;

use bytes::Bytes;

use crate::content::{FileSpan, Source};
use crate::http::headers::is_token_byte;
use crate::http::status::Status;

/// What an answer carries.
#[derive(Default)]
#[non_exhaustive]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory, shared by whoever is sent them.
    Bytes(Bytes),
    /// So many bytes behind the ready-made block, in the same memory ([`Response::complete`]).
    #[doc(hidden)]
    Behind(usize),
    /// A stretch of an open file.
    File(FileSpan),
    /// Several pieces in order: a multipart range.
    Pieces(Vec<Piece>),
    /// What a source makes on helpers, window by window: in chunks, unless it knows its length.
    Stream(Box<dyn Source>),
}

/// Whether an answer may have a header field of this name of its own.
#[inline]
fn is_own(name: &str) -> bool {
    let is_framing = |framing: &str| name.len() == framing.len() && name.eq_ignore_ascii_case(framing);
    !name.is_empty()
        && name.bytes().all(is_token_byte)
        && !is_framing("Content-Length")
        && !is_framing("Transfer-Encoding")
}

/// A piece of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stretch of an open file.
    File(FileSpan),
}

impl Body {
    /// How long it is, if that is known.
    #[inline]
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Behind(length) => Some(*length as u64),
            Body::File(span) => Some(span.length),
            Body::Pieces(pieces) => {
                let lengths = pieces.iter().map(|piece| match piece {
                    Piece::Bytes(bytes) => bytes.len() as u64,
                    Piece::File(span) => span.length,
                });
                Some(lengths.sum())
            }
            Body::Stream(source) => source.length(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Bytes(bytes) => f.debug_tuple("Bytes").field(bytes).finish(),
            Body::Behind(length) => f.debug_tuple("Behind").field(length).finish(),
            Body::File(span) => f.debug_tuple("File").field(span).finish(),
            Body::Pieces(pieces) => f.debug_tuple("Pieces").field(pieces).finish(),
            Body::Stream(source) => f.debug_tuple("Stream").field(&source.length()).finish(),
        }
    }
}

/// An answer to one request. `Date`, `Server`, `Connection` and the length are written by the connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response {
    /// Its status.
    pub status: Status,
    /// A ready-made block of header lines, made when a page is shelved and shared by all its answers.
    block: Bytes,
    /// Header lines of this answer alone; stays empty where the block says it all.
    lines: Vec<u8>,
    /// Whether the block tells the body's length.
    tells_length: bool,
    /// What it carries.
    pub body: Body,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: Status) -> Response {
        Response::ready(status, Bytes::new(), Body::Empty)
    }

    /// An answer with a ready-made block of header lines, each with its line end, and a body.
    #[doc(hidden)]
    #[inline]
    pub fn ready(status: Status, block: Bytes, body: Body) -> Response {
        Response { status, block, lines: Vec::new(), tells_length: false, body }
    }

    /// The same, where the block tells the body's `Content-Length` as well.
    #[doc(hidden)]
    #[inline]
    pub fn ready_whole(status: Status, block: Bytes, body: Body) -> Response {
        Response { tells_length: true, ..Response::ready(status, block, body) }
    }

    /// An answer that is wholly ready: header lines that tell the length, `lines` bytes of them, and the body behind them. One
    /// piece of memory to hold on to, and none of it is looked at again.
    ///
    /// # Panics
    /// If there are fewer bytes than lines.
    #[doc(hidden)]
    #[inline]
    pub fn complete(status: Status, bytes: Bytes, lines: usize) -> Response {
        let length = bytes.len().checked_sub(lines).expect("the lines are part of the bytes");
        Response::ready_whole(status, bytes, Body::Behind(length))
    }

    /// The body that stands behind the block; empty where none does.
    #[doc(hidden)]
    #[inline]
    pub fn behind(&self) -> &[u8] {
        &self.block[self.block_length()..]
    }

    /// The same, to be kept without copying it.
    #[doc(hidden)]
    pub fn into_behind(mut self) -> Bytes {
        let at = self.block_length();
        self.block.split_off(at)
    }

    #[inline]
    fn block_length(&self) -> usize {
        match self.body {
            Body::Behind(length) => self.block.len() - length,
            _ => self.block.len(),
        }
    }

    /// Whether its ready-made block tells the body's length.
    #[doc(hidden)]
    pub fn tells_length(&self) -> bool {
        self.tells_length
    }

    /// 200 with a text.
    pub fn text(text: impl Into<Bytes>) -> Response {
        Response::new(Status::OK)
            .line("Content-Type: text/plain; charset=utf-8\r\n")
            .with_body(Body::Bytes(text.into()))
    }

    /// An answer with a JSON document.
    pub fn json(status: Status, value: &serde_json::Value) -> Response {
        Response::new(status)
            .line("Content-Type: application/json\r\nCache-Control: no-store\r\n")
            .with_body(Body::Bytes(value.to_string().into()))
    }

    /// An answer with an HTML page, under a policy that lets it run nothing but what this server sends.
    pub fn html(status: Status, page: impl Into<Bytes>) -> Response {
        Response::new(status)
            .line("Content-Type: text/html; charset=utf-8\r\n")
            .header("Content-Security-Policy", PAGE_POLICY)
            .header("Referrer-Policy", "same-origin")
            .with_body(Body::Bytes(page.into()))
    }

    /// Sends the client elsewhere.
    #[cold]
    pub fn redirect(status: Status, location: &str) -> Response {
        Response::new(status).header("Location", location)
    }

    /// Adds lines that need no look.
    #[inline]
    fn line(mut self, lines: &'static str) -> Response {
        self.lines.extend_from_slice(lines.as_bytes());
        self
    }

    /// Adds a header line. One that would be two or a broken one, for its name is no token or its value holds a line end or NUL,
    /// is left out, and so is what the connection alone can tell: `Content-Length` and `Transfer-Encoding`.
    ///
    /// # Panics
    /// In a debug build, instead of leaving it out.
    pub fn header(mut self, name: &str, value: &str) -> Response {
        self.add_header(name, value);
        self
    }

    /// The same, in place.
    ///
    /// # Panics
    /// In a debug build, if the line would be left out.
    pub fn add_header(&mut self, name: &str, value: &str) {
        if !is_own(name) {
            debug_assert!(false, "{name:?} is no name of a header field, or one that the connection alone can tell");
            return;
        }
        if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            debug_assert!(false, "the value of {name} holds a control byte");
            return;
        }
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value.as_bytes());
        self.lines.extend_from_slice(b"\r\n");
    }

    /// Whether a header line of this name was added.
    pub fn has(&self, name: &str) -> bool {
        let mut lines = self.lines.split(|&byte| byte == b'\n');
        lines.any(|line| {
            let end = line.iter().position(|&byte| byte == b':').unwrap_or(0);
            line[..end].eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// Gives it a body, where it has none behind its block.
    pub fn with_body(mut self, body: Body) -> Response {
        debug_assert!(!matches!(self.body, Body::Behind(_)), "its body would be read as header lines");
        self.body = body;
        self
    }

    /// Writes its own header lines.
    #[inline]
    pub fn write_lines(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.block[..self.block_length()]);
        if !self.lines.is_empty() {
            out.extend_from_slice(&self.lines);
        }
    }
}

/// The policy of every page: nothing from outside, nothing inline, in nobody's frame.
pub const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; \
     frame-ancestors 'none'; form-action 'self'; base-uri 'none'";

/// Writes a number in decimal, without an allocation.
pub fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn only_lines_that_are_lines_and_its_own_are_an_answers() {
        for (name, value) in [
            ("", "a"),
            ("X\r\nY", "a"),
            ("X:", "a"),
            ("X Y", "a"),
            ("Größe", "a"),
            ("content-length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("X", "a\r\nSet-Cookie: b=c"),
            ("X", "a\0"),
        ] {
            let add = || Response::text("").header(name, value);
            if cfg!(debug_assertions) {
                assert!(std::panic::catch_unwind(add).is_err(), "{name:?}: {value:?}");
            } else {
                let mut out = Vec::new();
                add().write_lines(&mut out);
                assert_eq!(out, b"", "{name:?}: {value:?}");
            }
        }
    }

    #[test]
    fn header_lines_stand_in_order_behind_the_block() {
        let response =
            Response::ready(Status::OK, Bytes::from_static(b"A: 1\r\n"), Body::Empty).header("B", "2").header("C", "3");
        let mut out = Vec::new();
        response.write_lines(&mut out);
        assert_eq!(out, b"A: 1\r\nB: 2\r\nC: 3\r\n");
    }

    #[test]
    fn a_complete_answer_is_lines_and_what_stands_behind_them() {
        let response =
            Response::complete(Status::OK, Bytes::from_static(b"Content-Length: 4\r\nbody"), 19).header("B", "2");
        let mut out = Vec::new();
        response.write_lines(&mut out);
        assert_eq!(out, b"Content-Length: 4\r\nB: 2\r\n");
        assert!(response.tells_length());
        assert_eq!((response.body.length(), response.behind()), (Some(4), &b"body"[..]));
        assert_eq!(response.into_behind(), "body");
        assert_eq!(Response::text("else").behind(), b"");
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "holds a control byte"))]
    fn a_value_cannot_split_an_answer() {
        let response = Response::new(Status::OK).header("Location", "/a\r\nSet-Cookie: x");
        let mut out = Vec::new();
        response.write_lines(&mut out);
        assert_eq!(out, b"");
    }
}
