//! Bodies on their way to the disk, window by window, on helpers: one file, or a form of several. Nobody sees any of it before
//! it is complete; a body that ends early leaves nothing.

use std::io;
use std::sync::Arc;

use crate::http::fault::Fault;
use crate::http::multipart::{Event, Multipart, Part};
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::current::{check_conditions, look};
use crate::site::files::{bad_name, shown};
use crate::site::gate::User;
use crate::site::kept::KeptHeaders;
use crate::site::spot::{Actor, Area};
use crate::site::state::{Files, Site, disk_fault};
use crate::site::way::{self, Unplaced};
use crate::store::archive::Walk;
use crate::store::disk::{Disk, Draft, FileFacts, Kind};
use crate::store::locks::Place;
use crate::store::owners::{Change, Owner};
use crate::store::pledges::{Pledge, Pledges};
use crate::store::tree::{self, OnConflict, check_name, check_place};

/// How many bytes go to the disk between two looks at how full it is.
const LOOK_EVERY: u64 = 16 << 20;

/// The longest value of a field that is no file: a path of sixteen names.
const FIELD_BYTES_MAX: usize = 16 * 256;

/// A file that is stored.
pub struct Stored {
    /// Under which path.
    pub path: RelPath<'static>,
    /// What is known of it.
    pub facts: FileFacts,
    /// Whether nothing was there before.
    pub is_new: bool,
}

/// What the ledger is told of files that were stored, and of folders that were made for them. What replaced another keeps its owner.
pub fn changes_of(site: &Site, stored: &[Stored], folders: Vec<RelPath<'static>>, owner: Option<Owner>) -> Vec<Change> {
    let has_owner = |path: &RelPath<'_>| site.files.as_ref().is_some_and(|files| files.owners.of(path).is_some());
    let new = stored.iter().filter(|one| one.is_new || !has_owner(&one.path)).map(|one| one.path.clone());
    folders.into_iter().chain(new).map(|path| Change::Made(path, owner)).collect()
}

/// Where files are stored, as a helper has it.
#[derive(Clone)]
pub struct Store {
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// Which part of the files it is.
    pub area: Area,
    /// What must stay free.
    min_free: u64,
}

/// How often an overwrite looks again when something came to stand in its place meanwhile.
const LOOKS: usize = 8;

impl Store {
    /// The store of an area.
    ///
    /// # Errors
    /// 404 for a home where there are none.
    pub fn of(files: &Files, area: &Area, min_free: u64) -> Result<Store, Fault> {
        Ok(Store { disk: area.disk(files)?, area: area.clone(), min_free })
    }

    /// What the disk's refusal to store a file means to who sent it.
    pub fn fault(&self, error: &io::Error, path: &RelPath<'_>) -> Fault {
        store_fault(error, &self.area.show(path))
    }

    /// Begins a file for `path`. Its folder may still be missing: until it is complete it can lie anywhere.
    pub fn draft(&self, path: &RelPath<'_>, length: Option<u64>) -> io::Result<Box<dyn Draft>> {
        match self.disk.draft(&path.parent().unwrap_or_default(), length) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.draft(&RelPath::ROOT, length),
            draft => draft,
        }
    }

    /// Gives something its place at a path, as [`way::place_at`] does.
    ///
    /// # Errors
    /// What `place` refuses, or why there is no way.
    pub fn place_at<T>(
        &self,
        path: &RelPath<'_>,
        place: impl FnMut() -> Result<T, Fault>,
    ) -> Result<(T, Vec<RelPath<'static>>), Unplaced> {
        way::place_at(&*self.disk, path, place)
    }

    /// Gives a draft its name, or one like it. `right` says whether what stands there may be replaced, and has been heeded
    /// for what a look has found: but something may have come since, from elsewhere.
    pub fn commit(
        &self,
        draft: &mut dyn Draft,
        path: &RelPath<'_>,
        on_conflict: OnConflict,
        right: &Result<(), Fault>,
    ) -> Result<Stored, Fault> {
        let fault = |error: io::Error| self.fault(&error, path);
        draft.sync().map_err(fault)?;
        if on_conflict != OnConflict::Overwrite {
            return commit(draft, path, on_conflict).map_err(fault);
        }
        for _ in 0..LOOKS {
            if self.look(path, on_conflict)?.is_some() {
                right.clone()?;
                return commit(draft, path, on_conflict).map_err(fault);
            }
            match commit(draft, path, OnConflict::Error) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                stored => return stored.map_err(fault),
            }
        }
        // What is neither file nor folder is not to be seen, and gives way to nobody.
        Err(fault(io::ErrorKind::AlreadyExists.into()))
    }

    /// Whether a file may come to stand at `path`, as far as a look can tell. The kernel has the last word, when the file is
    /// whole; but to refuse now spares a client the sending.
    pub fn look(&self, path: &RelPath<'_>, on_conflict: OnConflict) -> Result<Option<FileFacts>, Fault> {
        match (self.disk.facts(path), on_conflict) {
            (Ok(_), OnConflict::Error) => Err(self.fault(&io::ErrorKind::AlreadyExists.into(), path)),
            (Ok(facts), OnConflict::Overwrite) if facts.kind == Kind::Folder => {
                Err(self.fault(&io::ErrorKind::IsADirectory.into(), path))
            }
            (Ok(facts), _) => Ok(Some(facts)),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            (Err(error), _) => Err(disk_fault(&error, "look for a shared file")),
        }
    }
}

fn commit(draft: &mut dyn Draft, path: &RelPath<'_>, on_conflict: OnConflict) -> io::Result<Stored> {
    let (path, facts) = tree::commit(draft, path, on_conflict)?;
    Ok(Stored { path, facts, is_new: on_conflict != OnConflict::Overwrite })
}

/// What the disk's refusal to store a file under this path means to who sent it.
fn store_fault(error: &io::Error, path: &RelPath<'_>) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::new(Status::CONFLICT, "file_exists", format!("{path} exists")),
        io::ErrorKind::IsADirectory => Fault::new(Status::CONFLICT, "is_folder", format!("{path} is a folder")),
        _ => disk_fault(error, "store a file"),
    }
}

/// What somebody's files may have in all.
pub struct Allowance {
    /// So many bytes.
    most: u64,
    /// What counts: a home, and what lies in the shared area.
    homes: Option<(Arc<dyn Disk>, RelPath<'static>)>,
    shared: Arc<dyn Disk>,
    paths: Vec<RelPath<'static>>,
    /// Whose it is, and what is under way to their files.
    account: i64,
    pledges: Pledges,
    /// So many bytes go when what is asked for takes its place.
    credit: u64,
}

impl Allowance {
    /// The allowance of who acts; `None` for any number of bytes.
    pub fn of(site: &Site, actor: &Actor) -> Option<Allowance> {
        let (user, most) = quota(site, actor)?;
        let files = site.files.as_ref()?;
        let paths = files.owners.paths_of(user.id).filter_map(|path| RelPath::from_plain(path).ok());
        Some(Allowance {
            most,
            homes: files.homes.clone().map(|homes| (homes, Area::home(user).root())),
            shared: Arc::clone(&files.disk),
            paths: paths.map(RelPath::into_owned).collect(),
            account: user.id,
            pledges: files.partials.pledges.clone(),
            credit: 0,
        })
    }

    /// The same for what replaces this, if it counts: one who has all they may have can still change it.
    pub fn in_place_of(self, store: &Store, path: &RelPath<'_>, current: Option<&FileFacts>) -> Allowance {
        let counts = !store.area.is_shared() || self.paths.iter().any(|own| own == path);
        let credit = current.filter(|facts| counts && facts.kind == Kind::File).map_or(0, |facts| facts.size);
        Allowance { credit, ..self }
    }

    /// Lets so many bytes come; none if it is not known how many will. Blocks.
    ///
    /// # Errors
    /// 507 if there is no room for them beside all that is under way.
    fn begin(&self, bytes: u64) -> Result<Share, Fault> {
        let mut pledge = self.pledges.pledge(self.account, 0);
        let pledged = pledge.raise(bytes);
        let left = self.left();
        if pledged > left { Err(over_quota()) } else { Ok(Share { pledge, came: 0, left }) }
    }

    /// Whether so many bytes may take their place now, whatever was left when they began to come. Blocks.
    ///
    /// # Errors
    /// 507 if they may not.
    pub fn check(&self, bytes: u64) -> Result<(), Fault> {
        if bytes > self.left() { Err(over_quota()) } else { Ok(()) }
    }

    /// What is left of it. Blocks: it looks at every file.
    pub fn left(&self) -> u64 {
        let private: u64 = self.homes.iter().map(|(disk, root)| bytes_below(disk, root)).sum();
        self.most.saturating_add(self.credit).saturating_sub(private.saturating_add(self.shared_bytes(&RelPath::ROOT)))
    }

    /// How much of what is shared, at a path and below it, counts already.
    fn shared_bytes(&self, path: &RelPath<'_>) -> u64 {
        let paths = self.paths.iter().filter(|own| own.strip(path.as_str()).is_some());
        let facts = paths.filter_map(|path| self.shared.facts(path).ok());
        facts.filter(|facts| facts.kind == Kind::File).map(|facts| facts.size).sum()
    }

    /// Whether what is shared at a path, and all below it, may become private. Blocks.
    ///
    /// # Errors
    /// 507 if it may not.
    pub fn take_home(&self, path: &RelPath<'_>, facts: &FileFacts) -> Result<(), Fault> {
        let bytes = if facts.kind == Kind::File { facts.size } else { bytes_below(&self.shared, path) };
        let left = self.left().saturating_sub(self.pledges.of(self.account));
        if bytes.saturating_sub(self.shared_bytes(path)) > left { Err(over_quota()) } else { Ok(()) }
    }
}

/// How many bytes the files of who acts may have; `None` for any number.
fn quota<'a>(site: &Site, actor: &'a Actor) -> Option<(&'a User, u64)> {
    let user = actor.who.user()?;
    let own = site.accounts.as_ref()?.users.account(user.id)?.quota;
    let most = own.unwrap_or(site.config.limits.quota_bytes);
    (most != 0 && most != u64::MAX).then_some((user, most))
}

/// What is locked beside the places of files whose bytes are counted: of two that come at once the second sees the first.
pub fn allowance_place(site: &Site, actor: &Actor) -> Option<Place> {
    // No account has such a number, so no file's place meets it.
    quota(site, actor).map(|(user, _)| Place::new(Some(-user.id), RelPath::ROOT))
}

/// The bytes of all files below a folder.
fn bytes_below(disk: &Arc<dyn Disk>, folder: &RelPath<'_>) -> u64 {
    let walk = Walk::new(Arc::clone(disk), folder.clone().into_owned(), false);
    let items = walk.into_iter().flatten().map(|(_, item)| item);
    items.filter(|item| item.facts.kind == Kind::File).map(|item| item.facts.size).sum()
}

/// The room that a body takes, and what it must leave.
pub struct Room {
    disk: Arc<dyn Disk>,
    min_free: u64,
    unseen: u64,
    /// Where what is sent counts for somebody.
    share: Option<Share>,
}

/// What one body takes of an allowance.
struct Share {
    pledge: Pledge,
    came: u64,
    /// What was left of the allowance when the body began to come.
    left: u64,
}

impl Share {
    /// The pledge covers what was said to come; what was not grows with what does.
    fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        self.came += bytes;
        if self.came > self.pledge.bytes() && self.pledge.raise(self.came) > self.left {
            return Err(over_quota());
        }
        Ok(())
    }
}

impl Room {
    /// Room for a body, of this length if it is known; 507 if there is none.
    pub fn new(store: &Store, length: Option<u64>, allowance: Option<Allowance>) -> Result<Room, Fault> {
        let length = length.unwrap_or(0);
        let share = allowance.map(|allowance| allowance.begin(length)).transpose()?;
        let room = Room { disk: Arc::clone(&store.disk), min_free: store.min_free, unseen: 0, share };
        room.look(length)?;
        Ok(room)
    }

    /// What it takes of an allowance, to be kept for longer than a body comes.
    pub fn into_pledge(self) -> Option<Pledge> {
        self.share.map(|share| share.pledge)
    }

    fn look(&self, length: u64) -> Result<(), Fault> {
        if self.min_free == 0 {
            return Ok(());
        }
        let free = self.disk.free_bytes().map_err(|error| disk_fault(&error, "see how full the disk is"))?;
        if free < self.min_free.saturating_add(length) {
            return Err(disk_fault(&io::ErrorKind::StorageFull.into(), "store a file and leave what is to stay free"));
        }
        Ok(())
    }

    /// So many bytes are about to be written.
    ///
    /// # Errors
    /// 507 if they would leave too little.
    pub fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        if let Some(share) = &mut self.share {
            share.take(bytes as u64)?;
        }
        self.unseen += bytes as u64;
        if self.unseen < LOOK_EVERY {
            return Ok(());
        }
        self.unseen = 0;
        self.look(0)
    }
}

/// 507 for who would have more than they may.
pub fn over_quota() -> Fault {
    Fault::new(Status::INSUFFICIENT_STORAGE, "over_quota", "your files would have more bytes than they may")
}

/// A file that has come as a whole, and has no place yet.
pub struct Whole {
    /// Its content,
    pub draft: Box<dyn Draft>,
    /// so many bytes.
    pub bytes: u64,
    /// They count for whoever sent them until it has its place.
    _room: Room,
}

/// What becomes of a file that is complete. It runs in the loop, and must have a helper drop the draft.
type Placing = Box<dyn FnOnce(&mut Site, &mut Context<'_>, Whole) -> Reply<Site> + Send>;

/// A body that is one file.
pub struct FileSink {
    draft: Box<dyn Draft>,
    written: u64,
    room: Room,
    placing: Placing,
}

impl FileSink {
    /// A sink that fills a draft; `placing` sees to it that it gets its name.
    pub fn new(
        draft: Box<dyn Draft>,
        room: Room,
        placing: impl FnOnce(&mut Site, &mut Context<'_>, Whole) -> Reply<Site> + Send + 'static,
    ) -> FileSink {
        FileSink { draft, written: 0, room, placing: Box::new(placing) }
    }
}

impl Sink<Site> for FileSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.room.take(bytes.len())?;
        self.written += bytes.len() as u64;
        self.draft.write(bytes).map_err(|error| disk_fault(&error, "write a file"))
    }

    fn position(&self) -> u64 {
        self.written
    }

    fn finish(self: Box<Self>) -> Step<Site> {
        let FileSink { mut draft, placing, written, room } = *self;
        match draft.sync() {
            Ok(()) => {
                let whole = Whole { draft, bytes: written, _room: room };
                Box::new(move |site, cx| placing(site, cx, whole))
            }
            Err(error) => {
                let fault = disk_fault(&error, "store a file");
                Box::new(move |_, _| fault.into())
            }
        }
    }
}

/// What becomes of a form that is complete: its answer. It runs in the loop, and must have a helper drop the parts.
type Answering = Box<dyn FnOnce(&mut Site, &mut Context<'_>, Complete) -> Reply<Site> + Send>;

/// A body that is a form with files.
pub struct FormSink {
    form: Multipart,
    /// How much of the body has come, and how much of that came before the content of the last part.
    came: u64,
    part_at: u64,
    parts: Parts,
    answering: Answering,
}

impl FormSink {
    /// A sink that reads a form; `answering` is told which files were stored.
    pub fn new(
        form: Multipart,
        parts: Parts,
        answering: impl FnOnce(&mut Site, &mut Context<'_>, Complete) -> Reply<Site> + Send + 'static,
    ) -> FormSink {
        FormSink { form, came: 0, part_at: 0, parts, answering: Box::new(answering) }
    }
}

impl Sink<Site> for FormSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.parts.room.take(bytes.len())?;
        let mut rest = bytes;
        loop {
            let (used, event) = self.form.push(rest)?;
            match event {
                Event::NeedBytes => {
                    self.came += bytes.len() as u64;
                    return Ok(());
                }
                Event::Part(part) => {
                    self.part_at = self.came + (bytes.len() - rest.len() + used) as u64;
                    self.parts.begin(&part)?;
                }
                Event::Data(range) => self.parts.take(rest.get(range).unwrap_or_default())?,
                Event::Held(bytes) => self.parts.take(bytes)?,
                Event::PartEnd => self.parts.end()?,
                Event::End => {}
            }
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// What is held back because it may be a delimiter has its place all the same.
    fn position(&self) -> u64 {
        self.came - self.part_at
    }

    fn finish(self: Box<Self>) -> Step<Site> {
        let FormSink { form, parts, answering, .. } = *self;
        match form.finish().and_then(|()| parts.complete()) {
            Ok(complete) => Box::new(move |site, cx| answering(site, cx, complete)),
            Err(fault) => Box::new(move |_, _| fault.into()),
        }
    }
}

/// What a form has brought so far.
pub struct Parts {
    store: Store,
    room: Room,
    on_conflict: OnConflict,
    files_max: usize,
    /// Whether the files may stay in the shared area: only a wish for privacy, which may come last, takes them out of it.
    may_share: Result<(), Fault>,
    /// What `private=1` means: another store, or a refusal; and whether the form has said something of it.
    private: Result<Store, Fault>,
    is_private_told: bool,
    folder: Option<RelPath<'static>>,
    files: Vec<(String, Box<dyn Draft>)>,
    /// How many bytes they have.
    bytes: u64,
    open: Open,
}

/// The part that bytes belong to.
enum Open {
    /// One that nobody reads.
    Ignored,
    /// The last file.
    File,
    /// A field's value so far.
    Folder(Vec<u8>),
    Private(Vec<u8>),
}

impl Parts {
    /// A form of which nothing has come. `may_share` and `private` say whether the files may be for all, and
    /// where a wish for privacy leads.
    pub fn new(
        store: Store,
        room: Room,
        on_conflict: OnConflict,
        files_max: usize,
        may_share: Result<(), Fault>,
        private: Result<Store, Fault>,
    ) -> Parts {
        Parts {
            store,
            room,
            on_conflict,
            files_max,
            may_share,
            private,
            is_private_told: false,
            folder: None,
            files: Vec::new(),
            bytes: 0,
            open: Open::Ignored,
        }
    }

    fn begin(&mut self, part: &Part) -> Result<(), Fault> {
        self.open = match (part.name.as_str(), &part.filename) {
            ("file", Some(given)) => {
                if self.files.len() >= self.files_max {
                    let detail = format!("a form may have at most {} files", self.files_max);
                    return Err(Fault::new(Status::CONTENT_TOO_LARGE, "too_large", detail));
                }
                let name = check_name(given).map_err(bad_name)?;
                let draft = self.begin_draft()?;
                self.files.push((name.to_owned(), draft));
                Open::File
            }
            ("file", None) => return Err(bad("the field named file holds no file; it needs a filename")),
            ("dir", _) => Open::Folder(Vec::new()),
            ("private", _) => Open::Private(Vec::new()),
            _ => Open::Ignored,
        };
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.open {
            Open::Ignored => Ok(()),
            Open::File => match self.files.last_mut() {
                Some((_, draft)) => {
                    self.bytes += bytes.len() as u64;
                    draft.write(bytes).map_err(|error| disk_fault(&error, "write a file"))
                }
                None => Ok(()),
            },
            Open::Folder(value) | Open::Private(value) if value.len() + bytes.len() <= FIELD_BYTES_MAX => {
                value.extend_from_slice(bytes);
                Ok(())
            }
            Open::Folder(_) | Open::Private(_) => Err(bad("a field is longer than any of its values could be")),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        match std::mem::replace(&mut self.open, Open::Ignored) {
            Open::Ignored | Open::File => Ok(()),
            Open::Folder(value) => {
                let text = String::from_utf8(value).map_err(|_| bad_name("dir is not UTF-8"))?;
                let folder = read_folder(&text)?;
                if self.folder.replace(folder).is_some() {
                    return Err(crate::site::body::bad_field("dir"));
                }
                Ok(())
            }
            Open::Private(value) => {
                if std::mem::replace(&mut self.is_private_told, true) {
                    return Err(crate::site::body::bad_field("private"));
                }
                match value.as_slice() {
                    b"" | b"0" => Ok(()),
                    b"1" => self.go_home(),
                    _ => Err(crate::site::body::bad_field("private")),
                }
            }
        }
    }

    /// A draft near the place it will have. Its folder may still be missing, or not be known yet.
    fn begin_draft(&self) -> Result<Box<dyn Draft>, Fault> {
        let folder = self.store.area.root().join(&self.folder.clone().unwrap_or_default());
        let draft = match self.store.disk.draft(&folder, None) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.store.disk.draft(&RelPath::ROOT, None),
            draft => draft,
        };
        draft.map_err(|error| disk_fault(&error, "begin a file"))
    }

    /// The files are private. Those that have come already lie on the wrong disk, and are copied.
    fn go_home(&mut self) -> Result<(), Fault> {
        if !self.store.area.is_shared() {
            // The query has said so too.
            return Ok(());
        }
        self.store = self.private.clone()?;
        for at in 0..self.files.len() {
            let mut draft = self.begin_draft()?;
            let (_, shared) = &mut self.files[at];
            shared.copy_to(&mut *draft).map_err(|error| disk_fault(&error, "write a file"))?;
            *shared = draft;
        }
        Ok(())
    }

    /// All has come: where the files are to come to lie, and the files, synced.
    fn complete(self) -> Result<Complete, Fault> {
        let Parts { store, room, on_conflict, folder, mut files, bytes, may_share, .. } = self;
        if store.area.is_shared() {
            may_share?;
        }
        let folder = folder.unwrap_or_default();
        if files.is_empty() {
            return Err(bad("the form has no file; its field is named file"));
        }
        let mut places = Vec::with_capacity(files.len());
        for (name, draft) in &mut files {
            let path = folder.join(&RelPath::from_plain(name).map_err(|_| bad_name("this is no name for a file"))?);
            check_place(&path, store.area.is_shared()).map_err(bad_name)?;
            draft.sync().map_err(|error| disk_fault(&error, "store a file"))?;
            places.push(store.area.root().join(&path));
        }
        let files = files.into_iter().map(|(_, draft)| draft).collect();
        Ok(Complete { store, on_conflict, places, files, bytes, _room: room })
    }
}

/// A form of which all has come.
pub struct Complete {
    /// Where it is to be stored.
    pub store: Store,
    /// What happens to a name that is taken.
    pub on_conflict: OnConflict,
    /// The files' places,
    pub places: Vec<RelPath<'static>>,
    files: Vec<Box<dyn Draft>>,
    /// How many bytes they have.
    bytes: u64,
    /// They count for whoever sent them until they have their places.
    _room: Room,
}

impl Complete {
    /// Gives all files their names, or none. What was overwritten before a later file failed cannot be brought back; that
    /// is why all are looked at first. The conditions in `headers` must hold of each place; `rights` says of each whether what is
    /// there may be replaced. Also says which folders were made.
    pub fn store(
        self,
        rights: &[Result<(), Fault>],
        headers: &KeptHeaders,
        allowance: Option<Allowance>,
    ) -> Result<(Vec<Stored>, Vec<RelPath<'static>>), Unplaced> {
        let Complete { store, on_conflict, places, mut files, bytes, _room } = self;
        allowance.map_or(Ok(()), |allowance| allowance.check(bytes))?;
        for (path, right) in places.iter().zip(rights) {
            if headers.have_conditions() {
                check_conditions(headers, look(&*store.disk, path)?.as_ref())?;
            }
            if store.look(path, on_conflict)?.is_some() && on_conflict == OnConflict::Overwrite {
                right.clone()?;
            }
        }
        let mut stored: Vec<Stored> = Vec::with_capacity(files.len());
        let mut folders: Vec<RelPath<'static>> = Vec::new();
        for ((path, right), draft) in places.iter().zip(rights).zip(&mut files) {
            // What an earlier file of this form has made is its sender's.
            let right = if stored.iter().any(|one| one.path == *path) { &Ok(()) } else { right };
            match store.place_at(path, || store.commit(&mut **draft, path, on_conflict, right)) {
                Ok((one, made)) => {
                    stored.push(one);
                    folders.extend(made);
                }
                Err(unplaced) => {
                    for Stored { path, .. } in stored.iter().filter(|one| one.is_new) {
                        if let Err(error) = store.disk.remove(path) {
                            log::error!("{} of a refused form stays: {error}", shown(path.as_str()));
                        }
                    }
                    return Err(unplaced.with(&*store.disk, folders));
                }
            }
        }
        Ok((stored, folders))
    }
}

/// A folder as a client names it: a slash may stand at either end.
pub fn read_folder(text: &str) -> Result<RelPath<'static>, Fault> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    read_place(inner)
}

/// A path of the shared area at which something may come to stand.
pub fn read_place(text: &str) -> Result<RelPath<'static>, Fault> {
    let path = RelPath::from_plain(text)
        .map_err(|_| bad_name("a path has no empty or hidden segment, no control character and no backslash"))?;
    check_place(&path, true).map_err(bad_name)?;
    Ok(path.into_owned())
}

fn bad(detail: &'static str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_multipart", detail)
}
