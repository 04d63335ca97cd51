//! The OpenAPI 3.1 description of every route there is. A test holds it against the table of routes.
//!
//! Each route has a row in [`ROUTES`]: who may use it and what describes it. Bounds are those in force, taken from the
//! configuration and from the files that check them. What follows from the routes by itself, `HEAD` and `OPTIONS`, is told
//! once in words. Parts that are switched off are not described, for they are not there.

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::http::request::Method;
use crate::site::ask;
use crate::site::file_list;
use crate::site::gate::{Action, Principal, Target, Terms, authorize};
use crate::site::openapi_accounts;
use crate::site::openapi_pages;
use crate::site::openapi_tus;
use crate::site::openapi_words::{
    Described, answer, content, document_answer, header, object, object_or_form, operation, query, schema,
};
use crate::site::rooms;
use crate::site::speaker;
use crate::site::state::Site;
use crate::store::tree::{NAME_BYTES_MAX, SEGMENTS_MAX};
use crate::store::zipped::CAN_ZIP;

use Action::{Account, Admin, ChatRead, ChatWrite, Enter, Identity, Metrics, Open, SharedRead, SharedWrite, WwwRead};
use Method::{Delete, Get, Options, Patch, Post, Put};

/// What a route belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    System,
    Pages,
    Files,
    Chat,
    Accounts,
}

type Row = (Part, Method, &'static str, Action, fn(&Config) -> Value);

/// Every route, by method and pattern as the table of routes has them; `pages` is who answers what no route fits.
const ROUTES: &[Row] = &[
    (Part::System, Get, "/healthz", Open, health),
    (Part::System, Get, "/metrics", Metrics, metrics),
    (Part::System, Get, "/api", Open, api),
    (Part::System, Get, "/openapi.json", Open, description),
    (Part::Pages, Get, "/", WwwRead, front_page),
    (Part::Pages, Get, "/*path", WwwRead, page),
    (Part::Files, Post, "/upload", SharedWrite, upload),
    (Part::Files, Get, "/file-list", SharedRead, file_list),
    (Part::Files, Get, "/file-info/*path", SharedRead, file_info),
    (Part::Files, Get, "/files/*path", SharedRead, download),
    (Part::Files, Put, "/files/*path", SharedWrite, put),
    (Part::Files, Patch, "/files/*path", SharedWrite, patch),
    (Part::Files, Delete, "/files/*path", SharedWrite, delete),
    (Part::Files, Post, "/rename", SharedWrite, rename),
    (Part::Files, Post, "/remove", SharedWrite, remove),
    (Part::Files, Post, "/dirs", SharedWrite, make_folder),
    (Part::Files, Options, "/tus", Open, openapi_tus::options),
    (Part::Files, Post, "/tus", SharedWrite, openapi_tus::create),
    (Part::Files, Options, "/tus/:id", Open, openapi_tus::options_of_one),
    (Part::Files, Get, "/tus/:id", SharedWrite, openapi_tus::status),
    (Part::Files, Post, "/tus/:id", SharedWrite, openapi_tus::overridden),
    (Part::Files, Patch, "/tus/:id", SharedWrite, openapi_tus::patch),
    (Part::Files, Delete, "/tus/:id", SharedWrite, openapi_tus::delete),
    (Part::Chat, Post, "/send", ChatWrite, send),
    (Part::Chat, Get, "/messages", ChatRead, list_messages),
    (Part::Chat, Delete, "/messages/:id", ChatWrite, remove_message),
    (Part::Chat, Get, "/events", ChatRead, events),
    (Part::Chat, Get, "/ws", ChatRead, socket),
    (Part::Chat, Get, "/rooms", ChatRead, list_rooms),
    (Part::Chat, Get, "/who", ChatRead, who),
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
    (Part::Accounts, Get, "/_hythe/mine", Identity, openapi_pages::mine),
    (Part::Pages, Get, "/_hythe/*part", Open, openapi_pages::part),
    (Part::Pages, Get, "/files-ui", Open, openapi_pages::files),
    (Part::Chat, Get, "/chat", Open, openapi_pages::chat),
    (Part::Accounts, Get, "/login", Open, openapi_pages::login),
    (Part::Accounts, Get, "/register", Open, openapi_pages::register),
    (Part::Accounts, Get, "/reset-password", Open, openapi_pages::reset),
    (Part::Accounts, Get, "/account", Open, openapi_pages::account),
    (Part::Accounts, Get, "/admin", Open, openapi_pages::admin),
];

/// The path templates under which static pages are described: they are no routes, but what is left when none fits.
pub const PAGES: [&str; 2] = ["/", "/{path}"];

/// The whole document.
pub fn document(site: &Site) -> Value {
    let config = &site.config;
    let is_there = |part| match part {
        Part::System | Part::Pages => true,
        Part::Files => site.files.is_some(),
        Part::Chat => site.chat.is_some(),
        Part::Accounts => site.accounts.is_some(),
    };
    let terms = Terms { rights: site.rights, is_local: false };
    let mut paths = Map::new();
    for (part, method, pattern, action, describe) in ROUTES.iter().filter(|(part, ..)| is_there(*part)) {
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
    if has_accounts && !matches!(action, Account | Admin | Metrics) {
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
    let time = json!({"type": "string", "format": "date-time", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"});
    let limit = json!({"type": ["integer", "null"], "minimum": 0, "description": "null: there is no such limit."});
    json!({
        "User": openapi_accounts::user(),
        "Session": openapi_accounts::session(),
        "Token": openapi_accounts::token(),
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
        "Path": path_schema(),
        "File": {
            "type": "object",
            "required": ["name", "path", "url", "size", "type", "modified", "etag", "owner"],
            "properties": {
                "name": {"type": "string", "maxLength": NAME_BYTES_MAX},
                "path": {"$ref": "#/components/schemas/Path"},
                "url": {"type": "string", "format": "uri-reference"},
                "size": {"type": "integer", "minimum": 0},
                "type": {"type": "string", "description": "A media type; folder for a folder that was moved."},
                "modified": time,
                "etag": {"type": "string", "pattern": "^\"[0-9a-f]{16}\"$"},
                "owner": {"type": ["string", "null"]},
            },
        },
        "Message": {
            "type": "object",
            "required": ["id", "room", "ts", "user", "name", "message"],
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "room": room_schema(),
                "ts": time,
                "user": {"type": ["string", "null"]},
                "name": {"type": "string", "minLength": 1, "maxLength": speaker::NAME_MAX},
                "message": {"type": "string", "minLength": 1, "maxLength": config.limits.message_limit_bytes},
            },
        },
    })
}

fn path_schema() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": SEGMENTS_MAX * (NAME_BYTES_MAX + 1) - 1,
        "pattern": format!(
            r"^(?!\.)[^/\\\u0000-\u001f\u007f]{{1,{NAME_BYTES_MAX}}}(/(?!\.)[^/\\\u0000-\u001f\u007f]{{1,{NAME_BYTES_MAX}}}){{0,{}}}$",
            SEGMENTS_MAX - 1
        ),
        "description": "Names with slashes between them. None begins with a dot; lengths count bytes of UTF-8. A first name that \
            begins with ~ is a home.",
    })
}

/// A name without a folder.
fn name_schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": r"^[^.~/\\\u0000-\u001f\u007f][^/\\\u0000-\u001f\u007f]*$"})
}

fn path_parameter(description: &str, schema: Value) -> Value {
    json!({"name": "path", "in": "path", "required": true, "schema": schema, "description": description})
}

fn file_path() -> Value {
    path_parameter("The file's path. Its slashes are sent as they are.", schema("Path"))
}

fn on_conflict() -> Value {
    let words = json!({"type": "string", "enum": ["error", "rename", "overwrite"], "default": "error"});
    query("on_conflict", words, "What happens when the name is taken.")
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

/// What a file that is read can be answered with.
fn file_answers(whole: &str) -> Vec<(u16, Value)> {
    let bytes = |description: &str| json!({"description": description, "content": {"*/*": {}}});
    vec![
        (200, bytes(whole)),
        (206, bytes("One range of it, or several as multipart/byteranges.")),
        (304, answer("The client has it already.")),
    ]
}

fn file_headers() -> Vec<Value> {
    vec![
        header("Range", "Up to 32 ranges of bytes that do not overlap; else the whole file is sent."),
        header("If-Range", "An entity tag or a date: ranges are sent only if the file is still that."),
        header("If-None-Match", "Entity tags."),
        header("If-Match", "Entity tags."),
        header("If-Modified-Since", "A date."),
        header("If-Unmodified-Since", "A date."),
    ]
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

fn upload(config: &Config) -> Value {
    let limits = &config.limits;
    let stored = object(
        &["status", "message", "file", "filepath"],
        json!({
            "status": {"type": "string", "const": "success"},
            "message": {"type": "string"},
            "file": schema("File"),
            "filepath": {"type": "string", "format": "uri-reference"},
        }),
    );
    let several = object(
        &["status", "files"],
        json!({
            "status": {"type": "string", "const": "success"},
            "files": {"type": "array", "minItems": 1, "maxItems": limits.parts, "items": schema("File")},
        }),
    );
    let created = document_answer(
        "One file as it was stored, or those of a form.",
        json!({"oneOf": [stored, several]}),
    )
    .with("headers", json!({"Location": {"schema": {"type": "string"}, "description": "Where the one file is."}}));
    let form = object(
        &["file"],
        json!({
            "dir": {"type": "string", "description": "The folder the files go to; it stands before them."},
            "file": {
                "type": "array",
                "minItems": 1,
                "maxItems": limits.parts,
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            },
        }),
    );
    let body = json!({
        "required": true,
        "description": format!(
            "A JSON document of at most {} bytes, stored as it is; a form with files; or any other type, stored under ?name=, \
             which is then required. At most {} bytes.",
            limits.json_limit_bytes, limits.upload_limit_bytes
        ),
        "content": {
            "application/json": {"schema": {}},
            "multipart/form-data": {"schema": form},
            "*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
        },
    });
    let answers = [(201, created), (303, answer("A form of a browser: back to the page."))];
    operation("upload", "Store files", &answers, &[400, 401, 409, 411, 413, 415, 507])
        .with("parameters", json!([query("name", name_schema(), "The file's name; not for forms."), on_conflict()]))
        .with("requestBody", body)
}

fn file_list(_: &Config) -> Value {
    let listed = object(
        &["files", "dirs", "next"],
        json!({
            "files": {"type": "array", "items": schema("File")},
            "dirs": {"type": "array", "items": {"type": "string"}},
            "next": {"type": ["string", "null"], "description": "Where the next page begins: give it as after."},
            "cut": {"type": "boolean", "const": true, "description": "The search gave up before it had seen all names."},
        }),
    );
    let found = json!({
        "description": "One folder, or what a search found below it.",
        "content": {"application/json": {"schema": listed}, "text/html": {"schema": {"type": "string"}}},
    });
    let most = file_list::LIMIT_MAX;
    let parameters = json!([
        query("prefix", json!({"type": "string"}), "The folder; the root without it."),
        query("sort", json!({"type": "string", "enum": ["name", "size", "time"], "default": "name"}), "By what."),
        query("order", json!({"type": "string", "enum": ["asc", "desc"], "default": "asc"}), "Which way."),
        query("limit", json!({"type": "integer", "minimum": 1, "maximum": most, "default": most}), "How many at most."),
        query("after", json!({"type": "string"}), "The last answer's next."),
        query("q", json!({"type": "string"}), "Searches names, below the folder too."),
    ]);
    operation("listFiles", "A folder's files", &[(200, found)], &[400, 404]).with("parameters", parameters)
}

fn file_info(_: &Config) -> Value {
    let answers = [(200, document_answer("The file.", schema("File")))];
    operation("fileInfo", "What is known of a file", &answers, &[404]).with("parameters", json!([file_path()]))
}

fn download(_: &Config) -> Value {
    let inline = json!({"type": "string", "enum": ["0", "1"], "default": "0"});
    let inline = query("inline", inline, "1: images, plain text, audio and video are shown in place.");
    let hash = json!({"type": "string", "enum": ["sha256"]});
    let hash = query("hash", hash, "Adds Repr-Digest (RFC 9530) of the whole file.");
    let archive = json!({"type": "string", "enum": if CAN_ZIP { vec!["tar", "zip"] } else { vec!["tar"] }});
    let archive = query("archive", archive, "The path is a folder's: it and all below it as one file.");
    let parameters: Vec<Value> = [file_path(), inline, hash, archive].into_iter().chain(file_headers()).collect();
    let answers = file_answers("The whole file, as a download; a folder as an archive.");
    operation("download", "A file, or a folder as an archive", &answers, &[400, 404, 412, 413, 416])
        .with("parameters", json!(parameters))
}

fn guards() -> [Value; 2] {
    [
        header("If-Match", "Entity tags: only if the file is still one of these."),
        header("If-Unmodified-Since", "A date: only if the file has not changed since."),
    ]
}

fn put(config: &Config) -> Value {
    let create = json!({"type": "string", "enum": ["0", "1"], "default": "0"});
    let mut parameters = vec![
        file_path(),
        query("create", create, "1: the file need not be there yet."),
        header("If-None-Match", "*: only if nothing is there yet."),
    ];
    parameters.extend(guards());
    let file = |description| document_answer(description, schema("File"));
    let description = format!("The file's whole content, of at most {} bytes.", config.limits.upload_limit_bytes);
    let body = json!({
        "required": true,
        "description": description,
        "content": {"*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}},
    });
    let answers = [(200, file("The file, replaced.")), (201, file("The file, which is new."))];
    operation("replaceFile", "Replace a file, or create one", &answers, &[400, 401, 404, 409, 411, 412, 413, 415, 507])
        .with("parameters", json!(parameters))
        .with("requestBody", body)
}

fn conflict_word() -> Value {
    json!({"type": "string", "enum": ["error", "rename", "overwrite"]})
}

fn patch(_: &Config) -> Value {
    let properties = json!({"name": name_schema(), "path": schema("Path"), "on_conflict": conflict_word()});
    let wanted = object(&[], properties)
        .with("additionalProperties", json!(false))
        .with("oneOf", json!([{"required": ["name"]}, {"required": ["path"]}]));
    let parameters: Vec<Value> = [file_path(), on_conflict()].into_iter().chain(guards()).collect();
    let answers = [(200, document_answer("The file at its new place.", schema("File")))];
    operation("moveFile", "Give a file another name or path", &answers, &[400, 401, 404, 409, 412, 413, 415])
        .with("parameters", json!(parameters))
        .with("requestBody", json!({"required": true, "content": {"application/json": {"schema": wanted}}}))
}

fn deleted() -> (u16, Value) {
    let properties = json!({"status": {"type": "string", "const": "success"}, "deleted": {"type": "string"}});
    (200, document_answer("It is gone.", object(&["status", "deleted"], properties)))
}

fn delete(_: &Config) -> Value {
    let parameters: Vec<Value> = std::iter::once(file_path()).chain(guards()).collect();
    operation("deleteFile", "Delete a file or an empty folder", &[deleted()], &[401, 404, 409, 412])
        .with("parameters", json!(parameters))
}

/// What the three posts that pages without script use have in common.
fn post(id: &str, summary: &str, answers: [(u16, Value); 1], body: &Value) -> Value {
    let [done] = answers;
    let answers = [done, (303, answer("A form of a browser: back to the page."))];
    operation(id, summary, &answers, &[400, 401, 404, 409, 412, 413, 415]).with("requestBody", object_or_form(body))
}

fn rename(_: &Config) -> Value {
    let properties = json!({"from": schema("Path"), "to": schema("Path"), "on_conflict": conflict_word()});
    let moved = (200, document_answer("The file at its new place.", schema("File")));
    post("rename", "Give a file another path", [moved], &object(&["from", "to"], properties))
        .with("parameters", json!([on_conflict()]))
}

fn remove(_: &Config) -> Value {
    let body = object(&["name"], json!({"name": schema("Path")}));
    post("remove", "Delete a file or an empty folder", [deleted()], &body)
}

fn make_folder(_: &Config) -> Value {
    let properties = json!({"status": {"type": "string", "const": "success"}, "dir": schema("Path")});
    let made = (201, document_answer("The folder is there.", object(&["status", "dir"], properties)));
    post("makeFolder", "Make a folder", [made], &object(&["path"], json!({"path": schema("Path")})))
}

fn send(config: &Config) -> Value {
    let text =
        json!({"type": "string", "minLength": 1, "maxLength": config.limits.message_limit_bytes, "pattern": r"\S"});
    let draft = object(
        &["message"],
        json!({
            "message": text,
            "room": room_schema(),
            "name": {"type": "string", "maxLength": speaker::NAME_MAX, "pattern": r"^[\p{Alphabetic}\p{N} ._-]*$"},
        }),
    );
    let mut body = object_or_form(&draft);
    body["content"]["text/plain"] = json!({"schema": text});
    body["description"] =
        json!("Lengths count bytes of UTF-8. Control characters other than tab and line ends are refused.");
    let answers = [
        (201, document_answer("The message: it is kept, and everyone hears it.", schema("Message"))),
        (303, answer("A form of a browser: back to the page.")),
    ];
    operation("send", "Say something", &answers, &[400, 401, 403, 404, 409, 413, 415, 429, 503])
        .with("requestBody", body)
}

fn room_schema() -> Value {
    json!({"type": "string", "pattern": format!("^[a-z0-9-]{{1,{}}}$", rooms::NAME_MAX)})
}

fn some_rooms() -> Value {
    let list = json!({"type": "array", "items": room_schema(), "minItems": 1, "maxItems": rooms::SET_MAX});
    let mut parameter = query("room", list, "The rooms, with commas between them; the lobby unless said.");
    parameter["style"] = json!("form");
    parameter["explode"] = json!(false);
    parameter
}

fn remove_message(_: &Config) -> Value {
    let gone = object(&["status", "deleted"], json!({"status": {"const": "success"}, "deleted": {"type": "integer"}}));
    let answers = [(200, document_answer("It is gone, and everyone is told.", gone))];
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}});
    operation("removeMessage", "Take a message back", &answers, &[401, 403, 404, 503])
        .with("description", json!("Its author may for ten minutes, an admin and the operator always."))
        .with("parameters", json!([id]))
}

fn socket(_: &Config) -> Value {
    let note = "A WebSocket (RFC 6455), subprotocol `hythe.chat.v1`. Up: `{\"type\":\"send\",\"room\",\"message\",\"ref\"}` and \
        `{\"type\":\"typing\"}`. Down: `message` with the members of a message, `ack` with `ref` and `id`, `error` with `code` \
        and `ref`, `gap` with `first`, `join`, `leave` and `typing` with `room` and `names`, `delete` with `id` and `room`. \
        Closed with 1001 when the server stops, 1003 for binary, 1007 for bad UTF-8, 1008 when the session has ended, 1009 for \
        a message that is too long, 1013 for who reads too slowly.";
    let name = json!({"type": "string", "maxLength": speaker::NAME_MAX});
    let parameters =
        json!([some_rooms(), id("since", "Goes on after this id."), query("name", name, "The name a guest goes by."),]);
    let answers = [(101, answer("From now on a WebSocket."))];
    operation("socket", "Listen and speak", &answers, &[400, 403, 404, 409, 426, 503])
        .with("description", json!(note))
        .with("parameters", parameters)
}

fn count_schema() -> Value {
    json!({"type": "integer", "minimum": 0, "description": "How many listen now."})
}

fn list_rooms(_: &Config) -> Value {
    let room = object(&["name", "count"], json!({"name": room_schema(), "count": count_schema()}));
    let rooms = object(
        &["rooms", "open"],
        json!({
            "rooms": {"type": "array", "maxItems": rooms::ROOMS_MAX, "items": room},
            "open": {"type": "boolean", "description": "Whether a room appears on its first use."},
        }),
    );
    let found = json!({
        "description": "The rooms, by name.",
        "content": {"application/json": {"schema": rooms}, "text/html": {"schema": {"type": "string"}}},
    });
    operation("rooms", "Which rooms there are", &[(200, found)], &[503])
}

fn who(_: &Config) -> Value {
    let there = object(
        &["room", "count", "names"],
        json!({
            "room": room_schema(),
            "count": count_schema(),
            "names": {"type": "array", "items": {"type": "string"}, "description": "Of those who have one."},
        }),
    );
    let answers = [(200, document_answer("Who listens.", there))];
    operation("who", "Who listens to a room", &answers, &[400, 404]).with("parameters", json!([room()]))
}

fn room() -> Value {
    query("room", room_schema(), "The room; the lobby unless said.")
}

fn id(name: &str, description: &str) -> Value {
    query(name, json!({"type": "integer", "minimum": 0, "maximum": i64::MAX}), description)
}

fn list_messages(_: &Config) -> Value {
    let found = object(
        &["messages", "last", "gap"],
        json!({
            "messages": {"type": "array", "maxItems": ask::LIMIT_MAX, "items": schema("Message")},
            "last": {"type": "integer", "minimum": 0, "description": "The highest id in the answer, else since."},
            "gap": {"type": "boolean", "description": "Some messages after since are no longer kept."},
        }),
    );
    let limit = json!({"type": "integer", "minimum": 1, "maximum": ask::LIMIT_MAX, "default": ask::LIMIT});
    let wait = json!({"type": "integer", "minimum": 0, "maximum": ask::WAIT_MAX_S, "default": 0});
    let parameters = json!([
        room(),
        id("since", "Those after this id. Not with before."),
        id("before", "The last ones before this id."),
        query("limit", limit, "How many at most."),
        query("q", json!({"type": "string", "maxLength": ask::QUERY_MAX}), "Only those with all of these words."),
        query("wait", wait, "With since: how many seconds to wait if there is nothing new."),
    ]);
    let found = json!({
        "description": "What was said, oldest first.",
        "content": {"application/json": {"schema": found}, "text/html": {"schema": {"type": "string"}}},
    });
    let answers = [(200, found)];
    operation("messages", "What was said", &answers, &[400, 404, 500, 503]).with("parameters", parameters)
}

fn events(_: &Config) -> Value {
    let note = "Each event of the default kind has an id and, as data, a message as JSON. An event `gap` says that some of \
        what came after the position is no longer kept, `delete` that a message was taken back. The stream does not end by itself.";
    let parameters = json!([
        some_rooms(),
        id("since", "Goes on after this id."),
        header("Last-Event-ID", "The same, and wins over since."),
    ]);
    let answers = [(200, content("An event stream.", "text/event-stream", json!({"type": "string"})))];
    operation("events", "What is said from now on", &answers, &[400, 403, 404, 500, 503])
        .with("description", json!(note))
        .with("parameters", parameters)
}
