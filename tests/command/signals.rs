//! The program while it serves: what a signal makes of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long whatever must come may take: longer than anything does on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, as long as that lasts, until something is so.
fn comes_to_be(mut is_so: impl FnMut() -> bool) -> bool {
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

struct Running {
    room: PathBuf,
    child: Child,
    lines: Receiver<String>,
    address: String,
}

impl Running {
    fn start(name: &str, configuration: &str) -> Running {
        Running::start_with_token(name, "a-token-that-nobody-uses", configuration)
    }

    fn start_with_token(name: &str, token: &str, configuration: &str) -> Running {
        let room = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("signals-{name}"));
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(&room).unwrap();
        fs::write(room.join("h.toml"), configuration).unwrap();
        fs::write(room.join("token"), token).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
        command.args(["--config", "h.toml", "--listen", "127.0.0.1:0"]).env_clear().current_dir(&room);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (say, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        let mut running = Running { room, child, lines, address: String::new() };
        let ready = running.hears("hythe is ready on http://");
        running.address = ready.trim_start_matches("hythe is ready on http://").trim_end_matches('/').to_owned();
        running
    }

    #[track_caller]
    fn hears(&self, text: &str) -> String {
        let mut heard = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return line;
            }
            heard.push(line);
        }
        panic!("{text:?} is not in {heard:#?}")
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The status of a GET.
    fn get(&self, path: &str, host: &str, token: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    }

    fn ends(&mut self) -> Option<i32> {
        let mut ended = None;
        let ends = comes_to_be(|| {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ends, "it does not end");
        ended.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reload_takes_token_hosts_and_limits_and_says_what_waits_for_a_restart() {
    let server = Running::start_with_token(
        "reload",
        "first-token-of-many",
        "token-file = \"token\"\nshared-read = \"operator\"\n",
    );
    let here = server.address.clone();
    assert_eq!(server.get("/file-list", &here, "first-token-of-many"), 200);
    fs::write(server.room.join("token"), "second-token-of-many\n").unwrap();
    let long = format!("/{}", "x".repeat(300));
    assert_eq!(server.get(&long, &here, ""), 404);
    fs::write(
        server.room.join("h.toml"),
        "token-file = \"token\"\nshared-read = \"operator\"\nallow-host = \"a.example\"\nrequest-line = 200\n\
         chat-read = \"operator\"\nhistory-days = 7\n",
    )
    .unwrap();
    server.signal("HUP");
    server.hears("the configuration is reloaded");
    let waits = server.hears("only after a restart");
    assert!(waits.ends_with(": chat-read, history-days"), "{waits}");
    assert_eq!(server.get("/file-list", &here, "second-token-of-many"), 200);
    assert_eq!(server.get("/file-list", &here, "first-token-of-many"), 401);
    assert_eq!(server.get("/healthz", "a.example", ""), 200);
    assert_eq!(server.get(&long, &here, ""), 414);
    assert_eq!(server.get("/messages", &here, ""), 200);
}

#[test]
fn a_reload_of_what_cannot_be_right_changes_nothing_and_says_so() {
    let server = Running::start_with_token(
        "broken",
        "the-token-of-the-start",
        "token-file = \"token\"\nshared-read = \"operator\"\n",
    );
    for (configuration, says) in [
        ("header-timout = 5\n", "the nearest is header-timeout"),
        ("token-file = \"missing\"\n", "cannot read the token file missing"),
        ("data = \"www/data\"\n", "must not lie inside www"),
    ] {
        fs::write(server.room.join("h.toml"), configuration).unwrap();
        server.signal("HUP");
        let line = server.hears("what was in force stays");
        assert!(line.contains(says), "{line}");
        assert_eq!(server.get("/file-list", &server.address, "the-token-of-the-start"), 200);
    }
}

#[test]
fn folders_that_are_not_there_are_made_and_what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Running::start("folders", "");
    assert_eq!(server.get("/files-ui", "localhost", ""), 403, "a name without our port is nobody's");
    let mode = |name: &str| fs::metadata(server.room.join(name)).unwrap().permissions().mode() & 0o7777;
    assert!(fs::metadata(server.room.join("uploads")).unwrap().is_dir());
    // The ledger is opened a moment after the first is served.
    assert!(comes_to_be(|| server.room.join("data/hythe.db").exists()));
    assert_eq!((mode("data"), mode("data/hythe.db")), (0o700, 0o600));
}

#[test]
fn a_status_line_is_for_people() {
    let server = Running::start("status", "");
    assert_eq!(server.get("/healthz", &server.address, ""), 200);
    let idle: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for mut stream in &idle {
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    let mut listening = TcpStream::connect(&server.address).unwrap();
    write!(listening, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    assert!(listening.read(&mut [0; 4096]).unwrap() > 0);
    server.signal("USR1");
    let line = server.hears("status: 3 connections (2 idle, 1 on streams); ");
    for says in [
        " accepted, 0 evicted",
        " answers, 0 of them 4xx and 0 5xx; ",
        " for files, 0 for passwords, 0 for the ledger; ",
    ] {
        assert!(line.contains(says), "{says}: {line}");
    }
}

#[test]
fn a_reload_changes_how_many_are_let_in_and_what_is_open_to_whom() {
    let server = Running::start("rights", "");
    assert_eq!(server.get("/metrics", &server.address, ""), 200, "under loopback defaults");
    fs::write(server.room.join("h.toml"), "allow-host = \"a.example\"\nmax-connections = 17\nlogin-rate = \"2/min\"\n")
        .unwrap();
    server.signal("HUP");
    // Whoever names a host serves a network: who may do what is told anew.
    server.hears("shared-write user ");
    server.hears("the configuration is reloaded");
    assert_eq!(server.get("/metrics", &server.address, ""), 401);
    let held: Vec<TcpStream> = (0..17).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for mut stream in &held {
        write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    let mut late = TcpStream::connect(&server.address).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    write!(late, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    assert!(late.read(&mut [0; 4096]).is_err(), "there is no place for an eighteenth");
}

#[test]
fn the_first_signal_lets_them_finish_and_the_second_does_not_wait() {
    let mut server = Running::start("drain", "drain = \"60s\"\n");
    // A body that is still to come holds the house open.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "POST /upload?name=a HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n";
    write!(stream, "{head}Expect: 100-continue\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    write!(stream, "12345").unwrap();
    server.signal("TERM");
    thread::sleep(Duration::from_millis(500));
    assert!(server.child.try_wait().unwrap().is_none(), "it did not wait");
    server.signal("INT");
    assert_eq!(server.ends(), Some(0));
}
