//! A server with an empty history, and clients of few words.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::house::House;
use crate::wire::{Answer, PATIENCE, Wire};

pub const JSON: &str = "Content-Type: application/json";
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
pub const TEXT: &str = "Content-Type: text/plain";
pub const HTML: &str = "Accept: text/html";
/// The operator of these houses.
pub const TOKEN: &str = "operator-token-of-the-tests";

pub struct Place {
    pub house: House,
}

impl Place {
    pub fn open(flags: &[&str]) -> Place {
        Place { house: House::open(&[&["--token", TOKEN], flags].concat()) }
    }

    /// Asks, with a body if there is one.
    pub fn ask(&self, line: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n{fields}{length}\r\n", self.house.address());
        let mut wire = Wire::connect(self.house.address());
        let _ = wire.send_quietly(&[head.as_bytes(), body].concat());
        wire.hear_within(false, Duration::from_secs(70)).unwrap_or_else(|complaint| panic!("{complaint}, to {line}"))
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target}"), &[], "")
    }

    /// A request that waits for what will be said: it has been read, for what stands before it has been answered.
    pub fn wait(&self, target: &str) -> Wire {
        let host = self.house.address();
        let mut wire = Wire::connect(host);
        wire.send(
            format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\nGET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(wire.hear(false).map(|answer| answer.status), Ok(200), "{}", wire.transcript());
        wire
    }

    /// Says something, and is answered with its id.
    pub fn say(&self, room: &str, text: &str) -> i64 {
        let answer = self.ask("POST /send", &[JSON], serde_json::json!({"room": room, "message": text}).to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_i64().expect("an id")
    }

    /// Says the same so many times.
    pub fn fill(&self, count: usize, text: &str) {
        for _ in 0..count {
            self.say("lobby", text);
        }
    }

    pub fn erase(&self, id: i64) -> Answer {
        self.ask(&format!("DELETE /messages/{id}"), &[&format!("Authorization: Bearer {TOKEN}")], "")
    }

    /// The ids that a page of the history has.
    pub fn ids(&self, target: &str) -> Vec<i64> {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        ids(&answer.json()["messages"])
    }

    /// Begins to listen to events, with further lines of the head.
    pub fn listen(&self, target: &str, fields: &str) -> Listener {
        let mut stream = TcpStream::connect(self.house.address()).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.house.address());
        stream.write_all(head.as_bytes()).expect("it takes a head");
        let mut listener = Listener { lines: BufReader::new(stream), head: Vec::new() };
        loop {
            let line = listener.line().expect("a head");
            if line.is_empty() {
                break;
            }
            listener.head.push(line);
        }
        listener
    }
}

/// The ids of a list of messages.
pub fn ids(messages: &Value) -> Vec<i64> {
    messages.as_array().expect("a list").iter().map(|message| message["id"].as_i64().expect("an id")).collect()
}

/// An event as it was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<i64>,
    pub kind: String,
    pub data: Value,
}

pub struct Listener {
    lines: BufReader<TcpStream>,
    pub head: Vec<String>,
}

impl Listener {
    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            // A line that has no end has been cut off, and counts for nothing (WHATWG HTML, section 9.2.6).
            Ok(_) if !line.ends_with('\n') => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => panic!("nothing is heard: {error}"),
        }
    }

    /// The next event; comments and waits are passed over. `None` at the end.
    pub fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: None, kind: "message".to_owned(), data: Value::Null };
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = Some(id.parse().expect("an id is a number")),
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("data is JSON"),
                _ if line.is_empty() && event.data != Value::Null => return Some(event),
                _ => {}
            }
        }
    }

    /// The ids of the next so many messages.
    pub fn ids(&mut self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.next().and_then(|event| event.id).expect("a message")).collect()
    }
}
