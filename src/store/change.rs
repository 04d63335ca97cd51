//! [`Change`]: what can become of accounts, their sessions, tokens, codes and invites. The ledger keeps one or refuses it
//! (`accounts`), and the model follows (`users`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Wall;
use crate::store::scopes::Scopes;
use crate::store::secret::{Digest, Hash};

/// Which of an account's sessions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(i64),
    /// All but this one.
    Others(i64),
    /// All.
    All,
}

/// What shows that somebody may reset a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The recovery code.
    Recovery(Digest),
    /// A one-time code, and when it was shown.
    Code(Digest, Wall),
}

/// A change of what is known of people. The ledger keeps it and gives it an id, or refuses it.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody is new; the verdict carries the account's id. Refused if the name is taken, or the invite is none.
    Register {
        /// The name.
        name: Arc<str>,
        /// Of the password.
        password: Hash,
        /// Of the recovery code.
        recovery: Option<Digest>,
        /// Whether it is an admin.
        is_admin: bool,
        /// When.
        made: Wall,
        /// Of the invite that is used up by it.
        invite: Option<Digest>,
    },
    /// Somebody signs in; the verdict carries the session's id. Refused if the account is not open, or its password is no
    /// longer the one that was checked.
    SignIn {
        /// Whose account.
        account: i64,
        /// The password's hash that was checked.
        checked: Hash,
        /// The same password's hash as it is made today, if that was another one.
        rehashed: Option<Hash>,
        /// Of the session's secret.
        secret: Digest,
        /// When.
        made: Wall,
        /// Whether the secret is handed out as a token.
        is_token: bool,
        /// Where from, for people,
        address: String,
        /// and as it is counted.
        network: IpAddr,
        /// What the client calls itself.
        agent: String,
        /// A session that was shown with it, and ends.
        replaces: Option<i64>,
        /// Sessions that make room.
        ends: Vec<i64>,
    },
    /// Sessions end. Refused if there is none of them.
    SignOut {
        /// Whose.
        account: i64,
        /// Which.
        which: Which,
    },
    /// Sessions were used.
    Seen {
        /// Which, and when.
        sessions: Vec<(i64, Wall)>,
    },
    /// A new password. Refused if the old one is no longer the one that was checked.
    SetPassword {
        /// Whose.
        account: i64,
        /// The old one's hash that was checked; `None` for somebody who need not know it.
        checked: Option<Hash>,
        /// The new one's.
        password: Hash,
        /// The session that goes on.
        keeps: Option<i64>,
    },
    /// A new password for somebody who has forgotten the old. Refused if the code is not the one.
    Reset {
        /// Whose.
        account: i64,
        /// The code.
        proof: Proof,
        /// The new password's hash.
        password: Hash,
        /// The new recovery code's digest.
        recovery: Digest,
    },
    /// A one-time code is given out.
    GiveCode {
        /// Whose.
        account: i64,
        /// Of the code.
        code: Digest,
        /// Until when.
        until: Wall,
    },
    /// An API token; the verdict carries its id.
    AddToken {
        /// Whose.
        account: i64,
        /// Of the token.
        secret: Digest,
        /// What it is called.
        label: String,
        /// What it may do.
        scopes: Scopes,
        /// When.
        made: Wall,
        /// Until when.
        until: Option<Wall>,
    },
    /// An API token ends. Refused if there is none of that id.
    RemoveToken {
        /// Whose.
        account: i64,
        /// Which.
        id: i64,
    },
    /// Whoever has this may register.
    Invite {
        /// Of the invite.
        secret: Digest,
        /// Until when.
        until: Wall,
    },
    /// An account is let in or kept out, is made an admin or no longer is, or may have more files or fewer.
    Set {
        /// Whose.
        account: i64,
        /// Whether it is kept out.
        is_disabled: Option<bool>,
        /// Whether it is an admin.
        is_admin: Option<bool>,
        /// Its quota; `Some(None)` as the configuration says.
        quota: Option<Option<u64>>,
    },
    /// An account is deleted; its name stays.
    Delete {
        /// Whose.
        account: i64,
        /// The hash of the password that was checked, where one had to be.
        checked: Option<Hash>,
    },
    /// What has expired goes.
    Sweep {
        /// Sessions.
        sessions: Vec<i64>,
        /// Tokens.
        tokens: Vec<i64>,
        /// Invites until then.
        now: Wall,
    },
}
