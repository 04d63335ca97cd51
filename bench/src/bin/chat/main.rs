//! `cargo run --release -p hythe-bench --bin chat`: what it costs to tell many listeners what one has said.
//!
//! Server and crowd have a core each. Beside hythe stand two floors (`floor`): a bare loop that sends each message to each
//! listener by itself, and one that joins what came in a turn. The crowd (`crowd`) counts every message at every listener: one
//! that is lost, doubled or out of order fails the run. Each row is a fresh server.

mod crowd;
mod dialect;
mod floor;
mod house;

use std::fmt::Write as _;
use std::process::ExitCode;

use crowd::{Crowd, Outcome, Pace};
use dialect::Dialect;
use house::{House, Kind};
use hythe_bench::args::Args;

const USAGE: &str = "chat [ROW]...   (all rows, if none is named)

  --list             the rows
  --hythe PATH       the hythe to measure (target/release/hythe)
  --listeners N      instead of 1000 and 10000
  --seconds S        how long a row is measured (3)
  --rounds N         how often each row is run; the median is told (1)
  --csv PATH         adds a line a row to this file";

/// What is measured, and against which floor.
struct Row {
    name: &'static str,
    pace: Pace,
    floor: &'static str,
}

const ROWS: [Row; 5] = [
    Row { name: "one", pace: Pace::OneInFlight, floor: "each" },
    Row { name: "publishers-16", pace: Pace::Publishers(16), floor: "joined" },
    Row { name: "publishers-64", pace: Pace::Publishers(64), floor: "joined" },
    Row { name: "five-a-second", pace: Pace::EverySecond(5), floor: "each" },
    Row { name: "storm", pace: Pace::EverySecond(5000), floor: "joined" },
];

fn main() -> ExitCode {
    let mut args = Args::from_env(USAGE);
    if args.flag("--list") {
        ROWS.iter().for_each(|row| println!("{}", row.name));
        return ExitCode::SUCCESS;
    }
    if let Some(how) = args.text("--floor") {
        // We ourselves are the floor's program.
        return match floor::serve(how == "joined") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("floor: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let hythe = args.text("--hythe").unwrap_or_else(|| "target/release/hythe".into());
    let listeners = args.count("--listeners").map_or_else(|| vec![1000, 10_000], |count| vec![count]);
    let seconds = args.seconds("--seconds").unwrap_or(3.0);
    let rounds = args.count("--rounds").unwrap_or(1).max(1);
    let csv = args.text("--csv");
    let chosen = args.words();
    house::raise_descriptors();
    house::stay_on_core(1);

    let mut table = Table { csv, has_failed: false };
    println!("{}", Table::HEAD);
    for count in listeners {
        for dialect in [Dialect::WebSocket, Dialect::Events] {
            for row in ROWS.iter().filter(|row| chosen.is_empty() || chosen.iter().any(|name| name == row.name)) {
                // The storm is about the ledger: few listen.
                let count = if row.name == "storm" { count.min(50) } else { count };
                // Turn by turn, so that an hour's weather is the same for all of them.
                let kinds = [Kind::Floor(row.floor), Kind::Hythe("off"), Kind::Hythe("full")];
                let mut outcomes: [Vec<Outcome>; 3] = Default::default();
                for _ in 0..rounds {
                    for (kind, outcomes) in kinds.iter().zip(&mut outcomes) {
                        outcomes.extend(measure(kind, &hythe, dialect, count, row.pace, seconds));
                    }
                }
                let [floor, off, full] = outcomes.map(median);
                table.add(row, dialect, count, "off", off.as_ref(), floor.as_ref());
                table.add(row, dialect, count, "full", full.as_ref(), floor.as_ref());
                table.add(row, dialect, count, row.floor, floor.as_ref(), floor.as_ref());
            }
        }
    }
    if table.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn median(mut outcomes: Vec<Outcome>) -> Option<Outcome> {
    outcomes.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    (!outcomes.is_empty()).then(|| outcomes.swap_remove(outcomes.len() / 2))
}

fn measure(kind: &Kind, hythe: &str, dialect: Dialect, count: usize, pace: Pace, seconds: f64) -> Option<Outcome> {
    let told =
        House::open(kind, hythe).and_then(|house| Crowd::gather(&house, dialect, count)?.run(&house, pace, seconds));
    told.inspect_err(|error| eprintln!("{kind:?}: {error}")).ok()
}

struct Table {
    csv: Option<String>,
    has_failed: bool,
}

impl Table {
    const HEAD: &'static str = "row              dialect  listeners  sync    messages/s  deliveries/s  of floor  CPU ns  floor \
                                CPU    p50 ms    p99 ms    max ms  bytes/listener  page p99 ms  wrong";

    fn add(
        &mut self,
        row: &Row,
        dialect: Dialect,
        count: usize,
        sync: &str,
        measured: Option<&Outcome>,
        floor: Option<&Outcome>,
    ) {
        let Some(outcome) = measured else {
            self.has_failed = true;
            return println!("{:16} {:8} {count:9}  {sync:6} failed", row.name, dialect.name());
        };
        let of_rate = floor.map_or(f64::NAN, |floor| outcome.rate() / floor.rate());
        let of_cpu = floor.map_or(f64::NAN, |floor| floor.cpu_ns() / outcome.cpu_ns());
        let ms = |ns: u64| ns as f64 / 1e6;
        let (p50, p99, most) = (outcome.delays.quantile(0.5), outcome.delays.quantile(0.99), outcome.delays.most());
        println!(
            "{:16} {:8} {count:9}  {sync:6} {:11.0} {:13.0} {of_rate:9.2} {:7.0} {of_cpu:10.2} {:9.2} {:9.2} {:9.2} {:15.0} \
             {:12.2} {:6}",
            row.name,
            dialect.name(),
            outcome.messages as f64 / outcome.seconds,
            outcome.rate(),
            outcome.cpu_ns(),
            ms(p50),
            ms(p99),
            ms(most),
            outcome.memory_bytes,
            ms(outcome.pages.quantile(0.99)),
            outcome.wrong,
        );
        self.has_failed |= outcome.wrong > 0;
        if let Some(path) = &self.csv {
            let mut line = String::new();
            let _ = writeln!(
                line,
                "{},{},{count},{sync},{:.0},{:.0},{of_rate:.3},{:.0},{of_cpu:.3},{p50},{p99},{most},{:.0},{},{}",
                row.name,
                dialect.name(),
                outcome.messages as f64 / outcome.seconds,
                outcome.rate(),
                outcome.cpu_ns(),
                outcome.memory_bytes,
                outcome.pages.quantile(0.99),
                outcome.wrong
            );
            if let Err(error) = house::append(path, &line) {
                eprintln!("{path}: {error}");
            }
        }
    }
}
