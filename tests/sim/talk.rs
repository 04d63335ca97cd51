//! Stories of the chat: some speak and some take back what was said, in several rooms; others hear, by polls, event streams and
//! WebSockets, break off, fall asleep, are turned out for being slow, and come again with the last id they heard. Each keeps
//! its own books, and holds them against what the ledger has kept: what is heard is kept, in the right room and as it was said, in
//! the order of the ids, once, and nothing is left out; and who has heard a message that is then taken back is told.

use std::collections::{BTreeMap, BTreeSet};

use hythe::reactor::system::{Entrance, Peer, Signal};
use hythe::site::state::Site;
use serde_json::{Value, json};

use crate::answer::{Answer, Reader, Said};
use crate::dice::Dice;
use crate::net::{Ended, Net};
use crate::site::{self, OPERATOR, Setting};
use crate::stage::Stage;
use crate::truth::Truth;

const ROOMS: [&str; 3] = ["lobby", "den", "hall"];

/// How somebody takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Asks again and again what is new.
    Poll,
    /// Listens to an event stream.
    Events,
    /// Listens to a WebSocket, and may speak up it.
    Socket,
    /// Speaks by POST, and may take back what it said.
    Post,
}

/// One connection of somebody.
#[derive(Debug, Default)]
struct Link {
    wire: usize,
    outgoing: Vec<u8>,
    reader: Reader,
    /// Whether a stream has begun.
    is_open: bool,
    /// What had been told to anybody when it was asked for, and what was kept when it began.
    told: i64,
    kept: i64,
    /// Bytes of a stream that are no whole event or frame yet.
    unread: Vec<u8>,
    /// A close frame has come.
    closed: Option<u16>,
    /// What was asked and is not answered.
    asked: Option<Asked>,
    /// What was said up a socket, by its `ref`.
    unsure: BTreeMap<u64, (String, String)>,
    pongs_owed: usize,
}

#[derive(Debug)]
enum Asked {
    News,
    Say(String, String),
    TakeBack(i64),
}

#[derive(Debug)]
struct Person {
    number: u64,
    way: Way,
    rooms: Vec<&'static str>,
    link: Option<Link>,
    next_at: u64,
    pause_ms: u64,
    gulp: usize,
    /// Out of a hundred deeds, so many are to break off; and so many to fall asleep.
    breaks: u32,
    sleeps: u32,
    sleeps_until: u64,
    /// What it has still to say.
    words: u32,
    said: u64,
    /// Its own messages, which it may take back.
    mine: Vec<i64>,
    /// All in its rooms up to here has been heard; `None` until the first is.
    since: Option<i64>,
    heard: BTreeSet<i64>,
    gone: BTreeSet<i64>,
    is_calm: bool,
    /// It wants nothing more.
    is_leaving: bool,
    is_draining: bool,
}

impl Person {
    fn of(dice: &mut Dice, number: u64, now: u64) -> Person {
        let way = dice.pick(&[Way::Poll, Way::Events, Way::Socket, Way::Socket, Way::Post]);
        let mut rooms = ROOMS.to_vec();
        dice.shuffle(&mut rooms);
        rooms.truncate(if way == Way::Poll { 1 } else { 1 + dice.index(3) });
        // Most have something in common.
        if dice.chance(50) {
            rooms = vec!["lobby"];
        }
        let is_new = way != Way::Poll && dice.chance(50);
        Person {
            number,
            way,
            rooms,
            link: None,
            next_at: now + dice.pick(&[0, 0, 10, 300]),
            pause_ms: dice.pick(&[0, 1, 10, 60]),
            gulp: dice.pick(&[1, 100, 4 << 10, usize::MAX, usize::MAX]),
            breaks: dice.pick(&[0, 0, 1, 5]),
            sleeps: dice.pick(&[0, 0, 0, 1, 5]),
            sleeps_until: 0,
            words: match way {
                Way::Post => dice.between(1, 30) as u32,
                Way::Socket => dice.pick(&[0, 0, 3, 20]),
                _ => 0,
            },
            said: 0,
            mine: Vec::new(),
            since: (!is_new).then_some(0),
            heard: BTreeSet::new(),
            gone: BTreeSet::new(),
            is_calm: false,
            is_leaving: false,
            is_draining: false,
        }
    }

    fn calm_down(&mut self, now: u64) {
        self.is_calm = true;
        self.pause_ms = 1;
        self.gulp = usize::MAX;
        self.sleeps_until = 0;
        self.next_at = self.next_at.min(now + 1);
    }

    /// Whether there is nothing more that it could hear or has to do.
    fn is_content(&self, truth: &Truth) -> bool {
        let Some(link) = &self.link else { return false };
        let has_heard = match self.way {
            Way::Post => link.asked.is_none(),
            Way::Poll => !self.misses(link, truth),
            Way::Events | Way::Socket => {
                link.is_open && link.unread.is_empty() && link.pongs_owed == 0 && !self.misses(link, truth)
            }
        };
        let has_been_told = self.heard.iter().all(|id| !truth.erased.contains(id) || self.gone.contains(id));
        has_heard && self.words == 0 && link.unsure.is_empty() && (has_been_told || self.way == Way::Poll)
    }

    fn misses(&self, link: &Link, truth: &Truth) -> bool {
        let from = self.since.unwrap_or(link.kept);
        (from + 1..=truth.last()).any(|id| truth.stands_in(id, &self.rooms))
    }

    fn step(&mut self, net: &mut Net, truth: &mut Truth, dice: &mut Dice) {
        self.next_at = net.now + 1 + dice.below(self.pause_ms + 1);
        if self.is_leaving && self.link.is_none() {
            return;
        }
        let Some(mut link) = self.link.take() else {
            let peer = Peer { ip: [127, 0, 0, 1].into(), port: 2000 + self.number as u16, entrance: Entrance::Plain };
            self.link = Some(Link { wire: net.connect(peer), told: truth.told, ..self.begin() });
            return;
        };
        if !self.is_calm && dice.chance(self.breaks) {
            if dice.chance(50) {
                net.reset(link.wire)
            } else {
                net.shut(link.wire)
            }
            self.next_at += dice.pick(&[0, 20, 2_000]);
            return;
        }
        if !self.is_calm && dice.chance(self.sleeps) {
            self.sleeps_until = net.now + dice.pick(&[50, 2_000, 70_000]);
        }
        if net.now < self.sleeps_until {
            self.link = Some(link);
            return;
        }
        let (bytes, ended) = net.take(link.wire, self.gulp);
        link.reader.feed(&bytes);
        while let Some(said) = link.reader.next(false) {
            self.take_in(said, &mut link, truth);
        }
        if ended != Ended::No {
            self.farewell(&link, ended, truth);
            if ended == Ended::Fin && !net.is_closed(link.wire) {
                net.shut(link.wire);
            }
            return;
        }
        self.speak(&mut link, truth, dice);
        if !link.outgoing.is_empty() {
            let piece = if self.is_calm { link.outgoing.len() } else { 1 + dice.index(link.outgoing.len()) };
            let taken = net.deliver(link.wire, &link.outgoing[..piece]);
            link.outgoing.drain(..taken);
        }
        self.link = Some(link);
    }

    /// What is asked first on a new connection.
    fn begin(&self) -> Link {
        let rooms = self.rooms.join(",");
        let since = self.since.map_or(String::new(), |since| format!("&since={since}"));
        let head = match self.way {
            Way::Events if self.number.is_multiple_of(2) && self.since.is_some() => format!(
                "GET /events?room={rooms} HTTP/1.1\r\nHost: sim\r\nLast-Event-ID: {}\r\n\r\n",
                self.since.unwrap_or_default()
            ),
            Way::Events => format!("GET /events?room={rooms}{since} HTTP/1.1\r\nHost: sim\r\n\r\n"),
            Way::Socket => format!(
                "GET /ws?room={rooms}{since} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            Way::Poll | Way::Post => String::new(),
        };
        Link { outgoing: head.into_bytes(), ..Link::default() }
    }

    /// What it says next, if it is its turn.
    fn speak(&mut self, link: &mut Link, truth: &Truth, dice: &mut Dice) {
        if !link.outgoing.is_empty() || link.closed.is_some() || link.reader.is_over() {
            return;
        }
        match self.way {
            Way::Poll if link.asked.is_none() => {
                let (room, since) = (self.rooms[0], self.since.unwrap_or(0));
                let (limit, wait) = (dice.pick(&[1, 3, 100]), if self.is_calm { 0 } else { dice.pick(&[0, 1, 20]) });
                let target = format!("/messages?room={room}&since={since}&limit={limit}&wait={wait}");
                link.outgoing = format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n").into_bytes();
                link.asked = Some(Asked::News);
                link.told = truth.told;
            }
            Way::Post if link.asked.is_none() && !self.mine.is_empty() && dice.chance(15) => {
                let id = self.mine.swap_remove(dice.index(self.mine.len()));
                let head = "HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer";
                link.outgoing = format!("DELETE /messages/{id} {head} {OPERATOR}\r\n\r\n").into_bytes();
                link.asked = Some(Asked::TakeBack(id));
            }
            Way::Post if link.asked.is_none() && self.words > 0 => {
                let (room, text) = self.word(dice);
                let body = json!({"room": room, "message": text}).to_string();
                link.outgoing = format!(
                    "POST /send HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes();
                link.asked = Some(Asked::Say(room, text));
            }
            Way::Socket if link.is_open && self.words > 0 && link.unsure.len() < 5 => {
                let (room, text) = self.word(dice);
                let said = json!({"type": "send", "room": room, "message": text, "ref": self.said}).to_string();
                link.unsure.insert(self.said, (room, text));
                if dice.chance(30) {
                    // In pieces, with a question in between.
                    let (first, last) = said.as_bytes().split_at(dice.index(said.len()));
                    link.outgoing = [frame(0x01, first), frame(0x89, b"?"), frame(0x80, last)].concat();
                    link.pongs_owed += 1;
                } else {
                    link.outgoing = frame(0x81, said.as_bytes());
                }
            }
            _ => {}
        }
    }

    /// Something that nobody has said before, and where.
    fn word(&mut self, dice: &mut Dice) -> (String, String) {
        self.words -= 1;
        self.said += 1;
        let padding = "x".repeat(dice.pick(&[0, 0, 10, 3000]));
        (dice.pick(&ROOMS).to_owned(), format!("{}.{} é{padding}", self.number, self.said))
    }

    fn take_in(&mut self, said: Said, link: &mut Link, truth: &mut Truth) {
        match said {
            Said::GoOn => panic!("nobody waits for 100"),
            Said::Whole(answer) => self.take_answer(&answer, link, truth),
            Said::Begun(answer) => {
                assert_eq!(answer.status, if self.way == Way::Socket { 101 } else { 200 }, "{answer:?}");
                (link.is_open, link.kept) = (true, truth.last());
            }
            Said::More(bytes) => {
                link.unread.extend_from_slice(&bytes);
                match self.way {
                    Way::Events => self.take_events(link, truth),
                    _ => self.take_frames(link, truth),
                }
            }
        }
    }

    fn take_answer(&mut self, answer: &Answer, link: &mut Link, truth: &mut Truth) {
        if answer.status >= 400 && matches!(self.way, Way::Events | Way::Socket) {
            return check_refusal(answer, truth);
        }
        // What nobody asked for: the server has waited too long for the rest of a request.
        let Some(asked) = link.asked.take() else { return assert_eq!(answer.status, 408, "{answer:?}") };
        match (answer.status, asked) {
            (200, Asked::News) => {
                let page = answer.json();
                for message in page["messages"].as_array().expect("a list") {
                    self.hear(message, link, truth);
                }
                assert_eq!((page["last"].as_i64(), &page["gap"]), (self.since, &json!(false)), "{answer:?}");
            }
            (201, Asked::Say(room, text)) => {
                let id = answer.json()["id"].as_i64().expect("an id");
                truth.tell(id, &text);
                assert_eq!(truth.room(id), room);
                self.mine.push(id);
            }
            (200, Asked::TakeBack(id)) => assert!(truth.erased.contains(&id), "{id} is not gone"),
            (503, Asked::Say(_, text)) if answer.json()["code"] == "not_kept" => {
                assert!(truth.excuses.loss && !truth.has_text(&text), "{answer:?}");
            }
            (status, asked) => {
                assert!(status >= 400, "{asked:?}: {answer:?}");
                check_refusal(answer, truth);
            }
        }
    }

    fn take_events(&mut self, link: &mut Link, truth: &mut Truth) {
        while let Some(end) = link.unread.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = link.unread.drain(..end + 2).collect();
            let event = String::from_utf8(event).expect("events are UTF-8");
            let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else {
                assert!(event == ":\n\n" || event.starts_with("retry: "), "{event:?}");
                continue;
            };
            let data: Value = serde_json::from_str(data).expect("data is JSON");
            if event.starts_with("event: delete\n") {
                self.lose(&data, truth);
            } else {
                assert!(event.starts_with(&format!("id: {}\n", data["id"])), "{event:?}");
                self.hear(&data, link, truth);
            }
        }
    }

    fn take_frames(&mut self, link: &mut Link, truth: &mut Truth) {
        while let Some((first, payload)) = next_frame(&mut link.unread) {
            assert!(link.closed.is_none(), "nothing follows a close frame: {first:#x}");
            match first {
                0x81 => {
                    let said: Value = serde_json::from_slice(&payload).expect("JSON");
                    match said["type"].as_str() {
                        Some("message") => self.hear(&said, link, truth),
                        Some("delete") => self.lose(&said, truth),
                        Some("ack") => {
                            let reference = said["ref"].as_u64().expect("its ref");
                            let (room, text) = link.unsure.remove(&reference).expect("each is answered once");
                            let id = said["id"].as_i64().expect("an id");
                            truth.tell(id, &text);
                            assert_eq!(truth.room(id), room);
                        }
                        Some("error") => {
                            assert!(truth.excuses.loss, "{said}");
                            let (_, text) = link.unsure.remove(&said["ref"].as_u64().expect("its ref")).expect("once");
                            assert!(!truth.has_text(&text), "{text:?} is kept: {said}");
                        }
                        _ => panic!("{said}"),
                    }
                }
                0x88 => link.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                0x89 => link.outgoing.extend(frame(0x8a, &payload)),
                0x8a => {
                    assert!(payload == b"?" && link.pongs_owed > 0, "a pong that nobody asked for");
                    link.pongs_owed -= 1;
                }
                _ => panic!("a frame {first:#x}"),
            }
        }
    }

    /// A message: kept, where and as it was said; later than all before, and with none left out.
    fn hear(&mut self, message: &Value, link: &Link, truth: &mut Truth) {
        let id = message["id"].as_i64().expect("an id");
        truth.tell(id, message["message"].as_str().expect("a text"));
        assert_eq!(message["room"].as_str(), Some(truth.room(id)), "{self:?}");
        assert!(self.rooms.contains(&truth.room(id)), "{id} is not for {self:?}");
        let from = match self.since {
            Some(since) => since,
            // Who comes without an id hears what is said from then on: nothing that was told to anyone before, and all that is
            // kept after.
            None => {
                assert!(id > link.told, "{id} is old: {self:?}");
                link.kept.min(id - 1)
            }
        };
        assert!(id > from, "{id} is heard twice, or late: {self:?}");
        let lost: Vec<i64> = (from + 1..id).filter(|&lost| truth.stands_in(lost, &self.rooms)).collect();
        assert!(lost.is_empty(), "{lost:?} were left out before {id}: {self:?}");
        self.since = Some(id);
        self.heard.insert(id);
    }

    /// A message was taken back.
    fn lose(&mut self, note: &Value, truth: &Truth) {
        let id = note["id"].as_i64().expect("an id");
        assert!(truth.erased.contains(&id), "{id} was not taken back: {self:?}");
        assert!(self.rooms.contains(&truth.room(id)) && note["room"] == truth.room(id), "{note}");
        self.gone.insert(id);
    }

    /// The connection is over; there must be a reason.
    fn farewell(&mut self, link: &Link, ended: Ended, truth: &Truth) {
        if ended == Ended::Fin && link.is_open {
            // A stream that is too far behind ends where it is; what is half an event counts for nothing (WHATWG HTML, 9.2.6).
            let may_be_half = self.way == Way::Events && truth.may_lag();
            assert!(link.unread.is_empty() || may_be_half, "a stream ends in the middle: {self:?}");
            if self.way == Way::Socket {
                let is_right = match link.closed {
                    // Too slow, or too much to do; silent for too long; the house closes.
                    Some(code) => matches!(code, 1013 | 1008) || code == 1001 && truth.excuses.drain,
                    // The world would not tell of it: then it ends with its handshake.
                    None => truth.excuses.eviction,
                };
                assert!(is_right, "closed by {:?}: {self:?}", link.closed);
            }
        }
        if self.is_draining && ended == Ended::Fin && link.is_open && self.way == Way::Socket {
            assert!(matches!(link.closed, Some(1001 | 1013)), "{link:?}");
        }
    }
}

/// Some answers need an excuse.
fn check_refusal(answer: &Answer, truth: &Truth) {
    let is_excused = match answer.status {
        408 => true,
        // What was taken back is not there a second time.
        404 => true,
        500 => truth.excuses.disk,
        503 => true,
        _ => false,
    };
    assert!(is_excused, "{answer:?}");
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0x01, 0xc3, 0x77];
    let mut out = vec![first];
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        out.push(0x80 | 126);
        out.extend_from_slice(&u16::try_from(payload.len()).expect("short").to_be_bytes());
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A server's frame, if it is all there: whole, without a mask, its length in the shortest way.
fn next_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let &[first, second, ..] = &bytes[..] else { return None };
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        length => (2, usize::from(length)),
    };
    assert!(second < 127 && (head == 2 || length > 125), "a length of {length} after {second}");
    if bytes.len() < head + length {
        return None;
    }
    let frame: Vec<u8> = bytes.drain(..head + length).collect();
    Some((first, frame[head..].to_vec()))
}

/// The people of a story, and where it is played.
struct Play {
    stage: Stage<Site>,
    people: Vec<Person>,
}

impl Play {
    fn turn(&mut self) {
        let now = self.stage.now();
        let truth = self.stage.truth.clone();
        for person in &mut self.people {
            if person.next_at <= now {
                person.step(&mut self.stage.net.borrow_mut(), &mut truth.borrow_mut(), &mut self.stage.dice);
            }
        }
        let next = self.people.iter().map(|person| person.next_at).min().unwrap_or(now + 1000);
        self.stage.pace_ms = next.saturating_sub(now).max(1);
        self.stage.turn();
    }

    /// Turns until `done`; says whether it came to that.
    fn run(&mut self, turns: u64, time_ms: u64, mut done: impl FnMut(&mut Play) -> bool) -> bool {
        let until = self.stage.now() + time_ms;
        for _ in 0..turns {
            if done(self) {
                return true;
            }
            if self.stage.now() > until {
                return false;
            }
            self.turn();
        }
        done(self)
    }

    fn are_content(&mut self) -> bool {
        let truth = self.stage.truth.borrow();
        self.people.iter().all(|person| person.is_content(&truth))
    }
}

/// A whole story. Returns the trace.
pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed ^ 0x7a1c);
    let mut setting = Setting::of(&mut dice);
    setting.connections_max = 1000;
    setting.per_address_max = 0;
    setting.send_rate = hythe::config::limits::Rate::OFF;
    if is_loud {
        eprintln!("{:#?}", setting.odds);
    }
    let stage = site::stage(seed, &setting);
    stage.net.borrow_mut().is_loud = is_loud;
    let now = stage.now();
    let count = dice.between(2, 14);
    let people = (0..count).map(|number| Person::of(&mut dice, number, now)).collect();
    let mut play = Play { stage, people };
    let patience = dice.pick(&[500, 3_000, 20_000, 120_000]);
    play.run(4_000, patience, Play::are_content);
    play.stage.calm_down();
    let now = play.stage.now();
    play.people.iter_mut().for_each(|person| person.calm_down(now));
    if !play.run(60_000, 60_000, Play::are_content) {
        let truth = play.stage.truth.borrow();
        let waiting: Vec<_> = play.people.iter().filter(|person| !person.is_content(&truth)).collect();
        panic!("these wait for ever, of {} messages: {waiting:#?}", truth.last());
    }
    if dice.chance(50) {
        // The house closes: everyone is told in its own way, and goes.
        play.stage.truth.borrow_mut().excuses.drain = true;
        for person in &mut play.people {
            (person.is_leaving, person.is_draining) = (true, true);
        }
        play.stage.reactor.system().signal(Signal::Drain);
        let is_over = play.run(20_000, setting.drain_ms + 1_000, |play| play.stage.reactor.is_over());
        assert!(is_over, "the house does not close: {} connections", play.stage.reactor.connections());
        return play.stage.strike();
    }
    for person in &mut play.people {
        if let Some(link) = person.link.take() {
            play.stage.net.borrow_mut().reset(link.wire);
        }
        person.is_leaving = true;
    }
    play.stage.empty();
    play.stage.strike()
}
