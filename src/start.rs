//! What a site stands on, and what is begun with its loop: folders, the ledger's file, helpers' first tasks. A server by itself and
//! a program that has our parts mounted begin in the same way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::hand::{Opener, nothing};
use crate::os::disk::FolderDisk;
use crate::os::process;
use crate::reactor::hub::Hub;
use crate::server::context::Context;
use crate::server::reply::{Lane, Reply, Task};
use crate::site::resume;
use crate::site::rooms::Rooms;
use crate::site::state::{Accounts, Books, Chat, Files, Site};
use crate::site::{built, spot};
use crate::store::database;
use crate::store::disk::{Disk, Links, PartialId};
use crate::store::partial::State;
use crate::store::secret::Cost;
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
pub fn files(uploads: &Path) -> Result<Files, Unusable> {
    let seed = u64::from(process::random()) << 32 | u64::from(process::random());
    Ok(Files::new(folder(uploads, Links::Never)?, seed))
}

/// The folder of the homes, in the data folder; nobody else may look into it.
pub fn homes(data: &Path) -> Result<Arc<dyn Disk>, Unusable> {
    let place = data.join("home");
    make_private_folder(&place).map_err(Unusable::at(&place))?;
    Ok(Arc::new(FolderDisk::open_private(&place, Links::Never).map_err(Unusable::at(&place))?))
}

/// Makes a folder, if there is none, that nobody else may look into.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The ledger before it is open, and its file: that it can be written is seen now, so that a mistake is told before anyone is
/// served.
pub fn books(data: &Path, hub: &mut Hub) -> Result<Books, Unusable> {
    let path = data.join("hythe.db");
    database::touch(&path).map_err(Unusable::at(&path))?;
    Ok(Books::new(path, hub.topic()))
}

/// The chat, before its ledger is open.
pub fn chat(config: &Config, books: &Books, hub: &mut Hub) -> Chat {
    Chat::new(books.database.clone(), Rooms::new(config.rooms.as_deref(), hub), config.limits.send_rate)
}

/// The accounts, before their ledger is open.
pub fn accounts(config: &Config, books: &Books, hub: &mut Hub) -> Accounts {
    let (memory_kib, passes) = config.password_profile.cost();
    let mut accounts = Accounts::new(Users::default(), Cost { memory_kib, passes }, Box::new(process::fill));
    accounts.unread = Some(books.database.clone());
    accounts.stillness = Some(hub.topic());
    accounts
}

/// What an earlier run has left unfinished, to be continued.
pub fn load_partials(site: &mut Site) {
    let Some(files) = &mut site.files else { return };
    for disk in files.disks() {
        take_left(files, resume::find_left(&*disk, process::wall()));
    }
}

/// Whoever this one took the place of may have begun, continued and finished uploads after we looked.
fn load_partials_again(site: &mut Site) -> Reply<Site> {
    let Some(files) = &site.files else { return nothing() };
    let disks = files.disks();
    Reply::offload_write(move || {
        let left: Vec<_> = disks.into_iter().flat_map(|disk| resume::find_left(&*disk, process::wall())).collect();
        move |site: &mut Site, _: &mut Context<'_>| {
            if let Some(files) = &mut site.files {
                take_left(files, left);
            }
            nothing()
        }
    })
}

fn take_left(files: &mut Files, left: Vec<(PartialId, State, bool)>) {
    left.into_iter().for_each(|(id, state, is_finished)| files.partials.found(id, state, is_finished));
}

/// What helpers have to do when the loop begins.
pub fn tasks(site: &Site, opener: Option<Opener>) -> Vec<(Lane, Task<Site>)> {
    let mut tasks: Vec<(Lane, Task<Site>)> = vec![(
        Lane::Files,
        Box::new(|| {
            built::prepare();
            Box::new(|_, _| nothing())
        }),
    )];
    if let Some(files) = &site.files {
        let disk = files.disk.clone();
        let sweep = move || -> crate::server::reply::Step<Site> {
            sweep(&*disk);
            Box::new(|_, _| nothing())
        };
        tasks.push((Lane::Files, Box::new(sweep)));
    }
    if let (Some(books), Some(opener)) = (&site.books, opener) {
        // Whoever has a password hashed needs the ledger anyway, and who is to take our place waits for this lane.
        tasks.push((Lane::Hash, opener.task(books.database.clone(), opened)));
    }
    tasks
}

/// Removes what an earlier run left half written. Drafts of this run are told apart by who holds them.
fn sweep(disk: &dyn Disk) {
    match disk.sweep() {
        Ok(0) => {}
        Ok(swept) => log::info!("{swept} half-written files of an earlier run were removed"),
        Err(error) => log::warn!("half-written files of an earlier run cannot be removed: {error}"),
    }
}

/// What follows when the ledger is open; so whoever served before us serves no more.
fn opened(site: &mut Site) -> Reply<Site> {
    process::let_go_of_the_start();
    match remove_homes_of_the_gone(site) {
        Reply::Offload(lane, task) => Reply::Offload(
            lane,
            Box::new(move || {
                // It has nothing more to say.
                drop(task());
                Box::new(|site: &mut Site, _: &mut Context<'_>| load_partials_again(site))
            }),
        ),
        _ => load_partials_again(site),
    }
}

/// Accounts may have been deleted while nobody served; their homes go now.
fn remove_homes_of_the_gone(site: &mut Site) -> Reply<Site> {
    let homes = site.files.as_ref().and_then(|files| files.homes.clone());
    let (Some(homes), Some(accounts)) = (homes, &site.accounts) else { return nothing() };
    let gone: Vec<i64> = accounts.users.gone().collect();
    Reply::offload_write(move || {
        gone.into_iter().for_each(|id| spot::remove_home_now(&*homes, id));
        |_: &mut Site, _: &mut Context<'_>| nothing()
    })
}
