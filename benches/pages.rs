//! What one page of a million peers over 100,000 torrents costs the core, by what it is sorted by: the first one and the last that is listed.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use retracker::clock::Seconds;
use retracker::metrics::Metrics;
use retracker::tracker::report::census::{
    LISTED_ROWS, PeerOrder, PeersQuery, TorrentOrder, TorrentsQuery,
};
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Settings, Tracker,
};

// As the program has it: what a page costs is in part what its memory costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Seconds = Seconds::START;
const TORRENTS: u32 = 100_000;
const PEERS: u64 = 1_000_000;

/// The peers come one by one to random torrents, so that they lie in memory as they do after a day.
fn full() -> Tracker {
    let settings = Settings {
        max_torrents_per_address: 0,
        ..Settings::default()
    };
    let metrics = Arc::new(Metrics::new(1));
    let tracker = Tracker::new(settings, Arc::clone(&metrics));
    let mut rng = fastrand::Rng::with_seed(1);
    let mut list = PeerList::default();
    let mut hashes = vec![InfoHash([0; 20]); TORRENTS as usize];
    hashes.iter_mut().for_each(|hash| rng.fill(&mut hash.0));
    while tracker.peers() < PEERS {
        let Some(hash) = rng.choice(&hashes) else {
            break;
        };
        let is_seeder = rng.u8(..4) > 0;
        let announce = Announce {
            info_hash: *hash,
            peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
            key: None,
            ip: Ipv4Addr::from_bits(0x0a00_0000 | rng.u32(..1 << 20)).into(),
            inner_ip: None,
            is_reported: false,
            port: rng.u16(1_024..),
            is_seeder,
            downloaded: 0,
            event: if is_seeder {
                Event::Completed
            } else {
                Event::Started
            },
            num_want: Some(0),
            options: ListOptions::default(),
        };
        let mut context = AnnounceContext {
            now: NOW.minus(rng.u32(..1_800)),
            rng: &mut fastrand::Rng::with_seed(2),
            counters: metrics.counters(0),
        };
        tracker
            .announce(&announce, &mut context, &mut list)
            .unwrap();
    }
    tracker
}

fn pages(criterion: &mut Criterion) {
    let tracker = full();
    peers(criterion, &tracker);
    torrents(criterion, &tracker);
}

fn peers(criterion: &mut Criterion, tracker: &Tracker) {
    let mut group = criterion.benchmark_group("peers");
    for order in [
        PeerOrder::Address,
        PeerOrder::Port,
        PeerOrder::Torrent,
        PeerOrder::LastSeen,
    ] {
        for (place, offset) in [("first", 0), ("last", u64::from(LISTED_ROWS) - 20)] {
            let query = PeersQuery {
                offset,
                limit: 20,
                order,
                is_descending: true,
                ..PeersQuery::default()
            };
            let id = BenchmarkId::new(format!("{order:?}"), place);
            group.bench_function(id, |bench| {
                bench.iter(|| black_box(tracker.peers_page(&query, NOW)));
            });
        }
    }
    let searches = [
        (
            "network",
            PeersQuery {
                network: "10.3.0.0/16".parse().ok(),
                limit: 20,
                ..PeersQuery::default()
            },
        ),
        (
            "client",
            PeersQuery {
                clients: vec![b"-qB".to_vec()],
                limit: 20,
                ..PeersQuery::default()
            },
        ),
    ];
    for (name, query) in searches {
        group.bench_function(BenchmarkId::new("search", name), |bench| {
            bench.iter(|| black_box(tracker.peers_page(&query, NOW)));
        });
    }
    group.finish();
}

fn torrents(criterion: &mut Criterion, tracker: &Tracker) {
    let mut group = criterion.benchmark_group("torrents");
    for order in [
        TorrentOrder::Peers,
        TorrentOrder::Seeders,
        TorrentOrder::Downloaded,
        TorrentOrder::Hash,
    ] {
        for (place, offset) in [("first", 0), ("last", LISTED_ROWS - 50)] {
            let query = TorrentsQuery {
                offset: offset.into(),
                limit: 50,
                order,
                is_descending: true,
                ..TorrentsQuery::default()
            };
            let id = BenchmarkId::new(format!("{order:?}"), place);
            group.bench_function(id, |bench| {
                bench.iter(|| black_box(tracker.torrents_page(&query, NOW)));
            });
        }
    }
    // Shortly before a sweep, with somebody dead in nearly every torrent.
    let query = TorrentsQuery {
        limit: 50,
        is_descending: true,
        ..TorrentsQuery::default()
    };
    group.bench_function(BenchmarkId::new("Peers", "with dead"), |bench| {
        bench.iter(|| black_box(tracker.torrents_page(&query, NOW.plus(2_400))));
    });
    let query = TorrentsQuery {
        hash_prefix: "07".to_owned(),
        limit: 50,
        ..TorrentsQuery::default()
    };
    group.bench_function(BenchmarkId::new("search", "prefix"), |bench| {
        bench.iter(|| black_box(tracker.torrents_page(&query, NOW)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = pages
}
criterion_main!(benches);
