//! The doors: listeners, what kind of guest each lets in, and who of them has something to say.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{SocketFlags, acceptfrom_with};

use crate::clock::Moment;
use crate::os::keys::Keys;
use crate::os::succession::Given;
use crate::os::sys;
use crate::os::vestibule::{Entry, Vestibule};
use crate::os::wire::Wire;
use crate::reactor::system::{Entrance, Peer};

/// What the kernel may hold unsent for one client.
const UNSENT_MAX: i32 = 128 << 10;

/// A listener, and how those it lets in are spoken with.
#[derive(Debug)]
pub struct Door {
    /// Bound already.
    pub socket: OwnedFd,
    /// What those who come in are told of.
    pub entrance: Entrance,
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Door {
        Door { socket: listener.into(), entrance: Entrance::Plain }
    }
}

impl From<UnixListener> for Door {
    fn from(listener: UnixListener) -> Door {
        Door { socket: listener.into(), entrance: Entrance::Plain }
    }
}

struct Listener {
    door: Door,
    /// Whether someone may be waiting there.
    is_ready: bool,
}

/// All doors of a house.
pub(super) struct Doors {
    listeners: Vec<Listener>,
    /// For the doors where encryption is spoken.
    pub keys: Option<Keys>,
    /// Where those wait of whom a proxy has still to speak.
    pub vestibule: Option<Vestibule>,
    /// Those of whom it has.
    known: VecDeque<(OwnedFd, Peer)>,
}

/// What one look at the doors came to.
pub(super) enum Came {
    /// Someone is in.
    In(Wire, Peer),
    /// The process or the machine has no room.
    Want(io::Error),
    /// Nobody waits.
    Nobody,
}

impl Doors {
    /// Opens them: each gets the token that `token` says.
    pub fn open(
        doors: Vec<Door>,
        keys: Option<Keys>,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<Doors> {
        let mut listeners = Vec::new();
        for (at, door) in doors.into_iter().enumerate() {
            rustix::io::ioctl_fionbio(&door.socket, true)?;
            registry.register(&mut SourceFd(&door.socket.as_raw_fd()), token(at), Interest::READABLE)?;
            listeners.push(Listener { door, is_ready: true });
        }
        Ok(Doors { listeners, keys, vestibule: None, known: VecDeque::new() })
    }

    /// Someone may be waiting at a door.
    pub fn ring(&mut self, at: usize) {
        if let Some(listener) = self.listeners.get_mut(at) {
            listener.is_ready = true;
        }
    }

    /// Whether a token is of one of whom a proxy has still to speak.
    pub fn is_waiting(&self, token: Token) -> bool {
        self.vestibule.as_ref().is_some_and(|vestibule| vestibule.knows(token))
    }

    /// More of what a proxy has to say has come. Says whether somebody may come in now.
    pub fn ring_waiting(&mut self, token: Token, is_shut: bool) -> bool {
        if let Some(Entry::Known(socket, peer)) = self.vestibule.as_mut().map(|hall| hall.ring(token, is_shut)) {
            self.known.push_back((socket, peer));
        }
        !self.known.is_empty()
    }

    /// Closes those of whom no proxy has spoken in time.
    pub fn expire(&mut self, now: Moment) {
        if let Some(vestibule) = &mut self.vestibule {
            vestibule.expire(now);
        }
    }

    /// When the next will be closed.
    pub fn due(&self) -> Option<Moment> {
        self.vestibule.as_ref()?.due()
    }

    /// The listeners once more, for a successor; those that only lead elsewhere last.
    pub fn copies(&self) -> io::Result<Vec<Given>> {
        let copy = |listener: &Listener| {
            let is_detour = listener.door.entrance == Entrance::Detour;
            Ok(Given { socket: listener.door.socket.try_clone()?, is_detour })
        };
        let mut copies: Vec<Given> = self.listeners.iter().map(copy).collect::<io::Result<_>>()?;
        copies.sort_by_key(|given| given.is_detour);
        Ok(copies)
    }

    /// Whether they are closed.
    pub fn is_closed(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Closes them for good.
    pub fn close(&mut self) {
        self.listeners.clear();
        self.known.clear();
        self.vestibule.iter_mut().for_each(Vestibule::close);
    }

    /// Lets the next one in.
    pub fn accept(&mut self, now: Moment) -> Came {
        if let Some((socket, peer)) = self.known.pop_front() {
            return self.let_in(socket, peer);
        }
        for at in 0..self.listeners.len() {
            let entrance = self.listeners[at].door.entrance;
            while self.listeners[at].is_ready {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                match acceptfrom_with(&self.listeners[at].door.socket, flags) {
                    Ok((socket, address)) => {
                        let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                        let peer = peer(address, entrance);
                        let Some(vestibule) = &mut self.vestibule else { return self.let_in(socket, peer) };
                        if let Entry::Known(socket, peer) = vestibule.enter(socket, peer, now) {
                            return self.let_in(socket, peer);
                        }
                    }
                    Err(rustix::io::Errno::AGAIN) => self.listeners[at].is_ready = false,
                    Err(error) if is_want(error) => return Came::Want(error.into()),
                    // Everything else is one connection's misfortune (accept(2)).
                    Err(_) => {}
                }
            }
        }
        Came::Nobody
    }

    /// Whether somebody may be waiting to be let in.
    pub fn someone_waits(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        !self.known.is_empty()
            || self.listeners.iter().filter(|listener| listener.is_ready).any(|listener| {
                let mut asked = [PollFd::new(&listener.door.socket, PollFlags::IN)];
                // Who cannot tell says yes: it is found out by accepting.
                poll(&mut asked, Some(&at_once)) != Ok(0)
            })
    }

    fn let_in(&mut self, socket: OwnedFd, peer: Peer) -> Came {
        let session = match (peer.entrance, &mut self.keys) {
            (Entrance::Secure, Some(keys)) => match keys.open() {
                Ok(session) => Some(session),
                Err(error) => return Came::Want(error),
            },
            _ => None,
        };
        Came::In(Wire::new(socket, session), peer)
    }
}

/// Who comes by a Unix socket is on this machine: a proxy, as a rule.
fn peer(address: Option<SocketAddr>, entrance: Entrance) -> Peer {
    match address {
        Some(address) => Peer { ip: address.ip().to_canonical(), port: address.port(), entrance },
        None => Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0, entrance },
    }
}

/// Whether an error of `accept(2)` tells that the process or the machine has no room.
fn is_want(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&error)
}

/// Binds a listener: ready for many newcomers at once, each handed out when its first bytes are there.
///
/// # Errors
/// As `socket(2)`, `bind(2)` and `listen(2)` say.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // What follows is inherited by the connections it hands out, and only makes things faster: a kernel may refuse it.
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    #[cfg(target_os = "linux")]
    let _ = sys::defer_accept(socket.as_fd());
    let _ = sys::limit_unsent(socket.as_fd(), UNSENT_MAX);
    if address.ip().is_loopback() {
        // A congestion control that paces (bbr) drives every large answer by a timer: twice the CPU a byte, for a link that
        // cannot be congested. What leaves the machine is the administrator's choice.
        let _ = sockopt::set_tcp_congestion(&socket, "reno");
    }
    bind(&socket, &address)?;
    listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Binds a Unix socket that its group may connect to. One that nobody listens on any more is replaced.
///
/// # Errors
/// `AddrInUse` if somebody listens there, or something else lies there; else as `bind(2)` and `listen(2)` say.
pub fn listen_unix(path: &Path, backlog: u32) -> io::Result<OwnedFd> {
    use rustix::fs::{FileType, Mode, chmod, lstat, unlink};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen, socket_with};
    let address = SocketAddrUnix::new(path)?;
    let new = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    if let Ok(found) = lstat(path) {
        let is_stale = FileType::from_raw_mode(found.st_mode) == FileType::Socket
            && connect(&new()?, &address) == Err(rustix::io::Errno::CONNREFUSED);
        if !is_stale {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        unlink(path)?;
    }
    let socket = new()?;
    bind(&socket, &address)?;
    chmod(path, Mode::from_raw_mode(0o660))?;
    listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Listeners that a service manager has opened for us (`sd_listen_fds(3)`).
///
/// # Errors
/// A sentence on the first that is none.
pub fn handed_over() -> Result<Vec<OwnedFd>, String> {
    let given =
        sd_notify::listen_fds().map_err(|error| format!("LISTEN_FDS names descriptors that are none: {error}"))?;
    given
        .map(|fd| {
            let no_listener = || format!("LISTEN_FDS hands over the descriptor {fd}, which is no listening socket");
            let socket = sys::take_descriptor(fd).map_err(|_| no_listener())?;
            match rustix::net::sockopt::socket_acceptconn(&socket) {
                Ok(true) => Ok(socket),
                _ => Err(no_listener()),
            }
        })
        .collect()
}

/// Where a TCP listener listens; `None` for a Unix socket.
///
/// # Errors
/// As `getsockname(2)` says.
pub fn address_of(socket: &OwnedFd) -> io::Result<Option<SocketAddr>> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?).ok())
}

/// Whether an address cannot be bound because this machine has none of its kind.
pub fn is_missing_address(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}
