//! What is put into a request's first line: paths and queries, escaped; and the server's own address, taken apart.

use std::fmt::Write;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ureq::http::Uri;

use crate::cli::client::failure::Failure;

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the server is when nobody says.
pub const DEFAULT_URL: &str = "http://localhost:8080";

/// Whom to take for the server, where it is encrypted.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Whoever the authorities in this file vouch for.
    pub ca: Option<PathBuf>,
    /// The one certificate with this SHA-256.
    pub pin: Option<String>,
}

/// A server's address: scheme, host, port and prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    scheme: String,
    authority: String,
    prefix: String,
}

impl Base {
    /// Takes a URL apart. A secret in it is refused, for it would stand on the command line and in the state folder.
    ///
    /// # Errors
    /// If it is no URL of a server.
    pub fn read(url: &str) -> Result<Base, Failure> {
        let refused = |why: &str| Failure::usage(format!("{url:?} {why}"));
        let url = url.trim();
        let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = whole.parse().map_err(|_| refused("is no URL; write http://host:8080"))?;
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default();
        match scheme.as_str() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return Err(refused("asks for TLS, which this build does not have")),
            _ => return Err(refused("is no URL of a server; write http://host:8080")),
        }
        if authority.is_empty() || uri.host().is_none_or(str::is_empty) {
            return Err(refused("names no host; write http://host:8080"));
        }
        if authority.contains('@') {
            return Err(Failure::usage("a URL is no place for a secret; sign in, or use HYTHE_TOKEN"));
        }
        if uri.query().is_some() {
            return Err(refused("has a query, which a server's address has not"));
        }
        Ok(Base { scheme, authority, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The address as a person writes it, and as it is remembered.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.prefix)
    }

    /// The URL of a target that begins with a slash.
    pub fn join(&self, target: &str) -> String {
        format!("{}{target}", self.url())
    }

    /// The URL for a WebSocket.
    pub fn socket(&self, target: &str) -> String {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        format!("{scheme}://{}{}{target}", self.authority, self.prefix)
    }

    /// Host and port to connect to.
    pub fn host_and_port(&self) -> String {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        match self.is_secure() {
            _ if has_port => self.authority.clone(),
            true => format!("{}:443", self.authority),
            false => format!("{}:80", self.authority),
        }
    }

    /// The host by itself.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => &self.authority,
        }
    }

    /// Whether it is spoken to encrypted.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether the server is this machine, where no proxy stands between.
    pub fn is_near(&self) -> bool {
        let host = self.host_and_port();
        let host = host.rsplit_once(':').map_or("", |(host, _)| host);
        host == "localhost" || host.starts_with("127.") || host == "[::1]"
    }

    /// The path that the server meant by an address it gave: without its prefix.
    pub fn without_prefix<'t>(&self, target: &'t str) -> &'t str {
        let path = target.strip_prefix(&format!("{}://{}", self.scheme, self.authority)).unwrap_or(target);
        path.strip_prefix(&self.prefix).unwrap_or(path)
    }
}

/// A route and a path behind it, segment by segment: `("/files", "a b/c")` is `/files/a%20b/c`.
pub fn path(route: &str, path: &str) -> String {
    let mut target = route.to_owned();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        target.push('/');
        let _ = write!(target, "{}", utf8_percent_encode(segment, RESERVED));
    }
    target
}

/// The path that stands in a target of ours behind `route`.
pub fn path_of(target: &str, route: &str) -> Option<String> {
    let rest = target.split('?').next().unwrap_or_default().strip_prefix(route)?;
    Some(percent_decode_str(rest.trim_start_matches('/')).decode_utf8().ok()?.into_owned())
}

/// A target with its query; parameters without a value are left out.
pub fn with_query(target: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut whole = target.to_owned();
    let mut before = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            let _ = write!(whole, "{before}{name}={}", utf8_percent_encode(value, RESERVED));
            before = '&';
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_brought_into_one_form() {
        for (url, kept) in [
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://Example.ORG/", "http://example.org"),
            ("example.org:81/p/q/", "http://example.org:81/p/q"),
            ("HTTP://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(Base::read(url).unwrap().url(), kept);
        }
        for (url, socket, connect) in
            [("http://[::1]", "ws://[::1]/ws", "[::1]:80"), ("http://a:81/p", "ws://a:81/p/ws", "a:81")]
        {
            let base = Base::read(url).unwrap();
            assert_eq!((base.socket("/ws").as_str(), base.host_and_port().as_str()), (socket, connect));
        }
        #[cfg(feature = "tls")]
        for (url, socket, connect, host) in [
            ("https://[::1]", "wss://[::1]/ws", "[::1]:443", "[::1]"),
            ("HTTPS://A:81/p", "wss://a:81/p/ws", "a:81", "a"),
        ] {
            let base = Base::read(url).unwrap();
            assert_eq!(
                (base.socket("/ws").as_str(), base.host_and_port().as_str(), base.host()),
                (socket, connect, host)
            );
        }
        #[cfg(not(feature = "tls"))]
        assert!(Base::read("https://a").unwrap_err().sentence.contains("TLS"));
        assert!(Base::read("http://127.0.0.2:1").unwrap().is_near());
        assert!(!Base::read("http://localhost.example:1").unwrap().is_near());
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for (url, says) in [
            ("", "is no URL"),
            ("ftp://a", "is no URL of a server"),
            ("http://ada:secret@a", "no place for a secret"),
            ("http://a/?x=1", "has a query"),
            ("http://a b", "is no URL"),
        ] {
            let failure = Base::read(url).unwrap_err();
            assert!(failure.sentence.contains(says), "{url}: {}", failure.sentence);
            assert_eq!(failure.ending.code(), 2);
        }
    }

    #[test]
    fn paths_and_queries_are_escaped_and_read_back() {
        assert_eq!(path("/files", "/a b//ü?#%/~ada"), "/files/a%20b/%C3%BC%3F%23%25/~ada");
        assert_eq!(path_of("/files/a%20b/%C3%BC?x", "/files").unwrap(), "a b/ü");
        assert_eq!(with_query("/x", &[("a", None), ("b", Some("1&2")), ("c", Some(""))]), "/x?b=1%262&c=");
        let base = Base::read("http://a:81/p").unwrap();
        assert_eq!(base.without_prefix("http://a:81/p/tus/1"), "/tus/1");
        assert_eq!(base.without_prefix("/p/tus/1"), "/tus/1");
        assert_eq!(base.without_prefix("/tus/1"), "/tus/1");
    }
}
