//! Who came, left or types is told to a room: at most once a second, all of it in one note.

use crate::server::context::Context;
use crate::site::keeping::tell;
use crate::site::presence::{Named, TOLD_MAX};
use crate::site::said::Note;
use crate::site::state::Site;

/// The time for it may have come.
pub fn tell_news(site: &mut Site, cx: &mut Context<'_>) {
    let Some(chat) = &mut site.chat else { return };
    match chat.tells {
        None => return,
        Some(at) if at > cx.now => return cx.wake_at(at),
        Some(_) => {}
    }
    chat.tells = None;
    chat.told = cx.now;
    for (room, news) in chat.presence.take_news() {
        let is_small = site.chat.as_ref().is_some_and(|chat| chat.rooms.count(&room, cx) <= TOLD_MAX);
        if !is_small {
            continue;
        }
        for (kind, people) in [("join", &news.joined), ("leave", &news.left), ("typing", &news.typing)] {
            let names: Vec<&str> = people.iter().map(|who: &Named| &*who.name).collect();
            if !names.is_empty() {
                tell(site, &room, &Note::Presence { kind, room: &room, names: &names }, cx);
            }
        }
    }
}
