//! What tus asks of a request's head.

use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::media::MediaType;
use crate::http::request::BodyLength;
use crate::http::status::Status;
use crate::http::tus;
use crate::server::context::Call;
use crate::store::disk::PartialId;

/// It must name the version that we speak.
///
/// # Errors
/// 412 if it does not.
pub fn check_version(headers: &Headers<'_>) -> Result<(), Fault> {
    match headers.find("Tus-Resumable") {
        Some(b"1.0.0") => Ok(()),
        _ => Err(Fault::new(Status::PRECONDITION_FAILED, "wrong_version", "Tus-Resumable: 1.0.0 is needed")),
    }
}

/// A piece has a type of its own.
///
/// # Errors
/// 415 for any other.
pub fn check_media_type(headers: &Headers<'_>) -> Result<(), Fault> {
    let media = headers.get(Field::ContentType).and_then(MediaType::parse);
    if media.is_some_and(|media| media.is(tus::MEDIA_TYPE)) {
        return Ok(());
    }
    let detail = "a piece of an upload is sent as application/offset+octet-stream";
    Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// How long a piece is, if that is known: `Some(None)` if not, `None` if there is none.
pub fn piece_length(call: &Call<'_>) -> Option<Option<u64>> {
    match call.request.body {
        BodyLength::None | BodyLength::Known(0) => None,
        BodyLength::Known(length) => Some(Some(length)),
        BodyLength::Chunked => Some(None),
    }
}

/// Which upload its target names.
///
/// # Errors
/// 404 if it names none.
pub fn named(call: &Call<'_>) -> Result<PartialId, Fault> {
    call.parameter("id").and_then(PartialId::parse).ok_or_else(Fault::not_found)
}
