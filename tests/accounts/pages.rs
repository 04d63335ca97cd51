//! The pages and their parts, whatever `www/` holds.

use std::fs;
use std::io::Read;

use crate::place::{HTML, Place, cookie};
use crate::wire::comes_to_be;

/// Every page there is.
pub const PAGES: [&str; 7] = ["/files-ui", "/chat", "/login", "/register", "/reset-password", "/account", "/admin"];

/// What a page names: the values of `href`, `src` and `action`.
fn named(page: &str) -> Vec<&str> {
    let pieces = ["href=\"", "src=\"", "action=\""].iter().flat_map(|name| page.split(name).skip(1));
    pieces.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_page_is_served_with_its_policy_and_names_only_what_is_there() {
    for prefix in ["", "/p"] {
        let place = Place::open(if prefix.is_empty() { &[] } else { &["--path-prefix", "/p"] });
        for page in PAGES {
            let answer = place.get(&format!("{prefix}{page}"), &[HTML]);
            assert_eq!(
                (answer.status, answer.field("Content-Type")),
                (200, Some("text/html; charset=utf-8")),
                "{page}"
            );
            let policy = answer.field("Content-Security-Policy").expect("a policy");
            assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'; form-action 'self'; base-uri 'none'"), "{policy}");
            assert_eq!(answer.field("Referrer-Policy"), Some("same-origin"));
            let text = answer.text();
            assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"), "{text}");
            for address in named(&text).into_iter().filter(|address| !address.starts_with('#')) {
                assert!(address.starts_with(&format!("{prefix}/")), "{page} names {address}");
                let there = place.get(address, &[HTML]);
                assert!(matches!(there.status, 200 | 303 | 405), "{page} names {address}, which is {}", there.status);
            }
            let head = place.ask(&format!("HEAD {prefix}{page}"), &[HTML], "");
            assert_eq!((head.status, head.text().as_str()), (200, ""), "{page}");
            match answer.field("ETag") {
                Some(tag) => {
                    let again = place.get(&format!("{prefix}{page}"), &[&format!("If-None-Match: {tag}")]);
                    assert_eq!((again.status, again.field("ETag")), (304, Some(tag)), "{page}");
                }
                None => assert_eq!(answer.field("Cache-Control"), Some("no-store"), "{page}"),
            }
            assert_eq!(place.ask(&format!("DELETE {prefix}{page}"), &[], "").status, 405, "{page}");
        }
    }
}

#[test]
fn the_parts_of_the_pages_are_the_built_in_ones_whatever_the_folder_holds() {
    let place = Place::open(&[]);
    let folder = place.house.folder().join("www");
    fs::create_dir_all(folder.join("_hythe")).unwrap();
    fs::write(folder.join("_hythe/style.css"), "theirs").unwrap();
    fs::write(folder.join("_hythe/login.html"), "theirs").unwrap();
    fs::write(folder.join("chat"), "theirs").unwrap();
    for (part, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("common.js", "text/javascript; charset=utf-8"),
        ("logo.svg", "image/svg+xml"),
    ] {
        let answer = place.get(&format!("/_hythe/{part}"), &[]);
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some(kind)), "{part}");
        assert_ne!(answer.text(), "theirs", "{part}");
        let tag = answer.field("ETag").expect("a tag").to_owned();
        assert_eq!(place.get(&format!("/_hythe/{part}"), &[&format!("If-None-Match: {tag}")]).status, 304);
        let squeezed = place.get(&format!("/_hythe/{part}"), &["Accept-Encoding: gzip, br"]);
        assert_eq!(
            (squeezed.field("Content-Encoding"), squeezed.field("Vary")),
            (Some("gzip"), Some("Accept-Encoding"))
        );
        assert_ne!(squeezed.field("ETag"), Some(&*tag), "{part}");
        let mut whole = String::new();
        flate2::read::GzDecoder::new(&squeezed.body[..]).read_to_string(&mut whole).unwrap();
        assert_eq!((whole, answer.field("Vary")), (answer.text(), Some("Accept-Encoding")), "{part}");
    }
    assert_ne!(place.get("/chat", &[]).text(), "theirs");
    for missing in ["/_hythe/login.html", "/_hythe/", "/_hythe", "/_hythe/style.css/", "/_hythe/a/b"] {
        assert_eq!(place.get(missing, &[]).status, 404, "{missing}");
    }
}

#[test]
fn the_front_page_is_the_files_page_where_the_folder_has_none() {
    let place = Place::open(&[]);
    let own = place.get("/", &[HTML]).text();
    fs::remove_file(place.house.folder().join("www").join("index.html")).unwrap();
    // It is seen at the next look at the folder.
    assert!(comes_to_be(|| place.get("/", &[HTML]).text() != own));
    let built = place.get("/", &[HTML]).text();
    let shown = place.get("/files-ui", &[HTML]).text();
    assert_eq!(built.replace("=\"./", "=\"/"), shown);
    assert!(shown.contains("<input type=\"file\" name=\"file\""), "{shown}");
    assert_eq!(place.get("/favicon.ico", &[]).status, 200);
}

#[test]
fn a_refusal_is_a_page_with_the_navigation_of_all_others() {
    let place = Place::open(&["--path-prefix", "/p"]);
    for (line, status) in [("GET /p/missing/deep", 404), ("DELETE /p/chat", 405), ("GET /p/file-list?sort=x", 400)] {
        let answer = place.ask(line, &[HTML], "");
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.text().contains("href=\"/p/_hythe/style.css\""), "{line}: {answer:?}");
        assert!(answer.text().contains("<a href=\"/p/chat\">Chat</a>"), "{line}: {answer:?}");
    }
}

#[test]
fn what_is_refused_of_a_static_file_is_told_on_the_same_page_and_with_its_fields() {
    let place = Place::open(&[]);
    for (line, field, status, name, value) in [
        ("POST /index.html", "", 405, "Allow", "GET, HEAD, OPTIONS"),
        ("GET /index.html", "Range: bytes=9999999-", 416, "Content-Range", "bytes */"),
        ("GET /index.html", "If-Match: \"other\"", 412, "Cache-Control", "no-store"),
    ] {
        let fields = [HTML, field];
        let answer = place.ask(line, if field.is_empty() { &fields[..1] } else { &fields }, "");
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.field(name).is_some_and(|given| given.starts_with(value)), "{line}: {answer:?}");
        assert!(answer.text().contains("<a href=\"/chat\">Chat</a>"), "{line}: {answer:?}");
        let answer = place.ask(line, if field.is_empty() { &[] } else { &fields[1..] }, "");
        assert_eq!((answer.status, answer.field("Content-Type")), (status, Some("application/problem+json")), "{line}");
        assert!(answer.field(name).is_some_and(|given| given.starts_with(value)), "{line}: {answer:?}");
    }
}

#[test]
fn the_front_page_is_the_files_page_though_folders_are_listed() {
    let place = Place::open(&["--list"]);
    let www = place.house.folder().join("www");
    let _ = fs::remove_file(www.join("index.html"));
    fs::create_dir_all(www.join("listed")).unwrap();
    fs::write(www.join("listed/hello.txt"), "hello").unwrap();
    for accept in [HTML, "Accept: application/json"] {
        // It is seen at the next look at the folder.
        let front = || place.get("/", &[accept]).text();
        assert!(comes_to_be(|| front().contains("<input type=\"file\" name=\"file\"")), "{}", front());
    }
    assert!(place.get("/listed/", &[HTML]).text().contains("hello.txt"));
}

#[test]
fn a_guest_whose_form_is_refused_is_shown_where_one_signs_in() {
    for (flags, has_link) in
        [(&["--shared-write", "user"][..], true), (&["--shared-write", "user", "--no-accounts"], false)]
    {
        let place = Place::open(flags);
        let answer = place.ask("POST /upload", &["Content-Type: multipart/form-data; boundary=b", HTML], "--b--\r\n");
        assert_eq!(answer.status, 401);
        let page = answer.text();
        assert_eq!(page.contains("<a href=\"/login?next=/files-ui\">Sign in</a>"), has_link, "{page}");
    }
}

#[test]
fn my_files_leads_to_ones_own_or_to_where_one_signs_in() {
    let place = Place::open(&[]);
    let answer = place.get("/_hythe/mine", &[HTML]);
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/login?next=%2F_hythe%2Fmine")));
    place.register("ada");
    let answer = place.ask("POST /login", &[crate::place::FORM, HTML], "username=ada&password=correct+horse");
    let answer = place.get("/_hythe/mine", &[HTML, &cookie(&answer)]);
    assert_eq!((answer.status, answer.field("Location")), (303, Some("/file-list?prefix=~ada")));
}
