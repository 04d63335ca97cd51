//! The outbox: what has still to leave on one connection, in order. It exists only while something waits.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::content::FileSpan;
use crate::reactor::system::Socket;
use crate::reactor::wheel::Tick;

/// How many pieces of memory go into one `writev`.
const GATHERED: usize = 16;

/// How much of a file one call may send. Large enough that the call's price vanishes, small enough that one client's warm
/// file holds the loop for well under a millisecond.
const FILE_STEP: u64 = 512 << 10;

enum Piece {
    Bytes(Bytes),
    File(FileSpan),
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// All has left.
    Empty,
    /// The socket takes no more for now.
    Blocked,
    /// The turn's allowance is used up; the socket would take more.
    Spent,
    /// The next stretch of a file has to be brought into memory first.
    Cold,
}

/// Pieces in the order in which they leave.
#[derive(Default)]
pub struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes of memory that wait, files not counted.
    held: usize,
    /// So many bytes of the file at the front need no look whether they are in memory.
    warm: u64,
    /// How many bytes are counted as waiting for a listener.
    pub(super) counted: usize,
    /// When to give up on a client that takes nothing.
    pub(super) give_up: Tick,
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many bytes of memory wait.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many bytes wait, those of files included.
    pub fn unsent(&self) -> u64 {
        let files = self.pieces.iter().map(|piece| if let Piece::File(span) = piece { span.length } else { 0 });
        self.held as u64 + files.sum::<u64>()
    }

    /// Whether a file waits.
    pub fn has_file(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::File(_)))
    }

    /// Appends bytes.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held += bytes.len();
            self.pieces.push_back(Piece::Bytes(bytes));
        }
    }

    /// Appends a stretch of a file.
    pub fn push_file(&mut self, span: FileSpan) {
        if span.length > 0 {
            self.pieces.push_back(Piece::File(span));
        }
    }

    /// The stretch that [`Flushed::Cold`] asks for.
    pub fn cold_stretch(&self) -> Option<FileSpan> {
        match self.pieces.front() {
            Some(Piece::File(span)) => Some(FileSpan { length: span.length.min(8 * FILE_STEP), ..span.clone() }),
            _ => None,
        }
    }

    /// That stretch is in memory now, as far as can be told: it is sent without another look, for there are file systems that
    /// never say yes.
    pub fn set_warm(&mut self) {
        self.warm = self.cold_stretch().map_or(0, |span| span.length);
    }

    /// Drops everything, keeping the room.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
        self.warm = 0;
    }

    /// Writes until all has left, the socket takes no more, or `allowance` bytes have gone. Says how many have gone.
    pub fn flush<S: Socket>(&mut self, socket: &mut S, mut allowance: usize) -> io::Result<(usize, Flushed)> {
        let mut gone = 0;
        loop {
            let step = match self.pieces.front_mut() {
                None => return Ok((gone, Flushed::Empty)),
                Some(_) if allowance == 0 => return Ok((gone, Flushed::Spent)),
                Some(Piece::Bytes(_)) => self.write_bytes(socket),
                Some(Piece::File(span)) => {
                    let step = FileSpan { length: span.length.min(FILE_STEP), ..span.clone() };
                    if self.warm < step.length && !span.file.is_warm(step.offset, step.length) {
                        return Ok((gone, Flushed::Cold));
                    }
                    let sent = socket.send_file(&step);
                    if let Ok(sent) = sent {
                        if sent == 0 {
                            return Err(io::Error::new(
                                io::ErrorKind::UnexpectedEof,
                                "the file became shorter while it was sent",
                            ));
                        }
                        span.advance(sent as u64);
                        self.warm = self.warm.saturating_sub(sent as u64);
                        if span.length == 0 {
                            self.pieces.pop_front();
                        }
                    }
                    sent
                }
            };
            match step {
                Ok(sent) => {
                    gone += sent;
                    allowance = allowance.saturating_sub(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((gone, Flushed::Blocked)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gathers the pieces of memory at the front into one write.
    fn write_bytes<S: Socket>(&mut self, socket: &mut S) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); GATHERED];
        let mut count = 0;
        let mut more = false;
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) if count < GATHERED => {
                    slices[count] = IoSlice::new(bytes);
                    count += 1;
                }
                Piece::Bytes(_) => break,
                Piece::File(_) => {
                    more = true;
                    break;
                }
            }
        }
        let sent = socket.write(&slices[..count], more)?;
        self.take(sent);
        Ok(sent)
    }

    /// Takes `sent` bytes of memory off the front.
    fn take(&mut self, mut sent: usize) {
        self.held -= sent;
        while sent > 0 {
            let Some(Piece::Bytes(bytes)) = self.pieces.front_mut() else {
                unreachable!("only bytes at the front were written");
            };
            let part = sent.min(bytes.len());
            bytes.advance(part);
            sent -= part;
            if bytes.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::reactor::system::Took;
    use std::sync::Arc;

    /// Takes `room` bytes at a time, `calls` times, then would block.
    struct Narrow {
        room: usize,
        calls: usize,
        got: Vec<u8>,
        mores: Vec<bool>,
    }

    impl Socket for Narrow {
        fn read(&mut self, _: &mut [u8], _: bool) -> io::Result<Took> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn write(&mut self, from: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
            if self.calls == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.calls -= 1;
            self.mores.push(more);
            let all: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
            let sent = all.len().min(self.room);
            self.got.extend_from_slice(&all[..sent]);
            Ok(sent)
        }

        fn send_file(&mut self, span: &FileSpan) -> io::Result<usize> {
            let mut buffer = vec![0; usize::try_from(span.length).unwrap().min(self.room)];
            let read = span.file.read_at(&mut buffer, span.offset)?;
            self.write(&[IoSlice::new(&buffer[..read])], false)
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn abandon(&mut self) {}
    }

    struct Text(Vec<u8>, bool);

    impl Content for Text {
        fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let read = rest.len().min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }

        fn is_warm(&self, _: u64, _: u64) -> bool {
            self.1
        }
    }

    fn filled() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.push_bytes(Bytes::from_static(b"head "));
        outbox.push_bytes(Bytes::from_static(b"first "));
        outbox.push_file(FileSpan { file: Arc::new(Text(b"..the file..".to_vec(), true)), offset: 2, length: 8 });
        outbox.push_bytes(Bytes::from_static(b" last"));
        outbox
    }

    #[test]
    fn whatever_the_socket_takes_at_a_time_the_bytes_leave_in_order() {
        for room in 1..40 {
            let mut socket = Narrow { room, calls: usize::MAX, got: Vec::new(), mores: Vec::new() };
            let mut outbox = filled();
            assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap(), (24, Flushed::Empty));
            assert_eq!(socket.got, b"head first the file last");
            assert_eq!(outbox.held(), 0);
        }
    }

    #[test]
    fn a_blocked_socket_and_a_spent_allowance_leave_the_rest() {
        let mut socket = Narrow { room: 7, calls: 1, got: Vec::new(), mores: Vec::new() };
        let mut outbox = filled();
        assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap(), (7, Flushed::Blocked));
        socket.calls = 9;
        assert_eq!(
            outbox.flush(&mut socket, 5).unwrap(),
            (11, Flushed::Spent),
            "four bytes of memory, then a step of the file"
        );
        assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap().1, Flushed::Empty);
        assert_eq!(socket.got, b"head first the file last");
        assert!(socket.mores[0], "the head waits for the file that follows");
    }

    #[test]
    fn a_cold_file_is_not_sent_and_a_shortened_one_is_an_error() {
        let mut socket = Narrow { room: 99, calls: 9, got: Vec::new(), mores: Vec::new() };
        let mut outbox = Outbox::default();
        outbox.push_file(FileSpan { file: Arc::new(Text(b"cold".to_vec(), false)), offset: 0, length: 4 });
        assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap(), (0, Flushed::Cold));
        assert_eq!(outbox.cold_stretch().unwrap().length, 4);
        outbox.set_warm();
        assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap(), (4, Flushed::Empty), "once read ahead, it is sent");
        outbox.clear();
        outbox.push_file(FileSpan { file: Arc::new(Text(b"short".to_vec(), true)), offset: 0, length: 9 });
        assert_eq!(outbox.flush(&mut socket, usize::MAX).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
