//! A build without encryption: no URL asks for it, for none is let through that does.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;

use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

use crate::cli::client::failure::Failure;
use crate::cli::client::target::Trust;

/// How an encrypted server would be spoken to.
#[derive(Clone, Debug)]
pub struct Secure(Infallible);

impl Secure {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &Trust) -> Result<Secure, Failure> {
        Err(Failure::usage("this build does not have TLS"))
    }

    /// There is none.
    ///
    /// # Errors
    /// Never comes to it.
    pub fn wrap(&self, _: &str, _: TcpStream) -> io::Result<TcpStream> {
        match self.0 {}
    }
}

/// There is none.
pub fn complaint(_: &io::Error) -> Option<&str> {
    None
}

/// Nothing is greeted in TLS.
pub fn is_plain(_: &io::Error) -> bool {
    false
}

impl Connector<Box<dyn Transport>> for Secure {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<Box<dyn Transport>>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        match self.0 {}
    }
}
