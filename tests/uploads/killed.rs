//! What is left when the server is killed: several clients upload, replace, move and remove, each in a folder of its own, while
//! the server is killed at random moments and started again. Each client knows what it was told. What it was told must be there;
//! what it was not told may have been done or not, but never by half; and nothing else may be seen.
//!
//! `KILLS=200 cargo test --test uploads killed -- --nocapture` (or `make kill`) kills more often; `SEED` sets the dice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;

use crate::share::{BYTES, MULTIPART, Says, Share, form};
use crate::wire::{Answer, Wire};

const CLIENTS: u64 = 4;
const KILLS: u64 = 6;
/// How many names a client plays with.
const NAMES: u64 = 6;

/// Dice from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Bytes that no other upload has, torn or whole.
fn content(client: u64, number: u64, length: u64) -> Vec<u8> {
    let mut dice = Dice(client << 40 | number);
    let mut bytes = format!("{client} {number}\n").into_bytes();
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&dice.below(u64::MAX).to_le_bytes());
    }
    bytes
}

/// Where the server is; `None` while it is dead.
type Address = Arc<Mutex<Option<SocketAddr>>>;

/// What lies under a name: nothing, or these bytes.
type Lies = Option<Arc<Vec<u8>>>;

struct Client {
    number: u64,
    address: Address,
    dice: Dice,
    /// What it was told.
    files: BTreeMap<String, Arc<Vec<u8>>>,
    made: u64,
    told: Arc<AtomicU64>,
}

impl Client {
    fn path(&mut self) -> String {
        format!("c{}/f{}", self.number, self.dice.below(NAMES))
    }

    fn fresh(&mut self) -> Arc<Vec<u8>> {
        self.made += 1;
        let length = [10, 1_000, 70_000, 400_000, 900_000][self.dice.below(5) as usize];
        Arc::new(content(self.number, self.made, length))
    }

    /// Asks once; `None` if there was no whole answer.
    fn ask(&self, line: &str, fields: &[&str], body: &[u8]) -> Option<Answer> {
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
        let answer = wire.hear_within(line.starts_with("HEAD"), Duration::from_secs(10)).ok()?;
        self.told.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    /// Asks until somebody answers.
    fn insist(&self, line: &str, fields: &[&str], body: &[u8]) -> Answer {
        for _ in 0..4000 {
            if let Some(answer) = self.ask(line, fields, body) {
                return answer;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("nobody answers to {line}");
    }

    /// What lies under a name now.
    fn look(&self, path: &str) -> Lies {
        let answer = self.insist(&format!("GET /files/{path}"), &[], b"");
        match answer.status {
            200 => Some(Arc::new(answer.body)),
            404 => None,
            status => panic!("{status} for {path}"),
        }
    }

    fn set(&mut self, path: &str, lies: Lies) {
        match lies {
            Some(bytes) => self.files.insert(path.to_owned(), bytes),
            None => self.files.remove(path),
        };
    }

    /// A deed that was not answered: one of these must be so, and is taken for true.
    fn find_out(&mut self, path: &str, possible: &[Lies]) {
        let lies = self.look(path);
        let fits = possible.contains(&lies);
        assert!(fits, "{path} is torn or lost: {} bytes, of {}", size(&lies), shown(possible));
        self.set(path, lies);
    }

    /// One deed.
    fn act(&mut self) {
        let path = self.path();
        let before = self.files.get(&path).cloned();
        match self.dice.below(8) {
            0 | 1 => {
                let bytes = self.fresh();
                let answer = self.ask(&format!("PUT /files/{path}?create=1"), &[BYTES], &bytes);
                self.settle(&path, before, Some(bytes), answer.as_ref(), &[200, 201]);
            }
            2 => {
                let bytes = self.fresh();
                let (folder, name) = path.split_once('/').expect("a path has a folder");
                let file = format!("name=\"file\"; filename=\"{name}\"");
                let body = form(&[("name=\"dir\"", folder.as_bytes()), (&file, &bytes)]);
                let answer = self.ask("POST /upload?on_conflict=overwrite", &[MULTIPART], &body);
                self.settle(&path, before, Some(bytes), answer.as_ref(), &[201]);
            }
            3 | 4 => self.resume(&path, before),
            5 | 6 => {
                let answer = self.ask(&format!("DELETE /files/{path}"), &[], b"");
                let expected = if before.is_some() { 200 } else { 404 };
                self.settle(&path, before, None, answer.as_ref(), &[expected]);
            }
            _ => self.rename(&path, before),
        }
    }

    /// After a deed whose answer came, what it says is so; else it is found out.
    fn settle(&mut self, path: &str, before: Lies, after: Lies, answer: Option<&Answer>, good: &[u16]) {
        match answer {
            Some(answer) => {
                assert!(good.contains(&answer.status), "{path}: {answer:?}");
                self.set(path, after);
            }
            None => self.find_out(path, &[before, after]),
        }
    }

    fn rename(&mut self, from: &str, before: Lies) {
        let to = self.path();
        if to == from {
            return;
        }
        let there = self.files.get(&to).cloned();
        let body = format!("{{\"path\":\"{to}\",\"on_conflict\":\"overwrite\"}}");
        let answer = self.ask(&format!("PATCH /files/{from}"), &["Content-Type: application/json"], body.as_bytes());
        let Some(moved) = before.clone() else {
            assert!(answer.is_none_or(|answer| answer.status == 404), "there is nothing to move at {from}");
            return;
        };
        match answer {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{from} to {to}: {answer:?}");
                self.set(from, None);
                self.set(&to, Some(moved));
            }
            None => {
                // Both have moved, or neither.
                let (source, target) = (self.look(from), self.look(&to));
                let has_moved = source.is_none() && target == Some(moved);
                assert!(has_moved || source == before && target == there, "{from} to {to} was done by half");
                self.set(from, source);
                self.set(&to, target);
            }
        }
    }

    /// An upload that goes on after each kill until it is whole.
    fn resume(&mut self, path: &str, before: Lies) {
        const TUS: &str = "Tus-Resumable: 1.0.0";
        let bytes = self.fresh();
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let (folder, name) = path.split_once('/').expect("a path has a folder");
        let metadata = format!(
            "Upload-Metadata: filename {},dir {},on_conflict {}",
            encode(name),
            encode(folder),
            encode("overwrite")
        );
        let length = format!("Upload-Length: {}", bytes.len());
        let created = self.insist("POST /tus", &[TUS, &length, &metadata], b"");
        if created.status == 429 {
            // Beginnings that were never answered have piled up.
            return;
        }
        assert_eq!(created.status, 201, "{created:?}");
        let place = created.field("location").expect("it is somewhere").to_owned();
        loop {
            let head = self.insist(&format!("HEAD {place}"), &[TUS], b"");
            assert_eq!(head.status, 200, "an upload that was begun is lost: {head:?}");
            let at: usize = head.field("upload-offset").and_then(|at| at.parse().ok()).expect("an offset is a number");
            let step = (1 + self.dice.below(300_000) as usize).min(bytes.len() - at);
            let offset = format!("Upload-Offset: {at}");
            let fields = [TUS, "Content-Type: application/offset+octet-stream", &offset];
            match self.ask(&format!("PATCH {place}"), &fields, &bytes[at..at + step]) {
                Some(answer) if answer.status == 409 && answer.code() == "wrong_offset" => {}
                Some(answer) => {
                    assert_eq!(answer.status, 204, "{answer:?}");
                    if at + step == bytes.len() {
                        return self.set(path, Some(bytes));
                    }
                }
                None => {
                    let lies = self.look(path);
                    let is_whole = lies.as_ref() == Some(&bytes);
                    assert!(is_whole || lies == before, "{path} is seen before it is whole, or lost");
                }
            }
        }
    }

    /// All that it was told is so, and nothing else is seen.
    fn check(&self) {
        for name in 0..NAMES {
            let path = format!("c{}/f{name}", self.number);
            let (told, lies) = (self.files.get(&path).cloned(), self.look(&path));
            assert!(told == lies, "{path} has {} bytes, and was told to have {}", size(&lies), size(&told));
        }
        let list = self.insist(&format!("GET /file-list?prefix=c{}", self.number), &[], b"");
        if list.status == 404 {
            return assert!(self.files.is_empty());
        }
        let list = list.json();
        let seen: Vec<&str> =
            list["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(seen, self.files.keys().collect::<Vec<_>>(), "what is seen is what was told");
    }
}

fn size(lies: &Lies) -> String {
    lies.as_ref().map_or("no".into(), |bytes| bytes.len().to_string())
}

fn shown(possible: &[Lies]) -> String {
    possible.iter().map(size).collect::<Vec<_>>().join(" or ")
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill_and_nothing_is_seen_by_half() {
    let kills = from_environment("KILLS").unwrap_or(KILLS);
    let seed = from_environment("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SEED={seed} KILLS={kills}");
    let mut share = Share::open(&[]);
    let address: Address = Arc::new(Mutex::new(Some(share.house.address())));
    let (is_over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut dice = Dice(seed);
    let clients: Vec<Client> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut client = Client {
                    number,
                    address: Arc::clone(&address),
                    dice: Dice(seed ^ number << 32),
                    files: BTreeMap::new(),
                    made: 0,
                    told: Arc::clone(&told),
                };
                let is_over = Arc::clone(&is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        client.act();
                        if client.dice.below(10) == 0 {
                            client.check();
                        }
                    }
                    client.check();
                    client
                })
            })
            .collect();
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(30 + dice.below(220)));
            *address.lock().unwrap() = None;
            share.house.kill_and_restart();
            *address.lock().unwrap() = Some(share.house.address());
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client is content")).collect()
    });
    assert!(told.load(Ordering::Relaxed) > 10 * kills, "too little was done between the kills");
    // Of all that was begun and never finished nothing is left to be seen, in hidden names neither.
    let visible = |path: &String| !path.starts_with(".hythe-tus/") && !path.ends_with('/');
    let mut expected: Vec<String> = clients.iter().flat_map(|client| client.files.keys().cloned()).collect();
    expected.sort();
    let is_so = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        share.all().into_iter().filter(visible).collect::<Vec<_>>() == expected
    });
    assert!(is_so, "{:?} instead of {expected:?}", share.all());
}
