//! Who guesses is held back: for each account and address together, and for each account over all addresses; and whoever is
//! signed in and is asked for their password again, for each session. A pure model with bounds; names without an account count
//! like all others, so that nothing is learned from them.
//!
//! Only a wrong answer is a failure. Tries that have begun and wait to be checked are none: many may, and each is looked at once
//! more when its turn comes ([`Try::check`]), for the one before it may have used up what was free.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Moment;

/// So many failures are free.
const FREE: u32 = 5;
/// The first wait, and the longest.
const WAIT_MS: u64 = 1_000;
const WAIT_MAX_MS: u64 = 15 * 60 * 1_000;
/// Failures of an account in an hour, over all addresses.
const HOURLY: u32 = 50;
const HOUR_MS: u64 = 60 * 60 * 1_000;
/// After this long nobody remembers failures.
const FORGET_MS: u64 = 24 * HOUR_MS;
/// More than this is not remembered.
const ENTRIES_MAX: usize = 16_384;

/// All failures that are remembered.
#[derive(Default)]
pub struct Throttle {
    triers: HashMap<Trier, Failures>,
    accounts: HashMap<Box<str>, Failures>,
}

/// Who tries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trier {
    /// An address, as it is counted, at the account of a name.
    Address(Box<str>, IpAddr),
    /// Somebody who is signed in, at their own account. Whatever others do at that account or from that address does not
    /// concern them.
    Session(i64),
}

struct Failures {
    /// Shared with the tries that have begun, so that each sees what became of the one before.
    count: Arc<AtomicU32>,
    /// Of a trier: when the last was. Of an account: when its hour began.
    at: Moment,
}

impl Failures {
    fn none(now: Moment) -> Failures {
        Failures { count: Arc::default(), at: now }
    }

    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Until when a trier must wait.
    fn until(&self) -> Moment {
        match self.count().checked_sub(FREE) {
            None => self.at,
            Some(over) => self.at.plus(WAIT_MS.checked_shl(over.min(20)).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS)),
        }
    }

    /// Whether a try has begun and is not settled.
    fn is_tried(&self) -> bool {
        Arc::strong_count(&self.count) > 1
    }
}

/// A try that has begun. It goes to whoever checks the password, and comes back to be settled.
pub struct Try {
    trier: Trier,
    own: Arc<AtomicU32>,
    /// How often the account was failed over all addresses, and its name, where that counts.
    account: Option<(Box<str>, Arc<AtomicU32>)>,
    /// Whether the account's own bound does not hold for this one.
    is_known: bool,
    /// What was free is used up and the wait is over: this is the one try there is, and it is made in any case.
    is_only: bool,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was the right one.
    Right,
    /// It was not.
    Wrong,
    /// It was not looked at: those before it have used up what was free.
    Spent,
}

impl Try {
    /// Asks whether it is the right one, unless those before it have used up what was free.
    pub fn check(&self, is_right: impl FnOnce() -> bool) -> Outcome {
        let is_spent = !self.is_only && self.own.load(Ordering::Relaxed) >= FREE;
        let account = self.account.as_ref().map(|(_, count)| count);
        if is_spent || !self.is_known && account.is_some_and(|count| count.load(Ordering::Relaxed) >= HOURLY) {
            return Outcome::Spent;
        }
        if is_right() {
            return Outcome::Right;
        }
        for count in [Some(&self.own), account].into_iter().flatten() {
            // It cannot overflow: after the first few the waits are minutes.
            count.fetch_add(1, Ordering::Relaxed);
        }
        Outcome::Wrong
    }
}

impl Throttle {
    /// An address tries at an account's name. `is_known` is whether it signed in to the account lately.
    ///
    /// # Errors
    /// After how many seconds to try again. Who is held back has not tried.
    pub fn begin(&mut self, name: &str, network: IpAddr, is_known: bool, now: Moment) -> Result<Try, u32> {
        self.make_room(now);
        let account = self.accounts.entry(name.into()).or_insert_with(|| Failures::none(now));
        // The hour begins with the first failure.
        if account.count() == 0 {
            account.at = now;
        } else if now.since(account.at) >= HOUR_MS {
            *account = Failures::none(now);
        }
        let (account, hour) = (account.count.clone(), account.at);
        let is_closed = !is_known && account.load(Ordering::Relaxed) >= HOURLY;
        let not_before = if is_closed { hour.plus(HOUR_MS) } else { now };
        let (own, is_only) = self.enter(&Trier::Address(name.into(), network), not_before, now)?;
        Ok(Try {
            trier: Trier::Address(name.into(), network),
            own,
            account: Some((name.into(), account)),
            is_known,
            is_only,
        })
    }

    /// Somebody who is signed in tries at their own account.
    ///
    /// # Errors
    /// As [`begin`](Throttle::begin).
    pub fn begin_own(&mut self, session: i64, now: Moment) -> Result<Try, u32> {
        self.make_room(now);
        let trier = Trier::Session(session);
        let (own, is_only) = self.enter(&trier, now, now)?;
        Ok(Try { trier, own, account: None, is_known: true, is_only })
    }

    fn enter(&mut self, trier: &Trier, not_before: Moment, now: Moment) -> Result<(Arc<AtomicU32>, bool), u32> {
        let failures = self.triers.entry(trier.clone()).or_insert_with(|| Failures::none(now));
        if now.since(failures.at) >= FORGET_MS {
            *failures = Failures::none(now);
        }
        let until = failures.until().max(not_before);
        if now < until {
            return Err(seconds(until, now));
        }
        let is_only = failures.count() >= FREE;
        if is_only && failures.is_tried() {
            return Err(1);
        }
        Ok((failures.count.clone(), is_only))
    }

    /// What became of a try. A right one has its trier forgotten, and takes nothing from the others; one that was not made is told
    /// after how many seconds to try again.
    ///
    /// # Errors
    /// Those seconds.
    pub fn settle(&mut self, tried: Try, outcome: Outcome, now: Moment) -> Result<(), u32> {
        let Try { trier, own, account, .. } = tried;
        match outcome {
            Outcome::Right => {
                own.store(0, Ordering::Relaxed);
                drop(own);
                if self.triers.get(&trier).is_some_and(|failures| !failures.is_tried()) {
                    self.triers.remove(&trier);
                }
                if let Some((name, count)) = account {
                    drop(count);
                    if self.accounts.get(&name).is_some_and(|hour| hour.count() == 0 && !hour.is_tried()) {
                        self.accounts.remove(&name);
                    }
                }
                Ok(())
            }
            Outcome::Wrong => {
                // It may have been forgotten meanwhile, to make room.
                self.triers.entry(trier).or_insert(Failures { count: own, at: now }).at = now;
                Ok(())
            }
            Outcome::Spent => {
                let own = self.triers.get(&trier).map(Failures::until);
                let hour = account.and_then(|(name, _)| self.accounts.get(&name).filter(|hour| hour.count() >= HOURLY));
                let until = own.into_iter().chain(hour.map(|hour| hour.at.plus(HOUR_MS))).max().unwrap_or(now);
                Err(seconds(until, now).max(1))
            }
        }
    }

    /// Somebody is let in without a try.
    pub fn forgive(&mut self, name: &str, network: IpAddr) {
        self.triers.remove(&Trier::Address(name.into(), network));
    }

    fn make_room(&mut self, now: Moment) {
        if self.triers.len() >= ENTRIES_MAX {
            self.triers.retain(|_, failures| now.since(failures.at) < FORGET_MS);
            // Those who need not wait are the first to be forgotten.
            if self.triers.len() > ENTRIES_MAX / 4 * 3 {
                self.triers.retain(|_, failures| now < failures.until());
            }
            // So many who wait at once are an attack on this very memory; each account's own bound is still there.
            if self.triers.len() > ENTRIES_MAX / 4 * 3 {
                self.triers.clear();
            }
        }
        if self.accounts.len() >= ENTRIES_MAX {
            self.accounts.retain(|_, hour| now.since(hour.at) < HOUR_MS);
            if self.accounts.len() > ENTRIES_MAX / 4 * 3 {
                self.accounts.retain(|_, hour| hour.count() >= FREE);
            }
            if self.accounts.len() > ENTRIES_MAX / 4 * 3 {
                self.accounts.clear();
            }
        }
    }
}

/// From one moment to another, rounded up.
fn seconds(until: Moment, now: Moment) -> u32 {
    u32::try_from(until.since(now).div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn from(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    /// Tries, and what comes of it is known at once.
    fn guess(throttle: &mut Throttle, tried: Result<Try, u32>, is_right: bool, now: Moment) -> Result<Outcome, u32> {
        let tried = tried?;
        let outcome = tried.check(|| is_right);
        throttle.settle(tried, outcome, now).map(|()| outcome)
    }

    /// A wrong guess.
    fn fail(throttle: &mut Throttle, name: &str, network: IpAddr, is_known: bool, now: Moment) -> Result<Outcome, u32> {
        let tried = throttle.begin(name, network, is_known, now);
        guess(throttle, tried, false, now)
    }

    const WRONG: Result<Outcome, u32> = Ok(Outcome::Wrong);

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(fail(&mut throttle, "ada", HOME, false, at(0)), WRONG);
        }
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(fail(&mut throttle, "ada", HOME, false, at(now)), Err(expected));
            assert_eq!(fail(&mut throttle, "ada", HOME, false, at(now + u64::from(expected) * 1000 - 1)), Err(1));
            now += u64::from(expected) * 1000;
            assert_eq!(fail(&mut throttle, "ada", HOME, false, at(now)), WRONG, "after {expected} s");
        }
        assert_eq!(fail(&mut throttle, "ada", from(7), false, at(now)), WRONG, "another address");
        assert_eq!(fail(&mut throttle, "bob", HOME, false, at(now)), WRONG, "another account");
        assert_eq!(fail(&mut throttle, "ada", HOME, false, at(now + FORGET_MS)), WRONG, "another day");
    }

    #[test]
    fn a_success_forgives_its_own_address_and_takes_nothing_from_the_others() {
        let mut throttle = Throttle::default();
        for _ in 0..4 {
            fail(&mut throttle, "ada", HOME, false, at(0)).unwrap();
            fail(&mut throttle, "ada", from(7), false, at(0)).unwrap();
        }
        let tried = throttle.begin("ada", HOME, false, at(0));
        assert_eq!(guess(&mut throttle, tried, true, at(0)), Ok(Outcome::Right));
        for _ in 0..5 {
            assert_eq!(fail(&mut throttle, "ada", HOME, false, at(0)), WRONG);
        }
        assert_eq!(fail(&mut throttle, "ada", HOME, false, at(0)), Err(1));
        assert_eq!(fail(&mut throttle, "ada", from(7), false, at(0)), WRONG);
        assert_eq!(fail(&mut throttle, "ada", from(7), false, at(0)), Err(1));
    }

    #[test]
    fn many_tries_at_once_are_no_failures_and_no_way_around_either() {
        let mut throttle = Throttle::default();
        let tries = |throttle: &mut Throttle| -> Vec<Try> {
            (0..10).map(|_| throttle.begin("ada", HOME, false, at(0)).unwrap_or_else(|_| panic!("one may"))).collect()
        };
        for tried in tries(&mut throttle) {
            assert_eq!(guess(&mut throttle, Ok(tried), true, at(0)), Ok(Outcome::Right));
        }
        assert!(throttle.triers.is_empty() && throttle.accounts.is_empty(), "nothing is left of them");
        let told: Vec<_> =
            tries(&mut throttle).into_iter().map(|tried| guess(&mut throttle, Ok(tried), false, at(0))).collect();
        assert_eq!(told, [[WRONG; 5], [Err(1); 5]].concat());
        // From then on one at a time; the right one is as good as ever.
        let only = throttle.begin("ada", HOME, false, at(1000)).unwrap_or_else(|_| panic!("the wait is over"));
        assert_eq!(throttle.begin("ada", HOME, false, at(1000)).err(), Some(1));
        assert_eq!(guess(&mut throttle, Ok(only), true, at(1000)), Ok(Outcome::Right));
        assert!(throttle.begin("ada", HOME, false, at(1000)).is_ok());
    }

    #[test]
    fn tries_at_once_from_everywhere_do_not_go_beyond_the_hours_bound() {
        let mut throttle = Throttle::default();
        let tries: Vec<Try> = (0..60)
            .map(|number| throttle.begin("ada", from(number), false, at(0)).unwrap_or_else(|_| panic!("one may")))
            .collect();
        let told: Vec<_> = tries.into_iter().map(|tried| guess(&mut throttle, Ok(tried), false, at(0))).collect();
        assert_eq!(told, [vec![WRONG; 50], vec![Err(3600); 10]].concat());
    }

    #[test]
    fn fifty_failures_in_an_hour_close_an_account_to_all_addresses_but_those_it_knows() {
        let mut throttle = Throttle::default();
        for number in 0..50 {
            assert_eq!(fail(&mut throttle, "ada", from(number), false, at(1000)), WRONG);
        }
        assert_eq!(fail(&mut throttle, "ada", from(99), false, at(1000)), Err(3600));
        assert_eq!(fail(&mut throttle, "ada", HOME, true, at(1000)), WRONG);
        assert_eq!(fail(&mut throttle, "bob", from(99), false, at(1000)), WRONG);
        assert_eq!(fail(&mut throttle, "ada", from(99), false, at(1000 + HOUR_MS)), WRONG);
    }

    #[test]
    fn who_is_signed_in_has_tries_of_their_own() {
        let mut throttle = Throttle::default();
        for number in 0..60 {
            let _ = fail(&mut throttle, "ada", from(number), false, at(0));
            let _ = fail(&mut throttle, "ada", HOME, true, at(0));
        }
        let own = |throttle: &mut Throttle, session: i64, now: u64| {
            let tried = throttle.begin_own(session, at(now));
            guess(throttle, tried, false, at(now))
        };
        for _ in 0..5 {
            assert_eq!(own(&mut throttle, 1, 0), WRONG);
        }
        assert_eq!(own(&mut throttle, 1, 0), Err(1), "but no more than others");
        assert_eq!(own(&mut throttle, 2, 0), WRONG, "another session");
        assert_eq!(own(&mut throttle, 1, 1000), WRONG);
        assert_eq!(own(&mut throttle, 1, 1000), Err(2));
        // Nor do theirs concern anybody else.
        assert_eq!(throttle.accounts["ada"].count(), 50);
    }

    #[test]
    fn made_up_names_and_addresses_cost_bounded_memory() {
        let mut throttle = Throttle::default();
        for number in 0..40_000 {
            fail(&mut throttle, &format!("n{number}"), from(number), false, at(u64::from(number))).unwrap();
            throttle.begin_own(i64::from(number), at(u64::from(number))).unwrap_or_else(|_| panic!("one may"));
            assert!(throttle.triers.len() <= ENTRIES_MAX && throttle.accounts.len() <= ENTRIES_MAX);
        }
        for _ in 0..5 {
            fail(&mut throttle, "ada", HOME, false, at(50_000)).unwrap();
        }
        for number in 0..40_000 {
            let _ = fail(&mut throttle, &format!("m{number}"), from(number), false, at(50_000));
        }
        let told = fail(&mut throttle, "ada", HOME, false, at(50_000));
        assert!(told.is_err(), "who waits is not forgotten for that");
    }
}
