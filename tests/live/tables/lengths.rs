//! Where a body ends when a number or a coding says so: Content-Length and Transfer-Encoding (RFC 9112 section 6).

use crate::case::{Case, Move, case, talk};
use crate::expect::{Expect, any, is, said, said_hi};
use crate::house::HELLO;
use crate::request::{ask, ask_with_body, say, say_old, say_raw};

const LENGTH: &str = "RFC 9110 section 8.6";
const CODING: &str = "RFC 9112 section 6.1";
const FRAMING: &str = "RFC 9112 section 6.3";

/// A message of 10 bytes under a Content-Length written in this way.
fn length(value: &str) -> Vec<u8> {
    say_raw(&[&format!("Content-Length: {value}")], "message=hi")
}

/// The same message in one chunk under a Transfer-Encoding written in this way.
fn coded(value: &str) -> Vec<u8> {
    say_raw(&[&format!("Transfer-Encoding: {value}")], ONE_CHUNK)
}

const ONE_CHUNK: &str = "a\r\nmessage=hi\r\n0\r\n\r\n";

fn refused() -> Expect {
    is(400)
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("A body of its length is read", LENGTH, length("10"), said_hi()),
        case("Blanks around a length are not part of it", LENGTH, length(" \t10 \t"), said_hi()),
        case(
            "A length of zero is a length",
            LENGTH,
            ask("GET", "/hello.txt", &["Content-Length: 0"]),
            is(200).body(HELLO),
        ),
        case("Leading zeros are digits", LENGTH, length("0000000010"), any(&[201, 400])).keeps_word(),
        case("A body may hold any bytes", LENGTH, say(&[], "message=a%0D%0A%0D%0AGET+%2F"), said("a\r\n\r\nGET /")),
        case(
            "A body that looks like a request is a body",
            LENGTH,
            say(&[], "message=GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            any(&[201, 400]),
        ),
        case(
            "A GET with a body is answered and the body is not taken for a request",
            "RFC 9110 section 9.3.1",
            ask_with_body("GET", "/hello.txt", &[], "0123456789"),
            is(200).body(HELLO),
        )
        .keeps_word(),
        case(
            "A HEAD with a body keeps its place",
            "RFC 9110 section 9.3.2",
            ask_with_body("HEAD", "/hello.txt", &[], "0123456789"),
            is(200).for_head(),
        )
        .keeps_word(),
        case(
            "A DELETE with a body keeps its place",
            "RFC 9110 section 9.3.5",
            ask_with_body("DELETE", "/hello.txt", &[], "0123456789"),
            is(405),
        )
        .keeps_word(),
        case("A POST without a length has no body", FRAMING, say_raw(&[], ""), any(&[400, 411])).keeps_word(),
        case(
            "A length too large for any file is refused unread",
            LENGTH,
            say_raw(&["Content-Length: 18446744073709551615"], ""),
            any(&[413, 400]),
        )
        .closes(),
        case(
            "A length one past 64 bits is refused",
            LENGTH,
            say_raw(&["Content-Length: 18446744073709551616"], ""),
            any(&[400, 413]),
        )
        .closes(),
        case(
            "A length of sixty digits is refused",
            LENGTH,
            say_raw(&[&format!("Content-Length: {}", "9".repeat(60))], ""),
            any(&[400, 413]),
        )
        .closes(),
        case(
            "A length past what a signed number holds is refused",
            LENGTH,
            say_raw(&["Content-Length: 9223372036854775808"], ""),
            any(&[413, 400]),
        )
        .closes(),
        case(
            "Two different lengths are refused",
            FRAMING,
            say_raw(&["Content-Length: 10", "Content-Length: 11"], "message=hi!"),
            refused(),
        )
        .closes(),
        case(
            "Two equal lengths are refused, or taken for one",
            FRAMING,
            say_raw(&["Content-Length: 10", "Content-Length: 10"], "message=hi"),
            any(&[400, 201]),
        )
        .keeps_word(),
        case("A list of equal lengths is refused, or taken for one", FRAMING, length("10, 10"), any(&[400, 201]))
            .keeps_word(),
        case("A list of different lengths is refused", FRAMING, length("10, 9"), refused()).closes(),
        case(
            "Two lengths far apart are refused",
            FRAMING,
            say_raw(&["Content-Length: 10", "X-A: b", "content-length: 5"], "message=hi"),
            refused(),
        )
        .closes(),
        case(
            "Two lengths of which one is zero are refused",
            FRAMING,
            say_raw(&["Content-Length: 0", "Content-Length: 10"], "message=hi"),
            refused(),
        )
        .closes(),
        case(
            "What follows a body is the next request",
            FRAMING,
            say_raw(&["Content-Length: 9"], "message=hi\r\n\r\n"),
            [said("h"), is(400)],
        )
        .closes(),
        talk(
            "A body cut short by the end of the connection is no body",
            "RFC 9112 section 8",
            vec![Move::Send(say_raw(&["Content-Length: 11"], "message=hi")), Move::HalfClose, Move::Hear(is(400))],
        )
        .whatever(),
        talk(
            "A request whose body is not there yet is not answered yet",
            FRAMING,
            vec![
                Move::Send(say_raw(&["Content-Length: 10"], "message=")),
                Move::Hush(std::time::Duration::from_millis(150)),
                Move::Send(b"hi".to_vec()),
                Move::Hear(said_hi()),
            ],
        ),
        // Transfer-Encoding.
        case("A chunked body is read", CODING, coded("chunked"), said_hi()),
        case("The coding's name has no case", CODING, coded("ChUnKeD"), said_hi()),
        case("Blanks around the coding are not part of it", CODING, coded(" \tchunked \t"), said_hi()),
        case("The field's name has no case", CODING, say_raw(&["tRANSFER-eNCODING: chunked"], ONE_CHUNK), said_hi()),
        case(
            "A chunked GET is answered and its body is not taken for a request",
            CODING,
            [ask("GET", "/hello.txt", &["Transfer-Encoding: chunked"]).as_slice(), b"5\r\nhello\r\n0\r\n\r\n"].concat(),
            is(200).body(HELLO),
        )
        .keeps_word(),
        case(
            "A length and a coding together are refused",
            FRAMING,
            say_raw(&["Content-Length: 20", "Transfer-Encoding: chunked"], ONE_CHUNK),
            refused(),
        )
        .closes(),
        case(
            "A coding and a length together are refused",
            FRAMING,
            say_raw(&["Transfer-Encoding: chunked", "Content-Length: 20"], ONE_CHUNK),
            refused(),
        )
        .closes(),
        case(
            "A coding and a length of zero are refused",
            FRAMING,
            say_raw(&["Transfer-Encoding: chunked", "Content-Length: 0"], ONE_CHUNK),
            refused(),
        )
        .closes(),
        case(
            "A coding and an empty length are refused",
            FRAMING,
            say_raw(&["Transfer-Encoding: chunked", "Content-Length:"], ONE_CHUNK),
            refused(),
        )
        .closes(),
        case("A coding in HTTP/1.0 is refused", CODING, say_old(&["Transfer-Encoding: chunked"], ONE_CHUNK), refused())
            .closes(),
        case(
            "A coding and a length in HTTP/1.0 are refused",
            CODING,
            say_old(&["Content-Length: 20", "Transfer-Encoding: chunked"], ONE_CHUNK),
            refused(),
        )
        .closes(),
        case(
            "A coding on a GET in HTTP/1.0 is refused",
            CODING,
            "GET /hello.txt HTTP/1.0\r\nHost: $host\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            refused(),
        )
        .closes(),
        case(
            "An empty coding beside a length is refused",
            FRAMING,
            say_raw(&["Transfer-Encoding:", "Content-Length: 10"], "message=hi"),
            any(&[400, 501]),
        )
        .closes(),
        case(
            "An unknown coding beside a length is refused",
            FRAMING,
            say_raw(&["Transfer-Encoding: xchunked", "Content-Length: 10"], "message=hi"),
            any(&[400, 501]),
        )
        .closes(),
        case(
            "A field of almost that name is an unknown field",
            "RFC 9110 section 5.1",
            say_raw(&["Transfer_Encoding: chunked", "Content-Length: 10"], "message=hi"),
            said_hi(),
        ),
        case(
            "A field of almost the length's name is an unknown field",
            "RFC 9110 section 5.1",
            say_raw(&["Content_Length: 99", "Content-Length: 10"], "message=hi"),
            said_hi(),
        ),
        case(
            "TE is no coding of this message",
            "RFC 9110 section 10.1.4",
            say(&["TE: trailers, chunked"], "message=hi"),
            said_hi(),
        ),
        case(
            "Trailer announces, and binds nobody",
            "RFC 9110 section 6.6.2",
            say(&["Trailer: X-Sum"], "message=hi"),
            said_hi(),
        ),
        case(
            "A content coding we do not undo is refused",
            "RFC 9110 section 8.4",
            say(&["Content-Encoding: gzip"], "message=hi"),
            is(415),
        )
        .keeps_word(),
        case(
            "Content-Range on a POST does no harm",
            "RFC 9110 section 14.4",
            say(&["Content-Range: bytes 0-9/10"], "message=hi"),
            any(&[201, 400]),
        )
        .keeps_word(),
    ];
    for value in [
        "+10", "-10", "10 10", "0x0a", "10.0", "1e1", "1_0", "10a", "a", "", "10;", "10,", ",10", "\"10\"", "'10'",
        "10\0", "10\x0b", "\x0c10", "１０", "10 bytes", "- 10", "true", "0a", "010x", "10/10", "10\r",
    ] {
        let name = format!("The length {:?} is no number", value);
        cases.push(case(name, LENGTH, length(value), refused()).closes());
    }
    for value in [
        "gzip",
        "deflate",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, identity",
        "identity, chunked",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        "chunk",
        "chunked chunked",
        "x chunked",
        "chun\u{212a}ed",
        "",
        ";chunked",
        "chunked/1",
        "compress, gzip, chunked",
        "*",
    ] {
        let name = format!("The coding {value:?} is not one we undo");
        cases.push(case(name, "RFC 9112 section 7", coded(value), any(&[400, 501])).closes());
    }
    for value in ["chunked\0", "\x0bchunked", "chunked\x0c", "chun\0ked", "chunked\r", "\rchunked", "\nchunked"] {
        let name = format!("The coding {value:?} is refused for its bytes");
        cases.push(case(name, CODING, coded(value), refused()).closes());
    }
    for value in ["chunked,", ",chunked", " , chunked ,", ",", "gzip,,chunked"] {
        let name = format!("The list {value:?} is one coding to some and two to others");
        cases.push(case(name, "RFC 9112 section 6.1", coded(value), refused()).closes());
    }
    for (what, fields) in [
        ("Chunked twice in two lines", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        ("Chunked behind another coding in two lines", ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"]),
        ("Another coding behind chunked in two lines", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]),
        ("An unknown coding in a second line", ["Transfer-Encoding: chunked", "transfer-encoding: x"]),
        ("An empty coding in a first line", ["Transfer-Encoding:", "Transfer-Encoding: gzip"]),
    ] {
        cases.push(case(format!("{what} is refused"), CODING, say_raw(&fields, ONE_CHUNK), any(&[400, 501])).closes());
    }
    cases
}
