//! Changing the shared files: PUT, PATCH and DELETE of a file, and the same as plain posts for pages without script.
//!
//! A look at what stands somewhere and the deed that relies on it are one turn: no other change of ours comes between, so
//! that `If-Match` loses nobody's work.

use std::io;
use std::net::IpAddr;

use serde_json::json;

use crate::http::conditions::{Representation, allows_write};
use crate::http::fault::Fault;
use crate::http::form::query_strict;
use crate::http::headers::{Field, Headers};
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::path::{PathFault, RelPath};
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::body::{Kind as BodyKind, bad_field};
use crate::site::files::{bad_name, describe, etag, files, is_home, note_stored, shown, target, url};
use crate::site::gate::{Principal, check_change};
use crate::site::kept::KeptHeaders;
use crate::site::receive::{FileSink, Room, Store, Stored, read_place, store_fault};
use crate::site::state::{Site, disk_fault};
use crate::site::upload::{body_length, read_name, read_on_conflict, refuse_coding};
use crate::site::variant::precondition_failed;
use crate::store::disk::{Draft, Existing, FileFacts, Kind};
use crate::store::tree::{self, OnConflict, check_place};

/// How often a PUT looks again when something came to stand in its place meanwhile.
const LOOKS_MAX: usize = 8;

fn store(site: &mut Site) -> Result<Store, Fault> {
    let min_free = site.config.limits.min_free_bytes;
    Ok(Store::of(files(site)?, min_free))
}

/// `PUT /files/<path>`: the file's whole content.
pub fn put(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    refuse_coding(call.request)?;
    if call.headers.has(Field::ContentRange) {
        let detail = "a PUT is of the whole file; it has no Content-Range";
        return Err(Fault::new(Status::BAD_REQUEST, "content_range", detail));
    }
    let path = target(call)?;
    if path.is_root() || call.is_folder {
        return Err(is_folder());
    }
    check_place(&path, true).map_err(bad_name)?;
    check_change(site, call.request, &who)?;
    let length = body_length(site, call.request)?;
    let only_new = call.headers.get(Field::IfNoneMatch).is_some_and(|value| value.trim_ascii() == b"*");
    let may_create = only_new || asks(call, "create")?;
    let put = Put { store: store(site)?, path, may_create, headers: KeptHeaders::of(&call.headers) };
    let (most, ip) = (site.config.limits.upload_limit_bytes, cx.peer.ip);
    Ok(Reply::offload(move || {
        let prepared = put.prepare(length, ip);
        move |_: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(sink) => Reply::Receive { most, sink: Box::new(sink) },
            Err(fault) => fault.into(),
        }
    }))
}

/// Whether the query says `name=1`.
fn asks(call: &Call<'_>, name: &str) -> Result<bool, Fault> {
    let mut asks = false;
    for pair in query_strict(call.query.unwrap_or_default()) {
        let (given, value) = pair?;
        asks |= given == name && value == "1";
    }
    Ok(asks)
}

fn is_folder() -> Fault {
    Fault::new(Status::CONFLICT, "is_folder", "there is a folder of that name")
}

/// A file on its way to its place.
struct Put {
    store: Store,
    path: RelPath<'static>,
    may_create: bool,
    headers: KeptHeaders,
}

impl Put {
    fn prepare(self, length: Option<u64>, ip: IpAddr) -> Result<FileSink, Fault> {
        // Asked now to spare the client the sending, and once more when the file is whole.
        self.look()?;
        let room = Room::new(&self.store, length)?;
        let draft = self.store.draft(&self.path, length).map_err(|error| store_fault(&error, &self.path))?;
        Ok(FileSink::new(draft, room, move |draft| {
            let stored = self.place(draft);
            Box::new(move |site, _| match stored {
                Ok((stored, is_new)) => answer_put(site, &stored, is_new, ip).into(),
                Err(fault) => fault.into(),
            })
        }))
    }

    /// What stands there, if the request lets it be replaced.
    fn look(&self) -> Result<Option<FileFacts>, Fault> {
        let current = look(&self.store, &self.path)?;
        match current {
            Some(facts) if facts.kind == Kind::Folder => return Err(is_folder()),
            None if !self.may_create => return Err(Fault::not_found()),
            _ => {}
        }
        self.headers.lend(|headers| check_conditions(headers, current.as_ref()))?;
        Ok(current)
    }

    fn place(&self, draft: &mut dyn Draft) -> Result<(Stored, bool), Fault> {
        draft.sync().map_err(|error| store_fault(&error, &self.path))?;
        let _turn = self.store.take_turn();
        for _ in 0..LOOKS_MAX {
            let is_new = self.look()?.is_none();
            if is_new {
                self.store.make_way(&self.path)?;
            }
            let existing = if is_new { Existing::Refuse } else { Existing::Replace };
            match draft.commit(&self.path, existing) {
                Ok(facts) => return Ok(((self.path.clone(), facts), is_new)),
                // New files wait for no turn; one has just come to stand here.
                Err(error) if is_new && error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(store_fault(&error, &self.path)),
            }
        }
        Err(store_fault(&io::ErrorKind::AlreadyExists.into(), &self.path))
    }
}

fn answer_put(site: &mut Site, (path, facts): &Stored, is_new: bool, ip: IpAddr) -> Response {
    note_stored(site, path, facts, ip);
    let prefix = &site.config.path_prefix;
    let status = if is_new { Status::CREATED } else { Status::OK };
    let mut answer = Response::json(status, &describe(prefix, path, facts)).header("ETag", &etag(facts));
    if is_new {
        answer.add_header("Location", &url(prefix, path));
    }
    answer
}

fn look(store: &Store, path: &RelPath<'_>) -> Result<Option<FileFacts>, Fault> {
    match store.disk.facts(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk_fault(&error, "look at a shared file")),
    }
}

/// 412 unless the request's conditions hold of what stands there.
fn check_conditions(headers: &Headers<'_>, current: Option<&FileFacts>) -> Result<(), Fault> {
    let tag = current.map(etag).unwrap_or_default();
    let current = current.map(|facts| Representation {
        etag: &tag,
        modified: (facts.modified.as_seconds() > 0).then_some(facts.modified),
        length: facts.size,
    });
    if allows_write(headers, current.as_ref()) { Ok(()) } else { Err(precondition_failed()) }
}

/// A change of names: what stands at a path goes elsewhere, or goes.
struct Change {
    store: Store,
    from: RelPath<'static>,
    /// Whether the path was told to be a folder's, by a slash at its end.
    is_folder: bool,
    headers: KeptHeaders,
    ip: IpAddr,
    /// A form of a page without script is sent back to its page.
    page: Option<String>,
}

impl Change {
    fn of(
        site: &mut Site,
        call: &Call<'_>,
        who: &Principal,
        cx: &Context<'_>,
        from: RelPath<'static>,
    ) -> Result<Change, Fault> {
        check_change(site, call.request, who)?;
        let (store, headers) = (store(site)?, KeptHeaders::of(&call.headers));
        Ok(Change { store, from, is_folder: call.is_folder, headers, ip: cx.peer.ip, page: None })
    }

    /// What stands there, if there is something and the request's conditions hold of it.
    fn look(&self) -> Result<FileFacts, Fault> {
        let facts = look(&self.store, &self.from)?.ok_or_else(Fault::not_found)?;
        if self.from.is_root() || self.is_folder && facts.kind == Kind::File {
            return Err(Fault::not_found());
        }
        self.headers.lend(|headers| check_conditions(headers, Some(&facts)))?;
        Ok(facts)
    }

    fn remove(self) -> Reply<Site> {
        Reply::offload(move || {
            let removed = self.remove_now();
            move |_: &mut Site, _: &mut Context<'_>| match removed {
                Err(fault) => fault.into(),
                Ok(()) => {
                    log::info!("removed {}, for {}", shown(self.from.as_str()), self.ip);
                    answer(self.page, || json!({"status": "success", "deleted": self.from.as_str()}))
                }
            }
        })
    }

    fn remove_now(&self) -> Result<(), Fault> {
        let _turn = self.store.take_turn();
        self.look()?;
        self.store.disk.remove(&self.from).map_err(|error| disk_fault(&error, "remove a shared file"))
    }

    fn rename(self, to: RelPath<'static>, on_conflict: OnConflict) -> Reply<Site> {
        Reply::offload(move || {
            let moved = self.rename_now(&to, on_conflict);
            move |site: &mut Site, _: &mut Context<'_>| match moved {
                Err(fault) => fault.into(),
                Ok((path, facts)) => {
                    log::info!("moved {} to {}, for {}", shown(self.from.as_str()), shown(path.as_str()), self.ip);
                    answer(self.page, || describe(&site.config.path_prefix, &path, &facts))
                }
            }
        })
    }

    fn rename_now(&self, to: &RelPath<'_>, on_conflict: OnConflict) -> Result<Stored, Fault> {
        let _turn = self.store.take_turn();
        self.look()?;
        if self.from != *to && to.strip(self.from.as_str()).is_some() {
            return Err(bad_name("nothing can be moved into itself"));
        }
        self.store.make_way(to)?;
        tree::rename(&*self.store.disk, &self.from, to, on_conflict).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => store_fault(&error, to),
            _ => disk_fault(&error, "move a shared file"),
        })
    }
}

fn answer(page: Option<String>, document: impl FnOnce() -> serde_json::Value) -> Reply<Site> {
    match page {
        Some(page) => Response::redirect(Status::SEE_OTHER, &page).into(),
        None => Response::json(Status::OK, &document()).into(),
    }
}

/// `DELETE /files/<path>`.
pub fn delete(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let from = target(call)?;
    Ok(Change::of(site, call, &who, cx, from)?.remove())
}

/// `PATCH /files/<path>`: another name, or another path.
pub fn patch(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let from = target(call)?;
    if BodyKind::of(call.request)? != BodyKind::Json {
        return Err(crate::site::body::unknown_kind("application/json"));
    }
    let on_conflict = query_on_conflict(call)?;
    let change = Change::of(site, call, &who, cx, from)?;
    Ok(Reply::collect(site.config.limits.json_limit_bytes, move |_: &mut Site, body, _| {
        read_patch(&change.from, &body, on_conflict).map(|(to, on_conflict)| change.rename(to, on_conflict)).into()
    }))
}

fn read_patch(
    from: &RelPath<'_>,
    body: &[u8],
    on_conflict: Option<OnConflict>,
) -> Result<(RelPath<'static>, OnConflict), Fault> {
    let [name, path, word] = BodyKind::Json.read(body, ["name", "path", "on_conflict"])?;
    let to = match (name, path) {
        (Some(name), None) => {
            let to = from.parent().unwrap_or_default().join(&read_name(&name)?);
            check_place(&to, true).map_err(bad_name)?;
            to
        }
        (None, Some(path)) => read_target(&path)?,
        (None, None) => return Err(bad_field("name")),
        (Some(_), Some(_)) => return Err(bad_field("path")),
    };
    Ok((to, read_word(word, on_conflict)?))
}

/// `POST /rename`.
pub fn rename(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let on_conflict = query_on_conflict(call)?;
    post(site, call, &who, cx, move |change, kind, body| {
        let [from, to, word] = kind.read(body, ["from", "to", "on_conflict"])?;
        let change = Change { from: read_source(from, "from")?, ..change };
        let to = read_target(&to.ok_or_else(|| bad_field("to"))?)?;
        Ok(change.rename(to, read_word(word, on_conflict)?))
    })
}

/// `POST /remove`.
pub fn remove(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    post(site, call, &who, cx, |change, kind, body| {
        let [name] = kind.read(body, ["name"])?;
        Ok(Change { from: read_source(name, "name")?, ..change }.remove())
    })
}

/// `POST /dirs`: a new folder, and what is missing above it.
pub fn make_folder(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    post(site, call, &who, cx, |change, kind, body| {
        let [path] = kind.read(body, ["path"])?;
        let path = read_target(&path.ok_or_else(|| bad_field("path"))?)?;
        Ok(Reply::offload(move || {
            let made = change
                .store
                .make_way(&path)
                .and_then(|()| change.store.disk.make_folder(&path).map_err(|error| store_fault(&error, &path)));
            move |_: &mut Site, _: &mut Context<'_>| match (made, change.page) {
                (Err(fault), _) => fault.into(),
                (Ok(()), Some(page)) => Response::redirect(Status::SEE_OTHER, &page).into(),
                (Ok(()), None) => {
                    Response::json(Status::CREATED, &json!({"status": "success", "dir": path.as_str()})).into()
                }
            }
        }))
    })
}

/// A post whose body says what is to be changed, as JSON or as a form.
fn post(
    site: &mut Site,
    call: &Call<'_>,
    who: &Principal,
    cx: &Context<'_>,
    then: impl FnOnce(Change, BodyKind, &[u8]) -> Result<Reply<Site>, Fault> + 'static,
) -> Result<Reply<Site>, Fault> {
    let kind = BodyKind::of(call.request)?;
    let mut change = Change::of(site, call, who, cx, RelPath::ROOT)?;
    if kind == BodyKind::Fields && prefers_html(call.headers.all(Field::Accept)) {
        change.page = Some(site.address("/"));
    }
    let limits = &site.config.limits;
    let most = if kind == BodyKind::Json { limits.json_limit_bytes } else { limits.form_limit_bytes };
    Ok(Reply::collect(most, move |_: &mut Site, body, _| then(change, kind, &body).into()))
}

fn query_on_conflict(call: &Call<'_>) -> Result<Option<OnConflict>, Fault> {
    let mut found = None;
    for pair in query_strict(call.query.unwrap_or_default()) {
        let (name, value) = pair?;
        if name == "on_conflict" {
            found = Some(read_on_conflict(&value)?);
        }
    }
    Ok(found)
}

fn read_word(word: Option<String>, asked: Option<OnConflict>) -> Result<OnConflict, Fault> {
    match word {
        Some(word) => read_on_conflict(&word),
        None => Ok(asked.unwrap_or_default()),
    }
}

/// A path at which something is to be found. What can be nowhere is not found.
fn read_source(path: Option<String>, field: &'static str) -> Result<RelPath<'static>, Fault> {
    let path = path.ok_or_else(|| bad_field(field))?;
    match RelPath::from_plain(&path) {
        Ok(path) if path.is_root() => Err(bad_name("the path is empty")),
        Ok(path) if is_home(&path) => Err(Fault::not_found()),
        Ok(path) => Ok(path.into_owned()),
        Err(PathFault::Hidden) => Err(Fault::not_found()),
        Err(PathFault::Climbs | PathFault::Bad(_)) => Err(bad_name("this is no path of a shared file")),
    }
}

/// A path at which something is to come to stand.
fn read_target(path: &str) -> Result<RelPath<'static>, Fault> {
    match read_place(path)? {
        path if path.is_root() => Err(bad_name("the path is empty")),
        path => Ok(path),
    }
}
