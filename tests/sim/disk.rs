//! A disk in memory, with the faults of a real one: errors, no room, files that are not in memory, files that shrink while
//! they are read. Counts the drafts that were begun and neither committed nor dropped. Of uploads that may continue another day it
//! knows what is synced, and forgets of the rest what it likes when the power fails.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use hythe::clock::Wall;
use hythe::content::Content;
use hythe::path::RelPath;
use hythe::store::disk::{Disk, Draft, Existing, FileFacts, Growing, Item, Kind, Opened, PartialId, Unfinished};

use crate::dice::{Dice, Odds};

struct Chance {
    dice: Dice,
    odds: Odds,
}

struct Room {
    files: BTreeMap<String, Arc<MemoryFile>>,
    drafts: usize,
    /// The version of the next file.
    version: u64,
    partials: BTreeMap<PartialId, Partial>,
    /// How often the machine has been started.
    boots: u64,
}

/// An upload that may continue another day. Its state is on the disk whatever happens.
struct Partial {
    state: Vec<u8>,
    /// `None` when it has been committed.
    content: Option<Vec<u8>>,
    synced: usize,
}

/// A folder tree in memory. Cheap to clone: all clones are one disk.
#[derive(Clone)]
pub struct MemoryDisk {
    room: Arc<Mutex<Room>>,
    chance: Arc<Mutex<Chance>>,
}

struct MemoryFile {
    chance: Arc<Mutex<Chance>>,
    bytes: Mutex<Arc<[u8]>>,
    version: u64,
    /// How long it says it is, if it is all hole.
    hole: Option<u64>,
    shrinks: bool,
    /// Whether it was read ahead.
    is_warm: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics who holds the disk")
}

thread_local! {
    /// Whether what runs now is a helper's job.
    pub static IN_JOB: Cell<bool> = const { Cell::new(false) };
}

fn chance(of: &Mutex<Chance>, odds: impl Fn(&Odds) -> u32) -> bool {
    let mut of = lock(of);
    let odds = odds(&of.odds);
    of.dice.chance(odds)
}

impl MemoryDisk {
    pub fn new(seed: u64, odds: &Odds) -> MemoryDisk {
        let room = Room { files: BTreeMap::new(), drafts: 0, version: 1, partials: BTreeMap::new(), boots: 1 };
        let chance = Chance { dice: Dice::new(seed), odds: odds.clone() };
        MemoryDisk { room: Arc::new(Mutex::new(room)), chance: Arc::new(Mutex::new(chance)) }
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.set_odds(&Odds::calm());
    }

    /// From now on this may go wrong.
    pub fn set_odds(&self, odds: &Odds) {
        lock(&self.chance).odds = odds.clone();
    }

    /// Lays a file down.
    pub fn put(&self, path: &str, bytes: &[u8], shrinks: bool) {
        self.lay(path, bytes, None, shrinks);
    }

    /// Lays a file down that has a length and no bytes.
    pub fn put_hole(&self, path: &str, length: u64) {
        self.lay(path, &[], Some(length), false);
    }

    fn lay(&self, path: &str, bytes: &[u8], hole: Option<u64>, shrinks: bool) {
        let mut room = lock(&self.room);
        room.version += 1;
        let file = MemoryFile {
            chance: self.chance.clone(),
            bytes: Mutex::new(bytes.into()),
            version: room.version,
            hole,
            shrinks,
            is_warm: Mutex::new(false),
        };
        room.files.insert(path.to_owned(), Arc::new(file));
    }

    /// Somebody makes the file shorter in place: who has it open sees that too.
    pub fn cut(&self, path: &str, length: usize) {
        if let Some(file) = lock(&self.room).files.get(path) {
            let mut bytes = lock(&file.bytes);
            *bytes = bytes[..length.min(bytes.len())].into();
        }
    }

    /// What lies at a path.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let file = lock(&self.room).files.get(path).cloned()?;
        let bytes = lock(&file.bytes).to_vec();
        Some(bytes)
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        lock(&self.room).files.len()
    }

    /// Drafts that are neither committed nor gone.
    pub fn drafts(&self) -> usize {
        lock(&self.room).drafts
    }

    /// How many uploads are unfinished here.
    pub fn partials(&self) -> usize {
        lock(&self.room).partials.values().filter(|partial| partial.content.is_some()).count()
    }

    /// The machine stops and is started again: of what was not synced something is there, and not all of that is right.
    pub fn lose_power(&self) {
        let (mut room, mut chance) = (lock(&self.room), lock(&self.chance));
        room.boots += 1;
        for Partial { content, synced, .. } in room.partials.values_mut() {
            let Some(content) = content else { continue };
            let kept = *synced + chance.dice.index(content.len() - *synced + 1);
            content.truncate(kept);
            let right = *synced + chance.dice.index(kept - *synced + 1);
            content[right..].fill(0);
        }
    }

    /// Whether the disk gives an error this time.
    fn trip(&self) -> io::Result<()> {
        assert!(IN_JOB.get(), "only helpers use the disk");
        if chance(&self.chance, |odds| odds.disk_fails) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    /// Whether there is a descriptor for a file that is to be opened.
    fn want(&self) -> io::Result<()> {
        if chance(&self.chance, |odds| odds.disk_short) { Err(io::Error::from_raw_os_error(24)) } else { Ok(()) }
    }

    fn find(&self, path: &RelPath<'_>) -> io::Result<Arc<MemoryFile>> {
        self.trip()?;
        self.look_up(path)
    }

    fn look_up(&self, path: &RelPath<'_>) -> io::Result<Arc<MemoryFile>> {
        let room = lock(&self.room);
        if let Some(file) = room.files.get(path.as_str()) {
            return Ok(file.clone());
        }
        let below = format!("{path}/");
        if path.is_root() || room.files.keys().any(|name| name.starts_with(&below)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl MemoryFile {
    fn facts(&self) -> FileFacts {
        let size = self.hole.unwrap_or(lock(&self.bytes).len() as u64);
        FileFacts {
            kind: Kind::File,
            size,
            modified: Wall::from_seconds(1_700_000_000),
            version: self.version << 32 | size,
        }
    }
}

impl Content for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.shrinks && chance(&self.chance, |odds| odds.disk_fails) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let mut bytes = lock(&self.bytes);
        if self.shrinks && chance(&self.chance, |odds| odds.shrinks) {
            let kept = bytes.len() / 2;
            *bytes = bytes[..kept].into();
        }
        let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn read_now(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if chance(&self.chance, |odds| odds.cold) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(into, offset)
    }

    fn is_warm(&self, _: u64, _: u64) -> bool {
        *lock(&self.is_warm) || !chance(&self.chance, |odds| odds.cold)
    }

    fn read_ahead(&self, _: u64, _: u64) {
        // There are file systems that never say that anything is in memory.
        assert!(IN_JOB.get(), "only helpers read ahead");
        *lock(&self.is_warm) = chance(&self.chance, |_| 50);
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &RelPath<'_>) -> io::Result<Opened> {
        let file = self.find(path)?;
        self.want()?;
        Ok(Opened { facts: file.facts(), content: file })
    }

    fn open_now(&self, path: &RelPath<'_>) -> io::Result<Opened> {
        if chance(&self.chance, |odds| odds.cold) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = self.look_up(path)?;
        self.want()?;
        Ok(Opened { facts: file.facts(), content: file })
    }

    fn facts(&self, path: &RelPath<'_>) -> io::Result<FileFacts> {
        match self.find(path) {
            Ok(file) => Ok(file.facts()),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                Ok(FileFacts { kind: Kind::Folder, size: 0, modified: Wall::default(), version: 0 })
            }
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
        self.trip()?;
        let files: Vec<(String, Arc<MemoryFile>)> =
            lock(&self.room).files.iter().map(|(name, file)| (name.clone(), file.clone())).collect();
        let inside = if folder.is_root() { String::new() } else { format!("{folder}/") };
        Ok(files
            .iter()
            .filter_map(|(name, file)| Some((name.strip_prefix(&inside)?, file)))
            .filter(|(name, _)| !name.contains('/'))
            .map(|(name, file)| Item { name: name.to_owned(), facts: file.facts() })
            .collect())
    }

    fn draft(&self, _: &RelPath<'_>, _: Option<u64>) -> io::Result<Box<dyn Draft>> {
        self.trip()?;
        lock(&self.room).drafts += 1;
        Ok(Box::new(MemoryDraft { disk: self.clone(), bytes: Vec::new() }))
    }

    /// Folders are there as long as there is something in them.
    fn make_folder(&self, _: &RelPath<'_>) -> io::Result<()> {
        self.trip()
    }

    /// Of files only.
    fn rename(&self, from: &RelPath<'_>, to: &RelPath<'_>, existing: Existing) -> io::Result<()> {
        self.find(from)?;
        let files = &mut lock(&self.room).files;
        if existing == Existing::Refuse && from != to && files.contains_key(to.as_str()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = files.remove(from.as_str()).ok_or(io::ErrorKind::Unsupported)?;
        files.insert(to.to_string(), file);
        Ok(())
    }

    fn remove(&self, path: &RelPath<'_>) -> io::Result<()> {
        self.find(path)?;
        lock(&self.room).files.remove(path.as_str());
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn sweep(&self) -> io::Result<usize> {
        Ok(0)
    }

    fn unfinished(&self) -> Option<&dyn Unfinished> {
        Some(self)
    }
}

impl MemoryDisk {
    /// Does something with an unfinished upload.
    fn with<T>(&self, id: PartialId, what: impl FnOnce(&mut Partial) -> T) -> io::Result<T> {
        self.trip()?;
        lock(&self.room).partials.get_mut(&id).map(what).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Does something with its content.
    fn grow<T>(&self, id: PartialId, what: impl FnOnce(&mut Vec<u8>, &mut usize) -> T) -> io::Result<T> {
        let done =
            self.with(id, |partial| partial.content.as_mut().map(|content| what(content, &mut partial.synced)))?;
        done.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Unfinished for MemoryDisk {
    fn begin(&self, state: &[u8]) -> io::Result<PartialId> {
        self.trip()?;
        let (high, low) = {
            let dice = &mut lock(&self.chance).dice;
            (dice.roll(), dice.roll())
        };
        let id = PartialId::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        let partial = Partial { state: state.to_vec(), content: Some(Vec::new()), synced: 0 };
        lock(&self.room).partials.insert(id, partial);
        Ok(id)
    }

    fn mark(&self, id: PartialId, state: &[u8]) -> io::Result<()> {
        self.with(id, |partial| partial.state = state.to_vec())
    }

    fn resume(&self, id: PartialId) -> io::Result<Box<dyn Growing>> {
        self.grow(id, |_, _| ())?;
        lock(&self.room).drafts += 1;
        Ok(Box::new(MemoryGrowing { disk: self.clone(), id }))
    }

    fn size(&self, id: PartialId) -> io::Result<u64> {
        self.grow(id, |content, _| content.len() as u64)
    }

    fn give_up(&self, id: PartialId) -> io::Result<()> {
        self.trip()?;
        lock(&self.room).partials.remove(&id);
        Ok(())
    }

    fn state(&self, id: PartialId) -> io::Result<Vec<u8>> {
        self.with(id, |partial| partial.state.clone())
    }

    fn all(&self) -> io::Result<Vec<(PartialId, Vec<u8>)>> {
        self.trip()?;
        Ok(lock(&self.room).partials.iter().map(|(&id, partial)| (id, partial.state.clone())).collect())
    }

    fn boot(&self) -> String {
        format!("boot {}", lock(&self.room).boots)
    }
}

struct MemoryGrowing {
    disk: MemoryDisk,
    id: PartialId,
}

impl Growing for MemoryGrowing {
    fn size(&self) -> io::Result<u64> {
        self.disk.size(self.id)
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.disk.grow(self.id, |content, synced| {
            content.truncate(usize::try_from(size).expect("it fits into memory"));
            *synced = content.len().min(*synced);
        })
    }
}

impl Draft for MemoryGrowing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_full = chance(&self.disk.chance, |odds| odds.disk_full);
        let taken = if is_full { bytes.len() / 2 } else { bytes.len() };
        self.disk.grow(self.id, |content, _| content.extend_from_slice(&bytes[..taken]))?;
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.grow(self.id, |content, synced| *synced = content.len())
    }

    fn copy_to(&mut self, other: &mut dyn Draft) -> io::Result<()> {
        let content = self.disk.grow(self.id, |content, _| content.clone())?;
        other.write(&content)
    }

    fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts> {
        self.sync()?;
        if existing == Existing::Refuse && lock(&self.disk.room).files.contains_key(path.as_str()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = self.disk.with(self.id, |partial| partial.content.take())?;
        self.disk.put(path.as_str(), &content.ok_or(io::ErrorKind::NotFound)?, false);
        Ok(lock(&self.disk.room).files[path.as_str()].facts())
    }
}

impl Drop for MemoryGrowing {
    fn drop(&mut self) {
        assert!(IN_JOB.get() || std::thread::panicking(), "an upload is let go of where that may block");
        lock(&self.disk.room).drafts -= 1;
    }
}

struct MemoryDraft {
    disk: MemoryDisk,
    bytes: Vec<u8>,
}

impl Draft for MemoryDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.trip()?;
        if chance(&self.disk.chance, |odds| odds.disk_full) {
            // A short write: some of it is on the disk all the same.
            self.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn copy_to(&mut self, other: &mut dyn Draft) -> io::Result<()> {
        other.write(&self.bytes)
    }

    fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts> {
        self.disk.trip()?;
        if existing == Existing::Refuse && lock(&self.disk.room).files.contains_key(path.as_str()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.disk.put(path.as_str(), &std::mem::take(&mut self.bytes), false);
        Ok(lock(&self.disk.room).files[path.as_str()].facts())
    }
}

impl Drop for MemoryDraft {
    fn drop(&mut self) {
        assert!(IN_JOB.get() || std::thread::panicking(), "a draft is dropped where dropping may block");
        lock(&self.disk.room).drafts -= 1;
    }
}
