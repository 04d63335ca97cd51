//! [`Listener`]: one who hears some rooms, over an event stream or a WebSocket; over the latter it speaks too.
//!
//! Who comes with an id is given all that came after it first, window by window, each when the one before has left, so that ten
//! thousand who come again at once hold no more than they read; only then it is seated at the tape. So it hears everything once
//! and in order, or is told what is not kept any more.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::http::events;
use crate::http::fault::Fault;
use crate::server::context::Context;
use crate::server::reply::{Dialect, Lane};
use crate::server::talk::{CloseCode, Message as Heard, Said, Talk};
use crate::site::body;
use crate::site::books;
use crate::site::draft::Draft;
use crate::site::gate::throttled;
use crate::site::keeping;
use crate::site::older::Trip;
use crate::site::presence::{EVERY_MS, GATHERED_MS, Named};
use crate::site::rooms::LOBBY;
use crate::site::said::Note;
use crate::site::speaker::Speaker;
use crate::site::state::{Chat, Site};
use crate::store::history::Message;
use crate::store::users::Credential;

/// What is given to one who catches up before it has read what it was given before.
const WINDOW_BYTES: usize = 32 << 10;

/// How many messages are looked at for a window.
const WINDOW_MESSAGES: usize = 500;

/// What a stream tells its client to wait before it comes again.
const RETRY_MS: u32 = 2000;

/// Letters of a `ref`, which is given back as it came.
const REF_MAX: usize = 128;

/// What a message may have in bytes whatever its text may: more than that is not worth a complaint.
const MESSAGE_MIN: usize = 32 << 10;

/// What stands around a text.
const MEMBERS_MAX: usize = 4 << 10;

/// The rooms of a listener. Nearly all hear the lobby alone, and own nothing for that.
#[derive(Clone, Debug, Default)]
pub struct Hears(Option<Arc<Vec<String>>>);

impl Hears {
    /// These rooms, each named once.
    pub fn new(names: Vec<String>) -> Hears {
        Hears((names != [LOBBY]).then(|| Arc::new(names)))
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.as_ref().map_or_else(|| vec![LOBBY], |names| names.iter().map(String::as_str).collect())
    }
}

/// Who listens, if it is somebody of whom something must be known.
#[derive(Clone, Debug)]
pub struct Who {
    /// As whom it speaks.
    pub speaker: Speaker,
    /// The name it goes by; `None` for a guest who chose none.
    pub named: Option<Named>,
    /// What it came in with, and loses its right by.
    pub credential: Option<Credential>,
    /// Why it may not speak.
    pub silenced: Option<Fault>,
    /// Where its messages come from, where trusted proxies may tell of another than who is at the other end.
    pub told: Option<IpAddr>,
}

/// One who listens.
pub struct Listener {
    hears: Hears,
    /// How it begins; nothing once it has.
    start: Option<Box<Start>>,
    /// `None` for a guest without a name, who may speak where guests may.
    who: Option<Box<Who>>,
}

/// How a listener begins.
struct Start {
    dialect: Dialect,
    since: Option<i64>,
    message_max: u32,
}

impl Listener {
    /// One who hears these rooms from an id on, or from now on, and may say texts of so many bytes.
    pub fn new(hears: Hears, dialect: Dialect, since: Option<i64>, text_max: usize, who: Option<Who>) -> Listener {
        // A byte of text may need six as JSON.
        let message_max = text_max.saturating_mul(6).saturating_add(MEMBERS_MAX).max(MESSAGE_MIN);
        let message_max = u32::try_from(message_max).unwrap_or(u32::MAX);
        Listener { hears, start: Some(Box::new(Start { dialect, since, message_max })), who: who.map(Box::new) }
    }

    /// Somebody of a name comes or goes.
    fn is_seen(&self, site: &mut Site, cx: &mut Context<'_>, comes: bool) {
        let Some(who) = &self.who else { return };
        let Some(chat) = &mut site.chat else { return };
        if let Some(named) = &who.named {
            for room in self.hears.names() {
                if comes { chat.presence.enter(room, named) } else { chat.presence.leave(room, named) }
            }
            expect_news(chat, cx);
        }
        if let Some(credential) = who.credential {
            if comes { chat.attached.add(credential, cx.key) } else { chat.attached.remove(credential, cx.key) }
        }
    }
}

impl Talk<Site> for Listener {
    fn message_max(&self) -> u32 {
        self.start.as_ref().map_or(MESSAGE_MIN as u32, |start| start.message_max)
    }

    fn takes_binary(&self) -> bool {
        false
    }

    fn on_open(&mut self, site: &mut Site, cx: &mut Context<'_>) -> Said<Site> {
        self.is_seen(site, cx, true);
        let Some(start) = self.start.take() else { return Said::nothing() };
        let mut first = Vec::new();
        if start.dialect == Dialect::Event {
            events::retry(RETRY_MS, &mut first);
        }
        if let Some((chat, since)) = site.chat.as_ref().zip(start.since) {
            for (id, room) in chat.history.erased_since(&self.hears.names(), since) {
                Note::Delete { id, room }.write(start.dialect, &mut first);
            }
        }
        let erasures = site.chat.as_ref().map_or(0, |chat| chat.history.erasures());
        let way = Way { hears: self.hears.clone(), dialect: start.dialect, erasures };
        catch_up(way, start.since, first, site, cx)
    }

    fn on_message(&mut self, message: Heard, site: &mut Site, cx: &mut Context<'_>) -> Said<Site> {
        let text = match message {
            Heard::Text(text) => text,
            Heard::Binary(_) => return Said::nothing().close(CloseCode::UNSUPPORTED, "text only"),
        };
        let asked = match Asked::read(&text) {
            Ok(asked) => asked,
            Err((fault, reference)) => return refuse(&fault, &reference),
        };
        match asked {
            Asked::Send { room, message, reference } => self.send(room, message, reference, site, cx),
            Asked::Typing { room } => {
                if let Some(chat) = &mut site.chat
                    && let Some(named) = self.who.as_ref().and_then(|who| who.named.as_ref())
                {
                    for heard in self.hears.names() {
                        if room.as_deref().is_none_or(|room| room == heard) {
                            chat.presence.types(heard, named);
                        }
                    }
                    expect_news(chat, cx);
                }
                Said::nothing()
            }
        }
    }

    fn on_call(&mut self, site: &mut Site, cx: &mut Context<'_>) -> Said<Site> {
        let holds = match self.who.as_ref().and_then(|who| who.credential) {
            None => true,
            Some(credential) => {
                site.accounts.as_ref().is_some_and(|accounts| accounts.users.holds(credential, cx.wall))
            }
        };
        if holds { Said::nothing() } else { Said::nothing().close(CloseCode::POLICY, "the session has ended") }
    }

    fn on_end(&mut self, site: &mut Site, cx: &mut Context<'_>) {
        self.is_seen(site, cx, false);
    }
}

impl Listener {
    /// Says something: kept first, then heard by all, and acknowledged here.
    fn send(
        &self,
        room: Option<String>,
        text: String,
        reference: Value,
        site: &mut Site,
        cx: &mut Context<'_>,
    ) -> Said<Site> {
        let guest = Speaker::default();
        let (speaker, silenced, named, told) = match &self.who {
            Some(who) => (&who.speaker, who.silenced.as_ref(), who.named.as_ref(), who.told),
            None => (&guest, None, None, None),
        };
        if let Some(fault) = silenced {
            return refuse(fault, &reference);
        }
        let Some(chat) = &mut site.chat else { return Said::nothing() };
        if let Err(seconds) = chat.send_rate.take(told.unwrap_or(cx.peer.ip), cx.now) {
            site.tallies.throttled += 1;
            return refuse(&throttled(seconds), &reference);
        }
        if let Err(fault) = books::check(site) {
            return refuse(&fault, &reference);
        }
        // Who hears one room means that one.
        let room = room.or_else(|| self.hears.names().first().map(|room| (*room).to_owned()));
        let name = named.map(|named| named.name.to_string());
        match keeping::check(site, speaker, Draft { room, name, text }, cx) {
            Ok((entry, message)) => {
                Said::nothing().keep(entry, move |site, verdict, cx| match keeping::kept(site, message, verdict, cx) {
                    Ok(message) => {
                        Said::nothing().text(json!({"type": "ack", "ref": reference, "id": message.id}).to_string())
                    }
                    Err(fault) => refuse(&fault, &reference),
                })
            }
            Err(fault) => refuse(&fault, &reference),
        }
    }
}

/// If somebody came, left or types, that is told soon, but not more often than once a second.
fn expect_news(chat: &mut Chat, cx: &mut Context<'_>) {
    if chat.tells.is_none() && chat.presence.has_news() {
        let at = cx.now.plus(GATHERED_MS).max(chat.told.plus(EVERY_MS));
        chat.tells = Some(at);
        cx.wake_at(at);
    }
}

/// What a client says.
enum Asked {
    Send { room: Option<String>, message: String, reference: Value },
    Typing { room: Option<String> },
}

impl Asked {
    /// Reads it; what is wrong with it is told with the `ref` it came with, as far as that can be read.
    fn read(text: &str) -> Result<Asked, (Fault, Value)> {
        let members = body::object(text.as_bytes()).map_err(|fault| (fault, Value::Null))?;
        let reference = members.iter().find(|(name, _)| name == "ref").map_or(Value::Null, |(_, value)| value.clone());
        let is_fitting = match &reference {
            Value::Null | Value::Number(_) => true,
            Value::String(text) => text.chars().count() <= REF_MAX,
            _ => false,
        };
        if !is_fitting {
            return Err((body::bad_field("ref"), Value::Null));
        }
        let mut texts: [Option<String>; 3] = [const { None }; 3];
        for (name, value) in members {
            let place = ["type", "room", "message"].iter().position(|known| *known == name);
            match (place, value) {
                (Some(place), Value::String(text)) => texts[place] = Some(text),
                _ if name == "ref" => {}
                _ => return Err((body::bad_field(&name), reference)),
            }
        }
        let [kind, room, message] = texts;
        match (kind.as_deref(), message) {
            (Some("send"), message) => Ok(Asked::Send { room, message: message.unwrap_or_default(), reference }),
            (Some("typing"), None) => Ok(Asked::Typing { room }),
            (Some("typing"), Some(_)) => Err((body::bad_field("message"), reference)),
            _ => Err((body::bad_field("type"), reference)),
        }
    }
}

fn refuse(fault: &Fault, reference: &Value) -> Said<Site> {
    let mut error = json!({"type": "error", "code": fault.code, "ref": reference, "detail": fault.detail});
    if let Some(seconds) = fault.retry_after {
        error["retry_after"] = json!(seconds);
    }
    Said::nothing().text(error.to_string())
}

/// One who catches up: what it hears and how, and how many messages had been taken back when it began.
struct Way {
    hears: Hears,
    dialect: Dialect,
    erasures: u64,
}

/// What a listener has missed, a window at a time, behind `first`; then the tape. What is taken back meanwhile may be something
/// that it has been given: it is told before it is seated, for only from then on does it hear of such things by itself.
fn catch_up(way: Way, since: Option<i64>, mut first: Vec<u8>, site: &mut Site, cx: &mut Context<'_>) -> Said<Site> {
    let limits = &site.config.limits;
    let is_full = cx.stream_bytes() > limits.stream_total_bytes;
    let measure = WINDOW_BYTES.min(limits.stream_queue_bytes);
    let Some(chat) = &mut site.chat else { return Said::nothing().close(CloseCode::GOING_AWAY, "") };
    let names = way.hears.names();
    if let Some(id) = since.filter(|&id| id < chat.history.last_id()) {
        if is_full {
            return Said::nothing().frames(first).close(CloseCode::TRY_LATER, "too many catch up");
        }
        if !chat.history.reaches(id) {
            return Said::nothing().frames(first).then(move |site, _| from_ledger(way, id, site));
        }
        let window = chat.history.since_any(&names, id, WINDOW_MESSAGES);
        let last = write_window(way.dialect, &window, measure, &mut first);
        let is_all = window.len() < WINDOW_MESSAGES && window.last().is_none_or(|newest| Some(newest.id) == last);
        if !is_all {
            return Said::nothing()
                .frames(first)
                .then(move |site, cx| catch_up(way, last.or(since), Vec::new(), site, cx));
        }
    }
    if since.is_some() {
        for (id, room) in chat.history.erased_after(&names, way.erasures) {
            Note::Delete { id, room }.write(way.dialect, &mut first);
        }
    }
    match chat.tune(&names, cx) {
        Ok(topic) => Said::nothing().frames(first).listen(topic),
        Err(none) => Said::nothing().frames(first).close(CloseCode::POLICY, Fault::from(none).detail),
    }
}

/// Writes messages out until there are so many bytes; says which is the last that was.
fn write_window(dialect: Dialect, window: &[&Message], measure: usize, out: &mut Vec<u8>) -> Option<i64> {
    let mut last = None;
    for message in window {
        if out.len() >= measure && last.is_some() {
            break;
        }
        Note::Message(message).write(dialect, out);
        last = Some(message.id);
    }
    last
}

/// What only the ledger still has is read by a helper.
fn from_ledger(way: Way, since: i64, site: &mut Site) -> Said<Site> {
    let Some(chat) = &mut site.chat else { return Said::nothing() };
    let trip = Trip::begin(chat);
    Said::nothing().offload(Lane::Files, move || {
        let read = trip.look(|reader| {
            // Asked first: what is said meanwhile is not passed over, for it comes after this.
            let reached = reader.last_id()?;
            let found = reader.since_any(&way.hears.names(), since, WINDOW_MESSAGES)?;
            // Asked last: of what was trimmed while it was read a word too many is told, and not one too few.
            Ok((found, reached, reader.first_id()?, since < reader.trimmed(&way.hears.names())?))
        });
        move |site: &mut Site, _: &mut Context<'_>| match read.come_home(site) {
            Ok((found, reached, first_id, is_gap)) => hand_over(way, since, &found, reached, first_id, is_gap),
            Err(fault) => Said::nothing().close(CloseCode::INTERNAL, fault.detail),
        }
    })
}

/// What a helper has found, as much as fits into a window. If that is all, it had looked at everything up to `reached`. If it
/// `is_gap`, something of these rooms was trimmed before `first_id`.
fn hand_over(way: Way, since: i64, found: &[Message], reached: i64, first_id: i64, is_gap: bool) -> Said<Site> {
    let mut frames = Vec::new();
    if is_gap {
        Note::Gap { first: first_id }.write(way.dialect, &mut frames);
    }
    let window: Vec<&Message> = found.iter().collect();
    let mut last = write_window(way.dialect, &window, WINDOW_BYTES, &mut frames).unwrap_or(since);
    if found.len() < WINDOW_MESSAGES && found.last().is_none_or(|newest| newest.id == last) {
        last = last.max(reached);
    }
    let last = last.max(first_id - 1);
    Said::nothing().frames(frames).then(move |site, cx| catch_up(way, Some(last), Vec::new(), site, cx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_listener_owns_three_words() {
        assert_eq!(size_of::<Listener>(), 3 * size_of::<usize>());
    }

    #[test]
    fn what_a_client_says_is_read_strictly_and_its_ref_is_kept() {
        for (text, code, reference) in [
            (r#"{"type":"send","message":"x","ref":"a","ref":"b"}"#, "bad_field", json!(null)),
            (r#"{"type":"send","message":"x","ref":[1]}"#, "bad_field", json!(null)),
            (r#"{"type":"send","message":null,"ref":1.5}"#, "bad_field", json!(1.5)),
            (r#"{"type":"typing","message":"x","ref":"a"}"#, "bad_field", json!("a")),
            (r#"{"ref":"a"}"#, "bad_field", json!("a")),
            (r#""text""#, "invalid_json", json!(null)),
        ] {
            let Err((fault, kept)) = Asked::read(text) else { panic!("{text} was taken") };
            assert_eq!((fault.code, kept), (code, reference), "{text}");
        }
        let long = format!(r#"{{"type":"send","message":"x","ref":"{}"}}"#, "r".repeat(REF_MAX + 1));
        assert!(Asked::read(&long).is_err());
        assert!(matches!(Asked::read(r#"{"type":"typing","room":"den"}"#), Ok(Asked::Typing { room: Some(_) })));
    }
}
