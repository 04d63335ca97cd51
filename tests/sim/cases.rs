//! What was once found, by name: each of these ended badly before it was mended.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use hythe::path::RelPath;
use hythe::reactor::system::{Entrance, Peer, Signal};
use hythe::server::reply::State;
use hythe::site::state::{Accounts, LedgerState, Site};
use hythe::store::locks::Place;
use hythe::store::secret::Cost;
use hythe::store::users::Users;

use crate::dice::Odds;
use crate::disk::MemoryDisk;
use crate::guest::{self, Guest};
use crate::net::Ended;
use crate::site::{self, Setting};
use crate::stage::Stage;
use crate::truth::filling;

/// A stage on which wires are spoken to by hand.
pub struct Scene<S: State = Site>(pub Stage<S>);

impl Scene {
    pub fn new(setting: &Setting) -> Scene {
        Scene::on(site::stage(1, setting))
    }
}

/// A scene of the server that somebody else made.
pub fn guests() -> Scene<Guest> {
    Scene::on(guest::stage(1, &Odds::calm(), 1000, 100))
}

impl<S: State> Scene<S> {
    fn on(stage: Stage<S>) -> Scene<S> {
        stage.net.borrow_mut().is_loud = std::env::var_os("SEED").is_some();
        Scene(stage)
    }

    /// Somebody comes and says this.
    pub fn come(&mut self, bytes: &str) -> usize {
        let peer = Peer { ip: [127, 0, 0, 1].into(), port: 1, entrance: Entrance::Plain };
        let wire = self.0.net.borrow_mut().connect(peer);
        if !bytes.is_empty() {
            self.say(wire, bytes);
        }
        wire
    }

    pub fn say(&mut self, wire: usize, bytes: &str) {
        assert_eq!(self.0.net.borrow_mut().deliver(wire, bytes.as_bytes()), bytes.len());
    }

    pub fn turns(&mut self, count: u32) {
        (0..count).for_each(|_| self.0.turn());
    }

    /// Everyone breaks off; nothing may be left.
    pub fn end(mut self) {
        self.0.calm_down();
        let count = self.0.net.borrow().wires.len();
        (0..count).for_each(|wire| self.0.net.borrow_mut().reset(wire));
        self.0.empty();
        self.0.strike();
    }

    pub fn heard(&mut self, wire: usize) -> (String, Ended) {
        let (bytes, ended) = self.0.net.borrow_mut().take(wire, usize::MAX);
        (String::from_utf8_lossy(&bytes).into_owned(), ended)
    }
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n")
}

pub fn send(text: &str) -> String {
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

/// It has been given the message, and does not yet hear what is said: it must be told all the same.
#[test]
fn who_is_still_catching_up_is_told_what_is_taken_back() {
    let mut scene = Scene::new(&Setting::calm());
    for number in 0..20 {
        let wire = scene.come(&send(&format!("{number} {}", "x".repeat(4000))));
        scene.turns(4);
        assert!(scene.heard(wire).0.starts_with("HTTP/1.1 201 "));
    }
    scene.0.net.borrow_mut().odds.room = 40 << 10;
    let stream = scene.come(&get("/events?since=0"));
    scene.turns(4);
    let erase = format!("DELETE /messages/1 HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {}\r\n\r\n", site::OPERATOR);
    let erase = scene.come(&erase);
    scene.turns(4);
    assert!(scene.heard(erase).0.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut heard = String::new();
    for _ in 0..20 {
        heard += &scene.heard(stream).0;
        scene.turns(2);
    }
    assert_eq!(heard.matches("\nid: ").count(), 20, "it was given the message before");
    assert_eq!(heard.matches("event: delete\ndata: {\"id\":1,").count(), 1, "and is told that it is gone");
    scene.end();
}

/// A scene in which eight messages were said and the history holds three of them.
fn eight_messages(setting: Setting) -> Scene {
    let mut scene = Scene::new(&Setting { history_messages: 3, ..setting });
    for number in 0..8 {
        let wire = scene.come(&send(&format!("message {number}")));
        scene.turns(4);
        assert!(scene.heard(wire).0.starts_with("HTTP/1.1 201 "));
    }
    scene
}

fn rows(heard: &str) -> usize {
    heard.matches("\"message\":\"").count()
}

#[test]
fn the_newest_messages_are_all_there_though_the_history_is_shorter() {
    let mut scene = eight_messages(Setting::calm());
    let wire = scene.come(&get("/messages?limit=5"));
    scene.turns(5);
    assert_eq!(rows(&scene.heard(wire).0), 5);
}

#[test]
fn two_who_scroll_back_at_once_both_get_the_older_messages() {
    let mut scene = eight_messages(Setting::calm());
    let wires = [(); 4].map(|()| scene.come(&get("/messages?before=5")));
    scene.turns(12);
    for wire in wires {
        assert_eq!(rows(&scene.heard(wire).0), 4);
    }
}

#[test]
fn older_messages_can_still_be_read_after_helpers_were_too_busy_once() {
    let mut scene = eight_messages(Setting { files_max: 1, ..Setting::calm() });
    scene.0.net.borrow_mut().odds.help_held = 100;
    scene.0.disks.iter().for_each(|disk| disk.set_odds(&Odds { cold: 100, ..Odds::calm() }));
    let page = scene.come(&get("/"));
    scene.turns(3);
    let refused = scene.come(&get("/messages?before=5"));
    scene.turns(3);
    assert!(scene.heard(refused).0.starts_with("HTTP/1.1 503 "));
    scene.0.calm_down();
    scene.turns(5);
    assert!(scene.heard(page).0.starts_with("HTTP/1.1 200 "));
    let wire = scene.come(&get("/messages?before=5"));
    scene.turns(5);
    assert_eq!(rows(&scene.heard(wire).0), 4);
}

#[test]
fn a_draft_whose_sender_has_gone_is_dropped_by_a_helper() {
    let mut scene = Scene::new(&Setting::calm());
    let first = scene.come(&get("/page.html"));
    scene.turns(3);
    scene.heard(first);
    // The page has not left when the helper is sent to begin a file, and then nobody is there any more to take either.
    scene.0.net.borrow_mut().odds = Odds { help_held: 100, room: 100, ..Odds::calm() };
    let wire = scene.come(
        &[&get("/page.html"), "PUT /files/a?create=1 HTTP/1.1\r\nHost: sim\r\nContent-Length: 9\r\n\r\n"].concat(),
    );
    scene.turns(3);
    scene.0.net.borrow_mut().reset(wire);
    scene.turns(3);
    scene.0.calm_down();
    scene.turns(5);
    scene.end();
}

#[test]
fn a_helper_that_panics_costs_its_connection_a_500_and_no_more() {
    let mut scene = guests();
    let wires = ["/panic-task", "/hello", "/slow"].map(|target| scene.come(&get(target)));
    let upload = scene.come("POST /panic-sink HTTP/1.1\r\nHost: sim\r\nContent-Length: 1\r\n\r\nx");
    scene.turns(5);
    let [broken, hello, slow] = wires.map(|wire| scene.heard(wire));
    assert!(broken.0.starts_with("HTTP/1.1 500 ") && broken.1 == Ended::Fin, "{broken:?}");
    assert!(hello.0.ends_with("hello") && slow.0.ends_with("slow"));
    let (heard, ended) = scene.heard(upload);
    assert!(heard.starts_with("HTTP/1.1 500 ") && ended == Ended::Fin, "{heard}");
    scene.turns(5);
    scene.end();
}

#[test]
fn what_was_answered_before_a_handler_panicked_is_answered() {
    for (before, end) in [("/hello", "hello"), ("/big", "")] {
        let mut scene = guests();
        let wire = scene.come(&[get(before), get("/panic"), get("/hello")].concat());
        scene.turns(5);
        let mut heard = scene.heard(wire);
        scene.turns(5);
        heard.0 += &scene.heard(wire).0;
        scene.turns(5);
        let (rest, ended) = scene.heard(wire);
        heard.0 += &rest;
        let statuses: Vec<&str> = heard.0.match_indices("HTTP/1.1 ").map(|(at, _)| &heard.0[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "500"], "{before}");
        assert!(heard.0.contains(end));
        assert_eq!(ended, Ended::Fin);
    }
}

#[test]
fn the_500_after_a_panic_reaches_a_client_that_is_still_sending() {
    let mut scene = guests();
    scene.0.pace_ms = 10;
    let head = "POST /panic HTTP/1.1\r\nHost: sim\r\nContent-Length: 5000\r\n\r\n";
    let wire = scene.come(head);
    scene.turns(3);
    scene.say(wire, &"x".repeat(2500));
    scene.turns(3);
    scene.say(wire, &"x".repeat(2500));
    let (heard, ended) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 500 ") && ended == Ended::Fin, "{heard} {ended:?}");
    scene.turns(3);
    assert_eq!(scene.heard(wire).1, Ended::Fin);
}

#[test]
fn a_wait_ends_in_time_though_its_request_has_a_body() {
    let mut scene = guests();
    let wire = scene.come("POST /await HTTP/1.1\r\nHost: sim\r\nContent-Length: 4\r\n\r\nbody");
    scene.turns(6);
    assert!(scene.heard(wire).0.ends_with("awaited"));
}

#[test]
fn an_answer_that_is_leaving_leaves_though_the_next_request_ends_in_its_middle() {
    for next in
        ["POST /send HTTP/1.1\r\nHost: sim\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf", "GET / HT"]
    {
        let mut scene = Scene::new(&Setting::calm());
        scene.0.net.borrow_mut().odds.room = 7;
        let wire = scene.come(&[&get("/healthz"), next].concat());
        scene.0.net.borrow_mut().shut(wire);
        let mut heard = String::new();
        for _ in 0..100 {
            scene.turns(1);
            heard += &scene.heard(wire).0;
        }
        assert!(heard.ends_with(r#"{"status":"ok"}"#), "{heard}");
        assert_eq!(scene.heard(wire).1, Ended::Fin);
    }
}

pub fn put(name: &str, length: usize) -> String {
    format!("POST /store/{name} HTTP/1.1\r\nHost: sim\r\nContent-Length: {length}\r\n\r\n")
}

/// Sends as much as there is room for, a little at a time, until nothing more is taken; says how much was.
fn press(scene: &mut Scene<Guest>, wire: usize, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let piece = &bytes[sent..bytes.len().min(sent + 50_000)];
        let taken = scene.0.net.borrow_mut().deliver(wire, piece);
        sent += taken;
        scene.turns(2);
        if taken == 0 {
            return sent;
        }
    }
}

#[test]
fn a_large_body_arrives_intact_and_reading_stops_while_helpers_are_busy() {
    let mut scene = guests();
    scene.0.pace_ms = 1;
    scene.0.net.borrow_mut().odds.help_held = 100;
    let body = filling(3 << 20, 3);
    let wire = scene.come(&put("large", body.len()));
    scene.turns(3);
    let mut sent = press(&mut scene, wire, &body);
    let read = scene.0.net.borrow().wires[wire].read;
    assert!((512 << 10..=768 << 10).contains(&read), "two windows are filled, and no more: {read}");
    scene.0.net.borrow_mut().odds.help_held = 0;
    scene.0.reactor.system().release();
    while sent < body.len() {
        scene.turns(3);
        sent += press(&mut scene, wire, &body[sent..]);
    }
    scene.turns(10);
    assert!(scene.heard(wire).0.starts_with("HTTP/1.1 201 "));
    assert!(scene.0.disks[0].get("large") == Some(body));
    scene.end();
}

#[test]
fn a_client_is_not_blamed_for_helpers_that_take_long() {
    for length in [0, 9, 600_000] {
        let mut scene = guests();
        scene.0.net.borrow_mut().odds = Odds { help_held: 100, inbound_room: 1 << 20, ..Odds::calm() };
        let body = filling(length, 5);
        let wire = scene.come(&put("late", length));
        scene.turns(3);
        assert_eq!(scene.0.net.borrow_mut().deliver(wire, &body), length);
        // A minute passes.
        scene.turns(60);
        scene.0.net.borrow_mut().odds.help_held = 0;
        scene.0.reactor.system().release();
        scene.turns(20);
        let (heard, _) = scene.heard(wire);
        assert!(heard.starts_with("HTTP/1.1 201 "), "{length}: {heard}");
        assert!(scene.0.disks[0].get("late") == Some(body));
        scene.end();
    }
}

#[test]
fn a_refusal_reaches_a_client_that_reads_slowly_and_goes_on_sending() {
    let mut scene = guests();
    scene.0.pace_ms = 100;
    scene.0.net.borrow_mut().odds.room = 100;
    let wire = scene.come("POST /gather HTTP/1.1\r\nHost: sim\r\nContent-Length: 9000000\r\n\r\n");
    let (mut heard, mut ended) = (String::new(), Ended::No);
    for moment in 0..200 {
        if ended == Ended::No {
            scene.say(wire, "more");
        }
        scene.turns(1);
        // It reads a little every second or so.
        if moment % 12 == 0 && ended == Ended::No {
            let (bytes, end) = scene.0.net.borrow_mut().take(wire, 100);
            heard += &String::from_utf8_lossy(&bytes);
            ended = end;
        }
    }
    assert!(heard.ends_with("}\n"), "{heard}");
    assert_eq!(ended, Ended::Fin);
}

#[test]
fn after_a_long_last_answer_its_client_has_two_seconds() {
    let mut scene = Scene::new(&Setting::calm());
    scene.0.pace_ms = 100;
    scene.0.net.borrow_mut().odds.room = 40 << 10;
    let wire = scene.come(&[get("/healthz").repeat(99), get("/vast.bin")].concat());
    let wait = |scene: &mut Scene, ms: u64| {
        let until = scene.0.now() + ms;
        while scene.0.now() < until {
            scene.turns(1);
        }
    };
    let (mut heard, mut ended) = (0, Ended::No);
    while ended == Ended::No && heard <= 3_000_000 {
        wait(&mut scene, 50);
        let (bytes, end) = scene.0.net.borrow_mut().take(wire, usize::MAX);
        heard += bytes.len();
        ended = end;
    }
    assert!(scene.0.now() > 3_000 && heard > 2_500_000, "{heard} bytes have come");
    wait(&mut scene, 1_500);
    assert!(!scene.0.net.borrow().is_closed(wire), "its time begins when it has been answered");
    wait(&mut scene, 1_000);
    assert!(scene.0.net.borrow().is_closed(wire), "and is over soon");
}

#[test]
fn a_house_that_closes_does_not_wait_for_who_has_been_answered() {
    let mut scene = guests();
    let wire = scene.come("POST /hello HTTP/1.1\r\nHost: sim\r\nContent-Length: 9\r\n\r\nhalf");
    scene.turns(2);
    assert!(scene.heard(wire).0.starts_with("HTTP/1.1 405 "));
    scene.0.reactor.system().signal(Signal::Drain);
    scene.turns(2);
    scene.say(wire, " rest");
    scene.turns(2);
    assert!(scene.0.reactor.is_over(), "its body is read, and nothing is left to wait for");
}

#[test]
fn a_house_that_closes_ends_streams_answers_polls_and_lets_uploads_finish() {
    let mut scene = guests();
    let stream = scene.come(&get("/stream"));
    let poll = scene.come(&get("/await"));
    let idle = scene.come(&get("/hello"));
    let upload = scene.come(&put("last", 8));
    scene.say(upload, "half");
    scene.0.pace_ms = 1;
    scene.turns(5);
    scene.0.reactor.system().signal(Signal::Drain);
    scene.turns(5);
    for (wire, end) in [(stream, "retry: 1\n\n"), (poll, "awaited"), (idle, "hello")] {
        let (heard, ended) = scene.heard(wire);
        assert!(heard.ends_with(end), "{heard}");
        assert_eq!(ended, Ended::Fin, "{end}");
    }
    assert!(!scene.0.reactor.is_over());
    scene.0.net.borrow_mut().shut(poll);
    scene.say(upload, "half");
    scene.turns(10);
    assert!(scene.heard(upload).0.starts_with("HTTP/1.1 201 "));
    scene.0.net.borrow_mut().shut(upload);
    scene.turns(5);
    assert!(scene.0.reactor.is_over());
}

#[test]
fn who_asks_and_never_reads_fills_no_memory_and_is_given_up() {
    let mut scene = Scene::new(&Setting { keepalive_requests: 0, ..Setting::calm() });
    let warm = scene.come(&get("/page.html"));
    scene.turns(3);
    scene.heard(warm);
    let wire = scene.come("");
    let asked = get("/page.html").repeat(10_000);
    let mut sent = 0;
    scene.0.pace_ms = 1;
    for _ in 0..200 {
        let piece = &asked.as_bytes()[sent..];
        sent += scene.0.net.borrow_mut().deliver(wire, piece);
        scene.turns(1);
    }
    let read = scene.0.net.borrow().wires[wire].read;
    assert!(read <= 128 << 10, "requests whose answers nobody takes are not read: {read}");
    scene.0.pace_ms = 1000;
    scene.turns(40);
    assert_eq!(scene.heard(wire), (String::new(), Ended::Reset));
    scene.end();
}

#[test]
fn who_posts_and_ends_its_half_is_answered_though_the_ledger_is_still_being_opened() {
    let mut scene = Scene::new(&Setting::calm());
    let state = |scene: &mut Scene, ledger| {
        let (house, yard) = scene.0.reactor.parts();
        let books = house.state.parts().books.as_mut().expect("there is a ledger");
        books.state = ledger;
        yard.hub.say(books.opened, |_, _| {});
    };
    state(&mut scene, LedgerState::Opening);
    let wire = scene.come(&send("hello"));
    scene.turns(3);
    scene.0.net.borrow_mut().shut(wire);
    scene.turns(3);
    assert_eq!(scene.heard(wire), (String::new(), Ended::No));
    state(&mut scene, LedgerState::Open);
    scene.turns(5);
    let (heard, _) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 201 ") && heard.contains("Connection: close\r\n"), "{heard}");
    scene.end();
}

#[test]
fn a_poll_whose_client_ends_its_half_is_answered_with_what_there_is() {
    let mut scene = Scene::new(&Setting::calm());
    let wire = scene.come(&get("/messages?since=0&wait=60"));
    scene.turns(3);
    assert_eq!(scene.heard(wire), (String::new(), Ended::No), "nothing has been said yet");
    scene.0.net.borrow_mut().shut(wire);
    scene.turns(5);
    let (heard, ended) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("Connection: close\r\n"), "{heard}");
    assert!(heard.ends_with("{\"messages\":[],\"last\":0,\"gap\":false}\n"), "{heard}");
    assert_eq!(ended, Ended::Fin);
    scene.end();
}

#[test]
fn a_message_is_heard_though_its_sender_has_gone() {
    let mut scene = Scene::new(&Setting::calm());
    scene.0.pace_ms = 1;
    let stream = scene.come(&get("/events"));
    let first = scene.come(&get("/page.html"));
    scene.turns(12);
    assert!(!scene.heard(first).0.is_empty());
    // The page has not left when the message is given to the ledger, and writing the rest fails before it has decided.
    scene.0.net.borrow_mut().odds = Odds { help_late_ms: 60_000, room: 100, ..Odds::calm() };
    let sender = scene.come(&[get("/page.html"), send("last words")].concat());
    scene.turns(2);
    scene.0.net.borrow_mut().reset(sender);
    scene.turns(2);
    assert!(scene.0.net.borrow().is_closed(sender));
    assert_eq!(scene.0.truth.borrow().last(), 0, "the ledger has not decided yet");
    scene.0.calm_down();
    scene.turns(20);
    assert!(scene.heard(stream).0.contains("last words"));
    scene.end();
}

#[test]
fn what_a_helper_brings_for_who_has_gone_is_not_given_to_who_came_after() {
    let mut scene = guests();
    scene.0.pace_ms = 1;
    scene.0.net.borrow_mut().odds = Odds { help_held: 100, room: 100, ..Odds::calm() };
    let gone = scene.come(&[get("/hello"), get("/slow")].concat());
    scene.turns(3);
    scene.0.net.borrow_mut().reset(gone);
    scene.turns(3);
    assert!(scene.0.net.borrow().is_closed(gone) && scene.0.reactor.connections() == 0);
    // The next comes into the same place, and waits for a helper of its own.
    let next = scene.come(&get("/file"));
    scene.turns(3);
    scene.0.calm_down();
    scene.turns(20);
    let (heard, _) = scene.heard(next);
    assert!(heard.contains("Content-Length: 500000\r\n"), "{heard:.300}");
    assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "it is given what it asked for and nothing else");
    scene.end();
}

/// A scene with two hundred at the door of the same target, and a clock that lets no phase do much in one turn.
fn two_hundred(target: &str) -> (Scene, Vec<usize>) {
    let mut scene = Scene::new(&Setting::calm());
    scene.0.pace_ms = 1;
    let wires: Vec<usize> = (0..200).map(|_| scene.come(&get(target))).collect();
    scene.turns(20);
    wires.iter().for_each(|&wire| drop(scene.heard(wire)));
    scene.0.net.borrow_mut().odds.slow_turn = 100;
    scene.come(&send("to all"));
    (scene, wires)
}

#[test]
fn a_listener_that_leaves_in_the_middle_of_a_sweep_keeps_nobody_from_hearing() {
    let (mut scene, wires) = two_hundred("/events");
    let waits = |scene: &Scene| wires.iter().filter(|&&wire| scene.0.net.borrow().waiting(wire) > 0).count();
    while waits(&scene) == 0 {
        scene.turns(1);
    }
    assert!(waits(&scene) < 100, "a sweep over so many takes several turns");
    wires[..5].iter().for_each(|&wire| scene.0.net.borrow_mut().reset(wire));
    scene.turns(20);
    for &wire in &wires[5..] {
        assert!(scene.heard(wire).0.contains("to all"), "{wire} was skipped");
    }
    scene.end();
}

#[test]
fn all_who_wait_are_told_at_once() {
    let (mut scene, wires) = two_hundred("/messages?since=0&wait=60");
    scene.turns(40);
    for wire in wires {
        assert!(scene.heard(wire).0.contains("to all"), "{wire} was not told");
    }
    scene.end();
}

#[test]
fn a_body_is_drawn_no_faster_than_its_client_reads() {
    let mut scene = guests();
    scene.0.pace_ms = 1;
    let wire = scene.come(&[get("/pour/plain"), get("/hello")].concat());
    scene.turns(50);
    let drawn = |scene: &mut Scene<Guest>| scene.0.reactor.parts().0.state.drawn.load(Ordering::Relaxed);
    // The wire holds 128 KiB, one window waits to leave, and one more is drawn.
    assert!(drawn(&mut scene) <= 4 * 90_000, "{} bytes were drawn for nobody", drawn(&mut scene));
    let mut heard = String::new();
    for _ in 0..50 {
        heard += &scene.heard(wire).0;
        scene.turns(3);
    }
    assert!(heard.contains("Transfer-Encoding: chunked\r\n"));
    assert!(heard.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n") && heard.ends_with("hello"), "the next one follows");
    scene.end();
}

#[test]
fn to_an_old_client_a_body_of_unknown_length_ends_with_the_connection() {
    let mut scene = guests();
    let wire = scene.come("GET /pour/plain HTTP/1.0\r\nHost: sim\r\nConnection: keep-alive\r\n\r\n");
    let (mut heard, mut ended) = (String::new(), Ended::No);
    for _ in 0..50 {
        scene.turns(3);
        let (more, end) = scene.heard(wire);
        heard += &more;
        ended = end;
    }
    let (head, _) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Connection: close") && !head.contains("Transfer-Encoding"), "{head}");
    assert_eq!(ended, Ended::Fin);
    scene.end();
}

#[test]
fn what_was_being_made_for_who_has_gone_is_dropped_by_a_helper() {
    let mut scene = guests();
    for _ in 0..4 {
        let wire = scene.come(&get("/pour/drops"));
        scene.turns(5);
        scene.0.net.borrow_mut().reset(wire);
    }
    scene.turns(30);
    assert_eq!(scene.0.reactor.parts().0.state.open.load(Ordering::Relaxed), 0);
    scene.end();
}

#[test]
fn who_is_let_in_as_the_house_closes_is_answered_however_slow_the_turns_are() {
    let mut scene = Scene::new(&Setting::calm());
    // Those who came and went leave their places in another order than they took them.
    let gone: Vec<usize> = (0..100).map(|_| scene.come(&get("/healthz"))).collect();
    scene.turns(5);
    for wire in gone {
        scene.0.net.borrow_mut().reset(wire);
        scene.turns(2);
    }
    scene.0.net.borrow_mut().odds.slow_turn = 100;
    scene.0.reactor.system().signal(Signal::Drain);
    let wires: Vec<usize> = (0..100).map(|_| scene.come(&get("/healthz"))).collect();
    while !scene.0.reactor.is_over() {
        scene.turns(1);
    }
    for wire in wires {
        assert!(scene.heard(wire).0.starts_with("HTTP/1.1 "), "{wire} was shut out unheard");
    }
}

const SOCKET: &str = "GET /ws HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

impl<S: State> Scene<S> {
    /// Bytes as they came.
    fn bytes(&mut self, wire: usize) -> Vec<u8> {
        self.0.net.borrow_mut().take(wire, usize::MAX).0
    }

    fn send_bytes(&mut self, wire: usize, bytes: &[u8]) {
        assert_eq!(self.0.net.borrow_mut().deliver(wire, bytes), bytes.len());
    }

    /// Lets so much time pass.
    fn pass(&mut self, ms: u64) {
        let until = self.0.now() + ms;
        while self.0.now() < until {
            self.0.pace_ms = (until - self.0.now()).min(100);
            self.0.turn();
        }
    }
}

#[test]
fn a_socket_that_is_silent_is_asked_after_half_a_minute_and_given_up_ten_seconds_later() {
    let mut scene = Scene::new(&Setting::calm());
    let (dead, alive) = (scene.come(SOCKET), scene.come(SOCKET));
    scene.turns(3);
    for wire in [dead, alive] {
        assert!(scene.heard(wire).0.starts_with("HTTP/1.1 101 "));
    }
    // They are not asked together: each up to an eighth earlier, by its place.
    let mut asked = [0; 2];
    let begun = scene.0.now();
    while asked.contains(&0) {
        scene.pass(100);
        for (at, wire) in [dead, alive].into_iter().enumerate() {
            let heard = scene.bytes(wire);
            if !heard.is_empty() {
                assert_eq!((&*heard, asked[at]), (&b"\x89\x00"[..], 0));
                asked[at] = scene.0.now();
                if wire == alive {
                    scene.send_bytes(alive, b"\x8a\x80\x01\x02\x03\x04");
                }
            }
        }
    }
    assert!(asked.iter().all(|at| (26_200..30_300).contains(&(at - begun))), "{begun}: {asked:?}");
    scene.pass(asked[0] + 9_800 - scene.0.now());
    assert_eq!(scene.bytes(dead), b"", "it has ten seconds");
    scene.pass(500);
    let last = scene.bytes(dead);
    assert_eq!(last[2..4], 1008u16.to_be_bytes(), "{}", last.escape_ascii());
    assert!(last.ends_with(b"no answer to a ping"));
    // The other is asked again half a minute after it was last heard, and not before.
    scene.pass(asked[1] + 29_500 - scene.0.now());
    assert_eq!(scene.bytes(alive), b"");
    scene.pass(1_000);
    assert_eq!(scene.bytes(alive), b"\x89\x00");
    scene.end();
}

#[test]
fn a_stream_says_that_it_lives_every_fifteen_seconds() {
    let mut scene = Scene::new(&Setting::calm());
    let stream = scene.come(&get("/events"));
    scene.turns(3);
    assert!(scene.heard(stream).0.ends_with("\r\n\r\nretry: 2000\n\n"));
    for _ in 0..4 {
        scene.pass(15_100);
        assert_eq!(scene.heard(stream).0, ":\n\n");
    }
    scene.end();
}

/// A message goes up a socket, which breaks off before the ledger has decided.
#[test]
fn what_is_said_up_a_socket_is_heard_though_its_sender_has_gone() {
    let mut scene = Scene::new(&Setting::calm());
    let (stream, sender) = (scene.come(&get("/events")), scene.come(SOCKET));
    scene.turns(3);
    scene.0.net.borrow_mut().odds.help_late_ms = 60_000;
    let said = br#"{"type":"send","message":"last words"}"#;
    scene.send_bytes(sender, &[&[0x81, 0x80 | said.len() as u8, 0, 0, 0, 0][..], said].concat());
    scene.0.pace_ms = 1;
    scene.turns(2);
    scene.0.net.borrow_mut().reset(sender);
    scene.turns(2);
    assert!(scene.0.net.borrow().is_closed(sender));
    assert_eq!(scene.0.truth.borrow().last(), 0, "the ledger has not decided yet");
    scene.0.calm_down();
    scene.pass(61_000);
    assert!(scene.heard(stream).0.contains("last words"));
    scene.end();
}

/// What waits for all streams together has a cap: who would catch up beyond it is told to come later, and then may.
#[test]
fn who_would_catch_up_while_too_much_waits_for_others_is_told_to_come_later() {
    let mut scene = Scene::new(&Setting::calm());
    scene.0.reactor.parts().0.state.parts().config.limits.stream_total_bytes = 10 << 10;
    for number in 0..6 {
        let wire = scene.come(&send(&format!("{number} {}", "x".repeat(4000))));
        scene.turns(4);
        assert!(scene.heard(wire).0.starts_with("HTTP/1.1 201 "));
    }
    scene.0.net.borrow_mut().odds.room = 1 << 10;
    let slow = scene.come(&get("/events?since=0"));
    scene.turns(4);
    let late = [scene.come(&SOCKET.replace("/ws", "/ws?since=0")), scene.come(&get("/events?since=0"))];
    scene.turns(4);
    let refused = scene.bytes(late[0]);
    let frame = &refused[refused.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..];
    assert_eq!((frame[0], &frame[2..4]), (0x88, &1013u16.to_be_bytes()[..]), "{}", frame.escape_ascii());
    let (heard, ended) = scene.heard(late[1]);
    assert!(heard.ends_with("retry: 2000\n\n") && ended == Ended::Fin, "{ended:?}: {heard}");
    let mut heard = String::new();
    for _ in 0..200 {
        heard += &scene.heard(slow).0;
        scene.turns(1);
    }
    assert_eq!(heard.matches("\nid: ").count(), 6, "who was there first hears all");
    scene.0.net.borrow_mut().odds.room = 128 << 10;
    let again = scene.come(&get("/events?since=0"));
    scene.turns(8);
    assert_eq!(scene.heard(again).0.matches("\nid: ").count(), 6);
    scene.end();
}

#[test]
fn whoever_asks_for_an_upload_while_it_takes_its_place_is_not_told_that_there_is_none() {
    for turns in 0..80 {
        let mut scene = Scene::new(&Setting::calm());
        scene.0.net.borrow_mut().odds.help_late_ms = 40;
        let begun = scene.come(
            "POST /tus HTTP/1.1\r\nHost: sim\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 3\r\n\
             Upload-Metadata: filename YQ==\r\nContent-Length: 0\r\n\r\n",
        );
        scene.turns(100);
        let heard = scene.heard(begun).0;
        let at = heard.find("/tus/").expect("its place is among the lines");
        let target = &heard[at..at + "/tus/".len() + 32];
        let piece = scene.come(&format!(
            "PATCH {target} HTTP/1.1\r\nHost: sim\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
             Content-Type: application/offset+octet-stream\r\nContent-Length: 3\r\n\r\nabc"
        ));
        scene.turns(turns);
        let asked = scene.come(&get(target));
        scene.turns(200);
        assert!(scene.heard(asked).0.starts_with("HTTP/1.1 200 "), "asked after {turns} turns");
        assert!(scene.heard(piece).0.starts_with("HTTP/1.1 204 "), "asked after {turns} turns");
        scene.end();
    }
}

fn put_file(target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("PUT {target}?create=1 HTTP/1.1\r\nHost: sim\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

/// A lock that goes with the work of a helper that broke tells nobody.
#[test]
fn who_waits_for_a_lock_that_goes_without_a_word_waits_no_longer_than_a_moment() {
    let mut scene = Scene::new(&Setting::calm());
    let place = Place::new(None, RelPath::from_plain("a").unwrap());
    let lock = {
        let (house, _) = scene.0.reactor.parts();
        house.state.parts().files.as_mut().unwrap().locks.take(&[place]).unwrap()
    };
    let wire = scene.come(&put_file("/files/a", "", "x"));
    scene.pass(2_000);
    assert_eq!(scene.heard(wire).0, "", "it is locked");
    drop(lock);
    scene.pass(1_000);
    assert!(scene.heard(wire).0.starts_with("HTTP/1.1 201 "));
    scene.end();
}

/// Whatever was under way into a home when its account was deleted: nothing of it is left, and nobody is told otherwise who was
/// not told before.
#[test]
fn nothing_stays_in_the_home_of_an_account_that_is_deleted_while_something_comes() {
    const OPERATOR: &str = "Authorization: Bearer operator-of-the-story\r\nContent-Type: application/json\r\n";
    let body = |line: &str, fields: &str, body: &str| {
        format!("{line} HTTP/1.1\r\nHost: sim\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let mut late = 0;
    for at in 0..60 {
        let setting = Setting { odds: Odds { help_late_ms: 10, reorder: 50, ..Odds::calm() }, ..Setting::calm() };
        let random = Box::new(|bytes: &mut [u8]| {
            bytes.fill(7);
            true
        });
        let accounts = Accounts::new(Users::default(), Cost { memory_kib: 8, passes: 1 }, random);
        let [www, uploads, homes] = [1, 2, 3].map(|number| MemoryDisk::new(at ^ number, &setting.odds));
        let people = Some((accounts, homes.clone()));
        let mut scene = Scene::on(site::of_people(at, &setting, (www, uploads), Rc::default(), people));
        let person = r#"{"username":"ada","password":"correct horse","token":true}"#;
        let made = scene.come(&body("POST /admin/users", OPERATOR, &person.replace(r#","token":true"#, "")));
        scene.pass(500);
        let heard = scene.heard(made).0;
        assert!(heard.starts_with("HTTP/1.1 201 "), "{heard}");
        let come = scene.come(&body("POST /login", "Content-Type: application/json\r\n", person));
        scene.pass(500);
        let heard = scene.heard(come).0;
        let (_, token) = heard.split_once(r#""token":""#).expect("a token");
        let ada = format!("Authorization: Bearer {}\r\n", token.split('"').next().unwrap());
        let coming: Vec<usize> =
            (0..4).map(|file| scene.come(&put_file(&format!("/files/~ada/x{file}"), &ada, "hers"))).collect();
        scene.pass(at / 3);
        let goes = scene.come(&body("DELETE /admin/users/ada", OPERATOR, ""));
        scene.pass(3_000);
        assert!(scene.heard(goes).0.starts_with("HTTP/1.1 200 "), "after {at}");
        for wire in coming {
            let heard = scene.heard(wire).0;
            let status = &heard[..heard.len().min(12)];
            assert!(matches!(status, "HTTP/1.1 201" | "HTTP/1.1 401" | "HTTP/1.1 404"), "after {at}: {heard}");
            late += u32::from(status != "HTTP/1.1 201");
        }
        assert_eq!(homes.count(), 0, "after {at} something is left in the home of nobody");
        scene.end();
    }
    assert!(late > 20, "the deletion comes between");
}
