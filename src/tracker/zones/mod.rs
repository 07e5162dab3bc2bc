//! Zones: names for address prefixes that form a tree, as `moscow/north/building-7` (S7).
//!
//! Zones are numbered in the order of the tree, so that a zone and all below it are one run of numbers. Built whole and swapped;
//! an address is looked up without a lock.

mod flows;
mod id;
mod prefixes;
pub(super) mod statistics;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::invariant::present;
use crate::net::AddressPair;
pub(super) use id::MAX_ZONE;
pub use id::ZoneId;
use prefixes::Prefixes;

/// One zone as the operator describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneRule {
    /// Its parts, joined by `/`.
    pub path: String,
    /// The prefixes that lie in it; the longest of all zones' prefixes decides.
    pub prefixes: Vec<IpNet>,
    /// Whether its peers, those of the zones below it included, see only each other (S9).
    pub is_strict: bool,
    /// Whether many of its peers, those of the zones below it included, live behind one address: each may be handed three of its
    /// own address and not two (S16).
    pub is_behind_nat: bool,
    /// Stands in the replies of its peers (P19); a zone below with one of its own uses that.
    pub warning: Option<String>,
}

/// Parts of a zone's path at most: so many levels are told apart.
pub const MAX_DEPTH: usize = 13;

/// Why zones cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZonesError {
    /// A path that is empty, or has an empty part.
    #[error("zone path {0:?} has an empty part")]
    EmptyPart(String),
    /// A path of too many parts.
    #[error("zone path {0:?} has more than {MAX_DEPTH} parts")]
    TooDeep(String),
    /// The same prefix in two places.
    #[error("prefix {prefix} is given twice, to {first:?} and to {second:?}")]
    Twice {
        /// The prefix.
        prefix: IpNet,
        /// Where it stood first.
        first: String,
        /// Where it stood again.
        second: String,
    },
    /// More zones than peers can hold the number of.
    #[error("more than {MAX_ZONE} zones")]
    TooMany,
}

#[derive(Debug)]
struct Zone {
    path: String,
    /// The last zone below this one; itself where there is none.
    last: Option<ZoneId>,
    parent: Option<ZoneId>,
    /// The strict zone that this one is or lies in, the innermost.
    strict_root: Option<ZoneId>,
    is_behind_nat: bool,
    /// The zone whose warning holds here.
    warned_by: Option<ZoneId>,
    warning: Option<String>,
}

/// What all rules for one path say.
#[derive(Clone, Copy, Default)]
struct Traits<'a> {
    is_strict: bool,
    is_behind_nat: bool,
    warning: Option<&'a str>,
}

/// All zones, the prefixes that lie in them, and the address pairs.
#[derive(Debug)]
pub struct Zones {
    /// The first row stands for addresses in no zone, so that a look-up need not ask; then the zones, each at its number.
    zones: Vec<Zone>,
    prefixes: Prefixes,
    address_pairs: Vec<AddressPair>,
    prefix_count: usize,
}

impl Default for Zones {
    /// No zones: every address is in none.
    fn default() -> Zones {
        let root = Zone {
            path: String::new(),
            last: None,
            parent: None,
            strict_root: None,
            is_behind_nat: false,
            warned_by: None,
            warning: None,
        };
        Zones {
            zones: vec![root],
            prefixes: Prefixes::default(),
            address_pairs: Vec::new(),
            prefix_count: 0,
        }
    }
}

impl Zones {
    /// Builds the tree and the table. A path may be described in several rules; parts above it need not be described.
    ///
    /// # Errors
    /// When a path has an empty part, or a prefix stands in two places.
    pub fn new(rules: &[ZoneRule], address_pairs: &[AddressPair]) -> Result<Zones, ZonesError> {
        // Split into parts, so that the order is that of the tree: `a/b` comes before `a-b`.
        let mut tree: BTreeMap<Vec<&str>, Traits<'_>> = BTreeMap::new();
        for rule in rules {
            let parts: Vec<&str> = rule.path.split('/').collect();
            if parts.iter().any(|part| part.trim().is_empty()) {
                return Err(ZonesError::EmptyPart(rule.path.clone()));
            }
            if parts.len() > MAX_DEPTH {
                return Err(ZonesError::TooDeep(rule.path.clone()));
            }
            for length in 1..parts.len() {
                tree.entry(parts.iter().take(length).copied().collect())
                    .or_default();
            }
            let entry = tree.entry(parts).or_default();
            entry.is_strict |= rule.is_strict;
            entry.is_behind_nat |= rule.is_behind_nat;
            entry.warning = rule.warning.as_deref().or(entry.warning);
        }
        let mut zones = Zones::default();
        for (parts, traits) in &tree {
            zones.add(parts, traits)?;
        }
        zones.close();
        zones.assign(rules)?;
        zones.address_pairs = address_pairs.to_vec();
        Ok(zones)
    }

    fn add(&mut self, parts: &[&str], traits: &Traits<'_>) -> Result<(), ZonesError> {
        let number = u32::try_from(self.zones.len())
            .ok()
            .filter(|number| *number <= MAX_ZONE);
        let number = number.ok_or(ZonesError::TooMany)?;
        let own = present(ZoneId::unpack(number), "the row of no zone comes first");
        let path = parts.join("/");
        // The parent is the last zone added or one above it, since they come in the order of the tree.
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let mut parent = ZoneId::unpack(number - 1);
        while let Some(zone) = parent
            && self.path(parent) != above
        {
            parent = self.parent(zone);
        }
        let strict_root = if traits.is_strict {
            own
        } else {
            self.strict_root(parent)
        };
        let warned_by = if traits.warning.is_some() {
            own
        } else {
            self.warned_by(parent)
        };
        let is_behind_nat = traits.is_behind_nat || self.is_behind_nat(parent);
        let warning = traits.warning.map(str::to_owned);
        self.zones.push(Zone {
            path,
            last: own,
            parent,
            strict_root,
            is_behind_nat,
            warned_by,
            warning,
        });
        Ok(())
    }

    /// Sets the ends of all zones, children before parents.
    fn close(&mut self) {
        for number in (1..self.zones.len()).rev() {
            let Some(&Zone { last, parent, .. }) = self.zones.get(number) else {
                continue;
            };
            if let Some(parent) = self.zones.get_mut(ZoneId::index(parent)) {
                parent.last = parent.last.max(last);
            }
        }
    }

    fn zone(&self, zone: Option<ZoneId>) -> Option<&Zone> {
        present(
            self.zones.get(ZoneId::index(zone)),
            "an id is of these zones",
        )
    }

    fn assign(&mut self, rules: &[ZoneRule]) -> Result<(), ZonesError> {
        let numbers: HashMap<&str, ZoneId> =
            self.ids().map(|id| (self.path(Some(id)), id)).collect();
        let mut taken: HashMap<IpNet, &str> = HashMap::new();
        let mut prefixes = Vec::new();
        for rule in rules {
            for prefix in rule.prefixes.iter().map(IpNet::trunc) {
                if let Some(first) = taken.insert(prefix, &rule.path) {
                    let (first, second) = (first.to_owned(), rule.path.clone());
                    return Err(ZonesError::Twice {
                        prefix,
                        first,
                        second,
                    });
                }
                let zone = numbers.get(rule.path.as_str());
                let zone = present(zone, "the path of every rule was added");
                prefixes.extend(zone.map(|zone| (prefix, *zone)));
            }
        }
        self.prefix_count = prefixes.len();
        self.prefixes = Prefixes::new(prefixes);
        Ok(())
    }

    /// The zone that a canonical address lies in.
    #[inline]
    pub fn of(&self, ip: IpAddr) -> Option<ZoneId> {
        self.prefixes.find(ip)
    }

    /// How many rows a table has with one for each zone and one for no zone ([`ZoneId::index`]).
    pub(crate) fn table_len(&self) -> usize {
        self.zones.len()
    }

    /// How many zones there are.
    pub fn len(&self) -> usize {
        self.zones.len() - 1
    }

    /// Whether no zone is described.
    pub fn is_empty(&self) -> bool {
        self.zones.len() == 1
    }

    /// How many prefixes lie in zones.
    pub fn prefix_count(&self) -> usize {
        self.prefix_count
    }

    /// A zone's path; empty for no zone.
    pub fn path(&self, zone: Option<ZoneId>) -> &str {
        self.zone(zone).map_or("", |zone| zone.path.as_str())
    }

    /// All zones, in order.
    pub fn ids(&self) -> impl Iterator<Item = ZoneId> + use<> {
        self.table().flatten()
    }

    /// No zone, then all zones in order: the rows of a table ([`ZoneId::index`]).
    pub(crate) fn table(&self) -> impl Iterator<Item = Option<ZoneId>> + use<> {
        (0..=MAX_ZONE).take(self.table_len()).map(ZoneId::unpack)
    }

    /// The zone with this path.
    pub fn find(&self, path: &str) -> Option<ZoneId> {
        let at = self
            .zones
            .binary_search_by(|zone| zone.path.split('/').cmp(path.split('/')));
        ZoneId::unpack(u32::try_from(at.ok()?).ok()?)
    }

    /// The zone above; `None` at the top.
    pub fn parent(&self, zone: ZoneId) -> Option<ZoneId> {
        self.zone(Some(zone))?.parent
    }

    /// The first and the last of the zone and all below it.
    pub fn subtree(&self, zone: ZoneId) -> (ZoneId, ZoneId) {
        let last = self.zone(Some(zone)).and_then(|zone| zone.last);
        debug_assert!(last >= Some(zone), "{zone:?} ends before it begins");
        (zone, last.unwrap_or(zone))
    }

    /// The top zone that `zone` is or lies in.
    pub fn top(&self, zone: ZoneId) -> ZoneId {
        let mut top = zone;
        while let Some(above) = self.parent(top) {
            top = above;
        }
        top
    }

    /// The strict zone that `zone` is or lies in, the innermost (S9): its subtree is all that peers of `zone` see.
    pub fn strict_root(&self, zone: Option<ZoneId>) -> Option<ZoneId> {
        self.zone(zone)?.strict_root
    }

    /// Whether the zone is behind one address, or in one that is (S16).
    pub fn is_behind_nat(&self, zone: Option<ZoneId>) -> bool {
        self.zone(zone).is_some_and(|zone| zone.is_behind_nat)
    }

    /// The zone whose [`Zones::warning`] peers of this zone are given.
    pub fn warned_by(&self, zone: Option<ZoneId>) -> Option<ZoneId> {
        self.zone(zone)?.warned_by
    }

    /// The warning that a zone gives (P19). The number may be of zones that have been replaced since.
    pub fn warning(&self, zone: ZoneId) -> Option<&str> {
        self.zones
            .get(ZoneId::index(Some(zone)))?
            .warning
            .as_deref()
    }

    /// How many leading parts the paths of two zones share; an address in no zone shares none.
    pub fn shared_parts(&self, one: Option<ZoneId>, other: Option<ZoneId>) -> usize {
        let (one, other) = (self.path(one), self.path(other));
        if one.is_empty() || other.is_empty() {
            return 0;
        }
        one.split('/')
            .zip(other.split('/'))
            .take_while(|(a, b)| a == b)
            .count()
    }

    /// The pairs of networks with an inside and an outside (S10).
    pub fn address_pairs(&self) -> &[AddressPair] {
        &self.address_pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, prefixes: &[&str]) -> ZoneRule {
        let prefixes = prefixes
            .iter()
            .map(|prefix| prefix.parse().unwrap())
            .collect();
        ZoneRule {
            path: path.into(),
            prefixes,
            ..ZoneRule::default()
        }
    }

    fn sample() -> Zones {
        let mut north = rule("moscow/north", &["10.1.0.0/16"]);
        north.warning = Some("works tonight".into());
        let mut south = rule("moscow/south", &["10.3.0.0/16"]);
        south.is_strict = true;
        let rules = [
            rule(
                "moscow/north/building-7",
                &["10.1.7.0/24", "2001:db8:7::/48"],
            ),
            rule("moscow-west", &["10.2.0.0/16"]),
            north,
            south,
            rule("moscow/south/x", &["10.3.9.0/24"]),
        ];
        Zones::new(&rules, &[]).unwrap()
    }

    /// S7
    #[test]
    fn zones_are_numbered_so_that_subtrees_are_runs() {
        let zones = sample();
        let of = |ip: &str| zones.of(ip.parse().unwrap());
        let building = of("10.1.7.9");
        assert_eq!(zones.path(building), "moscow/north/building-7");
        assert_eq!(of("2001:db8:7::5"), building);
        assert_eq!(zones.path(of("10.1.8.9")), "moscow/north");
        assert_eq!(of("192.0.2.1"), None);
        let (first, last) = zones.subtree(zones.find("moscow").unwrap());
        for (path, inside) in [
            ("moscow/north/building-7", true),
            ("moscow/south", true),
            ("moscow-west", false),
        ] {
            assert_eq!(
                (first..=last).contains(&zones.find(path).unwrap()),
                inside,
                "{path}"
            );
        }
        assert_eq!(zones.ids().count(), zones.len());
        for zone in zones.table() {
            assert_eq!(zones.find(zones.path(zone)), zone);
        }
        assert_eq!(zones.find("moscow/northern"), None);
        assert_eq!(zones.shared_parts(building, of("10.3.0.1")), 1);
        assert_eq!(zones.shared_parts(building, of("10.2.0.1")), 0);
        assert_eq!(zones.shared_parts(building, None), 0);
    }

    /// S9, P19
    #[test]
    fn strictness_and_warnings_hold_below_the_zone() {
        let zones = sample();
        let inner = zones.find("moscow/south/x");
        assert_eq!(zones.path(zones.strict_root(inner)), "moscow/south");
        let building = zones.find("moscow/north/building-7");
        assert_eq!(zones.strict_root(building), None);
        let warned_by = zones.warned_by(building).unwrap();
        assert_eq!(zones.warning(warned_by), Some("works tonight"));
        assert_eq!(zones.warned_by(inner), None);
    }

    /// S7
    #[test]
    fn the_same_prefix_twice_and_empty_parts_are_errors() {
        let twice = Zones::new(
            &[rule("a", &["10.0.0.0/8"]), rule("b", &["10.1.0.0/8"])],
            &[],
        );
        assert!(matches!(twice, Err(ZonesError::Twice { .. })));
        let deep = |parts| Zones::new(&[rule(&vec!["x"; parts].join("/"), &["10.0.0.0/8"])], &[]);
        assert!(deep(MAX_DEPTH).is_ok());
        assert!(matches!(deep(MAX_DEPTH + 1), Err(ZonesError::TooDeep(_))));
        let empty = Zones::new(&[rule("a//b", &[])], &[]);
        assert!(matches!(empty, Err(ZonesError::EmptyPart(_))));
    }
}
