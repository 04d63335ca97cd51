//! Stories of uploads that continue another day: pieces that come whole, break off, do not come to their checksum or meet a disk
//! that fails; a server that is killed in the middle of one, a machine that loses power. Whatever happens, no less is there than
//! was acknowledged and no more than was sent, nothing is seen before it is whole, and in the end the file is what was sent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use hythe::reactor::slot::Brought;
use hythe::reactor::system::{Entrance, Peer};
use hythe::server::connection::Done;
use hythe::server::context::Context;
use hythe::site::resume::recovery::{Left, find_left};
use hythe::site::state::Site;
use sha2::{Digest, Sha256};

use crate::dice::{Dice, Odds};
use crate::disk::{IN_JOB, MemoryDisk};
use crate::net::Ended;
use crate::site::{Setting, on_disk};
use crate::stage::Stage;
use crate::truth::{Truth, filling};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// One upload, as its client knows it.
struct Upload {
    name: String,
    source: Vec<u8>,
    /// Whether its length is told with a piece only.
    defers: bool,
    target: Option<String>,
    /// So much has been acknowledged, and so much sent, in a way that it may be there.
    acknowledged: usize,
    sent: usize,
    /// Where it goes on, if that is known.
    offset: Option<usize>,
    /// Whether its last byte was acknowledged.
    is_done: bool,
}

impl Upload {
    fn new(dice: &mut Dice, number: u64) -> Upload {
        let length = dice.pick(&[0, 1, 1000, 70_000, 300_000, 700_000]);
        Upload {
            name: format!("upload-{number}"),
            source: filling(length, number),
            defers: dice.chance(30),
            target: None,
            acknowledged: 0,
            sent: 0,
            offset: None,
            is_done: false,
        }
    }

    /// All up to `end` was acknowledged.
    fn acknowledge(&mut self, end: usize) {
        (self.acknowledged, self.offset) = (end, Some(end));
        self.is_done = end == self.source.len();
    }

    fn creation(&self) -> Vec<u8> {
        let length = if self.defers {
            "Upload-Defer-Length: 1".to_owned()
        } else {
            format!("Upload-Length: {}", self.source.len())
        };
        let name = base64(self.name.as_bytes());
        request("POST /tus", &[&length, &format!("Upload-Metadata: filename {name}")], b"")
    }

    /// The piece from here on, with a checksum that is right, wrong or not there.
    fn piece(&self, offset: usize, end: usize, checksum: Option<bool>) -> Vec<u8> {
        let bytes = &self.source[offset..end];
        let mut fields = vec![
            "Content-Type: application/offset+octet-stream".to_owned(),
            format!("Upload-Offset: {offset}"),
            format!("Content-Length: {}", bytes.len()),
        ];
        if self.defers {
            fields.push(format!("Upload-Length: {}", self.source.len()));
        }
        if let Some(is_right) = checksum {
            let mut digest = Sha256::digest(bytes);
            digest[0] ^= u8::from(!is_right);
            fields.push(format!("Upload-Checksum: sha256 {}", base64(&digest)));
        }
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let target = self.target.as_deref().expect("it was made");
        request(&format!("PATCH {target}"), &fields, bytes)
    }
}

fn request(line: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: sim\r\nTus-Resumable: 1.0.0\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn base64(bytes: &[u8]) -> String {
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

/// The server, which is killed and started again, on a disk that stays.
struct Play {
    stage: Option<Stage<Site>>,
    setting: Setting,
    www: MemoryDisk,
    uploads: MemoryDisk,
    seed: u64,
    trace: u64,
    /// What has come back on each wire.
    heard: BTreeMap<usize, Vec<u8>>,
}

impl Play {
    fn begin(seed: u64, setting: Setting) -> Play {
        let (www, uploads) = (MemoryDisk::new(seed ^ 1, &setting.odds), MemoryDisk::new(seed ^ 4, &setting.odds));
        let mut play = Play { stage: None, setting, www, uploads, seed, trace: 0, heard: BTreeMap::new() };
        play.start(None);
        play
    }

    fn start(&mut self, wall: Option<u64>) {
        self.seed = self.seed.wrapping_add(1 << 32);
        self.heard.clear();
        let truth = Rc::new(RefCell::new(Truth::default()));
        let mut stage = on_disk(self.seed, &self.setting, self.www.clone(), self.uploads.clone(), truth);
        let wall = {
            let mut net = stage.net.borrow_mut();
            net.wall = wall.unwrap_or(net.wall);
            hythe::clock::Wall::from_millis(net.wall)
        };
        // What a start finds it finds before the loop begins.
        self.uploads.calm();
        IN_JOB.set(true);
        let left = find_left(&self.uploads, wall);
        IN_JOB.set(false);
        self.uploads.set_odds(&self.setting.odds);
        let (house, _) = stage.reactor.parts();
        let files = house.state.parts().files.as_mut().expect("there are files");
        for Left { id, state, came, is_finished, is_elsewhere } in left {
            files.partials.found(id, state, came, is_finished);
            files.partials.elsewhere.extend(is_elsewhere.then_some(id));
        }
        self.stage = Some(stage);
    }

    fn stage(&mut self) -> &mut Stage<Site> {
        self.stage.as_mut().expect("the server runs")
    }

    /// The process ends where it is; perhaps the machine too.
    fn kill(&mut self, loses_power: bool) {
        let stage = self.stage.take().expect("the server runs");
        let wall = stage.net.borrow().wall;
        self.trace = self.trace.rotate_left(7) ^ stage.strike();
        if loses_power {
            self.uploads.lose_power();
        }
        self.start(Some(wall));
    }

    /// So much time passes, and then a minute is over.
    fn pass(&mut self, ms: u64) {
        let stage = self.stage();
        stage.net.borrow_mut().wall += ms;
        let look = |site: &mut Site, cx: &mut Context<'_>| {
            if let Some(files) = site.parts().files {
                files.partials.look_at = cx.now;
            }
            cx.wake_at(cx.now);
            hythe::Fault::not_found().into()
        };
        stage.reactor.system().bring(Brought::News(Done::Step(Box::new(look))));
        (0..20).for_each(|_| stage.turn());
    }

    fn come(&mut self) -> usize {
        let peer = Peer { ip: [127, 0, 0, 1].into(), port: 1, entrance: Entrance::Plain };
        self.stage().net.borrow_mut().connect(peer)
    }

    /// Says this much, as fast as it is taken. Gives the answer if one has come by then.
    fn say(&mut self, wire: usize, bytes: &[u8]) -> Option<Answer> {
        let mut said = 0;
        for _ in 0..20_000 {
            let stage = self.stage();
            said += stage.net.borrow_mut().deliver(wire, &bytes[said..]);
            if said == bytes.len() {
                return None;
            }
            stage.turn();
            if let Some(answer) = self.hear(wire) {
                return Some(answer);
            }
        }
        panic!("it is not taken: {said} of {} bytes", bytes.len());
    }

    /// What has come back on a wire on which one answer is expected.
    fn hear(&mut self, wire: usize) -> Option<Answer> {
        let (bytes, ended) = self.stage().net.borrow_mut().take(wire, usize::MAX);
        let heard = self.heard.entry(wire).or_default();
        heard.extend_from_slice(&bytes);
        let text = String::from_utf8_lossy(heard);
        let answer = text.split_once("\r\n\r\n").map(|(head, _)| Answer::Told(head.to_owned()));
        answer.or((ended != Ended::No).then_some(Answer::Lost))
    }

    /// One request on a wire of its own.
    fn ask(&mut self, bytes: &[u8]) -> Answer {
        let wire = self.come();
        let early = self.say(wire, bytes);
        let answer = early.or_else(|| {
            (0..20_000).find_map(|_| {
                self.stage().turn();
                self.hear(wire)
            })
        });
        self.stage().net.borrow_mut().reset(wire);
        answer.expect("everybody is answered")
    }
}

/// What becomes of a request.
#[derive(Debug)]
enum Answer {
    /// The head of an answer.
    Told(String),
    /// The connection has ended.
    Lost,
}

impl Answer {
    fn status(&self) -> u16 {
        let Answer::Told(head) = self else { return 0 };
        head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let Answer::Told(head) = self else { return None };
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn offset(&self) -> Option<usize> {
        self.field("Upload-Offset")?.parse().ok()
    }
}

/// Where an upload goes on.
fn look(play: &mut Play, upload: &mut Upload) {
    let Some(target) = upload.target.clone() else { return };
    let answer = play.ask(&request(&format!("HEAD {target}"), &[], b""));
    match (answer.status(), answer.offset()) {
        (200, Some(offset)) => {
            assert!(
                (upload.acknowledged..=upload.sent).contains(&offset),
                "{} is said to have {offset} bytes; {} were acknowledged and {} sent",
                upload.name,
                upload.acknowledged,
                upload.sent
            );
            // What is told is there, but only what was acknowledged is safe from a loss of power.
            upload.offset = Some(offset);
        }
        (0 | 500 | 503 | 507, _) => {}
        _ => panic!("{}: {answer:?}", upload.name),
    }
}

fn create(play: &mut Play, upload: &mut Upload) {
    let answer = play.ask(&upload.creation());
    match answer.status() {
        201 => {
            let location = answer.field("Location").expect("a new upload has a place");
            let path = location.find("/tus/").expect("among the others");
            (upload.target, upload.offset) = (Some(location[path..].to_owned()), Some(0));
            upload.is_done = upload.source.is_empty() && !upload.defers;
        }
        0 | 500 | 503 | 507 => {}
        _ => panic!("{answer:?}"),
    }
}

/// A piece: whole, broken off, or with the wrong checksum; and perhaps the server is killed in the middle of it.
fn send(play: &mut Play, upload: &mut Upload, dice: &mut Dice) {
    let Some(offset) = upload.offset.take() else { return look(play, upload) };
    let rest = upload.source.len() - offset;
    let end = offset + if dice.chance(50) { rest } else { dice.index(rest + 1) };
    // Of nothing there is nothing to be wrong.
    let checksum = dice.pick(&[None, None, Some(true), Some(end == offset)]);
    let bytes = upload.piece(offset, end, checksum);
    // Of a piece that does not come to its checksum nothing is ever there.
    if checksum != Some(false) {
        upload.sent = upload.sent.max(end);
    }
    let wire_ends = dice.below(4);
    if wire_ends < 2 {
        let answer = play.ask(&bytes);
        match (answer.status(), answer.offset()) {
            (204, Some(now)) => {
                assert!(checksum != Some(false) && now == end, "{offset} to {end}, {checksum:?}: {answer:?}");
                upload.acknowledge(end);
            }
            (460, _) => assert_eq!(checksum, Some(false), "{answer:?}"),
            // A disk that fails; a client that was too slow for it; one that had it wrong where it goes on.
            (0 | 408 | 409 | 423 | 500 | 503 | 507, _) => {}
            _ => panic!("{answer:?}"),
        }
        return;
    }
    let wire = play.come();
    let part = dice.index(bytes.len() + 1);
    let _ = play.say(wire, &bytes[..part]);
    (0..dice.below(6)).for_each(|_| play.stage().turn());
    if wire_ends == 2 {
        play.stage().net.borrow_mut().reset(wire);
        (0..dice.below(3)).for_each(|_| play.stage().turn());
    } else {
        play.kill(dice.chance(40));
    }
}

/// What nobody may see yet is not there, and what is there is right.
fn check(play: &Play, uploads: &[Upload]) {
    for upload in uploads {
        if let Some(bytes) = play.uploads.get(&upload.name) {
            let is_sent = upload.sent == upload.source.len();
            assert!(is_sent, "{} is there before all of it was sent", upload.name);
            assert!(bytes == upload.source, "{} is not what was sent", upload.name);
        }
        assert!(!upload.is_done || play.uploads.get(&upload.name).is_some(), "{} is not there", upload.name);
    }
}

pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed);
    let mut odds = Odds::of(&mut dice);
    // Everything is tried again here, and time passes only as the story says.
    (odds.help_held, odds.batch_lost, odds.wall_jumps, odds.accept_fails, odds.watch_fails) = (0, 0, 0, 0, 0);
    (odds.oversleep_ms, odds.inbound_room) = (odds.oversleep_ms.min(300), odds.inbound_room.max(64 << 10));
    if is_loud {
        eprintln!("{odds:#?}");
    }
    let mut play = Play::begin(seed, Setting { odds, keepalive_requests: 0, ..Setting::calm() });
    let mut uploads: Vec<Upload> = (0..dice.between(1, 3)).map(|number| Upload::new(&mut dice, number)).collect();
    for _ in 0..dice.between(5, 40) {
        let at = dice.index(uploads.len());
        let upload = &mut uploads[at];
        match dice.below(10) {
            _ if upload.target.is_none() => create(&mut play, upload),
            0 => look(&mut play, upload),
            1 => {
                play.kill(dice.chance(50));
                upload.offset = None;
            }
            _ => send(&mut play, upload, &mut dice),
        }
        // Where they go on may be another place now.
        if dice.chance(30) {
            uploads.iter_mut().for_each(|upload| upload.offset = None);
        }
        check(&play, &uploads);
    }
    let gives_up = dice.chance(20);
    if gives_up {
        play.setting.odds = Odds::calm();
        play.stage().calm_down();
        // Nobody is at any of them any more.
        assert!(play.stage().run(20_000, 60_000, |stage| stage.reactor.connections() == 0));
        (0..50).for_each(|_| play.stage().turn());
        play.pass(25 * HOUR_MS);
        assert_eq!(play.uploads.partials(), 0, "nobody waits for them any more");
    } else {
        play.setting.odds = Odds::calm();
        play.stage().calm_down();
        for upload in &mut uploads {
            if upload.target.is_none() {
                create(&mut play, upload);
            }
            for _ in 0..3 {
                upload.offset = None;
                look(&mut play, upload);
                let offset = upload.offset.expect("nothing goes wrong any more");
                upload.sent = upload.source.len();
                let answer = play.ask(&upload.piece(offset, upload.source.len(), None));
                assert!(matches!(answer.status(), 204 | 409 | 423), "{answer:?}");
                if answer.status() == 204 {
                    upload.acknowledge(upload.source.len());
                    break;
                }
            }
            assert!(upload.is_done, "{} does not come to its end", upload.name);
        }
        check(&play, &uploads);
    }
    let mut stage = play.stage.take().expect("the server runs");
    stage.empty();
    play.trace.rotate_left(7) ^ stage.strike()
}

/// An upload is made, and the first byte of a piece of two has come.
fn begun() -> (Play, String, usize) {
    let mut play = Play::begin(1, Setting::calm());
    let answer = play.ask(&request("POST /tus", &["Upload-Length: 2"], b""));
    assert_eq!(answer.status(), 201, "{answer:?}");
    let target = answer.field("Location").expect("it has a place").to_owned();
    let target = target[target.find("/tus/").expect("among the others")..].to_owned();
    // Nearly all of its time passes.
    play.stage().net.borrow_mut().wall += 23 * HOUR_MS;
    let wire = play.come();
    let fields = ["Content-Type: application/offset+octet-stream", "Upload-Offset: 0", "Content-Length: 2"];
    let piece = request(&format!("PATCH {target}"), &fields, b"1");
    assert!(play.say(wire, &piece).is_none());
    (0..10).for_each(|_| play.stage().turn());
    (play, target, wire)
}

#[test]
fn the_minute_that_sweeps_takes_no_upload_of_which_a_piece_is_coming() {
    // It was waited for until an hour after the piece began; and a piece may take longer than any upload is waited for.
    for hours in [2, 25] {
        let (mut play, target, wire) = begun();
        play.pass(hours * HOUR_MS);
        assert_eq!(play.uploads.partials(), 1, "after {hours} hours");
        assert!(play.say(wire, b"2").is_none());
        let answer = (0..100).find_map(|_| {
            play.stage().turn();
            play.hear(wire)
        });
        let answer = answer.expect("it is answered");
        assert_eq!((answer.status(), answer.offset()), (204, Some(2)), "after {hours} hours: {answer:?}");
        assert_eq!(play.ask(&request(&format!("HEAD {target}"), &[], b"")).status(), 200);
        play.stage.take().expect("the server runs").strike();
    }
}

#[test]
fn the_minute_that_sweeps_takes_what_nobody_goes_on_with() {
    let (mut play, target, wire) = begun();
    play.stage().net.borrow_mut().reset(wire);
    play.pass(0);
    play.pass(23 * HOUR_MS);
    assert_eq!(play.uploads.partials(), 1, "a piece of it came less than a day ago");
    let answer = play.ask(&request(&format!("HEAD {target}"), &[], b""));
    assert_eq!((answer.status(), answer.offset()), (200, Some(1)), "{answer:?}");
    play.pass(2 * HOUR_MS);
    assert_eq!(play.uploads.partials(), 0);
    assert_eq!(play.ask(&request(&format!("HEAD {target}"), &[], b"")).status(), 404);
    play.stage.take().expect("the server runs").strike();
}

#[test]
fn a_piece_that_was_not_checked_does_not_count_though_the_disk_will_not_let_go_of_it() {
    let mut play = Play::begin(1, Setting::calm());
    let mut upload = Upload { name: "a".into(), source: filling(600_000, 1), ..Upload::new(&mut Dice::new(1), 1) };
    upload.defers = false;
    create(&mut play, &mut upload);
    // What is more than one window is on the disk when the last one does not come through.
    let piece = upload.piece(0, upload.source.len(), Some(true));
    let wire = play.come();
    assert!(play.say(wire, &piece[..550_000]).is_none());
    (0..5).for_each(|_| play.stage().turn());
    play.uploads.set_odds(&Odds { disk_fails: 100, ..Odds::calm() });
    let _ = play.say(wire, &piece[550_000..]);
    let answer = (0..100).find_map(|_| {
        play.stage().turn();
        play.hear(wire)
    });
    assert_eq!(answer.expect("it is answered").status(), 500);
    play.uploads.calm();
    look(&mut play, &mut upload);
    assert_eq!(upload.offset, Some(0));
    // And it is gone from the disk before another comes in its place.
    let whole = play.ask(&upload.piece(0, upload.source.len(), Some(true)));
    assert_eq!(whole.status(), 204, "{whole:?}");
    assert_eq!(play.uploads.get("a"), Some(upload.source));
    play.stage.take().expect("the server runs").strike();
}

#[test]
fn stories_that_ended_badly_once_end_well() {
    // A piece that could not be taken back counted; what was cut off counted as synced.
    for seed in [608, 1436, 1775] {
        story(seed, false);
    }
}
