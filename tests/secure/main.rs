//! Encrypted connections as their clients see them: the real binary, rustls as a client, and the clients people have.
//!
//! `keys` makes certificates, `ours` is our own client, `client` is a connection whose every record a test can cut as it likes.

#[path = "../live/house.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod house;
#[path = "../live/wire.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod wire;

mod cert;
mod client;
mod embedded;
mod keys;
mod others;
mod ours;
mod records;
mod refusals;
