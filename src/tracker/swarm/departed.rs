//! What peers that leave a swarm together leave behind: counts to be taken off, and second addresses to be untied.

use std::net::SocketAddr;

use super::Swarm;
use super::dual_stack::link::UnlinkedPairs;
use super::flag_counts::{FlagCounts, FlagCountsChange};
use super::upsert::Rules;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::Peer;

/// Peers that leave a swarm together.
#[derive(Debug, Default)]
pub(super) struct Departed {
    flag_counts: FlagCounts,
    /// When the last of them was here.
    last_seen: u32,
    parted: UnlinkedPairs,
}

impl Departed {
    /// Adds one of them.
    pub(super) fn on_removed<A: Address, I: StoredId>(
        &mut self,
        peer: &Peer<A, I>,
        rules: &Rules<'_>,
    ) {
        let address = SocketAddr::new(peer.ip(), peer.packed_key.address().port());
        rules.address_counts.take(address.ip());
        if let Some(origin) = peer.state.origin() {
            rules.origins.take(origin);
        }
        self.parted.note(address, &peer.state);
        self.flag_counts = self.flag_counts.plus(FlagCounts::of(&peer.state));
        self.last_seen = self.last_seen.max(peer.state.seen().raw());
    }
}

impl<I: StoredId> Swarm<I> {
    /// Takes the flags of the removed off the counts and parts their pairs of addresses. Returns when the last of them was here.
    pub(super) fn account_removed(&mut self, removed: Departed, rules: &Rules<'_>) -> u32 {
        self.apply(FlagCountsChange {
            before: removed.flag_counts,
            after: FlagCounts::default(),
        });
        removed.parted.unlink(self, rules);
        removed.last_seen
    }
}
