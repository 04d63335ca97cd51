//! Helper threads in lanes. A lane begins with no thread and gets one more whenever a job comes and all are busy, up to its
//! number: a server nobody has asked for a file has no helpers.
//!
//! What a job brings home waits in a tray; the loop is woken once for a full tray, however many jobs filled it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::reactor::system::{Happening, Job, Key, LANES, Lane};

/// Stacks of helpers: file work and SQLite need a fraction of it, and a router has little memory.
pub const STACK: usize = 256 << 10;

/// What helpers have brought and the loop has not yet taken.
pub struct Tray<D> {
    happened: Mutex<Vec<Happening<D>>>,
    waker: mio::Waker,
}

impl<D> Tray<D> {
    /// An empty tray that wakes the loop.
    pub fn new(waker: mio::Waker) -> Tray<D> {
        Tray { happened: Mutex::new(Vec::new()), waker }
    }

    /// Puts something down; wakes the loop if the tray was empty.
    pub fn put(&self, happening: Happening<D>) {
        let mut happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = happened.is_empty();
        happened.push(happening);
        drop(happened);
        if was_empty && let Err(error) = self.waker.wake() {
            log::error!("the loop cannot be woken: {error}");
        }
    }

    /// Takes all.
    pub fn take(&self, into: &mut Vec<Happening<D>>) {
        into.append(&mut self.happened.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Queue<D> {
    jobs: VecDeque<(Key, Job<D>)>,
    idle: usize,
    threads: usize,
    is_over: bool,
}

struct LaneOf<D> {
    queue: Mutex<Queue<D>>,
    bell: Condvar,
    threads_max: usize,
}

/// All lanes.
pub struct Pool<D: Send + 'static> {
    lanes: [Arc<LaneOf<D>>; LANES],
    tray: Arc<Tray<D>>,
}

impl<D: Send + 'static> Pool<D> {
    /// Lanes with at most so many threads each.
    pub fn new(threads_max: [usize; LANES], tray: Arc<Tray<D>>) -> Pool<D> {
        let lane = |threads_max: usize| {
            let queue = Queue { jobs: VecDeque::new(), idle: 0, threads: 0, is_over: false };
            Arc::new(LaneOf { queue: Mutex::new(queue), bell: Condvar::new(), threads_max: threads_max.max(1) })
        };
        Pool { lanes: threads_max.map(lane), tray }
    }

    /// Gives a helper work.
    pub fn spawn(&self, lane: Lane, key: Key, job: Job<D>) {
        let lane = &self.lanes[lane as usize];
        let mut queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back((key, job));
        if queue.idle >= queue.jobs.len() || queue.threads >= lane.threads_max {
            drop(queue);
            lane.bell.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        let (theirs, tray) = (lane.clone(), self.tray.clone());
        let born =
            thread::Builder::new().name("hythe-helper".into()).stack_size(STACK).spawn(move || help(&theirs, &tray));
        if let Err(error) = born {
            // The job waits for a helper there is; if there is none, it waits until a thread can be had.
            log::error!("no thread for a helper: {error}");
            lane.queue.lock().unwrap_or_else(PoisonError::into_inner).threads -= 1;
        }
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
    loop {
        let mut queue = lane.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, job) = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.is_over {
                return;
            }
            queue.idle += 1;
            queue = lane.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        };
        drop(queue);
        tray.put(Happening::Done { key, done: job() });
    }
}
