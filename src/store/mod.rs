//! Memory: what is kept on the disk and what the loop remembers of it.
//!
//! Two kinds of files: blocking verbs, which helpers call (`tree`, `ledger`), and pure models, which the loop asks
//! (`shelf`, `history`). The disk itself is a trait, so that a test can be the disk.

pub mod accounts;
pub mod archive;
pub mod backup;
pub mod change;
pub mod database;
pub mod digest;
pub mod disk;
pub mod history;
pub mod ledger;
pub mod messages;
pub mod owners;
pub mod partial;
pub mod scopes;
pub mod search;
pub mod secret;
pub mod shelf;
pub mod tree;
pub mod users;

#[cfg(test)]
mod mirror;
#[cfg_attr(not(feature = "compress"), path = "no_zip.rs")]
pub mod zipped;
