//! Handlers that block: they are given all of a request, run on a helper, and have a time within which to answer.

use std::str::FromStr;

use crate::http::fault::Fault;
use crate::http::request::Method;
use crate::reactor::system::{Lane, Peer};
use crate::server::context::{Call, Context, bad_parameter};
use crate::server::later::Ticket;
use crate::server::reply::{Reply, overloaded};
use crate::server::state::State;

/// How large a body a blocking handler is given, unless it says otherwise.
pub const BODY_MAX: usize = 1 << 20;

/// A whole request, taken out of the loop's memory.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path, decoded, without its first slash.
    pub path: String,
    /// The query, as it came.
    pub query: Option<String>,
    /// Who asks.
    pub peer: Peer,
    /// The body.
    pub body: Vec<u8>,
    parameters: Vec<(String, String)>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Asked {
    fn of(call: &Call<'_>, peer: Peer) -> Asked {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Asked {
            method: call.method,
            path: call.path.as_str().to_owned(),
            query: call.request.query.map(str::to_owned),
            peer,
            body: Vec::new(),
            parameters: call.parameters.iter().map(owned).collect(),
            fields: call.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        }
    }

    /// What a parameter of the pattern stands for, decoded.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter as a type.
    ///
    /// # Errors
    /// 400 `bad_parameter` if it is no such thing.
    pub fn parameter_as<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        self.parameter(name).and_then(|value| value.parse().ok()).ok_or_else(|| bad_parameter(name))
    }

    /// The first value of a header field, by name in whatever case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}

/// Makes a handler of a function that may block. A body over `body_max` is 413; if the helpers have too much to do the answer is
/// 503 before a body is taken; if there is no answer within `within_ms` it is 504, and the log names the route.
pub fn blocking<S: State, R: Into<Reply<S>> + Send + 'static>(
    body_max: usize,
    within_ms: u64,
    work: impl Fn(Asked) -> R + Send + Clone + 'static,
) -> impl Fn(&mut S, &Call<'_>, &mut Context<'_>) -> Reply<S> + Clone + 'static
where
    Reply<S>: Sized,
{
    move |_, call, cx| {
        if !cx.has_room(Lane::Files) {
            return overloaded().into();
        }
        let mut asked = Asked::of(call, cx.peer);
        let route = call.route();
        let work = work.clone();
        Reply::collect(body_max, move |_, body, cx| {
            asked.body = body;
            let ticket = Ticket::new(route, cx.now, within_ms);
            let task = move || -> crate::server::reply::Step<S> {
                let answer = work(asked);
                Box::new(move |_, _| answer.into())
            };
            Reply::Within(ticket, Lane::Files, Box::new(task))
        })
    }
}
