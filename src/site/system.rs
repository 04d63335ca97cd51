//! What the server says of itself: health, numbers, what it can do, and its description.

use std::fmt::Write;

use serde_json::json;

use crate::http::response::{Body, Response};
use crate::http::status::Status;
use crate::server::context::{Call, Context};
use crate::server::reply::{Counts, Lane, Reply, TURN_MS, Tally};
use crate::site::gate::{Action, Principal, Target, Terms, authorize, rights_of};
use crate::site::openapi;
use crate::site::state::Site;

/// `GET /healthz`: whether to send requests here.
pub fn health(_: &mut Site, _: &Call<'_>, cx: &mut Context<'_>) -> Response {
    if cx.is_closing {
        return Response::json(Status::SERVICE_UNAVAILABLE, &json!({"status": "draining"})).header("Retry-After", "5");
    }
    Response::json(Status::OK, &json!({"status": "ok"}))
}

/// What the pages ask for, by the names of the switches.
const SWITCHES: [(&str, Action); 6] = [
    ("www_read", Action::WwwRead),
    ("shared_read", Action::SharedRead),
    ("shared_write", Action::SharedWrite),
    ("chat_read", Action::ChatRead),
    ("chat_write", Action::ChatWrite),
    ("admin", Action::Admin),
];

/// `GET /api`: name, version, features, limits; and who asks, and what they may.
pub fn api(site: &mut Site, call: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Response {
    let mut features = vec!["static"];
    if site.files.is_some() {
        features.push("files");
    }
    if site.chat.is_some() {
        features.push("chat");
    }
    if site.accounts.is_some() {
        features.push("accounts");
    }
    let rights = rights_of(site, call.request);
    let terms = Terms { rights, is_local: false };
    let may = SWITCHES.into_iter().filter(|(_, action)| authorize(&who, *action, Target::Shared, &terms).is_ok());
    let may: Vec<&str> = may.map(|(name, _)| name).collect();
    let limits = &site.config.limits;
    // A limit that is off has the largest number there is; JSON has null for that.
    let bytes = |value: usize| (value != usize::MAX).then_some(value);
    let large = |value: u64| (value != u64::MAX).then_some(value);
    Response::json(
        Status::OK,
        &json!({
            "name": "hythe",
            "version": env!("CARGO_PKG_VERSION"),
            "features": features,
            "user": who.user().map(|user| &*user.name),
            "may": may,
            "signup": rights.signup.word(),
            "limits": {
                "request_line": bytes(limits.request_line_bytes),
                "header_bytes": bytes(limits.header_bytes),
                "headers": bytes(limits.headers),
                "json_limit": bytes(limits.json_limit_bytes),
                "form_limit": bytes(limits.form_limit_bytes),
                "upload_limit": large(limits.upload_limit_bytes),
                "quota": large(limits.quota_bytes),
                "parts": bytes(limits.parts),
                "message_limit": bytes(limits.message_limit_bytes),
                "keepalive_seconds": large(limits.keepalive_ms).map(|ms| ms / 1000),
                "keepalive_requests": (limits.keepalive_requests != u32::MAX).then_some(limits.keepalive_requests),
            },
        }),
    )
}

/// `GET /openapi.json`.
pub fn description(site: &mut Site, _: &Call<'_>, _: &mut Context<'_>) -> Response {
    Response::json(Status::OK, &openapi::document(site))
}

/// `GET /metrics`: Prometheus text, version 0.0.4. Connections are counted at the end of this turn, and told after it.
pub fn metrics(_: &mut Site, _: &Call<'_>, cx: &mut Context<'_>) -> Reply<Site> {
    cx.count_connections();
    Reply::offload(|| |site: &mut Site, cx: &mut Context<'_>| numbers(site, cx).into())
}

/// Several of one name, each with its label.
fn several(text: &mut String, name: &str, kind: &str, help: &str, label: &str, values: &[(&str, u64)]) {
    let _ = write!(text, "# HELP hythe_{name} {help}\n# TYPE hythe_{name} {kind}\n");
    for (word, value) in values {
        let _ = writeln!(text, "hythe_{name}{{{label}=\"{word}\"}} {value}");
    }
}

fn numbers(site: &mut Site, cx: &mut Context<'_>) -> Response {
    let counts = cx.counts;
    let tallies = site.tallies;
    let (shelf_bytes, open_files) =
        site.www.iter().fold((0, 0), |(bytes, files), www| (bytes + www.shelf.bytes(), files + www.shelf.open_files()));
    let started = *site.started.get_or_insert(cx.now);
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        // A line that cannot be written into memory is no case there is.
        let _ = write!(text, "# HELP hythe_{name} {help}\n# TYPE hythe_{name} {kind}\nhythe_{name} {value}\n");
    };
    one("connections", "gauge", "Connections now.", counts.connections);
    one("connections_accepted_total", "counter", "Connections accepted.", counts.accepted);
    one("connections_evicted_total", "counter", "Idle connections closed to make room.", counts.evicted);
    one("connections_refused_total", "counter", "Connections refused for their address's number.", counts.refused);
    one(
        "connections_given_up_total",
        "counter",
        "Connections closed because their client took nothing.",
        counts.given_up,
    );
    one("listener_rests_total", "counter", "Times the listener rested for want of room.", counts.rests);
    one("bytes_received_total", "counter", "Bytes read from sockets.", counts.bytes_in);
    one("bytes_sent_total", "counter", "Bytes written to sockets.", counts.bytes_out);
    one("loop_turns_total", "counter", "Turns of the loop.", counts.turns);
    one("loop_longest_turn_milliseconds", "gauge", "The longest turn of the loop so far.", counts.longest_turn_ms);
    one("panics_total", "counter", "Handlers that panicked.", counts.panics);
    one("ledger_kept_total", "counter", "Entries the ledger has kept.", counts.kept);
    one("ledger_lost_total", "counter", "Entries the ledger has lost.", counts.lost);
    one("listeners", "gauge", "Streams and polls that listen now.", cx.listeners() as u64);
    one("ledger_commits_total", "counter", "Batches the ledger has committed, or lost.", counts.commits);
    one("ledger_entries_out", "gauge", "Entries that wait for the ledger.", cx.entries_out() as u64);
    one("failed_sign_ins_total", "counter", "Sign-ins, resets and tokens that were wrong.", tallies.failed_sign_ins);
    one("hash_jobs", "gauge", "Passwords waiting to be hashed, or being so.", cx.jobs_out(Lane::Hash) as u64);
    one("stream_bytes", "gauge", "Bytes that wait for readers of streams.", cx.stream_bytes() as u64);
    one("file_jobs", "gauge", "Jobs waiting for or with a file helper.", cx.jobs_out(Lane::Files) as u64);
    one("shelf_bytes", "gauge", "Bytes of pages kept in memory.", shelf_bytes as u64);
    one("shelf_open_files", "gauge", "Files kept open.", open_files as u64);
    one("uploads_total", "counter", "Files stored.", tallies.uploads);
    one("uploaded_bytes_total", "counter", "Bytes of files stored.", tallies.uploaded_bytes);
    one("messages_total", "counter", "Chat messages kept.", tallies.messages);
    one("throttled_total", "counter", "Requests told to come back later.", tallies.throttled);
    one("uptime_seconds", "gauge", "Seconds since the start.", cx.now.since(started) / 1000);
    write_answers(&mut text, cx.answers);
    let at: Vec<_> = cx.census().iter().map(|&(doing, count)| (doing, count as u64)).collect();
    several(&mut text, "connections_by_state", "gauge", "Connections now, by what they are at.", "state", &at);
    let refusals = [
        ("rate", tallies.throttled),
        ("address", counts.refused),
        ("room", counts.evicted),
        ("slow_reader", counts.given_up),
        ("credentials", tallies.failed_sign_ins),
        ("ledger", counts.lost),
    ];
    several(&mut text, "refusals_total", "counter", "Who was turned away, and why.", "reason", &refusals);
    write_turns(&mut text, counts);
    Response::new(Status::OK)
        .header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        .header("Cache-Control", "no-store")
        .with_body(Body::Bytes(text.into()))
}

/// How often each status was answered, with its class; those that every server answers stand there from the start, so that their
/// first is seen as a step.
fn write_answers(text: &mut String, answers: &Tally) {
    let name = "hythe_answers_total";
    let _ = write!(text, "# HELP {name} Answers given, by status and its class.\n# TYPE {name} counter\n");
    let seen = answers.iter().map(|(status, _)| status).filter(|status| !USUAL.contains(status));
    let mut statuses: Vec<usize> = USUAL.into_iter().chain(seen).collect();
    statuses.sort_unstable();
    for status in statuses {
        let (class, count) = (status / 100, answers.sum(status..status + 1));
        let _ = writeln!(text, "{name}{{class=\"{class}xx\",status=\"{status}\"}} {count}");
    }
}

/// Statuses that are told of though there were none.
const USUAL: [usize; 8] = [101, 200, 206, 304, 400, 403, 404, 500];

/// The histogram of turns, in seconds as Prometheus has it.
fn write_turns(text: &mut String, counts: &Counts) {
    let name = "hythe_loop_turn_seconds";
    let help = "How long turns of the loop took in which something happened, sleep left out.";
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
    let mut so_far = 0;
    for (count, bound) in counts.turns_by_ms.iter().zip(TURN_MS) {
        so_far += count;
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {so_far}", bound as f64 / 1000.0);
    }
    let all: u64 = counts.turns_by_ms.iter().sum();
    let sum = counts.turns_ms as f64 / 1000.0;
    let _ = write!(text, "{name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum {sum}\n{name}_count {all}\n");
}
