//! The core: which peers are in which swarm, and which of them to hand out. [`Tracker`] is the only way in.
//!
//! No protocol, no socket, no file, no clock: front ends decode requests, have [`PeerAddresses`] resolved, make an [`Announce`] of
//! both and encode the reply; time and chance are arguments. Imports only `net`, `metrics` and `clock`.

mod abuse;
mod access;
mod announce;
mod id;
mod keys;
mod peer_addresses;
mod peers;
pub mod report;
mod select;
mod settings;
pub mod sites;
mod swarm;
mod torrent_set;
mod zones;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

pub use access::{AccessLists, Block, BlocklistFile, ClientRule, ListedTorrents, Target};
pub use announce::{
    Announce, AnnounceContext, AnnounceReply, Event, ListOptions, PeerList, Refusal, ScrapeReply,
};
pub use id::{ClientKey, InfoHash, PeerId};
pub use keys::{
    KeyDigest, KeyLimits, KeyMode, KeyRecord, KeyReport, KeySession, KeyTotals, KeyUse, KeyUser,
    Keys, MAX_ADDRESSES, MAX_KEY_BYTES, MAX_KEYS, MAX_LABEL, MAX_SESSIONS, MIN_KEY_BYTES, NewKey,
    Traffic, name_before_key,
};
pub use peer_addresses::PeerAddresses;
pub use settings::{Selection, Settings};
pub use sites::{
    MAX_ORIGINS, Merged, Origin, PeerDelta, SwarmDelta, SwarmsDigest, Touched, TouchedBatch,
};
pub use swarm::stored::{Restored, StoredPeer, StoredSwarm};
pub use torrent_set::TorrentSet;
pub use zones::statistics::{HOURS_KEPT, ZoneStatisticsRow};
pub use zones::{MAX_DEPTH, ZoneId, ZoneRule, Zones, ZonesError};

use abuse::address_counts::AddressCounts;
use abuse::frequent_announcers::FrequentAnnouncers;
use abuse::reporters::Reporters;
use keys::KeyRules;
use peers::owner::IdDigest;
use sites::leaves::Leaves;
use sites::origins::Origins;
use sites::outbox::Outbox;
use swarm::dual_stack::recent_clients::RecentClients;
use swarm::map::Swarms;
use swarm::upsert::{AnnounceEffect, Rules};
use zones::statistics::ZoneStatistics;

use crate::clock::{Seconds, Wall};
use crate::metrics::{AnnounceOutcome, Metrics};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Peers freed because their time was over.
    pub expired_peers: u64,
    /// Torrents freed because no peer was left and no count is kept.
    pub freed_torrents: u64,
}

/// What a change of the blocklist did to stored peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// Peers that are hidden from now on, and kept for ten minutes.
    pub withheld: u64,
    /// Peers that were freed at once, because too many are kept already.
    pub freed: u64,
    /// Peers that have come back.
    pub restored: u64,
    /// Peers that nothing hides any more, but for whom a bound leaves no room: they wait until their ten minutes are over.
    pub waiting: u64,
}

impl Enforced {
    /// What an operator is told when some have not come back.
    pub fn shortage(&self) -> Option<String> {
        (self.waiting > 0).then(|| {
            let waiting = self.waiting;
            format!(
                "blocklist: {waiting} peers have not come back: max_peers, max_torrents or max_peers_per_torrent is reached; they come \
                 with a sweep if there is room before they have been kept for ten minutes"
            )
        })
    }
}

/// What is in force, swapped as one, so that a swarm never sees zones of one reload and settings of another.
#[derive(Debug)]
struct Policy {
    settings: Arc<Settings>,
    zones: Arc<Zones>,
    zone_statistics: Arc<ZoneStatistics>,
    /// [`Settings::lifetime`]
    lifetime: u32,
    /// [`Settings::told_period`]
    told_period: u32,
    /// Changes with the zones.
    revision: u16,
}

/// By what an announce was let in.
#[derive(Clone, Copy, Debug)]
struct Admitted<'a> {
    /// Of the lists, and of the keys: another after each that is revoked.
    revision: access::Revision,
    user: Option<&'a KeyUser>,
}

/// The swarms, with whole peer ids or with digests of them.
#[derive(Debug)]
enum AllSwarms {
    WithId(Swarms<PeerId>),
    WithoutId(Swarms<IdDigest>),
}

/// Does the same with the swarms, whichever they are.
macro_rules! with {
    ($tracker:expr, $swarms:ident => $work:expr) => {
        match &$tracker.swarms {
            AllSwarms::WithId($swarms) => $work,
            AllSwarms::WithoutId($swarms) => $work,
        }
    };
}

use with;

/// All swarms and the rules for them. Every method may be called from any thread.
#[derive(Debug)]
pub struct Tracker {
    policy: ArcSwap<Policy>,
    access: AccessLists,
    keys: Keys,
    metrics: Arc<Metrics>,
    address_counts: AddressCounts,
    clients: RecentClients,
    frequent_announcers: FrequentAnnouncers,
    reporters: Reporters,
    /// How many peers announce to which other tracker.
    origins: Origins,
    /// Who has left, so that older news of them are known to be old.
    leaves: Leaves,
    /// What announces note for other trackers; nothing while there are none.
    outbox: OnceLock<Outbox>,
    swarms: AllSwarms,
}

impl Tracker {
    /// Makes an empty tracker without zones.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Tracker {
        let swarms = if settings.keep_peer_ids {
            AllSwarms::WithId(Swarms::new())
        } else {
            AllSwarms::WithoutId(Swarms::new())
        };
        let policy_keys = settings.keys;
        let zones = Arc::new(Zones::default());
        let zone_statistics = Arc::new(ZoneStatistics::new(&zones, metrics.workers()));
        let policy = Policy {
            lifetime: settings.lifetime(),
            told_period: settings.told_period(),
            settings: Arc::new(settings),
            zones,
            zone_statistics,
            revision: 0,
        };
        Tracker {
            policy: ArcSwap::from_pointee(policy),
            access: AccessLists::default(),
            keys: Keys::new(policy_keys),
            metrics,
            address_counts: AddressCounts::new(),
            clients: RecentClients::new(),
            frequent_announcers: FrequentAnnouncers::default(),
            reporters: Reporters::default(),
            origins: Origins::default(),
            leaves: Leaves::default(),
            outbox: OnceLock::new(),
            swarms,
        }
    }

    fn rules<'a>(&'a self, policy: &'a Policy, now: Seconds) -> Rules<'a> {
        Rules {
            settings: &policy.settings,
            zones: &policy.zones,
            revision: policy.revision,
            address_counts: &self.address_counts,
            clients: &self.clients,
            origins: &self.origins,
            lifetime: policy.lifetime,
            now,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.policy.load().settings)
    }

    /// Replaces the settings; `keep_peer_ids` stays as it was at the start.
    pub fn configure(&self, settings: Settings) {
        let old = self.policy.load();
        let (zones, zone_statistics) = (Arc::clone(&old.zones), Arc::clone(&old.zone_statistics));
        self.keys.configure(settings.keys);
        let settings = Arc::new(settings);
        self.policy.store(Arc::new(Policy {
            lifetime: settings.lifetime(),
            told_period: settings.told_period(),
            settings,
            zones,
            zone_statistics,
            revision: old.revision,
        }));
    }

    /// The zones in force.
    pub fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.policy.load().zones)
    }

    /// Replaces the zones and sorts every peer into them anew, one swarm at a time, while announces go on (S7). Not to be called by two
    /// threads at once.
    pub fn set_zones(&self, zones: Zones, now: Seconds) {
        let old = self.policy.load_full();
        let zone_statistics = ZoneStatistics::new(&zones, self.metrics.workers());
        zone_statistics.restore(&old.zone_statistics.rows(&old.zones), &zones);
        let policy = Arc::new(Policy {
            lifetime: old.lifetime,
            told_period: old.told_period,
            settings: Arc::clone(&old.settings),
            zones: Arc::new(zones),
            zone_statistics: Arc::new(zone_statistics),
            revision: old.revision.wrapping_add(1),
        });
        self.policy.store(Arc::clone(&policy));
        with!(self, swarms => swarms.refresh(&self.rules(&policy, now)));
    }

    /// The lists that decide who is served.
    pub fn access(&self) -> &AccessLists {
        &self.access
    }

    /// The keys of announce addresses.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The counters and gauges.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Answers an announce: joins, refreshes or removes the announcer and fills `list` with peers for it. Counts the outcome
    /// in the context's counters; the caller counts the request itself and a refusal. Takes one shard's lock, once; at a bound a few.
    ///
    /// # Errors
    /// The refusal that the client is to read; nothing has changed then.
    pub fn announce(
        &self,
        announce: &Announce,
        context: &mut AnnounceContext<'_>,
        list: &mut PeerList,
    ) -> Result<AnnounceReply, Refusal> {
        self.announce_with(announce, None, context, list)
    }

    /// The same of an announce that came with a key (O16): lets it in if the key is in force and within its limits, and accounts for it.
    ///
    /// # Errors
    /// The refusal that the client is to read; nothing has changed then.
    #[inline(never)]
    pub fn announce_by_key(
        &self,
        announce: &Announce,
        user: &KeyUser,
        context: &mut AnnounceContext<'_>,
        list: &mut PeerList,
    ) -> Result<AnnounceReply, Refusal> {
        self.announce_with(announce, Some(user), context, list)
    }

    #[inline(always)]
    fn announce_with(
        &self,
        announce: &Announce,
        user: Option<&KeyUser>,
        context: &mut AnnounceContext<'_>,
        list: &mut PeerList,
    ) -> Result<AnnounceReply, Refusal> {
        list.clear();
        let revision = self.access.revision();
        self.access.admit_announce(announce, revision)?;
        let policy = self.policy.load();
        if let Some(user) = user {
            self.enter(user, announce, &policy, context.now)?;
        }
        let admitted = Admitted { revision, user };
        let settings = &policy.settings;
        let rules = self.rules(&policy, context.now);
        let mut effect = AnnounceEffect::nothing();
        self.meet(announce, &admitted, &rules, context.rng, list, &mut effect)?;
        if let Some(outbox) = self.outbox.get() {
            self.note(outbox, announce, &effect, &policy, context);
        }
        context
            .counters
            .announced(announce.event.into(), effect.outcome, list.len());
        if let Some((bound, peers)) = effect.evicted {
            context.counters.evicted(bound, peers.into());
        }
        if let Some(decision) = effect.decision {
            context.counters.decided(decision.reason, decision.is_short);
        }
        if !policy.zones.is_empty() {
            let (zone_statistics, worker) = (&policy.zone_statistics, context.counters.worker());
            if announce.event != Event::Stopped {
                zone_statistics.note_list(&effect, worker);
                if effect.chosen.all > 0 {
                    let flows = zone_statistics.flows();
                    flows.note(&policy.zones, effect.zone, list, context.now, worker);
                }
            }
            zone_statistics.note_savings(&effect, settings.line_mib, worker);
        }
        if effect.outcome == AnnounceOutcome::Early {
            self.frequent_announcers.note(announce.ip, context.now);
        }
        let interval = match effect.outcome {
            AnnounceOutcome::Foreign => settings.interval_behind(effect.since),
            _ if effect.decision.is_some_and(|decision| decision.is_short) => {
                settings.shortened_interval(context.rng)
            }
            _ => settings.interval(context.rng),
        };
        Ok(AnnounceReply {
            complete: effect.counts.complete,
            incomplete: effect.counts.incomplete,
            downloaded: effect.counts.downloaded,
            interval,
            min_interval: settings.min_interval(interval),
            warned_by: policy.zones.warned_by(effect.zone),
        })
    }

    /// Hands an admitted announce to the swarms, which ask for it again should anything have changed meanwhile.
    #[inline(always)]
    fn meet(
        &self,
        announce: &Announce,
        admitted: &Admitted<'_>,
        rules: &Rules<'_>,
        rng: &mut fastrand::Rng,
        list: &mut PeerList,
        effect: &mut AnnounceEffect,
    ) -> Result<(), Refusal> {
        let admit = || {
            if self.access.revision() == admitted.revision {
                Ok(())
            } else {
                self.admit_again(announce, admitted)
            }
        };
        with!(self, swarms => swarms.announce(announce, rules, &admit, rng, list, effect))
    }

    #[cold]
    fn admit_again(&self, announce: &Announce, admitted: &Admitted<'_>) -> Result<(), Refusal> {
        self.access.admit_still(announce, admitted.revision)?;
        match admitted.user {
            Some(user) => self.keys.admit(&user.digest),
            // Who leaves may: also whom the tracker itself takes out.
            None if announce.event == Event::Stopped => Ok(()),
            None => self.keys.admit_without(),
        }
    }

    #[inline(never)]
    fn enter(
        &self,
        user: &KeyUser,
        announce: &Announce,
        policy: &Policy,
        now: Seconds,
    ) -> Result<(), Refusal> {
        let rules = KeyRules {
            now,
            lifetime: policy.lifetime,
            line_mib: policy.settings.line_mib,
        };
        let left = self.keys.enter(user, announce, rules)?;
        if let Some(session) = left {
            self.remove_peers_of(&[session], now);
        }
        Ok(())
    }

    /// Ends a key; the peers that its clients have stored are gone from all replies when this returns. A peer that has not announced
    /// since its session was forgotten expires.
    pub fn revoke_key(&self, number: i64, wall: Wall, now: Seconds) {
        let sessions = self.keys.revoke(number, wall);
        // Who was let in by it and is not stored yet is asked again; who is stored is removed below.
        self.access.touch();
        self.remove_peers_of(&sessions, now);
    }

    /// Drops the peers that announced here without a key, where keys are required: to be called once the settings that require them are in
    /// force, or the peers of before are restored. They are gone from all replies when this returns, which says how many. Whoever has a
    /// key that was not accounted for, because keys meant nothing, is back with the next announce. Copies 8 bytes for each client with a
    /// key, and holds one shard at a time.
    pub fn remove_keyless(&self, now: Seconds) -> u64 {
        if !self.keys.are_required() {
            return 0;
        }
        // Who was let in without one and is not stored yet is asked again.
        self.access.touch();
        let places = self.keys.places();
        let policy = self.policy.load_full();
        let rules = self.rules(&policy, now);
        let outbox = self.outbox.get();
        let mut left = Vec::new();
        let removed = with!(self, swarms => swarms.drop_own(
            &rules,
            |hash, ip, port| !places.has(hash, ip, port),
            |hash, address, is_reported| if outbox.is_some() {
                left.push((*hash, address, is_reported));
            },
        ));
        if let Some(outbox) = outbox {
            for (hash, address, is_reported) in left {
                let announce = Announce {
                    is_reported,
                    ..Announce::stopped_at(hash, address)
                };
                self.note_leave(
                    outbox,
                    &announce,
                    self.metrics.spare(),
                    now,
                    policy.lifetime,
                );
            }
        }
        removed
    }

    /// Removes the peers at the places of sessions that are over or have moved, as if they had stopped.
    fn remove_peers_of(&self, sessions: &[KeySession], now: Seconds) {
        let policy = self.policy.load_full();
        let rules = self.rules(&policy, now);
        let (mut rng, mut list) = (fastrand::Rng::with_seed(0), PeerList::default());
        // Whom the lists refuse meanwhile they remove themselves.
        let admitted = Admitted {
            revision: self.access.revision(),
            user: None,
        };
        for session in sessions {
            for (ip, port) in session.places() {
                let announce = session.stopped_at(ip, port);
                let mut effect = AnnounceEffect::nothing();
                let met = self.meet(
                    &announce,
                    &admitted,
                    &rules,
                    &mut rng,
                    &mut list,
                    &mut effect,
                );
                debug_assert!(met.is_ok() || admitted.revision != self.access.revision());
                if let Some(outbox) = self.outbox.get()
                    && effect.outcome == AnnounceOutcome::Left
                {
                    let counters = self.metrics.spare();
                    self.note_leave(outbox, &announce, counters, now, policy.lifetime);
                }
            }
        }
    }

    /// Answers for one torrent of a scrape; zeros for an unknown or a blocked one. The caller asks [`AccessLists::admit`] first.
    pub fn scrape(&self, hash: &InfoHash, now: Seconds) -> ScrapeReply {
        if self.access.admit_torrent(hash).is_err() {
            return ScrapeReply::default();
        }
        let policy = self.policy.load();
        with!(self, swarms => swarms.scrape(hash, &self.rules(&policy, now)))
    }

    /// As [`Tracker::scrape`]; `None` for an unknown or a blocked one.
    pub fn scrape_known(&self, hash: &InfoHash, now: Seconds) -> Option<ScrapeReply> {
        self.access.admit_torrent(hash).ok()?;
        let policy = self.policy.load();
        with!(self, swarms => swarms.counts(hash, &self.rules(&policy, now)))
    }

    /// The info hashes of all torrents, in no order: 20 bytes each, some more for those that come meanwhile. Holds one shard at a
    /// time.
    pub fn info_hashes(&self) -> Vec<InfoHash> {
        with!(self, swarms => swarms.info_hashes())
    }

    /// The warning that a reply which names this zone carries (P19).
    pub fn warning(&self, zone: ZoneId) -> Option<String> {
        self.policy.load().zones.warning(zone).map(str::to_owned)
    }

    /// Frees the dead and the torrents without peers, one shard at a time. Who has been waiting for room since a block was lifted then
    /// comes back.
    pub fn sweep(&self, now: Seconds) -> Swept {
        let policy = self.policy.load_full();
        self.frequent_announcers.sweep(now);
        self.reporters.sweep(now, policy.settings.lifetime());
        let swept = with!(self, swarms => swarms.sweep(&self.rules(&policy, now)));
        self.put_back_waiting(now);
        let over = self.keys.sweep(now, policy.lifetime);
        self.remove_peers_of(&over, now);
        swept
    }

    /// Whether a sweep is due before its time (S5): torrents without peers are too many, or newcomers soon find nobody of another
    /// tracker whose place they take.
    pub fn wants_sweep(&self) -> bool {
        with!(self, swarms => swarms.wants_sweep(&self.policy.load().settings))
    }

    /// Living peers, up to the dead that no sweep has met yet. Costs nothing.
    pub fn peers(&self) -> u64 {
        with!(self, swarms => swarms.peers())
    }

    /// Replaces the blocklist. Stored peers and torrents that it covers are gone from all replies when this returns, and are kept aside for
    /// ten minutes; those of them that it does not cover any more come back (W4). Holds one shard at a time.
    pub fn block(&self, blocks: Vec<Block>, wall: Wall, now: Seconds) -> Enforced {
        self.access.block(blocks, wall);
        self.enforce(now)
    }

    /// Replaces lists of [`Tracker::access`] by what `change` does to them, and has the stored peers follow, as [`Tracker::block`] does.
    pub fn change_access(&self, change: impl FnOnce(&AccessLists), now: Seconds) -> Enforced {
        let before = self.access.revision();
        change(&self.access);
        let nothing_is_listed = |revision: access::Revision| !revision.lists_anything();
        if nothing_is_listed(before) && nothing_is_listed(self.access.revision()) {
            return Enforced::default();
        }
        self.enforce(now)
    }

    /// The zones' counters, to be kept across restarts.
    pub fn zone_statistics(&self) -> Vec<ZoneStatisticsRow> {
        let policy = self.policy.load_full();
        policy.zone_statistics.rows(&policy.zones)
    }

    /// Restores saved counters, before the first announce.
    pub fn restore_zone_statistics(&self, rows: &[ZoneStatisticsRow]) {
        let policy = self.policy.load_full();
        policy.zone_statistics.restore(rows, &policy.zones);
    }
}

#[cfg(test)]
mod tests;
