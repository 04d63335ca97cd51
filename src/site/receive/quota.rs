//! Quotas: what somebody's files may have in all, and what a body takes of that while it comes.

use std::sync::Arc;

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::path::RelPath;
use crate::site::gate::User;
use crate::site::receive::store::Store;
use crate::site::spot::{Actor, Area};
use crate::site::state::Site;
use crate::store::archive::Walk;
use crate::store::disk::{Disk, FileFacts, Kind};
use crate::store::locks::Place;
use crate::store::pledges::{Pledge, Pledges};

/// What somebody's files may have in all.
pub struct Allowance {
    /// So many bytes.
    most: u64,
    /// What counts: a home, and what lies in the shared area.
    homes: Option<(Arc<dyn Disk>, RelPath<'static>)>,
    shared: Arc<dyn Disk>,
    paths: Vec<RelPath<'static>>,
    /// Whose it is, and what is under way to their files.
    account: i64,
    pledges: Pledges,
    /// So many bytes go when what is asked for takes its place.
    credit: u64,
}

impl Allowance {
    /// The allowance of who acts; `None` for any number of bytes.
    pub fn of(site: &Site, actor: &Actor) -> Option<Allowance> {
        let (user, most) = quota(site, actor)?;
        let files = site.files.as_ref()?;
        let paths = files.owners.paths_of(user.id).filter_map(|path| RelPath::from_plain(path).ok());
        Some(Allowance {
            most,
            homes: files.homes.clone().map(|homes| (homes, Area::home(user).root())),
            shared: Arc::clone(&files.disk),
            paths: paths.map(RelPath::into_owned).collect(),
            account: user.id,
            pledges: files.partials.pledges.clone(),
            credit: 0,
        })
    }

    /// The same for what replaces this, if it counts: one who has all they may have can still change it.
    pub fn in_place_of(self, store: &Store, path: &RelPath<'_>, current: Option<&FileFacts>) -> Allowance {
        let counts = !store.area.is_shared() || self.paths.iter().any(|own| own == path);
        let credit = current.filter(|facts| counts && facts.kind == Kind::File).map_or(0, |facts| facts.size);
        Allowance { credit, ..self }
    }

    /// Lets so many bytes come; none if it is not known how many will. Blocks.
    ///
    /// # Errors
    /// 507 if there is no room for them beside all that is under way.
    pub fn begin(&self, bytes: u64) -> Result<Share, Fault> {
        let mut pledge = self.pledges.pledge(self.account, 0);
        let pledged = pledge.raise(bytes);
        let left = self.left();
        if pledged > left { Err(over_quota()) } else { Ok(Share { pledge, came: 0, left }) }
    }

    /// Whether so many bytes may take their place now, whatever was left when they began to come. Blocks.
    ///
    /// # Errors
    /// 507 if they may not.
    pub fn check(&self, bytes: u64) -> Result<(), Fault> {
        if bytes > self.left() { Err(over_quota()) } else { Ok(()) }
    }

    /// What is left of it. Blocks: it looks at every file.
    pub fn left(&self) -> u64 {
        let private: u64 = self.homes.iter().map(|(disk, root)| bytes_below(disk, root)).sum();
        self.most.saturating_add(self.credit).saturating_sub(private.saturating_add(self.shared_bytes(&RelPath::ROOT)))
    }

    /// How much of what is shared, at a path and below it, counts already.
    fn shared_bytes(&self, path: &RelPath<'_>) -> u64 {
        let paths = self.paths.iter().filter(|own| own.strip(path.as_str()).is_some());
        let facts = paths.filter_map(|path| self.shared.facts(path).ok());
        facts.filter(|facts| facts.kind == Kind::File).map(|facts| facts.size).sum()
    }

    /// Whether what is shared at a path, and all below it, may become private. Blocks.
    ///
    /// # Errors
    /// 507 if it may not.
    pub fn take_home(&self, path: &RelPath<'_>, facts: &FileFacts) -> Result<(), Fault> {
        let bytes = if facts.kind == Kind::File { facts.size } else { bytes_below(&self.shared, path) };
        let left = self.left().saturating_sub(self.pledges.of(self.account));
        if bytes.saturating_sub(self.shared_bytes(path)) > left { Err(over_quota()) } else { Ok(()) }
    }
}

/// How many bytes the files of who acts may have; `None` for any number.
fn quota<'a>(site: &Site, actor: &'a Actor) -> Option<(&'a User, u64)> {
    let user = actor.who.user()?;
    let own = site.accounts.as_ref()?.users.account(user.id)?.quota;
    let most = own.unwrap_or(site.config.limits.quota_bytes);
    (most != 0 && most != u64::MAX).then_some((user, most))
}

/// What is locked beside the places of files whose bytes are counted: of two that come at once the second sees the first.
pub fn allowance_place(site: &Site, actor: &Actor) -> Option<Place> {
    // No account has such a number, so no file's place meets it.
    quota(site, actor).map(|(user, _)| Place::new(Some(-user.id), RelPath::ROOT))
}

/// The bytes of all files below a folder.
fn bytes_below(disk: &Arc<dyn Disk>, folder: &RelPath<'_>) -> u64 {
    let walk = Walk::new(Arc::clone(disk), folder.clone().into_owned(), false);
    let items = walk.into_iter().flatten().map(|(_, item)| item);
    items.filter(|item| item.facts.kind == Kind::File).map(|item| item.facts.size).sum()
}

/// What one body takes of an allowance.
pub struct Share {
    pledge: Pledge,
    came: u64,
    /// What was left of the allowance when the body began to come.
    left: u64,
}

impl Share {
    /// So many bytes more. The pledge covers what was said to come; what was not grows with what does.
    ///
    /// # Errors
    /// 507 if they are more than was left.
    pub fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        self.came += bytes;
        if self.came > self.pledge.bytes() && self.pledge.raise(self.came) > self.left {
            return Err(over_quota());
        }
        Ok(())
    }

    /// What it takes, to be kept for longer than the body comes.
    pub fn into_pledge(self) -> Pledge {
        self.pledge
    }
}

/// 507 for who would have more than they may.
pub fn over_quota() -> Fault {
    Fault::new(Status::INSUFFICIENT_STORAGE, "over_quota", "your files would have more bytes than they may")
}
