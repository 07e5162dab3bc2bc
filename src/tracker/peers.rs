//! The peers of one family in one swarm: a flat list while they are few, rolls when they are many.
//!
//! Leechers and seeders are kept apart, each in order, so that counting, drawing from one role and drawing from one
//! neighbourhood are all questions about ranks.

use super::chunk::{give_back, make_room, oldest_of};
use super::crowd::sort_out;
use super::peer::{Address, KeptId, Peer, State};
use super::roll::Roll;
use super::span::{Seat, number};
use super::view::flat_seat;
pub(super) use super::view::{Run, View};

/// More peers than this are kept in rolls.
const FLAT_MOST: usize = 128;

/// From rolls back to a flat list at this many: far enough below, so that a swarm does not go back and forth.
const ROLLS_LEAST: usize = 64;

/// What a peer takes part for. Paused partial seeds (BEP 21) stand with the seeders: they hand out and take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leecher,
    Seeder,
}

/// All peers of one family in one swarm.
#[derive(Debug)]
pub(super) enum Peers<A: Address, I: KeptId> {
    /// The first `leechers` are leechers in order, the rest seeders in order.
    Flat {
        peers: Vec<Peer<A, I>>,
        leechers: u32,
    },
    Rolls(Box<[Roll<A, I>; 2]>),
}

impl<A: Address, I: KeptId> Default for Peers<A, I> {
    fn default() -> Self {
        Peers::Flat {
            peers: Vec::new(),
            leechers: 0,
        }
    }
}

impl<A: Address, I: KeptId> Peers<A, I> {
    pub(super) fn len(&self) -> usize {
        match self {
            Peers::Flat { peers, .. } => peers.len(),
            Peers::Rolls(rolls) => rolls.iter().map(Roll::len).sum(),
        }
    }

    pub(super) fn count(&self, role: Role) -> usize {
        match (self, role) {
            (Peers::Flat { leechers, .. }, Role::Leecher) => *leechers as usize,
            (Peers::Flat { peers, leechers }, Role::Seeder) => {
                peers.len() - (*leechers as usize).min(peers.len())
            }
            (Peers::Rolls(rolls), role) => roll_of(rolls, role).len(),
        }
    }

    /// Leechers and seeders.
    pub(super) fn counts(&self) -> [usize; 2] {
        match self {
            Peers::Flat { peers, leechers } => {
                let leechers = (*leechers as usize).min(peers.len());
                [leechers, peers.len() - leechers]
            }
            Peers::Rolls(rolls) => {
                let [leechers, seeders] = &**rolls;
                [leechers.len(), seeders.len()]
            }
        }
    }

    pub(super) fn view(&self, role: Role) -> View<'_, A, I> {
        match self {
            Peers::Flat { peers, leechers } => {
                let (first, rest) = peers
                    .split_at_checked(*leechers as usize)
                    .unwrap_or((peers, &[]));
                View::Flat(if role == Role::Leecher { first } else { rest })
            }
            Peers::Rolls(rolls) => View::Roll(roll_of(rolls, role)),
        }
    }

    /// Where the peer at `place` stands, be it there or with the surplus; `expected` is the role to look in first.
    #[inline(always)]
    pub(super) fn find(&self, place: A::Place, expected: Role) -> Option<(Role, Seat)> {
        let other = if expected == Role::Leecher {
            Role::Seeder
        } else {
            Role::Leecher
        };
        [expected, other]
            .into_iter()
            .find_map(|role| Some((role, self.view(role).find(place)?)))
            .or_else(|| self.find_surplus(A::surplus(place)))
    }

    #[cold]
    fn find_surplus(&self, place: A::Place) -> Option<(Role, Seat)> {
        let roles = [Role::Leecher, Role::Seeder].into_iter();
        let views = roles.map(|role| (role, self.view(role)));
        views
            .filter(|(_, view)| view.has_surplus())
            .find_map(|(role, view)| Some((role, view.find(place)?)))
    }

    /// How many peers there are from `low` to `high`, both included, and in the surplus of these places.
    pub(super) fn count_in(&self, low: A::Place, high: A::Place) -> usize {
        let roles = [Role::Leecher, Role::Seeder].into_iter();
        let count = roles.map(|role| {
            let view = self.view(role);
            let surplus = if view.has_surplus() {
                view.span(A::surplus(low), A::surplus(high), 0).len()
            } else {
                0
            };
            view.span(low, high, 0).len() + surplus
        });
        count.sum()
    }

    /// What is kept of the peer at a seat. `last seen` may only grow.
    pub(super) fn state_mut(&mut self, role: Role, seat: Seat) -> Option<&mut State<I>> {
        match self {
            Peers::Flat { peers, leechers } => peers
                .get_mut(flat_index(*leechers, role, seat))
                .map(|peer| &mut peer.state),
            Peers::Rolls(rolls) => roll_of_mut(rolls, role).state_mut(seat),
        }
    }

    /// Puts in a peer that is not there yet, at its place; returns its seat. See [`Peers::insert`].
    pub(super) fn put(&mut self, role: Role, peer: Peer<A, I>) -> Seat {
        if let Peers::Flat { peers, leechers } = self
            && peers.len() >= FLAT_MOST
        {
            let (first, rest) = peers
                .split_at_checked(*leechers as usize)
                .unwrap_or((peers, &[]));
            *self = Peers::Rolls(Box::new([
                Roll::from_sorted(first),
                Roll::from_sorted(rest),
            ]));
        }
        match self {
            Peers::Flat { peers, leechers } => {
                let place = peer.place();
                let (first, rest) = peers
                    .split_at_checked(*leechers as usize)
                    .unwrap_or((peers, &[]));
                let among = if role == Role::Leecher { first } else { rest };
                let seat = flat_seat(among.partition_point(|other| other.place() < place));
                make_room(peers);
                peers.insert(flat_index(*leechers, role, seat), peer);
                *leechers += u32::from(role == Role::Leecher);
                seat
            }
            Peers::Rolls(rolls) => roll_of_mut(rolls, role).insert(peer),
        }
    }

    /// Takes the peer at a seat out. See [`Peers::remove`].
    pub(super) fn take(&mut self, role: Role, seat: Seat) -> Option<Peer<A, I>> {
        let removed = match self {
            Peers::Flat { peers, leechers } => {
                let at = flat_index(*leechers, role, seat);
                if at >= peers.len() {
                    return None;
                }
                *leechers -= u32::from(role == Role::Leecher);
                let removed = peers.remove(at);
                give_back(peers);
                Some(removed)
            }
            Peers::Rolls(rolls) => roll_of_mut(rolls, role).remove(seat),
        };
        self.flatten();
        removed
    }

    /// Goes back from rolls to a flat list when few are left.
    fn flatten(&mut self) {
        if let Peers::Rolls(rolls) = self
            && rolls.iter().map(Roll::len).sum::<usize>() <= ROLLS_LEAST
        {
            let leechers = number(roll_of(rolls, Role::Leecher).len());
            let peers = rolls.iter().flat_map(Roll::iter).collect();
            *self = Peers::Flat { peers, leechers };
        }
    }

    /// Removes who was last seen at or before `horizon`, and tells `bury` of each. See [`Peers::expire`].
    pub(super) fn drop_dead(&mut self, horizon: u32, bury: &mut impl FnMut(&Peer<A, I>)) {
        match self {
            Peers::Flat { peers, leechers } => {
                let (mut rank, mut dead_leechers) = (0, 0);
                peers.retain(|peer| {
                    let is_alive = peer.state.seen().raw() > horizon;
                    if !is_alive {
                        dead_leechers += u32::from(rank < *leechers);
                        bury(peer);
                    }
                    rank += 1;
                    is_alive
                });
                *leechers -= dead_leechers;
                give_back(peers);
            }
            Peers::Rolls(rolls) => rolls.iter_mut().for_each(|roll| roll.expire(horizon, bury)),
        }
        self.flatten();
    }

    /// Nobody was last seen before this.
    pub(super) fn oldest(&self) -> u32 {
        match self {
            Peers::Flat { peers, .. } => oldest_of(peers.iter().map(|peer| &peer.state)),
            Peers::Rolls(rolls) => rolls.iter().map(Roll::oldest).min().unwrap_or(u32::MAX),
        }
    }

    /// Everybody with their role, in no promised order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Role, Peer<A, I>)> {
        let (flat, rolls, leechers) = match self {
            Peers::Flat { peers, leechers } => (peers.as_slice(), None, *leechers as usize),
            Peers::Rolls(rolls) => (&[] as &[_], Some(rolls), 0),
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
        let rolls = rolls.into_iter().flat_map(|rolls| {
            let both = [Role::Leecher, Role::Seeder].into_iter();
            both.flat_map(|role| roll_of(rolls, role).iter().map(move |peer| (role, peer)))
        });
        flat.chain(rolls)
    }

    /// Makes the list anew from peers in any order, each at another place.
    pub(super) fn rebuild(peers: impl IntoIterator<Item = (Role, Peer<A, I>)>) -> Peers<A, I> {
        let (mut leechers, mut seeders) = (Vec::new(), Vec::new());
        for (role, mut peer) in peers {
            peer.set_surplus(false);
            if role == Role::Leecher {
                leechers.push(peer);
            } else {
                seeders.push(peer);
            }
        }
        leechers.sort_unstable_by_key(Peer::place);
        seeders.sort_unstable_by_key(Peer::place);
        leechers.dedup_by_key(|peer| peer.place());
        seeders.dedup_by_key(|peer| peer.place());
        // An address is in one role only, whatever a database says.
        seeders.retain(|peer| {
            let place = peer.place();
            leechers
                .binary_search_by(|other| other.place().cmp(&place))
                .is_err()
        });
        let mut roles = [leechers, seeders];
        sort_out(&mut roles);
        let [leechers, mut seeders] = roles;
        if leechers.len() + seeders.len() > FLAT_MOST {
            return Peers::Rolls(Box::new([
                Roll::from_sorted(&leechers),
                Roll::from_sorted(&seeders),
            ]));
        }
        let (leechers, mut peers) = (number(leechers.len()), leechers);
        peers.reserve_exact(seeders.len());
        peers.append(&mut seeders);
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

fn flat_index(leechers: u32, role: Role, seat: Seat) -> usize {
    let first = if role == Role::Leecher { 0 } else { leechers };
    first as usize + seat.rank as usize
}

fn roll_of<A: Address, I: KeptId>(rolls: &[Roll<A, I>; 2], role: Role) -> &Roll<A, I> {
    let [leechers, seeders] = rolls;
    if role == Role::Leecher {
        leechers
    } else {
        seeders
    }
}

fn roll_of_mut<A: Address, I: KeptId>(rolls: &mut [Roll<A, I>; 2], role: Role) -> &mut Roll<A, I> {
    let [leechers, seeders] = rolls;
    if role == Role::Leecher {
        leechers
    } else {
        seeders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Seconds;
    use crate::tracker::id::PeerId;
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
                let place = new.place();
                let role = if is_seeder { Role::Seeder } else { Role::Leecher };
                let found = peers.find(place, role);
                let known = model.iter().position(|map| map.contains_key(&place));
                prop_assert_eq!(found.map(|(role, _)| usize::from(role == Role::Seeder)), known);
                match (kind, found) {
                    (0, _) if seen < 30 => {
                        peers.expire(seen, &mut |_| {});
                        model.iter_mut().for_each(|map| map.retain(|_, at| *at > seen));
                    }
                    (1..4, Some((role, seat))) => {
                        let gone = peers.remove(role, seat).map(|peer| peer.place());
                        prop_assert_eq!(gone, Some(place));
                        model[usize::from(role == Role::Seeder)].remove(&place);
                    }
                    (_, None) => {
                        let seat = peers.insert(role, new);
                        prop_assert_eq!(peers.view(role).find(place).map(|found| found.rank), Some(seat.rank));
                        prop_assert!(peers.state_mut(role, seat).is_some_and(|state| state.seen() == new.state.seen()));
                        model[usize::from(is_seeder)].insert(place, seen);
                    }
                    _ => {}
                }
                prop_assert_eq!(peers.count(Role::Leecher), model[0].len());
                prop_assert_eq!(peers.count(Role::Seeder), model[1].len());
                let oldest = model.iter().flat_map(BTreeMap::values).copied().min().unwrap_or(u32::MAX);
                prop_assert!(peers.oldest() <= oldest);
            }
            for (role, map) in [Role::Leecher, Role::Seeder].into_iter().zip(&model) {
                let places: Vec<_> = peers.iter().filter(|(at, _)| *at == role).map(|(_, peer)| peer.place()).collect();
                prop_assert_eq!(places, map.keys().copied().collect::<Vec<_>>());
            }
            let again = Peers::rebuild(peers.drain());
            prop_assert_eq!(again.count(Role::Leecher), model[0].len());
            prop_assert_eq!(peers.len(), 0);
        }
    }

    #[test]
    fn an_address_that_a_database_has_in_both_roles_is_stored_once() {
        for count in [3, 300] {
            let both = [Role::Leecher, Role::Seeder];
            let twice = (0..count).flat_map(|number| both.map(|role| (role, peer(number, 1))));
            let peers = Peers::rebuild(twice.chain([(Role::Seeder, peer(400, 1))]));
            let counts = both.map(|role| peers.count(role));
            assert_eq!(counts, [usize::from(count), 1]);
        }
    }
}
