//! Who hears what: everything from where they were on, once and in order, or a word that something is missing.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::place::{FORM, Place};
use crate::socket::{HANDSHAKE_FIELDS, Socket};
use crate::wire::comes_to_be;

#[test]
fn a_stream_says_what_it_is_and_hears_messages_with_their_ids() {
    let place = Place::open(&[]);
    let mut listener = place.listen("/events", "");
    assert!(listener.head[0].starts_with("HTTP/1.1 200"), "{:?}", listener.head);
    for line in ["Content-Type: text/event-stream", "X-Accel-Buffering: no", "Cache-Control: no-store"] {
        assert!(listener.head.iter().any(|field| field == line), "{line} is not in {:?}", listener.head);
    }
    let answer = place.ask("POST /send", &[FORM], "message=a%0Ab&name=ada");
    let event = listener.next().unwrap();
    assert_eq!((event.id, &*event.kind, event.data), (Some(1), "message", answer.json()));
}

#[test]
fn a_stream_goes_on_from_where_it_was_by_either_word() {
    let place = Place::open(&[]);
    place.fill(5, "x");
    assert_eq!(place.listen("/events?since=2", "").ids(3), [3, 4, 5]);
    assert_eq!(place.listen("/events", "Last-Event-ID: 3\r\n").ids(2), [4, 5]);
    assert_eq!(place.listen("/events?since=1", "Last-Event-ID: 4\r\n").ids(1), [5], "the header wins");
    for position in ["/events", "/events?since=x", "/events?since=99", "/events?since=-1", "/events?since=%2B2"] {
        let mut listener = place.listen(position, "");
        let id = place.say("lobby", "new");
        assert_eq!(listener.ids(1), [id], "{position}");
    }
    for header in ["", "x", "99", "-1", "+2", "2.0"] {
        let mut listener = place.listen("/events?since=1", &format!("Last-Event-ID: {header}\r\n"));
        let id = place.say("lobby", "new");
        assert_eq!(listener.ids(1), [id], "{header}: no position either, though it wins");
    }
}

/// Sockets, streams and polls that wait count together.
#[test]
fn who_would_listen_above_the_cap_is_told_to_come_later() {
    let place = Place::open(&["--streams", "2"]);
    let first = place.listen("/events", "");
    let mut socket = Socket::open(&place, "/ws");
    for (line, fields) in [("GET /events", &HANDSHAKE_FIELDS[..0]), ("GET /ws", &HANDSHAKE_FIELDS[..])] {
        let answer = place.ask(line, fields, "");
        assert_eq!((answer.status, &*answer.code()), (503, "too_many_streams"), "{line}");
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
    }
    drop(first);
    assert!(comes_to_be(|| place.get("/who").json()["count"] == 1));
    let mut again = place.listen("/events", "");
    let id = place.say("lobby", "there is room");
    assert_eq!((again.ids(1), socket.hear("message")["id"].as_i64()), (vec![id], Some(id)));
}

#[test]
fn a_stream_over_several_rooms_hears_all_of_them_in_order_and_no_other() {
    let place = Place::open(&[]);
    place.say("den", "before");
    let mut both = place.listen("/events?room=den,attic&since=0", "");
    let mut same = place.listen("/events?room=attic,den", "");
    let mut one = place.listen("/events?room=attic", "");
    let said: Vec<i64> = ["den", "lobby", "attic", "den", "hall", "attic"].map(|room| place.say(room, "x")).to_vec();
    assert_eq!(both.ids(5), [1, said[0], said[2], said[3], said[5]]);
    assert_eq!(same.ids(4), [said[0], said[2], said[3], said[5]]);
    assert_eq!(one.ids(2), [said[2], said[5]]);
    drop((both, same));
    let id = place.say("attic", "after they have gone");
    assert_eq!(one.ids(1), [id]);
    let mut again = place.listen(&format!("/events?room=den,attic&since={}", said[3]), "");
    assert_eq!(again.ids(2), [said[5], id]);
}

#[test]
fn a_stream_that_was_away_for_long_hears_all_of_it() {
    let place = Place::open(&[]);
    place.fill(2300, "more than stays in memory");
    let mut listener = place.listen("/events?since=5", "");
    assert_eq!(listener.ids(2295), (6..=2300).collect::<Vec<_>>());
    let id = place.say("lobby", "and on");
    assert_eq!(listener.ids(1), [id]);
}

#[test]
fn what_was_trimmed_is_told_as_a_gap() {
    let place = Place::open(&["--history-messages", "100"]);
    place.fill(2500, "x");
    assert!(comes_to_be(|| place.get("/messages?since=0").json()["gap"] == json!(true)));
    // The last of it may go only now.
    let is_told = comes_to_be(|| {
        let first = place.ids("/messages?since=0&limit=1")[0];
        let event = place.listen("/events?since=3", "").next().unwrap();
        assert_eq!(event.kind, "gap");
        event.data["first"].as_i64() == Some(first)
    });
    assert!(is_told, "the first that is left is told");
}

#[test]
fn a_short_history_is_short_while_the_server_runs() {
    let place = Place::open(&["--history-messages", "10"]);
    place.fill(30, "x");
    assert!(comes_to_be(|| place.ids("/messages?since=0&limit=1000") == (21..=30).collect::<Vec<_>>()));
    assert_eq!(place.get("/messages?since=0").json()["gap"], json!(true));
    let event = place.listen("/events?since=3", "").next().unwrap();
    assert_eq!((&*event.kind, event.data["first"].as_i64()), ("gap", Some(21)));
}

#[test]
fn a_poll_is_answered_when_something_is_said_in_its_room() {
    let place = Place::open(&[]);
    let mut poll = place.wait("/messages?room=den&since=0&wait=60");
    place.say("lobby", "not this");
    assert!(poll.is_quiet_for(Duration::from_millis(300)), "{}", poll.transcript());
    let id = place.say("den", "but this");
    let answer = poll.hear(false).expect("an answer").json();
    assert_eq!(crate::place::ids(&answer["messages"]), [id]);
    let began = Instant::now();
    let empty = place.get("/messages?since=7&wait=1").json();
    assert_eq!(empty, json!({"messages": [], "last": 7, "gap": false}));
    assert!(began.elapsed() >= Duration::from_millis(900));
}

/// What was trimmed elsewhere was never to be heard here.
#[test]
fn a_gap_is_told_only_where_something_of_the_room_was_trimmed() {
    let mut place = Place::open(&["--history-messages", "10"]);
    place.say("den", "soon forgotten");
    place.fill(30, "x");
    assert!(comes_to_be(|| place.get("/messages?since=0").json()["gap"] == json!(true)));
    let kept = place.say("hall", "kept");
    for at_first in [true, false] {
        let page = |room: &str, since: i64| place.get(&format!("/messages?room={room}&since={since}")).json();
        assert_eq!(page("attic", 0), json!({"messages": [], "last": 0, "gap": false}), "nothing was ever said there");
        assert_eq!(
            (crate::place::ids(&page("hall", 0)["messages"]), &page("hall", 0)["gap"]),
            (vec![kept], &json!(false))
        );
        assert_eq!(page("den", 0), json!({"messages": [], "last": 0, "gap": true}), "all of it has gone");
        assert_eq!(page("den", 1), json!({"messages": [], "last": 1, "gap": false}), "who has heard it misses nothing");
        assert_eq!(place.listen("/events?room=hall&since=0", "").ids(1), [kept]);
        let event = place.listen("/events?room=hall,den&since=0", "").next().unwrap();
        assert_eq!((&*event.kind, event.data["first"].as_i64().is_some_and(|first| first > 1)), ("gap", true));
        if at_first {
            place.house.kill_and_restart();
        }
    }
}

#[test]
fn a_poll_without_a_position_waits_for_the_first_word_of_a_room() {
    let place = Place::open(&[]);
    place.say("lobby", "here");
    let mut poll = place.wait("/messages?room=den&wait=60");
    assert!(poll.is_quiet_for(Duration::from_millis(300)), "{}", poll.transcript());
    let id = place.say("den", "the first");
    assert_eq!(crate::place::ids(&poll.hear(false).expect("an answer").json()["messages"]), [id]);
    let began = Instant::now();
    assert_eq!(place.ids("/messages?wait=60"), [1], "where something was said that is the answer");
    assert_eq!(place.ids("/messages?room=hall&before=9&wait=60"), Vec::<i64>::new(), "and of old nothing new comes");
    assert!(began.elapsed() < Duration::from_secs(60), "neither has waited");
}
