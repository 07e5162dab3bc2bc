//! `retracker import` and `retracker db` as an operator runs them (C8, C11).

use std::path::Path;
use std::process::{Command, Output, Stdio};

use retracker::clock::Clock;
use retracker::tracker::{InfoHash, Target};

use crate::harness::{Node, file_in, on_demand};

/// The seed era: peers only. Six bad rows.
const SEED_ERA: &str = "
    CREATE TABLE tracker (info_hash blob(20) NOT NULL, ip char(8) NOT NULL, port smallint NOT NULL,
        left bigint NOT NULL, update_time integer NOT NULL, PRIMARY KEY (info_hash, ip, port));
    INSERT INTO tracker VALUES
        (unhex(printf('%040d', 1)), 'c0a80102', 6881, 0, :now - 100),
        (unhex(printf('%040d', 1)), 'C0A80103', 6882, 12345, :now - 50),
        (unhex(printf('%040d', 1)), '0a000001', '51413', '0', :now - 10.5),
        (unhex(printf('%040d', 2)), '0a000001', 51413, 7, :now),
        (unhex(printf('%040d', 2)), '0a000002', 51413, 7, :now - 86400),
        (unhex(printf('%040d', 3)), '0a000003', 1, 7, :now + 86400),
        (unhex('0102'), '0a000003', 1, 7, :now),
        (unhex(printf('%040d', 4)), '999.1.1.1', 1, 7, :now),
        (unhex(printf('%040d', 4)), '0a000003', 0, 7, :now),
        (unhex(printf('%040d', 4)), '0a000003', 65536, 7, :now),
        (unhex(printf('%040d', 4)), 'e0000001', 5, 7, :now),
        (unhex(printf('%040d', 4)), '0a000004', 5, 'much', :now);";

/// What the later era added. Two bad rows.
const LATER_ERA: &str = "
    CREATE TABLE blocklist (id INTEGER PRIMARY KEY AUTOINCREMENT, ip TEXT, info_hash TEXT, reason TEXT,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO blocklist (ip, info_hash, reason, created_at) VALUES
        ('192.168.1.77', '', 'спам', 1748500000),
        (NULL, '00000000000000000000000000000000000000ff', NULL, '2025-05-29 12:00:00'),
        ('10.1.2.3', '00000000000000000000000000000000000000FE', 'both', NULL),
        ('10.0.0.256', NULL, 'bad', 0),
        ('', '', 'nothing', 0);";

fn original(file: &Path, later: bool) {
    let now = Clock::start().wall().0.to_string();
    let connection = rusqlite::Connection::open(file).unwrap();
    connection
        .execute_batch(&SEED_ERA.replace(":now", &now))
        .unwrap();
    if later {
        connection.execute_batch(LATER_ERA).unwrap();
    }
}

fn torrent(number: u8) -> InfoHash {
    let digits = format!("{number:040}");
    InfoHash::from_hex(&digits).unwrap()
}

fn retracker(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// C8, W12
#[test]
fn peers_and_blocks_of_both_eras_are_taken_over_and_bad_rows_told() {
    for later in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("tracker.sqlite");
        original(&old, later);
        let before = std::fs::read(&old).unwrap();
        let settings = on_demand(&file_in(&folder));
        let into = settings.file.to_str().unwrap();
        let done = retracker(&["import", old.to_str().unwrap(), "--into", into]);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(0), "{text}");
        let (blocks, bad) = if later { (4, 8) } else { (0, 6) };
        let taken = format!("imported 6 peers of 3 torrents and {blocks} blocks");
        assert!(text.contains(&taken), "{text}");
        assert!(text.contains(&format!("skipped {bad} rows")), "{text}");
        for why in [
            "info_hash is not 20 bytes",
            "ip is not 8 hex digits",
            "port is 0",
        ] {
            assert!(text.contains(why), "{text}");
        }
        assert!(
            std::fs::read(&old).unwrap() == before,
            "the original is only read"
        );
        let audit = settings.file.with_file_name("retracker.audit");
        let audit = std::fs::read_to_string(audit).unwrap();
        let told = format!("6 peers of 3 torrents, {blocks} blocks");
        assert!(
            audit.contains("\"deed\":\"import\"") && audit.contains(&told),
            "{audit}"
        );

        let node = Node::start(&settings).unwrap();
        let first = node.scrape(torrent(1));
        assert_eq!((first.complete, first.incomplete), (2, 1));
        // Of the second torrent one peer is a day old; that of the third is from the future, and so fresh.
        assert_eq!(node.scrape(torrent(2)).incomplete, 1);
        assert_eq!(node.scrape(torrent(3)).incomplete, 1);
        let mut targets: Vec<Target> = node
            .tracker
            .access()
            .blocks()
            .iter()
            .map(|block| block.target)
            .collect();
        targets.sort_by_key(|target| format!("{target:?}"));
        assert_eq!(targets.len(), blocks);
        if later {
            let network = |text: &str| Target::Network(text.parse().unwrap());
            let mut last = [0; 20];
            last[19] = 0xff;
            assert!(targets.contains(&network("192.168.1.77/32")));
            assert!(targets.contains(&network("10.1.2.3/32")));
            assert!(targets.contains(&Target::Torrent(InfoHash(last))));
        }
    }
}

/// C8: a second import, or one into a database in use, does no harm.
#[test]
fn an_import_joins_what_is_there_and_keeps_off_a_running_tracker() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("tracker.sqlite");
    original(&old, true);
    let settings = on_demand(&file_in(&folder));
    let into = settings.file.to_str().unwrap();
    let import = || retracker(&["import", old.to_str().unwrap(), "--into", into]);

    let node = Node::start(&settings).unwrap();
    let ip = "192.168.1.9".parse().unwrap();
    node.announce_as(torrent(1), ip, 9, retracker::tracker::Event::Completed)
        .unwrap();
    let refused = import();
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(
        text.contains("stop the tracker first") && text.contains(into),
        "{text}"
    );
    node.stop();

    assert_eq!(import().status.code(), Some(0));
    // The place of the database may also come from the configuration.
    let config = folder.path().join("config.ini");
    std::fs::write(&config, format!("[SNAPSHOTS]\nfile = {into}\n")).unwrap();
    let file = old.to_str().unwrap();
    let again = retracker(&["import", file, "--config", config.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    let node = Node::start(&settings).unwrap();
    let reply = node.scrape(torrent(1));
    assert_eq!(
        (reply.complete, reply.incomplete, reply.downloaded),
        (3, 1, 1)
    );
    assert_eq!(node.tracker.access().blocks().len(), 4);
}

#[test]
fn what_is_no_database_of_the_original_is_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into.sqlite");
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database").unwrap();
    let other = folder.path().join("other");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE tracker(x)")
        .unwrap();
    for file in [&text, &other, &folder.path().join("missing")] {
        let file = file.to_str().unwrap();
        let refused = retracker(&["import", file, "--into", into.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(file), "{}", said(&refused));
        assert!(!into.exists());
    }
}

/// C11
#[test]
fn the_view_shows_schema_counts_and_latest_rows_of_old_and_new() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("tracker.sqlite");
    original(&old, true);
    let text = said(&retracker(&["db", old.to_str().unwrap()]));
    for part in [
        "database of the Flask retracker",
        "CREATE TABLE tracker",
        "torrents             5",
        "peers                12",
        "192.168.1.3:6882",
        "0000000000000000000000000000000000000001",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }

    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..25 {
        node.announce(number).unwrap();
    }
    node.mailbox.save().unwrap();
    // The tracker runs on meanwhile.
    let text = said(&retracker(&["db", settings.file.to_str().unwrap()]));
    for part in [
        "database of this tracker, version 2",
        "CREATE TABLE swarms",
        "torrents             3",
        "peers                25",
        "distinct addresses   25",
        ":6881",
        "-qB4520-",
        "seeder",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(node.stop().fault, None);
    let missing = retracker(&["db", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(1));
}

/// A closed pipe is no panic.
#[test]
fn the_view_survives_a_reader_that_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("tracker.sqlite");
    original(&old, true);
    let mut child = Command::new(env!("CARGO_BIN_EXE_retracker"))
        .args(["db", old.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
