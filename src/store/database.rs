//! What every part of the ledger stands on: a connection to its database, its file, the notes it keeps about itself, and what
//! can go wrong with it.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

/// How long a connection waits for another's lock.
const BUSY: Duration = Duration::from_secs(5);
/// More than there are different statements here.
const STATEMENTS_MAX: usize = 64;

/// The notes.
pub const TABLES: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- clean: the last stop was an orderly one.
    INSERT INTO meta VALUES ('clean', 1);
";

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, under this id.
    Kept(i64),
    /// A constraint forbids it; nothing of it is kept.
    Refused,
    /// Another process had the database to itself for too long, or the disk is full: nothing of it is kept, but what comes later may
    /// be.
    Busy,
    /// It is not known to be kept, and nothing will be from now on.
    Lost,
}

/// Why a ledger cannot be opened, read or written.
#[derive(Debug)]
pub enum Error {
    /// SQLite's own word.
    Sqlite(rusqlite::Error),
    /// The file cannot be made.
    File(std::io::Error),
    /// The file that is open is not there any more, or another stands in its place.
    Gone,
    /// The check after an unclean stop found the database damaged; SQLite's words.
    Damaged(String),
    /// It is that of an earlier version of this program, which is at work on it.
    TooOld {
        /// The version of its tables.
        found: i64,
        /// The one we know.
        known: i64,
    },
    /// It was written by a later version of this program.
    TooNew {
        /// The version of its tables.
        found: i64,
        /// The latest we know.
        known: i64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Sqlite(fault) => write!(f, "database: {fault}"),
            Error::File(fault) => write!(f, "database file: {fault}"),
            Error::Gone => {
                write!(f, "the database file is gone, or another has taken its place; start the server anew")
            }
            Error::Damaged(words) => {
                write!(f, "the database is damaged ({words}); restore a backup, or try sqlite3's .recover")
            }
            Error::TooOld { found, known } => {
                write!(
                    f,
                    "a server of an earlier version is at work on the database (its version {found}, ours {known})"
                )
            }
            Error::TooNew { found, known } => {
                write!(f, "the database has version {found}, this program knows {known}; use a newer program")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Sqlite(fault) => Some(fault),
            Error::File(fault) => Some(fault),
            Error::Gone | Error::Damaged(_) | Error::TooOld { .. } | Error::TooNew { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(fault: rusqlite::Error) -> Error {
        Error::Sqlite(fault)
    }
}

/// Sees to it that the file at `path` can be written, if there is one; does not look into it. A new one is not made here: that is a
/// tenth of a millisecond to whoever is waiting for the first answer, and whether its folder can be written is known.
pub fn can_write(path: &Path) -> std::io::Result<()> {
    match std::fs::File::options().write(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A connection to the database at `path`.
pub fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    // A connection is lent to one thread at a time, so SQLite need not lock it.
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // Its own temporary files would lie in a folder of everybody's, where a confined process may not write.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Makes the file before SQLite does, readable by nobody else; its log and index files take after it.
pub fn make_private(path: &Path) -> Result<(), Error> {
    if path.to_str().is_some_and(|text| text.starts_with("file:") || text == ":memory:") {
        return Ok(());
    }
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(Error::File)
}

/// Looks through the whole database, without comparing each index with its table.
pub fn check(connection: &Connection) -> Result<(), Error> {
    let words: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if words == "ok" { Ok(()) } else { Err(Error::Damaged(words)) }
}

/// A note; 0 if there is none.
pub fn meta(connection: &Connection, key: &str) -> Result<i64, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Writes a note down.
pub fn set_meta(connection: &Connection, key: &str, value: i64) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    statement.execute(params![key, value]).map(drop)
}

/// Whether a constraint was in the way.
pub fn is_refusal(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Whether another process was in the way. Then nothing has been begun: we ask for the right to write before anything else.
pub fn is_busy(fault: &Error) -> bool {
    let Error::Sqlite(fault) = fault else { return false };
    fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether the disk was full. Then nothing of the transaction is there, and it can be tried again when there is room.
pub fn is_full(fault: &Error) -> bool {
    let Error::Sqlite(fault) = fault else { return false };
    fault.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Which file stands at `path`; `None` if there is none.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// A number as SQLite has them.
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
