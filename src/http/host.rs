//! Who a request says it is for, and where it says it comes from: the authority of `Host`, the list of hosts we answer to,
//! and the guard against other sites.
//!
//! The list stops DNS rebinding: a page of another site may bring its name to our address, but not our name into its
//! requests. The guard stops a page of another site from changing something in the name of whoever looks at it. Both look
//! at what the browser vouches for, `Host`, `Origin` and `Sec-Fetch-Site`, and at nothing a proxy may add.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::http::headers::{Field, Headers};

/// A host and maybe a port, as in `Host` (RFC 9110, section 7.2; RFC 3986, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host as it came; an IPv6 address in its brackets. Never empty.
    pub host: &'a str,
    /// The port, if there is one.
    pub port: Option<u16>,
}

/// A DNS name has 253 characters at most; no host we answer to has more.
const HOST_BYTES_MAX: usize = 255;

impl<'a> Authority<'a> {
    /// Reads it strictly: a registered name, an IPv4 address or an IPv6 address in brackets, then maybe a colon and a port.
    /// No user, no zone, no future address, and no empty host, which RFC 9110, section 4.2.1 forbids for http.
    pub fn parse(raw: &'a [u8]) -> Option<Authority<'a>> {
        let text = std::str::from_utf8(raw).ok()?;
        let (host, rest) = if text.starts_with('[') {
            let (host, rest) = text.split_at_checked(text.find(']')?.checked_add(1)?)?;
            ipv6(host)?;
            (host, rest)
        } else {
            let (host, rest) = text.split_at_checked(text.find(':').unwrap_or(text.len()))?;
            if !is_registered_name(host) {
                return None;
            }
            (host, rest)
        };
        // An empty port after the colon is by the grammar, and is none (RFC 3986, section 3.2.3).
        let port = match rest.strip_prefix(':') {
            Some("") => None,
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Authority { host, port })
    }

    /// The address, if the host is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        ipv6(self.host).map(IpAddr::V6).or_else(|| without_dot(self.host).parse::<Ipv4Addr>().ok().map(IpAddr::V4))
    }

    /// Whether the host is this one. Names are compared without case and without one trailing dot, IPv6 addresses by value.
    fn is_host(&self, other: &str) -> bool {
        without_dot(self.host).eq_ignore_ascii_case(without_dot(other))
            || ipv6(self.host).is_some_and(|one| ipv6(other) == Some(one))
    }
}

fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn port(digits: &str) -> Option<u16> {
    // The standard library's reader takes a plus sign; the grammar does not.
    if digits.len() <= 5 && digits.bytes().all(|digit| digit.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The reg-name of RFC 3986, section 3.2.2, which an IPv4 address is by its looks too.
fn is_registered_name(host: &str) -> bool {
    let mut rest = host.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => match after.split_first_chunk::<2>() {
                Some((digits, after)) if digits.iter().all(u8::is_ascii_hexdigit) => after,
                _ => return false,
            },
            b'-' | b'.' | b'_' | b'~' => after,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => after,
            _ if byte.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    !host.is_empty() && host.len() <= HOST_BYTES_MAX
}

/// What a [`HostList`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct HostRules<'a> {
    /// Where we listen, with the ports that were picked.
    pub listeners: &'a [SocketAddr],
    /// The port a client leaves out: 80, under TLS 443.
    pub default_port: u16,
    /// The machine's name; it and name`.local` pass with the listening ports. For listeners beyond loopback.
    pub machine: Option<&'a str>,
    /// Whether any IP address passes, whatever its port: nobody can rebind one. For listeners beyond loopback.
    pub passes_addresses: bool,
    /// Each `--allow-host`: a host with a port, a host that passes with any port, or `*` for all.
    pub allowed: &'a [String],
}

/// The hosts we answer to.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    passes_all: bool,
    passes_addresses: bool,
    default_port: u16,
    /// The usual spellings of what is on the list: nearly every request is let in by one of these, byte for byte.
    spellings: Vec<Box<[u8]>>,
    listening: Vec<Entry>,
    named: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: String,
    /// `None` for any.
    port: Option<u16>,
}

impl Entry {
    fn admits(&self, host: &Authority<'_>, default_port: u16) -> bool {
        self.port.is_none_or(|port| port == host.port.unwrap_or(default_port)) && host.is_host(&self.host)
    }
}

impl HostList {
    /// Makes the list.
    ///
    /// # Errors
    /// A sentence that names the allowed host that is none.
    pub fn new(rules: HostRules<'_>) -> Result<HostList, String> {
        let mut listening = Vec::new();
        for listener in rules.listeners {
            let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
            match listener.ip() {
                // Not a place one can ask for by name, and a trick to get past guards for 127.0.0.1.
                ip if ip.is_unspecified() => {}
                IpAddr::V4(ip) => hosts.push(ip.to_string()),
                IpAddr::V6(ip) => hosts.push(format!("[{ip}]")),
            }
            if let Some(machine) = rules.machine.map(without_dot).filter(|machine| is_registered_name(machine)) {
                hosts.push(machine.to_ascii_lowercase());
                hosts.push(format!("{}.local", machine.to_ascii_lowercase()));
            }
            for host in hosts {
                let entry = Entry { host, port: Some(listener.port()) };
                if !listening.contains(&entry) {
                    listening.push(entry);
                }
            }
        }
        let mut named = Vec::new();
        for text in rules.allowed.iter().filter(|text| *text != "*") {
            let bracketed = if text.parse::<Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.clone() };
            let Some(Authority { host, port }) = Authority::parse(bracketed.as_bytes()) else {
                return Err(format!("{text:?} is no host; name one as example.org, example.org:8080, [::1] or *"));
            };
            named.push(Entry { host: without_dot(host).to_ascii_lowercase(), port });
        }
        let mut list = HostList {
            passes_all: rules.allowed.iter().any(|text| text == "*"),
            passes_addresses: rules.passes_addresses,
            default_port: rules.default_port,
            spellings: Vec::new(),
            listening,
            named,
        };
        list.spellings = list.spell();
        Ok(list)
    }

    fn spell(&self) -> Vec<Box<[u8]>> {
        let mut spellings = Vec::new();
        for Entry { host, port } in self.listening.iter().chain(&self.named) {
            if let Some(port) = port {
                spellings.push(format!("{host}:{port}").into_bytes().into_boxed_slice());
            }
            if port.is_none_or(|port| port == self.default_port) {
                spellings.push(host.clone().into_bytes().into_boxed_slice());
            }
        }
        spellings
    }

    /// Whether we answer to this host, told as it came. A malformed one is never answered to; that it is malformed, and so
    /// another fault than not being on the list, is for [`Authority::parse`] to say.
    pub fn allows(&self, raw_host: &[u8]) -> bool {
        (self.passes_all && Authority::parse(raw_host).is_some())
            || self.spellings.iter().any(|spelling| **spelling == *raw_host)
            || Authority::parse(raw_host).is_some_and(|host| self.admits(&host))
    }

    fn admits(&self, host: &Authority<'_>) -> bool {
        (self.passes_addresses && host.ip().is_some())
            || self.listening.iter().chain(&self.named).any(|entry| entry.admits(host, self.default_port))
    }

    /// Whether an origin is that of a host somebody named. What passes only by `*`, or because we listen there, does not count.
    fn names(&self, origin: &Origin<'_>) -> bool {
        self.named.iter().any(|entry| entry.admits(&origin.authority, origin.default_port()))
    }
}

/// A web origin (RFC 6454, section 6.2), of http or https.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    is_secure: bool,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(value: &'a [u8]) -> Option<Origin<'a>> {
        let (scheme, authority) = value.split_at_checked(memchr::memmem::find(value, b"://")?)?;
        let is_secure = match scheme {
            scheme if scheme.eq_ignore_ascii_case(b"http") => false,
            scheme if scheme.eq_ignore_ascii_case(b"https") => true,
            _ => return None,
        };
        Some(Origin { is_secure, authority: Authority::parse(authority.strip_prefix(b"://")?)? })
    }

    fn default_port(&self) -> u16 {
        if self.is_secure { 443 } else { 80 }
    }

    fn port(&self) -> u16 {
        self.authority.port.unwrap_or(self.default_port())
    }

    fn is(&self, other: &Origin<'_>) -> bool {
        self.is_secure == other.is_secure && self.port() == other.port() && self.authority.is_host(other.authority.host)
    }
}

/// Whether an `Origin` value is http or https and its host and port are those of this request.
///
/// The scheme may differ, for behind a proxy that ends TLS we do not know ours. So a port that either leaves out is the
/// origin's scheme's.
pub fn same_origin(origin: &[u8], host: &Authority<'_>) -> bool {
    Origin::parse(origin).is_some_and(|origin| {
        origin.port() == host.port.unwrap_or(origin.default_port()) && origin.authority.is_host(host.host)
    })
}

/// Whether a request that changes something, or asks for a WebSocket, comes from another site: it is then refused with 403
/// `cross_site`.
///
/// `host` is the request's authority, of the target or of `Host`; an HTTP/1.0 request may have none. A client that sends
/// neither `Origin` nor `Sec-Fetch-Site` is no browser, so nobody's cookies are misused. `Origin: null` is a sandbox or a
/// trick. A field that stands there twice vouches for nothing.
pub fn is_cross_site(
    headers: &Headers<'_>,
    host: Option<&Authority<'_>>,
    hosts: &HostList,
    cors_origins: &[String],
) -> bool {
    if headers.is_repeated(Field::Origin) || headers.is_repeated(Field::SecFetchSite) {
        return true;
    }
    if let Some(value) = headers.get(Field::Origin) {
        return !(host.is_some_and(|host| same_origin(value, host))
            || Origin::parse(value).is_some_and(|origin| {
                hosts.names(&origin)
                    || cors_origins
                        .iter()
                        .filter_map(|allowed| Origin::parse(allowed.as_bytes()))
                        .any(|allowed| allowed.is(&origin))
            }));
    }
    match headers.get(Field::SecFetchSite) {
        Some(site) => site != b"same-origin" && site != b"none",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn list(listeners: &[&str], allowed: &[&str], beyond: bool, default_port: u16) -> HostList {
        let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        HostList::new(HostRules {
            listeners: &listeners,
            default_port,
            machine: if beyond { Some("Ferry") } else { None },
            passes_addresses: beyond,
            allowed: &strings(allowed),
        })
        .unwrap()
    }

    #[test]
    fn authorities_are_read() {
        for (raw, host, port) in [
            ("localhost", "localhost", None),
            ("LocalHost.:8080", "LocalHost.", Some(8080)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
            ("[2001:DB8::1.2.3.4]", "[2001:DB8::1.2.3.4]", None),
            ("a_b-c~d.example", "a_b-c~d.example", None),
            ("a%41b", "a%41b", None),
            ("a!$&'()*+,;=b", "a!$&'()*+,;=b", None),
            ("a:", "a", None),
            ("a:0080", "a", Some(80)),
            ("300.1.1.1", "300.1.1.1", None),
        ] {
            assert_eq!(Authority::parse(raw.as_bytes()), Some(Authority { host, port }), "{raw}");
        }
    }

    #[test]
    fn what_is_no_authority_is_none() {
        let long = "a".repeat(256);
        for raw in [
            "",
            ":80",
            ":",
            "a b",
            " a",
            "a ",
            "user@a",
            "a:80:80",
            "a:+80",
            "a:-1",
            "a:65536",
            "a:000080",
            "a:8o",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[127.0.0.1]",
            "[localhost]",
            "[::1]80",
            "[::1]a",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v1.a]",
            "[::1]]",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a<b",
            "a%4",
            "a%zz",
            "a\0b",
            "a\tb",
            "münchen.example",
            &long,
        ] {
            assert_eq!(Authority::parse(raw.as_bytes()), None, "{raw}");
        }
        assert_eq!(Authority::parse(b"a\xff"), None);
    }

    #[test]
    fn loopback_listeners_answer_to_loopback_names_with_their_port() {
        let hosts = list(&["127.0.0.1:8080", "[::1]:8080"], &[], false, 80);
        for host in [
            "localhost:8080",
            "LOCALHOST:8080",
            "localhost.:8080",
            "127.0.0.1:8080",
            "127.0.0.1.:8080",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]:8080",
            "localhost:08080",
        ] {
            assert!(hosts.allows(host.as_bytes()), "{host}");
        }
        for host in [
            "localhost",
            "localhost:8081",
            "localhost..:8080",
            "127.0.0.1",
            "127.1:8080",
            "127.0.0.2:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "[::ffff:127.0.0.1]:8080",
            "192.168.1.2:8080",
            "evil.example:8080",
            "localhost.evil.example:8080",
            "ferry:8080",
            "localhost:8080@evil.example",
            "localhost%2e:8080",
            "",
        ] {
            assert!(!hosts.allows(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn beyond_loopback_addresses_and_the_machine_pass_too() {
        let hosts = list(&["0.0.0.0:8080"], &[], true, 80);
        for host in [
            "192.168.1.2:8080",
            "192.168.1.2",
            "192.168.1.2:99",
            "[fe80::1]:8080",
            "ferry:8080",
            "Ferry.local:8080",
            "ferry.local.:8080",
            "localhost:8080",
        ] {
            assert!(hosts.allows(host.as_bytes()), "{host}");
        }
        for host in ["ferry", "ferry:81", "ferry.lan:8080", "evil.example:8080", "1.2.3:8080", "0x7f000001:8080"] {
            assert!(!hosts.allows(host.as_bytes()), "{host}");
        }
        let bound = list(&["192.168.1.2:8080"], &[], false, 80);
        assert!(bound.allows(b"192.168.1.2:8080"));
        assert!(!bound.allows(b"192.168.1.3:8080"));
    }

    #[test]
    fn a_default_port_may_be_left_out() {
        let plain = list(&["127.0.0.1:80"], &["example.org:80"], false, 80);
        let secure = list(&["127.0.0.1:443"], &["example.org:443"], false, 443);
        for host in ["localhost", "127.0.0.1", "[::1]", "LocalHost", "example.org", "example.org."] {
            assert!(plain.allows(host.as_bytes()), "{host}");
            assert!(secure.allows(host.as_bytes()), "{host}");
        }
        assert!(plain.allows(b"localhost:80") && !plain.allows(b"localhost:443"));
        assert!(secure.allows(b"localhost:443") && !secure.allows(b"localhost:80"));
    }

    #[test]
    fn allowed_hosts_pass_with_their_port_or_any() {
        let hosts = list(&["127.0.0.1:8080"], &["Example.org.", "b.example:81", "::2", "[::3]:82"], false, 80);
        for host in ["example.org", "EXAMPLE.org:1", "example.org.:2", "b.example:81", "[::2]:9", "[::3]:82"] {
            assert!(hosts.allows(host.as_bytes()), "{host}");
        }
        for host in ["b.example", "b.example:82", "a.example.org", "[::3]", "[::4]"] {
            assert!(!hosts.allows(host.as_bytes()), "{host}");
        }
        let open = list(&[], &["*"], false, 80);
        assert!(open.allows(b"anything.example"));
    }

    #[test]
    fn a_name_that_is_no_host_is_told() {
        for text in ["", "http://a", "a/b", "a b", "*.example.org:x", "a:99999"] {
            let rules = HostRules {
                listeners: &[],
                default_port: 80,
                machine: None,
                passes_addresses: false,
                allowed: &strings(&[text]),
            };
            assert!(HostList::new(rules).unwrap_err().contains(&format!("{text:?}")));
        }
    }

    #[test]
    fn an_origin_is_ours_when_host_and_port_agree() {
        for (origin, host, expected) in [
            ("http://localhost:8080", "localhost:8080", true),
            ("https://localhost:8080", "localhost:8080", true),
            ("HTTP://LOCALHOST:8080", "localhost.:8080", true),
            ("http://example.org", "example.org", true),
            ("http://example.org", "example.org:80", true),
            ("https://example.org", "example.org", true),
            ("https://example.org", "example.org:443", true),
            ("https://example.org:443", "example.org", true),
            ("http://[::1]:8080", "[0::1]:8080", true),
            ("https://example.org", "example.org:80", false),
            ("http://example.org:81", "example.org", false),
            ("http://localhost:8081", "localhost:8080", false),
            ("http://127.0.0.1:8080", "localhost:8080", false),
            ("http://localhost", "localhost:8080", false),
            ("null", "localhost:8080", false),
            ("", "localhost:8080", false),
            ("localhost:8080", "localhost:8080", false),
            ("ftp://localhost:8080", "localhost:8080", false),
            ("http://localhost:8080/", "localhost:8080", false),
            ("http://user@localhost:8080", "localhost:8080", false),
            ("http://localhost:8080 http://localhost:8080", "localhost:8080", false),
            ("file://", "localhost:8080", false),
        ] {
            let host = Authority::parse(host.as_bytes()).unwrap();
            assert_eq!(same_origin(origin.as_bytes(), &host), expected, "{origin} {host:?}");
        }
    }

    #[test]
    fn other_sites_are_kept_out() {
        let hosts = list(&["127.0.0.1:8080"], &["named.example", "exact.example:81", "*"], false, 80);
        let cors = strings(&["https://app.example", "http://dev.example:3000", "null", "*", "https://slash.example/"]);
        const ORIGIN: &str = "Origin";
        const SITE: &str = "Sec-Fetch-Site";
        for (lines, is_refused) in [
            (&[][..], false),
            (&[(SITE, "same-origin")], false),
            (&[(SITE, "none")], false),
            (&[(SITE, "same-site")], true),
            (&[(SITE, "cross-site")], true),
            (&[(SITE, "")], true),
            (&[(SITE, "Same-Origin")], true),
            (&[(SITE, "same-origin"), (SITE, "same-origin")], true),
            (&[(ORIGIN, "http://localhost:8080")], false),
            (&[(ORIGIN, "https://localhost:8080")], false),
            (&[(ORIGIN, "http://localhost:8080"), (SITE, "same-origin")], false),
            (&[(ORIGIN, "http://localhost:8080"), (SITE, "cross-site")], false),
            (&[(ORIGIN, "http://localhost:8080"), (ORIGIN, "http://localhost:8080")], true),
            (&[(ORIGIN, "http://localhost:8081")], true),
            (&[(ORIGIN, "http://127.0.0.1:8080")], true),
            (&[(ORIGIN, "http://evil.example"), (SITE, "same-origin")], true),
            (&[(ORIGIN, "http://evil.example"), (SITE, "none")], true),
            (&[(ORIGIN, "http://evil.example")], true),
            (&[(ORIGIN, "http://localhost:8080.evil.example")], true),
            (&[(ORIGIN, "null")], true),
            (&[(ORIGIN, "null"), (SITE, "same-origin")], true),
            (&[(ORIGIN, "")], true),
            (&[(ORIGIN, "*")], true),
            (&[(ORIGIN, "https://named.example")], false),
            (&[(ORIGIN, "http://named.example:99")], false),
            (&[(ORIGIN, "ftp://named.example")], true),
            (&[(ORIGIN, "http://sub.named.example")], true),
            (&[(ORIGIN, "http://exact.example:81")], false),
            (&[(ORIGIN, "https://exact.example:81")], false),
            (&[(ORIGIN, "http://exact.example")], true),
            (&[(ORIGIN, "https://app.example")], false),
            (&[(ORIGIN, "https://APP.example:443")], false),
            (&[(ORIGIN, "http://app.example")], true),
            (&[(ORIGIN, "https://app.example:444")], true),
            (&[(ORIGIN, "http://dev.example:3000")], false),
            (&[(ORIGIN, "https://slash.example")], true),
        ] {
            let fields: Vec<_> =
                lines.iter().map(|(name, value)| httparse::Header { name, value: value.as_bytes() }).collect();
            let headers = Headers::new(&fields);
            let host = Authority::parse(b"localhost:8080").unwrap();
            assert_eq!(is_cross_site(&headers, Some(&host), &hosts, &cors), is_refused, "{lines:?}");
        }
        let fields = [httparse::Header { name: ORIGIN, value: b"http://localhost:8080" }];
        assert!(is_cross_site(&Headers::new(&fields), None, &hosts, &cors));
        assert!(!is_cross_site(&Headers::new(&[]), None, &hosts, &cors));
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(raw in proptest::collection::vec(any::<u8>(), 0..40), text in "[a.:\\[\\]0-9%@/]{0,20}") {
            let hosts = list(&["127.0.0.1:8080"], &["example.org"], true, 80);
            for raw in [&raw[..], text.as_bytes()] {
                let _ = hosts.allows(raw);
                if let Some(host) = Authority::parse(raw) {
                    prop_assert!(!host.host.is_empty());
                    let _ = same_origin(raw, &host);
                }
            }
        }

        #[test]
        fn a_page_of_ours_may_always_write(name in "[a-z]{1,9}(\\.[a-z]{1,9})?", port in proptest::option::of(1u16..), is_secure: bool) {
            let host = port.map_or(name.clone(), |port| format!("{name}:{port}"));
            let origin = format!("http{}://{host}", if is_secure { "s" } else { "" });
            prop_assert!(same_origin(origin.as_bytes(), &Authority::parse(host.as_bytes()).unwrap()));
        }

        #[test]
        fn any_address_passes_where_addresses_pass(ip: IpAddr, port in proptest::option::of(any::<u16>())) {
            let hosts = list(&["0.0.0.0:8080"], &[], true, 80);
            let host = match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            let host = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            prop_assert!(hosts.allows(host.as_bytes()));
        }
    }
}
