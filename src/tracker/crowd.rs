//! No one crowds a list (S16): of the peers of one subscriber, two are for everybody, or one of each role where it has both; the
//! others are surplus. All that is counted and drawn is drawn from who is for everybody, so a crowd of one address weighs as two peers.
//!
//! A subscriber is a v4 address or a v6 /64. Surplus peers stand behind all others of their role (see `peer.rs`), and whenever one
//! announces it changes places with that peer of its subscriber and role whom nobody has seen for longest.

use super::peer::{Address, KeptId, Peer, Spot};
use super::peers::{Peers, Role};
use super::span::{Seat, Span};

/// Entries of one subscriber that are for everybody.
const FOR_EVERYBODY: usize = 2;

const ROLES: [Role; 2] = [Role::Leecher, Role::Seeder];

/// The entries of one subscriber in one role.
struct Entries {
    role: Role,
    /// Those for everybody, and the surplus.
    spans: [Span; 2],
}

impl Entries {
    fn len(&self) -> usize {
        self.spans.iter().map(Span::len).sum()
    }
}

/// How many of each role are for everybody, where a subscriber has so many of both.
fn allowed(all: [usize; 2]) -> [usize; 2] {
    if all.contains(&0) {
        all.map(|all| all.min(FOR_EVERYBODY))
    } else {
        [FOR_EVERYBODY / 2; 2]
    }
}

impl<A: Address, I: KeptId> Peers<A, I> {
    /// Puts in a peer that is not there yet; returns its seat.
    pub(super) fn insert(&mut self, role: Role, peer: Peer<A, I>) -> Seat {
        let mut peer = peer;
        peer.set_surplus(false);
        let seat = self.put(role, peer);
        let (low, high) = peer.spot.subscriber();
        let is_alone = ROLES.iter().all(|other| {
            let near = if *other == role {
                seat.chunk as usize
            } else {
                0
            };
            self.view(*other).span(low, high, near).len() <= usize::from(*other == role)
        });
        if is_alone {
            return seat;
        }
        self.settle(&peer.spot);
        let found = self.find(peer.place(), role);
        found.map_or(seat, |(_, seat)| seat)
    }

    /// Takes the peer at a seat out; another of its subscriber may take its turn.
    pub(super) fn remove(&mut self, role: Role, seat: Seat) -> Option<Peer<A, I>> {
        let peer = self.take(role, seat)?;
        if self.has_surplus() {
            self.settle(&peer.spot);
        }
        Some(peer)
    }

    /// Removes who was last seen at or before `horizon`, and tells `bury` of each.
    pub(super) fn expire(&mut self, horizon: u32, bury: &mut impl FnMut(&Peer<A, I>)) {
        if !self.has_surplus() {
            self.drop_dead(horizon, bury);
            return;
        }
        let mut gone = Vec::new();
        self.drop_dead(horizon, &mut |peer| {
            gone.push(peer.spot);
            bury(peer);
        });
        gone.iter().for_each(|spot| self.settle(spot));
    }

    /// Gives the surplus peer at a seat its turn. Returns where it is then.
    pub(super) fn give_turn(&mut self, role: Role, seat: Seat) -> Seat {
        let Some((seat, mut peer)) = self.view(role).peer_at(seat.rank) else {
            return seat;
        };
        self.take(role, seat);
        self.demote_one(&self.entries(role, &peer.spot));
        peer.set_surplus(false);
        self.put(role, peer)
    }

    fn has_surplus(&self) -> bool {
        ROLES.iter().any(|role| self.view(*role).has_surplus())
    }

    /// The entries of the subscriber that has, or had, a peer at `spot`.
    fn entries(&self, role: Role, spot: &Spot<A>) -> Entries {
        let view = self.view(role);
        let (low, high) = spot.everybodys().subscriber();
        let surplus = if view.has_surplus() {
            view.span(A::surplus(low), A::surplus(high), 0)
        } else {
            Span::default()
        };
        Entries {
            role,
            spans: [view.span(low, high, 0), surplus],
        }
    }

    /// Brings it in order who of a subscriber's peers is for everybody.
    fn settle(&mut self, spot: &Spot<A>) {
        // Each turn moves one; after one that came or went there is at most one to move in each role.
        for _ in 0..ROLES.len() * FOR_EVERYBODY {
            let both = ROLES.map(|role| self.entries(role, spot));
            let allowed = allowed([both[0].len(), both[1].len()]);
            let moved = both.iter().zip(allowed).any(|(entries, allowed)| {
                let [everybody, _] = &entries.spans;
                if everybody.len() > allowed {
                    self.demote_one(entries);
                } else if everybody.len() < allowed {
                    self.promote_one(entries);
                }
                everybody.len() != allowed
            });
            if !moved {
                return;
            }
        }
        debug_assert!(false, "a subscriber's peers are in order after a few moves");
    }

    /// Puts who was seen longest ago with the surplus.
    fn demote_one(&mut self, entries: &Entries) {
        let [everybody, _] = entries.spans;
        let view = self.view(entries.role);
        let ranks = everybody.start.rank..everybody.end.rank;
        let peers = ranks.filter_map(|rank| view.peer_at(rank));
        if let Some((seat, peer)) = peers.min_by_key(|(_, peer)| peer.state.seen()) {
            self.move_to(entries.role, seat, peer, true);
        }
    }

    fn promote_one(&mut self, entries: &Entries) {
        let [_, surplus] = entries.spans;
        let first = self.view(entries.role).peer_at(surplus.start.rank);
        if let Some((seat, peer)) = first.filter(|_| surplus.len() > 0) {
            self.move_to(entries.role, seat, peer, false);
        }
    }

    fn move_to(&mut self, role: Role, seat: Seat, mut peer: Peer<A, I>, is_surplus: bool) {
        self.take(role, seat);
        peer.set_surplus(is_surplus);
        self.put(role, peer);
    }
}

/// Tells the surplus from who is for everybody; both lists are in order, before and after.
pub(super) fn sort_out<A: Address, I: KeptId>(roles: &mut [Vec<Peer<A, I>>; 2]) {
    let [leechers, seeders] = roles;
    let mut has_surplus = mark(leechers, seeders);
    has_surplus |= mark(seeders, leechers);
    if has_surplus {
        roles
            .iter_mut()
            .for_each(|peers| peers.sort_unstable_by_key(Peer::place));
    }
}

/// Marks the surplus of one role; `others` are those of the other, with the surplus marked or not. Whether there is any.
fn mark<A: Address, I: KeptId>(peers: &mut [Peer<A, I>], others: &[Peer<A, I>]) -> bool {
    let mut has_surplus = false;
    let of_one =
        |one: &Peer<A, I>, other: &Peer<A, I>| one.spot.subscriber() == other.spot.subscriber();
    for entries in peers.chunk_by_mut(of_one) {
        let Some(first) = entries.first().filter(|_| entries.len() > 1) else {
            continue;
        };
        let (low, high) = first.spot.subscriber();
        let at = others.partition_point(|other| other.spot.everybodys().place() < low);
        let is_in_both = others
            .get(at)
            .is_some_and(|other| other.spot.everybodys().place() <= high);
        let [allowed, _] = allowed([entries.len(), usize::from(is_in_both)]);
        for surplus in entries.iter_mut().skip(allowed) {
            surplus.set_surplus(true);
            has_surplus = true;
        }
    }
    has_surplus
}
