//! How clients get at neighbours and lose them: addresses of the tracker, the DHT and peer exchange, retries, turnover, churn.

#![expect(
    clippy::indexing_slicing,
    reason = "numbers of peers and links are given out by the simulation itself"
)]

use super::Simulation;
use crate::lab::simulate::profile::Client;
use crate::lab::simulate::source::Source;

/// Connections that a client tries to open in a second.
pub(super) const ATTEMPTS_PER_SECOND: u32 = 10;

/// Connections that a libtorrent tries to open as soon as it has been handed peers (`torrent_connect_boost`).
pub(super) const BURST: u32 = 30;

/// Seconds between two turnovers (libtorrent's `peer_turnover_interval`).
const TURNOVER_SECONDS: u32 = 300;

/// One in so many connections is closed then (`peer_turnover`, 4 %) …
const TURNOVER_PART: usize = 25;

/// … by who has so many percent of its connections at least (`peer_turnover_cutoff`).
const TURNOVER_CUTOFF: usize = 90;

/// Younger connections, in seconds, are spared.
const TURNOVER_SPARES: u32 = 60;

/// What came of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Connected,
    /// There was nothing to try: itself, a neighbour, no room of its own, or nothing to exchange.
    Pointless,
    /// Nobody answered, or nobody had room.
    Failed,
}

impl Simulation<'_> {
    /// Tries addresses that the client has kept, or learns elsewhere, while it has room.
    pub(super) fn open_connections(&mut self, peer: usize, attempts: u32) {
        let dht_percent = self.plan.clients.dht_percent;
        for _ in 0..attempts {
            if !self.peers[peer].opens_more() {
                return;
            }
            if dht_percent > 0 && self.rng.u32(0..100) < dht_percent {
                let other = self.rng.usize(0..self.peers.len());
                self.connect(peer, other, Source::Dht);
            } else if let Some(other) = self.peers[peer].addresses.next() {
                if self.connect(peer, other, Source::Tracker) == Attempt::Failed {
                    self.peers[peer].addresses.fail(other, self.now);
                }
            } else {
                // Neighbours tell once a minute: one address a second is plenty.
                if let Some(other) = self.ask_neighbour(peer) {
                    self.connect(peer, other, Source::Pex);
                }
                return;
            }
        }
    }

    /// The neighbour of a neighbour, where both exchange peers.
    fn ask_neighbour(&mut self, peer: usize) -> Option<usize> {
        if !self.peers[peer].profile.exchanges_peers {
            return None;
        }
        let by = self.rng.choice(&self.peers[peer].links)?.to;
        if !self.peers[by].profile.exchanges_peers {
            return None;
        }
        self.rng.choice(&self.peers[by].links).map(|link| link.to)
    }

    pub(super) fn connect(&mut self, peer: usize, other: usize, source: Source) -> Attempt {
        let [one, two] = [&self.peers[peer], &self.peers[other]];
        let is_useless = one.has.is_complete() && two.has.is_complete();
        if peer == other || is_useless || !one.opens_more() || one.is_connected_to(other) {
            return Attempt::Pointless;
        }
        if !two.accepts_more() {
            return Attempt::Failed;
        }
        let [one, two] = [one.has.clone(), two.has.clone()];
        self.peers[peer].connect(other, &two, self.now);
        self.peers[other].connect(peer, &one, self.now);
        self.opened[source as usize] += 1;
        Attempt::Connected
    }

    /// A libtorrent that is full closes the connections that brought least, when there are others to try or it has everything.
    pub(super) fn turn_over(&mut self, peer: usize) {
        let is_due = self.is_turn_of(peer, TURNOVER_SECONDS);
        let now = self.now;
        let client = &mut self.peers[peer];
        if client.profile.client == Client::Simple {
            return;
        }
        client.addresses.revive(now);
        if !is_due {
            return;
        }
        let opens = client.profile.opens;
        let is_full = client.links.len() * 100 >= opens * TURNOVER_CUTOFF;
        let mut idlest = Vec::new();
        if is_full && (client.has.is_complete() || !client.addresses.is_empty()) {
            let old = client.links.iter();
            let old = old.filter(|link| link.since + TURNOVER_SPARES <= now);
            idlest.extend(old.map(|link| (link.moved, link.to)));
            idlest.sort_unstable();
            idlest.truncate((opens / TURNOVER_PART).max(1));
        }
        for link in &mut client.links {
            link.moved = 0;
        }
        for (_, other) in idlest {
            self.cut(peer, other);
        }
    }

    /// Breaks connections by chance, so that one lasts as long as the plan says on average.
    pub(super) fn break_connections(&mut self) {
        if self.plan.faults.churn == 0 {
            return;
        }
        // Each connection has two ends.
        let seconds = 2.0 * f64::from(self.plan.faults.churn);
        for peer in 0..self.peers.len() {
            let links = &self.peers[peer].links;
            if self.rng.f64() < links.len() as f64 / seconds
                && let Some(link) = self.rng.choice(links)
            {
                self.cut(peer, link.to);
            }
        }
    }

    /// Closes a connection. Each end keeps the other's address.
    pub(super) fn cut(&mut self, one: usize, two: usize) {
        let ends = [(one, two), (two, one)];
        let pieces = ends.map(|(to, from)| {
            let mut links = self.peers[from].links.iter();
            links.find(|link| link.to == to).and_then(|link| link.piece)
        });
        for ((to, from), piece) in ends.into_iter().zip(pieces) {
            let has = self.peers[from].has.clone();
            self.peers[to].disconnect(from, &has, piece);
            if self.peers[to].profile.client == Client::Libtorrent {
                self.peers[to].addresses.keep(from);
            }
        }
    }

    /// Closes all connections of a peer that is gone.
    pub(super) fn cut_all(&mut self, peer: usize) {
        let has = self.peers[peer].has.clone();
        for link in std::mem::take(&mut self.peers[peer].links) {
            self.peers[link.to].disconnect(peer, &has, link.piece);
        }
    }
}
