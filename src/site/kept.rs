//! Header fields that outlive the read buffer they came in, for an answer that waits for a helper.

use crate::http::headers::{Field, Headers};

/// What a condition or a range is read from, and what decides how an answer is presented.
pub const CONDITIONS: [Field; 8] = [
    Field::Accept,
    Field::AcceptEncoding,
    Field::IfMatch,
    Field::IfNoneMatch,
    Field::IfModifiedSince,
    Field::IfUnmodifiedSince,
    Field::IfRange,
    Field::Range,
];

/// Some of a request's header fields.
pub struct KeptHeaders(Vec<(&'static str, Vec<u8>)>);

impl KeptHeaders {
    /// The [`CONDITIONS`] of a request.
    pub fn of(headers: &Headers<'_>) -> KeptHeaders {
        let lines = CONDITIONS
            .into_iter()
            .flat_map(|field| headers.all(field).map(move |value| (field.name(), value.to_vec())))
            .collect();
        KeptHeaders(lines)
    }

    /// Whether there is any condition among them.
    pub fn have_conditions(&self) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with("if-") && *name != Field::IfRange.name())
    }

    /// Lends them.
    pub fn lend<R>(&self, look: impl FnOnce(&Headers<'_>) -> R) -> R {
        let fields: Vec<httparse::Header<'_>> =
            self.0.iter().map(|(name, value)| httparse::Header { name, value }).collect();
        look(&Headers::new(&fields))
    }
}
