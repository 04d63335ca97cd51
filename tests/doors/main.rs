//! The ways in beside a TCP address: Unix sockets, listeners that a service manager hands over, and the word to it; and the
//! data folder, which takes one server at a time.

mod proxied;
mod watched;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long whatever must come may take: longer than anything does on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

const BINARY: &str = env!("CARGO_BIN_EXE_hythe");

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("hythe-doors-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder can be made");
        Folder(folder)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.0).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a server that must refuse, and gives what it says and its code.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(BINARY, arguments).output().expect("it starts");
        (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is ready, and is stopped in good order.
struct Running(Child, String);

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.spawn().expect("it starts");
        let errors = child.stderr.take().expect("stderr was asked for");
        let mut lines = BufReader::new(errors).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("hythe is ready"));
        let ready = ready.expect("it is ready");
        // Whatever else it says is read, so that it never waits for us.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Running(child, ready)
    }

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        let address = self.1.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        address.and_then(|address| address.parse().ok()).expect("an address")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let latest = Instant::now() + PATIENCE;
        while Instant::now() < latest {
            if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(mut client: impl Read + Write) -> String {
    client
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn one_data_folder_takes_one_server() {
    let folder = Folder::new("taken");
    let first = Running::start(folder.command(BINARY, &["--listen", "127.0.0.1:0"]));
    let (code, said) = folder.refused(&["--listen", "127.0.0.1:0"]);
    assert_eq!(code, 73, "{said}");
    assert!(said.contains("another hythe works in the data folder"), "{said}");
    drop(first);
    let _again = Running::start(folder.command(BINARY, &["--listen", "127.0.0.1:0"]));
}

#[test]
fn a_unix_socket_is_served_and_one_that_was_left_behind_is_replaced() {
    let folder = Folder::new("unix");
    let path = folder.0.join("h.sock");
    drop(UnixListener::bind(&path).expect("a socket that nobody listens on any more"));
    let words = ["--listen", "127.0.0.1:0", "--unix", "h.sock"];
    let server = Running::start(folder.command(BINARY, &words));
    let answer = ask(UnixStream::connect(&path).expect("it listens"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o660);
    let other = Folder::new("unix-other");
    let (code, said) = other.refused(&["--listen", "127.0.0.1:0", "--unix", text(&path)]);
    assert_eq!(code, 71, "{said}");
    assert!(said.contains("is in use by another program, or is no socket"), "{said}");
    drop(server);
    fs::write(other.0.join("file"), "not a socket").expect("written");
    let (code, said) = other.refused(&["--listen", "127.0.0.1:0", "--unix", "file"]);
    assert_eq!(code, 71, "{said}");
    assert_eq!(fs::read_to_string(other.0.join("file")).expect("it is still there"), "not a socket");
}

#[test]
fn what_is_handed_over_and_no_listener_is_refused() {
    let folder = Folder::new("handed-wrong");
    fs::write(folder.0.join("file"), "x").expect("written");
    for (opened, says) in [
        ("exec 3<file;", "the descriptor 3, which is no listening socket"),
        ("exec 3>&-;", "names descriptors that are none"),
    ] {
        let script = format!("{opened} LISTEN_PID=$$ LISTEN_FDS=1 exec {BINARY} serve");
        let output = folder.command("sh", &["-c", &script]).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_listener_that_is_handed_over_is_served_and_the_manager_hears_of_it() {
    let folder = Folder::new("handed");
    let manager = UnixDatagram::bind(folder.0.join("notify")).expect("a socket");
    // Whoever hears must go on hearing, or there is no room for the last word.
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok(read) = manager.recv(&mut buffer) {
            let words = String::from_utf8_lossy(&buffer[..read]);
            if words.lines().map(str::to_owned).try_for_each(|line| tell.send(line)).is_err() {
                return;
            }
        }
    });
    let script = "import os, socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.bind('handed.sock')\n\
        s.listen(8)\n\
        os.dup2(os.dup(s.fileno()), 3)\n\
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n\
        os.execv(sys.argv[1], [sys.argv[1], 'serve', '--allow-host', 'localhost'])";
    let mut command = folder.command("python3", &["-c", script, BINARY]);
    command.env("NOTIFY_SOCKET", folder.0.join("notify")).env("WATCHDOG_USEC", "200000");
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return;
    }
    let server = Running::start(command);
    let answer = ask(UnixStream::connect(folder.0.join("handed.sock")).expect("it listens"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let hear = |wanted: &str| {
        let latest = Instant::now() + PATIENCE;
        while told.recv_timeout(PATIENCE).expect("a word in time") != wanted {
            assert!(Instant::now() < latest, "{wanted} was never said");
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    drop(server);
    hear("STOPPING=1");
}
