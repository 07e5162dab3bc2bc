//! What another tracker tells of a torrent finds its swarm, or makes one, within the bounds for what others tell.

use super::Swarms;
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
                self.sample_merged(&told, swarm, rules);
            } else {
                let count = u32::try_from(peers.len()).unwrap_or(u32::MAX);
                merged.blocked = merged.blocked.saturating_add(count);
            }
        });
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

    /// Tells the sample of heavy peers of one of the torrent.
    fn sample_merged(&self, told: &Told<'_>, swarm: &Swarm<I>, rules: &Rules<'_>) {
        if self.usage.is_crowded(rules.settings) {
            let seed = u64::from(rules.now.raw()) ^ self.peers();
            let mut rng = fastrand::Rng::with_seed(seed);
            self.sample_of(told.info_hash, swarm, rules, &mut rng);
        }
    }
}
