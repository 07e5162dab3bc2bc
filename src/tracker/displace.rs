//! A newcomer at a bound of the whole tracker (S5): a peer of a heavier network leaves for it. The guards of the two swarms are
//! held one after the other; the place is held meanwhile, so that nobody else takes it.

use std::net::SocketAddr;

use super::announce::{Announce, PeerList, Refusal};
use super::heavy::Stored;
use super::id::InfoHash;
use super::peer::KeptId;
use super::swarm::Swarm;
use super::swarms::{Room, Swarms};
use super::visit::{Outcome, Rules};
use crate::metrics::Full;

/// Peers that are tried at most, since some in the sample have left by themselves.
const TRIES: usize = 8;

/// Draws in which nobody is heavier than the newcomer, and after which it is not stored.
const DRAWS: usize = 2;

/// An announce that met a bound.
pub(super) struct Newcomer<'a> {
    pub(super) announce: &'a Announce,
    pub(super) rules: &'a Rules<'a>,
    pub(super) bound: Full,
}

impl<I: KeptId> Swarms<I> {
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
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        self.fill.hold(newcomer.bound, 1);
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
                outcome,
            );
            outcome.evicted = Some((newcomer.bound, left));
        }
        self.fill.hold(newcomer.bound, -1);
        met
    }

    /// Has one of the heavier leave, or all of a torrent; returns how many peers have gone.
    fn make_way(&self, newcomer: &Newcomer<'_>, rng: &mut fastrand::Rng) -> u8 {
        let rules = newcomer.rules;
        let own = rules.loads.weight_with_one_more(newcomer.announce.ip);
        let mut draws = 0;
        for _ in 0..TRIES {
            let Some(drawn) = self.heavy.draw(own, rules.loads, rng) else {
                draws += 1;
                if draws == DRAWS {
                    break;
                }
                continue;
            };
            let Stored {
                info_hash,
                ip,
                port,
            } = drawn.peer;
            let gone = self.change(&info_hash, rules, |swarm| match newcomer.bound {
                Full::Torrents => swarm.evict_all(own, rules),
                Full::Peers | Full::Swarm => {
                    swarm.evict(SocketAddr::new(ip, port), rules);
                }
            });
            self.heavy.forget(&drawn);
            let [before, after] = gone;
            let has_room = match newcomer.bound {
                Full::Torrents => before.is_living() && !after.is_living(),
                Full::Peers | Full::Swarm => after.peers() < before.peers(),
            };
            if has_room {
                return u8::try_from(before.peers() - after.peers()).unwrap_or(u8::MAX);
            }
        }
        0
    }

    /// Tells the sample of heavy peers of the announcer.
    #[cold]
    pub(super) fn sample(&self, announce: &Announce, rules: &Rules<'_>, rng: &mut fastrand::Rng) {
        let peer = Stored {
            info_hash: announce.info_hash,
            ip: announce.ip,
            port: announce.port,
        };
        self.heavy.offer(peer, rules.loads.weight(peer.ip), rng);
    }

    /// Tells it of some peer of a torrent, while the tracker is well filled.
    pub(super) fn sample_of(
        &self,
        hash: &InfoHash,
        swarm: &Swarm<I>,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
    ) {
        if self.fill.is_crowded(rules.settings)
            && let Some(address) = swarm.any(rng)
        {
            let peer = Stored {
                info_hash: *hash,
                ip: address.ip(),
                port: address.port(),
            };
            self.heavy.offer(peer, rules.loads.weight(peer.ip), rng);
        }
    }
}
