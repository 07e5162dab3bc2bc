//! How near others are to one address: the neighbourhoods by which the core fills a list, from the narrowest on, with names.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::tracker::{ZoneId, Zones};

/// The neighbourhoods of one address.
#[derive(Debug)]
pub(super) struct Levels<'a> {
    zones: &'a Zones,
    zone: Option<ZoneId>,
    /// Prefixes within the zone, the longest first (S8).
    prefixes: Vec<IpNet>,
    /// How many parts the zone's path has.
    depth: usize,
}

impl<'a> Levels<'a> {
    pub(super) fn new(zones: &'a Zones, ip: IpAddr) -> Levels<'a> {
        let lengths = if ip.is_ipv4() {
            [24, 20, 16]
        } else {
            [64, 56, 48]
        };
        let prefixes = lengths.into_iter();
        let zone = zones.of(ip);
        Levels {
            zones,
            zone,
            prefixes: prefixes
                .filter_map(|length| IpNet::new(ip, length).ok())
                .map(|net| net.trunc())
                .collect(),
            depth: zones.shared_parts(zone, zone),
        }
    }

    /// How many levels there are.
    pub(super) fn count(&self) -> usize {
        self.prefixes.len() + self.depth + 1
    }

    /// At which level another address is: the narrowest neighbourhood that holds both. The last level holds the strangers.
    pub(super) fn of(&self, ip: IpAddr) -> usize {
        let zone = self.zones.of(ip);
        if zone == self.zone
            && let Some(level) = self.prefixes.iter().position(|net| net.contains(&ip))
        {
            return level;
        }
        self.prefixes.len() + self.depth - self.zones.shared_parts(self.zone, zone)
    }

    /// The level in words.
    pub(super) fn name(&self, level: usize) -> String {
        if let Some(prefix) = self.prefixes.get(level) {
            return if self.zone.is_none() {
                format!("{prefix}, in no zone")
            } else {
                format!("{prefix} of the zone")
            };
        }
        let above = level - self.prefixes.len();
        if above >= self.depth {
            return "farther away".to_owned();
        }
        let mut zone = self.zone;
        for _ in 0..above {
            zone = zone.and_then(|zone| self.zones.parent(zone));
        }
        if above == 0 {
            format!("{}, the rest of the zone", self.zones.path(zone))
        } else {
            format!("{}, the rest of it", self.zones.path(zone))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    fn level(of: &str, other: &str) -> String {
        let zones = Zones::new(&sample(), &[]).unwrap();
        let levels = Levels::new(&zones, of.parse().unwrap());
        let level = levels.of(other.parse().unwrap());
        assert!(level < levels.count());
        levels.name(level)
    }

    /// S7, S8
    #[test]
    fn levels_are_the_neighbourhoods_by_which_lists_are_filled() {
        for (of, other, name) in [
            ("10.1.7.1", "10.1.7.9", "10.1.7.0/24 of the zone"),
            ("10.1.7.1", "10.1.9.9", "10.1.0.0/20 of the zone"),
            (
                "10.1.7.1",
                "2001:db8:1:7::1",
                "moscow/north/building-7, the rest of the zone",
            ),
            ("10.1.7.1", "10.1.8.1", "moscow/north, the rest of it"),
            ("10.1.7.1", "10.2.0.1", "moscow, the rest of it"),
            ("10.1.7.1", "10.3.0.1", "farther away"),
            ("10.1.7.1", "192.0.2.1", "farther away"),
            // What lies below a zone is as near as the zone itself.
            ("10.1.8.1", "10.1.7.1", "moscow/north, the rest of the zone"),
            ("192.0.2.1", "192.0.2.9", "192.0.2.0/24, in no zone"),
            ("192.0.2.1", "192.0.200.9", "192.0.0.0/16, in no zone"),
            ("192.0.2.1", "198.51.100.1", "farther away"),
            (
                "2001:db8:3::1",
                "2001:db8:3::2",
                "2001:db8:3::/64 of the zone",
            ),
        ] {
            assert_eq!(level(of, other), name, "{of} {other}");
        }
    }
}
