//! hythe: a single-threaded mio event loop that serves files, takes uploads and carries a chat; and the crate to put such a
//! server into a program of your own. `docs/embedding.md` is the guide, `examples/` has whole programs.
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
pub mod testing;

mod certify;
mod embed;
mod hand;
mod manage;
mod measures;
mod mount;
mod reload;
mod run;
mod start;
mod upgrade;

pub use certify::certify;
pub use config::Config;
pub use embed::{Handle, Running, Server};
pub use http::fault::Fault;
pub use http::form::parse as read_form;
pub use http::request::{Method, Request};
pub use http::response::{Body, Response};
pub use http::status::Status;
pub use manage::{back_up, look_after};
pub use mount::MountError;
pub use os::doors::Door;
pub use reload::Reread;
pub use run::{Premises, run};
pub use server::blocking::Asked;
pub use server::context::{Call, Context};
pub use server::later::{Answerer, Ticket};
pub use server::layer::Next;
pub use server::lend::{Holds, Lend};
pub use server::reply::{Dialect, Lane, Reply, Sink, State, Step, Topic, Verdict};
pub use server::router::BadPattern;
pub use server::talk::{CloseCode, Handshake, Message, Said, Talk};
pub use site::gate::{Action, Principal, User};
pub use site::login::Visit;
pub use site::state::Site;
pub use store::ledger::Entry;
pub use upgrade::upgrade;
