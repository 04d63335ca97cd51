//! The client: the commands that talk to a server, from the words that ask for them to the number they end with.
//!
//! `words` is what can be asked for, `run` does it. Between them: `server` (one request, one answer, one failure), `voice` (what is
//! said, and to whom), `ask` (what is asked of a person), `state` (what is remembered between two commands), and a file for each
//! family of commands. Nothing here serves anyone: it blocks, and it may end the process.

pub mod accounts;
pub mod ask;
pub mod chat;
pub mod dial;
pub mod failure;
pub mod files;
pub mod get;
pub mod menu;
pub mod messages;
pub mod progress;
pub mod put;
pub mod run;
#[cfg_attr(not(feature = "tls"), path = "no_secure.rs")]
pub mod secure;
pub mod server;
pub mod state;
pub mod target;
pub mod visit;
pub mod voice;
pub mod words;
