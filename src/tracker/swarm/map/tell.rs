//! Reading what others are to be told, one torrent at a time.

use std::net::SocketAddr;

use super::Swarms;
use crate::clock::Seconds;
use crate::tracker::id::InfoHash;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::sites::PeerDelta;
use crate::tracker::swarm::upsert::Rules;

/// What is at one address of a torrent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// An own living peer.
    Own(PeerDelta),
    /// A peer of another tracker, which last announced then.
    Elsewhere(Seconds),
    Nobody,
}

impl Found {
    pub(crate) fn own(self) -> Option<PeerDelta> {
        match self {
            Found::Own(delta) => Some(delta),
            Found::Elsewhere(_) | Found::Nobody => None,
        }
    }

    /// Whether nothing is known of it from that moment on.
    pub(crate) fn is_before(self, at: Seconds) -> bool {
        match self {
            Found::Own(delta) => delta.peer.last_seen < at,
            Found::Elsewhere(seen) => seen < at,
            Found::Nobody => true,
        }
    }
}

impl<I: StoredId> Swarms<I> {
    /// Looks up peers of one torrent under its shard's lock, and hands what is there to `each`. Returns the own count.
    pub(crate) fn look_up(
        &self,
        hash: &InfoHash,
        addresses: impl Iterator<Item = SocketAddr> + Clone,
        rules: &Rules<'_>,
        mut each: impl FnMut(SocketAddr, Found),
    ) -> u32 {
        let (mut downloaded, mut is_there) = (0, false);
        self.change(hash, rules, |swarm| {
            is_there = true;
            downloaded = swarm.downloaded_here();
            for address in addresses.clone() {
                let found = match swarm.own_peer(address, rules) {
                    Some(delta) => Found::Own(delta),
                    None => swarm
                        .seen_at(address, rules)
                        .map_or(Found::Nobody, Found::Elsewhere),
                };
                each(address, found);
            }
        });
        if !is_there {
            addresses.for_each(|address| each(address, Found::Nobody));
        }
        downloaded
    }
}
