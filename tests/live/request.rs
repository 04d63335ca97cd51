//! What is sent: requests as bytes, put together without a client's tidying hand.

/// A request without a body, with `fields` as whole lines without their ends.
pub fn ask(method: &str, target: &str, fields: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: $host\r\n");
    for field in fields {
        text += field;
        text += "\r\n";
    }
    (text + "\r\n").into_bytes()
}

pub fn get(target: &str) -> Vec<u8> {
    ask("GET", target, &[])
}

pub fn get_with(target: &str, fields: &[&str]) -> Vec<u8> {
    ask("GET", target, fields)
}

/// A request with a body and its length.
pub fn ask_with_body(method: &str, target: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = format!("Content-Length: {}", body.len());
    [ask(method, target, &[fields, &[length.as_str()]].concat()).as_slice(), body].concat()
}

/// The type of a form, as a field.
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
pub const JSON: &str = "Content-Type: application/json";
/// A form that says something, ten bytes long.
pub const SAY_HI: &str = "message=hi";

/// `POST /send` of a form, with more fields.
pub fn say(fields: &[&str], form: &str) -> Vec<u8> {
    ask_with_body("POST", "/send", &[&[FORM], fields].concat(), form)
}

/// `POST /send` of [`SAY_HI`]'s form whose framing fields and body are the row's own affair.
pub fn say_raw(fields: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    [ask("POST", "/send", &[&[FORM], fields].concat()).as_slice(), body.as_ref()].concat()
}

/// `POST /send` with a chunked body, given as it stands on the wire.
pub fn say_chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    say_raw(&["Transfer-Encoding: chunked"], body)
}

/// [`say`] as HTTP/1.0 does, whose framing fields and body are the row's own affair.
pub fn say_old(fields: &[&str], body: &str) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("POST /send HTTP/1.0\r\nHost: $host\r\n{FORM}\r\n{fields}\r\n{body}").into_bytes()
}

/// [`SAY_HI`] said to this host by a page of this origin.
pub fn say_across(host: &str, origin: &str) -> Vec<u8> {
    let length = SAY_HI.len();
    let head = format!("POST /send HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{FORM}\r\nContent-Length: {length}");
    format!("{head}\r\n\r\n{SAY_HI}").into_bytes()
}
