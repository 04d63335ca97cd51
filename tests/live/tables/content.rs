//! What a file is sent as: its type, its disposition, its packed siblings, and the fields around it (RFC 9110, sections
//! 8 and 12; API.md, sections 1 and 2).

use crate::case::{Case, case};
use crate::expect::{Expect, any, is};
use crate::house::{HELLO, SCRIPT, STYLE, STYLE_BR, STYLE_GZ, big};
use crate::request::{ask, get, get_with};

const TYPE: &str = "RFC 9110 section 8.3";
const CODING: &str = "RFC 9110 section 12.5.3";

/// What a row of codings is answered with.
type Answers = fn() -> Expect;

fn style(accept: &str) -> Vec<u8> {
    get_with("/style.css", &[&format!("Accept-Encoding: {accept}")])
}

fn plain() -> Expect {
    is(200).body(STYLE).without("Content-Encoding").lists("Vary", "Accept-Encoding").header("ETag", "$css")
}

fn packed(coding: &'static str, body: &'static str) -> Expect {
    is(200).body(body).header("Content-Encoding", coding).lists("Vary", "Accept-Encoding").header_like(
        "Content-Type",
        "that of the plain file",
        |value| value.starts_with("text/css"),
    )
}

fn gzip() -> Expect {
    packed("gzip", STYLE_GZ).header("ETag", "$gz")
}

fn brotli() -> Expect {
    packed("br", STYLE_BR)
}

fn one_of_them() -> Expect {
    is(200).check(|answer, _| match answer.field("content-encoding") {
        Some("gzip") if answer.body == STYLE_GZ.as_bytes() => Ok(()),
        Some("br") if answer.body == STYLE_BR.as_bytes() => Ok(()),
        other => Err(format!("Content-Encoding is {other:?}, or the body is another's")),
    })
}

/// Where folders are listed: `.well-known/` has no index.
pub fn of_listed_folders() -> Vec<Case> {
    const CHOICE: &str = "RFC 9110 section 12.5.1";
    let page = || is(200).header("Content-Type", "text/html; charset=utf-8").lists("Vary", "Accept");
    let document = || is(200).header("Content-Type", "application/json").lists("Vary", "Accept");
    vec![
        case("A folder is listed as a page to who says nothing", CHOICE, get("/.well-known/"), page()),
        case(
            "A folder is listed as a page to who takes all",
            CHOICE,
            get_with("/.well-known/", &["Accept: */*"]),
            page(),
        ),
        case(
            "A folder is listed as a page to a browser",
            CHOICE,
            get_with("/.well-known/", &["Accept: text/html,*/*;q=0.8"]),
            page(),
        ),
        case(
            "A folder is listed as a document to who asks for one",
            CHOICE,
            get_with("/.well-known/", &["Accept: application/json"]),
            document(),
        ),
        case(
            "A document wins where it is preferred",
            CHOICE,
            get_with("/.well-known/", &["Accept: text/html;q=0.5, application/json"]),
            document(),
        ),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, kinds, attached) in [
        ("/page.html", &["text/html; charset=utf-8"][..], false),
        ("/SHOUTED.HTML", &["text/html; charset=utf-8"], false),
        ("/style.css", &["text/css; charset=utf-8"], false),
        ("/app.js", &["text/javascript; charset=utf-8", "application/javascript; charset=utf-8"], false),
        ("/module.mjs", &["text/javascript; charset=utf-8", "application/javascript; charset=utf-8"], false),
        ("/facts.json", &["application/json", "application/json; charset=utf-8"], false),
        ("/drawing.svg", &["image/svg+xml", "image/svg+xml; charset=utf-8"], false),
        (
            "/feed.xml",
            &["application/xml", "text/xml", "application/xml; charset=utf-8", "text/xml; charset=utf-8"],
            false,
        ),
        ("/pixel.png", &["image/png"], false),
        ("/picture.webp", &["image/webp"], false),
        ("/icon.ico", &["image/x-icon", "image/vnd.microsoft.icon"], false),
        ("/face.woff2", &["font/woff2"], false),
        ("/code.wasm", &["application/wasm"], false),
        ("/paper.pdf", &["application/pdf"], false),
        ("/clip.mp4", &["video/mp4"], false),
        ("/data.bin", &["application/octet-stream"], false),
        ("/thing.zzz", &["application/octet-stream"], false),
        ("/LICENSE", &["application/octet-stream", "text/plain; charset=utf-8"], false),
        ("/style.css.gz", &["application/gzip", "application/x-gzip"], false),
        ("/hello.txt", &["text/plain; charset=utf-8"], true),
        ("/photo.jpg", &["image/jpeg"], true),
        ("/photo.jpeg", &["image/jpeg"], true),
        ("/PHOTO.JPG", &["image/jpeg"], true),
    ] {
        let expect = is(200).check(move |answer, _| {
            let kind = answer.field("content-type").unwrap_or_default().to_ascii_lowercase();
            if !kinds.contains(&kind.as_str()) {
                return Err(format!("Content-Type is {kind:?} and not {}", kinds[0]));
            }
            match (attached, answer.field("content-disposition")) {
                (true, Some(value)) if value.starts_with("attachment") => Ok(()),
                (false, None) => Ok(()),
                (_, value) => Err(format!("Content-Disposition is {value:?}")),
            }
        });
        let manner = if attached { "to be kept" } else { "to be shown" };
        let row =
            case(format!("{path} is sent as {}, {manner}", kinds[0]), TYPE, get_with(path, &["X-Row: type"]), expect);
        cases.push(row.keeps_word());
    }
    cases.extend([
        // The fields around it.
        case(
            "What is attached keeps its part's manner",
            "RFC 6266 section 4.2",
            get_with("/hello.txt", &["Range: bytes=0-3"]),
            is(206).header_like("Content-Disposition", "attachment", |value| value.starts_with("attachment")),
        ),
        case(
            "What is attached tells a HEAD so",
            "RFC 6266 section 4.2",
            ask("HEAD", "/photo.jpg", &[]),
            is(200)
                .for_head()
                .header_like("Content-Disposition", "attachment", |value| value.starts_with("attachment")),
        ),
        case(
            "A length is told, not chunks, where it is known",
            "RFC 9112 section 6.3",
            get("/big.bin"),
            is(200).header("Content-Length", "307200").without("Transfer-Encoding").body(big()),
        ),
        case(
            "A missing page has no disposition",
            "RFC 6266 section 4",
            get("/missing.txt"),
            is(404).without("Content-Disposition"),
        ),
        case(
            "No cookie is set by a page",
            "API.md section 6",
            get_with("/page.html", &["X-Row: cookie"]),
            is(200).without("Set-Cookie"),
        ),
        case(
            "No origin is let in by default",
            "API.md section 1",
            get_with("/page.html", &["Origin: http://evil.test"]),
            is(200).without("Access-Control-Allow-Origin").without("Access-Control-Allow-Credentials"),
        ),
        case(
            "No origin is let in by a preflight",
            "API.md section 1",
            ask("OPTIONS", "/send", &["Origin: http://evil.test", "Access-Control-Request-Method: POST"]),
            any(&[204, 200, 403]).without("Access-Control-Allow-Origin"),
        )
        .keeps_word(),
        case(
            "The health page is JSON that says ok",
            "API.md section 2",
            get("/healthz"),
            is(200).json("status", "ok").header("Content-Type", "application/json").header("Cache-Control", "no-store"),
        ),
        case("The health page has a HEAD", "RFC 9110 section 9.3.2", ask("HEAD", "/healthz", &[]), is(200).for_head()),
        case(
            "The limits can be read",
            "API.md section 2",
            get("/api"),
            is(200).json("name", "hythe").header("Content-Type", "application/json"),
        ),
        case(
            "The description can be read",
            "API.md section 2",
            get("/openapi.json"),
            is(200)
                .header("Content-Type", "application/json")
                .header_like("Content-Length", "a length", |value| value != "0"),
        ),
        // Siblings.
        case("Without a word about codings the plain file is sent", CODING, get("/style.css"), plain()),
        case(
            "A HEAD of a packed file is a packed file's",
            CODING,
            ask("HEAD", "/style.css", &["Accept-Encoding: gzip"]),
            is(200).for_head().header("Content-Encoding", "gzip").header_like(
                "Content-Length",
                "the packed one's",
                |value| value == STYLE_GZ.len().to_string(),
            ),
        ),
        case(
            "Two lines of codings are one list",
            "RFC 9110 section 5.3",
            get_with("/style.css", &["Accept-Encoding: deflate", "Accept-Encoding: gzip"]),
            gzip(),
        ),
        case(
            "A file without siblings is plain whatever is taken",
            CODING,
            get_with("/app.js", &["Accept-Encoding: gzip, br"]),
            is(200).body(SCRIPT).without("Content-Encoding"),
        ),
        case(
            "A packed file asked for by its name is itself",
            CODING,
            get_with("/style.css.gz", &["Accept-Encoding: gzip"]),
            is(200).body(STYLE_GZ).without("Content-Encoding"),
        ),
        case(
            "An attached file is plain whatever is taken",
            CODING,
            get_with("/hello.txt", &["Accept-Encoding: gzip"]),
            is(200).body(HELLO).without("Content-Encoding"),
        ),
        case(
            "Nothing at all may be taken, and the plain file or a refusal is sent",
            CODING,
            style("*;q=0"),
            any(&[200, 406]),
        ),
        case("Neither plain nor ours may be taken", CODING, style("identity;q=0, deflate"), any(&[200, 406])),
    ]);
    let rows: [(&str, Answers); 28] = [
        ("gzip", gzip),
        ("br", brotli),
        ("GZip", gzip),
        ("gzip;q=1.0", gzip),
        ("gzip ; q=0.5", gzip),
        ("gzip;q=0.001", gzip),
        ("deflate, gzip", gzip),
        ("deflate,gzip;q=0.3", gzip),
        (", gzip,", gzip),
        ("gzip;q=1, br;q=0", gzip),
        ("br;q=0.1, gzip;q=0.9", gzip),
        ("gzip;q=0.1, br;q=0.9", brotli),
        ("gzip;q=0, br", brotli),
        ("gzip, br;q=0", gzip),
        ("identity;q=0, gzip", gzip),
        ("identity;q=0.5, gzip;q=1", gzip),
        ("gzip, deflate, br", one_of_them),
        ("*", one_of_them),
        ("", plain),
        ("identity", plain),
        ("deflate", plain),
        ("gzip;q=0", plain),
        ("gzip;q=0.000, br;q=0", plain),
        ("br;q=0, *;q=0, identity", plain),
        ("gzipped", plain),
        ("xgzip", plain),
        ("gzi", plain),
        ("\"gzip\"", plain),
    ];
    for (accept, expect) in rows {
        cases.push(case(format!("Accept-Encoding: {accept:?} gets what it asks for"), CODING, style(accept), expect()));
    }
    for accept in ["x-gzip", "gzip;q=2", "gzip;q=x", "gzip;q", "identity, gzip;q=0.5", "*;q=0.1, gzip;q=0"] {
        let row = case(format!("Accept-Encoding: {accept:?} breaks nothing"), CODING, style(accept), any(&[200, 406]));
        cases.push(row);
    }
    cases
}
