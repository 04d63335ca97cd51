//! `GET /events` and `GET /ws`: what is said in some rooms from now on, or from an id on, without end.

use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::{Dialect, Reply};
use crate::server::talk::{Handshake, Talk};
use crate::site::ask;
use crate::site::books::when_open;
use crate::site::gate::{Action, Principal, Target, Terms, authorize, rights_of};
use crate::site::listener::{Hears, Listener, Who};
use crate::site::opening::chat;
use crate::site::presence::Named;
use crate::site::rooms::{LOBBY, Rooms, SET_MAX};
use crate::site::speaker::Speaker;
use crate::site::state::Site;

/// What is spoken over the WebSocket.
const PROTOCOL: &str = "hythe.chat.v1";

/// The rooms a stream asks for, each once.
pub fn rooms_of(request: &Request<'_>, rooms: &Rooms) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for (name, value) in form::query(request.query.unwrap_or_default()) {
        if name == "room" {
            for room in value.split(',') {
                rooms.check(room)?;
                if !names.iter().any(|known| known == room) {
                    names.push(room.to_owned());
                }
                if names.len() > SET_MAX {
                    let detail = "a stream listens to at most 32 rooms";
                    return Err(Fault::new(Status::BAD_REQUEST, "bad_room", detail));
                }
            }
        }
    }
    if names.is_empty() {
        names.push(LOBBY.to_owned());
    }
    Ok(names)
}

/// From where a stream goes on: `Last-Event-ID` wins over `since`; what is no id is no position.
pub fn position(request: &Request<'_>) -> Option<i64> {
    if let Some(id) = request.headers.get(Field::LastEventId) {
        return std::str::from_utf8(id).ok().and_then(ask::id);
    }
    let query = request.query.unwrap_or_default();
    form::query(query).find(|(name, _)| name == "since").and_then(|(_, value)| ask::id(&value))
}

/// Who would listen, if there is anything to know of it.
fn who(site: &Site, call: &Call<'_>, principal: &Principal, cx: &Context<'_>) -> Result<Option<Who>, Fault> {
    let speaker = Speaker::of(principal);
    let asked = form::query(call.query.unwrap_or_default()).find(|(name, _)| name == "name");
    let asked = asked.map(|(_, value)| value.into_owned()).filter(|name| !name.is_empty());
    let named = match (&speaker.user, asked) {
        (Some(user), _) => Some(Named { name: user.as_str().into(), is_user: true }),
        (None, Some(name)) => Some(Named { name: speaker.name(Some(&name), site, cx)?.into(), is_user: false }),
        (None, None) => None,
    };
    let terms = Terms { rights: rights_of(site, call.request), is_local: false };
    let silenced = authorize(principal, Action::ChatWrite, Target::Shared, &terms).err();
    let credential = principal.user().map(|user| user.via);
    let told = (!site.config.trusted_proxies.is_empty()).then_some(cx.peer.ip);
    let is_anybody =
        named.is_none() && silenced.is_none() && credential.is_none() && told.is_none() && !speaker.is_admin;
    Ok((!is_anybody).then_some(Who { speaker, named, credential, silenced, told }))
}

/// What a request for a stream comes to, once the ledger is open.
fn begin(
    site: &mut Site,
    call: &Call<'_>,
    principal: &Principal,
    dialect: Dialect,
    cx: &mut Context<'_>,
    reply: impl FnOnce(Box<dyn Talk<Site>>) -> Reply<Site> + Send + 'static,
) -> Result<Reply<Site>, Fault> {
    let names = rooms_of(call.request, &chat(site)?.rooms)?;
    if cx.listeners() >= site.config.limits.streams {
        let detail = "too many listen already";
        return Err(Fault::new(Status::SERVICE_UNAVAILABLE, "too_many_streams", detail).retry_after(30));
    }
    let who = who(site, call, principal, cx)?;
    let since = position(call.request);
    Ok(when_open(site, cx, move |site, cx| {
        let Some(chat) = &mut site.chat else { return Fault::not_found().into() };
        // Whether there is room for them is told before the stream begins.
        if let Err(none) = chat.tune(&names.iter().map(String::as_str).collect::<Vec<_>>(), cx) {
            return Fault::from(none).into();
        }
        let text_max = site.config.limits.message_limit_bytes;
        reply(Box::new(Listener::new(Hears::new(names), dialect, since, text_max, who)))
    }))
}

/// `GET /events`.
pub fn events(
    site: &mut Site,
    call: &Call<'_>,
    principal: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    begin(site, call, &principal, Dialect::Event, cx, |talk| {
        let head = Response::new(Status::OK)
            .header("Content-Type", "text/event-stream")
            .header("Cache-Control", "no-store")
            .header("X-Accel-Buffering", "no");
        Reply::Stream { head, talk }
    })
}

/// `GET /ws`.
pub fn socket(
    site: &mut Site,
    call: &Call<'_>,
    principal: Principal,
    cx: &mut Context<'_>,
) -> Result<Reply<Site>, Fault> {
    let handshake = Handshake::of(call.request, &[PROTOCOL])?;
    begin(site, call, &principal, Dialect::Frame, cx, |talk| Reply::Talk(handshake, talk))
}
