//! Nobody crowds a list out, and nobody is handed an address that is of no use to it.

#[cfg(test)]
use std::collections::HashMap;
use std::collections::HashSet;

use super::*;
use crate::tracker::{Selection, ZoneRule, Zones};

/// Honest peers, each with a /24 of its own; a fifth of them seeds.
fn honest(bench: &mut Bench, count: u32) {
    for number in 0..count {
        let one = leecher(v4(0x1000_0000 + number * 256), 6_881);
        let is_seeder = number % 5 == 0;
        bench.announce(&Announce { is_seeder, ..one }, at(0));
    }
}

const STRANGER: u32 = 0x6000_0000;

/// The part of a stranger's lists that fulfils `is_meant`, and the most entries of one subscriber on any of them.
fn crowding(
    bench: &mut Bench,
    asks: &Announce,
    is_meant: impl Fn(&SocketAddr) -> bool,
) -> (f64, usize) {
    let (mut meant, mut all, mut most) = (0, 0, 0);
    for _ in 0..400 {
        bench.announce(asks, at(1));
        let handed = bench.handed();
        assert_eq!(handed.len(), 50);
        assert_eq!(handed.iter().collect::<HashSet<_>>().len(), 50);
        let mut entries: HashMap<_, usize> = HashMap::new();
        for peer in &handed {
            *entries
                .entry(crate::net::subscriber::network(peer.ip()))
                .or_default() += 1;
        }
        most = entries.into_values().max().unwrap_or(0).max(most);
        meant += handed.iter().filter(|peer| is_meant(peer)).count();
        all += handed.len();
    }
    (meant as f64 / all as f64, most)
}

fn roomy() -> Settings {
    Settings {
        max_ports_per_address: 0,
        ..Settings::default()
    }
}

/// S16, R29: however many ports a few addresses have, and whatever they say they are.
#[test]
fn v4_addresses_with_many_ports_get_a_small_part_of_a_list() {
    for (addresses, bound) in [(1, 0.04), (10, 0.2)] {
        for seeds_of_ten in [0, 3, 10] {
            let mut bench = bench(roomy());
            honest(&mut bench, 300);
            for port in 1..=50_u16 {
                for number in 0..addresses {
                    let is_seeder = port % 10 < seeds_of_ten;
                    let one = leecher(v4(0x5000_0000 + number * 0x0100_0000), port);
                    bench.announce(&Announce { is_seeder, ..one }, at(0));
                }
            }
            let asks = leecher(v4(STRANGER), 1);
            let of_crowd = |peer: &SocketAddr| peer.ip() >= v4(0x5000_0000);
            let (part, most) = crowding(&mut bench, &asks, of_crowd);
            assert!(part > 0.0 && part <= bound, "{addresses}: {part}");
            assert!(most <= 2, "{most} of one address");
            // All are there, and all count.
            let scrape = bench.tracker.scrape(&HASH, at(1));
            assert_eq!(scrape.complete + scrape.incomplete, 301 + 50 * addresses);
        }
    }
}

/// S16, R29
#[test]
fn a_v6_network_of_one_subscriber_gets_a_small_part_of_a_list() {
    let mut bench = bench(roomy());
    let v6 = |subscriber: u128, host: u128| -> IpAddr {
        std::net::Ipv6Addr::from((0x2001_0db8 << 96) | (subscriber << 64) | host).into()
    };
    for number in 0..300 {
        bench.announce(&leecher(v6(number << 16, 1), 1), at(0));
    }
    for host in 0..500 {
        let one = leecher(v6(0x7000_0000, host), 1);
        let is_seeder = host % 4 == 0;
        bench.announce(&Announce { is_seeder, ..one }, at(0));
    }
    let asks = leecher(v6(0x7777_7777, 1), 1);
    let of_crowd = |peer: &SocketAddr| peer.ip() >= v6(0x7000_0000, 0);
    let (part, most) = crowding(&mut bench, &asks, of_crowd);
    assert!(part > 0.0 && part <= 0.04, "{part}");
    assert!(most <= 2, "{most} of one /64");
}

/// S16: who asks over v6 is told of honest v4 peers before the third address of a v6 crowd, and the other way round.
#[test]
fn others_of_either_family_come_before_a_crowd() {
    let mut bench = bench(roomy());
    let crowd_v6 =
        |host: u128| -> IpAddr { std::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) | host).into() };
    for number in 0..30 {
        bench.announce(&leecher(v4(0x1000_0000 + number * 256), 1), at(0));
        let honest = std::net::Ipv6Addr::from((0x2001_0db9_u128 << 96) | u128::from(number) << 64);
        bench.announce(&leecher(honest.into(), 1), at(0));
    }
    for number in 0..100_u16 {
        bench.announce(&leecher(crowd_v6(number.into()), 1), at(0));
        bench.announce(&leecher(v4(0x5000_0000), number + 1), at(0));
    }
    for asks in ["2001:dbb::1", "96.0.0.1"] {
        let asks = leecher(asks.parse().unwrap(), 1);
        let (_, most) = crowding(&mut bench, &asks, |_| true);
        assert!(most <= 2, "{most} of one subscriber");
    }
}

/// S16: as long as others are there; when they are not, nobody is left out.
#[test]
fn who_is_many_behind_one_address_is_handed_out_when_nobody_else_is_there() {
    for honest_peers in [0, 10] {
        let mut bench = bench(roomy());
        honest(&mut bench, honest_peers);
        for port in 1..=100 {
            let is_seeder = port % 3 == 0;
            let one = leecher(v4(0x5000_0000), port);
            bench.announce(&Announce { is_seeder, ..one }, at(0));
        }
        for asks in [leecher(v4(STRANGER), 1), leecher(v4(0x5000_0000), 4)] {
            let of_honest = |peer: &SocketAddr| peer.ip() < v4(0x5000_0000);
            let (part, _) = crowding(&mut bench, &asks, of_honest);
            assert!(
                (part - f64::from(honest_peers) / 50.0).abs() < 1e-9,
                "{part}"
            );
        }
    }
}

/// S3, S16: all ports behind an address have their turns, and all equal ones the same share.
#[test]
fn the_ports_behind_one_address_are_handed_out_in_turn() {
    const PORTS: u16 = 10;
    let mut bench = bench(Settings::default());
    honest(&mut bench, 300);
    let mut drawn = [0_u32; PORTS as usize];
    let others = bench.tracker.settings().announce_interval;
    for round in 0..400_u32 {
        // One after another, as clients come that were not started at once; the honest ones too.
        for port in 0..PORTS {
            let now = at(round * others + u32::from(port) * others / u32::from(PORTS));
            if port == 0 {
                for number in 0..300 {
                    bench.announce(&leecher(v4(0x1000_0000 + number * 256), 6_881), now);
                }
            }
            bench.announce(&leecher(v4(0x5000_0000), 1_000 + port), now);
            for _ in 0..4 {
                bench.announce(
                    &Announce {
                        num_want: Some(200),
                        event: Event::Stopped,
                        ..leecher(v4(STRANGER), 1)
                    },
                    now,
                );
                let asks = Announce {
                    port: 0,
                    num_want: Some(200),
                    ..leecher(v4(STRANGER), 0)
                };
                bench.announce(&asks, now);
                for peer in bench.handed() {
                    if peer.ip() == v4(0x5000_0000) {
                        drawn[usize::from(peer.port() - 1_000)] += 1;
                    }
                }
            }
        }
    }
    let sum: u32 = drawn.iter().sum();
    let expected = f64::from(sum) / f64::from(PORTS);
    assert!(expected > 1_000.0);
    for count in drawn {
        assert!(
            (f64::from(count) / expected - 1.0).abs() < 0.15,
            "{drawn:?}"
        );
    }
}

/// S16: when one of those who are for everybody goes, by whatever way, another takes its place.
#[test]
fn a_place_for_everybody_that_becomes_free_is_taken() {
    let crowd = v4(0x5000_0000);
    let listed = |bench: &mut Bench, now| {
        let asks = Announce {
            port: 0,
            num_want: Some(200),
            ..leecher(v4(STRANGER), 0)
        };
        bench.announce(&asks, now);
        assert_eq!(bench.list.len(), 200);
        // Of all that are for everybody most are on a list of 200, so a few lists have them all.
        let mut ports: HashSet<u16> = HashSet::new();
        for _ in 0..40 {
            bench.announce(&asks, now);
            let own = bench.handed().into_iter().filter(|peer| peer.ip() == crowd);
            ports.extend(own.map(|peer| peer.port()));
        }
        ports.len()
    };
    let mut bench = bench(Settings::default());
    let lifetime = bench.tracker.settings().lifetime();
    honest(&mut bench, 250);
    for port in 1..=9 {
        bench.announce(&leecher(crowd, port), at(0));
    }
    assert_eq!(listed(&mut bench, at(1)), 2);
    // Nine leave one after another.
    for port in 1..=8 {
        let stopped = Announce {
            event: Event::Stopped,
            ..leecher(crowd, port)
        };
        bench.announce(&stopped, at(1));
        assert_eq!(listed(&mut bench, at(1)), usize::from(9 - port).min(2));
    }
    // They come again, some become seeds, and those who are left out live longer than those who are not.
    for port in 1..=9 {
        let is_seeder = port % 2 == 0;
        let one = leecher(crowd, port);
        bench.announce(&Announce { is_seeder, ..one }, at(2));
        assert_eq!(listed(&mut bench, at(2)), 2);
    }
    let completed = Announce {
        event: Event::Completed,
        is_seeder: true,
        ..leecher(crowd, 9)
    };
    bench.announce(&completed, at(2));
    assert_eq!(listed(&mut bench, at(2)), 2);
    let later = at(lifetime / 2);
    honest_again(&mut bench, later);
    for port in [3, 5, 6, 7] {
        let is_seeder = port % 2 == 0;
        let one = leecher(crowd, port);
        bench.announce(&Announce { is_seeder, ..one }, later);
    }
    assert_eq!(listed(&mut bench, at(lifetime + 2)), 2);
    // The zones are set anew: everybody is placed anew.
    bench.tracker.set_zones(Zones::default(), at(lifetime + 2));
    assert_eq!(listed(&mut bench, at(lifetime + 2)), 2);
    let scrape = bench.tracker.scrape(&HASH, at(lifetime + 2));
    assert_eq!(scrape.complete + scrape.incomplete, 254);
}

fn honest_again(bench: &mut Bench, now: Seconds) {
    for number in 0..250 {
        let one = leecher(v4(0x1000_0000 + number * 256), 6_881);
        let is_seeder = number % 5 == 0;
        bench.announce(&Announce { is_seeder, ..one }, now);
    }
}

/// S5, S16: the bound on ports counts those that are left out of lists too.
#[test]
fn ports_that_are_left_out_of_lists_count_for_the_bound() {
    let mut bench = bench(Settings::default());
    for port in 1..=80 {
        bench.announce(&leecher(v4(0x5000_0000), port), at(0));
    }
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).incomplete, 50);
}

/// S16: three of its own address, where the requester's zone lies behind one.
#[test]
fn a_zone_behind_one_address_is_handed_three_of_it() {
    let rule = |path: &str, prefix: &str, is_behind_nat| ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        is_behind_nat,
        ..ZoneRule::default()
    };
    let rules = [
        rule("nat", "80.0.0.0/24", true),
        rule("other", "96.0.0.0/24", false),
    ];
    let mut bench = bench(Settings {
        selection: Selection::Shares,
        ..roomy()
    });
    bench
        .tracker
        .set_zones(Zones::new(&rules, &[]).unwrap(), at(0));
    honest(&mut bench, 300);
    for port in 1..=40 {
        bench.announce(&leecher(v4(0x5000_0000), port), at(0));
    }
    let of_crowd = |peer: &SocketAddr| peer.ip() == v4(0x5000_0000);
    let own = leecher(v4(0x5000_0000), 7);
    let (part, most) = crowding(&mut bench, &own, of_crowd);
    assert_eq!(most, 3);
    assert!((part - 3.0 / 50.0).abs() < 1e-9, "{part}");
    let (_, most) = crowding(&mut bench, &leecher(v4(STRANGER), 1), of_crowd);
    assert!(most <= 2);
}

/// S13
#[test]
fn loopback_peers_are_handed_to_loopback_only() {
    for remote_peers in [3, 40, 300] {
        let mut bench = bench(Settings::default());
        honest(&mut bench, remote_peers);
        let loopback = |number: u32| v4(0x7f00_0001 + number * 256);
        for number in 0..20 {
            let one = leecher(loopback(number), 1);
            let is_seeder = number % 2 == 0;
            bench.announce(&Announce { is_seeder, ..one }, at(0));
        }
        bench.announce(&leecher("::1".parse().unwrap(), 1), at(0));
        for _ in 0..50 {
            let remote = leecher(v4(STRANGER), 1);
            bench.announce(&remote, at(1));
            let handed = bench.handed();
            assert_eq!(handed.len(), (remote_peers as usize).min(50));
            assert!(handed.iter().all(|peer| !peer.ip().is_loopback()));
            // To loopback everybody may be handed, its own first.
            bench.announce(&leecher(loopback(99), 1), at(1));
            let handed = bench.handed();
            assert_eq!(handed.len(), (remote_peers as usize + 22).min(50));
            let own = handed.iter().filter(|peer| peer.ip().is_loopback());
            assert!(own.count() >= 20);
            for gone in [remote, leecher(loopback(99), 1)] {
                let event = Event::Stopped;
                bench.announce(&Announce { event, ..gone }, at(1));
            }
        }
    }
}

/// S13: neither from announces nor from a snapshot.
#[test]
fn link_local_peers_are_answered_and_not_stored() {
    let mut bench = bench(Settings::default());
    bench.announce(&leecher(v4(0x1000_0000), 1), at(0));
    for ip in ["169.254.7.7", "fe80::7"] {
        let ip: IpAddr = ip.parse().unwrap();
        let reply = bench.announce(&leecher(ip, 1), at(0));
        assert_eq!((reply.incomplete, bench.list.len()), (1, 1), "{ip}");
        let mut swarm = bench.tracker.export(&HASH, at(0)).unwrap();
        swarm.info_hash = InfoHash([1; 20]);
        swarm.peers[0].ip = ip;
        assert_eq!(bench.tracker.restore(swarm, at(0)).peers, 0, "{ip}");
    }
}

/// S13: a client on the tracker's own host that is not stored there, but elsewhere under the same id.
#[test]
fn who_is_not_stored_is_not_handed_its_own_other_address_among_who_is_left() {
    let mut bench = bench(Settings::default());
    let stored = leecher(v4(0x0a00_0001), 6_881);
    bench.announce(&stored, at(0));
    bench.announce(&leecher(v4(0x0a00_0002), 6_881), at(0));
    let on_the_host = Announce {
        ip: v4(0x7f00_0001),
        port: 0,
        ..stored
    };
    bench.announce(&on_the_host, at(1));
    assert_eq!(bench.handed(), [SocketAddr::new(v4(0x0a00_0002), 6_881)]);
}
