//! The three folders: where they truly are, that none contains another, and that they can be used.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use crate::cli::exit::Mistake;
use crate::config::Config;
use crate::config::choices::AccessLog;

/// For whom a folder is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// For whoever the system's mask lets in.
    All,
    /// For its owner alone.
    Owner,
}

/// Makes the folders of a configuration ready: their paths absolute, the folders made where missing. Answers with
/// what is odd about them, a sentence each. What is made is for `owner` (user and group), where one is given. `may_use` asks the
/// system whether this process may read and write in a folder.
pub fn prepare(
    config: &mut Config,
    owner: Option<(u32, u32)>,
    may_use: impl Fn(&Path) -> io::Result<()>,
) -> Result<Vec<String>, Mistake> {
    let asked_for_www = config.www != Config::default().www;
    resolve(config)?;
    let mut warnings = Vec::new();
    match make(&config.www, For::All, owner) {
        // Only the site can do without its folder: there is a copy inside the program.
        Err(_) if !asked_for_www && !config.www.exists() => {
            warnings.push(format!("cannot make {}; the built-in pages are served", config.www.display()));
        }
        outcome => outcome?,
    }
    if config.has_files {
        make(&config.uploads, For::All, owner)?;
    }
    make(&config.data, For::Owner, owner)?;
    check_all(config, &may_use)?;
    let mode = fs::metadata(&config.data).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        let path = config.data.display();
        warnings.push(format!("others on this machine can enter {path} (mode {:03o}); chmod 700 it", mode & 0o777));
    }
    Ok(warnings)
}

/// Makes the data folder alone ready, for commands that do not serve.
pub fn prepare_data(config: &mut Config, may_use: impl Fn(&Path) -> io::Result<()>) -> Result<(), Mistake> {
    resolve(config)?;
    make(&config.data, For::Owner, None)?;
    check(&config.data, &may_use)
}

/// Makes all paths of a configuration absolute, and refuses folders that contain one another. Makes nothing.
pub fn resolve(config: &mut Config) -> Result<(), Mistake> {
    for folder in [&mut config.www, &mut config.uploads, &mut config.data] {
        *folder = real(folder)
            .map_err(|error| Mistake::cannot_write(format!("cannot use the folder {}: {error}", folder.display())))?;
    }
    let log = match &mut config.access_log {
        AccessLog::File(path) => Some(path),
        AccessLog::Off | AccessLog::Stderr => None,
    };
    let files = [&mut config.token_file, &mut config.log_file, &mut config.config_file];
    for file in files.into_iter().flatten().chain(log) {
        // Where it cannot be told, opening it will tell why.
        *file = real(file).unwrap_or_else(|_| file.clone());
    }
    apart(config)
}

fn apart(config: &Config) -> Result<(), Mistake> {
    let mut folders = vec![("www", &config.www), ("data", &config.data)];
    if config.has_files {
        folders.push(("uploads", &config.uploads));
    }
    for (name, folder) in &folders {
        for (other, around) in folders.iter().filter(|(other, _)| other != name) {
            if folder == around {
                let path = folder.display();
                return Err(Mistake::configuration(format!("{name} and {other} are the same folder, {path}")));
            }
            if folder.starts_with(around) {
                let (inner, outer) = (folder.display(), around.display());
                return Err(Mistake::configuration(format!("{name} ({inner}) must not lie inside {other} ({outer})")));
            }
        }
    }
    Ok(())
}

/// The path without links and dots, also when its end is still to be made.
///
/// # Errors
/// If it leads through what cannot be entered.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let mut there = whole.as_path();
    let mut missing = Vec::new();
    let mut real = loop {
        match there.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(error) => {
                let (Some(parent), Some(last)) = (there.parent(), there.components().next_back()) else {
                    return Err(error);
                };
                missing.push(last);
                there = parent;
            }
        }
    };
    for component in missing.into_iter().rev() {
        match component {
            Component::ParentDir => {
                real.pop();
            }
            other => real.push(other),
        }
    }
    Ok(real)
}

fn make(folder: &Path, whom: For, owner: Option<(u32, u32)>) -> Result<(), Mistake> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(Mistake::cannot_write(format!("{shown} is not a folder"))),
        Err(_) => {}
    }
    let build = || {
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        DirBuilder::new().mode(if whom == For::Owner { 0o700 } else { 0o777 }).create(folder)?;
        match owner {
            Some((user, group)) => chown(folder, Some(user), Some(group)),
            None => Ok(()),
        }
    };
    build().map_err(|error| Mistake::cannot_write(format!("cannot make the folder {shown}: {error}")))
}

/// Gives the logs to whom we will be when they are opened again.
pub fn give_logs(config: &Config, (user, group): (u32, u32)) -> Result<(), Mistake> {
    let access_log = match &config.access_log {
        AccessLog::File(path) => Some(path),
        AccessLog::Off | AccessLog::Stderr => None,
    };
    for log in access_log.into_iter().chain(&config.log_file) {
        let refused = |error| Mistake::cannot_write(format!("cannot give away the log {}: {error}", log.display()));
        chown(log, Some(user), Some(group)).map_err(refused)?;
    }
    Ok(())
}

/// Asks once more whether the folders can be written: whoever asked first was root.
pub fn check_all(config: &Config, may_use: impl Fn(&Path) -> io::Result<()>) -> Result<(), Mistake> {
    if config.has_files {
        check(&config.uploads, &may_use)?;
    }
    check(&config.data, &may_use)
}

fn check(folder: &Path, may_use: impl Fn(&Path) -> io::Result<()>) -> Result<(), Mistake> {
    may_use(folder)
        .map_err(|error| Mistake::cannot_write(format!("cannot write the folder {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAY: fn(&Path) -> io::Result<()> = |_| Ok(());

    /// An empty folder of the test's own.
    fn room(name: &str) -> PathBuf {
        let room = std::env::temp_dir().join(format!("hythe-folders-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(&room).unwrap();
        room.canonicalize().unwrap()
    }

    fn config(room: &Path, www: &str, uploads: &str, data: &str) -> Config {
        let (www, uploads, data) = (room.join(www), room.join(uploads), room.join(data));
        Config { www, uploads, data, has_files: true, ..Config::default() }
    }

    #[test]
    fn folders_are_made_where_missing_and_data_for_its_owner_alone() {
        let room = room("made");
        let mut config = config(&room, "a/www", "b/uploads", "c/../data");
        assert_eq!(prepare(&mut config, None, MAY).unwrap(), [] as [&str; 0]);
        assert_eq!(config.data, room.join("data"));
        for folder in [&config.www, &config.uploads, &config.data] {
            assert!(folder.is_dir(), "{}", folder.display());
        }
        assert_eq!(fs::metadata(&config.data).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&config.data, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(prepare(&mut config, None, MAY).unwrap()[0].contains("mode 755"));
        fs::remove_dir_all(room).unwrap();
    }

    #[test]
    fn folders_that_contain_one_another_are_refused_and_nothing_is_made() {
        let room = room("apart");
        fs::create_dir(room.join("real")).unwrap();
        std::os::unix::fs::symlink(room.join("real"), room.join("link")).unwrap();
        for (www, uploads, data) in [
            ("www", "uploads", "www/data"),
            ("www", "uploads", "uploads/a/b"),
            ("data/www", "uploads", "data"),
            ("www", "www", "data"),
            ("www", "www/../www/up", "data"),
            ("real", "link/uploads", "data"),
            ("link", "uploads", "real"),
            ("", "uploads", "data"),
        ] {
            let mistake = prepare(&mut config(&room, www, uploads, data), None, MAY).unwrap_err();
            assert_eq!(mistake.exit.code(), 78, "{mistake}");
        }
        assert_eq!(fs::read_dir(&room).unwrap().count(), 2, "only what the test has made");
        // A name that begins with another is not inside it.
        prepare(&mut config(&room, "www", "www-uploads", "www.data"), None, MAY).unwrap();
        fs::remove_dir_all(room).unwrap();
    }

    #[test]
    fn without_files_the_folder_of_the_shared_area_does_not_matter() {
        let room = room("without");
        let mut config = Config { has_files: false, ..config(&room, "www", "www/uploads", "data") };
        prepare(&mut config, None, MAY).unwrap();
        assert!(!room.join("www/uploads").exists());
        fs::remove_dir_all(room).unwrap();
    }

    #[test]
    fn what_cannot_be_a_folder_is_told() {
        let room = room("file");
        fs::write(room.join("file"), "").unwrap();
        for (www, uploads, data) in
            [("file", "uploads", "data"), ("www", "file", "data"), ("www", "uploads", "file/data")]
        {
            let mistake = prepare(&mut config(&room, www, uploads, data), None, MAY).unwrap_err();
            assert_eq!(mistake.exit.code(), 73, "{mistake}");
        }
        fs::remove_dir_all(room).unwrap();
    }

    #[test]
    fn a_folder_that_may_not_be_written_is_told() {
        let room = room("unwritable");
        let never = |_: &Path| Err(io::Error::from(ErrorKind::PermissionDenied));
        let mistake = prepare(&mut config(&room, "www", "uploads", "data"), None, never).unwrap_err();
        assert_eq!(mistake.exit.code(), 73, "{mistake}");
        assert!(mistake.to_string().contains("uploads: permission denied"), "{mistake}");
        fs::remove_dir_all(room).unwrap();
    }
}
