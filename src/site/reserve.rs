//! [`Reserve`]: places behind the full queue of those whose passwords are to be checked, for who was here before. Whoever fills the
//! queue from outside does not keep them from their own accounts.

use std::sync::{Arc, Weak};

/// Who was here before. Each may have one reserved place at a time: one account cannot take them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regular {
    /// The operator.
    Operator,
    /// Somebody who is signed in to this account, or has shown its code.
    Within(i64),
    /// Somebody at an address that signed in to this account lately.
    Known(i64),
}

/// A place in the queue, kept until this is dropped.
pub struct Place(#[allow(dead_code, reason = "that it is there is all it says")] Option<Arc<()>>);

impl Place {
    /// A place like anybody's.
    pub fn ordinary() -> Place {
        Place(None)
    }
}

/// The places that are taken.
#[derive(Default)]
pub struct Reserve {
    taken: Vec<(Regular, Weak<()>)>,
}

impl Reserve {
    /// Takes one, unless this one has one already. How many there are in all, the lane itself knows.
    pub fn take(&mut self, who: Regular) -> Option<Place> {
        self.taken.retain(|(_, place)| place.strong_count() > 0);
        if self.taken.iter().any(|(other, _)| *other == who) {
            return None;
        }
        let place = Arc::new(());
        self.taken.push((who, Arc::downgrade(&place)));
        Some(Place(Some(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_place_at_a_time_and_it_is_free_again_when_it_is_left() {
        let mut reserve = Reserve::default();
        let ada = reserve.take(Regular::Within(1)).expect("the first");
        assert!(reserve.take(Regular::Within(1)).is_none());
        let others = [Regular::Known(1), Regular::Within(2), Regular::Operator].map(|who| reserve.take(who));
        assert!(others.iter().all(Option::is_some));
        drop(ada);
        assert!(reserve.take(Regular::Within(1)).is_some());
        drop(others);
        assert!(reserve.take(Regular::Known(1)).is_some() && reserve.taken.len() == 1);
    }
}
