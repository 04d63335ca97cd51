//! The roof: words in, a server out. What goes wrong before it serves is one sentence on stderr and an exit code.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use hythe::Premises;
#[cfg(feature = "client")]
use hythe::cli::client::{self, failure::Ending};
use hythe::cli::command::{self, Heard, Task, Words};
use hythe::cli::exit::{Exit, Mistake, RunError};
use hythe::cli::layers::{self, Settled, World};
use hythe::cli::{check, folders, logging, summary};
use hythe::config::Config;
use hythe::os::doors;
use hythe::os::sandbox::User;
use hythe::os::scribe::Scribe;
use hythe::os::succession::Handover;

fn main() -> ExitCode {
    // Before anything is opened that could have one of their numbers.
    let handed_over = doors::handed_over();
    let before = Handover::receive();
    let excuse = before.as_ref().ok().and_then(Option::as_ref).and_then(Handover::excuse);
    match obey(handed_over, before) {
        Ok(code) => code,
        Err(mistake) => {
            say(&mistake.sentence);
            if let Some(excuse) = excuse {
                excuse.tell(&mistake.sentence);
            }
            mistake.exit.into()
        }
    }
}

fn obey(
    handed_over: Result<Vec<OwnedFd>, String>,
    before: Result<Option<Handover>, String>,
) -> Result<ExitCode, Mistake> {
    let words = match command::hear(env::args_os())? {
        Heard::Text(text) => return print(&text).map(|()| Exit::Fine.into()),
        Heard::Words(words) => words,
        #[cfg(feature = "client")]
        Heard::Client(order) => {
            hythe::os::process::end_on_interrupt(Ending::Interrupted.code());
            return Ok(ExitCode::from(client::run::run(&order, |name| env::var_os(name))));
        }
    };
    let variables: Vec<_> = env::vars_os().collect();
    let read = |path: &Path| fs::read(path);
    let settled = layers::settle(&words, &World { variables: &variables, read: &read })?;
    match &words.task {
        Task::Check => report(settled)?,
        #[cfg(feature = "accounts")]
        Task::User(order) => print(&hythe::look_after(settled.config, order)?)?,
        #[cfg(feature = "_ledger")]
        Task::Backup(place) => print(&hythe::back_up(settled.config, place)?)?,
        #[cfg(feature = "tls")]
        Task::Cert(order) => print(&hythe::certify(order)?)?,
        Task::Upgrade => print(&hythe::upgrade(settled.config)?)?,
        Task::Serve => {
            let before = before.map_err(Mistake::configuration)?;
            serve(settled, words.clone(), handed_over.map_err(Mistake::configuration)?, before)?;
        }
    }
    Ok(Exit::Fine.into())
}

/// In this order: what needs the rights of whoever started us, then fewer rights, then the first other thread.
fn serve(settled: Settled, words: Words, handed_over: Vec<OwnedFd>, before: Option<Handover>) -> Result<(), Mistake> {
    let Settled { mut config, mut warnings, .. } = settled;
    // Whose place we take has become its user already, and may be kept from looking others up.
    let named = config.user.as_deref().filter(|_| before.is_none());
    let user = named.map(User::find).transpose().map_err(Mistake::configuration)?;
    let owner = user.as_ref().map(User::ids);
    warnings.extend(folders::prepare(&mut config, owner, hythe::os::process::may_use)?);
    warnings.extend(summary::warnings(&config));
    let first_log = logging::open(&config)?;
    let mut premises = Premises::open(&mut config, handed_over, before)?;
    if let (Some(user), Some(name)) = (user, &config.user) {
        folders::give_logs(&config, user.ids())?;
        user.become_it().map_err(|error| RunError::User { name: name.clone(), error })?;
        folders::check_all(&config, hythe::os::process::may_use)?;
    }
    premises.confine(&config)?;
    let scribe = start_log(&config, first_log)?;
    for warning in warnings {
        log::warn!("{warning}");
    }
    let served = hythe::run(config, premises, scribe.clone(), Box::new(move || read_again(&words)));
    scribe.close();
    Ok(served?)
}

/// The configuration as it is now, read in the way of the start. Nothing is made, and no folder changes while we serve.
fn read_again(words: &Words) -> Result<Config, String> {
    let variables: Vec<_> = env::vars_os().collect();
    let read = |path: &Path| fs::read(path);
    let settled = layers::settle(words, &World { variables: &variables, read: &read });
    let Settled { mut config, warnings, .. } = settled.map_err(|mistake| mistake.sentence)?;
    folders::resolve(&mut config).map_err(|mistake| mistake.sentence)?;
    for warning in warnings.iter().chain(&summary::warnings(&config)) {
        log::warn!("{warning}");
    }
    Ok(config)
}

/// The log is written off the loop: a console that stands still stops nobody, and a file that was moved away is opened anew.
fn start_log(config: &Config, first: Box<dyn Write + Send>) -> Result<Scribe, Mistake> {
    let mut first = Some(first);
    let kept = config.clone();
    let sink = move || first.take().map_or_else(|| logging::open(&kept).map_err(io::Error::other), Ok);
    let scribe = Scribe::prepare(Box::new(sink))
        .map_err(|error| Mistake::cannot_write(format!("cannot begin the log: {error}")))?;
    // A record comes in a dozen small pieces; a line is handed over in one.
    let lines = io::LineWriter::new(scribe.clone());
    logging::start(config, Box::new(lines)).expect("the log is started once");
    Ok(scribe)
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
