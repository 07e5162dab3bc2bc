//! The ranks of one role in a region, with the gap that a nearer region leaves in it.

use crate::invariant::minus;
use crate::tracker::peers::position::RankRange;

/// The ranks of one role in a region: what lies in `outer` but not in `gap`, which lies in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RegionRanks {
    pub outer: RankRange,
    /// What a nearer region has already, or the requester itself.
    pub gap: RankRange,
}

impl RegionRanks {
    #[inline]
    pub(super) fn len(&self) -> usize {
        minus(
            self.outer.len(),
            self.gap.len(),
            "each region lies around the one before",
        )
    }
}
