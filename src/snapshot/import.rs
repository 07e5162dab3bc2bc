//! From an original's database into ours, in one transaction: peers join what is there already, blocks that are there stay.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::database::tables::{self, SwarmRow};
use super::database::{Database, Found};
use super::mailbox::MAX_BLOCKS;
use super::original::{BadRow, MAX_READ, OldBlock, OldPeer, Original};
use super::timeline::{Finished, Moment, Timeline};
use super::{Error, record};
use crate::clock::Seconds;
use crate::tracker::{Block, InfoHash, PeerId, StoredPeer, Target};

/// How many bad rows are told one by one.
const TOLD: usize = 10;

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Torrents that got peers.
    pub swarms: u64,
    /// Peers taken over, also those that a start will find expired.
    pub peers: u64,
    /// Blocks taken over.
    pub blocks: u64,
    /// Rows passed over because they do not parse.
    pub bad_rows: u64,
    /// The first of them.
    pub first_bad: Vec<BadRow>,
    /// What was found where our database should be.
    pub found: Found,
}

/// Takes peers and blocklist of the original's database over into ours. All of it or nothing.
pub struct Import {
    from: PathBuf,
    original: Original,
}

impl Import {
    /// Opens the original's database for reading, as it is at this moment; what the process may not open later is no hindrance.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn from(from: &Path) -> Result<Import, Error> {
        Ok(Import {
            from: from.to_owned(),
            original: Original::open(from)?,
        })
    }

    /// Imports.
    ///
    /// # Errors
    /// The original cannot be read to its end, or ours cannot be written; above all while the tracker runs.
    pub fn run(&self, into: &Path, moment: Moment) -> Result<Imported, Error> {
        let (database, found) = Database::open(into, moment.wall)?;
        let fail = |source| Error::Database {
            file: into.into(),
            source,
        };
        let last = tables::finished(&database.connection).map_err(fail)?;
        let mut running = Running {
            database: &database,
            timeline: Timeline::resume(last, moment),
            moment,
            swarm: None,
            outcome: Imported {
                swarms: 0,
                peers: 0,
                blocks: 0,
                bad_rows: 0,
                first_bad: Vec::new(),
                found,
            },
        };
        if let Err(source) = running.run(&self.original) {
            database.rollback();
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
                return Err(Error::of(&self.from, MAX_READ, source));
            }
            return Err(fail(source));
        }
        Ok(running.outcome)
    }
}

struct Running<'a> {
    database: &'a Database,
    timeline: Timeline,
    moment: Moment,
    /// The torrent whose rows are being read.
    swarm: Option<(InfoHash, Vec<StoredPeer>)>,
    outcome: Imported,
}

impl Running<'_> {
    fn run(&mut self, original: &Original) -> rusqlite::Result<()> {
        self.database.begin()?;
        original.each_peer(|row| match row {
            Ok(peer) => self.add_peer(peer),
            Err(bad) => self.pass_over(bad),
        })?;
        self.write_swarm()?;
        let mut known: HashSet<Target> = tables::blocks(&self.database.connection)?
            .into_iter()
            .map(|block| block.target)
            .collect();
        original.each_block(|row| match row {
            Ok(block) => self.add_block(block, &mut known),
            Err(bad) => self.pass_over(bad),
        })?;
        self.database.finish(Finished {
            stamp: self.timeline.stamp(self.moment.now),
            wall: self.moment.wall,
            boot: self.moment.boot,
        })?;
        self.database.commit()
    }

    fn pass_over(&mut self, bad: BadRow) -> rusqlite::Result<()> {
        self.outcome.bad_rows += 1;
        if self.outcome.first_bad.len() < TOLD {
            self.outcome.first_bad.push(bad);
        }
        Ok(())
    }

    fn add_peer(&mut self, old: OldPeer) -> rusqlite::Result<()> {
        if self
            .swarm
            .as_ref()
            .is_some_and(|(hash, _)| *hash != old.info_hash)
        {
            self.write_swarm()?;
        }
        let age = self.moment.wall.0.saturating_sub(old.updated.0);
        let peer = StoredPeer {
            origin: None,
            ip: old.ip,
            inner_ip: None,
            port: old.port,
            id: PeerId([0; 20]),
            is_seeder: old.is_seeder,
            is_paused: false,
            is_reported: false,
            // The original counted no downloads; who has everything will not tell of it again.
            has_completed: old.is_seeder,
            downloaded_mib: 0,
            // An age that saturates is that of the dead.
            last_seen: self
                .moment
                .now
                .minus(u32::try_from(age).unwrap_or(u32::MAX)),
        };
        let swarm = self
            .swarm
            .get_or_insert_with(|| (old.info_hash, Vec::new()));
        if swarm.1.len() < record::MAX_PEERS {
            swarm.1.push(peer);
            return Ok(());
        }
        self.outcome.bad_rows += 1;
        Ok(())
    }

    /// Joins the peers read with those that are in our database; of a peer that is in both, the later word counts.
    fn write_swarm(&mut self) -> rusqlite::Result<()> {
        let Some((info_hash, read)) = self.swarm.take() else {
            return Ok(());
        };
        let now = self.moment.now;
        self.outcome.swarms += 1;
        self.outcome.peers += read.len() as u64;
        let there = self.database.swarm(&info_hash)?;
        let downloaded = there.as_ref().map_or(0, |row| row.downloaded);
        let known = there
            .and_then(|row| record::read(&row.record, self.timeline.seconds(row.saved, now)).ok());
        // A torrent that is new, or whose row is damaged, has no peers there.
        let known = known.unwrap_or_default();
        let peers = join(known.peers, read);
        let seeders = peers.iter().filter(|peer| peer.is_seeder).count();
        let last_used = peers.iter().map(|peer| peer.last_seen).max();
        let mut row = SwarmRow {
            info_hash,
            downloaded,
            last_used: self.timeline.stamp(last_used.unwrap_or(now)),
            saved: self.timeline.stamp(now),
            record: Vec::new(),
        };
        record::write(&peers, &known.downloaded_elsewhere, now, &mut row.record);
        self.database.put_swarm(&row, peers.len(), seeders)
    }

    fn add_block(&mut self, old: OldBlock, known: &mut HashSet<Target>) -> rusqlite::Result<()> {
        for target in old.targets {
            if known.contains(&target) || known.len() as u64 >= MAX_BLOCKS {
                continue;
            }
            self.database.put_block(&Block {
                number: 0,
                target,
                reason: old.reason.clone(),
                created: old.created.unwrap_or(self.moment.wall),
                expires: None,
            })?;
            known.insert(target);
            self.outcome.blocks += 1;
        }
        Ok(())
    }
}

fn join(known: Vec<StoredPeer>, read: Vec<StoredPeer>) -> Vec<StoredPeer> {
    let mut peers = HashMap::with_capacity(known.len() + read.len());
    for peer in known.into_iter().chain(read) {
        let seen: Option<Seconds> = peers
            .get(&(peer.ip, peer.port))
            .map(|there: &StoredPeer| there.last_seen);
        if seen.is_none_or(|seen| peer.last_seen > seen) {
            peers.insert((peer.ip, peer.port), peer);
        }
    }
    peers.into_values().collect()
}
