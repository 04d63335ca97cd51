//! [`Rooms`]: which rooms there are, and on which topics what is said in one of them is heard.
//!
//! A topic is what a listener hears. Who listens to one room shares that room's topic; who listens to several shares one with
//! all who listen to the same set, so that each tape has its ids in order and nobody skips over what is not for them. What is
//! said in a room is written once on each topic the room belongs to. A set nobody listens to any more is given up.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::{Hub, Topic};

/// The room that always exists.
pub const LOBBY: &str = "lobby";

/// Letters of a room's name.
pub const NAME_MAX: usize = 32;

/// Rooms there may be at once.
pub const ROOMS_MAX: usize = 256;

/// Rooms that one stream may listen to.
pub const SET_MAX: usize = 32;

/// Different sets of several rooms that may be listened to at once. What is said costs a copy of its text for each, so this
/// is how long one message may keep the loop: well under a millisecond.
const SETS_MAX: usize = 4096;

/// Whether this is a room's name: `[a-z0-9-]{1,32}`.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A room's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(u16);

/// Why there is no such room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// That is no room's name.
    BadName,
    /// The rooms are fixed, and it is none of them.
    Unknown,
    /// There are as many as there may be.
    Full,
}

impl From<NoRoom> for Fault {
    fn from(none: NoRoom) -> Fault {
        match none {
            NoRoom::BadName => Fault::new(
                Status::BAD_REQUEST,
                "bad_room",
                "a room's name has 1 to 32 small letters, digits and hyphens",
            ),
            NoRoom::Unknown => Fault::new(Status::NOT_FOUND, "no_such_room", "there is no room of that name"),
            NoRoom::Full => Fault::new(Status::FORBIDDEN, "too_many_rooms", "there are as many rooms as there may be"),
        }
    }
}

struct Room {
    name: String,
    topic: Topic,
    /// The sets it belongs to, by their places.
    sets: Vec<usize>,
    /// Whether something was said in it, or it is one of the fixed: then it stays though nobody listens.
    stays: bool,
}

struct Set {
    rooms: Vec<RoomId>,
    topic: Topic,
}

/// All rooms.
pub struct Rooms {
    /// Whether a room appears on its first use.
    is_open: bool,
    /// By place; a place is empty when its room has been given up.
    rooms: Vec<Option<Room>>,
    sets: Vec<Option<Set>>,
}

impl Rooms {
    /// The lobby and, unless rooms are open, these and no others.
    pub fn new(fixed: Option<&[String]>, hub: &mut Hub) -> Rooms {
        let mut rooms = Rooms { is_open: fixed.is_none(), rooms: Vec::new(), sets: Vec::new() };
        rooms.add(LOBBY, hub.topic(), true);
        for name in fixed.unwrap_or_default() {
            if is_name(name) && rooms.find(name).is_none() && rooms.rooms.len() < ROOMS_MAX {
                rooms.add(name, hub.topic(), true);
            }
        }
        rooms
    }

    fn add(&mut self, name: &str, topic: Topic, stays: bool) -> RoomId {
        let room = Some(Room { name: name.to_owned(), topic, sets: Vec::new(), stays });
        let place = vacancy(&mut self.rooms);
        self.rooms[place] = room;
        RoomId(u16::try_from(place).expect("rooms are at most 256"))
    }

    fn find(&self, name: &str) -> Option<RoomId> {
        let place = self.rooms.iter().position(|room| room.as_ref().is_some_and(|room| room.name == name))?;
        u16::try_from(place).ok().map(RoomId)
    }

    /// Whether there could be a room of that name: whoever only looks into it finds it empty.
    pub fn check(&self, name: &str) -> Result<(), NoRoom> {
        if !is_name(name) {
            return Err(NoRoom::BadName);
        }
        if self.is_open || self.find(name).is_some() { Ok(()) } else { Err(NoRoom::Unknown) }
    }

    /// The room of that name, made on its first use. When there are too many, one in which nothing was said and to which
    /// nobody listens gives way.
    pub fn enter(&mut self, name: &str, cx: &mut Context<'_>) -> Result<RoomId, NoRoom> {
        self.check(name)?;
        if let Some(room) = self.find(name) {
            return Ok(room);
        }
        if self.rooms.iter().flatten().count() >= ROOMS_MAX {
            // A room is not kept by a set that nobody listens to any more.
            self.give_up_sets(cx);
            let idle = (0..self.rooms.len()).find(|&place| self.is_idle(place, cx));
            let Some(room) = idle.and_then(|place| self.rooms[place].take()) else { return Err(NoRoom::Full) };
            cx.retire(room.topic);
        }
        Ok(self.add(name, cx.topic(), false))
    }

    fn is_idle(&self, place: usize, cx: &Context<'_>) -> bool {
        self.rooms[place]
            .as_ref()
            .is_some_and(|room| !room.stays && room.sets.is_empty() && cx.listeners_of(room.topic) == 0)
    }

    /// Something is said in a room: from now on it stays.
    pub fn keep(&mut self, room: RoomId) {
        if let Some(room) = &mut self.rooms[usize::from(room.0)] {
            room.stays = true;
        }
    }

    /// A room that the ledger knows of. It is there though rooms are fixed otherwise, and though there are too many: what was
    /// said in it can be read, and nothing else.
    pub fn restore(&mut self, name: &str, cx: &mut Context<'_>) {
        if self.is_open
            && let Ok(room) = self.enter(name, cx)
        {
            self.keep(room);
        }
    }

    /// The topic of a room, for those who listen to it alone or wait for it.
    pub fn topic(&self, room: RoomId) -> Topic {
        self.room(room).topic
    }

    /// The lobby's topic.
    pub fn lobby(&self) -> Topic {
        self.topic(RoomId(0))
    }

    /// A room's name.
    pub fn name(&self, room: RoomId) -> &str {
        &self.room(room).name
    }

    fn room(&self, room: RoomId) -> &Room {
        self.rooms[usize::from(room.0)].as_ref().expect("a room that is listened to is not given up")
    }

    /// The topic for these rooms, each named once.
    pub fn tune(&mut self, rooms: &[RoomId], cx: &mut Context<'_>) -> Result<Topic, NoRoom> {
        if let [room] = rooms {
            return Ok(self.topic(*room));
        }
        let mut rooms = rooms.to_vec();
        rooms.sort_unstable();
        let first = usize::from(rooms[0].0);
        let known = self.rooms[first].iter().flat_map(|room| &room.sets);
        let known = known.filter_map(|&place| self.sets[place].as_ref()).find(|set| set.rooms == rooms);
        if let Some(set) = known {
            return Ok(set.topic);
        }
        if self.sets.iter().flatten().count() >= SETS_MAX {
            self.give_up_sets(cx);
            if self.sets.iter().flatten().count() >= SETS_MAX {
                return Err(NoRoom::Full);
            }
        }
        let place = vacancy(&mut self.sets);
        for room in &rooms {
            if let Some(room) = &mut self.rooms[usize::from(room.0)] {
                room.sets.push(place);
            }
        }
        let topic = cx.topic();
        self.sets[place] = Some(Set { rooms, topic });
        Ok(topic)
    }

    /// Forgets every set that nobody listens to.
    fn give_up_sets(&mut self, cx: &mut Context<'_>) {
        for place in 0..self.sets.len() {
            if self.sets[place].as_ref().is_some_and(|set| cx.listeners_of(set.topic) == 0)
                && let Some(set) = self.sets[place].take()
            {
                cx.retire(set.topic);
                for room in set.rooms {
                    if let Some(room) = &mut self.rooms[usize::from(room.0)] {
                        room.sets.retain(|&other| other != place);
                    }
                }
            }
        }
    }

    /// All topics on which what is said in a room is heard.
    pub fn topics(&mut self, name: &str, cx: &mut Context<'_>) -> Vec<Topic> {
        let Some(id) = self.find(name) else { return Vec::new() };
        if self.room(id).sets.iter().any(|&place| self.is_deserted(place, cx)) {
            self.give_up_sets(cx);
        }
        let room = self.room(id);
        let sets = room.sets.iter().filter_map(|&place| self.sets[place].as_ref());
        [room.topic].into_iter().chain(sets.map(|set| set.topic)).collect()
    }

    fn is_deserted(&self, set: usize, cx: &Context<'_>) -> bool {
        self.sets[set].as_ref().is_some_and(|set| cx.listeners_of(set.topic) == 0)
    }

    /// How many listen to a room.
    pub fn count(&self, name: &str, cx: &Context<'_>) -> usize {
        let Some(id) = self.find(name) else { return 0 };
        let room = self.room(id);
        let sets = room.sets.iter().filter_map(|&place| self.sets[place].as_ref());
        cx.listeners_of(room.topic) + sets.map(|set| cx.listeners_of(set.topic)).sum::<usize>()
    }

    /// The rooms' names, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rooms.iter().flatten().map(|room| room.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Whether a room appears on its first use.
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

fn vacancy<T>(places: &mut Vec<Option<T>>) -> usize {
    places.iter().position(Option::is_none).unwrap_or_else(|| {
        places.push(None);
        places.len() - 1
    })
}
