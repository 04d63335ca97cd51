//! All that the loop remembers for this site, and how what the disk says becomes an answer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Moment;
use crate::config::Config;
use crate::config::access::Rights;
#[cfg(any(feature = "accounts", feature = "chat"))]
use crate::config::limits::Rate;
use crate::http::fault::Fault;
use crate::http::forwarded;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::{State, Topic};
#[cfg(feature = "chat")]
use crate::site::attached::Attached;
use crate::site::held::Held;
use crate::site::notice::Notice;
#[cfg(feature = "chat")]
use crate::site::presence::Presence;
use crate::site::rate::Buckets;
use crate::site::reserve::Reserve;
#[cfg(feature = "chat")]
use crate::site::rooms::{NoRoom, Rooms};
use crate::site::shelved::Shelved;
use crate::site::throttle::Throttle;
#[cfg(feature = "_ledger")]
use crate::store::accounts;
use crate::store::digest::Digests;
use crate::store::disk::{Disk, is_shortage};
use crate::store::entry::Entry;
#[cfg(feature = "chat")]
use crate::store::history::History;
use crate::store::locks::Locks;
#[cfg(feature = "chat")]
use crate::store::messages::Reader;
use crate::store::owners::Owners;
use crate::store::partial::Partials;
use crate::store::secret::{Cost, Hash};
use crate::store::shelf::{Shelf, ShelfLimits};
use crate::store::users::Users;

/// The site: static pages, files, a chat, accounts; whatever is mounted of them.
pub struct Site {
    /// How it was set up.
    pub(crate) config: Config,
    /// What is open to whom, to a request that came here directly.
    pub(crate) rights: Rights,
    /// The same for one that came through a proxy.
    pub(crate) network_rights: Rights,
    /// Whether the warning about a proxy has been logged.
    pub(crate) has_warned_of_proxy: bool,
    /// Where its parts stand in the house: empty, or a slash and segments.
    pub(crate) place: String,
    /// Folders of static pages.
    pub(crate) www: Vec<Www>,
    /// The shared files; `None` when switched off.
    pub(crate) files: Option<Files>,
    /// The chat; `None` when switched off.
    #[cfg(feature = "chat")]
    pub(crate) chat: Option<Chat>,
    /// Accounts; `None` when switched off.
    pub(crate) accounts: Option<Accounts>,
    /// The ledger as the loop knows it; `None` when no part needs one.
    pub(crate) books: Option<Books>,
    /// Requests an address may make.
    pub(crate) request_rate: Buckets,
    /// Tries to come in that an address may make.
    pub(crate) login_rate: Buckets,
    /// What the log is still to be told of those who were not heard.
    pub(crate) notice: Notice,
    /// When this run began; at the first look at the numbers, unless it was told before.
    pub(crate) started: Option<Moment>,
    /// What is counted for those who look after the server.
    pub(crate) tallies: Tallies,
    /// What is asked whenever a time has come that somebody wished to be woken at; each looks whether it was its own. The
    /// table of routes hangs them up.
    pub(crate) chimes: Vec<fn(&mut Site, &mut Context<'_>)>,
}

/// What a site is made of, for who plays a world with it. It may change with any version.
#[doc(hidden)]
pub struct Parts<'a> {
    /// How it was set up.
    pub config: &'a mut Config,
    /// The shared files.
    pub files: &'a mut Option<Files>,
    /// The chat.
    #[cfg(feature = "chat")]
    pub chat: &'a mut Option<Chat>,
    /// Accounts.
    pub accounts: &'a mut Option<Accounts>,
    /// The ledger as the loop knows it.
    pub books: &'a mut Option<Books>,
}

/// Static pages: a folder, and what is remembered of it.
pub struct Www {
    /// Where it stands: a path without its first slash.
    pub place: String,
    /// Whether what is built in stands behind the folder.
    pub has_built_in: bool,
    /// The folder; `None` when there is none, and only the built-in pages are served.
    pub disk: Option<Arc<dyn Disk>>,
    /// Hot pages.
    pub shelf: Shelf<Shelved>,
}

/// The shared files.
pub struct Files {
    /// A build without them has none.
    #[cfg(not(feature = "files"))]
    pub absent: Absent,
    /// Their folder.
    pub disk: Arc<dyn Disk>,
    /// The folder of the homes, each named by its account's number; `None` where nobody has one.
    pub homes: Option<Arc<dyn Disk>>,
    /// Who made what of the shared files.
    pub owners: Owners,
    /// Which places are being changed, so that no other change comes between a look and the deed that relies on it, nor between
    /// a deed and what the ledger keeps of it.
    pub locks: Locks<Topic>,
    /// Accounts that are gone, and whose homes are still to be removed.
    pub doomed: Vec<i64>,
    /// For names that nobody chose.
    pub lots: Lots,
    /// Uploads that continue another day.
    pub partials: Partials,
    /// Digests of files that were asked for.
    pub digests: Digests,
}

#[cfg(feature = "files")]
impl Files {
    /// The folders there are.
    pub fn disks(&self) -> Vec<Arc<dyn Disk>> {
        [Some(&self.disk), self.homes.as_ref()].into_iter().flatten().cloned().collect()
    }

    /// Shared files in a folder. The seed is for the names of those that come without one.
    pub fn new(disk: Arc<dyn Disk>, seed: u64) -> Files {
        Files {
            disk,
            homes: None,
            owners: Owners::default(),
            locks: Locks::default(),
            doomed: Vec::new(),
            lots: Lots::new(seed),
            partials: Partials::default(),
            digests: Digests::default(),
        }
    }
}

/// Numbers that differ from run to run and from one to the next (SplitMix64). They keep names apart; they keep no secret.
#[derive(Clone, Copy, Debug)]
pub struct Lots(u64);

impl Lots {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Lots {
        Lots(seed)
    }

    /// The next.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The chat.
#[cfg(feature = "chat")]
pub struct Chat {
    /// The newest messages.
    pub history: History,
    /// Which rooms there are.
    pub rooms: Rooms,
    /// Who is in them.
    pub presence: Presence,
    /// When it was told last who came and went,
    pub told: Moment,
    /// and when it is to be told next, if there is something to tell.
    pub tells: Option<Moment>,
    /// Which connections end with which session.
    pub attached: Attached,
    /// Where the ledger is.
    pub database: PathBuf,
    /// For messages older than the history; away while a helper has it.
    pub reader: Option<Reader>,
    /// Messages an address may send.
    pub send_rate: Buckets,
}

/// Nobody has one: what has this in it is not there, and what is said of it is left out of the build.
#[cfg(not(all(feature = "accounts", feature = "chat", feature = "files")))]
pub type Absent = std::convert::Infallible;

/// Accounts.
pub struct Accounts {
    /// A build without them has none.
    #[cfg(not(feature = "accounts"))]
    pub absent: Absent,
    /// Who there is.
    pub users: Users,
    /// The database they have still to be read from: nobody has asked for them yet.
    pub unread: Option<PathBuf>,
    /// They were to be read before the ledger was open, and could not be.
    pub is_unreadable: bool,
    /// Who guesses.
    pub throttle: Throttle,
    /// What hashing a password costs.
    pub cost: Cost,
    /// A hash for names that are nobody's, which costs the same.
    pub dummy: Hash,
    /// Refusals an address is told at once; what is beyond is told later.
    pub refusals: Buckets,
    /// Those who are told later.
    pub held: Held,
    /// Who was here before and waits all the same, though many do.
    pub reserve: Reserve,
    /// Where secrets come from.
    pub draw: Draw,
}

/// So many refusals to come in are told an address at once.
#[cfg(feature = "accounts")]
const REFUSALS: Rate = Rate { count: 10, per_ms: 1000, burst: 30 };

/// Fills in random bytes; says whether there were any.
pub type Draw = Box<dyn FnMut(&mut [u8]) -> bool + Send>;

impl Accounts {
    /// The accounts of these people.
    #[cfg(feature = "accounts")]
    pub fn new(users: Users, cost: Cost, draw: Draw) -> Accounts {
        Accounts {
            users,
            unread: None,
            is_unreadable: false,
            throttle: Throttle::default(),
            cost,
            dummy: Hash::dummy(cost),
            refusals: Buckets::new(REFUSALS),
            held: Held::default(),
            reserve: Reserve::default(),
            draw,
        }
    }

    /// Reads them now, for whoever comes as somebody before the ledger is open: it would be a guest otherwise. That the loop
    /// reads a file here is no habit: it happens once at most, in the first moments of a run. What is wrong with the database
    /// is told when it is opened.
    pub fn read_at_last(&mut self) {
        #[cfg(feature = "_ledger")]
        match self.unread.take().map(|database| accounts::peek(&database)) {
            Some(Ok(Some(users))) => drop(self.users.replace(users)),
            Some(Err(_)) => self.is_unreadable = true,
            Some(Ok(None)) | None => {}
        }
    }

    /// So many random bytes.
    ///
    /// # Errors
    /// 503, if the system has none.
    pub fn random<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        if (self.draw)(&mut bytes) {
            return Ok(bytes);
        }
        Err(Fault::new(Status::SERVICE_UNAVAILABLE, "no_randomness", "the system gives no random numbers")
            .retry_after(5))
    }
}

/// The ledger as the loop knows it.
pub struct Books {
    /// A build in which nobody needs it has none.
    #[cfg(not(feature = "_ledger"))]
    pub absent: Absent,
    /// Where its database is.
    pub database: PathBuf,
    /// Whether it can be used.
    pub state: LedgerState,
    /// What is waited on while it is being opened.
    pub opened: Topic,
}

#[cfg(feature = "_ledger")]
impl Books {
    /// A ledger that is still to be opened.
    pub fn new(database: PathBuf, opened: Topic) -> Books {
        Books { database, state: LedgerState::Opening, opened }
    }
}

/// How the ledger is, as far as the loop knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// A helper is opening it: whoever asks waits.
    Opening,
    /// It is open, and what is kept in memory is filled from it.
    Open,
    /// It has lost a batch: nothing more is kept, and what was can still be read.
    ReadOnly,
    /// It could not be opened.
    Shut,
}

#[cfg(feature = "chat")]
impl Chat {
    /// A chat that remembers nothing yet.
    pub fn new(database: PathBuf, rooms: Rooms, send_rate: Rate) -> Chat {
        Chat {
            history: History::new(0, 0),
            rooms,
            presence: Presence::default(),
            told: Moment::default(),
            tells: None,
            attached: Attached::default(),
            database,
            reader: None,
            send_rate: Buckets::new(send_rate),
        }
    }

    /// The topic of these rooms, which are made if need be.
    pub fn tune(&mut self, names: &[&str], cx: &mut Context<'_>) -> Result<Topic, NoRoom> {
        let entered = names.iter().map(|name| self.rooms.enter(name, cx)).collect::<Result<Vec<_>, _>>()?;
        self.rooms.tune(&entered, cx)
    }
}

/// Numbers that the loop itself does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tallies {
    /// Files stored.
    pub uploads: u64,
    /// Bytes of them.
    pub uploaded_bytes: u64,
    /// Messages kept.
    pub messages: u64,
    /// Requests told to come back later.
    pub throttled: u64,
    /// Sign-ins, resets and tokens that were wrong.
    pub failed_sign_ins: u64,
}

impl State for Site {
    type Entry = Entry;

    fn on_request(&self, request: &Request<'_>, cx: &mut Context<'_>) {
        let trusted = &self.config.trusted_proxies;
        if trusted.is_empty() {
            return;
        }
        let is_trusted = |ip| trusted.iter().any(|network| network.contains(ip));
        let client = forwarded::client(&request.headers, cx.peer.ip, is_trusted);
        cx.peer.ip = client.ip;
        cx.is_secure |= client.is_secure;
    }

    fn on_alarm(&mut self, cx: &mut Context<'_>) {
        for chime in self.chimes.clone() {
            chime(self, cx);
        }
    }
}

impl Www {
    /// Pages from a folder, and what is built in behind it; nothing remembered yet.
    pub fn new(disk: Option<Arc<dyn Disk>>) -> Www {
        Www { place: String::new(), has_built_in: true, disk, shelf: Shelf::new(ShelfLimits::default()) }
    }

    /// Pages from a folder alone, at a place.
    pub fn at(place: String, disk: Arc<dyn Disk>) -> Www {
        Www { place, has_built_in: false, ..Www::new(Some(disk)) }
    }
}

impl Site {
    /// A site without any part; what is mounted is given its own. It is set up as `config` says, but for what each mount and the
    /// server say themselves: folders and addresses.
    pub fn new(config: Config) -> Site {
        let (rights, network_rights) = (config.rights(), config.network_rights());
        let request_rate = Buckets::new(config.limits.request_rate);
        let login_rate = Buckets::new(config.limits.login_rate);
        Site {
            config,
            rights,
            network_rights,
            has_warned_of_proxy: false,
            place: String::new(),
            www: Vec::new(),
            files: None,
            #[cfg(feature = "chat")]
            chat: None,
            accounts: None,
            books: None,
            request_rate,
            login_rate,
            notice: Notice::default(),
            started: None,
            tallies: Tallies::default(),
            chimes: Vec::new(),
        }
    }

    /// The site with its pages, and maybe files, as a server by itself has it.
    #[doc(hidden)]
    pub fn with_pages(config: Config, www: Www, files: Option<Files>) -> Site {
        Site { www: vec![www], files, ..Site::new(config) }
    }

    /// How it was set up; once its server has begun, with the addresses and the parts that it came to have.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it is made of.
    #[doc(hidden)]
    pub fn parts(&mut self) -> Parts<'_> {
        Parts {
            config: &mut self.config,
            files: &mut self.files,
            #[cfg(feature = "chat")]
            chat: &mut self.chat,
            accounts: &mut self.accounts,
            books: &mut self.books,
        }
    }

    /// Whether there is a chat.
    pub fn has_chat(&self) -> bool {
        #[cfg(feature = "chat")]
        return self.chat.is_some();
        #[cfg(not(feature = "chat"))]
        false
    }

    /// What stands before every path of the house that this site is in, its own and others'.
    pub fn house_prefix(&self) -> &str {
        let prefix = &self.config.path_prefix;
        prefix.strip_suffix(self.place.as_str()).unwrap_or(prefix)
    }

    /// An address of this site, for a client: the prefix before an absolute path.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.config.path_prefix)
    }
}

/// What the world's refusal means to a client. Logs what is ours to mend.
pub fn disk_fault(error: &io::Error, doing: &str) -> Fault {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory => Fault::not_found(),
        Kind::IsADirectory => Fault::new(Status::CONFLICT, "is_folder", "there is a folder of that name"),
        Kind::AlreadyExists => Fault::new(Status::CONFLICT, "file_exists", "that name is taken"),
        Kind::DirectoryNotEmpty => Fault::new(Status::CONFLICT, "dir_not_empty", "the folder is not empty"),
        Kind::InvalidFilename => {
            Fault::new(Status::BAD_REQUEST, "bad_name", "the name is too long for this file system")
        }
        Kind::FileTooLarge => {
            Fault::new(Status::CONTENT_TOO_LARGE, "too_large", "the file is larger than this file system takes")
        }
        Kind::StorageFull | Kind::QuotaExceeded => {
            log::error!("no room to {doing}: {error}");
            Fault::new(Status::INSUFFICIENT_STORAGE, "storage_full", "there is no room left on the server's disk")
        }
        Kind::PermissionDenied => {
            log::warn!("not permitted to {doing}: {error}");
            Fault::new(Status::FORBIDDEN, "forbidden", "the server itself may not do this")
        }
        Kind::ReadOnlyFilesystem => {
            log::error!("cannot {doing}: {error}");
            Fault::new(Status::INTERNAL_SERVER_ERROR, "read_only", "the server's disk takes no changes")
        }
        _ if is_shortage(error) => {
            log::warn!("cannot {doing} now: {error}");
            Fault::new(Status::SERVICE_UNAVAILABLE, "overloaded", "the server has too much open; try again soon")
                .retry_after(2)
        }
        _ => {
            log::error!("cannot {doing}: {error}");
            Fault::new(Status::INTERNAL_SERVER_ERROR, "io_error", "the server's disk gave an error; its log says which")
        }
    }
}
