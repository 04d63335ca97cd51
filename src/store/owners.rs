//! [`Owners`]: who made what lies in the shared area. A pure model that mirrors a table of the ledger: it changes only by a
//! [`Change`] that the ledger has kept. What is not in it hythe did not receive, or the operator made.
//!
//! It knows paths, not files: what changes behind our back keeps the owner of its path.

use std::collections::BTreeMap;

#[cfg(feature = "_ledger")]
use rusqlite::{Connection, Transaction, params};

use crate::path::RelPath;
#[cfg(feature = "_ledger")]
use crate::store::database::{Error, Verdict};

/// The table; `account` is 0 for a guest.
#[cfg(feature = "_ledger")]
pub const TABLES: &str = "
    CREATE TABLE owners (
        path TEXT PRIMARY KEY NOT NULL CHECK (path <> ''),
        account INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Who made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An account. It may be gone.
    Account(i64),
    /// A guest.
    Guest,
}

#[cfg(feature = "_ledger")]
impl Owner {
    fn number(self) -> i64 {
        match self {
            Owner::Account(id) => id,
            Owner::Guest => 0,
        }
    }

    fn of_number(number: i64) -> Owner {
        if number == 0 { Owner::Guest } else { Owner::Account(number) }
    }
}

/// What has happened to something in the shared area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new. `None`: the operator made it.
    Made(RelPath<'static>, Option<Owner>),
    /// It, and all below it, has another path.
    Moved(RelPath<'static>, RelPath<'static>),
    /// It is gone, and all below it.
    Gone(RelPath<'static>),
}

/// Who made what, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    all: BTreeMap<String, Owner>,
}

/// The bounds of the paths below a folder: a slash stands before the zero.
fn below(folder: &str) -> (String, String) {
    (format!("{folder}/"), format!("{folder}0"))
}

impl Owners {
    /// Who made what lies at a path.
    pub fn of(&self, path: &RelPath<'_>) -> Option<Owner> {
        self.all.get(path.as_str()).copied()
    }

    /// Whoever made something below a folder.
    pub fn below(&self, folder: &RelPath<'_>) -> impl Iterator<Item = Owner> {
        let (first, end) = below(folder.as_str());
        self.all.range(first..end).map(|(_, owner)| *owner)
    }

    /// What lies below a folder and has an owner.
    pub fn paths_below(&self, folder: &RelPath<'_>) -> impl Iterator<Item = &str> {
        let (first, end) = below(folder.as_str());
        self.all.range(first..end).map(|(path, _)| path.as_str())
    }

    /// What an account made.
    pub fn paths_of(&self, account: i64) -> impl Iterator<Item = &str> {
        let is_its = move |owner: &Owner| *owner == Owner::Account(account);
        self.all.iter().filter(move |(_, owner)| is_its(owner)).map(|(path, _)| path.as_str())
    }

    /// Takes over what the ledger has kept.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Made(path, Some(owner)) => {
                    self.all.insert(path.to_string(), *owner);
                }
                Change::Made(path, None) => {
                    self.all.remove(path.as_str());
                }
                Change::Gone(path) => drop(self.take_all(path.as_str())),
                Change::Moved(from, to) if from == to => {}
                Change::Moved(from, to) => self.move_all(from.as_str(), to.as_str()),
            }
        }
    }

    /// Takes out a path and all below it.
    fn take_all(&mut self, path: &str) -> Vec<(String, Owner)> {
        let (first, end) = below(path);
        let mut taken: Vec<(String, Owner)> = self.all.extract_if(first..end, |_, _| true).collect();
        taken.extend(self.all.remove_entry(path));
        taken
    }

    fn move_all(&mut self, from: &str, to: &str) {
        let moved = self.take_all(from);
        // What was replaced there is gone.
        self.take_all(to);
        for (path, owner) in moved {
            self.all.insert(format!("{to}{}", &path[from.len()..]), owner);
        }
    }
}

/// Writes changes into the table, inside the batch's transaction.
#[cfg(feature = "_ledger")]
pub fn keep(transaction: &Transaction<'_>, changes: &[Change]) -> Result<Verdict, rusqlite::Error> {
    let remove = "DELETE FROM owners WHERE path = ?1";
    let remove_all = |path: &str| {
        let (first, end) = below(path);
        let sql = "DELETE FROM owners WHERE path = ?1 OR path >= ?2 AND path < ?3";
        transaction.prepare_cached(sql)?.execute([path, &first, &end])
    };
    for change in changes {
        match change {
            Change::Made(path, Some(owner)) => {
                let sql = "INSERT OR REPLACE INTO owners (path, account) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![path.as_str(), owner.number()])?;
            }
            Change::Made(path, None) => {
                transaction.prepare_cached(remove)?.execute([path.as_str()])?;
            }
            Change::Gone(path) => {
                remove_all(path.as_str())?;
            }
            Change::Moved(from, to) if from == to => {}
            Change::Moved(from, to) => {
                let (from, to) = (from.as_str(), to.as_str());
                let (first, end) = below(from);
                remove_all(to)?;
                let sql = "UPDATE OR REPLACE owners SET path = ?2 || substr(path, length(?1) + 1)
                           WHERE path = ?1 OR path >= ?3 AND path < ?4";
                transaction.prepare_cached(sql)?.execute([from, to, &first, &end])?;
            }
        }
    }
    Ok(Verdict::Kept(0))
}

/// All there are.
#[cfg(feature = "_ledger")]
pub fn load(connection: &Connection) -> Result<Owners, Error> {
    let mut statement = connection.prepare_cached("SELECT path, account FROM owners")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Owner::of_number(row.get(1)?))))?;
    Ok(Owners { all: rows.collect::<Result<_, _>>()? })
}

#[cfg(all(test, feature = "_ledger"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> RelPath<'static> {
        RelPath::from_plain(text).unwrap().into_owned()
    }

    fn made(text: &str, owner: Owner) -> Change {
        Change::Made(path(text), Some(owner))
    }

    #[test]
    fn what_is_below_a_folder_moves_with_it_and_nothing_else_does() {
        let (ada, guest) = (Owner::Account(7), Owner::Guest);
        let mut owners = Owners::default();
        owners.apply(&[made("a", ada), made("a/x", ada), made("a/y/z", guest), made("a0", guest), made("a-b", ada)]);
        assert_eq!(owners.below(&path("a")).collect::<Vec<_>>(), [ada, guest]);
        owners.apply(&[made("b/y", guest), made("b/y/old", guest), Change::Moved(path("a"), path("b/y"))]);
        let expected = [("a-b", ada), ("a0", guest), ("b/y", ada), ("b/y/x", ada), ("b/y/y/z", guest)];
        assert_eq!(owners.all, expected.map(|(path, owner)| (path.to_owned(), owner)).into());
        owners.apply(&[Change::Gone(path("a0")), Change::Made(path("a-b"), None)]);
        assert_eq!((owners.of(&path("a0")), owners.of(&path("a-b")), owners.of(&path("b/y"))), (None, None, Some(ada)));
        assert_eq!(owners.paths_of(7).collect::<Vec<_>>(), ["b/y", "b/y/x"]);
        owners.apply(&[Change::Gone(path("b"))]);
        assert_eq!(owners, Owners::default(), "what was below it has gone with it");
    }

    fn some_path() -> impl Strategy<Value = RelPath<'static>> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "a0", "é"]), 1..4)
            .prop_map(|names| path(&names.join("/")))
    }

    fn some_change() -> impl Strategy<Value = Change> {
        let owner =
            prop::sample::select(vec![None, Some(Owner::Guest), Some(Owner::Account(1)), Some(Owner::Account(2))]);
        prop_oneof![
            3 => (some_path(), owner).prop_map(|(path, owner)| Change::Made(path, owner)),
            1 => some_path().prop_map(Change::Gone),
            2 => (some_path(), some_path()).prop_filter_map("nothing moves into itself or onto its own folder", |(from, to)| {
                let is_apart = to == from || to.strip(from.as_str()).is_none() && from.strip(to.as_str()).is_none();
                is_apart.then_some(Change::Moved(from, to))
            }),
        ]
    }

    proptest! {
        #[test]
        fn the_table_and_its_mirror_say_the_same(batches in prop::collection::vec(prop::collection::vec(some_change(), 0..4), 0..12)) {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(TABLES).unwrap();
            let mut owners = Owners::default();
            for changes in batches {
                let transaction = connection.transaction().unwrap();
                prop_assert_eq!(keep(&transaction, &changes).unwrap(), Verdict::Kept(0));
                transaction.commit().unwrap();
                owners.apply(&changes);
                prop_assert_eq!(&load(&connection).unwrap(), &owners);
            }
        }
    }
}
