//! A house: one running server in a folder of its own, with a `www` whose every byte is known.
//!
//! Dropping it asks the server to stop, waits a bounded time and takes the folder away. A server that panicked, that
//! would not stop, or that ended with anything but 0 fails the test that held it last.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to stop once asked, on whatever machine.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// How long it would wait for those it still serves: longer than that, so that a server which waits for nobody's good shows itself.
const DRAIN: [&str; 2] = ["--drain", "2m"];

/// When every file of `www` was last changed: half a second past the start of 2020, so that a server which keeps more
/// than whole seconds shows itself.
pub const CHANGED: Duration = Duration::from_millis(1_577_836_800_500);
/// The same, as a header field says it.
pub const CHANGED_TEXT: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

pub const INDEX: &str = "<!doctype html>\n<title>index</title>\n<p>The index.\n";
pub const PAGE: &str = "<!doctype html>\n<title>page</title>\n<p>A page.\n";
pub const SUB_INDEX: &str = "<!doctype html>\n<title>sub</title>\n<p>Further down.\n";
pub const HELLO: &str = "Hello from a file.\n";
pub const STYLE: &str = "body { margin: 0; color: #222; }\nmain { max-width: 40em; }\n";
/// What lies in `style.css.gz` and `style.css.br`: the server sends siblings as they are, so they need not unpack.
pub const STYLE_GZ: &str = "these bytes stand for gzip";
pub const STYLE_BR: &str = "these stand for brotli";
pub const SCRIPT: &str = "document.title = 'app';\n";
pub const SECRET: &str = "nobody may read this\n";

/// `data.bin`: 1,000 bytes in which no two stretches of 251 look alike to an off-by-one.
pub fn data() -> Vec<u8> {
    (0..1000u32).map(|at| (at % 251) as u8).collect()
}

/// `big.bin`: 300 KiB, more than is kept on any shelf.
pub fn big() -> Vec<u8> {
    (0..300 * 1024u32).map(|at| (at % 241) as u8 ^ (at / 1024) as u8).collect()
}

/// A running server.
pub struct House {
    folder: PathBuf,
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    flags: Vec<String>,
}

impl House {
    /// The house most tests live in, started by whoever comes first and stopped by whoever leaves last.
    pub fn usual() -> Arc<House> {
        static SHARED: Mutex<Weak<House>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let house = Arc::new(House::open(&[]));
            *shared = Arc::downgrade(&house);
            house
        })
    }

    /// A house of one's own, without a limit on how often one may post.
    pub fn open(flags: &[&str]) -> House {
        House::with_default_rates(&[&["--send-rate", "0"], flags].concat())
    }

    /// A house of one's own, with `flags` and the folders, and all else as it comes.
    pub fn with_default_rates(flags: &[&str]) -> House {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("hythe-live-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder for the house");
        furnish(&folder);

        let log = Arc::default();
        let (child, port, reader) = launch(&folder, flags, &log);
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        House { folder, child, port, log, reader: Some(reader), flags }
    }

    /// Kills the server as `kill -9` does, in whatever it is, and starts another in the same folder, on another port.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Starts a server where there is none any more.
    pub fn restart(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let (child, port, reader) = launch(&self.folder, &flags, &self.log);
        (self.child, self.port, self.reader) = (child, port, Some(reader));
    }

    /// Kills the server; nothing is left of it but its folder.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("and is gone then");
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server has written on stderr so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to stop, as `kill` does.
    pub fn ask_to_stop(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Tells the server that its logs have been moved away.
    pub fn ask_to_reopen_logs(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::HUP);
    }

    /// Waits, a bounded time, for the server to end by itself.
    pub fn wait_for_the_end(&mut self) -> Option<ExitStatus> {
        let latest = Instant::now() + STOPPED_WITHIN;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < latest => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let mut complaints = Vec::new();
        let ended_early = self.child.try_wait().ok().flatten();
        if ended_early.is_none() {
            self.ask_to_stop();
        }
        match self.wait_for_the_end() {
            Some(status) if status.success() => {}
            Some(status) => complaints.push(format!("the server ended with {status}")),
            None => {
                complaints.push(format!("the server did not stop within {STOPPED_WITHIN:?} of SIGTERM"));
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let _ = fs::remove_dir_all(&self.folder);
        let log = self.log();
        if log.contains("panicked") {
            complaints.push("the server panicked".to_owned());
        }
        if !complaints.is_empty() && !thread::panicking() {
            panic!("{}; its stderr:\n{log}", complaints.join("; "));
        }
    }
}

/// Starts a server in a folder; says where it listens when it is ready.
fn launch(folder: &Path, flags: &[&str], log: &Arc<Mutex<Vec<u8>>>) -> (Child, u16, JoinHandle<()>) {
    let binary = env::var_os("HYTHE_LIVE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_hythe").into());
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HYTHE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.args(["serve", "--www", "www", "--uploads", "uploads", "--data", "data"]);
    if !flags.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    if !flags.contains(&"--drain") {
        command.args(DRAIN);
    }
    command.args(flags);
    let mut child = command.spawn().expect("the server's binary starts");

    let (told, hear) = mpsc::channel();
    let errors = child.stderr.take().expect("stderr was asked for");
    let reader = thread::spawn({
        let log = Arc::clone(log);
        move || {
            let mut lines = BufReader::new(errors);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if let Some(port) = port_in(&line) {
                    let _ = told.send(port);
                }
                log.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
            }
        }
    });
    let shown = || String::from_utf8_lossy(&log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    let port = match hear.recv_timeout(READY_WITHIN) {
        Ok(port) => port,
        Err(failed) => {
            let _ = child.kill();
            let _ = child.wait();
            match failed {
                RecvTimeoutError::Timeout => panic!("no ready line within {READY_WITHIN:?}; stderr:\n{}", shown()),
                RecvTimeoutError::Disconnected => panic!("it ended before it was ready; stderr:\n{}", shown()),
            }
        }
    };
    (child, port, reader)
}

/// The port in a line that tells `http://host:port`, or `https` of it.
fn port_in(line: &[u8]) -> Option<u16> {
    let line = String::from_utf8_lossy(line);
    let (_, rest) = line.split_once("http")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://")?;
    let authority = rest.split(|c: char| c.is_whitespace() || "/,;)'\"".contains(c)).next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

/// Makes the folder's `www`, and beside it what must never be served from there.
fn furnish(folder: &Path) {
    let www = folder.join("www");
    for sub in ["", "sub", "bare", "with space", "evil.test", ".git", ".well-known"] {
        fs::create_dir_all(www.join(sub)).expect("a folder in www");
    }
    fs::create_dir(folder.join("outside")).expect("a folder beside www");

    let texts = [
        ("index.html", INDEX),
        ("page.html", PAGE),
        ("hello.txt", HELLO),
        ("style.css", STYLE),
        ("style.css.gz", STYLE_GZ),
        ("style.css.br", STYLE_BR),
        ("app.js", SCRIPT),
        ("empty.dat", ""),
        ("sub/index.html", SUB_INDEX),
        ("sub/page.html", PAGE),
        ("sub/.hidden", SECRET),
        ("bare/note.md", "# A note\n"),
        ("with space/index.html", SUB_INDEX),
        ("evil.test/index.html", SUB_INDEX),
        (".secret", SECRET),
        (".git/config", SECRET),
        (".well-known/security.html", PAGE),
        (".well-known/.hidden", SECRET),
        ("two words.html", PAGE),
        ("grüße.html", PAGE),
        ("100%.html", PAGE),
        ("plus+sign.html", PAGE),
        ("a&b='c';d.html", PAGE),
        ("SHOUTED.HTML", PAGE),
        ("photo.jpg", "not really a photo"),
        ("photo.jpeg", "nor this"),
        ("PHOTO.JPG", "nor this one"),
        ("pixel.png", "not really an image"),
        ("drawing.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        ("facts.json", "{\"a\":1}"),
        ("face.woff2", "not really a font"),
        ("code.wasm", "not really code"),
        ("paper.pdf", "not really a paper"),
        ("clip.mp4", "not really a clip"),
        ("thing.zzz", "nobody knows this kind"),
        ("LICENSE", "no extension at all"),
        ("module.mjs", SCRIPT),
        ("picture.webp", "not really a picture"),
        ("icon.ico", "not really an icon"),
        ("feed.xml", "<feed/>"),
    ];
    for (name, text) in texts {
        put(&www.join(name), text.as_bytes());
    }
    put(&www.join("data.bin"), &data());
    put(&www.join("big.bin"), &big());
    put(&www.join("ahead.txt"), HELLO.as_bytes());
    let ahead = File::options().append(true).open(www.join("ahead.txt")).expect("a file of the house");
    ahead.set_modified(SystemTime::now() + Duration::from_secs(86_400)).expect("a time to come");
    put(&folder.join("outside.html"), SECRET.as_bytes());
    put(&folder.join("outside/page.html"), SECRET.as_bytes());

    for (name, to) in [
        ("inside-link.html", "page.html"),
        ("inside-folder", "sub"),
        ("roundabout.html", "sub/../page.html"),
        ("outside-link.html", "../outside.html"),
        ("outside-folder", "../outside"),
        ("system-link", "/etc"),
        ("dangling.html", "nowhere.html"),
        ("loop.html", "loop.html"),
    ] {
        symlink(to, www.join(name)).expect("a symbolic link");
    }
    symlink(www.join("page.html"), www.join("absolute-inside.html")).expect("a symbolic link");
    mknodat(CWD, www.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    drop(UnixListener::bind(www.join("socket")).expect("a socket's name"));
}

fn put(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).expect("a file of the house");
    file.write_all(bytes).expect("its bytes");
    file.set_modified(SystemTime::UNIX_EPOCH + CHANGED).expect("its time");
}
