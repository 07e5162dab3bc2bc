//! A sample of stored peers, from which one of the heaviest network is drawn when the whole tracker is at a bound (S5). It is
//! filled only while the tracker is well filled, and prefers peers of heavy networks.
//!
//! Its locks are held for a few steps, and never while a guard of the swarms is.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::InfoHash;
use super::loads::Loads;

/// Parts of the sample, each under a lock of its own.
const STRIPES: usize = 512;

/// Peers in each part: 32,768 in all, at 44 bytes 1.4 MiB.
const SLOTS: usize = 64;

/// Peers that are looked at for each that is drawn.
const LOOKS: usize = 8;

/// Of so many peers that are lighter than those that they would replace, one is taken all the same.
const LIGHT_ONES: usize = 8;

/// Where a peer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) info_hash: InfoHash,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    peer: Stored,
    /// When it was put in.
    weight: u32,
}

/// A peer that was drawn, and where from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    pub(super) peer: Stored,
    weight: u32,
    stripe: usize,
}

#[derive(Debug)]
pub(super) struct Heavy {
    stripes: Box<[Mutex<Vec<Slot>>]>,
    /// How many stripes are in use; one is filled after another, so that few peers are found, too.
    used: AtomicUsize,
}

impl Heavy {
    pub(super) fn new() -> Heavy {
        Heavy {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            used: AtomicUsize::new(1),
        }
    }

    fn any_stripe(&self, rng: &mut fastrand::Rng) -> usize {
        rng.usize(0..self.used.load(Relaxed).clamp(1, STRIPES))
    }

    fn try_stripe(&self, stripe: usize) -> Option<MutexGuard<'_, Vec<Slot>>> {
        self.stripes.get(stripe)?.try_lock().ok()
    }

    /// Puts a peer in, in the place of a lighter one when the sample is full. Never waits.
    pub(super) fn offer(&self, peer: Stored, weight: u32, rng: &mut fastrand::Rng) {
        let new = Slot { peer, weight };
        let Some(mut slots) = self.try_stripe(self.any_stripe(rng)) else {
            return;
        };
        if slots.len() < SLOTS {
            slots.push(new);
            return;
        }
        let used = self.used.load(Relaxed);
        if used < STRIPES {
            drop(slots);
            if let Some(mut slots) = self.try_stripe(used)
                && slots.len() < SLOTS
            {
                slots.push(new);
                self.used.store(used + 1, Relaxed);
            }
            return;
        }
        let [one, other] = [rng.usize(0..SLOTS), rng.usize(0..SLOTS)];
        let weight_of = |at: usize| slots.get(at).map(|slot| slot.weight);
        let lighter = if weight_of(other) < weight_of(one) {
            other
        } else {
            one
        };
        let is_light = weight_of(lighter).is_some_and(|least| least > weight);
        if (!is_light || rng.usize(0..LIGHT_ONES) == 0)
            && let Some(slot) = slots.get_mut(lighter)
        {
            *slot = new;
        }
    }

    /// Looks at a few peers and returns the heaviest of them, when it is heavier than `weight`.
    pub(super) fn draw(
        &self,
        weight: u32,
        loads: &Loads,
        rng: &mut fastrand::Rng,
    ) -> Option<Drawn> {
        let mut heaviest: Option<Drawn> = None;
        let mut looked = 0;
        for _ in 0..LOOKS {
            let stripe = self.any_stripe(rng);
            let Some(lock) = self.stripes.get(stripe) else {
                continue;
            };
            let mut few = [None; LOOKS / 2];
            {
                let slots = lock.lock().unwrap_or_else(PoisonError::into_inner);
                if slots.is_empty() {
                    continue;
                }
                for cell in &mut few {
                    *cell = slots.get(rng.usize(0..slots.len())).map(|slot| slot.peer);
                }
            }
            for peer in few.into_iter().flatten() {
                let weight = loads.weight(peer.ip);
                let drawn = Drawn {
                    peer,
                    weight,
                    stripe,
                };
                if heaviest.is_none_or(|so_far| so_far.weight < weight) {
                    heaviest = Some(drawn);
                }
                looked += 1;
            }
            if looked >= LOOKS {
                break;
            }
        }
        heaviest.filter(|drawn| drawn.weight > weight)
    }

    /// Takes a peer out that is stored no longer.
    pub(super) fn forget(&self, drawn: &Drawn) {
        let Some(lock) = self.stripes.get(drawn.stripe) else {
            return;
        };
        let mut slots = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = slots.iter().position(|slot| slot.peer == drawn.peer) {
            slots.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(network: u32, number: u32) -> Stored {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&number.to_be_bytes());
        Stored {
            info_hash,
            ip: Ipv4Addr::from(network << 8).into(),
            port: 1,
        }
    }

    /// S5
    #[test]
    fn heavy_peers_are_drawn_from_among_many_light_ones_and_forgotten() {
        let (heavy, loads) = (Heavy::new(), Loads::new());
        let mut rng = fastrand::Rng::with_seed(3);
        for number in 0..40_000 {
            // One in twenty is of network 7.
            let peer = peer(if number % 20 == 0 { 7 } else { 100 + number }, number);
            loads.add(peer.ip);
            heavy.offer(peer, loads.weight(peer.ip), &mut rng);
        }
        let stored: usize = heavy
            .stripes
            .iter()
            .map(|slots| slots.lock().unwrap().len())
            .sum();
        assert!(stored > STRIPES * SLOTS / 2, "{stored}");
        let mut found = 0;
        for _ in 0..100 {
            if let Some(drawn) = heavy.draw(1_000, &loads, &mut rng) {
                assert_eq!(drawn.peer.ip, peer(7, 0).ip);
                heavy.forget(&drawn);
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
        assert!(heavy.draw(u32::MAX, &loads, &mut rng).is_none());
    }

    #[test]
    fn one_peer_is_found_and_none_when_there_is_none() {
        let (heavy, loads) = (Heavy::new(), Loads::new());
        let mut rng = fastrand::Rng::with_seed(3);
        assert!(heavy.draw(0, &loads, &mut rng).is_none());
        loads.add(peer(1, 1).ip);
        heavy.offer(peer(1, 1), 16, &mut rng);
        let drawn = heavy.draw(0, &loads, &mut rng).unwrap();
        assert_eq!(drawn.peer, peer(1, 1));
        heavy.forget(&drawn);
        heavy.forget(&drawn);
        assert!(heavy.draw(0, &loads, &mut rng).is_none());
    }
}
