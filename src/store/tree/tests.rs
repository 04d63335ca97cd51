//! Names, listings and pages of a tree under test.

use super::*;
use crate::store::disk::Opened;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

/// A file's size and time; a folder has none.
type Kept = Option<(u64, u64)>;

/// A disk of names without content.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeMap<String, Kept>>>);

impl Names {
    fn of(names: &[(&str, u64, u64)]) -> Names {
        let disk = Names::default();
        for &(name, size, time) in names {
            let path = path(name);
            let folder = path.parent().unwrap();
            make_folders(&disk, &folder).unwrap();
            disk.0.lock().unwrap().insert(name.to_owned(), Some((size, time)));
        }
        disk
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn take(&self, path: &RelPath<'_>, file: Kept, existing: Existing) -> io::Result<()> {
        let above = self.facts(&path.parent().ok_or(ErrorKind::AlreadyExists)?)?;
        assert_eq!(above.kind, Kind::Folder);
        let mut names = self.0.lock().unwrap();
        match names.get(path.as_str()) {
            Some(_) if existing == Existing::Refuse => return Err(ErrorKind::AlreadyExists.into()),
            Some(None) => return Err(ErrorKind::IsADirectory.into()),
            _ => {}
        }
        names.insert(path.to_string(), file);
        Ok(())
    }
}

fn facts_of(file: Kept) -> FileFacts {
    let (size, time) = file.unwrap_or((0, 0));
    let kind = if file.is_some() { Kind::File } else { Kind::Folder };
    FileFacts { kind, size, modified: Wall::from_millis(time), version: 0 }
}

impl Disk for Names {
    fn open(&self, _path: &RelPath<'_>) -> io::Result<Opened> {
        unreachable!("names have no content")
    }

    fn facts(&self, path: &RelPath<'_>) -> io::Result<FileFacts> {
        if path.is_root() {
            return Ok(facts_of(None));
        }
        let names = self.0.lock().unwrap();
        Ok(facts_of(*names.get(path.as_str()).ok_or(ErrorKind::NotFound)?))
    }

    fn list(&self, folder: &RelPath<'_>) -> io::Result<Vec<Item>> {
        if self.facts(folder)?.kind == Kind::File {
            return Err(ErrorKind::NotFound.into());
        }
        let names = self.0.lock().unwrap();
        let items = names.iter().rev().filter_map(|(name, &file)| {
            let name = path(name);
            (name.parent()? == *folder).then(|| Item { name: name.name().unwrap().to_owned(), facts: facts_of(file) })
        });
        Ok(items.collect())
    }

    fn draft(&self, _folder: &RelPath<'_>, _length: Option<u64>) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(Sheet(self.clone(), 0)))
    }

    fn make_folder(&self, path: &RelPath<'_>) -> io::Result<()> {
        self.take(path, None, Existing::Refuse)
    }

    fn rename(&self, from: &RelPath<'_>, to: &RelPath<'_>, existing: Existing) -> io::Result<()> {
        let file = *self.0.lock().unwrap().get(from.as_str()).ok_or(ErrorKind::NotFound)?;
        self.take(to, file, existing)?;
        self.remove(from)
    }

    fn remove(&self, path: &RelPath<'_>) -> io::Result<()> {
        self.0.lock().unwrap().remove(path.as_str());
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn sweep(&self) -> io::Result<usize> {
        Ok(0)
    }
}

struct Sheet(Names, u64);

impl Draft for Sheet {
    fn copy_to(&mut self, _other: &mut dyn Draft) -> io::Result<()> {
        unreachable!("sheets are not copied")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1 += bytes.len() as u64;
        Ok(())
    }

    fn commit(&mut self, path: &RelPath<'_>, existing: Existing) -> io::Result<FileFacts> {
        self.0.take(path, Some((self.1, 0)), existing)?;
        self.0.facts(path)
    }
}

fn path(text: &str) -> RelPath<'_> {
    RelPath::from_plain(text).unwrap()
}

#[test]
fn a_name_is_what_follows_the_last_slash_and_is_kept_as_given() {
    for (given, name) in [
        ("a.txt", "a.txt"),
        ("dir/a.txt", "a.txt"),
        ("C:\\Users\\ada\\a b.txt", "a b.txt"),
        ("../../etc/passwd", "passwd"),
        ("a\\b/c", "c"),
        ("~ada", "~ada"),
        ("Füße .tar.gz ", "Füße .tar.gz "),
        ("a..b", "a..b"),
        ("CON", "CON"),
        ("a:b*?\"<>|", "a:b*?\"<>|"),
    ] {
        assert_eq!(check_name(given), Ok(name), "{given}");
        assert!(RelPath::from_plain(name).is_ok(), "{name}");
    }
    let long = "x".repeat(255);
    assert_eq!(check_name(&long), Ok(long.as_str()));
    let longer = "x".repeat(256);
    for given in ["", "a/", "a\\", ".", "..", "a/..", ".htaccess", ".well-known", "a\0b", "a\nb", "a\x7f", &longer] {
        assert!(check_name(given).is_err(), "{given:?}");
    }
}

#[test]
fn a_place_is_neither_too_deep_nor_in_a_home_unless_it_is_ones_own() {
    let deep = |count| vec!["x"; count].join("/");
    let long = format!("a/{}", "x".repeat(256));
    assert!(check_place(&path(&deep(16)), true).is_ok());
    assert!(check_place(&path(&deep(17)), true).is_err());
    assert!(check_place(&path(&long), true).is_err());
    assert!(check_place(&path("~ada/a"), true).is_err());
    assert!(check_place(&path("~ada/a"), false).is_ok());
    assert!(check_place(&path("a/~b"), true).is_ok());
}

#[test]
fn free_names_keep_their_extension_and_fit() {
    for (name, free) in [
        ("a.txt", "a (2).txt"),
        ("a", "a (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        ("a (2).txt", "a (2) (2).txt"),
        ("a.", "a (2)."),
    ] {
        assert_eq!(free_name(name, 2), free);
    }
    let long = format!("{}.txt", "é".repeat(125));
    let free = free_name(&long, 1000);
    assert_eq!(free, format!("{} (1000).txt", "é".repeat(122)));
    let no_extension = format!("a.{}", "x".repeat(253));
    assert_eq!(free_name(&no_extension, 2).len(), 255);
    for name in ["a.txt", "a", ".a", "a.", &long, &no_extension, &"é".repeat(127)] {
        for number in [2, 10, 1000] {
            assert!(free_name(name, number).starts_with(common_stem(name)), "{name} {number}");
        }
        assert!(name.starts_with(common_stem(name)) && !common_stem(name).is_empty());
    }
}

#[test]
fn generated_names_tell_the_time() {
    let now = Wall::from_seconds(1_795_169_472);
    assert_eq!(generated_name(now, 0x1a2b_3c4d, "json"), "upload_20261120T101112Z_1a2b3c4d.json");
    assert_eq!(generated_name(Wall::default(), 7, "bin"), "upload_19700101T000000Z_00000007.bin");
    assert_eq!(check_name(&generated_name(Wall::from_millis(u64::MAX), 7, "bin")).map(str::len), Ok(36));
}

#[test]
fn a_taken_name_is_refused_evaded_or_overwritten() {
    let disk = Names::of(&[("a.txt", 1, 0), ("f/x", 1, 0)]);
    let put = |name: &str, on_conflict| {
        let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
        draft.write(b"three").unwrap();
        let placed = commit(&mut *draft, &path(name), on_conflict);
        placed.map(|(path, facts)| (path.to_string(), facts.size)).map_err(|fault| fault.kind())
    };
    assert_eq!(put("a.txt", OnConflict::Error), Err(ErrorKind::AlreadyExists));
    assert_eq!(put("a.txt", OnConflict::Rename), Ok(("a (2).txt".to_owned(), 5)));
    assert_eq!(put("a.txt", OnConflict::Rename), Ok(("a (3).txt".to_owned(), 5)));
    assert_eq!(put("a.txt", OnConflict::Overwrite), Ok(("a.txt".to_owned(), 5)));
    assert_eq!(put("f", OnConflict::Overwrite), Err(ErrorKind::IsADirectory));
    assert_eq!(put("f/x", OnConflict::Rename), Ok(("f/x (2)".to_owned(), 5)));
    assert_eq!(put("g/x", OnConflict::Rename), Err(ErrorKind::NotFound));
    assert_eq!(put("b", OnConflict::Rename), Ok(("b".to_owned(), 5)));
    let (moved, _) = rename(&disk, &path("b"), &path("a.txt"), OnConflict::Rename).unwrap();
    assert_eq!(moved.as_str(), "a (4).txt");
}

#[test]
fn names_that_never_end_are_given_up() {
    let disk = Names::of(&[("a", 1, 0)]);
    for number in 2..=FREE_NAMES_MAX {
        disk.take(&path(&free_name("a", number)), Some((1, 0)), Existing::Refuse).unwrap();
    }
    let mut draft = disk.draft(&RelPath::ROOT, None).unwrap();
    let fault = commit(&mut *draft, &path("a"), OnConflict::Rename).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn missing_folders_are_made_and_files_stand_in_the_way() {
    let disk = Names::of(&[("a/x", 1, 0)]);
    make_folders(&disk, &path("a/b/c")).unwrap();
    make_folders(&disk, &path("a/b/c")).unwrap();
    make_folders(&disk, &RelPath::ROOT).unwrap();
    assert_eq!(disk.all(), ["a", "a/b", "a/b/c", "a/x"]);
    for name in ["a/x", "a/x/y", "a/x/y/z"] {
        let fault = make_folders(&disk, &path(name)).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::NotADirectory, "{name}");
    }
}

/// The paths of a page, folders with a slash.
fn shown_by(listing: &Listing) -> Vec<String> {
    let dirs = listing.dirs.iter().map(|dir| format!("{dir}/"));
    dirs.chain(listing.files.iter().map(|file| file.path.to_string())).collect()
}

/// All pages of a list, one after the other.
fn pages(disk: &Names, ask: &ListAsk<'_>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let listing = list(disk, &ListAsk { after: after.as_deref(), ..ask.clone() }).unwrap();
        pages.push(shown_by(&listing));
        assert!(pages.len() < 1000, "the list does not end");
        match listing.next {
            Some(next) => after = Some(next),
            None => return pages,
        }
    }
}

fn some_files() -> Names {
    Names::of(&[
        ("b", 3, 10),
        ("a", 3, 20),
        ("c:1", 1, 30),
        ("z/x", 9, 9),
        ("y/deep/Hello.txt", 9, 9),
        ("~ada/hello", 9, 9),
    ])
}

#[test]
fn a_folder_lists_folders_first_then_files_in_the_order_asked_for() {
    let disk = some_files();
    use Order::{Ascending, Descending};
    for (sort, order, files) in [
        (Sort::Name, Ascending, ["a", "b", "c:1"]),
        (Sort::Name, Descending, ["c:1", "b", "a"]),
        (Sort::Size, Ascending, ["c:1", "a", "b"]),
        (Sort::Size, Descending, ["b", "a", "c:1"]),
        (Sort::Time, Ascending, ["b", "a", "c:1"]),
        (Sort::Time, Descending, ["c:1", "a", "b"]),
    ] {
        let ask = ListAsk { sort, order, limit: 100, hides_homes: true, ..ListAsk::default() };
        let expected: Vec<_> = ["y/", "z/"].into_iter().chain(files).map(str::to_owned).collect();
        assert_eq!(pages(&disk, &ask), [expected.as_slice()], "{sort:?}, {order:?}");
        for limit in 0..6 {
            let paged = pages(&disk, &ListAsk { limit, ..ask.clone() });
            assert_eq!(paged.concat(), expected, "{sort:?}, {order:?}, {limit} a page");
            assert_eq!(paged.len(), 5_usize.div_ceil(limit.max(1)));
        }
    }
}

#[test]
fn a_folder_below_is_listed_with_whole_paths_and_homes_only_to_who_may_see_them() {
    let disk = some_files();
    let names = |folder, hides_homes| {
        let ask = ListAsk { folder: path(folder), limit: 9, hides_homes, ..ListAsk::default() };
        list(&disk, &ask).map(|listing| shown_by(&listing)).map_err(|fault| fault.kind())
    };
    assert_eq!(names("y", true).unwrap(), ["y/deep/"]);
    assert_eq!(names("y/deep", true).unwrap(), ["y/deep/Hello.txt"]);
    assert_eq!(names("~ada", false).unwrap(), ["~ada/hello"]);
    assert_eq!(names("", false).unwrap()[2], "~ada/");
    assert_eq!(names("nowhere", true), Err(ErrorKind::NotFound));
    assert_eq!(names("a", true), Err(ErrorKind::NotFound));
}

#[test]
fn a_search_goes_below_and_minds_neither_case_nor_homes() {
    let disk = some_files();
    let ask = ListAsk { search: Some("HELLO"), limit: 9, hides_homes: true, ..ListAsk::default() };
    assert_eq!(pages(&disk, &ask), [["y/deep/Hello.txt"]]);
    let ask = ListAsk { hides_homes: false, limit: 1, ..ask };
    assert_eq!(pages(&disk, &ask).concat(), ["y/deep/Hello.txt", "~ada/hello"]);
    let ask = ListAsk { search: Some("e"), limit: 9, hides_homes: true, ..ListAsk::default() };
    assert_eq!(pages(&disk, &ask), [["y/deep/", "y/deep/Hello.txt"]]);
    let below = ListAsk { folder: path("z"), ..ask.clone() };
    assert_eq!(pages(&disk, &below), [[""; 0]]);
    let nowhere = ListAsk { folder: path("nowhere"), ..ask };
    assert_eq!(list(&disk, &nowhere).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_search_that_looks_at_too_much_says_so() {
    let disk = Names::default();
    for number in 0..=SEARCH_NAMES_MAX {
        disk.0.lock().unwrap().insert(format!("n{number:06}"), Some((1, 1)));
    }
    let ask = ListAsk { search: Some("n0200"), limit: 9, ..ListAsk::default() };
    let listing = list(&disk, &ask).unwrap();
    assert!(listing.is_cut && listing.files.is_empty());
    disk.remove(&path("n000000")).unwrap();
    let listing = list(&disk, &ask).unwrap();
    assert!(!listing.is_cut);
    assert_eq!(shown_by(&listing), ["n020000"]);
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    for after in ["a", "a:1", ":a", "-1:a"] {
        let ask = ListAsk { sort: Sort::Size, after: Some(after), limit: 9, ..ListAsk::default() };
        assert_eq!(list(&some_files(), &ask).unwrap_err().kind(), ErrorKind::InvalidInput, "{after}");
    }
}

#[test]
fn a_page_goes_on_though_its_last_file_has_gone() {
    let disk = some_files();
    let ask = ListAsk { sort: Sort::Time, limit: 4, ..ListAsk::default() };
    let first = list(&disk, &ask).unwrap();
    assert_eq!(shown_by(&first), ["y/", "z/", "~ada/", "b"]);
    disk.remove(&path("b")).unwrap();
    let second = list(&disk, &ListAsk { after: first.next.as_deref(), ..ask }).unwrap();
    assert_eq!(shown_by(&second), ["a", "c:1"]);
}

proptest! {
    #[test]
    fn whatever_name_passes_is_a_path_of_one_segment(given in "[ -~é/\\\\.\u{0}-\u{1f}]{0,12}") {
        if let Ok(name) = check_name(&given) {
            let path = RelPath::from_plain(name);
            prop_assert!(path.is_ok(), "{name:?}");
            prop_assert_eq!(path.unwrap().segments().count(), 1);
            prop_assert!(given.ends_with(name));
            prop_assert!(check_name(&free_name(name, 2)).is_ok());
        }
    }
}
