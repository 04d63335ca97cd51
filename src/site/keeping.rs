//! Kept before heard: a message is given to the ledger, and its verdict says it to the room. So it is with its end.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::Context;
use crate::server::reply::{Reply, Verdict};
use crate::site::books;
use crate::site::draft::{Draft, check_text};
use crate::site::rooms::LOBBY;
use crate::site::said::Note;
use crate::site::speaker::Speaker;
use crate::site::state::Site;
use crate::store::entry::{Entry, Saying};
use crate::store::history::Message;

/// Checks a message: what is given to the ledger, and the message without its id.
///
/// # Errors
/// Why it cannot be said.
pub fn check(
    site: &mut Site,
    speaker: &Speaker,
    draft: Draft,
    cx: &mut Context<'_>,
) -> Result<(Entry, Message), Fault> {
    check_text(&draft.text, site.config.limits.message_limit_bytes)?;
    let name = speaker.name(draft.name.as_deref(), site, cx)?;
    let Some(chat) = &mut site.chat else { return Err(Fault::not_found()) };
    let room = draft.room.unwrap_or_else(|| LOBBY.to_owned());
    let entered = chat.rooms.enter(&room, cx)?;
    chat.rooms.keep(entered);
    let (user, text) = (speaker.user.clone(), draft.text);
    let entry =
        Saying::Said { room: room.clone(), ts: cx.wall, user: user.clone(), name: name.clone(), text: text.clone() };
    Ok((Entry::Chat(entry), Message { id: 0, room, ts: cx.wall, user, name, text }))
}

/// The ledger has decided. A message that is kept takes its place in the history and is said to all who listen.
///
/// # Errors
/// It was not kept.
pub fn kept(site: &mut Site, message: Message, verdict: Verdict, cx: &mut Context<'_>) -> Result<Message, Fault> {
    let Verdict::Kept(id) = verdict else { return Err(not_kept(site, verdict)) };
    let message = Message { id, ..message };
    tell(site, &message.room, &Note::Message(&message), cx);
    if let Some(chat) = &mut site.chat {
        chat.history.push(message.clone());
    }
    site.tallies.messages += 1;
    Ok(message)
}

/// The ledger would not have it. If it lost it, it takes nothing more.
fn not_kept(site: &mut Site, verdict: Verdict) -> Fault {
    books::heed(site, verdict);
    if verdict == Verdict::Busy {
        return books::busy();
    }
    Fault::new(Status::SERVICE_UNAVAILABLE, "not_kept", "the message could not be kept").retry_after(60)
}

/// Has a message taken back; once the ledger has erased it, it is gone for all.
pub fn erase(
    id: i64,
    room: String,
    then: impl FnOnce(&mut Site, Result<(), Fault>, &mut Context<'_>) -> Reply<Site> + 'static,
) -> Reply<Site> {
    let decided = move |site: &mut Site, verdict: Verdict, cx: &mut Context<'_>| match verdict {
        Verdict::Kept(_) => {
            if let Some(chat) = &mut site.chat {
                chat.history.erase(id, &room);
            }
            tell(site, &room, &Note::Delete { id, room: &room }, cx);
            then(site, Ok(()), cx)
        }
        Verdict::Refused => then(site, Err(Fault::not_found()), cx),
        Verdict::Busy | Verdict::Lost => {
            let fault = not_kept(site, verdict);
            then(site, Err(fault), cx)
        }
    };
    Reply::Keep(Box::new(Entry::Chat(Saying::Erase { id })), Box::new(decided))
}

/// Tells all who listen to a room, written out once for each dialect.
pub fn tell(site: &mut Site, room: &str, note: &Note<'_>, cx: &mut Context<'_>) {
    let Some(chat) = &mut site.chat else { return };
    let mut written: [Vec<u8>; 2] = Default::default();
    for topic in chat.rooms.topics(room, cx) {
        cx.say(topic, |dialect, out| {
            let text = &mut written[dialect as usize];
            if text.is_empty() {
                note.write(dialect, text);
            }
            out.extend_from_slice(text);
        });
    }
}
