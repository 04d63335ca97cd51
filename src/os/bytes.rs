//! The two calls by which bytes come and go on a socket, for plain connections and for what encrypts the others.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::net::{RecvFlags, SendFlags};

/// One `recv(2)`.
#[inline]
pub(super) fn receive(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let (bytes, _) = rustix::net::recv(fd, into, RecvFlags::empty())?;
    Ok(bytes)
}

/// One `send(2)` or `sendmsg(2)`.
#[inline]
pub(super) fn transmit(fd: BorrowedFd<'_>, from: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    Ok(match from {
        [one] => rustix::net::send(fd, one, flags)?,
        many => rustix::net::sendmsg(fd, many, &mut Default::default(), flags)?,
    })
}
