//! A database of every version that was ever written is kept under tests/fixtures and loads for ever (R24).

use std::path::{Path, PathBuf};

use retracker::clock::Wall;
use retracker::snapshot::{BlockChange, Found, Links, Moment};
use retracker::tracker::{
    Event, InfoHash, Origin, PeerDelta, Settings, StoredPeer, SwarmDelta, Target,
};

use crate::harness::{Node, address, file_in, hash, moment, on_demand, peer_id};
use crate::keys;
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
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    std::fs::copy(fixture(1), &settings.file).unwrap();
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
}

/// R24, O16, O21, O24, O25
#[test]
fn a_database_of_version_2_loads_whole() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    std::fs::copy(fixture(2), &settings.file).unwrap();
    let started = moment(WRITTEN + 600);
    let clock = Clock::start();
    let links = Links {
        edited: Some(Box::new(|_| {})),
        ..Links::default()
    };
    let node = Node::start_with(&settings, clock, started, links).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!((node.summary.peers, node.summary.damaged), (33, 0));
    let shared = node.tracker.export(&hash(1), node.clock.now()).unwrap();
    let origin = Origin::new(3).unwrap();
    assert_eq!(
        (shared.downloaded, shared.downloaded_elsewhere.as_slice()),
        (0, &[(origin, 7)][..])
    );
    let of_other = shared.peers.iter().filter(|peer| peer.origin.is_some());
    let of_other: Vec<_> = of_other.map(|peer| (peer.ip, peer.origin)).collect();
    assert_eq!(of_other, [(address(900), Some(origin))]);
    assert_eq!(node.scrape(hash(1)).downloaded, 7);
    assert_eq!(node.tracker.peers_by_origin()[3], 1);
    let known = node.mailbox.known_edits();
    let lifted = Target::Network("10.9.0.0/16".parse().unwrap());
    let lift = known.iter().find(|edit| edit.target == lifted).unwrap();
    assert_eq!(lift.change, BlockChange::Lifted);
    assert_eq!(known.len(), 3);
    let listed = node.tracker.access().listed_torrents().added;
    assert!(listed.iter().eq([hash(0), InfoHash([8; 20])]));
    let key = node.tracker.keys().one(1).unwrap();
    assert_eq!(key.record.key, keys::new(1, "members"));
    assert_eq!(
        node.mailbox.saved_state("hour"),
        Ok(Some(b"samples".to_vec()))
    );
}

/// R24: the tables that came later are those of a new database, and the next snapshot writes what came with them.
#[test]
fn a_database_of_version_1_becomes_one_of_the_version_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    std::fs::copy(fixture(1), &settings.file).unwrap();
    let node = Node::start_at(&settings, Clock::start(), moment(WRITTEN + 600)).unwrap();
    node.tracker
        .merge(Origin::new(3), &elsewhere(&node), node.clock.now());
    node.stop();
    let schema = |file: &Path| -> Vec<String> {
        let connection = rusqlite::Connection::open(file).unwrap();
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let other = tempfile::tempdir().unwrap();
    let new = on_demand(&file_in(&other));
    Node::start(&new).unwrap().stop();
    assert_eq!(schema(&settings.file), schema(&new.file));
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!(node.tracker.peers_by_origin()[3], 1);
    assert_eq!(node.scrape(hash(1)).downloaded, 7);
}

/// What another tracker tells: a peer, and seven downloads.
fn elsewhere(node: &Node) -> SwarmDelta {
    let peer = StoredPeer {
        origin: None,
        ip: address(900),
        inner_ip: None,
        port: 6881,
        id: peer_id(6881),
        is_seeder: true,
        is_paused: false,
        is_reported: false,
        has_completed: true,
        downloaded_mib: 0,
        last_seen: node.clock.now(),
    };
    SwarmDelta {
        info_hash: hash(1),
        downloaded: vec![(Origin::new(3), 7)],
        peers: vec![PeerDelta {
            peer,
            key_proof: [0; 3],
            has_left: false,
        }],
    }
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
    let lifted = Target::Network("10.9.0.0/16".parse().unwrap());
    let lifted = node.mailbox.block(lifted, "", None).unwrap();
    node.mailbox.unblock(lifted.number).unwrap();
    node.tracker
        .merge(Origin::new(3), &elsewhere(&node), node.clock.now());
    node.mailbox
        .list_torrents(vec![hash(0), InfoHash([8; 20])], Vec::new())
        .unwrap();
    node.mailbox
        .make_keys(vec![keys::new(1, "members")])
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
