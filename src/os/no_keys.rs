//! What stands in for certificates and their keys in a build without encryption: they are always refused.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

use crate::os::tls::Session;

/// Certificates and their keys: there are none.
pub struct Keys(Infallible);

impl Keys {
    /// Refuses: this build cannot encrypt.
    ///
    /// # Errors
    /// Always.
    pub fn read(_: &[(PathBuf, PathBuf)]) -> Result<Keys, String> {
        Err("this build has no TLS; build with the feature `tls`".to_owned())
    }

    pub(super) fn watch(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn open(&mut self) -> io::Result<Box<Session>> {
        match self.0 {}
    }

    pub(super) fn reload(&self) {
        match self.0 {}
    }

    /// What an operator should know of them.
    pub fn warnings(&self) -> &[String] {
        match self.0 {}
    }
}

/// A certificate that vouches for itself, and its key, in PEM.
pub struct NewPair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
}

/// Refuses: this build cannot encrypt.
///
/// # Errors
/// Always.
pub fn make_pair(_: &[String], _: u32) -> Result<NewPair, String> {
    Err("this build has no TLS; build with the feature `tls`".to_owned())
}
