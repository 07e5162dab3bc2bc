//! Whose a stored peer is (S1), and whose `completed` counts (P9).

#[cfg(test)]
use super::*;
use crate::metrics::AnnounceOutcome;
use crate::tracker::ClientKey;

fn outcomes(bench: &Bench, outcome: AnnounceOutcome) -> u64 {
    bench.tracker.metrics().totals().outcomes(outcome)
}

/// With whole peer ids and with digests of them.
fn both() -> [Bench; 2] {
    [true, false].map(|keep_peer_ids| {
        bench(Settings {
            keep_peer_ids,
            ..Settings::default()
        })
    })
}

fn of(number: u8, announce: Announce) -> Announce {
    Announce {
        peer_id: PeerId([number; 20]),
        key: ClientKey::from_number(number.into()),
        ..announce
    }
}

fn told(event: Event, announce: Announce) -> Announce {
    Announce { event, ..announce }
}

/// S1: neighbours behind one NAT neither stop nor change each other's peers; they are answered, without the peer they share a
/// place with.
#[test]
fn another_client_at_the_same_address_and_port_changes_nothing() {
    for mut bench in both() {
        bench.announce(&of(1, leecher(v4(77), 1)), at(0));
        bench.announce(&of(3, seeder(v4(78), 1)), at(0));
        let before = bench.tracker.export(&HASH, at(0)).unwrap();
        for foreign in [
            told(Event::Stopped, leecher(v4(77), 1)),
            told(Event::Started, leecher(v4(77), 1)),
            told(Event::Completed, seeder(v4(77), 1)),
            told(Event::Paused, leecher(v4(77), 1)),
            seeder(v4(77), 1),
        ] {
            for foreign in [
                of(2, foreign),
                Announce {
                    key: None,
                    ..of(2, foreign)
                },
            ] {
                let reply = bench.announce(&foreign, at(1_900));
                assert_eq!(
                    (reply.complete, reply.incomplete, reply.downloaded),
                    (1, 1, 0)
                );
                assert!(!bench.handed().contains(&SocketAddr::new(v4(77), 1)));
            }
        }
        assert_eq!(outcomes(&bench, AnnounceOutcome::Foreign), 10);
        assert_eq!(
            bench.tracker.export(&HASH, at(1_900)).unwrap().peers,
            before.peers
        );
        // Its own stop is its own, by the id or, where ids are kept, by the key.
        let own = told(Event::Stopped, of(1, leecher(v4(77), 1)));
        let has_keys = bench.tracker.settings().keep_peer_ids;
        let id = if has_keys { 9 } else { 1 };
        let other_id = Announce {
            peer_id: PeerId([id; 20]),
            ..own
        };
        assert_eq!(bench.announce(&other_id, at(1_900)).incomplete, 0);
        let other_key = Announce {
            key: None,
            ..told(Event::Stopped, of(3, seeder(v4(78), 1)))
        };
        assert_eq!(bench.announce(&other_key, at(1_900)).complete, 0);
    }
}

/// S1: aria2 sends another key with each event over UDP, and the same id.
#[test]
fn a_client_whose_key_changes_is_known_by_its_id() {
    for mut bench in both() {
        let announce = |number, event, announce| Announce {
            key: ClientKey::from_number(number),
            event,
            ..announce
        };
        bench.announce(&announce(1, Event::Started, leecher(v4(77), 1)), at(0));
        let done = bench.announce(&announce(2, Event::Completed, seeder(v4(77), 1)), at(1));
        assert_eq!((done.complete, done.downloaded), (1, 1));
        bench.announce(&announce(3, Event::Stopped, seeder(v4(77), 1)), at(2));
        assert_eq!(bench.tracker.peers(), 0);
    }
}

/// S1: a client that crashed comes back with another id and key within seconds: it is served, its peer is handed out, and is
/// its own when it announces next, whenever that was.
#[test]
fn a_restarted_client_is_the_same_peer_from_its_next_announce_on() {
    let settings = Settings::default();
    for silent in [1, 600, 1_700, 1_919, 1_990] {
        let mut bench = bench(settings.clone());
        let mut other = leecher(v4(78), 1);
        bench.announce(&other, at(0));
        bench.announce(&of(1, told(Event::Completed, leecher(v4(77), 1))), at(0));
        let restarted = of(2, leecher(v4(77), 1));
        let reply = bench.announce(&told(Event::Started, restarted), at(silent));
        assert_eq!((bench.list.len(), reply.incomplete), (1, 2));
        let next = silent + reply.interval;
        assert!(reply.interval >= settings.announce_interval / 2);
        other.event = Event::Started;
        bench.announce(&other, at(next));
        assert!(
            bench.handed().contains(&SocketAddr::new(v4(77), 1)),
            "{silent}"
        );
        let reply = bench.announce(&told(Event::Completed, restarted), at(next));
        assert_eq!((reply.incomplete, reply.downloaded), (2, 1), "{silent}");
        assert_eq!(outcomes(&bench, AnnounceOutcome::Joined), 2);
        let mut asks = other;
        asks.options.with_ids = true;
        bench.announce(&asks, at(next));
        assert_eq!(bench.list.ids_v4, vec![PeerId([2; 20])]);
        // The old one is the stranger then.
        bench.announce(&told(Event::Stopped, of(1, leecher(v4(77), 1))), at(next));
        assert_eq!(bench.tracker.peers(), 2);
    }
}

/// S1: whom a database had no id of belongs to whoever announces there first.
#[test]
fn a_restored_peer_without_an_id_is_adopted_by_the_next_announce() {
    let mut before = bench(Settings {
        keep_peer_ids: false,
        ..Settings::default()
    });
    before.announce(&of(1, leecher(v4(0x0a00_0077), 1)), at(0));
    let stored = before.tracker.export(&HASH, at(1)).unwrap();
    for mut bench in both() {
        bench.tracker.restore(stored.clone(), at(1));
        bench.announce(
            &of(5, told(Event::Started, leecher(v4(0x0a00_0077), 1))),
            at(2),
        );
        assert_eq!(
            (
                outcomes(&bench, AnnounceOutcome::Refreshed),
                bench.tracker.peers()
            ),
            (1, 1)
        );
        bench.announce(
            &of(1, told(Event::Stopped, leecher(v4(0x0a00_0077), 1))),
            at(3),
        );
        assert_eq!(
            (
                outcomes(&bench, AnnounceOutcome::Foreign),
                bench.tracker.peers()
            ),
            (1, 1)
        );
    }
}

/// S1: whom a database had the id of is still its own.
#[test]
fn a_restored_peer_with_an_id_keeps_its_owner() {
    let mut before = bench(Settings::default());
    before.announce(&of(1, leecher(v4(0x0a00_0077), 1)), at(0));
    let stored = before.tracker.export(&HASH, at(1)).unwrap();
    for mut bench in both() {
        bench.tracker.restore(stored.clone(), at(1));
        for (number, left) in [(2, 1), (1, 0)] {
            let stopped = told(Event::Stopped, of(number, leecher(v4(0x0a00_0077), 1)));
            bench.announce(&stopped, at(2));
            assert_eq!(bench.tracker.peers(), left);
        }
    }
}

/// P9: who has everything completes nothing; who is unknown is believed once.
#[test]
fn only_leechers_and_unknown_peers_complete() {
    let mut bench = bench(Settings::default());
    let mut completed = |announces: &[Announce]| {
        let mut downloaded = bench.tracker.scrape(&HASH, at(0)).downloaded;
        let before = downloaded;
        for (second, announce) in (0..).zip(announces) {
            downloaded = bench.announce(announce, at(second)).downloaded;
        }
        downloaded - before
    };
    let done = |port| told(Event::Completed, seeder(v4(5), port));
    let started = |announce| told(Event::Started, announce);
    assert_eq!(completed(&[started(seeder(v4(5), 1)), done(1), done(1)]), 0);
    assert_eq!(completed(&[done(2), done(2)]), 1);
    assert_eq!(completed(&[leecher(v4(5), 3), done(3), done(3)]), 1);
    let paused = told(Event::Paused, leecher(v4(5), 4));
    assert_eq!(completed(&[paused, done(4)]), 1);
    // It checks its files, lacks some after all, and loads them.
    let rechecked = started(leecher(v4(5), 5));
    assert_eq!(
        completed(&[
            started(seeder(v4(5), 5)),
            rechecked,
            done(5),
            rechecked,
            done(5)
        ]),
        1
    );
}
