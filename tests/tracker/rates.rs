//! Who asks for too much, over real sockets: what he is told in each protocol, that others are served, and bans (O8). Rates are of so few in
//! an hour that no test meets the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use retracker::clock::Seconds;
use retracker::http;
use retracker::metrics::Failure;
use retracker::net::Networks;
use retracker::net::client_address::Mode;
use retracker::net::handover;
use retracker::net::limits::{Levels, Limits, Settings};

use crate::harness::{
    Server, announce, connect, start_limited, start_pages_limited, start_reporting,
};
use crate::udp::{Both, Client};

fn source(rate: &str) -> Levels {
    Levels {
        source: Some(rate.parse().unwrap()),
        prefix: None,
    }
}

fn limits(settings: Settings) -> Arc<Limits> {
    Arc::new(Limits::new(settings, Networks::default()))
}

fn start(settings: Settings) -> Server {
    start_limited(|_| {}, &limits(settings))
}

fn few_requests() -> Settings {
    Settings {
        requests: source("1/h 5"),
        ..Settings::off()
    }
}

/// O8
#[test]
fn requests_beyond_the_limit_get_a_failure_that_says_when_to_come_again() {
    let server = start(few_requests());
    let mut client = server.connect_from("127.0.0.2");
    for port in 1..=5 {
        assert!(
            client
                .get(&announce(port, ""))
                .value()
                .get("peers")
                .is_some()
        );
    }
    let refused = client.get(&announce(6, ""));
    assert_eq!(
        (refused.status, refused.failure()),
        (200, "too many requests".into())
    );
    assert!((59..=60).contains(&refused.number("retry in")));
    // On a connection of its own as well, and by a scrape; the connection stays.
    assert_eq!(
        server.announce("127.0.0.2", 7, "").failure(),
        "too many requests"
    );
    assert_eq!(
        client.get("/scrape?info_hash=x").failure(),
        "too many requests"
    );
    assert_eq!(server.failures(Failure::RequestRate), 3);
    // Nothing was stored, and the neighbour has a bucket of his own.
    let seen = server.announce("127.0.0.3", 8, "");
    assert_eq!(seen.peers().len(), 5);
    assert_eq!(server.failures(Failure::RequestRate), 3);
}

/// O8: a page costs more than an announce, and counts with them.
#[test]
fn a_browser_beyond_the_limit_gets_a_429() {
    let (pages, _connections) = handover::channel(handover::Limits {
        total: 10,
        per_subscriber: 0,
    });
    let server = start_pages_limited(pages, &limits(few_requests()));
    for port in 1..=5 {
        server.announce("127.0.0.2", port, "");
    }
    let refused = server.get_from("127.0.0.2", "/stat", "");
    assert_eq!(
        (refused.status, refused.text()),
        (429, "too many requests\n")
    );
    let wait: u32 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait));
}

/// O8: what is no request of the tracker costs work as well, and counts.
#[test]
fn refused_and_malformed_requests_and_probes_count_as_well() {
    let reports: http::ProbeResponder = Arc::new(|_, _| http::ProbeReply {
        is_good: true,
        body: "{}".into(),
    });
    let exempt: Networks = std::iter::once("127.9.0.0/16".parse().unwrap()).collect();
    let limits = Arc::new(Limits::new(few_requests(), exempt));
    let server = start_reporting(reports, &limits);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    for (host, (request, status)) in (2..).zip([
        ("POST /announce HTTP/1.1\r\n\r\n", 405),
        ("GARBAGE\r\n\r\n", 400),
        (long.as_str(), 414),
        ("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        ("GET /ready HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        ("GET /status HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        ("GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
    ]) {
        let ask = |ip: &str| {
            let mut client = server.connect_from(ip);
            client.send(request);
            client.reply()
        };
        let ip = format!("127.0.0.{host}");
        for _ in 0..5 {
            assert_eq!(ask(&ip).status, status, "{request}");
        }
        let before = server.failures(Failure::RequestRate);
        let refused = ask(&ip);
        let is_told = refused.status == 429 && refused.field("retry-after").is_some();
        assert!(
            is_told || refused.failure() == "too many requests",
            "{request}"
        );
        assert_eq!(server.failures(Failure::RequestRate), before + 1);
        // Whoever watches the tracker, and who runs it, is exempt.
        for _ in 0..6 {
            assert_eq!(ask("127.9.0.1").status, status, "{request}");
        }
    }
}

/// O8
#[test]
fn connections_beyond_the_limit_are_answered_once_and_closed() {
    let server = start(Settings {
        connections: source("1/h 3"),
        ..Settings::off()
    });
    let mut kept = server.connect_from("127.0.0.2");
    assert_eq!(kept.get(&announce(1, "")).status, 200);
    for port in 2..=3 {
        assert!(
            server
                .announce("127.0.0.2", port, "")
                .value()
                .get("peers")
                .is_some()
        );
    }
    let refused = server.announce("127.0.0.2", 4, "");
    assert_eq!(
        (refused.status, refused.failure()),
        (200, "too many requests".into())
    );
    let page = server.get_from("127.0.0.2", "/stat", "");
    assert_eq!((page.status, page.text()), (429, "too many requests\n"));
    let mut posting = server.connect_from("127.0.0.2");
    posting.send("POST /announce HTTP/1.1\r\n\r\n");
    assert_eq!(posting.reply().status, 429);
    assert_eq!(server.failures(Failure::ConnectionRate), 3);
    // The one that is open goes on, and so does everybody else.
    assert_eq!(kept.get(&announce(1, "")).status, 200);
    assert_eq!(server.announce("127.0.0.3", 5, "").peers().len(), 3);
}

/// O8: behind a proxy each client counts by its own address; the proxy itself is exempt, and who is not named is nobody.
#[test]
fn behind_a_trusted_proxy_clients_count_by_their_own_addresses() {
    let exempt: Networks = std::iter::once("127.0.0.1/32".parse().unwrap()).collect();
    let limits = Arc::new(Limits::new(
        Settings {
            connections: source("1/h 3"),
            ban_after: 2,
            ..few_requests()
        },
        exempt,
    ));
    let proxied = |settings: &mut http::Settings| {
        settings.address_rules.mode = Mode::Proxy;
        settings.address_rules.admin_networks = Networks::default();
    };
    let server = start_limited(proxied, &limits);
    let ask = |client: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        server.get_from("127.0.0.1", &announce(1, ""), &fields)
    };
    for _ in 0..5 {
        assert!(ask("192.0.2.1").value().get("peers").is_some());
        assert!(ask("192.0.2.2").value().get("peers").is_some());
    }
    assert_eq!(ask("192.0.2.1").failure(), "too many requests");
    for _ in 0..10 {
        assert_eq!(
            ask("nobody").failure(),
            "client address unknown to the tracker"
        );
    }
    for _ in 0..3 {
        ask("192.0.2.1");
    }
    assert!(ask("192.0.2.1").failure().starts_with("banned for a time"));
    assert!(ask("192.0.2.3").value().get("peers").is_some());
    assert_eq!(limits.bans_made(), 1);
}

/// O8: whatever it was banned for, it is banned from all; over UDP there is no answer at all.
#[test]
fn a_banned_source_gets_nothing_in_any_protocol_until_the_ban_is_lifted() {
    let settings = Settings {
        ban_after: 5,
        ..few_requests()
    };
    let limits = limits(settings);
    let both = Both::limited(&limits);
    let before = both.client("127.0.0.2");
    for port in 1..=11 {
        both.http.announce("127.0.0.2", port, "");
    }
    let refused = both.http.announce("127.0.0.2", 12, "");
    assert!(refused.failure().starts_with("banned for a time"));
    assert!((59..=60).contains(&refused.number("retry in")));
    let page = both.http.get_from("127.0.0.2", "/stat", "");
    assert_eq!(page.status, 429);
    // It connected before, and its id is good.
    let banned = both.http.failures(Failure::Banned);
    before.send(1, &Client::announce_body(1, 1, 2));
    both.http.await_failures(Failure::Banned, banned + 1);
    assert_eq!(both.client("127.0.0.3").announce(9, 5, 2).len(), 12 + 5 * 6);
    let ban = limits.bans(Seconds::START)[0];
    assert!(limits.lift(ban.number).is_some());
    // The first reply that comes is to what it sends now.
    assert_eq!(before.announce(1, 1, 2).len(), 12 + 5 * 6);
    both.udp.stop();
}

/// O8
#[test]
fn datagrams_beyond_the_limit_get_no_answer_and_others_do() {
    let limits = limits(Settings {
        datagrams: source("1/h 3"),
        ..Settings::off()
    });
    let both = Both::limited(&limits);
    let client = both.client("127.0.0.2");
    for _ in 0..3 {
        client.announce(1, 1, 2);
    }
    client.send(1, &Client::announce_body(1, 1, 2));
    both.http.await_failures(Failure::RequestRate, 1);
    // Whatever else may be forged has a bucket of its own.
    for sent in 1..=5 {
        client.send_forged(1, &Client::announce_body(1, 1, 2));
        let refused = 1 + sent - sent.min(3);
        both.http.await_failures(Failure::ConnectionId, sent.min(3));
        both.http.await_failures(Failure::RequestRate, refused);
    }
    // Connects may be forged as well, so they take nothing from their victim and always get their answer.
    for _ in 0..10 {
        both.client("127.0.0.2");
    }
    both.http.await_failures(Failure::RequestRate, 3);
    assert_eq!(both.client("127.0.0.3").announce(2, 1, 2).len(), 12 + 6);
    both.udp.stop();
}

/// O8: several workers share the buckets: of an address whose connections go to all of them as many are served as of one. The bucket is
/// one of those that are written exactly from the first request on: of a larger one with much left, two workers may count one as one.
#[test]
fn workers_together_serve_as_many_as_one_would() {
    let server = start(Settings {
        requests: source("1/h 16"),
        ..Settings::off()
    });
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u16 {
            let (address, served) = (server.v4(), &served);
            scope.spawn(move || {
                for port in 0..25 {
                    let mut client = connect("127.0.0.2".parse().unwrap(), address);
                    let reply = client.get(&announce(1 + thread * 25 + port, ""));
                    let is_served = reply.value().get("peers").is_some();
                    served.fetch_add(is_served.into(), Relaxed);
                }
            });
        }
    });
    assert_eq!(served.into_inner(), 16);
    assert_eq!(server.failures(Failure::RequestRate), 84);
}
