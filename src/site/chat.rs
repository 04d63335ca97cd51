//! The lobby: a message is kept by the ledger before anyone hears it, and has the same id wherever it is heard.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::http::date;
use crate::http::events;
use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::media::MediaType;
use crate::http::negotiate::prefers_html;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::{Dialect, Reply, Verdict};
use crate::site::gate::throttled;
use crate::site::state::{Chat, Site};
use crate::store::history::Message;
use crate::store::ledger::Entry;

/// The room that always exists, and for now the only one.
pub const LOBBY: &str = "lobby";

/// Messages in one answer, at most.
pub const LIMIT_MAX: usize = 1000;

/// Messages in one answer, by default.
pub const LIMIT: usize = 100;

/// The longest wait of a long poll.
pub const WAIT_MAX_S: u64 = 60;

/// Letters of a name.
pub const NAME_MAX: usize = 32;

/// What a stream tells its client to wait before it comes again.
const RETRY_MS: u32 = 2000;

/// Fields of a form; more are no message.
const FIELDS_MAX: usize = 16;

/// A message as it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Draft {
    room: Option<String>,
    name: Option<String>,
    text: String,
}

/// `POST /send`: keeps a message, then says it.
pub fn send(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let chat = chat(site)?;
    if chat.is_shut {
        return Err(
            Fault::new(Status::SERVICE_UNAVAILABLE, "ledger_shut", "messages cannot be kept now").retry_after(60)
        );
    }
    if let Err(seconds) = chat.send_rate.take(cx.peer.ip, cx.now) {
        site.tallies.throttled += 1;
        return Err(throttled(seconds));
    }
    let form = Form::of(call.request)?;
    let wants_page = form == Form::Fields && prefers_html(call.headers.all(Field::Accept));
    let message_max = site.config.limits.message_limit_bytes;
    // The text is bounded by its own limit; around it a form or a document needs room for escapes and names.
    let most = message_max.saturating_mul(3).saturating_add(1024).min(site.config.limits.form_limit_bytes);
    Ok(Reply::collect(most, move |site: &mut Site, body, cx| {
        form.read(&body).and_then(|draft| keep(site, draft, message_max, wants_page, cx)).into()
    }))
}

fn chat(site: &mut Site) -> Result<&mut Chat, Fault> {
    site.chat.as_mut().ok_or_else(Fault::not_found)
}

/// Checks a message and gives it to the ledger; its verdict says it to the room.
fn keep(
    site: &mut Site,
    draft: Draft,
    message_max: usize,
    wants_page: bool,
    cx: &Context<'_>,
) -> Result<Reply<Site>, Fault> {
    let room = draft.room.unwrap_or_else(|| LOBBY.to_owned());
    if room != LOBBY {
        return Err(Fault::new(Status::NOT_FOUND, "no_such_room", "there is only the room lobby"));
    }
    check_text(&draft.text, message_max)?;
    let name = match draft.name.filter(|name| !name.is_empty()) {
        Some(name) => check_name(name)?,
        None => guest_name(cx),
    };
    let entry =
        Entry::Message { room: room.clone(), ts: cx.wall, user: None, name: name.clone(), text: draft.text.clone() };
    let message = Message { id: 0, room, ts: cx.wall, user: None, name, text: draft.text };
    let page = site.address("/");
    let decided = move |site: &mut Site, verdict: Verdict, cx: &mut Context<'_>| match verdict {
        Verdict::Kept(id) => {
            let message = Message { id, ..message };
            let answer = if wants_page {
                Response::redirect(Status::SEE_OTHER, &page)
            } else {
                Response::json(Status::CREATED, &value(&message))
            };
            say(site, message, cx);
            answer.into()
        }
        Verdict::Refused | Verdict::Lost => {
            if let Some(chat) = &mut site.chat {
                chat.is_shut |= verdict == Verdict::Lost;
            }
            Fault::new(Status::SERVICE_UNAVAILABLE, "not_kept", "the message could not be kept").retry_after(60).into()
        }
    };
    Ok(Reply::Keep(entry, Box::new(decided)))
}

/// A message that is kept takes its place in the history and is said to all who listen.
fn say(site: &mut Site, message: Message, cx: &mut Context<'_>) {
    let Some(chat) = &mut site.chat else { return };
    cx.say(chat.lobby, |dialect, out| match dialect {
        Dialect::Event => event(&message, out),
        Dialect::Frame => {}
    });
    chat.history.push(message);
    site.tallies.messages += 1;
}

fn event(message: &Message, out: &mut Vec<u8>) {
    events::message(Some(message.id), None, &value(message).to_string(), out);
}

/// A message as the contract writes it.
fn value(message: &Message) -> Value {
    json!({
        "id": message.id,
        "room": message.room,
        "ts": date::rfc3339(message.ts),
        "user": message.user,
        "name": message.name,
        "message": message.text,
    })
}

/// How a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Fields,
    Json,
    Text,
}

impl Form {
    fn of(request: &Request<'_>) -> Result<Form, Fault> {
        if request.headers.has(Field::ContentEncoding) {
            return Err(Fault::new(
                Status::UNSUPPORTED_MEDIA_TYPE,
                "encoded_body",
                "a body may not have a Content-Encoding",
            ));
        }
        let unknown = || {
            Fault::new(
                Status::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "a message is sent as application/x-www-form-urlencoded, application/json or text/plain",
            )
        };
        let value = request.headers.get(Field::ContentType).ok_or_else(unknown)?;
        let media = MediaType::parse(value).ok_or_else(unknown)?;
        if media.is("application/x-www-form-urlencoded") {
            Ok(Form::Fields)
        } else if media.is("application/json") {
            Ok(Form::Json)
        } else if media.is("text/plain") {
            Ok(Form::Text)
        } else {
            Err(unknown())
        }
    }

    fn read(self, body: &[u8]) -> Result<Draft, Fault> {
        match self {
            Form::Text => Ok(Draft { text: utf8(body)?.to_owned(), ..Draft::default() }),
            Form::Fields => read_fields(body),
            Form::Json => read_json(body),
        }
    }
}

fn utf8(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body).map_err(|_| bad_message("the message is not UTF-8"))
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
            "message" | "room" | "name" => return Err(bad_field(&name)),
            _ => {}
        }
    }
    Ok(draft)
}

fn read_json(body: &[u8]) -> Result<Draft, Fault> {
    let members = crate::site::body::object(body)?;
    let mut draft = Draft::default();
    for (name, value) in members {
        let text = match value {
            Value::String(text) => text,
            _ => return Err(bad_field(&name)),
        };
        match name.as_str() {
            "message" => draft.text = text,
            "room" => draft.room = Some(text),
            "name" => draft.name = Some(text),
            _ => return Err(bad_field(&name)),
        }
    }
    Ok(draft)
}

fn bad_field(name: &str) -> Fault {
    crate::site::body::bad_field(name)
}

/// TAB, LF and CR are kept; other control bytes, and nothing at all, are no message.
fn check_text(text: &str, message_max: usize) -> Result<(), Fault> {
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

fn check_name(name: String) -> Result<String, Fault> {
    let fits = (1..=NAME_MAX).contains(&name.chars().count())
        && name.chars().all(|character| character.is_alphanumeric() || matches!(character, ' ' | '.' | '_' | '-'))
        && !name.trim().is_empty();
    if fits {
        return Ok(name);
    }
    Err(Fault::new(
        Status::BAD_REQUEST,
        "bad_name",
        "a name has 1 to 32 letters, digits, spaces, dots, underscores and hyphens",
    ))
}

/// `guest-` and four digits that stay the same for an address while its connection lasts.
fn guest_name(cx: &Context<'_>) -> String {
    let mixed = u64::from(cx.peer.port).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("guest-{:04x}", mixed >> 48)
}

/// What a listener asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ask {
    since: Option<i64>,
    before: Option<i64>,
    limit: usize,
    wait_s: u64,
}

impl Ask {
    fn of(request: &Request<'_>) -> Result<Ask, Fault> {
        let mut ask = Ask { limit: LIMIT, ..Ask::default() };
        for (name, value) in form::query(request.query.unwrap_or_default()) {
            let number = || value.parse::<u64>().map_err(|_| bad_query(&name, "is not a number"));
            let id = || number().and_then(|id| i64::try_from(id).map_err(|_| bad_query(&name, "is no id")));
            match &*name {
                "since" => ask.since = Some(id()?),
                "before" => ask.before = Some(id()?),
                "limit" => match usize::try_from(number()?) {
                    Ok(limit @ 1..=LIMIT_MAX) => ask.limit = limit,
                    _ => return Err(bad_query(&name, "is not from 1 to 1000")),
                },
                "wait" => match number()? {
                    wait @ 0..=WAIT_MAX_S => ask.wait_s = wait,
                    _ => return Err(bad_query(&name, "is not from 0 to 60")),
                },
                "room" if value != LOBBY => {
                    return Err(Fault::new(Status::NOT_FOUND, "no_such_room", "there is only the room lobby"));
                }
                _ => {}
            }
        }
        if ask.since.is_some() && ask.before.is_some() {
            return Err(bad_query("before", "does not go with since"));
        }
        Ok(ask)
    }
}

fn bad_query(name: &str, what: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_query", format!("{name} {what}"))
}

/// `GET /messages`: what was said; with `wait`, as soon as something new is.
pub fn messages(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    chat(site)?;
    let ask = Ask::of(call.request)?;
    let until = cx.now.plus(ask.wait_s * 1000);
    Ok(look(site, ask, until, cx))
}

/// What there is now; or, if there is nothing new and time is left, a wait after which this is asked again.
fn look(site: &mut Site, ask: Ask, until: crate::clock::Moment, cx: &mut Context<'_>) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let is_in_memory = match (ask.since, ask.before) {
        (Some(since), _) => chat.history.reaches(since),
        // Scrolling back: what comes before an id may be older than the history.
        (None, Some(_)) => false,
        (None, None) => true,
    };
    if !is_in_memory && chat.reader.is_some() {
        return read_older(chat, ask);
    }
    let found = match (ask.since, ask.before) {
        (Some(since), _) => chat.history.since(LOBBY, since, ask.limit),
        (None, Some(before)) => chat.history.before(LOBBY, before, ask.limit),
        (None, None) => chat.history.newest(LOBBY, ask.limit),
    };
    let may_wait = ask.since.is_some() && !cx.is_over && cx.now < until;
    if found.is_empty() && may_wait {
        let topic = chat.lobby;
        return Reply::Wait { topic, until, again: Box::new(move |site, cx| look(site, ask, until, cx)) };
    }
    let is_gap = ask.since.is_some_and(|since| !chat.history.reaches(since));
    answer(found.into_iter(), &ask, is_gap).into()
}

fn answer<'a>(found: impl Iterator<Item = &'a Message>, ask: &Ask, is_gap: bool) -> Response {
    let mut last = ask.since.unwrap_or(0);
    let rows: Vec<Value> = found
        .map(|message| {
            last = message.id;
            value(message)
        })
        .collect();
    Response::json(Status::OK, &json!({"messages": rows, "last": last, "gap": is_gap}))
}

/// Messages older than the history are read by a helper; the reader travels with the job and comes home with its answer.
fn read_older(chat: &mut Chat, ask: Ask) -> Reply<Site> {
    let Some(reader) = chat.reader.take() else { return Fault::not_found().into() };
    Reply::offload(move || {
        let found = match (ask.since, ask.before) {
            (Some(since), _) => reader.since(LOBBY, since, ask.limit),
            (None, before) => reader.before(LOBBY, before.unwrap_or(i64::MAX), ask.limit),
        };
        let first = reader.first_id();
        move |site: &mut Site, _: &mut Context<'_>| {
            if let Some(chat) = &mut site.chat {
                chat.reader = Some(reader);
            }
            match (found, first) {
                (Ok(found), Ok(first)) => {
                    let is_gap = ask.since.is_some_and(|since| since + 1 < first);
                    answer(found.iter(), &ask, is_gap).into()
                }
                (Err(error), _) | (_, Err(error)) => {
                    log::error!("cannot read older messages: {error}");
                    Fault::new(Status::INTERNAL_SERVER_ERROR, "ledger_error", "older messages cannot be read").into()
                }
            }
        }
    })
}

/// `GET /events`: what is said from now on, or from an id on, without end.
pub fn stream(site: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    chat(site)?;
    for (name, value) in form::query(call.query.unwrap_or_default()) {
        if name == "room" && value.split(',').any(|room| room != LOBBY) {
            return Err(Fault::new(Status::NOT_FOUND, "no_such_room", "there is only the room lobby"));
        }
    }
    let chat = chat(site)?;
    let since = position(call.request).filter(|&since| since <= chat.history.last_id());
    let mut first = Vec::new();
    events::retry(RETRY_MS, &mut first);
    if let Some(since) = since {
        if !chat.history.reaches(since) {
            let gap = json!({"first": chat.history.first_id()}).to_string();
            events::message(None, Some("gap"), &gap, &mut first);
        }
        for message in chat.history.since(LOBBY, since, usize::MAX) {
            event(message, &mut first);
        }
    }
    let head = Response::new(Status::OK)
        .header("Content-Type", "text/event-stream")
        .header("Cache-Control", "no-store")
        .header("X-Accel-Buffering", "no");
    let heartbeat = Bytes::from_static(events::HEARTBEAT);
    Ok(Reply::Stream { topic: chat.lobby, dialect: Dialect::Event, head, first: first.into(), heartbeat })
}

/// From where a stream goes on: `Last-Event-ID` wins over `since`; what is no id is no position.
fn position(request: &Request<'_>) -> Option<i64> {
    if let Some(id) = request.headers.get(Field::LastEventId) {
        return std::str::from_utf8(id).ok()?.parse().ok().filter(|&id: &i64| id >= 0);
    }
    let query = request.query.unwrap_or_default();
    let since = form::query(query).find(|(name, _)| name == "since").map(|(_, value)| value.into_owned());
    since?.parse().ok().filter(|&id: &i64| id >= 0)
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
    fn text_and_names_have_their_bounds() {
        assert!(check_text("a\tb\r\nc", 10).is_ok());
        assert!(check_text(&"a".repeat(4096), 4096).is_ok());
        assert_eq!(check_text(&"a".repeat(4097), 4096).unwrap_err().code, "too_large");
        for text in ["", " \n ", "a\0b", "a\u{1b}[0m", "\u{85}x"] {
            assert_eq!(check_text(text, 10).unwrap_err().code, "bad_message", "{text:?}");
        }
        for name in ["ada", "Ada L. 1_2-3", "é", &"a".repeat(32)] {
            assert!(check_name(name.to_owned()).is_ok(), "{name}");
        }
        for name in ["a/b", "<b>", "a\n", " ", &"a".repeat(33)] {
            assert!(check_name(name.to_owned()).is_err(), "{name}");
        }
    }
}
