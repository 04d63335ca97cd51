//! The chat's short answers: saying something, taking it back, which rooms there are and who is in them.

use serde_json::json;

use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::{Reply, Verdict};
use crate::site::ask;
use crate::site::body::Kind;
use crate::site::books::{self, when_open};
use crate::site::chat_page;
use crate::site::draft::{Draft, Form};
use crate::site::gate::{Principal, throttled};
use crate::site::keeping;
use crate::site::messages::page_with;
use crate::site::older::look_up;
use crate::site::opening::chat;
use crate::site::presence::TOLD_MAX;
use crate::site::rooms::LOBBY;
use crate::site::said;
use crate::site::speaker::Speaker;
use crate::site::state::Site;
use crate::store::history::Message;

/// `POST /send`: keeps a message, then says it.
pub fn send(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    books::check(site)?;
    let speaker = Speaker::of(&who);
    let form = Form::of(call.request);
    let wants_page = form.as_ref().is_ok_and(Form::is_form) && prefers_html(call.headers.all(Field::Accept));
    if let Err(seconds) = chat(site)?.send_rate.take(cx.peer.ip, cx.now) {
        site.tallies.throttled += 1;
        return Ok(refuse(site, &throttled(seconds), wants_page.then_some(LOBBY)));
    }
    let form = form?;
    let (room, name) = if form == Form::Text { room_and_name(call.query.unwrap_or_default()) } else { (None, None) };
    // The text has a limit of its own; a form or a document may spend several bytes on each of it.
    let most = match form {
        Form::Text => site.config.limits.message_limit_bytes,
        Form::Members(Kind::Json) => site.config.limits.json_limit_bytes,
        Form::Members(_) => site.config.limits.form_limit_bytes,
    };
    Ok(Reply::collect(most, move |site: &mut Site, body, cx| {
        let draft = match form.read(&body) {
            Ok(draft) => Draft { room: draft.room.or(room), name: draft.name.or(name), ..draft },
            Err(fault) => return refuse(site, &fault, wants_page.then_some(LOBBY)),
        };
        let room = draft.room.clone().unwrap_or_else(|| LOBBY.to_owned());
        when_open(site, cx, move |site, cx| {
            let (entry, message) = match keeping::check(site, &speaker, draft, cx) {
                Ok(checked) => checked,
                Err(fault) => return refuse(site, &fault, wants_page.then_some(&room)),
            };
            let decided = move |site: &mut Site, verdict: Verdict, cx: &mut Context<'_>| match keeping::kept(
                site, message, verdict, cx,
            ) {
                Ok(_) if wants_page => {
                    let page = chat_page::address(&site.config.path_prefix, &room);
                    Response::redirect(Status::SEE_OTHER, &page).into()
                }
                Ok(message) => said::answer(Status::CREATED, &message).into(),
                Err(fault) => refuse(site, &fault, wants_page.then_some(&room)),
            };
            Reply::Keep(Box::new(entry), Box::new(decided))
        })
    }))
}

/// Plain text has no other place than the query to say where it belongs and whose it is.
fn room_and_name(query: &str) -> (Option<String>, Option<String>) {
    let told = |wanted| form::query(query).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    (told("room"), told("name"))
}

/// A form of a browser gets its page back, with the sentence; everyone else the fault.
fn refuse(site: &Site, fault: &Fault, page: Option<&str>) -> Reply<Site> {
    match page {
        Some(room) => page_with(site, room, fault).into(),
        None => fault.clone().into(),
    }
}

/// `DELETE /messages/<id>`: takes a message back.
pub fn remove(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    books::check(site)?;
    let speaker = Speaker::of(&who);
    let id = call.parameter("id").and_then(ask::id).ok_or_else(Fault::not_found)?;
    chat(site)?;
    Ok(when_open(site, cx, move |site, cx| {
        let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
        if let Some(message) = chat.history.get(id) {
            let message = message.clone();
            return erase(&speaker, Some(&message), cx);
        }
        look_up(chat, move |reader| reader.get(id), move |_, message, cx| erase(&speaker, message.as_ref(), cx))
    }))
}

fn erase(speaker: &Speaker, message: Option<&Message>, cx: &Context<'_>) -> Reply<Site> {
    let Some(message) = message else { return Fault::not_found().into() };
    if let Err(fault) = speaker.may_erase(message, cx.wall) {
        return fault.into();
    }
    let id = message.id;
    keeping::erase(id, message.room.clone(), move |_, outcome, _| match outcome {
        Ok(()) => Response::json(Status::OK, &json!({"status": "success", "deleted": id})).into(),
        Err(fault) => fault.into(),
    })
}

/// `GET /rooms`: which there are, and how many listen to each.
pub fn rooms(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let wants_page = prefers_html(call.headers.all(Field::Accept));
    chat(site)?;
    Ok(when_open(site, cx, move |site, cx| {
        let Some(chat) = &site.chat else { return Fault::not_found().into() };
        let counted = chat.rooms.names().into_iter().map(|room| (room, chat.rooms.count(room, cx)));
        let counted: Vec<(&str, usize)> = counted.collect();
        let answer = if wants_page {
            let page = chat_page::rooms(&site.config.path_prefix, &counted);
            Response::html(Status::OK, page).header("Cache-Control", "no-store")
        } else {
            let rooms: Vec<_> = counted.iter().map(|(name, count)| json!({"name": name, "count": count})).collect();
            Response::json(Status::OK, &json!({"rooms": rooms, "open": chat.rooms.is_open()}))
        };
        answer.header("Vary", "Accept").into()
    }))
}

/// `GET /who`: how many listen to a room, and the names of those who have one.
pub fn who(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Response, Fault> {
    let asked = form::query(call.query.unwrap_or_default()).find(|(name, _)| name == "room");
    let room = asked.map_or_else(|| LOBBY.to_owned(), |(_, value)| value.into_owned());
    let chat = chat(site)?;
    chat.rooms.check(&room)?;
    let count = chat.rooms.count(&room, cx);
    // Where many listen, counts say more than names.
    let most = if count > TOLD_MAX { 0 } else { TOLD_MAX };
    let names: Vec<&str> = chat.presence.names(&room, most).into_iter().map(|who| &*who.name).collect();
    Ok(Response::json(Status::OK, &json!({"room": room, "count": count, "names": names})))
}
