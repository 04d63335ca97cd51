//! Every route there is, asked by everyone who may come, under the defaults of one's own machine and under those of a network.
//!
//! [`ROWS`] has a row for each operation of the OpenAPI document; one that is missing fails the test, so that nobody adds a
//! route without saying who may use it. What somebody is answered who may depends on the request, which is chosen so that it
//! changes nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::place::{JSON, OPERATOR, Place};
use crate::wire::Answer;

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

/// What is wrong with a 401: it says how to come in, and whether what was shown is worth nothing.
fn unlike_a_401(answer: &Answer, who: Who, operation: &str) -> Option<String> {
    let told = answer.field("WWW-Authenticate");
    let expected = match (answer.status, who) {
        (401, Who::WrongToken) => Some("Bearer realm=\"hythe\", error=\"invalid_token\""),
        (401, _) => Some("Bearer realm=\"hythe\""),
        _ => None,
    };
    (told != expected).then(|| format!("{operation} from {who:?}: {} with {told:?}", answer.status))
}

/// What is done to something of the first user's, as [`EVERYBODY`] in turn is answered who does it: from this machine, and from
/// elsewhere. `{}` stands for a thing made for this one try, for whoever may leaves nothing of it.
type Deed = (&'static str, &'static str, &'static str, [u16; 7], [u16; 7]);

const DEEDS: &[Deed] = &[
    // Shared files, which all may read and their owner and who looks after the place may change.
    ("a file", "GET /files/{}", "", [200, 200, 200, 200, 200, 401, 200], [200, 200, 200, 200, 200, 401, 200]),
    ("a file", "PUT /files/{}", "x", [403, 200, 403, 200, 200, 401, 401], [401, 200, 403, 200, 200, 401, 401]),
    (
        "a file",
        "PATCH /files/{}",
        "{\"name\":\"{}.new\"}",
        [403, 200, 403, 200, 200, 401, 401],
        [401, 200, 403, 200, 200, 401, 401],
    ),
    ("a file", "DELETE /files/{}", "", [403, 200, 403, 200, 200, 401, 401], [401, 200, 403, 200, 200, 401, 401]),
    (
        "a file",
        "POST /remove",
        "{\"name\":\"{}\"}",
        [403, 200, 403, 200, 200, 401, 401],
        [401, 200, 403, 200, 200, 401, 401],
    ),
    // A home, which is there for its owner alone.
    (
        "a private file",
        "GET /files/~ada/{}",
        "",
        [404, 200, 404, 404, 404, 401, 404],
        [404, 200, 404, 404, 404, 401, 404],
    ),
    (
        "a private file",
        "GET /file-info/~ada/{}",
        "",
        [404, 200, 404, 404, 404, 401, 404],
        [404, 200, 404, 404, 404, 401, 404],
    ),
    (
        "a private file",
        "GET /file-list?prefix=~ada",
        "",
        [404, 200, 404, 404, 404, 401, 404],
        [404, 200, 404, 404, 404, 401, 404],
    ),
    (
        "a private file",
        "PUT /files/~ada/{}",
        "x",
        [404, 200, 404, 404, 404, 401, 401],
        [404, 200, 404, 404, 404, 401, 401],
    ),
    (
        "a private file",
        "DELETE /files/~ada/{}",
        "",
        [404, 200, 404, 404, 404, 401, 401],
        [404, 200, 404, 404, 404, 401, 401],
    ),
    // What somebody has said, which they may take back, and who looks after the place.
    ("a message", "DELETE /messages/{}", "", [401, 200, 403, 200, 200, 401, 401], [401, 200, 403, 200, 200, 401, 401]),
    // What somebody comes in with, which is nobody else's affair.
    ("a session", "DELETE /sessions/{}", "", [401, 200, 404, 404, 403, 401, 401], [401, 200, 404, 404, 403, 401, 401]),
    ("a token", "DELETE /tokens/{}", "", [401, 200, 404, 404, 403, 401, 401], [401, 200, 404, 404, 403, 401, 401]),
    // The account itself.
    (
        "",
        "PATCH /admin/users/ada",
        "{\"quota\":9000000}",
        [401, 403, 403, 200, 200, 401, 401],
        [401, 403, 403, 200, 200, 401, 401],
    ),
    ("", "POST /admin/users/ada/reset", "", [401, 403, 403, 200, 200, 401, 401], [401, 403, 403, 200, 200, 401, 401]),
    // What a guest may say may nobody say whose session has ended, so that it does not go out as a guest's.
    ("", "POST /send", "{\"message\":\"x\"}", [201, 201, 201, 201, 201, 401, 401], [401, 201, 201, 201, 201, 401, 401]),
    ("", "POST /logout", "", [200, 0, 0, 0, 200, 401, 200], [200, 0, 0, 0, 200, 401, 200]),
];

/// A fresh thing of the first user's; what it is called.
fn thing(place: &Place, ada: &str, kind: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("thing-{}.txt", COUNT.fetch_add(1, Ordering::Relaxed));
    let text = "Content-Type: text/plain";
    let stored = |target: String| {
        let answer = place.ask(&format!("PUT /files/{target}?create=1"), &[ada, text], "of ada");
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    match kind {
        "a file" => stored(name.clone()),
        "a private file" => stored(format!("~ada/{name}")),
        "a message" => return place.post("/send", &[ada], &json!({"message": "of ada"})).json()["id"].to_string(),
        "a session" => {
            let other = place.sign_in("ada");
            return place.get("/me", &[&other]).json()["session"].to_string();
        }
        "a token" => {
            let made = place.post("/tokens", &[ada], &json!({"label": "x", "scopes": ["files:read"]}));
            return made.json()["id"].to_string();
        }
        _ => {}
    }
    name
}

#[test]
fn what_is_somebodys_is_done_to_by_whom_the_contract_says_and_nobody_else() {
    let mut complaints = Vec::new();
    for is_near in [true, false] {
        let place = Place::open(if is_near { &[] } else { &["--allow-host", "elsewhere.example"] });
        let people = People::of(&place);
        for (kind, deed, body, near, far) in DEEDS {
            for (who, expected) in EVERYBODY.into_iter().zip(if is_near { near } else { far }) {
                if *expected == 0 {
                    continue;
                }
                let name = thing(&place, &people.ada, kind);
                let (deed, body) = (deed.replace("{}", &name), body.replace("{}", &name));
                let fields = if body.is_empty() { vec![people.line(who)] } else { vec![people.line(who), JSON] };
                let answer = place.ask(&deed, &fields, &body);
                if answer.status != *expected {
                    let told =
                        format!("{deed} from {who:?} (near: {is_near}) is answered {}, not {expected}", answer.status);
                    complaints.push(told);
                }
                complaints.extend(unlike_a_401(&answer, who, &deed));
                // Whatever becomes of it, a cookie that is worth nothing goes when something is read.
                let clears = answer.field("Set-Cookie").is_some_and(|set| set.starts_with("hythe=; Max-Age=0;"));
                let leaves = deed == "POST /logout" && answer.status == 200;
                if clears != (leaves || who == Who::EndedSession && deed.starts_with("GET")) {
                    complaints.push(format!("{deed} from {who:?}: the cookie is cleared: {clears}"));
                }
            }
        }
        for (who, name) in [(Who::User, "ada"), (Who::Other, "bob"), (Who::Admin, "root")] {
            let answer = place.get("/me", &[people.line(who)]).json();
            if (&answer["user"], &answer["admin"]) != (&json!(name), &json!(name == "root")) {
                complaints.push(format!("{who:?} is {answer}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Those who come, and what each shows.
struct People {
    ada: String,
    bob: String,
    root: String,
    ended: String,
}

impl People {
    fn of(place: &Place) -> People {
        for name in ["ada", "bob", "root"] {
            place.register(name);
        }
        place.ask("PATCH /admin/users/root", &[OPERATOR, JSON], json!({"admin": true}).to_string());
        let ended = place.sign_in("ada");
        place.post("/logout", &[&ended], &json!({}));
        let [ada, bob, root] = ["ada", "bob", "root"].map(|name| place.sign_in(name));
        People { ada, bob, root, ended }
    }

    fn line(&self, who: Who) -> &str {
        match who {
            Who::Guest => "X-Nobody: 1",
            Who::User => &self.ada,
            Who::Other => &self.bob,
            Who::Admin => &self.root,
            Who::Operator => OPERATOR,
            Who::WrongToken => "Authorization: Bearer wrong",
            Who::EndedSession => &self.ended,
        }
    }
}

#[test]
fn every_route_lets_in_whom_it_is_for_and_nobody_else() {
    let mut complaints = Vec::new();
    for is_near in [true, false] {
        let place = Place::open(if is_near { &[] } else { &["--allow-host", "elsewhere.example"] });
        let people = People::of(&place);
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
                let credential = people.line(who);
                let method = operation.split(' ').next().expect("a method");
                let mut fields = if body.is_empty() { vec![credential] } else { vec![credential, JSON] };
                if target.starts_with("/tus") {
                    fields.push("Tus-Resumable: 1.0.0");
                }
                let asked = place.ask(&format!("{method} {target}"), &fields, body);
                let status = asked.status;
                if let Some(complaint) = unlike_a_401(&asked, who, operation) {
                    complaints.push(complaint);
                }
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
