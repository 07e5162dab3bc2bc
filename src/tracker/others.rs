//! Second addresses of peers in one swarm (S10): who shares a realm with a peer is handed the one inside, others the one
//! outside.

use std::net::{IpAddr, SocketAddr};

use super::announce::{Announce, PeerList};
use super::peer::Address;
use super::realm::Realm;

/// Second addresses that one swarm keeps at most.
const OTHERS_MOST: usize = 64;

/// Second addresses by first ones.
#[derive(Debug, Default)]
pub(super) struct Others(Vec<(SocketAddr, IpAddr)>);

impl Others {
    pub(super) fn new(others: impl IntoIterator<Item = (SocketAddr, IpAddr)>) -> Others {
        Others(others.into_iter().take(OTHERS_MOST).collect())
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
        let kept = other.filter(|_| self.0.len() < OTHERS_MOST);
        self.0.extend(kept.map(|other| (first, other)));
        kept.is_some()
    }

    /// Forgets the addresses of peers that `is_there` does not know.
    pub(super) fn retain(&mut self, is_there: impl Fn(SocketAddr) -> bool) {
        self.0.retain(|(of, _)| is_there(*of));
    }

    /// Puts the second address in the place of the first where the announcer reaches the peer better by it.
    pub(super) fn translate(&self, announce: &Announce, realms: &[Realm], list: &mut PeerList) {
        for (of, other) in &self.0 {
            let better = address_for(announce, of.ip(), *other, realms);
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
fn address_for(announce: &Announce, first: IpAddr, second: IpAddr, realms: &[Realm]) -> IpAddr {
    let realm = realms
        .iter()
        .find(|realm| realm.inside.contains(&first) || realm.inside.contains(&second));
    let (inner, outer) = if realm.is_some_and(|realm| realm.inside.contains(&first)) {
        (first, second)
    } else {
        (second, first)
    };
    let is_inside = |ip: &IpAddr| realm.is_some_and(|realm| realm.inside.contains(ip));
    let shares = announce.ip == outer
        || is_inside(&announce.ip)
        || announce.inner_ip.as_ref().is_some_and(is_inside);
    if shares { inner } else { outer }
}
