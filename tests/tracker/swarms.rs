//! Who is handed whom, as seen over HTTP.

use crate::harness::{announce, peers, start};

/// S1
#[test]
fn nobody_is_handed_itself() {
    let server = start();
    for _ in 0..3 {
        assert!(server.announce("127.0.0.1", 1, "").peers().is_empty());
    }
    assert_eq!(
        server.announce("127.0.0.1", 2, "").peers(),
        peers(["127.0.0.1:1"])
    );
    assert_eq!(
        server.announce("127.0.0.2", 1, "").peers(),
        peers(["127.0.0.1:1", "127.0.0.1:2"])
    );
}

/// S1
#[test]
fn a_changed_peer_id_on_the_same_address_and_port_is_the_same_peer() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    let restarted = announce(1, "").replace("-XX0001-", "-YY0002-");
    let reply = server.get(&restarted);
    assert_eq!((reply.number("incomplete"), reply.peers().len()), (1, 0));
}

/// S1: neighbours behind one NAT do not stop each other's peers; the id or the key makes a peer one's own.
#[test]
fn a_stop_needs_the_id_or_the_key_of_the_peer() {
    let server = start();
    server.announce("127.0.0.1", 1, "&key=c0ffee");
    let stopped = announce(1, "&event=stopped&key=c0ffef").replace("-XX0001-", "-YY0002-");
    assert_eq!(server.get(&stopped).number("incomplete"), 1);
    let with_key = stopped.replace("c0ffef", "c0ffee");
    assert_eq!(server.get(&with_key).number("incomplete"), 0);
}

/// S2
#[test]
fn a_seeder_is_handed_leechers_only() {
    let server = start();
    server.announce("127.0.0.1", 1, "&left=0");
    server.announce("127.0.0.2", 1, "");
    assert_eq!(
        server.announce("127.0.0.3", 1, "&left=0").peers(),
        peers(["127.0.0.2:1"])
    );
    assert_eq!(
        server.announce("127.0.0.4", 1, "").peers(),
        peers(["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"])
    );
}

/// S1: the port of the connection is not the port of the peer.
#[test]
fn a_peer_is_its_address_and_its_announced_port() {
    let server = start();
    for _ in 0..4 {
        server.announce("127.0.0.1", 5, "");
    }
    assert_eq!(server.announce("127.0.0.2", 5, "").number("incomplete"), 2);
}
