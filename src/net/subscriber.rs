//! What counts as one subscriber: a v4 address, or a whole /64 of v6, since a line has all of one. And the networks around it
//! that may be in one hand, with what an entry weighs there.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What one entry weighs for its subscriber. In a wider network it weighs less, so that such a network outweighs a subscriber
/// only by having many of them.
pub(crate) const ENTRY: u32 = 16;

/// A network around a subscriber: the length of its prefix, and what one entry weighs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub bits: u32,
    pub entry: u32,
}

/// The length of the prefix that is one subscriber.
pub(crate) const SUBSCRIBER_V4_BITS: u32 = 32;
pub(crate) const SUBSCRIBER_V6_BITS: u32 = 64;

const fn level(bits: u32, entry: u32) -> Level {
    Level { bits, entry }
}

/// What one entry weighs in the widest network of either family.
pub(crate) const WIDEST_ENTRY: u32 = ENTRY / 16;

/// The subscriber, then what is around it, narrow to wide: a /24 of v4 counts as 16 addresses.
pub(crate) const V4_LEVELS: &[Level] = &[level(SUBSCRIBER_V4_BITS, ENTRY), level(24, WIDEST_ENTRY)];

/// The same of v6: providers give a line a /64, a /56 or a /48. A /56 counts as four lines, a /48 as 16.
pub(crate) const V6_LEVELS: &[Level] = &[
    level(SUBSCRIBER_V6_BITS, ENTRY),
    level(56, ENTRY / 4),
    level(48, WIDEST_ENTRY),
];

/// The levels of an address.
pub(crate) const fn levels(ip: IpAddr) -> &'static [Level] {
    if ip.is_ipv4() { V4_LEVELS } else { V6_LEVELS }
}

/// The leading `bits` of an address, as a number that no address of the other family shares.
pub(crate) fn prefix(ip: IpAddr, bits: u32) -> u128 {
    match ip {
        // As the v4-mapped address that it never is here.
        IpAddr::V4(ip) => {
            0xffff_0000_0000 | u128::from(u64::from(ip.to_bits()) >> 32_u32.saturating_sub(bits))
        }
        IpAddr::V6(ip) => ip.to_bits() >> 128_u32.saturating_sub(bits).min(127),
    }
}

/// The address that stands for a subscriber: the v4 address itself, or the first of the /64.
pub fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// The subscriber's network.
#[inline]
pub(crate) fn network(ip: IpAddr) -> IpNet {
    around(ip, if ip.is_ipv4() { 32 } else { 64 })
}

/// The network around an address that may be in one hand: a /24 of v4, a /48 of v6.
pub(crate) fn neighbourhood(ip: IpAddr) -> IpNet {
    around(ip, if ip.is_ipv4() { 24 } else { 48 })
}

#[inline]
fn around(ip: IpAddr, length: u8) -> IpNet {
    IpNet::new(ip, length).map_or(IpNet::from(ip), |net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S5
    #[test]
    fn a_v6_subscriber_is_one_whole_64() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let same = |one, other, bits| prefix(ip(one), bits) == prefix(ip(other), bits);
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1", 64));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1", 64));
        assert!(same("2001:db8::1", "2001:db8:0:ff::1", 56));
        assert!(!same("2001:db8::1", "2001:db8:0:ff::1", 64));
        assert!(same("192.0.2.1", "192.0.2.99", 24) && !same("192.0.2.1", "192.0.2.99", 32));
        assert_eq!(network(ip("2001:db8::1")), "2001:db8::/64".parse().unwrap());
        assert_eq!(network(ip("192.0.2.1")), "192.0.2.1/32".parse().unwrap());
    }
}
