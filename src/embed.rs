//! The door for programs that carry a server: a state, routes, somewhere to listen, and the loop that runs it, or is run by them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::HASH_JOBS_MAX;
use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::mount::{Begun, Mounts};
use crate::os::doors::{self, Door};
use crate::os::keeping::Keeper;
use crate::os::keys::Keys;
use crate::os::pool::Tray;
use crate::os::{Os, Parts};
use crate::reactor::Reactor;
use crate::reactor::hub::{Hub, Topic};
use crate::reactor::slot::{Brought, Marks};
use crate::reactor::system::{Entrance, Happening, Key, System, Verdict};
use crate::server;
use crate::server::blocking::{self, Asked};
use crate::server::connection::{Connection, Done};
use crate::server::context::{Call, Context};
use crate::server::house::Rules;
use crate::server::later::Mail;
use crate::server::layer::Next;
use crate::server::reply::{HELPER_MS, Reply, State};
use crate::server::router::BadPattern;
use crate::testing::Rehearsal;

/// How many newcomers may wait in the kernel.
const BACKLOG: u32 = 1024;

/// How many helpers work for blocking handlers and files, unless said otherwise.
const HELPERS: usize = 4;

/// How many jobs may wait for them.
const QUEUE_MAX: usize = 256;

/// Who keeps what a program would have kept.
pub(crate) type Own<S> = Box<dyn Keeper<<S as State>::Entry, Brought<Done<S>>>>;

/// A server inside a program.
///
/// It owns a state of the program's own type and lends it to one handler at a time, so that nothing needs a lock.
pub struct Server<S: State> {
    pub(crate) inner: server::Server<S>,
    pub(crate) mounts: Option<Mounts<S>>,
    doors: Vec<Door>,
    keys: Option<Keys>,
    helpers: usize,
    keeper: Option<Own<S>>,
    takes_signals: bool,
    rules: Rules,
    marks: Marks,
}

type World<S> = Os<Brought<Done<S>>, <S as State>::Entry>;
type Loop<S> = Reactor<Connection<S>, World<S>>;

impl<S: State> Server<S> {
    /// A server with this state, without routes, that listens nowhere.
    pub fn new(state: S) -> Server<S> {
        Server {
            inner: server::Server::new(state, Hub::default()),
            mounts: None,
            doors: Vec::new(),
            keys: None,
            helpers: HELPERS,
            keeper: None,
            takes_signals: false,
            rules: Rules::default(),
            marks: Marks { jobs_max: [QUEUE_MAX, QUEUE_MAX, QUEUE_MAX, HASH_JOBS_MAX], ..Marks::default() },
        }
    }

    /// Adds a route: a path whose segments may be `:name` (any one segment) or, as the last, `*name` (all that follows, even
    /// nothing). A fixed segment wins over a parameter, a parameter over a rest; a route of the program's own wins over any
    /// built-in one. `HEAD` is answered by the handler of `GET`, `OPTIONS` by what is allowed, any other method by 405.
    ///
    /// # Errors
    /// If the pattern is none, or was added before with one of these methods.
    pub fn add_route<R>(
        &mut self,
        methods: &[Method],
        pattern: &str,
        handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
    ) -> Result<(), BadPattern>
    where
        R: Into<Reply<S>>,
    {
        self.inner.add_route(methods, pattern, handler)
    }

    /// Adds a route whose bodies may have at most `body_max` bytes: more is 413, before it is read where its length is told.
    ///
    /// # Errors
    /// As [`add_route`](Server::add_route).
    pub fn add_route_limited<R>(
        &mut self,
        methods: &[Method],
        pattern: &str,
        body_max: usize,
        handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
    ) -> Result<(), BadPattern>
    where
        R: Into<Reply<S>>,
    {
        self.inner.add_route(methods, pattern, move |state: &mut S, call: &Call<'_>, cx: &mut Context<'_>| {
            match call.check_body(body_max) {
                Ok(()) => handler(state, call, cx).into().limit_body(body_max),
                Err(fault) => fault.into(),
            }
        })
    }

    /// Adds a route whose handler may block: it is given the whole request, at most 1 MiB of body, and runs on a helper. If the
    /// helpers have too much to do the answer is 503; if there is none within 30 s, 504, and the log names the route.
    ///
    /// # Errors
    /// As [`add_route`](Server::add_route).
    pub fn add_blocking<R>(
        &mut self,
        methods: &[Method],
        pattern: &str,
        work: impl Fn(Asked) -> R + Send + Clone + 'static,
    ) -> Result<(), BadPattern>
    where
        R: Into<Reply<S>> + Send + 'static,
    {
        self.add_blocking_within(methods, pattern, Duration::from_millis(HELPER_MS), work)
    }

    /// The same with another time within which to answer.
    ///
    /// # Errors
    /// As [`add_route`](Server::add_route).
    pub fn add_blocking_within<R>(
        &mut self,
        methods: &[Method],
        pattern: &str,
        within: Duration,
        work: impl Fn(Asked) -> R + Send + Clone + 'static,
    ) -> Result<(), BadPattern>
    where
        R: Into<Reply<S>> + Send + 'static,
    {
        self.inner.add_route(methods, pattern, blocking::blocking(blocking::BODY_MAX, millis(within), work))
    }

    /// Wraps a function around every handler, inside those that were added before.
    pub fn add_layer(
        &mut self,
        layer: impl Fn(&mut S, &Call<'_>, &mut Context<'_>, Next<'_, S>) -> Reply<S> + 'static,
    ) {
        self.inner.add_layer(layer);
    }

    /// Sets who answers what no route fits, instead of 404.
    pub fn set_rest<R>(&mut self, handler: impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> R + 'static)
    where
        R: Into<Reply<S>>,
    {
        self.inner.set_rest(handler);
    }

    /// Every route: method and pattern.
    pub fn routes(&self) -> Vec<(Method, String)> {
        self.inner.routes()
    }

    /// A new topic, for what is said to many.
    ///
    /// # Panics
    /// If there are 65,536 already.
    pub fn topic(&mut self) -> Topic {
        self.inner.topic()
    }

    /// The state, before it is the loop's.
    pub fn state(&mut self) -> &mut S {
        self.inner.state()
    }

    /// How it treats its clients: limits and times.
    pub fn rules(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// Limits of the loop itself.
    pub fn marks(&mut self) -> &mut Marks {
        &mut self.marks
    }

    /// How many helper threads there may be, and how many jobs may wait for them. A helper's stack has 256 KiB.
    pub fn set_helpers(&mut self, threads: usize, queue_max: usize) {
        self.helpers = threads.max(1);
        self.marks.jobs_max[0] = queue_max.max(1);
        self.marks.jobs_max[1] = queue_max.max(1);
        self.marks.jobs_max[2] = queue_max.max(1);
    }

    /// Who keeps what [`Reply::Keep`] asks to be kept: a function that may block, on a thread of its own, is given all that waits and
    /// says of each entry, in order, what became of it. What it says nothing of is lost, and all of a batch over which it panics.
    /// Without a keeper everything of the program's own is lost; what mounted parts keep has their own.
    pub fn set_keeper(&mut self, keep: impl FnMut(Vec<S::Entry>) -> Vec<Verdict> + Send + 'static) {
        self.keeper = Some(Box::new(OwnKeeper(keep)));
    }

    /// Has `SIGTERM` and `SIGINT` close the server, and `SIGUSR1` log how things stand; `SIGHUP` and `SIGUSR2` are taken too and
    /// mean nothing. Each server of a process that asks for this hears of them. The process keeps them from then on: when its
    /// servers have ended, none of them ends it any more.
    pub fn take_signals(&mut self) {
        self.takes_signals = true;
    }

    /// Listens at every address that `addresses` stands for; port 0 has the system pick one.
    ///
    /// # Errors
    /// If it cannot be resolved, or is taken.
    pub fn listen(&mut self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        for address in addresses.to_socket_addrs()? {
            let socket = doors::listen(address, BACKLOG)?;
            self.doors.push(Door { socket, entrance: Entrance::Plain });
        }
        Ok(())
    }

    /// Sets the certificates, each with its key (files in PEM, P-256 keys are the cheapest), for the addresses of
    /// [`listen_encrypted`](Server::listen_encrypted). The first is for clients that ask for no name of the others. The files are
    /// looked at every ten seconds; what has changed is used from the next connection on, unless it does not fit together.
    ///
    /// # Errors
    /// A sentence on the first pair that cannot be used; always, in a build without the feature `tls`.
    pub fn set_certificates(&mut self, pairs: &[(PathBuf, PathBuf)]) -> Result<(), String> {
        self.keys = Some(Keys::read(pairs)?);
        Ok(())
    }

    /// Listens at every address that `addresses` stands for, and speaks TLS 1.2 and 1.3 there.
    /// [`Context::is_secure`] tells a handler.
    ///
    /// # Errors
    /// If no certificate is set, an address cannot be resolved, or is taken.
    pub fn listen_encrypted(&mut self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        if self.keys.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no certificate is set"));
        }
        for address in addresses.to_socket_addrs()? {
            let socket = doors::listen(address, BACKLOG)?;
            self.doors.push(Door { socket, entrance: Entrance::Secure });
        }
        Ok(())
    }

    /// Listens at a socket that is bound already, TCP or Unix; an inherited descriptor becomes one by `TcpListener::from`.
    pub fn listen_on(&mut self, door: impl Into<Door>) {
        self.doors.push(door.into());
    }

    /// Where it listens over TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(|door| doors::address_of(&door.socket).ok().flatten()).collect()
    }

    /// Serves until told to stop, on this thread.
    ///
    /// # Errors
    /// If it listens nowhere, or the event loop cannot be made, or fails.
    pub fn run(self) -> io::Result<()> {
        if self.doors.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the server listens nowhere"));
        }
        self.start()?.run()
    }

    /// The same server without sockets, for tests: bytes go through the very same code, and time passes when it is told to. Helpers'
    /// work, that of mounted parts too, is done on the same thread.
    ///
    /// # Panics
    /// If a host that the parts are to answer to cannot be one.
    pub fn rehearse(mut self) -> Rehearsal<S> {
        let begun = self.begin(&[]).expect("the hosts can be hosts");
        Rehearsal::new(self.inner, begun, self.rules, self.marks)
    }

    /// Begins to serve: whenever [`Running::poll_once`] is called.
    ///
    /// It takes the server away, so that a route added after the start is a mistake that the compiler tells:
    ///
    /// ```compile_fail,E0382
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut server = hythe::Server::new(());
    /// let running = server.start()?;
    /// server.add_route(&[hythe::Method::Get], "/late", |_, _, _| hythe::Response::text("too late"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The same before the start is none:
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut server = hythe::Server::new(());
    /// server.add_route(&[hythe::Method::Get], "/early", |_, _, _| hythe::Response::text("in time"))?;
    /// let running = server.start()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the event loop cannot be made.
    pub fn start(mut self) -> io::Result<Running<S>> {
        let doors = std::mem::take(&mut self.doors);
        let Begun { keeper, tasks, held } = self.begin(&doors)?;
        let world: World<S> = Os::new(Parts {
            doors,
            keys: self.keys,
            proxies: None,
            successor: None,
            takes_signals: self.takes_signals,
            file_threads: self.helpers,
            keeper: keeper.unwrap_or_else(|| Box::new(NoKeeper)),
            access_log: None,
            logs: Vec::new(),
        })?;
        let tray = world.tray();
        let mail: Arc<dyn Mail> = Arc::new(Post(tray.clone()));
        let mut reactor = self.inner.in_world_with(world, self.rules, self.marks, Some(mail));
        for (lane, task) in tasks {
            reactor.parts().1.spawn(Key::NOBODY, lane, move || Done::Step(task()));
        }
        Ok(Running { reactor, tray, _held: held })
    }

    fn begin(&mut self, doors: &[Door]) -> io::Result<Begun<S>> {
        let own = self.keeper.take();
        match self.mounts.take() {
            Some(mounts) => mounts.begin(self.inner.state(), &mut self.rules, doors, own),
            None => Ok(Begun { keeper: own, tasks: Vec::new(), held: None }),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A server that serves whenever it is given a turn.
pub struct Running<S: State> {
    reactor: Loop<S>,
    tray: Arc<Tray<Brought<Done<S>>>>,
    /// The data folder of mounted parts is ours as long as this lives.
    _held: Option<OwnedFd>,
}

impl<S: State> Running<S> {
    /// One turn: sleeps until something happens, but no longer than `timeout`, and does what there is to do. Says how soon it wants
    /// the next one although its descriptor tells nothing: zero for at once, `None` for never. When it has closed
    /// ([`is_over`](Running::is_over)) there is nothing to do and nothing to sleep for.
    ///
    /// # Errors
    /// If the event loop fails.
    pub fn poll_once(&mut self, timeout: Duration) -> io::Result<Option<Duration>> {
        if self.is_over() {
            return Ok(None);
        }
        let until = self.now().plus(millis(timeout));
        self.reactor.turn(Some(until))?;
        if self.is_over() {
            return Ok(None);
        }
        let now = self.now();
        Ok(self.reactor.due().map(|due| Duration::from_millis(due.since(now))))
    }

    fn now(&mut self) -> Moment {
        System::<_, S::Entry>::now(self.reactor.system()).0
    }

    /// Whether it has closed.
    pub fn is_over(&self) -> bool {
        self.reactor.is_over()
    }

    /// The state, between two turns.
    pub fn state(&mut self) -> &mut S {
        &mut self.reactor.parts().0.state
    }

    /// A way to reach it from other threads.
    pub fn handle(&self) -> Handle<S> {
        Handle { tray: self.tray.clone() }
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// If the event loop fails.
    pub fn run(mut self) -> io::Result<()> {
        self.reactor.run()
    }
}

/// Readable when there is something to do: for `poll`, `epoll` or another loop's like.
impl<S: State> AsRawFd for Running<S> {
    fn as_raw_fd(&self) -> RawFd {
        let world: &World<S> = self.reactor.world();
        world.as_raw_fd()
    }
}

/// A way to reach a running server from any thread. What is asked of one that has ended is not done.
pub struct Handle<S: State> {
    tray: Arc<Tray<Brought<Done<S>>>>,
}

impl<S: State> Clone for Handle<S> {
    fn clone(&self) -> Handle<S> {
        Handle { tray: self.tray.clone() }
    }
}

impl<S: State> Handle<S> {
    /// Has something done in the loop, with its state.
    pub fn spawn(&self, task: impl FnOnce(&mut S, &mut Context<'_>) + Send + 'static) {
        let step = move |state: &mut S, cx: &mut Context<'_>| {
            task(state, cx);
            // Nobody waits for an answer.
            Reply::Refuse(Fault::not_found())
        };
        let done = Brought::Sent(Done::Step(Box::new(step)));
        self.tray.put(Happening::Done { key: Key::NOBODY, done });
    }

    /// Says a text to all who listen to a topic of this server: a message to WebSockets, an event to event streams. Whoever reads so
    /// slowly that more than 64 KiB wait for it is closed (1013; a stream just ends).
    pub fn publish(&self, topic: Topic, text: impl Into<String>) {
        let text = text.into();
        self.spawn(move |_, cx| cx.say_text(topic, &text));
    }

    /// Closes the server: no newcomers, and what has begun may take up to `grace` to end.
    pub fn shutdown(&self, grace: Duration) {
        self.spawn(move |_, cx| cx.close_house(millis(grace)));
    }
}

/// Answers from other threads.
struct Post<S: State>(Arc<Tray<Brought<Done<S>>>>);

impl<S: State> Mail for Post<S> {
    fn answer(&self, key: Key, number: u64, answer: Result<Response, Fault>) {
        let done = Brought::Sent(Done::Late(number, Box::new(move |_, _| answer.into())));
        self.0.put(Happening::Done { key, done });
    }
}

/// A program's own ledger.
struct OwnKeeper<F>(F);

impl<E, D, F: FnMut(Vec<E>) -> Vec<Verdict> + Send> Keeper<E, D> for OwnKeeper<F> {
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict> {
        let entries = batch.len();
        // Whoever waits for a verdict has to hear one.
        let mut verdicts = catch_unwind(AssertUnwindSafe(|| (self.0)(batch))).unwrap_or_else(|_| {
            log::error!("the keeper panicked: {entries} entries are lost");
            Vec::new()
        });
        // What nothing is said of is not kept.
        verdicts.resize(entries, Verdict::Lost);
        verdicts
    }

    fn rest(&mut self) -> bool {
        false
    }
}

/// The ledger of a program that has none.
pub(crate) struct NoKeeper;

impl<E, D> Keeper<E, D> for NoKeeper {
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict> {
        vec![Verdict::Lost; batch.len()]
    }

    fn rest(&mut self) -> bool {
        false
    }
}
