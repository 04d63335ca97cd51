//! What this server is for: the table of routes, on one screen.

use crate::http::request::Method;
use crate::server::Server;
use crate::server::context::{Call, Context};
use crate::server::reply::{Hub, Reply};
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

/// The server with all of the site's routes. A part that is switched off has none.
///
/// # Errors
/// If two routes are the same: a mistake of this table.
pub fn server(mut site: Site, hub: Hub) -> Result<Server<Site>, BadPattern> {
    let (has_files, has_chat, has_accounts) = (site.files.is_some(), site.chat.is_some(), site.accounts.is_some());
    site.chimes.push(news::tell_news);
    let mut server = Server::new(site, hub);
    route(&mut server, &[Get], "/healthz", Open, system::health)?;
    route(&mut server, &[Get], "/metrics", Metrics, system::metrics)?;
    route_for(&mut server, &[Get], "/api", Open, system::api)?;
    route(&mut server, &[Get], "/openapi.json", Open, system::description)?;
    if has_files {
        route_for(&mut server, &[Post], "/upload", SharedWrite, plain::form(upload::upload))?;
        route_for(&mut server, &[Get], "/file-list", SharedRead, file_list::list)?;
        route_for(&mut server, &[Get], "/file-info/*path", SharedRead, files::info)?;
        route_for(&mut server, &[Get], "/files/*path", SharedRead, files::download)?;
        route_for(&mut server, &[Put], "/files/*path", SharedWrite, changes::put)?;
        route_for(&mut server, &[Patch], "/files/*path", SharedWrite, changes::patch)?;
        route_for(&mut server, &[Delete], "/files/*path", SharedWrite, changes::delete)?;
        route_for(&mut server, &[Post], "/rename", SharedWrite, plain::form(changes::rename))?;
        route_for(&mut server, &[Post], "/remove", SharedWrite, plain::form(changes::remove))?;
        route_for(&mut server, &[Post], "/dirs", SharedWrite, plain::form(changes::make_folder))?;
        route(&mut server, &[Options], "/tus", Open, resume::options)?;
        route_for(&mut server, &[Post], "/tus", SharedWrite, resume::create)?;
        route(&mut server, &[Options], "/tus/:id", Open, resume::options)?;
        route_for(&mut server, &[Get], "/tus/:id", SharedWrite, resume::status)?;
        route_for(&mut server, &[Post], "/tus/:id", SharedWrite, resume::overridden)?;
        route_for(&mut server, &[Patch], "/tus/:id", SharedWrite, resume::patch)?;
        route_for(&mut server, &[Delete], "/tus/:id", SharedWrite, resume::delete)?;
    }
    if has_chat {
        route_for(&mut server, &[Post], "/send", ChatWrite, chat::send)?;
        route(&mut server, &[Get], "/messages", ChatRead, messages::messages)?;
        route_for(&mut server, &[Delete], "/messages/:id", ChatWrite, chat::remove)?;
        route_for(&mut server, &[Get], "/events", ChatRead, streams::events)?;
        route_for(&mut server, &[Get], "/ws", ChatRead, streams::socket)?;
        route(&mut server, &[Get], "/rooms", ChatRead, chat::rooms)?;
        route(&mut server, &[Get], "/who", ChatRead, chat::who)?;
    }
    if has_accounts {
        add_accounts(&mut server)?;
    }
    add_pages(&mut server, has_chat, has_accounts)?;
    server.set_rest(guard(WwwRead, pages::page));
    Ok(server)
}

fn add_accounts(server: &mut Server<Site>) -> Result<(), BadPattern> {
    route_for(server, &[Post], "/register", Enter, accounts::register)?;
    route_for(server, &[Post], "/login", Enter, login::login)?;
    route_for(server, &[Post], "/logout", Enter, login::logout)?;
    route_for(server, &[Post], "/reset-password", Enter, accounts::reset)?;
    route_for(server, &[Get], "/protected", Identity, accounts::protected)?;
    route_for(server, &[Get], "/me", Identity, accounts::me)?;
    route_for(server, &[Delete, Post], "/me", Account, accounts::delete)?;
    route_for(server, &[Post], "/password", Account, accounts::password)?;
    route_for(server, &[Get], "/sessions", Account, credentials::sessions)?;
    route_for(server, &[Delete, Post], "/sessions/:id", Account, credentials::end_session)?;
    route_for(server, &[Get], "/tokens", Account, credentials::tokens)?;
    route_for(server, &[Post], "/tokens", Account, credentials::make_token)?;
    route_for(server, &[Delete, Post], "/tokens/:id", Account, credentials::remove_token)?;
    route(server, &[Get], "/admin/users", Admin, admin::users)?;
    route_for(server, &[Post], "/admin/users", Admin, admin::create)?;
    route_for(server, &[Patch, Delete, Post], "/admin/users/:name", Admin, admin::change)?;
    route_for(server, &[Post], "/admin/users/:name/reset", Admin, admin::reset)?;
    route_for(server, &[Post], "/admin/invites", Admin, admin::invite)?;
    route_for(server, &[Get], "/_hythe/mine", Identity, entrance::mine)
}

/// The pages, and the parts they are made of. Whoever may not do what a page is for is told so there.
fn add_pages(server: &mut Server<Site>, has_chat: bool, has_accounts: bool) -> Result<(), BadPattern> {
    route(server, &[Get], "/_hythe/*part", Open, entrance::part)?;
    for page in Page::ALL {
        let is_there = match page {
            Page::Files => true,
            Page::Chat => has_chat,
            Page::Login | Page::Register | Page::Reset | Page::Account | Page::Admin => has_accounts,
        };
        let show = move |site: &mut Site, call: &Call<'_>, who: Principal, cx: &mut Context<'_>| {
            entrance::show(page, site, call, &who, cx)
        };
        if is_there {
            route_for(server, &[Get], page.path(), Open, show)?;
        }
    }
    Ok(())
}

fn route<R: Into<Reply<Site>>>(
    server: &mut Server<Site>,
    methods: &[Method],
    pattern: &str,
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, &mut Context<'_>) -> R + Clone + 'static,
) -> Result<(), BadPattern> {
    server.add_route(methods, pattern, guard(action, handler))
}

/// The same for a handler that must know who it acts for.
fn route_for<R: Into<Reply<Site>>>(
    server: &mut Server<Site>,
    methods: &[Method],
    pattern: &str,
    action: Action,
    handler: impl Fn(&mut Site, &Call<'_>, Principal, &mut Context<'_>) -> R + Clone + 'static,
) -> Result<(), BadPattern> {
    server.add_route(methods, pattern, guard_for(action, handler))
}
