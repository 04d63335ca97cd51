//! A body that is one file.

use crate::http::fault::Fault;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::receive::quota::Allowance;
use crate::site::receive::room::Room;
use crate::site::receive::store::Store;
use crate::site::state::{Site, disk_fault};
use crate::store::disk::{Draft, FileFacts};

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
    /// Begins a file that is to come to stand at `path`, in place of `current` if that is there; `placing` sees to it that it
    /// gets its name. Without a `length` any number of bytes may come, as far as there is room. Blocks.
    ///
    /// # Errors
    /// 507 if there is no room for it, or why it cannot be begun.
    pub fn begin(
        store: &Store,
        path: &RelPath<'_>,
        current: Option<&FileFacts>,
        length: Option<u64>,
        allowance: Option<Allowance>,
        placing: impl FnOnce(&mut Site, &mut Context<'_>, Whole) -> Reply<Site> + Send + 'static,
    ) -> Result<FileSink, Fault> {
        let allowance = allowance.map(|allowance| allowance.in_place_of(store, path, current));
        let room = Room::new(store, length, allowance)?;
        let draft = store.draft(path, length).map_err(|error| store.fault(&error, path))?;
        Ok(FileSink { draft, written: 0, room, placing: Box::new(placing) })
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
