//! Small bodies: JSON, read strictly (one object, each member once, at most 128 levels deep), and forms that say the same.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::http::fault::Fault;
use crate::http::form;
use crate::http::headers::Field;
use crate::http::media::MediaType;
use crate::http::multipart::{self, Limits};
use crate::http::request::Request;
use crate::http::status::Status;

/// Fields of a form; more say nothing that is asked for here.
const FIELDS_MAX: usize = 16;

/// The field in which a form says which method it stands for.
pub const METHOD: &str = "_method";

/// How a small body says what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a JSON object.
    Json,
    /// As a form.
    Fields,
    /// As a form in the other of the two encodings that HTML knows; its `Content-Type` says where one field ends.
    Parts(Box<[u8]>),
}

impl Kind {
    /// The kind of a request's body.
    ///
    /// # Errors
    /// 415 for any other, and for one that would have to be decoded.
    pub fn of(request: &Request<'_>) -> Result<Kind, Fault> {
        if request.headers.has(Field::ContentEncoding) {
            let detail = "a body may not have a Content-Encoding";
            return Err(Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, "encoded_body", detail));
        }
        let media = request.headers.get(Field::ContentType).and_then(MediaType::parse);
        match media {
            Some(media) if media.is("application/json") => Ok(Kind::Json),
            Some(media) if media.is("application/x-www-form-urlencoded") => Ok(Kind::Fields),
            Some(media) if media.is("multipart/form-data") => {
                Ok(Kind::Parts(request.headers.get(Field::ContentType).unwrap_or_default().into()))
            }
            _ => Err(unknown_kind("application/json, application/x-www-form-urlencoded or multipart/form-data")),
        }
    }

    /// Whether it is a form, in whichever encoding.
    pub fn is_form(&self) -> bool {
        *self != Kind::Json
    }

    /// The fields of a form.
    ///
    /// # Errors
    /// 400 `bad_form` or `bad_multipart`.
    pub fn fields(&self, body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
        match self {
            Kind::Parts(content_type) => {
                let limits = Limits { parts_max: FIELDS_MAX, ..Limits::default() };
                multipart::fields(content_type, body, limits)
            }
            Kind::Fields | Kind::Json => form::parse(body, FIELDS_MAX),
        }
    }

    /// The texts of these fields, each where it is given. An unknown member of JSON is refused, an unknown field of a form
    /// passed over.
    ///
    /// # Errors
    /// What is wrong with the body: 400 `invalid_json`, `bad_form` or `bad_field`.
    pub fn read<const N: usize>(&self, body: &[u8], names: [&str; N]) -> Result<[Option<String>; N], Fault> {
        let mut texts = [const { None }; N];
        let mut take = |name: &str, value: Option<String>| match names.iter().position(|known| *known == name) {
            Some(at) if texts[at].is_none() && value.is_some() => {
                texts[at] = value;
                Ok(())
            }
            None if self.is_form() => Ok(()),
            _ => Err(bad_field(name)),
        };
        match self {
            Kind::Json => {
                for (name, value) in object(body)? {
                    take(&name, if let Value::String(text) = value { Some(text) } else { None })?;
                }
            }
            Kind::Fields | Kind::Parts(_) => {
                for (name, value) in self.fields(body)? {
                    take(&name, Some(value))?;
                }
            }
        }
        Ok(texts)
    }
}

/// What a small body says, member by member. Each is taken out once; what is left over at the end of a JSON body is unknown.
pub struct Members {
    is_form: bool,
    left: Vec<(String, Value)>,
}

impl Members {
    /// Reads a body. Nothing at all says nothing.
    ///
    /// # Errors
    /// What is wrong with the body: 400 `invalid_json`, `bad_form` or `bad_field`.
    pub fn read(kind: &Kind, body: &[u8]) -> Result<Members, Fault> {
        let left = match kind {
            _ if body.is_empty() => Vec::new(),
            Kind::Json => object(body)?,
            Kind::Fields | Kind::Parts(_) => {
                kind.fields(body)?.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
            }
        };
        Ok(Members { is_form: kind.is_form(), left })
    }

    fn take(&mut self, name: &str) -> Result<Option<Value>, Fault> {
        let Some(at) = self.left.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.left.remove(at);
        match self.left.iter().any(|(known, _)| known == name) {
            true => Err(bad_field(name)),
            false => Ok(Some(value)),
        }
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad_field(name)),
        }
    }

    /// A text that must be there.
    pub fn need(&mut self, name: &str) -> Result<String, Fault> {
        self.text(name)?.ok_or_else(|| missing_field(name))
    }

    /// Yes or no; in a form also `1`, `on`, and nothing for no.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        match (self.is_form, self.take(name)?) {
            (_, None) => Ok(None),
            (false, Some(Value::Bool(flag))) => Ok(Some(flag)),
            (true, Some(Value::String(text))) => match text.as_str() {
                "1" | "on" | "true" | "yes" => Ok(Some(true)),
                "0" | "off" | "false" | "no" | "" => Ok(Some(false)),
                _ => Err(bad_field(name)),
            },
            (_, Some(_)) => Err(bad_field(name)),
        }
    }

    /// A whole number that is not negative, or `null`; in a form nothing is `null`.
    pub fn number(&mut self, name: &str) -> Result<Option<Option<u64>>, Fault> {
        let number = match (self.is_form, self.take(name)?) {
            (_, None) => return Ok(None),
            (false, Some(Value::Null)) => return Ok(Some(None)),
            (false, Some(Value::Number(number))) => number.as_u64(),
            (true, Some(Value::String(text))) if text.is_empty() => return Ok(Some(None)),
            (true, Some(Value::String(text))) => text.parse().ok(),
            (_, Some(_)) => None,
        };
        number.map(|number| Some(Some(number))).ok_or_else(|| bad_field(name))
    }

    /// Several texts: an array, or in a form several fields of the name.
    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let text = |value| if let Value::String(text) = value { Ok(text) } else { Err(bad_field(name)) };
        if self.is_form {
            let (named, left) = std::mem::take(&mut self.left).into_iter().partition(|(known, _)| known == name);
            self.left = left;
            let named: Vec<(String, Value)> = named;
            let texts = named.into_iter().map(|(_, value)| text(value)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(texts).filter(|texts| !texts.is_empty()));
        }
        match self.take(name)? {
            None => Ok(None),
            Some(Value::Array(values)) => values.into_iter().map(text).collect::<Result<_, _>>().map(Some),
            Some(_) => Err(bad_field(name)),
        }
    }

    /// Those of these fields that are texts, as they are now.
    pub fn texts_of(&self, names: &[&'static str]) -> Vec<(&'static str, String)> {
        let text = |name: &&'static str| {
            let (_, value) = self.left.iter().find(|(known, _)| known == name)?;
            Some((*name, value.as_str()?.to_owned()))
        };
        names.iter().filter_map(text).collect()
    }

    /// Nothing else is asked for.
    ///
    /// # Errors
    /// 400 `bad_field` for a member of JSON that was not taken.
    pub fn end(self) -> Result<(), Fault> {
        match self.left.first() {
            Some((unknown, _)) if !self.is_form => Err(bad_field(unknown)),
            _ => Ok(()),
        }
    }
}

/// 400 `bad_field` for a member that is not there.
pub fn missing_field(name: &str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_field", format!("{name:?} is missing"))
}

/// The code of a body of a kind that is not taken.
pub const UNKNOWN_KIND: &str = "unsupported_media_type";

/// 415 with what would be taken.
pub fn unknown_kind(taken: &str) -> Fault {
    let detail = format!("this takes {taken}");
    Fault::new(Status::UNSUPPORTED_MEDIA_TYPE, UNKNOWN_KIND, detail)
}

/// How deep a document may be nested.
const DEPTH_MAX: usize = 128;

/// The members of a JSON object, in order.
///
/// # Errors
/// 400 `invalid_json` if it is no JSON object, or nested more than 128 levels deep; 400 `bad_field` if a member stands in it twice.
pub fn object(body: &[u8]) -> Result<Vec<(String, Value)>, Fault> {
    check_depth(body)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    // Its own limit is one level short of ours.
    reader.disable_recursion_limit();
    let members = serde::Deserializer::deserialize_map(&mut reader, Object).and_then(|members| {
        reader.end()?;
        Ok(members)
    });
    let members = members.map_err(|error| invalid(&error))?;
    let mut seen = HashSet::with_capacity(members.len());
    match members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        Some((repeated, _)) => Err(bad_field(repeated)),
        None => Ok(members),
    }
}

/// Whether a body is JSON at all, of whatever kind.
///
/// # Errors
/// 400 `invalid_json`, saying where.
pub fn check(body: &[u8]) -> Result<(), Fault> {
    // What is skipped is not looked at closely enough: RFC 8259, section 8.1.
    if std::str::from_utf8(body).is_err() {
        return Err(Fault::new(Status::BAD_REQUEST, "invalid_json", "the body is not UTF-8"));
    }
    check_depth(body)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed: Result<serde::de::IgnoredAny, _> = serde::Deserialize::deserialize(&mut reader);
    parsed.and_then(|_| reader.end()).map_err(|error| invalid(&error))
}

/// Counts brackets outside strings: whatever else is wrong with the body, reading it needs no more stack than this allows.
fn check_depth(body: &[u8]) -> Result<(), Fault> {
    let (mut depth, mut is_in_string, mut is_escaped) = (0usize, false, false);
    for &byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'[' | b'{' if !is_in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let detail = "the body is nested more than 128 levels deep";
                    return Err(Fault::new(Status::BAD_REQUEST, "invalid_json", detail));
                }
            }
            b']' | b'}' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn invalid(error: &serde_json::Error) -> Fault {
    // JSON of another kind is shown by its error, and this goes to the log: it may be a password.
    let detail = match error.is_data() {
        true => "the body is not a JSON object".to_owned(),
        false => format!("the body is not the JSON that is wanted here: {error}"),
    };
    Fault::new(Status::BAD_REQUEST, "invalid_json", detail)
}

/// 400 `bad_field` with the member's name.
pub fn bad_field(name: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::new(Status::BAD_REQUEST, "bad_field", format!("{shown:?} is unknown, repeated or of the wrong type"))
}

struct Object;

impl<'de> serde::de::Visitor<'de> for Object {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_and_all_else_refused() {
        assert_eq!(object(br#" {"a":1,"b":"x"} "#).unwrap(), [("a".into(), Value::from(1)), ("b".into(), "x".into())]);
        for body in [&b""[..], b"[]", b"1", b"{", b"{\"a\":1}x", b"{\"a\":\"\xff\"}", b"{a:1}"] {
            assert_eq!(object(body).unwrap_err().code, "invalid_json", "{}", body.escape_ascii());
        }
        assert_eq!(object(br#"{"a":1,"a":2}"#).unwrap_err().code, "bad_field");
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_what_stands_in_it() {
        for body in [
            "\"hunter2\"",
            "[\"hunter2\"]",
            "\"hunter2",
            "{\"password\":hunter2}",
            "{\"password\":\"hunter2\"",
            "hunter2",
        ] {
            for fault in [object(body.as_bytes()).err(), check(body.as_bytes()).err()].into_iter().flatten() {
                assert!(!fault.detail.contains("hunter2"), "{body}: {}", fault.detail);
            }
        }
        assert!(!object(b"12345678").unwrap_err().detail.contains("12345678"));
    }

    #[test]
    fn a_repeated_member_is_found_among_many_without_comparing_each_with_each() {
        let members: String = (0..200_000).map(|number| format!("\"{number}\":0,")).collect();
        assert_eq!(object(format!("{{{members}\"x\":0}}").as_bytes()).unwrap().len(), 200_001);
        assert_eq!(object(format!("{{{members}\"7\":0}}").as_bytes()).unwrap_err(), bad_field("7"));
    }

    #[test]
    fn json_and_forms_say_the_same_and_json_nothing_else() {
        let expected = [Some("x y".to_owned()), None];
        assert_eq!(Kind::Json.read(br#"{"a":"x y"}"#, ["a", "b"]).unwrap(), expected);
        assert_eq!(Kind::Fields.read(b"a=x+y&c=1", ["a", "b"]).unwrap(), expected);
        for (kind, body) in [
            (Kind::Json, &br#"{"a":1}"#[..]),
            (Kind::Json, br#"{"a":null}"#),
            (Kind::Json, br#"{"a":"x","c":"y"}"#),
            (Kind::Json, br#"{"a":"x","a":"y"}"#),
            (Kind::Fields, b"a=x&a=y"),
        ] {
            assert_eq!(kind.read(body, ["a", "b"]).unwrap_err().code, "bad_field", "{}", body.escape_ascii());
        }
    }

    #[test]
    fn members_are_taken_by_their_kind_and_what_is_left_over_is_unknown() {
        let json = br#"{"t":"x","f":true,"n":7,"z":null,"l":["a","b"]}"#;
        let fields = b"t=x&f=on&n=7&z=&l=a&l=b&other=1";
        let parts = b"--b\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\
            on\r\n--b\r\nContent-Disposition: form-data; name=n\r\n\r\n7\r\n--b\r\nContent-Disposition: form-data; name=z\r\n\r\n\r\n--b\r\n\
            Content-Disposition: form-data; name=l\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; name=l; filename=x\r\n\r\nb\r\n--b--\r\n";
        let multipart = Kind::Parts((*b"multipart/form-data; boundary=b").into());
        for (kind, body) in [(Kind::Json, &json[..]), (Kind::Fields, fields), (multipart, parts)] {
            let mut members = Members::read(&kind, body).unwrap();
            assert_eq!(members.need("t").unwrap(), "x");
            assert_eq!(members.flag("f").unwrap(), Some(true));
            assert_eq!(members.number("n").unwrap(), Some(Some(7)));
            assert_eq!(members.number("z").unwrap(), Some(None));
            assert_eq!(members.texts("l").unwrap(), Some(vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!(members.text("absent").unwrap(), None);
            assert_eq!(members.need("absent").unwrap_err().code, "bad_field");
            members.end().unwrap();
        }
        let json = |body: &str| Members::read(&Kind::Json, body.as_bytes()).unwrap();
        assert_eq!(json(r#"{"admin":true}"#).end().unwrap_err().code, "bad_field");
        assert!(json(r#"{"t":1}"#).text("t").is_err());
        assert!(json(r#"{"f":"on"}"#).flag("f").is_err());
        assert!(json(r#"{"n":-1}"#).number("n").is_err());
        assert!(json(r#"{"n":1.5}"#).number("n").is_err());
        assert!(json(r#"{"l":[1]}"#).texts("l").is_err());
        assert!(json("").end().is_ok());
        assert!(Members::read(&Kind::Fields, b"t=x&t=y").unwrap().text("t").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(check(&deep(128)).is_ok());
        assert_eq!(check(&deep(129)).unwrap_err().code, "invalid_json");
        let object_with = |levels: usize| [&b"{\"a\":"[..], &deep(levels), b"}"].concat();
        assert!(object(&object_with(127)).is_ok());
        assert_eq!(object(&object_with(128)).unwrap_err().code, "invalid_json");
        let quoted = [&b"\""[..], &vec![b'['; 500], b"\\\"[\""].concat();
        assert!(check(&quoted).is_ok(), "brackets in a string are text");
        assert_eq!(check(&deep(100_000)).unwrap_err().code, "invalid_json");
    }
}
