//! [`State`]: what a program remembers.

use crate::server::context::Context;

/// What a program remembers, owned by the loop and lent to one handler at a time.
pub trait State: Sized + 'static {
    /// What its ledger keeps.
    type Entry: Send + 'static;

    /// The time that was asked for ([`Context::wake_at`]) has come.
    fn on_alarm(&mut self, _cx: &mut Context<'_>) {}
}

impl State for () {
    type Entry = ();
}
