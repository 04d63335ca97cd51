//! What a path of `www/` stands for, as it is kept on the shelf: looked up, read and its header lines made, once for many.
//!
//! The loop looks first, at what the kernel has in memory ([`Looker`] is prompt); where that is not all, a helper does. What is found
//! is shared, and says nothing of any one request.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Wall;
use crate::config::Config;
use crate::config::access::Access as Right;
use crate::content::Content;
use crate::http::date;
use crate::http::form::content_disposition;
use crate::http::headers::{Field, Headers};
use crate::http::media::media_type;
use crate::http::negotiate::{Coding, CodingSet, accepted_codings};
use crate::http::response::{PAGE_POLICY, Response};
use crate::http::status::Status;
use crate::path::RelPath;
#[cfg(feature = "ui")]
use crate::site::built;
use crate::site::listing;
use crate::site::variant::{Making, Source, Variant};
use crate::store::disk::{Disk, FileFacts, Item, Opened, is_shortage};

/// Files up to this size are kept in memory; larger ones are kept open and sent by the kernel.
const SMALL: u64 = 32 << 10;

/// Files up to this size are kept in memory too while they are in demand and half of the shelf is free: to copy so much is
/// cheaper than to have the kernel look up and hand over its pages one by one. What is read once gains nothing by being copied.
const MIDDLING: u64 = 128 << 10;

/// A file is in demand that was asked for so often since it was last looked at, which is a second ago or more.
const DEMAND: u32 = 8;

/// What is in memory stays there as long as it was asked for more often than this.
const DEMAND_OVER: u32 = 1;

/// What stands on the shelf for a path.
pub type Shelved = Arc<Page>;

/// What a path stands for.
pub enum Page {
    /// A file, in one or several codings.
    File(File),
    /// A folder that was asked for without its slash.
    Folder,
    /// A folder's names, made into a page and a document.
    Listing {
        /// For people.
        html: Bytes,
        /// For programs.
        json: Bytes,
    },
    /// Nothing.
    Absent,
}

/// A file as it is served.
pub struct File {
    plain: Variant,
    /// Its pre-compressed siblings.
    coded: Vec<(Coding, Variant)>,
}

/// What the shelf knew of a path that is looked up again.
#[derive(Clone)]
pub struct Known {
    /// What stood there.
    pub page: Shelved,
    /// How often it was asked for since the last look.
    pub asked: u32,
    /// How many bytes of the shelf such a file may take.
    pub room: usize,
}

/// How a page takes its place on the shelf.
pub enum Weight {
    /// It is kept in memory and has so many bytes.
    Bytes(usize),
    /// It is kept open.
    Open,
    /// There is nothing, which is worth remembering too.
    Absent,
    /// It is what was there before.
    Unchanged,
    /// It is made anew each time.
    Fleeting,
}

/// How long a look may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// No time at all: what has to be waited for is `WouldBlock`. The loop looks so.
    Prompt,
    /// As long as the disk takes. Only helpers look so.
    Patient,
}

impl Pace {
    fn open(self, disk: &dyn Disk, path: &RelPath<'_>) -> io::Result<Opened> {
        match self {
            Pace::Prompt => disk.open_now(path),
            Pace::Patient => disk.open(path),
        }
    }

    fn read(self, content: &dyn Content, into: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Pace::Prompt => content.read_now(into, offset),
            Pace::Patient => content.read_at(into, offset),
        }
    }

    fn list(self, disk: &dyn Disk, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
        match self {
            Pace::Prompt => Err(io::ErrorKind::WouldBlock.into()),
            Pace::Patient => disk.list(folder),
        }
    }
}

/// What is to be known to make a page.
pub struct Looker {
    pace: Pace,
    attach: Vec<String>,
    lists_folders: bool,
    caching: &'static str,
    now: Wall,
}

impl Looker {
    /// What the configuration says of pages, and what time it is. It looks promptly.
    pub fn of(config: &Config, now: Wall) -> Looker {
        let caching = if config.rights().www_read == Right::Anyone { "no-cache" } else { "private, no-cache" };
        let (attach, lists_folders) = (config.attach.clone(), config.lists_folders);
        Looker { pace: Pace::Prompt, attach, lists_folders, caching, now }
    }

    /// The same for a helper, which may wait.
    pub fn patient(self) -> Looker {
        Looker { pace: Pace::Patient, ..self }
    }

    /// Looks a path up; behind a folder that has no such file there may be what is built in. Blocks, if it is patient.
    ///
    /// # Errors
    /// What the disk says, but for there being nothing; `WouldBlock` if it is prompt and would have to wait.
    pub fn find(
        &self,
        disk: Option<&dyn Disk>,
        has_built_in: bool,
        path: &RelPath<'_>,
        is_folder: bool,
        known: Option<Known>,
    ) -> io::Result<(Shelved, Weight)> {
        let index = RelPath::from_plain("index.html").unwrap_or(RelPath::ROOT);
        let file = if is_folder { path.join(&index) } else { path.borrow().into_owned() };
        if let Some(disk) = disk {
            match self.pace.open(disk, &file) {
                Ok(opened) => return self.file(disk, &file, opened, known),
                Err(error) if error.kind() == io::ErrorKind::IsADirectory && !is_folder => {
                    return Ok((Arc::new(Page::Folder), Weight::Absent));
                }
                Err(error) if !is_nothing(&error) => return Err(error),
                // At the root there is always a page to fall back to.
                Err(_) if is_folder && self.lists_folders && !path.is_root() => match self.pace.list(disk, path) {
                    Ok(items) => return Ok((Arc::new(listing(path, items)), Weight::Fleeting)),
                    Err(error) if !is_nothing(&error) => return Err(error),
                    Err(_) => {}
                },
                Err(_) => {}
            }
        }
        #[cfg(feature = "ui")]
        if let Some(bytes) = built::fallback(file.as_str()).filter(|_| has_built_in) {
            return Ok((Arc::new(Page::File(self.built_in_file(&file, bytes))), Weight::Bytes(bytes.len())));
        }
        // In a build without pages nothing is built in.
        let _ = has_built_in;
        Ok((Arc::new(Page::Absent), Weight::Absent))
    }

    fn file(
        &self,
        disk: &dyn Disk,
        path: &RelPath<'_>,
        opened: Opened,
        known: Option<Known>,
    ) -> io::Result<(Shelved, Weight)> {
        let mut siblings = Vec::new();
        for coding in Coding::ALL {
            let sibling = format!("{path}{}", coding.suffix());
            let Ok(sibling) = RelPath::from_plain(&sibling) else { continue };
            match self.pace.open(disk, &sibling) {
                Ok(opened) => siblings.push((coding, opened)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_shortage(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let sizes = || {
            std::iter::once(&opened).chain(siblings.iter().map(|(_, opened)| opened)).map(|opened| opened.facts.size)
        };
        // Only sizes that are small are added up: a sparse file may have any.
        let may_stay = sizes().all(|size| size <= MIDDLING)
            && known.as_ref().is_some_and(|known| known.is_in_demand(sizes().sum()));
        let in_memory = if may_stay { MIDDLING } else { SMALL };
        if let Some(Known { page, .. }) = known
            && let Page::File(file) = &*page
            && file.is_still(&opened, &siblings)
            && file.is_in_memory() == sizes().all(|size| size <= in_memory)
        {
            return Ok((page, Weight::Unchanged));
        }
        let has_siblings = !siblings.is_empty();
        let original = opened.facts.not_after(self.now);
        let make = |opened, coding, varies| self.variant(path, opened, in_memory, original, coding, varies);
        let plain = make(opened, None, has_siblings)?;
        let mut coded = Vec::new();
        for (coding, opened) in siblings {
            coded.push((coding, make(opened, Some(coding), true)?));
        }
        let file = File { plain, coded };
        let weight = match file.weight() {
            Some(bytes) => Weight::Bytes(bytes),
            None => Weight::Open,
        };
        Ok((Arc::new(Page::File(file)), weight))
    }

    fn variant(
        &self,
        path: &RelPath<'_>,
        opened: Opened,
        in_memory: u64,
        original: FileFacts,
        coding: Option<Coding>,
        varies: bool,
    ) -> io::Result<Variant> {
        let Opened { facts, content } = opened;
        let source = if facts.size <= in_memory {
            let mut bytes = vec![0; facts.size as usize];
            let mut filled = 0;
            while filled < bytes.len() {
                match self.pace.read(&*content, &mut bytes[filled..], filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            bytes.truncate(filled);
            Source::Memory(bytes.into())
        } else {
            Source::Open(content)
        };
        Ok(self.make(path, source, facts, original, coding, varies))
    }

    #[cfg(feature = "ui")]
    fn built_in_file(&self, path: &RelPath<'_>, bytes: &'static [u8]) -> File {
        let version = built::version(bytes);
        let facts = FileFacts {
            kind: crate::store::disk::Kind::File,
            size: bytes.len() as u64,
            modified: Wall::default(),
            version,
        };
        let plain = self.make(path, Source::Memory(Bytes::from_static(bytes)), facts, facts, None, false);
        File { plain, coded: Vec::new() }
    }

    /// Makes the ready header blocks.
    fn make(
        &self,
        path: &RelPath<'_>,
        source: Source,
        facts: FileFacts,
        original: FileFacts,
        coding: Option<Coding>,
        varies: bool,
    ) -> Variant {
        let size = match &source {
            Source::Memory(bytes) => bytes.len() as u64,
            Source::Open(_) => facts.size,
        };
        let facts = FileFacts { size, ..facts };
        let name = path.name().unwrap_or_default();
        let media = media_type(name);
        let etag = match coding {
            None => format!("\"{:016x}\"", facts.version),
            Some(coding) => format!("\"{:016x}-{}\"", facts.version, coding.token()),
        };
        let mut brief = Response::new(Status::OK).header("ETag", &etag).header("Cache-Control", self.caching);
        // A page of the binary has no time of its own.
        if original.modified.as_seconds() > 0 {
            let modified = date::imf(original.modified);
            brief.add_header("Last-Modified", std::str::from_utf8(&modified).unwrap_or_default());
        }
        if varies {
            brief.add_header("Vary", "Accept-Encoding");
        }
        let mut full = Response::new(Status::OK).header("Content-Type", media).header("Accept-Ranges", "bytes");
        if let Some(coding) = coding {
            full.add_header("Content-Encoding", coding.token());
        }
        if media.starts_with("text/html") || media.starts_with("image/svg") {
            full.add_header("Content-Security-Policy", PAGE_POLICY);
            full.add_header("Referrer-Policy", "same-origin");
        }
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if self.attach.iter().any(|attach| attach.eq_ignore_ascii_case(extension)) {
            full.add_header("Content-Disposition", &content_disposition(name));
        }
        let facts = FileFacts { modified: original.modified, ..facts };
        Variant::new(Making { full: &full, brief: &brief, etag, facts, media, source })
    }
}

fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename)
}

fn listing(path: &RelPath<'_>, items: Vec<Item>) -> Page {
    let (html, json) = listing::of_folder(path, items);
    Page::Listing { html: html.into(), json: json.into() }
}

impl Known {
    /// Whether so many bytes of files beyond the usual size may take memory.
    fn is_in_demand(&self, bytes: u64) -> bool {
        let weight = if let Page::File(file) = &*self.page { file.weight() } else { None };
        match weight {
            Some(weight) => self.asked > DEMAND_OVER && bytes <= (self.room + weight) as u64,
            None => self.asked >= DEMAND && bytes <= self.room as u64,
        }
    }
}

impl File {
    fn is_in_memory(&self) -> bool {
        self.weight().is_some()
    }

    fn is_still(&self, opened: &Opened, siblings: &[(Coding, Opened)]) -> bool {
        self.plain.facts().version == opened.facts.version
            && self.coded.len() == siblings.len()
            && self.coded.iter().zip(siblings).all(|((coding, variant), (other, opened))| {
                coding == other && variant.facts().version == opened.facts.version
            })
    }

    /// How many bytes of memory it takes; `None` if it is kept open instead.
    fn weight(&self) -> Option<usize> {
        let variants = std::iter::once(&self.plain).chain(self.coded.iter().map(|(_, variant)| variant));
        variants.map(Variant::weight).sum()
    }

    /// The representation this client is sent.
    pub fn choose(&self, headers: &Headers<'_>) -> &Variant {
        if self.coded.is_empty() || !headers.has(Field::AcceptEncoding) {
            return &self.plain;
        }
        let set = self.coded.iter().fold(CodingSet::NONE, |set, (coding, _)| set.with(*coding));
        let best = accepted_codings(headers.all(Field::AcceptEncoding)).best(set);
        best.and_then(|best| self.coded.iter().find(|(coding, _)| *coding == best))
            .map_or(&self.plain, |(_, variant)| variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_middling_file_takes_no_more_than_the_shelf_can_spare() {
        let known = |asked| Known { page: Arc::new(Page::Absent), asked, room: 100_000 };
        assert!(known(DEMAND).is_in_demand(100_000));
        assert!(!known(DEMAND).is_in_demand(100_001));
        assert!(!known(DEMAND - 1).is_in_demand(100_000));
    }
}
