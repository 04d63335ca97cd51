//! A client over rustls, with the records in its hands.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};

use crate::wire::PATIENCE;

/// Takes whatever certificate comes: a test looks at it itself.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a client offers.
pub fn config(versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// What most clients offer.
pub fn usual() -> Arc<ClientConfig> {
    config(rustls::ALL_VERSIONS, &["http/1.1"])
}

/// An encrypted connection.
pub struct Client {
    pub conn: ClientConnection,
    pub socket: TcpStream,
}

pub fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("no delay");
    socket
}

impl Client {
    pub fn new(address: SocketAddr, config: Arc<ClientConfig>, name: &'static str) -> Client {
        let conn = ClientConnection::new(config, ServerName::try_from(name).expect("a name")).expect("a client");
        Client { conn, socket: socket(address) }
    }

    /// Shakes hands.
    pub fn connect(address: SocketAddr) -> Client {
        let mut client = Client::new(address, usual(), "localhost");
        client.shake().expect("hands are shaken");
        client
    }

    pub fn shake(&mut self) -> io::Result<()> {
        self.conn.complete_io(&mut self.socket).map(drop)
    }

    /// The records that `plain` becomes.
    pub fn records(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        for part in plain.chunks(32 << 10) {
            self.conn.writer().write_all(part).expect("there is room");
            while self.conn.wants_write() {
                self.conn.write_tls(&mut records).expect("into memory");
            }
        }
        records
    }

    pub fn send(&mut self, plain: &[u8]) {
        if self.conn.is_handshaking() {
            self.shake().expect("hands are shaken");
        }
        let records = self.records(plain);
        self.socket.write_all(&records).expect("the server reads");
    }

    /// Reads until `is_enough` or the end; says what came, and whether the end was told by a close_notify.
    pub fn hear_until(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, bool) {
        let mut heard = Vec::new();
        let mut buffer = [0; 16 << 10];
        while !is_enough(&heard) {
            match self.conn.reader().read(&mut buffer) {
                Ok(0) => return (heard, true),
                Ok(read) => heard.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.conn.read_tls(&mut self.socket).expect("something comes in time") == 0 {
                        return (heard, false);
                    }
                    self.conn.process_new_packets().expect("the server speaks TLS");
                }
                Err(_) => return (heard, false),
            }
        }
        (heard, false)
    }

    /// One exchange whose answer ends with `last`.
    pub fn ask(&mut self, request: &str, last: &str) -> String {
        self.send(request.as_bytes());
        let (heard, _) = self.hear_until(|heard| heard.ends_with(last.as_bytes()));
        String::from_utf8_lossy(&heard).into_owned()
    }
}

pub const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub const HEALTHY: &str = "{\"status\":\"ok\"}";
