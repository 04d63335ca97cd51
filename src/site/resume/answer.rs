//! What tus hears: answers, refusals, and what stamps both.

use crate::clock::Wall;
use crate::http::fault::Fault;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::{date, tus};
use crate::server::house::Stamp;
use crate::server::problem;
use crate::server::reply::Reply;
use crate::site::files::url;
use crate::site::spot::Area;
use crate::site::state::Site;
use crate::store::disk::PartialId;
use crate::store::partial::{State, TooMany};

/// What tus wants to hear of every answer, also of those that are no affair of tus: who may not, who comes too often, who means
/// another method. `place` is where the site stands.
pub fn stamp(place: &str) -> Stamp {
    Stamp { place: format!("{place}/tus"), name: "Tus-Resumable", value: tus::VERSION }
}

/// An answer as tus has them.
pub fn answer(status: Status) -> Response {
    Response::new(status).header("Tus-Resumable", tus::VERSION).header("Cache-Control", "no-store")
}

/// A refusal as tus has them.
pub fn refused(fault: &Fault) -> Reply<Site> {
    let mut response = problem::answer(fault, false).header("Tus-Resumable", tus::VERSION);
    if fault.status == Status::PRECONDITION_FAILED {
        response.add_header("Tus-Version", tus::VERSION);
    }
    response.into()
}

/// What a handler has come to, a refusal as tus has them.
pub fn told(result: Result<Reply<Site>, Fault>) -> Reply<Site> {
    result.unwrap_or_else(|fault| refused(&fault))
}

/// 201 with where the upload is.
pub fn created(site: &Site, id: PartialId, offset: u64, until: Wall) -> Response {
    answer(Status::CREATED)
        .header("Location", &site.address(&format!("/tus/{id}")))
        .header("Upload-Offset", &offset.to_string())
        .header("Upload-Expires", &imf(until))
}

/// The answer to the last piece, with where the file came to lie.
pub fn whole(site: &Site, area: &Area, state: &State, mut response: Response, offset: u64) -> Response {
    if response.status != Status::CREATED {
        response.add_header("Upload-Offset", &offset.to_string());
    }
    if let Some(place) = &state.place {
        response.add_header("Content-Location", &url(&site.config.path_prefix, &area.show(place)));
    }
    response
}

/// A moment as header fields have it.
pub fn imf(at: Wall) -> String {
    String::from_utf8_lossy(&date::imf(at)).into_owned()
}

/// 413 with what would be taken.
pub fn too_large(most: u64) -> Fault {
    Fault::new(Status::CONTENT_TOO_LARGE, "too_large", format!("an upload may have at most {most} bytes"))
}

/// 409 with where the upload goes on.
pub fn wrong_offset(offset: u64) -> Fault {
    Fault::new(Status::CONFLICT, "wrong_offset", format!("the upload goes on at byte {offset}"))
}

/// 409 for who is not the last to go on with it.
pub fn taken_over() -> Fault {
    Fault::new(Status::CONFLICT, "taken_over", "another request goes on with this upload, or it was removed")
}

/// 423: nobody can be made to let go of it in another process, and that one is about to end.
pub fn held_elsewhere() -> Fault {
    let detail = "the server before this one is still receiving a piece of this upload: ask again soon";
    Fault::new(Status::LOCKED, "upload_locked", detail).retry_after(1)
}

/// 429: finish some first, or wait.
pub fn too_many(which: TooMany) -> Fault {
    let detail = match which {
        TooMany::Own => "there are 64 unfinished uploads of yours: finish or remove one first",
        TooMany::All => "there are too many unfinished uploads: try again later",
    };
    Fault::new(Status::TOO_MANY_REQUESTS, "too_many_uploads", detail).retry_after(60)
}
