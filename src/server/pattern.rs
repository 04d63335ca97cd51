//! What a route's pattern is made of, and how it is written.

use std::fmt;

/// A segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Exactly this.
    Fixed(String),
    /// `:name`: one segment, whatever it is.
    Parameter(String),
    /// `*name`: all that follows, even nothing.
    Rest(String),
}

/// A route's pattern, as it was added; nothing of what a client has sent is in it.
#[derive(Clone, Copy)]
pub struct Pattern<'a>(pub(super) &'a [Segment]);

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(self.0))
    }
}

/// A pattern as it is added.
pub fn write(pattern: &[Segment]) -> String {
    let mut text = String::new();
    for segment in pattern {
        text.push('/');
        match segment {
            Segment::Fixed(fixed) => text.push_str(fixed),
            Segment::Parameter(name) => text.extend([":", name]),
            Segment::Rest(name) => text.extend(["*", name]),
        }
    }
    if text.is_empty() { "/".to_owned() } else { text }
}
