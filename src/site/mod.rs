//! What this server is for: the table of routes, on one screen.

use crate::http::request::Method;
use crate::server::Server;
use crate::server::context::{Call, Context};
use crate::server::reply::{Handler, Hub, Reply};
use crate::server::router::BadPattern;
#[cfg(feature = "ui")]
use crate::site::entrance::Page;
use crate::site::gate::{Action, Principal, guard, guard_for};
use crate::site::state::Site;

#[cfg(feature = "accounts")]
pub mod accounts;
#[cfg(feature = "accounts")]
pub mod admin;
#[cfg(feature = "chat")]
pub mod ask;
#[cfg(feature = "chat")]
pub mod attached;
pub mod body;
pub mod books;
#[cfg(feature = "ui")]
pub mod built;
#[cfg(feature = "files")]
pub mod changes;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "chat")]
pub mod chat_page;
pub mod cookie;
#[cfg(feature = "accounts")]
pub mod credentials;
#[cfg(feature = "files")]
pub mod current;
#[cfg(feature = "chat")]
pub mod draft;
pub mod entrance;
#[cfg(feature = "files")]
pub mod file_list;
#[cfg(feature = "files")]
pub mod files;
pub mod frame;
pub mod gate;
pub mod held;
#[cfg(feature = "chat")]
pub mod keeping;
pub mod kept;
#[cfg(feature = "accounts")]
pub mod listed;
#[cfg(feature = "chat")]
pub mod listener;
pub mod listing;
#[cfg(feature = "accounts")]
pub mod login;
#[cfg(feature = "chat")]
pub mod messages;
#[cfg(feature = "chat")]
pub mod news;
pub mod notice;
#[cfg(feature = "chat")]
pub mod older;
pub mod openapi;
#[cfg(feature = "accounts")]
pub mod openapi_accounts;
#[cfg(feature = "chat")]
mod openapi_chat;
#[cfg(feature = "files")]
mod openapi_files;
#[cfg(feature = "ui")]
mod openapi_pages;
#[cfg(feature = "files")]
mod openapi_tus;
/// The words of descriptions.
pub mod openapi_words;
#[cfg(feature = "chat")]
pub mod opening;
pub mod pages;
#[cfg(feature = "accounts")]
pub mod people;
#[cfg(feature = "files")]
pub mod plain;
#[cfg(feature = "accounts")]
pub mod post;
#[cfg(feature = "chat")]
pub mod presence;
#[cfg(feature = "files")]
pub mod put;
pub mod rate;
#[cfg(feature = "files")]
pub mod receive;
pub mod reserve;
#[cfg(feature = "files")]
pub mod resume;
#[cfg(feature = "chat")]
pub mod rooms;
pub mod rows;
#[cfg(feature = "chat")]
pub mod said;
pub mod shelved;
#[cfg(feature = "chat")]
pub mod speaker;
pub mod spot;
pub mod state;
#[cfg(feature = "chat")]
pub mod streams;
pub mod system;
pub mod table;
pub mod throttle;
#[cfg(feature = "accounts")]
pub mod upkeep;
#[cfg(feature = "files")]
pub mod upload;
pub mod variant;
#[cfg(feature = "files")]
pub mod way;

#[cfg(feature = "accounts")]
use Action::{Account, Admin, Enter, Identity};
#[cfg(feature = "chat")]
use Action::{ChatRead, ChatWrite};
use Action::{Metrics, Open, WwwRead};
#[cfg(feature = "files")]
use Action::{SharedRead, SharedWrite};
use Method::Get;
#[cfg(any(feature = "accounts", feature = "files"))]
use Method::Patch;
#[cfg(any(feature = "accounts", feature = "chat", feature = "files"))]
use Method::{Delete, Post};
#[cfg(feature = "files")]
use Method::{Options, Put};

/// Where a route is put: into a server of this site's own, or of a program that lends it.
pub type Table<'a> = dyn FnMut(Method, &str, Handler<Site>) -> Result<(), BadPattern> + 'a;

/// The server with all of the site's routes. A part that is switched off has none.
///
/// # Errors
/// If two routes are the same: a mistake of this table.
pub fn server(site: Site, hub: Hub) -> Result<Server<Site>, BadPattern> {
    let mut server = Server::new(site, hub);
    mount(&mut server)?;
    server.set_rest_handler(Box::new(guard(WwwRead, |site, call, cx| pages::page(site, 0, call, cx))));
    Ok(server)
}

fn mount(server: &mut Server<Site>) -> Result<(), BadPattern> {
    let site = server.state();
    let (has_files, has_chat, has_accounts) = (site.files.is_some(), site.has_chat(), site.accounts.is_some());
    #[cfg(feature = "chat")]
    site.chimes.push(news::tell_news);
    #[cfg(feature = "accounts")]
    site.chimes.push(people::release);
    #[cfg(feature = "files")]
    if has_files {
        site.chimes.push(spot::let_in);
        server.add_stamp(resume::answer::stamp(""));
        server.add_alarm(resume::expiration::look_around);
        server.add_alarm(spot::remove_doomed);
    }
    let put: &mut Table<'_> = &mut |method, pattern, handler| server.add_handler(method, pattern, handler);
    system(put)?;
    #[cfg(feature = "ui")]
    {
        parts(put)?;
        // The front page, even where there are no files.
        show(put, Page::Files)?;
    }
    #[cfg(feature = "files")]
    if has_files {
        files(put)?;
    }
    #[cfg(feature = "chat")]
    if has_chat {
        chat(put)?;
    }
    #[cfg(feature = "accounts")]
    if has_accounts {
        accounts(put)?;
    }
    // Of a part that is left out there is nothing to ask.
    let _ = (has_files, has_chat, has_accounts);
    Ok(())
}

/// What tells how the server is.
pub fn system(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route(put, Get, "/healthz", Open, system::health)?;
    route(put, Get, "/metrics", Metrics, system::metrics)?;
    route_for(put, Get, "/api", Open, system::api)?;
    route(put, Get, "/openapi.json", Open, system::description)
}

/// What pages are made of.
#[cfg(feature = "ui")]
pub fn parts(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route(put, Get, "/_hythe/*part", Open, entrance::part)
}

/// Files.
#[cfg(feature = "files")]
pub fn files(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route_for(put, Post, "/upload", SharedWrite, plain::form(upload::upload))?;
    route_for(put, Get, "/file-list", SharedRead, file_list::list)?;
    route_for(put, Get, "/file-info/*path", SharedRead, files::info)?;
    route_for(put, Get, "/files/*path", SharedRead, files::download)?;
    route_for(put, Put, "/files/*path", SharedWrite, self::put::put)?;
    route_for(put, Patch, "/files/*path", SharedWrite, changes::patch)?;
    route_for(put, Delete, "/files/*path", SharedWrite, changes::delete)?;
    route_for(put, Post, "/rename", SharedWrite, plain::form(changes::rename))?;
    route_for(put, Post, "/remove", SharedWrite, plain::form(changes::remove))?;
    route_for(put, Post, "/dirs", SharedWrite, plain::form(changes::make_folder))?;
    route(put, Options, "/tus", Open, resume::methods::options)?;
    route_for(put, Post, "/tus", SharedWrite, resume::creation::create)?;
    route(put, Options, "/tus/:id", Open, resume::methods::options)?;
    route_for(put, Get, "/tus/:id", SharedWrite, resume::status::status)?;
    route_for(put, Post, "/tus/:id", SharedWrite, resume::methods::overridden)?;
    route_for(put, Patch, "/tus/:id", SharedWrite, resume::patch::patch)?;
    route_for(put, Delete, "/tus/:id", SharedWrite, resume::termination::delete)
}

/// The chat, and its page.
#[cfg(feature = "chat")]
pub fn chat(put: &mut Table<'_>) -> Result<(), BadPattern> {
    route_for(put, Post, "/send", ChatWrite, chat::send)?;
    route_for(put, Get, "/messages", ChatRead, messages::messages)?;
    route_for(put, Delete, "/messages/:id", ChatWrite, chat::remove)?;
    route_for(put, Get, "/events", ChatRead, streams::events)?;
    route_for(put, Get, "/ws", ChatRead, streams::socket)?;
    route(put, Get, "/rooms", ChatRead, chat::rooms)?;
    #[cfg(feature = "ui")]
    show(put, Page::Chat)?;
    route(put, Get, "/who", ChatRead, chat::who)
}

/// Accounts, and their pages. Whoever may not do what a page is for is told so there.
#[cfg(feature = "accounts")]
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
    #[cfg(feature = "ui")]
    {
        route_for(put, Get, "/_hythe/mine", Identity, entrance::mine)?;
        let pages = [Page::Login, Page::Register, Page::Reset, Page::Account, Page::Admin];
        pages.into_iter().try_for_each(|page| show(put, page))?;
    }
    Ok(())
}

/// The page itself.
#[cfg(feature = "ui")]
pub fn show(put: &mut Table<'_>, page: Page) -> Result<(), BadPattern> {
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
