//! Digests of files: what is hashed as it is read, and what is remembered of it so that a file asked for again is not read
//! again.

use std::collections::{HashMap, VecDeque};
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::clock::Wall;
use crate::content::Content;
use crate::store::disk::FileFacts;

/// How much is read at a time.
const READ_BYTES: usize = 256 << 10;
/// How much is hashed in one go before others have their turn: some tens of milliseconds.
const STRETCH_BYTES: u64 = 64 << 20;
/// How many digests are remembered.
const REMEMBERED_MAX: usize = 4096;
/// A file that changed less than this ago is not remembered: it could change again within the same tick of its clock.
const SETTLED_MS: u64 = 2_000;

/// A digest in the form that header fields carry.
pub fn encode(digest: &[u8]) -> String {
    STANDARD.encode(digest)
}

/// A file being hashed, a stretch at a time.
#[derive(Clone, Default)]
pub struct Hashing {
    hash: Sha256,
    at: u64,
}

impl Hashing {
    /// Reads on and says whether the end, at `size` bytes, has come. May block.
    ///
    /// # Errors
    /// If it cannot be read, or is shorter than that.
    pub fn go_on(&mut self, content: &dyn Content, size: u64) -> io::Result<bool> {
        let until = size.min(self.at + STRETCH_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        while self.at < until {
            let most = usize::try_from(until - self.at).unwrap_or(READ_BYTES).min(READ_BYTES);
            let came = content.read_at(&mut buffer[..most], self.at)?;
            if came == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read"));
            }
            self.hash.update(&buffer[..came]);
            self.at += came as u64;
        }
        Ok(self.at == size)
    }

    /// The SHA-256 of what was read.
    pub fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// Digests of files that were hashed before; the oldest are forgotten first.
#[derive(Default)]
pub struct Digests {
    known: HashMap<(u64, u64), [u8; 32]>,
    order: VecDeque<(u64, u64)>,
}

impl Digests {
    /// The digest of a file with these facts.
    pub fn get(&self, facts: &FileFacts) -> Option<[u8; 32]> {
        self.known.get(&(facts.version, facts.size)).copied()
    }

    /// Remembers a digest, unless the file has only just changed.
    pub fn put(&mut self, facts: &FileFacts, digest: [u8; 32], now: Wall) {
        if now.as_millis().saturating_sub(facts.modified.as_millis()) < SETTLED_MS {
            return;
        }
        let key = (facts.version, facts.size);
        if self.known.insert(key, digest).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::Kind;

    struct Zeros(u64);

    impl Content for Zeros {
        fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            let left = usize::try_from(self.0.saturating_sub(offset)).unwrap();
            let came = left.min(into.len());
            into[..came].fill(0);
            Ok(came)
        }
    }

    fn facts(version: u64, modified: u64) -> FileFacts {
        FileFacts { kind: Kind::File, size: 3, modified: Wall::from_millis(modified), version }
    }

    #[test]
    fn a_file_is_hashed_in_stretches() {
        let mut hashing = Hashing::default();
        assert!(hashing.go_on(&Zeros(0), 0).unwrap());
        let empty = encode(&hashing.finish());
        assert_eq!(empty, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        let size = STRETCH_BYTES + 1;
        let mut hashing = Hashing::default();
        assert!(!hashing.go_on(&Zeros(size), size).unwrap());
        assert!(hashing.clone().go_on(&Zeros(size), size).unwrap());
        assert!(hashing.go_on(&Zeros(size - 1), size).is_err(), "it became shorter");
    }

    #[test]
    fn digests_are_remembered_of_what_has_settled_and_not_for_ever() {
        let mut digests = Digests::default();
        digests.put(&facts(1, 10_000), [1; 32], Wall::from_millis(11_999));
        assert_eq!(digests.get(&facts(1, 10_000)), None, "it may change within the same tick");
        digests.put(&facts(1, 10_000), [1; 32], Wall::from_millis(12_000));
        assert_eq!(digests.get(&facts(1, 10_000)), Some([1; 32]));
        assert_eq!(digests.get(&facts(2, 10_000)), None);
        for version in 2..=REMEMBERED_MAX as u64 + 1 {
            digests.put(&facts(version, 0), [2; 32], Wall::from_millis(12_000));
        }
        assert_eq!(digests.get(&facts(1, 10_000)), None, "the oldest is forgotten");
        assert_eq!(digests.known.len(), REMEMBERED_MAX);
    }
}
