//! A server to be measured: hythe or a floor, on a core of its own, in a folder of its own.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// hythe, with its `--chat-sync`.
    Hythe(&'static str),
    /// The floor of that name.
    Floor(&'static str),
}

/// A running server.
pub struct House {
    child: Child,
    folder: PathBuf,
    /// Whether it has a ledger.
    keeps: bool,
    pub address: SocketAddr,
}

impl House {
    pub fn open(kind: &Kind, hythe: &str) -> io::Result<House> {
        let folder = std::env::temp_dir().join(format!("hythe-chat-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("www"))?;
        fs::write(folder.join("www/page.bin"), [b'x'; 1024])?;
        // The server's core; ours is another.
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        match kind {
            Kind::Hythe(sync) => {
                command.arg(fs::canonicalize(hythe)?).args(["serve", "--listen", "127.0.0.1:0", "--chat-sync", sync]);
                command.args(["--send-rate", "0", "--keepalive-requests", "0", "--max-connections", "0"]);
                command.args(["--keepalive", "600s", "--log-level", "warn"]);
            }
            Kind::Floor(how) => {
                command.arg(std::env::current_exe()?).args(["--floor", how]);
            }
        }
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err(io::Error::other("it ended before it was ready"));
            }
            let found = line.split("http://").nth(1).and_then(|rest| rest.split([' ', '/', '\n', ',']).next());
            if let Some(address) = found.and_then(|text| text.parse().ok()) {
                break address;
            }
        };
        // What it says later is read away, so that it never waits for us.
        std::thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        Ok(House { child, folder, keeps: matches!(kind, Kind::Hythe(_)), address })
    }

    /// A figure of the server's metrics, by its name; 0 if there are none.
    pub fn metric(&self, name: &str) -> u64 {
        if !self.keeps {
            return 0;
        }
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let head = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
            stream.write_all(head.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let told = ask().unwrap_or_default();
        let value = |line: &str| line.strip_prefix("hythe_")?.strip_prefix(name)?.trim().parse().ok();
        told.lines().find_map(value).unwrap_or(0)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// As many descriptors as the system gives.
pub fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// This process runs on that core from now on.
pub fn stay_on_core(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
