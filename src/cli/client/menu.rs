//! `hythe client`: a menu for people who like to be asked. Each line of it is one of the other commands.

use std::path::PathBuf;

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::files::complain;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::plain;
use crate::cli::client::words::{
    Chat, Get, Home, Ls, Mv, Passwd, Paths, Put, Register, Reset, Send, Tail, Task, Update, Who,
};

/// A line of the menu.
struct Line {
    key: &'static str,
    says: &'static str,
    /// Asks for what the command needs.
    task: fn(&Visit) -> Result<Task, Failure>,
}

const LINES: &[Line] = &[
    Line { key: "1", says: "sign in", task: |_| Ok(Task::Login(Who { name: None })) },
    Line { key: "2", says: "register", task: |_| Ok(Task::Register(Register { name: None, invite_file: None })) },
    Line {
        key: "3",
        says: "set a new password with a recovery code",
        task: |_| Ok(Task::Reset(Reset { name: None, code_file: None, new_password_file: None })),
    },
    Line {
        key: "4",
        says: "list files",
        task: |visit| {
            let path = visit.asker.read("Folder (empty is all)")?;
            let sort = "name".to_owned();
            Ok(Task::Ls(Ls { path, sort, long: true, home: home(visit)?, reverse: false, find: None }))
        },
    },
    Line {
        key: "5",
        says: "upload a file",
        task: |visit| {
            let file = PathBuf::from(need(visit, "File here")?);
            let name = some(visit.asker.read("Name at the server (empty keeps it)")?);
            Ok(Task::Put(Put { files: vec![file], name, folder: None, force: false, home: home(visit)? }))
        },
    },
    Line {
        key: "6",
        says: "download a file",
        task: |visit| {
            let path = need(visit, "File at the server")?;
            let to = some(visit.asker.read("Where to (empty is here)")?).map(PathBuf::from);
            Ok(Task::Get(Get { path, to, goes_on: false, force: false, home: home(visit)? }))
        },
    },
    Line {
        key: "7",
        says: "replace a file",
        task: |visit| {
            let file = PathBuf::from(need(visit, "File here")?);
            let path = some(visit.asker.read("What it replaces at the server (empty is the same name)")?);
            Ok(Task::Update(Update { file, path, home: home(visit)? }))
        },
    },
    Line {
        key: "8",
        says: "rename a file",
        task: |visit| {
            let from = need(visit, "From")?;
            let to = need(visit, "To")?;
            Ok(Task::Mv(Mv { from, to, force: false, home: home(visit)? }))
        },
    },
    Line { key: "9", says: "remove a file", task: |visit| Ok(Task::Rm(paths(visit)?)) },
    Line { key: "10", says: "make a folder", task: |visit| Ok(Task::Mkdir(paths(visit)?)) },
    Line {
        key: "11",
        says: "say something",
        task: |visit| Ok(Task::Send(Send { room: room(visit)?, name: None, text: vec![need(visit, "Message")?] })),
    },
    Line {
        key: "12",
        says: "read what was said",
        task: |visit| Ok(Task::Tail(Tail { room: room(visit)?, since: None, once: true })),
    },
    Line { key: "13", says: "chat", task: |visit| Ok(Task::Chat(Chat { room: room(visit)?, name: None })) },
    Line { key: "14", says: "change the password", task: |_| Ok(Task::Passwd(Passwd { new_password_file: None })) },
    Line { key: "15", says: "sign out", task: |_| Ok(Task::Logout) },
];

fn need(visit: &Visit, prompt: &str) -> Result<String, Failure> {
    visit.asker.line(None, prompt, "")
}

fn some(answer: String) -> Option<String> {
    Some(answer).filter(|answer| !answer.is_empty())
}

fn home(visit: &Visit) -> Result<Home, Failure> {
    if visit.server.token().is_none() {
        return Ok(Home { is_private: false });
    }
    let answer = visit.asker.read("In your own home? (y/N)")?;
    Ok(Home { is_private: matches!(answer.to_lowercase().as_str(), "y" | "yes") })
}

fn paths(visit: &Visit) -> Result<Paths, Failure> {
    Ok(Paths { paths: vec![need(visit, "Path at the server")?], home: home(visit)? })
}

fn room(visit: &Visit) -> Result<String, Failure> {
    Ok(some(visit.asker.read("Room (empty is lobby)")?).unwrap_or_else(|| "lobby".to_owned()))
}

/// Asks what to do and has it done by `act`, until told to stop.
///
/// # Errors
/// If nobody can be asked.
pub fn menu(visit: &mut Visit, act: fn(&mut Visit, &Task) -> Result<(), Failure>) -> Result<(), Failure> {
    if !visit.asker.is_terminal {
        return Err(Failure::usage("the menu is for a terminal; hythe --help lists the commands"));
    }
    loop {
        eprint!("{}", picture(visit));
        let word = match visit.asker.read("What") {
            // The end of the input is a way to leave.
            Err(failure) if failure.ending == Ending::Interrupted => return Ok(()),
            other => other?,
        };
        let line = match word.as_str() {
            "" => continue,
            "0" | "q" | "quit" | "exit" => return Ok(()),
            word => LINES.iter().find(|line| line.key == word || line.says == word),
        };
        let Some(line) = line else {
            eprintln!("{} is none of them.", plain(&word));
            continue;
        };
        let outcome = (line.task)(visit).and_then(|task| act(visit, &task));
        if let Err(failure) = outcome {
            complain(&failure);
        }
    }
}

fn picture(visit: &Visit) -> String {
    let url = visit.server.base.url();
    let who = match visit.state.session(&url).filter(|_| visit.server.has_session()) {
        Some(session) => format!("signed in as {}", plain(&session.user)),
        None if visit.server.token().is_some() => "with a token".to_owned(),
        None => "as a guest".to_owned(),
    };
    let mut text = format!("\n{}, {who}\n", plain(&url));
    for line in LINES {
        text.push_str(&format!("{:>4}  {}\n", line.key, line.says));
    }
    text.push_str("   0  leave\n");
    text
}
