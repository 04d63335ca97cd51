//! Uploads that continue another day: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), with creation, creation with
//! upload, deferred length, termination, checksum and expiration.
//!
//! How much has come is what the disk holds, nothing else; so it is right after any end, ours or the client's. Whoever sends
//! the next piece takes an upload over from whoever is still at it. When the last byte has come the file appears like that of
//! any other upload; if its name was taken meanwhile it gets one like it, for finished bytes are never thrown away.

use std::net::IpAddr;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::clock::Wall;
use crate::http::date;
use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::media::MediaType;
use crate::http::request::{BodyLength, Method};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::tus::{self, Algorithm};
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::problem;
use crate::server::reply::{Reply, Sink, Step};
use crate::site::files::{bad_name, files, note_stored, url};
use crate::site::gate::{Principal, check_change};
use crate::site::receive::{Room, Store, Stored, read_folder};
use crate::site::state::{Site, disk_fault};
use crate::site::upload::{read_on_conflict, refuse_coding};
use crate::store::disk::{Disk, Growing, PartialId, Unfinished};
use crate::store::partial::{Hold, LIFETIME_MS, Maker, Partial, Partials, State, TooMany, Turn};
use crate::store::tree::{OnConflict, check_name, check_place, generated_name};

/// After so many bytes of one piece what has come is synced, so that a loss of power costs no more than that.
const SYNC_EVERY: u64 = 64 << 20;

/// An answer as tus has them.
fn answer(status: Status) -> Response {
    Response::new(status).header("Tus-Resumable", tus::VERSION).header("Cache-Control", "no-store")
}

/// A refusal as tus has them.
fn refused(fault: &Fault) -> Reply<Site> {
    let mut response = problem::answer(fault, false).header("Tus-Resumable", tus::VERSION);
    if fault.status == Status::PRECONDITION_FAILED {
        response.add_header("Tus-Version", tus::VERSION);
    }
    response.into()
}

fn told(result: Result<Reply<Site>, Fault>) -> Reply<Site> {
    result.unwrap_or_else(|fault| refused(&fault))
}

/// `OPTIONS /tus`: what we can do.
pub fn options(site: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Response {
    let allow =
        if call.parameter("id").is_some() { "GET, HEAD, POST, PATCH, DELETE, OPTIONS" } else { "POST, OPTIONS" };
    let mut response = answer(Status::NO_CONTENT)
        .header("Tus-Version", tus::VERSION)
        .header("Tus-Extension", tus::EXTENSIONS)
        .header("Tus-Checksum-Algorithm", tus::ALGORITHMS)
        .header("Allow", allow);
    let most = site.config.limits.upload_limit_bytes;
    if most < u64::MAX {
        response.add_header("Tus-Max-Size", &most.to_string());
    }
    response
}

fn check_version(headers: &Headers<'_>) -> Result<(), Fault> {
    match headers.find("Tus-Resumable") {
        Some(b"1.0.0") => Ok(()),
        _ => Err(Fault::new(Status::PRECONDITION_FAILED, "wrong_version", "Tus-Resumable: 1.0.0 is needed")),
    }
}

fn maker(who: &Principal, ip: IpAddr) -> Maker {
    match who {
        Principal::Operator => Maker::Operator,
        Principal::User(user) => Maker::Account(user.id),
        Principal::Guest => Maker::Guest(ip),
    }
}

fn unfinished(disk: &dyn Disk) -> Result<&dyn Unfinished, Fault> {
    disk.unfinished().ok_or_else(Fault::not_found)
}

/// What a run before this one has left: uploads that go on, and what can be relied on of each.
pub fn load(disk: &dyn Disk, now: Wall) -> Partials {
    let mut partials = Partials::default();
    let Some(unfinished) = disk.unfinished() else { return partials };
    let states = unfinished.all().unwrap_or_else(|error| {
        log::error!("unfinished uploads of an earlier run cannot be read: {error}");
        Vec::new()
    });
    let boot = unfinished.boot();
    for (id, text) in states {
        let state = State::read(&text).filter(|state| state.until > now);
        let loaded = match state {
            None => unfinished.give_up(id),
            Some(state) => load_one(unfinished, id, state, &boot).map(|(state, is_finished)| {
                partials.insert(id, state, is_finished);
            }),
        };
        if let Err(error) = loaded {
            log::error!("the unfinished upload {id:?} is out of reach: {error}");
        }
    }
    partials
}

fn load_one(
    unfinished: &dyn Unfinished,
    id: PartialId,
    mut state: State,
    boot: &str,
) -> std::io::Result<(State, bool)> {
    let size = match unfinished.size(id) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((state, true)),
        size => size?,
    };
    let reliable = state.reliable(size, boot);
    if reliable < size {
        unfinished.resume(id)?.cut(reliable)?;
    }
    if state.boot != boot || state.unchecked_from.is_some() {
        state = State { boot: boot.to_owned(), synced: state.synced.min(reliable), unchecked_from: None, ..state };
        unfinished.mark(id, &state.write())?;
    }
    Ok((state, false))
}

/// What the metadata wish for.
struct Wish {
    path: RelPath<'static>,
    on_conflict: OnConflict,
}

impl Wish {
    fn of(metadata: &[u8], no_home: Fault, unnamed: impl FnOnce() -> String) -> Result<Wish, Fault> {
        let (mut name, mut folder, mut on_conflict) = (None, RelPath::ROOT, OnConflict::Error);
        for (key, value) in tus::metadata(metadata)? {
            let text = || std::str::from_utf8(&value).map_err(|_| bad_name("a name is UTF-8"));
            match key {
                "filename" => name = Some(check_name(text()?).map_err(bad_name)?.to_owned()),
                "dir" => folder = read_folder(text()?)?,
                "on_conflict" => on_conflict = read_on_conflict(text()?)?,
                "private" => match &*value {
                    b"" | b"0" => {}
                    b"1" => return Err(no_home),
                    _ => return Err(crate::site::body::bad_field("private")),
                },
                _ => {}
            }
        }
        let name = name.unwrap_or_else(unnamed);
        let path = folder.join(&RelPath::from_plain(&name).map_err(|_| bad_name("this is no name for a file"))?);
        check_place(&path, true).map_err(bad_name)?;
        Ok(Wish { path, on_conflict })
    }
}

/// How long a piece is, if that is known: `Some(None)` if not, `None` if there is none.
fn piece_length(call: &Call<'_>) -> Option<Option<u64>> {
    match call.request.body {
        BodyLength::None | BodyLength::Known(0) => None,
        BodyLength::Known(length) => Some(Some(length)),
        BodyLength::Chunked => Some(None),
    }
}

fn check_media_type(headers: &Headers<'_>) -> Result<(), Fault> {
    let media = headers.get(Field::ContentType).and_then(MediaType::parse);
    if media.is_some_and(|media| media.is(tus::MEDIA_TYPE)) {
        return Ok(());
    }
    let detail = "a piece of an upload is sent as application/offset+octet-stream";
    Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn too_large(most: u64) -> Fault {
    Fault::new(Status::CONTENT_TOO_LARGE, "too_large", format!("an upload may have at most {most} bytes"))
}

fn too_many(which: TooMany) -> Fault {
    let detail = match which {
        TooMany::Own => "there are 64 unfinished uploads of yours: finish or remove one first",
        TooMany::All => "there are too many unfinished uploads: try again later",
    };
    Fault::new(Status::TOO_MANY_REQUESTS, "too_many_uploads", detail).retry_after(60)
}

/// `POST /tus`: a new upload, perhaps with its first piece.
pub fn create(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(create_now(site, call, &who, cx))
}

fn create_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let headers = &call.headers;
    check_version(headers)?;
    refuse_coding(call.request)?;
    if headers.find("Upload-Concat").is_some() {
        return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "uploads cannot be put together from others"));
    }
    let piece = piece_length(call);
    if piece.is_some() {
        check_media_type(headers)?;
    }
    let checksum = tus::checksum(headers)?;
    let length = tus::announced(headers)?;
    let most = site.config.limits.upload_limit_bytes;
    if length.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let metadata = headers.find("Upload-Metadata").unwrap_or_default();
    let no_home = match who {
        Principal::Guest => Fault::new(Status::UNAUTHORIZED, "unauthorized", "private files are for those signed in"),
        _ => Fault::new(Status::FORBIDDEN, "no_home", "there are no private files for you"),
    };
    let min_free = site.config.limits.min_free_bytes;
    let files = files(site)?;
    let lot = (files.lots.draw() >> 32) as u32;
    let wish = Wish::of(metadata, no_home, || generated_name(cx.wall, lot, "bin"))?;
    let maker = maker(who, cx.peer.ip);
    let gone = files.partials.expire(cx.wall);
    files.partials.admit(&maker).map_err(too_many)?;
    let store = Store::of(files, min_free);
    if wish.on_conflict == OnConflict::Overwrite {
        check_change(site, call.request, who)?;
    }
    let mut state = State {
        maker,
        length,
        path: wish.path,
        is_private: false,
        on_conflict: wish.on_conflict,
        metadata: String::from_utf8_lossy(metadata).into_owned(),
        until: cx.wall.plus(LIFETIME_MS),
        synced: 0,
        boot: String::new(),
        unchecked_from: None,
        place: None,
    };
    Ok(Reply::offload(move || {
        clear_away(&store, &gone);
        let begun = begin(&store, &mut state);
        move |site: &mut Site, cx: &mut Context<'_>| {
            told(begun.and_then(|id| {
                let is_whole = state.length == Some(0);
                take_in(site, id, state)?;
                if piece.is_none() && !is_whole {
                    let until = cx.wall.plus(LIFETIME_MS);
                    return Ok(created(site, id, 0, until).into());
                }
                let asked =
                    Asked { id, offset: 0, checksum, length: None, body: piece.unwrap_or(Some(0)), is_new: true };
                receive(site, asked, maker, cx)
            }))
        }
    }))
}

/// Removes uploads that are not waited for any more.
fn clear_away(store: &Store, gone: &[(PartialId, Partial)]) {
    let Some(unfinished) = store.disk.unfinished() else { return };
    for (id, partial) in gone {
        let mut held = partial.hold.lock();
        partial.hold.take_over(&mut held);
        if let Err(error) = unfinished.give_up(*id) {
            log::error!("the upload {id:?}, which nobody continues, stays: {error}");
        }
    }
}

fn begin(store: &Store, state: &mut State) -> Result<PartialId, Fault> {
    store.look(&state.path, state.on_conflict)?;
    Room::new(store, state.length)?;
    let unfinished = unfinished(&*store.disk)?;
    state.boot = unfinished.boot();
    unfinished.begin(&state.write()).map_err(|error| disk_fault(&error, "begin an upload"))
}

/// Takes a new upload in; many may have been begun in the same moment.
fn take_in(site: &mut Site, id: PartialId, state: State) -> Result<(), Fault> {
    let files = files(site)?;
    files.partials.admit(&state.maker).map_err(too_many)?;
    files.partials.insert(id, state, false);
    Ok(())
}

/// 201 with where the upload is.
fn created(site: &Site, id: PartialId, offset: u64, until: Wall) -> Response {
    answer(Status::CREATED)
        .header("Location", &site.address(&format!("/tus/{id}")))
        .header("Upload-Offset", &offset.to_string())
        .header("Upload-Expires", &imf(until))
}

fn imf(at: Wall) -> String {
    String::from_utf8_lossy(&date::imf(at)).into_owned()
}

/// The upload that a request names, if it answers to who asks.
fn find<'a>(site: &'a mut Site, id: PartialId, who: &Maker, now: Wall) -> Result<&'a Partial, Fault> {
    let partial = files(site)?.partials.get(id, now).filter(|partial| partial.state.maker.answers_to(who));
    partial.ok_or_else(Fault::not_found)
}

fn named(call: &Call<'_>) -> Result<PartialId, Fault> {
    call.parameter("id").and_then(PartialId::parse).ok_or_else(Fault::not_found)
}

/// `GET` and `HEAD /tus/<id>`: how much has come.
pub fn status(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(status_now(site, call, call.method, &who, cx))
}

fn status_now(
    site: &mut Site,
    call: &Call<'_>,
    method: Method,
    who: &Principal,
    cx: &Context<'_>,
) -> Result<Reply<Site>, Fault> {
    // For networks that let nothing but plain GET through, a GET need not know tus.
    if method != Method::Get || call.headers.find("Tus-Resumable").is_some() {
        check_version(&call.headers)?;
    }
    let id = named(call)?;
    let partial = find(site, id, &maker(who, cx.peer.ip), cx.wall)?;
    let (state, hold) = (partial.state.clone(), partial.hold.clone());
    if partial.is_finished {
        return Ok(describe(site, method, &state, state.length.unwrap_or(0), true).into());
    }
    let store = Store::of(files(site)?, 0);
    Ok(Reply::offload(move || {
        let size = unfinished(&*store.disk).and_then(|unfinished| {
            let held = hold.lock();
            let size = unfinished.size(id).map_err(|error| disk_fault(&error, "look at an upload"))?;
            Ok(held.unchecked_from.map_or(size, |from| from.min(size)))
        });
        move |site: &mut Site, _: &mut Context<'_>| {
            told(size.map(|size| describe(site, method, &state, size, false).into()))
        }
    }))
}

fn describe(site: &Site, method: Method, state: &State, offset: u64, is_finished: bool) -> Response {
    let mut response = answer(Status::OK).header("Upload-Offset", &offset.to_string());
    match state.length {
        Some(length) => response.add_header("Upload-Length", &length.to_string()),
        None => response.add_header("Upload-Defer-Length", "1"),
    }
    if !state.metadata.is_empty() {
        response.add_header("Upload-Metadata", &state.metadata);
    }
    if let Some(place) = &state.place {
        response.add_header("Content-Location", &url(&site.config.path_prefix, place));
    }
    if !is_finished {
        response.add_header("Upload-Expires", &imf(state.until));
    }
    if method == Method::Get {
        let expires = (!is_finished).then(|| date::rfc3339(state.until));
        let document = json!({"offset": offset, "length": state.length, "expires": expires});
        response.add_header("Content-Type", "application/json");
        return response.with_body(crate::http::response::Body::Bytes(document.to_string().into()));
    }
    response
}

/// `POST /tus/<id>`: another method, for networks that know only two.
pub fn overridden(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    match call.headers.find("X-HTTP-Method-Override").unwrap_or_default() {
        b"PATCH" => patch(site, call, who, cx),
        b"DELETE" => delete(site, call, who, cx),
        b"HEAD" => told(status_now(site, call, Method::Head, &who, cx)),
        _ => {
            let fault = Fault::new(
                Status::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "a POST to an upload needs X-HTTP-Method-Override: PATCH, DELETE or HEAD",
            );
            problem::answer(&fault, false)
                .header("Tus-Resumable", tus::VERSION)
                .header("Allow", "GET, HEAD, PATCH, DELETE, OPTIONS")
                .into()
        }
    }
}

/// `DELETE /tus/<id>`: the upload is given up.
pub fn delete(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(delete_now(site, call, &who, cx))
}

fn delete_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    check_version(&call.headers)?;
    let id = named(call)?;
    find(site, id, &maker(who, cx.peer.ip), cx.wall)?;
    let files = files(site)?;
    let store = Store::of(files, 0);
    let gone: Vec<_> = files.partials.remove(id).map(|partial| (id, partial)).into_iter().collect();
    Ok(Reply::offload(move || {
        clear_away(&store, &gone);
        move |_: &mut Site, _: &mut Context<'_>| answer(Status::NO_CONTENT).into()
    }))
}

/// `PATCH /tus/<id>`: the next piece.
pub fn patch(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(patch_now(site, call, &who, cx))
}

fn patch_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let headers = &call.headers;
    check_version(headers)?;
    refuse_coding(call.request)?;
    check_media_type(headers)?;
    let id = named(call)?;
    let offset = tus::count(headers, "Upload-Offset")?;
    let offset = offset.ok_or_else(|| Fault::new(Status::BAD_REQUEST, "bad_header", "Upload-Offset is missing"))?;
    let (checksum, length) = (tus::checksum(headers)?, tus::count(headers, "Upload-Length")?);
    let body = piece_length(call).unwrap_or(Some(0));
    receive(site, Asked { id, offset, checksum, length, body, is_new: false }, maker(who, cx.peer.ip), cx)
}

/// A piece that somebody wants to send.
struct Asked {
    id: PartialId,
    offset: u64,
    checksum: Option<(Algorithm, Vec<u8>)>,
    /// How long the whole will be, if that is told only now.
    length: Option<u64>,
    /// How long the piece will be, if that is known.
    body: Option<u64>,
    /// Whether the upload is made by the same request.
    is_new: bool,
}

fn receive(site: &mut Site, asked: Asked, who: Maker, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let limits = site.config.limits;
    let (now, ip) = (cx.wall, cx.peer.ip);
    let partial = find(site, asked.id, &who, now)?;
    let (state, hold) = (partial.state.clone(), partial.hold.clone());
    if partial.is_finished {
        // Whoever missed the last answer asks once more.
        if asked.body == Some(0) && state.length.is_none_or(|length| length == asked.offset) {
            return Ok(whole(site, &state, answer(Status::NO_CONTENT), asked.offset).into());
        }
        return Err(wrong_offset(state.length.unwrap_or(0)));
    }
    let store = Store::of(files(site)?, limits.min_free_bytes);
    Ok(Reply::offload(move || {
        let prepared = Piece::prepare(store, asked, state, &hold, limits.upload_limit_bytes, (now, ip));
        move |_: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(piece) => Reply::Receive { most: piece.room_left().max(1), sink: Box::new(piece) },
            Err(fault) => refused(&fault),
        }
    }))
}

fn wrong_offset(offset: u64) -> Fault {
    Fault::new(Status::CONFLICT, "wrong_offset", format!("the upload goes on at byte {offset}"))
}

fn taken_over() -> Fault {
    Fault::new(Status::CONFLICT, "taken_over", "another request goes on with this upload, or it was removed")
}

/// What a piece must come to.
enum Check {
    Sha1(Sha1, Vec<u8>),
    Sha256(Sha256, Vec<u8>),
}

impl Check {
    fn new((algorithm, digest): (Algorithm, Vec<u8>)) -> Check {
        match algorithm {
            Algorithm::Sha1 => Check::Sha1(Sha1::new(), digest),
            Algorithm::Sha256 => Check::Sha256(Sha256::new(), digest),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Check::Sha1(hash, _) => hash.update(bytes),
            Check::Sha256(hash, _) => hash.update(bytes),
        }
    }

    fn holds(self) -> bool {
        match self {
            Check::Sha1(hash, digest) => hash.finalize()[..] == digest,
            Check::Sha256(hash, digest) => hash.finalize()[..] == digest,
        }
    }
}

/// A piece on its way to the disk.
struct Piece {
    id: PartialId,
    store: Store,
    state: State,
    file: Box<dyn Growing>,
    turn: Turn,
    room: Room,
    /// Where it began, and where it is.
    start: u64,
    at: u64,
    /// Where the upload must end at the latest.
    most: u64,
    check: Option<Check>,
    is_new: bool,
    ip: IpAddr,
}

impl Piece {
    /// Takes the upload over, if the piece goes on where it ends.
    fn prepare(
        store: Store,
        asked: Asked,
        mut state: State,
        hold: &Hold,
        limit: u64,
        (now, ip): (Wall, IpAddr),
    ) -> Result<Piece, Fault> {
        let disk = std::sync::Arc::clone(&store.disk);
        let unfinished = unfinished(&*disk)?;
        let fault = |error: std::io::Error| disk_fault(&error, "go on with an upload");
        let mut held = hold.lock();
        let size = unfinished.size(asked.id).map_err(fault)?;
        let end = held.unchecked_from.map_or(size, |from| from.min(size));
        if end != asked.offset {
            return Err(wrong_offset(end));
        }
        match (state.length, asked.length) {
            (None, Some(length)) if length > limit => return Err(too_large(limit)),
            (None, Some(length)) if length >= end => state.length = Some(length),
            (Some(known), Some(length)) if known == length => {}
            (_, Some(_)) => {
                return Err(Fault::new(
                    Status::BAD_REQUEST,
                    "bad_header",
                    "Upload-Length is not what it was or can be",
                ));
            }
            (_, None) => {}
        }
        let most = state.length.unwrap_or(limit);
        if asked.body.is_some_and(|body| body > most - end.min(most)) {
            return Err(too_large(most));
        }
        let room = Room::new(&store, asked.body)?;
        let mut file = unfinished.resume(asked.id).map_err(fault)?;
        if end < size {
            file.cut(end).map_err(fault)?;
        }
        state.until = now.plus(LIFETIME_MS);
        state.unchecked_from = asked.checksum.is_some().then_some(end);
        if state.unchecked_from.is_some() || held.unchecked_from.is_some() {
            unfinished.mark(asked.id, &state.write()).map_err(fault)?;
        }
        held.unchecked_from = state.unchecked_from;
        let turn = hold.take_over(&mut held);
        drop(held);
        Ok(Piece {
            id: asked.id,
            store,
            state,
            file,
            turn,
            room,
            start: end,
            at: end,
            most,
            check: asked.checksum.map(Check::new),
            is_new: asked.is_new,
            ip,
        })
    }

    /// How much may still come.
    fn room_left(&self) -> u64 {
        self.most - self.at.min(self.most)
    }

    fn mark(&mut self) -> Result<(), Fault> {
        let fault = |error: std::io::Error| disk_fault(&error, "go on with an upload");
        self.file.sync().map_err(fault)?;
        self.state.synced = self.at;
        unfinished(&*self.store.disk)?.mark(self.id, &self.state.write()).map_err(fault)
    }

    /// Takes back what came, since it cannot be checked any more or is wrong. Only who has the turn may.
    fn take_back(&mut self) -> std::io::Result<()> {
        self.file.cut(self.start)?;
        self.state.unchecked_from = None;
        match self.store.disk.unfinished() {
            Some(unfinished) => unfinished.mark(self.id, &self.state.write()),
            None => Ok(()),
        }
    }

    /// The body is complete. Says whether the upload is, and lies where it should.
    fn end(&mut self) -> Result<Option<Stored>, Fault> {
        let turn = self.turn.clone();
        let mut held = turn.keep().ok_or_else(taken_over)?;
        if let Some(check) = self.check.take() {
            held.unchecked_from = None;
            if !check.holds() {
                self.take_back().map_err(|error| disk_fault(&error, "take a piece of an upload back"))?;
                let detail = "the piece does not come to the checksum that was sent with it";
                return Err(Fault::new(Status::CHECKSUM_MISMATCH, "checksum_mismatch", detail));
            }
        }
        self.state.unchecked_from = None;
        self.mark()?;
        if self.state.length != Some(self.at) {
            return Ok(None);
        }
        let stored = self.place()?;
        self.state.place = Some(stored.0.clone());
        // The file is where it should be; that this is not written down costs its sender a question.
        if let Err(error) = unfinished(&*self.store.disk)?.mark(self.id, &self.state.write()) {
            log::error!("the end of the upload {:?} cannot be written down: {error}", self.id);
        }
        Ok(Some(stored))
    }

    /// Gives the whole its name, or one like it.
    fn place(&mut self) -> Result<Stored, Fault> {
        let Piece { store, state, file, .. } = self;
        store.make_way(&state.path)?;
        if state.on_conflict == OnConflict::Overwrite {
            match store.commit(&mut **file, &state.path, OnConflict::Overwrite) {
                Err(fault) if fault.status == Status::CONFLICT => {}
                placed => return placed,
            }
        }
        store.commit(&mut **file, &state.path, OnConflict::Rename)
    }
}

impl Sink<Site> for Piece {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let turn = self.turn.clone();
        let held = turn.keep().ok_or_else(taken_over)?;
        if bytes.len() as u64 > self.room_left() {
            return Err(too_large(self.most));
        }
        self.room.take(bytes.len())?;
        self.file.write(bytes).map_err(|error| disk_fault(&error, "write to an upload"))?;
        self.at += bytes.len() as u64;
        if let Some(check) = &mut self.check {
            check.update(bytes);
        } else if self.at - self.state.synced >= SYNC_EVERY {
            self.mark()?;
        }
        drop(held);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Step<Site> {
        let ended = self.end();
        let (id, at, is_new, ip) = (self.id, self.at, self.is_new, self.ip);
        let state = self.state.clone();
        Box::new(move |site, _| {
            if let Ok(files) = files(site) {
                files.partials.note(id, state.clone(), matches!(ended, Ok(Some(_))));
            }
            let stored = match ended {
                Ok(stored) => stored,
                Err(fault) => return refused(&fault),
            };
            let mut response = if is_new { created(site, id, at, state.until) } else { answer(Status::NO_CONTENT) };
            if let Some((path, facts)) = stored {
                note_stored(site, &path, &facts, ip);
                return whole(site, &state, response, at).into();
            }
            if !is_new {
                response.add_header("Upload-Offset", &at.to_string());
                response.add_header("Upload-Expires", &imf(state.until));
            }
            response.into()
        })
    }
}

/// The answer to the last piece, with where the file came to lie.
fn whole(site: &Site, state: &State, mut response: Response, offset: u64) -> Response {
    if response.status != Status::CREATED {
        response.add_header("Upload-Offset", &offset.to_string());
    }
    if let Some(place) = &state.place {
        response.add_header("Content-Location", &url(&site.config.path_prefix, place));
    }
    response
}

impl Drop for Piece {
    fn drop(&mut self) {
        // A piece that is to be checked counts as a whole or not at all.
        if self.check.is_none() {
            return;
        }
        let turn = self.turn.clone();
        let Some(mut held) = turn.keep() else { return };
        held.unchecked_from = None;
        if let Err(error) = self.take_back() {
            log::error!("a piece of the upload {:?} that was not checked stays: {error}", self.id);
        }
    }
}
