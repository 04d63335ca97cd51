//! The way to a place: folders that are made so that something can come to stand there. What then gets no place after all leaves none
//! of them behind, for nobody would own it; and of those that somebody else has come to use meanwhile it is told whose they are.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::receive::{Store, changes_of};
use crate::site::spot::{Actor, Area, keep};
use crate::site::state::Site;
use crate::store::disk::Kind;

/// How often the way is made anew that somebody else took back.
const WAYS_MAX: usize = 8;

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
    pub fn with(self, store: &Store, made: Vec<RelPath<'static>>) -> Unplaced {
        let mut unplaced = store.take_back(self.fault, made);
        unplaced.folders.extend(self.folders);
        unplaced
    }

    /// The refusal, when it is kept whose the folders are that stay.
    pub fn refuse(self, site: &mut Site, cx: &mut Context<'_>, area: &Area, actor: &Actor) -> Reply<Site> {
        let Unplaced { fault, folders } = self;
        let changes = changes_of(site, &[], folders, actor.as_owner());
        keep(site, area.is_shared(), changes, cx, move |_, _| fault.into())
    }
}

impl Store {
    /// Makes the way to a path and gives something its place there; says what that comes to, and which folders were made. Blocks.
    ///
    /// # Errors
    /// What `place` refuses, or why there is no way.
    pub fn place_at<T>(
        &self,
        path: &RelPath<'_>,
        mut place: impl FnMut() -> Result<T, Fault>,
    ) -> Result<(T, Vec<RelPath<'static>>), Unplaced> {
        let mut tries = 1..=WAYS_MAX;
        loop {
            let made = self.make_way(path)?;
            match place() {
                Ok(placed) => return Ok((placed, made)),
                // Whoever had made it took it back, since it was of no use to them.
                Err(fault) if fault.status == Status::NOT_FOUND && tries.next().is_some() && !self.has_way(path) => {}
                Err(fault) => return Err(self.take_back(fault, made)),
            }
        }
    }

    /// Takes folders back that were made for what gets no place.
    pub fn take_back(&self, fault: Fault, made: Vec<RelPath<'static>>) -> Unplaced {
        let stays = |folder: &RelPath<'_>| {
            self.disk.remove(folder).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
        };
        let mut folders: Vec<_> = made.into_iter().rev().filter(stays).collect();
        folders.reverse();
        Unplaced { fault, folders }
    }

    fn has_way(&self, path: &RelPath<'_>) -> bool {
        let folder = path.parent().unwrap_or_default();
        self.disk.facts(&folder).is_ok_and(|facts| facts.kind == Kind::Folder)
    }
}
