//! Any request in the access log: one line, and nothing in it that could be taken for another field, line or command.
#![no_main]

use hythe::clock::Wall;
use hythe::http::request::{HeadLimits, HeaderTable, Request};
use hythe::http::status::Status;
use hythe::server::access::{AccessLog, Format, Line, write_escaped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut escaped = Vec::new();
    write_escaped(bytes, &mut escaped);
    assert!(escaped.iter().all(|&byte| (b' '..=b'~').contains(&byte) && byte != b'"'));

    let mut fields = bytes.splitn(3, |&byte| byte == b'\n');
    let mut field = || fields.next().unwrap_or_default();
    let (target, referer, agent) = (field(), field(), field());
    let head =
        [b"GET /", target, b" HTTP/1.1\r\nHost: x\r\nReferer: ", referer, b"\r\nUser-Agent: ", agent, b"\r\n\r\n"];
    let head = head.concat();
    let mut table = HeaderTable::new();
    let Ok(request) = Request::parse(&head, &mut table, &HeadLimits::default()) else { return };
    let ip = [127, 0, 0, 1].into();
    let wall = Wall::from_seconds(1_795_169_472);
    for format in [Format::Combined, Format::Json] {
        let mut log = AccessLog::new(format);
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        log.note(&request, ip, Status::OK, 12, wall, &mut out);
        log.note_kept(Some(&Line::of(&request, ip)), ip, Status::OK, 12, wall, &mut kept);
        assert_eq!(out, kept, "a line is the same when it is written later");
        let line = std::str::from_utf8(&out).expect("a line is text").strip_suffix('\n').expect("it is one line");
        assert!(!line.contains(char::is_control), "{line:?}");
        match format {
            Format::Combined => assert_eq!(line.matches('"').count(), 6, "{line}"),
            Format::Json => {
                let value: serde_json::Value = serde_json::from_str(line).expect("an object");
                assert_eq!(value["status"], 200);
            }
        }
    }
});
