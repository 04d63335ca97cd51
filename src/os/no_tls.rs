//! What stands in for encryption in a build without it: a session that nobody can have.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use crate::content::FileSpan;
use crate::reactor::system::Took;

/// What encrypts a connection: nothing does.
pub struct Session(Infallible);

impl Session {
    pub(super) fn read(&mut self, _: BorrowedFd<'_>, _: &mut [u8], _: bool) -> io::Result<Took> {
        match self.0 {}
    }

    pub(super) fn write(&mut self, _: BorrowedFd<'_>, _: &[IoSlice<'_>], _: bool) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn send_file(&mut self, _: BorrowedFd<'_>, _: &FileSpan) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn owes(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn say_farewell(&mut self, _: BorrowedFd<'_>) {
        match self.0 {}
    }

    pub(super) fn abandon(&mut self) {
        match self.0 {}
    }
}

/// A new turn: handshakes may be worked on again.
pub(super) fn new_turn() {}
