//! What pages of many peers or torrents are sorted by, and whom a search admits. Off the request path.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use super::census::{PeerOrder, PeerView, PeersQuery, TorrentOrder, TorrentView, TorrentsQuery};
use crate::tracker::id::InfoHash;

fn directed(order: Ordering, is_descending: bool) -> Ordering {
    if is_descending {
        order.reverse()
    } else {
        order
    }
}

/// How two peers stand to each other in the list; no two are equal.
pub(super) fn peer_order(query: &PeersQuery) -> impl Fn(&PeerView, &PeerView) -> Ordering + use<> {
    let (order, is_descending) = (query.order, query.is_descending);
    move |one, other| {
        let by_key = match order {
            PeerOrder::Address => Ordering::Equal,
            PeerOrder::Port => one.port.cmp(&other.port),
            PeerOrder::Torrent => one.info_hash.cmp(&other.info_hash),
            PeerOrder::LastSeen => one.last_seen.cmp(&other.last_seen),
        };
        let order = by_key
            .then_with(|| one.ip.cmp(&other.ip))
            .then_with(|| one.port.cmp(&other.port))
            .then_with(|| one.info_hash.cmp(&other.info_hash));
        directed(order, is_descending)
    }
}

/// How two torrents stand to each other in the list; no two are equal.
pub(super) fn torrent_order(
    query: &TorrentsQuery,
) -> impl Fn(&TorrentView, &TorrentView) -> Ordering + use<> {
    let (order, is_descending) = (query.order, query.is_descending);
    let key = move |torrent: &TorrentView| match order {
        TorrentOrder::Peers => torrent.roles.peers(),
        TorrentOrder::Seeders => torrent.roles.seeders,
        TorrentOrder::Leechers => torrent.roles.leechers,
        TorrentOrder::Downloaded => torrent.downloaded.into(),
        TorrentOrder::Hash => 0,
    };
    move |one, other| {
        let by_key = key(one).cmp(&key(other));
        let order = by_key.then_with(|| one.info_hash.cmp(&other.info_hash));
        directed(order, is_descending)
    }
}

/// The info hashes that begin with these lower-case hex digits; `None` when there can be none.
pub(super) fn beginning_with(digits: &str) -> Option<RangeInclusive<InfoHash>> {
    let is_lower = digits.len() <= 40 && !digits.bytes().any(|digit| digit.is_ascii_uppercase());
    let filled = |with: char| {
        let padding = std::iter::repeat_n(with, 40_usize.saturating_sub(digits.len()));
        InfoHash::from_hex(&digits.chars().chain(padding).collect::<String>())
    };
    is_lower.then_some(filled('0')?..=filled('f')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn a_range_of_hashes_is_those_with_the_digits(hash in any::<[u8; 20]>(), of in any::<[u8; 20]>(), digits in "[0-9a-gA-F]{0,3}", length in 0_usize..=40) {
            let of = InfoHash(of).to_string();
            for digits in [digits.as_str(), &of[..length]] {
                let hash = InfoHash(hash);
                let is_in = beginning_with(digits).is_some_and(|range| range.contains(&hash));
                prop_assert_eq!(is_in, hash.to_string().starts_with(digits));
            }
            prop_assert_eq!(beginning_with(&of[..length]).map(|range| range.contains(&InfoHash::from_hex(&of).unwrap())), Some(true));
        }
    }

    #[test]
    fn more_digits_than_a_hash_has_find_nothing() {
        assert_eq!(beginning_with(&"0".repeat(41)), None);
        assert_eq!(beginning_with("é"), None);
    }
}
