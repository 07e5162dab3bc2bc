//! The tracker as people look at it: census, savings, pages of peers and torrents, one swarm. Off the request path; each holds one
//! shard at a time.

use std::collections::HashSet;
use std::net::IpAddr;

use super::census::{
    Census, Covered, LISTED_ROWS, PeersPage, PeersQuery, SwarmView, TorrentView, TorrentsPage,
    TorrentsQuery, ZoneFilter,
};
use super::pagination::{PageRange, paginate};
use super::{builder, order};
use crate::clock::{Seconds, Wall};
use crate::net::Networks;
use crate::tracker::{AllSwarms, InfoHash, StoredPeer, Target, Tracker, with};

impl Tracker {
    /// Counts everything for people to read. Costs time in proportion to the peers and holds one shard at a time.
    pub fn census(&self, now: Seconds, wall: Wall) -> Census {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let mut builder = builder::CensusBuilder::new(&policy.zones);
        with!(self, swarms => swarms.for_each(|hash, swarm| {
            builder.count(hash, swarm.downloaded_everywhere(), |count| swarm.for_each(|peer| if peer.last_seen.raw() > horizon { count(peer) }));
        }));
        policy.zone_statistics.close_hour(&policy.zones, wall);
        let mut census = builder.close(|zone| policy.zone_statistics.of(zone));
        (census.at, census.wall) = (now, wall);
        if !policy.zones.is_empty() {
            let statistics = &policy.zone_statistics;
            let saved = |zone| statistics.of(zone).saved_mib;
            census.flows = statistics.flows().view(&policy.zones, saved);
        }
        census.callers = self.frequent_announcers.worst();
        census
    }

    /// What was saved by hour in a zone and all below it, and where the path is empty in all zones and in none: hours since 1970
    /// and MiB, in order, without hours in which nothing was. `None` when there is no such zone.
    pub fn savings(&self, path: &str) -> Option<Vec<(u64, u64)>> {
        let policy = self.policy.load_full();
        let zones = &policy.zones;
        if path.is_empty() {
            return Some(policy.zone_statistics.savings(zones, zones.table()));
        }
        let (first, last) = zones.subtree(zones.find(path)?);
        let within = zones.ids().filter(|zone| (first..=last).contains(zone));
        Some(policy.zone_statistics.savings(zones, within.map(Some)))
    }

    /// One page of the first [`LISTED_ROWS`] peers in an order, exact when nobody announces meanwhile. Walks all peers once, holding
    /// one shard at a time; what it takes in memory does not grow with the peers.
    pub fn peers_page(&self, query: &PeersQuery, now: Seconds) -> PeersPage {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let zones = &policy.zones;
        let within = match &query.zone {
            None => None,
            Some(ZoneFilter::Nowhere) => Some(None..=None),
            Some(ZoneFilter::Within(path)) => {
                let Some(zone) = zones.find(path) else {
                    return PeersPage::default();
                };
                let (first, last) = zones.subtree(zone);
                Some(Some(first)..=Some(last))
            }
        };
        let lies_there = |ip| {
            let within = within.as_ref();
            within.is_none_or(|within| within.contains(&zones.of(ip)))
        };
        let range = PageRange {
            offset: query.offset,
            limit: query.limit.min(LISTED_ROWS),
        };
        let (total, peers) = paginate(range, order::peer_order(query), |first| {
            let mut add = |hash: &InfoHash, peer: &StoredPeer| {
                if peer.last_seen.raw() > horizon
                    && query.admits(hash, peer.ip, &peer.id.0)
                    && lies_there(peer.ip)
                {
                    first.add(builder::view(hash, peer));
                }
            };
            match query.torrent {
                Some(hash) => with!(self, swarms => drop(
                    swarms.visit_one(&hash, |swarm| swarm.for_each(|peer| add(&hash, &peer)))
                )),
                None => {
                    with!(self, swarms => swarms.for_each(|hash, swarm| swarm.for_each(|peer| add(hash, &peer))));
                }
            }
        });
        PeersPage { total, peers }
    }

    /// Whether there is a zone with this path.
    pub fn has_zone(&self, path: &str) -> bool {
        self.policy.load().zones.find(path).is_some()
    }

    /// The path of the zone that each of these canonical addresses lies in, empty for no zone; nothing where no zones are described.
    pub fn zone_paths(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<Vec<String>> {
        let policy = self.policy.load_full();
        let zones = &policy.zones;
        let path = |ip| zones.path(zones.of(ip)).to_owned();
        (!zones.is_empty()).then(|| addresses.map(path).collect())
    }

    /// One page of the first [`LISTED_ROWS`] torrents in an order, exact when nobody announces meanwhile. Walks all torrents once,
    /// holding one shard at a time; looks at the peers only of those in which somebody may have died since the last sweep.
    pub fn torrents_page(&self, query: &TorrentsQuery, now: Seconds) -> TorrentsPage {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let Some(hashes) = order::beginning_with(&query.hash_prefix) else {
            return TorrentsPage::default();
        };
        let range = PageRange {
            offset: query.offset,
            limit: query.limit.min(LISTED_ROWS),
        };
        let (total, torrents) = paginate(range, order::torrent_order(query), |first| {
            with!(self, swarms => swarms.for_each(|hash, swarm| if hashes.contains(hash) {
                let roles = swarm.roles(horizon);
                if roles.peers() > 0 {
                    first.add(TorrentView { info_hash: *hash, roles, downloaded: swarm.downloaded_everywhere() });
                }
            }));
        });
        TorrentsPage { total, torrents }
    }

    /// What entries for these targets would refuse, exact when nobody announces meanwhile. Walks all peers once, holding one shard at a
    /// time.
    pub fn covered(&self, targets: &[Target], now: Seconds) -> Covered {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let (mut networks, mut torrents) = (Networks::default(), HashSet::new());
        for target in targets {
            match target {
                Target::Network(network) => networks.add(*network),
                Target::Torrent(hash) => drop(torrents.insert(*hash)),
            }
        }
        let mut covered = Covered::default();
        with!(self, swarms => swarms.for_each(|hash, swarm| {
            let is_torrent_covered = torrents.contains(hash);
            let (mut peers, mut all) = (0, 0);
            swarm.for_each(|peer| if peer.last_seen.raw() > horizon {
                all += 1;
                peers += u64::from(is_torrent_covered || networks.covers(peer.ip));
            });
            covered.peers += peers;
            covered.of_peers += all;
            covered.torrents += u64::from(peers > 0);
            covered.of_torrents += u64::from(all > 0);
        }));
        covered
    }

    /// One torrent's swarm by client and zone; `None` when it has no living peer and no count is kept.
    pub fn swarm_view(&self, hash: &InfoHash, now: Seconds) -> Option<SwarmView> {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let copied = with!(self, swarms => swarms.visit_one(hash, |swarm| (swarm.downloaded_everywhere(), swarm.export(horizon))));
        let (downloaded, peers) = copied?;
        Some(builder::swarm_view(hash, downloaded, &peers, &policy.zones))
    }
}
