//! The real world is plugged in here: listeners, folders, the ledger and its keeper, and the loop that runs on them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::cli::exit::RunError;
use crate::cli::{logging, summary};
use crate::clock::Wall;
use crate::config::{AccessLog, ChatSync, Config, Limits, Listen};
use crate::http::fault::Fault;
use crate::measures::{Bound, fit_to_descriptors, marks, rules};
use crate::os::disk::FolderDisk;
use crate::os::doors::{self, Door};
use crate::os::keys::Keys;
use crate::os::pool;
use crate::os::sandbox::{self, Sandbox};
use crate::os::scribe::Scribe;
use crate::os::succession::{Given, Handover, Note, Successor};
use crate::os::vestibule::Proxies;
use crate::os::{self, Keeper, Os, Parts};
use crate::reactor::Reactor;
use crate::reactor::hub::Hub;
use crate::reactor::slot::Brought;
use crate::reactor::system::{Entrance, Key, Lane, System, Verdict};
use crate::reload::{self, Reread};
use crate::server::connection::{Connection, Done};
use crate::server::context::Context;
use crate::server::reply::{Reply, Step};
use crate::site;
use crate::site::opening::{self, Found, HISTORY_MESSAGES};
use crate::site::resume;
use crate::site::rooms::Rooms;
use crate::site::spot;
use crate::site::state::{Accounts, Books, Chat, Files, LedgerState, Site, Www};
use crate::site::{books, built, upkeep};
use crate::store::database;
use crate::store::disk::{Disk, Links};
use crate::store::ledger::{self, Entry, Ledger};
use crate::store::owners::Owners;
use crate::store::secret::Cost;
use crate::store::users::Users;

/// A command that looks after accounts holds the data folder for a moment; a server holds it for good.
const HOLD_PATIENCE: Duration = Duration::from_secs(1);

/// How long after the start what can wait does wait.
const FIRST_MS: u64 = 20;

/// The ledger forgets what is beyond its measure after so many new messages at most, and after a tenth of the measure.
const TRIM_EVERY: usize = 1_000;

/// So many messages are put into the index in one go, while new ones may be waiting.
const INDEXED_AT_ONCE: usize = 4_096;

/// What is opened before a server has fewer rights than whoever started it: its addresses, its certificates, the hold on its data
/// folder, its logs.
pub struct Premises {
    keys: Option<Keys>,
    doors: Vec<Door>,
    bound: Bound,
    access_log: Option<Opening>,
    /// The version of Landlock that confines us.
    landlock: Option<u32>,
    /// The configuration as it was read, before what was found on the way changed it.
    as_started: Config,
    held: OwnedFd,
    /// The server whose place we take.
    before: Option<Handover>,
}

/// How a log is opened, first and again.
type Opening = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

impl Premises {
    /// Opens them. The folders of `config` exist. `handed_over` are listeners that a service manager has opened; with any, those of
    /// `config` are not. Nor are they, and nor is the hold on the data folder taken, if another server gives us its own.
    ///
    /// # Errors
    /// What kept the server from starting.
    pub fn open(
        config: &mut Config,
        handed_over: Vec<OwnedFd>,
        before: Option<Handover>,
    ) -> Result<Premises, RunError> {
        if config.takes_proxy_protocol && config.trusted_proxies.is_empty() {
            let sentence = "proxy-protocol needs to know whose word is taken: set trusted-proxy";
            return Err(RunError::Configuration(sentence.into()));
        }
        let as_started = config.clone();
        let keys = read_keys(config)?;
        let (held, doors, bound, before) = match before {
            Some(mut before) => {
                let (doors, bound) = take_over(std::mem::take(&mut before.listeners), config);
                let held =
                    before.held.try_clone().map_err(|error| other("share the hold on the data folder", error))?;
                (held, doors, bound, Some(before))
            }
            None => {
                // Two on one data folder would give the same ids twice and remove each other's drafts.
                let held = os::hold_folder(&config.data, HOLD_PATIENCE)
                    .map_err(|error| RunError::Folder { path: config.data.clone(), error })?;
                let held = held.ok_or_else(|| RunError::Taken { path: config.data.clone() })?;
                let given = handed_over.into_iter().map(|socket| Given { socket, is_detour: false });
                let (doors, bound) = match given.len() {
                    0 => bind(config)?,
                    _ => take_over(given.collect(), config),
                };
                (held, doors, bound, None)
            }
        };
        let access_log = open_access_log(config)?;
        Ok(Premises { keys, doors, bound, access_log, landlock: None, as_started, held, before })
    }

    /// Has the kernel let this process reach nothing but what is opened here and the folders of `config`. There must be no other
    /// thread yet.
    ///
    /// # Errors
    /// If it is required and the kernel cannot.
    pub fn confine(&mut self, config: &Config) -> Result<(), RunError> {
        self.landlock = self.before.as_ref().and_then(|before| before.landlock);
        if self.landlock.is_some() {
            // Born confined, as the one before was: nothing could be added that is not there.
            return Ok(());
        }
        let mut sandbox = Sandbox::new();
        sandbox.may_read(&config.www).may_write(&config.data);
        if config.has_files {
            sandbox.may_write(&config.uploads);
        }
        let again =
            config.tls_certs.iter().chain(&config.tls_keys).chain(&config.token_file).chain(&config.config_file);
        again.for_each(|path| _ = sandbox.may_read_again(path));
        let access_log = match &config.access_log {
            AccessLog::File(path) => Some(path),
            AccessLog::Off | AccessLog::Stderr => None,
        };
        access_log.into_iter().chain(&config.log_file).for_each(|path| _ = sandbox.may_log(path));
        self.bound.listeners.iter().chain(&self.bound.detours).for_each(|at| _ = sandbox.may_bind(at.port()));
        sandbox::own_folders().iter().for_each(|folder| _ = sandbox.may_run(folder));
        if let Some(manager) = std::env::var_os("NOTIFY_SOCKET") {
            sandbox.may_speak_to(Path::new(&manager));
        }
        self.landlock = sandbox.enter(config.sandbox).map_err(|error| RunError::Sandbox { error })?;
        Ok(())
    }
}

/// Serves until told to stop. `log` is who writes the log. `reread` is asked for the configuration as it is then, whenever the
/// operator wishes it read anew.
///
/// # Errors
/// What kept the server from starting, or from going on.
pub fn run(mut config: Config, premises: Premises, log: Scribe, reread: Reread) -> Result<(), RunError> {
    os::give_back_what_is_large();
    fit_to_descriptors(&mut config.limits);
    let Premises { keys, doors, bound, access_log, landlock, as_started, held, before } = premises;
    let note = Note::of(&config.data);
    let successor = Successor::new(held.as_fd(), landlock, note.clone());
    let successor = successor.map_err(|error| other("share the hold on the data folder", error))?;
    keys.iter().flat_map(Keys::warnings).for_each(|warning| log::warn!("{warning}"));
    let access_log =
        access_log.map(|opening| Scribe::start(opening).map_err(|error| other("begin the access log", error)));
    let mut hub = Hub::default();
    let books = make_books(&config, &mut hub)?;
    let database = books.as_ref().map(|books| books.database.clone());
    let chat = database.clone().filter(|_| config.has_chat);
    let chat = chat
        .map(|database| Chat::new(database, Rooms::new(config.rooms.as_deref(), &mut hub), config.limits.send_rate));
    let (hand, ledger) = mpsc::channel();
    let measure = Measure::of(&config.limits);
    let shared = open_files(&config)?;
    let files = shared.as_ref().map(|files| Arc::clone(&files.disk));
    let mut site = Site::new(config.clone(), open_www(&config)?, shared, chat);
    site.started = Some(os::START);
    site.accounts = config.has_accounts.then(|| {
        let (memory_kib, passes) = config.password_profile.cost();
        let mut accounts = Accounts::new(Users::default(), Cost { memory_kib, passes }, Box::new(os::fill));
        accounts.unread = books.as_ref().map(|books| books.database.clone());
        accounts.stillness = Some(hub.topic());
        accounts
    });
    site.books = books;
    let server = site::server(site, hub).map_err(|error| other("make the table of routes", io::Error::other(error)))?;
    let world = Os::new(Parts {
        doors,
        keys,
        proxies: config.takes_proxy_protocol.then(|| Proxies {
            networks: config.trusted_proxies.clone(),
            header_timeout_ms: config.limits.header_timeout_ms,
        }),
        takes_signals: true,
        successor: Some(successor),
        file_threads: config.io_threads,
        keeper: Box::new(Hand::new(ledger, measure, config.has_accounts)),
        access_log: access_log.transpose()?,
        logs: vec![log.clone()],
    });
    let world = world.map_err(|error| other("make the event loop", error))?;
    let mut reactor = server.in_world(world, rules(&config, &bound)?, marks(&config));
    reactor.parts().0.reload = Some(reload::reload(reread, as_started, bound.clone()));
    for line in summary::summary(&config, &bound.listeners, &bound.detours).lines() {
        log::info!("{line}");
    }
    log::info!("{}", summary::confinement(&config, landlock));
    log.catch_up();
    if let Some(before) = before {
        before.say_ready();
    }
    // Not before: until then another server may be at them.
    if let Some(files) = &mut reactor.parts().0.state.files {
        load_partials(files);
    }
    note.begin();
    // A stderr that nobody holds open is no reason not to serve.
    let _ = writeln!(io::stderr(), "{}", summary::ready(&config, &bound.listeners));
    os::tell_ready();
    serve_first(&mut reactor)?;
    spawn_task(&mut reactor, Lane::Files, || {
        built::prepare();
        Box::new(|_, _| Fault::not_found().into())
    });
    if let Some(disk) = files {
        spawn_task(&mut reactor, Lane::Files, move || {
            sweep(&*disk);
            Box::new(|_, _| Fault::not_found().into())
        });
    }
    if let Some(path) = database {
        let sync = match config.limits.chat_sync {
            ChatSync::Full => ledger::Sync::Full,
            ChatSync::Off => ledger::Sync::Off,
        };
        // Whoever has a password hashed needs the ledger anyway, and who is to take our place waits for this lane.
        spawn_task(&mut reactor, Lane::Hash, move || {
            let opened = open_ledger(&path, sync, &measure).map_err(|error| error.to_string());
            let opened = opened.and_then(|(ledger, held)| {
                hand.send(ledger).map_err(|_| "its keeper is gone".to_owned())?;
                Ok(held)
            });
            Box::new(move |site, cx| {
                let state = match opened {
                    Ok(held) => {
                        opening::opened(site, held.chat, cx);
                        upkeep::replaced(site, held.users, cx);
                        if let Some(files) = &mut site.files {
                            files.owners = held.owners;
                        }
                        LedgerState::Open
                    }
                    Err(error) => {
                        log::error!("the ledger cannot be opened: {error}");
                        LedgerState::Shut
                    }
                };
                books::opened(site, state, cx);
                let Some((homes, gone)) = homes_of_the_gone(site) else { return Fault::not_found().into() };
                Reply::offload(move || {
                    gone.into_iter().for_each(|id| spot::remove_home_now(&*homes, id));
                    |_: &mut Site, _: &mut Context<'_>| Fault::not_found().into()
                })
            })
        });
    }
    pool::be_prompt();
    reactor.run().map_err(|error| other("wait for events", error))?;
    note.end();
    log::info!("closed");
    Ok(())
}

/// The first moments belong to who is waiting at the door; what can wait begins after them. On a host with one core it would
/// stand in their way.
fn serve_first<W>(reactor: &mut Reactor<Connection<Site>, W>) -> Result<(), RunError>
where
    W: System<Brought<Done<Site>>, Entry>,
{
    let until = reactor.parts().1.now.plus(FIRST_MS);
    while reactor.parts().1.now < until && !reactor.is_over() {
        reactor.turn(Some(until)).map_err(|error| other("wait for events", error))?;
    }
    Ok(())
}

/// Has a helper do something that nobody asked for; the step it returns is run in the loop.
fn spawn_task<W>(
    reactor: &mut Reactor<Connection<Site>, W>,
    lane: Lane,
    task: impl FnOnce() -> Step<Site> + Send + 'static,
) where
    W: System<Brought<Done<Site>>, Entry>,
{
    let nobody = Key { index: u32::MAX, age: 0 };
    let (_, yard) = reactor.parts();
    yard.spawn(nobody, lane, move || Done::Step(task()));
}

fn other(doing: &'static str, error: io::Error) -> RunError {
    RunError::Other { doing, error }
}

/// Reads the certificates and their keys.
fn read_keys(config: &Config) -> Result<Option<Keys>, RunError> {
    let (certs, keys) = (config.tls_certs.len(), config.tls_keys.len());
    if certs != keys {
        let sentence = format!("{certs} certificates and {keys} keys do not pair: each tls-cert needs its tls-key");
        return Err(RunError::Configuration(sentence));
    }
    if certs == 0 {
        return match config.redirect_http {
            Some(_) => Err(RunError::Configuration("redirect-http needs an encrypted address: set tls-cert".into())),
            None => Ok(None),
        };
    }
    let pairs: Vec<_> = config.tls_certs.iter().cloned().zip(config.tls_keys.iter().cloned()).collect();
    Keys::read(&pairs).map(Some).map_err(RunError::Configuration)
}

/// Binds every listener. One that is optional is left out where the machine has no such address.
fn bind(config: &Config) -> Result<(Vec<Door>, Bound), RunError> {
    let mut opened = Vec::new();
    let mut bound = Bound::default();
    let entrance = if config.is_encrypted() { Entrance::Secure } else { Entrance::Plain };
    for listen in &config.listen {
        let mut address = listen.address;
        // "Port 0 picks one": the same for all that ask, so that a name with two addresses works.
        if address.port() == 0
            && listen.is_optional
            && let Some(first) = bound.listeners.first()
        {
            address.set_port(first.port());
        }
        match doors::listen(address, config.limits.backlog) {
            Ok(socket) => {
                bound.listeners.push(own_address(&socket, address)?);
                opened.push(Door { socket, entrance });
            }
            Err(error) if listen.is_optional && doors::is_missing_address(&error) => {}
            Err(error) => return Err(RunError::Listen { address, error }),
        }
    }
    for path in &config.unix {
        let socket = doors::listen_unix(path, config.limits.backlog);
        let socket = socket.map_err(|error| RunError::Unix { path: path.clone(), error })?;
        opened.push(Door { socket, entrance: Entrance::Plain });
    }
    if let Some(address) = config.redirect_http {
        let socket = doors::listen(address, config.limits.backlog);
        let socket = socket.map_err(|error| RunError::Listen { address, error })?;
        bound.detours.push(own_address(&socket, address)?);
        opened.push(Door { socket, entrance: Entrance::Detour });
    }
    Ok((opened, bound))
}

/// What a service manager, or the server before us, has opened for us takes the place of every listener of the configuration, which from now on says so:
/// who may do what depends on where we listen.
fn take_over(given: Vec<Given>, config: &mut Config) -> (Vec<Door>, Bound) {
    let mut bound = Bound::default();
    (config.listen, config.unix, config.redirect_http) = (Vec::new(), Vec::new(), None);
    let secure = if config.is_encrypted() { Entrance::Secure } else { Entrance::Plain };
    let opened = given.into_iter().map(|Given { socket, is_detour }| {
        let entrance = match doors::address_of(&socket) {
            Ok(Some(address)) if is_detour => {
                config.redirect_http = Some(address);
                bound.detours.push(address);
                Entrance::Detour
            }
            Ok(Some(address)) => {
                config.listen.push(Listen::on(address));
                bound.listeners.push(address);
                secure
            }
            _ => {
                config.unix.push("(handed over)".into());
                Entrance::Plain
            }
        };
        Door { socket, entrance }
    });
    (opened.collect(), bound)
}

fn own_address(socket: &OwnedFd, asked: SocketAddr) -> Result<SocketAddr, RunError> {
    let address = doors::address_of(socket).map_err(|error| RunError::Listen { address: asked, error })?;
    Ok(address.unwrap_or(asked))
}

fn folder(path: &Path, links: Links) -> Result<Arc<dyn Disk>, RunError> {
    let disk = FolderDisk::open(path, links).map_err(|error| RunError::Folder { path: path.to_owned(), error })?;
    Ok(Arc::new(disk))
}

/// What only its owners see.
fn private_folder(path: &Path) -> Result<Arc<dyn Disk>, RunError> {
    let disk = FolderDisk::open_private(path, Links::Never);
    Ok(Arc::new(disk.map_err(|error| RunError::Folder { path: path.to_owned(), error })?))
}

fn open_www(config: &Config) -> Result<Www, RunError> {
    // Without the folder the built-in pages are served.
    let disk = if config.www.is_dir() { Some(folder(&config.www, Links::Inside)?) } else { None };
    Ok(Www::new(disk))
}

fn open_files(config: &Config) -> Result<Option<Files>, RunError> {
    if !config.has_files {
        return Ok(None);
    }
    let disk = folder(&config.uploads, Links::Never)?;
    let seed = u64::from(os::random()) << 32 | u64::from(os::random());
    let mut files = Files::new(disk, seed);
    if config.has_accounts {
        let place = config.data.join("home");
        make_private_folder(&place).map_err(|error| RunError::Folder { path: place.clone(), error })?;
        files.homes = Some(private_folder(&place)?);
    }
    Ok(Some(files))
}

/// What an earlier run has left unfinished, to be continued.
fn load_partials(files: &mut Files) {
    for disk in [Some(&files.disk), files.homes.as_ref()].into_iter().flatten() {
        resume::load(&mut files.partials, &**disk, os::wall());
    }
}

/// Makes the folder of the homes, which nobody else may look into.
fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The homes of accounts that are gone: they may have been deleted while nobody served.
fn homes_of_the_gone(site: &Site) -> Option<(Arc<dyn Disk>, Vec<i64>)> {
    let homes = site.files.as_ref()?.homes.clone()?;
    Some((homes, site.accounts.as_ref()?.users.gone().collect()))
}

/// Removes what an earlier run left half written. Drafts of this run are told apart by who holds them.
fn sweep(disk: &dyn Disk) {
    match disk.sweep() {
        Ok(0) => {}
        Ok(swept) => log::info!("{swept} half-written files of an earlier run were removed"),
        Err(error) => log::warn!("half-written files of an earlier run cannot be removed: {error}"),
    }
}

/// The ledger before it is open, if any part needs one, and its file: that it can be written is seen now, so that a mistake is
/// told before anyone is served.
fn make_books(config: &Config, hub: &mut Hub) -> Result<Option<Books>, RunError> {
    if !config.has_chat && !config.has_accounts {
        return Ok(None);
    }
    let path = config.data.join("hythe.db");
    if let Err(error) = database::touch(&path) {
        return Err(RunError::Folder { path, error });
    }
    Ok(Some(Books::new(path, hub.topic())))
}

/// What the loop remembers of the ledger.
struct Held {
    chat: Found,
    users: Users,
    owners: Owners,
}

/// Opens the ledger, off the loop: with a slow disk it takes longer than all the rest of a start.
fn open_ledger(path: &Path, sync: ledger::Sync, measure: &Measure) -> Result<(Ledger, Held), database::Error> {
    let mut ledger = Ledger::open(path, sync)?;
    measure.apply(&mut ledger);
    let rooms = ledger.rooms()?.into_iter().map(|(room, _)| room).collect();
    let chat = Found { recent: ledger.recent(HISTORY_MESSAGES)?, last: ledger.last_id()?, rooms };
    let held = Held { chat, users: ledger.users()?, owners: ledger.owners()? };
    Ok((ledger, held))
}

/// How much of the chat is kept.
#[derive(Clone, Copy)]
struct Measure {
    messages: usize,
    days: u32,
}

impl Measure {
    fn of(limits: &Limits) -> Measure {
        let messages = usize::try_from(limits.history_messages).unwrap_or(usize::MAX);
        Measure { messages, days: limits.history_days }
    }

    /// Has the ledger forget what is beyond it.
    fn apply(&self, ledger: &mut Ledger) {
        if self.messages == usize::MAX && self.days == u32::MAX {
            return;
        }
        let age_ms = u64::from(self.days).saturating_mul(24 * 60 * 60 * 1000);
        let since = Wall::from_millis(os::wall().as_millis().saturating_sub(age_ms));
        if let Err(error) = ledger.trim(self.messages, since) {
            log::warn!("old messages cannot be removed: {error}");
        }
    }
}

/// Something for the loop that nobody asked for.
fn news(step: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + Send + 'static) -> Brought<Done<Site>> {
    Brought::News(Done::Step(Box::new(step)))
}

/// The ledger's hand: waits for the ledger, keeps a batch, tells each entry's verdict, and forgets what is beyond the measure
/// now and then. When nothing waits it lets the index follow.
struct Hand {
    opened: Receiver<Ledger>,
    measure: Measure,
    ledger: Option<Ledger>,
    since_trim: usize,
    has_told: bool,
    /// Whether others may change accounts beside us, and things of accounts come to their end.
    has_accounts: bool,
    version: Option<i64>,
    looks: u32,
    /// Whether another process works on the ledger by now.
    has_passed_on: bool,
}

impl Hand {
    fn new(opened: Receiver<Ledger>, measure: Measure, has_accounts: bool) -> Hand {
        let (ledger, version) = (None, None);
        Hand {
            opened,
            measure,
            ledger,
            since_trim: 0,
            has_told: false,
            has_accounts,
            version,
            looks: 0,
            has_passed_on: false,
        }
    }

    /// Whether another process has written since the last look.
    fn has_changed(&mut self) -> bool {
        let Some(Ok(version)) = self.ledger.as_ref().map(Ledger::version) else { return false };
        // Before the first look nothing can be told from the version alone.
        self.version.replace(version) != Some(version)
    }
}

impl Keeper<Entry, Brought<Done<Site>>> for Hand {
    fn pass_on(&mut self) {
        self.has_passed_on = true;
        if self.ledger.is_none() {
            self.ledger = self.opened.try_recv().ok();
        }
        if let Some(Err(error)) = self.ledger.as_mut().map(Ledger::pass_on) {
            log::warn!("the next server will check the ledger: {error}");
        }
    }

    fn looks(&self) -> bool {
        self.has_accounts
    }

    fn look(&mut self) -> Option<Brought<Done<Site>>> {
        if self.ledger.is_none() {
            self.ledger = self.opened.try_recv().ok();
        }
        if self.has_changed() {
            return match self.ledger.as_ref()?.users() {
                Ok(users) => Some(news(move |site, cx| upkeep::replaced(site, users, cx))),
                Err(error) => {
                    log::error!("what others have changed cannot be read: {error}");
                    None
                }
            };
        }
        self.looks = self.looks.wrapping_add(1);
        self.looks.is_multiple_of(60).then(|| news(upkeep::each_minute))
    }

    fn keep(&mut self, batch: Vec<Entry>) -> Vec<Verdict> {
        if self.ledger.is_none() {
            self.ledger = self.opened.recv().ok();
        }
        let Some(ledger) = &mut self.ledger else { return vec![Verdict::Lost; batch.len()] };
        if self.has_passed_on {
            return keep_the_rest(ledger, batch);
        }
        self.since_trim += batch.len();
        let verdicts = ledger.keep(batch);
        if let Some(error) = ledger.shut_by()
            && !std::mem::replace(&mut self.has_told, true)
        {
            log::error!("the ledger takes nothing more: {error}");
        }
        verdicts.into_iter().map(told).collect()
    }

    fn rest(&mut self) -> bool {
        let Some(ledger) = self.ledger.as_mut().filter(|_| !self.has_passed_on) else { return false };
        if self.since_trim >= (self.measure.messages / 10).clamp(1, TRIM_EVERY) {
            self.since_trim = 0;
            self.measure.apply(ledger);
        }
        match ledger.index(INDEXED_AT_ONCE) {
            Ok(has_more) => has_more,
            Err(error) => {
                log::warn!("the index of words cannot follow: {error}");
                false
            }
        }
    }
}

/// Another server gives the ids of messages now, and would not hear of one from here: it is lost. What else there is, is kept: of
/// that the other hears.
fn keep_the_rest(ledger: &mut Ledger, batch: Vec<Entry>) -> Vec<Verdict> {
    let is_said: Vec<bool> = batch.iter().map(|entry| matches!(entry, Entry::Chat(_))).collect();
    let rest = batch.into_iter().filter(|entry| !matches!(entry, Entry::Chat(_)));
    let mut verdicts = ledger.keep(rest.collect()).into_iter().map(told);
    is_said.into_iter().map(|is_said| if is_said { None } else { verdicts.next() }.unwrap_or(Verdict::Lost)).collect()
}

fn told(verdict: database::Verdict) -> Verdict {
    match verdict {
        database::Verdict::Kept(id) => Verdict::Kept(id),
        database::Verdict::Refused => Verdict::Refused,
        database::Verdict::Busy => Verdict::Busy,
        database::Verdict::Lost => Verdict::Lost,
    }
}

fn open_access_log(config: &Config) -> Result<Option<Opening>, RunError> {
    let path = match &config.access_log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stderr => return Ok(Some(Box::new(|| Ok(Box::new(io::stderr()))))),
        AccessLog::File(path) => path.clone(),
    };
    let mut first = match logging::open_at_end(&path) {
        Ok(file) => Some(file),
        Err(error) => return Err(RunError::Folder { path, error }),
    };
    Ok(Some(Box::new(move || match first.take() {
        Some(file) => Ok(Box::new(file)),
        None => Ok(Box::new(logging::open_at_end(&path)?)),
    })))
}
