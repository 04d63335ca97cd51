//! The routes of accounts, as the OpenAPI document describes them.

use serde_json::{Value, json};

use crate::config::Config;
use crate::site::openapi_words::{Described, answer, document_answer, object, object_or_form, operation, schema};
use crate::site::people::NAME_MAX;
use crate::store::scopes::Scopes;
use crate::store::secret::{PASSWORD_MAX, PASSWORD_MIN};

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn name() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": NAME_MAX})
}

fn password_text() -> Value {
    json!({"type": "string", "format": "password", "minLength": PASSWORD_MIN, "maxLength": PASSWORD_MAX})
}

fn success() -> Value {
    object(&["status"], json!({"status": {"type": "string", "const": "success"}}))
}

fn id_in_path() -> Value {
    json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}}])
}

fn name_in_path() -> Value {
    json!([{"name": "name", "in": "path", "required": true, "schema": name()}])
}

fn done(what: &str) -> [(u16, Value); 1] {
    [(200, document_answer(what, success()))]
}

/// An account, as admins see it.
pub fn user() -> Value {
    object(
        &["id", "name", "admin", "disabled", "quota", "created"],
        json!({
            "id": {"type": "integer", "minimum": 1},
            "name": name(),
            "admin": {"type": "boolean"},
            "disabled": {"type": "boolean"},
            "quota": {"type": ["integer", "null"], "minimum": 0, "description": "null: as the configuration says."},
            "created": time(),
        }),
    )
}

/// A session, as its owner sees it.
pub fn session() -> Value {
    object(
        &["id", "created", "used", "expires", "address", "agent", "token", "current"],
        json!({
            "id": {"type": "integer", "minimum": 1},
            "created": time(),
            "used": time(),
            "expires": time(),
            "address": text(),
            "agent": text(),
            "token": {"type": "boolean", "description": "It was handed out as a bearer token."},
            "current": {"type": "boolean", "description": "It is the one that asks."},
        }),
    )
}

/// An API token, as its owner sees it.
pub fn token() -> Value {
    object(
        &["id", "label", "scopes", "created", "expires"],
        json!({
            "id": {"type": "integer", "minimum": 1},
            "label": text(),
            "scopes": {"type": "array", "items": scope()},
            "created": time(),
            "expires": {"type": ["string", "null"], "format": "date-time"},
        }),
    )
}

fn scope() -> Value {
    json!({"type": "string", "enum": Scopes::NAMES.map(|(name, _)| name)})
}

fn with_recovery_code() -> Value {
    object(&["user", "recovery_code"], json!({"user": schema("User"), "recovery_code": text()}))
}

/// `POST /register`.
pub fn register(_: &Config) -> Value {
    let body = json!({"username": name(), "password": password_text(), "invite": text()});
    let made = (201, document_answer("The account; its recovery code is shown only now.", with_recovery_code()));
    operation("register", "Make an account", &[made], &[400, 403, 409, 415, 429, 503])
        .with("requestBody", object_or_form(&object(&["username", "password"], body)))
}

/// `POST /login`.
pub fn login(_: &Config) -> Value {
    let body = json!({
        "username": text(),
        "password": text(),
        "token": {"type": "boolean", "description": "Hand the session out as a bearer token; no cookie is set."},
        "next": {"type": "string", "description": "For a form: where to go then, a path of this server."},
    });
    let session = json!({"user": name(), "expires": time(), "token": text()});
    let answers = [
        (200, document_answer("A session, as a cookie or as a token.", object(&["user", "expires"], session))),
        (303, answer("For a form of a page: the page it came for.")),
    ];
    operation("login", "Sign in", &answers, &[400, 401, 415, 429, 503])
        .with("requestBody", object_or_form(&object(&["username", "password"], body)))
}

/// `POST /logout`.
pub fn logout(_: &Config) -> Value {
    operation("logout", "Sign out", &done("The session has ended, and all that it had opened."), &[401, 503])
}

/// `POST /reset-password`.
pub fn reset_password(_: &Config) -> Value {
    let body = json!({"username": text(), "code": text(), "new": password_text()});
    let told = object(&["status", "recovery_code"], json!({"status": {"const": "success"}, "recovery_code": text()}));
    let answers = [(200, document_answer("The password is set; sessions and tokens have ended.", told))];
    operation("resetPassword", "Set a new password with a code", &answers, &[400, 415, 429, 503])
        .with("requestBody", object_or_form(&object(&["username", "code", "new"], body)))
}

/// `GET /protected`.
pub fn protected(_: &Config) -> Value {
    let told = object(&["user", "message"], json!({"user": name(), "message": text()}));
    operation("protected", "See whether somebody is signed in", &[(200, document_answer("Somebody is.", told))], &[401])
}

/// `GET /me`.
pub fn me(_: &Config) -> Value {
    let told = json!({
        "allOf": [schema("User"), object(&["user"], json!({
            "user": name(),
            "session": {"type": "integer"},
            "token": {"type": "integer"},
            "scopes": {"type": "array", "items": scope()},
            "expires": {"type": ["string", "null"], "format": "date-time"},
        }))],
    });
    operation("me", "See one's own account", &[(200, document_answer("The account.", told))], &[401])
}

/// `DELETE /me`.
pub fn delete_me(_: &Config) -> Value {
    operation("deleteMe", "Delete one's own account", &done("It is gone; its name stays taken."), &[400, 401, 429, 503])
        .with("requestBody", object_or_form(&object(&["password"], json!({"password": text()}))))
}

/// `_method` of a form, which can only be posted.
fn method(methods: &[&str]) -> Value {
    json!({"type": "string", "enum": methods})
}

fn form_for(id: &str, summary: &str, methods: &[&str], parameters: Value, statuses: &[u16]) -> Value {
    let stands_for = object(&["_method"], json!({"_method": method(methods)}));
    operation(id, summary, &[(303, answer("The page it came from, where it is told."))], statuses)
        .with("parameters", parameters)
        .with("requestBody", object_or_form(&stands_for))
}

/// `POST /me`.
pub fn delete_me_by_form(_: &Config) -> Value {
    let body = json!({"_method": method(&["DELETE"]), "password": text()});
    operation("deleteMeByForm", "Delete one's own account, from a form", &done("It is gone."), &[400, 401, 429, 503])
        .with("requestBody", object_or_form(&object(&["_method", "password"], body)))
}

/// `POST /sessions/<id>`.
pub fn end_session_by_form(_: &Config) -> Value {
    form_for("endSessionByForm", "End a session, from a form", &["DELETE"], id_in_path(), &[400, 401, 404, 415, 503])
}

/// `POST /tokens/<id>`.
pub fn remove_token_by_form(_: &Config) -> Value {
    form_for(
        "removeTokenByForm",
        "End an API token, from a form",
        &["DELETE"],
        id_in_path(),
        &[400, 401, 404, 415, 503],
    )
}

/// `POST /admin/users/<name>`: with `PATCH` the fields are those of that.
pub fn change_user_by_form(_: &Config) -> Value {
    let statuses = [400, 401, 403, 404, 415, 503];
    form_for(
        "changeUserByForm",
        "Change or delete an account, from a form",
        &["PATCH", "DELETE"],
        name_in_path(),
        &statuses,
    )
}

/// `POST /password`.
pub fn password(_: &Config) -> Value {
    let body = object(&["old", "new"], json!({"old": text(), "new": password_text()}));
    operation("password", "Set another password", &done("Every other session has ended."), &[400, 401, 415, 429, 503])
        .with("requestBody", object_or_form(&body))
}

fn listed(id: &str, summary: &str, member: &str, of: &str) -> Value {
    let list = object(&[member], json!({member: {"type": "array", "items": schema(of)}}));
    let both = json!({"application/json": {"schema": list}, "text/html": {"schema": text()}});
    operation(id, summary, &[(200, answer("All of them.").with("content", both))], &[401, 403])
}

/// `GET /sessions`.
pub fn sessions(_: &Config) -> Value {
    listed("sessions", "List one's own sessions", "sessions", "Session")
}

/// `DELETE /sessions/<id>`.
pub fn end_session(_: &Config) -> Value {
    operation("endSession", "End a session", &done("It has ended."), &[401, 404, 503]).with("parameters", id_in_path())
}

/// `GET /tokens`.
pub fn tokens(_: &Config) -> Value {
    listed("tokens", "List one's own API tokens", "tokens", "Token")
}

/// `POST /tokens`.
pub fn make_token(_: &Config) -> Value {
    let body = json!({
        "label": {"type": "string", "maxLength": 64},
        "scopes": {"type": "array", "items": scope(), "minItems": 1},
        "days": {"type": "integer", "minimum": 0, "maximum": 3650, "default": 90, "description": "0: it does not end."},
    });
    let made = json!({"allOf": [schema("Token"), object(&["token"], json!({"token": text()}))]});
    operation(
        "makeToken",
        "Make an API token",
        &[(201, document_answer("It is shown only now.", made))],
        &[400, 401, 503],
    )
    .with("requestBody", object_or_form(&object(&["scopes"], body)))
}

/// `DELETE /tokens/<id>`.
pub fn remove_token(_: &Config) -> Value {
    operation("removeToken", "End an API token", &done("It has ended."), &[401, 404, 503])
        .with("parameters", id_in_path())
}

/// `GET /admin/users`.
pub fn users(_: &Config) -> Value {
    listed("users", "List all accounts", "users", "User")
}

/// `POST /admin/users`.
pub fn create_user(_: &Config) -> Value {
    let body = json!({"username": name(), "password": password_text(), "admin": {"type": "boolean"}});
    let made = (201, document_answer("The account and its recovery code.", with_recovery_code()));
    operation("createUser", "Make an account for somebody", &[made], &[400, 401, 403, 409, 503])
        .with("requestBody", object_or_form(&object(&["username", "password"], body)))
}

/// `PATCH /admin/users/<name>`.
pub fn change_user(_: &Config) -> Value {
    let body = json!({
        "disabled": {"type": "boolean"},
        "admin": {"type": "boolean"},
        "quota": {"type": ["integer", "null"], "minimum": 0},
    });
    let changed = (200, document_answer("The account as it is now.", schema("User")));
    operation("changeUser", "Change an account", &[changed], &[400, 401, 403, 404, 503])
        .with("parameters", name_in_path())
        .with("requestBody", object_or_form(&object(&[], body)))
}

/// `DELETE /admin/users/<name>`.
pub fn delete_user(_: &Config) -> Value {
    let gone = object(&["status", "deleted"], json!({"status": {"const": "success"}, "deleted": name()}));
    operation("deleteUser", "Delete an account", &[(200, document_answer("It is gone.", gone))], &[401, 403, 404, 503])
        .with("parameters", name_in_path())
}

/// `POST /admin/users/<name>/reset`.
pub fn reset_user(_: &Config) -> Value {
    let code = object(&["code", "expires"], json!({"code": text(), "expires": time()}));
    let given = (200, document_answer("A code that sets a new password, once.", code));
    operation("resetUser", "Give out a one-time code", &[given], &[401, 403, 404, 503])
        .with("parameters", name_in_path())
}

/// `POST /admin/invites`.
pub fn invite(_: &Config) -> Value {
    let invite = object(&["invite", "expires"], json!({"invite": text(), "expires": time()}));
    let made = (201, document_answer("Whoever has it may make an account, once.", invite));
    operation("invite", "Make an invite", &[made], &[401, 403, 409, 503])
}
