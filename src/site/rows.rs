//! Sessions, tokens and accounts as rows: what programs are told of each, which of it people are shown, and what they can do
//! with it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::http::date;
use crate::server::problem::escape;
use crate::site::body::METHOD;
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

/// A form of one button: what it asks for, and what a script asks before it.
struct Deed<'a> {
    text: &'a str,
    path: &'a str,
    fields: &'a [(&'a str, &'a str)],
    sure: Option<String>,
    /// What is typed into it, as HTML.
    line: String,
}

impl<'a> Deed<'a> {
    fn new(text: &'a str, path: &'a str, fields: &'a [(&'a str, &'a str)]) -> Deed<'a> {
        Deed { text, path, fields, sure: None, line: String::new() }
    }

    fn write(&self, prefix: &str, out: &mut String) {
        let is_grave = self.fields.contains(&DELETE);
        let class = if is_grave { "pale warn" } else { "pale" };
        let sure = self.sure.as_ref().map_or(String::new(), |sure| format!(" data-sure=\"{}\"", escape(sure)));
        // What is written into memory is never refused.
        let _ = write!(out, "<form action=\"{}/{}\" method=\"post\"{sure}>", escape(prefix), escape(self.path));
        for (name, value) in self.fields {
            let _ = write!(out, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
        }
        let _ = write!(out, "{}<button class=\"{class}\">{}</button></form>", self.line, self.text);
    }
}

const DELETE: (&str, &str) = (METHOD, "DELETE");
const PATCH: (&str, &str) = (METHOD, "PATCH");

/// What can be done with a row of this list, as forms; nothing for a list of something else.
pub fn deeds(prefix: &str, list: &str, row: &Value) -> String {
    let name = row["name"].as_str().unwrap_or_default();
    let path = match list {
        "users" => format!("admin/users/{name}"),
        _ => format!("{list}/{}", row["id"]),
    };
    let is = |member: &str| row[member] == true;
    let not = |member: &str| if is(member) { "0" } else { "1" };
    let mut text = String::new();
    let mut add = |deed: Deed<'_>| deed.write(prefix, &mut text);
    match list {
        "sessions" if is("current") => return "this one".into(),
        "sessions" => add(Deed::new("End", &path, &[DELETE])),
        "tokens" => {
            let label = row["label"].as_str().unwrap_or_default();
            let sure = Some(format!("Remove the token “{label}”? What uses it stops working."));
            add(Deed { sure, ..Deed::new("Remove", &path, &[DELETE]) });
        }
        "users" => {
            add(Deed::new("Code", &format!("{path}/reset"), &[]));
            let text = if is("disabled") { "Enable" } else { "Disable" };
            add(Deed::new(text, &path, &[PATCH, ("disabled", not("disabled"))]));
            let text = if is("admin") { "No admin" } else { "Make admin" };
            add(Deed::new(text, &path, &[PATCH, ("admin", not("admin"))]));
            let sure = Some(format!("Delete {name}? Their own files go too."));
            add(Deed { sure, ..Deed::new("Delete", &path, &[DELETE]) });
            let line = format!(
                "<input name=\"quota\" type=\"number\" min=\"0\" value=\"{}\" placeholder=\"as configured\" \
                 aria-label=\"Bytes that {} may store\">",
                row["quota"].as_u64().map_or(String::new(), |bytes| bytes.to_string()),
                escape(name),
            );
            add(Deed { line, ..Deed::new("Quota", &path, &[PATCH]) });
        }
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_holds_no_markup_of_others() {
        let text = deeds("/p", "tokens", &json!({"id": 3, "label": "\"><script>"}));
        assert!(text.contains("<form action=\"/p/tokens/3\" method=\"post\" data-sure=\"Remove"), "{text}");
        assert!(text.contains("name=\"_method\" value=\"DELETE\"") && !text.contains("<script"), "{text}");
        let text = deeds("", "users", &json!({"name": "ada", "disabled": true, "admin": false, "quota": 7}));
        assert!(text.contains("name=\"disabled\" value=\"0\"><button class=\"pale\">Enable<"), "{text}");
        assert!(text.contains("<input name=\"quota\" type=\"number\" min=\"0\" value=\"7\""), "{text}");
        assert_eq!(deeds("", "sessions", &json!({"id": 1, "current": true})), "this one");
        assert_eq!(deeds("", "messages", &json!({"id": 1})), "");
    }
}
