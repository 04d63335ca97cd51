//! What comes in: JSON, forms, bytes; and all that must leave nothing behind.

use std::thread;
use std::time::Duration;

use crate::share::{BYTES, JSON, MULTIPART, Share, form, noise};

#[test]
fn json_is_stored_byte_for_byte_under_a_name_of_its_own() {
    let share = Share::open(&[]);
    let body = " {\"a\": [1,\t2]}\n";
    let answer = share.send("POST /upload", &[JSON], body);
    assert_eq!(answer.status, 201);
    let said = answer.json();
    let path = said["file"]["path"].as_str().unwrap();
    let middle = path.strip_prefix("upload_20").and_then(|rest| rest.strip_suffix(".json")).unwrap();
    let (time, random) = middle.rsplit_once("Z_").unwrap();
    assert!(time.len() == 13 && time.as_bytes()[6] == b'T', "{path}");
    assert!(random.len() == 8 && random.bytes().all(|digit| digit.is_ascii_hexdigit()), "{path}");
    assert_eq!(answer.field("location"), said["filepath"].as_str());
    assert_eq!(said["filepath"], format!("/files/{path}"));
    assert_eq!(said["status"], "success");
    assert!(said["message"].is_string());
    assert_eq!(said["file"]["size"], body.len());
    assert_eq!(said["file"]["type"], "application/json");
    assert!(said["file"]["owner"].is_null());
    assert_eq!(share.read(path).unwrap(), body.as_bytes());
    assert_eq!(share.get(said["filepath"].as_str().unwrap()).body, body.as_bytes());
    share.comes_to_log(&format!("stored {path}, {} bytes, for 127.0.0.1\n", body.len()));
    let names: Vec<_> = (0..20).map(|_| share.send("POST /upload", &[JSON], "1").json()["filepath"].clone()).collect();
    assert!(names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)), "{names:?}");
    assert_eq!(share.send("POST /upload?name=a.json", &[JSON], "1").json()["file"]["path"], "a.json");
    assert!(share.send("POST /upload?name=a.json", &[JSON], "2").is(409, "file_exists"));
    assert_eq!(share.read("a.json").unwrap(), b"1");
}

#[test]
fn what_is_no_json_is_not_stored() {
    let share = Share::open(&["--json-limit", "1000"]);
    let deep = "[".repeat(100_000);
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("{", 400, "invalid_json"),
        ("{} x", 400, "invalid_json"),
        (&deep[..129], 400, "invalid_json"),
        (&deep, 413, "too_large"),
    ] {
        let answer = share.send("POST /upload", &[JSON], body);
        assert!(answer.is(status, code), "{} bytes: {answer:?}", body.len());
    }
    assert!(share.send_chunked("POST /upload", &[JSON], &noise(2000), 100).is(413, "too_large"));
    let fields = [JSON, "Content-Encoding: gzip"];
    assert!(share.send("POST /upload", &fields, "{}").is(415, "encoded_body"));
    share.comes_to_hold(&[]);
}

#[test]
fn a_form_stores_all_its_files_in_one_folder() {
    let share = Share::open(&[]);
    let big = noise(700_000);
    let body = form(&[
        ("name=\"file\"; filename=\"a.txt\"", b"one"),
        ("name=\"comment\"", b"passed over"),
        ("name=\"file\"; filename=\"C:\\Users\\ada\\b c.txt\"", b""),
        ("name=\"dir\"", b"x/y/"),
        ("name=\"file\"; filename=\"big.bin\"", &big),
        ("name=\"private\"", b""),
    ]);
    let answer = share.send("POST /upload", &[MULTIPART], &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let files = answer.json()["files"].clone();
    let paths: Vec<_> = files.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["x/y/a.txt", "x/y/b c.txt", "x/y/big.bin"]);
    assert_eq!(files[1]["url"], "/files/x/y/b%20c.txt");
    assert_eq!(share.all(), ["x/", "x/y/", "x/y/a.txt", "x/y/b c.txt", "x/y/big.bin"]);
    assert_eq!(share.read("x/y/a.txt").unwrap(), b"one");
    assert!(share.read("x/y/big.bin").unwrap() == big);
    let again = share.send_chunked("POST /upload?on_conflict=overwrite", &[MULTIPART], &body, 7001);
    assert_eq!(again.status, 201, "{again:?}");
    assert!(share.read("x/y/big.bin").unwrap() == big);
}

#[test]
fn a_form_is_stored_as_a_whole_or_not_at_all() {
    let share = Share::open(&[]);
    share.plant("taken", "old");
    share.plant("folder/x", "");
    let file = |name: &str| format!("name=\"file\"; filename=\"{name}\"");
    let (a, b, taken, folder) = (file("a"), file("b"), file("taken"), file("folder"));
    for (query, parts, status, code) in [
        ("", vec![(a.as_str(), &b"1"[..]), (&taken, b"2"), (&b, b"3")], 409, "file_exists"),
        ("", vec![(&a, b"1"), (&b, b"2"), (&a, b"3")], 409, "file_exists"),
        ("?on_conflict=overwrite", vec![(&taken, b"1"), (&folder, b"2")], 409, "is_folder"),
        ("", vec![(&a, b"1"), ("name=\"file\"; filename=\"\"", b"")], 400, "bad_name"),
        ("", vec![(&a, b"1"), ("name=\"file\"", b"2")], 400, "bad_multipart"),
        ("", vec![(&a, b"1"), ("name=\"dir\"", b"../x")], 400, "bad_name"),
        ("", vec![(&a, b"1"), ("name=\"dir\"", b"~ada")], 400, "bad_name"),
        ("", vec![(&a, b"1"), ("name=\"dir\"", b"taken")], 409, "not_a_folder"),
        ("", vec![(&a, b"1"), ("name=\"dir\"", b"x"), ("name=\"dir\"", b"y")], 400, "bad_field"),
        ("", vec![(&a, b"1"), ("name=\"private\"", b"1")], 401, "unauthorized"),
        ("", vec![("name=\"photo\"; filename=\"a\"", b"1")], 400, "bad_multipart"),
        ("", vec![], 400, "bad_multipart"),
    ] {
        let answer = share.send(&format!("POST /upload{query}"), &[MULTIPART], form(&parts));
        assert!(answer.is(status, code), "{parts:?}: {answer:?}");
    }
    share.comes_to_hold(&["folder/", "folder/x", "taken"]);
    assert_eq!(share.read("taken").unwrap(), b"old");
    let twice = form(&[(&a, b"1"), (&a, b"2"), (&taken, b"3")]);
    assert_eq!(share.send("POST /upload?on_conflict=rename", &[MULTIPART], twice).status, 201);
    assert_eq!(share.all(), ["a", "a (2)", "folder/", "folder/x", "taken", "taken (2)"]);
}

#[test]
fn a_form_has_so_many_files_and_not_one_more() {
    let share = Share::open(&[]);
    let names: Vec<String> = (0..65).map(|number| format!("name=\"file\"; filename=\"{number:02}\"")).collect();
    let parts: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    assert!(share.send("POST /upload", &[MULTIPART], form(&parts)).is(413, "too_large"));
    share.comes_to_hold(&[]);
    let beside = [&parts[..64], &[("name=\"dir\"", b"d")]].concat();
    assert_eq!(share.send("POST /upload", &[MULTIPART], form(&beside)).status, 201);
    assert_eq!(share.all().len(), 65);
    let tiny: Vec<(&str, &[u8])> = vec![("name=\"x\"", b""); 10_000];
    assert!(share.send("POST /upload", &[MULTIPART], form(&tiny)).is(400, "bad_multipart"));
}

#[test]
fn a_page_without_script_is_sent_back_to_itself() {
    let share = Share::open(&["--path-prefix", "/p"]);
    let fields = [MULTIPART, "Accept: text/html,application/xhtml+xml,*/*;q=0.8"];
    let body = form(&[("name=\"file\"; filename=\"a\"", b"1")]);
    let answer = share.send("POST /p/upload", &fields, &body);
    assert_eq!((answer.status, answer.field("location")), (303, Some("/p/")));
    let answer = share.send("POST /p/upload", &fields, &body);
    assert_eq!(answer.status, 409);
    assert!(answer.field("content-type").unwrap().starts_with("text/html"));
    let answer = share.send("POST /p/upload?name=b", &[BYTES], "1");
    assert_eq!(answer.field("location"), Some("/p/files/b"));
    assert_eq!(answer.json()["file"]["url"], "/p/files/b");
}

#[test]
fn bytes_are_stored_under_the_name_they_came_with() {
    let share = Share::open(&[]);
    for (line, fields, status, path) in [
        ("POST /upload?name=a.png", &["Content-Type: image/png"][..], 201, "a.png"),
        ("POST /upload?name=b", &[], 201, "b"),
        ("POST /upload?name=a%20%26%2B%C3%A9+c", &[BYTES], 201, "a &+é c"),
        ("POST /upload?name=a.png", &[BYTES], 409, ""),
        ("POST /upload?name=a.png&on_conflict=error", &[BYTES], 409, ""),
        ("POST /upload?name=a.png&on_conflict=rename", &[BYTES], 201, "a (2).png"),
        ("POST /upload?name=a.png&on_conflict=overwrite", &[BYTES], 201, "a.png"),
        ("POST /upload?name=a.png&on_conflict=perhaps", &[BYTES], 400, ""),
        ("POST /upload?name=x&name=y", &[BYTES], 400, ""),
        ("POST /upload?name=%zz", &[BYTES], 400, ""),
        ("POST /upload", &[BYTES], 415, ""),
        ("POST /upload", &[], 415, ""),
        ("POST /upload?name=c", &[BYTES, "Content-Encoding: br"], 415, ""),
        ("POST /upload?name=c", &[BYTES, "Content-Type: text/plain"], 400, ""),
    ] {
        let answer = share.send(line, fields, "bytes");
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        if status == 201 {
            assert_eq!(answer.json()["file"]["path"], path, "{line}");
        }
    }
    assert!(share.ask("POST /upload?name=c", &[BYTES]).is(411, "length_required"));
    assert_eq!(share.send("POST /upload?name=empty", &[BYTES], "").status, 201);
    assert_eq!(share.all(), ["a &+é c", "a (2).png", "a.png", "b", "empty"]);
}

#[test]
fn no_name_leads_outside_or_hides() {
    let share = Share::open(&[]);
    let (fits, long) = ("n".repeat(255), "n".repeat(256));
    for name in [
        "",
        ".",
        "..",
        "../x",
        "..%2Fx",
        "x/../../y",
        "%2Fetc%2Fx",
        ".hidden",
        "~x",
        "~x%2F..",
        "a%00b",
        "a%0Ab",
        "a%5Cb",
        &long,
    ] {
        for kind in [BYTES, JSON] {
            let answer = share.send(&format!("POST /upload?name={name}"), &[kind], "1");
            assert!(answer.is(400, "bad_name"), "{name}: {answer:?}");
        }
    }
    // Of a form's file name the part behind the last slash counts; escapes are only those that browsers make.
    for name in ["", ".", "..", "x/..", "a\\..", ".hidden", "~x", "a\0b", "a\x01b", "a\x7f", "a%0Ab", "x/", &long] {
        let file = format!("name=\"file\"; filename=\"{name}\"");
        let answer = share.send("POST /upload", &[MULTIPART], form(&[(&file, b"1")]));
        assert!(answer.is(400, "bad_name"), "{name}: {answer:?}");
    }
    share.comes_to_hold(&[]);
    let file = format!("name=\"file\"; filename=\"{fits}\"");
    let parts: [(&str, &[u8]); 2] = [("name=\"file\"; filename=\"../../x\"", b"1"), (&file, b"2")];
    assert_eq!(share.send("POST /upload", &[MULTIPART], form(&parts)).status, 201);
    assert_eq!(share.all(), [fits.as_str(), "x"]);
}

#[test]
fn what_is_too_large_is_told_before_it_comes_and_leaves_nothing() {
    let share = Share::open(&["--upload-limit", "300KiB"]);
    let (fits, over) = (noise(300 << 10), noise((300 << 10) + 1));
    let waiting = ["Expect: 100-continue", "Content-Length: 307201", BYTES];
    for line in ["POST /upload?name=a", "PUT /files/a?create=1"] {
        let answer = share.ask(line, &waiting);
        assert!(answer.is(413, "too_large") && answer.says_close(), "{line}: {answer:?}");
        assert!(share.send_chunked(line, &[BYTES], &over, 9000).is(413, "too_large"), "{line}");
        assert!(share.send(line, &[BYTES], &over).is(413, "too_large"), "{line}");
    }
    let parts = form(&[("name=\"file\"; filename=\"a\"", &over)]);
    assert!(share.send("POST /upload", &[MULTIPART], &parts).is(413, "too_large"));
    assert!(share.send_chunked("POST /upload", &[MULTIPART], &parts, 9000).is(413, "too_large"));
    share.comes_to_hold(&[]);
    assert_eq!(share.send_chunked("POST /upload?name=a", &[BYTES], &fits, 9000).status, 201);
    assert_eq!(share.send("POST /upload?name=b", &[BYTES], &fits).status, 201);
}

#[test]
fn a_full_disk_is_told_before_the_body_comes() {
    let share = Share::open(&["--min-free", "1000000TiB"]);
    let part = form(&[("name=\"file\"; filename=\"a\"", b"1")]);
    assert!(share.send("POST /upload", &[JSON], "1").is(507, "storage_full"));
    assert!(share.send("POST /upload", &[MULTIPART], part).is(507, "storage_full"));
    assert!(share.ask("POST /upload?name=a", &["Expect: 100-continue", "Content-Length: 9"]).is(507, "storage_full"));
    assert!(share.ask("PUT /files/a?create=1", &["Expect: 100-continue", "Content-Length: 9"]).is(507, "storage_full"));
    share.comes_to_hold(&[]);
}

#[test]
fn a_body_that_ends_early_leaves_nothing() {
    let share = Share::open(&[]);
    share.plant("old", "old");
    let part = b"--hythe-7b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let body = [&part[..], &noise(900_000)].concat();
    let cases: [(&str, &str); 4] = [
        ("POST /upload?name=a", BYTES),
        ("POST /upload", MULTIPART),
        ("PUT /files/a?create=1", BYTES),
        ("PUT /files/old", BYTES),
    ];
    for (line, kind) in cases {
        for length in [1, 100, 300_000, 900_000] {
            let mut wire = share.connect();
            wire.send_quietly(&share.head(line, &[kind, "Content-Length: 1000000"])).unwrap();
            wire.send_quietly(&body[..length]).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    }
    // A form that ends at its length, but not at its last boundary.
    assert!(share.send("POST /upload", &[MULTIPART], &body).is(400, "bad_multipart"));
    assert!(share.send("POST /upload", &[MULTIPART], "").is(400, "bad_multipart"));
    share.comes_to_hold(&["old"]);
    assert_eq!(share.read("old").unwrap(), b"old");
}

#[test]
fn ten_mebibytes_go_in_and_come_out_alike() {
    let share = Share::open(&[]);
    let bytes = noise(10 << 20);
    assert_eq!(share.send("POST /upload?name=raw", &[BYTES], &bytes).status, 201);
    assert_eq!(share.send_chunked("POST /upload?name=chunked", &[BYTES], &bytes, 100_003).status, 201);
    let parts = form(&[("name=\"file\"; filename=\"form\"", &bytes)]);
    assert_eq!(share.send("POST /upload", &[MULTIPART], &parts).status, 201);
    assert_eq!(share.send("PUT /files/put?create=1", &[BYTES], &bytes).status, 201);
    for name in ["raw", "chunked", "form", "put"] {
        assert!(share.read(name).unwrap() == bytes, "{name}");
        assert!(share.get(&format!("/files/{name}")).body == bytes, "{name}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused_before_the_body_is_asked_for() {
    let share = Share::open(&[]);
    share.plant("a", "old");
    let waiting = ["Expect: 100-continue", "Content-Length: 100000", BYTES];
    assert!(share.ask("POST /upload?name=a", &waiting).is(409, "file_exists"));
    let mut wire = share.connect();
    wire.send_quietly(&share.head("POST /upload?name=a&on_conflict=overwrite", &waiting)).unwrap();
    assert_eq!(wire.hear(false).unwrap().status, 100);
    wire.send_quietly(&noise(100_000)).unwrap();
    assert_eq!(wire.hear(false).unwrap().status, 201);
    assert_eq!(share.read("a").unwrap().len(), 100_000);
}

#[test]
fn of_many_who_want_one_name_one_gets_it() {
    let share = Share::open(&[]);
    let answers: Vec<u16> = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..8).map(|_| scope.spawn(|| share.send("POST /upload?name=a", &[BYTES], noise(50_000)).status)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|&&status| status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 409].contains(status)), "{answers:?}");
    share.comes_to_hold(&["a"]);
}

#[test]
fn strangers_do_not_write_where_writing_is_for_the_operator() {
    let share = Share::open(&["--shared-write", "operator", "--token", "a-token-of-some-length"]);
    assert!(share.send("POST /upload?name=a", &[BYTES], "1").is(401, "unauthorized"));
    assert!(share.send("PUT /files/a?create=1", &[BYTES], "1").is(401, "unauthorized"));
    let token = "Authorization: Bearer a-token-of-some-length";
    assert_eq!(share.send("POST /upload?name=a", &[BYTES, token], "1").status, 201);
    assert!(share.ask("DELETE /files/a", &[]).is(401, "unauthorized"));
    let private = form(&[("name=\"file\"; filename=\"b\"", b"1"), ("name=\"private\"", b"1")]);
    assert!(share.send("POST /upload", &[MULTIPART, token], private).is(403, "no_home"));
    assert_eq!(share.ask("DELETE /files/a", &[token]).status, 200);
    share.comes_to_hold(&[]);
}

#[test]
fn without_files_there_are_no_routes_for_them() {
    let share = Share::open(&["--no-files"]);
    for line in ["GET /file-list", "GET /files/a", "GET /file-info/a"] {
        assert_eq!(share.ask(line, &[]).status, 404, "{line}");
    }
    assert!([404, 405].contains(&share.send("POST /upload", &[JSON], "1").status));
}
