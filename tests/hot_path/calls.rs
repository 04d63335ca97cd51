//! The system calls of the real binary, as strace(1) sees them. Where there is no strace, or it may not trace, this says so and
//! holds nothing to anything.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Requests that are counted.
const COUNTED: usize = 200;

/// Calls that may come beside those of the requests: a look whether the page has changed, once a second.
const BESIDE: usize = 24;

/// A traced server in a folder of its own.
struct Traced {
    child: Child,
    folder: PathBuf,
}

impl Drop for Traced {
    fn drop(&mut self) {
        // The tracer ends when what it traces does; ended first, it would leave it running.
        let trace = fs::read_to_string(self.folder.join("trace")).unwrap_or_default();
        let server = trace.split(' ').next().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        match server {
            Some(server) => drop(kill_process(server, Signal::KILL)),
            None => drop(self.child.kill()),
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

pub fn hold_to_budget() {
    if !can_trace() {
        println!("skipped: there is no strace here, or it may not trace");
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hot-path-calls");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("www")).expect("a folder can be made");
    fs::write(folder.join("www/page.txt"), "x".repeat(1024)).expect("a page can be written");
    let (server, port) = start(folder);
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    for _ in 0..10 {
        ask(&mut client, "/page.txt");
    }
    // What a start leaves to its helpers is no request's.
    thread::sleep(Duration::from_millis(500));
    // What comes beside the requests comes by time: on a busy machine they take longer, and there may be too much of it in all of a
    // round, but not in all of some.
    let mut told = String::new();
    let is_kept_to = (0..5).any(|round| {
        ask(&mut client, &format!("/begin-{round}"));
        for _ in 0..COUNTED {
            ask(&mut client, "/page.txt");
        }
        ask(&mut client, &format!("/end-{round}"));
        let calls = settle(&server.folder.join("trace"), round);
        println!("{COUNTED} requests: {calls:?}");
        told += &format!("{calls:?}\n");
        let total: usize = calls.values().sum();
        assert!(total > COUNTED, "the trace has no requests in it: {calls:?}");
        let times = |call: &&str| calls.get(*call).copied().unwrap_or(0);
        let is_each = ["recvfrom", "sendto", "epoll_wait"].iter().all(|call| times(call) <= COUNTED + BESIDE / 2);
        total <= 3 * COUNTED + BESIDE && is_each
    });
    assert!(is_kept_to, "for {COUNTED} requests:\n{told}");
}

fn start(folder: PathBuf) -> (Traced, u16) {
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "64", "-o", "trace"]).arg(env!("CARGO_BIN_EXE_hythe"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--keepalive-requests", "0"]);
    let mut child = command.current_dir(&folder).stderr(Stdio::piped()).spawn().expect("strace starts");
    let mut errors = BufReader::new(child.stderr.take().expect("stderr was asked for"));
    let server = Traced { child, folder };
    let mut line = String::new();
    loop {
        line.clear();
        let read = errors.read_line(&mut line).expect("stderr is text");
        assert!(read > 0, "the server ended before it was ready");
        let port = line
            .split("127.0.0.1:")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        if let Some(port) = port.filter(|_| line.contains("http://")) {
            // Whatever else it says must not fill the pipe.
            thread::spawn(move || errors.read_to_end(&mut Vec::new()));
            return (server, port.parse().expect("a port is a number"));
        }
    }
}

/// Asks for one page and reads the whole answer.
fn ask(client: &mut TcpStream, target: &str) {
    let host = client.peer_addr().expect("it is connected");
    client.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).expect("it takes a request");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = client.read(&mut buffer).expect("it answers");
        assert!(read > 0, "it answers before it closes");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("it has a length");
        let expected = if target == "/page.txt" { "HTTP/1.1 200 " } else { "HTTP/1.1 404 " };
        assert!(head.starts_with(expected), "{target}: {head}");
        if body.len() >= length.parse().expect("a length is a number") {
            return;
        }
    }
}

/// The calls of the loop's thread between the two marks, once the trace has come that far.
fn settle(trace: &Path, round: usize) -> BTreeMap<String, usize> {
    for _ in 0..1200 {
        let text = String::from_utf8_lossy(&fs::read(trace).expect("the trace can be read")).into_owned();
        if text.contains(&format!("\"GET /end-{round} ")) {
            return count(&text, round);
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the trace does not come to its end");
}

fn count(trace: &str, round: usize) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    let mut thread = None;
    let [begin, end] = ["begin", "end"].map(|mark| format!("\"GET /{mark}-{round} "));
    for line in trace.lines() {
        let Some((id, call)) = line.split_once(' ') else { continue };
        if call.contains(&begin) {
            thread = Some(id);
        } else if call.contains(&end) {
            break;
        } else if thread == Some(id)
            && let Some((name, _)) = call.trim_start().split_once('(')
            && !name.starts_with('<')
        {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}
