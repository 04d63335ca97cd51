//! How a client command ends when it does not end well: a number for a script, a sentence for a person.

use std::fmt;
use std::io;

use serde_json::Value;

/// The number a command ends with; 0 is all well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 1: none of the others.
    Other,
    /// 2: the command cannot be understood, or lacks something and nobody can be asked.
    Usage,
    /// 3: the server cannot be reached.
    NoConnection,
    /// 4: not signed in, or not allowed.
    NotAllowed,
    /// 5: there is no such thing.
    NotFound,
    /// 6: something else stands in the way: a name that is taken, as a rule.
    Conflict,
    /// 7: too large, or more than there is room for.
    TooLarge,
    /// 8: too often.
    RateLimited,
    /// 9: the server erred, or what answers is no hythe.
    ServerError,
    /// 10: what arrived is not what was sent.
    Damaged,
    /// 130: interrupted by the person at the terminal.
    Interrupted,
}

impl Ending {
    /// The number itself.
    pub const fn code(self) -> u8 {
        match self {
            Ending::Other => 1,
            Ending::Usage => 2,
            Ending::NoConnection => 3,
            Ending::NotAllowed => 4,
            Ending::NotFound => 5,
            Ending::Conflict => 6,
            Ending::TooLarge => 7,
            Ending::RateLimited => 8,
            Ending::ServerError => 9,
            Ending::Damaged => 10,
            Ending::Interrupted => 130,
        }
    }

    /// What an answer's status comes to.
    pub const fn of_status(status: u16) -> Ending {
        match status {
            401 | 403 => Ending::NotAllowed,
            404 | 410 => Ending::NotFound,
            409 | 412 => Ending::Conflict,
            413 | 507 => Ending::TooLarge,
            429 => Ending::RateLimited,
            460 => Ending::Damaged,
            // A success where it means nothing: what answers is no hythe.
            200..=299 | 500..=599 => Ending::ServerError,
            _ => Ending::Other,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it comes to.
    pub ending: Ending,
    /// What to say: one sentence.
    pub sentence: String,
    /// The stable word of the server's problem document, where it gave one.
    pub code: Option<String>,
    /// Whether the server was reached and the connection then cut: it may be there again in a moment.
    pub has_been_there: bool,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(ending: Ending, sentence: impl Into<String>) -> Failure {
        Failure { ending, sentence: sentence.into(), code: None, has_been_there: false }
    }

    /// Something that lies on this side.
    pub fn other(sentence: impl Into<String>) -> Failure {
        Failure::new(Ending::Other, sentence)
    }

    /// A command that lacks something or says what cannot be.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure::new(Ending::Usage, sentence)
    }

    /// A connection that was cut before an answer came.
    pub fn cut(sentence: impl Into<String>) -> Failure {
        Failure { has_been_there: true, ..Failure::new(Ending::NoConnection, sentence) }
    }

    /// Whether a connection was cut, unlike one that could not be made.
    pub fn is_cut(&self) -> bool {
        self.has_been_there
    }

    /// A file of ours that cannot be read or written; `doing` follows "cannot".
    pub fn local(doing: impl fmt::Display, error: &io::Error) -> Failure {
        Failure::other(format!("cannot {doing}: {error}"))
    }

    /// What an answer that is no success comes to.
    pub fn of_answer(status: u16, body: &[u8]) -> Failure {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |member: &str| problem.get(member).and_then(Value::as_str);
        let code = text("code").map(str::to_owned);
        let sentence = match (text("detail").or_else(|| text("title")), status) {
            (Some(detail), _) => detail.to_owned(),
            (None, 300..=399) => format!("the server answered {status} and points elsewhere; is the URL right?"),
            (None, _) => format!("the server answered {status} without a word; is the URL right?"),
        };
        Failure { code, ..Failure::new(Ending::of_status(status), sentence) }
    }

    /// The same with what it is about before it.
    pub fn about(mut self, what: impl fmt::Display) -> Failure {
        self.sentence = format!("{what}: {}", self.sentence);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_number_of_the_contract() {
        for (status, code) in [
            (400, 1),
            (401, 4),
            (403, 4),
            (404, 5),
            (409, 6),
            (412, 6),
            (413, 7),
            (415, 1),
            (416, 1),
            (429, 8),
            (460, 10),
            (500, 9),
            (503, 9),
            (507, 7),
        ] {
            assert_eq!(Ending::of_status(status).code(), code, "{status}");
        }
    }

    #[test]
    fn a_problem_document_speaks_for_itself_and_anything_else_is_told_by_its_status() {
        let problem = br#"{"title":"Conflict","status":409,"code":"file_exists","detail":"a.txt exists"}"#;
        let failure = Failure::of_answer(409, problem);
        assert_eq!((failure.sentence.as_str(), failure.code.as_deref()), ("a.txt exists", Some("file_exists")));
        let failure = Failure::of_answer(502, b"<html>Bad Gateway");
        assert_eq!(failure.sentence, "the server answered 502 without a word; is the URL right?");
        assert_eq!(failure.ending, Ending::ServerError);
        assert!(Failure::of_answer(301, b"").sentence.contains("points elsewhere"));
    }
}
