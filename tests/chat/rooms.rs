//! Rooms: where something is said, who made them, and how many there may be.

use serde_json::json;

use crate::place::{FORM, HTML, JSON, Place};

#[test]
fn a_room_appears_on_its_first_use_and_has_its_own_history() {
    let place = Place::open(&[]);
    assert_eq!(place.get("/rooms").json()["rooms"], json!([{"name": "lobby", "count": 0}]));
    assert_eq!([place.say("lobby", "one"), place.say("den", "two"), place.say("lobby", "three")], [1, 2, 3]);
    assert_eq!(place.ids("/messages"), [1, 3]);
    assert_eq!(place.ids("/messages?room=den"), [2]);
    assert_eq!(place.ids("/messages?room=attic"), Vec::<i64>::new(), "a look makes no room");
    let _listener = place.listen("/events?room=den,lobby,den", "");
    let rooms = json!([{"name": "den", "count": 1}, {"name": "lobby", "count": 1}]);
    assert_eq!(place.get("/rooms").json(), json!({"rooms": rooms, "open": true}));
    assert_eq!(place.get("/who?room=den").json()["count"], 1);
    let page = place.ask("GET /rooms", &[HTML], "");
    assert!(page.text().contains("href=\"/messages?room=den\">den</a>: 1 listening"), "{}", page.text());
    assert_eq!(page.field("vary"), Some("Accept"));
}

#[test]
fn rooms_that_are_fixed_are_all_there_are() {
    let place = Place::open(&["--rooms", "den,attic"]);
    let names = place.get("/rooms").json();
    let names: Vec<_> = names["rooms"].as_array().unwrap().iter().map(|room| &room["name"]).collect();
    assert_eq!(names, ["attic", "den", "lobby"]);
    place.say("den", "inside");
    for line in ["GET /messages?room=hall", "GET /events?room=den,hall", "GET /who?room=hall"] {
        let answer = place.ask(line, &[], "");
        assert_eq!((answer.status, &*answer.code()), (404, "no_such_room"), "{line}");
    }
    let answer = place.ask("POST /send", &[FORM], "message=x&room=hall");
    assert_eq!((answer.status, &*answer.code()), (404, "no_such_room"));
}

#[test]
fn what_is_no_name_of_a_room_is_refused_everywhere() {
    let place = Place::open(&[]);
    let long = "a".repeat(33);
    for name in ["a%2Fb", "A", "a_b", "%C3%A9", "a%20b", "a%00", "", &long, ".."] {
        for line in
            [format!("GET /messages?room={name}"), format!("GET /events?room={name}"), format!("GET /who?room={name}")]
        {
            let answer = place.ask(&line, &[], "");
            assert_eq!((answer.status, &*answer.code()), (400, "bad_room"), "{line}");
        }
        let answer = place.ask("POST /send", &[FORM], format!("message=x&room={name}"));
        assert_eq!((answer.status, &*answer.code()), (400, "bad_room"), "{name}");
    }
    let many: Vec<String> = (0..33).map(|number| format!("r{number}")).collect();
    assert_eq!(place.get(&format!("/events?room={}", many.join(","))).code(), "bad_room");
    assert_eq!(place.ids("/messages"), Vec::<i64>::new());
}

/// Whoever asks for more rooms than there may be gets no more, and those that were only listened to give way.
#[test]
fn there_are_256_rooms_and_one_that_nobody_uses_gives_way() {
    let place = Place::open(&[]);
    let first = place.listen("/events?room=r0", "");
    for number in 1..300 {
        drop(place.listen(&format!("/events?room=r{number}"), ""));
    }
    let count = place.get("/rooms").json()["rooms"].as_array().unwrap().len();
    assert!(count <= 256, "{count}");
    drop(first);
    for number in 0..255 {
        assert_eq!(place.ask("POST /send", &[FORM], format!("message=x&room=s{number}")).status, 201, "s{number}");
    }
    for number in 255..300 {
        let answer =
            place.ask("POST /send", &[JSON], json!({"room": format!("s{number}"), "message": "x"}).to_string());
        assert_eq!((answer.status, &*answer.code()), (403, "too_many_rooms"));
        assert_eq!(place.get(&format!("/events?room=s{number}")).status, 403);
    }
    assert_eq!(place.get("/rooms").json()["rooms"].as_array().unwrap().len(), 256);
    assert_eq!(place.say("s7", "still there"), 256);
}

/// Each request asks for 32 rooms that nobody has heard of, in every way in which a room can be asked for.
#[test]
fn a_hundred_thousand_rooms_asked_for_are_256_at_most_and_harm_nobody() {
    let place = Place::open(&["--keepalive-requests", "0"]);
    let mut witness = place.listen("/events?room=lobby,den", "");
    for batch in 0..3125 {
        let names: Vec<String> = (0..32).map(|number| format!("r{}", batch * 32 + number)).collect();
        drop(place.listen(&format!("/events?room={}", names.join(",")), ""));
        if batch % 100 == 0 {
            assert_eq!(place.get(&format!("/messages?room=q{batch}&since=0")).status, 200, "a look makes no room");
            assert_eq!(place.get(&format!("/who?room=q{batch}")).json()["count"], 0);
        }
    }
    let count = place.get("/rooms").json()["rooms"].as_array().unwrap().len();
    assert!(count <= 256, "{count}");
    let id = place.say("den", "still heard");
    assert_eq!(witness.ids(1), [id]);
    assert_eq!(place.say("new", "there is room"), id + 1);
}
