//! [`Attached`]: which connections live by which session or token, so that they end with it.

use std::collections::HashMap;

use crate::server::reply::Key;
use crate::store::users::Credential;

/// Long connections by what their clients came in with.
#[derive(Default)]
pub struct Attached {
    connections: HashMap<Credential, Vec<Key>>,
}

impl Attached {
    /// A connection lives by a credential.
    pub fn add(&mut self, credential: Credential, key: Key) {
        self.connections.entry(credential).or_default().push(key);
    }

    /// A connection is gone.
    pub fn remove(&mut self, credential: Credential, key: Key) {
        if let Some(keys) = self.connections.get_mut(&credential) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.connections.remove(&credential);
            }
        }
    }

    /// The connections that live by a credential.
    pub fn of(&self, credential: Credential) -> &[Key] {
        self.connections.get(&credential).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Key> + '_ {
        self.connections.values().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_found_by_what_they_live_by_until_they_are_gone() {
        let mut attached = Attached::default();
        let key = |index| Key { index, age: 1 };
        let (session, token) = (Credential::Session(1), Credential::Token(1));
        attached.add(session, key(1));
        attached.add(session, key(2));
        attached.add(token, key(3));
        assert_eq!(attached.of(session), [key(1), key(2)]);
        assert_eq!(attached.all().count(), 3);
        attached.remove(session, key(1));
        attached.remove(session, key(9));
        assert_eq!(attached.of(session), [key(2)]);
        attached.remove(session, key(2));
        assert!(attached.of(session).is_empty() && attached.connections.len() == 1);
    }
}
