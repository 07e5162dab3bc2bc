//! What trackers of several sites tell one another of their swarms, as plain values: a way out ([`outbox`], read by [`publish`]) and a way
//! in ([`merge`]). It knows neither names nor engines nor bytes; of another tracker only a number, its [`Origin`].
//!
//! A peer is the tracker's own that it last announced to. Only an announce makes news; what is merged never does, so nothing goes in
//! circles.

mod digest;
pub(super) mod leaves;
pub(super) mod merge;
pub(super) mod origins;
pub(super) mod outbox;
mod publish;
mod ring;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;

pub use digest::SwarmsDigest;

use super::id::InfoHash;
use super::swarm::stored::StoredPeer;

/// How many values an [`Origin`] has, with 0 for the tracker itself.
pub const MAX_ORIGINS: usize = 64;

/// Which other tracker a peer or a count is known from: a number that stands for a name, 1 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(NonZeroU8);

impl Origin {
    /// One that has no name any more: 63.
    pub const UNKNOWN: Origin = Origin(NonZeroU8::MIN.saturating_add(62));

    /// Of a number from 1 to 63; `None` for any other.
    pub const fn new(number: u8) -> Option<Origin> {
        match NonZeroU8::new(number) {
            Some(number) if (number.get() as usize) < MAX_ORIGINS => Some(Origin(number)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

/// An address in the form of v6, and a port, big-endian.
#[inline]
fn packed(ip: IpAddr, port: u16) -> [u8; 18] {
    let bits = match ip {
        IpAddr::V4(ip) => 0xffff_0000_0000 | u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let mut packed = [0; 18];
    if let Some(address) = packed.first_chunk_mut::<16>() {
        *address = bits.to_be_bytes();
    }
    if let Some(last) = packed.last_chunk_mut::<2>() {
        *last = port.to_be_bytes();
    }
    packed
}

fn unpacked(packed: [u8; 18]) -> SocketAddr {
    let [ip @ .., high, low] = packed;
    let ip = IpAddr::from(Ipv6Addr::from(ip)).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes([high, low]))
}

/// A peer that others have to be told of: where it is only. What is told is read when it is published, so that it does not matter in
/// which order workers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Touched {
    info_hash: InfoHash,
    address: [u8; 18],
    has_left: bool,
}

impl Touched {
    #[inline]
    fn new(info_hash: InfoHash, ip: IpAddr, port: u16, has_left: bool) -> Touched {
        Touched {
            info_hash,
            address: packed(ip, port),
            has_left,
        }
    }

    /// The torrent.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    fn address(&self) -> SocketAddr {
        unpacked(self.address)
    }
}

/// What all workers have noted since they were last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TouchedBatch {
    /// The peers; some several times.
    pub touched: Vec<Touched>,
    /// Whether some are missing because there was no room: then all living peers have to be told of again.
    pub has_overflowed: bool,
    /// How many are missing.
    pub dropped: u64,
    /// Whether peers have come back from behind a block: others may never have been told of them, so all have to be told of again.
    pub have_come_back: bool,
}

/// What became of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerDelta {
    /// The peer. `last_seen` says when it announced, or left; its `origin` means nothing here.
    pub peer: StoredPeer,
    /// A digest of its client's key; zeros for none, or where ids are not kept. Not to be handed out to clients.
    pub key_proof: [u8; 3],
    /// Whether it has left. Then only its address, `last_seen` and `is_reported` mean anything.
    pub has_left: bool,
}

/// What became of one torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmDelta {
    /// The torrent.
    pub info_hash: InfoHash,
    /// How many completed it, by the tracker that counted them; `None` for this tracker itself. Absolute: the greatest is right.
    pub downloaded: Vec<(Option<Origin>, u32)>,
    /// Peers of it, in the order in which it happened.
    pub peers: Vec<PeerDelta>,
}

impl SwarmDelta {
    fn of(info_hash: InfoHash) -> SwarmDelta {
        SwarmDelta {
            info_hash,
            downloaded: Vec::new(),
            peers: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.downloaded.is_empty() && self.peers.is_empty()
    }
}

/// What became of a [`SwarmDelta`] that was merged; how many peers each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// They are new.
    pub joined: u32,
    /// They were known, and something about them is new.
    pub refreshed: u32,
    /// They have left.
    pub left: u32,
    /// As new or newer was known.
    pub stale: u32,
    /// Dead already.
    pub expired: u32,
    /// The lists of this tracker do not let them in.
    pub blocked: u32,
    /// A bound of this tracker is reached: of all peers and torrents, of a torrent, or of an address.
    pub over_bound: u32,
    /// What may be known from one origin is reached (`max_share_of_site`).
    pub over_quota: u32,
    /// No peer can have that address or port.
    pub invalid: u32,
}

impl Merged {
    /// Adds what became of another one.
    pub fn add(&mut self, other: Merged) {
        for (sum, more) in [
            (&mut self.joined, other.joined),
            (&mut self.refreshed, other.refreshed),
            (&mut self.left, other.left),
            (&mut self.stale, other.stale),
            (&mut self.expired, other.expired),
            (&mut self.blocked, other.blocked),
            (&mut self.over_bound, other.over_bound),
            (&mut self.over_quota, other.over_quota),
            (&mut self.invalid, other.invalid),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_number_that_fits() {
        assert_eq!(Origin::new(0), None);
        assert_eq!(Origin::new(1).map(Origin::get), Some(1));
        assert_eq!(Origin::new(63), Some(Origin::UNKNOWN));
        assert_eq!(Origin::new(64), None);
        assert_eq!(size_of::<Option<Origin>>(), 1);
    }

    #[test]
    fn what_is_noted_of_a_peer_is_small() {
        assert_eq!(size_of::<Touched>(), 39);
        for address in ["192.0.2.7:6881", "[2001:db8::7]:1"] {
            let address: SocketAddr = address.parse().unwrap();
            let touched = Touched::new(InfoHash([7; 20]), address.ip(), address.port(), true);
            assert_eq!(touched.address(), address);
        }
    }
}
