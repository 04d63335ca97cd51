//! The chat as the ledger had it when it was opened.

use crate::http::fault::Fault;
use crate::server::context::Context;
use crate::site::state::{Chat, Site};
use crate::store::history::{History, Message};

/// What of the chat stays in memory; older messages are read from the ledger.
pub const HISTORY_MESSAGES: usize = 2_000;
const HISTORY_BYTES: usize = 1 << 20;

/// What was found in the ledger.
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

/// The chat remembers what was found.
pub fn opened(site: &mut Site, found: Found, cx: &mut Context<'_>) {
    let most = usize::try_from(site.config.limits.history_messages).unwrap_or(usize::MAX).min(HISTORY_MESSAGES);
    let Some(chat) = &mut site.chat else { return };
    let before = found.recent.first().map_or(found.last, |first| first.id - 1);
    chat.history = History::after(before, most, HISTORY_BYTES);
    for message in found.recent {
        chat.history.push(message);
    }
    for room in found.rooms {
        chat.rooms.restore(&room, cx);
    }
}
