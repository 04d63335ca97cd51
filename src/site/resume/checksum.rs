//! Checksum: what a piece of an upload must come to.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::http::tus::Algorithm;

/// What a piece must come to, and what it has come to so far.
pub enum Check {
    /// By SHA-1.
    Sha1(Sha1, Vec<u8>),
    /// By SHA-256.
    Sha256(Sha256, Vec<u8>),
}

impl Check {
    /// A piece that must come to this, of which nothing has come.
    pub fn new((algorithm, digest): (Algorithm, Vec<u8>)) -> Check {
        match algorithm {
            Algorithm::Sha1 => Check::Sha1(Sha1::new(), digest),
            Algorithm::Sha256 => Check::Sha256(Sha256::new(), digest),
        }
    }

    /// So much more of it.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Check::Sha1(hash, _) => hash.update(bytes),
            Check::Sha256(hash, _) => hash.update(bytes),
        }
    }

    /// It is complete: whether it came to what it must.
    pub fn holds(self) -> bool {
        match self {
            Check::Sha1(hash, digest) => hash.finalize()[..] == digest,
            Check::Sha256(hash, digest) => hash.finalize()[..] == digest,
        }
    }
}
