//! The built-in parts inside a program: static pages, files, the chat, accounts, each mounted where the program wants it. A route of
//! the program's own wins over any of theirs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
#[cfg(feature = "_ledger")]
use std::time::Duration;

use crate::cli::folders::real;
use crate::config::listen::Listen;
use crate::embed::{Own, Server};
#[cfg(feature = "_ledger")]
use crate::hand::{self, Hand, Keeping};
use crate::http::request::Method;
use crate::measures::{Bound, hosts};
use crate::os::doors::{self, Door};
#[cfg(feature = "_ledger")]
use crate::os::process;
use crate::path::RelPath;
use crate::reactor::system::Entrance;
use crate::server::context::{Call, Context};
use crate::server::house::Rules;
use crate::server::lend::{Lend, lent_handler, lent_task};
use crate::server::reply::{Lane, State, Task};
use crate::server::router::BadPattern;
#[cfg(any(feature = "accounts", feature = "chat", feature = "files"))]
use crate::site;
use crate::site::gate::{Action, guard};
use crate::site::pages;
use crate::site::state::{Site, Www};
use crate::start::{self, Unusable};
use crate::store::disk::Links;

/// A command that looks after accounts holds the data folder for a moment; a server holds it for good.
#[cfg(feature = "_ledger")]
const HOLD_PATIENCE: Duration = Duration::from_secs(1);

/// Why a part cannot be mounted.
#[derive(Debug)]
#[non_exhaustive]
pub enum MountError {
    /// The place is not a path that begins with a slash.
    Place(String),
    /// Files, chat and accounts stand at one place, for their pages lead to one another; another part stands at the second.
    Apart(String, String),
    /// This part is mounted already.
    Twice(&'static str),
    /// A folder, or a file in it, cannot be used.
    Folder(PathBuf, io::Error),
    /// Another server works in this data folder, or this one already has another.
    Taken(PathBuf),
    /// The first folder is the second or lies in it, and one of them would show what the other is to keep: the database as a page,
    /// say, or as an upload. Folders of pages may lie in one another.
    Overlap(PathBuf, PathBuf),
    /// Two built-in routes are the same.
    Route(BadPattern),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::Place(place) => write!(f, "{place:?} is not a place: it begins with a slash, and is a path"),
            MountError::Apart(place, first) => {
                write!(
                    f,
                    "files, chat and accounts stand at one place: not at {place:?}, for there is one at {first:?}"
                )
            }
            MountError::Twice(part) => write!(f, "{part} is mounted already"),
            MountError::Folder(path, error) => write!(f, "{} cannot be used: {error}", path.display()),
            MountError::Taken(path) => {
                write!(f, "the data folder {} is another server's, or this one has another", path.display())
            }
            MountError::Overlap(inner, outer) => {
                write!(f, "{} lies in {}: one would show what the other keeps", inner.display(), outer.display())
            }
            MountError::Route(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MountError::Folder(_, error) => Some(error),
            MountError::Route(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BadPattern> for MountError {
    fn from(error: BadPattern) -> MountError {
        MountError::Route(error)
    }
}

impl From<Unusable> for MountError {
    fn from(Unusable { path, error }: Unusable) -> MountError {
        MountError::Folder(path, error)
    }
}

/// What a folder is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Pages,
    #[cfg(feature = "files")]
    Files,
    #[cfg(feature = "_ledger")]
    Data,
}

/// What is mounted, and how to reach it in a state of whatever type.
pub(crate) struct Mounts<S: State> {
    lend: fn(&mut S) -> &mut Site,
    task: fn(Task<Site>) -> Task<S>,
    #[cfg(feature = "_ledger")]
    keeping: MakeKeeper<S>,
    /// Where files, chat and accounts stand.
    place: Option<String>,
    /// Their data folder, and our hold on it.
    data: Option<(PathBuf, OwnedFd)>,
    /// All folders, without links and dots.
    folders: Vec<(Keeps, PathBuf)>,
    has_front: bool,
}

impl<S: Lend<Site>> Mounts<S> {
    fn new() -> Mounts<S> {
        Mounts {
            lend: S::lend,
            task: lent_task::<Site, S>,
            #[cfg(feature = "_ledger")]
            keeping: |hand, watched, own| Box::new(Keeping::<S>::new(hand, watched, own)),
            place: None,
            data: None,
            folders: Vec::new(),
            has_front: false,
        }
    }
}

/// Makes the ledger's keeper: of our hand, the file that others may write, and the program's own keeper.
#[cfg(feature = "_ledger")]
type MakeKeeper<S> = fn(Hand, Option<PathBuf>, Option<Own<S>>) -> Own<S>;

/// What a server with mounts begins with, and what it needs as long as it lives.
pub(crate) struct Begun<S: State> {
    pub keeper: Option<Own<S>>,
    pub tasks: Vec<(Lane, Task<S>)>,
    pub held: Option<OwnedFd>,
}

impl<S: State> Mounts<S> {
    /// The parts learn where they are, and who may be meant by a request: as a server by itself does, one with mounts answers to
    /// its own addresses and to `allow_hosts` only, unless its rules say otherwise.
    pub(crate) fn begin(
        self,
        state: &mut S,
        rules: &mut Rules,
        doors: &[Door],
        own: Option<Own<S>>,
    ) -> io::Result<Begun<S>> {
        let site = (self.lend)(state);
        let addresses = |entrance| {
            let fitting = doors.iter().filter(move |door| door.entrance == entrance);
            fitting.map(|door| doors::address_of(&door.socket)).collect::<io::Result<Vec<_>>>()
        };
        let secure = addresses(Entrance::Secure)?;
        let all: Vec<_> = addresses(Entrance::Plain)?.into_iter().chain(secure.iter().copied()).collect();
        let listeners: Vec<SocketAddr> = all.iter().copied().flatten().collect();
        site.place = self.place.unwrap_or_default();
        site.config.path_prefix = format!("{}{}", rules.prefix, site.place);
        site.config.listen = listeners.iter().copied().map(Listen::on).collect();
        // A socket without an address leads to whoever speaks for others.
        site.config.unix = all.iter().filter(|address| address.is_none()).map(|_| PathBuf::new()).collect();
        (site.config.has_files, site.config.has_chat) = (site.files.is_some(), site.has_chat());
        site.config.has_accounts = site.accounts.is_some();
        (site.rights, site.network_rights) = (site.config.rights(), site.config.network_rights());
        if rules.hosts.is_none() {
            let default_port = if secure.is_empty() { 80 } else { 443 };
            rules.hosts = Some(hosts(&site.config, &Bound { listeners, detours: Vec::new() }, default_port)?);
        }
        #[cfg(feature = "files")]
        start::load_partials(site);
        let (tasks, keeper) = (start::tasks(site).into_iter(), own);
        #[cfg(feature = "_ledger")]
        let (hand, opener) = hand::hand(&site.config);
        #[cfg(feature = "_ledger")]
        let tasks = tasks.chain(start::opening(site, opener));
        #[cfg(feature = "_ledger")]
        let keeper = match &site.books {
            Some(_) => Some((self.keeping)(hand, start::watched(site), keeper)),
            None => keeper,
        };
        let tasks = tasks.map(|(lane, task)| (lane, (self.task)(task))).collect();
        Ok(Begun { keeper, tasks, held: self.data.map(|(_, held)| held) })
    }
}

/// The built-in parts, for a state that has a [`Site`] in it. Each is mounted once, and before the server begins; what they share,
/// limits, access and hosts, is in the [`Config`](crate::config::Config) that the site was made with.
impl<S: Lend<Site>> Server<S> {
    /// Serves a folder of static pages at a place, `/` or `/assets`: types, index pages, ranges, conditions, pre-compressed files.
    /// At `/` it answers whatever no other route fits.
    ///
    /// # Errors
    /// If the folder cannot be read, or lies in another part's or has it in it; or the place is none, or taken.
    pub fn mount_static(&mut self, place: &str, folder: impl AsRef<Path>) -> Result<(), MountError> {
        let place = read_place(place)?;
        let taken = self.check_folder(Keeps::Pages, folder.as_ref())?;
        let disk = start::folder(folder.as_ref(), Links::Inside)?;
        let mounts = self.mounts.get_or_insert_with(Mounts::new);
        if place.is_empty() && std::mem::replace(&mut mounts.has_front, true) {
            return Err(MountError::Twice("a folder at /"));
        }
        let site = self.inner.state().lend();
        let at = site.www.len();
        let handler =
            Box::new(guard(Action::WwwRead, move |site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>| {
                pages::page(site, at, call, cx)
            }));
        if place.is_empty() {
            self.inner.set_built_in_rest(lent_handler(handler));
        } else {
            self.inner.add_built_in(Method::Get, &format!("{place}/*path"), lent_handler(handler))?;
        }
        self.take_folder(taken);
        let below = place.trim_start_matches('/').to_owned();
        self.inner.state().lend().www.push(Www::at(below, disk));
        Ok(())
    }

    /// Takes uploads into a folder and serves them, below a place: `/upload`, `/file-list`, `/files/…`, `/tus` and their like.
    /// The folder is made if there is none.
    ///
    /// # Errors
    /// If the folder cannot be used, or lies in another part's or has it in it; if files are mounted already, or another part
    /// stands at another place.
    #[cfg(feature = "files")]
    pub fn mount_files(&mut self, place: &str, folder: impl AsRef<Path>) -> Result<(), MountError> {
        let place = self.take_place(place)?;
        let folder = folder.as_ref();
        if self.inner.state().lend().files.is_some() {
            return Err(MountError::Twice("files"));
        }
        let taken = self.check_folder(Keeps::Files, folder)?;
        std::fs::create_dir_all(folder).map_err(|error| MountError::Folder(folder.to_owned(), error))?;
        let files = start::files(folder)?;
        self.take_folder(taken);
        self.inner.state().lend().files = Some(files);
        self.inner.add_alarm(|state, cx| {
            site::resume::expiration::look_around(state.lend(), cx).map(|(lane, task)| (lane, lent_task(task)))
        });
        self.inner.add_alarm(|state, cx| {
            site::spot::remove_doomed(state.lend(), cx).map(|(lane, task)| (lane, lent_task(task)))
        });
        self.inner.state().lend().chimes.push(site::spot::let_in);
        self.inner.add_stamp(site::resume::answer::stamp(&place));
        self.add_homes()?;
        #[cfg(feature = "ui")]
        self.add_parts(&place, |table| site::show(table, site::entrance::Page::Files))?;
        self.add_parts(&place, site::files)
    }

    /// Carries a chat, below a place: `/send`, `/messages`, `/events`, `/ws` and their like. Messages are kept in the database of
    /// the folder `data`, which is made if there is none.
    ///
    /// # Errors
    /// If the folder cannot be used, or lies in another part's or has it in it; if a chat is mounted already, or another part has
    /// another place or data folder.
    #[cfg(feature = "chat")]
    pub fn mount_chat(&mut self, place: &str, data: impl AsRef<Path>) -> Result<(), MountError> {
        let place = self.take_place(place)?;
        if self.inner.state().lend().chat.is_some() {
            return Err(MountError::Twice("the chat"));
        }
        self.take_data(data.as_ref())?;
        let (site, hub) = self.inner.state_and_hub();
        let site = site.lend();
        site.chat = site.books.as_ref().map(|books| start::chat(&site.config, books, hub));
        site.chimes.push(site::news::tell_news);
        self.add_parts(&place, site::chat)
    }

    /// Keeps accounts, below a place: `/register`, `/login`, `/me`, `/sessions`, `/tokens`, `/admin/…` and their like, in the
    /// database of the folder `data`, which is made if there is none. With files, everybody has a private home.
    ///
    /// # Errors
    /// If the folder cannot be used, or lies in another part's or has it in it; if accounts are mounted already, or another part has
    /// another place or data folder.
    #[cfg(feature = "accounts")]
    pub fn mount_accounts(&mut self, place: &str, data: impl AsRef<Path>) -> Result<(), MountError> {
        let place = self.take_place(place)?;
        if self.inner.state().lend().accounts.is_some() {
            return Err(MountError::Twice("accounts"));
        }
        self.take_data(data.as_ref())?;
        let (site, hub) = self.inner.state_and_hub();
        let site = site.lend();
        site.accounts = site.books.as_ref().map(|books| start::accounts(&site.config, books, hub));
        site.chimes.push(site::people::release);
        self.add_homes()?;
        self.add_parts(&place, site::accounts)
    }

    /// Everybody with an account has a home, where there are files.
    #[cfg(any(feature = "accounts", feature = "files"))]
    fn add_homes(&mut self) -> Result<(), MountError> {
        #[cfg(feature = "accounts")]
        {
            let data = self.mounts.as_ref().and_then(|mounts| mounts.data.as_ref());
            let site = self.inner.state().lend();
            if let (Some(files), Some(_), Some((data, _))) = (&mut site.files, &site.accounts, data) {
                files.homes = Some(start::homes(data)?);
            }
        }
        Ok(())
    }

    /// The place of files, chat and accounts; the first of them decides.
    #[cfg(any(feature = "accounts", feature = "chat", feature = "files"))]
    fn take_place(&mut self, place: &str) -> Result<String, MountError> {
        let place = read_place(place)?;
        let mounts = self.mounts.get_or_insert_with(Mounts::new);
        match &mounts.place {
            Some(first) if *first == place => Ok(place),
            Some(first) => Err(MountError::Apart(place, first.clone())),
            None => {
                mounts.place = Some(place.clone());
                self.inner.add_alarm(|state, cx| {
                    state.lend().on_alarm(cx);
                    None
                });
                self.add_parts(&place, site::system)?;
                #[cfg(feature = "ui")]
                self.add_parts(&place, site::parts)?;
                Ok(place)
            }
        }
    }

    /// The data folder of chat and accounts; the first of them decides.
    #[cfg(feature = "_ledger")]
    fn take_data(&mut self, data: &Path) -> Result<(), MountError> {
        let mounts = self.mounts.get_or_insert_with(Mounts::new);
        if let Some((first, _)) = &mounts.data {
            return if first == data { Ok(()) } else { Err(MountError::Taken(data.to_owned())) };
        }
        let taken = self.check_folder(Keeps::Data, data)?;
        let unusable = |error| MountError::Folder(data.to_owned(), error);
        start::make_private_folder(data).map_err(unusable)?;
        let held = process::hold_folder(data, HOLD_PATIENCE).map_err(unusable)?;
        let held = held.ok_or_else(|| MountError::Taken(data.to_owned()))?;
        self.take_folder(taken);
        let mounts = self.mounts.get_or_insert_with(Mounts::new);
        mounts.data = Some((data.to_owned(), held));
        let (site, hub) = self.inner.state_and_hub();
        site.lend().books = Some(start::books(data, hub)?);
        Ok(())
    }

    /// Whether a folder may be used for this beside those that are in use.
    fn check_folder(&self, keeps: Keeps, folder: &Path) -> Result<(Keeps, PathBuf), MountError> {
        let real = real(folder).map_err(|error| MountError::Folder(folder.to_owned(), error))?;
        for (others, other) in self.mounts.iter().flat_map(|mounts| &mounts.folders) {
            if keeps == Keeps::Pages && *others == Keeps::Pages {
                continue;
            }
            if real.starts_with(other) {
                return Err(MountError::Overlap(real, other.clone()));
            }
            if other.starts_with(&real) {
                return Err(MountError::Overlap(other.clone(), real));
            }
        }
        Ok((keeps, real))
    }

    fn take_folder(&mut self, taken: (Keeps, PathBuf)) {
        self.mounts.get_or_insert_with(Mounts::new).folders.push(taken);
    }

    #[cfg(any(feature = "accounts", feature = "chat", feature = "files"))]
    fn add_parts(
        &mut self,
        place: &str,
        part: impl FnOnce(&mut site::Table<'_>) -> Result<(), BadPattern>,
    ) -> Result<(), MountError> {
        let inner = &mut self.inner;
        Ok(part(&mut |method, pattern, handler| {
            inner.add_built_in(method, &format!("{place}{pattern}"), lent_handler(handler))
        })?)
    }
}

/// A place as it stands before a pattern: empty for the root.
fn read_place(place: &str) -> Result<String, MountError> {
    let bad = || MountError::Place(place.to_owned());
    let inside = place.strip_prefix('/').ok_or_else(bad)?;
    if inside.split('/').any(|segment| segment.starts_with([':', '*'])) {
        return Err(bad());
    }
    let path = RelPath::from_plain(inside).map_err(|_| bad())?;
    Ok(if path.is_root() { String::new() } else { format!("/{path}") })
}
