//! [`Attached`]: which connections live by which session or token, so that they end with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::server::reply::Key;
use crate::store::users::Credential;

/// Long connections by what their clients came in with.
#[derive(Clone, Default)]
pub struct Attached {
    connections: Arc<Mutex<HashMap<Credential, Vec<Key>>>>,
}

/// A poll's place among the attached, for as long as it waits: whatever ends the wait drops this, and nobody needs to be told.
pub struct Hold {
    attached: Attached,
    credential: Credential,
    key: Key,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.attached.remove(self.credential, self.key);
    }
}

impl Attached {
    /// A connection lives by a credential.
    pub fn add(&self, credential: Credential, key: Key) {
        self.connections().entry(credential).or_default().push(key);
    }

    /// A connection is gone.
    pub fn remove(&self, credential: Credential, key: Key) {
        let mut connections = self.connections();
        if let Some(keys) = connections.get_mut(&credential) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                connections.remove(&credential);
            }
        }
    }

    /// A connection lives by a credential until what is returned is dropped.
    pub fn hold(&self, credential: Credential, key: Key) -> Hold {
        self.add(credential, key);
        Hold { attached: self.clone(), credential, key }
    }

    /// The connections that live by a credential.
    pub fn of(&self, credential: Credential) -> Vec<Key> {
        self.connections().get(&credential).cloned().unwrap_or_default()
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Credential, Vec<Key>>> {
        // Each change is one step: whoever panicked has left nothing half done.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_found_by_what_they_live_by_until_they_are_gone() {
        let attached = Attached::default();
        let key = |index| Key { index, age: 1 };
        let (session, token) = (Credential::Session(1), Credential::Token(1));
        attached.add(session, key(1));
        attached.add(session, key(2));
        attached.add(token, key(3));
        assert_eq!(attached.of(session), [key(1), key(2)]);
        assert_eq!(attached.of(token), [key(3)]);
        attached.remove(session, key(1));
        attached.remove(session, key(9));
        assert_eq!(attached.of(session), [key(2)]);
        attached.remove(session, key(2));
        assert!(attached.of(session).is_empty() && attached.connections().len() == 1);
        let hold = attached.hold(session, key(4));
        assert_eq!(attached.of(session), [key(4)]);
        drop(hold);
        assert!(attached.of(session).is_empty() && attached.connections().len() == 1);
    }
}
