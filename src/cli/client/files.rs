//! The commands about files that move no content: list, tell, rename, remove, make a folder.

use std::fmt::Write;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::server::Ask;
use crate::cli::client::target;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{plain, size, text};
use crate::cli::client::words::{Ls, Mv, Paths};

/// How many names one answer may have.
const PAGE: &str = "1000";

/// Lists a folder, page by page, as it comes.
///
/// # Errors
/// What the server has against it.
pub fn list(visit: &Visit, order: &Ls) -> Result<(), Failure> {
    let folder = visit.place(&order.path, order.home.is_private)?;
    let prefix = folder.trim_end_matches('/');
    let is_long = order.long || visit.voice.is_seen;
    let mut after: Option<String> = None;
    loop {
        let ask = Ask::get(target::with_query(
            "/file-list",
            &[
                ("prefix", Some(prefix).filter(|prefix| !prefix.is_empty())),
                ("sort", Some(&order.sort)),
                ("order", order.reverse.then_some("desc")),
                ("limit", Some(PAGE)),
                ("after", after.as_deref()),
                ("q", order.find.as_deref()),
            ],
        ));
        let listed = visit.server.json(ask)?;
        // Folders are told once, before the files.
        let dirs = listed["dirs"].as_array().filter(|_| after.is_none());
        for dir in dirs.into_iter().flatten().filter_map(Value::as_str) {
            let path = if prefix.is_empty() { dir.to_owned() } else { format!("{prefix}/{dir}") };
            let name = visit.voice.coloured(34, &format!("{}/", plain(dir)));
            let object = json!({"name": dir.rsplit('/').next(), "path": path, "type": "folder"});
            visit.voice.result(&object, || if is_long { format!("{:>10}  {:20}  {name}", "", "") } else { name })?;
        }
        for file in listed["files"].as_array().into_iter().flatten() {
            visit.voice.result(file, || line(file, prefix, is_long, order.find.is_some()))?;
        }
        if listed["cut"] == true {
            visit.voice.remark("the search has looked at all it may look at; there may be more");
        }
        match listed["next"].as_str() {
            // A server that sends us in a circle is not followed.
            Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
            _ => return Ok(()),
        }
    }
}

fn line(file: &Value, prefix: &str, is_long: bool, is_search: bool) -> String {
    let path = text(file, "path");
    let name =
        if is_search { path.strip_prefix(prefix).unwrap_or(path).trim_start_matches('/') } else { text(file, "name") };
    if !is_long {
        return plain(name).into_owned();
    }
    let owner = match text(file, "owner") {
        "" => String::new(),
        owner => format!("  ({})", plain(owner)),
    };
    let bytes = size(file["size"].as_u64().unwrap_or_default());
    format!("{bytes:>10}  {:20}  {}{owner}", plain(text(file, "modified")), plain(name))
}

/// Tells all about files.
///
/// # Errors
/// What the server has against it.
pub fn info(visit: &Visit, order: &Paths) -> Result<(), Failure> {
    each(visit, order, |path| {
        let file = visit.info(path).map_err(|failure| failure.about(plain(path)))?;
        visit.voice.result(&file, || {
            let mut told = String::new();
            for (member, value) in file.as_object().into_iter().flatten() {
                let value = match value {
                    Value::String(text) => plain(text).into_owned(),
                    Value::Null => "-".to_owned(),
                    other => plain(&other.to_string()).into_owned(),
                };
                let _ = writeln!(told, "{:<9} {value}", plain(member));
            }
            told
        })
    })
}

/// Removes files and empty folders.
///
/// # Errors
/// What the server has against one of them; the others are removed all the same.
pub fn remove(visit: &Visit, order: &Paths) -> Result<(), Failure> {
    each(visit, order, |path| {
        let ask = Ask::new(Method::DELETE, target::path("/files", path));
        let removed = visit.server.json(ask).map_err(|failure| failure.about(plain(path)))?;
        visit.voice.result(&removed, || format!("{} is removed", plain(path)))
    })
}

/// Makes folders.
///
/// # Errors
/// What the server has against one of them; the others are made all the same.
pub fn make_folders(visit: &Visit, order: &Paths) -> Result<(), Failure> {
    each(visit, order, |path| {
        let made = visit.server.json(Ask::post("/dirs", &json!({"path": path.trim_end_matches('/')})));
        let made = made.map_err(|failure| failure.about(plain(path)))?;
        visit.voice.result(&made, || format!("{} is made", plain(path)))
    })
}

/// Does it for each path.
fn each(visit: &Visit, order: &Paths, act: impl Fn(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let places = order.paths.iter().map(|path| visit.place(path, order.home.is_private));
    try_all(places.collect::<Result<Vec<_>, _>>()?, |path| match path.as_str() {
        "" => Err(Failure::usage("an empty path names nothing")),
        path => act(path),
    })
}

/// Does it for each of several things: one that fails keeps none of the others from being tried.
///
/// # Errors
/// The last failure, with which the command ends; those before it are told on stderr.
pub fn try_all<T>(
    things: impl IntoIterator<Item = T>,
    mut act: impl FnMut(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut last = None;
    for thing in things {
        if let Err(failure) = act(thing)
            && let Some(before) = last.replace(failure)
        {
            complain(&before);
        }
    }
    last.map_or(Ok(()), Err)
}

/// A failure that is not the one the command ends with.
pub fn complain(failure: &Failure) {
    eprintln!("hythe: {}", plain(&failure.sentence));
}

/// Renames or moves.
///
/// # Errors
/// What the server has against it.
pub fn rename(visit: &Visit, order: &Mv) -> Result<(), Failure> {
    let from = visit.place(&order.from, order.home.is_private)?;
    let mut to = visit.place(&order.to, order.home.is_private)?;
    if order.to.ends_with('/') || to.is_empty() {
        let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        to = format!("{}/{name}", to.trim_end_matches('/')).trim_start_matches('/').to_owned();
    }
    let mut wish = json!({"from": from, "to": to});
    if order.force {
        wish["on_conflict"] = "overwrite".into();
    }
    let file = visit.server.json(Ask::post("/rename", &wish)).map_err(|mut failure| {
        let is_taken = failure.ending == Ending::Conflict;
        if is_taken && !order.force {
            failure.sentence.push_str("; -f overwrites");
        }
        failure.about(plain(if is_taken { &to } else { &from }))
    })?;
    visit.voice.result(&file, || format!("{} is now {}", plain(&from), plain(text(&file, "path"))))
}
