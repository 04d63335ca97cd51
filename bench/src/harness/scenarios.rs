//! What is measured: one function per scenario, each of which ends in a table.
//!
//! Contenders take turns (A B C, A B C, …), so that what else the machine does meets all of them alike. The first
//! contender is what the ratios refer to: the floor, where there is one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hythe_bench::process;

use super::house::{House, Outcome, find_program, on_core};
use super::logins;
use super::secure;
use super::servers::{Contender, Server, Start, ask_once, end, free_address, present};
use super::tools::{Held, load, pick, wrk};
use super::uploads;
use hythe_bench::report::{Figures, Results};

/// One thing to measure.
pub struct Scenario {
    /// The word it is called by.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The largest file it serves, in bytes.
    pub largest_file_bytes: u64,
    /// Does it.
    pub run: fn(&House) -> Outcome<Results>,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// All of them, in the order they are run.
pub const ALL: [Scenario; 20] = [
    Scenario {
        name: "start",
        about: "from exec to the first answer, and at rest",
        largest_file_bytes: KIB,
        run: start,
    },
    Scenario { name: "small", about: "1 KiB, 64 keep-alive connections", largest_file_bytes: KIB, run: small },
    Scenario { name: "small-log", about: "the same, access log off and on", largest_file_bytes: KIB, run: small_log },
    Scenario { name: "pipelined", about: "1 KiB, 16 deep on 64", largest_file_bytes: KIB, run: pipelined },
    Scenario { name: "many", about: "1 KiB, 10,000 connections", largest_file_bytes: KIB, run: many },
    Scenario { name: "notfound", about: "404, 64 connections", largest_file_bytes: KIB, run: not_found },
    Scenario {
        name: "route",
        about: "a route of an embedding program, and its idle connections",
        largest_file_bytes: KIB,
        run: route,
    },
    Scenario { name: "connect", about: "a connection per request", largest_file_bytes: KIB, run: connect },
    Scenario { name: "rate", about: "10,000 requests a second over 64", largest_file_bytes: KIB, run: rate },
    Scenario { name: "medium", about: "100 KiB, 64 connections", largest_file_bytes: 100 * KIB, run: medium },
    Scenario { name: "download", about: "10 MiB and 1 GiB", largest_file_bytes: 1 << 30, run: download },
    Scenario { name: "idle", about: "memory of 10,000 idle connections", largest_file_bytes: KIB, run: idle },
    Scenario {
        name: "siege",
        about: "slow clients, full house, no descriptors",
        largest_file_bytes: 10 * MIB,
        run: siege,
    },
    Scenario { name: "refusal", about: "refused while sending 10 MB", largest_file_bytes: 10 * MIB, run: refusal },
    Scenario {
        name: "tls",
        about: "encrypted: new connections, bulk, 1 KiB, memory of idle ones",
        largest_file_bytes: 10 * MIB,
        run: secure::secure,
    },
    Scenario {
        name: "login-flood",
        about: "1 KiB beside 200 clients that sign in without a break",
        largest_file_bytes: KIB,
        run: logins::flood,
    },
    Scenario {
        name: "login-time",
        about: "a name that is nobody's, and a wrong password",
        largest_file_bytes: KIB,
        run: logins::time,
    },
    Scenario {
        name: "upload",
        about: "1 GiB as PUT and as a form, on the disk and in memory",
        largest_file_bytes: KIB,
        run: uploads::upload,
    },
    Scenario {
        name: "crowd",
        about: "1 KiB beside 100 uploads of 10 MiB, on the disk and in memory",
        largest_file_bytes: KIB,
        run: uploads::crowd,
    },
    Scenario {
        name: "fetch",
        about: "10 MiB and 1 GiB from the shared area",
        largest_file_bytes: 1 << 30,
        run: uploads::fetch,
    },
];

const SPEED: [&str; 6] = ["requests_per_s", "server_us", "client_us", "p50_us", "p99_us", "errors"];

/// What a start leaves to be done has been done after so long (what it costs is `start`'s affair).
const SETTLED: Duration = Duration::from_secs(5);

/// Starts the contenders that are there and gives each its turn, round by round.
fn compare(
    house: &House,
    contenders: Vec<Contender>,
    measure: impl Fn(&'static str, &Server) -> Outcome<Figures>,
) -> Outcome<Results> {
    let mut results = Results::default();
    let mut servers = Vec::new();
    for (name, start) in present(house, contenders, &mut results.remarks) {
        servers.push((name, start.run(house, None)?));
    }
    std::thread::sleep(SETTLED);
    for _ in 0..house.rounds {
        for (name, server) in &servers {
            results.keep(name, measure(name, server)?);
        }
    }
    Ok(results)
}

/// How long hythe's head and body are for a path, so that the floor sends as much.
fn answer_bytes(house: &House, path: &str, otherwise: (usize, usize)) -> (usize, usize) {
    let hythe = Start::hythe("");
    if hythe.missing(house).is_some() {
        return otherwise;
    }
    hythe.run(house, None).and_then(|server| ask_once(server.address, path)).unwrap_or(otherwise)
}

fn all_four(floor: String) -> Vec<Contender> {
    vec![
        ("floor", Start::floor(&floor)),
        ("hythe", Start::hythe("")),
        ("nginx", Start::nginx()),
        ("lighttpd", Start::Lighttpd),
    ]
}

fn small(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/1k.bin", (300, 1024));
    compare(house, all_four(format!("--head-bytes {head} --body {body}")), |_, server| {
        let words = format!("closed --path /1k.bin --seconds {}", house.seconds);
        let mut figures = load(house, server, &words, &SPEED)?;
        figures.extend(wrk(house, server, "/1k.bin", 64, house.seconds)?);
        Ok(figures)
    })
}

/// A text of 12 bytes from a program's own route, 64 keep-alive connections; then what idle ones take.
fn route(house: &House) -> Outcome<Results> {
    let contenders = vec![
        ("floor", Start::floor("--head-bytes 170 --body 12")),
        ("route", Start::Route),
        ("hythe", Start::hythe("")),
    ];
    let mut results = compare(house, contenders, |name, server| {
        let path = if name == "hythe" { "/1k.bin" } else { "/hello" };
        load(house, server, &format!("closed --path {path} --seconds {}", house.seconds), &SPEED)
    })?;
    let contenders =
        vec![("route", Start::Route, "/hello"), ("hythe", Start::hythe("--max-connections 12000"), "/1k.bin")];
    for _ in 0..house.rounds.min(3) {
        for (name, start, path) in &contenders {
            if start.missing(house).is_none() {
                results.keep(name, idle_bytes(house, start, path)?);
            }
        }
    }
    Ok(results)
}

fn small_log(house: &House) -> Outcome<Results> {
    let log = house.folder.join("hythe.access.log").display().to_string();
    let contenders = vec![
        ("hythe", Start::hythe("")),
        ("hythe+log", Start::Hythe(vec!["--access-log".into(), log])),
        ("nginx", Start::nginx()),
        ("nginx+log", Start::Nginx { is_logging: true, connections: 16_000 }),
    ];
    let mut results = compare(house, contenders, |_, server| {
        load(house, server, &format!("closed --path /1k.bin --seconds {}", house.seconds), &SPEED)
    })?;
    for (with, without) in [("hythe+log", "hythe"), ("nginx+log", "nginx")] {
        if let (Some(on), Some(off)) = (results.median(with, "server_us"), results.median(without, "server_us")) {
            results.keep(with, vec![("log_us".into(), on - off)]);
            results.remarks.push(format!("{without}: the log costs {:.2} us of CPU a request", on - off));
        }
    }
    Ok(results)
}

fn pipelined(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/1k.bin", (300, 1024));
    compare(house, all_four(format!("--head-bytes {head} --body {body}")), |_, server| {
        load(house, server, &format!("closed --depth 16 --path /1k.bin --seconds {}", house.seconds), &SPEED)
    })
}

fn many(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/1k.bin", (300, 1024));
    let mut contenders = all_four(format!("--head-bytes {head} --body {body}"));
    // The switch for those who want more than the default of 10,000: there are always some that just close.
    contenders[1].1 = Start::hythe("--max-connections 12000");
    compare(house, contenders, |_, server| {
        let words = format!("closed --connections {} --path /1k.bin --seconds {}", house.many, house.seconds);
        let mut figures = load(house, server, &words, &SPEED)?;
        figures.extend(wrk(house, server, "/1k.bin", house.many, house.seconds.max(4.0))?);
        Ok(figures)
    })
}

fn not_found(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/nothing-here", (300, 100));
    let floor = format!("--status 404 --head-bytes {head} --body {body}");
    compare(house, all_four(floor), |_, server| {
        let words = format!("closed --path /nothing-here --expect 404 --seconds {}", house.seconds);
        load(house, server, &words, &SPEED)
    })
}

fn connect(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/1k.bin", (300, 1024));
    compare(house, all_four(format!("--close --head-bytes {head} --body {body}")), |_, server| {
        load(house, server, &format!("connect --path /1k.bin --seconds {}", house.seconds), &SPEED)
    })
}

fn rate(house: &House) -> Outcome<Results> {
    let (head, body) = answer_bytes(house, "/1k.bin", (300, 1024));
    compare(house, all_four(format!("--head-bytes {head} --body {body}")), |_, server| {
        let words = format!("rate --rate 10000 --path /1k.bin --seconds {}", house.seconds);
        let wanted =
            ["requests_per_s", "server_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "unanswered", "errors"];
        load(house, server, &words, &wanted)
    })
}

fn medium(house: &House) -> Outcome<Results> {
    let (head, _) = answer_bytes(house, "/100k.bin", (300, 0));
    let file = house.www().join("100k.bin").display().to_string();
    let mut contenders = all_four(format!("--head-bytes {head} --file {file}"));
    contenders.insert(1, ("floor-memory", Start::floor(&format!("--head-bytes {head} --file {file} --file-mem"))));
    compare(house, contenders, |_, server| {
        load(house, server, &format!("closed --path /100k.bin --seconds {}", house.seconds), &SPEED)
    })
}

/// CPU seconds of the server per GiB, of clients that throw away (`trunc`) and that read into memory (`copy`).
/// The second floor is the cheapest way known: no pacing, and turns of 256 KiB.
fn download(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for (file, clients) in [("10m", 1), ("10m", 16), ("1g", 1), ("1g", 4)] {
        let path = house.www().join(format!("{file}.bin")).display().to_string();
        let mut contenders = all_four(format!("--file {path}"));
        contenders.insert(
            1,
            ("floor-reno", Start::floor(&format!("--file {path} --congestion reno --turn 256k --chunk 256k"))),
        );
        let part = compare(house, contenders, |_, server| {
            let mut figures = Figures::new();
            for (how, word) in [("trunc", ""), ("copy", "--copy")] {
                let words = format!(
                    "download --path /{file}.bin --connections {clients} --seconds {} {word}",
                    (house.seconds / 2.0).max(0.5)
                );
                for (name, value) in load(house, server, &words, &["server_s_per_gib", "errors"])? {
                    if name != "errors" || value > 0.0 {
                        let name = if name == "errors" { "errors" } else { "s_per_gib" };
                        figures.push((format!("{file}x{clients}_{how}_{name}"), value));
                    }
                }
            }
            Ok(figures)
        })?;
        results.join(part);
    }
    for (file, clients) in [("10m", 1), ("10m", 16), ("1g", 1), ("1g", 4)] {
        for how in ["trunc", "copy"] {
            let figure = format!("{file}x{clients}_{how}_s_per_gib");
            if let (Some(ours), Some(theirs)) = (results.median("hythe", &figure), results.median("lighttpd", &figure))
            {
                results.remarks.push(format!("{figure}: hythe is at {:.2} of lighttpd", ours / theirs));
            }
        }
    }
    Ok(results)
}

/// What each of many connections adds to a server's memory.
fn idle_bytes(house: &House, start: &Start, path: &str) -> Outcome<Figures> {
    let server = start.run(house, None)?;
    // What a server does after its first answers, such as opening a database, is no connection's memory; nor is the code that
    // answers, which may have been let go of in between.
    for wait_ms in [500, 0] {
        for _ in 0..3 {
            ask_once(server.address, path)?;
        }
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
    }
    let before = process::memory_bytes(server.pid());
    let held = Held::start(house, &server, &format!("idle --path {path} --connections {}", house.many))?;
    let after = process::memory_bytes(server.pid());
    let mut figures = pick(&held.ready, &["ready", "closed"]);
    let ready = figures.first().map_or(0.0, |(_, value)| *value).max(1.0);
    #[allow(clippy::cast_precision_loss)]
    figures.extend([
        ("bytes_each".to_string(), (after as f64 - before as f64) / ready),
        ("base_kib".to_string(), before as f64 / 1024.0),
    ]);
    figures.extend(pick(&held.finish()?, &["errors"]));
    Ok(figures)
}

/// Proportional set size of connections that were answered once and say nothing more. A server of its own each
/// round: memory that was once taken is not always given back.
fn idle(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let mut contenders = all_four(String::new());
    contenders[1].1 = Start::hythe("--max-connections 12000");
    let here = present(house, contenders, &mut results.remarks);
    for _ in 0..house.rounds.min(3) {
        for (name, start) in &here {
            let figures = idle_bytes(house, start, "/1k.bin")?;
            results.keep(name, figures);
        }
    }
    Ok(results)
}

fn start(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let here = present(house, all_four(String::new()), &mut results.remarks);
    for round in 0..20 {
        for (name, start) in &here {
            let address = free_address()?;
            let begun = Instant::now();
            let (mut child, address) = on_core(house.server_core, || start.spawn(house, Some(address)))?;
            let answered = on_core(house.load_core, || first_answer(address, begun));
            let mut figures = Figures::new();
            if round < 3 && answered.is_ok() {
                // What is made once after the first answer, such as the pages in the form that is sent, is part of what rests.
                std::thread::sleep(Duration::from_secs(2));
                #[allow(clippy::cast_precision_loss)]
                figures.push(("rest_rss_kib".into(), process::resident_bytes(child.id()) as f64 / 1024.0));
            }
            end(&mut child);
            #[allow(clippy::cast_precision_loss)]
            figures.push(("first_answer_us".into(), answered?.as_micros() as f64));
            results.keep(name, figures);
        }
    }
    Ok(results)
}

/// How long after `begun` the first byte of an answer came; it asks without pause.
fn first_answer(address: std::net::SocketAddr, begun: Instant) -> Outcome<Duration> {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET /1k.bin HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
            stream.read_exact(&mut [0])?;
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("no answer within 10 s of its start".into());
        }
        std::thread::yield_now();
    }
}

/// A well-behaved client (a new connection for each of its 200 requests a second) beside 3,000 slow ones; then at
/// the limit of connections; then without descriptors.
fn siege(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for (name, start) in present(house, all_four(String::new()), &mut results.remarks) {
        results.keep(name, beside_slow_clients(house, &start.run(house, None)?)?);
    }
    let full = vec![
        ("hythe", Start::hythe("--max-connections 500")),
        ("nginx", Start::Nginx { is_logging: false, connections: 503 }),
    ];
    for (name, start) in present(house, full, &mut results.remarks) {
        let server = start.run(house, None)?;
        results.keep(name, beside_idle_clients(house, &server, 600, "full")?);
    }
    for (name, start) in
        present(house, vec![("hythe", Start::hythe("")), ("nginx", Start::nginx())], &mut results.remarks)
    {
        let server = start.run(house, None)?;
        ask_once(server.address, "/1k.bin")?;
        server.squeeze(100)?;
        results.keep(name, beside_idle_clients(house, &server, 300, "emfile")?);
    }
    Ok(results)
}

fn beside_slow_clients(house: &House, server: &Server) -> Outcome<Figures> {
    let client = |seconds: f64| format!("rate --rate 200 --fresh --connections 200 --path /1k.bin --seconds {seconds}");
    let mut figures = Figures::new();
    let quiet = load(house, server, &client(house.seconds), &["p50_us", "p99_us", "errors"])?;
    figures.extend(quiet.into_iter().map(|(name, value)| (format!("quiet_{name}"), value)));
    figures.push(("quiet_kib".into(), kib(server)));

    let multipart = "--header Content-Type:multipart/form-data;boundary=slow";
    let slow_header = Held::start(house, server, "slow-header --connections 1000 --path /1k.bin")?;
    let slow_body = Held::start(house, server, &format!("slow-body --connections 1000 --post /upload {multipart}"))?;
    let never_read = Held::start(house, server, "never-read --connections 1000 --path /10m.bin")?;
    let besieged = load(house, server, &client(house.siege_seconds / 2.0), &["p50_us", "p99_us", "max_us", "errors"])?;
    figures.extend(besieged.into_iter().map(|(name, value)| (format!("siege_{name}"), value)));
    figures.push(("siege_kib".into(), kib(server)));
    std::thread::sleep(Duration::from_secs_f64(house.siege_seconds / 2.0));
    for (kind, held) in [("header", slow_header), ("body", slow_body), ("reader", never_read)] {
        let line = held.finish()?;
        let cut = pick(&line, &["cut", "cut_first_s", "cut_last_s", "status_408", "status_403"]);
        figures.extend(cut.into_iter().map(|(name, value)| (format!("{kind}_{name}"), value)));
    }
    Ok(figures)
}

fn beside_idle_clients(house: &House, server: &Server, count: usize, word: &str) -> Outcome<Figures> {
    let held = Held::start(house, server, &format!("idle --path /1k.bin --connections {count}"))?;
    let before = process::cpu(server.pid());
    let words = format!("rate --rate 100 --fresh --connections 100 --path /1k.bin --seconds {}", house.seconds * 2.0);
    let seen = load(house, server, &words, &["requests_per_s", "p50_us", "p99_us", "errors"])?;
    let mut figures: Figures = seen.into_iter().map(|(name, value)| (format!("{word}_{name}"), value)).collect();
    #[allow(clippy::cast_precision_loss)]
    let busy = process::cpu(server.pid()).since(before).total_ns as f64 / 1e9 / (house.seconds * 2.0);
    // A server that spins at its limit uses a whole core for nothing.
    figures.push((format!("{word}_cpu_share"), busy));
    drop(held);
    Ok(figures)
}

#[allow(clippy::cast_precision_loss)]
fn kib(server: &Server) -> f64 {
    process::memory_bytes(server.pid()) as f64 / 1024.0
}

/// Three clients of the world send 10 MB to who has already refused them, 20 times. How often do they read why?
fn refusal(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let contenders = vec![("hythe", Start::hythe("")), ("nginx", Start::nginx()), ("lighttpd", Start::Lighttpd)];
    let body = house.folder.join("refused.json");
    std::fs::write(&body, format!("\"{}\"", "x".repeat(10_000_000)))?;
    let body = body.display().to_string();
    for (name, start) in present(house, contenders, &mut results.remarks) {
        let server = start.run(house, None)?;
        let url = format!("http://{}/upload", server.address);
        let mut figures = Figures::new();
        for (client, program, words) in [
            ("python", "python3", vec!["-c", PYTHON, &url, &body]),
            ("node", "node", vec!["--input-type=module", "-e", NODE, &url, &body]),
            ("curl", "sh", vec!["-c", CURL, "sh", &url, &body]),
        ] {
            if find_program(program).is_none() || (client == "curl" && find_program("curl").is_none()) {
                results.remarks.push(format!("{client} is not installed"));
                continue;
            }
            let output = on_core(house.load_core, || {
                Command::new(program).args(words).stdin(Stdio::null()).stderr(Stdio::null()).output()
            })?;
            let text = String::from_utf8_lossy(&output.stdout);
            let read = text.lines().filter(|line| line.starts_with(['4', '5'])).count();
            #[allow(clippy::cast_precision_loss)]
            figures.push((format!("{client}_of_20"), read as f64));
            let mut seen: Vec<&str> = text.lines().collect();
            seen.sort_unstable();
            seen.dedup();
            results.remarks.push(format!("{name}, {client}: {}", seen.join(" ")));
        }
        results.keep(name, figures);
    }
    Ok(results)
}

const PYTHON: &str = r#"
import http.client, sys, urllib.parse
url = urllib.parse.urlparse(sys.argv[1]); body = open(sys.argv[2], "rb").read()
for _ in range(20):
    try:
        c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        c.request("POST", url.path, body=body, headers={"Content-Type": "application/json"})
        r = c.getresponse(); r.read(); print(r.status)
    except Exception as e:
        print(type(e).__name__)
"#;

const NODE: &str = r#"
import { readFileSync } from "node:fs";
const [url, path] = process.argv.slice(-2); const body = readFileSync(path);
for (let i = 0; i < 20; i++) {
  try {
    const r = await fetch(url, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    await r.arrayBuffer(); console.log(r.status);
  } catch (e) { console.log(e.cause?.code ?? e.name); }
}
"#;

const CURL: &str = r#"
i=0; while [ $i -lt 20 ]; do i=$((i+1))
  curl -s -o /dev/null -w '%{http_code}\n' --max-time 20 -H 'Expect:' -H 'Content-Type: application/json' \
    --data-binary "@$2" "$1" || echo "exit-$?"
done
"#;
