//! What a torrent counts as in the totals, and how it compares with what a snapshot has of it.

use super::loads::Charge;
use super::peer::KeptId;
use super::swarm::Swarm;

/// What a torrent counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is no such torrent.
    Absent,
    /// It is there for its count only, which this one is charged for.
    Idle(Charge),
    /// It has so many peers.
    Living(usize),
}

impl Standing {
    /// Of a torrent with so many peers, whose count is charged so while it has none.
    pub(super) fn of(peers: usize, charge: Charge) -> Standing {
        match peers {
            0 => Standing::Idle(charge),
            peers => Standing::Living(peers),
        }
    }

    pub(super) fn peers(self) -> usize {
        match self {
            Standing::Living(peers) => peers,
            Standing::Absent | Standing::Idle(_) => 0,
        }
    }

    pub(super) fn is_living(self) -> bool {
        self.peers() > 0
    }
}

/// How what was last exported of a swarm compares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Export {
    /// It never was.
    Never,
    /// It has changed since.
    Old,
    /// It is the same.
    Same,
}

impl<I: KeptId> Swarm<I> {
    /// What it counts as, while it is in the map.
    pub(super) fn standing(&self) -> Standing {
        Standing::of(self.len(), self.charge)
    }

    pub(super) fn is_changed(&self) -> bool {
        self.export != Export::Same
    }

    /// Notes that it is no longer what was exported.
    pub(super) fn touch(&mut self) {
        if self.export == Export::Same {
            self.export = Export::Old;
        }
    }
}
