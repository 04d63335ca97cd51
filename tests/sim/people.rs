//! Stories of people: each makes an account, signs in and out, changes and resets the password, and stays away for minutes or for
//! weeks, while the wires and helpers behave as badly as in any story. Each knows what must be answered, for they keep their own
//! books; and whenever nothing is under way the loop's model of accounts holds what the ledger holds.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use hythe::clock::Moment;
use hythe::config::Config;
use hythe::config::limits::Rate;
use hythe::config::secret::{OperatorToken, Secret, TokenSource};
use hythe::reactor::hub::Hub;
use hythe::reactor::slot::Marks;
use hythe::reactor::system::{Entrance, Peer, Verdict};
use hythe::server::house::Rules;
use hythe::site;
use hythe::site::held::Held;
use hythe::site::state::{Accounts, Books, LedgerState, Site, Www};
use hythe::store::database;
use hythe::store::entry::Entry;
use hythe::store::ledger::{self, Ledger};
use hythe::store::secret::Cost;
use hythe::store::users::{CODE_MS, SESSION_IDLE_MS, SESSION_MS, Users};

use crate::answer::{Answer, Reader, Said};
use crate::dice::{Dice, Odds};
use crate::disk::MemoryDisk;
use crate::net::{Ended, Net};
use crate::stage::{Parts, Stage};
use crate::truth::Truth;

const OPERATOR: &str = "Authorization: Bearer operator-of-the-story\r\n";
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A moment that lies between two that are known: when a request was sent, and when its answer had come.
#[derive(Clone, Copy, Debug)]
struct Between(u64, u64);

impl Between {
    fn plus(self, ms: u64) -> Between {
        Between(self.0 + ms, self.1 + ms)
    }

    fn min(self, other: Between) -> Between {
        Between(self.0.min(other.0), self.1.min(other.1))
    }

    /// Whether something that happened in `when` was before this, if that can be told.
    fn is_after(self, when: Between) -> Option<bool> {
        match () {
            () if when.1 < self.0 => Some(true),
            () if when.0 >= self.1 => Some(false),
            () => None,
        }
    }
}

struct Session {
    cookie: String,
    made: Between,
    used: Between,
    has_ended: bool,
}

impl Session {
    /// Whether it is live in a moment, if that can be told.
    fn is_live(&self, when: Between) -> Option<bool> {
        if self.has_ended {
            return Some(false);
        }
        self.used.plus(SESSION_IDLE_MS).min(self.made.plus(SESSION_MS)).is_after(when)
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Register,
    SignIn,
    Guess,
    Look(usize),
    SignOut(usize),
    Change(usize, String),
    AskForCode,
    Reset(String),
}

struct Person {
    name: String,
    peer: Peer,
    wire: Option<usize>,
    reader: Reader,
    outgoing: Vec<u8>,
    /// What is under way, and since when.
    under_way: Option<(Deed, u64)>,
    next_at: u64,
    deeds_left: u64,
    is_registered: bool,
    password: String,
    made: u64,
    guesses: u64,
    sessions: Vec<Session>,
    /// A one-time code, until when it works, and whether it was used.
    code: Option<(String, Between, bool)>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("name", &self.name)
            .field("wire", &self.wire)
            .field("under_way", &self.under_way)
            .field("deeds_left", &self.deeds_left)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Person {
    fn new(number: u64, deeds_left: u64, next_at: u64) -> Person {
        let port = 1000 + number as u16;
        Person {
            name: format!("p{number}"),
            peer: Peer { ip: [127, 0, 0, 1 + number as u8].into(), port, entrance: Entrance::Plain },
            wire: None,
            reader: Reader::default(),
            outgoing: Vec::new(),
            under_way: None,
            next_at,
            deeds_left,
            is_registered: false,
            password: format!("password of p{number}"),
            made: 0,
            guesses: 0,
            sessions: Vec::new(),
            code: None,
        }
    }

    fn is_done(&self) -> bool {
        self.deeds_left == 0 && self.under_way.is_none()
    }

    fn step(&mut self, net: &mut Net, dice: &mut Dice) {
        self.next_at = net.now + 1 + dice.below(20);
        self.read(net, dice);
        if self.under_way.is_none() && self.deeds_left > 0 && self.next_at <= net.now + 20 {
            self.begin(net, dice);
        }
        if let (Some(wire), false) = (self.wire, self.outgoing.is_empty()) {
            let piece = if dice.chance(70) { self.outgoing.len() } else { 1 + dice.index(self.outgoing.len()) };
            let taken = net.deliver(wire, &self.outgoing[..piece]);
            self.outgoing.drain(..taken);
        }
    }

    fn read(&mut self, net: &mut Net, dice: &mut Dice) {
        let Some(wire) = self.wire else { return };
        let (bytes, ended) = net.take(wire, 1 + dice.index(4000));
        self.reader.feed(&bytes);
        if let Some(said) = self.reader.next(false) {
            let Said::Whole(answer) = said else { panic!("an answer has an end: {said:?}") };
            let (deed, sent) = self.under_way.take().unwrap_or_else(|| panic!("nobody asked for {answer:?}"));
            // A refusal may come before all was said; the rest of it is said all the same.
            let when = Between(sent, net.wall);
            match answer.status {
                // Where everything takes long it came too late, and nothing was done.
                408 if when.1 - when.0 >= 9_900 => {}
                _ => self.hear(&deed, &answer, when),
            }
            // Away for a moment, or for weeks.
            let away =
                dice.pick(&[0, 0, 0, 0, 0, 5, MINUTE, 14 * MINUTE, CODE_MS, 20 * HOUR, 24 * HOUR, 7 * 24 * HOUR]);
            self.next_at = net.now + 1 + away;
        }
        if ended != Ended::No || self.reader.is_over() {
            assert!(self.under_way.is_none(), "the connection has ended, and nobody answered: {self:?}");
            if ended == Ended::No {
                net.shut(wire);
            }
            (self.wire, self.reader) = (None, Reader::default());
            self.outgoing.clear();
        }
    }

    fn begin(&mut self, net: &mut Net, dice: &mut Dice) {
        let deed = self.choose(dice);
        self.deeds_left -= 1;
        let json = |value: serde_json::Value| value.to_string();
        let (line, fields, body) = match &deed {
            Deed::Register => (
                "POST /register",
                String::new(),
                json(serde_json::json!({"username": self.name, "password": self.password})),
            ),
            Deed::SignIn => (
                "POST /login",
                String::new(),
                json(serde_json::json!({"username": self.name, "password": self.password})),
            ),
            Deed::Guess => (
                "POST /login",
                String::new(),
                json(serde_json::json!({"username": self.name, "password": "a wrong guess"})),
            ),
            Deed::Look(at) => ("GET /me", self.cookie(*at), String::new()),
            Deed::SignOut(at) => ("POST /logout", self.cookie(*at), "{}".to_owned()),
            Deed::Change(at, new) => {
                ("POST /password", self.cookie(*at), json(serde_json::json!({"old": self.password, "new": new})))
            }
            Deed::AskForCode => ("POST /admin/users/NAME/reset", OPERATOR.to_owned(), "{}".to_owned()),
            Deed::Reset(new) => {
                let code = self.code.as_ref().map_or("NONE", |(code, ..)| code);
                let wish = serde_json::json!({"username": self.name, "code": code, "new": new});
                ("POST /reset-password", String::new(), json(wish))
            }
        };
        let line = line.replace("NAME", &self.name);
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let request = format!("{line} HTTP/1.1\r\nHost: sim\r\n{fields}{length}\r\n{body}");
        self.outgoing.extend_from_slice(request.as_bytes());
        if self.wire.is_none() {
            self.wire = Some(net.connect(self.peer));
        }
        self.under_way = Some((deed, net.wall));
    }

    fn cookie(&self, at: usize) -> String {
        format!("Cookie: {}\r\n", self.sessions[at].cookie)
    }

    fn choose(&mut self, dice: &mut Dice) -> Deed {
        if !self.is_registered {
            return Deed::Register;
        }
        if self.sessions.is_empty() {
            return Deed::SignIn;
        }
        let at = dice.index(self.sessions.len());
        self.made += 1;
        let new = format!("password {} of {}", self.made, self.name);
        match dice.below(16) {
            0..3 => Deed::SignIn,
            // Whoever guesses more often is held back, which is another story.
            3 if self.guesses < 3 => Deed::Guess,
            3..9 => Deed::Look(at),
            9 | 10 => Deed::SignOut(at),
            11 | 12 => Deed::Change(at, new),
            13 => Deed::AskForCode,
            _ if self.code.is_some() && self.guesses < 3 => Deed::Reset(new),
            _ => Deed::Look(at),
        }
    }

    /// What was answered must be what was so, as far as that can be told.
    fn hear(&mut self, deed: &Deed, answer: &Answer, when: Between) {
        let expect =
            |status: u16| assert_eq!(answer.status, status, "{deed:?} of {} at {when:?}: {answer:?}", self.name);
        let end_all = |sessions: &mut Vec<Session>, but: Option<usize>| {
            for (at, session) in sessions.iter_mut().enumerate().filter(|(at, _)| Some(*at) != but) {
                let _ = at;
                session.has_ended = true;
            }
        };
        match deed {
            Deed::Register => {
                expect(201);
                self.is_registered = true;
            }
            Deed::SignIn => {
                expect(200);
                let cookie = answer.field("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie");
                let session = Session { cookie: cookie.to_owned(), made: when, used: when, has_ended: false };
                self.sessions.push(session);
                self.guesses = 0;
            }
            Deed::Guess => {
                expect(401);
                self.guesses += 1;
            }
            Deed::Look(at) => match self.sessions[*at].is_live(when) {
                Some(true) => {
                    expect(200);
                    self.sessions[*at].used = when;
                }
                Some(false) => expect(401),
                None if answer.status == 200 => self.sessions[*at].used = when,
                None => expect(401),
            },
            Deed::SignOut(at) => {
                expect(200);
                self.sessions[*at].has_ended = true;
            }
            Deed::Change(at, new) => {
                if self.sessions[*at].is_live(when).unwrap_or(answer.status == 200) {
                    expect(200);
                    self.password.clone_from(new);
                    self.sessions[*at].used = when;
                    end_all(&mut self.sessions, Some(*at));
                    self.code = None;
                    self.guesses = 0;
                } else {
                    expect(401);
                }
            }
            Deed::AskForCode => {
                expect(200);
                let code = answer.json()["code"].as_str().expect("a code").to_owned();
                self.code = Some((code, when.plus(CODE_MS), false));
            }
            Deed::Reset(new) => {
                let (_, until, was_used) = self.code.as_ref().expect("a code was given");
                let works = if *was_used { Some(false) } else { until.is_after(when) };
                if works.unwrap_or(answer.status == 200) {
                    expect(200);
                    self.password.clone_from(new);
                    end_all(&mut self.sessions, None);
                    self.guesses = 0;
                    if let Some((_, _, was_used)) = &mut self.code {
                        *was_used = true;
                    }
                } else {
                    expect(400);
                    assert_eq!(answer.json()["code"], "bad_reset_code");
                    self.guesses += 1;
                }
            }
        }
    }
}

/// A site with nothing but accounts, and its ledger.
fn stage(seed: u64, odds: &Odds) -> (Stage<Site>, Rc<RefCell<Ledger>>) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = PathBuf::from(format!("file:/sim-people-{}?vfs=memdb", COUNT.fetch_add(1, Ordering::Relaxed)));
    let ledger = Rc::new(RefCell::new(Ledger::open(&path, ledger::Sync::Off).expect("a ledger in memory opens")));
    let mut hub = Hub::default();
    let mut config = Config::default();
    config.limits.login_rate = Rate::OFF;
    let secret = Secret::new(*b"operator-of-the-story");
    config.tokens = vec![OperatorToken { secret, source: TokenSource::Environment }];
    let books = Books { state: LedgerState::Open, ..Books::new(path, hub.topic()) };
    let disk = MemoryDisk::new(seed ^ 1, odds);
    let mut site = Site::with_pages(config, Www::new(Some(std::sync::Arc::new(disk.clone()))), None);
    *site.parts().books = Some(books);
    let mut secrets = Dice::new(seed ^ 5);
    let draw = move |bytes: &mut [u8]| {
        bytes.iter_mut().for_each(|byte| *byte = secrets.below(256) as u8);
        true
    };
    let mut accounts = Accounts::new(Users::default(), Cost { memory_kib: 8, passes: 1 }, Box::new(draw));
    accounts.held = Held::on(hub.topic());
    *site.parts().accounts = Some(accounts);
    let keeper = {
        let ledger = ledger.clone();
        move |batch: Vec<Entry>| {
            let verdicts = ledger.borrow_mut().keep(batch);
            let told = verdicts.into_iter().map(|verdict| match verdict {
                database::Verdict::Kept(id) => Verdict::Kept(id),
                database::Verdict::Refused => Verdict::Refused,
                database::Verdict::Busy => Verdict::Busy,
                database::Verdict::Lost => Verdict::Lost,
            });
            told.collect()
        }
    };
    let stage = Stage::new(Parts {
        server: site::server(site, hub).expect("the table of routes is right"),
        rules: Rules::default(),
        marks: Marks::default(),
        keeper: Box::new(keeper),
        net: Net::new(seed ^ 2, odds.clone()),
        truth: Rc::new(RefCell::new(Truth::default())),
        disks: vec![disk],
        dice: Dice::new(seed ^ 3),
    });
    (stage, ledger)
}

/// The loop knows what the ledger holds, and nothing else.
fn compare(stage: &mut Stage<Site>, ledger: &Rc<RefCell<Ledger>>) {
    let held = ledger.borrow().users().expect("the ledger can be read");
    let (house, yard) = stage.reactor.parts();
    assert_eq!(yard.promises(), 0);
    let known = &house.state.parts().accounts.as_ref().expect("there are accounts").users;
    assert!(known.accounts().eq(held.accounts()), "accounts differ");
    assert!(known.clone().replace(held.clone()).is_empty(), "the loop lets in whom the ledger does not know");
    assert!(held.clone().replace(known.clone()).is_empty(), "the ledger knows whom the loop does not let in");
}

/// A whole story. Returns the trace.
pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed);
    // The clock on the wall is what people's books are kept by, nobody is thrown out, helpers come back, and nothing is so late
    // that a time runs out: what comes of that is told in other stories.
    let odds = Odds::of(&mut dice);
    let odds = Odds {
        wall_jumps: 0,
        watch_fails: 0,
        accept_fails: 0,
        help_held: 0,
        batch_lost: 0,
        event_late_ms: odds.event_late_ms.min(50),
        oversleep_ms: odds.oversleep_ms.min(50),
        help_late_ms: odds.help_late_ms.min(2_000),
        room: odds.room.max(1 << 10),
        inbound_room: odds.inbound_room.max(1 << 10),
        ..odds
    };
    let (mut stage, ledger) = stage(seed, &odds);
    stage.net.borrow_mut().is_loud = is_loud;
    let (count, now) = (dice.between(1, 4), stage.now());
    let mut people: Vec<Person> =
        (0..count).map(|number| Person::new(number, dice.between(5, 40), now + dice.below(50))).collect();
    let mut turns = 0;
    while let Some(next) = people.iter().filter(|person| !person.is_done()).map(|person| person.next_at).min() {
        let now = stage.now();
        for person in people.iter_mut().filter(|person| person.next_at <= now) {
            person.step(&mut stage.net.borrow_mut(), &mut dice);
        }
        stage.reactor.turn(Some(Moment::from_millis(next.max(now + 1)))).expect("a turn does not fail");
        let (_, yard) = stage.reactor.parts();
        assert_eq!(yard.counts.panics, 0);
        if yard.promises() == 0 && turns % 64 == 0 {
            compare(&mut stage, &ledger);
        }
        turns += 1;
        assert!(turns < 200_000, "these people wait for ever: {people:#?}");
    }
    compare(&mut stage, &ledger);
    stage.drain(10_000);
    stage.strike()
}
