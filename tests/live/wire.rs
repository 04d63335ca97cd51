//! The other end of the wire: a client that sends bytes as they are told and reads answers more strictly than any real
//! client would. It knows nothing of the house's contract, only RFC 9112's grammar and framing.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long an answer, a close, or whatever else must come may take: longer than anything does on a machine that is busy with
/// something else. Only what does not come at all is told by it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, as long as [`PATIENCE`] lasts, until something is so.
pub fn comes_to_be(mut is_so: impl FnMut() -> bool) -> bool {
    let latest = Instant::now() + PATIENCE;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > latest {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// How an answer's body was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none: 1xx, 204, 304, or the answer to a HEAD.
    None,
    Length,
    Chunked,
    UntilClose,
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// Names in lower case, in the order they came.
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field; of its first line where it has several.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated field holds a token, in whatever case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.field(name).is_some_and(|value| value.split(',').any(|member| member.trim().eq_ignore_ascii_case(token)))
    }

    pub fn says_close(&self) -> bool {
        self.lists("connection", "close")
    }

    /// What it says, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `code` of a problem document; nothing where there is none.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether it has this status and this code, if there is one, for a table.
    pub fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && (code.is_empty() || self.code() == code)
    }
}

/// How the server's half of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In good order.
    Closed,
    /// By a reset, which may take an answer with it.
    Reset,
}

enum Said {
    ByUs(Vec<u8>),
    ByThem(Vec<u8>),
    Note(&'static str),
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    end: Option<End>,
    said: Vec<Said>,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::try_to_connect(address).expect("the server takes connections")
    }

    /// The same where there may be no server.
    pub fn try_to_connect(address: SocketAddr) -> std::io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire { stream, unread: Vec::new(), end: None, said: Vec::new() })
    }

    /// Sends all of `bytes`. A refused write is no failure here: the server may have said its last word already, and
    /// what it said is what counts.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            self.said.push(Said::Note(match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "(the write below was refused)",
                _ => "(the write below did not finish)",
            }));
        }
        self.said.push(Said::ByUs(bytes.to_vec()));
    }

    /// Sends part of a body too large for a transcript. Here a refused write is the row's own affair.
    pub fn send_quietly(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `bytes` in two pieces, with a pause that lets the server read the first alone.
    pub fn send_split(&mut self, bytes: &[u8], at: usize) {
        let (first, second) = bytes.split_at(at);
        self.send(first);
        thread::sleep(Duration::from_micros(300));
        self.send(second);
    }

    /// Sends `bytes` one by one, each with a pause behind it.
    pub fn send_byte_by_byte(&mut self, bytes: &[u8]) {
        for byte in bytes.chunks(1) {
            if self.stream.write_all(byte).is_err() {
                self.said.push(Said::Note("(a write was refused)"));
                break;
            }
            thread::sleep(Duration::from_micros(60));
        }
        self.said.push(Said::ByUs(bytes.to_vec()));
    }

    /// Ends our half of the connection.
    pub fn end_our_half(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.said.push(Said::Note("(we end our half)"));
    }

    /// The next answer, within [`PATIENCE`]. `to_head` tells that it answers a HEAD.
    pub fn hear(&mut self, to_head: bool) -> Result<Answer, String> {
        self.hear_within(to_head, PATIENCE)
    }

    /// The next answer, within `patience`.
    pub fn hear_within(&mut self, to_head: bool, patience: Duration) -> Result<Answer, String> {
        let latest = Instant::now() + patience;
        loop {
            if let Some((answer, used)) = parse(&self.unread, self.end, to_head)? {
                self.unread.drain(..used);
                return Ok(answer);
            }
            match self.end {
                Some(End::Closed) if self.unread.is_empty() => {
                    return Err("the connection closed without an answer".into());
                }
                Some(End::Closed) => return Err("the connection closed inside an answer".into()),
                Some(End::Reset) => return Err("the connection was reset".into()),
                None => {}
            }
            if !self.read_some(latest) {
                return Err(format!("no whole answer within {patience:?}"));
            }
        }
    }

    /// Waits until the server ends its half; anything it says before that is surplus and an error.
    pub fn ends_within(&mut self, patience: Duration) -> Result<(), String> {
        let latest = Instant::now() + patience;
        loop {
            if !self.unread.is_empty() {
                return Err(format!("{} bytes came that nobody had asked for", self.unread.len()));
            }
            match self.end {
                Some(End::Closed) => return Ok(()),
                Some(End::Reset) => return Err("the connection was reset instead of closed".into()),
                None => {}
            }
            if !self.read_some(latest) {
                return Err(format!("the connection was still open after {patience:?}"));
            }
        }
    }

    /// Reads whatever comes until the server ends its half, in whichever way; tells how many bytes that were.
    pub fn drain_within(&mut self, patience: Duration) -> (usize, Option<End>) {
        let latest = Instant::now() + patience;
        while self.end.is_none() && self.read_some(latest) {}
        (self.unread.len(), self.end)
    }

    /// Waits until the kernel has something for us to read, and leaves it there.
    pub fn is_answered(&mut self) -> std::io::Result<()> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        self.stream.peek(&mut [0]).map(drop)
    }

    /// Whether nothing at all, not even an end, comes for `span`.
    pub fn is_quiet_for(&mut self, span: Duration) -> bool {
        self.unread.is_empty() && self.end.is_none() && !self.read_some(Instant::now() + span)
    }

    /// Whether bytes are there that no answer accounts for.
    pub fn has_surplus(&self) -> bool {
        !self.unread.is_empty()
    }

    /// One read. False when `latest` passed first.
    fn read_some(&mut self, latest: Instant) -> bool {
        let mut window = [0; 64 * 1024];
        loop {
            let left = latest.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            match self.stream.read(&mut window) {
                Ok(0) => {
                    self.end = Some(End::Closed);
                    self.said.push(Said::Note("(they end their half)"));
                }
                Ok(read) => {
                    self.unread.extend_from_slice(&window[..read]);
                    self.said.push(Said::ByThem(window[..read].to_vec()));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.end = Some(End::Reset);
                    self.said.push(Said::Note("(they reset the connection)"));
                }
            }
            return true;
        }
    }

    /// All that was sent and received, escaped, for a person to read.
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for said in &self.said {
            match said {
                Said::ByUs(bytes) => show(&mut text, '>', bytes),
                Said::ByThem(bytes) => show(&mut text, '<', bytes),
                Said::Note(note) => writeln!(text, "      {note}").expect("a string takes all"),
            }
        }
        text
    }
}

/// Writes bytes line by line, escaped; the middle of long ones is left out.
fn show(text: &mut String, mark: char, bytes: &[u8]) {
    const ENDS: usize = 700;
    let mut line = |bytes: &[u8]| writeln!(text, "    {mark} {}", bytes.escape_ascii()).expect("a string takes all");
    let mut lines = |bytes: &[u8]| bytes.split_inclusive(|&byte| byte == b'\n').for_each(&mut line);
    if bytes.len() <= 2 * ENDS {
        lines(bytes);
    } else {
        lines(&bytes[..ENDS]);
        lines(format!("[... {} bytes ...]", bytes.len() - 2 * ENDS).as_bytes());
        lines(&bytes[bytes.len() - ENDS..]);
    }
}

/// Takes the first answer off `bytes`. `None`: it is not whole yet.
fn parse(bytes: &[u8], end: Option<End>, to_head: bool) -> Result<Option<(Answer, usize)>, String> {
    let Some(blank) = find(bytes, b"\r\n\r\n") else {
        if bytes.len() > 64 * 1024 {
            return Err("an answer's head has no end".into());
        }
        return Ok(None);
    };
    let mut lines = bytes[..blank].split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (status, reason) = status_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    if let Some(at) = bytes[..blank + 2].iter().zip(&bytes[1..]).position(|(&a, &b)| (b == b'\n') != (a == b'\r')) {
        return Err(format!("a bare CR or LF at byte {at} of an answer's head"));
    }
    refuse_repeats(&fields)?;
    let mut answer = Answer { status, reason, fields, framing: Framing::None, body: Vec::new() };
    let start = blank + 4;

    let length = answer.field("content-length").map(number).transpose()?;
    let coding = answer.field("transfer-encoding").map(str::to_owned);
    if length.is_some() && coding.is_some() {
        return Err("an answer with both Content-Length and Transfer-Encoding (RFC 9112 section 6.2)".into());
    }
    if (status < 200 || status == 204) && (length.is_some() || coding.is_some()) {
        return Err(format!("a {status} with a body's length (RFC 9110 section 8.6)"));
    }
    if to_head || status < 200 || status == 204 || status == 304 {
        return Ok(Some((answer, start)));
    }
    let rest = &bytes[start..];
    let used = match (length, coding) {
        (Some(length), _) => {
            answer.framing = Framing::Length;
            if rest.len() < length {
                return Ok(None);
            }
            answer.body = rest[..length].to_vec();
            length
        }
        (_, Some(coding)) if coding == "chunked" => {
            answer.framing = Framing::Chunked;
            let Some((body, used)) = chunks(rest)? else { return Ok(None) };
            answer.body = body;
            used
        }
        (_, Some(coding)) => return Err(format!("an answer in the coding {coding:?}")),
        (None, None) => {
            answer.framing = Framing::UntilClose;
            if !answer.says_close() {
                return Err("an answer whose end nothing tells (RFC 9112 section 6.3)".into());
            }
            if end.is_none() {
                return Ok(None);
            }
            answer.body = rest.to_vec();
            rest.len()
        }
    };
    Ok(Some((answer, start + used)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// `HTTP/1.1 200 OK` (RFC 9112 section 4).
fn status_line(line: &[u8]) -> Result<(u16, String), String> {
    let wrong = || format!("not a status line: {:?}", line.escape_ascii().to_string());
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(wrong)?;
    let (code, reason) = (rest.get(..3).ok_or_else(wrong)?, rest.get(3..).and_then(|rest| rest.strip_prefix(b" ")));
    let is_code = code.iter().all(u8::is_ascii_digit) && (b'1'..=b'5').contains(&code[0]);
    let reason = reason.filter(|reason| reason.iter().all(|byte| (b' '..=b'~').contains(byte))).ok_or_else(wrong)?;
    if !is_code {
        return Err(wrong());
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Ok((code, String::from_utf8_lossy(reason).into_owned()))
}

/// `Name: value` (RFC 9112 section 5).
fn field(line: &[u8]) -> Result<(String, String), String> {
    let wrong = || format!("not a header field: {:?}", line.escape_ascii().to_string());
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(wrong());
    }
    if !value.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte)) {
        return Err(wrong());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(name).to_ascii_lowercase(), text(value)))
}

/// No field but these may stand there twice; for the others a second line is somebody's mistake.
fn refuse_repeats(fields: &[(String, String)]) -> Result<(), String> {
    for (at, (name, _)) in fields.iter().enumerate() {
        let may_repeat = ["set-cookie", "www-authenticate", "vary", "link", "cache-control"].contains(&name.as_str());
        if !may_repeat && fields[..at].iter().any(|(other, _)| other == name) {
            return Err(format!("an answer with {name} twice"));
        }
    }
    Ok(())
}

fn number(text: &str) -> Result<usize, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| format!("Content-Length: {text:?}"))
}

/// A chunked body (RFC 9112 section 7.1), without extensions and trailers: a server has no reason to send either.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).ok();
        let size = size.filter(|size| !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size =
            size.ok_or_else(|| format!("a chunk's size: {:?}", bytes[at..at + line].escape_ascii().to_string()))?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk that does not end with CRLF".into());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[test]
fn the_parser_refuses_what_a_server_must_not_send() {
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    assert!(matches!(parse(good, None, false), Ok(Some((answer, 40))) if answer.body == b"hi"));
    assert!(matches!(parse(good, None, true), Ok(Some((_, 38)))));
    assert!(matches!(parse(&good[..39], None, false), Ok(None)));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
    assert!(matches!(parse(chunked, None, false), Ok(Some((answer, _))) if answer.body == b"hi!"));
    for bad in [
        &b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
    ] {
        assert!(parse(bad, Some(End::Closed), false).is_err(), "{}", bad.escape_ascii());
    }
}
