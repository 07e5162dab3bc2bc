//! How connections are served: handed over with bytes already read, one request each, within limits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use retracker::metrics::Failure;
use retracker::net::client_address::ClientAddressRules;
use retracker::web::{Scope, Settings};

use crate::harness::{Site, connect, exchange, parse, start, start_behind_http, start_with};

#[test]
fn a_connection_with_bytes_read_before_is_served_and_closed() {
    let site = start();
    let bytes = exchange(
        site.address,
        "127.0.0.1",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
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

/// Only 127.0.0.1 is an admin's.
fn one_admin() -> ClientAddressRules {
    ClientAddressRules {
        admin_networks: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
        ..ClientAddressRules::default()
    }
}

/// A connection whose request has begun, and ended up with a place or with a word that there is none.
fn begin(site: &Site, from: &str, text: &str) -> TcpStream {
    let mut stream = connect(site.address, from);
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

const STALLED: &str = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nuser";

/// R30
#[test]
fn an_address_holds_few_places_and_gets_them_back() {
    let few = |settings: &mut Settings| settings.max_connections_per_address = 2;
    let site = start_behind_http(few, one_admin());
    let stalled = "GET /health HTTP/1.0\r\nContent-Length: 2\r\n\r\n";
    let mut held: Vec<TcpStream> = (0..2).map(|_| begin(&site, "127.0.0.2", stalled)).collect();
    // Places are given out in the order in which connections come.
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /health HTTP/1.0\r\n\r\n");
        let refused = exchange(site.address, "127.0.0.2", request.as_bytes());
        let refused = parse(&refused);
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, "10"),
            "{method}"
        );
        assert_eq!(refused.header("connection"), "close");
        let is_head = method == "HEAD";
        assert_eq!(refused.body, if is_head { "" } else { "busy\n" });
    }
    let other = exchange(site.address, "127.0.0.3", b"GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(parse(&other).status, 200);
    for stream in &mut held {
        stream.write_all(b"ab").unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(parse(&reply).status, 200);
    }
    drop(held);
    // The place is free a moment after its client has seen the end.
    let mut again = 0;
    while again != 200 {
        let bytes = exchange(site.address, "127.0.0.2", b"GET /health HTTP/1.0\r\n\r\n");
        again = parse(&bytes).status;
    }
}

/// R30
#[test]
fn stalled_bodies_of_three_addresses_keep_no_admin_out() {
    let few = |settings: &mut Settings| {
        settings.max_connections = 30;
        settings.connection_limit = Duration::from_mins(10);
    };
    let site = start_behind_http(few, one_admin());
    let mut stalled: Vec<TcpStream> = (0..300)
        .map(|at| begin(&site, &format!("127.0.0.{}", 2 + at % 3), STALLED))
        .collect();
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(site.visitor().get(path).status, 200, "{path}");
    }
    assert_eq!(site.operator().get("/stat").status, 200);
    let replies = stalled.iter_mut().map(|stream| {
        let mut reply = Vec::new();
        drop(stream.read_to_end(&mut reply));
        parse(&reply).status
    });
    // Those that had a place are told when their own time is over, which is not the connection's; all others at once.
    let replies: Vec<u16> = replies.collect();
    let count = |status: u16| replies.iter().filter(|told| **told == status).count();
    assert_eq!((count(408), count(503)), (30, 270));
    let failed = site
        .tracker
        .metrics()
        .totals()
        .failures(Failure::Connections);
    assert_eq!(failed, 270);
}

/// R25
#[test]
fn a_thousand_encoded_or_long_bodies_cost_no_memory() {
    let site = start();
    // 61 KB that would be inflated to 64 MB: blocks of a Huffman tree of one code.
    let bomb = vec![0x5a; 61 * 1_024];
    let before = resident_bytes();
    for number in 0..1_000 {
        let (fields, status) = match number % 4 {
            0 => ("Content-Encoding: gzip\r\nContent-Length: 62464", 415),
            1 => ("Content-Encoding: gzip\r\nTransfer-Encoding: chunked", 415),
            2 => ("Content-Length: 62464", 413),
            _ => ("Transfer-Encoding: chunked", 413),
        };
        let path = ["/login", "/api/v1/blocklist", "/health", "/nothing"][number / 4 % 4];
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        let mut bytes = head.into_bytes();
        if fields.ends_with("chunked") {
            bytes.extend_from_slice(b"f400\r\n");
        }
        bytes.extend_from_slice(&bomb);
        let reply = parse(&exchange(site.address, "127.0.0.1", &bytes));
        assert_eq!(reply.status, status, "{path} {fields}");
        assert_eq!(reply.header("connection"), "close");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kilobytes.parse::<u64>().unwrap() * 1_024
}

/// R3
#[test]
fn a_connection_is_answered_once_whatever_follows_the_request() {
    let site = start();
    let next = "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for (first, has_body) in [
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", true),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
            true,
        ),
        ("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n", false),
        // Refused before it is a request; and behind an empty line.
        (
            "HEAD /health HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n",
            false,
        ),
        (
            "\r\nHEAD /health HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n",
            false,
        ),
        (
            "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            true,
        ),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            true,
        ),
        (
            "GET /nothing HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            true,
        ),
    ] {
        let bytes = exchange(
            site.address,
            "127.0.0.1",
            format!("{first}{next}{next}").as_bytes(),
        );
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{first}: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(!body.is_empty(), has_body, "{first}: {body}");
        if has_body {
            let length = format!("content-length: {}", body.len());
            assert!(head.contains(&length), "{head}");
        }
    }
}

/// R3
#[test]
fn a_page_takes_a_hundred_header_fields() {
    let site = start();
    let mut operator = site.operator();
    operator.headers = (0..98).map(|at| (format!("X-{at}"), "x".into())).collect();
    // With the host and the cookies these are a hundred.
    assert_eq!(operator.get("/stat").status, 200);
    operator.headers.push(("X-More".into(), "x".into()));
    assert_eq!(operator.get("/stat").status, 431);
}

/// O2
#[test]
fn who_was_handed_over_before_the_stop_is_still_served() {
    let mut site = start();
    let mut begun: Vec<TcpStream> = (0..10)
        .map(|_| begin(&site, "127.0.0.1", "GET /health HTTP/1.0\r\n"))
        .collect();
    // A later one is answered, so all of them were handed over.
    assert_eq!(site.visitor().get("/health").status, 200);
    let running = site.running.take().unwrap();
    let stopping = std::thread::spawn(move || running.stop());
    for stream in &mut begun {
        stream.write_all(b"\r\n").unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(parse(&reply).status, 200);
    }
    stopping.join().unwrap();
}

/// W6
#[test]
fn the_charts_are_kept_at_the_stop() {
    let mut site = start();
    assert_eq!(site.visitor().get("/health").status, 200);
    site.running.take().unwrap().stop();
    assert!(site.blobs.lock().unwrap().contains_key("history"));
}

/// W9, O8: whom the pages and the API refuse is counted by its reason, as whom the tracker refuses.
#[test]
fn what_is_refused_is_counted_by_its_reason() {
    let address_rules = ClientAddressRules {
        admin_networks: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
        ..ClientAddressRules::default()
    };
    let site = start_behind_http(|settings| settings.login_failures = 1, address_rules);
    let failures = |failure| site.tracker.metrics().totals().failures(failure);
    let ask = |line: &str, fields: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        );
        parse(&exchange(site.address, "127.0.0.2", request.as_bytes())).status
    };
    let token = site.token_for(Scope::Read, None);
    let read = format!("Authorization: Bearer {token}\r\n");
    let foreign = "Origin: http://elsewhere.example\r\nSec-Fetch-Site: cross-site\r\n";
    for (line, fields, status, failure) in [
        ("GET /nothing", "", 404, Failure::NotFound),
        ("GET /api/v1/nothing", "", 404, Failure::NotFound),
        ("GET /api/v1/bans/1", read.as_str(), 405, Failure::Method),
        ("POST /health", "", 405, Failure::Method),
        ("GET /metrics", "", 403, Failure::Forbidden),
        ("GET /api/v1/stats", "", 401, Failure::Forbidden),
        ("DELETE /api/v1/bans/1", &read, 403, Failure::Forbidden),
        ("GET /api/v1/stats", foreign, 403, Failure::CrossSite),
        ("POST /login", foreign, 403, Failure::CrossSite),
    ] {
        let before = failures(failure);
        assert_eq!(ask(line, fields, ""), status, "{line}");
        assert_eq!(failures(failure), before + 1, "{line}");
    }
    for (status, refused) in [(200, 0), (429, 1)] {
        let mut visitor = site.visitor();
        assert_eq!(visitor.log_in("admin", "guess").status, status);
        assert_eq!(failures(Failure::RequestRate), refused);
    }
    // Each of them once, and what is answered not at all.
    let all: u64 = Failure::ALL.iter().map(|failure| failures(*failure)).sum();
    assert_eq!(all, 10);
    assert_eq!(ask("GET /health", "", ""), 200);
    let all: u64 = Failure::ALL.iter().map(|failure| failures(*failure)).sum();
    assert_eq!(all, 10);
}
