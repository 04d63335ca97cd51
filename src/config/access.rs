//! Who may do what: the words of the access switches, as they were set and as they come out.

use crate::config::choices::Signup;

/// Who may pass a switch; each includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everyone, guests too.
    Anyone,
    /// Whoever is signed in.
    User,
    /// Whoever holds the operator's token, and admins.
    Operator,
}

impl Access {
    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Access::Anyone => "anyone",
            Access::User => "user",
            Access::Operator => "operator",
        }
    }
}

/// The five switches as they were set; `None` is what nobody spoke of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switches {
    /// Reading the static site. Default: anyone.
    pub www_read: Option<Access>,
    /// Listing and fetching shared files. Default: anyone.
    pub shared_read: Option<Access>,
    /// Uploading to the shared area. Default: anyone under loopback defaults, else user.
    pub shared_write: Option<Access>,
    /// Reading the chat. Default: anyone.
    pub chat_read: Option<Access>,
    /// Writing in the chat. Default: anyone under loopback defaults, else user.
    pub chat_write: Option<Access>,
}

/// The five switches as they are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Reading the static site.
    pub www_read: Access,
    /// Listing and fetching shared files.
    pub shared_read: Access,
    /// Uploading to the shared area.
    pub shared_write: Access,
    /// Reading the chat.
    pub chat_read: Access,
    /// Writing in the chat.
    pub chat_write: Access,
    /// Making an account.
    pub signup: Signup,
}
