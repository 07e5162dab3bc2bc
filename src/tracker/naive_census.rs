//! Census and views over the naive map; goes away together with it.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use super::Tracker;
use super::census::{
    CLIENT_ROWS, Census, ClientCount, ClientPrefix, LATEST_PEERS, PAGE_ROWS, PeerOrder, PeerView,
    PeersPage, PeersQuery, Roles, SwarmView, TOP_TORRENTS, TorrentOrder, TorrentView, TorrentsPage,
    TorrentsQuery,
};
use super::id::InfoHash;
use super::stored::{StoredPeer, StoredSwarm};
use crate::clock::{Seconds, Wall};

impl Tracker {
    /// Counts everything; costs time in proportion to the peers and holds one shard at a time.
    pub fn census(&self, now: Seconds, wall: Wall) -> Census {
        let swarms = self.living(now);
        let mut census = Census {
            at: now,
            wall,
            ..Census::default()
        };
        let mut clients = HashMap::new();
        let mut addresses = HashSet::new();
        for swarm in &swarms {
            census.torrents += 1;
            census.downloaded += u64::from(swarm.downloaded);
            census.top.push(torrent_view(swarm));
            for peer in &swarm.peers {
                let family = if peer.ip.is_ipv4() {
                    &mut census.v4
                } else {
                    &mut census.v6
                };
                family.count(peer.is_seeder);
                census.paused += u64::from(peer.is_paused);
                addresses.insert(peer.ip);
                count_client(&mut clients, peer);
                census.latest.push(peer_view(swarm.info_hash, peer));
            }
        }
        census.addresses = addresses.len() as u64;
        census
            .top
            .sort_by_key(|torrent| std::cmp::Reverse(torrent.roles.peers()));
        census.top.truncate(TOP_TORRENTS);
        census
            .latest
            .sort_by_key(|peer| std::cmp::Reverse(peer.last_seen));
        census.latest.truncate(LATEST_PEERS);
        census.clients = rank(clients);
        census
    }

    /// One page of peers.
    pub fn peers_page(&self, query: &PeersQuery, now: Seconds) -> PeersPage {
        let mut peers: Vec<PeerView> = Vec::new();
        for swarm in self.living(now) {
            let chosen = swarm
                .peers
                .iter()
                .filter(|peer| query.admits(&swarm.info_hash, peer.ip, &peer.id.0));
            peers.extend(chosen.map(|peer| peer_view(swarm.info_hash, peer)));
        }
        peers.sort_by(|one, other| {
            let order = match query.order {
                PeerOrder::Address => Ordering::Equal,
                PeerOrder::Port => one.port.cmp(&other.port),
                PeerOrder::Torrent => one.info_hash.cmp(&other.info_hash),
                PeerOrder::LastSeen => one.last_seen.cmp(&other.last_seen),
            };
            order.then((one.ip, one.port, one.info_hash).cmp(&(
                other.ip,
                other.port,
                other.info_hash,
            )))
        });
        let total = peers.len() as u64;
        let peers = cut(peers, query.is_descending, query.offset, query.limit);
        PeersPage { total, peers }
    }

    /// One page of torrents.
    pub fn torrents_page(&self, query: &TorrentsQuery, now: Seconds) -> TorrentsPage {
        let mut torrents: Vec<TorrentView> = self.living(now).iter().map(torrent_view).collect();
        torrents.retain(|torrent| {
            torrent
                .info_hash
                .to_string()
                .starts_with(&query.hash_prefix)
        });
        torrents.sort_by_key(|torrent| {
            let first = match query.order {
                TorrentOrder::Peers => torrent.roles.peers(),
                TorrentOrder::Seeders => torrent.roles.seeders,
                TorrentOrder::Leechers => torrent.roles.leechers,
                TorrentOrder::Downloaded => u64::from(torrent.downloaded),
                TorrentOrder::Hash => 0,
            };
            (first, torrent.info_hash)
        });
        let total = torrents.len() as u64;
        let torrents = cut(torrents, query.is_descending, query.offset, query.limit);
        TorrentsPage { total, torrents }
    }

    /// One torrent's swarm by client and zone; `None` when it has no living peer and no count is kept.
    pub fn swarm_view(&self, hash: &InfoHash, now: Seconds) -> Option<SwarmView> {
        let swarm = self
            .living(now)
            .into_iter()
            .find(|swarm| swarm.info_hash == *hash)?;
        let mut clients = HashMap::new();
        swarm
            .peers
            .iter()
            .for_each(|peer| count_client(&mut clients, peer));
        Some(SwarmView {
            torrent: torrent_view(&swarm),
            paused: swarm.peers.iter().filter(|peer| peer.is_paused).count() as u64,
            clients: rank(clients),
            zones: Vec::new(),
        })
    }

    fn living(&self, now: Seconds) -> Vec<StoredSwarm> {
        let lifetime = self.settings.load().lifetime();
        let swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut living: Vec<StoredSwarm> = swarms.values().cloned().collect();
        drop(swarms);
        for swarm in &mut living {
            swarm
                .peers
                .retain(|peer| now.since(peer.last_seen) < lifetime);
        }
        living.retain(|swarm| !swarm.peers.is_empty());
        living
    }
}

fn cut<T>(mut rows: Vec<T>, is_descending: bool, offset: u64, limit: u32) -> Vec<T> {
    if is_descending {
        rows.reverse();
    }
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let limit = limit.min(PAGE_ROWS) as usize;
    rows.into_iter().skip(offset).take(limit).collect()
}

fn torrent_view(swarm: &StoredSwarm) -> TorrentView {
    let mut roles = Roles::default();
    swarm
        .peers
        .iter()
        .for_each(|peer| roles.count(peer.is_seeder));
    TorrentView {
        info_hash: swarm.info_hash,
        roles,
        downloaded: swarm.downloaded,
    }
}

fn peer_view(info_hash: InfoHash, peer: &StoredPeer) -> PeerView {
    PeerView {
        info_hash,
        ip: peer.ip,
        port: peer.port,
        client: prefix(peer),
        is_seeder: peer.is_seeder,
        is_paused: peer.is_paused,
        last_seen: peer.last_seen,
    }
}

fn prefix(peer: &StoredPeer) -> ClientPrefix {
    peer.id.0.first_chunk().copied().unwrap_or_default()
}

fn count_client(clients: &mut HashMap<ClientPrefix, Roles>, peer: &StoredPeer) {
    clients
        .entry(prefix(peer))
        .or_default()
        .count(peer.is_seeder);
}

fn rank(clients: HashMap<ClientPrefix, Roles>) -> Vec<ClientCount> {
    let mut rows: Vec<ClientCount> = clients
        .into_iter()
        .map(|(prefix, roles)| ClientCount { prefix, roles })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.roles.peers()));
    rows.truncate(CLIENT_ROWS);
    rows
}
