//! How much of an upload has come.

use serde_json::json;

use crate::http::date;
use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::files::url;
use crate::site::gate::Principal;
use crate::site::resume::answer::{answer, imf, told};
use crate::site::resume::head::{check_version, named};
use crate::site::resume::recovery::written_state;
use crate::site::resume::upload::{Disks, area_of, find, maker, note};
use crate::site::state::{Site, disk_fault};
use crate::store::disk::{PartialId, Unfinished};
use crate::store::partial::{Hold, State};

/// `GET` and `HEAD /tus/<id>`: how much has come.
pub fn status(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(status_now(site, call, call.method, &who, cx))
}

/// The same for a method that may have been said in another way.
pub fn status_now(
    site: &mut Site,
    call: &Call<'_>,
    method: Method,
    who: &Principal,
    cx: &Context<'_>,
) -> Result<Reply<Site>, Fault> {
    // For networks that let nothing but plain GET through, a GET need not know tus.
    if method != Method::Get || call.headers.find("Tus-Resumable").is_some() {
        check_version(&call.headers)?;
    }
    let id = named(call)?;
    let partial = find(site, id, &maker(who, cx.peer.ip), cx.wall)?;
    let (state, hold) = (partial.state.clone(), partial.hold.clone());
    if partial.is_finished {
        return Ok(describe(site, method, &state, state.length.unwrap_or(0), true).into());
    }
    let disks = Disks::of(site)?;
    Ok(Reply::offload(move || {
        let seen = disks.unfinished(&state).ok_or_else(Fault::not_found).and_then(|unfinished| {
            look(unfinished, id, state, &hold).map_err(|error| disk_fault(&error, "look at an upload"))
        });
        move |site: &mut Site, _: &mut Context<'_>| {
            told(seen.map(|(state, size, is_finished)| {
                if is_finished {
                    note(site, id, &state, true);
                }
                describe(site, method, &state, size, is_finished).into()
            }))
        }
    }))
}

/// How much of an upload there is, and whether it is finished: another process may have seen to that.
pub fn look(
    unfinished: &dyn Unfinished,
    id: PartialId,
    state: State,
    hold: &Hold,
) -> std::io::Result<(State, u64, bool)> {
    let mut held = hold.lock();
    match unfinished.size(id) {
        // It may just have been given its place, here or by another process, and the loop has still to hear of it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let state = written_state(unfinished, id)?;
            if state.place.is_none() && !held.is_doubtful {
                return Err(error);
            }
            // Whoever gave it its place: it counts as what it is.
            held.pledge = None;
            let size = state.length.unwrap_or(0);
            Ok((state, size, true))
        }
        size => {
            let size = size?;
            let came = held.unchecked_from.map_or(size, |from| from.min(size));
            Ok((state.clone(), state.asked_from(came), false))
        }
    }
}

fn describe(site: &Site, method: Method, state: &State, offset: u64, is_finished: bool) -> Response {
    let mut response = answer(Status::OK).header("Upload-Offset", &offset.to_string());
    match state.length {
        Some(length) => response.add_header("Upload-Length", &length.to_string()),
        None => response.add_header("Upload-Defer-Length", "1"),
    }
    if !state.metadata.is_empty() {
        response.add_header("Upload-Metadata", &state.metadata);
    }
    if let Some(place) = &state.place {
        response.add_header("Content-Location", &url(&site.config.path_prefix, &area_of(site, state).show(place)));
    }
    if !is_finished {
        response.add_header("Upload-Expires", &imf(state.until));
    }
    if method == Method::Get {
        let expires = (!is_finished).then(|| date::rfc3339(state.until));
        let document = json!({"offset": offset, "length": state.length, "expires": expires});
        response.add_header("Content-Type", "application/json");
        return response.with_body(crate::http::response::Body::Bytes(document.to_string().into()));
    }
    response
}
