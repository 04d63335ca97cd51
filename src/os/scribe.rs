//! The scribe: a thread that writes lines to a file, so that a full disk or a stopped console never stalls the loop.
//!
//! Lines are handed over as one buffer; the scribe takes all that waits and writes it in one piece. What would wait beyond
//! [`WAITING_MAX`] is dropped and counted, and the count is told in the log itself when there is room again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::os::pool::STACK;

/// How much may wait for a slow disk.
const WAITING_MAX: usize = 8 << 20;

/// Where lines go; asked for again when the log is reopened.
pub type Sink = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

#[derive(Default)]
struct Desk {
    lines: Vec<u8>,
    dropped: u64,
    reopens: bool,
    closes: bool,
}

/// A handle to the thread; handles are cheap to copy.
#[derive(Clone)]
pub struct Scribe {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    thread: Arc<Mutex<Option<thread::JoinHandle<()>>>>,
}

impl Scribe {
    /// Opens the log and begins to write.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread can be had.
    pub fn start(mut sink: Sink) -> io::Result<Scribe> {
        let mut out = sink()?;
        let desk: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        let theirs = desk.clone();
        let thread = thread::Builder::new().name("hythe-log".into()).stack_size(STACK).spawn(move || {
            let mut taken = Vec::new();
            loop {
                let (dropped, reopens, closes) = wait(&theirs, &mut taken);
                // There is nowhere to tell that the log cannot be written; later lines may fit again.
                let _ = out.write_all(&taken).and_then(|()| out.flush());
                taken.clear();
                if taken.capacity() > 256 << 10 {
                    taken = Vec::new();
                }
                if dropped > 0 {
                    let _ =
                        writeln!(out, "{dropped} bytes of log were dropped: the log could not be written fast enough");
                }
                if reopens && let Ok(new) = sink() {
                    out = new;
                }
                if closes {
                    return;
                }
            }
        })?;
        Ok(Scribe { desk, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Hands lines over; leaves `lines` empty. Never waits for the log.
    pub fn take(&self, lines: &mut Vec<u8>) {
        self.with(|desk| {
            if desk.lines.len() + lines.len() > WAITING_MAX {
                desk.dropped += lines.len() as u64;
                lines.clear();
            } else if desk.lines.is_empty() {
                std::mem::swap(&mut desk.lines, lines);
            } else {
                desk.lines.append(lines);
            }
        });
    }

    /// Opens the log anew, after it was moved away.
    pub fn reopen(&self) {
        self.with(|desk| desk.reopens = true);
    }

    /// Writes what waits, and ends. A log that cannot be written delays this; the process ends all the same after its caller
    /// returns, if the thread is not waited for.
    pub fn close(&self) {
        self.with(|desk| desk.closes = true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the scribe has been told on stderr.
            let _ = thread.join();
        }
    }

    fn with(&self, act: impl FnOnce(&mut Desk)) {
        let (desk, bell) = &*self.desk;
        act(&mut desk.lock().unwrap_or_else(PoisonError::into_inner));
        bell.notify_one();
    }
}

fn wait(desk: &(Mutex<Desk>, Condvar), taken: &mut Vec<u8>) -> (u64, bool, bool) {
    let (desk, bell) = desk;
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    while desk.lines.is_empty() && !desk.reopens && !desk.closes {
        desk = bell.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::swap(&mut desk.lines, taken);
    (std::mem::take(&mut desk.dropped), std::mem::take(&mut desk.reopens), desk.closes)
}

impl Write for Scribe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(&mut bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_log_closes_and_reopening_loses_none() {
        let paper = Paper::default();
        let theirs = paper.clone();
        let scribe = Scribe::start(Box::new(move || Ok(Box::new(theirs.clone())))).unwrap();
        let mut expected = Vec::new();
        for number in 0..1000 {
            let line = format!("line {number}\n").into_bytes();
            expected.extend_from_slice(&line);
            scribe.clone().write_all(&line).unwrap();
            if number % 100 == 0 {
                scribe.reopen();
            }
        }
        scribe.close();
        assert!(*paper.0.lock().unwrap() == expected);
    }
}
