//! A copy of the database as one moment has it, made while others may be writing (SQLite's online backup).

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{OpenFlags, ffi};

use crate::store::accounts;
use crate::store::database::{Error, check, connect, make_private, set_meta};
use crate::store::users::Users;

/// Copies the database at `from` to `to`, where there is none yet, looks through the copy, and tells who is in it.
///
/// # Errors
/// If it cannot be read or written, or the copy is damaged.
pub fn copy(from: &Path, to: &Path) -> Result<Users, Error> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    make_private(to)?;
    let mut copy = connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let backup = Backup::new(&source, &mut copy)?;
    // All pages in one step are one moment; nobody who writes waits for it, for the log keeps the old pages.
    let step = backup.step(-1)?;
    drop(backup);
    if step != StepResult::Done {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None).into());
    }
    // One file, whole by itself.
    let _: String = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    check(&copy)?;
    set_meta(&copy, "clean", 1)?;
    accounts::load(&copy)
}
