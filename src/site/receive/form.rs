//! A body that is a form with files (`multipart/form-data`): what its parts bring as they come, and what is made of them when all have.

use std::io;

use crate::http::fault::Fault;
use crate::http::multipart::{Event, Multipart, Part};
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::body::bad_field;
use crate::site::current::{check_conditions, look};
use crate::site::files::{bad_name, shown};
use crate::site::kept::KeptHeaders;
use crate::site::receive::name::read_folder;
use crate::site::receive::quota::Allowance;
use crate::site::receive::room::Room;
use crate::site::receive::store::{Store, Stored};
use crate::site::state::{Site, disk_fault};
use crate::site::way::Placed;
use crate::store::disk::Draft;
use crate::store::tree::{OnConflict, check_name, check_place};

/// The longest value of a field that is no file: a path of sixteen names.
const FIELD_BYTES_MAX: usize = 16 * 256;

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
                    return Err(bad_field("dir"));
                }
                Ok(())
            }
            Open::Private(value) => {
                if std::mem::replace(&mut self.is_private_told, true) {
                    return Err(bad_field("private"));
                }
                match value.as_slice() {
                    b"" | b"0" => Ok(()),
                    b"1" => self.go_home(),
                    _ => Err(bad_field("private")),
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
    ) -> Placed<Vec<Stored>> {
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

fn bad(detail: &'static str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_multipart", detail)
}
