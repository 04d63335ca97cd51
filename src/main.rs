//! The roof: words in, a server out. What goes wrong before it serves is one sentence on stderr and an exit code.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use hythe::cli::command::{self, Heard, Task};
use hythe::cli::exit::{Exit, Mistake};
use hythe::cli::layers::{self, Settled, World};
use hythe::cli::{check, folders, logging, summary};

fn main() -> ExitCode {
    match obey() {
        Ok(()) => Exit::Fine.into(),
        Err(mistake) => {
            say(&mistake.sentence);
            mistake.exit.into()
        }
    }
}

fn obey() -> Result<(), Mistake> {
    let words = match command::hear(env::args_os())? {
        Heard::Text(text) => return print(&text),
        Heard::Words(words) => words,
    };
    let variables: Vec<_> = env::vars_os().collect();
    let read = |path: &Path| fs::read(path);
    let settled = layers::settle(&words, &World { variables: &variables, read: &read })?;
    match words.task {
        Task::Check => report(settled),
        Task::Serve => serve(settled),
    }
}

fn serve(settled: Settled) -> Result<(), Mistake> {
    let Settled { mut config, mut warnings, .. } = settled;
    warnings.extend(folders::prepare(&mut config, hythe::os::may_use)?);
    warnings.extend(summary::warnings(&config));
    logging::start(&config, logging::open(&config)?).expect("the log is started once");
    for warning in warnings {
        log::warn!("{warning}");
    }
    Ok(hythe::run(config)?)
}

fn report(settled: Settled) -> Result<(), Mistake> {
    let mut resolved = settled.config.clone();
    folders::resolve(&mut resolved)?;
    for warning in settled.warnings.iter().chain(&summary::warnings(&resolved)) {
        say(&format!("warning: {warning}"));
    }
    print(&check::report(&settled, &resolved))
}

/// To stdout, whose reader may have seen enough (`hythe check | head`).
fn print(text: &str) -> Result<(), Mistake> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Mistake::cannot_write(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// To stderr; where that is closed there is nobody to tell.
fn say(sentence: &str) {
    let _ = writeln!(io::stderr(), "hythe: {sentence}");
}
