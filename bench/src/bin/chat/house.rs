//! A server to be measured: hythe or a floor, on a core of its own, in a folder of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
        Ok(House { child, folder, address })
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
