//! What this server is for: the table of routes, on one screen.

use crate::http::request::Method;
use crate::server::Server;
use crate::server::context::{Call, Context};
use crate::server::reply::{Handler, Hub, Reply};
use crate::server::router::BadPattern;
use crate::site::entrance::Page;
use crate::site::gate::{Action, Principal, guard, guard_for};
use crate::site::state::Site;

pub mod accounts;
pub mod admin;
pub mod ask;
pub mod attached;
pub mod body;
pub mod books;
pub mod built;
pub mod changes;
pub mod chat;
pub mod chat_page;
pub mod cookie;
pub mod credentials;
pub mod draft;
pub mod entrance;
pub mod file_list;
pub mod files;
pub mod frame;
pub mod gate;
pub mod keeping;
pub mod kept;
pub mod listed;
pub mod listener;
pub mod listing;
pub mod login;
pub mod messages;
pub mod news;
pub mod older;
pub mod openapi;
pub mod openapi_accounts;
mod openapi_pages;
mod openapi_tus;
mod openapi_words;
pub mod opening;
pub mod pages;
pub mod people;
pub mod piece;
pub mod plain;
pub mod post;
pub mod presence;
pub mod rate;
pub mod receive;
pub mod resume;
pub mod rooms;
pub mod rows;
pub mod said;
pub mod shelved;
pub mod speaker;
pub mod spot;
pub mod state;
pub mod streams;
pub mod system;
pub mod table;
pub mod throttle;
pub mod upkeep;
pub mod upload;
pub mod variant;

use Action::{Account, Admin, ChatRead, ChatWrite, Enter, Identity, Metrics, Open, SharedRead, SharedWrite, WwwRead};
use Method::{Delete, Get, Options, Patch, Post, Put};

/// Where a route is put: into a server of this site's own, or of a program that lends it.
pub type Table<'a> = dyn FnMut(Method, &str, Handler<Site>) -> Result<(), BadPattern> + 'a;

/// The server with all of the site's routes. A part that is switched off has none.
///
/// # Errors
/// If two routes are the same: a mistake of this table.
pub fn server(mut site: Site, hub: Hub) -> Result<Server<Site>, BadPattern> {
    let (has_files, has_chat, has_accounts) = (site.files.is_some(), site.chat.is_some(), site.accounts.is_some());
    site.chimes.push(news::tell_news);
    let mut server = Server::new(site, hub);
    let put: &mut Table<'_> = &mut |method, pattern, handler| server.add_handler(method, pattern, handler);
    system(put)?;
    parts(put)?;
    files(put, has_files)?;
    if has_chat {
        chat(put)?;
    }
    if has_accounts {
        accounts(put)?;
    }
    server.set_rest(guard(WwwRead, |site, call, cx| pages::page(site, 0, call, cx)));
    Ok(server)
}

/// What tells how the server is.
pub fn system(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route(put, Get, "/healthz", Open, system::health)?;
    route(put, Get, "/metrics", Metrics, system::metrics)?;
    route_for(put, Get, "/api", Open, system::api)?;
    route(put, Get, "/openapi.json", Open, system::description)
}

/// What pages are made of.
pub fn parts(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route(put, Get, "/_hythe/*part", Open, entrance::part)
}

/// Files, and their page; that one is the front page even where there are none.
pub fn files(put: &mut Table<'_>, has_files: bool) -> Result<(), BadPattern> {
    if has_files {
        route_for(put, Post, "/upload", SharedWrite, plain::form(upload::upload))?;
        route_for(put, Get, "/file-list", SharedRead, file_list::list)?;
        route_for(put, Get, "/file-info/*path", SharedRead, files::info)?;
        route_for(put, Get, "/files/*path", SharedRead, files::download)?;
        route_for(put, Put, "/files/*path", SharedWrite, changes::put)?;
        route_for(put, Patch, "/files/*path", SharedWrite, changes::patch)?;
        route_for(put, Delete, "/files/*path", SharedWrite, changes::delete)?;
        route_for(put, Post, "/rename", SharedWrite, plain::form(changes::rename))?;
        route_for(put, Post, "/remove", SharedWrite, plain::form(changes::remove))?;
        route_for(put, Post, "/dirs", SharedWrite, plain::form(changes::make_folder))?;
        route(put, Options, "/tus", Open, resume::options)?;
        route_for(put, Post, "/tus", SharedWrite, resume::create)?;
        route(put, Options, "/tus/:id", Open, resume::options)?;
        route_for(put, Get, "/tus/:id", SharedWrite, resume::status)?;
        route_for(put, Post, "/tus/:id", SharedWrite, resume::overridden)?;
        route_for(put, Patch, "/tus/:id", SharedWrite, resume::patch)?;
        route_for(put, Delete, "/tus/:id", SharedWrite, resume::delete)?;
    }
    show(put, Page::Files)
}

/// The chat, and its page.
pub fn chat(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route_for(put, Post, "/send", ChatWrite, chat::send)?;
    route(put, Get, "/messages", ChatRead, messages::messages)?;
    route_for(put, Delete, "/messages/:id", ChatWrite, chat::remove)?;
    route_for(put, Get, "/events", ChatRead, streams::events)?;
    route_for(put, Get, "/ws", ChatRead, streams::socket)?;
    route(put, Get, "/rooms", ChatRead, chat::rooms)?;
    route(put, Get, "/who", ChatRead, chat::who)?;
    show(put, Page::Chat)
}

/// Accounts, and their pages. Whoever may not do what a page is for is told so there.
pub fn accounts(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route_for(put, Post, "/register", Enter, accounts::register)?;
    route_for(put, Post, "/login", Enter, login::login)?;
    route_for(put, Post, "/logout", Enter, login::logout)?;
    route_for(put, Post, "/reset-password", Enter, accounts::reset)?;
    route_for(put, Get, "/protected", Identity, accounts::protected)?;
    route_for(put, Get, "/me", Identity, accounts::me)?;
    route_for(put, Delete, "/me", Account, accounts::delete)?;
    route_for(put, Post, "/me", Account, accounts::delete)?;
    route_for(put, Post, "/password", Account, accounts::password)?;
    route_for(put, Get, "/sessions", Account, credentials::sessions)?;
    route_for(put, Delete, "/sessions/:id", Account, credentials::end_session)?;
    route_for(put, Post, "/sessions/:id", Account, credentials::end_session)?;
    route_for(put, Get, "/tokens", Account, credentials::tokens)?;
    route_for(put, Post, "/tokens", Account, credentials::make_token)?;
    route_for(put, Delete, "/tokens/:id", Account, credentials::remove_token)?;
    route_for(put, Post, "/tokens/:id", Account, credentials::remove_token)?;
    route(put, Get, "/admin/users", Admin, admin::users)?;
    route_for(put, Post, "/admin/users", Admin, admin::create)?;
    for method in [Patch, Delete, Post] {
        route_for(put, method, "/admin/users/:name", Admin, admin::change)?;
    }
    route_for(put, Post, "/admin/users/:name/reset", Admin, admin::reset)?;
    route_for(put, Post, "/admin/invites", Admin, admin::invite)?;
    route_for(put, Get, "/_hythe/mine", Identity, entrance::mine)?;
    [Page::Login, Page::Register, Page::Reset, Page::Account, Page::Admin]
        .into_iter()
        .try_for_each(|page| show(put, page))
}

fn show(put: &mut Table<'_>, page: Page) -> Result<(), BadPattern> {
    let show = move |site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>| {
        entrance::show(page, site, call, &who, cx)
    };
    route_for(put, Get, page.path(), Open, show)
}

fn route<R: Into<Reply<Site>>>(
    put: &mut Table<'_>,
    method: Method,
    pattern: &str,
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
) -> Result<(), BadPattern> {
    put(method, pattern, Box::new(guard(action, handler)))
}

/// The same for a handler that must know who it acts for.
fn route_for<R: Into<Reply<Site>>>(
    put: &mut Table<'_>,
    method: Method,
    pattern: &str,
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, Principal, &mut Context<'_>) -> R + Clone + 'static,
) -> Result<(), BadPattern> {
    put(method, pattern, Box::new(guard_for(action, handler)))
}
