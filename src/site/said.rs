//! What is said, written out for those who hear it: as JSON and as an event.

use std::io::Write;

use serde_json::json;

use crate::http::date;
use crate::http::events;
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::http::websocket;
use crate::server::reply::Dialect;
use crate::store::history::Message;

/// What can be told on a stream.
pub enum Note<'a> {
    /// A message.
    Message(&'a Message),
    /// A message was taken back.
    Delete {
        /// Its id.
        id: i64,
        /// Its room.
        room: &'a str,
    },
    /// Some came, left or type.
    Presence {
        /// `join`, `leave` or `typing`.
        kind: &'static str,
        /// In which room.
        room: &'a str,
        /// Their names.
        names: &'a [&'a str],
    },
    /// Messages before this id are not kept any more.
    Gap {
        /// The first there is.
        first: i64,
    },
}

impl Note<'_> {
    /// Appends it in a dialect.
    pub fn write(&self, dialect: Dialect, out: &mut Vec<u8>) {
        match dialect {
            Dialect::Event => self.event(out),
            Dialect::Frame => self.frame(out),
        }
    }

    /// As a frame.
    fn frame(&self, out: &mut Vec<u8>) {
        let mut text = Vec::with_capacity(256);
        let _ = match self {
            Note::Message(message) => {
                text.extend_from_slice(b"{\"type\":\"message\",");
                write_members(message, &mut text);
                text.push(b'}');
                Ok(())
            }
            Note::Delete { id, room } => write!(text, "{}", json!({"type": "delete", "id": id, "room": room})),
            Note::Gap { first } => write!(text, "{}", json!({"type": "gap", "first": first})),
            Note::Presence { kind, room, names } => {
                write!(text, "{}", json!({"type": kind, "room": room, "names": names}))
            }
        };
        websocket::write_text_head(text.len(), out);
        out.extend_from_slice(&text);
    }

    /// As an event; that somebody types is none. Only messages have an id, so that a client which comes again says up to which it has heard.
    fn event(&self, out: &mut Vec<u8>) {
        match self {
            Note::Message(message) => {
                // JSON holds no line end, so that the text is one line of data.
                let _ = write!(out, "id: {}\ndata: ", message.id);
                write_message(message, out);
                out.extend_from_slice(b"\n\n");
            }
            Note::Delete { id, room } => {
                events::message(None, Some("delete"), &json!({"id": id, "room": room}).to_string(), out);
            }
            Note::Presence { kind: "typing", .. } => {}
            Note::Presence { kind, room, names } => {
                events::message(None, Some(kind), &json!({"room": room, "names": names}).to_string(), out);
            }
            Note::Gap { first } => {
                events::message(None, Some("gap"), &json!({ "first": first }).to_string(), out);
            }
        }
    }
}

/// An answer that is one message.
pub fn answer(status: Status, message: &Message) -> Response {
    let mut text = Vec::with_capacity(256);
    write_message(message, &mut text);
    text.push(b'\n');
    Response::new(status)
        .header("Content-Type", "application/json")
        .header("Cache-Control", "no-store")
        .with_body(Body::Bytes(text.into()))
}

/// Appends a message as the contract writes it.
pub fn write_message(message: &Message, out: &mut Vec<u8>) {
    out.push(b'{');
    write_members(message, out);
    out.push(b'}');
}

fn write_members(message: &Message, out: &mut Vec<u8>) {
    // A Vec takes all that is written, and a text is always JSON.
    let _ = write!(out, "\"id\":{},\"room\":", message.id);
    text(&message.room, out);
    let _ = write!(out, ",\"ts\":\"{}\",\"user\":", date::rfc3339(message.ts));
    match &message.user {
        Some(user) => text(user, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"name\":");
    text(&message.name, out);
    out.extend_from_slice(b",\"message\":");
    text(&message.text, out);
}

fn text(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    #[test]
    fn a_message_is_written_as_the_contract_says_whatever_it_holds() {
        let message = Message {
            id: 17,
            room: "lobby".into(),
            ts: Wall::from_seconds(1_795_169_472),
            user: None,
            name: "ada".into(),
            text: "\"a\"\n\\ \u{7f}é".into(),
        };
        let mut out = Vec::new();
        write_message(&message, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"id\":17,\"room\":\"lobby\",\"ts\":\"2026-11-20T10:11:12Z\",\"user\":null,\"name\":\"ada\",\
             \"message\":\"\\\"a\\\"\\n\\\\ \u{7f}é\"}"
        );
        let mut event = Vec::new();
        Note::Message(&Message { user: Some("ada".into()), ..message }).event(&mut event);
        let event = String::from_utf8(event).unwrap();
        assert!(event.starts_with("id: 17\ndata: {\"id\":17,") && event.contains("\"user\":\"ada\""), "{event}");
        assert!(event.ends_with("\"}\n\n") && event.matches('\n').count() == 3, "{event}");
    }

    #[test]
    fn what_is_no_message_has_no_id() {
        let mut out = Vec::new();
        Note::Delete { id: 3, room: "den" }.event(&mut out);
        Note::Gap { first: 9 }.event(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: delete\ndata: {\"id\":3,\"room\":\"den\"}\n\nevent: gap\ndata: {\"first\":9}\n\n"
        );
    }
}
