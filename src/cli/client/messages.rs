//! `send` and `tail`: one message said, and all that is said printed as it comes.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Body;
use ureq::http::Response;

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::server::{Ask, json_of, refusal};
use crate::cli::client::target;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{Voice, plain, text};
use crate::cli::client::words::{Send, Tail};

/// What `send -` reads at most; a server takes 4 KiB unless told otherwise.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// A line of an event stream has at most this; a message is far shorter.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// With how many messages `tail` begins.
const FIRST: &str = "10";
/// How many messages are asked for at once.
const PAGE: &str = "1000";

const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(10);

/// Says something.
///
/// # Errors
/// What the server has against it.
pub fn send(visit: &Visit, order: &Send) -> Result<(), Failure> {
    let message = match order.text.as_slice() {
        [dash] if dash == "-" => {
            let mut said = String::new();
            let read = io::stdin().take(TEXT_BYTES_MAX).read_to_string(&mut said);
            read.map_err(|error| Failure::local("read stdin", &error))?;
            said.trim_end_matches(['\r', '\n']).to_owned()
        }
        words => words.join(" "),
    };
    let mut wish = json!({"message": message, "room": order.room});
    if let Some(name) = &order.name {
        wish["name"] = name.as_str().into();
    }
    let said = visit.server.json(Ask::post("/send", &wish))?;
    visit.voice.result(&said, || line(&visit.voice, &said, false))
}

/// A message as a person reads it.
pub fn line(voice: &Voice, message: &Value, has_room: bool) -> String {
    // The time of the day in UTC; the day is told by `info`-like JSON.
    let time = text(message, "ts").get(11..16).unwrap_or_default();
    let room = if has_room { format!("#{} ", plain(text(message, "room"))) } else { String::new() };
    let name = plain(text(message, "name")).into_owned();
    // Whoever is signed in is told from a guest, who goes by any name.
    let name = if message["user"].is_null() { format!("({name})") } else { name };
    let said = text(message, "message").replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = said.split('\n').map(plain);
    let first = lines.next().unwrap_or_default();
    let mut written = format!("{} {room}{} {first}", voice.coloured(2, time), voice.coloured(36, &name));
    for more in lines {
        written.push_str("\n      ");
        written.push_str(&more);
    }
    written
}

/// Prints what was said, and what is said from then on.
///
/// # Errors
/// What the server has against it. A connection that was lost later is made anew.
pub fn tail(visit: &Visit, order: &Tail) -> Result<(), Failure> {
    let is_many = order.room.contains(',');
    let mut last = begin(visit, order, is_many)?;
    if order.once {
        return Ok(());
    }
    let mut pause = PAUSE_LEAST;
    let mut has_told = false;
    let mut is_first = true;
    loop {
        let since = last.to_string();
        let events = target::with_query("/events", &[("room", Some(&order.room)), ("since", Some(&since))]);
        let lost = match visit.server.any(Ask::get(events).field("accept", "text/event-stream")) {
            Ok(answer) if answer.status() == 200 => {
                if std::mem::take(&mut has_told) {
                    visit.voice.remark("connected again");
                }
                pause = PAUSE_LEAST;
                is_first = false;
                follow(visit, answer, is_many, &mut last)?;
                "the connection was lost".to_owned()
            }
            Ok(answer) => match refusal(answer) {
                // A server that is being started again may be there in a moment.
                failure if failure.ending == Ending::ServerError && !is_first => failure.sentence,
                failure => return Err(failure),
            },
            Err(failure) if failure.ending == Ending::NoConnection && !is_first => failure.sentence,
            Err(failure) => return Err(failure),
        };
        if !std::mem::replace(&mut has_told, true) {
            visit.voice.remark(&format!("{lost}; trying again"));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// What was said before: the last few, or all since an id. Answers with the id from which to go on.
fn begin(visit: &Visit, order: &Tail, is_many: bool) -> Result<u64, Failure> {
    let mut last = order.since;
    loop {
        let since = last.map(|last| last.to_string());
        let limit = if since.is_some() { PAGE } else { FIRST };
        // The stream itself brings what was missed in several rooms; /messages knows one.
        let room = order.room.split(',').next().unwrap_or_default();
        let parameters = [("room", Some(room)), ("since", since.as_deref()), ("limit", Some(limit))];
        let page = visit.server.json(Ask::get(target::with_query("/messages", &parameters)))?;
        if is_many {
            return Ok(order.since.or(page["last"].as_u64()).unwrap_or_default());
        }
        if page["gap"] == true {
            visit.voice.remark("some messages are no longer kept");
        }
        let messages = page["messages"].as_array().map_or(&[][..], Vec::as_slice);
        for message in messages {
            print(visit, message, is_many)?;
        }
        let reached = page["last"].as_u64().or(last).unwrap_or_default();
        let has_more = since.is_some() && !messages.is_empty() && last.is_none_or(|last| reached > last);
        last = Some(reached);
        if !has_more {
            return Ok(reached);
        }
    }
}

fn print(visit: &Visit, message: &Value, is_many: bool) -> Result<(), Failure> {
    visit.voice.result(message, || line(&visit.voice, message, is_many))
}

/// Prints events until the stream ends.
fn follow(visit: &Visit, answer: Response<Body>, is_many: bool, last: &mut u64) -> Result<(), Failure> {
    let events = Events { from: BufReader::new(answer.into_body().into_reader()) };
    for event in events {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { continue };
        match event.kind.as_str() {
            "" | "message" => {
                if let Some(id) = data["id"].as_u64() {
                    *last = id;
                }
                print(visit, &data, is_many)?;
            }
            "gap" => visit.voice.remark("some messages are no longer kept"),
            "delete" if visit.voice.is_json => visit.voice.out(&json!({"delete": data}).to_string())?,
            _ => {}
        }
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    kind: String,
    data: String,
}

/// An event stream, event by event (WHATWG HTML, section 9.2).
struct Events<R> {
    from: R,
}

impl<R: BufRead> Iterator for Events<R> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = Vec::new();
            let read = (&mut self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
            // What ends without an empty line never was an event.
            if read == 0 || line.last() != Some(&b'\n') {
                return None;
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if event.data.is_empty() {
                    event = Event::default();
                    continue;
                }
                event.data.pop();
                return Some(event);
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event.kind = value.to_owned(),
                "data" if event.data.len() < LINE_BYTES_MAX as usize => {
                    event.data.push_str(value);
                    event.data.push('\n');
                }
                _ => {}
            }
        }
    }
}

/// The messages of a room before and after, for those who show them themselves.
///
/// # Errors
/// What the server has against it.
pub fn history(visit: &Visit, room: &str, since: Option<u64>) -> Result<Value, Failure> {
    let since = since.map(|since| since.to_string());
    let limit = if since.is_some() { PAGE } else { FIRST };
    let parameters = [("room", Some(room)), ("since", since.as_deref()), ("limit", Some(limit))];
    json_of(visit.server.good(Ask::get(target::with_query("/messages", &parameters)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: Voice = Voice { is_json: false, is_quiet: false, is_seen: false, is_heard: false, has_colour: false };

    #[test]
    fn a_message_is_a_line_and_a_guest_is_told_from_a_user() {
        let message = |user: Value, said: &str| json!({"id": 1, "room": "lobby", "ts": "2026-11-20T10:11:12Z", "user": user, "name": "ada", "message": said});
        assert_eq!(line(&VOICE, &message(Value::Null, "Hello"), false), "10:11 (ada) Hello");
        assert_eq!(
            line(&VOICE, &message("ada".into(), "a\r\nb\u{1b}[2J"), true),
            "10:11 #lobby ada a\n      b\\u{1b}[2J"
        );
    }

    #[test]
    fn events_are_read_as_browsers_read_them() {
        let stream = "retry: 2000\n\n: heartbeat\n\nid: 1\ndata: {\"a\":\ndata: 1}\n\nevent: gap\ndata:x\r\n\r\nid: 2\n\ndata: cut";
        let events: Vec<_> = Events { from: stream.as_bytes() }.collect();
        let event = |kind: &str, data: &str| Event { kind: kind.into(), data: data.into() };
        assert_eq!(events, [event("", "{\"a\":\n1}"), event("gap", "x")]);
    }
}
