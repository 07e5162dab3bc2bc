//! The peers of one family in one swarm: a flat list while they are few, sorted chunks when they are many.
//!
//! Leechers and seeders are kept apart, each in order, so that counting, drawing from one role and drawing from one
//! neighbourhood are all questions about ranks.

pub(super) mod address;
pub(super) mod by_role;
mod chunk;
mod crowd;
pub(super) mod owner;
pub(super) mod peer;
pub(super) mod position;
mod sorted_chunks;
pub(super) mod view;

use crate::invariant::certain;
use address::Address;
use by_role::ByRole;
use chunk::{give_back, make_room, oldest_of};
use crowd::sort_out;
use owner::StoredId;
use peer::{Peer, State};
use position::{Position, number};
use sorted_chunks::SortedChunks;
use view::{View, flat_position};

/// More peers than this are kept in sorted chunks: up to here one move of memory is cheaper than keeping four lists in step.
const MAX_FLAT: usize = 128;

/// From sorted chunks back to a flat list at this many: far enough below, so that a swarm does not go back and forth.
const MIN_CHUNKED: usize = 64;

/// What a peer takes part for. Paused partial seeds (BEP 21) stand with the seeders: they hand out and take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leecher,
    Seeder,
}

impl Role {
    pub(super) const BOTH: [Role; 2] = [Role::Leecher, Role::Seeder];

    pub(super) fn other(self) -> Role {
        match self {
            Role::Leecher => Role::Seeder,
            Role::Seeder => Role::Leecher,
        }
    }
}

/// All peers of one family in one swarm.
#[derive(Debug)]
pub(super) enum Peers<A: Address, I: StoredId> {
    /// The first `leechers` are leechers in order, the rest seeders in order.
    Flat {
        peers: Vec<Peer<A, I>>,
        leechers: u32,
    },
    Chunked(Box<ByRole<SortedChunks<A, I>>>),
}

impl<A: Address, I: StoredId> Default for Peers<A, I> {
    fn default() -> Self {
        Peers::Flat {
            peers: Vec::new(),
            leechers: 0,
        }
    }
}

impl<A: Address, I: StoredId> Peers<A, I> {
    pub(super) fn len(&self) -> usize {
        match self {
            Peers::Flat { peers, .. } => peers.len(),
            Peers::Chunked(chunked) => (**chunked).as_ref().map(SortedChunks::len).sum(),
        }
    }

    pub(super) fn counts(&self) -> ByRole<usize> {
        match self {
            Peers::Flat { peers, leechers } => split_flat(peers, *leechers).map(<[_]>::len),
            Peers::Chunked(chunked) => (**chunked).as_ref().map(SortedChunks::len),
        }
    }

    pub(super) fn view(&self, role: Role) -> View<'_, A, I> {
        match self {
            Peers::Flat { peers, leechers } => View::Flat(split_flat(peers, *leechers).get(role)),
            Peers::Chunked(chunked) => View::SortedChunks(chunked.get(role)),
        }
    }

    /// Where the peer at `sort_key` stands, be it there or with the surplus; `expected` is the role to look in first.
    #[inline(always)]
    pub(super) fn find(&self, sort_key: A::SortKey, expected: Role) -> Option<(Role, Position)> {
        [expected, expected.other()]
            .into_iter()
            .find_map(|role| Some((role, self.view(role).find(sort_key)?)))
            .or_else(|| self.find_surplus(A::surplus(sort_key)))
    }

    #[cold]
    fn find_surplus(&self, sort_key: A::SortKey) -> Option<(Role, Position)> {
        let views = Role::BOTH.into_iter().map(|role| (role, self.view(role)));
        views
            .filter(|(_, view)| view.has_surplus())
            .find_map(|(role, view)| Some((role, view.find(sort_key)?)))
    }

    /// How many peers there are from `low` to `high`, both included, and in the surplus of these sort keys.
    pub(super) fn count_in(&self, low: A::SortKey, high: A::SortKey) -> usize {
        let count = Role::BOTH.map(|role| {
            let view = self.view(role);
            let surplus = if view.has_surplus() {
                view.range(A::surplus(low), A::surplus(high), 0).len()
            } else {
                0
            };
            view.range(low, high, 0).len() + surplus
        });
        count.into_iter().sum()
    }

    /// What is kept of the peer at a position. `last seen` may only grow.
    pub(super) fn state_mut(&mut self, role: Role, position: Position) -> Option<&mut State<I>> {
        match self {
            Peers::Flat { peers, leechers } => peers
                .get_mut(flat_index(*leechers, role, position))
                .map(|peer| &mut peer.state),
            Peers::Chunked(chunked) => chunked.get_mut(role).state_mut(position),
        }
    }

    /// Puts in a peer that is not there yet, by its sort key; returns its position. For [`Peers::insert`], which keeps the surplus
    /// in order too.
    fn put(&mut self, role: Role, peer: Peer<A, I>) -> Position {
        if let Peers::Flat { peers, leechers } = self
            && peers.len() >= MAX_FLAT
        {
            let chunked = split_flat(peers, *leechers).map(SortedChunks::from_sorted);
            *self = Peers::Chunked(Box::new(chunked));
        }
        match self {
            Peers::Flat { peers, leechers } => {
                let sort_key = peer.sort_key();
                let among = *split_flat(peers, *leechers).get(role);
                let position =
                    flat_position(among.partition_point(|other| other.sort_key() < sort_key));
                make_room(peers);
                peers.insert(flat_index(*leechers, role, position), peer);
                *leechers += u32::from(role == Role::Leecher);
                position
            }
            Peers::Chunked(chunked) => chunked.get_mut(role).insert(peer),
        }
    }

    /// Takes the peer at a position out. For [`Peers::remove`], which keeps the surplus in order too.
    fn take(&mut self, role: Role, position: Position) -> Option<Peer<A, I>> {
        let removed = match self {
            Peers::Flat { peers, leechers } => {
                let at = flat_index(*leechers, role, position);
                if at >= peers.len() {
                    debug_assert!(false, "positions are of peers that are there");
                    return None;
                }
                *leechers -= u32::from(role == Role::Leecher);
                let removed = peers.remove(at);
                give_back(peers);
                Some(removed)
            }
            Peers::Chunked(chunked) => chunked.get_mut(role).remove(position),
        };
        self.flatten();
        removed
    }

    /// Goes back from sorted chunks to a flat list when few are left.
    fn flatten(&mut self) {
        if let Peers::Chunked(chunked) = self
            && (**chunked).as_ref().map(SortedChunks::len).sum() <= MIN_CHUNKED
        {
            let leechers = number(chunked.leechers.len());
            let roles = (**chunked).as_ref().into_iter();
            let peers = roles.flat_map(SortedChunks::iter).collect();
            *self = Peers::Flat { peers, leechers };
        }
    }

    /// Removes who was last seen at or before `horizon`, and tells `on_removed` of each. For [`Peers::expire`].
    fn drop_dead(&mut self, horizon: u32, on_removed: &mut impl FnMut(&Peer<A, I>)) {
        match self {
            Peers::Flat { peers, leechers } => {
                let (mut rank, mut dead_leechers) = (0, 0);
                peers.retain(|peer| {
                    let is_alive = peer.state.seen().raw() > horizon;
                    if !is_alive {
                        dead_leechers += u32::from(rank < *leechers);
                        on_removed(peer);
                    }
                    rank += 1;
                    is_alive
                });
                *leechers -= dead_leechers;
                give_back(peers);
            }
            Peers::Chunked(chunked) => (**chunked)
                .as_mut()
                .into_iter()
                .for_each(|sorted_chunks| sorted_chunks.expire(horizon, on_removed)),
        }
        self.flatten();
    }

    /// Nobody was last seen before this; [`u32::MAX`] when nobody is there.
    pub(super) fn oldest(&self) -> u32 {
        match self {
            Peers::Flat { peers, .. } => oldest_of(peers.iter().map(|peer| &peer.state)),
            Peers::Chunked(chunked) => {
                let ByRole { leechers, seeders } = &**chunked;
                leechers.oldest().min(seeders.oldest())
            }
        }
    }

    /// Everybody with their role, in no promised order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Role, Peer<A, I>)> {
        let (flat, chunked, leechers) = match self {
            Peers::Flat { peers, leechers } => (peers.as_slice(), None, *leechers as usize),
            Peers::Chunked(chunked) => (&[] as &[_], Some(chunked), 0),
        };
        let role = move |rank| {
            if rank < leechers {
                Role::Leecher
            } else {
                Role::Seeder
            }
        };
        let flat = flat
            .iter()
            .enumerate()
            .map(move |(rank, peer)| (role(rank), *peer));
        let chunked = chunked.into_iter().flat_map(|chunked| {
            let both = Role::BOTH.into_iter();
            both.flat_map(|role| chunked.get(role).iter().map(move |peer| (role, peer)))
        });
        flat.chain(chunked)
    }

    /// Makes the list anew from peers in any order, no two with the same sort key.
    pub(super) fn rebuild(peers: impl IntoIterator<Item = (Role, Peer<A, I>)>) -> Peers<A, I> {
        let mut roles = ByRole::<Vec<_>>::default();
        for (role, mut peer) in peers {
            peer.set_surplus(false);
            roles.get_mut(role).push(peer);
        }
        for peers in roles.as_mut() {
            peers.sort_unstable_by_key(Peer::sort_key);
            peers.dedup_by_key(|peer| peer.sort_key());
        }
        let ByRole { leechers, seeders } = &mut roles;
        // An address is in one role only, whatever a database says.
        seeders.retain(|peer| {
            let sort_key = peer.sort_key();
            leechers
                .binary_search_by(|other| other.sort_key().cmp(&sort_key))
                .is_err()
        });
        sort_out(&mut roles);
        if roles.as_ref().map(Vec::len).sum() > MAX_FLAT {
            let chunked = roles.map(|peers| SortedChunks::from_sorted(&peers));
            return Peers::Chunked(Box::new(chunked));
        }
        let leechers = number(roles.leechers.len());
        let mut peers = roles.leechers;
        peers.reserve_exact(roles.seeders.len());
        peers.append(&mut roles.seeders);
        peers.shrink_to_fit();
        Peers::Flat { peers, leechers }
    }

    /// Takes everybody out.
    pub(super) fn drain(&mut self) -> Vec<(Role, Peer<A, I>)> {
        let all = self.iter().collect();
        *self = Peers::default();
        all
    }
}

fn flat_index(leechers: u32, role: Role, position: Position) -> usize {
    let first = if role == Role::Leecher { 0 } else { leechers };
    first as usize + position.rank as usize
}

/// The leechers and the seeders of a flat list, whose first `leechers` peers are leechers.
#[inline]
fn split_flat<A: Address, I: StoredId>(
    peers: &[Peer<A, I>],
    leechers: u32,
) -> ByRole<&[Peer<A, I>]> {
    let (leechers, seeders) = certain(
        peers.split_at_checked(leechers as usize),
        (peers, &[]),
        "leechers are some of the peers",
    );
    ByRole { leechers, seeders }
}

#[cfg(test)]
mod tests {
    use super::super::id::PeerId;
    use super::*;
    use crate::clock::Seconds;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeMap;

    fn peer(number: u16, seen: u32) -> Peer<[u8; 6], PeerId> {
        let [high, low] = number.to_be_bytes();
        Peer::new(
            [10, 0, high, low, 0, 1],
            PeerId([1; 20]),
            u32::from(number % 5),
            Seconds::from_raw(seen),
        )
    }

    proptest! {
        #[test]
        fn peers_agree_with_two_maps(
            most in 1_u16..400,
            steps in proptest::collection::vec((any::<u16>(), 1_u32..100, any::<bool>(), 0_u8..10), 1..1_500),
        ) {
            let mut peers = Peers::default();
            let mut model: [BTreeMap<_, u32>; 2] = Default::default();
            for (number, seen, is_seeder, kind) in steps {
                let new = peer(number % most, seen);
                let sort_key = new.sort_key();
                let role = if is_seeder { Role::Seeder } else { Role::Leecher };
                let found = peers.find(sort_key, role);
                let known = model.iter().position(|map| map.contains_key(&sort_key));
                prop_assert_eq!(found.map(|(role, _)| usize::from(role == Role::Seeder)), known);
                match (kind, found) {
                    (0, _) if seen < 30 => {
                        peers.expire(seen, &mut |_| {});
                        model.iter_mut().for_each(|map| map.retain(|_, at| *at > seen));
                    }
                    (1..4, Some((role, position))) => {
                        let gone = peers.remove(role, position).map(|peer| peer.sort_key());
                        prop_assert_eq!(gone, Some(sort_key));
                        model[usize::from(role == Role::Seeder)].remove(&sort_key);
                    }
                    (_, None) => {
                        let position = peers.insert(role, new);
                        prop_assert_eq!(peers.view(role).find(sort_key).map(|found| found.rank), Some(position.rank));
                        prop_assert!(peers.state_mut(role, position).is_some_and(|state| state.seen() == new.state.seen()));
                        model[usize::from(is_seeder)].insert(sort_key, seen);
                    }
                    _ => {}
                }
                prop_assert_eq!(peers.counts().leechers, model[0].len());
                prop_assert_eq!(peers.counts().seeders, model[1].len());
                let oldest = model.iter().flat_map(BTreeMap::values).copied().min().unwrap_or(u32::MAX);
                prop_assert!(peers.oldest() <= oldest);
            }
            for (role, map) in [Role::Leecher, Role::Seeder].into_iter().zip(&model) {
                let sort_keys: Vec<_> = peers.iter().filter(|(at, _)| *at == role).map(|(_, peer)| peer.sort_key()).collect();
                prop_assert_eq!(sort_keys, map.keys().copied().collect::<Vec<_>>());
            }
            let again = Peers::rebuild(peers.drain());
            prop_assert_eq!(again.counts().leechers, model[0].len());
            prop_assert_eq!(peers.len(), 0);
        }
    }

    #[test]
    fn an_address_that_a_database_has_in_both_roles_is_stored_once() {
        for count in [3, 300] {
            let both = [Role::Leecher, Role::Seeder];
            let twice = (0..count).flat_map(|number| both.map(|role| (role, peer(number, 1))));
            let peers = Peers::rebuild(twice.chain([(Role::Seeder, peer(400, 1))]));
            let counts = peers.counts();
            assert_eq!((counts.leechers, counts.seeders), (usize::from(count), 1));
        }
    }
}
