//! How things stand, in one line for a person: what `SIGUSR1` asks for.

use std::fmt::Write;

use crate::reactor::slot::Yard;
use crate::reactor::system::Lane;
use crate::server::connection::state::Connection;
use crate::server::state::State;

/// The line.
pub(super) fn line<S: State>(census: &[(&'static str, usize)], yard: &Yard<Connection<S>>) -> String {
    let (counts, answers) = (&yard.counts, &yard.tally);
    let mut line = format!("status: {} connections", counts.connections);
    for (at, (doing, count)) in census.iter().enumerate() {
        let _ = write!(line, "{}{count} {doing}", if at == 0 { " (" } else { ", " });
    }
    if !census.is_empty() {
        line.push(')');
    }
    let _ = write!(
        line,
        "; {} accepted, {} evicted, {} given up; {} answers, {} of them 4xx and {} 5xx; {} in, {} out; \
         queues: {} for files, {} for passwords, {} for the ledger; {} held for listeners; {} turns, the longest {} ms",
        counts.accepted,
        counts.evicted,
        counts.given_up,
        answers.sum(0..600),
        answers.sum(400..500),
        answers.sum(500..600),
        size(counts.bytes_in),
        size(counts.bytes_out),
        yard.jobs_out(Lane::Files),
        yard.jobs_out(Lane::Hash),
        yard.promises(),
        size(yard.stream_bytes() as u64),
        counts.turns,
        counts.longest_turn_ms,
    );
    line
}

/// Bytes, for a person.
fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_in_which_they_can_be_read() {
        for (bytes, says) in [(0, "0 B"), (9_999, "9999 B"), (10_240, "10 KiB"), (50 << 20, "50 MiB")] {
            assert_eq!(size(bytes), says);
        }
    }
}
