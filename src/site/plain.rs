//! Forms about files as a browser without script sends them: to which page they go back, and the page that tells what was
//! refused.

use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::server::context::{Call, Context};
use crate::server::problem;
use crate::server::reply::Reply;
use crate::site::entrance::own_address;
use crate::site::frame;
use crate::site::gate::Principal;
use crate::site::state::Site;

/// The page that a form came from, as far as that is one of this site's; else the front page.
pub fn page_of(site: &Site, call: &Call<'_>) -> String {
    let from = call.headers.text(Field::Referer).and_then(|from| {
        let (_, rest) = from.split_once("://")?;
        let (host, _) = rest.split_once('/')?;
        let is_here = call.headers.text(Field::Host).is_some_and(|here| here.eq_ignore_ascii_case(host));
        own_address(site, &rest[host.len()..]).filter(|_| is_here)
    });
    from.map_or_else(|| site.address("/"), str::to_owned)
}

/// Whether it is a form, of somebody who would rather see a page.
fn is_form(call: &Call<'_>) -> bool {
    let kind = call.headers.text(Field::ContentType).unwrap_or_default().to_ascii_lowercase();
    let is_form = kind.starts_with("multipart/form-data") || kind.starts_with("application/x-www-form-urlencoded");
    is_form && prefers_html(call.headers.all(Field::Accept))
}

/// Wraps a handler: what it refuses a form is told on the page of the files.
pub fn form<R: Into<Reply<Site>>>(
    handler: impl Fn(&mut Site, &Call<'_>, Principal, &mut Context<'_>) -> R + Clone + 'static,
) -> impl Fn(&mut Site, &Call<'_>, Principal, &mut Context<'_>) -> Reply<Site> + Clone + 'static {
    move |site, call, who, cx| {
        let is_form = is_form(call);
        let reply = handler(site, call, who, cx).into();
        if !is_form {
            return reply;
        }
        let ending = |reply: Reply<Site>, site: &mut Site, _: &mut Context<'_>| match reply {
            Reply::Refuse(fault) if !fault.closes => refused(&site.config.path_prefix, &fault).into(),
            other => other,
        };
        reply.in_the_end(site, cx, Box::new(ending))
    }
}

/// The page of the files, with the sentence.
fn refused(prefix: &str, fault: &Fault) -> Response {
    const FORM: &str = "<form id=\"upload\"";
    let sentence = format!("<p class=\"error\" role=\"alert\">{}</p>\n    {FORM}", frame::sentence(&fault.detail));
    let page = frame::below(prefix, frame::FILES).replacen(FORM, &sentence, 1);
    problem::answer_with(fault, Some(page.into()))
}
