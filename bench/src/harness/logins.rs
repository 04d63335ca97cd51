//! What signing in costs the others, and what it tells: a page beside a flood of sign-ins, and how long a name that is nobody's
//! takes beside one whose password is wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hythe_bench::process;

use super::house::{House, Outcome, on_core};
use super::servers::{Server, Start};
use super::tools::{Held, load, pick, wrk};
use hythe_bench::report::{Figures, Results};

/// How many pairs are timed.
const PAIRS: usize = 30;
/// So long is a window in which the page is asked for in one way.
const WINDOW_SECONDS: f64 = 1.0;
/// So often each way has its window before the flood, beside it and after it.
const TURNS: [usize; 3] = [2, 4, 2];
/// The ways in which the page is asked for.
const WAYS: [&str; 3] = ["closed", "rate", "wrk"];
/// Those of a turn: wrk's figures vary most.
const TURN: [&str; 4] = ["closed", "wrk", "rate", "wrk"];

/// A page of 1 KiB without the flood and beside it: once with the limits of sign-ins as they come (`usual`), once without one, so that
/// somebody is hashed all the time (`unlimited`), and once while the flood goes to another server on the same core (`neighbour`): what
/// is seen there is the price of a shared core and of a flood on the load's, and nothing that the measured server does.
///
/// The server has one core: its loop, its helpers and the kernel's work for both share it, as on the smallest machine. Who measures
/// and who floods share the other; the flood has only what the one who measures leaves, or it would be measured how the two of them
/// get on.
///
/// The page is asked for in three ways, by 64 connections, in windows that take turns; half of those without the flood come before it,
/// half after it. The figures are medians of the windows.
///
/// - `closed`: our own load asks again as soon as it is answered. Its p99 is that of the requests that were asked.
/// - `rate`: our own load asks 2,000 times a second, come what may, and counts from when each was due. The server sleeps in between.
/// - `wrk`: asks again as soon as it is answered, and adds to its figures what each stop would have cost those whom it did not ask
///   (coordinated omission). So its p99 is what stops the two of them for a hundredth of the time, whoever does. A machine's own chores
///   may take nearly as much: the figure then tells how close to it they came, and leaps. That is why the least of the windows is held
///   against the least, too, and why there is `others_percent`: what everybody else on this machine took of a core. `delay_percent` is
///   how long the loop was ready to run and did not, because of others or of its own helpers.
pub fn flood(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let names = ["usual", "unlimited", "neighbour"].into_iter();
    let names: Vec<_> = names.filter(|name| house.only.as_ref().is_none_or(|only| only == name)).collect();
    for _ in 0..house.rounds.min(3) {
        for name in &names {
            let words = if *name == "unlimited" { "--login-rate 0" } else { "" };
            let server = Start::hythe(words).run(house, None)?;
            let neighbour =
                (*name == "neighbour").then(|| Start::hythe("--login-rate 0").run(house, None)).transpose()?;
            beside_flood(house, &server, neighbour.as_ref().unwrap_or(&server), name, &mut results)?;
        }
    }
    for name in names {
        for way in WAYS {
            let names = ["quiet", "flood"].map(|when| format!("{when}_{way}_p99_us"));
            let ratio = |of: &dyn Fn(&str) -> Option<f64>| Some(of(&names[1])? / of(&names[0])?);
            let medians = ratio(&|figure| results.median(name, figure));
            let least = ratio(&|figure| results.least(name, figure));
            if let (Some(medians), Some(least)) = (medians, least) {
                results.remarks.push(format!(
                    "{name}, {way}: p99 beside the flood is {medians:.2} of that without, in the calmest windows {least:.2}"
                ));
            }
        }
    }
    Ok(results)
}

fn beside_flood(house: &House, server: &Server, victim: &Server, name: &str, results: &mut Results) -> Outcome<()> {
    // What is asked for the first time is read from the disk.
    window(house, server, "closed")?;
    let mut measure = |when: &str, turns: usize| -> Outcome<()> {
        for _ in 0..turns {
            for way in TURN {
                let seen = window(house, server, way)?.into_iter();
                results.keep(name, seen.map(|(figure, value)| (format!("{when}_{figure}"), value)).collect());
            }
        }
        results.keep(name, vec![(format!("{when}_kib"), kib(victim))]);
        Ok(())
    };
    measure("quiet", TURNS[0])?;
    let held = Held::start_program(house, victim, "logins", "--connections 200")?;
    measure("flood", TURNS[1])?;
    let told = held.finish()?;
    measure("quiet", TURNS[2])?;
    let wanted = ["answered", "status_401", "status_429", "status_503", "status_other", "reconnects"];
    results.keep(name, pick(&told, &wanted));
    Ok(())
}

/// The page, asked for in one way for a while.
#[allow(clippy::cast_precision_loss)]
fn window(house: &House, server: &Server, way: &str) -> Outcome<Figures> {
    let words = format!("--connections 64 --path /1k.bin --seconds {WINDOW_SECONDS}");
    let (begun, others, delay) = (Instant::now(), process::others(), process::delay_ns(server.pid()));
    let mut seen = match way {
        "closed" => load(house, server, &format!("closed {words}"), &["p50_us", "p99_us", "errors"])?,
        "rate" => load(house, server, &format!("rate --rate 2000 --first {words}"), &["p50_us", "p99_us", "errors"])?,
        _ => wrk(house, server, "/1k.bin", 64, WINDOW_SECONDS)?
            .into_iter()
            .filter_map(|(figure, value)| Some((figure.strip_prefix("wrk_")?.to_owned(), value)))
            .filter(|(figure, _)| matches!(&**figure, "p50_us" | "p99_us" | "errors"))
            .collect(),
    };
    let share = |ns: u64| ns as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
    seen.push(("delay_percent".into(), share(process::delay_ns(server.pid()).saturating_sub(delay))));
    seen.push(("others_percent".into(), share(process::others().since(&others))));
    Ok(seen.into_iter().map(|(figure, value)| (format!("{way}_{figure}"), value)).collect())
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
