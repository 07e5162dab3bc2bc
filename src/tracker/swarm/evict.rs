//! Eviction: which peer leaves a swarm for a newcomer when there are too many (S5): one of the network that has most.

use std::net::{IpAddr, SocketAddr};

use super::Swarm;
use super::departed::Departed;
use super::families::of_family;
use super::upsert::{Rules, count_within};
use crate::invariant::certain;
use crate::metrics::Family;
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::{Peers, Role};

/// Peers that are looked at for each that leaves.
const LOOKS: usize = 8;

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

/// The peer at a rank of all, leechers first.
fn at<A: Address, I: StoredId>(peers: &Peers<A, I>, rank: usize) -> Option<SocketAddr> {
    let leechers = peers.counts().leechers;
    let (role, rank) = match rank.checked_sub(leechers) {
        None => (Role::Leecher, rank),
        Some(rank) => (Role::Seeder, rank),
    };
    let mut found = None;
    let rank = u32::try_from(rank).ok()?;
    peers.view(role).pick([rank].into_iter(), 0, |address, _| {
        found = Some(SocketAddr::new(address.ip(), address.port()));
    });
    found
}

impl<I: StoredId> Swarm<I> {
    /// What an address weighs in this swarm, in [`crate::net::subscriber::ENTRY`]s.
    fn weight(&self, ip: IpAddr, rules: &Rules<'_>, more: usize) -> usize {
        let zone = tiered(rules.zones.of(ip), ip);
        // The first v6 peer of a swarm weighs nothing there.
        of_family!(self.families(), Family::of(ip), peers => weight(peers, ip, zone, more))
            .unwrap_or(0)
    }

    /// Some peer.
    pub(super) fn any(&self, rng: &mut fastrand::Rng) -> Option<SocketAddr> {
        if self.len() == 0 {
            return None;
        }
        let rank = rng.usize(0..self.len());
        match rank.checked_sub(self.v4.len()) {
            None => at(&self.v4, rank),
            Some(rank) => self.extra.as_ref().and_then(|extra| at(&extra.v6, rank)),
        }
    }

    /// Looks at a few peers and has the heaviest leave for a newcomer, when it is heavier than the newcomer would be. The swarm
    /// has been [refreshed](Swarm::refresh). Returns whether one left.
    pub(super) fn give_way(
        &mut self,
        newcomer: IpAddr,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let mut heaviest = (self.weight(newcomer, rules, 1), None);
        for _ in 0..LOOKS {
            let Some(address) = self.any(rng) else {
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

    /// Has peers leave that are heavier in all swarms than a newcomer, when they all are and are not too many; at most
    /// [`MAX_TOGETHER`], which are added to `removed`.
    pub(super) fn evict_heavier(
        &mut self,
        newcomer: IpAddr,
        rules: &Rules<'_>,
        removed: &mut Vec<SocketAddr>,
    ) {
        if self.len() > MAX_EMPTIED {
            return;
        }
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|peer| all.push(SocketAddr::new(peer.ip, peer.port)));
        let is_heavier =
            |address: &SocketAddr| rules.address_counts.is_heavier(address.ip(), newcomer);
        // Who weighed enough a moment ago weighs less by what has left since.
        if removed.is_empty() && !all.iter().all(is_heavier) {
            return;
        }
        all.truncate(MAX_TOGETHER);
        all.retain(is_heavier);
        for address in all {
            if self.evict(address, rules) {
                removed.push(address);
            }
        }
    }
}
