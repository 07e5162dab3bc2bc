//! Announces and scrapes over TLS, as the lean loop serves them.

use std::io::Write;

use retracker::http;
use retracker::metrics::{Gauge, Handshake, TlsVersion};
use retracker::net::handover;

use super::client::{Client, VERSIONS, config, connect, der, rest};
use super::server::{announce, certificate, start, start_all, start_with};

/// P23
#[test]
fn announces_over_both_versions_meet_those_without_tls() {
    let server = start();
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let mut client = Client::new(server.address, &config(&[version]));
        let port = 2 * u16::try_from(at).unwrap() + 1;
        let reply = client.get(&announce(port));
        assert_eq!(
            (reply.status, reply.number("incomplete")),
            (200, u64::from(port))
        );
        assert_eq!(reply.field("content-type"), Some("text/plain"));
        let mut plain = connect("127.0.0.1", server.plain);
        write!(plain, "GET {} HTTP/1.0\r\n\r\n", announce(port + 1)).unwrap();
        let told = format!("10:incompletei{}e", port + 1);
        assert!(String::from_utf8_lossy(&rest(&mut plain)).contains(&told));
        assert_eq!(
            client.get(&announce(port)).number("incomplete"),
            u64::from(port) + 1
        );
    }
    let totals = server.core.metrics().totals();
    assert_eq!(totals.handshakes(Handshake::Full), 2);
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        assert_eq!(totals.tls_versions(version), 1, "{version:?}");
    }
    server.await_open(0);
}

/// P23, P14
#[test]
fn a_connection_is_kept_and_requests_may_come_at_once_or_in_pieces() {
    let server = start();
    for version in VERSIONS {
        let mut client = Client::new(server.address, &config(&[version]));
        for _ in 0..20 {
            assert_eq!(client.get(&announce(1)).status, 200);
        }
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", announce(2));
        // More than one record holds, and more than is read at once.
        client.send(request.repeat(400));
        for _ in 0..400 {
            assert_eq!(client.reply().number("incomplete"), 2);
        }
        for piece in request.repeat(3).as_bytes().chunks(7) {
            client.send(piece);
        }
        for _ in 0..3 {
            assert_eq!(client.reply().number("incomplete"), 2);
        }
        client.send("GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(client.reply().text().starts_with("OK\n"));
        assert!(client.is_closed());
        // The next round begins alone again.
        server
            .core
            .sweep(retracker::clock::Seconds::START.plus(1_000_000));
    }
    assert_eq!(server.handshakes(Handshake::Full), 2);
}

/// P23: what a client does not read waits, and the client is not read either until it does.
#[test]
fn replies_that_are_not_read_wait_and_come_whole() {
    let server = start_with(|settings| settings.max_requests = 0);
    let mut client = Client::new(server.address, &config(&VERSIONS))
        .shake_hands()
        .unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", announce(1));
    let all = request.repeat(60_000);
    let mut writer = client.socket.try_clone().unwrap();
    // Sealed at once; sent by another thread, for it ends only when the replies are read.
    client.tls.set_buffer_limit(None);
    client.tls.writer().write_all(all.as_bytes()).unwrap();
    let mut sealed = Vec::new();
    while client.tls.wants_write() {
        client.tls.write_tls(&mut sealed).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&sealed).unwrap());
        for _ in 0..60_000 {
            assert_eq!(client.reply().status, 200);
        }
    });
}

/// P23
#[test]
fn the_name_chooses_the_certificate_and_alpn_is_http_1_1() {
    let server = start();
    let mut config = config(&VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    for (name, shown) in [
        ("one.test", "one.pem"),
        ("127.0.0.1", "one.pem"),
        ("two.test", "two.pem"),
        ("any.wild.test", "two.pem"),
    ] {
        let client = Client::from("127.0.0.1", server.address, &config, name);
        let client = client.shake_hands().unwrap();
        assert_eq!(
            client.tls.peer_certificates().unwrap()[0],
            der(shown),
            "{name}"
        );
        assert_eq!(client.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(Client::new(server.address, &config).shake_hands().is_err());
    assert_eq!(server.handshakes(Handshake::NothingInCommon), 1);
}

/// P23: other certificates come into force without a connection or a ticket being lost.
#[test]
fn certificates_are_replaced_under_open_connections() {
    let server = start();
    for version in VERSIONS {
        server.acceptor.replace(vec![certificate("one")]);
        let config = config(&[version]);
        let mut old = Client::new(server.address, &config);
        assert_eq!(old.get(&announce(1)).status, 200);
        server.acceptor.replace(vec![certificate("again")]);
        assert_eq!(old.get(&announce(1)).status, 200);
        let before = server.handshakes(Handshake::Resumed);
        let mut back = Client::new(server.address, &config);
        assert_eq!(back.get(&announce(1)).status, 200);
        assert_eq!(server.handshakes(Handshake::Resumed), before + 1);
        // Somebody who was never here.
        let new = Client::new(server.address, &super::client::config(&[version]));
        let new = new.shake_hands().unwrap();
        assert_eq!(new.tls.peer_certificates().unwrap()[0], der("again.pem"));
    }
}

/// P23: a connection that asks for a page goes over with its session, and is counted for as long as somebody has it.
#[test]
fn a_page_is_asked_for_over_tls() {
    let (pages, mut connections) = handover::channel(handover::Limits {
        total: 1,
        per_subscriber: 0,
    });
    let no_admins = |settings: &mut http::Settings| {
        settings.address_rules.admin_networks = std::iter::empty().collect();
    };
    let server = start_all(no_admins, Some(pages));
    let mut client = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(client.get(&announce(1)).status, 200);
    client.send("GET /stat HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (mut handed, permit) = runtime.block_on(connections.receive()).unwrap();
    assert!(handed.read.starts_with(b"GET /stat "));
    // Who has no place is told so, over TLS.
    let mut other = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(other.get("/stat").status, 503);
    assert!(other.is_closed());
    server.await_open(1);
    let (mut sealed, session) = (Vec::new(), handed.tls.as_mut().unwrap());
    session
        .seal(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &mut sealed)
        .unwrap();
    session.close(&mut sealed);
    handed.stream.write_all(&sealed).unwrap();
    assert_eq!(client.reply().status, 200);
    assert!(client.is_closed());
    drop((handed, permit));
    server.await_open(0);
    assert_eq!(server.core.metrics().gauge(Gauge::Connections), 0);
}

/// P23, O2
#[test]
fn a_stop_answers_what_has_begun_and_ends_the_rest() {
    let server = start();
    let mut idle = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(idle.get(&announce(1)).status, 200);
    let _silent = connect("127.0.0.1", server.address);
    server.running.stop(std::time::Duration::from_millis(100));
    assert_eq!(server.core.metrics().gauge(Gauge::TlsConnections), 0);
}
