//! The body of a message on the wire: a length, chunks, or nothing (RFC 9112, sections 6 and 7).
//!
//! The chunk parser is our own, and strict, since leniency here is what request smuggling is made of: line ends are CRLF and
//! nothing else, a size has one to sixteen digits, an extension holds no control byte, and trailers obey the grammar of
//! header fields before they are thrown away.

use std::ops::Range;

use crate::http::fault::Fault;
use crate::http::headers::is_token_byte;
use crate::http::request::HeadLimits;
use crate::http::status::Status;

/// Extensions of one chunk, and of all chunks of a body.
const EXTENSION_MAX: u16 = 256;
const EXTENSIONS_MAX: u16 = 16 << 10;

/// What is made of the next bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// All were used, and there is more to come.
    NeedBytes,
    /// So many were used; this stretch of them is content.
    Data(Range<usize>),
    /// The body is complete.
    End,
}

/// Takes the next stretch of a body of known length, of which `rest` bytes are still to come. Says how many bytes were used.
pub fn take_known(rest: &mut u64, input: &[u8]) -> (usize, Piece) {
    if *rest == 0 {
        return (0, Piece::End);
    }
    if input.is_empty() {
        return (0, Piece::NeedBytes);
    }
    let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
    *rest -= length as u64;
    (length, Piece::Data(0..length))
}

/// Where in the chunked coding the next byte stands (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Place {
    /// Before or in a size; so many digits have been seen.
    #[default]
    SizeStart,
    Size,
    /// Behind a size, in blanks that a semicolon must follow.
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    End,
}

/// The state of a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// Digits of the size so far.
    digits: u8,
    /// The size so far; then what is left of the chunk.
    size: u64,
    /// Bytes of this chunk's extension.
    extension: u16,
    /// Bytes of all extensions.
    extensions: u16,
    /// How many bytes of trailer fields are still accepted,
    trailer_bytes: usize,
    /// and how many such fields.
    trailer_fields: usize,
}

impl Default for Chunks {
    fn default() -> Chunks {
        Chunks::new(&HeadLimits::default())
    }
}

impl Chunks {
    /// A body of which nothing has come. Its trailer fields may be as many and as large as those of a head.
    pub fn new(limits: &HeadLimits) -> Chunks {
        Chunks {
            place: Place::default(),
            digits: 0,
            size: 0,
            extension: 0,
            extensions: 0,
            trailer_bytes: limits.header_bytes,
            trailer_fields: limits.headers,
        }
    }

    /// Decodes as far as the next stretch of content. Says how many bytes were used.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Piece), Fault> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            if self.place == Place::Data {
                let length = usize::try_from(self.size).unwrap_or(usize::MAX).min(input.len() - used);
                self.size -= length as u64;
                if self.size == 0 {
                    self.place = Place::DataCr;
                }
                return Ok((used + length, Piece::Data(used..used + length)));
            }
            if self.place == Place::End {
                return Ok((used, Piece::End));
            }
            self.step(byte)?;
            used += 1;
        }
        Ok((used, if self.place == Place::End { Piece::End } else { Piece::NeedBytes }))
    }

    /// One byte outside a chunk's data.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.place = match (self.place, byte) {
            (Place::SizeStart | Place::Size, _) if byte.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > 16 {
                    return Err(Fault::malformed("a chunk size has more than sixteen digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                Place::Size
            }
            (Place::Size, b'\r') => Place::SizeLf,
            (Place::Size, b';') => {
                self.extension = 0;
                Place::Extension
            }
            // RFC 9110, section 5.6.3: bad whitespace is bad and has to be borne, where the grammar has a place for it.
            (Place::Size, b'\t' | b' ') => {
                self.extension = 0;
                self.extension(Place::SizeBlank)?
            }
            (Place::SizeBlank, b'\t' | b' ') => self.extension(Place::SizeBlank)?,
            (Place::SizeBlank, b';') => self.extension(Place::Extension)?,
            (Place::Extension, b'\r') => Place::SizeLf,
            (Place::Extension, b'\t' | b' '..=b'~') => self.extension(Place::Extension)?,
            (Place::SizeLf, b'\n') => {
                self.digits = 0;
                if self.size == 0 { Place::TrailerStart } else { Place::Data }
            }
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::SizeStart,
            (Place::TrailerStart, b'\r') => Place::LastLf,
            (Place::TrailerStart | Place::TrailerName, _) if is_token_byte(byte) => self.trailer(Place::TrailerName)?,
            (Place::TrailerName, b':') => self.trailer(Place::TrailerValue)?,
            (Place::TrailerValue, b'\r') => self.trailer(Place::TrailerLf)?,
            (Place::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(Place::TrailerValue)?,
            (Place::TrailerLf, b'\n') => {
                self.trailer_fields = self.trailer_fields.checked_sub(1).ok_or_else(too_many_trailers)?;
                self.trailer(Place::TrailerStart)?
            }
            (Place::LastLf, b'\n') => Place::End,
            (Place::SizeStart | Place::Size | Place::SizeBlank | Place::Extension | Place::SizeLf, _) => {
                return Err(Fault::malformed("a chunk has no valid size line"));
            }
            (Place::DataCr | Place::DataLf, _) => return Err(Fault::malformed("a chunk is longer than its size")),
            _ => return Err(Fault::malformed("a trailer field is not valid")),
        };
        Ok(())
    }

    /// How many bytes of the present chunk are still to come.
    pub fn announced(&self) -> u64 {
        if self.place == Place::Data { self.size } else { 0 }
    }

    fn extension(&mut self, next: Place) -> Result<Place, Fault> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION_MAX || self.extensions > EXTENSIONS_MAX {
            return Err(Fault::malformed("the chunk extensions are too long"));
        }
        Ok(next)
    }

    fn trailer(&mut self, next: Place) -> Result<Place, Fault> {
        self.trailer_bytes = self.trailer_bytes.checked_sub(1).ok_or_else(too_many_trailers)?;
        Ok(next)
    }
}

/// What a head with too many or too large fields is told as well (RFC 6585, section 5).
#[cold]
fn too_many_trailers() -> Fault {
    let detail = "the trailer fields are more or larger than is accepted";
    Fault::fatal(Status::HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)
}

/// How a body of ours travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// So many bytes are promised and not yet given.
    Length(u64),
    /// In chunks.
    Chunked,
    /// As it is, until the connection closes (RFC 9112, section 6.3, rule 8).
    UntilClose,
    /// The head told of a body that is not sent: an answer to HEAD, or 304.
    Silent,
}

impl Encoder {
    /// Writes content. Empty content writes nothing: in the chunked coding it would be the end.
    ///
    /// # Panics
    /// If more is given than the head promised.
    pub fn write(&mut self, content: &[u8], out: &mut Vec<u8>) {
        if content.is_empty() || *self == Encoder::Silent {
            return;
        }
        assert!(self.open(content.len(), out), "a body is as long as its head promised");
        out.extend_from_slice(content);
        self.close(out);
    }

    /// Writes what stands before so many bytes of content, at least one, which go another way. Says whether they may go: not
    /// if they are more than the head promised.
    pub fn open(&mut self, length: usize, out: &mut Vec<u8>) -> bool {
        match self {
            Encoder::Silent => return false,
            Encoder::UntilClose => {}
            Encoder::Length(rest) => match rest.checked_sub(length as u64) {
                Some(left) => *rest = left,
                None => return false,
            },
            Encoder::Chunked => out.extend_from_slice(format!("{length:x}\r\n").as_bytes()),
        }
        true
    }

    /// Writes what stands behind the content that was let go.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if *self == Encoder::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what ends the body. Says whether the body is whole: a length that was promised has been given.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Encoder::Chunked => {
                out.extend_from_slice(b"0\r\n\r\n");
                true
            }
            Encoder::Length(rest) => *rest == 0,
            Encoder::UntilClose | Encoder::Silent => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes all of `input` in the given parts: content, whether it ended, and what was not used.
    fn decode(chunks: &mut Chunks, parts: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Fault> {
        let mut content = Vec::new();
        let mut rest: Vec<u8> = Vec::new();
        for part in parts {
            rest.extend_from_slice(part);
            loop {
                let (used, piece) = chunks.decode(&rest)?;
                if let Piece::Data(range) = &piece {
                    content.extend_from_slice(&rest[range.clone()]);
                }
                rest.drain(..used);
                match piece {
                    Piece::Data(_) => {}
                    Piece::NeedBytes => break,
                    Piece::End => {
                        let ended = parts.last().is_some_and(|last| std::ptr::eq(*last, *part));
                        if ended {
                            return Ok((content, true, rest));
                        }
                        break;
                    }
                }
            }
        }
        let is_over = matches!(chunks.decode(&[])?, (_, Piece::End));
        Ok((content, is_over, rest))
    }

    fn chunked(input: &[u8]) -> Result<(Vec<u8>, bool, Vec<u8>), Fault> {
        decode(&mut Chunks::default(), &[input])
    }

    #[test]
    fn good_chunks_give_their_content() {
        let cases: [(&[u8], &[u8], &[u8]); 10] = [
            (b"0\r\n\r\n", b"", b""),
            (b"5\r\nhello\r\n0\r\n\r\nGET", b"hello", b"GET"),
            (b"5;a=b\r\nhello\r\n0;x\r\n\r\n", b"hello", b""),
            (b"5;q=\"a b\"\r\nhello\r\n0\r\n\r\n", b"hello", b""),
            (b"5 ; a = b\r\nhello\r\n0\t ;x\r\n\r\n", b"hello", b""),
            (b"5 ;\r\nhello\r\n0\r\n\r\n", b"hello", b""),
            (b"00005\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", b""),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
            (b"1\r\nx\r\n0\r\nX-Sum: 12\r\nY:\r\n\r\n", b"x", b""),
            (b"1\r\nx\r\n0000000000000000\r\n\r\n", b"x", b""),
        ];
        for (input, content, rest) in cases {
            assert_eq!(chunked(input), Ok((content.to_vec(), true, rest.to_vec())), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn bad_chunks_are_refused() {
        let long = [b"1;".as_slice(), &[b'a'; 300], b"\r\nx\r\n"].concat();
        let many_trailers = [b"0\r\n".as_slice(), &b"A: 12345678\r\n".repeat(2000), b"\r\n"].concat();
        let blanks = [b"1".as_slice(), &[b' '; 300], b";a\r\nx\r\n"].concat();
        let cases: [&[u8]; 29] = [
            b"\r\n",
            b"5 5;a\r\nhello",
            b"5 \n;a\r\nhello",
            b"5\t\r\nhello",
            &blanks,
            b" 5\r\nhello",
            b"5 \r\nhello",
            b"5\nhello",
            b"5\r\nhello\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhell\r\n",
            b"-1\r\n",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b"5;a\nb\r\nhello",
            b"5;a\rb\r\nhello",
            b"5;a\x00b\r\n",
            b"g\r\n",
            b"11111111111111111\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX: a\r\n b\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
            b"0\r\n\n",
            b"5\r\rhello",
            &long,
            &many_trailers,
        ];
        for input in cases {
            let fault = chunked(input).expect_err(&input[..input.len().min(40)].escape_ascii().to_string());
            assert!(fault.closes);
        }
    }

    #[test]
    fn a_length_is_read_to_its_end_and_no_further() {
        let mut rest = 5;
        assert_eq!(take_known(&mut rest, b""), (0, Piece::NeedBytes));
        assert_eq!(take_known(&mut rest, b"he"), (2, Piece::Data(0..2)));
        assert_eq!(take_known(&mut rest, b"llo!"), (3, Piece::Data(0..3)));
        assert_eq!(take_known(&mut rest, b"!"), (0, Piece::End));
        let mut rest = u64::MAX;
        assert_eq!(take_known(&mut rest, b"abc"), (3, Piece::Data(0..3)));
        assert_eq!(rest, u64::MAX - 3);
    }

    #[test]
    fn trailers_pass_at_the_limits_of_a_head_and_not_past_them() {
        let limits = HeadLimits { headers: 3, header_bytes: 30, ..HeadLimits::default() };
        for (trailers, status) in [
            ("A: b\r\n".repeat(3), None),
            ("A: b\r\n".repeat(4), Some(Status::HEADER_FIELDS_TOO_LARGE)),
            (format!("A: {}\r\n", "b".repeat(25)), None),
            (format!("A: {}\r\n", "b".repeat(26)), Some(Status::HEADER_FIELDS_TOO_LARGE)),
            (format!("A: {}", "b".repeat(100)), Some(Status::HEADER_FIELDS_TOO_LARGE)),
            ("A: b\r\n".repeat(4).replace("A: b\r\nA", "A: \0\r\nA"), Some(Status::BAD_REQUEST)),
        ] {
            let body = format!("0\r\n{trailers}\r\n");
            let told = decode(&mut Chunks::new(&limits), &[body.as_bytes()]).map_err(|fault| fault.status);
            assert_eq!(told.err(), status, "{trailers:?}");
        }
    }

    #[test]
    fn what_is_written_in_chunks_is_read_back() {
        let mut out = Vec::new();
        let mut encoder = Encoder::Chunked;
        encoder.write(b"hello", &mut out);
        encoder.write(b"", &mut out);
        encoder.write(&[b'x'; 300], &mut out);
        assert!(encoder.end(&mut out));
        let (content, ended, rest) = chunked(&out).unwrap();
        assert_eq!((content.len(), ended, rest.len()), (305, true, 0));
    }

    #[test]
    fn no_more_goes_than_was_promised() {
        let mut out = Vec::new();
        let mut encoder = Encoder::Length(5);
        assert!(encoder.open(3, &mut out) && !encoder.end(&mut out));
        assert!(!encoder.open(3, &mut out));
        assert!(encoder.open(2, &mut out) && encoder.end(&mut out));
        assert!(!Encoder::Silent.open(1, &mut out));
        assert_eq!(out, b"");
        let mut encoder = Encoder::Chunked;
        assert!(encoder.open(0x1f, &mut out));
        encoder.close(&mut out);
        assert_eq!(out, b"1f\r\n\r\n");
    }

    proptest! {
        #[test]
        fn cutting_differently_never_changes_the_content(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            garbage in prop::collection::vec(any::<u8>(), 0..3),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut wire = Vec::new();
            let mut encoder = Encoder::Chunked;
            for chunk in &chunks {
                encoder.write(chunk, &mut wire);
            }
            encoder.end(&mut wire);
            wire.extend(garbage);
            if let Some((at, byte)) = flip {
                let at = at.index(wire.len());
                wire[at] = byte;
            }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            places.sort_unstable();
            places.push(wire.len());
            let mut whole = Chunks::default();
            let mut parts = Vec::new();
            let mut begun = 0;
            for place in places {
                parts.push(&wire[begun..place]);
                begun = place;
            }
            let mut cut = Chunks::default();
            let whole = decode(&mut whole, &[&wire]);
            let cut = decode(&mut cut, &parts);
            match (whole, cut) {
                (Ok((a, _, _)), Ok((b, _, _))) => prop_assert_eq!(a, b),
                (Err(a), Err(b)) => prop_assert_eq!(a, b),
                (a, b) => prop_assert!(false, "{a:?} and {b:?}"),
            }
        }
    }
}
