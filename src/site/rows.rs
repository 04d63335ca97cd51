//! Sessions, tokens and accounts as rows: what programs are told of each, which of it people are shown, and what they can do
//! with it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::http::date;
use crate::server::problem::escape;
use crate::store::users::{Credential, Session, Token};

/// What is shown of sessions.
pub const SESSIONS: [(&str, &str); 4] =
    [("agent", "With"), ("address", "From"), ("created", "Began"), ("used", "Last used")];

/// What is shown of tokens.
pub const TOKENS: [(&str, &str); 4] =
    [("label", "Label"), ("scopes", "May"), ("created", "Made"), ("expires", "Until")];

/// What is shown of accounts.
pub const USERS: [(&str, &str); 5] =
    [("name", "Name"), ("admin", "Admin"), ("disabled", "Disabled"), ("quota", "Quota"), ("created", "Since")];

/// A session, as whoever came in by `via` sees it.
pub fn session(session: &Session, via: Credential) -> Value {
    json!({
        "id": session.id,
        "created": date::rfc3339(session.made),
        "used": date::rfc3339(session.used),
        "expires": date::rfc3339(session.until()),
        "address": session.address,
        "agent": session.agent,
        "token": session.is_token,
        "current": via == Credential::Session(session.id),
    })
}

/// A token.
pub fn token(token: &Token) -> Value {
    json!({
        "id": token.id,
        "label": token.label,
        "scopes": token.scopes.names().collect::<Vec<_>>(),
        "created": date::rfc3339(token.made),
        "expires": token.until.map(date::rfc3339),
    })
}

/// A button that a script gives its meaning: what it asks for, and what is asked first.
struct Deed<'a> {
    text: &'a str,
    /// Method and path.
    ask: String,
    /// What is sent, as JSON.
    json: Option<Value>,
    /// The question before it.
    sure: Option<String>,
    /// The field that the answer to the question is sent as, and what kind of line it is typed into.
    field: Option<(&'a str, &'a str)>,
}

impl<'a> Deed<'a> {
    fn new(text: &'a str, ask: String) -> Deed<'a> {
        Deed { text, ask, json: None, sure: None, field: None }
    }

    fn set(text: &'a str, path: &str, json: Value) -> Deed<'a> {
        Deed { json: Some(json), ..Deed::new(text, format!("PATCH {path}")) }
    }

    fn write(&self, out: &mut String) {
        let class = if self.ask.starts_with("DELETE") { "pale warn" } else { "pale" };
        let json = self.json.as_ref().map(Value::to_string);
        let (field, line) = self.field.unzip();
        let _ = write!(out, "<button type=\"button\" class=\"{class}\" data-ask=\"{}\"", escape(&self.ask));
        for (name, value) in
            [("json", json.as_deref()), ("sure", self.sure.as_deref()), ("field", field), ("line", line)]
        {
            if let Some(value) = value {
                let _ = write!(out, " data-{name}=\"{}\"", escape(value));
            }
        }
        let _ = write!(out, ">{}</button>", self.text);
    }
}

/// What can be done with a row of this list, as buttons; nothing for a list of something else.
pub fn deeds(list: &str, row: &Value) -> String {
    let name = row["name"].as_str().unwrap_or_default();
    let path = format!("admin/users/{name}");
    let is = |member: &str| row[member] == true;
    let deeds = match list {
        "sessions" if is("current") => return "this one".into(),
        "sessions" => vec![Deed::new("End", format!("DELETE sessions/{}", row["id"]))],
        "tokens" => vec![Deed {
            sure: Some(format!(
                "Remove the token “{}”? What uses it stops working.",
                row["label"].as_str().unwrap_or_default()
            )),
            ..Deed::new("Remove", format!("DELETE tokens/{}", row["id"]))
        }],
        "users" => vec![
            Deed::new("Code", format!("POST {path}/reset")),
            Deed::set(if is("disabled") { "Enable" } else { "Disable" }, &path, json!({"disabled": !is("disabled")})),
            Deed::set(if is("admin") { "No admin" } else { "Make admin" }, &path, json!({"admin": !is("admin")})),
            Deed {
                sure: Some(format!("How many bytes {name} may store; 0 for no limit")),
                field: Some(("quota", "number")),
                ..Deed::new("Quota", format!("PATCH {path}"))
            },
            Deed {
                sure: Some(format!("Delete {name}? Their own files go too.")),
                ..Deed::new("Delete", format!("DELETE {path}"))
            },
        ],
        _ => return String::new(),
    };
    let mut text = String::new();
    deeds.iter().for_each(|deed| deed.write(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_holds_no_markup_of_others() {
        let text = deeds("tokens", &json!({"id": 3, "label": "\"><script>"}));
        assert!(text.contains("data-ask=\"DELETE tokens/3\"") && !text.contains("<script"), "{text}");
        let text = deeds("users", &json!({"name": "ada", "disabled": true, "admin": false}));
        assert!(text.contains("data-json=\"{&quot;disabled&quot;:false}\">Enable<"), "{text}");
        assert!(text.contains("data-field=\"quota\" data-line=\"number\""), "{text}");
        assert_eq!(deeds("sessions", &json!({"id": 1, "current": true})), "this one");
    }
}
