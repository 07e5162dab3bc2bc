//! Some peers of a big swarm that stand together in memory, in order. What a search and a compact list read stands apart
//! from the rest: nine bytes of a v4 peer instead of 41 go through the caches.

use super::address::Address;
use super::owner::StoredId;
use super::peer::{PackedKey, Peer, State};

/// A chunk is split when it grows over this: into halves of 64 and 65. One that has shrunk to a quarter of it is joined to the next when
/// both fit into three quarters. So between a split and a join, or a join and a split, there are always 32 peers or more that came
/// or went, and nobody who comes and goes makes one follow the other. A power of two: see [`steps`].
pub(super) const CHUNK: usize = 128;

/// Some peers. Both lists have one item per peer.
#[derive(Debug)]
pub(super) struct Chunk<A: Address, I: StoredId> {
    pub packed_keys: Vec<PackedKey<A>>,
    pub states: Vec<State<I>>,
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

/// How many of the first items in a chunk fulfil `is_before`, as [`slice::partition_point`] says. It takes the same eight steps for
/// every chunk, and what one finds decides about a number and not about a jump: so the processor mispredicts none of them and
/// searches several chunks at once.
///
/// `found` items are known to be before; each step asks whether the next 128, 64, 32 … are before as well. In a chunk of 100
/// items, 70 of which are before: 128 lies behind the end (no), 64 are (the 64th item is before), 96 are not, nor 80, nor 72; 68 are,
/// 70 are, 71 are not. A probe behind the end reads the last item instead, so that it reads something, and counts as no.
#[inline]
pub(super) fn steps<T>(chunk: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let Some(last) = chunk.len().checked_sub(1) else {
        return 0;
    };
    let mut found = 0;
    let mut step = CHUNK;
    while step > 0 {
        let probe = found + step;
        let holds = chunk.get((probe - 1).min(last)).is_some_and(&is_before);
        found = if holds & (probe <= chunk.len()) {
            probe
        } else {
            found
        };
        step /= 2;
    }
    found
}

impl<A: Address, I: StoredId> Chunk<A, I> {
    pub(super) fn of(peers: &[Peer<A, I>]) -> Chunk<A, I> {
        Chunk {
            packed_keys: peers.iter().map(|peer| peer.packed_key).collect(),
            states: peers.iter().map(|peer| peer.state).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.packed_keys.len()
    }

    pub(super) fn first(&self) -> Option<A::SortKey> {
        self.packed_keys.first().map(PackedKey::sort_key)
    }

    pub(super) fn oldest(&self) -> u32 {
        oldest_of(&self.states)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Peer<A, I>> {
        let states = self.states.iter().copied();
        let both = self.packed_keys.iter().copied().zip(states);
        both.map(|(packed_key, state)| Peer { packed_key, state })
    }

    pub(super) fn insert(&mut self, within: usize, peer: Peer<A, I>) {
        make_room(&mut self.packed_keys);
        make_room(&mut self.states);
        self.packed_keys.insert(within, peer.packed_key);
        self.states.insert(within, peer.state);
    }

    pub(super) fn remove(&mut self, within: usize) -> Peer<A, I> {
        let peer = Peer {
            packed_key: self.packed_keys.remove(within),
            state: self.states.remove(within),
        };
        self.give_back();
        peer
    }

    fn give_back(&mut self) {
        give_back(&mut self.packed_keys);
        give_back(&mut self.states);
    }

    /// Cuts the upper half off.
    pub(super) fn split(&mut self) -> Chunk<A, I> {
        let middle = self.len() / 2;
        let upper = Chunk {
            packed_keys: self.packed_keys.split_off(middle),
            states: self.states.split_off(middle),
        };
        self.packed_keys.shrink_to(middle + 8);
        self.states.shrink_to(middle + 8);
        upper
    }

    pub(super) fn prepend(&mut self, lower: Chunk<A, I>) {
        self.packed_keys.splice(0..0, lower.packed_keys);
        self.states.splice(0..0, lower.states);
    }

    /// Removes who was last seen at or before `horizon`.
    pub(super) fn expire(&mut self, horizon: u32, on_removed: &mut impl FnMut(&Peer<A, I>)) {
        let is_alive = |state: &State<I>| state.seen().raw() > horizon;
        let mut states = self.states.iter();
        self.packed_keys.retain(|packed_key| {
            let Some(state) = states.next() else {
                debug_assert!(false, "both lists have one item per peer");
                return false;
            };
            if !is_alive(state) {
                on_removed(&Peer {
                    packed_key: *packed_key,
                    state: *state,
                });
            }
            is_alive(state)
        });
        self.states.retain(is_alive);
        self.give_back();
    }
}

/// The earliest `last seen` among peers; the greatest number when there is none.
pub(super) fn oldest_of<'a, I: StoredId>(states: impl IntoIterator<Item = &'a State<I>>) -> u32 {
    let seen = states.into_iter().map(|state| state.seen().raw());
    seen.min().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_find_the_first_item_that_is_not_before() {
        for len in 0..=CHUNK {
            let items: Vec<usize> = (0..len).map(|item| item * 2).collect();
            for bound in 0..=2 * len + 1 {
                let expected = items.partition_point(|item| *item < bound);
                assert_eq!(steps(&items, |item| *item < bound), expected);
            }
        }
    }
}
