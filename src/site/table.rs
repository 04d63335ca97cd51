//! Rows of JSON as a table for people.

use std::fmt::Write;

use serde_json::Value;

use crate::server::problem::escape;
use crate::site::rows::deeds;

/// Rows as a table of this name, on a site below this prefix; what a row does not have is left empty.
pub fn table(prefix: &str, name: &str, columns: &[(&str, &str)], rows: &[Value]) -> String {
    if rows.is_empty() {
        return "<p class=\"soft\">There are none.</p>\n".into();
    }
    let mut text = format!("<table id=\"{name}\">\n<tr>");
    // What is written into memory is never refused.
    for (_, title) in columns {
        let _ = write!(text, "<th scope=\"col\">{title}</th>");
    }
    let has_deeds = !deeds(prefix, name, &rows[0]).is_empty();
    text.push_str(if has_deeds { "<th scope=\"col\">Do</th></tr>\n" } else { "</tr>\n" });
    for row in rows {
        text.push_str("<tr>");
        for (key, title) in columns {
            let cell = match &row[*key] {
                Value::Bool(true) => title.to_lowercase(),
                Value::Number(bytes) if *key == "quota" => size(bytes.as_u64().unwrap_or_default()),
                value => cell(value),
            };
            // Where there is no room for the head of a table, each value says itself what it is.
            let is_told = *key != columns[0].0 && !cell.is_empty() && !row[*key].is_boolean();
            let label = if is_told { format!(" data-is=\"{title} \"") } else { String::new() };
            let _ = write!(text, "<td{label}>{cell}</td>");
        }
        if has_deeds {
            let _ = write!(text, "<td><div class=\"choices\">{}</div></td>", deeds(prefix, name, row));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table>\n");
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) => String::new(),
        Value::String(text) if is_time(text) => time(text),
        Value::String(text) => escape(text),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn is_time(text: &str) -> bool {
    text.len() == "2026-11-28T07:18:48Z".len() && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

/// A time as people read it; a script may tell it in theirs. It is one that we have written.
pub fn time(rfc3339: &str) -> String {
    let short = rfc3339.get(..16).unwrap_or(rfc3339).replace('T', " ");
    format!("<time datetime=\"{}\">{} UTC</time>", escape(rfc3339), escape(&short))
}

/// Between a number and its unit no line ends.
const SPACE: char = '\u{a0}';

/// A number of bytes as people read it.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes}{SPACE}bytes");
    }
    let (mut whole, mut unit) = (bytes, 0);
    while whole >= 1_000_000 && unit + 1 < UNITS.len() {
        whole /= 1000;
        unit += 1;
    }
    format!("{}.{}{SPACE}{}", whole / 1000, whole % 1000 / 100, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_for_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (1_999_999, "1.9 MB"),
            (999_999, "999.9 kB"),
            (4_294_967_296, "4.2 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(size(bytes).replace(SPACE, " "), text);
        }
        let row = serde_json::json!({"at": "2026-11-28T07:18:48Z", "is": "<b>", "not": "aaaaaaaaaaTaaaaaaaaZ"});
        let text = table("", "t", &[("at", "At"), ("is", "Is"), ("gone", "Gone")], &[row]);
        assert!(
            text.contains("<td><time datetime=\"2026-11-28T07:18:48Z\">2026-11-28 07:18 UTC</time></td>"),
            "{text}"
        );
        assert!(text.contains("<td data-is=\"Is \">&lt;b&gt;</td><td></td>"), "{text}");
    }
}
