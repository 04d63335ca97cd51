//! What is tried on accounts, and what comes of it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::place::{FORM, HTML, JSON, OPERATOR, PASSWORD, Place, TOKEN, cookie};
use crate::wire::{Wire, comes_to_be};

#[test]
fn a_session_that_was_planted_is_not_the_one_that_signs_in() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("eve");
    let made_up = "Cookie: hythe=0000000000000000000000000000000000000000000000000000000000000000";
    let answer = place.post("/login", &[made_up], &json!({"username": "ada", "password": PASSWORD}));
    let ada = cookie(&answer);
    assert_ne!(ada, made_up);
    assert_eq!(place.get("/me", &[made_up]).status, 401);
    // Eve's own session, in Ada's browser.
    let eve = place.sign_in("eve");
    let answer = place.post("/login", &[&eve], &json!({"username": "ada", "password": PASSWORD}));
    assert_eq!(place.get("/me", &[&cookie(&answer)]).json()["user"], "ada");
    assert_eq!(place.get("/me", &[&eve]).status, 401, "what was planted has ended");
}

#[test]
fn no_secret_stands_in_any_log_whatever_is_asked_of_it() {
    let flags = ["--log-level", "trace", "--log-file", "hythe.log", "--access-log", "access.log"];
    let place = Place::open(&flags);
    let code = place.register("ada");
    let ada = place.sign_in("ada");
    let session = ada.trim_start_matches("Cookie: ").split_once('=').unwrap().1.to_owned();
    let bearer = place.token(&ada, &["files:read"]);
    let token = bearer.rsplit(' ').next().unwrap().to_owned();
    let once = place.ask("POST /admin/users/ada/reset", &[OPERATOR], "").json()["code"].as_str().unwrap().to_owned();
    let invite = place.ask("POST /admin/invites", &[OPERATOR], "").json()["invite"].as_str().unwrap().to_owned();
    let wrong = "hyt_0000000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(place.get("/me", &[&bearer]).status, 200);
    assert_eq!(place.get("/me", &[&format!("Authorization: Bearer {wrong}")]).status, 401);
    assert_eq!(place.login("ada", "a wrong password").status, 401);
    let again = json!({"username": "ada", "code": "NOT-THE-CODE", "new": "battery staple"});
    assert_eq!(place.post("/reset-password", &[], &again).status, 400);
    let again = json!({"username": "ada", "code": code, "new": "battery staple"});
    assert_eq!(place.post("/reset-password", &[], &again).status, 200);
    let secrets = [
        &code,
        &session,
        &token,
        &once,
        &invite,
        wrong,
        "a wrong password",
        "NOT-THE-CODE",
        "battery staple",
        PASSWORD,
        "operator-token-of-the-tests",
    ];
    let folder = place.house.folder().to_owned();
    // The last of it has been written when the server is gone.
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let is_written = comes_to_be(|| {
        read("access.log").contains("\"POST /reset-password HTTP/1.1\" 200") && read("hythe.log").contains("has reset")
    });
    assert!(is_written, "{}\n{}", read("access.log"), read("hythe.log"));
    for told in [read("hythe.log"), read("access.log"), place.house.log()] {
        for secret in secrets {
            assert!(!told.contains(secret), "{secret} stands in {told}");
        }
    }
}

#[test]
fn guessed_ids_of_sessions_and_tokens_are_nobodys() {
    let place = Place::open(&[]);
    place.register("ada");
    place.register("eve");
    let (ada, eve) = (place.sign_in("ada"), place.sign_in("eve"));
    let token = place.token(&ada, &["files:read"]);
    for id in ["1", "2", "3", "0", "-1", "01x", "9223372036854775808", "%31", "+1"] {
        for path in ["sessions", "tokens"] {
            // Her own session is the second.
            if (path, id) != ("sessions", "2") {
                let status = place.ask(&format!("DELETE /{path}/{id}"), &[&eve], "").status;
                assert_eq!(status, 404, "{path}/{id}");
            }
        }
    }
    assert_eq!(place.get("/me", &[&ada]).status, 200);
    assert_eq!(place.get("/me", &[&token]).status, 200);
    for value in ["", "0", "hyt_", "../../x", "\"", &"a".repeat(4000)] {
        assert_eq!(place.get("/me", &[&format!("Cookie: hythe={value}")]).status, 401, "{value}");
        assert_eq!(place.get("/me", &[&format!("Authorization: Bearer hyt_{value}")]).status, 401, "{value}");
    }
}

#[test]
fn codes_that_were_used_or_made_up_set_no_password_and_nobody_learns_who_exists() {
    let place = Place::open(&[]);
    let recovery = place.register("ada");
    let reset = |name: &str, code: &str| {
        let answer =
            place.post("/reset-password", &[], &json!({"username": name, "code": code, "new": "battery staple"}));
        (answer.status, answer.code(), answer.json()["detail"].to_string())
    };
    let refused = reset("ada", "AAAA-BBBB");
    assert_eq!((refused.0, &*refused.1), (400, "bad_reset_code"));
    for (name, code) in [("nobody", "AAAA-BBBB"), ("nobody", &*recovery), ("no body!", "X"), ("ada", "")] {
        assert_eq!(reset(name, code), refused, "{name}");
    }
    let old = place.ask("POST /admin/users/ada/reset", &[OPERATOR], "").json()["code"].as_str().unwrap().to_owned();
    let new = place.ask("POST /admin/users/ada/reset", &[OPERATOR], "").json()["code"].as_str().unwrap().to_owned();
    assert_eq!(reset("ada", &old), refused, "there is a newer one");
    place.ask("POST /admin/users/ada/reset", &[OPERATOR], "");
    assert_eq!(reset("ada", &new), refused, "there is a newer one again");
}

#[test]
fn a_password_of_ten_megabytes_is_refused_before_it_is_hashed() {
    let place = Place::open(&[]);
    place.register("ada");
    let body = json!({"username": "ada", "password": "x".repeat(10 << 20)}).to_string();
    assert_eq!(place.ask("POST /login", &[JSON], body.clone()).status, 413);
    assert_eq!(place.ask("POST /register", &[JSON], body).status, 413);
    let long = json!({"username": "bob", "password": "x".repeat(257)});
    assert_eq!(place.post("/register", &[], &long).code(), "weak_password");
    assert_eq!(place.post("/login", &[], &json!({"username": "ada", "password": "x".repeat(60_000)})).status, 401);
}

#[test]
fn nobody_makes_themselves_an_admin() {
    let place = Place::open(&[]);
    let value = json!({"username": "eve", "password": PASSWORD, "admin": true});
    let answer = place.post("/register", &[], &value);
    assert_eq!((answer.status, answer.code()), (400, "bad_field".into()));
    assert!(answer.json()["detail"].as_str().unwrap().contains("admin"));
    assert_eq!(place.ask("POST /register", &[FORM], "username=eve&password=correct+horse&admin=1").status, 201);
    let eve = place.sign_in("eve");
    assert_eq!(place.get("/me", &[&eve]).json()["admin"], false);
    assert_eq!(place.ask("PATCH /admin/users/eve", &[&eve, JSON], r#"{"admin":true}"#).status, 403);
    assert_eq!(place.ask("POST /admin/invites", &[&eve], "").status, 403);
    for body in
        [r#"{"username":"x","username":"y","password":"correct horse"}"#, r#"{"username":["x"],"password":"y"}"#]
    {
        assert_eq!(place.ask("POST /register", &[JSON], body).code(), "bad_field");
    }
}

#[test]
fn twins_of_a_name_are_the_same_name_or_none() {
    let place = Place::open(&[]);
    place.register("karl");
    let register = |name: &str| place.post("/register", &[], &json!({"username": name, "password": PASSWORD}));
    for twin in ["Karl", "KARL"] {
        assert_eq!(register(twin).code(), "user_exists", "{twin}");
    }
    for twin in ["\u{212a}arl", "k\u{430}rl", "karl\u{200b}", "\u{ff4b}arl", " karl", "karl ", "karl\0", "karl\r\nX: y"]
    {
        assert_eq!(register(twin).code(), "bad_username", "{twin:?}");
    }
    // All that can be nobody's name counts as one.
    for twin in ["\u{212a}arl", "k\u{430}rl", "karl\r\nX: y"] {
        let answer = place.post("/login", &[], &json!({"username": twin, "password": PASSWORD}));
        assert_eq!((answer.status, answer.code()), (401, "bad_credentials".into()), "{twin:?}");
    }
    let answer = place.ask("POST /login", &[FORM, HTML], "username=a%0d%0aSet-Cookie:x=1&password=x&next=%0d%0aX:y");
    assert_eq!(answer.field("X"), None);
    assert_eq!(answer.field("Set-Cookie"), None);
    place.log_tells("failed sign-in: user=- address=127.0.0.1 by=password");
    assert!(!place.house.log().contains("Set-Cookie"), "nothing of it is in the log");
}

#[test]
fn a_cookie_that_is_there_twice_is_nobodys() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let value = ada.strip_prefix("Cookie: ").unwrap();
    for fields in [
        &[&*format!("Cookie: {value}; {value}")][..],
        &[&ada, &*ada],
        &[&*format!("Cookie: hythe=x; {value}")],
        &[&*format!("Cookie: {value}; hythe=x")],
    ] {
        for target in ["/me", "/", "/file-list", "/login"] {
            assert_eq!(place.get(target, fields).status, 401, "{target} {fields:?}");
        }
        assert_eq!(place.get("/file-list", &[fields, &[HTML]].concat()).status, 401, "no page can mend it");
        assert_eq!(place.ask("POST /logout", fields, "").status, 401);
    }
}

#[test]
fn a_token_in_the_query_is_no_token() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    let token = place.token(&ada, &["files:read"]);
    let token = token.strip_prefix("Authorization: Bearer ").unwrap();
    for name in ["token", "access_token", "hythe", "session"] {
        for secret in [token, TOKEN] {
            assert_eq!(place.get(&format!("/me?{name}={secret}"), &[]).status, 401, "{name}");
            assert_eq!(place.get(&format!("/admin/users?{name}={secret}"), &[]).status, 401, "{name}");
        }
    }
}

#[test]
fn a_page_of_another_site_can_neither_post_nor_open_a_socket() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    for foreign in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site"],
    ] {
        let fields = |more: &[&'static str]| [&[&*ada], more, foreign].concat();
        for target in ["/logout", "/password", "/tokens", "/login", "/register", "/send"] {
            let answer = place.ask(&format!("POST {target}"), &fields(&[FORM]), "message=x");
            assert_eq!((answer.status, answer.code()), (403, "cross_site".into()), "{target} {foreign:?}");
        }
        let answer = place.ask("DELETE /me", &fields(&[JSON]), json!({"password": PASSWORD}).to_string());
        assert_eq!(answer.code(), "cross_site");
        let upgrade = [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        assert_eq!(place.get("/ws", &fields(&upgrade)).status, 403, "{foreign:?}");
    }
    assert_eq!(place.get("/me", &[&ada]).status, 200);
}

#[test]
fn nothing_that_was_written_goes_out_as_a_guests_when_the_session_has_ended() {
    let place = Place::open(&[]);
    let gone = "Cookie: hythe=1111111111111111111111111111111111111111111111111111111111111111";
    let answer = place.post("/send", &[gone], &json!({"message": "mine"}));
    assert_eq!((answer.status, answer.code()), (401, "session_ended".into()));
    assert_eq!(answer.field("Set-Cookie"), None);
    for target in ["/", "/file-list", "/messages", "/login"] {
        let answer = place.get(target, &[gone]);
        assert_eq!(answer.status, 200, "{target}");
        assert!(
            answer.field("Set-Cookie").is_some_and(|set| set.starts_with("hythe=; Max-Age=0;")),
            "{target} {answer:?}"
        );
    }
    let answer = place.get("/nothing", &[gone]);
    assert_eq!(answer.status, 404);
    assert!(answer.field("Set-Cookie").is_some(), "a refusal clears it too");
    let answer = place.post("/register", &[gone], &json!({"username": "ada", "password": PASSWORD}));
    assert_eq!(answer.status, 201);
    let answer = place.post("/login", &[gone], &json!({"username": "ada", "password": PASSWORD}));
    assert_eq!(place.get("/me", &[&cookie(&answer)]).status, 200, "the new one is not cleared");
    assert_eq!(place.ask("POST /logout", &[gone], "").status, 200);
}

#[test]
fn who_guesses_is_held_back_without_a_hash_and_the_owner_is_not_thrown_out() {
    let place = Place::open(&[]);
    place.register("ada");
    let ada = place.sign_in("ada");
    for _ in 0..5 {
        assert_eq!(place.login("ada", "wrong password").code(), "bad_credentials");
        assert_eq!(place.login("nobody", "wrong password").code(), "bad_credentials");
    }
    for name in ["ada", "nobody"] {
        let answer = place.login(name, PASSWORD);
        assert_eq!(
            (answer.status, answer.code()),
            (429, "rate_limited".into()),
            "{name}: names without an account count alike"
        );
        assert!(answer.field("Retry-After").is_some());
    }
    assert_eq!(place.get("/me", &[&ada]).status, 200);
}

/// Sends all of them before any answer is read; what they are answered, sorted.
fn all_at_once(place: &Place, requests: impl Iterator<Item = (String, String)>) -> Vec<u16> {
    let mut wires: Vec<Wire> = Vec::new();
    for (head, body) in requests {
        let mut wire = Wire::connect(place.address());
        let head = format!("{head}Host: {}\r\n{JSON}\r\nContent-Length: {}\r\n\r\n", place.address(), body.len());
        wire.send_quietly(format!("{head}{body}").as_bytes()).unwrap();
        wires.push(wire);
    }
    let mut told: Vec<u16> = wires.iter_mut().map(|wire| wire.hear(false).unwrap().status).collect();
    told.sort_unstable();
    told
}

fn logins(name: &'static str, password: &'static str, count: usize) -> impl Iterator<Item = (String, String)> {
    let body = json!({"username": name, "password": password}).to_string();
    (0..count).map(move |_| ("POST /login HTTP/1.1\r\n".to_owned(), body.clone()))
}

#[test]
fn ten_who_know_the_password_sign_in_at_once_and_ten_guesses_at_once_are_five() {
    let place = Place::open(&[]);
    place.register("ada");
    assert_eq!(all_at_once(&place, logins("ada", PASSWORD, 10)), [200; 10]);
    assert_eq!(all_at_once(&place, logins("ada", "wrong password", 10)), [[401; 5], [429; 5]].concat());
    assert_eq!(all_at_once(&place, logins("nobody", PASSWORD, 10)), [[401; 5], [429; 5]].concat());
}

#[test]
fn a_live_session_has_tries_of_its_own_whatever_others_have_guessed() {
    let place = Place::open(&["--trusted-proxy", "127.0.0.1"]);
    place.register("ada");
    let (here, there, last) = (place.sign_in("ada"), place.sign_in("ada"), place.sign_in("ada"));
    let wrong = json!({"username": "ada", "password": "wrong password"});
    // From her own address, and from everywhere.
    for _ in 0..5 {
        place.post("/login", &[], &wrong);
    }
    assert_eq!(place.login("ada", PASSWORD).status, 429);
    for number in 0..60 {
        place.post("/login", &[&format!("X-Forwarded-For: 10.0.0.{number}")], &wrong);
    }
    assert_eq!(place.post("/login", &["X-Forwarded-For: 10.9.9.9"], &wrong).status, 429, "the account is closed");
    let change = |session: &str, old: &str| {
        place.post("/password", &[session], &json!({"old": old, "new": "battery staple"})).status
    };
    for _ in 0..5 {
        assert_eq!(change(&there, "wrong password"), 401);
    }
    assert_eq!(change(&there, PASSWORD), 429, "whoever has stolen a session guesses no more than others");
    let delete = |session: &str, password: &str| {
        place.ask("DELETE /me", &[session, JSON], json!({"password": password}).to_string()).status
    };
    assert_eq!(change(&here, PASSWORD), 200);
    assert_eq!(delete(&last, "battery staple"), 401, "it ended with the password");
    assert_eq!(delete(&here, "wrong password"), 401);
    assert_eq!(delete(&here, "battery staple"), 200);
}

#[test]
fn an_address_may_try_so_often_and_wrong_tokens_count() {
    // In so long a time nothing is won back while the test lasts.
    let place = Place::strict(&["--login-rate", "6/d"]);
    place.register("ada");
    let ada = place.sign_in("ada");
    for _ in 0..5 {
        assert_eq!(place.get("/messages", &["Authorization: Bearer wrong"]).status, 401);
    }
    let answer = place.get("/messages", &["Authorization: Bearer wrong"]);
    assert_eq!((answer.status, answer.field("Retry-After").is_some()), (429, true), "{answer:?}");
    assert_eq!(place.login("ada", PASSWORD).status, 429);
    assert_eq!(place.get("/me", &[&ada]).status, 200, "whoever is in is not asked");
    assert_eq!(place.get("/admin/users", &[OPERATOR]).status, 200, "nor is a right token");
    place.log_tells("failed sign-in: user=- address=127.0.0.1 by=token");
    place.log_tells("refused sign-ins since the last such line: too_often=1 too_crowded=0 last_address=127.0.0.1");
}

#[test]
fn a_flood_of_sign_ins_waits_in_a_bounded_queue_and_the_rest_is_told_to_come_later() {
    let place = Place::open(&[]);
    place.register("ada");
    // All come in one moment: each connection sends before any answer is read. Whom the machine keeps from that tries again.
    let flood = |round: usize| {
        let mut wires: Vec<Wire> = (0..60).map(|_| Wire::connect(place.address())).collect();
        for (number, wire) in wires.iter_mut().enumerate() {
            let body = json!({"username": format!("nobody{round}-{number}"), "password": PASSWORD}).to_string();
            let head = format!("POST /login HTTP/1.1\r\nHost: {}\r\n{JSON}\r\n", place.address());
            wire.send_quietly(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        }
        let mut told = [0, 0];
        for wire in &mut wires {
            let answer = wire.hear(false).unwrap();
            match answer.status {
                401 => told[0] += 1,
                503 => {
                    assert_eq!((answer.code().as_str(), answer.field("Retry-After")), ("overloaded", Some("2")));
                    told[1] += 1;
                }
                other => panic!("{other}: {answer:?}"),
            }
        }
        assert!(told[0] >= 17, "one is hashed and sixteen wait: {told:?}");
        told[1] > 0
    };
    assert!((0..20).any(flood), "nobody was told to come later");
    assert_eq!(place.login("ada", PASSWORD).status, 200, "and then there is room again");
}

#[test]
fn who_is_signed_in_and_who_comes_from_where_they_are_known_waits_behind_a_full_queue_and_is_not_sent_away() {
    let place = Place::open(&["--trusted-proxy", "127.0.0.1"]);
    place.register("ada");
    let home = "X-Forwarded-For: 10.0.0.1";
    let login = json!({"username": "ada", "password": PASSWORD});
    let ada = cookie(&place.post("/login", &[home], &login));
    // Forty who try again as soon as they are answered, each from one address after another.
    let (is_over, turned_away) = (AtomicBool::new(false), AtomicU32::new(0));
    let flood = |number: u32| {
        let mut wire = Wire::connect(place.address());
        let mut tries = 0;
        while !is_over.load(Ordering::Relaxed) {
            tries += 1;
            let body = json!({"username": format!("nobody{number}.{tries}"), "password": PASSWORD}).to_string();
            let from = format!("X-Forwarded-For: 10.{number}.{}.{}", tries / 250 + 1, tries % 250);
            let head = format!("POST /login HTTP/1.1\r\nHost: {}\r\n{JSON}\r\n{from}\r\n", place.address());
            wire.send_quietly(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
            let status = wire.hear(false).unwrap().status;
            assert!(matches!(status, 401 | 503), "{status}");
            turned_away.fetch_add(u32::from(status == 503), Ordering::Relaxed);
            if tries % 90 == 0 {
                wire = Wire::connect(place.address());
            }
        }
    };
    let seen = std::thread::scope(|scope| {
        (1..=40).for_each(|number| drop(scope.spawn(move || flood(number))));
        while turned_away.load(Ordering::Relaxed) < 40 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut seen = Vec::new();
        for number in 0..2 {
            let change = json!({"old": PASSWORD, "new": PASSWORD});
            seen.push(("password", place.post("/password", &[&ada], &change).status));
            seen.push(("login", place.post("/login", &[home], &login).status));
            let user = json!({"username": format!("bob{number}"), "password": PASSWORD});
            seen.push(("admin", place.post("/admin/users", &[OPERATOR], &user).status));
        }
        is_over.store(true, Ordering::Relaxed);
        seen
    });
    assert!(seen.iter().all(|(_, status)| matches!(status, 200 | 201)), "{seen:?}");
    place.log_tells("refused sign-ins since the last such line: too_often=0 too_crowded=1 last_address=10.");
}

#[test]
fn who_is_told_to_come_later_and_floods_us_is_told_it_later_and_nobody_else_is() {
    let place = Place::strict(&[]);
    let mut wire = Wire::connect(place.address());
    let body = json!({"username": "nobody", "password": PASSWORD}).to_string();
    // No clock tells who is kept waiting, for a busy machine keeps everyone: somebody else who came later and is answered does.
    let mut told = Vec::new();
    for _ in 0..70 {
        let head = format!("POST /login HTTP/1.1\r\nHost: {}\r\n{JSON}\r\n", place.address());
        wire.send_quietly(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        assert_eq!(place.get("/healthz", &[]).status, 200);
        let is_kept_waiting = wire.is_quiet_for(Duration::from_millis(50));
        told.push((wire.hear(false).unwrap().status, is_kept_waiting));
        if told.len() > 25 && is_kept_waiting {
            break;
        }
    }
    assert_eq!(told.last(), Some(&(429, true)), "{told:?}");
    let at_once = told.iter().filter(|told| **told == (429, false)).count();
    assert!(at_once >= 20, "whoever comes again a few times is answered at once: {told:?}");
}
