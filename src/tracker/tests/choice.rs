//! Which peers are handed out: neighbours first, strangers always, equals without bias.

#[cfg(test)]
use std::collections::HashMap;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::tracker::{Selection, ZoneId, ZoneRule, Zones};

fn rule(path: &str, prefix: &str) -> ZoneRule {
    ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..ZoneRule::default()
    }
}

fn two_zones() -> [ZoneRule; 2] {
    [rule("a", "10.0.0.0/16"), rule("b", "10.1.0.0/16")]
}

/// The rule `shares`.
fn shares(local_share: u32, min_external: u32) -> Settings {
    Settings {
        selection: Selection::Shares,
        local_share,
        min_external,
        ..Settings::default()
    }
}

/// A tracker with these zones, and the zones to look addresses up in.
fn zoned(rules: &[ZoneRule], settings: Settings) -> (Bench, Zones) {
    let zones = || Zones::new(rules, &[]).unwrap();
    let bench = bench(settings);
    bench.tracker.set_zones(zones(), at(0));
    (bench, zones())
}

const A: u32 = 0x0a00_0000;
const B: u32 = 0x0a01_0000;

fn local(handed: &[SocketAddr], zones: &Zones, zone: Option<ZoneId>) -> usize {
    handed
        .iter()
        .filter(|peer| zones.of(peer.ip()) == zone)
        .count()
}

/// S3: 10⁴ draws of 50 from a swarm of 1,000; χ² with 998 degrees of freedom is over 1,145 with probability 10⁻³.
#[test]
fn the_choice_is_unbiased_among_equals() {
    let mut bench = bench(Settings {
        local_share: 0,
        ..Settings::default()
    });
    // Every peer in a /16 of its own, so that all are equals.
    let ip = |number: u32| v4((number + 256) << 16);
    for number in 0..1_000 {
        bench.announce(&leecher(ip(number), 1), at(0));
    }
    let mut drawn: HashMap<SocketAddr, u32> = HashMap::new();
    for _ in 0..10_000 {
        bench.announce(&leecher(ip(500), 1), at(1));
        assert_eq!(bench.list.len(), 50);
        bench
            .handed()
            .into_iter()
            .for_each(|peer| *drawn.entry(peer).or_default() += 1);
    }
    assert_eq!(drawn.len(), 999);
    let expected = 500_000.0 / 999.0;
    let chi_square: f64 = drawn
        .values()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum();
    assert!(chi_square < 1_145.0, "{chi_square}");
}

/// S7: the example of behaviour.md, to the letter.
#[test]
fn a_list_of_fifty_holds_forty_neighbours_and_ten_others() {
    let (mut bench, zones) = zoned(&two_zones(), shares(80, 4));
    for number in 0..500 {
        let (one, other) = (leecher(v4(A + number), 1), leecher(v4(B + number), 1));
        let is_seeder = number % 3 == 0;
        bench.announce(&Announce { is_seeder, ..one }, at(0));
        bench.announce(&Announce { is_seeder, ..other }, at(0));
    }
    for number in 0..200 {
        bench.announce(&leecher(v4(A + number * 2 + 1), 9), at(1));
        let handed = bench.handed();
        assert_eq!(
            (handed.len(), local(&handed, &zones, ZoneId::unpack(1))),
            (50, 40)
        );
        bench.announce(
            &Announce {
                event: Event::Stopped,
                ..leecher(v4(A + number * 2 + 1), 9)
            },
            at(1),
        );
    }
}

/// S7: with only five neighbours, five and forty-five.
#[test]
fn too_few_neighbours_are_all_handed_out_and_strangers_fill_the_list() {
    let (mut bench, zones) = zoned(&two_zones(), shares(80, 4));
    for number in 0..5 {
        bench.announce(&leecher(v4(A + number), 1), at(0));
    }
    for number in 0..500 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    for _ in 0..100 {
        bench.announce(&leecher(v4(A + 99), 1), at(1));
        let handed = bench.handed();
        assert_eq!(
            (handed.len(), local(&handed, &zones, ZoneId::unpack(1))),
            (50, 5)
        );
    }
    // The other way round: with only five strangers, neighbours fill it.
    for _ in 0..100 {
        bench.announce(&leecher(v4(B + 9), 1), at(1));
        let handed = bench.handed();
        assert_eq!(
            (handed.len(), local(&handed, &zones, ZoneId::unpack(2))),
            (50, 44)
        );
    }
}

/// S7
#[test]
fn the_next_nearest_zone_fills_up_before_strangers() {
    let rules = [
        rule("m/n/1", "10.0.0.0/24"),
        rule("m/n/2", "10.0.1.0/24"),
        rule("m/s", "10.0.2.0/24"),
        rule("p", "10.9.0.0/16"),
    ];
    let (mut bench, zones) = zoned(&rules, shares(80, 4));
    for number in 0..200 {
        if number < 5 {
            bench.announce(&leecher(v4(A + number), 1), at(0));
        }
        if number < 20 {
            bench.announce(&leecher(v4(A + 256 + number), 1), at(0));
        }
        bench.announce(&leecher(v4(A + 512 + number), 1), at(0));
        bench.announce(&leecher(v4(0x0a09_0000 + number), 1), at(0));
    }
    for _ in 0..100 {
        bench.announce(&leecher(v4(A + 99), 1), at(1));
        let handed = bench.handed();
        let of = |path: &str| local(&handed, &zones, zones.find(path));
        assert_eq!((of("m/n/1"), of("m/n/2")), (5, 20));
        assert!(of("m/s") >= 15 && of("p") >= 4, "{} {}", of("m/s"), of("p"));
        assert_eq!(handed.len(), 50);
    }
}

/// S7, S8: a part of a zone that can fill its lists alone is no island.
#[test]
fn networks_of_a_zone_know_of_one_another() {
    for (local_share, min_external, alone, beside) in [
        (80, 4, [40, 10, 0], [36, 4, 10]),
        (98, 1, [49, 1, 0], [48, 1, 1]),
        (100, 1, [49, 1, 0], [48, 1, 1]),
        (100, 0, [50, 0, 0], [50, 0, 0]),
    ] {
        let (mut bench, zones) = zoned(&two_zones(), shares(local_share, min_external));
        let handed = |bench: &mut Bench, own: u32| {
            bench.announce(&leecher(v4(own + 250), 1), at(1));
            let handed = bench.handed();
            let near = handed
                .iter()
                .filter(|peer| (v4(own)..v4(own + 256)).contains(&peer.ip()));
            let near = near.count();
            let zone = local(&handed, &zones, ZoneId::unpack(1));
            [near, zone - near, handed.len() - zone]
        };
        for number in 0..100 {
            for network in 0..4 {
                bench.announce(&leecher(v4(A + network * 256 + number), 1), at(0));
            }
        }
        for _ in 0..50 {
            assert_eq!(handed(&mut bench, A + 512), alone, "{local_share} %");
        }
        for number in 0..100 {
            bench.announce(&leecher(v4(B + number), 1), at(0));
        }
        for _ in 0..50 {
            assert_eq!(handed(&mut bench, A + 512), beside, "{local_share} %");
        }
    }
}

/// S7: nor is a zone among those that it belongs together with.
#[test]
fn zones_below_one_know_of_one_another() {
    let rules = [
        rule("m/n", "10.0.0.0/24"),
        rule("m/s", "10.0.1.0/24"),
        rule("p", "10.9.0.0/16"),
    ];
    let (mut bench, zones) = zoned(&rules, shares(98, 1));
    let handed = |bench: &mut Bench| {
        bench.announce(&leecher(v4(A + 250), 1), at(1));
        let handed = bench.handed();
        ["m/n", "m/s", "p"].map(|path| local(&handed, &zones, zones.find(path)))
    };
    for number in 0..100 {
        bench.announce(&leecher(v4(A + number), 1), at(0));
        bench.announce(&leecher(v4(A + 256 + number), 1), at(0));
    }
    for _ in 0..50 {
        assert_eq!(handed(&mut bench), [48, 2, 0]);
    }
    for number in 0..100 {
        bench.announce(&leecher(v4(0x0a09_0000 + number), 1), at(0));
    }
    for _ in 0..50 {
        assert_eq!(handed(&mut bench), [48, 1, 1]);
    }
}

/// S6, S7: seeds at home do not use up the share of seeds when every stranger is one.
#[test]
fn strangers_are_handed_out_even_when_all_of_them_are_seeds() {
    let (mut bench, zones) = zoned(
        &two_zones(),
        Settings {
            min_external: 4,
            ..shares(98, 1)
        },
    );
    for number in 0..200 {
        let is_seeder = number % 2 == 0;
        bench.announce(
            &Announce {
                is_seeder,
                ..leecher(v4(A + number), 1)
            },
            at(0),
        );
    }
    for number in 0..6 {
        bench.announce(&seeder(v4(B + number), 1), at(0));
    }
    for _ in 0..50 {
        bench.announce(&leecher(v4(A + 250), 1), at(1));
        let handed = bench.handed();
        assert_eq!(
            (handed.len(), local(&handed, &zones, ZoneId::unpack(2))),
            (50, 4)
        );
    }
}

/// S8
#[test]
fn without_zones_the_common_prefix_decides() {
    let mut bench = bench(shares(80, 4));
    for number in 0..200 {
        for net in [0x0a00_0000, 0x0a00_0100, 0x0a00_1000, 0x0a01_0000] {
            if net != 0x0a00_0000 || number < 10 {
                bench.announce(&leecher(v4(net + number), 1), at(0));
            }
        }
    }
    bench.announce(&leecher(v4(0x0a00_0063), 1), at(1));
    let handed = bench.handed();
    let within = |bits: u32| {
        let net = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u32::from(ip) >> (32 - bits),
            IpAddr::V6(_) => 0,
        };
        handed
            .iter()
            .filter(|peer| net(peer.ip()) == net(v4(0x0a00_0000)))
            .count()
    };
    assert_eq!((handed.len(), within(24), within(20)), (50, 10, 40));
}

/// S9
#[test]
fn peers_of_a_strict_zone_see_only_their_own() {
    let mut strict = rule("a", "10.0.0.0/16");
    strict.is_strict = true;
    let rules = [strict, rule("a/x", "10.0.1.0/24"), rule("b", "10.1.0.0/16")];
    let (mut bench, _) = zoned(&rules, shares(98, 1));
    for number in 0..20 {
        bench.announce(&leecher(v4(A + number), 1), at(0));
        bench.announce(&leecher(v4(A + 256 + number), 1), at(0));
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    bench.announce(&leecher(v4(A + 256), 1), at(1));
    assert_eq!(bench.list.len(), 39);
    assert!(bench.handed().iter().all(|peer| peer.ip() < v4(B)));
    bench.announce(&leecher(v4(B), 1), at(1));
    assert_eq!(bench.list.len(), 50);
}

/// S6
#[test]
fn a_leechers_list_is_at_most_half_seeds_while_leechers_fill_it() {
    let mut bench = bench(Settings::default());
    for number in 0..400 {
        bench.announce(&seeder(v4(number << 16), 1), at(0));
    }
    for number in 400..430 {
        bench.announce(&leecher(v4(number << 16), 1), at(0));
    }
    let seeds = |bench: &Bench| {
        bench
            .handed()
            .iter()
            .filter(|peer| peer.ip() < v4(400 << 16))
            .count()
    };
    for _ in 0..50 {
        bench.announce(&leecher(v4(900 << 16), 1), at(1));
        assert_eq!((bench.list.len(), seeds(&bench)), (50, 25));
    }
    // Too few leechers: seeds fill the list, and every leecher is in it.
    for number in 405..430 {
        bench.announce(
            &Announce {
                event: Event::Stopped,
                ..leecher(v4(number << 16), 1)
            },
            at(1),
        );
    }
    bench.announce(&leecher(v4(900 << 16), 1), at(2));
    assert_eq!((bench.list.len(), seeds(&bench)), (50, 45));
    // S2
    bench.announce(&seeder(v4(901 << 16), 1), at(2));
    assert_eq!((bench.list.len(), seeds(&bench)), (6, 0));
}

/// How many of the peers in lists of 1 to 7, asked for by a leecher at `ip`, fulfil `is_meant`: the mean part of each length.
fn mean_parts(bench: &mut Bench, ip: IpAddr, is_meant: impl Fn(&SocketAddr) -> bool) -> Vec<f64> {
    const DRAWS: u32 = 4_000;
    let mean = |want: u32| {
        let mut found = 0;
        for _ in 0..DRAWS {
            let asks = Announce {
                num_want: Some(want),
                ..leecher(ip, 1)
            };
            bench.announce(&asks, at(1));
            let handed = bench.handed();
            assert_eq!(handed.len(), want as usize);
            found += handed.iter().filter(|peer| is_meant(peer)).count();
        }
        found as f64 / f64::from(DRAWS * want)
    };
    (1..=7).map(mean).collect()
}

/// Whether all parts are `expected`, as nearly as so many draws show it.
fn are_near(parts: &[f64], expected: f64) -> bool {
    parts.iter().all(|part| (part - expected).abs() < 0.03)
}

/// S12: seeds have their share of lists of every length, also of one.
#[test]
fn seeds_have_their_share_of_short_lists() {
    // Percent, seeds and leechers, and the part of the list that is seeds: all that the share allows, or as many as there are.
    for (seed_share, seeds, leechers, expected) in [
        (50, 200, 30, 0.5),
        (50, 100, 100, 0.5),
        (30, 100, 100, 0.3),
        (50, 30, 90, 0.25),
        (0, 100, 100, 0.0),
    ] {
        let mut bench = bench(Settings {
            seed_share,
            ..Settings::default()
        });
        for number in 0..seeds {
            bench.announce(&seeder(v4((number + 1_000) << 16), 1), at(0));
        }
        for number in 0..leechers {
            bench.announce(&leecher(v4((number + 2_000) << 16), 1), at(0));
        }
        let is_seed = |peer: &SocketAddr| peer.ip() < v4(2_000 << 16);
        let parts = mean_parts(&mut bench, v4(3_000 << 16), is_seed);
        assert!(are_near(&parts, expected), "{seed_share} %: {parts:?}");
    }
}

/// S12: so have neighbours and strangers.
#[test]
fn neighbours_and_strangers_have_their_shares_of_short_lists() {
    for (local_share, min_external, expected) in [
        (98, 1, 0.98),
        (100, 1, 0.98),
        (80, 4, 0.8),
        (50, 4, 0.5),
        (100, 0, 1.0),
        (0, 0, 0.0),
    ] {
        let (mut bench, zones) = zoned(&two_zones(), shares(local_share, min_external));
        for number in 0..100 {
            let is_seeder = number % 3 == 0;
            for net in [A, B] {
                let one = leecher(v4(net + number * 256 + 1), 1);
                bench.announce(&Announce { is_seeder, ..one }, at(0));
            }
        }
        let is_near = |peer: &SocketAddr| zones.of(peer.ip()) == ZoneId::unpack(1);
        let parts = mean_parts(&mut bench, v4(A + 2), is_near);
        for (part, length) in parts.iter().zip(1_u32..) {
            // From three times its length on, every list has `min_external` strangers.
            let most = if min_external * 3 <= length {
                1.0 - f64::from(min_external) / f64::from(length)
            } else {
                1.0
            };
            let expected = f64::min(expected, most);
            assert!(are_near(&[*part], expected), "{local_share} %: {parts:?}");
        }
    }
}

/// S12: who asks for one peer is told of the only seed too, and as often as of any other.
#[test]
fn the_only_seed_is_handed_to_who_asks_for_one_peer() {
    let mut bench = bench(Settings::default());
    bench.announce(&seeder(v4(1 << 24), 1), at(0));
    for number in 2..12 {
        bench.announce(&leecher(v4(number << 24), 1), at(0));
    }
    let is_seed = |peer: &SocketAddr| peer.ip() == v4(1 << 24);
    let parts = mean_parts(&mut bench, v4(100 << 24), is_seed);
    assert!(are_near(&parts[..1], 1.0 / 11.0), "{parts:?}");
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 96, ..Default::default() })]

    /// S1, S6, S7, S9
    #[test]
    fn lists_keep_their_promises_in_any_tree_and_swarm(
        tree in proptest::collection::btree_set((0_u8..3, 0_u8..3, 0_u8..3), 0..12),
        strict in 0_u8..6,
        peers in proptest::collection::vec((0_u8..30, any::<u8>(), any::<bool>()), 1..600),
        asker in (0_u8..30, any::<u8>()),
        want in 0_u32..120,
        local_share in 0_u32..=100,
        min_external in 0_u32..10,
        seed in any::<u64>(),
    ) {
        let zone_of = |(a, b, c): (u8, u8, u8)| match c {
            0 => format!("z{a}"),
            1 => format!("z{a}/y{b}"),
            _ => format!("z{a}/y{b}/x{c}"),
        };
        let rules: Vec<ZoneRule> = tree.iter().zip(0_u8..).map(|(node, net)| {
            ZoneRule { is_strict: net == strict, ..rule(&zone_of(*node), &format!("10.0.{net}.0/24")) }
        }).collect();
        let settings = Settings { max_ports_per_address: 0, ..shares(local_share, min_external) };
        let (mut bench, zones) = zoned(&rules, settings);
        bench.rng = fastrand::Rng::with_seed(seed);
        let ip = |net: u8, host: u8| v4(A + u32::from(net) * 256 + u32::from(host));
        let mut roles: HashMap<SocketAddr, bool> = HashMap::new();
        for (net, host, is_seeder) in peers {
            let announce = Announce { is_seeder, ..leecher(ip(net, host), 1) };
            bench.announce(&announce, at(0));
            roles.insert(SocketAddr::new(announce.ip, 1), is_seeder);
        }
        let asker = SocketAddr::new(ip(asker.0, asker.1), 1);
        bench.announce(&Announce { num_want: Some(want), event: Event::Started, ..leecher(asker.ip(), 1) }, at(0));
        roles.remove(&asker);
        let handed = bench.handed();
        let mut unique = handed.clone();
        unique.dedup();
        prop_assert_eq!(unique.len(), handed.len());
        prop_assert!(!handed.contains(&asker));
        let zone = zones.of(asker.ip());
        let root = zones.strict_root(zone);
        let within = |zone, peer: &SocketAddr| {
            let (first, last) = zones.subtree(zone);
            (Some(first)..=Some(last)).contains(&zones.of(peer.ip()))
        };
        let sees = |peer: &SocketAddr| root.is_none_or(|root| within(root, peer));
        prop_assert!(handed.iter().all(sees));
        let visible: Vec<_> = roles.keys().filter(|peer| sees(peer)).collect();
        let want = want as usize;
        prop_assert_eq!(handed.len(), want.min(visible.len()));
        let stranger = |peer: &SocketAddr| zone.is_some() && zones.shared_parts(zone, zones.of(peer.ip())) == 0;
        let strangers = visible.iter().filter(|peer| stranger(peer)).count();
        let handed_strangers = handed.iter().filter(|peer| stranger(peer)).count();
        let leechers = visible.iter().filter(|peer| !roles[**peer]).count();
        let seeds = handed.iter().filter(|peer| roles[*peer]).count();
        if leechers >= want.div_ceil(2) && visible.len() > want {
            prop_assert!(seeds <= want.div_ceil(2), "{} seeds of {}", seeds, want);
        }
        // The share of seeds may stand against it when too many strangers are seeds.
        let leeching = |peer: &SocketAddr| !roles[peer];
        let leeching_strangers = visible.iter().filter(|peer| stranger(peer) && leeching(peer)).count();
        let max_seeds = (want / 2).max(want.saturating_sub(leechers));
        // Of a list too short for it, strangers have their share on average only (S12).
        let least = if min_external as usize <= want / 3 { min_external as usize } else { 0 };
        let owed = least.min(want).min(strangers);
        prop_assert!(handed_strangers >= owed.min(leeching_strangers + max_seeds), "{} < {}", handed_strangers, owed);
        // What could fill its lists alone still knows of what is around it: its network, its zone.
        let near = (want * local_share as usize / 100).min(want.saturating_sub(least));
        if zone.is_some() && least.min(near / 2) > 0 {
            let network = |peer: &SocketAddr| match peer.ip() {
                IpAddr::V4(ip) => u32::from(ip) >> 8,
                IpAddr::V6(_) => 0,
            };
            let at_home = |peer: &SocketAddr| zone.is_some_and(|zone| within(zone, peer));
            let in_network = |peer: &SocketAddr| zones.of(peer.ip()) == zone && network(peer) == network(&asker);
            let around_network = |peer: &SocketAddr| at_home(peer) && !in_network(peer);
            let around_zone = |peer: &SocketAddr| !stranger(peer) && !at_home(peer);
            if visible.iter().any(|peer| leeching(peer) && around_network(peer)) {
                prop_assert!(handed.iter().any(around_network), "the network is an island");
            }
            if visible.iter().any(|peer| leeching(peer) && around_zone(peer)) {
                prop_assert!(handed.iter().any(around_zone), "the zone is an island");
            }
        }
    }
}
