//! [`State`]: what a program remembers.

use crate::http::request::Request;
use crate::server::context::Context;

/// What a program remembers, owned by the loop and lent to one handler at a time.
pub trait State: Sized + 'static {
    /// What its ledger keeps.
    type Entry: Send + 'static;

    /// A request has come, and nothing is decided yet: a proxy may tell of another client than the one at the other end, who is then
    /// put in its place in `cx`.
    fn on_request(&self, _request: &Request<'_>, _cx: &mut Context<'_>) {}

    /// The time that was asked for ([`Context::wake_at`]) has come.
    fn on_alarm(&mut self, _cx: &mut Context<'_>) {}
}

impl State for () {
    type Entry = ();
}
