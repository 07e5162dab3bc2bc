//! Addresses that clients report of themselves (`ip`, `ipv4`, `ipv6`, the address field of UDP): when they count, and as what.
//!
//! The three options have the meaning of the first PHP retrackers, made safe: a stranger cannot point others at a third party.

use std::net::IpAddr;

use super::client_address::ProxyChain;
use super::{AddressPair, is_link_local, is_reachable};

/// The rules for reported addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether reported addresses are not looked at (`ignore_reported_ip`). Default yes.
    pub ignore: bool,
    /// Whether a reported address needs a confirmation: by a trusted proxy's chain, or by a pair of prefixes
    /// (`verify_reported_ip`). Default yes. Without it any client can send others to any public address.
    pub verify: bool,
    /// Whether a reported address may be a private one without a pair (`allow_internal_ip`). Default no.
    pub allow_internal: bool,
    /// Pairs of prefixes (`address_pairs`). Default none.
    pub pairs: Vec<AddressPair>,
    /// The tracker's own addresses, which nobody may report. Default none.
    pub own: Vec<IpAddr>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            ignore: true,
            verify: true,
            allow_internal: false,
            pairs: Vec::new(),
            own: Vec::new(),
        }
    }
}

/// What one announce reports of where its client is, with what there is to judge it by.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a, I> {
    /// Where the announce came from; canonical.
    pub source: IpAddr,
    /// The reported addresses, an iterator; `None` in it for one that is no address.
    pub addresses: I,
    /// The proxies that it came through; `None` where there are none (UDP).
    pub proxies: Option<ProxyChain<'a>>,
}

/// What the rules make of the reports of one announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Where others reach the client.
    pub ip: IpAddr,
    /// Where those inside its pair reach it.
    pub inner_ip: Option<IpAddr>,
    /// Whether `ip` was reported and is where a trusted proxy itself is reached. No source is: see
    /// [`ClientAddressRules::decide`](super::client_address::ClientAddressRules::decide).
    pub is_proxy: bool,
    /// Whether a reported address was refused; the announce goes on with the source.
    pub has_refused: bool,
}

impl Rules {
    /// Whether every client is where its announce came from: nothing that is reported counts, and no pair tells of another address.
    #[inline]
    pub fn leave_sources(&self) -> bool {
        self.ignore && self.pairs.is_empty()
    }

    /// Judges what is reported: the first report that is accepted counts.
    pub fn judge(&self, reports: Reports<'_, impl Iterator<Item = Option<IpAddr>>>) -> Judged {
        let Reports {
            source, proxies, ..
        } = reports;
        let mut judged = Judged {
            ip: source,
            inner_ip: None,
            is_proxy: false,
            has_refused: false,
        };
        if self.ignore {
            return judged;
        }
        for report in reports.addresses {
            let Some(reported) = report.filter(|ip| self.is_plausible(*ip)) else {
                judged.has_refused = true;
                continue;
            };
            if reported == source {
                continue;
            }
            if let Some((ip, inner_ip)) = self.accept(source, reported, proxies) {
                let is_proxy = proxies.is_some_and(|proxies| proxies.is_proxy(ip));
                return Judged {
                    ip,
                    inner_ip,
                    is_proxy,
                    ..judged
                };
            }
            judged.has_refused = true;
        }
        judged
    }

    fn is_plausible(&self, ip: IpAddr) -> bool {
        is_reachable(ip) && !is_link_local(ip) && !self.own.contains(&ip)
    }

    fn accept(
        &self,
        source: IpAddr,
        reported: IpAddr,
        proxies: Option<ProxyChain<'_>>,
    ) -> Option<(IpAddr, Option<IpAddr>)> {
        for pair in &self.pairs {
            if pair.outside.contains(&source) && pair.inside.contains(&reported) {
                return Some((source, Some(reported)));
            }
            if pair.inside.contains(&source) && pair.outside.contains(&reported) {
                return Some((reported, Some(source)));
            }
        }
        if is_internal(reported) && !self.allow_internal {
            return None;
        }
        if !self.verify {
            return Some((reported, None));
        }
        let is_confirmed = proxies.is_some_and(|proxies| proxies.has_hop(reported));
        is_confirmed.then_some((source, Some(reported)))
    }
}

/// Loopback, link-local, RFC 1918, shared (100.64.0.0/10) and unique local addresses.
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::client_address::{ClientAddressRules, Forwarding, Mode};
    use std::net::Ipv4Addr;

    fn judge(
        rules: &Rules,
        source: &str,
        report: &str,
        chain: &[&str],
    ) -> (String, Option<String>, bool) {
        let origin = ClientAddressRules {
            mode: Mode::Proxy,
            ..ClientAddressRules::default()
        };
        let chain = chain.join(", ");
        let fields = [(&b"X-Forwarded-For"[..], chain.as_bytes())];
        let forwarding = Forwarding::of(fields.into_iter());
        let judged = rules.judge(Reports {
            source: source.parse().unwrap(),
            addresses: std::iter::once(report.parse().ok()),
            proxies: Some(origin.proxy_chain(Ipv4Addr::LOCALHOST.into(), Some(&forwarding))),
        });
        (
            judged.ip.to_string(),
            judged.inner_ip.map(|ip| ip.to_string()),
            judged.has_refused,
        )
    }

    fn rules() -> Rules {
        Rules {
            ignore: false,
            pairs: vec![AddressPair {
                inside: "100.64.0.0/16".parse().unwrap(),
                outside: "198.51.100.0/24".parse().unwrap(),
            }],
            own: vec!["203.0.113.1".parse().unwrap()],
            ..Rules::default()
        }
    }

    fn source(refused: bool) -> (String, Option<String>, bool) {
        ("192.0.2.1".into(), None, refused)
    }

    /// C7
    #[test]
    fn reports_are_ignored_by_default() {
        assert_eq!(
            judge(&Rules::default(), "192.0.2.1", "192.0.2.2", &["192.0.2.2"]),
            source(false)
        );
    }

    /// C7
    #[test]
    fn a_report_needs_a_proxy_or_a_pair_to_confirm_it() {
        let rules = rules();
        assert_eq!(judge(&rules, "192.0.2.1", "192.0.2.2", &[]), source(true));
        assert_eq!(judge(&rules, "192.0.2.1", "192.0.2.1", &[]), source(false));
        assert_eq!(
            judge(&rules, "192.0.2.1", "192.0.2.2", &["192.0.2.2"]),
            ("192.0.2.1".into(), Some("192.0.2.2".into()), false)
        );
        assert_eq!(
            judge(&rules, "198.51.100.7", "100.64.3.4", &[]),
            ("198.51.100.7".into(), Some("100.64.3.4".into()), false)
        );
        assert_eq!(
            judge(&rules, "100.64.3.4", "198.51.100.7", &[]),
            ("198.51.100.7".into(), Some("100.64.3.4".into()), false)
        );
    }

    /// C7
    #[test]
    fn an_unverified_report_replaces_the_source_unless_it_is_internal() {
        let mut rules = Rules {
            verify: false,
            ..rules()
        };
        assert_eq!(
            judge(&rules, "192.0.2.1", "8.8.8.8", &[]),
            ("8.8.8.8".into(), None, false)
        );
        for internal in [
            "10.1.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.3.4",
            "fd00::1",
            "fe80::1",
            "::1",
        ] {
            assert_eq!(
                judge(&rules, "192.0.2.1", internal, &[internal]),
                source(true)
            );
        }
        rules.allow_internal = true;
        assert_eq!(
            judge(&rules, "192.0.2.1", "10.1.1.1", &[]),
            ("10.1.1.1".into(), None, false)
        );
    }

    /// C7
    #[test]
    fn what_no_host_can_have_is_always_refused() {
        let rules = Rules {
            verify: false,
            allow_internal: true,
            ..rules()
        };
        for report in [
            "0.0.0.0",
            "::",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "203.0.113.1",
            "999.1.1.1",
            "host.example",
        ] {
            assert_eq!(
                judge(&rules, "192.0.2.1", report, &[]),
                source(true),
                "{report}"
            );
        }
    }
}
