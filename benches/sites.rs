//! What it costs to tell other trackers of peers, and to take over what they tell; each measure is of 1,000 peers in 500 torrents, as they
//! come in a batch of a busy quarter of a second.

#![expect(
    clippy::expect_used,
    reason = "a measuring instrument, not a server: it may end on any error"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use retracker::clock::Seconds;
use retracker::metrics::Metrics;
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, Origin, PeerId, PeerList, Settings,
    SwarmDelta, Touched, Tracker,
};

const TORRENTS: u32 = 500;
const PEERS: u32 = 1_000;

fn announce(peer: u32) -> Announce {
    let mut info_hash = [0xf1; 20];
    let torrent = (peer % TORRENTS).wrapping_mul(0x9e37_79b1);
    info_hash
        .iter_mut()
        .zip(torrent.to_be_bytes())
        .for_each(|(to, byte)| *to = byte);
    Announce {
        info_hash: InfoHash(info_hash),
        peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
        key: None,
        ip: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + peer * 167)),
        inner_ip: None,
        is_reported: false,
        port: 6_881,
        is_seeder: peer.is_multiple_of(4),
        downloaded: 0,
        event: Event::Started,
        num_want: Some(0),
        options: ListOptions::default(),
    }
}

fn empty() -> Tracker {
    let tracker = Tracker::new(Settings::default(), Arc::new(Metrics::new(1)));
    tracker.open_outbox();
    tracker
}

/// A tracker to which all peers have announced at a time, and what it has noted of them.
fn filled(now: Seconds) -> (Tracker, Vec<Touched>) {
    let tracker = empty();
    let metrics = Arc::clone(tracker.metrics());
    let mut list = PeerList::default();
    let mut rng = fastrand::Rng::with_seed(7);
    for peer in 0..PEERS {
        let mut context = AnnounceContext {
            now,
            rng: &mut rng,
            counters: metrics.counters(0),
        };
        tracker
            .announce(&announce(peer), &mut context, &mut list)
            .expect("nobody is refused");
    }
    let touched = tracker.take_touched().touched;
    (tracker, touched)
}

fn told(now: Seconds) -> Vec<SwarmDelta> {
    let (tracker, touched) = filled(now);
    tracker.deltas_of(touched, now)
}

fn merge_all(tracker: &Tracker, deltas: &[SwarmDelta], now: Seconds) {
    let origin = Origin::new(1);
    for delta in deltas {
        black_box(tracker.merge(origin, delta, now));
    }
}

fn sites(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sites");
    group.throughput(Throughput::Elements(PEERS.into()));
    let start = Seconds::START;
    let (tracker, touched) = filled(start);
    group.bench_function("deltas_of", |bencher| {
        bencher.iter_batched(
            || touched.clone(),
            |touched| black_box(tracker.deltas_of(touched, start)),
            BatchSize::LargeInput,
        );
    });
    let deltas = told(start);
    group.bench_function("merge, all join", |bencher| {
        bencher.iter_batched(
            empty,
            |tracker| {
                merge_all(&tracker, &deltas, start);
                tracker
            },
            BatchSize::LargeInput,
        );
    });
    let refreshes = told(start.plus(1_800));
    group.bench_function("merge, all are refreshed", |bencher| {
        bencher.iter_batched(
            || {
                let tracker = empty();
                merge_all(&tracker, &deltas, start);
                tracker
            },
            |tracker| {
                merge_all(&tracker, &refreshes, start.plus(1_800));
                tracker
            },
            BatchSize::LargeInput,
        );
    });
    let known = empty();
    merge_all(&known, &deltas, start);
    group.bench_function("merge, a replay", |bencher| {
        bencher.iter(|| merge_all(&known, &deltas, start));
    });
    group.finish();
}

criterion_group!(benches, sites);
criterion_main!(benches);
