//! The room that a body takes on the disk while it comes, and what it must leave there.

use std::io;
use std::sync::Arc;

use crate::http::fault::Fault;
use crate::site::receive::quota::{Allowance, Share};
use crate::site::receive::store::Store;
use crate::site::state::disk_fault;
use crate::store::disk::Disk;
use crate::store::pledges::Pledge;

/// How many bytes go to the disk between two looks at how full it is.
const LOOK_EVERY: u64 = 16 << 20;

/// The room that a body takes, and what it must leave.
pub struct Room {
    disk: Arc<dyn Disk>,
    min_free: u64,
    unseen: u64,
    /// Where what is sent counts for somebody.
    share: Option<Share>,
}

impl Room {
    /// Room for a body, of this length if it is known; 507 if there is none.
    pub fn new(store: &Store, length: Option<u64>, allowance: Option<Allowance>) -> Result<Room, Fault> {
        let length = length.unwrap_or(0);
        let share = allowance.map(|allowance| allowance.begin(length)).transpose()?;
        let room = Room { disk: Arc::clone(&store.disk), min_free: store.min_free, unseen: 0, share };
        room.look(length)?;
        Ok(room)
    }

    /// What it takes of an allowance, to be kept for longer than a body comes.
    pub fn into_pledge(self) -> Option<Pledge> {
        self.share.map(Share::into_pledge)
    }

    fn look(&self, length: u64) -> Result<(), Fault> {
        if self.min_free == 0 {
            return Ok(());
        }
        let free = self.disk.free_bytes().map_err(|error| disk_fault(&error, "see how full the disk is"))?;
        if free < self.min_free.saturating_add(length) {
            return Err(disk_fault(&io::ErrorKind::StorageFull.into(), "store a file and leave what is to stay free"));
        }
        Ok(())
    }

    /// So many bytes are about to be written.
    ///
    /// # Errors
    /// 507 if they would leave too little.
    pub fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        if let Some(share) = &mut self.share {
            share.take(bytes as u64)?;
        }
        self.unseen += bytes as u64;
        if self.unseen < LOOK_EVERY {
            return Ok(());
        }
        self.unseen = 0;
        self.look(0)
    }
}
