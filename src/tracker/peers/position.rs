//! Positions and rank ranges: where in an ordered list of peers somebody stands, and from where to where a neighbourhood goes.
//!
//! A position carries the chunk of memory that it is in beside its rank, so that whoever was found once is reached again without
//! a search.

/// A rank in a list of peers, with the number of the chunk that it is in. Seats compare by their ranks.
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
        self.end.rank.saturating_sub(self.start.rank) as usize
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

/// A number of peers as it is kept; there are never more than fit.
#[inline]
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
