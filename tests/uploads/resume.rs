//! Uploads that continue another day: tus 1.0.0, to the letter.

use std::fs;

use serde_json::json;

use crate::share::{Share, noise};
use crate::wire::{Answer, comes_to_be};

const TUS: &str = "Tus-Resumable: 1.0.0";
const PIECE: &str = "Content-Type: application/offset+octet-stream";

/// Begins an upload; says where it is.
fn begin(share: &Share, fields: &[&str]) -> String {
    let answer = share.send("POST /tus", &[&[TUS], fields].concat(), "");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.field("tus-resumable"), Some("1.0.0"));
    let place = answer.field("location").unwrap().to_owned();
    let id = place.strip_prefix("/tus/").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{place}");
    assert!(answer.field("upload-expires").unwrap().ends_with(" GMT"));
    place
}

fn patch(share: &Share, place: &str, offset: usize, fields: &[&str], body: &[u8]) -> Answer {
    let offset = format!("Upload-Offset: {offset}");
    share.send(&format!("PATCH {place}"), &[&[TUS, PIECE, &offset], fields].concat(), body)
}

fn offset(share: &Share, place: &str) -> usize {
    let answer = share.ask(&format!("HEAD {place}"), &[TUS]);
    assert_eq!((answer.status, answer.field("cache-control")), (200, Some("no-store")), "{answer:?}");
    answer.field("upload-offset").unwrap().parse().unwrap()
}

/// `Upload-Metadata` of these pairs.
fn metadata(pairs: &[(&str, &str)]) -> String {
    use base64::Engine;
    let encode = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name} {}", encode(value))).collect();
    format!("Upload-Metadata: {}", pairs.join(","))
}

#[test]
fn what_there_is_is_told_to_whoever_asks() {
    let share = Share::open(&["--upload-limit", "1000"]);
    for place in ["/tus", "/tus/00000000000000000000000000000000"] {
        let answer = share.ask(&format!("OPTIONS {place}"), &[]);
        assert_eq!(answer.status, 204);
        for (name, value) in [
            ("tus-resumable", "1.0.0"),
            ("tus-version", "1.0.0"),
            ("tus-max-size", "1000"),
            ("tus-extension", "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration"),
            ("tus-checksum-algorithm", "sha1,sha256"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{name}");
        }
    }
    assert!(share.ask("GET /tus", &[]).is(405, "method_not_allowed"));
    let limit = share.send("POST /tus", &[TUS, "Upload-Length: 1001"], "");
    assert!(limit.is(413, "too_large"));
    assert_eq!(limit.field("tus-resumable"), Some("1.0.0"));
}

#[test]
fn an_upload_comes_in_pieces_and_appears_when_it_is_whole() {
    let share = Share::open(&[]);
    let bytes = noise(700_000);
    let named = metadata(&[("filename", "C:\\x\\é.bin"), ("dir", "a/b/"), ("unknown", "x")]);
    let place = begin(&share, &["Upload-Length: 700000", &named]);
    let head = share.ask(&format!("HEAD {place}"), &[TUS]);
    for (name, value) in
        [("upload-offset", "0"), ("upload-length", "700000"), ("upload-metadata", &named["Upload-Metadata: ".len()..])]
    {
        assert_eq!(head.field(name), Some(value), "{name}");
    }
    let first = patch(&share, &place, 0, &[], &bytes[..300_000]);
    assert_eq!((first.status, first.field("upload-offset")), (204, Some("300000")));
    assert!(first.field("upload-expires").is_some());
    assert_eq!(offset(&share, &place), 300_000);
    let get = share.get(&place);
    assert_eq!((&get.json()["offset"], &get.json()["length"]), (&json!(300_000), &json!(700_000)));
    assert!(get.json()["expires"].as_str().unwrap().ends_with('Z'));
    assert!(share.get("/file-list").json()["files"].as_array().unwrap().is_empty(), "nothing is seen of it");
    assert!(share.get("/file-list").json()["dirs"].as_array().unwrap().is_empty());
    assert_eq!(share.get("/files/.hythe-tus").status, 404);
    for wrong in [0, 299_999, 300_001] {
        assert!(patch(&share, &place, wrong, &[], b"x").is(409, "wrong_offset"), "{wrong}");
    }
    let last = patch(&share, &place, 300_000, &[], &bytes[300_000..]);
    assert_eq!((last.status, last.field("upload-offset")), (204, Some("700000")));
    assert_eq!(last.field("content-location"), Some("/files/a/b/%C3%A9.bin"));
    assert!(share.read("a/b/é.bin").unwrap() == bytes);
    share.comes_to_log("stored a/b/é.bin, 700000 bytes, for 127.0.0.1\n");
    let again = patch(&share, &place, 700_000, &[], b"");
    assert_eq!((again.status, again.field("content-location")), (204, Some("/files/a/b/%C3%A9.bin")));
    assert_eq!(offset(&share, &place), 700_000, "who missed the last answer is told");
    assert!(patch(&share, &place, 0, &[], b"x").is(409, "wrong_offset"));
}

#[test]
fn a_first_piece_may_come_with_the_creation() {
    let share = Share::open(&[]);
    let whole = share.send("POST /tus", &[TUS, PIECE, "Upload-Length: 5", &metadata(&[("filename", "a")])], "hello");
    assert_eq!((whole.status, whole.field("upload-offset")), (201, Some("5")), "{whole:?}");
    assert_eq!(whole.field("content-location"), Some("/files/a"));
    assert_eq!(share.read("a").unwrap(), b"hello");
    let part = share.send("POST /tus", &[TUS, PIECE, "Upload-Length: 5", &metadata(&[("filename", "b")])], "he");
    assert_eq!((part.status, part.field("upload-offset"), part.field("content-location")), (201, Some("2"), None));
    let place = part.field("location").unwrap();
    assert_eq!(patch(&share, place, 2, &[], b"llo").status, 204);
    assert_eq!(share.read("b").unwrap(), b"hello");
    let empty = share.send("POST /tus", &[TUS, "Upload-Length: 0", &metadata(&[("filename", "none")])], "");
    assert_eq!((empty.status, empty.field("content-location")), (201, Some("/files/none")));
    assert_eq!(share.read("none").unwrap(), b"");
    let long = share.send("POST /tus", &[TUS, PIECE, "Upload-Length: 2"], "hello");
    assert!(long.is(413, "too_large"), "{long:?}");
    assert!(share.send("POST /tus", &[TUS, "Upload-Length: 5"], "hello").is(415, "unsupported_media_type"));
    let chunked = share.send_chunked("POST /tus", &[TUS, PIECE, "Upload-Length: 5"], b"hello", 2);
    assert_eq!(chunked.status, 201);
    let unnamed = chunked.field("content-location").unwrap();
    assert!(unnamed.starts_with("/files/upload_20") && unnamed.ends_with(".bin"), "{unnamed}");
}

#[test]
fn a_length_may_be_told_later() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Defer-Length: 1", &metadata(&[("filename", "a")])]);
    let head = share.ask(&format!("HEAD {place}"), &[TUS]);
    assert_eq!((head.field("upload-defer-length"), head.field("upload-length")), (Some("1"), None));
    assert_eq!(share.get(&place).json()["length"], json!(null));
    assert_eq!(patch(&share, &place, 0, &[], b"hello").status, 204);
    assert!(patch(&share, &place, 5, &["Upload-Length: 4"], b"").is(400, "bad_header"));
    assert!(patch(&share, &place, 5, &["Upload-Length: x"], b"").is(400, "bad_header"));
    assert!(patch(&share, &place, 5, &["Upload-Length: 7"], b"12345").is(413, "too_large"));
    assert_eq!(patch(&share, &place, 5, &["Upload-Length: 7"], b"1").status, 204);
    assert!(patch(&share, &place, 6, &["Upload-Length: 8"], b"").is(400, "bad_header"));
    assert_eq!(patch(&share, &place, 6, &["Upload-Length: 7"], b"2").status, 204);
    assert_eq!(share.read("a").unwrap(), b"hello12");
}

#[test]
fn a_piece_that_does_not_come_to_its_checksum_does_not_count() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Length: 10", &metadata(&[("filename", "a")])]);
    let (sha1, sha256) = (
        "Upload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        "Upload-Checksum: sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    );
    let wrong = patch(&share, &place, 0, &[sha1], b"hellO");
    assert!(wrong.is(460, "checksum_mismatch"), "{wrong:?}");
    assert_eq!(wrong.field("tus-resumable"), Some("1.0.0"));
    assert_eq!(offset(&share, &place), 0);
    for unknown in ["md5 XUFAKrxLKna5cZ2REBfFkg==", "sha1 xx", "sha1"] {
        assert!(patch(&share, &place, 0, &[&format!("Upload-Checksum: {unknown}")], b"hello").is(400, "bad_header"));
    }
    assert_eq!(patch(&share, &place, 0, &[sha1], b"hello").status, 204);
    assert!(patch(&share, &place, 5, &[sha256], b"hell!").is(460, "checksum_mismatch"));
    // Half of a piece that is to be checked, and then nothing.
    let mut wire = share.connect();
    let fields = [TUS, PIECE, "Upload-Offset: 5", sha256, "Content-Length: 5"];
    wire.send(&[share.head(&format!("PATCH {place}"), &fields).as_slice(), b"hel"].concat());
    drop(wire);
    assert_eq!(patch(&share, &place, 5, &[sha256], b"hello").status, 204);
    assert_eq!(share.read("a").unwrap(), b"hellohello");
    let created = share.send("POST /tus", &[TUS, PIECE, "Upload-Length: 5", sha1], "hellO");
    assert!(created.is(460, "checksum_mismatch"), "{created:?}");
}

#[test]
fn what_came_before_the_connection_broke_need_not_be_sent_again() {
    let share = Share::open(&[]);
    let body = noise(3_000_000);
    for cut in [1, 50_000, 300_000, 2_999_999] {
        let place =
            begin(&share, &["Upload-Length: 3000000", &metadata(&[("filename", "a"), ("on_conflict", "rename")])]);
        let mut wire = share.connect();
        let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 3000000"];
        wire.send(&[share.head(&format!("PATCH {place}"), &fields).as_slice(), &body[..cut]].concat());
        wire.end_our_half();
        comes_to_be(|| offset(&share, &place) >= cut);
        assert_eq!(offset(&share, &place), cut);
        assert_eq!(patch(&share, &place, cut, &[], &body[cut..]).status, 204);
    }
    assert!(share.read("a").unwrap() == body);
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Length: 10"]);
    assert_eq!(patch(&share, &place, 0, &[], b"hello").status, 204);
    let gone = share.ask(&format!("DELETE {place}"), &[TUS]);
    assert_eq!((gone.status, gone.field("tus-resumable")), (204, Some("1.0.0")));
    assert!(share.ask(&format!("HEAD {place}"), &[TUS]).status == 404);
    assert!(patch(&share, &place, 5, &[], b"hello").is(404, "not_found"));
    assert!(share.ask(&format!("DELETE {place}"), &[TUS]).is(404, "not_found"));
    share.comes_to_hold(&[".hythe-tus/"]);
}

#[test]
fn where_only_two_methods_get_through_the_others_are_named() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Length: 5", &metadata(&[("filename", "a")])]);
    let over = |method: &str, fields: &[&str], body: &str| {
        let method = format!("X-HTTP-Method-Override: {method}");
        share.send(&format!("POST {place}"), &[&[TUS, &method], fields].concat(), body)
    };
    assert_eq!(over("PATCH", &[PIECE, "Upload-Offset: 0"], "he").field("upload-offset"), Some("2"));
    assert_eq!(over("HEAD", &[], "").field("upload-offset"), Some("2"));
    for method in ["PUT", "patch", ""] {
        let answer = over(method, &[PIECE, "Upload-Offset: 2"], "llo");
        let options = share.ask(&format!("OPTIONS {place}"), &[]);
        assert_eq!((answer.status, answer.field("allow")), (405, options.field("allow")), "{method}");
        assert_eq!(answer.field("tus-resumable"), Some("1.0.0"));
    }
    assert_eq!(over("DELETE", &[], "").status, 204);
    assert_eq!(over("HEAD", &[], "").status, 404);
    share.plant("old", "old");
    let get = share.ask("GET /files/old", &["X-HTTP-Method-Override: DELETE"]);
    assert_eq!((get.status, share.read("old").is_some()), (200, true), "nothing changes on GET");
}

#[test]
fn who_may_not_or_comes_too_often_is_told_so_in_terms_of_tus() {
    for (flags, status) in [(["--shared-write", "user"], 401), (["--request-rate", "1/h"], 429)] {
        let share = Share::open(&flags);
        share.get("/api");
        for line in ["POST /tus", "PATCH /tus/00000000000000000000000000000000"] {
            let answer = share.send(line, &[TUS, "Upload-Length: 1"], "");
            assert_eq!((answer.status, answer.field("tus-resumable")), (status, Some("1.0.0")), "{answer:?}");
        }
    }
}

#[test]
fn whatever_is_answered_there_is_answered_in_terms_of_tus() {
    for prefix in ["", "/p"] {
        let flags =
            ["--upload-limit", "2k", "--path-prefix", prefix, "--body-idle", "1s", "--token", "hush-hush-hush-hush"];
        let share = Share::open(&flags);
        let version = ("tus-resumable", "1.0.0");
        let begun = share.send(&format!("POST {prefix}/tus"), &[TUS, "Upload-Length: 2000"], "");
        let place = begun.field("location").expect("its address").to_owned();
        assert!(place.starts_with(&format!("{prefix}/tus/")), "{place}");
        let (create, offset) = (format!("POST {prefix}/tus"), "Upload-Offset: 0");
        for (line, fields, length, status) in [
            (format!("PUT {prefix}/tus"), vec![], "0", 405),
            (format!("GET {prefix}/tus"), vec![], "0", 405),
            (format!("PUT {place}"), vec![], "0", 405),
            (format!("BREW {place}"), vec![], "0", 501),
            (format!("HEAD {prefix}/tus"), vec![], "0", 405),
            (create.clone(), vec!["Origin: http://evil.example"], "0", 403),
            (create.clone(), vec!["Authorization: Bearer wrong"], "0", 401),
            (format!("POST http://evil.example{prefix}/tus"), vec![], "0", 403),
            (create.clone(), vec!["Host: another.example"], "0", 400),
            (create.clone(), vec!["Expect: tea"], "0", 417),
            (create.clone(), vec![TUS, "Upload-Length: 3000"], "0", 413),
            (create, vec![TUS, "Upload-Defer-Length: 1", PIECE], "4000", 413),
            (format!("PATCH {place}"), vec![TUS, PIECE, offset], "4000", 413),
            // Of this one nothing comes.
            (format!("PATCH {place}"), vec![TUS, PIECE, offset], "10", 408),
            (format!("GET {prefix}/tus/{}", "0".repeat(32)), vec![], "0", 404),
            (format!("GET {prefix}/tus/x/y"), vec![], "0", 404),
        ] {
            let length = format!("Content-Length: {length}");
            let answer = share.ask(&line, &[fields.as_slice(), &[&length]].concat());
            assert_eq!(answer.status, status, "{line} {fields:?}: {answer:?}");
            // Of a head that cannot be read nobody can say where it would have led.
            let expected = if status == 400 { None } else { Some(version.1) };
            assert_eq!(answer.field(version.0), expected, "{line} {fields:?}: {answer:?}");
            assert_eq!(answer.fields.iter().filter(|(name, _)| name == version.0).count(), expected.iter().count());
        }
        for target in ["/tusk", "/", "/files/tus", "/api"] {
            assert_eq!(share.get(&format!("{prefix}{target}")).field(version.0), None, "{target}");
        }
    }
}

#[test]
fn the_end_of_an_upload_is_asked_for_until_it_has_taken_its_place() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Length: 5", &metadata(&[("filename", "a"), ("dir", "d")])]);
    share.plant("d", "in the way");
    assert!(patch(&share, &place, 0, &[], b"hello").is(409, "not_a_folder"));
    // A client that were told 5 would believe that all is well.
    assert_eq!(offset(&share, &place), 4);
    assert!(patch(&share, &place, 3, &[], b"lo").is(409, "wrong_offset"));
    fs::remove_file(share.folder().join("d")).unwrap();
    let last = patch(&share, &place, 4, &[], b"o");
    assert_eq!((last.status, last.field("content-location")), (204, Some("/files/d/a")), "{last:?}");
    assert_eq!(share.read("d/a").unwrap(), b"hello");
    assert_eq!(offset(&share, &place), 5);
}

#[test]
fn an_upload_is_waited_for_as_long_as_a_piece_of_it_was_coming_lately() {
    let mut share = Share::open(&[]);
    let [fresh, old] = ["a", "b"].map(|name| begin(&share, &["Upload-Length: 5", &metadata(&[("filename", name)])]));
    for place in [&fresh, &old] {
        assert_eq!(patch(&share, place, 0, &[], b"he").status, 204);
    }
    share.house.kill();
    // Both were begun long ago, and since then nothing was written down of them; but one goes on.
    let nook = share.folder().join(".hythe-tus");
    for place in [&fresh, &old] {
        let state = nook.join(format!("{}.info", &place[5..]));
        let mut known: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        known["until"] = json!(1);
        fs::write(&state, known.to_string()).unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    fs::File::options().write(true).open(nook.join(&old[5..])).unwrap().set_modified(long_ago).unwrap();
    share.house.restart();
    assert_eq!(offset(&share, &fresh), 2);
    assert_eq!(share.ask(&format!("HEAD {old}"), &[TUS]).status, 404);
    assert_eq!(patch(&share, &fresh, 2, &[], b"llo").status, 204);
    share.comes_to_hold(&[".hythe-tus/", &format!(".hythe-tus/{}.info", &fresh[5..]), "a"]);
}

#[test]
fn what_is_not_tus_is_refused() {
    let share = Share::open(&[]);
    share.plant("taken", "old");
    share.plant("folder/x", "x");
    let create = |fields: &[&str]| share.send("POST /tus", fields, "");
    for (fields, status, code) in [
        (&["Upload-Length: 5"][..], 412, "wrong_version"),
        (&["Tus-Resumable: 0.2.2", "Upload-Length: 5"], 412, "wrong_version"),
        (&[TUS], 400, "bad_header"),
        (&[TUS, "Upload-Length: -1"], 400, "bad_header"),
        (&[TUS, "Upload-Length: 1e3"], 400, "bad_header"),
        (&[TUS, "Upload-Length: 5", "Upload-Defer-Length: 1"], 400, "bad_header"),
        (&[TUS, "Upload-Defer-Length: 0"], 400, "bad_header"),
        (&[TUS, "Upload-Length: 5", "Upload-Concat: partial"], 400, "bad_header"),
        (&[TUS, "Upload-Length: 5", "Upload-Metadata: filename @@"], 400, "bad_header"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "..")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a\0b")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "~a")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a"), ("dir", "../x")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a"), ("dir", "~ada")])], 400, "bad_name"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a"), ("private", "1")])], 401, "unauthorized"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a"), ("private", "x")])], 400, "bad_field"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "a"), ("on_conflict", "x")])], 400, "bad_query"),
        (&[TUS, "Upload-Length: 5", &metadata(&[("filename", "taken")])], 409, "file_exists"),
        (
            &[TUS, "Upload-Length: 5", &metadata(&[("filename", "folder"), ("on_conflict", "overwrite")])],
            409,
            "is_folder",
        ),
    ] {
        let answer = create(fields);
        assert!(answer.is(status, code), "{fields:?}: {answer:?}");
        assert_eq!(answer.field("tus-resumable"), Some("1.0.0"));
        assert_eq!(answer.field("tus-version").is_some(), status == 412);
    }
    assert_eq!(create(&[TUS, "Upload-Length: 5", "Upload-Metadata:"]).status, 201, "an empty field is none");
    let place = begin(&share, &["Upload-Length: 5"]);
    let line = format!("PATCH {place}");
    for (fields, status, code) in [
        (&[PIECE, "Upload-Offset: 0"][..], 412, "wrong_version"),
        (&[TUS, "Upload-Offset: 0"], 415, "unsupported_media_type"),
        (&[TUS, "Content-Type: text/plain", "Upload-Offset: 0"], 415, "unsupported_media_type"),
        (&[TUS, PIECE], 400, "bad_header"),
        (&[TUS, PIECE, "Upload-Offset: x"], 400, "bad_header"),
        (&[TUS, PIECE, "Upload-Offset: 0", "Upload-Offset: 0"], 400, "bad_header"),
        (&[TUS, PIECE, "Upload-Offset: 0", "Content-Encoding: gzip"], 415, "encoded_body"),
    ] {
        let answer = share.send(&line, fields, "hello");
        assert!(answer.is(status, code), "{fields:?}: {answer:?}");
    }
    assert!(patch(&share, &place, 0, &[], b"hello!").is(413, "too_large"));
    let fields = [TUS, PIECE, "Upload-Offset: 0"];
    assert!(share.send_chunked(&line, &fields, b"hello!", 3).is(413, "too_large"));
    assert_eq!(share.ask(&format!("HEAD {place}"), &[]).status, 412);
    for unknown in ["/tus/x", "/tus/00000000000000000000000000000000", "/tus/%2e%2e"] {
        assert!([404, 403].contains(&share.ask(&format!("HEAD {unknown}"), &[TUS]).status), "{unknown}");
    }
}

#[test]
fn a_name_that_is_taken_meanwhile_costs_nobody_a_byte() {
    let share = Share::open(&[]);
    for (on_conflict, expected, kept) in
        [("error", "a (2).txt", "new"), ("rename", "a (2).txt", "new"), ("overwrite", "a.txt", "hello")]
    {
        let place =
            begin(&share, &["Upload-Length: 5", &metadata(&[("filename", "a.txt"), ("on_conflict", on_conflict)])]);
        share.plant("a.txt", "new");
        let last = patch(&share, &place, 0, &[], b"hello");
        let location = format!("/files/{}", expected.replace(' ', "%20").replace('(', "%28").replace(')', "%29"));
        let found = last.field("content-location").unwrap().to_owned();
        assert!(
            last.status == 204
                && [location.as_str(), &format!("/files/{}", expected.replace(' ', "%20"))].contains(&found.as_str()),
            "{last:?}"
        );
        assert_eq!(share.read(expected).unwrap(), b"hello");
        assert_eq!(share.read("a.txt").unwrap(), kept.as_bytes());
        for name in ["a.txt", "a (2).txt"] {
            let _ = fs::remove_file(share.folder().join(name));
        }
    }
    let place = begin(&share, &["Upload-Length: 5", &metadata(&[("filename", "b"), ("on_conflict", "overwrite")])]);
    share.plant("b/c", "x");
    assert_eq!(
        patch(&share, &place, 0, &[], b"hello").field("content-location").map(|found| found.starts_with("/files/b%20")),
        Some(true)
    );
    let place = begin(&share, &["Upload-Length: 5", &metadata(&[("filename", "x"), ("dir", "d")])]);
    share.plant("d", "a file where a folder would have to be");
    assert!(patch(&share, &place, 0, &[], b"hello").is(409, "not_a_folder"));
    fs::remove_file(share.folder().join("d")).unwrap();
    assert_eq!(
        patch(&share, &place, 5, &[], b"").field("content-location"),
        Some("/files/d/x"),
        "it only has to be asked again"
    );
}

#[test]
fn whoever_comes_later_takes_an_upload_over() {
    let share = Share::open(&[]);
    let place = begin(&share, &["Upload-Length: 1000000", &metadata(&[("filename", "a")])]);
    let bytes = noise(1_000_000);
    let mut hangs = share.connect();
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 1000000"];
    hangs.send(&[share.head(&format!("PATCH {place}"), &fields).as_slice(), &bytes[..600_000]].concat());
    // Its client has gone without a word; the same client comes again.
    assert!(comes_to_be(|| offset(&share, &place) > 0));
    // Some of what was sent before may be written down meanwhile.
    let mut last = None;
    let is_taken_over = comes_to_be(|| {
        let at = offset(&share, &place);
        last.insert(patch(&share, &place, at, &[], &bytes[at..])).status != 409
    });
    let last = last.expect("an answer");
    assert!(is_taken_over, "{last:?}");
    assert_eq!((last.status, last.field("content-location")), (204, Some("/files/a")), "{last:?}");
    let _ = hangs.send_quietly(&bytes[600_000..]);
    assert!(share.read("a").unwrap() == bytes);
    drop(hangs);
    share.comes_to_hold(&[".hythe-tus/", &format!(".hythe-tus/{}.info", &place[5..]), "a"]);
    assert!(share.read("a").unwrap() == bytes);
}

#[test]
fn there_are_so_many_unfinished_uploads_of_one_address_and_not_one_more() {
    let share = Share::open(&[]);
    let places: Vec<String> = (0..64).map(|_| begin(&share, &["Upload-Length: 5"])).collect();
    let one_more = share.send("POST /tus", &[TUS, "Upload-Length: 5"], "");
    assert!(one_more.is(429, "too_many_uploads") && one_more.field("retry-after").is_some(), "{one_more:?}");
    assert_eq!(patch(&share, &places[0], 0, &[], b"hello").status, 204);
    begin(&share, &["Upload-Length: 5"]);
    assert_eq!(share.send("POST /tus", &[TUS, "Upload-Length: 5"], "").status, 429);
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed() {
    let mut share = Share::open(&[]);
    let bytes = noise(900_000);
    let place = begin(&share, &["Upload-Length: 900000", &metadata(&[("filename", "a")])]);
    let checked = begin(&share, &["Upload-Length: 10"]);
    let finished = share.send("POST /tus", &[TUS, PIECE, "Upload-Length: 5", &metadata(&[("filename", "b")])], "hello");
    let finished = finished.field("location").unwrap().to_owned();
    assert_eq!(patch(&share, &place, 0, &[], &bytes[..100]).status, 204);
    let mut cut = share.connect();
    let fields = [TUS, PIECE, "Upload-Offset: 100", "Content-Length: 899900"];
    cut.send(&[share.head(&format!("PATCH {place}"), &fields).as_slice(), &bytes[100..800_000]].concat());
    let mut unchecked = share.connect();
    let sum = "Upload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    let fields = [TUS, PIECE, "Upload-Offset: 0", "Content-Length: 10", sum];
    unchecked.send(&[share.head(&format!("PATCH {checked}"), &fields).as_slice(), b"hello"].concat());
    assert!(comes_to_be(|| offset(&share, &place) > 100));
    let leftover = share.folder().join(".hythe-tus").join("0".repeat(32));
    fs::write(&leftover, "a leftover").unwrap();
    // What is young may be at work in another process.
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(&leftover).unwrap().set_modified(yesterday).unwrap();
    share.house.kill_and_restart();
    assert_eq!(offset(&share, &checked), 0, "what was not checked does not count");
    let at = offset(&share, &place);
    assert!((100..=800_000).contains(&at), "{at}");
    assert!(patch(&share, &place, at + 1, &[], b"x").is(409, "wrong_offset"));
    assert_eq!(patch(&share, &place, at, &[], &bytes[at..]).field("content-location"), Some("/files/a"));
    assert!(share.read("a").unwrap() == bytes);
    let again = patch(&share, &finished, 5, &[], b"");
    assert_eq!((again.status, again.field("content-location")), (204, Some("/files/b")), "{again:?}");
    assert!(!leftover.exists(), "leftovers go");
}
