//! Blocks that are taken back (W4, W11): what they hid comes back within ten minutes, and whole.

use super::*;
use crate::clock::Wall;
use crate::tracker::report::census::Covered;
use crate::tracker::swarm::withheld::{MAX_WITHHELD, WITHHELD_SECONDS};
use crate::tracker::{
    Block, ClientKey, Enforced, ScrapeReply, StoredPeer, StoredSwarm, Target, ZoneRule, Zones,
};

fn block(target: Target) -> Block {
    Block {
        number: 1,
        target,
        reason: String::new(),
        created: Wall(1),
        expires: None,
    }
}

fn network(text: &str) -> Target {
    Target::Network(text.parse().unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Bench {
    fn block(&self, targets: &[Target], now: Seconds) -> Enforced {
        let blocks = targets.iter().copied().map(block).collect();
        self.tracker.block(blocks, Wall(1), now)
    }

    /// What everybody sees of the swarm: its counts, the list of a newcomer in another network, the census.
    fn seen(&mut self, now: Seconds) -> (ScrapeReply, Vec<SocketAddr>, u64, u64, Vec<u64>) {
        let counts = self.tracker.scrape(&HASH, now);
        let asking = Announce {
            port: 0,
            num_want: Some(200),
            ..leecher(ip("172.16.0.1"), 1)
        };
        self.announce(&asking, now);
        let census = self.tracker.census(now, Wall(1));
        let zones = census.zones.iter().map(|zone| zone.own.peers());
        (
            counts,
            self.handed(),
            self.tracker.peers(),
            census.torrents,
            zones.collect(),
        )
    }
}

/// Peers of every kind: of both families and roles, paused, reported, tied to a second address or to another family, in zones.
fn crowded(settings: Settings) -> Bench {
    let mut bench = bench(settings);
    let rule = |path: &str, prefix: &str| ZoneRule {
        path: path.into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..ZoneRule::default()
    };
    let rules = [rule("near", "10.0.0.0/24"), rule("far", "10.0.1.0/24")];
    let zones = Zones::new(&rules, &[]).unwrap();
    bench.tracker.set_zones(zones, at(0));
    for number in 0..80 {
        bench.announce(&leecher(v4(0x0a00_0000 + number), 1), at(number));
        bench.announce(&seeder(v4(0x0a00_0100 + number), 2), at(number));
    }
    for port in 1..8 {
        // A crowd behind one address, most of it surplus (S16).
        bench.announce(&leecher(ip("10.0.0.250"), port), at(200));
    }
    let completed = Announce {
        event: Event::Completed,
        ..seeder(ip("10.0.0.1"), 1)
    };
    bench.announce(&completed, at(300));
    let paused = Announce {
        event: Event::Paused,
        ..leecher(ip("10.0.0.2"), 1)
    };
    bench.announce(&paused, at(300));
    let reported = Announce {
        is_reported: true,
        ..leecher(ip("10.0.0.251"), 1)
    };
    bench.announce(&reported, at(300));
    let tied = Announce {
        inner_ip: Some(ip("192.168.7.7")),
        ..leecher(ip("10.0.0.252"), 1)
    };
    bench.announce(&tied, at(300));
    for address in ["10.0.0.253", "2001:db8::1"] {
        let dual = Announce {
            key: ClientKey::from_number(7),
            peer_id: PeerId([7; 20]),
            ..leecher(ip(address), 9)
        };
        bench.announce(&dual, at(300));
    }
    bench
}

/// All that is stored of the swarm, in order.
fn stored(bench: &Bench, now: Seconds) -> Option<StoredSwarm> {
    let mut swarm = bench.tracker.export(&HASH, now)?;
    swarm
        .peers
        .sort_unstable_by_key(|peer| (peer.ip, peer.port));
    Some(swarm)
}

/// W4, W11: counts in scrapes, lists, zones, seeders and leechers are what they were.
#[test]
fn a_block_that_is_taken_back_gives_back_all_that_it_hid() {
    let everything = [network("0.0.0.0/0"), network("::/0")];
    for keep_peer_ids in [true, false] {
        for targets in [
            &[network("10.0.0.0/24")][..],
            &[network("2001:db8::/32")],
            &everything,
            &[Target::Torrent(HASH)],
            &[Target::Torrent(HASH), network("10.0.0.0/8")],
        ] {
            let mut bench = crowded(Settings {
                keep_peer_ids,
                selection: crate::tracker::Selection::Shares,
                ..Settings::default()
            });
            let (before, kept) = (bench.seen(at(400)), stored(&bench, at(400)));
            assert_eq!((before.0.downloaded, before.2), (1, 171));
            let blocked = bench.block(targets, at(400));
            assert!(blocked.withheld > 0 && blocked.restored == 0 && blocked.freed == 0);
            // Who is blocked is refused meanwhile and in no reply; the database is to find all of them after a restart.
            let hidden = bench.tracker.scrape(&HASH, at(400));
            let counted = |counts: ScrapeReply| counts.complete + counts.incomplete;
            assert!(counted(hidden) <= counted(before.0));
            assert_eq!(bench.tracker.peers(), before.2 - blocked.withheld);
            assert!(stored(&bench, at(400)) == kept);
            bench.tracker.sweep(at(500));
            bench
                .tracker
                .judge_blocks(Wall(1), at(400 + WITHHELD_SECONDS - 1));
            let lifted = bench.block(&[], at(500));
            assert_eq!(lifted.restored, blocked.withheld, "{targets:?}");
            assert_eq!(bench.seen(at(400)), before, "{targets:?}");
            assert!(stored(&bench, at(400)) == kept, "{targets:?}");
            // Everybody's own again: who stops with the right id leaves, and the second address of a client is not counted.
            let gone = Announce {
                event: Event::Stopped,
                ..leecher(ip("10.0.0.9"), 1)
            };
            bench.announce(&gone, at(501));
            assert_eq!(bench.tracker.peers(), before.2 - 1);
        }
    }
}

/// W4, W11
#[test]
fn after_ten_minutes_the_peers_of_a_block_are_freed() {
    let mut bench = crowded(Settings::default());
    let before = bench.seen(at(400)).0;
    bench.block(&[network("10.0.0.0/24")], at(400));
    let left = stored(&bench, at(400)).unwrap().peers.len();
    bench
        .tracker
        .judge_blocks(Wall(1), at(400 + WITHHELD_SECONDS));
    assert_eq!(
        bench.tracker.changed(),
        [HASH],
        "the next snapshot writes it without them"
    );
    let freed = left - stored(&bench, at(400)).unwrap().peers.len();
    assert!(freed > 80);
    assert_eq!(bench.block(&[], at(1_001)).restored, 0);
    let after = bench.tracker.scrape(&HASH, at(400));
    assert!(after.incomplete + 80 < before.incomplete);
    assert_eq!(after.downloaded, 1, "a count is nobody's");

    bench.block(&[Target::Torrent(HASH)], at(1_001));
    assert!(bench.tracker.freed().contains(&HASH));
    assert!(stored(&bench, at(1_001)).is_some());
    bench
        .tracker
        .judge_blocks(Wall(1), at(1_001 + WITHHELD_SECONDS));
    assert!(bench.tracker.freed().contains(&HASH));
    assert_eq!(stored(&bench, at(1_001)), None);
}

/// W4, W11: who died meanwhile does not come back, and who came meanwhile stays.
#[test]
fn the_dead_do_not_come_back_and_who_came_first_stays() {
    let mut bench = bench(Settings::default());
    let lifetime = Settings::default().lifetime();
    bench.announce(&leecher(v4(1), 1), at(0));
    bench.announce(&leecher(v4(2), 1), at(300));
    bench.announce(&leecher(v4(3), 1), at(300));
    assert_eq!(bench.block(&[network("0.0.0.0/0")], at(300)).withheld, 3);
    let lifted = at(lifetime);
    // Of two threads that change the list, one may let an announce in before the other has put back who was there.
    bench.tracker.access().block(Vec::new(), Wall(1));
    bench.announce(&seeder(v4(2), 1), lifted);
    let enforced = bench.block(&[], lifted);
    assert_eq!((enforced.restored, bench.tracker.peers()), (1, 2));
    let counts = bench.tracker.scrape(&HASH, lifted);
    assert_eq!((counts.complete, counts.incomplete), (1, 1));
    bench.tracker.sweep(at(300 + lifetime));
    assert_eq!(
        bench.tracker.peers(),
        1,
        "their time goes on as if nothing had been"
    );
}

/// W4, W11: blocks that overlap are lifted one by one.
#[test]
fn who_is_under_two_blocks_comes_back_with_the_second() {
    let mut bench = bench(Settings::default());
    for number in 0..10 {
        bench.announce(&leecher(v4(0x0a00_0000 + number), 1), at(0));
    }
    let (wide, narrow) = (network("10.0.0.0/8"), network("10.0.0.0/30"));
    assert_eq!(bench.block(&[wide], at(0)).withheld, 10);
    assert_eq!(bench.block(&[wide, narrow], at(0)).withheld, 0);
    assert_eq!(bench.block(&[narrow], at(0)).restored, 6);
    assert_eq!(bench.tracker.peers(), 6);
    assert_eq!(
        bench
            .block(&[Target::Torrent(HASH), narrow], at(0))
            .withheld,
        6
    );
    assert_eq!(bench.block(&[narrow], at(0)).restored, 6);
    assert_eq!(bench.block(&[], at(0)).restored, 4);
    assert_eq!(bench.tracker.scrape(&HASH, at(0)).incomplete, 10);
}

/// One address of a client with two.
fn dual(client: u8, is_v4: bool, event: Event) -> Announce {
    let address = if is_v4 {
        v4(0x0a00_0000 + u32::from(client))
    } else {
        ip(&format!("2001:db8::{client}"))
    };
    Announce {
        event,
        key: ClientKey::from_number(u32::from(client) + 1),
        peer_id: PeerId([client; 20]),
        ..leecher(address, 9)
    }
}

/// W4, S14, P9: the other address of a client left while a block hid the one, and comes again after it.
#[test]
fn a_client_whose_other_address_left_behind_the_block_counts_once_again() {
    for (first, event) in [
        (true, Event::None),
        (false, Event::None),
        (true, Event::Started),
        (false, Event::Started),
    ] {
        for hides_v4 in [true, false] {
            let mut bench = bench(Settings::default());
            for client in 0..10 {
                bench.announce(&dual(client, true, Event::Started), at(0));
                bench.announce(&dual(client, false, Event::Started), at(1));
            }
            let target = if hides_v4 {
                "10.0.0.0/16"
            } else {
                "2001:db8::/32"
            };
            assert_eq!(bench.block(&[network(target)], at(10)).withheld, 10);
            for client in 0..10 {
                bench.announce(&dual(client, !hides_v4, Event::Stopped), at(20));
            }
            assert_eq!(bench.tracker.scrape(&HASH, at(20)).incomplete, 0);
            assert_eq!(bench.block(&[], at(30)).restored, 10);
            for is_v4 in [first, !first] {
                for client in 0..10 {
                    bench.announce(&dual(client, is_v4, event), at(40));
                }
            }
            assert_eq!(bench.tracker.peers(), 20);
            assert_eq!(
                bench.tracker.scrape(&HASH, at(40)).incomplete,
                10,
                "{first} {event:?} {hides_v4}"
            );
        }
    }
}

/// W4, S14, P9: blocks of both addresses over a restart, lifted one after the other.
#[test]
fn clients_whose_addresses_were_hidden_over_a_restart_count_once_again() {
    let both = [network("10.0.0.0/16"), network("2001:db8::/32")];
    let mut before = bench(Settings::default());
    for client in 0..50 {
        before.announce(&dual(client, true, Event::Started), at(0));
        before.announce(&dual(client, false, Event::Started), at(1));
    }
    assert_eq!(before.block(&both, at(10)).withheld, 100);
    let kept = before.tracker.export(&HASH, at(10)).unwrap();
    let mut after = bench(Settings::default());
    after.block(&both, at(10));
    after.tracker.restore(kept, at(10));
    assert_eq!(after.block(&both[1..], at(20)).restored, 50);
    assert_eq!(after.block(&[], at(30)).restored, 50);
    for client in 0..50 {
        after.announce(&dual(client, true, Event::None), at(40));
        after.announce(&dual(client, false, Event::None), at(41));
    }
    assert_eq!(after.tracker.scrape(&HASH, at(41)).incomplete, 50);
}

/// W4, W11, S5: as many come back as there is room for.
#[test]
fn what_comes_back_keeps_within_the_bounds() {
    let settings = |max_peers, max_peers_per_torrent| Settings {
        max_peers,
        max_peers_per_torrent,
        ..Settings::default()
    };
    for (settings, expected) in [(settings(300, 0), 300), (settings(0, 250), 250)] {
        let mut bench = bench(settings);
        for number in 0..200 {
            bench.announce(&leecher(v4(0x0a00_0000 + number), 1), at(0));
        }
        assert_eq!(bench.block(&[network("10.0.0.0/8")], at(0)).withheld, 200);
        for number in 0..200 {
            bench.announce(&leecher(v4(0x0b00_0000 + number), 1), at(0));
        }
        bench.block(&[], at(0));
        assert_eq!(bench.tracker.peers(), expected);
    }
}

/// W4, W11, S5: who has no room is not lost: it comes back when there is some, within its ten minutes.
#[test]
fn who_has_no_room_waits_for_it_until_the_ten_minutes_are_over() {
    let settings = |max_peers, max_torrents, max_peers_per_torrent| Settings {
        max_peers,
        max_torrents,
        max_peers_per_torrent,
        ..Settings::default()
    };
    let other = InfoHash([5; 20]);
    for (settings, hash, waiting) in [
        (settings(300, 0, 0), HASH, 100),
        (settings(300, 0, 0), other, 100),
        (settings(0, 0, 300), HASH, 100),
        (settings(0, 1, 0), other, 200),
    ] {
        let mut bench = bench(settings);
        for number in 0..200 {
            let hidden = leecher(v4(0x0a00_0000 + number), 1);
            bench.announce(&hidden, at(0));
        }
        assert_eq!(bench.block(&[network("10.0.0.0/8")], at(0)).withheld, 200);
        // A count is kept of the torrent only where somebody completed it.
        bench.tracker.sweep(at(0));
        let newcomer = |number: u32| Announce {
            info_hash: hash,
            ..leecher(v4(0x0b00_0000 + number), 1)
        };
        for number in 0..200 {
            bench.announce(&newcomer(number), at(0));
        }
        let lifted = bench.block(&[], at(0));
        assert_eq!((lifted.restored, lifted.waiting), (200 - waiting, waiting));
        assert!(lifted.shortage().is_some());
        // One of those who wait comes by itself: it is stored once, and saved once.
        for number in 0..200 {
            let gone = Announce {
                event: Event::Stopped,
                ..newcomer(number)
            };
            bench.announce(&gone, at(1));
        }
        bench.announce(&leecher(v4(0x0a00_0000 + 199), 1), at(1));
        let mut saved = bench.tracker.export(&HASH, at(1)).unwrap().peers;
        saved.sort_unstable_by_key(|peer| peer.ip);
        saved.dedup_by_key(|peer| peer.ip);
        assert_eq!(saved.len(), 200);
        assert_eq!(bench.tracker.export(&HASH, at(1)).unwrap().peers.len(), 200);
        bench.tracker.sweep(at(2));
        assert_eq!(bench.tracker.peers(), 200);
        assert_eq!(bench.tracker.scrape(&HASH, at(2)).incomplete, 200);
        let saved = bench.tracker.export(&HASH, at(2)).unwrap();
        assert_eq!(saved.peers.len(), 200);
    }
}

/// W4, W11, S5
#[test]
fn who_waits_for_room_is_freed_after_ten_minutes() {
    let mut bench = bench(Settings {
        max_peers: 10,
        ..Settings::default()
    });
    let blocked = network("10.0.0.0/8");
    for first in [0x0a00_0000, 0x0b00_0000] {
        for number in 0..10 {
            bench.announce(&leecher(v4(first + number), 1), at(0));
        }
        bench.block(&[blocked], at(0));
    }
    assert_eq!(bench.block(&[], at(1)).waiting, 10);
    bench.tracker.judge_blocks(Wall(1), at(WITHHELD_SECONDS));
    for number in 0..10 {
        let gone = Announce {
            event: Event::Stopped,
            ..leecher(v4(0x0b00_0000 + number), 1)
        };
        bench.announce(&gone, at(WITHHELD_SECONDS));
    }
    bench.tracker.sweep(at(WITHHELD_SECONDS));
    assert_eq!(bench.tracker.peers(), 0);
}

/// W4, W11: what is withheld has a bound; the rest is freed as if there were no way back.
#[test]
fn no_more_is_withheld_than_the_bound() {
    let bench = bench(Settings {
        keep_peer_ids: false,
        max_peers_per_torrent: 0,
        ..Settings::default()
    });
    let peer = |number: u32| StoredPeer {
        origin: None,
        ip: v4(0x0a00_0000 + number),
        inner_ip: None,
        port: 1,
        id: PeerId([0; 20]),
        is_seeder: false,
        is_paused: false,
        is_reported: false,
        has_completed: false,
        downloaded_mib: 0,
        last_seen: at(0),
    };
    let most = u32::try_from(MAX_WITHHELD).unwrap();
    let swarm = StoredSwarm {
        downloaded_elsewhere: Vec::new(),
        info_hash: HASH,
        downloaded: 0,
        last_used: at(0),
        peers: (0..most + 7).map(peer).collect(),
    };
    assert_eq!(bench.tracker.restore(swarm, at(0)).peers, MAX_WITHHELD + 7);
    let blocked = bench.block(&[network("10.0.0.0/8")], at(0));
    assert_eq!((blocked.withheld, blocked.freed), (u64::from(most), 7));
    assert_eq!(bench.block(&[], at(0)).restored, u64::from(most));
}

/// W4, W11: over a restart, what was withheld is still, and its ten minutes begin anew.
#[test]
fn a_restart_withholds_whom_a_young_block_covers() {
    for targets in [[network("10.0.0.0/24")], [Target::Torrent(HASH)]] {
        let mut before = crowded(Settings::default());
        let seen = before.seen(at(400)).0;
        before.block(&targets, at(400));
        let kept = stored(&before, at(400)).unwrap();
        let after = bench(Settings::default());
        after.block(&targets, at(400));
        let restored = after.tracker.restore(kept.clone(), at(400));
        assert!(restored.has_withheld);
        assert_eq!(restored.peers as u64, before.tracker.peers());
        assert_eq!(
            after.tracker.scrape(&HASH, at(400)),
            before.tracker.scrape(&HASH, at(400))
        );
        after
            .tracker
            .judge_blocks(Wall(1), at(400 + WITHHELD_SECONDS - 1));
        after.block(&[], at(400 + WITHHELD_SECONDS));
        assert!(stored(&after, at(400)) == Some(kept), "{targets:?}");
        let counts = after.tracker.scrape(&HASH, at(400));
        // Pairs of addresses are found again at the next announces.
        assert_eq!(
            (counts.complete, counts.downloaded),
            (seen.complete, seen.downloaded)
        );
    }
}

/// W11: whom a block would hit is told before it is made.
#[test]
fn what_a_block_would_cover_is_counted() {
    let mut bench = crowded(Settings::default());
    let other = Announce {
        info_hash: InfoHash([5; 20]),
        ..leecher(ip("10.9.0.1"), 1)
    };
    bench.announce(&other, at(400));
    let covered = |targets: &[Target], now| {
        let covered = bench.tracker.covered(targets, now);
        let Covered {
            peers,
            of_peers,
            torrents,
            of_torrents,
        } = covered;
        (
            (peers, torrents),
            (of_peers, of_torrents),
            covered.is_many(),
        )
    };
    let all = (172, 2);
    assert_eq!(
        covered(&[network("10.9.0.1/32")], at(400)),
        ((1, 1), all, false)
    );
    assert_eq!(
        covered(&[network("10.0.1.0/24")], at(400)),
        ((80, 1), all, true)
    );
    assert_eq!(
        covered(&[Target::Torrent(HASH)], at(400)),
        ((171, 1), all, true)
    );
    let both = [Target::Torrent(HASH), network("10.0.0.0/8")];
    assert_eq!(covered(&both, at(400)), ((172, 2), all, true));
    assert_eq!(
        covered(&[network("192.0.2.0/24")], at(400)),
        ((0, 0), all, false)
    );
    let late = at(401 + Settings::default().lifetime());
    assert_eq!(
        covered(&both, late),
        ((0, 0), (0, 0), false),
        "the dead count nowhere"
    );
}
