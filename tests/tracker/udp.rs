//! UDP (BEP 15) over real sockets, beside HTTP on the same swarms. What a single datagram gives is tested where it is decided,
//! in `udp::handler`.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::channel;

use retracker::clock::{Clock, Seconds, Wall};
use retracker::metrics::Failure;
use retracker::net::limits::Limits;
use retracker::net::{AddressRange, Networks};
use retracker::tracker::{AccessLists, Block, BlocklistFile, InfoHash, Target};
use retracker::udp;
use retracker::udp::Running;

use crate::harness::{self, HASH_BYTES, PATIENCE, Server, peers};

/// Both protocols on one core.
pub(crate) struct Both {
    pub(crate) http: Server,
    pub(crate) udp: Running,
    v4: SocketAddr,
    v6: SocketAddr,
}

fn start() -> Both {
    Both::limited(&Arc::default())
}

fn start_beside(http: Server, limits: &Arc<Limits>) -> Both {
    let settings = udp::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        workers: 2,
        ..udp::Settings::default()
    };
    let mut bound = udp::bind(&settings, Vec::new()).unwrap();
    bound.limit(Arc::clone(limits));
    let (v4, v6) = (bound.addresses()[0], bound.addresses()[1]);
    // The threads report their ends to nobody: they end when they are told to.
    let udp = bound
        .start(
            &http.core,
            Clock::start(),
            harness::HTTP_WORKERS,
            &channel().0,
        )
        .unwrap();
    Both { http, udp, v4, v6 }
}

impl Both {
    /// Refuses who asks for too much.
    pub(crate) fn limited(limits: &Arc<Limits>) -> Both {
        start_beside(harness::start_limited(|_| {}, limits), limits)
    }

    pub(crate) fn client(&self, ip: &str) -> Client {
        let ip: IpAddr = ip.parse().unwrap();
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket
            .connect(if ip.is_ipv4() { self.v4 } else { self.v6 })
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client {
            socket,
            id: CONNECT,
        };
        let connected = client.ask(0, &[]);
        client.id = u64::from_be_bytes(connected[8..].try_into().unwrap());
        client
    }
}

pub(crate) struct Client {
    socket: UdpSocket,
    id: u64,
}

/// What stands for an id in a connect.
const CONNECT: u64 = 0x0417_2710_1980;
const STARTED: u32 = 2;
const STOPPED: u32 = 3;

impl Client {
    pub(crate) fn send(&self, action: u32, body: &[u8]) {
        let mut packet = self.id.to_be_bytes().to_vec();
        packet.extend(action.to_be_bytes());
        packet.extend(*b"tran");
        packet.extend(body);
        self.socket.send(&packet).unwrap();
    }

    /// The same with an id that was never given out.
    pub(crate) fn send_forged(&self, action: u32, body: &[u8]) {
        let mut packet = (!self.id).to_be_bytes().to_vec();
        packet.extend(action.to_be_bytes());
        packet.extend(*b"tran");
        packet.extend(body);
        self.socket.send(&packet).unwrap();
    }

    fn receive(&self) -> Vec<u8> {
        let mut reply = [0; 4_096];
        let length = self.socket.recv(&mut reply).unwrap();
        assert_eq!(reply[4..8], *b"tran");
        reply[..length].to_vec()
    }

    fn ask(&self, action: u32, body: &[u8]) -> Vec<u8> {
        self.send(action, body);
        self.receive()
    }

    /// Announces [`HASH_BYTES`]: its reply, from the interval on.
    pub(crate) fn announce(&self, port: u16, left: u64, event: u32) -> Vec<u8> {
        let reply = self.try_announce(port, left, event);
        assert_eq!(reply[..4], 1_u32.to_be_bytes(), "{}", reply.escape_ascii());
        reply[8..].to_vec()
    }

    /// The same: its whole reply, whatever it is.
    fn try_announce(&self, port: u16, left: u64, event: u32) -> Vec<u8> {
        self.ask(1, &Client::announce_body(port, left, event))
    }

    /// What an announce has behind its head.
    pub(crate) fn announce_body(port: u16, left: u64, event: u32) -> Vec<u8> {
        let mut body = HASH_BYTES.to_vec();
        body.extend(format!("-XX0001-0000000{port:05}").bytes());
        body.extend([0; 8]);
        body.extend(left.to_be_bytes());
        body.extend([0; 8]);
        body.extend(event.to_be_bytes());
        body.extend([0; 8]);
        body.extend((-1_i32).to_be_bytes());
        body.extend(port.to_be_bytes());
        body
    }

    /// Scrapes the hash of most tests so many times in one datagram.
    fn scrape(&self, times: usize) -> Vec<u8> {
        self.ask(2, &HASH_BYTES.repeat(times))
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    numbers
        .iter()
        .map(|number| u32::from_be_bytes(*number))
        .collect()
}

/// P13, P15: the same swarm over HTTP and UDP
#[test]
fn peers_of_either_protocol_find_each_other() {
    let both = start();
    both.http
        .announce("127.0.0.2", 1_002, "&event=started&left=0");
    let udp = both.client("127.0.0.3");
    let reply = udp.announce(1_003, 5, STARTED);
    assert_eq!(numbers(&reply[4..12]), [1, 1]);
    assert_eq!(reply[12..], [127, 0, 0, 2, 3, 234]);
    let seen = both.http.announce("127.0.0.4", 1_004, "");
    assert_eq!(seen.peers(), peers(["127.0.0.2:1002", "127.0.0.3:1003"]));
    assert_eq!(numbers(&udp.scrape(1)[8..]), [1, 0, 2]);
    assert_eq!(udp.announce(1_003, 0, STOPPED).len(), 12);
    assert_eq!(
        both.http.announce("127.0.0.4", 1_004, "").peers(),
        peers(["127.0.0.2:1002"])
    );
    both.udp.stop();
}

/// P13: a reply over UDP has room for one family, but counts both
#[test]
fn v6_clients_are_told_of_v6_peers_and_counted_with_all() {
    let both = start();
    both.http.announce("127.0.0.2", 1_002, "");
    both.http.announce("::1", 1_006, "");
    let reply = both.client("::1").announce(1_007, 0, STARTED);
    assert_eq!(numbers(&reply[4..12]), [2, 1]);
    let mut peer = [0; 18];
    peer[15..].copy_from_slice(&[1, 3, 238]);
    assert_eq!(reply[12..], peer);
    both.udp.stop();
}

/// P8, P15
#[test]
fn scrapes_of_1_and_74_hashes_are_answered_and_75_are_refused() {
    let both = start();
    let client = both.client("127.0.0.1");
    client.announce(1_001, 0, STARTED);
    for count in [1, 74] {
        let reply = client.scrape(count);
        assert_eq!(numbers(&reply[8..]), [1, 0, 0].repeat(count));
    }
    assert_eq!(client.scrape(75), b"\0\0\0\x03trantoo many info hashes");
    both.udp.stop();
}

/// R12, W4
#[test]
fn a_blocked_address_reads_why_and_is_handed_to_nobody() {
    let both = start();
    let blocked = both.client("127.0.0.5");
    let other = both.client("127.0.0.6");
    blocked.announce(1_005, 5, STARTED);
    assert_eq!(
        other.announce(1_006, 5, STARTED)[12..],
        [127, 0, 0, 5, 3, 237]
    );
    let block = Block {
        number: 1,
        target: Target::Network("127.0.0.5/32".parse().unwrap()),
        reason: String::new(),
        created: Wall(0),
        expires: None,
    };
    both.http.core.block(vec![block], Wall(1), Seconds::START);
    assert_eq!(blocked.scrape(1), b"\0\0\0\x03tranaddress blocked");
    other.announce(1_006, 5, STOPPED);
    assert_eq!(other.announce(1_006, 5, STARTED).len(), 12);
    both.udp.stop();
}

/// O21, O22: over UDP too, once a source has proved itself; before, it learns nothing.
#[test]
fn whom_and_what_lists_refuse_reads_why() {
    let both = start();
    let (client, other) = (both.client("127.0.0.5"), both.client("127.1.0.6"));
    client.announce(1_005, 5, STARTED);
    let change = |change: &dyn Fn(&AccessLists)| {
        both.http.core.change_access(change, Seconds::START);
    };
    let served: Networks = ["127.1.0.0/16".parse().unwrap()].into_iter().collect();
    change(&|access| access.serve(served.clone()));
    let refused = b"\0\0\0\x03tranaddress outside the networks that are served";
    assert_eq!(client.try_announce(1_005, 5, STARTED), refused);
    assert_eq!(client.scrape(1), refused);
    assert_eq!(other.announce(1_006, 5, STARTED).len(), 12);
    change(&|access| access.serve(Networks::default()));
    change(&|access| access.list_torrents(|listed| listed.is_closed = true));
    let refused = b"\0\0\0\x03trantorrent not registered with this tracker";
    assert_eq!(client.try_announce(1_005, 5, STARTED), refused);
    assert_eq!(numbers(&client.scrape(1)[8..]), [0, 0, 0]);
    change(&|access| access.list_torrents(|listed| listed.is_closed = false));
    assert_eq!(numbers(&client.scrape(1)[8..]), [0, 0, 2]);
    let range = AddressRange::new([127, 0, 0, 4].into(), [127, 0, 0, 6].into());
    let file = Arc::new(BlocklistFile {
        addresses: range.into_iter().collect(),
        ..BlocklistFile::default()
    });
    change(&|access| access.block_by_files([Arc::clone(&file)]));
    let refused = b"\0\0\0\x03tranaddress blocked";
    assert_eq!(client.try_announce(1_005, 5, STARTED), refused);
    assert_eq!(other.announce(1_006, 5, STARTED).len(), 12);
    both.udp.stop();
}

/// R5: 20,000 datagrams of every kind, from those who proved themselves and those who did not
#[test]
fn garbage_hurts_nobody_and_is_never_answered_at_length() {
    let both = start();
    let mut rng = fastrand::Rng::with_seed(11);
    let good = both.client("127.0.0.1");
    let socket = UdpSocket::bind("127.0.0.9:0").unwrap();
    socket.connect(both.v4).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut sent, mut received) = (0, 0);
    // Waits for the worker that has this socket's datagrams, which may be another than `good` asks, by the reply to a connect.
    let mut catch_up = |socket: &UdpSocket| {
        let mut connect = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
        connect.extend([0, 0, 0, 0, 0xfe, 0xed, 0xbe, 0xef]);
        socket.send(&connect).unwrap();
        let mut reply = [0; 4_096];
        loop {
            let length = socket.recv(&mut reply).unwrap();
            received += length;
            if reply[4..8] == connect[12..16] {
                return connect.len();
            }
        }
    };
    for round in 0..20_000_u32 {
        let mut packet: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
        if packet.len() >= 16 {
            // Another client's id, a tracker's number, or any.
            let ids = [good.id, 0x0417_2710_1980, rng.u64(..)];
            let id = ids[rng.usize(0..3)];
            packet[..8].copy_from_slice(&id.to_be_bytes());
            packet[8..12].copy_from_slice(&rng.u32(0..5).to_be_bytes());
        }
        sent += packet.len();
        socket.send(&packet).unwrap();
        if round % 100 == 0 {
            // So that the socket's buffer never overflows.
            sent += catch_up(&socket);
            assert_eq!(good.scrape(1).len(), 20);
        }
    }
    sent += catch_up(&socket);
    assert!(received > 0 && received <= sent, "{received} of {sent}");
    assert!(both.http.failures(Failure::ConnectionId) > 15_000);
    assert!(both.http.failures(Failure::Malformed) > 1_400);
    assert!(both.http.core.changed().is_empty());
    assert_eq!(good.announce(1_001, 0, STARTED).len(), 12);
    both.udp.stop();
}

/// R5, P15: an id belongs to the address, whatever the port
#[test]
fn an_id_serves_its_address_from_any_port_and_no_other_address() {
    let both = start();
    let owner = both.client("127.0.0.1");
    let mut moved = both.client("127.0.0.1");
    let mut thief = both.client("127.0.0.2");
    moved.id = owner.id;
    thief.id = owner.id;
    moved.announce(1_001, 5, STARTED);
    assert_eq!(thief.scrape(1), b"\0\0\0\x03tranConnection ID missmatch.\0");
    let hash = InfoHash(HASH_BYTES);
    let now = Clock::start().now();
    assert_eq!(both.http.core.scrape(&hash, now).incomplete, 1);
    both.udp.stop();
}
