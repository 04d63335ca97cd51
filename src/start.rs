//! What a site stands on, and what is begun with its loop: folders, the ledger's file, helpers' first tasks. A server by itself and
//! a program that has our parts mounted begin in the same way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "_ledger")]
use crate::config::Config;
#[cfg(feature = "_ledger")]
use crate::hand::Opener;
use crate::http::fault::Fault;
use crate::os::disk::FolderDisk;
#[cfg(any(feature = "_ledger", feature = "files"))]
use crate::os::process;
#[cfg(feature = "_ledger")]
use crate::reactor::hub::Hub;
#[cfg(feature = "_ledger")]
use crate::server::context::Context;
use crate::server::reply::{Lane, Reply, Step, Task};
#[cfg(feature = "ui")]
use crate::site::built;
#[cfg(feature = "accounts")]
use crate::site::held::Held;
#[cfg(feature = "files")]
use crate::site::resume::recovery::{Left, find_left};
#[cfg(feature = "chat")]
use crate::site::rooms::Rooms;
#[cfg(feature = "accounts")]
use crate::site::spot;
#[cfg(feature = "accounts")]
use crate::site::state::Accounts;
#[cfg(feature = "_ledger")]
use crate::site::state::Books;
#[cfg(feature = "chat")]
use crate::site::state::Chat;
#[cfg(feature = "files")]
use crate::site::state::Files;
use crate::site::state::Site;
#[cfg(feature = "_ledger")]
use crate::store::database;
use crate::store::disk::{Disk, Links};
#[cfg(feature = "accounts")]
use crate::store::secret::Cost;
#[cfg(feature = "accounts")]
use crate::store::users::Users;

/// A folder, or a file in it, that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// Which one.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl Unusable {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Unusable {
        |error| Unusable { path: path.to_owned(), error }
    }
}

/// A folder.
pub fn folder(path: &Path, links: Links) -> Result<Arc<dyn Disk>, Unusable> {
    Ok(Arc::new(FolderDisk::open(path, links).map_err(Unusable::at(path))?))
}

/// Shared files in their folder.
#[cfg(feature = "files")]
pub fn files(uploads: &Path) -> Result<Files, Unusable> {
    let seed = u64::from(process::random()) << 32 | u64::from(process::random());
    Ok(Files::new(folder(uploads, Links::Never)?, seed))
}

/// The folder of the homes, in the data folder; nobody else may look into it.
#[cfg(feature = "accounts")]
pub fn homes(data: &Path) -> Result<Arc<dyn Disk>, Unusable> {
    let place = data.join("home");
    make_private_folder(&place).map_err(Unusable::at(&place))?;
    Ok(Arc::new(FolderDisk::open_private(&place, Links::Never).map_err(Unusable::at(&place))?))
}

/// Makes a folder, if there is none, that nobody else may look into.
#[cfg(feature = "_ledger")]
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The ledger before it is open. That its file can be written, if there is one, is seen now, so that a mistake is told before anyone
/// is served.
#[cfg(feature = "_ledger")]
pub fn books(data: &Path, hub: &mut Hub) -> Result<Books, Unusable> {
    let path = data.join("hythe.db");
    database::can_write(&path).map_err(Unusable::at(&path))?;
    Ok(Books::new(path, hub.topic()))
}

/// The file that changes whenever somebody writes in the database: its log (<https://sqlite.org/wal.html>). Others than this server
/// change accounts, and the server before it may still be keeping whose its last files are.
#[cfg(feature = "_ledger")]
pub fn watched(site: &Site) -> Option<PathBuf> {
    if site.accounts.is_none() && site.files.is_none() {
        return None;
    }
    let mut path = site.books.as_ref()?.database.clone().into_os_string();
    path.push("-wal");
    Some(path.into())
}

/// The chat, before its ledger is open.
#[cfg(feature = "chat")]
pub fn chat(config: &Config, books: &Books, hub: &mut Hub) -> Chat {
    Chat::new(books.database.clone(), Rooms::new(config.rooms.as_deref(), hub), config.limits.send_rate)
}

/// The accounts, before their ledger is open.
#[cfg(feature = "accounts")]
pub fn accounts(config: &Config, books: &Books, hub: &mut Hub) -> Accounts {
    let (memory_kib, passes) = config.password_profile.cost();
    let mut accounts = Accounts::new(Users::default(), Cost { memory_kib, passes }, Box::new(process::fill));
    accounts.unread = Some(books.database.clone());
    accounts.held = Held::on(hub.topic());
    accounts
}

/// What an earlier run has left unfinished, to be continued.
#[cfg(feature = "files")]
pub fn load_partials(site: &mut Site) {
    let Some(files) = &mut site.files else { return };
    for disk in files.disks() {
        for Left { id, state, came, is_finished, is_elsewhere } in find_left(&*disk, process::wall()) {
            files.partials.found(id, state, came, is_finished);
            files.partials.elsewhere.extend(is_elsewhere.then_some(id));
        }
    }
}

/// What helpers have to do when the loop begins.
pub fn tasks(site: &Site) -> Vec<(Lane, Task<Site>)> {
    let mut tasks: Vec<(Lane, Task<Site>)> = Vec::new();
    #[cfg(feature = "ui")]
    tasks.push((Lane::Files, chore(built::prepare)));
    if let Some(files) = &site.files {
        let disk = files.disk.clone();
        let task = move || -> Step<Site> {
            sweep(&*disk);
            #[cfg(feature = "files")]
            return Box::new(|site, cx| {
                if site.files.as_ref().is_some_and(|files| !files.partials.is_empty()) {
                    cx.wake_at(cx.now);
                }
                nothing()
            });
            #[cfg(not(feature = "files"))]
            Box::new(|_, _| nothing())
        };
        tasks.push((Lane::Files, Box::new(task)));
    }
    tasks
}

/// What opens the ledger, if there is to be one. Whoever has a password hashed needs it anyway, and who is to take our place waits
/// for that lane.
#[cfg(feature = "_ledger")]
pub fn opening(site: &Site, opener: Opener) -> Option<(Lane, Task<Site>)> {
    let path = site.books.as_ref()?.database.clone();
    Some((Lane::Hash, opener.task(path, opened)))
}

/// A task of which nobody waits to hear.
#[cfg(feature = "ui")]
fn chore(work: impl FnOnce() + Send + 'static) -> Task<Site> {
    Box::new(move || {
        work();
        Box::new(|_, _| nothing())
    })
}

/// What a step ends with that nobody waits for.
fn nothing() -> Reply<Site> {
    Fault::not_found().into()
}

/// Removes what an earlier run left half written. Drafts of this run are told apart by who holds them.
fn sweep(disk: &dyn Disk) {
    match disk.sweep() {
        Ok(0) => {}
        Ok(swept) => log::info!("{swept} half-written files of an earlier run were removed"),
        Err(error) => log::warn!("half-written files of an earlier run cannot be removed: {error}"),
    }
}

/// What follows when the ledger is open.
#[cfg(feature = "_ledger")]
fn opened(site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
    process::let_go_of_the_start();
    #[cfg(feature = "accounts")]
    return remove_homes_of_the_gone(site, cx);
    #[cfg(not(feature = "accounts"))]
    {
        let _ = (site, cx);
        nothing()
    }
}

/// Accounts may have been deleted while nobody served; their homes go now.
#[cfg(feature = "accounts")]
fn remove_homes_of_the_gone(site: &mut Site, cx: &mut Context<'_>) -> Reply<Site> {
    let gone: Vec<i64> = site.accounts.iter().flat_map(|accounts| accounts.users.gone()).collect();
    spot::remove_homes_later(site, cx, gone);
    nothing()
}
