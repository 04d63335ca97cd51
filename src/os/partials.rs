//! Uploads that may continue another day, in a hidden folder of the tree they will come to lie in: so their last step is a
//! rename, as atomic as any other. No path that a client can name leads there, and neither lists nor sweeps enter it.
//!
//! Of each there are two files, named by its id: the content, which only grows (or is cut back), and `.info`, the state, which
//! is replaced as a whole. The state goes last, so content that stays without one is a leftover.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::clock::Wall;
use crate::os::disk::FolderDisk;
use crate::os::draft::{FolderDraft, Hidden};
use crate::os::root::{FILE, FOLDER, sync_folder};
use crate::path::RelPath;
use crate::store::disk::{Claim, Growing, PartialId, Unfinished};

/// The folder.
const NOOK: &str = ".hythe-tus";
/// Nobody else has a look.
const NOOK_MODE: Mode = Mode::from_raw_mode(0o700);
/// A state is smaller than a request's head.
const STATE_BYTES_MAX: u64 = 64 << 10;
/// What no upload has taken in its first moments it never will.
const LEFTOVER_AFTER: Duration = Duration::from_secs(60);
/// Where Linux tells which run of the machine this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

fn info_name(id: PartialId) -> String {
    format!("{id}.info")
}

impl FolderDisk {
    /// The open folder.
    fn nook(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.root.folder, NOOK, FOLDER | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// The same, made if it is missing.
    fn make_nook(&self) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(&self.root.folder, NOOK, NOOK_MODE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return self.nook(),
            Err(fault) => return Err(fault.into()),
        }
        sync_folder(&self.root.resolve(&RelPath::ROOT, FOLDER)?)?;
        self.nook()
    }
}

/// Replaces a state in one step.
fn write_state(nook: &OwnedFd, id: PartialId, state: &[u8]) -> io::Result<()> {
    let (name, fresh) = (info_name(id), format!("{id}.new"));
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(nook, &fresh, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(state)?;
    file.sync_all()?;
    rustix::fs::renameat(nook, &fresh, nook, &name)?;
    sync_folder(nook)
}

fn read_state(nook: &OwnedFd, id: PartialId) -> io::Result<Vec<u8>> {
    let file = File::from(rustix::fs::openat(nook, info_name(id), FILE | OFlags::NOFOLLOW, Mode::empty())?);
    let mut state = Vec::new();
    file.take(STATE_BYTES_MAX).read_to_end(&mut state)?;
    Ok(state)
}

fn remove(nook: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(nook, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// Removes a leftover; what is young may be at work in another process, or another thread of this one.
fn remove_if_old(nook: &OwnedFd, name: &str) -> io::Result<()> {
    let changed = match rustix::fs::statat(nook, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => UNIX_EPOCH + Duration::from_secs(u64::try_from(stat?.st_mtime).unwrap_or(0)),
    };
    // What is from the future is as young as anything.
    match SystemTime::now().duration_since(changed) {
        Ok(age) if age >= LEFTOVER_AFTER => remove(nook, name),
        _ => Ok(()),
    }
}

impl Unfinished for FolderDisk {
    fn begin(&self, state: &[u8]) -> io::Result<PartialId> {
        let nook = self.make_nook()?;
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let id = PartialId::new(bytes);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&nook, id.to_string(), flags, self.root.modes[0])?;
        write_state(&nook, id, state).inspect_err(|_| {
            // Nobody knows its id: it would lie there until the next start.
            let _ = remove(&nook, &id.to_string());
        })?;
        Ok(id)
    }

    fn mark(&self, id: PartialId, state: &[u8]) -> io::Result<()> {
        write_state(&self.nook()?, id, state)
    }

    fn resume(&self, id: PartialId) -> io::Result<Box<dyn Growing>> {
        let (nook, name) = (self.nook()?, id.to_string());
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&nook, &name, flags, Mode::empty())?);
        let hidden = Some(Hidden { folder: nook, name, is_gone: false, keeps: true });
        let size = file.metadata()?.len();
        Ok(Box::new(FolderDraft::new(self.root.clone(), file, hidden, size, None)))
    }

    fn claim(&self, id: PartialId) -> io::Result<Option<Claim>> {
        let file = rustix::fs::openat(self.nook()?, id.to_string(), FILE | OFlags::NOFOLLOW, Mode::empty())?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            // Where there are no locks nobody can be kept from it, and nobody is there whom we took the place of.
            _ => Ok(Some(Arc::new(file))),
        }
    }

    fn size(&self, id: PartialId) -> io::Result<u64> {
        let stat = rustix::fs::statat(self.nook()?, id.to_string(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn changed(&self, id: PartialId) -> io::Result<Wall> {
        let stat = rustix::fs::statat(self.nook()?, id.to_string(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Wall::from_seconds(u64::try_from(stat.st_mtime).unwrap_or(0)))
    }

    fn give_up(&self, id: PartialId) -> io::Result<()> {
        let nook = self.nook()?;
        remove(&nook, &id.to_string())?;
        remove(&nook, &info_name(id))
    }

    fn state(&self, id: PartialId) -> io::Result<Vec<u8>> {
        read_state(&self.nook()?, id)
    }

    fn all(&self) -> io::Result<Vec<(PartialId, Vec<u8>)>> {
        let nook = match self.nook() {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            nook => nook?,
        };
        let (mut states, mut contents) = (Vec::new(), Vec::new());
        for entry in Dir::read_from(&nook)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if let Some(id) = PartialId::parse(name) {
                contents.push(id);
            } else if let Some(id) = name.strip_suffix(".info").and_then(PartialId::parse) {
                states.push((id, read_state(&nook, id)?));
            } else if name.strip_suffix(".new").and_then(PartialId::parse).is_some() {
                remove_if_old(&nook, name)?;
            }
        }
        for id in contents {
            if states.iter().all(|(known, _)| *known != id) {
                remove_if_old(&nook, &id.to_string())?;
            }
        }
        Ok(states)
    }

    fn boot(&self) -> String {
        // Where nothing tells, what was not synced is never relied on.
        std::fs::read_to_string(BOOT).map(|word| word.trim().to_owned()).unwrap_or_default()
    }
}

impl Growing for FolderDraft {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.shortened(size);
        self.file.seek(SeekFrom::End(0)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::{Disk, Existing, Links};
    use std::fs;
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own for one test, gone with it.
    struct Room(PathBuf);

    impl Room {
        fn new() -> Room {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("hythe-partials-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let place = std::env::temp_dir().join(name);
            fs::create_dir_all(&place).unwrap();
            Room(place)
        }

        fn disk(&self) -> FolderDisk {
            FolderDisk::open(&self.0, Links::Never).unwrap()
        }

        fn nook(&self) -> Vec<String> {
            let names = fs::read_dir(self.0.join(NOOK)).unwrap();
            let mut names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn path(text: &str) -> RelPath<'_> {
        RelPath::from_plain(text).unwrap()
    }

    #[test]
    fn an_upload_grows_from_day_to_day_and_then_takes_its_place() {
        let room = Room::new();
        let id = room.disk().begin(b"one").unwrap();
        for (day, piece) in [b"abc", b"def"].into_iter().enumerate() {
            let disk = room.disk();
            let mut growing = disk.unfinished().unwrap().resume(id).unwrap();
            assert_eq!(growing.size().unwrap(), 3 * day as u64);
            growing.write(piece).unwrap();
        }
        let disk = room.disk();
        disk.mark(id, b"two").unwrap();
        assert_eq!(disk.all().unwrap(), [(id, b"two".to_vec())]);
        assert_eq!(disk.list(&RelPath::ROOT).unwrap(), [], "no list shows it");
        assert_eq!(disk.sweep().unwrap(), 0, "no sweep takes it");
        let mut growing = disk.unfinished().unwrap().resume(id).unwrap();
        growing.cut(5).unwrap();
        growing.write(b"F").unwrap();
        fs::write(room.0.join("taken"), "old").unwrap();
        let refused = growing.commit(&path("taken"), Existing::Refuse).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.size(id).unwrap(), 6, "it is whole after a refusal");
        assert_eq!(growing.commit(&path("new"), Existing::Refuse).unwrap().size, 6);
        assert_eq!(fs::read(room.0.join("new")).unwrap(), b"abcdeF");
        assert_eq!(disk.size(id).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.all().unwrap().len(), 1, "its state stays until it is removed");
        disk.give_up(id).unwrap();
        disk.give_up(id).unwrap();
        assert_eq!(room.nook(), Vec::<String>::new());
    }

    #[test]
    fn one_may_replace_what_is_there_but_no_folder() {
        let room = Room::new();
        let disk = room.disk();
        fs::write(room.0.join("taken"), "old").unwrap();
        fs::create_dir(room.0.join("folder")).unwrap();
        let id = disk.begin(b"").unwrap();
        let mut growing = disk.unfinished().unwrap().resume(id).unwrap();
        growing.write(b"new").unwrap();
        let refused = growing.commit(&path("folder"), Existing::Replace).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::IsADirectory);
        growing.commit(&path("taken"), Existing::Replace).unwrap();
        assert_eq!(fs::read(room.0.join("taken")).unwrap(), b"new");
    }

    #[test]
    fn whoever_has_a_claim_keeps_all_others_from_it() {
        let room = Room::new();
        let id = room.disk().begin(b"one").unwrap();
        let claim = room.disk().claim(id).unwrap();
        assert!(claim.is_some());
        // Another process opens it anew, as this does.
        assert!(room.disk().claim(id).unwrap().is_none());
        drop(room.disk().unfinished().unwrap().resume(id).unwrap());
        assert!(room.disk().claim(id).unwrap().is_none(), "who writes and ends does not end the claim");
        drop(claim);
        assert!(room.disk().claim(id).unwrap().is_some());
        room.disk().give_up(id).unwrap();
        assert_eq!(room.disk().claim(id).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_is_not_one_of_ours_is_left_alone_and_leftovers_go() {
        let room = Room::new();
        let disk = room.disk();
        assert_eq!(disk.all().unwrap(), []);
        let id = disk.begin(b"state").unwrap();
        let other = PartialId::new([7; 16]);
        let make = |name: &str, age_s: u64| {
            let file = File::create(room.0.join(NOOK).join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        };
        for name in ["note.txt", &other.to_string(), &format!("{other}.new"), "x.info"] {
            make(name, 120);
        }
        assert_eq!(disk.all().unwrap(), [(id, b"state".to_vec())]);
        assert_eq!(room.nook(), [id.to_string(), format!("{id}.info"), "note.txt".into(), "x.info".into()]);
        // One that is being begun has content first, and its state is under another name for a moment.
        make(&other.to_string(), 1);
        make(&format!("{other}.new"), 1);
        assert_eq!(disk.all().unwrap().len(), 1);
        assert_eq!(room.nook().len(), 6);
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_leads_nowhere() {
        let (room, outside) = (Room::new(), Room::new());
        std::os::unix::fs::symlink(&outside.0, room.0.join(NOOK)).unwrap();
        assert!(room.disk().begin(b"").is_err());
        assert!(fs::read_dir(&outside.0).unwrap().next().is_none());
        assert!(!room.disk().boot().is_empty() || !Path::new(BOOT).exists());
    }
}
