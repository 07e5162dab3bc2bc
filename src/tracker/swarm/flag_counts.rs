//! How many peers of a swarm have a flag, counted as they change so that nobody walks them: paused partial seeds, and those
//! whose address is only reported.

use super::Swarm;
use crate::invariant::minus;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::State;

/// Peers in one swarm at most whose address is only what somebody reported. More are not stored, but answered.
pub(super) const MAX_REPORTED: u8 = 64;

/// How many peers have each flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlagCounts {
    /// Paused partial seeds (BEP 21).
    paused: u32,
    /// Those with a reported address; they are never more than [`MAX_REPORTED`].
    reported: u8,
}

/// The flags of some peers before an announce, or before they left, and after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlagCountsChange {
    pub before: FlagCounts,
    pub after: FlagCounts,
}

impl FlagCounts {
    /// Those of one peer.
    pub(super) fn of<I: StoredId>(state: &State<I>) -> FlagCounts {
        FlagCounts {
            paused: state.is_paused().into(),
            reported: state.is_reported().into(),
        }
    }

    pub(super) fn plus(self, more: FlagCounts) -> FlagCounts {
        FlagCounts {
            paused: self.paused + more.paused,
            // A database may have more with a reported address than are taken today.
            reported: self.reported.saturating_add(more.reported),
        }
    }

    fn without(self, less: FlagCounts) -> FlagCounts {
        FlagCounts {
            paused: minus(self.paused, less.paused, "who leaves was counted"),
            // As above: of more than 255, some were not counted.
            reported: self.reported.saturating_sub(less.reported),
        }
    }
}

impl<I: StoredId> Swarm<I> {
    fn flag_counts(&self) -> FlagCounts {
        let (paused, reported) = (self.paused, self.reported);
        FlagCounts { paused, reported }
    }

    /// Takes off the flags that peers had and adds those that they have.
    pub(super) fn apply(&mut self, change: FlagCountsChange) {
        let flag_counts = self.flag_counts().plus(change.after).without(change.before);
        (self.paused, self.reported) = (flag_counts.paused, flag_counts.reported);
    }
}
