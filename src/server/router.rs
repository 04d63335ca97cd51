//! From method and path to handler. A fixed path wins over a parameter, a parameter over a rest; what was added first wins
//! among equals, so an embedder's routes, added before the built-in ones, come first.

use crate::http::request::Method;
use crate::path::RelPath;
use crate::server::pattern::{Pattern, Segment, write};
use crate::server::reply::{Handler, State};

const METHODS: usize = Method::ALL.len();

struct Route<S: State> {
    pattern: Vec<Segment>,
    handlers: [Option<Handler<S>>; METHODS],
}

/// What was found.
pub enum Found<'a, S: State> {
    /// A handler, its pattern, and what the pattern's parameters stand for.
    Handler(&'a Handler<S>, Pattern<'a>, Vec<(&'a str, &'a str)>),
    /// Nothing fits, and this is who is asked then.
    Rest(&'a Handler<S>),
    /// The path is known, the method is not; what is allowed, for the `Allow` field.
    WrongMethod(String),
    /// `OPTIONS`: what is allowed.
    Options(String),
    /// Nothing.
    Nothing,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadPattern {
    /// It does not begin with a slash, has an empty or hidden segment, a parameter whose name is none or is there twice, a rest
    /// that is not last, or what no decoded path is meant to have: a query, a percent-encoded byte, another library's `{name}`
    /// or `<name>`.
    Malformed(String),
    /// The same method and pattern were added before.
    Twice(String),
    /// It is for no method, or for one that is answered 501 before any route is looked for.
    NoMethod(String),
}

impl std::fmt::Display for BadPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadPattern::Malformed(pattern) => {
                write!(f, "{pattern:?} is not a pattern of a path: fixed segments, :name, and *name as the last")
            }
            BadPattern::Twice(pattern) => write!(f, "{pattern:?} was added twice"),
            BadPattern::NoMethod(pattern) => write!(f, "{pattern:?} is for no method that is ever asked for"),
        }
    }
}

impl std::error::Error for BadPattern {}

/// All routes.
pub struct Router<S: State> {
    routes: Vec<Route<S>>,
    /// Routes without parameters, by the length of their path and then by its last byte: nearly every path is told apart by
    /// that alone.
    fixed: Vec<Vec<(Option<u8>, String, usize)>>,
    /// The others, the more specific first, each with the byte that a path must begin with if any.
    patterns: Vec<(Option<u8>, usize)>,
    /// With which bytes, all of ASCII, a path begins that one of the patterns may fit: most paths of a site fit none.
    begins: u128,
    /// Who is asked when nothing else fits, with any method.
    rest: Option<Handler<S>>,
}

impl<S: State> Default for Router<S> {
    fn default() -> Router<S> {
        Router { routes: Vec::new(), fixed: Vec::new(), patterns: Vec::new(), begins: 0, rest: None }
    }
}

impl<S: State> Router<S> {
    /// Adds a route. A pattern is a path whose segments may be `:name` (any one segment) or, as the last, `*name` (all that
    /// follows, even nothing).
    ///
    /// # Errors
    /// If it is no such thing, or was added before for the same method.
    pub fn add(&mut self, method: Method, pattern: &str, handler: Handler<S>) -> Result<(), BadPattern> {
        let segments = self.check(&[method], pattern)?;
        let at = self.known(&segments).unwrap_or_else(|| self.make(segments));
        self.routes[at].handlers[index(method)] = Some(handler);
        Ok(())
    }

    /// Whether a route can be added for all these methods; says what its pattern is made of.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(&self, methods: &[Method], pattern: &str) -> Result<Vec<Segment>, BadPattern> {
        let segments = read(pattern).ok_or_else(|| BadPattern::Malformed(pattern.to_owned()))?;
        if methods.is_empty() || methods.contains(&Method::Unknown) {
            return Err(BadPattern::NoMethod(pattern.to_owned()));
        }
        let route = self.known(&segments).map(|at| &self.routes[at]);
        for (at, method) in methods.iter().enumerate() {
            if methods[..at].contains(method) || route.is_some_and(|route| route.handlers[index(*method)].is_some()) {
                return Err(BadPattern::Twice(format!("{} {pattern}", method.name())));
            }
        }
        Ok(segments)
    }

    fn known(&self, segments: &[Segment]) -> Option<usize> {
        self.routes.iter().position(|route| is_same(&route.pattern, segments))
    }

    fn make(&mut self, segments: Vec<Segment>) -> usize {
        let at = self.routes.len();
        let fixed: Option<Vec<&str>> = segments
            .iter()
            .map(|segment| match segment {
                Segment::Fixed(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        match fixed {
            Some(fixed) => {
                let path = fixed.join("/");
                if self.fixed.len() <= path.len() {
                    self.fixed.resize_with(path.len() + 1, Vec::new);
                }
                self.fixed[path.len()].push((path.bytes().last(), path, at));
                self.routes.push(Route { pattern: segments, handlers: Default::default() });
            }
            None => {
                let first = match segments.first() {
                    Some(Segment::Fixed(text)) => text.bytes().next(),
                    _ => None,
                };
                self.routes.push(Route { pattern: segments, handlers: Default::default() });
                self.begins |= first.map_or(u128::MAX, bit);
                let (routes, new) = (&self.routes, kinds(&self.routes[at].pattern));
                let place = self.patterns.partition_point(|&(_, at)| kinds(&routes[at].pattern) <= new);
                self.patterns.insert(place, (first, at));
            }
        }
        at
    }

    /// Whether there is no route at all, and nobody for the rest.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rest.is_none()
    }

    /// Sets who is asked when nothing else fits.
    pub fn set_rest(&mut self, handler: Handler<S>) {
        self.rest = Some(handler);
    }

    /// Every route: method and pattern, in the order in which they were added.
    pub fn routes(&self) -> impl Iterator<Item = (Method, String)> {
        self.routes.iter().flat_map(|route| {
            let methods = Method::ALL.into_iter().filter(|&method| route.handlers[index(method)].is_some());
            methods.map(|method| (method, write(&route.pattern)))
        })
    }

    /// Who answers. `HEAD` is answered by who answers `GET`; `OPTIONS` by what is allowed.
    pub fn find<'a>(&'a self, method: Method, path: &'a RelPath<'a>) -> Found<'a, S> {
        if self.is_empty() {
            return Found::Nothing;
        }
        let mut allowed = [false; METHODS];
        let mut is_known = false;
        let text = path.as_str();
        let (first, last) = (text.bytes().next(), text.bytes().last());
        let same_length = self.fixed.get(text.len()).map_or(&[][..], Vec::as_slice);
        if let Some(&(_, _, at)) = same_length.iter().find(|(end, fixed, _)| *end == last && fixed == text) {
            is_known = true;
            if let Some(handler) = self.routes[at].find(method, &mut allowed) {
                return Found::Handler(handler, Pattern(&self.routes[at].pattern), Vec::new());
            }
        }
        let is_likely = self.begins & first.map_or(u128::MAX, bit) != 0;
        let patterns = if is_likely { &self.patterns[..] } else { &[] };
        for &(begins, at) in patterns {
            if begins.is_some() && begins != first {
                continue;
            }
            let Some(parameters) = fit(&self.routes[at].pattern, path) else { continue };
            is_known = true;
            if let Some(handler) = self.routes[at].find(method, &mut allowed) {
                return Found::Handler(handler, Pattern(&self.routes[at].pattern), parameters);
            }
        }
        match &self.rest {
            _ if is_known && method == Method::Options => Found::Options(allow(&allowed)),
            _ if is_known => Found::WrongMethod(allow(&allowed)),
            Some(handler) => Found::Rest(handler),
            None => Found::Nothing,
        }
    }
}

impl<'a, S: State> Found<'a, S> {
    /// What was found here, or else what was found elsewhere. What is allowed in both places is allowed.
    pub fn or(self, other: Found<'a, S>) -> Found<'a, S> {
        let both = |one: String, other: String| {
            let is_in = |name: &&str| one.split(", ").chain(other.split(", ")).any(|allowed| allowed == *name);
            Method::ALL.map(Method::name).into_iter().filter(is_in).collect::<Vec<_>>().join(", ")
        };
        match (self, other) {
            (Found::Nothing, other) | (_, other @ Found::Handler(..)) => other,
            (Found::Rest(_), other @ (Found::WrongMethod(_) | Found::Options(_))) => other,
            (Found::WrongMethod(one), Found::WrongMethod(other)) => Found::WrongMethod(both(one, other)),
            (Found::Options(one), Found::Options(other)) => Found::Options(both(one, other)),
            (found, _) => found,
        }
    }
}

impl<S: State> Route<S> {
    fn find(&self, method: Method, allowed: &mut [bool; METHODS]) -> Option<&Handler<S>> {
        let wanted = match method {
            Method::Unknown => return None,
            Method::Head if self.handlers[index(Method::Head)].is_none() => Method::Get,
            method => method,
        };
        let found = self.handlers[index(wanted)].as_ref();
        if found.is_none() {
            for (allowed, handler) in allowed.iter_mut().zip(&self.handlers) {
                *allowed |= handler.is_some();
            }
        }
        found
    }
}

/// Where a first byte is noted; those beyond ASCII share every place.
fn bit(first: u8) -> u128 {
    if first.is_ascii() { 1 << first } else { u128::MAX }
}

fn index(method: Method) -> usize {
    Method::ALL.iter().position(|&known| known == method).unwrap_or(METHODS - 1)
}

/// The value of an `Allow` field (RFC 9110, section 10.2.1).
fn allow(allowed: &[bool; METHODS]) -> String {
    let has_get = allowed[index(Method::Get)];
    let names = Method::ALL
        .into_iter()
        .filter(|&method| allowed[index(method)] || method == Method::Options || method == Method::Head && has_get);
    names.map(Method::name).collect::<Vec<_>>().join(", ")
}

fn read(pattern: &str) -> Option<Vec<Segment>> {
    let rest = pattern.strip_prefix('/')?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let texts: Vec<&str> = rest.split('/').collect();
    let last = texts.len() - 1;
    let mut names: Vec<&str> = Vec::new();
    let mut segments = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        let is_rest = text.starts_with('*');
        segments.push(match text.strip_prefix([':', '*']) {
            Some(name) if !is_name(name) || names.contains(&name) || is_rest && at != last => return None,
            Some(name) => {
                names.push(name);
                if is_rest { Segment::Rest(name.to_owned()) } else { Segment::Parameter(name.to_owned()) }
            }
            None if text.is_empty() || is_mistaken(text) => return None,
            None => Segment::Fixed(RelPath::from_plain(text).ok()?.to_string()),
        });
    }
    Some(segments)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '-')
}

/// Whether a fixed segment is one by mistake: paths are held against it when they are decoded, and without their query.
fn is_mistaken(text: &str) -> bool {
    let is_within = |open, close| text.starts_with(open) && text.ends_with(close);
    let is_encoded =
        |(at, _)| text.as_bytes()[at + 1..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count() >= 2;
    text.contains(['?', '#']) || is_within('{', '}') || is_within('<', '>') || text.match_indices('%').any(is_encoded)
}

/// Whether two patterns fit the same paths.
fn is_same(one: &[Segment], other: &[Segment]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|pair| match pair {
            (Segment::Fixed(one), Segment::Fixed(other)) => one == other,
            (Segment::Parameter(_), Segment::Parameter(_)) | (Segment::Rest(_), Segment::Rest(_)) => true,
            _ => false,
        })
}

/// What a pattern is made of, for the order in which patterns are tried.
fn kinds(pattern: &[Segment]) -> Vec<u8> {
    let kinds = pattern.iter().map(|segment| match segment {
        Segment::Fixed(_) => 0,
        Segment::Parameter(_) => 1,
        Segment::Rest(_) => 3,
    });
    // A pattern that ends comes before one that takes a rest.
    kinds.chain([2]).collect()
}

fn fit<'a>(pattern: &'a [Segment], path: &'a RelPath<'a>) -> Option<Vec<(&'a str, &'a str)>> {
    let mut rest = path.as_str();
    if let Some(Segment::Fixed(text)) = pattern.first()
        && !rest.starts_with(text.as_str())
    {
        return None;
    }
    let mut parameters = Vec::new();
    for segment in pattern {
        let (first, behind) = rest.split_once('/').unwrap_or((rest, ""));
        match segment {
            Segment::Rest(name) => {
                parameters.push((name.as_str(), rest));
                return Some(parameters);
            }
            Segment::Fixed(text) if text == first => {}
            Segment::Parameter(name) if !first.is_empty() => parameters.push((name.as_str(), first)),
            _ => return None,
        }
        rest = behind;
    }
    rest.is_empty().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::Fault;
    use crate::http::status::Status;
    use crate::server::reply::Reply;

    /// A router whose handlers tell their own number through the code of a fault.
    fn router(routes: &[(Method, &str)]) -> Router<()> {
        let mut router = Router::default();
        for (method, pattern) in routes {
            let name: &'static str = Box::leak(pattern.to_string().into_boxed_str());
            let handler: Handler<()> = Box::new(move |_, _, _| Reply::Refuse(Fault::new(Status::OK, name, "")));
            router.add(*method, pattern, handler).unwrap();
        }
        router
    }

    fn find(router: &Router<()>, method: Method, path: &str) -> String {
        let path = RelPath::from_plain(path).unwrap();
        match router.find(method, &path) {
            Found::Handler(_, _, parameters) => format!("{parameters:?}"),
            Found::Rest(_) => "the rest".to_owned(),
            Found::WrongMethod(allow) => format!("not {allow}"),
            Found::Options(allow) => format!("options {allow}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn fixed_wins_over_parameter_and_parameter_over_rest() {
        use Method::{Delete, Get, Head, Options, Post, Put};
        let router = router(&[
            (Get, "/files/*path"),
            (Get, "/items/:id"),
            (Get, "/items/new"),
            (Put, "/items/:id"),
            (Get, "/"),
            (Post, "/send"),
        ]);
        for (method, path, found) in [
            (Get, "items/new", "[]"),
            (Put, "items/new", "[(\"id\", \"new\")]"),
            (Get, "items/7", "[(\"id\", \"7\")]"),
            (Head, "items/7", "[(\"id\", \"7\")]"),
            (Get, "items", "nothing"),
            (Get, "items/7/8", "nothing"),
            (Get, "files", "[(\"path\", \"\")]"),
            (Get, "files/a/b", "[(\"path\", \"a/b\")]"),
            (Get, "", "[]"),
            (Delete, "items/7", "not GET, HEAD, PUT, OPTIONS"),
            (Get, "send", "not POST, OPTIONS"),
            (Options, "send", "options POST, OPTIONS"),
            (Get, "nope", "nothing"),
        ] {
            assert_eq!(find(&router, method, path), found, "{method:?} {path}");
        }
    }

    #[test]
    fn bad_patterns_and_repeated_ones_are_told() {
        let mut router: Router<()> = Router::default();
        let handler = || -> Handler<()> { Box::new(|_, _, _| Fault::not_found().into()) };
        for pattern in ["", "a", "/a//b", "/:", "/*", "/*all/b", "/.hidden", "/a/../b", "/a/"] {
            assert_eq!(
                router.add(Method::Get, pattern, handler()),
                Err(BadPattern::Malformed(pattern.to_owned())),
                "{pattern}"
            );
        }
        assert_eq!(router.add(Method::Get, "/a/:x", handler()), Ok(()));
        assert_eq!(router.add(Method::Put, "/a/:x", handler()), Ok(()));
        assert_eq!(router.add(Method::Get, "/a/:y", handler()), Err(BadPattern::Twice("GET /a/:y".into())));
        assert_eq!(router.routes().collect::<Vec<_>>(), [(Method::Get, "/a/:x".into()), (Method::Put, "/a/:x".into())]);
    }
}
