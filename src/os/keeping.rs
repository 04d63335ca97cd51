//! The ledger's thread: it owns what keeps entries, gives it all that waits as one batch, and brings its verdicts home.
//!
//! It begins with the first order and ends when none has come for a while: each further thread of a process makes every look-up of
//! a descriptor dearer for the loop (the kernel then counts references to it), and holds memory.

use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::os::pool::{self, STACK, Tray};
use crate::os::succession::Ready;
use crate::reactor::system::{Happening, Key, Verdict};

/// What the ledger's thread can do later is begun when nothing has come for so long, and at the latest after so long.
const REST_AFTER: Duration = Duration::from_millis(50);
const REST_AT_LEAST: Duration = Duration::from_millis(500);

/// Where fewer were kept together nobody waits for company: they come back too thinly spread.
const MANY: usize = 32;

/// What makes a ledger's verdicts out of entries; it runs on a thread of its own.
pub trait Keeper<E, D>: Send {
    /// Keeps a batch, and says what became of each entry, in order.
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict>;

    /// Nothing waits, or something has waited for this long enough: does some of what can be done later. Says whether there
    /// is more of it.
    fn rest(&mut self) -> bool;

    /// The file that changes whenever another process writes what this one keeps. Where there is one, the keeper
    /// [looks](Keeper::look) around soon after it has changed, and once a minute.
    fn watched(&self) -> Option<PathBuf> {
        None
    }

    /// How long a batch may wait to be kept together with what comes next.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Another process is about to work on what this one keeps.
    fn pass_on(&mut self) {}

    /// Looks around, and says what there is to be told: whatever the batches before have done is told before it. Once a minute it is a
    /// round, for what ends by time alone.
    fn look(&mut self, _is_round: bool) -> Option<D> {
        None
    }

    /// Nothing has come for a while: what it holds only to be faster goes back to the system.
    fn let_go(&mut self) {}
}

/// What the ledger's thread is asked.
pub(super) enum Order<E> {
    /// To keep a batch.
    Keep(Vec<E>),
    /// To have its keeper look around.
    Look {
        /// Whether it is a round.
        is_round: bool,
    },
    /// To tell its keeper that another process is about to work on the same, and then, that one.
    PassOn(Ready),
}

/// Where the loop and the ledger's thread meet.
struct Desk<E, D> {
    held: Mutex<Held<E, D>>,
    /// There is an order, or it is over.
    bell: Condvar,
    /// The thread ends when no order has come for so long.
    idle_max: Duration,
}

struct Held<E, D> {
    orders: VecDeque<Order<E>>,
    /// Here while there is no thread.
    keeper: Option<Box<dyn Keeper<E, D>>>,
    has_thread: bool,
    is_over: bool,
}

/// The ledger's thread, and what it is given.
pub(super) struct Ledger<E, D> {
    desk: Arc<Desk<E, D>>,
    thread: Option<thread::JoinHandle<()>>,
    stack: usize,
    /// Whether orders wait for a thread that was not to be had.
    is_short: bool,
}

impl<E: Send + 'static, D: Send + 'static> Ledger<E, D> {
    /// One that has not begun; its thread ends when no order has come for so long.
    pub(super) fn new(keeper: Box<dyn Keeper<E, D>>, idle_max: Duration) -> Ledger<E, D> {
        let held = Held { orders: VecDeque::new(), keeper: Some(keeper), has_thread: false, is_over: false };
        let desk = Desk { held: Mutex::new(held), bell: Condvar::new(), idle_max };
        Ledger { desk: Arc::new(desk), thread: None, stack: 2 * STACK, is_short: false }
    }

    /// Gives it an order; what follows from it comes by the tray. If no thread is to be had now it waits for one.
    ///
    /// # Errors
    /// The order, if it is over.
    pub(super) fn give(&mut self, order: Order<E>, tray: &Arc<Tray<D>>) -> Result<(), Order<E>> {
        let mut held = self.desk.lock();
        if held.is_over {
            return Err(order);
        }
        if let Order::Look { is_round } = order
            && held.orders.iter().any(|order| matches!(order, Order::Look { is_round: theirs } if *theirs || !is_round))
        {
            // One that has not begun will see what this one is for.
            return Ok(());
        }
        held.orders.push_back(order);
        let has_thread = held.has_thread;
        drop(held);
        if has_thread {
            self.desk.bell.notify_one();
        } else if !self.is_short {
            self.begin(tray);
        }
        Ok(())
    }

    /// Tries again to have a thread, if orders wait for one.
    pub(super) fn rouse(&mut self, tray: &Arc<Tray<D>>) {
        if self.is_short {
            self.begin(tray);
        }
    }

    fn begin(&mut self, tray: &Arc<Tray<D>>) {
        // The one before has ended, or is about to without touching anything any more.
        let (desk, tray) = (self.desk.clone(), tray.clone());
        self.desk.lock().has_thread = true;
        let begun = thread::Builder::new()
            .name("hythe-ledger".into())
            .stack_size(self.stack)
            .spawn(move || keep_all(&desk, &tray));
        match begun {
            Ok(thread) => {
                self.thread = Some(thread);
                if mem::take(&mut self.is_short) {
                    log::info!("the ledger has a thread again");
                }
            }
            Err(error) => {
                self.desk.lock().has_thread = false;
                if !mem::replace(&mut self.is_short, true) {
                    log::error!("no thread for the ledger, which is tried again and again: {error}");
                }
            }
        }
    }
}

impl<E, D> Ledger<E, D> {
    /// Whether orders wait for a thread that was not to be had.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// What was ordered is still done, then the ledger is closed in good order. That is waited for.
    pub(super) fn end(&mut self, tray: &Tray<D>) {
        self.desk.lock().is_over = true;
        self.desk.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if mem::take(&mut self.is_short) {
            // There was no thread for it to the last, and nobody else waits for this one any more.
            keep_all(&self.desk, tray);
        }
        let keeper = self.desk.lock().keeper.take();
        drop(keeper);
    }
}

impl<E, D> Desk<E, D> {
    fn lock(&self) -> MutexGuard<'_, Held<E, D>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next order, if one comes within so long. Without one the caller holds the desk, and knows that none is there.
    fn next(&self, within: Duration) -> Result<Order<E>, MutexGuard<'_, Held<E, D>>> {
        let until = Instant::now() + within;
        let mut held = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match held.orders.pop_front() {
                Some(order) => return Ok(order),
                None if held.is_over || left.is_zero() => return Err(held),
                None => held = self.bell.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
    }
}

/// Who sits at the desk. A keeper that panics is out of order for good, and whoever waits for a verdict hears that.
struct Seat<'a, E, D> {
    desk: &'a Desk<E, D>,
    tray: &'a Tray<D>,
    /// How many entries the keeper has in hand.
    in_hand: usize,
}

impl<E, D> Drop for Seat<'_, E, D> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        log::error!("the ledger's keeper panicked: nothing more is kept");
        let mut held = self.desk.lock();
        held.is_over = true;
        let orders = mem::take(&mut held.orders);
        drop(held);
        let mut lost = self.in_hand;
        for order in orders {
            match order {
                Order::Keep(batch) => lost += batch.len(),
                Order::PassOn(ready) => ready.say_go(),
                Order::Look { .. } => {}
            }
        }
        self.tray.put(Happening::Verdicts(vec![Verdict::Lost; lost]));
    }
}

/// The ledger's thread: takes all that waits, makes one batch of it, and puts the verdicts on the tray.
fn keep_all<E, D>(desk: &Desk<E, D>, tray: &Tray<D>) {
    pool::be_ordinary();
    let Some(mut keeper) = desk.lock().keeper.take() else { return };
    let mut seat = Seat { desk, tray, in_hand: 0 };
    let mut rested = Instant::now();
    let mut has_more = false;
    let mut kept_last = 0;
    // What was come upon while company was waited for.
    let mut next = None;
    let patience = keeper.patience();
    loop {
        // Who is busy without a break rests all the same.
        if has_more && rested.elapsed() >= REST_AT_LEAST {
            has_more = keeper.rest();
            rested = Instant::now();
        }
        let order = match next.take() {
            Some(order) => Ok(order),
            None => desk.next(if has_more { REST_AFTER } else { desk.idle_max }),
        };
        let mut batch = match order {
            Ok(Order::Keep(batch)) => batch,
            Ok(Order::Look { is_round }) => {
                if let Some(done) = keeper.look(is_round) {
                    tray.put(Happening::Done { key: Key::NOBODY, done });
                }
                continue;
            }
            Ok(Order::PassOn(ready)) => {
                keeper.pass_on();
                ready.say_go();
                continue;
            }
            Err(held) if has_more && !held.is_over => {
                drop(held);
                has_more = keeper.rest();
                rested = Instant::now();
                continue;
            }
            Err(mut held) => {
                if !held.is_over {
                    drop(held);
                    keeper.let_go();
                    held = desk.lock();
                }
                // Whatever has come meanwhile is done first.
                if held.orders.is_empty() {
                    held.keeper = Some(keeper);
                    held.has_thread = false;
                    return;
                }
                continue;
            }
        };
        if !has_more {
            rested = Instant::now();
            has_more = true;
        }
        next = gather(desk, &mut batch, kept_last, patience);
        kept_last = batch.len();
        seat.in_hand = kept_last;
        let mut verdicts = keeper.keep(batch);
        verdicts.resize(kept_last, Verdict::Lost);
        tray.put(Happening::Verdicts(verdicts));
        seat.in_hand = 0;
    }
}

/// Adds to a batch what waits. Those who were answered together speak again together, as a rule, and a few turns of the loop bring them
/// all: so a batch that is smaller than the last one waits for them, as long as `patience` lasts. Gives the order it came upon that is
/// not to keep something.
fn gather<E, D>(desk: &Desk<E, D>, batch: &mut Vec<E>, kept_last: usize, patience: Duration) -> Option<Order<E>> {
    let until = Instant::now() + patience;
    loop {
        let has_company = kept_last < MANY || batch.len() >= kept_last;
        let within = if has_company { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
        match desk.next(within) {
            Ok(Order::Keep(mut more)) => batch.append(&mut more),
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::system::Verdict::{Kept, Lost};

    /// Gives running numbers; an entry of 0 is too much for it.
    #[derive(Default)]
    struct Clerk {
        kept: i64,
        looks: Arc<Mutex<u32>>,
        has_let_go: Arc<Mutex<u32>>,
    }

    impl Keeper<u32, u32> for Clerk {
        fn keep(&mut self, batch: Vec<u32>) -> Vec<Verdict> {
            assert!(!batch.contains(&0), "nothing can be kept of nothing");
            let last = self.kept;
            self.kept += batch.len() as i64;
            (last + 1..=self.kept).map(Kept).collect()
        }

        fn rest(&mut self) -> bool {
            false
        }

        fn look(&mut self, _: bool) -> Option<u32> {
            *self.looks.lock().unwrap() += 1;
            None
        }

        fn let_go(&mut self) {
            *self.has_let_go.lock().unwrap() += 1;
        }
    }

    struct Room {
        ledger: Ledger<u32, u32>,
        tray: Arc<Tray<u32>>,
        verdicts: Vec<Verdict>,
        _poll: mio::Poll,
    }

    impl Room {
        fn with(clerk: Clerk, idle_max: Duration) -> Room {
            let poll = mio::Poll::new().unwrap();
            let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap()));
            Room { ledger: Ledger::new(Box::new(clerk), idle_max), tray, verdicts: Vec::new(), _poll: poll }
        }

        fn keep(&mut self, batch: &[u32]) -> bool {
            self.ledger.give(Order::Keep(batch.to_vec()), &self.tray).is_ok()
        }

        /// All verdicts, when there are so many.
        fn heard(&mut self, count: usize) -> &[Verdict] {
            wait_for(|| {
                let mut happened = Vec::new();
                self.tray.take(&mut happened);
                for happening in happened {
                    let Happening::Verdicts(verdicts) = happening else { panic!("nothing else is told") };
                    self.verdicts.extend(verdicts);
                }
                self.verdicts.len() >= count
            });
            &self.verdicts
        }

        fn has_thread(&self) -> bool {
            self.ledger.desk.lock().has_thread
        }
    }

    fn wait_for(mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(60), "it never is");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_thread_ends_when_nothing_comes_and_the_next_order_has_a_new_one_with_the_same_keeper() {
        let clerk = Clerk::default();
        let (looks, has_let_go) = (clerk.looks.clone(), clerk.has_let_go.clone());
        let mut room = Room::with(clerk, Duration::from_millis(5));
        assert!(!room.has_thread());
        for round in 1..=3 {
            assert!(room.keep(&[7, 7]));
            assert_eq!(room.heard(2 * round).last(), Some(&Kept(2 * round as i64)));
            assert!(room.ledger.give(Order::Look { is_round: false }, &room.tray).is_ok());
            wait_for(|| *looks.lock().unwrap() == round as u32);
            wait_for(|| !room.has_thread());
            // It may have gone and come again between the two orders.
            assert!(*has_let_go.lock().unwrap() >= round as u32);
        }
    }

    #[test]
    fn no_order_is_lost_though_the_thread_ends_all_the_time() {
        let mut room = Room::with(Clerk::default(), Duration::from_micros(50));
        for round in 0..500u64 {
            assert!(room.keep(&[1]));
            thread::sleep(Duration::from_micros(round % 150));
        }
        let expected: Vec<Verdict> = (1..=500).map(Kept).collect();
        assert_eq!(room.heard(500), expected);
    }

    #[test]
    fn what_was_ordered_before_the_end_is_kept_and_nothing_after_it() {
        let mut room = Room::with(Clerk::default(), Duration::from_secs(60));
        assert!(room.keep(&[1]) && room.keep(&[2, 3]));
        room.ledger.end(&room.tray);
        assert_eq!(room.heard(3), [1, 2, 3].map(Kept));
        assert!(!room.keep(&[4]));
    }

    #[test]
    fn where_no_thread_is_to_be_had_orders_wait_for_one_and_none_is_lost() {
        let mut room = Room::with(Clerk::default(), Duration::from_millis(5));
        // So much memory has no machine.
        room.ledger.stack = 1 << 60;
        assert!(room.keep(&[1]) && room.keep(&[2, 3]));
        for _ in 0..3 {
            assert!(room.ledger.give(Order::Look { is_round: false }, &room.tray).is_ok());
        }
        room.ledger.rouse(&room.tray);
        assert!(room.ledger.is_short() && !room.has_thread());
        assert_eq!(room.ledger.desk.lock().orders.len(), 3, "it looks once for all who want it to");
        room.ledger.stack = 2 * STACK;
        room.ledger.rouse(&room.tray);
        assert!(!room.ledger.is_short());
        assert_eq!(room.heard(3), [1, 2, 3].map(Kept));
        wait_for(|| !room.has_thread());
        room.ledger.stack = 1 << 60;
        assert!(room.keep(&[4]));
        room.ledger.end(&room.tray);
        assert_eq!(
            room.heard(4).last(),
            Some(&Kept(4)),
            "what was ordered is done before the end, by whoever there is"
        );
    }

    #[test]
    fn whoever_waits_for_a_keeper_that_panics_hears_that_it_is_lost() {
        let mut room = Room::with(Clerk::default(), Duration::from_secs(60));
        assert!(room.keep(&[1]));
        assert_eq!(room.heard(1), [Kept(1)]);
        assert!(room.keep(&[0, 5]));
        assert_eq!(room.heard(3)[1..], [Lost, Lost]);
        assert!(!room.keep(&[6]), "it says at once that nothing is kept");
    }
}
