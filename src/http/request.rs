//! A request's head (RFC 9112, sections 2 to 3; RFC 9110, section 7): httparse finds the parts, a strict pass above it
//! refuses what could be read in two ways.
//!
//! httparse alone lets pass: bare LF line ends, raw UTF-8 and quotes in the target, any method token, repeated Host and
//! Content-Length fields, a sign before a length. All of that ends here.

use std::mem::MaybeUninit;

use crate::http::fault::Fault;
use crate::http::headers::{Field, HEADERS_MAX, Headers, is_token_byte, tokens};
use crate::http::host::Authority;
use crate::http::status::Status;

/// What a request wants done (RFC 9110, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other: it is answered 501.
    Unknown,
}

impl Method {
    /// The methods this crate knows.
    #[doc(hidden)]
    pub const ALL: [Method; 7] =
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

    fn of(name: &str) -> Method {
        // As bytes, the compiler makes comparisons of words of it; as text, calls.
        match name.as_bytes() {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            _ => Method::Unknown,
        }
    }

    /// The method's name; empty for an unknown one.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Unknown => "",
        }
    }

    /// Whether it changes nothing (RFC 9110, section 9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options)
    }
}

/// How large a head may be.
#[derive(Clone, Debug)]
pub struct HeadLimits {
    /// The request line with its line end; more is 414.
    pub request_line_bytes: usize,
    /// The head without its request line; more is 431.
    pub header_bytes: usize,
    /// Header fields, at most [`HEADERS_MOST`](crate::http::headers::HEADERS_MOST); more is 431.
    pub headers: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { request_line_bytes: 8 << 10, header_bytes: 16 << 10, headers: HEADERS_MAX }
    }
}

/// How much body follows a head (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// None.
    None,
    /// So many bytes.
    Known(u64),
    /// As many as the chunks say.
    Chunked,
}

/// Room for the fields of one head, on the stack of whoever reads; never initialised beyond what a head needs.
pub struct HeaderTable<'i> {
    /// For the quick look,
    quick: Fields<'i>,
    /// for the close one,
    close: Fields<'i>,
    /// and for what is rare: more fields than usual, where so many are accepted, or a version to come.
    more: Vec<httparse::Header<'i>>,
}

impl HeaderTable<'_> {
    /// An empty table; costs nothing.
    #[inline(always)]
    #[allow(clippy::new_without_default, reason = "there is no default to speak of: it is room")]
    pub fn new() -> Self {
        HeaderTable {
            quick: [const { MaybeUninit::uninit() }; HEADERS_MAX],
            close: [const { MaybeUninit::uninit() }; HEADERS_MAX],
            more: Vec::new(),
        }
    }
}

/// A request's head, borrowed from the bytes it came in.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The method as it came, for the log.
    pub method_text: &'a str,
    /// The target as it came, for the log.
    pub target: &'a str,
    /// The path of the target, still encoded; `*` for `OPTIONS *`.
    pub path: &'a str,
    /// The query behind the first `?`, still encoded.
    pub query: Option<&'a str>,
    /// The host this request is for: the target's authority, else the Host field. Empty when HTTP/1.0 sent none.
    pub host: &'a [u8],
    /// Whether the client speaks HTTP/1.0.
    pub is_http10: bool,
    /// Its header fields.
    pub headers: Headers<'a>,
    /// How much body follows.
    pub body: BodyLength,
    /// Whether the client will go on after the answer (RFC 9112, section 9.3).
    pub keeps: bool,
    /// Whether it may wait for a word, as `100 Continue`, before it sends the body.
    pub expects: bool,
    /// Whether it expects something that nobody here knows (RFC 9110, section 10.1.1): 417.
    pub expects_unknown: bool,
}

/// What a byte of a target means: not allowed is what is not printable ASCII, what RFC 3986 keeps out and what no browser
/// sends raw.
const TARGET: [u8; 256] = {
    let mut class = [FORBIDDEN; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        class[byte] = match byte as u8 {
            b'"' | b'<' | b'>' | b'#' => FORBIDDEN,
            b'?' => QUESTION,
            _ => 0,
        };
        byte += 1;
    }
    class
};
const FORBIDDEN: u8 = 1;
const QUESTION: u8 = 2;

type Fields<'i> = [MaybeUninit<httparse::Header<'i>>; HEADERS_MAX];

impl<'a> Request<'a> {
    /// Reads a complete head: `head` ends with its empty line, and every LF in it follows a CR.
    #[doc(hidden)]
    pub fn parse<'i: 'a>(
        head: &'i [u8],
        table: &'a mut HeaderTable<'i>,
        limits: &HeadLimits,
    ) -> Result<Request<'a>, Fault> {
        Request::parse_lines(head, &mut table.close, &mut table.more, limits)
    }

    /// Reads the head that `input` begins with. If it is all there and its lines are as they should be, one pass does it; else
    /// `end` is asked where it ends, and told what is wrong with its lines.
    pub(super) fn parse_first<'i: 'a>(
        input: &'i [u8],
        table: &'a mut HeaderTable<'i>,
        limits: &HeadLimits,
        end: impl FnOnce() -> Result<Option<usize>, Fault>,
    ) -> Result<Option<(usize, Request<'a>)>, Fault> {
        if let Some(read) = Request::parse_at_once(input, &mut table.quick, limits) {
            return read.map(Some);
        }
        match end()? {
            None => Ok(None),
            Some(end) => {
                Ok(Some((end, Request::parse_lines(&input[..end], &mut table.close, &mut table.more, limits)?)))
            }
        }
    }

    #[inline(never)]
    fn parse_lines<'i: 'a>(
        head: &'i [u8],
        close: &'a mut Fields<'i>,
        more: &'a mut Vec<httparse::Header<'i>>,
        limits: &HeadLimits,
    ) -> Result<Request<'a>, Fault> {
        if let Some((line, fields)) = memchr::memmem::find(head, b"\r\n").map(|end| (&head[..end], &head[end + 2..]))
            && matches!(line, [.., b'/', b'1', b'.', b'2'..=b'9'])
        {
            return Request::parse_later_minor(line, fields, more, limits);
        }
        let mut parsed = httparse::Request::new(&mut []);
        let read = if limits.headers > HEADERS_MAX && memchr::memchr_iter(b'\n', head).count() > HEADERS_MAX {
            parsed.headers = room_for_lines(head, more);
            parsed.parse(head)
        } else {
            httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, close)
        };
        match read {
            Ok(httparse::Status::Complete(length)) if length == head.len() => Request::judge(parsed, limits),
            Ok(_) => Err(Fault::malformed(CUT_SHORT)),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Reads a head of HTTP/1.2 to 1.9 as one of 1.1, the highest minor version spoken here (RFC 9110, section 2.5). httparse
    /// knows no such version, so its eyes are kept from the request line.
    #[cold]
    fn parse_later_minor<'i: 'a>(
        line: &'i [u8],
        fields: &'i [u8],
        more: &'a mut Vec<httparse::Header<'i>>,
        limits: &HeadLimits,
    ) -> Result<Request<'a>, Fault> {
        let (method, target) = check_request_line(line)?;
        match httparse::parse_headers(fields, room_for_lines(fields, more)) {
            Ok(httparse::Status::Complete((length, found))) if length == fields.len() => {
                let count = found.len();
                let parsed = httparse::Request {
                    method: Some(method),
                    path: Some(target),
                    version: Some(1),
                    headers: &mut more[..count],
                };
                Request::judge(parsed, limits)
            }
            Ok(_) => Err(Fault::malformed(CUT_SHORT)),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Reads the head that `input` begins with, if all of it is there and its lines are as they should be; says where it ends.
    /// `None` says nothing yet: look more closely.
    fn parse_at_once<'i: 'a>(
        input: &'i [u8],
        fields: &'a mut Fields<'i>,
        limits: &HeadLimits,
    ) -> Option<Result<(usize, Request<'a>), Fault>> {
        let mut parsed = httparse::Request::new(&mut []);
        let read = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, input, fields);
        let Ok(httparse::Status::Complete(end)) = read else { return None };
        if end > limits.header_bytes || !has_strict_lines(&input[..end], &parsed, limits.request_line_bytes) {
            return None;
        }
        Some(Request::judge(parsed, limits).map(|request| (end, request)))
    }

    /// The strict pass: all that httparse lets through and we do not.
    fn judge<'i: 'a>(parsed: httparse::Request<'a, 'i>, limits: &HeadLimits) -> Result<Request<'a>, Fault> {
        let (Some(method_text), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Fault::malformed("the request line is incomplete"));
        };
        let method = Method::of(method_text);
        // First what is wrong with the first line, as where lines are judged one by one.
        let (authority, path, query) = split_target(method_text, method, target)?;
        let fields: &'a [httparse::Header<'i>] = parsed.headers;
        if fields.len() > limits.headers {
            return Err(too_many_fields());
        }
        let headers = Headers::new(fields);
        let is_http10 = minor == 0;
        let body = body_length(&headers, is_http10)?;
        let host = host(&headers, authority, is_http10)?;
        let keeps = wants_more(&headers, is_http10);
        let (expects, expects_unknown) = expectation(&headers, is_http10, body);
        Ok(Request {
            method,
            method_text,
            target,
            path,
            query,
            host,
            is_http10,
            headers,
            body,
            keeps,
            expects,
            expects_unknown,
        })
    }
}

/// Whether every line of a head that was parsed ends with CRLF, and no line lies between those the parser tells of. Where a
/// part lies is told by its address, which is no more than a number here: a wrong one makes the answer no.
fn has_strict_lines(head: &[u8], parsed: &httparse::Request<'_, '_>, line_max: usize) -> bool {
    const VERSION: &[u8] = b" HTTP/1.1";
    let place = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    let Some(target) = parsed.path else { return false };
    let line_end = place(target.as_bytes()).wrapping_add(target.len() + VERSION.len());
    let ends = |at: usize| head.get(at..).is_some_and(|rest| rest.starts_with(b"\r\n"));
    if !ends(line_end) || line_end + 2 > line_max {
        return false;
    }
    let mut at = line_end + 2;
    for field in parsed.headers.iter() {
        if place(field.name.as_bytes()) != at {
            return false;
        }
        at = place(field.value).wrapping_add(field.value.len());
        while head.get(at).is_some_and(|&byte| byte == b' ' || byte == b'\t') {
            at += 1;
        }
        if !ends(at) {
            return false;
        }
        at += 2;
    }
    ends(at) && at + 2 == head.len()
}

#[cold]
fn too_many_fields() -> Fault {
    Fault::fatal(Status::HEADER_FIELDS_TOO_LARGE, "headers_too_large", "the head has more fields than are accepted")
}

/// Room for as many fields as a head has lines: as large as the head that has been let in, and gone with it.
fn room_for_lines<'a, 'i>(head: &[u8], more: &'a mut Vec<httparse::Header<'i>>) -> &'a mut [httparse::Header<'i>] {
    more.resize(memchr::memchr_iter(b'\n', head).count(), httparse::EMPTY_HEADER);
    more
}

const NO_REQUEST: &str = "this is not an HTTP/1.1 request";
const NO_TARGET: &str = "the target holds a byte that must be percent-encoded";
const NO_NAME: &str = "a header field has no valid name";
const NO_VALUE: &str = "a header field has no valid value";
const CUT_SHORT: &str = "the head ends before its empty line";

/// What httparse's word means to the client.
#[cold]
fn refusal(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => too_many_fields(),
        httparse::Error::HeaderName => Fault::malformed(NO_NAME),
        httparse::Error::HeaderValue => Fault::malformed(NO_VALUE),
        _ => Fault::malformed(NO_REQUEST),
    }
}

/// The method and the target of a request line, without its line end, if it is one by its form: three words between single
/// spaces, the last a version of HTTP/1 (RFC 9112, sections 2.3 and 3). So a line that is none is refused when it has come, not
/// when the head is whole, which it may never be: an HTTP/0.9 request has but this line.
pub(super) fn check_request_line(line: &[u8]) -> Result<(&str, &str), Fault> {
    let malformed = || Fault::malformed(NO_REQUEST);
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(malformed());
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) || target.is_empty() {
        return Err(malformed());
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => {}
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            let detail = "HTTP/1.1 and HTTP/1.0 are spoken here";
            return Err(Fault::fatal(Status::VERSION_NOT_SUPPORTED, "version_not_supported", detail));
        }
        _ => return Err(malformed()),
    }
    if target.iter().any(|&byte| TARGET[usize::from(byte)] & FORBIDDEN != 0) {
        return Err(Fault::malformed(NO_TARGET));
    }
    match (std::str::from_utf8(method), std::str::from_utf8(target)) {
        (Ok(method), Ok(target)) => Ok((method, target)),
        _ => Err(malformed()),
    }
}

/// Whether a line of a head, without its line end, is a header field by its form (RFC 9112, section 5; RFC 9110, section 5.5).
/// One that is folded begins with white space, and is none.
pub(super) fn check_field_line(line: &[u8]) -> Result<(), Fault> {
    match line.iter().position(|&byte| !is_token_byte(byte)) {
        Some(at) if at > 0 && line[at] == b':' => {
            let is_visible = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            if line[at..].iter().all(is_visible) { Ok(()) } else { Err(Fault::malformed(NO_VALUE)) }
        }
        _ => Err(Fault::malformed(NO_NAME)),
    }
}

/// RFC 9112, section 6.3, with its choices made: a message that has both a length and a transfer coding is refused, and a
/// length that is repeated is refused even if the copies agree.
fn body_length(headers: &Headers<'_>, is_http10: bool) -> Result<BodyLength, Fault> {
    let length = headers.get(Field::ContentLength);
    if let Some(coding) = headers.get(Field::TransferEncoding) {
        if length.is_some() {
            return Err(Fault::malformed("both Content-Length and Transfer-Encoding are given"));
        }
        if is_http10 {
            return Err(Fault::malformed("HTTP/1.0 has no Transfer-Encoding"));
        }
        if headers.is_repeated(Field::TransferEncoding) {
            return Err(Fault::malformed("Transfer-Encoding is given twice"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            return Ok(BodyLength::Chunked);
        }
        // RFC 9112, section 6.1: a final coding other than chunked leaves the length unknown, which is 400; a coding we do not
        // know before a final chunked is 501. An empty member is no coding to some and an unknown one to others.
        let codings = || coding.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if codings().any(<[u8]>::is_empty) {
            return Err(Fault::malformed("Transfer-Encoding has an empty member"));
        }
        let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if codings().next_back().as_ref().is_some_and(is_chunked) && codings().filter(is_chunked).count() == 1 {
            return Err(Fault::fatal(
                Status::NOT_IMPLEMENTED,
                "coding_not_implemented",
                "only the chunked coding is understood",
            ));
        }
        return Err(Fault::malformed("Transfer-Encoding does not end with one chunked"));
    }
    let Some(length) = length else {
        return Ok(BodyLength::None);
    };
    if headers.is_repeated(Field::ContentLength) {
        return Err(Fault::malformed("Content-Length is given twice"));
    }
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err(Fault::malformed("Content-Length is not a number"));
    }
    let parsed = length.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    match parsed {
        Some(0) => Ok(BodyLength::None),
        Some(length) => Ok(BodyLength::Known(length)),
        None => Err(Fault::malformed("Content-Length is beyond all measure")),
    }
}

type Target<'a> = (Option<&'a [u8]>, &'a str, Option<&'a str>);

/// The forms of a target (RFC 9112, section 3.2): authority, path, query.
fn split_target<'a>(method_text: &str, method: Method, target: &'a str) -> Result<Target<'a>, Fault> {
    let seen = target.bytes().fold(0, |seen, byte| seen | TARGET[usize::from(byte)]);
    if seen & FORBIDDEN != 0 {
        return Err(Fault::malformed(NO_TARGET));
    }
    if target.starts_with('/') {
        let (path, query) = if seen & QUESTION == 0 { (target, None) } else { split_query(target) };
        return Ok((None, path, query));
    }
    if target == "*" {
        return match method {
            Method::Options => Ok((None, "*", None)),
            _ => Err(Fault::malformed("only OPTIONS may ask for *")),
        };
    }
    if method_text == "CONNECT" {
        return Ok((None, "/", None));
    }
    let scheme_end = target.find("://").filter(|&end| {
        let scheme = &target[..end];
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some(end) = scheme_end else {
        return Err(Fault::malformed("the target is neither a path nor an http address"));
    };
    let rest = &target[end + 3..];
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (path, query) = split_query(path);
    let path = if path.is_empty() { "/" } else { path };
    Ok((Some(authority.as_bytes()), path, query))
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// RFC 9112, section 3.2: exactly one Host field in HTTP/1.1, also beside an absolute target, whose authority then counts.
fn host<'a>(headers: &Headers<'a>, authority: Option<&'a [u8]>, is_http10: bool) -> Result<&'a [u8], Fault> {
    let bad = |detail: &'static str| Err(Fault::fatal(Status::BAD_REQUEST, "bad_host", detail));
    if headers.is_repeated(Field::Host) {
        return bad("Host is given twice");
    }
    match (headers.get(Field::Host), authority) {
        (None, _) if !is_http10 => bad("Host is missing"),
        (Some(host), Some(_)) if Authority::parse(host).is_none() => bad("Host is not a host with an optional port"),
        (_, Some(authority)) => Ok(authority),
        (Some(host), None) => Ok(host),
        (None, None) => Ok(b""),
    }
}

/// Whether Connection leaves room for another request (RFC 9112, section 9.3).
fn wants_more(headers: &Headers<'_>, is_http10: bool) -> bool {
    let mut keeps = !is_http10;
    if headers.has(Field::Connection) {
        let mut closes = false;
        for token in headers.all(Field::Connection).flat_map(tokens) {
            closes |= token.eq_ignore_ascii_case(b"close");
            keeps |= token.eq_ignore_ascii_case(b"keep-alive");
        }
        keeps &= !closes;
    }
    keeps
}

/// Whether the client waits for `100 Continue`, and whether it expects anything else. HTTP/1.0 has no expectations.
fn expectation(headers: &Headers<'_>, is_http10: bool, body: BodyLength) -> (bool, bool) {
    if !headers.has(Field::Expect) || is_http10 {
        return (false, false);
    }
    // A list (RFC 9110, section 10.1.1): each of its members counts, and an empty one is none. Who names another expectation may
    // keep the body back as well.
    let is_known = |expectation: &[u8]| expectation.eq_ignore_ascii_case(b"100-continue");
    let (mut expects, mut expects_unknown) = (false, false);
    for expectation in headers.all(Field::Expect).flat_map(tokens) {
        expects = body != BodyLength::None;
        expects_unknown |= !is_known(expectation);
    }
    (expects, expects_unknown)
}
