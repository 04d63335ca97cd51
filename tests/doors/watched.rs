//! What a monitoring system is told, and asks for.

use std::collections::BTreeSet;
use std::net::TcpStream;

use crate::proxied::ask_with;
use crate::{BINARY, Folder, Running};

/// The names of our numbers in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_name(c)).filter(|word| word.starts_with("hythe_")).collect()
}

#[test]
fn the_dashboard_asks_for_numbers_that_there_are() {
    let folder = Folder::new("watched");
    let server = Running::start(folder.command(BINARY, &["--listen", "127.0.0.1:0"]));
    let address = server.address();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let _idle = TcpStream::connect(address).expect("it listens");
    let wrong =
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 23\r\n\r\nusername=a&password=wrong";
    let head = format!("POST /login HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let refused = ask_with(TcpStream::connect(address).expect("it listens"), &format!("{head}{wrong}"));
    assert!(!refused.starts_with("HTTP/1.1 200 "), "{refused}");
    let told = ask_with(TcpStream::connect(address).expect("it listens"), &request);
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let dashboard = include_str!("../../docs/grafana/hythe.json");
    let (asked, there) = (names(dashboard), names(&told));
    let missing: Vec<_> = asked.difference(&there).collect();
    assert!(missing.is_empty() && asked.len() > 20, "{missing:?} of {asked:?}");
    for line in [
        "hythe_connections_by_state{state=\"",
        "hythe_loop_turn_seconds_bucket{le=\"+Inf\"}",
        "hythe_refusals_total{reason=\"rate\"} 0",
        "hythe_hash_jobs ",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // Each bucket holds those before it.
    let buckets: Vec<u64> = told
        .lines()
        .filter(|line| line.starts_with("hythe_loop_turn_seconds_bucket"))
        .map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number"))
        .collect();
    assert!(buckets.len() == 9 && buckets.is_sorted() && buckets[8] > 0, "{buckets:?}");
}
