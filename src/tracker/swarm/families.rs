//! Both address families of a swarm: v4 peers stand in the swarm itself, v6 peers in its [`Extra`](super::Extra), and what is done with either is written
//! once. The macros write it out for each, so that nothing is called through a table on the announce path.

use std::net::{IpAddr, SocketAddr};

use super::Swarm;
use crate::metrics::Family;
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::position::Position;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::zones::Zones;

type V4 = [u8; 6];
type V6 = [u8; 18];

/// The peers of each family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Families<PeersV4, PeersV6> {
    pub v4: PeersV4,
    /// `None` where the swarm has no [`Extra`](super::Extra).
    pub v6: Option<PeersV6>,
}

/// Does the same with the peers of each family.
macro_rules! for_each_family {
    ($families:expr, $peers:ident => $work:expr) => {{
        let families = $families;
        {
            let $peers = families.v4;
            $work;
        }
        if let Some($peers) = families.v6 {
            $work;
        }
    }};
}

/// Does something with the peers of one family, if the swarm has a place for them; `None` if it has not.
macro_rules! of_family {
    ($families:expr, $family:expr, $peers:ident => $work:expr) => {{
        let families = $families;
        match $family {
            $crate::metrics::Family::V4 => {
                let $peers = families.v4;
                Some($work)
            }
            $crate::metrics::Family::V6 => families.v6.map(|$peers| $work),
        }
    }};
}

pub(super) use {for_each_family, of_family};

/// The family of an address, then the other one.
pub(super) fn own_first(ip: IpAddr) -> [Family; 2] {
    match Family::of(ip) {
        Family::V4 => [Family::V4, Family::V6],
        Family::V6 => [Family::V6, Family::V4],
    }
}

impl<I: StoredId> Swarm<I> {
    #[inline]
    pub(super) fn families(&self) -> Families<&Peers<V4, I>, &Peers<V6, I>> {
        Families {
            v4: &self.v4,
            v6: self.extra.as_ref().map(|extra| &extra.v6),
        }
    }

    #[inline]
    pub(super) fn families_mut(&mut self) -> Families<&mut Peers<V4, I>, &mut Peers<V6, I>> {
        Families {
            v4: &mut self.v4,
            v6: self.extra.as_mut().map(|extra| &mut extra.v6),
        }
    }
}

impl<I: StoredId> Families<&Peers<V4, I>, &Peers<V6, I>> {
    /// Where the peer at an address stands.
    pub(super) fn find(self, address: SocketAddr, zones: &Zones) -> Option<(Role, Position)> {
        fn find<A: Address, I: StoredId>(
            peers: &Peers<A, I>,
            address: SocketAddr,
            zone: u32,
        ) -> Option<(Role, Position)> {
            let packed = A::pack(address.ip(), address.port())?;
            peers.find(A::sort_key(zone, packed.key()), Role::Leecher)
        }
        let ip = address.ip();
        let zone = tiered(zones.of(ip), ip);
        of_family!(self, Family::of(ip), peers => find(peers, address, zone)).flatten()
    }
}
