//! Flag over environment over file over default: from what was said in each place to one configuration.
//!
//! The layers are laid on one another from the lowest to the highest, so that a mistake is told even where a higher
//! layer covers it. Nothing here reads the process's own environment or files: both are handed in, so that a reload
//! and a test come the same way as the start.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::command::Words;
use crate::cli::exit::Mistake;
use crate::cli::key::{Key, Layer};
use crate::cli::options;
use crate::config::Config;
use crate::config::listen::Listen;
use crate::config::secret::{OperatorToken, Secret, TokenSource};

/// Variables that begin with HYTHE_ and belong to the client.
const CLIENT_VARIABLES: [&str; 5] = ["HYTHE_URL", "HYTHE_TOKEN", "HYTHE_PASSWORD_FILE", "HYTHE_CA", "HYTHE_PIN"];

/// What there is to read, beside the command line.
pub struct World<'a> {
    /// The environment's variables.
    pub variables: &'a [(OsString, OsString)],
    /// How a file is read.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// A configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What holds.
    pub config: Config,
    /// What is odd, though not wrong: one sentence each.
    pub warnings: Vec<String>,
    layers: HashMap<&'static str, Layer>,
}

impl Settled {
    /// Which layer the value of a key came from.
    pub fn layer(&self, key: &Key) -> Layer {
        self.layers.get(key.name).copied().unwrap_or_default()
    }

    fn set(&mut self, key: &Key, values: &[OsString], layer: Layer) -> Result<(), String> {
        key.set(&mut self.config, values, layer)?;
        self.layers.insert(key.name, layer);
        Ok(())
    }
}

/// Brings all layers together.
pub fn settle(words: &Words, world: &World<'_>) -> Result<Settled, Mistake> {
    let mut settled = Settled { config: Config::default(), warnings: Vec::new(), layers: HashMap::new() };
    if let Some(path) = config_file(words, world) {
        lay_file(&mut settled, &path, world)?;
    }
    lay_environment(&mut settled, world.variables)?;
    lay_flags(&mut settled, words)?;
    read_token_file(&mut settled, world)?;
    settled.config.leave_out();
    Ok(settled)
}

/// The file has to be known before the layers above it are laid.
fn config_file(words: &Words, world: &World<'_>) -> Option<PathBuf> {
    let flag = words.flags.iter().find(|(name, _)| *name == "config").and_then(|(_, values)| values.first());
    let variable = || world.variables.iter().find(|(name, value)| name == "HYTHE_CONFIG" && !value.is_empty());
    flag.or_else(|| variable().map(|(_, value)| value)).map(PathBuf::from)
}

fn lay_file(settled: &mut Settled, path: &Path, world: &World<'_>) -> Result<(), Mistake> {
    // An empty variable says nothing, so this was the flag.
    if path.as_os_str().is_empty() {
        return Err(Mistake::usage("--config: needs a path"));
    }
    let shown = path.display();
    let bytes = (world.read)(path)
        .map_err(|error| Mistake::configuration(format!("cannot read the configuration file {shown}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Mistake::configuration(format!("{shown} is not UTF-8")))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = 1 + before.matches('\n').count();
        let message = error.message().replace('\n', ", ");
        Mistake::configuration(format!("{shown}, line {line}, is not TOML: {message}"))
    })?;
    for (name, value) in &table {
        let wrong = |what: String| Mistake::configuration(format!("{shown}: {name} {what}"));
        let key = options::find(name).filter(|_| !value.is_table()).ok_or_else(|| match value {
            toml::Value::Table(_) => wrong("is a section; there are none, every key stands by itself".to_string()),
            _ => {
                let names = options::keys().filter(|key| key.is_for_files()).map(|key| key.name);
                let nearest = options::nearest(&name.replace('_', "-"), names).expect("there are keys");
                wrong(format!("is no key; the nearest is {nearest}"))
            }
        })?;
        if !key.is_for_files() {
            let instead = if key.name == "token" { "; name a file by token-file" } else { "" };
            return Err(wrong(format!("cannot stand in a configuration file{instead}")));
        }
        if settled.layer(key) == Layer::File {
            return Err(wrong("is there twice, with hyphens and with underscores".to_string()));
        }
        let values = file_values(key, value).map_err(wrong)?;
        settled.set(key, &values, Layer::File).map_err(|why| wrong(format!("= {why}")))?;
    }
    Ok(())
}

fn file_values(key: &Key, value: &toml::Value) -> Result<Vec<OsString>, String> {
    match value {
        toml::Value::String(text) => Ok(vec![text.into()]),
        toml::Value::Integer(number) => Ok(vec![number.to_string().into()]),
        toml::Value::Boolean(is_on) if key.is_switch() => Ok(vec![is_on.to_string().into()]),
        toml::Value::Array(items) if key.is_list() => {
            let item = |item: &toml::Value| item.as_str().map(OsString::from).ok_or("may list texts only");
            Ok(items.iter().map(item).collect::<Result<_, _>>()?)
        }
        other => Err(format!("is of type {}; write it in quotes", other.type_str())),
    }
}

fn lay_environment(settled: &mut Settled, variables: &[(OsString, OsString)]) -> Result<(), Mistake> {
    let mut strange = Vec::new();
    for (variable, value) in variables {
        let Some(name) = variable.to_str().filter(|name| name.starts_with("HYTHE_")) else { continue };
        match options::keys().find(|key| key.variable() == name) {
            // An empty variable is one that was switched off.
            Some(_) if value.is_empty() => {}
            Some(key) => settled
                .set(key, std::slice::from_ref(value), Layer::Environment)
                .map_err(|why| Mistake::configuration(format!("{name}: {why}")))?,
            None if CLIENT_VARIABLES.contains(&name) => {}
            None => strange.push(name),
        }
    }
    strange.sort_unstable();
    if let [first, ..] = strange[..] {
        let known: Vec<_> = options::keys().map(Key::variable).collect();
        let nearest = options::nearest(first, known.iter().map(String::as_str)).expect("there are keys");
        let list = strange.join(", ");
        settled
            .warnings
            .push(format!("nothing reads {list} from the environment; the nearest to {first} is {nearest}"));
    }
    Ok(())
}

fn lay_flags(settled: &mut Settled, words: &Words) -> Result<(), Mistake> {
    if let Some(port) = words.port {
        settled.config.listen = Listen::loopback(port);
        settled.layers.insert("listen", Layer::Flag);
    }
    for (name, values) in &words.flags {
        let key = options::find(name).expect("flags are made from the table");
        settled.set(key, values, Layer::Flag).map_err(|why| Mistake::usage(format!("--{name}: {why}")))?;
    }
    Ok(())
}

fn read_token_file(settled: &mut Settled, world: &World<'_>) -> Result<(), Mistake> {
    let Some(path) = settled.config.token_file.clone() else { return Ok(()) };
    let shown = path.display();
    let bytes = (world.read)(&path)
        .map_err(|error| Mistake::configuration(format!("cannot read the token file {shown}: {error}")))?;
    let secret = Secret::new(bytes.trim_ascii());
    if secret.is_empty() {
        settled.warnings.push(format!("the token file {shown} is empty, so it gives no token"));
    } else {
        settled.config.tokens.push(OperatorToken { secret, source: TokenSource::File });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::{self, Heard};

    /// What is settled by a command line, an environment and files.
    fn settle_all(line: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Settled, Mistake> {
        let arguments = std::iter::once("hythe").chain(line.split_whitespace()).map(OsString::from);
        let Heard::Words(words) = command::hear(arguments)? else { panic!("no words in {line}") };
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let read = |path: &Path| match files.iter().find(|(name, _)| Path::new(name) == path) {
            Some((_, text)) => Ok(text.as_bytes().to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        settle(&words, &World { variables: &variables, read: &read })
    }

    fn settled_by_file(text: &str) -> Result<Settled, Mistake> {
        settle_all("--config h.toml", &[], &[("h.toml", text)])
    }

    #[test]
    fn flag_goes_before_environment_before_file_before_default() {
        let variable = ("HYTHE_HEADER_TIMEOUT", "2s");
        let file = ("h.toml", "header-timeout = \"3s\"");
        let key = options::find("header-timeout").unwrap();
        for (line, variables, files, ms, layer) in [
            ("", vec![], vec![], 10_000, Layer::Default),
            ("--config h.toml", vec![], vec![file], 3000, Layer::File),
            ("--config h.toml", vec![variable], vec![file], 2000, Layer::Environment),
            ("--config h.toml --header-timeout 1s", vec![variable], vec![file], 1000, Layer::Flag),
            ("--header-timeout 1s", vec![], vec![], 1000, Layer::Flag),
        ] {
            let settled = settle_all(line, &variables, &files).unwrap();
            assert_eq!(settled.config.limits.header_timeout_ms, ms, "{line} {variables:?}");
            assert_eq!(settled.layer(key), layer, "{line} {variables:?}");
        }
    }

    #[test]
    fn a_list_replaces_the_list_below_it() {
        let settled = settle_all(
            "--config h.toml --attach pdf,zip --attach gz",
            &[("HYTHE_ALLOW_HOST", "b.example,c.example")],
            &[("h.toml", "attach = [\"a\"]\nallow_host = [\"a.example\"]")],
        )
        .unwrap();
        assert_eq!(settled.config.attach, ["pdf", "zip", "gz"]);
        assert_eq!(settled.config.allow_hosts, ["b.example", "c.example"]);
    }

    #[test]
    fn a_port_stands_for_the_default_addresses_above_every_other_layer() {
        let settled = settle_all("9000", &[("HYTHE_LISTEN", "0.0.0.0:80")], &[]).unwrap();
        assert_eq!(settled.config.listen, Listen::loopback(9000));
        assert_eq!(settled.layer(options::find("listen").unwrap()), Layer::Flag);
    }

    #[test]
    fn a_switch_that_a_file_sets_can_be_undone() {
        let file = ("h.toml", "list = true\nno_chat = true");
        assert!(settle_all("--config h.toml", &[], &[file]).unwrap().config.lists_folders);
        let settled = settle_all("--config h.toml --list=false", &[("HYTHE_NO_CHAT", "0")], &[file]).unwrap();
        assert!(!settled.config.lists_folders);
        assert_eq!(settled.config.has_chat, cfg!(feature = "chat"));
    }

    #[test]
    fn a_file_may_write_a_key_with_hyphens_or_underscores_and_a_number_bare() {
        let settled =
            settled_by_file("header-timeout = 5\njson_limit = 1000\nsend-rate = 0\nlisten = \"[::1]:1\"").unwrap();
        assert_eq!(settled.config.limits.header_timeout_ms, 5000);
        assert_eq!(settled.config.limits.json_limit_bytes, 1000);
        assert!(settled.config.limits.send_rate.is_off());
        assert_eq!(settled.config.listen.len(), 1);
        assert_eq!(settled.config.config_file, Some("h.toml".into()));
    }

    #[test]
    fn the_file_may_be_named_by_the_environment_and_the_flag_goes_before() {
        let files = [("a.toml", "headers = 1"), ("b.toml", "headers = 2")];
        let by_variable = settle_all("", &[("HYTHE_CONFIG", "a.toml")], &files).unwrap();
        let by_both = settle_all("--config b.toml", &[("HYTHE_CONFIG", "a.toml")], &files).unwrap();
        assert_eq!((by_variable.config.limits.headers, by_both.config.limits.headers), (1, 2));
    }

    #[test]
    fn every_token_that_is_not_empty_will_do_and_each_knows_its_source() {
        let settled = settle_all(
            "--token first",
            &[("HYTHE_OPERATOR_TOKEN", "second"), ("HYTHE_TOKEN_FILE", "t"), ("HYTHE_TOKEN", "a client's")],
            &[("t", "  third\n")],
        )
        .unwrap();
        let has = |text: &str, source| {
            settled.config.tokens.iter().any(|token| token.secret.matches(text.as_bytes()) && token.source == source)
        };
        assert_eq!(settled.config.tokens.len(), 3);
        assert!(has("first", TokenSource::CommandLine));
        assert!(has("second", TokenSource::Environment));
        assert!(has("third", TokenSource::File));
        assert_eq!(settled.warnings, [] as [&str; 0]);
    }

    #[test]
    fn an_empty_token_file_is_warned_of() {
        let settled = settle_all("--token-file t", &[], &[("t", "\n")]).unwrap();
        assert!(settled.config.tokens.is_empty());
        assert!(settled.warnings[0].contains("is empty"));
    }

    #[test]
    fn unknown_variables_are_one_warning_and_empty_ones_say_nothing() {
        let variables =
            [("HYTHE_LISEN", "x"), ("HYTHE_FOO", "x"), ("HYTHE_URL", "x"), ("HYTHE_WWW", ""), ("PATH", "x")];
        let settled = settle_all("", &variables, &[]).unwrap();
        let expected = "nothing reads HYTHE_FOO, HYTHE_LISEN from the environment; the nearest to HYTHE_FOO is ";
        assert_eq!(settled.warnings.len(), 1);
        assert!(settled.warnings[0].starts_with(expected), "{:?}", settled.warnings);
        assert_eq!(settled.config, Config::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_the_exit_code_of_its_place() {
        let file = |text| settled_by_file(text).unwrap_err();
        let flag = settle_all("--header-timeout 5x", &[], &[]).unwrap_err();
        assert_eq!(
            (flag.exit.code(), flag.sentence.starts_with("--header-timeout: \"5x\" is no duration")),
            (64, true)
        );
        let variable = settle_all("", &[("HYTHE_HEADERS", "x")], &[]).unwrap_err();
        assert_eq!(variable.sentence, "HYTHE_HEADERS: \"x\" is no whole number");
        for (mistake, says) in [
            (variable, "HYTHE_HEADERS"),
            (file("header-timout = 5"), "h.toml: header-timout is no key; the nearest is header-timeout"),
            (file("header_timout = 5"), "the nearest is header-timeout"),
            (file("header-timeout = \"5x\""), "h.toml: header-timeout = \"5x\" is no duration"),
            (file("header-timeout = 5\nheader_timeout = 5"), "is there twice"),
            (file("header-timeout = 1.5"), "header-timeout is of type float; write it in quotes"),
            (file("header-timeout = true"), "is of type boolean"),
            (file("header-timeout = [5]"), "is of type array"),
            (file("headers = -1"), "\"-1\" is no whole number"),
            (file("attach = [1]"), "attach may list texts only"),
            (file("[limits]\nheaders = 1"), "limits is a section"),
            (file("token = \"x\""), "token cannot stand in a configuration file; name a file by token-file"),
            (file("config = \"x\""), "config cannot stand in a configuration file"),
            (file("headers = 1\n= 2"), "h.toml, line 2, is not TOML"),
            (settle_all("--config no.toml", &[], &[]).unwrap_err(), "cannot read the configuration file no.toml"),
            (settle_all("--token-file no", &[], &[]).unwrap_err(), "cannot read the token file no"),
        ] {
            assert!(mistake.sentence.contains(says), "{mistake}");
            assert!(!mistake.sentence.contains('\n'), "{mistake}");
            assert_eq!(mistake.exit.code(), 78, "{mistake}");
        }
    }

    #[test]
    fn a_mistake_below_a_right_value_is_told_all_the_same() {
        let mistake = settle_all("--headers 5", &[("HYTHE_HEADERS", "x")], &[]).unwrap_err();
        assert!(mistake.sentence.starts_with("HYTHE_HEADERS"));
    }
}
