//! Uploads: bodies of a given length, as `PUT` or as a form, over any number of connections at once; each connection begins its
//! next upload when its last one is answered.
//!
//! One thread, and bytes that are made once: it is cheaper than the server it sends to, so that the server is what is measured.
//! With a pace it sends as a network would that brings so many bytes a second, in all; without one, as fast as they are taken.
//! It ends after so many uploads, or, when it holds on, when its standard input ends. One line of JSON each for the beginning and
//! the end.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hythe_bench::args::Args;
use hythe_bench::histogram::Histogram;
use hythe_bench::json::Line;
use hythe_bench::net::{Moved, RecvFlags, Tuning, caller, give, take};
use hythe_bench::process::cpu;
use rustix::event::epoll::{self, EventFlags as On};

const USAGE: &str = "uploads --target ADDRESS [options]

  --path P             where to; {} is the number of the upload (/files/{}?create=1)
  --form               a form with one file, to be overwritten, rather than PUT
  --bytes N            how long each file is (10m)
  --connections N      how many at once (1)
  --uploads N          how many in all (1)
  --hold               go on until stdin ends
  --pace N             bytes a second in all; 0 is as fast as they are taken (0)
  --watch PID          report the CPU time of this process, its threads and children";

const EVENTS: usize = 1024;
/// What is sent at once, at most.
const WINDOW: usize = 256 << 10;
/// With a pace, what is due is looked at so often.
const BEAT: Duration = Duration::from_millis(1);
/// With a pace, less than this is not worth a packet of its own.
const PACKET: u64 = 16 << 10;
const BOUNDARY: &str = "----hythe-bench-5f0e9c1d";

fn main() {
    let mut args = Args::from_env(USAGE);
    let target = match args.text("--target").unwrap_or_default().parse() {
        Ok(address) => address,
        Err(_) => args.complain("--target wants an address like 127.0.0.1:8080"),
    };
    let plan = Plan {
        target,
        path: args.text("--path").unwrap_or_else(|| "/files/{}?create=1".into()),
        is_form: args.flag("--form"),
        bytes: args.number("--bytes").unwrap_or(10 << 20).max(1),
        connections: args.count("--connections").unwrap_or(1).max(1),
        uploads: args.number("--uploads").unwrap_or(1),
        holds: args.flag("--hold"),
        pace: args.number("--pace").unwrap_or(0),
        watched: args.number("--watch").and_then(|pid| u32::try_from(pid).ok()),
    };
    let _ = args.words();
    if let Err(error) = upload(plan) {
        eprintln!("uploads: {error}");
        std::process::exit(1);
    }
}

/// What was asked for on the command line.
struct Plan {
    target: SocketAddr,
    path: String,
    is_form: bool,
    bytes: u64,
    connections: usize,
    uploads: u64,
    holds: bool,
    pace: u64,
    watched: Option<u32>,
}

impl Plan {
    /// What is sent before and after the bytes of the file.
    fn frame(&self, index: u64, bytes: u64) -> (Vec<u8>, Vec<u8>) {
        let (target, path) = (self.target, self.path.replace("{}", &index.to_string()));
        if !self.is_form {
            let head = format!("PUT {path} HTTP/1.1\r\nHost: {target}\r\nContent-Length: {bytes}\r\n\r\n");
            return (head.into_bytes(), Vec::new());
        }
        let first = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"form{index}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let last = format!("\r\n--{BOUNDARY}--\r\n");
        let length = first.len() as u64 + bytes + last.len() as u64;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {target}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
             Content-Length: {length}\r\n\r\n{first}"
        );
        (head.into_bytes(), last.into_bytes())
    }
}

/// One connection, and its upload.
#[derive(Default)]
struct Sender {
    socket: Option<OwnedFd>,
    before: Vec<u8>,
    after: Vec<u8>,
    /// How long the file between them is.
    bytes: u64,
    /// How much of all three parts has been sent.
    sent: u64,
    /// Whether an answer is owed.
    is_open: bool,
    heard: Vec<u8>,
    since: Option<Instant>,
}

impl Sender {
    /// What comes next, as far as `file` reaches; nothing at the end.
    fn next<'a>(&'a self, file: &'a [u8]) -> &'a [u8] {
        let bytes = self.bytes;
        let before = self.before.len() as u64;
        if self.sent < before {
            return &self.before[self.sent as usize..];
        }
        let at = self.sent - before;
        if at < bytes {
            return &file[..file.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX))];
        }
        &self.after[((at - bytes) as usize).min(self.after.len())..]
    }
}

struct Crowd {
    plan: Plan,
    poll: OwnedFd,
    senders: Vec<Sender>,
    file: Vec<u8>,
    begun: u64,
    done: u64,
    bytes: u64,
    refused: u64,
    lost: u64,
    took: Histogram,
}

fn upload(plan: Plan) -> io::Result<()> {
    // Whoever measures beside it, on the same core, is not to measure this.
    hythe_bench::raw::share_core(100);
    let before = plan.watched.map(cpu).unwrap_or_default();
    let since = Instant::now();
    let mut crowd = Crowd {
        poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        senders: Vec::new(),
        // No zeros: some file systems would not keep them.
        file: (0..WINDOW).map(|at| (at * 31 % 251) as u8 + 1).collect(),
        begun: 0,
        done: 0,
        bytes: 0,
        refused: 0,
        lost: 0,
        took: Histogram::default(),
        plan,
    };
    for index in 0..crowd.plan.connections {
        crowd.senders.push(Sender::default());
        crowd.connect(index)?;
        crowd.begin(index);
    }
    println!("{}", Line::default().number("ready", count(crowd.senders.len() as u64)).finish());
    io::stdout().flush()?;
    let (tell, told) = std::sync::mpsc::channel();
    if crowd.plan.holds {
        std::thread::spawn(move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            let _ = tell.send(());
        });
    }
    let mut events = Vec::with_capacity(EVENTS);
    let mut window = vec![0; 16 << 10];
    while if crowd.plan.holds { told.try_recv().is_err() } else { crowd.done + crowd.refused < crowd.plan.uploads } {
        crowd.turn(&mut events, &mut window)?;
    }
    let seconds = since.elapsed().as_secs_f64();
    let gib = crowd.bytes as f64 / f64::from(1u32 << 30);
    let spent = crowd.plan.watched.map(cpu).unwrap_or_default().since(before);
    let mut line = Line::default();
    line.number("uploads", count(crowd.done))
        .number("gib", gib)
        .number("seconds", seconds)
        .number("mib_per_s", gib * 1024.0 / seconds)
        .number("server_s_per_gib", spent.total_ns as f64 / 1e9 / gib)
        .number("server_user_share", spent.user_share())
        .number("upload_p50_ms", count(crowd.took.quantile(0.5)) / 1e6)
        .number("upload_max_ms", count(crowd.took.most()) / 1e6)
        .number("refused", count(crowd.refused))
        .number("errors", count(crowd.refused + crowd.lost));
    println!("{}", line.finish());
    Ok(())
}

impl Crowd {
    fn turn(&mut self, events: &mut Vec<epoll::Event>, window: &mut [u8]) -> io::Result<()> {
        events.clear();
        let patience = if self.plan.pace > 0 { BEAT } else { Duration::from_millis(50) };
        let patience = rustix::time::Timespec::try_from(patience).ok();
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(events), patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &*events {
            let (index, flags) = (usize::try_from(event.data.u64()).unwrap_or(0), event.flags);
            if flags.intersects(On::IN | On::HUP | On::ERR | On::RDHUP) {
                self.hear(index, window)?;
            }
            if self.plan.pace == 0 && flags.contains(On::OUT) {
                self.send(index, u64::MAX)?;
            }
        }
        if self.plan.pace > 0 {
            let each = self.plan.pace as f64 / self.senders.len() as f64;
            for index in 0..self.senders.len() {
                let sender = &self.senders[index];
                let Some(since) = sender.since.filter(|_| sender.is_open) else { continue };
                let due = (since.elapsed().as_secs_f64() * each) as u64;
                let is_last = due >= sender.bytes;
                if is_last || due.saturating_sub(sender.sent) >= PACKET {
                    self.send(index, if is_last { u64::MAX } else { due })?;
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let socket = caller(self.plan.target, Tuning::default())?;
        epoll::add(
            &self.poll,
            &socket,
            epoll::EventData::new_u64(index as u64),
            On::IN | On::OUT | On::RDHUP | On::ET,
        )?;
        self.senders[index].socket = Some(socket);
        Ok(())
    }

    /// Begins the next upload, if there is to be another.
    fn begin(&mut self, index: usize) {
        let may = self.plan.holds || self.begun < self.plan.uploads;
        // With a pace not all end at once: each is as far along as if they had come one after the other.
        let is_first = self.plan.holds && self.begun < self.plan.connections as u64;
        let bytes = if is_first && self.plan.pace > 0 {
            self.plan.bytes * (index as u64 + 1) / self.plan.connections as u64
        } else {
            self.plan.bytes
        };
        let (before, after) = self.plan.frame(self.begun, bytes);
        let sender = &mut self.senders[index];
        (sender.before, sender.after, sender.bytes) = (before, after, bytes);
        sender.sent = 0;
        sender.is_open = may;
        sender.heard.clear();
        sender.since = Some(Instant::now());
        self.begun += u64::from(may);
    }

    /// Sends on, up to so many bytes of the upload.
    fn send(&mut self, index: usize, until: u64) -> io::Result<()> {
        let sender = &mut self.senders[index];
        while sender.is_open {
            let Some(socket) = &sender.socket else { return Ok(()) };
            let next = sender.next(&self.file);
            let next =
                &next[..next.len().min(usize::try_from(until.saturating_sub(sender.sent)).unwrap_or(usize::MAX))];
            if next.is_empty() {
                return Ok(());
            }
            match give(socket, next, false) {
                Moved::Bytes(moved) => {
                    sender.sent += moved as u64;
                    self.bytes += moved as u64;
                }
                Moved::Later | Moved::End | Moved::Broken(rustix::io::Errno::NOTCONN) => return Ok(()),
                // Why is told by what can still be read.
                Moved::Broken(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, window: &mut [u8]) -> io::Result<()> {
        loop {
            let sender = &mut self.senders[index];
            let Some(socket) = &sender.socket else { return Ok(()) };
            match take(socket, window, RecvFlags::empty()) {
                Moved::Bytes(got) => sender.heard.extend_from_slice(&window[..got]),
                Moved::Later => return Ok(()),
                Moved::End | Moved::Broken(_) => {
                    self.lost += u64::from(sender.is_open);
                    self.connect(index)?;
                    self.begin(index);
                    return Ok(());
                }
            }
            let Some((status, closes)) = answer(&sender.heard) else { continue };
            let is_done = (200..300).contains(&status);
            self.done += u64::from(is_done);
            self.refused += u64::from(!is_done);
            if let Some(since) = sender.since.filter(|_| is_done) {
                self.took.add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            // A refusal comes before all has been sent: the rest of that body is not to be taken for the next request.
            if closes || !is_done {
                self.connect(index)?;
            }
            self.begin(index);
            if self.plan.pace == 0 {
                self.send(index, u64::MAX)?;
            }
        }
    }
}

/// The status of a whole answer, and whether the connection ends with it.
fn answer(heard: &[u8]) -> Option<(u16, bool)> {
    let end = heard.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&heard[..end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    if heard.len() < end + 4 + length {
        return None;
    }
    let closes = head.lines().any(|line| line == "connection: close");
    Some((head.get(9..12)?.parse().ok()?, closes))
}

#[allow(clippy::cast_precision_loss)]
fn count(number: u64) -> f64 {
    number as f64
}
