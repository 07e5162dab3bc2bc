//! Promises about events, counts, expiry and bounds, one by one.

#[cfg(test)]
use super::*;
use crate::clock::Wall;
use crate::metrics::AnnounceOutcome;
use crate::net::AddressPair;
use crate::tracker::report::census::Census;
use crate::tracker::{Block, Refusal, Target, Zones};

fn outcomes(bench: &Bench, outcome: AnnounceOutcome) -> u64 {
    bench.tracker.metrics().totals().outcomes(outcome)
}

/// S4
#[test]
fn a_peer_is_handed_out_to_its_last_second_and_not_after() {
    let mut bench = bench(Settings {
        announce_interval: 100,
        ..Settings::default()
    });
    bench.announce(&leecher(v4(1 << 24), 1), at(0));
    let reply = bench.announce(&leecher(v4(2 << 24), 2), at(199));
    assert_eq!((reply.incomplete, bench.handed().len()), (2, 1));
    assert_eq!(bench.tracker.scrape(&HASH, at(199)).incomplete, 2);
    assert_eq!(bench.tracker.scrape(&HASH, at(200)).incomplete, 1);
    let reply = bench.announce(&leecher(v4(3 << 24), 3), at(200));
    assert_eq!((reply.incomplete, bench.handed().len()), (2, 1));
}

/// S4: a torrent without peers is freed, its count is kept for its time.
#[test]
fn an_empty_torrent_keeps_its_downloads_for_the_configured_time() {
    let mut bench = bench(Settings {
        announce_interval: 100,
        keep_downloaded: 1_000,
        ..Settings::default()
    });
    bench.announce(
        &Announce {
            event: Event::Completed,
            ..seeder(v4(9), 1)
        },
        at(0),
    );
    bench.tracker.sweep(at(900));
    assert_eq!(bench.tracker.scrape(&HASH, at(900)).downloaded, 1);
    assert!(bench.tracker.export(&HASH, at(900)).is_some());
    assert_eq!(bench.tracker.sweep(at(999)).freed_torrents, 0);
    assert_eq!(bench.tracker.sweep(at(1_000)).freed_torrents, 1);
    assert_eq!(bench.tracker.scrape(&HASH, at(1_000)).downloaded, 0);
    assert_eq!(bench.tracker.freed(), vec![HASH]);
}

/// P4, P10, R9: only an announce that stores a peer makes a torrent.
#[test]
fn strangers_that_stop_and_port_zero_leave_nothing_behind() {
    let mut bench = bench(Settings::default());
    for number in 0..100 {
        let info_hash = InfoHash([number; 20]);
        bench.announce(
            &Announce {
                info_hash,
                event: Event::Stopped,
                ..leecher(v4(5), 1)
            },
            at(0),
        );
        let reply = bench.announce(
            &Announce {
                info_hash,
                ..leecher(v4(5), 0)
            },
            at(0),
        );
        assert_eq!(reply.incomplete, 0);
        bench.tracker.scrape(&info_hash, at(0));
    }
    assert!(bench.tracker.changed().is_empty());
    assert_eq!(bench.tracker.peers(), 0);
}

/// P9
#[test]
fn a_completed_counts_once_per_peer() {
    let mut bench = bench(Settings::default());
    let done = Announce {
        event: Event::Completed,
        ..seeder(v4(77), 1)
    };
    for second in 0..5 {
        bench.announce(&done, at(second));
    }
    let restarted = Announce {
        peer_id: PeerId([9; 20]),
        ..done
    };
    assert_eq!(bench.announce(&restarted, at(9)).downloaded, 1);
    assert_eq!(
        bench
            .announce(&Announce { port: 2, ..done }, at(9))
            .downloaded,
        2
    );
}

/// P16
#[test]
fn paused_partial_seeds_are_counted_apart_and_not_handed_to_seeders() {
    let mut bench = bench(Settings::default());
    bench.announce(
        &Announce {
            event: Event::Paused,
            ..leecher(v4(1), 1)
        },
        at(0),
    );
    bench.announce(&leecher(v4(2), 1), at(0));
    let scrape = bench.tracker.scrape(&HASH, at(0));
    assert_eq!(
        (scrape.complete, scrape.incomplete, scrape.downloaders),
        (0, 2, 1)
    );
    bench.announce(&seeder(v4(3), 1), at(0));
    assert_eq!(bench.handed(), vec![SocketAddr::new(v4(2), 1)]);
    bench.announce(&leecher(v4(4), 1), at(0));
    assert_eq!(bench.handed().len(), 3);
    // It goes on downloading.
    bench.announce(
        &Announce {
            event: Event::Started,
            ..leecher(v4(1), 1)
        },
        at(1),
    );
    let scrape = bench.tracker.scrape(&HASH, at(1));
    assert_eq!((scrape.incomplete, scrape.downloaders), (3, 3));
}

/// P12
#[test]
fn intervals_are_spread_and_min_interval_follows() {
    let mut bench = bench(Settings::default());
    let replies: Vec<_> = (0..500)
        .map(|port| bench.announce(&leecher(v4(port), 1), at(0)))
        .collect();
    assert!(
        replies
            .iter()
            .all(|reply| (1_620..=1_980).contains(&reply.interval))
    );
    assert!(
        replies
            .iter()
            .all(|reply| reply.min_interval == reply.interval * 9 / 10)
    );
    let mut seen: Vec<_> = replies.iter().map(|reply| reply.interval).collect();
    seen.sort_unstable();
    assert!(seen[0] < 1_640 && seen[499] > 1_960);
}

/// P11
#[test]
fn numwant_is_capped_and_zero_gives_true_counts() {
    let mut bench = bench(Settings::default());
    for number in 0..500 {
        bench.announce(&leecher(v4(number), 1), at(0));
    }
    for (num_want, expected) in [
        (None, 50),
        (Some(0), 0),
        (Some(7), 7),
        (Some(u32::MAX), 200),
    ] {
        let reply = bench.announce(
            &Announce {
                num_want,
                ..leecher(v4(1), 1)
            },
            at(1),
        );
        assert_eq!((bench.list.len(), reply.incomplete), (expected, 500));
    }
    let mut asks = leecher(v4(1), 1);
    asks.options.max_peers = Some(3);
    bench.announce(&asks, at(1));
    assert_eq!(bench.list.len(), 3);
}

/// P13
#[test]
fn both_families_are_one_swarm_and_the_requesters_own_comes_first() {
    let mut bench = bench(Settings {
        num_want: 30,
        ..Settings::default()
    });
    let v6 = |number: u32| -> IpAddr { format!("2001:db8:{number}::1").parse().unwrap() };
    for number in 0..20 {
        bench.announce(&leecher(v4(number), 1), at(0));
    }
    for number in 0..20 {
        bench.announce(&leecher(v6(number), 1), at(0));
    }
    let reply = bench.announce(&leecher(v4(0), 1), at(1));
    assert_eq!(
        (reply.incomplete, bench.list.v4.len(), bench.list.v6.len()),
        (40, 19, 11)
    );
    bench.announce(&leecher(v6(0), 1), at(1));
    assert_eq!((bench.list.v4.len(), bench.list.v6.len()), (11, 19));
    let mut asks = leecher(v6(0), 1);
    asks.options.own_family_only = true;
    bench.announce(&asks, at(1));
    assert_eq!((bench.list.v4.len(), bench.list.v6.len()), (0, 19));
}

/// S1: a client that announces over both families does not meet itself.
#[test]
fn a_client_is_not_handed_its_own_other_address() {
    let mut bench = bench(Settings::default());
    let id = PeerId([3; 20]);
    bench.announce(
        &Announce {
            peer_id: id,
            ..leecher("2001:db8::1".parse().unwrap(), 1)
        },
        at(0),
    );
    bench.announce(&leecher("2001:db8::2".parse().unwrap(), 1), at(0));
    bench.announce(
        &Announce {
            peer_id: id,
            ..leecher(v4(1), 1)
        },
        at(0),
    );
    assert_eq!(bench.handed(), vec!["[2001:db8::2]:1".parse().unwrap()]);
}

fn bounded(set: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings {
        max_ports_per_address: 0,
        ..Settings::default()
    };
    set(&mut settings);
    settings
}

/// The 20 announces that run into `bound`: each from an address, to a torrent, or both, of its own.
fn announces_into(bound: AnnounceOutcome) -> Vec<Announce> {
    let one_address = matches!(
        bound,
        AnnounceOutcome::FullAddress | AnnounceOutcome::FullPorts
    );
    let many_torrents = matches!(
        bound,
        AnnounceOutcome::FullTorrents | AnnounceOutcome::FullAddress
    );
    let announce = |number: u8| {
        let ip = v4(if one_address { 1 } else { number.into() });
        let info_hash = if many_torrents {
            InfoHash([number; 20])
        } else {
            HASH
        };
        Announce {
            info_hash,
            ..leecher(ip, u16::from(number) + 1)
        }
    };
    (0..20).map(announce).collect()
}

/// S5: each bound refuses to store, still answers, and counts.
#[test]
fn at_a_bound_announces_are_answered_and_not_stored() {
    let cases = [
        (bounded(|to| to.max_peers = 10), AnnounceOutcome::FullPeers),
        (
            bounded(|to| to.max_torrents = 10),
            AnnounceOutcome::FullTorrents,
        ),
        (
            bounded(|to| to.max_peers_per_torrent = 10),
            AnnounceOutcome::FullSwarm,
        ),
        (
            bounded(|to| to.max_torrents_per_address = 10),
            AnnounceOutcome::FullAddress,
        ),
        (
            bounded(|to| to.max_ports_per_address = 10),
            AnnounceOutcome::FullPorts,
        ),
    ];
    for (settings, bound) in cases {
        let mut bench = bench(settings);
        let announces = announces_into(bound);
        for announce in &announces {
            bench.announce(announce, at(0));
        }
        assert_eq!(
            (outcomes(&bench, bound), bench.tracker.peers()),
            (10, 10),
            "{bound:?}"
        );
        // What is stored is refreshed as ever, and room that becomes free is used.
        bench.announce(&announces[0], at(1_000));
        assert_eq!(outcomes(&bench, AnnounceOutcome::Refreshed), 1, "{bound:?}");
        let stopped = Announce {
            event: Event::Stopped,
            ..announces[0]
        };
        bench.announce(&stopped, at(1_000));
        bench.tracker.sweep(at(1_000));
        bench.announce(&announces[19], at(1_000));
        assert_eq!(
            (outcomes(&bench, bound), bench.tracker.peers()),
            (10, 10),
            "{bound:?}"
        );
    }
}

/// S5: counts of dead torrents never keep living ones out.
#[test]
fn kept_download_counts_give_way_when_torrents_near_their_bound() {
    let mut bench = bench(Settings {
        max_torrents: 100,
        announce_interval: 10,
        ..Settings::default()
    });
    let mut round = |from: u8, now| {
        for number in from..from + 90 {
            let info_hash = InfoHash([number; 20]);
            bench.announce(
                &Announce {
                    info_hash,
                    event: Event::Completed,
                    ..seeder(v4(number.into()), 1)
                },
                now,
            );
        }
        bench.tracker.sweep(now.plus(50));
        bench.tracker.peers()
    };
    round(0, at(0));
    round(100, at(100));
    assert_eq!(outcomes(&bench, AnnounceOutcome::FullTorrents), 0);
}

/// S11
#[test]
fn early_announces_are_answered_and_change_nothing() {
    let mut bench = bench(Settings::default());
    bench.announce(&leecher(v4(1), 1), at(0));
    bench.announce(&leecher(v4(2), 1), at(0));
    drop(
        bench
            .tracker
            .changed()
            .iter()
            .map(|hash| bench.tracker.export(hash, at(0)))
            .collect::<Vec<_>>(),
    );
    bench.announce(&leecher(v4(1), 1), at(809));
    assert_eq!(
        (outcomes(&bench, AnnounceOutcome::Early), bench.list.len()),
        (1, 1)
    );
    assert!(bench.tracker.changed().is_empty());
    bench.announce(&leecher(v4(1), 1), at(810));
    assert_eq!(
        (
            outcomes(&bench, AnnounceOutcome::Early),
            outcomes(&bench, AnnounceOutcome::Refreshed)
        ),
        (1, 1)
    );
    // An inner address that is told again is nothing new (S10); another one is.
    for (second, inner_ip, early) in [(820, 8, 1), (821, 8, 2), (822, 9, 2), (823, 9, 3)] {
        let inner_ip = Some(v4(inner_ip));
        let told = Announce {
            inner_ip,
            ..leecher(v4(1), 1)
        };
        bench.announce(&told, at(second));
        assert_eq!(
            outcomes(&bench, AnnounceOutcome::Early),
            early,
            "at {second}"
        );
    }
    // Another state is never early.
    bench.announce(&seeder(v4(1), 1), at(831));
    bench.announce(
        &Announce {
            event: Event::Stopped,
            ..seeder(v4(1), 1)
        },
        at(832),
    );
    assert_eq!(
        (
            outcomes(&bench, AnnounceOutcome::Early),
            bench.tracker.peers()
        ),
        (3, 1)
    );
}

/// W4, R12
#[test]
fn a_block_acts_on_who_is_stored_and_on_who_comes() {
    let mut bench = bench(Settings::default());
    for number in 0..40 {
        bench.announce(&leecher(v4(0x0a00_0000 + number), 1), at(0));
    }
    let other = InfoHash([5; 20]);
    bench.announce(
        &Announce {
            info_hash: other,
            ..leecher(v4(1), 1)
        },
        at(0),
    );
    let block = |target| Block {
        number: 1,
        target,
        reason: "test".into(),
        created: Wall(1),
        expires: None,
    };
    let blocks = vec![
        block(Target::Network("10.0.0.0/27".parse().unwrap())),
        block(Target::Torrent(other)),
    ];
    bench.tracker.block(blocks, Wall(1), at(0));
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).incomplete, 8);
    bench.announce(&leecher(v4(0x0a00_0020), 1), at(1));
    assert!(
        bench
            .handed()
            .iter()
            .all(|peer| peer.ip() >= v4(0x0a00_0020))
    );
    assert_eq!(bench.tracker.scrape(&other, at(0)).incomplete, 0);
    let mut context = AnnounceContext {
        now: at(1),
        rng: &mut bench.rng,
        counters: bench.tracker.metrics().counters(0),
    };
    let refused =
        bench
            .tracker
            .announce(&leecher(v4(0x0a00_0001), 1), &mut context, &mut bench.list);
    assert_eq!(refused, Err(Refusal::AddressBlocked));
    let refused = bench.tracker.announce(
        &Announce {
            info_hash: other,
            ..leecher(v4(9), 1)
        },
        &mut context,
        &mut bench.list,
    );
    assert_eq!(refused, Err(Refusal::TorrentBlocked));
    assert_eq!(bench.tracker.peers(), 8);
}

/// W4, R12: however a block and announces of whom it covers meet, nobody blocked stays stored.
#[test]
fn who_announces_while_being_blocked_does_not_stay_stored() {
    let tracker = Tracker::new(Settings::default(), Arc::new(Metrics::new(1)));
    let block = || Block {
        number: 1,
        target: Target::Network("10.0.0.0/8".parse().unwrap()),
        reason: "test".into(),
        created: Wall(1),
        expires: None,
    };
    let announces = |tracker: &Tracker, thread: u32, end: &std::sync::atomic::AtomicBool| {
        let metrics = Arc::clone(tracker.metrics());
        let mut rng = fastrand::Rng::with_seed(thread.into());
        let mut list = PeerList::default();
        let mut number = 0_u8;
        while !end.load(std::sync::atomic::Ordering::Relaxed) {
            number = number.wrapping_add(1);
            let announce = Announce {
                info_hash: InfoHash([number % 8; 20]),
                event: Event::Started,
                ..leecher(v4(0x0a00_0000 + thread), u16::from(number) + 1)
            };
            let mut context = AnnounceContext {
                now: at(0),
                rng: &mut rng,
                counters: metrics.spare(),
            };
            let _answered = tracker.announce(&announce, &mut context, &mut list);
        }
    };
    for round in 0..200 {
        let end = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                scope.spawn({
                    let (tracker, end) = (&tracker, &end);
                    move || announces(tracker, thread, end)
                });
            }
            while tracker.peers() == 0 {
                std::hint::spin_loop();
            }
            tracker.block(vec![block()], Wall(1), at(0));
            end.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(tracker.peers(), 0, "round {round}");
        tracker.block(Vec::new(), Wall(1), at(0));
    }
}

/// S10
#[test]
fn who_is_inside_is_handed_the_inside_address() {
    let mut bench = bench(Settings::default());
    let pair = AddressPair {
        inside: "10.7.0.0/16".parse().unwrap(),
        outside: "203.0.113.0/24".parse().unwrap(),
    };
    bench
        .tracker
        .set_zones(Zones::new(&[], &[pair]).unwrap(), at(0));
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let natted = Announce {
        inner_ip: Some(ip("10.7.0.5")),
        ..leecher(ip("203.0.113.9"), 1)
    };
    bench.announce(&natted, at(0));
    for (asker, expected) in [
        ("10.7.3.3", "10.7.0.5:1"),
        ("198.51.100.1", "203.0.113.9:1"),
        // The same external address: they sit behind one NAT.
        ("203.0.113.9", "10.7.0.5:1"),
    ] {
        bench.announce(&leecher(ip(asker), 2), at(1));
        assert!(
            bench.handed().contains(&expected.parse().unwrap()),
            "{asker}"
        );
        assert_eq!(
            bench
                .handed()
                .iter()
                .filter(|peer| peer.port() == 1)
                .count(),
            1
        );
    }
    // An insider that said its outside address: outsiders are handed that.
    bench.announce(
        &Announce {
            inner_ip: Some(ip("203.0.113.77")),
            ..leecher(ip("10.7.9.9"), 3)
        },
        at(2),
    );
    bench.announce(&leecher(ip("198.51.100.2"), 2), at(2));
    assert!(bench.handed().contains(&"203.0.113.77:3".parse().unwrap()));
    bench.announce(&leecher(ip("10.7.3.4"), 2), at(2));
    assert!(bench.handed().contains(&"10.7.9.9:3".parse().unwrap()));
}

/// S10: where both sides of a pair are of one size, nobody has to tell its other address.
#[test]
fn realms_of_one_size_need_no_telling() {
    let mut bench = bench(Settings::default());
    let pair = AddressPair {
        inside: "10.7.0.0/16".parse().unwrap(),
        outside: "198.18.0.0/16".parse().unwrap(),
    };
    bench
        .tracker
        .set_zones(Zones::new(&[], &[pair]).unwrap(), at(0));
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let rules = Rules {
        pairs: vec![pair],
        ..Rules::default()
    };
    let at_source = |bench: &mut Bench, source, port| Announce {
        ip: bench.resolve(source, None, &rules).unwrap().ip,
        ..leecher(source, port)
    };
    let inside = at_source(&mut bench, ip("10.7.0.5"), 1);
    bench.announce(&inside, at(0));
    // The same host, seen from outside: it is the same peer.
    let again = bench.announce(&leecher(ip("198.18.0.5"), 1), at(0));
    assert_eq!((again.incomplete, bench.list.len()), (1, 0));
    for (asker, expected) in [
        ("10.7.3.3", "10.7.0.5:1"),
        ("198.18.3.4", "10.7.0.5:1"),
        ("203.0.113.9", "198.18.0.5:1"),
    ] {
        let asks = at_source(&mut bench, ip(asker), 0);
        bench.announce(&asks, at(1));
        assert_eq!(bench.handed(), [expected.parse().unwrap()], "{asker}");
    }
    // More than a swarm keeps of addresses that are told; the bounds and blocks of the outside hold.
    for host in 0..100 {
        let inside = at_source(&mut bench, v4(0x0a07_0100 + host), 1);
        bench.announce(&inside, at(0));
    }
    let inside = at_source(&mut bench, ip("10.7.3.3"), 1);
    bench.announce(&inside, at(1));
    let handed = bench.handed();
    assert_eq!(handed.len(), 50);
    assert!(handed.iter().all(|peer| pair.inside.contains(&peer.ip())));
}

/// O11
#[test]
fn savings_are_what_was_loaded_times_the_local_share_of_the_list() {
    let mut bench = bench(Settings {
        line_mib: 1,
        ..Settings::default()
    });
    let rule = |path: &str, prefix: &str| crate::tracker::ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..Default::default()
    };
    let zones =
        || Zones::new(&[rule("a/x", "10.0.0.0/24"), rule("b", "10.1.0.0/16")], &[]).unwrap();
    bench.tracker.set_zones(zones(), at(0));
    bench.announce(&seeder(v4(0x0a00_0001), 1), at(0));
    bench.announce(&seeder(v4(0x0a01_0001), 1), at(0));
    let asker = leecher(v4(0x0a00_0002), 1);
    bench.announce(&asker, at(0));
    bench.announce(
        &Announce {
            downloaded: 100 << 20,
            ..asker
        },
        at(1_000),
    );
    // Half of the list was local; the line could have carried all of it.
    bench.announce(
        &Announce {
            downloaded: 5_000 << 20,
            ..asker
        },
        at(2_000),
    );
    let rows = bench.tracker.zone_statistics();
    let row = rows
        .iter()
        .find(|row| row.path == "a/x")
        .unwrap()
        .handed_out;
    let expected = (100 + 1_000) * 127 / 255;
    assert_eq!(
        (row.saved_mib, row.announces_with_local_seeder),
        (expected, 3)
    );
    // Kept across a reload and a restart.
    bench.tracker.set_zones(zones(), at(0));
    assert_eq!(bench.tracker.zone_statistics(), rows);
    let census = bench.tracker.census(at(2_000), Wall(7_200));
    let above = census.zones.iter().find(|zone| zone.path == "a").unwrap();
    assert_eq!(
        (above.own.peers(), above.below.peers(), above.torrents),
        (0, 2, 1)
    );
    assert_eq!(above.handed_out.saved_mib, expected);
    assert_eq!(
        bench
            .tracker
            .zone_statistics()
            .iter()
            .map(|row| row.hours.clone())
            .max(),
        Some(vec![])
    );
}

/// O11: a list of nobody leaves the neighbours of the list before, and the last announce tells of a download too.
#[test]
fn savings_go_on_over_empty_lists_to_the_last_announce() {
    let mut bench = bench(Settings::default());
    let rule = crate::tracker::ZoneRule {
        path: "a".into(),
        prefixes: vec!["10.0.0.0/24".parse().unwrap()],
        ..Default::default()
    };
    bench
        .tracker
        .set_zones(Zones::new(&[rule], &[]).unwrap(), at(0));
    bench.announce(&seeder(v4(0x0a00_0001), 1), at(0));
    let asker = leecher(v4(0x0a00_0002), 1);
    let saved = |bench: &Bench| {
        let rows = bench.tracker.zone_statistics();
        rows.first().map_or(0, |row| row.handed_out.saved_mib)
    };
    let turns = [
        (0, Event::None, None, 0),
        (40, Event::None, Some(0), 40),
        (90, Event::None, None, 90),
        (99, Event::Stopped, Some(0), 99),
    ];
    for (context, (mib, event, num_want, expected)) in (0..).zip(turns) {
        let asker = Announce {
            downloaded: mib << 20,
            event,
            num_want,
            ..asker
        };
        bench.announce(&asker, at(context * 1_000));
        assert_eq!(saved(&bench), expected, "{mib} MiB");
    }
    let announces = bench.tracker.zone_statistics()[0].handed_out.announces;
    assert_eq!(announces, 4, "the one that stopped got no list");
}

/// O11, W7: savings by hour, and the pace of announces, of a zone and of the branches above it.
#[test]
fn savings_are_booked_by_hour_and_announces_have_a_pace() {
    let mut bench = bench(Settings::default());
    let rule = |path: &str, prefix: &str| crate::tracker::ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..Default::default()
    };
    let rules = [rule("a/x", "10.0.0.0/24"), rule("a/y", "10.0.1.0/24")];
    bench
        .tracker
        .set_zones(Zones::new(&rules, &[]).unwrap(), at(0));
    let askers = [v4(0x0a00_0001), v4(0x0a00_0101)].map(|ip| leecher(ip, 1));
    let address_counts = |bench: &mut Bench, mib: u64, second: u32| {
        for asker in askers {
            let asker = Announce {
                downloaded: mib << 20,
                ..asker
            };
            bench.announce(&asker, at(second));
        }
    };
    address_counts(&mut bench, 0, 0);
    address_counts(&mut bench, 0, 1_000);
    let first = bench.tracker.census(at(1_000), Wall(7_200));
    address_counts(&mut bench, 510, 2_000);
    let mut second = bench.tracker.census(at(2_000), Wall(8_200));
    address_counts(&mut bench, 765, 4_000);
    bench.tracker.census(at(4_000), Wall(10_800));
    second.pace(&first);
    let pace = |census: &Census, path: &str| {
        let zone = census.zones.iter().find(|zone| zone.path == path);
        zone.unwrap().announces_per_second
    };
    assert_eq!((pace(&second, "a/x"), pace(&second, "a")), (0.001, 0.002));
    assert_eq!(pace(&first, "a"), 0.0);
    // Nobody else is near: each was handed just the other, who is of its top zone.
    let saved = |path| bench.tracker.savings(path);
    assert_eq!(saved("a/x"), Some(vec![(2, 510), (3, 255)]));
    assert_eq!(saved("a"), Some(vec![(2, 1_020), (3, 510)]));
    assert_eq!((saved(""), saved("a/z")), (saved("a"), None));
}

/// C7: what is reported never replaces or removes what came from its own address.
#[test]
fn a_reported_address_never_touches_a_real_one() {
    let mut bench = bench(Settings::default());
    bench.announce(&leecher(v4(7), 1), at(0));
    let forged = Announce {
        is_reported: true,
        ..seeder(v4(7), 1)
    };
    let stopped = Announce {
        event: Event::Stopped,
        ..forged
    };
    for announce in [forged, stopped] {
        bench.announce(&announce, at(1));
        let counts = bench.tracker.scrape(&HASH, at(1));
        assert_eq!((counts.complete, counts.incomplete), (0, 1));
    }
    // The other way round the real one takes the place.
    let early = Announce {
        is_reported: true,
        ..seeder(v4(8), 1)
    };
    bench.announce(&early, at(1));
    bench.announce(
        &Announce {
            event: Event::Started,
            ..leecher(v4(8), 1)
        },
        at(2),
    );
    bench.announce(
        &Announce {
            event: Event::Stopped,
            ..early
        },
        at(3),
    );
    assert_eq!(bench.tracker.scrape(&HASH, at(3)).incomplete, 2);
}

/// C7: a snapshot tells what was reported from what came from its own address.
#[test]
fn a_reported_address_is_one_still_after_a_restart() {
    let mut before = bench(Settings::default());
    let reported = Announce {
        is_reported: true,
        ..seeder(v4(0x0a00_0007), 1)
    };
    before.announce(&reported, at(0));
    before.announce(&seeder(v4(0x0a00_0008), 1), at(0));
    let stored = before.tracker.export(&HASH, at(1)).unwrap();

    let mut bench = bench(Settings::default());
    bench.tracker.restore(stored, at(1));
    for ip in [v4(0x0a00_0007), v4(0x0a00_0008)] {
        let stopped = Announce {
            is_reported: true,
            event: Event::Stopped,
            ..seeder(ip, 1)
        };
        bench.announce(&stopped, at(2));
    }
    let left = bench.tracker.export(&HASH, at(2)).unwrap().peers;
    let left: Vec<_> = left
        .iter()
        .map(|peer| (peer.ip, peer.is_reported))
        .collect();
    assert_eq!(left, [(v4(0x0a00_0008), false)]);
}

/// C7: a swarm takes 64 peers that others only tell of, through restarts, expiry and blocks; who comes itself has room.
#[test]
fn a_swarm_has_room_for_few_reported_addresses() {
    let reported = |number: u32| Announce {
        is_reported: true,
        ..seeder(v4(0x0a00_0000 + number), 1)
    };
    let mut first = bench(Settings::default());
    for number in 0..70 {
        let reply = first.announce(&reported(number), at(0));
        assert_eq!(reply.complete, (number + 1).min(64));
    }
    assert_eq!(
        first.announce(&seeder(v4(0x0a00_0045), 1), at(0)).complete,
        65
    );

    // What is known is refreshed, and its count is known after a restart.
    let mut bench = bench(Settings::default());
    let stored = first.tracker.export(&HASH, at(1)).unwrap();
    assert_eq!(bench.tracker.restore(stored, at(1)).peers, 65);
    assert_eq!(bench.announce(&reported(70), at(1)).complete, 65);
    assert_eq!(bench.announce(&reported(63), at(600)).complete, 65);

    // One comes itself, one leaves: two others have room.
    let own = Announce {
        event: Event::Started,
        ..seeder(v4(0x0a00_0000), 1)
    };
    assert_eq!(bench.announce(&own, at(600)).complete, 65);
    let stopped = Announce {
        event: Event::Stopped,
        ..reported(63)
    };
    assert_eq!(bench.announce(&stopped, at(600)).complete, 64);
    for number in 100..103 {
        let reply = bench.announce(&reported(number), at(600));
        assert_eq!(reply.complete, (number - 35).min(66));
    }

    // All the others die; then there is room for 62 beside the two.
    let lifetime = Settings::default().lifetime();
    for number in 200..270 {
        bench.announce(&reported(number), at(lifetime + 2));
    }
    let alive = bench.tracker.export(&HASH, at(lifetime + 2)).unwrap().peers;
    let told = alive.iter().filter(|peer| peer.is_reported).count();
    assert_eq!((told, alive.len()), (64, 65));
}
