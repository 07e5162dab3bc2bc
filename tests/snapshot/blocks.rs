//! The blocklist below the page: durable when the caller is told, in force at once, also on stored peers (W4, R12).

use retracker::clock::Wall;
use retracker::metrics::Gauge;
use retracker::snapshot::{MAX_BLOCKS, MAX_REASON, Refused};
use retracker::tracker::{Block, Refusal, Target};

use crate::harness::{Node, address, file_in, hash, on_demand};

fn network(text: &str) -> Target {
    Target::Network(text.parse().unwrap())
}

/// W4
#[test]
fn a_block_is_in_force_when_the_call_returns_also_on_stored_peers() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    for number in 0..30 {
        node.announce(number).unwrap();
    }
    let block = node
        .mailbox
        .block(network("10.0.0.5/32"), "spam", None)
        .unwrap();
    assert_eq!(block.reason, "spam");
    assert_eq!(node.scrape(hash(0)).complete, 9);
    assert_eq!(node.announce(5), Err(Refusal::AddressBlocked));
    node.mailbox
        .block(Target::Torrent(hash(2)), "", None)
        .unwrap();
    assert_eq!(node.scrape(hash(2)).complete, 0);
    assert_eq!(node.announce(25), Err(Refusal::TorrentBlocked));
    assert_eq!(node.gauge(Gauge::BlocklistEntries), 2);
    assert_eq!(node.mailbox.unblock(block.number), Ok(true));
    assert_eq!(node.mailbox.unblock(block.number), Ok(false));
    assert_eq!(node.announce(5), Ok(()));
    assert_eq!(node.gauge(Gauge::BlocklistEntries), 1);
}

/// W11: of two who block the same at once, the second changes nothing unless it was said that it may.
#[test]
fn an_entry_gets_another_reason_or_end_only_where_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    let target = network("10.0.0.0/24");
    let first = node.mailbox.block_anew(target, "first", None).unwrap();
    let refused = node.mailbox.block_anew(target, "second", None);
    assert_eq!(refused, Err(Refused::Known));
    let again = node.mailbox.block_anew(target, "first", None).unwrap();
    assert_eq!(again.reason, first.reason);
    let reasons = |node: &Node| {
        let blocks = node.tracker.access().blocks();
        blocks
            .iter()
            .map(|block| block.reason.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(&node), ["first"]);
    node.mailbox.block(target, "second", None).unwrap();
    assert_eq!(reasons(&node), ["second"]);
}

/// W4: kept in SQLite before the page says so: no snapshot, no stop.
#[test]
fn a_block_is_in_the_database_when_the_call_returns() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    let soon = Wall(node.clock.wall().0 + 1_000);
    let kept = [
        node.mailbox
            .block(network("2001:db8::/32"), "why", Some(soon))
            .unwrap(),
        node.mailbox
            .block(Target::Torrent(hash(7)), "как есть", None)
            .unwrap(),
    ];
    // What a kill would leave: the files as they are, the thread still holding them.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let restarted = Node::start(&on_demand(&file_in(&copy))).unwrap();
    let blocks = restarted.tracker.access().blocks();
    assert_eq!(blocks, kept);
    assert_eq!(restarted.gauge(Gauge::BlocklistEntries), 2);
}

#[test]
fn the_same_target_again_changes_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    let first = node
        .mailbox
        .block(network("10.1.2.3/8"), "a", None)
        .unwrap();
    let again = node
        .mailbox
        .block(network("10.0.0.0/8"), "b", None)
        .unwrap();
    assert_eq!(first.number, again.number);
    let [Block { reason, .. }] = &node.tracker.access().blocks()[..] else {
        panic!("one entry");
    };
    assert_eq!(reason, "b");
    assert_eq!(node.announce(77), Err(Refusal::AddressBlocked));
    // A number that was given once is never given again.
    node.mailbox.unblock(first.number).unwrap();
    let other = node
        .mailbox
        .block(network("10.0.0.0/8"), "c", None)
        .unwrap();
    assert!(other.number > first.number);
}

#[test]
fn a_block_that_ends_before_it_begins_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    node.mailbox
        .block(network("10.0.0.0/8"), "", Some(Wall(5)))
        .unwrap();
    assert_eq!(node.announce(1), Ok(()));
    let long = "ы".repeat(MAX_REASON);
    node.mailbox
        .block(network("10.0.0.1/32"), &long, None)
        .unwrap();
    let longer = "ы".repeat(MAX_REASON + 1);
    let refused = node.mailbox.block(network("10.0.0.2/32"), &longer, None);
    assert_eq!(refused, Err(Refused::TooLong));
    assert_eq!(address(1), std::net::IpAddr::from([10, 0, 0, 1]));
    assert_eq!(node.announce(1), Err(Refusal::AddressBlocked));
    assert_eq!(node.announce(2), Ok(()));
}

/// W4, W11: over a restart the peers of a young block are still withheld, and come back when it is lifted.
#[test]
fn a_block_is_taken_back_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    for target in [network("10.0.0.0/30"), Target::Torrent(hash(0))] {
        let node = Node::start(&settings).unwrap();
        for number in 0..10 {
            node.announce(number).unwrap();
        }
        let block = node.mailbox.block(target, "a slip", None).unwrap();
        let hidden = node.scrape(hash(0));
        assert!(hidden.complete < 10);
        // Whether it goes in order or is killed after a snapshot, the database is the same.
        node.stop();
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.scrape(hash(0)), hidden);
        assert_eq!(node.announce(1), Err(refusal(target)));
        assert_eq!(node.mailbox.unblock(block.number), Ok(true));
        assert_eq!(node.scrape(hash(0)).complete, 10);
        node.stop();
        // And they are no strangers to the next start.
        let node = Node::start(&settings).unwrap();
        assert_eq!(node.scrape(hash(0)).complete, 10);
        node.stop();
    }
}

fn refusal(target: Target) -> Refusal {
    match target {
        Target::Network(_) => Refusal::AddressBlocked,
        Target::Torrent(_) => Refusal::TorrentBlocked,
    }
}

/// W4, W11: what was withheld for ten minutes is in the database no longer.
#[test]
fn what_was_freed_is_not_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    for target in [network("10.0.0.0/30"), Target::Torrent(hash(0))] {
        let node = Node::start(&settings).unwrap();
        for number in 0..10 {
            node.announce(number).unwrap();
        }
        let block = node.mailbox.block(target, "meant", None).unwrap();
        node.mailbox.save().unwrap();
        let later = node.clock.now().plus(600);
        node.tracker.judge_blocks(node.clock.wall(), later);
        let left = node.scrape(hash(0)).complete;
        node.stop();
        let node = Node::start(&settings).unwrap();
        node.mailbox.unblock(block.number).unwrap();
        assert_eq!(node.scrape(hash(0)).complete, left);
        node.stop();
    }
}

/// W4
#[test]
fn a_full_list_says_that_it_is_full_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(&folder);
    Node::start(&on_demand(&file)).unwrap().stop();
    let mut database = rusqlite::Connection::open(&file).unwrap();
    let filling = database.transaction().unwrap();
    for number in 0..MAX_BLOCKS {
        let (high, low) = (number / 256, number % 256);
        let network = format!("172.{}.{}.{low}/32", high / 256, high % 256);
        let add = "INSERT INTO blocklist (network, reason, created) VALUES (?1, '', 1)";
        filling
            .prepare_cached(add)
            .unwrap()
            .execute([network])
            .unwrap();
    }
    filling.commit().unwrap();
    drop(database);
    let node = Node::start(&on_demand(&file)).unwrap();
    let block = |text: &str| node.mailbox.block(network(text), "a", None);
    assert_eq!(block("10.0.0.1/32"), Err(Refused::ListFull));
    assert_eq!(node.announce(1), Ok(()));
    // One that is on the list may still be changed, and one that is taken out makes room.
    let known = block("172.0.0.7/32").unwrap();
    assert!(node.mailbox.unblock(known.number).unwrap());
    block("10.0.0.1/32").unwrap();
    assert_eq!(node.announce(1), Err(Refusal::AddressBlocked));
}
