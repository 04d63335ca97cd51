//! Expect: 100-continue (RFC 9110 section 10.1.1): the word is given when it is wanted, and never after a refusal.

use std::time::Duration;

use crate::case::{Case, Move, case, talk};
use crate::expect::{is, said_hi};
use crate::house::HELLO;
use crate::request::{FORM, JSON, SAY_HI, ask, say, say_old, say_raw};

const EXPECT: &str = "RFC 9110 section 10.1.1";

/// A head that waits for the word before it sends `length` bytes.
fn waiting(target: &str, kind: &str, length: &str) -> Vec<u8> {
    ask("POST", target, &[kind, &format!("Content-Length: {length}"), "Expect: 100-continue"])
}

pub fn cases() -> Vec<Case> {
    let coaxed = |name: &'static str, head: Vec<u8>, body: &str| {
        let body = body.as_bytes().to_vec();
        talk(name, EXPECT, vec![Move::Send(head), Move::Hear(is(100)), Move::Send(body), Move::Hear(said_hi())])
    };
    let mut cases = vec![
        coaxed("Who waits for the word gets it, and then the answer", waiting("/send", FORM, "10"), "message=hi"),
        coaxed(
            "The word has no case",
            ask("POST", "/send", &[FORM, "Content-Length: 10", "eXPECT: 100-Continue"]),
            "message=hi",
        ),
        coaxed(
            "Who waits with a chunked body gets the word",
            ask("POST", "/send", &[FORM, "Transfer-Encoding: chunked", "Expect: 100-continue"]),
            "a\r\nmessage=hi\r\n0\r\n\r\n",
        ),
        talk(
            "The word is given once, though the body comes in pieces",
            EXPECT,
            vec![
                Move::Send(ask("POST", "/send", &[FORM, "Content-Length: 10", "Expect: 100-continue", "X-Pieces: 2"])),
                Move::Hear(is(100)),
                Move::Send(b"mess".to_vec()),
                Move::Hush(Duration::from_millis(100)),
                Move::Send(b"age=hi".to_vec()),
                Move::Hear(said_hi()),
            ],
        ),
        case(
            "Who does not wait needs no word",
            EXPECT,
            say(&["Expect: 100-continue"], "message=hi"),
            said_hi().maybe_after_continue(),
        ),
        case(
            "A request without a body needs no word",
            EXPECT,
            ask("GET", "/hello.txt", &["Expect: 100-continue"]),
            is(200).body(HELLO).maybe_after_continue(),
        ),
        case(
            "A request with an empty body needs no word",
            EXPECT,
            ask("GET", "/hello.txt", &["Expect: 100-continue", "Content-Length: 0"]),
            is(200).body(HELLO).maybe_after_continue(),
        ),
        case(
            "In HTTP/1.0 nobody waits for a word",
            EXPECT,
            say_old(&["Content-Length: 10", "Expect: 100-continue"], SAY_HI),
            said_hi(),
        )
        .closes(),
        talk(
            "In HTTP/1.0 no word is given",
            EXPECT,
            vec![
                Move::Send(say_old(&["Content-Length: 10", "Expect: 100-continue"], "")),
                Move::Hush(Duration::from_millis(150)),
                Move::Send(b"message=hi".to_vec()),
                Move::Hear(said_hi()),
            ],
        )
        .closes(),
        talk(
            "Without the field no word is given",
            EXPECT,
            vec![
                Move::Send(say_raw(&["Content-Length: 10"], "")),
                Move::Hush(Duration::from_millis(150)),
                Move::Send(b"message=hi".to_vec()),
                Move::Hear(said_hi()),
            ],
        ),
        case(
            "Two posts that wait, sent at once, are both answered",
            EXPECT,
            [say(&["Expect: 100-continue"], "message=hi"), say(&["Expect: 100-continue"], "message=hi")].concat(),
            [said_hi().maybe_after_continue(), said_hi().maybe_after_continue()],
        ),
        // A refusal comes in place of the word, and the connection ends, for nobody knows whether the body will follow.
        case("A wrong method is told in place of the word", EXPECT, waiting("/hello.txt", JSON, "10"), is(405))
            .closes(),
        case("A body too large is told in place of the word", EXPECT, waiting("/upload", JSON, "1048577"), is(413))
            .closes(),
        case(
            "A wrong type is told in place of the word",
            EXPECT,
            waiting("/send", "Content-Type: image/png", "10"),
            is(415),
        )
        .closes(),
        case(
            "A path that climbs is told in place of the word",
            EXPECT,
            waiting("/../x", FORM, "10"),
            is(403).code("path_forbidden"),
        )
        .closes(),
        case(
            "A foreign origin is told in place of the word",
            EXPECT,
            ask("POST", "/send", &[FORM, "Content-Length: 10", "Expect: 100-continue", "Origin: http://evil.test"]),
            is(403).code("cross_site"),
        )
        .closes(),
        case(
            "A foreign host is told in place of the word",
            EXPECT,
            "POST /send HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
            is(403).code("host_forbidden"),
        )
        .closes(),
        case(
            "A wrong token is told in place of the word",
            EXPECT,
            ask("POST", "/send", &[FORM, "Content-Length: 10", "Expect: 100-continue", "Authorization: Bearer wrong"]),
            is(401),
        )
        .closes(),
        case(
            "An unknown method is told in place of the word",
            EXPECT,
            ask("BREW", "/send", &["Content-Length: 10", "Expect: 100-continue"]),
            is(501),
        )
        .closes(),
        case("A bad length is told in place of the word", EXPECT, waiting("/send", FORM, "x"), is(400)).closes(),
        case(
            "A length and a coding are told in place of the word",
            EXPECT,
            ask("POST", "/send", &[FORM, "Content-Length: 10", "Transfer-Encoding: chunked", "Expect: 100-continue"]),
            is(400),
        )
        .closes(),
    ];
    for value in
        ["200-ok", "100-continue, 200-ok", "100-continue=1", "100", "continue", "\"100-continue\"", "100-continue;q=1"]
    {
        let request = say(&[&format!("Expect: {value}")], "message=hi");
        let name = format!("The expectation {value:?} cannot be met");
        cases.push(case(name, "RFC 9110 section 15.5.18", request, is(417)).keeps_word());
    }
    cases.push(
        case(
            "An unknown expectation on a GET cannot be met",
            "RFC 9110 section 15.5.18",
            ask("GET", "/hello.txt", &["Expect: wonders"]),
            is(417),
        )
        .keeps_word(),
    );
    cases.push(case(
        "An empty list of expectations expects nothing",
        EXPECT,
        ask("GET", "/hello.txt", &["Expect:"]),
        is(200).body(HELLO),
    ));
    cases.push(case("A list of commas expects nothing", EXPECT, ask("GET", "/hello.txt", &["Expect: ,,"]), is(200)));
    for (name, fields) in [
        ("The word may be waited for twice", &["Expect: 100-continue", "Expect: 100-Continue"][..]),
        ("The word may stand in a list", &["Expect: , 100-continue, 100-continue"]),
    ] {
        cases.push(coaxed(name, ask("POST", "/send", &[&[FORM, "Content-Length: 10"], fields].concat()), "message=hi"));
    }
    cases.push(
        case(
            "An expectation that nobody knows behind one that is known cannot be met",
            "RFC 9110 section 15.5.18",
            say(&["Expect: 100-continue", "Expect: wonders"], "message=hi"),
            is(417),
        )
        .keeps_word(),
    );
    // Who waits for anything at all may keep the body back: taken for the rest of it, their next request would be half eaten.
    for value in ["100-continue, wonders", "wonders", "100-continue;q=1"] {
        let head = ask("POST", "/send", &[FORM, "Content-Length: 10", &format!("Expect: {value}")]);
        cases.push(case(format!("Who waits with {value:?} is told so for good"), EXPECT, head, is(417)).closes());
    }
    cases
}
