//! However the bytes of a message are cut on their way, the answers are the same (RFC 9112 section 2.2: a message is a
//! sequence of octets, and where a read ends means nothing).

use std::io::{Write as _, stdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::house::House;
use crate::request::{FORM, JSON, ask, ask_with_body, get, get_with, say, say_chunked};
use crate::scene::Scene;
use crate::wire::{Answer, PATIENCE, Wire};

/// A message and how many answers it gets, each with whether it answers a HEAD.
struct Message {
    name: &'static str,
    bytes: Vec<u8>,
    answers: &'static [bool],
}

const ONE: &[bool] = &[false];

fn messages() -> Vec<Message> {
    let upload =
        ["--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"..\"\r\n\r\nabc\r\n--x--\r\n"].concat();
    let rows: Vec<(&'static str, Vec<u8>, &'static [bool])> = vec![
        ("a GET", get("/hello.txt"), ONE),
        (
            "a GET with many fields",
            get_with(
                "/style.css?a=b",
                &["Accept-Encoding: gzip, br;q=0", "Accept: */*", "X-A:b", "X-B: \tc\t", "Cookie: a=b"],
            ),
            ONE,
        ),
        ("a HEAD", ask("HEAD", "/page.html", &[]), &[true]),
        ("two ranges", get_with("/data.bin", &["Range: bytes=0-9,500-519"]), ONE),
        ("a condition", get_with("/data.bin", &["If-None-Match: \"a\", $tag"]), ONE),
        ("a path that climbs", get("/sub/../%2e%2e/x"), ONE),
        ("a post with a length", say(&[], "message=in+pieces"), ONE),
        (
            "a chunked post with extensions and trailers",
            say_chunked("8;a=\"b;\"\r\nmessage=\r\n0002\r\nhi\r\n0;z\r\nX-Sum: 1\r\nX-T: u\r\n\r\n"),
            ONE,
        ),
        ("JSON", ask_with_body("POST", "/send", &[JSON], "{\"message\":\"a\\u00e9b\"}"), ONE),
        (
            "multipart that is refused",
            ask_with_body("POST", "/upload", &["Content-Type: multipart/form-data; boundary=x"], upload),
            ONE,
        ),
        (
            "three at once",
            [get("/hello.txt"), ask("HEAD", "/sub", &[]), say(&[], "message=3")].concat(),
            &[false, true, false],
        ),
        ("an old one that closes", b"GET /page.html HTTP/1.0\r\nHost: $host\r\n\r\n".to_vec(), ONE),
        ("a folded field", b"GET / HTTP/1.1\r\nHost: $host\r\nX-A: b\r\n c\r\n\r\n".to_vec(), ONE),
        (
            "a length and a coding",
            ask("POST", "/send", &[FORM, "Content-Length: 4", "Transfer-Encoding: chunked"]),
            ONE,
        ),
        (
            "a good one and a bare LF",
            [get("/hello.txt"), b"GET / HTTP/1.1\nHost: $host\r\n\r\n".to_vec()].concat(),
            &[false, false],
        ),
        ("a chunk that is too long", say_chunked("9\r\nmessage=hi\r\n0\r\n\r\n"), ONE),
    ];
    rows.into_iter().map(|(name, bytes, answers)| Message { name, bytes, answers }).collect()
}

/// How the bytes are cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    At(usize),
    Everywhere,
}

/// What an answer says that a cut may not change: all but the time, and what counts up with every message.
fn lasting(answer: &Answer) -> String {
    let mut fields = answer.fields.clone();
    let mut body = answer.body.escape_ascii().to_string();
    let mut fleeting = vec!["date"];
    if answer.status == 201 {
        fleeting.extend(["content-length", "location"]);
        if let Ok(Value::Object(mut members)) = serde_json::from_slice(&answer.body) {
            members.retain(|name, _| !["id", "ts", "name"].contains(&name.as_str()));
            body = Value::Object(members).to_string();
        }
    }
    if let Some((_, kind)) = fields.iter_mut().find(|(name, _)| name == "content-type")
        && let Some((_, boundary)) = kind.clone().split_once("boundary=")
    {
        body = body.replace(boundary, "BOUNDARY");
        *kind = kind.replace(boundary, "BOUNDARY");
    }
    fields.retain(|(name, _)| !fleeting.contains(&name.as_str()));
    format!("{} {fields:?} {body}", answer.status)
}

/// Delivers a message, and tells what came back for as long as the answers last, and whether the end came with them.
fn deliver(house: &House, bytes: &[u8], answers: &[bool], cut: Cut) -> Result<String, String> {
    let mut wire = Wire::connect(house.address());
    match cut {
        Cut::Whole => wire.send(bytes),
        Cut::At(at) => wire.send_split(bytes, at),
        Cut::Everywhere => wire.send_byte_by_byte(bytes),
    }
    let mut told = String::new();
    let mut closes = false;
    for to_head in answers {
        let answer = wire.hear(*to_head).map_err(|complaint| format!("{complaint}\n{}", wire.transcript()))?;
        closes = answer.says_close();
        told += &lasting(&answer);
        told.push('\n');
    }
    if closes {
        wire.ends_within(PATIENCE).map_err(|complaint| format!("{complaint}\n{}", wire.transcript()))?;
    }
    Ok(told)
}

#[test]
fn a_message_means_the_same_however_it_is_cut() {
    const AT_ONCE: usize = 8;
    let house = House::usual();
    let scene = Scene::of(&house);
    let mut complaints = String::new();
    let mut deliveries = 0;
    for message in messages() {
        let bytes = scene.fill(&message.bytes);
        let whole = match deliver(&house, &bytes, message.answers, Cut::Whole) {
            Ok(whole) => whole,
            Err(complaint) => {
                complaints += &format!("\n  {}, whole\n    {complaint}", message.name);
                continue;
            }
        };
        let next = AtomicUsize::new(0);
        let found: Vec<String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    scope.spawn(|| {
                        let mut found = Vec::new();
                        loop {
                            let cut = match next.fetch_add(1, Ordering::Relaxed) {
                                0 => Cut::Everywhere,
                                at if at < bytes.len() => Cut::At(at),
                                _ => return found,
                            };
                            match deliver(&house, &bytes, message.answers, cut) {
                                Ok(told) if told == whole => {}
                                Ok(told) => {
                                    found.push(format!("{cut:?}: one said\n    {told}    the other\n    {whole}"))
                                }
                                Err(complaint) => found.push(format!("{cut:?}: {complaint}")),
                            }
                        }
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a delivery does not panic")).collect()
        });
        deliveries += bytes.len() + 1;
        if let Some(first) = found.first() {
            complaints +=
                &format!("\n  {}: {} of {} cuts differ, one of them {first}", message.name, found.len(), bytes.len());
        }
    }
    let _ = writeln!(stdout(), "delivery: {deliveries} deliveries");
    assert!(complaints.is_empty(), "cuts change the answers:\n{complaints}");
}
