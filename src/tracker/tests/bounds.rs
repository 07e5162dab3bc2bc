//! Bounds that somebody has filled (S5, R9, R28): the newest honest peer is stored, the heaviest network loses one, and nobody
//! else loses anything.

#[cfg(test)]
use super::*;
use crate::metrics::{AnnounceOutcome, Full};
use crate::tracker::{StoredPeer, StoredSwarm};

const BOUND: u32 = 400;

fn outcomes(bench: &Bench, outcome: AnnounceOutcome) -> u64 {
    bench.tracker.metrics().totals().outcomes(outcome)
}

fn evicted(bench: &Bench, bound: Full) -> u64 {
    bench.tracker.metrics().totals().evicted(bound)
}

fn hash(kind: u8, number: u32) -> InfoHash {
    let mut hash = [kind; 20];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash(hash)
}

/// Settings in which only the bound that `set` sets is in the way.
fn only(set: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings {
        max_peers: 0,
        max_torrents: 0,
        max_peers_per_torrent: 0,
        max_torrents_per_address: 0,
        max_ports_per_address: 0,
        ..Settings::default()
    };
    set(&mut settings);
    settings
}

/// Who attacks, by what is in its hand: the address of its announce with a number.
type Attacker = (&'static str, fn(u32) -> IpAddr);

const ATTACKERS: [Attacker; 5] = [
    ("one address", |_| v4(0xc633_6407)),
    ("one /64", |number| v6(0, number)),
    ("ten /64", |number| v6(number % 10, number)),
    ("one /56", |number| {
        v6_of(7 << 80 | u128::from(number % 256) << 64)
    }),
    ("one /24", |number| v4(0xc633_6400 | (number % 256))),
];

fn v6_of(low: u128) -> IpAddr {
    std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | low).into()
}

/// An address of one of some /64, each in a /48 of its own.
fn v6(network: u32, number: u32) -> IpAddr {
    v6_of(u128::from(network) << 80 | u128::from(number))
}

fn port(number: u32) -> u16 {
    u16::try_from(number % 60_000).unwrap() + 1
}

/// The two of an honest pair, neighbours and alone in their network.
fn pair(number: u32, info_hash: InfoHash) -> [Announce; 2] {
    let ip = |last| v4(0x0a00_0000 | number << 12 | last);
    let event = Event::Started;
    let leecher = Announce {
        info_hash,
        event,
        ..leecher(ip(1), 6881)
    };
    let seeder = Announce {
        info_hash,
        event,
        ..seeder(ip(2), 6881)
    };
    [leecher, seeder]
}

/// Whether both are handed each other at once.
fn meets(bench: &mut Bench, [leecher, seeder]: &[Announce; 2], now: Seconds) -> bool {
    let at = |announce: &Announce| SocketAddr::new(announce.ip, announce.port);
    bench.announce(leecher, now);
    bench.announce(seeder, now);
    let is_handed = bench.handed().contains(&at(leecher));
    bench.announce(leecher, now);
    is_handed && bench.handed().contains(&at(seeder))
}

fn is_stored(bench: &Bench, announce: &Announce, now: Seconds) -> bool {
    let swarm = bench.tracker.export(&announce.info_hash, now);
    swarm.is_some_and(|swarm| {
        let mut peers = swarm.peers.iter();
        peers.any(|peer| (peer.ip, peer.port) == (announce.ip, announce.port))
    })
}

/// What an attack aims at: its bound, which torrent an attacker's announce and a pair's is of, and how full the bound is.
struct Aim {
    bound: Full,
    settings: Settings,
    attacked: fn(u32) -> InfoHash,
    paired: fn(u32) -> InfoHash,
    fill: fn(&Bench) -> u64,
}

fn aims() -> [Aim; 4] {
    let torrents = |bench: &Bench| bench.tracker.changed().len() as u64;
    [
        Aim {
            bound: Full::Torrents,
            settings: only(|to| to.max_torrents = BOUND),
            attacked: |number| hash(1, number),
            paired: |number| hash(2, number),
            fill: torrents,
        },
        // Two in each torrent, so that nobody is alone in his.
        Aim {
            bound: Full::Torrents,
            settings: only(|to| to.max_torrents = BOUND),
            attacked: |number| hash(1, number / 2),
            paired: |number| hash(2, number),
            fill: torrents,
        },
        Aim {
            bound: Full::Peers,
            settings: only(|to| to.max_peers = BOUND),
            attacked: |number| hash(1, number % 50),
            paired: |number| hash(2, number),
            fill: |bench| bench.tracker.peers(),
        },
        Aim {
            bound: Full::Swarm,
            settings: only(|to| to.max_peers_per_torrent = BOUND),
            attacked: |_| HASH,
            paired: |_| HASH,
            fill: |bench| bench.tracker.peers(),
        },
    ]
}

/// S5, R28, R9
#[test]
fn honest_pairs_meet_at_every_bound_whoever_has_filled_it() {
    for aim in aims() {
        for (name, ip) in ATTACKERS {
            let case = format!("{name} at {:?}", aim.bound);
            let mut bench = bench(aim.settings.clone());
            let before: Vec<_> = (0..15)
                .map(|number| pair(number, (aim.paired)(number)))
                .collect();
            for pair in &before {
                assert!(meets(&mut bench, pair, at(0)), "{case}");
            }
            let attack = |bench: &mut Bench, numbers: std::ops::Range<u32>| {
                for number in numbers {
                    let info_hash = (aim.attacked)(number);
                    let announce = Announce {
                        info_hash,
                        ..leecher(ip(number), port(number))
                    };
                    bench.announce(&announce, at(1));
                    assert!((aim.fill)(bench) <= BOUND.into(), "{case}");
                }
            };
            attack(&mut bench, 0..4 * BOUND);
            assert_eq!((aim.fill)(&bench), u64::from(BOUND), "{case}");
            let evicted_before = evicted(&bench, aim.bound);
            let new: Vec<_> = (100..120)
                .map(|number| pair(number, (aim.paired)(number)))
                .collect();
            let met = new
                .iter()
                .filter(|pair| meets(&mut bench, pair, at(2)))
                .count();
            assert_eq!(met, 20, "{case}");
            assert!((aim.fill)(&bench) <= BOUND.into(), "{case}");
            assert!(evicted(&bench, aim.bound) >= evicted_before + 20, "{case}");
            // Attackers that go on, also from the networks that have lost some, do not push honest peers out.
            attack(&mut bench, 10_000..10_000 + BOUND);
            for announce in before.iter().chain(&new).flatten() {
                assert!(is_stored(&bench, announce, at(3)), "{case}");
            }
            // What is stored is refreshed as ever.
            let refreshed = outcomes(&bench, AnnounceOutcome::Refreshed);
            for announce in before.iter().chain(&new).flatten() {
                bench.announce(announce, at(1_000));
            }
            assert_eq!(
                outcomes(&bench, AnnounceOutcome::Refreshed) - refreshed,
                70,
                "{case}"
            );
        }
    }
}

/// S5: somebody of an attacker's own network is no heavier than the attackers, and no reason to push others out.
#[test]
fn a_newcomer_pushes_out_nobody_who_is_lighter() {
    for aim in aims() {
        let mut bench = bench(aim.settings.clone());
        let honest: Vec<_> = (0..BOUND)
            .map(|number| pair(number, (aim.attacked)(number))[0])
            .collect();
        for announce in &honest {
            bench.announce(announce, at(0));
        }
        let stored = bench.tracker.peers();
        let heavy = v4(0xc633_6407);
        for number in 0..BOUND {
            let info_hash = (aim.attacked)(100_000 + number);
            bench.announce(
                &Announce {
                    info_hash,
                    ..leecher(heavy, port(number))
                },
                at(1),
            );
        }
        // The first is as light as anybody and stays out; so do all.
        if aim.bound != Full::Torrents {
            assert_eq!(evicted(&bench, aim.bound), 0);
            assert_eq!(bench.tracker.peers(), stored);
        }
        assert!(
            honest
                .iter()
                .all(|announce| is_stored(&bench, announce, at(1)))
        );
    }
}

/// S5, R28: counts of others outlive whoever leaves counts behind, and there are never many more than torrents may be.
#[test]
fn nobody_elses_downloads_are_lost_to_who_completes_everything() {
    for (name, ip) in ATTACKERS {
        let mut bench = bench(only(|to| to.max_torrents = BOUND));
        let complete = |bench: &mut Bench, ip, info_hash, now| {
            let done = Announce {
                info_hash,
                event: Event::Completed,
                ..seeder(ip, 1)
            };
            bench.announce(&done, now);
            bench.announce(
                &Announce {
                    event: Event::Stopped,
                    ..done
                },
                now,
            );
        };
        for number in 0..100 {
            complete(
                &mut bench,
                v4(0x0a00_0001 | number << 12),
                hash(2, number),
                at(0),
            );
        }
        for number in 0..4 * BOUND {
            complete(
                &mut bench,
                ip(number),
                hash(1, number),
                at(1 + number / 100),
            );
            let torrents = bench.tracker.changed().len();
            assert!(
                torrents <= (BOUND + BOUND / 8) as usize,
                "{name}: {torrents}"
            );
            if number % 500 == 499 {
                bench.tracker.sweep(at(1 + number / 100));
            }
        }
        assert!(!bench.tracker.wants_sweep() || bench.tracker.sweep(at(100)).freed_torrents > 0);
        let kept = (0..100).filter(|number| {
            let scrape = bench.tracker.scrape(&hash(2, *number), at(100));
            scrape.downloaded == 1
        });
        assert_eq!(kept.count(), 100, "{name}");
        // Living torrents have all their room.
        for number in 0..20 {
            assert!(
                meets(&mut bench, &pair(number, hash(3, number)), at(100)),
                "{name}"
            );
        }
        assert_eq!(outcomes(&bench, AnnounceOutcome::FullTorrents), 0);
    }
}

/// S5: what stays stored stays charged, until it is dropped.
#[test]
fn counts_that_an_address_leaves_behind_are_of_its_torrents() {
    let mut bench = bench(only(|to| {
        to.max_torrents_per_address = 10;
        to.keep_downloaded = 1_000;
    }));
    let done = |number| Announce {
        info_hash: hash(1, number),
        event: Event::Completed,
        ..seeder(v4(5), 1)
    };
    for number in 0..30 {
        bench.announce(&done(number), at(0));
        bench.announce(
            &Announce {
                event: Event::Stopped,
                ..done(number)
            },
            at(0),
        );
    }
    assert_eq!(
        (
            outcomes(&bench, AnnounceOutcome::Joined),
            outcomes(&bench, AnnounceOutcome::FullAddress)
        ),
        (10, 20)
    );
    // Somebody else takes one up: it is his as long as he is there.
    let other = Announce {
        ip: v4(0x0600_0000),
        event: Event::Started,
        ..done(3)
    };
    assert_eq!(bench.announce(&other, at(1)).downloaded, 1);
    bench.announce(&done(50), at(1));
    assert_eq!(
        (
            outcomes(&bench, AnnounceOutcome::Joined),
            outcomes(&bench, AnnounceOutcome::FullAddress)
        ),
        (12, 20)
    );
    bench.announce(
        &Announce {
            event: Event::Stopped,
            ..other
        },
        at(2),
    );
    bench.tracker.sweep(at(1_003));
    for number in 100..109 {
        bench.announce(&done(number), at(1_003));
    }
    assert_eq!(outcomes(&bench, AnnounceOutcome::FullAddress), 20);
}

/// S5: a torrent that died unnoticed and uncounted is nobody's charge, whoever completes it then.
#[test]
fn nobody_is_discharged_of_what_he_was_not_charged_with() {
    let mut bench = bench(only(|to| to.max_torrents_per_address = 2));
    let lifetime = Settings::default().lifetime();
    bench.announce(&leecher(v4(6 << 24), 1), at(0));
    bench.tracker.scrape(&HASH, at(lifetime + 1));
    let done = |number| Announce {
        info_hash: hash(1, number),
        event: Event::Completed,
        ..seeder(v4(5), 1)
    };
    let first = Announce {
        info_hash: HASH,
        ..done(0)
    };
    for number in 0..3 {
        bench.announce(&first, at(lifetime + 1));
        bench.announce(&done(number), at(lifetime + 1));
    }
    assert_eq!(
        (
            outcomes(&bench, AnnounceOutcome::Joined),
            outcomes(&bench, AnnounceOutcome::FullAddress)
        ),
        (3, 2)
    );
}

/// S4, S5: a torrent that nobody completed is gone with its last peer.
#[test]
fn a_torrent_without_peers_and_count_is_freed_at_once() {
    let mut bench = bench(Settings::default());
    let announce = |event| Announce {
        event,
        ..leecher(v4(5), 1)
    };
    bench.announce(&announce(Event::Started), at(0));
    bench.announce(&announce(Event::Stopped), at(0));
    assert!(bench.tracker.changed().is_empty() && bench.tracker.freed().is_empty());
    // What a snapshot has is named to it.
    bench.announce(&announce(Event::Started), at(0));
    assert!(bench.tracker.export(&HASH, at(0)).is_some());
    bench.announce(&announce(Event::Stopped), at(0));
    assert_eq!(bench.tracker.freed(), [HASH]);
}

/// S5: 500 addresses of one /64 count as one client's.
#[test]
fn ports_of_a_64_count_together() {
    let mut bench = bench(Settings::default());
    for number in 0..500 {
        for port in 1..4 {
            bench.announce(&leecher(v6(1, number), port), at(0));
        }
    }
    assert_eq!(bench.tracker.peers(), 50);
    assert_eq!(outcomes(&bench, AnnounceOutcome::FullPorts), 1_450);
    bench.announce(&leecher(v6(2, 1), 1), at(0));
    assert_eq!(bench.tracker.peers(), 51);
}

/// S5: entries also count per /24, /56 and /48.
#[test]
fn entries_of_a_wide_network_have_a_bound() {
    for (ip, most) in [
        (
            (|number| v4(0x0a00_0000 | (number % 256))) as fn(u32) -> IpAddr,
            160,
        ),
        (|number| v6_of(u128::from(number % 256) << 64), 40),
        (|number| v6_of(u128::from(number % 256) << 72), 160),
    ] {
        let mut bench = bench(only(|to| to.max_torrents_per_address = 10));
        for number in 0..500 {
            let info_hash = hash(1, number);
            bench.announce(
                &Announce {
                    info_hash,
                    ..leecher(ip(number), 1)
                },
                at(0),
            );
        }
        assert_eq!(bench.tracker.peers(), most);
    }
}

/// S5: a few addresses that have all that a network may have do not take the place of those beside them.
#[test]
fn neighbours_of_greedy_ones_are_stored() {
    type Ip = fn(u32) -> IpAddr;
    let cases: [(&str, Ip); 3] = [
        ("a /24", |number| v4(0x0a00_0000 | number)),
        ("a /56", |number| v6_of(u128::from(number) << 64)),
        ("a /48", |number| v6_of(u128::from(number) << 72)),
    ];
    for (name, ip) in cases {
        let mut bench = bench(only(|to| to.max_torrents_per_address = 512));
        let announce = |bench: &mut Bench, host: u32, torrents: u32| {
            for torrent in 0..torrents {
                let info_hash = hash(u8::try_from(host).unwrap(), torrent);
                let announce = leecher(ip(host), 1);
                bench.announce(
                    &Announce {
                        info_hash,
                        ..announce
                    },
                    at(0),
                );
            }
        };
        for host in 0..16 {
            announce(&mut bench, host, 600);
        }
        let greedy = bench.tracker.peers();
        assert!(greedy <= 16 * 512, "{name}");
        for host in 100..120 {
            announce(&mut bench, host, 5);
            let stored = bench.tracker.peers() - greedy;
            assert_eq!(stored, 5 * u64::from(host - 99), "{name}");
        }
        // What all parts of the network have besides comes to no more than what it has in any case.
        for host in 16..256 {
            announce(&mut bench, host, 40);
        }
        assert!(bench.tracker.peers() <= 2 * greedy, "{name}");
    }
}

/// S5, R28: at a bound of the whole tracker, too, many heavy ones of a network do not keep out those beside them.
#[test]
fn neighbours_of_heavy_ones_are_stored_at_every_bound() {
    type Ip = fn(u32) -> IpAddr;
    let cases: [(&str, Ip); 2] = [
        ("a /24", |number| v4(0x0a00_0000 | number)),
        ("a /48", |number| v6_of(u128::from(number) << 72)),
    ];
    for (name, ip) in cases {
        for settings in [
            only(|to| to.max_peers = 1_000),
            only(|to| to.max_torrents = 1_000),
        ] {
            let mut bench = bench(settings);
            let announce = |bench: &mut Bench, host: u32, torrent: u32| {
                let announce = Announce {
                    info_hash: hash(u8::try_from(host).unwrap(), torrent),
                    ..leecher(ip(host), 1)
                };
                bench.announce(&announce, at(0));
                is_stored(bench, &announce, at(0))
            };
            for torrent in 0..20 {
                for host in 0..50 {
                    assert!(announce(&mut bench, host, torrent), "{name}");
                }
            }
            for host in 100..150 {
                for torrent in 0..2 {
                    assert!(announce(&mut bench, host, torrent), "{name} {host}");
                }
            }
            assert_eq!(bench.tracker.peers(), 1_000);
            // Who has as much as they have pushes nobody out, but for what it has lost itself.
            let evicted_before = evicted(&bench, Full::Peers) + evicted(&bench, Full::Torrents);
            for torrent in 100..200 {
                announce(&mut bench, 0, torrent);
            }
            let evicted_now = evicted(&bench, Full::Peers) + evicted(&bench, Full::Torrents);
            assert!(evicted_now <= evicted_before + 20, "{name}");
        }
    }
}

/// S5, R28: torrents of many peers hold a bound no better than others.
#[test]
fn torrents_that_somebody_crowds_make_room_too() {
    for ports in [9, 50, 70, 200] {
        let mut bench = bench(only(|to| to.max_torrents = 100));
        for torrent in 0..100 {
            for number in 0..ports {
                let info_hash = hash(1, torrent);
                bench.announce(
                    &Announce {
                        info_hash,
                        ..leecher(v4(0xc633_6400 | (number / 50)), port(number))
                    },
                    at(0),
                );
            }
        }
        let stored = bench.tracker.peers();
        for number in 0..20 {
            let pair = pair(number, hash(2, number));
            assert!(meets(&mut bench, &pair, at(1)), "{ports}");
        }
        let left = u64::from(ports) * 20;
        assert_eq!(bench.tracker.peers(), stored - left + 40, "{ports}");
        assert!(evicted(&bench, Full::Torrents) >= left, "{ports}");
    }
}

/// S5, R28: peers that have left, and one that announces over and over, do not fill the sample of those who may leave.
#[test]
fn who_comes_and_goes_hides_nobody_from_eviction() {
    type Attack = fn(&mut Bench, &Announce, u32);
    let attacks: [(&str, Attack); 2] = [
        ("comes and goes", |bench, announce, number| {
            let info_hash = hash(3, number);
            let event = Event::Stopped;
            let comes = Announce {
                info_hash,
                ..*announce
            };
            bench.announce(&comes, at(1));
            bench.announce(&Announce { event, ..comes }, at(1));
        }),
        ("announces over and over", |bench, announce, number| {
            let event = Event::Started;
            let info_hash = hash(3, number / 100_000);
            bench.announce(
                &Announce {
                    info_hash,
                    event,
                    ..*announce
                },
                at(1),
            );
        }),
    ];
    for (name, attack) in attacks {
        let mut bench = bench(only(|to| to.max_peers = BOUND));
        let announce = leecher(v4(0xc633_6407), 1);
        let store = |bench: &mut Bench, numbers: std::ops::Range<u32>| {
            for number in numbers {
                let info_hash = hash(1, number);
                bench.announce(
                    &Announce {
                        info_hash,
                        ..announce
                    },
                    at(0),
                );
            }
        };
        store(&mut bench, 0..BOUND - 1);
        for number in 0..200_000 {
            attack(&mut bench, &announce, number);
        }
        // The one of the other attack leaves, and all that is drawn of it is in vain.
        let info_hash = hash(3, 0);
        let event = Event::Stopped;
        bench.announce(
            &Announce {
                info_hash,
                event,
                ..announce
            },
            at(1),
        );
        store(&mut bench, BOUND..BOUND + 10);
        for number in 0..20 {
            let pair = pair(number, hash(2, number));
            assert!(meets(&mut bench, &pair, at(2)), "{name}");
        }
    }
}

/// S5, C7: who reports another's address does not use up what that one may have.
#[test]
fn what_others_report_of_an_address_leaves_room_for_itself() {
    let mut bench = bench(only(|to| {
        to.max_torrents_per_address = 20;
        to.max_ports_per_address = 10;
    }));
    let own = leecher(v4(0xc633_6407), 6881);
    for number in 0..100 {
        for (info_hash, port) in [(hash(1, number), 1), (HASH, port(number))] {
            let is_reported = true;
            bench.announce(
                &Announce {
                    info_hash,
                    port,
                    is_reported,
                    ..own
                },
                at(0),
            );
        }
    }
    assert_eq!(bench.tracker.peers(), 10);
    for number in 0..9 {
        let info_hash = hash(2, number);
        bench.announce(&Announce { info_hash, ..own }, at(0));
        assert!(is_stored(&bench, &Announce { info_hash, ..own }, at(0)));
    }
    bench.announce(&own, at(0));
    assert!(is_stored(&bench, &own, at(0)));
    assert_eq!(bench.tracker.peers(), 20);
}

/// S5: many workers at a bound never store more than it and one for each, and lose count of nobody.
#[test]
fn workers_that_displace_at_once_keep_count() {
    const WORKERS: u32 = 4;
    let settings = only(|to| (to.max_peers, to.max_torrents) = (BOUND, BOUND));
    let tracker = Tracker::new(settings, Arc::new(Metrics::new(WORKERS as usize)));
    let announces = |worker: u32, announces: &mut dyn Iterator<Item = Announce>| {
        let metrics = Arc::clone(tracker.metrics());
        let (mut rng, mut list) = (fastrand::Rng::with_seed(worker.into()), PeerList::default());
        for announce in announces {
            let mut context = AnnounceContext {
                now: at(0),
                rng: &mut rng,
                counters: metrics.counters(worker as usize),
            };
            tracker
                .announce(&announce, &mut context, &mut list)
                .unwrap();
            // Each may have seen the last room, and holds a place while it makes one.
            assert!(tracker.peers() <= u64::from(BOUND + 2 * WORKERS));
        }
    };
    let attack = (0..BOUND).map(|number| Announce {
        info_hash: hash(1, number),
        ..leecher(v4(7), 1)
    });
    announces(0, &mut attack.into_iter());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let announces = &announces;
            scope.spawn(move || {
                let honest = (0..500).flat_map(|number| {
                    let [joins, _] = pair(worker * 500 + number, hash(2, number));
                    let stops = Announce {
                        event: Event::Stopped,
                        ..joins
                    };
                    [Some(joins), (number % 3 == 0).then_some(stops)]
                        .into_iter()
                        .flatten()
                });
                announces(worker, &mut { honest });
            });
        }
    });
    let exported = tracker
        .changed()
        .into_iter()
        .filter_map(|hash| tracker.export(&hash, at(0)));
    let stored: usize = exported.map(|swarm| swarm.peers.len()).sum();
    assert_eq!(tracker.peers(), stored as u64);
    assert!(stored <= (BOUND + WORKERS) as usize);
    let totals = tracker.metrics().totals();
    let evicted: u64 = [Full::Peers, Full::Torrents]
        .map(|bound| totals.evicted(bound))
        .iter()
        .sum();
    assert!(evicted > 0);
    assert_eq!(
        totals.outcomes(AnnounceOutcome::Joined) - totals.outcomes(AnnounceOutcome::Left) - evicted,
        stored as u64
    );
}

/// S5: a snapshot that is larger than the bounds is restored in its order, up to them.
#[test]
fn a_restore_takes_what_the_bounds_have_room_for() {
    let swarm = |number: u32, peers: u32| StoredSwarm {
        downloaded_elsewhere: Vec::new(),
        info_hash: hash(1, number),
        downloaded: 1,
        last_used: at(0),
        peers: (0..peers)
            .map(|peer| StoredPeer {
                origin: None,
                ip: v4(0x0a00_0000 | number << 16 | peer << 8 | 1),
                inner_ip: None,
                port: 1,
                id: PeerId([7; 20]),
                is_seeder: false,
                is_paused: false,
                is_reported: false,
                has_completed: false,
                downloaded_mib: 0,
                last_seen: at(0),
            })
            .collect(),
    };
    let restored = |settings: Settings| {
        let bench = bench(settings);
        let restored: Vec<_> = (0..4)
            .map(|number| bench.tracker.restore(swarm(number, 10), at(1)).peers)
            .collect();
        assert_eq!(bench.tracker.peers(), restored.iter().sum::<usize>() as u64);
        let downloaded =
            (0..4).map(|number| bench.tracker.scrape(&hash(1, number), at(1)).downloaded);
        (restored, downloaded.sum::<u32>())
    };
    assert_eq!(
        restored(only(|to| to.max_peers = 25)),
        (vec![10, 10, 5, 0], 4)
    );
    assert_eq!(
        restored(only(|to| to.max_torrents = 3)),
        (vec![10, 10, 10, 0], 4)
    );
    assert_eq!(
        restored(only(|to| to.max_peers_per_torrent = 4)),
        (vec![4, 4, 4, 4], 4)
    );
    // What is there already is not put in again.
    let bench = bench(Settings::default());
    assert_eq!(
        [(); 2].map(|()| bench.tracker.restore(swarm(0, 10), at(1)).peers),
        [10, 0]
    );
    assert_eq!(bench.tracker.peers(), 10);
}
