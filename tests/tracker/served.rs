//! Whom and what the tracker serves (O21), and what files block (O22), as clients notice it over HTTP. Over UDP: `udp.rs`.

use std::sync::Arc;

use retracker::clock::Seconds;
use retracker::metrics::Failure;
use retracker::net::{AddressRange, Networks};
use retracker::tracker::{AccessLists, BlocklistFile, InfoHash, TorrentSet};

use crate::harness::{HASH, HASH_BYTES, Server, peers, start};

impl Server {
    fn change(&self, change: impl FnOnce(&AccessLists)) {
        self.core.change_access(change, Seconds::START);
    }
}

fn file(first: &str, last: &str, torrents: Vec<InfoHash>) -> Arc<BlocklistFile> {
    let range = AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap();
    Arc::new(BlocklistFile {
        addresses: std::iter::once(range).collect(),
        torrents: TorrentSet::new(torrents),
    })
}

/// O21: everybody else reads why, is counted, is handed to nobody, and comes back with the network.
#[test]
fn only_networks_that_are_served_announce_and_scrape() {
    let server = start();
    server.announce("127.0.0.5", 1_005, "");
    server.announce("127.1.0.5", 1_006, "");
    let served: Networks = ["127.0.0.0/16".parse().unwrap()].into_iter().collect();
    server.change(|access| access.serve(served));
    let refused = server.announce("127.1.0.6", 1_007, "");
    assert_eq!(
        refused.failure(),
        "address outside the networks that are served"
    );
    assert_eq!(refused.number("retry in"), 60);
    let scrape = format!("/scrape?info_hash={HASH}");
    let refused = server.get_from("127.1.0.6", &scrape, "");
    assert_eq!(
        refused.failure(),
        "address outside the networks that are served"
    );
    assert_eq!(
        server.get_from("::1", &scrape, "").failure(),
        refused.failure()
    );
    assert_eq!(server.failures(Failure::AddressNotServed), 3);
    let list = server.announce("127.0.0.6", 1_008, "");
    assert_eq!(list.peers(), peers(["127.0.0.5:1005"]));
    server.change(|access| access.serve(Networks::default()));
    let list = server.announce("127.0.0.6", 1_008, "&numwant=9");
    assert_eq!(list.peers(), peers(["127.0.0.5:1005", "127.1.0.5:1006"]));
}

/// O21: a torrent that is taken off the list is empty at once, and as it was when it is listed again.
#[test]
fn only_listed_torrents_are_served() {
    let server = start();
    server.announce("127.0.0.5", 1_005, "");
    server.change(|access| access.list_torrents(|listed| listed.is_closed = true));
    let refused = server.announce("127.0.0.6", 1_006, "");
    assert_eq!(
        refused.failure(),
        "torrent not registered with this tracker"
    );
    assert_eq!(refused.number("retry in"), 10);
    assert_eq!(server.failures(Failure::TorrentNotListed), 1);
    assert_eq!(server.core.peers(), 0);
    let scrape = || {
        let reply = server.get(&format!("/scrape?info_hash={HASH}")).value();
        let files = reply.as_dict().unwrap()[&b"files"[..]].as_dict().unwrap();
        let torrent = files.values().next().unwrap();
        torrent["incomplete"].as_u64().unwrap()
    };
    assert_eq!(scrape(), 0);
    let listed = Arc::new(TorrentSet::new(vec![InfoHash(HASH_BYTES)]));
    let again = Arc::clone(&listed);
    server.change(|access| access.list_torrents(|list| list.of_file = listed));
    assert_eq!(scrape(), 1);
    let list = server.announce("127.0.0.6", 1_006, "");
    assert_eq!(list.peers(), peers(["127.0.0.5:1005"]));
    // Listed by a page too, it stays when the file loses it.
    server.change(|access| access.list_torrents(|list| list.added = again));
    server.change(|access| access.list_torrents(|list| list.of_file = Arc::default()));
    assert_eq!(scrape(), 2);
    server.change(|access| access.list_torrents(|list| list.added = Arc::default()));
    assert_eq!(scrape(), 0);
    server.change(|access| access.list_torrents(|listed| listed.is_closed = false));
    assert_eq!(scrape(), 2);
}

/// O22: as the blocklist of the pages, also on stored peers and when the client comes by the v4-mapped address.
#[test]
fn what_a_file_blocks_is_refused_and_hidden_at_once() {
    let server = start();
    server.announce("127.0.0.5", 1_005, "");
    server.announce("127.0.0.6", 1_006, "");
    server.change(|access| {
        let none = file("192.0.2.0", "192.0.2.9", Vec::new());
        let some = file("::ffff:127.0.0.5", "::ffff:127.0.0.5", Vec::new());
        access.block_by_files([none, some]);
    });
    let refused = server.announce("127.0.0.5", 1_005, "");
    assert_eq!(refused.failure(), "address blocked");
    let scrape = format!("/scrape?info_hash={HASH}");
    assert_eq!(
        server.get_from("127.0.0.5", &scrape, "").failure(),
        "address blocked"
    );
    assert_eq!(server.failures(Failure::AddressBlocked), 2);
    let list = server.announce("127.0.0.7", 1_007, "");
    assert_eq!(list.peers(), peers(["127.0.0.6:1006"]));
    server.change(|access| {
        let torrent = file("192.0.2.0", "192.0.2.9", vec![InfoHash(HASH_BYTES)]);
        access.block_by_files([torrent]);
    });
    assert_eq!(
        server.announce("127.0.0.7", 1_007, "").failure(),
        "torrent blocked"
    );
    assert_eq!(server.core.peers(), 0);
    server.change(|access| access.block_by_files([]));
    let list = server.announce("127.0.0.7", 1_007, "&numwant=9");
    assert_eq!(list.peers(), peers(["127.0.0.5:1005", "127.0.0.6:1006"]));
}
