//! Whose address a request counts for: the socket's, or what a trusted proxy says in its headers; and whether it is an admin's.
//!
//! Nothing is believed from anybody else, whatever the headers are called (`Forwarded` and its kin are never read, only noticed).
//! Who cannot be told is nobody: [`ClientAddress::Unknown`] is no address, and never an admin. Every address that comes out is
//! canonical: a v4-mapped one is v4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::hosts::Hosts;
use super::{Networks, is_reachable};
use crate::metrics::{Gauge, Metrics};

/// How the client's address is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is the socket's; headers mean nothing.
    #[default]
    Direct,
    /// It stands in a header when the socket belongs to a trusted proxy.
    Proxy,
}

/// The rules by which a request is given its address.
#[derive(Clone, Debug)]
pub struct ClientAddressRules {
    /// Whether headers of proxies are looked at (`mode`). Default [`Mode::Direct`].
    pub mode: Mode,
    /// The proxies that are believed (`trusted_proxies`). Default 127.0.0.1 and `::1`. Empty: nobody is.
    pub trusted_proxies: Networks,
    /// Whether X-Real-IP is read where there is no X-Forwarded-For (`use_x_real_ip`). Default yes.
    pub use_x_real_ip: bool,
    /// Whether X-Forwarded-For is read (`use_x_forwarded_for`). Default yes.
    pub use_x_forwarded_for: bool,
    /// Networks of the people who run the tracker (`admin_networks`). Default loopback. Empty: nobody is one of them.
    pub admin_networks: Networks,
    /// Names under which they see what needs no login (`host_names`), besides addresses, `localhost`, `retracker.local` and the
    /// machine's own. Default none.
    pub hosts: Hosts,
}

impl Default for ClientAddressRules {
    fn default() -> ClientAddressRules {
        let host_v4 = Ipv4Net::from(Ipv4Addr::LOCALHOST);
        let host_v6 = IpNet::from(Ipv6Net::from(Ipv6Addr::LOCALHOST));
        let loopback_v4 = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
        ClientAddressRules {
            mode: Mode::Direct,
            trusted_proxies: [host_v4.into(), host_v6].into_iter().collect(),
            use_x_real_ip: true,
            use_x_forwarded_for: true,
            admin_networks: [loopback_v4.into(), host_v6].into_iter().collect(),
            hosts: Hosts::default(),
        }
    }
}

/// Whom a request counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// The client's canonical address.
    Known(IpAddr),
    /// It came through a trusted proxy that names nobody usable: the client may be anybody.
    Unknown,
}

impl ClientAddress {
    /// The address, if it is known.
    pub const fn known(self) -> Option<IpAddr> {
        match self {
            ClientAddress::Known(ip) => Some(ip),
            ClientAddress::Unknown => None,
        }
    }
}

impl std::fmt::Display for ClientAddress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientAddress::Known(ip) => ip.fmt(out),
            ClientAddress::Unknown => out.write_str("unknown"),
        }
    }
}

/// Stands for the other end of a connection whose proxy names no client: nobody's address, which is never believed and never an
/// admin's.
pub const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is known of who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Whom the request counts for.
    pub address: ClientAddress,
    /// Whether it carries headers of a proxy that is not believed: the client may stand behind the socket's address, or may
    /// have written them itself.
    is_forwarded: bool,
    /// Whether the request was sent to a name of ours. Under another one it is a page of a foreign site that asks, in the
    /// browser of whoever has the address.
    names_us: bool,
}

impl Client {
    /// Whether the request was made on this machine, by no proxy's hand.
    pub fn is_local(&self) -> bool {
        let ip = self.address.known();
        self.names_us && !self.is_forwarded && ip.is_some_and(|ip| ip.is_loopback())
    }

    /// The client of a request that was sent to this `Host`; one without, as only programs send it, is sent to us.
    pub fn to_host(self, host: Option<&[u8]>, hosts: &Hosts) -> Client {
        Client {
            names_us: hosts.know(host),
            ..self
        }
    }
}

/// How many X-Forwarded-For lines of one request are kept; of more, the last ones.
const FORWARDED_LINES: usize = 8;

/// The headers of one request that can name its origin, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forwarding<'a> {
    real_ip: Option<&'a [u8]>,
    has_several_real_ips: bool,
    /// The newest line first.
    forwarded_for: [&'a [u8]; FORWARDED_LINES],
    /// How many of them there are; the empty ones count.
    lines: usize,
    has_others: bool,
}

/// Whether a header says that somebody sent the request on for somebody else: the standard ones, and what proxies and networks
/// of caches add by themselves, beside or instead of them.
pub fn is_forwarding(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"x-forwarded";
    const NAMES: [&[u8]; 9] = [
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"x-envoy-external-address",
        b"true-client-ip",
        b"cf-connecting-ip",
    ];
    let start = name.get(..FAMILY.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
        || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

impl<'a> Forwarding<'a> {
    /// Takes one header line, in the order of the request; names of no meaning here are passed over.
    pub fn add(&mut self, name: &[u8], value: &'a [u8]) {
        if name.eq_ignore_ascii_case(b"x-real-ip") {
            self.has_several_real_ips = self.real_ip.is_some();
            self.real_ip = Some(value);
        } else if name.eq_ignore_ascii_case(b"x-forwarded-for") {
            self.lines = FORWARDED_LINES.min(self.lines + 1);
            self.forwarded_for.rotate_right(1);
            if let Some(newest) = self.forwarded_for.first_mut() {
                *newest = value;
            }
        } else if is_forwarding(name) {
            self.has_others = true;
        }
    }

    /// The headers among the field lines of a request.
    pub fn of<'n>(fields: impl Iterator<Item = (&'n [u8], &'a [u8])>) -> Forwarding<'a> {
        let mut forwarding = Forwarding::default();
        fields.for_each(|(name, value)| forwarding.add(name, value));
        forwarding
    }

    /// Whether the request carries any of the headers.
    fn is_there(&self) -> bool {
        self.real_ip.is_some() || self.lines > 0 || self.has_others
    }

    /// X-Real-IP, when there is exactly one and it holds an address.
    fn real_ip(&self) -> Option<IpAddr> {
        let text = self.real_ip.filter(|_| !self.has_several_real_ips)?;
        parse(text)
    }

    /// The lines of X-Forwarded-For, the newest first.
    fn lines(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.forwarded_for.into_iter().take(self.lines)
    }

    /// The hops of X-Forwarded-For from the right, up to the first that is no address.
    pub fn hops(&self) -> impl Iterator<Item = IpAddr> {
        self.hop_texts().map_while(parse)
    }

    fn hop_texts(&self) -> impl Iterator<Item = &'a [u8]> {
        self.lines()
            .flat_map(|line| line.rsplit(|byte| *byte == b','))
    }
}

/// The proxies that a request came through, as far as they are believed.
#[derive(Clone, Copy, Debug)]
pub struct ProxyChain<'a> {
    address_rules: &'a ClientAddressRules,
    /// The socket's address, canonical.
    socket: IpAddr,
    forwarding: Option<&'a Forwarding<'a>>,
}

impl ProxyChain<'_> {
    /// Whether a trusted proxy says that the request came by `ip`.
    pub fn has_hop(&self, ip: IpAddr) -> bool {
        self.address_rules.believes(self.socket)
            && self
                .forwarding
                .is_some_and(|forwarding| forwarding.hops().any(|hop| hop == ip))
    }

    /// Whether a trusted proxy itself is reached at `ip` (S13).
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        self.address_rules.believes(ip)
    }
}

impl ClientAddressRules {
    /// The proxies that a request from this socket address with these headers came through.
    pub fn proxy_chain<'a>(
        &'a self,
        socket: IpAddr,
        forwarding: Option<&'a Forwarding<'a>>,
    ) -> ProxyChain<'a> {
        ProxyChain {
            address_rules: self,
            socket,
            forwarding,
        }
    }

    /// Whether the headers of a request from this socket address are to be believed.
    pub fn believes(&self, socket: IpAddr) -> bool {
        let socket = socket.to_canonical();
        self.mode == Mode::Proxy && socket != NOBODY.ip() && self.trusted_proxies.covers(socket)
    }

    /// What stands for the other end of a connection that a believed proxy says to be the client's at `named`: that address,
    /// canonical, which may be another proxy's; [`NOBODY`] where it is of no use. The loopback of whoever says it is not ours.
    pub fn peer_named(&self, named: SocketAddr) -> SocketAddr {
        let ip = named.ip().to_canonical();
        if is_reachable(ip) && !ip.is_loopback() {
            SocketAddr::new(ip, named.port())
        } else {
            NOBODY
        }
    }

    /// Finds out who asks. Where X-Forwarded-For is there, it is walked, and X-Real-IP, which may be the client's own, says
    /// nothing that could differ. Nobody is an admin or local before it is known [whom it asks](Client::to_host).
    pub fn decide(&self, socket: IpAddr, forwarding: &Forwarding<'_>) -> Client {
        let socket = socket.to_canonical();
        let is_believed = self.believes(socket);
        let named = if !is_believed {
            Some(socket).filter(|ip| is_reachable(*ip))
        } else if self.use_x_forwarded_for && forwarding.lines > 0 {
            self.walk(forwarding)
        } else if self.use_x_real_ip {
            forwarding.real_ip().filter(|ip| self.is_client(*ip))
        } else {
            None
        };
        Client {
            address: named.map_or(ClientAddress::Unknown, ClientAddress::Known),
            is_forwarded: !is_believed && forwarding.is_there(),
            names_us: false,
        }
    }

    /// The first hop from the right that is no trusted proxy. Nothing when a hop on the way there is no client's address: what
    /// stands left of it was written by a stranger.
    fn walk(&self, forwarding: &Forwarding<'_>) -> Option<IpAddr> {
        let hops = forwarding.hop_texts().map(parse);
        let mut strangers = hops.skip_while(|hop| hop.is_some_and(|hop| self.is_proxy(hop)));
        strangers.next()?.filter(|hop| self.is_client(*hop))
    }

    fn is_proxy(&self, hop: IpAddr) -> bool {
        self.trusted_proxies.covers(hop)
    }

    /// Whether a header may name this address as its client: a proxy is none, and nobody's loopback is ours.
    fn is_client(&self, ip: IpAddr) -> bool {
        !ip.is_loopback() && !self.is_proxy(ip)
    }

    /// Whether the request comes from the people who run the tracker. Who is not known is none of them, and who stands behind
    /// a proxy that is not believed is not known.
    pub fn is_admin(&self, client: &Client) -> bool {
        let may_be = client.names_us && !client.is_forwarded;
        let ip = client.address.known().filter(|_| may_be);
        ip.is_some_and(|ip| self.admin_networks.covers(ip))
    }

    /// Whether connections from this socket address are those of people who run the tracker: no believed proxy's, which
    /// brings everybody's.
    pub fn is_admin_socket(&self, socket: IpAddr) -> bool {
        let socket = socket.to_canonical();
        socket != NOBODY.ip() && self.admin_networks.covers(socket) && !self.believes(socket)
    }

    /// Tells, once in the log and from then on by a gauge, that a proxy stands before the tracker without being believed:
    /// this machine or an admin's sends on what others asked. Strangers may write such headers themselves, so theirs say
    /// nothing.
    pub fn notice(&self, socket: IpAddr, client: &Client, metrics: &Metrics) {
        let socket = socket.to_canonical();
        if !client.is_forwarded || !(socket.is_loopback() || self.admin_networks.covers(socket)) {
            return;
        }
        if metrics.set_once(Gauge::UntrustedProxy) {
            log::warn!(
                "requests from this machine or an admin network carry the headers of a proxy (X-Forwarded-For, Via or the like) \
                 that is not believed: everybody behind it has its address. They are not treated as an admin's. \
                 Set mode = proxy and trusted_proxies"
            );
        }
    }

    /// What `/status` says to a client: `OK`, and to admins what the tracker sees of them. Header texts are cut to printable
    /// ASCII and 200 characters.
    pub fn status(&self, socket: IpAddr, client: &Client, forwarding: &Forwarding<'_>) -> String {
        if !self.is_admin(client) {
            return "OK\n".to_owned();
        }
        let decided = client.address;
        let real_ip = forwarding.real_ip.map_or_else(|| "-".to_owned(), printable);
        let mut lines: Vec<String> = forwarding.lines().rev().map(printable).collect();
        if lines.is_empty() {
            lines.push("-".to_owned());
        }
        format!(
            "OK\nremote_addr: {}\nx_real_ip: {real_ip}\nx_forwarded_for: {}\ndetermined_ip: {decided}\n",
            socket.to_canonical(),
            lines.join(", "),
        )
    }
}

fn printable(text: &[u8]) -> String {
    let shown = text.iter().take(200);
    shown
        .map(|byte| {
            if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '?'
            }
        })
        .collect()
}

/// Reads an address as proxies and clients write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`, with blanks around. Canonical and unicast, or nothing.
pub fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => match text.parse() {
            Ok(ip) => ip,
            Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(ip.to_canonical()).filter(|ip| is_reachable(*ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    fn proxy() -> ClientAddressRules {
        ClientAddressRules {
            mode: Mode::Proxy,
            trusted_proxies: ["10.0.0.0/8", "2001:db8:1::/48"]
                .into_iter()
                .map(|network| network.parse().unwrap())
                .collect(),
            ..ClientAddressRules::default()
        }
    }

    fn client(
        address_rules: &ClientAddressRules,
        socket: &str,
        headers: &[(&str, &str)],
    ) -> Client {
        let mut forwarding = Forwarding::default();
        for (name, value) in headers {
            forwarding.add(name.as_bytes(), value.as_bytes());
        }
        let decided = address_rules.decide(socket.parse().unwrap(), &forwarding);
        decided.to_host(None, &address_rules.hosts)
    }

    fn status(
        address_rules: &ClientAddressRules,
        socket: &str,
        forwarding: &Forwarding<'_>,
    ) -> String {
        let socket = socket.parse().unwrap();
        let client = address_rules.decide(socket, forwarding);
        address_rules.status(
            socket,
            &client.to_host(None, &address_rules.hosts),
            forwarding,
        )
    }

    fn decide(
        address_rules: &ClientAddressRules,
        socket: &str,
        headers: &[(&str, &str)],
    ) -> String {
        client(address_rules, socket, headers).address.to_string()
    }

    const XFF: &str = "X-Forwarded-For";
    const REAL: &str = "X-Real-IP";

    /// C9
    #[test]
    fn headers_mean_nothing_in_direct_mode() {
        let address_rules = ClientAddressRules {
            mode: Mode::Direct,
            ..proxy()
        };
        let headers = [(XFF, "192.0.2.9"), (REAL, "192.0.2.9")];
        assert_eq!(decide(&address_rules, "10.0.0.1", &headers), "10.0.0.1");
    }

    /// C9
    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        let address_rules = proxy();
        for (lines, client) in [
            (vec!["192.0.2.1"], "192.0.2.1"),
            (vec!["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (vec!["6.6.6.6, 192.0.2.1, 10.3.2.1"], "192.0.2.1"),
            (
                vec!["6.6.6.6", "192.0.2.1 ,10.3.2.1", "10.3.2.2"],
                "192.0.2.1",
            ),
            (vec!["192.0.2.1:4711"], "192.0.2.1"),
            (vec!["[2001:db8::5]:4711,[2001:db8:1::7]"], "2001:db8::5"),
            (vec!["2001:db8::5"], "2001:db8::5"),
            (vec!["::ffff:192.0.2.1"], "192.0.2.1"),
            (vec!["garbage, 192.0.2.1"], "192.0.2.1"),
            (vec!["", "192.0.2.1"], "192.0.2.1"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| (XFF, *line)).collect();
            assert_eq!(
                decide(&address_rules, "10.0.0.1", &headers),
                client,
                "{lines:?}"
            );
        }
    }

    /// C9, R3: neither the proxy nor this machine stands in for a client whom nobody names.
    #[test]
    fn a_proxy_that_names_nobody_usable_has_an_unknown_client() {
        let address_rules = proxy();
        for text in [
            "999.1.1.1",
            "unknown",
            "192.0.2.1/24",
            "0300.1.1.1",
            "192.0.2.1, garbage",
            "192.0.2.1, garbage, 10.1.1.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "192.0.2.1,",
            "",
            "\u{1}",
            "[192.0.2.1]",
            "127.0.0.1",
            "192.0.2.1, 127.0.0.1",
            "[::1]:80",
            "::ffff:127.0.0.1",
            "10.9.9.9",
            "10.9.9.9, 10.8.8.8",
        ] {
            for more in [None, Some((REAL, "192.0.2.5")), Some((REAL, "127.0.0.1"))] {
                let headers: Vec<_> = more.into_iter().chain([(XFF, text)]).collect();
                let found = client(&address_rules, "10.0.0.1", &headers);
                assert_eq!(found.address, ClientAddress::Unknown, "{headers:?}");
                assert!(!address_rules.is_admin(&found) && !found.is_local());
            }
        }
        assert_eq!(decide(&address_rules, "10.0.0.1", &[]), "unknown");
        let other = [("Forwarded", "for=192.0.2.1")];
        assert_eq!(decide(&address_rules, "10.0.0.1", &other), "unknown");
    }

    /// C9: a proxy that only appends X-Forwarded-For passes a stranger's own X-Real-IP on.
    #[test]
    fn x_real_ip_counts_only_without_x_forwarded_for() {
        let address_rules = proxy();
        for (headers, client) in [
            (vec![(REAL, "192.0.2.5")], "192.0.2.5"),
            (vec![(REAL, "192.0.2.5"), (XFF, "192.0.2.1")], "192.0.2.1"),
            (vec![(REAL, "127.0.0.1"), (XFF, "192.0.2.1")], "192.0.2.1"),
            (vec![(REAL, "10.1.1.1"), (XFF, "192.0.2.1")], "192.0.2.1"),
            (vec![(REAL, "192.0.2.1"), (XFF, "192.0.2.1")], "192.0.2.1"),
            (vec![(REAL, "192.0.2.5"), (REAL, "192.0.2.6")], "unknown"),
            (vec![(REAL, "127.0.0.1")], "unknown"),
            (vec![(REAL, "10.1.1.1")], "unknown"),
            (vec![(REAL, "")], "unknown"),
        ] {
            assert_eq!(
                decide(&address_rules, "10.0.0.1", &headers),
                client,
                "{headers:?}"
            );
        }
        let only_real = ClientAddressRules {
            use_x_forwarded_for: false,
            ..proxy()
        };
        let both = [(REAL, "192.0.2.5"), (XFF, "192.0.2.1")];
        assert_eq!(decide(&only_real, "10.0.0.1", &both), "192.0.2.5");
        let off = ClientAddressRules {
            use_x_real_ip: false,
            ..only_real
        };
        assert_eq!(decide(&off, "10.0.0.1", &both), "unknown");
    }

    /// C9
    #[test]
    fn a_local_request_with_headers_of_a_proxy_is_no_admin_and_one_warning_tells_of_it() {
        let networks = ["127.0.0.0/8", "10.1.0.0/16"].map(|text| text.parse().unwrap());
        let direct = ClientAddressRules {
            admin_networks: networks.into_iter().collect(),
            ..ClientAddressRules::default()
        };
        let untrusted = ClientAddressRules {
            admin_networks: direct.admin_networks.clone(),
            ..proxy()
        };
        let metrics = Metrics::new(0);
        let told = || metrics.gauge(Gauge::UntrustedProxy);
        for address_rules in [direct, untrusted] {
            let local = client(&address_rules, "127.0.0.1", &[("Host", "x")]);
            assert!(address_rules.is_admin(&local) && local.is_local());
            address_rules.notice("127.0.0.1".parse().unwrap(), &local, &metrics);
            let stranger = client(&address_rules, "192.0.2.1", &[(REAL, "127.0.0.1")]);
            assert!(!address_rules.is_admin(&stranger));
            address_rules.notice("192.0.2.1".parse().unwrap(), &stranger, &metrics);
            assert_eq!(told(), 0);
            for name in [
                XFF,
                "x-real-ip",
                "FORWARDED",
                "Via",
                "X-Forwarded-Host",
                "X-Forwarded-Proto",
                "x-forwarded",
                "CF-Connecting-IP",
                "True-Client-IP",
                "X-Client-IP",
            ] {
                let proxied = client(&address_rules, "127.0.0.1", &[(name, "192.0.2.1")]);
                assert!(
                    !address_rules.is_admin(&proxied) && !proxied.is_local(),
                    "{name}"
                );
                assert_eq!(proxied.address.to_string(), "127.0.0.1");
                address_rules.notice("127.0.0.1".parse().unwrap(), &proxied, &metrics);
                assert_eq!(told(), 1);
            }
            metrics.set(Gauge::UntrustedProxy, 0);
        }
    }

    /// O4, W3: who asks under a foreign name is a page in an admin's browser, and so is whoever does not say.
    #[test]
    fn nobody_is_an_admin_or_local_under_a_foreign_name() {
        let address_rules = ClientAddressRules {
            hosts: Hosts::new(vec!["tracker.isp.example".into()]),
            ..ClientAddressRules::default()
        };
        let socket = "127.0.0.1".parse().unwrap();
        let asked = address_rules.decide(socket, &Forwarding::default());
        assert!(!address_rules.is_admin(&asked) && !asked.is_local());
        for (host, is_ours) in [
            (None, true),
            (Some("127.0.0.1:8080"), true),
            (Some("Tracker.isp.example"), true),
            (Some("evil.example"), false),
            (Some(""), false),
        ] {
            let asked = asked.to_host(host.map(str::as_bytes), &address_rules.hosts);
            assert_eq!(address_rules.is_admin(&asked), is_ours, "{host:?}");
            assert_eq!(asked.is_local(), is_ours, "{host:?}");
        }
    }

    /// C9
    #[test]
    fn an_admin_may_come_through_a_trusted_proxy_that_names_him() {
        let address_rules = ClientAddressRules {
            admin_networks: std::iter::once("192.0.2.0/24".parse().unwrap()).collect(),
            ..proxy()
        };
        let admin = client(&address_rules, "10.0.0.1", &[(XFF, "192.0.2.1")]);
        assert!(address_rules.is_admin(&admin));
        assert!(!address_rules.is_admin_socket("10.0.0.1".parse().unwrap()));
        assert!(address_rules.is_admin_socket("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn of_very_many_lines_the_last_ones_count() {
        let headers: Vec<_> = std::iter::repeat_n((XFF, "6.6.6.6"), 50)
            .chain([(XFF, "192.0.2.1"), (XFF, "10.1.1.1")])
            .collect();
        assert_eq!(decide(&proxy(), "10.0.0.1", &headers), "192.0.2.1");
        let trusted: Vec<_> = std::iter::once((XFF, "6.6.6.6"))
            .chain(std::iter::repeat_n((XFF, "10.1.1.1"), 50))
            .collect();
        assert_eq!(decide(&proxy(), "10.0.0.1", &trusted), "unknown");
    }

    /// C6
    #[test]
    fn status_tells_details_to_admins_only() {
        let address_rules = ClientAddressRules {
            admin_networks: std::iter::once("192.0.2.1/32".parse().unwrap()).collect(),
            ..proxy()
        };
        let mut forwarding = Forwarding::default();
        forwarding.add(b"X-Real-IP", b"a\x1b[31mb");
        forwarding.add(b"X-Forwarded-For", b"6.6.6.6");
        forwarding.add(b"X-Forwarded-For", b"192.0.2.1");
        let text = status(&address_rules, "10.0.0.1", &forwarding);
        assert_eq!(
            text,
            "OK\nremote_addr: 10.0.0.1\nx_real_ip: a?[31mb\nx_forwarded_for: 6.6.6.6, 192.0.2.1\ndetermined_ip: 192.0.2.1\n"
        );
        assert_eq!(status(&address_rules, "192.0.2.1", &forwarding), "OK\n");
        let none = Forwarding::default();
        let text = status(&address_rules, "192.0.2.1", &none);
        assert_eq!(
            text,
            "OK\nremote_addr: 192.0.2.1\nx_real_ip: -\nx_forwarded_for: -\ndetermined_ip: 192.0.2.1\n"
        );
    }

    proptest! {
        /// C9, R3
        #[test]
        fn a_caller_is_itself_or_a_stranger_whom_a_trusted_proxy_names(
            socket in any::<IpAddr>(),
            is_trusted in any::<bool>(),
            lines in proptest::collection::vec((any::<bool>(), line()), 0..12),
        ) {
            let address_rules = proxy();
            let mut forwarding = Forwarding::default();
            for (is_real, value) in &lines {
                forwarding.add(if *is_real { b"X-Real-IP" } else { b"X-Forwarded-For" }, value);
            }
            let socket = if is_trusted { "10.0.0.1".parse().unwrap() } else { socket };
            let decided = address_rules.decide(socket, &forwarding);
            if address_rules.trusted_proxies.covers(socket.to_canonical()) {
                if let ClientAddress::Known(ip) = decided.address {
                    prop_assert!(ip == ip.to_canonical() && is_reachable(ip));
                    prop_assert!(!ip.is_loopback() && !address_rules.trusted_proxies.covers(ip));
                }
            } else if is_reachable(socket.to_canonical()) {
                prop_assert_eq!(decided.address, ClientAddress::Known(socket.to_canonical()));
            }
            if decided.address == ClientAddress::Unknown {
                prop_assert!(!address_rules.is_admin(&decided) && !decided.is_local());
            }
        }
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let hop = prop_oneof![
            Just(""),
            Just("127.0.0.1"),
            Just("::1"),
            Just("[::ffff:127.0.0.1]:1"),
            Just("10.0.0.2"),
            Just("[2001:db8:1::1]:99"),
            Just("192.0.2.1"),
            Just("2001:db8::1"),
            Just("0.0.0.0"),
            Just("x"),
        ];
        let hops = proptest::collection::vec(hop, 0..4);
        let bytes = proptest::collection::vec(any::<u8>(), 0..60);
        prop_oneof![3 => hops.prop_map(|hops| hops.join(", ").into_bytes()), 1 => bytes]
    }
}
