//! The server at the other end: one request, and an answer or a failure.

use std::io::{self, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body, SendBody};

use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::secure::{Secure, complaint, is_plain};
use crate::cli::client::target::{Base, Trust};

/// What a JSON answer may have.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// What a refusal may have; the rest is not worth reading.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;

const CONNECT: Duration = Duration::from_secs(10);
/// Longer than a long poll and an event stream's heartbeat; a server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a server may think before it says whether it wants a body.
const CONTINUE: Duration = Duration::from_secs(2);

/// Bodies from here on ask first whether they are wanted.
const ASKS_FIRST_BYTES: u64 = 64 << 10;

/// Who a request is for.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// From HYTHE_TOKEN.
    Token(String),
    /// From an earlier `hythe login`.
    Session(String),
}

/// A request to be made.
pub struct Ask<'b> {
    method: Method,
    target: String,
    fields: Vec<(&'static str, String)>,
    body: Option<SendBody<'b>>,
}

impl<'b> Ask<'b> {
    /// A request without a body.
    pub fn new(method: Method, target: impl Into<String>) -> Ask<'b> {
        Ask { method, target: target.into(), fields: Vec::new(), body: None }
    }

    /// GET.
    pub fn get(target: impl Into<String>) -> Ask<'b> {
        Ask::new(Method::GET, target)
    }

    /// POST of a JSON object.
    pub fn post(target: impl Into<String>, object: &Value) -> Ask<'static> {
        Ask::new(Method::POST, target).json(object)
    }

    /// A header field more.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Ask<'b> {
        self.fields.push((name, value.into()));
        self
    }

    /// A JSON object as its body.
    pub fn json(self, object: &Value) -> Ask<'static> {
        let bytes = object.to_string().into_bytes();
        let length = bytes.len() as u64;
        self.field("content-type", "application/json")
            .body(SendBody::from_owned_reader(io::Cursor::new(bytes)), Some(length))
    }

    /// A body; without a length it is sent in chunks.
    pub fn body<'n>(self, body: SendBody<'n>, length: Option<u64>) -> Ask<'n> {
        let mut ask = Ask { method: self.method, target: self.target, fields: self.fields, body: Some(body) };
        ask = match length {
            Some(length) => ask.field("content-length", length.to_string()),
            None => ask.field("transfer-encoding", "chunked"),
        };
        if length.is_none_or(|length| length >= ASKS_FIRST_BYTES) {
            ask = ask.field("expect", "100-continue");
        }
        ask
    }
}

/// A server to talk to.
pub struct Server {
    /// Where it is.
    pub base: Base,
    /// How it is spoken to, where that is encrypted.
    pub secure: Option<Secure>,
    agent: Agent,
    credential: Option<Credential>,
}

impl Server {
    /// Talks to the server at `base` for whoever holds `credential`.
    ///
    /// # Errors
    /// If it is encrypted, and nobody can be trusted.
    pub fn new(base: Base, trust: &Trust, credential: Option<Credential>) -> Result<Server, Failure> {
        let secure = if base.is_secure() { Some(Secure::new(trust)?) } else { None };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("hythe/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_connect(Some(CONNECT))
            .timeout_await_100(Some(CONTINUE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE));
        if base.is_near() {
            config = config.proxy(None);
        }
        let config = config.build();
        let agent = match secure.clone() {
            None => config.new_agent(),
            Some(secure) => {
                let connector = DefaultConnector::new().chain(secure);
                Agent::with_parts(config, connector, DefaultResolver::default())
            }
        };
        Ok(Server { base, secure, agent, credential })
    }

    /// The bearer token that is shown.
    pub fn token(&self) -> Option<&str> {
        match self.credential.as_ref()? {
            Credential::Token(token) | Credential::Session(token) => Some(token),
        }
    }

    /// Whether what is shown is a session of ours.
    pub fn has_session(&self) -> bool {
        matches!(self.credential, Some(Credential::Session(_)))
    }

    /// From now on talks for another.
    pub fn speak_for(&mut self, credential: Option<Credential>) {
        self.credential = credential;
    }

    /// Any answer, whatever its status.
    ///
    /// # Errors
    /// If none comes.
    pub fn any(&self, ask: Ask<'_>) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(&ask.method).uri(self.base.join(&ask.target));
        if let Some(token) = self.token() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in ask.fields {
            request = request.header(name, value);
        }
        let wrong = |error: ureq::http::Error| Failure::usage(format!("this cannot be asked for: {error}"));
        let Some(body) = ask.body else {
            let request = request.body(()).map_err(wrong)?;
            return match self.agent.run(request.clone()).map_err(|error| self.no_answer(error)) {
                // A connection that was kept may have been closed meanwhile; what changes nothing can be asked again.
                Err(failure) if failure.is_cut() && matches!(ask.method, Method::GET | Method::HEAD) => {
                    self.agent.run(request).map_err(|error| self.no_answer(error))
                }
                other => other,
            };
        };
        self.agent.run(request.body(body).map_err(wrong)?).map_err(|error| self.no_answer(error))
    }

    /// An answer that is a success.
    ///
    /// # Errors
    /// If none comes, or a refusal.
    pub fn good(&self, ask: Ask<'_>) -> Result<Response<Body>, Failure> {
        let answer = self.any(ask)?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer)) }
    }

    /// The JSON of an answer that is a success.
    ///
    /// # Errors
    /// If none comes, or a refusal, or something that is no JSON.
    pub fn json(&self, ask: Ask<'_>) -> Result<Value, Failure> {
        json_of(self.good(ask)?)
    }

    fn no_answer(&self, error: ureq::Error) -> Failure {
        let url = self.base.url();
        match error {
            ureq::Error::Io(error) => lost(&url, &error),
            ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
                Failure::new(Ending::NoConnection, format!("{url} does not answer"))
            }
            ureq::Error::HostNotFound => Failure::new(Ending::NoConnection, format!("{url}: there is no such host")),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::usage(format!("{url} is no URL of a server")),
            error => Failure::new(Ending::ServerError, format!("what {url} answers is no HTTP: {error}")),
        }
    }
}

fn lost(url: &str, error: &io::Error) -> Failure {
    let sentence = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nobody answers at {url}; is the server running?"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            let sentence = format!("{url} closed the connection without an answer");
            return Failure::cut(sentence);
        }
        _ if is_plain(error) => format!("cannot reach {url}: the server does not speak TLS there; is it http://?"),
        _ => match complaint(error) {
            Some(complaint) => format!("{url} is not trusted: {complaint}"),
            None => format!("cannot reach {url}: {error}"),
        },
    };
    Failure::new(Ending::NoConnection, sentence)
}

/// What a refusal says.
pub fn refusal(mut answer: Response<Body>) -> Failure {
    let mut body = Vec::new();
    // A refusal that is cut short still has its status.
    let _ = answer.body_mut().as_reader().take(REFUSAL_BYTES_MAX).read_to_end(&mut body);
    let mut failure = Failure::of_answer(answer.status().as_u16(), &body);
    if failure.ending == Ending::RateLimited
        && let Some(seconds) = field(&answer, "retry-after")
    {
        failure.sentence = format!("{}; try again in {seconds} s", failure.sentence);
    }
    failure
}

/// The JSON of an answer.
///
/// # Errors
/// If it is something else.
pub fn json_of(mut answer: Response<Body>) -> Result<Value, Failure> {
    let rubbish =
        |what: String| Failure::new(Ending::ServerError, format!("the server's answer {what}; is the URL right?"));
    let bytes = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| Failure::new(Ending::Damaged, format!("the server's answer was cut short: {error}")))?;
    match serde_json::from_slice(&bytes) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(rubbish("is no object".to_owned())),
        Err(error) => Err(rubbish(format!("is no JSON ({error})"))),
    }
}

/// A header field of an answer, as text.
pub fn field<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}
