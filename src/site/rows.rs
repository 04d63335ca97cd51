//! Sessions, tokens and accounts as rows: what programs are told of each, and which of it people are shown.

use serde_json::{Value, json};

use crate::http::date;
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
