//! The description of the pages that are compiled in.

use serde_json::{Value, json};

use crate::config::Config;
use crate::site::openapi_words::{Described, answer, content, operation};

fn page(id: &str, summary: &str) -> Value {
    let answers = [
        (200, content("A page.", "text/html", json!({"type": "string"}))),
        (304, answer("It is the one that the client has.")),
    ];
    operation(id, summary, &answers, &[412, 416])
}

/// `GET /_hythe/<part>`.
pub fn part(_: &Config) -> Value {
    let path = json!({"name": "part", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}});
    let answers =
        [(200, answer("A style sheet, a script, a picture.")), (304, answer("It is the one that the client has."))];
    operation("part", "A part that the pages are made of", &answers, &[404, 412, 416]).with("parameters", json!([path]))
}

/// `GET /_hythe/mine`.
pub fn mine(_: &Config) -> Value {
    operation("mine", "Leads to one's own files", &[(303, answer("The list of them."))], &[401, 403])
}

/// `GET /files-ui`.
pub fn files(_: &Config) -> Value {
    page("filesPage", "The page of the files")
}

/// `GET /chat`.
pub fn chat(_: &Config) -> Value {
    page("chatPage", "The page of the chat")
}

/// `GET /login`.
pub fn login(_: &Config) -> Value {
    page("loginPage", "The page where one signs in")
}

/// `GET /register`.
pub fn register(_: &Config) -> Value {
    page("registerPage", "The page where one makes an account")
}

/// `GET /reset-password`.
pub fn reset(_: &Config) -> Value {
    page("resetPage", "The page where one sets a new password")
}

/// `GET /account`.
pub fn account(_: &Config) -> Value {
    page("accountPage", "The page of one's own account")
}

/// `GET /admin`.
pub fn admin(_: &Config) -> Value {
    page("adminPage", "The page of all accounts")
}
