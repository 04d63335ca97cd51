//! Any bytes as a host and an origin: what is read can be written and read again, and nobody is let in by accident.
#![no_main]

use hythe::http::headers::Headers;
use hythe::http::host::{Authority, HostList, HostRules, is_cross_site, same_origin};
use libfuzzer_sys::fuzz_target;

fn list(allowed: &[&str], passes_addresses: bool) -> HostList {
    let allowed: Vec<String> = allowed.iter().map(|&host| host.to_owned()).collect();
    let listeners = ["127.0.0.1:8080".parse().expect("an address")];
    HostList::new(HostRules {
        listeners: &listeners,
        default_port: 80,
        machine: passes_addresses.then_some("ferry"),
        passes_addresses,
        allowed: &allowed,
    })
    .expect("good hosts")
}

fuzz_target!(|raw: &[u8]| {
    let authority = Authority::parse(raw);
    let narrow = list(&["example.org", "exact.example:81"], false);
    let wide = list(&["*"], true);
    assert_eq!(wide.allows(raw), authority.is_some(), "a star lets in what is a host, and nothing else");
    assert!(!narrow.allows(raw) || wide.allows(raw));
    if let Some(host) = authority {
        let port = host.port.map_or(String::new(), |port| format!(":{port}"));
        let again = format!("{}{port}", host.host);
        assert_eq!(Authority::parse(again.as_bytes()), Some(host));
        assert!(again.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\\"<>".contains(&byte)), "{again}");
        assert_eq!(narrow.allows(raw), narrow.allows(again.as_bytes()));
        if narrow.allows(raw) {
            let lowered = host.host.to_ascii_lowercase();
            let bare = lowered.strip_suffix('.').unwrap_or(&lowered);
            let is_ours = ["localhost", "127.0.0.1", "example.org", "exact.example"].contains(&bare);
            assert!(is_ours || host.ip().is_some_and(|ip| ip.is_loopback()), "{again} is let in");
        }
        for scheme in ["http", "https"] {
            assert!(same_origin(format!("{scheme}://{again}").as_bytes(), &host), "{again} is itself");
        }
        let fields = [httparse::Header { name: "Origin", value: raw }];
        assert!(is_cross_site(&Headers::new(&fields), Some(&host), &narrow, &[]), "a host is no origin");
    }
    let ours = Authority::parse(b"localhost:8080").expect("a host");
    let fields = [httparse::Header { name: "Origin", value: raw }];
    let headers = Headers::new(&fields);
    let passes = !is_cross_site(&headers, Some(&ours), &narrow, &["https://app.example".to_owned()]);
    if passes {
        let text = std::str::from_utf8(raw).expect("an origin is text").to_ascii_lowercase();
        assert!(text.starts_with("http://") || text.starts_with("https://"), "{text} passes");
    }
    let _ = HostList::new(HostRules {
        listeners: &[],
        default_port: 80,
        machine: std::str::from_utf8(raw).ok(),
        passes_addresses: false,
        allowed: &[String::from_utf8_lossy(raw).into_owned()],
    });
});
