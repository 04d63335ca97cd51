//! The table of keys: each is defined here once, and is then a flag, an environment variable, a key of the
//! configuration file, a line of `hythe check` and a line of `docs/configuration.md`.

use crate::cli::forms::{
    access, set_access_log, set_allow_hosts, set_attach, set_cors_origins, set_listen, set_path_prefix,
    set_redirect_http, set_rooms, set_tls_certs, set_tls_keys, set_trusted_proxies, set_unix, shown, word,
};
use crate::cli::key::{Group, Key, Kind, Zero};
use crate::config::choices::{AccessLog, ChatSync, Confinement, LogFormat, PasswordProfile, Signup};
use crate::config::listen::Network;

use Kind::{Choice, Count, Duration, File, Flow, Folder, List, Rate as PerTime, Size, Switch, Text, Token};
use Zero::{NoLimit, Nothing};

const ACCESS: &[&str] = &["anyone", "user", "operator"];
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// Every key there is.
pub static GROUPS: &[Group] = &[
    Group {
        title: "Addresses and folders",
        keys: &[
            Key {
                name: "config",
                kind: File(|config| &mut config.config_file),
                default: "(none)",
                help: "A configuration file (TOML): the keys of this list, without the hyphens before them",
                reason: "There is no default place, so that nothing is read that was not named. Relative paths in it \
                         start where hythe was started, as they do on the command line",
            },
            Key {
                name: "listen",
                kind: List("ADDR:PORT", set_listen, |config| {
                    config.listen.iter().map(|listen| listen.address.to_string()).collect()
                }),
                default: "127.0.0.1:8080,[::1]:8080",
                help: "Where to listen; may be given several times (0.0.0.0:8080 is every IPv4 address)",
                reason: "Nobody is on the network unawares. The second default is left out on a machine without IPv6; \
                         PORT alone stands for the two defaults with that port, and port 0 lets the system pick one",
            },
            Key {
                name: "unix",
                kind: List("PATH", set_unix, |config| shown(&config.unix)),
                default: "",
                help: "A Unix socket to listen on as well, without encryption; may be given several times",
                reason: "For a proxy on this machine: its group may connect (0660). One that an earlier run left is replaced, one \
                         that is in use is not. Setting it ends the loopback defaults",
            },
            Key {
                name: "www",
                kind: Folder(|config| &mut config.www),
                default: "www",
                help: "The folder of the static site",
                reason: "Made where missing. None of www, uploads and data may contain another",
            },
            Key {
                name: "uploads",
                kind: Folder(|config| &mut config.uploads),
                default: "uploads",
                help: "The folder of the shared area",
                reason: "Made where missing",
            },
            Key {
                name: "data",
                kind: Folder(|config| &mut config.data),
                default: "data",
                help: "The folder of what the server keeps for itself",
                reason: "Made where missing, for its owner alone (0700)",
            },
            Key {
                name: "path-prefix",
                kind: Text("/P", set_path_prefix, |config| Some(config.path_prefix.clone())),
                default: "",
                help: "What stands before every path when a proxy hands us only a part of its site",
                reason: "Taken off every target that comes and put before every URL we give",
            },
            Key {
                name: "list",
                kind: Switch(true, |config| &mut config.lists_folders),
                default: "false",
                help: "List the folders of www that have no index.html",
                reason: "Off, for a listing tells of files that nobody linked",
            },
            Key {
                name: "attach",
                kind: List("EXT,…", set_attach, |config| config.attach.clone()),
                default: "jpg,jpeg,txt",
                help: "Extensions of static files that are offered as downloads instead of being shown",
                reason: "An empty list offers none",
            },
            Key {
                name: "no-chat",
                kind: Switch(false, |config| &mut config.has_chat),
                default: "false",
                help: "Go without the chat: its routes do not exist",
                reason: "What is not needed should not be reachable",
            },
            Key {
                name: "no-accounts",
                kind: Switch(false, |config| &mut config.has_accounts),
                default: "false",
                help: "Go without accounts: their routes do not exist",
                reason: "What is not needed should not be reachable",
            },
            Key {
                name: "no-files",
                kind: Switch(false, |config| &mut config.has_files),
                default: "false",
                help: "Go without uploads and the shared area: their routes do not exist",
                reason: "What is not needed should not be reachable",
            },
        ],
    },
    Group {
        title: "Encryption",
        keys: &[
            Key {
                name: "tls-cert",
                kind: List("FILE", set_tls_certs, |config| shown(&config.tls_certs)),
                default: "",
                help: "A certificate with its chain (PEM); with one, every listener speaks TLS. May be given several times",
                reason: "Each has its key in the same place of tls-key, and is chosen by the name a client asks for; the \
                         first is for all others. Files are looked at every ten seconds and on SIGHUP, and what does not \
                         fit together leaves the old in force. `hythe cert` makes a pair for a home network",
            },
            Key {
                name: "tls-key",
                kind: List("FILE", set_tls_keys, |config| shown(&config.tls_keys)),
                default: "",
                help: "The private key (PEM) of the certificate in the same place; may be given several times",
                reason: "A P-256 key costs a thirtieth of what an RSA key does in each handshake",
            },
            Key {
                name: "redirect-http",
                kind: Text("ADDR:PORT", set_redirect_http, |config| {
                    config.redirect_http.map(|address| address.to_string())
                }),
                default: "(none)",
                help: "An address without encryption whose only answer is where the encrypted one is",
                reason: "Who types a name without https:// comes to port 80. Needs tls-cert",
            },
            Key {
                name: "hsts",
                kind: Duration(Nothing, |config| &mut config.hsts_ms),
                default: "0",
                help: "How long browsers must not come without encryption again (Strict-Transport-Security); 0 is not said",
                reason: "What browsers have been told cannot be taken back: set it when encryption is there to stay",
            },
        ],
    },
    Group {
        title: "Access",
        keys: &[
            Key {
                name: "token",
                kind: Token,
                default: "(none)",
                help: "A token for the operator; better by --token-file or HYTHE_OPERATOR_TOKEN",
                reason: "Others on the machine can see a command line. Every token that is not empty will do; without \
                         one there is no operator over HTTP",
            },
            Key {
                name: "token-file",
                kind: File(|config| &mut config.token_file),
                default: "(none)",
                help: "A file with a token for the operator",
                reason: "Space around the token is left out. Sixteen random bytes or more cannot be guessed",
            },
            Key {
                name: "allow-host",
                kind: List("HOST", set_allow_hosts, |config| config.allow_hosts.clone()),
                default: "",
                help: "A further host name that requests may be for; may be given several times (* is every host)",
                reason: "The list stops DNS rebinding. A name without a port matches any port. Setting it ends the \
                         loopback defaults",
            },
            Key {
                name: "cors-origin",
                kind: List("ORIGIN", set_cors_origins, |config| config.cors_origins.clone()),
                default: "",
                help: "An origin (https://app.example) whose pages may call us, with bearer tokens only",
                reason: "Nobody else's pages may. Setting it ends the loopback defaults",
            },
            Key {
                name: "www-read",
                kind: Choice(
                    ACCESS,
                    |config, word| config.access.www_read = access(word),
                    |config| config.access.www_read.map(word),
                ),
                default: "anyone",
                help: "Who may read the static site",
                reason: "A site is there to be read",
            },
            Key {
                name: "shared-read",
                kind: Choice(
                    ACCESS,
                    |config, word| config.access.shared_read = access(word),
                    |config| config.access.shared_read.map(word),
                ),
                default: "anyone",
                help: "Who may list and fetch shared files",
                reason: "Shared is shared",
            },
            Key {
                name: "shared-write",
                kind: Choice(
                    ACCESS,
                    |config, word| config.access.shared_write = access(word),
                    |config| config.access.shared_write.map(word),
                ),
                default: "(anyone under loopback defaults, else user)",
                help: "Who may upload to the shared area",
                reason: "Loopback defaults hold while every listener is loopback and none of allow-host, cors-origin and \
                         trusted-proxy is set; a request with a proxy's headers has come over the network all the same",
            },
            Key {
                name: "chat-read",
                kind: Choice(
                    ACCESS,
                    |config, word| config.access.chat_read = access(word),
                    |config| config.access.chat_read.map(word),
                ),
                default: "anyone",
                help: "Who may read the chat",
                reason: "As for shared files",
            },
            Key {
                name: "chat-write",
                kind: Choice(
                    ACCESS,
                    |config, word| config.access.chat_write = access(word),
                    |config| config.access.chat_write.map(word),
                ),
                default: "(anyone under loopback defaults, else user)",
                help: "Who may write in the chat",
                reason: "As for shared-write",
            },
        ],
    },
    Group {
        title: "Confinement",
        keys: &[
            Key {
                name: "sandbox",
                kind: Choice(
                    &["off", "best", "require"],
                    |config, word| {
                        let chosen = Confinement::ALL.into_iter().find(|how| how.word() == word);
                        config.sandbox = chosen.expect("one of the words of the table");
                    },
                    |config| Some(config.sandbox.word().to_string()),
                ),
                default: "best",
                help: "Whether the kernel (Landlock) lets the server reach its own folders only, and connect nowhere",
                reason: "As far as the kernel can; require refuses to start where it cannot (before Linux 6.7). Keep logs, \
                         certificates, tokens and the configuration in folders of their own, for those are allowed with them",
            },
            Key {
                name: "user",
                kind: Text(
                    "NAME",
                    |config, name| {
                        config.user = Some(name.to_string());
                        Ok(())
                    },
                    |config| config.user.clone(),
                ),
                default: "(none)",
                help: "Whom root becomes, with all groups, once the addresses are bound",
                reason: "For ports below 1024 without a service manager. Folders that are made then are this user's; \
                         certificates that are to be read again must be readable to it",
            },
        ],
    },
    Group {
        title: "Logs",
        keys: &[
            Key {
                name: "access-log",
                kind: Text("FILE|stderr|off", set_access_log, |config| match &config.access_log {
                    AccessLog::Off => Some("off".to_string()),
                    AccessLog::Stderr => Some("stderr".to_string()),
                    AccessLog::File(path) => Some(path.display().to_string()),
                }),
                default: "off",
                help: "Where one line per exchange goes",
                reason: "It tells who read what, and a busy server fills a disk with it",
            },
            Key {
                name: "log-level",
                kind: Choice(
                    LEVELS,
                    |config, word| config.log_level = word.parse().expect("one of the levels of the table"),
                    |config| Some(config.log_level.as_str().to_ascii_lowercase()),
                ),
                default: "info",
                help: "The least urgent messages that are logged",
                reason: "What an operator wants to know, and nothing for each request",
            },
            Key {
                name: "log-file",
                kind: File(|config| &mut config.log_file),
                default: "(none)",
                help: "A file for messages, instead of stderr",
                reason: "A service manager collects stderr",
            },
            Key {
                name: "log-format",
                kind: Choice(
                    &["text", "json"],
                    |config, word| config.log_format = if word == "json" { LogFormat::Json } else { LogFormat::Text },
                    |config| Some(if config.log_format == LogFormat::Json { "json" } else { "text" }.to_string()),
                ),
                default: "text",
                help: "How log lines are written",
                reason: "Text is for people; json is one object a line",
            },
        ],
    },
    Group {
        title: "Connections and requests",
        keys: &[
            Key {
                name: "io-threads",
                kind: Count(Nothing, 1, |config| &mut config.io_threads),
                default: "4",
                help: "Helper threads that read files, and as many that write them",
                reason: "Enough to keep a disk busy while one of them waits; at least one",
            },
            Key {
                name: "max-connections",
                kind: Count(NoLimit, 0, |config| &mut config.limits.max_connections),
                default: "10000",
                help: "Connections at once",
                reason: "Fitted to the descriptor limit at start. At the limit, idle connections give way to newcomers",
            },
            Key {
                name: "max-per-ip",
                kind: Count(NoLimit, 0, |config| &mut config.limits.max_per_ip),
                default: "0",
                help: "Connections at once from one address",
                reason: "No limit, for a whole office may share one address",
            },
            Key {
                name: "backlog",
                kind: Count(NoLimit, 0, |config| &mut config.limits.backlog),
                default: "1024",
                help: "Connections that may wait in the kernel to be accepted",
                reason: "A crowd that comes back after a restart; the system's somaxconn caps it",
            },
            Key {
                name: "request-line",
                kind: Size(NoLimit, |config| &mut config.limits.request_line_bytes),
                default: "8KiB",
                help: "The longest request line (beyond it 414)",
                reason: "RFC 9112 asks for 8,000 bytes at least",
            },
            Key {
                name: "header-bytes",
                kind: Size(NoLimit, |config| &mut config.limits.header_bytes),
                default: "16KiB",
                help: "The bytes of all header lines of a request (beyond them 431)",
                reason: "Browsers with many cookies reach 12 KiB",
            },
            Key {
                name: "headers",
                kind: Count(NoLimit, 0, |config| &mut config.limits.headers),
                default: "100",
                help: "The header lines of a request (beyond them 431)",
                reason: "Browsers send about 20",
            },
            Key {
                name: "header-timeout",
                kind: Duration(NoLimit, |config| &mut config.limits.header_timeout_ms),
                default: "10s",
                help: "How long a request's head may take (beyond it 408)",
                reason: "Whoever is slower is stuck, or means it",
            },
            Key {
                name: "body-idle",
                kind: Duration(NoLimit, |config| &mut config.limits.body_idle_ms),
                default: "30s",
                help: "How long a body that is being received may bring nothing",
                reason: "Mobile links pause",
            },
            Key {
                name: "body-min-rate",
                kind: Flow(|config| &mut config.limits.body_min_rate_bytes_per_s),
                default: "1KiB/s",
                help: "What a body must bring on the average after its first 10 s",
                reason: "It stops bodies that trickle for ever",
            },
            Key {
                name: "write-idle",
                kind: Duration(NoLimit, |config| &mut config.limits.write_idle_ms),
                default: "30s",
                help: "How long a client may take nothing of what we send",
                reason: "As for body-idle",
            },
            Key {
                name: "keepalive",
                kind: Duration(NoLimit, |config| &mut config.limits.keepalive_ms),
                default: "30s",
                help: "How long a client may say nothing between two requests",
                reason: "An idle connection costs little, yet a descriptor",
            },
            Key {
                name: "keepalive-requests",
                kind: Count(NoLimit, 0, |config| &mut config.limits.keepalive_requests),
                default: "100",
                help: "Requests on one connection; the last answer says so",
                reason: "Connections are spread anew now and then; 0 is for benchmarks",
            },
            Key {
                name: "request-rate",
                kind: PerTime(1, |config| &mut config.limits.request_rate),
                default: "0",
                help: "Requests from one address (beyond them 429)",
                reason: "Off, for only the operator knows what is usual",
            },
            Key {
                name: "drain",
                kind: Duration(Nothing, |config| &mut config.limits.drain_ms),
                default: "10s",
                help: "How long running exchanges may go on when the server is asked to stop",
                reason: "What service managers wait at least. 0 gives them no time",
            },
        ],
    },
    Group {
        title: "Bodies and files",
        keys: &[
            Key {
                name: "json-limit",
                kind: Size(NoLimit, |config| &mut config.limits.json_limit_bytes),
                default: "1MiB",
                help: "The largest JSON body (beyond it 413)",
                reason: "It is held in memory",
            },
            Key {
                name: "form-limit",
                kind: Size(NoLimit, |config| &mut config.limits.form_limit_bytes),
                default: "64KiB",
                help: "The largest form that is no upload (beyond it 413)",
                reason: "It is held in memory",
            },
            Key {
                name: "upload-limit",
                kind: Size(NoLimit, |config| &mut config.limits.upload_limit_bytes),
                default: "4GiB",
                help: "The largest upload (beyond it 413)",
                reason: "It goes to the disk as it comes, and min-free guards the disk",
            },
            Key {
                name: "parts",
                kind: Count(NoLimit, 0, |config| &mut config.limits.parts),
                default: "64",
                help: "The parts of a multipart body (beyond them 413)",
                reason: "Each part is a file to make",
            },
            Key {
                name: "min-free",
                kind: Size(Nothing, |config| &mut config.limits.min_free_bytes),
                default: "64MiB",
                help: "What uploads leave free on the disk (below it 507)",
                reason: "So that the database can go on. 0 lets them fill it",
            },
            Key {
                name: "quota",
                kind: Size(NoLimit, |config| &mut config.limits.quota_bytes),
                default: "0",
                help: "What the files of an account may have in all (beyond it 507)",
                reason: "An admin can give each account another one",
            },
        ],
    },
    Group {
        title: "Chat",
        keys: &[
            Key {
                name: "rooms",
                kind: List("open|ROOM,…", set_rooms, |config| {
                    config.rooms.clone().unwrap_or_else(|| vec!["open".to_string()])
                }),
                default: "open",
                help: "The rooms beside the lobby; open lets one appear on its first use (at most 256)",
                reason: "A fixed list is for places where nobody should make rooms",
            },
            Key {
                name: "streams",
                kind: Count(NoLimit, 0, |config| &mut config.limits.streams),
                default: "0",
                help: "Event streams and WebSockets at once",
                reason: "No cap of their own beside max-connections",
            },
            Key {
                name: "stream-queue",
                kind: Size(NoLimit, |config| &mut config.limits.stream_queue_bytes),
                default: "64KiB",
                help: "What may wait for one slow reader of a stream before it is closed",
                reason: "It resumes by id, so nothing is lost",
            },
            Key {
                name: "stream-total",
                kind: Size(NoLimit, |config| &mut config.limits.stream_total_bytes),
                default: "64MiB",
                help: "What may wait for all readers of streams together; the one that brings more is closed",
                reason: "It resumes by id; many slow readers must not take the memory of all others",
            },
            Key {
                name: "message-limit",
                kind: Size(NoLimit, |config| &mut config.limits.message_limit_bytes),
                default: "4KiB",
                help: "The longest message (beyond it 413)",
                reason: "A page of text",
            },
            Key {
                name: "history-messages",
                kind: Count(NoLimit, 0, |config| &mut config.limits.history_messages),
                default: "100000",
                help: "The messages that are kept; the oldest go first",
                reason: "Some tens of MB in the database",
            },
            Key {
                name: "history-days",
                kind: Count(NoLimit, 0, |config| &mut config.limits.history_days),
                default: "365",
                help: "The days that a message is kept",
                reason: "A year",
            },
            Key {
                name: "chat-sync",
                kind: Choice(
                    &["full", "off"],
                    |config, word| {
                        config.limits.chat_sync = if word == "off" { ChatSync::Off } else { ChatSync::Full };
                    },
                    |config| Some(if config.limits.chat_sync == ChatSync::Off { "off" } else { "full" }.to_string()),
                ),
                default: "full",
                help: "Whether a message is on the disk before its sender hears that it was kept",
                reason: "off writes without waiting: quicker, and a power cut may take the last seconds",
            },
            Key {
                name: "send-rate",
                kind: PerTime(10, |config| &mut config.limits.send_rate),
                default: "1/s burst 10",
                help: "Messages from one address (beyond them 429)",
                reason: "People write slower; the burst is at least 10 unless another is said",
            },
        ],
    },
    Group {
        title: "Accounts and proxies",
        keys: &[
            Key {
                name: "signup",
                kind: Choice(
                    &["open", "invite", "closed"],
                    |config, word| config.signup = Signup::ALL.into_iter().find(|signup| signup.word() == word),
                    |config| config.signup.map(|signup| signup.word().to_string()),
                ),
                default: "(open under loopback defaults, else invite)",
                help: "Who may make an account: everyone, whoever has an invite, or nobody",
                reason: "Admins and the operator make accounts and invites whatever it says",
            },
            Key {
                name: "password-profile",
                kind: Choice(
                    &["usual", "low"],
                    |config, word| {
                        config.password_profile =
                            if word == "low" { PasswordProfile::Low } else { PasswordProfile::Usual };
                    },
                    |config| {
                        Some(if config.password_profile == PasswordProfile::Low { "low" } else { "usual" }.to_string())
                    },
                ),
                default: "usual",
                help: "What hashing a password takes: usual 19 MiB (argon2id, t=2), low 7 MiB (t=5)",
                reason: "For machines with little memory. A change takes hold for each account at its next sign-in",
            },
            Key {
                name: "login-rate",
                kind: PerTime(0, |config| &mut config.limits.login_rate),
                default: "20/min",
                help: "Sign-ins, registrations, resets and wrong tokens from one address (beyond them 429)",
                reason: "People mistype; whoever guesses is held back for each account besides",
            },
            Key {
                name: "trusted-proxy",
                kind: List("CIDR", set_trusted_proxies, |config| {
                    config.trusted_proxies.iter().map(Network::to_string).collect()
                }),
                default: "",
                help: "A proxy (10.0.0.0/8, or one address) whose X-Forwarded-For or Forwarded is believed",
                reason: "Anybody else could claim any address. Setting it ends the loopback defaults. Whoever comes by a Unix \
                         socket counts as 127.0.0.1",
            },
            Key {
                name: "proxy-protocol",
                kind: Switch(true, |config| &mut config.takes_proxy_protocol),
                default: "false",
                help: "Each connection of a trusted-proxy begins with a PROXY header (version 1 or 2), which is believed",
                reason: "For proxies that pass bytes on. One without the header is closed; from anybody else it is a mistake (400)",
            },
        ],
    },
];

/// All keys, in the order of the table.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The key of that name, with hyphens or with underscores.
pub fn find(name: &str) -> Option<&'static Key> {
    let name = name.replace('_', "-");
    keys().find(|key| key.name == name)
}

/// The name that `word` was most likely meant to be.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(word, name);
    names.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests;
