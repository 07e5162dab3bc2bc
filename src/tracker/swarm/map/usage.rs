//! How full the tracker is: peers, torrents with peers, torrents without (S5), kept in line with every change of a torrent; and
//! with them, what is charged to whom.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::metrics::{AnnounceOutcome, Full};
use crate::net::subscriber::ENTRY;
use crate::tracker::abuse::address_counts::{AddressCounts, Charge};
use crate::tracker::settings::Settings;
use crate::tracker::swarm::occupancy::Occupancy;

/// The totals.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    peers: CachePadded<AtomicI64>,
    /// Torrents with peers.
    living: CachePadded<AtomicI64>,
    /// Torrents without, of which a count is kept.
    idle: CachePadded<AtomicI64>,
    /// Counts that each source may keep when there are too many, as the last sweep found; 0 before one did.
    fair_counts: AtomicU32,
}

fn is_full(counter: &AtomicI64, bound: u32) -> bool {
    bound != 0 && counter.load(Relaxed) >= i64::from(bound)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Usage {
    pub(super) fn peers(&self) -> u64 {
        u64::try_from(self.peers.load(Relaxed)).unwrap_or(0)
    }

    /// Brings the totals, and what is charged to whom, in line with a torrent that has changed.
    pub(super) fn settle(
        &self,
        before: Occupancy,
        after: Occupancy,
        address_counts: &AddressCounts,
    ) {
        if before == after {
            return;
        }
        let change = signed(after.peers()) - signed(before.peers());
        self.peers.fetch_add(change, Relaxed);
        let change = i64::from(after.is_living()) - i64::from(before.is_living());
        if change != 0 {
            self.living.fetch_add(change, Relaxed);
        }
        if let Occupancy::IdleTorrent(charge) = before {
            self.idle.fetch_sub(1, Relaxed);
            address_counts.discharge(charge);
        }
        if let Occupancy::IdleTorrent(charge) = after {
            self.idle.fetch_add(1, Relaxed);
            address_counts.charge(charge);
        }
    }

    /// Whether one more peer may be stored, in a torrent that has others or is new.
    ///
    /// # Errors
    /// The bound that is in the way.
    pub(super) fn has_room(
        &self,
        is_living: bool,
        settings: &Settings,
    ) -> Result<(), AnnounceOutcome> {
        if !is_living && is_full(&self.living, settings.max_torrents) {
            Err(AnnounceOutcome::FullTorrents)
        } else if is_full(&self.peers, settings.max_peers) {
            Err(AnnounceOutcome::FullPeers)
        } else {
            Ok(())
        }
    }

    /// For how many more peers and torrents there is room.
    pub(super) fn room(&self, settings: &Settings) -> (usize, usize) {
        let room = |counter: &AtomicI64, bound: u32| match bound {
            0 => usize::MAX,
            bound => usize::try_from(i64::from(bound) - counter.load(Relaxed)).unwrap_or(0),
        };
        let peers = room(&self.peers, settings.max_peers);
        (peers, room(&self.living, settings.max_torrents))
    }

    /// Reserves room that is being made (`change` of 1) or gives it back (−1), so that nobody else takes it.
    pub(super) fn hold(&self, bound: Full, change: i64) {
        self.peers.fetch_add(change, Relaxed);
        if bound == Full::Torrents {
            self.living.fetch_add(change, Relaxed);
        }
    }

    /// For how many more peers and torrents that another tracker tells of there is room: a tenth is kept for who announces here.
    pub(super) fn room_for_others(&self, settings: &Settings) -> (usize, usize) {
        let room = |counter: &AtomicI64, bound: u32| match bound {
            0 => usize::MAX,
            bound => {
                let most = i64::from(bound - bound / 10);
                usize::try_from(most - counter.load(Relaxed)).unwrap_or(0)
            }
        };
        let peers = room(&self.peers, settings.max_peers);
        (peers, room(&self.living, settings.max_torrents))
    }

    /// Whether one more torrent without peers that another tracker tells of may be kept.
    pub(super) fn may_idle_for_others(&self, settings: &Settings) -> bool {
        let bound = settings.max_torrents;
        bound == 0 || !is_full(&self.idle, bound - bound / 10)
    }

    /// Whether the whole tracker has a bound that can be met.
    pub(super) fn is_bounded(settings: &Settings) -> bool {
        settings.max_peers != 0 || settings.max_torrents != 0
    }

    /// Whether more than half of a bound is reached.
    pub(super) fn is_crowded(&self, settings: &Settings) -> bool {
        let is_half_full = |counter: &AtomicI64, bound: u32| {
            bound != 0 && counter.load(Relaxed) > i64::from(bound / 2)
        };
        is_half_full(&self.peers, settings.max_peers)
            || is_half_full(&self.living, settings.max_torrents)
    }

    /// Whether there are as many torrents without peers as may be.
    pub(crate) fn has_surplus(&self, settings: &Settings) -> bool {
        is_full(&self.idle, settings.max_torrents)
    }

    /// Notes how many counts each source may keep.
    pub(super) fn set_fair(&self, counts: usize) {
        let counts = u32::try_from(counts).unwrap_or(u32::MAX);
        self.fair_counts.store(counts, Relaxed);
    }

    /// Whether a torrent that the last peer has just left stays for its count. When there are too many such, those of sources
    /// that left many behind do not wait for the sweep.
    pub(super) fn may_idle(
        &self,
        charge: Charge,
        address_counts: &AddressCounts,
        settings: &Settings,
    ) -> bool {
        let bound = settings.max_torrents;
        if !is_full(&self.idle, bound) {
            return true;
        }
        let fair = match self.fair_counts.load(Relaxed) {
            0 => bound / 64,
            fair => fair,
        };
        let is_fair = address_counts.weight_of(charge) / ENTRY <= fair;
        is_fair && !is_full(&self.idle, bound.saturating_add(bound / 8))
    }
}
