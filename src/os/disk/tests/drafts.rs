//! Files on their way: seen when they are whole, under a name that was free or may be replaced.

use std::os::unix::fs::symlink;

use super::*;

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
