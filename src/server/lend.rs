//! One state inside another. A part that was written for a state of its own works for any state that can lend that one: what it
//! replies is carried over, step by step.
//!
//! An answer at once passes through as it is. What goes on later costs one more box, for it must ask for the loan again each time.

use crate::http::fault::Fault;
use crate::server::context::{Call, Context};
use crate::server::reply::{Handler, Reply, Sink, State, Step, Task};
use crate::server::talk::{Act, Chore, Message, Said, Talk};

/// Entries of a ledger that may be those of a part: they are made of its entries, and given back as such.
///
/// Every type holds itself, so a program that keeps nothing of its own names the part's type as its
/// [`State::Entry`](crate::server::state::State::Entry) and is done.
pub trait Holds<E>: From<E> {
    /// The part's entry; what is none of its comes back.
    ///
    /// # Errors
    /// The entry itself, if it is the program's own.
    fn give_back(self) -> Result<E, Self>;
}

impl<E> Holds<E> for E {
    fn give_back(self) -> Result<E, E> {
        Ok(self)
    }
}

/// A state that has another in it, and lends it to whoever was written for that one.
pub trait Lend<T: State>: State<Entry: Holds<T::Entry>> {
    /// The other.
    fn lend(&mut self) -> &mut T;
}

impl<T: State> Lend<T> for T {
    fn lend(&mut self) -> &mut T {
        self
    }
}

/// A handler of `T`, for whoever lends one.
pub fn lent_handler<T: State, S: Lend<T>>(handler: Handler<T>) -> Handler<S> {
    Box::new(move |state: &mut S, call: &Call<'_>, cx: &mut Context<'_>| handler(state.lend(), call, cx).lent())
}

/// A step of `T`, for whoever lends one.
pub fn lent_step<T: State, S: Lend<T>>(step: Step<T>) -> Step<S> {
    Box::new(move |state: &mut S, cx: &mut Context<'_>| step(state.lend(), cx).lent())
}

/// A helper's work, whose step is for `T`.
pub fn lent_task<T: State, S: Lend<T>>(task: Task<T>) -> Task<S> {
    Box::new(move || lent_step(task()))
}

impl<T: State> Reply<T> {
    /// The same reply from a state that lends the one it is for: `app.site.log_in(..).lent()`.
    pub fn lent<S: Lend<T>>(self) -> Reply<S> {
        match self {
            Reply::Send(response) => Reply::Send(response),
            Reply::Refuse(fault) => Reply::Refuse(fault),
            Reply::Later(ticket) => Reply::Later(ticket),
            Reply::Collect { most, then } => Reply::Collect {
                most,
                then: Box::new(move |state: &mut S, body, cx| then(state.lend(), body, cx).lent()),
            },
            Reply::Receive { most, sink } => Reply::Receive { most, sink: Box::new(Lent(sink)) },
            Reply::Offload(lane, task) => Reply::Offload(lane, lent_task(task)),
            Reply::Within(ticket, lane, task) => Reply::Within(ticket, lane, lent_task(task)),
            Reply::Keep(entry, decided) => Reply::Keep(
                Box::new((*entry).into()),
                Box::new(move |state: &mut S, verdict, cx| decided(state.lend(), verdict, cx).lent()),
            ),
            Reply::Wait { topic, until, outlasts, again } => Reply::Wait {
                topic,
                until,
                outlasts,
                again: Box::new(move |state: &mut S, cx| again(state.lend(), cx).lent()),
            },
            Reply::Stream { head, talk } => Reply::Stream { head, talk: Box::new(Lent(talk)) },
            Reply::Talk(handshake, talk) => Reply::Talk(handshake, Box::new(Lent(talk))),
        }
    }
}

impl<T: State> Said<T> {
    /// The same, said by a state that lends the one it is for.
    fn lent<S: Lend<T>>(self) -> Said<S> {
        Said { acts: self.acts.into_iter().map(lent_act).collect() }
    }
}

fn lent_act<T: State, S: Lend<T>>(act: Act<T>) -> Act<S> {
    match act {
        Act::Text(text) => Act::Text(text),
        Act::Binary(bytes) => Act::Binary(bytes),
        Act::Frames(frames) => Act::Frames(frames),
        Act::Listen(topic) => Act::Listen(topic),
        Act::Leave => Act::Leave,
        Act::Close(code, reason) => Act::Close(code, reason),
        Act::Then(next) => Act::Then(Box::new(move |state: &mut S, cx| next(state.lend(), cx).lent())),
        Act::Keep(entry, judged) => Act::Keep(
            entry.into(),
            Box::new(move |state: &mut S, verdict, cx| judged(state.lend(), verdict, cx).lent()),
        ),
        Act::Offload(lane, chore) => Act::Offload(lane, lent_chore(chore)),
    }
}

fn lent_chore<T: State, S: Lend<T>>(chore: Chore<T>) -> Chore<S> {
    Box::new(move || {
        let thought = chore();
        Box::new(move |state: &mut S, cx: &mut Context<'_>| thought(state.lend(), cx).lent())
    })
}

/// A sink or a talk of a state that is lent.
struct Lent<B>(B);

impl<T: State, S: Lend<T>> Sink<S> for Lent<Box<dyn Sink<T>>> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.write(bytes)
    }

    fn position(&self) -> u64 {
        self.0.position()
    }

    fn finish(self: Box<Self>) -> Step<S> {
        lent_step(self.0.finish())
    }

    fn break_off(self: Box<Self>, rest: &[u8]) {
        self.0.break_off(rest);
    }
}

impl<T: State, S: Lend<T>> Talk<S> for Lent<Box<dyn Talk<T>>> {
    fn message_max(&self) -> u32 {
        self.0.message_max()
    }

    fn takes_binary(&self) -> bool {
        self.0.takes_binary()
    }

    fn on_open(&mut self, state: &mut S, cx: &mut Context<'_>) -> Said<S> {
        self.0.on_open(state.lend(), cx).lent()
    }

    fn on_message(&mut self, message: Message, state: &mut S, cx: &mut Context<'_>) -> Said<S> {
        self.0.on_message(message, state.lend(), cx).lent()
    }

    fn on_call(&mut self, state: &mut S, cx: &mut Context<'_>) -> Said<S> {
        self.0.on_call(state.lend(), cx).lent()
    }

    fn on_end(&mut self, state: &mut S, cx: &mut Context<'_>) {
        self.0.on_end(state.lend(), cx);
    }
}
