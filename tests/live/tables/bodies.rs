//! What the first two posts make of their bodies: their types, their limits, their words (API.md sections 1, 3 and 5).

use crate::case::{Case, case};
use crate::expect::{Expect, any, is, said};
use crate::request::{FORM, JSON, ask, ask_with_body};

const TYPE: &str = "RFC 9110 section 8.3";
const LARGE: &str = "RFC 9110 section 15.5.14";
const WORDS: &str = "API.md section 5";
const UPLOAD: &str = "API.md section 3";

fn send(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    ask_with_body("POST", "/send", fields, body)
}

fn upload(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    ask_with_body("POST", "/upload", fields, body)
}

/// An upload was kept, and is told where.
fn kept() -> Expect {
    is(201).json("status", "success").header("Cache-Control", "no-store").header_like(
        "Location",
        "a path below /files/",
        |value| value.starts_with("/files/upload_") && value.ends_with(".json"),
    )
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// Multipart with one file under this name.
fn multipart(name: &str) -> Vec<u8> {
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    upload(&["Content-Type: multipart/form-data; boundary=x"], format!("--x\r\n{disposition}\r\n\r\nabc\r\n--x--\r\n"))
}

pub fn cases() -> Vec<Case> {
    let most = "m".repeat(4096);
    vec![
        // POST /send.
        case("A form is a message", WORDS, send(&[FORM], "message=Hello"), said("Hello")),
        case(
            "A form's type has no case and may have parameters",
            TYPE,
            send(&["Content-Type: Application/X-WWW-Form-Urlencoded; charset=UTF-8"], "message=Hello"),
            said("Hello"),
        ),
        case(
            "A form's plus is a space and its escapes are bytes",
            WORDS,
            send(&[FORM], "message=a+b%26c%3Dd%C3%A9"),
            said("a b&c=dé"),
        ),
        case(
            "A form's unknown fields are passed over",
            "API.md section 1",
            send(&[FORM], "x=1&message=Hello&y="),
            said("Hello"),
        ),
        case("JSON is a message", WORDS, send(&[JSON], r#"{"message":"Hello"}"#), said("Hello")),
        case(
            "JSON may have a charset",
            TYPE,
            send(&["Content-Type: application/json; charset=utf-8"], r#"{"message":"Hello"}"#),
            said("Hello"),
        ),
        case(
            "JSON's escapes are undone",
            "RFC 8259 section 7",
            send(&[JSON], r#"{"message":"a\u00e9\n\ud83d\ude00"}"#),
            said("aé\n😀"),
        ),
        case("Plain text is a message", WORDS, send(&["Content-Type: text/plain"], "Hello"), said("Hello")),
        case(
            "A message names its room",
            WORDS,
            send(&[FORM], "message=Hello&room=lobby"),
            is(201).json("room", "lobby"),
        ),
        case("Markup is only text", WORDS, send(&[FORM], "message=<b>%3Cscript%3E"), said("<b><script>")),
        case("A tab and line ends are kept", WORDS, send(&[FORM], "message=a%09b%0D%0Ac"), said("a\tb\r\nc")),
        case("A message of 4 KiB passes", LARGE, send(&["Content-Type: text/plain"], &most), is(201)),
        case(
            "A message of 4 KiB and a byte is too large",
            LARGE,
            send(&["Content-Type: text/plain"], format!("{most}m")),
            is(413),
        )
        .keeps_word(),
        case(
            "A message of 4 KiB passes though each of its bytes is escaped",
            LARGE,
            send(&[JSON], format!("{{\"message\":\"{}\"}}", "\\u006d".repeat(4096))),
            is(201),
        ),
        case(
            "A form passes with as many other fields as it has room for",
            LARGE,
            send(&[FORM], format!("other={}&message=hi", "o".repeat(65_000))),
            is(201),
        ),
        case(
            "A form of 64 KiB and a byte is too large",
            LARGE,
            send(&[FORM], format!("message={}", "m".repeat(65_529))),
            is(413),
        )
        .keeps_word(),
        case(
            "A length over the limit is told without the body",
            LARGE,
            [ask("POST", "/send", &[FORM, "Content-Length: 70000000"]).as_slice(), b"message="].concat(),
            is(413),
        )
        .closes(),
        case("A message of nothing is refused", WORDS, send(&[FORM], "message="), is(400).code("bad_message")),
        case("A message of blanks is refused", WORDS, send(&[FORM], "message=++%09%0A"), is(400).code("bad_message")),
        case("A message with a NUL is refused", WORDS, send(&[FORM], "message=a%00b"), is(400).code("bad_message")),
        case(
            "A message with an escape byte is refused",
            WORDS,
            send(&[FORM], "message=%1B[31m"),
            is(400).code("bad_message"),
        ),
        case("A form without a message is refused", WORDS, send(&[FORM], "text=Hello"), is(400)),
        case("A form that is not UTF-8 is refused", WORDS, send(&[FORM], "message=%FF"), is(400)),
        case(
            "JSON that is none is refused",
            "RFC 8259 section 2",
            send(&[JSON], r#"{"message":"#),
            is(400).code("invalid_json"),
        ),
        case(
            "JSON that is not UTF-8 is refused",
            "RFC 8259 section 8.1",
            send(&[JSON], b"{\"message\":\"\xff\"}"),
            is(400),
        ),
        case("JSON that is no object is refused", WORDS, send(&[JSON], r#""Hello""#), is(400)),
        case(
            "JSON with an unknown member is refused by name",
            "API.md section 1",
            send(&[JSON], r#"{"message":"a","colour":"red"}"#),
            is(400).code("bad_field").check(|answer, _| match memchr::memmem::find(&answer.body, b"colour") {
                Some(_) => Ok(()),
                None => Err("the member is not named".into()),
            }),
        ),
        case(
            "JSON with a repeated member is refused",
            "API.md section 1",
            send(&[JSON], r#"{"message":"a","message":"b"}"#),
            is(400).code("bad_field"),
        ),
        case(
            "JSON with a member of the wrong type is refused",
            "API.md section 1",
            send(&[JSON], r#"{"message":5}"#),
            is(400).code("bad_field"),
        ),
        case(
            "A message of an unknown type is refused",
            TYPE,
            send(&["Content-Type: image/png"], "message=Hello"),
            is(415),
        ),
        case(
            "A message without a type is refused, or guessed",
            TYPE,
            send(&[], "message=Hello"),
            any(&[415, 400, 201]),
        ),
        case("A broken type is refused", TYPE, send(&["Content-Type: /"], "message=Hello"), any(&[415, 400])),
        case(
            "A form from a page is answered by the page",
            "API.md section 1",
            send(&[FORM, "Accept: text/html,*/*;q=0.8"], "message=Hello"),
            is(303).header_like("Location", "a path of our own", |value| {
                value.starts_with('/') && !value.starts_with("//")
            }),
        ),
        case(
            "A message to nobody's room is refused",
            WORDS,
            send(&[FORM], "message=Hello&room=No%20Such!"),
            any(&[400, 404]),
        ),
        // POST /upload.
        case("A JSON upload is kept", UPLOAD, upload(&[JSON], r#"{"a":1}"#), kept()),
        case("A JSON upload may be any value", UPLOAD, upload(&[JSON], "null"), kept()),
        case("A JSON upload may begin with blanks", UPLOAD, upload(&[JSON], " \r\n [1, 2]\n"), kept()),
        case(
            "A JSON upload may be chunked",
            UPLOAD,
            [
                ask("POST", "/upload", &[JSON, "Transfer-Encoding: chunked"]).as_slice(),
                b"3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
            ]
            .concat(),
            kept(),
        ),
        case("JSON 128 levels deep is kept", "API.md section 1", upload(&[JSON], nested(128)), kept()),
        case(
            "JSON 129 levels deep is refused",
            "API.md section 1",
            upload(&[JSON], nested(129)),
            is(400).code("invalid_json"),
        ),
        case(
            "JSON 100,000 levels deep is refused",
            "API.md section 1",
            upload(&[JSON], "[".repeat(100_000)),
            is(400).code("invalid_json"),
        ),
        case(
            "An upload of JSON that is none is refused",
            UPLOAD,
            upload(&[JSON], r#"{"a":1"#),
            is(400).code("invalid_json"),
        ),
        case("An upload of nothing as JSON is refused", UPLOAD, upload(&[JSON], ""), is(400).code("invalid_json")),
        case(
            "An upload of JSON and a rest is refused",
            UPLOAD,
            upload(&[JSON], r#"{"a":1} x"#),
            is(400).code("invalid_json"),
        ),
        case(
            "An upload of JSON that is not UTF-8 is refused",
            UPLOAD,
            upload(&[JSON], b"\"\xff\""),
            is(400).code("invalid_json"),
        ),
        case(
            "An upload of JSON of 1 MiB is kept",
            LARGE,
            upload(&[JSON], format!("\"{}\"", "j".repeat(1_048_574))),
            kept(),
        ),
        case(
            "An upload of JSON of 1 MiB and a byte is too large",
            LARGE,
            upload(&[JSON], format!("\"{}\"", "j".repeat(1_048_575))),
            is(413),
        )
        .keeps_word(),
        case(
            "An upload of JSON over the limit is told without the body",
            LARGE,
            ask("POST", "/upload", &[JSON, "Content-Length: 1048577"]),
            is(413),
        )
        .closes(),
        case(
            "An upload with a content coding is refused",
            "RFC 9110 section 15.5.16",
            upload(&[JSON, "Content-Encoding: gzip"], "{}"),
            is(415),
        )
        .keeps_word(),
        case(
            "An upload that says its coding is none is kept, or refused",
            "RFC 9110 section 8.4.1",
            upload(&[JSON, "Content-Encoding: identity"], "{}"),
            any(&[415, 201]),
        )
        .keeps_word(),
        case(
            "An upload of an unknown type needs a name",
            UPLOAD,
            upload(&["Content-Type: image/png"], "bytes"),
            is(415),
        )
        .keeps_word(),
        case(
            "Multipart without a boundary is refused",
            "RFC 7578 section 4.1",
            upload(&["Content-Type: multipart/form-data"], "--x--\r\n"),
            is(400).code("bad_multipart"),
        )
        .keeps_word(),
        case(
            "Multipart without its end is refused",
            "RFC 2046 section 5.1.1",
            upload(
                &["Content-Type: multipart/form-data; boundary=x"],
                "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut-short.bin\"\r\n\r\nabc",
            ),
            is(400).code("bad_multipart"),
        )
        .keeps_word(),
        case("A multipart file named .. is refused", UPLOAD, multipart(".."), is(400).code("bad_name")).keeps_word(),
        case("A multipart file named by a dot is refused", UPLOAD, multipart(".profile"), is(400).code("bad_name"))
            .keeps_word(),
        case(
            "A multipart file is kept under its name",
            UPLOAD,
            multipart("of-a-row.bin"),
            is(201).json("status", "success"),
        ),
    ]
}
