//! The scribe: a thread that writes lines to a file, so that a full disk or a stopped console never stalls the loop.
//!
//! Lines are handed over as one buffer; the scribe takes all that waits and writes it in one piece. What would wait beyond
//! `WAITING_MAX` is dropped and counted, and the count is told in the log itself when there is room again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::os::pool::STACK;

/// How much may wait for a slow disk.
const WAITING_MAX: usize = 8 << 20;

/// How long the end of the process waits for a log that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where lines go; asked for again when the log is reopened.
pub type Sink = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

#[derive(Default)]
struct Desk {
    lines: Vec<u8>,
    dropped: u64,
    reopens: bool,
    closes: bool,
    /// Whether the thread is at what it has taken.
    is_writing: bool,
}

/// What writes: the thread, or whoever has the log before there is one.
struct Hand {
    sink: Sink,
    out: Box<dyn Write + Send>,
    lost: u64,
}

impl Hand {
    /// Writes what was taken, and forgets it.
    fn write(&mut self, taken: &mut Vec<u8>, dropped: u64) {
        self.lost += dropped;
        // There is nowhere to tell that the log cannot be written; later lines may fit again.
        if self.out.write_all(taken).and_then(|()| self.out.flush()).is_err() {
            self.lost += taken.len() as u64;
        }
        taken.clear();
        if taken.capacity() > 256 << 10 {
            *taken = Vec::new();
        }
        if self.lost > 0 && tell_loss(&mut self.out, self.lost).is_ok() {
            self.lost = 0;
        }
    }

    /// Opens the log anew; if it cannot be, the old goes on.
    fn reopen(&mut self) {
        if let Ok(new) = (self.sink)() {
            self.out = new;
        }
    }
}

/// Where the two sides meet.
#[derive(Default)]
struct Meeting {
    /// What will write when there is a thread.
    hand: Mutex<Option<Hand>>,
    desk: Mutex<Desk>,
    /// There is something to do.
    bell: Condvar,
    /// What was taken has been written.
    done: Condvar,
}

/// A handle to the thread; handles are cheap to copy.
#[derive(Clone)]
pub struct Scribe {
    meeting: Arc<Meeting>,
}

impl Scribe {
    /// Opens the log and begins to write.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread can be had.
    pub fn start(sink: Sink) -> io::Result<Scribe> {
        let scribe = Scribe::prepare(sink)?;
        scribe.begin()?;
        Ok(scribe)
    }

    /// Opens the log, and writes nothing before [`begin`](Scribe::begin) but what is waited for ([`catch_up`](Scribe::catch_up)):
    /// a start need not pay for a thread before anybody is served.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn prepare(mut sink: Sink) -> io::Result<Scribe> {
        let out = sink()?;
        let hand = Mutex::new(Some(Hand { sink, out, lost: 0 }));
        Ok(Scribe { meeting: Arc::new(Meeting { hand, ..Meeting::default() }) })
    }

    /// Begins to write, if that has not begun.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn begin(&self) -> io::Result<()> {
        let Some(mut hand) = self.meeting.hand().take() else { return Ok(()) };
        let theirs = self.meeting.clone();
        // It is not waited for when the process ends: a pipe that nobody empties holds it for ever.
        thread::Builder::new().name("hythe-log".into()).stack_size(STACK).spawn(move || {
            let mut taken = Vec::new();
            loop {
                let (dropped, reopens, closes) = theirs.wait(&mut taken);
                hand.write(&mut taken, dropped);
                if reopens {
                    hand.reopen();
                }
                if closes {
                    return;
                }
            }
        })?;
        Ok(())
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

    /// Waits until all that was handed over is written, unless the log takes nothing for too long. Where nobody has begun to write
    /// it is written here.
    pub fn catch_up(&self) {
        if let Some(hand) = &mut *self.meeting.hand() {
            let mut desk = self.meeting.desk();
            let (mut taken, dropped) = (std::mem::take(&mut desk.lines), std::mem::take(&mut desk.dropped));
            drop(desk);
            return hand.write(&mut taken, dropped);
        }
        let desk = self.meeting.desk();
        let is_behind = |desk: &mut Desk| desk.is_writing || !desk.lines.is_empty();
        // Who comes too late to be written has been given up.
        let _ = self.meeting.done.wait_timeout_while(desk, LAST_WORDS, is_behind);
    }

    /// Writes what waits, and ends. A log that takes nothing is not waited for for long.
    pub fn close(&self) {
        self.catch_up();
        self.with(|desk| desk.closes = true);
    }

    fn with(&self, act: impl FnOnce(&mut Desk)) {
        act(&mut self.meeting.desk());
        self.meeting.bell.notify_one();
    }
}

fn tell_loss(out: &mut impl Write, lost: u64) -> io::Result<()> {
    writeln!(out, "{lost} bytes of log were lost: the log could not be written, or not fast enough")?;
    out.flush()
}

impl Meeting {
    fn hand(&self) -> MutexGuard<'_, Option<Hand>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's side: what was taken before is written; waits for more.
    fn wait(&self, taken: &mut Vec<u8>) -> (u64, bool, bool) {
        let mut desk = self.desk();
        desk.is_writing = false;
        self.done.notify_all();
        while desk.lines.is_empty() && !desk.reopens && !desk.closes {
            desk = self.bell.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        desk.is_writing = true;
        std::mem::swap(&mut desk.lines, taken);
        (std::mem::take(&mut desk.dropped), std::mem::take(&mut desk.reopens), desk.closes)
    }
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

    #[test]
    fn a_log_that_has_not_begun_is_written_when_it_is_waited_for() {
        let paper = Paper::default();
        let theirs = paper.clone();
        let mut scribe = Scribe::prepare(Box::new(move || Ok(Box::new(theirs.clone())))).unwrap();
        let written = || String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        scribe.write_all(b"one\n").unwrap();
        assert_eq!(written(), "");
        scribe.catch_up();
        assert_eq!(written(), "one\n");
        scribe.write_all(b"two\n").unwrap();
        scribe.begin().unwrap();
        scribe.begin().unwrap();
        scribe.write_all(b"three\n").unwrap();
        scribe.close();
        assert_eq!(written(), "one\ntwo\nthree\n");
    }

    #[test]
    fn what_a_full_disk_refused_is_told_when_there_is_room_again() {
        struct Full(u32, Paper);

        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.saturating_sub(1);
                if self.0 > 0 { Err(io::ErrorKind::StorageFull.into()) } else { self.1.write(bytes) }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let paper = Paper::default();
        let mut full = Some(Full(3, paper.clone()));
        let mut scribe =
            Scribe::start(Box::new(move || Ok(Box::new(full.take().ok_or(io::ErrorKind::NotFound)?)))).unwrap();
        for line in [b"one\n", b"two\n", b"six\n"] {
            scribe.write_all(line).unwrap();
            scribe.catch_up();
        }
        scribe.close();
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        // The line and the word of its loss are refused, then there is room.
        assert!(written.starts_with("two\n4 bytes of log were lost") && written.ends_with("\nsix\n"), "{written}");
    }

    #[test]
    fn a_log_that_takes_nothing_does_not_hold_the_end_of_the_process() {
        struct Stuck(std::sync::mpsc::Receiver<()>);

        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (_holds, held) = std::sync::mpsc::channel();
        let mut stuck = Some(Stuck(held));
        let mut scribe =
            Scribe::start(Box::new(move || Ok(Box::new(stuck.take().ok_or(io::ErrorKind::NotFound)?)))).unwrap();
        scribe.write_all(b"a line\n").unwrap();
        let begun = std::time::Instant::now();
        scribe.close();
        assert!(begun.elapsed() < 2 * LAST_WORDS);
    }
}
