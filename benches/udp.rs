//! The UDP tracker without its socket: what one datagram of each kind costs from bytes to bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use retracker::clock::Seconds;
use retracker::metrics::Metrics;
use retracker::tracker::{AnnounceContext, Settings, Tracker};
use retracker::udp::connection_id::ConnectionIds;
use retracker::udp::handler::Handler;
use retracker::udp::packet::{MAX_REPLY_V4, PROTOCOL_ID};

const NOW: Seconds = Seconds::START;
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 6_881);

struct Rig {
    handler: Handler,
    ids: ConnectionIds,
    metrics: Arc<Metrics>,
    rng: fastrand::Rng,
    out: [u8; MAX_REPLY_V4],
}

impl Rig {
    /// A tracker with `torrents` of `peers` each.
    fn new(torrents: u32, peers: u8) -> Rig {
        let metrics = Arc::new(Metrics::new(1));
        let settings = Settings {
            max_torrents_per_address: 0,
            ..Settings::default()
        };
        let tracker = Arc::new(Tracker::new(settings, Arc::clone(&metrics)));
        let ids = ConnectionIds::from_key(b"0123456789abcdef");
        let mut rig = Rig {
            handler: Handler::new(tracker, ids, Arc::default()),
            ids,
            metrics,
            rng: fastrand::Rng::with_seed(1),
            out: [0; MAX_REPLY_V4],
        };
        for torrent in 0..torrents {
            for peer in 0..peers {
                let source = SocketAddr::from(([10, 1, 0, peer], 6_881));
                let datagram = announce(&ids, source, torrent, peer & 1);
                rig.answer(&datagram, source).unwrap();
            }
        }
        rig
    }

    fn answer(&mut self, datagram: &[u8], source: SocketAddr) -> Option<usize> {
        let mut context = AnnounceContext {
            now: NOW,
            rng: &mut self.rng,
            counters: self.metrics.counters(0),
        };
        self.handler
            .answer(datagram, source, &mut context, &mut self.out)
    }
}

fn head(id: u64, action: u8) -> Vec<u8> {
    let mut datagram = id.to_be_bytes().to_vec();
    datagram.extend([0, 0, 0, action, 1, 2, 3, 4]);
    datagram
}

fn hash(torrent: u32) -> [u8; 20] {
    let mut rng = fastrand::Rng::with_seed(torrent.into());
    std::array::from_fn(|_| rng.u8(..))
}

fn announce(ids: &ConnectionIds, source: SocketAddr, torrent: u32, left: u8) -> Vec<u8> {
    let mut datagram = head(ids.issue(source.ip(), NOW), 1);
    datagram.extend(hash(torrent));
    datagram.extend(b"-XX0001-abcdefghijkl");
    datagram.extend([0; 15]);
    datagram.push(left);
    datagram.extend([0; 20]);
    datagram.extend((-1_i32).to_be_bytes());
    datagram.extend(source.port().to_be_bytes());
    datagram
}

fn scrape(ids: &ConnectionIds, hashes: u32) -> Vec<u8> {
    let mut datagram = head(ids.issue(SOURCE.ip(), NOW), 2);
    (0..hashes).for_each(|torrent| datagram.extend(hash(torrent)));
    datagram
}

fn datagrams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("udp");
    let mut rig = Rig::new(1, 2);
    let one = |rig: &mut Rig, datagram: &[u8]| black_box(rig.answer(black_box(datagram), SOURCE));
    let connect = head(PROTOCOL_ID, 0);
    group.bench_function("connect", |bencher| {
        bencher.iter(|| one(&mut rig, &connect));
    });
    let forged = head(1 << 63, 1).repeat(7);
    group.bench_function("forged id", |bencher| {
        bencher.iter(|| one(&mut rig, &forged));
    });
    for hashes in [1, 74] {
        let mut rig = Rig::new(100, 2);
        let datagram = scrape(&rig.ids, hashes);
        group.bench_function(format!("scrape of {hashes}"), |bencher| {
            bencher.iter(|| one(&mut rig, &datagram));
        });
    }
    for peers in [2, 100] {
        let mut rig = Rig::new(1, peers);
        let datagram = announce(&rig.ids, SOURCE, 0, 1);
        group.bench_function(format!("announce in a swarm of {peers}"), |bencher| {
            bencher.iter(|| one(&mut rig, &datagram));
        });
    }
    // Torrents that no cache holds: what the memory costs.
    let mut rig = Rig::new(20_000, 2);
    let ids = rig.ids;
    let all: Vec<Vec<u8>> = (0..20_000)
        .map(|torrent| announce(&ids, SOURCE, torrent, 1))
        .collect();
    let mut order = fastrand::Rng::with_seed(2);
    group.bench_function("announce in one of 20,000 swarms", |bencher| {
        bencher.iter_batched(
            || order.choice(&all).unwrap(),
            |datagram| one(&mut rig, datagram),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, datagrams);
criterion_main!(benches);
