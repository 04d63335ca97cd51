//! A body that is one file.

use crate::http::fault::Fault;
use crate::server::context::Context;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::receive::room::Room;
use crate::site::state::{Site, disk_fault};
use crate::store::disk::Draft;

/// A file that has come as a whole, and has no place yet.
pub struct Whole {
    /// Its content,
    pub draft: Box<dyn Draft>,
    /// so many bytes.
    pub bytes: u64,
    /// They count for whoever sent them until it has its place.
    _room: Room,
}

/// What becomes of a file that is complete. It runs in the loop, and must have a helper drop the draft.
type Placing = Box<dyn FnOnce(&mut Site, &mut Context<'_>, Whole) -> Reply<Site> + Send>;

/// A body that is one file.
pub struct FileSink {
    draft: Box<dyn Draft>,
    written: u64,
    room: Room,
    placing: Placing,
}

impl FileSink {
    /// A sink that fills a draft; `placing` sees to it that it gets its name.
    pub fn new(
        draft: Box<dyn Draft>,
        room: Room,
        placing: impl FnOnce(&mut Site, &mut Context<'_>, Whole) -> Reply<Site> + Send + 'static,
    ) -> FileSink {
        FileSink { draft, written: 0, room, placing: Box::new(placing) }
    }
}

impl Sink<Site> for FileSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.room.take(bytes.len())?;
        self.written += bytes.len() as u64;
        self.draft.write(bytes).map_err(|error| disk_fault(&error, "write a file"))
    }

    fn position(&self) -> u64 {
        self.written
    }

    fn finish(self: Box<Self>) -> Step<Site> {
        let FileSink { mut draft, placing, written, room } = *self;
        match draft.sync() {
            Ok(()) => {
                let whole = Whole { draft, bytes: written, _room: room };
                Box::new(move |site, cx| placing(site, cx, whole))
            }
            Err(error) => {
                let fault = disk_fault(&error, "store a file");
                Box::new(move |_, _| fault.into())
            }
        }
    }
}
