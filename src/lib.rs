//! hythe: a single-threaded mio event loop that serves files, takes uploads and carries a chat.

pub mod clock;
pub mod content;
pub mod http;
pub mod os;
pub mod path;
pub mod store;
