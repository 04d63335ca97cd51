//! What is kept of secrets: digests of random ones, hashes of passwords. None of it is ever shown.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a random secret. Nobody can guess 256, 128 or, for a quarter of an hour, 80 random bits, so no slow hash is
/// needed; and to look one up tells nothing of those beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a secret.
    pub fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }

    /// As it was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// As it is kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// A password's hash, as a PHC string; the empty one is nobody's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hash(Arc<str>);

impl Hash {
    /// As it was kept.
    pub fn from_text(text: &str) -> Hash {
        Hash(text.into())
    }

    /// As it is kept.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}
