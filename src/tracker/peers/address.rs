//! Packed addresses of both families, and the sort keys of peers: tier, zone, address and port as numbers that compare in few steps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::metrics::Family;
use crate::net::subscriber::{Level, SUBSCRIBER_V4_BITS, SUBSCRIBER_V6_BITS, V4_LEVELS, V6_LEVELS};
use crate::tracker::zones::ZoneId;

/// A packed address and port as it goes over the wire: 6 bytes for v4 (BEP 23), 18 for v6 (BEP 7).
pub(crate) trait Address: Copy + Eq + std::fmt::Debug {
    /// Address and port as a number.
    type Key: Copy + Ord + std::fmt::Debug;
    /// Zone, address and port as numbers that compare in few steps: where a peer stands in a swarm's order.
    type SortKey: Copy + Ord + std::fmt::Debug;
    /// Zone, address and port as they are kept: 3 bytes, then those of the address, in network order.
    type Packed: Copy + std::fmt::Debug;
    const FAMILY: Family;
    /// The least and the greatest key.
    const BOUNDS: (Self::Key, Self::Key);
    /// Prefix lengths, long to short, by which peers of one zone are near each other (S8).
    const NEAR_PREFIXES: [u32; 3];
    /// The subscriber that an address belongs to, and the networks around it.
    const LEVELS: &'static [Level];
    /// The length of the prefix that one subscriber has: a v4 address, a v6 /64.
    const SUBSCRIBER_BITS: u32;

    fn pack(ip: IpAddr, port: u16) -> Option<Self>;
    fn ip(self) -> IpAddr;
    fn port(self) -> u16;
    fn key(self) -> Self::Key;
    fn sort_key(zone: u32, key: Self::Key) -> Self::SortKey;
    fn packed(self, zone: u32) -> Self::Packed;
    fn sort_key_of(packed: &Self::Packed) -> Self::SortKey;
    fn unpacked(packed: &Self::Packed) -> Self;
    /// The zone number with its tier.
    fn zone(packed: &Self::Packed) -> u32;
    /// The same sort key with the [`SURPLUS`] bit.
    fn surplus(sort_key: Self::SortKey) -> Self::SortKey;
    /// Whether the zone number has this tier.
    fn has_tier(packed: &Self::Packed, tier: u32) -> bool;
    /// The least and the greatest key of the prefix of `bits` that the address is in.
    fn prefix(self, bits: u32) -> (Self::Key, Self::Key);
}

impl Address for [u8; 6] {
    type Key = u64;
    /// The first 64 bits of zone, address and port above, the last 8 below: a search reads them as they stand in memory.
    type SortKey = u128;
    type Packed = [u8; 9];
    const FAMILY: Family = Family::V4;
    const BOUNDS: (u64, u64) = (0, (1 << 48) - 1);
    const NEAR_PREFIXES: [u32; 3] = [24, 20, 16];
    const LEVELS: &'static [Level] = V4_LEVELS;
    const SUBSCRIBER_BITS: u32 = SUBSCRIBER_V4_BITS;

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
    fn sort_key(zone: u32, key: u64) -> u128 {
        let all = (u128::from(zone) << 48) | u128::from(key);
        ((all >> 8) << 64) | (all & 0xff)
    }

    fn packed(self, zone: u32) -> [u8; 9] {
        let ([x, y, z], [a, b, c, d, e, f]) = (three(zone), self);
        [x, y, z, a, b, c, d, e, f]
    }

    #[inline]
    fn sort_key_of(packed: &[u8; 9]) -> u128 {
        let [first @ .., last] = packed;
        (u128::from(u64::from_be_bytes(*first)) << 64) | u128::from(*last)
    }

    #[inline]
    fn unpacked(&[_, _, _, a, b, c, d, e, f]: &[u8; 9]) -> [u8; 6] {
        [a, b, c, d, e, f]
    }

    #[inline]
    fn has_tier([first, ..]: &[u8; 9], tier: u32) -> bool {
        u32::from(*first) & (tier >> 16) != 0
    }

    fn zone(&[x, y, z, ..]: &[u8; 9]) -> u32 {
        from_three([x, y, z])
    }

    fn surplus(sort_key: u128) -> u128 {
        sort_key | 1 << 127
    }

    fn prefix(self, bits: u32) -> (u64, u64) {
        debug_assert!(bits <= 32, "a v4 address has no more");
        // The port's 16 bits stand below those of the host.
        let host = (1_u64 << (48 - bits.min(32))) - 1;
        (self.key() & !host, self.key() | host)
    }
}

impl Address for [u8; 18] {
    type Key = (u128, u16);
    /// The first 128 bits of zone, address and port, and the last 40.
    type SortKey = (u128, u64);
    type Packed = [u8; 21];
    const FAMILY: Family = Family::V6;
    const BOUNDS: ((u128, u16), (u128, u16)) = ((0, 0), (u128::MAX, u16::MAX));
    const NEAR_PREFIXES: [u32; 3] = [64, 56, 48];
    const LEVELS: &'static [Level] = V6_LEVELS;
    const SUBSCRIBER_BITS: u32 = SUBSCRIBER_V6_BITS;

    // Out of the way of v4: its many bytes would be fetched there, too.
    #[inline(never)]
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
        let [address @ .., high, low] = self;
        (
            u128::from_be_bytes(address),
            u16::from_be_bytes([high, low]),
        )
    }

    #[inline]
    fn sort_key(zone: u32, (address, port): (u128, u16)) -> (u128, u64) {
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
    fn sort_key_of(packed: &[u8; 21]) -> (u128, u64) {
        let [first @ .., a, b, c, d, e] = packed;
        (
            u128::from_be_bytes(*first),
            u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]),
        )
    }

    #[inline]
    fn unpacked(packed: &[u8; 21]) -> [u8; 18] {
        let [_, _, _, address @ ..] = *packed;
        address
    }

    #[inline]
    fn has_tier([first, ..]: &[u8; 21], tier: u32) -> bool {
        u32::from(*first) & (tier >> 16) != 0
    }

    fn zone(&[x, y, z, ..]: &[u8; 21]) -> u32 {
        from_three([x, y, z])
    }

    fn surplus((first, last): (u128, u64)) -> (u128, u64) {
        (first | 1 << 127, last)
    }

    fn prefix(self, bits: u32) -> ((u128, u16), (u128, u16)) {
        // A prefix of all 128 bits leaves none to the host.
        let host = u128::MAX.checked_shr(bits).unwrap_or(0);
        let (address, _) = self.key();
        ((address & !host, 0), (address | host, u16::MAX))
    }
}

/// Beside the zone number of a loopback peer: only others on the same host reach it (S13).
pub(crate) const LOOPBACK: u32 = 1 << 22;

/// Beside the zone number of a peer whose subscriber has its share of lists without it (S16).
pub(crate) const SURPLUS: u32 = 1 << 23;

/// The number of an address's zone, 0 for none, with the tier that it belongs to.
#[inline]
pub(crate) fn tiered(zone: Option<ZoneId>, ip: IpAddr) -> u32 {
    let zone = ZoneId::pack(zone);
    if ip.is_loopback() {
        zone | LOOPBACK
    } else {
        zone
    }
}

/// The most that three bytes hold.
pub(super) const THREE_BYTES: u32 = (1 << 24) - 1;

pub(super) fn three(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.min(THREE_BYTES).to_be_bytes();
    [a, b, c]
}

pub(super) fn from_three([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::super::owner::IdDigest;
    use super::super::peer::{PackedKey, Peer};
    use super::*;
    use crate::clock::Seconds;
    use crate::tracker::id::PeerId;
    use crate::tracker::zones::MAX_ZONE;
    use proptest::prelude::{any, prop_assert_eq, proptest};

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
            one in (0..=THREE_BYTES, any::<u128>(), any::<u16>()),
            other in (0..=THREE_BYTES, any::<u128>(), any::<u16>()),
            common in 0_u32..=168,
        ) {
            fn sort_key<A: Address>(zone: u32, ip: IpAddr, port: u16) -> A::SortKey {
                let packed = A::pack(ip, port).unwrap();
                let packed_key = PackedKey::new(packed, zone);
                assert_eq!(packed_key.sort_key(), A::sort_key(zone, packed.key()));
                assert_eq!(packed_key.address(), packed);
                packed_key.sort_key()
            }
            // So that not all are told apart by their first bits already.
            let other = (
                if common > 24 { one.0 } else { other.0 },
                if common > 152 { one.1 } else { one.1 ^ (other.1 >> common.min(127)) },
                other.2,
            );
            let v6 = |(zone, ip, port): (u32, u128, u16)| sort_key::<[u8; 18]>(zone, Ipv6Addr::from(ip).into(), port);
            prop_assert_eq!(v6(one).cmp(&v6(other)), one.cmp(&other));
            let short = |(zone, ip, port): (u32, u128, u16)| (zone, u32::try_from(ip & 0xffff_ffff).unwrap(), port);
            let v4 = |(zone, ip, port)| sort_key::<[u8; 6]>(zone, Ipv4Addr::from_bits(ip).into(), port);
            let (one, other) = (short(one), short(other));
            prop_assert_eq!(v4(one).cmp(&v4(other)), one.cmp(&other));
        }

        #[test]
        fn a_tier_stands_above_the_zone(zone in 0..=MAX_ZONE, ip in any::<u128>(), port in any::<u16>()) {
            fn check<A: Address>(zone: u32, ip: IpAddr, port: u16) {
                let packed = A::pack(ip, port).unwrap();
                let mut peer = Peer::<A, IdDigest>::new(packed, PeerId([2; 20]), zone, Seconds::from_raw(1));
                let sort_key = peer.sort_key();
                for tier in [0, LOOPBACK, SURPLUS, LOOPBACK | SURPLUS] {
                    let there = PackedKey::new(packed, zone | tier).sort_key();
                    if tier == SURPLUS {
                        assert_eq!(A::surplus(sort_key), there);
                    }
                    assert!(tier == 0 || there > A::sort_key(MAX_ZONE, A::BOUNDS.1));
                    peer.set_zone(zone | tier & LOOPBACK);
                    peer.set_surplus(tier & SURPLUS != 0);
                    assert_eq!(peer.sort_key(), there);
                    let (low, high) = peer.packed_key.subscriber();
                    assert!(low <= there && there <= high);
                }
            }
            check::<[u8; 18]>(zone, Ipv6Addr::from(ip).into(), port);
            check::<[u8; 6]>(zone, Ipv4Addr::from_bits(u32::try_from(ip & 0xffff_ffff).unwrap()).into(), port);
        }
    }
}
