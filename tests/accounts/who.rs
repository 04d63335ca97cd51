//! Every route there is, asked by everyone who may come, under the defaults of one's own machine and under those of a network.
//!
//! [`ROWS`] has a row for each operation of the OpenAPI document; one that is missing fails the test, so that nobody adds a
//! route without saying who may use it. What somebody is answered who may depends on the request, which is chosen so that it
//! changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::place::{JSON, OPERATOR, Place, Says};

/// What a route asks of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Nothing.
    All,
    /// Nothing, and a session that has ended is no reason to refuse.
    Entrance,
    /// What is read by anyone by default.
    Readers,
    /// What is written by anyone from this machine, by users from elsewhere.
    Writers,
    /// The operator, or this machine's own people.
    Watchers,
    /// An account.
    Owners,
    /// An admin or the operator.
    Chiefs,
}

use For::{All, Chiefs, Entrance, Owners, Readers, Watchers, Writers};

/// An operation; a request for it, with a body if there is one; for whom it is; and what they are answered.
type Row = (&'static str, &'static str, &'static str, For, u16);

const ROWS: &[Row] = &[
    ("GET /healthz", "/healthz", "", All, 200),
    ("GET /metrics", "/metrics", "", Watchers, 200),
    ("GET /api", "/api", "", All, 200),
    ("GET /openapi.json", "/openapi.json", "", All, 200),
    ("GET /", "/", "", Readers, 200),
    ("GET /{path}", "/hello.txt", "", Readers, 200),
    ("POST /upload", "/upload", "{", Writers, 400),
    ("GET /file-list", "/file-list", "", Readers, 200),
    ("GET /file-info/{path}", "/file-info/none", "", Readers, 404),
    ("GET /files/{path}", "/files/none", "", Readers, 404),
    ("PUT /files/{path}", "/files/none", "x", Writers, 404),
    ("PATCH /files/{path}", "/files/none", "{\"name\":\"x\"}", Writers, 404),
    ("DELETE /files/{path}", "/files/none", "", Writers, 404),
    ("POST /rename", "/rename", "{\"from\":\"none\",\"to\":\"x\"}", Writers, 404),
    ("POST /remove", "/remove", "{\"name\":\"none\"}", Writers, 404),
    ("POST /dirs", "/dirs", "{\"x\":1}", Writers, 400),
    ("OPTIONS /tus", "/tus", "", All, 204),
    ("POST /tus", "/tus", "", Writers, 400),
    ("OPTIONS /tus/{id}", "/tus/none", "", All, 204),
    ("GET /tus/{id}", "/tus/none", "", Writers, 404),
    ("POST /tus/{id}", "/tus/none", "", Writers, 405),
    ("PATCH /tus/{id}", "/tus/none", "", Writers, 415),
    ("DELETE /tus/{id}", "/tus/none", "", Writers, 404),
    ("POST /send", "/send", "{\"x\":1}", Writers, 400),
    ("GET /messages", "/messages", "", Readers, 200),
    ("DELETE /messages/{id}", "/messages/999999", "", Writers, 404),
    ("GET /events", "/events?room=!", "", Readers, 400),
    ("GET /ws", "/ws", "", Readers, 426),
    ("GET /rooms", "/rooms", "", Readers, 200),
    ("GET /who", "/who", "", Readers, 200),
    ("POST /register", "/register", "{}", Entrance, 400),
    ("POST /login", "/login", "{}", Entrance, 400),
    ("POST /logout", "/logout", "{\"x\":1}", Entrance, 400),
    ("POST /reset-password", "/reset-password", "{}", Entrance, 400),
    ("GET /protected", "/protected", "", Owners, 200),
    ("GET /me", "/me", "", Owners, 200),
    ("DELETE /me", "/me", "{}", Owners, 400),
    ("POST /me", "/me", "{}", Owners, 400),
    ("POST /password", "/password", "{}", Owners, 400),
    ("GET /sessions", "/sessions", "", Owners, 200),
    ("DELETE /sessions/{id}", "/sessions/999999", "", Owners, 404),
    ("POST /sessions/{id}", "/sessions/999999", "", Owners, 404),
    ("GET /tokens", "/tokens", "", Owners, 200),
    ("POST /tokens", "/tokens", "{}", Owners, 400),
    ("DELETE /tokens/{id}", "/tokens/999999", "", Owners, 404),
    ("POST /tokens/{id}", "/tokens/999999", "", Owners, 404),
    ("GET /admin/users", "/admin/users", "", Chiefs, 200),
    ("POST /admin/users", "/admin/users", "{}", Chiefs, 400),
    ("PATCH /admin/users/{name}", "/admin/users/nobody", "{}", Chiefs, 404),
    ("DELETE /admin/users/{name}", "/admin/users/nobody", "", Chiefs, 404),
    ("POST /admin/users/{name}", "/admin/users/nobody", "", Chiefs, 404),
    ("POST /admin/users/{name}/reset", "/admin/users/nobody/reset", "", Chiefs, 404),
    ("POST /admin/invites", "/admin/invites", "{\"x\":1}", Chiefs, 400),
    ("GET /_hythe/mine", "/_hythe/mine", "", Owners, 303),
    ("GET /_hythe/{part}", "/_hythe/style.css", "", All, 200),
    ("GET /files-ui", "/files-ui", "", All, 200),
    ("GET /chat", "/chat", "", All, 200),
    ("GET /login", "/login", "", All, 200),
    ("GET /register", "/register", "", All, 200),
    ("GET /reset-password", "/reset-password", "", All, 200),
    ("GET /account", "/account", "", All, 200),
    ("GET /admin", "/admin", "", All, 200),
];

/// Who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Guest,
    User,
    Other,
    Admin,
    Operator,
    WrongToken,
    EndedSession,
}

const EVERYBODY: [Who; 7] =
    [Who::Guest, Who::User, Who::Other, Who::Admin, Who::Operator, Who::WrongToken, Who::EndedSession];

/// The status of a refusal, or `None` for whoever may.
fn refusal(who: Who, action: For, method: &str, is_near: bool) -> Option<u16> {
    let is_safe = matches!(method, "GET" | "OPTIONS");
    match who {
        Who::WrongToken => return Some(401),
        Who::EndedSession if !is_safe && action != Entrance => return Some(401),
        _ => {}
    }
    let as_guest = matches!(who, Who::Guest | Who::EndedSession);
    let as_user = matches!(who, Who::User | Who::Other);
    match action {
        All | Entrance | Readers => None,
        Writers => (as_guest && !is_near).then_some(401),
        Watchers if is_near => None,
        Watchers | Chiefs if as_guest => Some(401),
        Watchers => (as_user || who == Who::Admin).then_some(403),
        Chiefs => as_user.then_some(403),
        Owners if as_guest => Some(401),
        Owners => (who == Who::Operator).then_some(403),
    }
}

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn every_route_lets_in_whom_it_is_for_and_nobody_else() {
    let mut complaints = Vec::new();
    for is_near in [true, false] {
        let place = Place::open(if is_near { &[] } else { &["--allow-host", "elsewhere.example"] });
        for name in ["ada", "bob", "root"] {
            place.register(name);
        }
        place.ask("PATCH /admin/users/root", &[OPERATOR, JSON], json!({"admin": true}).to_string());
        let ended = place.sign_in("ada");
        place.post("/logout", &[&ended], &json!({}));
        let [ada, bob, root] = ["ada", "bob", "root"].map(|name| place.sign_in(name));

        let document = place.get("/openapi.json", &[]).json();
        let known: BTreeSet<String> = ROWS.iter().map(|row| row.0.to_owned()).collect();
        for missing in operations(&document).difference(&known) {
            complaints.push(format!("{missing} is a route without a row: say for whom it is"));
        }
        for (operation, target, body, action, answer) in ROWS {
            if !operations(&document).contains(*operation) {
                continue;
            }
            for who in EVERYBODY {
                let credential = match who {
                    Who::Guest => "X-Nobody: 1",
                    Who::User => &ada,
                    Who::Other => &bob,
                    Who::Admin => &root,
                    Who::Operator => OPERATOR,
                    Who::WrongToken => "Authorization: Bearer wrong",
                    Who::EndedSession => &ended,
                };
                let method = operation.split(' ').next().expect("a method");
                let mut fields = if body.is_empty() { vec![credential] } else { vec![credential, JSON] };
                if target.starts_with("/tus") {
                    fields.push("Tus-Resumable: 1.0.0");
                }
                let status = place.ask(&format!("{method} {target}"), &fields, body).status;
                let fits = match refusal(who, *action, method, is_near) {
                    Some(refused) => status == refused,
                    None => status == *answer,
                };
                if !fits {
                    complaints.push(format!("{operation} from {who:?} (near: {is_near}) is answered {status}"));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
