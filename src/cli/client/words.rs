//! What can be asked of the client: each command, and what may stand behind it. From here come the flags, the help, the
//! completions and the man page.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, FromArgMatches, Subcommand, ValueHint};

/// What every command of the client may be told.
#[derive(Args, Clone, Debug, Default)]
pub struct Manner {
    /// The server [env: HYTHE_URL] [default: http://localhost:8080]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// With https: a file (PEM) with the authorities to trust instead of the system's [env: HYTHE_CA]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,
    /// With https: the SHA-256 of the one certificate to trust [env: HYTHE_PIN]
    #[arg(long, value_name = "SHA256")]
    pub pin: Option<String>,
    /// No progress and no remarks
    #[arg(short, long)]
    pub quiet: bool,
    /// Results as one JSON object a line
    #[arg(long = "json")]
    pub is_json: bool,
    /// A file that holds the password in its first line, - is stdin [env: HYTHE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
}

/// One command.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Make an account, and sign in
    Register(Register),
    /// Sign in; the session is kept in the state folder
    Login(Who),
    /// Sign out
    Logout,
    /// Tell who is signed in
    Whoami,
    /// Change the password; all other sessions end
    Passwd(Passwd),
    /// Set a new password with a recovery code
    Reset(Reset),
    /// List a folder
    Ls(Ls),
    /// Tell all about a file
    Info(Paths),
    /// Download
    Get(Get),
    /// Upload; what was cut off goes on when it is asked for again
    Put(Put),
    /// Replace a file that is there
    Update(Update),
    /// Rename or move
    Mv(Mv),
    /// Remove files and empty folders
    Rm(Paths),
    /// Make folders
    Mkdir(Paths),
    /// Upload a JSON document
    Json(Json),
    /// Say something in the chat
    Send(Send),
    /// Print what is said in the chat
    Tail(Tail),
    /// Talk with others, line by line
    Chat(Chat),
    /// A menu that asks for what it needs
    Client,
    /// Tell how the server is, and what it can do
    Status,
}

/// `register`.
#[derive(Args, Clone, Debug)]
pub struct Register {
    /// The name to have
    pub name: Option<String>,
    /// A file that holds an invitation in its first line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub invite_file: Option<PathBuf>,
}

/// `login`.
#[derive(Args, Clone, Debug)]
pub struct Who {
    /// The account
    pub name: Option<String>,
}

/// `passwd`.
#[derive(Args, Clone, Debug)]
pub struct Passwd {
    /// A file that holds the new password in its first line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new_password_file: Option<PathBuf>,
}

/// `reset`.
#[derive(Args, Clone, Debug)]
pub struct Reset {
    /// The account
    pub name: Option<String>,
    /// A file that holds the code in its first line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub code_file: Option<PathBuf>,
    /// A file that holds the new password in its first line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new_password_file: Option<PathBuf>,
}

/// Where a path begins.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Home {
    /// Paths begin in your own home instead of the shared area
    #[arg(short = 'p', long = "private")]
    pub is_private: bool,
}

/// Commands that take paths and nothing else.
#[derive(Args, Clone, Debug)]
pub struct Paths {
    /// Paths at the server
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
}

/// `ls`.
#[derive(Args, Clone, Debug, Default)]
pub struct Ls {
    /// The folder
    #[arg(value_name = "PATH", default_value = "")]
    pub path: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
    /// Size, time and owner too, as on a terminal
    #[arg(short, long)]
    pub long: bool,
    /// The order: name, size or time
    #[arg(long, value_name = "BY", default_value = "name", value_parser = ["name", "size", "time"])]
    pub sort: String,
    /// The other way round
    #[arg(short, long)]
    pub reverse: bool,
    /// Search names below the folder
    #[arg(long, value_name = "TEXT")]
    pub find: Option<String>,
}

/// `get`.
#[derive(Args, Clone, Debug)]
pub struct Get {
    /// The file at the server
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Where to: a file, a folder, or - for stdout; by default a file of the same name here
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath)]
    pub to: Option<PathBuf>,
    /// Go on where an earlier download was cut off
    #[arg(short = 'c', long = "continue")]
    pub goes_on: bool,
    /// Overwrite a file that is here
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
}

/// `put`.
#[derive(Args, Clone, Debug)]
pub struct Put {
    /// The files, or - for stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The name of one file at the server, with its folder: a/b.txt (--as a/ keeps its own name)
    #[arg(long = "as", value_name = "PATH")]
    pub name: Option<String>,
    /// The folder at the server
    #[arg(short = 'd', long = "dir", value_name = "DIR", conflicts_with = "name")]
    pub folder: Option<String>,
    /// Overwrite a file that is there
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
}

/// `update`.
#[derive(Args, Clone, Debug)]
pub struct Update {
    /// The file, or - for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What it replaces at the server; by default a file of the same name
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
}

/// `mv`.
#[derive(Args, Clone, Debug)]
pub struct Mv {
    /// What it is called
    #[arg(value_name = "FROM")]
    pub from: String,
    /// What it shall be called; a/ moves it into the folder a
    #[arg(value_name = "TO")]
    pub to: String,
    /// Overwrite a file that is there
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub home: Home,
}

/// `json`.
#[derive(Args, Clone, Debug)]
pub struct Json {
    /// The document, or - for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Its name at the server; by default the server makes one
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,
}

/// `send`.
#[derive(Args, Clone, Debug)]
pub struct Send {
    /// The room
    #[arg(short, long, default_value = "lobby")]
    pub room: String,
    /// The name that a guest goes by
    #[arg(short, long)]
    pub name: Option<String>,
    /// What to say, or - for what stdin says (-- before what begins with a hyphen)
    #[arg(required = true, value_name = "TEXT")]
    pub text: Vec<String>,
}

/// `tail`.
#[derive(Args, Clone, Debug)]
pub struct Tail {
    /// The room, or several with commas
    #[arg(short, long, default_value = "lobby")]
    pub room: String,
    /// Begin after the message of this id; by default with the last ten
    #[arg(long, value_name = "N")]
    pub since: Option<u64>,
    /// End when there is nothing more
    #[arg(long)]
    pub once: bool,
}

/// `chat`.
#[derive(Args, Clone, Debug)]
pub struct Chat {
    /// The room
    #[arg(short, long, default_value = "lobby")]
    pub room: String,
    /// The name that a guest goes by
    #[arg(short, long)]
    pub name: Option<String>,
}

/// A command that was understood.
#[derive(Clone, Debug)]
pub struct Order {
    /// How.
    pub manner: Manner,
    /// What.
    pub task: Task,
}

/// Adds the client's commands to the program's.
pub fn with_commands(command: clap::Command) -> clap::Command {
    let ours = Task::augment_subcommands(clap::Command::new("client"));
    let with_manner = |task: &clap::Command| {
        // What the arguments say of themselves would take the place of the command's own line.
        let about = task.get_about().cloned().unwrap_or_default();
        Manner::augment_args(task.clone()).about(about).long_about(None)
    };
    let ours: Vec<_> = ours.get_subcommands().map(with_manner).collect();
    command.subcommands(ours)
}

/// Whether a word is one of the client's commands.
pub fn is_command(word: &str) -> bool {
    Task::has_subcommand(word)
}

/// Reads what clap found. `matches` are the whole program's, with one of our commands in them.
///
/// # Errors
/// If clap is not of our mind.
pub fn read(matches: &clap::ArgMatches) -> Result<Order, clap::Error> {
    let task = Task::from_arg_matches(matches)?;
    let manner = matches.subcommand().map(|(_, matches)| Manner::from_arg_matches(matches)).transpose()?;
    Ok(Order { manner: manner.unwrap_or_default(), task })
}

/// The command line with the command first: what every command may be told may stand before it, too (`hythe -q ls`).
pub fn in_order(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()) {
        at += match word {
            "-q" | "--quiet" | "--json" => 1,
            "--url" | "--password-file" | "--ca" | "--pin" => 2,
            word if ["--url=", "--password-file=", "--ca=", "--pin="].iter().any(|flag| word.starts_with(flag)) => 1,
            word if at > 1 && is_command(word) => {
                let mut ordered = arguments;
                ordered[1..=at].rotate_right(1);
                return ordered;
            }
            _ => break,
        };
    }
    arguments
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_says_in_a_line_of_its_own_what_it_does() {
        let ours = with_commands(clap::Command::new("hythe"));
        let lines: Vec<String> =
            ours.get_subcommands().map(|task| task.get_about().map(ToString::to_string).unwrap_or_default()).collect();
        assert!(lines.len() > 15 && lines.iter().all(|line| !line.is_empty() && !line.ends_with('.')), "{lines:?}");
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{lines:?}");
        assert!(ours.get_subcommands().any(|task| task.get_about().is_some_and(|line| line.to_string() == "Download")));
    }

    #[test]
    fn what_every_command_may_be_told_may_stand_before_it() {
        for (line, ordered) in [
            ("hythe -q ls x", "hythe ls -q x"),
            ("hythe --url http://a --json get a", "hythe get --url http://a --json a"),
            ("hythe --url=http://a status", "hythe status --url=http://a"),
            ("hythe --ca f --pin=x ls", "hythe ls --ca f --pin=x"),
            ("hythe ls -q", "hythe ls -q"),
            ("hythe --list ls", "hythe --list ls"),
            ("hythe -q serve", "hythe -q serve"),
            ("hythe", "hythe"),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(in_order(words).join(" ".as_ref()), ordered);
        }
    }
}
