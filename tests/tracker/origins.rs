//! Whose address a request counts for: proxies, forged headers, reported addresses (C7, C9, R3).

use retracker::http;
use retracker::metrics::{Failure, Gauge};
use retracker::net::AddressPair;
use retracker::net::client_address::Mode;

use crate::harness::{HASH, Server, announce, peers, start, start_with};

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
    settings.address_rules.mode = Mode::Proxy;
    let trusted = ["127.0.0.1/32", "127.0.0.10/32", "::1/128"];
    settings.address_rules.trusted_proxies =
        trusted.iter().map(|text| text.parse().unwrap()).collect();
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
            "x-real-ip:192.0.2.9\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "192.0.2.1:7",
        ),
        (
            "X-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "192.0.2.1:7",
        ),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", "192.0.2.1:7"),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.10\r\n",
            "192.0.2.1:7",
        ),
        ("X-Forwarded-For: [2001:db8::5]:1234\r\n", "[2001:db8::5]:7"),
        ("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1:7"),
    ] {
        for proxy in ["127.0.0.1", "::1"] {
            let server = start_with(proxied);
            assert_eq!(
                stored(&server, proxy, "", fields),
                peers([client]),
                "{fields}"
            );
        }
    }
}

/// C9, R3: the proxy's own address is nobody's.
#[test]
fn a_request_through_a_proxy_that_names_nobody_is_refused_and_changes_nothing() {
    let server = start_with(proxied);
    let mut refused = 0;
    for fields in [
        "X-Real-IP: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
        "X-Real-IP: 127.0.0.10\r\n",
        "X-Forwarded-For: 999.1.1.1\r\n",
        "X-Forwarded-For: 192.0.2.1, nonsense\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "X-Forwarded-For: 192.0.2.1, 127.0.0.7\r\n",
        "X-Forwarded-For: 127.0.0.10\r\nX-Real-IP: 192.0.2.1\r\n",
        "X-Forwarded-For:\r\nX-Real-IP: 192.0.2.1\r\n",
        "Forwarded: for=192.0.2.1\r\nCF-Connecting-IP: 192.0.2.1\r\n",
        "",
    ] {
        let unknown = "client address unknown to the tracker";
        for path in [announce(7, ""), format!("/scrape?info_hash={HASH}")] {
            let reply = server.get_from("127.0.0.1", &path, fields);
            assert_eq!(reply.failure(), unknown, "{fields}");
            assert_eq!(reply.number("retry in"), 60);
        }
        let status = server.get_from("127.0.0.1", "/status", fields);
        assert_eq!(status.text(), "OK\n", "{fields}");
        refused += 2;
    }
    assert_eq!(server.failures(Failure::InvalidAddress), refused);
    assert_eq!(stored(&server, "127.0.0.2", "", ""), peers(["127.0.0.2:7"]));
}

/// C9, C5: what stands in a header makes nobody an admin who could not be one.
#[test]
fn nobody_becomes_an_admin_through_a_proxy_by_naming_this_machine() {
    let sweeps = |settings: &mut http::Settings| settings.run_gc_key = "gc".into();
    let behind = start_with(|settings| {
        proxied(settings);
        sweeps(settings);
    });
    let direct = start_with(sweeps);
    for fields in [
        "X-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-For: 127.0.0.1, 192.0.2.1\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
    ] {
        for server in [&behind, &direct] {
            assert!(
                !server
                    .get_from("127.0.0.1", "/announce?gc", fields)
                    .text()
                    .starts_with("OK")
            );
            let status = server.get_from("127.0.0.1", "/status", fields);
            assert_eq!(status.text(), "OK\n", "{fields}");
        }
    }
    let told = |server: &Server| server.core.metrics().gauge(Gauge::UntrustedProxy);
    assert_eq!((told(&behind), told(&direct)), (0, 1));
    assert_eq!(direct.get("/announce?gc").text(), "OK");
    direct.running.configure(http::Settings::default());
    assert_eq!(told(&direct), 0);
}

/// W3: a page of another site joins and stops nobody.
#[test]
fn requests_that_pages_of_other_sites_make_are_refused() {
    let server = start_with(|settings| settings.run_gc_key = "gc".into());
    for fields in [
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        // Over plain HTTP browsers do not name the site.
        "Origin: http://evil.example\r\n",
        "User-Agent: Mozilla/5.0 (X11)\r\nAccept: image/avif\r\nAccept-Language: ru\r\n",
    ] {
        for path in [
            announce(7, ""),
            format!("/scrape?info_hash={HASH}"),
            "/announce?gc".into(),
        ] {
            let reply = server.get_from("127.0.0.1", &path, fields);
            assert_eq!(reply.failure(), "requests of web pages are not served");
        }
    }
    assert_eq!(server.failures(Failure::CrossSite), 12);
    for fields in [
        "Sec-Fetch-Site: none\r\nUser-Agent: Mozilla/5.0\r\nAccept-Language: ru\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
        "User-Agent: KTorrent/22\r\nAccept-Language: ru\r\n",
        "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)\r\n",
    ] {
        let stored = stored(&server, "127.0.0.1", "", fields);
        assert_eq!(stored, peers(["127.0.0.1:7"]));
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
        settings.reported.pairs = vec![AddressPair {
            inside: "127.5.0.0/16".parse().unwrap(),
            outside: "198.51.100.0/24".parse().unwrap(),
        }];
    });
    assert_eq!(
        stored(&server, "127.5.0.1", "&ip=198.51.100.7", ""),
        peers(["198.51.100.7:7"])
    );
}
