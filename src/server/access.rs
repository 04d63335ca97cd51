//! The access log: one line an exchange, in the combined format or as JSON. Lines are built here, in the loop, into one
//! buffer a turn; a helper writes them. Every byte a client sent is escaped; credentials are never in it.
//!
//! The line of an answer that leaves at once is written with it. One that has to wait for its client is held until it has left, or
//! the connection is over: what the line tells is what was sent, not what was promised.

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;

use crate::clock::Wall;
use crate::http::headers::Field;
use crate::http::request::Request;
use crate::http::response::write_number;
use crate::http::status::Status;
use crate::reactor::system::Key;

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As nginx and Apache write it.
    Combined,
    /// An object a line.
    Json,
}

/// No field a client sends takes more room than this in a line.
const FIELD_MAX: usize = 512;

/// What of a request is needed for its line, kept while the answer is not ready.
#[derive(Debug)]
pub struct Line {
    ip: IpAddr,
    method: String,
    target: String,
    is_http10: bool,
    referer: Vec<u8>,
    user_agent: Vec<u8>,
}

impl Line {
    /// Takes it out of the request of a client at `ip`.
    pub fn of(request: &Request<'_>, ip: IpAddr) -> Line {
        Line {
            ip,
            method: request.method_text.to_owned(),
            target: request.target.to_owned(),
            is_http10: request.is_http10,
            referer: request.headers.get(Field::Referer).unwrap_or_default().to_vec(),
            user_agent: request.headers.get(Field::UserAgent).unwrap_or_default().to_vec(),
        }
    }
}

/// What a line is about.
struct Parts<'a> {
    method: &'a str,
    target: &'a str,
    is_http10: bool,
    referer: &'a [u8],
    user_agent: &'a [u8],
}

/// An answer that is still leaving.
struct Leaving {
    line: Option<Box<Line>>,
    ip: IpAddr,
    status: Status,
    head: u64,
    body: u64,
}

/// Writes lines. The date's text is made once a second.
pub struct AccessLog {
    format: Format,
    date: String,
    date_at: u64,
    leaving: HashMap<Key, Vec<Leaving>>,
}

impl AccessLog {
    /// A log in this form.
    pub fn new(format: Format) -> AccessLog {
        AccessLog { format, date: String::new(), date_at: u64::MAX, leaving: HashMap::new() }
    }

    /// Writes the line of an exchange whose request is at hand.
    pub fn note(
        &mut self,
        request: &Request<'_>,
        ip: IpAddr,
        status: Status,
        length: u64,
        wall: Wall,
        out: &mut Vec<u8>,
    ) {
        let parts = Parts {
            method: request.method_text,
            target: request.target,
            is_http10: request.is_http10,
            referer: request.headers.get(Field::Referer).unwrap_or_default(),
            user_agent: request.headers.get(Field::UserAgent).unwrap_or_default(),
        };
        self.write(&parts, ip, status, length, wall, out);
    }

    /// Writes the line of an exchange whose request was kept; without one, it was no request, and its connection came from `ip`.
    pub fn note_kept(
        &mut self,
        line: Option<&Line>,
        ip: IpAddr,
        status: Status,
        length: u64,
        wall: Wall,
        out: &mut Vec<u8>,
    ) {
        let parts = match line {
            None => Parts { method: "", target: "", is_http10: false, referer: b"", user_agent: b"" },
            Some(line) => Parts {
                method: &line.method,
                target: &line.target,
                is_http10: line.is_http10,
                referer: &line.referer,
                user_agent: &line.user_agent,
            },
        };
        self.write(&parts, line.map_or(ip, |line| line.ip), status, length, wall, out);
    }

    /// Keeps the line of an answer that is still leaving; head and body are the bytes of it that have been handed out so far.
    pub fn hold(&mut self, key: Key, line: Option<Box<Line>>, ip: IpAddr, status: Status, head: u64, body: u64) {
        self.leaving.entry(key).or_default().push(Leaving { line, ip, status, head, body });
    }

    /// More of the body of the last answer has been handed out.
    pub fn grow(&mut self, key: Key, bytes: u64) {
        if let Some(last) = self.leaving.get_mut(&key).and_then(|held| held.last_mut()) {
            last.body += bytes;
        }
    }

    /// Whether any line is held.
    pub fn holds_any(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// All that has been handed out on a connection has left but for so many bytes, which never will.
    pub fn release(&mut self, key: Key, mut unsent: u64, wall: Wall, out: &mut Vec<u8>) {
        let Some(mut held) = self.leaving.remove(&key) else { return };
        for answer in held.iter_mut().rev() {
            let lost = unsent.min(answer.body);
            answer.body -= lost;
            unsent = (unsent - lost).saturating_sub(answer.head);
        }
        for answer in held {
            self.note_kept(answer.line.as_deref(), answer.ip, answer.status, answer.body, wall, out);
        }
    }

    fn write(&mut self, parts: &Parts<'_>, ip: IpAddr, status: Status, length: u64, wall: Wall, out: &mut Vec<u8>) {
        if self.date_at != wall.as_seconds() {
            self.date_at = wall.as_seconds();
            self.date = match self.format {
                Format::Combined => common_log_date(wall),
                Format::Json => crate::http::date::rfc3339(wall),
            };
        }
        match self.format {
            Format::Combined => self.write_combined(parts, ip, status, length, out),
            Format::Json => self.write_json(parts, ip, status, length, out),
        }
    }

    fn write_combined(&self, parts: &Parts<'_>, ip: IpAddr, status: Status, length: u64, out: &mut Vec<u8>) {
        write_ip(ip, out);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(self.date.as_bytes());
        out.extend_from_slice(b"] \"");
        if parts.method.is_empty() {
            out.push(b'-');
        } else {
            write_escaped(parts.method.as_bytes(), out);
            out.push(b' ');
            write_escaped(parts.target.as_bytes(), out);
            out.extend_from_slice(if parts.is_http10 { b" HTTP/1.0" } else { b" HTTP/1.1" });
        }
        out.extend_from_slice(b"\" ");
        write_number(u64::from(status.code()), out);
        out.push(b' ');
        write_number(length, out);
        for field in [parts.referer, parts.user_agent] {
            out.extend_from_slice(b" \"");
            if field.is_empty() {
                out.push(b'-');
            } else {
                write_escaped(field, out);
            }
            out.push(b'"');
        }
        out.push(b'\n');
    }

    fn write_json(&self, parts: &Parts<'_>, ip: IpAddr, status: Status, length: u64, out: &mut Vec<u8>) {
        let text = |bytes: &[u8]| {
            let cut = &bytes[..bytes.len().min(FIELD_MAX)];
            let mut quoted = Vec::new();
            super::problem::write_string(&String::from_utf8_lossy(cut), &mut quoted);
            String::from_utf8(quoted).unwrap_or_default()
        };
        // A line that cannot be written into memory is no case there is.
        let _ = writeln!(
            out,
            "{{\"time\":\"{}\",\"peer\":\"{}\",\"method\":{},\"target\":{},\"status\":{},\"bytes\":{length},\"referer\":{},\"user_agent\":{}}}",
            self.date,
            ip,
            text(parts.method.as_bytes()),
            text(parts.target.as_bytes()),
            status.code(),
            text(parts.referer),
            text(parts.user_agent),
        );
    }
}

/// An IPv4 address digit by digit: the general formatter would be a fifth of the whole line's price.
fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        std::net::IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                write_number(u64::from(octet), out);
            }
        }
        std::net::IpAddr::V6(ip) => {
            let _ = write!(out, "{ip}");
        }
    }
}

/// Bytes that may stand in a quoted field as they are.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte as u8 != b'"' && byte as u8 != b'\\';
        byte += 1;
    }
    plain
};

/// Writes a client's bytes so that they can neither end a field nor begin a line: what is not plain becomes `\xNN`.
pub fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(FIELD_MAX)];
    if bytes.iter().all(|&byte| PLAIN[usize::from(byte)]) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        if PLAIN[usize::from(byte)] {
            out.push(byte);
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

/// `20/Nov/2026:10:11:12 +0000`
fn common_log_date(wall: Wall) -> String {
    let imf = crate::http::date::imf(wall);
    // Fri, 20 Nov 2026 10:11:12 GMT
    let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&imf[range]).into_owned();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{HeadLimits, HeaderTable};

    fn line(format: Format, head: &[u8]) -> String {
        let mut table = HeaderTable::new();
        let request = Request::parse(head, &mut table, &HeadLimits::default()).unwrap();
        let mut out = Vec::new();
        let wall = Wall::from_seconds(1_795_169_472);
        AccessLog::new(format).note(&request, [127, 0, 0, 1].into(), Status::OK, 12, wall, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_as_nginx_writes_it() {
        let head = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nUser-Agent: wrk\r\n\r\n";
        let expected = "127.0.0.1 - - [20/Nov/2026:10:11:12 +0000] \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" \"wrk\"\n";
        assert_eq!(line(Format::Combined, head), expected);
    }

    #[test]
    fn what_has_not_left_is_not_told_as_sent() {
        let mut log = AccessLog::new(Format::Combined);
        let (key, ip) = (Key { index: 3, age: 1 }, IpAddr::from([127, 0, 0, 1]));
        for body in [1000, 50, 2000] {
            log.hold(key, None, ip, Status::OK, 100, body);
        }
        log.grow(key, 500);
        let mut out = Vec::new();
        // The last body, its head, and ten bytes of the one before.
        log.release(key, 2500 + 100 + 10, Wall::from_seconds(1_795_169_472), &mut out);
        let text = String::from_utf8(out).unwrap();
        let sent: Vec<&str> = text.lines().map(|line| line.split(' ').nth(7).unwrap()).collect();
        assert_eq!(sent, ["1000", "40", "0"], "{text}");
        assert!(!log.holds_any());
    }

    #[test]
    fn a_client_can_neither_end_a_field_nor_begin_a_line() {
        let head = b"GET /a HTTP/1.1\r\nHost: x\r\nReferer: a\"b\\c\xff\r\nUser-Agent: {\"x\":1}\r\n\r\n";
        let text = line(Format::Combined, head);
        assert!(text.contains("\"a\\x22b\\x5cc\\xff\""), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line(Format::Json, head)).unwrap();
        assert_eq!(value["user_agent"], "{\"x\":1}");
    }
}
