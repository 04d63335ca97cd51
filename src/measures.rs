//! What of the configuration the loop and the house go by, at the start and after a reload: where we listen, who is answered to,
//! limits and times.

use std::io;
use std::net::SocketAddr;

use crate::cli::exit::RunError;
use crate::config::choices::{AccessLog, LogFormat};
use crate::config::limits::Limits;
use crate::config::{Config, FILE_JOBS_MAX, HASH_JOBS_MAX};
use crate::http::headers::HEADERS_MOST;
use crate::http::host::{HostList, HostRules};
use crate::http::request::HeadLimits;
use crate::os::process;
use crate::reactor::slot::Marks;
use crate::server::access::Format;
use crate::server::house::Rules;
#[cfg(feature = "ui")]
use crate::site;

/// Descriptors kept for files, logs, the ledger and the loop itself.
const DESCRIPTORS_KEPT: usize = 400;

/// Where we listen.
#[derive(Clone, Default)]
pub struct Bound {
    /// Where requests are served.
    pub listeners: Vec<SocketAddr>,
    /// Where they are sent elsewhere.
    pub detours: Vec<SocketAddr>,
}

/// Raises the descriptors to what the system allows, and lowers the connections to what that leaves.
pub fn fit_to_descriptors(limits: &mut Limits) {
    let descriptors = process::raise_descriptors();
    let fitting = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(16);
    if limits.max_connections > fitting {
        if limits.max_connections != usize::MAX {
            log::warn!("max_connections is lowered to {fitting}: this process may have {descriptors} descriptors");
        }
        limits.max_connections = fitting;
    }
}

/// Makes room for the descriptors of all connections, ahead of them.
pub fn reserve_descriptors(limits: &Limits) {
    process::reserve_descriptors(limits.max_connections.saturating_add(DESCRIPTORS_KEPT));
}

/// The hosts that are answered to; clients leave `default_port` out.
///
/// # Errors
/// If one cannot be a host.
pub fn hosts(config: &Config, bound: &Bound, default_port: u16) -> io::Result<HostList> {
    let reaches_out = !config.is_loopback_only();
    let machine = process::machine_name();
    let mut listeners = [bound.listeners.as_slice(), &bound.detours].concat();
    if !config.unix.is_empty() {
        // A Unix socket has no port: who asks through one for `localhost`, as `curl --unix-socket` does, says none.
        listeners.push(SocketAddr::from(([127, 0, 0, 1], default_port)));
    }
    let hosts = HostList::new(HostRules {
        listeners: &listeners,
        default_port,
        machine: machine.as_deref().filter(|_| reaches_out),
        passes_addresses: reaches_out,
        allowed: &config.allow_hosts,
    });
    hosts.map_err(io::Error::other)
}

/// What the house goes by.
///
/// # Errors
/// If a host cannot be one.
pub fn rules(config: &Config, bound: &Bound) -> Result<Rules, RunError> {
    let limits = &config.limits;
    let default_port = if config.is_encrypted() { 443 } else { 80 };
    let hosts =
        hosts(config, bound, default_port).map_err(|error| RunError::Other { doing: "answer to that host", error })?;
    Ok(Rules {
        heads: HeadLimits {
            request_line_bytes: limits.request_line_bytes,
            header_bytes: limits.header_bytes,
            headers: limits.headers.min(HEADERS_MOST),
        },
        header_timeout_ms: limits.header_timeout_ms,
        body_idle_ms: limits.body_idle_ms,
        body_rate_bytes: limits.body_min_rate_bytes_per_s,
        body_rate_after_ms: limits.body_min_rate_after_ms,
        keepalive_ms: limits.keepalive_ms,
        keepalive_requests: if limits.keepalive_requests == u32::MAX { 0 } else { limits.keepalive_requests },
        hosts: Some(hosts),
        cors_origins: config.cors_origins.clone(),
        prefix: config.path_prefix.clone(),
        secure_port: bound.listeners.first().filter(|_| config.is_encrypted()).map(SocketAddr::port),
        hsts_seconds: config.hsts_ms / 1000,
        #[cfg(feature = "ui")]
        painter: Some(match config.has_accounts {
            true => site::frame::refusal,
            false => site::frame::refusal_without_accounts,
        }),
        access_log: (config.access_log != AccessLog::Off).then_some(match config.log_format {
            LogFormat::Text => Format::Combined,
            LogFormat::Json => Format::Json,
        }),
        ..Rules::default()
    })
}

/// What the loop goes by.
pub fn marks(config: &Config) -> Marks {
    let limits = &config.limits;
    Marks {
        connections_max: limits.max_connections,
        per_address_max: if limits.max_per_ip == usize::MAX { 0 } else { limits.max_per_ip },
        outbox_bytes_high: 256 << 10,
        write_idle_ms: limits.write_idle_ms,
        listener_bytes_max: limits.stream_queue_bytes,
        listeners_bytes_max: limits.stream_total_bytes,
        jobs_max: [FILE_JOBS_MAX, FILE_JOBS_MAX, FILE_JOBS_MAX, HASH_JOBS_MAX],
        drain_ms: limits.drain_ms,
    }
}
