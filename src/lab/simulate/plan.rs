//! What is simulated: how many peers in how many zones, how fast they are, and how the tracker chooses for them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Bytes of a piece; 400 of them are the file of 100 MiB that the paper spreads.
pub(super) const PIECE_BYTES: u64 = 256 << 10;

/// The first /16 that is used: 1.0.0.0.
const FIRST_NETWORK: u32 = 256;

/// Addresses of a /24.
pub(super) const HOSTS: usize = 256;

/// A flash crowd and its clients. Peer 0 is the seeder, outside all zones; the others are dealt out to the zones in turn.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub zones: usize,
    pub peers_per_zone: usize,
    /// The /24s that the peers of a zone are dealt out to in turn.
    pub parts: usize,
    /// Whether the parts are zones below their zone.
    pub is_tree: bool,
    pub pieces: usize,
    /// Bytes a second that a downloader uploads.
    pub rate: u64,
    /// Bytes a second that the seeder uploads.
    pub seeder_rate: u64,
    /// Connections up to which a client opens more; it accepts twice as many.
    pub neighbours: usize,
    /// Peers asked for in an announce.
    pub num_want: u32,
    /// Seconds over which peers arrive, the seeder first; 0: all are there and wait for the seeder.
    pub arrival: u32,
    /// Seconds that a peer seeds after its download.
    pub stay: u32,
}

/// How the tracker chooses peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// At random, as trackers do: it knows no zones, and no two addresses share a prefix that it looks at.
    Random,
    /// Nearest first, by these settings.
    Near { local_share: u32, min_external: u32 },
}

impl Policy {
    pub(super) fn near(local_share: u32, min_external: u32) -> Policy {
        Policy::Near {
            local_share,
            min_external,
        }
    }
}

impl Plan {
    /// Peers in all, the seeder included.
    pub(super) fn peers(&self) -> usize {
        1 + self.zones * self.peers_per_zone
    }

    /// The zone of a peer; `None` for the seeder.
    pub(super) fn zone(&self, peer: usize) -> Option<usize> {
        peer.checked_sub(1).map(|leecher| leecher % self.zones)
    }

    /// The address of a peer: in a /24 of the /16 of its zone, or in a /16 of its own when peers are not told apart.
    pub(super) fn address(&self, peer: usize, policy: Policy) -> Ipv4Addr {
        let (network, neighbour) = match (policy, peer.checked_sub(1)) {
            (Policy::Random, _) => (peer, 0),
            (Policy::Near { .. }, None) => (self.zones, 0),
            (Policy::Near { .. }, Some(leecher)) => (leecher % self.zones, leecher / self.zones),
        };
        let place = (neighbour % self.parts) * HOSTS + neighbour / self.parts + 1;
        let [network, place] = [network, place].map(|number| {
            let number = u32::try_from(number);
            debug_assert!(number.is_ok(), "numbers of some ten thousand peers");
            number.unwrap_or(0)
        });
        Ipv4Addr::from(((FIRST_NETWORK + network) << 16) + place)
    }

    /// The networks that are zones, with their names: the /16 of each zone and, in a tree, the /24s of its parts.
    pub(super) fn networks(&self) -> anyhow::Result<Vec<(String, Ipv4Net)>> {
        let parts = if self.is_tree { self.parts } else { 0 };
        let mut networks = Vec::new();
        for zone in 0..self.zones {
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

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.pieces as u64 * PIECE_BYTES
    }
}
