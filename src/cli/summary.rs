//! What is told at the start: where we listen, what is open to whom, and what an operator should know.
//!
//! Pure functions of a configuration whose paths are absolute (`folders::resolve`) and of the addresses.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;
use crate::config::access::Access;
use crate::config::choices::{AccessLog, Confinement};
use crate::config::secret::TokenSource;

/// A token of fewer bytes is warned of: with 16 random ones nobody guesses it.
const TOKEN_BYTES_LEAST: usize = 16;

/// The one line that says the server is ready, with the addresses it was given.
pub fn ready(config: &Config, bound: &[SocketAddr]) -> String {
    format!("hythe is ready on {}", places(config, bound).join(" and "))
}

/// What is open to whom, and from which folders: one line each.
pub fn summary(config: &Config, bound: &[SocketAddr], detours: &[SocketAddr]) -> String {
    let near = config.rights();
    let far = config.network_rights();
    let mut lines = vec![format!("listens on {}", places(config, bound).join(" and "))];
    lines.extend(detours.iter().map(|address| format!("redirects from http://{address}/")));
    let mut tell = |is_there: bool, name: &str, near: Access, far: Access, what: &str| {
        let proxied = if near == far { String::new() } else { format!("; through a proxy: {}", far.word()) };
        lines.push(match is_there {
            true => format!("{name:<13}{:<9}{what}{proxied}", near.word()),
            false => format!("{name:<13}off"),
        });
    };
    let (www, uploads) = (config.www.display(), config.uploads.display());
    tell(true, "www-read", near.www_read, far.www_read, &format!("may read the site in {www}"));
    let listing = format!("may list and fetch the files in {uploads}");
    tell(config.has_files, "shared-read", near.shared_read, far.shared_read, &listing);
    tell(config.has_files, "shared-write", near.shared_write, far.shared_write, "may upload files");
    tell(config.has_chat, "chat-read", near.chat_read, far.chat_read, "may read the chat");
    tell(config.has_chat, "chat-write", near.chat_write, far.chat_write, "may write in the chat");
    lines.push(format!("{:<13}{}", "data", config.data.display()));
    lines.push(match config.tokens.len() {
        0 => format!("{:<13}no token is set, so there is no operator over HTTP", "operator"),
        1 => format!("{:<13}whoever holds the token", "operator"),
        several => format!("{:<13}whoever holds one of {several} tokens", "operator"),
    });
    lines.join("\n")
}

/// What keeps the process from the rest of the machine; `landlock` is the version that does.
pub fn confinement(config: &Config, landlock: Option<u32>) -> String {
    let told = match landlock {
        _ if config.sandbox == Confinement::Off => "the process may do what its user may".to_string(),
        None => "this kernel has no Landlock: the process may do what its user may".to_string(),
        Some(version @ 1..=3) => {
            format!("Landlock {version}: the process reaches its own folders only, but may connect elsewhere")
        }
        Some(version) => format!("Landlock {version}: the process reaches its own folders only, and connects nowhere"),
    };
    format!("{:<13}{:<9}{told}", "sandbox", config.sandbox.word())
}

/// What is allowed and yet seldom meant: one sentence each.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for token in &config.tokens {
        let (given, better) = match token.source {
            TokenSource::CommandLine => ("--token", "others on this machine can see it; use --token-file"),
            TokenSource::Environment => ("HYTHE_OPERATOR_TOKEN", ""),
            TokenSource::File => ("the token file", ""),
        };
        if !better.is_empty() {
            warnings.push(format!("the operator's token is on the command line, where {better}"));
        }
        if token.secret.len() < TOKEN_BYTES_LEAST {
            warnings.push(format!(
                "the operator's token from {given} has under {TOKEN_BYTES_LEAST} bytes; it can be guessed"
            ));
        }
        if !token.secret.is_sendable() {
            warnings.push(format!(
                "the operator's token from {given} cannot be sent in a header: it has other than visible ASCII characters"
            ));
        }
    }
    let access_log = match &config.access_log {
        AccessLog::File(path) => Some(path),
        AccessLog::Off | AccessLog::Stderr => None,
    };
    for (what, file) in [
        ("access log", access_log),
        ("log", config.log_file.as_ref()),
        ("token file", config.token_file.as_ref()),
        ("private key", config.tls_keys.iter().find(|key| served_folder(config, key).is_some())),
        ("configuration file", config.config_file.as_ref()),
    ] {
        if let Some((file, folder)) = file.and_then(|file| Some((file, served_folder(config, file)?))) {
            warnings.push(format!("the {what} {} lies in the folder {folder}, which clients can read", file.display()));
        }
    }
    if config.allows_any_host() {
        warnings.push("allow-host * lets every host pass, so that DNS rebinding is not stopped".to_string());
    }
    if !config.has_loopback_defaults() {
        let rights = config.rights();
        if config.has_files && rights.shared_write == Access::Anyone {
            warnings.push("shared-write anyone lets the whole network fill the disk".to_string());
        }
        if config.has_chat && rights.chat_write == Access::Anyone {
            warnings.push("chat-write anyone lets the whole network write in the chat".to_string());
        }
    }
    warnings
}

fn places(config: &Config, bound: &[SocketAddr]) -> Vec<String> {
    let scheme = if config.is_encrypted() { "https" } else { "http" };
    let prefix = &config.path_prefix;
    let addresses = bound.iter().map(|address| format!("{scheme}://{address}{prefix}/"));
    addresses.chain(config.unix.iter().map(|path| format!("unix:{}", path.display()))).collect()
}

/// The folder that clients can read and `file` lies in.
fn served_folder(config: &Config, file: &Path) -> Option<&'static str> {
    if file.starts_with(&config.www) {
        Some("www")
    } else {
        (config.has_files && file.starts_with(&config.uploads)).then_some("uploads")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::access::Switches;
    use crate::config::listen::Listen;
    use crate::config::secret::{OperatorToken, Secret};

    fn resolved() -> Config {
        let config = Config {
            www: "/srv/www".into(),
            uploads: "/srv/uploads".into(),
            data: "/srv/data".into(),
            ..Config::default()
        };
        Config { has_accounts: true, has_chat: true, has_files: true, ..config }
    }

    fn bound(config: &Config) -> Vec<SocketAddr> {
        config.listen.iter().map(|listen| listen.address).collect()
    }

    fn token(text: &str, source: TokenSource) -> OperatorToken {
        OperatorToken { secret: Secret::new(text), source }
    }

    #[test]
    fn the_ready_line_has_the_addresses_and_is_one_line() {
        let line = ready(&Config::default(), &bound(&Config::default()));
        assert_eq!(line, "hythe is ready on http://127.0.0.1:8080/ and http://[::1]:8080/");
        let below = Config { path_prefix: "/p".to_owned(), ..Config::default() };
        let line = ready(&below, &bound(&below));
        assert_eq!(line, "hythe is ready on http://127.0.0.1:8080/p/ and http://[::1]:8080/p/");
    }

    #[test]
    fn each_switch_is_told_with_the_value_in_force() {
        let near = resolved();
        assert_eq!(
            summary(&near, &bound(&near), &[]),
            "listens on http://127.0.0.1:8080/ and http://[::1]:8080/\n\
             www-read     anyone   may read the site in /srv/www\n\
             shared-read  anyone   may list and fetch the files in /srv/uploads\n\
             shared-write anyone   may upload files; through a proxy: user\n\
             chat-read    anyone   may read the chat\n\
             chat-write   anyone   may write in the chat; through a proxy: user\n\
             data         /srv/data\n\
             operator     no token is set, so there is no operator over HTTP"
        );
        let far = Config {
            listen: vec![Listen::on("0.0.0.0:80".parse().unwrap())],
            access: Switches { shared_read: Some(Access::Operator), ..Switches::default() },
            has_chat: false,
            tokens: vec![token("x", TokenSource::File)],
            ..resolved()
        };
        let text = summary(&far, &bound(&far), &[]);
        for line in [
            "listens on http://0.0.0.0:80/",
            "shared-read  operator may list",
            "shared-write user     may upload files\n",
            "chat-read    off\n",
            "operator     whoever holds the token",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("proxy"), "{text}");
    }

    #[test]
    fn the_defaults_are_warned_of_nothing() {
        assert_eq!(warnings(&resolved()), [] as [&str; 0]);
    }

    #[test]
    fn what_is_seldom_meant_is_warned_of_and_no_token_is_shown() {
        let anyone = Some(Access::Anyone);
        let long = "0123456789abcdef";
        for (config, says) in [
            (
                Config { tokens: vec![token(long, TokenSource::CommandLine)], ..resolved() },
                &["is on the command line"][..],
            ),
            (
                Config { tokens: vec![token(&long[1..], TokenSource::CommandLine)], ..resolved() },
                &["is on the command line", "--token has under 16 bytes"],
            ),
            (Config { tokens: vec![token(long, TokenSource::Environment)], ..resolved() }, &[]),
            (
                Config { tokens: vec![token("a token of two\nlines", TokenSource::File)], ..resolved() },
                &["cannot be sent in a header"],
            ),
            (
                Config { access_log: AccessLog::File("/srv/www/a.log".into()), ..resolved() },
                &["access log /srv/www/a.log"],
            ),
            (Config { access_log: AccessLog::File("/srv/www2/a.log".into()), ..resolved() }, &[]),
            (Config { log_file: Some("/srv/uploads/log".into()), ..resolved() }, &["in the folder uploads"]),
            (Config { log_file: Some("/srv/uploads/log".into()), has_files: false, ..resolved() }, &[]),
            (Config { token_file: Some("/srv/www/t".into()), ..resolved() }, &["token file /srv/www/t"]),
            (Config { config_file: Some("/srv/www/h.toml".into()), ..resolved() }, &["configuration file"]),
            (Config { allow_hosts: vec!["*".to_string()], ..resolved() }, &["DNS rebinding"]),
            (
                Config {
                    listen: vec![Listen::on("0.0.0.0:80".parse().unwrap())],
                    access: Switches { shared_write: anyone, chat_write: anyone, ..Switches::default() },
                    ..resolved()
                },
                &["shared-write anyone", "chat-write anyone"],
            ),
        ] {
            let warnings = warnings(&config);
            assert_eq!(warnings.len(), says.len(), "{warnings:?}");
            for (warning, says) in warnings.iter().zip(says) {
                assert!(warning.contains(says) && !warning.contains("0123456789"), "{warning}");
            }
        }
    }
}
