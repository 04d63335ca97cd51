//! The chat as its clients see it: the real binary, real sockets, a real ledger.
//!
//! `place` is a server with an empty history and one word for each thing a client may want of it; `said` is about what is
//! kept and read again, `rooms` about where it is said, `stream` about who hears it, `socket` about the WebSocket.

#[path = "../live/house.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod house;
#[path = "../live/wire.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod wire;

mod crash;
mod place;
mod rooms;
mod said;
mod socket;
mod stream;
