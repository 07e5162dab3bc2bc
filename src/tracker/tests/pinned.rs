//! Lists for given seeds, to the byte and to the draw: who changes how a list is composed, and means the choice to stay as it is, is told
//! here when it does not. Who means to change the choice records anew what the failing test prints.

use std::net::Ipv6Addr;

use super::*;
use crate::tracker::{ClientKey, ListOptions, Selection, ZoneRule, Zones};

/// FNV-1a: a digest that is the same in every build.
struct Digest(u64);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// The list in its order, and what chance would say next: it tells how much has been drawn.
    fn add_list(&mut self, bench: &Bench) {
        let list = &bench.list;
        list.v4.iter().for_each(|address| self.add(address));
        list.v6.iter().for_each(|address| self.add(address));
        let ids = list.ids_v4.iter().chain(&list.ids_v6);
        ids.for_each(|id| self.add(&id.0));
        self.add(&bench.rng.clone().u64(..).to_le_bytes());
    }
}

/// Moscow with a part of it in carrier-grade NAT, a city whose peers see only each other, and addresses of no zone.
fn zones() -> Zones {
    let rule = |path: &str, prefixes: &[&str]| ZoneRule {
        path: path.into(),
        prefixes: prefixes.iter().map(|net| net.parse().unwrap()).collect(),
        ..ZoneRule::default()
    };
    let rules = [
        rule("moscow", &["10.0.0.0/12", "2001:db8::/40"]),
        rule("moscow/north", &["10.1.0.0/16", "2001:db8:10::/44"]),
        ZoneRule {
            is_behind_nat: true,
            ..rule("moscow/north/nat", &["10.1.64.0/18"])
        },
        rule("moscow/south", &["10.2.0.0/16"]),
        ZoneRule {
            is_strict: true,
            ..rule("closed", &["10.32.0.0/12"])
        },
        rule("closed/east", &["10.33.0.0/16"]),
    ];
    Zones::new(&rules, &[]).unwrap()
}

/// Where the peers are: in every zone, in none, on the host itself, and over v6; some prefixes hold many.
fn place(number: u32) -> IpAddr {
    let spread = number.wrapping_mul(0x9e37_79b9) >> 12;
    match number % 16 {
        0..3 => v4(0x0a01_0000 + (spread & 0xffff)),
        3 => v4(0x0a01_0100 + (spread & 0xff)),
        // Few subscribers with many ports each.
        4 => v4(0x0a01_4000 + (spread & 7)),
        5..7 => v4(0x0a02_0000 + (spread & 0xffff)),
        7 => v4(0x0a05_0000 + (spread & 0xffff)),
        8 => v4(0x0a20_0000 + (spread & 0x1_ffff)),
        9..12 => v4(0x5000_0000 + (spread << 8)),
        12 => Ipv6Addr::from(0x2001_0db8_0010_u128 << 80 | u128::from(spread) << 64).into(),
        13 => Ipv6Addr::from(0x2001_0db9_u128 << 96 | u128::from(spread) << 64).into(),
        14 if number.is_multiple_of(64) => v4(0x7f00_0001 + (spread & 3)),
        _ => v4(0x0a01_8000 + (spread & 0x7fff)),
    }
}

/// A tracker with a swarm of `peers`, three of ten of them seeds.
fn filled(settings: &Settings, peers: u32) -> Bench {
    let mut bench = bench(Settings {
        selection: Selection::Shares,
        max_ports_per_address: 0,
        max_torrents_per_address: 0,
        max_peers_per_torrent: 0,
        ..settings.clone()
    });
    bench.tracker.set_zones(zones(), at(0));
    for number in 0..peers {
        let port = 1_024 + u16::try_from(number % 60_000).unwrap();
        let one = leecher(place(number), port);
        let event = if number % 29 == 0 {
            Event::Paused
        } else {
            Event::None
        };
        let is_seeder = number % 10 < 3;
        bench.announce(
            &Announce {
                is_seeder,
                event,
                num_want: Some(0),
                ..one
            },
            at(number % 600),
        );
    }
    bench
}

const ASKERS: [&str; 10] = [
    "10.1.1.7",
    "10.1.64.3",
    "10.2.3.4",
    "10.15.0.1",
    "10.33.0.9",
    "80.7.0.1",
    "200.1.1.1",
    "127.0.0.1",
    "2001:db8:10:7::1",
    "2001:db9:0:9::1",
];

/// What is handed out to all of the [`ASKERS`], stored and not stored, leecher and seeder, for every length of list.
fn digest(settings: &Settings, peers: u32) -> u64 {
    let mut bench = filled(settings, peers);
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    for (seed, asker) in (1..).zip(ASKERS) {
        let ip: IpAddr = asker.parse().unwrap();
        for num_want in [1, 3, 12, 50, 200] {
            for (port, is_seeder) in [(0, false), (6_881, false), (6_882, true)] {
                bench.rng = fastrand::Rng::with_seed(seed);
                let announce = Announce {
                    is_seeder,
                    num_want: Some(num_want),
                    ..leecher(ip, port)
                };
                bench.announce(&announce, at(600));
                digest.add_list(&bench);
            }
        }
    }
    digest.0
}

fn check(name: &str, found: &[u64], recorded: &[u64]) {
    assert_eq!(found, recorded, "{name}: {found:#018x?}");
}

/// Sizes of swarms: everybody fits on a list, a flat list of peers, and sorted chunks.
const SIZES: [u32; 4] = [9, 60, 110, 3_000];

#[test]
fn lists_of_every_size_of_swarm_are_as_recorded() {
    let found = SIZES.map(|peers| digest(&Settings::default(), peers));
    check(
        "sizes",
        &found,
        &[
            0x54cd_cb86_a934_a2ed,
            0x4f9a_7e31_2466_acd3,
            0xca6f_76d0_d9d8_bded,
            0x8e9b_a5fb_c7b4_ed6b,
        ],
    );
}

#[test]
fn lists_of_other_shares_are_as_recorded() {
    let shares = [(80, 4, 50), (0, 0, 50), (100, 1, 10), (50, 20, 100)];
    let found = shares.map(|(local_share, min_external, seed_share)| {
        let settings = Settings {
            local_share,
            min_external,
            seed_share,
            ..Settings::default()
        };
        digest(&settings, 400)
    });
    check(
        "shares",
        &found,
        &[
            0x1f28_1822_f266_5653,
            0xf763_b25c_e5c8_943b,
            0xb09e_6ecd_ac08_375e,
            0x6fd3_8024_15f3_2e21,
        ],
    );
}

#[test]
fn lists_of_a_tracker_that_keeps_no_ids_are_as_recorded() {
    let settings = Settings {
        keep_peer_ids: false,
        ..Settings::default()
    };
    check(
        "no ids",
        &[digest(&settings, 400)],
        &[0xae5d_f46e_39ad_8d2f],
    );
}

#[test]
fn lists_with_ids_and_lists_of_one_family_are_as_recorded() {
    let mut found = Vec::new();
    for (with_ids, own_family_only) in [(true, false), (false, true)] {
        let mut bench = filled(&Settings::default(), 400);
        let mut digest = Digest(0);
        for asker in ASKERS {
            let options = ListOptions {
                with_ids,
                own_family_only,
                max_peers: None,
            };
            let announce = leecher(asker.parse().unwrap(), 6_881);
            bench.announce(
                &Announce {
                    options,
                    ..announce
                },
                at(600),
            );
            digest.add_list(&bench);
        }
        found.push(digest.0);
    }
    check(
        "options",
        &found,
        &[0x8b30_984d_595f_75b4, 0xf1ce_4881_0d31_8308],
    );
}

#[test]
fn lists_of_clients_with_two_addresses_are_as_recorded() {
    let mut bench = filled(&Settings::default(), 300);
    let pair = |number: u32| {
        let client = |ip| Announce {
            key: ClientKey::from_number(number + 1),
            peer_id: leecher(v4(number), 7).peer_id,
            ..leecher(ip, 7)
        };
        let v6 = 0x2001_0db8_0010_u128 << 80 | u128::from(number) << 64;
        [
            client(v4(0x0a01_0200 + number)),
            client(Ipv6Addr::from(v6).into()),
        ]
    };
    let mut digest = Digest(0);
    for number in 0..120 {
        for announce in pair(number) {
            bench.announce(&announce, at(600));
            digest.add_list(&bench);
        }
    }
    for asker in ASKERS {
        bench.announce(&leecher(asker.parse().unwrap(), 6_881), at(601));
        digest.add_list(&bench);
    }
    check("two addresses", &[digest.0], &[0x6c57_d0bc_a04b_8c1e]);
}
