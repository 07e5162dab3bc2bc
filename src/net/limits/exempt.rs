//! Who is neither refused nor banned: asked about with each request, and hardly ever with *yes*.

use std::net::IpAddr;

use crate::net::{AddressRange, AddressRanges, Networks};

/// Parts of all addresses, by their first 16 bits.
const PARTS: usize = 1 << 16;

/// Networks that are exempt, and a bit for each part of all addresses that tells whether it is worth looking for one there.
#[derive(Debug, Default)]
pub(super) struct Exempt {
    ranges: AddressRanges,
    /// Nothing where nobody is exempt.
    parts: Box<[u64]>,
}

impl From<Networks> for Exempt {
    fn from(networks: Networks) -> Exempt {
        let ranges: AddressRanges = networks.iter().map(AddressRange::from).collect();
        let mut exempt = Exempt::default();
        if !ranges.is_empty() {
            exempt.parts = vec![0; PARTS / 64].into();
        }
        for network in networks.iter() {
            for part in part(network.network())..=part(network.broadcast()) {
                if let Some(word) = exempt.parts.get_mut(part / 64) {
                    *word |= 1 << (part % 64);
                }
            }
        }
        Exempt { ranges, ..exempt }
    }
}

impl Exempt {
    /// Whether the canonical address `ip` is exempt.
    #[inline]
    pub(super) fn covers(&self, ip: IpAddr) -> bool {
        let part = part(ip);
        let word = self.parts.get(part / 64);
        word.is_some_and(|word| word >> (part % 64) & 1 != 0) && self.is_covered(ip)
    }

    #[inline(never)]
    fn is_covered(&self, ip: IpAddr) -> bool {
        self.ranges.covers(ip)
    }
}

#[inline]
const fn part(ip: IpAddr) -> usize {
    let [first, second, ..] = match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            [a, b, c, d]
        }
    };
    (first as usize) << 8 | second as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// O8
    #[test]
    fn networks_of_any_length_cover_what_they_should() {
        let networks = [
            "10.1.0.0/15",
            "192.0.2.7/32",
            "255.255.255.255/32",
            "2001:db8::1/128",
            "fd00::/8",
        ];
        let networks = networks.iter().map(|network| network.parse().unwrap());
        let exempt = Exempt::from(networks.collect::<Networks>());
        let covers = |ip: &str| exempt.covers(ip.parse().unwrap());
        for ip in [
            "10.0.0.1",
            "10.1.255.255",
            "192.0.2.7",
            "255.255.255.255",
            "2001:db8::1",
            "fdff::1",
        ] {
            assert!(covers(ip), "{ip}");
        }
        for ip in [
            "10.2.0.0",
            "9.255.255.255",
            "192.0.2.8",
            "0.0.0.1",
            "2001:db8::2",
            "fe00::",
        ] {
            assert!(!covers(ip), "{ip}");
        }
        assert!(!Exempt::default().covers(Ipv4Addr::LOCALHOST.into()));
    }

    proptest! {
        /// O8: as the set that they are made of.
        #[test]
        fn agrees_with_the_networks(
            bases in proptest::collection::vec((any::<u32>(), 0_u8..=32, 0_u8..=128), 0..6),
            asked in any::<u32>(),
        ) {
            let v4 = |bits: u32| IpAddr::from(Ipv4Addr::from_bits(bits));
            let v6 = |bits: u32| {
                IpAddr::from(Ipv6Addr::from_bits(u128::from(bits) << 96 | u128::from(bits)))
            };
            let mut networks = Networks::default();
            for (bits, v4_length, v6_length) in &bases {
                networks.add(ipnet::IpNet::new(v4(*bits), *v4_length).unwrap());
                networks.add(ipnet::IpNet::new(v6(*bits), *v6_length).unwrap());
            }
            let exempt = Exempt::from(networks.clone());
            let near = bases.iter().flat_map(|(bits, ..)| [*bits, bits ^ 1, bits ^ 1 << 17]);
            for bits in near.chain([asked]) {
                prop_assert_eq!(exempt.covers(v4(bits)), networks.covers(v4(bits)));
                prop_assert_eq!(exempt.covers(v6(bits)), networks.covers(v6(bits)));
            }
            prop_assert!(!bases.is_empty() || exempt.parts.is_empty());
        }
    }
}
