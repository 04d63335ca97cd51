//! [`Partials`]: uploads that may continue another day, as the loop knows them. A pure model; how many there may be, whose each
//! is, what it will become and until when it is waited for. How much of each has come only the disk knows.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use serde_json::{Value, json};

use crate::clock::{Moment, Wall};
use crate::path::RelPath;
use crate::store::disk::PartialId;
use crate::store::pledges::{Pledge, Pledges};
use crate::store::tree::OnConflict;

/// How long an unfinished upload is waited for after it was made or a piece of it came.
pub const LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;
/// Unfinished uploads of one principal, or one guest's address.
pub const MAKER_MAX: usize = 64;
/// Unfinished uploads in all.
pub const UNFINISHED_MAX: usize = 1024;
/// Finished ones are remembered for whoever missed the last answer, so many of them.
const FINISHED_MAX: usize = 4096;

/// Who made an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The operator.
    Operator,
    /// An account.
    Account(i64),
    /// A guest from this address.
    Guest(IpAddr),
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Maker::Operator => write!(f, "operator"),
            Maker::Account(id) => write!(f, "account {id}"),
            Maker::Guest(ip) => write!(f, "guest {ip}"),
        }
    }
}

impl Maker {
    fn parse(text: &str) -> Option<Maker> {
        match text.split_once(' ') {
            None if text == "operator" => Some(Maker::Operator),
            Some(("account", id)) => Some(Maker::Account(id.parse().ok()?)),
            Some(("guest", ip)) => Some(Maker::Guest(ip.parse().ok()?)),
            _ => None,
        }
    }

    /// Its number, if it is an account.
    pub fn account(&self) -> Option<i64> {
        match self {
            Maker::Account(id) => Some(*id),
            Maker::Operator | Maker::Guest(_) => None,
        }
    }

    /// Whether an upload that this one made answers to `other`: a guest's to whoever holds its name.
    pub fn answers_to(&self, other: &Maker) -> bool {
        matches!(self, Maker::Guest(_)) || self == other
    }
}

/// What is known of an upload, on the disk too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Who made it.
    pub maker: Maker,
    /// How long it will be, once that was told.
    pub length: Option<u64>,
    /// Where it is to come to lie; in the home of its maker, or in the shared area.
    pub path: RelPath<'static>,
    /// Whether that is its maker's home.
    pub is_private: bool,
    /// What happens if something lies there by then.
    pub on_conflict: OnConflict,
    /// The metadata as it came.
    pub metadata: String,
    /// Until when it is waited for.
    pub until: Wall,
    /// So much of it is on the disk whatever happens to the machine.
    pub synced: u64,
    /// The machine's word at that time.
    pub boot: String,
    /// What came from here on is to be checked against a checksum, and was not yet.
    pub unchecked_from: Option<u64>,
    /// Where it came to lie.
    pub place: Option<RelPath<'static>>,
}

impl State {
    /// How much of `size` bytes of content can be relied on after a restart.
    pub fn reliable(&self, size: u64, boot: &str) -> u64 {
        let size = if self.boot == boot { size } else { size.min(self.synced) };
        size.min(self.unchecked_from.unwrap_or(size))
    }

    /// From where on more is asked for when so much has come. As long as an upload has not taken its place its end is asked for: of
    /// one of which all is said to be there a client believes that it is done.
    pub fn asked_from(&self, came: u64) -> u64 {
        match self.length {
            Some(length) if length == came => came.saturating_sub(1),
            _ => came,
        }
    }

    /// As it is written down.
    pub fn write(&self) -> Vec<u8> {
        let on_conflict = match self.on_conflict {
            OnConflict::Error => "error",
            OnConflict::Rename => "rename",
            OnConflict::Overwrite => "overwrite",
        };
        let state = json!({
            "maker": self.maker.to_string(),
            "length": self.length,
            "path": self.path.as_str(),
            "private": self.is_private,
            "on_conflict": on_conflict,
            "metadata": self.metadata,
            "until": self.until.as_millis(),
            "synced": self.synced,
            "boot": self.boot,
            "unchecked_from": self.unchecked_from,
            "place": self.place.as_ref().map(RelPath::as_str),
        });
        state.to_string().into_bytes()
    }

    /// Reads what [`write`](State::write) wrote; `None` for anything else.
    pub fn read(text: &[u8]) -> Option<State> {
        let state: Value = serde_json::from_slice(text).ok()?;
        let words = |name: &str| state[name].as_str();
        let path = |text: &str| RelPath::from_plain(text).ok().map(RelPath::into_owned);
        let number = |name: &str| match &state[name] {
            Value::Null => Some(None),
            value => value.as_u64().map(Some),
        };
        Some(State {
            maker: Maker::parse(words("maker")?)?,
            length: number("length")?,
            path: path(words("path")?)?,
            is_private: state["private"].as_bool()?,
            on_conflict: match words("on_conflict")? {
                "error" => OnConflict::Error,
                "rename" => OnConflict::Rename,
                "overwrite" => OnConflict::Overwrite,
                _ => return None,
            },
            metadata: words("metadata")?.to_owned(),
            until: Wall::from_millis(state["until"].as_u64()?),
            synced: state["synced"].as_u64()?,
            boot: words("boot")?.to_owned(),
            unchecked_from: number("unchecked_from")?,
            place: match &state["place"] {
                Value::Null => None,
                place => Some(path(place.as_str()?)?),
            },
        })
    }
}

/// Who may write to an upload now. Whoever comes later takes it over: a connection that hangs must not keep its own client
/// from going on.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<Mutex<Held>>);

/// What only the present writer may change.
#[derive(Debug, Default)]
pub struct Held {
    turn: u64,
    /// From where on the content was not checked yet against the checksum it came with.
    pub unchecked_from: Option<u64>,
    /// What keeps other processes from it, as long as somebody here writes to it.
    pub claim: Option<Weak<dyn Any + Send + Sync>>,
    /// Another process may have been at it since its state was read.
    pub is_doubtful: bool,
    /// What it counts for among its maker's files as long as it is unfinished: its length, or what has come of it.
    pub pledge: Option<Pledge>,
}

/// The turn of one writer.
#[derive(Clone, Debug)]
pub struct Turn {
    hold: Hold,
    number: u64,
}

impl Hold {
    /// Waits for whoever is writing, and keeps others from it until the guard is dropped.
    pub fn lock(&self) -> MutexGuard<'_, Held> {
        // Who panicked while it wrote has left a shorter upload, and nothing else.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if nobody is writing just now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Held>> {
        match self.0.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Begins a turn, and ends all others. The guard is this one's.
    pub fn take_over(&self, held: &mut Held) -> Turn {
        held.turn += 1;
        Turn { hold: self.clone(), number: held.turn }
    }
}

impl Turn {
    /// Keeps the upload while this is still its writer; `None` if another has taken it over.
    pub fn keep(&self) -> Option<MutexGuard<'_, Held>> {
        let held = self.hold.lock();
        (held.turn == self.number).then_some(held)
    }
}

/// An upload.
#[derive(Clone, Debug)]
pub struct Partial {
    /// What is known of it.
    pub state: State,
    /// Who may write to it.
    pub hold: Hold,
    /// Whether all of it has come and lies where it should.
    pub is_finished: bool,
}

/// All uploads that are unfinished, and some that are finished.
#[derive(Debug, Default)]
pub struct Partials {
    all: HashMap<PartialId, Partial>,
    /// What is under way to the files of whom.
    pub pledges: Pledges,
    /// Those at which another process was when it was last looked.
    pub elsewhere: Vec<PartialId>,
    /// When it is to be looked next whose time is over.
    pub look_at: Moment,
}

/// There are too many uploads; this says of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// Of this maker.
    Own,
    /// In all.
    All,
}

impl Partials {
    /// Whether there is none, finished or not.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one more may be begun.
    ///
    /// # Errors
    /// Which limit forbids it.
    pub fn admit(&self, maker: &Maker, now: Wall) -> Result<(), TooMany> {
        // What nobody waits for any more is only still to be removed.
        let unfinished = || self.all.values().filter(|partial| !partial.is_finished && partial.state.until > now);
        if unfinished().filter(|partial| partial.state.maker == *maker).count() >= MAKER_MAX {
            return Err(TooMany::Own);
        }
        if unfinished().count() >= UNFINISHED_MAX {
            return Err(TooMany::All);
        }
        Ok(())
    }

    /// Takes one in that has just begun, with what was pledged for it.
    pub fn insert(&mut self, id: PartialId, state: State, pledge: Option<Pledge>) {
        let hold = Hold::default();
        hold.lock().pledge = pledge;
        self.all.insert(id, Partial { state, hold, is_finished: false });
    }

    /// One of them, as long as it is waited for.
    pub fn get(&self, id: PartialId, now: Wall) -> Option<&Partial> {
        self.all.get(&id).filter(|partial| partial.state.until > now)
    }

    /// Takes in one as it was found on the disk, if nobody here is at it. Another process may still be, or have been since. So much
    /// of it has come.
    pub fn found(&mut self, id: PartialId, state: State, came: u64, is_finished: bool) {
        let pledge = state.maker.account().filter(|_| !is_finished);
        let pledge = pledge.map(|account| self.pledges.pledge(account, state.length.unwrap_or(came)));
        let partial = self.all.entry(id).or_insert_with(|| {
            let hold = Hold::default();
            Partial { state: state.clone(), hold, is_finished }
        });
        let hold = partial.hold.clone();
        let Some(mut held) = hold.try_lock() else { return };
        if held.claim.as_ref().and_then(Weak::upgrade).is_none() {
            held.is_doubtful = !is_finished;
            held.pledge = pledge;
            partial.state = state;
            partial.is_finished |= is_finished;
        }
    }

    /// Notes what has become of one. It is waited for no shorter than before.
    pub fn note(&mut self, id: PartialId, state: State, is_finished: bool) {
        if let Some(partial) = self.all.get_mut(&id) {
            let until = partial.state.until.max(state.until);
            partial.state = State { until, ..state };
            partial.is_finished |= is_finished;
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, id: PartialId) -> Option<Partial> {
        self.all.remove(&id)
    }

    /// Takes one in again that was taken out.
    pub fn put_back(&mut self, id: PartialId, partial: Partial) {
        self.all.entry(id).or_insert(partial);
    }

    /// Takes out those that nobody waits for any more, also since their maker is gone, and of the finished ones more than are remembered.
    pub fn expire(&mut self, now: Wall, is_gone: impl Fn(&Maker) -> bool) -> Vec<(PartialId, Partial)> {
        let mut finished: Vec<(Wall, PartialId)> = Vec::new();
        let mut gone: Vec<PartialId> = Vec::new();
        for (&id, partial) in &self.all {
            if partial.state.until <= now || is_gone(&partial.state.maker) {
                gone.push(id);
            } else if partial.is_finished {
                finished.push((partial.state.until, id));
            }
        }
        if finished.len() > FINISHED_MAX {
            finished.sort_unstable();
            gone.extend(finished[..finished.len() - FINISHED_MAX].iter().map(|(_, id)| id));
        }
        gone.sort_unstable();
        gone.into_iter().filter_map(|id| Some((id, self.all.remove(&id)?))).collect()
    }

    /// How many are unfinished.
    pub fn unfinished(&self) -> usize {
        self.all.values().filter(|partial| !partial.is_finished).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(maker: Maker, until: u64) -> State {
        State {
            maker,
            length: Some(10),
            path: RelPath::from_plain("a/é.txt").unwrap(),
            is_private: false,
            on_conflict: OnConflict::Rename,
            metadata: "filename YQ==".into(),
            until: Wall::from_millis(until),
            synced: 4,
            boot: "b1".into(),
            unchecked_from: None,
            place: None,
        }
    }

    fn id(number: u32) -> PartialId {
        PartialId::new((u128::from(number)).to_be_bytes())
    }

    fn guest(last: u8) -> Maker {
        Maker::Guest([127, 0, 0, last].into())
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_nothing_else_is() {
        let place = RelPath::from_plain("a/é (2).txt").ok();
        for state in [
            state(Maker::Operator, 1),
            State { length: None, is_private: true, on_conflict: OnConflict::Error, ..state(Maker::Account(7), 2) },
            State { unchecked_from: Some(3), on_conflict: OnConflict::Overwrite, place, ..state(guest(1), 3) },
        ] {
            assert_eq!(State::read(&state.write()), Some(state.clone()));
            let text = String::from_utf8(state.write()).unwrap();
            for cut in 0..text.len() {
                assert_eq!(State::read(&text.as_bytes()[..cut]), None, "{}", &text[..cut]);
            }
        }
        let text = String::from_utf8(state(Maker::Operator, 1).write()).unwrap();
        for (word, other) in [("operator", "nobody"), ("a/é.txt", "../x"), ("rename", "perhaps"), ("\"b1\"", "1")] {
            assert_eq!(State::read(text.replace(word, other).as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn after_a_restart_no_byte_is_relied_on_that_may_be_wrong() {
        let known = state(Maker::Operator, 1);
        assert_eq!(known.reliable(9, "b1"), 9, "the machine has not stopped");
        assert_eq!(known.reliable(9, "b2"), 4, "it has");
        assert_eq!(known.reliable(3, "b2"), 3);
        let unchecked = State { unchecked_from: Some(2), ..known };
        assert_eq!((unchecked.reliable(9, "b1"), unchecked.reliable(9, "b2")), (2, 2));
    }

    #[test]
    fn an_upload_answers_to_its_maker_and_a_guests_to_whoever_holds_it() {
        let (ada, bob) = (Maker::Account(1), Maker::Account(2));
        assert!(ada.answers_to(&ada) && !ada.answers_to(&bob) && !ada.answers_to(&guest(1)));
        assert!(!ada.answers_to(&Maker::Operator) && !Maker::Operator.answers_to(&ada));
        assert!(guest(1).answers_to(&guest(2)) && guest(1).answers_to(&ada));
    }

    #[test]
    fn there_are_so_many_of_one_maker_and_so_many_in_all() {
        let mut partials = Partials::default();
        let now = Wall::from_millis(0);
        for number in 0..MAKER_MAX as u32 {
            assert_eq!(partials.admit(&guest(1), now), Ok(()));
            partials.insert(id(number), state(guest(1), 1), None);
        }
        assert_eq!(partials.admit(&guest(1), now), Err(TooMany::Own));
        assert_eq!(partials.admit(&guest(2), now), Ok(()));
        let done = partials.get(id(0), now).unwrap().state.clone();
        partials.note(id(0), done, true);
        assert_eq!(partials.admit(&guest(1), now), Ok(()), "a finished one does not count");
        for number in 1000..1000 + (UNFINISHED_MAX - MAKER_MAX + 1) as u32 {
            partials.insert(id(number), state(Maker::Account(number.into()), 1), None);
        }
        assert_eq!(partials.admit(&guest(2), now), Err(TooMany::All));
        assert_eq!(partials.unfinished(), UNFINISHED_MAX);
        assert_eq!(partials.admit(&guest(2), Wall::from_millis(1)), Ok(()), "one whose time is over does not count");
    }

    #[test]
    fn who_is_not_waited_for_any_more_is_not_found_and_goes() {
        let mut partials = Partials::default();
        partials.insert(id(1), state(guest(1), 100), None);
        partials.found(id(2), state(guest(1), 200), 0, true);
        assert!(partials.get(id(1), Wall::from_millis(99)).is_some());
        assert!(partials.get(id(1), Wall::from_millis(100)).is_none());
        let gone = |partials: &mut Partials, now| -> Vec<PartialId> {
            partials.expire(Wall::from_millis(now), |_| false).into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(gone(&mut partials, 100), [id(1)]);
        assert_eq!(gone(&mut partials, 100), []);
        for number in 10..10 + FINISHED_MAX as u32 {
            partials.found(id(number), state(guest(1), 1000), 0, true);
        }
        assert_eq!(gone(&mut partials, 100), [id(2)], "the oldest of too many finished ones");
        partials.insert(id(3), state(Maker::Account(7), 1000), None);
        let gone = partials.expire(Wall::from_millis(100), |maker| *maker == Maker::Account(7));
        assert_eq!(gone.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(3)], "its maker was deleted");
    }

    #[test]
    fn what_is_found_on_the_disk_holds_unless_somebody_here_is_at_it() {
        let mut partials = Partials::default();
        let now = Wall::from_millis(0);
        partials.found(id(1), state(guest(1), 100), 0, false);
        let hold = partials.get(id(1), now).unwrap().hold.clone();
        assert!(hold.lock().is_doubtful);
        let claim: Arc<dyn Any + Send + Sync> = Arc::new(());
        *hold.lock() = Held { claim: Some(Arc::downgrade(&claim)), ..Held::default() };
        partials.found(id(1), state(guest(1), 200), 0, false);
        assert_eq!(partials.get(id(1), now).unwrap().state.until, Wall::from_millis(100), "one of ours writes");
        drop(claim);
        partials.found(id(1), state(guest(1), 300), 0, true);
        let partial = partials.get(id(1), now).unwrap();
        assert_eq!((partial.state.until, partial.is_finished), (Wall::from_millis(300), true));
    }

    #[test]
    fn what_is_unfinished_counts_for_its_maker_from_the_start() {
        let mut partials = Partials::default();
        let ada = Maker::Account(7);
        partials.found(id(1), state(ada, 1), 4, false);
        partials.found(id(2), State { length: None, ..state(ada, 1) }, 4, false);
        partials.found(id(3), state(ada, 1), 10, true);
        partials.found(id(4), state(guest(1), 1), 4, false);
        assert_eq!(partials.pledges.of(7), 14, "one by its length, one by what has come, and not what is finished");
        partials.found(id(2), State { length: None, ..state(ada, 1) }, 6, false);
        assert_eq!(partials.pledges.of(7), 16);
        drop(partials.remove(id(1)));
        assert_eq!(partials.pledges.of(7), 6);
    }

    #[test]
    fn who_comes_later_takes_over() {
        let hold = Hold::default();
        let first = hold.take_over(&mut hold.lock());
        assert!(first.keep().is_some());
        let second = hold.take_over(&mut hold.lock());
        assert!(first.keep().is_none());
        assert!(second.keep().is_some());
    }
}
