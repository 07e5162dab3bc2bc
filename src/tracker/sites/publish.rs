//! What others are told: the last state of peers and counts, read from the swarms when it is asked for.

use super::{Origin, SwarmDelta, Touched};
use crate::clock::Seconds;
use crate::tracker::Tracker;
use crate::tracker::id::InfoHash;

impl Tracker {
    /// The last state of peers that were noted, by torrent. Takes the lock of one shard for each torrent.
    pub fn deltas_of(&self, _touched: Vec<Touched>, _now: Seconds) -> Vec<SwarmDelta> {
        Vec::new()
    }

    /// The torrents that have own living peers or an own count, in no order.
    pub fn own_torrents(&self) -> Vec<InfoHash> {
        Vec::new()
    }

    /// All own living peers of a torrent and the own count; `None` when there are none.
    pub fn own_delta(&self, _hash: &InfoHash, _now: Seconds) -> Option<SwarmDelta> {
        None
    }

    /// Own peers that have left at or after `since` and have not come back, as far as that is remembered.
    pub fn own_leaves(&self, _since: Seconds) -> Vec<SwarmDelta> {
        Vec::new()
    }

    /// The torrents that anybody completed, here or elsewhere, in no order.
    pub fn torrents_with_counts(&self) -> Vec<InfoHash> {
        Vec::new()
    }

    /// The counts of a torrent by origin, without peers; `None` when nobody completed it.
    pub fn counts_delta(&self, _hash: &InfoHash) -> Option<SwarmDelta> {
        None
    }

    /// How many peers are known from each origin, by its number; at 0 this tracker's own. Costs nothing.
    pub fn peers_by_origin(&self) -> [u64; super::MAX_ORIGINS] {
        [0; super::MAX_ORIGINS]
    }

    /// Drops all that is known from an origin: peers and counts. Returns how many peers. Holds one shard at a time.
    pub fn forget(&self, _origin: Origin, _now: Seconds) -> u64 {
        0
    }
}
