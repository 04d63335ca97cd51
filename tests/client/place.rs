//! Where a test takes place: a server of its own, and people who each have a folder and a memory of their own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const HYTHE: &str = env!("CARGO_BIN_EXE_hythe");

/// A server that runs until the test is over.
pub struct House {
    pub url: String,
    pub folder: PathBuf,
    child: Child,
}

impl House {
    pub fn open(name: &str) -> House {
        House::open_with(name, &[])
    }

    pub fn open_with(name: &str, flags: &[&str]) -> House {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("server")).unwrap();
        let mut command = Command::new(HYTHE);
        command.args(["--listen", "127.0.0.1:0"]).args(flags).env_clear().current_dir(folder.join("server"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("hythe is ready on ")?.to_owned()));
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let url = url.expect("the server starts").trim_end_matches('/').to_owned();
        House { url, folder, child }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Someone who uses this server.
    pub fn person(&self, name: &str) -> Person {
        let home = self.folder.join(name);
        fs::create_dir_all(&home).unwrap();
        Person { home, url: self.url.clone(), variables: Vec::new() }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Someone with a folder and a memory.
#[derive(Clone)]
pub struct Person {
    pub home: PathBuf,
    pub url: String,
    pub variables: Vec<(String, String)>,
}

impl Person {
    /// Someone who talks to what is no house of ours.
    pub fn at(name: &str, url: &str) -> Person {
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{name}"));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).unwrap();
        Person { home, url: url.to_owned(), variables: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: &str) -> Person {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let state = self.home.join("state").display().to_string();
        let mut all = vec![("HYTHE_URL".into(), self.url.clone()), ("XDG_STATE_HOME".into(), state)];
        all.extend(self.variables.clone());
        all
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(HYTHE);
        command.args(words).env_clear().envs(self.environment()).current_dir(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command; words are split at spaces.
    pub fn run(&self, line: &str) -> Told {
        Told::of(self.command(&line.split(' ').collect::<Vec<_>>()).output().unwrap())
    }

    /// Runs a command with something on its stdin.
    pub fn run_with(&self, line: &str, input: &[u8]) -> Told {
        let mut command = self.command(&line.split(' ').collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let told = Told::of(child.wait_with_output().unwrap());
        let _ = writer.join();
        told
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Person {
        fs::write(self.home.join(name), bytes).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn has(&self, name: &str) -> bool {
        self.home.join(name).exists()
    }
}

/// What a command said, and the number it ended with.
pub struct Told {
    pub code: i32,
    pub out: String,
    pub bytes: Vec<u8>,
    pub err: String,
}

impl Told {
    pub fn of(output: Output) -> Told {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Told {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
            bytes: output.stdout,
        }
    }

    /// It did what it was asked, without a word to stderr.
    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// It ended with a number and one sentence.
    #[track_caller]
    pub fn ends(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{says}: {}{}", self.err, self.out);
        assert!(self.err.starts_with("hythe: ") && self.err.contains(says), "{says}: {}", self.err);
        assert_eq!(self.err.matches('\n').count(), 1, "{}", self.err);
    }

    /// The lines of stdout as JSON.
    #[track_caller]
    pub fn objects(&self) -> Vec<serde_json::Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
            .collect()
    }
}

/// Bytes that compress badly and differ everywhere.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Waits for something that comes by itself, longer than anything takes on a machine that is busy with something else.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether only its owner may read a file.
pub fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}
