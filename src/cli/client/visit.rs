//! One command's visit to a server: who speaks, to whom, and how.

use serde_json::Value;

use crate::cli::client::ask::Asker;
use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::server::{Ask, Server};
use crate::cli::client::state::State;
use crate::cli::client::target;
use crate::cli::client::voice::{Voice, text};

/// All that a command needs.
pub struct Visit {
    /// The other end.
    pub server: Server,
    /// What is remembered.
    pub state: State,
    /// What is said.
    pub voice: Voice,
    /// Who can be asked.
    pub asker: Asker,
}

impl Visit {
    /// A path at the server: as it was given, or in the home of whoever is signed in.
    ///
    /// # Errors
    /// If nobody is.
    pub fn place(&self, path: &str, is_private: bool) -> Result<String, Failure> {
        let path = path.trim_start_matches('/');
        if !is_private {
            return Ok(path.to_owned());
        }
        let user = self.user()?;
        Ok(format!("~{user}/{path}").trim_end_matches('/').to_owned())
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// If nobody is.
    pub fn user(&self) -> Result<String, Failure> {
        if self.server.has_session()
            && let Some(session) = self.state.session(&self.server.base.url())
        {
            return Ok(session.user);
        }
        if self.server.token().is_none() {
            return Err(Failure::new(Ending::NotAllowed, "nobody is signed in; hythe login does"));
        }
        let me = self.server.json(Ask::get("/me")).map_err(|failure| match failure.ending {
            Ending::NotAllowed => Failure { sentence: "nobody is signed in; hythe login does".to_owned(), ..failure },
            _ => failure,
        })?;
        match text(&me, "user") {
            "" => Err(Failure::new(Ending::NotAllowed, "nobody is signed in; hythe login does")),
            user => Ok(user.to_owned()),
        }
    }

    /// What the server tells of a file.
    ///
    /// # Errors
    /// If it tells nothing.
    pub fn info(&self, path: &str) -> Result<Value, Failure> {
        self.server.json(Ask::get(target::path("/file-info", path)))
    }
}
