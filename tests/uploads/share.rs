//! A server, its shared folder, and a client of few words.

use std::fs;
use std::path::{Path, PathBuf};

use crate::house::House;
use crate::wire::{Answer, Wire, comes_to_be};

pub const JSON: &str = "Content-Type: application/json";
pub const BYTES: &str = "Content-Type: application/octet-stream";
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
pub const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=hythe-7b1";

pub struct Share {
    pub house: House,
    /// Where its access log is, if it has one.
    pub access_log: Option<PathBuf>,
}

impl Share {
    pub fn open(flags: &[&str]) -> Share {
        Share { house: House::open(flags), access_log: None }
    }

    pub fn folder(&self) -> PathBuf {
        self.house.folder().join("uploads")
    }

    /// A connection on which nothing has been said.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.house.address())
    }

    /// A head with its empty line.
    pub fn head(&self, line: &str, fields: &[&str]) -> Vec<u8> {
        let host = self.house.address();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").into_bytes()
    }

    /// Asks without a body.
    pub fn ask(&self, line: &str, fields: &[&str]) -> Answer {
        self.say(&self.head(line, fields), line.starts_with("HEAD"))
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target}"), &[])
    }

    /// Asks with a body of known length.
    pub fn send(&self, line: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Answer {
        let length = format!("Content-Length: {}", body.as_ref().len());
        let head = self.head(line, &[fields, &[&length]].concat());
        self.say(&[head.as_slice(), body.as_ref()].concat(), false)
    }

    /// Asks with a body in chunks of this size.
    pub fn send_chunked(&self, line: &str, fields: &[&str], body: &[u8], size: usize) -> Answer {
        let mut text = self.head(line, &[fields, &["Transfer-Encoding: chunked"]].concat());
        for chunk in body.chunks(size) {
            text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        self.say(&text, false)
    }

    fn say(&self, bytes: &[u8], to_head: bool) -> Answer {
        let mut wire = self.connect();
        // Whoever is refused early may not get all of it sent; the answer is what counts.
        let _ = wire.send_quietly(bytes);
        let start = bytes[..bytes.len().min(300)].escape_ascii();
        wire.hear(to_head).unwrap_or_else(|complaint| panic!("{complaint}, to {start}"))
    }

    /// Puts a file where hythe did not see it come.
    pub fn plant(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let place = self.folder().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.folder().join(path)).ok()
    }

    /// All that lies in the shared folder, hidden files too: paths, folders with a slash.
    pub fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        gather(&self.folder(), "", &mut all);
        all.sort();
        all
    }

    /// Waits, a bounded time, until the shared folder holds just this.
    pub fn comes_to_hold(&self, expected: &[&str]) {
        let is_so = comes_to_be(|| self.all() == expected);
        assert!(is_so, "{:?} instead of {expected:?}", self.all());
    }

    /// Waits, a bounded time, until the log holds this once.
    pub fn comes_to_log(&self, text: &str) {
        let is_so = comes_to_be(|| self.house.log().matches(text).count() == 1);
        assert!(is_so, "{text} is not in {}", self.house.log());
    }
}

fn gather(folder: &Path, above: &str, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{above}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), &format!("{path}/"), all);
            all.push(path + "/");
        } else {
            all.push(path);
        }
    }
}

/// A form: each part's Content-Disposition parameters, and its bytes.
pub fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (parameters, bytes) in parts {
        body.extend_from_slice(
            format!("--hythe-7b1\r\nContent-Disposition: form-data; {parameters}\r\nContent-Type: text/plain\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--hythe-7b1--\r\n");
    body
}

/// Bytes that look alike nowhere, and hold what a form's reader might stumble over.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes());
        if state.is_multiple_of(97) {
            bytes.extend_from_slice(b"\r\n--hythe");
        }
    }
    bytes.truncate(length);
    bytes
}
