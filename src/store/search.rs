//! Which messages have which words: an index (FTS5) that follows the messages, in transactions of its own.
//!
//! The index holds no text, only words and ids. It may lag behind by a second; what it has not looked at yet is found by a second
//! index, in memory, that lives for one search. What is erased or trimmed leaves it in the same transaction, so that nothing is
//! found that is not there.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// What a word is: as in [`TABLES`].
const TOKENS: &str = "tokenize=\"unicode61 remove_diacritics 2\"";

/// Its tables. `indexed_message`: messages up to this id have been looked at.
pub const TABLES: &str = "
    CREATE VIRTUAL TABLE words USING fts5(
        text, content='', contentless_delete=1, tokenize=\"unicode61 remove_diacritics 2\"
    );
    INSERT INTO meta VALUES ('indexed_message', 0);
";

/// Messages that the index has not looked at yet: of more than so many the newest.
const LATEST_MAX: i64 = 4096;

/// Where the words of those stand for one search.
const LATEST: &str = "temp.latest";

/// The messages with some words (?1) in a room (?2) between two ids (?3, ?4), at most so many (?5) of those that `words` holds: the
/// first, or the newest.
fn select(words: &str, order: &str) -> String {
    let table = words.trim_start_matches("temp.");
    format!(
        "SELECT id, room, ts, user, name, messages.text FROM {words} JOIN messages ON id = {table}.rowid
         WHERE {table} MATCH ?1 AND room = ?2 AND {table}.rowid > ?3 AND {table}.rowid < ?4 ORDER BY {table}.rowid {order} LIMIT ?5"
    )
}

/// What asks for messages with some words, the first or the newest: in the index and, if it lags behind, in what it has not looked
/// at. That is made in the transaction of the search, and gone with it.
pub fn ask(connection: &Connection, is_first: bool) -> Result<Vec<String>, rusqlite::Error> {
    let order = if is_first { "ASC" } else { "DESC" };
    let mut asked = vec![select("words", order)];
    let behind = "SELECT looked.value, last.value FROM meta looked, meta last
                  WHERE looked.key = 'indexed_message' AND last.key = 'last_message' AND looked.value < last.value";
    let behind: Option<(i64, i64)> =
        connection.prepare_cached(behind)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((looked, last)) = behind {
        let sql = format!("CREATE VIRTUAL TABLE {LATEST} USING fts5(text, content='', {TOKENS})");
        connection.execute_batch(&sql)?;
        let sql = format!("INSERT INTO {LATEST} (rowid, text) SELECT id, text FROM main.messages WHERE id > ?1");
        connection.execute(&sql, [looked.max(last.saturating_sub(LATEST_MAX))])?;
        asked.push(select(LATEST, order));
    }
    Ok(asked)
}

/// What people write as a query of the index: all of the words. A star at a word's end stands for any ending; all else that
/// would mean something to the index means nothing here.
pub fn query(text: &str) -> String {
    let words = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (word, star) = match word.strip_suffix('*') {
                Some(word) => (word, " *"),
                None => (word, ""),
            };
            format!("\"{}\"{star}", word.replace('"', "\"\""))
        });
    let words = words.collect::<Vec<_>>().join(" ");
    // Nothing at all would be a mistake to the index; a word without letters is found nowhere.
    if words.is_empty() { "\"\"".to_owned() } else { words }
}

/// Looks at up to `most` messages that are not in the index yet, in a transaction that nobody waits for; says whether there
/// are more.
pub fn follow(connection: &mut Connection, most: usize) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = |key: &str| transaction.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    let (from, last): (i64, i64) = (value("indexed_message")?, value("last_message")?);
    if from >= last {
        return Ok(false);
    }
    let to = from.saturating_add(i64::try_from(most).unwrap_or(i64::MAX)).min(last);
    let sql = "INSERT INTO words (rowid, text) SELECT id, text FROM messages WHERE id > ?1 AND id <= ?2";
    transaction.prepare_cached(sql)?.execute([from, to])?;
    transaction.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'indexed_message'")?.execute([to])?;
    transaction.commit()?;
    Ok(to < last)
}

/// One message leaves the index.
pub fn forget(connection: &Connection, id: i64) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute([id]).map(drop)
}

/// All messages up to this id leave the index, and are not looked at any more.
pub fn forget_until(connection: &Connection, id: i64) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("DELETE FROM words WHERE rowid <= ?1")?.execute([id])?;
    let sql = "UPDATE meta SET value = max(value, ?1) WHERE key = 'indexed_message'";
    connection.prepare_cached(sql)?.execute([id]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_words_and_nothing_else() {
        for (text, expected) in [
            ("hello", "\"hello\""),
            ("  two words ", "\"two\" \"words\""),
            ("a AND b OR NOT c", "\"a\" \"AND\" \"b\" \"OR\" \"NOT\" \"c\""),
            ("say \"it\"", "\"say\" \"\"\"it\"\"\""),
            ("text:x ^y -z (w)", "\"text:x\" \"^y\" \"-z\" \"(w)\""),
            ("hel*", "\"hel\" *"),
            ("*", "\"\" *"),
            ("a\0b", "\"a\" \"b\""),
            ("", "\"\""),
        ] {
            assert_eq!(query(text), expected);
        }
    }
}
