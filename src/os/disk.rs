//! [`FolderDisk`]: the [`Disk`] that is a folder of the real file system.
//!
//! Nothing is ever reached by a path from the process's root or working folder: every verb starts at a descriptor of the
//! root folder, and the kernel resolves what lies below it (`openat2`, `RESOLVE_BENEATH`). Where the kernel is too old for
//! that, or a sandbox forbids the call, the path is walked folder by folder without following links. Verbs that change
//! something act on a name in an open folder, so a folder swapped for a link between check and deed leads nowhere.
//!
//! A file appears under its name in one step and whole: it is written without a name (`O_TMPFILE`), synced, then linked.
//! Where the file system cannot do that it is written under a hidden name that [`Disk::sweep`] knows.

use std::fs::{self, File};
use std::io::{self, IoSliceMut, Write};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{
    Advice, AtFlags, CWD, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags,
    StatxFlags,
};
use rustix::io::{Errno, ReadWriteFlags};

use crate::clock::Wall;
use crate::content::Content;
use crate::path::RelPath;
use crate::store::disk::{Disk, Draft, Existing, FileFacts, Item, Kind, Links, Opened, Unfinished};

/// `openat2` says `EAGAIN` when a rename raced with a `..` of a link; so often it is asked again.
const ASK_AGAIN_MAX: usize = 8;
/// How many random names are tried before we believe that something else is wrong.
const FRESH_NAMES_MAX: usize = 16;
/// What `read_ahead` reads at a time.
const TOUCH_BYTES: usize = 64 * 1024;
/// A sweep looks no deeper: twice what the API lets a client make.
const SWEEP_DEPTH_MAX: usize = 32;
/// New files may be read by all the umask allows, and written by us.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
/// New folders likewise.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);
/// What is private is so for the machine's other users too.
const PRIVATE: [Mode; 2] = [Mode::from_raw_mode(0o600), Mode::from_raw_mode(0o700)];
/// A folder that is to be changed or listed. Not `O_PATH`, for it will be read or synced.
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A file to be read. Non-blocking, so that opening a FIFO does not wait for its writer.
pub(super) const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// A thing to be looked at, whatever it is.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// A step of the walk.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder of the file system, opened once; nothing outside it can be reached through it.
#[derive(Clone)]
pub struct FolderDisk {
    pub(super) root: Arc<Root>,
}

/// What the disk and its drafts share.
pub(super) struct Root {
    pub(super) folder: OwnedFd,
    /// Where it lies, free of links; only used to tell whether a link's target is inside.
    place: PathBuf,
    links: Links,
    way: Way,
    writing: Writing,
    /// The modes of new files and of new folders, of which the umask may take away.
    pub(super) modes: [Mode; 2],
}

/// Who resolves paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `openat2`.
    Kernel,
    /// We do, a folder at a time.
    Walk,
}

/// How a draft is kept from sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// It has no name until its commit.
    Nameless,
    /// It has a hidden one.
    Hidden,
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
        Ok(FolderDisk { root: Arc::new(Root { folder, place, links, way, writing, modes }) })
    }
}

impl Disk for FolderDisk {
    fn open(&self, path: &RelPath<'_>) -> io::Result<Opened> {
        let fd = self.root.resolve(path, FILE).map_err(unseen)?;
        let facts = facts_of(&fd)?;
        if facts.kind == Kind::Folder {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let content = OpenFile { file: File::from(fd), size: facts.size, trust: AtomicU8::new(0) };
        Ok(Opened { facts, content: Arc::new(content) })
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
        let fd = self.root.resolve(folder, FOLDER)?;
        if let Some(length) = length {
            // Asked first, since a reservation that fails half-way has taken all there was from everybody else.
            if length > self.free_bytes()? {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let (file, hidden) = begin(fd, self.root.writing, self.root.modes[0])?;
        // The lock tells a sweep of another process that the writer lives. No reason to refuse where there are none: a
        // process that is alone sweeps before it writes.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        if let Some(length) = length.filter(|&length| length > 0) {
            reserve(&file, length)?;
        }
        Ok(Box::new(FolderDraft { root: Arc::clone(&self.root), file, hidden, is_synced: false }))
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
        let Some((from_folder, from_name)) = self.root.above(from)? else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let source = facts_at(&from_folder, from_name)?;
        let Some((to_folder, to_name)) = self.root.above(to)? else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        if existing == Existing::Replace && source.kind == Kind::File {
            refuse_folder(&to_folder, to_name)?;
            rustix::fs::renameat(&from_folder, from_name, &to_folder, to_name)?;
        } else {
            rename_new(&from_folder, from_name, &to_folder, to_name, source.kind)?;
        }
        sync_folder(&to_folder)?;
        if from.parent() != to.parent() {
            sync_folder(&from_folder)?;
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

    fn unfinished(&self) -> Option<&dyn Unfinished> {
        Some(self)
    }
}

impl Root {
    /// Opens what `path` stands for. Whatever lies outside, or behind a link that may not be followed, is `NotFound`.
    pub(super) fn resolve(&self, path: &RelPath<'_>, flags: OFlags) -> io::Result<OwnedFd> {
        self.reach(path.as_str(), flags).map_err(|fault| match fault {
            // ELOOP, EXDEV: a link that leads outside, in a ring, or is not to be followed. ENOTDIR: a file on the way.
            // ENXIO, ENODEV: a socket, or a device without a driver.
            Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::NXIO | Errno::NODEV => io::ErrorKind::NotFound.into(),
            fault => fault.into(),
        })
    }

    fn reach(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.way == Way::Kernel {
            let path = if path.is_empty() { "." } else { path };
            for _ in 0..ASK_AGAIN_MAX {
                match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), beneath(self.links)) {
                    Err(Errno::AGAIN) => {}
                    // Absolute links leave by definition, though their target may be inside.
                    Err(Errno::XDEV) if self.links == Links::Inside => break,
                    answer => return answer,
                }
            }
        }
        match self.links {
            Links::Never => self.walk(Path::new(path), flags),
            Links::Inside => {
                let target = fs::canonicalize(self.place.join(path)).map_err(errno)?;
                let inside = target.strip_prefix(&self.place).map_err(|_| Errno::XDEV)?;
                // No links are left in it; one that is put there now is not followed.
                self.walk(inside, flags)
            }
        }
    }

    /// Opens `path` a folder at a time, following nothing.
    fn walk(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut folder: Option<OwnedFd> = None;
        for segment in path.parent().into_iter().flatten() {
            let above = folder.as_ref().map_or(self.folder.as_fd(), AsFd::as_fd);
            folder = Some(rustix::fs::openat(above, segment, STEP, Mode::empty())?);
        }
        let above = folder.as_ref().map_or(self.folder.as_fd(), AsFd::as_fd);
        let name = path.file_name().unwrap_or(".".as_ref());
        rustix::fs::openat(above, name, flags | OFlags::NOFOLLOW, Mode::empty())
    }

    /// The open folder that `path` lies in, and its name there; `None` for the root.
    fn above<'p>(&self, path: &'p RelPath<'_>) -> io::Result<Option<(OwnedFd, &'p str)>> {
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else { return Ok(None) };
        Ok(Some((self.resolve(&folder, FOLDER)?, name)))
    }
}

/// What `openat2` is to hold to.
fn beneath(links: Links) -> ResolveFlags {
    let always = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match links {
        Links::Inside => always,
        Links::Never => always | ResolveFlags::NO_SYMLINKS,
    }
}

fn errno(fault: io::Error) -> Errno {
    Errno::from_io_error(&fault).unwrap_or(Errno::NOENT)
}

/// To one who only reads, a name too long to exist is one that does not exist.
fn unseen(fault: io::Error) -> io::Error {
    match fault.kind() {
        io::ErrorKind::InvalidFilename => io::ErrorKind::NotFound.into(),
        _ => fault,
    }
}

/// The facts of something open.
fn facts_of(fd: impl AsFd) -> io::Result<FileFacts> {
    facts_by(fd, "", AtFlags::EMPTY_PATH)
}

/// The facts of a name in a folder; a link is followed nowhere and so is `NotFound`.
fn facts_at(folder: impl AsFd, name: &str) -> io::Result<FileFacts> {
    facts_by(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn facts_by(fd: impl AsFd, name: &str, flags: AtFlags) -> io::Result<FileFacts> {
    let stat = rustix::fs::statx(fd, name, flags, StatxFlags::BASIC_STATS)?;
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let device = u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor);
    let (modified, changed) = (stat.stx_mtime, stat.stx_ctime);
    let version = [
        device,
        stat.stx_ino,
        stat.stx_size,
        modified.tv_sec.cast_unsigned(),
        changed.tv_sec.cast_unsigned(),
        u64::from(modified.tv_nsec) << 32 | u64::from(changed.tv_nsec),
    ]
    .into_iter()
    .fold(0, mix);
    // Before 1970 is 1970: no client can tell the difference, and Wall has no sign.
    let seconds = u64::try_from(modified.tv_sec).unwrap_or(0);
    let modified = Wall::from_seconds(seconds).plus(u64::from(modified.tv_nsec) / 1_000_000);
    Ok(FileFacts { kind, size: stat.stx_size, modified, version })
}

/// Takes `value` into `sum` so that every bit of it moves about half of the sum's (the finalizer of SplitMix64).
fn mix(sum: u64, value: u64) -> u64 {
    let mut sum = (sum ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

/// A regular file, open for reading.
struct OpenFile {
    file: File,
    size: u64,
    /// So many looks at a small file are spared: it was warm a moment ago.
    trust: AtomicU8,
}

/// A file up to this size that was found warm is taken to be so for the next [`TRUST`] looks: two system calls for each request
/// would be a tenth of the price of sending it. Should it have left memory meanwhile, one answer waits for the disk.
const SMALL_BYTES: u64 = 1 << 20;
const TRUST: u8 = 31;

impl Content for OpenFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    /// Looks at both ends only: read-ahead fills from the front, reclaim takes from anywhere but seldom from the middle alone.
    fn is_warm(&self, offset: u64, length: u64) -> bool {
        let Some(last) = length.checked_sub(1).and_then(|more| offset.checked_add(more)) else { return length == 0 };
        let is_small = self.size <= SMALL_BYTES && last < self.size;
        let trust = self.trust.load(Ordering::Relaxed);
        if is_small && trust > 0 {
            self.trust.store(trust - 1, Ordering::Relaxed);
            return true;
        }
        let is_warm = [offset, last].into_iter().all(|at| {
            let mut byte = [0];
            // Some kernels say 0 for what is merely cold, and so does the end of the file: neither is warm.
            let came = rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
            came == Ok(1)
        });
        self.trust.store(if is_warm && is_small { TRUST } else { 0 }, Ordering::Relaxed);
        is_warm
    }

    fn read_ahead(&self, offset: u64, length: u64) {
        let Some(length) = NonZeroU64::new(length) else { return };
        // Advice starts the disk on the whole stretch; reading is what waits for it.
        let _ = rustix::fs::fadvise(&self.file, offset, Some(length), Advice::WillNeed);
        let end = offset.saturating_add(length.get());
        let mut buffer = vec![0; TOUCH_BYTES.min(usize::try_from(length.get()).unwrap_or(TOUCH_BYTES))];
        let mut at = offset;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(TOUCH_BYTES).min(buffer.len());
            match self.file.read_at(&mut buffer[..wanted], at) {
                Ok(0) | Err(_) => return,
                Ok(came) => at += came as u64,
            }
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// A file that has no name yet, or only a hidden one.
pub(super) struct FolderDraft {
    pub root: Arc<Root>,
    pub file: File,
    pub hidden: Option<Hidden>,
    pub is_synced: bool,
}

impl Draft for FolderDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_synced = false;
        self.file.write_all(bytes).map_err(full)
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            // Some file systems tell of a full disk only here.
            self.file.sync_all().map_err(full)?;
            self.is_synced = true;
        }
        Ok(())
    }

    fn copy_to(&mut self, other: &mut dyn Draft) -> io::Result<()> {
        let mut buffer = vec![0; TOUCH_BYTES];
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
fn begin(folder: OwnedFd, writing: Writing, mode: Mode) -> io::Result<(File, Option<Hidden>)> {
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
fn is_hidden_name(name: &[u8]) -> bool {
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
fn rename_new(from: &OwnedFd, name: &str, to: &OwnedFd, new: &str, kind: Kind) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        // NFS and 9p know no such flag. A link and a new folder cannot replace anything either.
        Err(Errno::INVAL | Errno::NOSYS) => rename_new_plainly(from, name, to, new, kind)?,
        answer => answer?,
    }
    Ok(())
}

fn rename_new_plainly(from: &OwnedFd, name: &str, to: &OwnedFd, new: &str, kind: Kind) -> Result<(), Errno> {
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
fn refuse_folder(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match facts_at(folder, name) {
        Ok(facts) if facts.kind == Kind::Folder => Err(io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    }
}

/// Reserves room. The size stays 0, so that a body that ends early does not leave a tail of zeros.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length)) {
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

pub(super) fn sync_folder(folder: &OwnedFd) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        // A file system whose folders cannot be synced keeps them by itself.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// Removes hidden names that nobody holds, in `folder` and `depth` folders below.
fn sweep(folder: OwnedFd, depth: usize) -> io::Result<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own for one test, gone with it.
    struct Room(PathBuf);

    impl Room {
        fn new() -> Room {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("hythe-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let place = std::env::temp_dir().join(name);
            fs::create_dir_all(place.join("root")).unwrap();
            Room(fs::canonicalize(place).unwrap())
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.join(path)
        }

        fn file(&self, path: &str, text: &str) {
            fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            fs::write(self.at(path), text).unwrap();
        }

        fn disk(&self, links: Links) -> FolderDisk {
            FolderDisk::open(&self.at("root"), links).unwrap()
        }

        /// Names directly in `folder`, hidden ones too.
        fn names(&self, folder: &str) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(self.at(folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl FolderDisk {
        fn but(&self, way: Way, writing: Writing) -> FolderDisk {
            let Root { folder, place, links, .. } = &*self.root;
            let (folder, place) = (folder.try_clone().unwrap(), place.clone());
            FolderDisk {
                root: Arc::new(Root { folder, place, links: *links, way, writing, modes: [FILE_MODE, FOLDER_MODE] }),
            }
        }
    }

    fn path(text: &str) -> RelPath<'_> {
        RelPath::from_plain(text).unwrap()
    }

    fn text(disk: &FolderDisk, name: &str) -> Result<String, ErrorKind> {
        let opened = disk.open(&path(name)).map_err(|fault| fault.kind())?;
        let mut bytes = vec![0; usize::try_from(opened.facts.size).unwrap()];
        let came = opened.content.read_at(&mut bytes, 0).unwrap();
        assert_eq!(came, bytes.len());
        Ok(String::from_utf8(bytes).unwrap())
    }

    fn put(disk: &FolderDisk, name: &str, text: &str, existing: Existing) -> Result<FileFacts, ErrorKind> {
        let path = path(name);
        let mut draft = disk.draft(&path.parent().unwrap(), Some(text.len() as u64)).map_err(|fault| fault.kind())?;
        draft.write(text.as_bytes()).unwrap();
        draft.commit(&path, existing).map_err(|fault| fault.kind())
    }

    const WAYS: [Way; 2] = [Way::Kernel, Way::Walk];
    const WRITINGS: [Writing; 2] = [Writing::Nameless, Writing::Hidden];

    #[test]
    fn links_are_followed_inside_or_never_by_kernel_and_walk_alike() {
        let room = Room::new();
        room.file("outside.txt", "secret");
        room.file("root/plain.txt", "plain");
        room.file("root/in/deep.txt", "deep");
        for (target, name) in [
            ("plain.txt", "root/link"),
            ("../plain.txt", "root/in/up"),
            ("in", "root/door"),
            ("../outside.txt", "root/leak"),
            ("..", "root/hatch"),
            ("/etc/passwd", "root/passwd"),
            ("/proc/self/root", "root/magic"),
            ("ring", "root/ring"),
            ("nothing", "root/dangling"),
        ] {
            symlink(target, room.at(name)).unwrap();
        }
        symlink(room.at("root/in/deep.txt"), room.at("root/absolute")).unwrap();
        symlink(room.at("root/in"), room.at("root/absolute-door")).unwrap();
        symlink(room.at("outside.txt"), room.at("root/absolute-leak")).unwrap();

        const GONE: Result<&str, ErrorKind> = Err(ErrorKind::NotFound);
        let folder = Err(ErrorKind::IsADirectory);
        for (name, inside, never) in [
            ("plain.txt", Ok("plain"), Ok("plain")),
            ("in/deep.txt", Ok("deep"), Ok("deep")),
            ("in", folder, folder),
            ("", folder, folder),
            ("nothing", GONE, GONE),
            ("plain.txt/x", GONE, GONE),
            ("link", Ok("plain"), GONE),
            ("in/up", Ok("plain"), GONE),
            ("door/deep.txt", Ok("deep"), GONE),
            ("door/up", Ok("plain"), GONE),
            ("absolute", Ok("deep"), GONE),
            ("absolute-door/deep.txt", Ok("deep"), GONE),
            ("absolute-leak", GONE, GONE),
            ("leak", GONE, GONE),
            ("hatch/outside.txt", GONE, GONE),
            // A link that leaves and comes back has its target inside.
            ("hatch/root/plain.txt", Ok("plain"), GONE),
            ("passwd", GONE, GONE),
            ("magic/etc/passwd", GONE, GONE),
            ("ring", GONE, GONE),
            ("dangling", GONE, GONE),
        ] {
            for way in WAYS {
                for (links, expected) in [(Links::Inside, inside), (Links::Never, never)] {
                    let disk = room.disk(links).but(way, Writing::Nameless);
                    let found = text(&disk, name);
                    assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{name}: {links:?}, {way:?}");
                    let facts = disk.facts(&path(name)).map_err(|fault| fault.kind());
                    assert_eq!(facts.is_ok(), expected != GONE, "{name}: {links:?}, {way:?}: {facts:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_files_is_content_and_nothing_blocks() {
        let room = Room::new();
        let fifo = room.at("root/fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(room.at("root/socket")).unwrap();
        for way in WAYS {
            let disk = room.disk(Links::Inside).but(way, Writing::Nameless);
            for name in ["fifo", "socket"] {
                assert_eq!(text(&disk, name), Err(ErrorKind::NotFound), "{name}, {way:?}");
                assert_eq!(disk.facts(&path(name)).unwrap_err().kind(), ErrorKind::NotFound);
                assert_eq!(disk.remove(&path(name)).unwrap_err().kind(), ErrorKind::NotFound);
            }
            assert_eq!(disk.list(&RelPath::ROOT).unwrap(), []);
        }
    }

    #[test]
    fn a_name_too_long_is_not_there_and_cannot_be_made() {
        let room = Room::new();
        let disk = room.disk(Links::Never);
        let long = "x".repeat(256);
        assert_eq!(text(&disk, &long), Err(ErrorKind::NotFound));
        assert_eq!(put(&disk, &long, "x", Existing::Refuse), Err(ErrorKind::InvalidFilename));
        assert!(put(&disk, &long[1..], "x", Existing::Refuse).is_ok());
    }

    #[test]
    fn a_list_has_what_can_be_asked_for_and_no_more() {
        let room = Room::new();
        room.file("root/a.txt", "12345");
        room.file("root/folder/x", "");
        room.file("root/.hidden", "");
        room.file("root/back\\slash", "");
        room.file("root/new\nline", "");
        room.file("outside", "");
        symlink("a.txt", room.at("root/link")).unwrap();
        symlink("../outside", room.at("root/leak")).unwrap();
        let names = |links, way| {
            let mut items = room.disk(links).but(way, Writing::Nameless).list(&RelPath::ROOT).unwrap();
            items.sort_by(|a, b| a.name.cmp(&b.name));
            items.into_iter().map(|item| (item.name, item.facts.kind, item.facts.size)).collect::<Vec<_>>()
        };
        for way in WAYS {
            let found = names(Links::Inside, way);
            let sizes: Vec<_> = found.iter().map(|(name, kind, size)| (name.as_str(), *kind, *size)).collect();
            assert_eq!(sizes[0], ("a.txt", Kind::File, 5));
            assert_eq!((sizes[1].0, sizes[1].1), ("folder", Kind::Folder));
            assert_eq!(sizes[2..], [("link", Kind::File, 5)]);
            assert_eq!(names(Links::Never, way).len(), 2);
        }
        let disk = room.disk(Links::Never);
        assert_eq!(disk.list(&path("a.txt")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.list(&path("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_draft_is_seen_only_when_committed_and_leaves_nothing_when_dropped() {
        for writing in WRITINGS {
            let room = Room::new();
            let disk = room.disk(Links::Never).but(Way::Kernel, writing);
            let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
            draft.write(b"half").unwrap();
            assert_eq!(disk.list(&RelPath::ROOT).unwrap(), []);
            drop(draft);
            assert_eq!(room.names("root"), [""; 0], "{writing:?}");

            let facts = put(&disk, "a.txt", "whole", Existing::Refuse).unwrap();
            assert_eq!(text(&disk, "a.txt").as_deref(), Ok("whole"));
            assert_eq!(disk.facts(&path("a.txt")).unwrap(), facts, "the committed facts are the lasting ones");
            assert_eq!(room.names("root"), ["a.txt"], "{writing:?}");
        }
    }

    #[test]
    fn a_taken_name_is_refused_or_replaced_but_never_a_folder() {
        for writing in WRITINGS {
            let room = Room::new();
            let disk = room.disk(Links::Never).but(Way::Walk, writing);
            room.file("root/folder/x", "");
            let old = put(&disk, "a.txt", "old", Existing::Refuse).unwrap();
            assert_eq!(put(&disk, "a.txt", "new", Existing::Refuse), Err(ErrorKind::AlreadyExists));
            assert_eq!(text(&disk, "a.txt").as_deref(), Ok("old"));
            let new = put(&disk, "a.txt", "new", Existing::Replace).unwrap();
            assert_eq!(text(&disk, "a.txt").as_deref(), Ok("new"));
            assert_ne!(old.version, new.version);
            assert_eq!(disk.facts(&path("a.txt")).unwrap(), new);
            assert_eq!(put(&disk, "folder", "x", Existing::Refuse), Err(ErrorKind::AlreadyExists));
            assert_eq!(put(&disk, "folder", "x", Existing::Replace), Err(ErrorKind::IsADirectory));
            assert!(put(&disk, "folder/made", "x", Existing::Replace).is_ok());
            assert_eq!(put(&disk, "nowhere/x", "x", Existing::Refuse), Err(ErrorKind::NotFound));
            assert_eq!(room.names("root"), ["a.txt", "folder"], "{writing:?}");
        }
    }

    #[test]
    fn a_refused_draft_may_take_another_name() {
        for writing in WRITINGS {
            let room = Room::new();
            let disk = room.disk(Links::Never).but(Way::Kernel, writing);
            room.file("root/a.txt", "old");
            let mut draft = disk.draft(&RelPath::ROOT, Some(3)).unwrap();
            draft.write(b"new").unwrap();
            let refused = draft.commit(&path("a.txt"), Existing::Refuse).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
            draft.commit(&path("b.txt"), Existing::Refuse).unwrap();
            drop(draft);
            assert_eq!(text(&disk, "a.txt").as_deref(), Ok("old"));
            assert_eq!(text(&disk, "b.txt").as_deref(), Ok("new"));
            assert_eq!(room.names("root"), ["a.txt", "b.txt"], "{writing:?}");
        }
    }

    #[test]
    fn a_draft_does_not_follow_a_link_at_its_name() {
        for writing in WRITINGS {
            let room = Room::new();
            let disk = room.disk(Links::Never).but(Way::Kernel, writing);
            room.file("outside", "safe");
            symlink("../outside", room.at("root/a.txt")).unwrap();
            assert_eq!(put(&disk, "a.txt", "new", Existing::Refuse), Err(ErrorKind::AlreadyExists));
            put(&disk, "a.txt", "new", Existing::Replace).unwrap();
            assert_eq!(fs::read_to_string(room.at("outside")).unwrap(), "safe");
            assert_eq!(text(&disk, "a.txt").as_deref(), Ok("new"));
        }
    }

    #[test]
    fn more_than_the_disk_holds_is_refused_before_a_byte() {
        let room = Room::new();
        for writing in WRITINGS {
            let disk = room.disk(Links::Never).but(Way::Kernel, writing);
            let too_much = disk.free_bytes().unwrap() + (1 << 40);
            let refused = disk.draft(&RelPath::ROOT, Some(too_much)).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::StorageFull);
            assert_eq!(room.names("root"), [""; 0]);
        }
    }

    #[test]
    fn a_body_shorter_than_its_reservation_has_its_own_size() {
        let room = Room::new();
        let disk = room.disk(Links::Never);
        let mut draft = disk.draft(&RelPath::ROOT, Some(100_000)).unwrap();
        draft.write(b"short").unwrap();
        assert_eq!(draft.commit(&path("a"), Existing::Refuse).unwrap().size, 5);
    }

    #[test]
    fn renames_refuse_replace_and_stay_out_of_themselves() {
        let room = Room::new();
        let disk = room.disk(Links::Never);
        let rename = |from: &str, to: &str, existing| {
            disk.rename(&path(from), &path(to), existing).map_err(|fault| fault.kind())
        };
        room.file("root/a", "a");
        room.file("root/b", "b");
        room.file("root/f/x", "x");
        fs::create_dir(room.at("root/empty")).unwrap();
        symlink("a", room.at("root/link")).unwrap();
        use Existing::{Refuse, Replace};
        for (from, to, existing, expected) in [
            ("a", "b", Refuse, Err(ErrorKind::AlreadyExists)),
            ("a", "f", Refuse, Err(ErrorKind::AlreadyExists)),
            ("a", "f", Replace, Err(ErrorKind::IsADirectory)),
            ("f", "b", Replace, Err(ErrorKind::AlreadyExists)),
            ("f", "empty", Replace, Err(ErrorKind::AlreadyExists)),
            ("f", "f/inner", Refuse, Err(ErrorKind::InvalidInput)),
            ("f", "f/inner", Replace, Err(ErrorKind::InvalidInput)),
            ("", "f/inner", Refuse, Err(ErrorKind::InvalidInput)),
            ("a", "", Replace, Err(ErrorKind::AlreadyExists)),
            ("a", "a", Refuse, Err(ErrorKind::AlreadyExists)),
            ("a", "a", Replace, Ok(())),
            ("link", "c", Refuse, Err(ErrorKind::NotFound)),
            ("none", "c", Refuse, Err(ErrorKind::NotFound)),
            ("a", "nowhere/c", Refuse, Err(ErrorKind::NotFound)),
            ("a", "f/a", Refuse, Ok(())),
            ("f/a", "b", Replace, Ok(())),
            ("f", "ff", Refuse, Ok(())),
        ] {
            assert_eq!(rename(from, to, existing), expected, "{from} to {to}, {existing:?}");
        }
        assert_eq!(room.names("root"), ["b", "empty", "ff", "link"]);
        assert_eq!(text(&disk, "b").as_deref(), Ok("a"));
    }

    #[test]
    fn without_the_kernels_flag_a_name_is_still_taken_only_if_free() {
        let room = Room::new();
        room.file("root/a", "a");
        room.file("root/b", "b");
        room.file("root/f/x", "x");
        let disk = room.disk(Links::Never);
        let folder = disk.root.resolve(&RelPath::ROOT, FOLDER).unwrap();
        let rename = |from: &str, to: &str, kind| rename_new_plainly(&folder, from, &folder, to, kind);
        assert_eq!(rename("a", "b", Kind::File), Err(Errno::EXIST));
        assert_eq!(rename("a", "f", Kind::File), Err(Errno::EXIST));
        assert_eq!(rename("f", "a", Kind::Folder), Err(Errno::EXIST));
        assert_eq!(rename("a", "c", Kind::File), Ok(()));
        assert_eq!(rename("f", "g", Kind::Folder), Ok(()));
        assert_eq!(rename("none", "h", Kind::Folder), Err(Errno::NOENT));
        assert_eq!(room.names("root"), ["b", "c", "g"]);
        assert_eq!(text(&disk, "g/x").as_deref(), Ok("x"));
    }

    #[test]
    fn folders_are_made_one_at_a_time_and_removed_only_when_empty() {
        let room = Room::new();
        for way in WAYS {
            let disk = room.disk(Links::Never).but(way, Writing::Nameless);
            let make = |name: &str| disk.make_folder(&path(name)).map_err(|fault| fault.kind());
            let remove = |name: &str| disk.remove(&path(name)).map_err(|fault| fault.kind());
            assert_eq!(make("a/b"), Err(ErrorKind::NotFound));
            assert_eq!(make("a"), Ok(()));
            assert_eq!(make("a"), Err(ErrorKind::AlreadyExists));
            assert_eq!(make(""), Err(ErrorKind::AlreadyExists));
            put(&disk, "a/x", "x", Existing::Refuse).unwrap();
            assert_eq!(remove("a"), Err(ErrorKind::DirectoryNotEmpty));
            assert_eq!(remove("a/x"), Ok(()));
            assert_eq!(remove("a/x"), Err(ErrorKind::NotFound));
            assert_eq!(remove("a"), Ok(()));
            assert_eq!(remove(""), Err(ErrorKind::InvalidInput));
        }
    }

    #[test]
    fn a_folder_swapped_for_a_link_leads_no_change_outside() {
        let room = Room::new();
        room.file("else/x", "safe");
        symlink("../else", room.at("root/f")).unwrap();
        for way in WAYS {
            for links in [Links::Inside, Links::Never] {
                let disk = room.disk(links).but(way, Writing::Nameless);
                assert_eq!(disk.remove(&path("f/x")).unwrap_err().kind(), ErrorKind::NotFound);
                assert_eq!(disk.make_folder(&path("f/y")).unwrap_err().kind(), ErrorKind::NotFound);
                assert_eq!(put(&disk, "f/z", "x", Existing::Replace), Err(ErrorKind::NotFound));
                let moved = disk.rename(&path("f/x"), &path("x"), Existing::Refuse);
                assert_eq!(moved.unwrap_err().kind(), ErrorKind::NotFound);
            }
        }
        assert_eq!(room.names("else"), ["x"]);
    }

    #[test]
    fn a_version_changes_with_content_and_stays_without() {
        let room = Room::new();
        room.file("root/a", "one");
        let disk = room.disk(Links::Inside);
        let version = || disk.facts(&path("a")).unwrap().version;
        let first = version();
        assert_eq!(version(), first);
        assert_eq!(disk.open(&path("a")).unwrap().facts.version, first);
        room.file("root/a", "four");
        assert_ne!(version(), first);
        let second = version();
        let file = File::options().write(true).open(room.at("root/a")).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified + std::time::Duration::from_nanos(1)).unwrap();
        assert_ne!(version(), second);
    }

    #[test]
    fn a_stretch_is_warm_once_read_ahead_and_never_beyond_the_end() {
        let room = Room::new();
        room.file("root/a", &"x".repeat(300_000));
        let opened = room.disk(Links::Inside).open(&path("a")).unwrap();
        let content = opened.content;
        content.read_ahead(0, 300_000);
        let mut byte = [0];
        let fd = content.fd().unwrap();
        let probe = rustix::io::preadv2(fd, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
        if probe == Err(Errno::OPNOTSUPP) {
            return;
        }
        assert!(content.is_warm(0, 300_000));
        assert!(content.is_warm(299_999, 1));
        assert!(content.is_warm(0, 0));
        assert!(!content.is_warm(0, 300_001));
        assert!(!content.is_warm(300_000, 1));
        assert!(!content.is_warm(u64::MAX, 2));
        content.read_ahead(299_999, u64::MAX);
    }

    #[test]
    fn a_sweep_takes_the_dead_and_leaves_the_living_and_the_strange() {
        let room = Room::new();
        let disk = room.disk(Links::Never).but(Way::Kernel, Writing::Hidden);
        room.file("else/.hythe-00000000.part", "not ours to reach");
        symlink("../else", room.at("root/door")).unwrap();
        for name in [".hythe-0a1b2c3d.part", "a/b/.hythe-ffffffff.part"] {
            room.file(&format!("root/{name}"), "dead");
        }
        for name in [".hythe-0a1b2c3d.parts", ".hythe-xyz.part", "a/kept.part", ".hythe-0a1b2c3dd.part"] {
            room.file(&format!("root/{name}"), "strange");
        }
        symlink("a/kept.part", room.at("root/.hythe-11111111.part")).unwrap();
        let mut living = disk.draft(&path("a"), None).unwrap();
        living.write(b"alive").unwrap();

        assert_eq!(disk.sweep().unwrap(), 2);
        living.commit(&path("a/alive"), Existing::Refuse).unwrap();
        assert_eq!(disk.sweep().unwrap(), 0);
        assert_eq!(room.names("root/a"), ["alive", "b", "kept.part"]);
        assert_eq!(room.names("root/a/b"), [""; 0]);
        assert_eq!(room.names("else").len(), 1);
        assert_eq!(room.names("root").len(), 6);
    }
}
