//! What is needed around a run: the programs, files to serve, a place to write, and two cores.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What goes wrong around a measurement ends it; a sentence is enough.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The files that are served, and how long they are.
pub const FILES: [(&str, u64); 4] =
    [("1k.bin", 1 << 10), ("100k.bin", 100 << 10), ("10m.bin", 10 << 20), ("1g.bin", 1 << 30)];

/// A run's surroundings. The folder goes with it.
#[derive(Debug)]
pub struct House {
    /// Where everything of this run lies.
    pub folder: PathBuf,
    /// Where `floor` and `load` are.
    pub programs: PathBuf,
    /// hythe, if it is there.
    pub hythe: Option<PathBuf>,
    /// The one server that is measured, if not all are.
    pub only: Option<String>,
    /// The core servers run on.
    pub server_core: usize,
    /// The core loads run on.
    pub load_core: usize,
    /// How often each server has its turn.
    pub rounds: usize,
    /// How long a turn is.
    pub seconds: f64,
    /// How many idle, or busy, connections "many" are.
    pub many: usize,
    /// How long an upload is that is measured by itself.
    pub upload_bytes: u64,
    /// How long a siege lasts.
    pub siege_seconds: f64,
}

impl House {
    /// Makes the folder and the files; a GiB only for who needs it.
    pub fn furnish(&self, largest: u64) -> Outcome<()> {
        for folder in ["www", "temp"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        for (name, length) in FILES.iter().filter(|(_, length)| *length <= largest) {
            let path = self.www().join(name);
            if fs::metadata(&path).is_ok_and(|facts| facts.len() == *length) {
                continue;
            }
            let mut file = File::create(path)?;
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut left = *length;
            while left > 0 {
                let block: Vec<u8> = (0..(1 << 17)).flat_map(|_| next(&mut state).to_le_bytes()).collect();
                let here = usize::try_from(left.min(block.len() as u64))?;
                file.write_all(&block[..here])?;
                left -= here as u64;
            }
        }
        Ok(())
    }

    /// The same, with another folder, furnished with no more than small files.
    pub fn moved(&self, folder: PathBuf) -> Outcome<House> {
        let (hythe, only) = (self.hythe.clone(), self.only.clone());
        let house = House { folder, programs: self.programs.clone(), hythe, only, ..*self };
        house.furnish(FILES[0].1)?;
        Ok(house)
    }

    /// The folder that is served.
    #[must_use]
    pub fn www(&self) -> PathBuf {
        self.folder.join("www")
    }

    /// One of our own programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Does something, such as to start a program, while this thread may only run on one core: the child stays there.
pub fn on_core<T>(core: usize, what: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None);
    let mut only = CpuSet::new();
    only.set(core);
    // On a machine without such a core everything runs everywhere; the figures will show it.
    let _ = sched_setaffinity(None, &only);
    let outcome = what();
    if let Ok(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    outcome
}

/// As many descriptors as we may have: for ourselves, and for whom we start.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Where a program is, if it is installed.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Has cargo build a package for release; says whether it could.
#[must_use]
pub fn build(package: &str) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", package, "--bins"])
        .stdin(Stdio::null())
        .status();
    built.is_ok_and(|status| status.success())
}

/// A folder of our own below the system's one for such things.
pub fn temporary_folder() -> Outcome<PathBuf> {
    let folder = std::env::temp_dir().join(format!("hythe-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Whether `path` can be run.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Bytes that no compression makes shorter; xorshift.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
