//! The crate as an embedding program sees it: each example over real sockets and on a stage without any, and what the API promises.

mod mishaps;
mod mounts;
mod promises;
mod sockets;
mod world;

#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/chat_bot.rs"]
mod chat_bot;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/echo.rs"]
mod echo;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/hello.rs"]
mod hello;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/json_api.rs"]
mod json_api;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/login.rs"]
mod login;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/own_loop.rs"]
mod own_loop;
#[allow(dead_code, reason = "its main is for people")]
#[path = "../../examples/upload_sink.rs"]
mod upload_sink;

use std::thread;
use std::time::Duration;

use world::{ask, get, post, same, serve, serve_by};

const HANDSHAKE: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A short frame of a client, under a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn hello_says_the_same_with_and_without_sockets() {
    let told = same(
        hello::server,
        &[
            get("/hello"),
            get("/hello/ad%C3%A5"),
            get("/nothing"),
            post("/hello", b""),
            "HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(),
            "OPTIONS /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(),
        ],
    );
    assert!(told[0].ends_with("\r\n\r\nhello, world"), "{}", told[0]);
    assert!(told[1].ends_with("\r\n\r\nhello, adå"), "{}", told[1]);
    assert!(told[2].starts_with("HTTP/1.1 404 "));
    assert!(
        told[3].starts_with("HTTP/1.1 405 ") && told[3].contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
        "{}",
        told[3]
    );
    assert!(told[4].contains("\r\nContent-Length: 12\r\n") && told[4].ends_with("\r\n\r\n"), "{}", told[4]);
    assert!(told[5].starts_with("HTTP/1.1 204 "));
}

#[test]
fn the_api_says_the_same_with_and_without_sockets() {
    let told = same(
        json_api::server,
        &[
            post("/items", br#"{"name":"lamp"}"#),
            post("/items", br#"{"name":"desk"}"#),
            get("/items?limit=1"),
            get("/items/2"),
            get("/items/x"),
            get("/items?limit=x"),
            post("/items", &[b'x'; 1025]),
            get("/sum/100"),
            get("/sum/x"),
            "DELETE /items/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(),
            get("/items"),
        ],
    );
    let statuses: Vec<&str> = told.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["201", "201", "200", "200", "400", "400", "413", "200", "400", "204", "200"]);
    assert!(told[2].ends_with(r#"{"items":[{"id":1,"name":"lamp"}]}"#), "{}", told[2]);
    assert!(told[7].ends_with("\r\n\r\n5050") && told[7].contains("\r\nX-Request-Number: 8\r\n"), "{}", told[7]);
}

#[test]
fn a_body_of_any_size_is_hashed_on_its_way() {
    let body: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let told = same(upload_sink::server, &[post("/hash", b"abc"), post("/hash", b""), post("/hash", &body)]);
    assert!(told[0].ends_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{}", told[0]);
    assert!(told[1].ends_with("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), "{}", told[1]);
}

#[test]
fn the_echo_says_the_same_with_and_without_sockets() {
    let mut request = format!("GET /echo HTTP/1.1\r\n{HANDSHAKE}").into_bytes();
    request.extend(frame(0x81, b"hello"));
    request.extend(frame(0x88, b"\x03\xe8"));
    let told = same(echo::server, &[request, get("/echo")]);
    assert!(told[0].starts_with("HTTP/1.1 101 "), "{}", told[0]);
    assert!(told[0].contains("\r\n\r\n\u{fffd}\u{5}hello\u{fffd}\u{2}"), "{:?}", told[0]);
    assert!(told[1].starts_with("HTTP/1.1 426 "));
}

#[test]
fn the_room_hears_what_is_posted_and_the_bot_counts() {
    let mut stage = chat_bot::server().unwrap().rehearse();
    let visitor = stage.connect();
    stage.send(&visitor, format!("GET /room HTTP/1.1\r\n{HANDSHAKE}").as_bytes());
    assert!(visitor.take().ends_with(b"\x81\x0cbot: welcome"));
    assert!(stage.ask(&post("/say", b"hi")).starts_with(b"HTTP/1.1 204 "));
    assert_eq!(visitor.take(), b"\x81\x02hi");
    stage.send(&visitor, &frame(0x81, b"!count"));
    assert_eq!(visitor.take(), b"\x81\x06!count\x81\x17bot: 2 things were said");
    stage.send(&visitor, &frame(0x82, b"\0"));
    assert_eq!(&visitor.take()[..4], [0x88, 26, 0x03, 0xeb]);
    // Over a socket the same room is entered in the same way.
    let address = serve(chat_bot::server);
    let mut request = format!("GET /room HTTP/1.1\r\n{HANDSHAKE}").into_bytes();
    request.extend(frame(0x88, b""));
    assert!(ask(address, &request).ends_with(b"\x81\x0cbot: welcome\x88\x00"));
}

#[test]
fn a_foreign_loop_carries_the_server() {
    let (address, own) = serve_by(own_loop::server, |server| own_loop::go_round(server.start().unwrap()).unwrap());
    let told = String::from_utf8(ask(address, &get("/ticks"))).unwrap();
    assert!(told.ends_with(" ticks"), "{told}");
    assert!(ask(address, &post("/stop", b"")).ends_with(b"stopping"));
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !own.is_finished() {
        assert!(std::time::Instant::now() < patience, "the loop ends when the server has closed");
        thread::sleep(Duration::from_millis(5));
    }
    own.join().unwrap();
}
