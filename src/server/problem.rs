//! A refusal as the client sees it: a problem document (RFC 9457), or a small page where HTML is preferred.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::http::fault::Fault;
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::request::Request;
use crate::http::response::{Body, PAGE_POLICY, Response};
use crate::http::status::Status;
use crate::http::upgrade;

/// Header lines of every problem document.
const DOCUMENT_LINES: &[u8] = b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n";

const NOT_FOUND_CODE: &str = "not_found";
const NOT_FOUND_DETAIL: &str = "there is nothing here";

/// The document of [`Fault::not_found`].
static NOT_FOUND: LazyLock<Bytes> = LazyLock::new(|| {
    let mut text = Vec::new();
    write_document(&Fault::not_found(), &mut text);
    text.into()
});

/// Whether this client would rather have a page than a document.
pub fn wants_page(request: &Request<'_>) -> bool {
    request.headers.has(Field::Accept) && prefers_html(request.headers.all(Field::Accept))
}

/// Makes the page that tells a refusal; the text is what stands before every address of ours.
pub type Painter = fn(&Fault, &str) -> String;

/// The answer to a refusal.
pub fn answer(fault: &Fault, wants_page: bool) -> Response {
    let mut text = Vec::new();
    if wants_page {
        write_page(fault, &mut text);
    }
    answer_with(fault, wants_page.then_some(text))
}

/// The answer to a refusal: this page, or without one the document.
pub fn answer_with(fault: &Fault, page: Option<Vec<u8>>) -> Response {
    let mut response = if let Some(text) = page {
        Response::new(fault.status)
            .header("Content-Type", "text/html; charset=utf-8")
            .header("Content-Security-Policy", PAGE_POLICY)
            .header("Referrer-Policy", "same-origin")
            .header("Cache-Control", "no-store")
            .with_body(Body::Bytes(text.into()))
    } else if fault.code == NOT_FOUND_CODE
        && fault.status == Status::NOT_FOUND
        && fault.detail == NOT_FOUND_DETAIL
        && fault.fields.is_empty()
    {
        // By far the most common refusal; nothing of it is made anew.
        return Response::ready(fault.status, Bytes::from_static(DOCUMENT_LINES), Body::Bytes(NOT_FOUND.clone()));
    } else {
        let mut text = Vec::with_capacity(192);
        write_document(fault, &mut text);
        Response::ready(fault.status, Bytes::from_static(DOCUMENT_LINES), Body::Bytes(text.into()))
    };
    if let Some(seconds) = fault.retry_after {
        response.add_header("Retry-After", &seconds.to_string());
    }
    for (name, value) in &fault.fields {
        response.add_header(name, value);
    }
    if fault.status == Status::UPGRADE_REQUIRED {
        // RFC 9110, section 15.5.22; RFC 6455, section 4.4.
        response.add_header("Upgrade", "websocket");
        response.add_header("Connection", "Upgrade");
        response.add_header("Sec-WebSocket-Version", upgrade::VERSION);
    }
    if fault.status == Status::UNAUTHORIZED {
        let error = if fault.code == "invalid_token" { ", error=\"invalid_token\"" } else { "" };
        response.add_header("WWW-Authenticate", &format!("Bearer realm=\"hythe\"{error}"));
    }
    response
}

fn write_document(fault: &Fault, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":\"");
    out.extend_from_slice(fault.status.reason().as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    crate::http::response::write_number(u64::from(fault.status.code()), out);
    out.extend_from_slice(b",\"code\":\"");
    out.extend_from_slice(fault.code.as_bytes());
    out.extend_from_slice(b"\",\"detail\":");
    write_string(&fault.detail, out);
    out.extend_from_slice(b"}\n");
}

/// A JSON string (RFC 8259, section 7). Control characters are escaped beyond what that asks: those from U+0080 to U+009F
/// too, for a terminal that shows a log may obey them.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            0xc2 if let Some((&next @ 0x80..0xa0, after)) = after.split_first() => {
                out.extend_from_slice(format!("\\u{next:04x}").as_bytes());
                rest = after;
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_page(fault: &Fault, out: &mut Vec<u8>) {
    let (code, reason) = (fault.status.code(), fault.status.reason());
    let detail = escape(&fault.detail);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{code} {reason}</title>\n\
         <main>\n<h1>{reason}</h1>\n<p>{detail}.</p>\n<p><small>{code} {}</small></p>\n</main>\n</html>\n",
        fault.code
    );
    out.extend_from_slice(page.as_bytes());
}

/// Text as it may stand in a page, also between double quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_json_whatever_its_detail_says() {
        let fault = Fault::new(Status::CONFLICT, "file_exists", "\"a\\b\"\n\u{1}é\u{9b}\u{a0} exists".to_owned())
            .retry_after(3);
        let response = answer(&fault, false);
        let Body::Bytes(bytes) = &response.body else { panic!("a document is bytes") };
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(value["status"], 409);
        assert_eq!(value["code"], "file_exists");
        assert_eq!(value["title"], "Conflict");
        assert_eq!(value["detail"], "\"a\\b\"\n\u{1}é\u{9b}\u{a0} exists");
        assert!(!std::str::from_utf8(bytes).unwrap().trim_end().contains(char::is_control));
        let mut lines = Vec::new();
        response.write_lines(&mut lines);
        assert!(String::from_utf8(lines).unwrap().contains("Retry-After: 3\r\n"));
    }

    #[test]
    fn the_ready_document_is_the_one_that_would_be_made() {
        let fault = Fault::not_found();
        assert_eq!((fault.code, &*fault.detail), (NOT_FOUND_CODE, NOT_FOUND_DETAIL));
        let Body::Bytes(ready) = answer(&fault, false).body else { panic!("a document is bytes") };
        let mut made = Vec::new();
        write_document(&fault, &mut made);
        assert_eq!(ready, made);
    }

    #[test]
    fn a_page_holds_no_markup_but_its_own() {
        let fault = Fault::new(Status::NOT_FOUND, "not_found", "<script>\"x\"&'y'</script>");
        let Body::Bytes(bytes) = answer(&fault, true).body else { panic!("a page is bytes") };
        let page = std::str::from_utf8(&bytes).unwrap();
        assert!(page.contains("&lt;script&gt;&quot;x&quot;&amp;&#39;y&#39;&lt;/script&gt;"));
    }
}
