//! The inside of a chunked body: sizes, extensions, line ends, trailers (RFC 9112 section 7.1).

use crate::case::{Case, Move, case, talk};
use crate::expect::{any, is, said, said_hi};
use crate::request::{SAY_HI, say_chunked};

const CHUNK: &str = "RFC 9112 section 7.1";
const EXTENSION: &str = "RFC 9112 section 7.1.1";
const TRAILER: &str = "RFC 9112 section 7.1.2";

/// The message in one chunk whose size line is `size`, and the end.
fn size(size: impl AsRef<[u8]>) -> Vec<u8> {
    say_chunked([size.as_ref(), b"\r\nmessage=hi\r\n0\r\n\r\n"].concat())
}

/// The message in one chunk, and then `rest` in place of the last chunk.
fn end(rest: impl AsRef<[u8]>) -> Vec<u8> {
    say_chunked([b"a\r\nmessage=hi\r\n", rest.as_ref()].concat())
}

/// The message in one chunk, the last chunk, these trailer lines, and the end.
fn trailers(lines: impl AsRef<[u8]>) -> Vec<u8> {
    end([b"0\r\n", lines.as_ref(), b"\r\n\r\n"].concat())
}

pub fn cases() -> Vec<Case> {
    let one_by_one: String = SAY_HI.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    let mut cases = vec![
        case("One chunk is a body", CHUNK, size("A"), said_hi()),
        case(
            "Chunks are put together in order",
            CHUNK,
            say_chunked("8\r\nmessage=\r\n2\r\nhi\r\n0\r\n\r\n"),
            said_hi(),
        ),
        case("Chunks of one byte are chunks", CHUNK, say_chunked(one_by_one + "0\r\n\r\n"), said_hi()),
        case("A chunk may hold CR and LF", CHUNK, say_chunked("c\r\nmessage=h\r\ni\r\n0\r\n\r\n"), any(&[201, 400]))
            .keeps_word(),
        case(
            "A chunk may hold what looks like the end",
            CHUNK,
            say_chunked("d\r\nmessage=0\r\n\r\n\r\n0\r\n\r\n"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case("A body of no chunk is an empty body", CHUNK, say_chunked("0\r\n\r\n"), is(400)).keeps_word(),
        case(
            "Sizes may be in lower case",
            CHUNK,
            say_chunked("1e\r\nmessage=0123456789012345678901\r\n0\r\n\r\n"),
            said("0123456789012345678901"),
        ),
        case(
            "Sizes may be in upper case",
            CHUNK,
            say_chunked("1E\r\nmessage=0123456789012345678901\r\n0\r\n\r\n"),
            said("0123456789012345678901"),
        ),
        case("A size may have a leading zero", CHUNK, size("0a"), said_hi()),
        case("A size may have sixteen digits", CHUNK, size("000000000000000a"), said_hi()),
        case("A size of seventeen digits is refused", CHUNK, size("0000000000000000a"), is(400)).closes(),
        case("A size of a hundred zeros and a digit is refused", CHUNK, size(format!("{}a", "0".repeat(100))), is(400))
            .closes(),
        case("A size line without an end is cut", CHUNK, say_chunked("0".repeat(100_000)), any(&[400, 413, 431]))
            .closes(),
        case("The largest size of 64 bits is refused", CHUNK, size("ffffffffffffffff"), any(&[413, 400])).closes(),
        case("The largest signed size is refused", CHUNK, size("7fffffffffffffff"), any(&[413, 400])).closes(),
        case(
            "Sizes whose sum wraps around are refused",
            CHUNK,
            say_chunked("a\r\nmessage=hi\r\nfffffffffffffff6\r\nx"),
            any(&[413, 400]),
        )
        .closes(),
        case(
            "A size beyond the limit is refused before its bytes",
            "RFC 9110 section 15.5.14",
            say_chunked("100000\r\n"),
            is(413),
        )
        .closes(),
        case("The last chunk may have several zeros", CHUNK, end("000\r\n\r\n"), said_hi()),
        // Extensions are read past.
        case("A word may follow a size", EXTENSION, size("a;last"), said_hi()),
        case("A word and a value may follow a size", EXTENSION, size("a;name=value"), said_hi()),
        case("A quoted value may follow a size", EXTENSION, size("a;name=\"a value; of sorts\""), said_hi()),
        case("Several words may follow a size", EXTENSION, size("a;one;two=2;three=\"3\""), said_hi()),
        case("A word may follow the last size", EXTENSION, end("0;done\r\n\r\n"), said_hi()),
        case("Blanks before a semicolon are bad, and are borne", EXTENSION, size("a ;name=value"), said_hi()),
        case("Blanks around all of an extension are borne", EXTENSION, size("a\t ; name = value"), said_hi()),
        case("A size behind blanks is refused", EXTENSION, size("a a;name"), is(400)).closes(),
        case("Ever so many blanks are cut", EXTENSION, size(format!("a{};b", " ".repeat(1_000))), is(400)).closes(),
        case("A semicolon alone is bad, and may be taken", EXTENSION, size("a;"), any(&[400, 201])).keeps_word(),
        case(
            "A quoted value without its end is bad, and may be read past",
            EXTENSION,
            size("a;name=\"value"),
            any(&[400, 201]),
        )
        .keeps_word(),
        case(
            "A long word is taken, or is too much",
            EXTENSION,
            size(format!("a;{}", "x".repeat(1_000))),
            any(&[400, 201, 413, 431]),
        )
        .keeps_word(),
        case(
            "A word without an end is cut",
            EXTENSION,
            size(format!("a;{}", "x".repeat(100_000))),
            any(&[400, 413, 431]),
        )
        .closes(),
        case(
            "Small words behind ever so many small chunks are cut, or read past",
            EXTENSION,
            say_chunked(format!(
                "a\r\nmessage=hi\r\n{}0\r\n\r\n",
                format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(300)
            )),
            any(&[400, 413, 431, 201]),
        )
        .keeps_word(),
        // Trailers are held to the rules of fields, and let go.
        case("A trailer is a field behind the body", TRAILER, trailers("X-Sum: 42"), said_hi()),
        case("Several trailers are read past", TRAILER, trailers("X-A: b\r\nX-C: d\r\nX-E:"), said_hi()),
        case(
            "A trailer that names the length changes nothing, or is refused",
            "RFC 9110 section 6.5.1",
            trailers("Content-Length: 5"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A trailer that names a coding changes nothing, or is refused",
            "RFC 9110 section 6.5.1",
            trailers("Transfer-Encoding: gzip"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A trailer that names another host changes nothing, or is refused",
            "RFC 9110 section 6.5.1",
            trailers("Host: evil.test"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A trailer that asks for a close changes nothing, or is refused",
            "RFC 9110 section 6.5.1",
            trailers("Connection: close"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A trailer with credentials changes nothing, or is refused",
            "RFC 9110 section 6.5.1",
            trailers("Authorization: Bearer wrong"),
            any(&[201, 400]),
        )
        .keeps_word(),
        case(
            "A hundred trailers pass",
            "RFC 9112 section 7.1.2",
            trailers(vec!["X-T: v"; 100].join("\r\n")),
            said_hi(),
        ),
        case(
            "A hundred and one trailers are too many",
            "RFC 6585 section 5",
            trailers(vec!["X-T: v"; 101].join("\r\n")),
            is(431).code("headers_too_large"),
        )
        .closes(),
        case(
            "Two hundred trailers are too many",
            "RFC 6585 section 5",
            trailers(vec!["X-T: v"; 200].join("\r\n")),
            is(431).code("headers_too_large"),
        )
        .closes(),
        case(
            "Trailers over 16 KiB are too large",
            "RFC 6585 section 5",
            trailers(format!("X-Long: {}", "v".repeat(17_000))),
            is(431).code("headers_too_large"),
        )
        .closes(),
        case(
            "A trailer without an end is cut",
            "RFC 6585 section 5",
            end(format!("0\r\nX-Endless: {}", "v".repeat(40_000))),
            is(431).code("headers_too_large"),
        )
        .closes(),
        // Not whole.
        talk(
            "A chunked body without its last line end is not answered",
            CHUNK,
            vec![
                Move::Send(end("0\r\n")),
                Move::Hush(std::time::Duration::from_millis(150)),
                Move::Send(b"\r\n".to_vec()),
                Move::Hear(said_hi()),
            ],
        ),
        talk(
            "A chunked body cut short by the end of the connection is no body",
            "RFC 9112 section 8",
            vec![Move::Send(end("")), Move::HalfClose, Move::Hear(is(400))],
        )
        .whatever(),
        talk(
            "A chunk cut short by the end of the connection is no chunk",
            "RFC 9112 section 8",
            vec![Move::Send(say_chunked("a\r\nmess")), Move::HalfClose, Move::Hear(is(400))],
        )
        .whatever(),
    ];
    for (what, line) in [
        ("that is empty", &b""[..]),
        ("that is a blank", b" "),
        ("with a blank before it", b" a"),
        ("with a blank behind it", b"a "),
        ("with a tab behind it", b"a\t"),
        ("with a blank inside", b"0 a"),
        ("with a plus", b"+a"),
        ("with a minus", b"-a"),
        ("below zero", b"-1"),
        ("with 0x", b"0xa"),
        ("with an h", b"ah"),
        ("that is no number", b"xyz"),
        ("with a point", b"a.0"),
        ("with an underscore", b"0_a"),
        ("in quotes", b"\"a\""),
        ("with a comma", b"a,b"),
        ("with a NUL", b"a\0"),
        ("with a vertical tab", b"a\x0b"),
        ("with a bare CR", b"a\r"),
        ("with a byte above ASCII", b"a\xa0"),
        ("in wide digits", "１０".as_bytes()),
        ("that is only a semicolon", b";a"),
    ] {
        cases.push(case(format!("A size {what} is refused"), CHUNK, size(line), is(400)).closes());
    }
    for (what, line) in [
        ("an LF", &b"a;x\ny"[..]),
        ("an LF in quotes", b"a;x=\"\n\""),
        ("a bare CR", b"a;x\ry"),
        ("a bare CR in quotes", b"a;x=\"\r\""),
        ("a NUL", b"a;x\0y"),
        ("a control byte", b"a;x\x01y"),
        ("a DEL", b"a;x\x7fy"),
        ("an LF at its end", b"a;x\n"),
        ("an LF and a second size", b"a;\n2"),
    ] {
        cases.push(case(format!("An extension with {what} is refused"), EXTENSION, size(line), is(400)).closes());
    }
    for (what, body) in [
        ("A bare LF behind a size", "a\nmessage=hi\r\n0\r\n\r\n"),
        ("A bare CR behind a size", "a\rmessage=hi\r\n0\r\n\r\n"),
        ("A bare LF behind a chunk", "a\r\nmessage=hi\n0\r\n\r\n"),
        ("A bare CR behind a chunk", "a\r\nmessage=hi\r0\r\n\r\n"),
        ("Nothing behind a chunk", "a\r\nmessage=hi0\r\n\r\n"),
        ("A chunk longer than its size", "9\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A chunk shorter than its size", "b\r\nmessage=hi\r\n0\r\n\r\n"),
        ("Two line ends behind a chunk", "a\r\nmessage=hi\r\n\r\n0\r\n\r\n"),
        ("LF CR behind a chunk", "a\r\nmessage=hi\n\r0\r\n\r\n"),
        ("Two letters for a line end", "a\r\nmessage=hiXX0\r\n\r\n"),
        ("A line end before the first size", "\r\na\r\nmessage=hi\r\n0\r\n\r\n"),
        ("A bare LF behind the last size", "a\r\nmessage=hi\r\n0\n\r\n"),
        ("A bare LF for the last line", "a\r\nmessage=hi\r\n0\r\n\n"),
        ("Bare LFs all through", "a\nmessage=hi\n0\n\n"),
        ("A bare CR behind the last size", "a\r\nmessage=hi\r\n0\r\r\n\r\n"),
        ("No coding at all", "message=hi\r\n"),
    ] {
        cases.push(case(format!("{what} is refused in a chunked body"), CHUNK, say_chunked(body), is(400)).closes());
    }
    for (what, lines) in [
        ("without a colon", &b"X-Sum"[..]),
        ("with an empty name", b": 42"),
        ("with a blank before its colon", b"X-Sum : 42"),
        ("with a blank before its name", b" X-Sum: 42"),
        ("with a folded line", b"X-Sum: 4\r\n 2"),
        ("with a bare LF", b"X-A: b\nX-C: d"),
        ("with a bare CR", b"X-A: b\rX-C: d"),
        ("with a NUL", b"X-A: \0"),
        ("with a name that is no token", b"X(A): b"),
        ("that is a request", b"GET /hello.txt HTTP/1.1"),
    ] {
        cases.push(case(format!("A trailer {what} is refused"), TRAILER, trailers(lines), is(400)).closes());
    }
    cases
}
