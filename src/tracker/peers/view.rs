//! The peers of one role in one swarm as they are asked for: by sort key, by rank, in rank ranges. A flat list or sorted chunks.

use super::address::Address;
use super::owner::StoredId;
use super::peer::{PackedKey, Peer, State};
use super::position::{Position, RankRange, number};
use super::sorted_chunks::SortedChunks;
use crate::invariant::minus;

/// The peers of one role, as they are asked for by rank.
#[derive(Debug)]
pub(crate) enum View<'a, A: Address, I: StoredId> {
    Flat(&'a [Peer<A, I>]),
    SortedChunks(&'a SortedChunks<A, I>),
}

impl<A: Address, I: StoredId> Clone for View<'_, A, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Address, I: StoredId> Copy for View<'_, A, I> {}

/// Peers that stand together in memory.
#[derive(Debug)]
pub(crate) enum Run<'a, A: Address, I: StoredId> {
    Flat(&'a [Peer<A, I>]),
    Chunk(&'a [PackedKey<A>], &'a [State<I>]),
}

impl<'a, A: Address, I: StoredId> Run<'a, A, I> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Run::Flat(peers) => peers.len(),
            Run::Chunk(packed_keys, _) => packed_keys.len(),
        }
    }

    /// At most so many of them from the `first` on; none where there are no more than `first`.
    #[inline]
    pub(crate) fn cut(self, first: usize, most: usize) -> Run<'a, A, I> {
        let end = self.len().min(first + most);
        match self {
            Run::Flat(peers) => Run::Flat(peers.get(first..end).unwrap_or_default()),
            Run::Chunk(packed_keys, states) => Run::Chunk(
                packed_keys.get(first..end).unwrap_or_default(),
                states.get(first..end).unwrap_or_default(),
            ),
        }
    }
}

impl<'a, A: Address, I: StoredId> View<'a, A, I> {
    /// Everybody.
    pub(crate) fn whole(&self) -> RankRange {
        match self {
            View::Flat(peers) => RankRange {
                start: Position::default(),
                end: flat_position(peers.len()),
            },
            View::SortedChunks(sorted_chunks) => sorted_chunks.whole(),
        }
    }

    /// As [`SortedChunks::seek`]; a flat list is one chunk.
    #[inline]
    pub(crate) fn seek(&self, near: usize, is_before: impl Fn(&A::SortKey) -> bool) -> Position {
        match self {
            View::Flat(peers) => {
                flat_position(peers.partition_point(|peer| is_before(&peer.sort_key())))
            }
            View::SortedChunks(sorted_chunks) => sorted_chunks.seek(near, is_before),
        }
    }

    /// The position of the peer at `sort_key`.
    #[inline(always)]
    pub(super) fn find(&self, sort_key: A::SortKey) -> Option<Position> {
        match self {
            View::Flat(peers) => {
                let rank = peers.binary_search_by(|peer| peer.sort_key().cmp(&sort_key));
                rank.ok().map(flat_position)
            }
            View::SortedChunks(sorted_chunks) => sorted_chunks.find(sort_key),
        }
    }

    /// Who stands last: it tells whether somebody is in a higher tier.
    #[inline]
    fn last(&self) -> Option<&'a PackedKey<A>> {
        match *self {
            View::Flat(peers) => peers.last().map(|peer| &peer.packed_key),
            View::SortedChunks(sorted_chunks) => sorted_chunks.last(),
        }
    }

    /// Whether somebody is not for everybody.
    #[inline]
    pub(crate) fn has_tiers(&self) -> bool {
        self.last().is_some_and(PackedKey::is_apart)
    }

    /// Whether somebody stands with the surplus.
    #[inline]
    pub(super) fn has_surplus(&self) -> bool {
        self.last().is_some_and(PackedKey::is_surplus)
    }

    /// The peers from `low` to `high`, both included. Cheapest when they are in chunk `near` or not far from it.
    #[inline]
    pub(crate) fn range(&self, low: A::SortKey, high: A::SortKey, near: usize) -> RankRange {
        RankRange {
            start: self.seek(near, |sort_key| *sort_key < low),
            end: self.seek(near, |sort_key| *sort_key <= high),
        }
    }

    /// Hands address and id of the peers at some ranks to `put`. Cheapest when they ascend from chunk `near` on.
    #[inline]
    pub(crate) fn pick(
        &self,
        ranks: impl Iterator<Item = u32>,
        near: usize,
        mut put: impl FnMut(A, &I),
    ) {
        match self {
            View::Flat(peers) => {
                for peer in ranks.filter_map(|rank| peers.get(rank as usize)) {
                    put(peer.packed_key.address(), &peer.state.id);
                }
            }
            View::SortedChunks(sorted_chunks) => sorted_chunks.pick(ranks, near, put),
        }
    }

    /// The peer at a rank, and its position.
    pub(crate) fn peer_at(&self, rank: u32) -> Option<(Position, Peer<A, I>)> {
        let (chunk, start, run) = self.run_of(rank, 0);
        let within = minus(rank, start, "a rank is in its run") as usize;
        let peer = match run {
            Run::Flat(peers) => *peers.get(within)?,
            Run::Chunk(packed_keys, states) => Peer {
                packed_key: *packed_keys.get(within)?,
                state: *states.get(within)?,
            },
        };
        let chunk = number(chunk);
        Some((Position { chunk, rank }, peer))
    }

    /// The run that a rank is in, with its number and the rank of its first peer; an empty one where nobody has that rank. Cheap when
    /// that is run `near` or the next.
    #[inline]
    pub(crate) fn run_of(&self, rank: u32, near: usize) -> (usize, u32, Run<'a, A, I>) {
        match *self {
            View::Flat(peers) => (0, 0, Run::Flat(peers)),
            View::SortedChunks(sorted_chunks) => {
                let (chunk, start, packed_keys, states) = sorted_chunks.chunk_of(rank, near);
                (chunk, start, Run::Chunk(packed_keys, states))
            }
        }
    }
}

/// The position of a rank in a flat list, which is one chunk.
pub(super) fn flat_position(rank: usize) -> Position {
    Position {
        chunk: 0,
        rank: number(rank),
    }
}
