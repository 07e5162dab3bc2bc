//! Files that somebody made to hold the program up, or to fill its memory (C8, C11, R8): `import`, `db`, `zones explain` and the
//! start of the tracker end soon and small with each.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use retracker::clock::Clock;
use retracker::snapshot::{Found, Settings};
use rusqlite::Connection;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::harness::{Node, file_in, hash, is_sound, on_demand};

/// Address space of a tool, of which the program itself takes half a gigabyte in the tests' build.
const MEMORY: u64 = 2 << 30;

/// Longer than any tool reads on a machine that is busy with something else; much shorter than for ever.
const PATIENCE: Duration = Duration::from_secs(240);

/// What would never end, were it looked into.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

const TRACKER: &str = "CREATE TABLE tracker (info_hash, ip, port, left, update_time);";

/// Files of another program with a fault each, and what is said of it.
const OF_ANOTHER: &[(&str, &str)] = &[
    (
        "CREATE VIEW tracker AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
         SELECT zeroblob(20) info_hash, '0a000001' ip, i port, 0 AS \"left\", 0 update_time FROM n;",
        "tracker is a view",
    ),
    (
        "CREATE VIRTUAL TABLE tracker USING fts5(info_hash, ip, port, left, update_time);",
        "tracker is a virtual",
    ),
    (
        "CREATE TABLE tracker (info_hash, ip, port, left, update_time AS (hex(zeroblob(500000))));
         INSERT INTO tracker VALUES (zeroblob(20), '0a000001', 1, 0);",
        "tracker computes its columns",
    ),
];

fn make(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Runs the program with little memory, and ends it when it does not end.
fn run(arguments: &[&str]) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_retracker"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bound(&child);
    let (ended, end) = std::sync::mpsc::channel();
    let id = child.id();
    let waiting =
        std::thread::Builder::new().spawn(move || drop(ended.send(child.wait_with_output())));
    let output = end.recv_timeout(PATIENCE);
    if output.is_err() {
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    drop(waiting);
    let output = output.unwrap_or_else(|_| end.recv().unwrap()).unwrap();
    assert!(
        output.status.code().is_some(),
        "{arguments:?}: {}",
        said(&output)
    );
    output
}

fn bound(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    prlimit(pid, Resource::As, limit).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// C8, C11
#[test]
fn what_only_looks_like_a_table_is_not_read() {
    for (sql, why) in OF_ANOTHER {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        make(&old, sql);
        let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
        for arguments in [&["db", old][..], &["import", old, "--into", new]] {
            let refused = run(arguments);
            assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
            assert!(
                said(&refused).contains(why),
                "{arguments:?}: {}",
                said(&refused)
            );
        }
        assert!(!Path::new(new).exists());
    }
}

/// C8, C11: what is far too long is a row that does not parse, and costs no memory.
#[test]
fn values_that_are_far_too_long_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    make(&old, TRACKER);
    make(
        &old,
        "CREATE TABLE blocklist (id INTEGER PRIMARY KEY, ip, info_hash, reason, created_at);
         INSERT INTO tracker VALUES (zeroblob(40000000), '0a000001', 1, 0, 1);
         INSERT INTO tracker VALUES (zeroblob(20), zeroblob(40000000), 1, 0, 1);
         INSERT INTO tracker VALUES (zeroblob(20), '0a000002', 7, 0, 1);
         INSERT INTO blocklist VALUES (1, '192.0.2.1', NULL, zeroblob(40000000), 0);
         INSERT INTO blocklist VALUES (2, zeroblob(40000000), NULL, 'x', 0);",
    );
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let imported = run(&["import", old, "--into", new]);
    let text = said(&imported);
    assert_eq!(imported.status.code(), Some(0), "{text}");
    assert!(
        text.contains("imported 1 peers of 1 torrents and 1 blocks"),
        "{text}"
    );
    assert!(text.contains("skipped 3 rows"), "{text}");
    assert_eq!(run(&["db", new]).status.code(), Some(0));
    // The view counts them all; that it cannot show such a row is said.
    let viewed = run(&["db", old]);
    assert_eq!(viewed.status.code(), Some(1), "{}", said(&viewed));
    assert!(said(&viewed).contains("too big"), "{}", said(&viewed));
}

/// C8, C11: names steer no terminal.
#[test]
fn what_a_file_says_is_shown_without_what_steers_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old");
    make(&old, TRACKER);
    make(
        &old,
        "CREATE TABLE \"\u{1b}]0;x\u{7}\u{202e}\" (x);
         INSERT INTO tracker VALUES ('\u{1b}[2J', '\u{9b}31m', '\n', '\r', 1);",
    );
    let viewed = run(&["db", old.to_str().unwrap()]);
    assert_eq!(viewed.status.code(), Some(0), "{}", said(&viewed));
    let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!said(&viewed).contains(steers), "{}", said(&viewed));
}

/// R8: a FIFO in the place of the database, or of what SQLite keeps beside it, holds nobody.
#[test]
fn a_fifo_beside_the_database_is_an_error_that_names_it() {
    for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(&folder);
        if !suffix.is_empty() {
            Node::start(&on_demand(&file)).unwrap().stop();
        }
        let mut fifo = file.clone().into_os_string();
        fifo.push(suffix);
        drop(std::fs::remove_file(&fifo));
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        let wall = Clock::start().wall();
        let refused = retracker::snapshot::open(&on_demand(&file), wall)
            .err()
            .unwrap();
        assert!(
            refused.to_string().contains(fifo.to_str().unwrap()),
            "{refused}"
        );
        for tool in ["db", "import"] {
            if suffix != ".lock" {
                assert_eq!(run(&[tool, file.to_str().unwrap()]).status.code(), Some(1));
            }
        }
    }
}

/// A sound database of ours with ten peers and a block, then `sql`.
fn spoilt(file: &Path, sql: &str) -> Settings {
    let settings = on_demand(file);
    let node = Node::start(&settings).unwrap();
    for number in 0..10 {
        node.announce(number).unwrap();
    }
    let block = retracker::tracker::Target::Torrent(hash(7));
    node.mailbox.block(block, "why", None).unwrap();
    node.stop();
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
    settings
}

/// R8: what a schema would run is not run: such a file is set aside, its blocklist rescued where that is a table.
#[test]
fn a_database_with_a_schema_of_somebody_else_is_set_aside() {
    let view = format!(
        "DROP TABLE swarms; CREATE VIEW swarms AS {ENDLESS} SELECT zeroblob(20) info_hash, \
         0 downloaded, 0 last_used, 0 saved, 0 peers, 0 seeders, zeroblob(99) record FROM n;"
    );
    let blocks = format!(
        "DROP TABLE blocklist; CREATE VIEW blocklist AS {ENDLESS} SELECT i number, NULL network, \
         zeroblob(20) info_hash, '' reason, 0 created, NULL expires FROM n;"
    );
    for (sql, rescued) in [
        (view.as_str(), 1),
        (blocks.as_str(), 0),
        (
            "CREATE TRIGGER t AFTER INSERT ON swarms BEGIN DELETE FROM blocklist; END",
            1,
        ),
        ("CREATE INDEX i ON swarms (hex(record))", 1),
        ("CREATE TABLE x (a CHECK (a NOT LIKE '%a%a%a%a%a%b'))", 1),
        (
            "ALTER TABLE swarms ADD COLUMN y INTEGER AS (length(hex(record)))",
            1,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(&folder);
        let node = Node::start(&spoilt(&file, sql)).unwrap();
        let found = node.found.clone().unwrap();
        assert!(
            matches!(&found, Found::SetAside { rescued: r, .. } if *r == rescued),
            "{sql}: {found:?}"
        );
        node.announce(1).unwrap();
        assert_eq!(node.stop().fault, None);
        assert!(is_sound(&file));
    }
    // Nobody looks at a view that is beside ours, and so it may be there.
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(&folder);
    let node = Node::start(&spoilt(
        &file,
        &format!("CREATE VIEW mine AS {ENDLESS} SELECT i FROM n"),
    ))
    .unwrap();
    assert_eq!(
        (node.found.clone(), node.summary.peers),
        (Some(Found::Whole), 10)
    );
}

/// R8: values that no tracker wrote are damaged rows, and are not read.
#[test]
fn a_record_that_no_tracker_writes_is_a_damaged_row() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(&folder);
    let settings = spoilt(
        &file,
        "INSERT INTO swarms VALUES (zeroblob(20), 0, 0, 0, 0, 0, zeroblob(70000000));
         INSERT INTO rings VALUES ('zones', zeroblob(5000000));
         INSERT INTO blocklist (network, reason, created) VALUES ('10.7.0.0/16', zeroblob(5000000) || '', 0);",
    );
    let node = Node::start(&settings).unwrap();
    assert_eq!(
        (
            node.summary.peers,
            node.summary.damaged,
            node.summary.blocks
        ),
        (10, 1, 1)
    );
    assert_eq!(node.mailbox.saved_state("zones"), Ok(None));
    node.announce(1).unwrap();
    assert_eq!(node.stop().fault, None);
    let viewed = run(&["db", file.to_str().unwrap()]);
    assert_eq!(viewed.status.code(), Some(0), "{}", said(&viewed));
    assert!(
        said(&viewed).contains("damaged rows         1"),
        "{}",
        said(&viewed)
    );
}
