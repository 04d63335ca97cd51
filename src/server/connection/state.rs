//! What a connection is made of: its phases, and what each of them owns.

use std::net::IpAddr;

use bytes::Bytes;

use crate::clock::Moment;
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::http::websocket::{Decoder, Limits};
use crate::reactor::slot::{Port, Yard};
use crate::reactor::system::{Entrance, Key, Lane, Peer};
use crate::server::access::Line;
use crate::server::context::Context;
use crate::server::house::{Change, House};
use crate::server::later::Ticket;
use crate::server::pull::{Drawn, Pull};
use crate::server::pump::{Pump, Sunk};
pub(super) use crate::server::reply::overloaded;
use crate::server::reply::{Again, Decided, Reply, State, Step, Then};
use crate::server::talk::{Judged, Next, Talk, Thought};

/// Bodies up to this size are copied behind their head and leave in one `send`; larger ones are sent from where they are.
pub(super) const COPIED_MAX: usize = 16 << 10;

/// Answers of one client are gathered until this much waits; then it is not read until they have left.
pub(super) const DESK_HIGH: usize = 64 << 10;

/// What a helper brings to a connection.
pub enum Done<S: State> {
    /// The next step.
    Step(Step<S>),
    /// A sink's outcome.
    Sunk(Sunk<S>),
    /// A source and what was drawn from it.
    Drawn(Drawn),
    /// The answer that a ticket waits for.
    Late(u64, Step<S>),
    /// The work that a ticket waits for has panicked.
    Spoilt(u64),
    /// What a helper has thought of for a conversation.
    Thought(Thought<S>),
    /// The house is set up anew.
    Change(Change<S>),
    /// Something was dropped where dropping may block.
    Dropped,
}

/// What waits for the ledger's verdict.
pub enum Promise<S: State> {
    /// A request.
    Reply(Decided<S>),
    /// A conversation.
    Talk(Judged<S>),
}

/// What is going on.
pub(super) enum Phase<S: State> {
    /// Between requests or inside a head. Owns nothing.
    Head,
    /// A helper or the ledger has the work; input waits.
    Away(Option<Box<Line>>),
    /// Another thread has the answer; input waits, but not for ever.
    Later(Box<Waiting>),
    /// An endless answer.
    Stream(Box<Streaming<S>>),
    /// An answer is leaving whose body is drawn window by window; input is paused.
    Sending(Box<Pull>),
    /// A conversation over a WebSocket; it never comes back to HTTP.
    Talk(Box<Talking<S>>),
    /// The answer has been given, and the little that is left of the request's body is thrown away, until this moment at most.
    Discarding(Moment),
    /// The last answer has been given and our half is shut: what still arrives is thrown away, until this moment at most.
    Lingering(Moment),
    /// A body is being received, or the request waits for something to be said.
    Busy(Box<Busy<S>>),
}

/// A request whose answer comes from elsewhere.
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) line: Option<Box<Line>>,
}

/// An event stream.
pub(super) struct Streaming<S: State> {
    pub(super) talk: Box<dyn Talk<S>>,
    /// What follows when all that was said has left. Rare, and so a pointer.
    pub(super) next: Option<Box<Next<S>>>,
}

/// A conversation.
pub(super) struct Talking<S: State> {
    /// What has been read of a message; nothing between two.
    pub(super) decoder: Option<Box<Decoder>>,
    pub(super) talk: Box<dyn Talk<S>>,
    /// When the client last gave a sign of life.
    pub(super) heard: Moment,
    /// What is taken of the client.
    pub(super) limits: Limits,
    /// How much of what the talk has asked for is not done.
    pub(super) owed: u16,
    /// Whether the client owes a sign of life.
    pub(super) is_pinged: bool,
    /// What follows when all that was said has left. Rare, and so a pointer.
    pub(super) next: Option<Box<Next<S>>>,
}

pub(super) struct Busy<S: State> {
    pub(super) work: Work<S>,
    pub(super) line: Option<Box<Line>>,
    /// When the body began, and how much of it has come.
    pub(super) began: Moment,
    pub(super) received: u64,
    /// Since when it is not read, because helpers are behind with it.
    pub(super) stopped: Option<Moment>,
}

pub(super) enum Work<S: State> {
    Collect { bytes: Vec<u8>, most: usize, then: Then<S> },
    Receive(Pump<S>),
    Wait { until: Moment, outlasts: bool, again: Again<S> },
}

/// One client's connection.
pub struct Connection<S: State> {
    pub(super) exchange: Exchange,
    pub(super) phase: Phase<S>,
    pub(super) peer: Peer,
    /// Whether part of a head has come and its time is running.
    pub(super) is_in_head: bool,
    /// Whether this client would rather have a page than a problem document.
    pub(super) wants_page: bool,
    /// Which origin of another site asked, counted from one.
    pub(super) cors: u8,
    /// What its answer says beside what it is, for where it was asked.
    pub(super) stamp: u8,
}

/// Where the line of the access log comes from.
pub(super) enum Asked<'a, 'r> {
    /// The request itself, and the client that sent it: a trusted proxy may tell of another than our peer.
    Request(&'a Request<'r>, IpAddr),
    Kept(Option<Box<Line>>),
}

/// A period made up to an eighth shorter by the slot, so that ten thousand who came together are not thought of together.
pub(super) fn spread(period_ms: u64, key: Key) -> u64 {
    period_ms - period_ms / 8 * u64::from(key.index % 64) / 64
}

pub(super) fn context<'a, S: State>(yard: &'a mut Yard<Connection<S>>, peer: Peer) -> Context<'a> {
    let promises = yard.promises();
    Context {
        now: yard.now,
        wall: yard.wall,
        peer,
        is_secure: peer.entrance == Entrance::Secure,
        key: yard.speaker,
        is_closing: yard.is_closing,
        is_over: false,
        counts: &yard.counts,
        answers: &yard.tally,
        load: &yard.load,
        stream_bytes: yard.stream_bytes(),
        hub: &mut yard.hub,
        alarm: &mut yard.alarm,
        called: &mut yard.called,
        close_within_ms: &mut yard.close_within_ms,
        census: &yard.census,
        wants_census: &mut yard.wants_census,
        promises,
    }
}

/// The same for a step whose asker has moved on to another request: it is about no connection.
pub(super) fn orphans_context<'a, S: State>(yard: &'a mut Yard<Connection<S>>, peer: Peer) -> Context<'a> {
    Context { key: Key::NOBODY, ..context(yard, peer) }
}

pub(super) fn send<S: State>(bytes: Bytes, port: &mut Port<'_, Connection<S>>) {
    if bytes.len() <= COPIED_MAX {
        port.desk().extend_from_slice(&bytes);
    } else {
        port.send_bytes(bytes);
    }
}

/// Drops a sink or a source on a helper, where it may block.
/// What a helper does last for something that is over.
pub(super) fn done_there<S: State>(rest: impl FnOnce()) -> Done<S> {
    rest();
    Done::Dropped
}

pub(super) fn drop_there<S: State, T: ?Sized>(what: Box<T>) -> Done<S> {
    drop(what);
    Done::Dropped
}

pub(super) fn too_large(most: u64) -> Fault {
    Fault::new(Status::CONTENT_TOO_LARGE, "too_large", format!("the body may have at most {most} bytes"))
}

pub(super) fn too_slow() -> Fault {
    Fault::fatal(Status::REQUEST_TIMEOUT, "timeout", "the request took too long to arrive")
}

/// A reply that nobody waits for any more is followed as far as it is work.
pub(super) fn follow_orphan<S: State>(
    reply: Reply<S>,
    _house: &mut House<S>,
    yard: &mut Yard<Connection<S>>,
    key: Key,
) {
    // The key's tenant is asked for nothing: it has gone, or has moved on to another request, and must not be mistaken for
    // the asker. An age that no tenant has sees to that.
    let nobody = Key { index: u32::MAX, age: key.age };
    match reply {
        Reply::Offload(lane, task) | Reply::Within(_, lane, task) => {
            yard.spawn(nobody, lane, move || Done::Step(task()))
        }
        Reply::Keep(entry, decided) => yard.keep(nobody, *entry, Promise::Reply(decided)),
        // Nothing will come for it, and dropping it may block.
        Reply::Receive { sink, .. } => yard.spawn(nobody, Lane::Writes, move || drop_there(sink)),
        Reply::Wait { outlasts: true, again, .. } => yard.spawn(nobody, Lane::Writes, move || drop_there(again)),
        _ => {}
    }
}
