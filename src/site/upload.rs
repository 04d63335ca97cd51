//! `POST /upload`: a JSON document, a form with files, or the bytes of one file.

use std::io;
use std::net::IpAddr;

use serde_json::json;

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::form::query_strict;
use crate::http::headers::Field;
use crate::http::media::MediaType;
use crate::http::multipart::{Limits, Multipart};
use crate::http::negotiate::prefers_html;
use crate::http::request::{BodyLength, Request};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::body::check;
use crate::site::current::{check_conditions, look};
use crate::site::files::{bad_name, describe, files, note_stored, url};
use crate::site::gate::{Action, Principal, rights_of};
use crate::site::kept::KeptHeaders;
use crate::site::plain::page_of;
use crate::site::receive::file::{FileSink, Whole};
use crate::site::receive::form::{Complete, FormSink, Parts};
use crate::site::receive::quota::{Allowance, allowance_place};
use crate::site::receive::room::Room;
use crate::site::receive::store::{Store, Stored, keep_stored};
use crate::site::spot::{Actor, Area, early_right, locked, owner_name, private_area, when_known};
use crate::site::state::{Lots, Site};
use crate::site::way::{Placed, Unplaced};
use crate::store::disk::{Draft, Existing, FileFacts};
use crate::store::locks::Place;
use crate::store::tree::{OnConflict, check_name, check_place, generated_name};

/// Parts of a form beside its files: `dir`, `private`, and what a page adds of its own.
const PARTS_BESIDE: usize = 16;

/// How many generated names are tried before something else must be wrong.
const NAMES_MAX: usize = 8;

/// `POST /upload`.
pub fn upload(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    refuse_coding(call.request)?;
    let ask = Ask::of(call.query.unwrap_or_default())?;
    let actor = Actor { rights: rights_of(site, call.request), who };
    let sender = Sender { actor, headers: KeptHeaders::of(&call.headers), ip: cx.peer.ip };
    let parts_max = site.config.limits.parts.saturating_add(PARTS_BESIDE);
    match Kind::of(call.request, Limits { parts_max, ..Limits::default() })? {
        Kind::Json => take_json(site, ask, sender),
        Kind::Form(form) => take_form(site, call, form, ask, sender),
        Kind::Raw => take_raw(site, call, ask, sender),
    }
}

/// Who sends something.
struct Sender {
    actor: Actor,
    /// On which conditions.
    headers: KeptHeaders,
    ip: IpAddr,
}

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ask {
    name: Option<RelPath<'static>>,
    on_conflict: OnConflict,
    is_private: bool,
}

impl Ask {
    fn of(query: &str) -> Result<Ask, Fault> {
        let mut ask = Ask::default();
        let (mut is_private_told, mut is_conflict_told) = (false, false);
        for pair in query_strict(query) {
            let (name, value) = pair?;
            match &*name {
                "name" if ask.name.is_some() => return Err(given_twice("name")),
                "name" => ask.name = Some(read_name(&value)?.into_owned()),
                "on_conflict" if std::mem::replace(&mut is_conflict_told, true) => {
                    return Err(given_twice("on_conflict"));
                }
                "on_conflict" => ask.on_conflict = read_on_conflict(&value)?,
                "private" if std::mem::replace(&mut is_private_told, true) => return Err(given_twice("private")),
                "private" => {
                    let detail = "private is 1 or 0";
                    ask.is_private =
                        is_yes(value.as_bytes()).ok_or_else(|| Fault::new(Status::BAD_REQUEST, "bad_query", detail))?;
                }
                _ => {}
            }
        }
        if let Some(name) = &ask.name {
            check_place(name, !ask.is_private).map_err(bad_name)?;
        }
        Ok(ask)
    }

    /// Where what is sent comes to lie.
    fn area(&self, who: &Principal) -> Result<Area, Fault> {
        if self.is_private { private_area(who) } else { Ok(Area::Shared) }
    }
}

/// Whether a wish is one: a bare name is as good as `1`, for whoever wishes for privacy in whatever words must not be published.
pub fn is_yes(value: &[u8]) -> Option<bool> {
    match value {
        b"1" | b"" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// 400 for what would be one thing or the other, depending on who reads it.
pub fn given_twice(name: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_query", format!("{name} is given twice"))
}

/// What is to become of a name that is taken.
pub fn read_on_conflict(text: &str) -> Result<OnConflict, Fault> {
    match text {
        "error" => Ok(OnConflict::Error),
        "rename" => Ok(OnConflict::Rename),
        "overwrite" => Ok(OnConflict::Overwrite),
        _ => Err(Fault::new(Status::BAD_REQUEST, "bad_query", "on_conflict is error, rename or overwrite")),
    }
}

/// A name that was given for a file: a name, not a path. Where it is to stand is judged by who knows the folder.
pub fn read_name(given: &str) -> Result<RelPath<'_>, Fault> {
    if given.contains(['/', '\\']) {
        return Err(bad_name("a name holds no slash"));
    }
    let name = check_name(given).map_err(bad_name)?;
    RelPath::from_plain(name).map_err(|_| bad_name("this is no name for a file"))
}

/// 415 for a body that would have to be decoded.
pub fn refuse_coding(request: &Request<'_>) -> Result<(), Fault> {
    if request.headers.has(Field::ContentEncoding) {
        let detail = "a body may not have a Content-Encoding";
        return Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "encoded_body", detail));
    }
    Ok(())
}

/// How long a file's body will be, if that is known; 411 where nothing tells that there is one at all, 413 where it is too
/// long.
pub fn body_length(site: &Site, request: &Request<'_>) -> Result<Option<u64>, Fault> {
    let most = site.config.limits.upload_limit_bytes;
    match request.body {
        BodyLength::Known(length) if length > most => {
            let detail = format!("an upload may have at most {most} bytes");
            Err(Fault::new(Status::CONTENT_TOO_LARGE, "too_large", detail))
        }
        BodyLength::Known(length) => Ok(Some(length)),
        BodyLength::Chunked => Ok(None),
        BodyLength::None if request.headers.has(Field::ContentLength) => Ok(Some(0)),
        BodyLength::None => {
            Err(Fault::new(Status::LENGTH_REQUIRED, "length_required", "an upload needs a Content-Length or chunks"))
        }
    }
}

/// What the body is.
enum Kind {
    Json,
    Form(Box<Multipart>),
    Raw,
}

impl Kind {
    fn of(request: &Request<'_>, limits: Limits) -> Result<Kind, Fault> {
        const FORM: &[u8] = b"multipart/form-data";
        if request.headers.is_repeated(Field::ContentType) {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "Content-Type is given twice"));
        }
        let Some(value) = request.headers.get(Field::ContentType) else { return Ok(Kind::Raw) };
        // A form whose boundary cannot be read is a bad form, not some other kind of file.
        if value.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM)) {
            return Multipart::new(value, limits).map(|form| Kind::Form(Box::new(form)));
        }
        match MediaType::parse(value) {
            Some(media) if media.is("application/json") => Ok(Kind::Json),
            _ => Ok(Kind::Raw),
        }
    }
}

/// A JSON document: small enough to be looked at as a whole before it is stored.
fn take_json(site: &mut Site, ask: Ask, sender: Sender) -> Result<Reply<Site>, Fault> {
    let area = ask.area(&sender.actor.who)?;
    sender.actor.may_use(Action::SharedWrite, &area)?;
    let min_free = site.config.limits.min_free_bytes;
    files(site)?;
    Ok(Reply::collect(site.config.limits.json_limit_bytes, move |site: &mut Site, body, cx| {
        when_known(site, cx, move |site, cx| {
            let wall = cx.wall;
            let (store, lots) = match files(site)
                .and_then(|files| Ok((Store::of(files, &area, min_free)?, Lots::new(files.lots.draw()))))
            {
                Ok(parts) => parts,
                Err(fault) => return fault.into(),
            };
            let name = ask.name.as_ref().map(|name| area.root().join(name));
            let on_conflict = ask.on_conflict;
            let names = match &name {
                Some(path) => vec![path.clone()],
                None => free_names(wall, lots).iter().map(|name| area.root().join(name)).collect(),
            };
            let places = names.iter().map(|path| place(&area, path, on_conflict));
            let places = places.chain(allowance_place(site, &sender.actor)).collect();
            locked(site, cx, &sender.actor.clone(), places, move |site, _| {
                let allowance = Allowance::of(site, &sender.actor);
                let right = name.as_ref().map_or(Ok(()), |path| sender.actor.may_change(site, &area, path));
                Reply::offload_write(move || {
                    let placed = check(&body).map_err(Unplaced::from).and_then(|()| match &name {
                        Some(path) => store_json(&store, &body, (path, on_conflict), allowance, &right, &sender),
                        None => check_conditions(&sender.headers, None)
                            .map_err(Unplaced::from)
                            .and_then(|()| store_unnamed(&store, &body, &names, allowance)),
                    });
                    settle(placed, area, sender)
                })
            })
        })
    }))
}

/// What a file is to be called whose name nobody chose; the others in case that is taken.
fn free_names(wall: Wall, mut lots: Lots) -> Vec<RelPath<'static>> {
    let name = || generated_name(wall, (lots.draw() >> 32) as u32, "json");
    let names = std::iter::repeat_with(name).take(NAMES_MAX);
    names.filter_map(|name| RelPath::from_plain(&name).map(RelPath::into_owned).ok()).collect()
}

/// Where a file may come to lie that is to have this path, or one like it.
fn place(area: &Area, path: &RelPath<'_>, on_conflict: OnConflict) -> Place {
    let place = area.place(path);
    if on_conflict == OnConflict::Rename { place.or_like() } else { place }
}

fn store_json(
    store: &Store,
    body: &[u8],
    (path, on_conflict): (&RelPath<'_>, OnConflict),
    allowance: Option<Allowance>,
    right: &Result<(), Fault>,
    sender: &Sender,
) -> Placed<Stored> {
    let current = check_right(store, path, on_conflict, right, sender)?;
    let allowance = allowance.map(|allowance| allowance.in_place_of(store, path, current.as_ref()));
    let mut draft = fill(store, body, allowance)?;
    store.place_at(path, || store.commit(&mut *draft, path, on_conflict, right))
}

/// A file of these bytes that has no name yet.
fn fill(store: &Store, body: &[u8], allowance: Option<Allowance>) -> Result<Box<dyn Draft>, Fault> {
    let length = Some(body.len() as u64);
    let _room = Room::new(store, length, allowance)?;
    let root = store.area.root();
    let filled = store.draft(&root, length).and_then(|mut draft| draft.write(body).map(|()| draft));
    filled.map_err(|error| store.fault(&error, &root))
}

fn store_unnamed(
    store: &Store,
    body: &[u8],
    names: &[RelPath<'static>],
    allowance: Option<Allowance>,
) -> Placed<Stored> {
    let mut draft = fill(store, body, allowance)?;
    for path in names {
        let (placed, folders) = store.place_at(path, || match draft.commit(path, Existing::Refuse) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            committed => committed.map(Some).map_err(|error| store.fault(&error, path)),
        })?;
        if let Some(facts) = placed {
            return Ok((Stored { path: path.clone(), facts, is_new: true }, folders));
        }
    }
    Err(Fault::new(Status::INTERNAL_SERVER_ERROR, "no_name", "no name was free for the file").into())
}

/// Whether a file may come to stand at `path`, by its sender's conditions too; if it replaces another, whether that may be replaced,
/// and which that is.
fn check_right(
    store: &Store,
    path: &RelPath<'_>,
    on_conflict: OnConflict,
    right: &Result<(), Fault>,
    sender: &Sender,
) -> Result<Option<FileFacts>, Fault> {
    if sender.headers.have_conditions() {
        check_conditions(&sender.headers, look(&*store.disk, path)?.as_ref())?;
    }
    let current = store.look(path, on_conflict)?.filter(|_| on_conflict == OnConflict::Overwrite);
    if current.is_some() {
        right.clone()?;
    }
    Ok(current)
}

/// The bytes of one file.
fn take_raw(site: &mut Site, call: &Call<'_>, ask: Ask, sender: Sender) -> Result<Reply<Site>, Fault> {
    let area = ask.area(&sender.actor.who)?;
    sender.actor.may_use(Action::SharedWrite, &area)?;
    let Some(name) = ask.name else {
        return Err(Fault::new(
            Status::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "a file is sent as multipart/form-data, as application/json, or as any other type with ?name=",
        ));
    };
    let length = body_length(site, call.request)?;
    let (most, min_free) = (site.config.limits.upload_limit_bytes, site.config.limits.min_free_bytes);
    let store = Store::of(files(site)?, &area, min_free)?;
    let path = area.root().join(&name);
    let (allowance, early) = (Allowance::of(site, &sender.actor), early_right(site, &sender.actor, &area, &path));
    let raw = Raw { store, path, on_conflict: ask.on_conflict, sender };
    Ok(Reply::offload_write(move || {
        let prepared = raw.prepare(length, allowance, &early);
        move |_: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(sink) => Reply::Receive { most, sink: Box::new(sink) },
            Err(fault) => fault.into(),
        }
    }))
}

/// A file whose bytes are the body, on its way to the name that its sender has chosen.
struct Raw {
    store: Store,
    path: RelPath<'static>,
    on_conflict: OnConflict,
    sender: Sender,
}

impl Raw {
    /// What it may replace, if it replaces anything.
    fn look(&self, right: &Result<(), Fault>) -> Result<Option<FileFacts>, Fault> {
        check_right(&self.store, &self.path, self.on_conflict, right, &self.sender)
    }

    fn prepare(
        self,
        length: Option<u64>,
        allowance: Option<Allowance>,
        early: &Result<(), Fault>,
    ) -> Result<FileSink, Fault> {
        let current = self.look(early)?;
        let (store, path) = (self.store.clone(), self.path.clone());
        FileSink::begin(&store, &path, current.as_ref(), length, allowance, move |site, cx, whole| {
            when_known(site, cx, move |site, cx| self.finish(site, cx, whole))
        })
    }

    /// All of it has come: it takes its place, if it may.
    fn finish(self, site: &mut Site, cx: &mut Context<'_>, mut whole: Whole) -> Reply<Site> {
        let place = place(&self.store.area, &self.path, self.on_conflict);
        let places = [place].into_iter().chain(allowance_place(site, &self.sender.actor)).collect();
        locked(site, cx, &self.sender.actor.clone(), places, move |site, _| {
            let right = self.sender.actor.may_change(site, &self.store.area, &self.path);
            let allowance = Allowance::of(site, &self.sender.actor);
            Reply::offload_write(move || {
                let placed = self.place(&mut whole, &right, allowance);
                drop(whole);
                settle(placed, self.store.area, self.sender)
            })
        })
    }

    fn place(&self, whole: &mut Whole, right: &Result<(), Fault>, allowance: Option<Allowance>) -> Placed<Stored> {
        let Raw { store, path, on_conflict, .. } = self;
        let current = self.look(right)?;
        if let Some(allowance) = allowance {
            allowance.in_place_of(store, path, current.as_ref()).check(whole.bytes)?;
        }
        store.place_at(path, || store.commit(&mut *whole.draft, path, *on_conflict, right))
    }
}

/// What follows, back in the loop, for the one file that was sent.
fn settle(
    placed: Placed<Stored>,
    area: Area,
    sender: Sender,
) -> impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> {
    move |site, cx| {
        keep_stored(site, cx, placed, area, &sender.actor, move |site, area, stored| {
            answer_one(site, area, &stored, sender.ip).into()
        })
    }
}

/// 201 for it.
fn answer_one(site: &mut Site, area: &Area, stored: &Stored, ip: IpAddr) -> Response {
    let Stored { path, facts, .. } = stored;
    let shown = area.show(path);
    note_stored(site, &shown, facts, ip);
    let owner = owner_name(site, area, path);
    let prefix = &site.config.path_prefix;
    let location = url(prefix, &shown);
    let answer = json!({
        "status": "success",
        "message": "File stored",
        "file": describe(prefix, &shown, facts, owner.as_deref()),
        "filepath": location,
    });
    Response::json(Status::CREATED, &answer).header("Location", &location)
}

/// A form with files.
fn take_form(
    site: &mut Site,
    call: &Call<'_>,
    form: Box<Multipart>,
    ask: Ask,
    sender: Sender,
) -> Result<Reply<Site>, Fault> {
    let length = match call.request.body {
        // Without a body there is no last boundary: the form itself is refused.
        BodyLength::None => None,
        _ => body_length(site, call.request)?,
    };
    let page = prefers_html(call.headers.all(Field::Accept)).then(|| page_of(site, call));
    let limits = site.config.limits;
    let files = files(site)?;
    let store = Store::of(files, &ask.area(&sender.actor.who)?, limits.min_free_bytes)?;
    let private = private_area(&sender.actor.who).and_then(|area| Store::of(files, &area, limits.min_free_bytes));
    let may_share = sender.actor.may_use(Action::SharedWrite, &Area::Shared);
    let allowance = Allowance::of(site, &sender.actor);
    Ok(Reply::offload_write(move || {
        let prepared = Room::new(&store, length, allowance).map(|room| {
            let parts = Parts::new(store, room, ask.on_conflict, limits.parts, may_share, private);
            FormSink::new(*form, parts, move |site, cx, complete| {
                when_known(site, cx, move |site, cx| place_form(site, cx, complete, sender, page))
            })
        });
        move |_: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(sink) => Reply::Receive { most: limits.upload_limit_bytes, sink: Box::new(sink) },
            Err(fault) => fault.into(),
        }
    }))
}

/// All of a form has come: its files take their places, if they may.
fn place_form(
    site: &mut Site,
    cx: &mut Context<'_>,
    complete: Complete,
    sender: Sender,
    page: Option<String>,
) -> Reply<Site> {
    let area = complete.store.area.clone();
    let places = complete.places.iter().map(|path| place(&area, path, complete.on_conflict));
    let places = places.chain(allowance_place(site, &sender.actor)).collect();
    locked(site, cx, &sender.actor.clone(), places, move |site, _| {
        let rights: Vec<_> = complete.places.iter().map(|path| sender.actor.may_change(site, &area, path)).collect();
        let allowance = Allowance::of(site, &sender.actor);
        Reply::offload_write(move || {
            let placed = complete.store(&rights, &sender.headers, allowance);
            move |site: &mut Site, cx: &mut Context<'_>| {
                keep_stored(site, cx, placed, area, &sender.actor, move |site, area, stored| {
                    answer_form(site, area, &stored, page.as_deref(), sender.ip)
                })
            }
        })
    })
}

fn answer_form(site: &mut Site, area: &Area, stored: &[Stored], page: Option<&str>, ip: IpAddr) -> Reply<Site> {
    for Stored { path, facts, .. } in stored {
        note_stored(site, &area.show(path), facts, ip);
    }
    if let Some(page) = page {
        return Response::redirect(Status::SEE_OTHER, page).into();
    }
    let prefix = &site.config.path_prefix;
    let rows: Vec<_> = stored
        .iter()
        .map(|Stored { path, facts, .. }| {
            describe(prefix, &area.show(path), facts, owner_name(site, area, path).as_deref())
        })
        .collect();
    Response::json(Status::CREATED, &json!({"status": "success", "files": rows})).into()
}
