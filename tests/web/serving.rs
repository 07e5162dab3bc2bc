//! How connections are served: handed over with bytes already read, one request each, within limits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{exchange, parse, start, start_with};

#[test]
fn a_connection_with_bytes_read_before_is_served_and_closed() {
    let site = start();
    let bytes = exchange(
        site.address,
        "127.0.0.1",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let reply = parse(&bytes);
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "{\"faults\":[],\"status\":\"ok\"}")
    );
    assert_eq!(reply.header("connection"), "close");
}

#[test]
fn http_1_0_without_a_host_and_head_are_served() {
    let site = start();
    let old = parse(&exchange(
        site.address,
        "127.0.0.1",
        b"GET /health HTTP/1.0\r\n\r\n",
    ));
    assert_eq!(old.status, 200);
    let head = parse(&exchange(
        site.address,
        "127.0.0.1",
        b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n",
    ));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

/// R2
#[test]
fn a_connection_that_dawdles_is_closed_at_the_limit() {
    let site = start_with(|settings| settings.connection_limit = Duration::from_millis(300));
    for begun in [
        "GET /hea",
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nuser",
    ] {
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut rest = Vec::new();
        // Either an end of the stream or a reset; both within the limit.
        let ended = stream.read_to_end(&mut rest);
        assert!(
            !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{begun}: {ended:?}"
        );
    }
}

#[test]
fn more_connections_than_the_limit_are_closed_and_places_come_back() {
    let site = start_with(|settings| settings.max_connections = 2);
    let hold = |site: &crate::harness::Site| {
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.write_all(b"GET /hea").unwrap();
        stream
    };
    let mut held = vec![hold(&site), hold(&site)];
    // The third finds no place once the first two have theirs.
    let mut third = hold(&site);
    let mut rest = Vec::new();
    drop(third.read_to_end(&mut rest));
    assert!(rest.is_empty());
    for stream in &mut held {
        stream.write_all(b"lth HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(parse(&reply).status, 200);
    }
    assert_eq!(site.visitor().get("/health").status, 200);
}

/// W6
#[test]
fn the_charts_are_kept_at_the_stop() {
    let mut site = start();
    assert_eq!(site.visitor().get("/health").status, 200);
    site.running.take().unwrap().stop();
    assert!(site.blobs.lock().unwrap().contains_key("history"));
}
