//! The logs: written off the loop, opened anew when they are moved away, and no reason to stand still.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::net::sockopt;

use crate::expect::is;
use crate::house::House;
use crate::scene::Scene;
use crate::wire::{PATIENCE, Wire, comes_to_be};

/// A request that is refused, which is worth a line of the log.
const REFUSED: &[u8] = b"GET /hello.txt\r\n\r\n";

fn is_refused(house: &House, scene: &Scene) {
    let mut wire = Wire::connect(house.address());
    wire.send(REFUSED);
    let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
    is(400).judge(&answer, scene).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
}

fn comes_to_hold(file: &Path, text: &str) {
    let holds = || fs::read_to_string(file).is_ok_and(|held| held.contains(text));
    assert!(comes_to_be(holds), "{} does not come to hold {text:?}", file.display());
}

#[test]
fn logs_that_are_moved_away_are_opened_anew() {
    let house = House::open(&["--log-file", "hythe.log", "--access-log", "access.log"]);
    let scene = Scene::of(&house);
    let logs = [("hythe.log", "is refused with 400"), ("access.log", "\"-\" 400 ")];
    is_refused(&house, &scene);
    for (log, text) in logs {
        let log = house.folder().join(log);
        comes_to_hold(&log, text);
        fs::rename(&log, log.with_extension("1")).expect("the log is moved away");
    }
    house.ask_to_reopen_logs();
    for (log, _) in logs {
        comes_to_hold(&house.folder().join(log), "");
    }
    is_refused(&house, &scene);
    for (log, text) in logs {
        comes_to_hold(&house.folder().join(log), text);
    }
}

#[test]
fn who_comes_goes_and_is_refused_is_told_in_plain_letters_and_with_the_time() {
    let house = House::open(&["--log-file", "hythe.log", "--log-level", "debug"]);
    let scene = Scene::of(&house);
    let log = house.folder().join("hythe.log");
    for (request, status) in [
        (&b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n"[..], 403),
        (b"GET /a/../../b HTTP/1.1\r\nHost: {host}\r\n\r\n", 403),
        (b"POST /send HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n", 403),
        (b"GET /\x1b[31m\r2026-01-01 [ERROR] forged HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        (b"GET /%1b%0a\xc2\x85 HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        (b"GET /a%00b HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        (b"GET /c HTTP/1.1\r\nHost: [::zz]\r\n\r\n", 400),
        (b"BREW /d HTTP/1.1\r\nHost: {host}\r\n\r\n", 501),
        (b"GET /file-list?limit=many HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        (
            b"POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{a}",
            400,
        ),
        (
            b"POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n\
              Content-Length: 3\r\n\r\n{a}",
            400,
        ),
        (b"GET /b HTTP/1.1\r\nAuthorization: Bearer hush\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"{\"password\":\"hush\"}\r\n\r\n", 400),
    ] {
        let host = house.address().to_string();
        let request = String::from_utf8_lossy(request).replace("{host}", &host);
        let mut wire = Wire::connect(house.address());
        wire.send(request.as_bytes());
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        is(status).judge(&answer, &scene).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
    }
    for told in [
        "127.0.0.1 is connected",
        "127.0.0.1 is refused with 403 host_forbidden: \"GET /a\" of evil.example",
        "127.0.0.1 is refused with 403 path_forbidden: \"GET /a/../../b\" of 127.0.0.1:",
        "127.0.0.1 is refused with 403 cross_site: \"POST /send\" of 127.0.0.1:",
        "\\x1b[31m\\x0d2026-01-01 [ERROR] forged",
        "127.0.0.1 is refused with 400 bad_path: \"GET /a%00b\" of 127.0.0.1:",
        "127.0.0.1 is refused with 400 bad_host: \"GET /c\" of [::zz]",
        "127.0.0.1 is refused with 501 method_not_implemented: \"BREW /d\" of 127.0.0.1:",
        "127.0.0.1 is refused with 400 bad_query: \"GET /file-list?limit=many\" of 127.0.0.1:",
        "127.0.0.1 is refused with 400 invalid_json: ",
        "127.0.0.1 is refused with 400 bad_multipart: ",
        "in \"GET /b HTTP/1.1\\x0d\"",
        "127.0.0.1 is gone",
    ] {
        comes_to_hold(&log, told);
    }
    let all = fs::read_to_string(&log).expect("a log");
    assert!(!all.contains("hush"), "{all}");
    for line in fs::read(&log).expect("a log").split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        assert!(line.iter().all(|byte| (0x20..0x7f).contains(byte)), "{}", line.escape_ascii());
        let is_timed = line.len() > 24 && line[4] == b'-' && line[10] == b'T' && line[23] == b'Z';
        assert!(is_timed, "{}", line.escape_ascii());
    }
}

#[test]
fn who_ends_in_the_middle_of_a_request_is_told_of_once_and_who_ends_between_two_is_not() {
    let house = House::open(&["--log-file", "hythe.log"]);
    let scene = Scene::of(&house);
    let log = house.folder().join("hythe.log");
    let post = "POST /send HTTP/1.1\r\nHost: $host\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhus";
    let get = "GET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n";
    for (said, told) in [
        ("", 0),
        (get, 0),
        ("GET /half HTTP/1.1\r\nAuthorization: Bearer hush", 1),
        (&format!("{get}GET /half"), 1),
        (post, 1),
    ] {
        let before = fs::read_to_string(&log).expect("a log").lines().count();
        let mut wire = Wire::connect(house.address());
        wire.send(&scene.fill(said.as_bytes()));
        wire.end_our_half();
        let (_, end) = wire.drain_within(PATIENCE);
        assert!(end.is_some(), "it is closed");
        // A line that is surely behind those that are looked for.
        is_refused(&house, &scene);
        let latest = Instant::now() + PATIENCE;
        let lines = loop {
            let text = fs::read_to_string(&log).expect("a log");
            let lines: Vec<String> = text.lines().skip(before).map(str::to_owned).collect();
            if lines.last().is_some_and(|line| line.contains("is refused with 400")) {
                break lines;
            }
            assert!(Instant::now() < latest, "{text}");
            thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(lines.len(), told + 1, "{said:?}: {lines:#?}");
        assert!(!lines.concat().contains("hus"), "{lines:#?}");
    }
    let all = fs::read_to_string(&log).expect("a log");
    assert!(all.contains("127.0.0.1 ends its half in the middle of a head: \"GET /half HTTP/1.1\\x0d\""), "{all}");
    assert!(all.contains("127.0.0.1 ends its half in the middle of a head: \"GET /half\"\n"), "{all}");
    assert!(all.contains("127.0.0.1 ends its half in the middle of a body, after 3 bytes"), "{all}");
}

#[test]
fn who_breaks_off_in_the_middle_of_a_request_is_told_of() {
    let house = House::open(&["--log-file", "hythe.log"]);
    let scene = Scene::of(&house);
    let get = "GET /hello.txt HTTP/1.1\r\nHost: $host\r\n\r\n";
    let post = "POST /send HTTP/1.1\r\nHost: $host\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhus";
    for (half, told) in [
        ("GET /half", "127.0.0.1 breaks off in the middle of a head\n"),
        (post, "127.0.0.1 breaks off in the middle of a body\n"),
    ] {
        let mut stream = TcpStream::connect(house.address()).expect("a connection");
        stream.write_all(&scene.fill(format!("{get}{half}").as_bytes())).expect("it is taken");
        // What came with the request that is answered has been read.
        stream.read_exact(&mut [0; 15]).expect("an answer");
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a reset at the end");
        drop(stream);
        comes_to_hold(&house.folder().join("hythe.log"), told);
    }
}

#[test]
fn who_is_too_slow_is_told_of() {
    let house = House::open(&["--log-file", "hythe.log", "--header-timeout", "1s", "--body-idle", "1s"]);
    let scene = Scene::of(&house);
    let post = "POST /send HTTP/1.1\r\nHost: $host\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhus";
    for (half, told) in [
        ("GET /half", "127.0.0.1 is refused with 408 timeout: the request took too long to arrive in \"GET /half\"\n"),
        (post, "127.0.0.1 is refused with 408 timeout: the request took too long to arrive\n"),
    ] {
        let mut wire = Wire::connect(house.address());
        wire.send(&scene.fill(half.as_bytes()));
        let (_, end) = wire.drain_within(PATIENCE);
        assert!(end.is_some(), "it is closed");
        comes_to_hold(&house.folder().join("hythe.log"), told);
    }
}

#[test]
fn logs_that_nobody_reads_stop_nobody() {
    let pipes = ["log", "access"].map(|log| env::temp_dir().join(format!("hythe-live-{}-{log}", std::process::id())));
    let held = pipes.each_ref().map(|pipe| {
        mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        OpenOptions::new().read(true).write(true).open(pipe).expect("both its ends")
    });
    let [log, access] = pipes.each_ref().map(|pipe| pipe.to_str().expect("a path that is text"));
    {
        let house = House::open(&["--log-file", log, "--access-log", access]);
        let scene = Scene::of(&house);
        // A pipe holds 64 KiB: some five hundred lines.
        for _ in 0..1_000 {
            is_refused(&house, &scene);
        }
        // And the server ends when asked, or dropping the house says so.
    }
    drop(held);
    for pipe in pipes {
        let _ = fs::remove_file(pipe);
    }
}

/// How many bytes the log says were sent of the body of each answer to a request for `target`.
fn sent(log: &Path, target: &str) -> Vec<u64> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(&format!("\"GET {target} HTTP/1.1\" 200 ")));
    lines.map(|(_, rest)| rest.split(' ').next().expect("a number").parse().expect("a number")).collect()
}

#[test]
fn the_access_log_tells_what_was_sent_not_what_was_promised() {
    const WHOLE: u64 = 32 << 20;
    let house = House::open(&["--access-log", "access.log"]);
    let log = house.folder().join("access.log");
    let file = fs::File::create(house.folder().join("uploads/large.bin")).expect("a file");
    file.set_len(WHOLE).expect("a hole is enough");
    fs::create_dir(house.folder().join("uploads/dir")).expect("a folder");
    fs::hard_link(house.folder().join("uploads/large.bin"), house.folder().join("uploads/dir/large.bin"))
        .expect("a link");
    let waits_for = |target: &str, count: usize| {
        let is_told = comes_to_be(|| sent(&log, target).len() >= count);
        assert!(is_told, "{count} lines of {target} in {:?}", fs::read_to_string(&log));
        sent(&log, target)
    };
    let port = house.port();
    for target in ["/files/large.bin", "/files/dir?archive=tar"] {
        let ask = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        // One takes all of it. An archive is longer than what is in it.
        let mut wire = Wire::connect(house.address());
        wire.send(ask.as_bytes());
        let (_, end) = wire.drain_within(PATIENCE);
        assert!(end.is_some(), "it ends");
        let whole = waits_for(target, 1);
        assert!(whole[0] == WHOLE || target.contains("tar") && whole[0] > WHOLE, "{target}: {whole:?}");
        // One takes nothing and goes: some of it was in the kernel's hands already.
        let mut wire = Wire::connect(house.address());
        wire.send(ask.as_bytes());
        wire.is_answered().expect("it is answered");
        thread::sleep(Duration::from_millis(100));
        assert_eq!(sent(&log, target).len(), 1, "nothing is told before it is known");
        drop(wire);
        let cut = waits_for(target, 2);
        assert!(cut[1] > 0 && cut[1] < WHOLE, "{target}: {cut:?}");
    }
}
