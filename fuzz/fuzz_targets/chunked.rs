//! A chunked body, whole, cut anywhere, and against a decoder that is too simple to be wrong.
#![no_main]

use hythe::http::framing::{Chunks, Encoder, Piece};
use libfuzzer_sys::fuzz_target;

/// Content and how many bytes it took; `None` in the middle of a body; or the fault.
type Decoded = Result<(Vec<u8>, Option<usize>), String>;

fn ours(parts: &[&[u8]]) -> Decoded {
    let mut chunks = Chunks::default();
    let (mut content, mut total) = (Vec::new(), 0);
    for part in parts {
        let mut rest = *part;
        loop {
            let (used, piece) = chunks.decode(rest).map_err(|fault| fault.detail.into_owned())?;
            total += used;
            match piece {
                Piece::Data(range) => content.extend_from_slice(&rest[range]),
                Piece::NeedBytes => {
                    assert_eq!(used, rest.len(), "all is used when more is needed");
                    break;
                }
                Piece::End => return Ok((content, Some(total))),
            }
            rest = &rest[used..];
        }
    }
    Ok((content, None))
}

/// RFC 9112, section 7.1, line by line. Knows no limits; `None` for all that is not a whole body.
fn naive(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
        let end = input.windows(2).position(|pair| pair == b"\r\n")?;
        Some((&input[..end], &input[end + 2..]))
    }
    let (mut content, mut rest) = (Vec::new(), input);
    loop {
        let (head, after) = line(rest)?;
        let digits = head.split(|&byte| byte == b';').next()?;
        // Blanks before an extension are borne.
        let digits = if digits.len() < head.len() { digits.trim_ascii_end() } else { digits };
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= rest.len())?;
        content.extend_from_slice(&rest[..size]);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, after) = line(rest)?;
        rest = after;
        if trailer.is_empty() {
            return Some((content, input.len() - rest.len()));
        }
        trailer.iter().position(|&byte| byte == b':').filter(|&at| at > 0)?;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((whole, parts)) = hythe_fuzz::cut(bytes) else { return };
    let once = ours(&[whole]);
    assert_eq!(ours(&parts), once, "cut, and whole");
    if let Ok((content, Some(used))) = &once {
        assert_eq!(
            naive(whole).as_ref(),
            Some(&(content.clone(), *used)),
            "what is accepted is read as others read it"
        );
    }

    let mut wire = Vec::new();
    let mut encoder = Encoder::Chunked;
    for part in &parts {
        encoder.write(part, &mut wire);
    }
    assert!(encoder.end(&mut wire));
    assert_eq!(ours(&[&wire]), Ok((whole.to_vec(), Some(wire.len()))), "what is written is read back");
});
