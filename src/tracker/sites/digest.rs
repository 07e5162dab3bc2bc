//! A digest of all living peers that does not depend on their order: two trackers that know the same have the same one.

use crate::clock::Seconds;
use crate::tracker::id::InfoHash;
use crate::tracker::swarm::stored::StoredPeer;
use crate::tracker::{AllSwarms, Tracker, with};

/// What a tracker knows of living peers, to be compared with another one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwarmsDigest {
    /// Torrent, address, port and role of each peer.
    pub peers_digest: u64,
    /// Living peers.
    pub peers: u64,
    /// Those of them that have everything, or are paused.
    pub seeders: u64,
    /// Torrents with living peers.
    pub torrents: u64,
    /// Torrent and count of each that anybody completed.
    pub downloaded_digest: u64,
    /// The sum of these counts.
    pub downloaded: u64,
}

/// Mixes 64 bits well; the finaliser of `SplitMix64`. The same in every version, since versions are compared.
fn mixed(all: u64, word: u64) -> u64 {
    let mut mixed = (all ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn of_bytes(seed: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(seed, |all, chunk| {
        let word = chunk
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        mixed(all, word)
    })
}

fn of_peer(of_torrent: u64, peer: &StoredPeer) -> u64 {
    let address = super::packed(peer.ip, peer.port);
    let role = u64::from(peer.is_seeder) | u64::from(peer.is_paused) << 1;
    mixed(of_bytes(of_torrent, &address), role)
}

impl SwarmsDigest {
    fn add(&mut self, hash: &InfoHash, downloaded: u32, peers: impl Iterator<Item = StoredPeer>) {
        let of_torrent = of_bytes(1, &hash.0);
        let before = self.peers;
        for peer in peers {
            self.peers += 1;
            self.seeders += u64::from(peer.is_seeder || peer.is_paused);
            self.peers_digest = self.peers_digest.wrapping_add(of_peer(of_torrent, &peer));
        }
        self.torrents += u64::from(self.peers > before);
        if downloaded > 0 {
            let count = mixed(of_torrent, downloaded.into());
            self.downloaded_digest = self.downloaded_digest.wrapping_add(count);
            self.downloaded = self.downloaded.saturating_add(downloaded.into());
        }
    }
}

impl Tracker {
    /// Digests all living peers and all counts. Costs time in proportion to the peers and holds one shard at a time.
    pub fn digest(&self, now: Seconds) -> SwarmsDigest {
        let policy = self.policy.load_full();
        let horizon = self.rules(&policy, now).horizon();
        let mut digest = SwarmsDigest::default();
        with!(self, swarms => swarms.for_each(|hash, swarm| {
            digest.add(hash, swarm.downloaded_everywhere(), swarm.export(horizon).into_iter());
        }));
        digest
    }
}
