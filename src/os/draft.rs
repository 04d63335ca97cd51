//! Files that come into being: written where nobody sees them, synced, and then under their name in one step. Without a name at all
//! (`O_TMPFILE`) where the file system can do that, else under a hidden one that a sweep knows.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::os::opened::{facts_at, facts_of};
use crate::os::root::{FILE, FOLDER, Root, Writing, sync_folder};
use crate::os::sys;
use crate::path::RelPath;
use crate::store::disk::{Draft, Existing, FileFacts, Kind};

/// So much has a place on the disk before a byte of it has come.
pub(super) const RESERVE_FIRST: u64 = 256 << 10;
/// And later at most so much more than has come.
pub(super) const RESERVE_AHEAD: u64 = 8 << 20;
/// A root and one draft of it hold what counts them.
const ALONE: usize = 2;
/// The disk is told to begin when so much has been written.
const PUSH_BYTES: u64 = 2 << 20;
/// How many random names are tried before we believe that something else is wrong.
const FRESH_NAMES_MAX: usize = 16;
/// What is copied at a time.
const COPY_BYTES: usize = 64 * 1024;
/// New folders may be read by all the umask allows, and changed by us.
pub(super) const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// A file that has no name yet, or only a hidden one.
pub(super) struct FolderDraft {
    root: Arc<Root>,
    pub file: File,
    hidden: Option<Hidden>,
    is_synced: bool,
    /// How much has been written, what was there before included.
    written: u64,
    /// The disk has been told to write so much of it.
    pushed: u64,
    /// How long it is going to be, if that is known; and so far it has a place on the disk.
    length: Option<u64>,
    reserved: u64,
    /// Held by every draft of this root, and by the root.
    counted: Arc<()>,
}

impl FolderDraft {
    /// A draft of which so much is there, and which is to be so long if that is known.
    pub fn new(root: Arc<Root>, file: File, hidden: Option<Hidden>, written: u64, length: Option<u64>) -> FolderDraft {
        let counted = Arc::clone(&root.drafts);
        FolderDraft {
            root,
            file,
            hidden,
            is_synced: false,
            written,
            pushed: written,
            length,
            reserved: written,
            counted,
        }
    }

    /// Sees to it that so many bytes more have a place, so that the disk is not full in the middle of them and lays them side by
    /// side. No more is reserved than has come already, for whoever says a length and then sends nothing would take all the disk
    /// from the others. Who has not said how much will come is first to bring something.
    ///
    /// Memory is not laid side by side, and to reserve a MiB of it keeps a core from all others for a quarter of a millisecond: there
    /// the writes tell that it is full. One that comes alone and is large has it taken at a stretch all the same: the loop, which would
    /// else be woken again and again in the middle of a write, then finds much that has come, and that spares a fifth of the work.
    pub fn reserve(&mut self, more: u64) -> io::Result<()> {
        if self.root.is_memory {
            if self.written < RESERVE_FIRST || Arc::strong_count(&self.counted) > ALONE {
                return Ok(());
            }
            // What was written beside others has a place already.
            self.reserved = self.reserved.max(self.written);
        }
        let at = self.written + more;
        let is_enough =
            if self.reserved > 0 { at <= self.reserved } else { self.length.is_none() && at < RESERVE_FIRST };
        if is_enough {
            return Ok(());
        }
        let ahead = at.saturating_add(at.clamp(RESERVE_FIRST, RESERVE_AHEAD));
        let until = ahead.min(self.length.unwrap_or(u64::MAX));
        if until > self.reserved {
            reserve(&self.file, self.reserved, until - self.reserved)?;
            self.reserved = until;
        }
        Ok(())
    }

    /// Gives back what was reserved and not needed.
    fn trim(&mut self) -> io::Result<()> {
        if self.reserved > self.written {
            self.file.set_len(self.written)?;
            self.reserved = self.written;
        }
        Ok(())
    }

    /// It has been cut to so many bytes.
    #[cfg(feature = "files")]
    pub fn shortened(&mut self, size: u64) {
        self.is_synced = false;
        (self.written, self.pushed) = (size, size.min(self.pushed));
    }

    /// Has the disk begin with what has been written: else it would all wait for the end, and then keep a core and the disk busy at
    /// a stretch.
    fn push(&mut self) {
        if self.written - self.pushed >= PUSH_BYTES {
            sys::begin_writing(self.file.as_fd(), self.pushed, self.written - self.pushed);
            self.pushed = self.written;
        }
    }
}

impl Draft for FolderDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_synced = false;
        self.reserve(bytes.len() as u64)?;
        self.file.write_all(bytes).map_err(full)?;
        self.written += bytes.len() as u64;
        self.push();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.trim()?;
            // Some file systems tell of a full disk only here.
            self.file.sync_all().map_err(full)?;
            self.is_synced = true;
        }
        Ok(())
    }

    fn copy_to(&mut self, other: &mut dyn Draft) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        loop {
            let came = self.file.read_at(&mut buffer, at)?;
            if came == 0 {
                return Ok(());
            }
            other.write(&buffer[..came])?;
            at += came as u64;
        }
    }

    fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts> {
        self.sync()?;
        let Some((folder, name)) = self.root.above(path)? else { return Err(io::ErrorKind::IsADirectory.into()) };
        match (existing, &mut self.hidden) {
            (Existing::Refuse, None) => link(&self.file, &folder, name)?,
            (Existing::Refuse, Some(hidden)) => {
                rename_new(&hidden.folder, &hidden.name, &folder, name, Kind::File)?;
                hidden.is_gone = true;
            }
            (Existing::Replace, hidden) => {
                refuse_folder(&folder, name)?;
                // Nothing links over an existing name, so a nameless file goes by way of a hidden one.
                let hidden = match hidden {
                    Some(hidden) => hidden,
                    None => hidden.insert(link_hidden(&self.file, folder.try_clone()?)?),
                };
                rustix::fs::renameat(&hidden.folder, &hidden.name, &folder, name)?;
                hidden.is_gone = true;
            }
        }
        if let Err(fault) = sync_folder(&folder) {
            match &mut self.hidden {
                // What took days to come is not thrown away.
                Some(hidden) if hidden.keeps => {
                    hidden.is_gone = rustix::fs::renameat(&folder, name, &hidden.folder, &hidden.name).is_err();
                }
                _ if existing == Existing::Refuse => {
                    let _ = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
                }
                _ => {}
            }
            return Err(fault);
        }
        facts_of(&self.file)
    }
}

/// A name that only we know, removed when it is dropped, unless it is an upload's that continues another day.
pub(super) struct Hidden {
    pub folder: OwnedFd,
    pub name: String,
    pub is_gone: bool,
    pub keeps: bool,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.is_gone && !self.keeps {
            let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Opens a new file in `folder` that nobody sees.
pub(super) fn begin(folder: OwnedFd, writing: Writing, mode: Mode) -> io::Result<(File, Option<Hidden>)> {
    if writing == Writing::Nameless {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, ".", flags, mode) {
            Ok(fd) => return Ok((File::from(fd), None)),
            // EISDIR is the word of kernels that have never heard of it.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(fault) => return Err(full(fault.into())),
        }
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (fd, name) = fresh_name(|name| rustix::fs::openat(&folder, name, flags, mode)).map_err(full)?;
    Ok((File::from(fd), Some(Hidden { folder, name, is_gone: false, keeps: false })))
}

/// Tries random hidden names until one is free.
fn fresh_name<T>(mut make: impl FnMut(&str) -> Result<T, Errno>) -> io::Result<(T, String)> {
    for _ in 0..FRESH_NAMES_MAX {
        let name = format!(".hythe-{:08x}.part", getrandom::u32().map_err(io::Error::other)?);
        match make(&name) {
            Err(Errno::EXIST) => {}
            Err(fault) => return Err(fault.into()),
            Ok(made) => return Ok((made, name)),
        }
    }
    Err(io::Error::other("no hidden name was free"))
}

/// Whether `name` is one that [`fresh_name`] gives.
pub(super) fn is_hidden_name(name: &[u8]) -> bool {
    let middle = name.strip_prefix(b".hythe-").and_then(|rest| rest.strip_suffix(b".part"));
    middle.is_some_and(|middle| middle.len() == 8 && middle.iter().all(u8::is_ascii_hexdigit))
}

/// Gives a nameless file its name, if that is free.
fn link(file: &File, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, source, folder, name, AtFlags::SYMLINK_FOLLOW)
}

fn link_hidden(file: &File, folder: OwnedFd) -> io::Result<Hidden> {
    let ((), name) = fresh_name(|name| link(file, &folder, name))?;
    Ok(Hidden { folder, name, is_gone: false, keeps: false })
}

/// Moves a name to a free one; the kernel says whether it is free.
pub(super) fn rename_new(from: &OwnedFd, name: &str, to: &OwnedFd, new: &str, kind: Kind) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        // NFS and 9p know no such flag. A link and a new folder cannot replace anything either.
        Err(Errno::INVAL | Errno::NOSYS) => rename_new_plainly(from, name, to, new, kind)?,
        answer => answer?,
    }
    Ok(())
}

pub(super) fn rename_new_plainly(from: &OwnedFd, name: &str, to: &OwnedFd, new: &str, kind: Kind) -> Result<(), Errno> {
    match kind {
        Kind::File => {
            rustix::fs::linkat(from, name, to, new, AtFlags::empty())?;
            rustix::fs::unlinkat(from, name, AtFlags::empty())
        }
        Kind::Folder => {
            rustix::fs::mkdirat(to, new, FOLDER_MODE)?;
            // An empty folder may be replaced by a folder. If not, ours goes again.
            rustix::fs::renameat(from, name, to, new).inspect_err(|_| {
                let _ = rustix::fs::unlinkat(to, new, AtFlags::REMOVEDIR);
            })
        }
    }
}

/// `IsADirectory` if a folder has that name. Between this look and the rename a folder can only come to be; then the
/// kernel refuses, since the source is a file.
pub(super) fn refuse_folder(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match facts_at(folder, name) {
        Ok(facts) if facts.kind == Kind::Folder => Err(io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    }
}

/// Reserves room. The size stays 0, so that a body that ends early does not leave a tail of zeros.
fn reserve(file: &File, from: u64, length: u64) -> io::Result<()> {
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, from, length)) {
        // A file system that cannot reserve will tell when it is full.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(fault) => Err(full(fault.into())),
    }
}

/// A quota that is used up is a full disk to whom it stops.
fn full(fault: io::Error) -> io::Error {
    match fault.kind() {
        io::ErrorKind::QuotaExceeded => io::ErrorKind::StorageFull.into(),
        _ => fault,
    }
}

/// Removes hidden names that nobody holds, in `folder` and `depth` folders below.
pub(super) fn sweep(folder: OwnedFd, depth: usize) -> io::Result<usize> {
    let mut swept = 0;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_hidden_name(name.to_bytes()) {
            swept +=
                usize::from(is_dead(&folder, name) && rustix::fs::unlinkat(&folder, name, AtFlags::empty()).is_ok());
            continue;
        }
        let may_be_folder = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if depth == 0 || !may_be_folder || name.to_bytes().starts_with(b".") {
            continue;
        }
        // What is no folder after all, or may not be entered, holds nothing of ours.
        if let Ok(below) = rustix::fs::openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            swept += sweep(below, depth - 1)?;
        }
    }
    Ok(swept)
}

/// Whether `name` is a file whose writer has gone: a living one holds its lock.
fn is_dead(folder: &OwnedFd, name: &std::ffi::CStr) -> bool {
    let Ok(fd) = rustix::fs::openat(folder, name, FILE | OFlags::NOFOLLOW, Mode::empty()) else { return false };
    facts_of(&fd).is_ok_and(|facts| facts.kind == Kind::File)
        && rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}
