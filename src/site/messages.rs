//! `GET /messages`: what was said, as a page of the history; as soon as something new is said; or what is found in it.

use crate::clock::Moment;
use crate::http::fault::Fault;
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::problem;
use crate::server::reply::Reply;
use crate::site::ask::Ask;
use crate::site::books::when_open;
use crate::site::chat_page;
use crate::site::gate::Principal;
use crate::site::older::look_up;
use crate::site::opening::chat;
use crate::site::rooms::LOBBY;
use crate::site::said;
use crate::site::state::Site;
use crate::store::history::{History, Message};
use crate::store::users::Credential;

/// An answer ends with the message that brings it to this many bytes of text; who asks gets the rest by asking on.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// `GET /messages`.
pub fn messages(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let ask = Ask::of(call.request)?;
    chat(site)?.rooms.check(&ask.room)?;
    let until = cx.now.plus(ask.wait_s * 1000);
    let via = who.user().map(|user| user.via);
    Ok(when_open(site, cx, move |site, cx| match ask.query {
        Some(_) => search(site, ask),
        None => look(site, ask, until, via, cx),
    }))
}

/// What there is now; or, if there is nothing new and time is left, a wait after which this is asked again.
fn look(site: &mut Site, ask: Ask, until: Moment, via: Option<Credential>, cx: &mut Context<'_>) -> Reply<Site> {
    let found = site.chat.as_ref().and_then(|chat| in_memory(&chat.history, &ask));
    let Some(found) = found else { return read_older(site, ask) };
    // Before an id nothing new comes.
    let may_wait = ask.before.is_none() && !cx.is_over && cx.now < until;
    if !found.is_empty() || !may_wait {
        return answer(site, &found, &ask, false).into();
    }
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let topic = match chat.rooms.enter(&ask.room, cx) {
        Ok(room) => chat.rooms.topic(room),
        Err(none) => return Fault::from(none).into(),
    };
    // It is called when what it came in with ends.
    let hold = via.map(|via| chat.attached.hold(via, cx.key));
    let again = Box::new(move |site: &mut Site, cx: &mut Context<'_>| {
        drop(hold);
        look(site, ask, until, via, cx)
    });
    Reply::Wait { topic, until, outlasts: false, again }
}

/// What the history has; `None` if messages that only the ledger still has may belong to it.
fn in_memory<'h>(history: &'h History, ask: &Ask) -> Option<Vec<&'h Message>> {
    if let Some(since) = ask.since {
        return history.reaches(since).then(|| history.since(&ask.room, since, ask.limit));
    }
    let found = history.before(&ask.room, ask.before.unwrap_or(i64::MAX), ask.limit);
    (found.len() == ask.limit || history.reaches(0)).then_some(found)
}

/// Messages older than the history.
fn read_older(site: &mut Site, ask: Ask) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let asked = ask.clone();
    let look = move |reader: &crate::store::messages::Reader| {
        let found = match asked.since {
            Some(since) => reader.since(&asked.room, since, asked.limit)?,
            None => reader.before(&asked.room, asked.before.unwrap_or(i64::MAX), asked.limit)?,
        };
        Ok((found, reader.trimmed(&[&asked.room])?))
    };
    look_up(chat, look, move |site, (found, trimmed), _| {
        let is_gap = ask.since.is_some_and(|since| since < trimmed);
        answer(site, &found.iter().collect::<Vec<_>>(), &ask, is_gap).into()
    })
}

/// What is found by its words: the newest that have all of them, oldest first.
fn search(site: &mut Site, ask: Ask) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let asked = ask.clone();
    let look = move |reader: &crate::store::messages::Reader| {
        let words = asked.query.as_deref().unwrap_or_default();
        reader.search(&asked.room, words, asked.since, asked.before, asked.limit)
    };
    look_up(chat, look, move |site, found: Vec<Message>, _| {
        answer(site, &found.iter().collect::<Vec<_>>(), &ask, false).into()
    })
}

/// As many as fit into an answer: the first when they follow something, else the last.
fn fitting<'a, 'm>(found: &'a [&'m Message], ask: &Ask) -> &'a [&'m Message] {
    let mut bytes = 0;
    let mut fits = |message: &&&Message| {
        let had = bytes;
        bytes += message.text.len() + message.name.len();
        had == 0 || bytes <= ANSWER_BYTES_MAX
    };
    if ask.since.is_some() {
        &found[..found.iter().take_while(|message| fits(message)).count()]
    } else {
        &found[found.len() - found.iter().rev().take_while(|message| fits(message)).count()..]
    }
}

fn answer(site: &Site, found: &[&Message], ask: &Ask, is_gap: bool) -> Response {
    let found = fitting(found, ask);
    let answer = if ask.wants_page {
        let rooms = site.chat.as_ref().map(|chat| chat.rooms.names()).unwrap_or_default();
        let page = chat_page::messages(&site.config.path_prefix, &rooms, found, ask, is_gap, None);
        Response::html(Status::OK, page)
    } else {
        let last = found.last().map_or(ask.since.unwrap_or(0), |message| message.id);
        let mut text = b"{\"messages\":[".to_vec();
        for (at, message) in found.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            said::write_message(message, &mut text);
        }
        text.extend_from_slice(format!("],\"last\":{last},\"gap\":{is_gap}}}\n").as_bytes());
        Response::new(Status::OK).header("Content-Type", "application/json").with_body(Body::Bytes(text.into()))
    };
    answer.header("Cache-Control", "no-store").header("Vary", "Accept")
}

/// The newest messages as a page, with a sentence on what went wrong.
pub fn page_with(site: &Site, room: &str, fault: &Fault) -> Response {
    let rooms = site.chat.as_ref().map(|chat| chat.rooms.names()).unwrap_or_default();
    let known = rooms.contains(&room);
    let ask = Ask::newest(if known { room } else { LOBBY }, true);
    let found = site.chat.as_ref().map(|chat| chat.history.newest(&ask.room, ask.limit)).unwrap_or_default();
    let page = chat_page::messages(&site.config.path_prefix, &rooms, fitting(&found, &ask), &ask, false, Some(fault));
    problem::answer_with(fault, Some(page.into())).header("Vary", "Accept")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;

    fn message(id: i64, text: &str) -> Message {
        Message { id, room: LOBBY.into(), ts: Wall::from_seconds(0), user: None, name: "ada".into(), text: text.into() }
    }

    #[test]
    fn an_answer_has_no_more_bytes_than_its_measure_and_never_stops_at_nothing() {
        let long = "x".repeat(ANSWER_BYTES_MAX / 2 - 3);
        let messages: Vec<Message> = (1..=4).map(|id| message(id, &long)).collect();
        let all: Vec<&Message> = messages.iter().collect();
        let ids = |found: &[&Message]| found.iter().map(|message| message.id).collect::<Vec<_>>();
        let newest = Ask::newest(LOBBY, false);
        assert_eq!(ids(fitting(&all, &newest)), [3, 4]);
        assert_eq!(ids(fitting(&all, &Ask { since: Some(0), ..newest.clone() })), [1, 2]);
        let huge = message(5, &"x".repeat(ANSWER_BYTES_MAX + 1));
        assert_eq!(ids(fitting(&[&huge], &newest)), [5]);
        assert!(fitting(&[], &newest).is_empty());
    }
}
