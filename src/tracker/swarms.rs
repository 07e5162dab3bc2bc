//! All swarms: the map by info hash. Its guards never leave this file, no two are held at once, and nothing slow happens
//! while one is held.
//!
//! There are many shards, so that a sweep or an export, which hold one at a time, never make an announce wait for long.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::Swept;
use super::announce::{Announce, PeerList, Refusal, ScrapeReply};
use super::id::InfoHash;
use super::peer::KeptId;
use super::stored::StoredSwarm;
use super::swarm::Swarm;
use super::visit::{Outcome, Rules};
use crate::metrics::Fate;

/// A power of two. With a million torrents, a shard has a thousand.
const SHARDS: usize = 1024;

/// Freed torrents that are remembered at most for the next snapshot; beyond that it is told of all torrents it has.
pub(super) const FREED_MOST: usize = 4_000_000;

/// The swarms, and how many there are of what.
#[derive(Debug)]
pub(super) struct Swarms<I: KeptId> {
    map: DashMap<InfoHash, Swarm<I>, RandomState>,
    peers: CachePadded<AtomicI64>,
    /// Entries of the map, those without peers included.
    entries: CachePadded<AtomicI64>,
    /// Torrents that were freed since [`Swarms::freed`] was last called.
    freed: Mutex<Vec<InfoHash>>,
}

fn is_full(counter: &AtomicI64, bound: u32) -> bool {
    bound != 0 && counter.load(Relaxed) >= i64::from(bound)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl<I: KeptId> Swarms<I> {
    pub(super) fn new() -> Swarms<I> {
        Swarms {
            map: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            peers: CachePadded::default(),
            entries: CachePadded::default(),
            freed: Mutex::default(),
        }
    }

    /// The one map access of an announce. `admit` is asked under the shard's lock.
    ///
    /// # Errors
    /// What `admit` says; nothing has changed then.
    pub(super) fn announce(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        admit: impl FnOnce() -> Result<(), Refusal>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
    ) -> Result<(Outcome, ScrapeReply), Refusal> {
        let settings = rules.settings;
        let has_room = || {
            if is_full(&self.peers, settings.max_peers) {
                Err(Fate::FullPeers)
            } else {
                Ok(())
            }
        };
        let entry = self.map.entry(announce.info_hash);
        admit()?;
        let (outcome, counts, died) = match entry {
            Entry::Occupied(mut entry) => {
                let swarm = entry.get_mut();
                let died = swarm.refresh(rules);
                let outcome = swarm.announce(announce, rules, has_room, rng, list);
                (outcome, swarm.counts(), died)
            }
            Entry::Vacant(entry) => {
                let bound = if is_full(&self.entries, settings.max_torrents) {
                    Err(Fate::FullTorrents)
                } else {
                    Ok(())
                };
                let mut swarm = Swarm::new(rules);
                let outcome = swarm.announce(
                    announce,
                    rules,
                    || bound.and_then(|()| has_room()),
                    rng,
                    list,
                );
                let counts = swarm.counts();
                // Only an announce that stores a peer makes a torrent.
                if outcome.fate == Fate::Joined {
                    entry.insert(swarm);
                    self.entries.fetch_add(1, Relaxed);
                }
                (outcome, counts, 0)
            }
        };
        let change = i64::from(outcome.fate == Fate::Joined)
            - i64::from(outcome.fate == Fate::Left)
            - signed(died);
        if change != 0 {
            self.peers.fetch_add(change, Relaxed);
        }
        Ok((outcome, counts))
    }

    /// Exact counts of one torrent; zeros for an unknown one.
    pub(super) fn scrape(&self, hash: &InfoHash, rules: &Rules<'_>) -> ScrapeReply {
        {
            let Some(swarm) = self.map.get(hash) else {
                return ScrapeReply::default();
            };
            if !swarm.is_stale(rules) {
                return swarm.counts();
            }
        }
        let Some(mut swarm) = self.map.get_mut(hash) else {
            return ScrapeReply::default();
        };
        let died = swarm.refresh(rules);
        let counts = swarm.counts();
        drop(swarm);
        self.peers.fetch_sub(signed(died), Relaxed);
        counts
    }

    /// Buries the dead and frees torrents that nobody needs, holding one shard at a time.
    pub(super) fn sweep(&self, rules: &Rules<'_>) -> Swept {
        let mut swept = Swept::default();
        let mut freed = Vec::new();
        // When torrents without peers take up room that living ones may need, their counts are given up early.
        let bound = i64::from(rules.settings.max_torrents);
        let is_crowded = bound != 0 && self.entries.load(Relaxed) > bound / 4 * 3;
        let keep = rules.settings.keep_downloaded;
        self.map.retain(|hash, swarm| {
            swept.expired_peers += swarm.refresh(rules) as u64;
            let is_kept = swarm.len() > 0
                || (swarm.downloaded > 0
                    && !is_crowded
                    && rules.now.since(swarm.last_used()) < keep);
            if !is_kept {
                freed.push(*hash);
            }
            is_kept
        });
        swept.freed_torrents = freed.len() as u64;
        self.peers
            .fetch_sub(i64::try_from(swept.expired_peers).unwrap_or(0), Relaxed);
        self.entries.fetch_sub(signed(freed.len()), Relaxed);
        self.remember_freed(freed);
        swept
    }

    pub(super) fn remember_freed(&self, hashes: Vec<InfoHash>) {
        let mut all = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FREED_MOST.saturating_sub(all.len());
        all.extend(hashes.into_iter().take(room));
    }

    pub(super) fn freed(&self) -> Vec<InfoHash> {
        std::mem::take(&mut *self.freed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes peers and torrents that are blocked.
    pub(super) fn remove_where(
        &self,
        rules: &Rules<'_>,
        is_hash_gone: impl Fn(&InfoHash) -> bool,
        is_ip_gone: impl Fn(std::net::IpAddr) -> bool,
    ) -> usize {
        let mut removed = 0;
        let mut freed = Vec::new();
        self.map.retain(|hash, swarm| {
            let is_gone = is_hash_gone(hash);
            removed += swarm.remove_where(rules, |ip| is_gone || is_ip_gone(ip));
            if is_gone {
                freed.push(*hash);
            }
            !is_gone
        });
        self.peers.fetch_sub(signed(removed), Relaxed);
        self.entries.fetch_sub(signed(freed.len()), Relaxed);
        self.remember_freed(freed);
        removed
    }

    pub(super) fn changed(&self) -> Vec<InfoHash> {
        self.map
            .iter()
            .filter(|entry| entry.value().is_changed)
            .map(|entry| *entry.key())
            .collect()
    }

    pub(super) fn export(&self, hash: &InfoHash, rules: &Rules<'_>) -> Option<StoredSwarm> {
        let mut swarm = self.map.get_mut(hash)?;
        swarm.is_changed = false;
        Some(StoredSwarm {
            info_hash: *hash,
            downloaded: swarm.downloaded,
            last_used: if swarm.len() == 0 {
                swarm.last_used()
            } else {
                rules.now
            },
            peers: swarm.export(rules.horizon()),
        })
    }

    pub(super) fn mark_changed(&self, hashes: &[InfoHash]) {
        for hash in hashes {
            if let Some(mut swarm) = self.map.get_mut(hash) {
                swarm.is_changed = true;
            }
        }
    }

    pub(super) fn mark_all_changed(&self) {
        self.map
            .iter_mut()
            .for_each(|mut swarm| swarm.is_changed = true);
    }

    pub(super) fn restore(&self, stored: &StoredSwarm, rules: &Rules<'_>) -> usize {
        let settings = rules.settings;
        let count = signed(stored.peers.len());
        let is_over = settings.max_peers != 0
            && self.peers.load(Relaxed) + count > i64::from(settings.max_peers);
        if is_over || is_full(&self.entries, settings.max_torrents) {
            return 0;
        }
        let swarm = Swarm::restore(&stored.peers, stored.downloaded, stored.last_used, rules);
        let restored = swarm.len();
        if restored == 0 && swarm.downloaded == 0 {
            return 0;
        }
        let Entry::Vacant(entry) = self.map.entry(stored.info_hash) else {
            return 0;
        };
        drop(entry.insert(swarm));
        self.peers.fetch_add(signed(restored), Relaxed);
        self.entries.fetch_add(1, Relaxed);
        restored
    }

    /// Hands every swarm to `visit`, holding one shard at a time; `visit` must be quick.
    pub(super) fn visit(&self, mut visit: impl FnMut(&InfoHash, &Swarm<I>)) {
        self.map
            .iter()
            .for_each(|entry| visit(entry.key(), entry.value()));
    }

    /// Hands one swarm to `visit`, under its shard's lock.
    pub(super) fn visit_one<T>(
        &self,
        hash: &InfoHash,
        visit: impl FnOnce(&Swarm<I>) -> T,
    ) -> Option<T> {
        self.map.get(hash).map(|entry| visit(entry.value()))
    }

    /// Places every peer anew after a change of zones, shard by shard.
    pub(super) fn refresh(&self, rules: &Rules<'_>) {
        let died: usize = self
            .map
            .iter_mut()
            .map(|mut entry| entry.value_mut().refresh(rules))
            .sum();
        self.peers.fetch_sub(signed(died), Relaxed);
    }

    pub(super) fn peers(&self) -> u64 {
        u64::try_from(self.peers.load(Relaxed)).unwrap_or(0)
    }
}
