//! What a swarm tells other trackers: its own peers, as they are now. Those that are known from others are theirs to tell.

use std::net::SocketAddr;

use super::Swarm;
use super::families::{for_each_family, of_family};
use super::stored::StoredPeer;
use super::upsert::Rules;
use crate::clock::Seconds;
use crate::metrics::Family;
use crate::tracker::peers::Role;
use crate::tracker::peers::address::Address;
use crate::tracker::peers::owner::{StoredId, StoredKey};
use crate::tracker::peers::peer::Peer;
use crate::tracker::sites::PeerDelta;

impl<I: StoredId> Swarm<I> {
    fn delta<A: Address>(&self, role: Role, peer: &Peer<A, I>) -> PeerDelta {
        let alternates = self.extra.as_ref().map(|extra| &extra.alternates);
        PeerDelta {
            peer: StoredPeer::of(role, peer, |address| alternates?.of(address)),
            key_proof: peer.state.key.proof(),
            has_left: false,
        }
    }

    /// Whether a peer is one that others are told of.
    fn is_told<A: Address>(peer: &Peer<A, I>, horizon: u32) -> bool {
        let state = &peer.state;
        !state.is_elsewhere() && state.seen().raw() > horizon && !peer.ip().is_loopback()
    }

    /// The own living peer at an address. The swarm has been [refreshed](Swarm::refresh).
    pub(super) fn own_peer(&self, address: SocketAddr, rules: &Rules<'_>) -> Option<PeerDelta> {
        let (role, position) = self.families().find(address, rules.zones)?;
        let told = of_family!(self.families(), Family::of(address.ip()), peers => {
            let (_, peer) = peers.view(role).peer_at(position.rank)?;
            Self::is_told(&peer, rules.horizon()).then(|| self.delta(role, &peer))
        });
        told.flatten()
    }

    /// When the peer at an address announced last, here or elsewhere. The swarm has been [refreshed](Swarm::refresh).
    pub(super) fn seen_at(&self, address: SocketAddr, rules: &Rules<'_>) -> Option<Seconds> {
        let (role, position) = self.families().find(address, rules.zones)?;
        let seen = of_family!(self.families(), Family::of(address.ip()), peers => {
            let (_, peer) = peers.view(role).peer_at(position.rank)?;
            Some(peer.state.seen())
        });
        seen.flatten()
    }

    /// All own living peers.
    pub(crate) fn own_peers(&self, horizon: u32) -> Vec<PeerDelta> {
        let mut own = Vec::new();
        for_each_family!(self.families(), peers => {
            let told = peers.iter().filter(|(_, peer)| Self::is_told(peer, horizon));
            own.extend(told.map(|(role, peer)| self.delta(role, &peer)));
        });
        own
    }

    /// Whether it has any.
    pub(crate) fn has_own_peers(&self, horizon: u32) -> bool {
        let mut has_own = false;
        for_each_family!(self.families(), peers => {
            has_own = has_own || peers.iter().any(|(_, peer)| Self::is_told(&peer, horizon));
        });
        has_own
    }

    /// The own count and those of others, with their origins.
    pub(crate) fn counts_by_origin(&self) -> Vec<(Option<crate::tracker::Origin>, u32)> {
        let own = Some((None, self.downloaded)).filter(|(_, count)| *count > 0);
        let elsewhere = self.downloaded_elsewhere();
        let others = elsewhere.rows().iter();
        own.into_iter()
            .chain(others.map(|(origin, count)| (Some(*origin), *count)))
            .collect()
    }
}
