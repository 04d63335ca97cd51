//! Sockets without blocking.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, accept_with, bind, connect, listen, recv, send, socket_with,
    sockopt,
};

pub use rustix::net::RecvFlags;

/// Every socket here is non-blocking and closed on exec.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// What a socket is asked for before it is bound or connected; None leaves what the kernel thinks best.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tuning {
    /// `SO_SNDBUF`, in bytes as said to the kernel (which doubles them).
    pub send_buffer_bytes: Option<usize>,
    /// `SO_RCVBUF`.
    pub receive_buffer_bytes: Option<usize>,
    /// `TCP_NOTSENT_LOWAT`.
    pub unsent_bytes: Option<u32>,
    /// `TCP_DEFER_ACCEPT`, in seconds; only for listeners.
    pub defer_accept_s: Option<u32>,
    /// `TCP_CONGESTION`: how the sender finds its pace.
    pub congestion: Option<&'static str>,
    /// `SO_ZEROCOPY`: pages may leave with `MSG_ZEROCOPY`.
    pub is_zerocopy: bool,
    /// `SO_TIMESTAMPNS`: the kernel notes when what comes has come.
    pub is_stamped: bool,
}

/// A listener with a long queue.
///
/// # Errors
/// What the kernel said.
pub fn listener(address: SocketAddr, tuning: Tuning) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = tcp(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(seconds) = tuning.defer_accept_s {
        crate::raw::set_defer_accept(socket.as_fd(), seconds)?;
    }
    tune(&socket, tuning)?;
    bind(&socket, &address)?;
    listen(&socket, 4096)?;
    let bound = rustix::net::getsockname(&socket)?;
    Ok((socket, SocketAddr::try_from(bound)?))
}

/// A newcomer, or `None` if nobody waits.
///
/// # Errors
/// What the kernel said, beside that nobody waits.
pub fn newcomer(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match accept_with(listener, FLAGS) {
        Ok(socket) => Ok(Some(socket)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A connection on its way to `address`.
///
/// # Errors
/// What the kernel said, beside that it is still on its way.
pub fn caller(address: SocketAddr, tuning: Tuning) -> io::Result<OwnedFd> {
    let socket = tcp(address)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    tune(&socket, tuning)?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// What became of one attempt to move bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes.
    Bytes(usize),
    /// None now: an event will tell when.
    Later,
    /// The other side has ended its half.
    End,
    /// The connection is broken.
    Broken(rustix::io::Errno),
}

/// One `recv`.
#[inline]
pub fn take(socket: &OwnedFd, into: &mut [u8], flags: RecvFlags) -> Moved {
    match recv(socket, into, flags) {
        Ok((_, 0)) => Moved::End,
        // With MSG_TRUNC the second number is what was taken off the queue.
        Ok((_, taken)) => Moved::Bytes(taken),
        Err(error) => failed(error),
    }
}

/// The same, with the time at which it came, for sockets that are stamped.
#[inline]
pub fn take_stamped(socket: &OwnedFd, into: &mut [u8]) -> (Moved, Option<u64>) {
    match crate::raw::take_stamped(socket.as_fd(), into) {
        Ok((0, _)) => (Moved::End, None),
        Ok((taken, stamp)) => (Moved::Bytes(taken), stamp),
        Err(error) => (failed(error), None),
    }
}

/// One `send`; `more` says that more follows at once.
#[inline]
pub fn give(socket: &OwnedFd, bytes: &[u8], more: bool) -> Moved {
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    match send(socket, bytes, flags) {
        Ok(sent) => Moved::Bytes(sent),
        Err(error) => failed(error),
    }
}

/// What an error says of a connection.
#[must_use]
pub fn failed(error: rustix::io::Errno) -> Moved {
    match error {
        rustix::io::Errno::AGAIN | rustix::io::Errno::INTR => Moved::Later,
        error => Moved::Broken(error),
    }
}

fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

fn tune(socket: &OwnedFd, tuning: Tuning) -> io::Result<()> {
    if let Some(bytes) = tuning.send_buffer_bytes {
        sockopt::set_socket_send_buffer_size(socket, bytes)?;
    }
    if let Some(bytes) = tuning.receive_buffer_bytes {
        sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    if let Some(bytes) = tuning.unsent_bytes {
        crate::raw::set_unsent_low_mark(socket.as_fd(), bytes)?;
    }
    if let Some(name) = tuning.congestion {
        sockopt::set_tcp_congestion(socket, name)?;
    }
    if tuning.is_zerocopy {
        crate::raw::set_zerocopy(socket.as_fd())?;
    }
    if tuning.is_stamped {
        crate::raw::set_stamps(socket.as_fd())?;
    }
    Ok(())
}
