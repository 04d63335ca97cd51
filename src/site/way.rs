//! The way to a place: folders that are made so that something can come to stand there. What then gets no place after all leaves none
//! of them behind, for nobody would own it; and of those that somebody else has come to use meanwhile it is told whose they are.

use std::io;

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::spot::{Actor, Area, keep};
use crate::site::state::{Site, disk_fault};
use crate::store::disk::{Disk, Kind};
use crate::store::owners::Change;
use crate::store::tree;

/// How often the way is made anew that somebody else took back.
const WAYS_MAX: usize = 8;

/// What a helper brings home that gave something its place: what that came to, and the folders that were made for it.
pub type Placed<T> = Result<(T, Vec<RelPath<'static>>), Unplaced>;

/// Something got no place.
pub struct Unplaced {
    fault: Fault,
    /// Folders that were made for it and stay, for somebody else has put something there.
    folders: Vec<RelPath<'static>>,
}

impl From<Fault> for Unplaced {
    fn from(fault: Fault) -> Unplaced {
        Unplaced { fault, folders: Vec::new() }
    }
}

impl Unplaced {
    /// The same when these were made for what was to come with it, and now does not.
    pub fn with(self, disk: &dyn Disk, made: Vec<RelPath<'static>>) -> Unplaced {
        let mut unplaced = take_back(disk, self.fault, made);
        unplaced.folders.extend(self.folders);
        unplaced
    }

    /// The refusal, when it is kept whose the folders are that stay.
    pub fn refuse(self, site: &mut Site, cx: &mut Context<'_>, area: &Area, actor: &Actor) -> Reply<Site> {
        let Unplaced { fault, folders } = self;
        let owner = actor.as_owner();
        let changes = folders.into_iter().map(|folder| Change::Made(folder, owner)).collect();
        keep(site, area.is_shared(), changes, cx, move |_, _| fault.into())
    }
}

/// Makes the folder that `path` lies in, and what is missing above it; says what it made. Blocks.
fn make_way(disk: &dyn Disk, path: &RelPath<'_>) -> Result<Vec<RelPath<'static>>, Fault> {
    let folder = path.parent().unwrap_or_default();
    tree::make_folders(disk, &folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => {
            Fault::new(Status::CONFLICT, "not_a_folder", "a file stands where a folder would have to be")
        }
        _ => disk_fault(&error, "make a folder"),
    })
}

/// Makes the way to a path and gives something its place there; says what that comes to, and which folders were made. Blocks.
///
/// # Errors
/// What `place` refuses, or why there is no way.
pub fn place_at<T>(disk: &dyn Disk, path: &RelPath<'_>, mut place: impl FnMut() -> Result<T, Fault>) -> Placed<T> {
    let mut tries = 1..WAYS_MAX;
    loop {
        let placed = match make_way(disk, path) {
            Ok(made) => place().map(|placed| (placed, made.clone())).map_err(|fault| (fault, made)),
            Err(fault) => Err((fault, Vec::new())),
        };
        match placed {
            Ok(placed) => return Ok(placed),
            // Whoever had made it took it back, since it was of no use to them.
            Err((fault, _)) if fault.status == Status::NOT_FOUND && !has_way(disk, path) && tries.next().is_some() => {}
            Err((fault, made)) => return Err(take_back(disk, fault, made)),
        }
    }
}

/// Takes folders back that were made for what gets no place.
fn take_back(disk: &dyn Disk, fault: Fault, made: Vec<RelPath<'static>>) -> Unplaced {
    let stays = |folder: &RelPath<'_>| disk.remove(folder).is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
    let mut folders: Vec<_> = made.into_iter().rev().filter(stays).collect();
    folders.reverse();
    Unplaced { fault, folders }
}

fn has_way(disk: &dyn Disk, path: &RelPath<'_>) -> bool {
    let folder = path.parent().unwrap_or_default();
    disk.facts(&folder).is_ok_and(|facts| facts.kind == Kind::Folder)
}
