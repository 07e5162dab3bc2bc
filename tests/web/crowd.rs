//! The pages over a crowd. The long form is run by hand: `cargo test --release --test web -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use retracker::tracker::{InfoHash, PeerId, StoredPeer, StoredSwarm};

use crate::harness::{Site, start};

const PAGES: [&str; 13] = [
    "/stat",
    "/torrents",
    "/torrents?page=900&sort_by=seeders",
    "/torrents?q=07",
    "/all_peers",
    "/all_peers?page=20000&sort_by=update_time",
    "/all_peers?q=10.3.0.0/16&sort_by=port&sort=asc",
    "/all_peers?q=qBittorrent",
    "/clients",
    "/zones",
    "/stats.json",
    "/api/v1/torrents",
    "/metrics",
];

/// Fills a site with swarms of ten peers.
fn crowd(swarms: u32) -> Site {
    let site = start();
    let now = site.clock.now();
    for number in 0..swarms {
        let mut hash = [7; 20];
        for (to, from) in hash
            .iter_mut()
            .zip(number.wrapping_mul(2_654_435_761).to_be_bytes())
        {
            *to = from;
        }
        let peers = (0..10_u32).map(|peer| StoredPeer {
            ip: std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 10 + peer).into(),
            inner_ip: None,
            port: u16::try_from(1_024 + (number * 7 + peer) % 60_000).unwrap(),
            id: PeerId(*b"-qB4520-abcdefghijkl"),
            is_seeder: peer < 7,
            is_paused: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: now.minus(number % 1_000),
        });
        let swarm = StoredSwarm {
            info_hash: InfoHash(hash),
            downloaded: 1,
            last_used: now,
            peers: peers.collect(),
        };
        site.tracker.restore(swarm, now);
    }
    site.count();
    site
}

fn slowest(site: &Site, path: &str) -> (Duration, usize) {
    let mut operator = site.operator();
    let mut slowest = Duration::ZERO;
    let mut length = 0;
    for _ in 0..5 {
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let reply = operator.get(path);
        slowest = slowest.max(begun.elapsed());
        assert_eq!(reply.status, 200, "{path}");
        length = reply.body.len();
    }
    (slowest, length)
}

/// R15
#[test]
fn every_page_of_a_crowd_is_bounded() {
    let site = crowd(2_000);
    for path in PAGES {
        let (_, length) = slowest(&site, path);
        assert!(length < 128 * 1_024, "{path} has {length} bytes");
    }
}

/// W2, W5, R15
#[test]
#[ignore = "a million peers; wants a release build and a quiet machine"]
fn every_page_is_quick_at_a_million_peers() {
    let site = crowd(100_000);
    let mut late = Vec::new();
    for path in PAGES {
        let (slowest, length) = slowest(&site, path);
        let is_view = path.starts_with("/all_peers") || path.contains("torrents");
        let limit = Duration::from_millis(if is_view { 200 } else { 50 });
        println!("{path}: {slowest:?}, {length} bytes");
        if slowest > limit {
            late.push(path);
        }
    }
    assert!(late.is_empty(), "{late:?}");
}
