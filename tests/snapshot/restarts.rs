//! What a restart keeps: peers, counts, saved states; and that two processes never share a database.

use std::time::Duration;

use retracker::metrics::Gauge;
use retracker::snapshot::{Error, Found, MAX_SAVED_STATE_BYTES, Refused, Settings};
use retracker::tracker::Event;

use crate::harness::{Node, address, file_in, hash, is_sound, on_demand, peer_id};

/// O1
#[test]
fn a_stopped_tracker_starts_with_the_peers_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.found, Some(Found::Created));
    for number in 0..500 {
        node.announce(number).unwrap();
    }
    let v6 = "2001:db8::7".parse().unwrap();
    node.announce_as(hash(900), v6, 51413, Event::None).unwrap();
    assert_eq!(node.stop().fault, None);

    let node = Node::start(&settings).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!((node.summary.swarms, node.summary.peers), (51, 501));
    assert_eq!(node.gauge(Gauge::Restored), 1);
    for torrent in 0..50 {
        assert_eq!(node.scrape(hash(torrent)).complete, 10);
    }
    let stored = node.tracker.export(&hash(900), node.clock.now()).unwrap();
    let [peer] = stored.peers[..] else {
        panic!("one peer, not {:?}", stored.peers);
    };
    assert_eq!((peer.ip, peer.port, peer.id), (v6, 51413, peer_id(51413)));
    assert!(peer.is_seeder && !peer.has_completed);
}

/// P9: `downloaded` is kept, and a peer whose `completed` was counted is not counted again.
#[test]
fn the_count_of_downloads_survives_and_no_completed_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.announce_as(hash(1), address(1), 1, Event::Completed)
        .unwrap();
    node.announce_as(hash(1), address(2), 2, Event::Completed)
        .unwrap();
    node.stop();
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.scrape(hash(1)).downloaded, 2);
    node.announce_as(hash(1), address(2), 2, Event::Completed)
        .unwrap();
    assert_eq!(node.scrape(hash(1)).downloaded, 2);
}

/// O1: what left, or was freed, does not come back.
#[test]
fn who_left_before_the_last_snapshot_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..20 {
        node.announce(number).unwrap();
    }
    node.mailbox.save().unwrap();
    for number in 0..11 {
        let port = 6881;
        node.announce_as(hash(number / 10), address(number), port, Event::Stopped)
            .unwrap();
    }
    node.tracker.sweep(node.clock.now());
    node.stop();
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.summary.peers, 9);
    assert_eq!(node.scrape(hash(0)).complete, 0);
    assert_eq!(node.scrape(hash(1)).complete, 9);
}

/// W2: the records that the overview shows are all that the database holds, not those that the last snapshot wrote.
#[test]
fn records_are_counted_whole_though_only_changes_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..50 {
        node.announce(number).unwrap();
    }
    node.mailbox.save().unwrap();
    node.announce_as(hash(900), address(900), 1, Event::None)
        .unwrap();
    node.mailbox.save().unwrap();
    let counts = |node: &Node| [Gauge::SnapshotPeers, Gauge::DatabasePeers].map(|g| node.gauge(g));
    assert_eq!(counts(&node), [1, 51]);
    node.stop();
    let node = Node::start(&settings).unwrap();
    assert_eq!(counts(&node), [0, 51]);
}

/// O1: every N seconds, without being asked; the gauges tell.
#[test]
fn snapshots_are_taken_by_themselves_and_gauges_tell_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        interval: Duration::from_millis(5),
        ..on_demand(&file_in(&folder))
    };
    let node = Node::start(&settings).unwrap();
    for number in 0..30 {
        node.announce(number).unwrap();
    }
    // Bounded by the test runner only: the gauges move when the thread is through.
    let begun = u64::from(node.clock.now().raw());
    while node.gauge(Gauge::SnapshotFinishedAt) == 0 || node.gauge(Gauge::SnapshotAlive) < begun {
        std::thread::yield_now();
    }
    let saved = node.mailbox.save().unwrap();
    assert_eq!(node.gauge(Gauge::SnapshotFailures), 0);
    assert!(saved.bytes > 0 && node.gauge(Gauge::SnapshotBytes) > 0);
    // Seconds of the wall clock, and of nothing else.
    assert!(node.clock.wall().0 - node.gauge(Gauge::SnapshotFinishedAt) < 3_600);
}

/// R8: two instances on one file.
#[test]
fn a_second_instance_is_refused_by_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.announce(1).unwrap();
    let refused = Node::start(&settings).err().unwrap();
    assert!(matches!(&refused, Error::InUse { file } if file.ends_with("retracker.sqlite")));
    assert!(refused.to_string().contains("retracker.sqlite is in use"));
    assert_eq!(node.stop().fault, None);
    assert!(is_sound(&settings.file));
    Node::start(&settings).unwrap();
}

/// O1: the file is for the operator and the group.
#[test]
fn neither_the_database_nor_its_log_is_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.mailbox.save().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{:?} has mode {mode:o}", entry.path());
    }
}

/// W6: samples of the graphs are kept under their names.
#[test]
fn rings_are_kept_across_restarts_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.mailbox.saved_state("hour"), Ok(None));
    node.mailbox.put_saved_state("hour", vec![1, 2, 3]).unwrap();
    node.mailbox.put_saved_state("hour", vec![0, 255]).unwrap();
    node.mailbox.put_saved_state("day", Vec::new()).unwrap();
    let too_long = node
        .mailbox
        .put_saved_state("month", vec![0; MAX_SAVED_STATE_BYTES + 1]);
    assert_eq!(too_long, Err(Refused::TooLong));
    let mailbox = node.mailbox.clone();
    node.stop();
    assert_eq!(mailbox.saved_state("hour"), Err(Refused::Closed));
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.mailbox.saved_state("hour"), Ok(Some(vec![0, 255])));
    assert_eq!(node.mailbox.saved_state("day"), Ok(Some(Vec::new())));
    assert_eq!(node.mailbox.saved_state("month"), Ok(None));
}
