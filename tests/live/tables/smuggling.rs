//! Requests inside requests: whatever a proxy in front might have made of these bytes, this server makes one thing of
//! them or refuses, and the request hidden inside is never answered (RFC 9112 sections 11.2 and 6.3).
//!
//! Each row that closes proves it by reading to the end: one byte behind the expected answers is a failure.

use crate::case::{Case, case};
use crate::expect::{any, is};
use crate::house::HELLO;
use crate::request::{FORM, JSON, ask, ask_with_body, get, say_raw};

const SMUGGLE: &str = "RFC 9112 section 11.2";

/// The hidden request.
const HIDDEN: &str = "GET /page.html?hidden HTTP/1.1\r\nHost: $host\r\n\r\n";

/// `POST /send` with these framing lines, a body that ends in the hidden request, and all of it as one write.
fn both(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /send HTTP/1.1\r\nHost: $host\r\n{FORM}\r\n{lines}\r\n\r\n{body}{HIDDEN}").into_bytes()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // CL.TE and TE.CL, in every dress that has worked somewhere.
    for (what, lines) in [
        ("a length and a coding", "Content-Length: 6\r\nTransfer-Encoding: chunked"),
        ("a coding and a length", "Transfer-Encoding: chunked\r\nContent-Length: 6"),
        ("a length and a coding in capitals", "Content-Length: 6\r\nTRANSFER-ENCODING: CHUNKED"),
        ("a length and a coding behind a tab", "Content-Length: 6\r\nTransfer-Encoding:\tchunked"),
        ("a length and a coding behind a blank name", "Content-Length: 6\r\nTransfer-Encoding : chunked"),
        ("a length and a coding behind a tabbed name", "Content-Length: 6\r\nTransfer-Encoding\t: chunked"),
        ("a length and a coding on a folded line", "Content-Length: 6\r\nTransfer-Encoding:\r\n chunked"),
        ("a length and a coding folded into another field", "Content-Length: 6\r\nX: y\r\n Transfer-Encoding: chunked"),
        ("a length and a coding behind a bare LF", "Content-Length: 6\r\nX: y\nTransfer-Encoding: chunked"),
        ("a length and a coding behind a bare CR", "Content-Length: 6\r\nX: y\rTransfer-Encoding: chunked"),
        ("a length and a coding behind a vertical tab", "Content-Length: 6\r\nTransfer-Encoding: \x0bchunked"),
        ("a length and a coding behind a NUL", "Content-Length: 6\r\nTransfer-Encoding: \0chunked"),
        ("a length and a coding with a mark", "Content-Length: 6\r\nTransfer-Encoding: xchunked"),
        ("a length and a coding in quotes", "Content-Length: 6\r\nTransfer-Encoding: \"chunked\""),
        ("a length and two codings", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x"),
        (
            "a length and two codings, the last one good",
            "Content-Length: 6\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked",
        ),
        ("a length and a list of codings", "Content-Length: 6\r\nTransfer-Encoding: identity, chunked"),
        ("a length and a coding by the sound of it", "Content-Length: 6\r\nTransfer-Encoding: chunkеd"),
        (
            "a length behind a coding, both at once in one field's clothes",
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\nContent-Length: 6",
        ),
        ("a coding before the first field", "\x20Transfer-Encoding: chunked\r\nContent-Length: 6"),
        ("a name with a blank in front", "Content-Length: 6\r\n Transfer-Encoding: chunked"),
        ("a coding whose name lost a letter to a NUL", "Content-Length: 6\r\nTransfer-Encoding\0: chunked"),
    ] {
        let row = case(
            format!("{} carry no request inside", upper(what)),
            SMUGGLE,
            both(lines, "0\r\n\r\n"),
            any(&[400, 501]),
        );
        cases.push(row.closes());
    }
    for (what, lines) in [
        ("two lengths", "Content-Length: 0\r\nContent-Length: 49"),
        ("two lengths the other way around", "Content-Length: 49\r\nContent-Length: 0"),
        ("a list of lengths", "Content-Length: 0, 49"),
        ("a length with a plus", "Content-Length: +0"),
        ("a length with a minus", "Content-Length: -0"),
        ("a length in hexadecimal", "Content-Length: 0x0"),
        ("a length behind a blank name", "Content-Length : 0"),
        ("a length on a folded line", "Content-Length:\r\n 0"),
        ("a length behind a bare CR", "X: y\rContent-Length: 49"),
        ("a length behind a bare LF", "X: y\nContent-Length: 49"),
        ("a length with a NUL behind it", "Content-Length: 0\0"),
        ("a length with a word behind it", "Content-Length: 0 49"),
        ("a length in wide digits", "Content-Length: ０"),
        ("an empty length", "Content-Length: "),
        ("a coding that is not the last", "Transfer-Encoding: chunked, identity"),
        ("a coding nobody knows", "Transfer-Encoding: cow"),
        ("a coding that is empty", "Transfer-Encoding: "),
    ] {
        let row = case(
            format!("{} carry or carries no request inside", upper(what)),
            SMUGGLE,
            both(lines, ""),
            any(&[400, 501]),
        );
        cases.push(row.closes());
    }
    // Chunks that another reader would cut elsewhere.
    for (what, body) in [
        ("A size with an LF in its extension", "a;\nx\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A size with a CR in its extension", "a;\rx\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A chunk without its line end", "a\r\nmessage=hi0\r\n\r\n"),
        ("A chunk with two letters for a line end", "a\r\nmessage=hiXX0\r\n\r\n"),
        ("A size with 0x", "0xa\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A last size with a minus", "a\r\nmessage=hi\r\n-0\r\n\r\n"),
        ("A last size with a blank", "a\r\nmessage=hi\r\n0 \r\n\r\n"),
        ("A size that wraps around to zero", "10000000000000000\r\n"),
        ("A size of ten digits and a wrap", "1000000000000000a\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A last chunk with a bare LF", "a\r\nmessage=hi\r\n0\n\n"),
        ("A last chunk whose blank line is an LF", "a\r\nmessage=hi\r\n0\r\n\n"),
        ("A trailer that is a request line", "a\r\nmessage=hi\r\n0\r\n"),
        ("An empty size for the last", "a\r\nmessage=hi\r\n\r\n\r\n"),
    ] {
        let request = both("Transfer-Encoding: chunked", body);
        cases.push(case(format!("{what} carries no request behind it"), SMUGGLE, request, is(400)).closes());
    }
    // CL.0: a refusal that forgets the body takes it for the next request.
    let hidden = HIDDEN.replace("$host", "localhost:80");
    for (what, method, target, fields, statuses) in [
        ("A wrong method", "POST", "/hello.txt", &[JSON][..], &[405][..]),
        ("A missing page", "POST", "/nothing/at/all", &[JSON], &[404, 405]),
        ("A redirect", "POST", "/sub", &[JSON], &[405, 308]),
        ("A path that climbs", "POST", "/../x", &[JSON], &[403]),
        ("A bad path", "POST", "/%00", &[JSON], &[400]),
        ("A hidden path", "POST", "/.secret", &[JSON], &[404, 405]),
        ("A foreign origin", "POST", "/send", &[FORM, "Origin: http://evil.test"], &[403]),
        ("A wrong token", "POST", "/send", &[FORM, "Authorization: Bearer wrong"], &[401]),
        ("A wrong type", "POST", "/send", &["Content-Type: image/png"], &[415]),
        ("A content coding", "POST", "/send", &[FORM, "Content-Encoding: gzip"], &[415]),
        ("An unknown expectation", "POST", "/send", &[FORM, "Expect: wonders"], &[417]),
        ("An unknown method", "BREW", "/hello.txt", &[], &[501]),
        ("A PUT of a page", "PUT", "/page.html", &[], &[405]),
        ("A DELETE of a page", "DELETE", "/page.html", &[], &[405]),
        ("A GET of a file", "GET", "/hello.txt", &["X-Row: cl.0"], &[200]),
        ("A GET of what is unchanged", "GET", "/hello.txt", &["If-None-Match: *"], &[304]),
        ("A GET of what redirects", "GET", "/sub", &[], &[308]),
        ("A GET of what is missing", "GET", "/nothing", &[], &[404]),
        ("A GET of a range that cannot be", "GET", "/data.bin", &["Range: bytes=5000-"], &[416]),
        ("An OPTIONS", "OPTIONS", "/hello.txt", &[], &[204, 200]),
    ] {
        let request = ask_with_body(method, target, fields, &hidden);
        let name = format!("{what} with a request for a body keeps its place or ends");
        cases.push(case(name, SMUGGLE, request, any(statuses)).keeps_word());
        let body = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        let request =
            [ask(method, target, &[fields, &["Transfer-Encoding: chunked"]].concat()).as_slice(), body.as_bytes()]
                .concat();
        let name = format!("{what} with a request in a chunk keeps its place or ends");
        cases.push(case(name, SMUGGLE, request, any(statuses)).keeps_word());
    }
    cases.extend([
        case(
            "A HEAD with a request for a body keeps its place or ends",
            SMUGGLE,
            ask_with_body("HEAD", "/hello.txt", &[], &hidden),
            is(200).for_head(),
        )
        .keeps_word(),
        case(
            "A foreign host with a request for a body keeps its place or ends",
            SMUGGLE,
            format!("POST /send HTTP/1.1\r\nHost: evil.test\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            is(403).code("host_forbidden"),
        )
        .keeps_word(),
        case(
            "A missing host with a request for a body keeps its place or ends",
            SMUGGLE,
            format!("POST /send HTTP/1.1\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            is(400),
        )
        .keeps_word(),
        case(
            "An HTTP/1.0 post without a length has no body, and what follows is not answered",
            SMUGGLE,
            [b"POST /hello.txt HTTP/1.0\r\nHost: $host\r\n\r\n".to_vec(), get("/page.html")].concat(),
            is(405),
        )
        .closes(),
        case(
            "A length hidden in a field's value is a value",
            SMUGGLE,
            ask("GET", "/hello.txt", &["X-A: b, Content-Length: 99"]),
            is(200).body(HELLO),
        ),
        case(
            "A Connection that names the length does not take it away",
            "RFC 9110 section 7.6.1",
            say_raw(&["Content-Length: 10", "Connection: Content-Length"], "message=hi"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A Connection that names the coding does not take it away",
            "RFC 9110 section 7.6.1",
            say_raw(&["Transfer-Encoding: chunked", "Connection: Transfer-Encoding"], "a\r\nmessage=hi\r\n0\r\n\r\n"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "An upgrade with a request behind it is not taken, and the request is the next",
            SMUGGLE,
            [ask("GET", "/hello.txt", &["Connection: Upgrade", "Upgrade: websocket"]), get("/hello.txt?behind")]
                .concat(),
            [is(200).body(HELLO), is(200).body(HELLO)],
        ),
        case(
            "A field that ends the head early in one's eyes does not",
            SMUGGLE,
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\nX: y\n\nGET /page.html HTTP/1.1\r\nHost: $host\r\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A request split by a NUL is none",
            SMUGGLE,
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\n\0\r\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A target with an encoded line end starts no second request",
            SMUGGLE,
            get("/hello.txt%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0a"),
            is(400).code("bad_path"),
        )
        .keeps_word(),
        case(
            "An absolute form and a Host that differ are one request, for the absolute form",
            SMUGGLE,
            "GET http://$host/hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
            is(200).body(HELLO),
        ),
        case(
            "A body behind a 304 is the next request's affair only if it is one",
            SMUGGLE,
            [ask("GET", "/hello.txt", &["If-None-Match: *", "X-Row: 304"]), b"x".to_vec(), b"\r\n\r\n".to_vec()]
                .concat(),
            [is(304), is(400)],
        )
        .closes(),
    ]);
    cases
}

fn upper(what: &str) -> String {
    let mut letters = what.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
