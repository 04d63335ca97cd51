//! A message as it was asked for: read from a form, JSON or plain text, and checked.

use std::borrow::Cow;

use serde_json::Value;

use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::media::MediaType;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::site::body::{self, Kind, UNKNOWN_KIND, unknown_kind};

/// A message as it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The room it is for; the lobby unless said.
    pub room: Option<String>,
    /// The name a guest wants to speak under.
    pub name: Option<String>,
    /// What is to be said.
    pub text: String,
}

/// How a message was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As its text alone.
    Text,
    /// As a JSON object, or as a form, by a browser or `curl -d`.
    Members(Kind),
}

impl Form {
    /// The form of a request's body.
    pub fn of(request: &Request<'_>) -> Result<Form, Fault> {
        if request.headers.is_repeated(Field::ContentType) {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "Content-Type is given twice"));
        }
        let media = request.headers.get(Field::ContentType).and_then(MediaType::parse);
        let is_plain = media.is_some_and(|media| media.is("text/plain"));
        match Kind::of(request) {
            Ok(kind) => Ok(Form::Members(kind)),
            Err(fault) if fault.code != UNKNOWN_KIND => Err(fault),
            Err(_) if is_plain => Ok(Form::Text),
            Err(_) => Err(unknown_kind("a form, application/json or text/plain")),
        }
    }

    /// Whether it came from a page, or might have.
    pub fn is_form(&self) -> bool {
        matches!(self, Form::Members(kind) if kind.is_form())
    }

    /// Reads a body of this form.
    pub fn read(&self, body: &[u8]) -> Result<Draft, Fault> {
        match self {
            Form::Text => match std::str::from_utf8(body) {
                Ok(text) => Ok(Draft { text: text.to_owned(), ..Draft::default() }),
                Err(_) => Err(bad_message("the message is not UTF-8")),
            },
            Form::Members(Kind::Json) => read_json(body),
            Form::Members(kind) => read_fields(kind.fields(body)?),
        }
    }
}

fn bad_message(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_message", detail)
}

fn read_fields(fields: Vec<(String, String)>) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut has_text = false;
    for (name, value) in fields {
        match name.as_str() {
            "message" if !has_text => {
                has_text = true;
                draft.text = value;
            }
            "room" if draft.room.is_none() => draft.room = Some(value),
            "name" if draft.name.is_none() => draft.name = Some(value),
            "message" | "room" | "name" => return Err(body::bad_field(&name)),
            _ => {}
        }
    }
    Ok(draft)
}

fn read_json(body: &[u8]) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    for (name, value) in body::object(body)? {
        let Value::String(text) = value else { return Err(body::bad_field(&name)) };
        match name.as_str() {
            "message" => draft.text = text,
            "room" => draft.room = Some(text),
            "name" => draft.name = Some(text),
            _ => return Err(body::bad_field(&name)),
        }
    }
    Ok(draft)
}

/// TAB, LF and CR are kept; other control bytes, and nothing at all, are no message.
pub fn check_text(text: &str, message_max: usize) -> Result<(), Fault> {
    if text.len() > message_max {
        let detail = format!("a message may have at most {message_max} bytes");
        return Err(Fault::new(Status::CONTENT_TOO_LARGE, "too_large", detail));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\t' | '\n' | '\r')) {
        return Err(bad_message("the message holds a control character"));
    }
    if text.trim().is_empty() {
        return Err(bad_message("the message is empty"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_from_form_json_and_text_alike() {
        let expected = Draft { room: Some("lobby".into()), name: Some("ada".into()), text: "a b".into() };
        let parts = b"--b\r\nContent-Disposition: form-data; name=message\r\n\r\na b\r\n--b\r\nContent-Disposition: form-data; name=room\r\n\r\n\
            lobby\r\n--b\r\nContent-Disposition: form-data; name=name\r\n\r\nada\r\n--b--";
        let multipart = Form::Members(Kind::Parts((*b"multipart/form-data; boundary=b").into()));
        assert_eq!(multipart.read(parts).unwrap(), expected);
        assert_eq!(multipart.read(&parts[..parts.len() - 3]).unwrap_err().code, "bad_multipart");
        let (fields, json) = (Form::Members(Kind::Fields), Form::Members(Kind::Json));
        assert_eq!(fields.read(b"message=a+b&room=lobby&name=ada&other=x").unwrap(), expected);
        assert_eq!(json.read(br#"{"message":"a b","room":"lobby","name":"ada"}"#).unwrap(), expected);
        assert_eq!(Form::Text.read(b"a b").unwrap().text, "a b");
        for (form, body, code) in [
            (&fields, &b"message=a&message=b"[..], "bad_field"),
            (&json, br#"{"message":1}"#, "bad_field"),
            (&json, br#"{"message":"a","admin":true}"#, "bad_field"),
            (&json, br#"{"message":"a","message":"b"}"#, "bad_field"),
            (&json, b"[1]", "invalid_json"),
            (&json, b"{", "invalid_json"),
            (&Form::Text, b"\xff", "bad_message"),
        ] {
            assert_eq!(form.read(body).unwrap_err().code, code, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn text_has_its_bounds() {
        assert!(check_text("a\tb\r\nc", 10).is_ok());
        assert!(check_text(&"a".repeat(4096), 4096).is_ok());
        assert_eq!(check_text(&"a".repeat(4097), 4096).unwrap_err().code, "too_large");
        for text in ["", " \n ", "a\0b", "a\u{1b}[0m", "\u{85}x"] {
            assert_eq!(check_text(text, 10).unwrap_err().code, "bad_message", "{text:?}");
        }
    }
}
