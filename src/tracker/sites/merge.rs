//! The way in: what another tracker tells is checked here and merged into the swarms, within the bounds and lists of this tracker.
//!
//! Of two states of one peer the one that was seen later stands, wherever it was seen. So it does not matter in which order, how often and
//! by which way trackers hear of it.

use std::net::SocketAddr;

use super::leaves::{Leave, Leaves};
use super::publish::may_be_told;
use super::{Merged, Origin, PeerDelta, SwarmDelta};
use crate::clock::Seconds;
use crate::tracker::access::AccessLists;
use crate::tracker::id::InfoHash;
use crate::tracker::swarm::upsert::Rules;
use crate::tracker::{AllSwarms, Tracker, with};

/// Who tells, and what has to be asked before it is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// `None` for what this tracker itself told before it was restarted.
    pub origin: Option<Origin>,
    access: &'a AccessLists,
    leaves: &'a Leaves,
}

impl Source<'_> {
    /// Whether a torrent is served; to be asked under its shard's lock, so that who changes the lists meanwhile finds what is stored.
    pub(crate) fn is_served(&self, hash: &InfoHash) -> bool {
        self.access.admit_torrent(hash).is_ok()
    }

    /// The same of a peer that is told.
    pub(crate) fn may_have(&self, hash: &InfoHash, delta: &PeerDelta) -> bool {
        let peer = &delta.peer;
        self.access.would_serve(hash, peer.ip, &peer.id)
    }

    /// Whether a peer that is told has left since. Who only reports an address does not speak for who is there.
    pub(crate) fn has_left(&self, hash: &InfoHash, delta: &PeerDelta) -> bool {
        let peer = &delta.peer;
        let leave = self.leaves.of(hash, SocketAddr::new(peer.ip, peer.port));
        leave.is_some_and(|leave| {
            leave.at > peer.last_seen && (peer.is_reported || !leave.is_reported)
        })
    }

    /// Remembers that a peer has left at `at`.
    pub(crate) fn remember_leave(
        &self,
        hash: &InfoHash,
        delta: &PeerDelta,
        at: Seconds,
        rules: &Rules<'_>,
    ) {
        let peer = &delta.peer;
        let leave = Leave {
            at,
            is_own: self.origin.is_none(),
            is_reported: peer.is_reported,
        };
        let address = SocketAddr::new(peer.ip, peer.port);
        self.leaves
            .remember(hash, address, leave, rules.now, rules.lifetime);
    }

    /// What may be believed of what is told of a peer; `None` when it cannot be, or is over already.
    pub(crate) fn checked(
        &self,
        delta: &PeerDelta,
        rules: &Rules<'_>,
        merged: &mut Merged,
    ) -> Option<PeerDelta> {
        let mut checked = *delta;
        let peer = &mut checked.peer;
        if peer.port == 0 || !may_be_told(peer.ip) {
            merged.invalid = merged.invalid.saturating_add(1);
            return None;
        }
        // Nobody has been seen later than now, whatever a clock or a stranger says.
        peer.last_seen = peer.last_seen.min(rules.now);
        if peer.last_seen.raw() <= rules.horizon() {
            merged.expired = merged.expired.saturating_add(1);
            return None;
        }
        peer.inner_ip = peer.inner_ip.filter(|ip| may_be_told(*ip));
        peer.origin = self.origin;
        Some(checked)
    }
}

impl Tracker {
    /// Merges what another tracker tells of a torrent; with `None` what this tracker itself told before it was restarted. Takes its
    /// shard's lock, once for every 128 peers.
    pub fn merge(&self, origin: Option<Origin>, delta: &SwarmDelta, now: Seconds) -> Merged {
        let policy = self.policy.load();
        let rules = self.rules(&policy, now);
        let source = Source {
            origin,
            access: &self.access,
            leaves: &self.leaves,
        };
        with!(self, swarms => swarms.merge(delta, &source, &rules))
    }
}
