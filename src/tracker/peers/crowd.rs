//! No one crowds a list (S16): of the peers of one subscriber, two are for everybody, or one of each role where it has both; the
//! others are surplus. All that is counted and drawn is drawn from who is for everybody, so a crowd of one address weighs as two peers.
//!
//! A subscriber is a v4 address or a v6 /64. Surplus peers stand behind all others of their role (see `peer.rs`), and whenever one
//! announces it trades places with that peer of its subscriber and role whom nobody has seen for longest.

use std::cmp::Ordering;

use super::address::Address;
use super::by_role::ByRole;
use super::owner::StoredId;
use super::peer::{PackedKey, Peer};
use super::position::{Position, RankRange};
use super::{Peers, Role};
use crate::invariant::certain;

/// Entries of one subscriber that are for everybody.
const FOR_EVERYBODY: usize = 2;

/// The entries of one subscriber in one role.
struct Entries {
    role: Role,
    for_everybody: RankRange,
    surplus: RankRange,
}

impl Entries {
    fn len(&self) -> usize {
        self.for_everybody.len() + self.surplus.len()
    }
}

/// How many of each role are for everybody, where a subscriber has so many of both: of 5 leechers alone 2, of 5 leechers and 3
/// seeders 1 and 1.
fn allowed(all: ByRole<usize>) -> ByRole<usize> {
    if all.leechers == 0 || all.seeders == 0 {
        all.map(|all| all.min(FOR_EVERYBODY))
    } else {
        ByRole::from_fn(|_| FOR_EVERYBODY / 2)
    }
}

impl<A: Address, I: StoredId> Peers<A, I> {
    /// Puts in a peer that is not there yet; returns its position.
    pub(crate) fn insert(&mut self, role: Role, peer: Peer<A, I>) -> Position {
        let mut peer = peer;
        peer.set_surplus(false);
        let position = self.put(role, peer);
        let (low, high) = peer.packed_key.subscriber();
        let is_alone = Role::BOTH.into_iter().all(|other| {
            let near = if other == role {
                position.chunk as usize
            } else {
                0
            };
            self.view(other).range(low, high, near).len() <= usize::from(other == role)
        });
        if is_alone {
            return position;
        }
        self.settle(&peer.packed_key);
        // That may have moved it, and others before it.
        let found = self.find(peer.sort_key(), role);
        certain(found, (role, position), "it has just been put in").1
    }

    /// Takes the peer at a position out; another of its subscriber may take its turn.
    pub(crate) fn remove(&mut self, role: Role, position: Position) -> Option<Peer<A, I>> {
        let peer = self.take(role, position)?;
        if self.has_surplus() {
            self.settle(&peer.packed_key);
        }
        Some(peer)
    }

    /// Removes who was last seen at or before `horizon`, and tells `on_removed` of each.
    pub(crate) fn expire(&mut self, horizon: u32, on_removed: &mut impl FnMut(&Peer<A, I>)) {
        if !self.has_surplus() {
            self.drop_dead(horizon, on_removed);
            return;
        }
        let mut gone = Vec::new();
        self.drop_dead(horizon, &mut |peer| {
            gone.push(peer.packed_key);
            on_removed(peer);
        });
        gone.iter().for_each(|packed_key| self.settle(packed_key));
    }

    /// Gives the surplus peer at a position its turn. Returns where it is then.
    pub(crate) fn give_turn(&mut self, role: Role, position: Position) -> Position {
        let Some((position, mut peer)) = self.view(role).peer_at(position.rank) else {
            debug_assert!(false, "positions are of peers that are there");
            return position;
        };
        self.take(role, position);
        self.demote_one(&self.entries(role, &peer.packed_key));
        peer.set_surplus(false);
        self.put(role, peer)
    }

    fn has_surplus(&self) -> bool {
        Role::BOTH
            .into_iter()
            .any(|role| self.view(role).has_surplus())
    }

    /// The entries of the subscriber that has, or had, a peer at `packed_key`.
    fn entries(&self, role: Role, packed_key: &PackedKey<A>) -> Entries {
        let view = self.view(role);
        let (low, high) = packed_key.everybodys().subscriber();
        let surplus = if view.has_surplus() {
            view.range(A::surplus(low), A::surplus(high), 0)
        } else {
            RankRange::default()
        };
        Entries {
            role,
            for_everybody: view.range(low, high, 0),
            surplus,
        }
    }

    /// Restores which of a subscriber's peers are for everybody and which are surplus.
    fn settle(&mut self, packed_key: &PackedKey<A>) {
        // Each round moves one; after one that came or went there is at most one to move in each role.
        for _ in 0..2 * FOR_EVERYBODY {
            let both = ByRole::from_fn(|role| self.entries(role, packed_key));
            let allowed = allowed(both.as_ref().map(Entries::len));
            let moved = both.into_iter().zip(allowed).any(|(entries, allowed)| {
                let listed = entries.for_everybody.len();
                match listed.cmp(&allowed) {
                    Ordering::Greater => self.demote_one(&entries),
                    Ordering::Less => self.promote_one(&entries),
                    Ordering::Equal => {}
                }
                listed != allowed
            });
            if !moved {
                return;
            }
        }
        debug_assert!(false, "a subscriber's peers are in order after a few moves");
    }

    /// Puts who was seen longest ago with the surplus.
    fn demote_one(&mut self, entries: &Entries) {
        let view = self.view(entries.role);
        let ranks = entries.for_everybody.start.rank..entries.for_everybody.end.rank;
        let peers = ranks.filter_map(|rank| view.peer_at(rank));
        if let Some((position, peer)) = peers.min_by_key(|(_, peer)| peer.state.seen()) {
            self.move_to(entries.role, position, peer, true);
        } else {
            debug_assert!(false, "who has a surplus has a peer for everybody");
        }
    }

    /// Puts the first of the surplus with those for everybody.
    fn promote_one(&mut self, entries: &Entries) {
        let first = self.view(entries.role).peer_at(entries.surplus.start.rank);
        if let Some((position, peer)) = first.filter(|_| entries.surplus.len() > 0) {
            self.move_to(entries.role, position, peer, false);
        } else {
            debug_assert!(
                false,
                "fewer are for everybody than may be: the others are surplus"
            );
        }
    }

    fn move_to(&mut self, role: Role, position: Position, mut peer: Peer<A, I>, is_surplus: bool) {
        self.take(role, position);
        peer.set_surplus(is_surplus);
        self.put(role, peer);
    }
}

/// Tells the surplus from who is for everybody; both lists are in order, before and after.
pub(super) fn sort_out<A: Address, I: StoredId>(roles: &mut ByRole<Vec<Peer<A, I>>>) {
    let ByRole { leechers, seeders } = roles;
    let mut has_surplus = mark(leechers, seeders);
    has_surplus |= mark(seeders, leechers);
    if has_surplus {
        for peers in roles.as_mut() {
            peers.sort_unstable_by_key(Peer::sort_key);
        }
    }
}

/// Marks the surplus of one role; `others` are those of the other, with the surplus marked or not. Whether there is any.
fn mark<A: Address, I: StoredId>(peers: &mut [Peer<A, I>], others: &[Peer<A, I>]) -> bool {
    let mut has_surplus = false;
    let of_one = |one: &Peer<A, I>, other: &Peer<A, I>| {
        one.packed_key.subscriber() == other.packed_key.subscriber()
    };
    for entries in peers.chunk_by_mut(of_one) {
        let Some(first) = entries.first().filter(|_| entries.len() > 1) else {
            continue;
        };
        let (low, high) = first.packed_key.subscriber();
        let at = others.partition_point(|other| other.packed_key.everybodys().sort_key() < low);
        let is_in_both = others
            .get(at)
            .is_some_and(|other| other.packed_key.everybodys().sort_key() <= high);
        // Which role is which makes no difference here: that both have some does.
        let allowed = allowed(ByRole {
            leechers: entries.len(),
            seeders: usize::from(is_in_both),
        });
        for surplus in entries.iter_mut().skip(allowed.leechers) {
            surplus.set_surplus(true);
            has_surplus = true;
        }
    }
    has_surplus
}
