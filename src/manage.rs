//! `hythe user`: what an operator does to a data folder from outside. A server may be at work on it: the
//! database's own locks keep both apart, and it notices what has changed within two seconds.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::backup::{database, find_database, home};
use crate::cli::exit::{Exit, Mistake};
use crate::cli::folders;
use crate::cli::hush::ask_secret;
use crate::cli::manage::{Order, Password};
use crate::config::Config;
use crate::http::date;
use crate::http::fault::Fault;
use crate::os::process;
use crate::site::people;
use crate::store::change::Change;
use crate::store::database::{Error, Verdict};
use crate::store::entry::Entry;
use crate::store::ledger::Ledger;
use crate::store::password::SALT_BYTES;
use crate::store::secret::{CODE_BYTES, Cost, Digest, Hash, RECOVERY_BYTES, code};
use crate::store::users::{Account, CODE_MS, Users};

/// More than any password may have.
const SECRET_BYTES_MAX: u64 = 4096;
/// How long a server may take to make its database.
const OPENING_PATIENCE: Duration = Duration::from_secs(5);

/// Does what was asked about accounts; what it returns is for stdout.
///
/// # Errors
/// What is in the way, in a sentence.
pub fn look_after(mut config: Config, order: &Order) -> Result<String, Mistake> {
    let is_new = matches!(order, Order::Add { .. });
    if is_new {
        folders::prepare_data(&mut config, process::may_use)?;
    } else {
        folders::resolve(&mut config)?;
        find_database(&config)?;
    }
    match order {
        Order::Add { name, admin, password } => add(&config, name, *admin, password),
        Order::List { json } => list(&config, *json),
        Order::Passwd { name, password } => passwd(&config, name, password),
        Order::Reset { name } => reset(&config, name),
        Order::Disable { name } => set(&config, name, Some(true), None),
        Order::Enable { name } => set(&config, name, Some(false), None),
        Order::Admin { name, revoke } => set(&config, name, None, Some(!revoke)),
        Order::Rm { name, force } => remove(&config, name, *force),
    }
}

/// The data folder's ledger, and the folder itself if no server holds it.
struct Desk {
    ledger: Ledger,
    users: Users,
    is_alone: bool,
    /// A server that starts meanwhile waits for this.
    _held: Option<std::os::fd::OwnedFd>,
}

impl Desk {
    fn open(config: &Config) -> Result<Desk, Mistake> {
        let failed = |what: &dyn std::fmt::Display| {
            Mistake::cannot_write(format!("cannot use the data folder {}: {what}", config.data.display()))
        };
        let held = process::hold_folder(&config.data, Duration::ZERO).map_err(|error| failed(&error))?;
        // A server that has just begun may still be making the database.
        let joined = process::insist(OPENING_PATIENCE, || match Ledger::join(&database(config), held.is_some()) {
            Err(Error::TooOld { found: 0, .. }) => None,
            other => Some(other),
        });
        let joined = joined.ok_or_else(|| failed(&"the server has not opened its database"))?;
        let ledger = joined.map_err(|error| failed(&error))?;
        let users = ledger.users().map_err(|error| failed(&error))?;
        Ok(Desk { ledger, users, is_alone: held.is_some(), _held: held })
    }

    fn account(&self, name: &str) -> Result<&Account, Mistake> {
        let found = people::name(name).and_then(|name| self.users.named(&name));
        found.ok_or_else(|| Mistake::refused(format!("there is no user {name}; hythe user list tells who there is")))
    }

    /// Says whether a change was kept; it was not if somebody else has just done the contrary.
    fn keep(&mut self, change: Change) -> Result<bool, Mistake> {
        let verdicts = self.ledger.keep(vec![Entry::Accounts(change)]);
        match (verdicts.first(), self.ledger.shut_by()) {
            (Some(Verdict::Kept(_)), _) => Ok(true),
            (_, Some(error)) => Err(Mistake::cannot_write(format!("cannot keep that: {error}"))),
            _ => Ok(false),
        }
    }
}

fn add(config: &Config, name: &str, is_admin: bool, password: &Password) -> Result<String, Mistake> {
    let name = people::new_name(name).map_err(refused)?;
    let secret = new_password(password, &name)?;
    let recovery = code(&random::<RECOVERY_BYTES>()?);
    let hash = hash(config, &secret)?;
    let mut desk = Desk::open(config)?;
    if !desk.users.is_taken(&name) && !desk.users.has_room() {
        return Err(Mistake::refused("there is no room for another account"));
    }
    let change = Change::Register {
        name: name.as_str().into(),
        password: hash,
        recovery: Some(Digest::of_code(&recovery)),
        is_admin,
        made: process::wall(),
        invite: None,
    };
    match desk.keep(change)? {
        true => Ok(format!("{name} is registered.\nRecovery code, shown only once: {recovery}\n")),
        false => Err(refused(people::user_exists(&name))),
    }
}

fn list(config: &Config, is_json: bool) -> Result<String, Mistake> {
    let desk = Desk::open(config)?;
    let mut text = String::new();
    let now = process::wall();
    let width = desk.users.accounts().map(|account| account.name.len()).max().unwrap_or(0).max(4);
    if !is_json {
        let _ = writeln!(text, "{:width$}  MADE        LAST SIGN-IN  SESSIONS  STATE", "NAME");
    }
    for account in desk.users.accounts() {
        let last = account.known.iter().map(|(_, seen)| *seen).max();
        let sessions = desk.users.sessions_of(account.id, now).count();
        if is_json {
            let mut value = people::value(account);
            value["sessions"] = json!(sessions);
            value["last_sign_in"] = json!(last.map(date::rfc3339));
            let _ = writeln!(text, "{value}");
            continue;
        }
        let day = |wall| date::rfc3339(wall).get(..10).unwrap_or_default().to_owned();
        let last = last.map_or_else(|| "never".to_owned(), day);
        let state = match (account.is_admin, account.is_disabled) {
            (false, false) => "",
            (true, false) => "admin",
            (false, true) => "disabled",
            (true, true) => "admin, disabled",
        };
        let line = format!("{:width$}  {}  {last:12}  {sessions:8}  {state}", account.name, day(account.made));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    Ok(text)
}

fn passwd(config: &Config, name: &str, password: &Password) -> Result<String, Mistake> {
    // Before anybody is asked for a password that is for nobody.
    let name = Desk::open(config)?.account(name)?.name.clone();
    let secret = new_password(password, &name)?;
    let hash = hash(config, &secret)?;
    let mut desk = Desk::open(config)?;
    let account = desk.account(&name)?.id;
    match desk.keep(Change::SetPassword { account, checked: None, password: hash, keeps: None })? {
        true => Ok(format!("{name} has a new password; every session has ended.\n")),
        false => Err(gone(&name)),
    }
}

fn reset(config: &Config, name: &str) -> Result<String, Mistake> {
    let mut desk = Desk::open(config)?;
    let account = desk.account(name)?.id;
    let code = code(&random::<CODE_BYTES>()?);
    let until = process::wall().plus(CODE_MS);
    match desk.keep(Change::GiveCode { account, code: Digest::of_code(&code), until })? {
        true => Ok(format!("Code, good for one reset until {}: {code}\n", date::rfc3339(until))),
        false => Err(gone(name)),
    }
}

fn set(config: &Config, name: &str, is_disabled: Option<bool>, is_admin: Option<bool>) -> Result<String, Mistake> {
    let mut desk = Desk::open(config)?;
    let (account, name) = desk.account(name).map(|account| (account.id, account.name.clone()))?;
    if !desk.keep(Change::Set { account, is_disabled, is_admin, quota: None })? {
        return Err(gone(&name));
    }
    let told = match (is_disabled, is_admin) {
        (Some(true), _) => "is kept out; every session has ended",
        (Some(false), _) => "is let in",
        (_, Some(true)) => "is an admin",
        _ => "is no admin",
    };
    Ok(format!("{name} {told}.\n"))
}

fn remove(config: &Config, name: &str, is_forced: bool) -> Result<String, Mistake> {
    let name = Desk::open(config)?.account(name)?.name.clone();
    if !is_forced && is_terminal() {
        let mut err = io::stderr();
        let _ = write!(err, "Delete {name} and all private files of {name}? (yes or no) ").and_then(|()| err.flush());
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        if !matches!(line.trim(), "y" | "yes") {
            return Err(Mistake::refused(format!("{name} stays")));
        }
    }
    let mut desk = Desk::open(config)?;
    let account = desk.account(&name)?.id;
    if !desk.keep(Change::Delete { account, checked: None })? {
        return Err(gone(&name));
    }
    // A server that runs does it by itself, and nobody else may come between its own steps.
    if desk.is_alone {
        let home = home(&config.data, account);
        match fs::remove_dir_all(&home) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let shown = home.display();
                return Err(Mistake::cannot_write(format!("{name} is deleted, but not the files in {shown}: {error}")));
            }
            _ => {}
        }
    }
    Ok(format!("{name} is deleted; the name stays taken.\n"))
}

fn gone(name: &str) -> Mistake {
    Mistake::refused(format!("{name} was deleted meanwhile"))
}

fn refused(fault: Fault) -> Mistake {
    Mistake::refused(fault.detail)
}

fn random<const N: usize>() -> Result<[u8; N], Mistake> {
    let mut bytes = [0; N];
    if process::fill(&mut bytes) { Ok(bytes) } else { Err(Mistake::refused("the system gives no random numbers")) }
}

fn hash(config: &Config, password: &str) -> Result<Hash, Mistake> {
    let (memory_kib, passes) = config.password_profile.cost();
    let hash = Hash::of(password, random::<SALT_BYTES>()?, Cost { memory_kib, passes });
    hash.ok_or_else(|| Mistake::refused("there is not enough memory to hash a password"))
}

fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A password from its file, or from a person who says it twice. What will not do is told before anything is done.
fn new_password(from: &Password, name: &str) -> Result<String, Mistake> {
    let file = from.password_file.clone().or_else(|| std::env::var_os("HYTHE_PASSWORD_FILE").map(PathBuf::from));
    let secret = match file {
        Some(file) => first_line(&file)?,
        None if !is_terminal() => {
            let sentence = "a password is needed; name a file that holds it by --password-file (- is stdin)";
            return Err(Mistake::usage(sentence));
        }
        None => ask_twice()?,
    };
    people::new_password(&secret, name).map_err(refused)?;
    Ok(secret)
}

fn ask_twice() -> Result<String, Mistake> {
    process::end_on_interrupt(Exit::Interrupted.code());
    let ask =
        |prompt: &str| ask_secret(prompt).map_err(|error| Mistake::refused(format!("no password was said: {error}")));
    loop {
        let first = ask("New password: ")?;
        if first == ask("The same again: ")? {
            return Ok(first);
        }
        let _ = writeln!(io::stderr(), "These were not the same.");
    }
}

fn first_line(file: &Path) -> Result<String, Mistake> {
    let failed = |error: io::Error| Mistake::configuration(format!("cannot read {}: {error}", file.display()));
    let from: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(file).map_err(failed)?),
    };
    let mut text = String::new();
    from.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Mistake::configuration(format!("{} holds no password in its first line", file.display())));
    }
    Ok(line.to_owned())
}
