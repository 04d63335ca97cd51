//! What is asked of the chat's history.

use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::request::Request;
use crate::http::status::Status;
use crate::site::rooms::LOBBY;

/// Messages in one answer, at most.
pub const LIMIT_MAX: usize = 1000;

/// Messages in one answer, by default.
pub const LIMIT: usize = 100;

/// The longest wait of a long poll.
pub const WAIT_MAX_S: u64 = 60;

/// Letters of what is searched for.
pub const QUERY_MAX: usize = 200;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of which room.
    pub room: String,
    /// After which id.
    pub since: Option<i64>,
    /// Before which id.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
    /// How long to wait for something new.
    pub wait_s: u64,
    /// What is searched for.
    pub query: Option<String>,
    /// Whether the answer is for people: a page.
    pub wants_page: bool,
}

impl Ask {
    /// The newest messages of a room.
    pub fn newest(room: &str, wants_page: bool) -> Ask {
        let (room, query) = (room.to_owned(), None);
        Ask { room, since: None, before: None, limit: LIMIT, wait_s: 0, query, wants_page }
    }

    /// What a request asks for.
    pub fn of(request: &Request<'_>) -> Result<Ask, Fault> {
        let mut ask = Ask::newest(LOBBY, prefers_html(request.headers.all(Field::Accept)));
        let query = request.query.unwrap_or_default();
        if let Some(name) = form::given_twice(query, &["room", "since", "before", "limit", "wait", "q"]) {
            return Err(bad_query(name, "is given twice"));
        }
        for (name, value) in form::query(query) {
            let number = || whole(&value).ok_or_else(|| bad_query(&name, "is not a number"));
            let id = || number().and_then(|id| i64::try_from(id).map_err(|_| bad_query(&name, "is no id")));
            match &*name {
                "since" => ask.since = Some(id()?),
                "before" => ask.before = Some(id()?),
                "limit" => match usize::try_from(number()?) {
                    Ok(limit @ 1..=LIMIT_MAX) => ask.limit = limit,
                    _ => return Err(bad_query(&name, "is not from 1 to 1000")),
                },
                "wait" => match number()? {
                    wait @ 0..=WAIT_MAX_S => ask.wait_s = wait,
                    _ => return Err(bad_query(&name, "is not from 0 to 60")),
                },
                "room" => ask.room = value.into_owned(),
                "q" if value.chars().count() > QUERY_MAX => return Err(bad_query(&name, "is longer than 200 letters")),
                "q" => ask.query = Some(value.into_owned()).filter(|query| !query.trim().is_empty()),
                _ => {}
            }
        }
        if ask.since.is_some() && ask.before.is_some() {
            return Err(bad_query("before", "does not go with since"));
        }
        Ok(ask)
    }
}

/// The number that a text is: digits and nothing else, for a sign is no part of an id.
fn whole(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The id that a text is.
pub fn id(text: &str) -> Option<i64> {
    whole(text).and_then(|number| i64::try_from(number).ok())
}

fn bad_query(name: &str, what: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_query", format!("{name} {what}"))
}
