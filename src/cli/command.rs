//! The command line: what clap is told from the table, and what comes out of it.
//!
//! clap's own errors are several lines; ours are one sentence, so they are put together here from what clap knows.

use std::error::Error as _;
use std::ffi::OsString;
#[cfg(feature = "_ledger")]
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, builder};

#[cfg(feature = "tls")]
use crate::cli::cert;
#[cfg(feature = "client")]
use crate::cli::client::words;
#[cfg(feature = "client")]
use crate::cli::completions;
use crate::cli::exit::{Exit, Mistake};
use crate::cli::key::Key;
#[cfg(feature = "_ledger")]
use crate::cli::manage;
use crate::cli::options;

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve until told to stop.
    Serve,
    /// Print the configuration and end.
    Check,
    /// Look after the accounts of a data folder.
    #[cfg(feature = "accounts")]
    User(manage::Order),
    /// Copy a data folder.
    #[cfg(feature = "_ledger")]
    Backup(PathBuf),
    /// Have the server of a data folder give way to a new one.
    Upgrade,
    /// Make a certificate.
    #[cfg(feature = "tls")]
    Cert(cert::Order),
}

/// A command line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What to do.
    pub task: Task,
    /// The port, where one was given by itself.
    pub port: Option<u16>,
    /// The flags that were given, each with its values.
    pub flags: Vec<(&'static str, Vec<OsString>)>,
}

/// What a command line comes to.
#[derive(Debug)]
pub enum Heard {
    /// Something to do.
    Words(Words),
    /// A text to print, which is all that was asked for: the help, the version or completions.
    Text(String),
    /// A command of the client.
    #[cfg(feature = "client")]
    Client(words::Order),
}

const PORT: &str = "PORT";

/// The command as clap knows it.
pub fn command() -> Command {
    let serve = Command::new("serve").about("Serve (what hythe does without a command, too)");
    let check =
        Command::new("check").about("Print the configuration that would be in force, and what is wrong with it");
    let upgrade = Command::new("upgrade")
        .about("Start the binary anew in place of the server that runs, without refusing or losing anything")
        .args(management_keys());
    let command = with_keys(Command::new("hythe"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("A small server for files, uploads and chat, and the client for it")
        .after_help(
            "Every flag is an environment variable (HYTHE_HEADER_TIMEOUT) and a key of the configuration file \
             (header-timeout = \"5s\") too; flag over environment over file over default.",
        )
        .args_conflicts_with_subcommands(true)
        .subcommand(with_keys(serve))
        .subcommand(with_keys(check));
    #[cfg(feature = "accounts")]
    let command = command.subcommand(manage::user(management_keys()));
    #[cfg(feature = "_ledger")]
    let command = command.subcommand(manage::backup(management_keys()));
    #[cfg(feature = "tls")]
    let command = command.subcommand(cert::command());
    let command = command.subcommand(upgrade);
    #[cfg(feature = "client")]
    let command = words::with_commands(command.subcommand(completions::command()));
    command
}

/// The words that may stand first.
fn tasks() -> Vec<String> {
    command().get_subcommands().map(|task| task.get_name().to_owned()).chain(["help".to_owned()]).collect()
}

/// Whether the command line is for the client, whose mistakes have a number of their own.
fn is_for_client(arguments: &[OsString]) -> bool {
    #[cfg(feature = "client")]
    return arguments.get(1).and_then(|word| word.to_str()).is_some_and(words::is_command);
    #[cfg(not(feature = "client"))]
    {
        let _ = arguments;
        false
    }
}

/// Keys of the server that these commands heed too.
const KEYS: [&str; 3] = ["config", "data", "password-profile"];

/// The flags that say where the data is, for commands that do not serve.
fn management_keys() -> impl Iterator<Item = Arg> {
    KEYS.iter().filter_map(|name| options::find(name)).map(flag)
}

fn with_keys(command: Command) -> Command {
    let port = Arg::new(PORT).help("A port for the default addresses, 127.0.0.1 and [::1]");
    let mut command = command.arg(port.value_parser(builder::OsStringValueParser::new()));
    for group in options::GROUPS {
        command = command.next_help_heading(group.title);
        for key in group.keys {
            command = command.arg(flag(key));
        }
    }
    command.next_help_heading(None)
}

/// A key as a flag.
fn bare_flag(key: &'static Key) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.name)
        .value_parser(builder::OsStringValueParser::new())
        .action(if key.is_list() { ArgAction::Append } else { ArgAction::Set });
    if key.is_switch() {
        // `--list` is enough; `--list=false` undoes what a file says.
        arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true)
    } else {
        arg.num_args(1)
    }
}

/// A key as a flag, with its help.
fn flag(key: &'static Key) -> Arg {
    let default = match key.default {
        "" | "(none)" => String::new(),
        "false" if key.is_switch() => String::new(),
        "0" if key.is_lifted_by_zero() => " [default: 0, no limit]".to_string(),
        text if key.is_lifted_by_zero() => format!(" [default: {text}; 0 is no limit]"),
        text => format!(" [default: {}]", text.trim_matches(['(', ')'])),
    };
    let help = format!("{}{default}", key.help);
    bare_flag(key)
        .value_name(key.placeholder())
        .long_help(format!("{help} [env: {}]\n{}.", key.variable(), key.reason))
        .help(help)
}

/// Reads a command line that only asks to serve, and is right. To tell clap of every command and all their help takes longer
/// than anything else on the way to the first answer. `None`: the whole command has to look at it.
fn hear_plainly(arguments: &[OsString]) -> Option<Words> {
    let command = Command::new("hythe").disable_help_flag(true).arg(Arg::new(PORT).value_parser(port_of));
    let command = options::keys().fold(command, |command, key| command.arg(bare_flag(key)));
    let said = arguments.iter().enumerate().filter(|(at, word)| *at != 1 || *word != "serve").map(|(_, word)| word);
    let matches = command.try_get_matches_from(said).ok()?;
    Some(Words { task: Task::Serve, port: matches.get_one(PORT).copied(), flags: flags(&matches) })
}

/// Reads a command line, the program's name first.
pub fn hear(arguments: impl IntoIterator<Item = OsString>) -> Result<Heard, Mistake> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    #[cfg(feature = "client")]
    let arguments = words::in_order(arguments);
    if let Some(words) = hear_plainly(&arguments) {
        return heard(words);
    }
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Heard::Text(error.to_string()));
        }
        Err(error) => {
            // Two words where one port may stand: if the first is none, that is the mistake to tell.
            if error.kind() == ErrorKind::ArgumentConflict
                && let Ok(matches) = command().ignore_errors(true).try_get_matches_from(&arguments)
            {
                port(&matches)?;
            }
            let exit = if is_for_client(&arguments) { Exit::ClientUsage } else { Exit::Usage };
            return Err(Mistake { exit, sentence: sentence(&error, arguments.get(1)) });
        }
    };
    let (task, matches) = match matches.subcommand() {
        Some(("check", matches)) => (Task::Check, matches),
        #[cfg(feature = "accounts")]
        Some(("user", matches)) => {
            let order = manage::order(matches).map_err(|error| Mistake::usage(sentence(&error, None)))?;
            return Ok(Heard::Words(Words { task: Task::User(order), port: None, flags: flags(matches) }));
        }
        #[cfg(feature = "_ledger")]
        Some(("backup", matches)) => {
            let task = Task::Backup(manage::place(matches));
            return Ok(Heard::Words(Words { task, port: None, flags: flags(matches) }));
        }
        Some(("upgrade", matches)) => {
            return Ok(Heard::Words(Words { task: Task::Upgrade, port: None, flags: flags(matches) }));
        }
        #[cfg(feature = "tls")]
        Some(("cert", matches)) => {
            let order = cert::order(matches).map_err(|error| Mistake::usage(sentence(&error, None)))?;
            return Ok(Heard::Words(Words { task: Task::Cert(order), port: None, flags: Vec::new() }));
        }
        #[cfg(feature = "client")]
        Some(("completions", matches)) => return Ok(Heard::Text(completions::text(matches, command()))),
        #[cfg(feature = "client")]
        Some((word, _)) if words::is_command(word) => {
            return words::read(&matches).map(Heard::Client).map_err(|error| Mistake::usage(sentence(&error, None)));
        }
        Some((_, matches)) => (Task::Serve, matches),
        None => (Task::Serve, &matches),
    };
    heard(Words { task, port: port(matches)?, flags: flags(matches) })
}

fn heard(words: Words) -> Result<Heard, Mistake> {
    if words.port.is_some() && words.flags.iter().any(|(name, _)| *name == "listen") {
        return Err(Mistake::usage("PORT is for the default addresses; with --listen the port belongs to the address"));
    }
    let is_given = |flag: &str| words.flags.iter().any(|(name, _)| *name == flag);
    if is_given("token") && is_given("token-file") {
        return Err(Mistake::usage("--token and --token-file both give the operator's token; give one of them"));
    }
    Ok(Heard::Words(words))
}

/// A port that is one, and nothing else.
fn port_of(word: &str) -> Result<u16, std::num::ParseIntError> {
    word.parse()
}

fn port(matches: &ArgMatches) -> Result<Option<u16>, Mistake> {
    let Some(word) = matches.get_one::<OsString>(PORT) else { return Ok(None) };
    let text = word.to_string_lossy();
    if let Ok(port) = text.parse() {
        return Ok(Some(port));
    }
    let tasks = tasks();
    if tasks.iter().any(|task| *task == text) {
        return Err(Mistake::usage(format!("the command comes first: hythe {text} …")));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Err(Mistake::usage(format!("{text} is no port; ports are 0 to 65535")));
    }
    let nearest = options::nearest(&text, tasks.iter().map(String::as_str)).expect("the list is not empty");
    Err(Mistake::usage(format!("{text:?} is neither a port nor a command; the nearest command is {nearest}")))
}

fn flags(matches: &ArgMatches) -> Vec<(&'static str, Vec<OsString>)> {
    let values = |key: &'static Key| {
        // Not every command knows every key.
        let values = matches.try_get_many::<OsString>(key.name).ok()??;
        Some((key.name, values.cloned().collect()))
    };
    options::keys().filter_map(values).collect()
}

/// The long flags of a command; of the server where it is none.
fn flags_of(task: Option<&OsString>) -> Vec<String> {
    let command = command();
    let task = task.and_then(|task| command.find_subcommand(task)).unwrap_or(&command);
    let longs = task.get_arguments().filter_map(Arg::get_long).map(str::to_owned);
    longs.chain(["help", "version"].map(str::to_owned)).collect()
}

/// One plain sentence for what clap did not understand behind `task`.
fn sentence(error: &clap::Error, task: Option<&OsString>) -> String {
    let told = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // clap tells an argument as it stands in the usage: `--www <DIR>`.
    let argument = told(ContextKind::InvalidArg).unwrap_or_default();
    let name = argument.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument
            if name.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            format!("no value here is below 0, and {name} is no flag; see hythe --help")
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let names = flags_of(task);
            let names = names.iter().map(String::as_str);
            let nearest = options::nearest(name.trim_start_matches('-'), names).expect("every command has --help");
            format!("there is no flag {name}; the nearest is --{nearest}")
        }
        ErrorKind::UnknownArgument => format!("{argument:?} is one word too many; see hythe --help"),
        ErrorKind::InvalidValue if told(ContextKind::InvalidValue).is_some_and(|value| !value.is_empty()) => {
            let value = told(ContextKind::InvalidValue).unwrap_or_default();
            match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(names)) => format!("{value:?} is none of {}", names.join(", ")),
                _ => format!("{name} cannot be {value:?}; see hythe --help"),
            }
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::WrongNumberOfValues => {
            format!("{name} needs a value; see hythe --help")
        }
        ErrorKind::ValueValidation => {
            let value = told(ContextKind::InvalidValue).unwrap_or_default();
            match error.source() {
                Some(why) if !why.is::<std::num::ParseIntError>() => format!("{name}: {why}"),
                _ => format!("{name} takes a whole number, and {value:?} is none"),
            }
        }
        ErrorKind::TooManyValues => format!("{name} takes no value here; see hythe --help"),
        ErrorKind::ArgumentConflict if name.is_empty() => "one port is enough; see hythe --help".to_string(),
        ErrorKind::ArgumentConflict => format!("{name} may be given only once"),
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(" "),
                _ => "something".to_owned(),
            };
            format!("{missing} is missing; see {} --help", of_usage(error))
        }
        ErrorKind::MissingSubcommand => format!("a command is missing; see {} --help", of_usage(error)),
        ErrorKind::InvalidSubcommand => {
            let word = told(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("there is no command {word:?}; see hythe --help")
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_string()
        }
    }
}

/// The commands that clap was at, out of its usage: `hythe user add`.
fn of_usage(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage.split_whitespace().skip_while(|word| *word != "hythe");
    let words: Vec<_> = words.take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).collect();
    if words.is_empty() { "hythe".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str) -> Result<Words, Mistake> {
        let words = std::iter::once("hythe").chain(line.split_whitespace()).map(OsString::from);
        match hear(words)? {
            Heard::Words(words) => Ok(words),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_one_that_clap_finds_whole() {
        command().debug_assert();
    }

    #[test]
    fn serve_is_what_is_done_without_a_command() {
        for line in ["", "serve", "9000", "serve 9000", "--list 9000", "serve --list 9000"] {
            assert_eq!(heard(line).unwrap().task, Task::Serve, "{line}");
        }
        assert_eq!(heard("check --list").unwrap().task, Task::Check);
        assert_eq!(heard("serve 9000").unwrap().port, Some(9000));
        assert_eq!(heard("9000 --list").unwrap().port, Some(9000));
    }

    #[test]
    fn flags_come_with_their_values() {
        let words = heard("--listen 1.2.3.4:5 --listen=[::1]:6 --list --no-chat=false --www a").unwrap();
        let expected: Vec<(&str, Vec<OsString>)> = vec![
            ("listen", vec!["1.2.3.4:5".into(), "[::1]:6".into()]),
            ("www", vec!["a".into()]),
            ("list", vec!["true".into()]),
            ("no-chat", vec!["false".into()]),
        ];
        assert_eq!(words.flags, expected);
    }

    #[test]
    fn what_is_not_understood_is_told_in_one_sentence_with_what_is_near() {
        for (line, says) in [
            ("--lisen 1", "there is no flag --lisen; the nearest is --listen"),
            ("--header-timout=5", "there is no flag --header-timout; the nearest is --header-timeout"),
            ("--header_timeout=5", "the nearest is --header-timeout"),
            ("-x", "there is no flag -x"),
            ("--www", "--www needs a value"),
            #[cfg(feature = "client")]
            ("completions tcsh", "\"tcsh\" is none of bash, elvish, fish, powershell, zsh"),
            #[cfg(feature = "tls")]
            ("cert --days abc", "--days takes a whole number, and \"abc\" is none"),
            #[cfg(feature = "tls")]
            ("cert --days 0", "--days: 0 is not in 1..=36500"),
            ("--www a --www b", "--www may be given only once"),
            ("8080 9090", "one port is enough"),
            #[cfg(feature = "accounts")]
            ("users add ada", "\"users\" is neither a port nor a command; the nearest command is user"),
            #[cfg(feature = "accounts")]
            ("user", "a command is missing; see hythe user --help"),
            #[cfg(feature = "accounts")]
            ("user add", "<NAME> is missing; see hythe user add --help"),
            ("--header-timeout -5s", "no value here is below 0"),
            ("--max-connections -5", "no value here is below 0"),
            ("--list false", "\"false\" is neither a port nor a command"),
            ("70000", "70000 is no port"),
            ("-- -1", "-1 is no port"),
            ("chek", "\"chek\" is neither a port nor a command; the nearest command is check"),
            ("--list serve", "the command comes first: hythe serve"),
            ("9000 --listen 1.2.3.4:5", "the port belongs to the address"),
            ("check --lst", "there is no flag --lst"),
            ("--token a --token-file b", "--token and --token-file both"),
            ("check --token-file=b --token=a", "--token and --token-file both"),
        ] {
            let mistake = heard(line).unwrap_err();
            assert!(mistake.sentence.contains(says), "{line}: {mistake}");
            assert!(!mistake.sentence.contains('\n'), "{line}: {mistake}");
            assert_eq!(mistake.exit.code(), 64, "{line}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn the_clients_mistakes_have_a_number_of_their_own() {
        for (line, says) in [
            ("tail --since abc", "--since takes a whole number, and \"abc\" is none"),
            ("tail --since -1", "no value here is below 0"),
            ("tail --since 99999999999999999999", "--since takes a whole number"),
            ("tail --since", "--since needs a value"),
            ("ls --sort age", "\"age\" is none of name, size, time"),
            ("put", "<FILE>... is missing; see hythe put --help"),
            ("-q get --nothing a", "there is no flag --nothing"),
        ] {
            let mistake = heard(line).unwrap_err();
            assert!(mistake.sentence.contains(says), "{line}: {mistake}");
            assert!(!mistake.sentence.contains('\n'), "{line}: {mistake}");
            assert_eq!(mistake.exit.code(), 2, "{line}");
        }
    }

    #[test]
    fn help_and_version_are_texts() {
        for (line, says) in [
            ("--help", "HYTHE_HEADER_TIMEOUT"),
            ("-h", "--header-timeout <TIME>"),
            ("check --help", "--header-timeout"),
            ("--version", env!("CARGO_PKG_VERSION")),
        ] {
            let words = ["hythe"].into_iter().chain(line.split(' ')).map(OsString::from);
            match hear(words).unwrap() {
                Heard::Text(text) => assert!(text.contains(says), "{line}: {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
