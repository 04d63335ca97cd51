//! [`Entry`]: what a ledger is asked to keep. A plain value: how it is written is the affair of the part it belongs to.

use crate::clock::Wall;
use crate::store::change::Change;
use crate::store::owners;

/// Something to be kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Of the chat.
    Chat(Saying),
    /// Of the accounts.
    Accounts(Change),
    /// Of the shared files.
    Owners(Vec<owners::Change>),
}

/// Something of the chat to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saying {
    /// A message; its verdict carries its id.
    Said {
        /// The room it is said in.
        room: String,
        /// When it is said.
        ts: Wall,
        /// The account that says it; `None` for a guest.
        user: Option<String>,
        /// The name it is said under.
        name: String,
        /// What is said.
        text: String,
    },
    /// A message is erased; refused if there is none of that id.
    Erase {
        /// Whose id it is.
        id: i64,
    },
}
