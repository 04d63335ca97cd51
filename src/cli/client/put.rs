//! `put`, `update` and `json`: what is small goes in one request, what is large goes by tus and goes on where it was cut off.
//!
//! A large file is sent window by window, each with its checksum, so that a cut costs one window and damage is seen at once. Where it
//! goes on is remembered: the same `put` of the same file, asked for again, does not begin again. A server without tus gets one PUT.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use ureq::http::Method;
use ureq::{Body, SendBody};

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::files::try_all;
use crate::cli::client::progress::{Progress, Told};
use crate::cli::client::server::{Ask, field, json_of, refusal};
use crate::cli::client::target;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{plain, size, text};
use crate::cli::client::words::{Json, Put, Update};

/// What goes in one request, and what a window has.
const WINDOW: usize = 4 << 20;

/// A document that `json` sends is held in memory; a server takes 1 MiB unless told otherwise.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// How long to wait before a cut is mended once more; after so many times without a byte it is given up.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
    Duration::from_millis(4000),
];

/// What is sent, and where to.
struct Parcel<'f> {
    from: &'f mut Content,
    /// Its path at the server.
    to: String,
    wish: Wish,
}

/// What may be done to what is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Create,
    Overwrite,
    Replace,
}

/// What is read: a file, or what has no length and cannot be read again.
struct Content {
    shown: String,
    file: Option<File>,
    length: Option<u64>,
    /// What tells a file from what it was yesterday.
    mark: String,
}

impl Content {
    fn open(path: &Path) -> Result<Content, Failure> {
        let shown = path.display().to_string();
        if path == Path::new("-") {
            return Ok(Content { shown: "stdin".to_owned(), file: None, length: None, mark: String::new() });
        }
        let wrong = |error: io::Error| Failure::local(format!("read {shown}"), &error);
        let file = File::open(path).map_err(wrong)?;
        let about = file.metadata().map_err(wrong)?;
        if about.is_dir() {
            return Err(Failure::other(format!("{shown} is a folder; put takes files")));
        }
        let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mark = format!("{} {} {}", whole.display(), about.len(), changed.map_or(0, |since| since.as_nanos()));
        // A pipe or a device has a length of none.
        let length = about.is_file().then_some(about.len());
        Ok(Content { shown, file: Some(file), length, mark })
    }

    fn reader(&mut self) -> Box<dyn Read + '_> {
        match &mut self.file {
            Some(file) => Box::new(file),
            None => Box::new(io::stdin()),
        }
    }

    /// The next window, whole unless the end comes.
    fn window(&mut self) -> Result<Vec<u8>, Failure> {
        let shown = self.shown.clone();
        let mut window = Vec::new();
        self.reader()
            .take(WINDOW as u64)
            .read_to_end(&mut window)
            .map_err(|error| Failure::local(format!("read {shown}"), &error))?;
        Ok(window)
    }

    fn go_to(&mut self, offset: u64) -> Result<(), Failure> {
        match &mut self.file {
            Some(file) => file
                .seek(SeekFrom::Start(offset))
                .map(drop)
                .map_err(|error| Failure::local(format!("read {}", self.shown), &error)),
            None => Err(Failure::new(Ending::Damaged, "stdin cannot be read again")),
        }
    }
}

/// Uploads files.
///
/// # Errors
/// What stands against one of them; the others are uploaded all the same.
pub fn put(visit: &Visit, order: &Put) -> Result<(), Failure> {
    let wish = if order.force { Wish::Overwrite } else { Wish::Create };
    try_all(places(order)?, |(file, to)| {
        let to = visit.place(&to, order.home.is_private)?;
        send_file(visit, &file, to, wish)
    })
}

/// Which file goes where. Two words of which the second is no file here are a file and its path at the server, as in sftp.
fn places(order: &Put) -> Result<Vec<(PathBuf, String)>, Failure> {
    let (files, name) = match (order.files.as_slice(), &order.name, &order.folder) {
        ([file, to], None, None) if to != Path::new("-") && to.symlink_metadata().is_err() => {
            let to = to.to_str().ok_or_else(|| Failure::usage("a path at the server is UTF-8"))?;
            (std::slice::from_ref(file), Some(to.to_owned()))
        }
        (files, name, _) => (files, name.clone()),
    };
    if files.len() > 1 && name.is_some() {
        return Err(Failure::usage("one name is for one file; --dir takes several"));
    }
    let folder = order.folder.as_deref().unwrap_or_default().trim_end_matches('/');
    let place = |file: &PathBuf| {
        let own = own_name(file);
        let to = match (&name, own) {
            (Some(name), Some(own)) if name.ends_with('/') => format!("{name}{own}"),
            (Some(name), _) if !name.ends_with('/') => name.clone(),
            (None, Some(own)) => format!("{folder}/{own}"),
            _ => return Err(Failure::usage(format!("{} needs a name; --as gives it one", file.display()))),
        };
        Ok((file.clone(), to))
    };
    files.iter().map(place).collect()
}

fn own_name(file: &Path) -> Option<&str> {
    file.file_name().filter(|_| file != Path::new("-"))?.to_str()
}

/// Replaces a file that is there.
///
/// # Errors
/// What stands against it; that there is none, above all.
pub fn update(visit: &Visit, order: &Update) -> Result<(), Failure> {
    let missing = || Failure::usage(format!("{} needs the path that it replaces", order.file.display()));
    let to = match order.path.as_deref().or(own_name(&order.file)) {
        None => return Err(missing()),
        Some(folder) if folder.ends_with('/') => format!("{folder}{}", own_name(&order.file).ok_or_else(missing)?),
        Some(to) => to.to_owned(),
    };
    let to = visit.place(&to, order.home.is_private)?;
    send_file(visit, &order.file, to, Wish::Replace)
}

/// Uploads a JSON document.
///
/// # Errors
/// What stands against it.
pub fn json(visit: &Visit, order: &Json) -> Result<(), Failure> {
    let mut content = Content::open(&order.file)?;
    let mut document = Vec::new();
    let shown = content.shown.clone();
    let read = content.reader().take(DOCUMENT_BYTES_MAX).read_to_end(&mut document);
    read.map_err(|error| Failure::local(format!("read {shown}"), &error))?;
    let length = document.len() as u64;
    let ask = Ask::new(Method::POST, target::with_query("/upload", &[("name", order.name.as_deref())]))
        .field("content-type", "application/json")
        .body(SendBody::from_owned_reader(Cursor::new(document)), Some(length));
    let answer = visit.server.json(ask).map_err(|failure| failure.about(plain(&shown)))?;
    tell(visit, &answer["file"])
}

fn send_file(visit: &Visit, file: &Path, to: String, wish: Wish) -> Result<(), Failure> {
    // The server tells of hidden names only that nothing is there.
    if wish != Wish::Replace && to.split('/').any(|part| part.starts_with('.') && part != ".well-known") {
        return Err(Failure::other(format!("{}: no name may begin with a dot", plain(&to))));
    }
    let mut content = Content::open(file)?;
    let shown = content.shown.clone();
    let parcel = Parcel { from: &mut content, to: to.clone(), wish };
    let stored = send(visit, parcel).map_err(|mut failure| {
        // The condition was ours: that nothing is there.
        if wish == Wish::Create && failure.code.as_deref() == Some("precondition_failed") {
            failure.sentence = "it exists".to_owned();
        }
        if failure.code.as_deref() == Some("file_exists") || failure.ending == Ending::Conflict && wish == Wish::Create
        {
            failure.sentence.push_str("; -f overwrites");
        }
        let what = if matches!(failure.ending, Ending::Conflict | Ending::NotFound) { &to } else { &shown };
        failure.about(plain(what))
    })?;
    tell(visit, &stored)
}

fn tell(visit: &Visit, file: &Value) -> Result<(), Failure> {
    visit
        .voice
        .result(file, || format!("{}  {}", plain(text(file, "path")), size(file["size"].as_u64().unwrap_or_default())))
}

fn send(visit: &Visit, mut parcel: Parcel<'_>) -> Result<Value, Failure> {
    let first = parcel.from.window()?;
    if first.len() < WINDOW {
        return send_small(visit, &parcel, first);
    }
    // tus creates and overwrites, yet never only replaces.
    if parcel.wish == Wish::Replace {
        visit.info(&parcel.to)?;
    }
    let upload = Upload { visit, progress: Progress::new(&visit.voice, &parcel.to, parcel.from.length, 0) };
    match upload.run(&mut parcel, &first)? {
        Some(stored) => Ok(stored),
        None => send_whole(visit, &mut parcel, first, &upload.progress),
    }
}

fn send_small(visit: &Visit, parcel: &Parcel<'_>, bytes: Vec<u8>) -> Result<Value, Failure> {
    let length = bytes.len() as u64;
    let progress = Progress::new(&visit.voice, &parcel.to, Some(length), 0);
    let mut body = Told { from: Cursor::new(bytes), progress: &progress };
    let ask = question(parcel).body(SendBody::from_reader(&mut body), Some(length));
    json_of(visit.server.good(ask)?)
}

/// One PUT for a server without tus.
fn send_whole(visit: &Visit, parcel: &mut Parcel<'_>, first: Vec<u8>, progress: &Progress) -> Result<Value, Failure> {
    let ask = question(parcel);
    let length = parcel.from.length;
    progress.is_at(0);
    let mut body = Told { from: Cursor::new(first).chain(parcel.from.reader()), progress };
    json_of(visit.server.good(ask.body(SendBody::from_reader(&mut body), length))?)
}

fn question(parcel: &Parcel<'_>) -> Ask<'static> {
    let target = target::path("/files", &parcel.to);
    let ask = match parcel.wish {
        Wish::Replace => Ask::new(Method::PUT, target),
        Wish::Overwrite => Ask::new(Method::PUT, format!("{target}?create=1")),
        Wish::Create => Ask::new(Method::PUT, format!("{target}?create=1")).field("if-none-match", "*"),
    };
    ask.field("content-type", "application/octet-stream")
}

/// An upload by tus 1.0.0.
struct Upload<'v> {
    visit: &'v Visit,
    progress: Progress,
}

/// What a window came to.
enum Sent {
    /// The server has so much now. The answer tells where, if that was the last.
    At(u64, Option<String>),
    /// The connection was lost on the way; what the server has is to be asked for.
    Lost(Failure),
    /// The window arrived damaged.
    Damaged,
}

impl Upload<'_> {
    /// Sends everything. None when the server has no tus.
    fn run(&self, parcel: &mut Parcel<'_>, first: &[u8]) -> Result<Option<Value>, Failure> {
        let remembered = self.name(parcel);
        let state = &self.visit.state;
        let mut offset = 0;
        let mut at = None;
        if let Some(before) = remembered.as_ref().and_then(|name| state.upload(name)) {
            match self.offset(&before) {
                Ok(had) => {
                    self.visit.voice.remark(&format!("goes on at {}", size(had)));
                    (at, offset) = (Some(before), had);
                }
                Err(failure) if failure.ending == Ending::NoConnection => return Err(failure),
                Err(_) => {}
            }
        }
        let at = match at {
            Some(at) => at,
            None => match self.create(parcel)? {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        if let Some(name) = &remembered {
            state.keep_upload(name, Some(&at));
        }
        let outcome = self.send_all(parcel, first, &at, offset);
        // An upload that the server has ended, one way or the other, is not gone on with.
        let is_over = match &outcome {
            Ok(_) => true,
            Err(failure) => matches!(failure.ending, Ending::NotFound | Ending::Conflict | Ending::Damaged),
        };
        if let Some(name) = remembered.filter(|_| is_over) {
            state.keep_upload(&name, None);
        }
        let stored = outcome.map_err(|mut failure| {
            if !is_over && parcel.from.length.is_some() {
                failure.sentence.push_str("; the same command again goes on where it stopped");
            }
            failure
        })?;
        let path =
            target::path_of(self.visit.server.base.without_prefix(&stored), "/files").unwrap_or(parcel.to.clone());
        if path != parcel.to {
            self.visit.voice.remark(&format!("{} was taken meanwhile; it is {path} now", parcel.to));
        }
        self.visit.info(&path).map(Some)
    }

    /// What an upload is remembered by: the same file, for the same place and person.
    fn name(&self, parcel: &Parcel<'_>) -> Option<String> {
        parcel.from.length?;
        let who = self.visit.server.token().map(|token| format!("{:x}", Short(token))).unwrap_or_default();
        let how = if parcel.wish == Wish::Create { "new" } else { "over" };
        Some(format!("{} {who} {how} {} {}", self.visit.server.base.url(), parcel.to, parcel.from.mark))
    }

    fn create(&self, parcel: &Parcel<'_>) -> Result<Option<String>, Failure> {
        let (folder, name) = parcel.to.rsplit_once('/').unwrap_or(("", &parcel.to));
        let mut metadata = format!("filename {}", BASE64_STANDARD.encode(name));
        let mut add = |key: &str, value: &str| {
            metadata.push_str(&format!(",{key} {}", BASE64_STANDARD.encode(value)));
        };
        // A home is named by its owner's sign-in, the folder in it by `dir`.
        let folder = match folder.strip_prefix('~') {
            Some(home) => {
                add("private", "1");
                home.split_once('/').map_or("", |(_, folder)| folder)
            }
            None => folder,
        };
        if !folder.is_empty() {
            add("dir", folder);
        }
        if parcel.wish != Wish::Create {
            add("on_conflict", "overwrite");
        }
        let question = || {
            let ask = Ask::new(Method::POST, "/tus").field("tus-resumable", "1.0.0");
            let ask = ask.field("upload-metadata", metadata.clone());
            let ask = match parcel.from.length {
                Some(length) => ask.field("upload-length", length.to_string()),
                None => ask.field("upload-defer-length", "1"),
            };
            ask.body(SendBody::none(), Some(0))
        };
        let answer = match self.visit.server.any(question()) {
            // One that was made and never told of ends by itself.
            Err(failure) if failure.is_cut() => self.visit.server.any(question())?,
            other => other?,
        };
        match answer.status().as_u16() {
            201 => match field(&answer, "location") {
                Some(at) => Ok(Some(self.visit.server.base.without_prefix(at).to_owned())),
                None => Err(Failure::new(Ending::ServerError, "the server made an upload and does not say where")),
            },
            // Static files may be served under any name; a server without tus knows no POST there.
            404 | 405 | 501 => Ok(None),
            _ => Err(refusal(answer)),
        }
    }

    /// How much the server has.
    fn offset(&self, at: &str) -> Result<u64, Failure> {
        let ask = Ask::new(Method::HEAD, at).field("tus-resumable", "1.0.0");
        let answer = self.visit.server.any(ask)?;
        let status = answer.status().as_u16();
        match offset_of(&answer) {
            Some(offset) if answer.status().is_success() => Ok(offset),
            None if answer.status().is_success() => {
                Err(Failure::new(Ending::ServerError, "the server does not say how much of the upload it has"))
            }
            _ if matches!(status, 404 | 410 | 403) => {
                Err(Failure::new(Ending::NotFound, "the server has given the upload up; begin again"))
            }
            _ => Err(refusal(answer)),
        }
    }

    /// How much the server has, asked until it answers or has been asked often enough.
    fn offset_after(
        &self,
        at: &str,
        pauses: &mut std::slice::Iter<'_, Duration>,
        lost: Failure,
    ) -> Result<u64, Failure> {
        let mut lost = lost;
        loop {
            let Some(pause) = pauses.next() else { return Err(lost) };
            thread::sleep(*pause);
            match self.offset(at) {
                Err(failure) if failure.ending == Ending::NoConnection => lost = failure,
                other => return other,
            }
        }
    }

    /// Sends from `offset` to the end; tells where it was stored.
    fn send_all(&self, parcel: &mut Parcel<'_>, first: &[u8], at: &str, offset: u64) -> Result<String, Failure> {
        let length = parcel.from.length;
        let is_file = length.is_some();
        let mut have = offset;
        let mut window = if offset == 0 { first.to_vec() } else { Vec::new() };
        let mut pauses = PAUSES.iter();
        if offset > 0 {
            parcel.from.go_to(offset)?;
            window = parcel.from.window()?;
        }
        loop {
            self.progress.is_at(have);
            // Of what has no length a short window is the last.
            let whole = match length {
                Some(length) => Some(length),
                None => (window.len() < WINDOW).then(|| have + window.len() as u64),
            };
            if is_file && window.is_empty() && length != Some(have) {
                return Err(Failure::other(format!("{} became shorter while it was sent", parcel.from.shown)));
            }
            let deferred = whole.filter(|_| !is_file);
            let told = match self.send_window(at, have, &window, deferred)? {
                Sent::At(told, stored) if whole == Some(told) => return Ok(stored.unwrap_or_default()),
                Sent::At(told, _) => told,
                Sent::Damaged => {
                    let damaged = Failure::new(Ending::Damaged, "the data arrive damaged, again and again");
                    self.offset_after(at, &mut pauses, damaged)?
                }
                Sent::Lost(lost) => match self.offset_after(at, &mut pauses, lost) {
                    // All of it had arrived; only the word of it was lost. An upload that is done may be known no more.
                    Err(gone) if gone.ending == Ending::NotFound && whole == Some(have + window.len() as u64) => {
                        return Ok(String::new());
                    }
                    other => other?,
                },
            };
            let sent = told.checked_sub(have).filter(|sent| *sent <= window.len() as u64);
            let Some(sent) = sent else {
                return Err(Failure::new(Ending::Damaged, "the server has another part of the upload than was sent"));
            };
            if sent > 0 {
                pauses = PAUSES.iter();
            }
            have = told;
            if whole == Some(have) {
                return Ok(String::new());
            }
            window.drain(..sent as usize);
            if window.is_empty() {
                window = parcel.from.window()?;
            }
        }
    }

    fn send_window(&self, at: &str, offset: u64, window: &[u8], whole: Option<u64>) -> Result<Sent, Failure> {
        let sum = BASE64_STANDARD.encode(Sha256::digest(window));
        let mut body = Told { from: window, progress: &self.progress };
        let mut ask = Ask::new(Method::PATCH, at)
            .field("tus-resumable", "1.0.0")
            .field("content-type", "application/offset+octet-stream")
            .field("upload-offset", offset.to_string())
            .field("upload-checksum", format!("sha256 {sum}"));
        if let Some(whole) = whole {
            ask = ask.field("upload-length", whole.to_string());
        }
        let ask = ask.body(SendBody::from_reader(&mut body), Some(window.len() as u64));
        let answer = match self.visit.server.any(ask) {
            Ok(answer) => answer,
            Err(failure) if failure.ending == Ending::NoConnection => return Ok(Sent::Lost(failure)),
            Err(failure) => return Err(failure),
        };
        match answer.status().as_u16() {
            204 | 200 => match offset_of(&answer) {
                Some(told) => Ok(Sent::At(told, field(&answer, "content-location").map(str::to_owned))),
                None => Err(Failure::new(Ending::ServerError, "the server does not say how much of the upload it has")),
            },
            460 => Ok(Sent::Damaged),
            409 => Ok(Sent::Lost(refusal(answer))),
            _ => Err(refusal(answer)),
        }
    }
}

fn offset_of(answer: &ureq::http::Response<Body>) -> Option<u64> {
    field(answer, "upload-offset")?.parse().ok()
}

/// A token by a few bytes of its hash: enough to tell it from others, too few to be it.
struct Short<'t>(&'t str);

impl std::fmt::LowerHex for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hash = Sha256::digest(self.0.as_bytes());
        hash[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
