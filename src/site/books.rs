//! How a handler uses the ledger: it waits until it is open, and hears when it is lost.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::{Reply, Verdict};
use crate::site::state::{LedgerState, Site};

/// How long a request waits for a ledger that is being opened.
const OPENING_MAX_MS: u64 = 10_000;

/// 503, for what cannot be kept or read now.
pub fn shut() -> Fault {
    Fault::new(Status::SERVICE_UNAVAILABLE, "ledger_shut", "the ledger cannot be used now").retry_after(60)
}

/// 503, for what could not be kept because another process was at the ledger, or the disk is full.
pub fn busy() -> Fault {
    let detail = "the ledger takes nothing now: another process is at it, or its disk is full";
    Fault::new(Status::SERVICE_UNAVAILABLE, "ledger_busy", detail).retry_after(5)
}

/// Whether entries are taken, or will be once the ledger is open.
///
/// # Errors
/// [`shut`], if they never will be again in this run.
pub fn check(site: &Site) -> Result<(), Fault> {
    match site.books.as_ref().map(|books| books.state) {
        Some(LedgerState::Opening | LedgerState::Open) => Ok(()),
        Some(LedgerState::ReadOnly | LedgerState::Shut) | None => Err(shut()),
    }
}

/// Whether nobody can say who somebody is: the database is there and cannot be read. What was never read is not wrong.
pub fn is_blind(site: &Site) -> bool {
    let is_unreadable = site.accounts.as_ref().is_some_and(|accounts| accounts.is_unreadable);
    site.books.as_ref().is_some_and(|books| match books.state {
        LedgerState::Shut => true,
        LedgerState::Opening => is_unreadable,
        LedgerState::Open | LedgerState::ReadOnly => false,
    })
}

/// Goes on once the ledger has been opened: in the first moments of a run a helper may still be at it.
pub fn when_open(
    site: &mut Site,
    cx: &mut Context<'_>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + Send + 'static,
) -> Reply<Site> {
    match &site.books {
        Some(books) if matches!(books.state, LedgerState::Open | LedgerState::ReadOnly) => then(site, cx),
        Some(books) if books.state == LedgerState::Opening && !cx.is_over => Reply::Wait {
            topic: books.opened,
            until: cx.now.plus(OPENING_MAX_MS),
            outlasts: true,
            again: Box::new(move |site, cx| when_open(site, cx, then)),
        },
        _ => shut().into(),
    }
}

/// The ledger is open, or will not be: whoever waited goes on.
pub fn opened(site: &mut Site, state: LedgerState, cx: &mut Context<'_>) {
    let Some(books) = &mut site.books else { return };
    books.state = state;
    // Nobody listens on this topic's tapes; this wakes those who wait.
    cx.say(books.opened, |_, _| {});
}

/// Notes what a verdict says of the ledger itself.
pub fn heed(site: &mut Site, verdict: Verdict) {
    if let Some(books) = &mut site.books
        && verdict == Verdict::Lost
    {
        books.state = LedgerState::ReadOnly;
    }
}
