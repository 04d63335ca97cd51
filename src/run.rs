//! The real world is plugged in here: listeners, folders, the ledger and its keeper, and the loop that runs on them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::cli::exit::RunError;
use crate::cli::{logging, summary};
use crate::config::Config;
use crate::config::choices::AccessLog;
use crate::config::listen::Listen;
#[cfg(not(feature = "_ledger"))]
use crate::embed::NoKeeper;
#[cfg(feature = "_ledger")]
use crate::hand::{self, Keeping};
use crate::measures::{Bound, fit_to_descriptors, marks, reserve_descriptors, rules};
use crate::os::doors::{self, Door};
use crate::os::keys::Keys;
use crate::os::pool;
use crate::os::sandbox::{self, Sandbox};
use crate::os::scribe::Scribe;
use crate::os::succession::{Given, Handover, Note, Successor};
use crate::os::vestibule::Proxies;
use crate::os::{self, Os, Parts, process};
use crate::reactor::Reactor;
use crate::reactor::hub::Hub;
use crate::reactor::slot::Brought;
use crate::reactor::system::{Entrance, Key, System};
use crate::reload::{self, Reread};
use crate::server::connection::{Connection, Done};
use crate::site;
use crate::site::state::{Files, Site, Www};
use crate::start::{self, Unusable};
use crate::store::disk::Links;
use crate::store::entry::Entry;

/// A command that looks after accounts holds the data folder for a moment; a server holds it for good.
const HOLD_PATIENCE: Duration = Duration::from_secs(1);

/// How long after the start what can wait does wait.
const FIRST_MS: u64 = 20;

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
        // Before the first other thread.
        reserve_descriptors(&config.limits);
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
                let held = process::hold_folder(&config.data, HOLD_PATIENCE)
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
    /// If it is required and the kernel cannot; or if the confinement that we were born into keeps us from a folder of `config`.
    pub fn confine(&mut self, config: &Config) -> Result<(), RunError> {
        self.landlock = self.before.as_ref().and_then(|before| before.landlock);
        if self.landlock.is_some() {
            // Born confined, as the one before was: nothing could be added that is not there.
            return reach_all(config);
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
    process::give_back_what_is_large();
    fit_to_descriptors(&mut config.limits);
    let Premises { keys, doors, bound, access_log, landlock, as_started, held, before } = premises;
    let note = Note::of(&config.data);
    let successor = Successor::new(held.as_fd(), landlock, note.clone());
    let successor = successor.map_err(|error| other("share the hold on the data folder", error))?;
    keys.iter().flat_map(Keys::warnings).for_each(|warning| log::warn!("{warning}"));
    let access_log =
        access_log.map(|opening| Scribe::start(opening).map_err(|error| other("begin the access log", error)));
    let mut hub = Hub::default();
    let site = open_site(&config, &mut hub)?;
    #[cfg(feature = "_ledger")]
    let (hand, opener) = hand::hand(&config);
    #[cfg(feature = "_ledger")]
    let watched = start::watched(&site);
    #[cfg(feature = "_ledger")]
    let keeper = Keeping::<Site>::new(hand, watched, None);
    #[cfg(not(feature = "_ledger"))]
    let keeper = NoKeeper;
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
        keeper: Box::new(keeper),
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
    #[cfg(feature = "files")]
    start::load_partials(&mut reactor.parts().0.state);
    // A stderr that nobody holds open is no reason not to serve.
    let _ = writeln!(io::stderr(), "{}", summary::ready(&config, &bound.listeners));
    process::tell_ready();
    serve_first(&mut reactor)?;
    note.begin();
    log.begin();
    let site = &reactor.parts().0.state;
    let tasks = start::tasks(site).into_iter();
    #[cfg(feature = "_ledger")]
    let tasks = tasks.chain(start::opening(site, opener));
    for (lane, task) in tasks.collect::<Vec<_>>() {
        reactor.parts().1.spawn(Key::NOBODY, lane, move || Done::Step(task()));
    }
    pool::be_prompt();
    reactor.run().map_err(|error| other("wait for events", error))?;
    note.end();
    log::info!("closed");
    Ok(())
}

/// The site as the configuration has it: its folders open, and its parts that live by the ledger, which is opened later.
#[cfg_attr(not(feature = "_ledger"), expect(unused_variables))]
fn open_site(config: &Config, hub: &mut Hub) -> Result<Site, RunError> {
    let mut site = Site::with_pages(config.clone(), open_www(config)?, open_files(config)?);
    site.started = Some(os::START);
    #[cfg(feature = "_ledger")]
    if config.has_chat || config.has_accounts {
        let books = start::books(&config.data, hub)?;
        #[cfg(feature = "chat")]
        if config.has_chat {
            site.chat = Some(start::chat(config, &books, hub));
        }
        #[cfg(feature = "accounts")]
        if config.has_accounts {
            site.accounts = Some(start::accounts(config, &books, hub));
        }
        site.books = Some(books);
    }
    Ok(site)
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

/// Tries every folder that will be served. A successor is confined to those of the one before: where the configuration names
/// others by now, that one had better go on.
fn reach_all(config: &Config) -> Result<(), RunError> {
    let uploads = config.has_files.then_some((&config.uploads, true));
    let www = config.www.is_dir().then_some((&config.www, false));
    for (path, is_written) in [(&config.data, true)].into_iter().chain(uploads).chain(www) {
        process::try_to_use(path, is_written).map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::PermissionDenied => io::Error::other(format!(
                    "{error}; a sandbox that the server before has set up holds until hythe is started anew"
                )),
                _ => error,
            };
            RunError::Folder { path: path.clone(), error }
        })?;
    }
    Ok(())
}

impl From<Unusable> for RunError {
    fn from(Unusable { path, error }: Unusable) -> RunError {
        RunError::Folder { path, error }
    }
}

fn open_www(config: &Config) -> Result<Www, RunError> {
    // Without the folder the built-in pages are served.
    let disk = if config.www.is_dir() { Some(start::folder(&config.www, Links::Inside)?) } else { None };
    Ok(Www::new(disk))
}

#[cfg(feature = "files")]
fn open_files(config: &Config) -> Result<Option<Files>, RunError> {
    if !config.has_files {
        return Ok(None);
    }
    #[cfg_attr(not(feature = "accounts"), expect(unused_mut))]
    let mut files = start::files(&config.uploads)?;
    #[cfg(feature = "accounts")]
    if config.has_accounts {
        files.homes = Some(start::homes(&config.data)?);
    }
    Ok(Some(files))
}

#[cfg(not(feature = "files"))]
fn open_files(_: &Config) -> Result<Option<Files>, RunError> {
    Ok(None)
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
