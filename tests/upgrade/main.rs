//! The binary is replaced while it works: nothing is refused, nothing is lost; and a new one that cannot serve changes nothing.

mod load;
mod place;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use load::AtWork;
use place::{Place, ask, comes_to_be};

/// How often the binary is replaced under load.
const UPGRADES: usize = 10;

#[test]
fn ten_upgrades_under_load_refuse_nothing_and_lose_nothing() {
    let place = Place::start("load", &["--send-rate", "0", "--upload-limit", "64MiB"]);
    let is_over = Arc::new(AtomicBool::new(false));
    let address = place.address;
    let begin = |work| AtWork::begin(work, address, &is_over);
    let getting = [begin(load::get), begin(load::get_on_and_on)];
    let putting = [begin(load::put), begin(load::put_slowly)];
    let saying = [begin(load::say), begin(load::say)];
    let signing_in = begin(load::sign_in);
    let listening = begin(load::listen);
    let mut processes = vec![place.process()];
    let mut pauses = Vec::new();
    // Before each upgrade, and after the last, the one that serves has served each of those who are quick.
    let quick = || getting.iter().chain(&putting[..1]).chain(&saying).chain([&listening]).map(AtWork::done);
    let are_served = || {
        let before: Vec<usize> = quick().collect();
        let is_so = comes_to_be(|| quick().zip(&before).all(|(now, before)| now > *before || now == usize::MAX));
        assert!(is_so, "{before:?} and then {:?}", quick().collect::<Vec<_>>());
    };
    for _ in 0..UPGRADES {
        are_served();
        let begun = Instant::now();
        let (code, said) = place.upgrade();
        assert_eq!(code, 0, "{said}\n{}", place.log());
        pauses.push(begun.elapsed().as_millis());
        processes.push(place.process());
    }
    are_served();
    is_over.store(true, Ordering::Relaxed);
    let done = AtWork::end;
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

const TUS: &str = "Tus-Resumable: 1.0.0\r\n";

/// The value of a field of an answer.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A PATCH of which the first half is sent, and the socket on which the rest is still to come.
fn begin_piece(place: &Place, upload: &str, offset: usize, length: usize, first: &[u8]) -> std::net::TcpStream {
    let mut socket = place::connect(place.address);
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{TUS}Upload-Offset: {offset}\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n",
        place.address.port()
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    socket.write_all(first).expect("it reads");
    socket
}

/// The answer to a PATCH of which this is the rest.
fn end_piece(mut socket: std::net::TcpStream, rest: &[u8]) -> String {
    socket.write_all(rest).expect("it reads on");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

fn begin_upload(place: &Place, name: &str, length: usize) -> String {
    let name = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, name);
    let fields = format!("{TUS}Upload-Length: {length}\r\nUpload-Metadata: filename {name}\r\n");
    let created = place::ask_with(place.address, "POST /tus", &fields, b"");
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    field(&created, "Location").expect("a place").to_owned()
}

#[test]
fn a_piece_that_the_old_server_still_receives_is_not_written_by_the_new_one_too() {
    let place = Place::start("pieces", &OWNED[..2]);
    let head = |upload: &str| place::ask_with(place.address, &format!("HEAD {upload}"), TUS, b"");
    let comes_to = |upload: &str, offset: &str| {
        let is_so = comes_to_be(|| field(&head(upload), "Upload-Offset") == Some(offset));
        assert!(is_so, "{}", head(upload));
    };
    let (going, ending) = (begin_upload(&place, "going.bin", 3000), begin_upload(&place, "ending.bin", 2000));
    let going_on = begin_piece(&place, &going, 0, 2000, &[b'a'; 1000]);
    let ending_on = begin_piece(&place, &ending, 0, 2000, &[b'e'; 1000]);
    place.receives(2);
    let old = place.process();
    let (code, said) = place.upgrade();
    assert_eq!(code, 0, "{said}");
    assert_ne!(place.process(), old);
    // The new one serves; the old one is still receiving.
    let refused = |answer: String| {
        assert!(answer.starts_with("HTTP/1.1 423 Locked\r\n"), "{answer}");
        assert!(answer.contains("\"upload_locked\"") && field(&answer, "Retry-After").is_some(), "{answer}");
    };
    for from in [0, 1000] {
        refused(end_piece(begin_piece(&place, &going, from, 1000, b""), &[b'b'; 1000]));
    }
    refused(place::ask_with(place.address, &format!("DELETE {going}"), TUS, b""));
    let answer = end_piece(going_on, &[b'a'; 1000]);
    assert!(answer.starts_with("HTTP/1.1 204 ") && field(&answer, "Upload-Offset") == Some("2000"), "{answer}");
    let answer = end_piece(ending_on, &[b'e'; 1000]);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    // What the old one has finished the new one knows of, and what it left goes on.
    comes_to(&ending, "2000");
    assert!(field(&head(&ending), "Content-Location").is_some_and(|place| place.ends_with("/files/ending.bin")));
    comes_to(&going, "2000");
    let answer = end_piece(begin_piece(&place, &going, 2000, 1000, b""), &[b'c'; 1000]);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let file = fs::read(place.folder.join("uploads/going.bin")).expect("it is whole");
    assert_eq!(file, [vec![b'a'; 2000], vec![b'c'; 1000]].concat());
    assert_eq!(fs::read(place.folder.join("uploads/ending.bin")).expect("it is whole"), [b'e'; 2000]);
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
    assert!(said.contains("ended before it was ready (exit status: 78): "), "{said}");
    assert!(said.contains("keepalive") && said.contains("soon"), "it hands on why: {said}");
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
fn a_successor_that_is_kept_from_its_folders_leaves_the_old_one_serving() {
    let place = Place::start("kept", &[]);
    let is_confined = place.started.lines().any(|line| line.contains("Landlock") && !line.contains("no Landlock"));
    if !is_confined {
        println!("skipped: no Landlock here");
        return;
    }
    let old = place.process();
    // Beside the folder of the old one, where its process may reach nothing.
    let elsewhere = place.folder.with_extension("elsewhere");
    let _ = fs::remove_dir_all(&elsewhere);
    for (key, name) in [("www", "pages"), ("uploads", "files")] {
        let folder = elsewhere.join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(place.folder.join("etc/hythe.toml"), format!("{key} = {folder:?}\n")).expect("written");
        let (code, said) = place.upgrade();
        assert_eq!(code, 71, "{key}: {said}");
        let reason = format!("ended before it was ready (exit status: 73): cannot use {}: ", folder.display());
        assert!(said.contains(&reason), "{key}: {said}");
        assert_eq!(place.process(), old);
        let put = place::ask_with(place.address, &format!("PUT /files/{key}.txt?create=1"), "", b"hello");
        assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    }
    // With its own folders it goes.
    fs::write(place.folder.join("etc/hythe.toml"), "").expect("written");
    let (code, said) = place.upgrade();
    assert_eq!(code, 0, "{said}");
    assert_ne!(place.process(), old);
    let put = place::ask_with(place.address, "PUT /files/after.txt?create=1", "", b"hello");
    assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    let _ = fs::remove_dir_all(&elsewhere);
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

/// Makes an account; says how it shows itself.
fn sign_in(place: &Place) -> String {
    let json = "Content-Type: application/json\r\n";
    let operator = format!("{json}Authorization: Bearer operator-of-the-upgrade\r\n");
    let person = r#"{"username":"ada","password":"correct horse"}"#;
    let made = place::ask_with(place.address, "POST /admin/users", &operator, person.as_bytes());
    assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
    let person = r#"{"username":"ada","password":"correct horse","token":true}"#;
    let came = place::ask_with(place.address, "POST /login", json, person.as_bytes());
    let token = came.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    format!("Authorization: Bearer {token}\r\n")
}

const OWNED: [&str; 4] = ["--token", "operator-of-the-upgrade", "--shared-write", "user"];

#[test]
fn what_the_old_server_finishes_counts_once_for_the_new_one() {
    let place = Place::start("counts", &[&OWNED[..], &["--quota", "3000"]].concat());
    place.process();
    let ada = sign_in(&place);
    let fields = format!("{TUS}{ada}Upload-Length: 2000\r\nUpload-Metadata: filename YQ==\r\n");
    let created = place::ask_with(place.address, "POST /tus", &fields, b"");
    let upload = field(&created, "Location").expect("a place");
    let mut socket = place::connect(place.address);
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{TUS}{ada}Upload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: 2000\r\n\r\n",
        place.address.port()
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    socket.write_all(&[b'a'; 1000]).expect("it reads");
    place.receives(1);
    let (code, said) = place.upgrade();
    assert_eq!(code, 0, "{said}");
    let fits = |bytes: usize| {
        let put = place::ask_with(place.address, "PUT /files/b?create=1", &ada, &vec![b'b'; bytes]);
        assert!(put.starts_with("HTTP/1.1 20") || put.contains("\"over_quota\""), "{put}");
        put.starts_with("HTTP/1.1 20")
    };
    assert!(!fits(1001), "what the old one is receiving counts");
    let answer = end_piece(socket, &[b'a'; 1000]);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let is_hers = || place::ask_with(place.address, "GET /file-info/a", &ada, b"").contains(r#""owner":"ada""#);
    assert!(comes_to_be(is_hers), "it is hers");
    // Nobody asks the new one for the upload.
    assert!(comes_to_be(|| fits(1000)), "it counts for what it was and for what it is");
    assert!(!fits(1001));
}

#[test]
fn whose_a_file_is_that_the_old_server_still_receives_the_new_one_knows() {
    let place = Place::start("owners", &OWNED);
    let ada = sign_in(&place);
    let mut socket = place::connect(place.address);
    let head = format!(
        "PUT /files/late.bin?create=1 HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{ada}Content-Length: 8\r\n\r\nhalf",
        place.address.port()
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    place.receives(1);
    let old = place.process();
    let (code, said) = place.upgrade();
    assert_eq!(code, 0, "{said}");
    assert_ne!(place.process(), old);
    let ask = |line: &str| place::ask_with(place.address, line, &ada, b"");
    // The new one has read by now what is kept.
    assert!(ask("GET /file-info/late.bin").starts_with("HTTP/1.1 404 "));
    let answer = end_piece(socket, b"half");
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains(r#""owner":"ada""#), "{answer}");
    let is_hers = comes_to_be(|| ask("GET /file-info/late.bin").contains(r#""owner":"ada""#));
    assert!(is_hers, "{}", ask("GET /file-info/late.bin"));
    let gone = ask("DELETE /files/late.bin");
    assert!(gone.starts_with("HTTP/1.1 200 "), "she may change it: {gone}");
}
