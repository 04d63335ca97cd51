//! Every limit, timeout, path and switch of a server, with its unit in its name and its reason beside it.
//!
//! Plain values and nothing else: no parsing, no files, no environment. The command line builds a [`Config`] (`cli`);
//! an embedder writes one by hand from [`Config::default`]. Every room is given its part of it when it is built.
//!
//! "No limit" is the greatest value of the field's type ([`u64::MAX`] and its like), so that whoever compares with a
//! limit needs no special case: nothing is ever larger, and a deadline that far away never comes. On the command line
//! and in files it is written `0`. Only a [`Rate`] is off by being zero, and `min_free_bytes`, which asks for none.

use std::fmt;
use std::hint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use log::LevelFilter;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: u64 = 1024 * MIB as u64;

/// The port of the default listen addresses: the customary one for a server that no one gave a port.
pub const DEFAULT_PORT: u16 = 8080;

/// Passwords that are hashed at once. A hash takes 19 MiB and all of a core: with two, a machine of two cores would have none left.
pub const HASHERS: usize = 1;

/// Who may wait for that; whoever comes then is told 503. At some 30 ms a hash the last waits half a second.
pub const HASH_QUEUE: usize = 16;

/// Jobs that may wait for, or be with, helpers for files.
pub const FILE_JOBS_MAX: usize = 4096;

/// Everything that can be set about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. Default: `127.0.0.1:8080` and `[::1]:8080`, so that nobody is on the network unawares.
    pub listen: Vec<Listen>,
    /// Certificate chains in PEM, each with the key in the same place of [`tls_keys`](Config::tls_keys); with any, every
    /// listener speaks TLS. The first is for clients that ask for no name of the others. Default: none.
    pub tls_certs: Vec<PathBuf>,
    /// Their private keys in PEM. Default: none.
    pub tls_keys: Vec<PathBuf>,
    /// Where requests without encryption are told where the encrypted address is. Default: nowhere.
    pub redirect_http: Option<SocketAddr>,
    /// How long browsers are to remember that they must come encrypted (`Strict-Transport-Security`), in milliseconds; zero
    /// for not at all. Default: not at all, for it cannot be taken back.
    pub hsts_ms: u64,
    /// Unix sockets to listen on, without encryption. Default: none; they are for a proxy on this machine.
    pub unix: Vec<PathBuf>,
    /// The folder of the static site. Default: `www`.
    pub www: PathBuf,
    /// The folder of the shared area. Default: `uploads`.
    pub uploads: PathBuf,
    /// The folder of what the server keeps for itself: the database, homes. Default: `data`. Nobody else reads it.
    pub data: PathBuf,
    /// What stands before every path of ours behind a proxy: empty, or `/p` without a slash at its end. Default: empty.
    pub path_prefix: String,
    /// Whether a folder of `www` without an index is listed. Default: no, for a listing tells more than was linked.
    pub lists_folders: bool,
    /// Extensions, in small letters and without their dot, of static files that are offered as downloads instead of
    /// being shown. Default: jpg, jpeg, txt.
    pub attach: Vec<String>,
    /// Whether there is a chat. Default: yes.
    pub has_chat: bool,
    /// The chat's rooms beside the lobby; `None` when a room appears on its first use. Default: none, and so they appear.
    pub rooms: Option<Vec<String>>,
    /// Whether there are uploads and a shared area. Default: yes.
    pub has_files: bool,
    /// Whether there are accounts. Default: yes.
    pub has_accounts: bool,
    /// Who may make an account, if that was said. Default: anyone under loopback defaults, else whoever has an invite.
    pub signup: Option<Signup>,
    /// What hashing a password costs. Default: what is advised; `low` is for machines with little memory.
    pub password_profile: PasswordProfile,
    /// Proxies whose word on a client's address is taken. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Whether each connection of those proxies begins with what they say of the client (PROXY protocol, versions 1 and 2).
    /// Default: no.
    pub takes_proxy_protocol: bool,
    /// Host names (with or without a port, in small letters) that requests may be for, beside the listen addresses.
    /// `*` lets every host pass. Default: none; the list is what stops DNS rebinding.
    pub allow_hosts: Vec<String>,
    /// Origins, as browsers write them, whose pages may call us across sites, never with cookies. Default: none.
    pub cors_origins: Vec<String>,
    /// The operator's tokens; any of them will do. Default: none, and then there is no operator over HTTP.
    pub tokens: Vec<OperatorToken>,
    /// The file that one of the tokens was read from, to be read again on a reload. Default: none.
    pub token_file: Option<PathBuf>,
    /// Who may do what, as far as it was said. Default: nothing was said; see [`Config::rights`].
    pub access: Switches,
    /// Where one line per exchange goes. Default: nowhere, for it costs a write and tells who read what.
    pub access_log: AccessLog,
    /// The least urgent messages that are logged. Default: info.
    pub log_level: LevelFilter,
    /// The file for messages; none is stderr. Default: none, for a service manager collects stderr.
    pub log_file: Option<PathBuf>,
    /// How messages and the access log are written. Default: text.
    pub log_format: LogFormat,
    /// The file that the configuration was read from, where there was one. Default: none.
    pub config_file: Option<PathBuf>,
    /// Whether the kernel lets the server reach its own folders only. Default: as far as it can.
    pub sandbox: Confinement,
    /// Whom root becomes once the addresses are bound. Default: nobody else.
    pub user: Option<String>,
    /// Helper threads for files, at least one. Default: 4, enough to keep a disk busy while one of them waits.
    pub io_threads: usize,
    /// Every number that says how far something may grow or how long it may take.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Listen::loopback(DEFAULT_PORT),
            tls_certs: Vec::new(),
            tls_keys: Vec::new(),
            redirect_http: None,
            hsts_ms: 0,
            unix: Vec::new(),
            www: PathBuf::from("www"),
            uploads: PathBuf::from("uploads"),
            data: PathBuf::from("data"),
            path_prefix: String::new(),
            lists_folders: false,
            attach: ["jpg", "jpeg", "txt"].map(String::from).to_vec(),
            has_chat: true,
            rooms: None,
            has_files: true,
            has_accounts: true,
            signup: None,
            password_profile: PasswordProfile::Usual,
            trusted_proxies: Vec::new(),
            takes_proxy_protocol: false,
            allow_hosts: Vec::new(),
            cors_origins: Vec::new(),
            tokens: Vec::new(),
            token_file: None,
            access: Switches::default(),
            access_log: AccessLog::Off,
            log_level: LevelFilter::Info,
            log_file: None,
            log_format: LogFormat::Text,
            config_file: None,
            sandbox: Confinement::Best,
            user: None,
            io_threads: 4,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Whether every listener can only be reached from this machine.
    pub fn is_loopback_only(&self) -> bool {
        let addresses = self.listen.iter().map(|listen| listen.address).chain(self.redirect_http);
        self.unix.is_empty() && addresses.into_iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Whether listeners speak TLS.
    pub fn is_encrypted(&self) -> bool {
        !self.tls_certs.is_empty()
    }

    /// Whether nothing says that others than this machine's own people come: every listener is loopback, neither a
    /// further host nor a further origin is allowed, and no proxy is trusted. Then guests may write unless something else
    /// was said.
    pub fn has_loopback_defaults(&self) -> bool {
        self.is_loopback_only()
            && self.allow_hosts.is_empty()
            && self.cors_origins.is_empty()
            && self.trusted_proxies.is_empty()
    }

    /// Who may do what, for a request that came straight to us.
    pub fn rights(&self) -> Rights {
        let unsaid_write = if self.has_loopback_defaults() { Access::Anyone } else { Access::User };
        self.rights_with(unsaid_write)
    }

    /// Who may do what, for a request that came over the network: the same, but what was not said is decided as if
    /// there were no loopback defaults. A request with a proxy's headers has come from there, wherever we listen.
    pub fn network_rights(&self) -> Rights {
        self.rights_with(Access::User)
    }

    fn rights_with(&self, unsaid_write: Access) -> Rights {
        Rights {
            www_read: self.access.www_read.unwrap_or(Access::Anyone),
            shared_read: self.access.shared_read.unwrap_or(Access::Anyone),
            shared_write: self.access.shared_write.unwrap_or(unsaid_write),
            chat_read: self.access.chat_read.unwrap_or(Access::Anyone),
            chat_write: self.access.chat_write.unwrap_or(unsaid_write),
            signup: self.signup.unwrap_or(if unsaid_write == Access::Anyone { Signup::Open } else { Signup::Invite }),
        }
    }

    /// Whether the Host list lets every host pass.
    pub fn allows_any_host(&self) -> bool {
        self.allow_hosts.iter().any(|host| host == "*")
    }
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port; port 0 lets the system pick one.
    pub address: SocketAddr,
    /// Whether a machine that does not have this kind of address (no IPv6) may go without it.
    pub is_optional: bool,
}

impl Listen {
    /// An address that must work.
    pub const fn on(address: SocketAddr) -> Listen {
        Listen { address, is_optional: false }
    }

    /// Both loopback addresses with one port; the one of IPv6 where there is IPv6.
    pub fn loopback(port: u16) -> Vec<Listen> {
        vec![
            Listen::on(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            Listen { address: SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port), is_optional: true },
        ]
    }
}

/// Who may pass a switch; each includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everyone, guests too.
    Anyone,
    /// Whoever is signed in.
    User,
    /// Whoever holds the operator's token, and admins.
    Operator,
}

impl Access {
    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Access::Anyone => "anyone",
            Access::User => "user",
            Access::Operator => "operator",
        }
    }
}

/// The five switches as they were set; `None` is what nobody spoke of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switches {
    /// Reading the static site. Default: anyone.
    pub www_read: Option<Access>,
    /// Listing and fetching shared files. Default: anyone.
    pub shared_read: Option<Access>,
    /// Uploading to the shared area. Default: anyone under loopback defaults, else user.
    pub shared_write: Option<Access>,
    /// Reading the chat. Default: anyone.
    pub chat_read: Option<Access>,
    /// Writing in the chat. Default: anyone under loopback defaults, else user.
    pub chat_write: Option<Access>,
}

/// The five switches as they are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Reading the static site.
    pub www_read: Access,
    /// Listing and fetching shared files.
    pub shared_read: Access,
    /// Uploading to the shared area.
    pub shared_write: Access,
    /// Reading the chat.
    pub chat_read: Access,
    /// Writing in the chat.
    pub chat_write: Access,
    /// Making an account.
    pub signup: Signup,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// Everyone.
    Open,
    /// Whoever has an invite.
    Invite,
    /// Nobody: admins and the operator make them.
    Closed,
}

impl Signup {
    /// All of them.
    pub const ALL: [Signup; 3] = [Signup::Open, Signup::Invite, Signup::Closed];

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Signup::Open => "open",
            Signup::Invite => "invite",
            Signup::Closed => "closed",
        }
    }
}

/// Whether the kernel confines the server to its own folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// No.
    Off,
    /// As far as the kernel can.
    Best,
    /// Yes; where the kernel cannot, there is no start.
    Require,
}

impl Confinement {
    /// All of them.
    pub const ALL: [Confinement; 3] = [Confinement::Off, Confinement::Best, Confinement::Require];

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Confinement::Off => "off",
            Confinement::Best => "best",
            Confinement::Require => "require",
        }
    }
}

/// What hashing a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProfile {
    /// 19 MiB of memory, gone over twice.
    Usual,
    /// 7 MiB, gone over five times.
    Low,
}

impl PasswordProfile {
    /// Memory in KiB, and how often it is gone over.
    pub const fn cost(self) -> (u32, u32) {
        match self {
            PasswordProfile::Usual => (19 * 1024, 2),
            PasswordProfile::Low => (7 * 1024, 5),
        }
    }
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// The network of a text: `10.0.0.0/8`, `fd00::/8`, or one address.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    /// Whether an address lies in it. The IPv4 form of an address is meant, where it has one.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                own.to_bits().checked_shr(32 - self.bits) == ip.to_bits().checked_shr(32 - self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                own.to_bits().checked_shr(128 - self.bits) == ip.to_bits().checked_shr(128 - self.bits)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

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

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To stderr, among the messages.
    Stderr,
    /// To the end of this file.
    File(PathBuf),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: messages as text, exchanges in the combined format.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Whether a message is on the disk before its sender hears that it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatSync {
    /// It is: an answer of 201 outlives a power cut.
    Full,
    /// It is written but not waited for: quicker, and a power cut may take the last seconds.
    Off,
}

/// So many within a time, and so many at once: a bucket of `burst` tokens, refilled at `count` per `per_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many are given in each stretch of `per_ms`; 0 switches the limit off.
    pub count: u32,
    /// The stretch in milliseconds; never 0.
    pub per_ms: u64,
    /// How many may come at once after a rest.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const OFF: Rate = Rate { count: 0, per_ms: 1000, burst: 0 };

    /// Whether there is no limit.
    pub const fn is_off(self) -> bool {
        self.count == 0
    }
}

/// Every number that says how far something may grow or how long it may take. The greatest value is "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once; fitted to the descriptor limit at start. At the limit idle ones give way to newcomers.
    /// Default: 10,000, which a small machine bears.
    pub max_connections: usize,
    /// Connections at once from one address. Default: no limit, for a whole office may share one.
    pub max_per_ip: usize,
    /// Connections that wait in the kernel to be accepted. Default: 1,024; the system's `somaxconn` caps it.
    pub backlog: u32,
    /// Bytes of a request line; beyond them 414. Default: 8 KiB (RFC 9112, section 3, asks for 8,000 at least).
    pub request_line_bytes: usize,
    /// Bytes of all header lines; beyond them 431. Default: 16 KiB; browsers with many cookies reach 12.
    pub header_bytes: usize,
    /// Header lines; beyond them 431. Default: 100; browsers send about 20.
    pub headers: usize,
    /// Milliseconds from the first byte of a connection, or of a head, to the head's end; beyond them 408.
    /// Default: 10,000; whoever is slower is stuck or means it.
    pub header_timeout_ms: u64,
    /// Milliseconds without a byte of a body that is being received. Default: 30,000, for mobile links pause.
    pub body_idle_ms: u64,
    /// Bytes a second that a body must bring on the average once `body_min_rate_after_ms` have passed.
    /// Default: 1 KiB/s; 0 asks for nothing. It stops bodies that trickle for ever.
    pub body_min_rate_bytes_per_s: u64,
    /// Milliseconds after which `body_min_rate_bytes_per_s` is asked for. Default: 10,000, time for TCP to begin.
    pub body_min_rate_after_ms: u64,
    /// Milliseconds that a client may take nothing of what we send. Default: 30,000.
    pub write_idle_ms: u64,
    /// Milliseconds that a client may say nothing between two requests. Default: 30,000.
    pub keepalive_ms: u64,
    /// Requests on one connection; the last answer says `Connection: close`. Default: 100, so that connections are
    /// spread anew now and then.
    pub keepalive_requests: u32,
    /// Bytes of a JSON body; beyond them 413. It is held in memory. Default: 1 MiB.
    pub json_limit_bytes: usize,
    /// Bytes of a form that is no upload; beyond them 413. It is held in memory. Default: 64 KiB.
    pub form_limit_bytes: usize,
    /// Bytes of an upload; beyond them 413. It goes to the disk as it comes. Default: 4 GiB.
    pub upload_limit_bytes: u64,
    /// Parts of a multipart body; beyond them 413. Default: 64.
    pub parts: usize,
    /// Bytes that uploads leave free on the disk; below them 507. Default: 64 MiB, so that the database can go on.
    pub min_free_bytes: u64,
    /// How many bytes the files of an account may have in all, in its home and in the shared area (507), unless an admin has said
    /// otherwise of it.
    pub quota_bytes: u64,
    /// Open event streams and WebSockets at once. Default: no limit of their own beside `max_connections`.
    pub streams: usize,
    /// Bytes that may wait for one slow reader of a stream before it is closed, to resume by id. Default: 64 KiB.
    pub stream_queue_bytes: usize,
    /// Bytes that may wait for all readers of streams together; the one that would bring more is closed, to resume by id.
    /// Default: 64 MiB.
    pub stream_total_bytes: usize,
    /// Bytes of a chat message; beyond them 413. Default: 4 KiB, a page of text.
    pub message_limit_bytes: usize,
    /// Messages that the history keeps; the oldest go first. Default: 100,000, some tens of MB.
    pub history_messages: u64,
    /// Days that a message is kept. Default: 365.
    pub history_days: u32,
    /// Whether a message is on the disk before its sender hears that it was kept. Default: full.
    pub chat_sync: ChatSync,
    /// Messages from one address; beyond them 429. Default: 1 a second, 10 at once.
    pub send_rate: Rate,
    /// Sign-ins, registrations, resets and wrong tokens from one address; beyond them 429. Default: 20 a minute, for
    /// people mistype.
    pub login_rate: Rate,
    /// Requests from one address; beyond them 429. Default: off, for only the operator knows what is usual.
    pub request_rate: Rate,
    /// Milliseconds that running exchanges are given when the server is asked to stop. Default: 10,000, which is
    /// what service managers wait at least. 0 gives them none.
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 10_000,
            max_per_ip: usize::MAX,
            backlog: 1024,
            request_line_bytes: 8 * KIB,
            header_bytes: 16 * KIB,
            headers: 100,
            header_timeout_ms: 10_000,
            body_idle_ms: 30_000,
            body_min_rate_bytes_per_s: KIB as u64,
            body_min_rate_after_ms: 10_000,
            write_idle_ms: 30_000,
            keepalive_ms: 30_000,
            keepalive_requests: 100,
            json_limit_bytes: MIB,
            form_limit_bytes: 64 * KIB,
            upload_limit_bytes: 4 * GIB,
            parts: 64,
            min_free_bytes: 64 * MIB as u64,
            quota_bytes: u64::MAX,
            streams: usize::MAX,
            stream_queue_bytes: 64 * KIB,
            stream_total_bytes: 64 * MIB,
            message_limit_bytes: 4 * KIB,
            history_messages: 100_000,
            history_days: 365,
            chat_sync: ChatSync::Full,
            send_rate: Rate { count: 1, per_ms: 1000, burst: 10 },
            login_rate: Rate { count: 20, per_ms: 60_000, burst: 20 },
            request_rate: Rate::OFF,
            drain_ms: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(addresses: &[&str]) -> Config {
        let listen = addresses.iter().map(|text| Listen::on(text.parse().unwrap())).collect();
        Config { listen, ..Config::default() }
    }

    #[test]
    fn loopback_defaults_hold_while_every_listener_is_loopback_and_no_one_else_was_named() {
        let named = |allow_hosts: &[&str], cors_origins: &[&str]| Config {
            allow_hosts: allow_hosts.iter().map(|host| host.to_string()).collect(),
            cors_origins: cors_origins.iter().map(|origin| origin.to_string()).collect(),
            ..Config::default()
        };
        for (config, is_loopback_only, has_loopback_defaults) in [
            (Config::default(), true, true),
            (listening_on(&["127.0.0.1:80"]), true, true),
            (listening_on(&["127.9.9.9:80", "[::1]:80"]), true, true),
            (listening_on(&["[::ffff:127.0.0.1]:80"]), true, true),
            (listening_on(&["127.0.0.1:80", "0.0.0.0:80"]), false, false),
            (listening_on(&["[::]:80"]), false, false),
            (listening_on(&["192.168.1.2:80"]), false, false),
            (named(&["example.org"], &[]), true, false),
            (named(&["*"], &[]), true, false),
            (named(&[], &["https://example.org"]), true, false),
        ] {
            assert_eq!(config.is_loopback_only(), is_loopback_only, "{config:?}");
            assert_eq!(config.has_loopback_defaults(), has_loopback_defaults, "{config:?}");
        }
    }

    #[test]
    fn guests_write_under_loopback_defaults_only_and_read_everywhere() {
        let near = Config::default().rights();
        assert_eq!([near.shared_write, near.chat_write], [Access::Anyone; 2]);
        let far = listening_on(&["0.0.0.0:80"]).rights();
        assert_eq!([far.shared_write, far.chat_write], [Access::User; 2]);
        for rights in [near, far] {
            assert_eq!([rights.www_read, rights.shared_read, rights.chat_read], [Access::Anyone; 3]);
        }
    }

    #[test]
    fn a_request_through_a_proxy_has_network_rights_though_we_listen_on_loopback() {
        assert_eq!(Config::default().network_rights(), listening_on(&["0.0.0.0:80"]).rights());
    }

    #[test]
    fn a_switch_that_was_set_holds_wherever_we_listen() {
        let set = Some(Access::Operator);
        let access = Switches {
            www_read: set,
            shared_read: set,
            shared_write: set,
            chat_read: set,
            chat_write: Some(Access::Anyone),
        };
        for listen in [Listen::loopback(80), listening_on(&["0.0.0.0:80"]).listen] {
            let config = Config { access, listen, ..Config::default() };
            for rights in [config.rights(), config.network_rights()] {
                let four = [rights.www_read, rights.shared_read, rights.shared_write, rights.chat_read];
                assert_eq!(four, [Access::Operator; 4]);
                assert_eq!(rights.chat_write, Access::Anyone);
            }
        }
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..], &["11.0.0.0", "::1"][..]),
            ("127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]),
            ("192.168.7.0/25", &["192.168.7.127"], &["192.168.7.128"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("::/0", &["::1"], &["1.2.3.4"]),
            ("fd00::/8", &["fd12::1"], &["fe80::1"]),
        ] {
            let network = Network::parse(network).unwrap();
            for ip in inside {
                assert!(network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
            for ip in outside {
                assert!(!network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "localhost", "10.0.0.0/4294967295"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_matched_by_itself_alone_and_never_shown() {
        let secret = Secret::new("abcabc");
        assert!(secret.matches(b"abcabc"));
        for other in ["", "abc", "abcabd", "abcabcabc", "abcabcx"] {
            assert!(!secret.matches(other.as_bytes()), "{other}");
        }
        assert!(!Secret::new("").matches(b""));
        let config =
            Config { tokens: vec![OperatorToken { secret, source: TokenSource::Environment }], ..Config::default() };
        assert!(!format!("{config:?}").contains("abc"));
    }
}
