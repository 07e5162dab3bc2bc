//! All swarms: the map by info hash. Its guards never leave this file, no two are held at once, and nothing slow happens
//! while one is held.
//!
//! There are many shards, so that a sweep or an export, which hold one at a time, never make an announce wait for long.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::Swept;
use super::announce::{Announce, PeerList, Refusal, ScrapeReply};
use super::id::InfoHash;
use super::loads::{Charge, Loads};
use super::peer::KeptId;
use super::settings::Settings;
use super::stored::StoredSwarm;
use super::subscriber::ENTRY;
use super::swarm::{Export, Standing, Swarm};
use super::trim::{self, Idle};
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
    /// Torrents with peers.
    living: CachePadded<AtomicI64>,
    /// Torrents without, of which a count is kept.
    idle: CachePadded<AtomicI64>,
    /// Counts that each source may keep when there are too many, as the last sweep found; 0 before one did.
    fair_counts: AtomicU32,
    /// Torrents that were freed since [`Swarms::freed`] was last called.
    freed: Mutex<Vec<InfoHash>>,
}

fn is_full(counter: &AtomicI64, bound: u32) -> bool {
    bound != 0 && counter.load(Relaxed) >= i64::from(bound)
}

/// The torrent, when a database may have it.
fn exported<I: KeptId>(hash: &InfoHash, swarm: &Swarm<I>) -> Option<InfoHash> {
    (swarm.export != Export::Never).then_some(*hash)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl<I: KeptId> Swarms<I> {
    pub(super) fn new() -> Swarms<I> {
        Swarms {
            map: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            peers: CachePadded::default(),
            living: CachePadded::default(),
            idle: CachePadded::default(),
            fair_counts: AtomicU32::new(0),
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
        let entry = self.map.entry(announce.info_hash);
        admit()?;
        let has_room = |is_living: bool| {
            if !is_living && is_full(&self.living, settings.max_torrents) {
                Err(Fate::FullTorrents)
            } else if is_full(&self.peers, settings.max_peers) {
                Err(Fate::FullPeers)
            } else {
                Ok(())
            }
        };
        match entry {
            Entry::Occupied(mut entry) => {
                let swarm = entry.get_mut();
                let before = swarm.standing();
                swarm.refresh(rules);
                let is_living = swarm.len() > 0;
                let outcome = swarm.announce(announce, rules, || has_room(is_living), rng, list);
                let counts = swarm.counts();
                if swarm.len() > 0 || self.may_idle(swarm, rules) {
                    self.settle(before, swarm.standing(), swarm.charge, rules.loads);
                } else {
                    self.settle(before, Standing::Absent, swarm.charge, rules.loads);
                    let (hash, swarm) = entry.remove_entry();
                    self.remember_freed(exported(&hash, &swarm));
                }
                Ok((outcome, counts))
            }
            Entry::Vacant(entry) => {
                let mut swarm = Swarm::new(rules);
                let outcome = swarm.announce(announce, rules, || has_room(false), rng, list);
                let counts = swarm.counts();
                // Only an announce that stores a peer makes a torrent.
                if outcome.fate == Fate::Joined {
                    self.settle(
                        Standing::Absent,
                        swarm.standing(),
                        swarm.charge,
                        rules.loads,
                    );
                    entry.insert(swarm);
                }
                Ok((outcome, counts))
            }
        }
    }

    /// Brings the totals, and what is charged to whom, in line with a torrent that has changed.
    fn settle(&self, before: Standing, after: Standing, charge: Charge, loads: &Loads) {
        if before == after {
            return;
        }
        let change = signed(after.peers()) - signed(before.peers());
        self.peers.fetch_add(change, Relaxed);
        let change = i64::from(after.is_living()) - i64::from(before.is_living());
        if change != 0 {
            self.living.fetch_add(change, Relaxed);
        }
        let (was_idle, is_idle) = (before == Standing::Idle, after == Standing::Idle);
        if was_idle && !is_idle {
            self.idle.fetch_sub(1, Relaxed);
            loads.discharge(charge);
        } else if is_idle && !was_idle {
            self.idle.fetch_add(1, Relaxed);
            loads.charge(charge);
        }
    }

    /// Whether a torrent that the last peer has just left stays for its count. When there are too many such, those of sources
    /// that left many behind do not wait for the sweep.
    fn may_idle(&self, swarm: &Swarm<I>, rules: &Rules<'_>) -> bool {
        let bound = rules.settings.max_torrents;
        if swarm.downloaded == 0 {
            return false;
        }
        if !is_full(&self.idle, bound) {
            return true;
        }
        let fair = match self.fair_counts.load(Relaxed) {
            0 => bound / 64,
            fair => fair,
        };
        let is_fair = rules.loads.weight_of(swarm.charge) / ENTRY <= fair;
        is_fair && !is_full(&self.idle, bound.saturating_add(bound / 8))
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
        let before = swarm.standing();
        swarm.refresh(rules);
        self.settle(before, swarm.standing(), swarm.charge, rules.loads);
        swarm.counts()
    }

    /// Buries the dead and frees torrents that nobody needs, holding one shard at a time.
    pub(super) fn sweep(&self, rules: &Rules<'_>) -> Swept {
        let mut swept = Swept::default();
        let mut freed = Vec::new();
        let keep = rules.settings.keep_downloaded;
        self.map.retain(|hash, swarm| {
            let before = swarm.standing();
            swept.expired_peers += swarm.refresh(rules) as u64;
            let is_kept = swarm.len() > 0
                || (swarm.downloaded > 0 && rules.now.since(swarm.last_used()) < keep);
            let after = if is_kept {
                swarm.standing()
            } else {
                Standing::Absent
            };
            self.settle(before, after, swarm.charge, rules.loads);
            if !is_kept {
                swept.freed_torrents += 1;
                freed.extend(exported(hash, swarm));
            }
            is_kept
        });
        self.remember_freed(freed);
        swept.freed_torrents += self.trim(rules);
        swept
    }

    /// Whether there are more torrents without peers than stay.
    pub(super) fn has_surplus(&self, settings: &Settings) -> bool {
        is_full(&self.idle, settings.max_torrents)
    }

    /// Frees torrents without peers when there are too many, an eighth more than that so that it is not for each. Returns how
    /// many. Takes 32 bytes for each torrent without peers meanwhile.
    fn trim(&self, rules: &Rules<'_>) -> u64 {
        if !self.has_surplus(rules.settings) {
            return 0;
        }
        let mut idle = Vec::new();
        self.visit(|hash, swarm| {
            if swarm.len() == 0 {
                idle.push(Idle {
                    charge: swarm.charge,
                    last_used: swarm.last_used().raw(),
                    info_hash: *hash,
                });
            }
        });
        let most = rules.settings.max_torrents;
        let (surplus, fair) = trim::surplus(idle, (most - most / 8) as usize);
        self.fair_counts
            .store(u32::try_from(fair).unwrap_or(u32::MAX), Relaxed);
        let mut freed = Vec::new();
        let mut count = 0;
        for hash in surplus {
            let gone = self.map.remove_if(&hash, |_, swarm| swarm.len() == 0);
            if let Some((hash, swarm)) = gone {
                self.settle(Standing::Idle, Standing::Absent, swarm.charge, rules.loads);
                freed.extend(exported(&hash, &swarm));
                count += 1;
            }
        }
        self.remember_freed(freed);
        count
    }

    pub(super) fn remember_freed(&self, hashes: impl IntoIterator<Item = InfoHash>) {
        let mut hashes = hashes.into_iter().peekable();
        if hashes.peek().is_none() {
            return;
        }
        let mut all = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FREED_MOST.saturating_sub(all.len());
        all.extend(hashes.take(room));
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
            let before = swarm.standing();
            removed += swarm.remove_where(rules, |ip| is_gone || is_ip_gone(ip));
            let after = if is_gone {
                Standing::Absent
            } else {
                swarm.standing()
            };
            self.settle(before, after, swarm.charge, rules.loads);
            if is_gone {
                freed.extend(exported(hash, swarm));
            }
            !is_gone
        });
        self.remember_freed(freed);
        removed
    }

    pub(super) fn changed(&self) -> Vec<InfoHash> {
        self.map
            .iter()
            .filter(|entry| entry.value().is_changed())
            .map(|entry| *entry.key())
            .collect()
    }

    pub(super) fn export(&self, hash: &InfoHash, rules: &Rules<'_>) -> Option<StoredSwarm> {
        let mut swarm = self.map.get_mut(hash)?;
        swarm.export = Export::Same;
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
                swarm.touch();
            }
        }
    }

    pub(super) fn mark_all_changed(&self) {
        self.map.iter_mut().for_each(|mut swarm| swarm.touch());
    }

    /// Puts a swarm in that is not there; within the bounds on peers the first of its peers are taken.
    pub(super) fn restore(&self, stored: &StoredSwarm, rules: &Rules<'_>) -> usize {
        let settings = rules.settings;
        let most = |bound: u32, has: i64| match bound {
            0 => usize::MAX,
            bound => usize::try_from(i64::from(bound) - has).unwrap_or(0),
        };
        let room = most(settings.max_peers, self.peers.load(Relaxed))
            .min(most(settings.max_peers_per_torrent, 0));
        let peers = stored.peers.get(..room).unwrap_or(&stored.peers);
        let has_peers = !peers.is_empty() && !is_full(&self.living, settings.max_torrents);
        let peers = if has_peers { peers } else { &[] };
        if !has_peers && (stored.downloaded == 0 || is_full(&self.idle, settings.max_torrents)) {
            return 0;
        }
        let Entry::Vacant(entry) = self.map.entry(stored.info_hash) else {
            return 0;
        };
        let swarm = Swarm::restore(peers, stored.downloaded, stored.last_used, rules);
        self.settle(
            Standing::Absent,
            swarm.standing(),
            swarm.charge,
            rules.loads,
        );
        let restored = swarm.len();
        drop(entry.insert(swarm));
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
        for mut swarm in self.map.iter_mut() {
            let before = swarm.standing();
            swarm.refresh(rules);
            self.settle(before, swarm.standing(), swarm.charge, rules.loads);
        }
    }

    pub(super) fn peers(&self) -> u64 {
        u64::try_from(self.peers.load(Relaxed)).unwrap_or(0)
    }
}
