//! Static pages: `www/`, the built-in copy behind it, and everything HTTP can ask of a file.
//!
//! A page that is on the shelf is answered from memory with a ready-made header block. What is not, or has not been looked at
//! for a second, goes to a helper first.

use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::negotiate::prefers_json;
use crate::http::request::Method;
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::house::wrong_method;
use crate::server::reply::Reply;
use crate::site::kept::KeptHeaders;
use crate::site::shelved::{Looker, Page, Shelved, Weight};
use crate::site::state::{Site, disk_fault};
use crate::store::shelf::Look;

/// Answers a path that no route fits.
pub fn page(site: &mut Site, call: &Call<'_>, cx: &mut Context<'_>) -> Reply<Site> {
    if call.method == Method::Options {
        return Response::new(Status::NO_CONTENT).header("Allow", ALLOW).into();
    }
    let key = key(site, call);
    match site.www.shelf.look(&key, cx.now) {
        Look::Fresh(page) => present(page, &Ask::of(call)),
        Look::Stale(page) => {
            let known = page.clone();
            fetch(site, call, Some(known))
        }
        Look::Unknown => fetch(site, call, None),
    }
}

const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a path is shelved under: one spelling for each page, and for nearly every request the very bytes it came in.
fn key<'a>(site: &Site, call: &Call<'a>) -> std::borrow::Cow<'a, str> {
    let path = call.request.path;
    // A path whose decoding has not shortened it holds no escape.
    let slash = usize::from(call.is_folder && !call.path.is_root());
    if site.config.path_prefix.is_empty() && path.len() == 1 + call.path.as_str().len() + slash {
        return path.into();
    }
    format!("/{}{}", call.path, &"/"[..slash]).into()
}

/// What of a request decides how a page is presented.
struct Ask<'a> {
    method: Method,
    headers: &'a Headers<'a>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Ask<'a> {
    fn of(call: &'a Call<'a>) -> Ask<'a> {
        let request = call.request;
        Ask { method: request.method, headers: &request.headers, path: request.path, query: request.query }
    }
}

/// An [`Ask`] that has left the read buffer, because a helper must be asked first.
struct KeptAsk {
    method: Method,
    headers: KeptHeaders,
    path: String,
    query: Option<String>,
}

impl KeptAsk {
    fn of(call: &Call<'_>) -> KeptAsk {
        KeptAsk {
            method: call.method,
            headers: KeptHeaders::of(&call.headers),
            path: call.request.path.to_owned(),
            query: call.query.map(str::to_owned),
        }
    }

    fn present(&self, page: &Page) -> Reply<Site> {
        let (method, path, query) = (self.method, &self.path, self.query.as_deref());
        self.headers.lend(|headers| present(page, &Ask { method, headers, path, query }))
    }
}

/// Has a helper look, then presents what it found.
fn fetch(site: &mut Site, call: &Call<'_>, known: Option<Shelved>) -> Reply<Site> {
    let ask = KeptAsk::of(call);
    let key = key(site, call).into_owned();
    let path = call.path.borrow().into_owned();
    let (is_folder, era) = (call.is_folder, site.www.shelf.era());
    let disk = site.www.disk.clone();
    let look = Looker::of(&site.config);
    Reply::offload(move || {
        let found = look.find(disk.as_deref(), &path, is_folder, known);
        move |site: &mut Site, cx: &mut Context<'_>| match found {
            Err(error) => disk_fault(&error, "read a page").into(),
            Ok((page, weight)) => {
                if site.www.shelf.era() == era {
                    shelve(site, &key, &page, weight, cx);
                }
                ask.present(&page)
            }
        }
    })
}

fn shelve(site: &mut Site, key: &str, page: &Shelved, weight: Weight, cx: &Context<'_>) {
    let shelf = &mut site.www.shelf;
    match weight {
        Weight::Bytes(bytes) => shelf.put(key, page.clone(), bytes, cx.now),
        Weight::Open => shelf.put_open(key, page.clone(), cx.now),
        Weight::Absent => shelf.put_absent(key, page.clone(), cx.now),
        Weight::Unchanged => shelf.confirm(key, cx.now),
        Weight::Fleeting => shelf.let_go(key),
    }
}

/// The answer for a page that is at hand.
fn present(page: &Page, ask: &Ask<'_>) -> Reply<Site> {
    let is_read = matches!(ask.method, Method::Get | Method::Head);
    match page {
        Page::Absent => Fault::not_found().into(),
        _ if !is_read => wrong_method(ALLOW).into(),
        Page::File(file) => file.choose(ask.headers).answer(ask.method, ask.headers).into(),
        Page::Folder => {
            let query = ask.query.map(|query| format!("?{query}")).unwrap_or_default();
            Response::redirect(Status::PERMANENT_REDIRECT, &format!("{}/{query}", ask.path)).into()
        }
        Page::Listing { html, json } => {
            let response = if prefers_json(ask.headers.all(Field::Accept)) {
                Response::new(Status::OK)
                    .header("Content-Type", "application/json")
                    .with_body(Body::Bytes(json.clone()))
            } else {
                Response::html(Status::OK, html.clone())
            };
            response.header("Vary", "Accept").header("Cache-Control", "no-store").into()
        }
    }
}
