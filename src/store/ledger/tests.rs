//! The ledger under test, over real files.

use super::*;
use crate::store::entry::Saying;
use crate::store::messages::Reader;
use Verdict::{Busy, Kept, Lost, Refused};
use std::fs;
use std::os::unix::fs::PermissionsExt;
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
    said_at(room, Wall::from_millis(1_234), text)
}

fn said_at(room: &str, ts: Wall, text: &str) -> Entry {
    let (room, text) = (room.to_owned(), text.to_owned());
    Entry::Chat(Saying::Said { room, ts, user: Some("ada".into()), name: "Ada".into(), text })
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
fn words_are_found_whether_the_index_has_followed_or_not_and_not_what_is_gone() {
    let room = Room::new();
    let mut ledger = room.ledger();
    let texts = ["Grüße from the harbour", "the harbour is wide", "\"quoted\" AND text", "fár harbours"];
    ledger.keep(texts.iter().map(|text| said("lobby", text)).collect());
    ledger.keep(vec![said("den", "another harbour")]);
    let reader = Reader::open(&room.path()).unwrap();
    let ids = |words: &str, since, before, limit| {
        let found = reader.search("lobby", words, since, before, limit).unwrap();
        found.iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("harbour", None, None, 9), [1, 2]);
    assert!(ledger.index(2).unwrap(), "there is more");
    for (words, since, before, limit, expected) in [
        ("harbour", None, None, 9, &[1, 2][..]),
        ("harbour*", None, None, 9, &[1, 2, 4]),
        ("harbour*", None, None, 2, &[2, 4]),
        ("harbour*", Some(0), None, 2, &[1, 2]),
        ("harbour*", Some(2), None, 9, &[4]),
        ("harbour*", None, Some(4), 9, &[1, 2]),
        ("FAR", None, None, 9, &[4]),
        ("text quoted", None, None, 9, &[3]),
    ] {
        assert_eq!(ids(words, since, before, limit), expected, "{words}, half of it in the index");
    }
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
    ledger.keep(vec![erase(2), said("lobby", "a harbour again"), said("lobby", "no harbour")]);
    ledger.keep(vec![erase(7)]);
    assert_eq!(ids("harbour", None, None, 9), [1, 6]);
    ledger.trim(3, Wall::default(), Wall::default()).unwrap();
    ledger.index(9).unwrap();
    assert_eq!(ids("harbour", None, None, 9), [6]);
    assert_eq!(reader.get(6).unwrap().unwrap().text, "a harbour again");
    assert_eq!(reader.get(2).unwrap(), None);
    let both = reader.since_any(&["den", "lobby"], 4, 9).unwrap();
    assert_eq!(both.iter().map(|message| message.id).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn a_full_disk_costs_what_came_meanwhile_and_nothing_that_comes_when_there_is_room() {
    for sync in [Sync::Off, Sync::Full] {
        let room = Room::new();
        let mut ledger = Ledger::open(&room.path(), sync).unwrap();
        let pages: i64 = ledger.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let room_for = |ledger: &Ledger, more: i64| {
            ledger.connection.execute_batch(&format!("PRAGMA max_page_count = {}", pages + more)).unwrap();
        };
        room_for(&ledger, 0);
        let long = "x".repeat(20_000);
        assert_eq!(ledger.keep(vec![said("lobby", "short"), said("lobby", &long)]), [Busy; 2]);
        assert!(ledger.shut_by().is_none());
        room_for(&ledger, 100);
        assert_eq!(ledger.keep(vec![said("lobby", "again"), said("lobby", &long)]), [Kept(1), Kept(2)]);
        drop(ledger);
        assert_eq!(room.ledger().last_id().unwrap(), 2);
    }
}

#[test]
fn nothing_is_kept_in_a_file_that_is_gone() {
    let other = Room::new();
    drop(other.ledger());
    for takes_its_place in [false, true] {
        let room = Room::new();
        let mut ledger = room.ledger();
        assert_eq!(ledger.keep(vec![said("lobby", "there")]), [Kept(1)]);
        if takes_its_place {
            fs::copy(other.path(), room.path().with_extension("new")).unwrap();
            fs::rename(room.path().with_extension("new"), room.path()).unwrap();
        } else {
            fs::remove_file(room.path()).unwrap();
        }
        assert_eq!(ledger.keep(vec![said("lobby", "nowhere")]), [Lost]);
        assert!(matches!(ledger.shut_by(), Some(Error::Gone)));
    }
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
fn no_id_is_given_twice_though_all_messages_have_gone() {
    let room = Room::new();
    let mut ledger = room.ledger();
    ledger.keep(vec![said("lobby", "one"), said("lobby", "two"), said("lobby", "three")]);
    assert_eq!(ledger.keep(vec![erase(3), erase(3)]), [Kept(3), Refused]);
    assert_eq!(ledger.trim(0, Wall::default(), Wall::default()).unwrap(), 2);
    drop(ledger);
    let mut ledger = room.ledger();
    assert_eq!(ledger.keep(vec![said("lobby", "four")]), [Kept(4)]);
    assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
    assert_eq!(ledger.trim(9, Wall::default(), Wall::default()).unwrap(), 0);
    assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 4);
}

#[test]
fn what_was_trimmed_is_known_of_each_room_and_of_all_where_that_is_not_known() {
    let room = Room::new();
    let mut ledger = room.ledger();
    ledger.keep(vec![said("lobby", "one"), said("den", "two"), said("lobby", "three"), said("hall", "four")]);
    assert_eq!(ledger.trim(2, Wall::default(), Wall::default()).unwrap(), 2);
    let reader = Reader::open(&room.path()).unwrap();
    let trimmed = |rooms: &[&str]| reader.trimmed(rooms).unwrap();
    assert_eq!([trimmed(&["lobby"]), trimmed(&["den"]), trimmed(&["hall"]), trimmed(&["attic"])], [1, 2, 0, 0]);
    assert_eq!(trimmed(&["hall", "lobby", "den"]), 2);
    assert_eq!(ledger.trim(1, Wall::default(), Wall::default()).unwrap(), 1);
    assert_eq!([trimmed(&["lobby"]), trimmed(&["den"]), trimmed(&["hall"])], [3, 2, 0]);
    // As many rooms as there may be names must not be remembered for ever.
    for number in 0..1100 {
        ledger.keep(vec![said(&format!("r{number}"), "x")]);
    }
    ledger.trim(0, Wall::default(), Wall::default()).unwrap();
    let rows: i64 = ledger.connection.query_row("SELECT count(*) FROM trimmed", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, trimmed(&["r1099"])), (1024, 1104));
    assert!((3..100).contains(&trimmed(&["attic"])), "of whom nothing is known any more, it may have been");
    drop(reader);
    drop(ledger);
    // A database of before this was known.
    let old = Connection::open(room.path()).unwrap();
    old.execute_batch("DROP TABLE trimmed; DELETE FROM meta WHERE key = 'trimmed_anywhere'; PRAGMA user_version = 4;")
        .unwrap();
    drop(old);
    drop(room.ledger());
    assert_eq!(Reader::open(&room.path()).unwrap().trimmed(&["attic"]).unwrap(), 1104);
}

#[test]
fn what_is_too_old_is_forgotten_though_there_is_room() {
    let room = Room::new();
    let mut ledger = room.ledger();
    let at = |seconds, text: &str| said_at("lobby", Wall::from_seconds(seconds), text);
    ledger.keep(vec![at(10, "old"), at(20, "older than it looks"), at(30, "new")]);
    assert_eq!(ledger.trim(9, Wall::from_seconds(20), Wall::from_seconds(40)).unwrap(), 1);
    assert_eq!(ledger.trim(9, Wall::from_seconds(21), Wall::from_seconds(40)).unwrap(), 1);
    assert_eq!(Reader::open(&room.path()).unwrap().first_id().unwrap(), 3);
}

#[test]
fn a_clock_that_is_put_right_takes_nothing_with_it_that_is_not_too_old() {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    // When each was said, in years, which is the id of the first that stays when it is a certain year, and for how long they are kept.
    for (years, now, days, first) in [
        (&[20, 21, 30, 31][..], 31, 365, Some(3)),
        // A machine says something before it knows the time.
        (&[30, 31, 0, 31], 31, 365, Some(1)),
        (&[20, 30, 0, 31], 31, 365, Some(2)),
        (&[30, 31, 0], 31, 365, Some(1)),
        // And now it does not know it.
        (&[30, 31, 31], 0, 365, Some(1)),
        (&[30, 0, 31], 5, 365, Some(1)),
        // It was ahead for a while.
        (&[20, 50, 20, 31], 31, 365, Some(4)),
        (&[30, 50, 31], 31, 365, Some(1)),
        // All are too old, as far as anybody can tell.
        (&[20, 50, 21], 31, 365, None),
        (&[20, 21], 31, 365, None),
        (&[], 31, 365, None),
    ] {
        let room = Room::new();
        let mut ledger = room.ledger();
        ledger.keep(years.iter().map(|year| said_at("lobby", Wall::from_seconds(year * YEAR), "x")).collect());
        let now = Wall::from_seconds(now * YEAR);
        let since = Wall::from_millis(now.as_millis().saturating_sub(days * 24 * 60 * 60 * 1000));
        ledger.trim(100, since, now).unwrap();
        let left = ledger.recent(9).unwrap();
        assert_eq!(left.first().map(|message| message.id), first, "{years:?} in {now:?}");
    }
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
