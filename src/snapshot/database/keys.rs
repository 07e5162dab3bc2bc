//! The keys of announce addresses in their table, and what has been done with them. Only SQL; a key itself is nowhere, only its digest.

use rusqlite::{Connection, Row, params};

use super::Database;
use super::tables::{signed, unsigned};
use crate::clock::Wall;
use crate::tracker::{KeyDigest, KeyLimits, KeyRecord, KeyTotals, NewKey, Traffic};

// The same key again is the same entry with a new label, end and limits, and in force again.
const PUT_KEY: &str = "INSERT INTO keys (digest, label, is_from_file, created, expires, \
    max_addresses, max_torrents, uploaded, downloaded, saved, sessions) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, x'') \
    ON CONFLICT (digest) DO UPDATE SET label = ?2, is_from_file = ?3, expires = ?5, \
    max_addresses = ?6, max_torrents = ?7, revoked = NULL RETURNING number, created";
const RESTORE_KEY: &str = "INSERT OR REPLACE INTO keys (number, digest, label, is_from_file, \
    created, expires, revoked, max_addresses, max_torrents, uploaded, downloaded, saved, sessions) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, x'')";
const REVOKE_KEY: &str = "UPDATE keys SET revoked = ?2 WHERE number = ?1 AND revoked IS NULL";
const USE_KEY: &str = "UPDATE keys SET uploaded = ?2, downloaded = ?3, last_seen = ?4, \
    saved = ?5, sessions = ?6 WHERE number = ?1";
const FORGET_KEYS: &str = "DELETE FROM keys WHERE revoked < ?1 OR expires < ?1";
const KEYS: &str = "SELECT number, CASE octet_length(digest) WHEN 16 THEN digest END, \
    CASE WHEN octet_length(label) <= 400 THEN label END, is_from_file, created, expires, revoked, \
    max_addresses, max_torrents, uploaded, downloaded, last_seen, saved, \
    CASE WHEN octet_length(sessions) <= 840000 THEN sessions END FROM keys LIMIT 500000";
const HAS_KEYS: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'keys'";

/// One key as it lies in its row; its sessions are not decoded here.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub record: KeyRecord,
    pub totals: KeyTotals,
    pub saved: u64,
    pub sessions: Vec<u8>,
}

/// Prepares every statement.
pub(super) fn prepare_all(connection: &Connection) -> rusqlite::Result<()> {
    for statement in [PUT_KEY, RESTORE_KEY, REVOKE_KEY, USE_KEY, FORGET_KEYS, KEYS] {
        connection.prepare_cached(statement)?;
    }
    Ok(())
}

impl Database {
    /// Writes a key, or changes the one with its digest; returns its number and when it was first made.
    pub(crate) fn put_key(
        &self,
        key: &NewKey,
        is_from_file: bool,
        now: Wall,
    ) -> rusqlite::Result<(i64, Wall)> {
        let mut put = self.connection.prepare_cached(PUT_KEY)?;
        let row = params![
            key.digest.bytes(),
            key.label,
            is_from_file,
            signed(now.0),
            key.expires.map(|end| signed(end.0)),
            key.limits.addresses,
            key.limits.torrents,
        ];
        put.query_row(row, |row| Ok((row.get(0)?, Wall(unsigned(row.get(1)?)))))
    }

    /// See [`restore_key`].
    pub(crate) fn restore_key(&self, record: &KeyRecord) -> rusqlite::Result<()> {
        restore_key(&self.connection, record)
    }

    /// Ends the key of this number; whether it was in force.
    pub(crate) fn revoke_key(&self, number: i64, now: Wall) -> rusqlite::Result<bool> {
        let mut revoke = self.connection.prepare_cached(REVOKE_KEY)?;
        Ok(revoke.execute(params![number, signed(now.0)])? > 0)
    }

    /// Writes what has been done with a key; its sessions as of the database's time `saved`.
    pub(crate) fn use_key(
        &self,
        number: i64,
        totals: &KeyTotals,
        saved: u64,
        sessions: &[u8],
    ) -> rusqlite::Result<()> {
        put_use(&self.connection, number, totals, saved, sessions)
    }

    /// Removes the keys that ended or were revoked before `wall`.
    pub(crate) fn forget_keys(&self, wall: Wall) -> rusqlite::Result<()> {
        let mut forget = self.connection.prepare_cached(FORGET_KEYS)?;
        forget.execute(params![signed(wall.0)])?;
        Ok(())
    }
}

/// Writes a key under the number that it has, without its use.
pub(super) fn restore_key(connection: &Connection, record: &KeyRecord) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(RESTORE_KEY)?;
    put.execute(params![
        record.number,
        record.key.digest.bytes(),
        record.key.label,
        record.is_from_file,
        signed(record.created.0),
        record.key.expires.map(|end| signed(end.0)),
        record.revoked.map(|end| signed(end.0)),
        record.key.limits.addresses,
        record.key.limits.torrents,
    ])?;
    Ok(())
}

/// Writes what had been done with a key, as it stood in another database.
pub(super) fn restore_use(connection: &Connection, row: &KeyRow) -> rusqlite::Result<()> {
    let number = row.record.number;
    put_use(connection, number, &row.totals, row.saved, &row.sessions)
}

fn put_use(
    connection: &Connection,
    number: i64,
    totals: &KeyTotals,
    saved: u64,
    sessions: &[u8],
) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(USE_KEY)?;
    put.execute(params![
        number,
        signed(totals.traffic.uploaded),
        signed(totals.traffic.downloaded),
        totals.last_seen.map(|seen| signed(seen.0)),
        signed(saved),
        sessions,
    ])?;
    Ok(())
}

/// Hands every key to `each`; entries that cannot be understood are logged and passed over. None of a database of before there were any,
/// which is read where it cannot be written.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn each_key(
    connection: &Connection,
    mut each: impl FnMut(KeyRow),
) -> rusqlite::Result<()> {
    if !has_keys(connection)? {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(KEYS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match key_row(row) {
            Ok(row) => each(row),
            Err(error) => {
                log::error!("keys: an entry cannot be understood and is not in force: {error}");
            }
        }
    }
    Ok(())
}

fn has_keys(connection: &Connection) -> rusqlite::Result<bool> {
    let count: u32 = connection.query_row(HAS_KEYS, [], |row| row.get(0))?;
    Ok(count > 0)
}

/// As many keys of a damaged database as can be read.
pub(super) fn readable_keys(connection: &Connection) -> Vec<KeyRow> {
    let mut found = Vec::new();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(KEYS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A row that is damaged is lost.
            found.extend(key_row(row).ok());
        }
        Ok(())
    };
    if let Err(error) = read() {
        log::debug!("rescuing the keys: {error}");
    }
    found
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let time = |at: usize| -> rusqlite::Result<Option<Wall>> {
        let time: Option<i64> = row.get(at)?;
        Ok(time.map(|time| Wall(unsigned(time))))
    };
    let number = |at: usize| -> rusqlite::Result<u64> { Ok(unsigned(row.get(at)?)) };
    Ok(KeyRow {
        record: KeyRecord {
            number: row.get(0)?,
            key: NewKey {
                digest: KeyDigest::from_bytes(row.get(1)?),
                label: row.get(2)?,
                expires: time(5)?,
                limits: KeyLimits {
                    addresses: row.get(7)?,
                    torrents: row.get(8)?,
                },
            },
            is_from_file: row.get(3)?,
            created: Wall(number(4)?),
            revoked: time(6)?,
        },
        totals: KeyTotals {
            traffic: Traffic {
                uploaded: number(9)?,
                downloaded: number(10)?,
            },
            last_seen: time(11)?,
        },
        saved: number(12)?,
        sessions: row.get(13)?,
    })
}
