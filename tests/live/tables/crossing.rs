//! The cross-site guard (API.md section 1, point 4; RFC 6454): whose page may change anything.

use crate::case::{Case, case};
use crate::expect::{Expect, any, is, said_hi};
use crate::house::HELLO;
use crate::request::{FORM, ask, ask_with_body, get_with, say, say_across};

const ORIGIN: &str = "RFC 6454 section 7";
const FETCH: &str = "Fetch Metadata section 2.2";
const GUARD: &str = "API.md section 1";

fn from(origin: &str) -> Vec<u8> {
    say(&[&format!("Origin: {origin}")], "message=hi")
}

fn refused() -> Expect {
    is(403).code("cross_site")
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("Our own page may post", ORIGIN, from("http://$host"), said_hi()),
        case("Our own page behind TLS may post", ORIGIN, from("https://$host"), said_hi()),
        case(
            "Our own page under its other name may post to that name",
            ORIGIN,
            say_across("127.0.0.1:$port", "http://127.0.0.1:$port"),
            said_hi(),
        ),
        case(
            "Our own page under its other name is another page to this name",
            ORIGIN,
            from("http://127.0.0.1:$port"),
            refused(),
        )
        .keeps_word(),
        case("An origin in capitals is ours, or nobody's", ORIGIN, from("http://LOCALHOST:$port"), any(&[403, 201]))
            .keeps_word(),
        case(
            "A page fetching from its own site may post",
            FETCH,
            say(&["Sec-Fetch-Site: same-origin"], "message=hi"),
            said_hi(),
        ),
        case("Someone who typed the address may post", FETCH, say(&["Sec-Fetch-Site: none"], "message=hi"), said_hi()),
        case(
            "A page of our site, but not our own, may not post",
            FETCH,
            say(&["Sec-Fetch-Site: same-site"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case("Another site's page may not post", FETCH, say(&["Sec-Fetch-Site: cross-site"], "message=hi"), refused())
            .keeps_word(),
        case(
            "Who would change to another protocol than WebSocket only reads",
            GUARD,
            get_with(
                "/hello.txt",
                &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Origin: http://evil.test"],
            ),
            is(200),
        ),
        case("A word nobody knows may not post", FETCH, say(&["Sec-Fetch-Site: friendly"], "message=hi"), refused())
            .keeps_word(),
        case("An empty word may not post", FETCH, say(&["Sec-Fetch-Site:"], "message=hi"), refused()).keeps_word(),
        case(
            "Two words, one of them good, may not post",
            FETCH,
            say(&["Sec-Fetch-Site: same-origin, cross-site"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case(
            "A good word does not help a foreign origin",
            GUARD,
            say(&["Origin: http://evil.test", "Sec-Fetch-Site: same-origin"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case(
            "A good word does not help the origin null",
            GUARD,
            say(&["Origin: null", "Sec-Fetch-Site: same-origin"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case(
            "Our own origin is enough, whatever the word",
            GUARD,
            say(&["Origin: http://$host", "Sec-Fetch-Site: cross-site"], "message=hi"),
            said_hi(),
        ),
        case(
            "Two origins, one of them ours, may not post",
            ORIGIN,
            say(&["Origin: http://$host", "Origin: http://evil.test"], "message=hi"),
            any(&[403, 400]),
        )
        .keeps_word(),
        case(
            "Two origins, one of them ours and last, may not post",
            ORIGIN,
            say(&["Origin: http://evil.test", "Origin: http://$host"], "message=hi"),
            any(&[403, 400]),
        )
        .keeps_word(),
        case(
            "Referer does not make a page ours",
            GUARD,
            say(&["Origin: http://evil.test", "Referer: http://$host/"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case(
            "A foreign Referer alone is no browser's word",
            GUARD,
            say(&["Referer: http://evil.test/"], "message=hi"),
            said_hi(),
        ),
        case(
            "A foreign page may not upload",
            GUARD,
            ask_with_body("POST", "/upload", &["Content-Type: text/plain", "Origin: http://evil.test"], "{}"),
            refused(),
        )
        .keeps_word(),
        case(
            "A foreign page may not PUT",
            GUARD,
            ask_with_body("PUT", "/files/a.txt", &["Origin: http://evil.test"], "a"),
            any(&[403, 405]),
        )
        .keeps_word(),
        case(
            "A foreign page may not DELETE",
            GUARD,
            ask("DELETE", "/files/a.txt", &["Origin: http://evil.test"]),
            refused(),
        )
        .keeps_word(),
        case(
            "A foreign page may not PATCH",
            GUARD,
            ask_with_body("PATCH", "/files/a.txt", &["Origin: http://evil.test"], "{}"),
            refused(),
        )
        .keeps_word(),
        case(
            "A foreign page is told so before a wrong method is",
            GUARD,
            ask_with_body("POST", "/page.html", &["Origin: http://evil.test"], ""),
            refused(),
        )
        .keeps_word(),
        case(
            "A foreign page is told so before a wrong token is",
            GUARD,
            say(&["Origin: http://evil.test", "Authorization: Bearer wrong"], "message=hi"),
            refused(),
        )
        .keeps_word(),
        case(
            "A path that climbs is told before a foreign page is",
            GUARD,
            ask_with_body("POST", "/../x", &["Origin: http://evil.test"], ""),
            is(403).code("path_forbidden"),
        )
        .keeps_word(),
        case(
            "A foreign page may read what a link may read",
            GUARD,
            get_with("/hello.txt", &["Origin: http://evil.test"]),
            is(200).body(HELLO).without("Access-Control-Allow-Origin"),
        ),
        case(
            "A foreign page's request may be a page's navigation",
            FETCH,
            get_with("/hello.txt", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]),
            is(200).body(HELLO),
        ),
        case(
            "A foreign page may ask for a HEAD",
            GUARD,
            ask("HEAD", "/hello.txt", &["Origin: http://evil.test"]),
            is(200).for_head(),
        ),
        case(
            "A foreign page may not open a WebSocket",
            "RFC 6455 section 10.2",
            ask(
                "GET",
                "/ws",
                &[
                    "Origin: http://evil.test",
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                ],
            ),
            any(&[403, 404]),
        )
        .keeps_word(),
        case(
            "Unsafe though it has no body, a foreign POST is refused",
            GUARD,
            ask("POST", "/send", &[FORM, "Origin: http://evil.test", "Content-Length: 0"]),
            refused(),
        ),
    ];
    for origin in [
        "null",
        "",
        "http://evil.test",
        "https://evil.test",
        "http://localhost",
        "http://localhost:1",
        "http://localhost:80",
        "http://$host.evil.test",
        "http://evil.test:$port",
        "http://evil.test/?http://$host",
        "http://$host@evil.test",
        "http://evil.test#http://$host",
        "$host",
        "//$host",
        "http:$host",
        "ftp://$host",
        "file://",
        "file:///etc/passwd",
        "chrome-extension://abcdefghijklmnop",
        "ws://$host",
        "http://$host http://evil.test",
        "http://evil.test http://$host",
        "http://$host, http://evil.test",
        "http://sub.localhost:$port",
        "http://localhost.:1",
        "http://[::1]:$port",
        "*",
        "http://user@$host",
        "javascript://$host",
    ] {
        let name = format!("A page of {origin:?} may not post");
        cases.push(case(name, ORIGIN, from(origin), refused()).keeps_word());
    }
    for origin in [
        "http://$host/",
        "http://$host/page.html",
        "http://localhost:0$port",
        "http://localhost.:$port",
        "Http://$host",
    ] {
        let name = format!("The misspelt origin {origin} is refused, or ours");
        cases.push(case(name, ORIGIN, from(origin), any(&[403, 201])).keeps_word());
    }
    cases
}

/// Of a server with `--allow-host example.test --allow-host other.test:8443` and open writes.
pub fn of_allowed_hosts() -> Vec<Case> {
    vec![
        case("A page of an allowed host may post", GUARD, from("http://example.test"), said_hi()),
        case("A page of an allowed host and its port may post", GUARD, from("https://other.test:8443"), said_hi()),
        case(
            "A page of an allowed host on another port than the named may not post",
            GUARD,
            from("https://other.test"),
            refused(),
        )
        .keeps_word(),
        case("A page below an allowed host may not post", GUARD, from("http://sub.example.test"), refused())
            .keeps_word(),
        case("A page of a longer name may not post", GUARD, from("http://example.test.evil.test"), refused())
            .keeps_word(),
        case(
            "A page of the host asked for may post",
            GUARD,
            say_across("example.test", "https://example.test"),
            said_hi(),
        ),
        case("The origin null is refused though hosts are allowed", GUARD, from("null"), refused()).keeps_word(),
    ]
}

/// Of a server with `--allow-host *` and open writes: the star lets names in, never origins.
pub fn of_all_hosts() -> Vec<Case> {
    vec![
        case("A star lets no foreign page post", GUARD, from("http://evil.test"), refused()).keeps_word(),
        case("A star lets the page of the very host post", GUARD, say_across("any.test", "http://any.test"), said_hi()),
        case("A star lets no page called star post", GUARD, from("http://*"), refused()).keeps_word(),
    ]
}

/// Of a server with `--cors-origin http://app.test` and open writes.
pub fn of_named_origin() -> Vec<Case> {
    vec![
        case(
            "The named origin may post, and may read the answer",
            "Fetch section 3.2",
            from("http://app.test"),
            said_hi()
                .header("Access-Control-Allow-Origin", "http://app.test")
                .lists("Vary", "Origin")
                .without("Access-Control-Allow-Credentials"),
        ),
        case(
            "The named origin may read",
            "Fetch section 3.2",
            get_with("/hello.txt", &["Origin: http://app.test"]),
            is(200)
                .header("Access-Control-Allow-Origin", "http://app.test")
                .lists("Vary", "Origin")
                .without("Access-Control-Allow-Credentials"),
        ),
        case(
            "A cache is told that the named origin hears something else",
            "Fetch section 3.2.5",
            get_with("/hello.txt", &["X-From: nowhere"]),
            is(200).lists("Vary", "Origin").without("Access-Control-Allow-Origin"),
        ),
        case(
            "A cache is told so of what an origin that is not named hears too",
            "Fetch section 3.2.5",
            get_with("/style.css", &["Origin: http://evil.test"]),
            is(200).lists("Vary", "Origin").without("Access-Control-Allow-Origin"),
        ),
        case(
            "What the named origin was told is not told to a message that nobody can read",
            "Fetch section 3.2",
            [
                get_with("/hello.txt", &["Origin: http://app.test", "Accept: text/html"]),
                b"GET /\x01 HTTP/1.1\r\n\r\n".to_vec(),
            ]
            .concat(),
            [
                is(200).header("Access-Control-Allow-Origin", "http://app.test"),
                is(400).without("Access-Control-Allow-Origin").header("Content-Type", "application/problem+json"),
            ],
        )
        .closes(),
        case(
            "The named origin is told before it posts",
            "Fetch section 3.2.2",
            ask(
                "OPTIONS",
                "/send",
                &[
                    "Origin: http://app.test",
                    "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: authorization, content-type",
                ],
            ),
            any(&[204, 200])
                .header("Access-Control-Allow-Origin", "http://app.test")
                .lists("Access-Control-Allow-Methods", "POST")
                .lists("Access-Control-Allow-Headers", "authorization")
                .without("Access-Control-Allow-Credentials"),
        ),
        case(
            "The named origin on another port is another",
            "Fetch section 3.2",
            from("http://app.test:8080"),
            refused().without("Access-Control-Allow-Origin"),
        )
        .keeps_word(),
        case(
            "The named origin by another scheme is another",
            "Fetch section 3.2",
            from("https://app.test"),
            refused().without("Access-Control-Allow-Origin"),
        )
        .keeps_word(),
        case(
            "An origin that is not named may not read",
            "Fetch section 3.2",
            get_with("/hello.txt", &["Origin: http://evil.test"]),
            is(200).without("Access-Control-Allow-Origin"),
        ),
        case(
            "Null is never the named origin",
            "Fetch section 3.2",
            get_with("/hello.txt", &["Origin: null"]),
            is(200).without("Access-Control-Allow-Origin"),
        ),
        case("Our own page still may post", "Fetch section 3.2", from("http://$host"), said_hi()),
    ]
}
