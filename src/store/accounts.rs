//! The tables of accounts, and how a [`Change`] is written into them. The database decides: each statement asks for what must
//! still be true, and a change that finds it is not is refused.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use crate::clock::Wall;
use crate::store::change::{Change, Proof, Which};
use crate::store::database::{Error, Verdict, connect};
use crate::store::scopes::Scopes;
use crate::store::secret::{Digest, Hash};
use crate::store::users::{Account, Session, Token, Users, know};

/// Times are milliseconds since 1970. `gone` is when an account was deleted: its row stays, for its name stays taken and its
/// number is never given again. Secrets are digests, the password is a PHC string.
pub const TABLES: &str = "
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE CHECK (name <> ''),
        password TEXT NOT NULL,
        recovery BLOB,
        code BLOB,
        code_until INTEGER NOT NULL DEFAULT 0,
        is_admin INTEGER NOT NULL DEFAULT 0,
        is_disabled INTEGER NOT NULL DEFAULT 0,
        quota INTEGER,
        made INTEGER NOT NULL,
        gone INTEGER
    ) STRICT;
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts (id),
        secret BLOB NOT NULL UNIQUE,
        made INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        is_token INTEGER NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL
    ) STRICT;
    CREATE INDEX sessions_by_account ON sessions (account);
    CREATE TABLE tokens (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts (id),
        secret BLOB NOT NULL UNIQUE,
        label TEXT NOT NULL,
        scopes INTEGER NOT NULL,
        made INTEGER NOT NULL,
        until INTEGER
    ) STRICT;
    CREATE INDEX tokens_by_account ON tokens (account);
    CREATE TABLE invites (
        secret BLOB PRIMARY KEY NOT NULL,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE known_addresses (
        account INTEGER NOT NULL REFERENCES accounts (id),
        network TEXT NOT NULL,
        seen INTEGER NOT NULL,
        PRIMARY KEY (account, network)
    ) STRICT, WITHOUT ROWID;
";

/// Keeps a change whole or not at all, inside the batch's transaction.
pub fn keep(transaction: &Transaction<'_>, change: &Change) -> Result<Verdict, rusqlite::Error> {
    // A change may have written something before it is refused.
    let say = |sql: &str| transaction.prepare_cached(sql)?.execute([]);
    say("SAVEPOINT change")?;
    let outcome = write(transaction, change);
    if !matches!(outcome, Ok(Verdict::Kept(_))) && !transaction.is_autocommit() {
        say("ROLLBACK TO change")?;
    }
    if !transaction.is_autocommit() {
        say("RELEASE change")?;
    }
    outcome
}

fn write(transaction: &Transaction<'_>, change: &Change) -> Result<Verdict, rusqlite::Error> {
    let change_rows = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values);
    // What a change is about is one row; if it is not there as it should be, nothing is kept.
    let one = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        Ok(if change_rows(sql, values)? == 1 { Verdict::Kept(0) } else { Verdict::Refused })
    };
    match change {
        Change::Register { name, password, recovery, is_admin, made, invite } => {
            if let Some(invite) = invite {
                let sql = "DELETE FROM invites WHERE secret = ?1 AND until > ?2";
                if change_rows(sql, &[&invite.as_bytes(), &ms(*made)])? != 1 {
                    return Ok(Verdict::Refused);
                }
            }
            let sql = "INSERT INTO accounts (name, password, recovery, is_admin, made) VALUES (?1, ?2, ?3, ?4, ?5)";
            let recovery = recovery.as_ref().map(Digest::as_bytes);
            change_rows(sql, &[&&**name, &password.as_text(), &recovery, is_admin, &ms(*made)])?;
            Ok(Verdict::Kept(transaction.last_insert_rowid()))
        }
        Change::SignIn {
            account,
            checked,
            rehashed,
            secret,
            made,
            is_token,
            address,
            network,
            agent,
            replaces,
            ends,
        } => {
            let sql = "INSERT INTO sessions (account, secret, made, seen, is_token, address, agent)
                       SELECT id, ?3, ?4, ?4, ?5, ?6, ?7 FROM accounts
                       WHERE id = ?1 AND password = ?2 AND is_disabled = 0 AND gone IS NULL";
            let values = params![account, checked.as_text(), secret.as_bytes(), ms(*made), is_token, address, agent];
            if transaction.prepare_cached(sql)?.execute(values)? != 1 {
                return Ok(Verdict::Refused);
            }
            let id = transaction.last_insert_rowid();
            for old in ends.iter().chain(replaces) {
                change_rows("DELETE FROM sessions WHERE id = ?1", &[old])?;
            }
            if let Some(hash) = rehashed {
                change_rows("UPDATE accounts SET password = ?2 WHERE id = ?1", &[account, &hash.as_text()])?;
            }
            remember(transaction, *account, *network, *made)?;
            Ok(Verdict::Kept(id))
        }
        Change::SignOut { account, which } => {
            let ended = end_sessions(transaction, *account, *which)?;
            Ok(if ended > 0 { Verdict::Kept(0) } else { Verdict::Refused })
        }
        Change::Seen { sessions } => {
            for (id, seen) in sessions {
                change_rows("UPDATE sessions SET seen = max(seen, ?2) WHERE id = ?1", &[id, &ms(*seen)])?;
            }
            Ok(Verdict::Kept(0))
        }
        Change::SetPassword { account, checked, password, keeps } => {
            let sql = "UPDATE accounts SET password = ?3, code = NULL
                       WHERE id = ?1 AND gone IS NULL AND (?2 IS NULL OR password = ?2)";
            let checked = checked.as_ref().map(Hash::as_text);
            let verdict = one(sql, &[account, &checked, &password.as_text()])?;
            if verdict != Verdict::Refused {
                end_sessions(transaction, *account, keeps.map_or(Which::All, Which::Others))?;
            }
            Ok(verdict)
        }
        Change::Reset { account, proof, password, recovery } => {
            let (sql, digest, now) = match proof {
                Proof::Recovery(digest) => (
                    "UPDATE accounts SET password = ?2, recovery = ?3, code = NULL
                      WHERE id = ?1 AND gone IS NULL AND recovery = ?4 AND ?5 = 0",
                    digest,
                    0,
                ),
                Proof::Code(digest, now) => (
                    "UPDATE accounts SET password = ?2, recovery = ?3, code = NULL
                      WHERE id = ?1 AND gone IS NULL AND code = ?4 AND code_until > ?5",
                    digest,
                    ms(*now),
                ),
            };
            let values: [&dyn rusqlite::ToSql; 5] =
                [account, &password.as_text(), &recovery.as_bytes(), &digest.as_bytes(), &now];
            let verdict = one(sql, &values)?;
            if verdict != Verdict::Refused {
                end_sessions(transaction, *account, Which::All)?;
                change_rows("DELETE FROM tokens WHERE account = ?1", &[account])?;
            }
            Ok(verdict)
        }
        Change::GiveCode { account, code, until } => {
            let sql = "UPDATE accounts SET code = ?2, code_until = ?3 WHERE id = ?1 AND gone IS NULL";
            one(sql, &[account, &code.as_bytes(), &ms(*until)])
        }
        Change::AddToken { account, secret, label, scopes, made, until } => {
            let sql = "INSERT INTO tokens (account, secret, label, scopes, made, until)
                       SELECT id, ?2, ?3, ?4, ?5, ?6 FROM accounts
                       WHERE id = ?1 AND is_disabled = 0 AND gone IS NULL";
            let until = until.map(ms);
            let added = one(sql, &[account, &secret.as_bytes(), label, &scopes.bits(), &ms(*made), &until])?;
            Ok(match added {
                Verdict::Kept(_) => Verdict::Kept(transaction.last_insert_rowid()),
                refused => refused,
            })
        }
        Change::RemoveToken { account, id } => one("DELETE FROM tokens WHERE id = ?1 AND account = ?2", &[id, account]),
        Change::Invite { secret, until } => {
            one("INSERT INTO invites (secret, until) VALUES (?1, ?2)", &[&secret.as_bytes(), &ms(*until)])
        }
        Change::Set { account, is_disabled, is_admin, quota } => {
            let sql = "UPDATE accounts SET is_disabled = coalesce(?2, is_disabled), is_admin = coalesce(?3, is_admin),
                       quota = CASE ?4 WHEN 0 THEN quota ELSE ?5 END WHERE id = ?1 AND gone IS NULL";
            let bytes = quota.flatten().map(|quota| i64::try_from(quota).unwrap_or(i64::MAX));
            let verdict = one(sql, &[account, is_disabled, is_admin, &quota.is_some(), &bytes])?;
            if verdict != Verdict::Refused && *is_disabled == Some(true) {
                end_sessions(transaction, *account, Which::All)?;
            }
            Ok(verdict)
        }
        Change::Delete { account, checked } => {
            let sql = "UPDATE accounts SET gone = unixepoch() * 1000, password = '', recovery = NULL, code = NULL,
                       is_admin = 0 WHERE id = ?1 AND gone IS NULL AND (?2 IS NULL OR password = ?2)";
            let verdict = one(sql, &[account, &checked.as_ref().map(Hash::as_text)])?;
            if verdict != Verdict::Refused {
                end_sessions(transaction, *account, Which::All)?;
                change_rows("DELETE FROM tokens WHERE account = ?1", &[account])?;
                change_rows("DELETE FROM known_addresses WHERE account = ?1", &[account])?;
            }
            Ok(verdict)
        }
        Change::Sweep { sessions, tokens, now } => {
            for id in sessions {
                change_rows("DELETE FROM sessions WHERE id = ?1", &[id])?;
            }
            for id in tokens {
                change_rows("DELETE FROM tokens WHERE id = ?1", &[id])?;
            }
            change_rows("DELETE FROM invites WHERE until <= ?1", &[&ms(*now)])?;
            Ok(Verdict::Kept(0))
        }
    }
}

fn end_sessions(transaction: &Transaction<'_>, account: i64, which: Which) -> Result<usize, rusqlite::Error> {
    let (sql, id) = match which {
        Which::One(id) => ("DELETE FROM sessions WHERE account = ?1 AND id = ?2", id),
        Which::Others(id) => ("DELETE FROM sessions WHERE account = ?1 AND id <> ?2", id),
        Which::All => ("DELETE FROM sessions WHERE account = ?1 AND ?2 = 0", 0),
    };
    transaction.prepare_cached(sql)?.execute([account, id])
}

/// The same as [`know`], in the table.
fn remember(transaction: &Transaction<'_>, account: i64, network: IpAddr, now: Wall) -> Result<(), rusqlite::Error> {
    let mut known = known(transaction, account)?;
    know(&mut known, network, now);
    transaction.prepare_cached("DELETE FROM known_addresses WHERE account = ?1")?.execute([account])?;
    let mut statement = transaction.prepare_cached("INSERT INTO known_addresses VALUES (?1, ?2, ?3)")?;
    for (network, seen) in known {
        statement.execute(params![account, network.to_string(), ms(seen)])?;
    }
    Ok(())
}

fn known(connection: &Connection, account: i64) -> Result<Vec<(IpAddr, Wall)>, rusqlite::Error> {
    let sql = "SELECT network, seen FROM known_addresses WHERE account = ?1 ORDER BY seen, network";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([account], |row| Ok((row.get::<_, String>(0)?, wall(row, 1)?)))?;
    let mut known = Vec::new();
    for row in rows {
        let (network, seen) = row?;
        known.extend(network.parse().ok().map(|network| (network, seen)));
    }
    Ok(known)
}

/// Everything there is, from the file, before the ledger is open; `None` if there is nothing yet.
///
/// # Errors
/// If it cannot be read.
pub fn peek(path: &Path) -> Result<Option<Users>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'known_addresses'";
    let has_tables: i64 = connection.query_row(tables, [], |row| row.get(0))?;
    if has_tables == 0 {
        return Ok(None);
    }
    load(&connection).map(Some)
}

/// Everything there is, as one moment has it.
pub fn load(connection: &Connection) -> Result<Users, Error> {
    let transaction = connection.unchecked_transaction()?;
    let accounts = rows(
        &transaction,
        "SELECT id, name, password, recovery, code, code_until, is_admin, is_disabled, quota, made, gone FROM accounts",
        |row| {
            let code: Option<[u8; 32]> = row.get(4)?;
            let until = wall(row, 5)?;
            Ok(Account {
                id: row.get(0)?,
                name: Arc::from(row.get::<_, String>(1)?),
                password: Hash::from_text(&row.get::<_, String>(2)?),
                recovery: row.get::<_, Option<[u8; 32]>>(3)?.map(Digest::from_bytes),
                code: code.map(|code| (Digest::from_bytes(code), until)),
                is_admin: row.get(6)?,
                is_disabled: row.get(7)?,
                quota: row.get::<_, Option<i64>>(8)?.map(|quota| u64::try_from(quota).unwrap_or(0)),
                made: wall(row, 9)?,
                is_gone: row.get::<_, Option<i64>>(10)?.is_some(),
                known: known(&transaction, row.get(0)?)?,
            })
        },
    )?;
    let sessions =
        rows(&transaction, "SELECT id, account, secret, made, seen, is_token, address, agent FROM sessions", |row| {
            let seen = wall(row, 4)?;
            Ok(Session {
                id: row.get(0)?,
                account: row.get(1)?,
                secret: Digest::from_bytes(row.get(2)?),
                made: wall(row, 3)?,
                seen,
                used: seen,
                is_token: row.get(5)?,
                address: row.get(6)?,
                agent: row.get(7)?,
            })
        })?;
    let tokens = rows(&transaction, "SELECT id, account, secret, label, scopes, made, until FROM tokens", |row| {
        let until: Option<i64> = row.get(6)?;
        Ok(Token {
            id: row.get(0)?,
            account: row.get(1)?,
            secret: Digest::from_bytes(row.get(2)?),
            label: row.get(3)?,
            scopes: Scopes::from_bits(row.get(4)?),
            made: wall(row, 5)?,
            until: until.map(|_| wall(row, 6)).transpose()?,
        })
    })?;
    let invites = rows(&transaction, "SELECT secret, until FROM invites", |row| {
        Ok((Digest::from_bytes(row.get(0)?), wall(row, 1)?))
    })?;
    Ok(Users::new(accounts, sessions, tokens, invites))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Vec<T>, rusqlite::Error> {
    connection.prepare_cached(sql)?.query_map([], read)?.collect()
}

fn ms(wall: Wall) -> i64 {
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}

fn wall(row: &Row<'_>, at: usize) -> Result<Wall, rusqlite::Error> {
    Ok(Wall::from_millis(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0)))
}
