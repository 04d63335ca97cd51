//! The table of options under test.

use std::collections::HashSet;

use super::*;
use crate::cli::key::Layer;
use crate::config::Config;

fn set(name: &str, value: &str) -> Result<Config, String> {
    let mut config = Config::default();
    find(name).unwrap().set(&mut config, &[value.into()], Layer::Flag)?;
    Ok(config)
}

fn shown(name: &str, value: &str) -> String {
    find(name).unwrap().show(&set(name, value).unwrap()).join(",")
}

#[test]
fn every_name_and_variable_is_there_once() {
    let names: HashSet<_> = keys().map(|key| key.name).collect();
    let variables: HashSet<_> = keys().map(Key::variable).collect();
    assert_eq!(names.len(), keys().count());
    assert_eq!(variables.len(), keys().count());
}

#[test]
fn every_default_of_the_table_is_the_default_of_the_configuration() {
    // The table is that of a program with all its parts; one that was left out is switched off for good.
    let is_left_out = |key: &&Key| match key.name {
        "no-accounts" => !cfg!(feature = "accounts"),
        "no-chat" => !cfg!(feature = "chat"),
        "no-files" => !cfg!(feature = "files"),
        _ => false,
    };
    for key in keys().filter(|key| !key.default.starts_with('(') && !is_left_out(key)) {
        let shown = key.show(&Config::default()).join(",");
        // A switch of access that nobody set shows nothing; what it then is stands in `Config::rights`.
        if !shown.is_empty() {
            assert_eq!(shown, key.default, "{}", key.name);
        }
        if key.default.is_empty() {
            continue;
        }
        let mut config = Config::default();
        key.set(&mut config, &[key.default.into()], Layer::Flag).unwrap();
        if key.name == "listen" {
            config.listen[1].is_optional = true;
        }
        config.access = Config::default().access;
        assert_eq!(config, Config::default(), "{}", key.name);
    }
}

#[test]
fn the_default_access_of_the_table_is_the_access_of_the_configuration() {
    let rights = Config::default().rights();
    for (name, access) in
        [("www-read", rights.www_read), ("shared-read", rights.shared_read), ("chat-read", rights.chat_read)]
    {
        assert_eq!(find(name).unwrap().default, access.word());
    }
}

#[test]
fn what_is_shown_can_be_set_and_is_shown_again() {
    for (name, value) in [
        ("header-timeout", "1500ms"),
        ("keepalive", "0"),
        ("drain", "0"),
        ("json-limit", "3MiB"),
        ("upload-limit", "0"),
        ("min-free", "0"),
        ("max-connections", "0"),
        ("keepalive-requests", "7"),
        ("body-min-rate", "0"),
        ("body-min-rate", "3KiB/s"),
        ("send-rate", "20/min"),
        ("login-rate", "5/h"),
        ("signup", "closed"),
        ("password-profile", "low"),
        ("trusted-proxy", "10.0.0.0/8,fd00::/8"),
        ("send-rate", "2/s burst 30"),
        ("request-rate", "0"),
        ("list", "true"),
        ("no-chat", "true"),
        ("no-files", "false"),
        ("www", "a b"),
        ("access-log", "stderr"),
        ("access-log", "a.log"),
        ("log-level", "trace"),
        ("log-format", "json"),
        ("chat-sync", "off"),
        ("rooms", "den,attic-2"),
        ("shared-write", "operator"),
        ("chat-read", "user"),
        ("listen", "0.0.0.0:0,[::]:80"),
        ("attach", "pdf"),
        ("allow-host", "*"),
        ("allow-host", "example.org:8443,[::1]"),
        ("cors-origin", "http://localhost:3000"),
        ("path-prefix", "/p/q"),
        ("token-file", "t"),
    ] {
        assert_eq!(shown(name, value), value, "{name}");
    }
}

#[test]
fn values_are_brought_into_one_form() {
    for (name, value, kept) in [
        ("listen", "localhost:90", "127.0.0.1:90,[::1]:90"),
        ("listen", "127.0.0.1:90, 127.0.0.1:90", "127.0.0.1:90"),
        ("attach", ".JPG, Txt,", "jpg,txt"),
        ("attach", "", ""),
        ("allow-host", "Example.ORG.", "example.org"),
        ("allow-host", "[0:0::1]:80", "[::1]:80"),
        ("cors-origin", "HTTPS://App.Example:443/", "https://app.example"),
        ("cors-origin", "http://app.example:443", "http://app.example:443"),
        ("path-prefix", "/p/", "/p"),
        ("path-prefix", "/", ""),
        ("log-level", "WARN", "warn"),
        ("send-rate", "1/s", "1/s burst 10"),
        ("body-min-rate", "2048", "2KiB/s"),
        ("backlog", "99999999999", "0"),
    ] {
        assert_eq!(shown(name, value), kept, "{name} {value:?}");
    }
}

#[test]
fn zero_is_no_limit_and_the_field_holds_its_greatest_value() {
    assert_eq!(set("keepalive-requests", "0").unwrap().limits.keepalive_requests, u32::MAX);
    assert_eq!(set("header-timeout", "0").unwrap().limits.header_timeout_ms, u64::MAX);
    assert_eq!(set("max-connections", "0").unwrap().limits.max_connections, usize::MAX);
    assert!(set("send-rate", "0").unwrap().limits.send_rate.is_off());
}

#[test]
fn what_cannot_be_accepted_is_refused_with_what_would_be() {
    for (name, value, says) in [
        ("header-timeout", "5x", "\"5x\" is no duration; write 500ms"),
        ("json-limit", "1XB", "\"1XB\" is no size; write"),
        ("headers", "ten", "\"ten\" is no whole number"),
        ("io-threads", "0", "\"0\" is too small; the least is 1"),
        ("send-rate", "1/week", "is no rate; write 1/s"),
        ("body-min-rate", "x", "is no rate in bytes"),
        ("list", "maybe", "is neither true nor false"),
        ("chat-read", "nobody", "\"nobody\" is none of anyone, user, operator"),
        ("log-level", "loud", "is none of off, error"),
        ("listen", "8080", "is no address with a port"),
        ("listen", "localhost", "is no address with a port"),
        ("listen", "1.2.3.4:70000", "is no address with a port"),
        ("listen", "", "needs an address"),
        ("www", "", "needs a path"),
        ("path-prefix", "p", "is no path prefix"),
        ("path-prefix", "/a/../b", "is no path prefix"),
        ("path-prefix", "/a//b", "is no path prefix"),
        ("path-prefix", "/a b", "is no path prefix"),
        ("attach", "a/b", "is no extension"),
        ("rooms", "den,At tic", "\"At tic\" is no room"),
        ("allow-host", "http://example.org", "is no host"),
        ("allow-host", "*.example.org", "is no host"),
        ("allow-host", "::1", "is no host"),
        ("cors-origin", "*", "is no origin"),
        ("cors-origin", "null", "is no origin"),
        ("cors-origin", "https://app.example/path", "is no origin"),
        ("access-log", "", "needs a file"),
    ] {
        let refused = set(name, value).unwrap_err();
        assert!(refused.contains(says), "{name} {value:?}: {refused}");
    }
}

#[test]
fn an_empty_token_is_refused() {
    for nothing in ["", " "] {
        assert_eq!(set("token", nothing).unwrap_err(), "is empty; a token has one character at least");
    }
    assert_eq!(set("token", "s3cret").unwrap().tokens.len(), 1);
}

#[test]
fn the_nearest_name_is_what_was_meant() {
    let names = || keys().map(|key| key.name);
    for (word, meant) in [
        ("lisen", "listen"),
        ("header-timout", "header-timeout"),
        ("keep-alive", "keepalive"),
        ("upload", "uploads"),
        ("acess-log", "access-log"),
    ] {
        assert_eq!(nearest(word, names()), Some(meant));
    }
}
