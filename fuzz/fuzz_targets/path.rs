//! Any text as a request target: it is refused, or it becomes a path that keeps every invariant of `RelPath`.
#![no_main]

use hythe::path::RelPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(raw) = std::str::from_utf8(bytes) else { return };
    let Ok((path, is_folder)) = RelPath::from_target(raw) else { return };
    let text = path.as_str();
    assert!(is_folder || !path.is_root(), "the root is a folder: {raw:?}");
    assert!(!text.starts_with('/') && !text.ends_with('/'), "a slash at an end: {raw:?}");
    assert!(!text.bytes().any(|byte| byte < 0x20 || byte == 0x7f || byte == b'\\'), "a bad byte: {raw:?}");
    for segment in text.split('/').filter(|_| !path.is_root()) {
        assert!(!segment.is_empty(), "an empty segment: {raw:?}");
        assert!(!segment.starts_with('.') || segment == ".well-known", "a hidden segment: {raw:?}");
    }
    assert_eq!(RelPath::from_plain(text).as_ref(), Ok(&path), "it does not read back as itself: {raw:?}");
    if let Some(parent) = path.parent() {
        let name = RelPath::from_plain(path.name().expect("only the root has no name")).expect("a segment is a path");
        assert_eq!(parent.join(&name), path, "folder and name do not make the path: {raw:?}");
    }
});
