//! What the files of a site need beyond the verbs of a [`Disk`]: which names may be given, which name is free, what a
//! folder holds a page at a time. Nothing here remembers anything; what touches the disk blocks, so helpers call it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io;

use time::OffsetDateTime;

use crate::clock::Wall;
use crate::path::RelPath;
use crate::store::disk::{Disk, Draft, Existing, FileFacts, Item, Kind, Opened};

/// How deep a path may be.
pub const SEGMENTS_MAX: usize = 16;
/// What file systems hold in one name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// A search looks at so many names; then it says that it was cut short.
pub const SEARCH_NAMES_MAX: usize = 20_000;
/// How much of a file is copied at a time.
const COPY_BYTES: usize = 256 << 10;
/// So many names are tried before "a (2).txt" and its like are given up.
const FREE_NAMES_MAX: u32 = 1000;
/// What follows the last dot of a name is its extension unless it is longer.
const EXTENSION_BYTES_MAX: usize = 32;

/// The name under which an upload may be stored: what follows the last slash of either kind, as it was given. The error
/// says what is wrong with it.
pub fn check_name(given: &str) -> Result<&str, &'static str> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or(given);
    if name.is_empty() {
        return Err("the file name is empty");
    }
    if name.starts_with('.') {
        return Err("a file name may not begin with a dot");
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("a file name may not hold control characters");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("a file name has 255 bytes at most");
    }
    Ok(name)
}

/// Whether something may be stored under `path`: not too deep, no name too long and, in the shared area, not in the
/// place of somebody's home. The error says what is wrong with it.
pub fn check_place(path: &RelPath<'_>, is_shared: bool) -> Result<(), &'static str> {
    if path.segments().count() > SEGMENTS_MAX {
        return Err("a path has 16 segments at most");
    }
    if path.segments().any(|segment| segment.len() > NAME_BYTES_MAX) {
        return Err("a file name has 255 bytes at most");
    }
    if is_shared && path.as_str().starts_with('~') {
        return Err("names that begin with ~ are for homes");
    }
    Ok(())
}

/// The `number`th name like `name`: "a (2).txt" for "a.txt". Cut where it would be too long, the extension kept.
pub fn free_name(name: &str, number: u32) -> String {
    let (stem, extension) = split_name(name);
    let mark = format!(" ({number})");
    format!("{}{mark}{extension}", cut_stem(stem, mark.len() + extension.len()))
}

/// What `name` and all names like it begin with.
pub fn common_stem(name: &str) -> &str {
    let (stem, extension) = split_name(name);
    let mark = format!(" ({FREE_NAMES_MAX})");
    cut_stem(stem, mark.len() + extension.len())
}

/// A name without its extension, and that.
fn split_name(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX);
    name.split_at(dot.unwrap_or(name.len()))
}

/// As much of a stem as leaves room for so many bytes behind it.
fn cut_stem(stem: &str, behind: usize) -> &str {
    &stem[..stem.floor_char_boundary(NAME_BYTES_MAX - behind)]
}

/// A name for an upload that has none: `upload_20261120T101112Z_1a2b3c4d.json` for the extension `json`.
pub fn generated_name(now: Wall, random: u32, extension: &str) -> String {
    // A clock beyond the year 9999 gives a wrong name rather than none.
    let seconds = i64::try_from(now.as_seconds()).unwrap_or(0);
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    let month = u8::from(month);
    format!("upload_{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z_{random:08x}.{extension}")
}

/// What to do when a name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// `AlreadyExists`.
    #[default]
    Error,
    /// Take the next free name like it.
    Rename,
    /// Replace what is there, unless it is a folder.
    Overwrite,
}

/// Commits a draft under `path`, or under a name like it; says under which.
pub fn commit(
    draft: &mut dyn Draft,
    path: &RelPath<'_>,
    on_conflict: OnConflict,
) -> io::Result<(RelPath<'static>, FileFacts)> {
    place(path, on_conflict, |path, existing| draft.commit(path, existing))
}

/// Moves a file or folder to `to`, or to a name like it; says where it is now.
pub fn rename(
    disk: &dyn Disk,
    from: &RelPath<'_>,
    to: &RelPath<'_>,
    on_conflict: OnConflict,
) -> io::Result<(RelPath<'static>, FileFacts)> {
    place(to, on_conflict, |path, existing| {
        disk.rename(from, path, existing)?;
        disk.facts(path)
    })
}

/// Moves a file or folder into another tree of the same file system.
pub fn rename_into(
    disk: &dyn Disk,
    from: &RelPath<'_>,
    other: &dyn Disk,
    to: &RelPath<'_>,
    on_conflict: OnConflict,
) -> io::Result<(RelPath<'static>, FileFacts)> {
    place(to, on_conflict, |path, existing| {
        disk.rename_into(from, other, path, existing)?;
        other.facts(path)
    })
}

/// The same with a file and any other tree: it is copied, and gone here when it is safe there. After a crash it may be in both.
pub fn copy_into(
    disk: &dyn Disk,
    from: &RelPath<'_>,
    other: &dyn Disk,
    to: &RelPath<'_>,
    on_conflict: OnConflict,
) -> io::Result<(RelPath<'static>, FileFacts)> {
    let Opened { facts, content } = disk.open(from)?;
    let mut draft = other.draft(&to.parent().unwrap_or_default(), Some(facts.size))?;
    let (mut window, mut at) = (vec![0; COPY_BYTES], 0);
    // What somebody goes on writing to from outside would never come to its end.
    while at < facts.size {
        let read = content.read_at(&mut window, at)?;
        if read == 0 {
            break;
        }
        draft.write(&window[..read])?;
        at += read as u64;
    }
    draft.sync()?;
    let copied = commit(&mut *draft, to, on_conflict)?;
    if disk.facts(from).is_ok_and(|now| now.version == facts.version) {
        disk.remove(from)?;
    }
    Ok(copied)
}

/// Makes `folder` and what is missing above it; says what it made, the topmost first. `NotADirectory` if a file stands in the
/// way.
pub fn make_folders(disk: &dyn Disk, folder: &RelPath<'_>) -> io::Result<Vec<RelPath<'static>>> {
    let mut missing = Vec::new();
    let mut next = Some(folder.clone().into_owned());
    while let Some(folder) = next {
        match disk.facts(&folder) {
            Ok(facts) if facts.kind == Kind::Folder => break,
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            Err(_) => {}
        }
        next = folder.parent().map(RelPath::into_owned);
        missing.push(folder);
    }
    let mut made = Vec::new();
    for folder in missing.into_iter().rev() {
        match disk.make_folder(&folder) {
            Ok(()) => made.push(folder),
            // Somebody else was quicker.
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            Err(fault) => {
                for folder in made.iter().rev() {
                    // Where somebody else has put something already it stays.
                    let _ = disk.remove(folder);
                }
                return Err(fault);
            }
        }
    }
    Ok(made)
}

/// Removes a folder and all in it, as far as it can be seen. `NotFound` if it is not there.
pub fn remove_all(disk: &dyn Disk, folder: &RelPath<'_>) -> io::Result<()> {
    // How deep it goes is not ours to say, and a helper's stack is small: so what is still to come is kept here.
    let mut open = vec![(folder.clone().into_owned(), disk.list(folder)?)];
    while let Some((folder, items)) = open.last_mut() {
        let Some(item) = items.pop() else {
            disk.remove(folder)?;
            open.pop();
            continue;
        };
        let Ok(name) = RelPath::from_plain(&item.name) else { continue };
        let path = folder.join(&name).into_owned();
        match item.facts.kind {
            Kind::File => disk.remove(&path)?,
            Kind::Folder => {
                let items = disk.list(&path)?;
                open.push((path, items));
            }
        }
    }
    Ok(())
}

/// Tries names until one is free, as far as `on_conflict` allows. Whether one is free is found out by taking it.
fn place(
    path: &RelPath<'_>,
    on_conflict: OnConflict,
    mut take: impl FnMut(&RelPath<'_>, Existing) -> io::Result<FileFacts>,
) -> io::Result<(RelPath<'static>, FileFacts)> {
    let first_choice = if on_conflict == OnConflict::Overwrite { Existing::Replace } else { Existing::Refuse };
    let taken = match take(path, first_choice) {
        Ok(facts) => return Ok((path.clone().into_owned(), facts)),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => fault,
        Err(fault) => return Err(fault),
    };
    let (OnConflict::Rename, Some(folder), Some(name)) = (on_conflict, path.parent(), path.name()) else {
        return Err(taken);
    };
    for number in 2..=FREE_NAMES_MAX {
        let name = free_name(name, number);
        let Ok(name) = RelPath::from_plain(&name) else { break };
        let path = folder.join(&name);
        match take(&path, Existing::Refuse) {
            Ok(facts) => return Ok((path, facts)),
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(taken)
}

/// What files are sorted by; equals by their paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Their paths, byte by byte.
    #[default]
    Name,
    /// How large they are.
    Size,
    /// When they last changed.
    Time,
}

/// Which end a list begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The smallest, the oldest, the first of the alphabet.
    #[default]
    Ascending,
    /// The other.
    Descending,
}

/// Which page of which list.
#[derive(Clone, Debug, Default)]
pub struct ListAsk<'a> {
    /// The folder.
    pub folder: RelPath<'a>,
    /// What the files are sorted by. Folders come first and always by name, the first of the alphabet first.
    pub sort: Sort,
    /// Which end the files begin at.
    pub order: Order,
    /// The [`Listing::next`] of the page before, of a list asked for in the same way.
    pub after: Option<&'a str>,
    /// Folders and files on a page; at least one.
    pub limit: usize,
    /// Rather than what is in the folder: all below it whose name holds this, upper or lower case.
    pub search: Option<&'a str>,
    /// Leave out what begins with `~` in the root: in the shared area those are the homes.
    pub hides_homes: bool,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Folders, with their whole paths.
    pub dirs: Vec<RelPath<'static>>,
    /// Files.
    pub files: Vec<Found>,
    /// What to ask for the next page with; `None` if this is the last.
    pub next: Option<String>,
    /// A search looked at [`SEARCH_NAMES_MAX`] names and gave up.
    pub is_cut: bool,
}

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its whole path.
    pub path: RelPath<'static>,
    /// What is known of it.
    pub facts: FileFacts,
}

/// One page of a folder, or of a search below it. `InvalidInput` if `after` was not given by us for this list.
pub fn list(disk: &dyn Disk, ask: &ListAsk<'_>) -> io::Result<Listing> {
    let place = Place::read(ask.after.unwrap_or(""), ask.sort).ok_or(io::ErrorKind::InvalidInput)?;
    let mut all = match ask.search {
        None => in_folder(disk, ask)?,
        Some(words) => below_folder(disk, ask, words)?,
    };
    match place {
        Place::Start => {}
        Place::AfterFolder(path) => all.dirs.retain(|dir| dir.as_str() > path),
        Place::AfterFile(rank, path) => {
            all.dirs.clear();
            all.files.retain(|file| compare(ask, (rank, path), file.rank(ask.sort)).is_lt());
        }
    }
    Ok(first_page(all, ask))
}

/// Where in a list a page begins: folders by name, then files by rank.
enum Place<'a> {
    Start,
    AfterFolder(&'a str),
    AfterFile(u64, &'a str),
}

impl<'a> Place<'a> {
    /// Reads what [`Place::write`] wrote. No path ends with a slash, so one can mark a folder; the number stands before
    /// the path, which may hold anything.
    fn read(text: &'a str, sort: Sort) -> Option<Place<'a>> {
        if text.is_empty() {
            return Some(Place::Start);
        }
        if let Some(path) = text.strip_suffix('/') {
            return Some(Place::AfterFolder(path));
        }
        if sort == Sort::Name {
            return Some(Place::AfterFile(0, text));
        }
        let (rank, path) = text.split_once(':')?;
        Some(Place::AfterFile(rank.parse().ok()?, path))
    }

    fn write(&self, sort: Sort) -> String {
        match (self, sort) {
            (Place::Start, _) => String::new(),
            (Place::AfterFolder(path), _) => format!("{path}/"),
            (Place::AfterFile(_, path), Sort::Name) => (*path).to_owned(),
            (Place::AfterFile(rank, path), _) => format!("{rank}:{path}"),
        }
    }
}

impl Found {
    fn rank(&self, sort: Sort) -> (u64, &str) {
        let rank = match sort {
            Sort::Name => 0,
            Sort::Size => self.facts.size,
            Sort::Time => self.facts.modified.as_millis(),
        };
        (rank, self.path.as_str())
    }
}

fn compare(ask: &ListAsk<'_>, a: (u64, &str), b: (u64, &str)) -> Ordering {
    match ask.order {
        Order::Ascending => a.cmp(&b),
        Order::Descending => b.cmp(&a),
    }
}

/// Sorts what is left of the list and cuts it to a page.
fn first_page(all: Listing, ask: &ListAsk<'_>) -> Listing {
    let Listing { mut dirs, mut files, is_cut, .. } = all;
    let limit = ask.limit.max(1);
    let is_whole = dirs.len() + files.len() <= limit;
    dirs.sort_unstable();
    dirs.truncate(limit);
    let room = limit - dirs.len();
    let by_rank = |a: &Found, b: &Found| compare(ask, a.rank(ask.sort), b.rank(ask.sort));
    if files.len() > room {
        // Only the page is sorted, not the hundred thousand after it.
        files.select_nth_unstable_by(room, by_rank);
        files.truncate(room);
    }
    files.sort_unstable_by(by_rank);
    let last = match (files.last(), dirs.last()) {
        _ if is_whole => None,
        (Some(file), _) => {
            let (rank, path) = file.rank(ask.sort);
            Some(Place::AfterFile(rank, path))
        }
        (None, Some(dir)) => Some(Place::AfterFolder(dir.as_str())),
        (None, None) => None,
    };
    let next = last.map(|place| place.write(ask.sort));
    Listing { dirs, files, next, is_cut }
}

fn in_folder(disk: &dyn Disk, ask: &ListAsk<'_>) -> io::Result<Listing> {
    let mut all = Listing::default();
    for item in disk.list(&ask.folder)? {
        if let Some(path) = shown(ask, &ask.folder, &item) {
            all.take(path, item.facts);
        }
    }
    Ok(all)
}

/// Goes through all folders below, nearest first and by name, so that a search that is cut short is always cut alike.
fn below_folder(disk: &dyn Disk, ask: &ListAsk<'_>, words: &str) -> io::Result<Listing> {
    let words = words.to_lowercase();
    let mut all = Listing::default();
    let mut looked_at = 0;
    let mut folders = VecDeque::from([ask.folder.clone().into_owned()]);
    while let Some(folder) = folders.pop_front() {
        let mut items = match disk.list(&folder) {
            Ok(items) => items,
            Err(fault) if folder == ask.folder => return Err(fault),
            // Gone meanwhile, or not for us.
            Err(_) => continue,
        };
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for item in items {
            if looked_at == SEARCH_NAMES_MAX {
                all.is_cut = true;
                return Ok(all);
            }
            looked_at += 1;
            let Some(path) = shown(ask, &folder, &item) else { continue };
            if item.facts.kind == Kind::Folder && path.segments().count() < SEGMENTS_MAX {
                folders.push_back(path.clone());
            }
            if item.name.to_lowercase().contains(&words) {
                all.take(path, item.facts);
            }
        }
    }
    Ok(all)
}

/// The path of an item, if the list may show it.
fn shown(ask: &ListAsk<'_>, folder: &RelPath<'_>, item: &Item) -> Option<RelPath<'static>> {
    if ask.hides_homes && folder.is_root() && item.name.starts_with('~') {
        return None;
    }
    let name = RelPath::from_plain(&item.name).ok()?;
    Some(folder.join(&name))
}

impl Listing {
    fn take(&mut self, path: RelPath<'static>, facts: FileFacts) {
        match facts.kind {
            Kind::Folder => self.dirs.push(path),
            Kind::File => self.files.push(Found { path, facts }),
        }
    }
}

#[cfg(test)]
mod tests;
