//! What else is sent to a TLS port: counted, bounded, told where there is somebody to tell, and no harm to anybody.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::Arc;

use retracker::metrics::{Failure, Handshake};
use rustls::RootCertStore;
use rustls::crypto::ring;

use super::client::{Client, VERSIONS, config, connect, der, rest};
use super::server::{Server, announce, start};

/// The server is as well as it was.
fn goes_on(server: &Server) {
    let mut client = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(client.get(&announce(1)).status, 200);
    drop(client);
    server.await_open(0);
}

/// What comes back for some bytes, and then the end.
fn answer(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect("127.0.0.1", server.address);
    // The other end may have had enough before all is written.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    rest(&mut stream)
}

/// P23
#[test]
fn http_without_tls_is_told_so() {
    let server = start();
    let told = answer(
        &server,
        b"GET /announce HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
    assert!(told.contains("HTTPS"), "{told}");
    server.await_handshakes(Handshake::PlainHttp, 1);
    assert_eq!(server.failures(Failure::Tls), 1);
    goes_on(&server);
}

const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// The alert of TLS, when that is all that came.
fn alert(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [0x15, 3, _, 0, 2, 2, kind] => Some(*kind),
        _ => None,
    }
}

/// P23
#[test]
fn what_is_no_tls_is_ended() {
    let server = start();
    // TLS 1.0 with a suite of its time; TLS 1.1; SSL 2.
    let hello = |version: u8| {
        let body = [&[3, version][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
        let length = u8::try_from(body.len()).unwrap();
        [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
    };
    for version in [1, 2] {
        let told = alert(&answer(&server, &hello(version)));
        assert!(
            matches!(told, Some(HANDSHAKE_FAILURE | PROTOCOL_VERSION)),
            "{told:?}"
        );
    }
    server.await_handshakes(Handshake::NothingInCommon, 2);
    let noise: [(&[u8], Handshake); 6] = [
        (&[0; 600], Handshake::NoTls),
        (b"\x80\x2e\x01\x00\x02", Handshake::NoTls),
        // A record of a length that there is not.
        (b"\x16\x03\x01\xff\xff", Handshake::TooLong),
        // Application data before anything else.
        (b"\x17\x03\x03\x00\x01x", Handshake::Broken),
        // A hello that says it is as long as the longest.
        (b"\x16\x03\x01\x00\x05\x01\x00\xff\xffx", Handshake::Gone),
        (b"SSH-2.0-client\r\n", Handshake::PlainHttp),
    ];
    for (bytes, end) in noise {
        let before = server.handshakes(end);
        answer(&server, bytes);
        server.await_handshakes(end, before + 1);
    }
    goes_on(&server);
}

/// P23: a hello that never ends is not kept.
#[test]
fn a_hello_that_is_too_long_is_ended() {
    let server = start();
    // Whole records that are parts of one message.
    let mut bytes = Vec::new();
    for at in 0..4 {
        let part = [7; 16_000];
        let head: &[u8] = if at == 0 { &[1, 0, 0xff, 0xff] } else { &[] };
        let length = u16::try_from(part.len() + head.len())
            .unwrap()
            .to_be_bytes();
        bytes.extend([&[0x16, 3, 1][..], &length, head, &part].concat());
    }
    answer(&server, &bytes);
    server.await_handshakes(Handshake::TooLong, 1);
    goes_on(&server);
}

/// P23
#[test]
fn who_does_not_trust_us_is_counted() {
    let server = start();
    let stranger = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&VERSIONS)
        .unwrap()
        .with_root_certificates(RootCertStore::from_iter([
            rustls::pki_types::TrustAnchor::to_owned(
                &webpki::anchor_from_trusted_cert(&der("two.pem")).unwrap(),
            ),
        ]))
        .with_no_client_auth();
    let client = Client::new(server.address, &stranger);
    assert!(client.shake_hands().is_err());
    server.await_handshakes(Handshake::Rejected, 1);
    goes_on(&server);
}

/// P23: after the handshake as well.
#[test]
fn a_session_that_breaks_is_ended_alone() {
    let server = start();
    for (at, version) in (1..).zip(VERSIONS) {
        let noise: [&[u8]; 4] = [
            // A record that cannot be opened, and one that is longer than there are.
            b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"\x17\x03\x03\xff\xff",
            // What is no record at all; a hello, which in TLS 1.2 would ask for another handshake, without being sealed.
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
        ];
        for (bytes, count) in noise.into_iter().zip(4 * (at - 1) + 1..) {
            let mut client = Client::new(server.address, &config(&[version]));
            assert_eq!(client.get(&announce(1)).status, 200);
            client.socket.write_all(bytes).unwrap();
            let alert = rest(&mut client.socket);
            assert!(alert.len() <= 64, "{}", alert.len());
            assert_eq!(server.failures(Failure::Tls), count);
        }
    }
    goes_on(&server);
}

/// P23: with and without a word, in the middle of a record too.
#[test]
fn who_goes_away_is_let_go() {
    let server = start();
    for version in VERSIONS {
        let config = config(&[version]);
        let mut silent = Client::new(server.address, &config);
        assert_eq!(silent.get(&announce(1)).status, 200);
        drop(silent);
        let mut cut = Client::new(server.address, &config);
        assert_eq!(cut.get(&announce(1)).status, 200);
        cut.socket.write_all(b"\x17\x03\x03\x00\x20aaaa").unwrap();
        drop(cut);
        let mut polite = Client::new(server.address, &config);
        polite.send(format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            announce(1)
        ));
        polite.tls.send_close_notify();
        polite.tls.write_tls(&mut polite.socket).unwrap();
        assert_eq!(polite.reply().status, 200);
        assert!(polite.is_closed());
    }
    server.await_open(0);
    assert_eq!(server.failures(Failure::Tls), 0);
}

/// P23: a reply that was cut is known as such, for its end is said by `close_notify` only.
#[test]
fn a_closed_connection_says_so() {
    let server = start();
    let mut client = Client::new(server.address, &config(&VERSIONS));
    client.send("GET / HTTP/9.9\r\n\r\nrubbish");
    client.reply();
    assert!(client.is_closed());
    let mut idle = Client::new(server.address, &config(&VERSIONS));
    assert_eq!(idle.get(&announce(1)).status, 200);
    drop(server.running);
    let mut bytes = [0];
    let cut = std::io::Read::read(&mut idle.stream(), &mut bytes).unwrap_err();
    assert!(matches!(
        cut.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    ));
}
