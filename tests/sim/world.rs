//! The world as the loop sees it: a clock that is a number, sleeps that end when something is due, helpers that are a list of
//! jobs, a ledger that is a list of entries.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hythe::clock::{Moment, Wall};
use hythe::reactor::system::{Happening, Job, Key, Lane, Peer, Signal, System, Verdict};

use crate::disk::IN_JOB;
use crate::net::{Link, Net, Shared};

/// What makes verdicts of a batch.
pub type Keeper<E> = Box<dyn FnMut(Vec<E>) -> Vec<Verdict>>;

/// So many turns in a row may be asked for at once and bring nothing.
const IDLE_TURNS_MAX: u32 = 4;

struct Held<D> {
    lane: Lane,
    key: Key,
    job: Job<D>,
    due: u64,
}

/// What a helper has done, and has still to tell.
struct Untold<D> {
    key: Key,
    done: D,
    due: u64,
}

/// The world.
pub struct World<D, E> {
    pub net: Shared,
    jobs: Vec<Held<D>>,
    untold: Vec<Untold<D>>,
    entries: Vec<E>,
    /// When the ledger is done with what it has.
    batch_due: Option<u64>,
    keeper: Keeper<E>,
    has_lost: bool,
    signals: Vec<Signal>,
    news: Vec<D>,
    /// Lines of the access log so far.
    pub lines: usize,
    idle_turns: u32,
    has_told: bool,
    /// Whether the loop last asked to sleep until something happens, for ever.
    pub sleeps_for_ever: bool,
    /// Whether nothing has been told for as long as the loop wanted to sleep.
    pub sleeps: u64,
}

impl<D, E> World<D, E> {
    pub fn new(net: Shared, keeper: Keeper<E>) -> World<D, E> {
        World {
            net,
            jobs: Vec::new(),
            untold: Vec::new(),
            entries: Vec::new(),
            batch_due: None,
            keeper,
            has_lost: false,
            signals: Vec::new(),
            news: Vec::new(),
            lines: 0,
            idle_turns: 0,
            has_told: false,
            sleeps_for_ever: false,
            sleeps: 0,
        }
    }

    /// An operator's wish.
    pub fn signal(&mut self, signal: Signal) {
        self.signals.push(signal);
    }

    /// Something that nobody asked for.
    pub fn bring(&mut self, news: D) {
        self.news.push(news);
    }

    /// Jobs that have not come back.
    pub fn jobs(&self) -> usize {
        self.jobs.len() + self.untold.len()
    }

    /// Helpers that were held back come soon.
    pub fn release(&mut self) {
        let mut net = self.net.borrow_mut();
        let now = net.now;
        for job in &mut self.jobs {
            job.due = job.due.min(now + net.dice.below(5));
        }
        for untold in &mut self.untold {
            untold.due = untold.due.min(now + net.dice.below(5));
        }
        self.batch_due = self.batch_due.map(|due| due.min(now + 5));
    }

    /// When helpers or the ledger are done with something.
    fn next_due(&self) -> Option<u64> {
        let files = self.jobs.iter().filter(|job| job.lane != Lane::Hash);
        let first_hash = self.jobs.iter().find(|job| job.lane == Lane::Hash);
        let untold = self.untold.iter().map(|untold| untold.due);
        files.chain(first_hash).map(|job| job.due).chain(untold).chain(self.batch_due).min()
    }

    /// Tells all that has happened by now. Says whether there was anything.
    fn tell(&mut self, happened: &mut Vec<Happening<D>>) -> bool {
        let before = happened.len();
        let (incoming, ready) = self.net.borrow_mut().events();
        if incoming {
            happened.push(Happening::Incoming);
        }
        for ready in ready {
            self.net.borrow_mut().note(
                "ready",
                u64::from(ready.key.index),
                &[ready.readable.into(), ready.writable.into(), ready.shut.into()],
            );
            let (key, readable, writable, shut) = (ready.key, ready.readable, ready.writable, ready.shut);
            happened.push(Happening::Ready { key, readable, writable, shut });
        }
        self.work(happened);
        self.bring_home(happened);
        self.decide(happened);
        happened.extend(self.signals.drain(..).map(Happening::Signal));
        happened.extend(self.news.drain(..).map(|done| Happening::Done { key: Key::NOBODY, done }));
        happened.len() > before
    }

    /// Helpers that are done with their work. File work in any order; hashing one after the other.
    fn work(&mut self, happened: &mut Vec<Happening<D>>) {
        let now = self.net.borrow().now;
        loop {
            let first_hash = self.jobs.iter().position(|job| job.lane == Lane::Hash);
            let done: Vec<usize> = (0..self.jobs.len())
                .filter(|&at| self.jobs[at].due <= now && (self.jobs[at].lane != Lane::Hash || Some(at) == first_hash))
                .collect();
            if done.is_empty() {
                return;
            }
            let at = done[self.net.borrow_mut().dice.index(done.len())];
            let Held { lane, key, job, .. } = self.jobs.remove(at);
            self.net.borrow_mut().note("done", u64::from(key.index), b"");
            // A helper that panics is a thread that is no more: it brings nothing home.
            IN_JOB.set(true);
            let done = catch_unwind(AssertUnwindSafe(job));
            IN_JOB.set(false);
            let Ok(done) = done else { continue };
            // One that works in a row with others tells in that order. Of all others one may be held up with its work done, and
            // another that was later tell before it.
            if lane == Lane::Hash {
                happened.push(Happening::Done { key, done });
            } else {
                let mut net = self.net.borrow_mut();
                let late = net.odds.help_late_ms.min(50);
                let due = net.now + net.dice.below(late + 1);
                self.untold.push(Untold { key, done, due });
            }
        }
    }

    /// What they have done is told.
    fn bring_home(&mut self, happened: &mut Vec<Happening<D>>) {
        let now = self.net.borrow().now;
        let (told, untold) = std::mem::take(&mut self.untold).into_iter().partition(|untold| untold.due <= now);
        self.untold = untold;
        let mut told: Vec<Untold<D>> = told;
        told.sort_by_key(|untold| untold.due);
        happened.extend(told.into_iter().map(|Untold { key, done, .. }| Happening::Done { key, done }));
    }

    /// The ledger's batch: all that waits, or the first of it.
    fn decide(&mut self, happened: &mut Vec<Happening<D>>) {
        let mut net = self.net.borrow_mut();
        if self.batch_due.is_none_or(|due| due > net.now) {
            return;
        }
        let taken = 1 + net.dice.index(self.entries.len());
        let batch: Vec<E> = self.entries.drain(..taken).collect();
        self.batch_due = (!self.entries.is_empty()).then_some(net.now + 1);
        let odds = net.odds.batch_lost;
        self.has_lost |= net.dice.chance(odds);
        net.note("batch", batch.len() as u64, &[self.has_lost.into()]);
        drop(net);
        let count = batch.len();
        let verdicts = if self.has_lost { vec![Verdict::Lost; count] } else { (self.keeper)(batch) };
        assert_eq!(verdicts.len(), count, "a verdict an entry");
        happened.push(Happening::Verdicts(verdicts));
    }

    fn late(&self) -> u64 {
        let mut net = self.net.borrow_mut();
        let (late, held) = (net.odds.help_late_ms, net.odds.help_held);
        if net.dice.chance(held) { u64::MAX } else { net.now + net.dice.below(late + 1) }
    }

    /// A turn that was asked for at once must do something, or the loop spins.
    fn watch_for_spin(&mut self, until: Option<Moment>) {
        let mut net = self.net.borrow_mut();
        let is_at_once = until.is_some_and(|until| until.as_millis() <= net.now);
        let has_worked = std::mem::take(&mut net.has_worked);
        if is_at_once && !has_worked && !self.has_told {
            self.idle_turns += 1;
            assert!(
                self.idle_turns <= IDLE_TURNS_MAX,
                "the loop spins: {} turns at once without work",
                self.idle_turns
            );
        } else {
            self.idle_turns = 0;
        }
    }
}

impl<D, E> System<D, E> for World<D, E> {
    type Socket = Link;

    fn now(&mut self) -> (Moment, Wall) {
        let mut net = self.net.borrow_mut();
        let odds = net.odds.slow_turn;
        if net.dice.chance(odds) {
            let passed = 1 + net.dice.below(3);
            net.now += passed;
            net.wall += passed;
        }
        (Moment::from_millis(net.now), Wall::from_millis(net.wall))
    }

    fn wait(&mut self, until: Option<Moment>, happened: &mut Vec<Happening<D>>) -> io::Result<()> {
        self.net.borrow().show("wait", until.map_or(u64::MAX, Moment::as_millis));
        self.watch_for_spin(until);
        self.sleeps_for_ever = until.is_none();
        self.has_told = self.tell(happened);
        let now = self.net.borrow().now;
        if self.has_told || until.is_some_and(|until| until.as_millis() <= now) {
            return Ok(());
        }
        let next_event = self.net.borrow().next_event();
        let next = [until.map(Moment::as_millis), next_event, self.next_due()].into_iter().flatten().min();
        let Some(next) = next.filter(|&next| next < u64::MAX) else { return Ok(()) };
        {
            let mut net = self.net.borrow_mut();
            let over = net.odds.oversleep_ms;
            let over = if over > 0 && net.dice.chance(5) { net.dice.below(over + 1) } else { 0 };
            net.wall += next.saturating_sub(now) + over;
            net.now = next.max(now) + over;
            let jumps = net.odds.wall_jumps;
            if net.dice.chance(jumps) {
                let jump = net.dice.below(4_000_000);
                net.wall = (net.wall + jump).saturating_sub(2_000_000);
            }
        }
        self.sleeps += 1;
        self.has_told = self.tell(happened);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(Link, Peer)> {
        Net::accept(&self.net)
    }

    fn someone_waits(&mut self) -> bool {
        self.net.borrow().someone_waits()
    }

    fn watch(&mut self, socket: &mut Link, key: Key) -> io::Result<()> {
        socket.watch(key)
    }

    fn close(&mut self, socket: Link) {
        drop(socket);
    }

    fn stop_listening(&mut self) {
        self.net.borrow_mut().stop_listening();
    }

    fn spawn(&mut self, lane: Lane, key: Key, job: Job<D>) {
        let due = self.late();
        let mut net = self.net.borrow_mut();
        net.has_worked = true;
        net.note("spawn", u64::from(key.index), &[lane as u8]);
        self.jobs.push(Held { lane, key, job, due });
    }

    fn keep(&mut self, entries: &mut Vec<E>) {
        assert!(!entries.is_empty(), "an empty batch is not given");
        self.entries.append(entries);
        self.net.borrow_mut().has_worked = true;
        if self.batch_due.is_none() {
            let mut net = self.net.borrow_mut();
            let late = net.odds.help_late_ms;
            self.batch_due = Some(net.now + net.dice.below(late + 1));
        }
    }

    fn log(&mut self, lines: &mut Vec<u8>) {
        self.lines += lines.iter().filter(|&&byte| byte == b'\n').count();
        lines.clear();
    }
}
