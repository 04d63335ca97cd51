//! Any bytes as a head: refused, or read so that writing down what was read and reading it again changes nothing.
#![no_main]

use hythe::http::headers::Field;
use hythe::http::request::{BodyLength, HeadLimits, HeaderTable, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    let limits = HeadLimits::default();
    let mut table = HeaderTable::new();
    let Ok(request) = Request::parse(head, &mut table, &limits) else { return };
    assert!(!request.method_text.is_empty() && request.method_text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(request.target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert!(request.path.starts_with('/') || request.path == "*");
    assert!(!request.path.contains('?'));
    assert!(request.headers.len() <= limits.headers);
    assert!(request.is_http10 || request.headers.has(Field::Host) && !request.headers.is_repeated(Field::Host));
    let (has_length, has_coding) =
        (request.headers.has(Field::ContentLength), request.headers.has(Field::TransferEncoding));
    match request.body {
        BodyLength::None => assert!(!has_coding),
        BodyLength::Known(length) => assert!(length > 0 && has_length && !has_coding),
        BodyLength::Chunked => assert!(has_coding && !has_length && !request.is_http10),
    }
    assert!(!request.expects || request.body != BodyLength::None);

    let minor = if request.is_http10 { 0 } else { 1 };
    let mut again = format!("{} {} HTTP/1.{minor}\r\n", request.method_text, request.target).into_bytes();
    for (name, value) in request.headers.iter() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!value.iter().any(|&byte| matches!(byte, b'\r' | b'\n' | 0)), "a value could be two");
        again.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    let mut table = HeaderTable::new();
    let read = Request::parse(&again, &mut table, &limits).expect("what was read can be read again");
    assert_eq!(read.path, request.path);
    assert_eq!(read.query, request.query);
    assert_eq!(read.host, request.host);
    assert_eq!(read.body, request.body);
    assert_eq!((read.keeps, read.expects), (request.keeps, request.expects));
    assert!(read.headers.iter().eq(request.headers.iter()));
});
