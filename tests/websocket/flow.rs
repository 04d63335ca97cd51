//! How much is held, for how long, and for whom: large messages, readers that do not read, and requests that are no handshake.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::*;
use crate::serve;

const MIB: usize = 1 << 20;

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn messages_up_to_sixteen_mebibytes_come_back() {
    let address = serve();
    for (size, piece) in [(MIB, 4096), (16 * MIB, usize::MAX), (16 * MIB, 64 << 10)] {
        let payload = pattern(size);
        let frames = payload.chunks(piece.min(size)).enumerate().flat_map(|(at, part)| {
            let is_last = (at + 1) * piece.min(size) >= size;
            let opcode = if at == 0 { BINARY } else { CONTINUATION };
            frame(if is_last { FIN } else { 0 } | opcode, part)
        });
        let mut client = Client::open(address);
        let sent = client.send_meanwhile(frames.collect());
        let heard = client.hear().unwrap();
        sent.join().unwrap();
        assert!(heard.opcode == BINARY && heard.payload == payload, "{size} bytes in pieces of {piece}");
    }
    // Text is looked at on the way.
    let text = "κόσμε and plain letters, ".repeat(200_000);
    let mut client = Client::open(address);
    let sent = client.send_meanwhile(message(TEXT, text.as_bytes()));
    assert!(client.hear().unwrap() == heard(TEXT, text.as_bytes()));
    sent.join().unwrap();
}

#[test]
fn a_thousand_messages_sent_together_come_back_in_order() {
    let address = serve();
    let mut client = Client::open(address);
    let all: Vec<u8> = (0..1000u32).flat_map(|number| message(BINARY, &number.to_be_bytes().repeat(64))).collect();
    let sent = client.send_meanwhile(all);
    for number in 0..1000u32 {
        assert_eq!(client.hear().unwrap(), heard(BINARY, &number.to_be_bytes().repeat(64)));
    }
    sent.join().unwrap();
}

/// Whoever sends and never reads is not read either: what it can send is bounded by what lies between, not by us.
#[test]
fn a_client_that_never_reads_is_not_read() {
    let address = serve();
    let client = Client::open(address);
    let one = message(BINARY, &pattern(MIB));
    let sender = client.send_meanwhile(one.repeat(64));
    let patience = Instant::now() + Duration::from_secs(2);
    while Instant::now() < patience && !sender.is_finished() {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!sender.is_finished(), "64 MiB were taken from someone who reads nothing");
    // Once it reads, all of it comes back.
    let mut client = client;
    for _ in 0..64 {
        assert_eq!(client.hear().unwrap().payload.len(), MIB);
    }
    sender.join().unwrap();
}

#[test]
fn frames_behind_the_handshake_are_heard() {
    let address = serve();
    let request = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut together = request.as_bytes().to_vec();
    together.extend(message(BINARY, b"at once"));
    let mut client = Client::ask_bytes(address, &together);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.hear().unwrap(), heard(BINARY, b"at once"));
}

#[test]
fn what_is_no_handshake_is_told_so() {
    let address = serve();
    let good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (line, lines, status) in [
        ("GET /echo HTTP/1.1", "".to_owned(), 426),
        ("GET /echo HTTP/1.0", good.to_owned(), 426),
        ("GET /echo HTTP/1.1", good.replace("13", "8"), 426),
        ("GET /echo HTTP/1.1", good.replace("ZQ==", "ZQ"), 400),
        ("GET /echo HTTP/1.1", format!("{good}Origin: http://elsewhere.test\r\n"), 403),
        ("GET /echo HTTP/1.1", format!("{good}Origin: null\r\n"), 403),
        ("GET /echo HTTP/1.1", format!("{good}Origin: http://a\r\n"), 101),
        ("POST /echo HTTP/1.1", good.to_owned(), 405),
        ("GET /other HTTP/1.1", good.to_owned(), 404),
    ] {
        let head = Client::ask(address, &format!("{line}\r\nHost: a\r\n{lines}\r\n")).head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {lines}: {head}");
        if status == 426 {
            for told in
                ["\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n", "\r\nSec-WebSocket-Version: 13\r\n"]
            {
                assert!(head.contains(told), "{head}");
            }
        }
    }
}

#[test]
fn whoever_ends_its_half_without_a_word_is_let_go() {
    let address = serve();
    let mut client = Client::open(address);
    client.send(&message(TEXT, b"bye"));
    client.end();
    assert_eq!(client.hear_all(), [heard(TEXT, b"bye")]);
}
