//! What is counted off the request path for people to read: the census of all swarms, and bounded views of peers and
//! torrents. Plain values; every list has a bound.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::flows::Flows;
use crate::clock::{Seconds, Wall};
use crate::tracker::id::InfoHash;

/// Torrents in [`Census::top`] at most.
pub const TOP_TORRENTS: usize = 100;
/// Peers in [`Census::latest`] at most.
pub const LATEST_PEERS: usize = 20;
/// Rows in [`Census::clients`] and in [`SwarmView::clients`] at most; the rest is summed up in a row without a prefix.
pub const CLIENT_ROWS: usize = 500;
/// Rows in [`Census::zones`] and in [`SwarmView::zones`] at most.
pub const ZONE_ROWS: usize = 2_000;
/// Rows in [`Census::callers`] at most.
pub const CALLER_ROWS: usize = 200;
/// How far the lists of peers and torrents go, in rows from the first in their order; a page may have all of them. Nobody leafs
/// through 500 pages: who wants what stands behind them sorts the other way round or searches. A page keeps
/// twice as many rows at most while it is made: 1.3 MB of peers.
pub const LISTED_ROWS: u32 = 10_000;

/// The first bytes of a peer id, as `-qB4520-`: they tell a client and its version apart (BEP 20).
pub type ClientPrefix = [u8; 8];

/// Living peers by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Those that have everything.
    pub seeders: u64,
    /// The others, paused partial seeds included.
    pub leechers: u64,
}

impl Roles {
    /// Counts others as well.
    pub const fn add(&mut self, others: Roles) {
        self.seeders += others.seeders;
        self.leechers += others.leechers;
    }

    /// All of them.
    pub const fn peers(self) -> u64 {
        self.seeders + self.leechers
    }

    /// Counts one peer.
    pub const fn count(&mut self, is_seeder: bool) {
        if is_seeder {
            self.seeders += 1;
        } else {
            self.leechers += 1;
        }
    }
}

/// All swarms at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// When it was counted; zero before the first.
    pub at: Seconds,
    /// The same by the calendar.
    pub wall: Wall,
    /// How long counting took, in milliseconds.
    pub took_millis: u64,
    /// Torrents with at least one living peer.
    pub torrents: u64,
    /// v4 peers.
    pub v4: Roles,
    /// v6 peers.
    pub v6: Roles,
    /// Paused partial seeds among the leechers (BEP 21).
    pub paused: u64,
    /// Distinct addresses; may be an estimate within a few percent.
    pub addresses: u64,
    /// Completed downloads of all torrents that are known.
    pub downloaded: u64,
    /// The torrents with most peers, most first; at most [`TOP_TORRENTS`].
    pub top: Vec<TorrentView>,
    /// The peers that announced last, latest first; at most [`LATEST_PEERS`].
    pub latest: Vec<PeerView>,
    /// Clients, most peers first; at most [`CLIENT_ROWS`].
    pub clients: Vec<ClientCount>,
    /// Zones in the order of their paths, parents before children; at most [`ZONE_ROWS`], upper levels first. Empty without configured zones.
    pub zones: Vec<ZoneCount>,
    /// The zones that have no row in `zones`.
    pub rest: ZoneRest,
    /// Who announces too often, worst first; at most [`CALLER_ROWS`].
    pub callers: Vec<FrequentAnnouncer>,
    /// Sums over all zones, and over the peers in none.
    pub handed_out: HandedOut,
    /// Who was handed whom. Empty without configured zones.
    pub flows: Flows,
}

impl Census {
    /// Fills in how fast the announces of each zone have come since the census `before`.
    pub fn pace(&mut self, before: &Census) {
        if before.wall == Wall::default() {
            return;
        }
        let seconds = f64::from(self.at.since(before.at).max(1));
        let known: HashMap<&str, u64> = before
            .zones
            .iter()
            .map(|zone| (zone.path.as_str(), zone.handed_out.announces))
            .collect();
        for zone in &mut self.zones {
            let announces = zone.handed_out.announces;
            let before = known.get(zone.path.as_str()).copied();
            let more = announces.saturating_sub(before.unwrap_or(announces));
            // More than four billion within a census count as that.
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            zone.announces_per_second = f64::from(more) / seconds;
        }
    }
}

/// What entries of the blocklist would refuse of what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Living peers that they cover, by address or by torrent.
    pub peers: u64,
    /// All living peers.
    pub of_peers: u64,
    /// Torrents in which such peers are.
    pub torrents: u64,
    /// All torrents with living peers.
    pub of_torrents: u64,
}

impl Covered {
    /// Whether that is more than one in a hundred of all peers.
    pub const fn is_many(&self) -> bool {
        self.peers.saturating_mul(100) > self.of_peers
    }
}

/// One torrent in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorrentView {
    /// Which.
    pub info_hash: InfoHash,
    /// Its living peers.
    pub roles: Roles,
    /// Peers that ever completed it.
    pub downloaded: u32,
}

/// One peer in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its swarm.
    pub info_hash: InfoHash,
    /// Canonical address.
    pub ip: IpAddr,
    /// Never 0.
    pub port: u16,
    /// The beginning of its peer id; zeros when ids are not kept.
    pub client: ClientPrefix,
    /// Whether it has everything.
    pub is_seeder: bool,
    /// Whether it is a paused partial seed (BEP 21).
    pub is_paused: bool,
    /// When it last announced.
    pub last_seen: Seconds,
}

/// Peers that call themselves alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCount {
    /// The beginning of their peer ids; zeros for the sum of those that have no row.
    pub prefix: ClientPrefix,
    /// How many.
    pub roles: Roles,
}

/// What was handed out to the peers of a zone since the start; all figures only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HandedOut {
    /// Announces answered with a list.
    pub announces: u64,
    /// Announces for which a peer of the same zone existed.
    pub announces_with_local: u64,
    /// Announces for which a seeder of the same zone existed.
    pub announces_with_local_seeder: u64,
    /// Peers handed out.
    pub peers: u64,
    /// Peers of the same zone handed out.
    pub local_peers: u64,
    /// Upper bound of what was loaded from peers of the same zone, in MiB (O11).
    pub saved_mib: u64,
}

impl HandedOut {
    /// Counts what was handed out to others as well.
    pub const fn add(&mut self, others: &HandedOut) {
        self.announces += others.announces;
        self.announces_with_local += others.announces_with_local;
        self.announces_with_local_seeder += others.announces_with_local_seeder;
        self.peers += others.peers;
        self.local_peers += others.local_peers;
        self.saved_mib += others.saved_mib;
    }
}

/// One zone, or one prefix of zone names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZoneCount {
    /// Its path, as `moscow/north/building-7`; empty for the peers in no zone.
    pub path: String,
    /// Peers in exactly this zone.
    pub own: Roles,
    /// Peers in it and below it.
    pub below: Roles,
    /// Torrents that have a peer in it or below it.
    pub torrents: u64,
    /// What was handed out to peers in it and below it.
    pub handed_out: HandedOut,
    /// What was handed out to peers in exactly this zone.
    pub own_handed_out: HandedOut,
    /// How fast announces of peers in it and below it came between the census before and this one; 0 in the first.
    pub announces_per_second: f64,
    /// Whether its peers see only their own (S9).
    pub is_strict: bool,
}

/// Zones for which there was no room. Their peers count in the zones above them, as far as these have rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneRest {
    /// How many zones.
    pub zones: usize,
    /// Their peers.
    pub roles: Roles,
    /// What was handed out to them.
    pub handed_out: HandedOut,
}

/// An address (v6: a /64) that announces too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrequentAnnouncer {
    /// Who.
    pub network: IpNet,
    /// Announces that came too early (S11) since it was first noticed.
    pub early: u64,
    /// When it last called.
    pub last_seen: Seconds,
}

/// One torrent with its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmView {
    /// Its sums.
    pub torrent: TorrentView,
    /// Paused partial seeds among its leechers.
    pub paused: u64,
    /// Its peers by client, most first; at most [`CLIENT_ROWS`].
    pub clients: Vec<ClientCount>,
    /// Its peers by zone path, most first; at most [`ZONE_ROWS`].
    pub zones: Vec<(String, Roles)>,
    /// Zones with peers of it that have no row in `zones`.
    pub more_zones: usize,
}

impl SwarmView {
    /// What is seen of a torrent that nobody has.
    pub const fn unknown(info_hash: InfoHash) -> SwarmView {
        SwarmView {
            torrent: TorrentView {
                info_hash,
                roles: Roles {
                    seeders: 0,
                    leechers: 0,
                },
                downloaded: 0,
            },
            paused: 0,
            clients: Vec::new(),
            zones: Vec::new(),
            more_zones: 0,
        }
    }
}

/// By what a page of peers is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerOrder {
    /// v4 before v6, then by number.
    #[default]
    Address,
    /// By port.
    Port,
    /// By info hash.
    Torrent,
    /// By time of the last announce.
    LastSeen,
}

/// Where the peers of a list lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneFilter {
    /// In no zone.
    Nowhere,
    /// In the zone with this path, or below it.
    Within(String),
}

/// Which peers a page shows. The default is every peer by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersQuery {
    /// Rows to pass over; from [`LISTED_ROWS`] on a page is empty.
    pub offset: u64,
    /// Rows to return, at most [`LISTED_ROWS`].
    pub limit: u32,
    /// By what to sort.
    pub order: PeerOrder,
    /// Whether the largest comes first.
    pub is_descending: bool,
    /// Only peers in this network.
    pub network: Option<IpNet>,
    /// Only peers of this torrent.
    pub torrent: Option<InfoHash>,
    /// Only peers whose id begins with one of these; everybody when empty.
    pub clients: Vec<Vec<u8>>,
    /// Only peers that lie there.
    pub zone: Option<ZoneFilter>,
}

impl PeersQuery {
    /// Whether a peer belongs into the list, as far as its zone does not matter.
    pub fn admits(&self, info_hash: &InfoHash, ip: IpAddr, id: &[u8]) -> bool {
        self.torrent.is_none_or(|torrent| torrent == *info_hash)
            && self.network.is_none_or(|network| network.contains(&ip))
            && (self.clients.is_empty() || self.clients.iter().any(|client| id.starts_with(client)))
    }
}

/// One page of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersPage {
    /// How many the query matches in all.
    pub total: u64,
    /// The rows.
    pub peers: Vec<PeerView>,
}

/// By what a page of torrents is sorted; equals by info hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TorrentOrder {
    /// By peers.
    #[default]
    Peers,
    /// By seeders.
    Seeders,
    /// By leechers.
    Leechers,
    /// By completed downloads.
    Downloaded,
    /// By info hash.
    Hash,
}

/// Which torrents a page shows. The default is every torrent, smallest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentsQuery {
    /// Rows to pass over; from [`LISTED_ROWS`] on a page is empty.
    pub offset: u64,
    /// Rows to return, at most [`LISTED_ROWS`].
    pub limit: u32,
    /// By what to sort.
    pub order: TorrentOrder,
    /// Whether the largest comes first.
    pub is_descending: bool,
    /// Only torrents whose hash begins so: lower-case hex digits, at most 40.
    pub hash_prefix: String,
}

/// One page of torrents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentsPage {
    /// How many the query matches in all.
    pub total: u64,
    /// The rows.
    pub torrents: Vec<TorrentView>,
}
