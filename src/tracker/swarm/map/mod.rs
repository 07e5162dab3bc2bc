//! All swarms: the map by info hash. Its guards never leave this file, no two are held at once, and nothing slow happens
//! while one is held.
//!
//! There are many shards, so that a sweep or an export, which hold one at a time, never make an announce wait for long.

mod displace;
mod heavy_peers;
mod merge;
pub(crate) mod tell;
mod trim;
mod usage;
mod withhold;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::{Entry, OccupiedEntry};
use foldhash::fast::RandomState;

use super::Swarm;
use super::downloaded_elsewhere::CountsElsewhere;
use super::occupancy::{ExportState, Occupancy};
use super::stored::{StoredPeer, StoredSwarm};
use super::upsert::{AnnounceEffect, Rules};
use super::withheld::{Taken, Withheld};
use crate::metrics::{AnnounceOutcome, Full};
use crate::tracker::Swept;
use crate::tracker::announce::{Announce, PeerList, Refusal, ScrapeReply};
use crate::tracker::id::InfoHash;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::settings::Settings;
use crate::tracker::sites::Origin;
use displace::Newcomer;
use heavy_peers::HeavyPeers;
use usage::Usage;

/// A power of two. With a million torrents, a shard has a thousand.
const SHARDS: usize = 1024;

/// Freed torrents that are remembered at most for the next snapshot; beyond that it is told of all torrents it has.
const MAX_FREED: usize = 4_000_000;

/// So many of 256 refreshed peers are reported to the sample of heavy ones.
const SAMPLED_OF_256: u8 = 16;

/// Whether a newcomer has to find room within the bounds, or room is reserved for it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Bounded,
    Held,
}

/// The swarms, how full they are, and some of their heaviest peers.
#[derive(Debug)]
pub(crate) struct Swarms<I: StoredId> {
    map: DashMap<InfoHash, Swarm<I>, RandomState>,
    pub usage: Usage,
    heavy_peers: HeavyPeers,
    /// Some of those that announce to other trackers.
    elsewhere: HeavyPeers,
    /// Whether few of these were left when one was wanted.
    lacks_elsewhere: AtomicBool,
    /// Whether the last sweep found no torrent that could be emptied of such.
    is_mixed: AtomicBool,
    /// Torrents that were freed since [`Swarms::freed`] was last called.
    freed: Mutex<Vec<InfoHash>>,
    withheld: Mutex<Withheld<I>>,
}

/// The torrent, when a database may have it.
fn exported<I: StoredId>(hash: &InfoHash, swarm: &Swarm<I>) -> Option<InfoHash> {
    (swarm.export != ExportState::Never).then_some(*hash)
}

impl<I: StoredId> Swarms<I> {
    pub(crate) fn new() -> Swarms<I> {
        Swarms {
            map: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            usage: Usage::default(),
            heavy_peers: HeavyPeers::new(),
            elsewhere: HeavyPeers::new(),
            lacks_elsewhere: AtomicBool::new(false),
            is_mixed: AtomicBool::new(false),
            freed: Mutex::default(),
            withheld: Mutex::default(),
        }
    }

    /// Answers an announce: one map access, unless it comes at a bound of the whole tracker. `admit` is asked under the shard's
    /// lock. What has become of it is written where it stays: it is too large to be handed on.
    ///
    /// # Errors
    /// What `admit` says; nothing has changed then.
    pub(crate) fn announce(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        admit: &impl Fn() -> Result<(), Refusal>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
        effect: &mut AnnounceEffect,
    ) -> Result<(), Refusal> {
        self.meet(announce, rules, admit, Room::Bounded, rng, list, effect)?;
        let bound = match effect.outcome {
            AnnounceOutcome::FullPeers => Full::Peers,
            AnnounceOutcome::FullTorrents => Full::Torrents,
            outcome @ (AnnounceOutcome::Joined
            | AnnounceOutcome::Left
            | AnnounceOutcome::Refreshed)
                if self.usage.is_crowded(rules.settings) =>
            {
                if outcome != AnnounceOutcome::Refreshed || rng.u8(..) < SAMPLED_OF_256 {
                    self.sample(announce, outcome, rules, rng);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if announce.is_reported {
            return Ok(());
        }
        let newcomer = Newcomer {
            announce,
            rules,
            bound,
        };
        self.displace(&newcomer, admit, rng, list, effect)
    }

    /// The one map access of an announce. Part of [`Swarms::announce`], which nearly every announce goes through.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "as of what it is a part of")]
    fn meet(
        &self,
        announce: &Announce,
        rules: &Rules<'_>,
        admit: &impl Fn() -> Result<(), Refusal>,
        room: Room,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
        effect: &mut AnnounceEffect,
    ) -> Result<(), Refusal> {
        let settings = rules.settings;
        let entry = self.map.entry(announce.info_hash);
        admit()?;
        let has_room = |is_living: bool| match room {
            Room::Held => Ok(()),
            Room::Bounded => self.usage.has_room(is_living, settings),
        };
        match entry {
            Entry::Occupied(mut entry) => {
                let swarm = entry.get_mut();
                let (before, charge) = (swarm.len(), swarm.charge);
                swarm.refresh(rules);
                *effect = swarm.announce(announce, rules, has_room, rng, list);
                let after = swarm.len();
                if after == 0 || after != before {
                    self.leave_behind(entry, Occupancy::of(before, charge), rules);
                }
            }
            Entry::Vacant(entry) => {
                let mut swarm = Swarm::new(rules);
                *effect = swarm.announce(announce, rules, has_room, rng, list);
                // Only an announce that stores a peer makes a torrent.
                if effect.outcome == AnnounceOutcome::Joined {
                    self.usage
                        .settle(Occupancy::Absent, swarm.occupancy(), rules.address_counts);
                    entry.insert(swarm);
                }
            }
        }
        Ok(())
    }

    /// Brings the totals in line with a torrent that has changed, and frees it when nobody needs it. Returns what it counts as.
    fn leave_behind(
        &self,
        entry: OccupiedEntry<'_, InfoHash, Swarm<I>>,
        before: Occupancy,
        rules: &Rules<'_>,
    ) -> Occupancy {
        let swarm = entry.get();
        let (settings, charge) = (rules.settings, swarm.charge);
        let is_kept = swarm.len() > 0
            || (swarm.is_counted() && self.usage.may_idle(charge, rules.address_counts, settings));
        let after = if is_kept {
            swarm.occupancy()
        } else {
            Occupancy::Absent
        };
        self.usage.settle(before, after, rules.address_counts);
        if !is_kept {
            let (hash, swarm) = entry.remove_entry();
            self.remember_freed(exported(&hash, &swarm));
        }
        after
    }

    /// Changes a torrent, when it is there; returns what it counted as before and after. What is done must be quick.
    fn change(
        &self,
        hash: &InfoHash,
        rules: &Rules<'_>,
        change: impl FnOnce(&mut Swarm<I>),
    ) -> [Occupancy; 2] {
        let Entry::Occupied(mut entry) = self.map.entry(*hash) else {
            return [Occupancy::Absent; 2];
        };
        let swarm = entry.get_mut();
        let before = swarm.occupancy();
        swarm.refresh(rules);
        change(swarm);
        [before, self.leave_behind(entry, before, rules)]
    }

    /// Exact counts of one torrent; zeros for an unknown one.
    pub(crate) fn scrape(&self, hash: &InfoHash, rules: &Rules<'_>) -> ScrapeReply {
        self.counts(hash, rules).unwrap_or_default()
    }

    /// Exact counts of one torrent, if it is there.
    pub(crate) fn counts(&self, hash: &InfoHash, rules: &Rules<'_>) -> Option<ScrapeReply> {
        {
            let swarm = self.map.get(hash)?;
            if !swarm.is_stale(rules) {
                return Some(swarm.counts());
            }
        }
        let mut swarm = self.map.get_mut(hash)?;
        let before = swarm.occupancy();
        swarm.refresh(rules);
        self.usage
            .settle(before, swarm.occupancy(), rules.address_counts);
        Some(swarm.counts())
    }

    /// The info hashes of all torrents, in no order.
    pub(crate) fn info_hashes(&self) -> Vec<InfoHash> {
        let count = self.map.len();
        // With room for some that come meanwhile: a longer copy under a shard's lock is to be rare.
        let mut hashes = Vec::with_capacity(count + count / 8);
        self.for_each(|hash, _| hashes.push(*hash));
        hashes
    }

    /// Removes the dead and frees torrents that nobody needs, holding one shard at a time.
    pub(crate) fn sweep(&self, rules: &Rules<'_>) -> Swept {
        self.lacks_elsewhere.store(false, Ordering::Relaxed);
        let mut swept = Swept::default();
        let mut freed = Vec::new();
        let keep = rules.settings.keep_downloaded;
        let mut rng = fastrand::Rng::with_seed(rules.now.raw().into());
        let mut is_mixed = rules.settings.max_torrents != 0 && rules.origins.has_any();
        self.map.retain(|hash, swarm| {
            let before = swarm.occupancy();
            swept.expired_peers += swarm.refresh(rules) as u64;
            let is_kept = swarm.len() > 0
                || (swarm.is_counted() && rules.now.since(swarm.last_used()) < keep);
            let after = if is_kept {
                swarm.occupancy()
            } else {
                Occupancy::Absent
            };
            self.usage.settle(before, after, rules.address_counts);
            self.sample_of(hash, swarm, rules, &mut rng);
            is_mixed = is_mixed && !swarm.is_all_elsewhere();
            if !is_kept {
                swept.freed_torrents += 1;
                freed.extend(exported(hash, swarm));
            }
            is_kept
        });
        self.is_mixed.store(is_mixed, Ordering::Relaxed);
        self.remember_freed(freed);
        swept.freed_torrents += self.trim(rules);
        swept
    }

    /// Whether a sweep is due before its time (S5).
    pub(crate) fn wants_sweep(&self, settings: &Settings) -> bool {
        self.usage.has_surplus(settings) || self.lacks_elsewhere.load(Ordering::Relaxed)
    }

    /// Frees a torrent that has no peers. Returns whether it did.
    fn free_idle(&self, hash: &InfoHash, rules: &Rules<'_>) -> bool {
        let gone = self.map.remove_if(hash, |_, swarm| swarm.len() == 0);
        let Some((hash, swarm)) = gone else {
            return false;
        };
        let (before, after) = (swarm.occupancy(), Occupancy::Absent);
        self.usage.settle(before, after, rules.address_counts);
        self.remember_freed(exported(&hash, &swarm));
        true
    }

    pub(super) fn remember_freed(&self, hashes: impl IntoIterator<Item = InfoHash>) {
        let mut hashes = hashes.into_iter().peekable();
        if hashes.peek().is_none() {
            return;
        }
        let mut all = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_FREED.saturating_sub(all.len());
        all.extend(hashes.take(room));
    }

    pub(super) fn freed(&self) -> Vec<InfoHash> {
        std::mem::take(&mut *self.freed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes out peers and torrents that are blocked.
    fn take_blocked(
        &self,
        rules: &Rules<'_>,
        is_torrent_blocked: impl Fn(&InfoHash) -> bool,
        is_blocked: impl Fn(IpAddr) -> bool,
        taken: &mut Taken<I>,
    ) {
        let mut freed = Vec::new();
        self.map.retain(|hash, swarm| {
            let is_gone = is_torrent_blocked(hash);
            let before = swarm.occupancy();
            let count = swarm.withhold_where(hash, rules, |ip| is_gone || is_blocked(ip), taken);
            if is_gone || (count > 0 && swarm.len() == 0) {
                taken.count_of(hash, swarm);
            }
            let after = if is_gone {
                Occupancy::Absent
            } else {
                swarm.occupancy()
            };
            self.usage.settle(before, after, rules.address_counts);
            if is_gone {
                // Also one that no database has: it is to have what is withheld of it.
                freed.push(*hash);
            }
            !is_gone
        });
        self.remember_freed(freed);
    }

    /// Changes a torrent, which is made when it is not there. `change` is told for how many peers there is room, and says how many it
    /// has put in; it must be quick.
    fn put_in(
        &self,
        hash: &InfoHash,
        rules: &Rules<'_>,
        change: impl FnOnce(&mut Swarm<I>, usize) -> usize,
    ) -> u64 {
        let (room, torrents) = self.usage.room(rules.settings);
        let room_of = |swarm: &Swarm<I>| {
            if swarm.len() > 0 || torrents > 0 {
                room
            } else {
                0
            }
        };
        let count = match self.map.entry(*hash) {
            Entry::Occupied(mut entry) => {
                let swarm = entry.get_mut();
                let before = swarm.occupancy();
                swarm.refresh(rules);
                let room = room_of(swarm);
                let count = change(swarm, room);
                self.leave_behind(entry, before, rules);
                count
            }
            Entry::Vacant(entry) => {
                let mut swarm = Swarm::new(rules);
                // A database may have it.
                swarm.export = ExportState::Old;
                let room = room_of(&swarm);
                let count = change(&mut swarm, room);
                let may_idle = swarm.is_counted() && !self.usage.has_surplus(rules.settings);
                if swarm.len() > 0 || may_idle {
                    let after = swarm.occupancy();
                    self.usage
                        .settle(Occupancy::Absent, after, rules.address_counts);
                    entry.insert(swarm);
                }
                count
            }
        };
        count as u64
    }

    /// Changes a torrent, or makes it when it is not there; `may_idle` says whether a new one is kept for its counts alone. What is done
    /// must be quick.
    fn change_or_make(
        &self,
        hash: &InfoHash,
        may_idle: bool,
        rules: &Rules<'_>,
        change: impl FnOnce(&mut Swarm<I>),
    ) {
        match self.map.entry(*hash) {
            Entry::Occupied(mut entry) => {
                let swarm = entry.get_mut();
                let before = swarm.occupancy();
                swarm.refresh(rules);
                change(swarm);
                self.leave_behind(entry, before, rules);
            }
            Entry::Vacant(entry) => {
                let mut swarm = Swarm::new(rules);
                change(&mut swarm);
                if swarm.len() > 0 || (swarm.is_counted() && may_idle) {
                    let after = swarm.occupancy();
                    self.usage
                        .settle(Occupancy::Absent, after, rules.address_counts);
                    entry.insert(swarm);
                }
            }
        }
    }

    /// Drops what is known from an origin, holding one shard at a time. Returns how many peers.
    pub(crate) fn forget(&self, origin: Origin, rules: &Rules<'_>) -> u64 {
        let withheld = self.withheld().forget(origin);
        withheld + self.drop_by(rules, |_, swarm| swarm.forget(origin, rules))
    }

    /// Drops those who announce here and for whom `is_gone` holds, holding one shard at a time; `told` gets where they were, and whether
    /// that was only reported. Returns how many.
    pub(crate) fn drop_own(
        &self,
        rules: &Rules<'_>,
        is_gone: impl Fn(&InfoHash, IpAddr, u16) -> bool,
        mut told: impl FnMut(&InfoHash, SocketAddr, bool),
    ) -> u64 {
        let mut gone = Vec::new();
        self.drop_by(rules, |hash, swarm| {
            let count = swarm.drop_own_where(rules, |ip, port| is_gone(hash, ip, port), &mut gone);
            for (address, is_reported) in gone.drain(..) {
                told(hash, address, is_reported);
            }
            count
        })
    }

    /// Has `drop_of` drop peers of each swarm; it says how many. Holds one shard at a time.
    fn drop_by(
        &self,
        rules: &Rules<'_>,
        mut drop_of: impl FnMut(&InfoHash, &mut Swarm<I>) -> usize,
    ) -> u64 {
        let mut count = 0;
        let mut freed = Vec::new();
        self.map.retain(|hash, swarm| {
            let before = swarm.occupancy();
            count += drop_of(hash, swarm) as u64;
            let is_kept = swarm.len() > 0 || swarm.is_counted();
            let after = if is_kept {
                swarm.occupancy()
            } else {
                freed.extend(exported(hash, swarm));
                Occupancy::Absent
            };
            self.usage.settle(before, after, rules.address_counts);
            is_kept
        });
        self.remember_freed(freed);
        count
    }

    pub(super) fn changed(&self) -> Vec<InfoHash> {
        self.map
            .iter()
            .filter(|entry| entry.value().is_changed())
            .map(|entry| *entry.key())
            .collect()
    }

    /// Copies a swarm, and with it what is withheld of it: a restart is to find both.
    pub(super) fn export(&self, hash: &InfoHash, rules: &Rules<'_>) -> Option<StoredSwarm> {
        let mut withheld = self.withheld();
        withheld.sort();
        let withheld = withheld.of(hash);
        let mut elsewhere = CountsElsewhere::default();
        withheld.count_elsewhere(&mut elsewhere);
        let mut hidden = withheld.export(rules.horizon());
        let kept = if withheld.is_empty() {
            None
        } else {
            Some(withheld.count().unwrap_or((0, rules.now)))
        };
        let Some(mut swarm) = self.map.get_mut(hash) else {
            let (downloaded, last_used) = kept?;
            return Some(StoredSwarm {
                info_hash: *hash,
                downloaded,
                downloaded_elsewhere: elsewhere.rows().to_vec(),
                last_used: if hidden.is_empty() {
                    last_used
                } else {
                    rules.now
                },
                peers: hidden,
            });
        };
        swarm.export = ExportState::Same;
        let mut peers = swarm.export(rules.horizon());
        let last_used = if swarm.len() == 0 && hidden.is_empty() {
            swarm.last_used()
        } else {
            rules.now
        };
        let downloaded = kept.map_or(0, |(count, _)| count).max(swarm.downloaded);
        elsewhere.merge(swarm.downloaded_elsewhere().rows());
        drop(swarm);
        if !hidden.is_empty() {
            // Who waits for room may have announced itself meanwhile.
            let at = |peer: &StoredPeer| (peer.ip, peer.port);
            let there: HashSet<_> = peers.iter().map(at).collect();
            hidden.retain(|peer| !there.contains(&at(peer)));
        }
        peers.append(&mut hidden);
        Some(StoredSwarm {
            info_hash: *hash,
            downloaded,
            downloaded_elsewhere: elsewhere.rows().to_vec(),
            last_used,
            peers,
        })
    }

    /// Marks one swarm changed; whether it is there.
    fn touch(&self, hash: &InfoHash) -> bool {
        let swarm = self.map.get_mut(hash);
        swarm.map(|mut swarm| swarm.touch()).is_some()
    }

    pub(super) fn mark_all_changed(&self) {
        self.map.iter_mut().for_each(|mut swarm| swarm.touch());
        self.mark_changed(&self.withheld().info_hashes());
    }

    /// Puts a swarm in that is not there; within the bounds on peers the first of its peers are taken.
    pub(super) fn restore(&self, stored: &StoredSwarm, rules: &Rules<'_>) -> usize {
        let (room, torrents) = self.usage.room(rules.settings);
        let in_swarm = match rules.settings.max_peers_per_torrent {
            0 => usize::MAX,
            bound => bound as usize,
        };
        let room = if torrents > 0 { room.min(in_swarm) } else { 0 };
        let peers = stored.peers.get(..room).unwrap_or(&stored.peers);
        let is_counted = stored.downloaded > 0 || !stored.downloaded_elsewhere.is_empty();
        let may_idle = is_counted && !self.usage.has_surplus(rules.settings);
        if peers.is_empty() && !may_idle {
            return 0;
        }
        let Entry::Vacant(entry) = self.map.entry(stored.info_hash) else {
            return 0;
        };
        let swarm = Swarm::restore(peers, stored, rules);
        self.usage
            .settle(Occupancy::Absent, swarm.occupancy(), rules.address_counts);
        let restored = swarm.len();
        let mut rng = fastrand::Rng::with_seed(restored as u64 ^ self.peers());
        self.sample_of(&stored.info_hash, &swarm, rules, &mut rng);
        drop(entry.insert(swarm));
        restored
    }

    /// Hands every swarm to `each`, holding one shard at a time; `each` must be quick.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&InfoHash, &Swarm<I>)) {
        self.map
            .iter()
            .for_each(|entry| each(entry.key(), entry.value()));
    }

    /// Hands one swarm to `each`, under its shard's lock.
    pub(crate) fn visit_one<T>(
        &self,
        hash: &InfoHash,
        each: impl FnOnce(&Swarm<I>) -> T,
    ) -> Option<T> {
        self.map.get(hash).map(|entry| each(entry.value()))
    }

    /// Sorts every peer anew after a change of zones, shard by shard.
    pub(crate) fn refresh(&self, rules: &Rules<'_>) {
        for mut swarm in self.map.iter_mut() {
            let before = swarm.occupancy();
            swarm.refresh(rules);
            self.usage
                .settle(before, swarm.occupancy(), rules.address_counts);
        }
    }

    pub(crate) fn peers(&self) -> u64 {
        self.usage.peers()
    }
}
