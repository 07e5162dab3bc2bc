//! Second addresses of peers in one swarm (S10): who is inside the same pair of networks as a peer is handed the one inside, others the one
//! outside.

use std::net::{IpAddr, SocketAddr};

use crate::net::AddressPair;
use crate::tracker::announce::{Announce, PeerList};
use crate::tracker::peers::address::Address;

/// Second addresses that one swarm keeps at most.
const MAX_OTHERS: usize = 64;

/// Second addresses by first ones.
#[derive(Debug, Default)]
pub(super) struct AlternateAddresses(Vec<(SocketAddr, IpAddr)>);

impl AlternateAddresses {
    pub(super) fn new(
        alternate_addresses: impl IntoIterator<Item = (SocketAddr, IpAddr)>,
    ) -> AlternateAddresses {
        AlternateAddresses(alternate_addresses.into_iter().take(MAX_OTHERS).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The second address of the peer at `first`.
    pub(super) fn of(&self, first: SocketAddr) -> Option<IpAddr> {
        self.0
            .iter()
            .find(|(of, _)| *of == first)
            .map(|(_, other)| *other)
    }

    /// Replaces the second address of the peer at `first`; whether it has one then. There is room for a few only.
    pub(super) fn keep(&mut self, first: SocketAddr, other: Option<IpAddr>) -> bool {
        self.0.retain(|(of, _)| *of != first);
        let kept = other.filter(|_| self.0.len() < MAX_OTHERS);
        self.0.extend(kept.map(|other| (first, other)));
        kept.is_some()
    }

    /// Puts back the second address of the peer at `first`, when it has none; there is room for a few only.
    pub(super) fn put(&mut self, first: SocketAddr, other: IpAddr) {
        if self.of(first).is_none() {
            self.keep(first, Some(other));
        }
    }

    /// Forgets the addresses of peers that `is_there` does not know.
    pub(super) fn retain(&mut self, is_there: impl Fn(SocketAddr) -> bool) {
        self.0.retain(|(of, _)| is_there(*of));
    }

    /// Puts the second address in the place of the first where the announcer reaches the peer better by it.
    pub(super) fn translate(
        &self,
        announce: &Announce,
        address_pairs: &[AddressPair],
        list: &mut PeerList,
    ) {
        for (of, other) in &self.0 {
            let better = address_for(announce, of.ip(), *other, address_pairs);
            if better != of.ip() {
                let better = SocketAddr::new(better, of.port());
                replace(&mut list.v4, *of, better);
                replace(&mut list.v6, *of, better);
            }
        }
    }
}

fn replace<A: Address>(listed: &mut [A], from: SocketAddr, to: SocketAddr) {
    if let (Some(from), Some(to)) = (A::pack(from.ip(), from.port()), A::pack(to.ip(), to.port())) {
        listed
            .iter_mut()
            .filter(|address| **address == from)
            .for_each(|address| *address = to);
    }
}

/// By which of a peer's two addresses the announcer reaches it: by the inner one when both are inside, else by the outer.
fn address_for(
    announce: &Announce,
    first: IpAddr,
    second: IpAddr,
    address_pairs: &[AddressPair],
) -> IpAddr {
    let pair = address_pairs
        .iter()
        .find(|pair| pair.inside.contains(&first) || pair.inside.contains(&second));
    let (inner, outer) = if pair.is_some_and(|pair| pair.inside.contains(&first)) {
        (first, second)
    } else {
        (second, first)
    };
    let is_inside = |ip: &IpAddr| pair.is_some_and(|pair| pair.inside.contains(ip));
    let shares = announce.ip == outer
        || is_inside(&announce.ip)
        || announce.inner_ip.as_ref().is_some_and(is_inside);
    if shares { inner } else { outer }
}
