//! Keys of announce addresses below the page (O16): on the disk before the caller is told, and their use with every snapshot.

use retracker::clock::{Clock, Wall};
use retracker::metrics::Gauge;
use retracker::snapshot::{FileKeys, Found, Refused};
use retracker::tracker::{
    Announce, AnnounceContext, AnnounceReply, Event, KeyDigest, KeyLimits, KeyUser, ListOptions,
    NewKey, PeerList, Refusal,
};

use crate::harness::{Node, address, file_in, hash, moment, on_demand, peer_id};

fn digest(number: u8) -> KeyDigest {
    KeyDigest::of(&[number; 32]).unwrap()
}

pub(crate) fn new(number: u8, label: &str) -> NewKey {
    NewKey {
        digest: digest(number),
        label: label.into(),
        expires: None,
        limits: KeyLimits::default(),
    }
}

/// What the client of a key reports.
fn announce(node: &Node, key: u8, uploaded: u64, event: Event) -> Result<AnnounceReply, Refusal> {
    let announce = Announce {
        info_hash: hash(1),
        peer_id: peer_id(7),
        key: None,
        ip: address(7),
        inner_ip: None,
        is_reported: false,
        port: 7,
        is_seeder: true,
        downloaded: uploaded / 2,
        event,
        num_want: None,
        options: ListOptions::default(),
    };
    let mut rng = fastrand::Rng::with_seed(1);
    let mut turn = AnnounceContext {
        now: node.clock.now(),
        rng: &mut rng,
        counters: node.tracker.metrics().counters(0),
    };
    let user = KeyUser {
        digest: digest(key),
        uploaded,
    };
    node.tracker
        .announce_by_key(&announce, &user, &mut turn, &mut PeerList::default())
}

/// The folder as a kill would leave it: the files as they are, the thread still holding them.
fn killed(folder: &tempfile::TempDir) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// O16: no snapshot, no stop.
#[test]
fn keys_are_in_the_database_when_the_call_returns() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    let soon = Wall(node.clock.wall().0 + 1_000);
    let mut limited = new(2, "борис");
    (limited.expires, limited.limits.torrents) = (Some(soon), 9);
    let made = node
        .mailbox
        .make_keys(vec![new(1, "anna"), limited.clone(), new(3, "c")]);
    assert_eq!(made, Ok(vec![1, 2, 3]));
    assert_eq!(node.gauge(Gauge::Keys), 3);
    assert!(announce(&node, 3, 0, Event::Started).is_ok());
    assert_eq!(node.mailbox.revoke_keys(vec![3, 99]), Ok(vec![3]));
    assert_eq!(node.mailbox.revoke_keys(vec![3]), Ok(vec![]));
    assert_eq!(node.scrape(hash(1)).complete, 0);
    let copy = killed(&folder);
    let again = Node::start(&on_demand(&file_in(&copy))).unwrap();
    assert_eq!(
        again.tracker.keys().records(),
        node.tracker.keys().records()
    );
    assert_eq!(again.tracker.keys().find(&digest(2)).unwrap().key, limited);
    assert_eq!(again.gauge(Gauge::Keys), 3);
    assert_eq!(
        announce(&again, 3, 0, Event::None).unwrap_err(),
        Refusal::KeyRevoked
    );
    assert!(announce(&again, 1, 0, Event::None).is_ok());
    // Revoked and made again, it is the same key.
    assert_eq!(again.mailbox.make_keys(vec![new(3, "d")]), Ok(vec![3]));
    assert!(announce(&again, 3, 0, Event::None).is_ok());
    let made = again.mailbox.make_keys(vec![new(4, "e")]).unwrap();
    assert!(made[0] > 3);
}

/// O16: what a snapshot has is there after a kill, and the next announce counts on from it.
#[test]
fn totals_and_sessions_come_back_from_the_last_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let written = 1_800_000_000;
    let node = Node::start_at(&settings, Clock::start(), moment(written)).unwrap();
    node.mailbox.make_keys(vec![new(1, "anna")]).unwrap();
    announce(&node, 1, 1_000, Event::Started).unwrap();
    node.mailbox.save().unwrap();
    // Behind the snapshot: lost with the process.
    announce(&node, 1, 9_000, Event::Stopped).unwrap();
    let copy = killed(&folder);
    let again = on_demand(&file_in(&copy));
    let later = moment(written + 600);
    let node = Node::start_at(&again, Clock::start(), later).unwrap();
    let report = node.tracker.keys().one(1).unwrap();
    assert_eq!((report.torrents, report.addresses), (1, vec![address(7)]));
    assert_eq!(node.tracker.keys().sessions(), 1);
    announce(&node, 1, 5_000, Event::None).unwrap();
    let traffic = |node: &Node| {
        let traffic = node.tracker.keys().one(1).unwrap().totals.traffic;
        (traffic.uploaded, traffic.downloaded)
    };
    assert_eq!(traffic(&node), (4_000, 2_000));
    node.stop();
    let node = Node::start_at(&again, Clock::start(), moment(written + 700)).unwrap();
    assert_eq!(traffic(&node), (4_000, 2_000));
}

/// O16: the file says which of its keys are in force; others it leaves alone.
#[test]
fn the_keys_of_a_file_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&on_demand(&file_in(&folder))).unwrap();
    node.mailbox.make_keys(vec![new(9, "by api")]).unwrap();
    let set = |keys: Vec<NewKey>| {
        let FileKeys { keys, put, revoked } = node.mailbox.set_keys_of_file(keys).unwrap();
        (keys, put, revoked)
    };
    assert_eq!(set(vec![new(1, "a"), new(2, "b")]), (2, 2, 0));
    announce(&node, 1, 0, Event::Started).unwrap();
    assert_eq!(set(vec![new(1, "a"), new(2, "b")]), (2, 0, 0));
    assert_eq!(set(vec![new(2, "changed"), new(3, "c")]), (2, 2, 1));
    assert_eq!(node.scrape(hash(1)).complete, 0);
    assert_eq!(
        announce(&node, 1, 0, Event::None).unwrap_err(),
        Refusal::KeyRevoked
    );
    assert_eq!(
        node.tracker.keys().find(&digest(2)).unwrap().key.label,
        "changed"
    );
    assert_eq!(set(Vec::new()), (0, 0, 2));
    assert!(announce(&node, 9, 0, Event::None).is_ok());
    assert_eq!(set(vec![new(1, "a")]), (1, 1, 0));
    let record = node.tracker.keys().find(&digest(1)).unwrap();
    assert_eq!((record.number, record.revoked), (2, None));
}

/// O16, R8: a database that is lost under the tracker gets the keys back from memory, and a damaged one gives what can be read.
#[test]
fn keys_outlive_their_database() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.mailbox
        .make_keys(vec![new(1, "anna"), new(2, "boris")])
        .unwrap();
    announce(&node, 1, 0, Event::Started).unwrap();
    node.mailbox.revoke_keys(vec![2]).unwrap();
    std::fs::remove_file(&settings.file).unwrap();
    node.mailbox.save().unwrap();
    let records = node.tracker.keys().records();
    assert_eq!(node.stop().fault, None);
    let node = Node::start(&settings).unwrap();
    assert_eq!(node.tracker.keys().records(), records);
    assert_eq!(node.tracker.keys().one(1).unwrap().torrents, 1);
    node.stop();
    // Something of another kind in the schema: the database is not used as it is.
    let connection = rusqlite::Connection::open(&settings.file).unwrap();
    connection
        .execute_batch("CREATE TABLE foreign_one (x)")
        .unwrap();
    drop(connection);
    let node = Node::start(&settings).unwrap();
    assert!(matches!(node.found, Some(Found::SetAside { .. })));
    assert_eq!(node.tracker.keys().records(), records);
}

/// O16: a database of before there were keys gets their table, and one that cannot be written is read without.
#[test]
fn a_database_of_version_1_gets_the_table_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/database-v1.sqlite"
    );
    std::fs::copy(fixture, &settings.file).unwrap();
    let node = Node::start_at(&settings, Clock::start(), moment(1_800_000_600)).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!(node.mailbox.make_keys(vec![new(1, "a")]), Ok(vec![1]));
    node.stop();
    let node = Node::start_at(&settings, Clock::start(), moment(1_800_000_700)).unwrap();
    assert_eq!(node.found, Some(Found::Whole));
    assert_eq!(node.tracker.keys().len(), 1);
}

/// O16
#[test]
fn without_the_disk_no_key_is_made_or_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let settings = on_demand(&file_in(&folder));
    let node = Node::start(&settings).unwrap();
    node.mailbox.make_keys(vec![new(1, "a")]).unwrap();
    // Another program keeps the database to itself.
    let other = rusqlite::Connection::open(&settings.file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        node.mailbox.make_keys(vec![new(2, "b")]),
        Err(Refused::Failed)
    );
    assert_eq!(node.mailbox.revoke_keys(vec![1]), Err(Refused::Failed));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(node.tracker.keys().len(), 1);
    assert!(announce(&node, 1, 0, Event::None).is_ok());
    assert_eq!(
        announce(&node, 2, 0, Event::None).unwrap_err(),
        Refusal::KeyUnknown
    );
    assert_eq!(node.mailbox.make_keys(vec![new(2, "b")]), Ok(vec![2]));
}
