//! Seats and spans: where in an ordered list of peers somebody stands, and from where to where a neighbourhood goes.
//!
//! A seat carries the chunk of memory that it is in beside its rank, so that whoever was found once is reached again without
//! a search.

/// A rank in a list of peers, with the number of the chunk that it is in. Seats compare by their ranks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seat {
    pub(super) chunk: u32,
    pub(super) rank: u32,
}

impl Seat {
    /// The seat of the next peer. It may lie one behind the last of its chunk.
    #[inline]
    pub(super) fn next(self) -> Seat {
        Seat {
            chunk: self.chunk,
            rank: self.rank + 1,
        }
    }

    /// From this seat up to `end`.
    pub(super) fn until(self, end: Seat) -> Span {
        Span { start: self, end }
    }

    /// Just this seat.
    pub(super) fn only(self) -> Span {
        self.until(self.next())
    }

    /// Nobody, but where the seat is.
    pub(super) fn none(self) -> Span {
        self.until(self)
    }

    #[inline]
    pub(super) fn min(self, other: Seat) -> Seat {
        if other.rank < self.rank { other } else { self }
    }

    #[inline]
    pub(super) fn max(self, other: Seat) -> Seat {
        if other.rank > self.rank { other } else { self }
    }
}

/// The peers from one seat up to another, without that one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: Seat,
    pub(super) end: Seat,
}

impl Span {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end.rank.saturating_sub(self.start.rank) as usize
    }

    /// Whether it begins in `outer`.
    pub(super) fn is_in(&self, outer: &Span) -> bool {
        (outer.start.rank..outer.end.rank).contains(&self.start.rank)
    }

    /// What of it lies in `outer`.
    pub(super) fn clip(self, outer: Span) -> Span {
        let start = self.start.max(outer.start).min(outer.end);
        Span {
            start,
            end: self.end.min(outer.end).max(start),
        }
    }
}

/// How many leechers and seeders.
pub(super) fn count(spans: &[Span; 2]) -> [usize; 2] {
    spans.map(|span| span.len())
}

/// A number of peers as it is kept; there are never more than fit.
#[inline]
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
