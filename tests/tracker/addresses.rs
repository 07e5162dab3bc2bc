//! One announce over HTTP and over UDP: the same source and the same report are stored under the same addresses (C7, S10, W4).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use retracker::clock::{Seconds, Wall};
use retracker::http;
use retracker::http::SocketlessConnection;
use retracker::metrics::{Failure, Metrics};
use retracker::net::AddressPair;
use retracker::net::reported_address::Rules;
use retracker::tracker;
use retracker::tracker::{AnnounceContext, Block, InfoHash, Target, Tracker};
use retracker::udp::connection_id::ConnectionIds;
use retracker::udp::handler::Handler;

use crate::harness::{HASH_BYTES, announce};

const PORT: u16 = 6_881;

/// What became of an announce: its peer (address, second address, whether reported), if it is stored, and the failures counted.
#[derive(Debug, PartialEq)]
struct Became {
    stored: Option<(IpAddr, Option<IpAddr>, bool)>,
    refused_reports: u64,
    blocked: u64,
}

/// A tracker that one protocol announces to.
struct Announcer {
    tracker: Arc<Tracker>,
}

impl Announcer {
    fn new() -> Announcer {
        let metrics = Arc::new(Metrics::new(1));
        let tracker = Tracker::new(tracker::Settings::default(), metrics);
        Announcer {
            tracker: Arc::new(tracker),
        }
    }

    fn block(&self, network: Option<&str>) {
        let block = network.map(|network| Block {
            number: 1,
            target: Target::Network(network.parse().unwrap()),
            reason: String::new(),
            created: Wall(0),
            expires: None,
        });
        self.tracker
            .block(Vec::from_iter(block), Wall(0), Seconds::START);
    }

    fn failures(&self, failure: Failure) -> u64 {
        self.tracker.metrics().totals().failures(failure)
    }

    /// What became of an announce, sent while `network` was blocked; nothing of it is left.
    fn became(&self, network: Option<&str>, announce: impl FnOnce(&Arc<Tracker>)) -> Became {
        let counted = || {
            [Failure::ReportedAddress, Failure::AddressBlocked]
                .map(|failure| self.failures(failure))
        };
        let before = counted();
        self.block(network);
        announce(&self.tracker);
        let swarm = self.tracker.export(&InfoHash(HASH_BYTES), Seconds::START);
        let peers = swarm.map(|swarm| swarm.peers).unwrap_or_default();
        assert!(peers.len() <= 1);
        self.block(Some("0.0.0.0/0"));
        // And nothing comes back when that is lifted.
        self.tracker.judge_blocks(Wall(0), Seconds::START.plus(600));
        let after = counted();
        Became {
            stored: peers.first().map(|peer| {
                assert_eq!(peer.port, PORT);
                (peer.ip, peer.inner_ip, peer.is_reported)
            }),
            refused_reports: after[0] - before[0],
            blocked: after[1] - before[1],
        }
    }
}

fn over_http(tracker: &Arc<Tracker>, source: Ipv4Addr, report: Option<Ipv4Addr>, rules: &Rules) {
    let settings = http::Settings {
        reported: rules.clone(),
        ..http::Settings::default()
    };
    let more = report.map_or_else(String::new, |ip| format!("&ip={ip}"));
    let request = format!("GET {} HTTP/1.1\r\n\r\n", announce(PORT, &more));
    let mut out = Vec::new();
    SocketlessConnection::new(tracker, settings, source.into(), 1)
        .hear(request.as_bytes(), &mut out);
    assert!(
        out.starts_with(b"HTTP/1.1 200 OK"),
        "{}",
        out.escape_ascii()
    );
}

fn over_udp(tracker: &Arc<Tracker>, source: Ipv4Addr, report: Option<Ipv4Addr>, rules: &Rules) {
    let ids = ConnectionIds::from_key(&[9; 16]);
    let rules = Arc::new(ArcSwap::from_pointee(rules.clone()));
    let mut datagram = ids
        .issue(source.into(), Seconds::START)
        .to_be_bytes()
        .to_vec();
    datagram.extend(1_u32.to_be_bytes());
    datagram.extend(*b"tran");
    datagram.extend(HASH_BYTES);
    datagram.extend(*b"-XX0001-000000012345");
    datagram.extend([0; 8]);
    datagram.extend(5_u64.to_be_bytes());
    datagram.extend([0; 12]);
    datagram.extend(report.map_or([0; 4], |ip| ip.octets()));
    datagram.extend([0; 8]);
    datagram.extend(PORT.to_be_bytes());
    let mut context = AnnounceContext {
        now: Seconds::START,
        rng: &mut fastrand::Rng::with_seed(1),
        counters: tracker.metrics().counters(0),
    };
    let source = SocketAddr::new(source.into(), 50_000);
    let mut handler = Handler::new(Arc::clone(tracker), ids, rules);
    let replied = handler.answer(&datagram, source, &mut context, &mut [0; 1_472]);
    assert!(replied.is_some());
}

/// Nothing at all, pairs only, pairs with reports that need them, and reports that need nothing.
fn all_rules() -> [Rules; 4] {
    let pair = |inside: &str, outside: &str| AddressPair {
        inside: inside.parse().unwrap(),
        outside: outside.parse().unwrap(),
    };
    let ignoring = Rules {
        pairs: vec![
            pair("10.7.0.0/16", "198.18.0.0/16"),
            pair("100.64.0.0/16", "198.51.100.0/24"),
        ],
        own: vec!["203.0.113.1".parse().unwrap()],
        ..Rules::default()
    };
    let verifying = Rules {
        ignore: false,
        ..ignoring.clone()
    };
    let believing = Rules {
        verify: false,
        ..verifying.clone()
    };
    [Rules::default(), ignoring, verifying, believing]
}

/// C7, S10, W4, P15
#[test]
fn http_and_udp_store_a_peer_under_the_same_addresses() {
    let (by_http, by_udp) = (Announcer::new(), Announcer::new());
    let (mut stored, mut refused, mut blocked) = (0, 0, 0);
    for rules in &all_rules() {
        for source in [
            "192.0.2.1",
            "10.7.0.5",
            "198.18.0.5",
            "100.64.3.4",
            "198.51.100.7",
        ] {
            for report in [
                "",
                "192.0.2.1",
                "8.8.8.8",
                "10.7.0.5",
                "10.7.0.6",
                "10.9.9.9",
                "198.18.0.5",
                "198.18.0.6",
                "100.64.3.4",
                "198.51.100.7",
                "203.0.113.1",
                "224.0.0.1",
                "127.0.0.1",
                "255.255.255.255",
            ] {
                for network in [
                    "",
                    "192.0.2.1/32",
                    "10.7.0.0/24",
                    "198.18.0.0/24",
                    "198.51.100.0/24",
                    "8.0.0.0/8",
                ] {
                    let (source, report) = (source.parse().unwrap(), report.parse().ok());
                    let network = Some(network).filter(|network| !network.is_empty());
                    let http = by_http
                        .became(network, |tracker| over_http(tracker, source, report, rules));
                    let udp =
                        by_udp.became(network, |tracker| over_udp(tracker, source, report, rules));
                    assert_eq!(http, udp, "{source} {report:?} {network:?} {rules:?}");
                    // Answered as one or the other, never both.
                    assert_eq!(http.stored.is_some(), http.blocked == 0);
                    stored += u64::from(http.stored.is_some());
                    (refused, blocked) = (refused + http.refused_reports, blocked + http.blocked);
                }
            }
        }
    }
    assert!(
        stored > 1_000 && refused > 300 && blocked > 100,
        "{stored} {refused} {blocked}"
    );
}
