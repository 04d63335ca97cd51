//! One representation of a file, ready to be sent: its header lines, its bytes, and all that a GET or HEAD can ask of them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::{Content, FileSpan};
use crate::http::conditions::{Access, ByteRanges, Outcome, Representation, content_range, evaluate, unsatisfied};
use crate::http::fault::Fault;
use crate::http::headers::Headers;
use crate::http::request::Method;
use crate::http::response::{Body, Piece, Response};
use crate::http::status::Status;
use crate::store::disk::FileFacts;

/// One representation of a file.
pub struct Variant {
    /// Header lines of a 200 or 206.
    block: Bytes,
    /// The same with the length of the whole; and behind these lines, unless it is in a file, the whole.
    whole: Bytes,
    whole_lines: usize,
    /// Header lines of a 304: what a cache would have to update (RFC 9110, section 15.4.5).
    brief: Bytes,
    etag: String,
    facts: FileFacts,
    media: &'static str,
    /// Where its bytes are if not in memory.
    file: Option<Arc<dyn Content>>,
}

/// What a [`Variant`] is made of.
pub struct Making<'a> {
    /// Header lines of a 200 beside those of a 304.
    pub full: &'a Response,
    /// Header lines of a 304.
    pub brief: &'a Response,
    /// Its entity tag, quoted.
    pub etag: String,
    /// What is known of it. Its size is how much of it is sent.
    pub facts: FileFacts,
    /// Its media type.
    pub media: &'static str,
    /// Where its bytes are.
    pub source: Source,
}

/// Where the bytes of a [`Variant`] are.
pub enum Source {
    /// In memory.
    Memory(Bytes),
    /// In an open file.
    Open(Arc<dyn Content>),
}

impl Variant {
    /// Makes its header blocks once, for all its answers.
    pub fn new(making: Making<'_>) -> Variant {
        let Making { full, brief, etag, facts, media, source } = making;
        let (mut block, mut brief_block) = (Vec::new(), Vec::new());
        full.write_lines(&mut block);
        brief.write_lines(&mut block);
        brief.write_lines(&mut brief_block);
        let length = format!("Content-Length: {}\r\n", facts.size);
        let mut whole = [&block[..], length.as_bytes()].concat();
        let whole_lines = whole.len();
        let file = match source {
            Source::Memory(bytes) => {
                whole.reserve_exact(bytes.len());
                whole.extend_from_slice(&bytes);
                None
            }
            Source::Open(file) => Some(file),
        };
        let (block, whole, brief) = (block.into(), whole.into(), brief_block.into());
        Variant { block, whole, whole_lines, brief, etag, facts, media, file }
    }

    /// What is known of it.
    pub fn facts(&self) -> &FileFacts {
        &self.facts
    }

    /// How many bytes of memory it takes; `None` if its bytes are in an open file.
    pub fn weight(&self) -> Option<usize> {
        self.file.is_none().then_some(self.block.len() + self.whole.len() + self.brief.len())
    }

    /// Answers a GET or HEAD with these header fields.
    pub fn answer(&self, method: Method, headers: &Headers<'_>) -> Result<Response, Fault> {
        let access = if method == Method::Get { Access::Get } else { Access::Head };
        let length = self.facts.size;
        let modified = (self.facts.modified.as_seconds() > 0).then_some(self.facts.modified);
        let current = Representation { etag: &self.etag, modified, length };
        match evaluate(headers, &current, access) {
            Outcome::Whole if self.file.is_none() => {
                Ok(Response::complete(Status::OK, self.whole.clone(), self.whole_lines))
            }
            Outcome::Whole => Ok(Response::ready_whole(Status::OK, self.whole.clone(), self.body(0..length))),
            Outcome::NotModified => Ok(Response::ready(Status::NOT_MODIFIED, self.brief.clone(), Body::Empty)),
            Outcome::PreconditionFailed => Err(precondition_failed()),
            Outcome::NotSatisfiable => {
                let detail = "the file has no such range";
                let fault = Fault::new(Status::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
                Err(fault.with_field("Content-Range", unsatisfied(length)))
            }
            Outcome::Part(range) => {
                let body = self.body(range.clone());
                Ok(Response::ready(Status::PARTIAL_CONTENT, self.block.clone(), body)
                    .header("Content-Range", &content_range(&range, length)))
            }
            Outcome::Parts(ranges) => Ok(self.parts(&ranges)),
        }
    }

    fn body(&self, range: Range<u64>) -> Body {
        let Some(file) = &self.file else {
            let bytes = self.whole.slice(self.whole_lines..);
            let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
            return Body::Bytes(bytes.slice(usize::try_from(range.start).unwrap_or(end).min(end)..end));
        };
        Body::File(FileSpan { file: file.clone(), offset: range.start, length: range.end - range.start })
    }

    /// Several ranges as one message (RFC 9110, section 14.6).
    fn parts(&self, ranges: &[Range<u64>]) -> Response {
        // It must not stand in a part (RFC 2046, section 5.1.1). The tag is new with every change, so nobody can write it into
        // the file that it belongs to.
        let boundary = format!("hythe-{}", self.etag.trim_matches('"'));
        let parts = ByteRanges { boundary: &boundary, media_type: self.media, length: self.facts.size };
        let mut pieces = Vec::with_capacity(ranges.len() * 2 + 1);
        for range in ranges {
            pieces.push(Piece::Bytes(parts.part_head(range).into()));
            pieces.push(match self.body(range.clone()) {
                Body::File(span) => Piece::File(span),
                Body::Bytes(bytes) => Piece::Bytes(bytes),
                Body::Empty | Body::Behind(_) | Body::Pieces(_) | Body::Stream(_) => Piece::Bytes(Bytes::new()),
            });
        }
        pieces.push(Piece::Bytes(parts.closing().into()));
        // The block names the type of the whole; the parts name their own.
        Response::ready(Status::PARTIAL_CONTENT, self.brief.clone(), Body::Pieces(pieces))
            .header("Content-Type", &parts.content_type())
            .header("Accept-Ranges", "bytes")
    }
}

/// 412: what stands there is not what the client thinks.
pub fn precondition_failed() -> Fault {
    Fault::new(Status::PRECONDITION_FAILED, "precondition_failed", "the file is not as the request requires")
}
