//! What goes out: files, ranges, lists.

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use crate::share::{Share, noise};

#[test]
fn a_file_is_a_download_and_runs_nothing() {
    let share = Share::open(&[]);
    share.plant("a b/é.html", "<script>");
    share.plant("a.png", "png");
    let answer = share.get("/files/a%20b/%C3%A9.html");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"<script>"[..]));
    assert_eq!(
        answer.field("content-disposition"),
        Some("attachment; filename=\"_.html\"; filename*=UTF-8''%C3%A9.html")
    );
    assert_eq!(answer.field("content-security-policy"), Some("sandbox; default-src 'none'"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("accept-ranges"), Some("bytes"));
    let inline = share.get("/files/a.png?inline=1");
    assert_eq!(inline.field("content-disposition"), Some("inline; filename=\"a.png\""));
    let html = share.get("/files/a%20b/%C3%A9.html?inline=1");
    assert!(html.field("content-disposition").unwrap().starts_with("attachment"));
    let head = share.ask("HEAD /files/a.png", &[]);
    assert_eq!(
        (head.status, head.field("content-length"), head.field("content-type")),
        (200, Some("3"), Some("image/png"))
    );

    let info = share.get("/file-info/a%20b/%C3%A9.html");
    assert_eq!(info.status, 200);
    let info = info.json();
    assert_eq!(info["etag"].as_str(), answer.field("etag"));
    assert_eq!((&info["path"], &info["size"]), (&json!("a b/é.html"), &json!(8)));
    assert_eq!(info["url"], "/files/a%20b/%C3%A9.html");
}

#[test]
fn ranges_and_conditions_are_kept_to() {
    let share = Share::open(&[]);
    let bytes = noise(300_000);
    share.plant("a.bin", &bytes);
    let tag = share.get("/files/a.bin").field("etag").unwrap().to_owned();
    let get = |fields: &[&str]| share.ask("GET /files/a.bin", fields);
    let part = get(&["Range: bytes=100000-250000"]);
    assert_eq!((part.status, part.field("content-range")), (206, Some("bytes 100000-250000/300000")));
    assert!(part.body == bytes[100_000..=250_000]);
    assert!(part.field("content-disposition").unwrap().starts_with("attachment"));
    let tail = get(&["Range: bytes=-5", &format!("If-Range: {tag}")]);
    assert_eq!((tail.status, tail.body.as_slice()), (206, &bytes[299_995..]));
    assert_eq!(get(&["Range: bytes=-5", "If-Range: \"other\""]).body.len(), 300_000);
    let parts = get(&["Range: bytes=0-1,-2"]);
    assert_eq!(parts.status, 206);
    assert!(parts.field("content-type").unwrap().starts_with("multipart/byteranges"));
    assert_eq!(parts.field("content-security-policy"), Some("sandbox; default-src 'none'"));
    let beyond = get(&["Range: bytes=300000-"]);
    assert_eq!((beyond.status, beyond.field("content-range")), (416, Some("bytes */300000")));
    let known = get(&[&format!("If-None-Match: {tag}")]);
    assert_eq!((known.status, known.field("etag"), known.body.len()), (304, Some(tag.as_str()), 0));
    assert_eq!(get(&["If-Match: \"other\""]).status, 412);
}

#[test]
fn what_is_no_shared_file_is_not_found() {
    let share = Share::open(&[]);
    share.plant("folder/a", "a");
    share.plant("~ada/a", "private");
    share.plant(".hidden", "hidden");
    fs::write(share.house.folder().join("secret"), "secret").unwrap();
    symlink("../secret", share.folder().join("link")).unwrap();
    symlink("folder", share.folder().join("way")).unwrap();
    symlink("a", share.folder().join("folder/inside")).unwrap();
    mknodat(CWD, share.folder().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let long = format!("/files/{}", "n".repeat(300));
    for (path, status) in [
        ("nothing", 404),
        ("folder", 404),
        ("folder/", 404),
        ("folder/a/", 404),
        ("folder/a/b", 404),
        ("", 404),
        ("~ada/a", 404),
        (".hidden", 404),
        ("link", 404),
        ("way/a", 404),
        ("folder/inside", 404),
        ("pipe", 404),
        ("../secret", 403),
        ("%2e%2e/secret", 403),
        ("%252e%252e/secret", 404),
        ("..%2fsecret", 400),
        ("a%5cb", 400),
        ("a%00", 400),
        ("%c0%ae%c0%ae/secret", 400),
        (&long["/files/".len()..], 404),
    ] {
        for route in ["files", "file-info"] {
            let answer = share.get(&format!("/{route}/{path}"));
            assert_eq!(answer.status, status, "{route} {path}: {answer:?}");
        }
    }
    let list = share.get("/file-list").json();
    assert_eq!((&list["dirs"], list["files"].as_array().unwrap().len()), (&json!(["folder"]), 0));
}

/// The names on a page of a list, folders with a slash, and what leads to the next.
fn names(share: &Share, query: &str) -> (Vec<String>, Option<String>) {
    let answer = share.get(&format!("/file-list?{query}"));
    assert_eq!((answer.status, answer.field("vary")), (200, Some("Accept")), "{query}: {answer:?}");
    let page = answer.json();
    let dirs = page["dirs"].as_array().unwrap().iter().map(|dir| format!("{}/", dir.as_str().unwrap()));
    let files = page["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned());
    (dirs.chain(files).collect(), page["next"].as_str().map(str::to_owned))
}

#[test]
fn lists_are_sorted_paged_and_searched() {
    let share = Share::open(&[]);
    for (path, size, minutes) in
        [("b.txt", 3, 1), ("a:1&x.txt", 2, 3), ("c.txt", 1, 2), ("x/y/Deep c.txt", 4, 4), ("x/b", 1, 5)]
    {
        share.plant(path, noise(size));
        let file = fs::File::options().append(true).open(share.folder().join(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minutes)).unwrap();
    }
    let first = |query: &str| names(&share, query).0;
    assert_eq!(first(""), ["x/", "a:1&x.txt", "b.txt", "c.txt"]);
    assert_eq!(first("sort=size"), ["x/", "c.txt", "a:1&x.txt", "b.txt"]);
    assert_eq!(first("sort=time&order=desc"), ["x/", "a:1&x.txt", "c.txt", "b.txt"]);
    assert_eq!(first("prefix=x"), ["y/", "x/b"]);
    assert_eq!(first("prefix=x/y/"), ["x/y/Deep c.txt"]);
    assert_eq!(first("q=C"), ["c.txt", "x/y/Deep c.txt"]);
    assert_eq!(first("q=deep&prefix=x"), ["x/y/Deep c.txt"]);
    for sort in ["sort=name", "sort=size&order=desc", "sort=time&order=asc"] {
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let (page, next) = names(&share, &format!("{sort}&limit=1{after}"));
            assert_eq!(page.len(), 1);
            paged.extend(page);
            let Some(next) = next else { break };
            after = format!("&after={}", next.replace('&', "%26"));
        }
        assert_eq!(paged, first(sort), "{sort}");
    }
    for query in
        ["limit=0", "limit=a", "sort=x", "order=x", "prefix=../", "after=x&sort=size", "q=%zz", "limit=1&limit=2"]
    {
        assert!(share.get(&format!("/file-list?{query}")).is(400, "bad_query"), "{query}");
    }
    for query in ["prefix=nothing", "prefix=b.txt", "prefix=.git", "prefix=~ada"] {
        assert_eq!(share.get(&format!("/file-list?{query}")).status, 404, "{query}");
    }
    let page = share.ask("GET /file-list", &["Accept: text/html"]);
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert_eq!((page.status, page.field("vary")), (200, Some("Accept")));
    assert!(text.contains("<a href=\"/files/a%3A1%26x.txt\"><bdi>a:1&amp;x.txt</bdi></a>"), "{text}");
}

/// The names in a tar and what they hold.
fn untar(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

/// The same of a zip.
fn unzip(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let entries = (0..archive.len()).map(|at| {
        let mut entry = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    });
    entries.collect()
}

#[test]
fn a_folder_is_to_be_had_as_one_file() {
    let share = Share::open(&[]);
    let big = noise(3_000_000);
    share.plant("trips/may/big.bin", &big);
    share.plant("trips/photo.jpg", &big);
    share.plant("trips/é.txt", "text");
    share.plant("trips/.hidden", "hidden");
    share.plant("other", "other");
    fs::create_dir(share.folder().join("trips/empty")).unwrap();
    symlink("../other", share.folder().join("trips/link")).unwrap();
    symlink("..", share.folder().join("trips/up")).unwrap();
    mknodat(CWD, share.folder().join("trips/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let names = ["trips/empty/", "trips/may/", "trips/may/big.bin", "trips/photo.jpg", "trips/é.txt"];
    let tar = share.get("/files/trips?archive=tar");
    assert_eq!((tar.status, tar.field("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(tar.field("content-type"), Some("application/x-tar"));
    assert_eq!(tar.field("content-disposition"), Some("attachment; filename=\"trips.tar\""));
    let zip = share.get("/files/trips/?archive=zip");
    assert_eq!((zip.status, zip.field("content-type")), (200, Some("application/zip")));
    for entries in [untar(&tar.body), unzip(&zip.body)] {
        assert_eq!(entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert!(entries[2].1 == big && entries[3].1 == big && entries[4].1 == b"text");
    }
    let all = share.get("/files/?archive=tar");
    assert_eq!(all.field("content-disposition"), Some("attachment; filename=\"files.tar\""));
    assert_eq!(untar(&all.body).first().map(|(name, _)| name.clone()), Some("other".to_owned()));
    let head = share.ask("HEAD /files/trips?archive=zip", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (target, status, code) in [
        ("trips?archive=rar", 400, "bad_query"),
        ("nothing?archive=tar", 404, "not_found"),
        ("other?archive=tar", 404, "not_found"),
        ("trips/link?archive=zip", 404, "not_found"),
        ("trips/up?archive=zip", 404, "not_found"),
        ("~ada?archive=zip", 404, "not_found"),
        (".git?archive=zip", 404, "not_found"),
        ("trips", 404, "not_found"),
    ] {
        let answer = share.get(&format!("/files/{target}"));
        assert!(answer.is(status, code), "{target}: {answer:?}");
    }
}

#[test]
fn a_digest_comes_with_the_file_that_asks_for_it() {
    let share = Share::open(&[]);
    share.plant("a.txt", "hello");
    let digest = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let tag = share.get("/files/a.txt").field("etag").unwrap().to_owned();
    for _ in 0..2 {
        let whole = share.get("/files/a.txt?hash=sha256");
        assert_eq!((whole.status, whole.field("repr-digest")), (200, Some(digest)));
        assert_eq!(whole.body, b"hello");
        let part = share.ask("GET /files/a.txt?hash=sha256", &["Range: bytes=0-1"]);
        assert_eq!((part.status, part.field("repr-digest"), part.body.as_slice()), (206, Some(digest), &b"he"[..]));
        assert_eq!(share.ask("HEAD /files/a.txt?hash=sha256", &[]).field("repr-digest"), Some(digest));
        let file = fs::File::options().append(true).open(share.folder().join("a.txt")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(60)).unwrap();
    }
    assert_ne!(share.get("/files/a.txt").field("etag"), Some(tag.as_str()));
    assert_eq!(share.get("/files/a.txt").field("repr-digest"), None);
    assert_eq!(share.ask("GET /files/a.txt?hash=sha256", &["If-None-Match: *"]).status, 304);
    assert!(share.get("/files/a.txt?hash=md5").is(400, "bad_query"));
    share.plant("a.txt", "other");
    assert_ne!(share.get("/files/a.txt?hash=sha256").field("repr-digest"), Some(digest));
}

#[test]
fn a_file_whose_time_is_yet_to_come_has_changed_no_later_than_now() {
    let share = Share::open(&[]);
    share.plant("a.txt", "hello");
    let file = fs::File::options().append(true).open(share.folder().join("a.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400)).unwrap();
    let answer = share.get("/files/a.txt");
    // RFC 9110, section 8.8.2.1.
    let told = httpdate::parse_http_date(answer.field("last-modified").unwrap()).unwrap();
    assert!(told <= SystemTime::now(), "{answer:?}");
}
