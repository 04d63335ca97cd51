//! JSON bodies, read strictly: one object, each member once, at most 128 levels deep.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::http::fault::Fault;
use crate::http::status::Status;

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
    let members = serde::Deserializer::deserialize_map(&mut reader, Members).and_then(|members| {
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
    Fault::new(Status::BAD_REQUEST, "invalid_json", format!("the body is not what JSON it should be: {error}"))
}

/// 400 `bad_field` with the member's name.
pub fn bad_field(name: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::new(Status::BAD_REQUEST, "bad_field", format!("{shown:?} is unknown, repeated or of the wrong type"))
}

struct Members;

impl<'de> serde::de::Visitor<'de> for Members {
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
    fn a_repeated_member_is_found_among_many_without_comparing_each_with_each() {
        let members: String = (0..200_000).map(|number| format!("\"{number}\":0,")).collect();
        assert_eq!(object(format!("{{{members}\"x\":0}}").as_bytes()).unwrap().len(), 200_001);
        assert_eq!(object(format!("{{{members}\"7\":0}}").as_bytes()).unwrap_err(), bad_field("7"));
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
