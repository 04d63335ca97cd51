//! Secrets, which are compared and never shown.

use std::fmt;
use std::hint;

/// A secret: it can be compared and counted, never shown.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes` secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    /// How many bytes it has; too few can be guessed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none, and so is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `offered` is the secret, in a time that depends on the length of `offered` only. An empty secret is
    /// never matched.
    pub fn matches(&self, offered: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let mut difference = usize::from(offered.len() != self.0.len());
        for (place, byte) in offered.iter().enumerate() {
            difference |= hint::black_box(usize::from(byte ^ self.0[place % self.0.len()]));
        }
        hint::black_box(difference) == 0
    }

    /// Whether it can stand in an `Authorization` header: visible ASCII without a space.
    pub fn is_sendable(&self) -> bool {
        self.0.iter().all(u8::is_ascii_graphic)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0) || (self.is_empty() && other.is_empty())
    }
}

impl Eq for Secret {}

/// An operator's token and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorToken {
    /// The token itself.
    pub secret: Secret,
    /// Where it came from; what it is worth depends on that.
    pub source: TokenSource,
}

/// Where an operator's token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// From the command line, which others on the machine can see.
    CommandLine,
    /// From the environment.
    Environment,
    /// From a file.
    File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_matched_by_itself_alone_and_never_shown() {
        let secret = Secret::new("abcabc");
        assert!(secret.matches(b"abcabc"));
        for other in ["", "abc", "abcabd", "abcabcabc", "abcabcx"] {
            assert!(!secret.matches(other.as_bytes()), "{other}");
        }
        assert!(!Secret::new("").matches(b""));
        let token = OperatorToken { secret, source: TokenSource::Environment };
        assert!(!format!("{token:?}").contains("abc"));
    }
}
