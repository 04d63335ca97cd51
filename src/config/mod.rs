//! Every limit, timeout, path and switch of a server, with its unit in its name and its reason beside it.
//!
//! Plain values and nothing else: no parsing, no files, no environment. The command line builds a [`Config`] (`cli`);
//! an embedder writes one by hand from [`Config::default`]. Every room is given its part of it when it is built.
//!
//! "No limit" is the greatest value of the field's type ([`u64::MAX`] and its like), so that whoever compares with a
//! limit needs no special case: nothing is ever larger, and a deadline that far away never comes. On the command line
//! and in files it is written `0`. Only a [`Rate`](limits::Rate) is off by being zero, and `min_free_bytes`, which asks for none.

use std::net::SocketAddr;
use std::path::PathBuf;

use log::LevelFilter;

use crate::config::access::{Access, Rights, Switches};
use crate::config::choices::{AccessLog, Confinement, LogFormat, PasswordProfile, Signup};
use crate::config::limits::Limits;
use crate::config::listen::{Listen, Network};
use crate::config::secret::OperatorToken;

pub mod access;
pub mod choices;
pub mod limits;
pub mod listen;
pub mod secret;

/// The port of the default listen addresses: the customary one for a server that no one gave a port.
pub const DEFAULT_PORT: u16 = 8080;

/// Passwords that are hashed at once. A hash takes 19 MiB and all of a core: with two, a machine of two cores would have none left.
pub(crate) const HASHERS: usize = 1;

/// Who may wait for that; whoever comes then is told 503. At some 30 ms a hash the last waits half a second.
pub(crate) const HASH_QUEUE: usize = 16;

/// Who may still wait then: those who are signed in, and those who come from where an account is at home. Whoever fills the queue from
/// outside does not keep them from their own accounts.
pub(crate) const HASH_RESERVE: usize = 4;

/// Jobs that may wait for a hash, or be one.
pub(crate) const HASH_JOBS_MAX: usize = HASHERS + HASH_QUEUE + HASH_RESERVE;

/// Jobs that may wait for, or be with, helpers for files.
pub(crate) const FILE_JOBS_MAX: usize = 4096;

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
    /// Whether there is a chat. Default: yes, if the build has one (feature `chat`).
    pub has_chat: bool,
    /// The chat's rooms beside the lobby; `None` when a room appears on its first use. Default: none, and so they appear.
    pub rooms: Option<Vec<String>>,
    /// Whether there are uploads and a shared area. Default: yes, if the build has them (feature `files`).
    pub has_files: bool,
    /// Whether there are accounts. Default: yes, if the build has them (feature `accounts`).
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
            has_chat: cfg!(feature = "chat"),
            rooms: None,
            has_files: cfg!(feature = "files"),
            has_accounts: cfg!(feature = "accounts"),
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

    /// Switches off what this build does not have.
    pub fn leave_out(&mut self) {
        self.has_chat &= cfg!(feature = "chat");
        self.has_files &= cfg!(feature = "files");
        self.has_accounts &= cfg!(feature = "accounts");
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
}
