//! Counting for people: the census of all swarms, and one swarm. Off the request path; what is
//! gathered has bounds.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;

use super::census::{
    CLIENT_ROWS, Census, ClientCount, ClientPrefix, HandedOut, LATEST_PEERS, PeerView, Roles,
    SwarmView, TOP_TORRENTS, TorrentView, ZONE_ROWS, ZoneCount, ZoneRest,
};
use crate::invariant::present;
use crate::tracker::id::InfoHash;
use crate::tracker::swarm::stored::StoredPeer;
use crate::tracker::zones::{ZoneId, Zones};

/// Kinds of clients that are told apart while counting; the rest counts as one, so that made-up ids cannot fill the memory.
const MAX_CLIENTS: usize = 100_000;

/// Bits of the bitmap by which distinct addresses are estimated: good for tens of millions, in 512 KiB.
const BITMAP: usize = 1 << 22;

pub(super) fn view(info_hash: &InfoHash, peer: &StoredPeer) -> PeerView {
    PeerView {
        info_hash: *info_hash,
        ip: peer.ip,
        port: peer.port,
        client: client(peer),
        is_seeder: peer.is_seeder,
        is_paused: peer.is_paused,
        last_seen: peer.last_seen,
    }
}

fn client(peer: &StoredPeer) -> ClientPrefix {
    let prefix = present(peer.id.0.first_chunk(), "an id has 20 bytes");
    prefix.copied().unwrap_or_default()
}

/// Estimates how many distinct addresses it has been shown (linear counting).
#[derive(Debug)]
struct Distinct {
    bits: Vec<u64>,
    hasher: foldhash::quality::RandomState,
}

impl Distinct {
    fn new() -> Distinct {
        Distinct {
            bits: vec![0; BITMAP / 64],
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    fn show(&mut self, ip: IpAddr) {
        let hash = usize::try_from(self.hasher.hash_one(ip)).ok();
        let bit = present(hash, "targets have 64 bits").unwrap_or(0) % BITMAP;
        if let Some(word) = self.bits.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a count that is far below 2⁵²"
    )]
    fn estimate(&self) -> u64 {
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        let clear = (BITMAP as f64 - f64::from(set)).max(1.0);
        (-(BITMAP as f64) * (clear / BITMAP as f64).ln()).round() as u64
    }
}

/// Peers by client, bounded.
#[derive(Debug, Default)]
struct Clients(HashMap<ClientPrefix, Roles>);

impl Clients {
    fn count(&mut self, peer: &StoredPeer) {
        let prefix = client(peer);
        let known = self.0.len() < MAX_CLIENTS || self.0.contains_key(&prefix);
        self.0
            .entry(if known { prefix } else { [0; 8] })
            .or_default()
            .count(peer.is_seeder);
    }

    /// Most peers first; what has no row is summed up in the last.
    fn ranked(self) -> Vec<ClientCount> {
        let mut rows: Vec<ClientCount> = self
            .0
            .into_iter()
            .map(|(prefix, roles)| ClientCount { prefix, roles })
            .collect();
        rows.sort_unstable_by_key(|row| (Reverse(row.roles.peers()), row.prefix));
        if rows.len() > CLIENT_ROWS {
            let mut rest = Roles::default();
            for row in rows.drain(CLIENT_ROWS - 1..) {
                rest.add(row.roles);
            }
            rows.push(ClientCount {
                prefix: [0; 8],
                roles: rest,
            });
        }
        rows
    }
}

/// A census that is being taken, swarm by swarm.
pub(super) struct CensusBuilder<'a> {
    zones: &'a Zones,
    census: Census,
    distinct: Distinct,
    clients: Clients,
    top: BinaryHeap<Reverse<(u64, InfoHash, u64, u32)>>,
    latest: BinaryHeap<Reverse<(u32, InfoHash, IpAddr, u16)>>,
    latest_views: HashMap<(InfoHash, IpAddr, u16), PeerView>,
    by_zone: Vec<Roles>,
    /// Per zone: torrents with a peer in it or below, and the last torrent that was counted.
    torrents: Vec<(u64, u64)>,
}

impl<'a> CensusBuilder<'a> {
    pub(super) fn new(zones: &'a Zones) -> CensusBuilder<'a> {
        CensusBuilder {
            zones,
            census: Census::default(),
            distinct: Distinct::new(),
            clients: Clients::default(),
            top: BinaryHeap::new(),
            latest: BinaryHeap::new(),
            latest_views: HashMap::new(),
            by_zone: vec![Roles::default(); zones.table_len()],
            torrents: vec![(0, 0); zones.table_len()],
        }
    }

    /// Counts one swarm; `peers` hands all its living peers to the closure that it is given.
    pub(super) fn count(
        &mut self,
        hash: &InfoHash,
        downloaded: u32,
        peers: impl FnOnce(&mut dyn FnMut(StoredPeer)),
    ) {
        let mut roles = Roles::default();
        self.census.downloaded += u64::from(downloaded);
        let number = self.census.torrents + 1;
        peers(&mut |peer| {
            roles.count(peer.is_seeder);
            self.count_peer(hash, &peer, number);
        });
        if roles.peers() == 0 {
            return;
        }
        self.census.torrents += 1;
        self.top
            .push(Reverse((roles.peers(), *hash, roles.seeders, downloaded)));
        if self.top.len() > TOP_TORRENTS {
            self.top.pop();
        }
    }

    fn count_peer(&mut self, hash: &InfoHash, peer: &StoredPeer, torrent: u64) {
        let family = if peer.ip.is_ipv4() {
            &mut self.census.v4
        } else {
            &mut self.census.v6
        };
        family.count(peer.is_seeder);
        self.census.paused += u64::from(peer.is_paused);
        self.distinct.show(peer.ip);
        self.clients.count(peer);
        if !self.zones.is_empty() {
            let zone = self.zones.of(peer.ip);
            if let Some(roles) = self.by_zone.get_mut(ZoneId::index(zone)) {
                roles.count(peer.is_seeder);
            }
            self.count_torrent(zone, torrent);
        }
        let oldest = self.latest.peek().map_or(0, |Reverse((seen, ..))| *seen);
        if self.latest.len() < LATEST_PEERS || peer.last_seen.raw() > oldest {
            self.latest
                .push(Reverse((peer.last_seen.raw(), *hash, peer.ip, peer.port)));
            self.latest_views
                .insert((*hash, peer.ip, peer.port), view(hash, peer));
            if self.latest.len() > LATEST_PEERS
                && let Some(Reverse((_, hash, ip, port))) = self.latest.pop()
            {
                self.latest_views.remove(&(hash, ip, port));
            }
        }
    }

    fn count_torrent(&mut self, mut zone: Option<ZoneId>, torrent: u64) {
        while let Some((count, last)) = self.torrents.get_mut(ZoneId::index(zone))
            && *last != torrent
        {
            (*count, *last) = (*count + 1, torrent);
            zone = zone.and_then(|zone| self.zones.parent(zone));
            if zone.is_none() {
                return;
            }
        }
    }

    /// The census; `handed_out` gives the counters of just one zone.
    pub(super) fn close(mut self, handed_out: impl Fn(Option<ZoneId>) -> HandedOut) -> Census {
        self.census.top = ranked(self.top);
        let mut latest: Vec<PeerView> = self.latest_views.into_values().collect();
        latest.sort_unstable_by_key(|peer| {
            (Reverse(peer.last_seen), peer.info_hash, peer.ip, peer.port)
        });
        self.census.latest = latest;
        self.census.clients = self.clients.ranked();
        self.census.addresses = self.distinct.estimate();
        let zones = self.zones;
        let handed: Vec<HandedOut> = zones.table().map(handed_out).collect();
        handed
            .iter()
            .for_each(|row| self.census.handed_out.add(row));
        if zones.is_empty() {
            return self.census;
        }
        // Where there are too many, the upper levels are shown whole before any lower one.
        let mut shown: Vec<Option<ZoneId>> = zones.table().collect();
        shown.sort_by_key(|zone| zones.path(*zone).matches('/').count());
        let hidden = shown.split_off(ZONE_ROWS.min(shown.len()));
        shown.sort_unstable();
        // Nobody was met in a zone that has no row in these tables.
        let own = |zone| self.by_zone.get(zone).copied().unwrap_or_default();
        let own_handed_out = |zone| handed.get(zone).copied().unwrap_or_default();
        let mut rest = ZoneRest {
            zones: hidden.len(),
            ..ZoneRest::default()
        };
        for zone in hidden.into_iter().map(ZoneId::index) {
            rest.roles.add(own(zone));
            rest.handed_out.add(&own_handed_out(zone));
        }
        let rows = shown.into_iter().map(|zone| {
            let last = zone.map(|zone| zones.subtree(zone).1);
            let subtree = ZoneId::index(zone)..=ZoneId::index(last);
            let mut below = Roles::default();
            let mut sum = HandedOut::default();
            for (roles, row) in self
                .by_zone
                .get(subtree.clone())
                .into_iter()
                .flatten()
                .zip(handed.get(subtree).into_iter().flatten())
            {
                below.add(*roles);
                sum.add(row);
            }
            ZoneCount {
                path: zones.path(zone).to_owned(),
                own: own(ZoneId::index(zone)),
                own_handed_out: own_handed_out(ZoneId::index(zone)),
                below,
                torrents: self
                    .torrents
                    .get(ZoneId::index(zone))
                    .map_or(0, |(count, _)| *count),
                handed_out: sum,
                announces_per_second: 0.0,
                is_strict: zones.strict_root(zone).is_some(),
            }
        });
        self.census.zones = rows.collect();
        self.census.rest = rest;
        self.census
    }
}

/// The largest torrents, most peers first.
fn ranked(top: BinaryHeap<Reverse<(u64, InfoHash, u64, u32)>>) -> Vec<TorrentView> {
    let mut top: Vec<_> = top.into_iter().map(|Reverse(row)| row).collect();
    top.sort_unstable_by(|one, other| other.cmp(one));
    let torrent = |(peers, info_hash, seeders, downloaded)| TorrentView {
        info_hash,
        roles: Roles {
            seeders,
            leechers: peers - seeders,
        },
        downloaded,
    };
    top.into_iter().map(torrent).collect()
}

/// One swarm by client and zone.
pub(super) fn swarm_view(
    info_hash: &InfoHash,
    downloaded: u32,
    peers: &[StoredPeer],
    zones: &Zones,
) -> SwarmView {
    let mut roles = Roles::default();
    let mut clients = Clients::default();
    let mut by_zone: HashMap<Option<ZoneId>, Roles> = HashMap::new();
    for peer in peers {
        roles.count(peer.is_seeder);
        clients.count(peer);
        by_zone
            .entry(zones.of(peer.ip))
            .or_default()
            .count(peer.is_seeder);
    }
    let mut by_zone: Vec<(Option<ZoneId>, Roles)> = by_zone.into_iter().collect();
    by_zone.sort_unstable_by_key(|(zone, roles)| (Reverse(roles.peers()), *zone));
    let more_zones = by_zone.len().saturating_sub(ZONE_ROWS);
    by_zone.truncate(ZONE_ROWS);
    SwarmView {
        torrent: TorrentView {
            info_hash: *info_hash,
            roles,
            downloaded,
        },
        paused: peers.iter().filter(|peer| peer.is_paused).count() as u64,
        clients: clients.ranked(),
        zones: if zones.is_empty() {
            Vec::new()
        } else {
            by_zone
                .into_iter()
                .map(|(zone, roles)| (zones.path(zone).to_owned(), roles))
                .collect()
        },
        more_zones,
    }
}
