//! What keeping costs: memory per peer, a full and a usual snapshot, a restore, a sweep, and what full snapshots and sweeps do to
//! announces.
//!
//! `cargo bench --bench store`, with `STORE_PEERS` (default a million) in tenths as many torrents, `STORE_FOLDER` (default a
//! temporary one) and `STORE_SECONDS` of announces without and with snapshots (default 10 each). With `STORE_BOUND` it fails when
//! the p99 of announces is more than so many times as long with them. With `--test` it runs small and only once.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring instrument"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use hdrhistogram::Histogram;
use retracker::clock::Clock;
use retracker::metrics::Metrics;
use retracker::snapshot;
use retracker::snapshot::{Mailbox, Moment};
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Settings, Tracker,
};

/// Phases without and with snapshots take turns, so that a bad moment of the machine hits both; medians are compared.
const PHASES: u32 = 5;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Phases = Vec<Histogram<u64>>;

struct Load {
    tracker: Arc<Tracker>,
    clock: Clock,
    peers: u32,
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let number = |name: &str, default: u32| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let peers = number("STORE_PEERS", if is_test { 20_000 } else { 1_000_000 });
    let time = Duration::from_secs(number("STORE_SECONDS", if is_test { 1 } else { 10 }).into());
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("STORE_FOLDER").map_or(temporary.path().into(), PathBuf::from);
    let file = folder.join("store.sqlite");

    let clock = Clock::start();
    let load = Load {
        tracker: empty(),
        clock,
        peers,
    };
    let mailbox = start(&load.tracker, clock, &file);
    let before = resident_bytes();
    load.announce_all(1, 4);
    let memory = resident_bytes().saturating_sub(before);
    println!("{peers} peers, {} torrents", peers / 10);
    println!(
        "memory          {:>8.1} bytes per peer",
        per_peer(memory, peers)
    );

    let saved = mailbox.save().unwrap();
    println!("full snapshot   {:>8} ms", saved.millis);
    println!(
        "file            {:>8.1} bytes per peer",
        per_peer(saved.bytes, peers)
    );
    load.announce_all(3, 3);
    let saved = mailbox.save().unwrap();
    println!(
        "usual snapshot  {:>8} ms, {} of the swarms",
        saved.millis, saved.swarms
    );

    let (idle, busy) = load.idle_and_busy(&mailbox, time / PHASES);
    tell("announce, idle", &idle);
    tell("… when busy", &busy);
    let times = median_p99(&busy) / median_p99(&idle);
    println!("                {times:>8.2} × the p99 of idle phases");
    if let Ok(bound) = std::env::var("STORE_BOUND") {
        assert!(times <= bound.parse().unwrap(), "more than {bound} ×");
    }

    let started = clock.elapsed();
    let swept = load.tracker.sweep(clock.now());
    let took = clock.elapsed() - started;
    println!(
        "sweep           {:>8} ms, {} expired",
        took.as_millis(),
        swept.expired_peers
    );
    mailbox.save().unwrap();
    restore(&clock, &file, peers);
    mailbox.stop();
}

/// Restores a copy of the database, which is what a kill would leave.
fn restore(clock: &Clock, file: &Path, peers: u32) {
    let copy = file.with_extension("copy");
    std::fs::copy(file, &copy).unwrap();
    let tracker = empty();
    let started = clock.elapsed();
    let moment = Moment::of(clock);
    let opened = snapshot::open(&settings(&copy), moment.wall).unwrap();
    let checked = clock.elapsed() - started;
    let restored = opened.restore(&tracker, moment);
    let took = clock.elapsed() - started;
    assert_eq!(restored.summary().peers, u64::from(peers));
    println!(
        "restore         {:>8} ms, {} of them for the check",
        took.as_millis(),
        checked.as_millis()
    );
    std::fs::remove_file(copy).unwrap();
}

fn settings(file: &Path) -> snapshot::Settings {
    snapshot::Settings {
        file: file.to_owned(),
        interval: Duration::ZERO,
    }
}

fn empty() -> Arc<Tracker> {
    let settings = Settings {
        max_peers: 0,
        max_torrents: 0,
        max_torrents_per_address: 0,
        ..Settings::default()
    };
    Arc::new(Tracker::new(settings, Arc::new(Metrics::new(1))))
}

fn start(tracker: &Arc<Tracker>, clock: Clock, file: &Path) -> Mailbox {
    let moment = Moment::of(&clock);
    let opened = snapshot::open(&settings(file), moment.wall).unwrap();
    let (ends, _) = channel();
    let restored = opened.restore(tracker, moment);
    restored
        .start(Arc::clone(tracker), clock, snapshot::Links::default(), ends)
        .unwrap()
        .0
}

impl Load {
    /// Announces every peer of every `share`-th torrent; every `leechers`-th is a leecher, and who changed roles is written.
    fn announce_all(&self, share: u32, leechers: u32) {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut list = PeerList::default();
        for number in (0..self.peers).filter(|number| (number / 10).is_multiple_of(share)) {
            self.announce(
                number,
                !number.is_multiple_of(leechers),
                &mut rng,
                &mut list,
            );
        }
    }

    fn announce(&self, number: u32, is_seeder: bool, rng: &mut fastrand::Rng, list: &mut PeerList) {
        let mut hash = [0; 20];
        let mut id = *b"-qB4520-abcdefghijkl";
        // A hash is noise; a stride through all of them is as good.
        let spread = u64::from(number / 10).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for (to, from) in hash.iter_mut().zip(spread.to_be_bytes()) {
            *to = from;
        }
        for (to, from) in id.iter_mut().skip(16).zip(number.to_be_bytes()) {
            *to = from;
        }
        let [a, b, c, d] = number.to_be_bytes();
        let announce = Announce {
            info_hash: InfoHash(hash),
            peer_id: PeerId(id),
            key: None,
            ip: [10 + a, b, c, d].into(),
            inner_ip: None,
            is_reported: false,
            port: 6881,
            is_seeder,
            downloaded: 1 << 30,
            event: Event::None,
            num_want: None,
            options: ListOptions::default(),
        };
        let mut context = AnnounceContext {
            now: self.clock.now(),
            rng,
            counters: self.tracker.metrics().counters(0),
        };
        self.tracker
            .announce(&announce, &mut context, list)
            .unwrap();
    }

    /// Latencies of announces in idle phases, and in phases with full snapshots one after another and a sweep every second.
    fn idle_and_busy(&self, mailbox: &Mailbox, time: Duration) -> (Phases, Phases) {
        let (mut idle, mut busy) = (Vec::new(), Vec::new());
        for _ in 0..PHASES {
            idle.push(self.latencies(time, &AtomicBool::new(false)));
            let done = AtomicBool::new(false);
            busy.push(std::thread::scope(|scope| {
                scope.spawn(|| {
                    let end = self.clock.elapsed() + time;
                    while self.clock.elapsed() < end {
                        self.tracker.mark_all_changed();
                        mailbox.save().unwrap();
                    }
                    done.store(true, Ordering::Release);
                });
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        self.tracker.sweep(self.clock.now());
                        std::thread::sleep(Duration::from_secs(1));
                    }
                });
                self.latencies(Duration::MAX, &done)
            }));
        }
        (idle, busy)
    }

    /// Announces at random for `time` or until `done`, a thousand a second, so that the other threads have a core as they would;
    /// microseconds.
    fn latencies(&self, time: Duration, done: &AtomicBool) -> Histogram<u64> {
        let mut latencies = Histogram::new(3).unwrap();
        let mut rng = fastrand::Rng::with_seed(2);
        let mut list = PeerList::default();
        let end = self.clock.elapsed().saturating_add(time);
        while !done.load(Ordering::Acquire) && self.clock.elapsed() < end {
            for _ in 0..10 {
                let (number, is_seeder) = (rng.u32(0..self.peers), rng.bool());
                let started = self.clock.elapsed();
                self.announce(number, is_seeder, &mut rng, &mut list);
                let took = self.clock.elapsed() - started;
                latencies
                    .record(u64::try_from(took.as_nanos()).unwrap())
                    .unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        latencies
    }
}

fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    Duration::from_nanos(latencies.value_at_quantile(quantile)).as_secs_f64() * 1e6
}

fn median_p99(phases: &Phases) -> f64 {
    let mut tails: Vec<f64> = phases.iter().map(|phase| micros(phase, 0.99)).collect();
    tails.sort_by(f64::total_cmp);
    tails.get(tails.len() / 2).copied().unwrap()
}

fn tell(what: &str, phases: &Phases) {
    let mut all = Histogram::new(3).unwrap();
    phases.iter().for_each(|phase| all.add(phase).unwrap());
    println!(
        "{what:<15} {:>8.1} µs median, {:.1} µs p99 (median of {}), {:.0} µs worst, of {}",
        micros(&all, 0.5),
        median_p99(phases),
        phases.len(),
        micros(&all, 1.0),
        all.len()
    );
}

fn per_peer(bytes: u64, peers: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    bytes / f64::from(peers)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}
