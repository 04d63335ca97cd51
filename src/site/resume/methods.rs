//! The methods that tus knows, and how to have one that a network does not let through.

use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::tus;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::gate::Principal;
use crate::site::resume::answer::{answer, refused, told};
use crate::site::resume::patch::patch;
use crate::site::resume::status::status_now;
use crate::site::resume::termination::delete;
use crate::site::state::Site;

/// What an upload takes.
const UPLOAD_METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";

/// `OPTIONS /tus`: what we can do.
pub fn options(site: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Response {
    let allow = if call.parameter("id").is_some() { UPLOAD_METHODS } else { "POST, OPTIONS" };
    let mut response = answer(Status::NO_CONTENT)
        .header("Tus-Version", tus::VERSION)
        .header("Tus-Extension", tus::EXTENSIONS)
        .header("Tus-Checksum-Algorithm", tus::ALGORITHMS)
        .header("Allow", allow);
    let most = site.config.limits.upload_limit_bytes;
    if most < u64::MAX {
        response.add_header("Tus-Max-Size", &most.to_string());
    }
    response
}

/// `POST /tus/<id>`: another method, for networks that know only two.
pub fn overridden(site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>) -> Reply<Site> {
    match call.headers.find("X-HTTP-Method-Override").unwrap_or_default() {
        b"PATCH" => patch(site, call, who, cx),
        b"DELETE" => delete(site, call, who, cx),
        b"HEAD" => told(status_now(site, call, Method::Head, &who, cx)),
        _ => {
            let fault = Fault::new(
                Status::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "a POST to an upload needs X-HTTP-Method-Override: PATCH, DELETE or HEAD",
            );
            refused(&fault.with_field("Allow", UPLOAD_METHODS))
        }
    }
}
