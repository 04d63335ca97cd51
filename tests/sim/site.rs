//! Stories of the server itself: pages, the lobby, and clients of every kind.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hythe::config::Config;
use hythe::config::limits::Rate;
use hythe::config::secret::{OperatorToken, Secret, TokenSource};
use hythe::reactor::hub::Hub;
use hythe::reactor::slot::Marks;
use hythe::reactor::system::Verdict;
use hythe::server::access::Format;
use hythe::server::house::Rules;
use hythe::site;
use hythe::site::rooms::Rooms;
use hythe::site::state::{Accounts, Books, Chat, Files, LedgerState, Site, Www};
use hythe::store::database;
use hythe::store::entry::{Entry, Saying};
use hythe::store::history::History;
use hythe::store::ledger::{self, Ledger};
use hythe::store::messages::Reader;

use crate::ask::{Ask, Want};
use crate::client::{Client, Ending, Style};
use crate::dice::{Dice, Odds};
use crate::disk::MemoryDisk;
use crate::net::Net;
use crate::stage::{Parts, Stage};
use crate::truth::{self, Page, Truth, filling};
use crate::world::Keeper;

/// What of a story is the server's.
pub struct Setting {
    pub odds: Odds,
    pub connections_max: usize,
    pub per_address_max: usize,
    pub files_max: usize,
    pub keepalive_requests: u32,
    pub history_messages: usize,
    pub send_rate: Rate,
    pub logs: bool,
    pub drain_ms: u64,
}

impl Setting {
    /// Nothing goes wrong, and there is room for all.
    pub fn calm() -> Setting {
        Setting {
            odds: Odds::calm(),
            connections_max: 1000,
            per_address_max: 0,
            files_max: 4096,
            keepalive_requests: 100,
            history_messages: 2000,
            send_rate: Rate::OFF,
            logs: true,
            drain_ms: 10_000,
        }
    }

    pub fn of(dice: &mut Dice) -> Setting {
        Setting {
            odds: Odds::of(dice),
            connections_max: dice.pick(&[1000, 1000, 1000, 5, 2]),
            per_address_max: dice.pick(&[0, 0, 0, 3]),
            files_max: dice.pick(&[4096, 4096, 4096, 2]),
            keepalive_requests: dice.pick(&[0, 100, 100, 3, 1]),
            history_messages: dice.pick(&[2000, 2000, 20, 3]),
            send_rate: if dice.chance(10) { Rate { count: 1, per_ms: 1000, burst: 2 } } else { Rate::OFF },
            logs: dice.chance(50),
            drain_ms: 10_000,
        }
    }
}

/// Who holds this is the operator.
pub const OPERATOR: &str = "operator-of-the-story";

/// The pages of the story.
fn pages() -> Vec<(&'static str, usize, bool)> {
    vec![
        ("index.html", 900, false),
        ("tiny.txt", 1, false),
        ("page.html", 20_000, false),
        ("middling.css", 60_000, false),
        ("sub/index.html", 300, false),
        ("large.bin", 150_000, false),
        ("huge.bin", 700_000, false),
        ("shrinking.bin", 200_000, true),
        ("vast.bin", 2_500_000, false),
    ]
}

pub fn stage(seed: u64, setting: &Setting) -> Stage<Site> {
    let odds = &setting.odds;
    let disk = MemoryDisk::new(seed ^ 1, odds);
    let truth: truth::Shared = Rc::new(RefCell::new(Truth::default()));
    {
        let mut truth = truth.borrow_mut();
        for (path, length, shrinks) in pages() {
            let bytes = filling(length, length as u64);
            disk.put(path, &bytes, shrinks);
            truth.pages.insert(path.to_owned(), Page { bytes, shrinks });
        }
        // The reader of older messages is one, and a slow helper may keep it from others for too long.
        let is_slow = odds.help_late_ms >= 1000 || odds.help_held > 0;
        truth.excuses.overload = setting.files_max < 100 || setting.history_messages < 100 && is_slow;
        truth.excuses.full = odds.disk_full > 0;
        truth.excuses.disk = odds.disk_fails > 0;
        truth.excuses.throttle = !setting.send_rate.is_off();
        truth.excuses.loss = odds.batch_lost > 0;
        truth.excuses.eviction = odds.watch_fails > 0;
    }
    let uploads = MemoryDisk::new(seed ^ 4, odds);
    on_disk(seed, setting, disk, uploads, truth)
}

/// The same on these disks, which may hold something already.
pub fn on_disk(
    seed: u64,
    setting: &Setting,
    disk: MemoryDisk,
    uploads: MemoryDisk,
    truth: truth::Shared,
) -> Stage<Site> {
    of_people(seed, setting, (disk, uploads), truth, None)
}

/// The same with accounts, and homes.
pub fn of_people(
    seed: u64,
    setting: &Setting,
    (disk, uploads): (MemoryDisk, MemoryDisk),
    truth: truth::Shared,
    people: Option<(Accounts, MemoryDisk)>,
) -> Stage<Site> {
    let mut hub = Hub::default();
    let (ledger, reader, database) = ledger();
    let chat = Chat {
        history: History::new(setting.history_messages, 1 << 20),
        reader: Some(reader),
        ..Chat::new(database.clone(), Rooms::new(None, &mut hub), setting.send_rate)
    };
    let books = Books { state: LedgerState::Open, ..Books::new(database, hub.topic()) };
    truth.borrow_mut().uploads = Some(uploads.clone());
    let mut files = Files::new(Arc::new(uploads.clone()), 7);
    let mut disks = vec![disk.clone(), uploads];
    let accounts = people.map(|(accounts, homes)| {
        files.homes = Some(Arc::new(homes.clone()));
        disks.push(homes);
        accounts
    });
    let odds = &setting.odds;
    let mut config = Config::default();
    config.tokens = vec![OperatorToken { secret: Secret::new(OPERATOR), source: TokenSource::Environment }];
    let www = Www::new(Some(Arc::new(disk.clone())));
    let mut site = Site::with_pages(config, www, Some(files));
    let parts = site.parts();
    (*parts.chat, *parts.books, *parts.accounts) = (Some(chat), Some(books), accounts);
    let mut rules = Rules::default();
    rules.keepalive_requests = setting.keepalive_requests;
    rules.access_log = setting.logs.then_some(Format::Combined);
    let mut marks = Marks::default();
    (marks.connections_max, marks.per_address_max) = (setting.connections_max, setting.per_address_max);
    (marks.jobs_max, marks.drain_ms) =
        ([setting.files_max, setting.files_max, setting.files_max, 16], setting.drain_ms);
    Stage::new(Parts {
        server: site::server(site, hub).expect("the table of routes is right"),
        rules,
        marks,
        keeper: keeper(ledger, truth.clone()),
        net: Net::new(seed ^ 2, odds.clone()),
        truth,
        disks,
        dice: Dice::new(seed ^ 3),
    })
}

/// A ledger in memory that nobody else has.
fn ledger() -> (Ledger, Reader, PathBuf) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = PathBuf::from(format!("file:/sim-{}?vfs=memdb", COUNT.fetch_add(1, Ordering::Relaxed)));
    let ledger = Ledger::open(&path, ledger::Sync::Off).expect("a ledger in memory opens");
    let reader = Reader::open(&path).expect("and so does its reader");
    (ledger, reader, path)
}

fn keeper(mut ledger: Ledger, truth: truth::Shared) -> Keeper<Entry> {
    Box::new(move |batch| {
        let verdicts = ledger.keep(batch.clone());
        batch
            .into_iter()
            .zip(verdicts)
            .map(|(entry, verdict)| match (entry, verdict) {
                (Entry::Chat(Saying::Said { room, text, .. }), database::Verdict::Kept(id)) => {
                    truth.borrow_mut().keep(id, room, text);
                    Verdict::Kept(id)
                }
                (Entry::Chat(Saying::Erase { id }), database::Verdict::Kept(_)) => {
                    truth.borrow_mut().erased.insert(id);
                    Verdict::Kept(id)
                }
                (Entry::Chat(Saying::Erase { .. }), database::Verdict::Refused) => Verdict::Refused,
                (Entry::Owners(_) | Entry::Accounts(_), database::Verdict::Kept(id)) => Verdict::Kept(id),
                (_, verdict) => panic!("the ledger says {verdict:?} to what nobody here asks it"),
            })
            .collect()
    })
}

/// A whole story: who comes, what goes wrong, and that all is well in the end. Returns the trace.
pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed);
    let mut setting = Setting::of(&mut dice);
    let is_crowd = dice.chance(20);
    if is_crowd {
        setting.connections_max = setting.connections_max.max(40);
        setting.per_address_max = 0;
        setting.odds.slow_turn = dice.pick(&[0, 0, 30, 80]);
    }
    if is_loud {
        eprintln!("{:#?}", setting.odds);
    }
    let mut stage = stage(seed, &setting);
    stage.net.borrow_mut().is_loud = is_loud;
    let now = stage.now();
    if is_crowd {
        stage.clients = crowd(&mut dice, now);
    } else {
        let count = dice.between(1, 10);
        stage.clients = (0..count).map(|number| visitor(&mut dice, number, now)).collect();
    }
    let patience = dice.pick(&[50, 500, 3_000, 20_000]);
    stage.run(4_000, patience, Stage::are_content);
    let ending = dice.below(4);
    if ending == 0 {
        // In the middle of everything.
        stage.drain(setting.drain_ms);
    } else {
        stage.finish();
        inspect(&mut stage);
        if ending == 1 {
            stage.drain(setting.drain_ms);
        } else {
            stage.empty();
        }
    }
    stage.strike()
}

/// Somebody well-behaved looks at everything that was said.
fn inspect(stage: &mut Stage<Site>) {
    let last = stage.truth.borrow().last();
    let mut asks = vec![Ask::get("/healthz", Want::Status(&[200]))];
    for since in (0..last).step_by(1000) {
        asks.push(Ask::get(
            &format!("/messages?since={since}&limit=1000"),
            Want::Messages { since: Some(since), before: None, limit: 1000, wait_s: 0 },
        ));
    }
    let now = stage.now();
    stage.clients.push(Client::new(9, now, Style::plain(), asks));
    stage.finish();
    let last = stage.truth.borrow().last();
    let (house, _) = stage.reactor.parts();
    let chat = house.state.parts().chat.as_ref().expect("there is a chat");
    assert_eq!(chat.history.last_id(), last, "what is kept is said");
}

/// A client of some kind.
fn visitor(dice: &mut Dice, number: u64, now: u64) -> Client {
    let depth = dice.pick(&[1, 1, 2, 8, 200]);
    let style = Style {
        piece: dice.pick(&[1, 7, 100, usize::MAX, usize::MAX]),
        gulp: dice.pick(&[1 << 10, 64 << 10, usize::MAX, usize::MAX]),
        pause_ms: dice.pick(&[0, 1, 10, 40]),
        depth,
        stall: dice.chance(15).then(|| (dice.below(50_000), dice.pick(&[100, 5_000, 60_000]))),
        leaves_at: dice.chance(15).then(|| (now + dice.below(300), dice.chance(50))),
        ending: dice.pick(&[Ending::Fin, Ending::HalfClose, Ending::Reset, Ending::Stay]),
    };
    let comes_at = now + dice.pick(&[0, 0, 5, 100]);
    let count = dice.pick(&[1, 2, 5, 10, 30]);
    let mut asks: Vec<Ask> = (0..count).map(|at| request(dice, number, at)).collect();
    match dice.below(10) {
        0 | 1 => asks.push(listen(dice)),
        2 => asks.push(hostile(dice)),
        3 => {
            let want = Want::Page("index.html".into());
            asks.push(match dice.below(3) {
                0 => Ask::get("/", want).last(),
                1 => Ask { is_last: true, ..Ask::new("GET / HTTP/1.0\r\n\r\n", want) },
                _ => Ask { is_last: true, ..Ask::new("GET http://sim/ HTTP/1.0\r\nHost: sim\r\n\r\n", want) },
            });
        }
        _ => {}
    }
    Client::new(1000 + number as u16, comes_at, style, asks)
}

fn listen(dice: &mut Dice) -> Ask {
    let since = dice.chance(60).then(|| dice.below(6) as i64);
    let want = Want::Stream { since };
    match since {
        None => Ask::get("/events", want),
        Some(since) if dice.chance(50) => Ask::get(&format!("/events?since={since}"), want),
        Some(since) => {
            Ask::new(format!("GET /events?since=1 HTTP/1.1\r\nHost: sim\r\nLast-Event-ID: {since}\r\n\r\n"), want)
        }
    }
}

/// A room full of listeners and pollers, and a few who speak; some come late, some go early.
fn crowd(dice: &mut Dice, now: u64) -> Vec<Client> {
    let (listeners, speakers) = (dice.between(15, 60), dice.between(1, 4));
    let words = dice.between(1, 8);
    let padding = dice.pick(&[0, 0, 500, 3000]);
    // Many may leave in the same moment, in the middle of what is being said.
    let exit = now + dice.below(400);
    let exits = dice.pick(&[0, 15, 50]);
    (0..listeners + speakers)
        .map(|number| {
            let at = if dice.chance(50) { exit } else { now + dice.below(400) };
            let style = Style {
                gulp: dice.pick(&[100, 64 << 10, usize::MAX]),
                pause_ms: dice.pick(&[0, 5, 30]),
                depth: dice.pick(&[1, 4]),
                stall: dice.chance(10).then(|| (dice.below(3_000), dice.pick(&[100, 5_000, 18_000]))),
                leaves_at: dice.chance(exits).then(|| (at, dice.chance(50))),
                ..Style::plain()
            };
            let asks = if number >= listeners {
                (0..words).flat_map(|at| speak(dice, number, at, padding)).collect()
            } else if dice.chance(70) {
                vec![listen(dice)]
            } else {
                (0..3).map(|_| poll(dice)).collect()
            };
            Client::new(1000 + number as u16, now + dice.pick(&[0, 0, 20, 300]), style, asks)
        })
        .collect()
}

/// Says something, perhaps behind a page that is still leaving: then its sender may be gone before the ledger has decided.
fn speak(dice: &mut Dice, number: u64, at: u64, padding: usize) -> Vec<Ask> {
    let page = dice.chance(30).then(|| Ask::get("/page.html", Want::Page("page.html".into())));
    page.into_iter().chain([send(dice, number, at, padding)]).collect()
}

fn poll(dice: &mut Dice) -> Ask {
    let (since, limit, wait_s) = (dice.below(8) as i64, 100, dice.pick(&[1, 2]));
    let want = Want::Messages { since: Some(since), before: None, limit, wait_s };
    let target = format!("/messages?since={since}&wait={wait_s}");
    if dice.chance(20) {
        let body = "x".repeat(dice.pick(&[3, 5000]));
        let head = format!("GET {target} HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        return Ask::new(head, want);
    }
    Ask::get(&target, want)
}

/// An ordinary request.
fn request(dice: &mut Dice, number: u64, at: u64) -> Ask {
    match dice.below(34) {
        0..8 => page(dice),
        8 => Ask::head("/large.bin", Want::Page("large.bin".into())),
        9 => Ask::head("/", Want::Page("index.html".into())),
        10 => Ask::get(&format!("/nothing-{}", dice.below(5)), Want::Status(&[404])),
        11 => part(dice),
        12 => Ask::get("/sub", Want::Status(&[308])),
        13 => Ask::new("GET / HTTP/1.1\r\nHost: sim\r\nIf-None-Match: *\r\n\r\n", Want::Status(&[304])),
        14 => {
            let body = filling(dice.pick(&[1, 1000, 60_000, 200_000]), 3);
            Ask::post(dice.pick(&["/", "/page.html", "/events"]), "text/plain", &body, Want::Status(&[405]))
        }
        15 => Ask::get(dice.pick(&["/healthz", "/api", "/openapi.json", "/metrics"]), Want::Status(&[200])),
        16 => Ask::new("OPTIONS * HTTP/1.1\r\nHost: sim\r\n\r\n", Want::Status(&[204])),
        17 => Ask::new("BREW / HTTP/1.1\r\nHost: sim\r\n\r\n", Want::Status(&[501])),
        18 => bad_message(dice),
        19 | 20 => look(dice),
        21 => Ask::head("/events", Want::Status(&[200])),
        22..26 => upload(dice, number, at),
        _ => {
            let padding = dice.pick(&[0, 0, 0, 100, 3000]);
            send(dice, number, at, padding)
        }
    }
}

fn page(dice: &mut Dice) -> Ask {
    let (path, length, _) = dice.pick(&pages());
    // The largest takes its time, in this world too.
    let path = if length > 1_000_000 && dice.chance(80) { "tiny.txt" } else { path };
    let target = match path {
        "index.html" => "/".to_owned(),
        "sub/index.html" => "/sub/".to_owned(),
        _ => format!("/{path}"),
    };
    Ask::get(&target, Want::Page(path.into()))
}

fn part(dice: &mut Dice) -> Ask {
    let path = dice.pick(&["large.bin", "page.html"]);
    let (first, length) = (1 + dice.index(10_000), 1 + dice.index(8_900));
    let last = first + length - 1;
    if dice.chance(30) {
        let range = format!("0-0,{first}-{last},19000-19999");
        return Ask::new(
            format!("GET /{path} HTTP/1.1\r\nHost: sim\r\nRange: bytes={range}\r\n\r\n"),
            Want::Parts(path.into()),
        );
    }
    Ask::new(
        format!("GET /{path} HTTP/1.1\r\nHost: sim\r\nRange: bytes={first}-{last}\r\n\r\n"),
        Want::Part(path.into(), first, last),
    )
}

fn send(dice: &mut Dice, number: u64, at: u64, padding: usize) -> Ask {
    let padding = "x".repeat(padding);
    let text = format!("m{number}.{at}{padding}");
    let want = Want::Sent(text.clone());
    match dice.below(5) {
        0 => {
            Ask::post("/send", "application/x-www-form-urlencoded", format!("message={text}&name=ada").as_bytes(), want)
        }
        1 => Ask::post("/send", "application/json", format!("{{\"message\":\"{text}\"}}").as_bytes(), want),
        2 => Ask::post_chunked(dice, "/send", "text/plain", text.as_bytes(), want),
        3 => Ask::post_expecting("/send", "text/plain", text.as_bytes(), want),
        _ => Ask::post("/send", "text/plain", text.as_bytes(), want),
    }
}

fn upload(dice: &mut Dice, number: u64, at: u64) -> Ask {
    let name = format!("f{number}.{at}.bin");
    let bytes = filling(dice.pick(&[0, 1, 5_000, 70_000, 300_000, 1_000_000]), number * 100 + at);
    let want = Want::Stored(name.clone(), bytes.clone());
    let kind = "application/octet-stream";
    match dice.below(6) {
        0 => Ask::post(&format!("/files/{name}?create=1"), kind, &bytes, want).with_method("PUT"),
        1 => Ask::post_chunked(dice, &format!("/files/{name}?create=1"), kind, &bytes, want).with_method("PUT"),
        2 => Ask::post_expecting(&format!("/upload?name={name}"), kind, &bytes, want),
        3 => {
            let head = format!("--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
            let form = [head.as_bytes(), &bytes, b"\r\n--cut--\r\n"].concat();
            Ask::post("/upload", "multipart/form-data; boundary=cut", &form, want)
        }
        4 => {
            let json = format!("{{\"a\":\"{}\"}}", "b".repeat(bytes.len() / 2)).into_bytes();
            let want = Want::Stored(name.clone(), json.clone());
            Ask::post(&format!("/upload?name={name}"), "application/json", &json, want)
        }
        _ => Ask::post(&format!("/upload?name={name}"), kind, &bytes, want),
    }
}

fn bad_message(dice: &mut Dice) -> Ask {
    match dice.below(5) {
        0 => Ask::post("/send", "text/plain", b"  ", Want::Status(&[400])),
        1 => Ask::post("/send", "application/json", b"{", Want::Status(&[400])),
        2 => Ask::post("/send", "image/png", b"x", Want::Status(&[415])),
        3 => Ask::post("/send", "text/plain", &filling(dice.pick(&[20_000, 100_000]), 5), Want::Status(&[413])),
        _ => Ask::post_chunked(dice, "/send", "text/plain", &filling(30_000, 5), Want::Last(&[413])),
    }
}

fn look(dice: &mut Dice) -> Ask {
    let limit = dice.pick(&[1, 3, 100]);
    let since = dice.chance(60).then(|| dice.below(8) as i64);
    let before = (since.is_none() && dice.chance(50)).then(|| 1 + dice.below(8) as i64);
    let wait_s = if since.is_some() { dice.pick(&[0, 0, 1, 3]) } else { 0 };
    let mut target = format!("/messages?limit={limit}&wait={wait_s}");
    since.iter().for_each(|since| target += &format!("&since={since}"));
    before.iter().for_each(|before| target += &format!("&before={before}"));
    Ask::get(&target, Want::Messages { since, before, limit, wait_s })
}

/// What no connection survives.
fn hostile(dice: &mut Dice) -> Ask {
    const BAD: &[u16] = &[400];
    match dice.below(10) {
        0 => Ask::new("GET / HTTP/1.1\r\n\r\n", Want::Last(BAD)),
        1 => Ask::new("GET / HTTP/1.1\nHost: sim\n\n", Want::Last(BAD)),
        2 => Ask::new("\u{1}\u{2}\u{3}garbage\r\n\r\n", Want::Last(BAD)),
        3 => Ask::new("GET / HTTP/2.0\r\nHost: sim\r\n\r\n", Want::Last(&[505])),
        4 => Ask::new(format!("GET /{} HTTP/1.1\r\nHost: sim\r\n\r\n", "a".repeat(9_000)), Want::Last(&[414])),
        5 => Ask::new(format!("GET / HTTP/1.1\r\nHost: sim\r\nA: {}\r\n\r\n", "a".repeat(20_000)), Want::Last(&[431])),
        6 => Ask::new(
            "POST /send HTTP/1.1\r\nHost: sim\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
            Want::Last(BAD),
        ),
        7 => Ask::new(
            "POST /send HTTP/1.1\r\nHost: sim\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Want::Last(BAD),
        ),
        8 => Ask::new("GET / HTTP/1.1\r\nHost: sim\r\nHalf: ", Want::Nothing),
        _ => Ask::new(
            "POST /send HTTP/1.1\r\nHost: sim\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf",
            Want::Nothing,
        ),
    }
}
