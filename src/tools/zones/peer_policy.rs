//! `zones peer-policy`: the zones as a `btpolicy` file, by which µTorrent prefers peers (its option `isp.peer_policy_url`).
//!
//! The format has no specification; what is known comes from examples that operators and users published
//! (tt.erinome.net/2012/07/284, qbittorrent/qBittorrent#11239): ranges of IPv4 addresses with weights from 1 to 10, of which 5
//! stands for every address that is not named, and only 10 was seen to work reliably.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context;
use ipnet::IpNet;

use crate::config::Config;
use crate::invariant::present;
use crate::tracker::{ZoneId, ZoneRule, Zones};

/// What every address weighs that is not named.
const NEUTRAL: usize = 5;
const MAX: usize = 10;

/// For whom the policy is.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The zone whose clients get the file: the nearer, the heavier. Without it every zone weighs the most, for one file for all.
    #[arg(long = "for", value_name = "ZONE")]
    zone: Option<String>,
    /// Who the policy is from, as clients may show it.
    #[arg(long, value_name = "NAME", default_value = "")]
    operator: String,
    /// Number of the policy's revision.
    #[arg(long, default_value_t = 1)]
    revision: u32,
}

impl Arguments {
    /// The file.
    pub(super) fn policy(&self, config: &Config) -> anyhow::Result<String> {
        let zones = Zones::new(&config.zones, &[])?;
        let own = match &self.zone {
            Some(path) => Some(
                zones
                    .find(path)
                    .with_context(|| format!("there is no zone {path}"))?,
            ),
            None => None,
        };
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<btpolicy version=\"1.0\">\n",
        );
        writeln!(text, "\t<revision>{}</revision>", self.revision)?;
        if !self.operator.is_empty() {
            writeln!(text, "\t<oper>{}</oper>", escaped(&self.operator))?;
        }
        for range in ranges(&config.zones, |ip| weight(&zones, own, zones.of(ip))) {
            let Range {
                first,
                last,
                weight,
            } = range;
            writeln!(
                text,
                "\t<iprange start=\"{first}\" end=\"{last}\" weight=\"{weight}\"/>"
            )?;
        }
        text.push_str("</btpolicy>\n");
        Ok(text)
    }
}

/// Addresses of one weight, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
    weight: usize,
}

/// What peers of `zone` weigh for clients of `own`.
fn weight(zones: &Zones, own: Option<ZoneId>, zone: Option<ZoneId>) -> usize {
    if own.is_none() {
        return zone.map_or(NEUTRAL, |_| MAX);
    }
    let (shared, depth) = (zones.shared_parts(own, zone), zones.shared_parts(own, own));
    match shared {
        0 => NEUTRAL,
        _ if shared == depth => MAX,
        _ => NEUTRAL + 1 + (MAX - NEUTRAL - 2) * shared / depth,
    }
}

/// Ranges that do not overlap, in order, without neutral ones: clients need not know that the longest prefix decides.
fn ranges(rules: &[ZoneRule], weight: impl Fn(IpAddr) -> usize) -> Vec<Range> {
    // Between two of these, every address lies in the same zone.
    let mut bounds: Vec<u64> = Vec::new();
    for prefix in rules.iter().flat_map(|rule| &rule.prefixes) {
        if let IpNet::V4(net) = prefix {
            bounds.push(u32::from(net.network()).into());
            bounds.push(u64::from(u32::from(net.broadcast())) + 1);
        }
    }
    bounds.sort_unstable();
    bounds.dedup();
    let address = |bits: u64| {
        let bits = present(u32::try_from(bits).ok(), "it is within a prefix");
        Ipv4Addr::from_bits(bits.unwrap_or(u32::MAX))
    };
    let mut ranges: Vec<Range> = Vec::new();
    for pair in bounds.windows(2) {
        let [start, end] = *pair else { continue };
        let (first, last) = (address(start), address(end - 1));
        let weight = weight(first.into());
        match ranges.last_mut() {
            Some(before)
                if before.weight == weight
                    && before.last.to_bits().checked_add(1) == Some(first.to_bits()) =>
            {
                before.last = last;
            }
            _ => ranges.push(Range {
                first,
                last,
                weight,
            }),
        }
    }
    ranges.retain(|range| range.weight != NEUTRAL);
    ranges
}

/// Text between tags.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
        .replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample, zones};
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn policy(zone: Option<&str>, operator: &str) -> String {
        let config = Config {
            zones: sample(),
            ..Config::default()
        };
        let arguments = Arguments {
            zone: zone.map(str::to_owned),
            operator: operator.into(),
            revision: 3,
        };
        arguments.policy(&config).unwrap()
    }

    /// O12
    #[test]
    fn one_file_for_all_prefers_every_zone() {
        let text = policy(None, "Cats & <Dogs>");
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<btpolicy version=\"1.0\">\n\t<revision>3</revision>\n\
             \t<oper>Cats &amp; &lt;Dogs&gt;</oper>\n\
             \t<iprange start=\"10.1.0.0\" end=\"10.3.255.255\" weight=\"10\"/>\n</btpolicy>\n"
        );
    }

    /// O12
    #[test]
    fn a_file_for_one_zone_weighs_by_nearness() {
        let text = policy(Some("moscow/north/building-7"), "");
        let ranges: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("iprange"))
            .map(str::trim)
            .collect();
        assert_eq!(
            ranges,
            [
                "<iprange start=\"10.1.0.0\" end=\"10.1.6.255\" weight=\"8\"/>",
                "<iprange start=\"10.1.7.0\" end=\"10.1.7.255\" weight=\"10\"/>",
                "<iprange start=\"10.1.8.0\" end=\"10.1.8.255\" weight=\"8\"/>",
                "<iprange start=\"10.1.9.0\" end=\"10.1.9.255\" weight=\"10\"/>",
                "<iprange start=\"10.1.10.0\" end=\"10.1.255.255\" weight=\"8\"/>",
                "<iprange start=\"10.2.0.0\" end=\"10.2.255.255\" weight=\"7\"/>",
            ]
        );
    }

    #[test]
    fn a_zone_that_is_none_is_named() {
        let config = Config {
            zones: sample(),
            ..Config::default()
        };
        let arguments = Arguments {
            zone: Some("moscow/west".into()),
            operator: String::new(),
            revision: 1,
        };
        let error = arguments.policy(&config).unwrap_err();
        assert_eq!(error.to_string(), "there is no zone moscow/west");
    }

    #[test]
    fn the_whole_of_the_addresses_is_one_range() {
        let zones = zones(&[("a", "0.0.0.0/0"), ("b", "255.255.255.255/32 0.0.0.0/8")]);
        let whole = Range {
            first: Ipv4Addr::UNSPECIFIED,
            last: Ipv4Addr::BROADCAST,
            weight: MAX,
        };
        assert_eq!(ranges(&zones, |_| MAX), [whole]);
    }

    proptest! {
        #[test]
        fn ranges_say_of_every_address_what_the_zones_say(nets in proptest::collection::hash_map((any::<u8>(), 0..=12_u8), any::<u8>(), 1..40), probes in proptest::collection::vec(any::<u32>(), 50)) {
            // Prefixes of few addresses far apart, so that they nest.
            let mut taken = std::collections::HashSet::new();
            let rules: Vec<ZoneRule> = nets
                .into_iter()
                .map(|((high, length), zone)| {
                    let net = ipnet::Ipv4Net::new(Ipv4Addr::new(high, 0, 0, 0), length).unwrap().trunc();
                    (format!("z{}", zone % 9), IpNet::from(net))
                })
                .filter(|(_, net)| taken.insert(*net))
                .map(|(path, net)| ZoneRule { path, prefixes: vec![net], ..ZoneRule::default() })
                .collect();
            let tree = Zones::new(&rules, &[]).unwrap();
            let weight = |ip: IpAddr| 1 + ZoneId::index(tree.of(ip));
            let ranges = ranges(&rules, weight);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].last < pair[1].first);
            }
            for probe in probes {
                let ip = Ipv4Addr::from_bits(probe);
                let found = ranges.iter().find(|range| (range.first..=range.last).contains(&ip));
                let expected = weight(ip.into());
                match found {
                    Some(range) => prop_assert_eq!(range.weight, expected),
                    None => prop_assert!(expected == 1 || expected == NEUTRAL),
                }
            }
        }
    }
}
