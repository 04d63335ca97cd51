//! All that can follow a request, as values. A handler says what should happen; `connection` is the only place that makes it
//! happen.

use crate::clock::Moment;
use std::sync::Arc;

use crate::http::fault::Fault;
use crate::http::response::Response;
use crate::http::status::Status;
// Words of the loop that a handler may use; the rooms above take them from here.
pub use crate::reactor::hub::{Dialect, Hub, Topic};
pub use crate::reactor::slot::{Counts, TURN_MS, Tally};
pub use crate::reactor::system::{Key, Lane, Peer, Verdict};
use crate::server::context::{Call, Context};
use crate::server::later::Ticket;
pub use crate::server::state::State;
use crate::server::talk::{Handshake, Talk};

/// A handler: looks at a request's head and says what should follow.
pub type Handler<S> = Box<dyn Fn(&mut S, &Call<'_>, &mut Context<'_>) -> Reply<S>>;

/// What follows when a body has been gathered.
pub type Then<S> = Box<dyn FnOnce(&mut S, Vec<u8>, &mut Context<'_>) -> Reply<S>>;

/// What follows when a helper has come back. It runs whether or not its asker is still there.
pub type Step<S> = Box<dyn FnOnce(&mut S, &mut Context<'_>) -> Reply<S> + Send>;

/// What a helper does; it may block. It returns what follows in the loop.
pub type Task<S> = Box<dyn FnOnce() -> Step<S> + Send>;

/// What follows the ledger's verdict. It stays in the loop, so it need not be `Send`.
pub type Decided<S> = Box<dyn FnOnce(&mut S, Verdict, &mut Context<'_>) -> Reply<S>>;

/// What follows a wait: asked when something was said on the topic, and once more when the time is over
/// ([`Context::is_over`]). What it has in hand may have to be let go of by a helper.
pub type Again<S> = Box<dyn FnOnce(&mut S, &mut Context<'_>) -> Reply<S> + Send>;

/// Takes a large body, window by window, on a helper. Dropped before [`finish`](Sink::finish), it leaves nothing behind, unless
/// what it is for goes on another day.
pub trait Sink<S: State>: Send {
    /// Takes the next bytes. May block.
    ///
    /// # Errors
    /// Of the program's own. A refusal ends the upload and is the answer.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// Where in its file the next bytes will lie. Windows are cut so that they end at a multiple of their size there: a system
    /// keeps files in blocks, and whole blocks cost it least. By default nobody knows, and all windows are of one size.
    fn position(&self) -> u64 {
        0
    }

    /// The body is complete. May block. Returns what follows in the loop.
    fn finish(self: Box<Self>) -> Step<S>;

    /// The body breaks off: its client has gone, or is too slow. `_rest` is what came after the last window. May block. Nobody
    /// hears what comes of it; by default that is nothing.
    fn break_off(self: Box<Self>, _rest: &[u8]) {}
}

/// What should happen next.
#[non_exhaustive]
pub enum Reply<S: State> {
    /// Answer.
    Send(Response),
    /// Refuse.
    Refuse(Fault),
    /// Gather the body in memory, at most so many bytes, then go on. More is 413.
    Collect {
        /// The most bytes.
        most: usize,
        /// What follows.
        then: Then<S>,
    },
    /// Pass the body to a helper, window by window; at most so many bytes, zero for any number.
    Receive {
        /// The most bytes.
        most: u64,
        /// Who takes it.
        sink: Box<dyn Sink<S>>,
    },
    /// Have a helper do something, then take the step it returns. In a route of a program's own it has 30 s, then the client is
    /// told 504 and the log names the route; [`Within`](Reply::Within) has a time of its own.
    Offload(Lane, Task<S>),
    /// The answer comes from elsewhere, within a time: see [`Call::later`].
    Later(Ticket),
    /// Have a helper do something, then take the step it returns; if it takes longer than the ticket ([`Call::ticket`]) says, 504.
    /// The step is taken all the same.
    Within(Ticket, Lane, Task<S>),
    /// Have the ledger keep an entry, then go on with its verdict. Boxed, for replies are handed on by value, and most are answers.
    Keep(Box<S::Entry>, Decided<S>),
    /// Wait for the next note on a topic, or until the time is over, then ask again.
    Wait {
        /// On what.
        topic: Topic,
        /// Until when.
        until: Moment,
        /// Whether it goes on though the client has ended its half: what is waited for is not news, but something of ours.
        outlasts: bool,
        /// What is asked.
        again: Again<S>,
    },
    /// Begin an event stream without end, in which a talk says what has been written out already and what is said on its topic;
    /// it hears nothing.
    Stream {
        /// The answer's head.
        head: Response,
        /// Who speaks.
        talk: Box<dyn Talk<S>>,
    },
    /// Become a WebSocket. The connection never comes back to HTTP.
    Talk(Handshake, Box<dyn Talk<S>>),
}

/// How long a helper may take over a step of a program's own, unless it says otherwise.
pub const HELPER_MS: u64 = 30_000;

/// 503: whoever has this too much to do says so.
pub(super) fn overloaded() -> Fault {
    Fault::new(Status::SERVICE_UNAVAILABLE, "overloaded", "the server has too much to do; try again soon")
        .retry_after(2)
}

impl<S: State> Reply<S> {
    /// Changes the answer, whenever it is given: a refusal, an endless answer and a conversation stay what they are.
    pub fn map(self, change: Change) -> Reply<S> {
        match self {
            Reply::Send(response) => Reply::Send(change(response)),
            Reply::Collect { most, then } => {
                Reply::Collect { most, then: Box::new(move |state, body, cx| then(state, body, cx).map(change)) }
            }
            Reply::Receive { most, sink } => Reply::Receive { most, sink: Box::new(Changed { sink, change }) },
            Reply::Offload(lane, task) => Reply::Offload(lane, change_task(task, change)),
            Reply::Within(ticket, lane, task) => Reply::Within(ticket, lane, change_task(task, change)),
            Reply::Keep(entry, decided) => {
                Reply::Keep(entry, Box::new(move |state, verdict, cx| decided(state, verdict, cx).map(change)))
            }
            Reply::Wait { topic, until, outlasts, again } => {
                let again: Again<S> = Box::new(move |state, cx| again(state, cx).map(change));
                Reply::Wait { topic, until, outlasts, again }
            }
            other => other,
        }
    }

    /// Lets no body be larger than `most` bytes, in whatever step it is taken.
    pub fn limit_body(self, most: usize) -> Reply<S> {
        match self {
            Reply::Offload(lane, task) => Reply::Offload(lane, limit_task(task, most)),
            Reply::Within(ticket, lane, task) => Reply::Within(ticket, lane, limit_task(task, most)),
            Reply::Keep(entry, decided) => {
                Reply::Keep(entry, Box::new(move |state, verdict, cx| decided(state, verdict, cx).limit_body(most)))
            }
            Reply::Wait { topic, until, outlasts, again } => {
                let again: Again<S> = Box::new(move |state, cx| again(state, cx).limit_body(most));
                Reply::Wait { topic, until, outlasts, again }
            }
            Reply::Collect { most: own, then } => Reply::Collect { most: own.min(most), then },
            Reply::Receive { most: own, sink } => {
                let most = most as u64;
                Reply::Receive { most: if own == 0 { most } else { own.min(most) }, sink }
            }
            other => other,
        }
    }

    /// Bounds the time in which helpers come back, in whatever step they are asked: whoever asks by `route` does not wait for ever.
    pub(super) fn bounded(self, route: &Arc<str>, now: Moment) -> Reply<S> {
        let route = Arc::clone(route);
        match self {
            Reply::Collect { most, then } => Reply::Collect {
                most,
                then: Box::new(move |state, body, cx| then(state, body, cx).bounded(&route, cx.now)),
            },
            Reply::Receive { most, sink } => Reply::Receive { most, sink: Box::new(Bounded { sink, route }) },
            Reply::Offload(lane, task) => {
                let ticket = Ticket::new(route.to_string(), now, HELPER_MS);
                Reply::Within(ticket, lane, bound_task(task, route))
            }
            Reply::Within(ticket, lane, task) => Reply::Within(ticket, lane, bound_task(task, route)),
            Reply::Keep(entry, decided) => Reply::Keep(
                entry,
                Box::new(move |state, verdict, cx| decided(state, verdict, cx).bounded(&route, cx.now)),
            ),
            Reply::Wait { topic, until, outlasts, again } => Reply::Wait {
                topic,
                until,
                outlasts,
                again: Box::new(move |state, cx| again(state, cx).bounded(&route, cx.now)),
            },
            other => other,
        }
    }

    /// Has a file helper do something, then takes the step it returns.
    pub fn offload<F>(task: impl FnOnce() -> F + Send + 'static) -> Reply<S>
    where
        F: FnOnce(&mut S, &mut Context<'_>) -> Reply<S> + Send + 'static,
    {
        Reply::Offload(Lane::Files, Box::new(move || Box::new(task())))
    }

    /// The same for what waits until a disk has written.
    pub fn offload_write<F>(task: impl FnOnce() -> F + Send + 'static) -> Reply<S>
    where
        F: FnOnce(&mut S, &mut Context<'_>) -> Reply<S> + Send + 'static,
    {
        Reply::Offload(Lane::Writes, Box::new(move || Box::new(task())))
    }

    /// Gathers a small body, then goes on.
    pub fn collect(
        most: usize,
        then: impl FnOnce(&mut S, Vec<u8>, &mut Context<'_>) -> Reply<S> + 'static,
    ) -> Reply<S> {
        Reply::Collect { most, then: Box::new(then) }
    }
}

/// What is done to the reply that a request comes to in the end.
pub type Ending<S> = Box<dyn FnOnce(Reply<S>, &mut S, &mut Context<'_>) -> Reply<S> + Send>;

impl<S: State> Reply<S> {
    /// Has `ending` change what the request comes to, however many steps there are until then: an answer, a refusal, a stream.
    pub fn in_the_end(self, state: &mut S, cx: &mut Context<'_>, ending: Ending<S>) -> Reply<S> {
        match self {
            Reply::Collect { most, then } => Reply::Collect {
                most,
                then: Box::new(move |state, body, cx| then(state, body, cx).in_the_end(state, cx, ending)),
            },
            Reply::Receive { most, sink } => Reply::Receive { most, sink: Box::new(EndingSink { sink, ending }) },
            Reply::Offload(lane, task) => Reply::Offload(lane, Box::new(move || end_step(task(), ending))),
            Reply::Within(ticket, lane, task) => {
                Reply::Within(ticket, lane, Box::new(move || end_step(task(), ending)))
            }
            Reply::Keep(entry, decided) => Reply::Keep(
                entry,
                Box::new(move |state, verdict, cx| decided(state, verdict, cx).in_the_end(state, cx, ending)),
            ),
            Reply::Wait { topic, until, outlasts, again } => Reply::Wait {
                topic,
                until,
                outlasts,
                again: Box::new(move |state, cx| again(state, cx).in_the_end(state, cx, ending)),
            },
            end => ending(end, state, cx),
        }
    }
}

fn end_step<S: State>(step: Step<S>, ending: Ending<S>) -> Step<S> {
    Box::new(move |state, cx| step(state, cx).in_the_end(state, cx, ending))
}

struct EndingSink<S: State> {
    sink: Box<dyn Sink<S>>,
    ending: Ending<S>,
}

impl<S: State> Sink<S> for EndingSink<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.sink.write(bytes)
    }

    fn position(&self) -> u64 {
        self.sink.position()
    }

    fn finish(self: Box<Self>) -> Step<S> {
        end_step(self.sink.finish(), self.ending)
    }

    fn break_off(self: Box<Self>, rest: &[u8]) {
        self.sink.break_off(rest);
    }
}

/// A change of answers.
pub type Change = Arc<dyn Fn(Response) -> Response + Send + Sync>;

fn change_task<S: State>(task: Task<S>, change: Change) -> Task<S> {
    Box::new(move || {
        let step = task();
        Box::new(move |state, cx| step(state, cx).map(change))
    })
}

fn bound_step<S: State>(step: Step<S>, route: Arc<str>) -> Step<S> {
    Box::new(move |state, cx| step(state, cx).bounded(&route, cx.now))
}

fn bound_task<S: State>(task: Task<S>, route: Arc<str>) -> Task<S> {
    Box::new(move || bound_step(task(), route))
}

struct Bounded<S: State> {
    sink: Box<dyn Sink<S>>,
    route: Arc<str>,
}

impl<S: State> Sink<S> for Bounded<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.sink.write(bytes)
    }

    fn position(&self) -> u64 {
        self.sink.position()
    }

    fn finish(self: Box<Self>) -> Step<S> {
        let Bounded { sink, route } = *self;
        bound_step(sink.finish(), route)
    }

    fn break_off(self: Box<Self>, rest: &[u8]) {
        self.sink.break_off(rest);
    }
}

fn limit_task<S: State>(task: Task<S>, most: usize) -> Task<S> {
    Box::new(move || {
        let step = task();
        Box::new(move |state, cx| step(state, cx).limit_body(most))
    })
}

struct Changed<S: State> {
    sink: Box<dyn Sink<S>>,
    change: Change,
}

impl<S: State> Sink<S> for Changed<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.sink.write(bytes)
    }

    fn position(&self) -> u64 {
        self.sink.position()
    }

    fn finish(self: Box<Self>) -> Step<S> {
        let Changed { sink, change } = *self;
        let step = sink.finish();
        Box::new(move |state, cx| step(state, cx).map(change))
    }

    fn break_off(self: Box<Self>, rest: &[u8]) {
        self.sink.break_off(rest);
    }
}

impl<S: State> From<Response> for Reply<S> {
    fn from(response: Response) -> Reply<S> {
        Reply::Send(response)
    }
}

impl<S: State> From<Fault> for Reply<S> {
    fn from(fault: Fault) -> Reply<S> {
        Reply::Refuse(fault)
    }
}

impl<S: State, R: Into<Reply<S>>> From<Result<R, Fault>> for Reply<S> {
    fn from(result: Result<R, Fault>) -> Reply<S> {
        match result {
            Ok(reply) => reply.into(),
            Err(fault) => Reply::Refuse(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_small_enough_to_be_handed_on_by_value() {
        // Beyond 128 bytes each hand-over is a call to copy memory.
        assert!(size_of::<Reply<()>>() <= 128, "{} bytes", size_of::<Reply<()>>());
        assert!(size_of::<Response>() <= 128, "{} bytes", size_of::<Response>());
    }
}
