//! `GET /file-list`: a page of a folder, or of a search below it, for programs and for people.

use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::http::date;
use crate::http::fault::Fault;
use crate::http::form::{self, encode_query, query_strict};
use crate::http::headers::Field;
use crate::http::negotiate::prefers_html;
use crate::http::response::Response;
use crate::http::status::Status;
use crate::path::{PathFault, RelPath};
use crate::server::context::{Call, Context};
use crate::server::problem::escape;
use crate::server::reply::Reply;
use crate::site::files::{describe, files, url};
use crate::site::frame::{Here, Sheet, frame};
use crate::site::gate::{Action, Principal, rights_of};
use crate::site::spot::{Actor, Spot, owner_name, when_known};
use crate::site::state::{Site, disk_fault};
use crate::site::table::{size, time};
use crate::site::upload::given_twice;
use crate::store::disk::Disk;
use crate::store::tree::{self, ListAsk, Listing, Order, Sort};

/// Names on a page, at most and by default.
pub const LIMIT_MAX: usize = 1000;

/// What a list is asked for, taken out of the request.
#[derive(Debug, PartialEq, Eq)]
struct Ask {
    folder: RelPath<'static>,
    sort: Sort,
    order: Order,
    limit: usize,
    after: Option<String>,
    search: Option<String>,
}

impl Ask {
    fn of(query: &str) -> Result<Ask, Fault> {
        let mut ask = Ask {
            folder: RelPath::ROOT,
            sort: Sort::Name,
            order: Order::Ascending,
            limit: LIMIT_MAX,
            after: None,
            search: None,
        };
        if let Some(name) = form::given_twice(query, &["prefix", "sort", "order", "limit", "after", "q"]) {
            return Err(given_twice(name));
        }
        for pair in query_strict(query) {
            let (name, value) = pair?;
            // A form sends its empty fields too.
            if value.is_empty() {
                continue;
            }
            match &*name {
                "prefix" => ask.folder = read_prefix(&value)?,
                "sort" => {
                    ask.sort = match &*value {
                        "name" => Sort::Name,
                        "size" => Sort::Size,
                        "time" => Sort::Time,
                        _ => return Err(bad_query("sort is name, size or time")),
                    }
                }
                "order" => {
                    ask.order = match &*value {
                        "asc" => Order::Ascending,
                        "desc" => Order::Descending,
                        _ => return Err(bad_query("order is asc or desc")),
                    }
                }
                "limit" => match value.parse() {
                    Ok(limit @ 1..=LIMIT_MAX) => ask.limit = limit,
                    _ => return Err(bad_query("limit is a number from 1 to 1000")),
                },
                "after" => ask.after = Some(value.into_owned()),
                "q" => ask.search = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(ask)
    }

    /// The query that asks for the next page of the same list.
    fn next_query(&self, next: &str) -> String {
        let sort = match self.sort {
            Sort::Name => "name",
            Sort::Size => "size",
            Sort::Time => "time",
        };
        let order = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let mut query = format!(
            "?prefix={}&sort={sort}&order={order}&limit={}&after={}",
            encode_query(self.folder.as_str()),
            self.limit,
            encode_query(next)
        );
        if let Some(search) = &self.search {
            query.push_str("&q=");
            query.push_str(&encode_query(search));
        }
        query
    }
}

fn bad_query(detail: &'static str) -> Fault {
    Fault::new(Status::BAD_REQUEST, "bad_query", detail)
}

/// The folder that is asked for; a slash may stand at its end.
fn read_prefix(text: &str) -> Result<RelPath<'static>, Fault> {
    match RelPath::from_plain(text.strip_suffix('/').unwrap_or(text)) {
        Ok(path) => Ok(path.into_owned()),
        Err(PathFault::Hidden) => Err(Fault::not_found()),
        Err(PathFault::Climbs | PathFault::Bad(_)) => Err(bad_query("prefix is a folder's path")),
    }
}

/// `GET /file-list`.
pub fn list(site: &mut Site, call: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Reply<Site>, Fault> {
    let ask = Ask::of(call.query.unwrap_or_default())?;
    let spot = Spot::of(&who, &ask.folder)?;
    Actor { rights: rights_of(site, call.request), who }.may_use(Action::SharedRead, &spot.area)?;
    let wants_page = prefers_html(call.headers.all(Field::Accept));
    let disk = spot.area.disk(files(site)?)?;
    Ok(Reply::offload(move || {
        let listed = look(&*disk, &spot, &ask);
        move |site: &mut Site, cx: &mut Context<'_>| match listed {
            Ok(listing) => when_known(site, cx, move |site, _| write_out(site, &spot, ask, listing, wants_page)),
            Err(fault) => fault.into(),
        }
    }))
}

fn look(disk: &dyn Disk, spot: &Spot, ask: &Ask) -> Result<Listing, Fault> {
    let listed = tree::list(
        disk,
        &ListAsk {
            folder: spot.path.borrow(),
            sort: ask.sort,
            order: ask.order,
            after: ask.after.as_deref(),
            limit: ask.limit,
            search: ask.search.as_deref(),
            hides_homes: spot.area.is_shared(),
        },
    );
    match listed {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Err(bad_query("after is the next of a list that was asked for in the same way"))
        }
        // A home comes into being with the first file in it.
        Err(error) if error.kind() == ErrorKind::NotFound && spot.is_root() => Ok(Listing::default()),
        listed => listed.map_err(|error| disk_fault(&error, "list a folder")),
    }
}

/// Writes a list out on a helper, for a long one would hold up the loop; who the files belong to is known here.
fn write_out(site: &Site, spot: &Spot, ask: Ask, mut listing: Listing, wants_page: bool) -> Reply<Site> {
    let owners: Vec<_> = listing.files.iter().map(|file| owner_name(site, &spot.area, &file.path)).collect();
    for file in &mut listing.files {
        file.path = spot.area.show(&file.path);
    }
    for folder in &mut listing.dirs {
        *folder = spot.area.show(folder);
    }
    let prefix = site.config.path_prefix.clone();
    Reply::offload(move || {
        let answer = if wants_page {
            Response::html(Status::OK, page(&prefix, &ask, &listing)).header("Cache-Control", "no-store")
        } else {
            Response::json(Status::OK, &document(&prefix, &ask, &listing, &owners))
        };
        move |_: &mut Site, _: &mut Context<'_>| answer.header("Vary", "Accept").into()
    })
}

/// A folder's path as seen from the folder that is listed.
fn below<'a>(ask: &Ask, folder: &'a RelPath<'_>) -> RelPath<'a> {
    folder.strip(ask.folder.as_str()).unwrap_or_else(|| folder.borrow())
}

fn document(prefix: &str, ask: &Ask, listing: &Listing, owners: &[Option<Arc<str>>]) -> Value {
    let files = listing.files.iter().zip(owners);
    let files: Vec<Value> =
        files.map(|(file, owner)| describe(prefix, &file.path, &file.facts, owner.as_deref())).collect();
    let dirs: Vec<String> = listing.dirs.iter().map(|folder| below(ask, folder).to_string()).collect();
    let mut document = json!({"files": files, "dirs": dirs, "next": listing.next});
    if listing.is_cut {
        // A search that gave up before it had seen all says so; one that did not says nothing.
        document["cut"] = Value::Bool(true);
    }
    document
}

fn page(prefix: &str, ask: &Ask, listing: &Listing) -> String {
    let title = if ask.folder.is_root() { "Files".to_owned() } else { format!("Files in {}", ask.folder) };
    let here = if ask.folder.as_str().starts_with('~') { Here::Mine } else { Here::Files };
    let mut page = format!("  <section>\n<h1>{}</h1>\n{}", escape(&title), send_form(prefix, ask));
    // A line that cannot be written into memory is no case there is.
    page.push_str(
        "<table id=\"files\">\n<tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th>\
        <th scope=\"col\">Changed</th><th scope=\"col\">Do</th></tr>\n",
    );
    let folder_row = |page: &mut String, folder: &RelPath<'_>, name: &str| {
        let (query, name) = (encode_query(folder.as_str()), escape(name));
        let link = format!("<a href=\"{prefix}/file-list?prefix={query}\">{name}</a>");
        let deeds = if name == ".." { String::new() } else { deeds(prefix, folder) };
        let _ = writeln!(page, "<tr><td>{link}</td><td></td><td></td><td>{deeds}</td></tr>");
    };
    if let Some(above) = ask.folder.parent() {
        folder_row(&mut page, &above, "..");
    }
    for folder in &listing.dirs {
        folder_row(&mut page, folder, &format!("{}/", below(ask, folder)));
    }
    for file in &listing.files {
        let name = escape(below(ask, &file.path).as_str());
        let (size, changed) = (size(file.facts.size), time(&date::rfc3339(file.facts.modified)));
        let (href, deeds) = (url(prefix, &file.path), deeds(prefix, &file.path));
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{href}\"><bdi>{name}</bdi></a></td><td>{size}</td><td>{changed}</td><td>{deeds}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    if listing.dirs.is_empty() && listing.files.is_empty() {
        page.push_str("<p>There is nothing here.</p>\n");
    }
    if let Some(next) = &listing.next {
        let query = escape(&ask.next_query(next));
        let _ = writeln!(page, "<p><a href=\"{prefix}/file-list{query}\">Further files</a></p>");
    }
    if listing.is_cut {
        page.push_str("<p>There are too many names to search them all; these are the first that were found.</p>\n");
    }
    page.push_str(&folder_form(prefix, ask));
    page.push_str("  </section>\n");
    frame(prefix, &Sheet { title: &title, here, script: "common.js", content: &page })
}

/// Sends files here, and searches.
fn send_form(prefix: &str, ask: &Ask) -> String {
    let folder = ask.folder.as_str();
    let (private, dir) = match folder.strip_prefix('~') {
        Some(home) => ("1", home.split_once('/').map_or("", |(_, dir)| dir)),
        None => ("0", folder),
    };
    let (dir, folder) = (escape(dir), escape(folder));
    let words = escape(ask.search.as_deref().unwrap_or_default());
    format!(
        "<form action=\"{prefix}/upload\" method=\"post\" enctype=\"multipart/form-data\">\n\
         <input type=\"hidden\" name=\"dir\" value=\"{dir}\"><input type=\"hidden\" name=\"private\" value=\"{private}\">\n\
         <p class=\"choices\"><input type=\"file\" name=\"file\" aria-label=\"Choose files\" multiple required>\
         <button>Upload</button></p>\n</form>\n\
         <form action=\"{prefix}/file-list\" role=\"search\">\n<input type=\"hidden\" name=\"prefix\" value=\"{folder}\">\n\
         <p class=\"choices\"><input type=\"search\" name=\"q\" aria-label=\"Search the files\" value=\"{words}\">\
         <select name=\"sort\" aria-label=\"Sort the files\"><option value=\"name\">By name</option>\
         <option value=\"time\">Oldest first</option><option value=\"size\">Smallest first</option></select>\
         <button class=\"pale\">Show</button></p>\n</form>\n"
    )
}

/// Makes a folder: a path, for there is no script to put the name behind where one is.
fn folder_form(prefix: &str, ask: &Ask) -> String {
    let start = if ask.folder.is_root() { String::new() } else { format!("{}/", ask.folder) };
    format!(
        "<form action=\"{prefix}/dirs\" method=\"post\">\n<p class=\"choices\"><input name=\"path\" aria-label=\"New folder\" \
         placeholder=\"New folder\" value=\"{}\" required><button class=\"pale\">Make the folder</button></p>\n</form>\n",
        escape(&start)
    )
}

/// What can be done with a file or a folder.
fn deeds(prefix: &str, path: &RelPath<'_>) -> String {
    let path = escape(path.as_str());
    format!(
        "<details><summary aria-label=\"Change {path}\">Change</summary>\
         <form action=\"{prefix}/rename\" method=\"post\"><input type=\"hidden\" name=\"from\" value=\"{path}\">\
         <p class=\"choices\"><input name=\"to\" aria-label=\"New path\" value=\"{path}\" required>\
         <button class=\"pale\">Rename</button></p></form>\
         <form action=\"{prefix}/remove\" method=\"post\"><input type=\"hidden\" name=\"name\" value=\"{path}\">\
         <p class=\"choices\"><button class=\"pale warn\">Delete</button></p></form></details>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::store::disk::{FileFacts, Kind};
    use crate::store::tree::Found;

    #[test]
    fn a_list_is_asked_for_in_words() {
        let ask = Ask::of("prefix=a%2Fb/&sort=time&order=desc&limit=5&after=1%3Ax&q=h+i&other=1").unwrap();
        let folder = RelPath::from_plain("a/b").unwrap();
        assert_eq!(ask.folder, folder);
        assert_eq!((ask.sort, ask.order, ask.limit), (Sort::Time, Order::Descending, 5));
        assert_eq!((ask.after.as_deref(), ask.search.as_deref()), (Some("1:x"), Some("h i")));
        assert_eq!(Ask::of(&ask.next_query("1:x")[1..]).unwrap(), ask);
        assert_eq!(Ask::of("prefix=&sort=&q=&after=").unwrap(), Ask::of("").unwrap());
        for (query, status) in [
            ("limit=0", 400),
            ("limit=1001", 400),
            ("limit=x", 400),
            ("sort=colour", 400),
            ("order=up", 400),
            ("prefix=../x", 400),
            ("prefix=a%00", 400),
            ("prefix=a%5Cb", 400),
            ("prefix=%zz", 400),
            ("prefix=.git", 404),
            ("prefix=//", 404),
        ] {
            assert_eq!(Ask::of(query).unwrap_err().status.code(), status, "{query}");
        }
    }

    #[test]
    fn a_list_is_told_to_programs_and_people() {
        let ask = Ask::of("prefix=f&limit=2").unwrap();
        let facts = FileFacts { kind: Kind::File, size: 5, modified: Wall::default(), version: 1 };
        let path = |text: &str| RelPath::from_plain(text).unwrap().into_owned();
        let listing = Listing {
            dirs: vec![path("f/<b>")],
            files: vec![Found { path: path("f/a&\"b.txt"), facts }],
            next: Some("f/a&\"b.txt".into()),
            is_cut: false,
        };
        let document = document("/p", &ask, &listing, &[Some("ada".into())]);
        assert_eq!(document["files"][0]["owner"], "ada");
        assert_eq!(document["dirs"], json!(["<b>"]));
        assert_eq!(document["files"][0]["path"], "f/a&\"b.txt");
        assert_eq!(document["next"], "f/a&\"b.txt");
        assert!(document.get("cut").is_none());
        let page = page("/p", &ask, &listing);
        for line in [
            "<a href=\"/p/file-list?prefix=f%2F%3Cb%3E\">&lt;b&gt;/</a>",
            "<a href=\"/p/files/f/a%26%22b.txt\"><bdi>a&amp;&quot;b.txt</bdi></a>",
            "/p/file-list?prefix=f&amp;sort=name&amp;order=asc&amp;limit=2&amp;after=f%2Fa%26%22b.txt\"",
            "<a href=\"/p/file-list?prefix=\">..</a>",
            "<input type=\"hidden\" name=\"dir\" value=\"f\">",
            "<input type=\"hidden\" name=\"name\" value=\"f/a&amp;&quot;b.txt\">",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
