//! Where clients with keys may be stored, for one look at all peers: a peer knows no key, and a key's sessions know its peers.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::tracker::id::InfoHash;

/// The torrents and places of sessions: 8 bytes each, in order. Another place may be taken for one of them, of 10,000,000 with a chance of
/// one in a million millions.
#[derive(Debug)]
pub(in crate::tracker) struct KeyedPlaces {
    hasher: RandomState,
    digests: Vec<u64>,
}

impl KeyedPlaces {
    pub(super) fn of(places: impl Iterator<Item = (InfoHash, IpAddr, u16)>) -> KeyedPlaces {
        let hasher = RandomState::default();
        let digest = |(hash, ip, port): (InfoHash, IpAddr, u16)| digest(&hasher, &hash, ip, port);
        let mut digests: Vec<u64> = places.map(digest).collect();
        digests.sort_unstable();
        KeyedPlaces { hasher, digests }
    }

    /// Whether a session is there.
    pub(in crate::tracker) fn has(&self, hash: &InfoHash, ip: IpAddr, port: u16) -> bool {
        let digest = digest(&self.hasher, hash, ip, port);
        self.digests.binary_search(&digest).is_ok()
    }
}

fn digest(hasher: &RandomState, hash: &InfoHash, ip: IpAddr, port: u16) -> u64 {
    hasher.hash_one((hash.0, ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O16
    #[test]
    fn a_place_is_a_torrent_an_address_and_a_port() {
        let (hash, ip) = (InfoHash([1; 20]), IpAddr::from([192, 0, 2, 1]));
        let places = KeyedPlaces::of([(hash, ip, 1), (hash, ip, 2)].into_iter());
        assert!(places.has(&hash, ip, 1) && places.has(&hash, ip, 2));
        assert!(!places.has(&hash, ip, 3));
        assert!(!places.has(&hash, [192, 0, 2, 2].into(), 1));
        assert!(!places.has(&InfoHash([2; 20]), ip, 1));
    }
}
