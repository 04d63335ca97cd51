//! Renames, folders and removals.

use std::os::unix::fs::symlink;

use super::*;
use crate::os::draft::rename_new_plainly;

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
