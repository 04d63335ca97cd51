//! The house rules: what API.md, section 1, says of every response, whatever was asked.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::wire::Answer;

/// Holds an answer against all of them. `is_page`: an error is to be told as a page.
pub fn house_rules(answer: &Answer, to_head: bool, is_page: bool) -> Result<(), String> {
    must_be(answer, "server", |value| value == "hythe")?;
    must_be(answer, "x-content-type-options", |value| value == "nosniff")?;
    must_be(answer, "date", is_now)?;
    if answer.field("access-control-allow-origin").is_none() {
        must_be(answer, "cross-origin-resource-policy", |value| value == "same-origin")?;
    }
    match answer.status {
        401 => must_be(answer, "www-authenticate", |value| value.starts_with("Bearer realm=\"hythe\""))?,
        405 => must_be(answer, "allow", |value| !value.is_empty())?,
        416 => must_be(answer, "content-range", |value| value.starts_with("bytes */"))?,
        426 => must_be(answer, "upgrade", |value| value == "websocket")?,
        429 | 503 => must_be(answer, "retry-after", |value| value.parse::<u32>().is_ok())?,
        _ => {}
    }
    if answer.status < 400 {
        return Ok(());
    }
    if is_page {
        must_be(answer, "content-type", |value| value.eq_ignore_ascii_case("text/html; charset=utf-8"))?;
        must_be(answer, "referrer-policy", |value| value == "same-origin")?;
        return must_be(answer, "content-security-policy", |value| {
            ["frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"].iter().all(|part| value.contains(part))
                && !value.contains("unsafe-inline")
        });
    }
    must_be(answer, "content-type", |value| value == "application/problem+json")?;
    if to_head { Ok(()) } else { is_problem(answer) }
}

fn must_be(answer: &Answer, name: &str, test: impl Fn(&str) -> bool) -> Result<(), String> {
    match answer.field(name) {
        Some(value) if test(value) => Ok(()),
        value => Err(format!("{name} is {value:?} on a {} (API.md section 1)", answer.status)),
    }
}

/// An IMF-fixdate, written exactly so, and of about now (RFC 9110 section 5.6.7).
fn is_now(value: &str) -> bool {
    let Ok(then) = httpdate::parse_http_date(value) else { return false };
    let now = SystemTime::now();
    let apart = now.duration_since(then).or_else(|_| then.duration_since(now)).unwrap_or(Duration::MAX);
    httpdate::fmt_http_date(then) == value && apart < Duration::from_secs(10)
}

/// RFC 9457, with the members the contract promises.
fn is_problem(answer: &Answer) -> Result<(), String> {
    let value: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("no problem document: {error}"))?;
    let text = |member: &str| value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
    for member in ["type", "title", "code", "detail"] {
        text(member).ok_or_else(|| format!("the problem document has no {member:?}"))?;
    }
    if value.get("status").and_then(Value::as_u64) != Some(answer.status.into()) {
        return Err(format!("the problem's status is {:?} and not {}", value.get("status"), answer.status));
    }
    let code = text("code").unwrap_or_default();
    match code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        true => Ok(()),
        false => Err(format!("the code {code:?} is not a word for programs")),
    }
}
