//! What the files of a site need beyond the verbs of a [`Disk`]: which names may be given, which name is free, what a
//! folder holds a page at a time. Nothing here remembers anything; what touches the disk blocks, so helpers call it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io;

use time::OffsetDateTime;

use crate::clock::Wall;
use crate::path::RelPath;
use crate::store::disk::{Disk, Draft, Existing, FileFacts, Item, Kind};

/// How deep a path may be.
pub const SEGMENTS_MAX: usize = 16;
/// What file systems hold in one name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// A search looks at so many names; then it says that it was cut short.
pub const SEARCH_NAMES_MAX: usize = 20_000;
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
    let dot = name.rfind('.').filter(|&dot| dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let mark = format!(" ({number})");
    let room = NAME_BYTES_MAX - mark.len() - extension.len();
    format!("{}{mark}{extension}", &stem[..stem.floor_char_boundary(room)])
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
            Err(fault) => return Err(fault),
        }
    }
    Ok(made)
}

/// Removes a folder and all in it, as far as it can be seen. `NotFound` if it is not there.
pub fn remove_all(disk: &dyn Disk, folder: &RelPath<'_>) -> io::Result<()> {
    for item in disk.list(folder)? {
        let Ok(name) = RelPath::from_plain(&item.name) else { continue };
        let path = folder.join(&name);
        match item.facts.kind {
            Kind::Folder => remove_all(disk, &path)?,
            Kind::File => disk.remove(&path)?,
        }
    }
    disk.remove(folder)
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
mod tests {
    use super::*;
    use crate::store::disk::Opened;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::io::ErrorKind;
    use std::sync::{Arc, Mutex};

    /// A file's size and time; a folder has none.
    type Kept = Option<(u64, u64)>;

    /// A disk of names without content.
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<BTreeMap<String, Kept>>>);

    impl Names {
        fn of(names: &[(&str, u64, u64)]) -> Names {
            let disk = Names::default();
            for &(name, size, time) in names {
                let path = path(name);
                let folder = path.parent().unwrap();
                make_folders(&disk, &folder).unwrap();
                disk.0.lock().unwrap().insert(name.to_owned(), Some((size, time)));
            }
            disk
        }

        fn all(&self) -> Vec<String> {
            self.0.lock().unwrap().keys().cloned().collect()
        }

        fn take(&self, path: &RelPath<'_>, file: Kept, existing: Existing) -> io::Result<()> {
            let above = self.facts(&path.parent().ok_or(ErrorKind::AlreadyExists)?)?;
            assert_eq!(above.kind, Kind::Folder);
            let mut names = self.0.lock().unwrap();
            match names.get(path.as_str()) {
                Some(_) if existing == Existing::Refuse => return Err(ErrorKind::AlreadyExists.into()),
                Some(None) => return Err(ErrorKind::IsADirectory.into()),
                _ => {}
            }
            names.insert(path.to_string(), file);
            Ok(())
        }
    }

    fn facts_of(file: Kept) -> FileFacts {
        let (size, time) = file.unwrap_or((0, 0));
        let kind = if file.is_some() { Kind::File } else { Kind::Folder };
        FileFacts { kind, size, modified: Wall::from_millis(time), version: 0 }
    }

    impl Disk for Names {
        fn open(&self, _path: &RelPath<'_>) -> io::Result<Opened> {
            unreachable!("names have no content")
        }

        fn facts(&self, path: &RelPath<'_>) -> io::Result<FileFacts> {
            if path.is_root() {
                return Ok(facts_of(None));
            }
            let names = self.0.lock().unwrap();
            Ok(facts_of(*names.get(path.as_str()).ok_or(ErrorKind::NotFound)?))
        }

        fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
            if self.facts(folder)?.kind == Kind::File {
                return Err(ErrorKind::NotFound.into());
            }
            let names = self.0.lock().unwrap();
            let items = names.iter().rev().filter_map(|(name, &file)| {
                let name = path(name);
                (name.parent()? == *folder)
                    .then(|| Item { name: name.name().unwrap().to_owned(), facts: facts_of(file) })
            });
            Ok(items.collect())
        }

        fn draft(&self, _folder: &RelPath<'_>, _length: Option<u64>) -> io::Result<Box<dyn Draft>> {
            Ok(Box::new(Sheet(self.clone(), 0)))
        }

        fn make_folder(&self, path: &RelPath<'_>) -> io::Result<()> {
            self.take(path, None, Existing::Refuse)
        }

        fn rename(&self, from: &RelPath<'_>, to: &RelPath<'_>, existing: Existing) -> io::Result<()> {
            let file = *self.0.lock().unwrap().get(from.as_str()).ok_or(ErrorKind::NotFound)?;
            self.take(to, file, existing)?;
            self.remove(from)
        }

        fn remove(&self, path: &RelPath<'_>) -> io::Result<()> {
            self.0.lock().unwrap().remove(path.as_str());
            Ok(())
        }

        fn free_bytes(&self) -> io::Result<u64> {
            Ok(u64::MAX)
        }

        fn sweep(&self) -> io::Result<usize> {
            Ok(0)
        }
    }

    struct Sheet(Names, u64);

    impl Draft for Sheet {
        fn copy_to(&mut self, _other: &mut dyn Draft) -> io::Result<()> {
            unreachable!("sheets are not copied")
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.1 += bytes.len() as u64;
            Ok(())
        }

        fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts> {
            self.0.take(path, Some((self.1, 0)), existing)?;
            self.0.facts(path)
        }
    }

    fn path(text: &str) -> RelPath<'_> {
        RelPath::from_plain(text).unwrap()
    }

    #[test]
    fn a_name_is_what_follows_the_last_slash_and_is_kept_as_given() {
        for (given, name) in [
            ("a.txt", "a.txt"),
            ("dir/a.txt", "a.txt"),
            ("C:\\Users\\ada\\a b.txt", "a b.txt"),
            ("../../etc/passwd", "passwd"),
            ("a\\b/c", "c"),
            ("~ada", "~ada"),
            ("Füße .tar.gz ", "Füße .tar.gz "),
            ("a..b", "a..b"),
            ("CON", "CON"),
            ("a:b*?\"<>|", "a:b*?\"<>|"),
        ] {
            assert_eq!(check_name(given), Ok(name), "{given}");
            assert!(RelPath::from_plain(name).is_ok(), "{name}");
        }
        let long = "x".repeat(255);
        assert_eq!(check_name(&long), Ok(long.as_str()));
        let longer = "x".repeat(256);
        for given in ["", "a/", "a\\", ".", "..", "a/..", ".htaccess", ".well-known", "a\0b", "a\nb", "a\x7f", &longer]
        {
            assert!(check_name(given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn a_place_is_neither_too_deep_nor_in_a_home_unless_it_is_ones_own() {
        let deep = |count| vec!["x"; count].join("/");
        let long = format!("a/{}", "x".repeat(256));
        assert!(check_place(&path(&deep(16)), true).is_ok());
        assert!(check_place(&path(&deep(17)), true).is_err());
        assert!(check_place(&path(&long), true).is_err());
        assert!(check_place(&path("~ada/a"), true).is_err());
        assert!(check_place(&path("~ada/a"), false).is_ok());
        assert!(check_place(&path("a/~b"), true).is_ok());
    }

    #[test]
    fn free_names_keep_their_extension_and_fit() {
        for (name, free) in [
            ("a.txt", "a (2).txt"),
            ("a", "a (2)"),
            ("a.tar.gz", "a.tar (2).gz"),
            ("a (2).txt", "a (2) (2).txt"),
            ("a.", "a (2)."),
        ] {
            assert_eq!(free_name(name, 2), free);
        }
        let long = format!("{}.txt", "é".repeat(125));
        let free = free_name(&long, 1000);
        assert_eq!(free, format!("{} (1000).txt", "é".repeat(122)));
        let no_extension = format!("a.{}", "x".repeat(253));
        assert_eq!(free_name(&no_extension, 2).len(), 255);
    }

    #[test]
    fn generated_names_tell_the_time() {
        let now = Wall::from_seconds(1_795_169_472);
        assert_eq!(generated_name(now, 0x1a2b_3c4d, "json"), "upload_20261120T101112Z_1a2b3c4d.json");
        assert_eq!(generated_name(Wall::default(), 7, "bin"), "upload_19700101T000000Z_00000007.bin");
        assert_eq!(check_name(&generated_name(Wall::from_millis(u64::MAX), 7, "bin")).map(str::len), Ok(36));
    }

    #[test]
    fn a_taken_name_is_refused_evaded_or_overwritten() {
        let disk = Names::of(&[("a.txt", 1, 0), ("f/x", 1, 0)]);
        let put = |name: &str, on_conflict| {
            let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
            draft.write(b"three").unwrap();
            let placed = commit(&mut *draft, &path(name), on_conflict);
            placed.map(|(path, facts)| (path.to_string(), facts.size)).map_err(|fault| fault.kind())
        };
        assert_eq!(put("a.txt", OnConflict::Error), Err(ErrorKind::AlreadyExists));
        assert_eq!(put("a.txt", OnConflict::Rename), Ok(("a (2).txt".to_owned(), 5)));
        assert_eq!(put("a.txt", OnConflict::Rename), Ok(("a (3).txt".to_owned(), 5)));
        assert_eq!(put("a.txt", OnConflict::Overwrite), Ok(("a.txt".to_owned(), 5)));
        assert_eq!(put("f", OnConflict::Overwrite), Err(ErrorKind::IsADirectory));
        assert_eq!(put("f/x", OnConflict::Rename), Ok(("f/x (2)".to_owned(), 5)));
        assert_eq!(put("g/x", OnConflict::Rename), Err(ErrorKind::NotFound));
        assert_eq!(put("b", OnConflict::Rename), Ok(("b".to_owned(), 5)));
        let (moved, _) = rename(&disk, &path("b"), &path("a.txt"), OnConflict::Rename).unwrap();
        assert_eq!(moved.as_str(), "a (4).txt");
    }

    #[test]
    fn names_that_never_end_are_given_up() {
        let disk = Names::of(&[("a", 1, 0)]);
        for number in 2..=FREE_NAMES_MAX {
            disk.take(&path(&free_name("a", number)), Some((1, 0)), Existing::Refuse).unwrap();
        }
        let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
        let fault = commit(&mut *draft, &path("a"), OnConflict::Rename).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn missing_folders_are_made_and_files_stand_in_the_way() {
        let disk = Names::of(&[("a/x", 1, 0)]);
        make_folders(&disk, &path("a/b/c")).unwrap();
        make_folders(&disk, &path("a/b/c")).unwrap();
        make_folders(&disk, &RelPath::ROOT).unwrap();
        assert_eq!(disk.all(), ["a", "a/b", "a/b/c", "a/x"]);
        for name in ["a/x", "a/x/y", "a/x/y/z"] {
            let fault = make_folders(&disk, &path(name)).unwrap_err();
            assert_eq!(fault.kind(), ErrorKind::NotADirectory, "{name}");
        }
    }

    /// The paths of a page, folders with a slash.
    fn shown_by(listing: &Listing) -> Vec<String> {
        let dirs = listing.dirs.iter().map(|dir| format!("{dir}/"));
        dirs.chain(listing.files.iter().map(|file| file.path.to_string())).collect()
    }

    /// All pages of a list, one after the other.
    fn pages(disk: &Names, ask: &ListAsk<'_>) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let listing = list(disk, &ListAsk { after: after.as_deref(), ..ask.clone() }).unwrap();
            pages.push(shown_by(&listing));
            assert!(pages.len() < 1000, "the list does not end");
            match listing.next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }

    fn some_files() -> Names {
        Names::of(&[
            ("b", 3, 10),
            ("a", 3, 20),
            ("c:1", 1, 30),
            ("z/x", 9, 9),
            ("y/deep/Hello.txt", 9, 9),
            ("~ada/hello", 9, 9),
        ])
    }

    #[test]
    fn a_folder_lists_folders_first_then_files_in_the_order_asked_for() {
        let disk = some_files();
        use Order::{Ascending, Descending};
        for (sort, order, files) in [
            (Sort::Name, Ascending, ["a", "b", "c:1"]),
            (Sort::Name, Descending, ["c:1", "b", "a"]),
            (Sort::Size, Ascending, ["c:1", "a", "b"]),
            (Sort::Size, Descending, ["b", "a", "c:1"]),
            (Sort::Time, Ascending, ["b", "a", "c:1"]),
            (Sort::Time, Descending, ["c:1", "a", "b"]),
        ] {
            let ask = ListAsk { sort, order, limit: 100, hides_homes: true, ..ListAsk::default() };
            let expected: Vec<_> = ["y/", "z/"].into_iter().chain(files).map(str::to_owned).collect();
            assert_eq!(pages(&disk, &ask), [expected.as_slice()], "{sort:?}, {order:?}");
            for limit in 0..6 {
                let paged = pages(&disk, &ListAsk { limit, ..ask.clone() });
                assert_eq!(paged.concat(), expected, "{sort:?}, {order:?}, {limit} a page");
                assert_eq!(paged.len(), 5_usize.div_ceil(limit.max(1)));
            }
        }
    }

    #[test]
    fn a_folder_below_is_listed_with_whole_paths_and_homes_only_to_who_may_see_them() {
        let disk = some_files();
        let names = |folder, hides_homes| {
            let ask = ListAsk { folder: path(folder), limit: 9, hides_homes, ..ListAsk::default() };
            list(&disk, &ask).map(|listing| shown_by(&listing)).map_err(|fault| fault.kind())
        };
        assert_eq!(names("y", true).unwrap(), ["y/deep/"]);
        assert_eq!(names("y/deep", true).unwrap(), ["y/deep/Hello.txt"]);
        assert_eq!(names("~ada", false).unwrap(), ["~ada/hello"]);
        assert_eq!(names("", false).unwrap()[2], "~ada/");
        assert_eq!(names("nowhere", true), Err(ErrorKind::NotFound));
        assert_eq!(names("a", true), Err(ErrorKind::NotFound));
    }

    #[test]
    fn a_search_goes_below_and_minds_neither_case_nor_homes() {
        let disk = some_files();
        let ask = ListAsk { search: Some("HELLO"), limit: 9, hides_homes: true, ..ListAsk::default() };
        assert_eq!(pages(&disk, &ask), [["y/deep/Hello.txt"]]);
        let ask = ListAsk { hides_homes: false, limit: 1, ..ask };
        assert_eq!(pages(&disk, &ask).concat(), ["y/deep/Hello.txt", "~ada/hello"]);
        let ask = ListAsk { search: Some("e"), limit: 9, hides_homes: true, ..ListAsk::default() };
        assert_eq!(pages(&disk, &ask), [["y/deep/", "y/deep/Hello.txt"]]);
        let below = ListAsk { folder: path("z"), ..ask.clone() };
        assert_eq!(pages(&disk, &below), [[""; 0]]);
        let nowhere = ListAsk { folder: path("nowhere"), ..ask };
        assert_eq!(list(&disk, &nowhere).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_search_that_looks_at_too_much_says_so() {
        let disk = Names::default();
        for number in 0..=SEARCH_NAMES_MAX {
            disk.0.lock().unwrap().insert(format!("n{number:06}"), Some((1, 1)));
        }
        let ask = ListAsk { search: Some("n0200"), limit: 9, ..ListAsk::default() };
        let listing = list(&disk, &ask).unwrap();
        assert!(listing.is_cut && listing.files.is_empty());
        disk.remove(&path("n000000")).unwrap();
        let listing = list(&disk, &ask).unwrap();
        assert!(!listing.is_cut);
        assert_eq!(shown_by(&listing), ["n020000"]);
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        for after in ["a", "a:1", ":a", "-1:a"] {
            let ask = ListAsk { sort: Sort::Size, after: Some(after), limit: 9, ..ListAsk::default() };
            assert_eq!(list(&some_files(), &ask).unwrap_err().kind(), ErrorKind::InvalidInput, "{after}");
        }
    }

    #[test]
    fn a_page_goes_on_though_its_last_file_has_gone() {
        let disk = some_files();
        let ask = ListAsk { sort: Sort::Time, limit: 4, ..ListAsk::default() };
        let first = list(&disk, &ask).unwrap();
        assert_eq!(shown_by(&first), ["y/", "z/", "~ada/", "b"]);
        disk.remove(&path("b")).unwrap();
        let second = list(&disk, &ListAsk { after: first.next.as_deref(), ..ask }).unwrap();
        assert_eq!(shown_by(&second), ["a", "c:1"]);
    }

    proptest! {
        #[test]
        fn whatever_name_passes_is_a_path_of_one_segment(given in "[ -~é/\\\\.\u{0}-\u{1f}]{0,12}") {
            if let Ok(name) = check_name(&given) {
                let path = RelPath::from_plain(name);
                prop_assert!(path.is_ok(), "{name:?}");
                prop_assert_eq!(path.unwrap().segments().count(), 1);
                prop_assert!(given.ends_with(name));
                prop_assert!(check_name(&free_name(name, 2)).is_ok());
            }
        }
    }
}
