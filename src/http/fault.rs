//! What a client did wrong, or what we cannot do for it, and the status that says so.

use std::borrow::Cow;

use crate::http::status::Status;

/// A refusal: a status, a stable code for programs, a sentence for people (RFC 9457), and whether the connection can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The status of the answer.
    pub status: Status,
    /// The stable `code` member of the problem document.
    pub code: &'static str,
    /// What was refused and what would be accepted; the problem's `detail`.
    pub detail: Cow<'static, str>,
    /// Whether the framing of what follows is in doubt, so that the connection must close.
    pub closes: bool,
    /// Seconds for `Retry-After`, where waiting helps.
    pub retry_after: Option<u32>,
    /// Header fields that its answer must have: `Allow` of a 405, `Content-Range` of a 416.
    pub fields: Vec<(&'static str, String)>,
}

impl Fault {
    /// A refusal after which the connection can go on.
    #[cold]
    pub fn new(status: Status, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Fault {
        Fault { status, code, detail: detail.into(), closes: false, retry_after: None, fields: Vec::new() }
    }

    /// A refusal after which nothing more can be read: the message's framing is in doubt.
    #[cold]
    pub fn fatal(status: Status, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Fault {
        Fault { closes: true, ..Fault::new(status, code, detail) }
    }

    /// The same refusal, with a time after which to try again.
    pub fn retry_after(self, seconds: u32) -> Fault {
        Fault { retry_after: Some(seconds), ..self }
    }

    /// The same refusal, with a header field of its answer.
    pub fn with_field(mut self, name: &'static str, value: impl Into<String>) -> Fault {
        self.fields.push((name, value.into()));
        self
    }

    /// 400 `bad_request` that closes: the message is not HTTP, or could be read in two ways.
    #[cold]
    pub fn malformed(detail: &'static str) -> Fault {
        Fault::fatal(Status::BAD_REQUEST, "bad_request", detail)
    }

    /// 404 `not_found`.
    pub fn not_found() -> Fault {
        let detail = Cow::Borrowed("there is nothing here");
        Fault {
            status: Status::NOT_FOUND,
            code: "not_found",
            detail,
            closes: false,
            retry_after: None,
            fields: Vec::new(),
        }
    }
}
