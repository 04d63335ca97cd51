//! A connection's bytes, whole and cut anywhere: the same events, and each request answered once.
#![no_main]

use hythe::http::exchange::{Event, Exchange, KeepAlive, Length, Next};
use hythe::http::request::{BodyLength, HeadLimits, HeaderTable};
use hythe::http::response::Response;
use hythe::http::status::Status;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Head(String),
    Body(Vec<u8>),
    End,
    Answer(String, Next),
    Fault(u16, String),
}

/// How the server behind the exchange behaves.
#[derive(Clone, Copy)]
struct Ways {
    answers_early: bool,
    limits: (usize, usize, usize),
    requests_max: u32,
}

fn answer(exchange: &mut Exchange, ways: Ways) -> Told {
    let keep = KeepAlive { requests_max: ways.requests_max, idle_ms: 5_000, is_closing: false };
    let mut out = Vec::new();
    let mut encoder = exchange.begin(&Response::new(Status::OK), Length::Known(2), b"", &keep, &mut out);
    encoder.write(b"ok", &mut out);
    let is_whole = encoder.end(&mut out);
    let next = exchange.end(is_whole);
    let text = String::from_utf8(out).expect("a head is text");
    let ends = matches!(next, Next::Close | Next::Linger);
    assert_eq!(text.contains("Connection: close\r\n"), ends, "the last answer says that it is");
    Told::Answer(text, next)
}

fn story(parts: &[&[u8]], ways: Ways) -> Vec<Told> {
    let (request_line_bytes, header_bytes, headers) = ways.limits;
    let limits = HeadLimits { request_line_bytes, header_bytes, headers };
    let mut exchange = Exchange::default();
    let mut told: Vec<Told> = Vec::new();
    let mut rest: Vec<u8> = Vec::new();
    for part in parts {
        rest.extend_from_slice(part);
        loop {
            if exchange.is_closed() {
                return told;
            }
            let input = rest.clone();
            let mut table = HeaderTable::new();
            let (used, answers) = match exchange.read(&input, &mut table, &limits) {
                Err(fault) => {
                    told.push(Told::Fault(fault.status.code(), fault.detail.into_owned()));
                    if exchange.can_answer() {
                        let last = answer(&mut exchange, ways);
                        told.push(last);
                    }
                    assert!(exchange.is_closed());
                    return told;
                }
                Ok((used, Event::NeedBytes)) => {
                    rest.drain(..used);
                    break;
                }
                Ok((_, Event::Paused)) => panic!("each request is answered, and still it waits"),
                Ok((used, Event::Head(request))) => {
                    told.push(Told::Head(format!("{} {} {:?}", request.method_text, request.target, request.body)));
                    if request.expects && ways.answers_early {
                        // Whether the connection goes on depends on whether the client has begun to send, and so on the cut
                        // (RFC 9110, section 10.1.1).
                        return told;
                    }
                    (used, request.body == BodyLength::None || ways.answers_early)
                }
                Ok((used, Event::Body(range))) => {
                    match told.last_mut() {
                        Some(Told::Body(last)) => last.extend_from_slice(&input[range]),
                        _ => told.push(Told::Body(input[range].to_vec())),
                    }
                    (used, false)
                }
                Ok((used, Event::End)) => {
                    told.push(Told::End);
                    (used, !ways.answers_early)
                }
            };
            rest.drain(..used);
            if answers {
                let given = answer(&mut exchange, ways);
                told.push(given);
            }
        }
    }
    let is = |wanted: fn(&Told) -> bool| told.iter().filter(|told| wanted(told)).count();
    let (heads, answers) = (is(|told| matches!(told, Told::Head(_))), is(|told| matches!(told, Told::Answer(..))));
    assert!(heads == answers || heads == answers + usize::from(exchange.owes_answer()), "each head is answered once");
    told
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&way, bytes)) = bytes.split_first() else { return };
    let Some((whole, parts)) = hythe_fuzz::cut(bytes) else { return };
    let limits = match way >> 2 & 3 {
        0 => (8 << 10, 16 << 10, 100),
        1 => (24, 64, 3),
        2 => (64, 40, 100),
        _ => (16, 1000, 4),
    };
    let ways = Ways { answers_early: way & 1 == 1, limits, requests_max: u32::from(way >> 4) };
    let once = story(&[whole], ways);
    assert_eq!(story(&parts, ways), once, "cut, and whole");
    if way & 2 == 2 {
        let each: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(story(&each, ways), once, "byte by byte, and whole");
    }
});
