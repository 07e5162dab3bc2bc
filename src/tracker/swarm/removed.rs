//! What peers that leave a swarm together leave behind: counts to be taken off, and second addresses to be untied.

use std::net::SocketAddr;

use super::dual_stack::link::Parted;
use super::kept_counts::KeptCounts;
use crate::tracker::abuse::address_counts::AddressCounts;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::State;

/// Peers that leave a swarm together.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub kept_counts: KeptCounts,
    /// When the last of them was here.
    pub last_seen: u32,
    pub parted: Parted,
}

impl Removed {
    /// Adds one of them.
    pub(super) fn on_removed<A: Address, I: StoredId>(
        &mut self,
        address: A,
        state: &State<I>,
        address_counts: &AddressCounts,
    ) {
        address_counts.take(address.ip());
        self.parted
            .note(SocketAddr::new(address.ip(), address.port()), state);
        self.kept_counts = self.kept_counts.plus(KeptCounts::of(state));
        self.last_seen = self.last_seen.max(state.seen().raw());
    }
}
