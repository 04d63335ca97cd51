//! [`FolderDisk`]: the [`Disk`] that is a folder of the real file system.
//!
//! Nothing is ever reached by a path from the process's root or working folder: every verb starts at a descriptor of the
//! root folder, and the kernel resolves what lies below it (`openat2`, `RESOLVE_BENEATH`). Where the kernel is too old for
//! that, or a sandbox forbids the call, the path is walked folder by folder without following links. Verbs that change
//! something act on a name in an open folder, so a folder swapped for a link between check and deed leads nowhere.
//!
//! A file appears under its name in one step and whole: it is written without a name (`O_TMPFILE`), synced, then linked.
//! Where the file system cannot do that it is written under a hidden name that [`Disk::sweep`] knows.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::os::draft::{FOLDER_MODE, FolderDraft, begin, refuse_folder, rename_new, sweep};
use crate::os::opened::{OpenFile, facts_at, facts_of};
use crate::os::root::{
    FILE, FOLDER, LOOK, Root, Way, Writing, beneath, is_local, is_memory, notes_reading, sync_folder,
};
use crate::path::RelPath;
use crate::store::disk::{Disk, Draft, Existing, FileFacts, Item, Kind, Links, Opened};

/// A sweep looks no deeper: twice what the API lets a client make.
const SWEEP_DEPTH_MAX: usize = 32;
/// New files may be read by all the umask allows, and written by us.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
/// What is private is so for the machine's other users too.
const PRIVATE: [Mode; 2] = [Mode::from_raw_mode(0o600), Mode::from_raw_mode(0o700)];

/// A folder of the file system, opened once; nothing outside it can be reached through it.
#[derive(Clone)]
pub struct FolderDisk {
    pub(super) root: Arc<Root>,
}

impl FolderDisk {
    /// Opens the folder at `root`, which must exist.
    pub fn open(root: &Path, links: Links) -> io::Result<FolderDisk> {
        FolderDisk::open_with(root, links, [FILE_MODE, FOLDER_MODE])
    }

    /// The same, for files that nobody else on this machine may read.
    pub fn open_private(root: &Path, links: Links) -> io::Result<FolderDisk> {
        FolderDisk::open_with(root, links, PRIVATE)
    }

    fn open_with(root: &Path, links: Links, modes: [Mode; 2]) -> io::Result<FolderDisk> {
        let place = fs::canonicalize(root)?;
        let folder = rustix::fs::open(&place, LOOK | OFlags::DIRECTORY, Mode::empty())?;
        let way = match rustix::fs::openat2(&folder, ".", LOOK, Mode::empty(), beneath(links)) {
            Err(Errno::NOSYS | Errno::PERM | Errno::TOOBIG) => Way::Walk,
            Ok(_) => Way::Kernel,
            Err(fault) => return Err(fault.into()),
        };
        // A nameless file gets its name by way of /proc, which a container may lack.
        let has_proc = Path::new("/proc/self/fd").is_dir();
        let writing = if has_proc { Writing::Nameless } else { Writing::Hidden };
        let (is_local, is_memory, notes_reading) = (is_local(&folder), is_memory(&folder), notes_reading(&folder));
        let drafts = Arc::default();
        let root = Root { folder, place, links, way, is_local, is_memory, drafts, notes_reading, writing, modes };
        Ok(FolderDisk { root: Arc::new(root) })
    }

    /// A file as it was opened.
    fn opened(&self, fd: OwnedFd) -> io::Result<Opened> {
        let facts = facts_of(&fd)?;
        if facts.kind == Kind::Folder {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (file, notes_reading) = (File::from(fd), self.root.notes_reading);
        let content = OpenFile { file, size: facts.size, notes_reading, trust: AtomicU8::new(0) };
        Ok(Opened { facts, content: Arc::new(content) })
    }

    /// A file that comes into being in `folder`.
    fn begin(&self, folder: &RelPath<'_>, length: Option<u64>) -> io::Result<FolderDraft> {
        let fd = self.root.resolve(folder, FOLDER)?;
        // Asked first, since a reservation that fails half-way has taken all there was from everybody else.
        if length.is_some_and(|length| length > self.free_bytes().unwrap_or(u64::MAX)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (file, hidden) = begin(fd, self.root.writing, self.root.modes[0])?;
        // The lock tells a sweep of another process that the writer lives. No reason to refuse where there are none: a
        // process that is alone sweeps before it writes.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        let mut draft = FolderDraft::new(Arc::clone(&self.root), file, hidden, 0, length);
        draft.reserve(0)?;
        Ok(draft)
    }
}

impl Disk for FolderDisk {
    fn open(&self, path: &RelPath<'_>) -> io::Result<Opened> {
        self.opened(self.root.resolve(path, FILE).map_err(unseen)?)
    }

    fn open_now(&self, path: &RelPath<'_>) -> io::Result<Opened> {
        self.opened(self.root.resolve_now(path, FILE)?)
    }

    fn facts(&self, path: &RelPath<'_>) -> io::Result<FileFacts> {
        facts_of(self.root.resolve(path, LOOK).map_err(unseen)?)
    }

    fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
        let fd = self.root.resolve(folder, FOLDER).map_err(unseen)?;
        let mut items = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            // A name that no request can say is as hidden as one with a dot.
            let Ok(below) = RelPath::from_plain(name) else { continue };
            if name.starts_with('.') {
                continue;
            }
            let facts = match (facts_at(&fd, name), self.root.links) {
                (Err(_), Links::Inside) if entry.file_type() != FileType::RegularFile => {
                    self.facts(&folder.join(&below))
                }
                (facts, _) => facts,
            };
            // What has gone meanwhile, and what is neither file nor folder, is not in the list.
            if let Ok(facts) = facts {
                items.push(Item { name: name.to_owned(), facts });
            }
        }
        Ok(items)
    }

    fn draft(&self, folder: &RelPath<'_>, length: Option<u64>) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(self.begin(folder, length)?))
    }

    fn make_folder(&self, path: &RelPath<'_>) -> io::Result<()> {
        let Some((above, name)) = self.root.above(path)? else { return Err(io::ErrorKind::AlreadyExists.into()) };
        rustix::fs::mkdirat(&above, name, self.root.modes[1])?;
        sync_folder(&above)
    }

    fn rename(&self, from: &RelPath<'_>, to: &RelPath<'_>, existing: Existing) -> io::Result<()> {
        if from.is_root() || (from != to && to.strip(from.as_str()).is_some()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.rename_to(from, self, to, existing, from.parent() == to.parent())
    }

    fn rename_into(
        &self,
        from: &RelPath<'_>,
        other: &dyn Disk,
        to: &RelPath<'_>,
        existing: Existing,
    ) -> io::Result<()> {
        let other: &dyn Any = other;
        let other = other.downcast_ref::<FolderDisk>().ok_or(io::ErrorKind::CrossesDevices)?;
        self.rename_to(from, other, to, existing, false)?;
        if self.root.modes != other.root.modes
            && let Err(error) = other.settle(to, SWEEP_DEPTH_MAX)
        {
            log::error!("what was moved keeps its old rights: {error}");
        }
        Ok(())
    }

    fn remove(&self, path: &RelPath<'_>) -> io::Result<()> {
        let Some((above, name)) = self.root.above(path)? else { return Err(io::ErrorKind::InvalidInput.into()) };
        let flags = match facts_at(&above, name)?.kind {
            Kind::File => AtFlags::empty(),
            Kind::Folder => AtFlags::REMOVEDIR,
        };
        rustix::fs::unlinkat(&above, name, flags)?;
        sync_folder(&above)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.root.folder)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn sweep(&self) -> io::Result<usize> {
        let folder = self.root.resolve(&RelPath::ROOT, FOLDER)?;
        sweep(folder, SWEEP_DEPTH_MAX)
    }

    #[cfg(feature = "files")]
    fn unfinished(&self) -> Option<&dyn crate::store::disk::Unfinished> {
        Some(self)
    }
}

impl FolderDisk {
    fn rename_to(
        &self,
        from: &RelPath<'_>,
        other: &FolderDisk,
        to: &RelPath<'_>,
        existing: Existing,
        is_same_folder: bool,
    ) -> io::Result<()> {
        let Some((from_folder, from_name)) = self.root.above(from)? else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let source = facts_at(&from_folder, from_name)?;
        let Some((to_folder, to_name)) = other.root.above(to)? else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        if existing == Existing::Replace && source.kind == Kind::File {
            refuse_folder(&to_folder, to_name)?;
            rustix::fs::renameat(&from_folder, from_name, &to_folder, to_name)?;
        } else {
            rename_new(&from_folder, from_name, &to_folder, to_name, source.kind)?;
        }
        sync_folder(&to_folder)?;
        if !is_same_folder {
            sync_folder(&from_folder)?;
        }
        Ok(())
    }

    /// What has come from another tree gets the mode that new files and folders have here. Those are made of the mode of the folder
    /// it lies in, for nobody can ask for the umask without setting it.
    fn settle(&self, path: &RelPath<'_>, depth: usize) -> io::Result<()> {
        let above = self.root.resolve(&path.parent().unwrap_or_default(), FOLDER)?;
        let given = Mode::from_raw_mode(rustix::fs::fstat(&above)?.st_mode);
        let [file_mode, folder_mode] = self.root.modes;
        match self.root.resolve(path, FILE).and_then(opened_as) {
            Ok((fd, Kind::File)) => rustix::fs::fchmod(&fd, given & file_mode)?,
            Ok((fd, Kind::Folder)) if depth > 0 => {
                rustix::fs::fchmod(&fd, given & folder_mode)?;
                for item in self.list(path)? {
                    if let Ok(name) = RelPath::from_plain(&item.name) {
                        self.settle(&path.join(&name), depth - 1)?;
                    }
                }
            }
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn opened_as(fd: OwnedFd) -> io::Result<(OwnedFd, Kind)> {
    let kind = facts_of(&fd)?.kind;
    Ok((fd, kind))
}

/// To one who only reads, a name too long to exist is one that does not exist.
fn unseen(fault: io::Error) -> io::Error {
    match fault.kind() {
        io::ErrorKind::InvalidFilename => io::ErrorKind::NotFound.into(),
        _ => fault,
    }
}

#[cfg(test)]
mod tests;
