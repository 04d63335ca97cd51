//! [`Ledger`]: what must not be lost, in an SQLite database (WAL). It takes values and gives verdicts; a whole batch is
//! one transaction, so that one sync keeps many entries.
//!
//! What an entry says, and how it is written, is the affair of the part it belongs to: `messages`, `accounts`. Here are the
//! connection, the steps from an empty database to today's, the batch and its verdicts.
//!
//! Invariants: a verdict [`Verdict::Kept`] is given only after the commit. Ids are given inside the transaction, one above
//! the last kept, so a batch that was lost leaves no gap. Once a batch was lost nothing is written any more: after a failed
//! sync nobody knows what the disk holds, and only a fresh start reads it anew.
//!
//! There is one `Ledger` a database, used by one thread. Who only reads has a connection of its own.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::clock::Wall;
use crate::store::database::{
    self, Error, Verdict, check, connect, count, identity, is_busy, is_full, is_refusal, make_private, meta, set_meta,
};
use crate::store::entry::Entry;
use crate::store::history::Message;
use crate::store::owners::{self, Owners};
use crate::store::users::Users;
use crate::store::{accounts, messages, search};

/// The write-ahead log is cut back to this after it has grown in a burst.
const JOURNAL_BYTES_MAX: i64 = 16 << 20;

/// The steps from an empty database to today's, in order, each a list of what its parts need; `user_version` counts those
/// taken. A step that was ever released is never changed: what comes later is a step of its own.
const MIGRATIONS: &[&[&str]] = &[
    &[database::TABLES, messages::TABLES],
    &[accounts::TABLES],
    &[search::TABLES],
    &[owners::TABLES],
    &[messages::TRIMMED],
];

/// When a commit is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before its verdicts are given.
    Full,
    /// Some time later: a loss of power may take the last entries, but never the database.
    Off,
}

impl Sync {
    /// SQLite's word for it.
    fn word(self) -> &'static str {
        match self {
            Sync::Full => "FULL",
            // Not OFF: the log is still synced before it is written back, so the database stays whole.
            Sync::Off => "NORMAL",
        }
    }
}

/// Writes an entry, inside the batch's transaction.
fn write(transaction: &Transaction<'_>, entry: &Entry, ids: &mut messages::Ids) -> Result<Verdict, rusqlite::Error> {
    match entry {
        Entry::Chat(entry) => messages::keep(transaction, entry, ids),
        Entry::Accounts(change) => accounts::keep(transaction, change),
        Entry::Owners(changes) => owners::keep(transaction, changes),
    }
}

/// The one connection that writes.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    /// Where its file is, and which that was when it was opened; not for one in memory.
    file: Option<(PathBuf, (u64, u64))>,
    sync: Sync,
    shut_by: Option<Error>,
    /// Whether somebody else's it is, who says how it was closed.
    is_guest: bool,
}

impl Ledger {
    /// Opens the database at `path`, or makes it; brings its tables up to date, and checks it after an unclean stop.
    /// `file:/name?vfs=memdb` is one in memory that all connections of this process share by its name.
    pub fn open(path: &Path, sync: Sync) -> Result<Ledger, Error> {
        make_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags)?;
        let _: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", sync.word())?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let _: i64 =
            connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES_MAX, |row| row.get(0))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > count(MIGRATIONS.len()) {
            return Err(Error::TooNew { found: version, known: count(MIGRATIONS.len()) });
        }
        if version > 0 && meta(&connection, "clean")? == 0 {
            check(&connection)?;
        }
        migrate(&mut connection, version)?;
        set_meta(&connection, "clean", 0)?;
        Ok(Ledger { connection, file: file_at(path), sync, shut_by: None, is_guest: false })
    }

    /// Opens the database for a few entries of somebody who is no server. One may be at work on it: both keep out of each
    /// other's way by SQLite's own locks. Whether the last stop was an orderly one is not its affair. Who is alone (`is_alone`:
    /// no server runs) may make the database, or bring it up to date.
    pub fn join(path: &Path, is_alone: bool) -> Result<Ledger, Error> {
        make_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags)?;
        let _: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", Sync::Full.word())?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version.cmp(&count(MIGRATIONS.len())) {
            Ordering::Greater => return Err(Error::TooNew { found: version, known: count(MIGRATIONS.len()) }),
            Ordering::Less if !is_alone => {
                return Err(Error::TooOld { found: version, known: count(MIGRATIONS.len()) });
            }
            _ => migrate(&mut connection, version)?,
        }
        Ok(Ledger { connection, file: file_at(path), sync: Sync::Full, shut_by: None, is_guest: true })
    }

    /// Keeps a batch: one transaction, then one verdict an entry, in order. A refusal undoes its own entry only; if the
    /// transaction fails all are lost, and all that follow; if another process does not let it begin, or there is no room, only these
    /// are.
    pub fn keep(&mut self, batch: Vec<Entry>) -> Vec<Verdict> {
        let count = batch.len();
        // What is written to a file that nobody can open any more is not kept.
        if self.shut_by.is_none() && self.file.as_ref().is_some_and(|(path, file)| identity(path) != Some(*file)) {
            self.shut_by = Some(Error::Gone);
        }
        if self.shut_by.is_none() {
            match self.write(&batch) {
                Ok(verdicts) => return verdicts,
                Err(fault) if is_busy(&fault) => {
                    log::warn!("the ledger is held by another process, and {count} entries were not kept");
                    return vec![Verdict::Busy; count];
                }
                // Unlike with a sync that fails, it is known what is there: nothing of this.
                Err(fault) if is_full(&fault) && self.connection.is_autocommit() => {
                    log::error!("the ledger's disk is full, and {count} entries were not kept");
                    return vec![Verdict::Busy; count];
                }
                Err(fault) => self.shut_by = Some(fault),
            }
        }
        vec![Verdict::Lost; count]
    }

    /// From now on another server works on it: how it is closed is that one's affair, as if this had been closed in good order.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub fn pass_on(&mut self) -> Result<(), Error> {
        if self.shut_by.is_none() && !std::mem::replace(&mut self.is_guest, true) {
            set_meta(&self.connection, "clean", 1)?;
        }
        Ok(())
    }

    /// Why nothing is written any more, if that is so.
    pub fn shut_by(&self) -> Option<&Error> {
        self.shut_by.as_ref()
    }

    /// The newest `limit` messages of all rooms, oldest first.
    pub fn recent(&self, limit: usize) -> Result<Vec<Message>, Error> {
        messages::recent(&self.connection, limit)
    }

    /// The highest id ever given to a message; 0 if there was none.
    pub fn last_id(&self) -> Result<i64, Error> {
        messages::last_id(&self.connection)
    }

    /// The rooms that hold messages, and how many each.
    pub fn rooms(&self) -> Result<Vec<(String, i64)>, Error> {
        messages::rooms(&self.connection)
    }

    /// Removes the oldest messages, all but the newest `keep` ids and what was said before `since`; says how many went.
    pub fn trim(&mut self, keep: usize, since: Wall, now: Wall) -> Result<usize, Error> {
        messages::trim(&mut self.connection, keep, since, now)
    }

    /// The last of the messages that were removed for being too old or too many; 0 if none was.
    pub fn trimmed_until(&self) -> Result<i64, Error> {
        messages::trimmed_until(&self.connection)
    }

    /// Everybody there is.
    pub fn users(&self) -> Result<Users, Error> {
        accounts::load(&self.connection)
    }

    /// Who made what lies in the shared area.
    pub fn owners(&self) -> Result<Owners, Error> {
        owners::load(&self.connection)
    }

    /// Changes whenever another process has written, and only then.
    pub fn version(&self) -> Result<i64, Error> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// Lets the index of words follow by up to `most` messages; says whether it has more to do. Nobody waits for it, so it is
    /// not synced: what a loss of power takes of it is done again.
    pub fn index(&mut self, most: usize) -> Result<bool, Error> {
        if self.shut_by.is_some() {
            return Ok(false);
        }
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let followed = search::follow(&mut self.connection, most);
        self.connection.pragma_update(None, "synchronous", self.sync.word())?;
        Ok(followed?)
    }

    /// Lets go of the memory that SQLite keeps for what may be read again: up to 2 MiB of pages.
    pub fn let_go(&self) -> Result<(), Error> {
        Ok(self.connection.execute_batch("PRAGMA shrink_memory")?)
    }

    fn write(&mut self, batch: &[Entry]) -> Result<Vec<Verdict>, Error> {
        // What may wait for its sync is the chat; an account is on the disk before anyone hears of it.
        let must_sync = self.sync == Sync::Off && batch.iter().any(|entry| matches!(entry, Entry::Accounts(_)));
        if !must_sync {
            return self.write_batch(batch);
        }
        self.connection.pragma_update(None, "synchronous", Sync::Full.word())?;
        let verdicts = self.write_batch(batch);
        self.connection.pragma_update(None, "synchronous", self.sync.word())?;
        verdicts
    }

    fn write_batch(&mut self, batch: &[Entry]) -> Result<Vec<Verdict>, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut verdicts = Vec::with_capacity(batch.len());
        let mut ids = messages::Ids::default();
        for entry in batch {
            let outcome = write(&transaction, entry, &mut ids);
            verdicts.push(match outcome {
                Ok(verdict) => verdict,
                // A graver fault rolls the whole transaction back by itself, and what follows would be kept one by one.
                Err(fault) if is_refusal(&fault) && !transaction.is_autocommit() => Verdict::Refused,
                Err(fault) => return Err(fault.into()),
            });
        }
        ids.settle(&transaction)?;
        transaction.commit()?;
        Ok(verdicts)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // A ledger that lost something is to be checked at the next start.
        if self.shut_by.is_none() && !self.is_guest {
            let _ = self.connection.execute_batch("PRAGMA optimize");
            let _ = set_meta(&self.connection, "clean", 1);
        }
    }
}

/// The file at `path`, if it is one.
fn file_at(path: &Path) -> Option<(PathBuf, (u64, u64))> {
    identity(path).map(|file| (path.to_owned(), file))
}

fn migrate(connection: &mut Connection, version: i64) -> Result<(), rusqlite::Error> {
    let steps = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0));
    if steps.len() == 0 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for part in steps.copied().flatten() {
        transaction.execute_batch(part)?;
    }
    transaction.pragma_update(None, "user_version", count(MIGRATIONS.len()))?;
    transaction.commit()
}

#[cfg(test)]
mod tests;
