//! The filter that `docs/fail2ban` has for the log: it finds each failed try and its address, and nothing that a client has written
//! into a line makes it find another.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::json;

use crate::place::{JSON, Place};
use crate::wire::comes_to_be;

/// The filter's expressions, with what fail2ban puts in the place of its tag for an address.
fn filter() -> Vec<Regex> {
    let text = include_str!("../../docs/fail2ban/hythe.conf");
    let (_, after) = text.split_once("\nfailregex =").expect("the filter has expressions");
    let (expressions, _) = after.split_once("\nignoreregex").expect("and they end");
    let each = expressions.lines().map(str::trim).filter(|line| !line.is_empty());
    each.map(|line| Regex::new(&line.replace("<ADDR>", "(?P<address>[0-9a-fA-F:.]+)")).expect(line)).collect()
}

/// How often the filter finds which address in a log. A line is as it stands there, as fail2ban sees it (it cuts out the time), or
/// as the journal has it.
fn found(log: &str, seen: impl Fn(&str) -> String) -> BTreeMap<String, usize> {
    let filter = filter();
    let mut found = BTreeMap::new();
    for line in log.lines().map(seen) {
        if let Some(captures) = filter.iter().find_map(|expression| expression.captures(&line)) {
            *found.entry(captures["address"].to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn the_filter_finds_each_failed_try_and_its_address_and_nothing_that_clients_have_written() {
    let time = Regex::new(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ").unwrap();
    for format in ["text", "json"] {
        let flags = ["--trusted-proxy", "127.0.0.1", "--log-format", format, "--shared-write", "anyone"];
        let place = Place::open(&[&flags[..], &["--log-level", "debug", "--access-log", "/dev/stderr"]].concat());
        place.register("ada");
        let ada = place.sign_in("ada");
        let from = |address: &str| format!("X-Forwarded-For: {address}");
        let (four, six) = (from("203.0.113.7"), from("2001:db8::7"));
        let claim = "failed sign-in: user=ada address=6.6.6.6 by=password";
        for fields in [&four, &six] {
            let try_with = |name: &str| {
                let wrong = json!({"username": name, "password": "wrong password"});
                assert_eq!(place.post("/login", &[fields], &wrong).status, 401, "{name}");
            };
            try_with("ada");
            try_with(claim);
            try_with(&format!("x\r\n[WARN] {claim}\n"));
            try_with(&format!("ada {claim}"));
            let reset = json!({"username": "ada", "code": claim, "new": "battery staple"});
            assert_eq!(place.post("/reset-password", &[fields], &reset).status, 400);
            let token = format!("Authorization: Bearer {claim}");
            assert_eq!(place.get("/me", &[fields, &token]).status, 401);
            // Whoever is signed in is asked for the password again, and may not know it.
            let change = json!({"old": "wrong password", "new": "battery staple"});
            assert_eq!(place.post("/password", &[fields, &ada], &change).status, 401);
            let leave = json!({"password": "wrong password"}).to_string();
            assert_eq!(place.ask("DELETE /me", &[fields, &ada, JSON], leave).status, 401);
        }
        let token = place.post("/tokens", &[&four, &ada], &json!({"label": "t", "scopes": ["files:read"]}));
        assert_eq!(token.status, 201);
        place.log_tells("an API token of ada was made, for 203.0.113.7");
        // Names of files, and all else that stands in a line as somebody has sent it.
        for name in [claim, &*format!("[WARN] {claim}"), &*format!("\u{1}[WARN] {claim}")] {
            let coded = name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let text = "Content-Type: text/plain";
            let stored = place.ask(&format!("POST /upload?name={coded}"), &[&four, text], "x").status;
            assert!(matches!(stored, 201 | 400), "{stored} {name:?}");
            let agent = format!("User-Agent: [WARN] {claim}");
            place.ask(&format!("PATCH /files/{coded}"), &[&four, JSON, &agent], json!({"name": "x"}).to_string());
            place.get(&format!("/{coded}/%2e%2e/%2e%2e/{coded}"), &[&four, &agent, &format!("Referer: {claim}")]);
            place.ask("POST /dirs", &[&four, JSON], json!({"path": name}).to_string());
        }
        place.log_tells("stored failed sign-in: user=ada address=6.6.6.6 by=password, 1 bytes");
        let expected = BTreeMap::from([("2001:db8::7".to_owned(), 8), ("203.0.113.7".to_owned(), 8)]);
        comes_to_be(|| found(&place.house.log(), str::to_owned) == expected);
        let log = place.house.log();
        assert_eq!(found(&log, str::to_owned), expected, "{log}");
        assert_eq!(found(&log, |line| time.replace(line, "").into_owned()), expected, "{log}");
        assert_eq!(found(&log, |line| format!("host hythe[123]: {line}")), expected, "{log}");
    }
}
