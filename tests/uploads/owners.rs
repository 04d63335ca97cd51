//! Whose the files are: who may change what in the shared area, and homes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rusqlite::{Connection, params};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::share::{BYTES, JSON, MULTIPART, Share, form};
use crate::wire::{Answer, comes_to_be};

const OPERATOR: &str = "an-operators-token-0123456789";
const PEOPLE: [(i64, &str, bool); 3] = [(7, "ada", false), (8, "bob", false), (9, "root", true)];

/// A share with three accounts, each with a token: its name.
fn inhabited(flags: &[&str]) -> Share {
    let mut share = Share::open(&[&["--token", OPERATOR], flags].concat());
    // This is answered when the ledger is open.
    assert_eq!(share.get("/messages").status, 200);
    share.house.kill();
    let database = Connection::open(share.house.folder().join("data/hythe.db")).unwrap();
    for (id, name, is_admin) in PEOPLE {
        let sql = "INSERT INTO accounts (id, name, password, is_admin, made) VALUES (?1, ?2, '', ?3, 0)";
        database.execute(sql, params![id, name, is_admin]).unwrap();
        let sql = "INSERT INTO tokens (account, secret, label, scopes, made) VALUES (?1, ?2, 'test', 15, 0)";
        database.execute(sql, params![id, Sha256::digest(name).as_slice()]).unwrap();
    }
    drop(database);
    share.house.restart();
    assert_eq!(share.get("/messages").status, 200);
    share
}

/// What somebody shows; nothing for a guest.
fn shows(who: &str) -> String {
    match who {
        "" => "X-Nobody: at all".into(),
        "operator" => format!("Authorization: Bearer {OPERATOR}"),
        who => format!("Authorization: Bearer {who}"),
    }
}

fn put(share: &Share, who: &str, path: &str, body: &str) -> Answer {
    share.send(&format!("PUT /files/{path}?create=1"), &[BYTES, &shows(who)], body)
}

fn ask(share: &Share, who: &str, line: &str) -> Answer {
    share.ask(line, &[&shows(who)])
}

#[test]
fn a_file_is_changed_by_its_owner_and_by_who_looks_after_the_place() {
    let share = inhabited(&[]);
    let made = put(&share, "ada", "d/a", "1");
    assert_eq!((made.status, &made.json()["owner"]), (201, &json!("ada")), "{made:?}");
    assert_eq!(share.get("/file-info/d/a").json()["owner"], "ada");
    assert_eq!(share.get("/file-list?prefix=d").json()["files"][0]["owner"], "ada");
    let file = form(&[("name=\"dir\"", b"d"), ("name=\"file\"; filename=\"a\"", b"x")]);
    for who in ["", "bob"] {
        let by = shows(who);
        for (answer, what) in [
            (put(&share, who, "d/a", "2"), "PUT"),
            (share.send("PUT /files/d/a", &[&by], "2"), "PUT without create"),
            (ask(&share, who, "DELETE /files/d/a"), "DELETE"),
            (ask(&share, who, "DELETE /files/d"), "DELETE of its folder"),
            (share.send("POST /remove", &[JSON, &by], r#"{"name":"d/a"}"#), "remove"),
            (share.send("POST /rename", &[JSON, &by], r#"{"from":"d/a","to":"x"}"#), "rename"),
            (share.send("POST /rename", &[JSON, &by], r#"{"from":"d","to":"x"}"#), "rename of its folder"),
            (share.send("PATCH /files/d/a", &[JSON, &by], r#"{"name":"x"}"#), "PATCH"),
            (share.send("POST /upload?on_conflict=overwrite", &[MULTIPART, &by], &file), "form"),
        ] {
            assert!(answer.is(403, "not_owner"), "{what} by {who}: {answer:?}");
        }
        let kept = share.send("POST /upload?on_conflict=rename", &[MULTIPART, &by], &file);
        assert_eq!(kept.status, 201, "what is new is nobody's loss");
    }
    share.plant("found", "found");
    assert_eq!(put(&share, "bob", "b", "b").status, 201);
    for (name, body) in [("b", "{}"), ("b", "1")] {
        let kind = if body == "{}" { JSON } else { BYTES };
        let answer =
            share.send(&format!("POST /upload?name={name}&on_conflict=overwrite"), &[kind, &shows("ada")], body);
        assert!(answer.is(403, "not_owner"), "{answer:?}");
    }
    let over =
        share.send("POST /rename", &[JSON, &shows("ada")], r#"{"from":"d/a","to":"b","on_conflict":"overwrite"}"#);
    assert!(over.is(403, "not_owner"), "what is there is bob's: {over:?}");
    assert_eq!(share.read("d/a").unwrap(), b"1");
    assert_eq!(share.read("b").unwrap(), b"b");
    for who in ["ada", "root", "operator"] {
        assert_eq!(put(&share, who, "d/a", who).status, 200, "{who}");
        assert_eq!(share.get("/file-info/d/a").json()["owner"], "ada", "who looks after it takes nothing away");
    }
    assert_eq!(put(&share, "operator", "new", "x").json()["owner"], json!(null));
    assert!(share.get("/file-info/found").json()["owner"].is_null());
    let moved = share.send("PATCH /files/d/a", &[JSON, &shows("ada")], r#"{"path":"e/a"}"#);
    assert_eq!((moved.status, &moved.json()["owner"]), (200, &json!("ada")));
    assert!(ask(&share, "", "DELETE /files/e/a").is(403, "not_owner"));
    assert!(put(&share, "", "d/a", "a guest's").status == 201, "the old name is free");
    assert_eq!(put(&share, "bob", "d/a", "anyone may change what a guest made").status, 200);
    assert_eq!(ask(&share, "ada", "DELETE /files/e/a").status, 200);
    assert_eq!(put(&share, "", "e/a", "a guest's").json()["owner"], json!(null), "who made it has gone with it");
}

#[test]
fn of_two_who_want_one_name_at_once_the_one_who_wrote_what_lies_there_owns_it() {
    let share = inhabited(&[]);
    let mut both = 0;
    for number in 0..60 {
        let path = format!("d{number}");
        let (ada, bob) = std::thread::scope(|scope| {
            let ada = scope.spawn(|| {
                let fields = [BYTES, &shows("ada"), "If-None-Match: *"];
                share.send(&format!("PUT /files/{path}"), &fields, "ada")
            });
            let line = format!("POST /upload?name={path}&on_conflict=overwrite");
            let bob = share.send(&line, &[BYTES, &shows("bob")], "bob");
            (ada.join().unwrap(), bob)
        });
        both += u32::from(ada.status == 201 && bob.status == 201);
        assert!(matches!(ada.status, 201 | 403 | 412) && matches!(bob.status, 201 | 403), "{ada:?} {bob:?}");
        let owner = share.get(&format!("/file-info/{path}")).json()["owner"].clone();
        assert_eq!(share.read(&path).unwrap(), owner.as_str().unwrap().as_bytes());
    }
    assert_eq!(both, 0, "nobody replaces what another has just made");
}

#[test]
fn owners_are_known_after_a_restart_and_go_with_their_folder() {
    let mut share = inhabited(&[]);
    assert_eq!(put(&share, "ada", "d/e/a", "1").status, 201);
    assert_eq!(share.send("POST /dirs", &[JSON, &shows("ada")], r#"{"path":"mine"}"#).status, 201);
    let moved = share.send("POST /rename", &[JSON, &shows("ada")], r#"{"from":"d","to":"mine/d"}"#);
    assert_eq!(moved.status, 200, "{moved:?}");
    share.house.kill_and_restart();
    assert_eq!(share.get("/file-info/mine/d/e/a").json()["owner"], "ada");
    for line in ["DELETE /files/mine/d/e/a", "DELETE /files/mine"] {
        assert!(ask(&share, "", line).is(403, "not_owner"), "{line}");
    }
}

#[test]
fn where_writing_is_for_users_what_has_no_owner_is_for_who_looks_after_the_place() {
    let share = inhabited(&["--shared-write", "user"]);
    share.plant("found", "found");
    assert!(put(&share, "", "x", "x").is(401, "unauthorized"));
    assert_eq!(put(&share, "ada", "mine", "x").status, 201);
    assert!(put(&share, "ada", "found", "x").is(403, "not_owner"));
    assert!(ask(&share, "bob", "DELETE /files/mine").is(403, "not_owner"));
    assert_eq!(put(&share, "root", "found", "x").status, 200);
    assert_eq!(ask(&share, "ada", "DELETE /files/mine").status, 200);
    let twice = form(&[("name=\"file\"; filename=\"a\"", b"1"), ("name=\"file\"; filename=\"a\"", b"2")]);
    let stored = share.send("POST /upload?on_conflict=overwrite", &[MULTIPART, &shows("ada")], &twice);
    assert_eq!(stored.status, 201, "the first of them is hers: {stored:?}");
    assert_eq!((share.read("a").unwrap(), &share.get("/file-info/a").json()["owner"]), (b"2".to_vec(), &json!("ada")));
}

#[test]
fn a_home_is_there_for_its_owner_alone() {
    let share = inhabited(&[]);
    assert_eq!(ask(&share, "ada", "GET /file-list?prefix=~ada").json()["files"], json!([]));
    let made = put(&share, "ada", "~ada/d/a.txt", "secret");
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.field("location"), Some("/files/~ada/d/a.txt"));
    let file = made.json();
    assert_eq!(
        (&file["path"], &file["owner"], &file["name"]),
        (&json!("~ada/d/a.txt"), &json!("ada"), &json!("a.txt"))
    );
    let home = share.house.folder().join("data/home/7");
    assert_eq!(fs::read(home.join("d/a.txt")).unwrap(), b"secret");
    for who in ["", "bob", "root", "operator"] {
        let by = shows(who);
        for line in [
            "GET /files/~ada/d/a.txt",
            "HEAD /files/~ada/d/a.txt",
            "GET /files/~ada/nothing",
            "GET /files/~ada?archive=tar",
            "GET /file-info/~ada/d/a.txt",
            "GET /file-list?prefix=~ada/d",
            "DELETE /files/~ada/d/a.txt",
        ] {
            assert_eq!(ask(&share, who, line).status, 404, "{line} by {who}");
        }
        assert_eq!(put(&share, who, "~ada/d/a.txt", "x").status, 404);
        assert_eq!(share.send("PATCH /files/~ada/d/a.txt", &[JSON, &by], r#"{"name":"b"}"#).status, 404);
        for body in [r#"{"name":"~ada/d/a.txt"}"#, r#"{"name":"~ada/nothing"}"#] {
            assert_eq!(share.send("POST /remove", &[JSON, &by], body).status, 404);
        }
        assert_eq!(share.send("POST /rename", &[JSON, &by], r#"{"from":"~ada/d/a.txt","to":"x"}"#).status, 404);
    }
    let got = ask(&share, "ada", "GET /files/~ada/d/a.txt");
    assert_eq!((got.status, got.body.as_slice()), (200, &b"secret"[..]));
    assert_eq!(got.field("cache-control"), Some("private, no-cache"));
    assert_eq!(ask(&share, "ada", "GET /file-info/~ada/d/a.txt").json()["path"], "~ada/d/a.txt");
    let list = ask(&share, "ada", "GET /file-list?prefix=~ada").json();
    assert_eq!((&list["dirs"], &list["files"]), (&json!(["d"]), &json!([])));
    let found = ask(&share, "ada", "GET /file-list?prefix=~ada&q=A.TXT").json();
    assert_eq!(found["files"][0]["path"], "~ada/d/a.txt");
    let archive = ask(&share, "ada", "GET /files/~ada?archive=tar");
    assert_eq!(archive.field("content-disposition"), Some("attachment; filename=\"ada.tar\""));
    let moved = share.send("POST /rename", &[JSON, &shows("ada")], r#"{"from":"~ada/d/a.txt","to":"~ada/b.txt"}"#);
    assert_eq!(moved.json()["path"], "~ada/b.txt");
    assert_eq!(share.send("POST /dirs", &[JSON, &shows("ada")], r#"{"path":"~ada/new"}"#).json()["dir"], "~ada/new");
    assert!(share.send("POST /dirs", &[JSON, &shows("ada")], r#"{"path":"~ada"}"#).is(400, "bad_name"));
    assert_eq!(ask(&share, "ada", "DELETE /files/~ada").status, 404, "a home is not a folder in it");
    assert_eq!(ask(&share, "ada", "DELETE /files/~ada/b.txt").json()["deleted"], "~ada/b.txt");
    let shared = share.get("/file-list").json();
    assert_eq!((&shared["dirs"], &shared["files"]), (&json!([]), &json!([])), "nothing of it is seen");
    share.comes_to_hold(&[]);
}

fn rename(share: &Share, who: &str, from: &str, to: &str, on_conflict: &str) -> Answer {
    let body = json!({"from": from, "to": to, "on_conflict": on_conflict}).to_string();
    share.send("POST /rename", &[JSON, &shows(who)], body)
}

#[test]
fn what_moves_between_a_home_and_the_shared_area_belongs_to_who_moved_it() {
    let mut share = inhabited(&[]);
    let home = share.house.folder().join("data/home/7");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(put(&share, "ada", "~ada/d/e/a", "1").status, 201);
    assert_eq!(put(&share, "ada", "~ada/one", "one").status, 201);
    let out = rename(&share, "ada", "~ada/one", "new/one", "error");
    assert_eq!((out.status, &out.json()["path"], &out.json()["owner"]), (200, &json!("new/one"), &json!("ada")));
    assert_eq!(rename(&share, "ada", "~ada/d", "d", "error").status, 200);
    assert_eq!(
        mode(&share.folder().join("d/e/a")),
        0o644 & mode(&share.folder()),
        "others on this machine may read it"
    );
    assert_eq!(mode(&share.folder().join("d/e")), 0o755 & mode(&share.folder()));
    share.comes_to_hold(&["d/", "d/e/", "d/e/a", "new/", "new/one"]);
    for path in ["new", "new/one", "d", "d/e", "d/e/a"] {
        assert!(ask(&share, "bob", &format!("DELETE /files/{path}")).is(403, "not_owner"), "{path}");
    }
    share.house.kill_and_restart();
    assert_eq!(share.get("/file-info/d/e/a").json()["owner"], "ada");

    assert_eq!(put(&share, "ada", "~ada/one", "private").status, 201);
    assert!(rename(&share, "ada", "new/one", "~ada/one", "error").is(409, "file_exists"));
    let kept = rename(&share, "ada", "new/one", "~ada/one", "rename");
    assert_eq!((kept.status, &kept.json()["path"]), (200, &json!("~ada/one (2)")));
    assert_eq!(rename(&share, "ada", "~ada/one (2)", "one", "error").status, 200);
    let over = share.send("PATCH /files/one?on_conflict=overwrite", &[JSON, &shows("ada")], r#"{"path":"~ada/one"}"#);
    assert_eq!((over.status, &over.json()["owner"]), (200, &json!("ada")));
    assert_eq!(fs::read(home.join("one")).unwrap(), b"one");
    assert_eq!((mode(&home.join("one")), mode(&home)), (0o600, 0o700), "and here they may not");
    assert_eq!(rename(&share, "ada", "d", "~ada/back/d", "error").status, 200);
    assert_eq!((mode(&home.join("back/d/e")), mode(&home.join("back/d/e/a"))), (0o700, 0o600));
    assert!(share.get("/file-info/d/e/a").is(404, "not_found"));
    assert_eq!(put(&share, "bob", "d/e/a", "bob's").json()["owner"], "bob", "the path is anybody's again");
    assert_eq!(ask(&share, "ada", "GET /files/~ada/back/d/e/a").body, b"1");
}

#[test]
fn nobody_moves_what_is_not_theirs_into_a_home_or_out_of_one() {
    let share = inhabited(&[]);
    assert_eq!(put(&share, "ada", "~ada/a", "ada's").status, 201);
    for path in ["b", "d/b"] {
        assert_eq!(put(&share, "bob", path, "bob's").status, 201);
    }
    assert_eq!(put(&share, "", "guests", "x").status, 201);
    for (who, from, to, on_conflict, status, code) in [
        ("ada", "b", "~ada/b", "error", 403, "not_owner"),
        ("ada", "d", "~ada/d", "error", 403, "not_owner"),
        ("ada", "~ada/a", "b", "error", 409, "file_exists"),
        ("ada", "~ada/a", "b", "overwrite", 403, "not_owner"),
        ("ada", "~ada/a", "d", "overwrite", 403, "not_owner"),
        ("ada", "~ada/a", "~bob/a", "error", 404, "not_found"),
        ("ada", "~ada", "home", "error", 404, "not_found"),
        ("ada", "b", "~ada", "error", 400, "bad_name"),
        ("ada", "~ada/nothing", "nothing", "error", 404, "not_found"),
        ("bob", "~ada/a", "a", "error", 404, "not_found"),
        ("", "guests", "~ada/x", "error", 404, "not_found"),
        ("operator", "~ada/a", "a", "error", 404, "not_found"),
        ("operator", "b", "~operator/b", "error", 404, "not_found"),
    ] {
        let answer = rename(&share, who, from, to, on_conflict);
        assert!(answer.is(status, code), "{who}: {from} to {to}, {on_conflict}: {answer:?}");
    }
    assert_eq!(ask(&share, "ada", "GET /files/~ada/a").body, b"ada's");
    share.comes_to_hold(&["b", "d/", "d/b", "guests"]);
    assert_eq!(rename(&share, "ada", "guests", "~ada/guests", "error").status, 200, "what a guest made is anybody's");
    assert_eq!(rename(&share, "root", "b", "~root/b", "error").status, 200, "an admin may change all that is shared");
    assert_eq!(share.get("/file-info/b").status, 404);

    let share = inhabited(&["--shared-write", "operator"]);
    assert_eq!(put(&share, "ada", "~ada/a", "1").status, 201);
    share.plant("found", "x");
    assert_eq!(rename(&share, "ada", "~ada/a", "a", "error").status, 403, "where nobody may write");
    assert_eq!(rename(&share, "ada", "found", "~ada/found", "error").status, 403, "nothing is taken away either");
    assert_eq!(rename(&share, "ada", "~ada/a", "~ada/b", "error").status, 200);
}

#[test]
fn a_folder_goes_nowhere_with_what_is_not_its_owners() {
    let share = inhabited(&["--shared-write", "user"]);
    assert_eq!(put(&share, "ada", "d/e/a", "ada's").status, 201);
    assert_eq!(put(&share, "operator", "d/e/kept", "the operator's").status, 201);
    for (from, to) in [("d", "x"), ("d/e", "x"), ("d", "~ada/d"), ("d/e", "~ada/e")] {
        let answer = rename(&share, "ada", from, to, "error");
        assert!(answer.is(403, "not_owner"), "{from} to {to}: {answer:?}");
    }
    share.comes_to_hold(&["d/", "d/e/", "d/e/a", "d/e/kept"]);
    assert_eq!(rename(&share, "root", "d", "x", "error").status, 200);
    assert_eq!(ask(&share, "operator", "DELETE /files/x/e/kept").status, 200);
    assert_eq!(rename(&share, "ada", "x", "~ada/x", "error").status, 200, "all that is there is hers");
}

#[test]
fn no_folder_moves_deeper_than_a_path_may_go_and_a_deep_one_goes_with_its_home() {
    let mut share = inhabited(&[]);
    let deep = ["a"; 15].join("/");
    assert_eq!(put(&share, "ada", &format!("~ada/{deep}"), "x").status, 201);
    for (from, to) in [("~ada/a", "~ada/b/a"), ("~ada/a/a", "~ada/b/b/a")] {
        assert!(rename(&share, "ada", from, to, "error").is(400, "bad_name"), "{from} to {to}");
    }
    assert_eq!(rename(&share, "ada", "~ada/a/a", "~ada/b/a", "error").status, 200, "no deeper than it was");
    assert_eq!(rename(&share, "ada", "~ada/b", "b", "error").status, 200);
    // One that came otherwise may be so deep that no helper's stack holds it.
    let home = share.house.folder().join("data/home/7");
    fs::create_dir_all(home.join(["d"; 1900].join("/"))).unwrap();
    share.house.kill();
    let database = Connection::open(share.house.folder().join("data/hythe.db")).unwrap();
    database.execute("UPDATE accounts SET gone = 1 WHERE id = 7", []).unwrap();
    drop(database);
    share.house.restart();
    assert!(comes_to_be(|| !home.exists()), "{}", share.house.log());
}

#[test]
fn nobody_takes_home_what_they_may_not_read() {
    let share = inhabited(&["--shared-read", "operator"]);
    assert_eq!(put(&share, "", "given", "a guest's").status, 201);
    assert!(ask(&share, "ada", "GET /files/given").is(403, "forbidden"));
    assert!(rename(&share, "ada", "given", "~ada/given", "error").is(403, "forbidden"));
    let patch = share.send("PATCH /files/given", &[JSON, &shows("ada")], r#"{"path":"~ada/given"}"#);
    assert!(patch.is(403, "forbidden"), "{patch:?}");
    assert_eq!(rename(&share, "ada", "given", "moved", "error").status, 200, "but it may be changed");
    assert_eq!(rename(&share, "root", "moved", "~root/given", "error").status, 200);
}

#[test]
fn a_form_and_an_upload_in_pieces_may_be_private() {
    let share = inhabited(&[]);
    let (one, two) = ("name=\"file\"; filename=\"one\"", "name=\"file\"; filename=\"two\"");
    for parts in [
        [("name=\"private\"", &b"1"[..]), (one, b"11"), (two, b"22"), ("name=\"dir\"", b"d")],
        [(one, b"11"), (two, b"22"), ("name=\"dir\"", b"d"), ("name=\"private\"", b"1")],
        [(one, b"11"), ("name=\"dir\"", b"d"), ("name=\"private\"", b"1"), (two, b"22")],
    ] {
        let fields = [MULTIPART, &shows("ada")];
        let answer = share.send("POST /upload?on_conflict=overwrite", &fields, form(&parts));
        let files = answer.json()["files"].clone();
        assert_eq!(
            (answer.status, &files[0]["path"], &files[1]["path"]),
            (201, &json!("~ada/d/one"), &json!("~ada/d/two"))
        );
        assert_eq!(ask(&share, "ada", "GET /files/~ada/d/two").body, b"22");
    }
    let twice = form(&[("name=\"private\"", b"1"), ("name=\"private\"", b"1"), (one, b"1")]);
    assert!(share.send("POST /upload", &[MULTIPART, &shows("ada")], twice).is(400, "bad_field"));
    let private = form(&[("name=\"private\"", b"1"), (one, b"1")]);
    assert!(share.send("POST /upload", &[MULTIPART, &shows("operator")], private).is(403, "no_home"));
    share.comes_to_hold(&[]);
    let tus = ["Tus-Resumable: 1.0.0", "Upload-Length: 5", "Upload-Metadata: filename YQ==,private MQ=="];
    let begun = share.send("POST /tus", &[&tus[..], &[&shows("ada")]].concat(), "");
    let place = begun.field("location").unwrap().to_owned();
    let piece = ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0"];
    for who in ["", "bob", "operator"] {
        let head = share.ask(&format!("HEAD {place}"), &["Tus-Resumable: 1.0.0", &shows(who)]);
        assert_eq!(head.status, 404, "{who}");
        assert_eq!(share.send(&format!("PATCH {place}"), &[&piece[..], &[&shows(who)]].concat(), "hello").status, 404);
    }
    let last = share.send(&format!("PATCH {place}"), &[&piece[..], &[&shows("ada")]].concat(), "hello");
    assert_eq!((last.status, last.field("content-location")), (204, Some("/files/~ada/a")), "{last:?}");
    assert_eq!(ask(&share, "ada", "GET /files/~ada/a").body, b"hello");
}

#[test]
fn who_wishes_for_privacy_in_whatever_words_is_never_published() {
    let share = inhabited(&[]);
    let file = form(&[("name=\"file\"; filename=\"form\"", b"form")]);
    let both = form(&[("name=\"private\"", b"1"), ("name=\"file\"; filename=\"both\"", b"both")]);
    for (line, kind, body, path) in [
        ("POST /upload?name=raw&private=1", BYTES, &b"raw"[..], "~ada/raw"),
        ("POST /upload?name=bare&private", BYTES, b"bare", "~ada/bare"),
        ("POST /upload?name=~odd&private=1", BYTES, b"odd", "~ada/~odd"),
        ("POST /upload?name=json&private=1", JSON, b"{}", "~ada/json"),
        ("POST /upload?private=1", MULTIPART, &file, "~ada/form"),
        ("POST /upload?private=1", MULTIPART, &both, "~ada/both"),
        ("POST /upload?name=raw&private=1&on_conflict=rename", BYTES, b"raw", "~ada/raw (2)"),
        ("POST /upload?name=raw&private=1&on_conflict=overwrite", BYTES, b"new", "~ada/raw"),
    ] {
        let answer = share.send(line, &[kind, &shows("ada")], body);
        let document = answer.json();
        let file = if kind == MULTIPART { &document["files"][0] } else { &document["file"] };
        assert_eq!((answer.status, &file["path"], &file["owner"]), (201, &json!(path), &json!("ada")), "{line}");
        if kind != MULTIPART {
            assert_eq!(answer.field("location"), document["filepath"].as_str());
        }
        let got = ask(&share, "ada", &format!("GET {}", file["url"].as_str().unwrap()));
        assert_eq!(got.status, 200, "{line}");
    }
    let unnamed = share.send("POST /upload?private=1", &[JSON, &shows("ada")], "{}");
    assert!(unnamed.json()["file"]["path"].as_str().unwrap().starts_with("~ada/upload_"), "{unnamed:?}");
    let tus = ["Tus-Resumable: 1.0.0", "Upload-Length: 0", "Upload-Metadata: filename YQ==,private"];
    let whole = share.send("POST /tus", &[&tus[..], &[&shows("ada")]].concat(), "");
    assert_eq!(whole.field("content-location"), Some("/files/~ada/a"), "{whole:?}");
    for (who, status, code) in [("", 401, "unauthorized"), ("operator", 403, "no_home")] {
        for (line, kind) in [
            ("POST /upload?name=x&private=1", BYTES),
            ("POST /upload?private", JSON),
            ("POST /upload?private=1", MULTIPART),
        ] {
            let answer = share.send(line, &[kind, &shows(who)], if kind == MULTIPART { &file } else { &b"{}"[..] });
            assert!(answer.is(status, code), "{line} by {who}: {answer:?}");
        }
    }
    for private in ["private=yes", "private=1&private=0", "private=0&private"] {
        let answer = share.send(&format!("POST /upload?name=x&{private}"), &[BYTES, &shows("ada")], "x");
        assert!(answer.is(400, "bad_query"), "{private}: {answer:?}");
    }
    assert!(share.send("POST /upload?name=~x", &[BYTES, &shows("ada")], "x").is(400, "bad_name"));
    share.comes_to_hold(&[]);
    assert_eq!(share.send("POST /upload?name=x&private=0", &[BYTES, &shows("ada")], "x").status, 201);
    share.comes_to_hold(&["x"]);

    let share = inhabited(&["--shared-write", "operator"]);
    assert_eq!(
        share.send("POST /upload?name=x&private=1", &[BYTES, &shows("ada")], "x").status,
        201,
        "at home one may"
    );
    assert_eq!(share.send("POST /upload?name=x", &[BYTES, &shows("ada")], "x").status, 403);
}

#[test]
fn an_upload_in_pieces_does_not_replace_what_is_not_ones_own() {
    let share = inhabited(&[]);
    assert_eq!(put(&share, "ada", "a", "ada's").status, 201);
    let tus = ["Tus-Resumable: 1.0.0", "Upload-Length: 5", "Upload-Metadata: filename YQ==,on_conflict b3ZlcndyaXRl"];
    let begin = |who: &str| share.send("POST /tus", &[&tus[..], &[&shows(who)]].concat(), "");
    assert!(begin("bob").is(403, "not_owner"));
    assert_eq!(ask(&share, "ada", "DELETE /files/a").status, 200);
    let place = begin("bob").field("location").unwrap().to_owned();
    assert_eq!(put(&share, "ada", "a", "ada's").status, 201);
    let piece = ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0"];
    let last = share.send(&format!("PATCH {place}"), &[&piece[..], &[&shows("bob")]].concat(), "hello");
    assert!(last.field("content-location").is_some_and(|path| path.starts_with("/files/a%20")), "{last:?}");
    assert_eq!(share.read("a").unwrap(), b"ada's");
    assert_eq!(share.get("/file-info/a%20(2)").json()["owner"], "bob");
}

#[test]
fn nobody_has_more_than_their_quota() {
    let mut share = inhabited(&[]);
    assert_eq!(share.get("/messages").status, 200);
    share.house.kill();
    let database = Connection::open(share.house.folder().join("data/hythe.db")).unwrap();
    database.execute("UPDATE accounts SET quota = 1000 WHERE name = 'ada'", []).unwrap();
    drop(database);
    share.house.restart();
    assert_eq!(share.get("/messages").status, 200);
    let body = "x".repeat(600);
    assert_eq!(put(&share, "ada", "~ada/a", &body).status, 201);
    assert!(put(&share, "ada", "b", &body).is(507, "over_quota"));
    let chunked = share.send_chunked("PUT /files/b?create=1", &[BYTES, &shows("ada")], body.as_bytes(), 100);
    assert!(chunked.is(507, "over_quota"), "{chunked:?}");
    assert_eq!(put(&share, "ada", "b", &body[..400]).status, 201);
    assert!(put(&share, "ada", "c", "x").is(507, "over_quota"), "the shared files count too");
    assert_eq!(put(&share, "bob", "c", &body).status, 201);
    let tus = ["Tus-Resumable: 1.0.0", "Upload-Length: 5", &shows("ada")];
    assert!(share.send("POST /tus", &tus, "").is(507, "over_quota"));
    // What only moves counts no more than before; what becomes hers does.
    assert_eq!(rename(&share, "ada", "b", "~ada/b", "error").status, 200);
    assert_eq!(rename(&share, "ada", "~ada/b", "b", "error").status, 200);
    for path in ["guests", "d/guests"] {
        assert_eq!(put(&share, "", path, "x").status, 201);
    }
    for (from, to) in [("guests", "~ada/guests"), ("d", "~ada/d")] {
        assert!(rename(&share, "ada", from, to, "error").is(507, "over_quota"), "{from}");
    }
    assert_eq!(ask(&share, "ada", "DELETE /files/~ada/a").status, 200);
    assert_eq!(rename(&share, "ada", "guests", "~ada/guests", "error").status, 200);
    assert_eq!(put(&share, "ada", "c2", &body[1..]).status, 201);
    share.comes_to_hold(&["b", "c", "c2", "d/", "d/guests"]);
}

#[test]
fn pieces_count_together_and_so_does_what_comes_at_once() {
    let share = inhabited(&["--quota", "1000"]);
    let (ada, version, media) = (shows("ada"), "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream");
    let begun = share.send("POST /tus", &[version, "Upload-Defer-Length: 1", &ada], "");
    assert_eq!(begun.status, 201, "{begun:?}");
    let line = format!("PATCH {}", begun.field("location").unwrap());
    let piece = |offset: usize, more: &str, length: usize| {
        let offset = format!("Upload-Offset: {offset}");
        share.send(&line, &[version, media, &offset, more, &ada], "x".repeat(length))
    };
    assert_eq!(piece(0, "X-None: 1", 600).status, 204);
    assert!(piece(600, "X-None: 1", 600).is(507, "over_quota"));
    assert_eq!(piece(600, "X-None: 1", 400).status, 204);
    assert!(put(&share, "ada", "a", "x").is(507, "over_quota"), "what is unfinished counts");
    assert_eq!(piece(1000, "Upload-Length: 1000", 0).status, 204);

    let one = form(&[("name=\"file\"; filename=\"form\"", &[b'x'; 600])]);
    let body = [b'x'; 600];
    let ways: [(&str, &str, &[u8]); 3] = [
        ("PUT /files/put?create=1", BYTES, &body),
        ("POST /upload?name=raw&private=1", BYTES, &body),
        ("POST /upload", MULTIPART, &one),
    ];
    let bob = shows("bob");
    let mut wires = ways.map(|(line, kind, body)| {
        let mut wire = share.connect();
        let length = format!("Content-Length: {}", body.len());
        wire.send(&share.head(line, &[kind, &bob, &length, "Expect: 100-continue"]));
        (wire.hear(false).unwrap(), wire)
    });
    // The first is let begin, and counts from then on.
    assert_eq!(wires[0].0.status, 100, "{:?}", wires[0].0);
    for (answer, _) in &wires[1..] {
        assert!(answer.is(507, "over_quota"), "{answer:?}");
    }
    let chunked = || share.send_chunked("PUT /files/chunked?create=1", &[BYTES, &bob], &[b'x'; 600], 100);
    assert!(chunked().is(507, "over_quota"), "of which nobody knows how long it will be");
    wires[0].1.send(ways[0].2);
    assert_eq!(wires[0].1.hear(false).unwrap().status, 201);
    assert!(chunked().is(507, "over_quota"));
    // What replaces one's own needs no more room than it adds.
    assert_eq!(put(&share, "bob", "put", &"y".repeat(1000)).status, 200);
    assert!(put(&share, "bob", "put", &"y".repeat(1001)).is(507, "over_quota"));
    let raw = share.send("POST /upload?name=put&on_conflict=overwrite", &[BYTES, &bob], [b'z'; 1000]);
    assert_eq!(raw.status, 201, "{raw:?}");
    let json = format!("\"{}\"", "j".repeat(998));
    assert_eq!(share.send("POST /upload?name=put&on_conflict=overwrite", &[JSON, &bob], json).status, 201);
    // One that breaks off counts no more.
    assert_eq!(ask(&share, "bob", "DELETE /files/put").status, 200);
    let mut wire = share.connect();
    let fields = [BYTES, &bob, "Content-Length: 1000", "Expect: 100-continue"];
    wire.send(&share.head("PUT /files/half?create=1", &fields));
    assert_eq!(wire.hear(false).unwrap().status, 100);
    let is_full = || put(&share, "bob", "a", "x").is(507, "over_quota");
    assert!(is_full(), "it counts");
    drop(wire);
    assert!(comes_to_be(|| !is_full()), "and does no more");
}

#[test]
fn a_piece_that_is_refused_for_want_of_room_on_the_disk_does_not_count() {
    let share = inhabited(&["--quota", "1000TiB", "--upload-limit", "1000TiB", "--min-free", "1"]);
    let (ada, version, media) = (shows("ada"), "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream");
    let begun = share.send("POST /tus", &[version, "Upload-Defer-Length: 1", &ada], "");
    let line = format!("PATCH {}", begun.field("location").unwrap());
    let most = (1000u64 << 40) - 10;
    let length = format!("Content-Length: {most}");
    let fields = [version, media, "Upload-Offset: 0", "Expect: 100-continue", &ada, &length];
    assert!(share.ask(&line, &fields).is(507, "storage_full"));
    let answer = put(&share, "ada", "probe", "more than ten bytes");
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn an_upload_in_pieces_counts_from_the_first_moment_until_it_is_gone() {
    let mut share = inhabited(&["--quota", "1000"]);
    let (ada, version, media) = (shows("ada"), "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream");
    let begin = |share: &Share, fields: &[&str]| {
        let begun = share.send("POST /tus", &[&[version, &ada], fields].concat(), "");
        begun.field("location").map(str::to_owned).ok_or(begun)
    };
    let piece = |share: &Share, place: &str, offset: usize, length: usize| {
        let offset = format!("Upload-Offset: {offset}");
        share.send(&format!("PATCH {place}"), &[version, media, &offset, &ada], "x".repeat(length))
    };
    let fits = |share: &Share, bytes: usize| {
        let answer = share.send("PUT /files/probe?create=1", &[BYTES, &ada], "x".repeat(bytes));
        if answer.status == 201 {
            assert_eq!(ask(share, "ada", "DELETE /files/probe").status, 200);
        } else {
            assert!(answer.is(507, "over_quota"), "{answer:?}");
        }
        answer.status == 201
    };
    // One of a known length counts by that, and the next finds what is left.
    let first = begin(&share, &["Upload-Length: 600", "Upload-Metadata: filename Zmlyc3Q="]).unwrap();
    assert!(begin(&share, &["Upload-Length: 401"]).unwrap_err().is(507, "over_quota"));
    let second = begin(&share, &["Upload-Defer-Length: 1"]).unwrap();
    assert!(fits(&share, 400) && !fits(&share, 401));
    assert_eq!(piece(&share, &second, 0, 300).status, 204);
    assert!(fits(&share, 100) && !fits(&share, 101), "one of an unknown length by what has come");
    assert!(piece(&share, &second, 300, 101).is(507, "over_quota"));
    assert!(fits(&share, 100), "what was not let come does not count");
    // All of it counts after a kill as it did before.
    share.house.kill_and_restart();
    assert!(fits(&share, 100) && !fits(&share, 101));
    assert_eq!(put(&share, "bob", "bobs", &"x".repeat(1000)).status, 201, "for its maker alone");
    // It has its room: what is promised comes, whatever else was tried.
    assert_eq!(piece(&share, &first, 0, 600).status, 204);
    assert!(fits(&share, 100) && !fits(&share, 101), "it counts once, now that it has its place");
    assert_eq!(ask(&share, "ada", "DELETE /files/first").status, 200);
    assert!(fits(&share, 700) && !fits(&share, 701));
    assert_eq!(share.ask(&format!("DELETE {second}"), &[version, &ada]).status, 204);
    assert!(fits(&share, 1000));
    // A piece in chunks grows with what comes, and one that breaks off counts for what has come.
    let third = begin(&share, &["Upload-Defer-Length: 1"]).unwrap();
    let fields = [version, media, "Upload-Offset: 0", &ada];
    let chunked = share.send_chunked(&format!("PATCH {third}"), &fields, &[b'x'; 500], 100);
    assert_eq!(chunked.status, 204, "{chunked:?}");
    assert!(fits(&share, 500) && !fits(&share, 501));
    let mut wire = share.connect();
    let fields = [version, media, "Upload-Offset: 500", &ada, "Content-Length: 500", "Expect: 100-continue"];
    wire.send(&share.head(&format!("PATCH {third}"), &fields));
    assert_eq!(wire.hear(false).unwrap().status, 100);
    assert!(!fits(&share, 1), "it counts while it comes");
    wire.send(&[b'x'; 200]);
    wire.end_our_half();
    assert!(comes_to_be(|| fits(&share, 300)), "and then for what has come");
    assert!(!fits(&share, 301));
}

#[test]
fn what_a_deleted_account_has_left_unfinished_goes_with_its_home() {
    let share = inhabited(&[]);
    let metadata = "Upload-Metadata: filename YQ==,private MQ==";
    for (who, metadata) in [("ada", metadata), ("ada", "Upload-Metadata: filename YQ=="), ("bob", metadata)] {
        let fields = ["Tus-Resumable: 1.0.0", "Upload-Length: 5", metadata, &shows(who)];
        assert_eq!(share.send("POST /tus", &fields, "").status, 201);
    }
    let homes = share.house.folder().join("data/home/.hythe-tus");
    let count = |folder: &std::path::Path| fs::read_dir(folder).map_or(0, Iterator::count);
    let before = (count(&homes), count(&share.folder().join(".hythe-tus")));
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    assert_eq!(ask(&share, "operator", "DELETE /admin/users/ada").status, 200);
    let is_gone = || (count(&homes), count(&share.folder().join(".hythe-tus"))) == (before.0 / 2, 0);
    assert!(comes_to_be(is_gone), "{} and {}", count(&homes), count(&share.folder().join(".hythe-tus")));
}

#[test]
fn of_a_deleted_account_the_home_goes_and_the_shared_files_belong_to_nobody() {
    let mut share = inhabited(&[]);
    assert_eq!(put(&share, "ada", "~ada/d/secret", "x").status, 201);
    assert_eq!(put(&share, "ada", "shared", "x").status, 201);
    share.house.kill();
    let database = Connection::open(share.house.folder().join("data/hythe.db")).unwrap();
    database.execute("UPDATE accounts SET gone = 1 WHERE name = 'ada'", []).unwrap();
    drop(database);
    share.house.restart();
    assert_eq!(share.get("/file-info/shared").json()["owner"], json!(null));
    assert!(put(&share, "bob", "shared", "y").is(403, "not_owner"));
    assert_eq!(put(&share, "root", "shared", "y").status, 200);
    share.comes_to_log("the home of account 7, which is gone, was removed");
    assert!(!share.house.folder().join("data/home/7").exists());
}

#[test]
fn the_home_of_a_deleted_account_does_not_come_back_with_what_was_still_coming() {
    let share = inhabited(&[]);
    let home = share.house.folder().join("data/home/7");
    assert_eq!(put(&share, "ada", "~ada/a", "x").status, 201);
    let mut wire = share.connect();
    let fields = [BYTES, &shows("ada"), "Content-Length: 4", "Expect: 100-continue"];
    wire.send(&share.head("PUT /files/~ada/late?create=1", &fields));
    assert_eq!(wire.hear(false).unwrap().status, 100);
    assert_eq!(ask(&share, "operator", "DELETE /admin/users/ada").status, 200);
    share.comes_to_log("the home of account 7, which is gone, was removed");
    wire.send(b"late");
    assert!(wire.hear(false).unwrap().is(404, "not_found"));
    assert!(!home.exists());
}

#[test]
fn who_replaces_their_file_before_the_ledger_has_kept_that_it_is_theirs_waits() {
    let share = inhabited(&["--shared-write", "user"]);
    let database = Connection::open(share.house.folder().join("data/hythe.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| put(&share, "ada", "a", "1"));
        share.comes_to_hold(&["a"]);
        let second = scope.spawn(|| put(&share, "ada", "a", "2"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        database.execute_batch("ROLLBACK").unwrap();
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_eq!((first.status, second.status), (201, 200), "{first:?} {second:?}");
    });
}

#[test]
fn what_gets_no_place_leaves_no_folder_behind_that_is_nobodys() {
    let share = inhabited(&["--shared-write", "user"]);
    let twice = |dir: &str| {
        form(&[
            ("name=\"dir\"", dir.as_bytes()),
            ("name=\"file\"; filename=\"a\"", b"1"),
            ("name=\"file\"; filename=\"a\"", b"2"),
        ])
    };
    let ada = shows("ada");
    let refused = share.send("POST /upload", &[MULTIPART, &ada], twice("new/d/e"));
    assert!(refused.is(409, "file_exists"), "{refused:?}");
    share.comes_to_hold(&[]);
    // Others use the same folders in the same moments: theirs get their places, and each folder that stays is somebody's.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..40 {
                    let form = twice(&format!("d{}/e", round % 3));
                    assert!(share.send("POST /upload", &[MULTIPART, &ada], form).is(409, "file_exists"));
                }
            });
        }
        scope.spawn(|| {
            for round in 0..120 {
                let made = put(&share, "bob", &format!("d{}/e/{round}", round % 3), "x");
                assert_eq!(made.status, 201, "{made:?}");
                if round % 2 == 0 {
                    assert_eq!(ask(&share, "bob", &format!("DELETE /files/d{}/e/{round}", round % 3)).status, 200);
                }
            }
        });
    });
    for path in share.all().iter().rev() {
        let path = path.trim_end_matches('/');
        let gone = ["bob", "ada"].map(|who| ask(&share, who, &format!("DELETE /files/{path}")).status);
        assert!(gone.contains(&200), "{path} is nobody's: {gone:?}");
    }
    share.comes_to_hold(&[]);
}
