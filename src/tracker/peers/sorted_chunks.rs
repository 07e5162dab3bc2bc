//! The peers of one role and family in a big swarm, in order (see `peer.rs`), cut into chunks.
//!
//! It answers "at which position does this sort key stand" and "who stands at this rank" in steps that hardly grow with the swarm,
//! keeps no index beside the peers, and finds the dead chunk by chunk.
//!
//! With three chunks of 96, 96 and 50 peers, `ends` is 96, 192, 242: chunk 1 holds ranks 96 to 191. A newcomer in chunk 1 makes it 96,
//! 193, 243. Had that chunk 128 peers already, it would be cut into 64 and 65: 96, 160, 225, …

use super::address::Address;
use super::chunk::{CHUNK, Chunk, steps};
use super::owner::StoredId;
use super::peer::{PackedKey, Peer, State};
use super::position::{Position, RankRange, number};
use crate::invariant::{certain, minus};

/// How many chunks to each side of a hint are searched before all are.
const WINDOW: usize = 8;

/// An ordered sequence of peers. All four lists have one item per chunk; no chunk is empty.
#[derive(Debug)]
pub(crate) struct SortedChunks<A: Address, I: StoredId> {
    chunks: Vec<Chunk<A, I>>,
    /// The sort key of each chunk's first peer.
    firsts: Vec<A::SortKey>,
    /// How many peers stand in all chunks up to and with this one.
    ends: Vec<u32>,
    /// No peer of the chunk was last seen before this.
    oldest: Vec<u32>,
}

impl<A: Address, I: StoredId> SortedChunks<A, I> {
    /// Makes sorted chunks of peers that are in order.
    pub(super) fn from_sorted(peers: &[Peer<A, I>]) -> SortedChunks<A, I> {
        let mut sorted_chunks = SortedChunks {
            chunks: peers.chunks(CHUNK * 3 / 4).map(Chunk::of).collect(),
            firsts: Vec::new(),
            ends: Vec::new(),
            oldest: Vec::new(),
        };
        sorted_chunks.reindex();
        sorted_chunks
    }

    /// Brings the three lists in line with the chunks. Cost: one look at every peer.
    /// Needed when a chunk has come or gone anywhere.
    fn reindex(&mut self) {
        self.chunks.retain(|chunk| chunk.len() > 0);
        self.firsts = self.chunks.iter().filter_map(Chunk::first).collect();
        self.oldest = self.chunks.iter().map(Chunk::oldest).collect();
        self.recount();
    }

    /// Brings `ends` in line with the chunks. Cost: one look at every chunk.
    fn recount(&mut self) {
        let mut end = 0;
        self.ends.clear();
        self.ends.extend(self.chunks.iter().map(|chunk| {
            end += number(chunk.len());
            end
        }));
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// Who stands last.
    #[inline]
    pub(super) fn last(&self) -> Option<&PackedKey<A>> {
        self.chunks.last()?.packed_keys.last()
    }

    /// No peer was last seen before this.
    pub(super) fn oldest(&self) -> u32 {
        self.oldest.iter().copied().min().unwrap_or(u32::MAX)
    }

    /// The rank of a chunk's first peer: that behind the last of the chunk before, and 0 in the first.
    #[inline]
    fn start_of(&self, chunk: usize) -> u32 {
        debug_assert!(
            chunk <= self.ends.len(),
            "hints are of chunks that are there"
        );
        let before = chunk
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        before.copied().unwrap_or(0)
    }

    /// Everybody.
    pub(super) fn whole(&self) -> RankRange {
        // Without chunks, in the first that there would be.
        let end = Position {
            chunk: number(self.chunks.len().saturating_sub(1)),
            rank: number(self.len()),
        };
        RankRange {
            start: Position::default(),
            end,
        }
    }

    /// The position of the first peer for whose sort key `is_before` does not hold; it must hold for all before a position and for none
    /// from there on. Cheapest when that is in chunk `near` or not far from it.
    #[inline]
    pub(super) fn seek(&self, near: usize, is_before: impl Fn(&A::SortKey) -> bool) -> Position {
        let chunk = self.chunk_for(near, &is_before);
        let within = steps(self.packed_keys(chunk), |packed_key| {
            is_before(&packed_key.sort_key())
        });
        Position {
            chunk: number(chunk),
            rank: self.start_of(chunk) + number(within),
        }
    }

    /// The last chunk for whose first sort key `is_before` holds, else the first chunk.
    ///
    /// Neighbourhoods lie around the requester, and drawn ranks ascend: nearly always it is chunk `near`, where two comparisons tell; else
    /// one of some beside it, where two more tell and few are searched; else all are.
    #[inline]
    fn chunk_for(&self, near: usize, is_before: impl Fn(&A::SortKey) -> bool) -> usize {
        let starts_before = |chunk: usize| self.firsts.get(chunk).is_some_and(&is_before);
        let is_between =
            |low: usize, high: usize| (low == 0 || starts_before(low)) && !starts_before(high);
        if is_between(near, near + 1) {
            return near;
        }
        let (low, high) = (near.saturating_sub(WINDOW), near + WINDOW);
        let range = if is_between(low, high) {
            low..high.min(self.firsts.len())
        } else {
            0..self.firsts.len()
        };
        let among = certain(
            self.firsts.get(range.clone()),
            &[],
            "the window begins at a chunk and ends at the last at most",
        );
        // None is before the first sort key of all: who would stand there is in the first chunk.
        (range.start + among.partition_point(is_before)).saturating_sub(1)
    }

    /// The position of the peer at `sort_key`.
    pub(super) fn find(&self, sort_key: A::SortKey) -> Option<Position> {
        let chunk = self.firsts.partition_point(|first| *first <= sort_key);
        let chunk = chunk.checked_sub(1)?;
        let packed_keys = self.packed_keys(chunk);
        let within = steps(packed_keys, |packed_key| packed_key.sort_key() < sort_key);
        let is_there = packed_keys.get(within).map(PackedKey::sort_key) == Some(sort_key);
        is_there.then(|| Position {
            chunk: number(chunk),
            rank: self.start_of(chunk) + number(within),
        })
    }

    /// None where there is no chunk at all.
    fn packed_keys(&self, chunk: usize) -> &[PackedKey<A>] {
        self.chunks
            .get(chunk)
            .map_or(&[], |chunk| chunk.packed_keys.as_slice())
    }

    /// Where in its chunk a position is.
    #[inline]
    fn within(&self, position: Position) -> usize {
        let start = self.start_of(position.chunk as usize);
        minus(position.rank, start, "a position carries its chunk") as usize
    }

    /// What is kept of the peer at a position. `last seen` may only grow.
    pub(super) fn state_mut(&mut self, position: Position) -> Option<&mut State<I>> {
        let within = self.within(position);
        let chunk = self.chunks.get_mut(position.chunk as usize)?;
        chunk.states.get_mut(within)
    }

    /// The chunk that a rank is in, with its number and the rank of its first peer; an empty one where nobody has that rank. Cheap when
    /// that is chunk `near` or the next one.
    #[inline]
    pub(super) fn chunk_of(
        &self,
        rank: u32,
        near: usize,
    ) -> (usize, u32, &[PackedKey<A>], &[State<I>]) {
        let from = if self.start_of(near) > rank { 0 } else { near };
        let ahead = certain(
            self.ends.get(from..),
            &[],
            "hints are of chunks that are there",
        );
        let chunk = match ahead {
            [first, ..] if *first > rank => from,
            [_, next, ..] if *next > rank => from + 1,
            _ => from + ahead.partition_point(|end| *end <= rank),
        };
        let (packed_keys, states) = self.chunks.get(chunk).map_or((&[][..], &[][..]), |chunk| {
            (chunk.packed_keys.as_slice(), chunk.states.as_slice())
        });
        (chunk, self.start_of(chunk), packed_keys, states)
    }

    /// As [`View::pick`](super::View::pick).
    #[inline]
    pub(super) fn pick(
        &self,
        ranks: impl Iterator<Item = u32>,
        near: usize,
        mut put: impl FnMut(A, &I),
    ) {
        let (mut at, mut start) = (near, 0);
        let (mut packed_keys, mut states): (&[PackedKey<A>], &[State<I>]) = (&[], &[]);
        for rank in ranks {
            // Wraps where the rank is before this chunk: then it is behind all peers too, and another chunk is looked up.
            let mut within = rank.wrapping_sub(start) as usize;
            if within >= packed_keys.len() {
                (at, start, packed_keys, states) = self.chunk_of(rank, at);
                within = minus(rank, start, "a rank is in its chunk") as usize;
            }
            if let (Some(packed_key), Some(state)) = (packed_keys.get(within), states.get(within)) {
                put(packed_key.address(), &state.id);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Peer<A, I>> {
        self.chunks.iter().flat_map(Chunk::iter)
    }

    /// Counts a peer that has come to a chunk (1) or gone from it (−1).
    fn shift(&mut self, from_chunk: usize, by: i32) {
        for end in self.ends.iter_mut().skip(from_chunk) {
            debug_assert!(end.checked_add_signed(by).is_some(), "who goes was counted");
            *end = end.wrapping_add_signed(by);
        }
    }

    /// Puts in a peer that is not there yet, by its sort key; returns its position.
    pub(super) fn insert(&mut self, peer: Peer<A, I>) -> Position {
        let sort_key = peer.sort_key();
        let position = self.seek(0, |other| *other < sort_key);
        let at = position.chunk as usize;
        let within = self.within(position);
        let Some(chunk) = self.chunks.get_mut(at) else {
            // The first peer of all.
            debug_assert!(self.chunks.is_empty(), "a position is in a chunk");
            *self = SortedChunks::from_sorted(&[peer]);
            return Position::default();
        };
        chunk.insert(within, peer);
        let is_full = chunk.len() > CHUNK;
        if within == 0
            && let Some(first) = self.firsts.get_mut(at)
        {
            *first = sort_key;
        }
        if let Some(oldest) = self.oldest.get_mut(at) {
            *oldest = (*oldest).min(peer.state.seen().raw());
        }
        self.shift(at, 1);
        if !is_full {
            return position;
        }
        self.split(at);
        let is_in_upper = self.ends.get(at).is_some_and(|end| *end <= position.rank);
        Position {
            chunk: position.chunk + u32::from(is_in_upper),
            ..position
        }
    }

    /// Cuts a chunk into halves.
    fn split(&mut self, at: usize) {
        let Some(chunk) = self.chunks.get_mut(at) else {
            debug_assert!(false, "a chunk that is full is there");
            return;
        };
        let upper = chunk.split();
        let middle = number(chunk.len()) + self.start_of(at);
        let Some(first) = upper.first() else {
            debug_assert!(false, "half of a full chunk is somebody");
            return;
        };
        // Of the upper half it may be later: a bound is enough, and the next expiry makes it exact. With 0 it is looked at then.
        let oldest = self.oldest.get(at).copied();
        let oldest = certain(oldest, 0, "all four lists have one item per chunk");
        self.chunks.insert(at + 1, upper);
        self.firsts.insert(at + 1, first);
        self.oldest.insert(at + 1, oldest);
        self.ends.insert(at, middle);
    }

    /// Takes the peer at a position out.
    pub(super) fn remove(&mut self, position: Position) -> Option<Peer<A, I>> {
        let (at, within) = (position.chunk as usize, self.within(position));
        let chunk = self.chunks.get_mut(at)?;
        if within >= chunk.len() {
            debug_assert!(false, "positions are of peers that are there");
            return None;
        }
        let peer = chunk.remove(within);
        let first = chunk.first();
        if let (Some(first), Some(cell)) = (first, self.firsts.get_mut(at)) {
            *cell = first;
        }
        self.shift(at, -1);
        self.join(at);
        Some(peer)
    }

    /// Drops a chunk that is empty, and joins one that has become small to the next: of 96, 32, 60 and 50 peers the second goes before
    /// the third, which makes 96, 92 and 50. The last chunk has no next one and stays small.
    fn join(&mut self, at: usize) {
        let Some(size) = self.chunks.get(at).map(Chunk::len) else {
            debug_assert!(false, "a chunk that somebody left is there");
            return;
        };
        let next = self.chunks.get(at + 1).map(Chunk::len);
        let may_join = size <= CHUNK / 4 && next.is_some_and(|next| next + size <= CHUNK * 3 / 4);
        if size > 0 && !may_join {
            return;
        }
        let small = self.chunks.remove(at);
        let first = self.firsts.remove(at);
        let oldest = self.oldest.remove(at);
        self.ends.remove(at);
        if size > 0
            && let (Some(chunk), Some(cell)) = (self.chunks.get_mut(at), self.firsts.get_mut(at))
        {
            chunk.prepend(small);
            *cell = first;
            if let Some(cell) = self.oldest.get_mut(at) {
                *cell = (*cell).min(oldest);
            }
        }
    }

    /// Removes who was last seen at or before `horizon`, and tells `on_removed` of each. Looks only into chunks that may hold one.
    pub(super) fn expire(&mut self, horizon: u32, on_removed: &mut impl FnMut(&Peer<A, I>)) {
        let mut has_emptied = false;
        let lists = self
            .chunks
            .iter_mut()
            .zip(&mut self.oldest)
            .zip(&mut self.firsts);
        for ((chunk, oldest), first) in lists.filter(|((_, oldest), _)| **oldest <= horizon) {
            chunk.expire(horizon, on_removed);
            *oldest = chunk.oldest();
            match chunk.first() {
                Some(sort_key) => *first = sort_key,
                None => has_emptied = true,
            }
        }
        if has_emptied {
            self.reindex();
        } else {
            self.recount();
        }
        self.join_small();
    }

    /// Joins neighbours that many deaths have left small, so that a shrunken swarm has few chunks again.
    fn join_small(&mut self) {
        if self.chunks.len() * CHUNK / 4 <= self.len() {
            return;
        }
        let peers: Vec<Peer<A, I>> = self.iter().collect();
        *self = SortedChunks::from_sorted(&peers);
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::oldest_of;
    use super::*;
    use crate::clock::Seconds;
    use crate::tracker::id::PeerId;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    type Small = Peer<[u8; 6], PeerId>;

    fn peer(number: u16, seen: u32) -> Small {
        let [high, low] = number.to_be_bytes();
        Peer::new(
            [10, 0, high, low, 0, 1],
            PeerId([1; 20]),
            u32::from(number % 3),
            Seconds::from_raw(seen),
        )
    }

    fn check(sorted_chunks: &SortedChunks<[u8; 6], PeerId>, model: &[Small]) {
        let sort_keys: Vec<_> = model.iter().map(Peer::sort_key).collect();
        assert_eq!(sorted_chunks.len(), model.len());
        assert_eq!(
            sorted_chunks
                .iter()
                .map(|peer| peer.sort_key())
                .collect::<Vec<_>>(),
            sort_keys
        );
        for (rank, sort_key) in sort_keys.iter().enumerate() {
            let position = sorted_chunks.find(*sort_key).unwrap();
            assert_eq!(position.rank as usize, rank);
            for near in 0..=sorted_chunks.chunks.len() {
                assert_eq!(
                    sorted_chunks.seek(near, |other| other < sort_key).rank,
                    position.rank
                );
                assert_eq!(
                    sorted_chunks.seek(near, |other| other <= sort_key).rank,
                    position.rank + 1
                );
            }
            for near in 0..=sorted_chunks.chunks.len() {
                let (chunk, start, packed_keys, states) =
                    sorted_chunks.chunk_of(position.rank, near);
                assert_eq!(chunk, position.chunk as usize);
                assert_eq!(packed_keys.len(), states.len());
                let within = (position.rank - start) as usize;
                assert_eq!(
                    packed_keys.get(within).map(PackedKey::sort_key),
                    Some(*sort_key)
                );
            }
        }
        assert!(
            sorted_chunks
                .chunks
                .iter()
                .all(|chunk| chunk.len() > 0 && chunk.len() <= CHUNK)
        );
        assert!(sorted_chunks.oldest() <= oldest_of(model.iter().map(|peer| &peer.state)));
    }

    proptest! {
        #[test]
        fn sorted_chunks_agree_with_a_sorted_list(steps in proptest::collection::vec((any::<u16>(), 0_u32..100, 0_u8..8), 1..2_000)) {
            let mut sorted_chunks = SortedChunks::from_sorted(&[]);
            let mut model: Vec<Small> = Vec::new();
            for (number, seen, kind) in steps {
                let new = peer(number % 700, seen);
                let there = model.binary_search_by_key(&new.sort_key(), Peer::sort_key);
                let found = sorted_chunks.find(new.sort_key());
                prop_assert_eq!(found.map(|position| position.rank as usize), there.ok());
                match (kind, there) {
                    (0, _) if seen < 10 => {
                        let mut removed = 0;
                        sorted_chunks.expire(seen, &mut |_| removed += 1);
                        let before = model.len();
                        model.retain(|peer| peer.state.seen().raw() > seen);
                        prop_assert_eq!(removed, before - model.len());
                    }
                    (1, Ok(rank)) => {
                        model.remove(rank);
                        let position = found.unwrap_or_default();
                        prop_assert_eq!(sorted_chunks.remove(position).map(|peer| peer.sort_key()), Some(new.sort_key()));
                    }
                    (_, Err(rank)) => {
                        model.insert(rank, new);
                        let position = sorted_chunks.insert(new);
                        prop_assert_eq!(position.rank as usize, rank);
                        prop_assert_eq!(sorted_chunks.find(new.sort_key()).map(|found| (found.chunk, found.rank)), Some((position.chunk, position.rank)));
                    }
                    _ => {}
                }
            }
            check(&sorted_chunks, &model);
        }
    }

    #[test]
    fn sorted_chunks_shrink_with_their_swarm() {
        let peers: Vec<Small> = (0..10_000_u16)
            .map(|number| peer(number * 3, u32::from(number % 100) + 1))
            .collect();
        let mut sorted_chunks = SortedChunks::from_sorted(&peers);
        sorted_chunks.expire(99, &mut |_| {});
        assert_eq!(sorted_chunks.len(), 100);
        assert!(sorted_chunks.chunks.len() <= 4);
    }
}
