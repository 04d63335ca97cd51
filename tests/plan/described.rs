//! The OpenAPI document held against the table of routes, with every part on and off.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hythe::config::Config;
use hythe::config::limits::Rate;
use hythe::os::disk::FolderDisk;
use hythe::reactor::hub::Hub;
use hythe::site::openapi::{PAGES, document, template};
use hythe::site::rooms::Rooms;
use hythe::site::state::{Accounts, Chat, Files, Site, Www};
use hythe::store::disk::Links;
use hythe::store::secret::Cost;
use hythe::store::users::Users;
use serde_json::Value;

fn site(has_files: bool, has_chat: bool, has_accounts: bool) -> (Site, Hub) {
    let mut hub = Hub::default();
    let files = has_files.then(|| {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("hythe-described-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let disk = FolderDisk::open(&folder, Links::Never).unwrap();
        fs::remove_dir(&folder).unwrap();
        Files::new(Arc::new(disk), 0)
    });
    let chat = has_chat.then(|| Chat::new("hythe.db".into(), Rooms::new(None, &mut hub), Rate::OFF));
    let mut site = Site::with_pages(Config::default(), Www::new(None), files);
    *site.parts().chat = chat;
    let cost = Cost { memory_kib: 64, passes: 1 };
    *site.parts().accounts = has_accounts.then(|| Accounts::new(Users::default(), cost, Box::new(|_| true)));
    (site, hub)
}

/// `GET /files/{path}` of every operation in the document.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.filter(|operation| !PAGES.contains(&operation.strip_prefix("GET ").unwrap_or_default())).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    for parts in 0..8 {
        let (has_files, has_chat, has_accounts) = (parts & 1 != 0, parts & 2 != 0, parts & 4 != 0);
        let (site, hub) = site(has_files, has_chat, has_accounts);
        let described = described(&document(&site));
        let routes = hythe::site::server(site, hub).unwrap().routes();
        let routes: BTreeSet<String> =
            routes.iter().map(|(method, pattern)| format!("{} {}", method.name(), template(pattern))).collect();
        let missing = routes.difference(&described).map(|route| {
            format!("{route} is a route, and src/site/openapi.rs does not describe it: give it a row in ROUTES")
        });
        let invented = described.difference(&routes).map(|operation| {
            format!(
                "src/site/openapi.rs describes {operation}, which is no route (files: {has_files}, chat: {has_chat}, \
                 accounts: {has_accounts})"
            )
        });
        crate::assert_none(&missing.chain(invented).collect::<Vec<_>>());
    }
}

/// Every value in the document, with the pointer that leads to it.
fn walk(value: &Value, pointer: &str, see: &mut impl FnMut(&str, &Value)) {
    see(pointer, value);
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{pointer}/{at}"), see));
        }
        Value::Object(members) => members.iter().for_each(|(name, item)| {
            walk(item, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), see);
        }),
        _ => {}
    }
}

#[test]
fn the_document_holds_together() {
    let document = document(&site(true, true, true).0);
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    walk(&document, "", &mut |pointer, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').expect("references stay inside");
            assert!(document.pointer(target).is_some(), "{pointer} refers to {reference}, which is not there");
        }
        if let Some(id) = value.get("operationId").and_then(Value::as_str) {
            assert!(ids.insert(id.to_owned()), "two operations are called {id}");
            assert!(value["responses"]["default"].is_object(), "{pointer} may be refused");
            assert!(value["security"].is_array(), "{pointer} says who may");
        }
    });
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let told = operation["parameters"].as_array().into_iter().flatten();
            let told = told.filter(|parameter| parameter["in"] == "path").filter_map(|one| one["name"].as_str());
            let wanted = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            assert_eq!(told.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "the parameters of {method} {path}");
        }
    }
}
