//! The verbs of a folder of the real file system, by kernel and by walk, without names and with hidden ones.

mod changes;
mod drafts;
mod reading;
mod space;
mod warmth;

use super::*;
use std::io::ErrorKind;
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

/// A folder on a tmpfs, where the machine has one.
fn tempfile_in_memory() -> io::Result<Room> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("hythe-disk-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let place = PathBuf::from("/dev/shm").join(name);
    fs::create_dir_all(&place)?;
    let room = Room(place);
    if is_memory(fs::File::open(&room.0)?) { Ok(room) } else { Err(ErrorKind::Unsupported.into()) }
}
