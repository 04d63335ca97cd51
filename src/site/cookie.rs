//! The session's cookie: what it is called, how it is found, set and cleared (RFC 6265).
//!
//! Over an encrypted connection its name begins with `__Host-`: then no page of another name, and no one who sits on an
//! unencrypted connection, can put one in its place. Such a cookie has to have the path `/`; below a prefix, where that would
//! be another's, it goes without.

use crate::http::headers::{Field, Headers};
use crate::store::users::SESSION_MS;

/// Its name.
pub fn name(prefix: &str, is_secure: bool) -> &'static str {
    if is_secure && prefix.is_empty() { "__Host-hythe" } else { "hythe" }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing of that name.
    None,
    /// One.
    One(&'a [u8]),
    /// More than one: somebody has put one beside the other.
    Several,
}

/// The cookie among those that were sent.
pub fn find<'a>(headers: &Headers<'a>, prefix: &str, is_secure: bool) -> Found<'a> {
    find_named(headers, name(prefix, is_secure))
}

/// A cookie of any name.
pub fn find_named<'a>(headers: &Headers<'a>, name: &str) -> Found<'a> {
    let mut found = Found::None;
    let pairs = headers.all(Field::Cookie).flat_map(|line| line.split(|&byte| byte == b';'));
    for pair in pairs.map(<[u8]>::trim_ascii) {
        let Some(equals) = memchr::memchr(b'=', pair) else { continue };
        let (given, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        if given == name.as_bytes() {
            found = if found == Found::None { Found::One(value) } else { Found::Several };
        }
    }
    found
}

fn attributes(prefix: &str, is_secure: bool) -> String {
    let path = if prefix.is_empty() { "/" } else { prefix };
    let secure = if is_secure { "; Secure" } else { "" };
    format!("Path={path}; HttpOnly; SameSite=Lax{secure}")
}

/// The `Set-Cookie` value that gives a client its session.
pub fn set(prefix: &str, is_secure: bool, secret: &str) -> String {
    let (name, attributes) = (name(prefix, is_secure), attributes(prefix, is_secure));
    format!("{name}={secret}; Max-Age={}; {attributes}", SESSION_MS / 1000)
}

/// The one that takes it away.
pub fn clear(prefix: &str, is_secure: bool) -> String {
    let (name, attributes) = (name(prefix, is_secure), attributes(prefix, is_secure));
    format!("{name}=; Max-Age=0; {attributes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> String {
        let fields: Vec<_> =
            lines.iter().map(|line| httparse::Header { name: "Cookie", value: line.as_bytes() }).collect();
        match find(&Headers::new(&fields), "", false) {
            Found::None => "none".into(),
            Found::One(value) => String::from_utf8(value.to_vec()).unwrap(),
            Found::Several => "several".into(),
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_never_twice() {
        for (lines, expected) in [
            (&["hythe=abc"][..], "abc"),
            (&["a=1; hythe=abc; b=2"], "abc"),
            (&["a=1", "hythe=abc"], "abc"),
            (&["hythe=abc;hythe=abc"], "several"),
            (&["hythe=abc", "hythe=def"], "several"),
            (&["hythe=abc", "hythe="], "several"),
            (&["Hythe=abc; xhythe=1; hythe2=3; __Host-hythe=4"], "none"),
            (&["hythe"], "none"),
            (&["hythe="], ""),
            (&[], "none"),
        ] {
            assert_eq!(found(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_this_server_alone() {
        assert_eq!(set("", false, "x"), "hythe=x; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(set("", true, "x"), "__Host-hythe=x; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set("/p", true, "x"), "hythe=x; Max-Age=2592000; Path=/p; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(clear("", false), "hythe=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }
}
