//! What stands in for a zip in a build without it: nobody can have one.

use std::convert::Infallible;
use std::io;

use crate::clock::Wall;

/// Whether this build can.
pub const CAN_ZIP: bool = false;

/// A zip: there is none.
pub struct Zipped(Infallible);

impl Zipped {
    /// A folder.
    pub fn add_folder(&mut self, _: &str, _: Wall) -> io::Result<()> {
        match self.0 {}
    }

    /// A file, whose content follows.
    pub fn begin_file(&mut self, _: &str, _: u64, _: Wall) -> io::Result<()> {
        match self.0 {}
    }

    /// Its next bytes.
    pub fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    /// Moves what has been written into a window.
    pub fn give(&mut self, _: &mut Vec<u8>) {
        match self.0 {}
    }

    /// Writes the index, and gives what is left.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {}
    }
}
