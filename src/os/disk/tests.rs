//! The verbs of a folder of the real file system, by kernel and by walk, without names and with hidden ones.

use super::*;
use crate::os::draft::{RESERVE_AHEAD, RESERVE_FIRST, rename_new_plainly};
use rustix::fs::CWD;
use rustix::io::ReadWriteFlags;
use std::io::ErrorKind;
use std::io::IoSliceMut;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for one test, gone with it.
struct Room(PathBuf);

impl Room {
    fn new() -> Room {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hythe-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = std::env::temp_dir().join(name);
        fs::create_dir_all(place.join("root")).unwrap();
        Room(fs::canonicalize(place).unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn file(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn disk(&self, links: Links) -> FolderDisk {
        FolderDisk::open(&self.at("root"), links).unwrap()
    }

    /// Names directly in `folder`, hidden ones too.
    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.at(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl FolderDisk {
    fn but(&self, way: Way, writing: Writing) -> FolderDisk {
        let Root { folder, place, links, .. } = &*self.root;
        let (folder, place) = (folder.try_clone().unwrap(), place.clone());
        FolderDisk {
            root: Arc::new(Root {
                folder,
                place,
                links: *links,
                way,
                is_local: true,
                is_memory: false,
                drafts: Arc::default(),
                notes_reading: false,
                writing,
                modes: [FILE_MODE, FOLDER_MODE],
            }),
        }
    }
}

fn path(text: &str) -> RelPath<'_> {
    RelPath::from_plain(text).unwrap()
}

fn text(disk: &FolderDisk, name: &str) -> Result<String, ErrorKind> {
    let opened = disk.open(&path(name)).map_err(|fault| fault.kind())?;
    let mut bytes = vec![0; usize::try_from(opened.facts.size).unwrap()];
    let came = opened.content.read_at(&mut bytes, 0).unwrap();
    assert_eq!(came, bytes.len());
    Ok(String::from_utf8(bytes).unwrap())
}

fn put(disk: &FolderDisk, name: &str, text: &str, existing: Existing) -> Result<FileFacts, ErrorKind> {
    let path = path(name);
    let mut draft = disk.draft(&path.parent().unwrap(), Some(text.len() as u64)).map_err(|fault| fault.kind())?;
    draft.write(text.as_bytes()).unwrap();
    draft.commit(&path, existing).map_err(|fault| fault.kind())
}

const WAYS: [Way; 2] = [Way::Kernel, Way::Walk];
const WRITINGS: [Writing; 2] = [Writing::Nameless, Writing::Hidden];

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
fn a_name_too_long_is_not_there_and_cannot_be_made() {
    let room = Room::new();
    let disk = room.disk(Links::Never);
    let long = "x".repeat(256);
    assert_eq!(text(&disk, &long), Err(ErrorKind::NotFound));
    assert_eq!(put(&disk, &long, "x", Existing::Refuse), Err(ErrorKind::InvalidFilename));
    assert!(put(&disk, &long[1..], "x", Existing::Refuse).is_ok());
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
fn a_draft_is_seen_only_when_committed_and_leaves_nothing_when_dropped() {
    for writing in WRITINGS {
        let room = Room::new();
        let disk = room.disk(Links::Never).but(Way::Kernel, writing);
        let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
        draft.write(b"half").unwrap();
        assert_eq!(disk.list(&RelPath::ROOT).unwrap(), []);
        drop(draft);
        assert_eq!(room.names("root"), [""; 0], "{writing:?}");

        let facts = put(&disk, "a.txt", "whole", Existing::Refuse).unwrap();
        assert_eq!(text(&disk, "a.txt").as_deref(), Ok("whole"));
        assert_eq!(disk.facts(&path("a.txt")).unwrap(), facts, "the committed facts are the lasting ones");
        assert_eq!(room.names("root"), ["a.txt"], "{writing:?}");
    }
}

#[test]
fn a_taken_name_is_refused_or_replaced_but_never_a_folder() {
    for writing in WRITINGS {
        let room = Room::new();
        let disk = room.disk(Links::Never).but(Way::Walk, writing);
        room.file("root/folder/x", "");
        let old = put(&disk, "a.txt", "old", Existing::Refuse).unwrap();
        assert_eq!(put(&disk, "a.txt", "new", Existing::Refuse), Err(ErrorKind::AlreadyExists));
        assert_eq!(text(&disk, "a.txt").as_deref(), Ok("old"));
        let new = put(&disk, "a.txt", "new", Existing::Replace).unwrap();
        assert_eq!(text(&disk, "a.txt").as_deref(), Ok("new"));
        assert_ne!(old.version, new.version);
        assert_eq!(disk.facts(&path("a.txt")).unwrap(), new);
        assert_eq!(put(&disk, "folder", "x", Existing::Refuse), Err(ErrorKind::AlreadyExists));
        assert_eq!(put(&disk, "folder", "x", Existing::Replace), Err(ErrorKind::IsADirectory));
        assert!(put(&disk, "folder/made", "x", Existing::Replace).is_ok());
        assert_eq!(put(&disk, "nowhere/x", "x", Existing::Refuse), Err(ErrorKind::NotFound));
        assert_eq!(room.names("root"), ["a.txt", "folder"], "{writing:?}");
    }
}

#[test]
fn a_refused_draft_may_take_another_name() {
    for writing in WRITINGS {
        let room = Room::new();
        let disk = room.disk(Links::Never).but(Way::Kernel, writing);
        room.file("root/a.txt", "old");
        let mut draft = disk.draft(&RelPath::ROOT, Some(3)).unwrap();
        draft.write(b"new").unwrap();
        let refused = draft.commit(&path("a.txt"), Existing::Refuse).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        draft.commit(&path("b.txt"), Existing::Refuse).unwrap();
        drop(draft);
        assert_eq!(text(&disk, "a.txt").as_deref(), Ok("old"));
        assert_eq!(text(&disk, "b.txt").as_deref(), Ok("new"));
        assert_eq!(room.names("root"), ["a.txt", "b.txt"], "{writing:?}");
    }
}

#[test]
fn a_draft_does_not_follow_a_link_at_its_name() {
    for writing in WRITINGS {
        let room = Room::new();
        let disk = room.disk(Links::Never).but(Way::Kernel, writing);
        room.file("outside", "safe");
        symlink("../outside", room.at("root/a.txt")).unwrap();
        assert_eq!(put(&disk, "a.txt", "new", Existing::Refuse), Err(ErrorKind::AlreadyExists));
        put(&disk, "a.txt", "new", Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(room.at("outside")).unwrap(), "safe");
        assert_eq!(text(&disk, "a.txt").as_deref(), Ok("new"));
    }
}

#[test]
fn more_than_the_disk_holds_is_refused_before_a_byte() {
    let room = Room::new();
    for writing in WRITINGS {
        let disk = room.disk(Links::Never).but(Way::Kernel, writing);
        let too_much = disk.free_bytes().unwrap() + (1 << 40);
        let refused = disk.draft(&RelPath::ROOT, Some(too_much)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        assert_eq!(room.names("root"), [""; 0]);
    }
}

#[test]
fn a_body_that_has_brought_little_reserves_little() {
    let room = Room::new();
    let disk = room.disk(Links::Never);
    let length = disk.free_bytes().unwrap() / 2;
    let mut draft = disk.begin(&RelPath::ROOT, Some(length)).unwrap();
    // Blocks are counted whole, and the list of them takes some itself.
    const SLACK: u64 = 32 << 10;
    let taken = |draft: &FolderDraft| rustix::fs::fstat(&draft.file).unwrap().st_blocks.cast_unsigned() * 512;
    assert!(taken(&draft) <= RESERVE_FIRST + SLACK, "{} of {length}", taken(&draft));
    let mut brought = 0;
    for bytes in [1, 1000, 1 << 20, 3 << 20, 12 << 20] {
        draft.write(&vec![b'x'; bytes]).unwrap();
        brought += bytes as u64;
        let most = brought + brought.clamp(RESERVE_FIRST, RESERVE_AHEAD) + SLACK;
        assert!(taken(&draft) <= most, "{} for {brought}", taken(&draft));
    }
    // Where the file system reserves at all, it is ahead of what comes.
    if taken(&draft) > brought + SLACK {
        let before = taken(&draft);
        draft.write(b"y").unwrap();
        assert_eq!(taken(&draft), before);
    }
}

#[test]
fn memory_is_reserved_for_what_is_large_and_alone() {
    let Ok(room) = tempfile_in_memory() else { return };
    let disk = FolderDisk::open(&room.0, Links::Never).unwrap();
    let taken = |draft: &FolderDraft| rustix::fs::fstat(&draft.file).unwrap().st_blocks.cast_unsigned() * 512;
    let mut draft = disk.begin(&RelPath::ROOT, Some(1 << 20)).unwrap();
    draft.write(b"a page").unwrap();
    assert!(taken(&draft) <= 64 << 10, "it may be small, or one of many: {}", taken(&draft));
    draft.write(&vec![b'x'; 256 << 10]).unwrap();
    draft.write(b"it is large").unwrap();
    assert!(taken(&draft) >= 512 << 10, "{}", taken(&draft));

    let mut second = disk.begin(&RelPath::ROOT, None).unwrap();
    for _ in 0..4 {
        second.write(&vec![b'y'; 256 << 10]).unwrap();
    }
    assert!(taken(&second) <= (1 << 20) + (64 << 10), "there are two: {}", taken(&second));
    drop(draft);
    second.write(b"it is alone").unwrap();
    assert!(taken(&second) >= (1 << 20) + (512 << 10), "{}", taken(&second));
    second.commit(&path("file"), Existing::Refuse).unwrap();
    let facts = disk.facts(&path("file")).unwrap();
    assert_eq!(facts.size, (1 << 20) + 11);
    let text = text(&disk, "file").unwrap();
    assert!(text.starts_with('y') && text.ends_with("yit is alone"));
}

#[test]
fn what_was_reserved_for_a_body_of_unknown_length_is_given_back() {
    let room = Room::new();
    let disk = room.disk(Links::Never);
    for length in [None, Some(64 << 20)] {
        let mut draft = disk.begin(&RelPath::ROOT, length).unwrap();
        draft.write(&vec![b'x'; 3 << 20]).unwrap();
        draft.write(b"the end").unwrap();
        draft.sync().unwrap();
        let facts = rustix::fs::fstat(&draft.file).unwrap();
        assert_eq!(facts.st_size, (3 << 20) + 7);
        assert!(facts.st_blocks * 512 <= (3 << 20) + (32 << 10), "{} blocks", facts.st_blocks);
        // It may still go on.
        draft.write(b", or not").unwrap();
        draft.commit(&path("file"), Existing::Replace).unwrap();
        assert!(text(&disk, "file").unwrap().ends_with("xthe end, or not"));
    }
}

#[test]
fn a_body_shorter_than_its_reservation_has_its_own_size() {
    let room = Room::new();
    let disk = room.disk(Links::Never);
    let mut draft = disk.draft(&RelPath::ROOT, Some(100_000)).unwrap();
    draft.write(b"short").unwrap();
    assert_eq!(draft.commit(&path("a"), Existing::Refuse).unwrap().size, 5);
}

#[test]
fn renames_refuse_replace_and_stay_out_of_themselves() {
    let room = Room::new();
    let disk = room.disk(Links::Never);
    let rename =
        |from: &str, to: &str, existing| disk.rename(&path(from), &path(to), existing).map_err(|fault| fault.kind());
    room.file("root/a", "a");
    room.file("root/b", "b");
    room.file("root/f/x", "x");
    fs::create_dir(room.at("root/empty")).unwrap();
    symlink("a", room.at("root/link")).unwrap();
    use Existing::{Refuse, Replace};
    for (from, to, existing, expected) in [
        ("a", "b", Refuse, Err(ErrorKind::AlreadyExists)),
        ("a", "f", Refuse, Err(ErrorKind::AlreadyExists)),
        ("a", "f", Replace, Err(ErrorKind::IsADirectory)),
        ("f", "b", Replace, Err(ErrorKind::AlreadyExists)),
        ("f", "empty", Replace, Err(ErrorKind::AlreadyExists)),
        ("f", "f/inner", Refuse, Err(ErrorKind::InvalidInput)),
        ("f", "f/inner", Replace, Err(ErrorKind::InvalidInput)),
        ("", "f/inner", Refuse, Err(ErrorKind::InvalidInput)),
        ("a", "", Replace, Err(ErrorKind::AlreadyExists)),
        ("a", "a", Refuse, Err(ErrorKind::AlreadyExists)),
        ("a", "a", Replace, Ok(())),
        ("link", "c", Refuse, Err(ErrorKind::NotFound)),
        ("none", "c", Refuse, Err(ErrorKind::NotFound)),
        ("a", "nowhere/c", Refuse, Err(ErrorKind::NotFound)),
        ("a", "f/a", Refuse, Ok(())),
        ("f/a", "b", Replace, Ok(())),
        ("f", "ff", Refuse, Ok(())),
    ] {
        assert_eq!(rename(from, to, existing), expected, "{from} to {to}, {existing:?}");
    }
    assert_eq!(room.names("root"), ["b", "empty", "ff", "link"]);
    assert_eq!(text(&disk, "b").as_deref(), Ok("a"));
}

#[test]
fn without_the_kernels_flag_a_name_is_still_taken_only_if_free() {
    let room = Room::new();
    room.file("root/a", "a");
    room.file("root/b", "b");
    room.file("root/f/x", "x");
    let disk = room.disk(Links::Never);
    let folder = disk.root.resolve(&RelPath::ROOT, FOLDER).unwrap();
    let rename = |from: &str, to: &str, kind| rename_new_plainly(&folder, from, &folder, to, kind);
    assert_eq!(rename("a", "b", Kind::File), Err(Errno::EXIST));
    assert_eq!(rename("a", "f", Kind::File), Err(Errno::EXIST));
    assert_eq!(rename("f", "a", Kind::Folder), Err(Errno::EXIST));
    assert_eq!(rename("a", "c", Kind::File), Ok(()));
    assert_eq!(rename("f", "g", Kind::Folder), Ok(()));
    assert_eq!(rename("none", "h", Kind::Folder), Err(Errno::NOENT));
    assert_eq!(room.names("root"), ["b", "c", "g"]);
    assert_eq!(text(&disk, "g/x").as_deref(), Ok("x"));
}

#[test]
fn folders_are_made_one_at_a_time_and_removed_only_when_empty() {
    let room = Room::new();
    for way in WAYS {
        let disk = room.disk(Links::Never).but(way, Writing::Nameless);
        let make = |name: &str| disk.make_folder(&path(name)).map_err(|fault| fault.kind());
        let remove = |name: &str| disk.remove(&path(name)).map_err(|fault| fault.kind());
        assert_eq!(make("a/b"), Err(ErrorKind::NotFound));
        assert_eq!(make("a"), Ok(()));
        assert_eq!(make("a"), Err(ErrorKind::AlreadyExists));
        assert_eq!(make(""), Err(ErrorKind::AlreadyExists));
        put(&disk, "a/x", "x", Existing::Refuse).unwrap();
        assert_eq!(remove("a"), Err(ErrorKind::DirectoryNotEmpty));
        assert_eq!(remove("a/x"), Ok(()));
        assert_eq!(remove("a/x"), Err(ErrorKind::NotFound));
        assert_eq!(remove("a"), Ok(()));
        assert_eq!(remove(""), Err(ErrorKind::InvalidInput));
    }
}

#[test]
fn a_folder_swapped_for_a_link_leads_no_change_outside() {
    let room = Room::new();
    room.file("else/x", "safe");
    symlink("../else", room.at("root/f")).unwrap();
    for way in WAYS {
        for links in [Links::Inside, Links::Never] {
            let disk = room.disk(links).but(way, Writing::Nameless);
            assert_eq!(disk.remove(&path("f/x")).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(disk.make_folder(&path("f/y")).unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(put(&disk, "f/z", "x", Existing::Replace), Err(ErrorKind::NotFound));
            let moved = disk.rename(&path("f/x"), &path("x"), Existing::Refuse);
            assert_eq!(moved.unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
    assert_eq!(room.names("else"), ["x"]);
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

#[test]
fn a_stretch_is_warm_once_read_ahead_and_never_beyond_the_end() {
    let room = Room::new();
    room.file("root/a", &"x".repeat(300_000));
    let opened = room.disk(Links::Inside).open(&path("a")).unwrap();
    let content = opened.content;
    content.read_ahead(0, 300_000);
    let mut byte = [0];
    let fd = content.fd().unwrap();
    let probe = rustix::io::preadv2(fd, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    if probe == Err(Errno::OPNOTSUPP) {
        return;
    }
    assert!(content.is_warm(0, 300_000));
    assert!(content.is_warm(299_999, 1));
    assert!(content.is_warm(0, 0));
    assert!(!content.is_warm(0, 300_001));
    assert!(!content.is_warm(300_000, 1));
    assert!(!content.is_warm(u64::MAX, 2));
    content.read_ahead(299_999, u64::MAX);
}

#[test]
fn a_sweep_takes_the_dead_and_leaves_the_living_and_the_strange() {
    let room = Room::new();
    let disk = room.disk(Links::Never).but(Way::Kernel, Writing::Hidden);
    room.file("else/.hythe-00000000.part", "not ours to reach");
    symlink("../else", room.at("root/door")).unwrap();
    for name in [".hythe-0a1b2c3d.part", "a/b/.hythe-ffffffff.part"] {
        room.file(&format!("root/{name}"), "dead");
    }
    for name in [".hythe-0a1b2c3d.parts", ".hythe-xyz.part", "a/kept.part", ".hythe-0a1b2c3dd.part"] {
        room.file(&format!("root/{name}"), "strange");
    }
    symlink("a/kept.part", room.at("root/.hythe-11111111.part")).unwrap();
    let mut living = disk.draft(&path("a"), None).unwrap();
    living.write(b"alive").unwrap();

    assert_eq!(disk.sweep().unwrap(), 2);
    living.commit(&path("a/alive"), Existing::Refuse).unwrap();
    assert_eq!(disk.sweep().unwrap(), 0);
    assert_eq!(room.names("root/a"), ["alive", "b", "kept.part"]);
    assert_eq!(room.names("root/a/b"), [""; 0]);
    assert_eq!(room.names("else").len(), 1);
    assert_eq!(room.names("root").len(), 6);
}

#[test]
fn what_is_in_memory_is_opened_and_read_at_once() {
    let room = Room::new();
    room.file("root/inner/page.txt", "twelve bytes");
    let disk = room.disk(Links::Inside);
    let path = RelPath::from_plain("inner/page.txt").unwrap();
    // It has just been written, so the kernel has it; where the file system of the tests cannot tell, nothing is claimed.
    let patient = disk.open(&path).unwrap();
    if disk.root.is_local && disk.root.notes_reading {
        let read = disk.open_now(&path).and_then(|opened| opened.content.read_now(&mut [0; 20], 0));
        assert_eq!(read.map_err(|fault| fault.kind()), Err(ErrorKind::WouldBlock), "a first reading is written down");
    }
    // The clock of a file system is a coarse one.
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(patient.content.read_at(&mut [0; 20], 0).unwrap(), 12);
    if let Ok(opened) = disk.open_now(&path) {
        assert_eq!(opened.facts, patient.facts);
        let mut bytes = [0; 20];
        let read = opened.content.read_now(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[..read], b"twelve bytes");
        assert_eq!(opened.content.read_now(&mut bytes, 12).unwrap(), 0);
    } else {
        assert!(!disk.root.is_local, "ext4, XFS, Btrfs and tmpfs can tell");
    }
    // Nothing that would be refused to the patient is given to the hasty.
    symlink("/etc/hostname", room.at("root/outside")).unwrap();
    symlink("inner/page.txt", room.at("root/inside")).unwrap();
    assert_ne!(disk.open_now(&RelPath::from_plain("outside").unwrap()).err().map(|fault| fault.kind()), None);
    let never = room.disk(Links::Never);
    assert_ne!(never.open_now(&RelPath::from_plain("inside").unwrap()).err().map(|fault| fault.kind()), None);
    for walked in ["inner", "inner/none"] {
        let fault = disk.open_now(&RelPath::from_plain(walked).unwrap()).err().map(|fault| fault.kind());
        let same = disk.open(&RelPath::from_plain(walked).unwrap()).err().map(|fault| fault.kind());
        assert!(fault == same || fault == Some(ErrorKind::WouldBlock), "{walked}: {fault:?}, {same:?}");
    }
}

#[test]
fn a_walk_and_a_network_are_never_asked_at_once() {
    let room = Room::new();
    room.file("root/page.txt", "here");
    let path = RelPath::from_plain("page.txt").unwrap();
    for change in [|root: &mut Root| root.way = Way::Walk, |root: &mut Root| root.is_local = false] {
        let mut disk = room.disk(Links::Inside);
        change(Arc::get_mut(&mut disk.root).unwrap());
        assert_eq!(disk.open_now(&path).err().map(|fault| fault.kind()), Some(ErrorKind::WouldBlock));
        assert!(disk.open(&path).is_ok());
    }
}

#[test]
fn a_file_in_memory_is_warm_for_good() {
    let Ok(place) = tempfile_in_memory() else { return };
    let disk = FolderDisk::open(&place.0, Links::Never).unwrap();
    fs::write(place.0.join("file"), vec![7; 3 << 20]).unwrap();
    let opened = disk.open(&RelPath::from_plain("file").unwrap()).unwrap();
    assert!(opened.content.is_warm(0, 3 << 20));
    assert!(opened.content.is_warm(2 << 20, 1));
    assert_eq!(opened.content.read_now(&mut [0; 8], 0).unwrap(), 8);
}

/// A folder on a tmpfs, where the machine has one.
fn tempfile_in_memory() -> io::Result<Room> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("hythe-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let place = PathBuf::from("/dev/shm").join(name);
    fs::create_dir_all(&place)?;
    let room = Room(place);
    if is_memory(fs::File::open(&room.0)?) { Ok(room) } else { Err(ErrorKind::Unsupported.into()) }
}
