//! hythe: a single-threaded mio event loop that serves files, takes uploads and carries a chat.

pub mod cli;
pub mod clock;
pub mod config;
pub mod content;
pub mod http;
pub mod path;
mod run;
pub mod store;

pub use run::run;
