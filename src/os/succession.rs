//! Replacing the binary: the one that serves starts its successor, hands over its listeners and its hold on the data folder, and
//! goes when the successor says that it could serve.
//!
//! The two speak over a socket that is the successor's stdin at its start:
//!
//! 1. old to new: the descriptors, and what else the new one must know;
//! 2. new to old: *ready*, when nothing is left that could keep it from serving. If it ends before, the old one goes on; a sentence
//!    in its place says why;
//! 3. the old one accepts what has reached its listeners, closes them, and begins to drain;
//! 4. old to new: *go*, when what was in its ledger's and its hashers' hands is done, at the latest after a second. From then on
//!    it keeps no chat messages, so the ids that the new one has seen are all there are. What newcomers there were meanwhile wait in
//!    the kernel, in listeners that never close;
//! 5. the new one reads what is in the ledger, and serves.
//!
//! Uploads that are under way end in the old one, within its `drain`. What it writes down of them the new one notices as it does any
//! other process's changes. An old one that dies on the way is as good as one that says *go*.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::os::process;

/// Tells a process that its stdin is such a socket. No key of the configuration can have this name.
const VARIABLE: &str = "_HYTHE_HANDOVER";

/// What that says where a sentence is understood as well. To earlier versions any word means *ready*.
const TAKES_SENTENCES: &str = "2";

/// The longest sentence that is taken.
const SENTENCE_MAX: u64 = 4 << 10;

/// How long a successor may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long one that is not ready and has closed its end of the socket may take to end.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// How long one that serves may take until it has written down which process it is.
const NOTED_WITHIN: Duration = Duration::from_millis(500);

/// How long it waits for the word to go: the old one says it within a second, unless it hangs.
const GO_WITHIN: Duration = Duration::from_secs(10);

/// Descriptors in one message: listeners, and the hold on the data folder.
const DESCRIPTORS_MAX: usize = 80;

const READY: &[u8] = b"R";
const GO: &[u8] = b"G";
const SENTENCE: &[u8] = b"S";

/// A listener that is handed over, and whether it only leads to another.
pub struct Given {
    /// It listens.
    pub socket: OwnedFd,
    /// Its only answer is where the encrypted one is.
    pub is_detour: bool,
}

/// What a successor is given.
pub struct Handover {
    stream: UnixStream,
    /// The listeners.
    pub listeners: Vec<Given>,
    /// The hold on the data folder, shared with the old one.
    pub held: OwnedFd,
    /// By which version of Landlock this process was born confined.
    pub landlock: Option<u32>,
}

impl Handover {
    /// What this process is given, if it was started to take another's place. To be asked first of all.
    ///
    /// # Errors
    /// A sentence, if it was and there is something wrong with it.
    pub fn receive() -> Result<Option<Handover>, String> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let wrong = |error: &dyn std::fmt::Display| format!("cannot take over from the one before: {error}");
        let stdin = rustix::stdio::stdin();
        let stream = stdin.try_clone_to_owned().map(UnixStream::from).map_err(|error| wrong(&error))?;
        let null = fs::File::open("/dev/null").map_err(|error| wrong(&error))?;
        rustix::stdio::dup2_stdin(&null).map_err(|error| wrong(&error))?;
        take(stream).map(Some).map_err(|error| wrong(&error))
    }

    /// What this process can say in place of *ready*, if that is understood.
    pub fn excuse(&self) -> Option<Excuse> {
        let is_understood = std::env::var_os(VARIABLE).is_some_and(|value| value == TAKES_SENTENCES);
        if is_understood { self.stream.try_clone().map(Excuse).ok() } else { None }
    }

    /// Says that nothing is left that could keep this process from serving, and waits for the word to go.
    pub fn say_ready(mut self) {
        let told = self.stream.set_read_timeout(Some(GO_WITHIN)).and_then(|()| self.stream.write_all(READY));
        // Whatever ends the wait, there is nobody else who serves.
        if let Err(error) = told.and_then(|()| self.stream.read(&mut [0]).map(drop)) {
            log::warn!("the one before says nothing more: {error}");
        }
    }
}

/// Tells the one before why this process will not take its place.
pub struct Excuse(UnixStream);

impl Excuse {
    /// Tells it.
    pub fn tell(mut self, sentence: &str) {
        // Whoever is gone asks no more.
        let _ = self.0.write_all(&[SENTENCE, sentence.as_bytes()].concat());
    }
}

fn take(stream: UnixStream) -> io::Result<Handover> {
    let mut text = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(&stream, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags)?;
    let given: Vec<OwnedFd> = ancillary
        .drain()
        .flat_map(|part| match part {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        })
        .collect();
    let numbers = std::str::from_utf8(&text[..message.bytes]).ok().and_then(|text| {
        let (detours, landlock) = text.split_once(' ')?;
        Some((detours.parse::<usize>().ok()?, landlock.parse::<u32>().ok()?))
    });
    let mut given = given.into_iter();
    let (Some(held), Some((detours, landlock))) = (given.next(), numbers) else {
        return Err(io::Error::other("it says nothing that can be understood"));
    };
    let plain = given.len().saturating_sub(detours);
    let listeners = given.enumerate().map(|(at, socket)| Given { socket, is_detour: at >= plain }).collect();
    Ok(Handover { stream, listeners, held, landlock: Some(landlock).filter(|&version| version > 0) })
}

/// How a successor is started.
pub struct Successor {
    program: OsString,
    arguments: Vec<OsString>,
    held: OwnedFd,
    landlock: Option<u32>,
    note: Note,
    attempts: u32,
}

/// One that is ready.
pub(super) struct Ready {
    child: Child,
    stream: UnixStream,
}

impl Successor {
    /// The program that this process was started as, with the same words. To be asked before it is replaced. `held` is the hold on
    /// the data folder, `landlock` what confines us, and `note` where it stands who serves.
    ///
    /// # Errors
    /// If the hold cannot be shared.
    pub fn new(held: BorrowedFd<'_>, landlock: Option<u32>, note: Note) -> io::Result<Successor> {
        let mut words = std::env::args_os();
        let named = words.next().unwrap_or_default();
        Ok(Successor {
            program: program(&named),
            arguments: words.collect(),
            held: held.try_clone_to_owned()?,
            landlock,
            note,
            attempts: 0,
        })
    }

    /// Starts it, and waits until it is ready. `listeners` are given away with it, those that only lead elsewhere last.
    ///
    /// # Errors
    /// A sentence on why there is none.
    pub(super) fn start(&mut self, listeners: &[Given]) -> Result<Ready, String> {
        self.attempts += 1;
        let started = self.try_start(listeners);
        if let Err(sentence) = &started {
            self.note.complain(self.attempts, sentence);
        }
        started
    }

    fn try_start(&self, listeners: &[Given]) -> Result<Ready, String> {
        let shown = self.program.display();
        let (mut stream, theirs) = UnixStream::pair().map_err(|error| format!("cannot make a socket: {error}"))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(VARIABLE, TAKES_SENTENCES).stdin(Stdio::from(OwnedFd::from(theirs)));
        // What is said by number of this process or its descriptors is not for the next.
        for variable in ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(variable);
        }
        let mut child = command.spawn().map_err(|error| format!("cannot start {shown}: {error}"))?;
        // It holds the other end of the socket too.
        drop(command);
        let ready = self.give(&stream, listeners).and_then(|()| {
            stream.set_read_timeout(Some(READY_WITHIN))?;
            let mut word = [0];
            stream.read_exact(&mut word).map(|()| word)
        });
        match ready {
            Ok(word) if word == READY => Ok(Ready { child, stream }),
            other => {
                let is_late = other.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                let mut sentence = Vec::new();
                if other.is_ok() {
                    // It ends with the sentence. As much as came is told.
                    let _ = stream.set_read_timeout(Some(ENDED_WITHIN));
                    let _ = (&stream).take(SENTENCE_MAX).read_to_end(&mut sentence);
                }
                // One that has closed its end is about to end by itself, and its own status says more than our signal.
                if !is_late {
                    let _ = process::insist(ENDED_WITHIN, || child.try_wait().transpose());
                }
                let _ = child.kill();
                let ended = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                if is_late {
                    return Err(format!("{shown} was not ready within {READY_WITHIN:?}"));
                }
                // It becomes a line of the note.
                let sentence = String::from_utf8_lossy(&sentence).replace(['\n', '\r'], " ");
                let colon = if sentence.is_empty() { "" } else { ": " };
                Err(format!("{shown} ended before it was ready ({ended}){colon}{sentence}"))
            }
        }
    }

    fn give(&self, stream: &UnixStream, listeners: &[Given]) -> io::Result<()> {
        let detours = listeners.iter().filter(|given| given.is_detour).count();
        let text = format!("{detours} {}", self.landlock.unwrap_or(0));
        let given: Vec<BorrowedFd<'_>> =
            [self.held.as_fd()].into_iter().chain(listeners.iter().map(|given| given.socket.as_fd())).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&given)) {
            return Err(io::Error::other("there are too many listeners to give"));
        }
        sendmsg(stream, &[IoSlice::new(text.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Ready {
    /// Its number.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Says that it may serve now.
    pub(super) fn say_go(mut self) {
        if let Err(error) = self.stream.write_all(GO) {
            log::error!("the new server is gone before it served: {error}");
        }
    }

    /// It is not wanted any more.
    pub(super) fn send_away(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By its name as it was called, if that names a place (it may be a link to the newest); else the file that runs.
fn program(named: &OsString) -> OsString {
    let is_place = named.to_string_lossy().contains('/');
    match std::env::current_exe() {
        Ok(path) if !is_place => path.into(),
        _ => named.clone(),
    }
}

/// The file in the data folder that says which process serves; its second line, why a successor did not.
#[derive(Clone)]
pub struct Note(PathBuf);

impl Note {
    /// The one of a data folder.
    pub fn of(data: &Path) -> Note {
        Note(data.join("hythe.pid"))
    }

    /// This process serves.
    pub fn begin(&self) {
        self.write(&format!("{}\n", std::process::id()));
    }

    /// This process serves no longer. If another does already, the note is its.
    pub fn end(&self) {
        if self.process() == Some(std::process::id()) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn complain(&self, attempt: u32, sentence: &str) {
        self.write(&format!("{}\nattempt {attempt}: {sentence}\n", std::process::id()));
    }

    fn write(&self, text: &str) {
        let beside = self.0.with_extension("pid.new");
        let mut options = fs::File::options();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let written =
            opened.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&beside, &self.0));
        if let Err(error) = written {
            log::warn!("cannot write {}: {error}", self.0.display());
        }
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }

    fn process(&self) -> Option<u32> {
        self.read().lines().next()?.parse().ok()
    }
}

/// Who serves. One that has only just begun says so in a moment: its first moments belong to who is waiting at its door.
fn first_process(note: &Note) -> Option<u32> {
    let latest = Instant::now() + NOTED_WITHIN;
    loop {
        let process = note.process();
        if process.is_some() || Instant::now() > latest {
            return process;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks the server of a data folder to give way to a successor, and waits until that serves. Says which process does now.
///
/// # Errors
/// A sentence on why none does; the old one goes on then.
pub fn replace(data: &Path) -> Result<u32, String> {
    let note = Note::of(data);
    let before = note.read();
    let pid = |process: u32| Pid::from_raw(process.cast_signed()).ok_or("its number is none".to_owned());
    let old = first_process(&note).ok_or_else(|| format!("nothing says which hythe works in {}", data.display()))?;
    kill_process(pid(old)?, Signal::USR2).map_err(|error| format!("cannot ask the process {old}: {error}"))?;
    let latest = Instant::now() + READY_WITHIN + GO_WITHIN;
    while Instant::now() < latest {
        std::thread::sleep(Duration::from_millis(10));
        let now = note.read();
        if now == before {
            if rustix::process::test_kill_process(pid(old)?).is_err() {
                return Err(format!("the process {old} has ended"));
            }
            continue;
        }
        match note.process() {
            Some(process) if process != old => return Ok(process),
            _ => {}
        }
        if let Some((_, sentence)) = now.lines().nth(1).and_then(|line| line.split_once(": ")) {
            return Err(format!("{sentence}; the process {old} goes on"));
        }
    }
    Err(format!("the process {old} has not given way in time"))
}
