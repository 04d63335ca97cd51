//! `docs/configuration.md` and the man page, written from the table of keys and commands, and the tests that keep them true.

use std::fmt::Write;

use crate::cli::key::Key;
use crate::cli::options;

const OPENING: &str = "\
# Configuration

<!-- Written from src/cli/options.rs by `UPDATE_DOCS=1 cargo test`; change it there. -->

Everything can be set in three ways: by a flag, by an environment variable, or by a key of a configuration file (TOML,
named by `--config`). A flag goes before a variable, a variable before the file, the file before the default. A list that
is set in one place replaces what the places below it say. `hythe check` prints what is in force and where each value
comes from.

    hythe --header-timeout 5s
    HYTHE_HEADER_TIMEOUT=5s hythe
    echo 'header-timeout = \"5s\"' > hythe.toml && hythe --config hythe.toml

- A **TIME** is `500ms`, `30s`, `5m`, `24h` or `30d`; a bare number is seconds.
- A **SIZE** is `1024`, `64KiB`, `4GiB` (powers of 1024; `64K` is the same) or `10MB` (powers of 1000).
- A **RATE** is `1/s`, `20/min`, `100/h`, with `burst 10` behind it for how many may come at once after a rest.
- `0` switches off every rate, cap or limit of which the list says so.
- A list is several flags, or one with commas; in the file an array. A switch is `--list` or `--list=false`, in the file
  `list = true`.
- In the file a key may have underscores (`header_timeout`). There are no sections. An unknown flag or key is an error
  that names the nearest right one; unknown variables that begin with `HYTHE_` are one warning. An empty variable is none.
- An operator's token cannot stand in the file; `token-file` can.

`hythe 9000` listens on port 9000 of both loopback addresses, whatever the variables and the file say.

| exit code | meaning |
|---|---|
| 0 | it ended as it was told to |
| 64 | the command line cannot be understood |
| 71 | an address is in use, or the system refused something else |
| 73 | a folder or log cannot be made or written |
| 77 | not permitted: a port below 1024, as a rule |
| 78 | the configuration cannot be right; `data`, `uploads` and `www` contain one another, for one |
";

fn reference() -> String {
    let mut text = OPENING.to_string();
    for group in options::GROUPS {
        let _ = write!(text, "\n## {}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n", group.title);
        for key in group.keys {
            text.push_str(&row(key));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let flag =
        if key.is_switch() { format!("--{}", key.name) } else { format!("--{} {}", key.name, key.placeholder()) };
    let default = match key.default {
        "" => "none".to_string(),
        words if words.starts_with('(') => words.trim_matches(['(', ')']).to_string(),
        text => format!("`{text}`"),
    };
    let zero = if key.is_lifted_by_zero() { " `0` is no limit." } else { "" };
    let (flag, variable) = (flag.replace('|', "\\|"), key.variable());
    format!("| `{flag}` | `{variable}` | {default} | {}. {}.{zero} |\n", key.help, key.reason)
}

#[test]
fn the_documented_configuration_is_the_one_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, reference(), "docs/configuration.md is not true; UPDATE_DOCS=1 cargo test writes it anew");
}

/// The man page: what `--help` tells, in the place where people look for it.
#[cfg(all(feature = "accounts", feature = "chat", feature = "client", feature = "files", feature = "tls"))]
fn man_page() -> String {
    let mut command = crate::cli::command::command();
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).date("").source("hythe");
    man.render(&mut page).expect("a Vec takes everything");
    let mut text = String::from_utf8(page).expect("help is UTF-8");
    for task in command.get_subcommands().filter(|task| !matches!(task.get_name(), "serve" | "check" | "help")) {
        let mut page = Vec::new();
        let man = clap_mangen::Man::new(task.clone());
        man.render_synopsis_section(&mut page).expect("a Vec takes everything");
        man.render_description_section(&mut page).expect("a Vec takes everything");
        man.render_options_section(&mut page).expect("a Vec takes everything");
        for part in task.get_subcommands().filter(|part| part.get_name() != "help") {
            let man = clap_mangen::Man::new(part.clone());
            man.render_synopsis_section(&mut page).expect("a Vec takes everything");
            man.render_description_section(&mut page).expect("a Vec takes everything");
            man.render_options_section(&mut page).expect("a Vec takes everything");
        }
        let page = String::from_utf8(page).expect("help is UTF-8");
        // Sections of their own would hide the program's; they are parts of one.
        let _ = write!(text, ".SH \"HYTHE {}\"\n{}", task.get_name().to_uppercase(), page.replace("\n.SH ", "\n.SS "));
    }
    let numbers = [
        ("0", "all is well"),
        ("1", "none of the others"),
        ("2", "the command cannot be understood, or lacks something"),
        ("3", "the server cannot be reached"),
        ("4", "not signed in, or not allowed"),
        ("5", "there is no such thing"),
        ("6", "a name is taken, or something else stands in the way"),
        ("7", "too large, or more than there is room for"),
        ("8", "too often"),
        ("9", "the server erred"),
        ("10", "the transfer is damaged"),
        ("130", "interrupted"),
    ];
    text.push_str(".SH \"EXIT STATUS\"\nOf the server: 0, 1 there is no such user, 64 usage, 71 address in use, 73 cannot write, 77 not permitted, 78 configuration. Of the client:\n");
    for (number, meaning) in numbers {
        let _ = write!(text, ".TP\n\\fB{number}\\fR\n{meaning}\n");
    }
    text
}

#[cfg(all(feature = "accounts", feature = "chat", feature = "client", feature = "files", feature = "tls"))]
#[test]
fn the_man_page_is_the_one_there_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/hythe.1");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, man_page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == man_page(), "packaging/hythe.1 is not true; UPDATE_DOCS=1 cargo test writes it anew");
}
