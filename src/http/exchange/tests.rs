//! The exchange under test: its table of transitions, heads and bodies cut at every place.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;

const KEEP: KeepAlive = KeepAlive { requests_max: 0, idle_ms: 30_000, is_closing: false };

fn answer(exchange: &mut Exchange) -> (String, Next) {
    let mut out = Vec::new();
    let response = Response::ready(Status::OK, Bytes::new(), Default::default());
    exchange.begin(&response, Length::Known(0), b"", &KEEP, &mut out);
    let next = exchange.end(true);
    (String::from_utf8(out).unwrap(), next)
}

/// What an exchange makes of input that comes in parts, each request answered when it is complete.
fn story(parts: &[&[u8]]) -> Vec<String> {
    let mut exchange = Exchange::default();
    let mut told: Vec<String> = Vec::new();
    let mut rest: Vec<u8> = Vec::new();
    for part in parts {
        rest.extend_from_slice(part);
        loop {
            if exchange.is_closed() {
                return told;
            }
            let input = rest.clone();
            let mut table = HeaderTable::new();
            let (used, answers) = match exchange.read(&input, &mut table, &HeadLimits::default()) {
                Err(fault) => {
                    told.push(format!("fault {}", fault.status.code()));
                    return told;
                }
                Ok((used, Event::NeedBytes)) => {
                    rest.drain(..used);
                    break;
                }
                Ok((_, Event::Paused)) => unreachable!("each request is answered at once"),
                Ok((used, Event::Head(request))) => {
                    told.push(format!("{} {} {:?}", request.method_text, request.target, request.body));
                    (used, request.body == BodyLength::None)
                }
                Ok((used, Event::Body(range))) => {
                    let text = input[range].escape_ascii().to_string();
                    match told.last_mut() {
                        Some(last) if last.starts_with("body ") => last.push_str(&text),
                        _ => told.push(format!("body {text}")),
                    }
                    (used, false)
                }
                Ok((used, Event::End)) => {
                    told.push("end".into());
                    (used, true)
                }
            };
            rest.drain(..used);
            if answers {
                told.push(format!("{:?}", answer(&mut exchange).1));
            }
        }
    }
    told
}

#[test]
fn requests_follow_each_other_in_one_piece() {
    let input = b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
        POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /d HTTP/1.0\r\n\r\n";
    let expected = [
        "GET /a None",
        "Again",
        "POST /b Known(3)",
        "body abc",
        "end",
        "Again",
        "POST /c Chunked",
        "body hi",
        "end",
        "Again",
        "GET /d None",
        "Close",
    ];
    assert_eq!(story(&[input]), expected);
}

#[test]
fn a_head_too_large_is_told_whether_or_not_its_end_has_come() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8 << 10));
    assert_eq!(story(&[long_target.as_bytes()]), ["fault 414"]);
    assert_eq!(story(&[&long_target.as_bytes()[..8200]]), ["fault 414"]);
    let fits = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8000));
    assert_eq!(story(&[fits.as_bytes()]).len(), 2);
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(16 << 10));
    assert_eq!(story(&[many.as_bytes()]), ["fault 431"]);
    assert_eq!(story(&[&many.as_bytes()[..16_401]]), ["fault 431"]);
    // A long target takes no room from the header lines.
    let both = format!("GET /{} HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(8000), "a".repeat(16_368));
    assert_eq!(story(&[both.as_bytes()]).len(), 2);
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert_eq!(story(&[fields(100).as_bytes()]).len(), 2);
    assert_eq!(story(&[fields(101).as_bytes()]), ["fault 431"]);
}

#[test]
fn as_many_fields_pass_as_the_configuration_says() {
    let head = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    for (most, passes) in [(crate::http::headers::HEADERS_MOST, 2000), (500, 500), (7, 7)] {
        let limits = HeadLimits { headers: most, ..HeadLimits::default() };
        let told = |count: usize| {
            let mut table = HeaderTable::new();
            let head = head(count);
            Request::parse(head.as_bytes(), &mut table, &limits)
                .map(|request| request.headers.iter().count())
                .map_err(|fault| fault.status)
        };
        assert_eq!(told(passes), Ok(passes));
        if passes == most {
            assert_eq!(told(passes + 1), Err(crate::http::status::Status::HEADER_FIELDS_TOO_LARGE));
        }
    }
}

#[test]
fn what_comes_behind_the_limit_does_not_change_what_is_told() {
    let line = format!("GET /{} HTTP/1.1\nHost: x\r\n\r\n", "a".repeat(9000));
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\nY: z\r\n\r\n", "a".repeat(17_000));
    for (input, told) in [(line, "fault 414"), (head, "fault 431")] {
        for at in [0, 8192, 8193, 8194, 16_384, 16_385] {
            let (one, other) = input.as_bytes().split_at(at.min(input.len()));
            assert_eq!(story(&[one, other]), [told], "{at}");
        }
    }
}

#[test]
fn a_refusal_has_a_body_though_the_request_before_had_none() {
    for (next, has_body) in [("GET / HTTP/1.1\n", true), ("\0", true), ("HEAD / HTTP/1.1\n", false)] {
        let mut exchange = Exchange::default();
        let (mut one, mut two) = (HeaderTable::new(), HeaderTable::new());
        exchange.read(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", &mut one, &HeadLimits::default()).unwrap();
        answer(&mut exchange);
        assert!(exchange.read(next.as_bytes(), &mut two, &HeadLimits::default()).is_err());
        let encoder = exchange.begin(&Response::new(Status::OK), Length::Known(5), b"", &KEEP, &mut Vec::new());
        assert_eq!(encoder == Encoder::Length(5), has_body, "{next:?}");
    }
}

#[test]
fn an_unread_body_decides_what_may_follow() {
    for (head, next) in [
        ("Content-Length: 65536\r\n", Next::Discard),
        ("Content-Length: 65537\r\n", Next::Linger),
        ("Transfer-Encoding: chunked\r\n", Next::Linger),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", Next::Linger),
        ("Content-Length: 5\r\nConnection: close\r\n", Next::Linger),
        ("Connection: close\r\n", Next::Close),
        ("", Next::Again),
    ] {
        let mut exchange = Exchange::default();
        let input = format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n");
        let mut table = HeaderTable::new();
        assert!(exchange.read(input.as_bytes(), &mut table, &HeadLimits::default()).is_ok());
        let (text, got) = answer(&mut exchange);
        assert_eq!(got, next, "{head}");
        assert_eq!(text.contains("Connection: close"), matches!(next, Next::Close | Next::Linger), "{head}");
    }
}

#[test]
fn a_discarded_body_is_followed_by_the_next_request() {
    let mut exchange = Exchange::default();
    let input = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut table = HeaderTable::new();
    let (mut used, _) = exchange.read(input, &mut table, &HeadLimits::default()).unwrap();
    assert_eq!(answer(&mut exchange).1, Next::Discard);
    let mut heads = 0;
    while used < input.len() {
        let mut table = HeaderTable::new();
        let (more, event) = exchange.read(&input[used..], &mut table, &HeadLimits::default()).unwrap();
        used += more;
        heads += usize::from(matches!(event, Event::Head(_)));
    }
    assert_eq!(heads, 1);
}

#[test]
fn the_last_request_allowed_is_told_so_and_http10_is_told_how_many_are_left() {
    let keep = KeepAlive { requests_max: 2, ..KEEP };
    let mut exchange = Exchange::default();
    let response = Response::new(Status::OK);
    let mut texts = Vec::new();
    for _ in 0..2 {
        let mut table = HeaderTable::new();
        let input = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        exchange.read(input, &mut table, &HeadLimits::default()).unwrap();
        let mut out = Vec::new();
        exchange.begin(&response, Length::Known(0), b"", &keep, &mut out);
        exchange.end(true);
        texts.push(String::from_utf8(out).unwrap());
    }
    assert!(texts[0].contains("Connection: keep-alive\r\nKeep-Alive: timeout=30, max=1\r\n"));
    assert!(texts[1].contains("Connection: close\r\n"));
}

#[test]
fn continue_is_said_only_to_who_waits_for_it() {
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut exchange = Exchange::default();
    let mut table = HeaderTable::new();
    exchange.read(head.as_bytes(), &mut table, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    exchange.go_on(&mut out);
    exchange.go_on(&mut out);
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut exchange = Exchange::default();
    let (mut one, mut two) = (HeaderTable::new(), HeaderTable::new());
    exchange.read(head.as_bytes(), &mut one, &HeadLimits::default()).unwrap();
    exchange.read(b"h", &mut two, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    exchange.go_on(&mut out);
    assert_eq!(out, b"", "the body has begun");
    let mut exchange = Exchange::default();
    let mut table = HeaderTable::new();
    exchange.read(&[head, "h"].concat().into_bytes(), &mut table, &HeadLimits::default()).unwrap();
    let mut out = Vec::new();
    exchange.go_on(&mut out);
    assert_eq!(out, b"", "the body came with the head");
}

#[test]
fn what_is_wrong_with_a_line_is_told_at_its_end() {
    let start = "GET / HTTP/1.1\r\n";
    for (input, told) in [
        ("GET /\r\n".to_owned(), "fault 400"),
        ("GET / \r\n".to_owned(), "fault 400"),
        ("GET / HTTP/1.10\r\n".to_owned(), "fault 400"),
        ("GET / HTTP/2.0\r\n".to_owned(), "fault 505"),
        ("GET / HTTP/0.9\r\n".to_owned(), "fault 505"),
        (format!("{start}Host\r\n"), "fault 400"),
        (format!("{start} Host: x\r\n"), "fault 400"),
        (format!("{start}Host : x\r\n"), "fault 400"),
        (format!("{start}Host: x\r\nX: \0\r\n"), "fault 400"),
    ] {
        for at in 0..input.len() {
            assert_eq!(story(&[&input.as_bytes()[..at], &input.as_bytes()[at..]]), [told], "{input:?} at {at}");
        }
    }
    assert_eq!(story(&[b"GET /\xe9 HTTP/1.1\r\n"]), ["fault 400"]);
    assert!(story(&[b"GET / HTTP/1.1\r\nX: \xe9\t\r\n"]).is_empty(), "old text is text");
}

#[test]
fn of_several_things_wrong_the_first_is_told_however_the_head_is_cut() {
    let fault = |pieces: &[&[u8]]| {
        let (mut exchange, mut seen) = (Exchange::default(), Vec::new());
        for piece in pieces {
            seen.extend_from_slice(piece);
            if let Err(fault) = exchange.read(&seen, &mut HeaderTable::new(), &HeadLimits::default()) {
                return fault.detail.into_owned();
            }
        }
        unreachable!("it is refused");
    };
    let many = format!("GET /> HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100));
    for head in
        [&b"POST http://x>80/up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ch\xd4unked\r\n\r\n"[..], many.as_bytes()]
    {
        let end = head.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!(fault(&[head]), fault(&[&head[..end], &head[end..]]));
    }
    // A CR that ends no line is told when it has shown itself, before all else that is wrong with its line, and in its place.
    let long = |before: usize| format!("GET /{}\rb HTTP/2.0\r\nHost: x\r\n\r\n", "a".repeat(before));
    let field = |before: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nA : {}\rb\r\n\r\n", "a".repeat(before));
    let limit = HeadLimits::default();
    let (line, head) = (limit.request_line_bytes, limit.header_bytes);
    for (head, told) in [
        (long(3), "a line holds a CR"),
        (long(line - 7), "a line holds a CR"),
        (long(line - 6), "the request line is longer"),
        (field(0), "a line holds a CR"),
        (field(head - 15), "a line holds a CR"),
        (field(head - 14), "the header lines are larger"),
        ("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n".to_owned(), "a line holds a CR"),
        ("GET / HTTP/1.1\r\nA : b\r\nHost: x\r\r\n".to_owned(), "a header field has no valid name"),
    ] {
        let head = head.as_bytes();
        let cuts = (1..head.len()).filter(|at| head.len() < 100 || at % 97 == 0 || head[at - 1] == b'\r');
        for detail in cuts.map(|at| fault(&[&head[..at], &head[at..]])).chain([fault(&[head])]) {
            assert!(detail.starts_with(told), "{detail}, not {told}");
        }
        let bytes: Vec<&[u8]> = head.chunks(1).collect();
        assert!(fault(&bytes).starts_with(told), "byte by byte");
    }
    assert_eq!(story(&[b"GET / HTTP/1.1\rH"]), ["fault 400"], "its line may never end");
    assert_eq!(story(&[b"GET / HTTP/1.1\r\nHost: x\r", b"\n\r", b"\n"]), ["GET / None", "Again"]);
}

#[test]
fn a_higher_minor_version_is_read_as_the_highest_that_is_spoken() {
    for minor in 2..=9 {
        let head = format!("GET /a?b HTTP/1.{minor}\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(story(&[head.as_bytes()]), ["GET /a?b None", "Close"]);
        let fields = |count: usize| format!("GET / HTTP/1.{minor}\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
        assert_eq!(story(&[fields(100).as_bytes()]), ["GET / None", "Again"]);
        assert_eq!(story(&[fields(101).as_bytes()]), ["fault 431"]);
    }
    assert_eq!(story(&[b"GET / HTTP/1.2\r\n\r\n"]), ["fault 400"], "without a host");
}

#[test]
fn an_exchange_is_small() {
    assert!(size_of::<Exchange>() <= 32, "{}", size_of::<Exchange>());
}

const STORIES: [&[u8]; 12] = [
    b"\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nA: b\r\n\r\nGET /z HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a HTTP/1.7\r\nHost: x\r\n\r\nGET /b HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET /a\r\n",
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
];

#[test]
fn every_story_is_the_same_at_every_cut_and_byte_by_byte() {
    for input in STORIES {
        let whole = story(&[input]);
        for at in 0..=input.len() {
            assert_eq!(story(&[&input[..at], &input[at..]]), whole, "{} at {at}", input.escape_ascii());
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(story(&bytes), whole, "{} byte by byte", input.escape_ascii());
    }
}

proptest! {
    #[test]
    fn cutting_differently_never_changes_the_events(
        which in prop::collection::vec(0usize..STORIES.len(), 1..4),
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut wire: Vec<u8> = which.iter().flat_map(|&at| STORIES[at].iter().copied()).collect();
        if let Some((at, byte)) = flip {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        places.sort_unstable();
        places.push(wire.len());
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut begun = 0;
        for place in places {
            parts.push(&wire[begun..place]);
            begun = place;
        }
        prop_assert_eq!(story(&parts), story(&[&wire]));
    }
}
