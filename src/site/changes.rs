//! Changing what stands in the files: PATCH and DELETE, and the same as plain posts for pages without script.
//!
//! A look at what stands somewhere, the deed that relies on it and what the ledger keeps of it are under one lock: no other change of
//! ours comes between, so that `If-Match` loses nobody's work, and what somebody wrote is theirs.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use crate::http::fault::Fault;
use crate::http::form::query_strict;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::path::{PathFault, RelPath};
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::body::{Kind as BodyKind, bad_field, missing_field, unknown_kind};
use crate::site::current::{check_conditions, look};
use crate::site::files::{bad_name, describe, files, shown, target};
use crate::site::gate::{Action, Principal, not_owner, rights_of};
use crate::site::kept::KeptHeaders;
use crate::site::plain::page_of;
use crate::site::receive::name::read_place;
use crate::site::receive::quota::{Allowance, allowance_place};
use crate::site::receive::room::Room;
use crate::site::receive::store::{Store, changes_of};
use crate::site::spot::{Actor, Area, Spot, keep, locked, owner_name, when_known};
use crate::site::state::{Site, disk_fault};
use crate::site::upload::{given_twice, read_name, read_on_conflict, refuse_coding};
use crate::site::way::Unplaced;
use crate::store::archive::Walk;
use crate::store::disk::{FileFacts, Kind};
use crate::store::locks::Place;
use crate::store::owners;
use crate::store::tree::{self, OnConflict, SEGMENTS_MAX, check_place};

/// Where something stands, and what it is.
pub(super) type Stands = (RelPath<'static>, FileFacts);

pub(super) fn is_folder() -> Fault {
    Fault::new(Status::CONFLICT, "is_folder", "there is a folder of that name")
}

/// Who wants a change of names, and all that the request says beside which.
struct Asker {
    actor: Actor,
    /// Whether the path was told to be a folder's, by a slash at its end.
    is_folder: bool,
    headers: KeptHeaders,
    ip: IpAddr,
    /// A form of a page without script is sent back to its page.
    page: Option<String>,
}

impl Asker {
    fn of(site: &Site, call: &Call<'_>, who: Principal, cx: &Context<'_>) -> Asker {
        let actor = Actor { rights: rights_of(site, call.request), who };
        let headers = KeptHeaders::of(&call.headers);
        Asker { actor, is_folder: call.is_folder, headers, ip: cx.peer.ip, page: None }
    }

    fn change(self, site: &mut Site, spot: Spot) -> Result<Change, Fault> {
        self.actor.may_use(Action::SharedWrite, &spot.area)?;
        let min_free = site.config.limits.min_free_bytes;
        let store = Store::of(files(site)?, &spot.area, min_free)?;
        Ok(Change { store, from: spot, asker: self })
    }
}

/// A change of names: what stands at a path goes elsewhere, or goes.
struct Change {
    store: Store,
    from: Spot,
    asker: Asker,
}

impl Change {
    /// What stands there, if there is something and the request's conditions hold of it.
    fn look(&self) -> Result<FileFacts, Fault> {
        let facts = look(&*self.store.disk, &self.from.path)?.ok_or_else(Fault::not_found)?;
        if self.from.is_root() || self.asker.is_folder && facts.kind == Kind::File {
            return Err(Fault::not_found());
        }
        check_conditions(&self.asker.headers, Some(&facts))?;
        Ok(facts)
    }

    /// Goes on when it is known who made what, and nobody else changes what stands there, nor at another place.
    fn locked(
        self,
        site: &mut Site,
        cx: &mut Context<'_>,
        others: impl IntoIterator<Item = Place>,
        then: impl FnOnce(&mut Site, Change) -> Reply<Site> + Send + 'static,
    ) -> Reply<Site> {
        let places = [self.from.area.place(&self.from.path)].into_iter().chain(others).collect();
        when_known(site, cx, move |site, cx| {
            let actor = self.asker.actor.clone();
            locked(site, cx, &actor, places, move |site, _| then(site, self))
        })
    }

    fn remove(self, site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
        self.locked(site, cx, None, move |site, change| {
            let right = change.asker.actor.may_change(site, &change.from.area, &change.from.path);
            Reply::offload_write(move || {
                let removed = change.remove_now(right);
                move |site: &mut Site, cx: &mut Context<'_>| match removed {
                    Err(fault) => fault.into(),
                    Ok(()) => {
                        let Change { from, asker, .. } = change;
                        log::info!("removed {}, for {}", shown(from.show().as_str()), asker.ip);
                        let changes = vec![owners::Change::Gone(from.path.clone())];
                        keep(site, from.area.is_shared(), changes, cx, move |_, _| {
                            answer(asker.page, || json!({"status": "success", "deleted": from.show().as_str()}))
                        })
                    }
                }
            })
        })
    }

    fn remove_now(&self, right: Result<(), Fault>) -> Result<(), Fault> {
        self.look()?;
        right?;
        self.store.disk.remove(&self.from.path).map_err(|error| disk_fault(&error, "remove a file"))
    }

    fn rename(
        self,
        to: Spot,
        on_conflict: OnConflict,
        site: &mut Site,
        cx: &mut Context<'_>,
    ) -> Result<Reply<Site>, Fault> {
        self.asker.actor.may_use(Action::SharedWrite, &to.area)?;
        let comes_home = self.from.area.is_shared() && !to.area.is_shared();
        if comes_home {
            // Whoever has something at home reads it.
            self.asker.actor.may_read(&self.from.area)?;
        }
        let min_free = site.config.limits.min_free_bytes;
        let there = Store::of(files(site)?, &to.area, min_free)?;
        let place = to.area.place(&to.path);
        let place = if on_conflict == OnConflict::Rename { place.or_like() } else { place };
        let counts = if comes_home { allowance_place(site, &self.asker.actor) } else { None };
        Ok(self.locked(site, cx, [place].into_iter().chain(counts), move |site, change| {
            let (from, actor) = (&change.from, &change.asker.actor);
            let renaming = Renaming {
                right: actor.may_change(site, &from.area, &from.path),
                right_there: actor.may_change(site, &to.area, &to.path),
                known_below: actor.known_below(site, &from.area, &from.path),
                allowance: if comes_home { Allowance::of(site, actor) } else { None },
                there,
                to: to.path,
                on_conflict,
            };
            Reply::offload_write(move || {
                let moved = renaming.run(&change);
                let area = renaming.there.area;
                move |site: &mut Site, cx: &mut Context<'_>| match moved {
                    Ok(moved) => change.renamed(site, cx, area, moved),
                    Err(unplaced) => unplaced.refuse(site, cx, &area, &change.asker.actor),
                }
            })
        }))
    }

    /// It lies elsewhere: the ledger is told.
    fn renamed(self, site: &mut Site, cx: &mut Context<'_>, area: Area, moved: Moved) -> Reply<Site> {
        let Change { from, asker, .. } = self;
        let Moved { path, facts, folders, below } = moved;
        let (before, after) = (from.show(), area.show(&path));
        log::info!("moved {} to {}, for {}", shown(before.as_str()), shown(after.as_str()), asker.ip);
        let owner = asker.actor.as_owner();
        let made = |path: RelPath<'static>| owners::Change::Made(path, owner);
        let mut changes: Vec<_> = if area.is_shared() { folders.into_iter().map(made).collect() } else { Vec::new() };
        match (from.area.is_shared(), area.is_shared()) {
            (true, true) => changes.push(owners::Change::Moved(from.path, path.clone())),
            (true, false) => changes.push(owners::Change::Gone(from.path)),
            (false, true) => {
                // What lay there before has gone, and whose that was; what comes from a home is its owner's.
                changes.push(owners::Change::Gone(path.clone()));
                changes.extend([path.clone()].into_iter().chain(below).map(made));
            }
            (false, false) => {}
        }
        keep(site, !changes.is_empty(), changes, cx, move |site, _| {
            let owner = owner_name(site, &area, &path);
            answer(asker.page, || describe(&site.config.path_prefix, &after, &facts, owner.as_deref()))
        })
    }
}

/// A change of names on its way to the disk.
struct Renaming {
    /// Whether what is there may go,
    right: Result<(), Fault>,
    /// and whether what is at its goal may.
    right_there: Result<(), Fault>,
    /// What may go with it, if not all may.
    known_below: Option<HashSet<String>>,
    /// What somebody's files may have who takes home what was shared.
    allowance: Option<Allowance>,
    there: Store,
    to: RelPath<'static>,
    on_conflict: OnConflict,
}

/// Where something lies now.
struct Moved {
    path: RelPath<'static>,
    facts: FileFacts,
    /// Folders that were made for it.
    folders: Vec<RelPath<'static>>,
    /// What came with it from a home to where all share it.
    below: Vec<RelPath<'static>>,
}

impl Renaming {
    /// Does it. Blocks.
    fn run(&self, change: &Change) -> Result<Moved, Unplaced> {
        let here = &change.store;
        let facts = change.look()?;
        self.right.clone()?;
        let (from, to) = (&change.from.path, &self.to);
        if let Some(known) = self.known_below.as_ref().filter(|_| facts.kind == Kind::Folder) {
            let walk = Walk::new(Arc::clone(&here.disk), from.clone(), false);
            let mut files = walk.into_iter().flatten().filter(|(_, item)| item.facts.kind == Kind::File);
            if files.any(|(path, _)| !known.contains(path.as_str())) {
                return Err(not_owner().into());
            }
        }
        let is_elsewhere = here.area != self.there.area;
        let stays = !is_elsewhere && from == to;
        if !is_elsewhere && !stays && to.strip(from.as_str()).is_some() {
            return Err(bad_name("nothing can be moved into itself").into());
        }
        if facts.kind == Kind::Folder {
            check_depth(here, from, to)?;
        }
        if let Some(allowance) = &self.allowance {
            allowance.take_home(from, &facts)?;
        }
        let on_conflict = match self.on_conflict {
            // What is not to be seen, or comes only now, gives way to nobody.
            OnConflict::Overwrite if !stays && look(&*self.there.disk, to)?.is_none() => OnConflict::Error,
            OnConflict::Overwrite if !stays => self.right_there.clone().map(|()| OnConflict::Overwrite)?,
            other => other,
        };
        let ((path, facts), folders) = self.there.place_at(to, || {
            let moved = if is_elsewhere {
                self.move_across(here, from, &facts, on_conflict)?
            } else {
                tree::rename(&*here.disk, from, to, on_conflict)
            };
            moved.map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => self.there.fault(&error, to),
                _ => disk_fault(&error, "move a file"),
            })
        })?;
        let below = if is_elsewhere && facts.kind == Kind::Folder && self.there.area.is_shared() {
            let walk = Walk::new(Arc::clone(&self.there.disk), path.clone(), false);
            walk.into_iter().flatten().map(|(path, _)| path).collect()
        } else {
            Vec::new()
        };
        Ok(Moved { path, facts, folders, below })
    }

    /// Between a home and the shared area: another tree, perhaps of another file system.
    fn move_across(
        &self,
        here: &Store,
        from: &RelPath<'_>,
        facts: &FileFacts,
        on_conflict: OnConflict,
    ) -> Result<io::Result<Stands>, Fault> {
        let (disk, other) = (&*here.disk, &*self.there.disk);
        match tree::rename_into(disk, from, other, &self.to, on_conflict) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices && facts.kind == Kind::Folder => {
                let detail = "the home and the shared area lie on two file systems: move the files one by one";
                Err(Fault::new(Status::CONFLICT, "other_file_system", detail))
            }
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                Room::new(&self.there, Some(facts.size), None)?;
                Ok(tree::copy_into(disk, from, other, &self.to, on_conflict))
            }
            moved => Ok(moved),
        }
    }
}

/// 400 if something in a folder would lie deeper than anything may, were it moved.
fn check_depth(store: &Store, from: &RelPath<'_>, to: &RelPath<'_>) -> Result<(), Fault> {
    let (before, after) = (from.segments().count(), to.segments().count());
    if after <= before {
        return Ok(());
    }
    let walk = Walk::new(Arc::clone(&store.disk), from.clone().into_owned(), false);
    let depth = |path: &RelPath<'_>| path.segments().count() - before + after;
    if walk.into_iter().flatten().any(|(path, _)| depth(&path) > SEGMENTS_MAX) {
        return Err(bad_name("something in the folder would have more than 16 segments in its path"));
    }
    Ok(())
}

fn answer(page: Option<String>, document: impl FnOnce() -> serde_json::Value) -> Reply<Site> {
    match page {
        Some(page) => Response::redirect(Status::SEE_OTHER, &page).into(),
        None => Response::json(Status::OK, &document()).into(),
    }
}

/// `DELETE /files/<path>`.
pub fn delete(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let from = target(call, &who)?;
    Ok(Asker::of(site, call, who, cx).change(site, from)?.remove(site, cx))
}

/// `PATCH /files/<path>`: another name, or another path.
pub fn patch(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let from = target(call, &who)?;
    refuse_coding(call.request)?;
    if BodyKind::of(call.request) != Ok(BodyKind::Json) {
        return Err(unknown_kind("application/json"));
    }
    let on_conflict = query_on_conflict(call)?;
    let asker = Asker::of(site, call, who, cx);
    Ok(Reply::collect(site.config.limits.json_limit_bytes, move |site: &mut Site, body, cx| {
        let read = read_patch(&from, &asker.actor.who, &body, on_conflict);
        read.and_then(|(to, on_conflict)| asker.change(site, from)?.rename(to, on_conflict, site, cx)).into()
    }))
}

fn read_patch(
    from: &Spot,
    who: &Principal,
    body: &[u8],
    on_conflict: Option<OnConflict>,
) -> Result<(Spot, OnConflict), Fault> {
    let [name, path, word] = BodyKind::Json.read(body, ["name", "path", "on_conflict"])?;
    let to = match (name, path) {
        (Some(name), None) => {
            let path = from.path.parent().unwrap_or_default().join(&read_name(&name)?);
            check_place(&path, from.area.is_shared()).map_err(bad_name)?;
            Spot { area: from.area.clone(), path }
        }
        (None, Some(path)) => read_target(&path, who)?,
        (None, None) => return Err(missing_field("name")),
        (Some(_), Some(_)) => return Err(bad_field("path")),
    };
    Ok((to, read_word(word, on_conflict)?))
}

/// `POST /rename`.
pub fn rename(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let on_conflict = query_on_conflict(call)?;
    post(site, call, who, cx, move |asker, kind, body, site, cx| {
        let [from, to, word] = kind.read(body, ["from", "to", "on_conflict"])?;
        let from = read_source(from, "from", &asker.actor.who)?;
        let to = read_target(&to.ok_or_else(|| missing_field("to"))?, &asker.actor.who)?;
        let on_conflict = read_word(word, on_conflict)?;
        asker.change(site, from)?.rename(to, on_conflict, site, cx)
    })
}

/// `POST /remove`.
pub fn remove(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    post(site, call, who, cx, |asker, kind, body, site, cx| {
        let [name] = kind.read(body, ["name"])?;
        let from = read_source(name, "name", &asker.actor.who)?;
        Ok(asker.change(site, from)?.remove(site, cx))
    })
}

/// `POST /dirs`: a new folder, and what is missing above it.
pub fn make_folder(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    post(site, call, who, cx, |asker, kind, body, site, cx| {
        let [path] = kind.read(body, ["path"])?;
        let spot = read_target(&path.ok_or_else(|| missing_field("path"))?, &asker.actor.who)?;
        Ok(asker.change(site, spot)?.make(site, cx))
    })
}

impl Change {
    fn make(self, site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
        self.locked(site, cx, None, |_, change| {
            Reply::offload_write(move || {
                let made = change.make_folder();
                move |site: &mut Site, cx: &mut Context<'_>| {
                    let Change { from, asker, .. } = change;
                    let folders = match made {
                        Ok(folders) => folders,
                        Err(unplaced) => return unplaced.refuse(site, cx, &from.area, &asker.actor),
                    };
                    log::info!("made the folder {}, for {}", shown(from.show().as_str()), asker.ip);
                    let changes = changes_of(site, &[], folders, asker.actor.as_owner());
                    keep(site, from.area.is_shared(), changes, cx, move |_, _| match asker.page {
                        Some(page) => Response::redirect(Status::SEE_OTHER, &page).into(),
                        None => {
                            let document = json!({"status": "success", "dir": from.show().as_str()});
                            Response::json(Status::CREATED, &document).into()
                        }
                    })
                }
            })
        })
    }

    fn make_folder(&self) -> Result<Vec<RelPath<'static>>, Unplaced> {
        let path = &self.from.path;
        let make = || self.store.disk.make_folder(path).map_err(|error| self.store.fault(&error, path));
        let ((), mut folders) = self.store.place_at(path, make)?;
        folders.push(path.clone());
        Ok(folders)
    }
}

/// A post whose body says what is to be changed, as JSON or as a form.
fn post(
    site: &mut Site,
    call: &Call<'_>,
    who: Principal,
    cx: &Context<'_>,
    then: impl FnOnce(Asker, &BodyKind, &[u8], &mut Site, &mut Context<'_>) -> Result<Reply<Site>, Fault> + 'static,
) -> Result<Reply<Site>, Fault> {
    let kind = BodyKind::of(call.request)?;
    files(site)?;
    let mut asker = Asker::of(site, call, who, cx);
    if kind.is_form() && prefers_html(call.headers.all(Field::Accept)) {
        asker.page = Some(page_of(site, call));
    }
    let limits = &site.config.limits;
    let most = if kind == BodyKind::Json { limits.json_limit_bytes } else { limits.form_limit_bytes };
    Ok(Reply::collect(most, move |site: &mut Site, body, cx| then(asker, &kind, &body, site, cx).into()))
}

fn query_on_conflict(call: &Call<'_>) -> Result<Option<OnConflict>, Fault> {
    let mut found = None;
    for pair in query_strict(call.query.unwrap_or_default()) {
        let (name, value) = pair?;
        if name == "on_conflict" && found.replace(read_on_conflict(&value)?).is_some() {
            return Err(given_twice("on_conflict"));
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
fn read_source(path: Option<String>, field: &'static str, who: &Principal) -> Result<Spot, Fault> {
    let path = path.ok_or_else(|| missing_field(field))?;
    match RelPath::from_plain(&path) {
        Ok(path) if path.is_root() => Err(bad_name("the path is empty")),
        Ok(path) => Spot::of(who, &path),
        Err(PathFault::Hidden) => Err(Fault::not_found()),
        Err(PathFault::Climbs | PathFault::Bad(_)) => Err(bad_name("this is no path of a file")),
    }
}

/// A path at which something is to come to stand. One into a home leads there, and nowhere for everybody else.
fn read_target(path: &str, who: &Principal) -> Result<Spot, Fault> {
    if let Some(path) = RelPath::from_plain(path).ok().filter(|path| path.as_str().starts_with('~')) {
        let spot = Spot::of(who, &path)?;
        check_place(&spot.path, false).map_err(bad_name)?;
        return if spot.is_root() { Err(bad_name("a home is there already")) } else { Ok(spot) };
    }
    match read_place(path)? {
        path if path.is_root() => Err(bad_name("the path is empty")),
        path => Ok(Spot { area: Area::Shared, path }),
    }
}
