//! The peers of one role and family in a big swarm, in order (see `peer.rs`), cut into chunks.
//!
//! It answers "at which rank does this place stand" and "who stands at this rank" in steps that hardly grow with the
//! swarm, keeps no index beside the peers, and finds the dead chunk by chunk.

use super::peer::{Address, KeptId, Peer, Place};

/// A chunk is split when it grows over this, and joined to its neighbour when both fit into three quarters of it.
const CHUNK: usize = 128;

/// An ordered sequence of peers. All four lists have one item per chunk; no chunk is empty.
#[derive(Debug)]
pub(super) struct Roll<A: Address, I> {
    chunks: Vec<Vec<Peer<A, I>>>,
    /// The place of each chunk's first peer.
    firsts: Vec<Place<A>>,
    /// How many peers stand in all chunks up to and with this one.
    ends: Vec<u32>,
    /// No peer of the chunk was last seen before this.
    oldest: Vec<u32>,
}

/// Grows a list of peers by little, since there are very many such lists and memory is what bounds the tracker.
pub(super) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).clamp(1, 8));
    }
}

/// Gives back memory that a shrunken list does not need.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    if list.capacity() > list.len() + list.len() / 4 + 8 {
        list.shrink_to(list.len() + list.len() / 8);
    }
}

impl<A: Address, I: KeptId> Roll<A, I> {
    /// Makes a roll of peers that are in order.
    pub(super) fn from_sorted(peers: &[Peer<A, I>]) -> Roll<A, I> {
        let chunks = peers.chunks(CHUNK * 3 / 4).map(<[_]>::to_vec).collect();
        let mut roll = Roll {
            chunks,
            firsts: Vec::new(),
            ends: Vec::new(),
            oldest: Vec::new(),
        };
        roll.reindex();
        roll
    }

    /// Brings the three lists in line with the chunks. Cost: one look at every peer.
    fn reindex(&mut self) {
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.firsts = self
            .chunks
            .iter()
            .filter_map(|chunk| chunk.first())
            .map(Peer::place)
            .collect();
        self.oldest = self.chunks.iter().map(|chunk| oldest_of(chunk)).collect();
        self.recount();
    }

    fn recount(&mut self) {
        let mut end = 0;
        self.ends.clear();
        self.ends.extend(self.chunks.iter().map(|chunk| {
            end += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            end
        }));
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// No peer was last seen before this.
    pub(super) fn oldest(&self) -> u32 {
        self.oldest.iter().copied().min().unwrap_or(u32::MAX)
    }

    fn start_of(&self, chunk: usize) -> usize {
        chunk
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |end| *end as usize)
    }

    /// The chunk in which `place` stands or belongs.
    fn chunk_for(&self, place: &Place<A>) -> usize {
        self.firsts
            .partition_point(|first| first <= place)
            .saturating_sub(1)
    }

    /// How many peers stand before `place`, and whether the next one stands just there.
    pub(super) fn find(&self, place: &Place<A>) -> Result<usize, usize> {
        let at = self.chunk_for(place);
        let Some(chunk) = self.chunks.get(at) else {
            return Err(0);
        };
        let start = self.start_of(at);
        match chunk.binary_search_by(|peer| peer.place().cmp(place)) {
            Ok(within) => Ok(start + within),
            Err(within) => Err(start + within),
        }
    }

    /// The chunk of a rank, and where in it.
    fn locate(&self, rank: usize) -> (usize, usize) {
        let chunk = self.ends.partition_point(|end| *end as usize <= rank);
        (chunk, rank - self.start_of(chunk).min(rank))
    }

    /// The peer at a rank, to change anything but its place. `last seen` may only grow.
    pub(super) fn get_mut(&mut self, rank: usize) -> Option<&mut Peer<A, I>> {
        let (chunk, within) = self.locate(rank);
        self.chunks.get_mut(chunk)?.get_mut(within)
    }

    /// The peers from a rank to the end of its chunk.
    pub(super) fn run_from(&self, rank: usize) -> &[Peer<A, I>] {
        let (chunk, within) = self.locate(rank);
        self.chunks
            .get(chunk)
            .and_then(|chunk| chunk.get(within..))
            .unwrap_or_default()
    }

    /// The chunk that a rank stands in, with its number and the rank of its first peer. Cheap when `near` is the number of a
    /// chunk not far before it.
    #[inline]
    pub(super) fn chunk_of(&self, rank: usize, near: usize) -> (usize, usize, &[Peer<A, I>]) {
        let is_before = near > 0 && self.start_of(near) > rank;
        let from = if is_before { 0 } else { near };
        let ahead = self.ends.get(from..).unwrap_or_default();
        let steps = ahead.iter().position(|end| *end as usize > rank);
        let chunk = from + steps.unwrap_or(ahead.len());
        (
            chunk,
            self.start_of(chunk),
            self.chunks.get(chunk).map_or(&[], Vec::as_slice),
        )
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer<A, I>> {
        self.chunks.iter().flatten()
    }

    fn shift(&mut self, from_chunk: usize, by: i32) {
        for end in self.ends.iter_mut().skip(from_chunk) {
            *end = end.saturating_add_signed(by);
        }
    }

    /// Puts a peer that is not there yet in its place; returns its rank.
    pub(super) fn insert(&mut self, peer: Peer<A, I>) -> usize {
        let place = peer.place();
        let at = self.chunk_for(&place);
        let start = self.start_of(at);
        let Some(chunk) = self.chunks.get_mut(at) else {
            *self = Roll::from_sorted(&[peer]);
            return 0;
        };
        let within = chunk.partition_point(|other| other.place() < place);
        make_room(chunk);
        chunk.insert(within, peer);
        let is_full = chunk.len() > CHUNK;
        if within == 0
            && let Some(first) = self.firsts.get_mut(at)
        {
            *first = place;
        }
        if let Some(oldest) = self.oldest.get_mut(at) {
            *oldest = (*oldest).min(peer.seen().raw());
        }
        self.shift(at, 1);
        if is_full {
            self.split(at);
        }
        start + within
    }

    fn split(&mut self, at: usize) {
        let Some(chunk) = self.chunks.get_mut(at) else {
            return;
        };
        let upper = chunk.split_off(chunk.len() / 2);
        chunk.shrink_to(chunk.len() + 8);
        let Some(first) = upper.first().map(Peer::place) else {
            return;
        };
        let middle = self.start_of(at) + self.chunks.get(at).map_or(0, Vec::len);
        let oldest = self.oldest.get(at).copied().unwrap_or(0);
        self.chunks.insert(at + 1, upper);
        self.firsts.insert(at + 1, first);
        self.oldest.insert(at + 1, oldest);
        self.ends
            .insert(at, u32::try_from(middle).unwrap_or(u32::MAX));
    }

    /// Takes the peer at a rank out.
    pub(super) fn remove(&mut self, rank: usize) -> Option<Peer<A, I>> {
        let (at, within) = self.locate(rank);
        let chunk = self.chunks.get_mut(at)?;
        if within >= chunk.len() {
            return None;
        }
        let peer = chunk.remove(within);
        give_back(chunk);
        let first = chunk.first().map(Peer::place);
        if let (Some(first), Some(cell)) = (first, self.firsts.get_mut(at)) {
            *cell = first;
        }
        self.shift(at, -1);
        self.join(at);
        Some(peer)
    }

    /// Drops a chunk that is empty, and joins one that has become small to the next.
    fn join(&mut self, at: usize) {
        let size = self.chunks.get(at).map_or(0, Vec::len);
        let next = self.chunks.get(at + 1).map_or(usize::MAX, Vec::len);
        if size > 0 && (size > CHUNK / 4 || next.saturating_add(size) > CHUNK * 3 / 4) {
            return;
        }
        let small = self.chunks.remove(at);
        let first = self.firsts.remove(at);
        let oldest = self.oldest.remove(at);
        self.ends.remove(at);
        if size > 0
            && let (Some(chunk), Some(cell)) = (self.chunks.get_mut(at), self.firsts.get_mut(at))
        {
            chunk.splice(0..0, small);
            *cell = first;
            if let Some(cell) = self.oldest.get_mut(at) {
                *cell = (*cell).min(oldest);
            }
        }
    }

    /// Removes who was last seen at or before `horizon`, and tells `bury` of each. Looks only into chunks that may hold one.
    pub(super) fn expire(&mut self, horizon: u32, bury: &mut impl FnMut(&Peer<A, I>)) {
        let mut has_emptied = false;
        let lists = self
            .chunks
            .iter_mut()
            .zip(&mut self.oldest)
            .zip(&mut self.firsts);
        for ((chunk, oldest), first) in lists.filter(|((_, oldest), _)| **oldest <= horizon) {
            chunk.retain(|peer| {
                let is_alive = peer.seen().raw() > horizon;
                if !is_alive {
                    bury(peer);
                }
                is_alive
            });
            give_back(chunk);
            *oldest = oldest_of(chunk);
            match chunk.first() {
                Some(peer) => *first = peer.place(),
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
        let peers: Vec<Peer<A, I>> = self.chunks.drain(..).flatten().collect();
        *self = Roll::from_sorted(&peers);
    }
}

/// The earliest `last seen` among peers; the greatest number when there is none.
pub(super) fn oldest_of<A: Address, I: KeptId>(peers: &[Peer<A, I>]) -> u32 {
    peers
        .iter()
        .map(|peer| peer.seen().raw())
        .min()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
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

    fn check(roll: &Roll<[u8; 6], PeerId>, model: &[Small]) {
        let places: Vec<_> = model.iter().map(Peer::place).collect();
        assert_eq!(roll.len(), model.len());
        assert_eq!(roll.iter().map(Peer::place).collect::<Vec<_>>(), places);
        for (rank, place) in places.iter().enumerate() {
            assert_eq!(roll.run_from(rank).first().map(Peer::place), Some(*place));
            assert_eq!(roll.find(place), Ok(rank));
        }
        assert!(
            roll.chunks
                .iter()
                .all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK)
        );
        assert!(roll.oldest() <= oldest_of(model));
    }

    proptest! {
        #[test]
        fn a_roll_agrees_with_a_sorted_list(steps in proptest::collection::vec((any::<u16>(), 0_u32..100, 0_u8..8), 1..2_000)) {
            let mut roll = Roll::from_sorted(&[]);
            let mut model: Vec<Small> = Vec::new();
            for (number, seen, kind) in steps {
                let new = peer(number % 700, seen);
                let there = model.binary_search_by_key(&new.place(), Peer::place);
                prop_assert_eq!(roll.find(&new.place()).is_ok(), there.is_ok());
                match (kind, there) {
                    (0, _) if seen < 10 => {
                        let mut buried = 0;
                        roll.expire(seen, &mut |_| buried += 1);
                        let before = model.len();
                        model.retain(|peer| peer.seen().raw() > seen);
                        prop_assert_eq!(buried, before - model.len());
                    }
                    (1, Ok(rank)) => {
                        model.remove(rank);
                        prop_assert_eq!(roll.remove(rank).map(|peer| peer.place()), Some(new.place()));
                    }
                    (_, Err(rank)) => {
                        model.insert(rank, new);
                        prop_assert_eq!(roll.insert(new), rank);
                    }
                    _ => {}
                }
            }
            check(&roll, &model);
        }
    }

    #[test]
    fn a_roll_shrinks_with_its_swarm() {
        let peers: Vec<Small> = (0..10_000_u16)
            .map(|number| peer(number * 3, u32::from(number % 100) + 1))
            .collect();
        let mut roll = Roll::from_sorted(&peers);
        roll.expire(99, &mut |_| {});
        assert_eq!(roll.len(), 100);
        assert!(roll.chunks.len() <= 4);
    }
}
