//! New encrypted connections, as many as the server can take: each is made, asks once, is answered, and closes.
//!
//! A client has about as much to reckon in a handshake as its server, and this one must be cheaper. So it does not look at the
//! certificate's signature, and half of its key exchange is done before the clock starts: the keys that it offers lie ready.
//! What it takes from the server is the whole handshake, as a browser does. With `--resume` it comes back with a ticket, and
//! only then; without it none is ever used.
//!
//! It prints one line of JSON.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hythe_bench::args::Args;
use hythe_bench::json::Line;
use hythe_bench::net::{Moved, RecvFlags, Tuning, caller, give, take};
use hythe_bench::process::cpu;
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SystemRandom;
use rustix::event::epoll;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::ring::kx_group::SECP256R1;
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme, version};

const USAGE: &str = "handshakes --target ADDRESS [options]

  --path P             /
  --connections N      32
  --seconds S          how long to measure (2)
  --warm S             how long to run before that (0.2)
  --tls12              TLS 1.2; otherwise 1.3
  --resume             come back with the ticket of an earlier connection
  --keys N             how many keys lie ready (40k)
  --watch PID          report the CPU time of this process, its threads and children, over the measured time";

const EVENTS: usize = 256;

fn main() {
    let mut args = Args::from_env(USAGE);
    let target: SocketAddr = match args.text("--target").unwrap_or_default().parse() {
        Ok(address) => address,
        Err(_) => args.complain("--target wants an address like 127.0.0.1:8443"),
    };
    let path = args.text("--path").unwrap_or_else(|| "/".into());
    let plan = Plan {
        target,
        connections: args.count("--connections").unwrap_or(32).max(1),
        measured: Duration::from_secs_f64(args.seconds("--seconds").unwrap_or(2.0)),
        warm: Duration::from_secs_f64(args.seconds("--warm").unwrap_or(0.2)),
        is_old: args.flag("--tls12"),
        resumes: args.flag("--resume"),
        watched: args.number("--watch").and_then(|pid| u32::try_from(pid).ok()),
        request: format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n").into_bytes(),
    };
    let keys = args.count("--keys").unwrap_or(40_000);
    let _ = args.words();
    match run(&plan, keys) {
        Ok(line) => println!("{}", line.finish()),
        Err(error) => {
            eprintln!("handshakes: {error}");
            std::process::exit(1);
        }
    }
}

/// What was asked for on the command line.
struct Plan {
    target: SocketAddr,
    connections: usize,
    measured: Duration,
    warm: Duration,
    is_old: bool,
    resumes: bool,
    watched: Option<u32>,
    request: Vec<u8>,
}

/// The keys that lie ready.
static READY: Mutex<Vec<(EphemeralPrivateKey, agreement::PublicKey)>> = Mutex::new(Vec::new());

fn make_key() -> Result<(EphemeralPrivateKey, agreement::PublicKey), rustls::Error> {
    let failed = |_| rustls::Error::General("no key could be made".into());
    let key = EphemeralPrivateKey::generate(&agreement::X25519, &SystemRandom::new()).map_err(failed)?;
    let public = key.compute_public_key().map_err(failed)?;
    Ok((key, public))
}

/// X25519 with keys that were made before.
#[derive(Debug)]
struct Prepared;

impl SupportedKxGroup for Prepared {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let ready = READY.lock().ok().and_then(|mut keys| keys.pop());
        let (key, public) = ready.map_or_else(make_key, Ok)?;
        Ok(Box::new(Begun { key, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// An exchange that waits for the server's key.
struct Begun {
    key: EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl ActiveKeyExchange for Begun {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let theirs = UnparsedPublicKey::new(&agreement::X25519, theirs);
        agreement::agree_ephemeral(self.key, &theirs, |secret| SharedSecret::from(secret))
            .map_err(|_| rustls::Error::General("no key in common".into()))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Believes everybody: what is measured is the server.
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}

fn settings(plan: &Plan) -> Result<Arc<ClientConfig>, rustls::Error> {
    // P-256 is not meant to be used, but OpenSSL wants to see the group of the certificate's key among them.
    let groups = vec![&Prepared as &dyn SupportedKxGroup, SECP256R1];
    let provider = CryptoProvider { kx_groups: groups, ..rustls::crypto::ring::default_provider() };
    let version = if plan.is_old { &version::TLS12 } else { &version::TLS13 };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.resumption = if plan.resumes { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

/// One connection.
struct Visit {
    socket: OwnedFd,
    tls: ClientConnection,
    /// Plain bytes of the answer, its head included, that are still to come; None: the head has not come.
    left: Option<usize>,
    heard: Vec<u8>,
    has_asked: bool,
}

#[derive(Default)]
struct Tally {
    answered: u64,
    resumed: u64,
    errors: u64,
}

/// What is to be done with a connection now.
enum Next {
    Wait,
    Answered,
    Broken,
}

fn run(plan: &Plan, keys: usize) -> Result<Line, Box<dyn std::error::Error>> {
    let config = settings(plan)?;
    let name = ServerName::try_from("localhost")?;
    let ready: Result<Vec<_>, _> = (0..keys).map(|_| make_key()).collect();
    if let Ok(mut keys) = READY.lock() {
        *keys = ready?;
    }
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let open = |index: usize| -> Result<Visit, Box<dyn std::error::Error>> {
        let socket = caller(plan.target, Tuning::default())?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), flags)?;
        let tls = ClientConnection::new(config.clone(), name.clone())?;
        Ok(Visit { socket, tls, left: None, heard: Vec::new(), has_asked: false })
    };
    let mut visits = (0..plan.connections).map(&open).collect::<Result<Vec<_>, _>>()?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = vec![0; 64 << 10];
    let mut tally = Tally::default();
    let mut until = Instant::now() + plan.warm;
    let mut begun = None;
    loop {
        if Instant::now() >= until {
            match begun {
                None => {
                    tally = Tally::default();
                    until += plan.measured;
                    begun = Some((Instant::now(), plan.watched.map(cpu).unwrap_or_default(), cpu(std::process::id())));
                }
                Some((since, server, client)) => {
                    let spent = plan.watched.map(cpu).unwrap_or_default().since(server);
                    let own = cpu(std::process::id()).since(client);
                    return Ok(report(&tally, since.elapsed(), spent.total_ns, own.total_ns));
                }
            }
        }
        events.clear();
        let patience = rustix::time::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64())?;
            let visit = &mut visits[index];
            match visit.go_on(plan, &mut scratch) {
                Next::Wait => continue,
                Next::Answered => {
                    tally.answered += 1;
                    tally.resumed += u64::from(visit.tls.handshake_kind() == Some(HandshakeKind::Resumed));
                    visit.tls.send_close_notify();
                    // Whoever does not take it is not told.
                    let _ = visit.send(plan);
                }
                Next::Broken => tally.errors += 1,
            }
            visits[index] = open(index)?;
        }
    }
}

impl Visit {
    fn go_on(&mut self, plan: &Plan, scratch: &mut [u8]) -> Next {
        loop {
            if self.send(plan).is_err() {
                return Next::Broken;
            }
            let got = match take(&self.socket, scratch, RecvFlags::empty()) {
                Moved::Bytes(got) => got,
                Moved::Later => return Next::Wait,
                Moved::End | Moved::Broken(_) => return Next::Broken,
            };
            let mut records = &scratch[..got];
            while !records.is_empty() {
                if self.tls.read_tls(&mut records).is_err() {
                    return Next::Broken;
                }
                let Ok(state) = self.tls.process_new_packets() else { return Next::Broken };
                let plain = state.plaintext_bytes_to_read();
                let at = self.heard.len();
                self.heard.resize(at + plain, 0);
                if plain > 0 && self.tls.reader().read_exact(&mut self.heard[at..]).is_err() {
                    return Next::Broken;
                }
            }
            match self.is_answered() {
                Ok(true) => return Next::Answered,
                Ok(false) => {}
                Err(()) => return Next::Broken,
            }
        }
    }

    /// Sends what is to be sent, the request as soon as it may.
    fn send(&mut self, plan: &Plan) -> io::Result<()> {
        if !self.has_asked && !self.tls.is_handshaking() {
            self.has_asked = true;
            self.tls.writer().write_all(&plan.request)?;
        }
        while self.tls.wants_write() {
            let mut out = Vec::with_capacity(2048);
            while self.tls.wants_write() {
                self.tls.write_tls(&mut out)?;
            }
            match give(&self.socket, &out, false) {
                Moved::Bytes(sent) if sent == out.len() => {}
                // So little always fits, unless nobody listens; before the connection stands nothing does.
                Moved::Later | Moved::Bytes(_) => return Err(io::ErrorKind::WouldBlock.into()),
                Moved::End => return Err(io::ErrorKind::BrokenPipe.into()),
                Moved::Broken(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_answered(&mut self) -> Result<bool, ()> {
        if self.left.is_none() {
            let Some(end) = self.heard.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
            let text = std::str::from_utf8(&self.heard[..end]).map_err(|_| ())?.to_ascii_lowercase();
            if !text.starts_with("http/1.1 200") {
                return Err(());
            }
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).ok_or(())?;
            self.left = Some(end + 4 + length);
        }
        Ok(self.left.is_some_and(|whole| self.heard.len() >= whole))
    }
}

#[allow(clippy::cast_precision_loss)]
fn report(tally: &Tally, time: Duration, server_ns: u64, client_ns: u64) -> Line {
    let each = |ns: u64| ns as f64 / 1e3 / (tally.answered as f64).max(1.0);
    let mut line = Line::default();
    line.number("connections_per_s", tally.answered as f64 / time.as_secs_f64())
        .number("server_us", each(server_ns))
        .number("client_us", each(client_ns))
        .number("resumed_share", tally.resumed as f64 / (tally.answered as f64).max(1.0))
        .number("errors", tally.errors as f64);
    line
}
