//! Clients with several addresses in one torrent: each counts once and is handed out once, its addresses side by side (S14).

#[cfg(test)]
use super::*;
use crate::tracker::ClientKey;
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::collections::BTreeMap;

const PORT: u16 = 6_881;

/// The address of a client: over v4 (0), or one of its /64s.
fn address(client: u8, which: u8) -> IpAddr {
    match which {
        0 => v4(0x0a00_0100 + u32::from(client)),
        _ => format!("2001:db8:{client}:{which}::1").parse().unwrap(),
    }
}

fn of(client: u8, which: u8) -> Announce {
    Announce {
        peer_id: PeerId([client; 20]),
        key: ClientKey::from_number(u32::from(client) + 1),
        ..leecher(address(client, which), PORT)
    }
}

fn counts(bench: &Bench, now: Seconds) -> (u32, u32) {
    let counts = bench.tracker.scrape(&HASH, now);
    (counts.complete, counts.incomplete)
}

/// Somebody else who asks for so many peers, over both families or over its own only.
fn ask(
    bench: &mut Bench,
    ip: IpAddr,
    want: u32,
    own_family_only: bool,
    now: Seconds,
) -> Vec<IpAddr> {
    let mut asker = Announce {
        num_want: Some(want),
        event: Event::Stopped,
        ..leecher(ip, 1)
    };
    asker.options.own_family_only = own_family_only;
    // A stop is answered without peers: it only takes the asker away again.
    bench.announce(
        &Announce {
            event: Event::None,
            ..asker
        },
        now,
    );
    let handed = bench.handed().iter().map(SocketAddr::ip).collect();
    bench.announce(&asker, now);
    handed
}

/// S14
#[test]
fn a_client_with_two_addresses_counts_once_and_is_handed_out_with_both() {
    for first in [0, 1] {
        let mut bench = bench(Settings::default());
        bench.announce(&of(1, first), at(0));
        let reply = bench.announce(&of(1, 1 - first), at(2));
        assert_eq!((reply.complete, reply.incomplete), (0, 1));
        assert!(bench.handed().is_empty(), "nobody is handed to itself");
        assert_eq!(counts(&bench, at(3)), (0, 1));
        let both = vec![address(1, 0), address(1, 1)];
        for asker in [v4(1), "2001:db8:ffff::1".parse().unwrap()] {
            assert_eq!(ask(&mut bench, asker, 1, false, at(3)), both, "{asker}");
        }
        // Over UDP only addresses of the asker's family have a place.
        assert_eq!(ask(&mut bench, v4(1), 50, true, at(3)), [address(1, 0)]);
        let asker = "2001:db8:ffff::1".parse().unwrap();
        assert_eq!(ask(&mut bench, asker, 50, true, at(3)), [address(1, 1)]);
    }
}

/// S14: in a list, two addresses of one client take one place.
#[test]
fn a_list_has_as_many_clients_as_were_asked_for() {
    let mut bench = bench(Settings::default());
    for client in 0..6 {
        bench.announce(&of(client, 0), at(0));
        bench.announce(&of(client, 1), at(1));
    }
    for client in 6..12 {
        bench.announce(&of(client, 1), at(1));
    }
    assert_eq!(counts(&bench, at(2)), (0, 12));
    for want in [1, 4, 6, 8, 11, 12] {
        let handed = ask(&mut bench, v4(1), want, false, at(2));
        let mut clients: Vec<_> = handed
            .iter()
            .map(|ip| {
                (0..12).find(|client| [0, 1].map(|which| address(*client, which)).contains(ip))
            })
            .collect();
        clients.sort_unstable();
        clients.dedup();
        assert_eq!(clients.len(), want as usize, "{handed:?}");
        for client in clients.into_iter().flatten().filter(|client| *client < 6) {
            let own = handed
                .iter()
                .filter(|ip| [0, 1].map(|which| address(client, which)).contains(ip));
            assert_eq!(own.count(), 2, "{handed:?}");
        }
    }
}

/// S14: who only says the same id is somebody else.
#[test]
fn the_same_id_with_another_key_or_port_is_another_client() {
    let mut bench = bench(Settings::default());
    bench.announce(&of(1, 0), at(0));
    let other_key = Announce {
        key: ClientKey::from_number(99),
        ..of(1, 1)
    };
    bench.announce(&other_key, at(1));
    assert_eq!(counts(&bench, at(1)), (0, 2));
    let other_port = Announce {
        port: PORT + 1,
        ..of(1, 2)
    };
    bench.announce(&other_port, at(1));
    let no_key = Announce {
        key: None,
        ..of(1, 3)
    };
    bench.announce(&no_key, at(1));
    assert_eq!(counts(&bench, at(1)), (0, 4));
}

/// S14: one v4 and three v6 addresses.
#[test]
fn further_addresses_of_a_family_are_answered_and_wait_for_the_first_to_fall_silent() {
    let mut bench = bench(Settings::default());
    for which in 0..4 {
        bench.announce(&of(1, which), at(u32::from(which)));
    }
    assert_eq!(counts(&bench, at(5)), (0, 1));
    assert_eq!(bench.tracker.peers(), 2);
    let handed = ask(&mut bench, v4(1), 50, false, at(5));
    assert_eq!(handed, [address(1, 0), address(1, 1)]);
    // The first v6 address is gone; its place is taken in time, and the client still counts once.
    let settings = Settings::default();
    let mut now = 5;
    while now < settings.lifetime() + settings.announce_interval {
        now += settings.announce_interval;
        bench.announce(&of(1, 0), at(now));
        bench.announce(&of(1, 2), at(now));
    }
    assert_eq!(counts(&bench, at(now)), (0, 1));
    let handed = ask(&mut bench, v4(1), 50, false, at(now));
    assert_eq!(handed, [address(1, 0), address(1, 2)]);
}

/// S14, P9, P10
#[test]
fn who_leaves_with_one_address_counts_by_the_other_and_completes_once() {
    for (leaves, stays) in [(0, 1), (1, 0)] {
        let mut bench = bench(Settings::default());
        bench.announce(&of(1, 0), at(0));
        bench.announce(&of(1, 1), at(1));
        for which in [0, 1] {
            let done = Announce {
                event: Event::Completed,
                is_seeder: true,
                ..of(1, which)
            };
            bench.announce(&done, at(2));
        }
        assert_eq!(counts(&bench, at(2)), (1, 0));
        assert_eq!(bench.tracker.scrape(&HASH, at(2)).downloaded, 1);
        bench.announce(
            &Announce {
                event: Event::Stopped,
                ..of(1, leaves)
            },
            at(3),
        );
        assert_eq!(counts(&bench, at(3)), (1, 0));
        assert_eq!(
            ask(&mut bench, v4(1), 50, false, at(3)),
            [address(1, stays)]
        );
        bench.announce(
            &Announce {
                event: Event::Stopped,
                ..of(1, stays)
            },
            at(4),
        );
        assert_eq!(counts(&bench, at(4)), (0, 0));
        assert_eq!(bench.tracker.peers(), 0);
    }
}

/// S14: paused partial seeds (BEP 21) are counted with the leechers.
#[test]
fn the_address_that_does_not_count_changes_its_role_without_a_trace() {
    let mut bench = bench(Settings::default());
    bench.announce(&of(1, 0), at(0));
    bench.announce(&of(1, 1), at(1));
    let as_ = |event, is_seeder, which| Announce {
        event,
        is_seeder,
        ..of(1, which)
    };
    bench.announce(&as_(Event::Paused, false, 1), at(2));
    assert_eq!(counts(&bench, at(2)), (0, 1));
    bench.announce(&as_(Event::Paused, false, 0), at(2));
    assert_eq!(counts(&bench, at(2)), (0, 1));
    assert_eq!(bench.tracker.scrape(&HASH, at(2)).downloaders, 0);
    bench.announce(&as_(Event::Started, true, 1), at(3));
    assert_eq!(counts(&bench, at(3)), (0, 1));
    bench.announce(&as_(Event::Started, true, 0), at(3));
    assert_eq!(counts(&bench, at(3)), (1, 0));
}

/// S14, S4, W4: however an address goes, the other one counts from then on.
#[test]
fn a_pair_is_taken_apart_when_one_address_is_blocked_or_expires() {
    let lifetime = Settings::default().lifetime();
    for which in [0, 1] {
        let mut bench = bench(Settings::default());
        bench.announce(&of(1, 0), at(0));
        bench.announce(&of(1, 1), at(1));
        bench.announce(&of(1, 1 - which), at(lifetime - 10));
        assert_eq!(counts(&bench, at(lifetime + 5)), (0, 1));
        bench.tracker.sweep(at(lifetime + 5));
        assert_eq!(bench.tracker.peers(), 1);
        assert_eq!(
            ask(&mut bench, v4(1), 50, false, at(lifetime + 5)),
            [address(1, 1 - which)]
        );
    }
}

/// S14, P9: pairs are not in a snapshot, and ordinary announces find them again: early ones, and those of the next round.
#[test]
fn after_a_restart_the_next_announces_of_a_client_pair_its_addresses_again() {
    for keep_peer_ids in [true, false] {
        for (later, order) in [(5, [0, 1]), (5, [1, 0]), (1_800, [0, 1]), (1_800, [1, 0])] {
            let settings = || Settings {
                keep_peer_ids,
                ..Settings::default()
            };
            let mut before = bench(settings());
            for client in 0..20 {
                before.announce(&of(client, 0), at(0));
                before.announce(&of(client, 1), at(1));
            }
            assert_eq!(counts(&before, at(2)), (0, 20));
            let stored = before.tracker.export(&HASH, at(2)).unwrap();
            let mut after = bench(settings());
            assert_eq!(after.tracker.restore(stored, at(2)).peers, 40);
            for client in 0..20 {
                for which in order {
                    after.announce(&of(client, which), at(later));
                }
            }
            assert_eq!(
                counts(&after, at(later)),
                (0, 20),
                "{keep_peer_ids} {later} {order:?}"
            );
            // Once more changes nothing.
            for client in 0..20 {
                for which in order {
                    after.announce(&of(client, which), at(later + 1));
                }
            }
            assert_eq!(counts(&after, at(later + 1)), (0, 20));
            for client in 0..20 {
                for which in [0, 1] {
                    let stopped = Announce {
                        event: Event::Stopped,
                        ..of(client, which)
                    };
                    after.announce(&stopped, at(later + 2));
                }
            }
            assert_eq!(counts(&after, at(later + 2)), (0, 0));
            assert_eq!(after.tracker.peers(), 0);
        }
    }
}

proptest! {
    /// S14: whatever clients do, the torrent has as many as are there by any address.
    #[test]
    fn counts_are_those_of_clients(
        steps in proptest::collection::vec((0_u8..5, 0_u8..3, any::<bool>(), 0_u8..4), 1..120),
        keep_peer_ids in any::<bool>(),
    ) {
        let mut bench = bench(Settings { keep_peer_ids, ..Settings::default() });
        let mut there: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for (second, (client, which, is_seeder, kind)) in (0_u32..).zip(steps) {
            let event = match kind {
                0 => Event::Stopped,
                1 if there.get(&client).is_some_and(|addresses| addresses.contains(&which)) => Event::None,
                _ => Event::Started,
            };
            bench.announce(&Announce { event, is_seeder, ..of(client, which) }, at(second));
            let addresses = there.entry(client).or_default();
            // Of the two v6 addresses the first that comes is stored, until it stops.
            let is_second = which > 0 && addresses.iter().any(|other| *other > 0 && *other != which);
            if event == Event::Stopped {
                addresses.retain(|other| *other != which);
            } else if !is_second && !addresses.contains(&which) {
                addresses.push(which);
            }
            let (complete, incomplete) = counts(&bench, at(second));
            let clients = there.values().filter(|addresses| !addresses.is_empty()).count();
            prop_assert_eq!(usize::try_from(complete + incomplete).unwrap(), clients);
            let stored: usize = there.values().map(Vec::len).sum();
            prop_assert_eq!(usize::try_from(bench.tracker.peers()).unwrap(), stored);
        }
    }
}
