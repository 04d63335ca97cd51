//! Motion: one loop that carries bytes between sockets and protocols. It has never heard of HTTP.
//!
//! [`Reactor::turn`] is the whole of it: a list of phases, each bounded in time. A slot is read once a turn; what its protocol
//! answers is gathered on the *desk* and leaves in one `send`; only what the socket refuses, large bytes and files move into the
//! slot's outbox.
//!
//! Invariants, checked each turn in debug builds:
//! - A slot dies only in [`reap`](Reactor::reap); a key whose tenant has changed finds nobody.
//! - The desk is empty whenever no protocol has its say.
//! - A slot that could do something without the world (input left over, bytes to read, a pressed-for send) stands in a queue.
//! - Nothing that a client does makes [`turn`](Reactor::turn) fail.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use slab::Slab;

use crate::clock::Moment;
use crate::reactor::hub::{Hub, Seat};
use crate::reactor::outbox::{Flushed, Outbox};
use crate::reactor::slot::{Brought, Io, Marks, Port, Protocol, Yard, flag};
use crate::reactor::system::{Happening, Key, Lane, Peer, Signal, Socket, System, Verdict};
use crate::reactor::wheel::{Tick, Wheel};

pub mod hub;
pub mod outbox;
pub mod slot;
pub mod system;
pub mod wheel;

/// How much one read may bring when it does not land in a protocol's own window.
const SCRATCH: usize = 64 << 10;

/// How long a phase may take before it lets the others have their turn.
const SLICE_MS: u64 = 2;

/// How many slots are served between two looks at the clock.
const BETWEEN_LOOKS: usize = 16;

/// How many bytes one connection may send from its outbox in one turn.
const ALLOWANCE: usize = 1 << 20;

/// How long the listener rests when there are no descriptors left, and when every connection is busy.
const REST_MS: u64 = 500;
const FULL_REST_MS: u64 = 100;

/// The most idle connections closed at once to make room. It begins with one and doubles while newcomers keep coming.
const EVICTIONS_MAX: usize = 256;

/// How many rounds of "all has left, here is more" one connection gets before the next has its turn.
const ROUNDS: usize = 4;

struct Slot<P, S> {
    io: Io,
    socket: S,
    protocol: P,
}

/// The loop: a slab of connections, and the world they live in.
pub struct Reactor<P: Protocol, S: System<Brought<P::Done>, P::Entry>> {
    system: S,
    shared: P::Shared,
    marks: Marks,
    yard: Yard<P>,
    slots: Slab<Slot<P, S::Socket>>,
    wheel: Wheel,
    scratch: Box<[u8]>,
    happened: Vec<Happening<Brought<P::Done>>>,
    /// Slots that may have input to be served.
    awake: VecDeque<u32>,
    /// Slots that may send what they owe.
    owing: VecDeque<u32>,
    /// Slots whose entry on the wheel has fallen.
    due: VecDeque<u32>,
    dead: Vec<u32>,
    /// How much there was to do in this turn.
    events: usize,
    /// The age of the next tenant.
    age: u32,
    /// Whether someone may be waiting to be accepted.
    incoming: bool,
    /// Until when the listener rests.
    rests_until: Moment,
    evictions: usize,
    addresses: HashMap<IpAddr, u32>,
    /// While the house is closing: the next slot to be told, and when patience ends.
    closing: Option<(usize, Moment)>,
    is_over: bool,
}

impl<P: Protocol, S: System<Brought<P::Done>, P::Entry>> Reactor<P, S> {
    /// What an idle connection costs: its slot, and nothing else.
    pub const SLOT_BYTES: usize = size_of::<Slot<P, S::Socket>>();

    /// A loop with nobody in it.
    pub fn new(mut system: S, shared: P::Shared, marks: Marks, hub: Hub) -> Reactor<P, S> {
        let (now, wall) = system.now();
        Reactor {
            yard: Yard::new(&marks, hub, now, wall),
            wheel: Wheel::new(now),
            system,
            shared,
            marks,
            slots: Slab::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            happened: Vec::new(),
            awake: VecDeque::new(),
            owing: VecDeque::new(),
            due: VecDeque::new(),
            dead: Vec::new(),
            events: 0,
            age: 0,
            incoming: true,
            rests_until: now,
            evictions: 1,
            addresses: HashMap::new(),
            closing: None,
            is_over: false,
        }
    }

    /// Turns until the house has closed.
    ///
    /// # Errors
    /// If the world itself fails: it can neither sleep nor tell what happened.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_over {
            self.turn(None)?;
        }
        Ok(())
    }

    /// One turn of the loop. Sleeps until something happens, a deadline falls due, or `until`.
    pub fn turn(&mut self, until: Option<Moment>) -> io::Result<()> {
        self.wait(until)?;
        self.welcome();
        self.serve();
        self.fan();
        self.expire();
        self.flush();
        self.stop();
        self.hand_out();
        self.reap();
        self.measure();
        Ok(())
    }

    /// Notes how long the turn took. A turn in which little happened is not worth a look at the clock.
    fn measure(&mut self) {
        if self.events >= BETWEEN_LOOKS {
            let took = self.system.now().0.since(self.yard.now);
            self.yard.counts.longest_turn_ms = self.yard.counts.longest_turn_ms.max(took);
        }
    }

    /// Whether the house has closed.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The world.
    pub fn system(&mut self) -> &mut S {
        &mut self.system
    }

    /// What the connections share, and the yard with topics and counts.
    pub fn parts(&mut self) -> (&mut P::Shared, &mut Yard<P>) {
        (&mut self.shared, &mut self.yard)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Sleeps, takes the time, and sorts what happened into the queues.
    fn wait(&mut self, until: Option<Moment>) -> io::Result<()> {
        let until = if self.has_work() {
            Some(self.yard.now)
        } else {
            // While the house is closing, whoever still waits outside is no reason to wake.
            let rest = (self.incoming && !self.yard.is_closing).then_some(self.rests_until);
            let closing = self.closing.map(|(_, patience)| patience);
            [until, self.wheel.next(), rest, closing].into_iter().flatten().min()
        };
        let mut happened = std::mem::take(&mut self.happened);
        self.system.wait(until, &mut happened)?;
        (self.yard.now, self.yard.wall) = self.system.now();
        self.yard.counts.turns += 1;
        self.events = happened.len() + self.awake.len() + usize::from(self.yard.hub.is_busy()) * BETWEEN_LOOKS;
        for happening in happened.drain(..) {
            self.take_in(happening);
        }
        self.happened = happened;
        Ok(())
    }

    /// Whether there is something to do that no event will tell of.
    fn has_work(&self) -> bool {
        !self.awake.is_empty()
            || !self.owing.is_empty()
            || !self.due.is_empty()
            || !self.yard.jobs.is_empty()
            || self.yard.hub.is_busy()
            || self.may_accept()
            || self.closing.is_some_and(|(next, _)| next < self.slots.capacity())
    }

    fn may_accept(&self) -> bool {
        self.incoming && !self.yard.is_closing && self.yard.now >= self.rests_until
    }

    fn take_in(&mut self, happening: Happening<Brought<P::Done>>) {
        match happening {
            Happening::Incoming => self.incoming = true,
            Happening::Ready { key, readable, writable, shut } => {
                let Some(slot) = self.slots.get_mut(key.index as usize).filter(|slot| slot.io.age == key.age) else {
                    return;
                };
                let io = &mut slot.io;
                if readable || shut {
                    io.set(if shut { flag::READABLE | flag::SHUT } else { flag::READABLE });
                    if io.flags & (flag::AWAKE | flag::PAUSED) == 0 {
                        io.set(flag::AWAKE);
                        self.awake.push_back(key.index);
                    }
                }
                if writable {
                    io.set(flag::WRITABLE);
                    if io.outbox.is_some() || matches!(io.seat, Seat::Tape(..)) {
                        self.owing.push_back(key.index);
                    }
                }
            }
            Happening::Done { key, done: Brought::Warm } => {
                if let Some(slot) = self.slots.get_mut(key.index as usize).filter(|slot| slot.io.age == key.age) {
                    slot.io.unset(flag::WARMING);
                    if let Some(outbox) = &mut slot.io.outbox {
                        outbox.set_warm();
                    }
                    self.owing.push_back(key.index);
                }
            }
            Happening::Done { key, done: Brought::Done(lane, done) } => {
                self.yard.jobs_out[lane as usize] -= 1;
                if self.is_tenant(key) {
                    self.call(key.index, |protocol, shared, port| protocol.on_done(done, shared, port));
                    self.settle(key.index);
                    self.rouse(key.index);
                } else {
                    let (shared, yard) = (&mut self.shared, &mut self.yard);
                    let told = catch_unwind(AssertUnwindSafe(|| P::on_orphan(done, shared, yard)));
                    self.yard.counts.panics += u64::from(told.is_err());
                }
            }
            Happening::Done { key, done: Brought::Broken(lane) } => {
                self.yard.jobs_out[lane as usize] -= 1;
                self.yard.counts.panics += 1;
                if self.is_tenant(key) {
                    self.call(key.index, |protocol, shared, port| protocol.on_panic(shared, port));
                    self.settle(key.index);
                    self.rouse(key.index);
                }
            }
            Happening::Verdicts(verdicts) => {
                for verdict in verdicts {
                    self.judge(verdict);
                }
            }
            Happening::Signal(Signal::Drain) => match self.closing {
                None => self.close_house(),
                Some(_) => self.is_over = true,
            },
            Happening::Signal(signal) => P::on_signal(signal, &mut self.shared, &mut self.yard),
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        let Some((key, promise)) = self.yard.promises.pop_front() else {
            debug_assert!(false, "a verdict without an entry");
            return;
        };
        match verdict {
            Verdict::Kept(_) => self.yard.counts.kept += 1,
            Verdict::Lost => self.yard.counts.lost += 1,
            Verdict::Refused => {}
        }
        if self.is_tenant(key) {
            self.call(key.index, |protocol, shared, port| protocol.on_verdict(promise, verdict, shared, port));
            self.settle(key.index);
            self.rouse(key.index);
        } else {
            let (shared, yard) = (&mut self.shared, &mut self.yard);
            let told = catch_unwind(AssertUnwindSafe(|| P::on_orphan_verdict(promise, verdict, shared, yard)));
            self.yard.counts.panics += u64::from(told.is_err());
        }
    }

    fn is_tenant(&self, key: Key) -> bool {
        self.slots.get(key.index as usize).is_some_and(|slot| slot.io.age == key.age && !slot.io.is(flag::DEAD))
    }

    /// Begins the end: no newcomers, and everyone is told, a slice at a time.
    pub fn close_house(&mut self) {
        self.yard.is_closing = true;
        // Who has been let in by the kernel is answered once; closing the listener would reset them.
        while self.slots.len() < self.marks.connections_max
            && let Ok((socket, peer)) = self.system.accept()
        {
            self.open(socket, peer);
        }
        self.system.stop_listening();
        self.closing = Some((0, self.yard.now.plus(self.marks.drain_ms)));
    }

    /// Takes newcomers. Each is served before the world is asked for events of its socket: its first request is there as a rule.
    fn welcome(&mut self) {
        let begun = self.yard.now;
        let mut accepted = 0;
        while self.may_accept() {
            if self.slots.len() >= self.marks.connections_max {
                self.make_room();
                return;
            }
            match self.system.accept() {
                Ok((socket, peer)) => self.open(socket, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.incoming = false;
                    self.evictions = 1;
                }
                Err(error) => {
                    log::warn!("the listener rests: {error}");
                    self.yard.counts.rests += 1;
                    self.evict();
                    self.rests_until = self.yard.now.plus(REST_MS);
                }
            }
            accepted += 1;
            if accepted % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                return;
            }
        }
    }

    fn open(&mut self, socket: S::Socket, peer: Peer) {
        if self.marks.per_address_max > 0 {
            let held = self.addresses.entry(network(peer.ip)).or_default();
            if *held as usize >= self.marks.per_address_max {
                self.yard.counts.refused += 1;
                self.system.close(socket);
                return;
            }
            *held += 1;
        }
        self.age = self.age.wrapping_add(1);
        self.yard.counts.accepted += 1;
        self.yard.counts.connections += 1;
        let entry = self.slots.vacant_entry();
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

    /// Every place is taken and someone waits: idle connections go, the longest idle first. If nobody is idle, the listener
    /// rests and newcomers wait in the kernel.
    fn make_room(&mut self) {
        if self.evict() == 0 {
            self.yard.counts.rests += 1;
            self.rests_until = self.yard.now.plus(FULL_REST_MS);
        }
    }

    /// Closes some idle connections; says how many. Who has been idle longest has the earliest deadline.
    fn evict(&mut self) -> usize {
        let mut idle: Vec<(Tick, u32)> = Vec::new();
        for (index, slot) in &self.slots {
            if slot.io.flags & (flag::DEAD | flag::AWAKE) == 0
                && slot.io.inbox.is_none()
                && slot.io.outbox.is_none()
                && slot.protocol.is_idle()
            {
                idle.push((slot.io.deadline, index as u32));
            }
        }
        let count = idle.len().min(self.evictions);
        if count > 0 && count < idle.len() {
            idle.select_nth_unstable(count - 1);
        }
        for &(_, index) in &idle[..count] {
            self.kill(index);
        }
        self.yard.counts.evicted += count as u64;
        self.evictions = (self.evictions * 2).min(EVICTIONS_MAX);
        count
    }

    fn kill(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.io.is(flag::DEAD) {
            slot.io.set(flag::DEAD);
            self.dead.push(index);
        }
    }

    fn is_slice_over(&mut self, begun: Moment) -> bool {
        let (now, _) = self.system.now();
        now.since(begun) >= SLICE_MS
    }

    /// Serves those who are awake, in the order in which they woke.
    fn serve(&mut self) {
        let begun = self.yard.now;
        // Who wakes again while being served waits for the next turn: others may have something by then.
        for served in 1..=self.awake.len() {
            let Some(index) = self.awake.pop_front() else { break };
            self.serve_slot(index);
            if served % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                break;
            }
        }
    }

    /// One connection: what was left over, then one read.
    fn serve_slot(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        slot.io.unset(flag::AWAKE);
        if slot.io.is(flag::LEFT) && slot.io.flags & (flag::PAUSED | flag::DEAD) == 0 && slot.io.outbox.is_none() {
            slot.io.unset(flag::LEFT);
            if let Some(inbox) = slot.io.inbox.take() {
                self.offer(index, *inbox);
            }
        }
        self.read(index);
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
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

    fn read(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
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
                self.slots[index as usize].io.inbox = Some(Box::new(scratch[used..bytes].to_vec()));
            }
            self.scratch = scratch;
        }
    }

    /// Offers what the inbox held, and puts back what could not be used.
    fn offer(&mut self, index: u32, mut input: Vec<u8>) {
        let used = self.feed(index, &input);
        if used < input.len() {
            input.drain(..used);
            self.slots[index as usize].io.inbox = Some(Box::new(input));
        }
    }

    /// Feeds a protocol until it has used all it can and its answers have left or must wait. Says how much was used.
    fn feed(&mut self, index: u32, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let Some(taken) = self.call(index, |protocol, shared, port| protocol.on_bytes(rest, shared, port)) else {
                self.settle(index);
                return input.len();
            };
            debug_assert!(taken <= rest.len(), "a protocol used more than it was given");
            used += taken.min(rest.len());
            self.settle(index);
            let io = &mut self.slots[index as usize].io;
            if used == input.len() {
                io.unset(flag::LEFT);
                return used;
            }
            let goes_on = io.is(flag::LEFT) && io.flags & (flag::PAUSED | flag::DEAD) == 0 && io.outbox.is_none();
            if !goes_on {
                return used;
            }
            io.unset(flag::LEFT);
        }
    }

    /// Lets the protocol have its say. `None` if it panicked; then its connection is on its way out.
    #[inline]
    fn call<R>(&mut self, index: u32, say: impl FnOnce(&mut P, &mut P::Shared, &mut Port<'_, P>) -> R) -> Option<R> {
        let Slot { io, protocol, .. } = &mut self.slots[index as usize];
        debug_assert!(self.yard.desk.is_empty(), "the desk is empty when no protocol has its say");
        let key = Key { index, age: io.age };
        self.yard.mark = 0;
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

    /// After a say: what is on the desk leaves, deadlines hang, seats that moved are written down.
    #[inline]
    fn settle(&mut self, index: u32) {
        for _ in 0..ROUNDS {
            if !self.settle_once(index) {
                return;
            }
            self.call(index, |protocol, shared, port| protocol.on_drained(shared, port));
        }
        if self.settle_once(index) {
            // It has had its rounds: it is told in the flush of the next turn.
            let io = &mut self.slots[index as usize].io;
            io.set(flag::OWES);
            self.owing.push_back(index);
        }
    }

    /// One round; says whether what had been waiting has left, so that the protocol is to be told.
    #[inline]
    fn settle_once(&mut self, index: u32) -> bool {
        while let Some((slot, seat)) = self.yard.moved_seats.pop() {
            self.slots[slot as usize].io.seat = seat;
        }
        let slot = &mut self.slots[index as usize];
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
        let slot = &mut self.slots[index as usize];
        if slot.io.outbox.is_some() {
            self.flush_slot(index);
        }
        self.conclude(index)
    }

    /// All that can be done once nothing waits to leave. Says whether the protocol is to be told.
    #[inline]
    fn conclude(&mut self, index: u32) -> bool {
        let slot = &mut self.slots[index as usize];
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
    #[inline]
    fn clear_desk(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
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
            let rest = Bytes::copy_from_slice(&self.yard.desk[sent..]);
            let spare = &mut self.yard.spare_outbox;
            let outbox = slot.io.outbox.get_or_insert_with(|| spare.take().unwrap_or_default());
            outbox.push_bytes(rest);
            slot.io.set(flag::OWES);
            self.give_time(index);
        }
        self.yard.desk.clear();
    }

    /// A client that owes us a read gets so long from now.
    fn give_time(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if let Some(outbox) = &mut slot.io.outbox {
            outbox.give_up = Tick::at(self.yard.now.plus(self.marks.write_idle_ms));
            self.wheel.hang(index, outbox.give_up);
        }
    }

    /// Sends from an outbox as much as may be.
    fn flush_slot(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
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
        if is_new || gone > 0 {
            self.give_time(index);
        }
    }

    /// Has a helper bring the next stretch of a file into memory, so that sending it does not wait for a disk.
    fn warm(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
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
    fn rouse(&mut self, index: u32) {
        let io = &mut self.slots[index as usize].io;
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

    /// Brings what was said to those who listen, a slice at a time.
    fn fan(&mut self) {
        if !self.yard.hub.is_busy() {
            return;
        }
        let begun = self.system.now().0;
        let mut told = 0;
        while let Some(index) = self.yard.hub.next_woken() {
            if let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) {
                let seat = std::mem::take(&mut slot.io.seat);
                if matches!(seat, Seat::Tape(..)) {
                    // The waiter has gone and somebody else sits in its slot.
                    slot.io.seat = seat;
                    continue;
                }
                self.yard.moved_seats.extend(self.yard.hub.leave(index, seat));
                self.call(index, |protocol, shared, port| protocol.on_note(shared, port));
                self.settle(index);
                self.rouse(index);
            }
            told += 1;
            if told % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                return;
            }
        }
        while let Some((index, seat, text)) = self.yard.hub.next_listener() {
            let unheard = text.len();
            let slot = &mut self.slots[index as usize];
            let mut heard = 0;
            if unheard > 0 && slot.io.is(flag::WRITABLE) && slot.io.outbox.is_none() && !slot.io.is(flag::DEAD) {
                match slot.socket.write(&[IoSlice::new(text)], false) {
                    Ok(bytes) => heard = bytes,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => slot.io.unset(flag::WRITABLE),
                    Err(_) => self.kill(index),
                }
            }
            self.yard.counts.bytes_out += heard as u64;
            self.yard.hub.heard(seat, heard);
            if heard < unheard {
                self.lag(index, unheard - heard);
            }
            told += 1;
            if told % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                return;
            }
        }
    }

    /// A listener could not take all: if it is too far behind it goes, else it is sent the rest when its socket can take it.
    fn lag(&mut self, index: u32, unheard: usize) {
        let slot = &mut self.slots[index as usize];
        if slot.io.is(flag::DEAD) {
            return;
        }
        let held = slot.io.outbox.as_ref().map_or(0, |outbox| outbox.held());
        if unheard + held > self.marks.listener_bytes_max {
            self.yard.counts.given_up += 1;
            self.call(index, |protocol, shared, port| protocol.on_lagging(shared, port));
            self.settle(index);
        } else if slot.io.is(flag::WRITABLE) {
            self.owing.push_back(index);
        }
    }

    /// Asks those whose entry on the wheel has fallen.
    fn expire(&mut self) {
        self.wheel.fall(self.yard.now, &mut self.due);
        if self.due.is_empty() {
            return;
        }
        let begun = self.system.now().0;
        let reached = Tick::reached(self.yard.now);
        let mut asked = 0;
        while let Some(index) = self.due.pop_front() {
            self.ask(index, reached);
            asked += 1;
            if asked % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                return;
            }
        }
    }

    fn ask(&mut self, index: u32, reached: Tick) {
        let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) else { return };
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

    /// Those who owe something and whose socket can take it again.
    fn flush(&mut self) {
        let begun = self.yard.now;
        for flushed in 1..=self.owing.len() {
            let Some(index) = self.owing.pop_front() else { break };
            self.pay(index);
            if flushed % BETWEEN_LOOKS == 0 && self.is_slice_over(begun) {
                break;
            }
        }
    }

    fn pay(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) else { return };
        if slot.io.outbox.is_some() {
            self.flush_slot(index);
        }
        if self.conclude(index) {
            self.call(index, |protocol, shared, port| protocol.on_drained(shared, port));
            self.settle(index);
        }
        let slot = &mut self.slots[index as usize];
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

    /// While the house is closing: tells everyone, a slice at a time, and ends when all have gone or patience has.
    fn stop(&mut self) {
        let Some((mut next, patience)) = self.closing else { return };
        let begun = self.system.now().0;
        let mut told = 0;
        while next < self.slots.capacity() {
            if self.slots.get(next).is_some_and(|slot| !slot.io.is(flag::DEAD)) {
                let index = next as u32;
                self.call(index, |protocol, shared, port| protocol.on_stop(shared, port));
                self.settle(index);
                self.rouse(index);
                told += 1;
            }
            next += 1;
            if told % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 && self.is_slice_over(begun) {
                break;
            }
        }
        self.closing = Some((next, patience));
        let has_all =
            next >= self.slots.capacity() && self.slots.len() == self.dead.len() && self.yard.promises.is_empty();
        if has_all || self.yard.now >= patience {
            self.is_over = true;
        }
    }

    /// Gives helpers, ledger and log what is theirs.
    fn hand_out(&mut self) {
        for (lane, key, job) in self.yard.jobs.drain(..) {
            self.system.spawn(lane, key, job);
        }
        if !self.yard.entries.is_empty() {
            self.system.keep(&mut self.yard.entries);
        }
        if !self.yard.log.is_empty() {
            self.system.log(&mut self.yard.log);
        }
    }

    /// Gives the places of the dead back. Here, and nowhere else, does a slot die.
    fn reap(&mut self) {
        debug_assert!(self.yard.desk.is_empty(), "nothing lies on the desk at the end of a turn");
        while let Some(index) = self.dead.pop() {
            // It may stand there twice.
            let Some(slot) = self.slots.try_remove(index as usize) else { continue };
            let Slot { io, socket, protocol } = slot;
            debug_assert!(io.is(flag::DEAD), "only the dead are reaped");
            if let Some((other, seat)) = self.yard.hub.leave(index, io.seat) {
                self.slots[other as usize].io.seat = seat;
            }
            if self.marks.per_address_max > 0 {
                self.forget_address(protocol.peer_ip());
            }
            let (shared, yard) = (&mut self.shared, &mut self.yard);
            let told = catch_unwind(AssertUnwindSafe(|| protocol.on_close(shared, yard)));
            self.yard.counts.panics += u64::from(told.is_err());
            self.system.close(socket);
            self.yard.counts.connections -= 1;
            self.rests_until = self.rests_until.min(self.yard.now);
        }
        // What the closing connections handed out leaves now: no event would bring the loop here again.
        if !self.yard.jobs.is_empty() || !self.yard.log.is_empty() {
            self.hand_out();
        }
    }

    fn forget_address(&mut self, ip: IpAddr) {
        let network = network(ip);
        if let Some(held) = self.addresses.get_mut(&network) {
            *held -= 1;
            if *held == 0 {
                self.addresses.remove(&network);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 a host has of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}
