//! The rule `few` (S15): neighbours and about one stranger at most, both families, and nobody left alone.

use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::metrics::StrangerReason;
use crate::tracker::{Selection, ZoneRule, Zones};

const A: u32 = 0x0a00_0000;
const B: u32 = 0x0a01_0000;
/// In no zone.
const NOWHERE: u32 = 0x0b00_0000;

fn rule(path: &str, prefixes: &[&str]) -> ZoneRule {
    ZoneRule {
        path: path.into(),
        prefixes: prefixes
            .iter()
            .map(|prefix| prefix.parse().unwrap())
            .collect(),
        ..ZoneRule::default()
    }
}

fn few() -> Settings {
    Settings {
        selection: Selection::Few,
        max_num_want: 200,
        ..Settings::default()
    }
}

/// Zones a and b, a with a part; the v6 networks of both.
fn zoned(settings: Settings) -> (Bench, Zones) {
    let rules = [
        rule("a", &["10.0.0.0/16", "2001:db8:a::/48"]),
        rule("a/part", &["10.0.7.0/24"]),
        rule("b", &["10.1.0.0/16", "2001:db8:b::/48"]),
    ];
    let bench = bench(settings);
    bench
        .tracker
        .set_zones(Zones::new(&rules, &[]).unwrap(), at(0));
    (bench, Zones::new(&rules, &[]).unwrap())
}

fn v6(network: u16, number: u16) -> IpAddr {
    // A /64 each, so that each is a subscriber.
    Ipv6Addr::new(0x2001, 0xdb8, network, number, 0, 0, 0, 1).into()
}

fn wanting(announce: Announce, want: u32) -> Announce {
    Announce {
        num_want: Some(want),
        ..announce
    }
}

/// How many of those handed out last are in the top zone of `ip`.
fn neighbours(bench: &Bench, zones: &Zones, ip: IpAddr) -> usize {
    let top = |ip| {
        zones
            .path(zones.of(ip))
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let own = top(ip);
    bench
        .handed()
        .iter()
        .filter(|peer| top(peer.ip()) == own)
        .count()
}

/// S7, S15: what a list is made of, in small: neighbours in zone a, and who is handed how many of them and how many strangers. There are
/// 100 leechers and 100 seeds in zone b.
#[test]
fn neighbours_and_strangers_come_in_exact_numbers() {
    for (leechers, seeds, is_seeder, want, near, strangers) in [
        // The first of a zone; up to seven peers in all.
        (0, 0, false, 50, 0, 7),
        (3, 0, false, 50, 3, 4),
        (2, 1, false, 50, 3, 4),
        (6, 0, false, 50, 6, 1),
        // More neighbours, too few seeds among them: one stranger.
        (20, 0, false, 50, 20, 1),
        (9, 1, false, 50, 10, 1),
        (60, 0, false, 50, 49, 1),
        (60, 0, false, 200, 60, 1),
        // A seed for every eight leechers, itself included: none.
        (7, 1, false, 50, 8, 0),
        (15, 2, false, 50, 17, 0),
        // Seeds give to their neighbours; without any who downloads, to strangers.
        (3, 5, true, 50, 3, 0),
        (0, 5, true, 50, 0, 50),
        (0, 5, true, 10, 0, 10),
        // Neighbours have half of a short list at least.
        (3, 0, false, 4, 2, 2),
        (6, 0, false, 2, 1, 1),
    ] {
        let (mut bench, zones) = zoned(few());
        for number in 0..100 {
            bench.announce(&leecher(v4(B + number), 1), at(0));
            bench.announce(&seeder(v4(B + 1_000 + number), 1), at(0));
        }
        for number in 0..leechers {
            bench.announce(&leecher(v4(A + number), 1), at(0));
        }
        for number in 0..seeds {
            bench.announce(&seeder(v4(A + 1_000 + number), 1), at(0));
        }
        let asks = Announce {
            is_seeder,
            ..leecher(v4(A + 2_000), 1)
        };
        bench.announce(&wanting(asks, want), at(0));
        let handed = neighbours(&bench, &zones, v4(A));
        assert_eq!(
            (handed, bench.handed().len() - handed),
            (near, strangers),
            "{leechers} leechers and {seeds} seeds, {want} asked by a seed: {is_seeder}"
        );
    }
}

/// S15: 200 are asked for; a zone of 50 and one of 1,000 hand out their own and one stranger.
#[test]
fn whoever_asks_for_two_hundred_gets_the_neighbours_and_one_stranger() {
    let (mut bench, zones) = zoned(few());
    for number in 0..1_000 {
        if number < 50 {
            bench.announce(&leecher(v4(A + number), 1), at(0));
        }
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    for number in 0..50 {
        let announce = wanting(leecher(v4(A + number), 1), 200);
        bench.announce(&announce, at(1_800));
        let near = neighbours(&bench, &zones, announce.ip);
        assert_eq!((near, bench.handed().len() - near), (49, 1));
    }
    // Of a thousand, one in ten hears of a stranger; the list is full all the same.
    let mut strangers = 0;
    for number in 0..1_000 {
        let announce = wanting(leecher(v4(B + number), 1), 200);
        bench.announce(&announce, at(1_800));
        assert_eq!(bench.handed().len(), 200);
        strangers += 200 - neighbours(&bench, &zones, announce.ip);
    }
    assert!((60..140).contains(&strangers), "{strangers}");
}

/// S15: the first of a zone hears of seven strangers, the fourth of four, and half of them are seeds.
#[test]
fn who_has_few_neighbours_gets_strangers_until_it_has_seven_peers() {
    let (mut bench, zones) = zoned(few());
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
        bench.announce(&seeder(v4(B + 1_000 + number), 1), at(0));
    }
    for number in 0..10 {
        let announce = wanting(leecher(v4(A + number), 1), 200);
        bench.announce(&announce, at(1));
        let near = neighbours(&bench, &zones, announce.ip);
        let strangers = bench.handed().len() - near;
        assert_eq!(near, number as usize);
        assert_eq!(strangers, 7_usize.saturating_sub(near).max(1));
        let handed = bench.handed();
        let seeds = handed
            .iter()
            .filter(|peer| matches!(peer.ip(), IpAddr::V4(ip) if ip.to_bits() >= B + 1_000));
        let seeds = seeds.count();
        assert!(
            seeds == strangers / 2 || seeds == strangers.div_ceil(2),
            "{seeds} of {strangers}"
        );
    }
}

/// S15: strangers do not take the place of the zone's own parts (S7): who is in a part hears of the rest of the zone too.
#[test]
fn parts_of_a_zone_hear_of_each_other() {
    let (mut bench, zones) = zoned(few());
    for number in 0..200 {
        bench.announce(&leecher(v4(A + number), 1), at(0));
        bench.announce(&leecher(v4(A + 0x700 + number), 1), at(0));
    }
    bench.announce(&leecher(v4(B), 1), at(0));
    let part = zones.find("a/part").unwrap();
    for number in 0..50 {
        bench.announce(&leecher(v4(A + 0x700 + number), 1), at(1_800));
        let handed = bench.handed();
        let own = handed
            .iter()
            .filter(|peer| zones.of(peer.ip()) == Some(part))
            .count();
        let near = neighbours(&bench, &zones, v4(A));
        assert_eq!(handed.len(), 50);
        assert!(near >= 49 && own < near && own >= 45, "{own} of {near}");
    }
}

/// S15: seeds give to their neighbours; to strangers only where no neighbour downloads.
#[test]
fn a_seed_hears_of_strangers_only_where_nobody_near_downloads() {
    let (mut bench, zones) = zoned(few());
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    bench.announce(&wanting(seeder(v4(A + 1), 1), 200), at(0));
    assert_eq!(bench.handed().len(), 50);
    bench.announce(&leecher(v4(A + 2), 1), at(0));
    bench.announce(&wanting(seeder(v4(A + 1), 1), 200), at(1_800));
    assert_eq!(bench.handed(), [SocketAddr::new(v4(A + 2), 1)]);
    assert_eq!(neighbours(&bench, &zones, v4(A)), 1);
    let lists = bench.tracker.metrics().totals().stranger_lists;
    assert_eq!(lists[StrangerReason::LoneSeed as usize], 1);
}

/// S15: peers in no zone are one zone; one who is alone among them is not left alone.
#[test]
fn who_is_in_no_zone_is_among_those_who_are_in_none() {
    let (mut bench, _) = zoned(few());
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    let first = wanting(leecher(v4(NOWHERE), 1), 200);
    bench.announce(&first, at(0));
    assert_eq!(bench.handed().len(), 7);
    for number in 1..60 {
        bench.announce(&leecher(v4(NOWHERE + (number << 8)), 1), at(0));
    }
    bench.announce(&first, at(1_800));
    let outside = bench
        .handed()
        .iter()
        .filter(|peer| peer.ip() < v4(NOWHERE))
        .count();
    assert_eq!((bench.handed().len(), outside), (60, 1));
}

/// S15: without zones nothing changes: the same lists, to the peer, as by the rule `shares`.
#[test]
fn without_zones_no_list_is_shorter_or_other() {
    let lists = |selection| {
        let mut bench = bench(Settings {
            selection,
            ..Settings::default()
        });
        let mut lists = Vec::new();
        for number in 0..300_u32 {
            let is_seeder = number % 5 == 0;
            let ip = v4(A + number * 0x0123);
            let reply = bench.announce(
                &Announce {
                    is_seeder,
                    ..leecher(ip, 1)
                },
                at(number),
            );
            lists.push((reply, bench.handed()));
        }
        lists
    };
    let few = lists(Selection::Few);
    assert_eq!(few, lists(Selection::Shares));
    assert_eq!(few[299].1.len(), 50);
}

/// S15, S9: a strict zone stays closed.
#[test]
fn a_strict_zone_hears_of_no_stranger() {
    let mut bench = bench(few());
    let strict = ZoneRule {
        is_strict: true,
        ..rule("a", &["10.0.0.0/16"])
    };
    let zones = Zones::new(&[strict, rule("b", &["10.1.0.0/16"])], &[]).unwrap();
    bench.tracker.set_zones(zones, at(0));
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    bench.announce(&leecher(v4(A), 1), at(0));
    assert_eq!(bench.handed(), []);
    bench.announce(&leecher(v4(A + 1), 1), at(0));
    assert_eq!(bench.handed(), [SocketAddr::new(v4(A), 1)]);
}

/// S15: neighbours are counted and handed out over both families, and strangers of either fill what is left for them.
#[test]
fn both_families_are_one_zone() {
    let (mut bench, _) = zoned(few());
    for number in 0..20 {
        bench.announce(&leecher(v6(0xa, number), 1), at(0));
        bench.announce(&leecher(v6(0xb, number), 1), at(0));
        bench.announce(&leecher(v4(A + u32::from(number)), 1), at(0));
    }
    bench.announce(&wanting(leecher(v4(A), 1), 200), at(1_800));
    let handed = bench.handed();
    let strangers = handed
        .iter()
        .filter(|peer| peer.ip().to_string().starts_with("2001:db8:b:"));
    assert_eq!((handed.len(), strangers.count()), (40, 1));
}

/// S15: over UDP a list has one family. Neighbours of the other are none of its reader's, and take no place of strangers.
#[test]
fn neighbours_of_the_other_family_leave_nobody_alone_where_a_list_has_one() {
    for is_seeder in [false, true] {
        let (mut bench, _) = zoned(few());
        for number in 0..20 {
            bench.announce(&leecher(v6(0xa, number), 1), at(0));
            bench.announce(&seeder(v6(0xa, 100 + number), 1), at(0));
            bench.announce(&leecher(v4(B + u32::from(number)), 1), at(0));
        }
        let mut first = wanting(leecher(v4(A), 1), 200);
        first.is_seeder = is_seeder;
        first.options.own_family_only = true;
        bench.announce(&first, at(0));
        let expected = if is_seeder { 20 } else { 7 };
        assert_eq!(bench.handed().len(), expected, "{is_seeder}");
    }
}

/// S15, S14: the other address of a client is no neighbour of it.
#[test]
fn a_client_with_two_addresses_is_no_neighbour_of_itself() {
    for first in [0, 1] {
        let (mut bench, _) = zoned(few());
        for number in 0..100 {
            bench.announce(&leecher(v4(B + number), 1), at(0));
        }
        let ends = [v4(A), v6(0xa, 1)];
        let client = |which: usize| Announce {
            peer_id: PeerId([7; 20]),
            key: crate::tracker::ClientKey::from_number(7),
            ..wanting(leecher(ends[which], 1), 200)
        };
        bench.announce(&client(first), at(0));
        bench.announce(&client(1 - first), at(1));
        assert_eq!(bench.handed().len(), 7);
        // It is done, and its other address has not said so yet.
        let done = Announce {
            is_seeder: true,
            event: Event::Completed,
            ..client(first)
        };
        bench.announce(&done, at(600));
        assert_eq!(bench.handed().len(), 50);
    }
}

/// S15, S14: a neighbour with two addresses is one neighbour.
#[test]
fn a_neighbour_with_two_addresses_counts_once() {
    let (mut bench, _) = zoned(few());
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    for number in 0..3 {
        let client = |ip| Announce {
            peer_id: PeerId([7 + u8::try_from(number).unwrap(); 20]),
            key: crate::tracker::ClientKey::from_number(7 + u32::from(number)),
            ..leecher(ip, 1)
        };
        bench.announce(&client(v4(A + u32::from(number))), at(0));
        bench.announce(&client(v6(0xa, number)), at(1));
    }
    bench.announce(&wanting(leecher(v4(A + 100), 1), 200), at(2));
    // Three of the zone by six addresses, and four strangers, of whom none has two.
    let zoned = bench
        .handed()
        .iter()
        .filter(|peer| peer.ip() < v4(B))
        .count();
    let v6 = bench.handed().iter().filter(|peer| peer.is_ipv6()).count();
    assert_eq!((zoned, v6, bench.handed().len()), (3, 3, 10));
}

/// S15, S14: who asks for one peer is handed one, though its own other address may be drawn first.
#[test]
fn who_asks_for_one_is_handed_one_beside_its_own_other_address() {
    for selection in [Selection::Few, Selection::Shares] {
        let (mut bench, _) = zoned(Settings { selection, ..few() });
        let ends = [v4(A), v6(0xa, 1)];
        let client = |ip| Announce {
            peer_id: PeerId([7; 20]),
            key: crate::tracker::ClientKey::from_number(7),
            ..wanting(leecher(ip, 1), 1)
        };
        for ip in ends {
            bench.announce(&client(ip), at(0));
        }
        bench.announce(&leecher(v6(0xa, 2), 1), at(0));
        for second in 0..50 {
            bench.announce(&client(ends[0]), at(1 + second));
            assert_eq!(bench.handed(), [SocketAddr::new(v6(0xa, 2), 1)]);
        }
    }
}

/// S15, S10: neighbours behind the same address are handed out with their inner addresses, and count as neighbours.
#[test]
fn neighbours_are_named_by_their_inner_addresses() {
    let (mut bench, _) = zoned(few());
    for number in 0..100 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    let behind = |port: u16, inner: u32| Announce {
        inner_ip: Some(v4(0xc0a8_0000 + inner)),
        ..wanting(leecher(v4(A), port), 200)
    };
    bench.announce(&behind(1, 1), at(0));
    bench.announce(&behind(2, 2), at(0));
    let handed = bench.handed();
    let inner = handed.iter().filter(|peer| peer.ip() > v4(0xc0a8_0000));
    assert_eq!((inner.count(), handed.len()), (1, 7));
}

/// S15, S14: strangers of the other family take nobody off the list whom it has of the zone.
#[test]
fn strangers_beside_clients_with_two_addresses_push_no_neighbour_off() {
    let (mut bench, _) = zoned(few());
    for number in 0..20 {
        let client = |ip| Announce {
            peer_id: PeerId([100 + u8::try_from(number).unwrap(); 20]),
            key: crate::tracker::ClientKey::from_number(u32::from(number)),
            ..leecher(ip, 1)
        };
        bench.announce(&client(v4(A + u32::from(number))), at(0));
        bench.announce(&client(v6(0xa, number)), at(1));
        bench.announce(&leecher(v6(0xa, 100 + number), 1), at(1));
        bench.announce(&leecher(v6(0xb, number), 1), at(1));
    }
    bench.announce(&wanting(leecher(v4(A + 100), 1), 200), at(2));
    let handed = bench.handed();
    let strangers = handed
        .iter()
        .filter(|peer| peer.ip().to_string().starts_with("2001:db8:b:"));
    // Twenty with two addresses, twenty with one, and a stranger.
    assert_eq!((handed.len(), strangers.count()), (61, 1));
}

/// S15, S11: who gained nothing is told to come again after five to ten minutes, is not too early then, and need not do it again.
#[test]
fn idle_leechers_come_again_sooner_and_are_heard() {
    let (mut bench, zones) = zoned(few());
    for number in 0..300 {
        bench.announce(&leecher(v4(A + number), 1), at(0));
        bench.announce(&seeder(v4(B + number), 1), at(0));
    }
    let reply = bench.announce(&leecher(v4(A), 1), at(1_700));
    assert!((300..=600).contains(&reply.interval), "{}", reply.interval);
    assert!(reply.min_interval <= reply.interval);
    // It comes at once when it may.
    let reply = bench.announce(
        &wanting(leecher(v4(A), 1), 200),
        at(1_700 + reply.min_interval),
    );
    let near = neighbours(&bench, &zones, v4(A));
    assert_eq!(bench.handed().len() - near, 8);
    // Eight strangers have no use for more announces than others.
    assert!(reply.interval >= 1_620, "{}", reply.interval);
    let totals = bench.tracker.metrics().totals();
    assert_eq!(totals.stranger_lists[StrangerReason::Idle as usize], 1);
    assert!(totals.shortened_intervals >= 1);
}

/// S15: where there is a seed for every eight leechers, nobody is told to come sooner.
#[test]
fn a_sated_zone_announces_no_more_often_than_ever() {
    let (mut bench, _) = zoned(few());
    for number in 0..80 {
        let is_seeder = number % 8 == 0;
        bench.announce(
            &Announce {
                is_seeder,
                ..leecher(v4(A + number), 1)
            },
            at(0),
        );
    }
    for number in 1..8 {
        let reply = bench.announce(&leecher(v4(A + number), 1), at(1_800));
        assert!(reply.interval >= 1_620, "{}", reply.interval);
    }
}

/// S15, S16: however many ports one address has, it counts as two neighbours.
#[test]
fn a_crowd_of_one_address_is_no_crowd_of_neighbours() {
    let (mut bench, zones) = zoned(few());
    for number in 0..50 {
        bench.announce(&leecher(v4(B + number), 1), at(0));
    }
    for port in 1..=40 {
        bench.announce(&leecher(v4(A + 9), port), at(0));
    }
    bench.announce(&wanting(leecher(v4(A), 1), 10), at(0));
    let near = neighbours(&bench, &zones, v4(A));
    assert_eq!((near, bench.handed().len()), (2, 7));
}

/// S15: 100,000 announces of 600 peers in three torrents, who come, go, finish, and fall silent: what is told of their numbers is exact, and
/// no list is wrong.
#[test]
fn counts_stay_exact_through_a_hundred_thousand_announces() {
    let (mut bench, _) = zoned(few());
    let mut rng = fastrand::Rng::with_seed(15);
    let mut there: [HashMap<SocketAddr, (bool, Seconds)>; 3] = Default::default();
    for step in 0..100_000_u32 {
        // Half an hour passes in 300 announces: nobody is early, and some are silent for more than an hour.
        let now = at(step * 6);
        let number = rng.u16(..200);
        let ip = match number % 5 {
            0 | 1 => v4(A + u32::from(number)),
            2 => v4(B + u32::from(number)),
            3 => v4(NOWHERE + u32::from(number)),
            _ => v6(0xa, number),
        };
        let torrent = usize::from(rng.u8(..3));
        let own = SocketAddr::new(ip, 1);
        let known = &mut there[torrent];
        known.retain(|_, (_, seen)| now.since(*seen) < Settings::default().lifetime());
        let was = known.get(&own).copied();
        let is_seeder = was.is_some_and(|(is_seeder, _)| is_seeder) || rng.u8(..8) == 0;
        let event = match rng.u8(..20) {
            0 => Event::Stopped,
            1 => Event::Started,
            _ => Event::None,
        };
        let announce = Announce {
            info_hash: InfoHash([u8::try_from(torrent).unwrap(); 20]),
            is_seeder,
            event,
            downloaded: u64::from(rng.u8(..)) << 20,
            ..wanting(leecher(ip, 1), rng.u32(..80))
        };
        let reply = bench.announce(&announce, now);
        let shortest = Settings::default().shortest_interval(true);
        let early = Settings::default().min_interval(shortest) / 2;
        let is_early = was.is_some_and(|(was_seeder, seen)| {
            event == Event::None && was_seeder == is_seeder && now.since(seen) < early
        });
        if event == Event::Stopped {
            known.remove(&own);
        } else if !is_early {
            known.insert(own, (is_seeder, now));
        }
        let seeders = known.values().filter(|(is_seeder, _)| *is_seeder).count();
        assert_eq!(
            (reply.complete as usize, reply.incomplete as usize),
            (seeders, known.len() - seeders),
            "announce {step}"
        );
        let handed = bench.handed();
        assert!(handed.len() <= announce.num_want.unwrap_or(0) as usize);
        let unique: HashSet<_> = handed.iter().collect();
        assert_eq!(unique.len(), handed.len(), "announce {step}");
        for peer in handed {
            let (is_seed, _) = known[&peer];
            assert!(peer != own && !(is_seed && is_seeder), "announce {step}");
        }
    }
    let totals = bench.tracker.metrics().totals();
    assert_eq!(totals.outcomes.iter().sum::<u64>(), 100_000);
}

proptest! {
    /// S15: nobody is without any peer while there is one; nobody is on its own list, and nobody on one twice; a list is never
    /// longer than asked for; counts stay exact.
    #[test]
    fn lists_keep_their_promises(
        peers in proptest::collection::vec((0_u32..4, 0_u32..30, any::<bool>()), 1..80),
        want in 1_u32..80,
        seed in any::<u64>(),
    ) {
        let (mut bench, _) = zoned(few());
        bench.rng = fastrand::Rng::with_seed(seed);
        let mut there: HashSet<SocketAddr> = HashSet::new();
        let (mut leechers, mut seeders) = (HashSet::new(), HashSet::new());
        for (time, (place, number, is_seeder)) in (1_u32..).zip(peers) {
            let ip = match place {
                0 => v4(A + number),
                1 => v4(B + number),
                2 => v4(NOWHERE + number),
                _ => v6(0xa, u16::try_from(number).unwrap()),
            };
            let own = SocketAddr::new(ip, 1);
            let announce = wanting(Announce { is_seeder, ..leecher(ip, 1) }, want);
            let reply = bench.announce(&announce, at(time));
            there.insert(own);
            leechers.remove(&own);
            seeders.remove(&own);
            if is_seeder { seeders.insert(own); } else { leechers.insert(own); }
            let handed = bench.handed();
            let unique: HashSet<_> = handed.iter().copied().collect();
            prop_assert_eq!(unique.len(), handed.len());
            prop_assert!(!unique.contains(&own) && unique.is_subset(&there));
            prop_assert!(handed.len() <= want as usize);
            let of_use = if is_seeder { leechers.len() } else { there.len() - 1 };
            prop_assert!(of_use == 0 || !handed.is_empty());
            prop_assert_eq!(
                (reply.complete as usize, reply.incomplete as usize),
                (seeders.len(), leechers.len())
            );
        }
    }

    /// S15, S14: the same for clients with two addresses, and for lists of one family.
    #[test]
    fn lists_keep_their_promises_to_clients_with_two_addresses(
        announces in proptest::collection::vec(
            (0_u8..40, any::<bool>(), any::<bool>(), any::<bool>()), 1..100),
        want in 1_u32..60,
        seed in any::<u64>(),
    ) {
        let (mut bench, _) = zoned(few());
        bench.rng = fastrand::Rng::with_seed(seed);
        let mut there: HashMap<SocketAddr, (u8, bool)> = HashMap::new();
        for (time, (client, is_v6, is_seeder, own_family_only)) in (1_u32..).zip(announces) {
            let number = u16::from(client);
            let ip = match (is_v6, client % 2 == 0) {
                (false, true) => v4(A + u32::from(client)),
                (false, false) => v4(B + u32::from(client)),
                (true, true) => v6(0xa, number),
                (true, false) => v6(0xb, number),
            };
            let mut announce = wanting(Announce {
                peer_id: PeerId([client + 1; 20]),
                key: crate::tracker::ClientKey::from_number(u32::from(client) + 1),
                is_seeder,
                ..leecher(ip, 1)
            }, want);
            announce.options.own_family_only = own_family_only;
            bench.announce(&announce, at(time));
            there.insert(SocketAddr::new(ip, 1), (client, is_seeder));
            let handed = bench.handed();
            let unique: HashSet<_> = handed.iter().copied().collect();
            prop_assert_eq!(unique.len(), handed.len());
            let clients: HashSet<u8> = handed.iter().map(|peer| there[peer].0).collect();
            prop_assert!(!clients.contains(&client) && clients.len() <= want as usize);
            let of_use = there.iter().any(|(peer, (other, seeds))| {
                *other != client
                    && !(is_seeder && *seeds)
                    && !(own_family_only && peer.is_ipv6() != is_v6)
            });
            prop_assert!(!of_use || !handed.is_empty());
        }
    }
}
