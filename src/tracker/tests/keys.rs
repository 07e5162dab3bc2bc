//! Keys of announce addresses (O16): who is let in, what is counted, and whose peers go with a key.

use super::*;
use crate::clock::Wall;
use crate::tracker::keys::{
    KeyDigest, KeyLimits, KeyMode, KeyRecord, KeyReport, KeyUse, KeyUser, NewKey, Traffic,
};
use crate::tracker::swarm::upsert::AnnounceEffect;
use proptest::prelude::{any, prop_assert, proptest};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn digest(key: &[u8]) -> KeyDigest {
    KeyDigest::of(key).unwrap()
}

fn record(number: i64, key: &[u8]) -> KeyRecord {
    KeyRecord {
        number,
        key: NewKey {
            digest: digest(key),
            label: "anna".into(),
            expires: None,
            limits: KeyLimits::default(),
        },
        is_from_file: false,
        created: Wall(1),
        revoked: None,
    }
}

/// A tracker that wants keys, and has one.
fn closed(limits: KeyLimits) -> Bench {
    let bench = bench(Settings {
        keys: KeyMode::Required,
        interval_jitter: 0,
        ..Settings::default()
    });
    let mut record = record(7, KEY);
    record.key.limits = limits;
    bench.tracker.keys().set_wall(Wall(100));
    bench.tracker.keys().put(record);
    bench
}

impl Bench {
    fn with_key(
        &mut self,
        announce: &Announce,
        uploaded: u64,
        now: Seconds,
    ) -> Result<AnnounceReply, Refusal> {
        self.with(KEY, announce, uploaded, now)
    }

    fn with(
        &mut self,
        key: &[u8],
        announce: &Announce,
        uploaded: u64,
        now: Seconds,
    ) -> Result<AnnounceReply, Refusal> {
        let metrics = Arc::clone(self.tracker.metrics());
        let mut context = AnnounceContext {
            now,
            rng: &mut self.rng,
            counters: metrics.counters(0),
        };
        let user = KeyUser {
            digest: digest(key),
            uploaded,
        };
        self.tracker
            .announce_by_key(announce, &user, &mut context, &mut self.list)
    }

    fn counted(&self) -> (u64, u64) {
        let Traffic {
            uploaded,
            downloaded,
        } = self.tracker.keys().one(7).unwrap().totals.traffic;
        (uploaded, downloaded)
    }

    fn stored(&self, now: Seconds) -> u32 {
        let found = self.tracker.scrape(&HASH, now);
        found.complete + found.incomplete
    }
}

const MIB: u64 = 1 << 20;

fn having(announce: Announce, downloaded: u64) -> Announce {
    Announce {
        downloaded,
        ..announce
    }
}

/// O16
#[test]
fn only_a_key_in_force_lets_in_and_a_refusal_changes_nothing() {
    let mut bench = closed(KeyLimits::default());
    let announce = leecher(v4(1), 1);
    let other = b"another key of thirty-two bytes.";
    let keys = |bench: &Bench| bench.tracker.keys().one(7).unwrap();
    let before = keys(&bench);
    let unknown = bench.with(other, &announce, 5, at(0)).unwrap_err();
    assert_eq!(unknown, Refusal::KeyUnknown);
    let missing = bench.tracker.keys().in_path(b"/announce");
    assert_eq!(missing, Err(Refusal::KeyMissing));
    let mut ended = record(8, other);
    ended.key.expires = Some(Wall(100));
    bench.tracker.keys().put(ended);
    let refused = bench.with(other, &announce, 5, at(0)).unwrap_err();
    assert_eq!(refused, Refusal::KeyEnded);
    // A clock that was wrong ends none for good.
    bench.tracker.keys().set_wall(Wall(99));
    assert!(bench.with(other, &announce, 5, at(0)).is_ok());
    bench.tracker.revoke_key(8, Wall(99), at(0));
    let refused = bench.with(other, &announce, 5, at(0)).unwrap_err();
    assert_eq!(refused, Refusal::KeyRevoked);
    assert_eq!((keys(&bench), bench.stored(at(0))), (before, 0));
    assert!(bench.with_key(&announce, 5, at(0)).is_ok());
    assert_eq!(bench.stored(at(0)), 1);
    assert_eq!(keys(&bench).totals.last_seen, Some(Wall(99)));
}

/// O16: who is blocked is not accounted for either.
#[test]
fn whom_the_lists_refuse_no_key_lets_in() {
    let mut bench = closed(KeyLimits::default());
    let ignored = std::iter::once("0.0.0.1/32".parse().unwrap()).collect();
    bench.tracker.access().configure(ignored, Vec::new());
    let refused = bench.with_key(&leecher(v4(1), 1), 5, at(0));
    assert_eq!(refused.unwrap_err(), Refusal::AddressIgnored);
    assert_eq!(bench.tracker.keys().one(7).unwrap().torrents, 0);
}

/// O16: growth between two announces of one client counts; the first report, one that is smaller and what no line carries do not.
#[test]
fn what_is_counted_is_what_grew_since_the_last_announce() {
    let mut bench = closed(KeyLimits::default());
    let announce = leecher(v4(1), 1);
    let mut send = |seconds, uploaded, downloaded| {
        let announce = having(announce, downloaded);
        bench.with_key(&announce, uploaded, at(seconds)).unwrap();
        bench.counted()
    };
    assert_eq!(send(0, 1 << 63, 1 << 63), (0, 0));
    assert_eq!(send(1_800, 0, 0), (0, 0));
    assert_eq!(send(3_600, 50 * MIB, 7), (50 * MIB, 7));
    assert_eq!(send(5_400, 80 * MIB, 7), (80 * MIB, 7));
    // Both within one second.
    assert_eq!(send(5_400, 90 * MIB, 7), (90 * MIB, 7));
    // Restarted.
    assert_eq!(send(7_200, 5 * MIB, 0), (90 * MIB, 7));
    assert_eq!(send(9_000, 6 * MIB, 0), (91 * MIB, 7));
    let line = u64::from(Settings::default().line_mib) * MIB;
    // Ten seconds, and the one that is cut off.
    assert_eq!(send(9_010, u64::MAX, 0), (91 * MIB + 11 * line, 7));
}

/// O16: several clients with one key each have their own base, and over both families a client is one.
#[test]
fn clients_with_one_key_do_not_disturb_one_another() {
    let mut bench = closed(KeyLimits::default());
    let (one, two) = (leecher(v4(1), 1), leecher(v4(2), 1));
    let v6 = Announce {
        ip: "2001:db8::1".parse().unwrap(),
        ..one
    };
    for (announce, uploaded) in [(one, 10), (two, 1_000), (v6, 10)] {
        bench.with_key(&announce, uploaded, at(0)).unwrap();
    }
    for (announce, uploaded, counted) in [(one, 15, 5), (v6, 15, 5), (two, 1_001, 6)] {
        bench.with_key(&announce, uploaded, at(1_800)).unwrap();
        assert_eq!(bench.counted().0, counted);
    }
    let report = bench.tracker.keys().one(7).unwrap();
    assert_eq!((report.torrents, report.addresses.len()), (1, 3));
    // Who leaves is counted once more and then forgotten.
    let stopped = Announce {
        event: Event::Stopped,
        ..one
    };
    bench.with_key(&stopped, 115, at(1_900)).unwrap();
    assert_eq!(bench.counted().0, 106);
    bench.with_key(&stopped, 900, at(1_901)).unwrap();
    assert_eq!(bench.counted().0, 106);
    assert_eq!(bench.tracker.keys().sessions(), 1);
}

/// O16
#[test]
fn a_key_is_used_from_so_many_addresses_and_for_so_many_torrents_at_once() {
    let limits = KeyLimits {
        addresses: 1,
        torrents: 2,
    };
    let mut bench = closed(limits);
    let of = |torrent: u8, ip: IpAddr| Announce {
        info_hash: InfoHash([torrent; 20]),
        peer_id: PeerId([1; 20]),
        ..leecher(ip, 1)
    };
    assert!(bench.with_key(&of(1, v4(1)), 0, at(0)).is_ok());
    let refused = bench.with_key(&of(2, v4(2)), 0, at(0)).unwrap_err();
    assert_eq!(refused, Refusal::KeyAddresses);
    // A line may have an address of each family.
    let v6 = "2001:db8::1".parse().unwrap();
    assert!(bench.with_key(&of(2, v6), 0, at(0)).is_ok());
    let same_64 = "2001:db8::2:1".parse().unwrap();
    assert!(bench.with_key(&of(2, same_64), 0, at(1)).is_ok());
    let refused = bench.with_key(&of(3, v4(1)), 0, at(1)).unwrap_err();
    assert_eq!(refused, Refusal::KeyTorrents);
    assert!(bench.with_key(&of(2, v4(1)), 0, at(1)).is_ok());
    let gone = Announce {
        event: Event::Stopped,
        ..of(1, v4(1))
    };
    assert!(bench.with_key(&gone, 0, at(2)).is_ok());
    assert!(bench.with_key(&of(3, v4(1)), 0, at(2)).is_ok());
    // Who left without a word takes no place for longer than its peer does.
    let later = at(2 + Settings::default().lifetime());
    assert!(bench.with_key(&of(9, v4(9)), 0, later).is_ok());
    assert_eq!(bench.tracker.keys().one(7).unwrap().torrents, 1);
}

/// O16: one client is in a swarm from one address of a family, or it would have as many as it likes behind one limit.
#[test]
fn who_moves_to_another_address_leaves_the_old_one() {
    let mut bench = closed(KeyLimits {
        addresses: 1,
        torrents: 0,
    });
    let client = leecher(v4(1), 1);
    let at_place = |ip, port| Announce { ip, port, ..client };
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    for last in 1..=20 {
        let announce = at_place(v4(last), 1);
        bench.with_key(&announce, 0, at(last)).unwrap();
        assert_eq!(bench.stored(at(last)), 1, "{last}");
    }
    // Its other family stays, and so does who announces again from where he is.
    for announce in [at_place(v6, 1), at_place(v4(20), 1), at_place(v6, 1)] {
        bench.with_key(&announce, 0, at(1_000)).unwrap();
    }
    let places = |bench: &Bench| {
        let peers = bench.tracker.export(&HASH, at(1_000)).unwrap().peers;
        peers.iter().map(|peer| peer.ip).collect::<Vec<_>>()
    };
    assert_eq!(places(&bench).len(), 2);
    // Who stops is gone, wherever he says so.
    let stopped = Announce {
        event: Event::Stopped,
        ..at_place(v4(30), 1)
    };
    bench.with_key(&stopped, 0, at(1_001)).unwrap();
    assert_eq!(bench.stored(at(1_001)), 0);
    assert_eq!(bench.tracker.keys().sessions(), 0);
}

/// O16
#[test]
fn the_peers_of_a_key_go_with_it() {
    for ends in [false, true] {
        let mut bench = closed(KeyLimits::default());
        let (one, two) = (leecher(v4(1), 1), seeder(v4(2), 2));
        let v6 = Announce {
            ip: "2001:db8::1".parse().unwrap(),
            ..one
        };
        let others = b"a second key of thirty-two bytes";
        bench.tracker.keys().put(record(9, others));
        for announce in [one, two, v6] {
            bench.with_key(&announce, 0, at(0)).unwrap();
        }
        bench.with(others, &leecher(v4(3), 3), 0, at(0)).unwrap();
        assert_eq!(bench.tracker.keys().sessions(), 3);
        if ends {
            let mut record = record(7, KEY);
            record.key.expires = Some(Wall(101));
            bench.tracker.keys().put(record);
            bench.tracker.keys().set_wall(Wall(101));
            bench.tracker.sweep(at(1));
        } else {
            bench.tracker.revoke_key(7, Wall(100), at(1));
        }
        assert_eq!(bench.stored(at(1)), 1, "{ends}");
        bench.with(others, &leecher(v4(4), 4), 0, at(1)).unwrap();
        assert_eq!(bench.handed(), [SocketAddr::new(v4(3), 3)]);
        assert_eq!(bench.tracker.keys().sessions(), 2);
    }
}

/// O16: from the moment on that keys are required, whoever was let in without one is in no reply; who has one stays, and who announces
/// elsewhere.
#[test]
fn who_has_no_key_leaves_when_keys_are_required() {
    let mut bench = closed(KeyLimits::default());
    let settings = |keys| Settings {
        keys,
        interval_jitter: 0,
        ..Settings::default()
    };
    bench.tracker.configure(settings(KeyMode::Accepted));
    let (with, without) = (leecher(v4(1), 1), leecher(v4(2), 2));
    let v6 = |announce: Announce, last: u16| Announce {
        ip: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, last, 0, 0, 0, 1).into(),
        ..announce
    };
    for announce in [with, v6(with, 1)] {
        bench.with_key(&announce, 0, at(0)).unwrap();
    }
    for announce in [without, v6(without, 2), seeder(v4(3), 3)] {
        bench.announce(&announce, at(0));
    }
    let before = bench.stored(at(0));
    assert_eq!(bench.tracker.remove_keyless(at(1)), 0);
    assert_eq!(bench.stored(at(1)), before);
    bench.tracker.configure(settings(KeyMode::Required));
    assert_eq!(bench.tracker.remove_keyless(at(1)), 3);
    assert_eq!(bench.tracker.peers(), 2);
    bench.with_key(&seeder(v4(4), 4), 0, at(1)).unwrap();
    let own = [with, v6(with, 1)].map(|announce| SocketAddr::new(announce.ip, 1));
    let handed = bench.handed();
    assert!(handed.contains(&own[0]), "{handed:?}");
    assert!(handed.iter().all(|peer| own.contains(peer)), "{handed:?}");
    assert_eq!(bench.tracker.remove_keyless(at(2)), 0);
}

/// O16: who was let in without a key before keys were required, and comes to the swarm after, is not stored.
#[test]
fn who_was_let_in_without_a_key_meanwhile_is_asked_again() {
    let bench = closed(KeyLimits::default());
    let admitted = super::super::Admitted {
        revision: bench.tracker.access.revision(),
        user: None,
    };
    let policy = bench.tracker.policy.load_full();
    let meet = |announce: &Announce| {
        let rules = bench.tracker.rules(&policy, at(0));
        let (mut rng, mut list) = (fastrand::Rng::with_seed(1), PeerList::default());
        let mut effect = AnnounceEffect::nothing();
        bench.tracker.meet(
            announce,
            &admitted,
            &rules,
            &mut rng,
            &mut list,
            &mut effect,
        )
    };
    bench.tracker.remove_keyless(at(0));
    assert_eq!(meet(&leecher(v4(1), 1)), Err(Refusal::KeyMissing));
    let stopped = Announce {
        event: Event::Stopped,
        ..leecher(v4(1), 1)
    };
    assert_eq!(meet(&stopped), Ok(()));
}

/// O16: what came between the admission and the swarm's lock is not stored.
#[test]
fn who_was_let_in_by_a_key_that_was_revoked_meanwhile_is_asked_again() {
    let bench = closed(KeyLimits::default());
    let announce = leecher(v4(1), 1);
    let user = KeyUser {
        digest: digest(KEY),
        uploaded: 0,
    };
    let admitted = super::super::Admitted {
        revision: bench.tracker.access.revision(),
        user: Some(&user),
    };
    let policy = bench.tracker.policy.load_full();
    let meet = || {
        let rules = bench.tracker.rules(&policy, at(0));
        let (mut rng, mut list) = (fastrand::Rng::with_seed(1), PeerList::default());
        let mut effect = AnnounceEffect::nothing();
        bench.tracker.meet(
            &announce,
            &admitted,
            &rules,
            &mut rng,
            &mut list,
            &mut effect,
        )
    };
    let keys = bench.tracker.keys();
    keys.put(record(8, b"another key of thirty-two bytes."));
    bench.tracker.revoke_key(8, Wall(1), at(0));
    assert_eq!(meet(), Ok(()));
    bench.tracker.revoke_key(7, Wall(1), at(0));
    assert_eq!(meet(), Err(Refusal::KeyRevoked));
}

/// O16: what was taken for a snapshot and is put back counts on from where it was.
#[test]
fn use_that_is_restored_counts_on() {
    let mut bench = closed(KeyLimits::default());
    let announce = leecher(v4(1), 1);
    bench.with_key(&announce, 10 * MIB, at(0)).unwrap();
    bench.with_key(&announce, 30 * MIB, at(1_800)).unwrap();
    let keys = bench.tracker.keys();
    let taken = |keys: &crate::tracker::Keys| -> Vec<KeyUse> {
        let shards = (0..).map_while(|shard| keys.take_changed(shard));
        shards.flatten().collect()
    };
    let kept = taken(keys);
    assert_eq!((kept.len(), taken(keys).len()), (1, 0));
    keys.mark_changed(&[7]);
    assert_eq!(taken(keys), kept);
    let mut again = closed(KeyLimits::default());
    again.tracker.keys().restore(kept[0].clone(), at(2_000));
    assert_eq!(again.tracker.keys().sessions(), 1);
    again.with_key(&announce, 70 * MIB, at(3_600)).unwrap();
    assert_eq!(again.counted().0, 60 * MIB);
}

/// O16
#[test]
fn keys_are_listed_by_number_and_by_what_changed() {
    let mut bench = closed(KeyLimits::default());
    for number in 20..30_u8 {
        let key = [number; 32];
        bench.tracker.keys().put(record(number.into(), &key));
    }
    let numbers = |after, most, since| -> Vec<i64> {
        let keep = |report: &KeyReport| report.changed_at(Wall(100)) >= Wall(since);
        let page = bench.tracker.keys().page(after, most, keep);
        page.iter().map(|report| report.record.number).collect()
    };
    assert_eq!(numbers(0, 3, 0), [7, 20, 21]);
    assert_eq!(numbers(21, 3, 0), [22, 23, 24]);
    assert_eq!(numbers(29, 3, 0), [0; 0]);
    assert_eq!(numbers(0, 3, 50), [0; 0]);
    bench.tracker.revoke_key(25, Wall(60), at(0));
    bench.with(&[22; 32], &leecher(v4(1), 1), 0, at(0)).unwrap();
    let numbers = |since| -> Vec<i64> {
        let keep = |report: &KeyReport| report.changed_at(Wall(100)) >= Wall(since);
        let page = bench.tracker.keys().page(0, 9, keep);
        page.iter().map(|report| report.record.number).collect()
    };
    assert_eq!((numbers(50), numbers(61)), (vec![22, 25], vec![22]));
    bench.tracker.keys().forget(Wall(61));
    assert_eq!((numbers(50), bench.tracker.keys().len()), (vec![22], 10));
}

proptest! {
    /// O16
    #[test]
    fn nobody_counts_for_more_than_his_lines(
        steps in proptest::collection::vec((0_u8..3, 1_u32..3, 0_u32..2_000, any::<u64>(), any::<u64>(), any::<bool>()), 1..60),
    ) {
        let mut bench = closed(KeyLimits::default());
        let mut now = at(0);
        for (torrent, host, later, uploaded, downloaded, stops) in steps {
            now = now.plus(later);
            let announce = Announce {
                info_hash: InfoHash([torrent; 20]),
                downloaded,
                event: if stops { Event::Stopped } else { Event::None },
                ..leecher(v4(host), 1)
            };
            bench.with_key(&announce, uploaded, now).unwrap();
        }
        let line = u64::from(Settings::default().line_mib) * MIB;
        let most = 2 * line * u64::from(now.since(at(0)) + 1);
        let (uploaded, downloaded) = bench.counted();
        prop_assert!(uploaded <= most && downloaded <= most);
    }
}
