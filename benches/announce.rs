//! What an announce costs in the core: swarms of 1 to 100,000 peers, with and without zones, on one thread and on several;
//! the look-up of a zone; and the sweep of a million peers.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use retracker::clock::{Seconds, Wall};
use retracker::metrics::Metrics;
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, KeyDigest, KeyLimits, KeyRecord, ListOptions,
    NewKey, PeerId, PeerList, Settings, Tracker, ZoneRule, Zones,
};

const NOW: Seconds = Seconds::START;

fn hash(number: u32) -> InfoHash {
    let mut bytes = [0; 20];
    let mut rng = fastrand::Rng::with_seed(number.into());
    bytes.iter_mut().for_each(|byte| *byte = rng.u8(..));
    InfoHash(bytes)
}

/// Peer `number` of 100,000 that are spread evenly over 10.0.0.0/8.
fn ip(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number * 167).into()
}

fn announce(torrent: u32, number: u32) -> Announce {
    Announce {
        info_hash: hash(torrent),
        ..announce_of(number)
    }
}

/// An announce of peer `number`, to whatever torrent.
fn announce_of(number: u32) -> Announce {
    Announce {
        info_hash: InfoHash([0; 20]),
        peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
        key: None,
        ip: ip(number),
        inner_ip: None,
        is_reported: false,
        port: 6881,
        is_seeder: number.is_multiple_of(4),
        downloaded: 0,
        // Never early: every announce is written.
        event: Event::Started,
        num_want: Some(50),
        options: ListOptions::default(),
    }
}

fn tracker() -> Tracker {
    let settings = Settings {
        max_peers: 0,
        max_torrents: 0,
        max_peers_per_torrent: 0,
        ..Settings::default()
    };
    Tracker::new(settings, Arc::new(Metrics::new(16)))
}

fn fill(tracker: &Tracker, torrent: u32, peers: u32) {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut list = PeerList::default();
    for number in 0..peers {
        let mut context = AnnounceContext {
            now: NOW,
            rng: &mut rng,
            counters: tracker.metrics().counters(0),
        };
        let asked = Announce {
            num_want: Some(0),
            ..announce(torrent, number)
        };
        tracker.announce(&asked, &mut context, &mut list).unwrap();
    }
}

/// 1,000 zones in 10 cities that cover the peers' addresses.
fn thousand_zones() -> Zones {
    let rules = (0..1_000_u32).map(|zone| {
        let first = 0x0a00_0000 + zone * 16_384;
        let prefix = format!("{}/18", Ipv4Addr::from(first));
        ZoneRule {
            path: format!("city-{}/street-{zone}", zone / 100),
            prefixes: vec![prefix.parse().unwrap()],
            ..ZoneRule::default()
        }
    });
    Zones::new(&rules.collect::<Vec<_>>(), &[]).unwrap()
}

/// Seconds that `count` announces to swarm 0 by random peers of it took.
fn run(tracker: &Tracker, peers: u32, count: u64, worker: usize) -> Duration {
    let mut rng = fastrand::Rng::with_seed(worker as u64);
    let mut list = PeerList::default();
    let asked: Vec<Announce> = (0..4_096).map(|_| announce(0, rng.u32(0..peers))).collect();
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    let start = Instant::now();
    for asked in asked.iter().cycle().take(usize::try_from(count).unwrap()) {
        let mut context = AnnounceContext {
            now: NOW,
            rng: &mut rng,
            counters: tracker.metrics().counters(worker),
        };
        black_box(
            tracker
                .announce(black_box(asked), &mut context, &mut list)
                .unwrap(),
        );
    }
    start.elapsed()
}

fn announces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("announce");
    group.throughput(Throughput::Elements(1));
    for peers in [1, 4, 50, 1_000, 100_000] {
        let tracker = tracker();
        fill(&tracker, 0, peers);
        let id = BenchmarkId::new("swarm", peers);
        group.bench_function(id, |bench| {
            bench.iter_custom(|count| run(&tracker, peers, count, 0));
        });
        tracker.set_zones(thousand_zones(), NOW);
        let id = BenchmarkId::new("swarm in 1000 zones", peers);
        group.bench_function(id, |bench| {
            bench.iter_custom(|count| run(&tracker, peers, count, 0));
        });
    }
    group.finish();
}

/// What waiting for one another costs: threads that meet in many swarms, and threads that all want the same one.
fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads");
    group.throughput(Throughput::Elements(1));
    let one_zone = ZoneRule {
        path: "town".into(),
        prefixes: vec!["10.0.0.0/8".parse().unwrap()],
        ..ZoneRule::default()
    };
    for (name, torrents, peers) in [
        ("10000 swarms of 10", 10_000, 10),
        ("one swarm of 1000", 1, 1_000),
    ] {
        let tracker = tracker();
        // All in one zone, so that they also meet in its counters.
        let zones = Zones::new(std::slice::from_ref(&one_zone), &[]).unwrap();
        tracker.set_zones(zones, NOW);
        (0..torrents).for_each(|torrent| fill(&tracker, torrent, peers));
        // Info hashes are made beforehand: that is not what is measured.
        let hashes: Vec<InfoHash> = (0..torrents).map(hash).collect();
        for threads in [1_usize, 2, 4] {
            group.bench_function(BenchmarkId::new(name, threads), |bench| {
                bench.iter_custom(|count| {
                    let each = count.div_ceil(threads as u64);
                    let (tracker, hashes) = (&tracker, &hashes);
                    let work = |worker| announce_at_random(tracker, hashes, peers, each, worker);
                    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
                    let start = Instant::now();
                    std::thread::scope(|scope| {
                        (1..threads).for_each(|worker| drop(scope.spawn(move || work(worker))));
                        work(0);
                    });
                    start.elapsed()
                });
            });
        }
    }
    group.finish();
}

/// Makes `count` announces of random peers to random swarms.
fn announce_at_random(
    tracker: &Tracker,
    hashes: &[InfoHash],
    peers: u32,
    count: u64,
    worker: usize,
) {
    let mut rng = fastrand::Rng::with_seed(worker as u64);
    let mut list = PeerList::default();
    for _ in 0..count {
        let asked = Announce {
            info_hash: *rng.choice(hashes).unwrap(),
            ..announce_of(rng.u32(0..peers))
        };
        let counters = tracker.metrics().counters(worker);
        let mut context = AnnounceContext {
            now: NOW,
            rng: &mut rng,
            counters,
        };
        black_box(tracker.announce(&asked, &mut context, &mut list).unwrap());
    }
}

fn zones(criterion: &mut Criterion) {
    let rules: Vec<ZoneRule> = (0..100_000_u32)
        .map(|zone| ZoneRule {
            path: format!("zone-{zone}"),
            prefixes: vec![
                format!("{}/28", Ipv4Addr::from(0x0a00_0000 + zone * 32))
                    .parse()
                    .unwrap(),
                format!("2001:db8:{:x}:{:x}::/64", zone >> 16, zone & 0xffff)
                    .parse()
                    .unwrap(),
            ],
            ..ZoneRule::default()
        })
        .collect();
    let zones = Zones::new(&rules, &[]).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let asked: Vec<(IpAddr, IpAddr)> = (0..4_096)
        .map(|_| {
            let zone = rng.u32(0..100_000);
            let v4 = Ipv4Addr::from(0x0a00_0000 + zone * 32 + 5);
            let v6 = format!("2001:db8:{:x}:{:x}::7", zone >> 16, zone & 0xffff);
            (v4.into(), v6.parse().unwrap())
        })
        .collect();
    let mut group = criterion.benchmark_group("zone of");
    let mut at = asked.iter().cycle();
    group.bench_function("v4, 100000 prefixes", |bench| {
        bench.iter(|| at.next().map(|(v4, _)| zones.of(black_box(*v4))));
    });
    group.bench_function("v6, 100000 prefixes", |bench| {
        bench.iter(|| at.next().map(|(_, v6)| zones.of(black_box(*v6))));
    });
    group.finish();
}

/// What a key costs an announce: its digest, and the look-up among 100,000 (O16).
fn keys(criterion: &mut Criterion) {
    let tracker = tracker();
    let mut rng = fastrand::Rng::with_seed(1);
    let texts: Vec<String> = (0..100_000)
        .map(|_| format!("{:032x}", rng.u128(..)))
        .collect();
    for (number, text) in (1..).zip(&texts) {
        tracker.keys().put(KeyRecord {
            number,
            key: NewKey {
                digest: KeyDigest::of(text.as_bytes()).unwrap(),
                label: format!("user {number}"),
                expires: None,
                limits: KeyLimits::default(),
            },
            is_from_file: false,
            created: Wall(1),
            revoked: None,
        });
    }
    let mut group = criterion.benchmark_group("key");
    let mut next = texts.iter().cycle();
    group.bench_function("digest", |bencher| {
        bencher.iter(|| KeyDigest::of(black_box(next.next().unwrap().as_bytes())));
    });
    // In no order of theirs: digests are random.
    let digests: Vec<KeyDigest> = texts
        .iter()
        .map(|text| KeyDigest::of(text.as_bytes()).unwrap())
        .collect();
    let mut next = digests.iter().cycle();
    group.bench_function("look-up among 100,000", |bencher| {
        bencher.iter(|| tracker.keys().admit(black_box(next.next().unwrap())));
    });
    group.finish();
}

fn sweep(criterion: &mut Criterion) {
    let tracker = tracker();
    (0..100_000).for_each(|torrent| fill(&tracker, torrent, 10));
    let mut group = criterion.benchmark_group("sweep");
    group.sample_size(10);
    group.bench_function("1 M peers over 100,000 torrents, none dead", |bench| {
        bench.iter(|| tracker.sweep(NOW.plus(1)));
    });
    group.bench_function("census of 1 M peers", |bench| {
        bench.iter(|| tracker.census(NOW.plus(1), Wall(0)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_secs(1));
    targets = announces, threads, zones, keys, sweep
}
criterion_main!(benches);
