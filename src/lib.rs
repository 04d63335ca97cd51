//! hythe: a single-threaded mio event loop that serves files, takes uploads and carries a chat; and the crate to put such a
//! server into a program of your own. `docs/embedding.md` is the guide, `examples/` has whole programs.
//!
//! # Where to begin
//!
//! - [`Server`] has the routes, the addresses and the loop: [`run`](Server::run) serves until told to stop, [`start`](Server::start)
//!   leaves the loop to you. What the program remembers is a [`State`].
//! - A handler is a plain function. It is given the state, the [`Call`] (method, path, parameters, header fields) and the [`Context`]
//!   (time, client, topics), and returns a [`Response`], a [`Fault`], or a [`Reply`] where something has to happen first: a body to
//!   gather, work for a helper thread, an answer from elsewhere. It must not block, for all clients share one thread.
//! - A large body goes to a [`Sink`], and comes from a [`Source`]. A [`Talk`] is one client's side of a WebSocket or an event stream.
//! - A [`Site`] in the state ([`Lend`]) lets a program mount what the command serves: pages, files, the chat, accounts. Its limits are
//!   in [`Config`].
//! - [`Server::rehearse`] is the same server for tests, without sockets, and with a time that passes when it is told to.
//!
//! Each built-in part is a feature that can be left out: `accounts`, `chat`, `files`, `ui` (the pages), `tls`, `compress` (folders as a
//! zip) and `client` (the commands that talk to a server). All are on by default.
//!
//! # A whole program
//!
//! ```no_run
//! use hythe::{Call, Context, Fault, Method, Response, Server, State};
//!
//! /// What the program remembers; lent to one handler at a time, so nothing needs a lock.
//! struct Counter(u64);
//!
//! impl State for Counter {
//!     type Entry = ();
//! }
//!
//! fn add(counter: &mut Counter, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
//!     counter.0 += call.parameter_as::<u64>("much")?;
//!     Ok(Response::text(format!("{}\n", counter.0)))
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Counter(0));
//!     server.add_route(&[Method::Post], "/add/:much", add)?;
//!     server.add_blocking(&[Method::Get], "/slow", |_| Response::text("made on a helper\n"))?;
//!     server.listen("127.0.0.1:8080")?;
//!     server.run()?;
//!     Ok(())
//! }
//! ```

#![deny(missing_docs)]

// The crate's promise is what is re-exported below, and `config`. The other rooms are open to the command, to the tests that play
// whole worlds, to the fuzzers and to the bench; they may change with any version, so they are not in the documentation.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod clock;
pub mod config;
#[doc(hidden)]
pub mod content;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod os;
#[doc(hidden)]
pub mod path;
#[doc(hidden)]
pub mod reactor;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod site;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod testing;

/// The programs of the guide and the README are compiled, and run where they end, with the examples of the documentation.
#[cfg(all(doctest, feature = "accounts", feature = "chat", feature = "files"))]
#[doc = include_str!("../docs/embedding.md")]
#[doc = include_str!("../README.md")]
mod guide {}

#[cfg(feature = "_ledger")]
mod backup;
#[cfg(feature = "tls")]
mod certify;
mod embed;
#[cfg(feature = "_ledger")]
mod hand;
#[cfg(feature = "accounts")]
mod manage;
mod measures;
mod mount;
mod reload;
mod run;
mod start;
mod upgrade;

#[cfg(feature = "_ledger")]
#[doc(hidden)]
pub use backup::back_up;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub use certify::certify;
pub use clock::{Moment, Wall};
pub use config::Config;
pub use content::{Content, FileSpan, More, Source};
pub use embed::{Handle, Running, Server};
pub use http::fault::Fault;
pub use http::form::parse as read_form;
pub use http::headers::{Field, Headers};
pub use http::host::{HostList, HostRules};
pub use http::request::{BodyLength, HeadLimits, Method, Request};
pub use http::response::{Body, Piece, Response};
pub use http::status::Status;
#[cfg(feature = "accounts")]
#[doc(hidden)]
pub use manage::look_after;
pub use mount::MountError;
pub use os::doors::Door;
pub use os::sandbox::Sandbox;
pub use path::{PathFault, RelPath};
pub use reactor::slot::{Counts, Marks, Tally};
pub use reactor::system::{Entrance, Key, Peer};
#[doc(hidden)]
pub use reload::Reread;
#[doc(hidden)]
pub use run::{Premises, run};
pub use server::blocking::Asked;
pub use server::context::{Call, Context};
pub use server::house::Rules;
pub use server::later::{Answerer, Ticket};
pub use server::layer::Next;
pub use server::lend::{Holds, Lend};
pub use server::reply::{
    Again, Change, Decided, Dialect, Ending, Lane, Reply, Sink, State, Step, Task, Then, Topic, Verdict,
};
pub use server::router::BadPattern;
pub use server::talk::{CloseCode, Handshake, Message, Said, Talk};
pub use site::gate::{Action, Principal, User};
#[cfg(feature = "accounts")]
pub use site::login::Visit;
pub use site::state::Site;
pub use store::entry::Entry;
pub use store::scopes::Scopes;
pub use store::users::Credential;
pub use testing::{Guest, Rehearsal};
#[doc(hidden)]
pub use upgrade::upgrade;
