//! All the loop asks of the world: sockets, a clock, a way to sleep, helpers, a ledger and a log.
//!
//! `os` implements it over mio and threads; a simulation implements it in memory. The reactor is the same in both.

use std::io::{self, IoSlice};
use std::net::IpAddr;

use crate::clock::{Moment, Wall};
use crate::content::FileSpan;

/// A slot of the loop and the tenant it had when the key was made. A late event for a tenant that has gone finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The slot's place in the slab.
    pub index: u32,
    /// Which tenant of the slot is meant; never the same for two connections that follow each other in a slot.
    pub age: u32,
}

impl Key {
    /// A key that no connection ever has.
    pub const NOBODY: Key = Key { index: u32::MAX, age: 0 };
}

/// By which kind of door somebody came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entrance {
    /// What passes can be read on the way.
    #[default]
    Plain,
    /// Nobody on the way can read or change what passes.
    Secure,
    /// A plain door whose only answer is where the secure one is.
    Detour,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address; of an IPv4 client always in its IPv4 form, also on a dual-stack socket.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// By which door it came.
    pub entrance: Entrance,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// How many bytes; zero is the end of what the client sends.
    pub bytes: usize,
    /// Whether there is no more until the next event, so that another read would be in vain.
    pub is_dry: bool,
}

/// One connection's bytes. All verbs are non-blocking and say `WouldBlock`.
pub trait Socket {
    /// Reads what is there. `is_shut` tells whether the client is known to have ended its half: then a short read does not
    /// prove the socket dry, since data and end are one event.
    fn read(&mut self, into: &mut [u8], is_shut: bool) -> io::Result<Took>;

    /// Writes some of `from`; with `more`, a file follows at once and a partial packet may wait for it.
    fn write(&mut self, from: &[IoSlice<'_>], more: bool) -> io::Result<usize>;

    /// Sends some of a file without bringing it into user space. Zero means that the file has become shorter than promised.
    fn send_file(&mut self, span: &FileSpan) -> io::Result<usize>;

    /// Whether it has something of its own to send, that nobody above knows of: then it is read when it can be written.
    fn owes(&self) -> bool {
        false
    }

    /// For how long its client had been silent before it was let in, in milliseconds; asked of one that has brought nothing. Who says
    /// nothing then gains no time by having been kept outside.
    fn waited_ms(&self) -> u64 {
        0
    }

    /// Says that nothing more will be written (`shutdown(2)`); reading goes on.
    fn finish(&mut self) -> io::Result<()>;

    /// Lets the coming close discard what has not been sent, so that a client which never reads holds no kernel memory.
    fn abandon(&mut self);
}

/// Which kind of helper a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lane {
    /// File work: any helper, in any order.
    Files,
    /// What waits until a disk has written, likewise. Whoever only wants to look does not stand behind it.
    Writes,
    /// Windows of large bodies on their way to a disk, likewise, and where there are many what else is written. Nobody waits for any
    /// one of them, and together they could keep a core busy that the loop needs.
    Bodies,
    /// Password hashing: one at a time.
    Hash,
}

/// How many lanes there are.
pub const LANES: usize = 4;

/// Work for a helper; what it returns comes home as [`Happening::Done`].
pub type Job<D> = Box<dyn FnOnce() -> D + Send>;

/// What the ledger says of an entry it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is kept, under this id.
    Kept(i64),
    /// A constraint refused it; nothing else of its batch was touched.
    Refused,
    /// The batch could not be begun, for somebody else was in the way: nothing of it is kept, and a later one may be.
    Busy,
    /// The batch could not be committed: nothing of it is kept.
    Lost,
}

/// What an operator asks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Finish what has begun, then end; asked twice, end now.
    Drain,
    /// Reopen the logs, and read the configuration again.
    Reload,
    /// Log a line on how things stand.
    Status,
    /// Have a successor started, and give way to it.
    Upgrade,
}

/// What can have happened while the loop slept.
pub enum Happening<D> {
    /// Someone may be waiting to be accepted.
    Incoming,
    /// A socket may be readable, writable, or shut by the client.
    Ready {
        /// Whose.
        key: Key,
        /// Bytes may be there to read.
        readable: bool,
        /// Bytes may be taken again.
        writable: bool,
        /// The client's half has ended.
        shut: bool,
    },
    /// A helper has brought something.
    Done {
        /// For whom.
        key: Key,
        /// What.
        done: D,
    },
    /// The ledger's verdicts, in the order of the entries.
    Verdicts(Vec<Verdict>),
    /// An operator's wish.
    Signal(Signal),
}

/// The world. `D` is what helpers bring back, `E` what the ledger keeps.
pub trait System<D, E> {
    /// A connection's bytes.
    type Socket: Socket;

    /// The two clocks.
    fn now(&mut self) -> (Moment, Wall);

    /// How long the loop's thread has been on a core, in microseconds; 0 where that is not known.
    fn busy_us(&mut self) -> u64 {
        0
    }

    /// When the world wants to be [waited](System::wait) on, for something of its own, though nothing happens.
    fn due(&self) -> Option<Moment> {
        None
    }

    /// Does what of its own is due, and sleeps until something happens or `until` has come; no `until` means for ever. May return early.
    fn wait(&mut self, until: Option<Moment>, happened: &mut Vec<Happening<D>>) -> io::Result<()>;

    /// Takes the next newcomer. `WouldBlock`: nobody waits. An error that belongs to one connection only is not told.
    fn accept(&mut self) -> io::Result<(Self::Socket, Peer)>;

    /// Whether [`accept`](System::accept) would find somebody. Asked when there is no place left.
    fn someone_waits(&mut self) -> bool;

    /// Asks for events of a socket from now on, in both directions, edge-triggered.
    fn watch(&mut self, socket: &mut Self::Socket, key: Key) -> io::Result<()>;

    /// Gives a socket back: no further events.
    fn close(&mut self, socket: Self::Socket);

    /// Stops listening for good.
    fn stop_listening(&mut self);

    /// The end has begun, everyone has been told, and neither the ledger nor whoever hashes passwords has anything in hand.
    fn is_quiet(&mut self) {}

    /// Gives a helper work.
    fn spawn(&mut self, lane: Lane, key: Key, job: Job<D>);

    /// Gives the ledger a batch of entries; leaves `entries` empty. One verdict an entry comes back, in order.
    fn keep(&mut self, entries: &mut Vec<E>);

    /// Takes lines of the access log; leaves `lines` empty. Never waits for the log.
    fn log(&mut self, lines: &mut Vec<u8>);
}
