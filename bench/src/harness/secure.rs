//! What encryption costs: new connections, bulk bytes, and the memory of one that is idle; beside nginx, with the same P-256
//! certificate and one worker.
//!
//! New connections are whole handshakes, of each version, and those that come back with a ticket, each counted by itself: a load
//! that resumes with one server and not with the other, or speaks another version with it, compares two different things.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use hythe_bench::process;

use super::house::{House, Outcome, find_program, on_core};
use super::servers::{Server, Start, end, free_address};
use super::tools::{run_program, wrk_with};
use hythe_bench::report::{Figures, Results};

/// How many idle connections are held. A client that holds more would be measured itself.
const IDLE: usize = 2_000;

/// Kinds of new connections, the words that ask for them, and the share of handshakes that is then resumed.
const SHAKES: [(&str, &str, f64); 4] = [
    ("new13", "", 0.0),
    ("new12", "--tls12", 0.0),
    ("resumed13", "--resume", 1.0),
    ("resumed12", "--resume --tls12", 1.0),
];

/// Holds connections that were answered once, until its stdin ends.
const HOLD: &str = "import socket, ssl, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
held = []
for _ in range(count):
    one = context.wrap_socket(socket.create_connection((host, port)))
    one.sendall(b'GET /1k.bin HTTP/1.1\\r\\nHost: %s:%d\\r\\n\\r\\n' % (host.encode(), port))
    got = b''
    while b'\\r\\n\\r\\n' not in got or len(got.split(b'\\r\\n\\r\\n', 1)[1]) < 1024:
        more = one.recv(4096)
        if not more:
            sys.exit('closed')
        got += more
    held.append(one)
print('ready', len(held), flush=True)
sys.stdin.read()
";

/// All three, in turns.
pub fn secure(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let keys = house.folder.join("tls");
    let hythe = house.hythe.as_ref().ok_or("no release binary of hythe")?;
    let made =
        Command::new(hythe).args(["cert", "--force", "--out"]).arg(&keys).args(["127.0.0.1", "localhost"]).output()?;
    if !made.status.success() {
        return Err(format!("no certificate: {}", String::from_utf8_lossy(&made.stderr).trim()).into());
    }
    // Who serves may be somebody else.
    let (certificate, key) = (keys.join("cert.pem"), keys.join("key.pem"));
    let text = |path: &std::path::Path| path.display().to_string();
    let words = ["--tls-cert", &text(&certificate), "--tls-key", &text(&key), "--max-connections", "12000"];
    let mut contenders = vec![("hythe", Start::Hythe(words.map(str::to_owned).to_vec()))];
    contenders.push(("nginx", Start::SecureNginx { certificate: text(&certificate), key: text(&key) }));
    contenders.retain(|(name, start)| match start.missing(house) {
        None => true,
        Some(why) => {
            results.remarks.push(format!("{name} is left out: {why}"));
            false
        }
    });
    for _ in 0..house.rounds.min(5) {
        for (name, start) in &contenders {
            let server = start.run(house, Some(free_address()?))?;
            let mut figures = Figures::new();
            let mut keep = |what: &str, seen: Figures| {
                figures.extend(seen.into_iter().map(|(name, value)| (name.replace("wrk", what), value)));
            };
            for (what, more, resumed) in SHAKES {
                let words = format!("--path /1k.bin --seconds {} {more}", house.seconds);
                let wanted = ["connections_per_s", "server_us", "client_us", "resumed_share", "errors"];
                let seen = run_program(house, &server, "handshakes", &words, &wanted)?;
                let share = seen.iter().find(|(name, _)| name == "resumed_share").map_or(0.0, |(_, share)| *share);
                if seen.iter().any(|(name, value)| name == "errors" && *value > 0.0) {
                    return Err(format!("{name}, {what}: connections failed").into());
                }
                if (share - resumed).abs() > 0.05 {
                    return Err(format!("{name}, {what}: {share:.2} of the handshakes were resumed").into());
                }
                let seen = seen.into_iter().filter(|(name, _)| name != "resumed_share");
                keep("", seen.map(|(name, value)| (format!("{what}_{name}"), value)).collect());
            }
            let bulk = wrk_with(house, &server, "https", &[], "/10m.bin", 4, house.seconds)?;
            let rate = bulk.iter().find(|(name, _)| name == "wrk_requests_per_s").map_or(0.0, |(_, rate)| *rate);
            keep(
                "bulk",
                bulk.into_iter().filter(|(name, _)| name == "wrk_server_us" || name == "wrk_errors").collect(),
            );
            keep("small", wrk_with(house, &server, "https", &[], "/1k.bin", 64, house.seconds)?);
            figures.push(("bulk_mib_per_s".into(), rate * 10.0));
            figures.retain(|(name, _)| !name.contains("_p50") && !name.contains("_p99"));
            drop(server);
            if let Some(bytes) = idle(house, &start.run(house, Some(free_address()?))?)? {
                figures.push(("idle_bytes_each".into(), bytes));
            }
            results.keep(name, figures);
        }
    }
    let shaken =
        SHAKES.iter().flat_map(|(what, ..)| ["connections_per_s", "server_us"].map(|part| format!("{what}_{part}")));
    let others = ["small_requests_per_s", "small_server_us", "bulk_mib_per_s", "bulk_server_us", "idle_bytes_each"];
    for figure in shaken.chain(others.map(String::from)) {
        let figure = figure.as_str();
        if let (Some(ours), Some(theirs)) = (results.median("hythe", figure), results.median("nginx", figure)) {
            results.remarks.push(format!("{figure}: hythe is at {:.2} of nginx", ours / theirs));
        }
    }
    fs::remove_dir_all(&keys)?;
    Ok(results)
}

/// What a connection costs that says nothing more, in bytes of the server's proportional set.
fn idle(house: &House, server: &Server) -> Outcome<Option<f64>> {
    let Some(python) = find_program("python3") else { return Ok(None) };
    let hold = |count: usize| -> Outcome<u64> {
        let (host, port) = (server.address.ip().to_string(), server.address.port().to_string());
        let mut command = Command::new(&python);
        command.args(["-c", HOLD, &host, &port, &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = on_core(house.load_core, || command.spawn())?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let bytes = process::memory_bytes(server.pid());
        drop(child.stdin.take());
        end(&mut child);
        if line.starts_with("ready") { Ok(bytes) } else { Err("the idle clients were not served".into()) }
    };
    // The first ones bring what is there only once.
    let before = hold(50)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let after = hold(IDLE)?;
    #[allow(clippy::cast_precision_loss)]
    Ok(Some((after as f64 - before as f64) / (IDLE - 50) as f64))
}
