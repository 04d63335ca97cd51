//! A folder's names as a page for people and a document for programs.

use std::fmt::Write;

use serde_json::json;

use crate::http::date;
use crate::http::form::encode_path;
use crate::path::RelPath;
use crate::server::problem::escape;
use crate::store::disk::{Item, Kind};

/// The page and the document of a folder below `www/`.
pub fn of_folder(path: &RelPath<'_>, mut items: Vec<Item>) -> (String, String) {
    items.sort_by(|one, other| {
        let key = |item: &Item| item.facts.kind == Kind::File;
        key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
    });
    (html(path, &items), document(&items))
}

fn document(items: &[Item]) -> String {
    let rows: Vec<serde_json::Value> = items
        .iter()
        .map(|item| match item.facts.kind {
            Kind::Folder => {
                json!({"name": item.name, "type": "folder", "modified": date::rfc3339(item.facts.modified)})
            }
            Kind::File => json!({
                "name": item.name,
                "type": "file",
                "size": item.facts.size,
                "modified": date::rfc3339(item.facts.modified),
            }),
        })
        .collect();
    json!({ "items": rows }).to_string()
}

fn html(path: &RelPath<'_>, items: &[Item]) -> String {
    let title = escape(&format!("/{path}"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<main>\n<h1>{title}</h1>\n<table>\n\
         <thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th><th scope=\"col\">Changed</th></tr></thead>\n<tbody>\n"
    );
    if !path.is_root() {
        page.push_str("<tr><td><a href=\"../\">..</a></td><td></td><td></td></tr>\n");
    }
    for item in items {
        let slash = if item.facts.kind == Kind::Folder { "/" } else { "" };
        let size = if item.facts.kind == Kind::Folder { String::new() } else { item.facts.size.to_string() };
        let (href, name, changed) = (link(&item.name), escape(&item.name), date::rfc3339(item.facts.modified));
        // A line that cannot be written into memory is no case there is.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{href}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{changed}</td></tr>"
        );
    }
    page.push_str("</tbody>\n</table>\n</main>\n</html>\n");
    page
}

/// Where a name leads to.
fn link(name: &str) -> String {
    // A name with a colon before any slash would be read as a scheme.
    format!("./{}", encode_path(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::store::disk::FileFacts;

    #[test]
    fn folders_come_first_and_no_name_becomes_markup() {
        let facts = |kind| FileFacts { kind, size: 5, modified: Wall::default(), version: 0 };
        let items = vec![
            Item { name: "b.txt".into(), facts: facts(Kind::File) },
            Item { name: "<img>:&\"?.txt".into(), facts: facts(Kind::File) },
            Item { name: "sub".into(), facts: facts(Kind::Folder) },
        ];
        let (html, document) = of_folder(&RelPath::ROOT, items);
        assert!(html.find("sub/").unwrap() < html.find("b.txt").unwrap());
        assert!(html.contains("&lt;img&gt;:&amp;&quot;?.txt</a>"), "{html}");
        assert!(!html.contains("<img>"));
        assert!(html.contains("href=\"./%3Cimg%3E"), "{html}");
        let value: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(value["items"][0]["type"], "folder");
        assert_eq!(value["items"][2]["size"], 5);
    }
}
