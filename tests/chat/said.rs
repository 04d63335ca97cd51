//! What is said is kept and can be read again, found, and taken back.

use serde_json::json;

use crate::place::{FORM, HTML, JSON, Place, TEXT};
use crate::wire::comes_to_be;

#[test]
fn a_message_is_answered_with_what_was_kept() {
    let place = Place::open(&[]);
    for (fields, body, name) in [
        (FORM, "message=Hello&name=Ada+L.", Some("Ada L.")),
        (JSON, r#"{"message":"Hello","name":"Ada L."}"#, Some("Ada L.")),
        (TEXT, "Hello", None),
        (FORM, "message=Hello&name=", None),
    ] {
        let answer = place.ask("POST /send", &[fields], body);
        assert_eq!(answer.status, 201, "{body}: {answer:?}");
        let said = answer.json();
        assert_eq!((&said["room"], &said["user"], &said["message"]), (&json!("lobby"), &json!(null), &json!("Hello")));
        match name {
            Some(name) => assert_eq!(said["name"], name),
            None => {
                let name = said["name"].as_str().unwrap();
                let digits = name.strip_prefix("guest-").unwrap_or_default();
                assert!(digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
            }
        }
        assert!(said["ts"].as_str().unwrap().ends_with('Z'));
        assert_eq!(place.get("/messages?limit=1").json()["messages"][0], said, "it is read as it was answered");
    }
}

#[test]
fn plain_text_says_in_the_query_where_it_belongs_and_whose_it_is() {
    let place = Place::open(&[]);
    let said = place.ask("POST /send?room=den&name=Ada", &[TEXT], "Hello").json();
    assert_eq!((&said["room"], &said["name"], &said["message"]), (&json!("den"), &json!("Ada"), &json!("Hello")));
}

#[test]
fn a_message_as_long_as_the_configuration_allows_may_come_whatever_forms_may_be() {
    let place = Place::open(&["--message-limit", "100KiB"]);
    let text = "m".repeat(90_000);
    for (kind, body) in [(TEXT, text.clone()), (JSON, json!({"message": text}).to_string())] {
        assert_eq!(place.ask("POST /send", &[kind], &body).status, 201, "{kind}");
    }
}

#[test]
fn pages_of_the_history_follow_the_contract() {
    let place = Place::open(&[]);
    (0..6).for_each(|number| {
        place.say("lobby", &format!("message {number}"));
    });
    for (query, expected, last) in [
        ("", vec![1, 2, 3, 4, 5, 6], 6),
        ("?limit=2", vec![5, 6], 6),
        ("?since=4", vec![5, 6], 6),
        ("?since=1&limit=2", vec![2, 3], 3),
        ("?since=6", vec![], 6),
        ("?since=99", vec![], 99),
        ("?before=3", vec![1, 2], 2),
        ("?before=6&limit=2", vec![4, 5], 5),
        ("?before=1", vec![], 0),
    ] {
        let answer = place.get(&format!("/messages{query}")).json();
        assert_eq!(crate::place::ids(&answer["messages"]), expected, "{query}");
        assert_eq!((&answer["last"], &answer["gap"]), (&json!(last), &json!(false)), "{query}");
    }
    for query in [
        "since=x",
        "since=-1",
        "limit=0",
        "limit=1001",
        "wait=61",
        "since=1&before=3",
        "before=x",
        "since=%2B1",
        "limit=1&limit=2",
        "room=lobby&room=b",
    ] {
        let answer = place.get(&format!("/messages?{query}"));
        assert_eq!((answer.status, &*answer.code()), (400, "bad_query"), "{query}");
    }
}

#[test]
fn what_cannot_be_a_message_is_refused_and_leaves_no_trace() {
    let place = Place::open(&[]);
    let (most, more) = ("a".repeat(4096), "a".repeat(4097));
    assert_eq!(place.ask("POST /send", &[TEXT], &most).status, 201);
    let name = format!("message=x&name={}", "a".repeat(33));
    for (kind, body, status, code) in [
        (TEXT, more.as_bytes(), 413, "too_large"),
        (TEXT, b"  \n ", 400, "bad_message"),
        (FORM, b"message=", 400, "bad_message"),
        (FORM, b"room=lobby", 400, "bad_message"),
        (TEXT, b"a\x00b", 400, "bad_message"),
        (TEXT, b"a\x1b[0m", 400, "bad_message"),
        (TEXT, b"\xff\xfe", 400, "bad_message"),
        (FORM, b"message=%ff", 400, ""),
        (JSON, b"{\"message\":\"\\ud800\"}", 400, "invalid_json"),
        (JSON, b"{\"message\":\"\xff\"}", 400, "invalid_json"),
        (JSON, b"{\"message\":\"a\",\"extra\":1}", 400, "bad_field"),
        (JSON, b"{\"message\":7}", 400, "bad_field"),
        (FORM, b"message=x&name=%3Cb%3E", 400, "bad_name"),
        (FORM, name.as_bytes(), 400, "bad_name"),
        ("Content-Type: image/png", b"x", 415, "unsupported_media_type"),
    ] {
        let answer = place.ask("POST /send", &[kind], body);
        assert_eq!(answer.status, status, "{}", body.escape_ascii());
        assert!(code.is_empty() || answer.code() == code, "{}: {answer:?}", body.escape_ascii());
    }
    assert_eq!(place.ids("/messages"), [1]);
}

#[test]
fn words_are_found_as_soon_as_they_are_said() {
    let place = Place::open(&[]);
    place.say("lobby", "The harbour is wide");
    place.say("den", "another harbour");
    place.say("lobby", "nothing of it");
    place.say("lobby", "hárbour \"quoted\" again");
    assert_eq!(place.ids("/messages?q=harbour"), [1, 4]);
    assert_eq!(place.ids("/messages?q=HARB*+again"), [4]);
    assert_eq!(place.ids("/messages?q=harbour&room=den"), [2]);
    assert_eq!(place.ids("/messages?q=harbour&limit=1"), [4]);
    assert_eq!(place.ids("/messages?q=harbour&since=1"), [4]);
    assert_eq!(place.ids("/messages?q=harbour&before=4"), [1]);
    for (query, expected) in [
        // What would be a mistake, an operator or a column to the index is words, or nothing.
        ("%22)+OR+(*", vec![]),
        ("harbour+-", vec![1, 4]),
        ("harbour+AND+wide", vec![]),
        ("%22the+harbour%22", vec![1]),
        ("text:harbour", vec![]),
        ("NEAR(harbour+wide)", vec![]),
        ("{text}:+harbour", vec![]),
        ("^harbour", vec![1, 4]),
        ("har*bour", vec![]),
        ("h*", vec![1, 4]),
        ("%00harbour%00", vec![1, 4]),
        ("harbour%0Awide", vec![1]),
        ("'%3B+DROP+TABLE+messages%3B+--", vec![]),
        ("%F0%9F%98%80", vec![]),
        ("***", vec![]),
    ] {
        assert_eq!(place.ids(&format!("/messages?q={query}")), expected, "{query}");
    }
    assert_eq!(place.get(&format!("/messages?q={}", "x".repeat(201))).code(), "bad_query");
    assert_eq!(place.ids("/messages?q=++"), [1, 3, 4], "nothing is searched for");
    let page = place.ask("GET /messages?q=harbour", &[HTML], "").text();
    assert!(page.contains("<q>harbour</q>") && page.contains("The harbour is wide"), "{page}");
}

#[test]
fn a_message_that_is_taken_back_is_gone_and_all_are_told() {
    let place = Place::open(&[]);
    place.fill(3, "mistake");
    let mut listener = place.listen("/events", "");
    let guest = place.ask("DELETE /messages/2", &[], "");
    assert_eq!((guest.status, &*guest.code()), (401, "unauthorized"));
    let answer = place.erase(2);
    assert_eq!((answer.status, &answer.json()["deleted"]), (200, &json!(2)));
    let event = listener.next().unwrap();
    assert_eq!((event.id, &*event.kind, event.data), (None, "delete", json!({"id": 2, "room": "lobby"})));
    assert_eq!(place.ids("/messages"), [1, 3]);
    assert!(!place.get("/messages?since=1").json()["gap"].as_bool().unwrap(), "what was taken back is no gap");
    assert!(comes_to_be(|| place.ids("/messages?q=mistake") == [1, 3]));
    for id in ["2", "99", "x", "-1", "+1", "1.0"] {
        let fields = [&*format!("Authorization: Bearer {}", crate::place::TOKEN)];
        assert_eq!(place.ask(&format!("DELETE /messages/{id}"), &fields, "").status, 404, "{id}");
    }
    let mut back = place.listen("/events?since=3", "");
    let event = back.next().unwrap();
    assert_eq!((&*event.kind, event.data), ("delete", json!({"id": 2, "room": "lobby"})), "who was away is told");
    assert_eq!(place.say("lobby", "next"), 4, "no id is given twice");
}

#[test]
fn a_browser_without_script_can_read_say_and_be_refused() {
    let place = Place::open(&[]);
    let sent = place.ask("POST /send", &[FORM, HTML], "message=Hello+%3Cb%3E&room=den&name=ada");
    assert_eq!((sent.status, sent.field("location")), (303, Some("/messages?room=den")));
    let page = place.ask("GET /messages?room=den", &[HTML], "").text();
    assert!(page.contains("Hello &lt;b&gt;") && page.contains("action=\"/send\""), "{page}");
    assert!(page.contains("name=\"room\" value=\"den\""), "{page}");
    let refused = place.ask("POST /send", &[FORM, HTML], "message=+&room=den");
    assert_eq!(refused.status, 400);
    let page = refused.text();
    assert!(page.contains("role=\"alert\">the message is empty.<") && page.contains("Hello &lt;b&gt;"), "{page}");
    let taken = place.ask("POST /send", &[FORM], "message=+");
    assert_eq!(taken.code(), "bad_message", "a script gets a problem document");
}

#[test]
fn an_answer_of_the_history_is_bounded_in_bytes_and_the_rest_follows() {
    let place = Place::open(&[]);
    let text = "x".repeat(4000);
    place.fill(300, &text);
    let mut since = 0;
    let mut answers = 0;
    loop {
        let answer = place.get(&format!("/messages?since={since}&limit=1000"));
        assert!(answer.body.len() < 1200 << 10, "{} bytes", answer.body.len());
        let answer = answer.json();
        let found = crate::place::ids(&answer["messages"]);
        if found.is_empty() {
            break;
        }
        assert_eq!(found[0], since + 1);
        assert_eq!(answer["last"].as_i64(), found.last().copied());
        since = found[found.len() - 1];
        answers += 1;
    }
    assert_eq!((since, answers), (300, 2));
}
