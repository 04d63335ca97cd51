//! The chat for people whose browser runs no script: pages of `/messages` and `/rooms`, with a form to say something.

use std::fmt::Write;

use crate::http::date;
use crate::http::fault::Fault;
use crate::server::problem::escape;
use crate::site::ask::Ask;
use crate::site::frame::{Here, Sheet, frame, sentence};
use crate::site::table::time;
use crate::store::history::Message;

/// Where a room's page is.
pub fn address(prefix: &str, room: &str) -> String {
    format!("{prefix}/messages?room={room}")
}

fn whole(prefix: &str, title: &str, content: &str) -> String {
    let content = format!("  <section>\n<h1>{title}</h1>\n{content}  </section>\n");
    frame(prefix, &Sheet { title, here: Here::Chat, script: "common.js", content: &content })
}

/// The messages that were found, and what went wrong, if something did.
pub fn messages(
    prefix: &str,
    rooms: &[&str],
    found: &[&Message],
    ask: &Ask,
    is_gap: bool,
    fault: Option<&Fault>,
) -> String {
    // Only a room's name stands here that is one: letters, digits, hyphens.
    let (room, limit) = (&ask.room, ask.limit);
    let mut page = String::new();
    // Writing into a `String` never fails, so what `write!` returns says nothing.
    if rooms.len() > 1 {
        let links = rooms.iter().map(|room| format!("<a href=\"{}\">{room}</a>", address(prefix, room)));
        let _ = writeln!(page, "<nav aria-label=\"Rooms\">{}</nav>", links.collect::<Vec<_>>().join(" "));
    }
    if let Some(fault) = fault {
        let _ = writeln!(page, "<p class=\"error\" role=\"alert\">{}</p>", sentence(&fault.detail));
    }
    if let Some(query) = &ask.query {
        let _ = writeln!(page, "<p>Messages with <q>{}</q>:</p>", escape(query));
    } else if let Some(first) = found.first().filter(|first| first.id > 1 && ask.since.is_none()) {
        let id = first.id;
        let _ = writeln!(
            page,
            "<p><a href=\"{prefix}/messages?room={room}&amp;before={id}&amp;limit={limit}\">Earlier messages</a></p>"
        );
    }
    if is_gap {
        page.push_str("<p>Some messages before these are no longer kept.</p>\n");
    }
    list(&mut page, found);
    if let Some(last) = found.last().filter(|_| ask.before.is_some() || ask.since.is_some()) {
        let id = last.id;
        let _ = writeln!(
            page,
            "<p><a href=\"{prefix}/messages?room={room}&amp;since={id}&amp;limit={limit}\">Later messages</a></p>"
        );
    }
    forms(&mut page, prefix, room);
    whole(prefix, &format!("Chat: {room}"), &page)
}

/// What was said, the oldest first.
fn list(page: &mut String, found: &[&Message]) {
    page.push_str("<ol id=\"messages\">\n");
    for message in found {
        let (name, text, time) = (escape(&message.name), escape(&message.text), time(&date::rfc3339(message.ts)));
        let _ = writeln!(
            page,
            "<li id=\"m{}\"><p class=\"who\"><bdi>{name}</bdi> {time}</p>\
             <p class=\"text\" dir=\"auto\">{text}</p></li>",
            message.id
        );
    }
    page.push_str("</ol>\n");
    if found.is_empty() {
        page.push_str("<p>There is nothing here.</p>\n");
    }
}

/// To say something in a room, to search it, and the ways out of it.
fn forms(page: &mut String, prefix: &str, room: &str) {
    let _ = write!(
        page,
        "<form class=\"fields\" method=\"post\" action=\"{prefix}/send\">\n<input type=\"hidden\" name=\"room\" value=\"{room}\">\n\
         <p><label>Message <textarea name=\"message\" rows=\"3\" required></textarea></label></p>\n\
         <p><label>Name <input name=\"name\" maxlength=\"32\" autocomplete=\"nickname\"></label></p>\n\
         <p><button>Send</button></p>\n</form>\n\
         <form class=\"fields\" action=\"{prefix}/messages\">\n<input type=\"hidden\" name=\"room\" value=\"{room}\">\n\
         <p><label>Search <input type=\"search\" name=\"q\" maxlength=\"200\"></label></p>\n<p><button>Find</button></p>\n\
         </form>\n<p><a href=\"{}\">Newest messages</a> <a href=\"{prefix}/rooms\">All rooms</a></p>\n",
        address(prefix, room)
    );
}

/// The rooms, and how many listen to each.
pub fn rooms(prefix: &str, rooms: &[(&str, usize)]) -> String {
    let mut page = String::from("<ul>\n");
    for (room, count) in rooms {
        let _ = writeln!(page, "<li><a href=\"{}\">{room}</a>: {count} listening</li>", address(prefix, room));
    }
    page.push_str("</ul>\n");
    whole(prefix, "Rooms", &page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::http::status::Status;
    use crate::site::rooms::LOBBY;

    #[test]
    fn messages_are_a_page_for_people_in_which_nothing_said_is_markup() {
        let message = Message {
            id: 7,
            room: LOBBY.into(),
            ts: Wall::from_seconds(1_795_169_472),
            user: None,
            name: "ada".into(),
            text: "<b>&".into(),
        };
        let ask = Ask { limit: 1, ..Ask::newest(LOBBY, true) };
        let fault = Fault::new(Status::BAD_REQUEST, "bad_name", "a <name> is bad");
        let page = messages("/p", &[LOBBY, "den"], &[&message], &ask, true, Some(&fault));
        for line in [
            "<p class=\"text\" dir=\"auto\">&lt;b&gt;&amp;</p>",
            "<time datetime=\"2026-11-20T10:11:12Z\">",
            "href=\"/p/messages?room=lobby&amp;before=7&amp;limit=1\"",
            "no longer kept",
            "<p class=\"error\" role=\"alert\">a &lt;name&gt; is bad.</p>",
            "<a href=\"/p/messages?room=den\">den</a>",
            "action=\"/p/send\"",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("Later"), "{page}");
        let ask = Ask { query: Some("<q>".into()), ..ask };
        let page = messages("", &[LOBBY], &[], &ask, false, None);
        assert!(page.contains("<q>&lt;q&gt;</q>") && page.contains("nothing here"), "{page}");
    }
}
