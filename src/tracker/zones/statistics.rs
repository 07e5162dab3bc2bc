//! What was handed out to each zone and what stayed local because of it (O11). Counters only grow; hours are kept for [`HOURS_KEPT`].
//!
//! Savings are an upper bound: for every re-announce, what the peer downloaded since (at most what its line could carry)
//! times the share of local peers in the list that it had been handed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::flows::{FlowCounters, FlowRow};
use super::{ZoneId, Zones};
use crate::clock::Wall;
use crate::invariant::present;
use crate::metrics;
use crate::tracker::report::census::HandedOut;
use crate::tracker::swarm::upsert::AnnounceEffect;

/// Hours of savings that are kept: 30 days. Where zones are so many that this comes to more than [`HOURS_IN_ALL`], fewer are
/// kept, but a day in any case.
pub const HOURS_KEPT: usize = 720;
/// Hours kept for all zones together.
const HOURS_IN_ALL: usize = 1 << 20;
const MIN_HOURS: usize = 24;

/// Shards in all at most, at 64 bytes: with few zones every worker has shards of its own, with very many all workers share.
const MAX_SHARDS: usize = 1 << 16;

/// Counters of one zone by one worker, a cache line apart from the others.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    announces: AtomicU64,
    with_local: AtomicU64,
    with_local_seeder: AtomicU64,
    peers: AtomicU64,
    local_peers: AtomicU64,
    /// In 255ths of a MiB.
    saved: AtomicU64,
}

/// Savings per hour (hours since 1970), of one zone.
type Hours = BTreeMap<u64, u64>;

/// The counters of all zones; replaced with them.
#[derive(Debug)]
pub(crate) struct ZoneStatistics {
    /// Zone by zone; for each, a shard of every worker that has its own, and one of everybody else.
    shards: Box<[Shard]>,
    /// How many workers have shards of their own.
    owners: usize,
    /// Per path: hours in MiB, and the `saved` up to which they were counted.
    hours: Mutex<HashMap<String, (Hours, u64)>>,
    /// Who was handed whom.
    flows: FlowCounters,
}

/// One zone's counters as they are kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ZoneStatisticsRow {
    /// The zone's path; empty for peers in no zone.
    pub path: String,
    /// What was handed out to peers of just this zone.
    pub handed_out: HandedOut,
    /// Savings by hour: hours since 1970, MiB.
    pub hours: Vec<(u64, u64)>,
    /// Peers handed out by level of nearness: own zone, one above, … , and last strangers; for it and the zones below that have no
    /// figures of their own. Estimated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<u64>,
    /// The same peers by the path of their zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handed: Vec<(String, u64)>,
}

impl ZoneStatistics {
    /// Counters at zero for the zones, for `workers` threads and for all others.
    pub(crate) fn new(zones: &Zones, workers: usize) -> ZoneStatistics {
        let owners = workers.min((MAX_SHARDS / zones.table_len()).saturating_sub(1));
        let shards = zones.table_len() * (owners + 1);
        ZoneStatistics {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            owners,
            hours: Mutex::default(),
            flows: FlowCounters::new(zones, workers),
        }
    }

    /// All shards of one zone; the last is everybody's.
    fn shards_of(&self, zone: Option<ZoneId>) -> &[Shard] {
        let width = self.owners + 1;
        let first = ZoneId::index(zone) * width;
        let shards = self.shards.get(first..first + width);
        present(shards, "zones and their counters are swapped as one").unwrap_or_default()
    }

    /// Takes over what was counted under other zones: what has the same path goes on, the rest is dropped.
    pub(crate) fn restore(&self, rows: &[ZoneStatisticsRow], zones: &Zones) {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let flow = FlowRow {
                path: row.path.clone(),
                levels: row.levels.clone(),
                handed: row.handed.clone(),
            };
            self.flows.restore(&flow, zones);
            let zone = zones.find(&row.path);
            if zone.is_none() && !row.path.is_empty() {
                continue;
            }
            let Some(shard) = self.shards_of(zone).last() else {
                continue;
            };
            let from = &row.handed_out;
            shard.announces.store(from.announces, Relaxed);
            shard.with_local.store(from.announces_with_local, Relaxed);
            shard
                .with_local_seeder
                .store(from.announces_with_local_seeder, Relaxed);
            shard.peers.store(from.peers, Relaxed);
            shard.local_peers.store(from.local_peers, Relaxed);
            shard
                .saved
                .store(from.saved_mib.saturating_mul(255), Relaxed);
            let kept = row.hours.iter().copied().collect();
            hours.insert(row.path.clone(), (kept, row.handed_out.saved_mib));
        }
    }

    /// Who was handed whom.
    pub(crate) fn flows(&self) -> &FlowCounters {
        &self.flows
    }

    /// The shard of a zone that `worker` counts in, and whether nobody else does.
    fn shard(&self, zone: Option<ZoneId>, worker: Option<usize>) -> Option<(&Shard, bool)> {
        let own = worker.filter(|worker| *worker < self.owners);
        let shard = self.shards_of(zone).get(own.unwrap_or(self.owners));
        let shard = present(shard, "owners and one shard more")?;
        Some((shard, own.is_some()))
    }

    /// Counts an announce that was answered with a list for its zone.
    pub(crate) fn note_list(&self, effect: &AnnounceEffect, worker: Option<usize>) {
        let Some((shard, is_own)) = self.shard(effect.zone, worker) else {
            return;
        };
        let add = |counter, amount| metrics::add(counter, amount, is_own);
        let chosen = &effect.chosen;
        add(&shard.announces, 1);
        if chosen.has_local_seeder || chosen.has_local_leecher {
            add(&shard.with_local, 1);
        }
        if chosen.has_local_seeder {
            add(&shard.with_local_seeder, 1);
        }
        if chosen.all > 0 {
            add(&shard.peers, chosen.all as u64);
            add(&shard.local_peers, chosen.local as u64);
        }
    }

    /// Counts what an announcer saved since it announced before. `line_mib` is what a line carries in a second.
    pub(crate) fn note_savings(
        &self,
        effect: &AnnounceEffect,
        line_mib: u32,
        worker: Option<usize>,
    ) {
        let (gained, share) = effect.gained;
        if gained > 0 && share > 0 {
            let carried = u64::from(gained).min(u64::from(effect.since) * u64::from(line_mib));
            if let Some((shard, is_own)) = self.shard(effect.zone, worker) {
                metrics::add(&shard.saved, carried * u64::from(share), is_own);
            }
        }
    }

    /// What was handed out to peers of just this zone.
    pub(crate) fn of(&self, zone: Option<ZoneId>) -> HandedOut {
        let shards = self.shards_of(zone);
        let sum = |counter: fn(&Shard) -> &AtomicU64| {
            let all = shards.iter().map(|shard| counter(shard).load(Relaxed));
            all.sum::<u64>()
        };
        HandedOut {
            announces: sum(|shard| &shard.announces),
            announces_with_local: sum(|shard| &shard.with_local),
            announces_with_local_seeder: sum(|shard| &shard.with_local_seeder),
            peers: sum(|shard| &shard.peers),
            local_peers: sum(|shard| &shard.local_peers),
            saved_mib: sum(|shard| &shard.saved) / 255,
        }
    }

    /// Books what was saved since the last call under the hour of `now`.
    pub(crate) fn close_hour(&self, zones: &Zones, now: Wall) {
        let hour = now.0 / 3600;
        let most = (HOURS_IN_ALL / zones.table_len()).clamp(MIN_HOURS, HOURS_KEPT);
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        for zone in zones.table() {
            let saved = self.of(zone).saved_mib;
            if saved == 0 {
                continue;
            }
            let (kept, counted) = hours.entry(zones.path(zone).to_owned()).or_default();
            let more = saved.saturating_sub(*counted);
            *counted = saved;
            if more > 0 {
                *kept.entry(hour).or_default() += more;
            }
            while kept.len() > most {
                kept.pop_first();
            }
        }
    }

    /// What was saved in some zones together, by hour: hours since 1970, MiB. What is not booked yet is left out.
    pub(crate) fn savings(
        &self,
        zones: &Zones,
        some: impl IntoIterator<Item = Option<ZoneId>>,
    ) -> Vec<(u64, u64)> {
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = Hours::new();
        for zone in some {
            let kept = hours.get(zones.path(zone)).map(|(kept, _)| kept);
            for (hour, mib) in kept.into_iter().flatten() {
                *sums.entry(*hour).or_default() += mib;
            }
        }
        sums.into_iter().collect()
    }

    /// All zones that have counted anything.
    pub(crate) fn rows(&self, zones: &Zones) -> Vec<ZoneStatisticsRow> {
        let hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let flows = self.flows.rows(zones).into_iter();
        let mut flows: HashMap<String, FlowRow> =
            flows.map(|flow| (flow.path.clone(), flow)).collect();
        let mut rows: Vec<ZoneStatisticsRow> = Vec::new();
        for zone in zones.table() {
            let path = zones.path(zone).to_owned();
            let flow = flows.remove(&path).unwrap_or_default();
            // Where less than a MiB was saved there are no hours.
            let kept = hours
                .get(&path)
                .map(|(kept, _)| kept.iter().map(|(hour, mib)| (*hour, *mib)).collect());
            let handed_out = self.of(zone);
            if handed_out != HandedOut::default() || !flow.handed.is_empty() {
                rows.push(ZoneStatisticsRow {
                    path,
                    handed_out,
                    hours: kept.unwrap_or_default(),
                    levels: flow.levels,
                    handed: flow.handed,
                });
            }
        }
        // What stands for many zones is none of them.
        rows.extend(flows.into_values().map(|flow| ZoneStatisticsRow {
            path: flow.path,
            levels: flow.levels,
            handed: flow.handed,
            ..ZoneStatisticsRow::default()
        }));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::ZoneRule;
    use super::*;
    use crate::metrics::AnnounceOutcome;
    use crate::tracker::select::Chosen;

    fn zones(count: usize) -> Zones {
        let rules = (0..count).map(|zone| ZoneRule {
            path: format!("zone-{zone}"),
            ..ZoneRule::default()
        });
        Zones::new(&rules.collect::<Vec<_>>(), &[]).unwrap()
    }

    fn effect(zone: u32) -> AnnounceEffect {
        AnnounceEffect {
            outcome: AnnounceOutcome::Refreshed,
            zone: ZoneId::unpack(zone),
            chosen: Chosen {
                all: 10,
                local: 4,
                has_local_leecher: true,
                ..Chosen::default()
            },
            // Two fifths of 1 MiB: no page holds a whole one.
            gained: (1, 102),
            since: 1,
            ..AnnounceEffect::nothing()
        }
    }

    /// O11
    #[test]
    fn what_all_workers_counted_is_added_up() {
        let zones = zones(3);
        let zone_statistics = ZoneStatistics::new(&zones, 2);
        for worker in [Some(0), Some(1), Some(1), Some(2), None] {
            zone_statistics.note_list(&effect(2), worker);
            zone_statistics.note_savings(&effect(2), 125, worker);
        }
        let counted = HandedOut {
            announces: 5,
            announces_with_local: 5,
            announces_with_local_seeder: 0,
            peers: 50,
            local_peers: 20,
            saved_mib: 2,
        };
        let of = |statistics: &ZoneStatistics, zone| statistics.of(ZoneId::unpack(zone));
        assert_eq!(of(&zone_statistics, 2), counted);
        assert_eq!(of(&zone_statistics, 1), HandedOut::default());
        assert_eq!(of(&zone_statistics, 0), HandedOut::default());
        // Carried over to the statistics of other threads, and counted on there.
        let after = ZoneStatistics::new(&zones, 1);
        after.restore(&zone_statistics.rows(&zones), &zones);
        assert_eq!(of(&after, 2), counted);
        after.note_list(&effect(2), Some(0));
        assert_eq!(of(&after, 2).announces, 6);
    }

    /// O1, O11: what an earlier release kept is read, and what is kept now goes on.
    #[test]
    fn counters_without_levels_are_read_and_those_with_levels_go_on() {
        let kept = r#"{"path":"zone-1","handed_out":{"announces":3,"announces_with_local":2,"announces_with_local_seeder":1,"peers":9,"local_peers":4,"saved_mib":5},"hours":[[7,5]]}"#;
        let mut row: ZoneStatisticsRow = serde_json::from_str(kept).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), kept);
        (row.levels, row.handed) = (vec![6, 3], vec![("zone-0".into(), 9)]);
        let text = serde_json::to_vec(&[row]).unwrap();
        let rows: Vec<ZoneStatisticsRow> = serde_json::from_slice(&text).unwrap();
        let zones = zones(2);
        let statistics = ZoneStatistics::new(&zones, 1);
        statistics.restore(&rows, &zones);
        let after = statistics.rows(&zones);
        assert_eq!(after[0].levels[..2], [6, 3]);
        assert_eq!(after[0].handed, rows[0].handed);
        assert_eq!(after[0].handed_out, rows[0].handed_out);
    }

    #[test]
    fn workers_share_pages_where_zones_are_very_many() {
        let many = zones(MAX_SHARDS);
        let zone_statistics = ZoneStatistics::new(&many, 64);
        assert_eq!(zone_statistics.shards.len(), many.table_len());
        zone_statistics.note_list(&effect(7), Some(3));
        assert_eq!(zone_statistics.of(ZoneId::unpack(7)).announces, 1);
        let some = ZoneStatistics::new(&zones(5_000), 64);
        assert!((5_000..=MAX_SHARDS).contains(&some.shards.len()));
    }
}
