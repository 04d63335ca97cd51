//! Header fields: their grammar, their number and their size (RFC 9112 section 5, RFC 9110 section 5).

use crate::case::{Case, case};
use crate::expect::{any, is};
use crate::house::HELLO;
use crate::request::get_with;

const SYNTAX: &str = "RFC 9112 section 5.1";
const VALUE: &str = "RFC 9110 section 5.5";
const LIMIT: &str = "RFC 6585 section 5";

/// A request with one more line, put behind its Host as it stands, and its end.
fn with(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /hello.txt HTTP/1.1\r\nHost: $host\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

/// A request with `count` header fields, Host among them.
fn with_fields(count: usize) -> Vec<u8> {
    let fields: Vec<_> = (1..count).map(|number| format!("X-{number}: {number}")).collect();
    get_with("/hello.txt", &fields.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn cases() -> Vec<Case> {
    let ok = || is(200).body(HELLO);
    let mut cases = vec![
        case("Names have no case", "RFC 9110 section 5.1", "GET /hello.txt HTTP/1.1\r\nhOsT: $host\r\n\r\n", ok()),
        case("No space is needed behind the colon", SYNTAX, "GET /hello.txt HTTP/1.1\r\nHost:$host\r\n\r\n", ok()),
        case(
            "Blanks around a value are not part of it",
            "RFC 9112 section 5",
            "GET /hello.txt HTTP/1.1\r\nHost: \t $host \t \r\n\r\n",
            ok(),
        ),
        case("A value may be empty", VALUE, with("X-Empty:"), ok()),
        case("A value of blanks only is empty", VALUE, with("X-Blank:   \t "), ok()),
        case("A value may hold a tab", VALUE, with("X-Tab: a\tb"), ok()),
        case("A value may hold colons and commas", VALUE, with("X-Marks: a:b,c;d=\"e\""), ok()),
        case("A value may hold bytes above ASCII", VALUE, with(b"X-Old: \xe9\xff"), ok()),
        case("A value may hold UTF-8", VALUE, with("X-New: grüße"), ok()),
        case("A name may hold every mark of a token", "RFC 9110 section 5.6.2", with("!#$%&'*+-.^_`|~09azAZ: a"), ok()),
        case("An unknown field is passed over", "RFC 9110 section 5.1", with("Whatever: it may be"), ok()),
        case(
            "A field may come twice when its kind is unknown",
            "RFC 9110 section 5.3",
            with("X-Twice: a\r\nX-Twice: b"),
            ok(),
        ),
        case("A name of one letter is a name", SYNTAX, with("X: a"), ok()),
        case("A name of 1,000 letters is a name", SYNTAX, with(format!("{}: a", "N".repeat(1_000))), any(&[200, 431]))
            .keeps_word(),
        // Number and size.
        case("A hundred fields pass", LIMIT, with_fields(100), ok()),
        case("A hundred and one fields are too many", LIMIT, with_fields(101), is(431)).closes(),
        case("A thousand fields are too many", LIMIT, with_fields(1_000), is(431)).closes(),
        case("A value of 15,000 bytes passes", LIMIT, with(format!("X-Long: {}", "v".repeat(15_000))), ok()),
        case("A value over 16 KiB is too large", LIMIT, with(format!("X-Long: {}", "v".repeat(16_400))), is(431))
            .closes(),
        case(
            "Many values over 16 KiB in all are too large",
            LIMIT,
            with(vec![format!("X-Many: {}", "v".repeat(490)); 40].join("\r\n")),
            is(431),
        )
        .closes(),
        case(
            "A value without an end is cut at the limit",
            LIMIT,
            format!("GET / HTTP/1.1\r\nHost: $host\r\nX-Endless: {}", "v".repeat(30_000)),
            is(431),
        )
        .closes(),
        case(
            "A name without an end is cut at the limit",
            LIMIT,
            format!("GET / HTTP/1.1\r\nHost: $host\r\n{}", "N".repeat(30_000)),
            any(&[431, 400]),
        )
        .closes(),
        case(
            "A long target and 7,000 bytes of fields pass together",
            LIMIT,
            [
                format!("GET /hello.txt?{}", "q".repeat(7_900)).as_bytes(),
                b" HTTP/1.1\r\nHost: $host\r\nX-Long: ",
                "v".repeat(7_000).as_bytes(),
                b"\r\n\r\n",
            ]
            .concat(),
            ok(),
        ),
        // Ends of lines and of heads.
        case(
            "A head that ends with a bare LF is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\n\n",
            is(400),
        )
        .closes(),
        case(
            "A head whose last field ends with a bare LF is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A head whose end is LF CR LF is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\nX-A: b\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A head that ends with CR CR LF is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\r\n",
            is(400),
        )
        .closes(),
        case(
            "A first field that begins with a blank is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\n Host: $host\r\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A first line that is blank is refused",
            "RFC 9112 section 2.2",
            "GET /hello.txt HTTP/1.1\r\n \r\nHost: $host\r\n\r\n",
            is(400),
        )
        .closes(),
        case(
            "A request line without fields lacks its Host",
            "RFC 9112 section 3.2",
            "GET /hello.txt HTTP/1.1\r\n\r\n",
            is(400),
        )
        .keeps_word(),
    ];
    for (what, line) in [
        ("A blank before the colon", &b"X-A : b"[..]),
        ("A tab before the colon", b"X-A\t: b"),
        ("A blank inside the name", b"X A: b"),
        ("A blank before the name", b" X-A: b"),
        ("A folded line", b"X-A: b\r\n c"),
        ("A line folded by a tab", b"X-A: b\r\n\tc"),
        ("A folded line that looks like a field", b"X-A: b\r\n X-B: c"),
        ("A folded line that is empty", b"X-A: b\r\n "),
        ("An empty name", b": b"),
        ("A missing colon", b"X-A"),
        ("A line that is one blank and a colon", b" : b"),
        ("A bare LF between fields", b"X-A: b\nX-B: c"),
        ("A bare CR between fields", b"X-A: b\rX-B: c"),
        ("A bare CR at a value's end", b"X-A: b\r"),
        ("A bare CR at a value's start", b"X-A: \rb"),
        ("A NUL inside a value", b"X-A: b\0c"),
        ("A NUL inside a name", b"X\0A: b"),
        ("A NUL at a value's end", b"X-A: b\0"),
        ("A bell inside a value", b"X-A: b\x07c"),
        ("An escape byte inside a value", b"X-A: b\x1b[31m"),
        ("A vertical tab inside a value", b"X-A: b\x0bc"),
        ("A form feed inside a value", b"X-A: \x0cb"),
        ("A DEL inside a value", b"X-A: b\x7fc"),
        ("A DEL inside a name", b"X\x7fA: b"),
        ("A byte above ASCII inside a name", b"X\xe9: b"),
        ("UTF-8 inside a name", "Grüße: b".as_bytes()),
        ("A request line among the fields", b"GET /page.html HTTP/1.1"),
        ("A bare CR before the blank line", b"X-A: b\r\n\r"),
    ] {
        cases.push(case(format!("{what} is refused"), SYNTAX, with(line), is(400)).closes());
    }
    for mark in ["(", ")", "<", ">", "@", ",", ";", "\\", "\"", "/", "[", "]", "?", "=", "{", "}"] {
        let row = case(
            format!("A name with {mark} is no token"),
            "RFC 9110 section 5.6.2",
            with(format!("X{mark}A: b")),
            is(400),
        );
        cases.push(row.closes());
    }
    cases
}
