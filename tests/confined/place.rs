//! A folder of a test's own, and servers in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long whatever must come may take: longer than anything does on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes when the test does.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("hythe-confined-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder can be made");
        Folder(folder)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hythe"));
        command.current_dir(&self.0).args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().expect("it starts");
        let errors = child.stderr.take().expect("stderr was asked for");
        let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
        let mut said = String::new();
        for line in lines.by_ref() {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("hythe is ready") {
                break;
            }
        }
        let address = said.rsplit_once("ready on http://").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        let address = address.unwrap_or_else(|| panic!("it is ready: {said}"));
        let log = Arc::new(Mutex::new(said));
        let theirs = log.clone();
        thread::spawn(move || lines.for_each(|line| theirs.lock().unwrap().push_str(&(line + "\n"))));
        Running { child, address, log }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is ready, and is stopped in good order.
pub struct Running {
    pub child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// A line of `/proc/PID/status`.
    pub fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
        line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let latest = Instant::now() + PATIENCE;
        while Instant::now() < latest {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers, to the end of the connection.
pub fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (line, rest) = request.split_once("\r\n").unwrap_or((request, "\r\n"));
    let request = format!("{line} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{rest}", address.port());
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

/// Waits, a bounded time, until something holds.
pub fn wait_for(what: impl Fn() -> bool, why: &str) {
    let latest = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < latest, "{why}");
        thread::sleep(Duration::from_millis(10));
    }
}
