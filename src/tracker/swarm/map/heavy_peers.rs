//! A sample of stored peers, from which one of the heaviest network is drawn when the whole tracker is at a bound (S5). It is
//! filled only while the tracker is well filled, and prefers peers of heavy networks.
//!
//! A peer has one slot in it, however often it announces, and loses it when it leaves: nobody fills it with peers that are not
//! there. Its locks are held for a few steps, and never waited for while a guard of the swarms is held.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;

use crate::tracker::abuse::address_counts::AddressCounts;
use crate::tracker::id::InfoHash;

/// Parts of the sample, each under a lock of its own. A power of two.
const STRIPES: usize = 512;

/// Peers in each part: 32,768 in all, at 40 bytes 1.3 MiB.
const SLOTS: usize = 64;

/// Peers that are looked at for each that is drawn.
const LOOKS: usize = 8;

/// When more stripes than this are looked at for [`LOOKS`] peers, there are fewer than two in each on average.
const MANY_STRIPES: usize = 4;

/// Of so many peers that are lighter than those that they would replace, one is taken all the same.
const LIGHT_ONES: usize = 8;

/// Where a peer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerLocation {
    pub info_hash: InfoHash,
    pub ip: IpAddr,
    pub port: u16,
}

impl PeerLocation {
    /// Of a peer of a torrent.
    pub(super) fn new(info_hash: &InfoHash, address: SocketAddr) -> PeerLocation {
        PeerLocation {
            info_hash: *info_hash,
            ip: address.ip(),
            port: address.port(),
        }
    }
}

#[derive(Debug)]
pub(super) struct HeavyPeers {
    stripes: Box<[Mutex<Vec<PeerLocation>>]>,
    hasher: RandomState,
}

impl HeavyPeers {
    pub(super) fn new() -> HeavyPeers {
        HeavyPeers {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// The only stripe that a peer may be in.
    fn home(&self, peer: &PeerLocation) -> Option<&Mutex<Vec<PeerLocation>>> {
        let hash = self.hasher.hash_one(peer) % STRIPES as u64;
        self.stripes.get(usize::try_from(hash).ok()?)
    }

    /// Puts a peer in, instead of a lighter one when there is no room. Never waits.
    pub(super) fn add(
        &self,
        peer: PeerLocation,
        address_counts: &AddressCounts,
        rng: &mut fastrand::Rng,
    ) {
        let home = self.home(&peer).and_then(|home| home.try_lock().ok());
        let Some(mut slots) = home.filter(|slots| !slots.contains(&peer)) else {
            return;
        };
        if slots.len() < SLOTS {
            slots.push(peer);
            return;
        }
        // As they weigh now, not as they did when they were put in.
        let weight_of = |at: usize| {
            slots
                .get(at)
                .map_or(0, |slot| address_counts.weight(slot.ip))
        };
        let [one, other] = [rng.usize(0..SLOTS), rng.usize(0..SLOTS)];
        let (least, lighter) = (weight_of(one), one).min((weight_of(other), other));
        if (least <= address_counts.weight(peer.ip) || rng.usize(0..LIGHT_ONES) == 0)
            && let Some(slot) = slots.get_mut(lighter)
        {
            *slot = peer;
        }
    }

    /// Looks at a few peers and returns the heaviest of those that are heavier than a newcomer.
    pub(super) fn draw(
        &self,
        newcomer: IpAddr,
        address_counts: &AddressCounts,
        rng: &mut fastrand::Rng,
    ) -> Option<PeerLocation> {
        let is_heavier = |ip| address_counts.is_heavier(ip, newcomer);
        self.draw_where(is_heavier, address_counts, rng).0
    }

    /// Looks at a few peers and returns the heaviest, `None` when there is none, and whether few are left.
    pub(super) fn draw_any(
        &self,
        address_counts: &AddressCounts,
        rng: &mut fastrand::Rng,
    ) -> (Option<PeerLocation>, bool) {
        let (drawn, stripes) = self.draw_where(|_| true, address_counts, rng);
        (drawn, stripes > MANY_STRIPES)
    }

    /// The heaviest of a few that may be drawn, and in how many stripes it has looked for these few.
    fn draw_where(
        &self,
        may_be: impl Fn(IpAddr) -> bool,
        address_counts: &AddressCounts,
        rng: &mut fastrand::Rng,
    ) -> (Option<PeerLocation>, usize) {
        let mut heaviest = (0, None);
        let (mut looked, mut stripes) = (0, 0);
        // While few are in, most stripes are empty: on to the next, in an order that an odd step makes one of all.
        let (mut stripe, step) = (rng.usize(0..STRIPES), rng.usize(0..STRIPES) | 1);
        for _ in 0..STRIPES {
            stripe = (stripe + step) % STRIPES;
            stripes += 1;
            let Some(lock) = self.stripes.get(stripe) else {
                continue;
            };
            let mut few = [None; LOOKS / 2];
            {
                let slots = lock.lock().unwrap_or_else(PoisonError::into_inner);
                let first = rng.usize(0..slots.len().max(1));
                let peers = slots.iter().cycle().skip(first).take(slots.len());
                for (cell, peer) in few.iter_mut().zip(peers) {
                    *cell = Some(*peer);
                }
            }
            for peer in few.into_iter().flatten() {
                let weight = address_counts.weight(peer.ip);
                if (weight > heaviest.0 || heaviest.1.is_none()) && may_be(peer.ip) {
                    heaviest = (weight, Some(peer));
                }
                looked += 1;
            }
            if looked >= LOOKS {
                break;
            }
        }
        (heaviest.1, stripes)
    }

    /// Takes a peer out that is stored no longer.
    pub(super) fn forget(&self, peer: &PeerLocation) {
        let Some(lock) = self.home(peer) else {
            return;
        };
        let mut slots = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = slots.iter().position(|slot| slot == peer) {
            slots.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(network: u32, number: u32) -> PeerLocation {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&number.to_be_bytes());
        PeerLocation {
            info_hash,
            ip: Ipv4Addr::from(network << 8).into(),
            port: 1,
        }
    }

    /// S5
    #[test]
    fn heavy_peers_are_drawn_from_among_many_light_ones_and_forgotten() {
        let (heavy_peers, address_counts) = (HeavyPeers::new(), AddressCounts::new());
        let mut rng = fastrand::Rng::with_seed(3);
        for number in 0..40_000 {
            // One in twenty is of network 7.
            let peer = peer(if number % 20 == 0 { 7 } else { 100 + number }, number);
            address_counts.add(peer.ip);
            heavy_peers.add(peer, &address_counts, &mut rng);
        }
        let stored: usize = heavy_peers
            .stripes
            .iter()
            .map(|slots| slots.lock().unwrap().len())
            .sum();
        assert!(stored > STRIPES * SLOTS / 2, "{stored}");
        let (mut found, mut light) = (0, 0);
        for _ in 0..100 {
            if let Some(drawn) = heavy_peers.draw(peer(1, 0).ip, &address_counts, &mut rng) {
                heavy_peers.forget(&drawn);
                // Now and then somebody looks heavier than he is: counts are never too low, and rarely too high.
                let count = if drawn.ip == peer(7, 0).ip {
                    &mut found
                } else {
                    &mut light
                };
                *count += 1;
            }
        }
        assert!(found > 20 && light < found, "{found} {light}");
        assert!(
            heavy_peers
                .draw(peer(7, 0).ip, &address_counts, &mut rng)
                .is_none()
        );
    }

    #[test]
    fn one_peer_is_found_and_none_when_there_is_none() {
        let (heavy_peers, address_counts) = (HeavyPeers::new(), AddressCounts::new());
        let mut rng = fastrand::Rng::with_seed(3);
        assert!(
            heavy_peers
                .draw(peer(2, 0).ip, &address_counts, &mut rng)
                .is_none()
        );
        address_counts.add(peer(1, 1).ip);
        address_counts.add(peer(1, 1).ip);
        heavy_peers.add(peer(1, 1), &address_counts, &mut rng);
        heavy_peers.add(peer(1, 1), &address_counts, &mut rng);
        let drawn = heavy_peers
            .draw(peer(2, 0).ip, &address_counts, &mut rng)
            .unwrap();
        assert_eq!(drawn, peer(1, 1));
        heavy_peers.forget(&drawn);
        assert!(
            heavy_peers
                .draw(peer(2, 0).ip, &address_counts, &mut rng)
                .is_none()
        );
        heavy_peers.forget(&drawn);
    }
}
