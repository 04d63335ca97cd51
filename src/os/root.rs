//! A folder that was opened once, and how a path below it is resolved: by the kernel (`openat2`, `RESOLVE_BENEATH`), or, where it is
//! too old for that or a sandbox forbids the call, folder by folder without following links.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;

use crate::path::RelPath;
use crate::store::disk::Links;

/// `openat2` says `EAGAIN` when a rename raced with a `..` of a link; so often it is asked again.
const ASK_AGAIN_MAX: usize = 8;
/// A folder that is to be changed or listed. Not `O_PATH`, for it will be read or synced.
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A file to be read. Non-blocking, so that opening a FIFO does not wait for its writer.
pub(super) const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// A thing to be looked at, whatever it is.
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// A step of the walk.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What the disk and its drafts share.
pub(super) struct Root {
    pub(super) folder: OwnedFd,
    /// Where it lies, free of links; only used to tell whether a link's target is inside.
    pub(super) place: PathBuf,
    pub(super) links: Links,
    pub(super) way: Way,
    /// Whether it lies on a disk of this machine, so that what is in memory can be opened without waiting for anybody.
    pub(super) is_local: bool,
    /// Whether it may be written down on the disk that a file was read.
    pub(super) notes_reading: bool,
    /// Whether it lies in memory only.
    pub(super) is_memory: bool,
    /// Held by every draft there is as well: so many are being written at once.
    pub(super) drafts: Arc<()>,
    pub(super) writing: Writing,
    /// The modes of new files and of new folders, of which the umask may take away.
    pub(super) modes: [Mode; 2],
}

/// Who resolves paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `openat2`.
    Kernel,
    /// We do, a folder at a time.
    Walk,
}

/// How a draft is kept from sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// It has no name until its commit.
    Nameless,
    /// It has a hidden one.
    Hidden,
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

    /// Opens what `path` stands for if all that leads there is in memory; `WouldBlock` where it is not or cannot be told. It
    /// never leaves the file system of the root: another that is mounted below may be on the other side of a network.
    pub(super) fn resolve_now(&self, path: &RelPath<'_>, flags: OFlags) -> io::Result<OwnedFd> {
        if self.way == Way::Walk || !self.is_local {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let path = if path.is_root() { "." } else { path.as_str() };
        let way = beneath(self.links) | ResolveFlags::CACHED | ResolveFlags::NO_XDEV;
        // Whatever else is in the way, kernels before 5.12 included, is looked at more closely by who may wait.
        rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), way).map_err(|fault| match fault {
            Errno::NOENT => io::ErrorKind::NotFound.into(),
            _ => io::ErrorKind::WouldBlock.into(),
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
    pub(super) fn above<'p>(&self, path: &'p RelPath<'_>) -> io::Result<Option<(OwnedFd, &'p str)>> {
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else { return Ok(None) };
        Ok(Some((self.resolve(&folder, FOLDER)?, name)))
    }
}

/// What `openat2` is to hold to.
pub(super) fn beneath(links: Links) -> ResolveFlags {
    let always = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match links {
        Links::Inside => always,
        Links::Never => always | ResolveFlags::NO_SYMLINKS,
    }
}

/// File systems that open what they have in memory without asking a network or another process: those of statfs(2) that a
/// server's files lie on.
const LOCAL: [u64; 13] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xca45_1a4e, // bcachefs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    TMPFS,
    RAMFS,
    0x794c_7630, // overlayfs
    0x7371_7368, // SquashFS
    0xe0f5_e1e2, // EROFS
    0x2405_1905, // UBIFS
    0x72b6,      // JFFS2
];
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// Whether what is open lies on a disk of this machine.
pub(super) fn is_local(fd: impl AsFd) -> bool {
    file_system(fd).is_some_and(|kind| LOCAL.contains(&kind))
}

/// Whether its file system writes down when a file was read last.
pub(super) fn notes_reading(fd: impl AsFd) -> bool {
    let never = StatVfsMountFlags::NOATIME | StatVfsMountFlags::RDONLY;
    rustix::fs::fstatvfs(fd).is_ok_and(|facts| !facts.f_flag.intersects(never))
}

/// Whether what is open lies in memory only.
pub(super) fn is_memory(fd: impl AsFd) -> bool {
    file_system(fd).is_some_and(|kind| [TMPFS, RAMFS].contains(&kind))
}

/// The number that statfs(2) gives a kind of file system. It has 32 bits; the type of the field differs from machine to machine.
fn file_system(fd: impl AsFd) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    rustix::fs::fstatfs(fd).ok().map(|facts| u64::from(facts.f_type as u32))
}

fn errno(fault: io::Error) -> Errno {
    Errno::from_io_error(&fault).unwrap_or(Errno::NOENT)
}

pub(super) fn sync_folder(folder: &OwnedFd) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        // A file system whose folders cannot be synced keeps them by itself.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}
