//! `hythe check`: the configuration that would be in force, as a file that could be used, each value with its source.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::cli::key::{Key, Layer};
use crate::cli::layers::Settled;
use crate::cli::options;
use crate::cli::summary;
use crate::config::Config;
use crate::config::secret::TokenSource;

/// Everything `hythe check` prints: the values, then, as comments, what they come to. `resolved` is the same
/// configuration with absolute paths.
pub fn report(settled: &Settled, resolved: &Config) -> String {
    let mut text = String::from("# What is in force; each value with the place it comes from.\n");
    for group in options::GROUPS {
        let _ = write!(text, "\n# {}\n", group.title);
        for key in group.keys {
            let source = source(settled.layer(key), key);
            let mut line = line(key, &settled.config);
            // What follows from other keys, and is another for who comes through a proxy, is told but not set: a file that
            // said it would open to the network what is open to this machine.
            if key.name.ends_with("-write") && settled.layer(key) == Layer::Default {
                line = format!("# {line}");
            }
            let _ = writeln!(text, "{line:<44} # {source}");
        }
    }
    let addresses: Vec<SocketAddr> = resolved.listen.iter().map(|listen| listen.address).collect();
    text.push('\n');
    let detours: Vec<_> = resolved.redirect_http.into_iter().collect();
    for line in summary::summary(resolved, &addresses, &detours).lines() {
        let _ = writeln!(text, "# {line}");
    }
    text
}

fn line(key: &Key, config: &Config) -> String {
    let name = key.name;
    if name == "token" {
        let sources: Vec<_> = config.tokens.iter().map(|token| place(token.source)).collect();
        return format!("# token: {}", if sources.is_empty() { "none".to_string() } else { sources.join(", ") });
    }
    let values = match access_in_force(key, config) {
        Some(word) => vec![word.to_string()],
        None => key.show(config),
    };
    if key.is_list() {
        let quoted: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        return format!("{name} = [{}]", quoted.join(", "));
    }
    match values.first() {
        None => format!("# {name}: none"),
        Some(value) if !key.is_for_files() => format!("# {name}: {value}"),
        Some(value) if key.is_count() || key.is_switch() => format!("{name} = {value}"),
        Some(value) => format!("{name} = {}", quoted(value)),
    }
}

/// A switch of access that nobody set still has a value.
fn access_in_force(key: &Key, config: &Config) -> Option<&'static str> {
    let rights = config.rights();
    let access = match key.name {
        "www-read" => rights.www_read,
        "shared-read" => rights.shared_read,
        "shared-write" => rights.shared_write,
        "chat-read" => rights.chat_read,
        "chat-write" => rights.chat_write,
        _ => return None,
    };
    Some(access.word())
}

fn source(layer: Layer, key: &Key) -> String {
    match layer {
        Layer::Default => "default".to_string(),
        Layer::File => "file".to_string(),
        Layer::Environment => key.variable(),
        Layer::Flag => "command line".to_string(),
    }
}

fn place(source: TokenSource) -> &'static str {
    match source {
        TokenSource::CommandLine => "one from the command line",
        TokenSource::Environment => "one from HYTHE_OPERATOR_TOKEN",
        TokenSource::File => "one from the token file",
    }
}

/// A TOML string; it has the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::{self, Heard};
    use crate::cli::layers::{self, World};
    use std::ffi::OsString;

    fn settled(line: &str, file: &str) -> Settled {
        let arguments = std::iter::once("hythe").chain(line.split_whitespace()).map(OsString::from);
        let Ok(Heard::Words(words)) = command::hear(arguments) else { panic!("{line}") };
        let variables = [("HYTHE_KEEPALIVE".into(), "1m".into()), ("HYTHE_OPERATOR_TOKEN".into(), "hush-hush".into())];
        let read = |_: &std::path::Path| Ok(file.as_bytes().to_vec());
        layers::settle(&words, &World { variables: &variables, read: &read }).unwrap()
    }

    #[test]
    fn each_value_is_told_with_its_source_and_no_token_is() {
        let settled = settled("--config h.toml --headers 7", "drain = 1");
        let report = report(&settled, &settled.config);
        for (value, source) in [
            ("headers = 7", "command line"),
            ("keepalive = \"1m\"", "HYTHE_KEEPALIVE"),
            ("drain = \"1s\"", "file"),
            ("# shared-write = \"anyone\"", "default"),
            ("attach = [\"jpg\", \"jpeg\", \"txt\"]", "default"),
            ("list = false", "default"),
            ("# config: h.toml", "command line"),
            ("# token: one from HYTHE_OPERATOR_TOKEN", "HYTHE_OPERATOR_TOKEN"),
        ] {
            let line =
                report.lines().find(|line| line.starts_with(value)).unwrap_or_else(|| panic!("{value}\n{report}"));
            assert!(line.ends_with(&format!("# {source}")), "{line}");
        }
        assert!(!report.contains("hush"), "{report}");
    }

    #[test]
    fn the_report_is_a_file_that_gives_the_same_configuration() {
        let before = settled("--send-rate 5/min --www a\"b --list --chat-read user --upload-limit 0", "");
        let after = settled("--config h.toml", &report(&before, &before.config));
        assert_eq!(before.config.network_rights(), after.config.network_rights());
        for key in options::keys().filter(|key| key.is_for_files()) {
            let of = |settled: &Settled| line(key, &settled.config);
            assert_eq!(of(&before), of(&after));
        }
    }
}
