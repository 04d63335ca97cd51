//! A flood of sign-ins: every connection tries the next name as soon as the last one is answered, until stdin ends. Each name is
//! one that nobody has, so each try that is let through costs a hash.
//!
//! It has a machine of its own in the world: here it takes what whoever measures leaves of their core.
//!
//! It says when it has begun, and at the end how often it was answered what, in one line of JSON each.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hythe_bench::args::Args;
use hythe_bench::json::Line;
use hythe_bench::net::{Moved, RecvFlags, Tuning, caller, give, take};
use hythe_bench::raw;
use rustix::event::epoll;

const USAGE: &str = "logins --target ADDRESS [options]

  --connections N      200
  --watch PID          taken for the likeness with load, and not used";

const EVENTS: usize = 1024;

fn main() {
    let mut args = Args::from_env(USAGE);
    let target = match args.text("--target").unwrap_or_default().parse() {
        Ok(address) => address,
        Err(_) => args.complain("--target wants an address like 127.0.0.1:8080"),
    };
    let connections = args.count("--connections").unwrap_or(200).max(1);
    let _ = args.text("--watch");
    raw::give_way();
    if let Err(error) = flood(target, connections) {
        eprintln!("logins: {error}");
        std::process::exit(1);
    }
}

/// One who tries.
#[derive(Default)]
struct Guesser {
    socket: Option<OwnedFd>,
    /// What has come of the answer.
    heard: Vec<u8>,
}

struct Flood {
    target: SocketAddr,
    poll: OwnedFd,
    guessers: Vec<Guesser>,
    tries: u64,
    statuses: BTreeMap<u16, u64>,
    reconnects: u64,
}

fn flood(target: SocketAddr, connections: usize) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let guessers = (0..connections).map(|_| Guesser::default()).collect();
    let mut flood = Flood { target, poll, guessers, tries: 0, statuses: BTreeMap::new(), reconnects: 0 };
    for index in 0..connections {
        flood.connect(index)?;
    }
    println!("{}", Line::default().number("ready", count(connections as u64)).finish());
    io::stdout().flush()?;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = tell.send(());
    });
    let mut events = Vec::with_capacity(EVENTS);
    let mut window = vec![0; 64 << 10];
    while told.try_recv().is_err() {
        events.clear();
        let patience = rustix::time::Timespec::try_from(Duration::from_millis(50)).ok();
        match epoll::wait(&flood.poll, rustix::buffer::spare_capacity(&mut events), patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            flood.hear(usize::try_from(event.data.u64()).unwrap_or(0), &mut window)?;
        }
    }
    let mut line = Line::default();
    line.number("tries", count(flood.tries)).number("reconnects", count(flood.reconnects));
    let answered = flood.statuses.values().sum();
    line.number("answered", count(answered));
    for status in [401, 429, 503] {
        let times = flood.statuses.remove(&status).unwrap_or(0);
        line.number(&format!("status_{status}"), count(times));
    }
    line.number("status_other", count(flood.statuses.values().sum()));
    println!("{}", line.finish());
    Ok(())
}

impl Flood {
    fn connect(&mut self, index: usize) -> io::Result<()> {
        let socket = caller(self.target, Tuning::default())?;
        let on = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        epoll::add(&self.poll, &socket, epoll::EventData::new_u64(index as u64), on)?;
        self.guessers[index] = Guesser { socket: Some(socket), heard: Vec::new() };
        self.guess(index);
        Ok(())
    }

    fn guess(&mut self, index: usize) {
        self.tries += 1;
        let body = format!("{{\"username\":\"nobody{}\",\"password\":\"wrong password\"}}", self.tries);
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.target,
            body.len()
        );
        if let Some(socket) = &self.guessers[index].socket {
            // Loopback connects at once, and so few bytes always fit; what is lost is seen when the connection ends.
            let _ = give(socket, request.as_bytes(), false);
        }
    }

    fn hear(&mut self, index: usize, window: &mut [u8]) -> io::Result<()> {
        let guesser = &mut self.guessers[index];
        let Some(socket) = &guesser.socket else { return Ok(()) };
        match take(socket, window, RecvFlags::empty()) {
            Moved::Bytes(got) => guesser.heard.extend_from_slice(&window[..got]),
            Moved::Later => return Ok(()),
            Moved::End | Moved::Broken(_) => {
                self.reconnects += 1;
                return self.connect(index);
            }
        }
        let Some(status) = whole(&guesser.heard) else { return Ok(()) };
        guesser.heard.clear();
        *self.statuses.entry(status).or_default() += 1;
        self.guess(index);
        Ok(())
    }
}

/// The status of an answer that is all there.
fn whole(heard: &[u8]) -> Option<u16> {
    let end = heard.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&heard[..end]).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    (heard.len() >= end + length.trim().parse::<usize>().ok()?).then_some(())?;
    head.get(9..12)?.parse().ok()
}

#[allow(clippy::cast_precision_loss)]
fn count(number: u64) -> f64 {
    number as f64
}
