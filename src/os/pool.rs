//! Helper threads in lanes. A lane begins with no thread and gets one more whenever a job comes and all are busy, up to its
//! number: a server nobody has asked for a file has no helpers. One that has had nothing to do for a while ends, and what it
//! kept for its work goes with it.
//!
//! What a job brings home waits in a tray; the loop is woken once for a full tray, however many jobs filled it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::os::{process, sys};
use crate::reactor::system::{Happening, Job, Key, LANES, Lane};

/// Stacks of helpers: file work and SQLite need a fraction of it, and a router has little memory.
pub const STACK: usize = 256 << 10;

/// A thread with nothing to do for so long ends. While the loop is the only one, each look-up of a descriptor costs the kernel less.
pub const IDLE_MAX: Duration = Duration::from_secs(2);

/// One that has hashed stays as long as this: its memory is dear to get, and people come together.
const HASHER_IDLE_MAX: Duration = Duration::from_secs(10);

/// By so much a patient lane lets others go first (`nice(2)`): beside the loop on one core it gets a tenth.
const PATIENCE: i32 = 10;

/// A helper that gives way and stood so long before a core has come to a machine that is busy with something else. The loop alone
/// does not keep it so long: it sleeps between two clients.
const STARVED: Duration = Duration::from_millis(20);

/// For so long windows then go to helpers that have turns of their own.
const RELIEF: Duration = Duration::from_secs(10);

/// A loop that takes this part of a core is busy: hashes beside it would be felt.
const BUSY_PART: u32 = 20;

/// What the loop takes is looked at over no less than this.
const LOOK: Duration = Duration::from_millis(10);

/// How long a turn on a core a helper asks for: what the system gives by itself, some milliseconds.
#[cfg(target_os = "linux")]
const TURN: Duration = Duration::from_millis(3);

/// How long a turn the loop asks for. What it does takes some microseconds; what matters is that it has its turn as soon as something
/// happens, though a helper be at work on the same core.
#[cfg(target_os = "linux")]
const LOOP_TURN: Duration = Duration::from_micros(100);

/// Tells the system that this thread is a loop, for which somebody always waits.
pub fn be_prompt() {
    #[cfg(target_os = "linux")]
    share_core(0, LOOP_TURN);
}

/// Tells the system that this thread is like any other, though a loop has started it.
pub(super) fn be_ordinary() {
    #[cfg(target_os = "linux")]
    share_core(0, TURN);
}

thread_local! {
    static IS_PATIENT: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread lets others go first, and so would every thread that it starts.
pub(super) fn be_patient() {
    IS_PATIENT.set(true);
}

/// Whether this thread lets others go first.
pub(super) fn is_patient() -> bool {
    IS_PATIENT.get()
}

/// By so much nicer than it was, and with such turns. Where that cannot be said it is as it always was.
#[cfg(target_os = "linux")]
fn share_core(patience: i32, turn: Duration) {
    let niceness = rustix::process::getpriority_process(None).unwrap_or(0);
    let _ = crate::os::sys::share_core((niceness + patience).min(19), turn);
}

/// From now on this thread has only what all others leave of a core.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = sys::give_way();
}

/// What helpers have brought and the loop has not yet taken.
pub struct Tray<D> {
    /// `None` when the loop has gone, and nobody will ever take anything.
    happened: Mutex<Option<Vec<Happening<D>>>>,
    waker: mio::Waker,
}

impl<D> Tray<D> {
    /// An empty tray that wakes the loop.
    pub fn new(waker: mio::Waker) -> Tray<D> {
        Tray { happened: Mutex::new(Some(Vec::new())), waker }
    }

    /// Puts something down; wakes the loop if the tray was empty. When the loop has gone it is dropped.
    pub fn put(&self, happening: Happening<D>) {
        let mut tray = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(happened) = tray.as_mut() else {
            // What is dropped may want to put something down itself.
            drop(tray);
            return;
        };
        let was_empty = happened.is_empty();
        happened.push(happening);
        drop(tray);
        if was_empty {
            self.ring();
        }
    }

    /// Wakes the loop for something that does not lie here.
    pub fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("the loop cannot be woken: {error}");
        }
    }

    /// Takes all.
    pub fn take(&self, into: &mut Vec<Happening<D>>) {
        if let Some(happened) = self.happened.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            into.append(happened);
        }
    }

    /// Nobody will take anything any more: what lies here is dropped, and whatever is still to come.
    pub fn close(&self) {
        let happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(happened);
    }
}

struct Queue<D> {
    /// Each with the moment it came.
    jobs: VecDeque<(Key, Job<D>, Instant)>,
    idle: usize,
    threads: usize,
    is_over: bool,
    /// When a helper that gives way last had to stand far too long for a core.
    starved: Option<Instant>,
    /// Whether the loop was busy when the last job came.
    loop_is_busy: bool,
}

struct LaneOf<D> {
    queue: Mutex<Queue<D>>,
    bell: Condvar,
    threads_max: usize,
    idle_max: Duration,
    lane: Lane,
    /// Whether a helper has ended since this was last asked.
    has_ended: AtomicBool,
    /// Whether a helper was not to be had, and is still to come.
    is_short: AtomicBool,
}

/// All lanes.
pub struct Pool<D: Send + 'static> {
    lanes: [Arc<LaneOf<D>>; LANES],
    tray: Arc<Tray<D>>,
    stack: usize,
    load: Cell<Load>,
}

/// What the loop took of a core, as last looked at.
#[derive(Clone, Copy)]
struct Load {
    at: Instant,
    spent: Duration,
    is_busy: bool,
}

impl<D: Send + 'static> Pool<D> {
    /// Lanes with at most so many threads each, which end when they have had nothing to do for so long.
    pub fn new(threads_max: [usize; LANES], idle_max: Duration, tray: Arc<Tray<D>>) -> Pool<D> {
        let load = Load { at: Instant::now(), spent: process::thread_busy(), is_busy: false };
        let lane = |lane: Lane| {
            let queue = Queue {
                jobs: VecDeque::new(),
                idle: 0,
                threads: 0,
                is_over: false,
                starved: None,
                loop_is_busy: false,
            };
            let (bell, threads_max) = (Condvar::new(), threads_max[lane as usize].max(1));
            Arc::new(LaneOf {
                queue: Mutex::new(queue),
                bell,
                threads_max,
                idle_max,
                lane,
                has_ended: AtomicBool::new(false),
                is_short: AtomicBool::new(false),
            })
        };
        Pool {
            lanes: [Lane::Files, Lane::Writes, Lane::Bodies, Lane::Hash].map(lane),
            tray,
            stack: STACK,
            load: Cell::new(load),
        }
    }

    /// Whether helpers have ended since this was last asked: what they ran through is not needed while nobody asks for it.
    pub fn has_shrunk(&self) -> bool {
        self.lanes.iter().filter(|lane| lane.has_ended.swap(false, Relaxed)).count() > 0
    }

    /// Gives a helper work.
    pub fn spawn(&self, lane: Lane, key: Key, job: Job<D>) {
        let now = Instant::now();
        let loop_is_busy = lane == Lane::Hash && self.loop_is_busy(now);
        let mut lane = &self.lanes[lane as usize];
        let mut queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.loop_is_busy = loop_is_busy;
        if queue.starved.is_some_and(|at| now.duration_since(at) < RELIEF) {
            // What others leave of this machine is nothing, and an upload must go on.
            drop(queue);
            lane = &self.lanes[Lane::Writes as usize];
            queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
        }
        queue.jobs.push_back((key, job, now));
        if !lane.wants_more(&queue) {
            drop(queue);
            lane.bell.notify_one();
        } else if !lane.is_short.load(Relaxed) {
            self.begin(lane, queue);
        }
    }

    /// Whether the loop, which asks, has much to do.
    fn loop_is_busy(&self, now: Instant) -> bool {
        let Load { at, spent, is_busy } = self.load.get();
        let (span, spent_now) = (now.duration_since(at), process::thread_busy());
        if span < LOOK {
            return is_busy;
        }
        let is_busy = spent_now.saturating_sub(spent) >= span / BUSY_PART;
        self.load.set(Load { at: now, spent: spent_now, is_busy });
        is_busy
    }

    /// Whether helpers were not to be had that are still to come.
    pub fn is_short(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_short.load(Relaxed))
    }

    /// Tries again to have the helpers that are still to come.
    pub fn rouse(&self) {
        for lane in self.lanes.iter().filter(|lane| lane.is_short.load(Relaxed)) {
            let queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if lane.wants_more(&queue) {
                self.begin(lane, queue);
            } else {
                // Those there are have done it.
                lane.is_short.store(false, Relaxed);
            }
        }
    }

    fn begin(&self, lane: &Arc<LaneOf<D>>, mut queue: MutexGuard<'_, Queue<D>>) {
        queue.threads += 1;
        drop(queue);
        let (theirs, tray) = (lane.clone(), self.tray.clone());
        let helper = thread::Builder::new().name("hythe-helper".into()).stack_size(self.stack);
        let born = helper.spawn(move || help(&theirs, &tray));
        let was_short = lane.is_short.swap(born.is_err(), Relaxed);
        if let Err(error) = born {
            // The job waits for a helper there is, or until one can be had.
            lane.queue.lock().unwrap_or_else(PoisonError::into_inner).threads -= 1;
            if !was_short {
                log::error!("no thread for a helper, which is tried again and again: {error}");
            }
        }
    }
}

impl<D> LaneOf<D> {
    /// Whether more wait than there are helpers for, and there may be one more.
    fn wants_more(&self, queue: &Queue<D>) -> bool {
        queue.idle < queue.jobs.len() && queue.threads < self.threads_max
    }
}

impl<D: Send + 'static> Drop for Pool<D> {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.queue.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
            lane.bell.notify_all();
        }
    }
}

fn help<D>(lane: &LaneOf<D>, tray: &Tray<D>) {
    // A hash takes all of a core for a while, and so do uploads. On Linux this is a thread's own affair; elsewhere it would be
    // the process's.
    // Every helper says so, for a thread begins with what the one had that started it.
    if lane.lane != Lane::Files {
        be_patient();
    }
    #[cfg(target_os = "linux")]
    match lane.lane {
        Lane::Files => share_core(0, TURN),
        Lane::Writes | Lane::Hash => share_core(PATIENCE, TURN),
        Lane::Bodies => {
            share_core(PATIENCE, LOOP_TURN);
            give_way();
        }
    }
    let (mut gives_way, mut has_hashed, mut has_carried) = (false, false, false);
    loop {
        let since = Instant::now();
        if has_carried {
            thread::yield_now();
        }
        let mut queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, job, asked) = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.is_over {
                return;
            }
            // Whoever is rung for has a job, also when it comes at the last moment: the queue was looked at first.
            let idle_max = if has_hashed { lane.idle_max.max(HASHER_IDLE_MAX) } else { lane.idle_max };
            let left = idle_max.saturating_sub(since.elapsed());
            if left.is_zero() {
                queue.threads -= 1;
                lane.has_ended.store(true, Relaxed);
                return;
            }
            queue.idle += 1;
            queue = lane.bell.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            queue.idle -= 1;
        };
        let has_time = queue.jobs.is_empty() && !has_hashed || !queue.loop_is_busy;
        if lane.lane == Lane::Bodies && since.max(asked).elapsed() >= STARVED {
            queue.starved = Some(Instant::now());
        }
        drop(queue);
        // Each turn of a hash is a whole tick of the system's clock: were it given a hundredth of a core that the loop keeps busy, one
        // request in a hundred would fall into one. So it gets what is left; a sign-in takes seconds then, and as long as ever where
        // a core is free. But one that comes alone, the first for as long as a helper stays, does not wait for whatever else this
        // machine is busy with, and none does while the loop has little to do. What this lane does for nobody in particular, many wait
        // for: it opens the ledger.
        if lane.lane == Lane::Hash && key != Key::NOBODY {
            if !gives_way && !has_time {
                gives_way = true;
                give_way();
            }
            has_hashed = true;
        }
        tray.put(Happening::Done { key, done: job() });
        // Whoever has only what others leave is still owed a part in three hundred of a core. If that is more than it got of late, it
        // keeps the core though the loop has woken, and then until it sleeps or the clock ticks, which may be a hundred windows. So it
        // asks after each who is to go on: by then it has had what it was owed.
        has_carried = lane.lane == Lane::Bodies;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const NOBODY: Key = Key { index: u32::MAX, age: 0 };

    fn threads(pool: &Pool<()>, lane: Lane) -> usize {
        pool.lanes[lane as usize].queue.lock().unwrap().threads
    }

    #[test]
    fn a_helper_with_nothing_to_do_ends_and_the_next_job_has_a_new_one() {
        let poll = mio::Poll::new().unwrap();
        let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
        let pool = Pool::new([2, 2, 2, 1], Duration::from_millis(30), tray);
        let (say, hear) = mpsc::channel();
        for round in 0..3 {
            for lane in [Lane::Files, Lane::Hash] {
                let say = say.clone();
                pool.spawn(lane, NOBODY, Box::new(move || say.send((round, lane)).unwrap()));
                assert_eq!(hear.recv().unwrap(), (round, lane));
                assert_eq!(threads(&pool, lane), 1);
            }
            let since = Instant::now();
            while threads(&pool, Lane::Files) + threads(&pool, Lane::Hash) > 0 {
                assert!(since.elapsed() < Duration::from_secs(10), "they stay");
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn where_no_helper_is_to_be_had_jobs_wait_for_one() {
        let poll = mio::Poll::new().unwrap();
        let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
        let mut pool = Pool::new([2, 2, 2, 1], Duration::from_millis(30), tray);
        // So much memory has no machine.
        pool.stack = 1 << 60;
        let (say, hear) = mpsc::channel();
        for lane in [Lane::Files, Lane::Files, Lane::Hash] {
            let say = say.clone();
            pool.spawn(lane, NOBODY, Box::new(move || say.send(lane).unwrap()));
        }
        pool.rouse();
        assert!(pool.is_short() && hear.try_recv().is_err());
        assert_eq!(threads(&pool, Lane::Files) + threads(&pool, Lane::Hash), 0);
        pool.stack = STACK;
        pool.rouse();
        let told: Vec<Lane> = (0..3).map(|_| hear.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
        assert_eq!(told.iter().filter(|lane| **lane == Lane::Hash).count(), 1);
        pool.rouse();
        assert!(!pool.is_short());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn beside_a_busy_loop_only_a_hash_that_comes_alone_has_turns_of_its_own() {
        const SOMEBODY: Key = Key { index: 1, age: 1 };
        let policies = |is_busy: bool, jobs: &[usize]| -> Vec<u32> {
            let poll = mio::Poll::new().unwrap();
            let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
            let pool = Pool::new([2, 2, 2, 1], Duration::from_secs(10), tray);
            let (say, hear) = mpsc::channel();
            let mut told = Vec::new();
            for &count in jobs {
                if is_busy {
                    let (since, spent) = (Instant::now(), process::thread_busy());
                    while since.elapsed() < 5 * LOOK
                        || (process::thread_busy() - spent) * BUSY_PART / 2 < since.elapsed()
                    {}
                } else {
                    thread::sleep(5 * LOOK);
                }
                // Whoever comes together waits until all are there.
                let all_there = Arc::new(std::sync::Barrier::new(2));
                for number in 0..count {
                    let (say, all_there) = (say.clone(), all_there.clone());
                    let job = move || {
                        if number == 0 {
                            all_there.wait();
                        }
                        say.send(policy()).unwrap();
                    };
                    pool.spawn(Lane::Hash, SOMEBODY, Box::new(job));
                }
                all_there.wait();
                told.extend((0..count).map(|_| hear.recv_timeout(Duration::from_secs(60)).unwrap()));
            }
            told
        };
        let (other, idle) = (libc::SCHED_OTHER as u32, libc::SCHED_IDLE as u32);
        assert_eq!(policies(true, &[1, 1, 2]), [other, idle, idle, idle]);
        assert_eq!(policies(true, &[3])[1..], [idle, idle]);
        assert_eq!(policies(false, &[1, 1, 3]), [other; 5]);
    }

    /// What `sched(7)` calls the policy of this thread.
    #[cfg(target_os = "linux")]
    fn policy() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().parse().unwrap()
    }

    /// Has this thread, and whatever it starts, on one core alone.
    #[cfg(target_os = "linux")]
    fn stay_on_one_core() {
        let mut core = rustix::thread::CpuSet::new();
        core.set(rustix::thread::sched_getcpu());
        rustix::thread::sched_setaffinity(None, &core).unwrap();
    }

    /// Somebody else never sleeps, and the windows come one after another as those of an upload do.
    #[cfg(target_os = "linux")]
    #[test]
    fn windows_that_stand_too_long_for_a_core_go_to_helpers_with_turns_of_their_own() {
        let (idle, other) = (libc::SCHED_IDLE as u32, libc::SCHED_OTHER as u32);
        let told = thread::spawn(move || {
            stay_on_one_core();
            let poll = mio::Poll::new().unwrap();
            let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
            let pool = Pool::new([1, 1, 1, 1], Duration::from_secs(10), tray);
            let (say, hear) = mpsc::channel();
            let carry = || {
                let say = say.clone();
                pool.spawn(Lane::Bodies, NOBODY, Box::new(move || say.send(policy()).unwrap()));
            };
            carry();
            // While this thread sleeps, nobody else wants the core for long.
            let mut told = vec![hear.recv_timeout(Duration::from_secs(60)).unwrap()];
            let since = Instant::now();
            while told.last() != Some(&other) && since.elapsed() < Duration::from_secs(60) {
                carry();
                while told.len() < 10_000 && since.elapsed() < Duration::from_secs(60) {
                    if let Ok(policy) = hear.try_recv() {
                        told.push(policy);
                        break;
                    }
                }
            }
            told
        });
        let told = told.join().unwrap();
        assert_eq!((told.first(), told.last()), (Some(&idle), Some(&other)));
    }

    /// The helper is owed a little and has much to do; somebody else never sleeps. If it did not ask, it would do all in a row.
    #[cfg(target_os = "linux")]
    #[test]
    fn who_carries_windows_lets_others_have_the_core_after_each() {
        const JOBS: usize = 40;
        let switches = || -> u64 {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
        };
        let told = thread::spawn(move || {
            stay_on_one_core();
            let poll = mio::Poll::new().unwrap();
            let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
            let pool = Pool::new([1, 1, 1, 1], Duration::from_secs(10), tray);
            let (say, hear) = mpsc::channel();
            for _ in 0..JOBS {
                let say = say.clone();
                pool.spawn(Lane::Bodies, NOBODY, Box::new(move || say.send(switches()).unwrap()));
            }
            let (mut told, since) = (Vec::new(), Instant::now());
            while told.len() < JOBS && since.elapsed() < Duration::from_secs(60) {
                told.extend(hear.try_iter());
            }
            told
        });
        let told = told.join().unwrap();
        assert_eq!(told.len(), JOBS);
        let gaps = told.windows(2).filter(|two| two[0] < two[1]).count();
        assert!(gaps >= JOBS / 10, "of {JOBS} jobs it did all but {gaps} in a row");
    }

    #[test]
    fn no_job_is_lost_though_helpers_end_all_the_time() {
        let poll = mio::Poll::new().unwrap();
        let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
        let pool = Pool::new([2, 2, 2, 1], Duration::from_micros(50), tray);
        let (say, hear) = mpsc::channel();
        for round in 0..500u64 {
            let say = say.clone();
            pool.spawn(Lane::Files, NOBODY, Box::new(move || say.send(round).unwrap()));
            // About as long as a helper waits before it ends.
            thread::sleep(Duration::from_micros(round % 150));
        }
        let mut heard: Vec<u64> =
            (0..500).map(|_| hear.recv_timeout(Duration::from_secs(10)).expect("every job is done")).collect();
        heard.sort_unstable();
        assert_eq!(heard, (0..500).collect::<Vec<_>>());
    }
}
