//! [`Pledges`]: bytes that are under way to somebody's files and have no place yet, by account. They count for what an account may
//! have from the moment they are let come: otherwise one account could fill the disk with what is never finished.
//!
//! Whoever wants to bring something pledges it first and looks then whether there is room for all that is pledged: of two who want
//! the last bytes the second sees the first. A pledge ends when it is dropped, wherever that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What each account has pledged. The loop and its helpers share it; nobody holds it for longer than a sum takes.
#[derive(Clone, Debug, Default)]
pub struct Pledges(Arc<Mutex<HashMap<i64, u64>>>);

/// So many bytes are under way for an account, for as long as this is kept.
#[must_use]
#[derive(Debug)]
pub struct Pledge {
    all: Pledges,
    account: i64,
    bytes: u64,
}

impl Pledges {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pledges bytes for an account, whatever others it has.
    pub fn pledge(&self, account: i64, bytes: u64) -> Pledge {
        let mut pledge = Pledge { all: self.clone(), account, bytes: 0 };
        pledge.raise(bytes);
        pledge
    }

    /// All that an account has pledged.
    pub fn of(&self, account: i64) -> u64 {
        self.lock().get(&account).copied().unwrap_or(0)
    }
}

impl Pledge {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it as large as this if it was smaller; says what its account has pledged in all by then.
    pub fn raise(&mut self, bytes: u64) -> u64 {
        self.set(bytes.max(self.bytes))
    }

    /// Makes it as large as this; says what its account has pledged in all by then.
    pub fn set(&mut self, bytes: u64) -> u64 {
        let mut all = self.all.lock();
        let total = all.entry(self.account).or_default();
        *total = total.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
        let total = *total;
        if total == 0 {
            all.remove(&self.account);
        }
        total
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pledged_counts_until_it_is_dropped_and_for_its_account_only() {
        let pledges = Pledges::default();
        let (mut first, second) = (pledges.pledge(1, 10), pledges.pledge(1, 5));
        let other = pledges.pledge(2, 7);
        assert_eq!((pledges.of(1), pledges.of(2), pledges.of(3)), (15, 7, 0));
        assert_eq!((first.raise(4), first.bytes()), (15, 10), "it does not shrink by that");
        assert_eq!((first.raise(12), first.bytes()), (17, 12));
        assert_eq!((first.set(1), first.bytes()), (6, 1));
        drop(second);
        assert_eq!(pledges.of(1), 1);
        drop(first);
        drop(other);
        assert!(pledges.lock().is_empty(), "nothing is remembered of who has nothing under way");
    }
}
