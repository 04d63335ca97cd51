//! What an operator can ask of a data folder from the command line, whether a server runs on it or not: `user` and `backup`. Here
//! are the words; what is done about them is on the roof.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueHint, builder};

const DIR: &str = "DIR";

/// What is to be done about accounts.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Order {
    /// Make an account, and print its recovery code
    Add {
        /// The name to have
        name: String,
        /// Make it an admin
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: Password,
    },
    /// List the accounts
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Set another password; all sessions end
    Passwd {
        /// The account
        name: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: Password,
    },
    /// Print a one-time code with which the user can set a new password
    Reset {
        /// The account
        name: String,
    },
    /// Keep a user out; all sessions end
    Disable {
        /// The account
        name: String,
    },
    /// Let a user in again
    Enable {
        /// The account
        name: String,
    },
    /// Delete an account and its private files; its name stays taken
    Rm {
        /// The account
        name: String,
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
    /// Make a user an admin
    Admin {
        /// The account
        name: String,
        /// The other way: an admin is one no longer
        #[arg(long)]
        revoke: bool,
    },
}

/// Where a new password comes from.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Password {
    /// A file that holds the password in its first line, - is stdin [env: HYTHE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
}

/// `user`, with `keys` to say where the data is.
pub fn user(keys: impl IntoIterator<Item = Arg>) -> Command {
    Order::augment_subcommands(Command::new("user"))
        .about("Look after the accounts of a data folder, also while a server runs on it")
        .subcommand_required(true)
        .args(keys.into_iter().map(|key| key.global(true)))
}

/// `backup`, with the same.
pub fn backup(keys: impl IntoIterator<Item = Arg>) -> Command {
    let place = Arg::new(DIR)
        .help("Where to: a folder that is empty or not there yet")
        .required(true)
        .value_hint(ValueHint::DirPath)
        .value_parser(builder::PathBufValueParser::new());
    Command::new("backup")
        .about("Copy the database and the private files, also while a server runs")
        .arg(place)
        .args(keys)
}

/// What was asked behind `user`.
///
/// # Errors
/// clap's own, which cannot be after its own reading.
pub fn order(matches: &ArgMatches) -> Result<Order, clap::Error> {
    Order::from_arg_matches(matches)
}

/// What was asked behind `backup`.
pub fn place(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>(DIR).cloned().unwrap_or_default()
}
