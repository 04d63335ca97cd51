//! Uploads that continue another day: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), with creation, creation with
//! upload, deferred length, termination, checksum and expiration.
//!
//! How much has come is what the disk holds, nothing else; so it is right after any end, ours or the client's. Whoever sends
//! the next piece takes an upload over from whoever is still at it. When the last byte has come the file appears like that of
//! any other upload; if its name was taken meanwhile it gets one like it, for finished bytes are never thrown away.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use crate::clock::Wall;
use crate::http::date;
use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::media::MediaType;
use crate::http::request::{BodyLength, Method};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::tus;
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::house::Stamp;
use crate::server::reply::{Lane, Reply, Step, Task};
use crate::site::files::{bad_name, files, url};
use crate::site::gate::{Action, Principal, rights_of};
use crate::site::piece::{
    Asked, Bearer, Piece, answer, created, held_elsewhere, imf, note, refused, take_up, too_large, unfinished, whole,
    written_state, wrong_offset,
};
use crate::site::receive::name::read_folder;
use crate::site::receive::quota::Allowance;
use crate::site::receive::room::Room;
use crate::site::receive::store::Store;
use crate::site::spot::{Actor, Area, early_right, private_area};
use crate::site::state::{Site, disk_fault};
use crate::site::upload::{is_yes, read_on_conflict, refuse_coding};
use crate::store::disk::{Disk, PartialId, Unfinished};
use crate::store::partial::{Hold, LIFETIME_MS, Maker, Partial, State, TooMany};
use crate::store::pledges::{Pledge, Pledges};
use crate::store::tree::{OnConflict, check_name, check_place, generated_name};

fn told(result: Result<Reply<Site>, Fault>) -> Reply<Site> {
    result.unwrap_or_else(|fault| refused(&fault))
}

/// What tus wants to hear of every answer, also of those that are no affair of tus: who may not, who comes too often, who means
/// another method. `place` is where the site stands.
pub fn stamp(place: &str) -> Stamp {
    Stamp { place: format!("{place}/tus"), name: "Tus-Resumable", value: tus::VERSION }
}

/// What an upload takes.
const UPLOAD_METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";

/// `OPTIONS /tus`: what we can do.
pub fn options(site: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Response {
    let allow = if call.parameter("id").is_some() { UPLOAD_METHODS } else { "POST, OPTIONS" };
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

/// The disks of uploads, to be gone through by a helper.
struct Disks {
    shared: Arc<dyn Disk>,
    homes: Option<Arc<dyn Disk>>,
}

impl Disks {
    fn of(site: &mut Site) -> Result<Disks, Fault> {
        let files = files(site)?;
        Ok(Disks { shared: Arc::clone(&files.disk), homes: files.homes.clone() })
    }

    fn unfinished(&self, state: &State) -> Option<&dyn Unfinished> {
        if state.is_private { self.homes.as_deref()?.unfinished() } else { self.shared.unfinished() }
    }
}

/// Which part of the files an upload will come to lie in.
fn area_of(site: &Site, state: &State) -> Area {
    match state.maker {
        Maker::Account(id) if state.is_private => {
            let account = site.accounts.as_ref().and_then(|accounts| accounts.users.account(id));
            Area::Home { id, name: account.map_or_else(|| "".into(), |account| account.name.clone()) }
        }
        _ => Area::Shared,
    }
}

fn maker(who: &Principal, ip: IpAddr) -> Maker {
    match who {
        Principal::Operator => Maker::Operator,
        Principal::User(user) => Maker::Account(user.id),
        Principal::Guest => Maker::Guest(ip),
    }
}

/// An upload that an earlier run has left.
pub struct Left {
    /// Its name.
    pub id: PartialId,
    /// What is known of it.
    pub state: State,
    /// How much of it there is.
    pub came: u64,
    /// Whether it is whole and lies where it should.
    pub is_finished: bool,
    /// Whether another process is at it.
    pub is_elsewhere: bool,
}

/// What an earlier run, or a process that is still ending, has left on a disk. It may block.
pub fn find_left(disk: &dyn Disk, now: Wall) -> Vec<Left> {
    let Some(unfinished) = disk.unfinished() else { return Vec::new() };
    let states = unfinished.all().unwrap_or_else(|error| {
        log::error!("unfinished uploads of an earlier run cannot be read: {error}");
        Vec::new()
    });
    if states.is_empty() {
        return Vec::new();
    }
    let boot = unfinished.boot();
    let mut left = Vec::new();
    for (id, text) in states {
        match find_one(unfinished, id, &text, &boot, now) {
            Ok(found) => left.extend(found.map(|(state, is_finished)| {
                let came = unfinished.size(id).unwrap_or(0);
                let is_elsewhere = !is_finished && matches!(unfinished.claim(id), Ok(None));
                Left { id, state, came, is_finished, is_elsewhere }
            })),
            Err(error) => log::error!("the unfinished upload {id:?} is out of reach: {error}"),
        }
    }
    left
}

fn find_one(
    unfinished: &dyn Unfinished,
    id: PartialId,
    text: &[u8],
    boot: &str,
    now: Wall,
) -> std::io::Result<Option<(State, bool)>> {
    let claim = match unfinished.claim(id) {
        // Somebody is still receiving a piece of it, and will see to it.
        Ok(None) => return Ok(State::read(text).map(|state| (state, false))),
        // What has no content is finished.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        claim => claim?,
    };
    let found = match State::read(text).map(|state| still_waited_for(unfinished, id, state)) {
        Some(state) if state.until > now => take_up(unfinished, id, state, boot).map(Some),
        _ => unfinished.give_up(id).map(|()| None),
    };
    drop(claim);
    found
}

/// A piece may have been coming for longer than an upload is waited for, and nobody wrote down that it was.
fn still_waited_for(unfinished: &dyn Unfinished, id: PartialId, state: State) -> State {
    let came = unfinished.changed(id).unwrap_or_default();
    let until = state.until.max(came.plus(LIFETIME_MS));
    State { until, ..state }
}

/// What the metadata wish for.
struct Wish {
    area: Area,
    path: RelPath<'static>,
    on_conflict: OnConflict,
}

impl Wish {
    fn of(metadata: &[u8], who: &Principal, unnamed: impl FnOnce() -> String) -> Result<Wish, Fault> {
        let (mut name, mut folder, mut on_conflict) = (None, RelPath::ROOT, OnConflict::Error);
        let mut area = Area::Shared;
        for (key, value) in tus::metadata(metadata)? {
            let text = || std::str::from_utf8(&value).map_err(|_| bad_name("a name is UTF-8"));
            match key {
                "filename" => name = Some(check_name(text()?).map_err(bad_name)?.to_owned()),
                "dir" => folder = read_folder(text()?)?,
                "on_conflict" => on_conflict = read_on_conflict(text()?)?,
                "private" => match is_yes(&value) {
                    Some(true) => area = private_area(who)?,
                    Some(false) => {}
                    None => return Err(crate::site::body::bad_field("private")),
                },
                _ => {}
            }
        }
        let name = name.unwrap_or_else(unnamed);
        let path = folder.join(&RelPath::from_plain(&name).map_err(|_| bad_name("this is no name for a file"))?);
        check_place(&path, area.is_shared()).map_err(bad_name)?;
        let path = area.root().join(&path);
        Ok(Wish { area, path, on_conflict })
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
    let limits = site.config.limits;
    let files = files(site)?;
    let lot = (files.lots.draw() >> 32) as u32;
    let wish = Wish::of(metadata, who, || generated_name(cx.wall, lot, "bin"))?;
    let maker = maker(who, cx.peer.ip);
    files.partials.admit(&maker, cx.wall).map_err(too_many)?;
    let pledges = files.partials.pledges.clone();
    let store = Store::of(files, &wish.area, limits.min_free_bytes)?;
    let disks = Disks::of(site)?;
    let actor = Actor { who: who.clone(), rights: rights_of(site, call.request) };
    actor.may_use(Action::SharedWrite, &wish.area)?;
    let allowance = Allowance::of(site, &actor);
    let early = early_right(site, &actor, &wish.area, &wish.path);
    // Nothing is refused from here to the helper that removes them.
    let gone = self::files(site)?.partials.expire(cx.wall, |_| false);
    let mut state = State {
        maker,
        length,
        path: wish.path,
        is_private: !wish.area.is_shared(),
        on_conflict: wish.on_conflict,
        metadata: String::from_utf8_lossy(metadata).into_owned(),
        until: cx.wall.plus(LIFETIME_MS),
        synced: 0,
        boot: String::new(),
        unchecked_from: None,
        place: None,
    };
    Ok(Reply::offload_write(move || {
        let held = clear_away(&disks, gone, true);
        let begun = begin(&store, &mut state, allowance, early, &pledges);
        move |site: &mut Site, cx: &mut Context<'_>| {
            put_back(site, held, cx.wall);
            told(begun.and_then(|(id, pledge)| {
                let is_whole = state.length == Some(0);
                if let Err(fault) = take_in(site, id, state, pledge, cx.wall) {
                    return Ok(give_up(store, id, fault));
                }
                cx.wake_at(cx.now.plus(LOOK_EVERY_MS));
                if piece.is_none() && !is_whole {
                    let until = cx.wall.plus(LIFETIME_MS);
                    return Ok(created(site, id, 0, until).into());
                }
                let asked =
                    Asked { id, offset: 0, checksum, length: None, body: piece.unwrap_or(Some(0)), is_new: true };
                receive(site, asked, maker, actor, cx)
            }))
        }
    }))
}

/// While uploads are unfinished it is seen so often whether the time of one is over.
const LOOK_EVERY_MS: u64 = 60_000;

/// And so often what has become of those at which another process was.
const ELSEWHERE_MS: u64 = 2_000;

/// Uploads at which the process before this one was when they were found: what it has finished lies where it should, and counts there.
/// Those at which it still is are given back.
fn follow_elsewhere(disks: &Disks, asked: Vec<(PartialId, State, Hold)>) -> (Vec<(PartialId, State)>, Vec<PartialId>) {
    let (mut finished, mut still) = (Vec::new(), Vec::new());
    for (id, state, hold) in asked {
        let Some(unfinished) = disks.unfinished(&state) else { continue };
        if matches!(unfinished.claim(id), Ok(None)) {
            still.push(id);
        } else if let Ok((state, _, true)) = look(unfinished, id, state, &hold) {
            finished.push((id, state));
        }
    }
    (finished, still)
}

/// Uploads whose time is over, to be removed by a helper, and those at which another process was; as long as there are others, it is
/// looked again later.
pub fn look_around(site: &mut Site, cx: &mut Context<'_>) -> Option<(Lane, Task<Site>)> {
    let disks = Disks::of(site).ok()?;
    let users = site.accounts.as_ref().filter(|accounts| accounts.unread.is_none()).map(|accounts| &accounts.users);
    let is_gone = |maker: &Maker| {
        let account = maker.account().zip(users);
        account.is_some_and(|(id, users)| users.gone().any(|gone| gone == id))
    };
    let partials = &mut site.files.as_mut()?.partials;
    if partials.is_empty() {
        return None;
    }
    // It is asked at every alarm, whoever's it is; only its own are worth a look at all of them.
    if cx.now < partials.look_at {
        cx.wake_at(partials.look_at);
        return None;
    }
    let gone = partials.expire(cx.wall, is_gone);
    let elsewhere: Vec<_> = std::mem::take(&mut partials.elsewhere)
        .into_iter()
        .filter_map(|id| partials.get(id, cx.wall).map(|partial| (id, partial.state.clone(), partial.hold.clone())))
        .collect();
    partials.look_at = cx.now.plus(if elsewhere.is_empty() { LOOK_EVERY_MS } else { ELSEWHERE_MS });
    cx.wake_at(partials.look_at);
    if gone.is_empty() && elsewhere.is_empty() {
        return None;
    }
    let task = move || -> Step<Site> {
        let held = clear_away(&disks, gone, true);
        let (finished, still) = follow_elsewhere(&disks, elsewhere);
        Box::new(move |site: &mut Site, cx: &mut Context<'_>| {
            put_back(site, held, cx.wall);
            if let Ok(files) = files(site) {
                files.partials.elsewhere.extend(still);
                finished.into_iter().for_each(|(id, state)| files.partials.note(id, state, true));
            }
            Fault::not_found().into()
        })
    };
    Some((Lane::Writes, Box::new(task)))
}

/// Removes uploads that are not waited for any more. Gives those back at which another process still is; if it is only that their
/// time is over, also those of which a piece is coming in here, however long that takes.
fn clear_away(disks: &Disks, gone: Vec<(PartialId, Partial)>, is_over: bool) -> Vec<(PartialId, Partial)> {
    let mut kept = Vec::new();
    for (id, partial) in gone {
        let Some(unfinished) = disks.unfinished(&partial.state) else { continue };
        let hold = partial.hold.clone();
        let mut held = hold.lock();
        let is_ours = held.claim.as_ref().is_some_and(|claim| claim.strong_count() > 0);
        let claim = if is_ours { Ok(None) } else { unfinished.claim(id) };
        if matches!(claim, Ok(None)) && (is_over || !is_ours) {
            drop(held);
            kept.push((id, partial));
            continue;
        }
        hold.take_over(&mut held);
        match unfinished.give_up(id) {
            Ok(()) => held.pledge = None,
            Err(error) => log::error!("the upload {id:?}, which nobody continues, stays: {error}"),
        }
    }
    kept
}

/// Takes uploads in again that could not be removed.
/// Somebody goes on with them, so they are waited for anew.
fn put_back(site: &mut Site, kept: Vec<(PartialId, Partial)>, now: Wall) {
    if let Ok(files) = files(site) {
        for (id, mut partial) in kept {
            partial.state.until = partial.state.until.max(now.plus(LIFETIME_MS));
            files.partials.put_back(id, partial);
        }
    }
}

fn begin(
    store: &Store,
    state: &mut State,
    allowance: Option<Allowance>,
    early: Result<(), Fault>,
    pledges: &Pledges,
) -> Result<(PartialId, Option<Pledge>), Fault> {
    if store.look(&state.path, state.on_conflict)?.is_some() && state.on_conflict == OnConflict::Overwrite {
        early?;
    }
    let room = Room::new(store, state.length, allowance)?;
    // Whoever may have any number of bytes today may be given a measure tomorrow.
    let pledge = room.into_pledge().or_else(|| {
        let account = state.maker.account()?;
        Some(pledges.pledge(account, state.length.unwrap_or(0)))
    });
    let unfinished = unfinished(&*store.disk)?;
    state.boot = unfinished.boot();
    let begun = unfinished.begin(&state.write()).map_err(|error| disk_fault(&error, "begin an upload"))?;
    Ok((begun, pledge))
}

/// There are too many after all: what was begun goes again.
fn give_up(store: Store, id: PartialId, fault: Fault) -> Reply<Site> {
    Reply::offload_write(move || {
        let given_up = unfinished(&*store.disk).map(|unfinished| unfinished.give_up(id));
        if let Ok(Err(error)) = given_up {
            log::error!("the upload {id:?}, of which there were too many, stays: {error}");
        }
        move |_: &mut Site, _: &mut Context<'_>| refused(&fault)
    })
}

/// Takes a new upload in; many may have been begun in the same moment.
fn take_in(site: &mut Site, id: PartialId, state: State, pledge: Option<Pledge>, now: Wall) -> Result<(), Fault> {
    let files = files(site)?;
    files.partials.admit(&state.maker, now).map_err(too_many)?;
    files.partials.insert(id, state, pledge);
    Ok(())
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
    let disks = Disks::of(site)?;
    Ok(Reply::offload(move || {
        let seen = disks.unfinished(&state).ok_or_else(Fault::not_found).and_then(|unfinished| {
            look(unfinished, id, state, &hold).map_err(|error| disk_fault(&error, "look at an upload"))
        });
        move |site: &mut Site, _: &mut Context<'_>| {
            told(seen.map(|(state, size, is_finished)| {
                if is_finished {
                    note(site, id, &state, true);
                }
                describe(site, method, &state, size, is_finished).into()
            }))
        }
    }))
}

/// How much of an upload there is, and whether it is finished: another process may have seen to that.
fn look(unfinished: &dyn Unfinished, id: PartialId, state: State, hold: &Hold) -> std::io::Result<(State, u64, bool)> {
    let mut held = hold.lock();
    match unfinished.size(id) {
        // It may just have been given its place, here or by another process, and the loop has still to hear of it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let state = written_state(unfinished, id)?;
            if state.place.is_none() && !held.is_doubtful {
                return Err(error);
            }
            // Whoever gave it its place: it counts as what it is.
            held.pledge = None;
            let size = state.length.unwrap_or(0);
            Ok((state, size, true))
        }
        size => {
            let size = size?;
            let came = held.unchecked_from.map_or(size, |from| from.min(size));
            Ok((state.clone(), state.asked_from(came), false))
        }
    }
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
        response.add_header("Content-Location", &url(&site.config.path_prefix, &area_of(site, state).show(place)));
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
            refused(&fault.with_field("Allow", UPLOAD_METHODS))
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
    let disks = Disks::of(site)?;
    let files = files(site)?;
    let gone: Vec<_> = files.partials.remove(id).map(|partial| (id, partial)).into_iter().collect();
    Ok(Reply::offload_write(move || {
        let held = clear_away(&disks, gone, false);
        move |site: &mut Site, cx: &mut Context<'_>| {
            let is_held = !held.is_empty();
            put_back(site, held, cx.wall);
            if is_held { refused(&held_elsewhere()) } else { answer(Status::NO_CONTENT).into() }
        }
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
    let actor = Actor { who: who.clone(), rights: rights_of(site, call.request) };
    let asked = Asked { id, offset, checksum, length, body, is_new: false };
    receive(site, asked, maker(who, cx.peer.ip), actor, cx)
}

fn receive(site: &mut Site, asked: Asked, who: Maker, actor: Actor, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let limits = site.config.limits;
    let partial = find(site, asked.id, &who, cx.wall)?;
    let (state, hold, is_finished) = (partial.state.clone(), partial.hold.clone(), partial.is_finished);
    let area = area_of(site, &state);
    if is_finished {
        // Whoever missed the last answer asks once more.
        if asked.body == Some(0) && state.length.is_none_or(|length| length == asked.offset) {
            return Ok(whole(site, &area, &state, answer(Status::NO_CONTENT), asked.offset).into());
        }
        return Err(wrong_offset(state.length.unwrap_or(0)));
    }
    let store = Store::of(files(site)?, &area, limits.min_free_bytes)?;
    let allowance = Allowance::of(site, &actor);
    let by = Bearer { limit: limits.upload_limit_bytes, now: cx.wall, ip: cx.peer.ip, actor, allowance };
    Ok(Reply::offload_write(move || {
        let id = asked.id;
        let prepared = Piece::prepare(store, asked, state, &hold, by);
        move |site: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(piece) => {
                // From now on it is waited for anew, not only when the piece is there.
                note(site, id, piece.state(), false);
                Reply::Receive { most: piece.room_left().max(1), sink: Box::new(piece) }
            }
            Err(fault) => refused(&fault),
        }
    }))
}
