//! What a body can be made of beside bytes in memory: a stretch of an open file, wherever that file lives, or a source that is
//! drawn from window by window.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// An open file's content: readable at any place, from any thread.
pub trait Content: Send + Sync {
    /// Reads at `offset` into `into` and says how many bytes came; 0 is the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read. An answer that needs it is broken off.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The same where nothing has to be waited for; else `WouldBlock`. What the loop itself may ask.
    ///
    /// # Errors
    /// `WouldBlock`, also of a content that cannot tell.
    fn read_now(&self, _into: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Whether the whole of `length` bytes from `offset` can be had without waiting for a disk.
    /// A content that cannot tell says no.
    fn is_warm(&self, _offset: u64, _length: u64) -> bool {
        false
    }

    /// Has the stretch brought into memory. May block: only helpers call it.
    fn read_ahead(&self, _offset: u64, _length: u64) {}

    /// The descriptor that `sendfile(2)` needs, where there is one.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A stretch of an open file that is to be sent.
#[derive(Clone)]
pub struct FileSpan {
    /// The open file; the span keeps it open.
    pub file: Arc<dyn Content>,
    /// Where the stretch begins, in bytes from the file's start.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

impl FileSpan {
    /// Takes `sent` bytes off the front.
    ///
    /// # Panics
    /// If the span is shorter than that.
    pub fn advance(&mut self, sent: u64) {
        assert!(sent <= self.length, "more was sent than the span holds");
        self.offset += sent;
        self.length -= sent;
    }
}

impl fmt::Debug for FileSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSpan({}+{})", self.offset, self.length)
    }
}

/// Makes a body piece by piece, on helpers. One window is drawn at a time, and the next only when there is room for it, so a
/// client that reads slowly costs two windows and no more. Dropped on a helper too, in the middle if the client goes.
pub trait Source: Send {
    /// Appends the next stretch to `window`, which comes empty and with room for what is best drawn at once. May block.
    ///
    /// # Errors
    /// Of the program's own. One breaks the answer off: the client sees that it is not whole.
    fn draw(&mut self, window: &mut Vec<u8>) -> io::Result<More>;

    /// How many bytes there will be in all, if that is known. The body is then sent with its length, and one that turns out
    /// longer or shorter is broken off.
    fn length(&self) -> Option<u64> {
        None
    }
}

/// Whether a [`Source`] has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// It is to be drawn from again.
    Yes,
    /// That was the last.
    No,
}
