//! What was once found, by name: each of these ended badly before it was mended.

use hythe::reactor::system::{Peer, Signal};
use hythe::site::state::Site;

use crate::net::Ended;
use crate::site::{Setting, stage};
use crate::stage::Stage;

/// A stage on which wires are spoken to by hand.
struct Scene(Stage<Site>);

impl Scene {
    fn new(setting: &Setting) -> Scene {
        Scene(stage(1, setting))
    }

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
