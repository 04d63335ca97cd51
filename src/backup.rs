//! `hythe backup`: a copy of a data folder, while a server may be at work on it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cli::exit::Mistake;
use crate::cli::folders;
use crate::config::Config;
use crate::store::backup;

/// What is unfinished, or ours, begins so; no client's file does.
const HIDDEN: char = '.';

/// A data folder's database.
pub fn database(config: &Config) -> PathBuf {
    config.data.join("hythe.db")
}

/// Sees that it is there.
///
/// # Errors
/// If it is not, in a sentence.
pub fn find_database(config: &Config) -> Result<(), Mistake> {
    match fs::metadata(database(config)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Mistake::configuration(format!(
            "there is no {}; name the server's data folder by --data",
            database(config).display()
        ))),
        Err(error) => Err(Mistake::cannot_write(format!("cannot use {}: {error}", database(config).display()))),
    }
}

pub fn home(data: &Path, account: i64) -> PathBuf {
    data.join("home").join(account.to_string())
}

/// Copies the database and the private files to a folder that is empty or not there yet; what it returns is for stdout. Put in
/// the place of a data folder, it is one.
///
/// # Errors
/// What is in the way, in a sentence.
pub fn back_up(mut config: Config, place: &Path) -> Result<String, Mistake> {
    folders::resolve(&mut config)?;
    find_database(&config)?;
    let shown = place.display();
    let failed = |error: io::Error| Mistake::cannot_write(format!("cannot write the backup {shown}: {error}"));
    match fs::read_dir(place).map(|entries| entries.count()) {
        Ok(1..) => {
            return Err(Mistake::cannot_write(format!("{shown} is not empty; a backup wants a folder of its own")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_folder(place).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    let to = place.join("hythe.db");
    let users = backup::copy(&database(&config), &to)
        .map_err(|error| Mistake::cannot_write(format!("cannot copy the database to {shown}: {error}")))?;
    let mut copied = Copied::default();
    // Only the homes of accounts that are in the copy: any other number will be given to somebody new.
    let ids: Vec<i64> = users.accounts().map(|account| account.id).collect();
    for id in &ids {
        let from = home(&config.data, *id);
        if from.is_dir() {
            make_folder(&place.join("home")).map_err(failed)?;
            copy_folder(&from, &home(place, *id), &mut copied).map_err(failed)?;
        }
    }
    sync(&to).and_then(|()| sync(place)).map_err(failed)?;
    let Copied { files, bytes } = copied;
    Ok(format!(
        "{} accounts, the chat and {files} private files ({bytes} bytes) are copied to {shown}; the shared files are not, \
         they lie in {}.\n",
        ids.len(),
        config.uploads.display(),
    ))
}

#[derive(Default)]
struct Copied {
    files: u64,
    bytes: u64,
}

/// Makes a folder that only its owner may enter, if there is none.
fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(path)
        }
        made => made,
    }
}

/// Copies a folder with all that clients see in it. A file appears whole under its name, so what is copied is one that was there;
/// one that goes away meanwhile is not in the copy.
fn copy_folder(from: &Path, to: &Path, copied: &mut Copied) -> io::Result<()> {
    make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(HIDDEN) {
            continue;
        }
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            match copy_folder(&entry.path(), &target, copied) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !entry.path().exists() => {}
                done => done?,
            }
        } else if kind.is_file() {
            let mut source = match File::open(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&target)?;
            copied.bytes += io::copy(&mut source, &mut file)?;
            copied.files += 1;
            if let Ok(modified) = source.metadata()?.modified() {
                file.set_modified(modified)?;
            }
            file.sync_all()?;
        }
    }
    sync(to)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
