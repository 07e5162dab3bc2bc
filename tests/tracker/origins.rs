//! Whose address a request counts for: proxies, forged headers, reported addresses (C7, C9, R3).

use retracker::http;
use retracker::metrics::Failure;
use retracker::origin::Mode;
use retracker::reported::Pair;

use crate::harness::{Server, announce, peers, start, start_with};

/// Announces with headers or parameters from one address and looks at what another is handed.
fn stored(server: &Server, from: &str, more: &str, fields: &str) -> Vec<std::net::SocketAddr> {
    let reply = server.get_from(from, &announce(7, more), fields);
    assert_eq!(reply.status, 200);
    reply.value();
    let seen = server.announce("127.0.0.99", 99, "&event=started").peers();
    server.announce("127.0.0.99", 99, "&event=stopped");
    seen
}

fn proxied(settings: &mut http::Settings) {
    settings.origin.mode = Mode::Proxy;
    let trusted = ["127.0.0.1/32", "127.0.0.10/32", "::1/128"];
    settings.origin.trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
}

const FORGED: &str = "X-Real-IP: 192.0.2.66\r\nX-Forwarded-For: 192.0.2.67\r\nForwarded: for=192.0.2.68\r\nCF-Connecting-IP: 192.0.2.69\r\n";

/// C9, R3
#[test]
fn headers_mean_nothing_in_direct_mode() {
    let server = start();
    assert_eq!(
        stored(&server, "127.0.0.1", "", FORGED),
        peers(["127.0.0.1:7"])
    );
}

/// C9, R3
#[test]
fn headers_of_an_untrusted_caller_mean_nothing_in_proxy_mode() {
    let server = start_with(proxied);
    assert_eq!(
        stored(&server, "127.0.0.2", "", FORGED),
        peers(["127.0.0.2:7"])
    );
}

/// C9, R3
#[test]
fn a_trusted_proxy_names_the_client() {
    for (fields, client) in [
        ("X-Real-IP: 192.0.2.1\r\n", "192.0.2.1:7"),
        (
            "x-real-ip:192.0.2.1\r\nX-Forwarded-For: 192.0.2.9\r\n",
            "192.0.2.1:7",
        ),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", "192.0.2.1:7"),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.10\r\n",
            "192.0.2.1:7",
        ),
        ("X-Forwarded-For: [2001:db8::5]:1234\r\n", "[2001:db8::5]:7"),
        ("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1:7"),
        (
            "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\n",
            "127.0.0.1:7",
        ),
        ("X-Forwarded-For: 999.1.1.1\r\n", "127.0.0.1:7"),
        ("X-Forwarded-For: 192.0.2.1, nonsense\r\n", "127.0.0.1:7"),
        (
            "Forwarded: for=192.0.2.1\r\nCF-Connecting-IP: 192.0.2.1\r\n",
            "127.0.0.1:7",
        ),
        ("", "127.0.0.1:7"),
    ] {
        let server = start_with(proxied);
        // The proxy itself is no peer (S13).
        let mut expected = peers([client]);
        expected.retain(|peer| !peer.ip().is_loopback());
        assert_eq!(
            stored(&server, "127.0.0.1", "", fields),
            expected,
            "{fields}"
        );
        assert_eq!(
            stored(&server, "::1", "&event=stopped", "").len(),
            expected.len()
        );
    }
}

/// C9: a kept connection of a proxy carries requests of many.
#[test]
fn each_request_on_a_proxys_connection_counts_for_its_own_client() {
    let server = start_with(proxied);
    let mut client = server.connect();
    for last in 1..=20 {
        client.send(format!(
            "GET {} HTTP/1.1\r\nX-Real-IP: 192.0.2.{last}\r\n\r\n",
            announce(7, "")
        ));
        assert_eq!(client.reply().number("incomplete"), last);
    }
}

/// C7, R3
#[test]
fn reported_addresses_are_ignored_by_default() {
    let server = start();
    let more = "&ip=192.0.2.1&ipv4=192.0.2.2&ipv6=2001%3Adb8%3A%3A1";
    assert_eq!(
        stored(&server, "127.0.0.1", more, ""),
        peers(["127.0.0.1:7"])
    );
    assert_eq!(server.failures(Failure::ReportedAddress), 0);
}

/// C7, R3
#[test]
fn an_unconfirmed_report_is_refused_and_counted() {
    let server = start_with(|settings| settings.reported.ignore = false);
    for report in [
        "192.0.2.1",
        "999.1.1.1",
        "host.example",
        "0.0.0.0",
        "224.0.0.1",
        "10.1.1.1",
    ] {
        assert_eq!(
            stored(&server, "127.0.0.1", &format!("&ip={report}"), ""),
            peers(["127.0.0.1:7"])
        );
    }
    assert_eq!(server.failures(Failure::ReportedAddress), 6);
}

/// C7
#[test]
fn an_unverified_report_replaces_the_source_when_the_operator_says_so() {
    let server = start_with(|settings| {
        settings.reported.ignore = false;
        settings.reported.verify = false;
    });
    assert_eq!(
        stored(&server, "127.0.0.1", "&ip=192.0.2.1", ""),
        peers(["192.0.2.1:7"])
    );
    assert_eq!(
        stored(&server, "127.0.0.2", "&ip=10.0.0.1", ""),
        peers(["127.0.0.2:7", "192.0.2.1:7"])
    );
}

/// C7
#[test]
fn one_source_fills_a_swarm_with_64_addresses_at_most() {
    let server = start_with(|settings| {
        settings.reported.ignore = false;
        settings.reported.verify = false;
    });
    for last in 1..=70 {
        stored(&server, "127.0.0.1", &format!("&ip=192.0.2.{last}"), "");
    }
    // With the source itself and who asks.
    let asked = server.announce("127.0.0.99", 99, "&event=started");
    assert_eq!(asked.number("incomplete"), 64 + 2);
    assert_eq!(server.failures(Failure::ReportedAddress), 6);
}

/// S13: whatever such a request is answered, nobody is handed a proxy.
#[test]
fn a_trusted_proxy_is_no_peer_itself() {
    let server = start_with(proxied);
    for fields in [
        "",
        "X-Forwarded-For: 127.0.0.10\r\n",
        "X-Real-IP: 127.0.0.10\r\n",
    ] {
        server.get_from("127.0.0.1", &announce(7, "&event=started"), fields);
        let seen = server.announce("127.0.0.99", 99, "&event=started");
        assert_eq!(seen.peers(), [], "{fields}");
        assert_eq!(seen.number("incomplete"), 1, "{fields}");
    }
}

/// S13
#[test]
fn loopback_peers_are_not_handed_to_clients_behind_a_proxy() {
    let server = start_with(proxied);
    server.announce("127.0.0.99", 99, "");
    let ask = |ip: &str, port| {
        let fields = format!("X-Forwarded-For: {ip}\r\n");
        server.get_from("127.0.0.1", &announce(port, ""), &fields)
    };
    assert_eq!(ask("192.0.2.1", 1).peers(), []);
    assert_eq!(ask("192.0.2.2", 2).peers(), peers(["192.0.2.1:1"]));
    let link_local = ask("169.254.3.3", 3);
    assert_eq!(link_local.peers(), peers(["192.0.2.1:1", "192.0.2.2:2"]));
    assert_eq!(ask("192.0.2.1", 1).peers(), peers(["192.0.2.2:2"]));
}

/// C7
#[test]
fn a_report_within_a_pair_of_prefixes_makes_the_external_address_known() {
    let server = start_with(|settings| {
        settings.reported.ignore = false;
        settings.reported.pairs = vec![Pair {
            internal: "127.5.0.0/16".parse().unwrap(),
            external: "198.51.100.0/24".parse().unwrap(),
        }];
    });
    assert_eq!(
        stored(&server, "127.5.0.1", "&ip=198.51.100.7", ""),
        peers(["198.51.100.7:7"])
    );
}
