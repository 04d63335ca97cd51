//! How much there is of the pages: somebody may read all of it in an evening, and a browser on a phone does in a moment.

use std::fs;
use std::path::Path;

/// What the sources of the pages may have together, as they are.
const BYTES_MAX: u64 = 60_000;

/// What the pictures may have beside.
const PICTURES_MAX: u64 = 1_000;

/// The bytes of all files below a folder whose names end so.
fn bytes_below(folder: &Path, endings: &[&str]) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => bytes_below(&entry.path(), endings),
        false if endings.iter().any(|ending| entry.path().extension().is_some_and(|known| known == *ending)) => {
            entry.metadata().unwrap().len()
        }
        false => 0,
    });
    bytes.sum()
}

#[test]
fn the_sources_of_the_pages_have_at_most_60_kb_and_are_of_the_kinds_that_need_no_building() {
    let www = Path::new(env!("CARGO_MANIFEST_DIR")).join("www");
    let (sources, pictures) = (bytes_below(&www, &["html", "css", "js"]), bytes_below(&www, &["svg", "ico"]));
    assert!((1..=BYTES_MAX).contains(&sources), "{sources} bytes of pages");
    assert!((1..=PICTURES_MAX).contains(&pictures), "{pictures} bytes of pictures");
    let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    for path in names(&www).into_iter().chain(names(&www.join("_hythe"))).filter(|path| path.is_file()) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        assert!(["html", "css", "js", "svg", "ico"].contains(&ending), "{} is something else", path.display());
        if !["svg", "ico"].contains(&ending) {
            let text = fs::read_to_string(&path).unwrap();
            let longest = text.lines().map(str::len).max().unwrap_or_default();
            assert!(longest < 400, "{} has a line of {longest}: nothing is squeezed here", path.display());
        }
    }
}
