//! What can be found, listed and read.

use std::os::unix::fs::symlink;

use rustix::fs::CWD;

use super::*;

#[test]
fn links_are_followed_inside_or_never_by_kernel_and_walk_alike() {
    let room = Room::new();
    room.file("outside.txt", "secret");
    room.file("root/plain.txt", "plain");
    room.file("root/in/deep.txt", "deep");
    for (target, name) in [
        ("plain.txt", "root/link"),
        ("../plain.txt", "root/in/up"),
        ("in", "root/door"),
        ("../outside.txt", "root/leak"),
        ("..", "root/hatch"),
        ("/etc/passwd", "root/passwd"),
        ("/proc/self/root", "root/magic"),
        ("ring", "root/ring"),
        ("nothing", "root/dangling"),
    ] {
        symlink(target, room.at(name)).unwrap();
    }
    symlink(room.at("root/in/deep.txt"), room.at("root/absolute")).unwrap();
    symlink(room.at("root/in"), room.at("root/absolute-door")).unwrap();
    symlink(room.at("outside.txt"), room.at("root/absolute-leak")).unwrap();

    const GONE: Result<&str, ErrorKind> = Err(ErrorKind::NotFound);
    let folder = Err(ErrorKind::IsADirectory);
    for (name, inside, never) in [
        ("plain.txt", Ok("plain"), Ok("plain")),
        ("in/deep.txt", Ok("deep"), Ok("deep")),
        ("in", folder, folder),
        ("", folder, folder),
        ("nothing", GONE, GONE),
        ("plain.txt/x", GONE, GONE),
        ("link", Ok("plain"), GONE),
        ("in/up", Ok("plain"), GONE),
        ("door/deep.txt", Ok("deep"), GONE),
        ("door/up", Ok("plain"), GONE),
        ("absolute", Ok("deep"), GONE),
        ("absolute-door/deep.txt", Ok("deep"), GONE),
        ("absolute-leak", GONE, GONE),
        ("leak", GONE, GONE),
        ("hatch/outside.txt", GONE, GONE),
        // A link that leaves and comes back has its target inside.
        ("hatch/root/plain.txt", Ok("plain"), GONE),
        ("passwd", GONE, GONE),
        ("magic/etc/passwd", GONE, GONE),
        ("ring", GONE, GONE),
        ("dangling", GONE, GONE),
    ] {
        for way in WAYS {
            for (links, expected) in [(Links::Inside, inside), (Links::Never, never)] {
                let disk = room.disk(links).but(way, Writing::Nameless);
                let found = text(&disk, name);
                assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{name}: {links:?}, {way:?}");
                let facts = disk.facts(&path(name)).map_err(|fault| fault.kind());
                assert_eq!(facts.is_ok(), expected != GONE, "{name}: {links:?}, {way:?}: {facts:?}");
            }
        }
    }
}

#[test]
fn nothing_but_files_is_content_and_nothing_blocks() {
    let room = Room::new();
    let fifo = room.at("root/fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(room.at("root/socket")).unwrap();
    for way in WAYS {
        let disk = room.disk(Links::Inside).but(way, Writing::Nameless);
        for name in ["fifo", "socket"] {
            assert_eq!(text(&disk, name), Err(ErrorKind::NotFound), "{name}, {way:?}");
            assert_eq!(disk.facts(&path(name)).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(disk.remove(&path(name)).unwrap_err().kind(), ErrorKind::NotFound);
        }
        assert_eq!(disk.list(&RelPath::ROOT).unwrap(), []);
    }
}

#[test]
fn a_list_has_what_can_be_asked_for_and_no_more() {
    let room = Room::new();
    room.file("root/a.txt", "12345");
    room.file("root/folder/x", "");
    room.file("root/.hidden", "");
    room.file("root/back\\slash", "");
    room.file("root/new\nline", "");
    room.file("outside", "");
    symlink("a.txt", room.at("root/link")).unwrap();
    symlink("../outside", room.at("root/leak")).unwrap();
    let names = |links, way| {
        let mut items = room.disk(links).but(way, Writing::Nameless).list(&RelPath::ROOT).unwrap();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items.into_iter().map(|item| (item.name, item.facts.kind, item.facts.size)).collect::<Vec<_>>()
    };
    for way in WAYS {
        let found = names(Links::Inside, way);
        let sizes: Vec<_> = found.iter().map(|(name, kind, size)| (name.as_str(), *kind, *size)).collect();
        assert_eq!(sizes[0], ("a.txt", Kind::File, 5));
        assert_eq!((sizes[1].0, sizes[1].1), ("folder", Kind::Folder));
        assert_eq!(sizes[2..], [("link", Kind::File, 5)]);
        assert_eq!(names(Links::Never, way).len(), 2);
    }
    let disk = room.disk(Links::Never);
    assert_eq!(disk.list(&path("a.txt")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.list(&path("nothing")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_version_changes_with_content_and_stays_without() {
    let room = Room::new();
    room.file("root/a", "one");
    let disk = room.disk(Links::Inside);
    let version = || disk.facts(&path("a")).unwrap().version;
    let first = version();
    assert_eq!(version(), first);
    assert_eq!(disk.open(&path("a")).unwrap().facts.version, first);
    room.file("root/a", "four");
    assert_ne!(version(), first);
    let second = version();
    let file = File::options().write(true).open(room.at("root/a")).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified + std::time::Duration::from_nanos(1)).unwrap();
    assert_ne!(version(), second);
}
