//! What people do meanwhile. Each of these goes on until it is told to end, panics at the first refusal, and says what was
//! acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::place::{ask, ask_with, connect};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// When one of them is to end, and how much it has done.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn counts(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// One who is at work, and how much of it is done.
pub struct AtWork {
    thread: thread::JoinHandle<Vec<String>>,
    done: Arc<AtomicUsize>,
}

impl AtWork {
    pub fn begin(
        work: fn(SocketAddr, &Watch) -> Vec<String>,
        address: SocketAddr,
        is_over: &Arc<AtomicBool>,
    ) -> AtWork {
        let done = Arc::<AtomicUsize>::default();
        let watch = Watch { is_over: is_over.clone(), done: done.clone() };
        AtWork { thread: thread::spawn(move || work(address, &watch)), done }
    }

    /// How much it has done; as much as there could be, if it has given up.
    pub fn done(&self) -> usize {
        if self.thread.is_finished() { usize::MAX } else { self.done.load(Ordering::Relaxed) }
    }

    /// All that was acknowledged.
    pub fn end(self) -> Vec<String> {
        self.thread.join().expect("nothing was refused")
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The number in front of a message as we note it.
pub fn id(message: &str) -> u64 {
    message.split(' ').next().and_then(|id| id.parse().ok()).expect("a number")
}

/// Messages of a JSON answer as we note them: number and text.
fn noted(answer: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(body(answer)).expect("JSON");
    let messages = document["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| format!("{} {}", message["id"], message["message"].as_str().expect("a text")))
        .collect()
}

/// All that was said after `since`.
pub fn history(address: SocketAddr, mut since: u64) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let more = noted(&ask(address, &format!("GET /messages?limit=100&since={since}")));
        let Some(last) = more.last() else { return all };
        since = id(last);
        all.extend(more);
    }
}

/// A page, each time over a connection of its own.
pub fn get(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let mut done = Vec::new();
    while !watch.is_over() {
        let answer = ask(address, "GET /");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        done.push(String::new());
        watch.counts();
    }
    done
}

/// A page over one connection, as long as that is kept.
pub fn get_on_and_on(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let mut done = Vec::new();
    while !watch.is_over() {
        let mut reader = BufReader::new(connect(address));
        loop {
            let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", address.port());
            // A connection that was idle may have been closed just now: then the request was not taken, and another takes it.
            if reader.get_mut().write_all(request.as_bytes()).is_err() {
                break;
            }
            let (mut head, mut line) = (String::new(), String::new());
            while !matches!(reader.read_line(&mut line), Ok(0) | Err(_)) && line != "\r\n" {
                head.push_str(&std::mem::take(&mut line));
            }
            if head.is_empty() {
                break;
            }
            let is_last = head.contains("\r\nConnection: close\r\n");
            // While it drains it says so, and is right.
            assert!(head.starts_with("HTTP/1.1 200 ") || (is_last && head.starts_with("HTTP/1.1 503 ")), "{head}");
            let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
            let mut content = vec![0; length.expect("a length")];
            std::io::Read::read_exact(&mut reader, &mut content).expect("all of it");
            done.push(String::new());
            watch.counts();
            if is_last {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    done
}

/// Files of half a MiB.
pub fn put(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let content = vec![b'x'; 512 << 10];
    let mut done = Vec::new();
    while !watch.is_over() {
        let name = format!("quick-{}.bin", done.len());
        let answer = ask_with(address, &format!("PUT /files/{name}?create=1"), "", &content);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        done.push(format!("{name} {}", content.len()));
        watch.counts();
    }
    done
}

/// Files that take longer than an upgrade does.
pub fn put_slowly(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let mut done = Vec::new();
    while !watch.is_over() {
        let name = format!("slow-{}.bin", done.len());
        let mut socket = connect(address);
        let port = address.port();
        let head = format!(
            "PUT /files/{name}?create=1 HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).expect("it reads");
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(25));
            socket.write_all(&[b'y'; 100]).expect("it goes on reading");
        }
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut socket, &mut answer).expect("it answers and closes");
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer:?}");
        done.push(format!("{name} 4000"));
        watch.counts();
    }
    done
}

/// Messages, each a text of its own.
pub fn say(address: SocketAddr, watch: &Watch) -> Vec<String> {
    static WHO: AtomicU32 = AtomicU32::new(0);
    let who = WHO.fetch_add(1, Ordering::Relaxed);
    let mut done = Vec::new();
    while !watch.is_over() {
        let text = format!("{who}-{}", done.len());
        let answer = ask_with(address, "POST /send", FORM, format!("message={text}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        let message: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
        done.push(format!("{} {text}", message["id"]));
        watch.counts();
    }
    done
}

/// Accounts that are made and sign in; whoever has signed in is known at once, whichever process it asks.
pub fn sign_in(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let register = ask_with(address, "POST /register", FORM, b"username=ada&password=correct+horse+battery");
    assert!(register.starts_with("HTTP/1.1 201 "), "{register}");
    let mut done = Vec::new();
    while !watch.is_over() {
        // As often as one address may.
        thread::sleep(Duration::from_millis(250));
        let login = ask_with(address, "POST /login", FORM, b"username=ada&password=correct+horse+battery&token=true");
        if login.starts_with("HTTP/1.1 429 ") {
            continue;
        }
        assert!(login.starts_with("HTTP/1.1 200 "), "{login}");
        let session: serde_json::Value = serde_json::from_str(body(&login)).expect("JSON");
        let token = session["token"].as_str().expect("a token");
        for _ in 0..5 {
            let who = ask_with(address, "GET /me", &format!("Authorization: Bearer {token}\r\n"), b"");
            assert!(who.starts_with("HTTP/1.1 200 "), "{who}");
            thread::sleep(Duration::from_millis(20));
        }
        done.push(String::new());
        watch.counts();
    }
    done
}

/// One who listens to the room, and comes back by the number of the last message whenever the stream ends.
pub fn listen(address: SocketAddr, watch: &Watch) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    while !watch.is_over() {
        let since = heard.last().map_or(0, |last| id(last));
        let mut socket = connect(address);
        let port = address.port();
        socket
            .write_all(format!("GET /events?since={since} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes())
            .expect("it reads");
        let mut number = 0;
        // Until the stream ends, or this test does.
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            assert!(!line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.1 200 "), "{line}");
            if let Some(text) = line.strip_prefix("id: ") {
                number = text.parse().expect("a number");
            } else if let Some(text) = line.strip_prefix("data: ")
                && let Ok(message) = serde_json::from_str::<serde_json::Value>(text)
                && message["id"] == number
            {
                heard.push(format!("{number} {}", message["message"].as_str().expect("a text")));
                watch.counts();
            }
            if watch.is_over() {
                break;
            }
        }
    }
    heard
}
