//! Scrapes (BEP 48).

use retracker::metrics::Failure;
use retracker::net::handover;
use retracker::{http, tracker};

use crate::harness::{HASH, HASH_BYTES, announce, receive, settings, start, start_all, start_with};

fn hash(number: u8) -> String {
    format!("info_hash={}", format!("%{number:02x}").repeat(20))
}

/// P1, P8
#[test]
fn a_scrape_counts_on_every_path() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    server.announce("127.0.0.2", 1, "&left=0&event=completed");
    for path in ["/scrape", "/scrape.php", "/scr", "/a/scrape"] {
        let reply = server.get(&format!("{path}?info_hash={HASH}")).value();
        let file = &reply["files"].as_dict().unwrap()[HASH_BYTES.as_slice()];
        let count = |key| file[key].as_u64().unwrap();
        let counts = ["complete", "downloaded", "downloaders", "incomplete"].map(count);
        assert_eq!(counts, [1, 1, 1, 1], "{path}");
    }
}

/// P8
#[test]
fn many_hashes_are_answered_at_once_and_unknown_ones_with_zeros() {
    let server = start();
    let query: Vec<String> = (0..100).map(hash).collect();
    let reply = server
        .get(&format!("/scrape?{}&{}", query.join("&"), hash(5)))
        .failure();
    assert_eq!(reply, "too many info_hashes");
    assert_eq!(server.failures(Failure::TooManyInfoHashes), 1);
    let reply = server.get(&format!("/scrape?{}", query.join("&"))).value();
    let files = reply["files"].as_dict().unwrap();
    assert_eq!(files.len(), 100);
    assert!(
        files
            .values()
            .all(|file| file["complete"].as_u64() == Some(0))
    );
}

/// P8
#[test]
fn the_number_of_hashes_is_an_option() {
    let server = start_with(|settings| settings.max_scrape = 1);
    assert!(
        server
            .get(&format!("/scrape?{}", hash(1)))
            .value()
            .get("files")
            .is_some()
    );
    assert_eq!(
        server
            .get(&format!("/scrape?{}&{}", hash(1), hash(2)))
            .failure(),
        "too many info_hashes"
    );
}

/// P8, P22
#[test]
fn a_scrape_without_a_proper_hash_fails() {
    let server = start();
    for (query, reason) in [
        ("", "missing info_hash"),
        ("?", "missing info_hash"),
        ("?info_hash=", "missing info_hash"),
        ("?info_hash=abc", "invalid info_hash"),
        ("?info_hash=%zz", "invalid info_hash"),
    ] {
        assert_eq!(
            server.get(&format!("/scrape{query}")).failure(),
            reason,
            "{query}"
        );
    }
}

/// P13
#[test]
fn a_scrape_over_v6_sees_the_same_swarm() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    let reply = server.get_from("::1", &format!("/scrape?info_hash={HASH}"), "");
    assert_eq!(
        reply.value()["files"].as_dict().unwrap()[HASH_BYTES.as_slice()]["incomplete"].as_u64(),
        Some(1)
    );
}

/// P9
#[test]
fn counts_rise_and_fall_as_peers_come_and_go() {
    let server = start();
    let mut client = server.connect();
    let mut scrape = |path: &str| {
        client.get(path);
        let reply = client.get(&format!("/scrape?info_hash={HASH}")).value();
        let file = reply["files"].as_dict().unwrap()[HASH_BYTES.as_slice()].clone();
        (
            file["complete"].as_u64().unwrap(),
            file["incomplete"].as_u64().unwrap(),
        )
    };
    assert_eq!(scrape(&announce(1, "&event=started")), (0, 1));
    assert_eq!(scrape(&announce(2, "&event=started&left=0")), (1, 1));
    assert_eq!(scrape(&announce(1, "&event=completed&left=0")), (2, 0));
    assert_eq!(scrape(&announce(2, "&event=stopped")), (1, 0));
    assert_eq!(scrape(&announce(1, "&event=stopped")), (0, 0));
}

/// P22: the one path of it without a hash is handed over where it is on, and answered as ever everywhere else.
#[test]
fn a_scrape_of_all_torrents_goes_to_the_pages() {
    let limits = handover::Limits {
        total: 8,
        per_subscriber: 0,
    };
    let all = ["/scrape", "/scrape?", "/scrape?x=1"];
    let others = [
        "/scrape?info_hash=",
        "/scrape.php",
        "/scr",
        "/x/scrape",
        "/%73crape",
    ];
    for is_on in [true, false] {
        let (pages, mut connections) = handover::channel(limits);
        let settings = http::Settings {
            full_scrape: is_on,
            ..settings()
        };
        let server = start_all(&settings, tracker::Settings::default(), Some(pages));
        for path in others.iter().chain(if is_on { &[][..] } else { &all[..] }) {
            assert_eq!(server.get(path).failure(), "missing info_hash", "{path}");
        }
        for path in all.iter().filter(|_| is_on) {
            let mut client = server.connect();
            let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            client.send(&asked);
            let handover = receive(&mut connections).unwrap();
            assert_eq!(handover.read, asked.as_bytes());
        }
        let mut posted = server.connect();
        posted.send("POST /scrape HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(posted.reply().status, 405);
    }
    // Without pages there is nobody to send it.
    let server = start_with(|settings| settings.full_scrape = true);
    assert_eq!(server.get("/scrape").failure(), "missing info_hash");
}
