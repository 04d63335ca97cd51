//! Any header lines as conditions: every method comes to one verdict, and those of related methods agree.
#![no_main]

use hythe::clock::Wall;
use hythe::http::conditions::{Access, Outcome, Representation, allows_write, evaluate};
use hythe::http::headers::{Field, Headers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = [bytes, b"\r\n\r\n"].concat();
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&lines, &mut fields) else { return };
    let headers = Headers::new(fields);
    for etag in ["\"a,b\"", "W/\"a\"", ""] {
        for modified in [Some(Wall::from_seconds(784_111_777)), None] {
            let current = Representation { etag, modified, length: 100 };
            let get = evaluate(&headers, &current, Access::Get);
            let head = evaluate(&headers, &current, Access::Head);
            let change = evaluate(&headers, &current, Access::Change);
            match get {
                Outcome::Part(_) | Outcome::Parts(_) | Outcome::NotSatisfiable => {
                    assert!(headers.has(Field::Range));
                    assert_eq!(head, Outcome::Whole);
                }
                other => assert_eq!(head, other, "HEAD tells what GET would"),
            }
            assert!(matches!(change, Outcome::Whole | Outcome::PreconditionFailed));
            assert_eq!(change == Outcome::Whole, allows_write(&headers, Some(&current)));
            if head == Outcome::PreconditionFailed {
                assert_eq!(change, Outcome::PreconditionFailed, "what guards a look guards a change");
            }
        }
    }
    let _ = allows_write(&headers, None);
});
