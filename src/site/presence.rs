//! [`Presence`]: who is in which room, of those who have a name: by an account, or as a guest who chose one. A pure model.
//!
//! That somebody came, left or types is told to a room at most once a second, all of it in one note, and not at all where so
//! many listen that telling everyone of everyone would be more than all that is said. Who leaves and is back within the second
//! has not left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// In a room with more listeners than this nobody is told who comes and goes.
pub const TOLD_MAX: usize = 200;

/// How often a room is told, at most.
pub const EVERY_MS: u64 = 1000;

/// How long news waits for company.
pub const GATHERED_MS: u64 = 200;

/// Somebody with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The name.
    pub name: Arc<str>,
    /// Whether it is an account's.
    pub is_user: bool,
}

/// What is to be told to a room: names, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who came, with their first connection.
    pub joined: Vec<Named>,
    /// Who left, with their last.
    pub left: Vec<Named>,
    /// Who types.
    pub typing: Vec<Named>,
}

#[derive(Default)]
struct There {
    /// Who is here, and with how many connections.
    people: BTreeMap<Named, u32>,
    /// Who was here when the room was last told.
    changed: BTreeMap<Named, bool>,
    typing: BTreeSet<Named>,
}

/// Who is where.
#[derive(Default)]
pub struct Presence {
    rooms: BTreeMap<String, There>,
    /// Rooms with something to tell.
    stirred: BTreeSet<String>,
}

impl Presence {
    /// Somebody listens to a room, with one more connection.
    pub fn enter(&mut self, room: &str, who: &Named) {
        let there = self.rooms.entry(room.to_owned()).or_default();
        let connections = there.people.entry(who.clone()).or_default();
        *connections += 1;
        if *connections == 1 {
            there.changed.entry(who.clone()).or_insert(false);
            self.stirred.insert(room.to_owned());
        }
    }

    /// One of somebody's connections is gone.
    pub fn leave(&mut self, room: &str, who: &Named) {
        let Some(there) = self.rooms.get_mut(room) else { return };
        let Some(connections) = there.people.get_mut(who) else { return };
        *connections -= 1;
        if *connections == 0 {
            there.people.remove(who);
            there.typing.remove(who);
            there.changed.entry(who.clone()).or_insert(true);
            self.stirred.insert(room.to_owned());
        }
    }

    /// Somebody who is there types.
    pub fn types(&mut self, room: &str, who: &Named) {
        if let Some(there) = self.rooms.get_mut(room).filter(|there| there.people.contains_key(who)) {
            there.typing.insert(who.clone());
            self.stirred.insert(room.to_owned());
        }
    }

    /// Whether something is to be told.
    pub fn has_news(&self) -> bool {
        !self.stirred.is_empty()
    }

    /// What is to be told, by room; from now on it has been.
    pub fn take_news(&mut self) -> Vec<(String, News)> {
        let stirred = std::mem::take(&mut self.stirred);
        let mut all = Vec::new();
        for room in stirred {
            let Some(there) = self.rooms.get_mut(&room) else { continue };
            let mut news = News::default();
            for (who, was_here) in std::mem::take(&mut there.changed) {
                match (was_here, there.people.contains_key(&who)) {
                    (false, true) => news.joined.push(who),
                    (true, false) => news.left.push(who),
                    _ => {}
                }
            }
            news.typing = std::mem::take(&mut there.typing).into_iter().collect();
            if there.people.is_empty() {
                self.rooms.remove(&room);
            }
            if news != News::default() {
                all.push((room, news));
            }
        }
        all
    }

    /// Who is in a room, by name; at most so many.
    pub fn names(&self, room: &str, most: usize) -> Vec<&Named> {
        self.rooms.get(room).map(|there| there.people.keys().take(most).collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Named {
        Named { name: name.into(), is_user: true }
    }

    fn names(list: &[Named]) -> Vec<&str> {
        list.iter().map(|who| &*who.name).collect()
    }

    #[test]
    fn the_first_connection_joins_and_the_last_one_leaves() {
        let mut presence = Presence::default();
        let (ada, bob) = (named("ada"), named("bob"));
        for who in [&ada, &ada, &bob] {
            presence.enter("den", who);
        }
        let news = presence.take_news();
        assert_eq!((news.len(), &*news[0].0, names(&news[0].1.joined)), (1, "den", vec!["ada", "bob"]));
        presence.leave("den", &ada);
        assert!(presence.take_news().is_empty(), "another connection is still there");
        assert_eq!(presence.names("den", 9), [&ada, &bob]);
        presence.leave("den", &ada);
        let news = presence.take_news();
        assert_eq!((names(&news[0].1.left), names(&news[0].1.joined)), (vec!["ada"], vec![]));
        presence.leave("den", &bob);
        presence.take_news();
        assert!(presence.rooms.is_empty() && !presence.has_news(), "an empty room is not remembered");
    }

    #[test]
    fn who_is_back_within_the_second_has_not_left_and_who_only_looked_in_was_not_there() {
        let mut presence = Presence::default();
        let (ada, bob) = (named("ada"), named("bob"));
        presence.enter("den", &ada);
        presence.take_news();
        presence.leave("den", &ada);
        presence.enter("den", &ada);
        presence.enter("den", &bob);
        presence.leave("den", &bob);
        assert!(presence.has_news() && presence.take_news().is_empty());
        assert_eq!(presence.names("den", 9), [&ada]);
    }

    #[test]
    fn typing_is_told_once_for_those_who_are_there() {
        let mut presence = Presence::default();
        let (ada, bob) = (named("ada"), named("bob"));
        presence.enter("den", &ada);
        presence.take_news();
        for _ in 0..9 {
            presence.types("den", &ada);
            presence.types("den", &bob);
            presence.types("attic", &ada);
        }
        let news = presence.take_news();
        assert_eq!((news.len(), names(&news[0].1.typing)), (1, vec!["ada"]));
        assert!(presence.take_news().is_empty());
        presence.types("den", &ada);
        presence.leave("den", &ada);
        assert_eq!(names(&presence.take_news()[0].1.typing), Vec::<&str>::new(), "who has left does not type");
    }

    #[test]
    fn leaving_what_was_never_entered_is_nothing() {
        let mut presence = Presence::default();
        presence.leave("den", &named("ada"));
        presence.enter("den", &named("ada"));
        presence.leave("den", &named("bob"));
        assert_eq!(presence.names("den", 9).len(), 1);
        assert_eq!(presence.names("den", 0).len(), 0);
    }
}
