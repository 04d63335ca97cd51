//! What people do with their accounts.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::place::{FORM, HTML, JSON, OPERATOR, PASSWORD, Place, cookie};
use crate::wire::{Answer, PATIENCE, comes_to_be};

#[test]
fn somebody_signs_up_in_and_out_again() {
    let place = Place::open(&[]);
    let answer = place.post("/register", &[], &json!({"username": "Ada", "password": PASSWORD}));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["user"]["name"], "ada");
    assert!(answer.json()["recovery_code"].as_str().unwrap().len() > 20);
    assert_eq!(place.post("/register", &[], &json!({"username": "ADA", "password": PASSWORD})).code(), "user_exists");
    assert_eq!(place.get("/me", &[]).status, 401);

    let answer = place.login("aDa", PASSWORD);
    assert_eq!(answer.json()["user"], "ada");
    // When it ends if nobody uses it any more, here as everywhere: a day from now, not the month that it may last in all.
    let expires = answer.json()["expires"].as_str().unwrap().to_owned();
    let me = place.get("/me", &[&cookie(&answer)]).json();
    assert!(me["expires"].as_str().unwrap() >= &*expires, "{expires} {me}");
    let made =
        place.get("/sessions", &[&cookie(&answer)]).json()["sessions"][0]["created"].as_str().unwrap().to_owned();
    let of_day = |time: &str| time.split('T').nth(1).unwrap()[..8].to_owned();
    assert!(expires[..10] > made[..10] && of_day(&expires) == of_day(&made), "{expires} {made}");
    let set = answer.field("Set-Cookie").unwrap();
    assert!(set.contains("; HttpOnly; SameSite=Lax") && set.contains("; Path=/;") && !set.contains("Secure"), "{set}");
    let ada = cookie(&answer);
    for target in ["/me", "/protected"] {
        let answer = place.get(target, &[&ada]);
        assert_eq!((answer.status, &answer.json()["user"]), (200, &json!("ada")), "{target}");
    }
    let answer = place.post("/logout", &[&ada], &json!({}));
    assert_eq!(answer.json(), json!({"status": "success"}));
    assert!(answer.field("Set-Cookie").unwrap().starts_with("hythe=; Max-Age=0;"));
    let answer = place.get("/me", &[&ada]);
    assert_eq!(answer.status, 401);
    assert_eq!(place.ask("POST /logout", &[], "").status, 200, "whoever is out may go out");
}

#[test]
fn a_session_may_be_had_as_a_token() {
    let place = Place::open(&[]);
    place.register("ada");
    let answer = place.post("/login", &[], &json!({"username": "ada", "password": PASSWORD, "token": true}));
    assert_eq!(answer.field("Set-Cookie"), None);
    let bearer = format!("Authorization: Bearer {}", answer.json()["token"].as_str().unwrap());
    assert_eq!(place.get("/me", &[&bearer]).json()["user"], "ada");
    assert_eq!(place.get("/sessions", &[&bearer]).json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(place.ask("POST /logout", &[&bearer], "").status, 200);
    assert_eq!(place.get("/me", &[&bearer]).code(), "invalid_token");
}

#[test]
fn a_new_password_ends_every_other_session_and_keeps_tokens() {
    let place = Place::open(&[]);
    place.register("ada");
    let (here, there) = (place.sign_in("ada"), place.sign_in("ada"));
    let token = place.token(&here, &["files:read"]);
    let change = |old: &str, new: &str| place.post("/password", &[&here], &json!({"old": old, "new": new}));
    assert_eq!((change("wrong password", "battery staple").status), 401);
    assert_eq!(change(PASSWORD, "password").code(), "weak_password");
    assert_eq!(change(PASSWORD, "battery staple").status, 200);
    assert_eq!(place.get("/me", &[&here]).status, 200);
    assert_eq!(place.get("/me", &[&there]).status, 401);
    assert_eq!(place.get("/me", &[&token]).status, 200);
    assert_eq!(place.login("ada", PASSWORD).code(), "bad_credentials");
    assert_eq!(place.login("ada", "battery staple").status, 200);
}

#[test]
fn a_forgotten_password_is_reset_with_the_recovery_code_which_then_is_another() {
    let place = Place::open(&[]);
    let code = place.register("ada");
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["files:read"]);
    let reset = |code: &str| {
        place.post("/reset-password", &[], &json!({"username": "ada", "code": code, "new": "battery staple"}))
    };
    let answer = reset(&code.to_lowercase().replace('-', " "));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("Set-Cookie"), None, "nobody is signed in by it");
    let next = answer.json()["recovery_code"].as_str().unwrap().to_owned();
    assert_ne!(next, code);
    assert_eq!(place.get("/me", &[&ada]).status, 401);
    assert_eq!(place.get("/me", &[&token]).status, 401);
    assert_eq!(reset(&code).code(), "bad_reset_code");
    assert_eq!(reset(&next).status, 200);
    assert_eq!(place.login("ada", "battery staple").status, 200);
}

#[test]
fn an_admin_gives_out_a_code_that_works_once() {
    let place = Place::open(&[]);
    place.register("ada");
    let answer = place.ask("POST /admin/users/ada/reset", &[OPERATOR], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    let reset =
        || place.post("/reset-password", &[], &json!({"username": "ada", "code": code, "new": "battery staple"}));
    assert_eq!((reset().status, reset().code()), (200, "bad_reset_code".to_owned()));
    assert_eq!(place.ask("POST /admin/users/bob/reset", &[OPERATOR], "").status, 404);
}

#[test]
fn invites_let_people_in_where_signing_up_is_not_open() {
    let place = Place::open(&["--signup", "invite"]);
    let register = |name: &str, invite: Option<&str>| {
        let mut value = json!({"username": name, "password": PASSWORD});
        if let Some(invite) = invite {
            value["invite"] = json!(invite);
        }
        place.post("/register", &[], &value)
    };
    assert_eq!((register("ada", None).status, register("ada", Some("X")).code()), (403, "signup_closed".into()));
    let answer = place.ask("POST /admin/invites", &[OPERATOR], "");
    assert_eq!(answer.status, 201, "{answer:?}");
    let invite = answer.json()["invite"].as_str().unwrap().to_owned();
    assert_eq!(register("ada", Some(&invite)).status, 201);
    assert_eq!(register("bob", Some(&invite)).code(), "signup_closed");
    let closed = Place::open(&["--signup", "closed"]);
    let answer = closed.post("/register", &[], &json!({"username": "ada", "password": PASSWORD}));
    assert_eq!((answer.status, answer.code()), (403, "signup_closed".into()));
}

#[test]
fn sessions_are_listed_and_ended_one_by_one_and_only_by_their_owner() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("eve");
    let (here, there, eve) = (place.sign_in("ada"), place.sign_in("ada"), place.sign_in("eve"));
    let list = place.get("/sessions", &[&here]).json();
    let rows = list["sessions"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["current"].as_bool().unwrap()).collect::<Vec<_>>(), [true, false]);
    let id = rows[1]["id"].as_i64().unwrap();
    assert_eq!(place.ask(&format!("DELETE /sessions/{id}"), &[&eve], "").status, 404);
    assert_eq!(place.get("/me", &[&there]).status, 200);
    assert_eq!(place.ask(&format!("DELETE /sessions/{id}"), &[&here], "").status, 200);
    assert_eq!(place.get("/me", &[&there]).status, 401);
    assert_eq!(place.ask(&format!("DELETE /sessions/{id}"), &[&here], "").status, 404);
    assert_eq!(place.get("/me", &[&here]).status, 200);
    let page = place.get("/sessions", &[&here, HTML]);
    assert!(
        page.text().contains("<table id=\"sessions\">") && page.field("Vary").unwrap().contains("Accept"),
        "{page:?}"
    );
}

#[test]
fn a_token_does_what_it_was_made_for() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let (reads, writes) = (place.token(&ada, &["files:read"]), place.token(&ada, &["chat:write"]));
    assert_eq!(place.get("/file-list", &[&reads]).status, 200);
    assert_eq!(place.get("/messages", &[&reads]).code(), "scope_missing");
    assert_eq!(place.post("/send", &[&reads], &json!({"message": "x"})).status, 403);
    assert_eq!(place.post("/send", &[&writes], &json!({"message": "x"})).status, 201);
    assert_eq!(place.get("/sessions", &[&writes]).code(), "scope_missing");
    // The same as the password of Basic credentials, whoever they say they are.
    let token = reads.strip_prefix("Authorization: Bearer ").unwrap();
    let basic = |pair: String| {
        use base64::Engine;
        format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    assert_eq!(place.get("/me", &[&basic(format!("x:{token}"))]).json()["user"], "ada");
    assert_eq!(place.get("/me", &[&basic(format!("ada:{PASSWORD}"))]).code(), "invalid_token");
    let list = place.get("/tokens", &[&ada]).json();
    assert!(!list.to_string().contains("hyt_"), "a token is shown once: {list}");
    let id = list["tokens"][0]["id"].as_i64().unwrap();
    assert!(list["tokens"][0]["expires"].is_string());
    assert_eq!(place.ask(&format!("DELETE /tokens/{id}"), &[&ada], "").status, 200);
    assert_eq!(place.get("/me", &[&reads]).code(), "invalid_token");
    let make = |value| place.post("/tokens", &[&ada], &value);
    assert_eq!(make(json!({"label": "x", "scopes": ["files:read"], "days": 0})).json()["expires"], json!(null));
    for scopes in [json!([]), json!(["admin"])] {
        assert_eq!(make(json!({"label": "x", "scopes": scopes})).status, 400);
    }
}

#[test]
fn an_account_is_disabled_enabled_made_an_admin_and_deleted() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("bob");
    let (ada, bob) = (place.sign_in("ada"), place.sign_in("bob"));
    let patch = |value: serde_json::Value| place.ask("PATCH /admin/users/bob", &[OPERATOR, JSON], value.to_string());
    assert_eq!(patch(json!({"disabled": true})).json()["disabled"], true);
    assert_eq!(place.get("/me", &[&bob]).status, 401);
    assert_eq!(place.login("bob", PASSWORD).code(), "bad_credentials");
    assert_eq!(patch(json!({"disabled": false, "admin": true, "quota": 1000})).json()["quota"], 1000);
    let bob = place.sign_in("bob");
    assert_eq!(place.get("/admin/users", &[&ada]).status, 403);
    let users = place.get("/admin/users", &[&bob]).json();
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
    assert_eq!(place.ask("DELETE /me", &[&ada, JSON], json!({"password": "wrong password"}).to_string()).status, 401);
    assert_eq!(place.ask("DELETE /me", &[&ada, JSON], json!({"password": PASSWORD}).to_string()).status, 200);
    assert_eq!(place.get("/me", &[&ada]).status, 401);
    // Names have no case.
    assert_eq!(place.ask("PATCH /admin/users/BOB", &[OPERATOR, JSON], "{\"quota\":9}").json()["quota"], 9);
    let gone = place.ask("DELETE /admin/users/Bob", &[OPERATOR], "");
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!("bob")), "{gone:?}");
    assert_eq!(place.get("/me", &[&bob]).status, 401);
    for name in ["ada", "bob"] {
        let answer = place.post("/admin/users", &[OPERATOR], &json!({"username": name, "password": PASSWORD}));
        assert_eq!(answer.code(), "user_exists", "a name stays taken");
    }
}

#[test]
fn open_streams_end_with_the_session_that_opened_them() {
    let place = Place::open(&[]);
    place.register("ada");
    let (here, there) = (place.sign_in("ada"), place.sign_in("ada"));
    let listen = |cookie: &str| {
        let mut stream = TcpStream::connect(place.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n\r\n", place.address());
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut heard = [0; 4096];
        assert!(stream.read(&mut heard).unwrap() > 0);
        stream
    };
    let (mut one, mut other) = (listen(&here), listen(&there));
    assert_eq!(place.post("/logout", &[&here], &json!({})).status, 200);
    let mut rest = Vec::new();
    one.read_to_end(&mut rest).expect("the stream ends");
    other.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // It may hear that somebody has come or gone; it does not end.
    while let Ok(heard) = other.read(&mut [0; 4096]) {
        assert!(heard > 0, "another session's goes on");
    }
}

#[test]
fn a_poll_that_waits_is_answered_when_what_it_came_in_with_ends() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("bob");
    let stay = place.sign_in("ada");
    let said = place.post("/send", &[&stay], &json!({"message": "first"}));
    assert_eq!(said.status, 201, "{said:?}");
    let poll = |who: &str, wait: u8| {
        let mut stream = TcpStream::connect(place.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = place.address();
        // What is answered first says that the poll behind it has been read.
        let heads = format!(
            "GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n\
             GET /messages?since=1&wait={wait} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{who}\r\n\r\n"
        );
        std::io::Write::write_all(&mut stream, heads.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream
    };
    let end = |mut stream: TcpStream| {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("the poll is answered");
        assert!(heard.contains("HTTP/1.1 401 ") && heard.contains("session_ended"), "{heard}");
    };
    let guest = poll("X-Nobody: 1", 60);
    let staying = poll(&stay, 2);

    let gone = place.sign_in("ada");
    let polls = [poll(&gone, 60), poll(&gone, 60)];
    assert_eq!(place.post("/logout", &[&gone], &json!({})).status, 200);
    polls.into_iter().for_each(end);

    let bearer = place.token(&stay, &["chat:read"]);
    let waits = poll(&bearer, 60);
    let tokens = place.get("/tokens", &[&stay]).json();
    let id = tokens["tokens"][0]["id"].clone();
    assert_eq!(place.ask(&format!("DELETE /tokens/{id}"), &[&stay], "").status, 200, "{tokens}");
    end(waits);

    let bob = place.sign_in("bob");
    let waits = poll(&bob, 60);
    assert_eq!(place.ask("PATCH /admin/users/bob", &[OPERATOR, JSON], "{\"disabled\":true}").status, 200);
    end(waits);

    let other = place.sign_in("ada");
    let waits = poll(&other, 60);
    let change = json!({"old": PASSWORD, "new": "another password"});
    assert_eq!(place.post("/password", &[&stay], &change).status, 200);
    end(waits);

    // Whom it does not concern waits on.
    let rest = |mut stream: TcpStream| {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    };
    assert!(rest(staying).contains("\"messages\":[],\"last\":1"));
    let said = place.post("/send", &[], &json!({"message": "second"}));
    assert_eq!(said.status, 201);
    assert!(rest(guest).contains("second"));
}

#[test]
fn what_is_kept_is_there_after_a_restart_from_the_first_request_on() {
    let mut place = Place::open(&[]);
    place.register("ada");
    let (ada, gone) = (place.sign_in("ada"), place.sign_in("ada"));
    let token = place.token(&ada, &["files:read"]);
    place.post("/logout", &[&gone], &json!({}));
    place.house.kill_and_restart();
    assert_eq!(place.get("/me", &[&ada]).json()["user"], "ada");
    assert_eq!(place.get("/me", &[&gone]).status, 401);
    assert_eq!(place.get("/me", &[&token]).json()["user"], "ada");
}

#[test]
fn forms_of_browsers_go_back_to_their_pages_and_see_what_is_shown_once() {
    let place = Place::open(&[]);
    let form = [FORM, HTML];
    let answer = place.ask("POST /register", &form, "username=ada&password=correct+horse&invite=");
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/login")), "{answer:?}");
    let note = cookie(&answer);
    assert!(answer.field("Set-Cookie").unwrap().contains("; Path=/login; HttpOnly; SameSite=Strict"));
    let page = place.get("/login", &[HTML, &note]);
    let code = note.split_once("recovery.").unwrap().1;
    assert!(page.text().contains(&format!("<code>{code}</code>")), "{page:?}");
    assert!(page.field("Set-Cookie").unwrap().contains("Max-Age=0"));
    let answer = place.ask("POST /register", &form, "username=ada&password=correct+horse");
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("the name ada is taken.") && answer.text().contains("<form"), "{answer:?}");

    let answer = place.get("/account/../sessions?x=1", &[HTML]);
    assert_eq!(answer.status, 403, "no path climbs");
    let answer = place.get("/sessions?x=1", &[HTML]);
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/login?next=%2Fsessions%3Fx%3D1")));
    let page = place.get("/login?next=%2Fsessions%3Fx%3D1", &[HTML]);
    assert!(page.text().contains("name=\"next\" value=\"/sessions?x=1\""), "{page:?}");
    let answer = place.ask("POST /login", &form, "username=ada&password=correct+horse&next=%2Fsessions%3Fx%3D1");
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/sessions?x=1")));
    let ada = cookie(&answer);
    let answer = place.ask("POST /login", &form, "username=ada&password=wrong+password");
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("is not right."), "{answer:?}");
    let answer = place.ask("POST /tokens", &[FORM, HTML, &ada], "label=x&scopes=files:read&scopes=chat:read&days=90");
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/account")), "{answer:?}");
    for target in ["/login", "/register", "/reset-password", "/account", "/admin", "/_hythe/style.css"] {
        let answer = place.get(target, &[&ada]);
        assert_eq!(answer.status, 200, "{target}");
    }
    assert!(place.get("/account", &[&ada]).text().contains("<strong>ada</strong>"));
}

#[test]
fn a_form_that_was_refused_shows_what_was_typed_but_no_password() {
    let place = Place::open(&["--path-prefix", "/p"]);
    let wrong = "username=%22%3E%3Cb%3Eada&password=wrong+password&next=%2Fp%2Fsessions%3Fx%3D1";
    let answer = place.ask("POST /p/login", &[FORM, HTML], wrong);
    let page = answer.text();
    assert_eq!((answer.status, answer.field("WWW-Authenticate")), (401, Some("Bearer realm=\"hythe\"")));
    assert!(page.contains("<input name=\"username\" value=\"&quot;&gt;&lt;b&gt;ada\" "), "{page}");
    assert!(page.contains("name=\"next\" value=\"/p/sessions?x=1\"") && !page.contains("wrong password"), "{page}");
    let answer = place.ask("POST /p/login", &[FORM, HTML], "username=ada&password=wrong+password&next=//evil.example/");
    assert!(answer.text().contains("name=\"next\" value=\"\""), "{answer:?}");
    let answer = place.ask("POST /p/register", &[FORM, HTML], "username=ada&password=short&invite=ABCD");
    assert!(answer.text().contains("<input name=\"invite\" value=\"ABCD\""), "{answer:?}");
}

#[test]
fn forms_end_and_change_what_programs_end_and_change_with_other_methods() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("bob");
    let (ada, other) = (place.sign_in("ada"), place.sign_in("ada"));
    let list = |of: &str| place.get(&format!("/{of}"), &[&ada]).json()[of].as_array().unwrap().clone();
    let send = |line: &str, body: &str| place.ask(&format!("POST {line}"), &[FORM, HTML, &ada], body);
    let goes_to = |answer: &Answer, page: &str| {
        assert_eq!((answer.status, answer.field("Location")), (303, Some(page)), "{answer:?}");
        assert!(place.get(page, &[HTML, &ada, &cookie(answer)]).text().contains(">Done.<"), "{answer:?}");
    };
    let id = list("sessions").iter().find(|row| row["current"] == false).unwrap()["id"].clone();
    for body in ["", "_method=PATCH", "_method=delete", "_method=DELETE&_method=DELETE"] {
        assert_eq!(send(&format!("/sessions/{id}"), body).status, 400, "{body}");
    }
    assert_eq!(place.get("/me", &[&other]).status, 200);
    assert_eq!(
        place.ask(&format!("POST /sessions/{id}"), &[FORM, &place.sign_in("bob")], "_method=DELETE").status,
        404
    );
    goes_to(&send(&format!("/sessions/{id}"), "_method=DELETE"), "/account");
    assert_eq!(place.get("/me", &[&other]).status, 401);
    place.token(&ada, &["files:read"]);
    let id = list("tokens")[0]["id"].clone();
    goes_to(&send(&format!("/tokens/{id}"), "_method=DELETE"), "/account");
    assert!(list("tokens").is_empty());

    assert_eq!(send("/admin/users/bob", "_method=DELETE").status, 403, "ada is no admin yet");
    place.ask("PATCH /admin/users/ada", &[OPERATOR, JSON], r#"{"admin":true}"#);
    let page = place.get("/admin", &[HTML, &ada]).text();
    assert!(page.contains("<form action=\"/admin/users/bob\" method=\"post\">"), "{page}");
    let bob = || place.get("/admin/users", &[OPERATOR]).json()["users"][1].clone();
    for (body, member, now) in [
        ("_method=PATCH&disabled=1", "disabled", json!(true)),
        ("_method=PATCH&disabled=0", "disabled", json!(false)),
        ("_method=PATCH&quota=5000", "quota", json!(5000)),
        ("_method=PATCH&quota=", "quota", json!(null)),
        ("_method=PATCH&admin=1", "admin", json!(true)),
    ] {
        goes_to(&send("/admin/users/bob", body), "/admin");
        assert_eq!(bob()[member], now, "{body}");
    }
    assert_eq!(send("/admin/users/bob", "_method=PUT").status, 400);
    let answer = send("/admin/users/bob/reset", "");
    let page = place.get("/admin", &[HTML, &ada, &cookie(&answer)]).text();
    assert!(page.contains("within 15 minutes:<br><code>"), "{page}");
    goes_to(&send("/admin/users/bob", "_method=DELETE"), "/admin");
    assert_eq!(bob(), json!(null));

    let answer = send("/me", "_method=DELETE&password=wrong+horse");
    assert_eq!(answer.status, 401);
    let page = answer.text();
    assert!(
        page.contains("is not right.") && page.contains("<strong>ada</strong>") && page.contains("this one"),
        "{page}"
    );
    assert_eq!(send("/me", "password=correct+horse").status, 400);
    assert_eq!(send("/me", "_method=DELETE&password=correct+horse").status, 303);
    assert_eq!(place.get("/me", &[&ada]).status, 401);
}

#[test]
fn a_form_says_the_same_in_both_encodings_that_html_knows() {
    let place = Place::open(&[]);
    place.register("ada");
    let kind = "Content-Type: multipart/form-data; boundary=frontier";
    let form = |fields: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        fields.iter().map(part).collect::<String>() + "--frontier--\r\n"
    };
    let answer = place.ask("POST /login", &[kind], form(&[("username", "ada"), ("password", PASSWORD)]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let ada = cookie(&answer);
    let answer = place.ask("POST /send", &[kind, &ada], form(&[("message", "Grüße"), ("room", "den")]));
    assert_eq!((answer.status, &answer.json()["message"]), (201, &json!("Grüße")), "{answer:?}");
    assert_eq!(place.ask("POST /dirs", &[kind, &ada], form(&[("path", "~ada/trips")])).status, 201);
    assert_eq!(place.ask("POST /rename", &[kind, &ada], form(&[("from", "~ada/trips"), ("to", "~ada/t")])).status, 200);
    let answer = place.ask("POST /remove", &[kind, HTML, &ada], form(&[("name", "~ada/t"), ("more", "x")]));
    assert_eq!(answer.status, 303, "a page is answered by one");
    let answer = place.ask("POST /password", &[kind, &ada], form(&[("old", "wrong password"), ("new", "another one")]));
    assert_eq!(answer.code(), "bad_credentials");
    for (body, code) in [
        (form(&[("message", "a"), ("message", "b")]), "bad_field"),
        (form(&[("x", ""); 17]), "bad_multipart"),
        ("--frontier\r\nContent-Disposition: form-data; name=message\r\n\r\na".to_owned(), "bad_multipart"),
    ] {
        assert_eq!(place.ask("POST /send", &[kind, &ada], body).code(), code);
    }
    assert_eq!(place.ask("POST /send", &["Content-Type: multipart/form-data", &ada], "a").code(), "bad_multipart");
}

#[test]
fn a_home_is_nowhere_for_everybody_else_also_where_something_is_to_be_made() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("eve");
    let eve = place.sign_in("eve");
    for who in [&[][..], &[eve.as_str()], &[OPERATOR]] {
        assert_eq!(place.post("/dirs", who, &json!({"path": "~ada/x"})).status, 404, "{who:?}");
        assert_eq!(place.post("/dirs", who, &json!({"path": "~nobody"})).status, 404, "{who:?}");
        assert_eq!(place.post("/rename", who, &json!({"from": "~ada/a", "to": "b"})).status, 404, "{who:?}");
        assert_eq!(place.post("/rename", who, &json!({"from": "a", "to": "~ada/b"})).status, 404, "{who:?}");
    }
}

#[test]
fn below_a_prefix_every_address_and_the_cookie_have_it() {
    let place = Place::open(&["--path-prefix", "/p"]);
    let answer = place.ask("POST /p/register", &[FORM, HTML], "username=ada&password=correct+horse");
    assert_eq!(answer.field("Location"), Some("/p/login"));
    let answer = place.ask("POST /p/login", &[FORM, HTML], "username=ada&password=correct+horse&next=%2Fp%2Fsessions");
    assert_eq!(answer.field("Location"), Some("/p/sessions"));
    assert!(answer.field("Set-Cookie").unwrap().contains("; Path=/p;"));
    let ada = cookie(&answer);
    assert_eq!(place.get("/p/me", &[&ada]).status, 200);
    assert_eq!(place.get("/p/sessions", &[HTML]).field("Location"), Some("/p/login?next=%2Fp%2Fsessions"));
}

#[test]
fn a_trusted_proxy_tells_who_came_and_whether_over_tls() {
    let place = Place::open(&["--trusted-proxy", "127.0.0.1"]);
    place.register("ada");
    let fields = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"];
    let answer = place.post("/login", &fields, &json!({"username": "ada", "password": PASSWORD}));
    assert!(answer.field("Set-Cookie").unwrap().starts_with("__Host-hythe="), "{answer:?}");
    assert!(answer.field("Set-Cookie").unwrap().ends_with("; Secure"), "{answer:?}");
    let ada = cookie(&answer);
    let list = place.get("/sessions", &[&ada, fields[1], fields[0]]).json();
    assert_eq!(list["sessions"][0]["address"], "203.0.113.7");
    assert_eq!(place.get("/sessions", &[&ada]).status, 401, "such a cookie is for encrypted connections");
}

#[test]
fn the_access_log_tells_the_client_that_a_trusted_proxy_tells_of() {
    let place = Place::open(&["--trusted-proxy", "127.0.0.1", "--access-log", "access.log"]);
    let log = place.house.folder().join("access.log");
    // One is answered at once, the other after its body has come.
    place.get("/hello.txt", &["X-Forwarded-For: 203.0.113.7"]);
    place.post("/login", &["X-Forwarded-For: 203.0.113.8"], &json!({"username": "ada", "password": PASSWORD}));
    place.get("/hello.txt", &[]);
    // What is refused before anybody asks who comes is refused to the same client.
    for (number, line) in ["GET /%zz", "GET /../x", "POST /hello.txt", "BREW /pot", "GET /file-info"].iter().enumerate()
    {
        let answer = place.ask(line, &[&format!("X-Forwarded-For: 203.0.113.{}", 20 + number)], "");
        assert!((400..=501).contains(&answer.status), "{answer:?}");
    }
    let origin = "Origin: https://elsewhere.example";
    assert_eq!(place.ask("POST /send", &["X-Forwarded-For: 203.0.113.30", origin], "").code(), "cross_site");
    let host = "GET http://elsewhere.example/ HTTP/1.1\r\nHost: elsewhere.example\r\n";
    let mut wire = crate::wire::Wire::connect(place.address());
    wire.send_quietly(format!("{host}X-Forwarded-For: 203.0.113.31\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(wire.hear(false).unwrap().status, 403);
    let clients = [7, 8, 20, 21, 22, 23, 24, 30, 31].map(|number| format!("203.0.113.{number} - - ["));
    for line in clients.iter().map(String::as_str).chain(["127.0.0.1 - - ["]) {
        let told = || std::fs::read_to_string(&log).is_ok_and(|text| text.lines().any(|told| told.starts_with(line)));
        assert!(comes_to_be(told), "no {line:?} in {:?}", std::fs::read_to_string(&log));
    }
}

#[test]
fn pages_of_a_named_origin_come_with_tokens_or_as_guests_whatever_their_browser_sends_along() {
    let place = Place::open(&["--cors-origin", "https://app.example", "--chat-write", "anyone"]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["chat:write"]);
    let origin = "Origin: https://app.example";
    let user = |fields: &[&str]| {
        let answer = place.post("/send", fields, &json!({"message": "hi"}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["user"].clone()
    };
    assert_eq!(user(&[&ada]), "ada");
    assert_eq!(user(&[&ada, origin]), json!(null));
    assert_eq!(user(&[&token, origin]), "ada");
    let asked = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: tus-resumable,upload-length"];
    let preflight = place.ask("OPTIONS /tus", &[origin, asked[0], asked[1]], "");
    let allowed = preflight.field("Access-Control-Allow-Headers").unwrap_or_default();
    for field in
        ["authorization", "tus-resumable", "upload-length", "upload-metadata", "upload-offset", "last-event-id"]
    {
        assert!(allowed.split(", ").any(|allowed| allowed == field), "{field} in {allowed}");
    }
    let made = place.ask("POST /tus", &[origin, &token, "Tus-Resumable: 1.0.0", "Upload-Length: 1"], "");
    let exposed = made.field("Access-Control-Expose-Headers").unwrap_or_default();
    assert!(exposed.contains("location") && exposed.contains("upload-offset") && exposed.contains("etag"), "{made:?}");
}

#[test]
fn every_account_has_the_quota_of_the_configuration_unless_an_admin_says_otherwise() {
    let place = Place::open(&["--quota", "10"]);
    for name in ["ada", "bob"] {
        place.register(name);
    }
    let (ada, bob) = (place.sign_in("ada"), place.sign_in("bob"));
    assert_eq!(place.ask("PUT /files/~ada/a?create=1", &[&ada], "12345678").status, 201);
    let over = place.ask("PUT /files/~ada/b?create=1", &[&ada], "123");
    assert_eq!((over.status, over.code().as_str()), (507, "over_quota"));
    assert_eq!(place.ask("PATCH /admin/users/bob", &[OPERATOR, JSON], r#"{"quota":0}"#).status, 200);
    assert_eq!(place.ask("PUT /files/~bob/a?create=1", &[&bob], "12345678901234567890").status, 201);
    assert_eq!(place.get("/api", &[]).json()["limits"]["quota"], 10);
}

#[test]
fn private_files_are_so_for_the_machines_other_people_too() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    assert_eq!(place.ask("PUT /files/~ada/d/a?create=1", &[&ada], "1").status, 201);
    let tus = place.ask(
        "POST /tus",
        &[&ada, "Tus-Resumable: 1.0.0", "Upload-Length: 1", "Upload-Metadata: private MQ=="],
        "",
    );
    assert_eq!(tus.status, 201);
    let mut found = 0;
    let mut folders = vec![place.house.folder().join("data/home")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            assert_eq!(meta.permissions().mode() & 0o077, 0, "{entry:?}");
            found += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(found >= 6, "a home, a folder, a file, an unfinished upload and its state, in theirs: {found}");
}

#[test]
fn every_act_on_an_account_is_a_line_of_the_log_and_no_secret_is_in_it() {
    let place = Place::open(&[]);
    let recovery = place.register("ada");
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["files:read"]);
    assert_eq!(place.ask("DELETE /tokens/1", &[&ada], "").status, 200);
    assert_eq!(place.post("/password", &[&ada], &json!({"old": PASSWORD, "new": "battery staple"})).status, 200);
    let code = place.ask("POST /admin/users/ada/reset", &[OPERATOR], "").json()["code"].as_str().unwrap().to_owned();
    let reset = json!({"username": "ada", "code": code, "new": PASSWORD});
    assert_eq!(place.post("/reset-password", &[], &reset).status, 200);
    let invite = place.ask("POST /admin/invites", &[OPERATOR], "").json()["invite"].as_str().unwrap().to_owned();
    let change = json!({"disabled": false, "admin": true, "quota": 5});
    place.ask("PATCH /admin/users/ada", &[OPERATOR, JSON], change.to_string());
    let again = place.sign_in("ada");
    place.post("/logout", &[&again], &json!({}));
    assert_eq!(place.ask("DELETE /admin/users/ada", &[OPERATOR], "").status, 200);
    for line in [
        "the account ada was made, for 127.0.0.1",
        "ada signed in, from 127.0.0.1",
        "an API token of ada was made, for",
        "an API token of ada was removed, for",
        "ada has a new password, for",
        "a code to reset ada was given out, for",
        "ada has reset the password with a code, for",
        "an invite was made, for",
        "the account ada was changed, for 127.0.0.1: disabled false, admin true, quota 5",
        "a session of ada was ended, for",
        "the account ada was deleted, for",
    ] {
        place.log_tells(line);
    }
    let log = place.house.log();
    let secrets = [PASSWORD, "battery staple", &recovery, &code, &invite, crate::place::TOKEN];
    let shown = [ada, again, token].map(|line| line.rsplit(['=', ' ']).next().unwrap().to_owned());
    for secret in secrets.into_iter().chain(shown.iter().map(String::as_str)) {
        assert!(!log.contains(secret), "a secret is in the log:\n{log}");
    }
}

/// Memory of the server that is in use, in KiB.
fn resident_kib(place: &Place) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.house.process())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_memory_of_a_hash_is_given_back_when_nobody_signs_in_for_ten_seconds() {
    let place = Place::with_usual_passwords(&[]);
    place.register("ada");
    // Twice: what is freed once is not always what is freed for good.
    for round in 0..2 {
        let since = std::time::Instant::now();
        place.sign_in("ada");
        let held = resident_kib(&place);
        let is_given_back = comes_to_be(|| resident_kib(&place) + 18_000 <= held);
        assert!(is_given_back, "{held} KiB, and {} now (round {round})", resident_kib(&place));
        assert!(since.elapsed() > Duration::from_secs(9), "it was not kept for the next who signs in");
    }
}
