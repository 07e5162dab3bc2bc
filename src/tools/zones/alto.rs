//! `zones alto`: the zones as resources of an ALTO server (RFC 7285), to be served as they are by any web server.
//!
//! A zone with networks is a PID. The cost between two zones falls with the leading parts that their paths share, so that
//! whatever is nearer for the tracker is cheaper here, and it is the same in both directions.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::tracker::ZoneRule;

const NETWORK_MAP: &str = "network-map";
const COST_MAP: &str = "cost-map";
const COST_TYPE: &str = "num-routing";

/// The PID of addresses in no zone. No zone can have this name: `@` in a path becomes something else.
const DEFAULT_PID: &str = "@default";
/// RFC 7285, 10.1.
const NAME_BYTES: usize = 64;
/// Digits of a digest that keep apart names which look alike.
const DIGEST_DIGITS: usize = 12;
/// A cost map has the square of this many values.
const MAX_PIDS: usize = 2_000;

/// Which resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Resource {
    /// Zones and their networks (`application/alto-networkmap+json`).
    NetworkMap,
    /// Costs between zones (`application/alto-costmap+json`).
    CostMap,
    /// Where the two others are (`application/alto-directory+json`).
    Directory,
}

/// Which resource, and how fine.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    resource: Resource,
    /// Puts zones deeper than this many parts into the zone above them.
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(u8).range(1..))]
    depth: Option<u8>,
    /// For the directory: where `network-map` and `cost-map` are served.
    #[arg(long, value_name = "URL", required_if_eq("resource", "directory"))]
    url: Option<String>,
}

impl Arguments {
    /// The resource as JSON.
    pub(super) fn resource(&self, config: &Config) -> anyhow::Result<String> {
        let depth = self.depth.map_or(usize::MAX, usize::from);
        let pids = pids(&config.zones, depth);
        ensure!(
            pids.len() <= MAX_PIDS,
            "{} PIDs are more than {MAX_PIDS}; see --depth",
            pids.len()
        );
        let resource = match self.resource {
            Resource::NetworkMap => network_map(&pids),
            Resource::CostMap => cost_map(&pids),
            Resource::Directory => {
                let url = self.url.as_deref();
                directory(url.context("--url is needed")?.trim_end_matches('/'))
            }
        };
        Ok(serde_json::to_string_pretty(&resource)? + "\n")
    }
}

/// One PID: a zone and its networks.
#[derive(Debug, Default)]
struct Pid<'a> {
    /// The parts of the zone's path.
    parts: Vec<&'a str>,
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

/// The PIDs by name. Every address has one: where no zone has the whole of a family, the default PID does.
fn pids(rules: &[ZoneRule], depth: usize) -> BTreeMap<String, Pid<'_>> {
    let mut pids: BTreeMap<String, Pid<'_>> = BTreeMap::new();
    let mut rest = Pid {
        parts: Vec::new(),
        v4: vec![Ipv4Net::default()],
        v6: vec![Ipv6Net::default()],
    };
    for rule in rules.iter().filter(|rule| !rule.prefixes.is_empty()) {
        let parts: Vec<&str> = rule.path.split('/').take(depth).collect();
        let pid = pids.entry(name(&parts)).or_default();
        pid.parts = parts;
        for prefix in &rule.prefixes {
            match prefix.trunc() {
                IpNet::V4(net) => pid.v4.push(net),
                IpNet::V6(net) => pid.v6.push(net),
            }
        }
        rest.v4.retain(|net| !pid.v4.contains(net));
        rest.v6.retain(|net| !pid.v6.contains(net));
    }
    if !rest.v4.is_empty() || !rest.v6.is_empty() {
        pids.insert(DEFAULT_PID.to_owned(), rest);
    }
    for pid in pids.values_mut() {
        pid.v4.sort_unstable();
        pid.v6.sort_unstable();
    }
    pids
}

/// A zone's name as RFC 7285, 10.1 allows it: `/` becomes `:`. A name that must be changed in another way, or cut, ends in
/// digits of the path's digest, so that no two zones get the same.
fn name(parts: &[&str]) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let path = parts.join("/");
    let mut name: String = path
        .chars()
        .map(|c| match c {
            '/' => ':',
            _ if is_allowed(c) => c,
            _ => '_',
        })
        .collect();
    let is_same = path.chars().all(|c| is_allowed(c) || c == '/');
    if !is_same || name.len() > NAME_BYTES {
        name.truncate(NAME_BYTES - 1 - DIGEST_DIGITS);
        let digest = digest(path.as_bytes());
        name.push('-');
        name.extend(digest.chars().take(DIGEST_DIGITS));
    }
    name
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn strings<T: ToString>(nets: &[T]) -> Value {
    nets.iter().map(ToString::to_string).collect()
}

/// The inner part of the network map; the version tag is its digest.
fn networks(pids: &BTreeMap<String, Pid<'_>>) -> Value {
    let of = |pid: &Pid<'_>| {
        let mut addresses = Map::new();
        if !pid.v4.is_empty() {
            addresses.insert("ipv4".into(), strings(&pid.v4));
        }
        if !pid.v6.is_empty() {
            addresses.insert("ipv6".into(), strings(&pid.v6));
        }
        Value::Object(addresses)
    };
    pids.iter()
        .map(|(name, pid)| (name.clone(), of(pid)))
        .collect()
}

fn version(networks: &Value) -> Value {
    json!({ "resource-id": NETWORK_MAP, "tag": digest(networks.to_string().as_bytes()) })
}

/// RFC 7285, 11.2.1.
fn network_map(pids: &BTreeMap<String, Pid<'_>>) -> Value {
    let networks = networks(pids);
    json!({ "meta": { "vtag": version(&networks) }, NETWORK_MAP: networks })
}

/// RFC 7285, 11.2.3.
fn cost_map(pids: &BTreeMap<String, Pid<'_>>) -> Value {
    // Without zones there is nothing to be near to.
    let deepest = pids.values().map(|pid| pid.parts.len()).max().unwrap_or(0);
    let cost = |from: &Pid<'_>, to: &Pid<'_>| {
        let pairs = from.parts.iter().zip(&to.parts);
        1 + deepest - pairs.take_while(|(a, b)| a == b).count()
    };
    let row = |from: &Pid<'_>| -> Value {
        let costs = pids.iter();
        costs
            .map(|(name, to)| (name.clone(), Value::from(cost(from, to))))
            .collect()
    };
    let costs: Value = pids
        .iter()
        .map(|(name, pid)| (name.clone(), row(pid)))
        .collect();
    json!({
        "meta": {
            "dependent-vtags": [version(&networks(pids))],
            "cost-type": cost_type(),
        },
        COST_MAP: costs,
    })
}

fn cost_type() -> Value {
    json!({ "cost-mode": "numerical", "cost-metric": "routingcost" })
}

/// RFC 7285, 9.2.
fn directory(url: &str) -> Value {
    json!({
        "meta": {
            "cost-types": { COST_TYPE: cost_type() },
            "default-alto-network-map": NETWORK_MAP,
        },
        "resources": {
            NETWORK_MAP: {
                "uri": format!("{url}/{NETWORK_MAP}"),
                "media-type": "application/alto-networkmap+json",
            },
            COST_MAP: {
                "uri": format!("{url}/{COST_MAP}"),
                "media-type": "application/alto-costmap+json",
                "capabilities": { "cost-type-names": [COST_TYPE] },
                "uses": [NETWORK_MAP],
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample, zones};
    use super::*;
    use crate::tracker::Zones;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use std::collections::HashSet;
    use std::net::{IpAddr, Ipv4Addr};

    fn parse(resource: Resource, zones: &[ZoneRule], depth: Option<u8>) -> Value {
        let config = Config {
            zones: zones.to_vec(),
            ..Config::default()
        };
        let url = (resource == Resource::Directory).then(|| "http://alto.example.net/".to_owned());
        let arguments = Arguments {
            resource,
            depth,
            url,
        };
        serde_json::from_str(&arguments.resource(&config).unwrap()).unwrap()
    }

    fn members(value: &Value) -> Vec<&str> {
        let members = value.as_object().unwrap().keys();
        members.map(String::as_str).collect()
    }

    /// The rules of RFC 7285 for a network map and the cost map that depends on it.
    fn follows_the_rfc(zones: &[ZoneRule], depth: Option<u8>) {
        let network = parse(Resource::NetworkMap, zones, depth);
        assert_eq!(members(&network), ["meta", "network-map"]);
        let tag = &network["meta"]["vtag"];
        assert_eq!(members(tag), ["resource-id", "tag"]);
        let text = tag["tag"].as_str().unwrap();
        assert!((1..=64).contains(&text.len()) && text.bytes().all(|b| (0x21..=0x7e).contains(&b)));
        let pids = network["network-map"].as_object().unwrap();
        let mut prefixes = HashSet::new();
        for (name, addresses) in pids {
            assert!((1..=64).contains(&name.len()), "{name}");
            // 10.1: letters, digits, - : @ _; the full stop is reserved.
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-:@_".contains(c);
            assert!(name.chars().all(is_allowed), "{name}");
            for (family, list) in addresses.as_object().unwrap() {
                for prefix in list.as_array().unwrap() {
                    let text = prefix.as_str().unwrap();
                    let net: IpNet = text.parse().unwrap();
                    assert_eq!(family == "ipv4", net.addr().is_ipv4(), "{text}");
                    assert_eq!(net, net.trunc());
                    assert!(prefixes.insert(net), "{text} twice");
                }
            }
        }
        assert!(prefixes.contains(&"0.0.0.0/0".parse().unwrap()));
        assert!(prefixes.contains(&"::/0".parse().unwrap()));

        let cost = parse(Resource::CostMap, zones, depth);
        assert_eq!(members(&cost), ["cost-map", "meta"]);
        assert_eq!(cost["meta"]["dependent-vtags"], json!([tag]));
        assert_eq!(cost["meta"]["cost-type"]["cost-mode"], "numerical");
        assert_eq!(cost["meta"]["cost-type"]["cost-metric"], "routingcost");
        let rows = cost["cost-map"].as_object().unwrap();
        assert_eq!(members(&cost["cost-map"]), members(&network["network-map"]));
        for (from, row) in rows {
            assert_eq!(members(row), members(&network["network-map"]));
            for (to, cost) in row.as_object().unwrap() {
                assert!(cost.as_u64().unwrap() >= row[from].as_u64().unwrap().min(1));
                assert_eq!(*cost, rows[to][from]);
                assert!(cost.as_u64() >= row[from].as_u64());
            }
        }
    }

    /// O12
    #[test]
    fn the_maps_follow_the_rfc() {
        follows_the_rfc(&sample(), None);
        follows_the_rfc(&sample(), Some(1));
        follows_the_rfc(&zones(&[("all", "0.0.0.0/0 ::/0")]), None);
        follows_the_rfc(&zones(&[("four", "0.0.0.0/0 10.0.0.0/8")]), None);
    }

    /// O12
    #[test]
    fn what_is_nearer_is_cheaper() {
        let cost = parse(Resource::CostMap, &sample(), None);
        let row = &cost["cost-map"]["moscow:north:building-7"];
        let tver = name(&["тверь"]);
        let to = |name: &str| row[name].as_u64().unwrap();
        assert_eq!(
            [
                to("moscow:north:building-7"),
                to("moscow:north"),
                to("moscow:south"),
                to(&tver),
                to("@default")
            ],
            [1, 2, 3, 4, 4]
        );
    }

    #[test]
    fn deep_zones_are_put_into_those_above() {
        let network = parse(Resource::NetworkMap, &sample(), Some(1));
        let tver = name(&["тверь"]);
        assert_eq!(
            members(&network["network-map"]),
            ["@default", &tver, "moscow"]
        );
        assert_eq!(
            network["network-map"]["moscow"]["ipv4"],
            json!(["10.1.0.0/16", "10.1.7.0/24", "10.1.9.0/24", "10.2.0.0/16"])
        );
    }

    #[test]
    fn the_directory_names_both_maps() {
        let directory = parse(Resource::Directory, &sample(), None);
        let resources = &directory["resources"];
        assert_eq!(
            resources["network-map"]["uri"],
            "http://alto.example.net/network-map"
        );
        assert_eq!(resources["cost-map"]["uses"], json!(["network-map"]));
        let kind = &resources["cost-map"]["capabilities"]["cost-type-names"][0];
        assert!(directory["meta"]["cost-types"][kind.as_str().unwrap()].is_object());
    }

    #[test]
    fn zones_whose_names_look_alike_stay_apart() {
        let paths = [
            "a/b",
            "a:b",
            "a@b",
            "a.b",
            "a b",
            "@default",
            "тверь",
            "омск",
            "default",
        ];
        let long = "x".repeat(80);
        let longer = "x".repeat(81);
        let all = paths.into_iter().chain([long.as_str(), longer.as_str()]);
        let names: HashSet<String> = all
            .map(|path| name(&path.split('/').collect::<Vec<_>>()))
            .collect();
        assert_eq!(names.len(), 11);
        assert!(!names.contains(DEFAULT_PID));
    }

    proptest! {
        #[test]
        fn any_zones_make_maps_that_place_addresses_as_the_tracker_does(
            nets in proptest::collection::vec((any::<u32>(), 0..=32_u8, "[a-cжA:@. ]{1,2}(/[a-c]{1,2}){0,3}"), 1..20),
            probe in any::<u32>().prop_map(Ipv4Addr::from_bits),
        ) {
            let mut taken = HashSet::new();
            let rules: Vec<ZoneRule> = nets
                .into_iter()
                .filter(|(_, _, path)| path.split('/').all(|part| !part.trim().is_empty()))
                .map(|(bits, length, path)| {
                    let net = Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap().trunc();
                    (path, IpNet::from(net))
                })
                .filter(|(_, net)| taken.insert(*net))
                .map(|(path, net)| ZoneRule { path, prefixes: vec![net], ..ZoneRule::default() })
                .collect();
            follows_the_rfc(&rules, None);
            let tree = Zones::new(&rules, &[]).unwrap();
            let pids = pids(&rules, usize::MAX);
            let longest = pids
                .iter()
                .filter_map(|(name, pid)| {
                    let nets = pid.v4.iter().filter(|net| net.contains(&probe));
                    nets.map(Ipv4Net::prefix_len).max().map(|length| (length, name))
                })
                .max();
            let path = tree.path(tree.of(IpAddr::V4(probe)));
            let expected = if path.is_empty() {
                DEFAULT_PID.to_owned()
            } else {
                name(&path.split('/').collect::<Vec<_>>())
            };
            let (_, found) = longest.unwrap();
            prop_assert_eq!(found, &expected);
            prop_assert!(pids.contains_key(found));
        }
    }
}
