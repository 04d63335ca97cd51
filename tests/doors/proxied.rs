//! Who somebody is that comes through a proxy, or by a Unix socket.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::{BINARY, Folder, PATIENCE, Running};

/// Starts a server that writes an access log.
fn start(folder: &Folder, words: &[&str]) -> Running {
    let usual = ["--listen", "127.0.0.1:0", "--access-log", "access", "--allow-host", "localhost"];
    Running::start(folder.command(BINARY, &[&usual, words].concat()))
}

/// What the access log says of whoever asked last: their address, method and status.
fn noted(folder: &Folder, path: &str) -> String {
    let latest = Instant::now() + PATIENCE;
    loop {
        let log = fs::read_to_string(folder.0.join("access")).unwrap_or_default();
        if let Some(line) = log.lines().rfind(|line| line.contains(path)) {
            return line.split(' ').next().unwrap_or_default().to_owned();
        }
        assert!(Instant::now() < latest, "{path} is never noted: {log}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 7.7.7.7\r\n\r\n")
}

/// What is answered to these pieces, sent a little apart, and then an end.
fn answer(server: &Running, pieces: &[&[u8]]) -> String {
    let mut client = TcpStream::connect(server.address()).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.set_nodelay(true).expect("at once");
    for piece in pieces {
        client.write_all(piece).expect("it reads");
        thread::sleep(Duration::from_millis(20));
    }
    let _ = client.shutdown(Shutdown::Write);
    let mut told = String::new();
    // A connection that is closed with bytes unread is reset: the same to us.
    let _ = client.read_to_string(&mut told);
    told
}

/// A header of version 2 for 9.9.9.8, or of the proxy itself.
fn second(command: u8) -> Vec<u8> {
    let fixed = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, 0x11, 0, 12]].concat();
    [&fixed[..], &[9, 9, 9, 8, 10, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb]].concat()
}

const FIRST: &[u8] = b"PROXY TCP4 9.9.9.9 10.0.0.1 1234 80\r\n";

#[test]
fn a_trusted_proxy_says_who_comes_ahead_of_everything_else() {
    let folder = Folder::new("proxied");
    let server = start(&folder, &["--proxy-protocol", "--trusted-proxy", "127.0.0.1"]);
    let (whole, local) = (second(1), second(0));
    let told = |path: &str, pieces: &[&[u8]]| {
        let request = get(path);
        let answered = answer(&server, &[pieces, &[request.as_bytes()]].concat());
        assert!(answered.starts_with("HTTP/1.1 404 "), "{path}: {answered:?}");
        noted(&folder, path)
    };
    assert_eq!(told("/one", &[FIRST]), "9.9.9.9", "and what its client says of others is not believed");
    assert_eq!(told("/two", &[&whole]), "9.9.9.8");
    assert_eq!(told("/cut", &[&FIRST[..9], &FIRST[9..]]), "9.9.9.9");
    assert_eq!(told("/bits", &[&whole[..3], &whole[3..15], &whole[15..20], &whole[20..]]), "9.9.9.8");
    assert_eq!(told("/itself", &[&local]), "7.7.7.7", "the proxy itself asks, and is believed");
    let together = [FIRST, get("/together").as_bytes()].concat();
    assert!(answer(&server, &[&together]).starts_with("HTTP/1.1 404 "));
    assert_eq!(noted(&folder, "/together"), "9.9.9.9");
}

#[test]
fn a_proxy_without_a_whole_header_is_not_answered() {
    let folder = Folder::new("proxied-not");
    let words = ["--proxy-protocol", "--trusted-proxy", "127.0.0.1", "--header-timeout", "3s"];
    let server = start(&folder, &words);
    let whole = second(1);
    for pieces in [&[get("/").as_bytes()][..], &[&FIRST[..20]], &[&whole[..14]], &[b"PROXY TCP4 a b c d\r\n"], &[b""]] {
        assert_eq!(answer(&server, pieces), "", "{pieces:?}");
    }
    // Who sends nothing more is let go in time, however many there are; and others are served meanwhile.
    let mut silent: Vec<_> = (0..300).map(|_| TcpStream::connect(server.address()).expect("it listens")).collect();
    for client in &mut silent {
        client.write_all(b"PROXY TCP4 9.9").expect("it is taken");
    }
    // Whom a busy machine keeps for longer than a head may take comes again.
    let is_served = || answer(&server, &[FIRST, get("/after").as_bytes()]).starts_with("HTTP/1.1 404 ");
    assert!((0..20).any(|_| is_served()), "nobody is served");
    for mut client in silent {
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let end = client.read(&mut [0; 16]);
        assert!(!matches!(end, Err(ref error) if error.kind() == std::io::ErrorKind::WouldBlock), "{end:?}");
    }
}

#[test]
fn a_strangers_header_is_a_mistake_and_a_stranger_is_served_without() {
    let folder = Folder::new("stranger");
    let server = start(&folder, &["--proxy-protocol", "--trusted-proxy", "10.0.0.0/8"]);
    for header in [FIRST, &second(1)] {
        let answered = answer(&server, &[header, get("/").as_bytes()]);
        assert!(answered.starts_with("HTTP/1.1 400 ") || answered.starts_with("HTTP/1.1 501 "), "{answered:?}");
        assert!(answered.contains("\r\nConnection: close\r\n"), "{answered:?}");
    }
    assert!(answer(&server, &[get("/direct").as_bytes()]).starts_with("HTTP/1.1 404 "));
    assert_eq!(noted(&folder, "/direct"), "127.0.0.1");
    let (code, said) = folder.refused(&["--proxy-protocol"]);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("set trusted-proxy"), "{said}");
}

#[test]
fn who_comes_by_a_unix_socket_is_this_machine_with_the_rights_of_the_network() {
    let folder = Folder::new("unix-rights");
    let words = ["--unix", "h.sock", "--trusted-proxy", "127.0.0.1", "--token", "a token of enough bytes"];
    let _server = start(&folder, &[&words[..], &["--log-file", "log"]].concat());
    let path = folder.0.join("h.sock");
    let say = |request: &str| ask_with(UnixStream::connect(&path).expect("it listens"), request);
    let rest = "Host: localhost\r\nConnection: close\r\n";
    let read = say(&format!("GET /messages HTTP/1.1\r\n{rest}\r\n"));
    assert!(read.starts_with("HTTP/1.1 200 "), "{read}");
    // What loopback defaults leave open to this machine's own people is not open here.
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nmessage=a";
    for (request, status) in [
        (format!("POST /send HTTP/1.1\r\n{rest}{form}"), "401"),
        (format!("GET /metrics HTTP/1.1\r\n{rest}\r\n"), "401"),
        (format!("GET /metrics HTTP/1.1\r\n{rest}Authorization: Bearer a token of enough bytes\r\n\r\n"), "200"),
    ] {
        let answered = say(&request);
        assert_eq!(answered.get(9..12), Some(status), "{request}{answered}");
    }
    // A proxy there is believed as one at 127.0.0.1 is.
    let form = "username=ada&password=wrong-password";
    let post = format!(
        "POST /login HTTP/1.1\r\n{rest}X-Forwarded-For: 7.7.7.7\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    assert_eq!(say(&post).get(9..12), Some("401"));
    let latest = Instant::now() + PATIENCE;
    while !fs::read_to_string(folder.0.join("log")).is_ok_and(|log| log.contains("user=ada address=7.7.7.7 ")) {
        assert!(Instant::now() < latest, "the failure is logged with the client's address");
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn ask_with(mut client: impl Read + Write, request: &str) -> String {
    client.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers and closes");
    answer
}
