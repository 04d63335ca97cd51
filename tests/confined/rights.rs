//! The program: how it says that it is confined, whom it becomes, and what goes on working.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Signal, geteuid};

use crate::place::{Folder, ask, wait_for};

/// Whether the kernel can confine, as the program itself says.
fn has_landlock(log: &str) -> bool {
    log.contains("Landlock ") && !log.contains("no Landlock")
}

#[test]
fn the_start_tells_how_the_process_is_confined() {
    let folder = Folder::new("told");
    let usual = folder.start(&[]);
    assert_eq!(usual.status("NoNewPrivs"), "1");
    let log = usual.log();
    assert!(log.contains("sandbox      best"), "{log}");
    let can = has_landlock(&log);
    drop(usual);
    let free = folder.start(&["--sandbox", "off"]);
    assert_eq!(free.status("NoNewPrivs"), "0");
    assert!(free.log().contains("sandbox      off      the process may do what its user may"), "{}", free.log());
    drop(free);
    let output = folder.command(&["--sandbox", "sometimes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    if can {
        let strict = folder.start(&["--sandbox", "require"]);
        assert!(strict.log().contains("reaches its own folders only"), "{}", strict.log());
    } else {
        let output = folder.command(&["--sandbox", "require"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(71), "{said}");
        assert!(said.contains("the kernel cannot confine this process"), "{said}");
    }
}

#[test]
fn uploads_chat_and_logs_that_were_moved_away_work_confined() {
    let folder = Folder::new("works");
    fs::create_dir(folder.0.join("logs")).unwrap();
    let words = ["--log-file", "logs/log", "--access-log", "logs/access", "--token-file", "token"];
    fs::write(folder.0.join("token"), "a token of enough bytes").unwrap();
    let server = folder.start(&words);
    let put =
        ask(server.address, "PUT /files/a.txt?create=1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    let got = ask(server.address, "GET /files/a.txt");
    assert!(got.ends_with("\r\n\r\nhello"), "{got}");
    let sent = ask(
        server.address,
        "POST /send\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nmessage=a",
    );
    assert!(sent.starts_with("HTTP/1.1 201 "), "{sent}");
    let found = ask(server.address, "GET /messages?q=a");
    assert!(found.starts_with("HTTP/1.1 200 "), "{found}");
    for log in ["log", "access"] {
        fs::rename(folder.0.join("logs").join(log), folder.0.join("logs").join(format!("{log}.1"))).unwrap();
    }
    server.signal(Signal::HUP);
    wait_for(
        || folder.0.join("logs/access").exists() && folder.0.join("logs/log").exists(),
        "both logs are begun anew",
    );
}

#[test]
fn root_becomes_somebody_else_once_its_addresses_are_bound() {
    let folder = Folder::new("user");
    let output = folder.command(&["--user", "nobody-of-this-name"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("there is no user nobody-of-this-name"), "{said}");
    if !geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let server = folder.start(&["--user", "nobody", "--log-file", "log"]);
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("nobody:")).expect("nobody is everywhere");
    let ids: Vec<&str> = line.split(':').collect();
    for (name, id) in [("Uid", ids[2]), ("Gid", ids[3])] {
        assert_eq!(server.status(name), [id; 4].join(" "), "{name}");
    }
    assert!(server.status("Groups").split(' ').all(|group| group == ids[3]), "{}", server.status("Groups"));
    assert_eq!(server.status("CapEff"), "0000000000000000");
    for made in ["uploads", "data", "log"] {
        assert_eq!(fs::metadata(folder.0.join(made)).unwrap().uid().to_string(), ids[2], "{made}");
    }
    let put =
        ask(server.address, "PUT /files/a.txt?create=1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    drop(server);
    let other = Folder::new("user-taken");
    fs::create_dir(other.0.join("data")).unwrap();
    let output = other.command(&["--user", "nobody"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("cannot write the folder"), "{said}");
}
