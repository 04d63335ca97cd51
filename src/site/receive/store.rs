//! Where files are stored: what a helper needs of an area to look, to begin a file there, and to give it its name; and what follows
//! in the loop when it has one.

use std::io;
use std::sync::Arc;

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::spot::{Actor, Area, keep};
use crate::site::state::{Files, Site, disk_fault};
use crate::site::way::{self, Placed};
use crate::store::disk::{Disk, Draft, FileFacts, Kind};
use crate::store::owners::{Change, Owner};
use crate::store::tree::{self, OnConflict};

/// How often an overwrite looks again when something came to stand in its place meanwhile.
const LOOKS: usize = 8;

/// Where files are stored, as a helper has it.
#[derive(Clone)]
pub struct Store {
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// Which part of the files it is.
    pub area: Area,
    /// What must stay free.
    pub min_free: u64,
}

impl Store {
    /// The store of an area.
    ///
    /// # Errors
    /// 404 for a home where there are none.
    pub fn of(files: &Files, area: &Area, min_free: u64) -> Result<Store, Fault> {
        Ok(Store { disk: area.disk(files)?, area: area.clone(), min_free })
    }

    /// What the disk's refusal to store a file means to who sent it.
    pub fn fault(&self, error: &io::Error, path: &RelPath<'_>) -> Fault {
        store_fault(error, &self.area.show(path))
    }

    /// Begins a file for `path`. Its folder may still be missing: until it is complete it can lie anywhere.
    pub fn draft(&self, path: &RelPath<'_>, length: Option<u64>) -> io::Result<Box<dyn Draft>> {
        match self.disk.draft(&path.parent().unwrap_or_default(), length) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.draft(&RelPath::ROOT, length),
            draft => draft,
        }
    }

    /// Gives something its place at a path, as [`way::place_at`] does.
    ///
    /// # Errors
    /// What `place` refuses, or why there is no way.
    pub fn place_at<T>(&self, path: &RelPath<'_>, place: impl FnMut() -> Result<T, Fault>) -> Placed<T> {
        way::place_at(&*self.disk, path, place)
    }

    /// Gives a draft its name, or one like it. `right` says whether what stands there may be replaced, and has been heeded
    /// for what a look has found: but something may have come since, from elsewhere.
    pub fn commit(
        &self,
        draft: &mut dyn Draft,
        path: &RelPath<'_>,
        on_conflict: OnConflict,
        right: &Result<(), Fault>,
    ) -> Result<Stored, Fault> {
        let fault = |error: io::Error| self.fault(&error, path);
        draft.sync().map_err(fault)?;
        if on_conflict != OnConflict::Overwrite {
            return commit(draft, path, on_conflict).map_err(fault);
        }
        for _ in 0..LOOKS {
            if self.look(path, on_conflict)?.is_some() {
                right.clone()?;
                return commit(draft, path, on_conflict).map_err(fault);
            }
            match commit(draft, path, OnConflict::Error) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                stored => return stored.map_err(fault),
            }
        }
        // What is neither file nor folder is not to be seen, and gives way to nobody.
        Err(fault(io::ErrorKind::AlreadyExists.into()))
    }

    /// Whether a file may come to stand at `path`, as far as a look can tell. The kernel has the last word, when the file is
    /// whole; but to refuse now spares a client the sending.
    pub fn look(&self, path: &RelPath<'_>, on_conflict: OnConflict) -> Result<Option<FileFacts>, Fault> {
        match (self.disk.facts(path), on_conflict) {
            (Ok(_), OnConflict::Error) => Err(self.fault(&io::ErrorKind::AlreadyExists.into(), path)),
            (Ok(facts), OnConflict::Overwrite) if facts.kind == Kind::Folder => {
                Err(self.fault(&io::ErrorKind::IsADirectory.into(), path))
            }
            (Ok(facts), _) => Ok(Some(facts)),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (Err(error), _) => Err(disk_fault(&error, "look for a shared file")),
        }
    }
}

/// A file that is stored.
pub struct Stored {
    /// Under which path.
    pub path: RelPath<'static>,
    /// What is known of it.
    pub facts: FileFacts,
    /// Whether nothing was there before.
    pub is_new: bool,
}

impl AsRef<[Stored]> for Stored {
    fn as_ref(&self) -> &[Stored] {
        std::slice::from_ref(self)
    }
}

/// Goes on when a helper has given one file or several their places, or could not. The ledger keeps whose they are, and whose the
/// folders that were made for them; then `answer` says what has become of them.
pub fn keep_stored<S: AsRef<[Stored]> + 'static>(
    site: &mut Site,
    cx: &mut Context<'_>,
    placed: Placed<S>,
    area: Area,
    actor: &Actor,
    answer: impl FnOnce(&mut Site, &Area, S) -> Reply<Site> + 'static,
) -> Reply<Site> {
    let (stored, folders) = match placed {
        Ok(placed) => placed,
        Err(unplaced) => return unplaced.refuse(site, cx, &area, actor),
    };
    let changes = changes_of(site, stored.as_ref(), folders, actor.as_owner());
    keep(site, area.is_shared(), changes, cx, move |site, _| answer(site, &area, stored))
}

/// What the ledger is told of files that were stored, and of folders that were made for them. What replaced another keeps its owner.
pub fn changes_of(site: &Site, stored: &[Stored], folders: Vec<RelPath<'static>>, owner: Option<Owner>) -> Vec<Change> {
    let has_owner = |path: &RelPath<'_>| site.files.as_ref().is_some_and(|files| files.owners.of(path).is_some());
    let new = stored.iter().filter(|one| one.is_new || !has_owner(&one.path)).map(|one| one.path.clone());
    folders.into_iter().chain(new).map(|path| Change::Made(path, owner)).collect()
}

fn commit(draft: &mut dyn Draft, path: &RelPath<'_>, on_conflict: OnConflict) -> io::Result<Stored> {
    let (path, facts) = tree::commit(draft, path, on_conflict)?;
    Ok(Stored { path, facts, is_new: on_conflict != OnConflict::Overwrite })
}

/// What the disk's refusal to store a file under this path means to who sent it.
fn store_fault(error: &io::Error, path: &RelPath<'_>) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::new(Status::CONFLICT, "file_exists", format!("{path} exists")),
        io::ErrorKind::IsADirectory => Fault::new(Status::CONFLICT, "is_folder", format!("{path} is a folder")),
        _ => disk_fault(error, "store a file"),
    }
}
