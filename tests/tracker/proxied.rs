//! Connections that a proxy begins with a header of the PROXY protocol, over real sockets (O7).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use retracker::http;
use retracker::metrics::{Failure, Gauge};
use retracker::net::client_address::{Mode, NOBODY};
use retracker::net::handover;
use retracker::net::limits;
use retracker::tracker;

use crate::harness::{
    Client, Server, announce, peers, receive, settings, start_all, start_limited, start_with,
};

/// Two trusted proxies for each family, and admins of a network of their own, which 127.0.0.1 belongs to as well.
fn proxied(settings: &mut http::Settings) {
    settings.proxy_protocol = true;
    settings.address_rules.mode = Mode::Proxy;
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let trusted = ["127.0.0.1/32", "127.0.0.10/32", "::1/128", "192.0.2.100/32"];
    settings.address_rules.trusted_proxies = networks(&trusted);
    settings.address_rules.admin_networks = networks(&["127.0.0.0/8", "192.0.2.192/26"]);
}

/// A header of version 1 that names the client.
fn v1(client: &str) -> Vec<u8> {
    let (family, to) = if client.contains(':') {
        ("TCP6", "2001:db8::ffff")
    } else {
        ("TCP4", "198.51.100.1")
    };
    format!("PROXY {family} {client} {to} 40000 80\r\n").into_bytes()
}

/// A header of version 2: command, family, and what follows.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        [command, family].as_slice(),
        &length,
        body,
    ]
    .concat()
}

/// The addresses of version 2 from that of a client.
fn addresses(client: &str) -> Vec<u8> {
    let ports = [0x9c, 0x40, 0, 80];
    match client.parse().unwrap() {
        std::net::IpAddr::V4(ip) => [&ip.octets()[..], &[198, 51, 100, 1], &ports].concat(),
        std::net::IpAddr::V6(ip) => [&ip.octets()[..], &[0x20; 16], &ports].concat(),
    }
}

/// A header of version 2 that names the client.
fn v2_of(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { 0x21 } else { 0x11 };
    v2(0x21, family, &addresses(client))
}

fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// A connection from an address that begins with a header and a request; the request's reply is to be read.
fn begin(server: &Server, from: &str, header: &[u8], request: &str) -> Client {
    let mut client = server.connect_from(from);
    client.send([header, request.as_bytes()].concat());
    client
}

/// Who is stored when a peer of port 7 announces behind a header.
fn stored(server: &Server, from: &str, header: &[u8], fields: &str) -> Vec<SocketAddr> {
    let mut client = begin(server, from, header, &request(&announce(7, ""), fields));
    let reply = client.reply();
    assert_eq!(reply.status, 200);
    reply.value();
    let seen = server.announce("127.0.0.99", 99, "&event=started").peers();
    server.announce("127.0.0.99", 99, "&event=stopped");
    let stop = request(&announce(7, "&event=stopped"), fields);
    begin(server, from, header, &stop).reply().value();
    seen
}

/// The failure of an announce behind a header.
fn failure(server: &Server, header: &[u8], fields: &str) -> String {
    let request = request(&announce(7, ""), fields);
    let reply = begin(server, "127.0.0.1", header, &request).reply();
    reply.failure()
}

const UNKNOWN: &str = "client address unknown to the tracker";

/// O7
#[test]
fn a_trusted_proxy_names_the_client_in_either_version_and_over_either_family() {
    let server = start_with(proxied);
    for proxy in ["127.0.0.1", "127.0.0.10", "::1"] {
        for (client, peer) in [
            ("192.0.2.1", "192.0.2.1:7"),
            ("2001:db8::5", "[2001:db8::5]:7"),
            ("::ffff:192.0.2.2", "192.0.2.2:7"),
        ] {
            for header in [v1(client), v2_of(client)] {
                assert_eq!(stored(&server, proxy, &header, ""), peers([peer]));
            }
        }
        // What else the proxy knows is passed over.
        let tlvs = [
            &addresses("192.0.2.3")[..],
            &[0x20, 0, 3, 1, 2, 3],
            &[7; 900],
        ]
        .concat();
        let header = v2(0x21, 0x11, &tlvs);
        assert_eq!(stored(&server, proxy, &header, ""), peers(["192.0.2.3:7"]));
    }
    assert_eq!(server.failures(Failure::ProxyHeader), 0);
}

/// O7
#[test]
fn a_header_counts_for_the_whole_connection_however_it_is_cut() {
    let server = start_with(proxied);
    for header in [v1("192.0.2.1"), v2_of("192.0.2.1")] {
        let mut client = server.connect();
        let path = request(&announce(7, ""), "");
        for byte in [&header[..], path.as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.reply().number("incomplete"), 1);
        // The second request has no header before it.
        assert_eq!(client.get(&announce(8, "")).number("incomplete"), 2);
        assert_eq!(
            server.announce("127.0.0.99", 99, "&left=0").peers(),
            peers(["192.0.2.1:7", "192.0.2.1:8"])
        );
        for port in [7, 8] {
            client.get(&announce(port, "&event=stopped")).value();
        }
        // Nor is one taken there.
        client.send(&header);
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.field("connection")),
            (400, Some("close"))
        );
    }
    // The longest, in two readings, with two requests behind it.
    let longest = v2(
        0x21,
        0x11,
        &[&addresses("192.0.2.4")[..], &[0; 4_068]].concat(),
    );
    let mut client = server.connect();
    client.send(&longest[..3_000]);
    server.await_connections(1);
    let twice = request(&announce(7, ""), "").repeat(2);
    client.send([&longest[3_000..], twice.as_bytes()].concat());
    for _ in 0..2 {
        assert_eq!(client.reply().number("incomplete"), 1);
    }
}

/// O7, R3: headers of HTTP are believed behind it only if it is a proxy that it names.
#[test]
fn whom_it_names_is_the_other_end_for_the_headers_of_http() {
    let server = start_with(proxied);
    let forged = "X-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n";
    for header in [v1("192.0.2.1"), v2_of("192.0.2.1")] {
        let seen = stored(&server, "127.0.0.1", &header, forged);
        assert_eq!(seen, peers(["192.0.2.1:7"]));
        let chained = stored(&server, "127.0.0.1", &v2_of("192.0.2.100"), forged);
        assert_eq!(chained, peers(["203.0.113.9:7"]));
    }
    assert_eq!(failure(&server, &v1("192.0.2.100"), ""), UNKNOWN);
}

/// O7, R3
#[test]
fn where_no_client_is_named_it_is_unknown_and_no_admin() {
    let server = start_with(proxied);
    let unix = [b'/'; 216];
    let forged = "X-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n";
    let headers = [
        Vec::new(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        v2(0x20, 0x00, &[]),
        v2(0x20, 0x11, &addresses("192.0.2.1")),
        v2(0x20, 0x11, &addresses("192.0.2.193")),
        v2(0x21, 0x00, &[]),
        v2(0x21, 0x12, &addresses("192.0.2.1")),
        v2(0x21, 0x22, &addresses("2001:db8::1")),
        v2(0x21, 0x31, &unix),
        v2(0x21, 0x32, &unix),
        // Nobody's loopback is ours, nor is what belongs to no host.
        v1("127.0.0.1"),
        v1("127.0.0.7"),
        v2_of("::1"),
        v2_of("::ffff:127.0.0.1"),
        v1("0.0.0.0"),
        v2_of("224.0.0.1"),
        v2_of("::"),
    ];
    let mut refused = 0;
    for header in &headers {
        for fields in ["", forged] {
            assert_eq!(failure(&server, header, fields), UNKNOWN, "{header:?}");
            refused += 1;
            let status = request("/status", fields);
            let mut client = begin(&server, "127.0.0.1", header, &status);
            assert_eq!(client.reply().text(), "OK\n", "{header:?}");
        }
    }
    assert_eq!(server.failures(Failure::InvalidAddress), refused);
    assert_eq!(server.failures(Failure::ProxyHeader), 0);
    // An admin whom the proxy names is one.
    let mut admin = begin(
        &server,
        "127.0.0.1",
        &v1("192.0.2.193"),
        &request("/status", ""),
    );
    let told = admin.reply().text().to_owned();
    assert!(told.contains("remote_addr: 192.0.2.193\n"), "{told}");
    // Where everybody is trusted and an admin, nobody still is neither.
    let open = start_with(|settings| {
        proxied(settings);
        let all = || ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
        settings.address_rules.trusted_proxies = all();
        settings.address_rules.admin_networks = all();
    });
    assert_eq!(failure(&open, &v2(0x21, 0, &[]), forged), UNKNOWN);
}

/// O7
#[test]
fn a_header_from_anybody_else_is_refused_and_counted() {
    let server = start_with(proxied);
    let path = request(&announce(7, ""), "");
    let mut refused = 0;
    for header in [
        v1("192.0.2.1"),
        v2_of("192.0.2.1"),
        v2(0x20, 0, &[]),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY nonsense\r\n".to_vec(),
        // Without waiting for the rest.
        b"PROXY ".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n".to_vec(),
    ] {
        let is_whole = header.len() > 12;
        let mut client = server.connect_from("127.0.0.2");
        client.send(&header);
        if is_whole {
            client.try_send(&path);
        }
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.field("connection")),
            (400, Some("close"))
        );
        assert!(client.is_closed());
        refused += 1;
        assert_eq!(server.failures(Failure::ProxyHeader), refused);
    }
    // Whoever sends none is served as ever, with empty lines before the request as well.
    let mut client = begin(&server, "127.0.0.2", b"\r\n\r\n", &path);
    assert_eq!(client.reply().number("incomplete"), 1);
    assert_eq!(
        server.announce("127.0.0.99", 99, "").peers(),
        peers(["127.0.0.2:7"])
    );
}

/// O7
#[test]
fn a_wrong_or_long_header_of_a_trusted_proxy_is_refused_and_counted() {
    let server = start_with(proxied);
    let mut refused = 0;
    for header in [
        b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.300 192.0.2.2 1 2\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 107]].concat(),
        v2(0x11, 0x11, &addresses("192.0.2.1")),
        v2(0x21, 0x55, &addresses("192.0.2.1")),
        v2(0x21, 0x11, &addresses("192.0.2.1")[..11]),
        v2(0x21, 0x11, &[0; 5_000]),
    ] {
        let mut client = server.connect();
        client.send(&header);
        client.try_send(request(&announce(7, ""), ""));
        assert_eq!(client.reply().status, 400, "{header:?}");
        refused += 1;
        assert_eq!(server.failures(Failure::ProxyHeader), refused);
    }
    assert!(server.announce("127.0.0.99", 99, "").peers().is_empty());
}

/// O7, R2
#[test]
fn a_header_that_does_not_end_or_nothing_behind_it_ends_with_the_time_of_a_request() {
    let server = start_with(|settings| {
        proxied(settings);
        settings.request_timeout = Duration::from_millis(200);
    });
    for begun in [
        b"\r\n\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1".to_vec(),
        v2_of("192.0.2.1")[..20].to_vec(),
        v2_of("192.0.2.1"),
        [&v2_of("192.0.2.1")[..], b"GET /ann"].concat(),
    ] {
        let before = server.failures(Failure::TimedOut);
        let mut client = server.connect();
        client.send(&begun);
        assert!(client.is_closed());
        assert_eq!(server.failures(Failure::TimedOut), before + 1);
    }
    server.await_connections(0);
}

/// O7, R30
#[test]
fn connections_count_for_the_client_and_not_for_the_proxy() {
    let server = start_with(|settings| {
        proxied(settings);
        settings.max_connections_per_address = 2;
    });
    let held = || server.core.metrics().gauge(Gauge::Connections);
    let open = |client: &str, is_cut: bool| {
        let header = v2_of(client);
        let path = request(&announce(7, ""), "");
        let before = held();
        let mut connection = server.connect();
        if is_cut {
            connection.send(&header[..20]);
            // As the proxy's, which may have any number.
            server.await_connections(before + 1);
            connection.send([&header[20..], path.as_bytes()].concat());
        } else {
            connection.send([&header[..], path.as_bytes()].concat());
        }
        let closes = connection.reply().field("connection").is_some();
        (connection, closes)
    };
    let mut kept = Vec::new();
    for is_cut in [false, true] {
        for last in 1..=5 {
            let client = format!("2001:db8:{}:{last}::1", u8::from(is_cut));
            let (first, closes_first) = open(&client, is_cut);
            let (second, closes_second) = open(&client, is_cut);
            let (mut third, closes_third) = open(&client, false);
            assert_eq!(
                [closes_first, closes_second, closes_third],
                [false, false, true]
            );
            assert!(third.is_closed());
            kept.extend([first, second]);
        }
    }
    server.await_connections(20);
    drop(kept);
    server.await_connections(0);
}

/// O7, O8: the proxy is exempt, and whom it names is not.
#[test]
fn limits_and_bans_of_connections_hold_for_the_client_that_is_named() {
    let settings = limits::Settings {
        connections: limits::Levels {
            source: "1/h 2".parse().ok(),
            prefix: None,
        },
        ban_after: 2,
        ..limits::Settings::off()
    };
    let exempt = std::iter::once("127.0.0.1/32".parse().unwrap()).collect();
    let limits = Arc::new(limits::Limits::new(settings, exempt));
    let server = start_limited(proxied, &limits);
    let path = request(&announce(7, ""), "");
    let ask = |header: &[u8]| begin(&server, "127.0.0.1", header, &path);
    let header = v2_of("192.0.2.1");
    for _ in 0..2 {
        assert_eq!(ask(&header).reply().number("incomplete"), 1);
    }
    for _ in 0..3 {
        let mut refused = ask(&header);
        assert_eq!(refused.reply().failure(), "too many requests");
        assert!(refused.is_closed());
    }
    assert_eq!(server.failures(Failure::ConnectionRate), 3);
    let banned = ask(&v1("192.0.2.1")).reply().failure();
    assert!(banned.starts_with("banned for a time"), "{banned}");
    // Whoever is not named has no bucket, and everybody else has one of his own.
    for _ in 0..5 {
        assert_eq!(failure(&server, &v2(0x20, 0, &[]), ""), UNKNOWN);
    }
    assert_eq!(ask(&v2_of("192.0.2.2")).reply().number("incomplete"), 2);
}

/// O7, O2: connections that are there stay what they were; each new one goes by what is in force.
#[test]
fn a_reload_counts_for_new_connections() {
    let mut plain = settings();
    proxied(&mut plain);
    // It takes the settings whenever it wakes, for all that it accepts then.
    plain.workers = 1;
    let with_headers = plain.clone();
    plain.proxy_protocol = false;
    let server = start_all(&plain, tracker::Settings::default(), None);
    let lone = request(&announce(7, ""), "X-Forwarded-For: 192.0.2.1\r\n");
    let mut old = begin(&server, "127.0.0.1", b"", &lone);
    assert_eq!(old.reply().number("incomplete"), 1);
    server.running.configure(with_headers);
    let is_in_force = || {
        let reply = begin(&server, "127.0.0.1", b"", &lone).reply();
        reply.value().get("failure reason").is_some()
    };
    assert!((0..1_000).any(|_| is_in_force()));
    old.send(&lone);
    assert_eq!(old.reply().number("incomplete"), 1);
    let named = v2_of("192.0.2.2");
    let reply = begin(&server, "127.0.0.1", &named, &lone).reply();
    assert_eq!(reply.number("incomplete"), 2);
    server.running.configure(plain);
    let is_refused = || begin(&server, "127.0.0.1", &named, &lone).reply().status == 400;
    assert!((0..1_000).any(|_| is_refused()));
}

/// O7
#[test]
fn where_it_is_off_a_header_is_no_request() {
    let server = start_with(|settings| {
        proxied(settings);
        settings.proxy_protocol = false;
    });
    for (count, header) in [(1, v1("192.0.2.1")), (2, v2_of("192.0.2.1"))] {
        let mut client = begin(
            &server,
            "127.0.0.1",
            &header,
            &request(&announce(7, ""), ""),
        );
        assert_eq!(client.reply().status, 400);
        assert_eq!(server.failures(Failure::BadRequest), count);
    }
    assert_eq!(server.failures(Failure::ProxyHeader), 0);
}

/// O7
#[test]
fn the_pages_meet_the_client_and_not_the_header() {
    let limits = handover::Limits {
        total: 4,
        per_subscriber: 0,
    };
    let (pages, mut connections) = handover::channel(limits);
    let mut with_headers = settings();
    proxied(&mut with_headers);
    let server = start_all(&with_headers, tracker::Settings::default(), Some(pages));
    let stat = request("/stat", "");
    for (header, peer) in [
        (v1("192.0.2.1"), "192.0.2.1:40000".parse().unwrap()),
        (v2_of("2001:db8::1"), "[2001:db8::1]:40000".parse().unwrap()),
        (v2(0x20, 0, &[]), NOBODY),
        (Vec::new(), NOBODY),
    ] {
        let _client = begin(&server, "127.0.0.1", &header, &stat);
        let handover = receive(&mut connections).unwrap();
        assert_eq!(handover.peer, peer);
        assert!(stat.as_bytes().starts_with(&handover.read));
    }
}
