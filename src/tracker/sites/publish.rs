//! What others are told: the last state of peers and counts, read from the swarms when it is asked for.

use std::net::{IpAddr, SocketAddr};

use super::leaves::Leave;
use super::{MAX_ORIGINS, Origin, PeerDelta, SwarmDelta, Touched};
use crate::clock::Seconds;
use crate::tracker::id::{InfoHash, PeerId};
use crate::tracker::swarm::Swarm;
use crate::tracker::swarm::stored::StoredPeer;
use crate::tracker::{AllSwarms, Tracker, with};

/// What others are told of who has left.
fn of_leave(address: SocketAddr, leave: Leave) -> PeerDelta {
    let peer = StoredPeer {
        ip: address.ip(),
        inner_ip: None,
        port: address.port(),
        id: PeerId([0; 20]),
        is_seeder: false,
        is_paused: false,
        is_reported: leave.is_reported,
        has_completed: false,
        downloaded_mib: 0,
        last_seen: leave.at,
        origin: None,
    };
    PeerDelta {
        peer,
        key_proof: [0; 3],
        has_left: true,
    }
}

impl Tracker {
    /// The last state of peers that were noted, by torrent, each once. Takes the lock of one shard for each torrent.
    pub fn deltas_of(&self, mut touched: Vec<Touched>, now: Seconds) -> Vec<SwarmDelta> {
        touched.sort_unstable();
        let policy = self.policy.load();
        let rules = self.rules(&policy, now);
        let mut deltas = Vec::new();
        for of_torrent in touched.chunk_by_mut(|one, other| one.info_hash == other.info_hash) {
            // Of the notes of one peer the last one stands: that of a leave, when there is one.
            of_torrent.reverse();
            let Some(hash) = of_torrent.first().map(|first| first.info_hash) else {
                continue;
            };
            let each_once = of_torrent.chunk_by(|one, other| one.address == other.address);
            let each_once = each_once.filter_map(<[Touched]>::first);
            let addresses = each_once.clone().map(Touched::address);
            let mut notes = each_once;
            let mut delta = SwarmDelta::of(hash);
            let peers = &mut delta.peers;
            let downloaded = with!(self, swarms => swarms.look_up(&hash, addresses, &rules, |address, found| {
                let has_left = notes.next().is_some_and(|note| note.has_left);
                let leave = has_left.then(|| self.own_leave(&hash, address, now));
                peers.extend(found.own().or_else(|| {
                    let is_told = |leave: &Leave| found.is_before(leave.at) && may_be_told(address.ip());
                    let leave = leave.filter(is_told)?;
                    Some(of_leave(address, leave))
                }));
            }));
            if downloaded > 0 {
                delta.downloaded.push((None, downloaded));
            }
            if !delta.peers.is_empty() {
                deltas.push(delta);
            }
        }
        deltas
    }

    /// When a peer left that was noted; now, when that is forgotten.
    fn own_leave(&self, hash: &InfoHash, address: SocketAddr, now: Seconds) -> Leave {
        let leave = self.leaves.of(hash, address);
        leave.unwrap_or(Leave {
            at: now,
            is_own: true,
            is_reported: false,
        })
    }

    fn hashes_where(&self, now: Seconds, is_one: fn(Tells<'_>) -> bool) -> Vec<InfoHash> {
        let policy = self.policy.load();
        let horizon = self.rules(&policy, now).horizon();
        let mut hashes = Vec::new();
        with!(self, swarms => swarms.for_each(|hash, swarm| {
            let tells = Tells {
                has_own_count: swarm.downloaded_here() > 0,
                has_count: swarm.downloaded_everywhere() > 0,
                has_own_peers: &|| swarm.has_own_peers(horizon),
            };
            if is_one(tells) {
                hashes.push(*hash);
            }
        }));
        hashes
    }

    /// The torrents that have own peers or an own count, in no order. Holds one shard at a time.
    pub fn own_torrents(&self) -> Vec<InfoHash> {
        self.hashes_where(Seconds::default(), |tells| {
            tells.has_own_count || (tells.has_own_peers)()
        })
    }

    /// All own living peers of a torrent and the own count; `None` when there are none.
    pub fn own_delta(&self, hash: &InfoHash, now: Seconds) -> Option<SwarmDelta> {
        let policy = self.policy.load();
        let horizon = self.rules(&policy, now).horizon();
        let (downloaded, peers) = with!(self, swarms => {
            swarms.visit_one(hash, |swarm| (swarm.downloaded_here(), swarm.own_peers(horizon)))
        })?;
        let mut delta = SwarmDelta::of(*hash);
        delta.peers = peers;
        if downloaded > 0 {
            delta.downloaded.push((None, downloaded));
        }
        (!delta.is_empty()).then_some(delta)
    }

    /// Own peers that have left at or after `since` and have not come back, as far as that is remembered. Takes the lock of one shard
    /// for each torrent.
    pub fn own_leaves(&self, since: Seconds) -> Vec<SwarmDelta> {
        let policy = self.policy.load();
        // Whoever is dead by now matters as little as one that is not there.
        let rules = self.rules(&policy, since);
        let leaves = self.leaves.own_since(since);
        let mut deltas = Vec::new();
        for of_torrent in leaves.chunk_by(|one, other| one.0 == other.0) {
            let Some((hash, ..)) = of_torrent.first() else {
                continue;
            };
            let addresses = of_torrent.iter().map(|(_, address, _)| *address);
            let mut each = of_torrent.iter();
            let mut delta = SwarmDelta::of(*hash);
            with!(self, swarms => swarms.look_up(hash, addresses, &rules, |address, found| {
                let Some((.., leave)) = each.next() else {
                    return;
                };
                if found.own().is_none()
                    && found.is_before(leave.at)
                    && may_be_told(address.ip())
                {
                    delta.peers.push(of_leave(address, *leave));
                }
            }));
            if !delta.peers.is_empty() {
                deltas.push(delta);
            }
        }
        deltas
    }

    /// The torrents that anybody completed, here or elsewhere, in no order. Holds one shard at a time.
    pub fn torrents_with_counts(&self) -> Vec<InfoHash> {
        self.hashes_where(Seconds::default(), |tells| tells.has_count)
    }

    /// The counts of a torrent by origin, without peers; `None` when nobody completed it.
    pub fn counts_delta(&self, hash: &InfoHash) -> Option<SwarmDelta> {
        let counts = with!(self, swarms => swarms.visit_one(hash, Swarm::counts_by_origin));
        let mut delta = SwarmDelta::of(*hash);
        delta.downloaded = counts?;
        (!delta.is_empty()).then_some(delta)
    }

    /// How many peers are known from each origin, by its number; at 0 this tracker's own. Costs nothing.
    pub fn peers_by_origin(&self) -> [u64; MAX_ORIGINS] {
        self.origins.of_all(self.peers())
    }

    /// Drops all that is known from an origin: peers and counts. Returns how many peers. Holds one shard at a time.
    pub fn forget(&self, origin: Origin, now: Seconds) -> u64 {
        let policy = self.policy.load_full();
        with!(self, swarms => swarms.forget(origin, &self.rules(&policy, now)))
    }
}

/// What a torrent has to tell; whether it has own peers is looked for only when that is asked.
struct Tells<'a> {
    has_own_count: bool,
    has_count: bool,
    has_own_peers: &'a dyn Fn() -> bool,
}

/// Whether a peer may be at an address that another tracker tells of: one that means the same host there and here.
pub(super) fn may_be_told(ip: IpAddr) -> bool {
    use crate::net::{is_link_local, is_reachable};
    ip == ip.to_canonical() && is_reachable(ip) && !is_link_local(ip) && !ip.is_loopback()
}
