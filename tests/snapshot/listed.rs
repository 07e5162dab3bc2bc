//! The listed torrents below the page: durable when the caller is told, in force at once, also on stored peers (O21).

use std::fs;

use retracker::metrics::Gauge;
use retracker::snapshot::{Found, ListChange, MAX_LIST_CHANGES, Refused};
use retracker::tracker::Refusal;

use crate::harness::{Node, file_in, hash, on_demand};

fn close(node: &Node) {
    let close = |access: &retracker::tracker::AccessLists| {
        access.list_torrents(|listed| listed.is_closed = true);
    };
    node.tracker.change_access(close, node.clock.now());
}

fn change(added: usize, removed: usize, total: usize) -> Result<ListChange, Refused> {
    Ok(ListChange {
        added,
        removed,
        total,
    })
}

/// O21: no snapshot and no stop between the answer and the copy of the files that a kill would leave.
#[test]
fn a_change_of_the_list_is_in_force_and_in_the_database_when_the_call_returns() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    for number in 0..30 {
        node.announce(number).unwrap();
    }
    close(&node);
    assert_eq!(node.announce(5), Err(Refusal::TorrentNotListed));
    let list = |added: &[u32], removed: &[u32]| {
        let hashes = |numbers: &[u32]| numbers.iter().map(|number| hash(*number)).collect();
        node.mailbox.list_torrents(hashes(added), hashes(removed))
    };
    assert_eq!(list(&[0, 1, 1], &[7]), change(2, 0, 2));
    assert_eq!(
        (node.scrape(hash(0)).complete, node.scrape(hash(2)).complete),
        (10, 0)
    );
    assert_eq!(node.announce(5), Ok(()));
    assert_eq!(list(&[1, 3, 4], &[0, 4]), change(1, 1, 2));
    assert_eq!(node.announce(5), Err(Refusal::TorrentNotListed));
    assert_eq!(node.gauge(Gauge::TorrentsAdded), 2);
    let many = vec![hash(1); MAX_LIST_CHANGES + 1];
    assert_eq!(
        node.mailbox.list_torrents(many, Vec::new()),
        Err(Refused::TooManyTorrents)
    );

    let copy = tempfile::tempdir().unwrap();
    for part in ["", "-wal", "-shm"] {
        let name = |file: &std::path::Path| format!("{}{part}", file.display());
        drop(fs::copy(name(&settings.file), name(&file_in(&copy))));
    }
    let killed = Node::start(&on_demand(&file_in(&copy))).unwrap();
    assert_eq!(killed.found, Some(Found::Whole));
    let listed = killed.tracker.access().listed_torrents().added;
    assert!(listed.contains(&hash(1)) && listed.contains(&hash(3)));
    assert_eq!((listed.len(), killed.gauge(Gauge::TorrentsAdded)), (2, 2));
}

/// O21, R8: a database that is damaged, or gone under the tracker, costs no entry of the list.
#[test]
fn the_list_outlives_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.mailbox
        .list_torrents(vec![hash(1), hash(2)], Vec::new())
        .unwrap();
    node.stop();
    let connection = rusqlite::Connection::open(&settings.file).unwrap();
    connection.execute_batch("DROP TABLE swarms;").unwrap();
    connection.close().unwrap();
    let node = Node::start(&settings).unwrap();
    assert!(matches!(node.found, Some(Found::SetAside { .. })));
    assert_eq!(node.tracker.access().listed_torrents().added.len(), 2);
    fs::remove_file(&settings.file).unwrap();
    node.mailbox
        .list_torrents(vec![hash(3)], Vec::new())
        .unwrap();
    node.stop();
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.tracker.access().listed_torrents().added.len(), 3);
}
