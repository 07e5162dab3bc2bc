//! Eviction: which peer leaves a swarm for a newcomer when there are too many (S5): one that announces to another tracker, or else one of
//! the network that has most.

use std::net::{IpAddr, SocketAddr};

use super::Swarm;
use super::departed::Departed;
use super::families::{for_each_family, of_family};
use super::upsert::{Rules, count_within};
use crate::invariant::{certain, minus};
use crate::metrics::Family;
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::{PackedKey, State};
use crate::tracker::peers::view::{Run, View};
use crate::tracker::peers::{Peers, Role};

/// Peers that are looked at for each that leaves.
const LOOKS: usize = 8;

/// Parts of a list of which each is looked at for peers that announce to other trackers: some that stand together are found when they are
/// a 64th of it, and such as are strewn about when they are a hundredth.
const PARTS: u32 = 64;

/// Such peers that are found at most in the list of one role and family.
const ENOUGH_ELSEWHERE: usize = 2;

/// Peers that leave together at most, under one lock.
pub(super) const MAX_TOGETHER: usize = 64;

/// Peers that a torrent may have at most to be emptied for another. One address has 50 by default: who wants to keep a place
/// for a torrent by crowding it pays with so many peers for each.
pub(super) const MAX_EMPTIED: usize = 512;

/// What the subscriber of an address, or a network around it, has in a zone of a swarm, and with `more` peers beside.
fn weight<A: Address, I: StoredId>(
    peers: &Peers<A, I>,
    ip: IpAddr,
    zone: u32,
    more: usize,
) -> usize {
    let Some(address) = A::pack(ip, 0) else {
        debug_assert!(false, "an address is weighed among those of its family");
        return 0;
    };
    let weights = A::LEVELS
        .iter()
        .map(|level| (count_within(peers, address, zone, *level) + more) * level.entry as usize);
    certain(weights.max(), 0, "an address has levels around it")
}

/// A stored peer, and whether it announces to another tracker.
type Seen = (SocketAddr, bool);

/// The peer at a rank of all, leechers first.
fn at<A: Address, I: StoredId>(peers: &Peers<A, I>, rank: usize) -> Option<Seen> {
    let leechers = peers.counts().leechers;
    let (role, rank) = match rank.checked_sub(leechers) {
        None => (Role::Leecher, rank),
        Some(rank) => (Role::Seeder, rank),
    };
    let (_, peer) = peers.view(role).peer_at(u32::try_from(rank).ok()?)?;
    let address = peer.packed_key.address();
    let address = SocketAddr::new(address.ip(), address.port());
    Some((address, peer.state.is_elsewhere()))
}

/// Looks at a few peers in each part of a list, from a part by chance on, and finds some that announce to other trackers.
fn look_for_elsewhere<A: Address, I: StoredId>(
    view: View<'_, A, I>,
    rng: &mut fastrand::Rng,
    found: &mut Vec<SocketAddr>,
) {
    let len = view.whole().len() as u64;
    if len == 0 {
        return;
    }
    let (first, turn) = (rng.u32(0..PARTS), rng.u64(0..len));
    let (mut near, most) = (0, found.len() + ENOUGH_ELSEWHERE);
    for part in 0..PARTS {
        let part = u64::from((first + part) % PARTS);
        let rank = u32::try_from((part * len + turn) / u64::from(PARTS)).unwrap_or(u32::MAX);
        let (chunk, start, run) = view.run_of(rank, near);
        near = chunk;
        let within = minus(rank, start, "a rank is in its run") as usize;
        let address = match run.cut(within, LOOKS) {
            Run::Flat(peers) => {
                let peer = peers.iter().find(|peer| peer.state.is_elsewhere());
                peer.map(|peer| peer.packed_key.address())
            }
            Run::Chunk(packed_keys, states) => {
                let at = states.iter().position(State::is_elsewhere);
                at.and_then(|at| packed_keys.get(at))
                    .map(PackedKey::address)
            }
        };
        if let Some(address) = address {
            found.push(SocketAddr::new(address.ip(), address.port()));
        }
        if found.len() >= most {
            return;
        }
    }
}

impl<I: StoredId> Swarm<I> {
    /// What an address weighs in this swarm, in [`crate::net::subscriber::ENTRY`]s.
    fn weight(&self, ip: IpAddr, rules: &Rules<'_>, more: usize) -> usize {
        let zone = tiered(rules.zones.of(ip), ip);
        // The first v6 peer of a swarm weighs nothing there.
        of_family!(self.families(), Family::of(ip), peers => weight(peers, ip, zone, more))
            .unwrap_or(0)
    }

    /// Some peer, and whether it announces to another tracker.
    pub(super) fn any(&self, rng: &mut fastrand::Rng) -> Option<Seen> {
        if self.len() == 0 {
            return None;
        }
        self.seen(rng.usize(0..self.len()))
    }

    /// The peer at a rank among those of both families.
    fn seen(&self, rank: usize) -> Option<Seen> {
        match rank.checked_sub(self.v4.len()) {
            None => at(&self.v4, rank),
            Some(rank) => self.extra.as_ref().and_then(|extra| at(&extra.v6, rank)),
        }
    }

    /// Some peers that announce to other trackers, if it has more than a few.
    pub(super) fn some_elsewhere(
        &self,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        if rules.origins.has_any() {
            for_each_family!(self.families(), peers => {
                for role in Role::BOTH {
                    look_for_elsewhere(peers.view(role), rng, &mut found);
                }
            });
        }
        found
    }

    /// Whether it can be emptied for a torrent of this tracker: it has peers, not too many, and all of them announce to other trackers.
    pub(super) fn is_all_elsewhere(&self) -> bool {
        let is_it = |rank| {
            self.seen(rank)
                .is_some_and(|(_, is_elsewhere)| is_elsewhere)
        };
        (1..=MAX_EMPTIED).contains(&self.len()) && (0..self.len()).all(is_it)
    }

    /// Whether the peer at an address announces to another tracker.
    pub(super) fn is_elsewhere(&self, address: SocketAddr, rules: &Rules<'_>) -> bool {
        let found = self.families().find(address, rules.zones);
        let is_elsewhere = found.and_then(|(role, position)| {
            of_family!(self.families(), Family::of(address.ip()), peers => {
                let (_, peer) = peers.view(role).peer_at(position.rank)?;
                Some(peer.state.is_elsewhere())
            })
        });
        is_elsewhere.flatten().unwrap_or(false)
    }

    /// Looks at a few peers and has the heaviest leave for a newcomer: of those that announce to other trackers, whatever it weighs, or
    /// else of all, when it is heavier than the newcomer would be. The swarm has been [refreshed](Swarm::refresh). Returns whether one
    /// left.
    pub(super) fn give_way(
        &mut self,
        newcomer: IpAddr,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let elsewhere = self.some_elsewhere(rules, rng).into_iter();
        let heaviest = elsewhere.max_by_key(|address| self.weight(address.ip(), rules, 0));
        if let Some(address) = heaviest {
            return self.evict(address, rules);
        }
        let mut heaviest = (self.weight(newcomer, rules, 1), None);
        for _ in 0..LOOKS {
            let Some((address, _)) = self.any(rng) else {
                continue;
            };
            let weight = self.weight(address.ip(), rules, 0);
            if weight > heaviest.0 {
                heaviest = (weight, Some(address));
            }
        }
        heaviest.1.is_some_and(|address| self.evict(address, rules))
    }

    /// Has a peer leave. The swarm has been [refreshed](Swarm::refresh). Returns whether it was there.
    pub(super) fn evict(&mut self, address: SocketAddr, rules: &Rules<'_>) -> bool {
        let Some((role, position)) = self.families().find(address, rules.zones) else {
            return false;
        };
        let mut removed = Departed::default();
        let has_alternate = of_family!(self.families_mut(), Family::of(address.ip()), peers => {
            peers.remove(role, position).map(|peer| {
                removed.on_removed(&peer, rules);
                peer.state.has_alternate()
            })
        });
        let Some(has_alternate) = has_alternate.flatten() else {
            debug_assert!(false, "who was found is there");
            return false;
        };
        let last_seen = self.account_removed(removed, rules);
        if self.len() == 0 {
            self.oldest = last_seen;
        }
        if has_alternate || self.len() == 0 {
            self.tidy(rules.zones);
        }
        self.touch();
        true
    }

    /// Has peers leave that may, when all may and are not too many; at most [`MAX_TOGETHER`], which are added to `removed`.
    pub(super) fn evict_all(
        &mut self,
        may_leave: impl Fn(Seen) -> bool,
        rules: &Rules<'_>,
        removed: &mut Vec<SocketAddr>,
    ) {
        if self.len() > MAX_EMPTIED {
            return;
        }
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|peer| {
            let address = SocketAddr::new(peer.ip, peer.port);
            all.push((address, peer.origin.is_some()));
        });
        // Who weighed enough a moment ago weighs less by what has left since.
        if removed.is_empty() && !all.iter().all(|seen| may_leave(*seen)) {
            return;
        }
        all.truncate(MAX_TOGETHER);
        all.retain(|seen| may_leave(*seen));
        for (address, _) in all {
            if self.evict(address, rules) {
                removed.push(address);
            }
        }
    }
}
