//! Each command that needs no account, as a script sees it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::place::{House, wait_until};

#[test]
fn files_are_put_listed_told_moved_replaced_and_removed() {
    let house = House::open("files");
    let ada = house.person("ada");
    ada.file("a b.txt", "one").file("c.txt", "three");
    assert_eq!(ada.command(&["put", "a b.txt"]).output().unwrap().stdout, b"a b.txt  3 B\n");
    assert_eq!(ada.run("put c.txt --as trips/may/c.txt").well(), "trips/may/c.txt  5 B\n");
    assert_eq!(ada.run("put -d deep/er c.txt").well(), "deep/er/c.txt  5 B\n");
    assert_eq!(ada.run("put c.txt second.txt").well(), "second.txt  5 B\n");
    assert_eq!(ada.run("ls").well(), "deep/\ntrips/\na b.txt\nsecond.txt\n");
    assert_eq!(ada.run("ls trips/may/").well(), "c.txt\n");
    assert_eq!(ada.run("ls --find c.t").well().lines().count(), 2);
    assert!(ada.run("ls --long").well().contains("       3 B  20"));
    assert!(ada.run("info trips/may/c.txt").well().contains("size      5\n"));
    assert_eq!(ada.run("mv trips/may/c.txt trips/").well(), "trips/may/c.txt is now trips/c.txt\n");
    assert_eq!(ada.run_with("update - trips/c.txt", b"new").well(), "trips/c.txt  3 B\n");
    assert_eq!(ada.run("get trips/c.txt -").bytes, b"new");
    assert_eq!(ada.run("mkdir empty also/empty").well().lines().count(), 2);
    ada.run("rm trips/c.txt trips/may trips").well();
    assert_eq!(ada.run("ls").well(), "also/\ndeep/\nempty/\na b.txt\nsecond.txt\n");
}

#[test]
fn with_json_each_result_is_one_object_a_line() {
    let house = House::open("json");
    let ada = house.person("ada");
    ada.file("a.txt", "one");
    for line in ["put a.txt --json", "info a.txt --json", "--json ls", "mv a.txt b.txt --json", "-q --json ls"] {
        let told = ada.run(line);
        let object = &told.objects()[0];
        assert_eq!((told.code, object["size"].as_u64()), (0, Some(3)), "{line} {}", told.err);
    }
    ada.run("mkdir x").well();
    assert_eq!(ada.run("ls --json").objects()[0], json!({"name": "x", "path": "x", "type": "folder"}));
    assert_eq!(ada.run("rm b.txt --json").objects()[0]["deleted"], "b.txt");
    assert_eq!(ada.run("send hi --json").objects()[0]["message"], "hi");
    assert_eq!(ada.run("tail --once --json").objects()[0]["id"], 1);
    let status = &ada.run("status --json").objects()[0];
    assert_eq!((status["status"].as_str(), status["limits"]["json_limit"].as_u64()), (Some("ok"), Some(1 << 20)));
    assert_eq!(ada.run_with("json - --json", b"{}").objects()[0]["size"], 2);
}

#[test]
fn a_document_is_stored_byte_for_byte() {
    let house = House::open("document");
    let ada = house.person("ada");
    ada.file("d.json", "{\"a\": 1}\n");
    assert_eq!(ada.run("json d.json --as kept.json").well(), "kept.json  9 B\n");
    assert_eq!(ada.run("get kept.json -").bytes, b"{\"a\": 1}\n");
    ada.run_with("json -", b"{").ends(1, "stdin: ");
}

#[test]
fn what_is_said_is_heard_by_who_follows() {
    let house = House::open("said");
    let ada = house.person("ada");
    assert!(ada.run("send -n ada one and two").well().ends_with(" (ada) one and two\n"));
    assert!(ada.run_with("send -", b"from\nstdin\n").well().ends_with("from\n      stdin\n"));
    let mut child = ada.command(&["tail", "--since", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("from"));
    assert!(lines.next().unwrap().unwrap().ends_with("stdin"));
    ada.run("send -n bob later").well();
    assert!(lines.next().unwrap().unwrap().ends_with("(bob) later"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_chat_without_a_terminal_says_its_input_and_prints_what_it_hears() {
    let house = House::open("plain-chat");
    let ada = house.person("ada");
    let bob = house.person("bob");
    let mut listening = bob.command(&["chat", "-n", "bob"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut heard = BufReader::new(listening.stdout.take().unwrap()).lines();
    let who = || ureq::get(format!("{}/who", house.url)).call().unwrap().into_body().read_to_string().unwrap();
    wait_until("bob", || who().contains("bob"));
    let told = ada.run_with("chat -n ada", b"Hello\n//not a command\n/who\n");
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("(ada) Hello") && told.out.contains("(ada) /not a command"), "{}", told.out);
    assert!(
        told.out.contains("2 here: ada, bob") || told.err.contains("2 here: ada, bob"),
        "{} {}",
        told.out,
        told.err
    );
    for says in ["(ada) Hello", "(ada) /not a command"] {
        let line = heard.next().unwrap().unwrap();
        assert!(line.ends_with(says), "{line}");
    }
    drop(listening.stdin.take());
    let mut status = None;
    wait_until("the end of the chat", || {
        status = listening.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn nothing_that_a_server_says_reaches_a_terminal_as_a_command() {
    let house = House::open("escapes");
    let ada = house.person("ada");
    std::fs::write(house.folder.join("server/uploads/a\u{202e}b"), "x").unwrap();
    assert_eq!(ada.run("ls").well(), "a\\u{202e}b\n");
}
