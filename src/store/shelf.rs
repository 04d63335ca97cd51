//! [`Shelf`]: what the loop remembers of the disk, so that a hot request asks nobody.
//!
//! Three boards, each with its own bound: small files, kept with their bytes and bounded by them; large files, kept open
//! and bounded by their number, for each holds a descriptor; absences, bounded by their number, for clients can make
//! up as many names as they like. What is on a board is the caller's affair (`V`).
//!
//! Nothing is believed for long: whoever asks for an entry that was last checked more than `fresh_ms` ago is told so
//! ([`Look::Stale`]), and is the one to have it checked by a helper. Until the verdict, or for another `fresh_ms` if none
//! comes, all others are answered from the shelf.
//!
//! A board that is full gives up what nobody asked for since the hand last passed (CLOCK). Not LRU: a hit would have to
//! move its entry in a list, here it sets a bool.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use slab::Slab;

use crate::clock::Moment;

/// How much a shelf holds, and how long it believes it.
#[derive(Clone, Copy, Debug)]
pub struct ShelfLimits {
    /// All small files together: their weights, their paths and our own book-keeping.
    pub bytes_max: usize,
    /// Large files; each holds an open descriptor.
    pub open_files_max: usize,
    /// Names known to stand for nothing.
    pub absences_max: usize,
    /// How long after a check an entry needs none.
    pub fresh_ms: u64,
}

impl Default for ShelfLimits {
    /// 16 MiB, 256 open files, 4096 absences, one second.
    fn default() -> ShelfLimits {
        ShelfLimits { bytes_max: 16 << 20, open_files_max: 256, absences_max: 4096, fresh_ms: 1000 }
    }
}

/// What the shelf knows of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<'s, V> {
    /// Checked lately, or being checked: to be used.
    Fresh(&'s V),
    /// To be checked, by whoever was told this; it then says [`Shelf::confirm`], [`Shelf::put`] or [`Shelf::forget`]. The number
    /// says how often it was asked for since it was last to be checked, or put there.
    Stale(&'s V, u32),
    /// Nothing.
    Unknown,
}

/// Files that are asked for often, and names often asked for in vain.
pub struct Shelf<V> {
    small: Board<V, Seeded>,
    large: Board<V, Seeded>,
    absent: Board<V, RandomState>,
    fresh_ms: u64,
    era: u64,
}

impl<V> Shelf<V> {
    /// An empty shelf.
    pub fn new(limits: ShelfLimits) -> Shelf<V> {
        Shelf {
            small: Board::new(limits.bytes_max, Seeded::new()),
            large: Board::new(limits.open_files_max, Seeded::new()),
            absent: Board::new(limits.absences_max, RandomState::new()),
            fresh_ms: limits.fresh_ms,
            era: 0,
        }
    }

    /// What is known of `path`. Allocates nothing.
    pub fn look(&mut self, path: &str, now: Moment) -> Look<'_, V> {
        if let Some(index) = self.small.find(path) {
            return self.small.look(index, now, self.fresh_ms);
        }
        if let Some(index) = self.large.find(path) {
            return self.large.look(index, now, self.fresh_ms);
        }
        if let Some(index) = self.absent.find(path) {
            return self.absent.look(index, now, self.fresh_ms);
        }
        Look::Unknown
    }

    /// Remembers a small file with its bytes, `weight_bytes` of them, checked `now`. One too heavy for the whole shelf is
    /// not kept.
    pub fn put(&mut self, path: &str, value: V, weight_bytes: usize, now: Moment) {
        self.drop_path(path);
        self.small.put(path, value, weight_bytes.saturating_add(path.len() + Board::<V, Seeded>::ENTRY_BYTES), now);
    }

    /// Remembers an open file without its bytes, checked `now`.
    pub fn put_open(&mut self, path: &str, value: V, now: Moment) {
        self.drop_path(path);
        self.large.put(path, value, 1, now);
    }

    /// Remembers that there is nothing, checked `now`; `value` is what the caller wants to be told then.
    pub fn put_absent(&mut self, path: &str, value: V, now: Moment) {
        self.drop_path(path);
        self.absent.put(path, value, 1, now);
    }

    /// The entry was checked `now` and still holds. Without one nothing happens: it may have been given up meanwhile.
    pub fn confirm(&mut self, path: &str, now: Moment) {
        if let Some(index) = self.small.find(path) {
            self.small.slots[index].checked = now;
        } else if let Some(index) = self.large.find(path) {
            self.large.slots[index].checked = now;
        } else if let Some(index) = self.absent.find(path) {
            self.absent.slots[index].checked = now;
        }
    }

    /// Knows nothing of `path` any more: it was changed through us.
    pub fn forget(&mut self, path: &str) {
        self.era += 1;
        self.drop_path(path);
    }

    /// Keeps nothing for `path`: what stands there is made anew each time. Nothing was changed, so what helpers bring of other
    /// paths still holds.
    pub fn let_go(&mut self, path: &str) {
        self.drop_path(path);
    }

    /// Knows nothing of `folder` and all below it any more: a folder was moved or removed through us. Looks at every
    /// entry.
    pub fn forget_below(&mut self, folder: &str) {
        self.era += 1;
        self.small.forget_below(folder);
        self.large.forget_below(folder);
        self.absent.forget_below(folder);
    }

    /// A number that moves whenever something is forgotten. Who sends a helper to look at the disk takes it along, and puts
    /// nothing on the shelf if it has moved since: the helper may have looked before the change.
    pub fn era(&self) -> u64 {
        self.era
    }

    /// Bytes taken by small files, book-keeping included.
    pub fn bytes(&self) -> usize {
        self.small.weight
    }

    /// How many bytes may be put that would not have to be: until half of all is taken, the rest being left for small files to come.
    pub fn room(&self) -> usize {
        (self.small.weight_max / 2).saturating_sub(self.small.weight)
    }

    /// Open files held.
    pub fn open_files(&self) -> usize {
        self.large.slots.len()
    }

    /// Absences remembered.
    pub fn absences(&self) -> usize {
        self.absent.slots.len()
    }

    fn drop_path(&mut self, path: &str) {
        self.small.remove(path);
        self.large.remove(path);
        self.absent.remove(path);
    }
}

/// Entries under one bound. A newcomer takes the place of the last to go, just behind the hand.
struct Board<V, H> {
    places: HashMap<Arc<str>, usize, H>,
    slots: Slab<Slot<V>>,
    hand: usize,
    weight: usize,
    weight_max: usize,
}

struct Slot<V> {
    path: Arc<str>,
    value: V,
    weight: usize,
    checked: Moment,
    /// How often it was asked for since it was last to be checked.
    asked: u32,
    /// Asked for since the hand last passed.
    is_wanted: bool,
}

impl<V, H: BuildHasher> Board<V, H> {
    /// What an entry costs beside its path and bytes: its slot, its place in the map, the counters of its path.
    const ENTRY_BYTES: usize = size_of::<Slot<V>>() + size_of::<(Arc<str>, usize)>() + 2 * size_of::<usize>();

    fn new(weight_max: usize, hasher: H) -> Board<V, H> {
        Board { places: HashMap::with_hasher(hasher), slots: Slab::new(), hand: 0, weight: 0, weight_max }
    }

    fn find(&self, path: &str) -> Option<usize> {
        // An empty board is common, and hashing is most of what a miss costs.
        if self.slots.is_empty() { None } else { self.places.get(path).copied() }
    }

    fn look(&mut self, index: usize, now: Moment, fresh_ms: u64) -> Look<'_, V> {
        let slot = &mut self.slots[index];
        slot.is_wanted = true;
        slot.asked = slot.asked.saturating_add(1);
        if now.since(slot.checked) <= fresh_ms {
            return Look::Fresh(&slot.value);
        }
        // The claim: who asks next finds it fresh, until the verdict or until that should long have come.
        slot.checked = now;
        Look::Stale(&slot.value, std::mem::take(&mut slot.asked))
    }

    /// The path must not be here.
    fn put(&mut self, path: &str, value: V, weight: usize, now: Moment) {
        if weight > self.weight_max {
            return;
        }
        while self.weight > self.weight_max - weight {
            self.evict();
        }
        let path: Arc<str> = path.into();
        let slot = Slot { path: Arc::clone(&path), value, weight, checked: now, asked: 0, is_wanted: false };
        self.places.insert(path, self.slots.insert(slot));
        self.weight += weight;
    }

    /// Gives up the first entry from the hand on that nobody wanted. There must be one entry at least.
    fn evict(&mut self) {
        loop {
            let at = if self.hand < self.slots.capacity() { self.hand } else { 0 };
            self.hand = at + 1;
            if let Some(slot) = self.slots.get_mut(at)
                && !std::mem::take(&mut slot.is_wanted)
            {
                return self.remove_at(at);
            }
        }
    }

    fn remove(&mut self, path: &str) {
        if let Some(index) = self.find(path) {
            self.remove_at(index);
        }
    }

    fn remove_at(&mut self, index: usize) {
        let gone = self.slots.remove(index);
        self.weight -= gone.weight;
        self.places.remove(&gone.path);
    }

    fn forget_below(&mut self, folder: &str) {
        self.slots.retain(|_, slot| {
            let rest = slot.path.strip_prefix(folder);
            let is_below = rest.is_some_and(|rest| folder.is_empty() || rest.is_empty() || rest.starts_with('/'));
            if is_below {
                self.weight -= slot.weight;
                self.places.remove(&slot.path);
            }
            !is_below
        });
    }
}

/// A fast hash for names of files that exist. It is seeded by the standard library, so that who may upload cannot
/// choose names that collide; names that need not even exist go by SipHash all the same.
struct Seeded(u64);

impl Seeded {
    fn new() -> Seeded {
        Seeded(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

/// Multiplies and folds, eight bytes at a time.
struct Folding(u64);

impl Folding {
    fn take(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0xf39c_c060_5ced_c835;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.take(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        // The length beside the tail, so that trailing zeros count; a tail has seven bytes at most.
        last[7] = tail.len() as u8;
        self.take(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, _byte: u8) {
        // The mark that a str puts at its end, for hashes of several; ours are of one.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: ShelfLimits = ShelfLimits { bytes_max: 2000, open_files_max: 3, absences_max: 3, fresh_ms: 1000 };

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    #[test]
    fn letting_go_of_a_path_says_nothing_of_the_others() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put("a", 1, 10, at(0));
        let era = shelf.era();
        shelf.let_go("a");
        assert_eq!(shelf.era(), era);
        assert_eq!(shelf.look("a", at(5)), Look::Unknown);
        shelf.forget("a");
        assert_ne!(shelf.era(), era);
    }

    #[test]
    fn what_is_put_is_found_and_what_is_forgotten_is_not() {
        let mut shelf = Shelf::new(SMALL);
        assert_eq!(shelf.look("a", at(0)), Look::Unknown);
        shelf.put("a", 1, 10, at(0));
        shelf.put_open("b", 2, at(0));
        shelf.put_absent("c", 3, at(0));
        for (path, value) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(shelf.look(path, at(5)), Look::Fresh(&value));
            shelf.forget(path);
            assert_eq!(shelf.look(path, at(5)), Look::Unknown);
        }
        assert_eq!((shelf.bytes(), shelf.open_files(), shelf.absences()), (0, 0, 0));
    }

    #[test]
    fn only_the_first_asker_of_a_stale_entry_is_sent_to_check_it() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put("a", 1, 10, at(0));
        assert_eq!(shelf.look("a", at(1000)), Look::Fresh(&1));
        assert_eq!(shelf.look("a", at(1001)), Look::Stale(&1, 2));
        assert_eq!(shelf.look("a", at(1001)), Look::Fresh(&1));
        shelf.confirm("a", at(1500));
        assert_eq!(shelf.look("a", at(2499)), Look::Fresh(&1));
        assert_eq!(shelf.look("a", at(2500)), Look::Fresh(&1));
        assert_eq!(shelf.look("a", at(2501)), Look::Stale(&1, 4), "it is told how much it is in demand");
        shelf.put("a", 2, 10, at(2501));
        assert_eq!(shelf.look("a", at(4000)), Look::Stale(&2, 1));
    }

    #[test]
    fn a_verdict_that_never_comes_leaves_another_to_ask() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put_absent("a", 1, at(0));
        assert_eq!(shelf.look("a", at(1001)), Look::Stale(&1, 1));
        assert_eq!(shelf.look("a", at(2001)), Look::Fresh(&1));
        assert_eq!(shelf.look("a", at(2002)), Look::Stale(&1, 2));
    }

    #[test]
    fn half_of_it_is_left_for_small_files() {
        let mut shelf = Shelf::new(SMALL);
        assert_eq!(shelf.room(), 1000);
        shelf.put("a", 1, 500, at(0));
        assert_eq!(shelf.room(), 1000 - shelf.bytes());
        shelf.put("b", 1, 700, at(0));
        assert_eq!(shelf.room(), 0);
        assert_eq!(shelf.look("a", at(0)), Look::Fresh(&1), "nothing had to go");
    }

    #[test]
    fn a_path_lies_on_one_board_only() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put_absent("a", 1, at(0));
        shelf.put("a", 2, 10, at(0));
        assert_eq!(shelf.look("a", at(0)), Look::Fresh(&2));
        assert_eq!(shelf.absences(), 0);
        shelf.put_open("a", 3, at(0));
        assert_eq!(shelf.look("a", at(0)), Look::Fresh(&3));
        assert_eq!(shelf.bytes(), 0);
    }

    #[test]
    fn what_was_asked_for_outlives_what_was_not() {
        let mut shelf = Shelf::new(SMALL);
        for (path, value) in [("a", 1), ("b", 2), ("c", 3)] {
            shelf.put_absent(path, value, at(0));
        }
        shelf.look("a", at(0));
        shelf.put_absent("d", 4, at(0));
        shelf.put_absent("e", 5, at(0));
        let known = |shelf: &mut Shelf<_>, path| shelf.look(path, at(0)) != Look::Unknown;
        assert!(known(&mut shelf, "a"));
        assert!(!known(&mut shelf, "b") && !known(&mut shelf, "c"));
        assert!(known(&mut shelf, "d") && known(&mut shelf, "e"));
    }

    #[test]
    fn made_up_names_push_out_no_file() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put("a", 0, 10, at(0));
        shelf.put_open("b", 0, at(0));
        for n in 0..100 {
            shelf.put_absent(&format!("none/{n}"), 0, at(0));
        }
        assert_eq!(shelf.absences(), 3);
        assert_eq!(shelf.look("a", at(0)), Look::Fresh(&0));
        assert_eq!(shelf.look("b", at(0)), Look::Fresh(&0));
    }

    #[test]
    fn what_is_too_heavy_for_the_shelf_is_not_kept_and_takes_the_old_with_it() {
        let mut shelf = Shelf::new(SMALL);
        shelf.put("a", 1, 10, at(0));
        shelf.put("b", 1, 10, at(0));
        shelf.put("a", 2, 2000, at(0));
        assert_eq!(shelf.look("a", at(0)), Look::Unknown);
        assert_eq!(shelf.look("b", at(0)), Look::Fresh(&1));
        shelf.put("a", 2, usize::MAX, at(0));
        assert_eq!(shelf.look("a", at(0)), Look::Unknown);
    }

    #[test]
    fn a_folder_is_forgotten_with_all_below_it_and_nothing_beside_it() {
        let mut shelf = Shelf::new(SMALL);
        for path in ["f", "f/a", "f/g/b", "f2", "g/f"] {
            shelf.put(path, 0, 1, at(0));
        }
        shelf.put_open("f/open", 0, at(0));
        shelf.put_absent("f/none", 0, at(0));
        let before = shelf.era();
        shelf.forget_below("f");
        assert_ne!(shelf.era(), before);
        for path in ["f", "f/a", "f/g/b", "f/open", "f/none"] {
            assert_eq!(shelf.look(path, at(0)), Look::Unknown, "{path}");
        }
        assert_eq!(shelf.look("f2", at(0)), Look::Fresh(&0));
        assert_eq!(shelf.look("g/f", at(0)), Look::Fresh(&0));
        shelf.forget_below("");
        assert_eq!(shelf.bytes(), 0);
    }

    #[test]
    fn a_shelf_without_room_keeps_nothing() {
        let none = ShelfLimits { bytes_max: 0, open_files_max: 0, absences_max: 0, fresh_ms: 0 };
        let mut shelf = Shelf::new(none);
        shelf.put("a", 1, 0, at(0));
        shelf.put_open("b", 1, at(0));
        shelf.put_absent("c", 1, at(0));
        for path in ["a", "b", "c"] {
            assert_eq!(shelf.look(path, at(0)), Look::Unknown);
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Look(u8),
        Put(u8, usize),
        PutOpen(u8),
        PutAbsent(u8),
        Confirm(u8),
        Forget(u8),
        Wait(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let path = 0..12u8;
        prop_oneof![
            4 => path.clone().prop_map(Act::Look),
            2 => (path.clone(), 0..900usize).prop_map(|(path, weight)| Act::Put(path, weight)),
            1 => path.clone().prop_map(Act::PutOpen),
            1 => path.clone().prop_map(Act::PutAbsent),
            1 => path.clone().prop_map(Act::Confirm),
            1 => path.prop_map(Act::Forget),
            1 => (0..800u64).prop_map(Act::Wait),
        ]
    }

    /// All that was put and not forgotten, without bounds: (value, checked).
    type Model = std::collections::BTreeMap<String, (u32, u64)>;

    proptest! {
        #[test]
        fn the_shelf_says_what_a_plain_map_says_or_nothing(
            acts in prop::collection::vec(act(), 1..200),
            is_roomy in any::<bool>(),
        ) {
            let roomy = ShelfLimits { bytes_max: 1 << 20, open_files_max: 99, absences_max: 99, fresh_ms: 1000 };
            let limits = if is_roomy { roomy } else { SMALL };
            let mut shelf = Shelf::new(limits);
            let mut model = Model::new();
            let (mut now, mut stamp) = (0, 0);
            for act in acts {
                stamp += 1;
                match act {
                    Act::Look(path) => {
                        let path = format!("p/{path}");
                        let expected = model.get_mut(&path);
                        match (shelf.look(&path, at(now)), expected) {
                            (Look::Unknown, None) => {}
                            (Look::Unknown, Some(_)) => prop_assert!(!is_roomy, "{path} was given up without need"),
                            (Look::Fresh(value), Some((put, checked))) => {
                                prop_assert_eq!(value, put);
                                prop_assert!(now - *checked <= 1000);
                            }
                            (Look::Stale(value, asked), Some((put, checked))) => {
                                prop_assert_eq!(value, put);
                                prop_assert!(asked > 0);
                                prop_assert!(now - *checked > 1000);
                                *checked = now;
                            }
                            (found, None) => prop_assert!(false, "{path} should not be here: {found:?}"),
                        }
                    }
                    Act::Put(path, weight) => {
                        let path = format!("p/{path}");
                        shelf.put(&path, stamp, weight, at(now));
                        prop_assert_eq!(shelf.look(&path, at(now)), Look::Fresh(&stamp));
                        model.insert(path, (stamp, now));
                    }
                    Act::PutOpen(path) => {
                        let path = format!("p/{path}");
                        shelf.put_open(&path, stamp, at(now));
                        prop_assert_eq!(shelf.look(&path, at(now)), Look::Fresh(&stamp));
                        model.insert(path, (stamp, now));
                    }
                    Act::PutAbsent(path) => {
                        let path = format!("p/{path}");
                        shelf.put_absent(&path, stamp, at(now));
                        prop_assert_eq!(shelf.look(&path, at(now)), Look::Fresh(&stamp));
                        model.insert(path, (stamp, now));
                    }
                    Act::Confirm(path) => {
                        let path = format!("p/{path}");
                        shelf.confirm(&path, at(now));
                        if let Some((_, checked)) = model.get_mut(&path) {
                            *checked = now;
                        }
                    }
                    Act::Forget(path) => {
                        let path = format!("p/{path}");
                        shelf.forget(&path);
                        model.remove(&path);
                        prop_assert_eq!(shelf.look(&path, at(now)), Look::Unknown);
                    }
                    Act::Wait(ms) => now += ms,
                }
                prop_assert!(shelf.bytes() <= limits.bytes_max);
                prop_assert!(shelf.room() == 0 || shelf.bytes() + shelf.room() == limits.bytes_max / 2);
                prop_assert!(shelf.open_files() <= limits.open_files_max);
                prop_assert!(shelf.absences() <= limits.absences_max);
                for board in [&shelf.small, &shelf.large] {
                    prop_assert_eq!(board.weight, board.slots.iter().map(|(_, slot)| slot.weight).sum::<usize>());
                    prop_assert_eq!(board.places.len(), board.slots.len());
                    for (index, slot) in &board.slots {
                        prop_assert_eq!(board.places.get(&slot.path), Some(&index));
                    }
                }
            }
        }
    }

    #[test]
    fn the_fast_hash_tells_like_names_apart() {
        let hasher = Seeded(0x1234_5678_9abc_def0);
        let names = (0..20_000).map(|n| format!("assets/{n}.css")).chain((0..100).map(|n| "\0".repeat(n)));
        let mut hashes: Vec<_> = names.map(|name| hasher.hash_one(name.as_str())).collect();
        let mut low: Vec<_> = hashes.iter().map(|hash| hash & 0xffff).collect();
        hashes.sort_unstable();
        low.sort_unstable();
        let count = hashes.len();
        hashes.dedup();
        low.dedup();
        assert_eq!(hashes.len(), count);
        // Thrown at random into 65,536 buckets, 20,100 balls fill 17,300 or so.
        assert!(low.len() > 16_800, "{}", low.len());
    }
}
