//! What is replaced, moved and removed.

use std::fs;
use std::thread;

use serde_json::json;

use crate::share::{BYTES, FORM, JSON, MULTIPART, Share, form, noise};

#[test]
fn a_put_replaces_or_creates_as_it_was_told() {
    let share = Share::open(&[]);
    share.plant("old", "old");
    share.plant("folder/x", "x");
    let put = |path: &str, fields: &[&str], body: &str| share.send(&format!("PUT /files/{path}"), fields, body);
    assert_eq!(put("new", &[], "1").status, 404);
    let made = put("new?create=1", &[], "1");
    assert_eq!((made.status, made.field("location")), (201, Some("/files/new")));
    assert_eq!((&made.json()["path"], &made.json()["size"]), (&json!("new"), &json!(1)));
    let replaced = put("new", &[], "22");
    assert_eq!((replaced.status, &replaced.json()["size"]), (200, &json!(2)));
    assert_eq!(replaced.field("etag"), share.get("/files/new").field("etag"));
    assert_eq!(put("new?create=1", &[], "333").status, 200);
    assert_eq!(put("deep/er/new?create=1", &[], "4").status, 201);
    for (path, fields, status, code) in [
        ("folder", &[][..], 409, "is_folder"),
        ("folder?create=1", &[], 409, "is_folder"),
        ("old/?create=1", &[], 409, "is_folder"),
        ("?create=1", &[], 409, "is_folder"),
        ("old/x?create=1", &[], 409, "not_a_folder"),
        ("~ada/x?create=1", &[], 404, "not_found"),
        (".hidden?create=1", &[], 404, "not_found"),
        ("old", &["If-None-Match: *"], 412, "precondition_failed"),
        ("old", &["If-Match: \"other\""], 412, "precondition_failed"),
        ("none?create=1", &["If-Match: *"], 412, "precondition_failed"),
        ("old", &["Content-Range: bytes 0-2/3"], 400, "content_range"),
        ("old", &["Content-Encoding: gzip"], 415, "encoded_body"),
    ] {
        let answer = put(path, fields, "x");
        assert!(answer.is(status, code), "{path} {fields:?}: {answer:?}");
    }
    assert!(share.ask("PUT /files/old", &[]).is(411, "length_required"));
    let long = format!("{}?create=1", "n".repeat(256));
    assert!(put(&long, &[], "x").is(400, "bad_name"));
    assert!(put(&format!("{}x?create=1", "d/".repeat(16)), &[], "x").is(400, "bad_name"));
    assert_eq!(put("only-new", &["If-None-Match: *"], "1").status, 201);
    assert_eq!(put("only-new", &["If-None-Match: *"], "2").status, 412);
    assert_eq!(share.send_chunked("PUT /files/old", &[BYTES], b"chunked", 3).status, 200);
    assert_eq!(share.read("old").unwrap(), b"chunked");
    share.comes_to_hold(&["deep/", "deep/er/", "deep/er/new", "folder/", "folder/x", "new", "old", "only-new"]);
}

#[test]
fn of_many_who_replace_what_they_have_seen_one_does() {
    let share = Share::open(&[]);
    share.plant("a", "0");
    for round in 0..10 {
        let seen = format!("If-Match: {}", share.get("/files/a").field("etag").unwrap());
        let answers: Vec<u16> = thread::scope(|scope| {
            let put = |sender: usize| {
                let body = noise(1000 * round + sender);
                share.send("PUT /files/a", &[&seen], body).status
            };
            let senders: Vec<_> = (1..5).map(|sender| scope.spawn(move || put(sender))).collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| [200, 412].contains(status)), "{answers:?}");
    }
}

#[test]
fn a_file_is_removed_and_a_folder_only_when_it_is_empty() {
    let share = Share::open(&[]);
    for path in ["a b", "b", "c", "folder/x"] {
        share.plant(path, "x");
    }
    let gone = share.ask("DELETE /files/a%20b", &[]);
    assert_eq!((gone.status, gone.json()), (200, json!({"status": "success", "deleted": "a b"})));
    assert!(share.ask("DELETE /files/a%20b", &[]).is(404, "not_found"));
    assert!(share.ask("DELETE /files/folder", &[]).is(409, "dir_not_empty"));
    assert!(share.ask("DELETE /files/b/", &[]).is(404, "not_found"));
    assert!(share.ask("DELETE /files/", &[]).is(404, "not_found"));
    assert!(share.ask("DELETE /files/b", &["If-Match: \"other\""]).is(412, "precondition_failed"));
    assert_eq!(share.send("POST /remove", &[JSON], r#"{"name":"b"}"#).json()["deleted"], "b");
    assert_eq!(share.send("POST /remove", &[FORM], "name=folder%2Fx").json()["deleted"], "folder/x");
    let page = share.send("POST /remove", &[FORM, "Accept: text/html"], "name=c");
    assert_eq!((page.status, page.field("location")), (303, Some("/")));
    assert_eq!(share.ask("DELETE /files/folder/", &[]).status, 200);
    for (body, status, code) in [
        (r#"{"name":"nothing"}"#, 404, "not_found"),
        (r#"{"name":".hidden"}"#, 404, "not_found"),
        (r#"{"name":"../x"}"#, 400, "bad_name"),
        (r#"{"name":""}"#, 400, "bad_name"),
        (r#"{"name":1}"#, 400, "bad_field"),
        (r#"{"name":"a","x":"b"}"#, 400, "bad_field"),
        ("{}", 400, "bad_field"),
        ("[]", 400, "invalid_json"),
    ] {
        let answer = share.send("POST /remove", &[JSON], body);
        assert!(answer.is(status, code), "{body}: {answer:?}");
    }
    assert_eq!(share.send("POST /remove", &["Content-Type: text/plain"], "a").status, 415);
    share.comes_to_hold(&[]);
}

#[test]
fn a_file_gets_another_name_or_another_place() {
    let share = Share::open(&[]);
    for path in ["a", "b", "f/x", "g/y"] {
        share.plant(path, path);
    }
    let patch = |path: &str, body: &str| share.send(&format!("PATCH /files/{path}"), &[JSON], body);
    let moved = patch("a", r#"{"name":"a2"}"#);
    assert_eq!((moved.status, &moved.json()["path"]), (200, &json!("a2")));
    assert_eq!(patch("a2", r#"{"path":"f/a3"}"#).json()["url"], "/files/f/a3");
    assert_eq!(patch("f/a3", r#"{"name":"~a4"}"#).json()["path"], "f/~a4");
    assert_eq!(patch("f/~a4", r#"{"path":"new/folder/a"}"#).status, 200);
    assert_eq!(patch("b?on_conflict=rename", r#"{"path":"g/y"}"#).json()["path"], "g/y (2)");
    assert_eq!(patch("g/y%20(2)?on_conflict=overwrite", r#"{"path":"g/y"}"#).json()["path"], "g/y");
    assert_eq!(share.read("g/y").unwrap(), b"b");
    assert_eq!(patch("g", r#"{"name":"h"}"#).json()["type"], "folder");
    let rename = |body: &str| share.send("POST /rename", &[JSON], body);
    assert_eq!(rename(r#"{"from":"h/y","to":"y"}"#).json()["path"], "y");
    assert_eq!(share.send("POST /rename", &[FORM], "from=y&to=z").json()["path"], "z");
    share.plant("w", "w");
    for (body, status, code) in [
        (r#"{"from":"z","to":"w"}"#, 409, "file_exists"),
        (r#"{"from":"z","to":"z"}"#, 409, "file_exists"),
        (r#"{"from":"z","to":"f"}"#, 409, "file_exists"),
        (r#"{"from":"z","to":"f","on_conflict":"overwrite"}"#, 409, "is_folder"),
        (r#"{"from":"f","to":"w","on_conflict":"overwrite"}"#, 409, "file_exists"),
        (r#"{"from":"f","to":"f/g"}"#, 400, "bad_name"),
        (r#"{"from":"z","to":"w/z"}"#, 409, "not_a_folder"),
        (r#"{"from":"nothing","to":"new2/x"}"#, 404, "not_found"),
        (r#"{"from":"z","to":"../z"}"#, 400, "bad_name"),
        (r#"{"from":"z","to":".z"}"#, 400, "bad_name"),
        (r#"{"from":"z","to":"~ada/z"}"#, 404, "not_found"),
        (r#"{"from":"z","to":""}"#, 400, "bad_name"),
        (r#"{"from":"~ada/z","to":"x"}"#, 404, "not_found"),
        (r#"{"from":"z"}"#, 400, "bad_field"),
        (r#"{"from":"z","to":"x","on_conflict":"maybe"}"#, 400, "bad_query"),
    ] {
        let answer = rename(body);
        assert!(answer.is(status, code), "{body}: {answer:?}");
    }
    for (body, status) in [
        (r#"{"name":"a/b"}"#, 400),
        (r#"{"name":"~z"}"#, 400),
        (r#"{"name":"a","path":"b"}"#, 400),
        ("{}", 400),
        (r#"{"name":"w"}"#, 409),
    ] {
        assert_eq!(patch("z", body).status, status, "{body}");
    }
    assert_eq!(share.send("PATCH /files/z", &[FORM], "name=x").status, 415);
    assert_eq!(share.send("PATCH /files/z", &[JSON, "If-Match: \"x\""], r#"{"name":"x"}"#).status, 412);
    share.comes_to_hold(&["f/", "f/x", "h/", "new/", "new/folder/", "new/folder/a", "w", "z"]);
}

#[test]
fn a_folder_is_made_once() {
    let share = Share::open(&[]);
    share.plant("a", "a");
    let make = |path: &str| share.send("POST /dirs", &[JSON], json!({"path": path}).to_string());
    assert_eq!(make("x/y").status, 201);
    share.comes_to_log("made the folder x/y, for 127.0.0.1\n");
    for (path, status, code) in [
        ("x/y", 409, "file_exists"),
        ("x", 409, "file_exists"),
        ("a", 409, "file_exists"),
        ("a/b", 409, "not_a_folder"),
        ("../b", 400, "bad_name"),
        ("~ada", 404, "not_found"),
        ("", 400, "bad_name"),
    ] {
        let answer = make(path);
        assert!(answer.is(status, code), "{path}: {answer:?}");
    }
    share.comes_to_hold(&["a", "x/", "x/y/"]);
}

#[test]
fn an_upload_heeds_the_conditions_of_its_request_as_every_other_change_does() {
    let share = Share::open(&[]);
    let one = form(&[("name=\"file\"; filename=\"a\"", b"new")]);
    let two = form(&[("name=\"file\"; filename=\"b\"", b"new"), ("name=\"file\"; filename=\"a\"", b"new")]);
    let ways: [(&str, &str, &[u8]); 4] = [
        ("POST /upload?name=a&on_conflict=", BYTES, b"new"),
        ("POST /upload?name=a&on_conflict=", JSON, b"{}"),
        ("POST /upload?on_conflict=", MULTIPART, &one),
        ("POST /upload?on_conflict=", MULTIPART, &two),
    ];
    for (line, kind, body) in ways {
        for word in ["error", "rename", "overwrite"] {
            let _ = fs::remove_file(share.folder().join("a"));
            share.plant("a", "old");
            let tag = share.get("/files/a").field("etag").expect("a tag").to_owned();
            for condition in ["If-Match: \"other\"", "If-None-Match: *", &format!("If-None-Match: {tag}")] {
                let answer = share.send(&format!("{line}{word}"), &[kind, condition], body);
                assert!(answer.is(412, "precondition_failed"), "{line}{word} {condition}: {answer:?}");
            }
            assert_eq!(share.all(), ["a"], "{line}{word}");
            assert_eq!(share.read("a").unwrap(), b"old");
        }
        // Of several each must be what it was taken for.
        if body == two {
            continue;
        }
        let tag = share.get("/files/a").field("etag").expect("a tag").to_owned();
        let answer = share.send(&format!("{line}overwrite"), &[kind, &format!("If-Match: {tag}")], body);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(share.send("POST /remove", &[JSON], r#"{"name":"a"}"#).status, 200);
        let answer = share.send(&format!("{line}error"), &[kind, "If-None-Match: *"], body);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert!(share.send("POST /upload", &[JSON, "If-Match: *"], "{}").is(412, "precondition_failed"));
    assert_eq!(share.send("POST /upload", &[JSON, "If-None-Match: *"], "{}").status, 201);
}

#[test]
fn a_query_that_says_one_thing_twice_or_nothing_known_changes_nothing() {
    let share = Share::open(&[]);
    for (line, kind, body) in [
        ("POST /upload?name=a&on_conflict=error&on_conflict=rename", BYTES, "x"),
        ("POST /upload?name=a&name=b", BYTES, "x"),
        ("POST /upload?name=a&on_conflict=", BYTES, "x"),
        ("PUT /files/a?create=yes", BYTES, "x"),
        ("PUT /files/a?create=1&create=0", BYTES, "x"),
        ("POST /rename?on_conflict=rename&on_conflict=error", JSON, r#"{"from":"a","to":"b"}"#),
        ("PATCH /files/a?on_conflict=Rename", JSON, r#"{"name":"b"}"#),
    ] {
        let answer = share.send(line, &[kind], body);
        assert!(answer.is(400, "bad_query"), "{line}: {answer:?}");
    }
    share.comes_to_hold(&[]);
    assert_eq!(share.send("PUT /files/a?create=0", &[BYTES], "x").status, 404);
    assert_eq!(share.send("PUT /files/a?create", &[BYTES], "x").status, 201);
}
