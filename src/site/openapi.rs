//! The OpenAPI 3.1 description of every route there is. A test holds it against the table of routes.
//!
//! Each route has a row in `ROUTES`: who may use it and what describes it. Bounds are those in force, taken from the
//! configuration and from the files that check them. What follows from the routes by itself, `HEAD` and `OPTIONS`, is told
//! once in words. Parts that are switched off are not described, for they are not there.

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::http::request::Method;
use crate::site::gate::{Action, Principal, Target, Terms, authorize};
#[cfg(feature = "accounts")]
use crate::site::openapi_accounts;
#[cfg(feature = "chat")]
use crate::site::openapi_chat;
#[cfg(feature = "ui")]
use crate::site::openapi_pages;
use crate::site::openapi_words::{
    Described, answer, content, document_answer, file_answers, file_headers, object, operation, path_parameter, schema,
};
use crate::site::state::Site;
#[cfg(feature = "files")]
use crate::site::{openapi_files, openapi_tus};

use Action::{Account, Identity, Metrics, Open, WwwRead};
#[cfg(feature = "accounts")]
use Action::{Admin, Enter};
#[cfg(feature = "chat")]
use Action::{ChatRead, ChatWrite};
#[cfg(feature = "files")]
use Action::{SharedRead, SharedWrite};
use Method::Get;
#[cfg(any(feature = "accounts", feature = "files"))]
use Method::Patch;
#[cfg(any(feature = "accounts", feature = "chat", feature = "files"))]
use Method::{Delete, Post};
#[cfg(feature = "files")]
use Method::{Options, Put};

/// What a route belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "a part that is left out of the build has no route")]
enum Part {
    System,
    Pages,
    Files,
    Chat,
    Accounts,
}

/// What describes something, as it is in force.
type Describe = fn(&Config) -> Value;

type Row = (Part, Method, &'static str, Action, Describe);

/// Every route, by method and pattern as the table of routes has them; `pages` is who answers what no route fits.
const ROUTES: &[&[Row]] = &[
    SYSTEM,
    #[cfg(feature = "files")]
    FILES,
    #[cfg(feature = "chat")]
    CHAT,
    #[cfg(feature = "accounts")]
    ACCOUNTS,
    #[cfg(feature = "ui")]
    PAGES_BUILT_IN,
];

/// How the server is, and static pages.
const SYSTEM: &[Row] = &[
    (Part::System, Get, "/healthz", Open, health),
    (Part::System, Get, "/metrics", Metrics, metrics),
    (Part::System, Get, "/api", Open, api),
    (Part::System, Get, "/openapi.json", Open, description),
    (Part::Pages, Get, "/", WwwRead, front_page),
    (Part::Pages, Get, "/*path", WwwRead, page),
];

/// Files.
#[cfg(feature = "files")]
const FILES: &[Row] = &[
    (Part::Files, Post, "/upload", SharedWrite, openapi_files::upload),
    (Part::Files, Get, "/file-list", SharedRead, openapi_files::file_list),
    (Part::Files, Get, "/file-info/*path", SharedRead, openapi_files::file_info),
    (Part::Files, Get, "/files/*path", SharedRead, openapi_files::download),
    (Part::Files, Put, "/files/*path", SharedWrite, openapi_files::put),
    (Part::Files, Patch, "/files/*path", SharedWrite, openapi_files::patch),
    (Part::Files, Delete, "/files/*path", SharedWrite, openapi_files::delete),
    (Part::Files, Post, "/rename", SharedWrite, openapi_files::rename),
    (Part::Files, Post, "/remove", SharedWrite, openapi_files::remove),
    (Part::Files, Post, "/dirs", SharedWrite, openapi_files::make_folder),
    (Part::Files, Options, "/tus", Open, openapi_tus::options),
    (Part::Files, Post, "/tus", SharedWrite, openapi_tus::create),
    (Part::Files, Options, "/tus/:id", Open, openapi_tus::options_of_one),
    (Part::Files, Get, "/tus/:id", SharedWrite, openapi_tus::status),
    (Part::Files, Post, "/tus/:id", SharedWrite, openapi_tus::overridden),
    (Part::Files, Patch, "/tus/:id", SharedWrite, openapi_tus::patch),
    (Part::Files, Delete, "/tus/:id", SharedWrite, openapi_tus::delete),
];

/// The chat.
#[cfg(feature = "chat")]
const CHAT: &[Row] = &[
    (Part::Chat, Post, "/send", ChatWrite, openapi_chat::send),
    (Part::Chat, Get, "/messages", ChatRead, openapi_chat::list_messages),
    (Part::Chat, Delete, "/messages/:id", ChatWrite, openapi_chat::remove_message),
    (Part::Chat, Get, "/events", ChatRead, openapi_chat::events),
    (Part::Chat, Get, "/ws", ChatRead, openapi_chat::socket),
    (Part::Chat, Get, "/rooms", ChatRead, openapi_chat::list_rooms),
    (Part::Chat, Get, "/who", ChatRead, openapi_chat::who),
];

/// Accounts.
#[cfg(feature = "accounts")]
const ACCOUNTS: &[Row] = &[
    (Part::Accounts, Post, "/register", Enter, openapi_accounts::register),
    (Part::Accounts, Post, "/login", Enter, openapi_accounts::login),
    (Part::Accounts, Post, "/logout", Enter, openapi_accounts::logout),
    (Part::Accounts, Post, "/reset-password", Enter, openapi_accounts::reset_password),
    (Part::Accounts, Get, "/protected", Identity, openapi_accounts::protected),
    (Part::Accounts, Get, "/me", Identity, openapi_accounts::me),
    (Part::Accounts, Delete, "/me", Account, openapi_accounts::delete_me),
    (Part::Accounts, Post, "/me", Account, openapi_accounts::delete_me_by_form),
    (Part::Accounts, Post, "/password", Account, openapi_accounts::password),
    (Part::Accounts, Get, "/sessions", Account, openapi_accounts::sessions),
    (Part::Accounts, Delete, "/sessions/:id", Account, openapi_accounts::end_session),
    (Part::Accounts, Post, "/sessions/:id", Account, openapi_accounts::end_session_by_form),
    (Part::Accounts, Get, "/tokens", Account, openapi_accounts::tokens),
    (Part::Accounts, Post, "/tokens", Account, openapi_accounts::make_token),
    (Part::Accounts, Delete, "/tokens/:id", Account, openapi_accounts::remove_token),
    (Part::Accounts, Post, "/tokens/:id", Account, openapi_accounts::remove_token_by_form),
    (Part::Accounts, Get, "/admin/users", Admin, openapi_accounts::users),
    (Part::Accounts, Post, "/admin/users", Admin, openapi_accounts::create_user),
    (Part::Accounts, Patch, "/admin/users/:name", Admin, openapi_accounts::change_user),
    (Part::Accounts, Delete, "/admin/users/:name", Admin, openapi_accounts::delete_user),
    (Part::Accounts, Post, "/admin/users/:name", Admin, openapi_accounts::change_user_by_form),
    (Part::Accounts, Post, "/admin/users/:name/reset", Admin, openapi_accounts::reset_user),
    (Part::Accounts, Post, "/admin/invites", Admin, openapi_accounts::invite),
];

/// Pages of the parts.
#[cfg(feature = "ui")]
const PAGES_BUILT_IN: &[Row] = &[
    (Part::Accounts, Get, "/_hythe/mine", Identity, openapi_pages::mine),
    (Part::Accounts, Get, "/login", Open, openapi_pages::login),
    (Part::Accounts, Get, "/register", Open, openapi_pages::register),
    (Part::Accounts, Get, "/reset-password", Open, openapi_pages::reset),
    (Part::Accounts, Get, "/account", Open, openapi_pages::account),
    (Part::Accounts, Get, "/admin", Open, openapi_pages::admin),
    (Part::Pages, Get, "/_hythe/*part", Open, openapi_pages::part),
    (Part::Pages, Get, "/files-ui", Open, openapi_pages::files),
    (Part::Chat, Get, "/chat", Open, openapi_pages::chat),
];

/// The path templates under which static pages are described: they are no routes, but what is left when none fits.
pub const PAGES: [&str; 2] = ["/", "/{path}"];

/// The whole document.
pub fn document(site: &Site) -> Value {
    let config = &site.config;
    let is_there = |part| match part {
        Part::System | Part::Pages => true,
        Part::Files => site.files.is_some(),
        Part::Chat => site.has_chat(),
        Part::Accounts => site.accounts.is_some(),
    };
    let terms = Terms { rights: site.rights, is_local: false };
    let mut paths = Map::new();
    for (part, method, pattern, action, describe) in
        ROUTES.iter().copied().flatten().filter(|(part, ..)| is_there(*part))
    {
        let mut operation = describe(config);
        operation["tags"] = json!([match part {
            Part::System => "system",
            Part::Pages => "pages",
            Part::Files => "files",
            Part::Chat => "chat",
            Part::Accounts => "accounts",
        }]);
        let is_open = authorize(&Principal::Guest, *action, Target::Shared, &terms).is_ok();
        operation["security"] = security(*action, is_open, site.accounts.is_some());
        paths.entry(template(pattern)).or_insert_with(|| json!({}))[method.name().to_ascii_lowercase()] = operation;
    }
    let server = if config.path_prefix.is_empty() { "/" } else { &config.path_prefix };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hythe",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A server for files, uploads and chat",
            "description": "Every path that answers GET answers HEAD, with the same head and no body; every path answers \
                OPTIONS with 204 and Allow. Any request may be refused with a problem document (RFC 9457), or with a small \
                page where Accept prefers HTML.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": "system"}, {"name": "pages"}, {"name": "files"}, {"name": "chat"}, {"name": "accounts"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "operator": {"type": "http", "scheme": "bearer", "description": "The operator's token."},
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, within its scopes; or a session that was handed out as a token. An API \
                        token may also be the password of Basic credentials.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "hythe",
                    "description": "The cookie of a session; __Host-hythe over TLS.",
                },
            },
            "responses": {
                "Refused": {
                    "description": "A refusal, with a stable code and a sentence.",
                    "content": {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                        "text/html": {"schema": {"type": "string"}},
                    },
                },
            },
            "schemas": schemas(config),
        },
    })
}

/// Who may, as a document says it.
fn security(action: Action, is_open: bool, has_accounts: bool) -> Value {
    let mut ways = Vec::new();
    if is_open {
        ways.push(json!({}));
    }
    if !matches!(action, Identity | Account) {
        ways.push(json!({"operator": []}));
    }
    if has_accounts && action != Metrics {
        ways.push(json!({"session": []}));
    }
    if has_accounts && !matches!(action, Account | Action::Admin | Metrics) {
        ways.push(json!({"token": []}));
    }
    Value::Array(ways)
}

/// A pattern of the table of routes as a path template: `/files/*path` is `/files/{path}`.
pub fn template(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| match segment.strip_prefix([':', '*']) {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

fn schemas(config: &Config) -> Value {
    let mut all = own_schemas();
    let parts: &[(&str, Describe)] = &[
        #[cfg(feature = "files")]
        ("Path", |_| openapi_files::path_schema()),
        #[cfg(feature = "files")]
        ("File", |_| openapi_files::file()),
        #[cfg(feature = "chat")]
        ("Message", openapi_chat::message),
        #[cfg(feature = "accounts")]
        ("User", |_| openapi_accounts::user()),
        #[cfg(feature = "accounts")]
        ("Session", |_| openapi_accounts::session()),
        #[cfg(feature = "accounts")]
        ("Token", |_| openapi_accounts::token()),
    ];
    for (name, schema) in parts {
        all[*name] = schema(config);
    }
    all
}

fn own_schemas() -> Value {
    let limit = json!({"type": ["integer", "null"], "minimum": 0, "description": "null: there is no such limit."});
    json!({
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": {"type": "string", "const": "about:blank"},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
                "detail": {"type": "string"},
            },
        },
        "Api": {
            "type": "object",
            "required": ["name", "version", "features", "user", "may", "signup", "limits"],
            "properties": {
                "name": {"type": "string", "const": "hythe"},
                "version": {"type": "string"},
                "features": {"type": "array", "items": {"type": "string"}},
                "user": {"type": ["string", "null"], "description": "Who asks."},
                "may": {"type": "array", "items": {"type": "string"}, "description": "What who asks may, by the switches."},
                "signup": {"type": "string", "enum": ["open", "invite", "closed"]},
                "limits": {"type": "object", "additionalProperties": limit},
            },
        },
    })
}

fn health(_: &Config) -> Value {
    let status = |word: &str| object(&["status"], json!({"status": {"type": "string", "const": word}}));
    let answers = [
        (200, document_answer("Requests are welcome.", status("ok"))),
        (503, document_answer("The server is stopping.", status("draining"))),
    ];
    operation("health", "Whether to send requests here", &answers, &[])
}

fn metrics(_: &Config) -> Value {
    let answers = [(200, content("Prometheus text, version 0.0.4.", "text/plain", json!({"type": "string"})))];
    let note = "For the operator; under loopback defaults also for whoever asks from the machine itself.";
    operation("metrics", "The server's numbers", &answers, &[401]).with("description", json!(note))
}

fn api(_: &Config) -> Value {
    operation(
        "api",
        "Name, version, features and limits",
        &[(200, document_answer("What there is.", schema("Api")))],
        &[],
    )
}

fn description(_: &Config) -> Value {
    let answers = [(200, document_answer("An OpenAPI 3.1 document.", json!({"type": "object"})))];
    operation("openapi", "This document", &answers, &[])
}

fn front_page(_: &Config) -> Value {
    let answers = file_answers("The front page.");
    operation("frontPage", "The front page", &answers, &[404, 412, 416]).with("parameters", json!(file_headers()))
}

fn page(_: &Config) -> Value {
    let mut answers = file_answers("The file, or a folder's index; a folder's list, where that is switched on.");
    answers.push((308, answer("It is a folder: the same path with a slash at its end.")));
    let text = json!({"type": "string", "minLength": 1});
    let path = path_parameter("A path below the folder of pages. Its slashes are sent as they are.", text);
    let parameters: Vec<Value> = std::iter::once(path).chain(file_headers()).collect();
    operation("page", "A static file", &answers, &[403, 404, 412, 416]).with("parameters", json!(parameters))
}
