//! A row of a table: what is sent, what must come back, and what becomes of the connection.
//!
//! A row is `case(name, rfc, bytes, expectation)` and one of `.closes()`, `.keeps_word()` where the default, that the
//! connection goes on, is not what is expected. Names that begin with `$` stand for what differs from run to run: see
//! [`Scene`](crate::scene::Scene).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::expect::Expect;

/// One row of a table.
pub struct Case {
    /// A sentence that says what is promised.
    pub name: Cow<'static, str>,
    /// The section it stands on.
    pub rfc: &'static str,
    pub moves: Vec<Move>,
    pub then: Then,
}

/// What happens, in order.
pub enum Move {
    Send(Vec<u8>),
    Hear(Expect),
    /// We say no more, but go on listening.
    HalfClose,
    /// Nothing may arrive for this long.
    Hush(Duration),
}

/// What must have become of the connection when all moves are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on: one more request on it is answered, and nothing stood between.
    Keeps,
    /// The last answer said so, and it ends in good order with not a byte more.
    Closes,
    /// Either, but as the last answer said.
    AsSaid,
    /// Any answer will do or none: only the server's health counts, which the end of the house tells.
    Whatever,
}

pub fn case(
    name: impl Into<Cow<'static, str>>,
    rfc: &'static str,
    send: impl Into<Vec<u8>>,
    expect: impl IntoExpects,
) -> Case {
    let mut moves = vec![Move::Send(send.into())];
    moves.extend(expect.into_expects().into_iter().map(Move::Hear));
    talk(name, rfc, moves)
}

/// A row with several turns.
pub fn talk(name: impl Into<Cow<'static, str>>, rfc: &'static str, moves: Vec<Move>) -> Case {
    Case { name: name.into(), rfc, moves, then: Then::Keeps }
}

impl Case {
    pub fn closes(self) -> Case {
        Case { then: Then::Closes, ..self }
    }

    pub fn keeps_word(self) -> Case {
        Case { then: Then::AsSaid, ..self }
    }

    pub fn whatever(self) -> Case {
        Case { then: Then::Whatever, ..self }
    }

    /// What tells this row from another.
    fn fingerprint(&self) -> String {
        let mut text = String::new();
        for step in &self.moves {
            match step {
                Move::Send(bytes) => write!(text, ">{}", bytes.escape_ascii()),
                Move::Hear(_) => write!(text, "<"),
                Move::HalfClose => write!(text, "|"),
                Move::Hush(span) => write!(text, "~{}", span.as_millis()),
            }
            .expect("a string takes all");
        }
        text
    }
}

/// One expectation, or several for requests sent together.
pub trait IntoExpects {
    fn into_expects(self) -> Vec<Expect>;
}

impl IntoExpects for Expect {
    fn into_expects(self) -> Vec<Expect> {
        vec![self]
    }
}

impl<const N: usize> IntoExpects for [Expect; N] {
    fn into_expects(self) -> Vec<Expect> {
        self.into()
    }
}

impl IntoExpects for Vec<Expect> {
    fn into_expects(self) -> Vec<Expect> {
        self
    }
}

/// Every row must be a sentence of its own that stands on a section and sends what no other row sends.
pub fn refuse_twins(tables: &[(&str, Vec<Case>)]) {
    let mut names = HashMap::new();
    let mut bytes = HashMap::new();
    let mut complaints = String::new();
    for (table, case) in tables.iter().flat_map(|(table, cases)| cases.iter().map(move |case| (table, case))) {
        assert!(case.rfc.contains("section"), "{table}: {:?} names no section", case.name);
        if let Some(other) = names.insert(&case.name, table) {
            complaints += &format!("\n  {table} and {other} have two rows called {:?}", case.name);
        }
        if let Some(other) = bytes.insert(case.fingerprint(), &case.name) {
            complaints += &format!("\n  {table}: {:?} sends what {other:?} sends", case.name);
        }
    }
    assert!(complaints.is_empty(), "rows are twins:{complaints}");
}
