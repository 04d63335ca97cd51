//! What encryption costs: new connections, bulk bytes, and the memory of one that is idle; beside nginx, with the same P-256
//! certificate and one worker.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use hythe_bench::process;

use super::house::{House, Outcome, find_program, on_core};
use super::servers::{Server, Start, end, free_address};
use super::tools::wrk_with;
use hythe_bench::report::{Figures, Results};

/// How many idle connections are held. A client that holds more would be measured itself.
const IDLE: usize = 2_000;

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
            let closing = ["--header", "Connection: close"];
            keep("connect", wrk_with(house, &server, "https", &closing, "/1k.bin", 32, house.seconds)?);
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
    for figure in ["connect_requests_per_s", "small_requests_per_s", "bulk_mib_per_s", "connect_server_us"] {
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
