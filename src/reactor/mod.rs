//! Motion: one loop that carries bytes between sockets and protocols. It has never heard of HTTP.
//!
//! [`Reactor::turn`] is the whole of it: a list of phases, each bounded in time. A slot is read once a turn; what its protocol
//! answers is gathered on the *desk* and leaves in one `send`; only what the socket refuses, large bytes and files move into the
//! slot's outbox.
//!
//! Invariants, checked each turn in debug builds:
//! - A slot dies only in `reap`; a key whose tenant has changed finds nobody.
//! - The desk is empty whenever no protocol has its say.
//! - A slot that could do something without the world (input left over, bytes to read, a pressed-for send) stands in a queue.
//! - Nothing that a client does makes [`turn`](Reactor::turn) fail.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::Moment;
use crate::reactor::door::Door;
use crate::reactor::hub::{Hub, Seat};
use crate::reactor::slot::{Brought, Marks, Protocol, TURN_MS, Yard, flag};
use crate::reactor::slots::{BETWEEN_LOOKS, Slot, Slots};
use crate::reactor::system::{Happening, Key, Lane, Signal, Socket, System, Verdict};
use crate::reactor::watch::Watch;
use crate::reactor::wheel::Tick;

mod door;
mod slots;
mod watch;

pub mod hub;
pub mod outbox;
pub mod slot;
pub mod system;
pub mod wheel;

/// The loop: the connections, the door through which they come, and what is known of the time to come.
pub struct Reactor<P: Protocol, S: System<Brought<P::Done>, P::Entry>> {
    slots: Slots<P, S>,
    door: Door,
    happened: Vec<Happening<Brought<P::Done>>>,
    /// Slots whose entry on the wheel has fallen.
    due: VecDeque<u32>,
    /// How much there was to do in this turn.
    events: usize,
    /// While the house is closing: the next slot to be told, and when patience ends.
    closing: Option<(usize, Moment)>,
    is_over: bool,
    watch: Watch,
}

impl<P: Protocol, S: System<Brought<P::Done>, P::Entry>> Reactor<P, S> {
    /// What an idle connection costs: its slot, and nothing else.
    pub const SLOT_BYTES: usize = size_of::<Slot<P, S::Socket>>();

    /// A loop with nobody in it.
    pub fn new(system: S, shared: P::Shared, marks: Marks, hub: Hub) -> Reactor<P, S> {
        let slots = Slots::new(system, shared, marks, hub);
        Reactor {
            door: Door::new(slots.yard.now),
            slots,
            happened: Vec::new(),
            due: VecDeque::new(),
            events: 0,
            closing: None,
            is_over: false,
            watch: Watch::default(),
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
        self.pass("welcome");
        self.slots.serve();
        self.pass("serve");
        self.heed_calls();
        self.pass("calls");
        self.fan();
        self.pass("fan");
        self.expire();
        self.pass("expire");
        self.flush();
        self.pass("flush");
        self.stop();
        self.hand_out();
        self.pass("hand out");
        self.reap();
        self.pass("reap");
        self.change_marks();
        self.lock_up();
        self.measure();
        Ok(())
    }

    /// Notes what a phase has taken, if anybody looks.
    #[inline]
    fn pass(&mut self, phase: &'static str) {
        if self.watch.is_on {
            self.watch.pass(phase, self.slots.system.now().0);
        }
    }

    /// Takes new measures, once nothing is being measured. How many an address may have is counted from the start and stays, and
    /// so do the queues of the helpers.
    fn change_marks(&mut self) {
        if let Some(marks) = self.slots.yard.marks.take() {
            let Marks { per_address_max, jobs_max, .. } = self.slots.marks;
            self.slots.marks = Marks { per_address_max, jobs_max, ..marks };
        }
    }

    /// How many connections are at what, the most first.
    fn census(&self) -> Vec<(&'static str, usize)> {
        let mut census: Vec<(&str, usize)> = Vec::new();
        for (_, slot) in &self.slots.slab {
            let doing = slot.protocol.doing();
            match census.iter_mut().find(|(word, _)| *word == doing) {
                Some((_, count)) => *count += 1,
                None => census.push((doing, 1)),
            }
        }
        census.sort_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
        census
    }

    /// Notes how long the turn took, and counts who is at what if that was asked for.
    fn measure(&mut self) {
        if self.events > 0 {
            let took = self.slots.system.now().0.since(self.slots.yard.now);
            let counts = &mut self.slots.yard.counts;
            counts.longest_turn_ms = counts.longest_turn_ms.max(took);
            counts.turns_ms += took;
            counts.turns_by_ms[TURN_MS.partition_point(|bound| *bound < took)] += 1;
        }
        if std::mem::take(&mut self.slots.yard.wants_census) {
            self.slots.yard.census = self.census();
        }
        self.pass("measure");
        if self.watch.is_on && self.watch.is_long() {
            log::debug!("{}", self.watch.sentence(self.slots.system.busy_us()));
        }
    }

    /// Whether the house has closed.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The world.
    pub fn system(&mut self) -> &mut S {
        &mut self.slots.system
    }

    /// The world, only to look at.
    pub fn world(&self) -> &S {
        &self.slots.system
    }

    /// What the connections share, and the yard with topics and counts.
    pub fn parts(&mut self) -> (&mut P::Shared, &mut Yard<P>) {
        (&mut self.slots.shared, &mut self.slots.yard)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.slots.slab.len()
    }

    /// Sleeps, takes the time, and sorts what happened into the queues.
    fn wait(&mut self, until: Option<Moment>) -> io::Result<()> {
        let until = [until, self.due()].into_iter().flatten().min();
        let mut happened = std::mem::take(&mut self.happened);
        self.slots.system.wait(until, &mut happened)?;
        (self.slots.yard.now, self.slots.yard.wall) = self.slots.system.now();
        let is_watched = log::log_enabled!(log::Level::Debug);
        let busy_us = if is_watched { self.slots.system.busy_us() } else { 0 };
        self.watch.begin(is_watched, self.slots.yard.now, busy_us);
        self.slots.yard.counts.turns += 1;
        self.events = happened.len()
            + self.slots.awake.len()
            + self.slots.bulk.len()
            + usize::from(self.slots.yard.hub.is_busy()) * BETWEEN_LOOKS;
        for happening in happened.drain(..) {
            self.take_in(happening);
        }
        self.happened = happened;
        self.pass("events");
        Ok(())
    }

    /// Gives what somebody else has brought to whom it is for; if that one is gone, to whoever looks after orphans.
    fn bring(&mut self, key: Key, done: P::Done) {
        if self.slots.is_tenant(key) {
            self.slots.call(key.index, |protocol, shared, port| protocol.on_done(done, shared, port));
            self.slots.settle(key.index);
            self.slots.rouse(key.index);
        } else {
            self.slots.tell_all(|shared, yard| P::on_orphan(done, shared, yard));
        }
    }

    /// When this wants its next turn although nothing happens: at once, at some moment, or never.
    pub fn due(&self) -> Option<Moment> {
        if self.has_work() {
            return Some(self.slots.yard.now);
        }
        // While the house is closing, whoever still waits outside is no reason to wake.
        let rest = (self.door.incoming && !self.slots.yard.is_closing).then_some(self.door.rests_until);
        let closing = self.closing.map(|(_, patience)| patience);
        let dues = [self.slots.wheel.next(), rest, closing, self.slots.yard.alarm, self.slots.system.due()];
        dues.into_iter().flatten().min()
    }

    /// Whether there is something to do that no event will tell of.
    fn has_work(&self) -> bool {
        !self.slots.awake.is_empty()
            || !self.slots.bulk.is_empty()
            || !self.slots.owing.is_empty()
            || !self.slots.dead.is_empty()
            || !self.due.is_empty()
            || !self.slots.yard.jobs.is_empty()
            || !self.slots.yard.called.is_empty()
            || self.slots.yard.close_within_ms.is_some()
            || self.slots.yard.hub.is_busy()
            || self.may_accept()
            || self.closing.is_some_and(|(next, _)| next < self.slots.slab.capacity())
    }

    fn may_accept(&self) -> bool {
        !self.slots.yard.is_closing && self.door.may_accept(self.slots.yard.now)
    }

    fn take_in(&mut self, happening: Happening<Brought<P::Done>>) {
        match happening {
            Happening::Incoming => self.door.incoming = true,
            Happening::Ready { key, readable, writable, shut } => {
                let Some(slot) = self.slots.slab.get_mut(key.index as usize).filter(|slot| slot.io.age == key.age)
                else {
                    return;
                };
                let io = &mut slot.io;
                if readable || shut {
                    io.set(if shut { flag::READABLE | flag::SHUT } else { flag::READABLE });
                    if io.flags & (flag::AWAKE | flag::PAUSED) == 0 {
                        io.set(flag::AWAKE);
                        self.slots.awake.push_back(key.index);
                    }
                }
                if writable {
                    io.set(flag::WRITABLE);
                    if slot.socket.owes() && io.flags & (flag::AWAKE | flag::PAUSED) == 0 {
                        io.set(flag::READABLE | flag::AWAKE);
                        self.slots.awake.push_back(key.index);
                    }
                    if io.outbox.is_some() || matches!(io.seat, Seat::Tape(..)) {
                        self.slots.owing.push_back(key.index);
                    }
                }
            }
            Happening::Done { key, done: Brought::Warm } => {
                if let Some(slot) = self.slots.slab.get_mut(key.index as usize).filter(|slot| slot.io.age == key.age) {
                    slot.io.unset(flag::WARMING);
                    if let Some(outbox) = &mut slot.io.outbox {
                        outbox.set_warm();
                    }
                    self.slots.owing.push_back(key.index);
                }
            }
            Happening::Done { key, done: Brought::Done(lane, done) } => {
                self.slots.yard.load.is_back(lane);
                self.bring(key, done);
            }
            Happening::Done { done: Brought::News(done), .. } => {
                let (shared, yard) = (&mut self.slots.shared, &mut self.slots.yard);
                let told = catch_unwind(AssertUnwindSafe(|| P::on_orphan(done, shared, yard)));
                self.slots.yard.counts.panics += u64::from(told.is_err());
            }
            Happening::Done { key, done: Brought::Sent(done) } => self.bring(key, done),
            Happening::Done { key, done: Brought::Broken(lane) } => {
                self.slots.yard.load.is_back(lane);
                self.slots.yard.counts.panics += 1;
                if self.slots.is_tenant(key) {
                    self.slots.call(key.index, |protocol, shared, port| protocol.on_panic(shared, port));
                    self.slots.settle(key.index);
                    self.slots.rouse(key.index);
                }
            }
            Happening::Verdicts(verdicts) => {
                self.slots.yard.counts.commits += 1;
                for verdict in verdicts {
                    self.judge(verdict);
                }
            }
            Happening::Signal(Signal::Drain) => match self.closing {
                None => self.close_house(),
                Some(_) => self.is_over = true,
            },
            Happening::Signal(signal) => {
                let census = if signal == Signal::Status { self.census() } else { Vec::new() };
                P::on_signal(signal, &census, &mut self.slots.shared, &mut self.slots.yard);
            }
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        let Some((key, promise)) = self.slots.yard.promises.pop_front() else {
            debug_assert!(false, "a verdict without an entry");
            return;
        };
        match verdict {
            Verdict::Kept(_) => self.slots.yard.counts.kept += 1,
            Verdict::Busy | Verdict::Lost => self.slots.yard.counts.lost += 1,
            Verdict::Refused => {}
        }
        if self.slots.is_tenant(key) {
            self.slots.call(key.index, |protocol, shared, port| protocol.on_verdict(promise, verdict, shared, port));
            self.slots.settle(key.index);
            self.slots.rouse(key.index);
        } else {
            self.slots.tell_all(|shared, yard| P::on_orphan_verdict(promise, verdict, shared, yard));
        }
    }

    /// Begins the end: no newcomers, and everyone is told, a slice at a time.
    pub fn close_house(&mut self) {
        self.slots.yard.is_closing = true;
        // Who has been let in by the kernel is answered once.
        self.door.take_the_last(&mut self.slots);
        self.slots.system.stop_listening();
        self.closing = Some((0, self.slots.yard.now.plus(self.slots.marks.drain_ms)));
    }

    /// Lets newcomers in.
    fn welcome(&mut self) {
        if !self.slots.yard.is_closing {
            self.door.welcome(&mut self.slots);
        }
    }

    /// Asks those who are called for, and whoever has set the alarm.
    fn heed_calls(&mut self) {
        for heeded in 1..=self.slots.yard.called.len() {
            let Some(key) = self.slots.yard.called.pop() else { break };
            if self.slots.is_tenant(key) {
                self.slots.call(key.index, |protocol, shared, port| protocol.on_call(shared, port));
                self.slots.settle(key.index);
                self.slots.rouse(key.index);
            }
            if heeded % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(self.slots.yard.now) {
                break;
            }
        }
        if self.slots.yard.alarm.is_some_and(|alarm| alarm <= self.slots.yard.now) {
            self.slots.yard.alarm = None;
            self.slots.tell_all(P::on_alarm);
        }
    }

    /// Brings what was said to those who listen, a slice at a time.
    fn fan(&mut self) {
        if !self.slots.yard.hub.is_busy() {
            return;
        }
        let begun = self.slots.system.now().0;
        let mut told = 0;
        while let Some(index) = self.slots.yard.hub.next_woken() {
            if let Some(slot) = self.slots.slab.get_mut(index as usize).filter(|slot| !slot.io.is(flag::DEAD)) {
                let seat = std::mem::take(&mut slot.io.seat);
                if matches!(seat, Seat::Tape(..)) {
                    // The waiter has gone and somebody else sits in its slot.
                    slot.io.seat = seat;
                    continue;
                }
                self.slots.yard.moved_seats.extend(self.slots.yard.hub.leave(index, seat));
                self.slots.call(index, |protocol, shared, port| protocol.on_note(shared, port));
                self.slots.settle(index);
                self.slots.rouse(index);
            }
            told += 1;
            if told % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(begun) {
                return;
            }
        }
        while let Some((index, seat, text)) = self.slots.yard.hub.next_listener() {
            let unheard = text.len();
            let slot = &mut self.slots.slab[index as usize];
            let mut heard = 0;
            if unheard > 0 && slot.io.is(flag::WRITABLE) && slot.io.outbox.is_none() && !slot.io.is(flag::DEAD) {
                match slot.socket.write(&[IoSlice::new(text)], false) {
                    Ok(bytes) => heard = bytes,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => slot.io.unset(flag::WRITABLE),
                    Err(_) => self.slots.kill(index),
                }
            }
            self.slots.yard.counts.bytes_out += heard as u64;
            self.slots.yard.hub.heard(seat, heard);
            if heard < unheard {
                self.slots.lag(index, unheard - heard);
            }
            told += 1;
            if told % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(begun) {
                return;
            }
        }
    }

    /// Asks those whose entry on the wheel has fallen.
    fn expire(&mut self) {
        self.slots.wheel.fall(self.slots.yard.now, &mut self.due);
        if self.due.is_empty() {
            return;
        }
        let begun = self.slots.system.now().0;
        let reached = Tick::reached(self.slots.yard.now);
        let mut asked = 0;
        while let Some(index) = self.due.pop_front() {
            self.slots.ask(index, reached);
            asked += 1;
            if asked % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(begun) {
                return;
            }
        }
    }

    /// Those who owe something and whose socket can take it again.
    fn flush(&mut self) {
        let begun = self.slots.yard.now;
        for flushed in 1..=self.slots.owing.len() {
            let Some(index) = self.slots.owing.pop_front() else { break };
            self.slots.pay(index);
            if flushed % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(begun) {
                break;
            }
        }
    }

    /// While the house is closing: tells everyone, a slice at a time, and ends when all have gone or patience has.
    fn stop(&mut self) {
        if let Some(within_ms) = self.slots.yard.close_within_ms.take()
            && self.closing.is_none()
        {
            self.slots.marks.drain_ms = within_ms;
            self.close_house();
        }
        let Some((mut next, patience)) = self.closing else { return };
        let begun = self.slots.system.now().0;
        let mut told = 0;
        while next < self.slots.slab.capacity() {
            if let Some(slot) = self.slots.slab.get(next).filter(|slot| !slot.io.is(flag::DEAD)) {
                if slot.io.flags & (flag::WATCHED | flag::AWAKE) == flag::AWAKE {
                    // It came in at the last moment and has not been read: its request comes before the word that we close.
                    break;
                }
                let index = next as u32;
                self.slots.call(index, |protocol, shared, port| protocol.on_stop(shared, port));
                self.slots.settle(index);
                self.slots.rouse(index);
                told += 1;
            }
            next += 1;
            if told % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 && self.slots.is_slice_over(begun) {
                break;
            }
        }
        let yard = &self.slots.yard;
        if next >= self.slots.slab.capacity() && yard.promises.is_empty() && yard.jobs_out(Lane::Hash) == 0 {
            self.slots.system.is_quiet();
        }
        self.closing = Some((next, patience));
    }

    /// The house is closed when everyone has been told and has gone, or when patience has ended.
    fn lock_up(&mut self) {
        let Some((next, patience)) = self.closing else { return };
        let has_all =
            next >= self.slots.slab.capacity() && self.slots.slab.is_empty() && self.slots.yard.promises.is_empty();
        self.is_over |= has_all || self.slots.yard.now >= patience;
    }

    /// Gives helpers, ledger and log what is theirs.
    fn hand_out(&mut self) {
        for (lane, key, job) in self.slots.yard.jobs.drain(..) {
            self.slots.system.spawn(lane, key, job);
        }
        if !self.slots.yard.entries.is_empty() {
            self.slots.system.keep(&mut self.slots.yard.entries);
        }
        if !self.slots.yard.log.is_empty() {
            self.slots.system.log(&mut self.slots.yard.log);
        }
    }

    /// Gives the places of the dead back, a slice at a time: ten thousand who leave together would hold up all others. Here, and
    /// nowhere else, does a slot die.
    fn reap(&mut self) {
        debug_assert!(self.slots.yard.desk.is_empty(), "nothing lies on the desk at the end of a turn");
        if self.slots.dead.is_empty() {
            return;
        }
        let begun = self.slots.system.now().0;
        let mut reaped = 0;
        while let Some(index) = self.slots.dead.pop() {
            // It may stand there twice, and by the second time somebody else may sit in its place.
            if !self.slots.slab.get(index as usize).is_some_and(|slot| slot.io.is(flag::DEAD)) {
                continue;
            }
            let slot = self.slots.slab.remove(index as usize);
            let Slot { io, socket, protocol } = slot;
            self.slots.yard.stream_held -= io.outbox.as_ref().map_or(0, |outbox| outbox.counted);
            if let Some((other, seat)) = self.slots.yard.hub.leave(index, io.seat) {
                self.slots.slab[other as usize].io.seat = seat;
            }
            self.door.let_out(&self.slots, protocol.peer_ip());
            let (key, unsent) = (Key { index, age: io.age }, io.outbox.as_ref().map_or(0, |outbox| outbox.unsent()));
            let (shared, yard) = (&mut self.slots.shared, &mut self.slots.yard);
            let told = catch_unwind(AssertUnwindSafe(|| protocol.on_close(key, unsent, shared, yard)));
            self.slots.yard.counts.panics += u64::from(told.is_err());
            self.slots.system.close(socket);
            self.slots.yard.counts.connections -= 1;
            reaped += 1;
            if reaped % BETWEEN_LOOKS == 0 && self.slots.is_slice_over(begun) {
                break;
            }
        }
        // What the closing connections handed out leaves now: no event would bring the loop here again.
        if !self.slots.yard.jobs.is_empty() || !self.slots.yard.log.is_empty() {
            self.hand_out();
        }
    }
}
