//! The vestibule: connections of proxies whose word on the client (the PROXY protocol) has not come whole. They are nobody's
//! guests yet: the loop hears of each when it is known for whom it is.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, recv};
use slab::Slab;

use crate::clock::Moment;
use crate::config::listen::Network;
use crate::os::proxied::{self, HEADER_MAX, Header};
use crate::reactor::system::Peer;

/// How many may wait. A proxy sends its word with the first packet, so hardly one ever does.
pub(super) const WAITING_MAX: usize = 256;

/// Whose word is taken, and how long it may take.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// Who must begin each connection with a PROXY header. From all others it is a mistake.
    pub networks: Vec<Network>,
    /// How long the header may take, in milliseconds.
    pub header_timeout_ms: u64,
}

/// A connection for which a proxy is to speak.
struct Waiting {
    socket: OwnedFd,
    peer: Peer,
    until: Moment,
}

/// What was made of a connection.
pub(super) enum Entry {
    /// It is this client's, and what was said ahead of it has been taken.
    Known(OwnedFd, Peer),
    /// It waits, or is closed.
    Later,
}

pub(super) struct Vestibule {
    proxies: Proxies,
    waiting: Slab<Waiting>,
    /// The first of our tokens; they count down.
    first: usize,
    registry: Registry,
    /// The earliest time at which somebody has waited long enough, or earlier.
    next: Option<Moment>,
}

impl Vestibule {
    pub fn new(proxies: Proxies, first: usize, registry: Registry) -> Vestibule {
        Vestibule { proxies, waiting: Slab::new(), first, registry, next: None }
    }

    /// The tokens that are ours.
    pub fn knows(&self, token: Token) -> bool {
        token.0 <= self.first && token.0 > self.first - WAITING_MAX
    }

    /// Takes somebody who has just come.
    pub fn enter(&mut self, socket: OwnedFd, peer: Peer, now: Moment) -> Entry {
        if !self.proxies.networks.iter().any(|network| network.contains(peer.ip)) {
            return Entry::Known(socket, peer);
        }
        match look(&socket) {
            Ok(Some(client)) => return Entry::Known(socket, known(peer, client)),
            Ok(None) if self.waiting.len() < WAITING_MAX => {}
            Ok(None) => return refuse(&peer, "too many wait for their header"),
            Err(why) => return refuse(&peer, &why.to_string()),
        }
        let until = now.plus(self.proxies.header_timeout_ms);
        let place = self.waiting.vacant_entry();
        let token = Token(self.first - place.key());
        let interest = Interest::READABLE;
        if let Err(error) = self.registry.register(&mut SourceFd(&socket.as_raw_fd()), token, interest) {
            return refuse(&peer, &error.to_string());
        }
        place.insert(Waiting { socket, peer, until });
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
        Entry::Later
    }

    /// More has come for one who waits, or its end.
    pub fn ring(&mut self, token: Token, is_shut: bool) -> Entry {
        let place = self.first - token.0;
        let Some(waiting) = self.waiting.get(place) else { return Entry::Later };
        match look(&waiting.socket) {
            Ok(None) if !is_shut => Entry::Later,
            Ok(None) => refuse(&self.leave(place).1, "it ended inside the header"),
            Err(why) => refuse(&self.leave(place).1, &why.to_string()),
            Ok(Some(client)) => {
                let (socket, peer) = self.leave(place);
                Entry::Known(socket, known(peer, client))
            }
        }
    }

    fn leave(&mut self, place: usize) -> (OwnedFd, Peer) {
        let Waiting { socket, peer, .. } = self.waiting.remove(place);
        // It will be registered as the loop's; a socket that cannot be taken off is closed by whoever has it then.
        let _ = self.registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        (socket, peer)
    }

    /// When somebody will have waited long enough.
    pub fn due(&self) -> Option<Moment> {
        self.next
    }

    /// Closes those who have waited long enough.
    pub fn expire(&mut self, now: Moment) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        self.waiting.retain(|_, waiting| {
            if waiting.until <= now {
                refuse(&waiting.peer, "its header did not come in time");
            }
            waiting.until > now
        });
        self.next = self.waiting.iter().map(|(_, waiting)| waiting.until).min();
    }

    /// Nobody waits any more.
    pub fn close(&mut self) {
        self.waiting.clear();
        self.next = None;
    }
}

fn refuse(peer: &Peer, why: &str) -> Entry {
    log::info!("a connection of the proxy {} is closed: {why}", peer.ip);
    Entry::Later
}

fn known(peer: Peer, client: Option<SocketAddr>) -> Peer {
    client.map_or(peer, |client| Peer { ip: client.ip(), port: client.port(), ..peer })
}

/// Looks at what has come; takes the header when it is whole, and nothing else. `None`: not yet.
fn look(socket: &OwnedFd) -> io::Result<Option<Option<SocketAddr>>> {
    let mut seen = [0; HEADER_MAX];
    let (shown, _) = match recv(socket, &mut seen, RecvFlags::PEEK) {
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
        other => other?,
    };
    match proxied::read(&seen[..shown]) {
        Header::Partial if shown > 0 => Ok(None),
        Header::Partial => Err(io::Error::other("it ended before its header")),
        Header::Wrong => Err(io::Error::other("it does not begin with a PROXY header")),
        Header::Whole { length, client } => {
            // The bytes are there: they have just been seen.
            recv(socket, &mut seen[..length], RecvFlags::empty())?;
            Ok(Some(client))
        }
    }
}
