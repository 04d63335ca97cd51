//! A connection's place in the loop: what a protocol is, and what it may reach while it has its say.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::clock::{Moment, Wall};
use crate::config::{FILE_JOBS_MAX, HASH_JOBS_MAX};
use crate::content::FileSpan;
use crate::reactor::hub::{Dialect, Hub, Seat, Topic};
use crate::reactor::outbox::Outbox;
use crate::reactor::system::{Job, Key, LANES, Lane, Peer, Signal, Verdict};
use crate::reactor::wheel::Tick;

/// What speaks on a connection. The loop calls it; it answers through its [`Port`]. Nothing here may block or take long.
pub trait Protocol: Sized {
    /// What all connections share, lent to one of them at a time.
    type Shared;
    /// What helpers bring home.
    type Done: Send + 'static;
    /// What the ledger keeps.
    type Entry: Send + 'static;
    /// What waits at home for the ledger's verdict.
    type Promise;

    /// Someone has come.
    fn open(peer: Peer, shared: &mut Self::Shared, port: &mut Port<'_, Self>) -> Self;

    /// Bytes have come. Says how many of them it could use; the rest is offered again, with more behind it or, after
    /// [`Port::leave_for_later`] and [`Port::pause`], when there is room.
    fn on_bytes(&mut self, input: &[u8], shared: &mut Self::Shared, port: &mut Port<'_, Self>) -> usize;

    /// Where the next bytes may be read to directly, so that a large body is not copied. `None`: into the loop's own buffer.
    fn landing(&mut self) -> Option<&mut [u8]> {
        None
    }

    /// Whether what comes next is more of a large body. Others, who may want no more than a word, are served before it.
    fn takes_bulk(&self) -> bool {
        false
    }

    /// So many bytes have been read to the landing.
    fn on_landed(&mut self, _bytes: usize, _shared: &mut Self::Shared, _port: &mut Port<'_, Self>) {}

    /// What was waiting to leave has left.
    fn on_drained(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// The client has ended its half. Answers still leave.
    fn on_end(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// The house is closing: finish what has begun.
    fn on_stop(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// A helper has come back.
    fn on_done(&mut self, done: Self::Done, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// The ledger has decided.
    fn on_verdict(
        &mut self,
        promise: Self::Promise,
        verdict: Verdict,
        shared: &mut Self::Shared,
        port: &mut Port<'_, Self>,
    );

    /// Something was said on the topic this one waits for; its seat is gone.
    fn on_note(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// This listener has more unheard than it is allowed: it must go.
    fn on_lagging(&mut self, _shared: &mut Self::Shared, port: &mut Port<'_, Self>) {
        port.abort();
    }

    /// The deadline has come.
    fn on_deadline(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// Somebody has called for this connection ([`Yard::called`]).
    fn on_call(&mut self, _shared: &mut Self::Shared, _port: &mut Port<'_, Self>) {}

    /// The time that was asked for ([`Yard::alarm`]) has come.
    fn on_alarm(_shared: &mut Self::Shared, _yard: &mut Yard<Self>) {}

    /// A call into this protocol panicked. What the call had put on the desk since [`Port::mark`] is gone.
    fn on_panic(&mut self, shared: &mut Self::Shared, port: &mut Port<'_, Self>);

    /// The connection that was `key` is over; what it holds is given back. So many bytes had still to leave, and do not.
    fn on_close(self, key: Key, unsent: u64, shared: &mut Self::Shared, yard: &mut Yard<Self>);

    /// A helper has come back to a connection that is gone; its work is not.
    fn on_orphan(done: Self::Done, shared: &mut Self::Shared, yard: &mut Yard<Self>);

    /// The ledger has decided for a connection that is gone.
    fn on_orphan_verdict(promise: Self::Promise, verdict: Verdict, shared: &mut Self::Shared, yard: &mut Yard<Self>);

    /// An operator's wish that concerns what all share. For [`Signal::Status`] the census says how many connections are at what
    /// ([`doing`](Protocol::doing)).
    fn on_signal(signal: Signal, census: &[(&'static str, usize)], shared: &mut Self::Shared, yard: &mut Yard<Self>);

    /// What it is at, in a word or two for a person.
    fn doing(&self) -> &'static str;

    /// The address at the other end.
    fn peer_ip(&self) -> IpAddr;

    /// Whether the connection is between requests and could be closed without losing anything.
    fn is_idle(&self) -> bool;

    /// Whether the last has been said, and the connection is only kept for a client that has been silent for a moment. It would be
    /// closed in `left_ms` anyway.
    fn only_lingers(&self, left_ms: u64) -> bool;
}

/// Limits of the loop itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Marks {
    /// The most connections at once; at that many, newcomers wait in the kernel.
    pub connections_max: usize,
    /// The most connections one address may have at once; zero for any number.
    pub per_address_max: usize,
    /// A protocol is offered no more input while this many bytes wait to leave.
    pub outbox_bytes_high: usize,
    /// A client that takes nothing for so long is given up.
    pub write_idle_ms: u64,
    /// A listener with more unheard than this, whose socket takes no more, is closed.
    pub listener_bytes_max: usize,
    /// So much may stand on all tapes together before whoever lags is closed.
    pub listeners_bytes_max: usize,
    /// How many jobs may wait or run in a lane.
    pub jobs_max: [usize; LANES],
    /// How long connections get to finish once the house is closing.
    pub drain_ms: u64,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks {
            connections_max: 10_000,
            per_address_max: 0,
            outbox_bytes_high: 256 << 10,
            write_idle_ms: 30_000,
            listener_bytes_max: 64 << 10,
            listeners_bytes_max: 64 << 20,
            jobs_max: [FILE_JOBS_MAX, FILE_JOBS_MAX, FILE_JOBS_MAX, HASH_JOBS_MAX],
            drain_ms: 10_000,
        }
    }
}

/// What is counted, for those who look after the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Connections now.
    pub connections: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections closed to make room for others.
    pub evicted: u64,
    /// Connections refused because their address had too many.
    pub refused: u64,
    /// Times the listener had to rest for want of descriptors or room.
    pub rests: u64,
    /// Connections given up because they took nothing, or lagged as listeners.
    pub given_up: u64,
    /// Bytes read from sockets.
    pub bytes_in: u64,
    /// Bytes written to sockets.
    pub bytes_out: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// The longest turn so far, sleep left out, in milliseconds.
    pub longest_turn_ms: u64,
    /// Calls into a protocol that panicked.
    pub panics: u64,
    /// Turns by how long they took, sleep left out: up to each of [`TURN_MS`], and longer than the last. Of turns in which nothing
    /// happened nobody speaks.
    pub turns_by_ms: [u64; TURN_MS.len() + 1],
    /// All of them together, in milliseconds.
    pub turns_ms: u64,
    /// Batches the ledger has given its verdicts on: as many commits, or fewer.
    pub commits: u64,
    /// Entries the ledger has kept.
    pub kept: u64,
    /// Batches' entries the ledger has lost.
    pub lost: u64,
}

/// What a protocol counts for itself, by numbers of its own, which are small.
#[derive(Clone, Debug, Default)]
pub struct Tally(Vec<u64>);

impl Tally {
    /// One more of this number.
    #[inline]
    pub fn add(&mut self, number: usize) {
        if number >= self.0.len() {
            self.0.resize(number + 1, 0);
        }
        self.0[number] += 1;
    }

    /// What was counted: each number of which there were any, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// How many there were of these numbers.
    pub fn sum(&self, numbers: std::ops::Range<usize>) -> u64 {
        self.iter().filter(|(number, _)| numbers.contains(number)).map(|(_, count)| count).sum()
    }
}

/// The bounds of the turns' histogram, in milliseconds.
pub const TURN_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 500];

/// What the loop lends to whoever has its say, beside the connection itself.
pub struct Yard<P: Protocol> {
    /// The time, as of this turn.
    pub now: Moment,
    /// The time people see, as of this turn.
    pub wall: Wall,
    /// Topics and who listens.
    pub hub: Hub,
    /// What is counted.
    pub counts: Counts,
    /// What the protocol counts.
    pub tally: Tally,
    /// Lines for the access log, given to the world at the end of the turn.
    pub log: Vec<u8>,
    /// Whether the house is closing.
    pub is_closing: bool,
    /// Whose call this is.
    pub speaker: Key,
    /// Measures that are to hold from the end of this turn on.
    pub marks: Option<Marks>,
    /// When [`Protocol::on_alarm`] is to be asked.
    pub alarm: Option<Moment>,
    /// Connections whose [`Protocol::on_call`] is to be asked, if they are still there.
    pub called: Vec<Key>,
    /// That the house is to be closed, and within which time.
    pub close_within_ms: Option<u64>,
    /// How many connections were at what when that was last counted.
    pub census: Vec<(&'static str, usize)>,
    /// Whether it is to be counted at the end of this turn.
    pub wants_census: bool,
    /// Bytes that wait in the outboxes of streams.
    pub(super) stream_held: usize,
    /// Bytes that leave together when the protocol has had its say.
    pub(super) desk: Vec<u8>,
    /// So much of the desk stays if the call panics.
    pub(super) mark: usize,
    pub(super) jobs: Vec<Errand<P::Done>>,
    /// What the lanes of helpers have to do.
    pub load: Load,
    pub(super) entries: Vec<P::Entry>,
    pub(super) promises: VecDeque<(Key, P::Promise)>,
    /// An outbox that is not in use, so that the next need not be allocated.
    pub(super) spare_outbox: Option<Box<Outbox>>,
    /// Seats that moved while someone left, for the loop to write into the slots.
    pub(super) moved_seats: Vec<(u32, Seat)>,
}

/// How much the lanes of helpers have to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Jobs given out and not yet back, by lane.
    out: [usize; LANES],
    max: [usize; LANES],
}

impl Load {
    /// Whether a lane takes another job. Work that has not begun is refused when it does not; work that goes on is always taken,
    /// since each connection has at most one job out.
    pub fn has_room(&self, lane: Lane) -> bool {
        self.out[lane as usize] < self.max[lane as usize]
    }

    /// Jobs waiting or running in a lane.
    pub fn jobs_out(&self, lane: Lane) -> usize {
        self.out[lane as usize]
    }

    /// A job has come back.
    pub(super) fn is_back(&mut self, lane: Lane) {
        self.out[lane as usize] -= 1;
    }
}

/// A job, for which lane and on whose behalf.
pub(super) type Errand<D> = (Lane, Key, Job<Brought<D>>);

/// What a job brings home: something for the protocol, or only that a file has been read ahead.
pub enum Brought<D> {
    /// For the protocol.
    Done(Lane, D),
    /// For the protocol, from another thread of the program.
    Sent(D),
    /// The job panicked: there is nothing to bring, and whoever waits for it must not wait for ever.
    Broken(Lane),
    /// The file's next stretch is in memory.
    Warm,
    /// Something for the protocol that nobody had asked for.
    News(D),
}

impl<P: Protocol> Yard<P> {
    pub(super) fn new(marks: &Marks, hub: Hub, now: Moment, wall: Wall) -> Yard<P> {
        Yard {
            now,
            wall,
            hub,
            counts: Counts::default(),
            tally: Tally::default(),
            log: Vec::new(),
            is_closing: false,
            speaker: Key::NOBODY,
            marks: None,
            alarm: None,
            called: Vec::new(),
            close_within_ms: None,
            census: Vec::new(),
            wants_census: false,
            stream_held: 0,
            desk: Vec::new(),
            mark: 0,
            jobs: Vec::new(),
            load: Load { out: [0; LANES], max: marks.jobs_max },
            entries: Vec::new(),
            promises: VecDeque::new(),
            spare_outbox: None,
            moved_seats: Vec::new(),
        }
    }

    /// Whether a lane takes another job ([`Load::has_room`]).
    pub fn has_room(&self, lane: Lane) -> bool {
        self.load.has_room(lane)
    }

    /// Jobs waiting or running in a lane.
    pub fn jobs_out(&self, lane: Lane) -> usize {
        self.load.jobs_out(lane)
    }

    /// Gives a helper work on behalf of `key`.
    pub fn spawn(&mut self, key: Key, lane: Lane, job: impl FnOnce() -> P::Done + Send + 'static) {
        self.load.out[lane as usize] += 1;
        let guarded = move || match catch_unwind(AssertUnwindSafe(job)) {
            Ok(done) => Brought::Done(lane, done),
            Err(_) => Brought::Broken(lane),
        };
        self.jobs.push((lane, key, Box::new(guarded)));
    }

    /// Bytes that wait for listeners, on tapes and in their outboxes.
    pub fn stream_bytes(&self) -> usize {
        self.hub.tape_bytes() + self.stream_held
    }

    /// Gives the ledger an entry; the promise waits for its verdict.
    pub fn keep(&mut self, key: Key, entry: P::Entry, promise: P::Promise) {
        self.entries.push(entry);
        self.promises.push_back((key, promise));
    }

    /// Entries given to the ledger that have no verdict yet.
    pub fn promises(&self) -> usize {
        self.promises.len()
    }
}

/// Facts about a slot, a bit each.
pub(super) mod flag {
    /// Bytes may be there to read.
    pub const READABLE: u16 = 1;
    /// Bytes may be written.
    pub const WRITABLE: u16 = 1 << 1;
    /// The client is known to have ended its half.
    pub const SHUT: u16 = 1 << 2;
    /// The protocol wants no input.
    pub const PAUSED: u16 = 1 << 3;
    /// The protocol has been told of the end.
    pub const ENDED: u16 = 1 << 4;
    /// Close when all has left.
    pub const CLOSING: u16 = 1 << 5;
    /// Shut our half when all has left.
    pub const FINISHING: u16 = 1 << 6;
    /// Our half is shut.
    pub const FINISHED: u16 = 1 << 7;
    /// To be reaped at the end of the turn.
    pub const DEAD: u16 = 1 << 8;
    /// The world sends events for it.
    pub const WATCHED: u16 = 1 << 9;
    /// It stands in the queue of those awake.
    pub const AWAKE: u16 = 1 << 10;
    /// There is input in the inbox that can be offered without reading.
    pub const LEFT: u16 = 1 << 11;
    /// A helper is reading its file ahead.
    pub const WARMING: u16 = 1 << 12;
    /// Something waited to leave, and the protocol has not been told that it is gone.
    pub const OWES: u16 = 1 << 13;
    /// What waits in its outbox waits for a listener.
    pub const STREAM: u16 = 1 << 14;
}

/// The part of a slot that is not its protocol.
pub(super) struct Io {
    pub age: u32,
    pub flags: u16,
    pub deadline: Tick,
    pub seat: Seat,
    /// Input that could not be used yet.
    #[allow(clippy::box_collection, reason = "a slot has room for one pointer, and it is nearly always none")]
    pub inbox: Option<Box<Vec<u8>>>,
    /// What has still to leave.
    pub outbox: Option<Box<Outbox>>,
}

impl Io {
    #[inline]
    pub fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    #[inline]
    pub fn unset(&mut self, flag: u16) {
        self.flags &= !flag;
    }
}

/// What a protocol may reach while it has its say: the yard, and its own connection.
pub struct Port<'a, P: Protocol> {
    /// What is shared.
    pub yard: &'a mut Yard<P>,
    /// Who is speaking.
    pub key: Key,
    pub(super) io: &'a mut Io,
}

impl<P: Protocol> Port<'_, P> {
    /// The time, as of this turn.
    pub fn now(&self) -> Moment {
        self.yard.now
    }

    /// Where small things are written: all of it leaves in one `send` when the protocol has had its say.
    #[inline]
    pub fn desk(&mut self) -> &mut Vec<u8> {
        &mut self.yard.desk
    }

    /// What is on the desk so far is complete, and leaves even if the rest of this call panics.
    #[inline]
    pub fn mark(&mut self) {
        self.yard.mark = self.yard.desk.len();
    }

    /// Sends bytes behind what is on the desk, without copying them.
    pub fn send_bytes(&mut self, bytes: Bytes) {
        self.outbox().push_bytes(bytes);
    }

    /// Sends a stretch of a file behind what is on the desk.
    pub fn send_file(&mut self, span: FileSpan) {
        self.outbox().push_file(span);
    }

    fn outbox(&mut self) -> &mut Outbox {
        let yard = &mut *self.yard;
        let outbox = self.io.outbox.get_or_insert_with(|| yard.spare_outbox.take().unwrap_or_default());
        if !yard.desk.is_empty() {
            outbox.push_bytes(Bytes::copy_from_slice(&yard.desk));
            yard.desk.clear();
            yard.mark = 0;
        }
        self.io.flags |= flag::OWES;
        outbox
    }

    /// How many bytes wait to leave, those on the desk included; a file counts as more than any limit.
    #[inline]
    pub fn waiting(&self) -> usize {
        let held = match &self.io.outbox {
            None => 0,
            Some(outbox) if outbox.has_file() => return usize::MAX,
            Some(outbox) => outbox.held(),
        };
        held + self.yard.desk.len()
    }

    /// Whether more waits to leave than what is on the desk.
    #[inline]
    pub fn has_outbox(&self) -> bool {
        self.io.outbox.is_some()
    }

    /// Wants no input until [`resume`](Port::resume).
    pub fn pause(&mut self) {
        self.io.set(flag::PAUSED);
    }

    /// Wants input again; what was left is offered first.
    pub fn resume(&mut self) {
        self.io.unset(flag::PAUSED);
        self.io.set(flag::LEFT);
    }

    /// Wants [`Protocol::on_drained`] when all that is sent in this call has left, also if nothing of it has to wait.
    pub fn tell_drained(&mut self) {
        self.io.set(flag::OWES);
    }

    /// Says that the input left over could be used, had the answers so far left.
    pub fn leave_for_later(&mut self) {
        self.io.set(flag::LEFT);
    }

    /// Wants [`Protocol::on_deadline`] at `at`, instead of any deadline set before.
    #[inline]
    pub fn deadline(&mut self, at: Moment) {
        self.io.deadline = Tick::at(at);
    }

    /// Wants no deadline.
    pub fn no_deadline(&mut self) {
        self.io.deadline = Tick::NONE;
    }

    /// Input that has come and could not be used yet.
    pub fn unused(&self) -> &[u8] {
        self.io.inbox.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether the client has ended its half.
    pub fn has_ended(&self) -> bool {
        self.io.is(flag::ENDED)
    }

    /// Gives a helper work; [`Protocol::on_done`] brings what it returns.
    pub fn spawn(&mut self, lane: Lane, job: impl FnOnce() -> P::Done + Send + 'static) {
        self.yard.spawn(self.key, lane, job);
    }

    /// Gives the ledger an entry; [`Protocol::on_verdict`] brings the promise back with its verdict.
    pub fn keep(&mut self, entry: P::Entry, promise: P::Promise) {
        self.yard.keep(self.key, entry, promise);
    }

    /// From now on this is a listener's connection: what waits for it is counted with what waits for all of them.
    pub fn become_listener(&mut self) {
        self.io.set(flag::STREAM);
    }

    /// Listens to a topic from its next note on, instead of whatever was listened to before.
    pub fn listen(&mut self, topic: Topic, dialect: Dialect) {
        self.leave();
        self.io.seat = self.yard.hub.listen(self.key.index, topic, dialect);
    }

    /// Waits for the next note on a topic.
    pub fn wait_for(&mut self, topic: Topic) {
        self.leave();
        self.io.seat = self.yard.hub.wait(self.key.index, topic);
    }

    /// Listens to nothing any more.
    pub fn leave(&mut self) {
        let seat = std::mem::take(&mut self.io.seat);
        self.yard.moved_seats.extend(self.yard.hub.leave(self.key.index, seat));
    }

    /// If a note is half sent, puts its rest on the desk, so that private bytes may follow.
    pub fn finish_note(&mut self) {
        let rest = self.yard.hub.finish_note(self.io.seat);
        self.yard.desk.extend_from_slice(&rest);
    }

    /// Closes when all has left. Nothing the client may still send is waited for.
    pub fn close(&mut self) {
        self.io.set(flag::CLOSING | flag::PAUSED);
    }

    /// Shuts our half when all has left; input goes on, so that the answer is not lost to a reset.
    pub fn finish(&mut self) {
        self.io.set(flag::FINISHING);
    }

    /// Closes now, without sending what waits.
    pub fn abort(&mut self) {
        self.io.set(flag::DEAD);
    }
}
