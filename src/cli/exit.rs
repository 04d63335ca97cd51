//! How the program ends: one plain sentence for a person, one number for a script.
//!
//! The numbers are those of `sysexits.h`, where a service manager looks them up.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The number the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what was asked.
    Fine,
    /// 1: what was asked cannot be done: there is no such user, as a rule.
    Refused,
    /// 2: the words behind one of the client's commands cannot be understood.
    ClientUsage,
    /// 64: the command line cannot be understood.
    Usage,
    /// 71: an address is in use, or the system refused something else that it should not.
    System,
    /// 73: a folder or file cannot be made or written.
    CannotWrite,
    /// 77: the system does not permit it: a privileged port, as a rule.
    NotPermitted,
    /// 78: the configuration cannot be right.
    Configuration,
    /// 130: whoever sits at the terminal interrupted it.
    Interrupted,
}

impl Exit {
    /// The number itself.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Fine => 0,
            Exit::Refused => 1,
            Exit::ClientUsage => 2,
            Exit::Usage => 64,
            Exit::System => 71,
            Exit::CannotWrite => 73,
            Exit::NotPermitted => 77,
            Exit::Configuration => 78,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// What keeps the program from starting: the sentence to say and the number to end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The number.
    pub exit: Exit,
    /// The sentence: what was refused, and what would be accepted.
    pub sentence: String,
}

impl Mistake {
    /// A mistake on the command line.
    pub fn usage(sentence: impl Into<String>) -> Mistake {
        Mistake { exit: Exit::Usage, sentence: sentence.into() }
    }

    /// A mistake in the configuration.
    pub fn configuration(sentence: impl Into<String>) -> Mistake {
        Mistake { exit: Exit::Configuration, sentence: sentence.into() }
    }

    /// Something that was understood and cannot be done.
    pub fn refused(sentence: impl Into<String>) -> Mistake {
        Mistake { exit: Exit::Refused, sentence: sentence.into() }
    }

    /// Something that cannot be made or written.
    pub fn cannot_write(sentence: impl Into<String>) -> Mistake {
        Mistake { exit: Exit::CannotWrite, sentence: sentence.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Mistake {}

/// Why a server could not start, or could not go on.
#[derive(Debug)]
pub enum RunError {
    /// It cannot listen on an address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// It cannot use a folder, or a file in one.
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It cannot listen on a Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another server works in the data folder.
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The kernel cannot confine us, and must.
    Sandbox {
        /// What it said.
        error: io::Error,
    },
    /// It cannot go on as the user that was named.
    User {
        /// The user.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// What was configured cannot be.
    Configuration(String),
    /// Anything else that the system refused.
    Other {
        /// What we were doing, to follow "cannot": `wait for events`.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl RunError {
    /// The number the program ends with.
    pub fn exit(&self) -> Exit {
        match self {
            RunError::Folder { .. } | RunError::Taken { .. } => Exit::CannotWrite,
            RunError::Configuration(_) => Exit::Configuration,
            RunError::Sandbox { .. } => Exit::System,
            RunError::User { .. } => Exit::NotPermitted,
            RunError::Listen { error, .. } | RunError::Unix { error, .. } | RunError::Other { error, .. } => {
                match error.kind() {
                    ErrorKind::PermissionDenied => Exit::NotPermitted,
                    // Addresses this machine does not have: no other start will find them either.
                    ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => Exit::Configuration,
                    _ => Exit::System,
                }
            }
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Listen { address, error } => match error.kind() {
                ErrorKind::AddrInUse => {
                    write!(
                        f,
                        "{address} is in use by another program; choose another port, as in: hythe {}",
                        other(*address)
                    )
                }
                ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "not permitted to listen on {address}; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)"
                    )
                }
                ErrorKind::AddrNotAvailable => {
                    write!(f, "cannot listen on {address}: this machine has no such address")
                }
                _ => write!(f, "cannot listen on {address}: {error}"),
            },
            RunError::Unix { path, error } => match error.kind() {
                ErrorKind::AddrInUse => {
                    write!(f, "the Unix socket {} is in use by another program, or is no socket", path.display())
                }
                _ => write!(f, "cannot listen on {}: {error}", path.display()),
            },
            RunError::Taken { path } => {
                write!(
                    f,
                    "another hythe works in the data folder {} already; give this one its own by --data",
                    path.display()
                )
            }
            RunError::Configuration(sentence) => f.write_str(sentence),
            RunError::Sandbox { error } => {
                write!(f, "the kernel cannot confine this process ({error}); sandbox best does without where it must")
            }
            RunError::User { name, error } => {
                write!(f, "not permitted to go on as {name}: {error}; only root can become somebody else")
            }
            RunError::Folder { path, error } => write!(f, "cannot use {}: {error}", path.display()),
            RunError::Other { doing, error } => write!(f, "cannot {doing}: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<RunError> for Mistake {
    fn from(error: RunError) -> Mistake {
        Mistake { exit: error.exit(), sentence: error.to_string() }
    }
}

/// A port near the one that is taken, as an example to type.
fn other(address: SocketAddr) -> u16 {
    match address.port() {
        port @ 1024..=u16::MAX => port.checked_add(1).unwrap_or(port - 1),
        _ => 8080,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_the_number_of_the_contract() {
        let listen =
            |kind: ErrorKind| RunError::Listen { address: "127.0.0.1:80".parse().unwrap(), error: kind.into() };
        let folder = RunError::Folder { path: "data".into(), error: ErrorKind::PermissionDenied.into() };
        let other = |kind: ErrorKind| RunError::Other { doing: "wait for events", error: kind.into() };
        for (error, code) in [
            (listen(ErrorKind::AddrInUse), 71),
            (listen(ErrorKind::PermissionDenied), 77),
            (listen(ErrorKind::AddrNotAvailable), 78),
            (listen(ErrorKind::OutOfMemory), 71),
            (folder, 73),
            (other(ErrorKind::PermissionDenied), 77),
            (other(ErrorKind::Other), 71),
        ] {
            assert_eq!(error.exit().code(), code, "{error}");
        }
    }

    #[test]
    fn a_taken_address_is_told_with_a_port_that_may_be_free() {
        for (port, free) in [(8080, "8081"), (65535, "65534"), (80, "8080")] {
            let error = RunError::Listen {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                error: ErrorKind::AddrInUse.into(),
            };
            assert!(error.to_string().ends_with(&format!("hythe {free}")), "{error}");
        }
    }
}
