//! What trackers of several sites know of one another's peers: whose a peer is, what stands where they disagree, and what is never taken.

use super::*;
use crate::clock::Wall;
use crate::tracker::{
    Block, ClientKey, Merged, Origin, PeerDelta, StoredPeer, StoredSwarm, SwarmDelta, Target,
    ZoneRule, Zones,
};

pub(super) fn origin(number: u8) -> Origin {
    Origin::new(number).unwrap()
}

/// A tracker that tells others.
fn telling(settings: Settings) -> Bench {
    let bench = bench(settings);
    bench.tracker.open_outbox();
    bench
}

fn stopped(announce: Announce) -> Announce {
    Announce {
        event: Event::Stopped,
        ..announce
    }
}

/// All that is to be told since this was last asked.
fn told(bench: &Bench, now: Seconds) -> Vec<SwarmDelta> {
    let batch = bench.tracker.take_touched();
    assert!(!batch.has_overflowed);
    bench.tracker.deltas_of(batch.touched, now)
}

/// Has `to` merge what is to be told by `from`, which it knows by a number.
fn tell(from: &Bench, number: u8, to: &Bench, now: Seconds) -> Merged {
    let mut merged = Merged::default();
    for delta in told(from, now) {
        let delta = seen_from_outside(delta, number);
        merged.add(to.tracker.merge(Some(origin(number)), &delta, now));
    }
    merged
}

/// What a tracker tells, with its own count under its number.
fn seen_from_outside(mut delta: SwarmDelta, number: u8) -> SwarmDelta {
    for (of, _) in &mut delta.downloaded {
        assert_eq!(*of, None, "each tells its own count");
        *of = Some(origin(number));
    }
    delta
}

/// A peer that another tracker tells of.
pub(super) fn elsewhere(ip: IpAddr, port: u16, seen: Seconds) -> PeerDelta {
    PeerDelta {
        peer: StoredPeer {
            origin: None,
            ip,
            inner_ip: None,
            port,
            id: leecher(ip, port).peer_id,
            is_seeder: false,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: seen,
        },
        key_proof: [0; 3],
        has_left: false,
    }
}

fn left(ip: IpAddr, port: u16, at: Seconds) -> PeerDelta {
    PeerDelta {
        has_left: true,
        ..elsewhere(ip, port, at)
    }
}

fn delta(peers: Vec<PeerDelta>) -> SwarmDelta {
    SwarmDelta {
        info_hash: HASH,
        downloaded: Vec::new(),
        peers,
    }
}

fn merge(bench: &Bench, number: u8, peer: PeerDelta, now: Seconds) -> Merged {
    bench
        .tracker
        .merge(Some(origin(number)), &delta(vec![peer]), now)
}

fn joined() -> Merged {
    Merged {
        joined: 1,
        ..Merged::default()
    }
}

fn stale() -> Merged {
    Merged {
        stale: 1,
        ..Merged::default()
    }
}

fn gone() -> Merged {
    Merged {
        left: 1,
        ..Merged::default()
    }
}

fn refreshed() -> Merged {
    Merged {
        refreshed: 1,
        ..Merged::default()
    }
}

/// Whom a tracker has, in order, with whom they announce to (0: itself), as seen from outside.
fn stored(bench: &Bench, now: Seconds) -> Vec<(SocketAddr, u8)> {
    let swarm = bench.tracker.export(&HASH, now);
    let peers = swarm.map_or_else(Vec::new, |swarm| swarm.peers);
    let mut all: Vec<_> = peers
        .iter()
        .map(|peer| {
            let address = SocketAddr::new(peer.ip, peer.port);
            (address, peer.origin.map_or(0, Origin::get))
        })
        .collect();
    all.sort_unstable();
    let mut by_origin = [0; 64];
    all.iter()
        .for_each(|(_, number)| by_origin[usize::from(*number)] += 1);
    assert_eq!(
        bench.tracker.peers_by_origin(),
        by_origin,
        "the gauges agree"
    );
    all
}

fn one(ip: IpAddr, number: u8) -> Vec<(SocketAddr, u8)> {
    vec![(SocketAddr::new(ip, 1), number)]
}

const P: u32 = 0x0a00_0001;

#[test]
fn a_peer_of_another_tracker_is_counted_and_handed_out_like_any_other() {
    let (mut a, mut b) = (telling(Settings::default()), telling(Settings::default()));
    a.announce(&leecher(v4(P), 1), at(0));
    a.announce(&seeder("2001:db8::5".parse().unwrap(), 2), at(0));
    assert_eq!(tell(&a, 3, &b, at(1)).joined, 2);
    let reply = b.announce(&leecher(v4(7), 7), at(1));
    assert_eq!((reply.complete, reply.incomplete), (1, 2));
    assert_eq!(
        b.handed(),
        [
            SocketAddr::new(v4(P), 1),
            "[2001:db8::5]:2".parse().unwrap()
        ]
    );
    let census = b.tracker.census(at(1), Wall(0));
    assert_eq!(census.torrents, 1);
    assert_eq!(b.tracker.peers_by_origin()[..4], [1, 0, 0, 2]);
    assert_eq!(stored(&b, at(1)).len(), 3);
    // Only its own are told by each, so nothing goes in circles.
    let told = told(&b, at(1));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].peers.len(), 1);
    assert_eq!(told[0].peers[0].peer.ip, v4(7));
}

#[test]
fn nothing_is_noted_while_nobody_is_to_be_told() {
    let mut bench = bench(Settings::default());
    bench.announce(&leecher(v4(P), 1), at(0));
    bench.announce(&stopped(leecher(v4(P), 1)), at(1));
    assert!(bench.tracker.take_touched().touched.is_empty());
    assert!(bench.tracker.own_leaves(at(0)).is_empty());
}

#[test]
fn news_are_told_at_once_and_refreshes_once_in_half_the_min_interval() {
    let mut bench = telling(Settings::default());
    let own = leecher(v4(P), 1);
    let mut tells = |announce: &Announce, second| {
        bench.announce(announce, at(second));
        told(&bench, at(second)).len()
    };
    assert_eq!(tells(&own, 0), 1, "a join");
    assert_eq!(tells(&own, 100), 0, "early");
    assert_eq!(
        tells(
            &Announce {
                event: Event::Paused,
                ..own
            },
            101
        ),
        1,
        "paused"
    );
    assert_eq!(tells(&own, 102), 1, "goes on");
    let completed = Announce {
        event: Event::Completed,
        is_seeder: true,
        ..own
    };
    assert_eq!(tells(&completed, 103), 1, "complete");
    let own = Announce {
        is_seeder: true,
        ..own
    };
    let inside = Announce {
        inner_ip: Some(v4(9)),
        ..own
    };
    assert_eq!(tells(&inside, 104), 1, "a second address");
    let started = Announce {
        event: Event::Started,
        ..inside
    };
    let repeated: usize = (105..205).map(|second| tells(&started, second)).sum();
    assert!(repeated <= 1, "{repeated} of a hundred within 100 s");
    // Regular announces are told each; and of very many one in 810 s.
    assert_eq!(tells(&inside, 2_100), 1);
    let often: usize = (0..81)
        .map(|number| tells(&started, 2_110 + number * 10))
        .sum();
    assert_eq!(often, 1);
    assert_eq!(tells(&stopped(inside), 3_000), 1, "leaves");
    assert_eq!(tells(&stopped(inside), 3_001), 0, "nobody leaves twice");
    assert_eq!(
        tells(&leecher("127.0.0.1".parse().unwrap(), 1), 3_002),
        0,
        "of this machine"
    );
}

#[test]
fn of_a_batch_the_last_state_of_a_peer_is_told_once() {
    let mut bench = telling(Settings::default());
    let own = leecher(v4(P), 1);
    let other = Announce {
        info_hash: InfoHash([1; 20]),
        ..own
    };
    bench.announce(&own, at(0));
    bench.announce(&other, at(0));
    bench.announce(&stopped(own), at(1));
    bench.announce(&seeder(v4(P), 1), at(2));
    bench.announce(&stopped(other), at(3));
    let told = told(&bench, at(4));
    assert_eq!(told.len(), 2);
    let [first, second] = &told[..] else { panic!() };
    assert_eq!((first.info_hash, first.peers.len()), (other.info_hash, 1));
    assert_eq!(
        (first.peers[0].has_left, first.peers[0].peer.last_seen),
        (true, at(3))
    );
    assert_eq!((second.info_hash, second.peers.len()), (HASH, 1));
    assert!(!second.peers[0].has_left && second.peers[0].peer.is_seeder);
    // Who left and came back is not told as one that left.
    assert_eq!(bench.tracker.own_leaves(at(0)), std::slice::from_ref(first));
    assert_eq!(bench.tracker.own_leaves(at(4)), []);
}

#[test]
fn a_full_queue_drops_what_comes_and_says_so() {
    let mut bench = telling(Settings {
        max_torrents_per_address: 0,
        ..Settings::default()
    });
    for number in 0..65_600 {
        bench.announce(&leecher(v4(P + number), 1), at(0));
    }
    let batch = bench.tracker.take_touched();
    assert_eq!(
        (batch.touched.len(), batch.dropped, batch.has_overflowed),
        (65_536, 64, true)
    );
    assert_eq!(bench.tracker.take_touched(), Default::default());
    assert_eq!(bench.tracker.own_torrents(), [HASH]);
    assert_eq!(
        bench.tracker.own_delta(&HASH, at(0)).unwrap().peers.len(),
        65_600
    );
}

#[test]
fn who_announces_here_becomes_this_trackers_own_even_early() {
    let (mut a, mut b) = (telling(Settings::default()), telling(Settings::default()));
    let client = leecher(v4(P), 1);
    a.announce(&client, at(0));
    tell(&a, 1, &b, at(0));
    assert_eq!(stored(&b, at(1)), one(v4(P), 1));
    assert!(b.tracker.own_torrents().is_empty());
    // Half a minute later it announces to b: early, had it announced there before.
    b.announce(&client, at(30));
    assert_eq!(stored(&b, at(30)), one(v4(P), 0));
    assert_eq!(tell(&b, 2, &a, at(30)), refreshed());
    assert_eq!(stored(&a, at(30)), one(v4(P), 2));
    assert_eq!(a.tracker.own_delta(&HASH, at(30)), None);
    assert!(b.tracker.own_delta(&HASH, at(30)).is_some());
    // An announce a moment later is early again, and told to nobody.
    b.announce(&client, at(31));
    assert_eq!(told(&b, at(31)), []);
}

#[test]
fn another_client_does_not_take_over_a_peer_of_another_tracker() {
    let mut bench = telling(Settings::default());
    merge(&bench, 1, elsewhere(v4(P), 1, at(0)), at(0));
    let other = Announce {
        peer_id: PeerId([9; 20]),
        ..leecher(v4(P), 1)
    };
    bench.announce(&other, at(100));
    bench.announce(&stopped(other), at(101));
    assert_eq!(stored(&bench, at(101)), one(v4(P), 1));
    assert_eq!(told(&bench, at(101)), []);
    // Unless its key shows that it is the same one, restarted.
    let key = ClientKey::from_number(77);
    let (mut a, mut b) = (telling(Settings::default()), telling(Settings::default()));
    a.announce(
        &Announce {
            key,
            ..leecher(v4(P), 1)
        },
        at(0),
    );
    tell(&a, 1, &b, at(0));
    b.announce(&Announce { key, ..other }, at(100));
    assert_eq!(stored(&b, at(100)), one(v4(P), 0));
}

/// The later one stands, in whichever order they come; of two of one second the one that is further, whoever tells it.
#[test]
fn the_later_state_stands_in_any_order() {
    let seeder = |seen| {
        let mut delta = elsewhere(v4(P), 1, seen);
        delta.peer.is_seeder = true;
        delta
    };
    for (one, other) in [(1, 2), (2, 1)] {
        for first_is_later in [true, false] {
            let bench = bench(Settings::default());
            let (early, late) = (elsewhere(v4(P), 1, at(5)), seeder(at(6)));
            if first_is_later {
                assert_eq!(merge(&bench, one, late, at(9)), joined());
                assert_eq!(merge(&bench, other, early, at(9)), stale());
            } else {
                assert_eq!(merge(&bench, other, early, at(9)), joined());
                assert_eq!(merge(&bench, one, late, at(9)), refreshed());
            }
            assert_eq!(merge(&bench, one, late, at(9)), stale(), "a replay");
            let digest = bench.tracker.digest(at(9));
            assert_eq!((digest.peers, digest.seeders, digest.torrents), (1, 1, 1));
            assert_eq!(
                stored(&bench, at(9)),
                vec![(SocketAddr::new(v4(P), 1), one)]
            );
        }
    }
    for number in [1, 2] {
        let bench = bench(Settings::default());
        merge(&bench, number, elsewhere(v4(P), 1, at(5)), at(9));
        assert_eq!(merge(&bench, 3 - number, seeder(at(5)), at(9)), refreshed());
        assert_eq!(
            merge(&bench, number, elsewhere(v4(P), 1, at(5)), at(9)),
            stale()
        );
        assert_eq!(
            merge(&bench, number, seeder(at(5)), at(9)),
            stale(),
            "a tie keeps what is stored"
        );
        assert_eq!(stored(&bench, at(9)), one(v4(P), 3 - number));
    }
}

/// What its own tracker says later in the same second is the later one.
#[test]
fn a_tracker_may_revise_what_it_told_of_its_own_peers() {
    let bench = bench(Settings::default());
    let mut paused = elsewhere(v4(P), 1, at(5));
    paused.peer.is_paused = true;
    merge(&bench, 1, paused, at(5));
    assert_eq!(merge(&bench, 2, elsewhere(v4(P), 1, at(5)), at(5)), stale());
    assert_eq!(
        merge(&bench, 1, elsewhere(v4(P), 1, at(5)), at(5)),
        refreshed()
    );
    assert_eq!(merge(&bench, 1, elsewhere(v4(P), 1, at(5)), at(5)), stale());
    assert_eq!(bench.tracker.digest(at(5)).seeders, 0);
    assert_eq!(merge(&bench, 2, paused, at(5)), refreshed());
}

#[test]
fn leaves_count_by_their_time_and_by_whose_the_peer_is() {
    let bench = bench(Settings::default());
    merge(&bench, 1, elsewhere(v4(P), 1, at(10)), at(10));
    assert_eq!(
        merge(&bench, 2, left(v4(P), 1, at(9)), at(11)),
        stale(),
        "older"
    );
    assert_eq!(
        merge(&bench, 2, left(v4(P), 1, at(10)), at(11)),
        stale(),
        "presence beats leaving"
    );
    assert_eq!(
        merge(&bench, 1, left(v4(P), 1, at(7)), at(11)),
        stale(),
        "a replay from long ago"
    );
    assert_eq!(
        merge(&bench, 1, left(v4(P), 1, at(10)), at(11)),
        gone(),
        "its own tracker says so"
    );
    assert_eq!(merge(&bench, 1, left(v4(P), 1, at(10)), at(11)), stale());
    // What is older than the leave does not bring it back, whoever tells it; what is as new or newer does.
    assert_eq!(
        merge(&bench, 2, elsewhere(v4(P), 1, at(9)), at(12)),
        stale()
    );
    assert_eq!(
        merge(&bench, 2, elsewhere(v4(P), 1, at(10)), at(12)),
        joined()
    );
    assert_eq!(
        merge(&bench, 1, left(v4(P), 1, at(11)), at(12)),
        gone(),
        "later, from another one"
    );
    // A second of the clocks' difference does not keep who has left.
    merge(&bench, 1, elsewhere(v4(P), 1, at(20)), at(20));
    assert_eq!(merge(&bench, 1, left(v4(P), 1, at(19)), at(21)), gone());
    assert_eq!(
        merge(&bench, 2, elsewhere(v4(P), 1, at(19)), at(21)),
        stale()
    );
    // A leave that comes before the join that it follows.
    let q = v4(P + 1);
    assert_eq!(merge(&bench, 2, left(q, 1, at(22)), at(22)), stale());
    assert_eq!(merge(&bench, 1, elsewhere(q, 1, at(21)), at(22)), stale());
    assert_eq!(stored(&bench, at(22)), []);
}

#[test]
fn own_peers_leave_by_a_later_word_of_another_tracker_and_stay_gone() {
    let (mut a, mut b) = (telling(Settings::default()), telling(Settings::default()));
    let client = leecher(v4(P), 1);
    a.announce(&client, at(0));
    tell(&a, 1, &b, at(0));
    b.announce(&stopped(client), at(50));
    assert_eq!(tell(&b, 2, &a, at(50)), gone());
    assert_eq!((stored(&a, at(51)), stored(&b, at(51))), (vec![], vec![]));
    // The join again, from the log: both remember that it has left.
    let join = elsewhere(v4(P), 1, at(0));
    assert_eq!(merge(&b, 1, join, at(60)), stale());
    assert_eq!(a.tracker.merge(None, &delta(vec![join]), at(60)), stale());
    // A client that comes back does come back.
    b.announce(&client, at(70));
    assert_eq!(tell(&b, 2, &a, at(70)), joined());
    assert_eq!(b.tracker.own_leaves(at(0)), [], "who is back has not left");
}

#[test]
fn what_is_only_reported_stands_back_behind_who_comes_itself() {
    let reported = |seen| {
        let mut delta = elsewhere(v4(P), 1, seen);
        delta.peer.is_reported = true;
        delta
    };
    let bench = bench(Settings::default());
    merge(&bench, 1, reported(at(10)), at(10));
    assert_eq!(
        merge(&bench, 2, elsewhere(v4(P), 1, at(5)), at(10)),
        refreshed()
    );
    assert_eq!(merge(&bench, 1, reported(at(11)), at(12)), stale());
    let leave = PeerDelta {
        has_left: true,
        ..reported(at(12))
    };
    assert_eq!(merge(&bench, 1, leave, at(12)), stale());
    assert_eq!(stored(&bench, at(12)), one(v4(P), 2));
    // No more of them than a swarm takes from its own clients.
    let many = (0..100).map(|number| {
        let mut delta = reported(at(10));
        delta.peer.ip = v4(P + 1 + number);
        delta
    });
    let merged = bench
        .tracker
        .merge(Some(origin(1)), &delta(many.collect()), at(10));
    assert_eq!((merged.joined, merged.over_bound), (64, 36));
}

#[test]
fn what_no_peer_can_be_is_not_taken() {
    let bench = bench(Settings::default());
    for ip in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ] {
        let merged = merge(&bench, 1, elsewhere(ip.parse().unwrap(), 1, at(0)), at(0));
        assert_eq!(
            merged,
            Merged {
                invalid: 1,
                ..Merged::default()
            },
            "{ip}"
        );
    }
    assert_eq!(
        merge(&bench, 1, elsewhere(v4(P), 0, at(0)), at(0)).invalid,
        1
    );
    assert_eq!(
        merge(&bench, 1, elsewhere(v4(P), 1, at(0)), at(3_600)).expired,
        1
    );
    assert_eq!(bench.tracker.peers(), 0);
    // The future counts as now, so nobody lives for ever; an inner address that cannot be is left out.
    let mut future = elsewhere(v4(P), 1, Seconds::from_raw(u32::MAX));
    (future.peer.inner_ip, future.peer.downloaded_mib) =
        (Some("224.0.0.1".parse().unwrap()), u32::MAX);
    assert_eq!(merge(&bench, 1, future, at(10)), joined());
    let swarm = bench.tracker.export(&HASH, at(10)).unwrap();
    assert_eq!(
        (swarm.peers[0].last_seen, swarm.peers[0].inner_ip),
        (at(10), None)
    );
    assert_eq!(swarm.peers[0].downloaded_mib, (1 << 24) - 1);
    assert_eq!(bench.tracker.sweep(at(3_610)).expired_peers, 1);
    assert_eq!(stored(&bench, at(3_610)), []);
}

#[test]
fn bounds_of_torrents_and_addresses_hold_for_what_is_told() {
    let settings = Settings {
        max_ports_per_address: 3,
        max_peers_per_torrent: 20,
        ..Settings::default()
    };
    let bench = bench(settings);
    let of_one = (1..=1_000).map(|port| elsewhere(v4(P), port, at(0)));
    let merged = bench
        .tracker
        .merge(Some(origin(1)), &delta(of_one.collect()), at(0));
    assert_eq!((merged.joined, merged.over_bound), (3, 997));
    let of_many = (1..=1_000).map(|number| elsewhere(v4(P + number), 1, at(0)));
    let merged = bench
        .tracker
        .merge(Some(origin(1)), &delta(of_many.collect()), at(0));
    assert_eq!(
        (merged.joined, merged.over_bound),
        (15, 985),
        "a tenth is kept for own peers"
    );
    let mut bench = super::bench(Settings {
        max_torrents_per_address: 5,
        ..Settings::default()
    });
    for number in 0..20 {
        let mut delta = delta(vec![elsewhere(v4(P), 1, at(0))]);
        delta.info_hash = InfoHash([number; 20]);
        bench.tracker.merge(Some(origin(1)), &delta, at(0));
    }
    assert_eq!(bench.tracker.peers(), 5);
    bench.tracker.forget(origin(1), at(0));
    bench.announce(&leecher(v4(P), 1), at(0));
    assert_eq!(
        bench.tracker.peers(),
        1,
        "what was forgotten weighs on nobody"
    );
}

#[test]
fn one_origin_has_its_share_and_a_tenth_is_kept_for_own_peers() {
    let settings = Settings {
        max_peers: 100,
        max_torrents: 0,
        ..Settings::default()
    };
    let mut bench = bench(settings);
    let many = |from: u32| {
        delta(
            (0..200)
                .map(|number| elsewhere(v4(from + number * 256), 1, at(0)))
                .collect(),
        )
    };
    let first = bench.tracker.merge(Some(origin(1)), &many(P), at(0));
    assert_eq!((first.joined, first.over_quota), (50, 150));
    let second = bench.tracker.merge(Some(origin(2)), &many(P + 1), at(0));
    assert_eq!((second.joined, second.over_bound), (40, 160));
    assert_eq!(bench.tracker.peers_by_origin()[..3], [0, 50, 40]);
    for number in 0..10 {
        bench.announce(&leecher(v4(0x0b00_0000 + number * 256), 1), at(0));
    }
    assert_eq!(bench.tracker.peers_by_origin()[..3], [10, 50, 40]);
    // Nor does an origin take over more than its share.
    let stolen = bench.tracker.merge(
        Some(origin(1)),
        &delta(vec![elsewhere(v4(P + 1), 1, at(5))]),
        at(5),
    );
    assert_eq!(stolen.over_quota, 1);
    // At the bound own newcomers find room as ever, at the cost of partners.
    bench.announce(&leecher(v4(0x0c00_0000), 1), at(5));
    let by_origin = bench.tracker.peers_by_origin();
    assert_eq!((by_origin[0], by_origin[1] + by_origin[2]), (11, 89));
    assert_eq!(bench.tracker.forget(origin(1), at(5)), by_origin[1]);
    assert_eq!(bench.tracker.forget(origin(1), at(5)), 0);
    assert_eq!(bench.tracker.peers_by_origin()[1], 0);
}

#[test]
fn torrents_of_others_leave_room_for_own_ones() {
    let settings = Settings {
        max_torrents: 20,
        ..Settings::default()
    };
    let mut bench = bench(settings);
    for number in 0..30 {
        let mut living = delta(vec![elsewhere(v4(P + u32::from(number) * 256), 1, at(0))]);
        living.info_hash = InfoHash([number; 20]);
        bench.tracker.merge(Some(origin(1)), &living, at(0));
        let idle = SwarmDelta {
            info_hash: InfoHash([100 + number; 20]),
            downloaded: vec![(Some(origin(1)), 7)],
            peers: Vec::new(),
        };
        bench.tracker.merge(Some(origin(1)), &idle, at(0));
    }
    assert_eq!(bench.tracker.digest(at(0)).torrents, 18);
    assert_eq!(bench.tracker.torrents_with_counts().len(), 18);
    let own = Announce {
        info_hash: InfoHash([77; 20]),
        ..leecher(v4(1), 1)
    };
    bench.announce(&own, at(0));
    assert_eq!(bench.tracker.digest(at(0)).torrents, 19);
}

fn block(network: &str) -> Vec<Block> {
    vec![Block {
        number: 1,
        target: Target::Network(network.parse().unwrap()),
        reason: String::new(),
        created: Wall(0),
        expires: None,
    }]
}

/// W4, W11
#[test]
fn the_blocked_are_not_taken_and_those_who_are_there_are_withheld() {
    let bench = bench(Settings::default());
    merge(&bench, 1, elsewhere(v4(P), 1, at(0)), at(0));
    merge(&bench, 1, elsewhere(v4(P + 1), 1, at(0)), at(0));
    assert_eq!(
        bench
            .tracker
            .block(block("10.0.0.0/8"), Wall(0), at(10))
            .withheld,
        2
    );
    assert_eq!(bench.tracker.peers_by_origin()[1], 0);
    let newer = merge(&bench, 1, elsewhere(v4(P + 2), 1, at(11)), at(11));
    assert_eq!(newer.blocked, 1);
    // One leaves its own tracker meanwhile.
    merge(&bench, 1, left(v4(P + 1), 1, at(20)), at(20));
    assert_eq!(bench.tracker.block(Vec::new(), Wall(0), at(30)).restored, 1);
    assert_eq!(stored(&bench, at(30)), one(v4(P), 1));
    // A torrent that is blocked takes nothing, and keeps the counts of all.
    let counted = SwarmDelta {
        downloaded: vec![(Some(origin(1)), 5)],
        ..delta(vec![])
    };
    bench.tracker.merge(Some(origin(1)), &counted, at(30));
    let mut torrent = block("10.0.0.0/8");
    torrent[0].target = Target::Torrent(HASH);
    bench.tracker.block(torrent, Wall(0), at(31));
    assert_eq!(
        merge(&bench, 1, elsewhere(v4(P + 3), 1, at(31)), at(31)).blocked,
        1
    );
    let kept = bench.tracker.export(&HASH, at(31)).unwrap();
    assert_eq!(
        (kept.downloaded, kept.downloaded_elsewhere),
        (0, vec![(origin(1), 5)])
    );
    bench.tracker.block(Vec::new(), Wall(0), at(32));
    assert_eq!(bench.tracker.scrape(&HASH, at(32)).downloaded, 5);
    assert_eq!(stored(&bench, at(32)), one(v4(P), 1));
    // What an origin told is forgotten behind a block too.
    bench.tracker.block(block("10.0.0.0/8"), Wall(0), at(33));
    assert_eq!(bench.tracker.forget(origin(1), at(34)), 1);
    bench.tracker.block(Vec::new(), Wall(0), at(35));
    assert_eq!(stored(&bench, at(35)), []);
    assert_eq!(bench.tracker.scrape(&HASH, at(35)).downloaded, 0);
}

/// O18, W4: who joins a moment before a block is told to nobody then; all are told again when the block is lifted.
#[test]
fn who_comes_back_from_behind_a_block_is_told_again() {
    let mut bench = telling(Settings::default());
    bench.announce(&leecher(v4(P), 1), at(0));
    let hidden = bench.tracker.block(block("10.0.0.0/8"), Wall(0), at(0));
    assert_eq!(hidden.withheld, 1);
    let batch = bench.tracker.take_touched();
    assert!(!batch.have_come_back);
    assert_eq!(bench.tracker.deltas_of(batch.touched, at(0)), []);
    bench.tracker.block(Vec::new(), Wall(0), at(5));
    assert!(bench.tracker.take_touched().have_come_back);
    assert!(!bench.tracker.take_touched().have_come_back);
    assert_eq!(
        bench.tracker.own_delta(&HASH, at(5)).unwrap().peers.len(),
        1
    );
}

fn zoned(strict: bool) -> Zones {
    let rules = ["a", "b"]
        .into_iter()
        .enumerate()
        .map(|(number, path)| ZoneRule {
            path: path.into(),
            prefixes: vec![format!("10.{number}.0.0/16").parse().unwrap()],
            is_strict: strict,
            ..ZoneRule::default()
        });
    Zones::new(&rules.collect::<Vec<_>>(), &[]).unwrap()
}

/// With the same chance the same list is handed out, whether its peers announced here or elsewhere.
#[test]
fn a_peer_of_another_tracker_stands_in_its_own_zone() {
    for is_strict in [false, true] {
        let mut all = [telling(Settings::default()), telling(Settings::default())];
        let [own, told] = &mut all;
        for bench in [&mut *own, &mut *told] {
            bench.tracker.set_zones(zoned(is_strict), at(0));
        }
        for number in 1..200 {
            let zone = 0x0a00_0000 + ((number % 3) << 16);
            own.announce(&leecher(v4(zone + number), 1), at(0));
            let from = u8::try_from(number % 3 + 1).unwrap();
            merge(told, from, elsewhere(v4(zone + number), 1, at(0)), at(0));
        }
        assert_eq!(own.tracker.digest(at(1)), told.tracker.digest(at(1)));
        for number in 0..20 {
            let mut lists = Vec::new();
            for bench in [&mut *own, &mut *told] {
                bench.rng = fastrand::Rng::with_seed(number.into());
                let asker = leecher(v4(0x0a00_8000 + ((number % 3) << 16) + number), 1);
                bench.announce(&asker, at(1));
                lists.push(bench.handed());
            }
            assert_eq!(lists[0], lists[1]);
            let zone = format!("10.{}.", number % 3);
            let is_near = |peer: &SocketAddr| peer.to_string().starts_with(&zone);
            assert!(!lists[0].is_empty());
            assert!(!is_strict || number % 3 == 2 || lists[0].iter().all(is_near));
        }
        // Sorted anew with other zones.
        for bench in [&mut *own, &mut *told] {
            bench.tracker.set_zones(zoned(!is_strict), at(2));
        }
        let census = [own, told].map(|bench| {
            let zones = bench.tracker.census(at(2), Wall(0)).zones;
            let counts = zones
                .into_iter()
                .map(|zone| (zone.path, zone.own, zone.below));
            counts.collect::<Vec<_>>()
        });
        assert_eq!(census[0], census[1]);
    }
}

/// S14
#[test]
fn a_client_whose_two_addresses_come_by_two_trackers_counts_once() {
    let client = |ip: &str| Announce {
        peer_id: PeerId([5; 20]),
        key: ClientKey::from_number(55),
        ..leecher(ip.parse().unwrap(), 6_881)
    };
    let (over_v4, over_v6) = (client("10.0.0.1"), client("2001:db8::1"));
    // By two other trackers; by one other and this one itself, in both orders.
    for case in 0..4 {
        let mut all = [0, 1, 2].map(|_| telling(Settings::default()));
        let [a, b, c] = &mut all;
        let incomplete = |bench: &Bench| bench.tracker.scrape(&HASH, at(9)).incomplete;
        match case {
            0 => {
                a.announce(&over_v4, at(0));
                b.announce(&over_v6, at(1));
                tell(a, 1, c, at(1));
                tell(b, 2, c, at(2));
            }
            1 => {
                a.announce(&over_v4, at(0));
                tell(a, 1, c, at(1));
                c.announce(&over_v6, at(2));
            }
            2 => {
                c.announce(&over_v6, at(0));
                a.announce(&over_v4, at(1));
                tell(a, 1, c, at(2));
            }
            _ => {
                a.announce(&over_v4, at(0));
                a.announce(&over_v6, at(1));
                tell(a, 1, c, at(2));
            }
        }
        assert_eq!(
            (incomplete(c), c.tracker.digest(at(9)).peers),
            (1, 2),
            "case {case}"
        );
        // Both addresses side by side, as one place of the list.
        let asker = Announce {
            num_want: Some(1),
            ..leecher(v4(9), 9)
        };
        c.announce(&asker, at(9));
        assert_eq!(c.handed().len(), 2, "case {case}");
        // When one of them goes, the other one counts.
        merge(c, 1, left(over_v4.ip, 6_881, at(10)), at(10));
        merge(c, 2, left(over_v4.ip, 6_881, at(10)), at(10));
        assert_eq!(incomplete(c), 2, "case {case}: the asker and the client");
    }
    // Another key is another client.
    let (mut a, mut b, c) = (
        telling(Settings::default()),
        telling(Settings::default()),
        telling(Settings::default()),
    );
    a.announce(&over_v4, at(0));
    b.announce(
        &Announce {
            key: ClientKey::from_number(56),
            ..over_v6
        },
        at(0),
    );
    tell(&a, 1, &c, at(1));
    tell(&b, 2, &c, at(1));
    assert_eq!(c.tracker.scrape(&HASH, at(2)).incomplete, 2);
}

#[test]
fn trackers_that_keep_no_ids_tell_and_take_all_the_same() {
    let without = Settings {
        keep_peer_ids: false,
        ..Settings::default()
    };
    for (keeps_a, keeps_b) in [(false, false), (true, false), (false, true)] {
        let of = |keeps| {
            telling(if keeps {
                Settings::default()
            } else {
                without.clone()
            })
        };
        let (mut a, mut b) = (of(keeps_a), of(keeps_b));
        let client = leecher(v4(P), 1);
        a.announce(&client, at(0));
        assert_eq!(tell(&a, 1, &b, at(0)), joined());
        assert_eq!(stored(&b, at(0)), one(v4(P), 1));
        // It moves, and leaves where it is.
        b.announce(&client, at(100));
        assert_eq!(tell(&b, 2, &a, at(100)), refreshed());
        b.announce(&stopped(client), at(200));
        assert_eq!(tell(&b, 2, &a, at(200)), gone());
        assert_eq!(a.tracker.digest(at(200)), b.tracker.digest(at(200)));
        assert_eq!(a.tracker.peers(), 0);
    }
}

#[test]
fn peers_of_others_die_when_their_own_time_is_over() {
    let mut bench = telling(Settings::default());
    bench.announce(&leecher(v4(1), 1), at(1_000));
    merge(&bench, 1, elsewhere(v4(P), 1, at(10)), at(1_000));
    assert_eq!(bench.tracker.scrape(&HASH, at(3_609)).incomplete, 2);
    assert_eq!(bench.tracker.scrape(&HASH, at(3_610)).incomplete, 1);
    assert_eq!(bench.tracker.peers_by_origin()[..2], [1, 0]);
    let told = told(&bench, at(3_610));
    assert!(
        told.iter()
            .all(|delta| delta.peers.iter().all(|peer| !peer.has_left))
    );
}

/// Bounds that ten thousand peers of one network do not meet.
fn roomy() -> Settings {
    Settings {
        max_torrents_per_address: 0,
        max_ports_per_address: 0,
        ..Settings::default()
    }
}

/// Has each of several trackers, which are numbered from 1, merge what the others tell; adds what was told.
fn exchange(all: &[Bench; 3], now: Seconds, log: &mut Vec<(u8, SwarmDelta)>) {
    for (from, number) in all.iter().zip(1..) {
        for delta in told(from, now) {
            let delta = seen_from_outside(delta, number);
            merge_by_others(all, number, &delta, now);
            log.push((number, delta));
        }
    }
}

fn merge_by_others(all: &[Bench; 3], number: u8, delta: &SwarmDelta, now: Seconds) {
    for (to, of) in all.iter().zip(1..) {
        if of != number {
            to.tracker.merge(Some(origin(number)), delta, now);
        }
    }
}

/// A tenth of the clients says so to a second tracker too; all is told twice; one tracker is restarted, one is new.
#[test]
fn ten_thousand_completions_count_ten_thousand() {
    let mut all = [1, 2, 3].map(|_| telling(roomy()));
    let client = |number: u32| leecher(v4(P + number), 1);
    let completed = |number: u32| Announce {
        event: Event::Completed,
        is_seeder: true,
        ..client(number)
    };
    let mut log = Vec::new();
    for number in 0..10_000 {
        all[number as usize % 3].announce(&client(number), at(0));
    }
    exchange(&all, at(0), &mut log);
    for number in 0..10_000 {
        all[number as usize % 3].announce(&completed(number), at(10));
    }
    exchange(&all, at(10), &mut log);
    for number in 0..1_000 {
        all[(number as usize + 1) % 3].announce(&completed(number), at(11));
    }
    exchange(&all, at(11), &mut log);
    // All of it again, to all but who told it; and to the first one, restarted without a database.
    let fresh = telling(roomy());
    for (number, delta) in log.iter().chain(&log) {
        merge_by_others(&all, *number, delta, at(12));
        let mut delta = delta.clone();
        let counts = delta.downloaded.iter_mut();
        counts.for_each(|(of, _)| *of = of.filter(|of| *of != origin(1)));
        let from = Some(origin(*number)).filter(|from| *from != origin(1));
        fresh.tracker.merge(from, &delta, at(12));
    }
    for bench in all.iter().chain([&fresh]) {
        let counts = bench.tracker.scrape(&HASH, at(12));
        assert_eq!((counts.downloaded, counts.complete), (10_000, 10_000));
        assert_eq!(bench.tracker.digest(at(12)), fresh.tracker.digest(at(12)));
        let by_origin = bench.tracker.counts_delta(&HASH).unwrap().downloaded;
        assert_eq!(
            by_origin.iter().map(|(_, count)| count).sum::<u32>(),
            10_000
        );
        assert_eq!(bench.tracker.torrents_with_counts(), [HASH]);
    }
    // Restarted with one.
    let [first, ..] = &all;
    let restarted = telling(roomy());
    restarted
        .tracker
        .restore(first.tracker.export(&HASH, at(12)).unwrap(), at(12));
    assert_eq!(
        restarted.tracker.digest(at(12)),
        fresh.tracker.digest(at(12))
    );
    for restarted in [&restarted, &fresh] {
        let [known, expected] = [restarted, first].map(|bench| bench.tracker.peers_by_origin());
        assert_eq!(known, expected);
        let [known, expected] = [restarted, first].map(|bench| {
            let mut counts = bench.tracker.counts_delta(&HASH).unwrap().downloaded;
            counts.sort_unstable();
            counts
        });
        assert_eq!(known, expected);
    }
}

#[test]
fn counts_of_others_are_kept_while_nobody_is_there_and_do_not_touch_the_own_one() {
    let mut bench = telling(Settings::default());
    let mut counts = SwarmDelta {
        downloaded: vec![(Some(origin(1)), 7), (Some(origin(2)), u32::MAX), (None, 3)],
        ..delta(vec![])
    };
    bench.tracker.merge(Some(origin(1)), &counts, at(0));
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).downloaded, u32::MAX);
    assert_eq!(
        bench.tracker.counts_delta(&HASH).unwrap().downloaded,
        [(None, 3), (Some(origin(1)), 7), (Some(origin(2)), u32::MAX)]
    );
    assert_eq!(bench.tracker.own_torrents(), [HASH]);
    bench.tracker.forget(origin(2), at(0));
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).downloaded, 10);
    bench.announce(
        &Announce {
            event: Event::Completed,
            ..seeder(v4(P), 1)
        },
        at(1),
    );
    counts.downloaded = vec![(None, 2), (Some(origin(1)), 6)];
    bench.tracker.merge(Some(origin(2)), &counts, at(1));
    assert_eq!(bench.tracker.scrape(&HASH, at(1)).downloaded, 11);
    assert_eq!(told(&bench, at(1))[0].downloaded, [(None, 4)]);
    // A month after the last peer it is over.
    bench.tracker.sweep(at(3_700));
    assert_eq!(bench.tracker.scrape(&HASH, at(3_700)).downloaded, 11);
    bench.tracker.sweep(at(3_700 + 31 * 86_400));
    assert_eq!(
        bench
            .tracker
            .scrape(&HASH, at(3_700 + 31 * 86_400))
            .downloaded,
        0
    );
}

/// What is read back from the own log is this tracker's own again, and told to nobody.
#[test]
fn what_this_tracker_told_before_a_restart_is_its_own_again() {
    let mut before = telling(Settings::default());
    before.announce(&leecher(v4(P), 1), at(0));
    before.announce(&leecher(v4(P + 1), 1), at(0));
    let mut log = told(&before, at(0));
    before.announce(&stopped(leecher(v4(P + 1), 1)), at(5));
    log.extend(told(&before, at(5)));
    let after = telling(Settings::default());
    for delta in &log {
        after.tracker.merge(None, delta, at(100));
    }
    assert_eq!(stored(&after, at(100)), one(v4(P), 0));
    assert_eq!(told(&after, at(100)), []);
    assert_eq!(
        after.tracker.own_leaves(at(0)),
        before.tracker.own_leaves(at(0))
    );
    assert_eq!(
        after.tracker.digest(at(100)),
        before.tracker.digest(at(100))
    );
}

#[test]
fn a_snapshot_keeps_whose_a_peer_is() {
    let bench = bench(Settings::default());
    let stored_peer = |number: u32, of| StoredPeer {
        origin: of,
        ..elsewhere(v4(P + number), 1, at(0)).peer
    };
    let swarm = StoredSwarm {
        info_hash: HASH,
        downloaded: 2,
        downloaded_elsewhere: vec![(origin(4), 3)],
        last_used: at(0),
        peers: vec![stored_peer(0, None), stored_peer(1, Some(origin(4)))],
    };
    assert_eq!(bench.tracker.restore(swarm.clone(), at(0)).peers, 2);
    assert_eq!(bench.tracker.peers_by_origin()[..5], [1, 0, 0, 0, 1]);
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).downloaded, 5);
    let mut again = bench.tracker.export(&HASH, at(0)).unwrap();
    again.peers.sort_by_key(|peer| peer.ip);
    assert_eq!(again, swarm);
}

/// O16, O18: whose key is revoked is gone from the other trackers too, by the next batch and by every repair.
#[test]
fn the_peers_of_a_revoked_key_leave_all_trackers() {
    use crate::tracker::keys::{KeyDigest, KeyLimits, KeyMode, KeyRecord, KeyUser, NewKey};
    let settings = Settings {
        keys: KeyMode::Accepted,
        ..Settings::default()
    };
    let (mut a, b) = (telling(settings), telling(Settings::default()));
    let digest = KeyDigest::of(b"0123456789abcdef0123456789abcdef").unwrap();
    let key = NewKey {
        digest,
        label: String::new(),
        expires: None,
        limits: KeyLimits::default(),
    };
    a.tracker.keys().put(KeyRecord {
        number: 7,
        key,
        is_from_file: false,
        created: Wall(1),
        revoked: None,
    });
    let metrics = Arc::clone(a.tracker.metrics());
    let mut context = AnnounceContext {
        now: at(0),
        rng: &mut a.rng,
        counters: metrics.counters(0),
    };
    let user = KeyUser {
        digest,
        uploaded: 0,
    };
    a.tracker
        .announce_by_key(&leecher(v4(P), 1), &user, &mut context, &mut a.list)
        .unwrap();
    assert_eq!(tell(&a, 3, &b, at(1)), joined());
    a.tracker.revoke_key(7, Wall(2), at(60));
    assert_eq!(a.tracker.own_leaves(at(59)).len(), 1, "a repair tells it");
    assert_eq!(tell(&a, 3, &b, at(61)), gone());
    assert_eq!(stored(&b, at(61)), []);
}
