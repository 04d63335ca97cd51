//! Stories of a server that somebody else made: a state of its own, and a handler for every kind of reply, among them some that
//! panic.

use std::io;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::{cell::RefCell, rc::Rc};

use hythe::clock::Moment;
use hythe::content::{FileSpan, More, Source};
use hythe::http::fault::Fault;
use hythe::http::request::Method::{Get, Post};
use hythe::http::response::{Body, Response};
use hythe::http::status::Status;
use hythe::path::RelPath;
use hythe::reactor::hub::{Hub, Topic};
use hythe::reactor::slot::Marks;
use hythe::reactor::system::{Lane, Verdict};
use hythe::server::Server;
use hythe::server::context::{Call, Context};
use hythe::server::house::Rules;
use hythe::server::reply::{Reply, Sink, State, Step};
use hythe::server::talk::{Message, Said, Talk};
use hythe::store::disk::{Disk, Draft, Existing};

use crate::ask::{Ask, Want, chunked};
use crate::client::{Client, Ending, Style};
use crate::dice::{Dice, Odds};
use crate::disk::{IN_JOB, MemoryDisk};
use crate::net::Net;
use crate::stage::{Parts, Stage};
use crate::truth::{self, Truth, filling};

/// What this server remembers.
pub struct Guest {
    disk: MemoryDisk,
    topic: Topic,
    /// What was said and kept.
    said: u64,
    /// Uploads that were stored.
    pub stored: u64,
    /// Orders of hashing: those given, and those done.
    ordered: u64,
    hashed: Arc<AtomicU64>,
    /// Sources that are not spent.
    pub open: Arc<AtomicU64>,
    /// Bytes drawn from them.
    pub drawn: Arc<AtomicU64>,
}

/// Listens to all that is said.
struct Hearer(Topic);

impl Talk<Guest> for Hearer {
    fn on_open(&mut self, _: &mut Guest, _: &mut Context<'_>) -> Said<Guest> {
        Said::nothing().frames("retry: 1\n\n").listen(self.0)
    }

    fn on_message(&mut self, _: Message, _: &mut Guest, _: &mut Context<'_>) -> Said<Guest> {
        unreachable!("a stream hears nothing")
    }
}

impl State for Guest {
    type Entry = String;
}

/// What a handler says that panics because it was asked to.
const ASKED: &str = "as it was asked to";

/// Panics that were asked for are not shown.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(ASKED) {
                loud(info);
            }
        }));
    });
}

/// How much an upload may have.
const UPLOAD_MAX: u64 = 4 << 20;

/// How much is gathered in memory.
const GATHER_MAX: usize = 2000;

/// How long a wait lasts.
const WAIT_MS: u64 = 300;

fn text(text: impl Into<Vec<u8>>) -> Reply<Guest> {
    Response::text(text.into()).into()
}

fn server(guest: Guest, hub: Hub) -> Server<Guest> {
    let mut server = Server::new(guest, hub);
    let add = |server: &mut Server<Guest>,
               methods: &[_],
               path,
               handler: fn(&mut Guest, &Call<'_>, &mut Context<'_>) -> Reply<Guest>| {
        server.add_route(methods, path, handler).expect("no route is there twice");
    };
    add(&mut server, &[Get], "/hello", |_, _, _| text("hello"));
    add(&mut server, &[Get], "/big", |_, _, _| text(filling(300_000, 9)));
    add(&mut server, &[Get], "/file", file);
    add(&mut server, &[Get], "/pour/:how", pour);
    add(&mut server, &[Post], "/store/:name", store);
    add(&mut server, &[Post], "/gather", |_, _, _| Reply::collect(GATHER_MAX, |_, body, _| text(body)));
    add(&mut server, &[Get, Post], "/slow", |_, _, _| {
        Reply::offload(|| |_: &mut Guest, _: &mut Context<'_>| text("slow"))
    });
    add(&mut server, &[Get], "/hash", hash);
    add(&mut server, &[Post], "/chain", |_, _, _| {
        Reply::collect(GATHER_MAX, |_, body, _| {
            Reply::offload(move || {
                let entry = String::from_utf8_lossy(&body).into_owned();
                move |_: &mut Guest, _: &mut Context<'_>| {
                    Reply::Keep(Box::new(entry), Box::new(move |guest, verdict, cx| say(guest, verdict, body, cx)))
                }
            })
        })
    });
    add(&mut server, &[Get, Post], "/await", |guest, _, cx| wait(guest, guest.said, cx.now.plus(WAIT_MS), cx));
    add(&mut server, &[Get], "/stream", |guest, _, _| Reply::Stream {
        head: Response::new(Status::OK),
        talk: Box::new(Hearer(guest.topic)),
    });
    add(&mut server, &[Get, Post], "/panic", |_, _, _| panic!("{}", ASKED));
    add(&mut server, &[Post], "/panic-gathered", |_, _, _| Reply::collect(GATHER_MAX, |_, _, _| panic!("{}", ASKED)));
    add(&mut server, &[Get], "/panic-step", |_, _, _| {
        Reply::offload(|| |_: &mut Guest, _: &mut Context<'_>| -> Reply<Guest> { panic!("{}", ASKED) })
    });
    add(&mut server, &[Get, Post], "/panic-task", |_, _, _| {
        Reply::Offload(Lane::Files, Box::new(|| -> Step<Guest> { panic!("{}", ASKED) }))
    });
    add(&mut server, &[Post], "/panic-sink", |_, _, _| Reply::Receive { most: UPLOAD_MAX, sink: Box::new(Fragile) });
    server
}

fn file(guest: &mut Guest, _: &Call<'_>, _: &mut Context<'_>) -> Reply<Guest> {
    let disk = guest.disk.clone();
    Reply::offload(move || {
        let opened = disk.open(&RelPath::from_plain("large.bin").expect("this is a path"));
        move |_: &mut Guest, _: &mut Context<'_>| match opened {
            Ok(opened) => {
                let span = FileSpan { file: opened.content, offset: 0, length: opened.facts.size };
                Response::new(Status::OK).with_body(Body::File(span)).into()
            }
            Err(_) => broken().into(),
        }
    })
}

/// How much is poured.
const POURED: usize = 900_000;

/// A body that is made window by window.
fn pour(guest: &mut Guest, call: &Call<'_>, _: &mut Context<'_>) -> Reply<Guest> {
    let how = call.parameter("how").unwrap_or_default();
    let spring = Spring {
        left: filling(POURED, 13),
        step: if how == "drops" { 30_001 } else { 90_000 },
        says: match how {
            "known" => Some(POURED as u64),
            "short" => Some(POURED as u64 + 1),
            "long" => Some(POURED as u64 - 1),
            _ => None,
        },
        breaks: how == "broken",
        panics: how == "panic",
        open: guest.open.clone(),
        drawn: guest.drawn.clone(),
    };
    guest.open.fetch_add(1, Ordering::Relaxed);
    Response::new(Status::OK).with_body(Body::Stream(Box::new(spring))).into()
}

/// Gives its bytes in steps; half-way it may break.
struct Spring {
    left: Vec<u8>,
    step: usize,
    says: Option<u64>,
    breaks: bool,
    panics: bool,
    open: Arc<AtomicU64>,
    drawn: Arc<AtomicU64>,
}

impl Source for Spring {
    fn draw(&mut self, window: &mut Vec<u8>) -> io::Result<More> {
        assert!(IN_JOB.get(), "only helpers draw");
        if self.left.len() < POURED / 2 {
            assert!(!self.panics, "{}", ASKED);
            if self.breaks {
                return Err(io::Error::from_raw_os_error(5));
            }
        }
        self.drawn.fetch_add(self.step.min(self.left.len()) as u64, Ordering::Relaxed);
        window.extend(self.left.drain(..self.step.min(self.left.len())));
        Ok(if self.left.is_empty() { More::No } else { More::Yes })
    }

    fn length(&self) -> Option<u64> {
        self.says
    }
}

impl Drop for Spring {
    fn drop(&mut self) {
        assert!(IN_JOB.get() || std::thread::panicking(), "a source is dropped where dropping may block");
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn broken() -> Fault {
    Fault::new(Status::INTERNAL_SERVER_ERROR, "io_error", "the disk gave an error")
}

/// Hashing is done in the order in which it was asked for.
fn hash(guest: &mut Guest, _: &Call<'_>, cx: &mut Context<'_>) -> Reply<Guest> {
    if !cx.has_room(Lane::Hash) {
        return text("hashed");
    }
    let (number, hashed) = (guest.ordered, guest.hashed.clone());
    guest.ordered += 1;
    Reply::Offload(
        Lane::Hash,
        Box::new(move || {
            assert_eq!(hashed.fetch_add(1, Ordering::Relaxed), number, "hashing keeps its order");
            Box::new(|_: &mut Guest, _: &mut Context<'_>| text("hashed"))
        }),
    )
}

fn say(guest: &mut Guest, verdict: Verdict, body: Vec<u8>, cx: &mut Context<'_>) -> Reply<Guest> {
    match verdict {
        Verdict::Kept(id) => {
            guest.said += 1;
            let value =
                format!("id: {id}\ndata: {{\"id\":{id},\"message\":\"{}\"}}\n\n", String::from_utf8_lossy(&body));
            cx.say(guest.topic, |_, out| out.extend_from_slice(value.as_bytes()));
            text(body)
        }
        _ => Fault::new(Status::SERVICE_UNAVAILABLE, "not_kept", "lost").into(),
    }
}

fn wait(guest: &mut Guest, said: u64, until: Moment, cx: &mut Context<'_>) -> Reply<Guest> {
    if guest.said > said || cx.is_over || cx.now >= until {
        return text("awaited");
    }
    let again = Box::new(move |guest: &mut Guest, cx: &mut Context<'_>| wait(guest, said, until, cx));
    Reply::Wait { topic: guest.topic, until, outlasts: false, again }
}

fn store(guest: &mut Guest, call: &Call<'_>, _: &mut Context<'_>) -> Reply<Guest> {
    let name = call.parameter("name").unwrap_or_default().to_owned();
    let sink = DraftSink { disk: guest.disk.clone(), name, draft: None };
    Reply::Receive { most: UPLOAD_MAX, sink: Box::new(sink) }
}

/// Writes a body into a draft.
struct DraftSink {
    disk: MemoryDisk,
    name: String,
    draft: Option<Box<dyn Draft>>,
}

impl DraftSink {
    fn draft(&mut self) -> Result<&mut Box<dyn Draft>, Fault> {
        if self.draft.is_none() {
            self.draft = Some(self.disk.draft(&RelPath::ROOT, None).map_err(|_| broken())?);
        }
        Ok(self.draft.as_mut().expect("it has just been begun"))
    }
}

impl Sink<Guest> for DraftSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.draft()?.write(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => Fault::new(Status::INSUFFICIENT_STORAGE, "storage_full", "full"),
            _ => broken(),
        })
    }

    fn finish(mut self: Box<Self>) -> Step<Guest> {
        let name = self.name.clone();
        let placed = self.draft().and_then(|draft| {
            let path = RelPath::from_plain(&name).expect("this is a path");
            draft.commit(&path, Existing::Refuse).map_err(|_| broken())
        });
        Box::new(move |guest: &mut Guest, _: &mut Context<'_>| match placed {
            Ok(_) => {
                guest.stored += 1;
                Response::new(Status::CREATED).into()
            }
            Err(fault) => fault.into(),
        })
    }
}

/// A sink that panics.
struct Fragile;

impl Sink<Guest> for Fragile {
    fn write(&mut self, _: &[u8]) -> Result<(), Fault> {
        panic!("{}", ASKED)
    }

    fn finish(self: Box<Self>) -> Step<Guest> {
        panic!("{}", ASKED)
    }
}

pub fn stage(seed: u64, odds: &Odds, connections_max: usize, keepalive_requests: u32) -> Stage<Guest> {
    hush();
    let disk = MemoryDisk::new(seed ^ 1, odds);
    disk.put("large.bin", &filling(500_000, 11), false);
    let truth: truth::Shared = Rc::new(RefCell::new(Truth::default()));
    {
        let mut truth = truth.borrow_mut();
        truth.uploads = Some(disk.clone());
        truth.excuses.disk = odds.disk_fails > 0;
        truth.excuses.full = odds.disk_full > 0;
        truth.excuses.loss = odds.batch_lost > 0;
        truth.excuses.eviction = odds.watch_fails > 0;
    }
    let mut hub = Hub::default();
    let topic = hub.topic();
    let guest = Guest {
        disk: disk.clone(),
        topic,
        said: 0,
        stored: 0,
        ordered: 0,
        hashed: Arc::default(),
        open: Arc::default(),
        drawn: Arc::default(),
    };
    let (mut last, kept) = (0, truth.clone());
    let mut rules = Rules::default();
    rules.keepalive_requests = keepalive_requests;
    let mut marks = Marks::default();
    (marks.connections_max, marks.jobs_max) = (connections_max, [4096, 4096, 4096, 16]);
    let mut stage = Stage::new(Parts {
        server: server(guest, hub),
        rules,
        marks,
        keeper: Box::new(move |batch: Vec<String>| {
            batch
                .into_iter()
                .map(|text| {
                    last += 1;
                    kept.borrow_mut().keep(last, "lobby".to_owned(), text);
                    Verdict::Kept(last)
                })
                .collect()
        }),
        net: Net::new(seed ^ 2, odds.clone()),
        truth,
        disks: vec![disk],
        dice: Dice::new(seed ^ 3),
    });
    stage.panics_max = u64::MAX;
    stage
}

/// A whole story. Returns the trace.
pub fn story(seed: u64, is_loud: bool) -> u64 {
    let mut dice = Dice::new(seed ^ 0xfeed);
    let odds = Odds::of(&mut dice);
    if is_loud {
        eprintln!("{odds:#?}");
    }
    let mut stage = stage(seed, &odds, dice.pick(&[1000, 1000, 4]), dice.pick(&[0, 100, 2]));
    stage.net.borrow_mut().is_loud = is_loud;
    let count = dice.between(1, 8);
    for number in 0..count {
        let client = visitor(&mut dice, number, stage.now());
        stage.clients.push(client);
    }
    let open = stage.reactor.parts().0.state.open.clone();
    let patience = dice.pick(&[50, 500, 3_000, 20_000]);
    stage.run(4_000, patience, Stage::are_content);
    if dice.chance(25) {
        stage.drain(10_000);
    } else {
        stage.finish();
        if dice.chance(25) {
            stage.drain(10_000);
        } else {
            stage.empty();
        }
    }
    let trace = stage.strike();
    assert_eq!(open.load(Ordering::Relaxed), 0, "every source is given back");
    trace
}

fn visitor(dice: &mut Dice, number: u64, now: u64) -> Client {
    let style = Style {
        piece: dice.pick(&[1, 100, 10_000, usize::MAX, usize::MAX]),
        gulp: dice.pick(&[1 << 10, 64 << 10, usize::MAX, usize::MAX]),
        pause_ms: dice.pick(&[0, 1, 10, 40]),
        depth: dice.pick(&[1, 1, 2, 8, 200]),
        stall: dice.chance(15).then(|| (dice.below(50_000), dice.pick(&[100, 5_000, 60_000]))),
        leaves_at: dice.chance(15).then(|| (now + dice.below(300), dice.chance(50))),
        ending: dice.pick(&[Ending::Fin, Ending::HalfClose, Ending::Reset, Ending::Stay]),
    };
    let count = dice.pick(&[1, 2, 5, 10, 30]);
    let mut asks: Vec<Ask> = (0..count).map(|at| request(dice, number, at)).collect();
    match dice.below(10) {
        0 | 1 => asks.push(Ask::get("/stream", Want::Stream { since: None })),
        2 | 3 => asks.push(mishap(dice)),
        _ => {}
    }
    Client::new(1000 + number as u16, now + dice.pick(&[0, 0, 5, 100]), style, asks)
}

fn request(dice: &mut Dice, number: u64, at: u64) -> Ask {
    let want = |text: &str| Want::Text(text.as_bytes().to_vec());
    match dice.below(18) {
        16 => Ask::get(dice.pick(&["/pour/plain", "/pour/drops", "/pour/known"]), Want::Text(filling(POURED, 13))),
        17 => Ask::head(dice.pick(&["/pour/plain", "/pour/known"]), Want::Status(&[200])),
        0..3 => Ask::get("/hello", want("hello")),
        3 => Ask::get("/big", Want::Text(filling(300_000, 9))),
        4 => Ask::get("/file", Want::Text(filling(500_000, 11))),
        5 => Ask::get("/slow", want("slow")),
        6 => Ask::get("/hash", want("hashed")),
        7 => Ask::get("/await", Want::Text(b"awaited".to_vec())),
        8 => {
            let body = filling(dice.pick(&[1, 1999, 2000]), 1);
            Ask::post("/gather", "x/y", &body, Want::Text(body.clone()))
        }
        9 => Ask::post("/gather", "x/y", &filling(dice.pick(&[2001, 100_000]), 1), Want::Status(&[413])),
        10 => Ask::post_chunked(dice, "/gather", "x/y", &filling(50_000, 1), Want::Last(&[413])),
        11 | 12 => {
            let body = format!("say-{number}-{at}").into_bytes();
            Ask::post("/chain", "x/y", &body, Want::Text(body.clone()))
        }
        13 => {
            // Answered without a look at the body, before it has come.
            let body = filling(dice.pick(&[10, 60_000]), 2);
            Ask::post("/slow", "x/y", &body, want("slow"))
        }
        14 => {
            let body = filling(dice.pick(&[10, 60_000]), 2);
            Ask::post("/await", "x/y", &body, want("awaited"))
        }
        _ => upload(dice, number, at),
    }
}

fn upload(dice: &mut Dice, number: u64, at: u64) -> Ask {
    let name = format!("f{number}.{at}");
    let bytes = filling(dice.pick(&[0, 1, 70_000, 300_000, 700_000]), number * 100 + at);
    let target = format!("/store/{name}");
    let want = Want::Stored(name, bytes.clone());
    match dice.below(4) {
        0 => Ask::post_chunked(dice, &target, "x/y", &bytes, want),
        1 => Ask::post_expecting(&target, "x/y", &bytes, want),
        _ => Ask::post(&target, "x/y", &bytes, want),
    }
}

/// What costs its connection, and no other.
fn mishap(dice: &mut Dice) -> Ask {
    const BROKEN: &[u16] = &[500];
    match dice.below(9) {
        7 | 8 => Ask::get(&format!("/pour/{}", dice.pick(&["broken", "short", "long", "panic"])), Want::Half),
        0 => Ask::get("/panic", Want::Last(BROKEN)),
        1 => Ask::post("/panic", "x/y", &filling(1000, 1), Want::Last(BROKEN)),
        2 => Ask::post("/panic-gathered", "x/y", b"x", Want::Last(BROKEN)),
        3 => Ask::get("/panic-step", Want::Last(BROKEN)),
        4 => Ask::get("/panic-task", Want::Last(BROKEN)),
        5 => Ask::post("/panic-sink", "x/y", b"x", Want::Last(BROKEN)),
        _ => {
            let head = "POST /panic-sink HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n";
            Ask::new([head.as_bytes(), &chunked(dice, &filling(400_000, 1))].concat(), Want::Last(BROKEN))
        }
    }
}
