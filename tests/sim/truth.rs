//! What is true in a story, kept apart from the server: which pages there are, which messages the ledger has kept, and what
//! has been told to anyone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::disk::MemoryDisk;

/// A page as it lies on the disk.
pub struct Page {
    pub bytes: Vec<u8>,
    /// Whether it may shrink while it is read.
    pub shrinks: bool,
}

/// Why an answer may be another than the best.
#[derive(Clone, Debug, Default)]
pub struct Excuses {
    /// Helpers may be too many.
    pub overload: bool,
    /// The disk may fail.
    pub disk: bool,
    /// The disk may be full.
    pub full: bool,
    /// Senders may be held back.
    pub throttle: bool,
    /// The ledger may lose messages.
    pub loss: bool,
    /// Connections are few and may have to give way, or cannot be watched.
    pub eviction: bool,
    /// The house is closing.
    pub drain: bool,
}

#[derive(Default)]
pub struct Truth {
    pub pages: BTreeMap<String, Page>,
    /// Where uploads come to lie.
    pub uploads: Option<MemoryDisk>,
    /// The text of each message the ledger has kept, in the order of their ids.
    kept: Vec<String>,
    /// The room of each of them.
    rooms: Vec<String>,
    /// Those that were taken back.
    pub erased: BTreeSet<i64>,
    texts: BTreeSet<String>,
    /// The highest id that anyone has been told of.
    pub told: i64,
    pub excuses: Excuses,
    pub keepalive_requests: u32,
}

pub type Shared = Rc<RefCell<Truth>>;

impl Truth {
    /// The ledger has kept a message: ids grow by one, and no text is kept twice, since each is sent once.
    pub fn keep(&mut self, id: i64, room: String, text: String) {
        assert_eq!(id, self.last() + 1, "ids grow by one");
        assert!(self.texts.insert(text.clone()), "{text:?} is kept twice");
        self.kept.push(text);
        self.rooms.push(room);
    }

    /// Whether a message that is kept was said in one of these rooms, and has not been taken back.
    pub fn stands_in(&self, id: i64, rooms: &[&str]) -> bool {
        let room = usize::try_from(id - 1).ok().and_then(|at| self.rooms.get(at));
        room.is_some_and(|room| rooms.contains(&room.as_str())) && !self.erased.contains(&id)
    }

    /// The room of a message that is kept.
    pub fn room(&self, id: i64) -> &str {
        &self.rooms[usize::try_from(id - 1).expect("an id")]
    }

    /// Whether so much was said that a slow reader may have been left behind: what it gets is a few times the text.
    pub fn may_lag(&self) -> bool {
        self.kept.iter().map(|kept| 200 + kept.len()).sum::<usize>() > 60 << 10
    }

    /// The last id.
    pub fn last(&self) -> i64 {
        self.kept.len() as i64
    }

    /// Whether anything like it was kept.
    pub fn has_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Somebody was told of a message: it must be as it was kept.
    pub fn tell(&mut self, id: i64, text: &str) {
        let kept = usize::try_from(id - 1).ok().and_then(|at| self.kept.get(at));
        let kept = kept.unwrap_or_else(|| panic!("message {id} was told and never kept"));
        assert_eq!(kept, text, "message {id} is told as it was kept");
        self.told = self.told.max(id);
    }
}

/// Bytes of a page that are the same in every run and not the same everywhere.
pub fn filling(length: usize, salt: u64) -> Vec<u8> {
    (0..length as u64).map(|at| ((at.wrapping_mul(salt | 1) >> 3) % 251) as u8).collect()
}
