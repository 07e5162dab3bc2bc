//! What all listeners of the laboratory share: the tracker's core with its time, who answers, and who is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::publisher::{Place, Publisher};
use super::stop::Stop;
use super::told::Told;
use super::virtual_clock::VirtualClock;
use super::{SwarmPeer, lock};
use crate::clock::Seconds;
use crate::http;
use crate::lab::exchange::{Answer, Answerer, Delivery, Event, Exchange, Moment, Request};
use crate::tracker;
use crate::tracker::{Announce, AnnounceContext, InfoHash, ListOptions, PeerList, Tracker};

/// Virtual seconds from one sweep to the next.
const SWEEP_PERIOD: u32 = 60;

/// Peers that may be planted.
pub const MAX_PLANTED: usize = 100_000;

/// All of it.
pub(super) struct Shared {
    pub tracker: Arc<Tracker>,
    pub http: http::Settings,
    pub clock: VirtualClock,
    pub told: Told,
    pub publisher: Arc<Publisher>,
    pub stop: Stop,
    answerer: Mutex<Answerer>,
    connections: AtomicU64,
    seed: u64,
    upkeep: Mutex<Upkeep>,
}

/// What is done from time to time.
#[derive(Debug, Default)]
struct Upkeep {
    swept: Seconds,
    refreshed: Seconds,
    /// Peers that announce by nobody's doing, so that they stay.
    planted: BTreeMap<(InfoHash, SocketAddr), SwarmPeer>,
}

impl Shared {
    pub(super) fn new(
        tracker: Arc<Tracker>,
        http: http::Settings,
        told: Told,
        answerer: Answerer,
        seed: u64,
    ) -> std::io::Result<Shared> {
        let upkeep = Upkeep {
            swept: Seconds::START,
            refreshed: Seconds::START,
            planted: BTreeMap::new(),
        };
        Ok(Shared {
            tracker,
            http,
            clock: VirtualClock::start(told.speed),
            told,
            publisher: Arc::new(Publisher::new()),
            stop: Stop::new()?,
            answerer: Mutex::new(answerer),
            connections: AtomicU64::new(0),
            seed,
            upkeep: Mutex::new(upkeep),
        })
    }

    /// The place, with its number, of a request that is whole just now, and the time.
    pub(super) fn begin(&self) -> (Place, Moment) {
        self.publisher.begin(|| self.clock.moment())
    }

    /// The number of a connection that has come.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Relaxed) + 1
    }

    /// Random numbers that are the same in each run, apart for each `number`.
    pub(super) fn seed_of(&self, number: u64) -> u64 {
        self.seed.wrapping_add(number)
    }

    /// What is done about a request.
    pub(super) fn decide(&self, request: &Request, honest: Vec<u8>) -> Delivery {
        let mut answerer = lock(&self.answerer);
        (*answerer)(request, honest)
    }

    /// Tells of a request and what became of it.
    pub(super) fn tell(place: Place, request: Request, answer: Answer) {
        place.tell(Event::Exchange(Arc::new(Exchange { request, answer })));
    }

    /// Sweeps, and lets planted peers announce, where it is time.
    pub(super) fn keep_up(&self, now: Seconds) {
        let mut upkeep = lock(&self.upkeep);
        let lifetime = self.tracker.settings().lifetime();
        if !upkeep.planted.is_empty() && now.since(upkeep.refreshed) >= lifetime / 4 {
            upkeep.refreshed = now;
            for ((hash, _), peer) in &upkeep.planted {
                self.announce(*hash, peer, tracker::Event::None, now);
            }
        }
        if now.since(upkeep.swept) >= SWEEP_PERIOD {
            upkeep.swept = now;
            self.tracker.sweep(now);
        }
    }

    /// Plants a peer, or changes one; whether there was room.
    pub(super) fn plant(&self, hash: InfoHash, peer: SwarmPeer, now: Seconds) -> bool {
        let mut upkeep = lock(&self.upkeep);
        if upkeep.planted.len() >= MAX_PLANTED {
            return false;
        }
        self.announce(hash, &peer, tracker::Event::Started, now);
        upkeep.planted.insert((hash, peer.address), peer);
        true
    }

    /// Takes a planted peer away; whether there was one.
    pub(super) fn uproot(&self, hash: InfoHash, address: SocketAddr, now: Seconds) -> bool {
        let peer = lock(&self.upkeep).planted.remove(&(hash, address));
        if let Some(peer) = &peer {
            self.announce(hash, peer, tracker::Event::Stopped, now);
        }
        peer.is_some()
    }

    fn announce(&self, hash: InfoHash, peer: &SwarmPeer, event: tracker::Event, now: Seconds) {
        let announce = Announce {
            info_hash: hash,
            peer_id: peer.peer_id,
            key: None,
            ip: peer.address.ip().to_canonical(),
            inner_ip: None,
            is_reported: false,
            port: peer.address.port(),
            is_seeder: peer.is_seeder,
            downloaded: 0,
            event,
            num_want: Some(0),
            options: ListOptions::default(),
        };
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut context = AnnounceContext {
            now,
            rng: &mut rng,
            counters: self.tracker.metrics().spare(),
        };
        // Nothing is blocked here, so nothing is refused.
        let _ = self
            .tracker
            .announce(&announce, &mut context, &mut PeerList::default());
    }
}
