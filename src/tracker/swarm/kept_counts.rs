//! Kept counts of peers that stand out in a swarm: paused partial seeds, and those whose address is only reported.

use super::Swarm;
use crate::invariant::minus;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::State;

/// Peers in one swarm at most whose address is only what somebody reported. More are not stored, but answered.
pub(super) const MAX_REPORTED: u8 = 64;

/// How many peers are marked so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptCounts {
    /// Paused partial seeds (BEP 21).
    paused: u32,
    /// Those with a reported address; they are never more than [`MAX_REPORTED`].
    reported: u8,
}

/// What some peers counted for before an announce, or before they left, and what they count for after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptCountsChange {
    pub before: KeptCounts,
    pub after: KeptCounts,
}

impl KeptCounts {
    /// What one peer counts for.
    pub(super) fn of<I: StoredId>(state: &State<I>) -> KeptCounts {
        KeptCounts {
            paused: state.is_paused().into(),
            reported: state.is_reported().into(),
        }
    }

    pub(super) fn plus(self, more: KeptCounts) -> KeptCounts {
        KeptCounts {
            paused: self.paused + more.paused,
            // A database may have more with a reported address than are taken today.
            reported: self.reported.saturating_add(more.reported),
        }
    }

    fn without(self, less: KeptCounts) -> KeptCounts {
        KeptCounts {
            paused: minus(self.paused, less.paused, "who leaves was counted"),
            // As above: of more than 255, some were not counted.
            reported: self.reported.saturating_sub(less.reported),
        }
    }
}

impl<I: StoredId> Swarm<I> {
    fn kept_counts(&self) -> KeptCounts {
        let (paused, reported) = (self.paused, self.reported);
        KeptCounts { paused, reported }
    }

    /// Counts what peers have come to count for and no longer count for.
    pub(super) fn apply(&mut self, change: KeptCountsChange) {
        let kept_counts = self.kept_counts().plus(change.after).without(change.before);
        (self.paused, self.reported) = (kept_counts.paused, kept_counts.reported);
    }
}
