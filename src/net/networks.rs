//! Sets of networks of both families, asked whether they cover an address.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::PrefixMap;

/// Whether a network is shorter than /16, or /32 of v6: an internet provider's whole network, or more. Nobody means to refuse it whole.
pub fn is_wide(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 16,
        IpNet::V6(network) => network.prefix_len() < 32,
    }
}

/// A network as text; one of a single host without its length.
pub fn host_or_network(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A set of networks, v4 and v6.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    v4: PrefixMap<ipnet::Ipv4Net, ()>,
    v6: PrefixMap<ipnet::Ipv6Net, ()>,
}

impl Networks {
    /// Whether any network of the set covers the canonical address `ip`.
    pub fn covers(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => !self.v4.is_empty() && self.v4.get_lpm(&ip.into()).is_some(),
            IpAddr::V6(ip) => !self.v6.is_empty() && self.v6.get_lpm(&ip.into()).is_some(),
        }
    }

    /// Adds a network; what lies inside one that is there already changes nothing.
    pub fn add(&mut self, network: IpNet) {
        match network {
            IpNet::V4(network) => drop(self.v4.insert(network.trunc(), ())),
            IpNet::V6(network) => drop(self.v6.insert(network.trunc(), ())),
        }
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The networks in order of their addresses, v4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.keys().map(IpNet::V4);
        v4.chain(self.v6.keys().map(IpNet::V6))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Networks {
        let mut set = Networks::default();
        networks.into_iter().for_each(|network| set.add(network));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W11
    #[test]
    fn a_network_is_wide_below_16_and_32_bits() {
        for (network, expected) in [
            ("10.0.0.0/8", true),
            ("10.0.0.0/15", true),
            ("10.0.0.0/16", false),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("2001:db8::/31", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(is_wide(network.parse().unwrap()), expected, "{network}");
        }
    }
}
