//! One representation of a file, ready to be sent: its header lines, its bytes, and all that a GET or HEAD can ask of them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::content::{Content, FileSpan};
use crate::http::conditions::{Access, ByteRanges, Outcome, Representation, content_range, evaluate, unsatisfied};
use crate::http::fault::Fault;
use crate::http::headers::{Field, Headers};
use crate::http::negotiate::prefers_html;
use crate::http::request::Method;
use crate::http::response::{Body, Piece, Response};
use crate::http::status::Status;
use crate::server::problem;
use crate::server::reply::Reply;
use crate::site::state::Site;
use crate::store::disk::FileFacts;

/// Between the parts of a multipart range. It cannot stand in a part's content by chance; and parts have their lengths told.
const BOUNDARY: &str = "hythe-7b1c2f7e0a8d4c55";

/// One representation of a file.
pub struct Variant {
    /// Header lines of a 200.
    pub block: Bytes,
    /// Header lines of a 304: what a cache would have to update (RFC 9110, section 15.4.5).
    pub brief: Bytes,
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
    /// Answers a GET or HEAD with these header fields.
    pub fn answer(&self, method: Method, headers: &Headers<'_>) -> Reply<Site> {
        let access = if method == Method::Get { Access::Get } else { Access::Head };
        let length = self.facts.size;
        let modified = (self.facts.modified.as_seconds() > 0).then_some(self.facts.modified);
        let current = Representation { etag: &self.etag, modified, length };
        match evaluate(headers, &current, access) {
            Outcome::Whole => Response::ready(Status::OK, self.block.clone(), self.body(0..length)).into(),
            Outcome::NotModified => Response::ready(Status::NOT_MODIFIED, self.brief.clone(), Body::Empty).into(),
            Outcome::PreconditionFailed => precondition_failed().into(),
            Outcome::NotSatisfiable => {
                let fault =
                    Fault::new(Status::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "the file has no such range");
                let wants_page = prefers_html(headers.all(Field::Accept));
                problem::answer(&fault, wants_page).header("Content-Range", &unsatisfied(length)).into()
            }
            Outcome::Part(range) => {
                let body = self.body(range.clone());
                Response::ready(Status::PARTIAL_CONTENT, self.block.clone(), body)
                    .header("Content-Range", &content_range(&range, length))
                    .into()
            }
            Outcome::Parts(ranges) => self.parts(&ranges).into(),
        }
    }

    fn body(&self, range: Range<u64>) -> Body {
        match &self.source {
            Source::Memory(bytes) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
                Body::Bytes(bytes.slice(usize::try_from(range.start).unwrap_or(end).min(end)..end))
            }
            Source::Open(file) => {
                Body::File(FileSpan { file: file.clone(), offset: range.start, length: range.end - range.start })
            }
        }
    }

    /// Several ranges as one message (RFC 9110, section 14.6).
    fn parts(&self, ranges: &[Range<u64>]) -> Response {
        let parts = ByteRanges { boundary: BOUNDARY, media_type: self.media, length: self.facts.size };
        let mut pieces = Vec::with_capacity(ranges.len() * 2 + 1);
        for range in ranges {
            pieces.push(Piece::Bytes(parts.part_head(range).into()));
            pieces.push(match self.body(range.clone()) {
                Body::File(span) => Piece::File(span),
                Body::Bytes(bytes) => Piece::Bytes(bytes),
                Body::Empty | Body::Pieces(_) => Piece::Bytes(Bytes::new()),
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
