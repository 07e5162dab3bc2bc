//! What partners and engines can do at worst: nothing grows, nothing ends, and the others do not notice.

use super::super::engine::tests::fake::Mood;
use super::super::entry_id::EntryId;
use super::super::frame::{Entry, Packer, SwarmEntry};
use super::*;
use crate::tracker::{PeerDelta, StoredPeer};

fn dropped(site: &Site, of: &str, why: Dropped) -> u64 {
    let sites = site.status().sites;
    let site = sites.iter().find(|site| site.name.as_str() == of);
    site.map_or(0, |site| site.dropped[why as usize])
}

#[test]
fn frames_that_are_none_are_counted_by_what_is_wrong_with_them() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    b.announce(1, 1, Event::Started);
    equal(&[&a, &b], 1);
    let good = engine.frames("rt:net:d:b").pop().unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bad in [b"rubbish".to_vec(), damaged, vec![0; 20_000], Vec::new()] {
        engine.append("rt:net:d:evil", &bad);
    }
    engine.append("rt:net:d:Not A Name", &good);
    engine.append("rt:other:d:x", &good);
    eventually("all four are counted", || {
        dropped(&a, "evil", Dropped::Foreign) == 2
            && dropped(&a, "evil", Dropped::Malformed) == 1
            && dropped(&a, "evil", Dropped::TooLarge) == 1
    });
    // One more of the same is a repetition, and changes nothing.
    engine.append("rt:net:d:evil", &good);
    b.announce(1, 2, Event::Started);
    equal(&[&a, &b], 2);
    assert_eq!(a.status().sites.len(), 2);
}

fn peer(number: u32, now: Seconds) -> PeerDelta {
    PeerDelta {
        peer: StoredPeer {
            ip: client(number),
            inner_ip: None,
            port: 6881,
            id: PeerId([7; 20]),
            is_seeder: true,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: now,
            origin: None,
        },
        key_proof: [0; 3],
        has_left: false,
    }
}

#[test]
fn a_partner_that_floods_keeps_nobody_from_hearing_the_others() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    let mut packer = Packer::new(1, 0, 1_800, Seconds::START, 0);
    for torrent in 0..=255 {
        let peers = (0..300)
            .map(|number| peer(10_000 + number, Seconds::START))
            .collect();
        packer.entry(&Entry::Swarm(SwarmEntry {
            info_hash: hash(torrent),
            counts: vec![(Some("made-up".parse().unwrap()), u32::MAX)],
            peers,
        }));
    }
    let frames = packer.finish().0;
    for _ in 0..4 {
        frames
            .iter()
            .for_each(|frame| engine.append("rt:net:d:evil", &frame.bytes));
    }
    b.announce(1, 1, Event::Started);
    eventually("the news of others", || {
        a.tracker.peers_by_origin().iter().sum::<u64>() > 0
    });
    let of_b = || {
        a.status()
            .sites
            .iter()
            .find(|site| site.name.as_str() == "b")
            .map(|site| site.peers)
    };
    eventually("the news of b", || of_b() == Some(1));
}

/// O18: what a partner says of this tracker's own count is believed only by a tracker that began with nothing, while it reads the logs.
#[test]
fn no_partner_raises_the_own_count_of_a_tracker_that_knows_it() {
    let engine = Fake::start();
    let a = site("a", &[&engine]);
    a.announce(1, 1, Event::Started);
    a.announce(1, 1, Event::Completed);
    let mut packer = Packer::new(1, 0, 1_800, Seconds::START, 0);
    packer.entry(&Entry::Swarm(SwarmEntry {
        info_hash: hash(1),
        counts: vec![(Some("a".parse().unwrap()), 4_000_000)],
        peers: Vec::new(),
    }));
    let frames = packer.finish().0;
    engine.append("rt:net:d:evil", &frames[0].bytes);
    let frames_of_evil = |site: &Site| {
        let sites = site.status().sites;
        let mut evil = sites.iter().filter(|site| site.name.as_str() == "evil");
        evil.next().map_or(0, |site| site.frames)
    };
    let own = |site: &Site| site.tracker.counts_delta(&hash(1)).unwrap().downloaded;
    eventually("it is read", || frames_of_evil(&a) == 1);
    assert_eq!(own(&a), [(None, 1)]);
    // With what was kept it is as cautious from its first moment on.
    let tracker = fresh_tracker();
    let kept = br#"{"format":1,"origins":[],"positions":[]}"#;
    let (mut again, _) = started(
        &settings("a", &[&engine]),
        Some(kept),
        tracker,
        Blocklist::none(),
    );
    assert_eq!(frames_of_evil(&again), 1);
    assert_eq!(own(&again), [(None, 1)], "its own log is its own word");
    again.stop();
    let cold = site("a", &[&engine]);
    assert_eq!(own(&cold), [(None, 4_000_000)]);
}

#[test]
fn a_log_that_cannot_be_read_is_left_out_and_the_others_are_read() {
    for lie in [
        &b"$999999999\r\n"[..],
        b"*1\r\n*1\r\n+x\r\n",
        b"*99999999\r\n",
    ] {
        let engine = Fake::start();
        let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
        engine.append("rt:net:d:evil", b"x");
        eventually("it is found", || {
            a.status().sites.len() == 2 && b.status().sites.len() == 2
        });
        engine.is(Mood::LiesAbout("rt:net:d:evil", lie.to_vec()));
        // What is asked after a connect would tell of it, too.
        engine.cut();
        eventually("it is left out", || {
            dropped(&a, "evil", Dropped::Unreadable) > 0
                && dropped(&b, "evil", Dropped::Unreadable) > 0
        });
        a.announce(1, 1, Event::Started);
        b.announce(1, 2, Event::Started);
        equal(&[&a, &b], 2);
    }
}

#[test]
fn an_engine_that_says_anything_ends_no_thread() {
    let (liar, well) = (Fake::start(), Fake::start());
    let (a, b) = (site("a", &[&liar, &well]), site("b", &[&liar, &well]));
    let endless = b"*90000\r\n".repeat(5);
    let lies: [&[u8]; 9] = [
        b"+OK\r\n",
        b":-1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"-ERR everything\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        &endless,
    ];
    for (number, lie) in (0_u32..).zip(lies) {
        liar.is(Mood::Says(lie.to_vec()));
        let torrent = u8::try_from(number).unwrap();
        a.announce(torrent, 2 * number, Event::Started);
        b.announce(torrent, 2 * number + 1, Event::Started);
        equal(&[&a, &b], u64::from(2 * number + 2));
    }
    liar.is(Mood::Well);
    eventually("it is believed again", || {
        a.status().engines[0].state == EngineState::Writing
    });
}

fn troubles(site: &Site) -> Vec<TroubleKind> {
    let troubles = site.status().troubles.into_iter();
    troubles.map(|trouble| trouble.kind).collect()
}

/// O18, O26: whoever has a tracker's password can put an entry of the far future into its log, behind which nothing is ever dropped, or one
/// with the last id that there is, behind which nothing is taken. Its tracker begins it anew, and the others follow.
#[test]
fn a_log_that_was_led_ahead_of_its_engines_clock_is_begun_anew() {
    for is_last in [false, true] {
        let engine = Fake::start();
        let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
        b.announce(1, 1, Event::Started);
        equal(&[&a, &b], 1);
        let id = if is_last {
            EntryId {
                ms: u64::MAX,
                number: u64::MAX,
            }
        } else {
            EntryId {
                ms: engine.now() + 3_600_000,
                number: 0,
            }
        };
        engine.is(Mood::Forbids("UNLINK"));
        engine.append_at("rt:net:d:b", id, b"x");
        eventually("a has read up to there", || {
            dropped(&a, "b", Dropped::Foreign) == 1
        });
        eventually("both say what is wrong", || {
            troubles(&a) == [TroubleKind::OtherLogAhead]
                && troubles(&b).contains(&TroubleKind::OwnLogAhead)
        });
        let told = a.status().missing.join(" ");
        assert!(told.contains("the log of b on redis://"), "{told}");
        if !is_last {
            // As well as it goes without the right to remove it.
            b.announce(1, 2, Event::Started);
            equal(&[&a, &b], 2);
        }
        engine.is(Mood::Well);
        eventually("the log is begun anew", || {
            let last = engine.last("rt:net:d:b");
            last.is_some_and(|last| last.ahead_of(engine.now()).is_none())
        });
        b.announce(1, 2, Event::Started);
        b.announce(1, 3, Event::Started);
        equal(&[&a, &b], 3);
        let cold = site("c", &[&engine]);
        equal(&[&a, &b, &cold], 3);
        assert_eq!(b.status().outgoing.new_logs, 1);
        eventually("nothing is wrong any more", || {
            troubles(&a).is_empty() && !troubles(&b).contains(&TroubleKind::OwnLogAhead)
        });
    }
}

/// O18: a log that leads its engine's clock by less than is called ahead may have led by more when its writer removed it. What comes then is
/// read all the same, though its ids are lesser than what was read.
#[test]
fn a_log_that_was_begun_anew_is_read_from_its_new_beginning_however_little_it_led() {
    let engine = Fake::start();
    let (a, b) = (site("a", &[&engine]), site("b", &[&engine]));
    b.announce(1, 1, Event::Started);
    equal(&[&a, &b], 1);
    let id = EntryId {
        ms: engine.now() + 59_000,
        number: 0,
    };
    assert_eq!(id.ahead_of(engine.now()), None);
    engine.append_at("rt:net:d:b", id, b"x");
    eventually("a has read up to there", || {
        dropped(&a, "b", Dropped::Foreign) == 1
    });
    assert!(troubles(&a).is_empty(), "by so little nothing is wrong");
    engine.remove("rt:net:d:b");
    b.announce(1, 2, Event::Started);
    equal(&[&a, &b], 2);
}

/// O18: how old an entry is says its id, and what is from the engine's future may be of any time: read at the start, its peers are not
/// taken for living ones.
#[test]
fn what_is_read_at_the_start_from_an_engines_future_gives_no_peers() {
    let engine = Fake::start();
    let mut packer = Packer::new(1, 0, 1_800, Seconds::START, 0);
    packer.entry(&Entry::Swarm(SwarmEntry {
        info_hash: hash(1),
        counts: vec![(None, 5)],
        peers: vec![peer(1, Seconds::START)],
    }));
    let frame = packer.finish().0.remove(0).bytes;
    let mut id = EntryId {
        ms: engine.now() + 3_600_000,
        number: 0,
    };
    engine.append_at("rt:net:d:old", id, &frame);
    let a = site("a", &[&engine]);
    assert_eq!(dropped(&a, "old", Dropped::Undated), 1);
    assert_eq!(a.digest().peers, 0);
    assert_eq!(a.tracker.scrape(&hash(1), a.clock.now()).downloaded, 5);
    assert_eq!(a.status().sites[0].heard_seconds, None);
    // What comes from now on is of now.
    id.number = 1;
    engine.append_at("rt:net:d:old", id, &frame);
    eventually("the peer is there", || a.digest().peers == 1);
}

/// O26: two trackers of one name notice it where they write to one engine as well as where each is nearer to another.
#[test]
fn two_trackers_of_one_name_say_so_wherever_they_write() {
    let (near, far) = (Fake::start(), Fake::start());
    for engines in [[&near, &far], [&far, &near]] {
        let (one, other) = (site("a", &[&near, &far]), site("a", &engines));
        eventually("both say so", || {
            [&one, &other].iter().all(|site| {
                let status = site.status();
                let words = status.missing.join(" ");
                troubles(site).contains(&TroubleKind::NameTaken)
                    && words.contains("somebody else writes to the log of a on redis://")
            })
        });
    }
    let alone = site("b", &[&near, &far]);
    alone.announce(1, 1, Event::Started);
    eventually("it has told", || alone.status().outgoing.deltas > 0);
    assert_eq!(troubles(&alone), []);
}
