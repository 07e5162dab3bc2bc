//! The tracker agrees with a list that is searched from end to end.

#[cfg(test)]
use std::collections::HashMap;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::tracker::{Selection, StoredSwarm, Zones};

const LIFETIME: u32 = 200;

#[derive(Clone, Debug)]
enum Step {
    Announce {
        who: u16,
        client: u8,
        torrent: u8,
        is_seeder: bool,
        event: Event,
        is_v6: bool,
        want: Option<u32>,
    },
    Wait(u32),
    Sweep,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        5 => Just(Event::None),
        2 => Just(Event::Started),
        1 => Just(Event::Completed),
        2 => Just(Event::Stopped),
        1 => Just(Event::Paused),
    ];
    let want = prop_oneof![Just(None), (0_u32..100).prop_map(Some)];
    let announce = (
        any::<u16>(),
        prop_oneof![12 => Just(0_u8), 1 => 1_u8..3],
        0_u8..3,
        any::<bool>(),
        event,
        any::<bool>(),
        want,
    )
        .prop_map(
            |(who, client, torrent, is_seeder, event, is_v6, want)| Step::Announce {
                who,
                client,
                torrent,
                is_seeder,
                event,
                is_v6,
                want,
            },
        );
    prop_oneof![60 => announce, 3 => (0_u32..60).prop_map(Step::Wait), 1 => Just(Step::Sweep), 1 => Just(Step::Reload)]
}

#[derive(Clone, Copy)]
struct Known {
    is_seeder: bool,
    is_paused: bool,
    has_completed: bool,
    client: u8,
    seen: Seconds,
}

fn zones(revision: u32) -> Zones {
    let rule = |path: &str, prefix: String| crate::tracker::ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..Default::default()
    };
    let rules = [
        rule("a/x", format!("10.0.{}.0/25", revision % 3)),
        rule("a/y", "10.0.1.128/25".to_owned()),
        rule("b", format!("2001:db8::{}00/120", revision % 3)),
    ];
    Zones::new(&rules, &[]).unwrap()
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 40, ..Default::default() })]

    /// P9, P10, P11, S1, S2, S4
    #[test]
    fn the_tracker_agrees_with_a_naive_model(
        selection in prop_oneof![Just(Selection::Few), Just(Selection::Shares)],
        most in 1_u16..700,
        hosts in prop_oneof![Just(1_u32), 2_u32..20, Just(1_000)],
        steps in proptest::collection::vec(step(), 1..800),
    ) {
        let settings = Settings {
            selection,
            announce_interval: LIFETIME / 2,
            max_ports_per_address: 0,
            ..Settings::default()
        };
        let mut bench = bench(settings.clone());
        let mut model: HashMap<(u8, SocketAddr), Known> = HashMap::new();
        let mut downloaded: HashMap<u8, u32> = HashMap::new();
        let (mut now, mut revision) = (at(0), 0);
        for step in steps {
            match step {
                Step::Wait(seconds) => now = now.plus(seconds),
                Step::Sweep => {
 bench.tracker.sweep(now);
 }
                Step::Reload => {
                    revision += 1;
                    bench.tracker.set_zones(zones(revision), now);
                }
                Step::Announce { who, client, torrent, is_seeder, event, is_v6, want } => {
                    let who = u32::from(who % most);
                    // Some have an address to themselves, others share one (S16).
                    let (host, port) = (who % hosts, u16::try_from(6_881 + who / hosts).unwrap());
                    let ip = if is_v6 { format!("2001:db8::{host:x}").parse().unwrap() } else { v4(0x0a00_0000 + host) };
                    let address = SocketAddr::new(ip, port);
                    let info_hash = InfoHash([torrent; 20]);
                    let peer = leecher(ip, port);
                    let mut peer_id = peer.peer_id;
                    peer_id.0[0] ^= client;
                    let announce = Announce { info_hash, peer_id, event, is_seeder, num_want: want, ..peer };
                    model.retain(|_, known| now.since(known.seen) < LIFETIME);
                    let key = (torrent, address);
                    let old = model.get(&key).copied();
                    let is_paused = event == Event::Paused && !is_seeder;
                    let early = settings.min_interval(settings.shortest_interval(revision > 0)) / 2;
                    let is_early = old.is_some_and(|old| {
                        event == Event::None
                            && old.client == client
                            && now.since(old.seen) < early
                            && (old.is_seeder, old.is_paused) == (is_seeder, false)
                    });
                    let is_foreign = old.is_some_and(|old| {
                        old.client != client && now.since(old.seen) <= settings.overdue()
                    });
                    if is_foreign {
                    } else if event == Event::Stopped {
                        model.remove(&key);
                    } else if !is_early {
                        let had = old.is_some_and(|old| old.has_completed);
                        let had_all = old.is_some_and(|old| old.is_seeder);
                        let is_new = event == Event::Completed && !had && !had_all;
                        *downloaded.entry(torrent).or_default() += u32::from(is_new);
                        let has_completed = had || is_new;
                        model.insert(key, Known { is_seeder, is_paused, has_completed, client, seen: now });
                    }
                    let reply = bench.announce(&announce, now);
                    let others: Vec<_> = model.iter().filter(|((at, _), _)| *at == torrent).collect();
                    let complete = others.iter().filter(|(_, known)| known.is_seeder).count();
                    prop_assert_eq!(reply.complete as usize, complete);
                    prop_assert_eq!(reply.incomplete as usize, others.len() - complete);
                    let counted = downloaded.get(&torrent).copied().unwrap_or(0);
                    if !others.is_empty() || counted > 0 {
                        prop_assert_eq!(reply.downloaded, counted);
                    }
                    let scrape = bench.tracker.scrape(&info_hash, now);
                    prop_assert_eq!((scrape.complete, scrape.incomplete), (reply.complete, reply.incomplete));
                    let paused = others.iter().filter(|(_, known)| known.is_paused).count();
                    prop_assert_eq!(scrape.downloaders as usize, others.len() - complete - paused);
                    let handed = bench.handed();
                    let mut unique = handed.clone();
                    unique.dedup();
                    prop_assert_eq!(unique.len(), handed.len());
                    let takes_seeds = !is_seeder && event != Event::Paused;
                    let may = others.iter().filter(|((_, other), known)| {
                        *other != address && (takes_seeds || !(known.is_seeder || known.is_paused))
                    });
                    let may: Vec<_> = may.map(|((_, other), _)| *other).collect();
                    prop_assert!(handed.iter().all(|other| may.contains(other)));
                    let want = if event == Event::Stopped { 0 } else { settings.list_length(want, None) };
                    let most = want.min(may.len());
                    if selection == Selection::Shares || revision == 0 || most == 0 {
                        prop_assert_eq!(handed.len(), most);
                    } else {
                        prop_assert!((1..=most).contains(&handed.len()));
                    }
                }
            }
        }
        let living = model.values().filter(|known| now.since(known.seen) < LIFETIME).count() as u64;
        bench.tracker.sweep(now);
        prop_assert_eq!(bench.tracker.peers(), living);
        let census = bench.tracker.census(now, crate::clock::Wall(0));
        prop_assert_eq!(census.v4.peers() + census.v6.peers(), living);
    }

    /// O1: what is exported and restored is what was there.
    #[test]
    fn a_restored_tracker_answers_alike(
        peers in proptest::collection::btree_map(0_u32..400, (any::<bool>(), 0_u32..LIFETIME * 2, any::<bool>()), 0..300),
    ) {
        let settings = Settings { announce_interval: LIFETIME / 2, ..Settings::default() };
        let mut first = bench(settings.clone());
        let now = at(LIFETIME * 2);
        let mut by_time: Vec<_> = peers.iter().collect();
        by_time.sort_unstable_by_key(|(_, (_, age, _))| std::cmp::Reverse(*age));
        for (number, (is_seeder, age, has_completed)) in by_time {
            let event = if *has_completed { Event::Completed } else { Event::None };
            first.announce(&Announce { is_seeder: *is_seeder, event, ..leecher(v4(*number + 1_000_000_000), 1) }, now.minus(*age));
        }
        let stored: Vec<StoredSwarm> =
            first.tracker.changed().iter().filter_map(|hash| first.tracker.export(hash, now)).collect();
        prop_assert!(first.tracker.changed().is_empty());
        let second = bench(settings);
        for swarm in stored {
            second.tracker.restore(swarm, now);
        }
        prop_assert_eq!(first.tracker.scrape(&HASH, now), second.tracker.scrape(&HASH, now));
        let mut left = first.tracker.export(&HASH, now).map(|swarm| swarm.peers).unwrap_or_default();
        let mut right = second.tracker.export(&HASH, now).map(|swarm| swarm.peers).unwrap_or_default();
        left.sort_unstable_by_key(|peer| (peer.ip, peer.port));
        right.sort_unstable_by_key(|peer| (peer.ip, peer.port));
        prop_assert_eq!(left, right);
    }
}
