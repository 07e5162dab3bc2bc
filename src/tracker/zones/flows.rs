//! Who was handed whom: the peers of lists by how near they are to the asker, and zone by zone (W15).
//!
//! Counted off a sample, after the swarm's lock is gone: of each worker at most one announce in a second is looked at, and stands
//! for those since the one before. So a quiet tracker counts everything, and a busy one pays nothing. Counters only grow.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::{MAX_DEPTH, ZoneId, Zones};
use crate::clock::Seconds;
use crate::invariant::present;
use crate::net::address_pair;
use crate::tracker::announce::PeerList;
use crate::tracker::report::flows::{FlowZone, Flows, ZoneFlows};

/// Levels of nearness: the asker's own zone, so many zones above it, and last the strangers, who share no part of its path.
pub(super) const LEVELS: usize = MAX_DEPTH + 1;

/// The level of strangers.
const STRANGERS: usize = LEVELS - 1;

/// Zones that are told apart at most, those outside of all zones and the rest included: 128 KiB of counters.
const MAX_GROUPS: usize = 128;

/// Whom a zone is counted under: itself, or the one above it at the deepest level that is counted zone by zone.
#[derive(Debug)]
struct Groups {
    /// For each zone ([`ZoneId::index`]).
    of: Box<[u8]>,
    /// What each stands for.
    zones: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Addresses in no zone.
    NoZone,
    Zone(ZoneId),
    /// The top zones that are too many.
    Others,
}

/// The second in which a worker has looked at an announce, and in the low half how many it has passed over since: one number, since
/// every announce pays for it.
type Turn = AtomicU64;

/// The low half of a turn.
const PASSED: u64 = (1 << 32) - 1;

/// The counters; replaced with the zones.
#[derive(Debug)]
pub(crate) struct FlowCounters {
    groups: Groups,
    /// Of each worker, and the last of everybody else.
    turns: Box<[CachePadded<Turn>]>,
    /// Peers by group of the asker and group of the peer.
    handed: Box<[AtomicU64]>,
    /// Peers by group of the asker and level; none of askers in no zone, to whom no zone is near.
    levels: Box<[AtomicU64]>,
}

/// What one zone's lists held, as it is kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowRow {
    pub path: String,
    /// By level.
    pub levels: Vec<u64>,
    /// By the path of the zone that the peers are in.
    pub handed: Vec<(String, u64)>,
}

/// What the rest is called where rows have paths; no zone has a part that is empty.
const OTHERS: &str = "/";

impl Groups {
    fn new(zones: &Zones) -> Groups {
        let depth = |zone| zones.path(Some(zone)).matches('/').count();
        let mut by_depth = [0_usize; MAX_DEPTH];
        for zone in zones.ids() {
            if let Some(count) = by_depth.get_mut(depth(zone)) {
                *count += 1;
            }
        }
        // The deepest level down to which all zones have a place.
        let mut sum = 0;
        let fitting = by_depth.iter().take_while(|count| {
            sum += **count;
            sum <= MAX_GROUPS - 2
        });
        let deepest = fitting.count().saturating_sub(1);
        let mut groups = Groups {
            of: vec![0; zones.table_len()].into(),
            zones: vec![Group::NoZone],
        };
        for zone in zones.ids() {
            let group = if depth(zone) > deepest {
                groups.of(zones.parent(zone))
            } else if groups.zones.len() < MAX_GROUPS - 1 {
                groups.add(Group::Zone(zone))
            } else if groups.zones.len() < MAX_GROUPS {
                groups.add(Group::Others)
            } else {
                MAX_GROUPS - 1
            };
            let group = u8::try_from(group).ok();
            if let Some(place) = groups.of.get_mut(ZoneId::index(Some(zone))) {
                *place = present(group, "there are 128 groups at most").unwrap_or(0);
            }
        }
        groups
    }

    fn add(&mut self, group: Group) -> usize {
        self.zones.push(group);
        self.zones.len() - 1
    }

    fn of(&self, zone: Option<ZoneId>) -> usize {
        self.of
            .get(ZoneId::index(zone))
            .map_or(0, |group| (*group).into())
    }

    fn path<'a>(&self, group: usize, zones: &'a Zones) -> &'a str {
        match self.zones.get(group) {
            Some(Group::Zone(zone)) => zones.path(Some(*zone)),
            Some(Group::Others) => OTHERS,
            Some(Group::NoZone) | None => "",
        }
    }
}

/// The zone of a peer on a list. By an address inside a pair it is where the pair's outside is, as it was for the swarm.
fn zone_of(zones: &Zones, ip: IpAddr) -> Option<ZoneId> {
    let pairs = zones.address_pairs();
    let pair = pairs.iter().find(|pair| pair.inside.contains(&ip));
    let ip = match pair {
        None => ip,
        Some(pair) => address_pair::outside_of(pairs, ip).unwrap_or_else(|| pair.outside.network()),
    };
    zones.of(ip)
}

impl FlowCounters {
    /// Counters at zero, for `workers` threads and for all others.
    pub(super) fn new(zones: &Zones, workers: usize) -> FlowCounters {
        let groups = Groups::new(zones);
        let zeros = |count| (0..count).map(|_| AtomicU64::default()).collect();
        let count = groups.zones.len();
        FlowCounters {
            turns: (0..=workers).map(|_| CachePadded::default()).collect(),
            handed: zeros(count * count),
            levels: zeros(count * LEVELS),
            groups,
        }
    }

    /// Counts the list that an announce from `asker` was answered with, or passes over it. Takes no lock.
    #[inline]
    pub(crate) fn note(
        &self,
        zones: &Zones,
        asker: Option<ZoneId>,
        list: &PeerList,
        now: Seconds,
        worker: Option<usize>,
    ) {
        let others = self.turns.len() - 1;
        let Some(turn) = self.turns.get(worker.unwrap_or(others).min(others)) else {
            return;
        };
        // Of the threads that share the last turn two may take the same one; nothing but an estimate is lost.
        let seen = turn.load(Relaxed).wrapping_add(1);
        let second = u64::from(now.raw());
        if seen >> 32 == second {
            turn.store(seen, Relaxed);
        } else {
            turn.store(second << 32, Relaxed);
            self.count(zones, asker, list, seen & PASSED);
        }
    }

    /// Counts a list that stands for `weight` of them.
    #[cold]
    #[inline(never)]
    fn count(&self, zones: &Zones, asker: Option<ZoneId>, list: &PeerList, weight: u64) {
        // The asker's zone and those above it, each with all below it.
        let mut near = [None; MAX_DEPTH];
        let mut zone = asker;
        for place in &mut near {
            *place = zone.map(|zone| zones.subtree(zone));
            zone = zone.and_then(|zone| zones.parent(zone));
        }
        let own = self.groups.of(asker);
        let count = self.groups.zones.len();
        let add = |counters: &[AtomicU64], at: usize| {
            if let Some(counter) = present(counters.get(at), "a group has a row of counters") {
                counter.fetch_add(weight, Relaxed);
            }
        };
        let v4 = list
            .v4
            .iter()
            .filter_map(|packed| packed.first_chunk::<4>());
        let v6 = list
            .v6
            .iter()
            .filter_map(|packed| packed.first_chunk::<16>());
        let ips = v4
            .map(|ip| IpAddr::from(*ip))
            .chain(v6.map(|ip| IpAddr::from(*ip)));
        for ip in ips {
            let zone = zone_of(zones, ip);
            add(&self.handed, own * count + self.groups.of(zone));
            if asker.is_some() {
                let level = near.iter().position(|level| {
                    level.is_some_and(|(first, last)| (Some(first)..=Some(last)).contains(&zone))
                });
                add(&self.levels, own * LEVELS + level.unwrap_or(STRANGERS));
            }
        }
    }

    fn row(counters: &[AtomicU64], row: usize, width: usize) -> impl Iterator<Item = u64> {
        let row = counters.iter().skip(row * width).take(width);
        row.map(|counter| counter.load(Relaxed))
    }

    /// Groups with what was counted for them, for the zones' saved rows.
    pub(super) fn rows(&self, zones: &Zones) -> Vec<FlowRow> {
        let count = self.groups.zones.len();
        let rows = (0..count).map(|group| {
            let handed = FlowCounters::row(&self.handed, group, count).enumerate();
            FlowRow {
                path: self.groups.path(group, zones).to_owned(),
                levels: FlowCounters::row(&self.levels, group, LEVELS).collect(),
                handed: handed
                    .filter(|(_, peers)| *peers > 0)
                    .map(|(to, peers)| (self.groups.path(to, zones).to_owned(), peers))
                    .collect(),
            }
        });
        rows.filter(|row| !row.handed.is_empty()).collect()
    }

    /// Takes over what was counted under other zones: what has the same path goes on or goes to what it is counted under.
    pub(super) fn restore(&self, row: &FlowRow, zones: &Zones) {
        let group = |path: &str| {
            let zone = zones.find(path);
            let is_others = |group: &Group| *group == Group::Others;
            match path {
                "" => Some(0),
                OTHERS => self.groups.zones.iter().position(is_others),
                _ => zone.map(|zone| self.groups.of(Some(zone))),
            }
        };
        let Some(own) = group(&row.path) else { return };
        let add = |counters: &[AtomicU64], at: usize, peers: u64| {
            if let Some(counter) = counters.get(at) {
                counter.fetch_add(peers, Relaxed);
            }
        };
        for (level, peers) in row.levels.iter().take(LEVELS).enumerate() {
            add(&self.levels, own * LEVELS + level, *peers);
        }
        for (path, peers) in &row.handed {
            if let Some(to) = group(path) {
                add(&self.handed, own * self.groups.zones.len() + to, *peers);
            }
        }
    }

    /// What was counted, for people; `saved` gives the MiB that peers of just this zone saved.
    pub(crate) fn view(&self, zones: &Zones, saved: impl Fn(Option<ZoneId>) -> u64) -> Flows {
        let count = self.groups.zones.len();
        let mut by_group = vec![0_u64; count];
        for zone in zones.table() {
            if let Some(sum) = by_group.get_mut(self.groups.of(zone)) {
                *sum += saved(zone);
            }
        }
        let rows = self.groups.zones.iter().zip(by_group).enumerate();
        let rows = rows.map(|(group, (zone, saved_mib))| ZoneFlows {
            zone: match zone {
                Group::NoZone => FlowZone::NoZone,
                Group::Zone(zone) => FlowZone::Zone(zones.path(Some(*zone)).to_owned()),
                Group::Others => FlowZone::Others,
            },
            levels: FlowCounters::row(&self.levels, group, LEVELS).collect(),
            handed: FlowCounters::row(&self.handed, group, count).collect(),
            saved_mib,
        });
        Flows {
            zones: rows.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ZoneRule;
    use super::*;
    use crate::net::AddressPair;

    fn zones(rules: &[(String, String)], pairs: &[AddressPair]) -> Zones {
        let rules = rules.iter().map(|(path, prefix)| ZoneRule {
            path: path.clone(),
            prefixes: vec![prefix.parse().unwrap()],
            ..ZoneRule::default()
        });
        Zones::new(&rules.collect::<Vec<_>>(), pairs).unwrap()
    }

    fn city(pairs: &[AddressPair]) -> Zones {
        let rules = [
            ("msk/north/7", "192.0.2.0/26"),
            ("msk/north", "192.0.2.64/26"),
            ("msk/south", "192.0.2.128/25"),
            ("tver", "198.51.100.0/24"),
        ];
        zones(
            &rules.map(|(path, prefix)| (path.into(), prefix.into())),
            pairs,
        )
    }

    fn list(ips: &[&str]) -> PeerList {
        let mut list = PeerList::default();
        for ip in ips {
            match ip.parse().unwrap() {
                IpAddr::V4(ip) => list
                    .v4
                    .push([&ip.octets()[..], &[0, 7]].concat().try_into().unwrap()),
                IpAddr::V6(ip) => list
                    .v6
                    .push([&ip.octets()[..], &[0, 7]].concat().try_into().unwrap()),
            }
        }
        list
    }

    fn asker(zones: &Zones, ip: &str) -> Option<ZoneId> {
        zones.of(ip.parse().unwrap())
    }

    /// O11, W15
    #[test]
    fn peers_are_counted_by_the_narrowest_level_that_has_a_name() {
        let zones = city(&[]);
        let flows = FlowCounters::new(&zones, 1);
        let handed = list(&[
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.65",
            "192.0.2.129",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
        ]);
        flows.note(
            &zones,
            asker(&zones, "192.0.2.9"),
            &handed,
            Seconds::START,
            Some(0),
        );
        let view = flows.view(&zones, |_| 0);
        let row = view
            .zones
            .iter()
            .find(|row| row.zone == FlowZone::Zone("msk/north/7".into()));
        let levels = &row.unwrap().levels;
        assert_eq!((&levels[..4], levels[STRANGERS]), (&[2, 1, 1, 0][..], 3));
        assert_eq!(view.levels().iter().sum::<u64>(), 7);
        // What lies below the asker's zone is its own zone; to who is in no zone nothing is near.
        flows.note(
            &zones,
            asker(&zones, "192.0.2.65"),
            &list(&["192.0.2.1"]),
            Seconds::START.plus(1),
            Some(0),
        );
        flows.note(
            &zones,
            None,
            &list(&["192.0.2.1"]),
            Seconds::START.plus(2),
            Some(0),
        );
        let levels = flows.view(&zones, |_| 0).levels();
        assert_eq!((levels[0], levels.iter().sum::<u64>()), (3, 8));
    }

    /// W15
    #[test]
    fn of_a_second_one_announce_is_looked_at_and_stands_for_those_before_it() {
        let zones = city(&[]);
        let flows = FlowCounters::new(&zones, 2);
        let handed = list(&["192.0.2.1"]);
        let own = asker(&zones, "192.0.2.9");
        for (second, worker) in [
            (0, Some(0)),
            (0, Some(0)),
            (0, Some(0)),
            (0, Some(1)),
            (0, None),
            (5, Some(0)),
        ] {
            flows.note(&zones, own, &handed, Seconds::START.plus(second), worker);
        }
        // One of each, and one that stands for three.
        assert_eq!(flows.view(&zones, |_| 0).levels()[0], 6);
    }

    /// W15, S10
    #[test]
    fn a_peer_by_its_inner_address_is_where_it_is_seen_from_outside() {
        let pair = |inside: &str, outside: &str| AddressPair {
            inside: inside.parse().unwrap(),
            outside: outside.parse().unwrap(),
        };
        let zones = city(&[
            pair("100.64.0.0/26", "192.0.2.0/26"),
            pair("100.65.0.0/16", "198.51.100.0/24"),
        ]);
        for (inside, path) in [
            ("100.64.0.9", "msk/north/7"),
            ("100.65.3.4", "tver"),
            ("192.0.2.200", "msk/south"),
            ("203.0.113.1", ""),
        ] {
            assert_eq!(zones.path(zone_of(&zones, inside.parse().unwrap())), path);
        }
    }

    /// W15
    #[test]
    fn as_many_levels_are_told_apart_as_have_a_place() {
        let street = |streets: u32, houses: u32| {
            let rules = (0..streets).flat_map(|street| {
                (0..houses).map(move |house| {
                    let ip = std::net::Ipv4Addr::from_bits((10 << 24) + street * 256 + house);
                    (format!("s{street:03}/h{house}"), format!("{ip}/32"))
                })
            });
            zones(&rules.collect::<Vec<_>>(), &[])
        };
        for (streets, houses, expected) in [(2, 3, 1 + 2 + 6), (3, 50, 1 + 3), (200, 2, MAX_GROUPS)]
        {
            let zones = street(streets, houses);
            let groups = Groups::new(&zones);
            assert_eq!(groups.zones.len(), expected, "{streets} {houses}");
            assert_eq!(groups.zones.last() == Some(&Group::Others), streets == 200);
            let last = groups.of(zones.of("10.0.0.1".parse().unwrap()));
            let above = groups.of(zones.find("s000"));
            assert_eq!(last == above, expected != 9);
        }
    }

    /// W15
    #[test]
    fn what_was_counted_goes_on_under_other_zones() {
        let zones = city(&[]);
        let flows = FlowCounters::new(&zones, 1);
        let handed = list(&["192.0.2.1", "198.51.100.1", "203.0.113.1"]);
        flows.note(
            &zones,
            asker(&zones, "192.0.2.9"),
            &handed,
            Seconds::START,
            None,
        );
        let rows = flows.rows(&zones);
        let after = FlowCounters::new(&zones, 4);
        rows.iter().for_each(|row| after.restore(row, &zones));
        assert_eq!(after.rows(&zones), rows);
        let fewer = self::zones(&[("msk/north/7".into(), "192.0.2.0/26".into())], &[]);
        let after = FlowCounters::new(&fewer, 4);
        rows.iter().for_each(|row| after.restore(row, &fewer));
        let view = after.view(&fewer, |_| 0);
        assert_eq!(view.levels().iter().sum::<u64>(), 3);
        let row = view.zones.last().unwrap();
        assert_eq!(row.handed.iter().sum::<u64>(), 2, "tver is none of these");
    }
}
