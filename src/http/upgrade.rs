//! The opening handshake of a WebSocket (RFC 6455, section 4.2): what must hold of a request, and how it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::http::fault::Fault;
use crate::http::headers::{Field, tokens};
use crate::http::request::{BodyLength, Method, Request};
use crate::http::response::Response;
use crate::http::status::Status;

/// What every key is hashed with (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version this speaks.
pub const VERSION: &str = "13";

/// A request that may become a WebSocket. Only a request that asks for one can make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What proves that we have understood.
    accept: String,
    protocol: Option<String>,
}

impl Handshake {
    /// Looks at a request. Of `protocols`, the first that the client offers too is agreed on; if it offers none of them, none is.
    ///
    /// # Errors
    /// 426 if it asks for no WebSocket, or one of another version; HTTP/1.0 cannot ask (RFC 9110, section 7.8). 400 if what it
    /// asks with is broken.
    pub fn of(request: &Request<'_>, protocols: &[&str]) -> Result<Handshake, Fault> {
        let asks = !request.is_http10
            && request.method == Method::Get
            && names_websocket(request)
            && lists(request, Field::Connection, b"upgrade");
        if !asks {
            return Err(upgrade_required("this is a WebSocket; ask for one with Upgrade and Connection"));
        }
        if all(request, "sec-websocket-version").collect::<Vec<_>>() != [VERSION.as_bytes()] {
            return Err(upgrade_required("this speaks version 13 of WebSocket"));
        }
        if request.body != BodyLength::None {
            return Err(Fault::malformed("a request for a WebSocket has no body"));
        }
        let mut keys = all(request, "sec-websocket-key");
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) if is_key(key) => key,
            _ => {
                let detail = "Sec-WebSocket-Key must be there once, with sixteen bytes as base64";
                return Err(Fault::new(Status::BAD_REQUEST, "bad_handshake", detail));
            }
        };
        let offered: Vec<&[u8]> = all(request, "sec-websocket-protocol").flat_map(tokens).collect();
        let protocol = protocols.iter().find(|protocol| offered.contains(&protocol.as_bytes()));
        Ok(Handshake { accept: accept(key), protocol: protocol.map(|&protocol| protocol.to_owned()) })
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The answer after which the connection is no longer one of HTTP.
    pub fn response(&self) -> Response {
        let response = Response::new(Status::SWITCHING_PROTOCOLS)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Accept", &self.accept);
        match &self.protocol {
            None => response,
            Some(protocol) => response.header("Sec-WebSocket-Protocol", protocol),
        }
    }
}

/// 426; the answer says what to upgrade to.
fn upgrade_required(detail: &'static str) -> Fault {
    Fault::new(Status::UPGRADE_REQUIRED, "upgrade_required", detail)
}

/// Whether a request would change to this protocol, rightly or not: what must not come from another site's page.
pub fn names_websocket(request: &Request<'_>) -> bool {
    lists(request, Field::Upgrade, b"websocket")
}

/// Whether a field has this member in lower case.
fn lists(request: &Request<'_>, field: Field, wanted: &[u8]) -> bool {
    request.headers.all(field).any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case(wanted)))
}

/// The values of a field by its name in lower case.
fn all<'a>(request: &Request<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    request.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether this is sixteen bytes as base64.
fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// What a key is answered with (section 4.2.2).
fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{HeadLimits, HeaderTable};

    const LINES: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn shake(line: &str, lines: &str, protocols: &[&str]) -> Result<Handshake, Fault> {
        let head = format!("{line}\r\n{lines}\r\n");
        let mut table = HeaderTable::new();
        let request = Request::parse(head.as_bytes(), &mut table, &HeadLimits::default()).expect("a request");
        Handshake::of(&request, protocols)
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
        let handshake = shake("GET /chat HTTP/1.1", LINES, &[]).unwrap();
        let mut lines = Vec::new();
        handshake.response().write_lines(&mut lines);
        let told =
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        assert_eq!(lines, told.as_bytes());
    }

    #[test]
    fn the_first_of_our_protocols_that_the_client_offers_is_agreed_on() {
        let offer = |value: &str| format!("{LINES}Sec-WebSocket-Protocol: {value}\r\n");
        for (lines, agreed) in [
            (LINES.to_owned(), None),
            (offer("b, a"), Some("a")),
            (offer("x,b"), Some("b")),
            (offer("A"), None),
            (offer("x\r\nSec-WebSocket-Protocol: b"), Some("b")),
        ] {
            let handshake = shake("GET / HTTP/1.1", &lines, &["a", "b"]).unwrap();
            assert_eq!(handshake.protocol(), agreed, "{lines}");
        }
    }

    #[test]
    fn what_is_no_handshake_is_told_what_would_be_and_a_broken_one_is_refused() {
        let change = |from: &str, to: &str| LINES.replace(from, to);
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (line, lines, status) in [
            ("GET / HTTP/1.1", "Host: a\r\n".to_owned(), 426),
            ("GET / HTTP/1.0", LINES.to_owned(), 426),
            ("POST / HTTP/1.1", LINES.to_owned(), 426),
            ("GET / HTTP/1.1", change("Upgrade: websocket", "Upgrade: h2c"), 426),
            ("GET / HTTP/1.1", change("Upgrade: websocket\r\n", ""), 426),
            ("GET / HTTP/1.1", change("keep-alive, Upgrade", "keep-alive"), 426),
            ("GET / HTTP/1.1", change("13", "12"), 426),
            ("GET / HTTP/1.1", change("13", "13\r\nSec-WebSocket-Version: 13"), 426),
            ("GET / HTTP/1.1", change("Sec-WebSocket-Version: 13\r\n", ""), 426),
            ("GET / HTTP/1.1", change(key, ""), 400),
            ("GET / HTTP/1.1", change(key, &key.repeat(2)), 400),
            ("GET / HTTP/1.1", change("ZQ==", "ZR=="), 400),
            ("GET / HTTP/1.1", change("ZQ==", "ZQ="), 400),
            ("GET / HTTP/1.1", change("dGhl", "dGh!"), 400),
            ("GET / HTTP/1.1", format!("{LINES}Content-Length: 5\r\n"), 400),
        ] {
            assert_eq!(shake(line, &lines, &[]).unwrap_err().status.code(), status, "{line}\n{lines}");
        }
        let lines =
            change("websocket", "h2c, WebSocket").replace("Connection: keep-alive,", "Connection: x\r\nconnection: ");
        assert!(shake("GET / HTTP/1.1", &lines, &[]).is_ok(), "lists may be long, and in several lines");
    }
}
