//! A small post to an account's routes, as JSON or as a form, and how it is answered: a browser's form goes back to its page,
//! everything else is told in JSON.

use std::sync::Arc;

use serde_json::Value;

use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::Reply;
use crate::site::body::{Kind, METHOD, Members, bad_field};
use crate::site::entrance::{self, Asker, Page};
use crate::site::gate::Principal;
use crate::site::people;
use crate::site::state::Site;

/// How whoever posted is answered.
#[derive(Clone)]
pub struct Back {
    /// Who filled in a form, and on which page; `None` for programs.
    asker: Option<Arc<Asker>>,
    is_secure: bool,
}

impl Back {
    /// A program asks, and is told in JSON.
    pub fn program(is_secure: bool) -> Back {
        Back { asker: None, is_secure }
    }

    /// Whether a person in front of a page waits for the answer.
    pub fn is_page(&self) -> bool {
        self.asker.is_some()
    }

    /// Whether cookies may be marked for encrypted connections only.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// It is done: a person goes on to `next`, a program is told.
    pub fn done(&self, site: &Site, next: &str, status: Status, value: &Value) -> Response {
        self.done_at(&site.address(next), status, value)
    }

    /// The same with a whole address, which may be another's of this house.
    pub fn done_at(&self, next: &str, status: Status, value: &Value) -> Response {
        match self.asker {
            Some(_) => Response::redirect(Status::SEE_OTHER, next).header("Cache-Control", "no-store"),
            None => Response::json(status, value),
        }
    }

    /// It is done, which a person is told on the page where it was asked for.
    pub fn told(&self, site: &Site, value: &Value) -> Response {
        let page = self.asker.as_ref().map_or(Page::Account, |asker| asker.page);
        self.shown_once(site, page, ("done", ""), Status::OK, value)
    }

    /// It is done, and something is shown once: to a person on the page that `next` is.
    pub fn shown_once(&self, site: &Site, next: Page, note: (&str, &str), status: Status, value: &Value) -> Response {
        let answer = self.done(site, next.path(), status, value);
        match self.asker {
            Some(_) => answer.header("Set-Cookie", &entrance::set_note(site, self.is_secure, next, note.0, note.1)),
            None => answer,
        }
    }

    /// It cannot be done: a person sees the page again, with the sentence.
    pub fn refuse(&self, site: &Site, fault: Fault) -> Reply<Site> {
        match &self.asker {
            Some(asker) if !fault.closes => entrance::refused(site, asker, &fault).into(),
            _ => fault.into(),
        }
    }
}

/// Reads the body of somebody who tries to come in, then goes on. An address may try so often; one that floods us is read out
/// before it is refused, so that it can be kept waiting.
pub fn post_try(
    site: &mut Site,
    call: &Call<'_>,
    cx: &Context<'_>,
    page: Page,
    who: &Principal,
    then: impl FnOnce(&mut Site, Members, Back, &mut Context<'_>) -> Result<Reply<Site>, Fault> + 'static,
) -> Result<Reply<Site>, Fault> {
    match people::count_try(site, cx) {
        Ok(()) => post(site, call, cx, page, who, then),
        Err(fault) if people::is_flooding(site, cx) => post(site, call, cx, page, who, move |_, _, _, _| Err(fault)),
        Err(fault) => Err(fault),
    }
}

/// Reads the body, then goes on; a refusal is answered as the request asks for it.
pub fn post(
    site: &mut Site,
    call: &Call<'_>,
    cx: &Context<'_>,
    page: Page,
    who: &Principal,
    then: impl FnOnce(&mut Site, Members, Back, &mut Context<'_>) -> Result<Reply<Site>, Fault> + 'static,
) -> Result<Reply<Site>, Fault> {
    let kind = kind(call)?;
    let wants_page = cfg!(feature = "ui") && kind.is_form() && prefers_html(call.headers.all(Field::Accept));
    let asker = wants_page.then(|| Asker { page, who: who.clone(), now: cx.wall, typed: Vec::new() });
    let (is_secure, ip) = (cx.is_secure, cx.peer.ip);
    let limits = &site.config.limits;
    // Nothing that is said here is long, in whatever form.
    let most = limits.form_limit_bytes.min(limits.json_limit_bytes);
    Ok(Reply::collect(most, move |site: &mut Site, body, cx| {
        // The client whom a trusted proxy told of, not the proxy.
        cx.peer.ip = ip;
        let read = Members::read(&kind, &body);
        let asker = asker.map(|asker| {
            let typed = read.as_ref().map(|members| members.texts_of(&entrance::KEPT)).unwrap_or_default();
            Arc::new(Asker { typed, ..asker })
        });
        let back = Back { asker, is_secure };
        let done = read.and_then(|members| then(site, members, back.clone(), cx));
        match done {
            Ok(reply) => reply,
            // Whoever is told to come later and comes at once is told it a little later.
            Err(fault) if fault.retry_after.is_some() && people::is_flooding(site, cx) => {
                match site.accounts.as_mut().and_then(|accounts| accounts.held.take(cx)) {
                    Some((topic, until)) => Reply::Wait {
                        topic,
                        until,
                        outlasts: false,
                        again: Box::new(move |site, _| back.refuse(site, fault)),
                    },
                    None => back.refuse(site, fault),
                }
            }
            Err(fault) => back.refuse(site, fault),
        }
    }))
}

/// What is asked for with `DELETE`, or by a form with `_method=DELETE`: a browser without script knows no other way.
pub fn delete(
    site: &mut Site,
    call: &Call<'_>,
    cx: &mut Context<'_>,
    page: Page,
    who: &Principal,
    then: impl FnOnce(&mut Site, Back, &mut Context<'_>) -> Reply<Site> + 'static,
) -> Result<Reply<Site>, Fault> {
    if call.method == Method::Delete {
        return Ok(then(site, Back::program(cx.is_secure), cx));
    }
    post(site, call, cx, page, who, move |site, mut members, back, cx| {
        if members.need(METHOD)? != "DELETE" {
            return Err(bad_field(METHOD));
        }
        members.end()?;
        Ok(then(site, back, cx))
    })
}

/// A post that has nothing to say may leave out the kind of its body.
fn kind(call: &Call<'_>) -> Result<Kind, Fault> {
    use crate::http::request::BodyLength;
    let is_empty = matches!(call.request.body, BodyLength::None | BodyLength::Known(0));
    if is_empty && !call.headers.has(Field::ContentType) {
        return Ok(Kind::Json);
    }
    Kind::of(call.request)
}
