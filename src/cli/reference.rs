//! `docs/configuration.md`, written from the table, and the test that keeps it true.

use std::fmt::Write;

use crate::cli::options::{self, Key};

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
