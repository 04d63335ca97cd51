//! The plan of the house, kept true: which room may import which, and what only one room may name.
//!
//! `docs/architecture.md` has the plan in words. Each breach is a sentence with its file and line; a change of the plan is a
//! change of the tables here, and of the words there.

#[cfg(all(feature = "accounts", feature = "chat", feature = "files", feature = "ui"))]
mod described;
mod packaged;
mod pages;
mod secrets;
mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use source::{Named, Source};

/// Plain values on which all rooms stand.
const GROUND: &[&str] = &["config", "content", "clock", "path"];

/// What the rooms may import beside themselves and the ground: a room, or one file of it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("http", &[]),
    ("reactor", &[]),
    ("store", &[]),
    ("server", &["http", "reactor"]),
    ("os", &["reactor::system", "store::disk"]),
    ("site", &["server", "http", "store"]),
    ("cli", &["http"]),
];

/// The roof imports what it likes, and nobody imports it.
const ROOF: &[&str] = &[
    "lib", "main", "run", "backup", "manage", "measures", "reload", "certify", "upgrade", "embed", "hand", "mount",
    "start", "testing",
];

/// The one file that may be `unsafe`.
const UNSAFE: &str = "src/os/sys.rs";

/// The outside world, and who may name it.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("mio", &["os"]),
    ("libc", &["os"]),
    ("rustix", &["os"]),
    ("signal_hook", &["os"]),
    ("getrandom", &["os"]),
    ("std::thread", &["os"]),
    ("std::time::Instant", &["os"]),
    ("std::time::SystemTime", &["os"]),
    ("Instant::now", &["os"]),
    ("SystemTime::now", &["os"]),
    ("std::net::TcpListener", &["os"]),
    ("std::net::TcpStream", &["os"]),
    ("std::net::UdpSocket", &["os"]),
    ("std::os::unix::net", &["os"]),
    ("std::process::Command", &["os"]),
    // The ledger's database is a file that SQLite opens; all other files of the store are behind its `Disk`.
    ("std::fs", &["os", "store", "cli", "main", "run", "backup", "manage", "certify", "start", "mount"]),
];

/// The client serves nobody: it may block, wait and look at the clock, and what it stands on is not the loop.
const ITS_OWN_PROGRAM: &str = "src/cli/client/";
const CLIENT_MAY_NAME: &[&str] =
    &["std::thread", "std::time::Instant", "Instant::now", "std::net::TcpStream", "std::fs"];

/// The file of ours that a path leads to: the longest beginning of it that is a module.
fn target<'s>(sources: &'s [Source], named: &Named) -> Option<&'s Source> {
    let [first, inside @ ..] = named.path.as_slice() else { return None };
    if first != "crate" {
        return None;
    }
    let fits = |source: &&Source| source.file != "src/main.rs" && inside.starts_with(&source.module);
    sources.iter().filter(fits).max_by_key(|source| source.module.len())
}

fn breaches_of_direction(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        let room = source.room();
        for named in &source.named {
            let Some(target) = target(sources, named).filter(|target| target.file != source.file) else { continue };
            let place = format!("{}:{}", source.file, named.line);
            let (path, to) = (named.path.join("::"), target.room());
            if ROOF.contains(&room) {
                continue;
            }
            if to == "lib" {
                breaches.push(format!("{place} takes {path} through lib.rs; take it from the file that defines it"));
            } else if ROOF.contains(&to) {
                breaches.push(format!("{place} imports {path}, but nobody imports the roof"));
            } else if to == room {
                if target.is_mod() {
                    let file = &target.file;
                    breaches.push(format!(
                        "{place} imports {path} from its own {file}; what files share stands below them"
                    ));
                }
            } else if GROUND.contains(&room) {
                breaches.push(format!("{place} imports {path}, but the ground stands on nothing of ours"));
            } else if !GROUND.contains(&to) {
                match MAY_IMPORT.iter().find(|(name, _)| *name == room) {
                    None => breaches.push(format!("{place} stands in the room {room}, which the plan does not have")),
                    Some((_, allowed)) => {
                        let module = target.module.join("::");
                        let fits = |allowed: &&&str| module == **allowed || module.starts_with(&format!("{allowed}::"));
                        if !allowed.iter().any(|allowed| fits(&allowed)) {
                            let list = [allowed, GROUND].concat().join(", ");
                            breaches.push(format!("{place} imports {path}, but {room} may import only {list}"));
                        }
                    }
                }
            }
        }
    }
    breaches
}

fn breaches_of_outside(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for named in &source.named {
            let path = named.path.join("::");
            for (outside, rooms) in OUTSIDE {
                let is_it = path == *outside || path.starts_with(&format!("{outside}::"));
                let is_clients = source.file.starts_with(ITS_OWN_PROGRAM) && CLIENT_MAY_NAME.contains(outside);
                if is_it && !is_clients && !rooms.contains(&source.room()) {
                    let (file, line, rooms) = (&source.file, named.line, rooms.join(", "));
                    breaches.push(format!("{file}:{line} names {path}, which only {rooms} may"));
                }
            }
        }
        for line in source.unsafe_lines.iter().filter(|_| source.file != UNSAFE) {
            breaches.push(format!("{}:{line} is unsafe, which only {UNSAFE} may be", source.file));
        }
    }
    breaches
}

/// Files of one room that import one another in a ring, the shortest ring through each.
fn rings(sources: &[Source]) -> Vec<String> {
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !ROOF.contains(&source.room())) {
        let targets = source.named.iter().filter_map(|named| target(sources, named));
        let inside = targets.filter(|target| target.file != source.file && target.room() == source.room());
        imports.insert(&source.file, inside.map(|target| target.file.as_str()).collect());
    }
    let mut found = BTreeMap::new();
    for &start in imports.keys() {
        let mut ways = VecDeque::from([vec![start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for &next in imports.get(way[way.len() - 1]).into_iter().flatten() {
                if next == start {
                    let members: BTreeSet<&str> = way.iter().copied().collect();
                    found.entry(members).or_insert_with(|| format!("{} -> {start}", way.join(" -> ")));
                    ways.clear();
                    break;
                }
                if seen.insert(next) {
                    ways.push_back([way.as_slice(), &[next]].concat());
                }
            }
        }
    }
    found.into_values().map(|ring| format!("{ring}: these files import one another in a ring")).collect()
}

fn without_introduction(sources: &[Source]) -> Vec<String> {
    let bare = sources.iter().filter(|source| !source.text.starts_with("//!"));
    bare.map(|source| format!("{} does not begin with //! and what it is", source.file)).collect()
}

#[track_caller]
fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn imports_point_the_way_of_the_plan() {
    assert_none(&breaches_of_direction(&source::all()));
}

#[test]
fn only_the_rooms_that_may_name_the_outside_world() {
    assert_none(&breaches_of_outside(&source::all()));
}

#[test]
fn no_files_of_a_room_import_one_another_in_a_ring() {
    assert_none(&rings(&source::all()));
}

#[test]
fn every_file_says_first_what_it_is() {
    assert_none(&without_introduction(&source::all()));
}

/// The rules tried on a house that breaks each of them once.
#[test]
fn each_breach_is_told_with_its_file_and_line() {
    let sources: Vec<Source> = [
        ("src/lib.rs", "pub mod http;\npub use run::run;\nuse crate::os::disk;"),
        ("src/run.rs", "use crate::site;\nuse std::fs;"),
        ("src/clock.rs", "use crate::http::date;"),
        ("src/path.rs", "//! x"),
        ("src/http/mod.rs", "//! x"),
        ("src/http/date.rs", "use crate::clock::Wall;\nuse crate::{http::Thing, path::RelPath, reactor::{self, hub}};"),
        ("src/http/host.rs", "fn f() { crate::run() }\nuse crate::Server;"),
        ("src/reactor/mod.rs", "use std::{io, thread};\nfn f() { std::time::Instant::now() }"),
        ("src/reactor/hub.rs", "use crate::reactor::slot;"),
        ("src/reactor/slot.rs", "use super::wheel;"),
        ("src/reactor/wheel.rs", "fn f() { super::hub::f(); unsafe { libc::f() } }"),
        ("src/reactor/system.rs", ""),
        ("src/store/disk.rs", "use std::net::TcpStream;"),
        ("src/store/tree.rs", ""),
        ("src/os/disk.rs", "use crate::store::{disk, tree};\nuse crate::reactor::system::System;\nuse mio::Poll;"),
        ("src/site/mod.rs", "use crate::reactor::system;\nuse crate::site::chat;"),
        ("src/site/chat.rs", "use crate::store::tree;\nuse crate::os::disk;"),
        ("src/shed/mod.rs", "use crate::http::date;"),
        ("src/cli/client/chat.rs", "use std::net::{TcpListener, TcpStream};\nuse std::thread;"),
    ]
    .into_iter()
    .map(|(file, text)| Source::new(file, text))
    .collect();
    assert_eq!(
        breaches_of_direction(&sources),
        [
            "src/clock.rs:1 imports crate::http::date, but the ground stands on nothing of ours",
            "src/http/date.rs:2 imports crate::http::Thing from its own src/http/mod.rs; what files share stands below them",
            "src/http/date.rs:2 imports crate::reactor, but http may import only config, content, clock, path",
            "src/http/date.rs:2 imports crate::reactor::hub, but http may import only config, content, clock, path",
            "src/http/host.rs:1 imports crate::run, but nobody imports the roof",
            "src/http/host.rs:2 takes crate::Server through lib.rs; take it from the file that defines it",
            "src/os/disk.rs:1 imports crate::store::tree, but os may import only reactor::system, store::disk, config, content, clock, path",
            "src/site/mod.rs:1 imports crate::reactor::system, but site may import only server, http, store, config, content, clock, path",
            "src/site/chat.rs:2 imports crate::os::disk, but site may import only server, http, store, config, content, clock, path",
            "src/shed/mod.rs:1 stands in the room shed, which the plan does not have",
        ]
    );
    assert_eq!(
        breaches_of_outside(&sources),
        [
            "src/reactor/mod.rs:1 names std::thread, which only os may",
            "src/reactor/mod.rs:2 names std::time::Instant::now, which only os may",
            "src/reactor/wheel.rs:1 names libc::f, which only os may",
            "src/reactor/wheel.rs:1 is unsafe, which only src/os/sys.rs may be",
            "src/store/disk.rs:1 names std::net::TcpStream, which only os may",
            "src/cli/client/chat.rs:1 names std::net::TcpListener, which only os may",
        ]
    );
    assert_eq!(
        rings(&sources),
        [
            "src/reactor/hub.rs -> src/reactor/slot.rs -> src/reactor/wheel.rs -> src/reactor/hub.rs: these files import one \
          another in a ring"
        ]
    );
    assert_eq!(without_introduction(&sources).len(), sources.len() - 2);
}
