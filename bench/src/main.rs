//! `make bench`: hythe, the floor, nginx and lighttpd side by side in one run, server and load each on a core.
//!
//! It prints a table for each scenario, with each figure's ratio to the floor, and keeps a record by date. It looks
//! for nothing but loopback, and changes nothing of the system.

mod harness;

use std::path::PathBuf;
use std::process::ExitCode;

use harness::house::{self, House, Outcome};
use harness::scenarios::{ALL, Scenario};
use harness::servers::Start;
use hythe_bench::args::Args;
use hythe_bench::report::{kernel, revision};

const USAGE: &str = "hythe-bench [SCENARIO]...   (all of them, if none is named)

  --list              what can be measured
  --hythe PATH        the hythe to measure (HYTHE_BIN; otherwise the release build, made now)
  --only NAME         of the servers only this one
  --rounds N          how often each server has its turn (5)
  --seconds S         how long a turn is (2)
  --many N            how many connections are many (10000)
  --upload-bytes N    how long an upload is (1g)
  --siege-seconds S   how long a siege lasts (50)
  --server-core N     0
  --load-core N       1
  --record FOLDER     where the record is kept (bench/record)
  --no-record         keep none
  --no-build          measure what was built before";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hythe-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut args = Args::from_env(USAGE);
    if args.flag("--list") {
        for scenario in &ALL {
            println!("{:<10} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let builds = !args.flag("--no-build");
    let keeps_record = !args.flag("--no-record");
    let record = PathBuf::from(args.text("--record").unwrap_or_else(|| "bench/record".into()));
    let programs = std::env::current_exe()?.parent().ok_or("no folder of our own")?.to_path_buf();
    let named = args.text("--hythe").map(PathBuf::from).or_else(|| std::env::var_os("HYTHE_BIN").map(PathBuf::from));
    let mut house = House {
        folder: PathBuf::new(),
        hythe: None,
        only: args.text("--only"),
        server_core: args.count("--server-core").unwrap_or(0),
        load_core: args.count("--load-core").unwrap_or(1),
        rounds: args.count("--rounds").unwrap_or(5).max(1),
        seconds: args.seconds("--seconds").unwrap_or(2.0).max(0.1),
        many: args.count("--many").unwrap_or(10_000).max(1),
        upload_bytes: args.number("--upload-bytes").unwrap_or(1 << 30).max(1),
        siege_seconds: args.seconds("--siege-seconds").unwrap_or(50.0),
        programs,
    };
    let words = args.words();
    let chosen = choose(&words)?;

    if builds && !house::build("hythe-bench") {
        return Err("the floor and the load could not be built".into());
    }
    house.hythe = match named {
        Some(path) if house::is_program(&path) => Some(path),
        Some(path) => return Err(format!("{} is no program", path.display()).into()),
        None => {
            let path = house.program("hythe");
            let is_there = (!builds || house::build("hythe")) && house::is_program(&path);
            is_there.then_some(path)
        }
    };
    house.folder = house::temporary_folder()?;
    house.furnish(chosen.iter().map(|scenario| scenario.largest_file_bytes).max().unwrap_or(0))?;
    house::raise_descriptor_limit();
    if house.hythe.is_some()
        && let Err(error) = Start::hythe("").run(&house, None)
    {
        println!("hythe is left out, for it does not start: {error}");
        house.hythe = None;
    }

    let command = format!(
        "hythe-bench {} --rounds {} --seconds {} --many {}{}",
        chosen.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(" "),
        house.rounds,
        house.seconds,
        house.many,
        if house.upload_bytes == 1 << 30 { String::new() } else { format!(" --upload-bytes {}", house.upload_bytes) }
    );
    println!("{command}\nrevision {}, kernel {}\n", revision(), kernel());
    let mut failed = Vec::new();
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.about);
        match (scenario.run)(&house) {
            Ok(results) => {
                println!("{}", results.table());
                if keeps_record {
                    results.record(&record, scenario.name, &command)?;
                }
            }
            Err(error) => {
                println!("  failed: {error}\n");
                failed.push(scenario.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn choose(words: &[String]) -> Outcome<Vec<&'static Scenario>> {
    if words.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let find = |word: &String| ALL.iter().find(|scenario| scenario.name == word);
    words
        .iter()
        .map(|word| find(word).ok_or_else(|| format!("{word} is no scenario; --list names them").into()))
        .collect()
}
