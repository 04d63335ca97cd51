//! What is remembered between two commands, in the user's state folder: who is signed in where, and uploads that are not finished.
//!
//! The folder is for its owner alone, and so is each file in it. A file is written anew and put in place in one step, so that
//! two commands at once leave one of two whole files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cli::client::failure::Failure;

const SESSIONS: &str = "sessions.json";
const UPLOADS: &str = "uploads.json";

/// Uploads that are remembered; the server keeps fewer than this for one person.
const UPLOADS_MAX: usize = 256;

/// Someone who is signed in.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The account.
    pub user: String,
    /// The bearer token.
    pub token: String,
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: Option<PathBuf>,
}

impl State {
    /// The folder that the environment names: `$XDG_STATE_HOME/hythe`, or `~/.local/state/hythe`.
    pub fn new(variable: impl Fn(&str) -> Option<PathBuf>) -> State {
        let set = |name| variable(name).filter(|path| path.is_absolute());
        let base = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        State { folder: base.map(|base| base.join("hythe")) }
    }

    /// What there is to say of the file of sessions before it is used, one sentence: others could read it, or it cannot be read. What
    /// others could read they cannot from now on.
    pub fn look_over(&self) -> Option<String> {
        let file = self.folder.as_ref()?.join(SESSIONS);
        let shown = file.display();
        let mode = match fs::metadata(&file) {
            Ok(facts) => facts.permissions().mode() & 0o777,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => return Some(format!("cannot read {shown}: {error}; nobody counts as signed in")),
        };
        match fs::read(&file).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(Value::Object(_))) if mode & 0o077 == 0 => None,
            Ok(Ok(Value::Object(_))) => match fs::set_permissions(&file, fs::Permissions::from_mode(0o600)) {
                Ok(()) => Some(format!(
                    "others could read {shown}, which holds your sessions; now they cannot. Sign out and in again if one may have"
                )),
                Err(error) => Some(format!("others can read {shown}, which holds your sessions: {error}")),
            },
            Ok(_) => Some(format!("{shown} is damaged, so nobody counts as signed in; signing in writes it anew")),
            Err(error) => Some(format!("cannot read {shown}: {error}; nobody counts as signed in")),
        }
    }

    /// Who is signed in at a server.
    pub fn session(&self, url: &str) -> Option<Session> {
        let sessions = self.read(SESSIONS);
        let session = sessions.get(url)?;
        let text = |member: &str| session.get(member).and_then(Value::as_str).map(str::to_owned);
        Some(Session { user: text("user")?, token: text("token")? })
    }

    /// Remembers who is signed in at a server, or that nobody is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_session(&self, url: &str, session: Option<&Session>) -> Result<(), Failure> {
        let mut sessions = self.read(SESSIONS);
        match session {
            Some(session) => {
                sessions.insert(url.to_owned(), json!({"user": session.user, "token": session.token}));
            }
            None if sessions.remove(url).is_none() => return Ok(()),
            None => {}
        }
        self.write(SESSIONS, &sessions)
    }

    /// Where an upload that was not finished goes on.
    pub fn upload(&self, of: &str) -> Option<String> {
        self.read(UPLOADS).get(of)?.as_str().map(str::to_owned)
    }

    /// Remembers where an upload goes on, or that it is over. An upload that cannot be remembered starts anew: no reason to fail.
    pub fn keep_upload(&self, of: &str, at: Option<&str>) {
        let mut uploads = self.read(UPLOADS);
        match at {
            Some(at) => {
                if uploads.len() >= UPLOADS_MAX {
                    uploads.clear();
                }
                uploads.insert(of.to_owned(), at.into());
            }
            None if uploads.remove(of).is_none() => return,
            None => {}
        }
        let _ = self.write(UPLOADS, &uploads);
    }

    fn read(&self, name: &str) -> Map<String, Value> {
        let Some(folder) = &self.folder else { return Map::new() };
        let text = fs::read(folder.join(name)).unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }

    fn write(&self, name: &str, members: &Map<String, Value>) -> Result<(), Failure> {
        let Some(folder) = &self.folder else {
            return Err(Failure::other("nowhere to remember it: neither XDG_STATE_HOME nor HOME is set"));
        };
        let file = folder.join(name);
        let text = Value::Object(members.clone()).to_string();
        write_private(folder, &file, text.as_bytes())
            .map_err(|error| Failure::local(format!("write {}", file.display()), &error))
    }
}

/// Puts a file in place that nobody else can read.
fn write_private(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let draft = file.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut out = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft) {
            // Left by a process of the same number that was cut off.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&draft)?;
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?
            }
            other => other?,
        };
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&draft, file)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> (State, PathBuf) {
        let base = std::env::temp_dir().join(format!("hythe-state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let theirs = base.clone();
        (State::new(move |variable| (variable == "XDG_STATE_HOME").then(|| theirs.clone())), base)
    }

    #[test]
    fn a_session_is_kept_for_its_server_and_for_its_owner_alone() {
        let (state, base) = state("session");
        let ada = Session { user: "ada".into(), token: "t1".into() };
        state.keep_session("http://a", Some(&ada)).unwrap();
        state.keep_session("http://b", Some(&Session { user: "bob".into(), token: "t2".into() })).unwrap();
        assert!(state.session("http://a") == Some(ada));
        state.keep_session("http://b", None).unwrap();
        assert!(state.session("http://b").is_none() && state.session("http://a").is_some());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&base.join("hythe")), 0o700);
        assert_eq!(mode(&base.join("hythe/sessions.json")), 0o600);
        assert_eq!(fs::read_dir(base.join("hythe")).unwrap().count(), 1);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn what_is_broken_or_nowhere_is_as_good_as_nothing() {
        let (state, base) = state("broken");
        fs::create_dir_all(base.join("hythe")).unwrap();
        fs::write(base.join("hythe/sessions.json"), "{broken").unwrap();
        assert!(state.session("http://a").is_none());
        state.keep_upload("x", Some("/tus/1"));
        assert_eq!(state.upload("x").as_deref(), Some("/tus/1"));
        state.keep_upload("x", None);
        assert_eq!(state.upload("x"), None);
        let nowhere = State::new(|_| None);
        assert!(nowhere.session("http://a").is_none());
        assert!(nowhere.keep_session("http://a", Some(&Session { user: "a".into(), token: "t".into() })).is_err());
        assert!(nowhere.keep_session("http://a", None).is_ok());
        fs::remove_dir_all(base).unwrap();
    }
}
