//! What a shell needs to complete our commands and flags. It is worth its place where there are commands to complete: with the
//! client.

use clap::{Arg, ArgMatches, Command, builder};
use clap_complete::Shell;

const SHELL: &str = "SHELL";

/// The word as clap knows it.
pub fn command() -> Command {
    let shell = Arg::new(SHELL).required(true).value_parser(builder::EnumValueParser::<Shell>::new());
    Command::new("completions").about("Print what a shell needs to complete our commands and flags").arg(shell)
}

/// What was asked for, of all commands there are.
pub fn text(matches: &ArgMatches, mut all: Command) -> String {
    let shell = *matches.get_one::<Shell>(SHELL).expect("clap asks for it");
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut all, "hythe", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
