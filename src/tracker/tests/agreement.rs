//! Several trackers that tell one another come to know the same, whatever is lost, repeated or late on the way, once each has told again
//! what is its own; and what a hostile one tells breaks nothing.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::tracker::{ClientKey, Origin, PeerDelta, StoredPeer, SwarmDelta, ZoneRule, Zones};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

const TRACKERS: usize = 3;

fn origin(number: usize) -> Origin {
    u8::try_from(number).ok().and_then(Origin::new).unwrap()
}

/// One tracker of several, and what it has told so far, in order.
struct Site {
    bench: Bench,
    log: Vec<SwarmDelta>,
    /// How far each of the others has read.
    read: [usize; TRACKERS],
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A client announces to a tracker.
    Announce {
        to: usize,
        client: u8,
        is_v6: bool,
        kind: u8,
        torrent: bool,
    },
    /// Time goes by.
    Wait(u32),
    /// A tracker tells what it has noted.
    Tell(usize),
    /// It loses what it has noted, as if the engine were gone.
    Lose(usize),
    /// A tracker reads so much of what another one told.
    Read { by: usize, of: usize, count: usize },
    /// It misses so much.
    Miss { by: usize, of: usize, count: usize },
    /// It reads on from so far back.
    Replay { by: usize, of: usize, back: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let site = || 0..TRACKERS;
    let step = prop_oneof![
        8 => (site(), 0_u8..5, any::<bool>(), 0_u8..6, any::<bool>())
            .prop_map(|(to, client, is_v6, kind, torrent)| Step::Announce { to, client, is_v6, kind, torrent }),
        2 => (0_u32..400).prop_map(Step::Wait),
        4 => site().prop_map(Step::Tell),
        1 => site().prop_map(Step::Lose),
        6 => (site(), site(), 1_usize..9).prop_map(|(by, of, count)| Step::Read { by, of, count }),
        1 => (site(), site(), 1_usize..4).prop_map(|(by, of, count)| Step::Miss { by, of, count }),
        1 => (site(), site(), 1_usize..20).prop_map(|(by, of, back)| Step::Replay { by, of, back }),
    ];
    prop::collection::vec(step, 1..120)
}

fn announce_of(client: u8, is_v6: bool, kind: u8, torrent: bool) -> Announce {
    let ip = if is_v6 {
        format!("2001:db8:{client}::1").parse().unwrap()
    } else {
        v4(0x0a00_0001 + u32::from(client))
    };
    Announce {
        info_hash: InfoHash([torrent.into(); 20]),
        peer_id: PeerId([client + 1; 20]),
        key: ClientKey::from_number(u32::from(client) % 3),
        is_seeder: kind >= 4,
        event: match kind {
            0 | 1 => Event::Stopped,
            2 => Event::Paused,
            4 => Event::Completed,
            _ => Event::None,
        },
        ..leecher(ip, 6_881)
    }
}

/// Has a tracker merge what another one told; each knows the others by numbers of its own.
fn hear(by: &Bench, by_number: usize, of: usize, delta: &SwarmDelta, now: Seconds) {
    let known_as = origin(1 + (of + 7 * by_number) % 60);
    let mut delta = delta.clone();
    for (counted, _) in &mut delta.downloaded {
        *counted = Some(known_as);
    }
    by.tracker.merge(Some(known_as), &delta, now);
}

fn sites(settings: &Settings) -> Vec<Site> {
    let new = |_| Site {
        bench: {
            let bench = bench(settings.clone());
            bench.tracker.open_outbox();
            bench
        },
        log: Vec::new(),
        read: [0; TRACKERS],
    };
    (0..TRACKERS).map(new).collect()
}

fn read(sites: &mut [Site], by: usize, of: usize, count: usize, now: Seconds) {
    if by == of {
        return;
    }
    let from = sites[of].read[by];
    let until = (from + count).min(sites[of].log.len());
    for at in from..until {
        hear(&sites[by].bench, by, of, &sites[of].log[at].clone(), now);
    }
    sites[of].read[by] = until;
}

/// When each peer announced last, wherever. Of two announces in one second no tracker can know which was the later one.
type Announced = HashMap<(u8, bool, bool), Seconds>;

fn take(sites: &mut [Site], step: Step, announced: &mut Announced, now: &mut Seconds) {
    match step {
        Step::Announce {
            to,
            client,
            is_v6,
            kind,
            torrent,
        } => {
            if announced.insert((client, is_v6, torrent), *now) == Some(*now) {
                *now = now.plus(1);
                announced.insert((client, is_v6, torrent), *now);
            }
            sites[to]
                .bench
                .announce(&announce_of(client, is_v6, kind, torrent), *now);
        }
        Step::Wait(seconds) => {
            *now = now.plus(seconds);
        }
        Step::Tell(site) => {
            let batch = sites[site].bench.tracker.take_touched();
            let told = sites[site].bench.tracker.deltas_of(batch.touched, *now);
            sites[site].log.extend(told);
        }
        Step::Lose(site) => {
            sites[site].bench.tracker.take_touched();
        }
        Step::Read { by, of, count } => read(sites, by, of, count, *now),
        Step::Miss { by, of, count } => {
            let until = (sites[of].read[by] + count).min(sites[of].log.len());
            sites[of].read[by] = until;
        }
        Step::Replay { by, of, back } => {
            sites[of].read[by] = sites[of].read[by].saturating_sub(back);
            read(sites, by, of, back, *now);
        }
    }
}

/// Everybody reads the rest, tells again what is its own, and reads that.
fn repair(sites: &mut [Site], now: Seconds) {
    let read_all = |sites: &mut [Site]| {
        for by in 0..TRACKERS {
            for of in 0..TRACKERS {
                read(sites, by, of, usize::MAX / 2, now);
            }
        }
    };
    read_all(sites);
    for site in sites.iter_mut() {
        let tracker = &site.bench.tracker;
        let own = tracker.own_torrents().into_iter();
        let own: Vec<_> = own
            .filter_map(|hash| tracker.own_delta(&hash, now))
            .collect();
        site.log.extend(tracker.own_leaves(Seconds::default()));
        site.log.extend(own);
    }
    read_all(sites);
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, ..Default::default() })]
    #[test]
    fn after_one_repair_all_know_the_same(steps in steps(), keeps_ids in any::<bool>()) {
        let settings = Settings { keep_peer_ids: keeps_ids, ..Settings::default() };
        let mut sites = sites(&settings);
        let (mut now, mut announced) = (at(0), Announced::new());
        for step in steps {
            take(&mut sites, step, &mut announced, &mut now);
        }
        // As long as nobody has died, which is a matter of the last announce and not of who heard of it.
        if now.since(at(0)) > 3_000 {
            return Ok(());
        }
        repair(&mut sites, now);
        let digests: Vec<_> = sites.iter().map(|site| site.bench.tracker.digest(now)).collect();
        for digest in &digests {
            prop_assert_eq!(digest, &digests[0]);
        }
        // No ghosts: everybody who is known is some tracker's own, and of every peer the gauges know whose it is.
        let mut own = HashSet::new();
        for site in &sites {
            let tracker = &site.bench.tracker;
            for delta in tracker.own_torrents().iter().filter_map(|hash| tracker.own_delta(hash, now)) {
                own.extend(delta.peers.iter().map(|peer| (delta.info_hash, peer.peer.ip)));
            }
            prop_assert_eq!(tracker.peers_by_origin().iter().sum::<u64>(), tracker.peers());
        }
        prop_assert_eq!(own.len() as u64, digests[0].peers);
        // Another repair changes nothing.
        repair(&mut sites, now);
        for site in &sites {
            prop_assert_eq!(site.bench.tracker.digest(now), digests[0]);
        }
    }
}

fn hostile_peer() -> impl Strategy<Value = PeerDelta> {
    let ip = prop_oneof![
        any::<IpAddr>(),
        (0_u32..40).prop_map(|number| v4(0x0a00_0000 + number)),
        (0_u16..9).prop_map(|number| format!("2001:db8::{number}").parse().unwrap()),
    ];
    let flags = any::<(bool, bool, bool, bool, bool)>();
    let seen = prop_oneof![
        any::<u32>(),
        (0_u32..9_000).prop_map(|seconds| at(seconds).raw())
    ];
    let inner_ip = prop::option::weighted(0.2, any::<IpAddr>());
    (
        ip,
        inner_ip,
        0_u16..4,
        0_u8..3,
        flags,
        (seen, any::<u32>(), 0_u8..3),
    )
        .prop_map(
            |(
                ip,
                inner_ip,
                port,
                id,
                (is_seeder, is_paused, is_reported, has_completed, has_left),
                (seen, downloaded_mib, key),
            )| PeerDelta {
                peer: StoredPeer {
                    ip,
                    inner_ip,
                    port,
                    id: PeerId([id; 20]),
                    is_seeder,
                    is_paused,
                    is_reported,
                    has_completed,
                    downloaded_mib,
                    last_seen: Seconds::from_raw(seen),
                    origin: Some(Origin::UNKNOWN),
                },
                key_proof: [key; 3],
                has_left,
            },
        )
}

fn hostile_delta() -> impl Strategy<Value = (Option<u8>, SwarmDelta)> {
    let counts = prop::collection::vec((prop::option::of(1_u8..=63), any::<u32>()), 0..4);
    (
        prop::option::weighted(0.9, 1_u8..=63),
        0_u8..4,
        counts,
        prop::collection::vec(hostile_peer(), 0..60),
    )
        .prop_map(|(from, torrent, counts, peers)| {
            let downloaded = counts
                .into_iter()
                .map(|(of, count)| (of.and_then(Origin::new), count));
            let info_hash = InfoHash([torrent; 20]);
            (
                from,
                SwarmDelta {
                    info_hash,
                    downloaded: downloaded.collect(),
                    peers,
                },
            )
        })
}

proptest! {
    #[test]
    fn whatever_is_told_breaks_neither_counts_nor_bounds(
        deltas in prop::collection::vec((hostile_delta(), 0_u32..2_000, any::<bool>(), 0_u8..9), 1..30),
        keep_peer_ids in any::<bool>(),
        has_zones in any::<bool>(),
    ) {
        let settings = Settings {
            max_peers: 60,
            max_torrents: 3,
            max_peers_per_torrent: 30,
            max_ports_per_address: 2,
            max_torrents_per_address: 4,
            keep_peer_ids,
            ..Settings::default()
        };
        let mut bench = bench(settings);
        bench.tracker.open_outbox();
        let mut now = at(0);
        for ((from, delta), seconds, has_announce, deed) in deltas {
            now = now.plus(seconds);
            let merged = bench.tracker.merge(from.and_then(Origin::new), &delta, now);
            let sum = [merged.joined, merged.refreshed, merged.left, merged.stale, merged.expired, merged.blocked, merged.over_bound, merged.over_quota, merged.invalid];
            prop_assert_eq!(sum.iter().sum::<u32>() as usize, delta.peers.len());
            if has_announce {
                let own = Announce { info_hash: delta.info_hash, ..leecher(v4(0x0a00_0000 + u32::from(deed)), 1) };
                let reply = bench.announce(&own, now);
                prop_assert!(u64::from(reply.complete + reply.incomplete) <= bench.tracker.peers());
            }
            match deed {
                0 => drop(bench.tracker.sweep(now)),
                1 => drop(from.and_then(Origin::new).map(|from| bench.tracker.forget(from, now))),
                2 if has_zones => {
                    let rule = ZoneRule { path: "a".into(), prefixes: vec!["10.0.0.0/8".parse().unwrap()], ..ZoneRule::default() };
                    bench.tracker.set_zones(Zones::new(&[rule], &[]).unwrap(), now);
                }
                _ => {}
            }
            check(&bench, now);
        }
        // When all are dead, nobody is left over in any count.
        bench.tracker.sweep(now.plus(10_000));
        prop_assert_eq!(bench.tracker.peers(), 0);
        prop_assert_eq!(bench.tracker.peers_by_origin(), [0; 64]);
        // No address is charged for anything that has gone, but for torrents whose counts are kept.
        bench.tracker.sweep(now.plus(40 * 86_400));
        let later = now.plus(40 * 86_400);
        for number in 0..3 {
            let own = Announce { info_hash: InfoHash([number; 20]), ..leecher(v4(0x0a00_0005), 1) };
            bench.announce(&own, later);
        }
        prop_assert_eq!(bench.tracker.peers(), 3);
    }
}

/// What must be true of a tracker at any time.
fn check(bench: &Bench, now: Seconds) {
    let tracker = &bench.tracker;
    assert!(tracker.peers() <= 60);
    let by_origin = tracker.peers_by_origin();
    assert_eq!(by_origin.iter().sum::<u64>(), tracker.peers());
    assert!(by_origin[1..].iter().all(|peers| *peers <= 30));
    let mut by_hand = [0; 64];
    for torrent in 0..4 {
        let hash = InfoHash([torrent; 20]);
        let scraped = tracker.scrape(&hash, now);
        let Some(swarm) = tracker.export(&hash, now) else {
            continue;
        };
        assert!(swarm.peers.len() <= 30);
        let seeders = swarm.peers.iter().filter(|peer| peer.is_seeder).count();
        assert!(scraped.complete as usize <= seeders);
        assert!((scraped.complete + scraped.incomplete) as usize <= swarm.peers.len());
        assert!(
            swarm
                .peers
                .iter()
                .all(|peer| peer.port != 0 && peer.last_seen <= now)
        );
        for peer in &swarm.peers {
            by_hand[usize::from(peer.origin.map_or(0, Origin::get))] += 1;
        }
    }
    // The gauges count those too whom no look has found dead yet.
    assert!(
        by_hand
            .iter()
            .zip(by_origin)
            .all(|(counted, gauge)| *counted <= gauge)
    );
}

#[test]
fn a_million_of_one_address_take_the_room_of_one_address() {
    let bench = bench(Settings::default());
    let one = |number: u32| PeerDelta {
        peer: StoredPeer {
            ip: v4(0x0a00_0001),
            inner_ip: None,
            port: u16::try_from(number % 65_535 + 1).unwrap(),
            id: PeerId([7; 20]),
            is_seeder: number.is_multiple_of(2),
            is_paused: false,
            is_reported: false,
            has_completed: true,
            downloaded_mib: number,
            last_seen: at(number / 1_000),
            origin: None,
        },
        key_proof: [1; 3],
        has_left: number.is_multiple_of(97),
    };
    for torrent in 0..100_u8 {
        let delta = SwarmDelta {
            info_hash: InfoHash([torrent; 20]),
            downloaded: vec![(Some(origin(1)), u32::MAX)],
            peers: (0..10_000).map(one).collect(),
        };
        bench.tracker.merge(Some(origin(1)), &delta, at(1_000));
    }
    assert!(bench.tracker.peers() <= 100 * 50);
    let counts = bench.tracker.scrape(&InfoHash([1; 20]), at(1_000));
    assert_eq!(counts.downloaded, u32::MAX);
    assert!(counts.complete + counts.incomplete <= 50);
}
