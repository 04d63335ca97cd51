//! Accounts as people, programs and attackers meet them: the real binary, real sockets, a real ledger.
//!
//! `place` is a server and one word for each thing a client may want of it; `people` is about what accounts do, `pages` about what
//! browsers are shown, `attacks` about what is tried on them, `ended` about what still comes when its sender is not let in any more, `homes` about private files, `outside` about what an operator does to
//! the data folder beside the server, `killed` about what is left when the server is killed, `watched` about who reads the log,
//! `who` holds every route to who may use it.

#[path = "../live/house.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod house;
#[path = "../live/mortal.rs"]
mod mortal;
#[path = "../live/wire.rs"]
#[allow(dead_code, reason = "the live suite asks more of it")]
mod wire;

mod attacks;
mod ended;
mod homes;
mod killed;
mod outside;
mod pages;
mod people;
mod place;
mod watched;
mod who;
