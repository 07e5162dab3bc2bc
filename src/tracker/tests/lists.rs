//! Pages of peers and torrents agree with a list that is sorted whole and cut.

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

use super::*;
use crate::tracker::report::census::{
    LISTED_ROWS, PeerOrder, PeerView, PeersQuery, TorrentOrder, TorrentView, TorrentsQuery,
};
use crate::tracker::{StoredPeer, StoredSwarm};

const NOW: Seconds = Seconds::START;

const PEER_ORDERS: [PeerOrder; 4] = [
    PeerOrder::Address,
    PeerOrder::Port,
    PeerOrder::Torrent,
    PeerOrder::LastSeen,
];

const TORRENT_ORDERS: [TorrentOrder; 5] = [
    TorrentOrder::Peers,
    TorrentOrder::Seeders,
    TorrentOrder::Leechers,
    TorrentOrder::Downloaded,
    TorrentOrder::Hash,
];

/// Few values of everything, so that much is equal; ages from before and after the end of a life.
fn any_peer() -> impl Strategy<Value = StoredPeer> {
    let flags = any::<(bool, bool, bool)>();
    (0_u32..600, 1_u16..4, flags, 0_u32..7, 0_u8..3).prop_map(
        |(number, port, (is_v6, is_seeder, is_paused), age, client)| StoredPeer {
            origin: None,
            ip: if is_v6 {
                std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number)).into()
            } else {
                v4(0x0a00_0000 + number)
            },
            inner_ip: None,
            port,
            id: PeerId([b'a' + client; 20]),
            is_seeder: is_seeder && !is_paused,
            is_reported: false,
            is_paused,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: NOW.minus(Settings::default().lifetime() * age / 6),
        },
    )
}

fn any_swarms() -> impl Strategy<Value = Vec<StoredSwarm>> {
    let peers = prop::collection::vec(any_peer(), 0..150);
    let swarm = (any::<[u8; 2]>(), 0_u32..3, peers);
    prop::collection::vec(swarm, 0..12).prop_map(|swarms| {
        let swarms = swarms
            .into_iter()
            .map(|([hash, last], downloaded, mut peers)| {
                // A snapshot has each peer once.
                peers.sort_by_key(|peer: &StoredPeer| (peer.ip, peer.port));
                peers.dedup_by_key(|peer| (peer.ip, peer.port));
                let mut info_hash = [hash % 4; 20];
                info_hash[19] = last % 8;
                StoredSwarm {
                    downloaded_elsewhere: Vec::new(),
                    info_hash: InfoHash(info_hash),
                    downloaded,
                    last_used: NOW,
                    peers,
                }
            });
        swarms.collect()
    })
}

/// Puts the swarms in while everybody lives, so that the dead are among those stored at [`NOW`].
fn filled(swarms: &[StoredSwarm]) -> Tracker {
    let settings = Settings {
        max_torrents_per_address: 0,
        max_ports_per_address: 0,
        ..Settings::default()
    };
    let tracker = Tracker::new(settings, Arc::new(Metrics::new(1)));
    for swarm in swarms {
        tracker.restore(swarm.clone(), NOW.minus(Settings::default().lifetime()));
    }
    tracker
}

/// Every living peer, as a snapshot would have it.
fn stored(tracker: &Tracker) -> Vec<(StoredSwarm, Vec<PeerView>)> {
    let mut all = Vec::new();
    for hash in tracker.changed_or_not() {
        let swarm = tracker.export(&hash, NOW).unwrap();
        let view = |peer: &StoredPeer| PeerView {
            info_hash: hash,
            ip: peer.ip,
            port: peer.port,
            client: [peer.id.0[0]; 8],
            is_seeder: peer.is_seeder,
            is_paused: peer.is_paused,
            last_seen: peer.last_seen,
        };
        let peers = swarm.peers.iter().map(view).collect();
        all.push((swarm, peers));
    }
    all
}

impl Tracker {
    fn changed_or_not(&self) -> Vec<InfoHash> {
        self.mark_all_changed();
        self.changed()
    }
}

fn page<T>(rows: Vec<T>, is_descending: bool, offset: u64, limit: u32) -> Vec<T> {
    let mut rows = rows;
    if is_descending {
        rows.reverse();
    }
    let offset = usize::try_from(offset).unwrap();
    rows.into_iter()
        .skip(offset)
        .take(limit.min(LISTED_ROWS) as usize)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// W5
    #[test]
    fn a_page_of_peers_is_cut_from_the_sorted_list(
        swarms in any_swarms(),
        offset in 0_u64..900,
        limit in 0_u32..260,
        is_descending in any::<bool>(),
        search in 0_u8..4,
    ) {
        let tracker = filled(&swarms);
        let all: Vec<PeerView> = stored(&tracker).into_iter().flat_map(|(_, peers)| peers).collect();
        for order in PEER_ORDERS {
            let mut query = PeersQuery { offset, limit, order, is_descending, ..PeersQuery::default() };
            match search {
                1 => query.network = "10.0.1.0/24".parse().ok(),
                2 => query.torrent = swarms.first().map(|swarm| swarm.info_hash),
                3 => query.clients = vec![b"aaa".to_vec(), b"c".to_vec()],
                _ => {}
            }
            let mut rows: Vec<PeerView> = all.clone();
            rows.retain(|peer| match search {
                1 => matches!(peer.ip, IpAddr::V4(ip) if ip.octets()[..3] == [10, 0, 1]),
                2 => query.torrent.is_none_or(|torrent| torrent == peer.info_hash),
                3 => peer.client[0] != b'b',
                _ => true,
            });
            rows.sort_by_key(|peer| (peer.ip, peer.port, peer.info_hash));
            match order {
                PeerOrder::Address => {}
                PeerOrder::Port => rows.sort_by_key(|peer| peer.port),
                PeerOrder::Torrent => rows.sort_by_key(|peer| peer.info_hash),
                PeerOrder::LastSeen => rows.sort_by_key(|peer| peer.last_seen),
            }
            let found = tracker.peers_page(&query, NOW);
            prop_assert_eq!(found.total, rows.len() as u64);
            prop_assert_eq!(found.peers, page(rows, is_descending, offset, limit), "{:?}", order);
        }
    }

    /// W5
    #[test]
    fn a_page_of_torrents_is_cut_from_the_sorted_list(
        swarms in any_swarms(),
        offset in 0_u64..14,
        limit in 0_u32..14,
        is_descending in any::<bool>(),
        digits in "(0[0-3]){0,2}",
    ) {
        let tracker = filled(&swarms);
        let mut all: Vec<TorrentView> = Vec::new();
        for (swarm, peers) in stored(&tracker) {
            let mut torrent = TorrentView { info_hash: swarm.info_hash, roles: Default::default(), downloaded: swarm.downloaded };
            peers.iter().for_each(|peer| torrent.roles.count(peer.is_seeder));
            all.push(torrent);
        }
        all.retain(|torrent| torrent.roles.peers() > 0 && torrent.info_hash.to_string().starts_with(&digits));
        for order in TORRENT_ORDERS {
            let query = TorrentsQuery { offset, limit, order, is_descending, hash_prefix: digits.clone() };
            let mut rows = all.clone();
            rows.sort_by_key(|torrent| torrent.info_hash);
            match order {
                TorrentOrder::Peers => rows.sort_by_key(|torrent| torrent.roles.peers()),
                TorrentOrder::Seeders => rows.sort_by_key(|torrent| torrent.roles.seeders),
                TorrentOrder::Leechers => rows.sort_by_key(|torrent| torrent.roles.leechers),
                TorrentOrder::Downloaded => rows.sort_by_key(|torrent| torrent.downloaded),
                TorrentOrder::Hash => {}
            }
            let found = tracker.torrents_page(&query, NOW);
            prop_assert_eq!(found.total, rows.len() as u64);
            prop_assert_eq!(found.torrents, page(rows, is_descending, offset, limit), "{:?}", order);
        }
    }
}
