//! What must come back. Beside what a row asks for, every answer is held to the house rules: see [`crate::rules`].

use serde_json::Value;

use crate::rules::house_rules;
use crate::scene::Scene;
use crate::wire::{Answer, Wire};

type Check = Box<dyn Fn(&Answer, &Scene) -> Result<(), String> + Send + Sync>;

/// What an answer must be. Checks beyond the status bind an answer with the *first* of the statuses only: the others
/// are what RFC or contract leave open.
pub struct Expect {
    statuses: Vec<u16>,
    to_head: bool,
    is_page: bool,
    may_continue: bool,
    checks: Vec<Check>,
}

pub fn is(status: u16) -> Expect {
    any(&[status])
}

pub fn any(statuses: &[u16]) -> Expect {
    let statuses = statuses.to_vec();
    Expect { statuses, to_head: false, is_page: false, may_continue: false, checks: Vec::new() }
}

/// The message of [`SAY_HI`] was taken, whole and unchanged.
pub fn said_hi() -> Expect {
    said("hi")
}

/// A message was taken, and it was this one.
pub fn said(message: &'static str) -> Expect {
    is(201).json("message", message).header("Cache-Control", "no-store")
}

impl Expect {
    /// It answers a HEAD.
    pub fn for_head(self) -> Expect {
        Expect { to_head: true, ..self }
    }

    /// If it tells an error, it does so as a page.
    pub fn in_html(self) -> Expect {
        Expect { is_page: true, ..self }
    }

    /// A `100 Continue` may stand before it.
    pub fn maybe_after_continue(self) -> Expect {
        Expect { may_continue: true, ..self }
    }

    pub fn check(mut self, check: impl Fn(&Answer, &Scene) -> Result<(), String> + Send + Sync + 'static) -> Expect {
        self.checks.push(Box::new(check));
        self
    }

    pub fn body(self, wanted: impl AsRef<[u8]>) -> Expect {
        let wanted = wanted.as_ref().to_vec();
        self.check(move |answer, _| match answer.body == wanted {
            true => Ok(()),
            false => Err(format!(
                "the body is {} bytes and not the {} expected; they part at byte {}",
                answer.body.len(),
                wanted.len(),
                answer.body.iter().zip(&wanted).take_while(|(a, b)| a == b).count(),
            )),
        })
    }

    pub fn header(self, name: &'static str, wanted: &'static str) -> Expect {
        self.check(move |answer, scene| {
            let wanted = scene.fill_text(wanted);
            match answer.field(name) {
                Some(value) if value == wanted => Ok(()),
                value => Err(format!("{name} is {value:?} and not {wanted:?}")),
            }
        })
    }

    /// A field is there and `test` holds for it; `wanted` says in words what that means.
    pub fn header_like(self, name: &'static str, wanted: &'static str, test: fn(&str) -> bool) -> Expect {
        self.check(move |answer, _| match answer.field(name) {
            Some(value) if test(value) => Ok(()),
            value => Err(format!("{name} is {value:?}, not {wanted}")),
        })
    }

    pub fn without(self, name: &'static str) -> Expect {
        self.check(move |answer, _| match answer.field(name) {
            None => Ok(()),
            Some(value) => Err(format!("{name} is there: {value:?}")),
        })
    }

    /// A field lists a token.
    pub fn lists(self, name: &'static str, token: &'static str) -> Expect {
        self.check(move |answer, _| match answer.lists(name, token) {
            true => Ok(()),
            false => Err(format!("{name} is {:?} and does not list {token}", answer.field(name))),
        })
    }

    /// `Allow` names exactly these methods.
    pub fn allow(self, wanted: &'static [&'static str]) -> Expect {
        self.check(move |answer, _| {
            let value = answer.field("allow").unwrap_or_default();
            let mut found: Vec<_> = value.split(',').map(str::trim).collect();
            let mut wanted = wanted.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            if found == wanted { Ok(()) } else { Err(format!("Allow is {value:?} and not {}", wanted.join(", "))) }
        })
    }

    /// The `code` of the problem document.
    pub fn code(self, wanted: &'static str) -> Expect {
        self.json("code", wanted)
    }

    /// A member of a JSON body is this text.
    pub fn json(self, member: &'static str, wanted: &'static str) -> Expect {
        self.check(move |answer, _| {
            let value: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("not JSON: {error}"))?;
            match value.get(member).and_then(Value::as_str) {
                Some(found) if found == wanted => Ok(()),
                found => Err(format!("{member:?} is {found:?} and not {wanted:?}")),
            }
        })
    }

    /// A single range of `whole`, with its `Content-Range`.
    pub fn slice(self, whole: Vec<u8>, first: usize, last: usize) -> Expect {
        self.check(move |answer, _| {
            let wanted = format!("bytes {first}-{last}/{}", whole.len());
            if answer.field("content-range") != Some(&wanted) {
                return Err(format!("Content-Range is {:?} and not {wanted:?}", answer.field("content-range")));
            }
            match answer.body == whole[first..=last] {
                true => Ok(()),
                false => Err(format!("the body's {} bytes are not those of {wanted}", answer.body.len())),
            }
        })
    }

    /// `multipart/byteranges` (or, where it comes to one range only, perhaps a single one) that carries exactly these
    /// ranges of `whole`. Their order is the server's affair, and so is joining neighbours (RFC 9110 section 15.3.7.2).
    pub fn ranges(self, whole: Vec<u8>, wanted: &[(usize, usize)]) -> Expect {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        join_neighbours(&mut wanted);
        self.check(move |answer, _| {
            let mut found = pieces(answer, &whole)?;
            found.sort_unstable();
            join_neighbours(&mut found);
            if found == wanted { Ok(()) } else { Err(format!("the ranges are {found:?} and not {wanted:?}")) }
        })
    }
}

impl Expect {
    /// Reads the answer this is about; a `100 Continue` that may stand before it is passed over.
    pub fn hear(&self, wire: &mut Wire) -> Result<Answer, String> {
        let answer = wire.hear(self.to_head)?;
        if self.may_continue && answer.status == 100 { wire.hear(self.to_head) } else { Ok(answer) }
    }

    /// Holds an answer against this, and against the house rules.
    pub fn judge(&self, answer: &Answer, scene: &Scene) -> Result<(), String> {
        if !self.statuses.contains(&answer.status) {
            return Err(format!("the status is {} {} and not {:?}", answer.status, answer.reason, self.statuses));
        }
        let mut complaints = Vec::new();
        if answer.status >= 200 {
            complaints.extend(house_rules(answer, self.to_head, self.is_page).err());
        }
        if self.statuses.first() == Some(&answer.status) {
            complaints.extend(self.checks.iter().filter_map(|check| check(answer, scene).err()));
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n    ")) }
    }
}

fn join_neighbours(ranges: &mut Vec<(usize, usize)>) {
    ranges.dedup_by(|next, before| {
        let joins = before.1 + 1 == next.0;
        if joins {
            before.1 = next.1;
        }
        joins
    });
}

/// The ranges an answer carries, each byte of which was compared with `whole`.
fn pieces(answer: &Answer, whole: &[u8]) -> Result<Vec<(usize, usize)>, String> {
    let kind = answer.field("content-type").unwrap_or_default();
    let Some(parameters) = kind.strip_prefix("multipart/byteranges") else {
        return Ok(vec![piece(answer.field("content-range"), &answer.body, whole)?.0]);
    };
    if answer.field("content-range").is_some() {
        return Err("a multipart answer with a Content-Range of its own (RFC 9110 section 15.3.7.2)".into());
    }
    let boundary = parameters.trim_start_matches([';', ' ']).strip_prefix("boundary=").ok_or("no boundary")?;
    let boundary = boundary.trim_matches('"');
    let (opener, closer) = (format!("--{boundary}\r\n"), format!("--{boundary}--"));
    let mut rest = answer.body.strip_prefix(b"\r\n").unwrap_or(&answer.body);
    let mut found = Vec::new();
    loop {
        if let Some(tail) = rest.strip_prefix(closer.as_bytes()) {
            return if tail.is_empty() || tail == b"\r\n" {
                Ok(found)
            } else {
                Err("bytes behind the last part".into())
            };
        }
        let part = rest.strip_prefix(opener.as_bytes()).ok_or("a part does not begin with the boundary")?;
        let blank = memchr::memmem::find(part, b"\r\n\r\n").ok_or("a part without the blank line")?;
        let head = String::from_utf8_lossy(&part[..blank]);
        let field = |name: &str| {
            head.split("\r\n")
                .filter_map(|line| line.split_once(':'))
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        if field("content-type").is_none() {
            return Err("a part without Content-Type (RFC 9110 section 15.3.7.2)".into());
        }
        let (range, length) = piece(field("content-range"), &part[blank + 4..], whole)?;
        found.push(range);
        rest = part[blank + 4 + length..].strip_prefix(b"\r\n").ok_or("a part's bytes do not end with CRLF")?;
    }
}

/// One range: `bytes` must begin with what `content_range` says of `whole`.
fn piece(content_range: Option<&str>, bytes: &[u8], whole: &[u8]) -> Result<((usize, usize), usize), String> {
    let wrong = || format!("Content-Range is {content_range:?}");
    let text = content_range.and_then(|text| text.strip_prefix("bytes ")).ok_or_else(wrong)?;
    let (range, size) = text.split_once('/').ok_or_else(wrong)?;
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let (Ok(first), Ok(last), Ok(size)) = (first.parse::<usize>(), last.parse::<usize>(), size.parse::<usize>()) else {
        return Err(wrong());
    };
    let wanted = whole.get(first..last + 1).filter(|_| size == whole.len()).ok_or_else(wrong)?;
    if !bytes.starts_with(wanted) {
        return Err(format!("the bytes are not those of {text}"));
    }
    Ok(((first, last), wanted.len()))
}
