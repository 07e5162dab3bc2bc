//! From the database back into the core, before any socket listens: the blocklist first, then every swarm that still lives.
//!
//! One thread reads rows, others decode and store them; what cannot be decoded is counted and left out.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;

use super::database::tables::{self, SwarmRow};
use super::timeline::{Moment, Timeline};
use super::{database, key_sessions, record};
use crate::clock::Seconds;
use crate::tracker::{InfoHash, KeyUse, Origin, StoredSwarm, TorrentSet, Tracker};

/// Rows that go from the reader to a decoder at once.
const BATCH: usize = 256;

/// Batches that may wait, so that reading never runs far ahead of decoding.
const QUEUE: usize = 16;

/// A record that is longer than this is decoded where it is read, so that few of them lie in the memory at once.
const LONG_BYTES: usize = 1 << 20;

/// More decoders than this only wait for the reader.
const MAX_DECODERS: usize = 8;

/// What a restore brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Torrents stored.
    pub swarms: u64,
    /// Peers stored.
    pub peers: u64,
    /// Peers left out: expired meanwhile, blocked, or over a bound.
    pub left_out: u64,
    /// Rows left out because they are damaged.
    pub damaged: u64,
    /// Entries of the blocklist in force.
    pub blocks: u64,
    /// Whether the table could be read to its end.
    pub is_whole: bool,
}

/// Whose counts and peers are whose, where this tracker has another name than the one that wrote the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The number of its former name, whose its own counts are.
    pub former: Origin,
    /// The number that its present name had: what is of that is its own.
    pub own: Option<Origin>,
}

impl Renamed {
    fn apply(self, swarm: &mut StoredSwarm) {
        let elsewhere = &mut swarm.downloaded_elsewhere;
        let is_own = |(origin, _): &(Origin, u32)| Some(*origin) == self.own;
        let own = elsewhere.iter().position(is_own);
        let own = own.map_or(0, |at| elsewhere.swap_remove(at).1);
        let former = std::mem::replace(&mut swarm.downloaded, own);
        match elsewhere
            .iter_mut()
            .find(|(origin, _)| *origin == self.former)
        {
            Some((_, known)) => *known = former.max(*known),
            None if former > 0 => elsewhere.push((self.former, former)),
            None => {}
        }
        for peer in &mut swarm.peers {
            peer.origin = peer.origin.filter(|origin| Some(*origin) != self.own);
        }
    }
}

/// What the decoders found out, beside what they stored.
#[derive(Debug, Default)]
struct Tally {
    swarms: AtomicU64,
    peers: AtomicU64,
    left_out: AtomicU64,
    damaged: AtomicU64,
    /// In the database, but nothing of it in the core: to be removed with the next snapshot.
    stale: Mutex<Vec<InfoHash>>,
}

/// Fills `tracker` from the database. Swarms of which nothing is left are marked freed, so that the next snapshot forgets them.
///
/// # Errors
/// The blocklist cannot be read; nothing has been stored then.
pub(super) fn restore(
    connection: &Connection,
    tracker: &Tracker,
    timeline: &Timeline,
    moment: Moment,
    renamed: Option<Renamed>,
) -> rusqlite::Result<Summary> {
    let blocks = tables::blocks(connection)?;
    tracker.block(blocks, moment.wall, moment.now);
    restore_keys(connection, tracker, timeline, moment)?;
    let torrents = listed_torrents(connection)?;
    if !torrents.is_empty() {
        let torrents = Arc::new(TorrentSet::new(torrents));
        let access = tracker.access();
        access.list_torrents(|listed| listed.added = torrents);
    }
    let tally = Tally::default();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (batches, waiting) = sync_channel::<Vec<SwarmRow>>(QUEUE);
    let waiting = Mutex::new(waiting);
    let store = |batch| decode(batch, tracker, (timeline, renamed), moment.now, &tally);
    let read = thread::scope(|scope| {
        let mut decoders = 0;
        for _ in 0..cores.min(MAX_DECODERS) {
            let decoder = thread::Builder::new().name("restore".into());
            match decoder.spawn_scoped(scope, || take(&waiting, store)) {
                Ok(_) => decoders += 1,
                Err(error) => log::warn!("restoring with {decoders} threads beside: {error}"),
            }
        }
        let mut batch = Vec::with_capacity(BATCH);
        let read = tables::each_swarm(connection, |row| {
            if decoders == 0 || row.record.len() > LONG_BYTES {
                return store(vec![row]);
            }
            batch.push(row);
            if batch.len() == BATCH {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                drop(batches.send(full));
            }
        });
        if decoders > 0 {
            drop(batches.send(batch));
        }
        drop(batches);
        read
    });
    let stale = tally
        .stale
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    tracker.mark_changed(&[], &stale);
    if renamed.is_some() {
        // The next snapshot has all of them, and under which name.
        tracker.mark_all_changed();
    }
    if let Err(error) = &read {
        log::error!("restoring: the rest of the swarms cannot be read: {error}");
    }
    Ok(Summary {
        swarms: tally.swarms.into_inner(),
        peers: tally.peers.into_inner(),
        left_out: tally.left_out.into_inner(),
        // What was damaged behind the row at which reading failed is not known.
        damaged: tally.damaged.into_inner() + read.as_ref().copied().unwrap_or(0),
        blocks: tracker.access().blocks().len() as u64,
        is_whole: read.is_ok(),
    })
}

/// Puts the keys back with their use. Sessions that cannot be read are left out: their clients' next announces are new bases.
fn restore_keys(
    connection: &Connection,
    tracker: &Tracker,
    timeline: &Timeline,
    moment: Moment,
) -> rusqlite::Result<()> {
    let keys = tracker.keys();
    keys.set_wall(moment.wall);
    database::keys::each_key(connection, |row| {
        let number = row.record.number;
        let saved = timeline.seconds(row.saved, moment.now);
        let sessions = key_sessions::read(&row.sessions, saved).unwrap_or_else(|| {
            log::error!("restoring: the sessions of key {number} are damaged");
            Vec::new()
        });
        keys.put(row.record);
        let usage = KeyUse {
            number,
            totals: row.totals,
            sessions,
        };
        keys.restore(usage, moment.now);
    })
}

/// The listed torrents; none where a disk that refuses has kept a database from being brought to this version.
fn listed_torrents(connection: &Connection) -> rusqlite::Result<Vec<InfoHash>> {
    if connection.table_exists(None, "listed_torrents")? {
        tables::listed_torrents(connection)
    } else {
        Ok(Vec::new())
    }
}

/// Stores what waits, until there is no more.
fn take(waiting: &Mutex<Receiver<Vec<SwarmRow>>>, store: impl Fn(Vec<SwarmRow>)) {
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv()
    };
    while let Ok(batch) = next() {
        store(batch);
    }
}

fn decode(
    batch: Vec<SwarmRow>,
    tracker: &Tracker,
    (timeline, renamed): (&Timeline, Option<Renamed>),
    now: Seconds,
    tally: &Tally,
) {
    let (mut stale, mut stored) = (Vec::new(), 0);
    for row in batch {
        let hash = row.info_hash;
        let Ok(record) = record::read(&row.record, timeline.seconds(row.saved, now)) else {
            tally.damaged.fetch_add(1, Relaxed);
            continue;
        };
        let count = record.peers.len();
        let mut swarm = StoredSwarm {
            downloaded_elsewhere: record.downloaded_elsewhere,
            info_hash: hash,
            downloaded: row.downloaded,
            last_used: timeline.seconds(row.last_used, now),
            peers: record.peers,
        };
        if let Some(renamed) = renamed {
            renamed.apply(&mut swarm);
        }
        let restored = tracker.restore(swarm, now);
        let kept = restored.peers;
        tally.peers.fetch_add(kept as u64, Relaxed);
        tally
            .left_out
            .fetch_add(count.saturating_sub(kept) as u64, Relaxed);
        if kept == 0 && !restored.has_withheld && tracker.export(&hash, now).is_none() {
            stale.push(hash);
        } else {
            stored += 1;
        }
    }
    tally.swarms.fetch_add(stored, Relaxed);
    tally
        .stale
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .append(&mut stale);
}
