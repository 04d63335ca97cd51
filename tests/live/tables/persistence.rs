//! How long a connection lasts, and who says so (RFC 9112 section 9; API.md section 1).

use crate::case::{Case, Move, case, talk};
use crate::expect::{Expect, any, is, said_hi};
use crate::house::{HELLO, big};
use crate::request::{SAY_HI, get, get_with, say, say_old};

const PERSIST: &str = "RFC 9112 section 9.3";
const OPTION: &str = "RFC 9110 section 7.6.1";
const CLOSE: &str = "RFC 9112 section 9.6";
const OLD: &str = "RFC 9112 appendix C.2.2, section 9.3";

fn ok() -> Expect {
    is(200).body(HELLO)
}

fn connection(value: &str) -> Vec<u8> {
    get_with("/hello.txt", &[&format!("Connection: {value}")])
}

fn old(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.0\r\nHost: $host\r\n{fields}\r\n").into_bytes()
}

fn kept_old() -> Expect {
    ok().lists("Connection", "keep-alive").header_like("Keep-Alive", "timeout=T, max=N", |value| {
        let numbers = value.strip_prefix("timeout=").and_then(|rest| rest.split_once(", max="));
        numbers.is_some_and(|(timeout, most)| timeout == "30" && matches!(most.parse(), Ok(90..=100)))
    })
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "HTTP/1.1 goes on unless told",
            PERSIST,
            get("/hello.txt?persist"),
            ok().without("Connection").without("Keep-Alive"),
        ),
        case(
            "keep-alive is not echoed to HTTP/1.1",
            OPTION,
            connection("keep-alive"),
            ok().without("Connection").without("Keep-Alive"),
        ),
        case("An option nobody knows closes nothing", OPTION, connection("x-option"), ok()),
        case("closed is not close", OPTION, connection("closed"), ok()),
        case("A word that holds close is not close", OPTION, connection("do-not-close"), ok()),
        case("An empty Connection says nothing", OPTION, connection(""), ok()),
        case("Proxy-Connection is not for us", OPTION, get_with("/hello.txt", &["Proxy-Connection: close"]), ok()),
        case(
            "Keep-Alive parameters are not for us",
            OPTION,
            get_with("/hello.txt", &["Keep-Alive: timeout=1, max=1"]),
            ok(),
        ),
        case(
            "An upgrade to what we do not speak is not taken",
            "RFC 9110 section 7.8",
            get_with("/hello.txt", &["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]),
            ok(),
        ),
        case(
            "An upgrade without its option is not taken",
            "RFC 9110 section 7.8",
            get_with("/hello.txt", &["Upgrade: websocket"]),
            ok(),
        ),
        case("An error goes on as well", PERSIST, get("/nothing?persist"), is(404)),
        case("A redirect goes on as well", PERSIST, get("/sub?persist"), is(308)),
        case(
            "An answer without a body goes on as well",
            PERSIST,
            get_with("/hello.txt", &["If-None-Match: *", "X-Row: persist"]),
            is(304),
        ),
        case("A post goes on as well", PERSIST, say(&["X-Row: persist"], "message=hi"), said_hi()),
        case("An error with close closes", CLOSE, get_with("/nothing", &["Connection: close"]), is(404)).closes(),
        case("A post with close closes", CLOSE, say(&["Connection: close"], "message=hi"), said_hi()).closes(),
        case(
            "An answer without a body with close closes",
            CLOSE,
            get_with("/hello.txt", &["If-None-Match: *", "Connection: close"]),
            is(304),
        )
        .closes(),
        case(
            "A large file with close arrives whole",
            CLOSE,
            get_with("/big.bin", &["Connection: close"]),
            is(200).body(big()),
        )
        .closes(),
        case(
            "Two Connection fields are one list",
            OPTION,
            get_with("/hello.txt", &["Connection: keep-alive", "Connection: close"]),
            ok(),
        )
        .closes(),
        case("What Connection names may not take Host away", OPTION, connection("Host"), any(&[200, 400])).keeps_word(),
        case("What follows a close is not read", CLOSE, [connection("close, x"), get("/page.html")].concat(), ok())
            .closes(),
        // HTTP/1.0.
        case("HTTP/1.0 ends unless asked", PERSIST, old("/hello.txt?old", ""), ok().without("Keep-Alive")).closes(),
        case(
            "HTTP/1.0 that asks goes on, and is told how long",
            OLD,
            old("/hello.txt", "Connection: keep-alive\r\n"),
            kept_old(),
        ),
        case("HTTP/1.0's wish has no case", OLD, old("/hello.txt", "Connection: Keep-Alive\r\n"), kept_old()),
        case(
            "HTTP/1.0's wish may stand in a list",
            OLD,
            old("/hello.txt", "Connection: x, keep-alive\r\n"),
            kept_old(),
        ),
        case("HTTP/1.0 that asks for both ends", OLD, old("/hello.txt", "Connection: keep-alive, close\r\n"), ok())
            .closes(),
        case("HTTP/1.0 with Proxy-Connection ends", OLD, old("/hello.txt", "Proxy-Connection: keep-alive\r\n"), ok())
            .closes(),
        case("HTTP/1.0 with Keep-Alive alone ends", OLD, old("/hello.txt", "Keep-Alive: timeout=5\r\n"), ok()).closes(),
        case(
            "HTTP/1.0 goes on after an error too",
            OLD,
            old("/nothing", "Connection: keep-alive\r\n"),
            is(404).lists("Connection", "keep-alive"),
        ),
        case(
            "HTTP/1.0 goes on after an answer without a body",
            OLD,
            old("/hello.txt", "Connection: keep-alive\r\nIf-None-Match: *\r\n"),
            is(304).lists("Connection", "keep-alive"),
        ),
        case(
            "HTTP/1.0 may send requests at once when it goes on",
            OLD,
            [old("/hello.txt", "Connection: keep-alive\r\n"), old("/hello.txt?2", "Connection: keep-alive\r\n")]
                .concat(),
            [kept_old(), kept_old()],
        ),
        case(
            "HTTP/1.0 that asks only the first time ends the second",
            OLD,
            [old("/hello.txt", "Connection: keep-alive\r\n"), old("/hello.txt", "")].concat(),
            [kept_old(), ok()],
        )
        .closes(),
        case(
            "HTTP/1.0 never gets chunks",
            "RFC 9112 section 7",
            old("/big.bin", ""),
            is(200).without("Transfer-Encoding").body(big()),
        )
        .closes(),
        case("HTTP/1.0 posts by its length", PERSIST, say_old(&["Content-Length: 10"], SAY_HI), said_hi()).closes(),
        case(
            "HTTP/1.0 HEAD has no body",
            PERSIST,
            "HEAD /hello.txt HTTP/1.0\r\nHost: $host\r\n\r\n",
            is(200).for_head().header("Content-Length", "19"),
        )
        .closes(),
        // Half a close.
        talk(
            "Who asks and ends their half is still answered",
            CLOSE,
            vec![Move::Send(get("/hello.txt")), Move::HalfClose, Move::Hear(ok())],
        )
        .closes(),
        talk(
            "Who asks for a large file and ends their half gets all of it",
            CLOSE,
            vec![Move::Send(get("/big.bin")), Move::HalfClose, Move::Hear(is(200).body(big()))],
        )
        .closes(),
        talk(
            "Who posts and ends their half is still answered",
            CLOSE,
            vec![Move::Send(say(&[], "message=hi")), Move::HalfClose, Move::Hear(said_hi())],
        )
        .closes(),
        talk(
            "Who asks three things and ends their half gets three answers",
            CLOSE,
            vec![
                Move::Send([get("/hello.txt"), get("/page.html"), get("/nothing")].concat()),
                Move::HalfClose,
                Move::Hear(ok()),
                Move::Hear(is(200)),
                Move::Hear(is(404)),
            ],
        )
        .closes(),
        talk(
            "Who ends their half between requests gets an end",
            CLOSE,
            vec![Move::Send(get("/hello.txt?first")), Move::Hear(ok()), Move::HalfClose],
        )
        .closes(),
        talk("Who ends their half at once gets an end", CLOSE, vec![Move::HalfClose]).closes(),
        talk(
            "Who ends their half inside a head gets a refusal or an end",
            "RFC 9112 section 8",
            vec![Move::Send(b"GET /hello.txt HTTP/1.1\r\nHo".to_vec()), Move::HalfClose, Move::Hear(is(400))],
        )
        .whatever(),
        talk(
            "Who sends half a head and vanishes costs nothing",
            "RFC 9112 section 8",
            vec![Move::Send(b"GET /hello.txt HT".to_vec())],
        )
        .whatever(),
    ];
    for value in [
        "close",
        "Close",
        "CLOSE",
        "keep-alive, close",
        "close, keep-alive",
        "x,close",
        "close ,x",
        "\tclose",
        ", close",
        "upgrade, close",
    ] {
        let row = case(format!("Connection: {value:?} closes after the answer"), CLOSE, connection(value), ok());
        cases.push(row.closes());
    }
    cases
}
