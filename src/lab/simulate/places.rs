//! Where the peers of a crowd live: the zones with their parts, who is outside of all, and the addresses of them.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::ensure;
use ipnet::Ipv4Net;

/// Peers at most: every peer may need a /16 of its own.
const MAX_PEERS: usize = 50_000;

/// The first /16 that is used: 1.0.0.0.
const FIRST_NETWORK: u32 = 256;

/// The port of who has an address of its own, and the first of those who share one.
const PORT: u16 = 6881;

/// Addresses of a /24.
const HOSTS: usize = 256;

/// Who lives where. Peer 0 is the seeder outside all zones; then the zones' peers, dealt out in turn; then the outsiders.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Places {
    /// Peers of each zone: seeds, fakes and leechers together.
    pub sizes: Vec<usize>,
    /// The /24s that the peers of a zone are dealt out to in turn.
    pub parts: usize,
    /// Whether the parts are zones below their zone.
    pub is_tree: bool,
    /// Leechers outside all zones.
    pub outsiders: usize,
    /// Peers of each zone that have the file at the start and stay.
    pub seeds: usize,
    /// Peers of each zone that only announce.
    pub fakes: usize,
    /// Addresses that the fakes of a zone share, with a port for each; 0: each has its own.
    pub fake_addresses: usize,
}

/// What a peer is at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The one that brings the file.
    Seeder,
    /// Has the file from the start, at home in its zone.
    Seed,
    Leecher,
    /// Says that it downloads, and neither connects nor answers.
    Fake,
}

/// Where one peer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` for who is outside all.
    pub zone: Option<usize>,
    /// The how manieth of its zone it is, from 0.
    number: usize,
    pub kind: Kind,
}

impl Places {
    /// Refuses what has no addresses.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let largest = self.sizes.iter().copied().max().unwrap_or(0);
        let peers = 1 + self.sizes.iter().sum::<usize>() + self.outsiders;
        let peers = peers + self.sizes.len() * self.fake_addresses;
        ensure!(
            peers <= MAX_PEERS,
            "{peers} peers are too many: {MAX_PEERS} at most"
        );
        ensure!(
            self.parts == 1 || largest.div_ceil(self.parts) < HOSTS,
            "{largest} peers do not fit into {} networks of {HOSTS}",
            self.parts
        );
        let residents = self.seeds + self.fakes;
        ensure!(
            self.outsiders > 0 || residents < largest,
            "{residents} seeds and fakes leave nobody to download"
        );
        Ok(())
    }

    /// Everybody, the seeder first.
    pub(super) fn all(&self) -> Vec<Place> {
        let seeder = Place {
            zone: None,
            number: 0,
            kind: Kind::Seeder,
        };
        let outsider = Place {
            kind: Kind::Leecher,
            ..seeder
        };
        let largest = self.sizes.iter().copied().max().unwrap_or(0);
        let mut all = vec![seeder];
        for number in 0..largest {
            let zones = self.sizes.iter().enumerate();
            let zones = zones.filter(|&(_, &size)| number < size);
            all.extend(zones.map(|(zone, _)| Place {
                zone: Some(zone),
                number,
                kind: self.kind(number),
            }));
        }
        all.extend((0..self.outsiders).map(|_| outsider));
        all
    }

    fn kind(&self, number: usize) -> Kind {
        if number < self.seeds {
            Kind::Seed
        } else if number < self.seeds + self.fakes {
            Kind::Fake
        } else {
            Kind::Leecher
        }
    }

    /// The address of the peer with this index: in a /24 of the /16 of its zone, or in a /16 of its own when it is in no zone or
    /// the tracker shall not tell peers apart. Fakes that share an address have one port after the other there.
    pub(super) fn address(&self, index: usize, place: Place, knows_zones: bool) -> SocketAddrV4 {
        let mut resident = (index, place.number);
        let mut port = PORT;
        if place.kind == Kind::Fake && self.fake_addresses > 0 {
            let fake = place.number - self.seeds;
            let shared = fake % self.fake_addresses;
            let peers = 1 + self.sizes.iter().sum::<usize>() + self.outsiders;
            let zone = place.zone.unwrap_or(0);
            resident = (
                peers + zone * self.fake_addresses + shared,
                self.seeds + shared,
            );
            port += u16::try_from(fake / self.fake_addresses).unwrap_or(0);
        }
        let (index, number) = resident;
        let (network, number) = match place.zone {
            Some(zone) if knows_zones => (zone, number),
            _ => (self.sizes.len() + index, 0),
        };
        let host = (number % self.parts) * HOSTS + number / self.parts + 1;
        let [network, host] = [network, host].map(|number| u32::try_from(number).unwrap_or(0));
        SocketAddrV4::new(
            Ipv4Addr::from(((FIRST_NETWORK + network) << 16) + host),
            port,
        )
    }

    /// The networks that are zones, with their names: the /16 of each zone and, in a tree, the /24s of its parts.
    pub(super) fn networks(&self) -> anyhow::Result<Vec<(String, Ipv4Net)>> {
        let parts = if self.is_tree { self.parts } else { 0 };
        let mut networks = Vec::new();
        for zone in 0..self.sizes.len() {
            let first = (FIRST_NETWORK + u32::try_from(zone)?) << 16;
            let name = format!("zone-{zone}");
            networks.push((name.clone(), Ipv4Net::new(first.into(), 16)?));
            for part in 0..parts {
                let first = first + u32::try_from(part * HOSTS)?;
                networks.push((format!("{name}/{part}"), Ipv4Net::new(first.into(), 24)?));
            }
        }
        Ok(networks)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Two zones of six, of which one seeds and four are fakes on two addresses.
    fn places() -> Places {
        Places {
            sizes: vec![6, 6],
            parts: 1,
            is_tree: false,
            outsiders: 1,
            seeds: 1,
            fakes: 4,
            fake_addresses: 2,
        }
    }

    #[test]
    fn fakes_that_share_addresses_have_different_ports_and_no_zone_shares_with_another() {
        for knows_zones in [false, true] {
            let places = places();
            let all = places.all();
            let addresses: Vec<SocketAddrV4> = (0..)
                .zip(&all)
                .map(|(index, &place)| places.address(index, place, knows_zones))
                .collect();
            let different: HashSet<_> = addresses.iter().collect();
            assert_eq!(different.len(), all.len());
            let of_fakes = all.iter().zip(&addresses);
            let of_fakes = of_fakes.filter(|(place, _)| place.kind == Kind::Fake);
            let lines: HashSet<_> = of_fakes.map(|(_, address)| address.ip()).collect();
            assert_eq!(lines.len(), 2 * 2, "two of each zone");
            let lines: HashSet<_> = addresses.iter().map(SocketAddrV4::ip).collect();
            assert_eq!(lines.len(), all.len() - 4, "nobody else shares one");
        }
    }

    #[test]
    fn everybody_lives_in_a_network_of_its_zone() {
        let places = places();
        let networks = places.networks().unwrap();
        assert_eq!(networks.len(), 2);
        for (index, place) in places.all().into_iter().enumerate() {
            let address = places.address(index, place, true);
            let homes = networks.iter().map(|(_, network)| network);
            let at = homes.into_iter().position(|net| net.contains(address.ip()));
            assert_eq!(at, place.zone);
        }
    }
}
