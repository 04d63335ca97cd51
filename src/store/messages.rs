//! The chat's table: what is kept of a message, and how messages are read again. [`Reader`] is for whoever only reads.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::clock::Wall;
use crate::store::database::{Error, Verdict, connect, count, meta, set_meta};
use crate::store::entry::Saying as Entry;
use crate::store::history::Message;
use crate::store::search;

/// The table. Notes: `last_message` is the highest id ever given, and messages up to `trimmed_message` were trimmed.
pub const TABLES: &str = "
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY NOT NULL,
        room TEXT NOT NULL CHECK (room <> ''),
        ts INTEGER NOT NULL,
        user TEXT,
        name TEXT NOT NULL CHECK (name <> ''),
        text TEXT NOT NULL CHECK (text <> '')
    ) STRICT;
    CREATE INDEX messages_by_room ON messages (room);
    INSERT INTO meta VALUES ('last_message', 0), ('trimmed_message', 0);
";

/// Up to which id something of a room was trimmed, and `trimmed_anywhere`: up to which it may have been in any other, for of what
/// was trimmed before this table, or so many rooms ago, only that is known.
pub const TRIMMED: &str = "
    CREATE TABLE trimmed (
        room TEXT PRIMARY KEY NOT NULL,
        upto INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO meta SELECT 'trimmed_anywhere', value FROM meta WHERE key = 'trimmed_message';
";

/// Of so many rooms it is remembered by itself what was trimmed.
const TRIMMED_ROOMS_MAX: usize = 1024;

/// The ids that a batch gives: the last one is read with its first message, and written once at its end.
#[derive(Debug, Default)]
pub struct Ids {
    last: Option<i64>,
}

impl Ids {
    /// Writes down what was given, before the batch's transaction is committed.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn settle(self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        self.last.map_or(Ok(()), |last| set_meta(transaction, "last_message", last))
    }
}

/// Keeps an entry, inside the batch's transaction. `ids` is the batch's own: between two batches another process may have
/// written.
///
/// # Errors
/// If the database refuses; a message that was refused has taken no id.
pub fn keep(transaction: &Transaction<'_>, entry: &Entry, ids: &mut Ids) -> Result<Verdict, rusqlite::Error> {
    match entry {
        Entry::Said { room, ts, user, name, text } => {
            let last = match ids.last {
                Some(last) => last,
                None => meta(transaction, "last_message")?,
            };
            let id = last + 1;
            let sql = "INSERT INTO messages (id, room, ts, user, name, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let ts = i64::try_from(ts.as_millis()).unwrap_or(i64::MAX);
            transaction.prepare_cached(sql)?.execute(params![id, room, ts, user, name, text])?;
            ids.last = Some(id);
            Ok(Verdict::Kept(id))
        }
        Entry::Erase { id } => {
            let erased = transaction.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
            search::forget(transaction, *id)?;
            Ok(if erased == 1 { Verdict::Kept(*id) } else { Verdict::Refused })
        }
    }
}

/// The newest `limit` messages of all rooms, oldest first.
pub fn recent(connection: &Connection, limit: usize) -> Result<Vec<Message>, Error> {
    let sql = "SELECT id, room, ts, user, name, text FROM messages ORDER BY id DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut messages = statement.query_map([count(limit)], message)?.collect::<Result<Vec<_>, _>>()?;
    messages.reverse();
    Ok(messages)
}

/// The highest id ever given to a message; 0 if there was none.
pub fn last_id(connection: &Connection) -> Result<i64, Error> {
    Ok(meta(connection, "last_message")?)
}

/// The rooms that hold messages, and how many each.
pub fn rooms(connection: &Connection) -> Result<Vec<(String, i64)>, Error> {
    let sql = "SELECT room, count(*) FROM messages GROUP BY room ORDER BY room";
    let mut statement = connection.prepare_cached(sql)?;
    let rooms = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(rooms)
}

/// How far a time may lie ahead and still be believed: a clock that is put right is not off by more, as a rule.
const AHEAD_MS: i64 = 24 * 60 * 60 * 1000;

/// Removes the oldest messages, all but the newest `keep` ids and what was said before `since`; says how many went. No id is
/// given again for that.
///
/// What is too old is what comes before some id. Ids and times grow together only as long as nobody puts the clock right. So what
/// a machine says before it knows the time, and has of 1970, takes nothing with it that was said before, in later years; what is of a
/// time yet to come keeps nothing that was said after it; and if the last message is of such a time, it is the clock that is wrong,
/// and nothing is too old.
pub fn trim(connection: &mut Connection, keep: usize, since: Wall, now: Wall) -> Result<usize, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let [since, now] = [since, now].map(|wall| i64::try_from(wall.as_millis()).unwrap_or(i64::MAX));
    let latest = now.saturating_add(AHEAD_MS);
    let last: Option<i64> =
        transaction.query_row("SELECT ts FROM messages ORDER BY id DESC LIMIT 1", [], |row| row.get(0)).optional()?;
    let fresh: Option<i64> =
        transaction
            .query_row("SELECT min(id) FROM messages WHERE ts BETWEEN ?1 AND ?2", [since, latest], |row| row.get(0))?;
    let too_old: Option<i64> = match last {
        Some(last) if last <= latest => transaction.query_row(
            "SELECT max(id) FROM messages WHERE ts < ?1 AND id < ?2",
            [since, fresh.unwrap_or(i64::MAX)],
            |row| row.get(0),
        )?,
        _ => None,
    };
    let too_many = meta(&transaction, "last_message")?.saturating_sub(count(keep));
    let upto = too_many.max(too_old.unwrap_or(0));
    let of_rooms = "INSERT INTO trimmed SELECT room, max(id) FROM messages WHERE id <= ?1 GROUP BY room
                    ON CONFLICT (room) DO UPDATE SET upto = max(upto, excluded.upto)";
    transaction.execute(of_rooms, [upto])?;
    let gone = transaction.execute("DELETE FROM messages WHERE id <= ?1", [upto])?;
    if gone > 0 {
        search::forget_until(&transaction, upto)?;
        forget_rooms(&transaction, TRIMMED_ROOMS_MAX)?;
    }
    if upto > meta(&transaction, "trimmed_message")? {
        set_meta(&transaction, "trimmed_message", upto)?;
    }
    transaction.commit()?;
    Ok(gone)
}

/// The last id that was removed for being too old or too many; 0 if none was.
pub fn trimmed_until(connection: &Connection) -> Result<i64, Error> {
    Ok(meta(connection, "trimmed_message")?)
}

/// Of all but so many rooms, the latest, it is forgotten what was trimmed in which.
fn forget_rooms(transaction: &Transaction<'_>, most: usize) -> Result<(), rusqlite::Error> {
    let oldest = "SELECT room FROM trimmed ORDER BY upto DESC LIMIT -1 OFFSET ?1";
    let upto: Option<i64> = transaction.query_row(
        &format!("SELECT max(upto) FROM trimmed WHERE room IN ({oldest})"),
        [count(most)],
        |row| row.get(0),
    )?;
    if let Some(upto) = upto {
        transaction.execute(&format!("DELETE FROM trimmed WHERE room IN ({oldest})"), [count(most)])?;
        set_meta(transaction, "trimmed_anywhere", upto.max(meta(transaction, "trimmed_anywhere")?))?;
    }
    Ok(())
}

/// A reader remembers so much of the database; by itself SQLite would eight times as much.
const READER_KIB: i64 = 256;

/// A connection that only reads: for pages older than [`History`](crate::store::history::History) holds.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the database at `path`, which a ledger must have made.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // What it reads is seldom read again, and the system has it anyway; but it stays open.
        connection.pragma_update(None, "cache_size", -READER_KIB)?;
        Ok(Reader { connection })
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
        let is_first = since.is_some();
        let (since, before) = (since.unwrap_or(0), before.unwrap_or(i64::MAX));
        let asked = params![search::query(words), room, since, before, count(limit)];
        // One look at all of it: a message that enters the index meanwhile is neither missed nor found twice. It is rolled back.
        let transaction = self.connection.unchecked_transaction()?;
        let mut messages = Vec::new();
        for sql in search::ask(&transaction, is_first)? {
            let mut statement = transaction.prepare(&sql)?;
            messages.extend(statement.query_map(asked, message)?.collect::<Result<Vec<_>, _>>()?);
        }
        drop(transaction);
        messages.sort_unstable_by_key(|message| message.id);
        if is_first {
            messages.truncate(limit);
        } else {
            messages.drain(..messages.len().saturating_sub(limit));
        }
        Ok(messages)
    }

    /// The highest id ever given.
    pub fn last_id(&self) -> Result<i64, Error> {
        last_id(&self.connection)
    }

    /// Every message from this id on is here, save those that were erased; what came before was trimmed.
    pub fn first_id(&self) -> Result<i64, Error> {
        Ok(meta(&self.connection, "trimmed_message")? + 1)
    }

    /// Up to which id something said in these rooms was trimmed: who has heard less has missed something.
    pub fn trimmed(&self, rooms: &[&str]) -> Result<i64, Error> {
        let mut upto = meta(&self.connection, "trimmed_anywhere")?;
        let mut statement = self.connection.prepare_cached("SELECT upto FROM trimmed WHERE room = ?1")?;
        for room in rooms {
            upto = upto.max(statement.query_row([room], |row| row.get(0)).optional()?.unwrap_or(0));
        }
        Ok(upto)
    }

    fn page(&self, sql: &str, room: &str, id: i64, limit: usize) -> Result<Vec<Message>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let messages = statement.query_map(params![room, id, count(limit)], message)?.collect::<Result<_, _>>()?;
        Ok(messages)
    }
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
