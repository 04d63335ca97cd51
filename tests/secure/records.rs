//! Records and handshakes, whole and in pieces.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use crate::client::{Client, HEALTH, HEALTHY, config, socket, usual};
use crate::house::{self, House};
use crate::keys::{self, Folder, make};
use crate::wire::comes_to_be;

fn open(name: &str, more: &[&str]) -> (House, Folder) {
    let folder = Folder::new(name);
    let pair = make(&folder.0, "localhost", "localhost", 90);
    let flags = keys::flags(&[&pair]);
    let flags = flags.iter().map(String::as_str).chain(["--shared-write", "anyone"]).chain(more.iter().copied());
    let flags: Vec<&str> = flags.collect();
    (House::open(&flags), folder)
}

#[test]
fn both_versions_are_spoken_and_a_session_is_taken_up_again() {
    let (house, _folder) = open("versions", &["--hsts", "1h"]);
    for version in [&TLS12, &TLS13] {
        let config = config(&[version], &["h2", "http/1.1"]);
        for round in 0..2 {
            let mut client = Client::new(house.address(), config.clone(), "localhost");
            let answer = client.ask(HEALTH, HEALTHY);
            assert!(
                answer.contains("200 OK") && answer.contains("Strict-Transport-Security: max-age=3600\r\n"),
                "{answer}"
            );
            assert_eq!(client.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
            let kind = client.conn.handshake_kind();
            assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), round == 1, "{version:?}: {kind:?}");
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_several_in_one_record() {
    let (house, _folder) = open("pieces", &["--keepalive-requests", "0"]);
    let mut client = Client::new(house.address(), usual(), "localhost");
    // The client's first words byte by byte; then all that follows.
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).expect("into memory");
    for byte in &hello {
        client.socket.write_all(&[*byte]).expect("the server reads");
    }
    client.shake().expect("hands are shaken");
    for byte in client.records(HEALTH.as_bytes()) {
        client.socket.write_all(&[byte]).expect("the server reads");
    }
    let (heard, _) = client.hear_until(|heard| heard.ends_with(HEALTHY.as_bytes()));
    assert!(heard.starts_with(b"HTTP/1.1 200"));
    let ten = HEALTH.repeat(10);
    client.send(ten.as_bytes());
    let count = |heard: &[u8]| String::from_utf8_lossy(heard).matches(HEALTHY).count();
    let (heard, _) = client.hear_until(|heard| count(heard) == 10);
    assert_eq!(count(&heard), 10);
}

#[test]
fn a_large_file_goes_up_and_comes_down_whole_also_to_a_slow_reader() {
    let (house, _folder) = open("large", &[]);
    let content: Vec<u8> = (0..9_000_001u32).map(|at| (at % 251) as u8 ^ (at / 4096) as u8).collect();
    let mut client = Client::connect(house.address());
    let head = format!(
        "PUT /files/large.bin?create=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    client.send(head.as_bytes());
    client.send(&content);
    let (heard, _) = client.hear_until(|heard| heard.ends_with(b"}"));
    let stored = fs::read(house.folder().join("uploads/large.bin"));
    assert!(heard.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&heard));
    assert!(stored.expect("it is there") == content);
    client.send(b"GET /files/large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    // The server's records pile up before anything is read: the kernel takes a part of one and not the rest.
    thread::sleep(Duration::from_millis(300));
    let (heard, was_told) = client.hear_until(|_| false);
    assert!(was_told, "the end is told by a close_notify");
    let body = memchr::memmem::find(&heard, b"\r\n\r\n").expect("a head") + 4;
    assert_eq!(heard.len() - body, content.len());
    assert!(heard[body..] == content, "every byte is in its place");
}

#[test]
fn pages_and_static_files_are_the_same_as_without() {
    let (house, _folder) = open("same", &[]);
    let mut client = Client::connect(house.address());
    client.send(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (heard, was_told) = client.hear_until(|_| false);
    assert!(was_told && heard.ends_with(&house::big()), "{} bytes came", heard.len());
}

#[test]
fn the_cookie_of_a_session_is_for_encrypted_connections_only() {
    let (house, _folder) = open("cookie", &["--signup", "open"]);
    let mut client = Client::connect(house.address());
    let mut post = |target: &str| {
        let body = r#"{"username":"ada","password":"correct horse battery"}"#;
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        client.ask(&request, "}")
    };
    let answer = post("/register");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let answer = post("/login");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect("a cookie");
    assert!(cookie.starts_with("__Host-hythe=") && cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn who_speaks_plain_http_is_told_so() {
    let (house, _folder) = open("plain", &[]);
    let mut client = socket(house.address());
    client.write_all(HEALTH.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it closes");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("https://"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("a problem document");
    assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"https_required".into()));
    // It carries what any other refusal does.
    let names = |answer: &str| -> BTreeSet<String> {
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let mut client = Client::connect(house.address());
    client.send(b"GET /nowhere HTTP/1.1\r\n\r\n");
    let (other, _) = client.hear_until(|_| false);
    let other = String::from_utf8_lossy(&other).into_owned();
    assert!(other.starts_with("HTTP/1.1 400 "), "{other}");
    assert_eq!(names(&answer), names(&other));
}

#[test]
fn who_speaks_plain_http_at_length_reads_why_it_is_refused() {
    let (house, _folder) = open("long", &[]);
    for _ in 0..5 {
        let mut client = socket(house.address());
        let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n";
        client.write_all(head.as_bytes()).expect("the server reads");
        for _ in 0..40 {
            client.write_all(&[b'x'; 100_000]).expect("it goes on reading");
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("no reset takes the answer away");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn a_thousand_half_open_handshakes_stand_in_nobodys_way() {
    let (house, _folder) = open("half", &["--header-timeout", "8s"]);
    let mut hello = Vec::new();
    Client::new(house.address(), usual(), "localhost").conn.write_tls(&mut hello).expect("into memory");
    // Half of them say half a word, the other half a whole one and then nothing.
    let halves: Vec<TcpStream> = (0..1_000)
        .map(|at| {
            let mut half = socket(house.address());
            let said = if at % 2 == 0 { &hello[..hello.len() / 2] } else { &hello[..] };
            half.write_all(said).expect("the server reads");
            half
        })
        .collect();
    // As long as the last half a word is waited for, others are served meanwhile and not afterwards.
    let last = &halves[halves.len() - 2];
    let mut meanwhile = 0;
    for _ in 0..20 {
        assert!(Client::connect(house.address()).ask(HEALTH, HEALTHY).ends_with(HEALTHY));
        last.set_nonblocking(true).unwrap();
        meanwhile += u32::from(last.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        last.set_nonblocking(false).unwrap();
    }
    assert!(meanwhile > 0, "nobody was served while they waited");
    // Their time is that of a head; then they are closed.
    for mut half in halves {
        let mut rest = Vec::new();
        let ended = half.read_to_end(&mut rest);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn broken_records_end_one_connection_and_no_other() {
    let (house, _folder) = open("broken", &[]);
    let mut other = Client::connect(house.address());
    let mut hello = Vec::new();
    Client::new(house.address(), usual(), "localhost").conn.write_tls(&mut hello).expect("into memory");
    for at in 0..hello.len().min(120) {
        let mut broken = hello.clone();
        broken[at] ^= 0x5a;
        let mut client = socket(house.address());
        client.write_all(&broken).expect("the server reads");
        client.shutdown(std::net::Shutdown::Write).expect("our half ends");
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
    }
    // Within a session: a record that was changed on the way, one that is cut off, one that claims too much.
    for change in 0..3 {
        let mut client = Client::connect(house.address());
        let mut records = client.records(HEALTH.as_bytes());
        match change {
            0 => *records.last_mut().expect("a record") ^= 1,
            1 => records.truncate(records.len() - 3),
            _ => records[3] = 0xff,
        }
        client.socket.write_all(&records).expect("the server reads");
        client.socket.shutdown(std::net::Shutdown::Write).expect("our half ends");
        let mut answer = Vec::new();
        let _ = client.socket.read_to_end(&mut answer);
    }
    assert!(other.ask(HEALTH, HEALTHY).ends_with(HEALTHY));
}

#[test]
fn an_idle_encrypted_connection_keeps_little() {
    let (house, _folder) = open("idle", &["--keepalive", "60s"]);
    // Anonymous memory: pages of code come and go with what runs, and are no connection's.
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", house.process())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default().to_owned();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or(0) << 10
    };
    let config = config(&[&TLS13], &["http/1.1"]);
    let open = |count: usize| -> Vec<Client> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = Client::new(house.address(), config.clone(), "localhost");
            assert!(client.ask(HEALTH, HEALTHY).ends_with(HEALTHY));
            clients.push(client);
        }
        clients
    };
    let _first = open(50);
    // What a start leaves to its helpers takes memory too, and is no connection's.
    let mut before = resident();
    let latest = Instant::now() + Duration::from_secs(10);
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = resident();
        if now == before || Instant::now() > latest {
            break;
        }
        before = now;
    }
    let idle = open(1_000);
    let each = resident().saturating_sub(before) / idle.len();
    println!("an idle encrypted connection has {each} bytes");
    assert!(each <= 6 << 10, "{each} bytes each");
}

#[test]
fn a_proxys_word_on_its_client_comes_ahead_of_the_handshake() {
    let (house, folder) =
        open("proxied", &["--proxy-protocol", "--trusted-proxy", "127.0.0.1", "--access-log", "access"]);
    let mut client = Client::new(house.address(), usual(), "localhost");
    client.socket.write_all(b"PROXY TCP6 2001:db8::9 ::1 1234 443\r\n").expect("it is taken");
    client.shake().expect("hands are shaken behind it");
    assert!(client.ask(HEALTH, HEALTHY).ends_with(HEALTHY));
    let noted = || fs::read_to_string(house.folder().join("access")).is_ok_and(|log| log.starts_with("2001:db8::9 "));
    assert!(comes_to_be(noted), "the client is noted");
    let mut plain = Client::new(house.address(), usual(), "localhost");
    assert!(plain.shake().is_err(), "a handshake without the header is not answered");
    drop(folder);
}
