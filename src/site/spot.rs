//! Where a path of the files leads: into the shared area, or into somebody's home; and whose what lies there is.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use crate::config::access::Rights;
use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::Context;
use crate::server::reply::{Key, Lane, Reply, Step, Task, Verdict};
use crate::site::books::{self, heed};
use crate::site::gate::{Action, Principal, Target, Terms, User, authorize, invalid_token, may_change, session_ended};
use crate::site::state::{Files, LedgerState, Site};
use crate::store::disk::Disk;
use crate::store::entry::Entry;
use crate::store::locks::{Lock, Place};
use crate::store::owners::{Change, Owner};
use crate::store::tree;
use crate::store::users::Credential;

/// A part of the files with a disk of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// What all share.
    Shared,
    /// The private files of an account.
    Home {
        /// Its number, which names its folder.
        id: i64,
        /// Its name, which its paths begin with.
        name: Arc<str>,
    },
}

impl Area {
    /// The home of an account.
    pub fn home(user: &User) -> Area {
        Area::Home { id: user.id, name: user.name.clone() }
    }

    /// Whether all share it.
    pub fn is_shared(&self) -> bool {
        *self == Area::Shared
    }

    /// Its own folder, on its disk.
    pub fn root(&self) -> RelPath<'static> {
        match self {
            Area::Shared => RelPath::ROOT,
            Area::Home { id, .. } => {
                RelPath::from_plain(&id.to_string()).map(RelPath::into_owned).unwrap_or(RelPath::ROOT)
            }
        }
    }

    /// Its disk.
    ///
    /// # Errors
    /// 404 for a home where there are none.
    pub fn disk(&self, files: &Files) -> Result<Arc<dyn Disk>, Fault> {
        let disk = if self.is_shared() { Some(&files.disk) } else { files.homes.as_ref() };
        disk.cloned().ok_or_else(Fault::not_found)
    }

    /// A path of its disk, to be locked.
    pub fn place(&self, path: &RelPath<'_>) -> Place {
        let home = match self {
            Area::Shared => None,
            Area::Home { id, .. } => Some(*id),
        };
        Place::new(home, path.clone().into_owned())
    }

    /// A path of its disk as clients see it.
    pub fn show(&self, path: &RelPath<'_>) -> RelPath<'static> {
        match self {
            Area::Shared => path.clone().into_owned(),
            Area::Home { name, .. } => {
                let home = format!("~{name}");
                let home = RelPath::from_plain(&home).map(RelPath::into_owned).unwrap_or(RelPath::ROOT);
                path.strip(self.root().as_str()).map_or(home.clone(), |below| home.join(&below))
            }
        }
    }
}

/// A place in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// In which area.
    pub area: Area,
    /// Where on its disk.
    pub path: RelPath<'static>,
}

impl Spot {
    /// Where a path leads for whoever asks: `~ada/b.txt` into ada's home, if it is ada.
    ///
    /// # Errors
    /// 404 for everybody else: what there is in a home is nobody else's affair.
    pub fn of(who: &Principal, path: &RelPath<'_>) -> Result<Spot, Fault> {
        let Some(rest) = path.as_str().strip_prefix('~') else {
            return Ok(Spot { area: Area::Shared, path: path.clone().into_owned() });
        };
        let name = rest.split('/').next().unwrap_or(rest);
        let user = who.user().filter(|user| *user.name == *name).ok_or_else(Fault::not_found)?;
        let area = Area::home(user);
        let below = path.strip(&path.as_str()[..=name.len()]).ok_or_else(Fault::not_found)?;
        let path = area.root().join(&below);
        Ok(Spot { area, path })
    }

    /// Whether it is the whole area.
    pub fn is_root(&self) -> bool {
        self.path == self.area.root()
    }

    /// As clients see it.
    pub fn show(&self) -> RelPath<'static> {
        self.area.show(&self.path)
    }
}

/// Who wants to do something, and under which rights.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub who: Principal,
    /// What is open to whom, for the way their request came.
    pub rights: Rights,
}

impl Actor {
    /// Whom what this one makes belongs to; `None` for the operator's.
    pub fn as_owner(&self) -> Option<Owner> {
        match &self.who {
            Principal::Operator => None,
            Principal::User(user) => Some(Owner::Account(user.id)),
            Principal::Guest => Some(Owner::Guest),
        }
    }

    /// Whether this one may do something in an area at all: the gate did not know yet which one it would be.
    ///
    /// # Errors
    /// 401 or 403, as [`authorize`] says.
    pub fn may_use(&self, action: Action, area: &Area) -> Result<(), Fault> {
        let terms = Terms { rights: self.rights, is_local: false };
        if area.is_shared() { authorize(&self.who, action, Target::Shared, &terms) } else { Ok(()) }
    }

    /// Whether this one is still let in: a session ends and a token is revoked at once and everywhere, also while something comes.
    ///
    /// # Errors
    /// 401, as somebody would be told who came only now.
    pub fn is_still_let_in(&self, site: &Site, cx: &Context<'_>) -> Result<(), Fault> {
        let Some(user) = self.who.user() else { return Ok(()) };
        match &site.accounts {
            Some(accounts) if accounts.users.holds(user.via, cx.wall) => Ok(()),
            _ => Err(match user.via {
                Credential::Session(_) => session_ended(),
                Credential::Token(_) => invalid_token(),
            }),
        }
    }

    /// Whether this one may read in an area: whatever token it comes with, it is the account that has a home.
    ///
    /// # Errors
    /// 401 or 403, as [`authorize`] says.
    pub fn may_read(&self, area: &Area) -> Result<(), Fault> {
        let who = match &self.who {
            Principal::User(user) => Principal::User(User { scopes: None, ..user.clone() }),
            who => who.clone(),
        };
        Actor { who, rights: self.rights }.may_use(Action::SharedRead, area)
    }

    /// Who that is by now: an admin may have ceased to be one.
    fn who_now(&self, site: &Site) -> Principal {
        let account = |id| site.accounts.as_ref().and_then(|accounts| accounts.users.account(id));
        match &self.who {
            Principal::User(user) => {
                let is_admin = user.is_admin && account(user.id).is_none_or(|account| account.is_admin);
                Principal::User(User { is_admin, ..user.clone() })
            }
            who => who.clone(),
        }
    }

    /// What lies below a path of an area and has an owner; `None` if this one may change what has none, too.
    pub fn known_below(&self, site: &Site, area: &Area, path: &RelPath<'_>) -> Option<HashSet<String>> {
        let files = site.files.as_ref().filter(|_| area.is_shared())?;
        may_change(&self.who_now(site), &self.rights, None).err()?;
        Some(files.owners.paths_below(path).map(str::to_owned).collect())
    }

    /// Whether what lies at a path of an area, and all below it, may be replaced, moved or removed.
    ///
    /// # Errors
    /// 403 `not_owner`.
    pub fn may_change(&self, site: &Site, area: &Area, path: &RelPath<'_>) -> Result<(), Fault> {
        let Some(files) = site.files.as_ref().filter(|_| area.is_shared()) else { return Ok(()) };
        let who = self.who_now(site);
        may_change(&who, &self.rights, files.owners.of(path))?;
        files.owners.below(path).try_for_each(|owner| may_change(&who, &self.rights, Some(owner)))
    }
}

/// The same as far as it is known before a body is taken: it is asked again when it has come.
pub fn early_right(site: &Site, actor: &Actor, area: &Area, path: &RelPath<'_>) -> Result<(), Fault> {
    // While somebody is changing it the ledger may not have kept yet whose it is.
    let is_changing = site.files.as_ref().is_some_and(|files| files.locks.is_held(&area.place(path)));
    let is_known = !is_changing && site.books.as_ref().is_none_or(|books| books.state != LedgerState::Opening);
    if is_known { actor.may_change(site, area, path) } else { Ok(()) }
}

/// The name of whom a file belongs to.
pub fn owner_name(site: &Site, area: &Area, path: &RelPath<'_>) -> Option<Arc<str>> {
    match area {
        Area::Home { name, .. } => Some(name.clone()),
        Area::Shared => match site.files.as_ref()?.owners.of(path)? {
            Owner::Guest => None,
            // A deleted account's files belong to nobody.
            Owner::Account(id) => site
                .accounts
                .as_ref()?
                .users
                .account(id)
                .filter(|account| !account.is_gone)
                .map(|account| account.name.clone()),
        },
    }
}

/// Goes on when it is known who made what: in the first moments of a run the ledger is still being opened.
pub fn when_known(
    site: &mut Site,
    cx: &mut Context<'_>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    if site.books.is_some() { books::when_open(site, cx, then) } else { then(site, cx) }
}

/// How long somebody waits for places that others are changing, and how many may.
const LOCKED_MAX_MS: u64 = 30_000;
const WAITING_MAX: usize = 1024;

/// While somebody waits it is looked so often whether a lock has gone without a word: its holder's work was given up, or broke.
const LOOK_EVERY_MS: u64 = 250;

/// Goes on when nobody else is changing these places, and lets nobody else do so until what follows has come to its end. All changes
/// go through here; nobody holds one lock and waits for another. Whoever was let in when their request came, and is not any more
/// by now, changes nothing: a body may have taken hours.
pub fn locked(
    site: &mut Site,
    cx: &mut Context<'_>,
    actor: &Actor,
    places: Vec<Place>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    if places.iter().any(|place| place.home().is_some_and(|id| is_gone(site, id))) {
        // Its home has gone with the account, and does not come back.
        return let_go(then, Fault::not_found());
    }
    if let Err(fault) = actor.is_still_let_in(site, cx) {
        return let_go(then, fault);
    }
    match take(site, cx, &places) {
        Taken::Now(lock) => held(site, cx, lock, then),
        Taken::NotNow => {
            let detail = "others are changing what stands there: ask again soon";
            let_go(then, Fault::new(Status::SERVICE_UNAVAILABLE, "place_busy", detail).retry_after(1))
        }
        Taken::Later => {
            let actor = actor.clone();
            wait(site, cx, places, move |site, cx, places| locked(site, cx, &actor, places, then))
        }
    }
}

/// What comes of the wish for a lock.
enum Taken {
    /// Here it is; `None` where there is nothing to lock.
    Now(Option<Lock>),
    /// Somebody else has it, and can be waited for,
    Later,
    /// or cannot.
    NotNow,
}

fn take(site: &mut Site, cx: &Context<'_>, places: &[Place]) -> Taken {
    let Some(files) = &mut site.files else { return Taken::Now(None) };
    match files.locks.take(places) {
        Some(lock) => Taken::Now(Some(lock)),
        // Who has gone cannot be told when the time has come. Nothing was done yet and nothing promised, so they do not wait.
        None if cx.is_over || cx.key == Key::NOBODY || files.locks.waiting() >= WAITING_MAX => Taken::NotNow,
        None => Taken::Later,
    }
}

fn held(
    site: &mut Site,
    cx: &mut Context<'_>,
    lock: Option<Lock>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site>,
) -> Reply<Site> {
    let unlock = move |reply, site: &mut Site, cx: &mut Context<'_>| {
        drop(lock);
        let_in(site, cx);
        reply
    };
    then(site, cx).in_the_end(site, cx, Box::new(unlock))
}

fn wait(
    site: &mut Site,
    cx: &mut Context<'_>,
    places: Vec<Place>,
    again: impl FnOnce(&mut Site, &mut Context<'_>, Vec<Place>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    let Some(files) = &mut site.files else { return again(site, cx, places) };
    let topic = cx.topic();
    let ticket = files.locks.wait(topic, places.clone());
    cx.wake_at(cx.now.plus(LOOK_EVERY_MS));
    let again = move |site: &mut Site, cx: &mut Context<'_>| {
        if let Some(topic) = site.files.as_mut().and_then(|files| files.locks.leave(ticket)) {
            cx.retire(topic);
        }
        again(site, cx, places)
    };
    Reply::Wait { topic, until: cx.now.plus(LOCKED_MAX_MS), outlasts: true, again: Box::new(again) }
}

/// What was to be done is not. It may have a file in hand, which a helper lets go of.
fn let_go(what: impl Send + 'static, why: Fault) -> Reply<Site> {
    Reply::offload_write(move || {
        drop(what);
        move |_: &mut Site, _: &mut Context<'_>| why.into()
    })
}

/// Whether an account was deleted, perhaps while something of its was still coming.
fn is_gone(site: &Site, id: i64) -> bool {
    // What is locked for an allowance has no account's number.
    id > 0 && site.accounts.as_ref().is_some_and(|accounts| accounts.users.account(id).is_none())
}

/// Whoever waits for places that are free is told. A lock that goes with what its holder had in hand, by a panic or because helpers
/// have too much to do, tells nobody: so it is also looked now and then, as long as somebody waits.
pub fn let_in(site: &mut Site, cx: &mut Context<'_>) {
    let Some(files) = &mut site.files else { return };
    if files.locks.waiting() == 0 {
        return;
    }
    for topic in files.locks.admit() {
        cx.say(topic, |_, _| {});
        cx.retire(topic);
    }
    if files.locks.waiting() > 0 {
        cx.wake_at(cx.now.plus(LOOK_EVERY_MS));
    }
}

/// How often that is tried; each try waits some seconds by itself.
const KEEP_TRIES: usize = 6;

/// Has the ledger keep what has happened in the shared area, then goes on. What happens in a home is its owner's affair.
pub fn keep(
    site: &mut Site,
    is_shared: bool,
    changes: Vec<Change>,
    cx: &mut Context<'_>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + 'static,
) -> Reply<Site> {
    if site.books.is_none() || !is_shared || changes.is_empty() {
        return then(site, cx);
    }
    keep_now(changes, KEEP_TRIES, then)
}

/// While another process is at the ledger it is tried again: the files are there, and whose they are is not to be forgotten.
fn keep_now(
    changes: Vec<Change>,
    tries: usize,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + 'static,
) -> Reply<Site> {
    let kept = changes.clone();
    Reply::Keep(
        Box::new(Entry::Owners(changes)),
        Box::new(move |site, verdict, cx| {
            heed(site, verdict);
            if verdict == Verdict::Busy && tries > 1 {
                return keep_now(kept, tries - 1, then);
            }
            match (verdict, &mut site.files) {
                (Verdict::Kept(_), Some(files)) => files.owners.apply(&kept),
                // The files are as they are; only whose they are will not be known.
                _ => log::error!("who made {} files cannot be kept", kept.len()),
            }
            then(site, cx)
        }),
    )
}

/// Removes the home of an account that is gone, then goes on. Somebody may just be giving a file its place there: that is waited for,
/// and what wants to come after finds no home.
pub fn remove_home(
    site: &mut Site,
    cx: &mut Context<'_>,
    id: i64,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    look_for_unfinished(site, cx);
    let places = home_places(id);
    match take(site, cx, &places) {
        Taken::Now(lock) => held(site, cx, lock, move |site, _| {
            let homes = site.files.as_ref().and_then(|files| files.homes.clone());
            Reply::offload_write(move || {
                if let Some(homes) = homes {
                    remove_home_now(&*homes, id);
                }
                then
            })
        }),
        Taken::NotNow => {
            // The account is gone, and whoever deleted it is told so.
            remove_homes_later(site, cx, [id]);
            then(site, cx)
        }
        Taken::Later => wait(site, cx, places, move |site, cx, _| remove_home(site, cx, id, then)),
    }
}

/// What an account that is gone has left unfinished goes soon.
fn look_for_unfinished(site: &mut Site, cx: &mut Context<'_>) {
    if let Some(files) = &mut site.files {
        files.partials.look_at = cx.now;
        cx.wake_at(cx.now);
    }
}

fn home_places(id: i64) -> Vec<Place> {
    let area = Area::Home { id, name: "".into() };
    vec![area.place(&area.root())]
}

/// Has homes of accounts that are gone removed as soon as nobody changes anything there.
pub fn remove_homes_later(site: &mut Site, cx: &mut Context<'_>, ids: impl IntoIterator<Item = i64>) {
    look_for_unfinished(site, cx);
    if let Some(files) = site.files.as_mut().filter(|files| files.homes.is_some()) {
        files.doomed.extend(ids);
        cx.wake_at(cx.now);
    }
}

/// Asked when a time has come: homes that are to be removed are, by a helper.
pub fn remove_doomed(site: &mut Site, cx: &mut Context<'_>) -> Option<(Lane, Task<Site>)> {
    let files = site.files.as_mut()?;
    let homes = files.homes.clone()?;
    let mut locked = Vec::new();
    files.doomed.retain(|&id| match files.locks.take(&home_places(id)) {
        Some(lock) => {
            locked.push((id, lock));
            false
        }
        None => true,
    });
    if !files.doomed.is_empty() {
        cx.wake_at(cx.now.plus(LOOK_EVERY_MS));
    }
    if locked.is_empty() {
        return None;
    }
    let task = move || -> Step<Site> {
        for (id, _) in &locked {
            remove_home_now(&*homes, *id);
        }
        Box::new(move |site, cx| {
            drop(locked);
            let_in(site, cx);
            Fault::not_found().into()
        })
    };
    Some((Lane::Writes, Box::new(task)))
}

fn remove_home_now(homes: &dyn Disk, id: i64) {
    let root = Area::Home { id, name: "".into() }.root();
    match tree::remove_all(homes, &root) {
        Ok(()) => log::info!("the home of account {id}, which is gone, was removed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => log::error!("the home of account {id}, which is gone, stays: {error}"),
    }
}

/// The area that a wish for privacy means.
///
/// # Errors
/// 401 for a guest, 403 for the operator, who has no home.
pub fn private_area(who: &Principal) -> Result<Area, Fault> {
    match who {
        Principal::User(user) => Ok(Area::home(user)),
        Principal::Guest => {
            Err(Fault::new(Status::UNAUTHORIZED, "unauthorized", "private files are for those signed in"))
        }
        Principal::Operator => Err(Fault::new(Status::FORBIDDEN, "no_home", "the operator has no private files")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::users::Credential;

    fn ada() -> Principal {
        let via = Credential::Session(1);
        Principal::User(User { id: 7, name: "ada".into(), is_admin: false, via, scopes: None })
    }

    fn path(text: &str) -> RelPath<'_> {
        RelPath::from_plain(text).unwrap()
    }

    #[test]
    fn a_path_leads_into_the_shared_area_or_ones_own_home() {
        let spot = |who: &Principal, text: &str| {
            Spot::of(who, &path(text)).ok().map(|spot| (spot.path.to_string(), spot.show().to_string()))
        };
        let is = |inner: &str, shown: &str| Some((inner.to_owned(), shown.to_owned()));
        assert_eq!(spot(&ada(), "a/b"), is("a/b", "a/b"));
        assert_eq!(spot(&ada(), "a/~ada"), is("a/~ada", "a/~ada"));
        assert_eq!(spot(&ada(), ""), is("", ""));
        assert_eq!(spot(&ada(), "~ada/a/b"), is("7/a/b", "~ada/a/b"));
        assert_eq!(spot(&ada(), "~ada"), is("7", "~ada"));
        assert!(Spot::of(&ada(), &path("~ada")).unwrap().is_root());
        for (who, text) in [
            (ada(), "~bob/x"),
            (ada(), "~"),
            (ada(), "~adam"),
            (ada(), "~7"),
            (Principal::Guest, "~ada"),
            (Principal::Operator, "~ada/x"),
        ] {
            assert_eq!(spot(&who, text), None, "{text}");
        }
    }
}
