//! The words around the program: its command line, its configuration, and what it says to the one who starts it.
//!
//! One table (`options`) defines each key once, out of kinds of keys (`key`) whose values have units (`units`) or forms of their own
//! (`forms`). From it come the flags (`command`), the environment variables and the
//! file's keys (`layers`), what `hythe check` prints (`check`) and `docs/configuration.md` (`reference`).
//!
//! The commands that talk to a server instead of being one are in `client`.

#[cfg(feature = "tls")]
pub mod cert;
pub mod check;
#[cfg(feature = "client")]
pub mod client;
pub mod command;
#[cfg(feature = "client")]
pub mod completions;
pub mod exit;
pub mod folders;
pub mod forms;
#[cfg(any(feature = "accounts", feature = "client"))]
pub mod hush;
pub mod key;
pub mod layers;
pub mod logging;
#[cfg(feature = "_ledger")]
pub mod manage;
pub mod options;
#[cfg(test)]
mod reference;
pub mod summary;
pub mod units;
