//! `GET /events`: what is said in some rooms from now on, or from an id on, without end.

use bytes::Bytes;

use crate::http::events;
use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::{Dialect, Reply, Topic};
use crate::site::books::when_open;
use crate::site::older::look_up;
use crate::site::opening::chat;
use crate::site::rooms::{LOBBY, NoRoom, Rooms, SET_MAX};
use crate::site::said::Note;
use crate::site::state::Site;
use crate::store::history::Message;

/// What a stream tells its client to wait before it comes again.
const RETRY_MS: u32 = 2000;

/// How many messages older than the history a stream that resumes is given; beyond them it is told of a gap.
const RESUMED_MAX: usize = 10_000;

/// And how many bytes of them: all of it waits in memory for a client that may not read.
const RESUMED_BYTES_MAX: usize = 1 << 20;

/// The rooms a stream asks for, each once.
pub fn rooms_of(request: &Request<'_>, rooms: &Rooms) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for (name, value) in form::query(request.query.unwrap_or_default()) {
        if name == "room" {
            for room in value.split(',') {
                rooms.check(room)?;
                if !names.iter().any(|known| known == room) {
                    names.push(room.to_owned());
                }
                if names.len() > SET_MAX {
                    let detail = "a stream listens to at most 32 rooms";
                    return Err(Fault::new(Status::BAD_REQUEST, "bad_room", detail));
                }
            }
        }
    }
    if names.is_empty() {
        names.push(LOBBY.to_owned());
    }
    Ok(names)
}

/// From where a stream goes on: `Last-Event-ID` wins over `since`; what is no id is no position.
pub fn position(request: &Request<'_>) -> Option<i64> {
    if let Some(id) = request.headers.get(Field::LastEventId) {
        return std::str::from_utf8(id).ok()?.parse().ok().filter(|&id: &i64| id >= 0);
    }
    let query = request.query.unwrap_or_default();
    let since = form::query(query).find(|(name, _)| name == "since").map(|(_, value)| value.into_owned());
    since?.parse().ok().filter(|&id: &i64| id >= 0)
}

/// The topic of these rooms, which are made if need be.
fn tune(rooms: &mut Rooms, names: &[String], cx: &mut Context<'_>) -> Result<Topic, NoRoom> {
    let entered = names.iter().map(|name| rooms.enter(name, cx)).collect::<Result<Vec<_>, _>>()?;
    rooms.tune(&entered, cx)
}

/// `GET /events`.
pub fn events(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let rooms = rooms_of(call.request, &chat(site)?.rooms)?;
    if cx.listeners() >= site.config.limits.streams {
        return Err(
            Fault::new(Status::SERVICE_UNAVAILABLE, "too_many_streams", "too many listen already").retry_after(30)
        );
    }
    let since = position(call.request);
    Ok(when_open(site, cx, move |site, cx| {
        let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
        match since.filter(|&since| since <= chat.history.last_id()) {
            Some(since) if !chat.history.reaches(since) => from_older(site, rooms, since),
            since => begin(site, &rooms, since, &[], None, cx),
        }
    }))
}

/// A stream that goes on from before the history's first message: what is missing is read by a helper.
fn from_older(site: &mut Site, rooms: Vec<String>, since: i64) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let asked = rooms.clone();
    let look = move |reader: &crate::store::messages::Reader| {
        let names: Vec<&str> = asked.iter().map(String::as_str).collect();
        let found = first_of(reader.since_any(&names, since, RESUMED_MAX)?, RESUMED_BYTES_MAX);
        Ok((found, reader.first_id()?))
    };
    look_up(chat, look, move |site, (found, first), cx| {
        let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
        let last = found.last().map_or(since, |last| last.id);
        // What was trimmed, or is more than a stream is given at once, is told.
        let gap = match chat.history.reaches(last) {
            false => Some(chat.history.first_id()),
            true => (since + 1 < first).then_some(first),
        };
        begin(site, &rooms, Some(last), &found, gap, cx)
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

fn begin(
    site: &mut Site,
    rooms: &[String],
    since: Option<i64>,
    older: &[Message],
    gap: Option<i64>,
    cx: &mut Context<'_>,
) -> Reply<Site> {
    let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
    let topic = match tune(&mut chat.rooms, rooms, cx) {
        Ok(topic) => topic,
        Err(none) => return Fault::from(none).into(),
    };
    let mut first = Vec::new();
    events::retry(RETRY_MS, &mut first);
    if let Some(first_id) = gap {
        Note::Gap { first: first_id }.event(&mut first);
    }
    if let Some(since) = since {
        let names: Vec<&str> = rooms.iter().map(String::as_str).collect();
        for (id, room) in chat.history.erased_since(&names, since) {
            Note::Delete { id, room }.event(&mut first);
        }
        let newer = chat.history.since_any(&names, since, usize::MAX);
        older.iter().chain(newer).for_each(|message| Note::Message(message).event(&mut first));
    }
    let head = Response::new(Status::OK)
        .header("Content-Type", "text/event-stream")
        .header("Cache-Control", "no-store")
        .header("X-Accel-Buffering", "no");
    let heartbeat = Bytes::from_static(events::HEARTBEAT);
    Reply::Stream { topic, dialect: Dialect::Event, owner: None, head, first: first.into(), heartbeat }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
