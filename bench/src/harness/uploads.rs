//! What uploads cost, and what they cost the others: CPU seconds a GiB beside who only receives and writes, and a page beside a
//! hundred uploads at once. On the disk, and in memory, where no disk decides.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hythe_bench::process;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::house::{House, Outcome};
use super::servers::{Server, Start, present};
use super::tools::{Held, load, pick, run_program};
use hythe_bench::report::{Figures, Results};

/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";
/// How many uploads a crowd is.
const CROWD: usize = 100;
/// A gigabit a second, as bytes.
const GIGABIT: u64 = 125_000_000;
/// The paces of a crowd.
const CASES: [(&str, u64); 2] = [("paced", GIGABIT), ("full", 0)];
/// So often each of them has its turn at a server.
const TURNS: usize = 2;
/// What has just begun, or has just been done, is given so long.
const SETTLE: Duration = Duration::from_millis(500);

/// One upload of 1 GiB at a time, as `PUT` and as a form.
pub fn upload(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for (place, folder) in places(house) {
        let house = &house.moved(folder)?;
        let contenders = vec![
            ("sink", Start::Sink(Vec::new())),
            ("sink+sync", Start::Sink(vec!["--sync".into()])),
            ("hythe", Start::hythe("")),
            ("lighttpd", Start::LighttpdDav),
            ("nginx", Start::NginxDav),
        ];
        let mut servers = Vec::new();
        for (name, start) in present(house, contenders, &mut results.remarks) {
            fs::create_dir_all(house.folder.join(if name.starts_with("sink") { "sink" } else { "dav" }))?;
            servers.push((name, start.run(house, None)?));
        }
        for _ in 0..house.rounds {
            for (name, server) in &servers {
                let mut figures = measure(house, server, &format!("{place}_put"), put_path(name), "")?;
                if *name == "hythe" {
                    let path = "/upload?on_conflict=overwrite";
                    figures.extend(measure(house, server, &format!("{place}_form"), path, "--form")?);
                }
                figures.push((format!("{place}_peak_kib"), peak_kib(server)));
                results.keep(name, figures);
            }
        }
    }
    for place in ["disk", "memory"] {
        for how in ["put", "form"] {
            let ours = results.median("hythe", &format!("{place}_{how}_s_per_gib"));
            let theirs = results.median("lighttpd", &format!("{place}_put_s_per_gib"));
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                results.remarks.push(format!("{place}, {how}: hythe is at {:.2} of lighttpd's PUT", ours / theirs));
            }
        }
    }
    Ok(results)
}

fn put_path(name: &str) -> &'static str {
    if name == "hythe" { "/files/{}?create=1" } else { "/{}" }
}

/// One upload of 1 GiB. Before it all that waits for the disk is there, and the memory it will take has been touched: a machine
/// that is itself a guest pays for pages that it has not used for a while, and would pay for whoever comes first.
fn measure(house: &House, server: &Server, figure: &str, path: &str, words: &str) -> Outcome<Figures> {
    let bytes = house.upload_bytes;
    clear(house)?;
    touch(&house.folder.join("touched"), bytes + (bytes >> 2))?;
    let words = format!("--path {path} --bytes {bytes} {words}");
    let seen = run_program(house, server, "uploads", &words, &["server_s_per_gib", "mib_per_s", "errors"])?;
    clear(house)?;
    Ok(seen
        .into_iter()
        .filter(|(name, value)| name != "errors" || *value > 0.0)
        .map(|(name, value)| (format!("{figure}_{}", name.trim_start_matches("server_")), value))
        .collect())
}

/// Removes what was uploaded, and waits until nothing is left to be written.
fn clear(house: &House) -> Outcome<()> {
    for folder in ["uploads", "dav", "sink"] {
        // The servers' own hidden folders stay.
        let Ok(entries) = fs::read_dir(house.folder.join(folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
    }
    rustix::fs::sync();
    Ok(())
}

/// Has folders below this one lie far from each other on the disk, where that can be said. Before ext4 gives out an inode, it looks at
/// each of its neighbours that was removed within the last minutes: what others have left behind is not to be measured.
fn spread(folder: &Path) {
    if let Ok(folder) = fs::File::open(folder)
        && let Ok(flags) = ioctl_getflags(&folder)
    {
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

fn touch(path: &Path, bytes: u64) -> Outcome<()> {
    let block = vec![1; 1 << 20];
    let mut file = fs::File::create(path)?;
    for _ in 0..bytes >> 20 {
        file.write_all(&block)?;
    }
    fs::remove_file(path)?;
    Ok(())
}

/// A page of 1 KiB, asked for a thousand times a second, alone and beside a hundred uploads of 10 MiB: with a pace as over a line
/// of a gigabit a second, and as fast as they are taken. The page has its windows alone and beside uploads in turn; the figures are
/// medians of them.
///
/// The server has one core; who asks for the page and who uploads share the other. Who asks goes before all others there, but the
/// kernel lets nobody in while it works for somebody else, the uploads or this machine's own chores, so now and then a request leaves
/// late, or is read late. Both are told:
///
/// - `p50`, `p99`, `max`: from when a request was due until its answer was read. This tool's own lateness is part of it.
/// - `outside_p50`, `outside_p99`, `outside_max`: from when it was sent until its answer had come, by the kernel's clock; from when it was
///   due if it waited for the answer before it. The server, and the kernel's work for it, and nothing else. The ratio is told of this one.
/// - `late_p99`: how late requests left.
///
/// `delay_percent` is how long the loop was ready to run and did not; `others_percent` what everybody else on this machine took of a
/// core, `stolen_percent` how much of both cores the host kept for itself: such windows tell of the machine.
pub fn crowd(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for (place, folder) in places(house) {
        let contenders =
            vec![("hythe", Start::hythe("")), ("lighttpd", Start::LighttpdDav), ("nginx", Start::NginxDav)];
        let here = present(house, contenders, &mut results.remarks);
        let house = &house.moved(folder)?;
        spread(&house.folder);
        for round in 0..house.rounds.min(3) {
            for (name, start) in &here {
                let house = &house.moved(house.folder.join(format!("{name}-{round}")))?;
                fs::create_dir_all(house.folder.join("dav"))?;
                fs::copy(house.www().join("1k.bin"), house.folder.join("dav/1k.bin"))?;
                let server = start.run(house, None)?;
                beside_crowd(house, &server, place, name, &mut results)?;
            }
        }
        for (name, _) in &here {
            for when in CASES.map(|(when, _)| when) {
                for (what, of) in [("outside_p99_us", "p99"), ("p99_us", "p99 with the tool's own lateness")] {
                    let names = ["idle", when].map(|when| format!("{place}_{when}_{what}"));
                    let ratio = |of: &dyn Fn(&str) -> Option<f64>| Some(of(&names[1])? / of(&names[0])?);
                    let medians = ratio(&|figure| results.median(name, figure));
                    let least = ratio(&|figure| results.least(name, figure));
                    if let (Some(medians), Some(least)) = (medians, least) {
                        results.remarks.push(format!(
                            "{place}, {when}: beside {CROWD} uploads the page's {of} at {name} is {medians:.1} of that without, in \
                             the calmest windows {least:.1}"
                        ));
                    }
                }
            }
        }
    }
    Ok(results)
}

fn beside_crowd(house: &House, server: &Server, place: &str, name: &str, results: &mut Results) -> Outcome<()> {
    // What a server does after its first answer, such as opening a database, is not its everyday.
    load(house, server, "closed --connections 1 --path /1k.bin --seconds 0.2", &[])?;
    std::thread::sleep(SETTLE);
    for _ in 0..TURNS {
        for (when, pace) in CASES {
            clear_but(house)?;
            std::thread::sleep(SETTLE);
            results.keep(name, page(house, server, &format!("{place}_idle"))?);
            // A guest tells its host after two seconds which memory is free, and pays when it takes it again: the uploads are over by
            // then.
            touch(&house.folder.join("touched"), 1 << 31)?;
            let path = put_path(name);
            let words = format!("--hold --connections {CROWD} --bytes 10m --pace {pace} --path {path}");
            let held = Held::start_program(house, server, "uploads", &words)?;
            std::thread::sleep(SETTLE);
            results.keep(name, page(house, server, &format!("{place}_{when}"))?);
            let told = pick(&held.finish()?, &["mib_per_s", "upload_p50_ms", "errors", "server_s_per_gib"]);
            let told = told.into_iter().map(|(figure, value)| (format!("{place}_{when}_uploads_{figure}"), value));
            results.keep(name, told.collect());
            results.keep(name, vec![(format!("{place}_{when}_peak_kib"), peak_kib(server))]);
        }
    }
    Ok(())
}

/// The page, asked for during one window.
#[allow(clippy::cast_precision_loss)]
fn page(house: &House, server: &Server, when: &str) -> Outcome<Figures> {
    let words = "rate --first --stamped --rate 1000 --connections 16 --path /1k.bin";
    let wanted =
        ["p50_us", "p99_us", "max_us", "outside_p50_us", "outside_p99_us", "outside_max_us", "late_p99_us", "errors"];
    let (begun, others, delay) = (Instant::now(), process::others(), process::delay_ns(server.pid()));
    let stolen = process::stolen_ns();
    let mut seen = load(house, server, &format!("{words} --seconds {}", house.seconds / 2.0), &wanted)?;
    let share = |ns: u64| ns as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
    seen.push(("delay_percent".into(), share(process::delay_ns(server.pid()).saturating_sub(delay))));
    seen.push(("others_percent".into(), share(process::others().since(&others))));
    seen.push(("stolen_percent".into(), share(process::stolen_ns().saturating_sub(stolen))));
    Ok(seen.into_iter().map(|(name, value)| (format!("{when}_{name}"), value)).collect())
}

/// What was uploaded goes, what is served stays.
fn clear_but(house: &House) -> Outcome<()> {
    let page = fs::read(house.folder.join("dav/1k.bin"))?;
    clear(house)?;
    fs::write(house.folder.join("dav/1k.bin"), page)?;
    Ok(())
}

/// Downloads from the shared area, beside lighttpd's of the same file.
pub fn fetch(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    let contenders = vec![("hythe", Start::hythe("")), ("lighttpd", Start::Lighttpd)];
    let here = present(house, contenders, &mut results.remarks);
    fs::create_dir_all(house.folder.join("uploads"))?;
    let mut servers = Vec::new();
    for (name, start) in here {
        servers.push((name, start.run(house, None)?));
    }
    for file in ["10m.bin", "1g.bin"] {
        let at = house.folder.join("uploads").join(file);
        let _ = fs::remove_file(&at);
        fs::hard_link(house.www().join(file), at)?;
        for _ in 0..house.rounds {
            for (name, server) in &servers {
                let folder = if *name == "hythe" { "/files" } else { "" };
                for (how, word) in [("trunc", ""), ("copy", "--copy")] {
                    let words = format!(
                        "download --path {folder}/{file} --connections 1 --seconds {} {word}",
                        (house.seconds / 2.0).max(0.5)
                    );
                    let seen = load(house, server, &words, &["server_s_per_gib", "errors"])?;
                    let named = seen.into_iter().filter(|(name, value)| name != "errors" || *value > 0.0);
                    results.keep(
                        name,
                        named
                            .map(|(_, value)| (format!("{}_{how}_s_per_gib", &file[..3].trim_end_matches('.')), value))
                            .collect(),
                    );
                }
            }
        }
    }
    Ok(results)
}

fn places(house: &House) -> Vec<(&'static str, PathBuf)> {
    let mut places = vec![("disk", house.folder.join("disk"))];
    if fs::metadata(MEMORY).is_ok_and(|facts| facts.is_dir()) {
        places.push(("memory", Path::new(MEMORY).join(format!("hythe-bench-{}", std::process::id()))));
    }
    places
}

/// The most memory a server has had.
#[allow(clippy::cast_precision_loss)]
fn peak_kib(server: &Server) -> f64 {
    process::peak_bytes(server.pid()) as f64 / 1024.0
}
