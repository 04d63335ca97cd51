//! The binary is replaced while it works: nothing is refused, nothing is lost; and a new one that cannot serve changes nothing.

mod load;
mod place;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use place::{Place, ask};

/// How often the binary is replaced under load.
const UPGRADES: usize = 10;

#[test]
fn ten_upgrades_under_load_refuse_nothing_and_lose_nothing() {
    let place = Place::start("load", &["--send-rate", "0", "--upload-limit", "64MiB"]);
    let is_over = Arc::new(AtomicBool::new(false));
    let address = place.address;
    let begin = |work: fn(std::net::SocketAddr, &AtomicBool) -> Vec<String>| {
        let is_over = is_over.clone();
        thread::spawn(move || work(address, &is_over))
    };
    let getting = [begin(load::get), begin(load::get_on_and_on)];
    let putting = [begin(load::put), begin(load::put_slowly)];
    let saying = [begin(load::say), begin(load::say)];
    let signing_in = begin(load::sign_in);
    let listening = begin(load::listen);
    let mut processes = vec![place.process()];
    let mut pauses = Vec::new();
    for _ in 0..UPGRADES {
        thread::sleep(Duration::from_millis(150));
        let begun = Instant::now();
        let (code, said) = place.upgrade();
        assert_eq!(code, 0, "{said}\n{}", place.log());
        pauses.push(begun.elapsed().as_millis());
        processes.push(place.process());
    }
    thread::sleep(Duration::from_millis(150));
    is_over.store(true, Ordering::Relaxed);
    let done = |work: thread::JoinHandle<Vec<String>>| work.join().expect("nothing was refused");
    let got: usize = getting.into_iter().map(|work| done(work).len()).sum();
    let put: Vec<String> = putting.into_iter().flat_map(done).collect();
    let mut said: Vec<String> = saying.into_iter().flat_map(done).collect();
    let signed_in = done(signing_in).len();
    let mut heard = done(listening);
    processes.dedup();
    assert_eq!(processes.len(), UPGRADES + 1, "each time another process serves");
    // All that was acknowledged is there, once, whoever took it.
    for file in &put {
        let (name, size) = file.split_once(' ').expect("a name and a size");
        let facts = ask(address, &format!("GET /file-info/{name}"));
        assert!(facts.contains(&format!("\"size\":{size}")), "{name}: {facts}");
    }
    let missed = load::history(address, heard.last().map_or(0, |last| load::id(last)));
    heard.extend(missed);
    let ids: Vec<u64> = heard.iter().map(|message| load::id(message)).collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "each message once, in order: {ids:?}");
    assert_eq!(ids.first(), Some(&1), "from the first on");
    said.sort_unstable();
    heard.sort_unstable();
    assert_eq!(said, heard, "what was acknowledged is what was heard");
    println!(
        "{UPGRADES} upgrades in {pauses:?} ms: {got} GETs, {} uploads, {} messages, {signed_in} sign-ins",
        put.len(),
        said.len()
    );
}

#[test]
fn a_new_binary_that_cannot_serve_changes_nothing() {
    let place = Place::start("broken", &[]);
    let old = place.process();
    let path = place.folder.join("bin/hythe");
    fs::rename(&path, place.folder.join("bin/old")).expect("moved away");
    fs::write(&path, "this is no program").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("may be run");
    for _ in 0..2 {
        let (code, said) = place.upgrade();
        assert_eq!(code, 71, "{said}");
        assert!(said.contains(&format!("the process {old} goes on")), "{said}");
        assert_eq!(place.process(), old);
        assert!(ask(place.address, "GET /healthz").starts_with("HTTP/1.1 200 "));
    }
    assert!(place.log().contains("no upgrade: "), "{}", place.log());
    // One that starts, and then finds that it cannot serve: its configuration is wrong by now.
    fs::remove_file(&path).expect("removed");
    fs::rename(place.folder.join("bin/old"), &path).expect("moved back");
    fs::write(place.folder.join("etc/hythe.toml"), "keepalive = \"soon\"\n").expect("written");
    let (code, said) = place.upgrade_by(&["--data", "data"]);
    assert_eq!(code, 71, "{said}");
    assert!(said.contains("ended before it was ready"), "{said}");
    assert!(ask(place.address, "GET /healthz").starts_with("HTTP/1.1 200 "));
    // Mended, it goes.
    fs::write(place.folder.join("etc/hythe.toml"), "keepalive = \"7s\"\n").expect("written");
    let (code, said) = place.upgrade();
    assert_eq!(code, 0, "{said}");
    assert_ne!(place.process(), old);
    let answer = ask(place.address, "GET /healthz");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn without_a_server_there_is_nothing_to_replace() {
    let place = Place::start("gone", &[]);
    place.stop();
    let (code, said) = place.upgrade();
    assert_eq!(code, 71, "{said}");
    assert!(said.contains("no hythe works in the data folder"), "{said}");
    assert!(!place.folder.join("data/hythe.pid").exists(), "whoever ends takes its note away");
}
