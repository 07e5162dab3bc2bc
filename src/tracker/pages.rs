//! One page of many peers or torrents, sorted no more than it takes. Off the request path.

use super::census::{
    PAGE_ROWS, PeerOrder, PeerView, PeersPage, PeersQuery, TorrentOrder, TorrentView, TorrentsPage,
    TorrentsQuery,
};
use super::id::InfoHash;
use super::stored::StoredPeer;
use super::tally::view;

/// Sorts only as much as the page needs, and cuts it out.
fn page<T, K: Ord>(
    mut rows: Vec<T>,
    offset: u64,
    limit: u32,
    is_descending: bool,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let limit = limit.min(PAGE_ROWS) as usize;
    if offset >= rows.len() {
        return Vec::new();
    }
    let order = |one: &T, other: &T| {
        let order = key(one).cmp(&key(other));
        if is_descending {
            order.reverse()
        } else {
            order
        }
    };
    if offset > 0 {
        rows.select_nth_unstable_by(offset, order);
    }
    let mut rows = rows.split_off(offset);
    if limit < rows.len() {
        rows.select_nth_unstable_by(limit, order);
        rows.truncate(limit);
    }
    rows.sort_unstable_by(order);
    rows
}

/// One page of the peers that were gathered.
pub(super) fn peers_page(peers: Vec<PeerView>, query: &PeersQuery) -> PeersPage {
    let total = peers.len() as u64;
    let cut = |peers, key: fn(&PeerView) -> (u64, InfoHash)| {
        page(
            peers,
            query.offset,
            query.limit,
            query.is_descending,
            |peer: &PeerView| {
                let (first, hash) = key(peer);
                (first, hash, peer.ip, peer.port, peer.info_hash)
            },
        )
    };
    const NONE: InfoHash = InfoHash([0; 20]);
    let peers = match query.order {
        PeerOrder::Address => cut(peers, |_| (0, NONE)),
        PeerOrder::Port => cut(peers, |peer| (peer.port.into(), NONE)),
        PeerOrder::Torrent => cut(peers, |peer| (0, peer.info_hash)),
        PeerOrder::LastSeen => cut(peers, |peer| (peer.last_seen.raw().into(), NONE)),
    };
    PeersPage { total, peers }
}

/// Gathers peers for a page.
pub(super) fn admit(
    peers: &mut Vec<PeerView>,
    query: &PeersQuery,
    hash: &InfoHash,
    peer: &StoredPeer,
) {
    if query.admits(hash, peer.ip, &peer.id.0) {
        peers.push(view(hash, peer));
    }
}

/// One page of the torrents that were gathered.
pub(super) fn torrents_page(mut torrents: Vec<TorrentView>, query: &TorrentsQuery) -> TorrentsPage {
    if !query.hash_prefix.is_empty() {
        torrents.retain(|torrent| {
            torrent
                .info_hash
                .to_string()
                .starts_with(&query.hash_prefix)
        });
    }
    let total = torrents.len() as u64;
    let torrents = page(
        torrents,
        query.offset,
        query.limit,
        query.is_descending,
        |torrent: &TorrentView| {
            let first = match query.order {
                TorrentOrder::Peers => torrent.roles.peers(),
                TorrentOrder::Seeders => torrent.roles.seeders,
                TorrentOrder::Leechers => torrent.roles.leechers,
                TorrentOrder::Downloaded => u64::from(torrent.downloaded),
                TorrentOrder::Hash => 0,
            };
            (first, torrent.info_hash)
        },
    );
    TorrentsPage { total, torrents }
}
