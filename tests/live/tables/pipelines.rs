//! Several requests sent together: all are answered, in order, up to the first that ends the connection (RFC 9112
//! section 9.3.2).

use crate::case::{Case, case};
use crate::expect::{Expect, any, is, said, said_hi};
use crate::house::{HELLO, INDEX, PAGE, SCRIPT, STYLE, big, data};
use crate::request::{JSON, ask, ask_with_body, get, get_with, say, say_chunked};

const PIPELINE: &str = "RFC 9112 section 9.3.2";

fn file(body: impl AsRef<[u8]>) -> Expect {
    is(200).body(body)
}

pub fn cases() -> Vec<Case> {
    let hello = || get("/hello.txt");
    let page = || get("/page.html");
    let tens = |answer: fn() -> Expect| (0..10).map(|_| answer()).collect::<Vec<_>>();
    vec![
        case("Two requests get two answers", PIPELINE, [hello(), page()].concat(), [file(HELLO), file(PAGE)]),
        case("Two equal requests get two answers", PIPELINE, [hello(), hello()].concat(), [file(HELLO), file(HELLO)]),
        case(
            "Answers come in the order of the requests",
            PIPELINE,
            [get("/"), hello(), get("/app.js"), get("/style.css"), page()].concat(),
            [file(INDEX), file(HELLO), file(SCRIPT), file(STYLE), file(PAGE)],
        ),
        case("Ten requests get ten answers", PIPELINE, hello().repeat(10), tens(|| file(HELLO))),
        case(
            "Sixteen requests get sixteen answers",
            PIPELINE,
            get("/app.js").repeat(16),
            (0..16).map(|_| file(SCRIPT)).collect::<Vec<_>>(),
        ),
        case(
            "Sixty-four requests get sixty-four answers",
            PIPELINE,
            page().repeat(64),
            (0..64).map(|_| file(PAGE)).collect::<Vec<_>>(),
        ),
        case(
            "Large files come in order and whole",
            PIPELINE,
            [get("/big.bin"), hello(), get("/big.bin"), get("/data.bin")].concat(),
            [file(big()), file(HELLO), file(big()), file(data())],
        ),
        case(
            "A small file waits behind a large one",
            PIPELINE,
            [get("/big.bin"), hello()].concat(),
            [file(big()), file(HELLO)],
        ),
        case("Ten large files come in order and whole", PIPELINE, get("/big.bin").repeat(10), tens(|| file(big()))),
        case(
            "A HEAD between two GETs has no body",
            PIPELINE,
            [hello(), ask("HEAD", "/page.html", &[]), hello()].concat(),
            [file(HELLO), is(200).for_head(), file(HELLO)],
        ),
        case(
            "A 304 between two GETs has no body",
            PIPELINE,
            [hello(), get_with("/page.html", &["If-None-Match: *"]), hello()].concat(),
            [file(HELLO), is(304), file(HELLO)],
        ),
        case(
            "Ranges between GETs keep their place",
            PIPELINE,
            [
                hello(),
                get_with("/data.bin", &["Range: bytes=5-9"]),
                get_with("/data.bin", &["Range: bytes=0-0,9-9"]),
                hello(),
            ]
            .concat(),
            [file(HELLO), is(206).slice(data(), 5, 9), is(206).ranges(data(), &[(0, 0), (9, 9)]), file(HELLO)],
        ),
        case(
            "An error between two GETs keeps its place",
            PIPELINE,
            [hello(), get("/nothing"), page()].concat(),
            [file(HELLO), is(404), file(PAGE)],
        ),
        case(
            "A wrong method between two GETs keeps its place",
            PIPELINE,
            [hello(), ask("DELETE", "/page.html", &[]), page()].concat(),
            [file(HELLO), is(405), file(PAGE)],
        ),
        case(
            "A redirect between two GETs keeps its place",
            PIPELINE,
            [hello(), get("/sub"), page()].concat(),
            [file(HELLO), is(308), file(PAGE)],
        ),
        case(
            "OPTIONS between two GETs keeps its place",
            PIPELINE,
            [hello(), ask("OPTIONS", "/page.html", &[]), page()].concat(),
            [file(HELLO), any(&[204, 200]), file(PAGE)],
        ),
        case(
            "A post is answered before the GET behind it",
            PIPELINE,
            [say(&[], "message=first"), hello()].concat(),
            [said("first"), file(HELLO)],
        ),
        case(
            "A GET is answered before the post behind it",
            PIPELINE,
            [hello(), say(&[], "message=second")].concat(),
            [file(HELLO), said("second")],
        ),
        case(
            "Posts are answered in order",
            PIPELINE,
            [say(&[], "message=1"), say(&[], "message=2"), say(&[], "message=3")].concat(),
            [said("1"), said("2"), said("3")],
        ),
        case(
            "Chunked posts are answered in order",
            PIPELINE,
            [say_chunked("9\r\nmessage=1\r\n0\r\n\r\n"), say_chunked("9\r\nmessage=2\r\n0\r\nX-T: u\r\n\r\n")].concat(),
            [said("1"), said("2")],
        ),
        case(
            "Posts with and without chunks take turns",
            PIPELINE,
            [
                say_chunked("a\r\nmessage=hi\r\n0\r\n\r\n"),
                say(&[], "message=2"),
                say_chunked("a\r\nmessage=hi\r\n0\r\n\r\n"),
                page(),
            ]
            .concat(),
            [said_hi(), said("2"), said_hi(), file(PAGE)],
        ),
        case(
            "An upload is answered before the GET behind it",
            PIPELINE,
            [ask_with_body("POST", "/upload", &[JSON], "[1]"), hello()].concat(),
            [is(201), file(HELLO)],
        ),
        case(
            "Uploads and messages are answered in order",
            PIPELINE,
            [
                ask_with_body("POST", "/upload", &[JSON], "[1]"),
                say(&[], "message=2"),
                ask_with_body("POST", "/upload", &[JSON], "[3]"),
                page(),
            ]
            .concat(),
            [is(201).json("status", "success"), said("2"), is(201).json("status", "success"), file(PAGE)],
        ),
        case(
            "A refused post whose body is small keeps its place or ends",
            PIPELINE,
            [ask_with_body("POST", "/hello.txt", &[], "abc")].concat(),
            is(405),
        )
        .keeps_word(),
        case(
            "A body's last byte and the next request's first meet without a gap",
            PIPELINE,
            [say(&[], "message=GET"), page()].concat(),
            [said("GET"), file(PAGE)],
        ),
        case(
            "An empty line between two requests is skipped",
            "RFC 9112 section 2.2",
            [hello(), b"\r\n".to_vec(), page()].concat(),
            [file(HELLO), file(PAGE)],
        ),
        case(
            "An empty line behind a post is skipped",
            "RFC 9112 section 2.2",
            [say(&[], "message=hi"), b"\r\n".to_vec(), page()].concat(),
            [said_hi(), file(PAGE)],
        ),
        case(
            "An empty line behind a chunked post is skipped",
            "RFC 9112 section 2.2",
            [say_chunked("a\r\nmessage=hi\r\n0\r\n\r\n"), b"\r\n".to_vec(), page()].concat(),
            [said_hi(), file(PAGE)],
        ),
        // What ends the line.
        case(
            "A request that closes is the last that is answered",
            PIPELINE,
            [hello(), get_with("/page.html", &["Connection: close"]), hello()].concat(),
            [file(HELLO), file(PAGE)],
        )
        .closes(),
        case(
            "A malformed request behind a good one is refused behind its answer",
            PIPELINE,
            [hello(), b"GET /x\r\n\r\n".to_vec()].concat(),
            [file(HELLO), is(400)],
        )
        .closes(),
        case(
            "Nothing behind a malformed request is answered",
            PIPELINE,
            [hello(), b"BAD\r\n\r\n".to_vec(), page(), page()].concat(),
            [file(HELLO), is(400)],
        )
        .closes(),
        case(
            "A malformed field behind a large file is refused behind it",
            PIPELINE,
            [get("/big.bin"), b"GET / HTTP/1.1\r\nHost : $host\r\n\r\n".to_vec(), page()].concat(),
            [file(big()), is(400)],
        )
        .closes(),
        case(
            "Bad framing behind a post is refused behind its answer",
            PIPELINE,
            [say(&[], "message=hi"), ask("POST", "/send", &["Content-Length: 1", "Content-Length: 2"]), page()]
                .concat(),
            [said_hi(), is(400)],
        )
        .closes(),
        case(
            "A bad chunk ends the line",
            PIPELINE,
            [hello(), say_chunked("x\r\n"), page()].concat(),
            [file(HELLO), is(400)],
        )
        .closes(),
        case(
            "A head too large ends the line",
            PIPELINE,
            [hello(), get_with("/page.html", &[&format!("X: {}", "v".repeat(17_000))]), page()].concat(),
            [file(HELLO), is(431)],
        )
        .closes(),
        case(
            "A target too long ends the line",
            PIPELINE,
            [hello(), get(&format!("/{}", "p".repeat(9_000))), page()].concat(),
            [file(HELLO), is(414)],
        )
        .closes(),
        case(
            "A version we do not speak ends the line",
            PIPELINE,
            [hello(), b"GET / HTTP/2.0\r\nHost: $host\r\n\r\n".to_vec(), page()].concat(),
            [file(HELLO), is(505)],
        )
        .closes(),
        case(
            "HTTP/1.0 ends the line",
            PIPELINE,
            [hello(), b"GET /page.html HTTP/1.0\r\nHost: $host\r\n\r\n".to_vec(), hello()].concat(),
            [file(HELLO), file(PAGE)],
        )
        .closes(),
        case(
            "Garbage behind a request ends the line",
            PIPELINE,
            [hello(), b"\x00\x01\x02\x03\r\n\r\n".to_vec()].concat(),
            [file(HELLO), is(400)],
        )
        .closes(),
    ]
}
