//! The hub: topics on which notes are said, and who listens.
//!
//! A note is written out once per dialect, at the end of that dialect's tape. A listener is a slot's index and an offset into
//! the tape, in two plain arrays: who is new starts at the end, and one send brings all that has been said since. What nobody
//! needs any more is cut off after a full sweep over the listeners, so the tape is as long as the slowest reader who is still
//! allowed to be slow. A waiter (a long poll) is told only that something was said; it asks again.
//!
//! Nothing here touches a socket: the loop sweeps, a slice at a time.

use std::collections::VecDeque;

/// A subject that connections listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(u16);

/// In which form a listener hears a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// As event-stream text.
    Event,
    /// As WebSocket frames.
    Frame,
}

/// A tape that is empty gives memory above this back.
const KEPT: usize = 256 << 10;

/// How many dialects there are.
pub const DIALECTS: usize = 2;

impl Dialect {
    const ALL: [Dialect; DIALECTS] = [Dialect::Event, Dialect::Frame];
}

/// Where a slot is in the hub, so that leaving is swift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Seat {
    /// Nowhere.
    #[default]
    None,
    /// At a tape: topic, dialect, place in the arrays.
    Tape(Topic, Dialect, u32),
    /// Among the waiters of a topic, at that place.
    Wait(Topic, u32),
}

/// One dialect's running text of what was said, and who reads it.
#[derive(Default)]
pub struct Tape {
    text: Vec<u8>,
    /// The offset of `text[0]`, counted since the tape's first byte. A note begins there.
    start: u64,
    /// Where each note on the tape ends, in order.
    ends: VecDeque<u64>,
    /// Who reads: the slot's index ...
    slots: Vec<u32>,
    /// ... and how far it has got.
    offsets: Vec<u64>,
    /// Where the running sweep stands; `None` when all who can have heard all.
    sweep: Option<usize>,
    /// Whether something was said since the sweep began.
    is_behind: bool,
}

impl Tape {
    /// The offset behind the last note.
    pub fn end(&self) -> u64 {
        self.start + self.text.len() as u64
    }

    /// All text from `offset` on.
    fn from(&self, offset: u64) -> &[u8] {
        &self.text[usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.text.len())..]
    }

    /// Cuts off the notes that end at or before `offset`. Moving the rest costs its length, so it waits until half the text is
    /// of no use. Says how many bytes that were.
    fn cut(&mut self, offset: u64) -> usize {
        let notes = self.ends.partition_point(|&end| end <= offset);
        let Some(start) = notes.checked_sub(1).map(|last| self.ends[last]) else {
            return 0;
        };
        let useless = usize::try_from(start - self.start).unwrap_or(usize::MAX);
        if useless * 2 < self.text.len() {
            return 0;
        }
        self.text.drain(..useless);
        if self.text.is_empty() && self.text.capacity() > KEPT {
            self.text = Vec::new();
        }
        self.start = start;
        self.ends.drain(..notes);
        useless
    }
}

#[derive(Default)]
struct Room {
    tapes: [Tape; DIALECTS],
    waiters: Vec<u32>,
}

/// All topics.
#[derive(Default)]
pub struct Hub {
    rooms: Vec<Room>,
    /// Topics given back, to be used again.
    vacant: Vec<Topic>,
    /// Tapes with a sweep to do, in the order in which they were spoken on.
    sweeps: VecDeque<(Topic, Dialect)>,
    /// Waiters that have something to hear.
    woken: VecDeque<u32>,
    listeners: usize,
    /// Bytes on all tapes.
    bytes: usize,
}

impl Hub {
    /// A new topic.
    ///
    /// # Panics
    /// If there are 65,536 already; whoever makes topics bounds their number.
    pub fn topic(&mut self) -> Topic {
        if let Some(topic) = self.vacant.pop() {
            return topic;
        }
        let number = u16::try_from(self.rooms.len()).expect("the number of topics is bounded by their maker");
        self.rooms.push(Room::default());
        Topic(number)
    }

    /// Gives a topic back that nobody listens to any more; one that somebody listens to stays.
    pub fn retire(&mut self, topic: Topic) {
        if self.listeners_of(topic) == 0 {
            self.vacant.push(topic);
        } else {
            debug_assert!(false, "a topic is given back when nobody listens to it");
        }
    }

    /// How many bytes stand on all tapes, for those who have not heard them.
    pub fn tape_bytes(&self) -> usize {
        self.bytes
    }

    /// How many listeners and waiters there are.
    pub fn listeners(&self) -> usize {
        self.listeners
    }

    /// How many listen to a topic or wait for it.
    pub fn listeners_of(&self, topic: Topic) -> usize {
        let room = &self.rooms[usize::from(topic.0)];
        room.waiters.len() + room.tapes.iter().map(|tape| tape.slots.len()).sum::<usize>()
    }

    /// Says a note: `write` is asked for its text once for each dialect that somebody listens in, and all waiters are woken.
    pub fn say(&mut self, topic: Topic, mut write: impl FnMut(Dialect, &mut Vec<u8>)) {
        let room = &mut self.rooms[usize::from(topic.0)];
        for dialect in Dialect::ALL {
            let tape = &mut room.tapes[dialect as usize];
            if tape.slots.is_empty() {
                continue;
            }
            let before = tape.text.len();
            write(dialect, &mut tape.text);
            if tape.text.len() == before {
                continue;
            }
            self.bytes += tape.text.len() - before;
            tape.ends.push_back(tape.end());
            if tape.sweep.is_some() {
                tape.is_behind = true;
            } else {
                tape.sweep = Some(0);
                self.sweeps.push_back((topic, dialect));
            }
        }
        self.listeners -= room.waiters.len();
        self.woken.extend(room.waiters.drain(..));
    }

    /// Seats a listener at the end of a tape.
    pub(super) fn listen(&mut self, slot: u32, topic: Topic, dialect: Dialect) -> Seat {
        let tape = &mut self.rooms[usize::from(topic.0)].tapes[dialect as usize];
        let place = tape.slots.len() as u32;
        let end = tape.end();
        tape.slots.push(slot);
        tape.offsets.push(end);
        self.listeners += 1;
        Seat::Tape(topic, dialect, place)
    }

    /// Seats a waiter.
    pub(super) fn wait(&mut self, slot: u32, topic: Topic) -> Seat {
        let waiters = &mut self.rooms[usize::from(topic.0)].waiters;
        waiters.push(slot);
        self.listeners += 1;
        Seat::Wait(topic, (waiters.len() - 1) as u32)
    }

    /// Gives a seat back. The last one of its row moves into the gap; `Some` tells whose seat has changed, and to what.
    pub(super) fn leave(&mut self, slot: u32, seat: Seat) -> Option<(u32, Seat)> {
        match seat {
            Seat::None => None,
            Seat::Wait(topic, place) => {
                let waiters = &mut self.rooms[usize::from(topic.0)].waiters;
                // A waiter that was woken has lost its seat already.
                if waiters.get(place as usize) != Some(&slot) {
                    return None;
                }
                waiters.swap_remove(place as usize);
                self.listeners -= 1;
                waiters.get(place as usize).map(|&moved| (moved, Seat::Wait(topic, place)))
            }
            Seat::Tape(topic, dialect, place) => {
                let tape = &mut self.rooms[usize::from(topic.0)].tapes[dialect as usize];
                debug_assert_eq!(tape.slots.get(place as usize), Some(&slot), "a listener knows its seat");
                tape.slots.swap_remove(place as usize);
                tape.offsets.swap_remove(place as usize);
                self.listeners -= 1;
                // Whoever moved from behind the sweep to before it would not be asked: the sweep goes back to it.
                if let Some(sweep) = &mut tape.sweep {
                    *sweep = (*sweep).min(place as usize);
                }
                if tape.slots.is_empty() {
                    let end = tape.end();
                    self.bytes -= tape.cut(end);
                }
                tape.slots.get(place as usize).map(|&moved| (moved, Seat::Tape(topic, dialect, place)))
            }
        }
    }

    /// The next waiter to be told.
    pub(super) fn next_woken(&mut self) -> Option<u32> {
        self.woken.pop_front()
    }

    /// Whether anyone has still to hear something.
    pub(super) fn is_busy(&self) -> bool {
        !self.sweeps.is_empty() || !self.woken.is_empty()
    }

    /// The next listener of the running sweep: its slot and what it has not heard. Ends a sweep that has come round, cuts the
    /// tape, and goes on with the next.
    pub(super) fn next_listener(&mut self) -> Option<(u32, Seat, &[u8])> {
        loop {
            let &(topic, dialect) = self.sweeps.front()?;
            let tape = &mut self.rooms[usize::from(topic.0)].tapes[dialect as usize];
            let place = tape.sweep.expect("a tape in the list of sweeps is being swept");
            if place < tape.slots.len() {
                tape.sweep = Some(place + 1);
                let tape = &self.rooms[usize::from(topic.0)].tapes[dialect as usize];
                let seat = Seat::Tape(topic, dialect, place as u32);
                return Some((tape.slots[place], seat, tape.from(tape.offsets[place])));
            }
            let least = tape.offsets.iter().copied().min().unwrap_or(tape.end());
            self.bytes -= tape.cut(least);
            if tape.is_behind {
                tape.is_behind = false;
                tape.sweep = Some(0);
            } else {
                tape.sweep = None;
                self.sweeps.pop_front();
            }
        }
    }

    /// What the one in `seat` has not heard.
    pub(super) fn unheard(&self, seat: Seat) -> &[u8] {
        match seat {
            Seat::Tape(topic, dialect, place) => {
                let tape = &self.rooms[usize::from(topic.0)].tapes[dialect as usize];
                tape.from(tape.offsets[place as usize])
            }
            _ => &[],
        }
    }

    /// Notes that the one in `seat` has heard `bytes` more; says how many it has not.
    pub(super) fn heard(&mut self, seat: Seat, bytes: usize) -> u64 {
        match seat {
            Seat::Tape(topic, dialect, place) => {
                let tape = &mut self.rooms[usize::from(topic.0)].tapes[dialect as usize];
                let offset = &mut tape.offsets[place as usize];
                *offset += bytes as u64;
                let offset = *offset;
                tape.end() - offset
            }
            _ => 0,
        }
    }

    /// The rest of a note of which the one in `seat` has heard the beginning; it counts as heard. Private bytes may follow it.
    pub(super) fn finish_note(&mut self, seat: Seat) -> Vec<u8> {
        let Seat::Tape(topic, dialect, place) = seat else {
            return Vec::new();
        };
        let tape = &mut self.rooms[usize::from(topic.0)].tapes[dialect as usize];
        let offset = tape.offsets[place as usize];
        let at = tape.ends.partition_point(|&end| end < offset);
        let is_between_notes = offset == tape.start || tape.ends.get(at) == Some(&offset);
        match tape.ends.get(at) {
            Some(&end) if !is_between_notes => {
                let rest = tape.from(offset)[..usize::try_from(end - offset).unwrap_or(0)].to_vec();
                tape.offsets[place as usize] = end;
                rest
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = ".";

    fn say(hub: &mut Hub, topic: Topic, text: &str) {
        hub.say(topic, |_, out| out.extend_from_slice(format!("{text}{END}").as_bytes()));
    }

    /// Sweeps to the end; each listener takes at most `room` bytes.
    fn sweep(hub: &mut Hub, room: usize) -> Vec<(u32, String)> {
        let mut heard = Vec::new();
        while let Some((slot, seat, text)) = hub.next_listener() {
            let part = text[..text.len().min(room)].to_vec();
            hub.heard(seat, part.len());
            heard.push((slot, String::from_utf8(part).unwrap()));
        }
        heard
    }

    #[test]
    fn who_listens_hears_what_is_said_from_then_on_in_one_piece() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        say(&mut hub, topic, "nobody hears this");
        hub.listen(7, topic, Dialect::Event);
        say(&mut hub, topic, "a");
        hub.listen(8, topic, Dialect::Event);
        say(&mut hub, topic, "b");
        assert_eq!(sweep(&mut hub, 99), [(7, "a.b.".into()), (8, "b.".into()), (7, "".into()), (8, "".into())]);
        assert!(!hub.is_busy());
        assert_eq!([hub.rooms[0].tapes[0].text.len(), hub.tape_bytes()], [0, 0], "what all have heard is cut off");
    }

    #[test]
    fn a_note_said_during_a_sweep_calls_for_another() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        hub.listen(1, topic, Dialect::Event);
        hub.listen(2, topic, Dialect::Event);
        say(&mut hub, topic, "a");
        let (_, seat, text) = hub.next_listener().unwrap();
        let length = text.len();
        hub.heard(seat, length);
        say(&mut hub, topic, "b");
        assert_eq!(sweep(&mut hub, 99), [(2, "a.b.".into()), (1, "b.".into()), (2, "".into())]);
    }

    #[test]
    fn leaving_in_the_middle_of_a_sweep_skips_nobody() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        let seats: Vec<Seat> = (0..4).map(|slot| hub.listen(slot, topic, Dialect::Event)).collect();
        say(&mut hub, topic, "a");
        for _ in 0..2 {
            let (_, seat, text) = hub.next_listener().unwrap();
            let length = text.len();
            hub.heard(seat, length);
        }
        assert_eq!(hub.leave(0, seats[0]), Some((3, seats[0])), "the last listener takes the seat");
        let rest: Vec<u32> =
            sweep(&mut hub, 99).into_iter().filter(|(_, text)| !text.is_empty()).map(|(slot, _)| slot).collect();
        assert_eq!(rest, [3, 2]);
        assert_eq!(hub.listeners(), 3);
    }

    #[test]
    fn a_slow_listener_keeps_the_tape_and_others_go_on() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        let slow = hub.listen(1, topic, Dialect::Event);
        let quick = hub.listen(2, topic, Dialect::Event);
        for _ in 0..10 {
            say(&mut hub, topic, "0123456789");
            while let Some((slot, seat, text)) = hub.next_listener() {
                let length = text.len();
                if slot == 2 {
                    hub.heard(seat, length);
                }
            }
        }
        assert_eq!([hub.unheard(slow).len(), hub.tape_bytes()], [110, 110]);
        assert_eq!(hub.unheard(quick).len(), 0);
        assert_eq!(hub.heard(slow, 110), 0);
        say(&mut hub, topic, "x");
        sweep(&mut hub, 99);
        assert_eq!(hub.rooms[0].tapes[0].text.len(), 0);
    }

    #[test]
    fn a_half_heard_note_is_finished_before_anything_private() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        let seat = hub.listen(1, topic, Dialect::Event);
        say(&mut hub, topic, "abc");
        say(&mut hub, topic, "def");
        assert_eq!(hub.finish_note(seat), b"", "nothing was begun");
        hub.heard(seat, 2);
        assert_eq!(hub.finish_note(seat), b"c.");
        assert_eq!(hub.finish_note(seat), b"");
        assert_eq!(hub.unheard(seat), b"def.");
        while let Some((_, seat, text)) = hub.next_listener() {
            let length = text.len();
            hub.heard(seat, length.saturating_sub(3));
        }
        assert_eq!(hub.finish_note(seat), b"ef.", "also after the tape was cut");
    }

    #[test]
    fn a_topic_given_back_is_used_again_and_its_next_listeners_hear_nothing_of_before() {
        let mut hub = Hub::default();
        let (kept, topic) = (hub.topic(), hub.topic());
        let seat = hub.listen(1, topic, Dialect::Event);
        assert_eq!([hub.listeners_of(kept), hub.listeners_of(topic)], [0, 1]);
        say(&mut hub, topic, "a");
        hub.leave(1, seat);
        hub.retire(topic);
        assert_eq!(hub.topic(), topic);
        hub.listen(2, topic, Dialect::Event);
        say(&mut hub, topic, "b");
        assert_eq!(sweep(&mut hub, 99)[0], (2, "b.".into()));
        assert_ne!(hub.topic(), kept);
    }

    #[test]
    fn waiters_are_told_once_and_must_ask_again() {
        let mut hub = Hub::default();
        let topic = hub.topic();
        let one = hub.wait(1, topic);
        hub.wait(2, topic);
        assert_eq!(hub.leave(1, one), Some((2, one)));
        say(&mut hub, topic, "a");
        say(&mut hub, topic, "b");
        assert_eq!(hub.next_woken(), Some(2));
        assert_eq!(hub.next_woken(), None);
        assert_eq!(hub.leave(2, one), None, "its seat is gone already");
        assert_eq!(hub.listeners(), 0);
    }
}
