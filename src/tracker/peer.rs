//! One stored peer, packed: what a swarm keeps of it, and the order in which a swarm keeps its peers.
//!
//! The order is by zone number, then address, then port. Zones are numbered so that a zone and all below it are one run of
//! numbers, so every kind of nearness (same subtree of zones, same address prefix) is one contiguous run of peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::id::{ClientKey, PeerId};
pub(super) use super::owner::{KeptId, KeptKey};
use super::subscriber::{Level, V4_LEVELS, V6_LEVELS};
use crate::clock::Seconds;

/// A packed address and port as it goes over the wire: 6 bytes for v4 (BEP 23), 18 for v6 (BEP 7).
pub(super) trait Address: Copy + Eq + std::fmt::Debug {
    /// Address and port as a number.
    type Key: Copy + Ord + std::fmt::Debug;
    /// Zone, address and port as numbers that compare in few steps: where a peer stands in a swarm's order.
    type Place: Copy + Ord + std::fmt::Debug;
    /// Zone, address and port as they are kept: 3 bytes, then those of the address, in network order.
    type Packed: Copy + std::fmt::Debug;
    /// The least and the greatest key.
    const BOUNDS: (Self::Key, Self::Key);
    /// Prefix lengths, long to short, by which peers of one zone are near each other (S8).
    const NEAR_PREFIXES: [u32; 3];
    /// The subscriber that an address belongs to, and the networks around it.
    const LEVELS: &'static [Level];

    fn pack(ip: IpAddr, port: u16) -> Option<Self>;
    fn ip(self) -> IpAddr;
    fn port(self) -> u16;
    fn key(self) -> Self::Key;
    fn place(zone: u32, key: Self::Key) -> Self::Place;
    fn packed(self, zone: u32) -> Self::Packed;
    fn placed(packed: &Self::Packed) -> Self::Place;
    fn unpacked(packed: &Self::Packed) -> Self;
    /// The least and the greatest key of the prefix of `bits` that the address is in.
    fn prefix(self, bits: u32) -> (Self::Key, Self::Key);
}

impl Address for [u8; 6] {
    type Key = u64;
    /// The first 64 bits of zone, address and port above, the last 8 below: a search reads them as they stand in memory.
    type Place = u128;
    type Packed = [u8; 9];
    const BOUNDS: (u64, u64) = (0, (1 << 48) - 1);
    const NEAR_PREFIXES: [u32; 3] = [24, 20, 16];
    const LEVELS: &'static [Level] = V4_LEVELS;

    fn pack(ip: IpAddr, port: u16) -> Option<Self> {
        let IpAddr::V4(ip) = ip else { return None };
        let [a, b, c, d] = ip.octets();
        let [high, low] = port.to_be_bytes();
        Some([a, b, c, d, high, low])
    }

    fn ip(self) -> IpAddr {
        let [a, b, c, d, ..] = self;
        Ipv4Addr::new(a, b, c, d).into()
    }

    fn port(self) -> u16 {
        let [.., high, low] = self;
        u16::from_be_bytes([high, low])
    }

    #[inline]
    fn key(self) -> u64 {
        let [a, b, c, d, e, f] = self;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    #[inline]
    fn place(zone: u32, key: u64) -> u128 {
        let all = (u128::from(zone) << 48) | u128::from(key);
        ((all >> 8) << 64) | (all & 0xff)
    }

    fn packed(self, zone: u32) -> [u8; 9] {
        let ([x, y, z], [a, b, c, d, e, f]) = (three(zone), self);
        [x, y, z, a, b, c, d, e, f]
    }

    #[inline]
    fn placed(packed: &[u8; 9]) -> u128 {
        let [first @ .., last] = packed;
        (u128::from(u64::from_be_bytes(*first)) << 64) | u128::from(*last)
    }

    #[inline]
    fn unpacked(&[_, _, _, a, b, c, d, e, f]: &[u8; 9]) -> [u8; 6] {
        [a, b, c, d, e, f]
    }

    fn prefix(self, bits: u32) -> (u64, u64) {
        let host = (1_u64 << (48 - bits.min(32))) - 1;
        (self.key() & !host, self.key() | host)
    }
}

impl Address for [u8; 18] {
    type Key = (u128, u16);
    /// The first 128 bits of zone, address and port, and the last 40.
    type Place = (u128, u64);
    type Packed = [u8; 21];
    const BOUNDS: ((u128, u16), (u128, u16)) = ((0, 0), (u128::MAX, u16::MAX));
    const NEAR_PREFIXES: [u32; 3] = [64, 56, 48];
    const LEVELS: &'static [Level] = V6_LEVELS;

    fn pack(ip: IpAddr, port: u16) -> Option<Self> {
        let IpAddr::V6(ip) = ip else { return None };
        let mut bytes = [0; 18];
        let source = ip.octets().into_iter().chain(port.to_be_bytes());
        bytes
            .iter_mut()
            .zip(source)
            .for_each(|(to, from)| *to = from);
        Some(bytes)
    }

    fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.key().0).into()
    }

    fn port(self) -> u16 {
        self.key().1
    }

    #[inline]
    fn key(self) -> (u128, u16) {
        let (address, port) =
            self.split_first_chunk::<16>()
                .map_or(([0; 16], [0; 2]), |(address, rest)| {
                    (
                        *address,
                        rest.first_chunk::<2>().copied().unwrap_or_default(),
                    )
                });
        (u128::from_be_bytes(address), u16::from_be_bytes(port))
    }

    #[inline]
    fn place(zone: u32, (address, port): (u128, u16)) -> (u128, u64) {
        let [.., x, y, z] = address.to_be_bytes();
        let [high, low] = port.to_be_bytes();
        let last = u64::from_be_bytes([0, 0, 0, x, y, z, high, low]);
        ((u128::from(zone) << 104) | (address >> 24), last)
    }

    fn packed(self, zone: u32) -> [u8; 21] {
        let mut packed = [0; 21];
        let source = three(zone).into_iter().chain(self);
        packed
            .iter_mut()
            .zip(source)
            .for_each(|(to, from)| *to = from);
        packed
    }

    #[inline]
    fn placed(packed: &[u8; 21]) -> (u128, u64) {
        let [first @ .., a, b, c, d, e] = packed;
        (
            u128::from_be_bytes(*first),
            u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]),
        )
    }

    #[inline]
    fn unpacked(packed: &[u8; 21]) -> [u8; 18] {
        packed.last_chunk().copied().unwrap_or([0; 18])
    }

    fn prefix(self, bits: u32) -> ((u128, u16), (u128, u16)) {
        let host = u128::MAX.checked_shr(bits).unwrap_or(0);
        let (address, _) = self.key();
        ((address & !host, 0), (address | host, u16::MAX))
    }
}

/// The largest zone number that a peer can hold.
pub(super) const MAX_ZONE: u32 = (1 << 24) - 1;

const PAUSED: u8 = 1;
const COMPLETED: u8 = 2;
const HAS_OTHER: u8 = 4;
const REPORTED: u8 = 8;

fn three(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.min(MAX_ZONE).to_be_bytes();
    [a, b, c]
}

fn from_three([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// Where a peer stands, and all that a compact list says of it: 9 bytes for v4, 21 for v6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<A: Address>(A::Packed);

impl<A: Address> Spot<A> {
    pub(super) fn new(address: A, zone: u32) -> Spot<A> {
        Spot(address.packed(zone))
    }

    #[inline]
    pub(super) fn place(&self) -> A::Place {
        A::placed(&self.0)
    }

    #[inline]
    pub(super) fn address(&self) -> A {
        A::unpacked(&self.0)
    }
}

/// The rest of what is kept of a peer: 32 bytes with its id, 12 without.
///
/// ```text
/// id 20 or 3 · proof of its key 3 or 0 · last seen 4 · flags 1 · downloaded, in MiB 3 · local share of its last list 1
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct State<I: KeptId> {
    pub(super) id: I,
    pub(super) key: I::Key,
    seen: [u8; 4],
    flags: u8,
    downloaded: [u8; 3],
    /// Local peers in the list that it was last handed ÷ all in it, in 255ths.
    pub(super) local_share: u8,
}

/// One peer, without padding: 41 bytes for v4 with its id, 21 without; 53 and 33 for v6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<A: Address, I: KeptId> {
    pub(super) spot: Spot<A>,
    pub(super) state: State<I>,
}

impl<A: Address, I: KeptId> Peer<A, I> {
    pub(super) fn new(address: A, id: PeerId, zone: u32, seen: Seconds) -> Peer<A, I> {
        Peer {
            spot: Spot::new(address, zone),
            state: State {
                id: I::keep(id),
                key: I::Key::default(),
                seen: seen.raw().to_le_bytes(),
                flags: 0,
                downloaded: [0; 3],
                local_share: 0,
            },
        }
    }

    #[inline]
    pub(super) fn place(&self) -> A::Place {
        self.spot.place()
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.spot.address().ip()
    }

    pub(super) fn set_zone(&mut self, zone: u32) {
        self.spot = Spot::new(self.spot.address(), zone);
    }
}

impl<I: KeptId> State<I> {
    /// Whether a client of this id and key is the one that the peer was stored for (S1). Who came back from a database without
    /// an id belongs to whoever announces there first.
    #[inline]
    pub(super) fn belongs_to(&self, id: PeerId, key: Option<ClientKey>) -> bool {
        self.id.is(id) || self.key.matches(I::Key::of(key)) || self.id.is_unknown()
    }

    pub(super) fn seen(&self) -> Seconds {
        Seconds::from_raw(u32::from_le_bytes(self.seen))
    }

    pub(super) fn set_seen(&mut self, now: Seconds) {
        self.seen = now.raw().to_le_bytes();
    }

    /// In whole MiB; what is more than 16 TiB counts as that.
    pub(super) fn downloaded_mib(&self) -> u32 {
        from_three(self.downloaded)
    }

    pub(super) fn set_downloaded_mib(&mut self, mib: u32) {
        self.downloaded = three(mib);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, is_set: bool) {
        self.flags = if is_set {
            self.flags | flag
        } else {
            self.flags & !flag
        };
    }

    /// A paused partial seed (BEP 21).
    pub(super) fn is_paused(&self) -> bool {
        self.has(PAUSED)
    }

    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.set(PAUSED, is_paused);
    }

    /// Whether its `completed` has been counted.
    pub(super) fn has_completed(&self) -> bool {
        self.has(COMPLETED)
    }

    pub(super) fn set_completed(&mut self, has_completed: bool) {
        self.set(COMPLETED, has_completed);
    }

    /// Whether its address is only what somebody reported.
    pub(super) fn is_reported(&self) -> bool {
        self.has(REPORTED)
    }

    pub(super) fn set_reported(&mut self, is_reported: bool) {
        self.set(REPORTED, is_reported);
    }

    /// Whether the swarm keeps a second address of it (S10).
    pub(super) fn has_other(&self) -> bool {
        self.has(HAS_OTHER)
    }

    pub(super) fn set_other(&mut self, has_other: bool) {
        self.set(HAS_OTHER, has_other);
    }
}

#[cfg(test)]
mod tests {
    use super::super::owner::IdDigest;
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_peer_has_no_padding() {
        assert_eq!(size_of::<Peer<[u8; 6], PeerId>>(), 41);
        assert_eq!(size_of::<Peer<[u8; 6], IdDigest>>(), 21);
        assert_eq!(size_of::<Peer<[u8; 18], PeerId>>(), 53);
        assert_eq!(size_of::<Spot<[u8; 6]>>(), 9);
    }

    proptest! {
        #[test]
        fn packed_addresses_unpack(v4 in any::<u32>(), v6 in any::<u128>(), port in any::<u16>()) {
            let ip = IpAddr::from(Ipv4Addr::from(v4));
            let packed = <[u8; 6]>::pack(ip, port).unwrap();
            prop_assert_eq!((packed.ip(), packed.port()), (ip, port));
            let ip = IpAddr::from(Ipv6Addr::from(v6));
            let packed = <[u8; 18]>::pack(ip, port).unwrap();
            prop_assert_eq!((packed.ip(), packed.port()), (ip, port));
        }

        #[test]
        fn prefixes_hold_just_their_addresses(a in any::<u32>(), b in any::<u32>(), bits in 1_u32..=32, port in any::<u16>()) {
            let (a, b) = (Ipv4Addr::from(a), Ipv4Addr::from(b));
            let shares = (u32::from(a) ^ u32::from(b)).leading_zeros() >= bits;
            let (low, high) = <[u8; 6]>::pack(a.into(), 1).unwrap().prefix(bits);
            let key = <[u8; 6]>::pack(b.into(), port).unwrap().key();
            prop_assert_eq!((low..=high).contains(&key), shares);
        }

        /// The order of places is the order of zone, address and port.
        #[test]
        fn places_compare_as_their_parts(
            one in (0..=MAX_ZONE, any::<u128>(), any::<u16>()),
            other in (0..=MAX_ZONE, any::<u128>(), any::<u16>()),
            common in 0_u32..=168,
        ) {
            fn place<A: Address>(zone: u32, ip: IpAddr, port: u16) -> A::Place {
                let packed = A::pack(ip, port).unwrap();
                let spot = Spot::new(packed, zone);
                assert_eq!(spot.place(), A::place(zone, packed.key()));
                assert_eq!(spot.address(), packed);
                spot.place()
            }
            // So that not all are told apart by their first bits already.
            let other = (
                if common > 24 { one.0 } else { other.0 },
                if common > 152 { one.1 } else { one.1 ^ (other.1 >> common.min(127)) },
                other.2,
            );
            let v6 = |(zone, ip, port): (u32, u128, u16)| place::<[u8; 18]>(zone, Ipv6Addr::from(ip).into(), port);
            prop_assert_eq!(v6(one).cmp(&v6(other)), one.cmp(&other));
            let short = |(zone, ip, port): (u32, u128, u16)| (zone, u32::try_from(ip & 0xffff_ffff).unwrap(), port);
            let v4 = |(zone, ip, port)| place::<[u8; 6]>(zone, Ipv4Addr::from_bits(ip).into(), port);
            let (one, other) = (short(one), short(other));
            prop_assert_eq!(v4(one).cmp(&v4(other)), one.cmp(&other));
        }

        #[test]
        fn fields_do_not_touch_each_other(zone in 0..=MAX_ZONE, mib in 0..=MAX_ZONE, seen in any::<u32>()) {
            let mut peer = Peer::<[u8; 6], PeerId>::new([1; 6], PeerId([2; 20]), zone, Seconds::from_raw(seen));
            peer.state.set_downloaded_mib(mib);
            peer.state.set_paused(true);
            peer.state.set_completed(true);
            peer.state.set_paused(false);
            let key = peer.spot.address().key();
            prop_assert_eq!(peer.place(), <[u8; 6]>::place(zone, key));
            prop_assert_eq!((peer.state.downloaded_mib(), peer.state.seen().raw()), (mib, seen));
            prop_assert!(peer.state.has_completed() && !peer.state.is_paused() && !peer.state.has_other());
        }
    }
}
