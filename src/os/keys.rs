//! Certificates and their keys: read, checked against each other, chosen by the name a client asks for, and read anew when they
//! change.
//!
//! A thread of its own looks at the files now and then, and at once when it is asked to. What fits together is used from the
//! next connection on; what does not is told, and the old stays.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer, cipher_suite};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme, SupportedCipherSuite};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage};

use crate::os::pool::STACK;
use crate::os::tls::Session;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long before its end a certificate is warned of.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is spoken, in the order in which it is chosen: Mozilla's intermediate profile, which all browsers of the last years know.
/// With 128 bits the records and, for SHA-256's sake, the handshakes cost the least; nobody gains anything from more.
const SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// A chain and its key.
type Pair = (PathBuf, PathBuf);

/// When the files of all pairs were last changed, as far as that can be seen.
type Looks = Vec<Option<(SystemTime, u64)>>;

/// Certificates, their keys, and all that is spoken with them.
pub struct Keys {
    config: Arc<ServerConfig>,
    warnings: Vec<String>,
    pairs: Vec<Pair>,
    looks: Looks,
    tickets: Arc<dyn ProducesTickets>,
    watched: Option<Watched>,
}

/// The thread that looks at the files.
struct Watched {
    fresh: Receiver<Arc<ServerConfig>>,
    ask: Sender<()>,
}

impl Keys {
    /// Reads all pairs; the first is for clients that ask for no name of ours.
    ///
    /// # Errors
    /// A sentence on the first that cannot be used.
    pub fn read(pairs: &[Pair]) -> Result<Keys, String> {
        let tickets = Ticketer::new().map_err(|error| format!("cannot make tickets: {error}"))?;
        let looks = look(pairs);
        let (config, warnings) = configure(pairs, &tickets)?;
        Ok(Keys { config, warnings, pairs: pairs.to_vec(), looks, tickets, watched: None })
    }

    /// Looks at the files from now on, and reads them again when they have changed.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        let (give, fresh) = mpsc::channel();
        let (ask, asked) = mpsc::channel();
        let (pairs, looks, tickets) = (self.pairs.clone(), self.looks.clone(), self.tickets.clone());
        thread::Builder::new()
            .name("hythe-keys".into())
            .stack_size(2 * STACK)
            .spawn(move || watch(&pairs, looks, &tickets, &asked, &give))?;
        self.watched = Some(Watched { fresh, ask });
        Ok(())
    }

    /// What encrypts a new connection.
    pub(super) fn open(&mut self) -> io::Result<Box<Session>> {
        while let Some(config) = self.watched.as_ref().and_then(|watched| watched.fresh.try_recv().ok()) {
            self.config = config;
        }
        Session::new(self.config.clone())
    }

    /// Has the files read anew.
    pub(super) fn reload(&self) {
        // Its thread lives as long as this does.
        let _ = self.watched.as_ref().map(|watched| watched.ask.send(()));
    }

    /// What an operator should know of them.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn watch(
    pairs: &[Pair],
    mut looks: Looks,
    tickets: &Arc<dyn ProducesTickets>,
    asked: &Receiver<()>,
    give: &Sender<Arc<ServerConfig>>,
) {
    loop {
        let is_asked = match asked.recv_timeout(LOOK_EVERY) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = look(pairs);
        if now == looks && !is_asked {
            continue;
        }
        looks = now;
        match configure(pairs, tickets) {
            Ok((config, warnings)) => {
                log::info!("the certificates were read again");
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                if give.send(config).is_err() {
                    return;
                }
            }
            Err(error) => log::error!("the certificates stay as they were: {error}"),
        }
    }
}

fn look(pairs: &[Pair]) -> Looks {
    let files = pairs.iter().flat_map(|(chain, key)| [chain, key]);
    let seen = files.map(|path| fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len()))));
    seen.collect()
}

fn configure(pairs: &[Pair], tickets: &Arc<dyn ProducesTickets>) -> Result<(Arc<ServerConfig>, Vec<String>), String> {
    let provider = Arc::new(CryptoProvider { cipher_suites: SUITES.to_vec(), ..ring::default_provider() });
    let mut warnings = Vec::new();
    let mut known = Vec::new();
    for (chain, key) in pairs {
        let pair = read_pair(chain, key, &provider)?;
        known.push(Known { names: names(&pair), key: Arc::new(pair) });
        let leaf = known[known.len() - 1].key.cert[0].clone();
        warnings.extend(validity(chain, &leaf, &provider));
        if known[known.len() - 1].key.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).is_some() {
            warnings.push(format!(
                "{} is for an RSA key: each handshake costs some thirty times what one with P-256 does",
                chain.display()
            ));
        }
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Chooser(known)));
    // Ours is the order, so that a scanner need not ask in which one a client may have it.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets.clone();
    config.send_tls13_tickets = 2;
    Ok((Arc::new(config), warnings))
}

fn read_pair(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let text = fs::read(chain).map_err(|error| format!("cannot read the certificate {}: {error}", chain.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| format!("{} is no certificate: {error}", chain.display()))?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate in PEM", chain.display()));
    }
    let text = fs::read(key).map_err(|error| format!("cannot read the key {}: {error}", key.display()))?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| format!("{} holds no private key in PEM: {error}", key.display()))?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key {} is not the one of the certificate {}", key.display(), chain.display())
        }
        other => format!("cannot use {} with {}: {other}", chain.display(), key.display()),
    })
}

fn names(pair: &CertifiedKey) -> Vec<String> {
    let leaf = EndEntityCert::try_from(&pair.cert[0]);
    leaf.map(|leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase).collect()).unwrap_or_default()
}

/// What is wrong, now or soon, with the days for which a certificate holds.
fn validity(path: &Path, leaf: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<String> {
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    let at = |time: UnixTime| {
        // Without anchors this never succeeds; but the days are looked at before the issuer is.
        let algorithms = provider.signature_verification_algorithms.all;
        leaf.verify_for_usage(algorithms, &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    let now = UnixTime::now();
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
    match (at(now), at(soon)) {
        (Some(webpki::Error::CertExpired { .. }), _) => {
            Some(format!("the certificate {} has expired: clients will refuse it", path.display()))
        }
        (Some(webpki::Error::CertNotValidYet { .. }), _) => {
            Some(format!("the certificate {} does not hold yet: clients will refuse it", path.display()))
        }
        (_, Some(webpki::Error::CertExpired { not_after, .. })) => {
            let days = not_after.as_secs().saturating_sub(now.as_secs()) / (24 * 60 * 60);
            Some(format!("the certificate {} expires in {days} days", path.display()))
        }
        _ => None,
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

/// Makes a pair for some names and addresses, for so many days, of which yesterday is the first (clocks differ), but today
/// and tomorrow at least. The key is for P-256.
///
/// # Errors
/// A sentence on the name that is none.
pub fn make_pair(names: &[String], days: u32) -> Result<NewPair, String> {
    for name in names {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        if !is_name(name.strip_prefix("*.").unwrap_or(name)) && name.parse::<IpAddr>().is_err() {
            return Err(format!("{name:?} is neither a name nor an address that a certificate could be for"));
        }
    }
    let told = |error: rcgen::Error| format!("cannot make a certificate: {error}");
    let mut wanted = CertificateParams::new(names.to_vec()).map_err(told)?;
    let (now, day) = (OffsetDateTime::now_utc(), time::Duration::DAY);
    (wanted.not_before, wanted.not_after) = (now - day, now + day * days.saturating_sub(1).max(1));
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, names.first().map_or("hythe", String::as_str));
    wanted.is_ca = IsCa::ExplicitNoCa;
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(told)?;
    let certificate = wanted.self_signed(&key).map_err(told)?;
    let digest = Sha256::digest(certificate.der());
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(NewPair { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint: bytes.join(":") })
}

/// A pair and the names it is for.
#[derive(Debug)]
struct Known {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Chooses by name: an exact one, else a wildcard, else the first pair.
#[derive(Debug)]
struct Chooser(Vec<Known>);

impl Chooser {
    fn choose(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let asked = name.map(str::to_ascii_lowercase).unwrap_or_default();
        let has = |name: &str| self.0.iter().find(|known| known.names.iter().any(|other| other == name));
        let wildcard = asked.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        has(&asked).or_else(|| has(&wildcard?)).or(self.0.first()).map(|known| &known.key)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).cloned()
    }
}
