//! `cargo run --release -p hythe-bench --bin chat`: what it costs to tell many listeners what one has said.
//!
//! Server and crowd have a core each. Beside hythe stand two floors (`floor`): a bare loop that sends each message to each
//! listener by itself, and one that joins what came in a turn. The crowd (`crowd`) counts every message at every listener: one
//! that is lost, doubled or out of order fails the run. Each turn of a row is a fresh server; what is told are medians, and the
//! ratios are those of neighbours in time. If `crowd_busy` is near one the crowd was the limit, and not the server.

mod crowd;
mod dialect;
mod floor;
mod house;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crowd::{Crowd, Outcome, Pace};
use dialect::Dialect;
use house::{House, Kind};
use hythe_bench::args::Args;
use hythe_bench::report::{Results, kernel, revision};

const USAGE: &str = "chat [ROW]...   (all rows, if none is named)

  --list             the rows
  --hythe PATH       the hythe to measure (target/release/hythe)
  --dialect ws|sse   one way of listening instead of both
  --listeners N      instead of 1000 and 10000
  --seconds S        how long a row is measured (1)
  --rounds N         how often each server has its turn (5)
  --show-turns       the server logs at debug level, which costs something, and what it says of long turns is shown
  --record FOLDER    where the record is kept (bench/record)
  --no-record        keep none";

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
    let seconds = args.seconds("--seconds").unwrap_or(1.0);
    let rounds = args.count("--rounds").unwrap_or(5).max(1);
    let dialects = match args.text("--dialect").as_deref() {
        None => vec![Dialect::WebSocket, Dialect::Events],
        Some("ws") => vec![Dialect::WebSocket],
        Some("sse") => vec![Dialect::Events],
        Some(other) => args.complain(&format!("there is no dialect {other}")),
    };
    let shows_turns = args.flag("--show-turns");
    let keeps_record = !args.flag("--no-record");
    let record = PathBuf::from(args.text("--record").unwrap_or_else(|| "bench/record".into()));
    let chosen = args.words();
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    if let Some(unknown) = chosen.iter().find(|name| !names.contains(&name.as_str())) {
        eprintln!("{unknown} is no row; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    house::raise_descriptors();
    house::stay_on_core(1);

    let command = format!("chat {} --rounds {rounds} --seconds {seconds}", chosen.join(" "));
    println!("{command}\nrevision {}, kernel {}\n", revision(), kernel());
    let mut is_well = true;
    for count in listeners {
        for &dialect in &dialects {
            for row in ROWS.iter().filter(|row| chosen.is_empty() || chosen.iter().any(|name| name == row.name)) {
                // The storm is about the ledger: few listen.
                let count = if row.name == "storm" { count.min(50) } else { count };
                let open = |kind: &Kind| House::open(kind, &hythe, shows_turns);
                let (results, is_right) = run(row, &open, dialect, count, seconds, rounds);
                let scenario = format!("chat-{}-{}-{count}", row.name, dialect.name());
                println!("{scenario}\n{}", results.table());
                if keeps_record && let Err(error) = results.record(&record, &scenario, &command) {
                    eprintln!("{}: {error}", record.display());
                }
                is_well &= is_right;
            }
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One row: floor, `off` and `full` take turns, so that an hour's weather is the same for all of them, and each round's ratio to
/// the floor is that of neighbours.
fn run(
    row: &Row,
    open: &dyn Fn(&Kind) -> io::Result<House>,
    dialect: Dialect,
    count: usize,
    seconds: f64,
    rounds: usize,
) -> (Results, bool) {
    let kinds = [Kind::Floor(row.floor), Kind::Hythe("off"), Kind::Hythe("full")];
    let names = [&*format!("floor-{}", row.floor), "hythe-off", "hythe-full"];
    let mut results = Results::default();
    let mut is_right = true;
    for round in 0..rounds {
        let mut outcomes: [Option<Outcome>; 3] = Default::default();
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let told = open(&kinds[at])
                .and_then(|house| Crowd::gather(&house, dialect, count)?.run(&house, row.pace, seconds));
            outcomes[at] = told.inspect_err(|error| eprintln!("{:?}: {error}", kinds[at])).ok();
        }
        let rate = |at: usize| outcomes[at].as_ref().map(Outcome::rate);
        for (at, outcome) in outcomes.iter().enumerate() {
            let Some(outcome) = outcome else {
                is_right = false;
                continue;
            };
            is_right &= outcome.wrong == 0;
            let mut figures = outcome.figures();
            figures.extend(rate(0).map(|floor| ("of_floor".to_owned(), outcome.rate() / floor)));
            if at == 2 {
                figures.extend(rate(1).map(|off| ("of_off".to_owned(), outcome.rate() / off)));
            }
            results.keep(names[at], figures);
        }
    }
    (results, is_right)
}
