//! Answers that come later, from whatever thread: a [`Ticket`] waits in the connection, an [`Answerer`] travels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;
use crate::http::fault::Fault;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::reactor::system::Key;

/// How an answer reaches the loop from another thread.
pub trait Mail: Send + Sync {
    /// Puts an answer into the loop's hands, and wakes it. One that nobody waits for any more is dropped.
    fn answer(&self, key: Key, number: u64, answer: Result<Response, Fault>);
}

/// A request that waits for its answer. It does not wait for ever.
#[derive(Debug)]
pub struct Ticket {
    pub(super) number: u64,
    pub(super) until: Moment,
    pub(super) within_ms: u64,
    /// Who is to blame if no answer comes.
    pub(super) route: String,
}

impl Ticket {
    pub(super) fn new(route: String, now: Moment, within_ms: u64) -> Ticket {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Ticket { number: NUMBER.fetch_add(1, Ordering::Relaxed), until: now.plus(within_ms), within_ms, route }
    }
}

/// The right, and the duty, to answer one request; from any thread. Dropped without an answer, it answers 500.
pub struct Answerer {
    key: Key,
    number: u64,
    mail: Arc<dyn Mail>,
    has_answered: bool,
}

impl Answerer {
    pub(super) fn new(key: Key, ticket: &Ticket, mail: Arc<dyn Mail>) -> Answerer {
        Answerer { key, number: ticket.number, mail, has_answered: false }
    }

    /// Answers. If the client has gone, or its time was over, nobody hears it.
    pub fn send(mut self, response: Response) {
        self.has_answered = true;
        self.mail.answer(self.key, self.number, Ok(response));
    }

    /// Refuses.
    pub fn refuse(mut self, fault: Fault) {
        self.has_answered = true;
        self.mail.answer(self.key, self.number, Err(fault));
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        if !self.has_answered {
            let fault = Fault::new(Status::INTERNAL_SERVER_ERROR, "no_answer", "the answer was lost on its way");
            self.mail.answer(self.key, self.number, Err(fault));
        }
    }
}
