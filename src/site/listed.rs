//! A list that is answered as JSON to programs and as a table to people.

use serde_json::{Value, json};

use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::server::context::Call;
use crate::site::frame::{Here, Sheet, frame};
use crate::site::table::table;

/// A list, as JSON or as a table for people.
pub fn list(
    call: &Call<'_>,
    prefix: &str,
    title: &str,
    name: &str,
    columns: &[(&str, &str)],
    rows: Vec<Value>,
) -> Response {
    let answer = if prefers_html(call.headers.all(Field::Accept)) {
        let table = table(prefix, name, columns, &rows);
        let content = format!("  <section>\n<h1>{title}</h1>\n{table}\n  </section>\n");
        let sheet = Sheet { title, here: Here::Account, script: "common.js", content: &content };
        Response::html(Status::OK, frame(prefix, &sheet)).header("Cache-Control", "no-store")
    } else {
        Response::json(Status::OK, &json!({name: rows}))
    };
    answer.header("Vary", "Accept")
}
