//! What a handler is given: the request with its canonical path, and what it may ask for while it runs.

use std::borrow::Cow;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::{Moment, Wall};
use crate::http::events;
use crate::http::fault::Fault;
use crate::http::form;
use crate::http::request::{BodyLength, Request};
use crate::http::status::Status;
use crate::http::websocket;
use crate::path::RelPath;
use crate::reactor::hub::{Dialect, Hub, Topic};
use crate::reactor::slot::{Counts, Load, Tally};
use crate::reactor::system::{Key, Lane, Peer};
use crate::server::later::{Answerer, Mail, Ticket};
use crate::server::pattern::Pattern;

/// A request that has found its handler.
pub struct Call<'a> {
    /// The head.
    pub request: &'a Request<'a>,
    /// Its path, decoded and proven canonical, without the server's prefix.
    pub path: &'a RelPath<'a>,
    /// Whether a slash ended the path.
    pub is_folder: bool,
    pub(super) mail: Option<&'a Arc<dyn Mail>>,
    /// The pattern of the route, if it came by one.
    pub(super) pattern: Option<Pattern<'a>>,
    /// What the pattern's parameters stand for.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Deref for Call<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        self.request
    }
}

impl<'a> Call<'a> {
    /// What a parameter of the pattern (`:name` or `*name`) stands for, decoded.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A parameter as a type: `let id: u32 = call.parameter_as("id")?`.
    ///
    /// # Errors
    /// 400 `bad_parameter` if it is no such thing.
    pub fn parameter_as<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        self.parameter(name).and_then(|value| value.parse().ok()).ok_or_else(|| bad_parameter(name))
    }

    /// The first value of a name in the query, decoded as a form is.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        form::query(self.request.query?).find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A value of the query as a type; `None` when it is not there.
    ///
    /// # Errors
    /// 400 `bad_parameter` if it is there and no such thing.
    pub fn query_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault> {
        let value = self.query_value(name);
        value.map(|value| value.parse().map_err(|_| bad_parameter(name))).transpose()
    }

    /// Leaves the answer to another thread: the [`Ticket`] goes into [`Reply::Later`](crate::server::reply::Reply::Later), the
    /// [`Answerer`] wherever the answer will be known. If there is none within `within_ms`, the client is told 504 and the log
    /// names the route.
    ///
    /// # Errors
    /// 503 if this server runs in a world without other threads.
    pub fn later(&self, cx: &Context<'_>, within_ms: u64) -> Result<(Ticket, Answerer), Fault> {
        let mail = self.mail.ok_or_else(|| {
            Fault::new(Status::SERVICE_UNAVAILABLE, "no_mail", "nothing can be answered from elsewhere here")
        })?;
        let ticket = self.ticket(cx, within_ms);
        let answerer = Answerer::new(cx.key, &ticket, mail.clone());
        Ok((ticket, answerer))
    }

    /// A time for a helper's work, in milliseconds from now: for [`Reply::Within`](crate::server::reply::Reply::Within). If it takes
    /// longer, the client is told 504 and the log names the route.
    pub fn ticket(&self, cx: &Context<'_>, within_ms: u64) -> Ticket {
        Ticket::new(self.route(), cx.now, within_ms)
    }

    /// Whether the body, as far as its length is told, is no longer than this.
    ///
    /// # Errors
    /// 413 if it is.
    pub fn check_body(&self, most: usize) -> Result<(), Fault> {
        match self.request.body {
            BodyLength::Known(length) if length > most as u64 => {
                let detail = format!("the body may have at most {most} bytes");
                Err(Fault::new(Status::CONTENT_TOO_LARGE, "too_large", detail))
            }
            _ => Ok(()),
        }
    }

    /// The route that the request came by, as it was added (`GET /items/:id`): what to count requests by, or to name in a log, for
    /// it holds nothing that a client has sent. Who answers what no route fits has none of its own: the method, and `/*`.
    pub fn route(&self) -> String {
        let method = self.request.method.name();
        self.pattern.map_or_else(|| format!("{method} /*"), |pattern| format!("{method} {pattern}"))
    }
}

/// 400 for a parameter that is not what it should be.
pub(super) fn bad_parameter(name: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_parameter", format!("{name} is missing or not what it should be"))
}

/// What a handler or step may ask for while it runs.
pub struct Context<'a> {
    /// The time, as of this turn of the loop.
    pub now: Moment,
    /// The time people see.
    pub wall: Wall,
    /// Who is at the other end. Whoever knows better, for a proxy told, says so before a handler runs.
    pub peer: Peer,
    /// Whether what is sent to them is encrypted on its way.
    pub is_secure: bool,
    /// Which connection this is about; [`Key::NOBODY`] if it is gone, or if it is about none.
    pub key: Key,
    /// Whether the house is closing.
    pub is_closing: bool,
    /// For a step that follows a wait: whether the time is over, so that waiting again is no answer.
    pub is_over: bool,
    /// What the loop has counted.
    pub counts: &'a Counts,
    /// What has been answered, by status.
    pub answers: &'a Tally,
    pub(super) load: &'a Load,
    pub(super) hub: &'a mut Hub,
    pub(super) alarm: &'a mut Option<Moment>,
    pub(super) called: &'a mut Vec<Key>,
    pub(super) stream_bytes: usize,
    pub(super) close_within_ms: &'a mut Option<u64>,
    pub(super) census: &'a [(&'static str, usize)],
    pub(super) wants_census: &'a mut bool,
    pub(super) promises: usize,
}

impl Context<'_> {
    /// Says a note on a topic: `write` is asked for its text in each dialect that somebody listens in. Whatever must be kept
    /// is kept before.
    pub fn say(&mut self, topic: Topic, write: impl FnMut(Dialect, &mut Vec<u8>)) {
        self.hub.say(topic, write);
    }

    /// Says a text on a topic: to WebSockets as a message, to event streams as an event of the default kind.
    pub fn say_text(&mut self, topic: Topic, text: &str) {
        self.say(topic, |dialect, out| match dialect {
            Dialect::Frame => websocket::write_text(text, out),
            Dialect::Event => events::message(None, None, text, out),
        });
    }

    /// Closes the house: no newcomers, and what has begun may take so long to end.
    pub fn close_house(&mut self, within_ms: u64) {
        *self.close_within_ms = Some(within_ms);
    }

    /// A new topic. Whoever makes topics bounds their number.
    pub fn topic(&mut self) -> Topic {
        self.hub.topic()
    }

    /// Gives a topic back to which nobody listens.
    pub fn retire(&mut self, topic: Topic) {
        self.hub.retire(topic);
    }

    /// How many listen to a topic or wait for it.
    pub fn listeners_of(&self, topic: Topic) -> usize {
        self.hub.listeners_of(topic)
    }

    /// Has [`State::on_alarm`](crate::server::reply::State::on_alarm) asked at `at`, or earlier if that was wished before.
    pub fn wake_at(&mut self, at: Moment) {
        *self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }

    /// Has a connection's talk asked ([`Talk::on_call`](crate::server::talk::Talk::on_call)), or its wait for news ended
    /// ([`is_over`](Context::is_over)), if it is still there.
    pub fn call_for(&mut self, key: Key) {
        self.called.push(key);
    }

    /// Bytes that wait for the listeners of all streams.
    pub fn stream_bytes(&self) -> usize {
        self.stream_bytes
    }

    /// How many listen, or wait, on any topic.
    pub fn listeners(&self) -> usize {
        self.hub.listeners()
    }

    /// Whether a lane of helpers takes new work. If not, 503 is the honest answer, before a body is taken.
    pub fn has_room(&self, lane: Lane) -> bool {
        self.load.has_room(lane)
    }

    /// How many connections were at what, the most first, at the end of a turn in which somebody wanted to know
    /// ([`count_connections`](Context::count_connections)).
    pub fn census(&self) -> &[(&'static str, usize)] {
        self.census
    }

    /// Has the connections counted at the end of this turn.
    pub fn count_connections(&mut self) {
        *self.wants_census = true;
    }

    /// Entries that wait for the ledger's verdict.
    pub fn entries_out(&self) -> usize {
        self.promises
    }

    /// Jobs waiting or running in a lane.
    pub fn jobs_out(&self, lane: Lane) -> usize {
        self.load.jobs_out(lane)
    }
}
