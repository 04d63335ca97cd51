//! What all connections of a server share: the program's state, its routes, its rules, and the way a request takes from its
//! head to its handler.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Wall;
use crate::http::date;
use crate::http::exchange::KeepAlive;
use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::host::{Authority, HostList, is_cross_site};
use crate::http::request::{HeadLimits, Method, Request};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::http::upgrade::names_websocket;
use crate::path::{PathFault, RelPath};
use crate::reactor::slot::Marks;
use crate::reactor::system::{Entrance, Lane};
use crate::server::access::{AccessLog, write_escaped};
use crate::server::context::{Call, Context};
use crate::server::later::Mail;
use crate::server::layer::{Layer, Next};
use crate::server::problem::{self, Painter};
use crate::server::pump::Bodies;
use crate::server::reply::{Reply, State, Task};
use crate::server::router::{Found, Router};

/// How a server treats its clients.
#[non_exhaustive]
pub struct Rules {
    /// How large a head may be.
    pub heads: HeadLimits,
    /// How long a client has for a head, and a silent one for its first byte.
    pub header_timeout_ms: u64,
    /// How long a body may bring nothing.
    pub body_idle_ms: u64,
    /// How many bytes a second a body must bring on average, once it has lasted [`body_rate_after_ms`](Rules::body_rate_after_ms);
    /// zero for any number.
    pub body_rate_bytes: u64,
    /// From when on a body's average counts.
    pub body_rate_after_ms: u64,
    /// How long a connection may be idle between requests.
    pub keepalive_ms: u64,
    /// How many requests a connection may make; zero for any number.
    pub keepalive_requests: u32,
    /// How long a stream may be silent before it is sent a heartbeat.
    pub heartbeat_ms: u64,
    /// How long the client of a WebSocket may be silent before it is sent a ping,
    pub ping_ms: u64,
    /// and then before it is given up.
    pub pong_ms: u64,
    /// The hosts this server answers to; `None` for any.
    pub hosts: Option<HostList>,
    /// Origins of other sites that may ask with bearer tokens.
    pub cors_origins: Vec<String>,
    /// What is stripped from every target and put before every address given: empty, or a slash and segments.
    pub prefix: String,
    /// The port of the encrypted address, for who comes by the plain one that leads there.
    pub secure_port: Option<u16>,
    /// How long browsers are to come encrypted only; zero for no word on it.
    pub hsts_seconds: u64,
    /// The access log's form; `None` for no log. The command's: a program has no file for it, and counts in a layer.
    #[doc(hidden)]
    pub access_log: Option<crate::server::access::Format>,
    /// Makes the pages that tell refusals, where they are to look like others.
    #[doc(hidden)]
    pub painter: Option<Painter>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            heads: HeadLimits::default(),
            header_timeout_ms: 10_000,
            body_idle_ms: 30_000,
            body_rate_bytes: 1 << 10,
            body_rate_after_ms: 10_000,
            keepalive_ms: 30_000,
            keepalive_requests: 100,
            heartbeat_ms: 15_000,
            ping_ms: 30_000,
            pong_ms: 10_000,
            hosts: None,
            cors_origins: Vec::new(),
            prefix: String::new(),
            secure_port: None,
            hsts_seconds: 0,
            access_log: None,
            painter: None,
        }
    }
}

/// How a house is set up anew: its rules, what its state remembers of the configuration, and the loop's measures.
pub type Change<S> = Box<dyn FnOnce(&mut House<S>) -> Option<Marks> + Send>;

/// Reads anew how a house is to be set up. A helper does it, for it reads files.
pub type Reload<S> = Arc<dyn Fn() -> Change<S> + Send + Sync>;

/// Who is asked when a time has come, beside the state itself ([`State::on_alarm`]): a part that lives in it. What it returns is
/// for a helper.
pub type Alarm<S> = fn(&mut S, &mut Context<'_>) -> Option<(Lane, Task<S>)>;

/// What every answer at a place says, and below it, whoever gives it: a handler, the router, the connection itself.
pub struct Stamp {
    /// The place, as a path without the server's prefix.
    pub place: String,
    /// The field.
    pub name: &'static str,
    /// Its value.
    pub value: &'static str,
}

const RESOURCE_POLICY: &[u8] = b"Cross-Origin-Resource-Policy: same-origin\r\n";

/// What all connections share.
pub struct House<S: State> {
    /// The program's own.
    pub state: S,
    /// Its rules.
    pub rules: Rules,
    /// Its routes.
    pub router: Router<S>,
    /// The routes of built-in parts, asked after its own.
    pub built_in: Router<S>,
    /// What is wrapped around every handler, the outermost first.
    pub layers: Vec<Layer<S>>,
    /// Parts that are asked when a time has come.
    pub alarms: Vec<Alarm<S>>,
    /// What all answers at some places say.
    pub stamps: Vec<Stamp>,
    /// How answers come from other threads.
    pub mail: Option<Arc<dyn Mail>>,
    /// The bodies that are being received.
    pub bodies: Bodies,
    /// The access log's lines, if they are wanted.
    pub access: Option<AccessLog>,
    /// What to do when the operator wishes the configuration read anew.
    pub reload: Option<Reload<S>>,
    /// Header lines that every answer has, made once a second.
    common: Vec<u8>,
    common_at: u64,
}

impl<S: State> House<S> {
    /// A house with its rules.
    pub fn new(state: S, router: Router<S>, rules: Rules) -> House<S> {
        let access = rules.access_log.map(AccessLog::new);
        let (built_in, layers, alarms, mail) = (Router::default(), Vec::new(), Vec::new(), None);
        House {
            state,
            rules,
            router,
            built_in,
            layers,
            alarms,
            stamps: Vec::new(),
            mail,
            bodies: Bodies::default(),
            access,
            reload: None,
            common: Vec::new(),
            common_at: u64::MAX,
        }
    }

    /// Header lines that every answer has.
    ///
    /// An origin that may read across sites would be kept from it by `Cross-Origin-Resource-Policy`, the last of them; its
    /// answers go without.
    #[inline]
    pub fn common(&mut self, wall: Wall, is_for_other_site: bool) -> &[u8] {
        if self.common_at != wall.as_seconds() {
            self.common_at = wall.as_seconds();
            self.common.clear();
            self.common.extend_from_slice(b"Date: ");
            date::format(wall, &mut self.common);
            self.common.extend_from_slice(b"\r\nServer: hythe\r\nX-Content-Type-Options: nosniff\r\n");
            self.common.extend_from_slice(RESOURCE_POLICY);
        }
        let end = if is_for_other_site { self.common.len() - RESOURCE_POLICY.len() } else { self.common.len() };
        &self.common[..end]
    }

    /// The answer to a refusal, as whoever asked would have it.
    pub fn refusal(&self, fault: &Fault, wants_page: bool) -> Response {
        match self.rules.painter.filter(|_| wants_page) {
            Some(painter) => problem::answer_with(fault, Some(painter(fault, &self.rules.prefix).into())),
            None => problem::answer(fault, wants_page),
        }
    }

    /// Which stamp the answers to a request bear, counted from one; zero for none.
    #[inline]
    pub fn stamp_of(&self, request: &Request<'_>) -> u8 {
        if self.stamps.is_empty() {
            return 0;
        }
        let Ok(path) = self.strip_prefix(request.path) else { return 0 };
        let is_there = |stamp: &Stamp| {
            // A byte tells of nearly all that they are not there.
            path.as_bytes().get(1) == stamp.place.as_bytes().get(1)
                && path.strip_prefix(stamp.place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.stamps.iter().position(is_there).and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
    }

    /// Gives an answer that stamp.
    #[cold]
    pub fn stamp(&self, stamp: u8, response: &mut Response) {
        if let Some(stamp) = self.stamps.get(usize::from(stamp).wrapping_sub(1))
            && !response.has(stamp.name)
        {
            response.add_header(stamp.name, stamp.value);
        }
    }

    /// What a connection may do after its answer.
    pub fn keep_alive(&self, is_closing: bool) -> KeepAlive {
        KeepAlive { requests_max: self.rules.keepalive_requests, idle_ms: self.rules.keepalive_ms, is_closing }
    }

    /// A request's way to its handler, in the order of the contract: host, path, cross-site guard, route.
    pub fn answer(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Reply<S> {
        self.state.on_request(request, cx);
        let reply = self.find(request, cx).unwrap_or_else(Reply::Refuse);
        if let Reply::Refuse(fault) = &reply
            && [Status::BAD_REQUEST, Status::FORBIDDEN, Status::NOT_IMPLEMENTED].contains(&fault.status)
        {
            tell_refusal(fault, request, cx.peer.ip);
        }
        reply
    }

    fn find(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<Reply<S>, Fault> {
        if cx.peer.entrance == Entrance::Detour {
            return self.lead_to_secure(request);
        }
        self.check_host(request.host, request.is_http10)?;
        if !request.target.starts_with('/') && !cx.is_secure && asks_for_https(request.target) {
            let detail = "what is asked for by https is answered on an encrypted connection only";
            return Err(Fault::new(Status::MISDIRECTED_REQUEST, "misdirected", detail));
        }
        if request.path == "*" {
            let all = Method::ALL.map(Method::name).join(", ");
            return Ok(Response::new(Status::NO_CONTENT).header("Allow", &all).into());
        }
        let prefix = &self.rules.prefix;
        if !prefix.is_empty() && request.path == prefix && matches!(request.method, Method::Get | Method::Head) {
            // Without the slash, what a page calls its neighbours would be looked for outside the prefix.
            let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(Response::redirect(Status::PERMANENT_REDIRECT, &format!("{prefix}/{query}")).into());
        }
        let inside = self.strip_prefix(request.path)?;
        let (path, is_folder) = RelPath::from_target(inside).map_err(path_fault)?;
        if request.method == Method::Unknown {
            return Err(Fault::new(Status::NOT_IMPLEMENTED, "method_not_implemented", "this method is not known here"));
        }
        if !request.method.is_safe() || names_websocket(request) {
            self.check_site(request)?;
        }
        if request.expects_unknown {
            let detail = "only 100-continue can be expected";
            return Err(Fault::new(Status::EXPECTATION_FAILED, "expectation_failed", detail));
        }
        if request.method == Method::Options
            && let Some(preflight) = self.preflight(request)
        {
            return Ok(preflight.into());
        }
        let found = match self.router.find(request.method, &path) {
            found @ Found::Handler(..) => found,
            Found::Nothing => self.built_in.find(request.method, &path),
            found => found.or(self.built_in.find(request.method, &path)),
        };
        let (handler, pattern, parameters) = match found {
            Found::Handler(handler, pattern, parameters) => (handler, Some(pattern), parameters),
            Found::Rest(handler) => (handler, None, Vec::new()),
            Found::Options(allow) => return Ok(Response::new(Status::NO_CONTENT).header("Allow", &allow).into()),
            Found::WrongMethod(allow) => return Err(wrong_method(&allow)),
            Found::Nothing => return Err(Fault::not_found()),
        };
        let call = Call { request, path: &path, is_folder, mail: self.mail.as_ref(), pattern, parameters };
        Ok(if self.layers.is_empty() {
            handler(&mut self.state, &call, cx)
        } else {
            Next { layers: &self.layers, handler }.run(&mut self.state, &call, cx)
        })
    }

    fn check_host(&self, host: &[u8], is_http10: bool) -> Result<(), Fault> {
        let Some(hosts) = &self.rules.hosts else { return Ok(()) };
        if hosts.allows(host) || host.is_empty() && is_http10 {
            return Ok(());
        }
        if Authority::parse(host).is_none() {
            return Err(Fault::fatal(Status::BAD_REQUEST, "bad_host", "Host is not a host with an optional port"));
        }
        Err(Fault::new(
            Status::FORBIDDEN,
            "host_forbidden",
            "this server does not answer to that host; --allow-host adds one",
        ))
    }

    /// What the plain door says to everything: the same, but encrypted.
    #[cold]
    fn lead_to_secure(&self, request: &Request<'_>) -> Result<Reply<S>, Fault> {
        let authority = Authority::parse(request.host);
        let (Some(port), Some(authority)) = (self.rules.secure_port, authority) else {
            return Err(Fault::fatal(
                Status::BAD_REQUEST,
                "bad_host",
                "this address leads to an encrypted one by its Host",
            ));
        };
        let host = if port == 443 { authority.host.to_owned() } else { format!("{}:{port}", authority.host) };
        self.check_host(host.as_bytes(), false)?;
        let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
        let path = if request.path == "*" { "/" } else { request.path };
        let target = format!("https://{host}{path}{query}");
        Ok(Response::redirect(Status::PERMANENT_REDIRECT, &target).into())
    }

    fn check_site(&self, request: &Request<'_>) -> Result<(), Fault> {
        let authority = Authority::parse(request.host);
        let hosts = match &self.rules.hosts {
            Some(hosts) => hosts,
            None => &HostList::default(),
        };
        if is_cross_site(&request.headers, authority.as_ref(), hosts, &self.rules.cors_origins) {
            return Err(Fault::new(
                Status::FORBIDDEN,
                "cross_site",
                "a page of another site may not do this; --cors-origin or --allow-host names one that may",
            ));
        }
        Ok(())
    }

    fn strip_prefix<'a>(&self, path: &'a str) -> Result<&'a str, Fault> {
        if self.rules.prefix.is_empty() {
            return Ok(path);
        }
        match path.strip_prefix(self.rules.prefix.as_str()) {
            Some("") => Ok("/"),
            Some(inside) if inside.starts_with('/') => Ok(inside),
            _ => Err(Fault::not_found()),
        }
    }

    /// Whether the request comes from an origin that `--cors-origin` names.
    pub fn cors_origin(&self, request: &Request<'_>) -> Option<&str> {
        if self.rules.cors_origins.is_empty() {
            return None;
        }
        let origin = request.headers.text(Field::Origin)?;
        self.rules.cors_origins.iter().map(String::as_str).find(|allowed| *allowed == origin)
    }

    /// The answer to an OPTIONS of a browser that asks whether it may ask (WHATWG Fetch, CORS preflight).
    #[cold]
    fn preflight(&self, request: &Request<'_>) -> Option<Response> {
        if !request.headers.has(Field::AccessControlRequestMethod) {
            return None;
        }
        self.cors_origin(request)?;
        let methods = Method::ALL.map(Method::name).join(", ");
        Some(
            Response::new(Status::NO_CONTENT)
                .header("Access-Control-Allow-Methods", &methods)
                .header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
                .header("Access-Control-Max-Age", "600"),
        )
    }
}

/// What a page of another site may send: all that any route of ours reads.
const ALLOWED_HEADERS: &str = "authorization, content-type, if-match, if-none-match, if-modified-since, if-unmodified-since, \
     if-range, range, last-event-id, tus-resumable, upload-length, upload-defer-length, upload-metadata, upload-offset, \
     upload-checksum, x-http-method-override";

/// Of what was asked for, at most so much of each part stands in the log.
const SHOWN_MAX: usize = 200;

/// What a page of another site may read of an answer, beside what every page may.
pub const EXPOSED_HEADERS: &str = "accept-ranges, allow, content-disposition, content-location, content-range, etag, location, \
     repr-digest, retry-after, tus-extension, tus-max-size, tus-resumable, tus-version, upload-defer-length, upload-expires, \
     upload-length, upload-metadata, upload-offset, www-authenticate";

/// A line of the log for somebody who asked for what is not theirs, or for nothing that can be understood.
#[cold]
fn tell_refusal(fault: &Fault, request: &Request<'_>, ip: IpAddr) {
    let mut shown = Vec::new();
    for (before, bytes) in
        [("\"", request.method_text.as_bytes()), (" ", request.target.as_bytes()), ("\" of ", request.host)]
    {
        shown.extend_from_slice(before.as_bytes());
        write_escaped(&bytes[..bytes.len().min(SHOWN_MAX)], &mut shown);
    }
    let (status, code) = (fault.status.code(), fault.code);
    log::info!("{ip} is refused with {status} {code}: {}", String::from_utf8_lossy(&shown));
}

/// Whether a target names https: only an encrypted connection, or a trusted proxy that speaks of one, can be asked for such
/// (RFC 9110, section 7.4).
#[cold]
fn asks_for_https(target: &str) -> bool {
    target.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

/// 405 with what is allowed.
#[cold]
pub fn wrong_method(allow: &str) -> Fault {
    let detail = format!("this takes {allow}");
    Fault::new(Status::METHOD_NOT_ALLOWED, "method_not_allowed", detail).with_field("Allow", allow)
}

/// What a path that is none is answered with.
#[cold]
pub fn path_fault(fault: PathFault) -> Fault {
    match fault {
        PathFault::Climbs => Fault::new(Status::FORBIDDEN, "path_forbidden", "the path leads outside"),
        PathFault::Hidden => Fault::not_found(),
        PathFault::Bad(reason) => Fault::new(Status::BAD_REQUEST, "bad_path", reason),
    }
}
