//! Secrets: digests of random ones, what is kept of passwords, the texts in which they are handed out. What is kept of them is never
//! shown. How passwords are hashed is told in `password`.

use std::hash;
use std::hint;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// Bytes of a session's or a token's secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of a recovery code and of an invite.
pub const RECOVERY_BYTES: usize = 16;
/// Bytes of a one-time code: it lives for a quarter of an hour.
pub const CODE_BYTES: usize = 10;

/// The SHA-256 of a random secret. Nobody can guess 256, 128 or, for a quarter of an hour, 80 random bits, so no slow hash is
/// needed.
///
/// Two are compared in constant time. Where one is looked up, as a key of a map or in an index of the database, the time may tell how
/// far a digest resembles another; that is no help, for nobody can choose the digest of what they send, nor come from the beginning
/// of a digest to the beginning of its secret.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl hash::Hash for Digest {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        is_same(&self.0, &other.0)
    }
}

/// Compares in a time that depends on the lengths only.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference =
        one.iter().zip(other).fold(0, |difference, (one, other)| hint::black_box(difference | (one ^ other)));
    one.len() == other.len() && hint::black_box(difference) == 0
}

impl Digest {
    /// Of a secret.
    pub fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }

    /// Of a code as somebody typed it: hyphens, spaces and the case do not matter, and what looks alike is alike.
    pub fn of_code(typed: &str) -> Digest {
        let plain = typed.chars().filter(|character| !matches!(character, '-' | ' ' | '\t')).map(|character| {
            match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            }
        });
        Digest::of(plain.collect::<String>().as_bytes())
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

/// Random bytes as the text of a secret: small hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}

/// Random bytes as a code for people: groups of four of 32 letters and digits that are not mistaken for one another.
pub fn code(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut text = String::new();
    let (mut held, mut bits, mut count) = (0u32, 0u32, 0usize);
    let mut put = |value: u32| {
        if count > 0 && count.is_multiple_of(4) {
            text.push('-');
        }
        count += 1;
        text.push(char::from(LETTERS[(value & 31) as usize]));
    };
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            put(held >> bits);
        }
    }
    if bits > 0 {
        put(held << (5 - bits));
    }
    text
}

/// What a hash costs, its owner and whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// How often it is gone over.
    pub passes: u32,
}

/// A password's hash, as a PHC string; the empty one is nobody's. Two are compared in constant time.
#[derive(Clone, Default, Eq)]
pub struct Hash(pub(super) Arc<str>);

impl PartialEq for Hash {
    fn eq(&self, other: &Hash) -> bool {
        is_same(self.0.as_bytes(), other.0.as_bytes())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_only_if_every_byte_is() {
        let digest = Digest::of(b"secret");
        assert!(digest == Digest::from_bytes(digest.0));
        for at in 0..32 {
            let mut other = digest.0;
            other[at] ^= 1;
            assert!(digest != Digest::from_bytes(other), "byte {at}");
        }
        let hash = Hash::from_text("$argon2id$v=19");
        assert!(hash == Hash::from_text("$argon2id$v=19"));
        for other in ["", "$argon2id$v=1", "$argon2id$v=190", "$argon2id$v=18", "\0argon2id$v=19"] {
            assert!(hash != Hash::from_text(other), "{other}");
        }
    }

    #[test]
    fn codes_are_told_apart_and_read_as_people_type_them() {
        assert_eq!(code(&[0; 10]), "0000-0000-0000-0000");
        assert_eq!(code(&[0xff; 16]).replace('-', "").len(), 26);
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
        let shown = code(&[0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34]);
        let typed = shown.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert!(Digest::of_code(&shown) == Digest::of_code(&typed));
        assert!(Digest::of_code(&shown) != Digest::of_code(&shown[1..]));
    }
}
