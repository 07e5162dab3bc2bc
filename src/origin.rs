//! Whose address a request counts for: the socket's, or what a trusted proxy says in its headers.
//!
//! Nothing is believed from anybody else, whatever the headers are called (`Forwarded` and its kin are never read). Every
//! address that comes out is canonical: a v4-mapped one is v4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::tracker::{Networks, is_reachable};

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
pub struct Origin {
    /// Whether headers of proxies are looked at (`mode`). Default [`Mode::Direct`].
    pub mode: Mode,
    /// The proxies that are believed (`trusted_proxies`). Default 127.0.0.1 and `::1`. Empty: nobody is.
    pub trusted_proxies: Networks,
    /// Whether X-Real-IP is read; it wins over X-Forwarded-For (`use_x_real_ip`). Default yes.
    pub use_x_real_ip: bool,
    /// Whether X-Forwarded-For is read (`use_x_forwarded_for`). Default yes.
    pub use_x_forwarded_for: bool,
    /// Networks of the people who run the tracker (`admin_networks`). Default loopback. Empty: nobody is one of them.
    pub admin_networks: Networks,
}

impl Default for Origin {
    fn default() -> Origin {
        let host_v4 = Ipv4Net::from(Ipv4Addr::LOCALHOST);
        let host_v6 = IpNet::from(Ipv6Net::from(Ipv6Addr::LOCALHOST));
        let loopback_v4 = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
        Origin {
            mode: Mode::Direct,
            trusted_proxies: [host_v4.into(), host_v6].into_iter().collect(),
            use_x_real_ip: true,
            use_x_forwarded_for: true,
            admin_networks: [loopback_v4.into(), host_v6].into_iter().collect(),
        }
    }
}

/// How many X-Forwarded-For lines of one request are kept; of more, the last ones.
const FORWARDED_LINES: usize = 8;

/// The two headers of one request that can name its origin, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forwarding<'a> {
    real_ip: Option<&'a [u8]>,
    has_several_real_ips: bool,
    /// The newest line first.
    forwarded_for: [&'a [u8]; FORWARDED_LINES],
}

impl<'a> Forwarding<'a> {
    /// Takes one header line, in the order of the request; names other than the two are passed over.
    pub fn add(&mut self, name: &[u8], value: &'a [u8]) {
        if name.eq_ignore_ascii_case(b"x-real-ip") {
            self.has_several_real_ips = self.real_ip.is_some();
            self.real_ip = Some(value);
        } else if name.eq_ignore_ascii_case(b"x-forwarded-for") {
            self.forwarded_for.rotate_right(1);
            if let Some(newest) = self.forwarded_for.first_mut() {
                *newest = value;
            }
        }
    }

    /// X-Real-IP, when there is exactly one and it holds an address.
    fn real_ip(&self) -> Option<IpAddr> {
        let text = self.real_ip.filter(|_| !self.has_several_real_ips)?;
        parse(text)
    }

    /// The hops of X-Forwarded-For from the right, up to the first that is no address.
    pub fn hops(&self) -> impl Iterator<Item = IpAddr> {
        self.hop_texts().map_while(parse)
    }

    fn hop_texts(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self
            .forwarded_for
            .into_iter()
            .filter(|line| !line.is_empty());
        lines.flat_map(|line| line.rsplit(|byte| *byte == b','))
    }
}

impl Origin {
    /// Whether the headers of a request from this socket address are to be believed.
    pub fn believes(&self, socket: IpAddr) -> bool {
        self.mode == Mode::Proxy && self.trusted_proxies.covers(socket.to_canonical())
    }

    /// The address that the request counts for. Headers that name none leave the socket's.
    pub fn decide(&self, socket: IpAddr, forwarding: &Forwarding<'_>) -> IpAddr {
        let socket = socket.to_canonical();
        if !self.believes(socket) {
            return socket;
        }
        let real_ip = forwarding.real_ip().filter(|_| self.use_x_real_ip);
        real_ip.or_else(|| self.walk(forwarding)).unwrap_or(socket)
    }

    /// The first hop from the right that is no trusted proxy; the leftmost when all are. Nothing when a hop on the way there
    /// is no address: what stands left of it was written by a stranger.
    fn walk(&self, forwarding: &Forwarding<'_>) -> Option<IpAddr> {
        if !self.use_x_forwarded_for {
            return None;
        }
        let mut last = None;
        for text in forwarding.hop_texts() {
            let hop = parse(text)?;
            if !self.trusted_proxies.covers(hop) {
                return Some(hop);
            }
            last = Some(hop);
        }
        last
    }

    /// Whether the canonical address belongs to the people who run the tracker.
    pub fn is_admin(&self, ip: IpAddr) -> bool {
        self.admin_networks.covers(ip)
    }

    /// What `/status` says to a caller: `OK`, and to admins what the tracker sees of them. Header texts are cut to printable
    /// ASCII and 200 characters.
    pub fn status(&self, socket: IpAddr, forwarding: &Forwarding<'_>) -> String {
        let decided = self.decide(socket, forwarding);
        if !self.is_admin(decided) {
            return "OK\n".to_owned();
        }
        let real_ip = forwarding.real_ip.map_or_else(|| "-".to_owned(), printable);
        let mut lines: Vec<String> = forwarding
            .forwarded_for
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| printable(line))
            .collect();
        lines.reverse();
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
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn proxy() -> Origin {
        Origin {
            mode: Mode::Proxy,
            trusted_proxies: ["10.0.0.0/8", "2001:db8:1::/48"]
                .into_iter()
                .map(|network| network.parse().unwrap())
                .collect(),
            ..Origin::default()
        }
    }

    fn decide(origin: &Origin, socket: &str, headers: &[(&str, &str)]) -> String {
        let mut forwarding = Forwarding::default();
        for (name, value) in headers {
            forwarding.add(name.as_bytes(), value.as_bytes());
        }
        origin
            .decide(socket.parse().unwrap(), &forwarding)
            .to_string()
    }

    const XFF: &str = "X-Forwarded-For";

    /// C9
    #[test]
    fn headers_mean_nothing_in_direct_mode() {
        let origin = Origin {
            mode: Mode::Direct,
            ..proxy()
        };
        let headers = [(XFF, "192.0.2.9"), ("X-Real-IP", "192.0.2.9")];
        assert_eq!(decide(&origin, "10.0.0.1", &headers), "10.0.0.1");
    }

    /// C9
    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        let origin = proxy();
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
            (vec!["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| (XFF, *line)).collect();
            assert_eq!(decide(&origin, "10.0.0.1", &headers), client, "{lines:?}");
        }
    }

    /// C9, R3
    #[test]
    fn what_is_no_address_leaves_the_socket_address() {
        let origin = proxy();
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
        ] {
            assert_eq!(
                decide(&origin, "10.0.0.1", &[(XFF, text)]),
                "10.0.0.1",
                "{text:?}"
            );
        }
    }

    /// C9
    #[test]
    fn one_x_real_ip_wins_and_two_are_ignored() {
        let origin = proxy();
        let one = [("x-real-ip", "192.0.2.5"), (XFF, "192.0.2.1")];
        assert_eq!(decide(&origin, "10.0.0.1", &one), "192.0.2.5");
        let two = [
            ("X-Real-IP", "192.0.2.5"),
            ("X-Real-IP", "192.0.2.6"),
            (XFF, "192.0.2.1"),
        ];
        assert_eq!(decide(&origin, "10.0.0.1", &two), "192.0.2.1");
        let three = [
            ("X-Real-IP", "192.0.2.5"),
            ("X-Real-IP", "192.0.2.6"),
            ("X-Real-IP", "192.0.2.7"),
        ];
        assert_eq!(decide(&origin, "10.0.0.1", &three), "10.0.0.1");
        let off = Origin {
            use_x_real_ip: false,
            use_x_forwarded_for: false,
            ..proxy()
        };
        assert_eq!(decide(&off, "10.0.0.1", &one), "10.0.0.1");
    }

    #[test]
    fn of_very_many_lines_the_last_ones_count() {
        let headers: Vec<_> = std::iter::repeat_n((XFF, "6.6.6.6"), 50)
            .chain([(XFF, "192.0.2.1"), (XFF, "10.1.1.1")])
            .collect();
        assert_eq!(decide(&proxy(), "10.0.0.1", &headers), "192.0.2.1");
    }

    /// C6
    #[test]
    fn status_tells_details_to_admins_only() {
        let origin = Origin::default();
        let mut forwarding = Forwarding::default();
        forwarding.add(b"X-Real-IP", b"a\x1b[31mb");
        let text = origin.status("127.0.0.1".parse().unwrap(), &forwarding);
        assert_eq!(
            text,
            "OK\nremote_addr: 127.0.0.1\nx_real_ip: a?[31mb\nx_forwarded_for: -\ndetermined_ip: 127.0.0.1\n"
        );
        assert_eq!(
            origin.status("192.0.2.1".parse().unwrap(), &forwarding),
            "OK\n"
        );
    }

    proptest! {
        /// C9, R3
        #[test]
        fn an_untrusted_caller_is_always_itself(
            socket in any::<IpAddr>(),
            lines in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..12),
        ) {
            let origin = proxy();
            let mut forwarding = Forwarding::default();
            for (is_real, value) in &lines {
                forwarding.add(if *is_real { b"X-Real-IP" } else { b"X-Forwarded-For" }, value);
            }
            let decided = origin.decide(socket, &forwarding);
            prop_assert_eq!(decided, decided.to_canonical());
            if !origin.trusted_proxies.covers(socket.to_canonical()) {
                prop_assert_eq!(decided, socket.to_canonical());
            }
        }
    }
}
