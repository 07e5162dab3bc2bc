//! The peers of one role in one swarm as they are asked for: by place, by rank, in spans. A flat list or a roll.

use super::peer::{Address, KeptId, Peer, Spot, State};
use super::roll::Roll;
use super::span::{Seat, Span, number};

/// The peers of one role, as they are asked for by rank.
#[derive(Debug)]
pub(super) enum View<'a, A: Address, I: KeptId> {
    Flat(&'a [Peer<A, I>]),
    Roll(&'a Roll<A, I>),
}

impl<A: Address, I: KeptId> Clone for View<'_, A, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Address, I: KeptId> Copy for View<'_, A, I> {}

/// Peers that stand together in memory.
#[derive(Debug)]
pub(super) enum Run<'a, A: Address, I: KeptId> {
    Flat(&'a [Peer<A, I>]),
    Chunk(&'a [Spot<A>], &'a [State<I>]),
}

impl<'a, A: Address, I: KeptId> Run<'a, A, I> {
    pub(super) fn len(&self) -> usize {
        match self {
            Run::Flat(peers) => peers.len(),
            Run::Chunk(spots, _) => spots.len(),
        }
    }

    /// At most so many of them from the `first` on.
    #[inline]
    pub(super) fn cut(self, first: usize, most: usize) -> Run<'a, A, I> {
        let end = self.len().min(first.saturating_add(most));
        match self {
            Run::Flat(peers) => Run::Flat(peers.get(first..end).unwrap_or_default()),
            Run::Chunk(spots, states) => Run::Chunk(
                spots.get(first..end).unwrap_or_default(),
                states.get(first..end).unwrap_or_default(),
            ),
        }
    }
}

impl<'a, A: Address, I: KeptId> View<'a, A, I> {
    /// Everybody.
    pub(super) fn whole(&self) -> Span {
        match self {
            View::Flat(peers) => Span {
                start: Seat::default(),
                end: flat_seat(peers.len()),
            },
            View::Roll(roll) => roll.whole(),
        }
    }

    /// As [`Roll::seek`]; a flat list is one chunk.
    #[inline]
    pub(super) fn seek(&self, near: usize, is_before: impl Fn(&A::Place) -> bool) -> Seat {
        match self {
            View::Flat(peers) => flat_seat(peers.partition_point(|peer| is_before(&peer.place()))),
            View::Roll(roll) => roll.seek(near, is_before),
        }
    }

    /// The seat of the peer at `place`.
    #[inline(always)]
    pub(super) fn find(&self, place: A::Place) -> Option<Seat> {
        match self {
            View::Flat(peers) => {
                let rank = peers.binary_search_by(|peer| peer.place().cmp(&place));
                rank.ok().map(flat_seat)
            }
            View::Roll(roll) => roll.find(place),
        }
    }

    /// Who stands last: it tells whether somebody is in a higher tier.
    #[inline]
    fn last(&self) -> Option<&'a Spot<A>> {
        match *self {
            View::Flat(peers) => peers.last().map(|peer| &peer.spot),
            View::Roll(roll) => roll.last(),
        }
    }

    /// Whether somebody is not for everybody.
    #[inline]
    pub(super) fn has_tiers(&self) -> bool {
        self.last().is_some_and(Spot::is_apart)
    }

    /// Whether somebody stands with the surplus.
    #[inline]
    pub(super) fn has_surplus(&self) -> bool {
        self.last().is_some_and(Spot::is_surplus)
    }

    /// The peers from `low` to `high`, both included. Cheapest when they are in chunk `near` or not far from it.
    #[inline]
    pub(super) fn span(&self, low: A::Place, high: A::Place, near: usize) -> Span {
        Span {
            start: self.seek(near, |place| *place < low),
            end: self.seek(near, |place| *place <= high),
        }
    }

    /// Hands address and id of the peers at some ranks to `put`. Cheapest when they ascend from chunk `near` on.
    #[inline]
    pub(super) fn pick(
        &self,
        ranks: impl Iterator<Item = u32>,
        near: usize,
        mut put: impl FnMut(A, &I),
    ) {
        match self {
            View::Flat(peers) => {
                for peer in ranks.filter_map(|rank| peers.get(rank as usize)) {
                    put(peer.spot.address(), &peer.state.id);
                }
            }
            View::Roll(roll) => roll.pick(ranks, near, put),
        }
    }

    /// The peer at a rank, and its seat.
    pub(super) fn peer_at(&self, rank: u32) -> Option<(Seat, Peer<A, I>)> {
        let (chunk, start, run) = self.run_of(rank, 0);
        let within = rank.saturating_sub(start) as usize;
        let peer = match run {
            Run::Flat(peers) => *peers.get(within)?,
            Run::Chunk(spots, states) => Peer {
                spot: *spots.get(within)?,
                state: *states.get(within)?,
            },
        };
        let chunk = number(chunk);
        Some((Seat { chunk, rank }, peer))
    }

    /// The run that a rank is in, with its number and the rank of its first peer. Cheap when that is run `near` or the next.
    #[inline]
    pub(super) fn run_of(&self, rank: u32, near: usize) -> (usize, u32, Run<'a, A, I>) {
        match *self {
            View::Flat(peers) => (0, 0, Run::Flat(peers)),
            View::Roll(roll) => {
                let (chunk, start, spots, states) = roll.chunk_of(rank, near);
                (chunk, start, Run::Chunk(spots, states))
            }
        }
    }
}

/// The seat of a rank in a flat list, which is one chunk.
pub(super) fn flat_seat(rank: usize) -> Seat {
    Seat {
        chunk: 0,
        rank: number(rank),
    }
}
