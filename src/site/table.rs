//! Rows of JSON as a table for people.

use std::fmt::Write;

use serde_json::Value;

use crate::server::problem::escape;

/// Rows as a table; what a row does not have is left empty.
pub fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let mut text = String::from("<table>\n<tr>");
    // What is written into memory is never refused.
    for (_, title) in columns {
        let _ = write!(text, "<th>{title}</th>");
    }
    text.push_str("</tr>\n");
    for row in rows {
        text.push_str("<tr>");
        for (key, _) in columns {
            let _ = write!(text, "<td>{}</td>", escape(&cell(&row[*key])));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table>\n");
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => String::new(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
