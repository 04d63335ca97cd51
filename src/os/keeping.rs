//! The ledger's thread: it owns what keeps entries, gives it all that waits as one batch, and brings its verdicts home.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::os::pool::{STACK, Tray};
use crate::os::succession::Ready;
use crate::reactor::system::{Happening, Key, Verdict};

/// What the ledger's thread can do later is begun when nothing has come for so long, and at the latest after so long.
const REST_AFTER: Duration = Duration::from_millis(50);
const REST_AT_LEAST: Duration = Duration::from_millis(500);

/// Where fewer were kept together nobody waits for company: they come back too thinly spread.
const MANY: usize = 32;

/// How often a keeper that wants to looks around.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whom news is for: nobody who asked.
const NOBODY: Key = Key { index: u32::MAX, age: 0 };

/// What makes a ledger's verdicts out of entries; it runs on a thread of its own.
pub trait Keeper<E, D>: Send {
    /// Keeps a batch, and says what became of each entry, in order.
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict>;

    /// Nothing waits, or something has waited for this long enough: does some of what can be done later. Says whether there
    /// is more of it.
    fn rest(&mut self) -> bool;

    /// Whether it wants to look around once a second.
    fn looks(&self) -> bool {
        false
    }

    /// How long a batch may wait to be kept together with what comes next.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Another process is about to work on what this one keeps.
    fn pass_on(&mut self) {}

    /// Looks around, and says what there is to be told: whatever the batches before have done is told before it.
    fn look(&mut self) -> Option<D> {
        None
    }
}

/// What the ledger's thread is asked.
pub(super) enum Order<E> {
    /// To keep a batch.
    Keep(Vec<E>),
    /// To tell its keeper that another process is about to work on the same, and then, that one.
    PassOn(Ready),
}

/// The ledger's thread, and what it is given. It is started when there is something for it: nobody waits for that at a start.
pub(super) enum Ledger<E, D> {
    /// Nothing has been given to it yet.
    Idle(Box<dyn Keeper<E, D>>),
    /// It works.
    Busy(Sender<Order<E>>, thread::JoinHandle<()>),
    /// It cannot, or not any more.
    Over,
}

impl<E: Send + 'static, D: Send + 'static> Ledger<E, D> {
    /// One that has not begun.
    pub(super) fn new(keeper: Box<dyn Keeper<E, D>>) -> Ledger<E, D> {
        Ledger::Idle(keeper)
    }

    /// Where its orders go; it begins with the first that asks. `None` if there is no thread to be had.
    pub(super) fn sender(&mut self, tray: &Arc<Tray<D>>) -> Option<&Sender<Order<E>>> {
        if matches!(self, Ledger::Idle(_))
            && let Ledger::Idle(keeper) = std::mem::replace(self, Ledger::Over)
        {
            let (ledger, orders) = mpsc::channel();
            let theirs = tray.clone();
            let started = thread::Builder::new()
                .name("hythe-ledger".into())
                .stack_size(2 * STACK)
                .spawn(move || keep_all(&orders, keeper, &theirs));
            match started {
                Ok(thread) => *self = Ledger::Busy(ledger, thread),
                Err(error) => log::error!("no thread for the ledger: {error}"),
            }
        }
        match self {
            Ledger::Busy(sender, _) => Some(sender),
            _ => None,
        }
    }
}

impl<E, D> Ledger<E, D> {
    /// Without a sender the thread ends, and with it the ledger is closed in good order. That is waited for.
    pub(super) fn end(&mut self) {
        if let Ledger::Busy(sender, thread) = std::mem::replace(self, Ledger::Over) {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// The ledger's thread: takes all that waits, makes one batch of it, and puts the verdicts on the tray.
fn keep_all<D, E>(orders: &Receiver<Order<E>>, mut keeper: Box<dyn Keeper<E, D>>, tray: &Tray<D>) {
    let mut rested = Instant::now();
    let mut looked = Instant::now();
    let mut has_more = false;
    let mut kept_last = 0;
    let (looks, patience) = (keeper.looks(), keeper.patience());
    loop {
        if looks && looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            if let Some(done) = keeper.look() {
                tray.put(Happening::Done { key: NOBODY, done });
            }
        }
        // Who is busy without a break rests all the same.
        if has_more && rested.elapsed() >= REST_AT_LEAST {
            has_more = keeper.rest();
            rested = Instant::now();
        }
        let next = match (has_more, looks) {
            (true, _) => orders.recv_timeout(REST_AFTER),
            (false, true) => orders.recv_timeout(LOOK_EVERY.saturating_sub(looked.elapsed())),
            (false, false) => orders.recv().map_err(Into::into),
        };
        let mut batch = match next {
            Ok(Order::Keep(batch)) => batch,
            Ok(Order::PassOn(ready)) => {
                keeper.pass_on();
                ready.say_go();
                continue;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if has_more {
                    has_more = keeper.rest();
                    rested = Instant::now();
                }
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        if !has_more {
            rested = Instant::now();
            has_more = true;
        }
        let mut successor = None;
        while successor.is_none() {
            match orders.try_recv() {
                Ok(Order::Keep(mut more)) => batch.append(&mut more),
                Ok(Order::PassOn(ready)) => successor = Some(ready),
                Err(_) => break,
            }
        }
        // Those who were answered together speak again together, as a rule, and a few turns of the loop bring them all.
        let until = Instant::now() + patience;
        while successor.is_none() && kept_last >= MANY && batch.len() < kept_last {
            match orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Order::Keep(mut more)) => batch.append(&mut more),
                Ok(Order::PassOn(ready)) => successor = Some(ready),
                Err(_) => break,
            }
        }
        let count = batch.len();
        kept_last = count;
        let mut verdicts = keeper.keep(batch);
        verdicts.resize(count, Verdict::Lost);
        tray.put(Happening::Verdicts(verdicts));
        if let Some(ready) = successor {
            keeper.pass_on();
            ready.say_go();
        }
    }
}
