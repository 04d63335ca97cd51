//! What is known of a file, and one that is open to be read.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Advice, AtFlags, FileType, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::path::Arg;

use crate::clock::Wall;
use crate::content::Content;
use crate::os::root::is_memory;
use crate::store::disk::{FileFacts, Kind};

/// What `read_ahead` reads at a time.
const TOUCH_BYTES: usize = 64 * 1024;

/// The facts of something open.
pub(super) fn facts_of(fd: impl AsFd) -> io::Result<FileFacts> {
    facts_by(fd, "", AtFlags::EMPTY_PATH)
}

/// The facts of a name in a folder; a link is followed nowhere and so is `NotFound`.
pub(super) fn facts_at(folder: impl AsFd, name: &str) -> io::Result<FileFacts> {
    facts_by(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn facts_by(fd: impl AsFd, name: impl Arg, flags: AtFlags) -> io::Result<FileFacts> {
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

/// A day, after which Linux writes down anew that a file was read (mount(8), `relatime`); an hour less, for clocks that differ.
const NOTED_FOR_S: u64 = 23 * 60 * 60;

/// Whether it would be written down on the disk if this were read now: for the first time since it was changed, or since a day. To
/// write it down takes its turn in the file system's journal, and with a busy disk that is long.
fn is_reading_noted(fd: impl AsFd) -> io::Result<bool> {
    let facts = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    let when = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
    let read = when(facts.stx_atime);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_old = now.saturating_sub(u64::try_from(read.0).unwrap_or(0)) > NOTED_FOR_S;
    Ok(is_old || read <= when(facts.stx_mtime) || read <= when(facts.stx_ctime))
}

/// Takes `value` into `sum` so that every bit of it moves about half of the sum's (the finalizer of SplitMix64).
pub(super) fn mix(sum: u64, value: u64) -> u64 {
    let mut sum = (sum ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

/// A regular file, open for reading.
pub(super) struct OpenFile {
    pub file: File,
    pub size: u64,
    /// Whether it may be written down on the disk that it was read.
    pub notes_reading: bool,
    /// So many looks at a small file are spared: it was warm a moment ago.
    pub trust: AtomicU8,
}

/// A file up to this size that was found warm is taken to be so for the next [`TRUST`] looks: two system calls for each request
/// would be a tenth of the price of sending it. Should it have left memory meanwhile, one answer waits for the disk.
const SMALL_BYTES: u64 = 1 << 20;
const TRUST: u8 = 31;
/// What lies in memory only is warm for good. Its file system may not know the question.
const ALWAYS: u8 = u8::MAX;

impl OpenFile {
    /// Asked once of a file whose system cannot tell what is in memory; remembered if all of it is.
    fn lies_in_memory(&self) -> bool {
        let is_memory = is_memory(&self.file);
        if is_memory {
            self.trust.store(ALWAYS, Ordering::Relaxed);
        }
        is_memory
    }
}

impl Content for OpenFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn read_now(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.trust.load(Ordering::Relaxed) == ALWAYS {
            return self.read_at(into, offset);
        }
        if self.notes_reading && is_reading_noted(&self.file)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            Err(Errno::OPNOTSUPP) if self.lies_in_memory() => self.read_at(into, offset),
            // A fault too is told by who may wait for the disk.
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Looks at both ends only: read-ahead fills from the front, reclaim takes from anywhere but seldom from the middle alone.
    fn is_warm(&self, offset: u64, length: u64) -> bool {
        let Some(last) = length.checked_sub(1).and_then(|more| offset.checked_add(more)) else { return length == 0 };
        let is_small = self.size <= SMALL_BYTES && last < self.size;
        let trust = self.trust.load(Ordering::Relaxed);
        if trust == ALWAYS {
            return true;
        }
        if is_small && trust > 0 {
            self.trust.store(trust - 1, Ordering::Relaxed);
            return true;
        }
        let is_warm = [offset, last].into_iter().all(|at| {
            let mut byte = [0];
            // Some kernels say 0 for what is merely cold, and so does the end of the file: neither is warm.
            match rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
                Err(Errno::OPNOTSUPP) => self.lies_in_memory(),
                came => came == Ok(1),
            }
        });
        if self.trust.load(Ordering::Relaxed) == ALWAYS {
            return true;
        }
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
