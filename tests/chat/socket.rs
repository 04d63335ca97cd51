//! The WebSocket: what is said up it and down it, and what ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{FORM, JSON, Place, TOKEN};
use crate::wire::{PATIENCE, comes_to_be};

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The same, for who asks and is refused.
pub const HANDSHAKE_FIELDS: [&str; 4] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A client that sends what it is told, right or wrong.
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    pub head: String,
}

/// What a socket hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Said(Value),
    Pong(Vec<u8>),
    Ping,
    Closed(u16),
    /// The end without a close frame.
    End,
}

impl Socket {
    pub fn open(place: &Place, target: &str) -> Socket {
        Socket::open_with(place, target, "")
    }

    fn open_with(place: &Place, target: &str, fields: &str) -> Socket {
        let mut stream = TcpStream::connect(place.house.address()).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = place.house.address();
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{HANDSHAKE}{fields}\r\n");
        stream.write_all(head.as_bytes()).expect("it takes a head");
        let mut socket = Socket { stream, unread: Vec::new(), head: String::new() };
        let end = loop {
            if let Some(at) = socket.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(socket.read(), "an answer");
        };
        socket.head = String::from_utf8(socket.unread.drain(..end).collect()).unwrap();
        assert!(socket.head.starts_with("HTTP/1.1 101"), "{}", socket.head);
        socket
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing is heard: {error}"),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        // Whoever has been closed may not get all of it sent.
        let _ = self.stream.write_all(bytes);
    }

    pub fn say(&mut self, value: &Value) {
        self.send(&frame(0x81, value.to_string().as_bytes()));
    }

    /// The next frame, pings passed over.
    fn next(&mut self) -> Heard {
        loop {
            match self.frame() {
                Heard::Ping => {}
                heard => return heard,
            }
        }
    }

    fn frame(&mut self) -> Heard {
        loop {
            if let Some((head, length)) = measured(&self.unread)
                && self.unread.len() >= head + length
            {
                let frame: Vec<u8> = self.unread.drain(..head + length).collect();
                let payload = &frame[head..];
                return match frame[0] {
                    0x81 => Heard::Said(serde_json::from_slice(payload).expect("JSON")),
                    0x88 => Heard::Closed(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]))),
                    0x89 => Heard::Ping,
                    0x8a => Heard::Pong(payload.to_vec()),
                    other => panic!("a frame {other:#x}"),
                };
            }
            if !self.read() {
                return Heard::End;
            }
        }
    }

    /// The next thing said, of that type.
    pub fn hear(&mut self, kind: &str) -> Value {
        match self.next() {
            Heard::Said(value) => {
                assert_eq!(value["type"], kind, "{value}");
                value
            }
            other => panic!("{other:?} instead of {kind}"),
        }
    }

    /// The ids of the next so many messages.
    fn ids(&mut self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.hear("message")["id"].as_i64().expect("an id")).collect()
    }

    /// Why it was closed; what is said before is passed over.
    fn closed(&mut self) -> u16 {
        loop {
            match self.next() {
                Heard::Closed(code) => return code,
                Heard::End => return 0,
                _ => {}
            }
        }
    }
}

/// The bytes of a frame's head and of its payload, if the head is there. Frames of a server are not masked.
fn measured(bytes: &[u8]) -> Option<(usize, usize)> {
    Some(match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    })
}

/// A client's frame: masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn send(message: &str, reference: Value) -> Value {
    json!({"type": "send", "message": message, "ref": reference})
}

#[test]
fn a_message_is_the_same_on_all_transports_and_its_sender_is_told_its_id() {
    let place = Place::open(&[]);
    let (mut ada, mut bob) = (Socket::open(&place, "/ws?name=ada"), Socket::open(&place, "/ws"));
    let mut stream = place.listen("/events", "");
    for socket in [&mut ada, &mut bob] {
        assert_eq!(socket.hear("join"), json!({"type": "join", "room": "lobby", "names": ["ada"]}));
    }
    assert_eq!(stream.next().unwrap().kind, "join");
    ada.say(&send("hello", json!("r-1")));
    let ack = ada.hear("ack");
    assert_eq!(ack, json!({"type": "ack", "ref": "r-1", "id": 1}));
    let mut heard = bob.hear("message");
    assert_eq!(ada.hear("message"), heard);
    let event = stream.next().unwrap();
    assert_eq!(event.id, Some(1));
    heard.as_object_mut().unwrap().remove("type");
    assert_eq!((&heard["name"], &heard["user"], &heard["message"]), (&json!("ada"), &json!(null), &json!("hello")));
    assert_eq!(event.data, heard);
    assert_eq!(place.get("/messages").json()["messages"], json!([heard]));
    place.ask("POST /send", &[FORM], "message=by+form");
    assert_eq!((bob.ids(1), ada.ids(1)), (vec![2], vec![2]));
}

#[test]
fn what_is_wrong_with_a_message_is_told_with_its_ref_and_ends_nothing() {
    let place = Place::open(&["--rooms", "den"]);
    let mut socket = Socket::open(&place, "/ws");
    let long = "x".repeat(4097);
    for (said, code, reference) in [
        (send(" ", json!(1)), "bad_message", json!(1)),
        (send("a\u{1b}b", json!("b")), "bad_message", json!("b")),
        (send(&long, json!("c")), "too_large", json!("c")),
        (json!({"type": "send", "message": "x", "room": "hall", "ref": 2}), "no_such_room", json!(2)),
        (json!({"type": "send", "message": "x", "room": "a/b", "ref": 3}), "bad_room", json!(3)),
        (json!({"type": "send", "message": 5, "ref": 4}), "bad_field", json!(4)),
        (json!({"type": "send", "message": "x", "other": "y", "ref": 5}), "bad_field", json!(5)),
        (json!({"type": "dance", "ref": 6}), "bad_field", json!(6)),
        (json!({"ref": 7}), "bad_field", json!(7)),
        (json!({"type": "send", "message": "x", "ref": {"a": 1}}), "bad_field", json!(null)),
        (json!([1]), "invalid_json", json!(null)),
    ] {
        socket.say(&said);
        let error = socket.hear("error");
        assert_eq!((&error["code"], &error["ref"]), (&json!(code), &reference), "{said}");
    }
    socket.send(&frame(0x81, b"not json"));
    assert_eq!(socket.hear("error")["code"], "invalid_json");
    socket.say(&json!({"type": "send", "message": "fine", "room": "den"}));
    assert_eq!(socket.hear("ack"), json!({"type": "ack", "ref": null, "id": 1}));
}

#[test]
fn a_socket_that_comes_again_hears_each_message_once_and_in_order() {
    let place = Place::open(&[]);
    place.fill(2300, "more than stays in memory");
    let mut socket = Socket::open(&place, "/ws?since=7");
    assert_eq!(socket.ids(2293), (8..=2300).collect::<Vec<_>>());
    let id = place.say("lobby", "new");
    assert_eq!(socket.ids(1), [id]);
    let mut both = Socket::open(&place, "/ws?room=den,lobby&since=2299");
    let other = place.say("den", "elsewhere");
    assert_eq!(both.ids(3), [2300, id, other]);
    place.erase(id);
    assert_eq!(both.hear("delete"), json!({"type": "delete", "id": id, "room": "lobby"}));
}

#[test]
fn what_is_no_websocket_is_told_how_to_be_one() {
    let place = Place::open(&[]);
    let shake = |from: &str, to: &str| {
        HANDSHAKE.replace(from, to).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    for (fields, status) in [
        (vec![], 426),
        (shake("13", "8"), 426),
        (shake("websocket", "h2c"), 426),
        (shake("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
    ] {
        let answer = place.ask("GET /ws", &fields.iter().map(String::as_str).collect::<Vec<_>>(), "");
        assert_eq!(answer.status, status, "{fields:?}");
        if status == 426 {
            let told = ["upgrade", "connection", "sec-websocket-version"].map(|name| answer.field(name));
            assert_eq!(told, [Some("websocket"), Some("Upgrade"), Some("13")]);
        }
    }
    let foreign = [&shake("", "")[..], &["Origin: https://elsewhere.example".to_owned()]].concat();
    let answer = place.ask("GET /ws", &foreign.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!((answer.status, &*answer.code()), (403, "cross_site"));
    let socket = Socket::open_with(&place, "/ws", "Sec-WebSocket-Protocol: other, hythe.chat.v1\r\n");
    assert!(socket.head.contains("Sec-WebSocket-Protocol: hythe.chat.v1\r\n"), "{}", socket.head);
    assert!(!Socket::open(&place, "/ws").head.contains("Sec-WebSocket-Protocol"));
    for (target, status, code) in [("/ws?name=a%2Fb", 400, "bad_name"), ("/ws?room=a%2Fb", 400, "bad_room")] {
        let answer =
            place.ask(&format!("GET {target}"), &shake("", "").iter().map(String::as_str).collect::<Vec<_>>(), "");
        assert_eq!((answer.status, &*answer.code()), (status, code), "{target}");
    }
}

/// Each piece of bad input ends its own connection, with its code, and no other.
#[test]
fn a_client_that_breaks_the_protocol_is_closed_with_the_reason() {
    let place = Place::open(&[]);
    let mut witness = Socket::open(&place, "/ws");
    let too_big = frame(0x81, &vec![b'x'; 40 << 10]);
    let mut endless = frame(0x01, &vec![b'x'; 1000]);
    (0..60).for_each(|_| endless.extend(frame(0x00, &vec![b'x'; 1000])));
    for (what, bytes, code) in [
        ("binary", frame(0x82, b"x"), 1003),
        ("the beginning of a binary message", frame(0x02, b"x"), 1003),
        ("the first byte of a binary message", vec![0x02], 1003),
        ("bad UTF-8", frame(0x81, b"\xff"), 1007),
        ("bad UTF-8 in an unfinished message", frame(0x01, b"ok\xc0"), 1007),
        ("too big", too_big, 1009),
        ("an endless message", endless, 1009),
        ("unmasked", vec![0x81, 1, b'x'], 1002),
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("a reserved opcode", frame(0x83, b"x"), 1002),
        ("a length of 2^63", vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        ("a long ping", frame(0x89, &[b'x'; 126]), 1002),
        ("a close with one byte", frame(0x88, b"x"), 1002),
    ] {
        let mut socket = Socket::open(&place, "/ws");
        socket.send(&bytes);
        assert_eq!(socket.closed(), code, "{what}");
    }
    let mut leaving = Socket::open(&place, "/ws");
    leaving.send(&frame(0x88, &1000u16.to_be_bytes()));
    assert_eq!(leaving.closed(), 1000, "a close is answered");
    assert_eq!(leaving.next(), Heard::End);
    place.say("lobby", "still here");
    assert_eq!(witness.ids(1), [1]);
    assert!(comes_to_be(|| place.get("/who").json()["count"] == 1));
}

#[test]
fn a_flood_of_pings_is_answered_or_held_back_and_harms_nobody() {
    let place = Place::open(&[]);
    let mut witness = Socket::open(&place, "/ws");
    let mut flood = Socket::open(&place, "/ws");
    flood.send(&frame(0x89, b"hi").repeat(20_000));
    assert_eq!(flood.next(), Heard::Pong(b"hi".to_vec()));
    place.say("lobby", "meanwhile");
    assert_eq!(witness.ids(1), [1]);
    let mut last = Heard::Pong(b"hi".to_vec());
    while last == Heard::Pong(b"hi".to_vec()) {
        last = flood.next();
    }
    assert!(matches!(last, Heard::Said(_)), "{last:?}");
}

#[test]
fn who_sends_too_often_is_told_when_to_come_again_on_either_way() {
    let place = Place { house: crate::house::House::with_default_rates(&["--send-rate", "1/h burst 3"]) };
    let mut socket = Socket::open(&place, "/ws");
    let mut codes = Vec::new();
    for number in 0..5 {
        socket.say(&send("x", json!(number)));
        loop {
            let Heard::Said(said) = socket.next() else { panic!("an answer") };
            match said["type"].as_str() {
                Some("ack") => break codes.push("ack".to_owned()),
                Some("error") => {
                    assert!(
                        said["retry_after"].as_u64().is_some_and(|seconds| (1..=3600).contains(&seconds)),
                        "{said}"
                    );
                    assert_eq!(said["ref"], number);
                    break codes.push(said["code"].as_str().unwrap().to_owned());
                }
                _ => {}
            }
        }
    }
    assert_eq!(codes, ["ack", "ack", "ack", "rate_limited", "rate_limited"]);
    let answer = place.ask("POST /send", &[FORM], "message=x");
    assert_eq!(answer.status, 429);
    assert!(answer.field("retry-after").is_some());
}

#[test]
fn who_may_only_listen_is_told_so_and_hears() {
    let place = Place::open(&["--chat-write", "user"]);
    let mut socket = Socket::open(&place, "/ws");
    socket.say(&send("x", json!(1)));
    assert_eq!(socket.hear("error")["code"], "unauthorized");
    let operator = [&*format!("Authorization: Bearer {}", crate::place::TOKEN), FORM];
    assert_eq!(place.ask("POST /send", &operator, "message=hello").status, 201);
    assert_eq!(socket.ids(1), [1]);
}

#[test]
fn people_with_a_name_are_seen_coming_typing_and_going() {
    let place = Place::open(&[]);
    let mut watcher = Socket::open(&place, "/ws?room=den");
    let mut ada = Socket::open(&place, "/ws?room=den,attic&name=Ada");
    let again = Socket::open(&place, "/ws?room=den&name=Ada");
    let _unnamed = Socket::open(&place, "/ws?room=den");
    assert_eq!(watcher.hear("join"), json!({"type": "join", "room": "den", "names": ["Ada"]}));
    let who = place.get("/who?room=den").json();
    assert_eq!((&who["count"], &who["names"]), (&json!(4), &json!(["Ada"])));
    // All in one moment, which is told as one.
    ada.send(&frame(0x81, json!({"type": "typing"}).to_string().as_bytes()).repeat(5));
    assert_eq!(watcher.hear("typing"), json!({"type": "typing", "room": "den", "names": ["Ada"]}));
    drop(again);
    std::thread::sleep(Duration::from_millis(1500));
    drop(ada);
    assert_eq!(watcher.hear("leave"), json!({"type": "leave", "room": "den", "names": ["Ada"]}));
    assert_eq!(place.get("/who?room=den").json()["names"], json!([]));
}

/// Telling everyone of everyone would be more than all that is said.
#[test]
fn in_a_room_of_more_than_two_hundred_nobody_is_told_who_comes_types_and_goes() {
    let place = Place::open(&[]);
    let mut watchers = (Socket::open(&place, "/ws"), place.listen("/events", ""));
    let mut crowd: Vec<Socket> = (0..199).map(|_| Socket::open(&place, "/ws")).collect();
    let mut ada = Socket::open(&place, "/ws?name=Ada");
    let who = place.get("/who").json();
    assert_eq!((&who["count"], &who["names"]), (&json!(202), &json!([])), "counts, and no names");
    ada.say(&json!({"type": "typing"}));
    // By then it would have been told, in a smaller room.
    std::thread::sleep(Duration::from_millis(1500));
    drop(ada);
    assert!(comes_to_be(|| place.get("/who").json()["count"] == 201));
    std::thread::sleep(Duration::from_millis(1500));
    let id = place.say("lobby", "of nobody");
    assert_eq!(watchers.0.ids(1), [id], "the first thing that is heard is a message");
    assert_eq!(watchers.1.ids(1), [id]);
    crowd.truncate(150);
    assert!(comes_to_be(|| place.get("/who").json()["count"] == 152));
    let _bob = Socket::open(&place, "/ws?name=Bob");
    assert_eq!(watchers.0.hear("join")["names"], json!(["Bob"]), "where fewer listen it is told again");
    assert_eq!(watchers.1.next().unwrap().kind, "join");
    assert_eq!(place.get("/who").json()["names"], json!(["Bob"]));
}

/// Whoever never reads is closed at the end of its queue, holds up nobody, and hears all of it when it comes again.
#[test]
fn a_reader_that_never_reads_is_closed_and_misses_nothing() {
    let place = Place::open(&[]);
    let mut deaf = [Socket::open(&place, "/ws"), Socket::open(&place, "/ws")];
    let mut stream = place.listen("/events", "");
    let mut witness = Socket::open(&place, "/ws");
    let text = "x".repeat(4000);
    let mut said = 0;
    while place.get("/who").json()["count"] != 1 {
        place.fill(10, &text);
        said += 10;
        assert_eq!(witness.ids(10), (said - 9..=said).collect::<Vec<_>>());
        assert!(said < 10_000, "they are never closed");
    }
    for socket in &mut deaf {
        let mut heard = 0;
        let code = loop {
            match socket.next() {
                Heard::Said(message) => {
                    heard += 1;
                    assert_eq!(message["id"], heard, "what it did get is in order");
                }
                Heard::Closed(code) => break code,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(code, 1013);
        let mut again = Socket::open(&place, &format!("/ws?since={heard}"));
        assert_eq!(again.ids((said - heard) as usize), (heard + 1..=said).collect::<Vec<_>>());
    }
    let mut heard = 0;
    while let Some(event) = stream.next() {
        heard += 1;
        assert_eq!(event.id, Some(heard));
    }
    assert!(heard < said);
    let again = place.listen("/events", &format!("Last-Event-ID: {heard}\r\n")).ids((said - heard) as usize);
    assert_eq!(again, (heard + 1..=said).collect::<Vec<_>>());
}

#[test]
fn a_message_as_long_as_the_configuration_allows_goes_up_a_socket_too() {
    let place = Place::open(&["--message-limit", "64k"]);
    let mut socket = Socket::open(&place, "/ws");
    // Each of these takes six bytes as JSON may write it.
    let text = "\\u0041".repeat(64 << 10);
    socket.send(&frame(0x81, format!("{{\"type\":\"send\",\"message\":\"{text}\",\"ref\":1}}").as_bytes()));
    assert_eq!(socket.hear("ack"), json!({"type": "ack", "ref": 1, "id": 1}));
    assert_eq!(socket.hear("message")["message"].as_str().map(str::len), Some(64 << 10));
    socket.say(&send(&"x".repeat((64 << 10) + 1), json!(2)));
    assert_eq!(socket.hear("error")["code"], "too_large");
}

#[test]
fn what_was_trimmed_is_told_down_a_socket_as_a_gap() {
    let place = Place::open(&["--history-messages", "10"]);
    place.fill(30, "x");
    assert!(comes_to_be(|| place.ids("/messages?since=0&limit=1000") == (21..=30).collect::<Vec<_>>()));
    let mut socket = Socket::open(&place, "/ws?since=3");
    assert_eq!(socket.hear("gap"), json!({"type": "gap", "first": 21}));
    assert_eq!(socket.ids(10), (21..=30).collect::<Vec<_>>());
    let id = place.say("lobby", "and on");
    assert_eq!(socket.ids(1), [id]);
}

/// Each may have much unheard, but all together may not: who lags then is closed, and comes again.
#[test]
fn what_waits_for_all_together_has_a_cap_of_its_own() {
    let place = Place::open(&["--stream-queue", "64m", "--stream-total", "100k"]);
    let mut deaf = Socket::open(&place, "/ws");
    let mut witness = Socket::open(&place, "/ws");
    let text = "x".repeat(4000);
    let mut said = 0;
    while place.get("/who").json()["count"] != 1 {
        place.fill(10, &text);
        said += 10;
        assert_eq!(witness.ids(10), (said - 9..=said).collect::<Vec<_>>());
        assert!(said < 10_000, "it is never closed");
    }
    let mut heard = 0;
    while let Heard::Said(message) = deaf.next() {
        heard += 1;
        assert_eq!(message["id"], heard);
    }
    assert!(heard < said);
    let mut again = Socket::open(&place, &format!("/ws?since={heard}"));
    assert_eq!(again.ids((said - heard) as usize), (heard + 1..=said).collect::<Vec<_>>());
}

/// A socket and a stream live as long as the session they came in with; a guest's goes on.
#[test]
fn a_socket_ends_with_the_session_it_came_in_with() {
    let place = Place::open(&["--password-profile", "low"]);
    let ada = json!({"username": "ada", "password": "correct horse"});
    let operator = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(place.ask("POST /admin/users", &[JSON, &operator], ada.to_string()).status, 201);
    let login = place.ask("POST /login", &[JSON], ada.to_string());
    let cookie = login.field("set-cookie").expect("a cookie").split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}");
    let mut guest = Socket::open(&place, "/ws");
    let mut socket = Socket::open_with(&place, "/ws", &format!("{cookie}\r\n"));
    let mut stream = place.listen("/events", &format!("{cookie}\r\n"));
    assert_eq!(guest.hear("join")["names"], json!(["ada"]));
    socket.say(&send("as myself", json!(1)));
    assert_eq!(guest.hear("message")["user"], "ada");
    while stream.next().expect("a message").id != Some(1) {}
    let taken = place.ask("POST /send", &[FORM], "message=x&name=Ada");
    assert_eq!((taken.status, &*taken.code()), (409, "name_taken"));
    // What one has said oneself can be taken back; what a guest said cannot, and all hear of it.
    let other = place.say("lobby", "a guest's");
    let of_guest = place.ask(&format!("DELETE /messages/{other}"), &[&cookie], "");
    assert_eq!((of_guest.status, &*of_guest.code()), (403, "not_author"));
    assert_eq!(place.ask("DELETE /messages/1", &[&cookie], "").status, 200);
    assert_eq!(guest.ids(1), [other]);
    assert_eq!(guest.hear("delete"), json!({"type": "delete", "id": 1, "room": "lobby"}));
    assert_eq!(place.ids("/messages"), [other]);
    assert_eq!(place.ask("POST /logout", &[&cookie], "").status, 200);
    assert_eq!(socket.closed(), 1008);
    while stream.next().is_some() {}
    place.say("lobby", "still here");
    loop {
        match guest.next() {
            Heard::Said(said) if said["type"] == "message" => break assert_eq!(said["id"], other + 1),
            Heard::Said(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Nobody listens or speaks under a name that is an account's, nor under one that has become an account's meanwhile.
#[test]
fn a_guest_has_no_name_that_is_an_accounts() {
    let place = Place::open(&["--password-profile", "low"]);
    let operator = format!("Authorization: Bearer {TOKEN}");
    let register = |name: &str| {
        let account = json!({"username": name, "password": "correct horse"});
        assert_eq!(place.ask("POST /admin/users", &[JSON, &operator], account.to_string()).status, 201);
    };
    register("ada");
    for name in ["ada", "ADA", "%EF%BC%A1da", "%20ada%20"] {
        for (line, fields) in [("GET /ws", &HANDSHAKE_FIELDS[..]), ("GET /events", &HANDSHAKE_FIELDS[..0])] {
            let answer = place.ask(&format!("{line}?name={name}"), fields, "");
            assert_eq!((answer.status, &*answer.code()), (409, "name_taken"), "{line} {name}");
        }
        let answer = place.ask("POST /send", &[FORM], format!("message=x&name={name}"));
        assert_eq!((answer.status, &*answer.code()), (409, "name_taken"), "{name}");
    }
    let mut eve = Socket::open(&place, "/ws?name=Eve");
    assert_eq!(eve.hear("join")["names"], json!(["Eve"]));
    eve.say(&send("before", json!(1)));
    assert_eq!(eve.hear("ack")["id"], 1);
    assert_eq!(eve.ids(1), [1]);
    register("eve");
    eve.say(&send("after", json!(2)));
    assert_eq!(eve.hear("error")["code"], "name_taken");
    assert_eq!(place.ids("/messages"), [1]);
}

#[test]
fn when_the_house_closes_everyone_is_told_in_their_own_way() {
    let mut place = Place::open(&[]);
    let mut socket = Socket::open(&place, "/ws");
    let mut stream = place.listen("/events", "");
    place.say("lobby", "last words");
    let mut poll = place.wait("/messages?since=1&wait=60");
    assert!(poll.is_quiet_for(Duration::from_millis(300)), "{}", poll.transcript());
    place.house.ask_to_stop();
    let answer = poll.hear(false).expect("an answer");
    assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])));
    assert_eq!(socket.ids(1), [1]);
    assert_eq!(socket.closed(), 1001);
    assert_eq!(stream.ids(1), [1]);
    assert_eq!(stream.next(), None);
    drop(socket);
    assert!(place.house.wait_for_the_end().is_some_and(|status| status.success()));
}

#[test]
fn who_comes_through_a_proxy_is_slowed_by_nobody_else() {
    let flags = ["--send-rate", "1/h burst 3", "--trusted-proxy", "127.0.0.1", "--chat-write", "anyone"];
    let place = Place { house: crate::house::House::with_default_rates(&flags) };
    let through = |address: &str| Socket::open_with(&place, "/ws", &format!("X-Forwarded-For: {address}\r\n"));
    let (mut hasty, mut other) = (through("203.0.113.7"), through("203.0.113.8"));
    let told = |socket: &mut Socket, number: u64| {
        socket.say(&send("x", json!(number)));
        loop {
            let Heard::Said(said) = socket.next() else { panic!("an answer") };
            match said["type"].as_str() {
                Some("ack") => return "ack".to_owned(),
                Some("error") => return said["code"].as_str().unwrap().to_owned(),
                _ => {}
            }
        }
    };
    let codes: Vec<_> = (0..4).map(|number| told(&mut hasty, number)).collect();
    assert_eq!(codes, ["ack", "ack", "ack", "rate_limited"]);
    assert_eq!(told(&mut other, 4), "ack");
    let fields = [FORM, "X-Forwarded-For: 203.0.113.7"];
    assert_eq!(place.ask("POST /send", &fields, "message=x").status, 429, "it is one measure on either way");
}
