//! `PUT`: a file's whole content, made or replaced in one step, under the conditions of the request.

use std::io;
use std::net::IpAddr;

use crate::http::fault::Fault;
use crate::http::form::query_strict;
use crate::http::headers::Field;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::changes::is_folder;
use crate::site::current::{check_conditions, look};
use crate::site::files::{bad_name, describe, etag, files, note_stored, target, url};
use crate::site::gate::{Principal, rights_of};
use crate::site::kept::KeptHeaders;
use crate::site::receive::file::{FileSink, Whole};
use crate::site::receive::quota::{Allowance, allowance_place};
use crate::site::receive::store::{Store, Stored, keep_stored};
use crate::site::spot::{Actor, Area, early_right, locked, owner_name, when_known};
use crate::site::state::Site;
use crate::site::upload::{body_length, given_twice, is_yes, refuse_coding};
use crate::site::way::{Placed, Unplaced};
use crate::store::disk::{Draft, Existing, FileFacts, Kind};
use crate::store::tree::check_place;

/// How often a PUT looks again when something came to stand in its place meanwhile.
const LOOKS_MAX: usize = 8;

/// `PUT /files/<path>`: the file's whole content.
pub fn put(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    refuse_coding(call.request)?;
    if call.headers.has(Field::ContentRange) {
        let detail = "a PUT is of the whole file; it has no Content-Range";
        return Err(Fault::new(Status::BAD_REQUEST, "content_range", detail));
    }
    let spot = target(call, &who)?;
    if spot.is_root() || call.is_folder {
        return Err(is_folder());
    }
    check_place(&spot.path, spot.area.is_shared()).map_err(bad_name)?;
    let length = body_length(site, call.request)?;
    let only_new = call.headers.get(Field::IfNoneMatch).is_some_and(|value| value.trim_ascii() == b"*");
    let may_create = only_new || asks(call, "create")?;
    let actor = Actor { rights: rights_of(site, call.request), who };
    let limits = site.config.limits;
    let room = Allowance::of(site, &actor);
    let put = Put {
        store: Store::of(files(site)?, &spot.area, limits.min_free_bytes)?,
        path: spot.path,
        may_create,
        headers: KeptHeaders::of(&call.headers),
    };
    let early = early_right(site, &actor, &put.store.area, &put.path);
    let (most, ip) = (limits.upload_limit_bytes, cx.peer.ip);
    Ok(Reply::offload_write(move || {
        let prepared = put.prepare(length, &early, room, actor, ip);
        move |_: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(sink) => Reply::Receive { most, sink: Box::new(sink) },
            Err(fault) => fault.into(),
        }
    }))
}

/// Whether the query says `name=1`, or has the bare name.
fn asks(call: &Call<'_>, name: &str) -> Result<bool, Fault> {
    let mut asks = None;
    for pair in query_strict(call.query.unwrap_or_default()) {
        let (given, value) = pair?;
        if given != name {
            continue;
        }
        let detail = || Fault::new(Status::BAD_REQUEST, "bad_query", format!("{name} is 1 or 0"));
        if asks.replace(is_yes(value.as_bytes()).ok_or_else(detail)?).is_some() {
            return Err(given_twice(name));
        }
    }
    Ok(asks.unwrap_or(false))
}

/// A file on its way to its place.
struct Put {
    store: Store,
    path: RelPath<'static>,
    may_create: bool,
    headers: KeptHeaders,
}

impl Put {
    fn prepare(
        self,
        length: Option<u64>,
        right: &Result<(), Fault>,
        allowance: Option<Allowance>,
        actor: Actor,
        ip: IpAddr,
    ) -> Result<FileSink, Fault> {
        // Asked now to spare the client the sending, and once more when the file is whole.
        let current = self.look(right)?;
        let (store, path) = (self.store.clone(), self.path.clone());
        FileSink::begin(&store, &path, current.as_ref(), length, allowance, move |site, cx, whole| {
            when_known(site, cx, move |site, cx| self.finish(site, cx, whole, actor, ip))
        })
    }

    /// The file is whole: it takes its place, if it may.
    fn finish(self, site: &mut Site, cx: &mut Context<'_>, mut whole: Whole, actor: Actor, ip: IpAddr) -> Reply<Site> {
        let place = self.store.area.place(&self.path);
        let places = [place].into_iter().chain(allowance_place(site, &actor)).collect();
        locked(site, cx, &actor.clone(), places, move |site, _| {
            let right = actor.may_change(site, &self.store.area, &self.path);
            let allowance = Allowance::of(site, &actor);
            Reply::offload_write(move || {
                let fits = |allowance: Allowance| {
                    let current = look(&*self.store.disk, &self.path)?;
                    allowance.in_place_of(&self.store, &self.path, current.as_ref()).check(whole.bytes)
                };
                let fits = allowance.map_or(Ok(()), fits).map_err(Unplaced::from);
                let placed = fits.and_then(|()| self.place(&mut *whole.draft, &right));
                drop(whole);
                move |site: &mut Site, cx: &mut Context<'_>| {
                    keep_stored(site, cx, placed, self.store.area, &actor, move |site, area, stored| {
                        answer_put(site, area, &stored, ip).into()
                    })
                }
            })
        })
    }

    /// What stands there, if the request lets it be replaced.
    fn look(&self, right: &Result<(), Fault>) -> Result<Option<FileFacts>, Fault> {
        let current = look(&*self.store.disk, &self.path)?;
        match current {
            Some(facts) if facts.kind == Kind::Folder => return Err(is_folder()),
            Some(_) => right.clone()?,
            None if !self.may_create => return Err(Fault::not_found()),
            None => {}
        }
        check_conditions(&self.headers, current.as_ref())?;
        Ok(current)
    }

    /// Gives the file its name; says which folders were made for it.
    fn place(&self, draft: &mut dyn Draft, right: &Result<(), Fault>) -> Placed<Stored> {
        let fault = |error: &io::Error| self.store.fault(error, &self.path);
        for _ in 0..LOOKS_MAX {
            if self.look(right)?.is_some() {
                let facts = draft.commit(&self.path, Existing::Replace).map_err(|error| fault(&error))?;
                return Ok((Stored { path: self.path.clone(), facts, is_new: false }, Vec::new()));
            }
            let (facts, folders) =
                self.store.place_at(&self.path, || match draft.commit(&self.path, Existing::Refuse) {
                    // Something has just come to stand here from elsewhere.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
                    committed => committed.map(Some).map_err(|error| fault(&error)),
                })?;
            if let Some(facts) = facts {
                return Ok((Stored { path: self.path.clone(), facts, is_new: true }, folders));
            }
        }
        Err(fault(&io::ErrorKind::AlreadyExists.into()).into())
    }
}

fn answer_put(site: &mut Site, area: &Area, stored: &Stored, ip: IpAddr) -> Response {
    let Stored { path, facts, is_new } = stored;
    let shown = area.show(path);
    note_stored(site, &shown, facts, ip);
    let owner = owner_name(site, area, path);
    let prefix = &site.config.path_prefix;
    let status = if *is_new { Status::CREATED } else { Status::OK };
    let document = describe(prefix, &shown, facts, owner.as_deref());
    let mut answer = Response::json(status, &document).header("ETag", &etag(facts));
    if *is_new {
        answer.add_header("Location", &url(prefix, &shown));
    }
    answer
}
