//! hythe: a single-threaded mio event loop that serves files, takes uploads and carries a chat.

pub mod cli;
pub mod clock;
pub mod config;
pub mod content;
pub mod http;
pub mod os;
pub mod path;
pub mod reactor;
pub mod server;
pub mod site;
pub mod store;

mod run;
pub use run::run;
