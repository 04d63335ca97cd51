//! The loads: our own, and wrk. Each runs on the load's core and comes back as figures by name.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use hythe_bench::report::Figures;
use hythe_bench::{json, process};

use super::house::{House, Outcome, find_program, on_core};
use super::servers::{Server, end};

/// Runs our load to its end and takes these figures out of its line.
pub fn load(house: &House, server: &Server, words: &str, wanted: &[&str]) -> Outcome<Figures> {
    run_program(house, server, "load", words, wanted)
}

/// The same of another of our programs that measures.
pub fn run_program(house: &House, server: &Server, program: &str, words: &str, wanted: &[&str]) -> Outcome<Figures> {
    let output =
        on_core(house.load_core, || load_command(house, server, program, words).stdin(Stdio::null()).output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().last().filter(|_| output.status.success()) else {
        return Err(format!("{program} {words}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    };
    Ok(pick(line, wanted))
}

/// These figures of a line; what is not there is not taken.
#[must_use]
pub fn pick(line: &str, wanted: &[&str]) -> Figures {
    wanted.iter().filter_map(|name| Some(((*name).to_string(), json::number(line, name)?))).collect()
}

fn load_command(house: &House, server: &Server, program: &str, words: &str) -> Command {
    // Whoever only gets in the way has a machine of its own in the world; here it must not take the core from who measures.
    let is_measuring = matches!(program, "load" | "handshakes");
    let mut command = Command::new(if is_measuring { house.program(program) } else { "nice".into() });
    if !is_measuring {
        command.args(["-n", "19"]).arg(house.program(program));
    }
    command.args(words.split_whitespace());
    command.args(["--target", &server.address.to_string(), "--watch", &server.pid().to_string()]);
    command
}

/// A load that holds on until it is let go.
#[derive(Debug)]
pub struct Held {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub ready: String,
}

impl Held {
    /// Starts it and waits until it is ready.
    pub fn start(house: &House, server: &Server, words: &str) -> Outcome<Self> {
        Self::start_program(house, server, "load", words)
    }

    /// The same of another of our programs.
    pub fn start_program(house: &House, server: &Server, program: &str, words: &str) -> Outcome<Self> {
        let mut child = on_core(house.load_core, || {
            load_command(house, server, program, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        })?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut ready = String::new();
        lines.read_line(&mut ready)?;
        Ok(Self { child, lines, ready })
    }

    /// Lets it go; its last line.
    pub fn finish(mut self) -> Outcome<String> {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest)?;
        Ok(rest.lines().last().unwrap_or_default().to_string())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        end(&mut self.child);
    }
}

/// Runs wrk with one thread.
pub fn wrk(house: &House, server: &Server, path: &str, connections: usize, seconds: f64) -> Outcome<Figures> {
    wrk_with(house, server, "http", &[], path, connections, seconds)
}

/// The same with a scheme and more words.
pub fn wrk_with(
    house: &House,
    server: &Server,
    scheme: &str,
    words: &[&str],
    path: &str,
    connections: usize,
    seconds: f64,
) -> Outcome<Figures> {
    let Some(wrk) = find_program("wrk") else { return Ok(Vec::new()) };
    let before = process::cpu(server.pid());
    let output = on_core(house.load_core, || {
        Command::new(wrk)
            .args(["--threads", "1", "--latency", "--timeout", "10"])
            .args(["--connections", &connections.to_string(), "--duration", &format!("{}s", seconds.ceil())])
            .args(words)
            .arg(format!("{scheme}://{}{path}", server.address))
            .output()
    })?;
    let spent = process::cpu(server.pid()).since(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let seen = read_wrk(&text);
    #[allow(clippy::cast_precision_loss)]
    let each_us = spent.total_ns as f64 / 1e3 / seen.requests.max(1.0);
    Ok(vec![
        ("wrk_requests_per_s".into(), seen.requests_per_s),
        ("wrk_server_us".into(), each_us),
        ("wrk_p50_us".into(), seen.p50_us),
        ("wrk_p99_us".into(), seen.p99_us),
        ("wrk_errors".into(), seen.errors),
    ])
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    requests: f64,
    requests_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    errors: f64,
}

fn read_wrk(text: &str) -> Seen {
    let mut seen = Seen::default();
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Requests/sec:", rate] => seen.requests_per_s = rate.parse().unwrap_or(0.0),
            [count, "requests", "in", ..] => seen.requests = count.parse().unwrap_or(0.0),
            ["50%", time] => seen.p50_us = microseconds(time),
            ["99%", time] => seen.p99_us = microseconds(time),
            ["Socket", "errors:", ..] => {
                let counts = words.iter().filter_map(|word| word.trim_end_matches(',').parse::<f64>().ok());
                seen.errors += counts.sum::<f64>();
            }
            ["Non-2xx", .., count] => seen.errors += count.parse().unwrap_or(0.0),
            _ => {}
        }
    }
    seen
}

fn microseconds(text: &str) -> f64 {
    for (unit, scale) in [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)] {
        if let Some(number) = text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok()) {
            return number * scale;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_understood() {
        let text = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Latency Distribution\n     \
                    50%  632.00us\n     75%    1.20ms\n     99%    1.90ms\n  157963 requests in 2.00s, 192.14MB read\n  \
                    Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 5\n\
                    Requests/sec:  78981.65\nTransfer/sec:     96.07MB\n";
        let expected =
            Seen { requests: 157_963.0, requests_per_s: 78_981.65, p50_us: 632.0, p99_us: 1900.0, errors: 12.0 };
        assert_eq!(read_wrk(text), expected);
    }
}
