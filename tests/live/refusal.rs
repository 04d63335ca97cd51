//! An early refusal reaches a client that is still sending (API.md, section 1; RFC 9112, section 9.6): a close with
//! unread bytes would reset the connection and take the answer with it.

use std::io::{Write as _, stdout};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::house::House;
use crate::request::{FORM, JSON, ask, ask_with_body};
use crate::scene::Scene;
use crate::wire::{PATIENCE, Wire};

/// A body no socket's buffers hold.
const LARGE: usize = 10_000_000;
const TIMES: usize = 20;

/// A target, the fields that go with it, and the statuses that refuse it.
const REFUSALS: [(&str, &[&str], &[u16]); 6] = [
    ("/upload", &[JSON], &[413]),
    ("/send", &[FORM], &[413]),
    ("/hello.txt", &[JSON], &[405]),
    ("/no/such/page", &[JSON], &[404, 405]),
    ("/../x", &[JSON], &[403]),
    ("/send", &[FORM, "Origin: http://evil.test"], &[403]),
];

fn head(scene: &Scene, target: &str, fields: &[&str]) -> Vec<u8> {
    let length = format!("Content-Length: {LARGE}");
    scene.fill(&ask("POST", target, &[fields, &[length.as_str()]].concat()))
}

/// A client of the plain kind: it writes everything first and reads then.
fn writes_first(house: &House, head: &[u8], statuses: &[u16]) -> Result<(), String> {
    let mut wire = Wire::connect(house.address());
    wire.send(head);
    let window = vec![b'x'; 100_000];
    for _ in 0..LARGE / window.len() {
        wire.send_quietly(&window).map_err(|error| format!("a write was refused: {error}\n{}", wire.transcript()))?;
    }
    reads(&mut wire, statuses)
}

/// A client that stops as soon as it is answered, and says nothing more.
fn stops_when_answered(house: &House, head: &[u8], statuses: &[u16]) -> Result<(), String> {
    let mut wire = Wire::connect(house.address());
    wire.send(head);
    wire.send_quietly(&vec![b'x'; 200_000]).map_err(|error| format!("a write was refused: {error}"))?;
    reads(&mut wire, statuses)
}

fn reads(wire: &mut Wire, statuses: &[u16]) -> Result<(), String> {
    let said = |wire: &Wire, complaint: String| format!("{complaint}\n{}", wire.transcript());
    let answer = wire.hear(false).map_err(|complaint| said(wire, complaint))?;
    if !statuses.contains(&answer.status) || !answer.says_close() {
        return Err(said(wire, format!("a {} that says close was expected", statuses[0])));
    }
    wire.ends_within(PATIENCE).map_err(|complaint| said(wire, complaint))
}

fn each_time(name: &str, one: impl Fn() -> Result<(), String>, complaints: &mut String) {
    let failures: Vec<_> = (0..TIMES).filter_map(|_| one().err()).collect();
    let _ = writeln!(stdout(), "refusal, {name}: {} of {TIMES} read the answer", TIMES - failures.len());
    if let Some(first) = failures.first() {
        *complaints +=
            &format!("\n  {name}: {} of {TIMES} did not read the answer; the first: {first}", failures.len());
    }
}

#[test]
fn a_client_that_writes_everything_first_reads_its_refusal() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let mut complaints = String::new();
    for (target, fields, statuses) in REFUSALS {
        let head = head(&scene, target, fields);
        each_time(&format!("raw {target}"), || writes_first(&house, &head, statuses), &mut complaints);
    }
    assert!(complaints.is_empty(), "refusals were lost:\n{complaints}");
}

#[test]
fn a_client_that_stops_when_refused_is_let_go_in_good_order() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let mut complaints = String::new();
    for (target, fields, statuses) in REFUSALS {
        let head = head(&scene, target, fields);
        each_time(&format!("stopping at {target}"), || stops_when_answered(&house, &head, statuses), &mut complaints);
    }
    assert!(complaints.is_empty(), "refusals were lost:\n{complaints}");
}

#[test]
fn a_chunked_sender_reads_its_refusal() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let chunk = [b"186a0\r\n".as_slice(), &vec![b'x'; 100_000], b"\r\n"].concat();
    let one = |target: &str, fields: &[&str], statuses: &[u16]| {
        let mut wire = Wire::connect(house.address());
        wire.send(&scene.fill(&ask("POST", target, &[fields, &["Transfer-Encoding: chunked"]].concat())));
        for _ in 0..LARGE / 100_000 {
            wire.send_quietly(&chunk)
                .map_err(|error| format!("a write was refused: {error}\n{}", wire.transcript()))?;
        }
        wire.send(b"0\r\n\r\n");
        reads(&mut wire, statuses)
    };
    let mut complaints = String::new();
    for (target, fields, statuses) in [REFUSALS[0], REFUSALS[2]] {
        each_time(&format!("chunked {target}"), || one(target, fields, statuses), &mut complaints);
    }
    assert!(complaints.is_empty(), "refusals were lost:\n{complaints}");
}

/// Whether a tool is on this machine; says so when it is not.
fn is_here(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_here = found.is_ok_and(|status| status.success());
    if !is_here {
        let _ = writeln!(stdout(), "refusal, {tool}: skipped, it is not on this machine");
    }
    is_here
}

/// Runs a tool once and takes what it prints: a line with a status and the body's first words for each answer it read.
fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).stdin(Stdio::null()).output().expect("the tool runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn expect_lines(tool: &str, printed: &str, line: &str) {
    let read = printed.lines().filter(|printed| *printed == line).count();
    let _ = writeln!(stdout(), "refusal, {tool}: {read} of {TIMES} read {line:?}");
    assert_eq!(read, TIMES, "{tool} printed:\n{printed}");
}

/// What each tool is sent to, with the line it prints when it has read the whole answer.
const FOR_TOOLS: [(&str, &str); 2] =
    [("/upload", "413 application/problem+json"), ("/hello.txt", "405 application/problem+json")];

#[test]
fn curl_reads_its_refusal() {
    if !is_here("curl") {
        return;
    }
    let house = House::usual();
    let file = house.folder().join("ten-million-bytes");
    std::fs::write(&file, vec![b'x'; LARGE]).expect("a file for curl");
    let (body, base) = (format!("@{}", file.display()), format!("http://{}", house.address()));
    for (target, line) in FOR_TOOLS {
        let url = base.clone() + target;
        for expect in ["Expect:", "X-Expect: as curl likes"] {
            let arguments = [
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_code} %{content_type}\n",
                "--header",
                "Content-Type: application/json",
                "--header",
                expect,
                "--data-binary",
                &body,
                &url,
            ];
            let printed: String = (0..TIMES).map(|_| run("curl", &arguments)).collect();
            expect_lines("curl", &printed, line);
        }
    }
}

#[test]
fn python_reads_its_refusal() {
    const SCRIPT: &str = r#"
import http.client, sys
host, port, target, times, length = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
body = b"x" * length
for _ in range(times):
    try:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        print(answer.status, answer.getheader("Content-Type"))
    except Exception as error:
        print(repr(error))
"#;
    if !is_here("python3") {
        return;
    }
    let house = House::usual();
    let (port, times, length) = (house.port().to_string(), TIMES.to_string(), LARGE.to_string());
    for (target, line) in FOR_TOOLS {
        expect_lines("python3", &run("python3", &["-c", SCRIPT, "127.0.0.1", &port, target, &times, &length]), line);
    }
}

#[test]
fn node_reads_its_refusal() {
    const SCRIPT: &str = r#"
const [url, times, length] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
const body = "x".repeat(length);
for (let time = 0; time < times; time++) {
    try {
        const answer = await fetch(url, { method: "POST", body, headers: { "Content-Type": "application/json" } });
        await answer.text();
        console.log(answer.status, answer.headers.get("content-type"));
    } catch (error) {
        console.log(String(error), String(error.cause));
    }
}
"#;
    if !is_here("node") {
        return;
    }
    let house = House::usual();
    for (target, line) in FOR_TOOLS {
        let url = format!("http://{}{target}", house.address());
        let printed =
            run("node", &["--input-type=module", "--eval", SCRIPT, &url, &TIMES.to_string(), &LARGE.to_string()]);
        expect_lines("node", &printed, line);
    }
}

#[test]
fn a_small_body_that_is_refused_costs_no_connection() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let mut wire = Wire::connect(house.address());
    for _ in 0..TIMES {
        // At most 64 KiB still to come: the connection *may* go on, so either is right, but only as the answer says.
        let body = vec![b'x'; 1_000];
        wire.send(&scene.fill(&ask_with_body("POST", "/hello.txt", &[JSON], body)));
        let answer = wire.hear(false).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
        assert_eq!(answer.status, 405, "{}", wire.transcript());
        if answer.says_close() {
            wire.ends_within(PATIENCE).unwrap_or_else(|complaint| panic!("{complaint}\n{}", wire.transcript()));
            wire = Wire::connect(house.address());
        }
    }
}

#[test]
fn clients_that_vanish_while_they_are_refused_cost_nothing() {
    let house = House::usual();
    let scene = Scene::of(&house);
    let head = head(&scene, "/upload", &[JSON]);
    for time in 0..TIMES {
        let mut stream = TcpStream::connect(house.address()).expect("the server takes connections");
        let _ = stream.write_all(&head);
        let _ = stream.write_all(&vec![b'x'; 50_000 * (time % 4)]);
        match time % 3 {
            0 => drop(stream),
            1 => {
                let _ = stream.shutdown(Shutdown::Both);
            }
            _ => {
                thread::sleep(Duration::from_millis(2));
                drop(stream);
            }
        }
    }
    let mut wire = Wire::connect(house.address());
    wire.send(&scene.fill(&ask("GET", "/hello.txt", &[])));
    assert_eq!(wire.hear(false).map(|answer| answer.status), Ok(200), "{}", wire.transcript());
}
