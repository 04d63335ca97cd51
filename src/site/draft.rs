//! A message as it was asked for: read from a form, JSON or plain text, and checked.

use std::borrow::Cow;

use serde_json::Value;

use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::media::MediaType;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::site::body;

/// Fields of a form; more are no message.
const FIELDS_MAX: usize = 16;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a form, by a browser or `curl -d`.
    Fields,
    /// As a JSON object.
    Json,
    /// As its text alone.
    Text,
}

impl Form {
    /// The form of a request's body.
    pub fn of(request: &Request<'_>) -> Result<Form, Fault> {
        if request.headers.has(Field::ContentEncoding) {
            let detail = "a body may not have a Content-Encoding";
            return Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "encoded_body", detail));
        }
        if request.headers.is_repeated(Field::ContentType) {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "Content-Type is given twice"));
        }
        match request.headers.get(Field::ContentType).and_then(MediaType::parse) {
            Some(media) if media.is("application/x-www-form-urlencoded") => Ok(Form::Fields),
            Some(media) if media.is("application/json") => Ok(Form::Json),
            Some(media) if media.is("text/plain") => Ok(Form::Text),
            _ => Err(Fault::new(
                Status::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "a message is sent as application/x-www-form-urlencoded, application/json or text/plain",
            )),
        }
    }

    /// Reads a body of this form.
    pub fn read(self, body: &[u8]) -> Result<Draft, Fault> {
        match self {
            Form::Text => match std::str::from_utf8(body) {
                Ok(text) => Ok(Draft { text: text.to_owned(), ..Draft::default() }),
                Err(_) => Err(bad_message("the message is not UTF-8")),
            },
            Form::Fields => read_fields(body),
            Form::Json => read_json(body),
        }
    }
}

fn bad_message(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_message", detail)
}

fn read_fields(body: &[u8]) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut has_text = false;
    for (name, value) in form::parse(body, FIELDS_MAX)? {
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
        assert_eq!(Form::Fields.read(b"message=a+b&room=lobby&name=ada&other=x").unwrap(), expected);
        assert_eq!(Form::Json.read(br#"{"message":"a b","room":"lobby","name":"ada"}"#).unwrap(), expected);
        assert_eq!(Form::Text.read(b"a b").unwrap().text, "a b");
        for (form, body, code) in [
            (Form::Fields, &b"message=a&message=b"[..], "bad_field"),
            (Form::Json, br#"{"message":1}"#, "bad_field"),
            (Form::Json, br#"{"message":"a","admin":true}"#, "bad_field"),
            (Form::Json, br#"{"message":"a","message":"b"}"#, "bad_field"),
            (Form::Json, b"[1]", "invalid_json"),
            (Form::Json, b"{", "invalid_json"),
            (Form::Text, b"\xff", "bad_message"),
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
