//! Realms: networks whose hosts have an address inside and one outside, behind a carrier's NAT, say (S10).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::announce::{Announce, PeerList};
use super::peer::Address;

/// Two networks that are the inside and the outside of the same hosts. Where they are of the same size, each address inside is known
/// by the one outside that has the same host part; else only the clients know theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Addresses inside.
    pub inside: IpNet,
    /// Addresses by which they are seen from outside.
    pub outside: IpNet,
}

impl Realm {
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

    /// Whether the announcer is one of its hosts.
    fn holds(&self, announce: &Announce) -> bool {
        let ips = [Some(announce.ip), announce.inner_ip].into_iter().flatten();
        let mut nets = ips.map(|ip| self.inside.contains(&ip) || self.outside.contains(&ip));
        nets.any(|is_there| is_there)
    }
}

/// By which address others know the host at `ip`, when a realm tells.
pub(super) fn outside_of(realms: &[Realm], ip: IpAddr) -> Option<IpAddr> {
    realms.iter().find_map(|realm| realm.outside_of(ip))
}

/// Puts the inside addresses onto the list of an announcer who is inside, as far as realms tell them.
pub(super) fn translate(realms: &[Realm], announce: &Announce, list: &mut PeerList) {
    fn translate<A: Address>(realm: &Realm, listed: &mut [A]) {
        for address in listed {
            let inside = realm.inside_of(address.ip());
            if let Some(inside) = inside.and_then(|ip| A::pack(ip, address.port())) {
                *address = inside;
            }
        }
    }
    let one_to_one = realms.iter().filter(|realm| realm.is_one_to_one());
    for realm in one_to_one.filter(|realm| realm.holds(announce)) {
        translate(realm, &mut list.v4);
        translate(realm, &mut list.v6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10
    #[test]
    fn addresses_of_a_realm_of_equal_sizes_tell_each_other() {
        let realm = |inside: &str, outside: &str| Realm {
            inside: inside.parse().unwrap(),
            outside: outside.parse().unwrap(),
        };
        for (realm, inside, outside) in [
            (
                realm("100.64.0.0/16", "198.18.0.0/16"),
                "100.64.3.4",
                Some("198.18.3.4"),
            ),
            (
                realm("fd00:1::/48", "2001:db8:7::/48"),
                "fd00:1::5:6",
                Some("2001:db8:7::5:6"),
            ),
            (
                realm("100.64.0.0/16", "198.51.100.0/24"),
                "100.64.3.4",
                None,
            ),
            (realm("100.64.0.0/16", "2001:db8::/16"), "100.64.3.4", None),
            (realm("100.64.0.0/16", "198.18.0.0/16"), "100.65.3.4", None),
        ] {
            let inside: IpAddr = inside.parse().unwrap();
            let outside: Option<IpAddr> = outside.map(|ip| ip.parse().unwrap());
            assert_eq!(realm.outside_of(inside), outside, "{realm:?}");
            let back = outside.and_then(|outside| realm.inside_of(outside));
            assert_eq!(back, outside.map(|_| inside), "{realm:?}");
        }
    }
}
