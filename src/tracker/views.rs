//! The tracker as people look at it: census, pages of peers and torrents, one swarm. Off the request path; each holds one
//! shard at a time.

use super::census::{
    Census, PeersPage, PeersQuery, Roles, SwarmView, TorrentView, TorrentsPage, TorrentsQuery,
};
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

    /// One page of peers. Costs time in proportion to all peers and holds one shard at a time.
    pub fn peers_page(&self, query: &PeersQuery, now: Seconds) -> PeersPage {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let mut peers = Vec::new();
        let mut gather = |hash: &InfoHash, peer: &StoredPeer| {
            if peer.last_seen.raw() > horizon {
                pages::admit(&mut peers, query, hash, peer);
            }
        };
        match query.torrent {
            Some(hash) => with!(self, swarms => drop(
                swarms.visit_one(&hash, |swarm| swarm.visit(|peer| gather(&hash, &peer)))
            )),
            None => {
                with!(self, swarms => swarms.visit(|hash, swarm| swarm.visit(|peer| gather(hash, &peer))));
            }
        }
        pages::peers_page(peers, query)
    }

    /// One page of torrents. Costs time in proportion to all torrents and holds one shard at a time.
    pub fn torrents_page(&self, query: &TorrentsQuery, now: Seconds) -> TorrentsPage {
        let charter = self.charter.load_full();
        let horizon = self.rules(&charter, now).horizon();
        let mut torrents = Vec::new();
        with!(self, swarms => swarms.visit(|hash, swarm| {
            let mut roles = Roles::default();
            swarm.visit(|peer| if peer.last_seen.raw() > horizon { roles.count(peer.is_seeder) });
            if roles.peers() > 0 {
                torrents.push(TorrentView { info_hash: *hash, roles, downloaded: swarm.downloaded });
            }
        }));
        pages::torrents_page(torrents, query)
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
