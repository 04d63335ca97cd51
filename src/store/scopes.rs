//! [`Scopes`]: what an API token may do.

/// What an API token may do, each a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// Reading files.
    pub const FILES_READ: Scopes = Scopes(1);
    /// Changing files.
    pub const FILES_WRITE: Scopes = Scopes(2);
    /// Listening to the chat.
    pub const CHAT_READ: Scopes = Scopes(4);
    /// Speaking in the chat.
    pub const CHAT_WRITE: Scopes = Scopes(8);
    /// Their names.
    pub const NAMES: [(&'static str, Scopes); 4] = [
        ("files:read", Scopes::FILES_READ),
        ("files:write", Scopes::FILES_WRITE),
        ("chat:read", Scopes::CHAT_READ),
        ("chat:write", Scopes::CHAT_WRITE),
    ];

    /// The scope of a name.
    pub fn of(name: &str) -> Option<Scopes> {
        Scopes::NAMES.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope)
    }

    /// The scopes of these bits; unknown ones are left out.
    pub fn from_bits(bits: i64) -> Scopes {
        Scopes((bits & 15) as u8)
    }

    /// Their bits.
    pub fn bits(self) -> i64 {
        i64::from(self.0)
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Scopes) -> Scopes {
        Scopes(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub fn cover(self, other: Scopes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those there are.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Scopes::NAMES.into_iter().filter(move |(_, scope)| self.cover(*scope)).map(|(name, _)| name)
    }
}
