//! HTTP/1.x on the wire: keep-alive, pipelining, pieces, HTTP/1.0, garbage, hand-over.

use std::io::{Read, Write};

use retracker::http;
use retracker::metrics::Failure;
use retracker::net::handover;
use retracker::tracker;

use crate::harness::{Server, announce, receive, settings, start, start_all, start_with};

/// P14
#[test]
fn a_connection_is_kept_for_many_requests() {
    let server = start();
    let mut client = server.connect();
    for port in 1..=300 {
        let reply = client.get(&announce(port, ""));
        assert_eq!(reply.field("connection"), None);
        assert_eq!(reply.number("incomplete"), u64::from(port));
    }
}

/// P14
#[test]
fn close_and_http_1_0_are_honoured() {
    let server = start();
    for (version, field, answer) in [
        ("1.1", "Connection: close\r\n", Some("close")),
        ("1.0", "", Some("close")),
        ("1.0", "Connection: Keep-Alive\r\n", Some("keep-alive")),
        ("1.1", "", None),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "GET {} HTTP/{version}\r\n{field}\r\n",
            announce(1, "")
        ));
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.field("connection")),
            (200, answer),
            "{version} {field}"
        );
        if answer == Some("close") {
            assert!(client.is_closed());
        } else {
            assert_eq!(client.get(&announce(1, "")).status, 200);
        }
    }
}

/// P14
#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let mut client = server.connect();
    let many: String = (1..=500)
        .map(|port| {
            format!(
                "GET {} HTTP/1.1\r\nHost: t\r\n\r\n",
                announce(port, "&numwant=0")
            )
        })
        .collect();
    client.send(many);
    for count in 1..=500 {
        assert_eq!(client.reply().number("incomplete"), count);
    }
}

/// P14
#[test]
fn what_is_pipelined_behind_a_close_is_not_answered() {
    let server = start();
    let mut client = server.connect();
    let path = announce(1, "");
    client.send(format!(
        "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\nGET {path} HTTP/1.1\r\n\r\n"
    ));
    assert_eq!(client.reply().status, 200);
    assert!(client.is_closed());
}

/// P14
#[test]
fn requests_arrive_in_pieces_of_any_size() {
    let server = start();
    let mut client = server.connect();
    let request = format!("GET {} HTTP/1.1\r\nHost: t\r\n\r\n", announce(1, ""));
    for size in [1, 2, 7, 100] {
        for piece in request.as_bytes().chunks(size) {
            client.send(piece);
        }
        assert_eq!(client.reply().number("incomplete"), 1);
    }
    // The end of one request and the start of the next in one piece.
    let twice = format!("{request}{request}");
    for piece in twice.as_bytes().chunks(request.len() - 5) {
        client.send(piece);
    }
    assert_eq!((client.reply().status, client.reply().status), (200, 200));
}

/// P14
#[test]
fn a_hundred_fields_and_an_encoding_that_nobody_needs_are_fine() {
    let server = start();
    let fields = format!(
        "Accept-Encoding: gzip, br\r\n{}",
        "X-Field: some value\r\n".repeat(97)
    );
    // With Host and Connection.
    let reply = server.get_from("127.0.0.1", &announce(1, ""), &fields);
    assert_eq!(
        (reply.number("incomplete"), reply.field("content-encoding")),
        (1, None)
    );
    let fields = format!("{fields}One: more\r\n");
    for path in [announce(1, ""), "/stat".into()] {
        assert_eq!(server.get_from("127.0.0.1", &path, &fields).status, 431);
    }
    assert_eq!(server.failures(Failure::TooLong), 2);
}

/// P14
#[test]
fn a_client_that_closes_its_half_is_still_answered() {
    let server = start();
    let mut client = server.connect();
    client.send(format!("GET {} HTTP/1.1\r\n\r\n", announce(1, "")));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply().status, 200);
    assert!(client.is_closed());
}

/// P3
#[test]
fn what_is_too_long_is_refused_and_the_refusal_arrives() {
    let server = start();
    let long = "x".repeat(200_000);
    for (request, status) in [
        (format!("GET /announce?{long} HTTP/1.1\r\n\r\n"), 414),
        (format!("GET /announce HTTP/1.1\r\nA: {long}\r\n\r\n"), 431),
        (
            format!(
                "GET /announce HTTP/1.1\r\n{}\r\n",
                "A: b\r\n".repeat(40_000)
            ),
            431,
        ),
        (
            format!("GET /announce?{} HTTP/1.1\r\n\r\n", "x".repeat(8_192)),
            414,
        ),
    ] {
        let mut client = server.connect();
        client.send(request);
        let reply = client.reply();
        assert_eq!(
            (reply.status, reply.field("connection")),
            (status, Some("close"))
        );
        assert!(client.is_closed());
    }
    assert_eq!(server.failures(Failure::TooLong), 4);
    let fits = format!("{}&pad=", announce(1, ""));
    let rest = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".len() + "GET ".len();
    let fits = format!("{fits}{}", "x".repeat(8_192 - fits.len() - rest));
    assert_eq!(server.get(&fits).number("incomplete"), 1);
}

/// P14
#[test]
fn garbage_is_a_bad_request() {
    let server = start();
    for text in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c",
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /announce\r\n\r\n",
        "GET /announce HTTP/3.0\r\n\r\n",
        "GET /announce HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /announce HTTP/1.1\r\nHost : t\r\n\r\n",
        "GET /announce HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "d1:ad2:id20:",
        "(announce)\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(text.as_bytes());
        if text.starts_with("d1:") {
            client.send(":\r\n\r\n");
        }
        assert_eq!(client.reply().status, 400, "{text:?}");
        assert!(client.is_closed());
    }
    assert_eq!(server.failures(Failure::BadRequest), 11);
}

fn start_with_pages() -> (Server, handover::Receiver) {
    let limits = handover::Limits {
        total: 2,
        per_subscriber: 0,
    };
    let (pages, connections) = handover::channel(limits);
    // One worker hands over in the order in which requests come.
    let settings = http::Settings {
        workers: 1,
        ..settings()
    };
    let core = tracker::Settings::default();
    (start_all(&settings, core, Some(pages)), connections)
}

/// P1
#[test]
fn requests_for_pages_are_handed_over_with_all_that_was_read() {
    let (server, mut connections) = start_with_pages();
    for request in [
        "GET /stat HTTP/1.1\r\nCookie: a\r\n\r\n".to_owned(),
        "POST /login HTTP/1.1\r\nContent-Length: 5\r\n\r\nuser=".to_owned(),
        format!(
            "GET {} HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            announce(1, "")
        ),
        "GET /stat HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n".to_owned(),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let mut handover = receive(&mut connections).unwrap();
        assert_eq!(handover.peer, client.stream.local_addr().unwrap());
        handover.stream.set_nonblocking(false).unwrap();
        let mut rest = vec![0; request.len() - handover.read.len()];
        handover.stream.read_exact(&mut rest).unwrap();
        assert_eq!([handover.read, rest].concat(), request.as_bytes());
        // It is held as long as the pages hold it.
        server.await_connections(1);
        drop(handover.hold);
        server.await_connections(0);
    }
}

/// P14
#[test]
fn a_connection_is_handed_over_after_announces_were_answered_on_it() {
    let (server, mut connections) = start_with_pages();
    let mut client = server.connect();
    let path = announce(1, "");
    assert_eq!(client.get(&path).status, 200);
    client.send(format!(
        "GET {path} HTTP/1.1\r\n\r\nGET /stat HTTP/1.1\r\n\r\n"
    ));
    assert_eq!(client.reply().number("incomplete"), 1);
    let handover = receive(&mut connections).unwrap();
    assert_eq!(handover.read, b"GET /stat HTTP/1.1\r\n\r\n");
    drop(handover);
    assert!(client.is_closed());
}

/// R30
#[test]
fn who_finds_no_place_or_nobody_at_the_pages_is_told_and_counted() {
    let (server, mut connections) = start_with_pages();
    let admin = "GET /stat HTTP/1.1\r\n\r\n";
    let stranger = "GET /stat HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    let send = |request: &str| {
        let mut client = server.connect();
        client.send(request);
        client
    };
    // Nobody receives yet, and nobody waits for that but those who have a place.
    let mut early: Vec<_> = (0..2).map(|_| send(stranger)).collect();
    let mut refused = send(stranger);
    let reply = refused.reply();
    assert_eq!(
        (reply.status, reply.field("retry-after"), reply.text()),
        (503, Some("10"), "busy\n")
    );
    assert!(refused.is_closed());
    server.await_failures(Failure::Connections, 1);
    // An operator has places of his own, behind theirs.
    let mut operator = send(admin);
    for client in early.iter_mut().chain([&mut operator]) {
        let mut handover = receive(&mut connections).unwrap();
        assert_eq!(handover.peer, client.stream.local_addr().unwrap());
        handover
            .stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        assert_eq!(client.reply().status, 200);
    }
    drop(connections);
    assert_eq!(send(admin).reply().status, 503);
    server.await_failures(Failure::Connections, 2);
}

/// P14
#[test]
fn a_body_that_nobody_reads_is_never_taken_for_a_request() {
    let server = start();
    let mut client = server.connect();
    let body = format!("GET {} HTTP/1.1\r\n\r\n", announce(1, ""));
    client.send(format!(
        "GET /announce HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.reply().status, 404);
    assert!(client.is_closed());
}

/// P14
#[test]
fn requests_per_connection_have_a_bound() {
    let server = start_with(|settings| settings.max_requests = 3);
    let mut client = server.connect();
    for closes in [None, None, Some("close")] {
        assert_eq!(client.get(&announce(1, "")).field("connection"), closes);
    }
    assert!(client.is_closed());
}
