//! Values that are lists: networks, listening addresses, prefixes of peer ids. Separated by blanks, commas or both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};

use super::value::Slot;
use crate::net::hosts::{Hosts, is_host_name};
use crate::net::{AddressPair, Networks, host_or_network, is_reachable};
use crate::tracker::ClientRule;
use crate::web::AnnounceUrl;

/// The entries of a list.
pub(super) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ','])
        .filter(|entry| !entry.is_empty())
}

/// Reads one network; an address is a network of one, and a v4-mapped one is v4.
///
/// # Errors
/// What is wrong with it.
pub fn network(text: &str) -> Result<IpNet, String> {
    let no_network = || format!("`{text}` is neither an address nor a network");
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| no_network())?;
    if network.trunc() != network {
        let whole = network.trunc();
        return Err(format!(
            "`{text}` has bits set behind its length: as a network it is {whole}"
        ));
    }
    Ok(canonical(network))
}

/// A network of v4-mapped addresses is one of v4: as one of v6 it would never cover anybody.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let length = v6.prefix_len().checked_sub(96);
    let mapped = v6.addr().to_ipv4_mapped().zip(length);
    let v4 = mapped.and_then(|(ip, length)| Ipv4Net::new(ip, length).ok());
    v4.map_or(network, IpNet::V4)
}

/// Reads networks.
///
/// # Errors
/// What is wrong with the first that is none.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    entries(text).map(network).collect()
}

/// Writes networks as [`networks`] reads them; an address as itself.
pub(super) fn written(networks: impl IntoIterator<Item = IpNet>) -> String {
    let networks: Vec<String> = networks.into_iter().map(host_or_network).collect();
    networks.join(" ")
}

/// A set of networks.
pub(super) struct NetworkList<'a>(pub &'a mut Networks);

impl Slot for NetworkList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = networks(text)?.into_iter().collect();
        Ok(())
    }

    fn write(&self) -> String {
        written(self.0.iter())
    }

    fn expects(&self) -> String {
        "addresses and networks, as 10.0.0.0/8 2001:db8::7".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// A list of host names.
pub(super) struct HostNames<'a>(pub &'a mut Hosts);

impl Slot for HostNames<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        if let Some(odd) = entries(text).find(|name| !is_host_name(name)) {
            return Err(format!(
                "`{odd}` is no host name; without a port, and in ASCII"
            ));
        }
        *self.0 = Hosts::new(entries(text).map(str::to_ascii_lowercase).collect());
        Ok(())
    }

    fn write(&self) -> String {
        self.0.configured().join(" ")
    }

    fn expects(&self) -> String {
        "host names, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// A list of announce addresses.
pub(super) struct AnnounceUrlList<'a>(pub &'a mut Vec<AnnounceUrl>);

/// Announce addresses that subscribers are shown at most.
const MAX_ANNOUNCE_URLS: usize = 8;

impl Slot for AnnounceUrlList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let url = |entry: &str| {
            let url = entry.parse::<AnnounceUrl>();
            url.map_err(|error| format!("`{entry}`: {error}"))
        };
        let urls = entries(text).map(url).collect::<Result<Vec<_>, _>>()?;
        if urls.len() > MAX_ANNOUNCE_URLS {
            return Err(format!("at most {MAX_ANNOUNCE_URLS} addresses"));
        }
        *self.0 = urls;
        Ok(())
    }

    fn write(&self) -> String {
        let urls: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        urls.join(" ")
    }

    fn expects(&self) -> String {
        "announce addresses, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// Where to listen: an address, with a port or with the one that is configured apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; unspecified for all of its family.
    pub ip: IpAddr,
    /// The port, when it is given with the address.
    pub port: Option<u16>,
    /// Whether a v4 address was written in v6 spelling, as `::ffff:192.0.2.1`.
    pub is_mapped: bool,
}

impl ListenAddress {
    /// Every address of both families.
    pub const ALL: [ListenAddress; 2] = [
        ListenAddress::at(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ListenAddress::at(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ];

    const fn at(ip: IpAddr) -> ListenAddress {
        ListenAddress {
            ip,
            port: None,
            is_mapped: false,
        }
    }

    /// The socket address, with `port` where none is given.
    pub const fn or_port(self, port: u16) -> SocketAddr {
        match self.port {
            Some(own) => SocketAddr::new(self.ip, own),
            None => SocketAddr::new(self.ip, port),
        }
    }

    fn parse(text: &str) -> Result<Vec<ListenAddress>, String> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let listen_address = match (text.parse::<SocketAddr>(), bare.unwrap_or(text).parse()) {
            (Ok(address), _) => ListenAddress {
                ip: address.ip(),
                port: Some(address.port()),
                is_mapped: false,
            },
            (Err(_), Ok(ip)) => ListenAddress::at(ip),
            (Err(_), Err(_)) => return ListenAddress::named(text),
        };
        // A v4 address in v6 spelling is a v4 one; a v6 socket would refuse it.
        let ip = listen_address.ip.to_canonical();
        if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Err(format!(
                "`{text}` is a link-local address, which says nothing without its interface; `::` listens at it too"
            ));
        }
        if !ip.is_unspecified() && !is_reachable(ip) {
            return Err(format!("`{text}` is no address that a host can have"));
        }
        Ok(vec![ListenAddress {
            ip,
            is_mapped: listen_address.ip.is_ipv6() && ip.is_ipv4(),
            ..listen_address
        }])
    }

    fn named(text: &str) -> Result<Vec<ListenAddress>, String> {
        match text {
            "*" => Ok(ListenAddress::ALL.to_vec()),
            "localhost" => Ok(vec![
                ListenAddress::at(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                ListenAddress::at(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ]),
            _ => Err(format!("`{text}` is no address to listen at")),
        }
    }

    fn write(self) -> String {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).to_string(),
            None => self.ip.to_string(),
        }
    }
}

/// The addresses without those that another one stands for already: each can be bound once only. Port 0 is another one each time.
pub(super) fn distinct(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let covers = |all: &SocketAddr, one: &SocketAddr| {
        all.ip().is_unspecified()
            && (all.is_ipv4(), all.port()) == (one.is_ipv4(), one.port())
            && !one.ip().is_unspecified()
    };
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let is_covered = addresses.iter().any(|other| covers(other, address));
        if address.port() == 0 || !is_covered && !distinct.contains(address) {
            distinct.push(*address);
        }
    }
    distinct
}

/// The addresses to listen on.
pub(super) struct ListenAddressList<'a>(pub &'a mut Vec<ListenAddress>);

/// Reads addresses to listen on; `expects` says what may stand there.
fn listen_addresses(text: &str, expects: &str) -> Result<Vec<ListenAddress>, String> {
    let mut listen_addresses: Vec<ListenAddress> = Vec::new();
    for entry in entries(text) {
        for listen_address in
            ListenAddress::parse(entry).map_err(|fault| format!("{fault}; expected {expects}"))?
        {
            let is_same = |known: &ListenAddress| {
                (known.ip, known.port) == (listen_address.ip, listen_address.port)
            };
            if listen_addresses.iter().any(is_same) {
                return Err(format!("`{entry}` is given twice"));
            }
            listen_addresses.push(listen_address);
        }
    }
    Ok(listen_addresses)
}

fn written_addresses(listen_addresses: &[ListenAddress]) -> String {
    let written = listen_addresses.iter().map(|address| address.write());
    written.collect::<Vec<_>>().join(" ")
}

impl Slot for ListenAddressList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = listen_addresses(text, &self.expects())?;
        Ok(())
    }

    fn write(&self) -> String {
        written_addresses(self.0)
    }

    fn expects(&self) -> String {
        "addresses, as 0.0.0.0 or [2001:db8::1]:8080, or nothing for all".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// The addresses to listen on for TLS, if any.
pub(super) struct TlsListenAddressList<'a>(pub &'a mut Vec<ListenAddress>);

impl Slot for TlsListenAddressList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self.0 = listen_addresses(text, &self.expects())?;
        Ok(())
    }

    fn write(&self) -> String {
        written_addresses(self.0)
    }

    fn expects(&self) -> String {
        "addresses, as 0.0.0.0 or [2001:db8::1]:8443, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// Files, in order.
pub(super) struct FileList<'a>(pub &'a mut Vec<PathBuf>);

/// Files of a list at most.
const MAX_FILES: usize = 100;

impl Slot for FileList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let files: Vec<PathBuf> = entries(text).map(PathBuf::from).collect();
        if files.len() > MAX_FILES {
            return Err(format!("at most {MAX_FILES} files"));
        }
        *self.0 = files;
        Ok(())
    }

    fn write(&self) -> String {
        let files: Vec<String> = self
            .0
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        files.join(" ")
    }

    fn expects(&self) -> String {
        "paths, or nothing".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// The beginnings of peer ids that are allowed, or those that are denied.
pub(super) struct ClientList<'a> {
    pub rules: &'a mut Vec<ClientRule>,
    pub is_allowed: bool,
}

impl Slot for ClientList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut found = Vec::new();
        for entry in entries(text) {
            let prefix = if entry == "*" { "" } else { entry };
            if prefix.len() > 20 || !prefix.is_ascii() {
                return Err(format!(
                    "`{entry}` begins no peer id; expected {}",
                    self.expects()
                ));
            }
            found.push(ClientRule {
                prefix: prefix.into(),
                is_allowed: self.is_allowed,
            });
        }
        self.rules.retain(|rule| rule.is_allowed != self.is_allowed);
        self.rules.append(&mut found);
        Ok(())
    }

    fn write(&self) -> String {
        let own = self
            .rules
            .iter()
            .filter(|rule| rule.is_allowed == self.is_allowed);
        let names: Vec<_> = own
            .map(|rule| match rule.prefix.as_slice() {
                [] => "*".into(),
                prefix => String::from_utf8_lossy(prefix),
            })
            .collect();
        names.join(" ")
    }

    fn expects(&self) -> String {
        "beginnings of peer ids, as -XL0012-, or * for every client".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

/// Pairs of prefixes, each as `internal=external`.
pub(super) struct PairList<'a>(pub &'a mut Vec<AddressPair>);

impl Slot for PairList<'_> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut pairs = Vec::new();
        for entry in entries(text) {
            let sides = entry.split_once('=');
            let (inside, outside) = sides
                .ok_or_else(|| format!("`{entry}` is no pair; expected {}", self.expects()))?;
            pairs.push(AddressPair {
                inside: network(inside)?,
                outside: network(outside)?,
            });
        }
        *self.0 = pairs;
        Ok(())
    }

    fn write(&self) -> String {
        let pair = |pair: &AddressPair| {
            format!(
                "{}={}",
                host_or_network(pair.inside),
                host_or_network(pair.outside)
            )
        };
        let pairs: Vec<String> = self.0.iter().map(pair).collect();
        pairs.join(" ")
    }

    fn expects(&self) -> String {
        "pairs of networks, as 100.64.0.0/16=198.51.100.0/24".into()
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O4
    #[test]
    fn host_names_are_read_without_ports() {
        let mut names = Hosts::default();
        let mut list = HostNames(&mut names);
        assert_eq!(list.read("Tracker.isp.example, rt-1"), Ok(()));
        assert_eq!(list.write(), "tracker.isp.example rt-1");
        for odd in ["tracker:8080", "http://tracker", "трекер"] {
            assert!(list.read(odd).is_err(), "{odd}");
        }
        assert_eq!(list.write(), "tracker.isp.example rt-1");
        assert_eq!(list.read(""), Ok(()));
        assert!(names.configured().is_empty());
    }

    /// C4, C9
    #[test]
    fn networks_are_separated_by_blanks_or_commas() {
        let mut networks = Networks::default();
        let text = "10.0.0.0/8,192.0.2.7 ,2001:db8::/32  ::ffff:198.51.100.1";
        NetworkList(&mut networks).read(text).unwrap();
        assert_eq!(
            NetworkList(&mut networks).write(),
            "10.0.0.0/8 192.0.2.7 198.51.100.1 2001:db8::/32"
        );
        assert!(networks.covers("10.255.0.1".parse().unwrap()));
        NetworkList(&mut networks)
            .read("::ffff:10.0.0.0/104 ::ffff:192.0.2.7/128 ::/0 ::ffff:0:0/96")
            .unwrap();
        assert_eq!(
            NetworkList(&mut networks).write(),
            "0.0.0.0/0 10.0.0.0/8 192.0.2.7 ::/0"
        );
        NetworkList(&mut networks).read("").unwrap();
        assert!(networks.is_empty());
    }

    #[test]
    fn a_network_that_says_more_than_its_length_is_refused() {
        let fault = network("192.168.0.0/8").unwrap_err();
        assert!(fault.contains("192.0.0.0/8"), "{fault}");
        for text in ["10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0-10.0.0.9"] {
            assert!(network(text).unwrap_err().contains(text));
        }
    }

    /// C3, P13
    #[test]
    fn doors_are_addresses_with_or_without_a_port() {
        let mut listen_addresses = Vec::new();
        ListenAddressList(&mut listen_addresses)
            .read("0.0.0.0 [::1]:81, [::] 127.0.0.1:82")
            .unwrap();
        let addresses: Vec<_> = listen_addresses
            .iter()
            .map(|listen_address| listen_address.or_port(80).to_string())
            .collect();
        assert_eq!(
            addresses,
            ["0.0.0.0:80", "[::1]:81", "[::]:80", "127.0.0.1:82"]
        );
        assert_eq!(
            ListenAddressList(&mut listen_addresses).write(),
            "0.0.0.0 [::1]:81 :: 127.0.0.1:82"
        );
        ListenAddressList(&mut listen_addresses)
            .read("localhost")
            .unwrap();
        assert_eq!(listen_addresses.len(), 2);
        for text in [
            "0.0.0.0:99999",
            "tracker.local",
            "::1 ::1",
            "0.0.0.0/0",
            "127.0.0.1 ::ffff:127.0.0.1",
            "224.0.0.1",
            "[ff02::1]:80",
            "255.255.255.255",
            "0.0.0.1",
            "fe80::1",
            "[fe80::1%2]:80",
        ] {
            assert!(
                ListenAddressList(&mut listen_addresses).read(text).is_err(),
                "{text}"
            );
        }
        assert_eq!(listen_addresses.len(), 2, "a bad value changes nothing");
        ListenAddressList(&mut listen_addresses)
            .read("::ffff:127.0.0.1 [::ffff:127.0.0.2]:80 [::ffff:0.0.0.0]")
            .unwrap();
        assert_eq!(
            ListenAddressList(&mut listen_addresses).write(),
            "127.0.0.1 127.0.0.2:80 0.0.0.0"
        );
    }

    /// C3
    #[test]
    fn an_address_is_listened_at_once_however_often_it_is_meant() {
        let listen = |text: &str| {
            let addresses: Vec<SocketAddr> = text
                .split(' ')
                .map(|address| address.parse().unwrap())
                .collect();
            let distinct: Vec<String> = distinct(&addresses)
                .iter()
                .map(ToString::to_string)
                .collect();
            distinct.join(" ")
        };
        assert_eq!(
            listen("127.0.0.1:8 127.0.0.1:8 127.0.0.1:9"),
            "127.0.0.1:8 127.0.0.1:9"
        );
        assert_eq!(listen("127.0.0.1:8 [::1]:8 0.0.0.0:8"), "[::1]:8 0.0.0.0:8");
        assert_eq!(
            listen("[::]:8 [::1]:8 [::1]:9 0.0.0.0:8"),
            "[::]:8 [::1]:9 0.0.0.0:8"
        );
        assert_eq!(listen("0.0.0.0:0 127.0.0.1:0"), "0.0.0.0:0 127.0.0.1:0");
    }

    /// W14
    #[test]
    fn the_addresses_for_subscribers_are_whole_ones() {
        let mut urls = Vec::new();
        let text = "http://retracker.local/announce udp://tracker.isp.example:80/announce";
        AnnounceUrlList(&mut urls).read(text).unwrap();
        assert_eq!(AnnounceUrlList(&mut urls).write(), text);
        let fault = AnnounceUrlList(&mut urls).read("yes").unwrap_err();
        assert!(fault.starts_with("`yes`: an announce address"), "{fault}");
        let many = "http://x/announce ".repeat(9);
        assert!(AnnounceUrlList(&mut urls).read(&many).is_err());
        assert_eq!(urls.len(), 2, "a bad value changes nothing");
        AnnounceUrlList(&mut urls).read("").unwrap();
        assert!(urls.is_empty());
    }

    /// S10
    #[test]
    fn pairs_join_an_internal_network_to_an_external_one() {
        let mut pairs = Vec::new();
        let text = "100.64.0.0/16=198.51.100.0/24 10.0.0.5=2001:db8::5";
        PairList(&mut pairs).read(text).unwrap();
        assert_eq!(PairList(&mut pairs).write(), text);
        assert_eq!(pairs[0].outside.to_string(), "198.51.100.0/24");
        assert!(PairList(&mut pairs).read("10.0.0.0/8").is_err());
        assert!(PairList(&mut pairs).read("10.0.0.0/8=x").is_err());
    }

    /// O8
    #[test]
    fn rules_for_clients_of_both_kinds_stand_side_by_side() {
        let mut rules = Vec::new();
        let mut list = |is_allowed, text: &str| {
            let mut list = ClientList {
                rules: &mut rules,
                is_allowed,
            };
            list.read(text).map(|()| list.write())
        };
        assert_eq!(list(false, "* -XL"), Ok("* -XL".into()));
        assert_eq!(list(true, "-qB"), Ok("-qB".into()));
        assert_eq!(list(false, "-XL"), Ok("-XL".into()));
        assert!(list(false, "-longer-than-a-peer-id-").is_err());
        assert_eq!(rules.len(), 2);
    }
}
