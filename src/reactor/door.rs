//! The door: who is let in, who has to wait outside, and who makes room for others.
//!
//! `incoming` and `may_accept` are two facts. At the connection limit, and when the system has no descriptor left, the
//! listener rests and the loop sleeps; the kernel will not say again that somebody waits, so the door remembers it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use crate::clock::Moment;
use crate::reactor::slot::{Brought, Protocol, flag};
use crate::reactor::slots::{BETWEEN_LOOKS, Slots};
use crate::reactor::system::{Peer, System};
use crate::reactor::wheel::Tick;

/// How long the listener rests when there are no descriptors left, and when every connection is busy.
const REST_MS: u64 = 500;
const FULL_REST_MS: u64 = 100;

/// So many descriptors are kept for files when the system has no more of them, by letting in so many fewer, for so long. Then it
/// is tried again.
const DESCRIPTORS_KEPT: usize = 8;
const SHORTAGE_MS: u64 = 10_000;

/// The most idle connections closed at once to make room. It begins with one and doubles while newcomers keep coming.
const EVICTIONS_MAX: usize = 256;

/// The door.
pub(super) struct Door {
    /// Whether someone may be waiting to be accepted.
    pub incoming: bool,
    /// Until when the listener rests.
    pub rests_until: Moment,
    evictions: usize,
    /// How many connections there are descriptors for, as far as was found out,
    fits: usize,
    /// and until when that counts.
    short_until: Moment,
    /// Connections of each address, where they are limited.
    addresses: HashMap<IpAddr, u32>,
}

impl Door {
    pub(super) fn new(now: Moment) -> Door {
        let addresses = HashMap::new();
        Door { incoming: true, rests_until: now, evictions: 1, fits: usize::MAX, short_until: now, addresses }
    }

    /// Whether newcomers would be taken now.
    pub(super) fn may_accept(&self, now: Moment) -> bool {
        self.incoming && now >= self.rests_until
    }

    /// Takes newcomers. Each is served before the world is asked for events of its socket: its first request is there as a rule.
    pub(super) fn welcome<P, S>(&mut self, slots: &mut Slots<P, S>)
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        let begun = slots.yard.now;
        let mut accepted = 0;
        while self.may_accept(begun) {
            let fits = if begun < self.short_until { self.fits } else { usize::MAX };
            if slots.slab.len() >= slots.marks.connections_max.min(fits) {
                // Whoever has left already makes room at the end of this turn.
                if slots.dead.is_empty() {
                    if slots.system.someone_waits() {
                        self.make_room(slots);
                    } else {
                        self.incoming = false;
                        self.evictions = 1;
                    }
                }
                return;
            }
            match slots.system.accept() {
                Ok((socket, peer)) => self.open(slots, socket, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.incoming = false;
                    self.evictions = 1;
                }
                Err(error) => {
                    log::warn!("the listener rests: {error}");
                    slots.yard.counts.rests += 1;
                    // With every descriptor taken by a connection, no file could be opened for any of them.
                    let open = slots.slab.len();
                    self.fits = open.saturating_sub(DESCRIPTORS_KEPT).max(open / 2).max(1);
                    self.short_until = begun.plus(SHORTAGE_MS);
                    self.evict(slots);
                    self.rests_until = begun.plus(REST_MS);
                }
            }
            accepted += 1;
            if accepted % BETWEEN_LOOKS == 0 && slots.is_slice_over(begun) {
                return;
            }
        }
    }

    /// Takes whoever the kernel has let in already: closing the listener would reset them.
    pub(super) fn take_the_last<P, S>(&mut self, slots: &mut Slots<P, S>)
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        while slots.slab.len() < slots.marks.connections_max
            && let Ok((socket, peer)) = slots.system.accept()
        {
            self.open(slots, socket, peer);
        }
    }

    fn open<P, S>(&mut self, slots: &mut Slots<P, S>, socket: S::Socket, peer: Peer)
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        if slots.marks.per_address_max > 0 {
            let held = self.addresses.entry(network(peer.ip)).or_default();
            if *held as usize >= slots.marks.per_address_max {
                slots.yard.counts.refused += 1;
                return slots.system.close(socket);
            }
            *held += 1;
        }
        slots.open(socket, peer);
    }

    /// Someone has left: there is room, and its address has one connection less.
    pub(super) fn let_out<P, S>(&mut self, slots: &Slots<P, S>, ip: IpAddr)
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        self.rests_until = self.rests_until.min(slots.yard.now);
        if slots.marks.per_address_max == 0 {
            return;
        }
        let network = network(ip);
        if let Some(held) = self.addresses.get_mut(&network) {
            *held -= 1;
            if *held == 0 {
                self.addresses.remove(&network);
            }
        }
    }

    /// Every place is taken and someone waits: connections go that nobody would miss. If there is none, the listener rests and
    /// newcomers wait in the kernel.
    fn make_room<P, S>(&mut self, slots: &mut Slots<P, S>)
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        if self.evict(slots) == 0 {
            slots.yard.counts.rests += 1;
            self.rests_until = slots.yard.now.plus(FULL_REST_MS);
            // If it is for want of descriptors that someone waits, there may be some by then: nobody here will give one back.
            self.short_until = slots.yard.now;
        }
    }

    /// Closes some connections that are idle, or linger behind their last answer; says how many. Who would go first anyway goes
    /// first: those who linger have little time left as a rule, and of those who are idle the longest idle has the least.
    fn evict<P, S>(&mut self, slots: &mut Slots<P, S>) -> usize
    where
        P: Protocol,
        S: System<Brought<P::Done>, P::Entry>,
    {
        let mut unmissed: Vec<(Tick, u32)> = Vec::new();
        for (index, slot) in &slots.slab {
            if slot.io.flags & (flag::DEAD | flag::AWAKE) == 0
                && slot.io.inbox.is_none()
                && slot.io.outbox.is_none()
                && (slot.protocol.is_idle()
                    || slot.protocol.only_lingers(slot.io.deadline.moment().since(slots.yard.now)))
            {
                unmissed.push((slot.io.deadline, index as u32));
            }
        }
        let count = unmissed.len().min(self.evictions);
        if count > 0 && count < unmissed.len() {
            unmissed.select_nth_unstable(count - 1);
        }
        for &(_, index) in &unmissed[..count] {
            slots.kill(index);
        }
        slots.yard.counts.evicted += count as u64;
        self.evictions = (self.evictions * 2).min(EVICTIONS_MAX);
        count
    }
}

/// What counts as one address: an IPv4 address, or the /64 a host has of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}
