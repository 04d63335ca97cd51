//! Limits, timers and rates, with their defaults and the reasons for them.

use crate::config::choices::ChatSync;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: u64 = 1024 * MIB as u64;

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
