//! Termination: an upload is given up by whoever began it.

use crate::http::fault::Fault;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::files::files;
use crate::site::gate::Principal;
use crate::site::resume::answer::{answer, held_elsewhere, refused, told};
use crate::site::resume::expiration::{clear_away, put_back};
use crate::site::resume::head::{check_version, named};
use crate::site::resume::upload::{Disks, find, maker};
use crate::site::state::Site;

/// `DELETE /tus/<id>`: the upload is given up.
pub fn delete(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    told(delete_now(site, call, &who, cx))
}

fn delete_now(site: &mut Site, call: &Call<'_>, who: &Principal, cx: &Context<'_>) -> Result<Reply<Site>, Fault> {
    check_version(&call.headers)?;
    let id = named(call)?;
    find(site, id, &maker(who, cx.peer.ip), cx.wall)?;
    let disks = Disks::of(site)?;
    let files = files(site)?;
    let gone: Vec<_> = files.partials.remove(id).map(|partial| (id, partial)).into_iter().collect();
    Ok(Reply::offload_write(move || {
        let held = clear_away(&disks, gone, false);
        move |site: &mut Site, cx: &mut Context<'_>| {
            let is_held = !held.is_empty();
            put_back(site, held, cx.wall);
            if is_held { refused(&held_elsewhere()) } else { answer(Status::NO_CONTENT).into() }
        }
    }))
}
