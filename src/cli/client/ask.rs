//! What is asked of a person: only what is missing, and only at a terminal.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::hush::ask_secret;

/// More than any password may have.
const SECRET_BYTES_MAX: u64 = 4096;

/// Who can be asked, and what need not be.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// Whether a person sits there.
    pub is_terminal: bool,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

impl Asker {
    /// Looks who is there.
    pub fn new(password_file: Option<PathBuf>) -> Asker {
        Asker { is_terminal: io::stdin().is_terminal() && io::stderr().is_terminal(), password_file }
    }

    /// A line: what was given, or what a person says to `prompt`.
    ///
    /// # Errors
    /// If nobody can be asked; `missing` says what is lacking and how to give it.
    pub fn line(&self, given: Option<&str>, prompt: &str, missing: &str) -> Result<String, Failure> {
        match given {
            Some(given) => Ok(given.to_owned()),
            None if !self.is_terminal => Err(Failure::usage(missing)),
            None => loop {
                let line = self.read(prompt)?;
                if !line.is_empty() {
                    return Ok(line);
                }
            },
        }
    }

    /// A line that may be empty.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn read(&self, prompt: &str) -> Result<String, Failure> {
        let mut err = io::stderr();
        let _ = write!(err, "{prompt}: ").and_then(|()| err.flush());
        let mut line = String::new();
        match io::stdin().read_line(&mut line) {
            Ok(0) => {
                let _ = writeln!(err);
                Err(Failure::new(Ending::Interrupted, "nothing more was said"))
            }
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(Failure::local("read from the terminal", &error)),
        }
    }

    /// The password, from its file or from a person.
    ///
    /// # Errors
    /// If neither is there.
    pub fn password(&self, prompt: &str) -> Result<String, Failure> {
        match &self.password_file {
            Some(file) => secret_of(file),
            None => self.secret(prompt, "a password is needed; name a file that holds it by HYTHE_PASSWORD_FILE"),
        }
    }

    /// A password that is new, from its file or said twice.
    ///
    /// # Errors
    /// If neither is there.
    pub fn new_password(&self, file: Option<&Path>) -> Result<String, Failure> {
        if let Some(file) = file {
            return secret_of(file);
        }
        loop {
            let missing = "a new password is needed; name a file that holds it by --new-password-file";
            let first = self.secret("New password", missing)?;
            if first == self.secret("The same again", missing)? {
                return Ok(first);
            }
            let _ = writeln!(io::stderr(), "These were not the same.");
        }
    }

    /// Something that is not shown while it is typed.
    ///
    /// # Errors
    /// If nobody can be asked.
    pub fn secret(&self, prompt: &str, missing: &str) -> Result<String, Failure> {
        if !self.is_terminal {
            return Err(Failure::usage(missing));
        }
        match ask_secret(&format!("{prompt}: ")) {
            Ok(secret) => Ok(secret),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(Failure::new(Ending::Interrupted, "interrupted"))
            }
            Err(error) => Err(Failure::local("read from the terminal", &error)),
        }
    }
}

/// A secret out of a file (`-` is stdin): its first line.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn secret_of(file: &Path) -> Result<String, Failure> {
    let shown = file.display();
    let from: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(file).map_err(|error| Failure::local(format!("read {shown}"), &error))?)
    };
    let mut text = String::new();
    from.take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::local(format!("read {shown}"), &error))?;
    match text.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(Failure::usage(format!("{shown} holds no secret in its first line"))),
    }
}
