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

mod embed;
mod run;

pub use embed::Server;
pub use http::fault::Fault;
pub use http::request::{Method, Request};
pub use http::response::{Body, Response};
pub use http::status::Status;
pub use run::run;
pub use server::context::{Call, Context};
pub use server::reply::{Dialect, Lane, Reply, State, Topic, Verdict};
pub use server::talk::{CloseCode, Handshake, Message, Said, Talk};
