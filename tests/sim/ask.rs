//! What clients ask, and what must be answered.

use std::fmt;

use serde_json::Value;

use crate::answer::Answer;
use crate::dice::Dice;
use crate::truth::Truth;

/// What the answer must be.
#[derive(Clone)]
pub enum Want {
    /// A whole page.
    Page(String),
    /// A part of one: first and last byte.
    Part(String, usize, usize),
    /// Several parts.
    Parts(String),
    /// One of these, and nothing said about the body but that it fits the status.
    Status(&'static [u16]),
    /// One of these, and the last answer.
    Last(&'static [u16]),
    /// Exactly this body, with 200.
    Text(Vec<u8>),
    /// This message is kept.
    Sent(String),
    /// A file of this name and content is stored.
    Stored(String, Vec<u8>),
    /// What was said.
    Messages { since: Option<i64>, before: Option<i64>, limit: usize, wait_s: u64 },
    /// What is said from now on.
    Stream { since: Option<i64> },
    /// Begun, and broken off before its end.
    Half,
    /// Never complete: 408, or nothing.
    Nothing,
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    pub bytes: Vec<u8>,
    /// What is sent after `100 Continue`.
    pub after: Vec<u8>,
    pub want: Want,
    pub is_head: bool,
    pub has_body: bool,
    /// Whether the client itself says that this is its last.
    pub is_last: bool,
    /// When the first of it was sent.
    pub begun_at: u64,
    /// When the last of it was sent.
    pub sent_at: Option<u64>,
    /// What anyone had been told by then.
    pub told: i64,
    /// Its client has ended its half since: it is answered with what there is, for the last time.
    pub has_ended: bool,
}

impl fmt::Debug for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Want::Page(path) => write!(f, "page {path}"),
            Want::Part(path, first, last) => write!(f, "{first}-{last} of {path}"),
            Want::Parts(path) => write!(f, "parts of {path}"),
            Want::Status(allowed) => write!(f, "{allowed:?}"),
            Want::Last(allowed) => write!(f, "{allowed:?} and a close"),
            Want::Text(text) => write!(f, "a text of {}", text.len()),
            Want::Sent(text) => write!(f, "{:.20} kept", text),
            Want::Stored(name, bytes) => write!(f, "{name} stored, of {}", bytes.len()),
            Want::Messages { since, before, limit, wait_s } => {
                write!(f, "messages since {since:?} before {before:?}, at most {limit}, within {wait_s} s")
            }
            Want::Stream { since } => write!(f, "a stream since {since:?}"),
            Want::Half => write!(f, "half an answer"),
            Want::Nothing => write!(f, "nothing"),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.bytes[..self.bytes.len().min(60)].escape_ascii();
        write!(
            f,
            "\"{shown}\" wants {:?}, begun {}, sent {:?}, told {}",
            self.want, self.begun_at, self.sent_at, self.told
        )
    }
}

impl Ask {
    pub fn new(bytes: impl Into<Vec<u8>>, want: Want) -> Ask {
        let bytes = bytes.into();
        let is_head = bytes.starts_with(b"HEAD ");
        let has_body = !bytes.ends_with(b"\r\n\r\n") || bytes.starts_with(b"POST ");
        Ask {
            bytes,
            after: Vec::new(),
            want,
            is_head,
            has_body,
            is_last: false,
            begun_at: 0,
            sent_at: None,
            told: 0,
            has_ended: false,
        }
    }

    pub fn get(target: &str, want: Want) -> Ask {
        Ask::new(format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n"), want)
    }

    pub fn head(target: &str, want: Want) -> Ask {
        Ask::new(format!("HEAD {target} HTTP/1.1\r\nHost: sim\r\n\r\n"), want)
    }

    /// A request with a body.
    pub fn post(target: &str, kind: &str, body: &[u8], want: Want) -> Ask {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: sim\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Ask::new([head.as_bytes(), body].concat(), want)
    }

    /// The same in chunks.
    pub fn post_chunked(dice: &mut Dice, target: &str, kind: &str, body: &[u8], want: Want) -> Ask {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: sim\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        Ask::new([head.into_bytes(), chunked(dice, body)].concat(), want)
    }

    /// The same with the body sent only when it is asked for.
    pub fn post_expecting(target: &str, kind: &str, body: &[u8], want: Want) -> Ask {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: sim\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        Ask { after: body.to_vec(), ..Ask::new(head, want) }
    }

    /// The same with another method.
    pub fn with_method(mut self, method: &str) -> Ask {
        let rest =
            self.bytes.split_off(self.bytes.iter().position(|&byte| byte == b' ').expect("a request has a space"));
        self.bytes = [method.as_bytes(), &rest].concat();
        self.has_body = true;
        self
    }

    /// Says that this is the last request.
    pub fn last(mut self) -> Ask {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let (line, rest) = text.split_once("\r\n").expect("a request has a line");
        self.bytes = format!("{line}\r\nConnection: close\r\n{rest}").into_bytes();
        self.is_last = true;
        self
    }

    /// Whether what came is an answer to this. `now` is when it came, `count` which answer of its connection it is.
    pub fn check(&self, answer: &Answer, now: u64, count: u32, truth: &mut Truth) {
        let status = answer.status;
        if !self.is_head && status >= 400 {
            self.check_problem(answer);
        }
        self.check_close(answer, count, truth);
        match self.excuse(answer, now, truth) {
            Some(true) => return,
            Some(false) => panic!("no reason for this answer to {self:?}: {answer:?}"),
            None => {}
        }
        match &self.want {
            Want::Page(path) => {
                assert_eq!(status, 200, "{self:?}: {answer:?}");
                let page = &truth.pages[path];
                if !page.shrinks {
                    if self.is_head {
                        assert_eq!(answer.field("content-length"), Some(page.bytes.len().to_string().as_str()));
                    } else {
                        assert!(answer.body == page.bytes, "{path} is not as it lies on the disk");
                    }
                }
            }
            Want::Part(path, first, last) => {
                assert_eq!(status, 206, "{self:?}: {answer:?}");
                let page = &truth.pages[path];
                let range = format!("bytes {first}-{last}/{}", page.bytes.len());
                assert_eq!(answer.field("content-range"), Some(range.as_str()));
                assert!(answer.body == page.bytes[*first..=*last], "{path} {range}");
            }
            Want::Parts(_) => assert_eq!(status, 206, "{self:?}: {answer:?}"),
            Want::Status(allowed) => assert!(allowed.contains(&status), "{self:?}: {answer:?}"),
            Want::Last(allowed) => assert!(allowed.contains(&status) && answer.closes, "{self:?}: {answer:?}"),
            Want::Text(text) => {
                assert_eq!(status, 200, "{self:?}: {answer:?}");
                assert!(answer.body == *text, "{self:?}: {answer:?}");
            }
            Want::Sent(text) => {
                assert_eq!(status, 201, "{self:?}: {answer:?}");
                let value = answer.json();
                assert_eq!(value["message"].as_str(), Some(text.as_str()));
                truth.tell(value["id"].as_i64().expect("a message has an id"), text);
            }
            Want::Stored(name, bytes) => {
                assert_eq!(status, 201, "{self:?}: {answer:?}");
                let stored = truth.uploads.as_ref().and_then(|disk| disk.get(name));
                assert!(stored.as_ref() == Some(bytes), "{name} is not as it was sent");
            }
            Want::Messages { since, before, limit, wait_s } => {
                assert_eq!(status, 200, "{self:?}: {answer:?}");
                self.check_messages((*since, *before, *limit, *wait_s), &answer.json(), now, truth);
            }
            Want::Stream { .. } => assert_eq!(status, 200, "{self:?}: {answer:?}"),
            Want::Half => panic!("an answer that breaks off is whole: {answer:?}"),
            Want::Nothing => panic!("half a request was answered: {answer:?}"),
        }
    }

    fn check_problem(&self, answer: &Answer) {
        let kind = answer.field("content-type");
        if kind == Some("application/problem+json") {
            let problem = answer.json();
            assert_eq!(problem["status"].as_u64(), Some(answer.status.into()), "{answer:?}");
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{answer:?}");
        }
    }

    /// `Connection: close` is said when it must be, and not without a reason.
    fn check_close(&self, answer: &Answer, count: u32, truth: &Truth) {
        let is_at_limit = truth.keepalive_requests > 0 && count >= truth.keepalive_requests;
        let must = is_at_limit || self.is_last || matches!(self.want, Want::Last(_)) || answer.is_endless;
        if must {
            assert!(answer.closes, "the last answer says so: {self:?}: {answer:?}");
        }
        let may = truth.excuses.drain || self.has_body || self.has_ended || answer.status == 408;
        assert!(!answer.closes || must || may, "no reason to close after {self:?}: {answer:?}");
    }

    /// Whether an answer that is not the best one is excused; `None` if it needs no excuse.
    fn excuse(&self, answer: &Answer, now: u64, truth: &Truth) -> Option<bool> {
        let excuses = &truth.excuses;
        let allowed: &[u16] = match &self.want {
            Want::Status(allowed) | Want::Last(allowed) => allowed,
            _ => &[],
        };
        if allowed.contains(&answer.status) {
            return None;
        }
        if let Want::Stored(name, _) = &self.want
            && !matches!(answer.status, 201 | 504)
        {
            let stored = truth.uploads.as_ref().and_then(|disk| disk.get(name));
            assert!(stored.is_none(), "{name} is stored, and its sender is told {}", answer.status);
        }
        match answer.status {
            507 => Some(excuses.full),
            408 => Some(answer.closes && now - self.begun_at >= 10_000),
            429 => Some(excuses.throttle),
            // A helper that a program's own handler asked took too long; what it did is done all the same.
            504 if self.is_head => Some(now - self.begun_at >= 30_000),
            504 => Some(now - self.begun_at >= 30_000 && answer.json()["code"] == "no_answer"),
            500 => Some(excuses.disk),
            503 if self.is_head => Some(excuses.overload || excuses.drain),
            503 => match answer.json()["code"].as_str() {
                Some("overloaded") => Some(excuses.overload),
                Some("not_kept") => {
                    if let Want::Sent(text) = &self.want {
                        assert!(!truth.has_text(text), "{text:?} is kept, and its sender is told that it is not");
                    }
                    Some(excuses.loss)
                }
                Some("ledger_shut") => Some(excuses.loss),
                _ => Some(answer.field("retry-after").is_some() && excuses.drain),
            },
            // Whoever asks for a page while its file shrinks.
            206 | 416 if matches!(&self.want, Want::Part(path, ..) | Want::Parts(path) if truth.pages[path].shrinks) => {
                Some(true)
            }
            _ => None,
        }
    }

    fn check_messages(
        &self,
        (since, before, limit, wait_s): (Option<i64>, Option<i64>, usize, u64),
        document: &Value,
        now: u64,
        truth: &mut Truth,
    ) {
        let rows = document["messages"].as_array().expect("messages are a list");
        let ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().expect("each has an id")).collect();
        assert!(ids.windows(2).all(|two| two[0] + 1 == two[1]), "no message is left out: {ids:?} {self:?}");
        for (row, &id) in rows.iter().zip(&ids) {
            truth.tell(id, row["message"].as_str().expect("each has a text"));
        }
        assert!(rows.len() <= limit, "{self:?}: {ids:?}");
        assert_eq!(document["gap"], false, "nothing is trimmed: {self:?}: {ids:?}");
        let last = ids.last().copied();
        assert_eq!(document["last"].as_i64(), Some(last.or(since).unwrap_or(0)), "{self:?}: {ids:?}");
        let is_full = rows.len() == limit;
        match (since, before) {
            (Some(since), _) => {
                assert!(ids.first().is_none_or(|&first| first == since + 1), "{self:?}: {ids:?}");
                assert!(is_full || last.unwrap_or(since) >= self.told, "{self:?}: {ids:?}");
                if ids.is_empty() && wait_s > 0 && !truth.excuses.drain && !self.has_ended {
                    assert!(now - self.begun_at >= wait_s * 1000, "a wait ended early: {self:?} at {now}");
                }
            }
            (None, before) => {
                let upto = before.map_or(truth.last(), |before| truth.last().min(before - 1));
                let least = before.map_or(self.told, |before| self.told.min(before - 1));
                assert!(
                    last.unwrap_or(0) >= least && last.unwrap_or(0) <= upto,
                    "{self:?}: {ids:?}, {least} to {upto}"
                );
                let first = ids.first().copied().unwrap_or(1);
                assert!(is_full || first == 1, "older ones are left out: {self:?}: {ids:?}");
            }
        }
    }
}

/// A body in chunks of all sizes.
pub fn chunked(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(1 + dice.index(rest.len()));
        let extension = if dice.chance(20) { ";a=b" } else { "" };
        out.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(if dice.chance(20) { b"0\r\nT: x\r\n\r\n" } else { b"0\r\n\r\n" });
    out
}

/// What one hears on a stream.
#[derive(Debug, Default)]
pub struct Hearing {
    held: Vec<u8>,
    /// The first id that may come, and the last.
    least: i64,
    most: i64,
    /// The last id heard.
    pub last: Option<i64>,
    has_begun: bool,
}

impl Hearing {
    /// Begins to listen: `told` was told to anyone when it was asked for, `last` is the last kept when it was answered.
    pub fn begin(since: Option<i64>, told: i64, last: i64) -> Hearing {
        let (least, most) = match since {
            Some(since) if since <= told => (since + 1, since + 1),
            // An id that has not been given yet is no position; whether it had been, nobody knows exactly.
            Some(since) => (told + 1, last.max(since) + 1),
            None => (told + 1, last + 1),
        };
        Hearing { least, most, ..Hearing::default() }
    }

    pub fn take(&mut self, bytes: &[u8], truth: &mut Truth) {
        self.held.extend_from_slice(bytes);
        while let Some(end) = self.held.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.held.drain(..end + 2).collect();
            self.hear(std::str::from_utf8(&event).expect("events are UTF-8").trim_end_matches('\n'), truth);
        }
    }

    fn hear(&mut self, event: &str, truth: &mut Truth) {
        if !std::mem::replace(&mut self.has_begun, true) {
            return assert!(event.starts_with("retry: "), "{event:?}");
        }
        if event == ":" {
            return;
        }
        let data = event.split('\n').find_map(|line| line.strip_prefix("data: ")).expect("an event has data");
        let value: Value = serde_json::from_str(data).expect("data is JSON");
        if event.starts_with("event: gap\n") {
            let first = value["first"].as_i64().expect("a gap says where what is left begins");
            assert!(first > self.least && self.last.is_none(), "{event:?}");
            (self.least, self.most) = (first, first);
            return;
        }
        let id: i64 = event
            .strip_prefix("id: ")
            .and_then(|rest| rest.split('\n').next())
            .expect("an event has an id")
            .parse()
            .unwrap();
        assert_eq!(value["id"].as_i64(), Some(id));
        match self.last {
            Some(last) => assert_eq!(id, last + 1, "a stream leaves nothing out"),
            None => assert!((self.least..=self.most).contains(&id), "{id} is the first heard: {self:?}"),
        }
        self.last = Some(id);
        truth.tell(id, value["message"].as_str().expect("a message has a text"));
    }

    /// Whether all has been heard up to `last`.
    pub fn has_heard(&self, last: i64) -> bool {
        self.last.unwrap_or(self.most - 1) >= last
    }

    /// Whether nothing is half heard.
    pub fn is_between(&self) -> bool {
        self.held.is_empty()
    }
}
