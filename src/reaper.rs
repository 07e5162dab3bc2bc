//! The periodic sweep: frees the dead, lets blocks run out, and counts the census that pages read. A thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::{Clock, Seconds};
use crate::metrics::Gauge;
use crate::supervise;
use crate::supervise::Exit;
use crate::tracker::Tracker;
use crate::tracker::report::census::Census;

/// How often it looks whether something is due, and gives a sign of life.
const TICK: Duration = Duration::from_secs(1);

/// A census takes at most one part in so many of the time.
const CENSUS_SHARE: u64 = 50;

/// The least time from one sweep to the next, however many torrents wait for one.
const MIN_SWEEP: u32 = 5;

/// How often it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time from one sweep to the next (`peer_cleanup_period`). Default 600 s; at least 1 s.
    pub sweep_period: Duration,
    /// Time from one census to the next, longer when counting takes long. Default 10 s; at least 1 s.
    pub census_period: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sweep_period: Duration::from_secs(600),
            census_period: Duration::from_secs(10),
        }
    }
}

/// What the thread is told.
enum Order {
    Configure(Settings),
    Stop,
}

/// What others have it do, on its thread.
pub struct Hooks {
    /// Called once a second.
    pub ticked: Box<dyn FnMut() + Send>,
    /// Called after each census, after the first on the thread of whoever starts the reaper.
    pub counted: Box<dyn FnMut(&Census) + Send>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// The running reaper.
#[derive(Debug)]
pub struct Running {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

/// Counts the first census, so that whoever serves after this tells the peers that were restored, and starts the thread. Each census is
/// put into `census`, and the hooks are told of it.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    settings: Settings,
    tracker: Arc<Tracker>,
    clock: Clock,
    census: Arc<ArcSwap<Census>>,
    hooks: Hooks,
    ends: Sender<Exit>,
) -> io::Result<Running> {
    let (orders, received) = channel();
    let now = clock.now();
    let mut reaper = Reaper {
        settings,
        tracker,
        clock,
        census,
        hooks,
        swept: now,
        counted_at: now,
    };
    reaper.count();
    let thread = supervise::start("reaper", ends, move || {
        reaper.run(&received);
        Ok(())
    })?;
    Ok(Running { orders, thread })
}

impl Running {
    /// Puts other periods in force.
    pub fn configure(&self, settings: Settings) {
        // A thread that has ended has reported it.
        drop(self.orders.send(Order::Configure(settings)));
    }

    /// Ends the thread and waits for it.
    pub fn stop(self) {
        drop(self.orders.send(Order::Stop));
        drop(self.thread.join());
    }
}

struct Reaper {
    settings: Settings,
    tracker: Arc<Tracker>,
    clock: Clock,
    census: Arc<ArcSwap<Census>>,
    hooks: Hooks,
    swept: Seconds,
    counted_at: Seconds,
}

/// In whole seconds, at least one; a period of more than 136 years saturates.
fn seconds(period: Duration) -> u32 {
    u32::try_from(period.as_secs()).unwrap_or(u32::MAX).max(1)
}

impl Reaper {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(TICK) {
                Ok(Order::Configure(settings)) => self.settings = settings,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let enforced = self.tracker.judge_blocks(self.clock.wall(), now);
        if let Some(shortage) = enforced.shortage() {
            log::warn!("{shortage}");
        }
        let metrics = self.tracker.metrics();
        metrics.set(Gauge::ReaperAlive, now.raw().into());
        (self.hooks.ticked)();
        let since = now.since(self.swept);
        let is_pressed = since >= MIN_SWEEP && self.tracker.wants_sweep();
        if is_pressed || since >= seconds(self.settings.sweep_period) {
            self.swept = now;
            self.sweep(now);
        }
        // A census that takes so long that its share saturates is not taken again.
        let took = u32::try_from(self.census.load().took_millis * CENSUS_SHARE / 1_000);
        let period = seconds(self.settings.census_period).max(took.unwrap_or(u32::MAX));
        if now.since(self.counted_at) >= period {
            self.count();
        }
    }

    fn sweep(&self, now: Seconds) {
        let started = self.clock.elapsed();
        let swept = self.tracker.sweep(now);
        let took = millis(self.clock.elapsed().saturating_sub(started));
        let metrics = self.tracker.metrics();
        metrics.raise(Gauge::ExpiredPeers, swept.expired_peers);
        metrics.set(Gauge::SweepMillis, took);
        log::debug!(
            "sweep: {} peers and {} torrents freed in {took} ms",
            swept.expired_peers,
            swept.freed_torrents
        );
    }

    fn count(&mut self) {
        let started = self.clock.elapsed();
        let now = self.clock.now();
        self.counted_at = now;
        let mut census = self.tracker.census(now, self.clock.wall());
        census.pace(&self.census.load());
        census.took_millis = millis(self.clock.elapsed().saturating_sub(started));
        let metrics = self.tracker.metrics();
        metrics.set(Gauge::ReaperAlive, now.raw().into());
        metrics.set(Gauge::SeedersV4, census.v4.seeders);
        metrics.set(Gauge::SeedersV6, census.v6.seeders);
        metrics.set(Gauge::LeechersV4, census.v4.leechers);
        metrics.set(Gauge::LeechersV6, census.v6.leechers);
        metrics.set(Gauge::Torrents, census.torrents);
        (self.hooks.counted)(&census);
        self.census.store(Arc::new(census));
    }
}

/// Saturates after half a billion years.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::tracker::{InfoHash, PeerId, StoredPeer, StoredSwarm};

    fn peer(last_seen: Seconds) -> StoredPeer {
        StoredPeer {
            origin: None,
            ip: "192.0.2.1".parse().unwrap(),
            inner_ip: None,
            port: 1,
            id: PeerId([1; 20]),
            is_seeder: true,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen,
        }
    }

    /// S4, O15, R16: it counts before anything else begins, and stops when told.
    #[test]
    fn a_census_is_there_before_the_reaper_runs() {
        let tracker = Arc::new(Tracker::new(
            crate::tracker::Settings::default(),
            Arc::new(Metrics::new(0)),
        ));
        let clock = Clock::start();
        let info_hash = InfoHash([1; 20]);
        let peers = vec![peer(clock.now())];
        let last_used = clock.now();
        let swarm = StoredSwarm {
            downloaded_elsewhere: Vec::new(),
            info_hash,
            downloaded: 3,
            last_used,
            peers,
        };
        tracker.restore(swarm, clock.now());
        let (told, counted) = channel();
        let (ends, ended) = channel();
        let census = Arc::new(ArcSwap::from_pointee(Census::default()));
        let hooks = Hooks {
            ticked: Box::new(|| {}),
            counted: Box::new(move |census| told.send(census.torrents).unwrap()),
        };
        let running = start(
            Settings::default(),
            Arc::clone(&tracker),
            clock,
            Arc::clone(&census),
            hooks,
            ends,
        );
        assert_eq!(counted.try_recv(), Ok(1));
        assert_eq!(tracker.metrics().gauge(Gauge::SeedersV4), 1);
        running.unwrap().stop();
        assert_eq!(ended.recv().unwrap().part, "reaper");
        assert_eq!(census.load().downloaded, 3);
    }
}
