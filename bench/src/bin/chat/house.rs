//! A server to be measured: hythe or a floor, on a core of its own, in a folder of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
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
    shows_turns: bool,
    pub address: SocketAddr,
}

impl House {
    /// Starts one. If it `shows_turns`, what it says of its long turns is shown.
    pub fn open(kind: &Kind, hythe: &str, shows_turns: bool) -> io::Result<House> {
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
                command.args(["--keepalive", "600s", "--log-level", if shows_turns { "debug" } else { "warn" }]);
            }
            Kind::Floor(how) => {
                command.arg(std::env::current_exe()?).args(["--floor", how]);
            }
        }
        // Into a file, so that it never waits for us.
        let log = folder.join("log");
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut child = command.spawn()?;
        let address = loop {
            let said = fs::read_to_string(&log)?;
            let found = said.split_once("http://").and_then(|(_, rest)| rest.split_once([' ', '/', '\n', ',']));
            if let Some(address) = found.and_then(|(text, _)| text.parse().ok()) {
                break address;
            }
            if child.try_wait()?.is_some() {
                return Err(io::Error::other("it ended before it was ready"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let keeps = matches!(kind, Kind::Hythe(_));
        Ok(House { child, folder, keeps, shows_turns, address })
    }

    /// A figure of the server's metrics, by its name; 0 if there are none.
    pub fn metric(&self, name: &str) -> u64 {
        let told = self.metrics();
        let value = |line: &str| line.strip_prefix("hythe_")?.strip_prefix(name)?.trim().parse().ok();
        told.lines().find_map(value).unwrap_or(0)
    }

    /// How many turns of the loop were no longer than so many milliseconds, by bound; the last has none.
    pub fn turns(&self) -> Vec<(f64, u64)> {
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix("hythe_loop_turn_seconds_bucket{le=\"")?.split_once("\"} ")?;
            let bound_ms = if bound == "+Inf" { f64::INFINITY } else { bound.parse::<f64>().ok()? * 1e3 };
            Some((bound_ms, count.trim().parse().ok()?))
        };
        self.metrics().lines().filter_map(bucket).collect()
    }

    fn metrics(&self) -> String {
        if !self.keeps {
            return String::new();
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
        ask().unwrap_or_default()
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
        if self.shows_turns {
            let said = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            said.lines().filter(|line| line.contains("a turn took")).for_each(|line| eprintln!("{line}"));
        }
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
