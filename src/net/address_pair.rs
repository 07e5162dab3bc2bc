//! Networks whose hosts have an address inside and one outside, behind a carrier's NAT, say (S10).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Two networks that are the inside and the outside of the same hosts. Where they are of the same size, each address inside is known
/// by the one outside that has the same host part; else only the clients know theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPair {
    /// Addresses inside.
    pub inside: IpNet,
    /// Addresses by which they are seen from outside.
    pub outside: IpNet,
}

impl AddressPair {
    /// Whether each address on one side tells the other.
    pub fn is_one_to_one(&self) -> bool {
        let families = (self.inside.addr().is_ipv4(), self.outside.addr().is_ipv4());
        self.inside.prefix_len() == self.outside.prefix_len() && families.0 == families.1
    }

    /// By which address others know the host that has `ip` inside; `None` when it is not inside, or nothing tells.
    pub fn outside_of(&self, ip: IpAddr) -> Option<IpAddr> {
        self.moved(ip, self.inside, self.outside)
    }

    /// Which address the host has inside that others know by `ip`.
    pub fn inside_of(&self, ip: IpAddr) -> Option<IpAddr> {
        self.moved(ip, self.outside, self.inside)
    }

    fn moved(&self, ip: IpAddr, from: IpNet, to: IpNet) -> Option<IpAddr> {
        if !from.contains(&ip) || !self.is_one_to_one() {
            return None;
        }
        match (ip, to) {
            (IpAddr::V4(ip), IpNet::V4(to)) => {
                let host = ip.to_bits() & to.hostmask().to_bits();
                Some(Ipv4Addr::from_bits(to.network().to_bits() | host).into())
            }
            (IpAddr::V6(ip), IpNet::V6(to)) => {
                let host = ip.to_bits() & to.hostmask().to_bits();
                Some(Ipv6Addr::from_bits(to.network().to_bits() | host).into())
            }
            _ => None,
        }
    }
}

/// By which address others know the host at `ip`, when a pair tells.
pub(crate) fn outside_of(pairs: &[AddressPair], ip: IpAddr) -> Option<IpAddr> {
    pairs.iter().find_map(|pair| pair.outside_of(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10
    #[test]
    fn addresses_of_a_pair_of_equal_sizes_tell_each_other() {
        let pair = |inside: &str, outside: &str| AddressPair {
            inside: inside.parse().unwrap(),
            outside: outside.parse().unwrap(),
        };
        for (pair, inside, outside) in [
            (
                pair("100.64.0.0/16", "198.18.0.0/16"),
                "100.64.3.4",
                Some("198.18.3.4"),
            ),
            (
                pair("fd00:1::/48", "2001:db8:7::/48"),
                "fd00:1::5:6",
                Some("2001:db8:7::5:6"),
            ),
            (pair("100.64.0.0/16", "198.51.100.0/24"), "100.64.3.4", None),
            (pair("100.64.0.0/16", "2001:db8::/16"), "100.64.3.4", None),
            (pair("100.64.0.0/16", "198.18.0.0/16"), "100.65.3.4", None),
        ] {
            let inside: IpAddr = inside.parse().unwrap();
            let outside: Option<IpAddr> = outside.map(|ip| ip.parse().unwrap());
            assert_eq!(pair.outside_of(inside), outside, "{pair:?}");
            let back = outside.and_then(|outside| pair.inside_of(outside));
            assert_eq!(back, outside.map(|_| inside), "{pair:?}");
        }
    }
}
