//! What several trackers have in common in their databases: the blocklist that they share, and what is kept with the swarms.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use retracker::clock::{Clock, Wall};
use retracker::snapshot::{
    BlockChange, BlockEdit, Links, MAX_BLOCKS, MAX_SAVED_STATE_BYTES, Moment, Refused, Settings,
};
use retracker::tracker::{Block, Origin, Refusal, Target};

use crate::harness::{Node, address, file_in, hash, on_demand};

/// A tracker that shares its blocklist, and what it tells of its edits.
fn sharing(settings: &Settings) -> (Node, Receiver<BlockEdit>) {
    let (tell, told) = channel();
    let links = Links {
        edited: Some(Box::new(move |edit: &BlockEdit| {
            tell.send(edit.clone()).unwrap();
        })),
        ..Links::default()
    };
    let clock = Clock::start();
    let node = Node::start_with(settings, clock, Moment::of(&clock), links).unwrap();
    (node, told)
}

fn network(text: &str) -> Target {
    Target::Network(text.parse().unwrap())
}

fn put(target: Target, reason: &str, stamp: u64) -> BlockEdit {
    BlockEdit {
        target,
        change: BlockChange::Put {
            reason: reason.to_owned(),
            created: Wall(7),
            expires: None,
        },
        stamp,
        told_by: None,
    }
}

fn lifted(target: Target, stamp: u64) -> BlockEdit {
    BlockEdit {
        change: BlockChange::Lifted,
        ..put(target, "", stamp)
    }
}

/// Waits until everything that has come is done: the thread does that before a snapshot.
fn take_in(node: &Node, edits: impl IntoIterator<Item = BlockEdit>) {
    for edit in edits {
        node.mailbox
            .edit_from_elsewhere(edit, Wall(u64::MAX))
            .unwrap();
    }
    node.mailbox.save().unwrap();
}

fn reasons(node: &Node) -> Vec<String> {
    let blocks = node.tracker.access().blocks();
    blocks.into_iter().map(|block| block.reason).collect()
}

/// O25, W4
#[test]
fn a_block_of_one_tracker_is_in_force_on_the_other_and_survives_a_restart_of_both() {
    let (folder_a, folder_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (at_a, at_b) = (
        on_demand(&file_in(&folder_a)),
        on_demand(&file_in(&folder_b)),
    );
    let ((a, told), (b, echo)) = (sharing(&at_a), sharing(&at_b));
    for number in 0..10 {
        b.announce(number).unwrap();
    }
    let soon = Wall(a.clock.wall().0 + 1_000);
    a.mailbox
        .block(network("10.0.0.4/31"), "спам", Some(soon))
        .unwrap();
    let torrent = a.mailbox.block(Target::Torrent(hash(3)), "", None).unwrap();
    take_in(&b, told.try_iter());
    assert!(echo.try_recv().is_err(), "what came is not told again");
    assert_eq!(b.scrape(hash(0)).complete, 8);
    assert_eq!(b.announce(5), Err(Refusal::AddressBlocked));
    assert_eq!(b.announce(35), Err(Refusal::TorrentBlocked));
    let same = |block: Block| (block.target, block.reason, block.created, block.expires);
    let lists = [&a, &b].map(|node| {
        let blocks = node.tracker.access().blocks();
        blocks.into_iter().map(same).collect::<Vec<_>>()
    });
    assert_eq!(lists[0], lists[1]);
    a.mailbox.unblock(torrent.number).unwrap();
    take_in(&b, told.try_iter());
    assert_eq!(b.announce(35), Ok(()));
    a.stop();
    b.stop();
    for settings in [&at_a, &at_b] {
        let (node, _told) = sharing(settings);
        assert_eq!(reasons(&node), ["спам"]);
        let known = node.mailbox.known_edits();
        let lifts = known
            .iter()
            .filter(|edit| edit.change == BlockChange::Lifted);
        assert_eq!(lifts.count(), 1);
        assert_eq!(known.len(), 2);
    }
}

/// O25: what comes again, or late, changes nothing, also after a restart.
#[test]
fn the_later_edit_counts_in_whatever_order_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let (node, _told) = sharing(&settings);
    let target = network("10.0.0.0/30");
    take_in(&node, [lifted(target, 20), put(target, "old", 10)]);
    assert_eq!(reasons(&node), [""; 0]);
    node.stop();
    let (node, told) = sharing(&settings);
    take_in(&node, [put(target, "old", 19), put(target, "old", 20)]);
    // Two at one moment: the block counts over the lift.
    assert_eq!(reasons(&node), ["old"]);
    take_in(
        &node,
        [
            put(target, "new", 30),
            put(target, "late", 25),
            put(target, "new", 30),
        ],
    );
    assert_eq!(reasons(&node), ["new"]);
    // An edit that is made here counts over what is known, whatever the clock of who made that.
    let ahead = node.clock.wall().0 + 5_000;
    take_in(&node, [put(target, "of a clock ahead", ahead)]);
    let block = node.mailbox.block(target, "here", None).unwrap();
    node.mailbox.unblock(block.number).unwrap();
    let stamps: Vec<u64> = told.try_iter().map(|edit| edit.stamp).collect();
    assert_eq!(stamps, [ahead + 1, ahead + 2]);
    take_in(&node, [put(target, "of a clock ahead", ahead + 1)]);
    assert_eq!(reasons(&node), [""; 0]);
}

/// O25: an entry that was made before stamps were kept was made when it says.
#[test]
fn an_entry_without_a_stamp_counts_from_when_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let (node, _told) = sharing(&settings);
    let target = network("10.0.0.0/30");
    let block = node.mailbox.block(target, "before", None).unwrap();
    node.stop();
    let connection = rusqlite::Connection::open(&settings.file).unwrap();
    connection.execute("DELETE FROM block_edits", []).unwrap();
    connection.close().unwrap();
    let (node, _told) = sharing(&settings);
    assert_eq!(node.mailbox.known_edits()[0].stamp, block.created.0);
    take_in(&node, [lifted(target, block.created.0 - 1)]);
    assert_eq!(reasons(&node), ["before"]);
    take_in(&node, [lifted(target, block.created.0 + 1)]);
    assert_eq!(reasons(&node), [""; 0]);
}

/// O25: a list that is full takes no more from others either, and lifts make room.
#[test]
fn a_full_list_takes_nothing_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _told) = sharing(&on_demand(&file_in(&folder)));
    let of = |number: u64| {
        let [.., b, c, d] = number.to_be_bytes();
        network(&format!("172.{b}.{c}.{d}/32"))
    };
    take_in(&node, (0..MAX_BLOCKS).map(|number| put(of(number), "", 1)));
    assert_eq!(node.tracker.access().kept_blocks().len() as u64, MAX_BLOCKS);
    let one_more = network("10.0.0.1/32");
    take_in(&node, [put(one_more, "", 9)]);
    assert_eq!(node.announce(1), Ok(()));
    take_in(&node, [lifted(of(7), 2), put(one_more, "", 9)]);
    assert_eq!(node.announce(1), Err(Refusal::AddressBlocked));
}

/// O25: a lift is remembered although another tracker tells of more lifts than are: that one's own are forgotten.
#[test]
fn a_tracker_that_tells_of_very_many_lifts_pushes_out_its_own_only() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let (node, _told) = sharing(&settings);
    let told_by = |teller: u8, edit: BlockEdit| BlockEdit {
        told_by: Origin::new(teller),
        ..edit
    };
    let of = |number: u64| {
        let [.., b, c, d] = number.to_be_bytes();
        network(&format!("172.{b}.{c}.{d}/32"))
    };
    let (own, partners) = (network("10.0.0.0/30"), network("10.0.0.4/30"));
    let block = node.mailbox.block(own, "", None).unwrap();
    node.mailbox.unblock(block.number).unwrap();
    take_in(&node, [told_by(2, lifted(partners, 20))]);
    let flood =
        |range: std::ops::Range<u64>| range.map(|number| told_by(1, lifted(of(number), 20)));
    take_in(&node, flood(0..MAX_BLOCKS));
    take_in(&node, flood(MAX_BLOCKS..MAX_BLOCKS + 10));
    take_in(&node, [put(partners, "late", 10), put(own, "late", 10)]);
    assert_eq!(reasons(&node), [""; 0]);
    node.stop();
    let connection = rusqlite::Connection::open(&settings.file).unwrap();
    let lifts = "SELECT count(lifted) FROM block_edits";
    let lifts: i64 = connection.query_row(lifts, [], |row| row.get(0)).unwrap();
    assert_eq!(lifts.unsigned_abs(), MAX_BLOCKS);
}

/// O25
#[test]
fn edits_that_nobody_can_have_made_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _told) = sharing(&on_demand(&file_in(&folder)));
    let target = network("10.0.0.0/30");
    let refused = node
        .mailbox
        .edit_from_elsewhere(put(target, &"x".repeat(501), 1), Wall(u64::MAX));
    assert_eq!(refused, Err(Refused::TooLong));
    let refused = node
        .mailbox
        .edit_from_elsewhere(lifted(target, u64::MAX), Wall(7));
    assert_eq!(refused, Err(Refused::TooLong));
}

/// O24: what says how far others have been read is asked for before the first swarm, and finished with the snapshot.
#[test]
fn what_is_kept_with_the_swarms_is_never_ahead_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node_in_closure: Arc<Mutex<Option<Arc<retracker::tracker::Tracker>>>> = Arc::default();
    let (announce, given) = channel();
    let source = {
        let node = Arc::clone(&node_in_closure);
        move || {
            // What arrives while it is asked for is in the same snapshot.
            let tracker = node.lock().unwrap().clone()?;
            announce.send(tracker.peers()).unwrap();
            (tracker.peers() > 0).then(|| tracker.peers().to_string().into_bytes())
        }
    };
    let too_long = || Some(vec![0; MAX_SAVED_STATE_BYTES + 1]);
    let links = Links {
        states: vec![
            ("sites", Box::new(source)),
            ("too long", Box::new(too_long)),
        ],
        ..Links::default()
    };
    let clock = Clock::start();
    let node = Node::start_with(&settings, clock, Moment::of(&clock), links).unwrap();
    *node_in_closure.lock().unwrap() = Some(Arc::clone(&node.tracker));
    node.mailbox.save().unwrap();
    assert_eq!(node.mailbox.saved_state("sites"), Ok(None));
    node.announce(1).unwrap();
    node.announce(2).unwrap();
    node.mailbox.save().unwrap();
    assert_eq!(node.mailbox.saved_state("sites"), Ok(Some(b"2".to_vec())));
    assert_eq!(node.mailbox.saved_state("too long"), Ok(None));
    assert_eq!(given.try_iter().collect::<Vec<_>>(), [0, 2]);
    // A snapshot that cannot be finished leaves both as they were.
    let breaking = rusqlite::Connection::open(&settings.file).unwrap();
    breaking
        .execute_batch("ALTER TABLE meta RENAME TO away")
        .unwrap();
    node.announce(3).unwrap();
    assert!(node.mailbox.save().is_err());
    breaking
        .execute_batch("ALTER TABLE away RENAME TO meta")
        .unwrap();
    assert_eq!(node.mailbox.saved_state("sites"), Ok(Some(b"2".to_vec())));
    node.mailbox.save().unwrap();
    assert_eq!(node.mailbox.saved_state("sites"), Ok(Some(b"3".to_vec())));
    assert_eq!(node.scrape(hash(0)).complete, 3);
    assert_eq!(address(1), std::net::IpAddr::from([10, 0, 0, 1]));
}
