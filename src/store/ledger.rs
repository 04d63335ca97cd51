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
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::clock::Wall;
use crate::store::database::{
    self, Error, Verdict, check, connect, count, is_busy, is_refusal, make_private, meta, set_meta,
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
        Ok(Ledger { connection, sync, shut_by: None, is_guest: false })
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
        Ok(Ledger { connection, sync: Sync::Full, shut_by: None, is_guest: true })
    }

    /// Keeps a batch: one transaction, then one verdict an entry, in order. A refusal undoes its own entry only; if the
    /// transaction fails all are lost, and all that follow; if another process does not let it begin, only these are.
    pub fn keep(&mut self, batch: Vec<Entry>) -> Vec<Verdict> {
        let count = batch.len();
        if self.shut_by.is_none() {
            match self.write(&batch) {
                Ok(verdicts) => return verdicts,
                Err(fault) if is_busy(&fault) => {
                    log::warn!("the ledger is held by another process, and {count} entries were not kept");
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
    pub fn trim(&mut self, keep: usize, since: Wall) -> Result<usize, Error> {
        messages::trim(&mut self.connection, keep, since)
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
mod tests {
    use super::*;
    use crate::store::entry::Saying;
    use crate::store::messages::Reader;
    use Verdict::{Busy, Kept, Lost, Refused};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static COUNT: AtomicU32 = AtomicU32::new(0);

    /// A folder of its own for one test, gone with it.
    struct Room(PathBuf);

    impl Room {
        fn new() -> Room {
            let name = format!("hythe-ledger-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
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
        Entry::Chat(Saying::Said {
            room,
            ts: Wall::from_millis(1_234),
            user: Some("ada".into()),
            name: "Ada".into(),
            text,
        })
    }

    fn erase(id: i64) -> Entry {
        Entry::Chat(Saying::Erase { id })
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
        let batch = vec![said("lobby", "one"), said("lobby", ""), said("", "x"), erase(9), said("lobby", "two")];
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
        ledger.keep(vec![erase(2), said("lobby", "a harbour again")]);
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
    fn a_batch_that_another_process_keeps_out_is_not_kept_and_the_next_is() {
        let room = Room::new();
        for sync in [Sync::Off, Sync::Full] {
            let mut ledger = Ledger::open(&room.path(), sync).unwrap();
            ledger.connection.busy_timeout(std::time::Duration::from_millis(10)).unwrap();
            let before = ledger.last_id().unwrap();
            let other = Connection::open(room.path()).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            assert_eq!(ledger.keep(vec![said("lobby", "one"), said("lobby", "two")]), [Busy, Busy]);
            assert!(ledger.shut_by().is_none());
            other.execute_batch("ROLLBACK").unwrap();
            assert_eq!(ledger.keep(vec![said("lobby", "three")]), [Kept(before + 1)]);
        }
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
        assert_eq!(ledger.keep(vec![erase(3), erase(3)]), [Kept(3), Refused]);
        assert_eq!(ledger.trim(0, Wall::default()).unwrap(), 2);
        drop(ledger);
        let mut ledger = room.ledger();
        assert_eq!(ledger.keep(vec![said("lobby", "four")]), [Kept(4)]);
        assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
        assert_eq!(ledger.trim(9, Wall::default()).unwrap(), 0);
        assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
    }

    #[test]
    fn what_was_trimmed_is_known_of_each_room_and_of_all_where_that_is_not_known() {
        let room = Room::new();
        let mut ledger = room.ledger();
        ledger.keep(vec![said("lobby", "one"), said("den", "two"), said("lobby", "three"), said("hall", "four")]);
        assert_eq!(ledger.trim(2, Wall::default()).unwrap(), 2);
        let reader = Reader::open(&room.path()).unwrap();
        let trimmed = |rooms: &[&str]| reader.trimmed(rooms).unwrap();
        assert_eq!([trimmed(&["lobby"]), trimmed(&["den"]), trimmed(&["hall"]), trimmed(&["attic"])], [1, 2, 0, 0]);
        assert_eq!(trimmed(&["hall", "lobby", "den"]), 2);
        assert_eq!(ledger.trim(1, Wall::default()).unwrap(), 1);
        assert_eq!([trimmed(&["lobby"]), trimmed(&["den"]), trimmed(&["hall"])], [3, 2, 0]);
        // As many rooms as there may be names must not be remembered for ever.
        for number in 0..1100 {
            ledger.keep(vec![said(&format!("r{number}"), "x")]);
        }
        ledger.trim(0, Wall::default()).unwrap();
        let rows: i64 = ledger.connection.query_row("SELECT count(*) FROM trimmed", [], |row| row.get(0)).unwrap();
        assert_eq!((rows, trimmed(&["r1099"])), (1024, 1104));
        assert!((3..100).contains(&trimmed(&["attic"])), "of whom nothing is known any more, it may have been");
        drop(reader);
        drop(ledger);
        // A database of before this was known.
        let old = Connection::open(room.path()).unwrap();
        old.execute_batch(
            "DROP TABLE trimmed; DELETE FROM meta WHERE key = 'trimmed_anywhere'; PRAGMA user_version = 4;",
        )
        .unwrap();
        drop(old);
        drop(room.ledger());
        assert_eq!(Reader::open(&room.path()).unwrap().trimmed(&["attic"]).unwrap(), 1104);
    }

    #[test]
    fn what_is_too_old_is_forgotten_though_there_is_room() {
        let room = Room::new();
        let mut ledger = room.ledger();
        let at = |seconds, text: &str| match said("lobby", text) {
            Entry::Chat(Saying::Said { room, user, name, text, .. }) => {
                Entry::Chat(Saying::Said { room, ts: Wall::from_seconds(seconds), user, name, text })
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
        let connection = connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert!(set_meta(&connection, "clean", 1).is_err());
        let plan: String = connection
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
        let name = format!("file:/ledger-{}?vfs=memdb", COUNT.fetch_add(1, Relaxed));
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
        let is_clean = || {
            let connection = connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            meta(&connection, "clean").unwrap()
        };
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
    fn a_guest_writes_beside_the_server_and_says_nothing_of_how_it_was_closed() {
        let room = Room::new();
        let is_clean = || meta(&connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap(), "clean").unwrap();
        let mut server = room.ledger();
        server.keep(vec![said("lobby", "one")]);
        let version = server.version().unwrap();
        assert_eq!(Ledger::join(&room.path(), false).unwrap().keep(vec![said("den", "two")]), [Kept(2)]);
        assert_ne!(server.version().unwrap(), version, "that is how it notices");
        assert_eq!((server.keep(vec![said("lobby", "three")]), is_clean()), (vec![Kept(3)], 0));
        drop(server);
        drop(Ledger::join(&room.path(), true).unwrap());
        assert_eq!(is_clean(), 1);
    }

    #[test]
    fn a_guest_makes_the_tables_only_where_no_server_is_about_to() {
        let room = Room::new();
        let fault = Ledger::join(&room.path(), false).unwrap_err();
        assert!(matches!(fault, Error::TooOld { found: 0, .. }), "{fault}");
        drop(Ledger::join(&room.path(), true).unwrap());
        assert_eq!(Ledger::join(&room.path(), false).unwrap().last_id().unwrap(), 0);
    }

    #[test]
    fn tables_of_a_later_version_are_left_alone() {
        let room = Room::new();
        drop(room.ledger());
        let connection = connect(&room.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        for opened in [Ledger::open(&room.path(), Sync::Full), Ledger::join(&room.path(), true)] {
            let fault = opened.unwrap_err();
            assert!(matches!(fault, Error::TooNew { found: 99, .. }), "{fault}");
        }
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
