//! The description of uploads that continue another day (tus 1.0.0).

use serde_json::{Value, json};

use crate::config::Config;
use crate::http::tus;
use crate::site::openapi_words::{Described, answer, document_answer, header, object, operation};

fn needed(name: &str, schema: Value, description: &str) -> Value {
    json!({"name": name, "in": "header", "required": true, "schema": schema, "description": description})
}

fn version() -> Value {
    needed("Tus-Resumable", json!({"type": "string", "const": tus::VERSION}), "The version of tus.")
}

fn checksum() -> Value {
    header(
        "Upload-Checksum",
        "sha1 or sha256, a space, and the digest of the body in Base64: else 460, and nothing of it counts.",
    )
}

fn id() -> Value {
    let schema = json!({"type": "string", "pattern": "^[0-9a-f]{32}$"});
    json!({"name": "id", "in": "path", "required": true, "schema": schema})
}

fn body() -> Value {
    json!({"content": {tus::MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}})
}

pub(super) fn options(_: &Config) -> Value {
    let answers = [(204, answer("Tus-Version, Tus-Extension, Tus-Checksum-Algorithm, Tus-Max-Size."))];
    operation("tusOptions", "What of tus there is", &answers, &[])
}

pub(super) fn options_of_one(_: &Config) -> Value {
    let answers = [(204, answer("Tus-Version, Tus-Extension, Tus-Checksum-Algorithm, Tus-Max-Size."))];
    operation("tusUploadOptions", "What of tus there is", &answers, &[]).with("parameters", json!([id()]))
}

pub(super) fn create(_: &Config) -> Value {
    let metadata =
        "Pairs of a name and its value in Base64, by comma: filename, dir, private, on_conflict. Kept as it came.";
    let parameters = json!([
        version(),
        header("Upload-Length", "How long it will be, in bytes."),
        header("Upload-Defer-Length", "1: that will be told with a later piece."),
        header("Upload-Metadata", metadata),
        checksum(),
    ]);
    let answers = [(201, answer("Begun; Location says where it goes on, Upload-Expires until when it is waited for."))];
    operation(
        "tusCreate",
        "Begin an upload that may continue another day",
        &answers,
        &[400, 409, 412, 413, 415, 429, 460, 507],
    )
    .with("parameters", parameters)
    .with("requestBody", body())
}

pub(super) fn status(_: &Config) -> Value {
    let number = json!({"type": "integer", "minimum": 0});
    let number_or_null = json!({"type": ["integer", "null"], "minimum": 0});
    let time = json!({"type": ["string", "null"], "format": "date-time"});
    let properties = json!({"offset": number, "length": number_or_null, "expires": time});
    let document = object(&["offset", "length", "expires"], properties);
    let answers = [(200, document_answer("Upload-Offset, Upload-Length and Upload-Expires say the same.", document))];
    let note = "HEAD needs Tus-Resumable; GET is for networks that block HEAD, and does not.";
    operation("tusStatus", "How much of an upload has come", &answers, &[404, 412])
        .with("parameters", json!([id()]))
        .with("description", json!(note))
}

fn piece(id_of: &str, summary: &str) -> Value {
    let done = "Upload-Offset says where it goes on. After the last piece Content-Location says where the file is.";
    operation(id_of, summary, &[(204, answer(done))], &[400, 404, 409, 412, 413, 415, 423, 460, 507])
        .with("requestBody", body())
}

fn piece_parameters() -> Vec<Value> {
    vec![
        id(),
        version(),
        needed(
            "Upload-Offset",
            json!({"type": "integer", "minimum": 0}),
            "Where the piece begins; 409 if it is not there.",
        ),
        header("Upload-Length", "How long the whole will be, where that was still to be told."),
        checksum(),
    ]
}

pub(super) fn patch(_: &Config) -> Value {
    piece("tusPatch", "The next piece of an upload").with("parameters", json!(piece_parameters()))
}

pub(super) fn overridden(_: &Config) -> Value {
    let methods = json!({"type": "string", "enum": ["PATCH", "DELETE", "HEAD"]});
    let method = needed("X-HTTP-Method-Override", methods, "What is meant.");
    piece("tusOverride", "The same where only GET and POST get through")
        .with("parameters", json!([id(), version(), method]))
}

pub(super) fn delete(_: &Config) -> Value {
    operation("tusDelete", "Give an upload up", &[(204, answer("It is gone."))], &[404, 412, 423])
        .with("parameters", json!([id(), version()]))
}
