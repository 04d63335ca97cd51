//! The wires between clients and server, with the kernel's part in them: what has been sent and not yet read, who has ended
//! or broken off, and which edges an edge-triggered poll still has to tell. One `Net` is shared by the world, which the server
//! sees, and by the clients at the other end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::rc::Rc;

use hythe::content::FileSpan;
use hythe::reactor::system::{Key, Peer, Socket, Took};

use crate::dice::{Dice, Odds};

/// What of a wire's life the server's kernel has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// In the queue of the listener.
    Queued,
    Open,
    Closed,
}

/// How the server's half looks from the client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    No,
    /// In good order: all that was sent has been read.
    Fin,
    /// By a reset: what was on the way may be lost.
    Reset,
}

/// An edge that a poll has to tell, and from when on.
type Edge = Option<u64>;

/// One connection.
pub struct Wire {
    pub peer: Peer,
    server: Server,
    /// From the client, not yet read by the server.
    inbound: VecDeque<u8>,
    /// The client has ended its half.
    is_shut: bool,
    /// The client has broken off.
    is_reset: bool,
    /// From the server, not yet read by the client.
    outbound: VecDeque<u8>,
    room: usize,
    /// The server has ended its half.
    is_finished: bool,
    /// The server's close became a reset.
    was_cut: bool,
    /// The server has been refused a write and waits for room.
    wants_room: bool,
    key: Option<Key>,
    readable: Edge,
    writable: Edge,
    shut: Edge,
    /// An event has told that the client has ended its half: nothing more will be told of it.
    is_shut_told: bool,
    /// Bytes the server has read and written.
    pub read: u64,
    pub written: u64,
}

impl Wire {
    /// The kernel takes more from now on.
    pub fn widen(&mut self, room: usize, now: u64) {
        self.room = room;
        if self.wants_room && self.outbound.len() < room {
            self.wants_room = false;
            self.writable = self.writable.or(Some(now));
        }
    }
}

/// All wires, the clock, the odds and the trace.
pub struct Net {
    pub now: u64,
    pub wall: u64,
    pub dice: Dice,
    pub odds: Odds,
    pub wires: Vec<Wire>,
    /// Wires that wait to be accepted.
    queue: VecDeque<usize>,
    incoming: Edge,
    is_listening: bool,
    gone: Vec<Key>,
    /// Whether anything was done since the last sleep.
    pub has_worked: bool,
    /// A hash over all that the server did and when.
    pub trace: u64,
    /// Where the trace is to be printed while it is made.
    pub is_loud: bool,
    /// For how long the kernel holds back who says nothing.
    pub held_back_ms: u64,
}

/// The net as it is held by those who use it.
pub type Shared = Rc<RefCell<Net>>;

/// An event of a socket, as a poll tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub key: Key,
    pub readable: bool,
    pub writable: bool,
    pub shut: bool,
}

impl Net {
    pub fn new(seed: u64, odds: Odds) -> Shared {
        Rc::new(RefCell::new(Net {
            now: 10_000,
            wall: 1_800_000_000_000,
            dice: Dice::new(seed),
            odds,
            wires: Vec::new(),
            queue: VecDeque::new(),
            incoming: None,
            is_listening: true,
            gone: Vec::new(),
            has_worked: false,
            trace: 0,
            is_loud: false,
            held_back_ms: 0,
        }))
    }

    /// Writes down that something happened.
    pub fn note(&mut self, what: &str, number: u64, bytes: &[u8]) {
        let mut sum = self.trace ^ self.now.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.rotate_left(17);
        let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23);
        what.bytes().for_each(|byte| add(byte.into()));
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|&byte| add(byte.into()));
        add(bytes.len() as u64);
        self.trace = sum;
        if self.is_loud {
            let shown = &bytes[..bytes.len().min(100)];
            eprintln!("{:>8} {what} {number} [{}] {}", self.now, bytes.len(), shown.escape_ascii());
        }
    }

    /// Shows what is no part of the trace.
    pub fn show(&self, what: &str, number: u64) {
        if self.is_loud {
            eprintln!("{:>8} {what} {number}", self.now);
        }
    }

    fn soon(&mut self) -> Edge {
        let late = self.odds.event_late_ms;
        Some(self.now + if late == 0 { 0 } else { self.dice.below(late + 1) })
    }

    // The client's end.

    /// A client comes.
    pub fn connect(&mut self, peer: Peer) -> usize {
        let wire = Wire {
            peer,
            server: Server::Queued,
            inbound: VecDeque::new(),
            is_shut: false,
            is_reset: false,
            outbound: VecDeque::new(),
            room: self.odds.room,
            is_finished: false,
            was_cut: false,
            wants_room: false,
            key: None,
            readable: None,
            writable: None,
            shut: None,
            is_shut_told: false,
            read: 0,
            written: 0,
        };
        let at = self.wires.len();
        self.wires.push(wire);
        self.note("connect", at as u64, b"");
        if self.is_listening {
            self.queue.push_back(at);
            self.incoming = self.incoming.or(Some(self.now));
        } else {
            self.wires[at].server = Server::Closed;
            self.wires[at].was_cut = true;
        }
        at
    }

    /// The client sends; says how much there was room for.
    pub fn deliver(&mut self, at: usize, bytes: &[u8]) -> usize {
        let soon = self.soon();
        let room = self.odds.inbound_room;
        let wire = &mut self.wires[at];
        assert!(!wire.is_shut && !wire.is_reset, "a client that has ended sends nothing");
        if wire.server == Server::Closed {
            // What reaches a closed socket is answered with a reset, which takes along what was on the way.
            wire.was_cut = true;
            self.cut(at);
            return bytes.len();
        }
        let length = bytes.len().min(room.saturating_sub(wire.inbound.len()));
        wire.inbound.extend(&bytes[..length]);
        if length > 0 {
            wire.readable = wire.readable.or(soon);
        }
        length
    }

    /// The client ends its half.
    pub fn shut(&mut self, at: usize) {
        let soon = self.soon();
        let wire = &mut self.wires[at];
        if !wire.is_reset && !wire.is_shut {
            wire.is_shut = true;
            wire.readable = wire.readable.or(soon);
            // Data that has not been told of and the end are one event.
            wire.shut = wire.readable;
        }
    }

    /// The client breaks off.
    pub fn reset(&mut self, at: usize) {
        let soon = self.soon();
        let wire = &mut self.wires[at];
        wire.is_reset = true;
        wire.inbound.clear();
        wire.readable = wire.readable.or(soon);
        wire.writable = wire.writable.or(soon);
        wire.shut = wire.shut.or(soon);
    }

    /// The client reads up to `most` bytes.
    pub fn take(&mut self, at: usize, most: usize) -> (Vec<u8>, Ended) {
        let soon = self.soon();
        let wire = &mut self.wires[at];
        let length = wire.outbound.len().min(most);
        let mut taken = vec![0; length];
        wire.outbound.read_exact(&mut taken).expect("so much is there");
        if wire.wants_room && wire.outbound.len() < wire.room {
            wire.wants_room = false;
            wire.writable = wire.writable.or(soon);
        }
        let ended = match wire.server {
            _ if !wire.outbound.is_empty() => Ended::No,
            _ if wire.was_cut => Ended::Reset,
            Server::Closed => Ended::Fin,
            _ if wire.is_finished => Ended::Fin,
            _ => Ended::No,
        };
        (taken, ended)
    }

    /// How much waits for the client to read it.
    pub fn waiting(&self, at: usize) -> usize {
        self.wires[at].outbound.len()
    }

    /// Whether the server has closed its side.
    pub fn is_closed(&self, at: usize) -> bool {
        self.wires[at].server == Server::Closed
    }

    /// Part of what was on its way to the client is lost.
    fn cut(&mut self, at: usize) {
        let kept = self.dice.index(self.wires[at].outbound.len() + 1);
        self.wires[at].outbound.truncate(kept);
    }

    // The server's end.

    /// When the next event can be told, if there is one.
    pub fn next_event(&self) -> Option<u64> {
        let edges = self
            .wires
            .iter()
            .filter(|wire| wire.key.is_some())
            .flat_map(|wire| [wire.readable, wire.writable, wire.shut]);
        edges.chain([self.incoming]).flatten().min()
    }

    /// The events that can be told now.
    pub fn events(&mut self) -> (bool, Vec<Ready>) {
        let now = self.now;
        let due = |edge: &mut Edge| edge.take_if(|at| *at <= now).is_some();
        let mut ready = Vec::new();
        for wire in &mut self.wires {
            let Some(key) = wire.key else { continue };
            let event = Ready {
                key,
                readable: due(&mut wire.readable),
                writable: due(&mut wire.writable),
                shut: due(&mut wire.shut),
            };
            wire.is_shut_told |= event.shut;
            if event.readable || event.writable || event.shut {
                ready.push(event);
            }
        }
        if self.dice.chance(self.odds.spurious) {
            let at = self.dice.index(self.wires.len());
            if let Some(key) = self.wires.get(at).and_then(|wire| wire.key) {
                ready.push(Ready { key, readable: self.dice.chance(50), writable: self.dice.chance(50), shut: false });
            }
        }
        if !self.gone.is_empty() && self.dice.chance(self.odds.stale) {
            let key = self.gone[self.dice.index(self.gone.len())];
            ready.push(Ready { key, readable: true, writable: true, shut: self.dice.chance(50) });
        }
        if self.dice.chance(self.odds.reorder) {
            self.dice.shuffle(&mut ready);
        }
        (due(&mut self.incoming), ready)
    }

    /// Whether there is a next: one that has broken off meanwhile waits too, as for `poll(2)`.
    pub fn someone_waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next of the queue, as `accept(2)` hands it out.
    pub fn accept(this: &Shared) -> io::Result<(Link, Peer)> {
        let mut net = this.borrow_mut();
        assert!(net.is_listening, "who has stopped listening accepts nobody");
        let odds = net.odds.accept_fails;
        let are_out = net
            .odds
            .descriptors
            .is_some_and(|most| net.wires.iter().filter(|wire| wire.server == Server::Open).count() >= most);
        if net.dice.chance(odds) || are_out {
            net.note("accept fails", 0, b"");
            return Err(io::Error::from_raw_os_error(24));
        }
        while let Some(at) = net.queue.pop_front() {
            if net.wires[at].is_reset {
                net.wires[at].server = Server::Closed;
                continue;
            }
            net.wires[at].server = Server::Open;
            net.has_worked = true;
            net.note("accept", at as u64, b"");
            let peer = net.wires[at].peer;
            return Ok((Link { net: this.clone(), at }, peer));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Nobody is let in from now on; those in the queue are turned away.
    pub fn stop_listening(&mut self) {
        self.is_listening = false;
        self.incoming = None;
        for at in std::mem::take(&mut self.queue) {
            self.wires[at].server = Server::Closed;
            self.wires[at].was_cut = true;
        }
    }

    fn watch(&mut self, at: usize, key: Key) -> io::Result<()> {
        let odds = self.odds.watch_fails;
        if self.dice.chance(odds) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let now = self.now;
        let wire = &mut self.wires[at];
        assert!(wire.key.is_none(), "a socket is watched once");
        wire.key = Some(key);
        wire.writable = Some(now);
        if !wire.inbound.is_empty() || wire.is_shut || wire.is_reset {
            wire.readable = Some(now);
        }
        if wire.is_shut || wire.is_reset {
            wire.shut = Some(now);
        }
        Ok(())
    }

    fn close(&mut self, at: usize) {
        self.note("close", at as u64, b"");
        self.has_worked = true;
        let wire = &mut self.wires[at];
        wire.server = Server::Closed;
        self.gone.extend(wire.key.take());
        // Unread input at a close makes it a reset (RFC 9112, section 9.6).
        if !wire.inbound.is_empty() && !wire.is_reset {
            wire.was_cut = true;
            wire.inbound.clear();
            self.cut(at);
        }
    }

    fn read(&mut self, at: usize, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        if let Some(error) = self.hiccup() {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.wires[at].readable = self.soon();
            }
            return Err(error);
        }
        let soon = self.soon();
        let cuts = self.dice.chance(self.odds.cut_read);
        // The end is told when all is there.
        let cuts = cuts && !self.wires[at].is_shut_told;
        let cut = self.cut_of(cuts, self.wires[at].inbound.len().min(into.len()));
        let wire = &mut self.wires[at];
        assert_eq!(wire.server, Server::Open, "only an open socket is read");
        if wire.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if wire.inbound.is_empty() {
            if wire.is_shut {
                self.has_worked = true;
                self.note("end", at as u64, b"");
                return Ok(Took { bytes: 0, is_dry: true });
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.inbound.read_exact(&mut into[..cut]).expect("so much is there");
        wire.read += cut as u64;
        // What was cut off comes as if it had only now arrived. But once the end was told, no event tells of it again: who
        // takes a short read for the last one never reads the end.
        let is_dry = cut < into.len() && !is_shut;
        if is_dry && !wire.is_shut_told && (!wire.inbound.is_empty() || wire.is_shut) {
            wire.readable = wire.readable.or(soon);
            if wire.is_shut {
                wire.shut = wire.shut.or(soon);
            }
        }
        self.has_worked = true;
        let bytes = into[..cut].to_vec();
        self.note("read", at as u64, &bytes);
        Ok(Took { bytes: cut, is_dry })
    }

    fn write(&mut self, at: usize, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let length: usize = from.iter().map(|slice| slice.len()).sum();
        assert!(length > 0, "nothing is never written");
        if let Some(error) = self.hiccup() {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.wires[at].writable = self.soon();
            }
            return Err(error);
        }
        let soon = self.soon();
        let cuts = self.dice.chance(self.odds.cut_write);
        let wire = &self.wires[at];
        let free = wire.room.saturating_sub(wire.outbound.len()).min(length);
        let cut = self.cut_of(cuts, free);
        let wire = &mut self.wires[at];
        assert_eq!(wire.server, Server::Open, "only an open socket is written to");
        assert!(!wire.is_finished, "nothing is written after the end was said");
        if wire.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if free == 0 {
            wire.wants_room = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut bytes = Vec::with_capacity(cut);
        for slice in from {
            bytes.extend_from_slice(&slice[..slice.len().min(cut - bytes.len())]);
        }
        wire.outbound.extend(&bytes);
        wire.written += cut as u64;
        if cut == free && cut < length {
            wire.wants_room = true;
        } else if cut < length {
            wire.writable = wire.writable.or(soon);
        }
        self.has_worked = true;
        self.note("write", at as u64, &bytes);
        Ok(cut)
    }

    fn hiccup(&mut self) -> Option<io::Error> {
        if self.dice.chance(self.odds.interrupted) {
            return Some(io::ErrorKind::Interrupted.into());
        }
        self.dice.chance(self.odds.would_block).then(|| io::ErrorKind::WouldBlock.into())
    }

    /// How much of `whole` one call moves.
    fn cut_of(&mut self, cuts: bool, whole: usize) -> usize {
        if !cuts || whole < 2 {
            whole
        } else if self.dice.chance(self.odds.one_byte) {
            1
        } else {
            1 + self.dice.index(whole)
        }
    }
}

/// The server's end of a wire.
pub struct Link {
    net: Shared,
    at: usize,
}

impl Link {
    pub fn watch(&mut self, key: Key) -> io::Result<()> {
        self.net.borrow_mut().watch(self.at, key)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Not while a failed check unwinds through it.
        if let Ok(mut net) = self.net.try_borrow_mut() {
            net.close(self.at);
        }
    }
}

impl Socket for Link {
    fn read(&mut self, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        self.net.borrow_mut().read(self.at, into, is_shut)
    }

    fn write(&mut self, from: &[IoSlice<'_>], _more: bool) -> io::Result<usize> {
        self.net.borrow_mut().write(self.at, from)
    }

    fn send_file(&mut self, span: &FileSpan) -> io::Result<usize> {
        assert!(span.length > 0, "nothing is never sent");
        let mut buffer = vec![0; usize::try_from(span.length).unwrap_or(usize::MAX).min(128 << 10)];
        match span.file.read_at(&mut buffer, span.offset)? {
            0 => Ok(0),
            read => self.net.borrow_mut().write(self.at, &[IoSlice::new(&buffer[..read])]),
        }
    }

    fn waited_ms(&self) -> u64 {
        self.net.borrow().held_back_ms
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        net.has_worked = true;
        net.note("finish", self.at as u64, b"");
        net.wires[self.at].is_finished = true;
        Ok(())
    }

    fn abandon(&mut self) {
        let mut net = self.net.borrow_mut();
        let wire = &mut net.wires[self.at];
        wire.was_cut = true;
        wire.outbound.clear();
    }
}
