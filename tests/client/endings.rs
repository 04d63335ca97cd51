//! Each number that a command may end with, and the sentence that goes with it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::place::{House, Person};

#[test]
fn each_ending_has_the_number_of_the_contract() {
    let flags = ["--upload-limit", "1000", "--send-rate", "1/h burst 2"];
    let house = House::open_with("endings", &flags);
    let ada = house.person("ada");
    ada.file("a.txt", "one").file("large", vec![0; 5000]);
    std::fs::create_dir(ada.home.join("folder")).unwrap();
    ada.run("put a.txt").well();
    ada.run("mkdir full/sub").well();
    for (line, code, says) in [
        ("get nothing", 5, "nothing: "),
        ("get a.txt", 6, "a.txt is here already; -f overwrites it, -c goes on with it"),
        ("put a.txt", 6, "a.txt: it exists; -f overwrites"),
        ("put a.txt --as .hid", 1, ".hid: no name may begin with a dot"),
        ("put missing", 1, "cannot read missing"),
        ("put folder", 1, "is a folder"),
        ("put -", 2, "--as gives it one"),
        ("update a.txt nothing", 5, "nothing: "),
        ("put large", 7, "large: "),
        ("rm full", 6, "full: "),
        ("rm nothing", 5, "nothing: "),
        ("mv nothing else", 5, "nothing: "),
        ("mkdir full", 6, "full: "),
        ("info nothing", 5, "nothing: "),
        ("ls nothing", 5, ""),
        ("info ../x", 4, ""),
        ("ls --lnog", 2, "there is no flag --lnog; the nearest is --long"),
        ("get", 2, ""),
        ("send", 2, ""),
        ("ls --url ftp://a", 2, "is no URL of a server"),
        ("login ada", 2, "HYTHE_PASSWORD_FILE"),
        ("register", 2, "a name is needed"),
        ("reset ada", 2, "--code-file"),
        ("logout", 4, "nobody is signed in"),
        ("passwd", 4, "nobody is signed in"),
        ("ls -p", 4, "nobody is signed in"),
        ("client", 2, "the menu is for a terminal"),
        ("ls --url http://127.0.0.1:1", 3, "nobody answers at http://127.0.0.1:1"),
        ("chat --url http://127.0.0.1:1", 3, "nobody answers"),
        ("tail --url http://127.0.0.1:1", 3, "nobody answers"),
        ("put a.txt --url http://127.0.0.1:1", 3, "nobody answers"),
    ] {
        ada.run(line).ends(code, says);
    }
    #[cfg(feature = "tls")]
    ada.run(&format!("ls --url {}", ada.url.replace("http:", "https:"))).ends(3, "the server does not speak TLS there");
    let ada = ada.with("HYTHE_TOKEN", "wrong-and-wrong-again");
    ada.run("ls").ends(4, "");
    let ada = house.person("bob");
    ada.run("send one").well();
    ada.run("send two").well();
    ada.run("send three").ends(8, "try again in");
}

#[test]
fn several_are_all_tried_and_the_last_failure_gives_the_number() {
    let house = House::open("several");
    let ada = house.person("ada");
    ada.file("a.txt", "one").file("b.txt", "two");
    let told = ada.run("put -d x missing a.txt b.txt");
    assert_eq!((told.code, told.out.as_str()), (1, "x/a.txt  3 B\nx/b.txt  3 B\n"));
    let told = ada.run("rm x/none x/a.txt x/other");
    assert_eq!((told.code, told.err.lines().count()), (5, 2), "{}", told.err);
    assert_eq!(ada.run("ls x").well(), "b.txt\n");
}

#[test]
fn a_server_that_wants_a_token_is_told_from_one_that_is_not_there() {
    let house = House::open_with("token", &["--shared-read", "operator", "--token", "a-token-of-many-bytes"]);
    let ada = house.person("ada");
    ada.run("ls").ends(4, "");
    ada.with("HYTHE_TOKEN", "a-token-of-many-bytes").run("ls").well();
}

/// Answers each connection with the same bytes.
fn rubbish(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
            let _ = stream.flush();
            // What still comes is taken, so that the answer is not lost to a reset.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
        }
    });
    url
}

#[test]
fn no_command_takes_rubbish_for_an_answer() {
    for (name, answer) in [
        ("page", &b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"[..]),
        ("noise", b"\x00\xff\x1b[31mnoise\r\n\r\n"),
    ] {
        let ada = Person::at(&format!("rubbish-all-{name}"), &rubbish(answer)).with("HYTHE_TOKEN", "hyt_of-nobody");
        ada.file("a.txt", "one")
            .file("a.json", "{}")
            .file("password", "correct horse\n")
            .file("new", "battery staple\n");
        for line in [
            "register ada --password-file password",
            "login ada --password-file password",
            "whoami",
            "passwd --password-file password --new-password-file new",
            "reset ada --code-file password --new-password-file new",
            "ls",
            "info a.txt",
            "put a.txt",
            "update a.txt",
            "mv a.txt b.txt",
            "rm a.txt",
            "mkdir x",
            "json a.json",
            "send hello",
            "tail --once",
            "chat",
            "status",
        ] {
            let told = ada.run(line);
            assert_eq!(told.code, 9, "{name}, {line}: {} {}", told.out, told.err);
            assert!(told.err.starts_with("hythe: ") && !told.err.contains("panicked"), "{name}, {line}: {}", told.err);
            assert!(!told.err.contains('\x1b'), "{name}, {line}: {:?}", told.err);
        }
    }
}

#[test]
fn a_server_that_answers_rubbish_is_told_in_one_sentence() {
    for (name, answer, line, code) in [
        ("ssh", &b"SSH-2.0-OpenSSH_9.2\r\n"[..], "ls", 9),
        ("nothing", b"", "ls", 3),
        ("html", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "ls", 9),
        ("array", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "status", 9),
        ("short", b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n{\"files\":[", "ls", 10),
        ("elsewhere", b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n", "ls", 1),
        ("gateway", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "ls", 9),
        ("cut-file", b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\nfirst", "get a.txt", 10),
        ("chat", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "chat", 9),
        ("lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}", "ls", 9),
    ] {
        let ada = Person::at(&format!("rubbish-{name}"), &rubbish(answer));
        let told = ada.run(line);
        assert_eq!(told.code, code, "{name}: {}", told.err);
        assert!(told.err.starts_with("hythe: ") && !told.err.contains("panicked"), "{name}: {}", told.err);
    }
}
