//! Who was handed whom, for people to read: by nearness and zone by zone, with what that saved. Estimated from a sample of
//! announces; plain values.

/// A zone in [`Flows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowZone {
    /// Addresses in no zone.
    NoZone,
    /// A zone by its path; with all below it where those have no row.
    Zone(String),
    /// All zones that have no row.
    Others,
}

impl FlowZone {
    /// The first part of the path, which says whom it is near.
    fn top(&self) -> Option<&str> {
        match self {
            FlowZone::Zone(path) => path.split('/').next(),
            FlowZone::NoZone | FlowZone::Others => None,
        }
    }

    /// Whether both lie in one top zone, or are the same.
    fn is_near(&self, other: &FlowZone) -> bool {
        self == other || (self.top().is_some() && self.top() == other.top())
    }
}

/// What was handed out to the peers of one zone since the counters began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFlows {
    /// Which.
    pub zone: FlowZone,
    /// Peers by level: of the asker's own zone, of that above it, … , and last strangers.
    pub levels: Vec<u64>,
    /// Peers by the zone that they are in, in the order of [`Flows::zones`].
    pub handed: Vec<u64>,
    /// What its peers saved at most, in MiB (O11).
    pub saved_mib: u64,
}

impl ZoneFlows {
    /// How many peers it was handed.
    pub fn peers(&self) -> u64 {
        self.handed.iter().sum()
    }

    /// The savings by level, divided as the lists were: what was handed out is known, and not from whom something was loaded.
    /// Strangers save nothing.
    pub fn saved_by_level(&self) -> Vec<u64> {
        let near = self.levels.len().saturating_sub(1);
        let weights = self.levels.iter().enumerate();
        let weights = weights.map(|(level, peers)| if level < near { *peers } else { 0 });
        divided(self.saved_mib, &weights.collect::<Vec<_>>())
    }
}

/// Every zone with every other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// A bounded number of zones, in the order of their tree. Empty without zones.
    pub zones: Vec<ZoneFlows>,
}

impl Flows {
    /// Peers by level of all zones together; empty without zones.
    pub fn levels(&self) -> Vec<u64> {
        sums(self.zones.iter().map(|row| row.levels.clone()))
    }

    /// The savings by level of all zones together, in MiB.
    pub fn saved_by_level(&self) -> Vec<u64> {
        sums(self.zones.iter().map(ZoneFlows::saved_by_level))
    }

    /// The savings of a zone by the zone that the peers were in, divided as [`ZoneFlows::saved_by_level`].
    pub fn saved_from(&self, row: &ZoneFlows) -> Vec<u64> {
        let weights = self.zones.iter().zip(&row.handed);
        let weights = weights.map(|(from, peers)| {
            let is_near = row.zone.is_near(&from.zone);
            if is_near { *peers } else { 0 }
        });
        divided(row.saved_mib, &weights.collect::<Vec<_>>())
    }

    /// How many top zones there are.
    pub fn top_zones(&self) -> usize {
        let mut tops: Vec<&str> = self.zones.iter().filter_map(|row| row.zone.top()).collect();
        tops.dedup();
        tops.len()
    }
}

/// Divides `all` as the weights are; nothing where there are none.
fn divided(all: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let part = |weight: &u64| {
        let part = (u128::from(all) * u128::from(*weight)).checked_div(sum);
        // A part of `all` is no larger than it.
        part.and_then(|part| u64::try_from(part).ok()).unwrap_or(0)
    };
    weights.iter().map(part).collect()
}

fn sums(rows: impl Iterator<Item = Vec<u64>>) -> Vec<u64> {
    let mut sums = Vec::new();
    for row in rows {
        sums.resize(row.len().max(sums.len()), 0);
        for (sum, more) in sums.iter_mut().zip(row) {
            *sum += more;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, levels: [u64; 3], handed: [u64; 3], saved_mib: u64) -> ZoneFlows {
        ZoneFlows {
            zone: match path {
                "" => FlowZone::NoZone,
                _ => FlowZone::Zone(path.into()),
            },
            levels: levels.into(),
            handed: handed.into(),
            saved_mib,
        }
    }

    /// O11, W15
    #[test]
    fn savings_are_divided_as_the_lists_were_and_strangers_save_nothing() {
        let flows = Flows {
            zones: vec![
                row("", [0; 3], [4, 0, 0], 10),
                row("a/x", [30, 10, 60], [60, 30, 10], 100),
                row("a/y", [0; 3], [0; 3], 7),
            ],
        };
        assert_eq!(flows.levels(), [30, 10, 60]);
        assert_eq!(flows.saved_by_level(), [75, 25, 0]);
        assert_eq!(flows.saved_from(&flows.zones[1]), [0, 75, 25]);
        assert_eq!(flows.saved_from(&flows.zones[0]), [10, 0, 0]);
        assert_eq!(flows.saved_from(&flows.zones[2]), [0; 3]);
        assert_eq!(flows.top_zones(), 1);
        assert_eq!(Flows::default().levels(), Vec::<u64>::new());
    }
}
