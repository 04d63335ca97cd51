//! Methods: which are known, which a target allows, and what OPTIONS tells (RFC 9110 section 9; API.md section 1).

use crate::case::{Case, case};
use crate::expect::{any, is};
use crate::house::{HELLO, INDEX};
use crate::request::{JSON, ask, ask_with_body};

const KNOWN: &str = "RFC 9110 section 9.1";
const WRONG: &str = "RFC 9110 section 15.5.6";

pub fn cases() -> Vec<Case> {
    let pages = &["GET", "HEAD", "OPTIONS"];
    let posts = &["POST", "OPTIONS"];
    let mut cases = vec![
        case(
            "GET gives a file",
            "RFC 9110 section 9.3.1",
            ask("GET", "/hello.txt", &["X-Row: get"]),
            is(200).body(HELLO),
        ),
        case(
            "HEAD gives its head",
            "RFC 9110 section 9.3.2",
            ask("HEAD", "/hello.txt", &[]),
            is(200).for_head().header("Content-Length", "19"),
        ),
        case(
            "HEAD of the root gives its head",
            "RFC 9110 section 9.3.2",
            ask("HEAD", "/", &[]),
            is(200).for_head().header_like("Content-Length", "the index's", |value| value == INDEX.len().to_string()),
        ),
        case(
            "HEAD of nothing is 404 without a body",
            "RFC 9110 section 9.3.2",
            ask("HEAD", "/nothing", &[]),
            is(404).for_head(),
        ),
        case(
            "HEAD of a folder without its slash redirects without a body",
            "RFC 9110 section 9.3.2",
            ask("HEAD", "/sub", &[]),
            is(308).for_head().header("Location", "/sub/"),
        ),
        case(
            "HEAD of what only POST may use is 405 without a body",
            WRONG,
            ask("HEAD", "/send", &[]),
            is(405).for_head().allow(posts),
        ),
        // OPTIONS.
        case(
            "OPTIONS of a file tells what it allows",
            "RFC 9110 section 9.3.7",
            ask("OPTIONS", "/hello.txt", &[]),
            any(&[204, 200]).allow(pages),
        ),
        case(
            "OPTIONS of a form's target tells what it allows",
            "RFC 9110 section 9.3.7",
            ask("OPTIONS", "/send", &[]),
            any(&[204, 200]).allow(posts),
        ),
        case(
            "OPTIONS of the server as a whole is answered",
            "RFC 9112 section 3.2.4",
            ask("OPTIONS", "*", &[]),
            any(&[204, 200]).header_like("Allow", "not empty", |value| !value.is_empty()),
        ),
        case(
            "OPTIONS of an absolute form without a path means the server",
            "RFC 9112 section 3.2.4",
            ask("OPTIONS", "http://$host", &[]),
            any(&[204, 200]).header_like("Allow", "not empty", |value| !value.is_empty()),
        ),
        case(
            "OPTIONS with a body reads it",
            "RFC 9110 section 9.3.7",
            ask_with_body("OPTIONS", "/send", &[], "abc"),
            any(&[204, 200, 413]),
        )
        .keeps_word(),
        case(
            "OPTIONS of a path that climbs is refused",
            "RFC 9110 section 17.3",
            ask("OPTIONS", "/../x", &[]),
            is(403).code("path_forbidden"),
        )
        .keeps_word(),
        case(
            "Max-Forwards means nothing at the end of the road",
            "RFC 9110 section 7.6.2",
            ask("OPTIONS", "/hello.txt", &["Max-Forwards: 0"]),
            any(&[204, 200]),
        ),
        // Known methods at the wrong place.
        case(
            "POST of a file is not allowed",
            WRONG,
            ask_with_body("POST", "/hello.txt", &[], ""),
            is(405).allow(pages),
        ),
        case(
            "POST of a file with a body is not allowed",
            WRONG,
            ask_with_body("POST", "/hello.txt", &[JSON], "{}"),
            is(405).allow(pages),
        )
        .keeps_word(),
        case(
            "PUT of a page is not allowed",
            WRONG,
            ask_with_body("PUT", "/page.html", &[], "new"),
            is(405).allow(pages),
        )
        .keeps_word(),
        case(
            "PATCH of a page is not allowed",
            WRONG,
            ask_with_body("PATCH", "/page.html", &[JSON], "{}"),
            is(405).allow(pages),
        )
        .keeps_word(),
        case("DELETE of a page is not allowed", WRONG, ask("DELETE", "/page.html", &[]), is(405).allow(pages)),
        case("DELETE of the root is not allowed", WRONG, ask("DELETE", "/", &[]), is(405).allow(pages)),
        case("GET of a form's target is not allowed", WRONG, ask("GET", "/send", &[]), is(405).allow(posts)),
        case("GET of the upload's target is not allowed", WRONG, ask("GET", "/upload", &[]), is(405).allow(posts)),
        case(
            "PUT of a form's target is not allowed",
            WRONG,
            ask_with_body("PUT", "/send", &[], "x"),
            is(405).allow(posts),
        )
        .keeps_word(),
        case("DELETE of the health page is not allowed", WRONG, ask("DELETE", "/healthz", &[]), is(405).allow(pages)),
        case(
            "POST of nothing finds nothing, or nothing that takes it",
            WRONG,
            ask_with_body("POST", "/nothing", &[], ""),
            any(&[405, 404]),
        ),
        case(
            "PATCH climbing out is refused before its method is",
            "RFC 9110 section 17.3",
            ask_with_body("PATCH", "/../x", &[], ""),
            is(403).code("path_forbidden"),
        )
        .keeps_word(),
        case(
            "A method that is overridden by a field is not overridden",
            "RFC 9110 section 9.1",
            ask("GET", "/hello.txt", &["X-HTTP-Method-Override: DELETE"]),
            is(200).body(HELLO),
        ),
        case(
            "An unknown method with a body does not lose its place",
            KNOWN,
            ask_with_body("BREW", "/hello.txt", &[], "GET /hello.txt HTTP/1.1\r\n\r\n"),
            is(501),
        )
        .keeps_word(),
        case(
            "CONNECT is not implemented",
            "RFC 9110 section 9.3.6",
            "CONNECT $host HTTP/1.1\r\nHost: $host\r\n\r\n",
            is(501),
        )
        .keeps_word(),
        case(
            "CONNECT of a path is not implemented, or malformed",
            "RFC 9112 section 3.2.3",
            ask("CONNECT", "/hello.txt", &[]),
            any(&[501, 400]),
        )
        .keeps_word(),
        case(
            "TRACE echoes nothing",
            "RFC 9110 section 9.3.8",
            ask("TRACE", "/hello.txt", &["X-Secret: 42"]),
            is(501).check(|answer, _| match memchr::memmem::find(&answer.body, b"42") {
                None => Ok(()),
                Some(_) => Err("the request came back".into()),
            }),
        )
        .keeps_word(),
    ];
    for method in [
        "get",
        "Get",
        "gET",
        "head",
        "post",
        "options",
        "BREW",
        "PROPFIND",
        "MKCOL",
        "LOCK",
        "QUERY",
        "LINK",
        "G",
        "GETT",
        "GE",
        "PURGE",
        "M-SEARCH",
        "X!#$%&'*+-.^_`|~1",
    ] {
        let row =
            case(format!("The method {method} is not implemented"), KNOWN, ask(method, "/hello.txt", &[]), is(501));
        cases.push(row.keeps_word());
    }
    let long = "Z".repeat(300);
    cases.push(
        case("A method of 300 letters is not implemented", KNOWN, ask(&long, "/", &[]), any(&[501, 400])).keeps_word(),
    );
    cases.push(
        case(
            "A path that leads outside is refused before its method is looked at",
            "RFC 9110 section 4.2.5",
            ask("BREW", "/../hello.txt", &[]),
            is(403).code("path_forbidden"),
        )
        .keeps_word(),
    );
    cases
}
