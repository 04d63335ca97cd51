//! The request line: its grammar, the four forms of a target, its length, and the version (RFC 9112 sections 2 and 3).

use crate::case::{Case, case};
use crate::expect::{any, is};
use crate::house::{HELLO, INDEX};
use crate::request::{ask, get};

const LINE: &str = "RFC 9112 section 3";
const TARGET: &str = "RFC 9112 section 3.2";
const VERSION: &str = "RFC 9112 section 2.3";

/// A whole request whose first line is `line`.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: $host\r\n\r\n"].concat()
}

/// A request line of `length` bytes, its end not counted, for a file that is there.
fn line_of(length: usize) -> Vec<u8> {
    let (before, behind) = ("GET /hello.txt?", " HTTP/1.1");
    line(format!("{before}{}{behind}", "q".repeat(length - before.len() - behind.len())))
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("A plain request is answered", LINE, get("/hello.txt"), is(200).body(HELLO)),
        case(
            "A query is no part of a file's name",
            "RFC 9110 section 4.2.2",
            get("/hello.txt?a=1&b"),
            is(200).body(HELLO),
        ),
        case("An empty query is a query", "RFC 9112 section 3.2.1", get("/hello.txt?"), is(200).body(HELLO)),
        case(
            "A query may hold slashes, colons, ats and question marks",
            "RFC 3986 section 3.4",
            get("/hello.txt?/a:b@c?d"),
            is(200),
        ),
        case(
            "A broken escape in a query is the handler's affair",
            "RFC 9112 section 3.2.1",
            get("/hello.txt?a=%zz"),
            is(200),
        ),
        case(
            "Dots in a query climb nowhere",
            "RFC 3986 section 3.4",
            get("/hello.txt?../../etc/passwd"),
            is(200).body(HELLO),
        ),
        case(
            "What browsers leave raw in a query does no harm",
            "RFC 9112 section 3.2",
            get("/hello.txt?q={a}|[b]^`"),
            any(&[200, 400]),
        )
        .keeps_word(),
        case(
            "One empty line before a request is skipped",
            "RFC 9112 section 2.2",
            [b"\r\n".as_slice(), &get("/hello.txt")].concat(),
            is(200).body(HELLO),
        ),
        case(
            "A hundred empty lines before a request are skipped or refused",
            "RFC 9112 section 2.2",
            ["\r\n".repeat(100).as_bytes(), &get("/hello.txt")].concat(),
            any(&[200, 400]),
        )
        .keeps_word(),
        // The forms of a target.
        case(
            "The absolute form is taken",
            "RFC 9112 section 3.2.2",
            ask("GET", "http://$host/hello.txt", &[]),
            is(200).body(HELLO),
        ),
        case(
            "The absolute form keeps its query",
            "RFC 9112 section 3.2.2",
            ask("GET", "http://$host/hello.txt?a=b", &[]),
            is(200).body(HELLO),
        ),
        case(
            "The absolute form without a path means the root",
            "RFC 9112 section 3.2.2",
            ask("GET", "http://$host", &[]),
            is(200).body(INDEX),
        ),
        case(
            "The absolute form with a query and no path means the root",
            "RFC 9110 section 4.2.3",
            ask("GET", "http://$host?a=b", &[]),
            is(200).body(INDEX),
        ),
        case(
            "A scheme and a host have no case",
            "RFC 9110 section 4.2.3",
            ask("GET", "HTTP://LOCALHOST:$port/hello.txt", &[]),
            is(200).body(HELLO),
        ),
        case(
            "Another scheme is not ours",
            TARGET,
            ask("GET", "ftp://$host/hello.txt", &[]),
            any(&[400, 403, 404, 421]),
        )
        .keeps_word(),
        case(
            "https on a plain connection is not taken for http",
            "RFC 9110 section 7.4",
            ask("GET", "HTTPS://$host/hello.txt", &[]),
            is(421).code("misdirected"),
        )
        .keeps_word(),
        case(
            "An absolute form with an empty host is malformed",
            "RFC 9110 section 4.2.1",
            ask("GET", "http:///hello.txt", &[]),
            is(400),
        )
        .keeps_word(),
        case(
            "A user in the authority is an attack",
            "RFC 9110 section 4.2.4",
            ask("GET", "http://me@$host/hello.txt", &[]),
            any(&[400, 403]),
        )
        .keeps_word(),
        case(
            "An absolute form that climbs is refused as any path",
            "RFC 9110 section 17.3",
            ask("GET", "http://$host/../outside.html", &[]),
            is(403).code("path_forbidden"),
        )
        .keeps_word(),
        case("The asterisk is for OPTIONS only", "RFC 9112 section 3.2.4", ask("GET", "*", &[]), is(400)).keeps_word(),
        case("The authority form is for CONNECT only", "RFC 9112 section 3.2.3", ask("GET", "$host", &[]), is(400))
            .keeps_word(),
        case(
            "An authority with a path but no scheme is no target",
            TARGET,
            ask("GET", "$host/hello.txt", &[]),
            is(400),
        )
        .keeps_word(),
        case("A target without a slash is no target", TARGET, ask("GET", "hello.txt", &[]), is(400)).keeps_word(),
        case("A target that is only a query is no target", TARGET, ask("GET", "?a=b", &[]), is(400)).keeps_word(),
        case("A target that begins with a dot is no target", TARGET, ask("GET", "./hello.txt", &[]), is(400))
            .keeps_word(),
        // The length.
        case(
            "A target of 8,000 bytes passes",
            "RFC 9112 section 3",
            get(&format!("/hello.txt?{}", "q".repeat(7_989))),
            is(200).body(HELLO),
        ),
        case(
            "A path of 8,000 bytes is looked for and not found",
            "RFC 9112 section 3",
            get(&format!("/{}", "p".repeat(7_999))),
            is(404),
        ),
        case("A request line of 8,190 bytes passes", "RFC 9112 section 3", line_of(8_190), is(200).body(HELLO)),
        case("A request line over 8 KiB is too long", "RFC 9110 section 15.5.15", line_of(8_193), is(414)).closes(),
        case("A request line of twice the limit is too long", "RFC 9110 section 15.5.15", line_of(16_384), is(414))
            .closes(),
        case(
            "A request line without an end is cut at the limit",
            "RFC 9110 section 15.5.15",
            format!("GET /{}", "p".repeat(20_000)),
            is(414),
        )
        .closes(),
        case("A method without an end is cut at the limit", LINE, "A".repeat(20_000), any(&[414, 400, 501])).closes(),
        // Versions.
        case("HTTP/1.0 is spoken", VERSION, "GET /hello.txt HTTP/1.0\r\nHost: $host\r\n\r\n", is(200).body(HELLO))
            .closes(),
        case(
            "A higher minor version is taken for 1.1",
            "RFC 9110 section 2.5",
            line("GET /hello.txt HTTP/1.2"),
            is(200).body(HELLO),
        ),
        case(
            "The highest minor version is taken for 1.1",
            "RFC 9110 section 2.5",
            line("GET /hello.txt HTTP/1.9"),
            is(200).body(HELLO),
        ),
        case(
            "A higher minor version may ask for the end",
            "RFC 9110 section 2.5",
            line("GET /hello.txt HTTP/1.2\r\nConnection: close"),
            is(200).body(HELLO),
        )
        .closes(),
        case(
            "A higher minor version needs a host as 1.1 does",
            "RFC 9110 section 2.5",
            "GET /hello.txt HTTP/1.2\r\n\r\n",
            is(400).code("bad_host"),
        )
        .closes(),
        case(
            "A higher minor version may not say in two ways how long it is",
            "RFC 9112 section 6.3",
            line("POST /send HTTP/1.2\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"),
            is(400),
        )
        .closes(),
        case(
            "A higher minor version may not fold its fields",
            "RFC 9112 section 5.2",
            line("GET /hello.txt HTTP/1.2\r\nX: a\r\n b"),
            is(400),
        )
        .closes(),
        case(
            "HTTP/2.0 in this clothing is refused",
            "RFC 9110 section 15.6.6",
            line("GET /hello.txt HTTP/2.0"),
            is(505),
        )
        .closes(),
        case(
            "HTTP/3.0 in this clothing is refused",
            "RFC 9110 section 15.6.6",
            line("GET /hello.txt HTTP/3.0"),
            is(505),
        )
        .closes(),
        case("HTTP/0.9 by name is refused", VERSION, line("GET /hello.txt HTTP/0.9"), any(&[400, 505])).closes(),
        case(
            "The preface of HTTP/2 is refused",
            "RFC 9113 section 3.4",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            any(&[505, 400, 501]),
        )
        .closes(),
        case("A request without a version is refused", LINE, line("GET /hello.txt"), is(400)).closes(),
        case("A request of HTTP/0.9 is refused", LINE, "GET /hello.txt\r\n\r\n", is(400)).closes(),
        // What is wrong with a line is told when it has come: the rest of the head may never come.
        case("A request of HTTP/0.9 is refused by its only line", LINE, "GET /hello.txt\r\n", is(400)).closes(),
        case("A line that is no request is refused at its end", LINE, "hello world\r\n", is(400)).closes(),
        case("A method alone is refused at the line's end", LINE, "GET\r\n", is(400)).closes(),
        case("A version of another kind is refused at the line's end", VERSION, "GET / HTTP/7.3\r\n", is(505)).closes(),
        case(
            "A line that is no field is refused at its end",
            "RFC 9112 section 5",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\nno field\r\n",
            is(400),
        )
        .closes(),
        case(
            "A field without a name is refused at its line's end",
            "RFC 9112 section 5.1",
            "GET /hello.txt HTTP/1.1\r\n: nobody's\r\n",
            is(400),
        )
        .closes(),
        case(
            "A folded field is refused at its line's end",
            "RFC 9112 section 5.2",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\nX: a\r\n\tb\r\n",
            is(400),
        )
        .closes(),
        case(
            "A control byte in a field is refused at its line's end",
            "RFC 9110 section 5.5",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\nX: a\x08b\r\n",
            is(400),
        )
        .closes(),
        case(
            "White space before the first field is refused at its line's end",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\n Host: $host\r\n",
            is(400),
        )
        .closes(),
    ];

    for (what, bad) in [
        ("Two spaces before the target", "GET  /hello.txt HTTP/1.1"),
        ("Two spaces before the version", "GET /hello.txt  HTTP/1.1"),
        ("A space before the method", " GET /hello.txt HTTP/1.1"),
        ("A space behind the version", "GET /hello.txt HTTP/1.1 "),
        ("A tab behind the version", "GET /hello.txt HTTP/1.1\t"),
        ("Tabs for spaces", "GET\t/hello.txt\tHTTP/1.1"),
        ("A space inside the target", "GET /hello .txt HTTP/1.1"),
        ("A fourth word", "GET /hello.txt HTTP/1.1 HTTP/1.1"),
        ("A missing target", "GET HTTP/1.1"),
        ("A missing method", "/hello.txt HTTP/1.1"),
        ("A method alone", "GET"),
        ("A vertical tab for a space", "GET\x0b/hello.txt HTTP/1.1"),
        ("A form feed for a space", "GET /hello.txt\x0cHTTP/1.1"),
        ("A colon behind the method", "GET: /hello.txt HTTP/1.1"),
        ("A comma inside the method", "GE,T /hello.txt HTTP/1.1"),
        ("A brace inside the method", "GE{T /hello.txt HTTP/1.1"),
        ("A quoted method", "\"GET\" /hello.txt HTTP/1.1"),
        ("A NUL inside the method", "GE\0T /hello.txt HTTP/1.1"),
        ("A NUL inside the target", "GET /hello\0.txt HTTP/1.1"),
        ("A control byte inside the target", "GET /hello\x01.txt HTTP/1.1"),
        ("A DEL inside the target", "GET /hello\x7f.txt HTTP/1.1"),
        ("A tab inside the target", "GET /hello\t.txt HTTP/1.1"),
        ("A bare CR inside the target", "GET /hello\r.txt HTTP/1.1"),
        ("A bare CR for a line's end", "GET /hello.txt HTTP/1.1\rHost: $host"),
        ("A line end with two CRs", "GET /hello.txt HTTP/1.1\r"),
        ("A NUL behind the version", "GET /hello.txt HTTP/1.1\0"),
        ("A status line", "HTTP/1.1 200 OK"),
        ("A byte-order mark", "\u{feff}GET /hello.txt HTTP/1.1"),
    ] {
        cases.push(case(format!("{what} makes no request line"), LINE, line(bad), is(400)).closes());
    }
    cases.push(
        case(
            "A CR in place of each line end is told, though no line ends",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\rHost: $host\r\r",
            is(400),
        )
        .closes(),
    );
    for (what, bad) in [
        ("A fragment", &b"GET /hello.txt#part HTTP/1.1"[..]),
        ("A fragment behind a query", b"GET /hello.txt?a#part HTTP/1.1"),
        ("Raw UTF-8", "GET /grüße.html HTTP/1.1".as_bytes()),
        ("A raw byte of no encoding", b"GET /\xff HTTP/1.1"),
        ("Raw UTF-8 in a query", "GET /hello.txt?ü HTTP/1.1".as_bytes()),
    ] {
        cases.push(case(format!("{what} does not belong into a target"), TARGET, line(bad), is(400)).keeps_word());
    }
    for (what, raw) in
        [("A quote", "\""), ("An angle", "<b>"), ("A brace", "{a}"), ("A bar", "|"), ("A caret", "^"), ("A grave", "`")]
    {
        let request = get(&format!("/{raw}"));
        cases.push(
            case(format!("{what} raw in a path finds nothing, or is refused"), TARGET, request, any(&[404, 400]))
                .keeps_word(),
        );
    }
    for (what, version) in [
        ("in lower case", "http/1.1"),
        ("in mixed case", "Http/1.1"),
        ("without a minor", "HTTP/1"),
        ("with an empty minor", "HTTP/1."),
        ("with an empty major", "HTTP/.1"),
        ("with a two-digit minor", "HTTP/1.10"),
        ("with a two-digit major", "HTTP/11.1"),
        ("with a leading zero", "HTTP/01.1"),
        ("with a comma", "HTTP/1,1"),
        ("with a third part", "HTTP/1.1.1"),
        ("without a slash", "HTTP1.1"),
        ("with a space", "HTTP/ 1.1"),
        ("with letters", "HTTP/x.y"),
        ("with a sign", "HTTP/+1.1"),
        ("with a letter behind", "HTTP/1.1a"),
        ("of another protocol", "HTTPS/1.1"),
        ("of yet another protocol", "ICAP/1.0"),
        ("that is empty", ""),
    ] {
        let request = line(format!("GET /hello.txt {version}"));
        cases.push(case(format!("A version {what} is malformed"), VERSION, request, is(400)).closes());
    }
    for (what, request) in [
        ("A bare LF behind the request line", "GET /hello.txt HTTP/1.1\nHost: $host\r\n\r\n"),
        ("Bare LFs all through", "GET /hello.txt HTTP/1.1\nHost: $host\n\n"),
        ("A bare LF before a request", "\nGET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n"),
        ("A bare CR before a request", "\rGET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n"),
        ("A line of blanks before a request", "  \r\nGET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n"),
        ("A TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n"),
        ("A word without sense", "hello\r\n\r\n"),
        ("A line of NULs", "\0\0\0\0\r\n\r\n"),
    ] {
        cases.push(case(format!("{what} is refused"), "RFC 9112 section 2.2", request, is(400)).closes());
    }
    cases
}
