//! Positions and rank ranges: where in an ordered list of peers somebody stands, and from where to where a neighbourhood goes.
//!
//! A position carries the chunk of memory that it is in beside its rank, so that whoever was found once is reached again without
//! a search.

use crate::invariant::{certain, minus};

/// A rank in a list of peers, with the number of the chunk that it is in: in chunks of 96, 96 and 50 peers, rank 100 is in chunk 1, the
/// fifth there. Positions compare by their ranks.
///
/// A position holds for the list that it was found in, until somebody joins or leaves there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    pub chunk: u32,
    pub rank: u32,
}

impl Position {
    /// The position of the next peer. It may lie one behind the last of its chunk.
    #[inline]
    fn next(self) -> Position {
        Position {
            chunk: self.chunk,
            rank: self.rank + 1,
        }
    }

    /// From this position up to `end`.
    pub(crate) fn until(self, end: Position) -> RankRange {
        RankRange { start: self, end }
    }

    /// Just this position.
    pub(crate) fn only(self) -> RankRange {
        self.until(self.next())
    }

    /// Nobody, but where the position is.
    pub(crate) fn none(self) -> RankRange {
        self.until(self)
    }

    #[inline]
    fn min(self, other: Position) -> Position {
        if other.rank < self.rank { other } else { self }
    }

    #[inline]
    fn max(self, other: Position) -> Position {
        if other.rank > self.rank { other } else { self }
    }
}

/// The peers from one position up to another, without that one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RankRange {
    pub start: Position,
    pub end: Position,
}

impl RankRange {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let len = minus(
            self.end.rank,
            self.start.rank,
            "a range does not end before it starts",
        );
        len as usize
    }

    /// Whether it begins in `outer`.
    pub(crate) fn is_in(&self, outer: &RankRange) -> bool {
        (outer.start.rank..outer.end.rank).contains(&self.start.rank)
    }

    /// What of it lies in `outer`.
    pub(crate) fn clip(self, outer: RankRange) -> RankRange {
        let start = self.start.max(outer.start).min(outer.end);
        RankRange {
            start,
            end: self.end.min(outer.end).max(start),
        }
    }
}

/// A number of peers as it is kept.
#[inline]
pub(crate) fn number(count: usize) -> u32 {
    let number = u32::try_from(count).ok();
    certain(number, u32::MAX, "`max_peers` is a u32")
}
