//! The snapshot database as `explain` needs it: blocks, and swarms as they were when the last snapshot finished.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::clock::{Seconds, Wall};
use crate::snapshot::{APPLICATION, Owner, has_plain_table, open_read_only, read_record};
use crate::tracker::{Block, InfoHash, StoredSwarm, Target, TorrentSet};

/// The moment of the last snapshot, in the time of the swarms that are read.
pub(super) const THEN: Seconds = Seconds::START;

/// How long may be read.
const MAX_READ: Duration = Duration::from_secs(60);

/// An open database.
pub(super) struct Kept {
    connection: Connection,
    /// The last snapshot's end in the database's own time.
    finished: i64,
    wall: Option<i64>,
}

impl Kept {
    /// Opens the database for reading; `None` when there is none.
    pub(super) fn open(path: &Path) -> anyhow::Result<Option<Kept>> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = open_read_only(path, Owner::Us, MAX_READ)?;
        let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if id != i64::from(APPLICATION) {
            bail!("no database of this tracker");
        }
        for table in ["meta", "swarms", "blocklist"] {
            ensure!(
                has_plain_table(&connection, table)?,
                "it has no table {table}"
            );
        }
        let meta = |key: &str| -> rusqlite::Result<Option<i64>> {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            connection
                .query_row(sql, [key], |row| row.get(0))
                .optional()
        };
        // Before the first snapshot there are no swarms to be old.
        let (finished, wall) = (meta("finished")?.unwrap_or(0), meta("finished_wall")?);
        Ok(Some(Kept {
            connection,
            finished,
            wall,
        }))
    }

    /// When the last snapshot finished, for people.
    pub(super) fn written(&self) -> anyhow::Result<String> {
        let sql = "SELECT datetime(?1, 'unixepoch')";
        let text: Option<String> = self
            .connection
            .query_row(sql, [self.wall], |row| row.get(0))?;
        Ok(text.map_or("before any snapshot".into(), |text| text + " UTC"))
    }

    /// The blocklist. Entries that do not parse are passed over, as at a start.
    pub(super) fn blocks(&self) -> anyhow::Result<Vec<Block>> {
        let sql = "SELECT number, network, info_hash, expires FROM blocklist LIMIT 100000";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let network: Option<String> = row.get(1)?;
            let hash: Option<[u8; 20]> = row.get(2)?;
            let network = network
                .and_then(|text| text.parse().ok())
                .map(Target::Network);
            let target = network.or(hash.map(|hash| Target::Torrent(InfoHash(hash))));
            let expires: Option<i64> = row.get(3)?;
            let Some(target) = target else {
                return Ok(None);
            };
            Ok(Some(Block {
                number: row.get(0)?,
                target,
                reason: String::new(),
                created: Wall(0),
                // An end before 1970 is one in the past.
                expires: expires.map(|end| Wall(u64::try_from(end).unwrap_or(0))),
            }))
        })?;
        // A row that the tracker would not take is passed over here too.
        Ok(rows.filter_map(Result::ok).flatten().collect())
    }

    /// The torrents that pages and API have listed; none in a database of before there was such a list.
    pub(super) fn listed_torrents(&self) -> anyhow::Result<TorrentSet> {
        if !has_plain_table(&self.connection, "listed_torrents")? {
            return Ok(TorrentSet::default());
        }
        let sql = "SELECT info_hash FROM listed_torrents LIMIT 1000000";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0).map(InfoHash))?;
        Ok(TorrentSet::new(rows.filter_map(Result::ok).collect()))
    }

    /// One swarm.
    pub(super) fn swarm(&self, hash: &InfoHash) -> anyhow::Result<Option<StoredSwarm>> {
        let sql = "SELECT info_hash, downloaded, saved, record FROM swarms WHERE info_hash = ?1";
        let found = self
            .connection
            .query_row(sql, [hash.0], |row| Ok(self.read(row)))
            .optional()?;
        found.transpose().context("the torrent's row is damaged")
    }

    /// Hands every swarm to `visit`; returns how many rows are damaged.
    pub(super) fn visit(&self, mut visit: impl FnMut(StoredSwarm)) -> anyhow::Result<u64> {
        let sql = "SELECT info_hash, downloaded, saved, record FROM swarms";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut damaged = 0;
        while let Some(row) = rows.next()? {
            match self.read(row) {
                Ok(swarm) => visit(swarm),
                Err(_) => damaged += 1,
            }
        }
        Ok(damaged)
    }

    fn read(&self, row: &Row<'_>) -> anyhow::Result<StoredSwarm> {
        let (saved, record): (i64, Vec<u8>) = (row.get(2)?, row.get(3)?);
        // What claims to be of the future is fresh, as at a restore.
        let since = u32::try_from(self.finished.saturating_sub(saved)).unwrap_or(0);
        let read = read_record(&record, THEN.minus(since))?;
        Ok(StoredSwarm {
            downloaded_elsewhere: read.downloaded_elsewhere,
            info_hash: InfoHash(row.get(0)?),
            downloaded: row.get(1)?,
            last_used: THEN,
            peers: read.peers,
        })
    }
}
