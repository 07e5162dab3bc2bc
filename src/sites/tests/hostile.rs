//! What partners and engines can do at worst: nothing grows, nothing ends, and the others do not notice.

use super::super::engine::tests::fake::Mood;
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
