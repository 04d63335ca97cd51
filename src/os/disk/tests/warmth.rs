//! What the kernel has in memory: read at once, or not claimed.

use std::io::IoSliceMut;
use std::os::unix::fs::symlink;

use rustix::io::ReadWriteFlags;

use super::*;

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
