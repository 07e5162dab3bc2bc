//! A tracker on free ports of the loopback, and a client that speaks HTTP to it from any loopback address.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bt_bencode::Value;
use retracker::clock::Clock;
use retracker::http;
use retracker::http::Running;
use retracker::metrics::{Failure, Gauge, Metrics};
use retracker::net::handover;
use retracker::net::limits::Limits;
use retracker::supervise::Exit;
use retracker::tracker;
use retracker::tracker::Tracker;
use socket2::{Domain, Socket, Type};

/// Longest wait for something that must happen; a test that waits so long has failed, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The server's own limits of time where no test is about them: a machine that stands still for a while does not meet them.
const UNHURRIED: Duration = Duration::from_secs(120);

/// A tracker at work.
pub(crate) struct Server {
    pub(crate) core: Arc<Tracker>,
    pub(crate) running: Running,
    pub(crate) ends: Receiver<Exit>,
}

/// Settings for a test: both loopbacks, free ports, two workers.
pub(crate) fn settings() -> http::Settings {
    http::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        workers: HTTP_WORKERS,
        request_timeout: UNHURRIED,
        idle_timeout: UNHURRIED,
        write_timeout: UNHURRIED,
        ..http::Settings::default()
    }
}

/// Starts a tracker with default settings.
pub(crate) fn start() -> Server {
    start_with(|_| {})
}

/// Starts a tracker with some settings changed.
pub(crate) fn start_with(change: impl FnOnce(&mut http::Settings)) -> Server {
    let mut settings = settings();
    change(&mut settings);
    start_all(&settings, unbounded(), None)
}

/// Whose counters come first.
pub(crate) const HTTP_WORKERS: usize = 2;
/// What a test may start beside: two threads for each family.
pub(crate) const UDP_WORKERS: usize = 4;

/// Starts a tracker that refuses who asks for too much.
pub(crate) fn start_limited(
    change: impl FnOnce(&mut http::Settings),
    limits: &Arc<Limits>,
) -> Server {
    let mut settings = settings();
    change(&mut settings);
    start_whole(&settings, unbounded(), None, Arc::clone(limits))
}

/// The same with pages.
pub(crate) fn start_pages_limited(pages: handover::Sender, limits: &Arc<Limits>) -> Server {
    start_whole(&settings(), unbounded(), Some(pages), Arc::clone(limits))
}

/// Starts a tracker that refuses who asks for too much, and tells how the process is.
pub(crate) fn start_reporting(reports: http::ProbeResponder, limits: &Arc<Limits>) -> Server {
    let settings = settings();
    let bound = http::bind(&settings, Vec::new()).unwrap();
    let bound = bound.reporting(reports);
    start_bound(bound, unbounded(), None, Arc::clone(limits))
}

/// All clients of a test may share one address.
fn unbounded() -> tracker::Settings {
    tracker::Settings {
        max_ports_per_address: 0,
        ..tracker::Settings::default()
    }
}

/// Starts a tracker with everything given but limits.
pub(crate) fn start_all(
    settings: &http::Settings,
    core: tracker::Settings,
    pages: Option<handover::Sender>,
) -> Server {
    start_whole(settings, core, pages, Arc::default())
}

fn start_whole(
    settings: &http::Settings,
    core: tracker::Settings,
    pages: Option<handover::Sender>,
    limits: Arc<Limits>,
) -> Server {
    let bound = http::bind(settings, Vec::new()).unwrap();
    start_bound(bound, core, pages, limits)
}

fn start_bound(
    bound: http::Bound,
    core: tracker::Settings,
    pages: Option<handover::Sender>,
    limits: Arc<Limits>,
) -> Server {
    let metrics = Arc::new(Metrics::new(HTTP_WORKERS + UDP_WORKERS));
    let core = Arc::new(Tracker::new(core, metrics));
    let (ends_sender, ends) = channel();
    let bound = bound.limited(limits);
    let running = bound
        .start(&core, Clock::start(), pages, &ends_sender)
        .unwrap();
    Server {
        core,
        running,
        ends,
    }
}

/// Waits for a connection that is handed over. Its place among the pages is free at once.
pub(crate) fn receive(connections: &mut handover::Receiver) -> Option<handover::Handover> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let received = runtime.unwrap().block_on(connections.receive());
    received.map(|(handover, _)| handover)
}

impl Server {
    /// Where it listens on v4.
    pub(crate) fn v4(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    /// Where it listens on v6.
    pub(crate) fn v6(&self) -> SocketAddr {
        self.running.addresses()[1]
    }

    /// Connects from 127.0.0.1.
    pub(crate) fn connect(&self) -> Client {
        self.connect_from("127.0.0.1")
    }

    /// Connects from an address of the loopback, over its family.
    pub(crate) fn connect_from(&self, ip: &str) -> Client {
        let ip: IpAddr = ip.parse().unwrap();
        let server = if ip.is_ipv4() { self.v4() } else { self.v6() };
        connect(ip, server)
    }

    /// Gets a path on a connection of its own, from 127.0.0.1.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.get_from("127.0.0.1", path, "")
    }

    /// Gets a path from an address, with some header lines (each ended by CR LF), under a name of the tracker unless one of them
    /// names another.
    pub(crate) fn get_from(&self, ip: &str, path: &str, fields: &str) -> Reply {
        let mut client = self.connect_from(ip);
        let host = if fields.contains("Host:") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        client.send(format!(
            "GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{fields}\r\n"
        ));
        let reply = client.reply();
        assert!(client.is_closed());
        reply
    }

    /// Announces as a peer: address, port, further parameters.
    pub(crate) fn announce(&self, ip: &str, port: u16, more: &str) -> Reply {
        self.get_from(ip, &announce(port, more), "")
    }

    /// How often something has failed so far.
    pub(crate) fn failures(&self, failure: Failure) -> u64 {
        self.core.metrics().totals().failures(failure)
    }

    /// Waits until something has failed so often.
    pub(crate) fn await_failures(&self, failure: Failure, count: u64) {
        await_that(
            || self.failures(failure) >= count,
            &format!("{failure:?} {count} times"),
        );
    }

    /// Waits until so many connections are held.
    pub(crate) fn await_connections(&self, count: u64) {
        let held = || self.core.metrics().gauge(Gauge::Connections) == count;
        await_that(held, &format!("{count} connections"));
    }
}

fn await_that(holds: impl Fn() -> bool, what: &str) {
    let step = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(step);
    }
    panic!("not within {PATIENCE:?}: {what}");
}

/// The hash of most tests, encoded.
pub(crate) const HASH: &str = "%12%34%56%78%9a%bc%de%f1%23%45%67%89%ab%cd%ef%12%34%56%78%9a";

/// The same hash.
pub(crate) const HASH_BYTES: [u8; 20] = [
    0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x12,
    0x34, 0x56, 0x78, 0x9a,
];

/// Path and query of an announce of [`HASH`] as a leecher of that port; its peer id ends in the port.
pub(crate) fn announce(port: u16, more: &str) -> String {
    let left = if more.contains("left=") {
        ""
    } else {
        "&left=1000"
    };
    format!("/announce?info_hash={HASH}&peer_id=-XX0001-0000000{port:05}&port={port}{left}{more}")
}

/// Connects from a loopback address.
pub(crate) fn connect(ip: IpAddr, server: SocketAddr) -> Client {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Client {
        stream,
        received: Vec::new(),
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes; the server may have closed by now.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Gets a path and keeps the connection.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.reply()
    }

    /// Reads one reply with a body.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        let length: usize = reply.field("content-length").unwrap().parse().unwrap();
        while self.received.len() < length {
            assert!(self.receive() > 0, "closed inside a body");
        }
        reply.body = self.received.drain(..length).collect();
        reply
    }

    /// Reads the head of a reply.
    pub(crate) fn head(&mut self) -> Reply {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return Reply::read(std::str::from_utf8(&head).unwrap());
            }
            assert!(self.receive() > 0, "closed before a reply");
        }
    }

    /// Waits for a reply or the end; whether it is a reply.
    pub(crate) fn answers(&mut self) -> bool {
        self.received.is_empty() && self.receive() > 0 && self.reply().status == 200
    }

    /// Waits for the end of the connection; whether nothing came before it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.receive() == 0
    }

    fn receive(&mut self) -> usize {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(read) => {
                self.received.extend_from_slice(&bytes[..read]);
                read
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// One reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    fields: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn read(head: &str) -> Reply {
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        Reply {
            status: status[..3].parse().unwrap(),
            fields: fields
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// A header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as text, whatever is in it.
    pub(crate) fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, decoded; canonical bencode under status 200 and the right type, or the test fails.
    pub(crate) fn value(&self) -> Value {
        assert_eq!(
            (self.status, self.field("content-type")),
            (200, Some("text/plain"))
        );
        let value: Value = bt_bencode::from_slice(&self.body).unwrap();
        assert_eq!(bt_bencode::to_vec(&value).unwrap(), self.body);
        value
    }

    /// A number of the reply.
    pub(crate) fn number(&self, key: &str) -> u64 {
        self.value()[key].as_u64().unwrap()
    }

    /// The failure reason; the test fails when there is none.
    pub(crate) fn failure(&self) -> String {
        let value = self.value();
        assert!(value.get("min interval").is_some() && value.get("peers").is_none());
        value["failure reason"].as_str().unwrap().to_owned()
    }

    /// The compact peers, both families, sorted.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        let value = self.value();
        let mut peers: Vec<SocketAddr> = Vec::new();
        let (v4, rest) = value["peers"].as_byte_str().unwrap().as_chunks::<6>();
        assert!(rest.is_empty());
        for [a, b, c, d, high, low] in v4 {
            peers.push(
                (
                    Ipv4Addr::new(*a, *b, *c, *d),
                    u16::from_be_bytes([*high, *low]),
                )
                    .into(),
            );
        }
        if let Some(v6) = value.get("peers6") {
            let (v6, rest) = v6.as_byte_str().unwrap().as_chunks::<18>();
            assert!(rest.is_empty());
            for peer in v6 {
                let ip: [u8; 16] = peer[..16].try_into().unwrap();
                peers.push((ip, u16::from_be_bytes([peer[16], peer[17]])).into());
            }
        }
        peers.sort_unstable();
        peers
    }
}

/// Peers as [`Reply::peers`] gives them.
pub(crate) fn peers<const N: usize>(texts: [&str; N]) -> Vec<SocketAddr> {
    let mut peers: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
    peers.sort_unstable();
    peers
}
