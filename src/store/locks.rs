//! [`Locks`]: which places of the files are being changed. Whoever changes something locks its place first, then asks whose it is, does
//! it, has the ledger keep whose it is now, and only then lets go. So bytes and owner change as one, and one change after the other,
//! whatever comes home when. A pure model: it is the loop's, and nobody sleeps in it.
//!
//! A lock ends when it is dropped, wherever that is: a change that is given up leaves nothing locked.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::path::RelPath;
use crate::store::tree::common_stem;

/// A place in the files, and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account in whose home it is; `None` for the shared area.
    home: Option<i64>,
    path: RelPath<'static>,
    or_like: bool,
}

impl Place {
    /// A path in a home or the shared area.
    pub fn new(home: Option<i64>, path: RelPath<'static>) -> Place {
        Place { home, path, or_like: false }
    }

    /// The same and every name like it: which of them is free is found out by taking it.
    pub fn or_like(self) -> Place {
        Place { or_like: true, ..self }
    }

    /// In whose home it is.
    pub fn home(&self) -> Option<i64> {
        self.home
    }

    /// Whether a change of one may have to do with a change of the other. It may be said too often.
    fn meets(&self, other: &Place) -> bool {
        self.home == other.home
            && (self.path.strip(other.path.as_str()).is_some()
                || other.path.strip(self.path.as_str()).is_some()
                || self.may_become(other)
                || other.may_become(self))
    }

    fn may_become(&self, other: &Place) -> bool {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.name()) else { return false };
        let Some(below) = other.path.strip(folder.as_str()) else { return false };
        self.or_like && below.as_str().starts_with(common_stem(name))
    }
}

/// Places are locked as long as this is there.
#[must_use]
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is only there")] Arc<()>);

/// The locks there are, and who waits for one; `W` is how a waiter is called.
#[derive(Debug)]
pub struct Locks<W> {
    held: Vec<(Weak<()>, Vec<Place>)>,
    waiting: VecDeque<Waiter<W>>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: u64,
    who: W,
    places: Vec<Place>,
}

impl<W> Default for Locks<W> {
    fn default() -> Locks<W> {
        Locks { held: Vec::new(), waiting: VecDeque::new(), tickets: 0 }
    }
}

impl<W> Locks<W> {
    /// Locks all of these places; `None` if one of them is locked.
    pub fn take(&mut self, places: &[Place]) -> Option<Lock> {
        if !self.are_free(places) {
            return None;
        }
        let lock = Arc::new(());
        self.held.push((Arc::downgrade(&lock), places.to_vec()));
        Some(Lock(lock))
    }

    /// Whether somebody is changing this place.
    pub fn is_held(&self, place: &Place) -> bool {
        self.held.iter().any(|(lock, held)| lock.strong_count() > 0 && held.iter().any(|held| held.meets(place)))
    }

    fn are_free(&mut self, places: &[Place]) -> bool {
        self.held.retain(|(lock, _)| lock.strong_count() > 0);
        !self.held.iter().any(|(_, held)| meet(held, places))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Notes that somebody waits for these places; the ticket is theirs.
    pub fn wait(&mut self, who: W, places: Vec<Place>) -> u64 {
        self.tickets += 1;
        self.waiting.push_back(Waiter { ticket: self.tickets, who, places });
        self.tickets
    }

    /// They do not wait any more; says who they were, if that was not [told](Locks::admit) before.
    pub fn leave(&mut self, ticket: u64) -> Option<W> {
        let at = self.waiting.iter().position(|waiter| waiter.ticket == ticket)?;
        self.waiting.remove(at).map(|waiter| waiter.who)
    }

    /// Who may try now: those whose places are free, and for which nobody waits who came before. They wait no more.
    pub fn admit(&mut self) -> Vec<W> {
        let (mut next, mut left) = (Vec::new(), VecDeque::new());
        let mut wanted: Vec<Place> = Vec::new();
        for waiter in std::mem::take(&mut self.waiting) {
            let is_free = !meet(&wanted, &waiter.places) && self.are_free(&waiter.places);
            wanted.extend(waiter.places.iter().cloned());
            if is_free {
                next.push(waiter.who);
            } else {
                left.push_back(waiter);
            }
        }
        self.waiting = left;
        next
    }
}

fn meet(some: &[Place], others: &[Place]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.meets(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::new(None, RelPath::from_plain(text).unwrap().into_owned())
    }

    #[test]
    fn places_meet_where_one_lies_in_the_other_or_may_get_its_name() {
        let home = Place::new(Some(7), RelPath::from_plain("a").unwrap());
        for (one, other, expected) in [
            (place("a"), place("a"), true),
            (place("a"), place("a/b/c"), true),
            (place(""), place("a/b"), true),
            (place("a/b"), place("a/c"), false),
            (place("a"), place("ab"), false),
            (place("a"), home.clone(), false),
            (home.clone(), home, true),
            (place("a.txt").or_like(), place("a (2).txt"), true),
            (place("a.txt").or_like(), place("a (2).txt/below"), true),
            (place("d/a").or_like(), place("a (2)"), false),
            (place("a").or_like(), place("b (2)"), false),
            (place("a").or_like(), place("a (2)").or_like(), true),
            (place("a (2)").or_like(), place("a"), false),
        ] {
            assert_eq!(one.meets(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.meets(&one), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_place_is_locked_as_long_as_its_lock_is_there() {
        let mut locks: Locks<()> = Locks::default();
        let lock = locks.take(&[place("a/b"), place("c")]).unwrap();
        for text in ["a", "a/b", "c/d", ""] {
            assert!(locks.take(&[place("z"), place(text)]).is_none(), "{text}");
        }
        let other = locks.take(&[place("a/c")]).unwrap();
        drop(lock);
        assert!(locks.take(&[place("a")]).is_none(), "the other is there");
        drop(other);
        assert!(locks.take(&[place("a")]).is_some());
    }

    #[test]
    fn who_waits_longest_is_told_first_and_others_need_not_wait_for_that() {
        let mut locks: Locks<&str> = Locks::default();
        let (a, b) = (locks.take(&[place("a")]).unwrap(), locks.take(&[place("b")]).unwrap());
        locks.wait("first", vec![place("a")]);
        locks.wait("second", vec![place("a"), place("b")]);
        let third = locks.wait("third", vec![place("b")]);
        locks.wait("fourth", vec![place("a")]);
        assert_eq!(locks.admit(), [""; 0]);
        drop(b);
        assert_eq!(locks.admit(), [""; 0], "the second was there before the third");
        drop(a);
        assert_eq!(locks.admit(), ["first"]);
        assert_eq!(locks.leave(third), Some("third"));
        assert_eq!(locks.leave(third), None);
        assert_eq!(locks.admit(), ["second"]);
        assert_eq!((locks.admit(), locks.waiting()), (vec!["fourth"], 0));
    }
}
