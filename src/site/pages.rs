//! Static pages: `www/`, the built-in copy behind it, and everything HTTP can ask of a file.
//!
//! A page that is on the shelf is answered from memory with a ready-made header block. What is not, or has not been looked at
//! for a second, is looked up: at once where the kernel has it in memory, by a helper where the disk must be waited for.

use std::borrow::Cow;

use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::negotiate::prefers_json;
use crate::http::request::Method;
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::path::RelPath;
use crate::server::context::{Call, Context};
use crate::server::house::wrong_method;
use crate::server::reply::Reply;
use crate::site::kept::KeptHeaders;
use crate::site::shelved::{Known, Looker, Page, Shelved, Weight};
use crate::site::state::{Site, disk_fault};
use crate::store::disk::is_shortage;
use crate::store::shelf::{Look, Shelf};

/// Answers a path below the place of a folder; `at` tells which of the site's folders it is.
pub fn page(site: &mut Site, at: usize, call: &Call<'_>, cx: &mut Context<'_>) -> Reply<Site> {
    if call.method == Method::Options {
        return Response::new(Status::NO_CONTENT).header("Allow", ALLOW).into();
    }
    let prefix = site.config.path_prefix.len();
    let Some(www) = site.www.get_mut(at) else { return Fault::not_found().into() };
    let Some(path) = call.path.strip(&www.place) else { return Fault::not_found().into() };
    let key = key(prefix, call, &path);
    match www.shelf.look(&key, cx.now) {
        Look::Fresh(page) => present(page, &Ask::of(call)),
        Look::Stale(page, asked) => {
            let known = Known { page: page.clone(), asked, room: www.shelf.room() };
            fetch(site, at, call, Some(known), cx)
        }
        Look::Unknown => fetch(site, at, call, None, cx),
    }
}

const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a path is shelved under: one spelling for each page, and for nearly every request the very bytes it came in. `inside` is
/// its part below the folder's place, and `prefix` how long what stands before all paths of this server is.
fn key<'a>(prefix: usize, call: &Call<'a>, inside: &RelPath<'_>) -> Cow<'a, str> {
    let path = call.request.path;
    let slash = usize::from(call.is_folder && !call.path.is_root());
    // A path whose decoding has not shortened it holds no escape.
    if path.len() == prefix + 1 + call.path.as_str().len() + slash {
        let end = if inside.is_root() { usize::from(call.is_folder) } else { 1 + inside.as_str().len() + slash };
        return path[path.len() - end..].into();
    }
    match inside.is_root() {
        true => if call.is_folder { "/" } else { "" }.into(),
        false => format!("/{inside}{}", &"/"[..slash]).into(),
    }
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

/// Looks, or has a helper look where the disk would have to be waited for; then presents what was found.
fn fetch(site: &mut Site, at: usize, call: &Call<'_>, known: Option<Known>, cx: &Context<'_>) -> Reply<Site> {
    let prefix = site.config.path_prefix.len();
    let Some(www) = site.www.get_mut(at) else { return Fault::not_found().into() };
    let Some(path) = call.path.strip(&www.place) else { return Fault::not_found().into() };
    let key = key(prefix, call, &path);
    let (is_folder, has_built_in) = (call.is_folder, www.has_built_in);
    let look = Looker::of(&site.config, cx.wall);
    // Whatever kept it from being found at once, a helper takes its time to tell.
    if let Ok((page, weight)) = look.find(www.disk.as_deref(), has_built_in, &path, is_folder, known.clone()) {
        shelve(&mut www.shelf, &key, &page, weight, cx);
        return present(&page, &Ask::of(call));
    }
    let look = look.patient();
    let (ask, key, path, disk) = (KeptAsk::of(call), key.into_owned(), path.into_owned(), www.disk.clone());
    let era = www.shelf.era();
    Reply::offload(move || {
        let found = look.find(disk.as_deref(), has_built_in, &path, is_folder, known.clone());
        move |site: &mut Site, cx: &mut Context<'_>| match (found, known) {
            // It cannot be looked at now; as it was a moment ago it can still be had.
            (Err(error), Some(known)) if is_shortage(&error) => ask.present(&known.page),
            (Err(error), _) => disk_fault(&error, &format!("read the page {}", ask.path)).into(),
            (Ok((page, weight)), _) => {
                if let Some(www) = site.www.get_mut(at).filter(|www| www.shelf.era() == era) {
                    shelve(&mut www.shelf, &key, &page, weight, cx);
                }
                ask.present(&page)
            }
        }
    })
}

fn shelve(shelf: &mut Shelf<Shelved>, key: &str, page: &Shelved, weight: Weight, cx: &Context<'_>) {
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
