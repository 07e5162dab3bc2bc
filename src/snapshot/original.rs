//! Databases of the Flask original, both eras: `tracker(info_hash, ip, port, left, update_time)`, and since May 2025
//! `blocklist(id, ip, info_hash, reason, created_at)`. Read row by row; what does not parse is told, never guessed.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::guard::Owner;
use super::{Error, guard};
use crate::clock::Wall;
use crate::net::is_reachable;
use crate::tracker::{InfoHash, Target};

/// A peer of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OldPeer {
    pub info_hash: InfoHash,
    pub ip: IpAddr,
    pub port: u16,
    pub is_seeder: bool,
    pub updated: Wall,
}

/// An entry of the original's blocklist; what names an address and a torrent blocked either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldBlock {
    pub targets: Vec<Target>,
    pub reason: String,
    pub created: Option<Wall>,
}

/// A row that does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// `tracker` or `blocklist`.
    pub table: &'static str,
    /// SQLite's number of the row.
    pub row: i64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// An original's database, open for reading.
pub(super) struct Original {
    connection: Connection,
}

// Rows of one torrent come together, so that a torrent is written once. What is too long to be what it should be is told as a
// row that does not parse, without being read.
const PEERS: &str = "SELECT rowid, info_hash, \
    CASE WHEN octet_length(ip) <= 100 THEN ip END, CASE WHEN octet_length(port) <= 100 THEN port END, \
    CASE WHEN octet_length(\"left\") <= 100 THEN \"left\" END, \
    CASE WHEN octet_length(update_time) <= 100 THEN update_time END \
    FROM tracker WHERE info_hash IS NULL OR octet_length(info_hash) <= 100 ORDER BY info_hash";
const LONG_HASHES: &str = "SELECT rowid FROM tracker WHERE octet_length(info_hash) > 100";
const BLOCKS: &str = "SELECT rowid, CASE WHEN octet_length(ip) > 100 THEN 'long' ELSE ip END, \
    CASE WHEN octet_length(info_hash) > 100 THEN 'long' ELSE info_hash END, \
    CASE WHEN octet_length(reason) <= 4000 THEN reason END, \
    CASE WHEN octet_length(created_at) > 100 THEN NULL \
    WHEN typeof(created_at) = 'text' THEN CAST(strftime('%s', created_at) AS INTEGER) \
    ELSE CAST(created_at AS INTEGER) END FROM blocklist ORDER BY rowid";

/// How long reading may take in all.
pub(super) const MAX_READ: Duration = Duration::from_secs(600);

impl Original {
    /// Opens a file that is there; nothing in it is changed.
    ///
    /// # Errors
    /// It cannot be read, or has no table `tracker` of that shape.
    pub(super) fn open(path: &Path) -> Result<Original, Error> {
        let fail = |source| Error::of(path, MAX_READ, source);
        let connection = guard::open_read_only(path, Owner::Another, MAX_READ)?;
        if guard::has_plain_table(&connection, "tracker").map_err(fail)? {
            guard::has_plain_table(&connection, "blocklist").map_err(fail)?;
        }
        connection.prepare(PEERS).map_err(fail)?;
        // One view of it to the end; and its companions are opened here or not at all.
        let begun = connection.execute_batch("BEGIN").and_then(|()| {
            connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(()))
        });
        begun.map_err(fail)?;
        Ok(Original { connection })
    }

    /// Hands every peer to `each`, and every row that is none.
    pub(super) fn each_peer(
        &self,
        mut each: impl FnMut(Result<OldPeer, BadRow>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut long = self.connection.prepare(LONG_HASHES)?;
        let mut rows = long.query([])?;
        while let Some(row) = rows.next()? {
            each(Err(bad(
                "tracker",
                row.get(0)?,
                "info_hash is not 20 bytes",
            )))?;
        }
        let mut statement = self.connection.prepare(PEERS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            each(peer(row)?.map_err(|why| bad("tracker", number, why)))?;
        }
        Ok(())
    }

    /// Hands every block to `each`, and every row that is none. The seed era has no such table.
    pub(super) fn each_block(
        &self,
        mut each: impl FnMut(Result<OldBlock, BadRow>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        if !self.connection.table_exists(None, "blocklist")? {
            return Ok(());
        }
        let mut statement = self.connection.prepare(BLOCKS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            each(block(row)?.map_err(|why| bad("blocklist", number, why)))?;
        }
        Ok(())
    }
}

fn bad(table: &'static str, row: i64, why: &'static str) -> BadRow {
    BadRow { table, row, why }
}

fn peer(row: &Row<'_>) -> rusqlite::Result<Result<OldPeer, &'static str>> {
    let parse = |hash, ip, port, left, updated| -> Result<OldPeer, &'static str> {
        let info_hash = info_hash(hash).ok_or("info_hash is not 20 bytes")?;
        let ip = packed_ip(ip).ok_or("ip is not 8 hex digits")?;
        if !is_reachable(ip) {
            return Err("ip is no address of a host");
        }
        let port = whole(port).and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or("port is not a number up to 65535")?;
        if port == 0 {
            return Err("port is 0");
        }
        let left = whole(left).ok_or("left is not a number")?;
        let updated = whole(updated).and_then(|time| u64::try_from(time).ok());
        let updated = updated.ok_or("update_time is not a time")?;
        Ok(OldPeer {
            info_hash,
            ip,
            port,
            is_seeder: left == 0,
            updated: Wall(updated),
        })
    };
    let column = |at: usize| row.get_ref(at);
    Ok(parse(
        column(1)?,
        column(2)?,
        column(3)?,
        column(4)?,
        column(5)?,
    ))
}

fn block(row: &Row<'_>) -> rusqlite::Result<Result<OldBlock, &'static str>> {
    let parse =
        |ip: ValueRef<'_>, hash: ValueRef<'_>, reason: ValueRef<'_>, created: ValueRef<'_>| {
            let mut targets = Vec::new();
            if !is_blank(ip) {
                let network = text(ip)
                    .and_then(network)
                    .ok_or("ip is no address and no network")?;
                targets.push(Target::Network(network));
            }
            if !is_blank(hash) {
                let hash = info_hash(hash).ok_or("info_hash is not 40 hex digits")?;
                targets.push(Target::Torrent(hash));
            }
            if targets.is_empty() {
                return Err("it names neither an address nor a torrent");
            }
            let created = whole(created).and_then(|time| u64::try_from(time).ok());
            // A block needs no reason.
            let reason = text(reason).unwrap_or_default();
            Ok(OldBlock {
                targets,
                reason: reason.chars().take(super::MAX_REASON).collect(),
                created: created.map(Wall),
            })
        };
    let column = |at: usize| row.get_ref(at);
    Ok(parse(column(1)?, column(2)?, column(3)?, column(4)?))
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            std::str::from_utf8(text).ok().map(str::trim)
        }
        _ => None,
    }
}

fn is_blank(value: ValueRef<'_>) -> bool {
    value == ValueRef::Null || text(value) == Some("")
}

/// SQLite keeps what it was given: numbers may lie there as text, times as fractions.
fn whole(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the guard")]
        ValueRef::Real(number) if number.abs() < 9e15 => Some(number as i64),
        ValueRef::Text(_) => text(value)?.parse().ok(),
        _ => None,
    }
}

fn info_hash(value: ValueRef<'_>) -> Option<InfoHash> {
    match value {
        ValueRef::Blob(bytes) if bytes.len() == 20 => bytes.try_into().ok().map(InfoHash),
        _ => InfoHash::from_hex(text(value)?),
    }
}

fn packed_ip(value: ValueRef<'_>) -> Option<IpAddr> {
    let digits = text(value)?;
    let is_packed = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bits = u32::from_str_radix(digits, 16).ok()?;
    is_packed.then(|| Ipv4Addr::from_bits(bits).into())
}

fn network(text: &str) -> Option<IpNet> {
    let address = text
        .parse::<IpAddr>()
        .map(|ip| IpNet::from(ip.to_canonical()));
    address
        .or_else(|_| text.parse())
        .ok()
        .map(|network| network.trunc())
}
