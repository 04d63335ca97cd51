//! A conversation over a WebSocket, as a program has it: whole messages come, and what is said in return is a value.
//!
//! A [`Talk`] is made by a handler ([`Reply::Talk`](crate::server::reply::Reply::Talk)) and lives as long as its connection. It
//! hears one message at a time. While what it has said waits to leave, or too much of what it has asked for is still being done,
//! its client is not read: whoever is full stops asking.

use std::borrow::Cow;

use bytes::Bytes;

pub use crate::http::upgrade::Handshake;
pub use crate::http::websocket::{CloseCode, Message};
use crate::reactor::hub::Topic;
use crate::reactor::system::{Lane, Verdict};
use crate::server::context::Context;
use crate::server::state::State;

/// How large a message may be, unless a talk says otherwise.
pub const MESSAGE_MAX: u32 = 64 << 10;

/// One side of a conversation: the program's.
pub trait Talk<S: State> {
    /// The largest message it hears, in bytes; a larger one ends the conversation with 1009, and is not held in memory. Asked once,
    /// before the conversation begins.
    fn message_max(&self) -> u32 {
        MESSAGE_MAX
    }

    /// Whether it hears binary messages too; if not, one ends the conversation with 1003 at its first byte. Asked once, before
    /// the conversation begins.
    fn takes_binary(&self) -> bool {
        true
    }

    /// The conversation has begun.
    fn on_open(&mut self, _state: &mut S, _cx: &mut Context<'_>) -> Said<S> {
        Said::nothing()
    }

    /// The client has said something.
    fn on_message(&mut self, message: Message, state: &mut S, cx: &mut Context<'_>) -> Said<S>;

    /// Somebody has called for this conversation ([`Context::call_for`]).
    fn on_call(&mut self, _state: &mut S, _cx: &mut Context<'_>) -> Said<S> {
        Said::nothing()
    }

    /// The conversation is over, whoever ended it. Told exactly once.
    fn on_end(&mut self, _state: &mut S, _cx: &mut Context<'_>) {}
}

/// What follows the ledger's verdict on what a talk had it keep. It runs whether or not the client is still there.
pub type Judged<S> = Box<dyn FnOnce(&mut S, Verdict, &mut Context<'_>) -> Said<S>>;

/// What follows when all that was said has left.
pub type Next<S> = Box<dyn FnOnce(&mut S, &mut Context<'_>) -> Said<S>>;

/// What follows when a helper has come back. It runs whether or not the client is still there.
pub type Thought<S> = Box<dyn FnOnce(&mut S, &mut Context<'_>) -> Said<S> + Send>;

/// What a helper does for a talk; it may block.
pub type Chore<S> = Box<dyn FnOnce() -> Thought<S> + Send>;

/// Something that a talk wants to have happen.
pub(super) enum Act<S: State> {
    Text(Bytes),
    Binary(Bytes),
    Frames(Bytes),
    Listen(Topic),
    Leave,
    Then(Next<S>),
    Keep(S::Entry, Judged<S>),
    Offload(Lane, Chore<S>),
    Close(CloseCode, Cow<'static, str>),
}

/// What a talk wants to have happen, in order.
#[must_use = "nothing is said until it is returned"]
pub struct Said<S: State> {
    pub(super) acts: Vec<Act<S>>,
}

impl<S: State> Default for Said<S> {
    fn default() -> Said<S> {
        Said::nothing()
    }
}

impl<S: State> Said<S> {
    /// Nothing. Costs nothing.
    pub fn nothing() -> Said<S> {
        Said { acts: Vec::new() }
    }

    fn and(mut self, act: Act<S>) -> Said<S> {
        self.acts.push(act);
        self
    }

    /// Sends a text. It goes to this client alone, and before anything that it has not yet heard of its topic.
    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Said<S> {
        self.and(Act::Text(match text.into() {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        }))
    }

    /// Sends a binary message.
    pub fn binary(self, bytes: impl Into<Bytes>) -> Said<S> {
        self.and(Act::Binary(bytes.into()))
    }

    /// Sends a message as it came.
    pub fn message(self, message: Message) -> Said<S> {
        match message {
            Message::Text(text) => self.text(text),
            Message::Binary(bytes) => self.binary(bytes),
        }
    }

    /// Sends frames that have been written out already ([`crate::http::websocket::write_text`]): a backlog.
    pub fn frames(self, frames: impl Into<Bytes>) -> Said<S> {
        self.and(Act::Frames(frames.into()))
    }

    /// Hears what is said on a topic from now on, in [`Dialect::Frame`](crate::reactor::hub::Dialect::Frame), instead of any topic
    /// before.
    pub fn listen(self, topic: Topic) -> Said<S> {
        self.and(Act::Listen(topic))
    }

    /// Hears no topic any more.
    pub fn leave(self) -> Said<S> {
        self.and(Act::Leave)
    }

    /// Goes on when all that was said so far has left: so that much can be told without holding it all.
    pub fn then(self, next: impl FnOnce(&mut S, &mut Context<'_>) -> Said<S> + 'static) -> Said<S> {
        self.and(Act::Then(Box::new(next)))
    }

    /// Has the ledger keep an entry, then goes on with its verdict.
    pub fn keep(
        self,
        entry: S::Entry,
        judged: impl FnOnce(&mut S, Verdict, &mut Context<'_>) -> Said<S> + 'static,
    ) -> Said<S> {
        self.and(Act::Keep(entry, Box::new(judged)))
    }

    /// Has a helper do something, then takes the step it returns. If the lane is full, the client is told to come later (1013).
    pub fn offload<F>(self, lane: Lane, chore: impl FnOnce() -> F + Send + 'static) -> Said<S>
    where
        F: FnOnce(&mut S, &mut Context<'_>) -> Said<S> + Send + 'static,
    {
        self.and(Act::Offload(lane, Box::new(move || Box::new(chore()))))
    }

    /// Ends the conversation. What is sent after it is not.
    pub fn close(self, code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Said<S> {
        self.and(Act::Close(code, reason.into()))
    }
}
