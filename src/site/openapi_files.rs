//! The description of files: the shared area, and everybody's own.

use serde_json::{Value, json};

use crate::config::Config;
use crate::site::file_list;
use crate::site::openapi_words::{
    Described, answer, document_answer, file_answers, file_headers, header, object, object_or_form, operation,
    path_parameter, query, schema, time,
};
use crate::store::tree::{NAME_BYTES_MAX, SEGMENTS_MAX};
use crate::store::zipped::CAN_ZIP;

/// A file's schema.
pub fn file() -> Value {
    json!({
        "type": "object",
        "required": ["name", "path", "url", "size", "type", "modified", "etag", "owner"],
        "properties": {
            "name": {"type": "string", "maxLength": NAME_BYTES_MAX},
            "path": {"$ref": "#/components/schemas/Path"},
            "url": {"type": "string", "format": "uri-reference"},
            "size": {"type": "integer", "minimum": 0},
            "type": {"type": "string", "description": "A media type; folder for a folder that was moved."},
            "modified": time(),
            "etag": {"type": "string", "pattern": "^\"[0-9a-f]{16}\"$"},
            "owner": {"type": ["string", "null"]},
        },
    })
}

/// A path's schema.
pub fn path_schema() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": SEGMENTS_MAX * (NAME_BYTES_MAX + 1) - 1,
        "pattern": format!(
            r"^(?!\.)[^/\\\u0000-\u001f\u007f]{{1,{NAME_BYTES_MAX}}}(/(?!\.)[^/\\\u0000-\u001f\u007f]{{1,{NAME_BYTES_MAX}}}){{0,{}}}$",
            SEGMENTS_MAX - 1
        ),
        "description": "Names with slashes between them. None begins with a dot; lengths count bytes of UTF-8. A first name that \
            begins with ~ is a home.",
    })
}

/// A name without a folder.
fn name_schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": r"^[^.~/\\\u0000-\u001f\u007f][^/\\\u0000-\u001f\u007f]*$"})
}

fn file_path() -> Value {
    path_parameter("The file's path. Its slashes are sent as they are.", schema("Path"))
}

fn on_conflict() -> Value {
    let words = json!({"type": "string", "enum": ["error", "rename", "overwrite"], "default": "error"});
    query("on_conflict", words, "What happens when the name is taken.")
}

/// `POST /upload`.
pub fn upload(config: &Config) -> Value {
    let limits = &config.limits;
    let stored = object(
        &["status", "message", "file", "filepath"],
        json!({
            "status": {"type": "string", "const": "success"},
            "message": {"type": "string"},
            "file": schema("File"),
            "filepath": {"type": "string", "format": "uri-reference"},
        }),
    );
    let several = object(
        &["status", "files"],
        json!({
            "status": {"type": "string", "const": "success"},
            "files": {"type": "array", "minItems": 1, "maxItems": limits.parts, "items": schema("File")},
        }),
    );
    let created = document_answer(
        "One file as it was stored, or those of a form.",
        json!({"oneOf": [stored, several]}),
    )
    .with("headers", json!({"Location": {"schema": {"type": "string"}, "description": "Where the one file is."}}));
    let form = object(
        &["file"],
        json!({
            "dir": {"type": "string", "description": "The folder the files go to; it stands before them."},
            "private": {"type": "string", "enum": ["1", "0"], "description": "Whether they go to the sender's home."},
            "file": {
                "type": "array",
                "minItems": 1,
                "maxItems": limits.parts,
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            },
        }),
    );
    let body = json!({
        "required": true,
        "description": format!(
            "A JSON document of at most {} bytes, stored as it is; a form with files; or any other type, stored under ?name=, \
             which is then required. At most {} bytes.",
            limits.json_limit_bytes, limits.upload_limit_bytes
        ),
        "content": {
            "application/json": {"schema": {}},
            "multipart/form-data": {"schema": form},
            "*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
        },
    });
    let answers = [(201, created), (303, answer("A form of a browser: back to the page."))];
    let yes_or_no = json!({"type": "string", "enum": ["1", "0"], "default": "0"});
    let private = query("private", yes_or_no, "Whether it goes to the sender's home.");
    operation("upload", "Store files", &answers, &[400, 401, 409, 411, 412, 413, 415, 507])
        .with(
            "parameters",
            json!([query("name", name_schema(), "The file's name; not for forms."), on_conflict(), private]),
        )
        .with("requestBody", body)
}

/// `GET /file-list`.
pub fn file_list(_: &Config) -> Value {
    let listed = object(
        &["files", "dirs", "next"],
        json!({
            "files": {"type": "array", "items": schema("File")},
            "dirs": {"type": "array", "items": {"type": "string"}},
            "next": {"type": ["string", "null"], "description": "Where the next page begins: give it as after."},
            "cut": {"type": "boolean", "const": true, "description": "The search gave up before it had seen all names."},
        }),
    );
    let found = json!({
        "description": "One folder, or what a search found below it.",
        "content": {"application/json": {"schema": listed}, "text/html": {"schema": {"type": "string"}}},
    });
    let most = file_list::LIMIT_MAX;
    let parameters = json!([
        query("prefix", json!({"type": "string"}), "The folder; the root without it."),
        query("sort", json!({"type": "string", "enum": ["name", "size", "time"], "default": "name"}), "By what."),
        query("order", json!({"type": "string", "enum": ["asc", "desc"], "default": "asc"}), "Which way."),
        query("limit", json!({"type": "integer", "minimum": 1, "maximum": most, "default": most}), "How many at most."),
        query("after", json!({"type": "string"}), "The last answer's next."),
        query("q", json!({"type": "string"}), "Searches names, below the folder too."),
    ]);
    operation("listFiles", "A folder's files", &[(200, found)], &[400, 404]).with("parameters", parameters)
}

/// `GET /file-info/<path>`.
pub fn file_info(_: &Config) -> Value {
    let answers = [(200, document_answer("The file.", schema("File")))];
    operation("fileInfo", "What is known of a file", &answers, &[404]).with("parameters", json!([file_path()]))
}

/// `GET /files/<path>`.
pub fn download(_: &Config) -> Value {
    let inline = json!({"type": "string", "enum": ["0", "1"], "default": "0"});
    let inline = query("inline", inline, "1: images, plain text, audio and video are shown in place.");
    let hash = json!({"type": "string", "enum": ["sha256"]});
    let hash = query("hash", hash, "Adds Repr-Digest (RFC 9530) of the whole file.");
    let archive = json!({"type": "string", "enum": if CAN_ZIP { vec!["tar", "zip"] } else { vec!["tar"] }});
    let archive = query("archive", archive, "The path is a folder's: it and all below it as one file.");
    let parameters: Vec<Value> = [file_path(), inline, hash, archive].into_iter().chain(file_headers()).collect();
    let answers = file_answers("The whole file, as a download; a folder as an archive.");
    operation("download", "A file, or a folder as an archive", &answers, &[400, 404, 412, 413, 416])
        .with("parameters", json!(parameters))
}

fn guards() -> [Value; 2] {
    [
        header("If-Match", "Entity tags: only if the file is still one of these."),
        header("If-Unmodified-Since", "A date: only if the file has not changed since."),
    ]
}

/// `PUT /files/<path>`.
pub fn put(config: &Config) -> Value {
    let create = json!({"type": "string", "enum": ["0", "1"], "default": "0"});
    let mut parameters = vec![
        file_path(),
        query("create", create, "1: the file need not be there yet."),
        header("If-None-Match", "*: only if nothing is there yet."),
    ];
    parameters.extend(guards());
    let file = |description| document_answer(description, schema("File"));
    let description = format!("The file's whole content, of at most {} bytes.", config.limits.upload_limit_bytes);
    let body = json!({
        "required": true,
        "description": description,
        "content": {"*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}},
    });
    let answers = [(200, file("The file, replaced.")), (201, file("The file, which is new."))];
    operation("replaceFile", "Replace a file, or create one", &answers, &[400, 401, 404, 409, 411, 412, 413, 415, 507])
        .with("parameters", json!(parameters))
        .with("requestBody", body)
}

fn conflict_word() -> Value {
    json!({"type": "string", "enum": ["error", "rename", "overwrite"]})
}

/// `PATCH /files/<path>`.
pub fn patch(_: &Config) -> Value {
    let properties = json!({"name": name_schema(), "path": schema("Path"), "on_conflict": conflict_word()});
    let wanted = object(&[], properties)
        .with("additionalProperties", json!(false))
        .with("oneOf", json!([{"required": ["name"]}, {"required": ["path"]}]));
    let parameters: Vec<Value> = [file_path(), on_conflict()].into_iter().chain(guards()).collect();
    let answers = [(200, document_answer("The file at its new place.", schema("File")))];
    operation("moveFile", "Give a file another name or path", &answers, &[400, 401, 404, 409, 412, 413, 415, 507])
        .with("parameters", json!(parameters))
        .with("requestBody", json!({"required": true, "content": {"application/json": {"schema": wanted}}}))
}

fn deleted() -> (u16, Value) {
    let properties = json!({"status": {"type": "string", "const": "success"}, "deleted": {"type": "string"}});
    (200, document_answer("It is gone.", object(&["status", "deleted"], properties)))
}

/// `DELETE /files/<path>`.
pub fn delete(_: &Config) -> Value {
    let parameters: Vec<Value> = std::iter::once(file_path()).chain(guards()).collect();
    operation("deleteFile", "Delete a file or an empty folder", &[deleted()], &[401, 404, 409, 412])
        .with("parameters", json!(parameters))
}

/// What the three posts that pages without script use have in common.
fn post(id: &str, summary: &str, answers: [(u16, Value); 1], body: &Value) -> Value {
    let [done] = answers;
    let answers = [done, (303, answer("A form of a browser: back to the page."))];
    operation(id, summary, &answers, &[400, 401, 404, 409, 412, 413, 415, 507])
        .with("requestBody", object_or_form(body))
}

/// `POST /rename`.
pub fn rename(_: &Config) -> Value {
    let properties = json!({"from": schema("Path"), "to": schema("Path"), "on_conflict": conflict_word()});
    let moved = (200, document_answer("The file at its new place.", schema("File")));
    post("rename", "Give a file another path", [moved], &object(&["from", "to"], properties))
        .with("parameters", json!([on_conflict()]))
}

/// `POST /remove`.
pub fn remove(_: &Config) -> Value {
    let body = object(&["name"], json!({"name": schema("Path")}));
    post("remove", "Delete a file or an empty folder", [deleted()], &body)
}

/// `POST /dirs`.
pub fn make_folder(_: &Config) -> Value {
    let properties = json!({"status": {"type": "string", "const": "success"}, "dir": schema("Path")});
    let made = (201, document_answer("The folder is there.", object(&["status", "dir"], properties)));
    post("makeFolder", "Make a folder", [made], &object(&["path"], json!({"path": schema("Path")})))
}
