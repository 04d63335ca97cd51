//! `get`: a download that ends whole or not at all.
//!
//! What arrives is gathered beside its place, as `NAME.part`, and takes its place in one step when all of it has arrived and is what
//! the server says it should be. A cut on the way is mended by asking for the rest of the same version; what cannot be mended stays
//! for `get -c`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{Method, Response};

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::progress::Progress;
use crate::cli::client::server::{Ask, field, refusal};
use crate::cli::client::target;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{plain, size};
use crate::cli::client::words::Get;

/// How long to wait before a cut is mended once more; after so many times without a byte it is given up.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(1000), Duration::from_millis(2000)];

const WINDOW: usize = 64 << 10;

/// Where bytes go: a file can begin anew, a pipe cannot.
trait Out: Write {
    fn restart(&mut self) -> io::Result<bool>;
}

impl Out for File {
    fn restart(&mut self) -> io::Result<bool> {
        self.set_len(0)?;
        self.seek(SeekFrom::Start(0))?;
        Ok(true)
    }
}

/// What cannot take back a byte.
struct Pipe<W>(W);

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Out for Pipe<W> {
    fn restart(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// What is being gathered.
struct Gathered {
    out: Box<dyn Out>,
    /// What to call it in a failure.
    shown: String,
    hash: Sha256,
    bytes: u64,
    /// Whether all of it has come, and is not what was sent.
    is_wrong: bool,
}

/// The version that is being fetched, as far as the server tells.
#[derive(Default)]
struct Version {
    etag: Option<String>,
    length: Option<u64>,
    sha256: Option<Vec<u8>>,
}

impl Version {
    fn of(answer: &Response<Body>) -> Version {
        Version {
            etag: field(answer, "etag").map(str::to_owned),
            length: field(answer, "content-length").and_then(|text| text.parse().ok()),
            sha256: field(answer, "repr-digest").and_then(sha256_of),
        }
    }
}

/// The SHA-256 in a `Repr-Digest` (RFC 9530).
fn sha256_of(field: &str) -> Option<Vec<u8>> {
    let text = field.split(',').find_map(|part| part.trim().strip_prefix("sha-256=:")?.strip_suffix(':'))?;
    BASE64_STANDARD.decode(text).ok()
}

/// Downloads.
///
/// # Errors
/// What the server has against it, what this machine has against it, or that what came is not what was sent.
pub fn get(visit: &Visit, order: &Get) -> Result<(), Failure> {
    let path = visit.place(&order.path, order.home.is_private)?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return Err(Failure::usage("an empty path names nothing"));
    }
    let about = |failure: Failure| failure.about(plain(&path));
    let to = match order.to.as_deref() {
        Some(to) if to == Path::new("-") => {
            let mut out = gathered(Box::new(Pipe(io::stdout())), "stdout".to_owned());
            return fetch(visit, &path, &mut out, None).map_err(about);
        }
        to => place_for(name, to),
    };
    let shown = to.display().to_string();
    let is_there = match fs::metadata(&to) {
        Ok(found) if !found.is_file() => {
            // A device or a pipe takes what comes, and is never replaced.
            let device = OpenOptions::new().write(true).open(&to);
            let device = device.map_err(|error| Failure::local(format!("write {shown}"), &error))?;
            return fetch(visit, &path, &mut gathered(Box::new(Pipe(device)), shown), None).map_err(about);
        }
        found => found.is_ok(),
    };
    if is_there && !order.force && !order.goes_on {
        let sentence = format!("{shown} is here already; -f overwrites it, -c goes on with it");
        return Err(Failure::new(Ending::Conflict, sentence));
    }
    let known = if order.goes_on { Some(known(visit, &path).map_err(about)?) } else { None };
    let part = PathBuf::from(format!("{shown}.part"));
    let mut out = open(&part, &to, order.goes_on)?;
    if let Err(failure) = fetch(visit, &path, &mut out, known) {
        let kept = fs::metadata(&part).map_or(0, |part| part.len());
        if kept == 0 || out.is_wrong {
            let _ = fs::remove_file(&part);
            return Err(about(failure));
        }
        let sentence = format!("{}; {} are kept in {}, get -c goes on", failure.sentence, size(kept), part.display());
        return Err(about(Failure { sentence, ..failure }));
    }
    settle(&part, &to, order.force || order.goes_on)?;
    let object = json!({"path": path, "file": shown, "size": out.bytes});
    visit.voice.result(&object, || format!("{}  {}", plain(&shown), size(out.bytes)))
}

fn gathered(out: Box<dyn Out>, shown: String) -> Gathered {
    Gathered { out, shown, hash: Sha256::new(), bytes: 0, is_wrong: false }
}

/// Where a file of this name goes. A link that is there is followed, so that it stays one.
fn place_for(name: &str, to: Option<&Path>) -> PathBuf {
    let place = match to {
        None => PathBuf::from(name),
        Some(folder) if folder.is_dir() || folder.as_os_str().as_encoded_bytes().ends_with(b"/") => folder.join(name),
        Some(file) => file.to_path_buf(),
    };
    place.canonicalize().unwrap_or(place)
}

/// What there is to go on with. Asked for before anything here is touched.
fn known(visit: &Visit, path: &str) -> Result<Version, Failure> {
    let answer = visit.server.any(Ask::new(Method::HEAD, format!("{}?hash=sha256", target::path("/files", path))))?;
    if answer.status().is_success() {
        return Ok(Version::of(&answer));
    }
    // An answer to HEAD has no sentence; the same question with one.
    visit.info(path)?;
    Err(refusal(answer))
}

/// Opens the draft, with what is there already if it is to go on, and with its hash.
fn open(part: &Path, to: &Path, goes_on: bool) -> Result<Gathered, Failure> {
    let shown = part.display().to_string();
    let wrong = |error: io::Error| Failure::local(format!("write {shown}"), &error);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
    let mut file = file.map_err(wrong)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let sentence = format!("{shown} is being written by another hythe");
            return Err(Failure::new(Ending::Conflict, sentence));
        }
        // A file system without locks does without.
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    let mut hash = Sha256::new();
    let mut bytes = 0;
    if goes_on {
        if file.metadata().map_err(wrong)?.len() == 0 && to.is_file() {
            let mut begun = File::open(to).map_err(|error| Failure::local(format!("read {}", to.display()), &error))?;
            io::copy(&mut begun, &mut file).map_err(wrong)?;
            file.seek(SeekFrom::Start(0)).map_err(wrong)?;
        }
        let mut window = vec![0; WINDOW];
        loop {
            match file.read(&mut window).map_err(wrong)? {
                0 => break,
                read => {
                    hash.update(&window[..read]);
                    bytes += read as u64;
                }
            }
        }
    }
    Ok(Gathered { hash, bytes, ..gathered(Box::new(file), shown) })
}

/// How a body came to its end.
enum End {
    Whole,
    Cut,
}

/// Fetches all that is missing, mends cuts, and looks whether it is what was sent.
fn fetch(visit: &Visit, path: &str, out: &mut Gathered, known: Option<Version>) -> Result<(), Failure> {
    let mut version = known.unwrap_or_default();
    let mut progress = None;
    let mut most = out.bytes;
    let mut pauses = PAUSES.iter();
    let has_all = |version: &Version, out: &Gathered| out.bytes > 0 && version.length == Some(out.bytes);
    if version.length.is_some_and(|length| out.bytes > length) {
        let (here, there) = (size(out.bytes), size(version.length.unwrap_or_default()));
        let sentence = format!("{} has {here} and the server's {there}; -f gets it anew", out.shown);
        return Err(Failure::new(Ending::Damaged, sentence));
    }
    while !has_all(&version, out) {
        let answer = match visit.server.any(question(path, out.bytes, &version)) {
            Ok(answer) => answer,
            Err(failure) if failure.ending == Ending::NoConnection && progress.is_some() => match pauses.next() {
                Some(pause) => {
                    thread::sleep(*pause);
                    continue;
                }
                None => return Err(failure),
            },
            Err(failure) => return Err(failure),
        };
        match answer.status().as_u16() {
            200 => {
                begin_anew(out)?;
                version = Version::of(&answer);
            }
            206 if starts_at(&answer) == Some(out.bytes) => {}
            206 => return Err(Failure::new(Ending::ServerError, "the server sent another part than was asked for")),
            _ => return Err(refusal(answer)),
        }
        let progress = progress.get_or_insert_with(|| Progress::new(&visit.voice, path, version.length, out.bytes));
        match copy(answer, out, progress)? {
            End::Whole if version.length.is_none_or(|length| length == out.bytes) => break,
            _ if out.bytes > most => {
                most = out.bytes;
                pauses = PAUSES.iter();
            }
            _ => {}
        }
        match pauses.next() {
            Some(pause) => thread::sleep(*pause),
            None => return Err(Failure::new(Ending::Damaged, "the transfer was cut off again and again")),
        }
    }
    out.out.flush().map_err(|error| Failure::local(format!("write {}", out.shown), &error))?;
    match &version.sha256 {
        Some(sent) if out.hash.clone().finalize()[..] != sent[..] => {
            out.is_wrong = true;
            Err(Failure::new(Ending::Damaged, "what arrived is not what the server has; get it anew with -f"))
        }
        _ => Ok(()),
    }
}

/// The whole, with its hash, or what is missing of the version that was begun.
fn question(path: &str, have: u64, version: &Version) -> Ask<'static> {
    let target = target::path("/files", path);
    if have == 0 {
        return Ask::get(format!("{target}?hash=sha256"));
    }
    let ask = Ask::get(target).field("range", format!("bytes={have}-"));
    match &version.etag {
        Some(etag) => ask.field("if-range", etag),
        None => ask,
    }
}

/// Where the part that an answer holds begins.
fn starts_at(answer: &Response<Body>) -> Option<u64> {
    field(answer, "content-range")?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The server sends the whole: it has another version now, or nothing was there.
fn begin_anew(out: &mut Gathered) -> Result<(), Failure> {
    let restarted = out.out.restart().map_err(|error| Failure::local(format!("write {}", out.shown), &error))?;
    if !restarted && out.bytes > 0 {
        return Err(Failure::new(Ending::Damaged, "the file changed while it was fetched"));
    }
    (out.hash, out.bytes) = (Sha256::new(), 0);
    Ok(())
}

fn copy(answer: Response<Body>, out: &mut Gathered, progress: &Progress) -> Result<End, Failure> {
    let mut body = answer.into_body().into_reader();
    let mut window = vec![0; WINDOW];
    progress.is_at(out.bytes);
    loop {
        let read = match body.read(&mut window) {
            Ok(0) => return Ok(End::Whole),
            Ok(read) => read,
            Err(_) => return Ok(End::Cut),
        };
        match out.out.write_all(&window[..read]) {
            Ok(()) => {}
            // Who reads our stdout has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => return Err(Failure::local(format!("write {}", out.shown), &error)),
        }
        out.hash.update(&window[..read]);
        out.bytes += read as u64;
        progress.step(read as u64);
    }
}

/// Puts a draft in its place; never over a file that came there meanwhile, unless asked to.
fn settle(part: &Path, to: &Path, may_overwrite: bool) -> Result<(), Failure> {
    let shown = to.display();
    let place = || {
        if may_overwrite {
            return fs::rename(part, to);
        }
        match fs::hard_link(part, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without links: the look before has to do.
            Err(_) if to.symlink_metadata().is_err() => fs::rename(part, to),
            Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Ok(()) => fs::remove_file(part),
        }
    };
    place().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Ending::Conflict,
            format!("{shown} came here meanwhile; what was fetched is in {}", part.display()),
        ),
        _ => Failure::local(format!("write {shown}"), &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_found_among_others() {
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let sha256 = Sha256::digest(b"").to_vec();
        for (field, found) in [
            (format!("sha-256=:{empty}:"), Some(sha256.clone())),
            (format!("md5=:AAAA:, sha-256=:{empty}:"), Some(sha256)),
            ("sha-512=:AAAA:".to_owned(), None),
            ("sha-256=:?:".to_owned(), None),
        ] {
            assert_eq!(sha256_of(&field), found, "{field}");
        }
    }

    #[test]
    fn a_file_goes_where_it_was_asked_to() {
        for (to, place) in [(None, "a.txt"), (Some("b.txt"), "b.txt"), (Some("nowhere/"), "nowhere/a.txt")] {
            assert_eq!(place_for("a.txt", to.map(Path::new)), Path::new(place));
        }
        let folder = std::env::temp_dir().canonicalize().unwrap();
        assert_eq!(place_for("no-such-a.txt", Some(&folder)), folder.join("no-such-a.txt"));
    }
}
