//! What a torrent counts as in the totals, and how it compares with what a snapshot has of it.

use super::Swarm;
use crate::tracker::abuse::address_counts::Charge;
use crate::tracker::peers::owner::StoredId;

/// What a torrent counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupancy {
    /// There is no such torrent.
    Absent,
    /// It is there for its count only, which this one is charged for.
    IdleTorrent(Charge),
    /// It has so many peers.
    Living(usize),
}

impl Occupancy {
    /// Of a torrent with so many peers, whose count is charged so while it has none.
    pub(super) fn of(peers: usize, charge: Charge) -> Occupancy {
        match peers {
            0 => Occupancy::IdleTorrent(charge),
            peers => Occupancy::Living(peers),
        }
    }

    pub(super) fn peers(self) -> usize {
        match self {
            Occupancy::Living(peers) => peers,
            Occupancy::Absent | Occupancy::IdleTorrent(_) => 0,
        }
    }

    pub(super) fn is_living(self) -> bool {
        self.peers() > 0
    }
}

/// How what was last exported of a swarm compares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExportState {
    /// It never was.
    Never,
    /// It has changed since.
    Old,
    /// It is the same.
    Same,
}

impl<I: StoredId> Swarm<I> {
    /// What it counts as, while it is in the map.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy::of(self.len(), self.charge)
    }

    pub(super) fn is_changed(&self) -> bool {
        self.export != ExportState::Same
    }

    /// Notes that it is no longer what was exported.
    pub(super) fn touch(&mut self) {
        if self.export == ExportState::Same {
            self.export = ExportState::Old;
        }
    }
}
