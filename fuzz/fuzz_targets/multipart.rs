//! An upload form, whole, cut anywhere, and against a reader that splits at the boundary.
#![no_main]

use hythe::http::multipart::{Event, Limits, Multipart, Part};
use libfuzzer_sys::fuzz_target;

type Read = (Vec<(Part, Vec<u8>)>, Result<(), String>);

fn ours(windows: &[&[u8]], limits: Limits) -> Read {
    let mut machine = Multipart::new(b"multipart/form-data; boundary=xYz", limits).expect("a good boundary");
    let mut parts: Vec<(Part, Vec<u8>)> = Vec::new();
    let mut is_open = false;
    for window in windows {
        let mut rest = *window;
        loop {
            let (used, event) = match machine.push(rest) {
                Ok(pushed) => pushed,
                Err(fault) => return (parts, Err(fault.detail.into_owned())),
            };
            let mut needs_bytes = false;
            match event {
                Event::NeedBytes => needs_bytes = true,
                Event::Part(part) => {
                    assert!(!std::mem::replace(&mut is_open, true), "parts do not overlap");
                    parts.push((part, Vec::new()));
                }
                Event::Data(range) => {
                    assert!(is_open && !range.is_empty() && range.end <= used);
                    parts.last_mut().expect("data is of a part").1.extend_from_slice(&rest[range]);
                }
                Event::Held(bytes) => {
                    assert!(is_open && !bytes.is_empty());
                    parts.last_mut().expect("data is of a part").1.extend_from_slice(bytes);
                }
                Event::PartEnd => assert!(std::mem::replace(&mut is_open, false), "what ends has begun"),
                Event::End => assert!(!is_open, "the last part has ended"),
            }
            rest = &rest[used..];
            if needs_bytes {
                assert!(rest.is_empty(), "all is used when more is needed");
                break;
            }
        }
    }
    (parts, machine.finish().map_err(|fault| fault.detail.into_owned()))
}

/// The data of each part, by splitting at the delimiter.
fn naive(body: &[u8]) -> Vec<Vec<u8>> {
    const DELIMITER: &[u8] = b"\r\n--xYz";
    let text = [b"\r\n", body].concat();
    let mut pieces = Vec::new();
    let mut rest = &text[..];
    while let Some(at) = rest.windows(DELIMITER.len()).position(|window| window == DELIMITER) {
        pieces.push(&rest[..at]);
        rest = &rest[at + DELIMITER.len()..];
        if rest.starts_with(b"--") {
            break;
        }
    }
    let parts = pieces.into_iter().skip(1).map(|piece| {
        // A part without a body shares the line end of its blank line with the delimiter.
        let end = piece.windows(4).position(|window| window == b"\r\n\r\n").map_or(piece.len(), |at| at + 4);
        piece[end..].to_vec()
    });
    parts.collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&way, bytes)) = bytes.split_first() else { return };
    let Some((whole, windows)) = hythe_fuzz::cut(bytes) else { return };
    let limits = match way & 1 {
        0 => Limits::default(),
        _ => Limits { parts_max: 2, head_bytes_max: 60, margin_bytes_max: 20 },
    };
    let once = ours(&[whole], limits);
    assert_eq!(ours(&windows, limits), once, "cut, and whole");
    if let (parts, Ok(())) = &once {
        let data: Vec<&[u8]> = parts.iter().map(|(_, data)| data.as_slice()).collect();
        assert_eq!(data, naive(whole), "what is accepted is read as others read it");
    }
});
