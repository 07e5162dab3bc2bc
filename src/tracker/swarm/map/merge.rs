//! What another tracker tells of a torrent finds its swarm, or makes one, within the bounds for what others tell.

use std::net::SocketAddr;

use super::Swarms;
use super::heavy_peers::PeerLocation;
use super::usage::Usage;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::sites::merge::Source;
use crate::tracker::sites::{Merged, PeerDelta, SwarmDelta};
use crate::tracker::swarm::Swarm;
use crate::tracker::swarm::merge::{Room, Told};
use crate::tracker::swarm::upsert::Rules;

/// Peers that are merged under one lock of a shard: some ten microseconds.
const PORTION: usize = 128;

impl<I: StoredId> Swarms<I> {
    /// Merges what is told of one torrent.
    pub(crate) fn merge(
        &self,
        delta: &SwarmDelta,
        source: &Source<'_>,
        rules: &Rules<'_>,
    ) -> Merged {
        let mut merged = Merged::default();
        let mut portions = delta.peers.chunks(PORTION);
        // The counts come with the first portion, be it empty.
        self.merge_portion(
            delta,
            portions.next().unwrap_or(&[]),
            source,
            rules,
            &mut merged,
        );
        for portion in portions {
            self.merge_portion(delta, portion, source, rules, &mut merged);
        }
        merged
    }

    fn merge_portion(
        &self,
        delta: &SwarmDelta,
        peers: &[PeerDelta],
        source: &Source<'_>,
        rules: &Rules<'_>,
        merged: &mut Merged,
    ) {
        let hash = &delta.info_hash;
        let told = Told {
            info_hash: hash,
            downloaded: &delta.downloaded,
            peers,
        };
        let may_idle = match source.origin {
            Some(_) => self.usage.may_idle_for_others(rules.settings),
            None => !self.usage.has_surplus(rules.settings),
        };
        self.change_or_make(hash, may_idle, rules, |swarm| {
            if source.is_served(hash) {
                let mut room = self.room_for(source, rules);
                swarm.merge(&told, source, rules, &mut room, merged);
                self.sample_merged(&told, source, swarm, rules);
            } else {
                let count = u32::try_from(peers.len()).unwrap_or(u32::MAX);
                merged.blocked = merged.blocked.saturating_add(count);
            }
        });
        if Usage::is_bounded(rules.settings) {
            // Nobody fills the sample with peers that are not there.
            for PeerDelta { peer, .. } in peers.iter().filter(|delta| delta.has_left) {
                let address = SocketAddr::new(peer.ip, peer.port);
                self.elsewhere.forget(&PeerLocation::new(hash, address));
            }
        }
    }

    /// For how much there is room: what this tracker itself told may take all of it.
    fn room_for(&self, source: &Source<'_>, rules: &Rules<'_>) -> Room {
        let settings = rules.settings;
        let (peers, torrents) = match source.origin {
            Some(_) => self.usage.room_for_others(settings),
            None => self.usage.room(settings),
        };
        let bound = settings.max_peers_per_torrent as usize;
        let in_torrent = match (bound, source.origin) {
            (0, _) => usize::MAX,
            (bound, Some(_)) => bound - bound / 10,
            (bound, None) => bound,
        };
        Room {
            peers,
            torrents,
            in_torrent,
        }
    }

    /// Tells the samples of one peer, of those that were told if that is stored.
    fn sample_merged(
        &self,
        told: &Told<'_>,
        source: &Source<'_>,
        swarm: &Swarm<I>,
        rules: &Rules<'_>,
    ) {
        if !Usage::is_bounded(rules.settings) {
            return;
        }
        let [seed, ..] = told.info_hash.0.as_chunks().0 else {
            return;
        };
        let seed = u64::from_le_bytes(*seed) ^ u64::from(rules.now.raw()) ^ self.peers();
        let mut rng = fastrand::Rng::with_seed(seed);
        if source.origin.is_none() {
            self.sample_of(told.info_hash, swarm, rules, &mut rng);
            return;
        }
        let told_one = rng.choice(told.peers);
        let told_one = told_one.map(|delta| SocketAddr::new(delta.peer.ip, delta.peer.port));
        let stored_one = told_one.filter(|address| swarm.is_elsewhere(*address, rules));
        let any_one = || swarm.some_elsewhere(rules, &mut rng).first().copied();
        if let Some(address) = stored_one.or_else(any_one) {
            self.sample_elsewhere(told.info_hash, address, rules, &mut rng);
        }
    }
}
