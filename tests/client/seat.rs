//! A command of the client at a pseudo-terminal.

use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::termios::{LocalFlags, tcgetattr};
use pty_process::blocking::{Command, Pty, open};

use crate::place::{HYTHE, Person, wait_until};

/// A command at a terminal.
pub struct Seat {
    pty: Arc<Pty>,
    child: Child,
    pub seen: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
    read: usize,
}

impl Seat {
    pub fn new(person: &Person, words: &[&str]) -> Seat {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(24, 100)).unwrap();
        let command = Command::new(HYTHE).args(words).env_clear().envs(person.environment()).env("TERM", "xterm");
        let child = command.current_dir(&person.home).spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let seen = Arc::new(Mutex::new(String::new()));
        let (theirs, screen) = (pty.clone(), seen.clone());
        let reader = thread::spawn(move || {
            let mut window = [0; 4096];
            // The end of the other side is an error here.
            while let Ok(read) = (&*theirs).read(&mut window) {
                if read == 0 {
                    return;
                }
                screen.lock().unwrap().push_str(&String::from_utf8_lossy(&window[..read]));
            }
        });
        Seat { pty, child, seen, reader: Some(reader), read: 0 }
    }

    /// Waits until something appears that was not there before.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> &mut Seat {
        let (seen, from) = (self.seen.clone(), self.read);
        let mut at = None;
        let found = || {
            at = seen.lock().unwrap()[from..].find(text);
            at.is_some()
        };
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut found = found;
        while !found() {
            assert!(std::time::Instant::now() < until, "{text:?} is not on the screen:\n{}", seen.lock().unwrap());
            thread::sleep(std::time::Duration::from_millis(10));
        }
        self.read = from + at.unwrap() + text.len();
        self
    }

    /// All that has appeared so far.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Whether the terminal shows what is typed, takes it line by line and interrupts who is asked to be.
    pub fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(&*self.pty).unwrap().local_flags;
        modes.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    pub fn types(&mut self, text: &str) -> &mut Seat {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
        self
    }

    #[track_caller]
    pub fn ends(&mut self, code: i32) -> String {
        let mut status = None;
        wait_until("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // With the last who holds the other side goes what is still to be read, and then the reader.
        self.reader.take().unwrap().join().unwrap();
        let seen = self.seen.lock().unwrap().clone();
        assert_eq!(status.unwrap().code(), Some(code), "{seen}");
        seen
    }
}
