//! The real world: mio, threads, clocks, descriptors. Nothing but the roof names this room, so that a test can put another
//! world in its place.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};
use rustix::net::{RecvFlags, SendFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::clock::{Moment, Wall};
use crate::content::FileSpan;
use crate::os::pool::{Pool, STACK, Tray};
use crate::os::scribe::Scribe;
use crate::reactor::system::{Happening, Job, Key, LANES, Lane, Peer, Signal, Socket, System, Took, Verdict};

pub mod disk;
mod partials;
pub mod pool;
pub mod scribe;
pub mod sys;

/// How many events one sleep may bring.
const EVENTS: usize = 1024;

/// How often the wall clock is read anew; between, it goes with the loop's own clock.
const WALL_KEPT_MS: u64 = 250;

/// Lines of the access log wait for company this long, or until there are so many bytes.
const LOG_KEPT_MS: u64 = 100;
const LOG_BYTES: usize = 64 << 10;

/// What the kernel may hold unsent for one client.
const UNSENT_MAX: i32 = 128 << 10;

/// Within which a client's first bytes must come for the kernel to hold its connection back.
const DEFER_SECONDS: i32 = 1;

/// What the ledger's thread can do later is begun when nothing has come for so long, and at the latest after so long.
const REST_AFTER: Duration = Duration::from_millis(50);
const REST_AT_LEAST: Duration = Duration::from_millis(500);

/// How often a keeper that wants to looks around.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whom news is for: nobody who asked.
const NOBODY: Key = Key { index: u32::MAX, age: 0 };

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listeners count down from here.
const LISTENERS: usize = usize::MAX - 2;
const LISTENERS_MAX: usize = 64;

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

/// A client's connection, over TCP or a Unix socket.
#[derive(Debug)]
pub struct Tcp(OwnedFd);

impl Socket for Tcp {
    #[inline]
    fn read(&mut self, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        let room = into.len();
        let (bytes, _) = rustix::net::recv(&self.0, into, RecvFlags::empty())?;
        // A short read has emptied the socket, unless the end came with the data: then both are one event, and the end is
        // still to be read (epoll(7), question 9).
        Ok(Took { bytes, is_dry: bytes < room && !is_shut })
    }

    #[inline]
    fn write(&mut self, from: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        Ok(match from {
            [one] => rustix::net::send(&self.0, one, flags)?,
            many => rustix::net::sendmsg(&self.0, many, &mut Default::default(), flags)?,
        })
    }

    fn send_file(&mut self, span: &FileSpan) -> io::Result<usize> {
        let length = usize::try_from(span.length).unwrap_or(usize::MAX);
        let Some(file) = span.file.fd() else {
            return self.send_copy(span, length);
        };
        let mut offset = span.offset;
        match rustix::fs::sendfile(&self.0, file, Some(&mut offset), length) {
            Ok(sent) => Ok(sent),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => self.send_copy(span, length),
            Err(error) => Err(error.into()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write)?)
    }

    fn abandon(&mut self) {
        // If it cannot be set, the kernel keeps trying to deliver for a while: a cost, not an error.
        let _ = rustix::net::sockopt::set_socket_linger(&self.0, Some(Duration::ZERO));
    }
}

impl Tcp {
    /// For files the kernel cannot send by itself.
    fn send_copy(&mut self, span: &FileSpan, length: usize) -> io::Result<usize> {
        let mut buffer = vec![0; length.min(64 << 10)];
        let read = span.file.read_at(&mut buffer, span.offset)?;
        match read {
            0 => Ok(0),
            read => self.write(&[IoSlice::new(&buffer[..read])], false),
        }
    }
}

/// What makes a ledger's verdicts out of entries; it runs on a thread of its own.
pub trait Keeper<E, D>: Send {
    /// Keeps a batch, and says what became of each entry, in order.
    fn keep(&mut self, batch: Vec<E>) -> Vec<Verdict>;

    /// Nothing waits, or something has waited for this long enough: does some of what can be done later. Says whether there
    /// is more of it.
    fn rest(&mut self) -> bool;

    /// Whether it wants to look around once a second.
    fn looks(&self) -> bool {
        false
    }

    /// Looks around, and says what there is to be told: whatever the batches before have done is told before it.
    fn look(&mut self) -> Option<D> {
        None
    }
}

/// What the world is made of.
pub struct Parts<E, D> {
    /// Where to listen; bound already.
    pub listeners: Vec<Door>,
    /// Whether the process's signals are for this loop.
    pub takes_signals: bool,
    /// Helpers for files.
    pub file_threads: usize,
    /// The ledger's hand.
    pub keeper: Box<dyn Keeper<E, D>>,
    /// Where the access log goes.
    pub access_log: Option<Scribe>,
    /// Other logs that are reopened with it.
    pub logs: Vec<Scribe>,
}

/// Somewhere to listen; bound already.
#[derive(Debug)]
pub enum Door {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Door {
        Door::Tcp(listener)
    }
}

impl From<UnixListener> for Door {
    fn from(listener: UnixListener) -> Door {
        Door::Unix(listener)
    }
}

enum Opened {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl Opened {
    fn accept(&self) -> io::Result<(Tcp, Peer)> {
        match self {
            Opened::Tcp(listener) => {
                let (socket, address) = listener.accept()?;
                Ok((Tcp(std::net::TcpStream::from(socket).into()), peer(address)))
            }
            Opened::Unix(listener) => {
                let (socket, _) = listener.accept()?;
                // Who comes this way has no address.
                Ok((Tcp(std::os::unix::net::UnixStream::from(socket).into()), Peer { ip: NO_ADDRESS, port: 0 }))
            }
        }
    }
}

const NO_ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

struct Listener {
    socket: Opened,
    /// Whether someone may be waiting there.
    is_ready: bool,
}

struct Signals {
    pipe: mio::net::UnixStream,
    raised: [(Arc<AtomicBool>, Signal); 4],
}

/// The world as it is.
pub struct Os<D: Send + 'static, E> {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    pool: Pool<D>,
    tray: Arc<Tray<D>>,
    ledger: Option<Sender<Vec<E>>>,
    ledger_thread: Option<thread::JoinHandle<()>>,
    signals: Option<Signals>,
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
        let mut listeners = Vec::new();
        for (at, listener) in parts.listeners.into_iter().enumerate().take(LISTENERS_MAX) {
            let token = Token(LISTENERS - at);
            let socket = match listener {
                Door::Tcp(listener) => {
                    listener.set_nonblocking(true)?;
                    let mut socket = mio::net::TcpListener::from_std(listener);
                    poll.registry().register(&mut socket, token, Interest::READABLE)?;
                    Opened::Tcp(socket)
                }
                Door::Unix(listener) => {
                    listener.set_nonblocking(true)?;
                    let mut socket = mio::net::UnixListener::from_std(listener);
                    poll.registry().register(&mut socket, token, Interest::READABLE)?;
                    Opened::Unix(socket)
                }
            };
            listeners.push(Listener { socket, is_ready: true });
        }
        let signals = if parts.takes_signals { Some(Signals::watch(&poll)?) } else { None };
        let (ledger, entries) = mpsc::channel();
        let theirs = tray.clone();
        let keeper = parts.keeper;
        let ledger_thread = thread::Builder::new()
            .name("hythe-ledger".into())
            .stack_size(2 * STACK)
            .spawn(move || keep_all(&entries, keeper, &theirs))?;
        let mut os = Os {
            poll,
            events: Events::with_capacity(EVENTS),
            listeners,
            pool: Pool::new(lanes(parts.file_threads), tray.clone()),
            tray,
            ledger: Some(ledger),
            ledger_thread: Some(ledger_thread),
            signals,
            access_log: parts.access_log,
            logs: parts.logs,
            lines: Vec::new(),
            lines_since: Moment::default(),
            spare: None,
            started: Instant::now(),
            now: START,
            wall: Wall::default(),
            wall_read: Moment::default(),
        };
        os.refill_spare();
        os.read_clocks();
        Ok(os)
    }

    fn read_clocks(&mut self) {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = Moment::from_millis(START.as_millis().saturating_add(since));
        if self.wall_read == Moment::default() || now.since(self.wall_read) >= WALL_KEPT_MS {
            self.wall = wall();
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
        let Some(signals) = &self.signals else { return };
        let mut drained = [0u8; 64];
        while rustix::net::recv(&signals.pipe, &mut drained, RecvFlags::empty()).is_ok_and(|(bytes, _)| bytes > 0) {}
        for (raised, signal) in &signals.raised {
            if raised.swap(false, Ordering::AcqRel) {
                if *signal == Signal::Reload {
                    self.access_log.iter().chain(&self.logs).for_each(Scribe::reopen);
                }
                happened.push(Happening::Signal(*signal));
            }
        }
    }
}

fn lanes(file_threads: usize) -> [usize; LANES] {
    let mut threads = [1; LANES];
    threads[Lane::Files as usize] = file_threads;
    threads
}

impl Signals {
    fn watch(poll: &Poll) -> io::Result<Signals> {
        let (read, write) = std::os::unix::net::UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let mut raised = Vec::new();
        for (number, signal) in
            [(SIGTERM, Signal::Drain), (SIGINT, Signal::Drain), (SIGHUP, Signal::Reload), (SIGUSR1, Signal::Status)]
        {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order: when the pipe has a byte, the flag is up.
            signal_hook::flag::register(number, flag.clone())?;
            signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
            raised.push((flag, signal));
        }
        let mut pipe = mio::net::UnixStream::from_std(read);
        poll.registry().register(&mut pipe, SIGNALS, Interest::READABLE)?;
        let raised = raised.try_into().map_err(|_| io::Error::other("four signals are watched"))?;
        Ok(Signals { pipe, raised })
    }
}

/// The ledger's thread: takes all that waits, makes one batch of it, and puts the verdicts on the tray.
fn keep_all<D, E>(entries: &Receiver<Vec<E>>, mut keeper: Box<dyn Keeper<E, D>>, tray: &Tray<D>) {
    let mut rested = Instant::now();
    let mut looked = Instant::now();
    let mut has_more = false;
    let looks = keeper.looks();
    loop {
        if looks && looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            if let Some(done) = keeper.look() {
                tray.put(Happening::Done { key: NOBODY, done });
            }
        }
        // Who is busy without a break rests all the same.
        if has_more && rested.elapsed() >= REST_AT_LEAST {
            has_more = keeper.rest();
            rested = Instant::now();
        }
        let next = match (has_more, looks) {
            (true, _) => entries.recv_timeout(REST_AFTER),
            (false, true) => entries.recv_timeout(LOOK_EVERY.saturating_sub(looked.elapsed())),
            (false, false) => entries.recv().map_err(Into::into),
        };
        let mut batch = match next {
            Ok(batch) => batch,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if has_more {
                    has_more = keeper.rest();
                    rested = Instant::now();
                }
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        if !has_more {
            rested = Instant::now();
            has_more = true;
        }
        while let Ok(mut more) = entries.try_recv() {
            batch.append(&mut more);
        }
        let count = batch.len();
        let mut verdicts = keeper.keep(batch);
        verdicts.resize(count, Verdict::Lost);
        tray.put(Happening::Verdicts(verdicts));
    }
}

impl<D: Send + 'static, E: Send + 'static> System<D, E> for Os<D, E> {
    type Socket = Tcp;

    fn now(&mut self) -> (Moment, Wall) {
        self.read_clocks();
        (self.now, self.wall)
    }

    fn wait(&mut self, until: Option<Moment>, happened: &mut Vec<Happening<D>>) -> io::Result<()> {
        let mut until = until;
        if !self.lines.is_empty() {
            let due = self.lines_since.plus(LOG_KEPT_MS);
            if due <= self.now || self.lines.len() >= LOG_BYTES {
                self.hand_over_lines();
            } else {
                until = Some(until.map_or(due, |until| until.min(due)));
            }
        }
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
        let mut has_signals = false;
        for event in &self.events {
            match event.token() {
                WAKER => self.tray.take(happened),
                SIGNALS => has_signals = true,
                Token(at) if at > LISTENERS - LISTENERS_MAX => {
                    if let Some(listener) = self.listeners.get_mut(LISTENERS - at) {
                        listener.is_ready = true;
                    }
                    happened.push(Happening::Incoming);
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
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(Tcp, Peer)> {
        for listener in &mut self.listeners {
            while listener.is_ready {
                match listener.socket.accept() {
                    Ok(newcomer) => return Ok(newcomer),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.is_ready = false,
                    Err(error) if is_want(&error) => match self.spare.take() {
                        // One more can be let in; the loop is told at the next.
                        Some(spare) => drop(spare),
                        None => {
                            self.refill_spare();
                            return Err(error);
                        }
                    },
                    // Everything else is one connection's misfortune (accept(2)).
                    Err(_) => {}
                }
            }
        }
        self.refill_spare();
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn watch(&mut self, socket: &mut Tcp, key: Key) -> io::Result<()> {
        let mut source = mio::unix::SourceFd(&socket.0.as_raw_fd());
        self.poll.registry().register(&mut source, token(key), Interest::READABLE | Interest::WRITABLE)
    }

    fn close(&mut self, socket: Tcp) {
        // Closing removes it from epoll: the descriptor has no copies.
        drop(socket);
    }

    fn stop_listening(&mut self) {
        self.listeners.clear();
    }

    fn spawn(&mut self, lane: Lane, key: Key, job: Job<D>) {
        self.pool.spawn(lane, key, job);
    }

    fn keep(&mut self, entries: &mut Vec<E>) {
        let batch = std::mem::take(entries);
        let count = batch.len();
        let taken = self.ledger.as_ref().is_some_and(|ledger| ledger.send(batch).is_ok());
        if !taken {
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
        // Without a sender the ledger's thread ends, and with it the ledger is closed in good order.
        drop(self.ledger.take());
        if let Some(thread) = self.ledger_thread.take() {
            let _ = thread.join();
        }
    }
}

fn peer(address: SocketAddr) -> Peer {
    Peer { ip: address.ip().to_canonical(), port: address.port() }
}

/// Whether an error of `accept(2)` tells that the process or the machine has no room.
fn is_want(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let want = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| want.iter().any(|errno| errno.raw_os_error() == code))
}

/// Binds a listener: ready for many newcomers at once, each handed out when its first bytes are there.
///
/// # Errors
/// As `socket(2)`, `bind(2)` and `listen(2)` say.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // What follows is inherited by the connections it hands out, and only makes things faster: a kernel may refuse it.
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    #[cfg(target_os = "linux")]
    let _ = sys::defer_accept(socket.as_fd(), DEFER_SECONDS);
    let _ = sys::limit_unsent(socket.as_fd(), UNSENT_MAX);
    if address.ip().is_loopback() {
        // A congestion control that paces (bbr) drives every large answer by a timer: twice the CPU a byte, for a link that
        // cannot be congested. What leaves the machine is the administrator's choice.
        let _ = sockopt::set_tcp_congestion(&socket, "reno");
    }
    bind(&socket, &address)?;
    listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from(socket))
}

/// Whether an address cannot be bound because this machine has none of its kind.
pub fn is_missing_address(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// Raises the number of descriptors this process may have to what the system allows; says how many that is.
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    raised.map_or(usize::MAX, |raised| usize::try_from(raised).unwrap_or(usize::MAX))
}

/// Asks whether this process may read, write and enter a folder (`access(2)`).
///
/// # Errors
/// What the system has against it.
pub fn may_use(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The time people see, read now: for those who have no turn of the loop to be told it in.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// The machine's name.
pub fn machine_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

/// Fills in random bytes from the system; says whether it had any.
pub fn fill(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// From now on an interrupt (Ctrl-C) ends the process at once with this number, as a script can tell. For who serves nobody.
pub fn end_on_interrupt(code: u8) {
    // Where it cannot be set an interrupt ends the process all the same, as a signal.
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_shutdown(SIGINT, i32::from(code), always);
}

/// Four random bytes from the system, as a number.
pub fn random() -> u32 {
    let mut bytes = [0; 4];
    // A machine without random numbers gets names made of the time instead.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos()),
    }
}
