//! The live suite: the real binary, real loopback sockets, raw bytes.
//!
//! `house` starts a server in a folder of its own and `wire` speaks to it in bytes. A row is a `case`: a `request` and
//! what to `expect`, in which `scene` fills the names; `tables` hold the rows, `raw` lists the tables, and `play` plays
//! them and holds each answer to the `rules` of the house as well. `head`, `delivery`, `changed`, `refusal`, `limits` and `logs` say
//! what no single row can. `cargo test --test live` runs it all; `HYTHE_LIVE_BIN` names another binary to try.

mod case;
mod changed;
mod delivery;
mod expect;
mod head;
#[allow(dead_code, reason = "only the suite of uploads kills it")]
mod house;
mod limits;
mod logs;
mod play;
mod raw;
mod refusal;
mod request;
mod rules;
mod scene;
mod tables;
#[allow(dead_code, reason = "only the suite of uploads knocks where nobody may be")]
mod wire;
