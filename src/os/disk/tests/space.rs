//! What a draft takes of the disk, and when.

use super::*;
use crate::os::draft::{RESERVE_AHEAD, RESERVE_FIRST};

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
