//! A tracker that listens with and without TLS on free ports of the loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use retracker::clock::Clock;
use retracker::http;
use retracker::metrics::{Failure, Gauge, Handshake, Metrics, Totals};
use retracker::net::handover;
use retracker::net::limits::Limits;
use retracker::supervise::Exit;
use retracker::tls::{Acceptor, Certificate, Files};
use retracker::tracker;
use retracker::tracker::Tracker;

use super::client::{PATIENCE, pem};

/// The server's own limits of time where no test is about them.
const UNHURRIED: Duration = Duration::from_secs(120);

pub(crate) struct Server {
    pub(crate) core: Arc<Tracker>,
    pub(crate) acceptor: Acceptor,
    pub(crate) plain: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) running: http::Running,
    pub(crate) _ends: Receiver<Exit>,
}

/// One of the certificates of the tests.
pub(crate) fn certificate(name: &str) -> Certificate {
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let (read, read_key) = (pem(&certificate), pem(&key));
    let files = Files {
        certificate: certificate.into(),
        key: key.into(),
    };
    Certificate::read(files, &read, &read_key).unwrap()
}

pub(crate) fn start() -> Server {
    start_with(|_| {})
}

/// Starts a tracker with some settings changed; with the certificates `one` and `two`.
pub(crate) fn start_with(change: impl FnOnce(&mut http::Settings)) -> Server {
    start_all(change, None)
}

/// Starts a tracker that refuses who asks for too much.
pub(crate) fn start_limited(
    change: impl FnOnce(&mut http::Settings),
    limits: Arc<Limits>,
) -> Server {
    start_whole(change, None, limits)
}

pub(crate) fn start_all(
    change: impl FnOnce(&mut http::Settings),
    pages: Option<handover::Sender>,
) -> Server {
    start_whole(change, pages, Arc::default())
}

fn start_whole(
    change: impl FnOnce(&mut http::Settings),
    pages: Option<handover::Sender>,
    limits: Arc<Limits>,
) -> Server {
    let mut settings = http::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 2,
        request_timeout: UNHURRIED,
        idle_timeout: UNHURRIED,
        write_timeout: UNHURRIED,
        tls: http::TlsSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            handshake_timeout: UNHURRIED,
            ..http::TlsSettings::default()
        },
        ..http::Settings::default()
    };
    change(&mut settings);
    let core = tracker::Settings {
        max_ports_per_address: 0,
        ..tracker::Settings::default()
    };
    let core = Arc::new(Tracker::new(core, Arc::new(Metrics::new(2))));
    let acceptor = Acceptor::new(vec![certificate("one"), certificate("two")]).unwrap();
    let (ends, reports) = channel();
    let running = http::bind(&settings, Vec::new())
        .unwrap()
        .limited(limits)
        .with_tls(&settings, Vec::new(), acceptor.clone())
        .unwrap()
        .start(&core, Clock::start(), pages, &ends)
        .unwrap();
    Server {
        plain: running.addresses()[0],
        address: running.tls_addresses()[0],
        core,
        acceptor,
        running,
        _ends: reports,
    }
}

impl Server {
    fn totals(&self) -> Totals {
        self.core.metrics().totals()
    }

    /// How many handshakes have ended so.
    pub(crate) fn handshakes(&self, end: Handshake) -> u64 {
        self.totals().handshakes(end)
    }

    pub(crate) fn failures(&self, failure: Failure) -> u64 {
        self.totals().failures(failure)
    }

    /// Waits until so many handshakes have ended so.
    pub(crate) fn await_handshakes(&self, end: Handshake, count: u64) {
        self.await_that(
            || self.handshakes(end) == count,
            &format!("{count} {end:?}"),
        );
    }

    /// Waits until so many connections over TLS are open.
    pub(crate) fn await_open(&self, count: u64) {
        let open = || self.core.metrics().gauge(Gauge::TlsConnections) == count;
        self.await_that(open, &format!("{count} open"));
    }

    fn await_that(&self, holds: impl Fn() -> bool, what: &str) {
        let step = Duration::from_millis(10);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if holds() {
                return;
            }
            std::thread::sleep(step);
        }
        panic!(
            "not within {PATIENCE:?}: {what}; {:?}",
            self.totals().handshakes
        );
    }
}

/// Path and query of an announce of one torrent as a leecher of that port.
pub(crate) fn announce(port: u16) -> String {
    let hash = "%12%34%56%78%9a%bc%de%f1%23%45%67%89%ab%cd%ef%12%34%56%78%9a";
    format!("/announce?info_hash={hash}&peer_id=-XX0001-0000000{port:05}&port={port}&left=1000")
}
