//! The tracker as people look at it: census, savings, pages of peers and torrents, one swarm. Off the request path; each holds one
//! shard at a time.

use super::census::{
    Census, PAGE_ROWS, PeersPage, PeersQuery, SwarmView, TorrentView, TorrentsPage, TorrentsQuery,
};
use super::cut::{Part, cut};
use super::{InfoHash, Kept, StoredPeer, Tracker, pages, tally, with};
use crate::clock::{Seconds, Wall};

impl Tracker {
    /// Counts everything for people to read. Costs time in proportion to the peers and holds one shard at a time.
    pub fn census(&self, now: Seconds, wall: Wall) -> Census {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let mut tally = tally::Tally::new(&charter.zones);
        with!(self, swarms => swarms.visit(|hash, swarm| {
            tally.count(hash, swarm.downloaded, |count| swarm.visit(|peer| if peer.last_seen.raw() > horizon { count(peer) }));
        }));
        charter.ledger.close_hour(&charter.zones, wall);
        let mut census = tally.close(|zone| charter.ledger.of(zone));
        (census.at, census.wall) = (now, wall);
        census.callers = self.callers.worst();
        census
    }

    /// What was saved by hour in a zone and all below it, and where the path is empty in all zones and in none: hours since 1970
    /// and MiB, in order, without hours in which nothing was. `None` when there is no such zone.
    pub fn savings(&self, path: &str) -> Option<Vec<(u64, u64)>> {
        let charter = self.charter.load_full();
        let zones = &charter.zones;
        let (first, last) = if path.is_empty() {
            (0, zones.numbers().end.saturating_sub(1))
        } else {
            zones.subtree(zones.find(path)?)
        };
        Some(charter.ledger.savings(zones, first..=last))
    }

    /// One page of peers, exact when nobody announces meanwhile. Walks all peers two or three times, holding one shard at a
    /// time; what it takes in memory does not grow with the peers (`cut.rs`).
    pub fn peers_page(&self, query: &PeersQuery, now: Seconds) -> PeersPage {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let part = Part {
            offset: query.offset,
            limit: query.limit.min(PAGE_ROWS),
        };
        let (total, peers) = cut(part, pages::peer_order(query), |sieve| {
            let mut offer = |hash: &InfoHash, peer: &StoredPeer| {
                if peer.last_seen.raw() > horizon && query.admits(hash, peer.ip, &peer.id.0) {
                    sieve.offer(tally::view(hash, peer));
                }
            };
            match query.torrent {
                Some(hash) => with!(self, swarms => drop(
                    swarms.visit_one(&hash, |swarm| swarm.visit(|peer| offer(&hash, &peer)))
                )),
                None => {
                    with!(self, swarms => swarms.visit(|hash, swarm| swarm.visit(|peer| offer(hash, &peer))));
                }
            }
        });
        PeersPage { total, peers }
    }

    /// One page of torrents, exact when nobody announces meanwhile. Walks all torrents two or three times, holding one shard
    /// at a time; looks at the peers only of those in which somebody may have died since the last sweep.
    pub fn torrents_page(&self, query: &TorrentsQuery, now: Seconds) -> TorrentsPage {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let Some(hashes) = pages::beginning_with(&query.hash_prefix) else {
            return TorrentsPage::default();
        };
        let part = Part {
            offset: query.offset,
            limit: query.limit.min(PAGE_ROWS),
        };
        let (total, torrents) = cut(part, pages::torrent_order(query), |sieve| {
            with!(self, swarms => swarms.visit(|hash, swarm| if hashes.contains(hash) {
                let roles = swarm.roles(horizon);
                if roles.peers() > 0 {
                    sieve.offer(TorrentView { info_hash: *hash, roles, downloaded: swarm.downloaded });
                }
            }));
        });
        TorrentsPage { total, torrents }
    }

    /// One torrent's swarm by client and zone; `None` when it has no living peer and no count is kept.
    pub fn swarm_view(&self, hash: &InfoHash, now: Seconds) -> Option<SwarmView> {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let copied = with!(self, swarms => swarms.visit_one(hash, |swarm| (swarm.downloaded, swarm.export(horizon))));
        let (downloaded, peers) = copied?;
        Some(tally::swarm_view(hash, downloaded, &peers, &charter.zones))
    }
}
