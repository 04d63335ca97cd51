//! One connection's HTTP/1.1, without the connection: requests in, answers out, and what may follow what.
//!
//! | reading | writing | what is going on |
//! |---|---|---|
//! | `Head` | `Idle` | between requests, or inside a head |
//! | `Body` | `Idle` | the head is understood, its body is arriving, nothing has been answered |
//! | `Held` | `Idle` | the request is all there; the answer is being thought about. Further input waits |
//! | `Body` | `Begun` | the answer began before the body was read |
//! | `Held` | `Begun` | the answer is leaving |
//! | `Body` | `Done` | the answer has been given; the rest of the body is read and thrown away |
//! | `Closed` | any | nothing more will be read: the framing is in doubt, or the last answer has been given |
//!
//! `begin` moves writing from `Idle` to `Begun`, `end` from `Begun` to `Done`; `Held` with `Done` is `Head` with `Idle` again, or
//! `Closed`. Each head is answered exactly once (RFC 9112, section 9.3.2: in order), and the last answer says
//! `Connection: close`.
//!
//! Decided where the RFCs leave a choice: at most two empty lines before a request line are skipped (RFC 9112, section 2.2);
//! a bare LF is never a line end; an answer that begins while a body of unknown length, or of more than [`DISCARD_MAX`], is
//! still to come is the connection's last, as is one given while the client waits for `100 Continue`.

use std::ops::Range;

use memchr::{memchr, memchr2, memrchr};

use crate::http::fault::Fault;
use crate::http::framing::{Chunks, Encoder, Piece, take_known};
use crate::http::headers::is_token_byte;
use crate::http::request::{BodyLength, HeadLimits, HeaderTable, Request, check_field_line, check_request_line};
use crate::http::response::{Response, write_number};
use crate::http::status::Status;

/// A body nobody wants is read and thrown away if no more than this is still to come.
pub const DISCARD_MAX: u64 = 64 << 10;

/// How many empty lines before a request line are skipped.
const BLANKS_MAX: u8 = 2;

/// What the next bytes mean.
pub enum Event<'a> {
    /// Not enough yet.
    NeedBytes,
    /// A request is being answered; what follows it has to wait.
    Paused,
    /// A request's head.
    Head(Request<'a>),
    /// Content of its body: a stretch of the input just given.
    Body(Range<usize>),
    /// Its body is complete. Not said of a request that has none.
    End,
}

#[derive(Debug)]
enum Reading {
    /// So many bytes of a head have been looked through without finding its end.
    Head {
        scanned: u32,
        blanks: u8,
        has_line: bool,
    },
    /// A body of known length.
    Length(u64),
    /// A body in chunks.
    Chunks(Box<Chunks>),
    Held,
    Closed,
}

const FRESH: Reading = Reading::Head { scanned: 0, blanks: 0, has_line: false };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Idle,
    Begun,
    Done,
}

/// What may follow an answer that has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next request.
    Again,
    /// The next request, when the rest of this one's body has been thrown away.
    Discard,
    /// Nothing: the connection ends. The client has been told so and promised nothing more, or asked for it.
    Close,
    /// Nothing, and the client may still be sending: closing at once could destroy the answer.
    Linger,
}

/// How the end of an answer's body is told (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It has so many bytes.
    Known(u64),
    /// It comes in chunks; to HTTP/1.0 until the connection closes.
    Chunked,
    /// It goes on until the connection closes.
    UntilClose,
}

/// What a connection allows its exchange.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// How many requests one connection may make; zero for any number.
    pub requests_max: u32,
    /// How long it may be idle, told to HTTP/1.0 clients.
    pub idle_ms: u64,
    /// Whether the house is closing, so that each answer is the last.
    pub is_closing: bool,
}

/// The state of one connection's protocol.
#[derive(Debug)]
pub struct Exchange {
    reading: Reading,
    writing: Writing,
    /// Whether the connection goes on after this answer.
    keeps: bool,
    is_http10: bool,
    is_head: bool,
    /// Whether the client waits for `100 Continue`.
    expects: bool,
    /// Whether the client itself has said that this request is its last.
    client_closes: bool,
    served: u32,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange {
            reading: FRESH,
            writing: Writing::Idle,
            keeps: true,
            is_http10: false,
            is_head: false,
            expects: false,
            client_closes: false,
            served: 0,
        }
    }
}

impl Exchange {
    /// Reads as far as the next event. Says how many bytes were used; what is not used is to be offered again with more behind
    /// it. Cutting the same input differently never changes the events, except where one `Body` becomes two.
    ///
    /// # Errors
    /// What is wrong with the message. Nothing more can be read then; an answer can still be given.
    pub fn read<'i: 'a, 'a>(
        &mut self,
        input: &'i [u8],
        table: &'a mut HeaderTable<'i>,
        limits: &HeadLimits,
    ) -> Result<(usize, Event<'a>), Fault> {
        let read = match &mut self.reading {
            Reading::Head { .. } => self.read_head(input, table, limits),
            Reading::Length(rest) => {
                let read = take_known(rest, input);
                Ok(self.read_body(read))
            }
            Reading::Chunks(chunks) => chunks.decode(input).map(|read| self.read_body(read)),
            Reading::Held | Reading::Closed => Ok((0, Event::Paused)),
        };
        if read.is_err() {
            self.reading = Reading::Closed;
            self.keeps = false;
        }
        read
    }

    fn read_head<'i: 'a, 'a>(
        &mut self,
        input: &'i [u8],
        table: &'a mut HeaderTable<'i>,
        limits: &HeadLimits,
    ) -> Result<(usize, Event<'a>), Fault> {
        let Reading::Head { scanned, blanks, has_line } = &mut self.reading else {
            unreachable!("asked only inside a head");
        };
        let mut skipped = 0;
        if *scanned == 0 {
            while *blanks < BLANKS_MAX && input[skipped..].starts_with(b"\r\n") {
                skipped += 2;
                *blanks += 1;
            }
        }
        let head = &input[skipped..];
        // Known before anything can be wrong with it: a refusal of HEAD has no body either, and any other has one.
        self.is_head = head.starts_with(b"HEAD ");
        match head {
            [] | [b'\r'] => return Ok((skipped, Event::NeedBytes)),
            [first, ..] if !is_token_byte(*first) => return Err(Fault::malformed("this is not an HTTP/1.1 request")),
            _ => {}
        }
        // Nearly every head comes in one piece and is as it should be: then one look does it all. Only the first look is quick.
        let is_first = *scanned == 0;
        let mut end = || find_end(head, scanned, has_line, limits);
        let read = if is_first {
            Request::parse_first(head, table, limits, end)?
        } else {
            match end()? {
                None => None,
                Some(end) => Some((end, Request::parse(&head[..end], table, limits)?)),
            }
        };
        match read {
            None => Ok((skipped, Event::NeedBytes)),
            Some((end, request)) => {
                let has_begun = end < head.len();
                Ok((skipped + end, self.take_head(request, has_begun, limits)))
            }
        }
    }

    fn take_head<'a>(&mut self, request: Request<'a>, has_begun: bool, limits: &HeadLimits) -> Event<'a> {
        self.writing = Writing::Idle;
        self.keeps = request.keeps;
        self.client_closes = !request.keeps;
        self.is_http10 = request.is_http10;
        // RFC 9110, section 10.1.1: who has begun to send does not wait any more.
        self.expects = request.expects && !has_begun;
        self.reading = match request.body {
            BodyLength::None => Reading::Held,
            BodyLength::Known(length) => Reading::Length(length),
            BodyLength::Chunked => Reading::Chunks(Box::new(Chunks::new(limits))),
        };
        Event::Head(request)
    }

    fn read_body<'a>(&mut self, (used, piece): (usize, Piece)) -> (usize, Event<'a>) {
        if used > 0 {
            // As in `take_head`.
            self.expects = false;
        }
        let event = match piece {
            Piece::NeedBytes => Event::NeedBytes,
            Piece::Data(range) => Event::Body(range),
            Piece::End => {
                self.body_is_read();
                Event::End
            }
        };
        (used, event)
    }

    fn body_is_read(&mut self) {
        self.reading = match self.writing {
            Writing::Done if self.keeps => FRESH,
            Writing::Done => Reading::Closed,
            _ => Reading::Held,
        };
        if self.writing == Writing::Done {
            self.writing = Writing::Idle;
        }
    }

    /// Takes note of `bytes` of the body that were read past this exchange, straight to where they are wanted. Says whether
    /// the body is complete now.
    ///
    /// # Panics
    /// If [`body_remaining`](Exchange::body_remaining) is less.
    pub fn landed(&mut self, bytes: u64) -> bool {
        let Reading::Length(rest) = &mut self.reading else {
            panic!("only a body of known length can be read past the exchange");
        };
        *rest = rest.checked_sub(bytes).expect("no more lands than is left of the body");
        let is_over = *rest == 0;
        self.expects = false;
        if is_over {
            self.body_is_read();
        }
        is_over
    }

    /// How much of a body of known length is still to come; `None` when there is none or its length is not known.
    pub fn body_remaining(&self) -> Option<u64> {
        match self.reading {
            Reading::Length(rest) => Some(rest),
            _ => None,
        }
    }

    /// How many bytes of content are known to be coming: of a body of known length all that is left, of one in chunks what is
    /// left of the chunk. So a chunk that is too large is refused before it is sent.
    pub fn body_announced(&self) -> u64 {
        match &self.reading {
            Reading::Length(rest) => *rest,
            Reading::Chunks(chunks) => chunks.announced(),
            _ => 0,
        }
    }

    /// Whether a body is still to come.
    pub fn has_body(&self) -> bool {
        matches!(self.reading, Reading::Length(_) | Reading::Chunks(_))
    }

    /// Whether it stands between two requests.
    pub fn is_between(&self) -> bool {
        matches!(self.reading, Reading::Head { .. })
    }

    /// Whether a request has been read that has not been answered.
    pub fn owes_answer(&self) -> bool {
        !self.is_between() && self.writing == Writing::Idle
    }

    /// Whether an answer may begin: none has, to what was read last.
    pub fn can_answer(&self) -> bool {
        self.writing == Writing::Idle
    }

    /// Whether nothing more will be read.
    pub fn is_closed(&self) -> bool {
        matches!(self.reading, Reading::Closed)
    }

    /// Whether the request being answered is HEAD.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// How many requests have been answered.
    pub fn served(&self) -> u32 {
        self.served
    }

    /// Tells a client that waits for it to send its body (RFC 9110, section 10.1.1).
    pub fn go_on(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.expects) {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Makes the coming answer the last.
    pub fn make_last(&mut self) {
        self.keeps = false;
    }

    /// Whether the connection goes on after the answer.
    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// Writes the head of an answer: status, `common` (the lines every answer has), `Connection`, the answer's own lines, its
    /// length. What is returned writes the body.
    #[inline]
    pub fn begin(
        &mut self,
        response: &Response,
        length: Length,
        common: &[u8],
        keep: &KeepAlive,
        out: &mut Vec<u8>,
    ) -> Encoder {
        debug_assert_eq!(self.writing, Writing::Idle, "a head is answered once");
        self.writing = Writing::Begun;
        self.served += 1;
        let status = response.status;
        let unread_body = match &self.reading {
            Reading::Length(rest) => self.expects || *rest > DISCARD_MAX,
            Reading::Chunks(_) => true,
            _ => false,
        };
        self.keeps &= !unread_body && !keep.is_closing && (keep.requests_max == 0 || self.served < keep.requests_max);
        let encoder = match length {
            _ if self.is_head || status.is_bodiless() => Encoder::Silent,
            Length::Known(length) => Encoder::Length(length),
            Length::Chunked if !self.is_http10 => Encoder::Chunked,
            _ => {
                self.keeps = false;
                Encoder::UntilClose
            }
        };
        out.extend_from_slice(status.line().as_bytes());
        out.extend_from_slice(common);
        response.write_lines(out);
        if status.is_bodiless() {
            // RFC 9110, section 8.6: no length in 1xx and 204; of a 304 it would have to be the length of what was not sent.
        } else if response.tells_length() {
            // Its block does.
        } else if let Length::Known(length) = length {
            out.extend_from_slice(b"Content-Length: ");
            write_number(length, out);
            out.extend_from_slice(b"\r\n");
        } else if length == Length::Chunked && !self.is_http10 {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !self.keeps {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.is_http10 {
            out.extend_from_slice(b"Connection: keep-alive\r\nKeep-Alive: timeout=");
            write_number(keep.idle_ms / 1000, out);
            if keep.requests_max > 0 {
                out.extend_from_slice(b", max=");
                write_number(u64::from(keep.requests_max - self.served), out);
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        encoder
    }

    /// Writes the head of the last answer there is: from here on the connection speaks another protocol (RFC 9110, section 7.8).
    pub fn switch(&mut self, response: &Response, common: &[u8], out: &mut Vec<u8>) {
        debug_assert!(self.can_answer(), "a head is answered once");
        self.reading = Reading::Closed;
        self.writing = Writing::Done;
        self.keeps = false;
        self.served += 1;
        out.extend_from_slice(response.status.line().as_bytes());
        out.extend_from_slice(common);
        response.write_lines(out);
        out.extend_from_slice(b"\r\n");
    }

    /// The answer has been given to the last byte (or, if it was not `whole`, cannot be).
    #[inline]
    pub fn end(&mut self, whole: bool) -> Next {
        debug_assert_eq!(self.writing, Writing::Begun, "an answer that ends has begun");
        self.writing = Writing::Done;
        self.keeps &= whole;
        match self.reading {
            Reading::Held if self.keeps => {
                self.reading = FRESH;
                self.writing = Writing::Idle;
                Next::Again
            }
            Reading::Held => {
                self.reading = Reading::Closed;
                // A client that asked for the end sends nothing more; one that did not may have sent its next request.
                if self.client_closes { Next::Close } else { Next::Linger }
            }
            Reading::Length(_) | Reading::Chunks(_) if self.keeps => Next::Discard,
            _ => {
                self.reading = Reading::Closed;
                Next::Linger
            }
        }
    }
}

/// Where a head ends, if its end has come. One pass over the line ends, from where the last look ended. A line that is none is
/// refused as soon as its end has come, whatever follows, and a CR that ends none as soon as that shows: its line may have no end.
#[inline(never)]
fn find_end(head: &[u8], scanned: &mut u32, has_line: &mut bool, limits: &HeadLimits) -> Result<Option<usize>, Fault> {
    let mut from = *scanned as usize;
    while let Some(at) = memchr(b'\n', &head[from..]).map(|at| from + at) {
        // First of all: had less come at once, these would have been told without the line's end.
        let begun = memrchr(b'\n', &head[..at]).map_or(0, |end| end + 1);
        refuse_bare_cr(head, begun, *has_line, limits)?;
        if let Some(fault) = too_large(&head[..=at], *has_line, limits) {
            return Err(fault);
        }
        if at == 0 || head[at - 1] != b'\r' {
            return Err(Fault::malformed("a line ends with LF alone"));
        }
        match &head[begun..at - 1] {
            [] if *has_line => return Ok(Some(at + 1)),
            line if *has_line => check_field_line(line)?,
            line => drop(check_request_line(line)?),
        }
        *has_line = true;
        from = at + 1;
    }
    // The next look begins at the first byte that was not there; the CR of a cut line end is looked back at.
    let unseen = if from > 0 && head[from - 1] == b'\r' { from - 1 } else { from };
    refuse_bare_cr(head, unseen, *has_line, limits)?;
    if let Some(fault) = too_large(head, *has_line, limits) {
        return Err(fault);
    }
    *scanned = u32::try_from(head.len()).unwrap_or(u32::MAX);
    Ok(None)
}

/// Refuses a CR that something else than LF follows, in the line that `from` lies in (RFC 9112, section 2.2).
fn refuse_bare_cr(head: &[u8], from: usize, has_line: bool, limits: &HeadLimits) -> Result<(), Fault> {
    let Some(cr) = memchr2(b'\r', b'\n', &head[from..]).map(|at| from + at).filter(|&at| head[at] == b'\r') else {
        return Ok(());
    };
    match head.get(cr + 1) {
        None | Some(b'\n') => Ok(()),
        // Of a line that is too long as well, what came first.
        Some(_) => Err(too_large(&head[..cr + 2], has_line, limits)
            .unwrap_or_else(|| Fault::malformed("a line holds a CR that does not end it"))),
    }
}

/// What is wrong with the length of what has come of a head. The request line has its own limit, and does not count for the other.
fn too_large(head: &[u8], has_line: bool, limits: &HeadLimits) -> Option<Fault> {
    if !has_line {
        let detail = "the request line is longer than is accepted";
        return (head.len() > limits.request_line_bytes)
            .then(|| Fault::fatal(Status::URI_TOO_LONG, "uri_too_long", detail));
    }
    if head.len() <= limits.header_bytes {
        return None;
    }
    let line = memchr(b'\n', head).map_or(0, |at| at + 1);
    let detail = "the header lines are larger than is accepted";
    (head.len() - line > limits.header_bytes)
        .then(|| Fault::fatal(Status::HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail))
}

#[cfg(test)]
mod tests;
