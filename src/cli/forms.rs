//! Values that have a form of their own: addresses, hosts, origins, networks, prefixes, rooms. Each goes into the [`Config`] in
//! one spelling; what cannot be accepted is answered with a sentence that lacks only the name of the key.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::access::Access;
use crate::config::choices::AccessLog;
use crate::config::listen::{Listen, Network};

/// Networks whose word on who came is believed.
pub fn set_trusted_proxies(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let network = |item: &&str| {
        Network::parse(item).ok_or_else(|| format!("{item:?} is no network; write 10.0.0.0/8, fd00::/8 or an address"))
    };
    config.trusted_proxies = items.iter().map(network).collect::<Result<_, _>>()?;
    Ok(())
}

/// Whom a word lets in.
pub fn access(word: &str) -> Option<Access> {
    [Access::Anyone, Access::User, Access::Operator].into_iter().find(|access| access.word() == word)
}

/// The word for whom something is open to.
pub fn word(access: Access) -> String {
    access.word().to_string()
}

/// Addresses to listen on, each once.
pub fn set_listen(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let mut listen: Vec<Listen> = Vec::new();
    for item in items {
        for one in listen_on(item)? {
            if !listen.iter().any(|other| other.address == one.address) {
                listen.push(one);
            }
        }
    }
    if listen.is_empty() {
        return Err("needs an address with a port, such as 127.0.0.1:8080".to_string());
    }
    config.listen = listen;
    Ok(())
}

fn listen_on(item: &str) -> Result<Vec<Listen>, String> {
    if let Some(port) = item.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(Listen::loopback(port));
    }
    let refused = |_| format!("{item:?} is no address with a port; write 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080");
    item.parse().map(|address| vec![Listen::on(address)]).map_err(refused)
}

/// Paths as they are written.
pub fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

/// Unix sockets to listen on.
pub fn set_unix(config: &mut Config, items: &[&str]) -> Result<(), String> {
    config.unix = items.iter().map(PathBuf::from).collect();
    Ok(())
}

/// Files with certificates.
pub fn set_tls_certs(config: &mut Config, items: &[&str]) -> Result<(), String> {
    config.tls_certs = items.iter().map(PathBuf::from).collect();
    Ok(())
}

/// Files with the keys of certificates.
pub fn set_tls_keys(config: &mut Config, items: &[&str]) -> Result<(), String> {
    config.tls_keys = items.iter().map(PathBuf::from).collect();
    Ok(())
}

/// An address whose only answer is where the encrypted one is.
pub fn set_redirect_http(config: &mut Config, value: &str) -> Result<(), String> {
    let refused = |_| format!("{value:?} is no address with a port; write 0.0.0.0:80 or [::]:80");
    config.redirect_http = Some(value.parse().map_err(refused)?);
    Ok(())
}

/// What stands before every path, without a slash at its end.
pub fn set_path_prefix(config: &mut Config, value: &str) -> Result<(), String> {
    let prefix = value.strip_suffix('/').unwrap_or(value);
    let is_segment = |segment: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(is_plain)
    };
    let is_path = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
    if !prefix.is_empty() && !is_path {
        return Err(format!("{value:?} is no path prefix; write /p or /p/q, in letters, digits and - . _ ~"));
    }
    config.path_prefix = prefix.to_string();
    Ok(())
}

/// `open`, or the names of all rooms there are beside the lobby.
pub fn set_rooms(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let items: Vec<&str> = items.iter().copied().filter(|item| !item.is_empty()).collect();
    if items == ["open"] {
        config.rooms = None;
        return Ok(());
    }
    let fits = |name: &&str| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if let Some(name) = items.iter().find(|name| !fits(name)) {
        return Err(format!("{name:?} is no room; a name has 1 to 32 small letters, digits and hyphens"));
    }
    if items.len() > 255 {
        return Err("there are at most 256 rooms with the lobby".to_string());
    }
    config.rooms = Some(items.iter().map(|name| (*name).to_string()).collect());
    Ok(())
}

/// Extensions, in small letters and without their dot.
pub fn set_attach(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let extension = |item: &&str| {
        let bare = item.strip_prefix('.').unwrap_or(item).to_ascii_lowercase();
        let is_good =
            !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte));
        if is_good { Ok(bare) } else { Err(format!("{item:?} is no extension; write jpg,txt")) }
    };
    config.attach = items.iter().map(extension).collect::<Result<_, _>>()?;
    Ok(())
}

/// Hosts that requests may be for.
pub fn set_allow_hosts(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let host = |item: &&str| {
        if *item == "*" {
            return Ok(item.to_string());
        }
        host_and_port(item).ok_or_else(|| format!("{item:?} is no host; write example.org, example.org:8443 or *"))
    };
    config.allow_hosts = items.iter().map(host).collect::<Result<_, _>>()?;
    Ok(())
}

/// Origins as browsers send them.
pub fn set_cors_origins(config: &mut Config, items: &[&str]) -> Result<(), String> {
    let read = |item: &str| {
        let item = item.to_ascii_lowercase();
        let (scheme, rest) = item.split_once("://")?;
        let default_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let host = host_and_port(rest.strip_suffix('/').unwrap_or(rest))?;
        // Browsers leave a scheme's own port out, and we compare with what they send.
        Some(format!("{scheme}://{}", host.strip_suffix(default_port).unwrap_or(&host)))
    };
    let origin = |item: &&str| {
        read(item).ok_or_else(|| format!("{item:?} is no origin; write https://app.example or http://localhost:3000"))
    };
    config.cors_origins = items.iter().map(origin).collect::<Result<_, _>>()?;
    Ok(())
}

/// `host` or `host:port` in small letters, without the dot that may end a full name.
fn host_and_port(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (text.as_str(), None),
    };
    let host = match host.strip_prefix('[') {
        Some(literal) => {
            let address: std::net::Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
            format!("[{address}]")
        }
        None => {
            let name = host.strip_suffix('.').unwrap_or(host);
            let is_label = |label: &str| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            name.split('.').all(is_label).then(|| name.to_string())?
        }
    };
    Some(match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// Where the access log goes.
pub fn set_access_log(config: &mut Config, value: &str) -> Result<(), String> {
    config.access_log = match value {
        "" => return Err("needs a file, stderr or off".to_string()),
        "off" => AccessLog::Off,
        "stderr" | "-" => AccessLog::Stderr,
        file => AccessLog::File(PathBuf::from(file)),
    };
    Ok(())
}
