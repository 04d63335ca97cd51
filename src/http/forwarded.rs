//! What proxies say of the client behind them: `X-Forwarded-For`, `X-Forwarded-Proto`, and `Forwarded` (RFC 7239). Whether a
//! proxy is believed is for the caller to say.

use std::net::IpAddr;

use crate::http::headers::{Field, Headers, as_text};

/// The client as trusted proxies tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it spoke to the outermost of them over TLS.
    pub is_secure: bool,
}

/// The client of a request that came from `peer`: itself, unless it is trusted; then the rightmost address told that is not.
/// Each proxy adds the address it saw at the right, so what stands further left may be made up.
pub fn client(headers: &Headers<'_>, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Client {
    let mut client = Client { ip: peer, is_secure: false };
    if !is_trusted(peer) {
        return client;
    }
    let told = told_for(headers);
    for hop in told.iter().rev() {
        // Whoever hides its name, or says what is no address, is behind the last hop that is known.
        let Some(ip) = address(hop) else { break };
        client.ip = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    client.is_secure = scheme(headers).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    client
}

/// The hops, the nearest last.
fn told_for<'a>(headers: &Headers<'a>) -> Vec<&'a str> {
    let simple = values(headers, "x-forwarded-for");
    if !simple.is_empty() {
        return simple.into_iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    }
    elements(headers).map(|element| parameter(element, "for").unwrap_or_default()).collect()
}

/// What the nearest proxy was asked by.
fn scheme<'a>(headers: &Headers<'a>) -> Option<&'a str> {
    match values(headers, "x-forwarded-proto").last() {
        Some(line) => line.rsplit(',').next().map(str::trim),
        None => elements(headers).last().and_then(|element| parameter(element, "proto")),
    }
}

fn values<'a>(headers: &Headers<'a>, name: &str) -> Vec<&'a str> {
    let lines = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| as_text(value).unwrap_or_default()).collect()
}

/// The elements of `Forwarded`. No address and no scheme holds a comma or a semicolon, so quoted ones mean nothing to us.
fn elements<'a>(headers: &Headers<'a>) -> impl Iterator<Item = &'a str> {
    headers.all(Field::Forwarded).flat_map(|value| as_text(value).unwrap_or_default().split(','))
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (given, value) = pair.split_once('=')?;
        given.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or(port)))?,
        None => text.split_once(':')?,
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    host.parse::<IpAddr>().ok().filter(|_| is_port).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, fields: &[(&str, &str)]) -> (String, bool) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
        let trusted = |ip: IpAddr| ip.is_loopback() || matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 10);
        let client = client(&Headers::new(&fields), peer.parse().unwrap(), trusted);
        (client.ip.to_string(), client.is_secure)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_what_it_saw_itself() {
        let proto = ("X-Forwarded-Proto", "https");
        for (peer, fields, ip, is_secure) in [
            ("1.1.1.1", &[("X-Forwarded-For", "9.9.9.9"), proto][..], "1.1.1.1", false),
            ("10.0.0.1", &[("X-Forwarded-For", "9.9.9.9"), proto], "9.9.9.9", true),
            ("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6, 9.9.9.9, 10.0.0.2")], "9.9.9.9", false),
            ("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "9.9.9.9")], "9.9.9.9", false),
            ("10.0.0.1", &[("X-Forwarded-For", "10.0.0.3, 10.0.0.2")], "10.0.0.3", false),
            ("10.0.0.1", &[("X-Forwarded-For", "9.9.9.9, unknown")], "10.0.0.1", false),
            ("10.0.0.1", &[("X-Forwarded-For", "9.9.9.9, unknown, 10.0.0.2")], "10.0.0.2", false),
            ("10.0.0.1", &[("X-Forwarded-For", "")], "10.0.0.1", false),
            ("10.0.0.1", &[], "10.0.0.1", false),
            ("127.0.0.1", &[("X-Forwarded-For", "9.9.9.9:1234")], "9.9.9.9", false),
            ("::1", &[("X-Forwarded-For", "[2001:db8::1]:80")], "2001:db8::1", false),
            ("::1", &[("X-Forwarded-For", "2001:db8::1")], "2001:db8::1", false),
            ("::1", &[("X-Forwarded-For", "::ffff:9.9.9.9")], "9.9.9.9", false),
            ("::1", &[("Forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=https")], "2001:db8::1", true),
            ("::1", &[("Forwarded", "proto=http;For=9.9.9.9")], "9.9.9.9", false),
            ("::1", &[("Forwarded", "for=_hidden")], "::1", false),
            ("::1", &[("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "9.9.9.9")], "9.9.9.9", false),
            ("::1", &[("X-Forwarded-Proto", "https, http")], "::1", false),
        ] {
            assert_eq!(seen(peer, fields), (ip.to_owned(), is_secure), "{peer} {fields:?}");
        }
    }
}
