//! One command of the client, from its words to its number.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::client::ask::Asker;
use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::server::{Ask, Credential, Server, json_of};
use crate::cli::client::state::State;
use crate::cli::client::target::{Base, DEFAULT_URL, Trust};
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{Voice, plain, size, text};
use crate::cli::client::words::{Order, Task};
use crate::cli::client::{accounts, chat, files, get, menu, messages, put};

/// Does what was asked; answers with the number to end with.
pub fn run(order: &Order, variable: impl Fn(&str) -> Option<OsString>) -> u8 {
    let done = visit(order, variable).and_then(|mut visit| act(&mut visit, &order.task));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            // Who interrupted knows it.
            if failure.ending != Ending::Interrupted {
                files::complain(&failure);
            }
            failure.ending.code()
        }
    }
}

/// Finds out who speaks, to whom, and how. An empty variable is none.
fn visit(order: &Order, variable: impl Fn(&str) -> Option<OsString>) -> Result<Visit, Failure> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let words = |name: &str| -> Result<Option<String>, Failure> {
        let word = variable(name).map(OsString::into_string).transpose();
        word.map_err(|_| Failure::usage(format!("{name} is not UTF-8")))
    };
    let url = match &order.manner.url {
        Some(url) => url.clone(),
        None => words("HYTHE_URL")?.unwrap_or_else(|| DEFAULT_URL.to_owned()),
    };
    let base = Base::read(&url)?;
    let state = State::new(|name| variable(name).map(PathBuf::from));
    let credential = match words("HYTHE_TOKEN")? {
        Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => Some(Credential::Token(token)),
        Some(_) => return Err(Failure::usage("HYTHE_TOKEN holds other than visible ASCII characters")),
        None => state.session(&base.url()).map(|session| Credential::Session(session.token)),
    };
    let trust = Trust {
        ca: order.manner.ca.clone().or_else(|| variable("HYTHE_CA").map(PathBuf::from)),
        pin: match &order.manner.pin {
            Some(pin) => Some(pin.clone()),
            None => words("HYTHE_PIN")?,
        },
    };
    let voice = Voice::new(order.manner.is_json, order.manner.quiet, variable("NO_COLOR").is_none());
    if !matches!(credential, Some(Credential::Token(_)))
        && let Some(sentence) = state.look_over()
    {
        voice.remark(&sentence);
    }
    let password_file = order.manner.password_file.clone();
    let password_file = password_file.or_else(|| variable("HYTHE_PASSWORD_FILE").map(PathBuf::from));
    Ok(Visit { server: Server::new(base, &trust, credential)?, state, voice, asker: Asker::new(password_file) })
}

fn act(visit: &mut Visit, task: &Task) -> Result<(), Failure> {
    let done = match task {
        Task::Register(order) => accounts::register(visit, order),
        Task::Login(order) => accounts::login(visit, order),
        Task::Logout => accounts::logout(visit),
        Task::Whoami => accounts::whoami(visit),
        Task::Passwd(order) => accounts::change_password(visit, order),
        Task::Reset(order) => accounts::reset(visit, order),
        Task::Ls(order) => files::list(visit, order),
        Task::Info(order) => files::info(visit, order),
        Task::Get(order) => get::get(visit, order),
        Task::Put(order) => put::put(visit, order),
        Task::Update(order) => put::update(visit, order),
        Task::Mv(order) => files::rename(visit, order),
        Task::Rm(order) => files::remove(visit, order),
        Task::Mkdir(order) => files::make_folders(visit, order),
        Task::Json(order) => put::json(visit, order),
        Task::Send(order) => messages::send(visit, order),
        Task::Tail(order) => messages::tail(visit, order),
        Task::Chat(order) => chat::chat(visit, order),
        Task::Client => menu::menu(visit, act),
        Task::Status => status(visit),
    };
    done.map_err(|failure| if is_end_of_session(visit, &failure) { end_session(visit, failure) } else { failure })
}

/// Whether a refusal tells that our session has ended.
fn is_end_of_session(visit: &Visit, failure: &Failure) -> bool {
    visit.server.has_session() && matches!(failure.code.as_deref(), Some("invalid_token" | "session_ended"))
}

/// A session that has ended is forgotten, so that the next command is a guest's.
fn end_session(visit: &mut Visit, failure: Failure) -> Failure {
    let _ = visit.state.keep_session(&visit.server.base.url(), None);
    visit.server.speak_for(None);
    Failure { sentence: "the session has ended; hythe login begins another".to_owned(), ..failure }
}

/// Tells how the server is, and what it can do.
fn status(visit: &Visit) -> Result<(), Failure> {
    let about = visit.server.json(Ask::get("/api"))?;
    let answer = visit.server.any(Ask::get("/healthz"))?;
    let status = answer.status().as_u16();
    let health = json_of(answer)?;
    let health = match text(&health, "status") {
        "" => format!("answers {status}"),
        health => health.to_owned(),
    };
    let user = visit.user().ok();
    let url = visit.server.base.url();
    let mut told = json!({"url": url, "status": health, "user": user});
    for member in ["name", "version", "features", "limits"] {
        told[member] = about[member].clone();
    }
    visit.voice.result(&told, || {
        let mut lines = vec![
            format!("{:<14} {}", "server", plain(&url)),
            format!("{:<14} {}", "status", plain(&health)),
            format!("{:<14} {} {}", "software", plain(text(&about, "name")), plain(text(&about, "version"))),
            format!("{:<14} {}", "signed in", user.as_deref().map_or("nobody".into(), plain)),
        ];
        let features = about["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.push(format!("{:<14} {}", "features", plain(&features.collect::<Vec<_>>().join(" "))));
        for (name, limit) in about["limits"].as_object().into_iter().flatten() {
            let shown = match limit {
                Value::Null => "no limit".to_owned(),
                Value::Number(number) if name.ends_with("_limit") => number.as_u64().map_or(number.to_string(), size),
                other => plain(&other.to_string()).into_owned(),
            };
            lines.push(format!("{:<14} {shown}", plain(&name.replace('_', " "))));
        }
        lines.join("\n")
    })?;
    match status {
        200 => Ok(()),
        _ => Err(Failure::new(Ending::of_status(status), format!("the server is {health}"))),
    }
}
