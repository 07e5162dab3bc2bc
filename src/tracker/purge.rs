//! Removing from a swarm whom the blocklist covers.

use std::net::IpAddr;

use super::marks::{Gone, Marks};
use super::peer::{Address, KeptId, Peer};
use super::peers::Peers;
use super::swarm::Swarm;
use super::visit::Rules;

impl<I: KeptId> Swarm<I> {
    /// Removes all peers for which `is_gone` holds. Returns how many.
    pub(super) fn remove_where(
        &mut self,
        rules: &Rules<'_>,
        is_gone: impl Fn(IpAddr) -> bool,
    ) -> usize {
        fn purge<A: Address, I: KeptId>(
            peers: &mut Peers<A, I>,
            is_gone: impl Fn(IpAddr) -> bool,
            bury: &mut impl FnMut(&Peer<A, I>),
        ) {
            if !peers.iter().any(|(_, peer)| is_gone(peer.ip())) {
                return;
            }
            let (gone, stay): (Vec<_>, Vec<_>) = peers
                .drain()
                .into_iter()
                .partition(|(_, peer)| is_gone(peer.ip()));
            *peers = Peers::rebuild(stay);
            gone.iter().for_each(|(_, peer)| bury(peer));
        }
        let before = self.len();
        if self.edition != rules.edition {
            self.place_anew(rules);
        }
        let mut gone = Gone::default();
        purge(&mut self.v4, &is_gone, &mut |peer| {
            gone.bury(peer.spot.address(), &peer.state, rules.loads);
        });
        if let Some(extra) = &mut self.extra {
            purge(&mut extra.v6, &is_gone, &mut |peer| {
                gone.bury(peer.spot.address(), &peer.state, rules.loads);
            });
        }
        self.mark(Marks::default(), gone.marks);
        let last_seen = gone.last_seen;
        gone.parted.unlink(self, rules);
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
