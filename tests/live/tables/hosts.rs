//! Whom a request is meant for: Host, the target's authority, and the list of names that may be used (RFC 9112 section
//! 3.2; API.md section 1, point 2).

use std::fs;

use crate::case::{Case, case};
use crate::expect::{Expect, any, is};
use crate::house::HELLO;

const HOST: &str = "RFC 9112 section 3.2";
const LIST: &str = "RFC 9110 section 7.4";
const ABSOLUTE: &str = "RFC 9112 section 3.2.2";

/// A request for a file with exactly these fields.
fn fields(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /hello.txt HTTP/1.1\r\n", fields.as_ref(), b"\r\n\r\n"].concat()
}

fn host(value: impl AsRef<[u8]>) -> Vec<u8> {
    fields([b"Host: ", value.as_ref()].concat())
}

fn ok() -> Expect {
    is(200).body(HELLO)
}

fn forbidden() -> Expect {
    is(403).code("host_forbidden")
}

fn passes(value: &str) -> Case {
    case(format!("The host {value} is on the list"), LIST, host(value), ok())
}

fn refused(value: &str) -> Case {
    case(format!("The host {value} is not on the list"), LIST, host(value), forbidden()).keeps_word()
}

fn malformed(value: &str) -> Case {
    case(format!("The host {value:?} is malformed"), HOST, host(value), is(400)).keeps_word()
}

/// Of a server on loopback with nothing allowed by name.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("A request of HTTP/1.1 without Host is refused", HOST, fields("X-A: b"), is(400)).keeps_word(),
        case("A request of HTTP/1.0 without Host is served", HOST, "GET /hello.txt HTTP/1.0\r\n\r\n", ok()).closes(),
        case(
            "A request of HTTP/1.0 with a good Host is served",
            HOST,
            "GET /hello.txt HTTP/1.0\r\nHost: 127.0.0.1:$port\r\n\r\n",
            ok(),
        )
        .closes(),
        case(
            "A request of HTTP/1.0 for another host is refused",
            LIST,
            "GET /hello.txt HTTP/1.0\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .closes(),
        case("Host twice with two values is refused", HOST, fields("Host: $host\r\nHost: evil.test"), is(400))
            .keeps_word(),
        case("Host twice with one value is refused", HOST, fields("Host: $host\r\nHost: $host"), is(400)).keeps_word(),
        case("Host twice in two cases is refused", HOST, fields("Host: $host\r\nhost: $host"), is(400)).keeps_word(),
        case(
            "Host twice far apart is refused",
            HOST,
            fields("Host: $host\r\nX-A: b\r\nX-B: c\r\nHost: $host"),
            is(400),
        )
        .keeps_word(),
        case(
            "Host twice in HTTP/1.0 is refused",
            HOST,
            "GET /hello.txt HTTP/1.0\r\nHost: $host\r\nHost: evil.test\r\n\r\n",
            is(400),
        )
        .closes(),
        case("Two hosts in one field are refused", HOST, host("$host, evil.test"), is(400)).keeps_word(),
        case("An empty Host names nobody here", HOST, host(""), any(&[400, 403])).keeps_word(),
        case(
            "An empty port is the default port, which is not ours",
            "RFC 9110 section 4.2.3",
            host("localhost:"),
            any(&[403, 400]),
        )
        .keeps_word(),
        case("A port too large for a port is refused", HOST, host("localhost:99999"), any(&[400, 403])).keeps_word(),
        case(
            "A port too large for any number is refused",
            HOST,
            host("localhost:99999999999999999999"),
            any(&[400, 403]),
        )
        .keeps_word(),
        case("An escape in a host is not decoded for the list", LIST, host("local%68ost:$port"), any(&[403, 400]))
            .keeps_word(),
        case("UTF-8 in a host is refused", HOST, host("bücher.test:$port"), any(&[400, 403])).keeps_word(),
        case(
            "The long form of ::1 is the same address or not on the list",
            LIST,
            host("[0:0:0:0:0:0:0:1]:$port"),
            any(&[403, 200]),
        )
        .keeps_word(),
        case(
            "A leading zero in the port is not our port, or is",
            LIST,
            host("localhost:0$port"),
            any(&[403, 400, 200]),
        )
        .keeps_word(),
        // The authority of an absolute form.
        case(
            "An absolute form's authority is what counts, though Host is another",
            ABSOLUTE,
            "GET http://$host/hello.txt HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            ok(),
        ),
        case(
            "An absolute form for another host is refused, though Host is ours",
            ABSOLUTE,
            "GET http://evil.test/hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "An absolute form does not make up for a missing Host",
            HOST,
            "GET http://$host/hello.txt HTTP/1.1\r\n\r\n",
            is(400),
        )
        .keeps_word(),
        case(
            "An absolute form does not make up for a repeated Host",
            HOST,
            "GET http://$host/hello.txt HTTP/1.1\r\nHost: $host\r\nHost: $host\r\n\r\n",
            is(400),
        )
        .keeps_word(),
        case(
            "An absolute form does not make up for a malformed Host",
            HOST,
            "GET http://$host/hello.txt HTTP/1.1\r\nHost: a b\r\n\r\n",
            is(400),
        )
        .keeps_word(),
        case(
            "An absolute form in HTTP/1.0 needs no Host",
            ABSOLUTE,
            "GET http://$host/hello.txt HTTP/1.0\r\n\r\n",
            ok(),
        )
        .closes(),
        case(
            "An absolute form in HTTP/1.0 for another host is refused",
            ABSOLUTE,
            "GET http://evil.test/hello.txt HTTP/1.0\r\n\r\n",
            forbidden(),
        )
        .closes(),
        case(
            "An absolute form without our port is not ours",
            ABSOLUTE,
            "GET http://localhost/hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "An absolute form with a malformed authority is refused",
            ABSOLUTE,
            "GET http://localhost:port/hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n",
            is(400),
        )
        .keeps_word(),
        // What else might name a host.
        case(
            "X-Forwarded-Host does no harm to a good Host",
            LIST,
            fields("Host: $host\r\nX-Forwarded-Host: evil.test"),
            ok(),
        ),
        case(
            "X-Forwarded-Host does not help a bad Host",
            LIST,
            fields("Host: evil.test\r\nX-Forwarded-Host: $host"),
            forbidden(),
        )
        .keeps_word(),
        case(
            "Forwarded does not help a bad Host",
            "RFC 7239 section 5.3",
            fields("Host: evil.test\r\nForwarded: host=\"$host\""),
            forbidden(),
        )
        .keeps_word(),
        case(
            "X-Original-Host does not help a bad Host",
            LIST,
            fields("Host: evil.test\r\nX-Original-Host: $host\r\nX-Host: $host"),
            forbidden(),
        )
        .keeps_word(),
        // The order of API.md section 1: Host before path before all else.
        case(
            "A bad host is told before a bad path",
            LIST,
            "GET /../x HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "A bad host is told before an encoded slash",
            LIST,
            "GET /a%2fb HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case("A missing host is told before a bad path", HOST, "GET /../x HTTP/1.1\r\nX-A: b\r\n\r\n", is(400))
            .keeps_word(),
        case(
            "A bad host is told before a missing file",
            LIST,
            "GET /nothing HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "A bad host is told before a wrong method",
            LIST,
            "DELETE /hello.txt HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "A bad host is told before or instead of an unknown method",
            LIST,
            "BREW / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            any(&[403, 501]),
        )
        .keeps_word(),
        case(
            "A bad host is told on OPTIONS of the server too",
            LIST,
            "OPTIONS * HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "A bad host is told before a foreign origin",
            LIST,
            "POST /send HTTP/1.1\r\nHost: evil.test\r\nOrigin: http://evil.test\r\nContent-Length: 0\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
        case(
            "A bad host is told a HEAD without a body",
            LIST,
            "HEAD /hello.txt HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            is(403).for_head(),
        )
        .keeps_word(),
        case(
            "A bad host finds no health page either",
            LIST,
            "GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            forbidden(),
        )
        .keeps_word(),
    ];
    cases.extend(
        ["localhost:$port", "127.0.0.1:$port", "[::1]:$port", "LOCALHOST:$port", "LocalHost:$port", "localhost.:$port"]
            .map(passes),
    );
    cases.extend(
        [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "localhost:1",
            "localhost:80",
            "127.0.0.1:1",
            "evil.test",
            "evil.test:$port",
            "localhost.evil.test:$port",
            "evil.localhost:$port",
            "127.0.0.1.evil.test:$port",
            "localhost..:$port",
            "notlocalhost:$port",
            "127.0.0.2:$port",
            "127.1:$port",
            "2130706433:$port",
            "0x7f000001:$port",
            "0.0.0.0:$port",
            "[::]:$port",
            "[::ffff:127.0.0.1]:$port",
            "192.0.2.1:$port",
            "[2001:db8::1]:$port",
            "*",
            "*:$port",
            "localhos:$port",
        ]
        .map(refused),
    );
    cases.extend(
        [
            "local host:$port",
            "localhost:port",
            "localhost:-1",
            "localhost:+$port",
            "localhost:$port:1",
            "localhost:8 0",
            "me@localhost:$port",
            "me:pw@localhost:$port",
            "http://localhost:$port",
            "localhost:$port/",
            "localhost:$port/path",
            "localhost:$port?a",
            "localhost:$port#a",
            "[::1",
            "::1",
            "[::1]x:$port",
            "[localhost]:$port",
            "[]:$port",
            ":$port",
            "localhost\\:$port",
            "\"localhost:$port\"",
            "<localhost>:$port",
            "localhost;:$port:",
            "local%zzhost:$port",
        ]
        .map(malformed),
    );
    cases
}

/// Of a server with `--allow-host example.test --allow-host other.test:8443`.
pub fn allowed_by_name() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(
        [
            "example.test",
            "example.test:1234",
            "EXAMPLE.test",
            "example.test.",
            "example.test.:80",
            "other.test:8443",
            "OTHER.TEST:8443",
            "localhost:$port",
            "127.0.0.1:$port",
        ]
        .map(passes),
    );
    cases.extend(
        [
            "sub.example.test",
            "example.test.evil.test",
            "myexample.test",
            "example",
            "other.test",
            "other.test:1",
            "other.test:844",
            "sub.other.test:8443",
            "localhost",
            "evil.test",
        ]
        .map(refused),
    );
    cases
}

/// Of a server with `--allow-host *`: every name passes, but it must still be one.
pub fn allowed_all() -> Vec<Case> {
    let mut cases: Vec<Case> = ["evil.test", "evil.test:1", "192.0.2.1", "[2001:db8::1]:9"].map(passes).into();
    cases.extend(["a b", "[::1", "me@evil.test", "evil.test/path"].map(malformed));
    cases.push(case("No Host is still refused where every host passes", HOST, fields("X-A: b"), is(400)).keeps_word());
    cases.push(
        case("Host twice is still refused where every host passes", HOST, fields("Host: a\r\nHost: b"), is(400))
            .keeps_word(),
    );
    cases
}

/// Of a server bound beyond loopback: any address written as such passes, for a literal cannot be rebound.
pub fn beyond_loopback() -> Vec<Case> {
    let mut cases: Vec<Case> =
        ["192.0.2.7:$port", "192.0.2.7", "[2001:db8::7]:$port", "localhost:$port"].map(passes).into();
    cases
        .extend(["evil.test:$port", "evil.test", "192.0.2.7.evil.test:$port", "1.2.3:$port", "localhost"].map(refused));
    cases.extend(["[::1", "192.0.2.7:x"].map(malformed));
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    if !machine.is_empty() && machine.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let own = |name: String| host(format!("{name}:$port"));
        cases.push(case("The machine's own name passes", LIST, own(machine.clone()), ok()));
        cases.push(case("The machine's own name on its link passes", LIST, own(format!("{machine}.local")), ok()));
        cases.push(
            case("The machine's own name without our port is refused", LIST, host(machine), forbidden()).keeps_word(),
        );
    }
    cases
}
