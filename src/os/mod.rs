//! The real world: mio, threads, clocks, descriptors. Nothing but the roof names this room, so that a test can put another
//! world in its place.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::clock::{Moment, Wall};
use crate::config::HASHERS;
use crate::os::doors::{Came, Door, Doors};
use crate::os::keeping::{Keeper, Ledger, Order};
use crate::os::keys::Keys;
use crate::os::pool::{IDLE_MAX, Pool, STACK, Tray};
use crate::os::rest::Rest;
use crate::os::scribe::Scribe;
use crate::os::signals::Signals;
use crate::os::succession::{Ready, Successor};
use crate::os::vestibule::{Proxies, Vestibule};
use crate::os::watch::{Look, Watch};
use crate::os::wire::Wire;
use crate::reactor::system::{Happening, Job, Key, LANES, Lane, Peer, Signal, System, Verdict};

mod bytes;
pub mod disk;
pub mod doors;
mod draft;
pub mod keeping;
#[cfg_attr(not(feature = "tls"), path = "no_keys.rs")]
pub mod keys;
mod opened;
#[cfg(feature = "files")]
mod partials;
pub mod pool;
pub mod process;
pub mod proxied;
mod rest;
mod root;
pub mod sandbox;
pub mod scribe;
mod signals;
pub mod succession;
pub mod sys;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
pub mod vestibule;
mod watch;
pub mod wire;

/// How many events one sleep may bring.
const EVENTS: usize = 1024;

/// How often the wall clock is read anew; between, it goes with the loop's own clock.
const WALL_KEPT_MS: u64 = 250;

/// Lines of the access log wait for company this long, or until there are so many bytes.
const LOG_KEPT_MS: u64 = 100;
const LOG_BYTES: usize = 64 << 10;

/// Where a thread was not to be had it is tried again after so long.
const SHORT_MS: u64 = 100;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listeners count down from here.
const LISTENERS: usize = usize::MAX - 2;
const LISTENERS_MAX: usize = 64;
/// And from here those of whom a proxy has still to speak.
const VESTIBULE: usize = LISTENERS - LISTENERS_MAX;

/// On targets with narrow pointers a token holds twelve bits of age, else all of it.
#[cfg(target_pointer_width = "64")]
const INDEX_BITS: u32 = 32;
#[cfg(not(target_pointer_width = "64"))]
const INDEX_BITS: u32 = 20;

fn token(key: Key) -> Token {
    Token((key.age as usize) << INDEX_BITS | key.index as usize)
}

fn key(token: Token) -> Key {
    Key { index: (token.0 & ((1 << INDEX_BITS) - 1)) as u32, age: (token.0 >> INDEX_BITS) as u32 }
}

/// What the world is made of.
pub struct Parts<E, D> {
    /// Where to listen.
    pub doors: Vec<Door>,
    /// What is spoken with at the doors where encryption is.
    pub keys: Option<Keys>,
    /// The proxies that speak ahead of their clients (PROXY protocol), if any do.
    pub proxies: Option<Proxies>,
    /// Whether the process's signals are for this loop.
    pub takes_signals: bool,
    /// Helpers for files.
    pub file_threads: usize,
    /// Who takes this one's place when that is asked for.
    pub successor: Option<Successor>,
    /// The ledger's hand.
    pub keeper: Box<dyn Keeper<E, D>>,
    /// Where the access log goes.
    pub access_log: Option<Scribe>,
    /// Other logs that are reopened with it.
    pub logs: Vec<Scribe>,
}

/// How far another has come that takes our place.
enum Succession {
    /// There is none.
    Never,
    /// It can be started.
    Possible(Box<Successor>),
    /// It is being started, by a thread.
    Starting(Receiver<(Box<Successor>, Result<Ready, String>)>),
    /// It is ready. Since then we drain; when nothing is in hand it may serve.
    Ready(Ready, Moment),
    /// It serves.
    Done,
}

/// Requests that have begun are given so long before it is asked whether anything is in hand, and after so long it is not asked any
/// more.
const SETTLE_MS: u64 = 50;
const SETTLE_MAX_MS: u64 = 1_000;

/// The world as it is.
pub struct Os<D: Send + 'static, E> {
    poll: Poll,
    events: Events,
    doors: Doors,
    pool: Pool<D>,
    tray: Arc<Tray<D>>,
    ledger: Ledger<E, D>,
    /// Of what other processes may write in the ledger.
    watch: Option<Watch>,
    signals: Option<Signals>,
    succession: Succession,
    access_log: Option<Scribe>,
    logs: Vec<Scribe>,
    lines: Vec<u8>,
    lines_since: Moment,
    /// Held so that a newcomer can still be let in when there are no descriptors left.
    spare: Option<OwnedFd>,
    started: Instant,
    now: Moment,
    wall: Wall,
    wall_read: Moment,
    /// How often the service manager wants a sign of life, and when it gets the next.
    watchdog: Option<(u64, Moment)>,
    rest: Rest,
    /// When it was last tried again to have threads that were not to be had.
    tried: Moment,
}

/// Moments count from here, so that "before the start" can be said.
pub const START: Moment = Moment::from_millis(1_000);

impl<D: Send + 'static, E: Send + 'static> Os<D, E> {
    /// Makes the world.
    ///
    /// # Errors
    /// If the kernel refuses what the loop cannot do without.
    pub fn new(parts: Parts<E, D>) -> io::Result<Os<D, E>> {
        let poll = Poll::new()?;
        let tray = Arc::new(Tray::new(mio::Waker::new(poll.registry(), WAKER)?));
        let mut doors = parts.doors;
        doors.truncate(LISTENERS_MAX);
        let mut keys = parts.keys;
        keys.as_mut().map_or(Ok(()), Keys::watch)?;
        let doors = Doors::open(doors, keys, poll.registry(), |at| Token(LISTENERS - at))?;
        let mut doors = doors;
        if let Some(proxies) = parts.proxies {
            doors.vestibule = Some(Vestibule::new(proxies, VESTIBULE, poll.registry().try_clone()?));
        }
        let signals = if parts.takes_signals { Some(Signals::watch(&poll, SIGNALS)?) } else { None };
        let mut os = Os {
            poll,
            events: Events::with_capacity(EVENTS),
            doors,
            pool: Pool::new(lanes(parts.file_threads), IDLE_MAX, tray.clone()),
            tray,
            watch: parts.keeper.watched().map(|path| Watch::new(path, START)),
            ledger: Ledger::new(parts.keeper, IDLE_MAX),
            signals,
            succession: parts
                .successor
                .map_or(Succession::Never, |successor| Succession::Possible(Box::new(successor))),
            access_log: parts.access_log,
            logs: parts.logs,
            lines: Vec::new(),
            lines_since: Moment::default(),
            spare: None,
            started: Instant::now(),
            now: START,
            wall: Wall::default(),
            wall_read: Moment::default(),
            watchdog: sd_notify::watchdog_enabled().map(|every| (every.as_millis() as u64 / 2, START)),
            rest: Rest::default(),
            tried: Moment::default(),
        };
        os.refill_spare();
        os.read_clocks();
        Ok(os)
    }

    fn read_clocks(&mut self) {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = Moment::from_millis(START.as_millis().saturating_add(since));
        if self.wall_read == Moment::default() || now.since(self.wall_read) >= WALL_KEPT_MS {
            self.wall = process::wall();
            self.wall_read = now;
        } else {
            self.wall = self.wall.plus(now.since(self.now));
        }
        self.now = now;
    }

    fn refill_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
        }
    }

    fn hand_over_lines(&mut self) {
        self.lines_since = self.now;
        if let Some(log) = &self.access_log {
            log.take(&mut self.lines);
        }
        self.lines.clear();
    }

    /// Where other threads put what is for the loop.
    pub fn tray(&self) -> Arc<Tray<D>> {
        self.tray.clone()
    }

    fn take_signals(&mut self, happened: &mut Vec<Happening<D>>) {
        for signal in self.signals.as_ref().map(Signals::take).unwrap_or_default() {
            match signal {
                Signal::Upgrade => {
                    self.start_successor();
                    continue;
                }
                Signal::Reload => {
                    self.access_log.iter().chain(&self.logs).for_each(Scribe::reopen);
                    self.doors.keys.iter().for_each(Keys::reload);
                }
                Signal::Drain | Signal::Status => {}
            }
            happened.push(Happening::Signal(signal));
        }
    }

    /// Has a thread start whoever is to take our place.
    fn start_successor(&mut self) {
        let successor = match std::mem::replace(&mut self.succession, Succession::Never) {
            Succession::Possible(successor) => successor,
            other => {
                self.succession = other;
                return log::warn!("there is no other to give way to, or it is on its way already");
            }
        };
        let listeners = match self.doors.copies() {
            Ok(listeners) if !listeners.is_empty() => listeners,
            _ => {
                self.succession = Succession::Possible(successor);
                return log::error!("there are no listeners to hand over");
            }
        };
        log::info!("a new server is started, to take this one's place");
        let (tell, told) = mpsc::channel();
        let tray = self.tray.clone();
        let (give, given) = mpsc::channel::<Box<Successor>>();
        let begun = thread::Builder::new().name("hythe-upgrade".into()).stack_size(2 * STACK).spawn(move || {
            let Ok(mut successor) = given.recv() else { return };
            let outcome = successor.start(&listeners);
            let _ = tell.send((successor, outcome));
            tray.ring();
        });
        match begun {
            Ok(_) => {
                let _ = give.send(successor);
                self.succession = Succession::Starting(told);
            }
            Err(error) => {
                log::error!("no thread to start a new server; this one goes on: {error}");
                self.succession = Succession::Possible(successor);
            }
        }
    }

    /// Whether a successor is ready; if so we drain.
    fn heed_successor(&mut self, happened: &mut Vec<Happening<D>>) {
        let Succession::Starting(told) = &self.succession else { return };
        let Ok((successor, outcome)) = told.try_recv() else { return };
        // What follows is reckoned from now, not from before the sleep.
        self.read_clocks();
        self.succession = match outcome {
            Err(sentence) => {
                log::error!("no upgrade: {sentence}; this server goes on");
                Succession::Possible(successor)
            }
            Ok(ready) if self.doors.is_closed() => {
                ready.send_away();
                Succession::Never
            }
            Ok(ready) => {
                log::info!("the process {} is ready to take over: this one drains", ready.process());
                let main = sd_notify::NotifyState::MainPid(ready.process());
                let _ = sd_notify::notify(&[main]);
                happened.push(Happening::Signal(Signal::Drain));
                Succession::Ready(ready, self.now)
            }
        };
    }

    fn do_what_is_due(&mut self) {
        self.logs.iter().for_each(Scribe::rouse);
        if let Some((every, due)) = &mut self.watchdog
            && *due <= self.now
        {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            *due = self.now.plus(*every);
        }
        let is_due = self.lines_since.plus(LOG_KEPT_MS) <= self.now || self.lines.len() >= LOG_BYTES;
        if is_due && !self.lines.is_empty() {
            self.hand_over_lines();
        }
        if let Succession::Ready(_, since) = &self.succession
            && since.plus(SETTLE_MAX_MS) <= self.now
        {
            self.pass_on();
        }
        if let Some(watch) = &mut self.watch
            && watch.due() <= self.now
            && let Some(look) = watch.ask(self.now, self.wall)
        {
            // Where nothing is kept any more nothing is looked for.
            let _ = self.ledger.give(Order::Look { is_round: look == Look::Round }, &self.tray);
        }
        if self.is_short() && self.tried.plus(SHORT_MS) <= self.now {
            self.tried = self.now;
            self.pool.rouse();
            self.ledger.rouse(&self.tray);
        }
        self.doors.expire(self.now);
        if self.rest.is_due(self.now) {
            sys::let_go_of_memory();
            if self.pool.has_shrunk() {
                sys::let_go_of_code();
            }
        }
    }

    /// Whether work waits for threads that were not to be had.
    fn is_short(&self) -> bool {
        self.ledger.is_short() || self.pool.is_short()
    }

    /// Lets the successor serve, after what the ledger has in hand.
    fn pass_on(&mut self) {
        match std::mem::replace(&mut self.succession, Succession::Done) {
            Succession::Ready(ready, _) => {
                // Where nothing is kept any more there is nothing to wait for.
                if let Err(Order::PassOn(ready)) = self.ledger.give(Order::PassOn(ready), &self.tray) {
                    ready.say_go();
                }
            }
            other => self.succession = other,
        }
    }
}

fn lanes(file_threads: usize) -> [usize; LANES] {
    let mut threads = [HASHERS; LANES];
    threads[Lane::Files as usize] = file_threads;
    threads[Lane::Writes as usize] = file_threads;
    threads[Lane::Bodies as usize] = file_threads;
    threads
}

impl<D: Send + 'static, E: Send + 'static> System<D, E> for Os<D, E> {
    type Socket = Wire;

    fn now(&mut self) -> (Moment, Wall) {
        self.read_clocks();
        (self.now, self.wall)
    }

    fn busy_us(&mut self) -> u64 {
        u64::try_from(process::thread_busy().as_micros()).unwrap_or(u64::MAX)
    }

    fn due(&self) -> Option<Moment> {
        let watchdog = self.watchdog.map(|(_, due)| due);
        let lines = (!self.lines.is_empty()).then(|| self.lines_since.plus(LOG_KEPT_MS));
        let succession = match &self.succession {
            // Whether anything is in hand is asked after each turn.
            Succession::Ready(..) => Some(self.now.plus(SETTLE_MS)),
            _ => None,
        };
        let watch = self.watch.as_ref().map(Watch::due);
        let short = self.is_short().then(|| self.tried.plus(SHORT_MS));
        [watchdog, lines, succession, watch, short, self.doors.due(), self.rest.due()].into_iter().flatten().min()
    }

    fn wait(&mut self, until: Option<Moment>, happened: &mut Vec<Happening<D>>) -> io::Result<()> {
        tls::new_turn();
        self.do_what_is_due();
        // The loop's time is the time since its last turn began: a deadline that has come meanwhile is not slept past, since
        // the sleep is reckoned from the clock as it is.
        let timeout = until.map(|until| {
            if until <= self.now {
                Duration::ZERO
            } else {
                let since = u64::try_from(self.started.elapsed().as_millis())
                    .unwrap_or(u64::MAX)
                    .saturating_add(START.as_millis());
                Duration::from_millis(until.since(Moment::from_millis(since)))
            }
        });
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        if !self.events.is_empty() {
            self.rest.stir(self.now);
        }
        let (mut has_signals, mut is_rung) = (false, false);
        for event in &self.events {
            match event.token() {
                WAKER => {
                    self.tray.take(happened);
                    is_rung = true;
                }
                SIGNALS => has_signals = true,
                Token(at) if at > VESTIBULE => {
                    self.doors.ring(LISTENERS - at);
                    happened.push(Happening::Incoming);
                }
                token if self.doors.is_waiting(token) => {
                    if self.doors.ring_waiting(token, event.is_read_closed() || event.is_error()) {
                        happened.push(Happening::Incoming);
                    }
                }
                token => happened.push(Happening::Ready {
                    key: key(token),
                    // After an error only the next read or write can tell what it was.
                    readable: event.is_readable() || event.is_error(),
                    writable: event.is_writable() || event.is_error(),
                    shut: event.is_read_closed() || event.is_error(),
                }),
            }
        }
        if has_signals {
            self.take_signals(happened);
        }
        if is_rung {
            self.heed_successor(happened);
        }
        Ok(())
    }

    fn someone_waits(&mut self) -> bool {
        !matches!(self.succession, Succession::Ready(..) | Succession::Done) && self.doors.someone_waits()
    }

    fn accept(&mut self) -> io::Result<(Wire, Peer)> {
        if matches!(self.succession, Succession::Ready(..) | Succession::Done) {
            // The listeners live on: whoever waits there is the successor's.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match self.doors.accept(self.now) {
                Came::In(wire, peer) => return Ok((wire, peer)),
                Came::Nobody => break,
                Came::Want(error) => match self.spare.take() {
                    // One more can be let in; the loop is told at the next.
                    Some(spare) => drop(spare),
                    None => {
                        self.refill_spare();
                        return Err(error);
                    }
                },
            }
        }
        self.refill_spare();
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn watch(&mut self, socket: &mut Wire, key: Key) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&socket.raw()), token(key), Interest::READABLE | Interest::WRITABLE)
    }

    fn close(&mut self, socket: Wire) {
        // Closing removes it from epoll: the descriptor has no copies.
        socket.close();
    }

    fn stop_listening(&mut self) {
        if !matches!(self.succession, Succession::Ready(..)) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        }
        self.doors.close();
    }

    fn is_quiet(&mut self) {
        if let Succession::Ready(_, since) = &self.succession
            && self.now.since(*since) >= SETTLE_MS
        {
            self.pass_on();
        }
    }

    fn spawn(&mut self, lane: Lane, key: Key, job: Job<D>) {
        self.pool.spawn(lane, key, job);
    }

    fn keep(&mut self, entries: &mut Vec<E>) {
        let batch = std::mem::take(entries);
        let count = batch.len();
        if self.ledger.give(Order::Keep(batch), &self.tray).is_err() {
            self.tray.put(Happening::Verdicts(vec![Verdict::Lost; count]));
        }
    }

    fn log(&mut self, lines: &mut Vec<u8>) {
        if self.lines.is_empty() {
            self.lines_since = self.now;
            std::mem::swap(&mut self.lines, lines);
        } else {
            self.lines.append(lines);
        }
        if self.lines.len() >= LOG_BYTES {
            self.hand_over_lines();
        }
    }
}

impl<D: Send + 'static, E> AsRawFd for Os<D, E> {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl<D: Send + 'static, E> Drop for Os<D, E> {
    fn drop(&mut self) {
        if let Some(log) = &self.access_log {
            log.take(&mut self.lines);
            log.close();
        }
        self.ledger.end(&self.tray);
        self.tray.close();
    }
}
