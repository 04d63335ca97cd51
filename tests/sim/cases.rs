//! What was once found, by name: each of these ended badly before it was mended.

use std::cell::RefCell;
use std::rc::Rc;

use hythe::http::fault::Fault;
use hythe::http::request::Method;
use hythe::http::response::Response;
use hythe::http::status::Status;
use hythe::reactor::hub::Hub;
use hythe::reactor::slot::Marks;
use hythe::reactor::system::{LANES, Lane, Peer, Signal};
use hythe::server::Server;
use hythe::server::house::Rules;
use hythe::server::reply::{Reply, Sink, State, Step, Task};
use hythe::site::state::Site;

use crate::dice::{Dice, Odds};
use crate::disk::MemoryDisk;
use crate::net::{Ended, Net};
use crate::site::{Setting, stage};
use crate::stage::{Parts, Stage};
use crate::truth::Truth;

/// A stage on which wires are spoken to by hand.
struct Scene<S: State = Site>(Stage<S>);

impl Scene {
    fn new(setting: &Setting) -> Scene {
        Scene(stage(1, setting))
    }
}

impl Scene<()> {
    /// A server of nothing but this route.
    fn of_route(method: Method, handler: fn() -> Reply<()>) -> Scene<()> {
        let odds = Odds::calm();
        let mut server = Server::new((), Hub::default());
        server.add_route(&[method], "/", move |(), _, _| handler()).expect("one route");
        let marks = Marks {
            connections_max: 10,
            per_address_max: 0,
            outbox_bytes_high: 256 << 10,
            write_idle_ms: 30_000,
            listener_bytes_max: 64 << 10,
            listeners_bytes_max: 0,
            jobs_max: [10; LANES],
            drain_ms: 10_000,
        };
        Scene(Stage::new(Parts {
            server,
            rules: Rules::default(),
            marks,
            keeper: Box::new(|_| Vec::new()),
            disk: MemoryDisk::new(1, &odds),
            net: Net::new(1, odds),
            truth: Rc::new(RefCell::new(Truth::default())),
            dice: Dice::new(1),
        }))
    }
}

impl<S: State> Scene<S> {
    /// Somebody comes and says this.
    fn come(&mut self, bytes: &str) -> usize {
        let peer = Peer { ip: [127, 0, 0, 1].into(), port: 1 };
        let wire = self.0.net.borrow_mut().connect(peer);
        if !bytes.is_empty() {
            self.say(wire, bytes);
        }
        wire
    }

    fn say(&mut self, wire: usize, bytes: &str) {
        assert_eq!(self.0.net.borrow_mut().deliver(wire, bytes.as_bytes()), bytes.len());
    }

    fn turns(&mut self, count: u32) {
        (0..count).for_each(|_| self.0.turn());
    }

    fn heard(&mut self, wire: usize) -> (String, Ended) {
        let (bytes, ended) = self.0.net.borrow_mut().take(wire, usize::MAX);
        (String::from_utf8_lossy(&bytes).into_owned(), ended)
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n")
}

fn send(text: &str) -> String {
    format!(
        "POST /send HTTP/1.1\r\nHost: sim\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

#[test]
fn a_house_that_closes_while_someone_knocks_sleeps() {
    let mut scene = Scene::new(&Setting::calm());
    let waits = scene.come(&get("/messages?since=0&wait=60"));
    scene.turns(3);
    let half = scene.come("GET / HT");
    scene.turns(3);
    // Both in one sleep: the knock is never answered, and must not keep the loop awake.
    scene.come("");
    scene.0.reactor.system().signal(Signal::Drain);
    scene.turns(5);
    assert!(scene.heard(waits).0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(scene.heard(half).1, Ended::No, "what has begun may finish");
    scene.turns(10);
}

#[test]
fn what_follows_a_poll_is_answered_when_the_poll_is() {
    let mut scene = Scene::new(&Setting::calm());
    let polls = scene.come(&[get("/messages?since=0&wait=60"), get("/healthz")].concat());
    scene.turns(3);
    scene.come(&send("hello"));
    scene.turns(5);
    let (heard, _) = scene.heard(polls);
    assert!(heard.contains("hello") && heard.contains(r#"{"status":"ok"}"#), "{heard}");
}

#[test]
fn much_that_follows_a_poll_is_answered_too() {
    let mut scene = Scene::new(&Setting::calm());
    let many = get("/healthz").repeat(800);
    let polls = scene.come(&[get("/messages?since=0&wait=5"), many].concat());
    scene.turns(60);
    let (heard, _) = scene.heard(polls);
    // The hundredth is the last of the connection.
    assert_eq!(heard.matches("HTTP/1.1 200 OK\r\n").count(), 100, "{heard}");
}

#[test]
fn a_refusal_of_a_half_head_has_a_body_though_a_head_request_came_before() {
    let mut scene = Scene::new(&Setting::calm());
    let wire = scene.come("HEAD /healthz HTTP/1.1\r\nHost: sim\r\n\r\n");
    scene.turns(3);
    scene.heard(wire);
    scene.say(wire, &format!("GET /{}", "a".repeat(9_000)));
    scene.turns(3);
    let (heard, _) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 414 ") && heard.contains("uri_too_long"), "{heard}");
}

#[test]
fn a_poll_whose_head_announces_a_body_waits_no_longer_than_it_asked() {
    let mut scene = Scene::new(&Setting::calm());
    let begun = scene.0.now();
    let wire = scene.come(
        "GET /messages?since=0&wait=5 HTTP/1.1\r\nHost: sim\r\nContent-Length: 3\r\n\r\nabc\
         GET /healthz HTTP/1.1\r\nHost: sim\r\n\r\n",
    );
    while scene.0.now() < begun + 6_000 {
        scene.turns(1);
    }
    let (heard, _) = scene.heard(wire);
    assert_eq!(heard.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{heard}");
}

/// Takes all, and says so.
struct Mouth;

impl Sink<()> for Mouth {
    fn write(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Step<()> {
        Box::new(|(), _| Response::new(Status::NO_CONTENT).into())
    }
}

#[test]
fn an_upload_is_not_blamed_for_helpers_that_are_behind() {
    let mut scene = Scene::of_route(Method::Put, || Reply::Receive { most: 0, sink: Box::new(Mouth) });
    scene.0.net.borrow_mut().odds.help_held = 100;
    let mut unsent = 1_000_000;
    let wire = scene.come(&format!("PUT / HTTP/1.1\r\nHost: sim\r\nContent-Length: {unsent}\r\n\r\n"));
    let mut send_until = |scene: &mut Scene<()>, until: u64| {
        while scene.0.now() < until {
            let body = vec![b'x'; unsent.min(64 << 10)];
            unsent -= scene.0.net.borrow_mut().deliver(wire, &body);
            scene.turns(1);
        }
    };
    // Longer than a body may be idle, and than its average could be mended in.
    send_until(&mut scene, 3_600_000);
    assert_eq!(scene.heard(wire), (String::new(), Ended::No));
    scene.0.net.borrow_mut().odds.help_held = 0;
    scene.0.reactor.system().release();
    send_until(&mut scene, 3_605_000);
    let (heard, _) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 204 "), "{heard}");
}

#[test]
fn a_helper_that_panics_costs_its_request_a_500_and_nobody_else() {
    let mut scene = Scene::of_route(Method::Get, || {
        let task: Task<()> = Box::new(|| panic!("on purpose"));
        Reply::Offload(Lane::Files, task)
    });
    scene.0.panics_max = 2;
    for _ in 0..2 {
        let wire = scene.come(&get("/"));
        scene.turns(3);
        let (heard, ended) = scene.heard(wire);
        assert!(heard.starts_with("HTTP/1.1 500 "), "{heard}");
        assert_ne!(ended, Ended::No);
    }
    let (_, yard) = scene.0.reactor.parts();
    assert_eq!(yard.jobs_out(Lane::Files), 0);
}
