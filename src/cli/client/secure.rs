//! Encryption, from the other end: whom to trust, and the streams that go through it. One configuration serves the requests and
//! the WebSocket alike.
//!
//! Trusted is who the system trusts; or, instead, whoever a given authority vouches for; or one certificate alone, by its
//! fingerprint, whatever its name and its days say.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
    StreamOwned,
};
use sha2::{Digest, Sha256};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::cli::client::failure::Failure;
use crate::cli::client::target::Trust;

/// How an encrypted server is spoken to.
#[derive(Clone, Debug)]
pub struct Secure(Arc<ClientConfig>);

impl Secure {
    /// Reads whom to trust.
    ///
    /// # Errors
    /// If a file cannot be read, or a fingerprint is none.
    pub fn new(trust: &Trust) -> Result<Secure, Failure> {
        let provider = Arc::new(ring::default_provider());
        let trusted = match (&trust.pin, &trust.ca) {
            (Some(pin), _) => Trusted::One(read_pin(pin)?),
            (None, Some(file)) => Trusted::Vouched(verifier(roots_of(file)?, &provider)?),
            (None, None) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(Failure::usage("this system trusts nobody; name an authority by --ca FILE"));
                }
                Trusted::Vouched(verifier(roots, &provider)?)
            }
        };
        let judge = Judge { trusted, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::usage(format!("cannot encrypt: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_no_client_auth();
        Ok(Secure(Arc::new(config)))
    }

    /// Encrypts a connection to a host.
    ///
    /// # Errors
    /// If the host can have no certificate.
    pub fn wrap(&self, host: &str, stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        Ok(StreamOwned::new(self.connection(host)?, stream))
    }

    fn connection(&self, host: &str) -> io::Result<ClientConnection> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)
    }
}

/// What a judge had against a certificate, in its own words.
pub fn complaint(error: &io::Error) -> Option<&str> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::General(words) => Some(words),
        _ => None,
    }
}

/// Whether what answered a greeting of TLS was no TLS.
pub fn is_plain(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(error, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

fn roots_of(file: &Path) -> Result<RootCertStore, Failure> {
    let refused = |what: String| Failure::usage(format!("--ca {}: {what}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refused(error.to_string()))? {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() { Err(refused("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Failure::usage(format!("cannot trust anybody: {error}")))
}

/// A fingerprint as people write it: 64 hexadecimal digits, with or without colons and `sha256:` before them.
fn read_pin(text: &str) -> Result<[u8; 32], Failure> {
    let small = text.trim().to_ascii_lowercase();
    let digits: String =
        small.strip_prefix("sha256:").unwrap_or(&small).chars().filter(|&letter| letter != ':').collect();
    let mut pin = [0; 32];
    let is_whole = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    for (at, byte) in pin.iter_mut().enumerate().filter(|_| is_whole) {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap_or(0);
    }
    if is_whole {
        Ok(pin)
    } else {
        Err(Failure::usage("--pin wants a SHA-256 of a certificate: 64 hexadecimal digits"))
    }
}

#[derive(Debug)]
enum Trusted {
    /// Whoever an authority vouches for.
    Vouched(Arc<WebPkiServerVerifier>),
    /// The one certificate with this SHA-256.
    One([u8; 32]),
}

/// Decides whether a server is who it says it is.
#[derive(Debug)]
struct Judge {
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown: [u8; 32] = Sha256::digest(certificate).into();
        let complaint = match &self.trusted {
            Trusted::One(pin) if *pin == shown => return Ok(ServerCertVerified::assertion()),
            Trusted::One(_) => "its certificate is another one than --pin says".to_owned(),
            Trusted::Vouched(authority) => match authority.verify_server_cert(certificate, between, name, ocsp, now) {
                Ok(verified) => return Ok(verified),
                Err(error) => format!("{error}; --ca FILE names an authority to trust, --pin this one certificate"),
            },
        };
        let shown: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(Error::General(format!("{complaint} (SHA-256 {shown})")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Encrypts what ureq has connected, where its URL asks for it.
impl Connector<Box<dyn Transport>> for Secure {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        plain: Option<Box<dyn Transport>>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(plain) = plain else { return Ok(None) };
        if !details.needs_tls() || plain.is_tls() {
            return Ok(Some(plain));
        }
        let host = details.uri.host().unwrap_or_default();
        let mut connection = self.connection(host)?;
        let mut socket = TransportAdapter::new(plain, details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Box::new(Encrypted { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

/// An encrypted connection of ureq's.
struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter<Box<dyn Transport>>>,
}

impl std::fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encrypted")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_write_it() {
        let digits = "0123456789abcdef".repeat(4);
        let colons = digits.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap()).collect::<Vec<_>>().join(":");
        let expected = read_pin(&digits).unwrap();
        assert_eq!((expected[0], expected[31]), (0x01, 0xef));
        for text in [colons.to_uppercase(), format!("SHA256:{digits}"), format!(" {digits}\n")] {
            assert_eq!(read_pin(&text).unwrap(), expected, "{text}");
        }
        for text in ["", "abc", &digits[1..], &format!("{digits}0"), &"g".repeat(64), &"é".repeat(32)] {
            assert!(read_pin(text).is_err(), "{text}");
        }
    }
}
