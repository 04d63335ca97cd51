//! Who asks, and what a stranger may do (API.md sections 1, point 6, and 6).

use crate::case::{Case, case};
use crate::expect::{any, is, said_hi};
use crate::house::HELLO;
use crate::request::{ask, get, get_with, say};

const WHO: &str = "RFC 9110 section 11.6.2";
const THROUGH: &str = "API.md section 6";

/// Of a server under loopback defaults with no token.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "Nobody in particular may post from this machine",
            THROUGH,
            say(&["X-Row: rights"], "message=hi"),
            said_hi(),
        ),
        case(
            "Who has come through a proxy may still read",
            THROUGH,
            get_with("/hello.txt", &["Via: 1.1 proxy", "X-Forwarded-For: 192.0.2.1"]),
            is(200).body(HELLO),
        ),
        case(
            "A cookie nobody gave is a guest's",
            "API.md section 1",
            get_with("/hello.txt", &["Cookie: hythe=nonsense"]),
            any(&[200]),
        ),
        case(
            "Another's cookie is nobody's business",
            "RFC 6265 section 5.4",
            get_with("/hello.txt", &["Cookie: a=b; c=\"d\"; e"]),
            is(200).body(HELLO).without("Set-Cookie"),
        ),
    ];
    for field in [
        "Via: 1.1 proxy",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: x.test",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "CF-Connecting-IP: 192.0.2.1",
        "x-forwarded-for:",
        "X-Forwarded-Port: 443",
    ] {
        let row = case(
            format!("Who has come through a proxy ({field}) may not post unknown"),
            THROUGH,
            say(&[field], "message=hi"),
            is(401),
        );
        cases.push(row.keeps_word());
    }
    for value in [
        "Bearer wrong",
        "bearer wrong",
        "Bearer",
        "Bearer  a b",
        "Basic bm9ib2R5Ondyb25n",
        "Basic !",
        "Digest a=b",
        "",
        "wrong",
    ] {
        let name = format!("The credentials {value:?} are wrong, and are told so");
        let row = case(name, WHO, get_with("/hello.txt", &[&format!("Authorization: {value}")]), is(401));
        cases.push(row.keeps_word());
    }
    cases
}

/// Of a server with the token `a-token-of-some-length`.
pub fn with_a_token() -> Vec<Case> {
    let bearer = "Authorization: Bearer a-token-of-some-length";
    vec![
        case("The operator's token is known", WHO, get_with("/hello.txt", &[bearer]), is(200).body(HELLO)),
        case(
            "The scheme has no case",
            "RFC 9110 section 11.1",
            get_with("/hello.txt", &["Authorization: bEARER a-token-of-some-length"]),
            is(200).body(HELLO),
        ),
        case(
            "The operator may post through a proxy",
            THROUGH,
            say(&[bearer, "Via: 1.1 proxy"], "message=hi"),
            said_hi(),
        ),
        case(
            "The operator sees the figures through a proxy",
            THROUGH,
            get_with("/metrics", &[bearer, "Via: 1.1 proxy"]),
            is(200).header_like("Content-Type", "text", |value| value.starts_with("text/plain")),
        ),
        case(
            "A stranger through a proxy does not see the figures",
            THROUGH,
            get_with("/metrics", &["Via: 1.1 proxy"]),
            any(&[401, 403]),
        )
        .keeps_word(),
        case("A neighbour on this machine sees the figures", THROUGH, get("/metrics"), is(200)),
        case(
            "A token with a letter more is wrong",
            WHO,
            get_with("/hello.txt", &["Authorization: Bearer a-token-of-some-lengthx"]),
            is(401),
        )
        .keeps_word(),
        case(
            "A token with a letter less is wrong",
            WHO,
            get_with("/hello.txt", &["Authorization: Bearer a-token-of-some-lengt"]),
            is(401),
        )
        .keeps_word(),
        case(
            "A token in other letters is wrong",
            WHO,
            get_with("/hello.txt", &["Authorization: Bearer A-TOKEN-OF-SOME-LENGTH"]),
            is(401),
        )
        .keeps_word(),
        case(
            "Two credentials are not one",
            "RFC 9110 section 5.3",
            get_with("/hello.txt", &[bearer, "Authorization: Bearer wrong"]),
            any(&[401, 400]),
        )
        .keeps_word(),
        case(
            "A token in the query is nobody's",
            "API.md section 1",
            get_with("/metrics?token=a-token-of-some-length", &["Via: 1.1 proxy"]),
            any(&[401, 403]),
        )
        .keeps_word(),
        case(
            "The operator's token lets no foreign page post",
            "API.md section 1",
            say(&[bearer, "Origin: http://evil.test"], "message=hi"),
            is(403).code("cross_site"),
        )
        .keeps_word(),
        case(
            "A HEAD by the operator is the operator's",
            WHO,
            ask("HEAD", "/metrics", &[bearer, "Via: 1.1 proxy"]),
            any(&[200, 405]).for_head(),
        ),
    ]
}
