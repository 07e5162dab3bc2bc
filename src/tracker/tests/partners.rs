//! Bounds that the peers of partners have filled (S5, O18): who announces here takes their place, and nobody else's.

use super::sites::{elsewhere, origin};
use super::*;
use crate::metrics::Full;
use crate::tracker::{SwarmDelta, ZoneRule, Zones};

const BOUND: u32 = 600;

/// Partners, none of which has more than its share.
const PARTNERS: [u8; 3] = [1, 2, 3];

fn settings() -> Settings {
    Settings {
        max_peers: 0,
        max_torrents: 0,
        max_peers_per_torrent: 0,
        max_ports_per_address: 0,
        ..Settings::default()
    }
}

fn hash(number: u32) -> InfoHash {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash(hash)
}

/// Somebody alone in his network: as light as can be.
fn alone(network: u32, number: u32) -> IpAddr {
    v4(network << 24 | number << 12 | 1)
}

/// The peers of partners are in networks of 10.0.0.0/8, own newcomers in 11.0.0.0/8.
fn newcomer(number: u32, info_hash: InfoHash) -> Announce {
    Announce {
        info_hash,
        event: Event::Started,
        ..leecher(alone(11, number), 1)
    }
}

/// Has partners tell of as many peers as there may be in all, each of as many.
fn told_by_partners(bench: &Bench, torrent: impl Fn(u32) -> InfoHash, now: Seconds) {
    for number in 0..BOUND {
        let from = PARTNERS[number as usize % PARTNERS.len()];
        let told = SwarmDelta {
            info_hash: torrent(number),
            downloaded: Vec::new(),
            peers: vec![elsewhere(alone(10, number), 1, now)],
        };
        bench.tracker.merge(Some(origin(from)), &told, now);
    }
}

/// An announce; before it a sweep where the reaper would make one.
fn come(bench: &mut Bench, announce: &Announce, now: Seconds) {
    if bench.tracker.wants_sweep() {
        bench.tracker.sweep(now);
    }
    bench.announce(announce, now);
}

fn is_stored(bench: &Bench, announce: &Announce, now: Seconds) -> bool {
    let swarm = bench.tracker.export(&announce.info_hash, now);
    swarm.is_some_and(|swarm| {
        let is_it = |peer: &crate::tracker::StoredPeer| {
            (peer.ip, peer.port, peer.origin) == (announce.ip, announce.port, None)
        };
        swarm.peers.iter().any(is_it)
    })
}

/// How many peers are the tracker's own, and how many of partners.
fn own_and_others(bench: &Bench) -> (u64, u64) {
    let [own, others @ ..] = bench.tracker.peers_by_origin();
    (own, others.iter().sum())
}

fn evicted(bench: &Bench, bound: Full) -> u64 {
    bench.tracker.metrics().totals().evicted(bound)
}

/// Of many peers in few torrents, and of one in each.
#[test]
fn own_newcomers_are_all_stored_when_partners_have_filled_the_tracker() {
    for torrents in [20, BOUND] {
        let mut bench = bench(Settings {
            max_peers: BOUND,
            ..settings()
        });
        let torrent = |number: u32| hash(number % torrents);
        told_by_partners(&bench, torrent, at(0));
        assert_eq!(bench.tracker.peers_by_origin()[..4], [0, 180, 180, 180]);
        // Heavier than anybody: they are pushed out by nobody while a partner's peer is there.
        let crowd: Vec<_> = (1..=50)
            .map(|port| leecher(v4(0x0c00_0001), port))
            .collect();
        for announce in &crowd {
            come(&mut bench, announce, at(1));
        }
        let newcomers = (0..BOUND - 50).map(|number| newcomer(number, torrent(number)));
        let newcomers: Vec<_> = newcomers.collect();
        for (announce, number) in newcomers.iter().zip(0..) {
            come(&mut bench, announce, at(1));
            assert!(is_stored(&bench, announce, at(1)), "{number}");
            assert!(bench.tracker.peers() <= BOUND.into());
            if number % 50 == 0 {
                // Partners go on, and find no room.
                told_by_partners(&bench, |_| announce.info_hash, at(0));
            }
        }
        assert!(
            crowd
                .iter()
                .chain(&newcomers)
                .all(|announce| is_stored(&bench, announce, at(1)))
        );
        assert_eq!(own_and_others(&bench), (BOUND.into(), 0));
        assert_eq!(evicted(&bench, Full::Peers), u64::from(BOUND * 9 / 10));
        // From here on all is as it is without partners: who comes takes the place of one of the heaviest network, or of nobody.
        let late: Vec<_> = (0..20)
            .map(|number| newcomer(2 * BOUND + number, torrent(number)))
            .collect();
        for announce in &late {
            come(&mut bench, announce, at(2));
        }
        let count = |announces: &[Announce]| {
            let stored = announces.iter();
            stored.filter(|one| is_stored(&bench, one, at(2))).count()
        };
        assert_eq!(count(&newcomers), newcomers.len());
        assert!(count(&late) > 0);
        assert_eq!(count(&crowd) + count(&late), crowd.len());
    }
}

/// S5, O18: no sweep has to come first, wherever the partners' peers came from: those that came while there was much room are known too.
#[test]
fn own_newcomers_wait_for_no_sweep() {
    for has_torrents in [false, true] {
        for is_restored in [false, true] {
            let mut bench = bench(Settings {
                max_peers: if has_torrents { 0 } else { BOUND },
                max_torrents: if has_torrents { BOUND } else { 0 },
                ..settings()
            });
            told_by_partners(&bench, hash, at(0));
            if is_restored {
                bench = restarted(&bench, at(0));
            }
            assert_eq!(own_and_others(&bench), (0, u64::from(BOUND * 9 / 10)));
            for number in 0..BOUND {
                let announce = newcomer(number, hash(BOUND + number));
                bench.announce(&announce, at(1));
                assert!(is_stored(&bench, &announce, at(1)), "{number}");
                assert!(bench.tracker.peers() <= BOUND.into());
            }
            assert_eq!(own_and_others(&bench), (BOUND.into(), 0));
        }
    }
}

/// The same tracker after a restart.
fn restarted(old: &Bench, now: Seconds) -> Bench {
    let new = bench((*old.tracker.settings()).clone());
    for number in 0..BOUND {
        if let Some(stored) = old.tracker.export(&hash(number), now) {
            new.tracker.restore(stored, now);
        }
    }
    new
}

/// S5, O18
#[test]
fn own_torrents_take_the_place_of_those_that_only_partners_have_peers_in() {
    let mut bench = bench(Settings {
        max_torrents: BOUND,
        ..settings()
    });
    told_by_partners(&bench, hash, at(0));
    let torrents = |bench: &Bench| bench.tracker.digest(at(1)).torrents;
    assert_eq!(torrents(&bench), u64::from(BOUND * 9 / 10));
    // A torrent of partners that somebody here has too is left alone.
    let shared: Vec<_> = (0..100)
        .map(|number| newcomer(number, hash(number)))
        .collect();
    for announce in &shared {
        come(&mut bench, announce, at(1));
    }
    for number in 0..300 {
        let announce = newcomer(1_000 + number, hash(BOUND + number));
        come(&mut bench, &announce, at(1));
        assert!(is_stored(&bench, &announce, at(1)), "{number}");
        assert!(torrents(&bench) <= BOUND.into());
    }
    assert!(
        shared
            .iter()
            .all(|announce| is_stored(&bench, announce, at(1)))
    );
    assert_eq!(own_and_others(&bench), (400, 300));
    assert_eq!(evicted(&bench, Full::Torrents), 240);
}

/// S5, O18: at a bound on torrents a sweep is asked for when none is known that could be emptied, unless the last one found none.
#[test]
fn a_sweep_is_asked_for_torrents_while_it_may_find_some() {
    let mut bench = bench(Settings {
        max_torrents: BOUND,
        ..settings()
    });
    told_by_partners(&bench, hash, at(0));
    let in_all = |number: u32| newcomer(number, hash(number));
    for number in 0..BOUND {
        bench.announce(&in_all(number), at(1));
    }
    assert_eq!(bench.tracker.digest(at(1)).torrents, u64::from(BOUND));
    // They look at all that is known, in vain.
    let in_vain = |bench: &mut Bench| {
        for number in 0..BOUND {
            let announce = newcomer(BOUND + number, hash(BOUND + number));
            bench.announce(&announce, at(1));
            assert!(!is_stored(bench, &announce, at(1)), "{number}");
        }
    };
    in_vain(&mut bench);
    assert!(bench.tracker.wants_sweep());
    bench.tracker.sweep(at(1));
    in_vain(&mut bench);
    assert!(!bench.tracker.wants_sweep(), "the last one found none");
    // Now there are some, of which only a sweep hears.
    for number in 0..300 {
        let announce = Announce {
            event: Event::Stopped,
            ..in_all(number)
        };
        bench.announce(&announce, at(1));
    }
    bench.tracker.sweep(at(1));
    // Fewer than half of those that are known have an own peer: sixteen of them are hardly drawn one after another.
    for number in 0..100 {
        let announce = newcomer(BOUND + number, hash(BOUND + number));
        bench.announce(&announce, at(1));
        assert!(is_stored(&bench, &announce, at(1)), "{number}");
    }
}

/// In a list without zones, and where the peers of partners stand together in a zone of their own.
#[test]
fn own_newcomers_are_stored_in_a_swarm_that_partners_have_filled() {
    for has_zones in [false, true] {
        let mut bench = bench(Settings {
            max_peers_per_torrent: BOUND,
            ..settings()
        });
        if has_zones {
            let zone = |path: &str, prefix: &str| ZoneRule {
                path: path.into(),
                prefixes: vec![prefix.parse().unwrap()],
                ..ZoneRule::default()
            };
            let rules = [zone("a", "10.0.0.0/8"), zone("b", "11.0.0.0/8")];
            bench
                .tracker
                .set_zones(Zones::new(&rules, &[]).unwrap(), at(0));
        }
        told_by_partners(&bench, |_| HASH, at(0));
        assert_eq!(own_and_others(&bench), (0, 540));
        for number in 0..BOUND - 20 {
            let announce = newcomer(number, HASH);
            bench.announce(&announce, at(1));
            assert!(is_stored(&bench, &announce, at(1)), "{number}");
            assert!(bench.tracker.peers() <= BOUND.into());
        }
        assert_eq!(own_and_others(&bench), (u64::from(BOUND - 20), 20));
    }
}
