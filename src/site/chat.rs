//! The lobby: a message is kept by the ledger before anyone hears it, and has the same id wherever it is heard.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock::Moment;
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
use crate::server::problem::escape;
use crate::server::reply::{Dialect, Reply, Verdict};
use crate::site::books::{self, when_open};
use crate::site::gate::throttled;
use crate::site::state::{Chat, Site};
use crate::store::database;
use crate::store::history::{History, Message};
use crate::store::ledger;
use crate::store::messages::{Entry, Reader};

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

/// How many messages older than the history a stream that resumes is given; beyond them it is told of a gap.
const RESUMED_MAX: usize = 10_000;

/// And how many bytes of them: all of it waits in memory for a client that may not read.
const RESUMED_BYTES_MAX: usize = 1 << 20;

/// What of the chat stays in memory; older messages are read from the ledger.
pub const HISTORY_MESSAGES: usize = 2_000;
const HISTORY_BYTES: usize = 1 << 20;

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
    books::check(site)?;
    let chat = chat(site)?;
    if let Err(seconds) = chat.send_rate.take(cx.peer.ip, cx.now) {
        site.tallies.throttled += 1;
        return Err(throttled(seconds));
    }
    let form = Form::of(call.request)?;
    let wants_page = form == Form::Fields && prefers_html(call.headers.all(Field::Accept));
    let message_max = site.config.limits.message_limit_bytes;
    // The text is bounded by its own limit; around it a form or a document needs room for escapes and names.
    let most = message_max.saturating_mul(3).saturating_add(1024).min(site.config.limits.form_limit_bytes);
    Ok(Reply::collect(most, move |site: &mut Site, body, cx| match form.read(&body) {
        Ok(draft) => when_open(site, cx, move |site, cx| keep(site, draft, message_max, wants_page, cx).into()),
        Err(fault) => fault.into(),
    }))
}

/// The newest messages and the id of the last one ever, as the ledger has them.
pub fn opened(site: &mut Site, recent: Vec<Message>, last: i64) {
    let Some(chat) = &mut site.chat else { return };
    let before = recent.first().map_or(last, |first| first.id - 1);
    chat.history = History::after(before, HISTORY_MESSAGES, HISTORY_BYTES);
    for message in recent {
        chat.history.push(message);
    }
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
        Entry::Said { room: room.clone(), ts: cx.wall, user: None, name: name.clone(), text: draft.text.clone() };
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
            books::heed(site, verdict);
            Fault::new(Status::SERVICE_UNAVAILABLE, "not_kept", "the message could not be kept").retry_after(60).into()
        }
    };
    Ok(Reply::Keep(ledger::Entry::Chat(entry), Box::new(decided)))
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
        if request.headers.is_repeated(Field::ContentType) {
            return Err(Fault::new(Status::BAD_REQUEST, "bad_header", "Content-Type is given twice"));
        }
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
    /// Whether the answer is for people: a page.
    wants_page: bool,
}

impl Ask {
    fn of(request: &Request<'_>) -> Result<Ask, Fault> {
        let wants_page = prefers_html(request.headers.all(Field::Accept));
        let mut ask = Ask { limit: LIMIT, wants_page, ..Ask::default() };
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
    Ok(when_open(site, cx, move |site, cx| look(site, ask, until, cx)))
}

/// What there is now; or, if there is nothing new and time is left, a wait after which this is asked again.
fn look(site: &mut Site, ask: Ask, until: Moment, cx: &mut Context<'_>) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let Some(found) = in_memory(&chat.history, &ask) else { return read_older(chat, ask) };
    let may_wait = ask.since.is_some() && !cx.is_over && cx.now < until;
    if found.is_empty() && may_wait {
        let topic = chat.lobby;
        let again = Box::new(move |site: &mut Site, cx: &mut Context<'_>| look(site, ask, until, cx));
        return Reply::Wait { topic, until, outlasts: false, again };
    }
    answer(&site.config.path_prefix, &found, &ask, false).into()
}

/// What the history has; `None` if messages that only the ledger still has may belong to it.
fn in_memory<'h>(history: &'h History, ask: &Ask) -> Option<Vec<&'h Message>> {
    if let Some(since) = ask.since {
        return history.reaches(since).then(|| history.since(LOBBY, since, ask.limit));
    }
    let found = history.before(LOBBY, ask.before.unwrap_or(i64::MAX), ask.limit);
    (found.len() == ask.limit || history.reaches(0)).then_some(found)
}

fn answer(prefix: &str, found: &[&Message], ask: &Ask, is_gap: bool) -> Response {
    let answer = if ask.wants_page {
        Response::html(Status::OK, page(prefix, found, ask, is_gap)).header("Cache-Control", "no-store")
    } else {
        let last = found.last().map_or(ask.since.unwrap_or(0), |message| message.id);
        let rows: Vec<Value> = found.iter().map(|message| value(message)).collect();
        Response::json(Status::OK, &json!({"messages": rows, "last": last, "gap": is_gap}))
    };
    answer.header("Vary", "Accept")
}

/// The same for people whose browser runs no script.
fn page(prefix: &str, found: &[&Message], ask: &Ask, is_gap: bool) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Chat</title>\n\
         <link rel=\"stylesheet\" href=\"{prefix}/style.css\">\n<main>\n<h1>Chat</h1>\n\
         <p><a href=\"{prefix}/\">Back to the page</a></p>\n"
    );
    // A line that cannot be written into memory is no case there is.
    let limit = ask.limit;
    if let Some(first) = found.first().filter(|first| first.id > 1 && found.len() == limit) {
        let id = first.id;
        let _ =
            writeln!(page, "<p><a href=\"{prefix}/messages?before={id}&amp;limit={limit}\">Earlier messages</a></p>");
    }
    if is_gap {
        page.push_str("<p>Some messages before these are no longer kept.</p>\n");
    }
    page.push_str("<ol id=\"messages\">\n");
    for message in found {
        let (name, text, ts) = (escape(&message.name), escape(&message.text), date::rfc3339(message.ts));
        let _ = writeln!(
            page,
            "<li><p class=\"who\">{name} <time datetime=\"{ts}\">{ts}</time></p><p class=\"text\">{text}</p></li>"
        );
    }
    page.push_str("</ol>\n");
    if found.is_empty() {
        page.push_str("<p>There is nothing here.</p>\n");
    }
    if let Some(last) = found.last().filter(|_| ask.before.is_some() || ask.since.is_some()) {
        let id = last.id;
        let _ = writeln!(page, "<p><a href=\"{prefix}/messages?since={id}&amp;limit={limit}\">Later messages</a></p>");
    }
    page.push_str("</main>\n</html>\n");
    page
}

/// Messages older than the history are read by a helper; the reader travels with the job and comes home with its answer.
fn read_older(chat: &mut Chat, ask: Ask) -> Reply<Site> {
    let older = Older::begin(chat);
    Reply::offload(move || {
        let read = older.read(|reader| match (ask.since, ask.before) {
            (Some(since), _) => reader.since(LOBBY, since, ask.limit),
            (None, before) => reader.before(LOBBY, before.unwrap_or(i64::MAX), ask.limit),
        });
        move |site: &mut Site, _: &mut Context<'_>| match read.come_home(site) {
            Ok((found, first)) => {
                let is_gap = ask.since.is_some_and(|since| since + 1 < first);
                let found: Vec<&Message> = found.iter().collect();
                Reply::Send(answer(&site.config.path_prefix, &found, &ask, is_gap))
            }
            Err(fault) => fault.into(),
        }
    })
}

/// A trip to the ledger for what the history no longer has. The reader goes along if it is at home; else another is opened.
struct Older {
    reader: Option<Reader>,
    database: PathBuf,
}

/// What the trip brought: messages, and the first id there is.
struct Read {
    reader: Option<Reader>,
    found: Result<(Vec<Message>, i64), database::Error>,
}

impl Older {
    fn begin(chat: &mut Chat) -> Older {
        Older { reader: chat.reader.take(), database: chat.database.clone() }
    }

    fn read(self, look: impl FnOnce(&Reader) -> Result<Vec<Message>, database::Error>) -> Read {
        let reader = match self.reader.map_or_else(|| Reader::open(&self.database), Ok) {
            Ok(reader) => reader,
            Err(error) => return Read { reader: None, found: Err(error) },
        };
        let found = look(&reader).and_then(|found| Ok((found, reader.first_id()?)));
        Read { reader: Some(reader), found }
    }
}

impl Read {
    fn come_home(self, site: &mut Site) -> Result<(Vec<Message>, i64), Fault> {
        if let Some(chat) = &mut site.chat {
            chat.reader = self.reader;
        }
        self.found.map_err(|error| {
            log::error!("cannot read older messages: {error}");
            Fault::new(Status::INTERNAL_SERVER_ERROR, "ledger_error", "older messages cannot be read")
        })
    }
}

/// `GET /events`: what is said from now on, or from an id on, without end.
pub fn stream(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    chat(site)?;
    for (name, value) in form::query(call.query.unwrap_or_default()) {
        if name == "room" && value.split(',').any(|room| room != LOBBY) {
            return Err(Fault::new(Status::NOT_FOUND, "no_such_room", "there is only the room lobby"));
        }
    }
    if cx.listeners() >= site.config.limits.streams {
        return Err(
            Fault::new(Status::SERVICE_UNAVAILABLE, "too_many_streams", "too many listen already").retry_after(30)
        );
    }
    let since = position(call.request);
    Ok(when_open(site, cx, move |site, _| {
        let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
        match since.filter(|&since| since <= chat.history.last_id()) {
            Some(since) if !chat.history.reaches(since) => stream_older(chat, since),
            since => stream_from(chat, since, &[], None),
        }
    }))
}

/// A stream that goes on from before the history's first message: what is missing is read by a helper.
fn stream_older(chat: &mut Chat, since: i64) -> Reply<Site> {
    let older = Older::begin(chat);
    Reply::offload(move || {
        let read = older.read(|reader| Ok(first_of(reader.since(LOBBY, since, RESUMED_MAX)?, RESUMED_BYTES_MAX)));
        move |site: &mut Site, _: &mut Context<'_>| match read.come_home(site) {
            Ok((found, first)) => {
                let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
                let last = found.last().map_or(since, |last| last.id);
                // What was trimmed, or is more than a stream is given at once, is told.
                let gap = match chat.history.reaches(last) {
                    false => Some(chat.history.first_id()),
                    true => (since + 1 < first).then_some(first),
                };
                stream_from(chat, Some(last), &found, gap)
            }
            Err(fault) => fault.into(),
        }
    })
}

/// The first messages, as many as fit into so many bytes.
fn first_of(mut messages: Vec<Message>, bytes_max: usize) -> Vec<Message> {
    let mut bytes = 0;
    let fitting = messages.iter().take_while(|message| {
        bytes += message.text.len() + message.name.len();
        bytes <= bytes_max
    });
    messages.truncate(fitting.count());
    messages
}

fn stream_from(chat: &Chat, since: Option<i64>, older: &[Message], gap: Option<i64>) -> Reply<Site> {
    let mut first = Vec::new();
    events::retry(RETRY_MS, &mut first);
    if let Some(id) = gap {
        events::message(None, Some("gap"), &json!({ "first": id }).to_string(), &mut first);
    }
    older.iter().for_each(|message| event(message, &mut first));
    if let Some(since) = since {
        chat.history.since(LOBBY, since, usize::MAX).into_iter().for_each(|message| event(message, &mut first));
    }
    let head = Response::new(Status::OK)
        .header("Content-Type", "text/event-stream")
        .header("Cache-Control", "no-store")
        .header("X-Accel-Buffering", "no");
    let heartbeat = Bytes::from_static(events::HEARTBEAT);
    Reply::Stream { topic: chat.lobby, dialect: Dialect::Event, head, first: first.into(), heartbeat }
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
    fn messages_are_a_page_for_people_in_which_nothing_said_is_markup() {
        let message = Message {
            id: 7,
            room: "lobby".into(),
            ts: crate::clock::Wall::from_seconds(1_795_169_472),
            user: None,
            name: "ada".into(),
            text: "<b>&".into(),
        };
        let ask = Ask { limit: 1, wants_page: true, ..Ask::default() };
        let page = page("/p", &[&message], &ask, true);
        for line in [
            "<p class=\"text\">&lt;b&gt;&amp;</p>",
            "<time datetime=\"2026-11-20T10:11:12Z\">",
            "href=\"/p/messages?before=7&amp;limit=1\"",
            "no longer kept",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("Later"), "{page}");
        let mut block = Vec::new();
        answer("", &[], &Ask { wants_page: false, ..ask }, false).write_lines(&mut block);
        assert!(String::from_utf8(block).unwrap().contains("Vary: Accept\r\n"));
    }

    #[test]
    fn a_stream_that_resumes_is_given_no_more_bytes_than_its_measure() {
        let message = |id| Message {
            id,
            room: LOBBY.into(),
            ts: crate::clock::Wall::default(),
            user: None,
            name: "ada".into(),
            text: "x".repeat(7),
        };
        let ids = |bytes_max| first_of((1..=9).map(message).collect(), bytes_max).last().map(|last| last.id);
        assert_eq!([ids(9), ids(10), ids(39), ids(1000)], [None, Some(1), Some(3), Some(9)]);
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
