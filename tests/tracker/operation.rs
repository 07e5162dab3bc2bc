//! What operators do to a running tracker: sweep, look, reload, stop, hand sockets in.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use retracker::clock::{Clock, Seconds};
use retracker::http;
use retracker::metrics::Metrics;
use retracker::net::client_address::Mode;
use retracker::net::handover;
use retracker::supervise::Exit;
use retracker::tracker::{InfoHash, PeerId, Settings, StoredPeer, StoredSwarm, Tracker};

use crate::harness::{
    self, HASH, Server, announce, connect, settings, start, start_all, start_with,
};

fn dead_swarm() -> StoredSwarm {
    StoredSwarm {
        downloaded_elsewhere: Vec::new(),
        info_hash: InfoHash([1; 20]),
        downloaded: 0,
        last_used: Seconds::START,
        peers: vec![StoredPeer {
            origin: None,
            ip: "192.0.2.1".parse().unwrap(),
            inner_ip: None,
            port: 1,
            id: PeerId([0; 20]),
            is_seeder: true,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: Seconds::START,
        }],
    }
}

/// C5
#[test]
fn the_sweep_key_works_for_admins_and_means_nothing_to_others() {
    let server = start_with(|settings| {
        settings.run_gc_key = "gc".into();
        settings.address_rules.admin_networks =
            ["127.0.0.1/32".parse().unwrap()].into_iter().collect();
    });
    for path in ["/announce?gc", "/announce?gc=1", "/announce?x=1&gc"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.text()), (200, "OK"), "{path}");
    }
    assert_eq!(
        server.get_from("127.0.0.2", "/announce?gc", "").failure(),
        "missing info_hash"
    );
    assert_eq!(
        server
            .announce("127.0.0.2", 1, "&gc=1")
            .number("incomplete"),
        1
    );
    assert_eq!(start().get("/announce?gc").failure(), "missing info_hash");
    let foreign = server.get_from("127.0.0.1", "/announce?gc", "Host: evil.example\r\n");
    assert_eq!(foreign.failure(), "missing info_hash");
}

/// O4, W3: a page of another site, and one that had its own name lead here, is told no more than a stranger.
#[test]
fn pages_in_an_admin_s_browser_are_told_nothing_of_the_tracker() {
    let reports: http::ProbeResponder = Arc::new(|_, is_admin| http::ProbeReply {
        is_good: true,
        body: format!("admin: {is_admin}"),
    });
    let server = reporting(Some(reports));
    let told = |path: &str, fields: &str| {
        let reply = server.get_from("127.0.0.1", path, fields);
        let text = reply.text();
        text.contains("admin: true") || text.contains("remote_addr")
    };
    for path in ["/health", "/ready", "/status"] {
        for own in ["", "Host: [::1]:80\r\n", "Sec-Fetch-Site: none\r\n"] {
            assert!(told(path, own), "{path} {own}");
        }
        for foreign in [
            "Host: evil.example\r\n",
            "Host: 127.0.0.1.evil.example:80\r\n",
            "Host: localhost\r\nHost: localhost\r\n",
            "Host:\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
        ] {
            assert!(!told(path, foreign), "{path} {foreign}");
        }
        assert!(!told(&format!("http://evil.example{path}"), ""), "{path}");
    }
}

/// C5
#[test]
fn the_sweep_key_frees_the_dead() {
    let server = start_all(
        &http::Settings {
            run_gc_key: "gc".into(),
            ..settings()
        },
        Settings::default(),
        None,
    );
    server.core.restore(dead_swarm(), Seconds::START);
    assert_eq!(server.get("/announce?gc").text(), "OK");
}

/// C6
#[test]
fn status_shows_admins_what_the_tracker_sees() {
    let admins = |settings: &mut http::Settings| {
        let admins = ["127.0.0.1/32", "192.0.2.1/32"].map(|text| text.parse().unwrap());
        settings.address_rules.admin_networks = admins.into_iter().collect();
    };
    let server = start_with(admins);
    assert_eq!(
        server.get("/status").text(),
        "OK\nremote_addr: 127.0.0.1\nx_real_ip: -\nx_forwarded_for: -\ndetermined_ip: 127.0.0.1\n"
    );
    let behind = start_with(|settings| {
        admins(settings);
        settings.address_rules.mode = Mode::Proxy;
    });
    let fields = "X-Real-IP: 192.0.2.9\r\nX-Forwarded-For: a, 192.0.2.1\r\n";
    assert_eq!(
        behind.get_from("127.0.0.1", "/status", fields).text(),
        "OK\nremote_addr: 127.0.0.1\nx_real_ip: 192.0.2.9\nx_forwarded_for: a, 192.0.2.1\ndetermined_ip: 192.0.2.1\n"
    );
    let closed =
        start_with(|settings| settings.address_rules.admin_networks = std::iter::empty().collect());
    assert_eq!(closed.get("/status").text(), "OK\n");
}

/// Tells how the process is, if anybody knows; has pages that close whatever is handed over.
fn reporting(reports: Option<http::ProbeResponder>) -> Server {
    let core = Arc::new(Tracker::new(Settings::default(), Arc::new(Metrics::new(2))));
    let (ends_sender, ends) = channel();
    let mut bound = http::bind(&settings(), Vec::new()).unwrap();
    if let Some(reports) = reports {
        bound = bound.reporting(reports);
    }
    let limits = retracker::web::Settings::default().handover_limits();
    let (pages, mut connections) = handover::channel(limits);
    std::thread::spawn(move || while harness::receive(&mut connections).is_some() {});
    let running = bound.start(&core, Clock::start(), Some(pages), &ends_sender);
    Server {
        core,
        running: running.unwrap(),
        ends,
    }
}

/// O5, R30: whoever watches the tracker is answered without a place among the pages.
#[test]
fn health_is_told_by_the_lean_loop_itself() {
    let reports: http::ProbeResponder = Arc::new(|question, is_admin| http::ProbeReply {
        is_good: question == http::Probe::Health,
        body: format!("{{\"admin\":{is_admin}}}"),
    });
    let server = reporting(Some(reports));
    let mut client = server.connect();
    for (path, status) in [("/health", 200), ("/ready", 503), ("/%68ealth?x", 200)] {
        let reply = client.get(path);
        assert_eq!((reply.status, reply.text()), (status, "{\"admin\":true}"));
        assert_eq!(reply.field("content-type"), Some("application/json"));
        assert_eq!(reply.field("cache-control"), Some("no-store"));
    }
    client.send("HEAD /health HTTP/1.1\r\nX-Real-IP: 192.0.2.1\r\n\r\n");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("15"))
    );
    let forwarded = server.get_from("127.0.0.1", "/health", "X-Real-IP: 127.0.0.1\r\n");
    assert_eq!(forwarded.text(), "{\"admin\":false}");
    // Anything else about it is a page's business.
    for request in [
        "POST /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
        "GET /healthy HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert!(client.is_closed(), "{request}");
    }
    let nobody_knows = reporting(None);
    let mut client = nobody_knows.connect();
    client.send("GET /health HTTP/1.1\r\n\r\n");
    assert!(client.is_closed());
}

/// O2
#[test]
fn settings_are_replaced_while_connections_stay() {
    let server = start();
    let mut client = server.connect();
    assert!(
        client
            .get(&announce(1, ""))
            .value()
            .get("external ip")
            .is_none()
    );
    server.running.configure(http::Settings {
        external_ip: true,
        max_request_bytes: 2_000,
        ..settings()
    });
    assert!(
        client
            .get(&announce(1, ""))
            .value()
            .get("external ip")
            .is_some()
    );
    client.send(format!(
        "GET {}&pad={} HTTP/1.1\r\n\r\n",
        announce(1, ""),
        "x".repeat(3_000)
    ));
    assert!([414, 431].contains(&client.reply().status));
}

/// O2
#[test]
fn a_stop_lets_requests_under_way_finish_and_closes_the_idle() {
    let server = start();
    // So many that each of the two workers has some: when all are closed, both have heard of the stop.
    let mut idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.get(&announce(1, "")).status, 200);
    }
    let mut busy = server.connect();
    let request = format!("GET {} HTTP/1.1\r\n\r\n", announce(2, ""));
    let (start, end) = request.split_at(50);
    busy.send(start);
    // The server has the first part when it has answered a later request of the same worker; both workers are asked.
    for _ in 0..50 {
        server.get("/status");
    }
    let (v4, running) = (server.v4(), server.running);
    let stopping = std::thread::spawn(move || running.stop(harness::PATIENCE));
    for client in &mut idle {
        assert!(client.is_closed());
    }
    busy.send(end);
    let reply = busy.reply();
    assert_eq!(
        (reply.number("incomplete"), reply.field("connection")),
        (2, Some("close"))
    );
    assert!(busy.is_closed());
    stopping.join().unwrap();
    assert!(std::net::TcpStream::connect(v4).is_err());
    for _ in 0..2 {
        let Exit { part, fault } = server.ends.recv().unwrap();
        assert!(part.starts_with("http-") && fault.is_none());
    }
}

/// O2
#[test]
fn a_stop_does_not_wait_for_ever() {
    let server = start();
    let mut slow = server.connect();
    slow.send("GET /announce?");
    for _ in 0..50 {
        server.get("/status");
    }
    server.running.stop(Duration::from_millis(100));
    assert!(slow.is_closed());
}

/// O3
#[test]
fn sockets_that_were_handed_in_are_served_by_all_workers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // This one waits in the queue before the tracker runs.
    let mut early = connect("127.0.0.1".parse().unwrap(), address);
    early.send(format!(
        "GET {} HTTP/1.1\r\nConnection: close\r\n\r\n",
        announce(1, "")
    ));
    let core = Arc::new(Tracker::new(Settings::default(), Arc::new(Metrics::new(2))));
    let (ends, _reports) = channel();
    let bound = http::bind(&settings(), vec![listener]).unwrap();
    assert_eq!((bound.addresses(), bound.workers()), (vec![address], 2));
    let running = bound.start(&core, Clock::start(), None, &ends).unwrap();
    assert_eq!(early.reply().number("incomplete"), 1);
    for port in 2..50 {
        let mut client = connect("127.0.0.1".parse().unwrap(), address);
        assert_eq!(
            client.get(&announce(port, "")).number("incomplete"),
            u64::from(port)
        );
    }
    running.stop(Duration::from_secs(1));
}

/// R8
#[test]
fn a_second_tracker_on_the_same_port_does_not_start() {
    let server = start();
    let taken = http::Settings {
        listen: vec![server.v4()],
        ..settings()
    };
    let error = http::bind(&taken, Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&server.v4().to_string()));
}

/// P13
#[test]
fn one_listener_serves_each_configured_address() {
    let server = start_with(|settings| settings.listen.push("127.0.0.5:0".parse().unwrap()));
    let addresses = server.running.addresses();
    assert_eq!(addresses.len(), 3);
    let mut client = connect("127.0.0.6".parse().unwrap(), addresses[2]);
    let reply = client.get(&format!("/scrape?info_hash={HASH}"));
    assert_eq!(reply.status, 200);
}
