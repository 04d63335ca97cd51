//! The crowd: listeners who count what they hear, publishers who wait for their 201, and one who looks at a page meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hythe_bench::histogram::Histogram;
use hythe_bench::net::{Moved, RecvFlags, Tuning, caller, give, take};
use hythe_bench::process::{anonymous_bytes, cpu};
use hythe_bench::report::Figures;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::dialect::Dialect;
use crate::house::House;

/// How many connect at once; more would only wait for one another.
const AT_ONCE: usize = 200;

/// How long the last messages may take to be heard.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server is warmed up, in seconds.
const WARM_UP: f64 = 0.2;

/// Bytes of a message's text.
const TEXT_BYTES: usize = 64;

/// The metric of how often the ledger has committed.
const COMMITS: &str = "ledger_commits_total";

/// When the next message is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// When all have heard the one before.
    OneInFlight,
    /// By so many publishers, each when its last is answered.
    Publishers(usize),
    /// So many a second, by up to fifty publishers.
    EverySecond(u32),
}

/// What was measured.
pub struct Outcome {
    pub messages: u64,
    pub deliveries: u64,
    pub seconds: f64,
    pub server_ns: u64,
    /// The crowd's own time: if it is all there was, the crowd was the limit, and not the server.
    pub crowd_ns: u64,
    /// How often the ledger committed; 0 where there is none.
    pub commits: u64,
    /// The server's turns meanwhile, by the bound they stayed below in milliseconds. Empty where there is no hythe.
    pub turns: Vec<(f64, u64)>,
    /// How often a listener was read and had something: how much of what was said came together.
    pub reads: u64,
    pub delays: Histogram,
    /// How long a page took meanwhile.
    pub pages: Histogram,
    /// What the server holds for one listener that hears nothing: memory of its own, without pages of the program's file, which come
    /// and go as the kernel likes.
    pub memory_bytes: f64,
    /// Messages lost, doubled or out of order.
    pub wrong: u64,
}

impl Outcome {
    /// Deliveries a second.
    pub fn rate(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }

    /// The server's CPU time for one delivery.
    pub fn cpu_ns(&self) -> f64 {
        self.server_ns as f64 / self.deliveries.max(1) as f64
    }

    /// What is told of a run.
    pub fn figures(&self) -> Figures {
        let us = |ns: u64| ns as f64 / 1e3;
        let mut figures = vec![
            ("messages_per_s", self.messages as f64 / self.seconds),
            ("deliveries_per_s", self.rate()),
            ("server_us", self.cpu_ns() / 1e3),
            ("server_busy", self.server_ns as f64 / 1e9 / self.seconds),
            ("crowd_busy", self.crowd_ns as f64 / 1e9 / self.seconds),
            ("messages_per_commit", self.messages as f64 / self.commits.max(1) as f64),
            ("messages_per_read", self.deliveries as f64 / self.reads.max(1) as f64),
            ("p50_us", us(self.delays.quantile(0.5))),
            ("p99_us", us(self.delays.quantile(0.99))),
            ("max_us", us(self.delays.most())),
            ("bytes_per_listener", self.memory_bytes),
            ("deliveries", self.deliveries as f64),
            ("wrong", self.wrong as f64),
        ];
        if let Some(&(longest, _)) = self.turns.iter().rfind(|(_, turns)| *turns > 0) {
            let over =
                |bound: f64| self.turns.iter().filter(|(of, _)| *of > bound).map(|(_, turns)| turns).sum::<u64>();
            figures.push(("longest_turn_below_ms", longest));
            figures.push(("turns", over(0.0) as f64));
            figures.push(("turns_over_5_ms", over(5.0) as f64));
        }
        if self.pages.total() > 0 {
            figures.push(("page_p99_us", us(self.pages.quantile(0.99))));
        }
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

enum Role {
    /// Listens; its answer's head has come or not, and the last id it heard.
    Listener { has_begun: bool, last: u64 },
    /// Posts; whether an answer is owed.
    Publisher { is_waiting: bool },
    /// Looks at a page; since when it waits.
    Reader { since: Option<Instant> },
}

struct Guest {
    socket: OwnedFd,
    role: Role,
    part: Vec<u8>,
}

pub struct Crowd {
    poll: OwnedFd,
    dialect: Dialect,
    guests: Vec<Guest>,
    listeners: usize,
    begun: usize,
    began: Instant,
    buffer: Vec<u8>,
    host: String,
    delays: Histogram,
    pages: Histogram,
    deliveries: u64,
    sent: u64,
    answered: u64,
    reads: u64,
    wrong: u64,
    memory_bytes: f64,
    idle: Vec<usize>,
}

impl Crowd {
    /// Has all listeners come.
    pub fn gather(house: &House, dialect: Dialect, listeners: usize) -> io::Result<Crowd> {
        let mut crowd = Crowd {
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            dialect,
            guests: Vec::new(),
            listeners,
            begun: 0,
            began: Instant::now(),
            buffer: vec![0; 64 << 10],
            host: house.address.to_string(),
            delays: Histogram::default(),
            pages: Histogram::default(),
            deliveries: 0,
            sent: 0,
            answered: 0,
            reads: 0,
            wrong: 0,
            memory_bytes: 0.0,
            idle: Vec::new(),
        };
        // The first has the server open what it needs for anybody; what is measured is one listener more.
        crowd.fill(house, 1)?;
        std::thread::sleep(Duration::from_millis(300));
        let before = anonymous_bytes(house.pid());
        crowd.fill(house, listeners)?;
        std::thread::sleep(Duration::from_millis(500));
        let more = (listeners - 1).max(1) as f64;
        crowd.memory_bytes = (anonymous_bytes(house.pid()) as f64 - before as f64) / more;
        Ok(crowd)
    }

    /// Has listeners come until there are so many.
    fn fill(&mut self, house: &House, listeners: usize) -> io::Result<()> {
        let crowd = self;
        while crowd.begun < listeners {
            while crowd.guests.len() < listeners && crowd.guests.len() < crowd.begun + AT_ONCE {
                crowd.come(house, Role::Listener { has_begun: false, last: 0 })?;
            }
            crowd.turn(Duration::from_millis(100))?;
            if crowd.began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("only {} listeners were let in", crowd.begun)));
            }
        }
        Ok(())
    }

    fn come(&mut self, house: &House, role: Role) -> io::Result<usize> {
        let socket = caller(house.address, Tuning::default())?;
        let place = self.guests.len();
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.poll, &socket, EventData::new_u64(place as u64), flags)?;
        self.guests.push(Guest { socket, role, part: Vec::new() });
        Ok(place)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sends messages at a pace for so long, then hears the last of them.
    pub fn run(mut self, house: &House, pace: Pace, seconds: f64) -> io::Result<Outcome> {
        let publishers = match pace {
            Pace::OneInFlight => 1,
            Pace::Publishers(count) => count,
            Pace::EverySecond(rate) => (rate as usize).min(50),
        };
        for _ in 0..publishers {
            let place = self.come(house, Role::Publisher { is_waiting: false })?;
            self.idle.push(place);
        }
        let reads = matches!(pace, Pace::EverySecond(5));
        let reader = if reads { Some(self.come(house, Role::Reader { since: None })?) } else { None };
        // The connections are there; a while at the same pace warms what is cold.
        self.turn(Duration::from_millis(200))?;
        self.speak(pace, reader, WARM_UP.min(seconds))?;
        (self.delays, self.pages, self.reads) = (Histogram::default(), Histogram::default(), 0);
        let (sent_before, heard_before) = (self.sent, self.deliveries);
        let (commits_before, turns_before) = (house.metric(COMMITS), house.turns());
        let (cpu_before, crowd_before, since) = (cpu(house.pid()), own_ns(), Instant::now());
        self.speak(pace, reader, seconds)?;
        let took = since.elapsed().as_secs_f64();
        let (server, crowd) = (cpu(house.pid()).since(cpu_before), own_ns().saturating_sub(crowd_before));
        let turns_after = house.turns();
        Ok(Outcome {
            messages: self.sent - sent_before,
            deliveries: self.deliveries - heard_before,
            seconds: took,
            server_ns: server.total_ns,
            crowd_ns: crowd,
            commits: house.metric(COMMITS).saturating_sub(commits_before),
            turns: each_bound(&turns_before, &turns_after),
            reads: self.reads,
            delays: self.delays,
            pages: self.pages,
            memory_bytes: self.memory_bytes,
            wrong: self.wrong,
        })
    }

    /// Sends messages at a pace for so long, then hears the last of them.
    fn speak(&mut self, pace: Pace, reader: Option<usize>, seconds: f64) -> io::Result<()> {
        let (since, sent_before) = (Instant::now(), self.sent);
        while since.elapsed().as_secs_f64() < seconds {
            let wait = match pace {
                Pace::OneInFlight => {
                    if self.deliveries == self.sent * self.listeners as u64 {
                        self.publish();
                    }
                    Duration::from_millis(100)
                }
                Pace::Publishers(_) => {
                    while self.publish() {}
                    Duration::from_millis(100)
                }
                Pace::EverySecond(rate) => {
                    let due = (since.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                    while self.sent - sent_before < due && self.publish() {}
                    Duration::from_micros(500)
                }
            };
            if let Some(reader) = reader {
                self.look(reader);
            }
            self.turn(wait)?;
        }
        // Whose message is on its way is answered still; nobody sends another.
        self.hear_all()
    }

    /// Waits until everybody has heard everything.
    fn hear_all(&mut self) -> io::Result<()> {
        let since = Instant::now();
        while self.deliveries < self.sent * self.listeners as u64 || self.answered < self.sent {
            if since.elapsed() > PATIENCE {
                let missing = self.sent * self.listeners as u64 - self.deliveries;
                return Err(io::Error::other(format!("{missing} messages were never heard")));
            }
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// One who has nothing to wait for sends the next message. False: all wait.
    fn publish(&mut self) -> bool {
        let Some(place) = self.idle.pop() else { return false };
        let text = format!("{:020} {}", self.now_ns(), "x".repeat(TEXT_BYTES - 21));
        let request = format!(
            "POST /send HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: {TEXT_BYTES}\r\n\r\n{text}",
            self.host
        );
        self.guests[place].role = Role::Publisher { is_waiting: true };
        give(&self.guests[place].socket, request.as_bytes(), false);
        self.sent += 1;
        true
    }

    fn look(&mut self, place: usize) {
        let guest = &mut self.guests[place];
        if let Role::Reader { since } = &mut guest.role
            && since.is_none()
        {
            *since = Some(Instant::now());
            let request = format!("GET /page.bin HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
            give(&guest.socket, request.as_bytes(), false);
        }
    }

    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as _ };
        match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            self.serve(event.data.u64() as usize, event.flags)?;
        }
        Ok(())
    }

    fn serve(&mut self, place: usize, flags: EventFlags) -> io::Result<()> {
        if flags.contains(EventFlags::OUT)
            && let Guest { socket, role: Role::Listener { has_begun: false, .. }, part } = &mut self.guests[place]
            && part.is_empty()
        {
            // The connection has just been made.
            give(socket, self.dialect.request(&self.host).as_bytes(), false);
            part.push(0);
        }
        if !flags.contains(EventFlags::IN) {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = loop {
            match take(&self.guests[place].socket, &mut buffer, RecvFlags::empty()) {
                Moved::Bytes(got) => {
                    self.hear(place, &buffer[..got]);
                    if got < buffer.len() {
                        break Ok(());
                    }
                }
                Moved::Later => break Ok(()),
                Moved::End => break Err(io::Error::other("somebody was turned out")),
                Moved::Broken(error) => break Err(error.into()),
            }
        };
        self.buffer = buffer;
        outcome
    }

    fn hear(&mut self, place: usize, bytes: &[u8]) {
        let now_ns = self.now_ns();
        let guest = &mut self.guests[place];
        match &mut guest.role {
            Role::Publisher { is_waiting } => {
                guest.part.extend_from_slice(bytes);
                if whole(&guest.part) {
                    self.wrong += u64::from(!guest.part.starts_with(b"HTTP/1.1 201"));
                    guest.part.clear();
                    *is_waiting = false;
                    self.answered += 1;
                    self.idle.push(place);
                }
            }
            Role::Reader { since } => {
                guest.part.extend_from_slice(bytes);
                if whole(&guest.part) {
                    guest.part.clear();
                    if let Some(since) = since.take() {
                        self.pages.add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    }
                }
            }
            Role::Listener { has_begun, last } => {
                let mut input = bytes;
                if !*has_begun {
                    // A head, and perhaps what follows it.
                    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return };
                    input = &bytes[at + 4..];
                    *has_begun = true;
                    guest.part.clear();
                    self.begun += 1;
                }
                let joined;
                if !guest.part.is_empty() {
                    guest.part.extend_from_slice(input);
                    joined = std::mem::take(&mut guest.part);
                    input = &joined;
                }
                self.reads += 1;
                while let Some((used, heard)) = self.dialect.next(input) {
                    input = &input[used..];
                    if let Some(heard) = heard {
                        self.deliveries += 1;
                        self.wrong += u64::from(heard.id != *last + 1);
                        *last = heard.id;
                        self.delays.add(now_ns.saturating_sub(heard.sent_ns));
                    }
                }
                if !input.is_empty() {
                    guest.part = input.to_vec();
                }
            }
        }
    }
}

/// What was counted between two looks at a histogram whose buckets each hold those before them: each bucket for itself.
fn each_bound(before: &[(f64, u64)], after: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let more = after.iter().zip(before).map(|(&(bound, after), &(_, before))| (bound, after - before));
    let mut so_far = 0;
    more.map(|(bound, count)| (bound, count - std::mem::replace(&mut so_far, count))).collect()
}

/// What this thread has spent of its core.
fn own_ns() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(i128::from(spent.tv_sec) * 1_000_000_000 + i128::from(spent.tv_nsec)).unwrap_or(0)
}

/// Whether an answer is all there.
fn whole(answer: &[u8]) -> bool {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    answer.len() >= at + 4 + length.unwrap_or(0)
}
