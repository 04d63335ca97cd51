//! [`Archive`]: a folder and all below it as one tar or zip file, made while it is sent. It is never gathered, in memory or on
//! the disk; what it holds at any time is a window, a listing for each folder on the way down and, for a zip, the index that
//! stands at its end.
//!
//! Names are relative and begin with the folder's own. Whatever a list would not show is not in it either: hidden names,
//! links, special files, homes. What goes, or may not be read, while the archive is made is left out. A file is as long in it
//! as it was when it was opened: one that grows is cut there, and one that shrinks ends early in a zip and is filled up with
//! zeros in a tar, whose headers have already told its length.

use std::io::{self, Write};
use std::sync::Arc;

use crate::clock::Wall;
use crate::content::{Content, More, Source};
use crate::path::RelPath;
use crate::store::disk::{Disk, Item, Kind};
use crate::store::zipped::Zipped;

/// Names a zip may hold: its index waits in memory until the end.
#[cfg(feature = "compress")]
pub const ZIP_NAMES_MAX: usize = 100_000;
/// How much of a file is read at a time.
const READ_BYTES: usize = 64 << 10;
/// How much is read for one window at most, however well it packs: the helper has others to see to.
const DRAW_BYTES_MAX: usize = 4 << 20;
/// Blocks of a tar.
const BLOCK: u64 = 512;

/// Which kind of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain, with every file as it is.
    Tar,
    /// Packed lightly, but for what is packed already. Feature `compress`.
    #[cfg(feature = "compress")]
    Zip,
}

impl Format {
    /// The one of this name, if this build knows it.
    pub fn named(word: &str) -> Option<Format> {
        match word {
            "tar" => Some(Format::Tar),
            #[cfg(feature = "compress")]
            "zip" => Some(Format::Zip),
            _ => None,
        }
    }

    /// How many names it may hold, if there is a bound.
    pub fn names_max(self) -> Option<usize> {
        match self {
            Format::Tar => None,
            #[cfg(feature = "compress")]
            Format::Zip => Some(ZIP_NAMES_MAX),
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Tar => "application/x-tar",
            #[cfg(feature = "compress")]
            Format::Zip => "application/zip",
        }
    }

    /// The extension of its name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Tar => "tar",
            #[cfg(feature = "compress")]
            Format::Zip => "zip",
        }
    }
}

/// What a folder holds, folder by folder, by name.
pub struct Walk {
    disk: Arc<dyn Disk>,
    folder: RelPath<'static>,
    hides_homes: bool,
    /// Folders being gone through, each with what is still to come of it, last name first.
    open: Vec<(RelPath<'static>, Vec<Item>)>,
}

impl Walk {
    /// A walk through `folder`, which must be there. In the root of the shared area the homes are left out.
    pub fn new(disk: Arc<dyn Disk>, folder: RelPath<'static>, hides_homes: bool) -> io::Result<Walk> {
        let mut walk = Walk { disk, folder: folder.clone(), hides_homes, open: Vec::new() };
        let items = walk.disk.list(&folder)?;
        walk.enter(folder, items);
        Ok(walk)
    }

    fn enter(&mut self, folder: RelPath<'static>, mut items: Vec<Item>) {
        if self.hides_homes && folder.is_root() {
            items.retain(|item| !item.name.starts_with('~'));
        }
        items.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        self.open.push((folder, items));
    }

    /// Whether it comes to more than so many names.
    pub fn is_longer_than(self, names: usize) -> bool {
        self.take(names + 1).count() > names
    }
}

impl Iterator for Walk {
    type Item = (RelPath<'static>, Item);

    fn next(&mut self) -> Option<(RelPath<'static>, Item)> {
        loop {
            let (folder, items) = self.open.last_mut()?;
            let Some(item) = items.pop() else {
                self.open.pop();
                continue;
            };
            let Ok(name) = RelPath::from_plain(&item.name) else { continue };
            let path = folder.join(&name);
            if item.facts.kind == Kind::Folder {
                match self.disk.list(&path) {
                    Ok(items) => self.enter(path.clone(), items),
                    // Gone meanwhile, or not for us.
                    Err(_) => continue,
                }
            }
            return Some((path, item));
        }
    }
}

/// A file that is being packed.
struct Open {
    content: Arc<dyn Content>,
    at: u64,
    left: u64,
    /// It became shorter, and what is missing is made up for.
    is_short: bool,
}

/// A folder on its way out as one file.
pub struct Archive {
    walk: Walk,
    /// What all names in it begin with; nothing for a root.
    top: String,
    packer: Packer,
    open: Option<Open>,
    buffer: Box<[u8]>,
    is_over: bool,
}

impl Archive {
    /// What the walk comes by, packed. All names begin with `top`, unless that is empty.
    pub fn new(walk: Walk, top: &str, format: Format) -> Archive {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        let top = if top.is_empty() { String::new() } else { format!("{top}/") };
        Archive { walk, top, packer: Packer::new(format), open: None, buffer, is_over: false }
    }

    /// The name of something in the archive: the folder's own, then the way below it.
    fn name_of(&self, path: &RelPath<'_>) -> String {
        format!("{}{}", self.top, path.strip(self.walk.folder.as_str()).unwrap_or_default())
    }

    /// One step: a name, a stretch of a file, or the end. Says how much was read.
    fn step(&mut self) -> io::Result<usize> {
        if let Some(open) = &mut self.open {
            let most = usize::try_from(open.left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let came = match most {
                0 => 0,
                most if open.is_short => most,
                most => open.content.read_at(&mut self.buffer[..most], open.at)?,
            };
            if came == 0 && open.left > 0 && self.packer.has_told_length() {
                open.is_short = true;
                self.buffer.fill(0);
                return Ok(0);
            }
            if came == 0 {
                self.open = None;
                self.packer.end_file()?;
                return Ok(0);
            }
            open.at += came as u64;
            open.left -= came as u64;
            self.packer.write(&self.buffer[..came])?;
            return Ok(came);
        }
        let Some((path, item)) = self.walk.next() else {
            self.is_over = true;
            self.packer.finish()?;
            return Ok(0);
        };
        let name = self.name_of(&path);
        if item.facts.kind == Kind::Folder {
            self.packer.add_folder(&name, item.facts.modified)?;
            return Ok(0);
        }
        match self.walk.disk.open(&path) {
            Ok(opened) => {
                self.packer.begin_file(&name, opened.facts.size, opened.facts.modified)?;
                self.open = Some(Open { content: opened.content, at: 0, left: opened.facts.size, is_short: false });
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(0)
    }
}

/// Whether a file that cannot be opened is just left out.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | IsADirectory | NotADirectory | PermissionDenied)
}

impl Source for Archive {
    fn draw(&mut self, window: &mut Vec<u8>) -> io::Result<More> {
        let full = window.capacity().max(READ_BYTES) - READ_BYTES / 2;
        let mut read = 0;
        while !self.is_over && window.len() < full && read < DRAW_BYTES_MAX {
            read += self.step()?;
            self.packer.give(window);
        }
        Ok(if self.is_over { More::No } else { More::Yes })
    }
}

/// Writes the archive's own form.
enum Packer {
    Tar {
        builder: tar::Builder<Vec<u8>>,
        size: u64,
    },
    #[cfg_attr(not(feature = "compress"), expect(dead_code, reason = "without the feature nobody makes one"))]
    Zip(Zipped),
    /// What is left of either when it is finished.
    Rest(Vec<u8>),
}

impl Packer {
    fn new(format: Format) -> Packer {
        match format {
            Format::Tar => Packer::Tar { builder: tar::Builder::new(Vec::new()), size: 0 },
            #[cfg(feature = "compress")]
            Format::Zip => Packer::Zip(Zipped::default()),
        }
    }

    fn add_folder(&mut self, name: &str, modified: Wall) -> io::Result<()> {
        match self {
            Packer::Tar { builder, .. } => {
                let mut header = header(tar::EntryType::Directory, 0o755, 0, modified);
                builder.append_data(&mut header, format!("{name}/"), io::empty())
            }
            Packer::Zip(zip) => zip.add_folder(name, modified),
            Packer::Rest(_) => Ok(()),
        }
    }

    fn begin_file(&mut self, name: &str, bytes: u64, modified: Wall) -> io::Result<()> {
        match self {
            Packer::Tar { builder, size } => {
                *size = bytes;
                // Only the header; the content follows as it is read.
                builder.append_data(&mut header(tar::EntryType::Regular, 0o644, bytes, modified), name, io::empty())
            }
            Packer::Zip(zip) => zip.begin_file(name, bytes, modified),
            Packer::Rest(_) => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Packer::Tar { builder, .. } => builder.get_mut().write_all(bytes),
            Packer::Zip(zip) => zip.write(bytes),
            Packer::Rest(_) => Ok(()),
        }
    }

    /// Whether a file must be as long as was said when it began.
    fn has_told_length(&self) -> bool {
        matches!(self, Packer::Tar { .. })
    }

    fn end_file(&mut self) -> io::Result<()> {
        if let Packer::Tar { builder, size } = self {
            let padding = size.next_multiple_of(BLOCK) - *size;
            io::copy(&mut io::Read::take(io::repeat(0), padding), builder.get_mut())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest = match std::mem::replace(self, Packer::Rest(Vec::new())) {
            Packer::Tar { builder, .. } => builder.into_inner()?,
            Packer::Zip(zip) => zip.finish()?,
            Packer::Rest(rest) => rest,
        };
        *self = Packer::Rest(rest);
        Ok(())
    }

    /// Moves what has been written into a window.
    fn give(&mut self, window: &mut Vec<u8>) {
        match self {
            Packer::Tar { builder, .. } => window.append(builder.get_mut()),
            Packer::Zip(zip) => zip.give(window),
            Packer::Rest(rest) => window.append(rest),
        }
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64, modified: Wall) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(modified.as_seconds());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::{Draft, Existing, FileFacts, Opened};
    use std::collections::BTreeMap;
    #[cfg(feature = "compress")]
    use std::io::Cursor;
    use std::io::Read;

    /// A file says that it is so long, and has these bytes.
    struct Said(u64, Vec<u8>);

    impl Content for Vec<u8> {
        fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let read = rest.len().min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }

    /// Files by their paths; a folder is where one lies.
    struct Tree(BTreeMap<&'static str, Said>);

    fn facts(kind: Kind, size: u64) -> FileFacts {
        FileFacts { kind, size, modified: Wall::from_seconds(1_795_169_472), version: 1 }
    }

    impl Disk for Tree {
        fn open(&self, path: &RelPath<'_>) -> io::Result<Opened> {
            let Said(size, bytes) = self.0.get(path.as_str()).ok_or(io::ErrorKind::NotFound)?;
            if bytes == b"gone" {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Opened { facts: facts(Kind::File, *size), content: Arc::new(bytes.clone()) })
        }

        fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
            let mut items: Vec<Item> = Vec::new();
            for (path, Said(size, _)) in &self.0 {
                let path = RelPath::from_plain(path).unwrap();
                let Some(below) = path.strip(folder.as_str()) else { continue };
                let name = below.segments().next().unwrap().to_owned();
                let kind = if below.segments().count() > 1 { Kind::Folder } else { Kind::File };
                if items.iter().all(|item| item.name != name) {
                    items.push(Item { name, facts: facts(kind, *size) });
                }
            }
            if items.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(items) }
        }

        fn facts(&self, _: &RelPath<'_>) -> io::Result<FileFacts> {
            unreachable!("an archive looks at what it opens")
        }

        fn draft(&self, _: &RelPath<'_>, _: Option<u64>) -> io::Result<Box<dyn Draft>> {
            unreachable!("an archive writes nothing")
        }

        fn make_folder(&self, _: &RelPath<'_>) -> io::Result<()> {
            unreachable!("an archive writes nothing")
        }

        fn rename(&self, _: &RelPath<'_>, _: &RelPath<'_>, _: Existing) -> io::Result<()> {
            unreachable!("an archive writes nothing")
        }

        fn remove(&self, _: &RelPath<'_>) -> io::Result<()> {
            unreachable!("an archive writes nothing")
        }

        fn free_bytes(&self) -> io::Result<u64> {
            unreachable!("an archive writes nothing")
        }

        fn sweep(&self) -> io::Result<usize> {
            unreachable!("an archive writes nothing")
        }
    }

    fn said(bytes: &[u8]) -> Said {
        Said(bytes.len() as u64, bytes.to_vec())
    }

    fn tree() -> Arc<dyn Disk> {
        let long: String = "l".repeat(200);
        let long: &'static str = format!("f/{long}/{long}.txt").leak();
        let noise: Vec<u8> = (0..700_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        Arc::new(Tree(BTreeMap::from([
            ("f/a.txt", said(b"a")),
            ("f/é/b.bin", said(&noise)),
            ("f/é/empty", said(b"")),
            ("f/gone", said(b"gone")),
            ("f/grown", Said(3, b"abcdef".to_vec())),
            ("f/shrunk", Said(200_000, b"abc".to_vec())),
            (long, said(b"long")),
            ("other", said(b"other")),
            ("~ada/x", said(b"x")),
        ])))
    }

    fn pack(folder: &'static str, format: Format, capacity: usize) -> Vec<u8> {
        let walk = Walk::new(tree(), RelPath::from_plain(folder).unwrap(), true).unwrap();
        let mut archive = Archive::new(walk, folder, format);
        let mut packed = Vec::new();
        loop {
            let mut window = Vec::with_capacity(capacity);
            let more = archive.draw(&mut window).unwrap();
            assert!(window.len() <= capacity + 2 * READ_BYTES, "{} bytes in a window of {capacity}", window.len());
            packed.extend(window);
            if more == More::No {
                return packed;
            }
        }
    }

    fn untar(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_795_169_472);
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        });
        entries.collect()
    }

    #[cfg(feature = "compress")]
    fn unzip(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut entries = BTreeMap::new();
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).unwrap();
            let time = entry.last_modified().unwrap();
            assert_eq!((time.year(), time.month(), time.day(), time.hour()), (2026, 11, 20, 10));
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            entries.insert(entry.name().unwrap().into_owned(), bytes);
        }
        entries
    }

    #[test]
    #[cfg(feature = "compress")]
    fn a_folder_is_packed_under_its_own_name_and_only_what_is_in_it() {
        for capacity in [1, 100_000, 128 << 10] {
            let (tar, zip) = (pack("f", Format::Tar, capacity), pack("f", Format::Zip, capacity));
            assert!(zip.len() < tar.len());
            let (tar, zip) = (untar(&tar), unzip(&zip));
            let long = "l".repeat(200);
            let names = ["f/a.txt", "f/grown", &format!("f/{long}/"), &format!("f/{long}/{long}.txt"), "f/shrunk"];
            let names = [&names[..], &["f/é/", "f/é/b.bin", "f/é/empty"]].concat();
            assert_eq!(tar.keys().map(String::as_str).collect::<Vec<_>>(), names);
            assert_eq!(zip.keys().map(String::as_str).collect::<Vec<_>>(), names);
            for (name, bytes) in &tar {
                if name != "f/shrunk" {
                    assert!(zip[name] == *bytes, "{name}");
                }
            }
            assert_eq!((tar["f/é/b.bin"].len(), tar["f/grown"].as_slice()), (700_000, &b"abc"[..]));
            assert_eq!((tar["f/shrunk"].len(), &tar["f/shrunk"][..4]), (200_000, &b"abc\0"[..]));
            assert_eq!(zip["f/shrunk"], b"abc");
        }
    }

    #[test]
    fn the_root_is_packed_without_the_homes() {
        let names: Vec<String> = untar(&pack("", Format::Tar, 1000)).into_keys().collect();
        assert!(names.contains(&"other".to_owned()) && names.contains(&"f/a.txt".to_owned()), "{names:?}");
        assert!(names.iter().all(|name| !name.starts_with(['~', '/'])), "{names:?}");
    }

    #[test]
    fn a_walk_knows_when_it_is_too_long() {
        let walk = || Walk::new(tree(), RelPath::from_plain("f").unwrap(), true).unwrap();
        assert_eq!(walk().count(), 9);
        assert!(walk().is_longer_than(8) && !walk().is_longer_than(9));
        assert!(Walk::new(tree(), RelPath::from_plain("nothing").unwrap(), true).is_err());
    }
}
