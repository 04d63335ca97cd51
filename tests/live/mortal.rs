//! A server that is killed at random moments and started again, and clients who go on asking it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::house::House;
use crate::wire::{Answer, Wire};

/// Dice from a seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The way to a server that may be dead.
#[derive(Clone)]
pub struct Line {
    /// Where it is; `None` while it is dead.
    address: Arc<Mutex<Option<SocketAddr>>>,
    told: Arc<AtomicU64>,
}

impl Line {
    pub fn to(house: &House) -> Line {
        Line { address: Arc::new(Mutex::new(Some(house.address()))), told: Arc::default() }
    }

    /// Asks once; `None` if there was no whole answer. Who lives is waited for, however busy the machine is: what they are at may
    /// still come about.
    pub fn ask(&self, line: &str, fields: &[&str], body: &[u8]) -> Option<Answer> {
        let address = (*self.address.lock().unwrap())?;
        let mut wire = Wire::try_to_connect(address).ok()?;
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = if body.is_empty() && line.starts_with(['G', 'H']) {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let head = format!("{line} HTTP/1.1\r\nHost: {address}\r\n{fields}{length}\r\n");
        let _ = wire.send_quietly(&[head.as_bytes(), body].concat());
        let answer = wire.hear_within(line.starts_with("HEAD"), Duration::from_secs(60)).ok()?;
        self.told.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    /// Asks until somebody answers.
    pub fn insist(&self, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        for _ in 0..12_000 {
            if let Some(answer) = self.ask(line, fields, body) {
                return answer;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("nobody answers to {line}");
    }
}

/// A client of a mortal server.
pub trait Client: Send {
    /// One deed.
    fn act(&mut self);
    /// All that it was told is so, and nothing else.
    fn check(&self);
    /// Its dice.
    fn dice(&mut self) -> &mut Dice;
}

/// How often the server is killed (`KILLS`), and with which dice (`SEED`).
pub fn kills_and_seed(usual: u64) -> (u64, u64) {
    let number =
        |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")));
    let kills = number("KILLS").unwrap_or(usual);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SEED={seed} KILLS={kills}");
    (kills, seed)
}

/// Has the clients act and check while the server is killed so often; gives them back when they have checked once more.
pub fn live_through<C: Client>(house: &mut House, line: &Line, kills: u64, seed: u64, clients: Vec<C>) -> Vec<C> {
    let is_over = AtomicBool::new(false);
    let mut dice = Dice(seed);
    let clients = thread::scope(|scope| {
        let clients: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        client.act();
                        if client.dice().below(10) == 0 {
                            client.check();
                        }
                    }
                    client.check();
                    client
                })
            })
            .collect();
        for _ in 0..kills {
            let told = line.told.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(30 + dice.below(220)));
            // On a busy machine that may be too short for anything to be lost.
            for _ in 0..6000 {
                if line.told.load(Ordering::Relaxed) > told + 10 {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            *line.address.lock().unwrap() = None;
            house.kill_and_restart();
            *line.address.lock().unwrap() = Some(house.address());
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client is content")).collect()
    });
    assert!(line.told.load(Ordering::Relaxed) > 10 * kills, "too little was done between the kills");
    clients
}
