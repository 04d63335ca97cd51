//! Whose turn it is: of those who ask for much and for little, and of what was sent ahead.

use crate::cases::{Scene, get, guests, put, send};
use crate::net::Ended;
use crate::site::Setting;

#[test]
fn who_asks_for_little_does_not_wait_for_who_asks_for_much() {
    let mut scene = Scene::new(&Setting { keepalive_requests: 0, ..Setting::calm() });
    let warm = scene.come(&get("/page.html"));
    scene.turns(3);
    scene.heard(warm);
    // Its socket takes all that it is given.
    scene.0.net.borrow_mut().odds.room = 64 << 20;
    let greedy = scene.come(&get("/page.html").repeat(1000));
    scene.turns(2);
    let (heard, _) = scene.heard(greedy);
    let answered = heard.matches("HTTP/1.1 200 OK\r\n").count();
    assert!((1..=20).contains(&answered), "{answered} answers of 20,000 bytes in one go");
    let modest = scene.come(&get("/healthz"));
    scene.turns(2);
    assert!(scene.heard(modest).0.ends_with(r#"{"status":"ok"}"#));
    let answered = answered + scene.heard(greedy).0.matches("HTTP/1.1 200 OK\r\n").count();
    assert!(answered < 1000, "it was not through yet");
    scene.turns(500);
    let answered = answered + scene.heard(greedy).0.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(answered, 1000, "and is answered whole in the end");
}

#[test]
fn what_follows_an_upload_is_answered_though_its_client_has_ended_its_half() {
    let mut scene = guests();
    let wire = scene.come(&[&put("last", 4), "body", &get("/hello")].concat());
    scene.0.net.borrow_mut().shut(wire);
    scene.turns(20);
    let (heard, ended) = scene.heard(wire);
    assert!(heard.starts_with("HTTP/1.1 201 ") && heard.ends_with("hello"), "{heard}");
    assert_eq!(ended, Ended::Fin);
    scene.end();
}

#[test]
fn two_hundred_who_leave_at_once_hold_up_nobody_and_whoever_comes_meanwhile_keeps_its_place() {
    let mut scene = Scene::new(&Setting::calm());
    let leaving: Vec<usize> = (0..200).map(|_| scene.come(&get("/events"))).collect();
    scene.turns(30);
    assert_eq!(scene.0.reactor.connections(), 200);
    leaving.iter().for_each(|&wire| scene.0.net.borrow_mut().reset(wire));
    // Each look at the clock finds that a slice is over.
    scene.0.net.borrow_mut().odds.slow_turn = 100;
    scene.turns(1);
    let left = scene.0.reactor.connections();
    assert!((150..200).contains(&left), "{left} are left after one turn, in which some were given back, and not all");
    let staying: Vec<usize> = (0..40).map(|_| scene.come(&get("/events"))).collect();
    scene.turns(60);
    assert_eq!(scene.0.reactor.connections(), 40);
    scene.come(&send("hello"));
    scene.turns(30);
    for wire in staying {
        assert!(scene.heard(wire).0.contains("hello"), "it is still there");
    }
    scene.end();
}

/// All come in one turn; when they are first asked for, or told, that somebody is still there, is noted in virtual time.
fn first_beats(ask: &str, beat: &[u8], within_ms: u64) -> Vec<u64> {
    let mut scene = Scene::new(&Setting::calm());
    let came = scene.0.now();
    scene.0.pace_ms = 1;
    let wires: Vec<usize> = (0..160).map(|_| scene.come(ask)).collect();
    scene.turns(30);
    wires.iter().for_each(|&wire| drop(scene.heard(wire)));
    scene.0.pace_ms = 20;
    let mut beats = vec![None; wires.len()];
    while beats.iter().any(Option::is_none) {
        let now = scene.0.now() - came;
        assert!(now <= within_ms, "by now everyone has been thought of");
        scene.turns(1);
        for (first, &wire) in beats.iter_mut().zip(&wires) {
            let (heard, ended) = scene.0.net.borrow_mut().take(wire, usize::MAX);
            assert_eq!(ended, Ended::No);
            assert!(heard.is_empty() || heard == beat, "{}", heard.escape_ascii());
            if !heard.is_empty() {
                first.get_or_insert(now);
            }
        }
    }
    scene.end();
    beats.into_iter().flatten().collect()
}

#[test]
fn who_came_together_is_not_thought_of_together() {
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let socket = format!("GET /ws HTTP/1.1\r\nHost: sim\r\n{handshake}\r\n\r\n");
    // A heartbeat every 15 seconds and a ping after 30, and what a tick of the wheel is more.
    for (ask, beat, within_ms) in [(get("/events"), &b":\n\n"[..], 15_300), (socket, &[0x89, 0], 30_300)] {
        let beats = first_beats(&ask, beat, within_ms);
        let together = |ms: u64| beats.iter().filter(|&&at| ms == at).count();
        let most = beats.iter().map(|&at| together(at)).max().unwrap_or(0);
        assert!(most <= beats.len() / 4, "{most} of {} at once", beats.len());
        let (first, last) = (beats.iter().min().unwrap(), beats.iter().max().unwrap());
        assert!(last - first >= within_ms / 12, "from {first} to {last} ms");
    }
}
