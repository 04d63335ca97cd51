//! [`History`]: the last chat messages of all rooms, in memory. A pure model: it changes by the ledger's verdicts only,
//! so what it holds is on the disk.
//!
//! Ids grow over all rooms, and messages stand in their order. What is older than the first message here is asked of
//! [`Reader`](crate::store::messages::Reader); [`History::reaches`] says when.

use std::collections::VecDeque;

use crate::clock::Wall;

/// One chat message, as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, growing over all rooms and never used twice.
    pub id: i64,
    /// The room it was said in.
    pub room: String,
    /// When it was said.
    pub ts: Wall,
    /// The account that said it; `None` for a guest.
    pub user: Option<String>,
    /// The name it was said under.
    pub name: String,
    /// What was said.
    pub text: String,
}

impl Message {
    /// What it counts for in a history's bound: its text and its place.
    fn weight(&self) -> usize {
        let user = self.user.as_ref().map_or(0, String::len);
        size_of::<Message>() + self.room.len() + user + self.name.len() + self.text.len()
    }
}

/// The last messages of all rooms, bounded by their number and by their bytes.
pub struct History {
    ring: VecDeque<Message>,
    messages_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// Messages from this id on are here, unless they were removed.
    first_id: i64,
    last_id: i64,
    /// What was erased last.
    erased: VecDeque<Erased>,
    /// How many were erased in all.
    erasures: u64,
}

/// A message that was taken back.
struct Erased {
    id: i64,
    room: String,
    /// The newest message when that was done.
    last_id: i64,
}

/// So many erased messages are remembered, for those who were away when it was done.
const ERASED_MAX: usize = 256;

impl History {
    /// An empty history that holds so many messages, and so many bytes of them.
    pub fn new(messages_max: usize, bytes_max: usize) -> History {
        History {
            ring: VecDeque::new(),
            messages_max,
            bytes_max,
            bytes: 0,
            first_id: 1,
            last_id: 0,
            erased: VecDeque::new(),
            erasures: 0,
        }
    }

    /// An empty history whose next message comes after `last_id`, in which all before is past.
    pub fn after(last_id: i64, messages_max: usize, bytes_max: usize) -> History {
        History { first_id: last_id + 1, last_id, ..History::new(messages_max, bytes_max) }
    }

    /// Takes the newest message; the oldest go if there is no room.
    ///
    /// # Panics
    /// If its id is not above all before it.
    pub fn push(&mut self, message: Message) {
        assert!(message.id > self.last_id, "messages come in the order of their ids");
        if self.last_id == 0 {
            self.first_id = message.id;
        }
        self.last_id = message.id;
        self.bytes += message.weight();
        self.ring.push_back(message);
        while self.ring.len() > self.messages_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.bytes -= oldest.weight();
            self.first_id = oldest.id + 1;
        }
    }

    /// Forgets all up to `id`, which are not kept any more.
    pub fn forget_until(&mut self, id: i64) {
        while let Some(oldest) = self.ring.pop_front_if(|oldest| oldest.id <= id) {
            self.bytes -= oldest.weight();
        }
        self.first_id = self.first_id.max(id.saturating_add(1));
    }

    /// The message of that id, if it is here.
    pub fn get(&self, id: i64) -> Option<&Message> {
        self.ring.get(self.place_of(id)?)
    }

    /// Takes a message out: it was erased. That leaves no gap to tell of, but is told to those who come again.
    pub fn erase(&mut self, id: i64, room: &str) {
        self.remove(id);
        if self.erased.len() >= ERASED_MAX {
            self.erased.pop_front();
        }
        self.erasures += 1;
        self.erased.push_back(Erased { id, room: room.to_owned(), last_id: self.last_id });
    }

    /// What was erased in these rooms, as far as is remembered, after the message `id` was heard: it may be one that was
    /// heard before.
    pub fn erased_since(&self, rooms: &[&str], id: i64) -> Vec<(i64, &str)> {
        let known = self.erased.iter().filter(|erased| erased.last_id >= id && erased.id <= id);
        known.filter(|erased| rooms.contains(&&*erased.room)).map(|erased| (erased.id, &*erased.room)).collect()
    }

    /// How many messages were erased so far: a position for [`History::erased_after`].
    pub fn erasures(&self) -> u64 {
        self.erasures
    }

    /// What was erased in these rooms, as far as is remembered, since there were so many erasures.
    pub fn erased_after(&self, rooms: &[&str], erasures: u64) -> Vec<(i64, &str)> {
        let news = usize::try_from(self.erasures.saturating_sub(erasures)).unwrap_or(usize::MAX);
        let known = self.erased.iter().skip(self.erased.len().saturating_sub(news));
        known.filter(|erased| rooms.contains(&&*erased.room)).map(|erased| (erased.id, &*erased.room)).collect()
    }

    /// Takes a message out: it was erased. That leaves no gap to tell of.
    pub fn remove(&mut self, id: i64) -> Option<Message> {
        let gone = self.ring.remove(self.place_of(id)?)?;
        self.bytes -= gone.weight();
        Some(gone)
    }

    /// The first `limit` messages of `room` after `id`, oldest first.
    pub fn since(&self, room: &str, id: i64, limit: usize) -> Vec<&Message> {
        self.since_any(&[room], id, limit)
    }

    /// The first `limit` messages of these rooms after `id`, oldest first.
    pub fn since_any(&self, rooms: &[&str], id: i64, limit: usize) -> Vec<&Message> {
        let from = self.ring.partition_point(|message| message.id <= id);
        self.ring.range(from..).filter(|message| rooms.contains(&message.room.as_str())).take(limit).collect()
    }

    /// The last `limit` messages of `room` before `id`, oldest first.
    pub fn before(&self, room: &str, id: i64, limit: usize) -> Vec<&Message> {
        let to = self.ring.partition_point(|message| message.id < id);
        let mut found: Vec<_> =
            self.ring.range(..to).rev().filter(|message| message.room == room).take(limit).collect();
        found.reverse();
        found
    }

    /// The newest `limit` messages of `room`, oldest first.
    pub fn newest(&self, room: &str, limit: usize) -> Vec<&Message> {
        self.before(room, i64::MAX, limit)
    }

    /// Every message from this id on is here, save those that were removed.
    pub fn first_id(&self) -> i64 {
        self.first_id
    }

    /// The highest id ever pushed; 0 if there was none.
    pub fn last_id(&self) -> i64 {
        self.last_id
    }

    /// Whether all that came after `id` is here: if not, [`History::since`] would leave some out.
    pub fn reaches(&self, id: i64) -> bool {
        id >= self.first_id - 1
    }

    fn place_of(&self, id: i64) -> Option<usize> {
        self.ring.binary_search_by_key(&id, |message| message.id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(id: i64, room: &str) -> Message {
        let (name, text) = ("ada".to_owned(), format!("text {id}"));
        Message { id, room: room.to_owned(), ts: Wall::from_seconds(7), user: None, name, text }
    }

    /// Odd ids in the lobby, even ones in the den.
    fn filled(count: i64, messages_max: usize) -> History {
        let mut history = History::new(messages_max, usize::MAX);
        for id in 1..=count {
            history.push(message(id, if id % 2 == 1 { "lobby" } else { "den" }));
        }
        history
    }

    fn ids(messages: &[&Message]) -> Vec<i64> {
        messages.iter().map(|message| message.id).collect()
    }

    #[test]
    fn pages_are_oldest_first_and_of_their_room_only() {
        let history = filled(10, 100);
        assert_eq!(ids(&history.since("lobby", 0, 100)), [1, 3, 5, 7, 9]);
        assert_eq!(ids(&history.since("lobby", 3, 2)), [5, 7]);
        assert_eq!(ids(&history.since("lobby", 9, 2)), Vec::<i64>::new());
        assert_eq!(ids(&history.since("lobby", i64::MAX, 2)), Vec::<i64>::new());
        assert_eq!(ids(&history.before("den", 8, 2)), [4, 6]);
        assert_eq!(ids(&history.before("den", 2, 2)), Vec::<i64>::new());
        assert_eq!(ids(&history.before("den", i64::MIN, 2)), Vec::<i64>::new());
        assert_eq!(ids(&history.newest("lobby", 2)), [7, 9]);
        assert_eq!(ids(&history.newest("attic", 2)), Vec::<i64>::new());
        assert_eq!(ids(&history.newest("lobby", 0)), Vec::<i64>::new());
        assert_eq!(ids(&history.since_any(&["lobby", "den"], 7, 100)), [8, 9, 10]);
    }

    #[test]
    fn what_is_too_old_is_not_here_either_and_is_asked_of_the_ledger() {
        let mut history = History::new(10, 100_000);
        for id in 3..=6 {
            history.push(message(id, "lobby"));
        }
        history.forget_until(1);
        assert_eq!(ids(&history.since("lobby", 0, 9)), [3, 4, 5, 6]);
        history.forget_until(4);
        assert_eq!(ids(&history.since("lobby", 0, 9)), [5, 6]);
        assert!(!history.reaches(3) && history.reaches(4));
        history.forget_until(6);
        assert!(history.reaches(6) && history.get(6).is_none());
        history.push(message(7, "lobby"));
        assert_eq!(ids(&history.since("lobby", 0, 9)), [7]);
        assert_eq!(history.bytes, message(7, "lobby").weight());
    }

    #[test]
    fn what_was_trimmed_is_told_from_what_never_was() {
        let history = filled(10, 4);
        assert_eq!((history.first_id(), history.last_id()), (7, 10));
        assert!(history.reaches(6), "7 is the next and it is here");
        assert!(!history.reaches(5), "6 is missing");
        assert!(filled(10, 10).reaches(0));
        assert!(!filled(10, 9).reaches(0));
    }

    #[test]
    fn bytes_bound_it_as_well_and_one_message_may_be_too_many() {
        let weight = message(1, "lobby").weight();
        let mut history = History::new(100, 2 * weight);
        for id in 1..=5 {
            history.push(message(id, "lobby"));
        }
        assert_eq!(ids(&history.newest("lobby", 9)), [4, 5]);
        let mut none = History::new(100, weight - 1);
        none.push(message(1, "lobby"));
        assert_eq!((none.newest("lobby", 9).len(), none.first_id(), none.last_id()), (0, 2, 1));
        assert!(!none.reaches(0) && none.reaches(1));
    }

    #[test]
    fn a_history_filled_from_the_ledger_begins_with_its_first_message() {
        let mut history = History::new(100, usize::MAX);
        history.push(message(41, "lobby"));
        assert_eq!(history.first_id(), 41);
        assert!(!history.reaches(39) && history.reaches(40));
        let empty = History::after(41, 100, usize::MAX);
        assert_eq!((empty.first_id(), empty.last_id()), (42, 41));
        assert!(!empty.reaches(40) && empty.reaches(41));
    }

    #[test]
    fn an_erased_message_leaves_no_gap() {
        let mut history = filled(5, 100);
        assert_eq!(history.get(1).map(|message| message.id), Some(1));
        assert_eq!(history.remove(1).map(|message| message.id), Some(1));
        assert_eq!(history.remove(1), None);
        assert_eq!(history.get(1), None);
        assert!(history.reaches(0));
        assert_eq!(ids(&history.since("lobby", 0, 9)), [3, 5]);
        for id in 2..=5 {
            history.remove(id);
        }
        assert_eq!((history.bytes, history.last_id()), (0, 5));
    }

    #[test]
    fn who_comes_again_is_told_what_was_erased_meanwhile() {
        let mut history = filled(5, 100);
        history.erase(3, "lobby");
        history.erase(2, "den");
        history.push(message(6, "den"));
        assert_eq!(history.erased_since(&["lobby"], 5), [(3, "lobby")]);
        assert_eq!(history.erased_since(&["lobby", "den"], 3), [(3, "lobby"), (2, "den")]);
        assert_eq!(history.erased_since(&["lobby"], 2), [], "it was not heard");
        assert_eq!(history.erased_since(&["lobby"], 6), [], "it was gone already when the last was heard");
        assert_eq!(history.erased_after(&["lobby", "den"], 1), [(2, "den")]);
        assert_eq!(history.erased_after(&["lobby"], 1), []);
        assert_eq!((history.erasures(), history.erased_after(&["den"], 2)), (2, vec![]));
        for id in 0..1000 {
            history.erase(id, "lobby");
        }
        assert_eq!(history.erased.len(), ERASED_MAX);
        assert_eq!(history.erased_after(&["lobby"], 2).len(), ERASED_MAX, "more are not remembered");
    }

    #[test]
    #[should_panic = "in the order of their ids"]
    fn an_older_message_cannot_follow_a_newer() {
        let mut history = filled(5, 100);
        history.push(message(5, "lobby"));
    }

    proptest! {
        #[test]
        fn pages_are_those_of_a_plain_list(
            count in 0..60i64, max in 1..40usize, id in -2..64i64, limit in 0..20usize,
        ) {
            let history = filled(count, max);
            let kept: Vec<i64> = (1..=count).skip((count as usize).saturating_sub(max)).filter(|id| id % 2 == 1).collect();
            let after: Vec<i64> = kept.iter().copied().filter(|&it| it > id).take(limit).collect();
            prop_assert_eq!(ids(&history.since("lobby", id, limit)), after);
            let before: Vec<i64> = kept.iter().copied().filter(|&it| it < id).collect();
            prop_assert_eq!(ids(&history.before("lobby", id, limit)), &before[before.len().saturating_sub(limit)..]);
        }
    }
}
