//! A newcomer at a bound of the whole tracker (S5): a peer that announces to another tracker leaves for it, or else one of a heavier
//! network. The guards of the two swarms are held one after the other; the room that is made stays reserved meanwhile, so that nobody
//! else takes it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::heavy_peers::{HeavyPeers, PeerLocation};
use super::usage::Usage;
use super::{Room, Swarms};
use crate::metrics::{AnnounceOutcome, Full};
use crate::tracker::announce::{Announce, PeerList, Refusal};
use crate::tracker::id::InfoHash;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::swarm::Swarm;
use crate::tracker::swarm::evict::{MAX_EMPTIED, MAX_TOGETHER};
use crate::tracker::swarm::upsert::{AnnounceEffect, Rules};

/// Peers that are tried at most, since some in the sample have left by themselves.
const TRIES: usize = 16;

/// Steps at most in which the peers of one torrent leave.
const MAX_STEPS: usize = MAX_EMPTIED / MAX_TOGETHER;

/// Draws in which nobody is heavier than the newcomer, and after which it is not stored.
const DRAWS: usize = 2;

fn number(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// An announce that met a bound.
pub(super) struct Newcomer<'a> {
    pub announce: &'a Announce,
    pub rules: &'a Rules<'a>,
    pub bound: Full,
}

impl<I: StoredId> Swarms<I> {
    /// Has somebody leave for the newcomer and lets it announce again. The outcome stays what it is when nobody is heavier.
    ///
    /// # Errors
    /// What `admit` says.
    #[cold]
    pub(super) fn displace(
        &self,
        newcomer: &Newcomer<'_>,
        admit: &impl Fn() -> Result<(), Refusal>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
        effect: &mut AnnounceEffect,
    ) -> Result<(), Refusal> {
        self.usage.hold(newcomer.bound, 1);
        let left = self.make_way(newcomer, rng);
        let mut met = Ok(());
        if left > 0 {
            list.clear();
            met = self.meet(
                newcomer.announce,
                newcomer.rules,
                admit,
                Room::Held,
                rng,
                list,
                effect,
            );
            effect.evicted = Some((newcomer.bound, left));
        }
        self.usage.hold(newcomer.bound, -1);
        met
    }

    /// Has a peer leave, or all of a torrent; returns how many have gone.
    fn make_way(&self, newcomer: &Newcomer<'_>, rng: &mut fastrand::Rng) -> u16 {
        match self.make_way_elsewhere(newcomer, rng) {
            0 => self.make_way_by_weight(newcomer, rng),
            left => left,
        }
    }

    /// Has one leave that announces to another tracker, or all of a torrent which has no others.
    fn make_way_elsewhere(&self, newcomer: &Newcomer<'_>, rng: &mut fastrand::Rng) -> u16 {
        let rules = newcomer.rules;
        if !rules.origins.has_any() {
            return 0;
        }
        for _ in 0..TRIES {
            let (drawn, are_few) = self.elsewhere.draw_any(rules.address_counts, rng);
            // The next sweep fills it; but not with torrents to empty, when the last one found an own peer in each.
            let helps = newcomer.bound != Full::Torrents || !self.is_mixed.load(Ordering::Relaxed);
            if are_few && helps {
                self.lacks_elsewhere.store(true, Ordering::Relaxed);
            }
            let Some(drawn) = drawn else {
                return 0;
            };
            let left = match newcomer.bound {
                Full::Torrents => {
                    let is_elsewhere = |(_, is_elsewhere)| is_elsewhere;
                    self.empty(&drawn.info_hash, &self.elsewhere, is_elsewhere, rules)
                }
                Full::Peers | Full::Swarm => self.evict_elsewhere(&drawn, rules, rng),
            };
            self.elsewhere.forget(&drawn);
            if left > 0 {
                return left;
            }
        }
        0
    }

    /// Has a peer leave if it announces to another tracker, and has another one such take its place in the sample; returns how many
    /// have gone.
    fn evict_elsewhere(
        &self,
        peer: &PeerLocation,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) -> u16 {
        let address = SocketAddr::new(peer.ip, peer.port);
        let mut others = Vec::new();
        let [before, after] = self.change(&peer.info_hash, rules, |swarm| {
            if swarm.is_elsewhere(address, rules) && swarm.evict(address, rules) {
                others = swarm.some_elsewhere(rules, rng);
            }
        });
        if let Some(other) = others.first() {
            self.sample_elsewhere(&peer.info_hash, *other, rules, rng);
        }
        number(before.peers().saturating_sub(after.peers()))
    }

    /// Has one of the heavier leave, or all of a torrent; returns how many peers have gone.
    fn make_way_by_weight(&self, newcomer: &Newcomer<'_>, rng: &mut fastrand::Rng) -> u16 {
        let rules = newcomer.rules;
        let own = newcomer.announce.ip;
        let is_heavier =
            |(address, _): (SocketAddr, _)| rules.address_counts.is_heavier(address.ip(), own);
        let mut draws = 0;
        for _ in 0..TRIES {
            let Some(drawn) = self.heavy_peers.draw(own, rules.address_counts, rng) else {
                draws += 1;
                if draws == DRAWS {
                    break;
                }
                continue;
            };
            let left = match newcomer.bound {
                Full::Torrents => {
                    self.empty(&drawn.info_hash, &self.heavy_peers, is_heavier, rules)
                }
                Full::Peers | Full::Swarm => self.evict(&drawn, rules),
            };
            self.heavy_peers.forget(&drawn);
            if left > 0 {
                return left;
            }
        }
        0
    }

    /// Has a peer leave; returns how many have gone.
    fn evict(&self, peer: &PeerLocation, rules: &Rules<'_>) -> u16 {
        let address = SocketAddr::new(peer.ip, peer.port);
        let [before, after] = self.change(&peer.info_hash, rules, |swarm| {
            swarm.evict(address, rules);
        });
        number(before.peers().saturating_sub(after.peers()))
    }

    /// Has all peers of a torrent leave, in a few steps, each under its shard's lock, when all may. Returns how many have gone when it is
    /// free.
    fn empty(
        &self,
        info_hash: &InfoHash,
        sample: &HeavyPeers,
        may_leave: impl Fn((SocketAddr, bool)) -> bool,
        rules: &Rules<'_>,
    ) -> u16 {
        let mut gone = Vec::new();
        let is_free = (0..MAX_STEPS).any(|_| {
            let before = gone.len();
            let [was, is] = self.change(info_hash, rules, |swarm| {
                swarm.evict_all(&may_leave, rules, &mut gone);
            });
            for address in gone.iter().skip(before) {
                sample.forget(&PeerLocation::new(info_hash, *address));
            }
            was.is_living() && !is.is_living()
        });
        if is_free {
            number(gone.len().max(1))
        } else {
            0
        }
    }

    /// Tells the sample of heavy peers of the announcer, who has joined or is still there, or has left.
    #[cold]
    pub(super) fn sample(
        &self,
        announce: &Announce,
        outcome: AnnounceOutcome,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) {
        let peer = PeerLocation {
            info_hash: announce.info_hash,
            ip: announce.ip,
            port: announce.port,
        };
        if outcome == AnnounceOutcome::Left {
            self.heavy_peers.forget(&peer);
        } else {
            self.heavy_peers.add(peer, rules.address_counts, rng);
        }
    }

    /// Tells the sample of those that announce to other trackers of one.
    pub(super) fn sample_elsewhere(
        &self,
        hash: &InfoHash,
        address: SocketAddr,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) {
        let peer = PeerLocation::new(hash, address);
        self.elsewhere.add(peer, rules.address_counts, rng);
    }

    /// Tells both of some peer of a torrent: of one that announces to another tracker while there is a bound, since those have to be known
    /// that came when there was room; of any while the tracker is well filled.
    pub(super) fn sample_of(
        &self,
        hash: &InfoHash,
        swarm: &Swarm<I>,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) {
        if !Usage::is_bounded(rules.settings) {
            return;
        }
        if let Some(address) = swarm.some_elsewhere(rules, rng).first() {
            self.sample_elsewhere(hash, *address, rules, rng);
        }
        if !self.usage.is_crowded(rules.settings) {
            return;
        }
        if let Some((address, false)) = swarm.any(rng) {
            let peer = PeerLocation::new(hash, address);
            self.heavy_peers.add(peer, rules.address_counts, rng);
        }
    }
}
