//! The next piece of an upload.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::http::tus;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::files::files;
use crate::site::gate::{Principal, rights_of};
use crate::site::receive::quota::Allowance;
use crate::site::receive::store::Store;
use crate::site::resume::answer::{answer, refused, told, whole, wrong_offset};
use crate::site::resume::head::{check_media_type, check_version, named, piece_length};
use crate::site::resume::piece::{Asked, Bearer, Piece};
use crate::site::resume::upload::{area_of, find, maker, note};
use crate::site::spot::Actor;
use crate::site::state::Site;
use crate::site::upload::refuse_coding;
use crate::store::partial::Maker;

/// `PATCH /tus/<id>`: the next piece.
pub fn patch(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(patch_now(site, call, &who, cx))
}

fn patch_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    let headers = &call.headers;
    check_version(headers)?;
    refuse_coding(call.request)?;
    check_media_type(headers)?;
    let id = named(call)?;
    let offset = tus::count(headers, "Upload-Offset")?;
    let offset = offset.ok_or_else(|| Fault::new(Status::BAD_REQUEST, "bad_header", "Upload-Offset is missing"))?;
    let (checksum, length) = (tus::checksum(headers)?, tus::count(headers, "Upload-Length")?);
    let body = piece_length(call).unwrap_or(Some(0));
    let actor = Actor { who: who.clone(), rights: rights_of(site, call.request) };
    let asked = Asked { id, offset, checksum, length, body, is_new: false };
    receive(site, asked, maker(who, cx.peer.ip), actor, cx)
}

/// Has a helper take the upload over for a piece of it, and receives the piece.
///
/// # Errors
/// What the loop knows to speak against it.
pub fn receive(
    site: &mut Site,
    asked: Asked,
    who: Maker,
    actor: Actor,
    cx: &Context<'_>,
) -> Result<Reply<Site>, Fault> {
    let limits = site.config.limits;
    let partial = find(site, asked.id, &who, cx.wall)?;
    let (state, hold, is_finished) = (partial.state.clone(), partial.hold.clone(), partial.is_finished);
    let area = area_of(site, &state);
    if is_finished {
        // Whoever missed the last answer asks once more.
        if asked.body == Some(0) && state.length.is_none_or(|length| length == asked.offset) {
            return Ok(whole(site, &area, &state, answer(Status::NO_CONTENT), asked.offset).into());
        }
        return Err(wrong_offset(state.length.unwrap_or(0)));
    }
    let store = Store::of(files(site)?, &area, limits.min_free_bytes)?;
    let allowance = Allowance::of(site, &actor);
    let by = Bearer { limit: limits.upload_limit_bytes, now: cx.wall, ip: cx.peer.ip, actor, allowance };
    Ok(Reply::offload_write(move || {
        let id = asked.id;
        let prepared = Piece::prepare(store, asked, state, &hold, by);
        move |site: &mut Site, _: &mut Context<'_>| match prepared {
            Ok(piece) => {
                // From now on it is waited for anew, not only when the piece is there.
                note(site, id, piece.state(), false);
                Reply::Receive { most: piece.room_left().max(1), sink: Box::new(piece) }
            }
            Err(fault) => refused(&fault),
        }
    }))
}
