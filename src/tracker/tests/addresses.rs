//! Which addresses an announce is stored under, and that nobody who is refused hides behind another one.

use super::*;
use crate::clock::Wall;
use crate::metrics::Failure;
use crate::net::AddressPair;
use crate::net::client_address::{ClientAddressRules, Mode};
use crate::tracker::{Block, Target};

/// Believes everything that is told, and knows a pair of networks of one size.
fn credulous() -> Rules {
    Rules {
        ignore: false,
        verify: false,
        pairs: vec![AddressPair {
            inside: "10.7.0.0/16".parse().unwrap(),
            outside: "198.18.0.0/16".parse().unwrap(),
        }],
        ..Rules::default()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn block(bench: &Bench, network: &str) {
    let block = Block {
        number: 1,
        target: Target::Network(network.parse().unwrap()),
        reason: String::new(),
        created: Wall(0),
        expires: None,
    };
    bench.tracker.block(vec![block], Wall(0), at(0));
}

/// Has the addresses of a source resolved and announces with them.
fn announce(bench: &mut Bench, source: &str, report: Option<&str>) -> Result<(), Refusal> {
    let addresses = bench.resolve(ip(source), report.map(ip), &credulous())?;
    let announce = Announce {
        ip: addresses.ip,
        inner_ip: addresses.inner_ip,
        is_reported: addresses.is_reported,
        ..leecher(ip(source), 1)
    };
    let metrics = Arc::clone(bench.tracker.metrics());
    let mut context = AnnounceContext {
        now: at(0),
        rng: &mut bench.rng,
        counters: metrics.counters(0),
    };
    bench
        .tracker
        .announce(&announce, &mut context, &mut bench.list)
        .map(|_| ())
}

fn refused_reports(bench: &Bench) -> u64 {
    bench
        .tracker
        .metrics()
        .totals()
        .failures(Failure::ReportedAddress)
}

/// C7, S10
#[test]
fn the_addresses_of_an_announce_follow_from_source_report_and_pairs() {
    for (source, report, stored, inner, is_reported) in [
        ("192.0.2.1", None, "192.0.2.1", None, false),
        ("192.0.2.1", Some("192.0.2.1"), "192.0.2.1", None, false),
        ("192.0.2.1", Some("8.8.8.8"), "8.8.8.8", None, true),
        ("10.7.0.5", None, "198.18.0.5", None, false),
        (
            "10.7.0.5",
            Some("198.18.0.9"),
            "198.18.0.9",
            Some("10.7.0.5"),
            true,
        ),
        (
            "198.18.0.9",
            Some("10.7.0.5"),
            "198.18.0.9",
            Some("10.7.0.5"),
            false,
        ),
        ("10.7.0.5", Some("8.8.8.8"), "8.8.8.8", None, true),
        ("2001:db8::1", None, "2001:db8::1", None, false),
    ] {
        let resolved = bench(Settings::default()).resolve(ip(source), report.map(ip), &credulous());
        let expected = PeerAddresses {
            ip: ip(stored),
            inner_ip: inner.map(ip),
            is_reported,
            may_be_stored: true,
        };
        assert_eq!(resolved, Ok(expected), "{source} {report:?}");
    }
}

/// C7, W4: neither who is blocked nor where it says that it is.
#[test]
fn who_is_blocked_hides_behind_no_other_address() {
    for (source, report) in [
        ("192.0.2.1", None),
        ("192.0.2.1", Some("8.8.8.8")),
        ("10.7.0.5", None),
        ("10.7.0.5", Some("198.18.0.9")),
        ("10.7.0.5", Some("8.8.8.8")),
    ] {
        let mut bench = bench(Settings::default());
        let stored = bench.resolve(ip(source), report.map(ip), &credulous());
        let stored = stored.unwrap().ip.to_string();
        for blocked in [source, &stored] {
            block(&bench, &format!("{blocked}/32"));
            assert_eq!(
                announce(&mut bench, source, report),
                Err(Refusal::AddressBlocked),
                "{source} {report:?} {blocked}"
            );
            assert_eq!(bench.tracker.peers(), 0);
        }
        bench.tracker.block(Vec::new(), Wall(0), at(0));
        assert_eq!(announce(&mut bench, source, report), Ok(()));
        assert_eq!(bench.tracker.peers(), 1);
        assert_eq!(refused_reports(&bench), 0);
    }
}

/// C7, W4: a source that is refused leaves no trace in the table of those who report.
#[test]
fn a_refused_source_uses_up_nobodys_room_for_reports() {
    let mut bench = bench(Settings::default());
    let source = ip("192.0.2.1");
    block(&bench, "192.0.2.1/32");
    for number in 0..64 {
        let resolved = bench.resolve(source, Some(v4(0x0808_0000 + number)), &credulous());
        assert_eq!(resolved, Err(Refusal::AddressBlocked));
    }
    bench.tracker.block(Vec::new(), Wall(0), at(0));
    let resolve = |bench: &mut Bench, number: u32| {
        let reported = v4(0x0909_0000 + number);
        let resolved = bench.resolve(source, Some(reported), &credulous());
        resolved.unwrap().is_reported
    };
    assert!((0..64).all(|number| resolve(&mut bench, number)));
    // It goes on with the source, and that is counted.
    assert!(!resolve(&mut bench, 64));
    assert_eq!(refused_reports(&bench), 1);
}

/// S13: it is answered, and not stored.
#[test]
fn who_reports_a_trusted_proxys_address_has_port_0() {
    let bench = bench(Settings::default());
    let mut address_rules = ClientAddressRules {
        mode: Mode::Proxy,
        ..ClientAddressRules::default()
    };
    address_rules.trusted_proxies = ["203.0.113.1/32".parse().unwrap()].into_iter().collect();
    let source = ip("192.0.2.1");
    for (report, port) in [("203.0.113.1", 0), ("203.0.113.2", 6_881)] {
        let reports = Reports {
            source,
            addresses: std::iter::once(Some(ip(report))),
            proxies: Some(address_rules.proxy_chain(source, None)),
        };
        let context = AnnounceContext {
            now: at(0),
            rng: &mut fastrand::Rng::with_seed(1),
            counters: bench.tracker.metrics().counters(0),
        };
        let addresses =
            bench
                .tracker
                .resolve_addresses(reports, &credulous(), Transport::Http, &context);
        assert_eq!(addresses.unwrap().port(6_881), port, "{report}");
    }
}
