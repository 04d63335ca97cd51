//! A server with the accounts it is given, and clients of few words.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::house::House;
use crate::wire::{Answer, Wire, comes_to_be};

pub const JSON: &str = "Content-Type: application/json";
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
pub const HTML: &str = "Accept: text/html";
/// The operator of these houses.
pub const TOKEN: &str = "operator-token-of-the-tests";
pub const OPERATOR: &str = "Authorization: Bearer operator-token-of-the-tests";
/// What everybody's password is.
pub const PASSWORD: &str = "correct horse";

pub struct Place {
    pub house: House,
}

impl Place {
    /// A place where hashing is as cheap as it gets and nobody is held back for coming often.
    pub fn open(flags: &[&str]) -> Place {
        Place::strict(&[&["--login-rate", "0"], flags].concat())
    }

    /// The same, with the rates that everybody has.
    pub fn strict(flags: &[&str]) -> Place {
        Place { house: House::open(&[&["--token", TOKEN, "--password-profile", "low"], flags].concat()) }
    }

    /// A place where hashing costs what it usually does.
    pub fn with_usual_passwords(flags: &[&str]) -> Place {
        Place { house: House::open(&[&["--token", TOKEN, "--login-rate", "0"], flags].concat()) }
    }

    pub fn address(&self) -> SocketAddr {
        self.house.address()
    }

    /// Asks, with a body if there is one.
    pub fn ask(&self, line: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Answer {
        ask(self.address(), line, fields, body.as_ref())
    }

    pub fn get(&self, target: &str, fields: &[&str]) -> Answer {
        self.ask(&format!("GET {target}"), fields, "")
    }

    /// Posts a document.
    pub fn post(&self, target: &str, fields: &[&str], value: &Value) -> Answer {
        self.ask(&format!("POST {target}"), &[&[JSON], fields].concat(), value.to_string())
    }

    /// Makes an account; gives its recovery code.
    pub fn register(&self, name: &str) -> String {
        let answer = self.post("/admin/users", &[OPERATOR], &json!({"username": name, "password": PASSWORD}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["recovery_code"].as_str().expect("a code").to_owned()
    }

    /// Signs in; gives the line that a browser would send.
    pub fn sign_in(&self, name: &str) -> String {
        let answer = self.login(name, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        cookie(&answer)
    }

    pub fn login(&self, name: &str, password: &str) -> Answer {
        self.post("/login", &[], &json!({"username": name, "password": password}))
    }

    /// Waits until the log has a line.
    pub fn log_tells(&self, line: &str) {
        let is_there = comes_to_be(|| self.house.log().contains(line));
        assert!(is_there, "no {line:?} in the log:\n{}", self.house.log());
    }

    /// Makes an API token; gives the line of the head that shows it.
    pub fn token(&self, cookie: &str, scopes: &[&str]) -> String {
        let answer = self.post("/tokens", &[cookie], &json!({"label": "test", "scopes": scopes}));
        assert_eq!(answer.status, 201, "{answer:?}");
        format!("Authorization: Bearer {}", answer.json()["token"].as_str().expect("a token"))
    }
}

pub fn ask(address: SocketAddr, line: &str, fields: &[&str], body: &[u8]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = match body.len() {
        0 if !line.starts_with("POST") => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("{line} HTTP/1.1\r\nHost: {address}\r\n{fields}{length}\r\n");
    let mut wire = Wire::connect(address);
    let _ = wire.send_quietly(&[head.as_bytes(), body].concat());
    wire.hear(line.starts_with("HEAD")).unwrap_or_else(|complaint| panic!("{complaint}, to {line}"))
}

/// The `Cookie` line for the session that an answer gave.
pub fn cookie(answer: &Answer) -> String {
    let set = answer.field("Set-Cookie").unwrap_or_else(|| panic!("a cookie: {answer:?}"));
    format!("Cookie: {}", set.split(';').next().expect("a pair"))
}
