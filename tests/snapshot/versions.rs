//! A database of every version that was ever written is kept under tests/fixtures and loads for ever (R24).

use std::path::{Path, PathBuf};

use retracker::clock::Wall;
use retracker::snapshot::{Found, Moment};
use retracker::tracker::{Event, InfoHash, Settings, Target};

use crate::harness::{Node, address, file_in, hash, moment, on_demand, peer_id};
use retracker::clock::Clock;

/// When the fixtures were written, by the clock that they were given.
const WRITTEN: u64 = 1_800_000_000;

fn fixture(version: u32) -> PathBuf {
    let name = format!("tests/fixtures/database-v{version}.sqlite");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// R24
#[test]
fn a_database_of_version_1_loads_whole() {
    loads_whole(1);
}

/// R24, O21
#[test]
fn a_database_of_version_2_loads_whole() {
    let node = loads_whole(2);
    let listed = node.tracker.access().listed_torrents().added;
    assert_eq!(listed.hashes(), [hash(0), InfoHash([8; 20])]);
}

fn loads_whole(version: u32) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    std::fs::copy(fixture(version), &settings.file).unwrap();
    let started = moment(WRITTEN + 600);
    let node = Node::start_at(&settings, Clock::start(), started).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!(
        (
            node.summary.swarms,
            node.summary.peers,
            node.summary.damaged
        ),
        (4, 32, 0)
    );
    for torrent in 0..3 {
        assert_eq!(node.scrape(hash(torrent)).complete, 10);
    }
    let pair = node.tracker.export(&hash(9), node.clock.now()).unwrap();
    assert_eq!(pair.downloaded, 1);
    let v6: std::net::IpAddr = "2001:db8::9".parse().unwrap();
    let peer = pair.peers.iter().find(|peer| peer.ip == v6).unwrap();
    assert_eq!((peer.port, peer.id), (51413, peer_id(51413)));
    assert!(peer.has_completed && peer.is_seeder);
    assert!(pair.peers.iter().any(|peer| peer.ip == address(7)));
    let blocks = node.tracker.access().blocks();
    let targets: Vec<Target> = blocks.iter().map(|block| block.target).collect();
    let network = "10.200.0.0/16".parse().unwrap();
    assert_eq!(
        targets,
        [Target::Network(network), Target::Torrent(InfoHash([9; 20]))]
    );
    assert_eq!(
        (blocks[0].reason.as_str(), blocks[0].expires),
        ("network", Some(Wall(9_000_000_000)))
    );
    assert_eq!(
        node.mailbox.saved_state("hour"),
        Ok(Some(b"samples".to_vec()))
    );
    let lifetime = Settings::default().lifetime();
    let later = node.tracker.scrape(&hash(0), started.now.plus(lifetime));
    assert_eq!(later.complete, 0);
    node
}

/// Writes the fixture of the version in force: once, when the version is new, and never again.
#[test]
#[ignore = "writes a file of the repository; run by hand when VERSION goes up"]
fn write_the_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let clock = Clock::start();
    let node = Node::start_at(
        &settings,
        clock,
        Moment {
            now: clock.now(),
            ..moment(WRITTEN)
        },
    )
    .unwrap();
    for number in 0..30 {
        node.announce(number).unwrap();
    }
    let v6 = "2001:db8::9".parse().unwrap();
    node.announce_as(hash(9), v6, 51413, Event::Completed)
        .unwrap();
    node.announce_as(hash(9), address(7), 6881, Event::Started)
        .unwrap();
    let network = Target::Network("10.200.0.0/16".parse().unwrap());
    node.mailbox
        .block(network, "network", Some(Wall(9_000_000_000)))
        .unwrap();
    node.mailbox
        .block(Target::Torrent(InfoHash([9; 20])), "торрент", None)
        .unwrap();
    node.mailbox
        .list_torrents(vec![hash(0), InfoHash([8; 20])], Vec::new())
        .unwrap();
    node.mailbox
        .put_saved_state("hour", b"samples".to_vec())
        .unwrap();
    node.stop();
    let connection = rusqlite::Connection::open(&settings.file).unwrap();
    // The thread reads the real clocks; the fixture must not depend on the day it was made, nor on the machine.
    connection
        .execute_batch(&format!(
            "UPDATE meta SET value = {WRITTEN} WHERE key IN ('finished', 'finished_wall'); \
             UPDATE meta SET value = NULL WHERE key IN ('boot', 'boot_seconds'); VACUUM;"
        ))
        .unwrap();
    connection.close().unwrap();
    std::fs::copy(&settings.file, fixture(2)).unwrap();
}
