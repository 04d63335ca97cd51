//! Static pages: `www/`, the built-in copy behind it, and everything HTTP can ask of a file.
//!
//! A page that is on the shelf is answered from memory with a ready-made header block. What is not, or has not been looked at
//! for a second, goes to a helper first.

use crate::http::conditions::{Access, Outcome, Representation, content_range, evaluate, unsatisfied};
use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::negotiate::prefers_html;
use crate::http::request::Method;
use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::house::wrong_method;
use crate::server::problem;
use crate::server::reply::Reply;
use crate::site::shelved::{Looker, Page, Shelved, Variant, Weight};
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
    if site.config.path_prefix.is_empty() && !path.contains('%') {
        return path.into();
    }
    let slash = if call.is_folder && !call.path.is_root() { "/" } else { "" };
    format!("/{}{slash}", call.path).into()
}

/// What of a request decides how a page is presented; taken out of the request when a helper must be asked first.
struct Ask<'a> {
    method: Method,
    headers: Headers<'a>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Ask<'a> {
    fn of(call: &Call<'a>) -> Ask<'a> {
        let (method, headers, path, query) = (call.method, call.headers, call.request.path, call.query);
        Ask { method, headers, path, query }
    }

    fn wants_page(&self) -> bool {
        prefers_html(self.headers.all(Field::Accept))
    }
}

/// An [`Ask`] that has left the read buffer.
struct KeptAsk {
    method: Method,
    fields: Vec<(String, Vec<u8>)>,
    path: String,
    query: Option<String>,
}

impl KeptAsk {
    fn of(call: &Call<'_>) -> KeptAsk {
        const WANTED: [Field; 8] = [
            Field::Accept,
            Field::AcceptEncoding,
            Field::IfMatch,
            Field::IfNoneMatch,
            Field::IfModifiedSince,
            Field::IfUnmodifiedSince,
            Field::IfRange,
            Field::Range,
        ];
        let fields = WANTED
            .into_iter()
            .flat_map(|field| call.headers.all(field).map(move |value| (field.name().to_owned(), value.to_vec())))
            .collect();
        KeptAsk {
            method: call.method,
            fields,
            path: call.request.path.to_owned(),
            query: call.query.map(str::to_owned),
        }
    }

    fn present(&self, page: &Page) -> Reply<Site> {
        let fields: Vec<httparse::Header<'_>> =
            self.fields.iter().map(|(name, value)| httparse::Header { name, value }).collect();
        let headers = Headers::new(&fields);
        let query = self.query.as_deref();
        present(page, &Ask { method: self.method, headers, path: &self.path, query })
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
        Weight::Fleeting => shelf.forget(key),
    }
}

/// The answer for a page that is at hand.
fn present(page: &Page, ask: &Ask<'_>) -> Reply<Site> {
    let is_read = matches!(ask.method, Method::Get | Method::Head);
    match page {
        Page::Absent => Fault::not_found().into(),
        _ if !is_read => wrong_method(ALLOW, ask.wants_page()).into(),
        Page::File(file) => present_file(file.choose(&ask.headers), ask),
        Page::Folder => {
            let query = ask.query.map(|query| format!("?{query}")).unwrap_or_default();
            Response::redirect(Status::PERMANENT_REDIRECT, &format!("{}/{query}", ask.path)).into()
        }
        Page::Listing { html, json } => {
            let response = if ask.wants_page() {
                Response::html(Status::OK, html.clone())
            } else {
                Response::new(Status::OK)
                    .header("Content-Type", "application/json")
                    .with_body(Body::Bytes(json.clone()))
            };
            response.header("Vary", "Accept").header("Cache-Control", "no-store").into()
        }
    }
}

fn present_file(variant: &Variant, ask: &Ask<'_>) -> Reply<Site> {
    let access = if ask.method == Method::Get { Access::Get } else { Access::Head };
    let length = variant.facts.size;
    let modified = (variant.facts.modified.as_seconds() > 0).then_some(variant.facts.modified);
    let current = Representation { etag: &variant.etag, modified, length };
    match evaluate(&ask.headers, &current, access) {
        Outcome::Whole => Response::ready(Status::OK, variant.block.clone(), variant.body(0..length)).into(),
        Outcome::NotModified => Response::ready(Status::NOT_MODIFIED, variant.brief.clone(), Body::Empty).into(),
        Outcome::PreconditionFailed => {
            Fault::new(Status::PRECONDITION_FAILED, "precondition_failed", "the page is not as the request requires")
                .into()
        }
        Outcome::NotSatisfiable => {
            let fault =
                Fault::new(Status::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "the page has no such range");
            problem::answer(&fault, ask.wants_page()).header("Content-Range", &unsatisfied(length)).into()
        }
        Outcome::Part(range) => {
            let body = variant.body(range.clone());
            Response::ready(Status::PARTIAL_CONTENT, variant.block.clone(), body)
                .header("Content-Range", &content_range(&range, length))
                .into()
        }
        Outcome::Parts(ranges) => variant.parts(&ranges).into(),
    }
}
