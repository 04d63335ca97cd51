//! The scribe: a thread that writes lines to a file, so that a full disk or a stopped console never stalls the loop. It begins when
//! there are lines, and ends when none have come for a while.
//!
//! Lines are handed over as one buffer; the scribe takes all that waits and writes it in one piece. What would wait beyond
//! `WAITING_MAX` is dropped and counted, and the count is told in the log itself when there is room again.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::os::pool::{self, IDLE_MAX, STACK};

/// How much may wait for a slow disk.
const WAITING_MAX: usize = 8 << 20;

/// How long the end of the process waits for a log that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where lines go; asked for again when the log is reopened.
pub type Sink = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

/// What lies where the two sides meet.
struct Desk {
    lines: Vec<u8>,
    dropped: u64,
    reopens: bool,
    closes: bool,
    /// What writes, while there is no thread.
    hand: Option<Hand>,
    /// Whether there is to be a thread whenever there are lines.
    has_begun: bool,
    has_thread: bool,
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
struct Meeting {
    desk: Mutex<Desk>,
    /// There is something to do.
    bell: Condvar,
    /// What was taken has been written.
    done: Condvar,
    /// The thread ends when nothing has come for so long.
    idle_max: Duration,
    /// Whether there are lines and no thread for them.
    is_owed: AtomicBool,
}

/// A handle to the log; handles are cheap to copy.
#[derive(Clone)]
pub struct Scribe {
    meeting: Arc<Meeting>,
}

impl Scribe {
    /// Opens the log and writes what comes.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn start(sink: Sink) -> io::Result<Scribe> {
        let scribe = Scribe::prepare(sink)?;
        scribe.begin();
        Ok(scribe)
    }

    /// Opens the log, and writes nothing before [`begin`](Scribe::begin) but what is waited for ([`catch_up`](Scribe::catch_up)):
    /// a start need not pay for a thread before anybody is served.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn prepare(sink: Sink) -> io::Result<Scribe> {
        Scribe::with_patience(sink, IDLE_MAX)
    }

    fn with_patience(mut sink: Sink, idle_max: Duration) -> io::Result<Scribe> {
        let out = sink()?;
        let desk = Desk {
            lines: Vec::new(),
            dropped: 0,
            reopens: false,
            closes: false,
            hand: Some(Hand { sink, out, lost: 0 }),
            has_begun: false,
            has_thread: false,
            is_writing: false,
        };
        let (bell, done) = (Condvar::new(), Condvar::new());
        Ok(Scribe {
            meeting: Arc::new(Meeting {
                desk: Mutex::new(desk),
                bell,
                done,
                idle_max,
                is_owed: AtomicBool::new(false),
            }),
        })
    }

    /// Writes what waits, and from now on what comes.
    pub fn begin(&self) {
        self.with(|desk| desk.has_begun = true);
    }

    /// Hands lines over; leaves `lines` empty. Never waits for the log.
    pub fn take(&self, lines: &mut Vec<u8>) {
        self.with(|desk| {
            if desk.lines.len() + lines.len() > WAITING_MAX {
                desk.dropped += lines.len() as u64;
                lines.clear();
            } else if desk.lines.is_empty() {
                mem::swap(&mut desk.lines, lines);
            } else {
                desk.lines.append(lines);
            }
        });
    }

    /// Opens the log anew, after it was moved away.
    pub fn reopen(&self) {
        self.with(|desk| desk.reopens = true);
    }

    /// Waits until all that was handed over is written, unless the log takes nothing for too long. Where nobody writes it is written
    /// here.
    pub fn catch_up(&self) {
        let mut desk = self.meeting.desk();
        if desk.has_begun && !desk.has_thread && desk.has_work() {
            // The log may take nothing, and this one is not to be held by that.
            self.start_thread(&mut desk);
        }
        if !desk.has_thread {
            return desk.write();
        }
        let is_behind = |desk: &mut Desk| desk.is_writing || !desk.lines.is_empty();
        // Who comes too late to be written has been given up.
        let _ = self.meeting.done.wait_timeout_while(desk, LAST_WORDS, is_behind);
    }

    /// Writes what waits, and ends. A log that takes nothing is not waited for for long.
    pub fn close(&self) {
        self.catch_up();
        self.with(|desk| desk.closes = true);
    }

    /// Sees to it that what others have handed over is written; the loop asks for it whenever it wakes.
    pub(super) fn rouse(&self) {
        if self.meeting.is_owed.load(Relaxed) && self.meeting.is_owed.swap(false, Relaxed) {
            self.with(|_| {});
        }
    }

    fn with(&self, act: impl FnOnce(&mut Desk)) {
        let mut desk = self.meeting.desk();
        act(&mut desk);
        if desk.has_thread {
            drop(desk);
            self.meeting.bell.notify_one();
        } else if desk.has_begun && desk.has_work() {
            if pool::is_patient() {
                // What it starts would be as patient as itself, on a busy machine for ever.
                return self.meeting.is_owed.store(true, Relaxed);
            }
            self.start_thread(&mut desk);
        }
    }

    fn start_thread(&self, desk: &mut Desk) {
        // It is not waited for when the process ends: a pipe that nobody empties holds it for ever.
        let theirs = self.meeting.clone();
        let thread = thread::Builder::new().name("hythe-log".into()).stack_size(STACK);
        // Without a thread the lines wait for the next, or for the end.
        desk.has_thread = thread.spawn(move || theirs.write_all()).is_ok();
    }
}

fn tell_loss(out: &mut impl Write, lost: u64) -> io::Result<()> {
    writeln!(out, "{lost} bytes of log were lost: the log could not be written, or not fast enough")?;
    out.flush()
}

impl Desk {
    fn has_work(&self) -> bool {
        !self.lines.is_empty() || self.reopens
    }

    /// Writes what waits, where there is no thread.
    fn write(&mut self) {
        let (mut taken, dropped) = (mem::take(&mut self.lines), mem::take(&mut self.dropped));
        if let Some(hand) = &mut self.hand {
            hand.write(&mut taken, dropped);
        }
    }
}

impl Meeting {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's side.
    fn write_all(&self) {
        pool::be_ordinary();
        let mut desk = self.desk();
        let Some(mut hand) = desk.hand.take() else { return };
        let mut taken = Vec::new();
        let mut since = Instant::now();
        loop {
            let left = self.idle_max.saturating_sub(since.elapsed());
            if desk.has_work() {
                desk.is_writing = true;
                mem::swap(&mut desk.lines, &mut taken);
                let (dropped, reopens) = (mem::take(&mut desk.dropped), mem::take(&mut desk.reopens));
                drop(desk);
                hand.write(&mut taken, dropped);
                if reopens {
                    hand.reopen();
                }
                since = Instant::now();
                desk = self.desk();
                desk.is_writing = false;
                self.done.notify_all();
            } else if desk.closes || left.is_zero() {
                desk.hand = Some(hand);
                desk.has_thread = false;
                return;
            } else {
                desk = self.bell.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
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
        scribe.begin();
        scribe.begin();
        scribe.write_all(b"three\n").unwrap();
        scribe.close();
        assert_eq!(written(), "one\ntwo\nthree\n");
    }

    #[test]
    fn the_thread_ends_when_nothing_comes_and_no_line_is_lost_by_that() {
        let paper = Paper::default();
        let theirs = paper.clone();
        let sink: Sink = Box::new(move || Ok(Box::new(theirs.clone())));
        let mut scribe = Scribe::with_patience(sink, Duration::from_micros(50)).unwrap();
        scribe.begin();
        let has_thread = |scribe: &Scribe| scribe.meeting.desk().has_thread;
        assert!(!has_thread(&scribe), "there is nothing to write yet");
        let mut expected = String::new();
        for number in 0..500u64 {
            let line = format!("line {number}\n");
            scribe.write_all(line.as_bytes()).unwrap();
            expected += &line;
            // About as long as the thread waits before it ends.
            thread::sleep(Duration::from_micros(number % 150));
        }
        let since = Instant::now();
        while has_thread(&scribe) {
            assert!(since.elapsed() < Duration::from_secs(60), "it stays");
            thread::sleep(Duration::from_millis(1));
        }
        scribe.close();
        assert_eq!(String::from_utf8(paper.0.lock().unwrap().clone()).unwrap(), expected);
    }

    #[test]
    fn who_lets_others_go_first_leaves_it_to_the_loop_to_begin() {
        let paper = Paper::default();
        let theirs = paper.clone();
        let scribe = Scribe::start(Box::new(move || Ok(Box::new(theirs.clone())))).unwrap();
        let has_thread = || scribe.meeting.desk().has_thread;
        let mut patient = scribe.clone();
        let helper = thread::spawn(move || {
            pool::be_patient();
            patient.write_all(b"a line\n").unwrap();
        });
        helper.join().unwrap();
        assert!(!has_thread());
        scribe.rouse();
        assert!(has_thread());
        scribe.close();
        assert_eq!(*paper.0.lock().unwrap(), b"a line\n");
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

        for is_patient in [false, true] {
            let (holds, held) = std::sync::mpsc::channel();
            let mut stuck = Some(Stuck(held));
            let scribe =
                Scribe::start(Box::new(move || Ok(Box::new(stuck.take().ok_or(io::ErrorKind::NotFound)?)))).unwrap();
            let mut theirs = scribe.clone();
            let writer = thread::spawn(move || {
                if is_patient {
                    // The last line is a helper's, and nobody has begun to write it.
                    pool::be_patient();
                }
                theirs.write_all(b"a line\n").unwrap();
            });
            writer.join().unwrap();
            let (say, hear) = std::sync::mpsc::channel();
            thread::spawn(move || {
                scribe.close();
                say.send(()).unwrap();
            });
            assert!(hear.recv_timeout(30 * LAST_WORDS).is_ok(), "it is held, {is_patient}");
            drop(holds);
        }
    }
}
