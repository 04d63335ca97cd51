//! A folder with a binary of its own, and whichever process of it serves.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The process that was started here; the others are its successors.
struct First {
    process: i32,
    has_ended: Arc<AtomicBool>,
}

pub struct Place {
    pub folder: PathBuf,
    pub address: SocketAddr,
    /// What the first has said until it was ready.
    pub started: String,
    first: First,
    log: Arc<Mutex<String>>,
}

impl Place {
    /// Starts a copy of the binary, that can be replaced.
    pub fn start(name: &str, words: &[&str]) -> Place {
        let folder = std::env::temp_dir().join(format!("hythe-upgrade-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).expect("a folder can be made");
        fs::create_dir_all(folder.join("etc")).expect("a folder can be made");
        fs::write(folder.join("etc/hythe.toml"), "").expect("written");
        fs::copy(env!("CARGO_BIN_EXE_hythe"), folder.join("bin/hythe")).expect("copied");
        let mut command = Command::new(folder.join("bin/hythe"));
        command.current_dir(&folder).args(["--listen", "127.0.0.1:0", "--config", "etc/hythe.toml"]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Another test's child may still have the copy open for writing, for the moment between its fork and its exec.
        let mut child = loop {
            match command.spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_millis(5)),
                started => break started.expect("it starts"),
            }
        };
        let errors = child.stderr.take().expect("stderr was asked for");
        let first = First { process: child.id().cast_signed(), has_ended: Arc::default() };
        // The first of them ends when the second serves, and is nobody's concern then; but somebody has to bury it.
        let has_ended = first.has_ended.clone();
        thread::spawn(move || {
            let _ = child.wait();
            has_ended.store(true, Ordering::SeqCst);
        });
        let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
        let mut started = String::new();
        let keep = |line: &String| started.push_str(&format!("{line}\n"));
        let ready = lines.by_ref().inspect(keep).find(|line| line.starts_with("hythe is ready")).expect("it is ready");
        let address = ready.split("http://").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        let log: Arc<Mutex<String>> = Arc::default();
        let theirs = log.clone();
        thread::spawn(move || lines.for_each(|line| theirs.lock().expect("nobody panics").push_str(&(line + "\n"))));
        Place { folder, address: address.expect("an address"), started, first, log }
    }

    /// What all of them have said.
    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics").clone()
    }

    /// The one that serves. It writes that down a moment after the first is served.
    pub fn process(&self) -> i32 {
        assert!(comes_to_be(|| self.noted().is_some()), "it says which it is");
        self.noted().expect("it does not go meanwhile")
    }

    /// What the note says, if it is there.
    fn noted(&self) -> Option<i32> {
        let note = fs::read_to_string(self.folder.join("data/hythe.pid")).ok()?;
        note.lines().next()?.parse().ok()
    }

    /// Waits until the one that serves has so many bodies to receive.
    pub fn receives(&self, bodies: usize) {
        let line = format!("\nhythe_connections_by_state{{state=\"sending a body\"}} {bodies}\n");
        let numbers =
            || ask_with(self.address, "GET /metrics", "Authorization: Bearer operator-of-the-upgrade\r\n", b"");
        assert!(comes_to_be(|| numbers().contains(&line)), "{}", numbers());
    }

    pub fn upgrade(&self) -> (i32, String) {
        self.upgrade_by(&["--config", "etc/hythe.toml"])
    }

    pub fn upgrade_by(&self, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
        let Output { status, stdout, stderr } =
            command.current_dir(&self.folder).arg("upgrade").args(words).output().expect("it runs");
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        (status.code().expect("it ends by itself"), said)
    }

    /// Has the one that serves end, and waits for it.
    pub fn stop(&self) {
        // The first may not have written it down yet.
        let first = Some(self.first.process).filter(|_| !self.first.has_ended.load(Ordering::SeqCst));
        let Some(pid) = self.noted().or(first).and_then(Pid::from_raw) else { return };
        let _ = kill_process(pid, Signal::TERM);
        comes_to_be(|| test_kill_process(pid).is_err());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            println!("{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// How long whatever must come may take: longer than anything does on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, as long as that lasts, until something is so.
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

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// What is answered to a line and a body, to the end of the connection.
pub fn ask_with(address: SocketAddr, line: &str, fields: &str, body: &[u8]) -> String {
    let mut socket = connect(address);
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{fields}", address.port());
    let head = if length > 0 { format!("{head}Content-Length: {length}\r\n\r\n") } else { format!("{head}\r\n") };
    socket.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

pub fn ask(address: SocketAddr, line: &str) -> String {
    ask_with(address, line, "", b"")
}
