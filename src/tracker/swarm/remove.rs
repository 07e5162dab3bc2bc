//! Removing from a swarm whom the blocklist covers.

use std::net::IpAddr;

use super::Swarm;
use super::departed::Departed;
use super::families::for_each_family;
use super::upsert::Rules;
use crate::tracker::peers::Peers;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::Peer;

impl<I: StoredId> Swarm<I> {
    /// Removes all peers for which `is_gone` holds. Returns how many.
    pub(super) fn remove_where(
        &mut self,
        rules: &Rules<'_>,
        is_gone: impl Fn(IpAddr) -> bool,
    ) -> usize {
        fn purge<A: Address, I: StoredId>(
            peers: &mut Peers<A, I>,
            is_gone: impl Fn(IpAddr) -> bool,
            on_removed: &mut impl FnMut(&Peer<A, I>),
        ) {
            if !peers.iter().any(|(_, peer)| is_gone(peer.ip())) {
                return;
            }
            let (removed, stay): (Vec<_>, Vec<_>) = peers
                .drain()
                .into_iter()
                .partition(|(_, peer)| is_gone(peer.ip()));
            *peers = Peers::rebuild(stay);
            removed.iter().for_each(|(_, peer)| on_removed(peer));
        }
        let before = self.len();
        if self.revision != rules.revision {
            self.place_anew(rules);
        }
        let mut removed = Departed::default();
        for_each_family!(self.families_mut(), peers => purge(peers, &is_gone, &mut |peer| {
            removed.on_removed(peer, rules.address_counts);
        }));
        let last_seen = self.account_removed(removed, rules);
        if self.len() == 0 && before > 0 {
            self.oldest = last_seen;
        }
        self.tidy(rules.zones);
        if before > self.len() {
            self.touch();
        }
        before - self.len()
    }
}
