//! One client's bytes: a descriptor, TCP or Unix, and what encrypts it if anything does.
//!
//! A plain connection pays for the other kind with one look at a pointer.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::net::Shutdown;

use crate::content::FileSpan;
use crate::os::bytes::{receive, transmit};
#[cfg(target_os = "linux")]
use crate::os::sys::{self, DEFER_SECONDS};
use crate::os::tls::Session;
use crate::reactor::system::{Socket, Took};

/// How much of a file that the kernel cannot send by itself is read at once.
const COPIED: usize = 64 << 10;

/// A client's connection.
pub struct Wire {
    fd: OwnedFd,
    session: Option<Box<Session>>,
}

impl Wire {
    /// A connection that was accepted, and what encrypts it.
    pub(super) fn new(fd: OwnedFd, session: Option<Box<Session>>) -> Wire {
        Wire { fd, session }
    }

    /// Its descriptor, for the poll.
    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Says farewell where the protocol below has a word for it, and closes.
    pub(super) fn close(mut self) {
        if let Some(session) = &mut self.session {
            session.say_farewell(self.fd.as_fd());
        }
    }
}

impl Socket for Wire {
    #[inline]
    fn read(&mut self, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        if let Some(session) = &mut self.session {
            return session.read(self.fd.as_fd(), into, is_shut);
        }
        let room = into.len();
        let bytes = receive(self.fd.as_fd(), into)?;
        // A short read has emptied the socket, unless the end came with the data: then both are one event, and the end is
        // still to be read (epoll(7), question 9).
        Ok(Took { bytes, is_dry: bytes < room && !is_shut })
    }

    #[inline]
    fn write(&mut self, from: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        match &mut self.session {
            None => transmit(self.fd.as_fd(), from, more),
            Some(session) => session.write(self.fd.as_fd(), from, more),
        }
    }

    fn send_file(&mut self, span: &FileSpan) -> io::Result<usize> {
        if let Some(session) = &mut self.session {
            return session.send_file(self.fd.as_fd(), span);
        }
        let length = usize::try_from(span.length).unwrap_or(usize::MAX);
        let Some(file) = span.file.fd() else {
            return self.send_copy(span, length);
        };
        let mut offset = span.offset;
        match rustix::fs::sendfile(&self.fd, file, Some(&mut offset), length) {
            Ok(sent) => Ok(sent),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => self.send_copy(span, length),
            Err(error) => Err(error.into()),
        }
    }

    #[inline]
    fn owes(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.owes())
    }

    /// The kernel hands out a silent client when the first packet of its handshake has been repeated, after a second
    /// (`TCP_DEFER_ACCEPT`). One that was handed out at once had sent something, or no listener held it back.
    #[cfg(target_os = "linux")]
    fn waited_ms(&self) -> u64 {
        if sys::was_asked_again(self.fd.as_fd()) { u64::from(DEFER_SECONDS.unsigned_abs()) * 1000 } else { 0 }
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            session.say_farewell(self.fd.as_fd());
        }
        Ok(rustix::net::shutdown(&self.fd, Shutdown::Write)?)
    }

    fn abandon(&mut self) {
        if let Some(session) = &mut self.session {
            session.abandon();
        }
        // If it cannot be set, the kernel keeps trying to deliver for a while: a cost, not an error.
        let _ = rustix::net::sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }
}

impl Wire {
    /// For files the kernel cannot send by itself.
    fn send_copy(&mut self, span: &FileSpan, length: usize) -> io::Result<usize> {
        let mut buffer = vec![0; length.min(COPIED)];
        let read = span.file.read_at(&mut buffer, span.offset)?;
        match read {
            0 => Ok(0),
            read => self.write(&[IoSlice::new(&buffer[..read])], false),
        }
    }
}
