//! Files that are no sound database of this version: set aside and never lost, the blocklist rescued, the start goes on (R8).

use std::fs;
use std::path::Path;

use retracker::metrics::Gauge;
use retracker::snapshot::{Error, Found};
use retracker::tracker::Target;
use rusqlite::Connection;

use crate::harness::{Node, file_in, files_with, hash, is_sound, on_demand};

/// A database with 3,000 peers and two blocks.
fn filled(file: &Path) {
    let node = Node::start(&on_demand(file)).unwrap();
    for number in 0..3_000 {
        node.announce(number).unwrap();
    }
    node.mailbox
        .block(Target::Torrent(hash(7)), "why", None)
        .unwrap();
    let network = "10.9.0.0/16".parse().unwrap();
    node.mailbox
        .block(Target::Network(network), "", None)
        .unwrap();
    assert_eq!(node.stop().fault, None);
}

/// What an accident did to the file, and whether the blocklist can still be read.
struct Accident {
    name: &'static str,
    happens: fn(&Path),
    spares_blocks: bool,
}

fn rewrite(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn sql(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// A page of the table of swarms, which is nearly all of the file.
fn middle(bytes: &mut [u8]) -> &mut [u8] {
    let at = bytes.len() / 2 / 4096 * 4096;
    &mut bytes[at..at + 4096]
}

const ACCIDENTS: [Accident; 13] = [
    Accident {
        name: "emptied",
        happens: |file| fs::write(file, "").unwrap(),
        spares_blocks: false,
    },
    Accident {
        name: "one byte",
        happens: |file| fs::write(file, "S").unwrap(),
        spares_blocks: false,
    },
    Accident {
        name: "a text",
        happens: |file| fs::write(file, "[TRACKER]\nport = 8080\n".repeat(99)).unwrap(),
        spares_blocks: false,
    },
    Accident {
        name: "noise",
        happens: |file| {
            rewrite(file, |bytes| {
                fastrand::Rng::with_seed(1).fill(bytes);
            });
        },
        spares_blocks: false,
    },
    Accident {
        name: "cut inside the header",
        happens: |file| rewrite(file, |bytes| bytes.truncate(90)),
        spares_blocks: false,
    },
    Accident {
        name: "cut behind the header",
        happens: |file| rewrite(file, |bytes| bytes.truncate(100)),
        spares_blocks: false,
    },
    Accident {
        name: "cut in half",
        happens: |file| rewrite(file, |bytes| bytes.truncate(bytes.len() / 2 + 100)),
        spares_blocks: true,
    },
    Accident {
        name: "a page of zeros",
        happens: |file| rewrite(file, |bytes| middle(bytes).fill(0)),
        spares_blocks: true,
    },
    Accident {
        name: "a page of noise",
        happens: |file| {
            rewrite(file, |bytes| {
                fastrand::Rng::with_seed(2).fill(middle(bytes));
            });
        },
        spares_blocks: true,
    },
    Accident {
        name: "a page twice",
        happens: |file| {
            rewrite(file, |bytes| {
                let page = middle(bytes).to_vec();
                let at = bytes.len() - 4096;
                bytes[at..].copy_from_slice(&page);
            });
        },
        spares_blocks: true,
    },
    Accident {
        name: "another program's database",
        happens: |file| {
            fs::remove_file(file).unwrap();
            sql(
                file,
                "CREATE TABLE tracker(info_hash, ip, port); PRAGMA user_version = 1;",
            );
        },
        spares_blocks: false,
    },
    Accident {
        name: "an unknown older version",
        happens: |file| sql(file, "PRAGMA user_version = 0;"),
        spares_blocks: true,
    },
    Accident {
        name: "a table less",
        happens: |file| sql(file, "DROP TABLE swarms;"),
        spares_blocks: true,
    },
];

/// R8: damaged, cut, foreign, empty.
#[test]
fn what_cannot_be_used_is_set_aside_whole_and_the_start_goes_on_empty() {
    for Accident {
        name,
        happens,
        spares_blocks,
    } in ACCIDENTS
    {
        let folder = tempfile::tempdir().unwrap();
        let settings = on_demand(&file_in(&folder));
        filled(&settings.file);
        happens(&settings.file);
        let bad = fs::read(&settings.file).unwrap();

        let node = Node::start(&settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Some(Found::SetAside { to, rescued, .. }) = &node.found else {
            panic!("{name}: {:?}", node.found);
        };
        assert!(fs::read(to).unwrap() == bad, "{name}: its bytes are kept");
        assert_eq!(
            files_with(&settings.file, ".corrupt-").first(),
            Some(to),
            "{name}"
        );
        assert_eq!(node.gauge(Gauge::Restored), 2, "{name}");
        assert_eq!(node.summary.peers, 0, "{name}");
        let blocks = if spares_blocks { 2 } else { 0 };
        assert_eq!(*rescued, blocks, "{name}: blocks rescued");
        assert_eq!(
            node.tracker.access().blocks().len(),
            blocks,
            "{name}: blocks in force"
        );
        node.announce(5)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(node.stop().fault, None, "{name}");

        assert!(is_sound(&settings.file), "{name}");
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.found, Some(Found::Whole), "{name}");
        assert_eq!(node.summary.peers, 1, "{name}");
        assert_eq!(node.gauge(Gauge::Restored), 1, "{name}");
    }
}

/// R24, R8: a newer version stops the start and is left as it is.
#[test]
fn a_newer_database_stops_the_start_and_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    filled(&settings.file);
    sql(
        &settings.file,
        "PRAGMA user_version = 99; DROP TABLE meta; CREATE TABLE zones(x);",
    );
    let before = fs::read(&settings.file).unwrap();
    let refused = Node::start(&settings).err().unwrap();
    assert!(matches!(refused, Error::Newer { version: 99, .. }));
    assert!(refused.to_string().contains("newer version"));
    assert!(fs::read(&settings.file).unwrap() == before);
    assert_eq!(files_with(&settings.file, "corrupt").len(), 0);
}

/// R8: damaged rows.
#[test]
fn damaged_rows_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    filled(&settings.file);
    sql(
        &settings.file,
        "UPDATE swarms SET record = x'00' WHERE rowid = 1; \
         UPDATE swarms SET record = zeroblob(400) WHERE rowid = 2; \
         UPDATE swarms SET info_hash = x'0102' WHERE rowid = 3; \
         UPDATE swarms SET downloaded = -1 WHERE rowid = 4; \
         UPDATE swarms SET saved = -9223372036854775808 WHERE rowid = 5; \
         UPDATE blocklist SET network = '10.9.0.0/99' WHERE network IS NOT NULL;",
    );
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!(node.summary.damaged, 4);
    assert_eq!(node.summary.blocks, 1);
    let living = (0..300).map(|torrent| node.scrape(hash(torrent)).complete);
    // One torrent is blocked, four are damaged, and one claims to be older than time.
    assert_eq!(living.sum::<u32>(), 10 * (300 - 6));
}

/// A log whose database was deleted must not be taken for that of the new one.
#[test]
fn a_log_without_its_database_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    fs::write(folder.path().join("retracker.sqlite-wal"), "a log").unwrap();
    let node = Node::start(&settings).unwrap();
    assert!(matches!(node.found, Some(Found::SetAside { .. })));
    node.stop();
    let [log] = &files_with(&settings.file, "-wal")[..] else {
        panic!("the log is kept, and closed over");
    };
    assert!(log.to_string_lossy().contains(".corrupt-"));
}

/// What is no file at all is the operator's to mend: nothing hangs, nothing is renamed.
#[test]
fn a_folder_in_the_place_of_the_database_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    fs::create_dir(&settings.file).unwrap();
    let refused = Node::start(&settings).err().unwrap();
    assert!(
        refused.to_string().contains("retracker.sqlite"),
        "{refused}"
    );
    assert!(settings.file.is_dir());
}
