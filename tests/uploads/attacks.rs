//! What is done to get at files that are not there to be got at: one table, of which each line is asked once, is answered by the
//! status of the contract, leaves one line in the access log, and changes no file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::share::{BYTES, JSON, MULTIPART, Share, form};
use crate::wire::PATIENCE;

/// What is asked, with which body of which kind, and what is answered: a status and a code.
type Case<'a> = (&'a str, &'a str, &'a [u8], u16, &'a str);

const OVER: &[u8] = b"overwritten";

#[test]
fn no_attack_gets_through_and_each_leaves_one_line() {
    let share = besieged();
    let (long, deep) = ("n".repeat(256), "[".repeat(100_000));
    let lines: Vec<String> = [
        format!("GET /files/{long}"),
        format!("PUT /files/{long}?create=1"),
        format!("PUT /files/{}x?create=1", "d/".repeat(16)),
    ]
    .into();
    let tiny = form(&vec![("name=\"x\"", b"y".as_slice()); 10_000]);
    let no_end = b"--hythe-7b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\ntext";
    let linked = form(&[("name=\"file\"; filename=\"link\"", b"1")]);
    let unnamed = form(&[("name=\"file\"; filename=\"\"", b"1")]);
    let wide = format!("Content-Type: multipart/form-data; boundary={}", "b".repeat(71));
    let cases: &[Case<'_>] = &[
        // Ways out of the folder.
        ("GET /files/../secret", "", b"", 403, "path_forbidden"),
        ("GET /files/folder/../../secret", "", b"", 403, "path_forbidden"),
        ("GET /files/%2e%2e/secret", "", b"", 403, "path_forbidden"),
        ("PUT /files/%2E%2e/secret?create=1", BYTES, OVER, 403, "path_forbidden"),
        ("DELETE /files/../secret", "", b"", 403, "path_forbidden"),
        ("GET /files/%252e%252e/secret", "", b"", 404, "not_found"),
        ("DELETE /files/%252e%252e%252fsecret", "", b"", 404, "not_found"),
        ("GET /files/..%2fsecret", "", b"", 400, "bad_path"),
        ("GET /files/folder%2Finside", "", b"", 400, "bad_path"),
        ("GET /files/..%5csecret", "", b"", 400, "bad_path"),
        ("GET /files/a\\b", "", b"", 400, "bad_path"),
        ("GET /files/secret%00.txt", "", b"", 400, "bad_path"),
        ("PUT /files/a%00?create=1", BYTES, OVER, 400, "bad_path"),
        ("GET /files/%c0%ae%c0%ae/secret", "", b"", 400, "bad_path"),
        ("GET /files/%e0%80%ae%e0%80%ae/secret", "", b"", 400, "bad_path"),
        ("GET /files/a%zz", "", b"", 400, "bad_path"),
        ("GET /files//etc/passwd", "", b"", 404, "not_found"),
        ("POST /upload?name=/etc/x", BYTES, OVER, 400, "bad_name"),
        ("POST /rename", JSON, br#"{"from":"a","to":"/etc/../x"}"#, 400, "bad_name"),
        ("POST /rename", JSON, br#"{"from":"../secret","to":"b"}"#, 400, "bad_name"),
        ("POST /remove", JSON, br#"{"name":"../secret"}"#, 400, "bad_name"),
        ("POST /dirs", JSON, br#"{"path":"../new"}"#, 400, "bad_name"),
        ("POST /dirs", JSON, br#"{"path":"a\u0000b"}"#, 400, "bad_name"),
        // What is hidden, and what is too long or too deep.
        ("GET /files/.hidden", "", b"", 404, "not_found"),
        ("GET /files/.hythe-tus/x", "", b"", 404, "not_found"),
        ("PUT /files/.hidden?create=1", BYTES, OVER, 404, "not_found"),
        (&lines[0], "", b"", 404, "not_found"),
        (&lines[1], BYTES, OVER, 400, "bad_name"),
        (&lines[2], BYTES, OVER, 400, "bad_name"),
        // Links to outside, as the last and as a middle component.
        ("GET /files/link", "", b"", 404, "not_found"),
        ("PUT /files/link", BYTES, OVER, 404, "not_found"),
        ("DELETE /files/link", "", b"", 404, "not_found"),
        ("GET /files/way/secret", "", b"", 404, "not_found"),
        ("PUT /files/way/secret", BYTES, OVER, 404, "not_found"),
        ("DELETE /files/way/secret", "", b"", 404, "not_found"),
        ("PATCH /files/way/secret", JSON, br#"{"name":"x"}"#, 404, "not_found"),
        // What is no file is not replaced by one either: it may be the operator's, and stands there for something else.
        ("POST /upload?name=link&on_conflict=overwrite", BYTES, OVER, 409, "file_exists"),
        ("POST /upload?name=way&on_conflict=overwrite", JSON, b"{}", 409, "file_exists"),
        ("POST /upload?on_conflict=overwrite", MULTIPART, &linked, 409, "file_exists"),
        ("POST /rename?on_conflict=overwrite", JSON, br#"{"from":"a","to":"link"}"#, 409, "file_exists"),
        // Forms.
        ("POST /upload", MULTIPART, &unnamed, 400, "bad_name"),
        ("POST /upload", MULTIPART, &tiny, 400, "bad_multipart"),
        ("POST /upload", MULTIPART, no_end, 400, "bad_multipart"),
        ("POST /upload", &wide, no_end, 400, "bad_multipart"),
        ("POST /upload", "Content-Type: multipart/form-data; boundary=", no_end, 400, "bad_multipart"),
        // Depths.
        ("POST /upload", JSON, deep.as_bytes(), 400, "invalid_json"),
        ("POST /rename", JSON, deep.as_bytes(), 400, "invalid_json"),
        ("PATCH /files/a", JSON, deep.as_bytes(), 400, "invalid_json"),
        // Renames that cannot be.
        ("POST /rename", JSON, br#"{"from":"a","to":"a"}"#, 409, "file_exists"),
        ("POST /rename", JSON, br#"{"from":"a","to":"folder"}"#, 409, ""),
        ("POST /rename?on_conflict=overwrite", JSON, br#"{"from":"a","to":"folder"}"#, 409, ""),
        ("POST /rename", JSON, br#"{"from":"folder","to":"folder"}"#, 409, ""),
        ("POST /rename", JSON, br#"{"from":"folder","to":"folder/child"}"#, 400, ""),
        ("POST /rename", JSON, br#"{"from":"folder","to":"folder/child/of/it"}"#, 400, ""),
        ("PATCH /files/folder", JSON, br#"{"path":"folder/inside/x"}"#, 400, ""),
    ];
    let before = share.all();
    let mut wrong = Vec::new();
    for &(line, kind, body, status, code) in cases {
        let answer = share.send(line, if kind.is_empty() { &[] } else { std::slice::from_ref(&kind) }, body);
        let told = (answer.status, if code.is_empty() { String::new() } else { answer.code() });
        if told != (status, code.to_owned()) {
            wrong.push(format!(
                "{} {}: {told:?}, not {status} {code}",
                line.get(..80).unwrap_or(line),
                body.escape_ascii()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    share.comes_to_hold(&before.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(share.read("a").unwrap(), b"old");
    assert_eq!(fs::read(share.house.folder().join("secret")).unwrap(), b"secret");
    let expected: Vec<String> = cases.iter().map(|case| case.3.to_string()).collect();
    assert_eq!(statuses(&share, expected.len()), expected);
}

#[test]
fn boundaries_of_one_and_of_seventy_bytes_are_boundaries() {
    let share = Share::open(&[]);
    for (name, boundary) in [("short", "b".to_owned()), ("long", "b".repeat(70))] {
        let kind = format!("Content-Type: multipart/form-data; boundary={boundary}");
        let parameters = format!("name=\"file\"; filename=\"{name}\"");
        let body =
            String::from_utf8(form(&[(&parameters, b"\r\n--bb\r\n-b")])).unwrap().replace("hythe-7b1", &boundary);
        // What looks like the beginning of the short one is data as long as it is none.
        let body = if name == "short" { body.replace("\r\n--bb", "\r\n-bb") } else { body };
        assert_eq!(share.send("POST /upload", &[&kind], body).status, 201, "{name}");
    }
    assert_eq!(share.read("short").unwrap(), b"\r\n-bb\r\n-b");
    assert_eq!(share.read("long").unwrap(), b"\r\n--bb\r\n-b");
}

#[test]
fn a_body_longer_than_was_said_is_another_request_and_no_good_one() {
    let share = besieged();
    let mut wire = share.connect();
    let head = share.head("PUT /files/a", &[BYTES, "Content-Length: 3"]);
    wire.send_quietly(&[&head[..], b"newGARBAGE\r\n\r\n"].concat()).unwrap();
    assert_eq!(wire.hear(false).unwrap().status, 200);
    let second = wire.hear(false).unwrap();
    assert!(second.status == 400 && second.says_close(), "{second:?}");
    assert_eq!(share.read("a").unwrap(), b"new");
    assert_eq!(statuses(&share, 2), ["200", "400"]);
}

#[test]
fn a_folder_that_is_swapped_for_a_link_again_and_again_leads_nobody_outside() {
    let share = besieged();
    let (inside, outside) = (share.folder().join("place"), share.house.folder().join("beyond"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                swap(&inside, &outside);
            }
        });
        let since = Instant::now();
        let mut asked = [0; 3];
        // Two seconds, and as long as it takes on a busy machine until each has come to its aim inside.
        let is_enough =
            |asked: &[usize; 3]| asked.iter().all(|&times| times > 0) && since.elapsed() > Duration::from_secs(2);
        while !is_enough(&asked) && since.elapsed() < PATIENCE {
            let answer = share.send("PUT /files/place/file?create=1", &[BYTES], "mine");
            assert!(matches!(answer.status, 200 | 201 | 404 | 409), "{answer:?}");
            asked[1] += usize::from(answer.status < 300);
            let answer = share.get("/files/place/file");
            assert!(answer.status != 200 || answer.body == b"mine", "{answer:?}");
            asked[0] += usize::from(answer.status == 200);
            let answer = share.send("POST /rename", &[JSON], r#"{"from":"place/file","to":"place/moved"}"#);
            assert!(matches!(answer.status, 200 | 404 | 409), "{answer:?}");
            asked[2] += usize::from(answer.status == 200);
            share.send("DELETE /files/place/moved", &[], "");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(asked.iter().all(|&times| times > 0), "each has come to its aim inside now and then: {asked:?}");
    });
    let mut left = Vec::new();
    for entry in fs::read_dir(&outside).unwrap() {
        left.push(entry.unwrap().file_name().into_string().unwrap());
    }
    assert_eq!(left, ["file"], "nothing was made or moved outside");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"secret");
}

/// For a moment each: a folder, and a link to one outside. The folder keeps what is in it, for whoever is too slow to find it at once.
fn swap(inside: &Path, outside: &Path) {
    let aside = inside.with_file_name("aside");
    let _ = fs::create_dir(inside);
    std::thread::sleep(Duration::from_millis(1));
    if fs::rename(inside, &aside).is_ok() {
        if symlink(outside, inside).is_ok() {
            std::thread::sleep(Duration::from_micros(500));
            fs::remove_file(inside).unwrap();
        }
        // Where another has been made meanwhile that one stays.
        let _ = fs::rename(&aside, inside);
    }
    let _ = fs::remove_dir_all(&aside);
}

/// A share with something to be attacked, and a log of who asked.
fn besieged() -> Share {
    let log =
        std::env::temp_dir().join(format!("hythe-attacks-{}-{:?}", std::process::id(), std::thread::current().id()));
    let _ = fs::remove_file(&log);
    let mut share = Share::open(&["--access-log", log.to_str().unwrap()]);
    share.access_log = Some(log);
    fs::write(share.house.folder().join("secret"), "secret").unwrap();
    share.plant("a", "old");
    share.plant("folder/inside", "inside");
    symlink("../secret", share.folder().join("link")).unwrap();
    symlink("..", share.folder().join("way")).unwrap();
    share
}

/// The statuses in the access log, once it has so many lines.
fn statuses(share: &Share, count: usize) -> Vec<String> {
    let log = share.access_log.as_ref().unwrap();
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.lines().count() >= count || since.elapsed() > PATIENCE {
            // A moment more, should there be one too many.
            std::thread::sleep(Duration::from_millis(200));
            let text = fs::read_to_string(log).unwrap_or_default();
            let status =
                |line: &str| line.rsplit('"').nth(4).map(|rest| rest.split(' ').nth(1).unwrap_or("?").to_owned());
            return text.lines().map(|line| status(line).unwrap_or_else(|| line.to_owned())).collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
