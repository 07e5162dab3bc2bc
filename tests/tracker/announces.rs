//! Announces: paths, parameters, forms of the reply, refusals.

use bt_bencode::Value;
use retracker::clock::{Seconds, Wall};
use retracker::metrics::{Action, Failure, Transport};
use retracker::net::Networks;
use retracker::tracker::{Block, ClientRule, InfoHash, Target};

use crate::harness::{HASH, HASH_BYTES, announce, peers, start, start_with};

/// P1
#[test]
fn every_path_of_an_announce_is_one_swarm() {
    let server = start();
    let paths = ["/announce", "/announce.php", "/ann", "/x/announce", "/"];
    for (path, port) in paths.iter().zip(1..) {
        let path = announce(port, "").replacen("/announce", path, 1);
        assert_eq!(
            server.get(&path).number("incomplete"),
            u64::from(port),
            "{path}"
        );
    }
}

/// P1
#[test]
fn other_methods_are_refused_and_say_which_are_not() {
    let server = start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "X"] {
        for path in ["/announce?x", "/scrape", "/a/announce", "/status"] {
            let mut client = server.connect();
            client.send(format!(
                "{method} {path} HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
            ));
            let reply = client.reply();
            assert_eq!(
                (reply.status, reply.field("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
            assert!(client.is_closed());
        }
    }
    assert_eq!(server.failures(Failure::Method), 24);
}

/// P1
#[test]
fn unknown_paths_are_not_found_in_a_few_words() {
    let server = start();
    for path in [
        "/",
        "/announcement",
        "/announce//",
        "/..%2fannouncement",
        "/stat",
        "*",
        "/%2561nnounce",
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.text()), (404, "not found\n"), "{path}");
    }
}

/// P1
#[test]
fn head_is_answered_as_get_without_the_body() {
    let server = start();
    let mut client = server.connect();
    client.send(format!("HEAD {} HTTP/1.1\r\n\r\n", announce(1, "")));
    let head = client.head();
    assert_eq!(head.status, 200);
    let reply = client.get(&announce(1, ""));
    assert_eq!(head.field("content-length"), reply.field("content-length"));
    assert_eq!(reply.number("incomplete"), 1);
}

/// P2
#[test]
fn hashes_of_any_bytes_are_announced_and_scraped_back() {
    let server = start();
    let mut client = server.connect();
    let mut rng = fastrand::Rng::with_seed(3);
    let hex = b"0123456789abcdefABCDEF";
    for round in 0..3_000 {
        let mut hash = [0; 20];
        rng.fill(&mut hash);
        if round < hex.len() * hex.len() {
            hash[3..6].copy_from_slice(&[b'%', hex[round / hex.len()], hex[round % hex.len()]]);
        }
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!()*".contains(&byte);
        let text: String = hash
            .iter()
            .map(|byte| {
                if bare(*byte) {
                    char::from(*byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            })
            .collect();
        let announced = client.get(&announce(6881, "").replace(HASH, &text));
        assert_eq!(announced.number("incomplete"), 1, "{text}");
        let scraped = client.get(&format!("/scrape?info_hash={text}")).value();
        let file = &scraped["files"].as_dict().unwrap()[hash.as_slice()];
        assert_eq!(file["incomplete"].as_u64(), Some(1), "{text}");
    }
}

/// P2: as an encoder of forms writes it, a blank is a plus sign.
#[test]
fn a_plus_sign_in_a_hash_is_a_blank() {
    let server = start();
    let (plus, escaped) = ("+".repeat(5), "%20".repeat(5));
    let text = format!("{plus}{escaped}%2B%2b{}", "a".repeat(8));
    let announced = server.get(&announce(6881, "").replace(HASH, &text));
    assert_eq!(announced.number("incomplete"), 1);
    let plain = format!("{}%2B%2B{}", "%20".repeat(10), "a".repeat(8));
    let scraped = server.get(&format!("/scrape?info_hash={plain}")).value();
    let file = &scraped["files"].as_dict().unwrap()[b"          ++aaaaaaaa".as_slice()];
    assert_eq!(file["incomplete"].as_u64(), Some(1));
}

/// P4
#[test]
fn a_hash_in_hex_digits_is_told_what_is_expected() {
    let server = start();
    let hex = "0123456789abcdefABCD".repeat(2);
    let wrong = announce(2, "").replace(HASH, &hex);
    for path in [wrong, format!("/scrape?info_hash={hex}")] {
        let failure = server.get(&path).failure();
        assert!(
            failure.contains("20 raw bytes, percent-encoded"),
            "{failure}"
        );
    }
    assert_eq!(server.failures(Failure::InvalidInfoHash), 2);
}

/// P1
#[test]
fn any_path_that_ends_like_a_trackers_is_one() {
    let server = start();
    let query = announce(1, "").replace("/announce", "");
    for path in [
        "/bt/announce.php",
        "/announce/",
        "/a/b/announce.php/",
        "/%61nnounce",
        "/bt%2Fannounce%2Ephp",
        "http://tracker.local:8080/announce",
        "http://tracker.local/bt/announce.php/",
    ] {
        let reply = server.get(&format!("{path}{query}"));
        assert_eq!(reply.number("incomplete"), 1, "{path}");
    }
    for path in ["/scrape/", "/x/scrape.php", "/x/%73crape.php/"] {
        let reply = server.get(&format!("{path}?info_hash={HASH}"));
        assert!(reply.value().get("files").is_some(), "{path}");
    }
}

/// P3
#[test]
fn queries_of_odd_shape_are_understood() {
    let server = start();
    let plain = announce(7, "");
    for (path, port) in [
        plain.replacen('?', "??", 1),
        plain.replacen('?', "?uk=1?", 1),
        plain.replacen('?', "?&&=&x&y=%zz&", 1),
        format!("{plain}&port=99999&info_hash=short&left=x"),
        format!("{plain}&pad={}", "x".repeat(7_000)),
    ]
    .iter()
    .zip(1_u64..)
    {
        assert_eq!(server.get(path).number("incomplete"), 1, "{port}: {path}");
    }
}

/// P4, P5
#[test]
fn what_is_required_and_wrong_fails_with_a_fixed_text_and_stores_nothing() {
    let server = start();
    let hash = format!("info_hash={HASH}");
    let peer = "peer_id=-XX0001-000000000001";
    for (query, reason, failure) in [
        (String::new(), "missing info_hash", Failure::MissingInfoHash),
        (
            "info_hash=abc&port=1".into(),
            "invalid info_hash",
            Failure::InvalidInfoHash,
        ),
        (
            format!("{hash}x&{peer}&port=1"),
            "invalid info_hash",
            Failure::InvalidInfoHash,
        ),
        (
            format!("{hash}&port=1"),
            "missing peer_id",
            Failure::MissingPeerId,
        ),
        (
            format!("{hash}&{peer}1&port=1"),
            "invalid peer_id",
            Failure::InvalidPeerId,
        ),
        (
            format!("{hash}&{peer}"),
            "missing port",
            Failure::MissingPort,
        ),
        (
            format!("{hash}&{peer}&port=65536"),
            "invalid port",
            Failure::InvalidPort,
        ),
        (
            format!("{hash}&{peer}&port=-1"),
            "invalid port",
            Failure::InvalidPort,
        ),
        (
            format!("{hash}&{peer}&port=18446744073709551617"),
            "invalid port",
            Failure::InvalidPort,
        ),
        (
            format!("{hash}&{peer}&port=%3Cscript%3E"),
            "invalid port",
            Failure::InvalidPort,
        ),
    ] {
        let before = server.failures(failure);
        let reply = server.get(&format!("/announce?{query}"));
        assert_eq!(reply.failure(), reason, "{query}");
        assert!(reply.value().get("retry in").is_none());
        assert_eq!(server.failures(failure), before + 1);
    }
    assert_eq!(server.announce("127.0.0.1", 1, "").number("incomplete"), 1);
}

/// P4
#[test]
fn port_zero_is_answered_and_neither_stored_nor_handed_out() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    let reply = server.announce("127.0.0.2", 0, "");
    assert_eq!(reply.status, 200);
    reply.value();
    assert_eq!(
        server.announce("127.0.0.3", 2, "").peers(),
        peers(["127.0.0.1:1"])
    );
}

/// P4
#[test]
fn a_garbled_left_is_a_leecher_and_other_garbled_numbers_are_absent() {
    let server = start();
    for (left, port) in ["", "-1", "x", "18446744073709551616", "0x"]
        .iter()
        .zip(1..)
    {
        let more = format!(
            "&left={left}&downloaded=x&uploaded=-&corrupt=1e9&compact=x&no_peer_id=x&numwant=x"
        );
        let reply = server.announce("127.0.0.1", port, &more);
        assert_eq!(
            (reply.number("complete"), reply.number("incomplete")),
            (0, u64::from(port))
        );
    }
    assert_eq!(
        server
            .announce("127.0.0.1", 99, "&left=0")
            .number("complete"),
        1
    );
}

/// P5, C4, W4
#[test]
fn refusals_of_the_core_are_failures_that_say_when_to_come_again() {
    let server = start();
    let access = server.core.access();
    let ignored: Networks = ["127.9.0.0/16".parse().unwrap()].into_iter().collect();
    let rule = ClientRule {
        prefix: b"-BAD".to_vec(),
        is_allowed: false,
    };
    access.configure(ignored, vec![rule]);
    let block = |target| Block {
        number: 1,
        target,
        reason: "secret words".into(),
        created: Wall(0),
        expires: None,
    };
    let other = InfoHash([b'z'; 20]);
    let network = Target::Network("127.8.0.0/16".parse().unwrap());
    server.core.block(
        vec![block(network), block(Target::Torrent(other))],
        Wall(1),
        Seconds::START,
    );
    let never = Some(Value::from("never"));
    let hour = Some(Value::from(60_u64));
    let torrent = announce(1, "").replace(HASH, &"z".repeat(20));
    let client = announce(1, "").replace("-XX0", "-BAD");
    for (ip, path, reason, retry) in [
        ("127.9.1.1", announce(1, ""), "address not served", &never),
        ("127.8.1.1", announce(1, ""), "address blocked", &hour),
        ("127.0.0.1", torrent, "torrent blocked", &hour),
        ("127.0.0.1", client, "client not allowed", &never),
        (
            "127.8.1.1",
            format!("/scrape?info_hash={HASH}"),
            "address blocked",
            &hour,
        ),
    ] {
        let reply = server.get_from(ip, &path, "");
        assert_eq!(reply.failure(), reason);
        assert_eq!(reply.value().get("retry in"), retry.as_ref(), "{reason}");
        assert_eq!(reply.number("min interval"), 1_620);
    }
    assert_eq!(server.failures(Failure::AddressBlocked), 2);
    assert_eq!(server.announce("127.0.0.1", 1, "").number("incomplete"), 1);
}

/// P6
#[test]
fn peers_are_dictionaries_on_request_with_the_ids_they_announced() {
    let server = start();
    server.announce("127.0.0.2", 1_001, "");
    server.announce("::1", 1_002, "");
    let reply = server.announce("127.0.0.3", 2, "&compact=0").value();
    let mut found: Vec<_> = reply["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| {
            let text = |key| peer[key].as_str().unwrap().to_owned();
            (text("ip"), peer["port"].as_u64().unwrap(), text("peer id"))
        })
        .collect();
    found.sort();
    let expected = [
        (
            "127.0.0.2".to_owned(),
            1_001,
            "-XX0001-000000001001".to_owned(),
        ),
        ("::1".to_owned(), 1_002, "-XX0001-000000001002".to_owned()),
    ];
    assert_eq!(found, expected);
    let reply = server
        .announce("127.0.0.3", 2, "&compact=0&no_peer_id=1")
        .value();
    assert!(
        reply["peers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|peer| peer.get("peer id").is_none())
    );
}

/// P6
#[test]
fn the_form_for_who_does_not_say_is_an_option() {
    let server = start_with(|settings| settings.compact_default = false);
    server.announce("127.0.0.2", 1, "");
    assert_eq!(
        server.announce("127.0.0.1", 2, "").value()["peers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        server.announce("127.0.0.1", 2, "&compact=1").peers(),
        peers(["127.0.0.2:1"])
    );
}

/// P7, P13
#[test]
fn both_families_share_a_swarm_and_get_their_lists() {
    let server = start();
    let alone = server.announce("127.0.0.1", 1, "").value();
    assert_eq!(alone["peers"], Value::from(""));
    assert!(alone.get("peers6").is_none());
    let first_v6 = server.announce("::1", 2, "");
    assert_eq!(first_v6.value()["peers6"], Value::from(""));
    assert_eq!(first_v6.peers(), peers(["127.0.0.1:1"]));
    let reply = server.announce("127.0.0.3", 3, "");
    assert_eq!(reply.peers(), peers(["127.0.0.1:1", "[::1]:2"]));
    assert_eq!(reply.number("incomplete"), 3);
}

/// P9
#[test]
fn counts_are_exact_and_a_completion_counts_once() {
    let server = start();
    server.announce("127.0.0.1", 1, "&event=started");
    let second = server.announce("127.0.0.2", 1, "&event=started&left=0");
    assert_eq!(
        (second.number("complete"), second.number("incomplete")),
        (1, 1)
    );
    for _ in 0..3 {
        let done = server.announce("127.0.0.1", 1, "&left=0&event=completed");
        assert_eq!(
            (
                done.number("complete"),
                done.number("incomplete"),
                done.number("downloaded")
            ),
            (2, 0, 1)
        );
    }
    let reply = server.announce("127.0.0.3", 1, "&numwant=0");
    assert_eq!(
        (reply.number("complete"), reply.number("incomplete")),
        (2, 1)
    );
}

/// P10
#[test]
fn a_stopped_peer_leaves_at_once_and_is_answered_without_peers() {
    let server = start();
    server.announce("127.0.0.2", 1, "&left=0");
    server.announce("127.0.0.1", 1, "&event=started");
    let reply = server.announce("127.0.0.1", 1, "&event=stopped");
    assert_eq!(
        (
            reply.peers().len(),
            reply.number("complete"),
            reply.number("incomplete")
        ),
        (0, 1, 0)
    );
    assert_eq!(
        server.announce("127.0.0.3", 1, "&numwant=50").peers(),
        peers(["127.0.0.2:1"])
    );
    let stranger = server.announce("127.0.0.4", 1, "&event=stopped");
    assert_eq!(stranger.number("incomplete"), 1);
}

/// P10
#[test]
fn every_event_is_accepted() {
    let server = start();
    for event in [
        "started",
        "completed",
        "paused",
        "",
        "empty",
        "nonsense",
        "%00",
        "Started",
    ] {
        let reply = server.announce("127.0.0.1", 1, &format!("&event={event}"));
        assert_eq!(reply.number("incomplete"), 1, "{event}");
    }
}

/// P11
#[test]
fn numwant_is_a_wish_within_bounds() {
    let server = start();
    let mut client = server.connect();
    for port in 1..=250 {
        client.get(&announce(port, "&numwant=0"));
    }
    for (wanted, given) in [
        ("", 50),
        ("&numwant=", 50),
        ("&numwant=-1", 50),
        ("&numwant=x", 50),
        ("&numwant=0", 0),
        ("&numwant=7", 7),
        ("&numwant=200", 200),
        ("&numwant=201", 200),
        ("&numwant=99999999999999999999", 200),
    ] {
        let reply = client.get(&announce(999, wanted));
        assert_eq!(
            (reply.peers().len(), reply.number("incomplete")),
            (given, 251),
            "{wanted}"
        );
    }
}

/// P12
#[test]
fn intervals_are_jittered_and_min_interval_follows() {
    let server = start();
    let mut client = server.connect();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let reply = client.get(&announce(1, ""));
        let interval = reply.number("interval");
        assert!((1_620..=1_980).contains(&interval));
        assert_eq!(reply.number("min interval"), interval * 9 / 10);
        seen.insert(interval);
    }
    assert!(seen.len() > 10);
}

/// P16
#[test]
fn paused_partial_seeds_are_counted_apart() {
    let server = start();
    server.announce("127.0.0.1", 1, "&event=paused");
    server.announce("127.0.0.2", 1, "");
    let scraped = server.get(&format!("/scrape?info_hash={HASH}")).value();
    let file = &scraped["files"].as_dict().unwrap()[HASH_BYTES.as_slice()];
    assert_eq!(
        (file["incomplete"].as_u64(), file["downloaders"].as_u64()),
        (Some(2), Some(1))
    );
}

/// P17
#[test]
fn the_external_address_is_told_when_switched_on() {
    assert!(
        start()
            .announce("127.0.0.1", 1, "")
            .value()
            .get("external ip")
            .is_none()
    );
    let server = start_with(|settings| settings.external_ip = true);
    let v4 = server.announce("127.1.2.3", 1, "").value();
    assert_eq!(
        v4["external ip"].as_byte_str().unwrap().as_slice(),
        [127, 1, 2, 3]
    );
    let v6 = server.announce("::1", 1, "").value();
    assert_eq!(v6["external ip"].as_byte_str().unwrap().len(), 16);
}

/// P21
#[test]
fn a_long_info_hash_is_the_swarm_of_its_first_twenty_bytes() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    let long = announce(2, "").replace(HASH, &format!("{HASH}%00aaaaaaaaaaa"));
    assert_eq!(server.get(&long).number("incomplete"), 2);
    for length in [0, 1, 19, 21, 31, 33, 40] {
        let wrong = announce(2, "").replace(HASH, &"a".repeat(length));
        assert!(
            server.get(&wrong).failure().contains("info_hash"),
            "{length}"
        );
    }
}

/// O4
#[test]
fn requests_and_bytes_are_counted() {
    let server = start();
    server.announce("127.0.0.1", 1, "");
    server.get(&format!("/scrape?info_hash={HASH}"));
    let totals = server.core.metrics().totals();
    assert_eq!(totals.answered(Transport::Http, Action::Announce), 1);
    assert_eq!(totals.answered(Transport::Http, Action::Scrape), 1);
    assert!(
        totals.received_bytes[Transport::Http as usize] > 200
            && totals.sent_bytes[Transport::Http as usize] > 200
    );
    assert!(totals.latency.iter().sum::<u64>() > 0);
}
