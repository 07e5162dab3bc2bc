//! The pages over a crowd. The long form is run by hand: `cargo test --release --test web -- --ignored --nocapture`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, StoredPeer,
    StoredSwarm,
};

use crate::harness::{Site, start};

const PAGES: [&str; 20] = [
    "/stat",
    "/torrents",
    "/torrents?page=1000",
    "/torrents?page=2000&sort_by=info_hash",
    "/torrents?page=900&sort_by=seeders",
    "/torrents?page=1100&sort_by=downloaded&sort=asc",
    "/torrents?q=07",
    "/all_peers",
    "/all_peers?page=25000",
    "/all_peers?page=50000&sort=asc",
    "/all_peers?page=24000&sort_by=port",
    "/all_peers?page=23000&sort_by=info_hash",
    "/all_peers?page=20000&sort_by=update_time",
    "/all_peers?q=10.3.0.0/16&sort_by=port&sort=asc",
    "/all_peers?q=qBittorrent",
    "/clients",
    "/zones",
    "/stats.json",
    "/api/v1/torrents",
    "/metrics",
];

fn hash(number: u32) -> InfoHash {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    InfoHash(hash)
}

/// Fills a site with swarms of ten peers.
fn crowd(swarms: u32) -> Site {
    let site = start();
    let now = site.clock.now();
    for number in 0..swarms {
        let peers = (0..10_u32).map(|peer| StoredPeer {
            origin: None,
            ip: std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 10 + peer).into(),
            inner_ip: None,
            port: u16::try_from(1_024 + (number * 7 + peer) % 60_000).unwrap(),
            id: PeerId(*b"-qB4520-abcdefghijkl"),
            is_seeder: peer < 7,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: now.minus(number % 1_000),
        });
        let swarm = StoredSwarm {
            downloaded_elsewhere: Vec::new(),
            info_hash: hash(number),
            downloaded: 1,
            last_used: now,
            peers: peers.collect(),
        };
        site.tracker.restore(swarm, now);
    }
    site.count();
    site
}

/// The time of the first view and of the slowest of five, and the length of the page.
fn views(site: &Site, path: &str) -> ([Duration; 2], usize) {
    let mut operator = site.operator();
    let mut times = [Duration::ZERO; 5];
    let mut length = 0;
    for time in &mut times {
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let reply = operator.get(path);
        *time = begun.elapsed();
        assert_eq!(reply.status, 200, "{path}");
        length = reply.body.len();
    }
    ([times[0], times.into_iter().max().unwrap()], length)
}

/// R15
#[test]
fn every_page_of_a_crowd_is_bounded() {
    let site = crowd(2_000);
    for path in PAGES {
        let (_, length) = views(&site, path);
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
        let ([first, slowest], length) = views(&site, path);
        let limit = Duration::from_millis(if path.contains("peers") { 200 } else { 50 });
        println!("{path}: first {first:?}, slowest {slowest:?}, {length} bytes");
        // A stall of the machine does not come twice.
        if slowest > limit && views(&site, path).0[1] > limit {
            late.push(path);
        }
    }
    assert!(late.is_empty(), "{late:?}");
}

/// Microseconds that 99 of 100 announces take at most, while `is_over` says no.
fn p99(site: &Site, is_over: impl Fn() -> bool) -> f64 {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut list = PeerList::default();
    let mut times = Vec::new();
    while !is_over() {
        let announce = Announce {
            info_hash: hash(rng.u32(..50_000)),
            peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
            key: None,
            ip: std::net::Ipv4Addr::from_bits(0x0b00_0000 + rng.u32(..1 << 16)).into(),
            inner_ip: None,
            is_reported: false,
            port: 6881,
            is_seeder: rng.bool(),
            downloaded: 0,
            event: Event::Started,
            num_want: None,
            options: ListOptions::default(),
        };
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let mut turn = AnnounceContext {
            now: site.clock.now(),
            rng: &mut rng,
            counters: site.tracker.metrics().counters(0),
        };
        site.tracker
            .announce(&announce, &mut turn, &mut list)
            .unwrap();
        times.push(begun.elapsed());
        // A tracker is not busy all the time, and the visitors below need the machine too.
        std::thread::sleep(Duration::from_micros(100));
    }
    times.sort_unstable();
    times[times.len() / 100 * 99].as_secs_f64() * 1e6
}

/// R15
#[test]
#[ignore = "half a million peers; wants a release build and a quiet machine"]
fn four_reloading_sessions_hold_up_neither_announces_nor_one_another() {
    let site = crowd(50_000);
    #[expect(clippy::disallowed_methods, reason = "the test measures")]
    let begun = Instant::now();
    let quiet = p99(&site, || begun.elapsed() > Duration::from_secs(5));
    let running = AtomicBool::new(true);
    let (busy, slowest) = std::thread::scope(|scope| {
        let sessions = [
            "/all_peers?page=12000",
            "/all_peers?page=12000&sort_by=update_time",
            "/all_peers?q=qBittorrent&sort_by=port",
            "/torrents?page=500",
        ];
        let sessions = sessions.map(|path| {
            let (site, running) = (&site, &running);
            scope.spawn(move || {
                let mut slowest = Duration::ZERO;
                while running.load(Ordering::Relaxed) {
                    let ([_, of_five], length) = views(site, path);
                    assert!(length < 1 << 20, "{path} has {length} bytes");
                    slowest = slowest.max(of_five);
                }
                slowest
            })
        });
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let busy = p99(&site, || begun.elapsed() > Duration::from_secs(10));
        running.store(false, Ordering::Relaxed);
        let slowest = sessions.map(|session| session.join().unwrap());
        (busy, slowest.into_iter().max().unwrap())
    });
    println!(
        "p99 of announces: {quiet:.1} µs alone, {busy:.1} µs beside four sessions; slowest page {slowest:?}"
    );
    assert!(busy <= 2.0 * quiet, "{busy} µs against {quiet} µs");
    assert!(slowest <= Duration::from_secs(1), "{slowest:?}");
}
