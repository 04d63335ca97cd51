//! The shared files as their clients see them: the real binary, real sockets, real files.
//!
//! `share` is a server with an empty shared folder and one word for each thing a client may want of it; `store` is about
//! what comes in, `read` about what goes out, `attacks` about what is not to be had by any means, `change` about what is replaced, moved and removed, `resume`
//! about what comes in pieces, `curl` about how people do all that, `owners` about whose the files are, `killed` about what is left when the server is killed. The house and the wire are those of the live suite.

#[path = "../live/house.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod house;
#[path = "../live/mortal.rs"]
mod mortal;
#[path = "../live/wire.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod wire;

mod attacks;
mod change;
mod curl;
mod killed;
mod owners;
mod read;
mod resume;
mod share;
mod store;
