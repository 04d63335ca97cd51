//! What uploads cost, and what they cost the others: CPU seconds a GiB beside who only receives and writes, and a page beside a
//! hundred uploads at once. On the disk, and in memory, where no disk decides.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hythe_bench::process;

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
/// of a gigabit a second, and as fast as they are taken.
pub fn crowd(house: &House) -> Outcome<Results> {
    let mut results = Results::default();
    for (place, folder) in places(house) {
        let house = &house.moved(folder)?;
        fs::create_dir_all(house.folder.join("dav"))?;
        fs::copy(house.www().join("1k.bin"), house.folder.join("dav/1k.bin"))?;
        let contenders =
            vec![("hythe", Start::hythe("")), ("lighttpd", Start::LighttpdDav), ("nginx", Start::NginxDav)];
        let here = present(house, contenders, &mut results.remarks);
        for _ in 0..house.rounds.min(3) {
            for (name, start) in &here {
                let server = start.run(house, None)?;
                results.keep(name, beside_crowd(house, &server, place, put_path(name))?);
                clear_but(house)?;
            }
        }
        for (name, _) in &here {
            for when in ["paced", "full"] {
                let figure = |when: &str| results.median(name, &format!("{place}_{when}_p99_us"));
                let (idle, busy) = (figure("idle"), figure(when));
                if let (Some(idle), Some(busy)) = (idle, busy) {
                    results.remarks.push(format!(
                        "{place}, {when}: beside {CROWD} uploads the page's p99 at {name} is {:.1} of that without",
                        busy / idle
                    ));
                }
            }
        }
    }
    Ok(results)
}

fn beside_crowd(house: &House, server: &Server, place: &str, path: &str) -> Outcome<Figures> {
    let mut figures = Figures::new();
    let page = |when: &str, figures: &mut Figures| -> Outcome<()> {
        // What is to be seen is how long the server takes, not how long its client waits for the core that the uploads come from.
        let words = format!("rate --first --rate 1000 --connections 16 --path /1k.bin --seconds {}", house.seconds);
        let seen = load(house, server, &words, &["p50_us", "p99_us", "max_us", "errors"])?;
        figures.extend(seen.into_iter().map(|(name, value)| (format!("{place}_{when}_{name}"), value)));
        Ok(())
    };
    // What a server does after its first answer, such as opening a database, is not its everyday.
    load(house, server, "closed --connections 1 --path /1k.bin --seconds 0.2", &[])?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    page("idle", &mut figures)?;
    for (when, pace) in [("paced", GIGABIT), ("full", 0)] {
        clear_but(house)?;
        touch(&house.folder.join("touched"), 3 << 29)?;
        let words = format!("--hold --connections {CROWD} --bytes 10m --pace {pace} --path {path}");
        let held = Held::start_program(house, server, "uploads", &words)?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        page(when, &mut figures)?;
        let told = pick(&held.finish()?, &["mib_per_s", "upload_p50_ms", "errors", "server_s_per_gib"]);
        figures.extend(told.into_iter().map(|(name, value)| (format!("{place}_{when}_uploads_{name}"), value)));
        figures.push((format!("{place}_{when}_peak_kib"), peak_kib(server)));
    }
    Ok(figures)
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
