//! [`Ledger`]: what must not be lost, in an SQLite database (WAL). It takes values and gives verdicts; a whole batch is
//! one transaction, so that one sync keeps many messages.
//!
//! Invariants: a verdict [`Verdict::Kept`] is given only after the commit. Ids are given inside the transaction, one above
//! the last kept, so a batch that was lost leaves no gap; the last one is written down beside the messages, so none is used
//! twice even when all messages have gone. Once a batch was lost nothing is written any more: after a failed sync nobody
//! knows what the disk holds, and only a fresh start reads it anew.
//!
//! There is one `Ledger` a database, used by one thread. Who only reads has a [`Reader`], a connection of its own.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use crate::clock::Wall;
use crate::store::history::Message;
use crate::store::search;

/// How long a connection waits for another's lock.
const BUSY: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this after it has grown in a burst.
const JOURNAL_BYTES_MAX: i64 = 16 << 20;
/// More than there are different statements here.
const STATEMENTS_MAX: usize = 32;

/// The steps from an empty database to today's, in order; `user_version` counts those taken. A step that was ever
/// released is never changed.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- clean: the last stop was an orderly one. last_message: the highest id ever given.
    -- trimmed_message: messages up to this id were trimmed.
    INSERT INTO meta VALUES ('clean', 1), ('last_message', 0), ('trimmed_message', 0);

    CREATE TABLE messages (
        id INTEGER PRIMARY KEY NOT NULL,
        room TEXT NOT NULL CHECK (room <> ''),
        ts INTEGER NOT NULL,
        user TEXT,
        name TEXT NOT NULL CHECK (name <> ''),
        text TEXT NOT NULL CHECK (text <> '')
    ) STRICT;
    CREATE INDEX messages_by_room ON messages (room);
",
    search::TABLES,
];

/// When a commit is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before its verdicts are given.
    Full,
    /// Some time later: a loss of power may take the last messages, but never the database.
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

/// Something to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// A chat message; its verdict carries its id.
    Message {
        /// The room it is said in.
        room: String,
        /// When it is said.
        ts: Wall,
        /// The account that says it; `None` for a guest.
        user: Option<String>,
        /// The name it is said under.
        name: String,
        /// What is said.
        text: String,
    },
    /// A chat message is erased; refused if there is none of that id.
    Erase {
        /// Whose id it is.
        id: i64,
    },
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, under this id.
    Kept(i64),
    /// A constraint forbids it; nothing of it is kept.
    Refused,
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
    /// The check after an unclean stop found the database damaged; SQLite's words.
    Damaged(String),
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
            Error::Damaged(words) => {
                write!(f, "the database is damaged ({words}); restore a backup, or try sqlite3's .recover")
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
            Error::Damaged(_) | Error::TooNew { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(fault: rusqlite::Error) -> Error {
        Error::Sqlite(fault)
    }
}

/// The one connection that writes.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    sync: Sync,
    shut_by: Option<Error>,
}

/// Sees to it that there is a file at `path` that can be written, only by its owner; does not look into it.
pub fn touch(path: &Path) -> std::io::Result<()> {
    make_private(path).map_err(|error| match error {
        Error::File(error) => error,
        other => std::io::Error::other(other),
    })
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
        Ok(Ledger { connection, sync, shut_by: None })
    }

    /// Keeps a batch: one transaction, then one verdict an entry, in order. A refusal undoes its own entry only; if the
    /// transaction fails all are lost, and all that follow.
    pub fn keep(&mut self, batch: Vec<Entry>) -> Vec<Verdict> {
        let count = batch.len();
        if self.shut_by.is_none() {
            match self.write(&batch) {
                Ok(verdicts) => return verdicts,
                Err(fault) => self.shut_by = Some(fault),
            }
        }
        vec![Verdict::Lost; count]
    }

    /// Why nothing is written any more, if that is so.
    pub fn shut_by(&self) -> Option<&Error> {
        self.shut_by.as_ref()
    }

    /// The newest `limit` messages of all rooms, oldest first.
    pub fn recent(&self, limit: usize) -> Result<Vec<Message>, Error> {
        let sql = "SELECT id, room, ts, user, name, text FROM messages ORDER BY id DESC LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut messages = statement.query_map([count(limit)], message)?.collect::<Result<Vec<_>, _>>()?;
        messages.reverse();
        Ok(messages)
    }

    /// The highest id ever given to a message; 0 if there was none.
    pub fn last_id(&self) -> Result<i64, Error> {
        Ok(meta(&self.connection, "last_message")?)
    }

    /// The rooms that hold messages, and how many each.
    pub fn rooms(&self) -> Result<Vec<(String, i64)>, Error> {
        let sql = "SELECT room, count(*) FROM messages GROUP BY room ORDER BY room";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rooms = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(rooms)
    }

    /// Removes the oldest messages, all but the newest `keep` ids and what was said before `since`; says how many went. No id is given again for that.
    pub fn trim(&mut self, keep: usize, since: Wall) -> Result<usize, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        // Ids and times grow together, so what is too old is what comes before some id.
        let too_old: Option<i64> =
            transaction.query_row("SELECT max(id) FROM messages WHERE ts < ?1", [since], |row| row.get(0))?;
        let too_many = meta(&transaction, "last_message")?.saturating_sub(count(keep));
        let upto = too_many.max(too_old.unwrap_or(0));
        let gone = transaction.execute("DELETE FROM messages WHERE id <= ?1", [upto])?;
        if gone > 0 {
            search::forget_until(&transaction, upto)?;
        }
        if upto > meta(&transaction, "trimmed_message")? {
            set_meta(&transaction, "trimmed_message", upto)?;
        }
        transaction.commit()?;
        Ok(gone)
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

    fn write(&mut self, batch: &[Entry]) -> Result<Vec<Verdict>, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read anew each time: another process may have written since.
        let mut last = meta(&transaction, "last_message")?;
        let mut verdicts = Vec::with_capacity(batch.len());
        for entry in batch {
            let outcome = match entry {
                Entry::Message { room, ts, user, name, text } => {
                    let sql = "INSERT INTO messages (id, room, ts, user, name, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                    let ts = i64::try_from(ts.as_millis()).unwrap_or(i64::MAX);
                    let added = transaction.prepare_cached(sql)?.execute(params![last + 1, room, ts, user, name, text]);
                    added.map(|_| {
                        last += 1;
                        Verdict::Kept(last)
                    })
                }
                Entry::Erase { id } => {
                    let erased = transaction.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id]);
                    search::forget(&transaction, *id)?;
                    erased.map(|count| if count == 1 { Verdict::Kept(*id) } else { Verdict::Refused })
                }
            };
            verdicts.push(match outcome {
                Ok(verdict) => verdict,
                // A graver fault rolls the whole transaction back by itself, and what follows would be kept one by one.
                Err(fault) if is_refusal(&fault) && !transaction.is_autocommit() => Verdict::Refused,
                Err(fault) => return Err(fault.into()),
            });
        }
        set_meta(&transaction, "last_message", last)?;
        transaction.commit()?;
        Ok(verdicts)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // A ledger that lost something is to be checked at the next start.
        if self.shut_by.is_none() {
            let _ = self.connection.execute_batch("PRAGMA optimize");
            let _ = set_meta(&self.connection, "clean", 1);
        }
    }
}

/// A connection that only reads: for pages older than [`History`](crate::store::history::History) holds.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the database at `path`, which a [`Ledger`] must have made.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        Ok(Reader { connection: connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)? })
    }

    /// The first `limit` messages of `room` after `id`, oldest first.
    pub fn since(&self, room: &str, id: i64, limit: usize) -> Result<Vec<Message>, Error> {
        let sql = "SELECT id, room, ts, user, name, text FROM messages
                   WHERE room = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        self.page(sql, room, id, limit)
    }

    /// The last `limit` messages of `room` before `id`, oldest first.
    pub fn before(&self, room: &str, id: i64, limit: usize) -> Result<Vec<Message>, Error> {
        let sql = "SELECT id, room, ts, user, name, text FROM messages
                   WHERE room = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        let mut messages = self.page(sql, room, id, limit)?;
        messages.reverse();
        Ok(messages)
    }

    /// The first `limit` messages of these rooms after `id`, oldest first.
    pub fn since_any(&self, rooms: &[&str], id: i64, limit: usize) -> Result<Vec<Message>, Error> {
        let mut found = Vec::new();
        for room in rooms {
            found.append(&mut self.since(room, id, limit)?);
        }
        found.sort_unstable_by_key(|message| message.id);
        found.truncate(limit);
        Ok(found)
    }

    /// The message of that id.
    pub fn get(&self, id: i64) -> Result<Option<Message>, Error> {
        let sql = "SELECT id, room, ts, user, name, text FROM messages WHERE id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([id], message).optional()?)
    }

    /// The messages of `room` with all of these words, oldest first: the first after `since` if there is one, else the newest.
    pub fn search(
        &self,
        room: &str,
        words: &str,
        since: Option<i64>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Message>, Error> {
        let sql = if since.is_some() { search::FIRST } else { search::NEWEST };
        let (since_id, before) = (since.unwrap_or(0), before.unwrap_or(i64::MAX));
        let mut statement = self.connection.prepare_cached(sql)?;
        let asked = params![search::query(words), room, since_id, before, count(limit)];
        let mut messages = statement.query_map(asked, message)?.collect::<Result<Vec<_>, _>>()?;
        messages.sort_unstable_by_key(|message| message.id);
        Ok(messages)
    }

    /// Every message from this id on is here, save those that were erased; what came before was trimmed.
    pub fn first_id(&self) -> Result<i64, Error> {
        Ok(meta(&self.connection, "trimmed_message")? + 1)
    }

    fn page(&self, sql: &str, room: &str, id: i64, limit: usize) -> Result<Vec<Message>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let messages = statement.query_map(params![room, id, count(limit)], message)?.collect::<Result<_, _>>()?;
        Ok(messages)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    // A connection is lent to one thread at a time, so SQLite need not lock it.
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Makes the file before SQLite does, readable by nobody else; its log and index files take after it.
fn make_private(path: &Path) -> Result<(), Error> {
    if path.to_str().is_some_and(|text| text.starts_with("file:") || text == ":memory:") {
        return Ok(());
    }
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(Error::File)
}

/// Looks through the whole database, without comparing each index with its table.
fn check(connection: &Connection) -> Result<(), Error> {
    let words: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if words == "ok" { Ok(()) } else { Err(Error::Damaged(words)) }
}

fn migrate(connection: &mut Connection, version: i64) -> Result<(), rusqlite::Error> {
    let steps = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0));
    if steps.len() == 0 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", count(MIGRATIONS.len()))?;
    transaction.commit()
}

fn meta(connection: &Connection, key: &str) -> Result<i64, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn set_meta(connection: &Connection, key: &str, value: i64) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
    statement.execute(params![key, value]).map(drop)
}

fn message(row: &Row<'_>) -> Result<Message, rusqlite::Error> {
    let ts: i64 = row.get(2)?;
    Ok(Message {
        id: row.get(0)?,
        room: row.get(1)?,
        ts: Wall::from_millis(u64::try_from(ts).unwrap_or(0)),
        user: row.get(3)?,
        name: row.get(4)?,
        text: row.get(5)?,
    })
}

fn is_refusal(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// A number as SQLite has them.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Kept, Lost, Refused};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    static COUNT: AtomicU32 = AtomicU32::new(0);

    /// A folder of its own for one test, gone with it.
    struct Room(PathBuf);

    impl Room {
        fn new() -> Room {
            let name = format!("hythe-ledger-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let place = std::env::temp_dir().join(name);
            fs::create_dir_all(&place).unwrap();
            Room(place)
        }

        fn path(&self) -> PathBuf {
            self.0.join("hythe.db")
        }

        fn ledger(&self) -> Ledger {
            Ledger::open(&self.path(), Sync::Off).unwrap()
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn said(room: &str, text: &str) -> Entry {
        let (room, text) = (room.to_owned(), text.to_owned());
        Entry::Message { room, ts: Wall::from_millis(1_234), user: Some("ada".into()), name: "Ada".into(), text }
    }

    fn texts(messages: &[Message]) -> Vec<(i64, &str)> {
        messages.iter().map(|message| (message.id, message.text.as_str())).collect()
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_the_ids_go_on() {
        let room = Room::new();
        for (sync, first) in [(Sync::Full, 1), (Sync::Off, 3)] {
            let mut ledger = Ledger::open(&room.path(), sync).unwrap();
            assert_eq!(ledger.last_id().unwrap(), first - 1);
            let verdicts = ledger.keep(vec![said("lobby", "one"), said("den", "two\0\u{1f600}")]);
            assert_eq!(verdicts, [Kept(first), Kept(first + 1)]);
        }
        let ledger = room.ledger();
        let found = ledger.recent(3).unwrap();
        assert_eq!(texts(&found), [(2, "two\0\u{1f600}"), (3, "one"), (4, "two\0\u{1f600}")]);
        let expected = Message {
            id: 3,
            room: "lobby".into(),
            ts: Wall::from_millis(1_234),
            user: Some("ada".into()),
            name: "Ada".into(),
            text: "one".into(),
        };
        assert_eq!(found[1], expected);
        assert_eq!(ledger.rooms().unwrap(), [("den".to_owned(), 2), ("lobby".to_owned(), 2)]);
    }

    #[test]
    fn a_refusal_undoes_its_own_entry_and_takes_no_id() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let batch =
            vec![said("lobby", "one"), said("lobby", ""), said("", "x"), Entry::Erase { id: 9 }, said("lobby", "two")];
        assert_eq!(ledger.keep(batch), [Kept(1), Refused, Refused, Refused, Kept(2)]);
        assert_eq!(texts(&ledger.recent(9).unwrap()), [(1, "one"), (2, "two")]);
        assert_eq!(ledger.keep(vec![]), []);
        assert!(ledger.shut_by().is_none());
    }

    #[test]
    fn words_are_found_once_the_index_has_followed_and_not_what_is_gone() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let texts = ["Grüße from the harbour", "the harbour is wide", "\"quoted\" AND text", "far harbours"];
        ledger.keep(texts.iter().map(|text| said("lobby", text)).collect());
        ledger.keep(vec![said("den", "another harbour")]);
        let reader = Reader::open(&room.path()).unwrap();
        let ids = |words: &str, since, before, limit| {
            let found = reader.search("lobby", words, since, before, limit).unwrap();
            found.iter().map(|message| message.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("harbour", None, None, 9), Vec::<i64>::new());
        assert!(ledger.index(2).unwrap(), "there is more");
        assert_eq!(ids("harbour", None, None, 9), [1, 2]);
        assert!(!ledger.index(9).unwrap() && !ledger.index(9).unwrap());
        assert_eq!(ids("harbour*", None, None, 9), [1, 2, 4]);
        assert_eq!(ids("harbour*", None, None, 2), [2, 4], "the newest");
        assert_eq!(ids("harbour*", Some(0), None, 2), [1, 2], "the first");
        assert_eq!(ids("harbour*", None, Some(4), 9), [1, 2]);
        assert_eq!(ids("GRUSSE", None, None, 9), Vec::<i64>::new());
        assert_eq!(ids("gruße the", None, None, 9), [1], "without marks and in any order");
        assert_eq!(ids("and", None, None, 9), [3], "no word is an operator");
        for odd in ["\"", "*", "!!!", "NEAR(", "a:b", "\0", "^"] {
            ids(odd, None, None, 9);
        }
        ledger.keep(vec![Entry::Erase { id: 2 }, said("lobby", "a harbour again")]);
        assert_eq!(ids("harbour", None, None, 9), [1]);
        ledger.trim(2, Wall::default()).unwrap();
        ledger.index(9).unwrap();
        assert_eq!(ids("harbour", None, None, 9), [6]);
        assert_eq!(reader.get(6).unwrap().unwrap().text, "a harbour again");
        assert_eq!(reader.get(2).unwrap(), None);
        let both = reader.since_any(&["den", "lobby"], 4, 9).unwrap();
        assert_eq!(both.iter().map(|message| message.id).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn a_batch_whose_commit_fails_is_lost_whole_and_shuts_the_ledger_but_leaves_no_gap() {
        let room = Room::new();
        let mut ledger = room.ledger();
        assert_eq!(ledger.keep(vec![said("lobby", "one")]), [Kept(1)]);
        // A promise that is looked at only when the transaction commits.
        let poison = "
            CREATE TABLE wells (id INTEGER PRIMARY KEY);
            CREATE TABLE draughts (well INTEGER REFERENCES wells (id) DEFERRABLE INITIALLY DEFERRED);
            CREATE TEMP TRIGGER poisoned AFTER INSERT ON messages WHEN new.text = 'poison'
                BEGIN INSERT INTO draughts VALUES (7); END;";
        ledger.connection.execute_batch(poison).unwrap();
        let batch = vec![said("lobby", "two"), said("lobby", "poison"), said("lobby", "three")];
        assert_eq!(ledger.keep(batch), [Lost, Lost, Lost]);
        assert!(ledger.shut_by().is_some());
        assert_eq!(ledger.keep(vec![said("lobby", "four")]), [Lost]);
        assert_eq!(texts(&ledger.recent(9).unwrap()), [(1, "one")]);
        drop(ledger);
        assert_eq!(room.ledger().keep(vec![said("lobby", "five")]), [Kept(2)]);
    }

    #[test]
    fn a_fault_that_rolls_the_transaction_back_loses_the_batch_though_it_looks_like_a_refusal() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let poison = "CREATE TEMP TRIGGER poisoned BEFORE INSERT ON messages WHEN new.text = 'poison'
            BEGIN SELECT raise(ROLLBACK, 'poison'); END;";
        ledger.connection.execute_batch(poison).unwrap();
        let batch = vec![said("lobby", "one"), said("lobby", "poison"), said("lobby", "two")];
        assert_eq!(ledger.keep(batch), [Lost, Lost, Lost]);
        assert_eq!(ledger.recent(9).unwrap(), []);
    }

    #[test]
    fn a_full_disk_loses_the_batch_and_keeps_what_was() {
        let room = Room::new();
        let mut ledger = room.ledger();
        assert_eq!(ledger.keep(vec![said("lobby", "one")]), [Kept(1)]);
        let _: i64 = ledger.connection.pragma_update_and_check(None, "max_page_count", 1, |row| row.get(0)).unwrap();
        assert_eq!(ledger.keep(vec![said("lobby", "x"), said("lobby", &"x".repeat(100_000))]), [Lost, Lost]);
        assert_eq!(texts(&ledger.recent(9).unwrap()), [(1, "one")]);
    }

    #[test]
    fn no_id_is_given_twice_though_all_messages_have_gone() {
        let room = Room::new();
        let mut ledger = room.ledger();
        ledger.keep(vec![said("lobby", "one"), said("lobby", "two"), said("lobby", "three")]);
        assert_eq!(ledger.keep(vec![Entry::Erase { id: 3 }, Entry::Erase { id: 3 }]), [Kept(3), Refused]);
        assert_eq!(ledger.trim(0, Wall::default()).unwrap(), 2);
        drop(ledger);
        let mut ledger = room.ledger();
        assert_eq!(ledger.keep(vec![said("lobby", "four")]), [Kept(4)]);
        assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
        assert_eq!(ledger.trim(9, Wall::default()).unwrap(), 0);
        assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
    }

    #[test]
    fn what_is_too_old_is_forgotten_though_there_is_room() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let at = |seconds, text: &str| match said("lobby", text) {
            Entry::Message { room, user, name, text, .. } => {
                Entry::Message { room, ts: Wall::from_seconds(seconds), user, name, text }
            }
            other => other,
        };
        ledger.keep(vec![at(10, "old"), at(20, "older than it looks"), at(30, "new")]);
        assert_eq!(ledger.trim(9, Wall::from_seconds(20)).unwrap(), 1);
        assert_eq!(ledger.trim(9, Wall::from_seconds(21)).unwrap(), 1);
        assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 3);
    }

    #[test]
    fn a_reader_pages_both_ways_and_writes_nothing() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let texts_said = ["a", "b", "c", "d", "e", "f"];
        ledger.keep(texts_said.iter().map(|text| said(if *text < "d" { "lobby" } else { "den" }, text)).collect());
        ledger.keep(vec![said("lobby", "g")]);
        let reader = Reader::open(&room.path()).unwrap();
        let since = |id, limit| reader.since("lobby", id, limit).unwrap();
        let before = |id, limit| reader.before("lobby", id, limit).unwrap();
        assert_eq!(texts(&since(0, 2)), [(1, "a"), (2, "b")]);
        assert_eq!(texts(&since(2, 9)), [(3, "c"), (7, "g")]);
        assert_eq!(texts(&since(7, 9)), []);
        assert_eq!(texts(&before(i64::MAX, 2)), [(3, "c"), (7, "g")]);
        assert_eq!(texts(&before(3, 9)), [(1, "a"), (2, "b")]);
        assert_eq!(texts(&before(1, usize::MAX)), []);
        assert!(set_meta(&reader.connection, "clean", 1).is_err());
        let plan: String = reader
            .connection
            .query_row(
                "EXPLAIN QUERY PLAN SELECT * FROM messages WHERE room = 'x' AND id < 9 ORDER BY id DESC",
                [],
                |row| row.get(3),
            )
            .unwrap();
        assert_eq!(plan, "SEARCH messages USING INDEX messages_by_room (room=? AND rowid<?)");
    }

    #[test]
    fn a_reader_sees_the_state_before_an_open_transaction() {
        let room = Room::new();
        let mut ledger = room.ledger();
        ledger.keep(vec![said("lobby", "one")]);
        let reader = Reader::open(&room.path()).unwrap();
        let transaction = ledger.connection.transaction().unwrap();
        transaction.execute("DELETE FROM messages", []).unwrap();
        assert_eq!(texts(&reader.since("lobby", 0, 9).unwrap()), [(1, "one")]);
    }

    #[test]
    fn a_database_in_memory_is_shared_by_its_name() {
        let name = format!("file:/ledger-{}?vfs=memdb", COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(&name);
        let mut ledger = Ledger::open(path, Sync::Full).unwrap();
        assert_eq!(ledger.keep(vec![said("lobby", "one")]), [Kept(1)]);
        let reader = Reader::open(path).unwrap();
        assert_eq!(texts(&reader.since("lobby", 0, 9).unwrap()), [(1, "one")]);
        assert_eq!(ledger.keep(vec![said("lobby", "two")]), [Kept(2)]);
        assert_eq!(texts(&reader.before("lobby", 9, 9).unwrap()), [(1, "one"), (2, "two")]);
    }

    #[test]
    fn an_unclean_stop_is_followed_by_a_check_and_a_clean_one_is_not() {
        let room = Room::new();
        let is_clean = || meta(&Reader::open(&room.path()).unwrap().connection, "clean").unwrap();
        let mut ledger = room.ledger();
        for n in 0..50 {
            ledger.keep(vec![said("lobby", &format!("{n} {}", "x".repeat(2000)))]);
        }
        assert_eq!(is_clean(), 0);
        drop(ledger);
        assert_eq!(is_clean(), 1);

        let mut bytes = fs::read(room.path()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xa5);
        fs::write(room.path(), &bytes).unwrap();
        assert!(Ledger::open(&room.path(), Sync::Off).is_ok(), "nobody looks after a clean stop");
        set_meta(&connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap(), "clean", 0).unwrap();
        let fault = Ledger::open(&room.path(), Sync::Off).unwrap_err();
        assert!(matches!(fault, Error::Damaged(_)), "{fault}");
    }

    #[test]
    fn tables_of_a_later_version_are_left_alone() {
        let room = Room::new();
        drop(room.ledger());
        let connection = connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let fault = Ledger::open(&room.path(), Sync::Full).unwrap_err();
        assert!(matches!(fault, Error::TooNew { found: 99, .. }), "{fault}");
    }

    #[test]
    fn the_file_is_for_our_eyes_only() {
        let room = Room::new();
        let mut ledger = room.ledger();
        ledger.keep(vec![said("lobby", "one")]);
        for name in ["hythe.db", "hythe.db-wal"] {
            let mode = fs::metadata(room.0.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let fault = Ledger::open(&room.0.join("nowhere/hythe.db"), Sync::Full).unwrap_err();
        assert!(matches!(fault, Error::File(_)), "{fault}");
    }

    #[test]
    fn ledgers_and_readers_travel_to_helpers() {
        fn travels<T: Send>() {}
        travels::<Ledger>();
        travels::<Reader>();
    }

    #[test]
    fn the_bundled_sqlite_has_the_fix_of_the_wal_reset_bug() {
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
