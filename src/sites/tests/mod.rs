//! The part as a whole: trackers in one process over engines that hang, lie, forget, refuse and die. Tests wait for what is to come, never
//! for a time.

mod hostile;
mod measured;
mod orders;
mod together;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::engine::tests::fake::Fake;
use super::*;
use crate::clock::Seconds;
use crate::metrics::Metrics;
use crate::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, SwarmsDigest,
};

/// One tracker of several.
struct Site {
    tracker: Arc<Tracker>,
    clock: Clock,
    handle: Handle,
    running: Option<Running>,
}

fn settings(name: &str, engines: &[&Fake]) -> Settings {
    let urls = engines.iter().map(|engine| engine.url()).collect();
    Settings::new(name.parse().unwrap(), "net".parse().unwrap(), urls)
}

fn fresh_tracker() -> Arc<Tracker> {
    let settings = crate::tracker::Settings::default();
    Arc::new(Tracker::new(settings, Arc::new(Metrics::new(1))))
}

/// A tracker that begins with nothing, reads the logs, and then runs.
fn site(name: &str, engines: &[&Fake]) -> Site {
    started(
        &settings(name, engines),
        None,
        fresh_tracker(),
        Blocklist::none(),
    )
    .0
}

fn started(
    settings: &Settings,
    kept: Option<&[u8]>,
    tracker: Arc<Tracker>,
    blocks: Blocklist,
) -> (Site, CaughtUp) {
    let clock = Clock::start();
    let mut opened = open(settings, kept, Arc::clone(&tracker), blocks, clock).unwrap();
    let caught_up = opened.catch_up(Duration::from_secs(20));
    let (ends, _) = channel();
    let running = opened.start(&ends).unwrap();
    let site = Site {
        tracker,
        clock,
        handle: running.handle(),
        running: Some(running),
    };
    (site, caught_up)
}

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn client(number: u32) -> IpAddr {
    Ipv4Addr::from(0xc612_0000 + number).into()
}

fn announce(torrent: u8, number: u32, event: Event) -> Announce {
    let mut id = [b'x'; 20];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Announce {
        info_hash: hash(torrent),
        peer_id: PeerId(id),
        key: None,
        ip: client(number),
        inner_ip: None,
        is_reported: false,
        port: 6881,
        is_seeder: event == Event::Completed,
        downloaded: 0,
        event,
        num_want: None,
        options: ListOptions::default(),
    }
}

/// Announces to a tracker, whoever runs it.
fn tell(tracker: &Tracker, now: Seconds, announce: &Announce) {
    let mut context = AnnounceContext {
        now,
        rng: &mut fastrand::Rng::with_seed(1),
        counters: tracker.metrics().counters(0),
    };
    tracker
        .announce(announce, &mut context, &mut PeerList::default())
        .unwrap();
}

impl Site {
    fn announce(&self, torrent: u8, number: u32, event: Event) {
        tell(
            &self.tracker,
            self.clock.now(),
            &announce(torrent, number, event),
        );
    }

    fn digest(&self) -> SwarmsDigest {
        self.tracker.digest(self.clock.now())
    }

    fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }

    fn status(&self) -> Status {
        self.handle.status()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

/// Waits until all know the same of so many peers.
#[track_caller]
fn equal(sites: &[&Site], peers: u64) {
    let mut seen = Vec::new();
    for _ in 0..6_000 {
        seen = sites.iter().map(|site| site.digest()).collect();
        let first = seen.first().copied().unwrap_or_default();
        if first.peers == peers && seen.iter().all(|digest| *digest == first) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let statuses: Vec<Status> = sites.iter().map(|site| site.status()).collect();
    panic!("not equal, or not {peers}: {seen:?}\n{statuses:#?}");
}
