//! Who guesses is held back: for each account and address together, and for each account over all addresses. A pure model with
//! bounds; names without an account count like all others, so that nothing is learned from them.

use std::collections::HashMap;
use std::net::IpAddr;

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
    pairs: HashMap<(Box<str>, IpAddr), Failures>,
    accounts: HashMap<Box<str>, Failures>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    /// Of a pair: when the last was. Of an account: when its hour began.
    at: Moment,
}

impl Failures {
    /// Until when a pair must wait.
    fn until(self) -> Moment {
        match self.count.checked_sub(FREE) {
            None => self.at,
            Some(over) => self.at.plus(WAIT_MS.checked_shl(over.min(20)).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS)),
        }
    }
}

impl Throttle {
    /// Somebody tries: counts as a failure until [`succeed`](Throttle::succeed) says otherwise, so that many tries at once are no
    /// way around. `network` is the address as it is counted; `is_known` whether it signed in to the account lately.
    ///
    /// # Errors
    /// After how many seconds to try again. Who is held back has not tried.
    pub fn begin(&mut self, name: &str, network: IpAddr, is_known: bool, now: Moment) -> Result<(), u32> {
        self.make_room(now);
        let pair = self.pairs.get(&(Box::from(name), network)).copied();
        let pair = pair.filter(|pair| now.since(pair.at) < FORGET_MS).unwrap_or(Failures { count: 0, at: now });
        let account = self.accounts.get(name).copied();
        let account = account.filter(|hour| now.since(hour.at) < HOUR_MS).unwrap_or(Failures { count: 0, at: now });
        let mut until = pair.until();
        if account.count >= HOURLY && !is_known {
            until = until.max(account.at.plus(HOUR_MS));
        }
        if now < until {
            return Err(u32::try_from(until.since(now).div_ceil(1000)).unwrap_or(u32::MAX));
        }
        self.pairs.insert((name.into(), network), Failures { count: pair.count.saturating_add(1), at: now });
        self.accounts.insert(name.into(), Failures { count: account.count.saturating_add(1), ..account });
        Ok(())
    }

    /// It was the right one: the address is forgotten, and the account has one failure less.
    pub fn succeed(&mut self, name: &str, network: IpAddr) {
        self.pairs.remove(&(Box::from(name), network));
        if let Some(account) = self.accounts.get_mut(name) {
            account.count = account.count.saturating_sub(1);
        }
    }

    fn make_room(&mut self, now: Moment) {
        if self.pairs.len() >= ENTRIES_MAX {
            self.pairs.retain(|_, pair| now.since(pair.at) < FORGET_MS);
            // Those who need not wait are the first to be forgotten.
            if self.pairs.len() > ENTRIES_MAX / 4 * 3 {
                self.pairs.retain(|_, pair| now < pair.until());
            }
            // So many who wait at once are an attack on this very memory; each account's own bound is still there.
            if self.pairs.len() > ENTRIES_MAX / 4 * 3 {
                self.pairs.clear();
            }
        }
        if self.accounts.len() >= ENTRIES_MAX {
            self.accounts.retain(|_, hour| now.since(hour.at) < HOUR_MS);
            if self.accounts.len() > ENTRIES_MAX / 4 * 3 {
                self.accounts.retain(|_, hour| hour.count >= FREE);
            }
            if self.accounts.len() > ENTRIES_MAX / 4 * 3 {
                self.accounts.clear();
            }
        }
    }
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

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.begin("ada", HOME, false, at(0)), Ok(()));
        }
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(throttle.begin("ada", HOME, false, at(now)), Err(expected));
            assert_eq!(throttle.begin("ada", HOME, false, at(now + u64::from(expected) * 1000 - 1)), Err(1));
            now += u64::from(expected) * 1000;
            assert_eq!(throttle.begin("ada", HOME, false, at(now)), Ok(()), "after {expected} s");
        }
        assert_eq!(throttle.begin("ada", from(7), false, at(now)), Ok(()), "another address");
        assert_eq!(throttle.begin("bob", HOME, false, at(now)), Ok(()), "another account");
        assert_eq!(throttle.begin("ada", HOME, false, at(now + FORGET_MS)), Ok(()), "another day");
    }

    #[test]
    fn a_success_forgives_its_own_address_and_takes_nothing_from_the_others() {
        let mut throttle = Throttle::default();
        for _ in 0..4 {
            throttle.begin("ada", HOME, false, at(0)).unwrap();
            throttle.begin("ada", from(7), false, at(0)).unwrap();
        }
        throttle.begin("ada", HOME, false, at(0)).unwrap();
        throttle.succeed("ada", HOME);
        for _ in 0..5 {
            assert_eq!(throttle.begin("ada", HOME, false, at(0)), Ok(()));
        }
        assert_eq!(throttle.begin("ada", HOME, false, at(0)), Err(1));
        assert_eq!(throttle.begin("ada", from(7), false, at(0)), Ok(()));
        assert_eq!(throttle.begin("ada", from(7), false, at(0)), Err(1));
    }

    #[test]
    fn fifty_failures_in_an_hour_close_an_account_to_all_addresses_but_those_it_knows() {
        let mut throttle = Throttle::default();
        for number in 0..50 {
            assert_eq!(throttle.begin("ada", from(number), false, at(1000)), Ok(()));
        }
        assert_eq!(throttle.begin("ada", from(99), false, at(1000)), Err(3600));
        assert_eq!(throttle.begin("ada", HOME, true, at(1000)), Ok(()));
        assert_eq!(throttle.begin("bob", from(99), false, at(1000)), Ok(()));
        assert_eq!(throttle.begin("ada", from(99), false, at(1000 + HOUR_MS)), Ok(()));
    }

    #[test]
    fn made_up_names_and_addresses_cost_bounded_memory() {
        let mut throttle = Throttle::default();
        for number in 0..40_000 {
            throttle.begin(&format!("n{number}"), from(number), false, at(u64::from(number))).unwrap();
            assert!(throttle.pairs.len() <= ENTRIES_MAX && throttle.accounts.len() <= ENTRIES_MAX);
        }
        for _ in 0..5 {
            throttle.begin("ada", HOME, false, at(50_000)).unwrap();
        }
        for number in 0..40_000 {
            let _ = throttle.begin(&format!("m{number}"), from(number), false, at(50_000));
        }
        assert!(throttle.begin("ada", HOME, false, at(50_000)).is_err(), "who waits is not forgotten for that");
    }
}
