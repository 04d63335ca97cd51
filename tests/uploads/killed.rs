//! What is left when the server is killed: several clients upload, replace, move and remove, each in a folder of its own, while
//! the server is killed at random moments and started again. Each client knows what it was told. What it was told must be there;
//! what it was not told may have been done or not, but never by half; and nothing else may be seen.
//!
//! `KILLS=200 cargo test --test uploads killed -- --nocapture` (or `make kill`) kills more often; `SEED` sets the dice.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;

use crate::mortal::{self, Dice, Line, kills_and_seed, live_through};
use crate::share::{BYTES, MULTIPART, Share, form};
use crate::wire::{Answer, comes_to_be};

const CLIENTS: u64 = 4;
const KILLS: u64 = 6;
/// How many names a client plays with.
const NAMES: u64 = 6;

/// Bytes that no other upload has, torn or whole.
fn content(client: u64, number: u64, length: u64) -> Vec<u8> {
    let mut dice = Dice(client << 40 | number);
    let mut bytes = format!("{client} {number}\n").into_bytes();
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&dice.below(u64::MAX).to_le_bytes());
    }
    bytes
}

/// What lies under a name: nothing, or these bytes.
type Lies = Option<Arc<Vec<u8>>>;

struct Client {
    number: u64,
    line: Line,
    dice: Dice,
    /// What it was told.
    files: BTreeMap<String, Arc<Vec<u8>>>,
    made: u64,
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

    /// What lies under a name now.
    fn look(&self, path: &str) -> Lies {
        let answer = self.line.insist(&format!("GET /files/{path}"), &[], b"");
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
        let answer =
            self.line.ask(&format!("PATCH /files/{from}"), &["Content-Type: application/json"], body.as_bytes());
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
        let created = self.line.insist("POST /tus", &[TUS, &length, &metadata], b"");
        if created.status == 429 {
            // Beginnings that were never answered have piled up.
            return;
        }
        assert_eq!(created.status, 201, "{created:?}");
        let place = created.field("location").expect("it is somewhere").to_owned();
        loop {
            let head = self.line.insist(&format!("HEAD {place}"), &[TUS], b"");
            assert_eq!(head.status, 200, "an upload that was begun is lost: {head:?}");
            let at: usize = head.field("upload-offset").and_then(|at| at.parse().ok()).expect("an offset is a number");
            let step = (1 + self.dice.below(300_000) as usize).min(bytes.len() - at);
            let offset = format!("Upload-Offset: {at}");
            let fields = [TUS, "Content-Type: application/offset+octet-stream", &offset];
            match self.line.ask(&format!("PATCH {place}"), &fields, &bytes[at..at + step]) {
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
}

impl mortal::Client for Client {
    fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    fn act(&mut self) {
        let path = self.path();
        let before = self.files.get(&path).cloned();
        match self.dice.below(8) {
            0 | 1 => {
                let bytes = self.fresh();
                let answer = self.line.ask(&format!("PUT /files/{path}?create=1"), &[BYTES], &bytes);
                self.settle(&path, before, Some(bytes), answer.as_ref(), &[200, 201]);
            }
            2 => {
                let bytes = self.fresh();
                let (folder, name) = path.split_once('/').expect("a path has a folder");
                let file = format!("name=\"file\"; filename=\"{name}\"");
                let body = form(&[("name=\"dir\"", folder.as_bytes()), (&file, &bytes)]);
                let answer = self.line.ask("POST /upload?on_conflict=overwrite", &[MULTIPART], &body);
                self.settle(&path, before, Some(bytes), answer.as_ref(), &[201]);
            }
            3 | 4 => self.resume(&path, before),
            5 | 6 => {
                let answer = self.line.ask(&format!("DELETE /files/{path}"), &[], b"");
                let expected = if before.is_some() { 200 } else { 404 };
                self.settle(&path, before, None, answer.as_ref(), &[expected]);
            }
            _ => self.rename(&path, before),
        }
    }

    fn check(&self) {
        for name in 0..NAMES {
            let path = format!("c{}/f{name}", self.number);
            let (told, lies) = (self.files.get(&path).cloned(), self.look(&path));
            assert!(told == lies, "{path} has {} bytes, and was told to have {}", size(&lies), size(&told));
        }
        let list = self.line.insist(&format!("GET /file-list?prefix=c{}", self.number), &[], b"");
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

#[test]
fn what_was_acknowledged_is_there_after_every_kill_and_nothing_is_seen_by_half() {
    let (kills, seed) = kills_and_seed(KILLS);
    let mut share = Share::open(&[]);
    let line = Line::to(&share.house);
    let client = |number| Client {
        number,
        line: line.clone(),
        dice: Dice(seed ^ number << 32),
        files: BTreeMap::new(),
        made: 0,
    };
    let clients = (0..CLIENTS).map(client).collect();
    let clients: Vec<Client> = live_through(&mut share.house, &line, kills, seed, clients);
    // Of all that was begun and never finished nothing is left to be seen, in hidden names neither.
    let visible = |path: &String| !path.starts_with(".hythe-tus/") && !path.ends_with('/');
    let mut expected: Vec<String> = clients.iter().flat_map(|client| client.files.keys().cloned()).collect();
    expected.sort();
    let is_so = comes_to_be(|| share.all().into_iter().filter(visible).collect::<Vec<_>>() == expected);
    assert!(is_so, "{:?} instead of {expected:?}", share.all());
}
