//! The load: a client that is cheaper than the server it asks, so that the server is what is measured.
//!
//! One process, one thread, its own epoll loop. Requests are bytes made before the start. The first answer of a
//! connection's kind is taken apart properly; later ones are only compared where it costs nothing (their status line
//! and where their head ends) and counted by length. An answer that looks different is taken apart again.
//!
//! It prints one line of JSON. Every kind of failure has a count of its own; a server that says `Connection: close`
//! and closes is no failure: it is counted as a reconnect.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hythe_bench::args::Args;
use hythe_bench::histogram::Histogram;
use hythe_bench::json::Line;
use hythe_bench::net::{Moved, RecvFlags, Tuning, caller, give, take, take_stamped};
use hythe_bench::process::{Cpu, cpu};
use rustix::event::epoll;

const USAGE: &str = "load MODE --target ADDRESS [options]

modes
  closed      every connection asks again as soon as it is answered
  connect     a new connection for each request
  rate        so many requests a second, come what may; latency counts from when each was due
  download    large bodies, thrown away
  idle        one request on each connection, then nothing, until stdin ends
  slow-header a byte of a head per second and connection
  slow-body   a head, then a byte of a body per second and connection
  never-read  asks for a large file and does not read

options
  --path P             /
  --header 'N: V'      one more header (may be repeated)
  --connections N      64
  --depth N            requests sent at once on each connection (closed: 1)
  --seconds S          how long to measure (2)
  --warm S             how long to run before that (0.2)
  --rate R             requests a second (10000)
  --fresh              rate: each request on a new connection
  --first              rate: go before all others of this core, if that is allowed
  --stamped            rate: tell apart how late this load was itself: from when a request was sent until its answer had come
  --slow US            rate: say on stderr which answers took longer: when due, sent, come (stamped) and read, by the monotonic clock
  --spin               closed: never sleep
  --copy               download: read into memory, as programs do, rather than throw away in the kernel
  --read-bytes N       download: how much at once (1m)
  --expect N           the status that is no error (200)
  --post P             slow-body: where to (/upload)
  --watch PID          report the CPU time of this process, its threads and children, over the measured time";

/// How many events are taken at once.
const EVENTS: usize = 1024;
/// How much is read at once, when it is looked at.
const READ_BYTES: usize = 256 * 1024;
/// An answer's head may be this long.
const HEAD_BYTES_MAX: usize = 16 * 1024;

fn main() {
    let mut args = Args::from_env(USAGE);
    let target = match args.text("--target").unwrap_or_default().parse() {
        Ok(address) => address,
        Err(_) => args.complain("--target wants an address like 127.0.0.1:8080"),
    };
    let path = args.text("--path").unwrap_or_else(|| "/".into());
    let headers = args.every("--header");
    let plan = Plan {
        target,
        connections: args.count("--connections").unwrap_or(64).max(1),
        depth: args.count("--depth").unwrap_or(1).max(1),
        measured: Duration::from_secs_f64(args.seconds("--seconds").unwrap_or(2.0)),
        warm: Duration::from_secs_f64(args.seconds("--warm").unwrap_or(0.2)),
        rate: args.number("--rate").unwrap_or(10_000).max(1),
        is_fresh: args.flag("--fresh"),
        goes_first: args.flag("--first"),
        is_stamped: args.flag("--stamped"),
        slow_ns: args.number("--slow").map_or(u64::MAX, |us| us.saturating_mul(1000)),
        is_spinning: args.flag("--spin"),
        is_copying: args.flag("--copy"),
        read_bytes: args.count("--read-bytes").unwrap_or(1 << 20),
        expected: args.number("--expect").unwrap_or(200),
        post: args.text("--post").unwrap_or_else(|| "/upload".into()),
        watched: args.number("--watch").and_then(|pid| u32::try_from(pid).ok()),
        path,
        headers,
    };
    let usage = Args::new(Vec::new(), USAGE);
    let words = args.words();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["closed"] => drive(&plan, Mode::Closed),
        ["connect"] => drive(&plan, Mode::Connect),
        ["rate"] => drive(&plan, Mode::Rate),
        ["download"] => download(&plan),
        ["idle"] => idle(&plan),
        ["slow-header"] => besiege(&plan, Siege::SlowHeader),
        ["slow-body"] => besiege(&plan, Siege::SlowBody),
        ["never-read"] => besiege(&plan, Siege::NeverRead),
        _ => usage.complain("which mode?"),
    };
    match outcome {
        Ok(line) => println!("{}", line.finish()),
        Err(error) => {
            eprintln!("load: {error}");
            std::process::exit(1);
        }
    }
}

/// What was asked for on the command line.
struct Plan {
    target: SocketAddr,
    path: String,
    headers: Vec<String>,
    connections: usize,
    depth: usize,
    measured: Duration,
    warm: Duration,
    rate: u64,
    is_fresh: bool,
    goes_first: bool,
    is_stamped: bool,
    slow_ns: u64,
    is_spinning: bool,
    is_copying: bool,
    read_bytes: usize,
    expected: u64,
    post: String,
    watched: Option<u32>,
}

impl Plan {
    fn request(&self, method: &str, path: &str, more: &str) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: hythe-load\r\n{more}", self.target);
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// What went wrong, by kind.
#[derive(Debug, Default)]
struct Trouble {
    /// No connection could be made.
    connect: u64,
    /// The connection was reset, or broke in another way.
    reset: u64,
    /// The server closed while an answer was owed, without having said so.
    closed: u64,
    /// An answer with another status than the expected one.
    status: u64,
    /// An answer that is no answer.
    framing: u64,
    /// Requests that were never answered (only counted where there is an end to wait for).
    unanswered: u64,
    /// Connections the server announced to close, and closed: no trouble.
    reconnects: u64,
}

impl Trouble {
    fn write(&self, line: &mut Line) {
        let sum = self.connect + self.reset + self.closed + self.status + self.framing + self.unanswered;
        for (name, count) in [
            ("errors", sum),
            ("connect_errors", self.connect),
            ("reset_errors", self.reset),
            ("closed_errors", self.closed),
            ("status_errors", self.status),
            ("framing_errors", self.framing),
            ("unanswered", self.unanswered),
            ("reconnects", self.reconnects),
        ] {
            line.number(name, real(count));
        }
    }
}

/// A head that was taken apart.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    bytes: usize,
    body_bytes: usize,
    status: u64,
    closes: bool,
}

impl Head {
    /// `None` if it is not complete, an error if it is no head.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(()) } else { Ok(None) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| ())?;
        let mut lines = text.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).ok_or(())?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(())?;
        let mut head = Self { bytes: end + 4, body_bytes: usize::MAX, status, closes: first.starts_with('0') };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(())?;
            if name.eq_ignore_ascii_case("content-length") {
                head.body_bytes = value.trim().parse().map_err(|_| ())?;
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        // Without a length an answer cannot be counted; a load that needs it asks for something else.
        if head.body_bytes == usize::MAX { Err(()) } else { Ok(Some(head)) }
    }
}

/// What every answer is expected to look like, once one was seen.
#[derive(Default)]
struct Pattern {
    head: Head,
    status_line: [u8; 12],
}

impl Pattern {
    /// Whether an answer of this very shape starts here, whole head included. A few compares.
    #[inline]
    fn fits(&self, bytes: &[u8]) -> bool {
        let end = self.head.bytes;
        end != 0
            && bytes.len() >= end
            && bytes[..12] == self.status_line
            && bytes[end - 4..end] == *b"\r\n\r\n"
            && bytes[end - 5] != b'\n'
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Closed,
    Connect,
    Rate,
}

/// One connection of a load.
struct Caller {
    socket: Option<OwnedFd>,
    /// Answers still owed.
    owed: usize,
    /// Bytes of the present answer still to come; 0: a head comes next.
    left: usize,
    /// The present answer is the last one.
    closes: bool,
    /// The beginning of a head that came in pieces.
    piece: Vec<u8>,
    /// When what is owed was sent, or was due.
    since_ns: u64,
    /// Rate: when it really was sent, or was due if it waited for the answer before it.
    sent_ns: u64,
    /// When the last bytes came, if the kernel stamps them.
    come_ns: u64,
    /// Rate: requests that are due but wait for the one before.
    waiting: std::collections::VecDeque<u64>,
    /// How much of the request has not been sent yet.
    unsent: usize,
    was_answered: bool,
}

struct Drive<'p> {
    plan: &'p Plan,
    mode: Mode,
    poll: OwnedFd,
    request: Vec<u8>,
    callers: Vec<Caller>,
    pattern: Pattern,
    scratch: Vec<u8>,
    started: Instant,
    answered: u64,
    bytes: u64,
    latency: Histogram,
    /// Rate: how late the load itself was with what it asked.
    lateness: Histogram,
    /// Rate: from when a request was sent until its answer had come, by the kernel's word.
    outside: Histogram,
    /// By so much the system's clock is ahead of ours.
    ahead_ns: u64,
    /// Rate: the slow answers, if they are to be told.
    slow: Vec<[u64; 4]>,
    trouble: Trouble,
    /// Callers that have nothing to do (rate --fresh).
    free: Vec<usize>,
    /// Callers that are to have another connection, in the next turn: where nobody listens each is lost while it is made.
    to_renew: std::collections::VecDeque<usize>,
}

/// Runs one of the three loads that are answered in full.
fn drive(plan: &Plan, mode: Mode) -> io::Result<Line> {
    let fresh = mode == Mode::Connect || (mode == Mode::Rate && plan.is_fresh);
    let request = plan.request("GET", &plan.path, if fresh { "Connection: close\r\n" } else { "" });
    let count = if mode == Mode::Closed { plan.depth } else { 1 };
    let mut drive = Drive {
        plan,
        mode,
        poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        request: request.repeat(count),
        callers: Vec::with_capacity(plan.connections),
        pattern: Pattern::default(),
        scratch: vec![0; READ_BYTES],
        started: Instant::now(),
        answered: 0,
        bytes: 0,
        latency: Histogram::default(),
        lateness: Histogram::default(),
        outside: Histogram::default(),
        ahead_ns: 0,
        slow: Vec::new(),
        trouble: Trouble::default(),
        free: Vec::new(),
        to_renew: std::collections::VecDeque::new(),
    };
    for index in 0..plan.connections {
        drive.callers.push(Caller {
            socket: None,
            owed: 0,
            left: 0,
            closes: false,
            piece: Vec::new(),
            since_ns: 0,
            sent_ns: 0,
            come_ns: 0,
            waiting: std::collections::VecDeque::new(),
            unsent: 0,
            was_answered: false,
        });
        if mode == Mode::Rate && plan.is_fresh {
            drive.free.push(index);
        } else {
            drive.connect(index);
            // A queue of 4,096 newcomers fills faster than a busy server empties it.
            if index % 512 == 511 {
                drive.settle(index)?;
            }
        }
    }
    drive.settle(plan.connections - 1)?;
    if mode == Mode::Rate { drive.run_at_rate() } else { drive.run_closed() }
}

impl Drive<'_> {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Each request has a connection of its own.
    fn is_fresh(&self) -> bool {
        self.mode == Mode::Connect || (self.mode == Mode::Rate && self.plan.is_fresh)
    }

    /// Lets the connections up to `last` get through (bounded, for a server may refuse them).
    fn settle(&mut self, last: usize) -> io::Result<()> {
        let until = Instant::now() + Duration::from_secs(5);
        let mut events = Vec::with_capacity(EVENTS);
        while self.mode == Mode::Closed
            && Instant::now() < until
            && self.callers[..=last].iter().any(|caller| !caller.was_answered && caller.socket.is_some())
        {
            self.turn(&mut events, Some(Duration::from_millis(10)))?;
        }
        Ok(())
    }

    fn run_closed(&mut self) -> io::Result<Line> {
        let mut events = Vec::with_capacity(EVENTS);
        let patience = if self.plan.is_spinning { Duration::ZERO } else { Duration::from_millis(100) };
        let begin = Instant::now() + self.plan.warm;
        while Instant::now() < begin {
            self.turn(&mut events, Some(patience))?;
        }
        let watch = self.begin();
        let end = Instant::now() + self.plan.measured;
        while Instant::now() < end {
            self.turn(&mut events, Some(patience))?;
        }
        Ok(self.report(watch))
    }

    /// Requests are due by the clock. One that is due while its connection still waits for an answer waits itself,
    /// and its waiting is part of its latency.
    fn run_at_rate(&mut self) -> io::Result<Line> {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        hythe_bench::raw::share_core(100);
        if self.plan.goes_first {
            hythe_bench::raw::go_first();
        }
        let mut events = Vec::with_capacity(EVENTS);
        let step_ns = 1_000_000_000 / self.plan.rate;
        let origin_ns = self.now_ns() + 1_000_000;
        let warm_ns = origin_ns + u64::try_from(self.plan.warm.as_nanos()).unwrap_or(0);
        let end_ns = warm_ns + u64::try_from(self.plan.measured.as_nanos()).unwrap_or(0);
        let mut watch = None;
        let mut number = 0;
        loop {
            let now = self.now_ns();
            if watch.is_none() && now >= warm_ns {
                watch = Some(self.begin());
            }
            let mut due = origin_ns + number * step_ns;
            while due <= now && due < end_ns {
                self.ask_when_due(number, due);
                number += 1;
                due = origin_ns + number * step_ns;
            }
            if now >= end_ns {
                break;
            }
            // A sleep ends some microseconds late: the last of the way is spent awake.
            let rest_ns = due.saturating_sub(self.now_ns());
            let patience = if rest_ns > 60_000 { rest_ns - 50_000 } else { 0 };
            self.turn(&mut events, Some(Duration::from_nanos(patience)))?;
        }
        let watch = watch.unwrap_or_else(|| self.begin());
        let elapsed = watch.0.elapsed();
        // What is still owed gets a second to come.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until && self.callers.iter().any(|caller| caller.owed > 0) {
            self.turn(&mut events, Some(Duration::from_millis(10)))?;
        }
        let lost: usize = self.callers.iter().map(|caller| caller.owed + caller.waiting.len()).sum();
        self.trouble.unanswered += lost as u64;
        let mut line = self.report(watch);
        line.number("offered", real(self.plan.rate)).number("elapsed", elapsed.as_secs_f64());
        line.number("late_p99_us", real(self.lateness.quantile(0.99)) / 1e3);
        if self.plan.is_stamped {
            for (name, share) in [("outside_p50_us", 0.5), ("outside_p99_us", 0.99)] {
                line.number(name, real(self.outside.quantile(share)) / 1e3);
            }
            line.number("outside_max_us", real(self.outside.most()) / 1e3);
        }
        // What a tracer of the kernel goes by.
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let begun = nanoseconds(clock).saturating_sub(self.now_ns());
        for [due, sent, come, read] in self.slow.iter().map(|times| times.map(|ns| begun + ns)) {
            eprintln!("slow {due} {sent} {come} {read}");
        }
        Ok(line)
    }

    fn ask_when_due(&mut self, number: u64, due: u64) {
        if self.plan.is_fresh {
            let Some(index) = self.free.pop() else {
                self.trouble.unanswered += 1;
                return;
            };
            self.callers[index].since_ns = due;
            self.connect(index);
            return;
        }
        let index = usize::try_from(number).unwrap_or(0) % self.callers.len();
        let caller = &mut self.callers[index];
        if caller.owed > 0 || caller.socket.is_none() {
            caller.waiting.push_back(due);
        } else {
            caller.since_ns = due;
            let now = self.now_ns();
            self.callers[index].sent_ns = now;
            self.lateness.add(now.saturating_sub(due));
            self.ask(index);
        }
    }

    fn begin(&mut self) -> (Instant, Cpu, Cpu) {
        self.answered = 0;
        self.bytes = 0;
        self.latency = Histogram::default();
        self.lateness = Histogram::default();
        self.outside = Histogram::default();
        self.slow.clear();
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        self.ahead_ns = nanoseconds(clock).saturating_sub(self.now_ns());
        (Instant::now(), self.plan.watched.map(cpu).unwrap_or_default(), cpu(std::process::id()))
    }

    fn report(&mut self, (since, server, client): (Instant, Cpu, Cpu)) -> Line {
        let seconds = since.elapsed().as_secs_f64();
        let mut line = Line::default();
        line.number("requests", real(self.answered))
            .number("seconds", seconds)
            .number("requests_per_s", real(self.answered) / seconds);
        write_cpu(&mut line, self.plan, server, client, real(self.answered));
        for (name, share) in [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)] {
            line.number(name, real(self.latency.quantile(share)) / 1e3);
        }
        line.number("max_us", real(self.latency.most()) / 1e3)
            .number("answer_head_bytes", real(self.pattern.head.bytes as u64))
            .number("answer_body_bytes", real(self.pattern.head.body_bytes as u64));
        self.trouble.write(&mut line);
        line
    }

    fn turn(&mut self, events: &mut Vec<epoll::Event>, patience: Option<Duration>) -> io::Result<()> {
        wait(&self.poll, events, patience)?;
        for event in &*events {
            let index = usize::try_from(event.data.u64()).unwrap_or(0);
            self.happened(index, event.flags);
        }
        for _ in 0..self.to_renew.len() {
            let Some(index) = self.to_renew.pop_front() else { break };
            self.connect(index);
        }
        Ok(())
    }

    #[inline]
    fn happened(&mut self, index: usize, flags: epoll::EventFlags) {
        use epoll::EventFlags as On;
        if self.callers[index].unsent > 0 && flags.contains(On::OUT) {
            self.send(index);
        }
        if flags.intersects(On::IN | On::HUP | On::ERR | On::RDHUP) {
            self.read(index, flags.intersects(On::HUP | On::ERR | On::RDHUP));
        }
    }

    fn connect(&mut self, index: usize) {
        use epoll::EventFlags as On;
        let socket = match caller(self.plan.target, Tuning { is_stamped: self.plan.is_stamped, ..Tuning::default() }) {
            Ok(socket) => socket,
            Err(_) => {
                self.trouble.connect += 1;
                if self.mode == Mode::Rate && self.plan.is_fresh {
                    self.free.push(index);
                }
                return;
            }
        };
        let edges = On::IN | On::OUT | On::RDHUP | On::ET;
        if epoll::add(&self.poll, &socket, epoll::EventData::new_u64(index as u64), edges).is_err() {
            self.trouble.connect += 1;
            return;
        }
        let begun = self.now_ns();
        let is_rate = self.mode == Mode::Rate;
        let caller = &mut self.callers[index];
        caller.socket = Some(socket);
        caller.left = 0;
        caller.closes = false;
        caller.piece.clear();
        if is_rate && !self.plan.is_fresh && caller.owed == 0 {
            match caller.waiting.pop_front() {
                Some(due) => (caller.since_ns, caller.sent_ns) = (due, due),
                None => return,
            }
        } else if !is_rate && caller.owed == 0 {
            caller.since_ns = begun;
        }
        self.ask(index);
    }

    /// Sends what a connection is to ask; after a reconnect only what has not been answered.
    #[inline]
    fn ask(&mut self, index: usize) {
        let count = if self.mode == Mode::Closed { self.plan.depth } else { 1 };
        let caller = &mut self.callers[index];
        if caller.owed == 0 {
            caller.owed = count;
        }
        caller.unsent = self.request.len() / count * caller.owed;
        self.send(index);
    }

    #[inline]
    fn send(&mut self, index: usize) {
        let caller = &mut self.callers[index];
        let Some(socket) = &caller.socket else { return };
        let start = self.request.len() - caller.unsent;
        match give(socket, &self.request[start..], false) {
            Moved::Bytes(sent) => caller.unsent -= sent,
            // Still on its way: an event will say when it is writable.
            Moved::Later | Moved::Broken(rustix::io::Errno::NOTCONN) | Moved::End => {}
            Moved::Broken(error) => self.lost(index, error),
        }
    }

    #[inline]
    fn read(&mut self, index: usize, has_ended: bool) {
        loop {
            let Some(socket) = &self.callers[index].socket else { return };
            let (moved, stamp) = if self.plan.is_stamped {
                take_stamped(socket, &mut self.scratch)
            } else {
                (take(socket, &mut self.scratch, RecvFlags::empty()), None)
            };
            match moved {
                Moved::Bytes(got) => {
                    self.bytes += got as u64;
                    self.callers[index].come_ns = stamp.map_or(0, |stamp| stamp.saturating_sub(self.ahead_ns));
                    if self.heard(index, got).is_err() {
                        self.trouble.framing += 1;
                        self.renew(index);
                        return;
                    }
                    if got < READ_BYTES && !has_ended {
                        return;
                    }
                }
                Moved::Later => return,
                Moved::End => return self.ended(index),
                Moved::Broken(error) => return self.lost(index, error),
            }
        }
    }

    /// Counts the answers in the first `got` bytes of the scratch buffer.
    #[inline]
    fn heard(&mut self, index: usize, got: usize) -> Result<(), ()> {
        let mut at = 0;
        while at < got {
            if self.callers[index].left == 0 {
                let bytes = &self.scratch[at..got];
                let caller = &mut self.callers[index];
                if caller.piece.is_empty() && self.pattern.fits(bytes) {
                    at += self.pattern.head.bytes;
                    caller.left = self.pattern.head.body_bytes;
                    caller.closes = self.pattern.head.closes;
                } else {
                    at += self.study(index, at, got)?;
                    if !self.callers[index].piece.is_empty() {
                        return Ok(());
                    }
                }
            }
            let caller = &mut self.callers[index];
            let here = caller.left.min(got - at);
            caller.left -= here;
            at += here;
            if caller.left == 0 {
                self.one_answered(index);
                if self.callers[index].socket.is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes a head apart that is in pieces, or new, or different; says how many of the new bytes it used.
    #[cold]
    fn study(&mut self, index: usize, at: usize, got: usize) -> Result<usize, ()> {
        let is_fresh = self.is_fresh();
        let caller = &mut self.callers[index];
        let before = caller.piece.len();
        caller.piece.extend_from_slice(&self.scratch[at..got]);
        let Some(head) = Head::parse(&caller.piece)? else { return Ok(got - at) };
        if head.status != self.plan.expected {
            self.trouble.status += 1;
        } else if head.closes == is_fresh && self.pattern.head.bytes == 0 && caller.piece.len() >= 12 {
            self.pattern.head = head;
            self.pattern.status_line.copy_from_slice(&caller.piece[..12]);
        }
        caller.piece.clear();
        caller.left = head.body_bytes;
        caller.closes = head.closes;
        Ok(head.bytes - before)
    }

    #[inline]
    fn one_answered(&mut self, index: usize) {
        let now = self.now_ns();
        let is_fresh = self.is_fresh();
        let caller = &mut self.callers[index];
        self.answered += 1;
        caller.was_answered = true;
        caller.owed = caller.owed.saturating_sub(1);
        if caller.owed == 0 || self.plan.depth == 1 {
            self.latency.add(now.saturating_sub(caller.since_ns));
            if self.mode == Mode::Rate && !self.plan.is_fresh {
                self.outside.add(caller.come_ns.saturating_sub(caller.sent_ns));
                if now.saturating_sub(caller.since_ns) > self.plan.slow_ns {
                    self.slow.push([caller.since_ns, caller.sent_ns, caller.come_ns, now]);
                }
            }
        }
        if is_fresh {
            // The server closes; when it has, the next one comes. Whoever does not say so is closed here.
            if !caller.closes {
                self.renew(index);
            }
            return;
        }
        if caller.closes || caller.owed > 0 {
            return;
        }
        match self.mode {
            Mode::Rate => {
                let Some(due) = caller.waiting.pop_front() else { return };
                (caller.since_ns, caller.sent_ns) = (due, due);
            }
            _ => caller.since_ns = now,
        }
        self.ask(index);
    }

    /// The server has ended its half.
    fn ended(&mut self, index: usize) {
        let fresh = self.is_fresh();
        let caller = &mut self.callers[index];
        if caller.left > 0 || !caller.piece.is_empty() || (caller.owed > 0 && !caller.closes) {
            self.trouble.closed += 1;
            caller.owed = if fresh { 0 } else { caller.owed };
        } else if !fresh {
            self.trouble.reconnects += 1;
        }
        self.renew(index);
    }

    fn lost(&mut self, index: usize, error: rustix::io::Errno) {
        if self.callers[index].was_answered || error != rustix::io::Errno::CONNREFUSED {
            self.trouble.reset += 1;
        } else {
            self.trouble.connect += 1;
        }
        self.callers[index].owed = 0;
        self.renew(index);
    }

    /// Gives a connection up and takes another, if there is to be another.
    fn renew(&mut self, index: usize) {
        self.callers[index].socket = None;
        self.callers[index].piece.clear();
        self.callers[index].left = 0;
        if self.mode == Mode::Rate && self.plan.is_fresh {
            self.callers[index].owed = 0;
            self.free.push(index);
        } else {
            self.to_renew.push_back(index);
        }
    }
}

/// Downloads: the head is read and taken apart, the body is thrown away, in the kernel if that is wanted.
fn download(plan: &Plan) -> io::Result<Line> {
    use epoll::EventFlags as On;
    let request = plan.request("GET", &plan.path, "");
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut trouble = Trouble::default();
    let mut scratch = vec![0u8; plan.read_bytes.max(HEAD_BYTES_MAX)];
    let mut sockets: Vec<(Option<OwnedFd>, usize, bool)> = Vec::new();
    let open = |index: usize| -> io::Result<OwnedFd> {
        let socket = caller(plan.target, Tuning::default())?;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), On::IN | On::OUT | On::RDHUP | On::ET)?;
        Ok(socket)
    };
    for index in 0..plan.connections {
        sockets.push((Some(open(index)?), 0, false));
    }
    let mut events = Vec::with_capacity(EVENTS);
    let mut watch: Option<(Instant, Cpu, Cpu)> = None;
    let (mut bytes, mut files) = (0u64, 0u64);
    let started = Instant::now();
    let flags = if plan.is_copying { RecvFlags::empty() } else { RecvFlags::TRUNC };
    loop {
        if watch.is_none() && started.elapsed() >= plan.warm {
            watch = Some((Instant::now(), plan.watched.map(cpu).unwrap_or_default(), cpu(std::process::id())));
            (bytes, files) = (0, 0);
        }
        if watch.is_some_and(|(since, _, _)| since.elapsed() >= plan.measured) {
            break;
        }
        wait(&poll, &mut events, Some(Duration::from_millis(50)))?;
        for event in &events {
            let index = usize::try_from(event.data.u64()).unwrap_or(0);
            let (slot, left, has_asked) = &mut sockets[index];
            let mut is_lost = false;
            // At most so much per turn, so that no connection starves the others of their reader.
            while let Some(socket) = slot.as_ref() {
                if !*has_asked {
                    match give(socket, &request, false) {
                        Moved::Bytes(_) => *has_asked = true,
                        Moved::Broken(_) => is_lost = true,
                        _ => {}
                    }
                    if !*has_asked {
                        break;
                    }
                }
                let moved = if *left == 0 {
                    take(socket, &mut scratch[..HEAD_BYTES_MAX], RecvFlags::empty())
                } else {
                    let most = plan.read_bytes.min(*left);
                    take(socket, &mut scratch[..most], flags)
                };
                match moved {
                    Moved::Bytes(got) if *left == 0 => {
                        bytes += got as u64;
                        match Head::parse(&scratch[..got]) {
                            Ok(Some(head)) if head.status == plan.expected => {
                                *left = head.body_bytes.saturating_sub(got - head.bytes);
                            }
                            Ok(Some(_)) => {
                                trouble.status += 1;
                                is_lost = true;
                            }
                            _ => {
                                trouble.framing += 1;
                                is_lost = true;
                            }
                        }
                    }
                    Moved::Bytes(got) => {
                        bytes += got as u64;
                        *left -= got;
                    }
                    Moved::Later => break,
                    Moved::End => {
                        trouble.closed += u64::from(*left > 0);
                        trouble.reconnects += u64::from(*left == 0);
                        is_lost = true;
                    }
                    Moved::Broken(_) => {
                        trouble.reset += 1;
                        is_lost = true;
                    }
                }
                if is_lost {
                    break;
                }
                if *left == 0 {
                    files += 1;
                    *has_asked = false;
                }
            }
            if is_lost {
                *slot = open(index).ok();
                trouble.connect += u64::from(slot.is_none());
                (*left, *has_asked) = (0, false);
            }
        }
        if sockets.iter().all(|(slot, _, _)| slot.is_none()) {
            break;
        }
    }
    let (since, server, client) = watch.unwrap_or((started, Cpu::default(), Cpu::default()));
    let seconds = since.elapsed().as_secs_f64();
    let gib = real(bytes) / f64::from(1u32 << 30);
    let mut line = Line::default();
    line.number("gib", gib)
        .number("files", real(files))
        .number("seconds", seconds)
        .number("gib_per_s", gib / seconds)
        .number("server_s_per_gib", server_since(plan, server).total_ns as f64 / 1e9 / gib)
        .number("client_s_per_gib", cpu(std::process::id()).since(client).total_ns as f64 / 1e9 / gib);
    trouble.write(&mut line);
    Ok(line)
}

/// Opens connections, has each answered once, says so, and holds them until stdin ends.
fn idle(plan: &Plan) -> io::Result<Line> {
    use epoll::EventFlags as On;
    let request = plan.request("GET", &plan.path, "");
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut trouble = Trouble::default();
    let mut scratch = vec![0u8; READ_BYTES];
    let mut sockets: Vec<Option<OwnedFd>> = Vec::new();
    let (mut answered, mut closed) = (0, 0);
    let mut hear = |sockets: &mut Vec<Option<OwnedFd>>, trouble: &mut Trouble, patience| -> io::Result<(u64, u64)> {
        let (mut new, mut gone) = (0, 0);
        wait(&poll, &mut events, Some(patience))?;
        for event in &events {
            let slot = &mut sockets[usize::try_from(event.data.u64()).unwrap_or(0)];
            let Some(socket) = slot else { continue };
            match take(socket, &mut scratch, RecvFlags::empty()) {
                Moved::Bytes(got) => match Head::parse(&scratch[..got]) {
                    Ok(Some(head)) if head.status == plan.expected => new += 1,
                    Ok(_) => trouble.status += 1,
                    Err(()) => trouble.framing += 1,
                },
                Moved::Later => {}
                Moved::End | Moved::Broken(_) => {
                    gone += 1;
                    *slot = None;
                }
            }
        }
        Ok((new, gone))
    };
    for index in 0..plan.connections {
        let socket = caller(plan.target, Tuning::default())?;
        // Loopback connects at once or not at all; the request goes out blind.
        if !matches!(give(&socket, &request, false), Moved::Bytes(_)) {
            std::thread::sleep(Duration::from_millis(1));
            if !matches!(give(&socket, &request, false), Moved::Bytes(_)) {
                trouble.connect += 1;
            }
        }
        epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), On::IN | On::RDHUP)?;
        sockets.push(Some(socket));
        let until = Instant::now() + Duration::from_secs(2);
        while answered + closed + 256 < index as u64 && Instant::now() < until {
            let (new, gone) = hear(&mut sockets, &mut trouble, Duration::from_millis(20))?;
            answered += new;
            closed += gone;
        }
    }
    let until = Instant::now() + Duration::from_secs(5);
    while answered + closed < plan.connections as u64 && Instant::now() < until {
        let (new, gone) = hear(&mut sockets, &mut trouble, Duration::from_millis(20))?;
        answered += new;
        closed += gone;
    }
    let mut line = Line::default();
    println!("{}", line.number("ready", real(answered)).number("closed", real(closed)).finish());
    io::stdout().flush()?;
    let closed_early = closed;
    until_told(|| {
        closed += hear(&mut sockets, &mut trouble, Duration::from_millis(50))?.1;
        Ok(())
    })?;
    let mut line = Line::default();
    line.number("answered", real(answered)).number("closed_later", real(closed - closed_early));
    trouble.write(&mut line);
    Ok(line)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Siege {
    SlowHeader,
    SlowBody,
    NeverRead,
}

/// A client of a siege.
struct Besieger {
    socket: Option<OwnedFd>,
    begun: Instant,
    next: Instant,
    sent: usize,
}

/// Many clients that are slow in one way. Says how many were let in, and when each was cut.
fn besiege(plan: &Plan, kind: Siege) -> io::Result<Line> {
    use epoll::EventFlags as On;
    let bytes = match kind {
        Siege::SlowHeader => plan.request("GET", &plan.path, &format!("X-Slow: {}\r\n", "s".repeat(4000))),
        Siege::SlowBody => plan.request("POST", &plan.post, "Content-Length: 1000000\r\n"),
        Siege::NeverRead => plan.request("GET", &plan.path, ""),
    };
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut trouble = Trouble::default();
    let mut scratch = vec![0u8; 4096];
    let mut clients: Vec<Besieger> = Vec::new();
    let mut cut_after = Histogram::default();
    let mut statuses: Vec<(u64, u64)> = Vec::new();
    let tuning = if kind == Siege::NeverRead {
        Tuning { receive_buffer_bytes: Some(4096), ..Tuning::default() }
    } else {
        Tuning::default()
    };
    // Who never reads is told of the end only; the others hear what is said to them.
    let wishes = if kind == Siege::NeverRead { On::RDHUP } else { On::IN | On::RDHUP };
    for index in 0..plan.connections {
        match caller(plan.target, tuning) {
            Ok(socket) => {
                epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), wishes)?;
                let now = Instant::now();
                clients.push(Besieger { socket: Some(socket), begun: now, next: now, sent: 0 });
            }
            Err(_) => trouble.connect += 1,
        }
        if index % 200 == 199 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    println!("{}", Line::default().number("ready", real(clients.len() as u64)).finish());
    io::stdout().flush()?;
    until_told(|| {
        let now = Instant::now();
        for client in &mut clients {
            let Some(socket) = &client.socket else { continue };
            if client.next > now {
                continue;
            }
            let slice: &[u8] = match kind {
                Siege::SlowHeader => &bytes[client.sent.min(bytes.len() - 1)..][..1],
                Siege::SlowBody if client.sent >= bytes.len() => b"b",
                _ => &bytes[client.sent.min(bytes.len())..],
            };
            client.next = now + Duration::from_secs(1);
            if slice.is_empty() {
                continue;
            }
            match give(socket, slice, false) {
                Moved::Bytes(sent) => client.sent += sent,
                Moved::Later | Moved::End => {}
                Moved::Broken(_) => {
                    cut_after.add(u64::try_from(client.begun.elapsed().as_micros()).unwrap_or(0));
                    client.socket = None;
                }
            }
        }
        wait(&poll, &mut events, Some(Duration::from_millis(20)))?;
        for event in &events {
            let client = &mut clients[usize::try_from(event.data.u64()).unwrap_or(0)];
            let Some(socket) = &client.socket else { continue };
            let is_over = if kind == Siege::NeverRead {
                let flags = event.flags;
                flags.intersects(On::HUP | On::ERR | On::RDHUP)
            } else {
                match take(socket, &mut scratch, RecvFlags::empty()) {
                    Moved::Bytes(got) => {
                        if let Ok(Some(head)) = Head::parse(&scratch[..got]) {
                            match statuses.iter_mut().find(|(status, _)| *status == head.status) {
                                Some((_, count)) => *count += 1,
                                None => statuses.push((head.status, 1)),
                            }
                        }
                        false
                    }
                    Moved::Later => false,
                    Moved::End | Moved::Broken(_) => true,
                }
            };
            if is_over {
                cut_after.add(u64::try_from(client.begun.elapsed().as_micros()).unwrap_or(0));
                client.socket = None;
            }
        }
        Ok(())
    })?;
    let mut line = Line::default();
    line.number("clients", real(clients.len() as u64))
        .number("cut", real(cut_after.total()))
        .number("cut_first_s", real(cut_after.quantile(0.0)) / 1e6)
        .number("cut_p50_s", real(cut_after.quantile(0.5)) / 1e6)
        .number("cut_last_s", real(cut_after.most()) / 1e6);
    for (status, count) in statuses {
        line.number(&format!("status_{status}"), real(count));
    }
    trouble.write(&mut line);
    Ok(line)
}

/// Repeats until stdin ends.
fn until_told(mut what: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = tell.send(());
    });
    while told.try_recv().is_err() {
        what()?;
    }
    Ok(())
}

fn wait(poll: &OwnedFd, events: &mut Vec<epoll::Event>, patience: Option<Duration>) -> io::Result<()> {
    events.clear();
    let patience = patience.and_then(|time| rustix::time::Timespec::try_from(time).ok());
    match epoll::wait(poll, rustix::buffer::spare_capacity(events), patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn server_since(plan: &Plan, before: Cpu) -> Cpu {
    plan.watched.map(cpu).unwrap_or_default().since(before)
}

fn write_cpu(line: &mut Line, plan: &Plan, server: Cpu, client: Cpu, requests: f64) {
    let server = server_since(plan, server);
    let client = cpu(std::process::id()).since(client);
    let each = |spent: Cpu| if requests > 0.0 { real(spent.total_ns) / 1e3 / requests } else { 0.0 };
    line.number("server_us", each(server)).number("server_user_share", server.user_share());
    line.number("server_cpu_s", real(server.total_ns) / 1e9).number("client_us", each(client));
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

#[allow(clippy::cast_precision_loss)]
fn real(count: u64) -> f64 {
    count as f64
}
