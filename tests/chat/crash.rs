//! The server is killed in a storm of messages: what was answered is kept, and who comes again misses nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::wire::{PATIENCE, comes_to_be};

struct Run {
    child: Child,
    address: String,
}

fn start(folder: &Path) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hythe"))
        .args(["serve", "--listen", "127.0.0.1:0", "--send-rate", "0", "--keepalive-requests", "0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr"));
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(lines.read_line(&mut line).expect("stderr is read") > 0, "it ended before it was ready");
        if let Some(rest) = line.split("http://").nth(1) {
            break rest.split(['/', ' ', ',', '\n']).next().unwrap().to_owned();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Run { child, address }
}

/// One exchange on a connection that stays; `None` when the server is gone.
fn ask(stream: &mut TcpStream, request: &str) -> Option<Value> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut bytes = [0; 64 << 10];
    loop {
        let count = stream.read(&mut bytes).ok().filter(|&count| count > 0)?;
        answer.extend_from_slice(&bytes[..count]);
        let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
        if answer.len() >= at + 4 + length {
            return serde_json::from_slice(&answer[at + 4..]).ok();
        }
    }
}

fn connect(address: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// Hears the ids of an event stream from an id on, up to another, or until it ends or falls silent for very long.
fn listen(address: &str, since: i64, until: i64) -> Vec<i64> {
    let Some(mut stream) = connect(address) else { return Vec::new() };
    let head = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nLast-Event-ID: {since}\r\n\r\n");
    if stream.write_all(head.as_bytes()).is_err() {
        return Vec::new();
    }
    let mut ids = Vec::new();
    let (mut id, mut line) = (None::<i64>, String::new());
    let mut lines = BufReader::new(stream);
    while ids.last().copied().unwrap_or(since) < until
        && lines.read_line(&mut line).is_ok_and(|count| count > 0)
        && line.ends_with('\n')
    {
        match line.trim_end().split_once(": ") {
            Some(("id", text)) => id = text.parse().ok(),
            // An event counts when its blank line has come.
            None if line.trim_end().is_empty() => ids.extend(id.take()),
            _ => {}
        }
        line.clear();
    }
    ids
}

/// The same down a WebSocket.
fn listen_by_socket(address: &str, since: i64, until: i64) -> Vec<i64> {
    let Some(mut stream) = connect(address) else { return Vec::new() };
    let head = format!(
        "GET /ws?since={since} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).is_err() {
        return Vec::new();
    }
    let (mut ids, mut held, mut bytes) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
    let mut has_begun = false;
    while ids.last().copied().unwrap_or(since) < until
        && let Ok(count @ 1..) = stream.read(&mut bytes)
    {
        held.extend_from_slice(&bytes[..count]);
        if !has_begun {
            let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            assert!(held.starts_with(b"HTTP/1.1 101 "));
            held.drain(..at + 4);
            has_begun = true;
        }
        // A frame counts when all of it has come.
        while let [first, second, ref behind @ ..] = held[..] {
            let (head, length) = match second {
                126 => (4, behind.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))),
                length => (2, Some(usize::from(length))),
            };
            let Some(frame) = length.and_then(|length| held.get(head..head + length)) else { break };
            if first == 0x81 {
                let said: Value = serde_json::from_slice(frame).expect("JSON");
                assert_eq!(said["type"], "message");
                ids.extend(said["id"].as_i64());
            }
            let used = head + frame.len();
            held.drain(..used);
        }
    }
    ids
}

#[test]
fn killed_in_a_storm_it_has_kept_all_it_answered_and_who_comes_again_misses_nothing() {
    let folder: PathBuf = std::env::temp_dir().join(format!("hythe-chat-crash-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let answered = Mutex::new(Vec::new());
    let (mut heard, mut heard_by_socket): (Vec<i64>, Vec<i64>) = Default::default();
    for round in 0..3 {
        let mut run = start(&folder);
        let is_over = AtomicBool::new(false);
        let [last, last_by_socket] = [&heard, &heard_by_socket].map(|ids| ids.last().copied().unwrap_or(0));
        std::thread::scope(|scope| {
            let (address, answered, is_over) = (&run.address, &answered, &is_over);
            let listener = scope.spawn(move || listen(address, last, i64::MAX));
            let socket = scope.spawn(move || listen_by_socket(address, last_by_socket, i64::MAX));
            for sender in 0..8 {
                scope.spawn(move || {
                    let Some(mut stream) = connect(address) else { return };
                    for number in 0.. {
                        let text = format!("{round} {sender} {number}");
                        let request = format!(
                            "POST /send HTTP/1.1\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
                            text.len()
                        );
                        let Some(said) = ask(&mut stream, &request) else { return };
                        answered.lock().unwrap().push((said["id"].as_i64().expect("an id"), text));
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(700));
            let is_storm = comes_to_be(|| answered.lock().unwrap().len() > 50 * (round + 1));
            assert!(is_storm, "there was a storm: {}", answered.lock().unwrap().len());
            run.child.kill().expect("it is killed");
            is_over.store(true, Ordering::Relaxed);
            heard.extend(listener.join().expect("a listener"));
            heard_by_socket.extend(socket.join().expect("a listener"));
        });
        run.child.wait().expect("it is gone");
    }
    let mut run = start(&folder);
    let mut stream = connect(&run.address).expect("it is back");
    let mut kept: Vec<(i64, String)> = Vec::new();
    loop {
        let since = kept.last().map_or(0, |(id, _)| *id);
        let request = format!("GET /messages?since={since}&limit=1000 HTTP/1.1\r\nHost: {}\r\n\r\n", run.address);
        let page = ask(&mut stream, &request).expect("a page");
        let found = page["messages"].as_array().expect("a list");
        if found.is_empty() {
            break;
        }
        let pair = |said: &Value| (said["id"].as_i64().unwrap(), said["message"].as_str().unwrap().to_owned());
        kept.extend(found.iter().map(pair));
    }
    let until = kept.last().map_or(0, |(id, _)| *id);
    heard.extend(listen(&run.address, heard.last().copied().unwrap_or(0), until));
    let last = heard_by_socket.last().copied().unwrap_or(0);
    heard_by_socket.extend(listen_by_socket(&run.address, last, until));
    run.child.kill().expect("it is killed");
    run.child.wait().expect("it is gone");
    let _ = fs::remove_dir_all(&folder);
    let ids: Vec<i64> = kept.iter().map(|(id, _)| *id).collect();
    let all: Vec<i64> = (1..=ids.len() as i64).collect();
    assert_eq!(ids, all, "ids without gaps or twins");
    assert_eq!(heard, all, "each was heard once and in order, over four connections");
    assert_eq!(heard_by_socket, all, "and down four WebSockets too");
    let answered = answered.into_inner().unwrap();
    for said in &answered {
        assert_eq!(&kept[usize::try_from(said.0 - 1).unwrap()], said, "what was answered 201 is in the history");
    }
}
