//! Memory: what is kept on the disk and what the loop remembers of it.
//!
//! Two kinds of files: blocking verbs, which helpers call (`tree`, `ledger`), and pure models, which the loop asks
//! (`shelf`, `history`). The disk itself is a trait, so that a test can be the disk.

#[cfg(feature = "_ledger")]
pub mod accounts;
#[cfg(feature = "files")]
pub mod archive;
#[cfg(feature = "_ledger")]
pub mod backup;
pub mod change;
#[cfg(feature = "_ledger")]
pub mod database;
pub mod digest;
pub mod disk;
pub mod entry;
pub mod history;
#[cfg(feature = "_ledger")]
pub mod ledger;
pub mod locks;
#[cfg(feature = "_ledger")]
pub mod messages;
pub mod owners;
pub mod partial;
#[cfg(feature = "accounts")]
pub mod password;
pub mod pledges;
pub mod scopes;
#[cfg(feature = "_ledger")]
pub mod search;
pub mod secret;
pub mod shelf;
pub mod tree;
pub mod users;

#[cfg(all(test, feature = "_ledger"))]
mod mirror;
#[cfg(feature = "files")]
#[cfg_attr(not(feature = "compress"), path = "no_zip.rs")]
pub mod zipped;
