//! What signing in costs the others, and what it tells: a page beside a flood of sign-ins, and how long a name that is nobody's
//! takes beside one whose password is wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hythe_bench::process;

use super::house::{House, Outcome, on_core};
use super::servers::{Server, Start};
use super::tools::{Held, load, pick, wrk};
use hythe_bench::report::Results;

/// How many pairs are timed.
const PAIRS: usize = 30;
/// How long the page is asked for at a rate, without the flood and beside it. With wrk the flood lasts ten seconds.
const RATE_SECONDS: [f64; 2] = [2.5, 4.0];
/// How often wrk runs, and for how long.
const WRK_RUNS: [usize; 2] = [2, 3];
const WRK_SECONDS: f64 = 2.0;

/// A page of 1 KiB without the flood and beside it, asked for at a rate and by wrk; once with the limits of sign-ins as they come,
/// and once without one, so that somebody is hashed all the time.
///
/// The server has one core: its loop, its helpers and the kernel's work for both share it, as on the smallest machine. Who measures
/// and who floods share the other; the flood is the one that gives way, or it would be measured how the two of them get on. wrk
/// keeps the server's core busy, and adds to its figures what each stop would have cost those whom it did not ask (coordinated
/// omission): whatever stops it for more than a hundredth of the time is its p99, and a machine's own chores do so too. That is why
/// it runs several times, and why only medians of one run are held against each other.
pub fn flood(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for _ in 0..house.rounds.min(3) {
        for (name, words) in [("usual", ""), ("unlimited", "--login-rate 0")] {
            let server = Start::hythe(words).run(house, None)?;
            beside_flood(house, &server, name, &mut results)?;
        }
    }
    for name in ["usual", "unlimited"] {
        for way in ["rate", "wrk"] {
            let figure = |when: &str| results.median(name, &format!("{when}_{way}_p99_us"));
            if let (Some(quiet), Some(flooded)) = (figure("quiet"), figure("flood")) {
                results
                    .remarks
                    .push(format!("{name}, {way}: p99 beside the flood is {:.2} of that without", flooded / quiet));
            }
        }
    }
    Ok(results)
}

fn beside_flood(house: &House, server: &Server, name: &str, results: &mut Results) -> Outcome<()> {
    let mut measure = |when: &str, (rate_seconds, wrk_runs): (f64, usize)| -> Outcome<()> {
        let words = format!("rate --rate 1000 --connections 16 --path /1k.bin --seconds {rate_seconds}");
        let seen = load(house, server, &words, &["p50_us", "p99_us", "errors"])?;
        let seen = seen.into_iter().map(|(figure, value)| (format!("{when}_rate_{figure}"), value));
        results.keep(name, seen.collect());
        for _ in 0..wrk_runs {
            let seen = wrk(house, server, "/1k.bin", 16, WRK_SECONDS)?.into_iter();
            let kept =
                seen.filter(|(figure, _)| matches!(&**figure, "wrk_requests_per_s" | "wrk_p99_us" | "wrk_errors"));
            results.keep(name, kept.map(|(figure, value)| (format!("{when}_{figure}"), value)).collect());
        }
        results.keep(name, vec![(format!("{when}_kib"), kib(server))]);
        Ok(())
    };
    measure("quiet", (RATE_SECONDS[0], WRK_RUNS[0]))?;
    let held = Held::start_program(house, server, "logins", "--connections 200")?;
    measure("flood", (RATE_SECONDS[1], WRK_RUNS[1]))?;
    let told = held.finish()?;
    let wanted = ["answered", "status_401", "status_429", "status_503", "status_other", "reconnects"];
    results.keep(name, pick(&told, &wanted));
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn kib(server: &Server) -> f64 {
    process::memory_bytes(server.pid()) as f64 / 1024.0
}

/// In turn: a name that nobody has, and an account with a wrong password. Each name is used once, so that nobody is held back.
pub fn time(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let server = Start::hythe("--login-rate 0").run(house, None)?;
    let mut client = Client::new(server.address)?;
    for number in 0..PAIRS {
        let status =
            client.post("/register", &format!("{{\"username\":\"ada{number}\",\"password\":\"correct horse\"}}"))?.0;
        // A house that was used before has them.
        if !matches!(status, 201 | 409) {
            return Err(format!("nobody can be registered: {status}").into());
        }
    }
    let timed = on_core(house.load_core, || -> Outcome<Results> {
        let mut results = Results::default();
        for number in 0..PAIRS {
            for (who, name) in [("unknown", "nobody"), ("wrong", "ada")] {
                let body = format!("{{\"username\":\"{name}{number}\",\"password\":\"battery staple\"}}");
                let (status, took) = client.post("/login", &body)?;
                if status != 401 {
                    return Err(format!("{who} is answered {status}").into());
                }
                #[allow(clippy::cast_precision_loss)]
                results.keep(who, vec![("login_us".into(), took.as_nanos() as f64 / 1e3)]);
            }
        }
        Ok(results)
    })?;
    results.join(timed);
    if let (Some(unknown), Some(wrong)) = (results.median("unknown", "login_us"), results.median("wrong", "login_us")) {
        results.remarks.push(format!("an unknown name takes {:.3} of what a wrong password takes", unknown / wrong));
    }
    Ok(results)
}

/// A connection that waits for each answer.
struct Client {
    address: SocketAddr,
    stream: TcpStream,
}

impl Client {
    fn new(address: SocketAddr) -> Outcome<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Client { address, stream })
    }

    /// The status of the answer, and how long it took.
    fn post(&mut self, path: &str, body: &str) -> Outcome<(u16, Duration)> {
        let (address, length) = (self.address, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let begun = Instant::now();
        self.stream.write_all(format!("{head}{body}").as_bytes())?;
        let (mut heard, mut window) = (Vec::new(), [0; 4096]);
        loop {
            let got = self.stream.read(&mut window)?;
            if got == 0 {
                return Err("closed before the answer was whole".into());
            }
            heard.extend_from_slice(&window[..got]);
            let text = String::from_utf8_lossy(&heard);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
            if rest.len() >= length.trim().parse::<usize>()? {
                return Ok((head.get(9..12).unwrap_or_default().parse()?, begun.elapsed()));
            }
        }
    }
}
