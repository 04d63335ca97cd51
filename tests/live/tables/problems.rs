//! Refusals: a problem document for programs, a page for people, by Accept (RFC 9457; RFC 9110 section 12.5.1; API.md
//! section 1). That each document has its members is checked with every row of every table.

use crate::case::{Case, case};
use crate::expect::is;
use crate::request::{ask, get, get_with};

const PROBLEM: &str = "RFC 9457 section 3";
const ACCEPT: &str = "RFC 9110 section 12.5.1";

fn missing(accept: &str) -> Vec<u8> {
    get_with("/missing", &[&format!("Accept: {accept}")])
}

fn no_markup(answer: &crate::wire::Answer) -> Result<(), String> {
    match memchr::memmem::find(&answer.body, b"<script>alert") {
        None => Ok(()),
        Some(_) => Err("the request's markup came back".into()),
    }
}

pub fn cases() -> Vec<Case> {
    let document = || is(404).header("Content-Type", "application/problem+json").code("not_found");
    let page = || is(404).in_html();
    let mut cases = vec![
        case("A missing page is a problem document", PROBLEM, get("/missing"), document()),
        case(
            "A missing page tells a HEAD its type only",
            PROBLEM,
            ask("HEAD", "/missing", &["Accept: text/html"]),
            is(404).for_head().in_html(),
        ),
        case(
            "A forbidden path is a page for people",
            ACCEPT,
            get_with("/../x", &["Accept: text/html"]),
            is(403).in_html(),
        )
        .keeps_word(),
        case("A bad path is a page for people", ACCEPT, get_with("/%00", &["Accept: text/html"]), is(400).in_html())
            .keeps_word(),
        case(
            "A wrong method is a page for people",
            ACCEPT,
            ask("DELETE", "/page.html", &["Accept: text/html"]),
            is(405).in_html(),
        ),
        case(
            "A failed condition is a page for people",
            ACCEPT,
            get_with("/page.html", &["Accept: text/html", "If-Match: \"a\""]),
            is(412).in_html(),
        ),
        case(
            "A range that cannot be is a page for people, with its length",
            ACCEPT,
            get_with("/data.bin", &["Accept: text/html", "Range: bytes=5000-"]),
            is(416).in_html().header("Content-Range", "bytes */1000"),
        ),
        case(
            "A page about a path with markup holds no markup of ours",
            "RFC 9110 section 17.1",
            get_with("/%3Cscript%3Ealert(1)%3C/script%3E", &["Accept: text/html"]),
            is(404).in_html().check(|answer, _| no_markup(answer)),
        ),
        case(
            "A page about a path with quotes holds no attribute of ours",
            "RFC 9110 section 17.1",
            get_with("/%22onload=%22x", &["Accept: text/html"]),
            is(404).in_html().check(|answer, _| match memchr::memmem::find(&answer.body, b"\"onload=\"") {
                None => Ok(()),
                Some(_) => Err("the request's quotes came back".into()),
            }),
        ),
        case(
            "A malformed request is a problem document, whatever it accepts",
            PROBLEM,
            "GET /x y HTTP/1.1\r\nHost: $host\r\nAccept: text/html\r\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A refused length is a problem document",
            PROBLEM,
            ask("POST", "/send", &["Content-Length: x", "Accept: application/json"]),
            is(400),
        )
        .closes(),
        case(
            "A path that climbs has its code",
            PROBLEM,
            get("/../x?problem"),
            is(403).code("path_forbidden").header("Content-Type", "application/problem+json"),
        )
        .keeps_word(),
        case(
            "Accept in a second line counts",
            "RFC 9110 section 5.3",
            get_with("/missing", &["Accept: image/png", "Accept: text/html"]),
            page(),
        ),
        case(
            "A language nobody speaks is passed over",
            "RFC 9110 section 12.5.4",
            get_with("/missing", &["Accept-Language: tlh"]),
            document(),
        ),
        case(
            "A page that is there does not ask what is accepted",
            ACCEPT,
            get_with("/page.html", &["Accept: image/png"]),
            is(200),
        ),
        case("Accept that is no such list is passed over", ACCEPT, missing(";;;,,,//"), document()),
        case("Accept of 5,000 types is passed over", ACCEPT, missing(&"a/b,".repeat(3_000)), document()),
    ];
    for accept in [
        "text/html",
        "text/html, application/json;q=0.9",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "application/json;q=0.5, text/html",
        "TEXT/HTML",
        "text/html;level=1",
        "*/*;q=0.1, text/html;q=0.5",
    ] {
        cases.push(case(format!("Accept: {accept} gets a page"), ACCEPT, missing(accept), page()));
    }
    for accept in [
        "*/*",
        "application/json",
        "application/problem+json",
        "application/*",
        "application/json, text/html;q=0.5",
        "text/html;q=0",
        "text/html;q=0.1, application/problem+json",
        "image/png",
        "",
        "text/htmlx",
        "text/plain",
    ] {
        cases.push(case(format!("Accept: {accept:?} gets a document"), ACCEPT, missing(accept), document()));
    }
    cases
}
