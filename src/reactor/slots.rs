//! All connections, and what can be done with one of them: read it, let its protocol have its say, send what that has
//! written. The turn of the loop says when; it stands above, in the room's `mod.rs`.
//!
//! Invariants:
//! - The desk is empty whenever no protocol has its say.
//! - A slot that could do something without the world (input left over, bytes to read, a pressed-for send) stands in a queue.
//! - A dead slot is only marked here, and is given back by the loop at the end of its turn.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use slab::Slab;

use crate::clock::Moment;
use crate::reactor::hub::{Hub, Seat};
use crate::reactor::outbox::{Flushed, Outbox};
use crate::reactor::slot::{Brought, Io, Marks, Port, Protocol, Yard, flag};
use crate::reactor::system::{Key, Lane, Peer, Socket, System};
use crate::reactor::wheel::{Tick, Wheel};

/// How much one read may bring when it does not land in a protocol's own window.
const SCRATCH: usize = 64 << 10;

/// How long a phase may take before it lets the others have their turn.
const SLICE_MS: u64 = 2;

/// In one turn so many bytes of large bodies are read, and what the last read of them brings beyond, by so many reads: some 50 us.
const BULK_BYTES: u64 = 256 << 10;
const BULK_READS: usize = 4;

/// How many slots are served between two looks at the clock.
pub(super) const BETWEEN_LOOKS: usize = 16;

/// How many bytes one connection may send from its outbox in one turn.
const ALLOWANCE: usize = 1 << 20;

/// How many rounds of "all has left, here is more" one connection gets before the next has its turn.
const ROUNDS: usize = 4;

/// How far the serving of one turn has come.
struct Shift {
    /// So many of those who were awake are still to be served.
    awake: usize,
    /// How many were since the last look at the clock.
    served: usize,
    /// How many reads of large bodies are left, and how many bytes will have come in when it is enough.
    bulk: Option<(usize, u64)>,
}

/// A connection.
pub(super) struct Slot<P, S> {
    pub io: Io,
    pub socket: S,
    pub protocol: P,
}

/// The connections, the world they live in, and what they share.
pub(super) struct Slots<P: Protocol, S: System<Brought<P::Done>, P::Entry>> {
    pub system: S,
    pub shared: P::Shared,
    pub marks: Marks,
    pub yard: Yard<P>,
    pub slab: Slab<Slot<P, S::Socket>>,
    pub wheel: Wheel,
    scratch: Box<[u8]>,
    /// Those that may have input to be served.
    pub awake: VecDeque<u32>,
    /// Those of them that take more of a large body. They have their turn when all others have had theirs.
    pub bulk: VecDeque<u32>,
    /// Those that may send what they owe.
    pub owing: VecDeque<u32>,
    /// Those to be given back at the end of the turn; one may stand here twice.
    pub dead: Vec<u32>,
    /// The age of the last tenant.
    age: u32,
}

impl<P: Protocol, S: System<Brought<P::Done>, P::Entry>> Slots<P, S> {
    pub(super) fn new(mut system: S, shared: P::Shared, marks: Marks, hub: Hub) -> Slots<P, S> {
        let (now, wall) = system.now();
        Slots {
            yard: Yard::new(&marks, hub, now, wall),
            wheel: Wheel::new(now),
            system,
            shared,
            marks,
            slab: Slab::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            awake: VecDeque::new(),
            bulk: VecDeque::new(),
            owing: VecDeque::new(),
            dead: Vec::new(),
            age: 0,
        }
    }

    /// Gives a newcomer a slot and lets its protocol begin. It is awake: its first request is there as a rule.
    pub(super) fn open(&mut self, socket: S::Socket, peer: Peer) {
        self.age = self.age.wrapping_add(1);
        self.yard.counts.accepted += 1;
        self.yard.counts.connections += 1;
        let entry = self.slab.vacant_entry();
        let index = u32::try_from(entry.key()).expect("connections are fewer than four billion");
        let mut io = Io {
            age: self.age,
            flags: flag::READABLE | flag::WRITABLE | flag::AWAKE,
            deadline: Tick::NONE,
            seat: Seat::None,
            inbox: None,
            outbox: None,
        };
        let key = Key { index, age: self.age };
        let protocol = P::open(peer, &mut self.shared, &mut Port { yard: &mut self.yard, key, io: &mut io });
        entry.insert(Slot { io, socket, protocol });
        self.awake.push_back(index);
        self.settle(index);
    }

    pub(super) fn is_tenant(&self, key: Key) -> bool {
        self.slab.get(key.index as usize).is_some_and(|slot| slot.io.age == key.age && !slot.io.is(flag::DEAD))
    }

    /// Serves those who are awake, in the order in which they woke; those who take more of a large body after all others.
    pub(super) fn serve(&mut self) {
        // Who wakes again while being served waits for the next turn: others may have something by then.
        let mut shift = Shift { awake: self.awake.len(), served: 0, bulk: None };
        while let Some(index) = self.next_to_serve(&mut shift) {
            self.serve_slot(index);
        }
    }

    /// Who is served next. After those who are awake come those who take more of a large body, in turn, until so much has come. Then
    /// it is looked whether somebody else has something by now: a hundred uploads at once, each of which is read as much as a
    /// window holds, would make all wait.
    #[inline(always)]
    fn next_to_serve(&mut self, shift: &mut Shift) -> Option<u32> {
        while shift.awake > 0 {
            if shift.served == BETWEEN_LOOKS {
                shift.served = 0;
                if self.is_slice_over(self.yard.now) {
                    break;
                }
            }
            shift.awake -= 1;
            shift.served += 1;
            let index = self.awake.pop_front()?;
            let Some(slot) = self.slab.get(index as usize) else { continue };
            if !slot.protocol.takes_bulk() || slot.io.is(flag::DEAD) {
                return Some(index);
            }
            self.bulk.push_back(index);
        }
        shift.awake = 0;
        let bytes_in = self.yard.counts.bytes_in;
        let bulk = shift.bulk.get_or_insert((self.bulk.len().min(BULK_READS), bytes_in + BULK_BYTES));
        if bulk.0 == 0 || bytes_in >= bulk.1 {
            return None;
        }
        bulk.0 -= 1;
        self.bulk.pop_front()
    }

    /// One connection: what was left over, then one read. Inlined, as [`feed`](Slots::feed) is.
    #[inline(always)]
    fn serve_slot(&mut self, index: u32) {
        let Some(slot) = self.slab.get_mut(index as usize) else { return };
        slot.io.unset(flag::AWAKE);
        if slot.io.is(flag::LEFT) && slot.io.flags & (flag::PAUSED | flag::DEAD) == 0 && slot.io.outbox.is_none() {
            slot.io.unset(flag::LEFT);
            if let Some(inbox) = slot.io.inbox.take() {
                self.offer(index, *inbox);
            }
        }
        self.read(index);
        let Some(slot) = self.slab.get_mut(index as usize) else { return };
        if slot.io.flags & (flag::WATCHED | flag::DEAD) == 0 {
            let key = Key { index, age: slot.io.age };
            match self.system.watch(&mut slot.socket, key) {
                Ok(()) => slot.io.set(flag::WATCHED),
                Err(error) => {
                    log::warn!("a connection cannot be watched: {error}");
                    self.kill(index);
                }
            }
        }
        self.rouse(index);
    }

    #[inline(always)]
    fn read(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        let io = &mut slot.io;
        if io.flags & (flag::PAUSED | flag::DEAD | flag::ENDED | flag::LEFT) != 0
            || !io.is(flag::READABLE)
            || io
                .outbox
                .as_ref()
                .is_some_and(|outbox| outbox.has_file() || outbox.held() >= self.marks.outbox_bytes_high)
        {
            return;
        }
        let is_shut = io.is(flag::SHUT);
        let landing = if io.inbox.is_none() { slot.protocol.landing() } else { None };
        let lands = landing.is_some();
        let took = match landing {
            Some(window) => slot.socket.read(window, is_shut),
            None => slot.socket.read(&mut self.scratch, is_shut),
        };
        let bytes = match took {
            Ok(took) => {
                if took.is_dry {
                    io.unset(flag::READABLE);
                }
                took.bytes
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                io.unset(flag::READABLE);
                if !io.is(flag::WATCHED) {
                    self.count_the_wait(index);
                }
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            // A broken socket is no error of ours: it is an end.
            Err(_) => return self.kill(index),
        };
        self.yard.counts.bytes_in += bytes as u64;
        if bytes == 0 {
            io.set(flag::ENDED);
            io.unset(flag::READABLE);
            self.call(index, |protocol, shared, port| protocol.on_end(shared, port));
            self.settle(index);
        } else if lands {
            self.call(index, |protocol, shared, port| protocol.on_landed(bytes, shared, port));
            self.settle(index);
        } else if let Some(mut inbox) = io.inbox.take() {
            inbox.extend_from_slice(&self.scratch[..bytes]);
            self.offer(index, *inbox);
        } else {
            // The scratch is lent out while it is read; nothing else reads in the meantime.
            let scratch = std::mem::take(&mut self.scratch);
            let used = self.feed(index, &scratch[..bytes]);
            if used < bytes {
                self.slab[index as usize].io.inbox = Some(Box::new(scratch[used..bytes].to_vec()));
            }
            self.scratch = scratch;
        }
    }

    /// A newcomer has brought nothing: its time began when it came, not when it was let in.
    #[cold]
    fn count_the_wait(&mut self, index: u32) {
        let Slot { io, socket, .. } = &mut self.slab[index as usize];
        if io.deadline.is_some() {
            let due = io.deadline.moment().as_millis().saturating_sub(socket.waited_ms());
            io.deadline = Tick::at(Moment::from_millis(due));
            self.wheel.hang(index, io.deadline);
        }
    }

    /// Offers what the inbox held, and puts back what could not be used.
    #[inline(never)]
    fn offer(&mut self, index: u32, mut input: Vec<u8>) {
        let used = self.feed(index, &input);
        if used < input.len() {
            input.drain(..used);
            self.slab[index as usize].io.inbox = Some(Box::new(input));
        }
    }

    /// Feeds a protocol once. What it leaves for later waits for its next turn: a client whose pipeline is long and whose socket
    /// takes much would hold up all others. Says how much was used.
    ///
    /// The first settling is inlined here, and this into its caller: behind a system call a processor has forgotten where to
    /// return to, and each return out of a frame from before it costs as much as fifty instructions.
    #[inline(always)]
    fn feed(&mut self, index: u32, input: &[u8]) -> usize {
        let taken = self.call(index, |protocol, shared, port| protocol.on_bytes(input, shared, port));
        if self.settle_once(index) {
            self.go_on(index);
        }
        let Some(taken) = taken else { return input.len() };
        debug_assert!(taken <= input.len(), "a protocol used more than it was given");
        if taken == input.len() {
            self.slab[index as usize].io.unset(flag::LEFT);
        }
        taken.min(input.len())
    }

    /// Lets the protocol have its say. `None` if it panicked; then its connection is on its way out.
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        index: u32,
        say: impl FnOnce(&mut P, &mut P::Shared, &mut Port<'_, P>) -> R,
    ) -> Option<R> {
        let Slot { io, protocol, .. } = &mut self.slab[index as usize];
        debug_assert!(self.yard.desk.is_empty(), "the desk is empty when no protocol has its say");
        let key = Key { index, age: io.age };
        self.yard.mark = 0;
        self.yard.speaker = key;
        let (shared, yard) = (&mut self.shared, &mut self.yard);
        let said = catch_unwind(AssertUnwindSafe(|| say(protocol, shared, &mut Port { yard, key, io })));
        match said {
            Ok(said) => Some(said),
            Err(_) => {
                self.yard.counts.panics += 1;
                self.yard.desk.truncate(self.yard.mark);
                let (shared, yard) = (&mut self.shared, &mut self.yard);
                let told = catch_unwind(AssertUnwindSafe(|| protocol.on_panic(shared, &mut Port { yard, key, io })));
                if told.is_err() {
                    io.set(flag::DEAD);
                    self.dead.push(index);
                }
                None
            }
        }
    }

    /// Lets the protocol do something that is no connection's own.
    pub(super) fn tell_all(&mut self, tell: impl FnOnce(&mut P::Shared, &mut Yard<P>)) {
        self.yard.speaker = Key::NOBODY;
        let (shared, yard) = (&mut self.shared, &mut self.yard);
        let told = catch_unwind(AssertUnwindSafe(|| tell(shared, yard)));
        self.yard.counts.panics += u64::from(told.is_err());
    }

    /// After a say: what is on the desk leaves, deadlines hang, seats that moved are written down.
    pub(super) fn settle(&mut self, index: u32) {
        if self.settle_once(index) {
            self.go_on(index);
        }
    }

    /// What had been waiting has left: the protocol is told, and what it says to that is settled, for so many rounds.
    #[inline(never)]
    fn go_on(&mut self, index: u32) {
        for _ in 0..ROUNDS {
            self.call(index, |protocol, shared, port| protocol.on_drained(shared, port));
            if !self.settle_once(index) {
                return;
            }
        }
        // It has had its rounds: it is told in the flush of the next turn.
        let io = &mut self.slab[index as usize].io;
        io.set(flag::OWES);
        self.owing.push_back(index);
    }

    /// One round; says whether what had been waiting has left, so that the protocol is to be told.
    #[inline(always)]
    fn settle_once(&mut self, index: u32) -> bool {
        while let Some((slot, seat)) = self.yard.moved_seats.pop() {
            self.slab[slot as usize].io.seat = seat;
        }
        let slot = &mut self.slab[index as usize];
        if slot.io.deadline.is_some() {
            self.wheel.hang(index, slot.io.deadline);
        }
        if slot.io.is(flag::DEAD) {
            self.yard.desk.clear();
            self.dead.push(index);
            return false;
        }
        if !self.yard.desk.is_empty() {
            self.clear_desk(index);
        }
        let slot = &mut self.slab[index as usize];
        if slot.io.outbox.is_some() {
            self.flush_slot(index);
        }
        self.conclude(index)
    }

    /// All that can be done once nothing waits to leave. Says whether the protocol is to be told.
    #[inline]
    fn conclude(&mut self, index: u32) -> bool {
        let slot = &mut self.slab[index as usize];
        if slot.io.outbox.is_some()
            || slot.io.flags & (flag::OWES | flag::CLOSING | flag::FINISHING) == 0
            || slot.io.is(flag::DEAD)
        {
            return false;
        }
        if slot.io.is(flag::CLOSING) {
            self.kill(index);
            return false;
        }
        if slot.io.is(flag::FINISHING) && !slot.io.is(flag::FINISHED) {
            slot.io.set(flag::FINISHED);
            // If it fails the client is gone, and reading will say so.
            let _ = slot.socket.finish();
        }
        let owed = slot.io.is(flag::OWES);
        slot.io.unset(flag::OWES);
        owed
    }

    /// Sends what is on the desk; what the socket refuses goes to the outbox.
    #[inline(always)]
    fn clear_desk(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        let mut sent = 0;
        if slot.io.is(flag::WRITABLE) && slot.io.outbox.is_none() {
            match slot.socket.write(&[IoSlice::new(&self.yard.desk)], false) {
                Ok(bytes) => sent = bytes,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        slot.io.unset(flag::WRITABLE);
                    }
                }
                Err(_) => {
                    self.yard.desk.clear();
                    return self.kill(index);
                }
            }
            self.yard.counts.bytes_out += sent as u64;
        }
        if sent < self.yard.desk.len() {
            self.put_off(index, sent);
        }
        self.yard.desk.clear();
    }

    /// What is on the desk from there on waits in the outbox.
    #[inline(never)]
    fn put_off(&mut self, index: u32, sent: usize) {
        let slot = &mut self.slab[index as usize];
        let rest = Bytes::copy_from_slice(&self.yard.desk[sent..]);
        let spare = &mut self.yard.spare_outbox;
        let outbox = slot.io.outbox.get_or_insert_with(|| spare.take().unwrap_or_default());
        outbox.push_bytes(rest);
        slot.io.set(flag::OWES);
        self.give_time(index);
    }

    /// A client that owes us a read gets so long from now.
    #[inline(never)]
    fn give_time(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        if let Some(outbox) = &mut slot.io.outbox {
            outbox.give_up = Tick::at(self.yard.now.plus(self.marks.write_idle_ms));
            self.wheel.hang(index, outbox.give_up);
        }
    }

    /// Sends from an outbox as much as may be.
    #[inline(never)]
    fn flush_slot(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        let may_send = slot.io.flags & (flag::WRITABLE | flag::WARMING) == flag::WRITABLE;
        let Some(outbox) = &mut slot.io.outbox else { return };
        let is_new = !outbox.give_up.is_some();
        let mut gone = 0;
        if may_send {
            match outbox.flush(&mut slot.socket, ALLOWANCE) {
                Ok((bytes, flushed)) => {
                    gone = bytes;
                    self.yard.counts.bytes_out += bytes as u64;
                    match flushed {
                        Flushed::Empty => {
                            let mut outbox = slot.io.outbox.take().expect("it was there");
                            outbox.give_up = Tick::NONE;
                            self.yard.stream_held -= std::mem::take(&mut outbox.counted);
                            self.yard.spare_outbox.get_or_insert(outbox);
                            return;
                        }
                        Flushed::Blocked => slot.io.unset(flag::WRITABLE),
                        Flushed::Spent => self.owing.push_back(index),
                        Flushed::Cold => self.warm(index),
                    }
                }
                Err(_) => return self.kill(index),
            }
        }
        let slot = &mut self.slab[index as usize];
        if slot.io.is(flag::STREAM)
            && let Some(outbox) = &mut slot.io.outbox
        {
            let held = outbox.held();
            let before = std::mem::replace(&mut outbox.counted, held);
            self.yard.stream_held = self.yard.stream_held - before + held;
        }
        if is_new || gone > 0 {
            self.give_time(index);
        }
    }

    /// Has a helper bring the next stretch of a file into memory, so that sending it does not wait for a disk.
    #[cold]
    fn warm(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        let Some(span) = slot.io.outbox.as_deref().and_then(Outbox::cold_stretch) else { return };
        slot.io.set(flag::WARMING);
        let key = Key { index, age: slot.io.age };
        let job = move || {
            span.file.read_ahead(span.offset, span.length);
            Brought::Warm
        };
        self.yard.jobs.push((Lane::Files, key, Box::new(job)));
    }

    /// Wakes a slot that can do something without the world's word.
    #[inline]
    pub(super) fn rouse(&mut self, index: u32) {
        let io = &mut self.slab[index as usize].io;
        let can_read = io.is(flag::READABLE) && !io.is(flag::ENDED) || io.is(flag::LEFT);
        if can_read
            && io.flags & (flag::PAUSED | flag::DEAD | flag::AWAKE) == 0
            && io.outbox.as_ref().is_none_or(|outbox| {
                !io.is(flag::LEFT) && !outbox.has_file() && outbox.held() < self.marks.outbox_bytes_high
            })
        {
            io.set(flag::AWAKE);
            self.awake.push_back(index);
        }
    }

    pub(super) fn pay(&mut self, index: u32) {
        let Some(slot) = self.slab.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) else { return };
        if slot.io.outbox.is_some() {
            self.flush_slot(index);
        }
        if self.conclude(index) {
            self.call(index, |protocol, shared, port| protocol.on_drained(shared, port));
            self.settle(index);
        }
        let slot = &mut self.slab[index as usize];
        if slot.io.outbox.is_none() && slot.io.is(flag::WRITABLE) && !slot.io.is(flag::DEAD) {
            let text = self.yard.hub.unheard(slot.io.seat);
            if !text.is_empty() {
                let heard = match slot.socket.write(&[IoSlice::new(text)], false) {
                    Ok(bytes) => bytes,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        slot.io.unset(flag::WRITABLE);
                        0
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                    Err(_) => return self.kill(index),
                };
                self.yard.counts.bytes_out += heard as u64;
                if self.yard.hub.heard(slot.io.seat, heard) > 0 && slot.io.is(flag::WRITABLE) {
                    self.owing.push_back(index);
                }
            }
        }
        self.rouse(index);
    }

    /// A listener could not take all: if it is too far behind it goes, else it is sent the rest when its socket can take it.
    pub(super) fn lag(&mut self, index: u32, unheard: usize) {
        let slot = &mut self.slab[index as usize];
        if slot.io.is(flag::DEAD) {
            return;
        }
        let held = slot.io.outbox.as_ref().map_or(0, |outbox| outbox.held());
        let is_too_much = self.yard.hub.tape_bytes() > self.marks.listeners_bytes_max;
        if is_too_much || unheard + held > self.marks.listener_bytes_max {
            self.yard.counts.given_up += 1;
            self.call(index, |protocol, shared, port| protocol.on_lagging(shared, port));
            self.settle(index);
        } else if slot.io.is(flag::WRITABLE) {
            self.owing.push_back(index);
        }
    }

    pub(super) fn ask(&mut self, index: u32, reached: Tick) {
        let Some(slot) = self.slab.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) else { return };
        // While something waits to leave, only the client's taking it counts; the protocol's own patience begins after.
        if let Some(outbox) = &slot.io.outbox {
            if outbox.give_up <= reached && !slot.io.is(flag::WARMING) {
                self.yard.counts.given_up += 1;
                slot.socket.abandon();
                return self.kill(index);
            }
            let next = if outbox.give_up > reached { outbox.give_up } else { Tick::at(self.yard.now.plus(1000)) };
            return self.wheel.hang(index, next);
        }
        let deadline = slot.io.deadline;
        if !deadline.is_some() {
            return;
        }
        if deadline > reached {
            return self.wheel.hang(index, deadline);
        }
        slot.io.deadline = Tick::NONE;
        self.call(index, |protocol, shared, port| protocol.on_deadline(shared, port));
        self.settle(index);
        self.rouse(index);
    }

    #[cold]
    pub(super) fn kill(&mut self, index: u32) {
        let slot = &mut self.slab[index as usize];
        if !slot.io.is(flag::DEAD) {
            slot.io.set(flag::DEAD);
            self.dead.push(index);
        }
    }

    pub(super) fn is_slice_over(&mut self, begun: Moment) -> bool {
        let (now, _) = self.system.now();
        now.since(begun) >= SLICE_MS
    }
}
