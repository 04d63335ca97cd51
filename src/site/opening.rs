//! The chat's ledger is opened off the loop: whoever asks for it in the first moments of a run waits, as a long poll does.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::Reply;
use crate::site::state::{Chat, LedgerState, Site};
use crate::store::history::{History, Message};

/// What of the chat stays in memory; older messages are read from the ledger.
pub const HISTORY_MESSAGES: usize = 2_000;
const HISTORY_BYTES: usize = 1 << 20;

/// How long a request waits for a ledger that is being opened.
const OPENING_MAX_MS: u64 = 10_000;

/// What was found in the ledger when it was opened.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest messages, oldest first.
    pub recent: Vec<Message>,
    /// The id of the last message ever.
    pub last: i64,
    /// The rooms that hold messages.
    pub rooms: Vec<String>,
}

/// The chat, if there is one.
pub fn chat(site: &mut Site) -> Result<&mut Chat, Fault> {
    site.chat.as_mut().ok_or_else(Fault::not_found)
}

/// 503, for what needs a ledger that cannot be used.
pub fn shut() -> Fault {
    Fault::new(Status::SERVICE_UNAVAILABLE, "ledger_shut", "the chat's ledger cannot be used now").retry_after(60)
}

/// Goes on once the ledger has been opened.
pub fn when_open(
    site: &mut Site,
    cx: &mut Context<'_>,
    then: impl FnOnce(&mut Site, &mut Context<'_>) -> Reply<Site> + 'static,
) -> Reply<Site> {
    match &site.chat {
        None => Fault::not_found().into(),
        Some(chat) if matches!(chat.ledger, LedgerState::Open | LedgerState::ReadOnly) => then(site, cx),
        Some(chat) if chat.ledger == LedgerState::Opening && !cx.is_over => Reply::Wait {
            topic: chat.rooms.lobby(),
            until: cx.now.plus(OPENING_MAX_MS),
            outlasts: true,
            again: Box::new(move |site, cx| when_open(site, cx, then)),
        },
        Some(_) => shut().into(),
    }
}

/// The ledger is open, or will not be, for the reason given: whoever waited goes on.
pub fn opened(site: &mut Site, opened: Result<Found, String>, cx: &mut Context<'_>) {
    let Some(chat) = &mut site.chat else { return };
    match opened {
        Ok(Found { recent, last, rooms }) => {
            let before = recent.first().map_or(last, |first| first.id - 1);
            chat.history = History::after(before, HISTORY_MESSAGES, HISTORY_BYTES);
            for message in recent {
                chat.history.push(message);
            }
            for room in rooms {
                chat.rooms.restore(&room, cx);
            }
            chat.ledger = LedgerState::Open;
        }
        Err(error) => {
            log::error!("the chat's ledger cannot be opened: {error}");
            chat.ledger = LedgerState::Shut;
        }
    }
    // Nobody listens on the tapes yet; this wakes those who wait.
    cx.say(chat.rooms.lobby(), |_, _| {});
}
