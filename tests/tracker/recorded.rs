//! Announces and scrapes that real clients sent (tests/fixtures/announces), replayed byte for byte: each gets a right answer.
//!
//! In every swarm there is one leecher already, so that the counts and the peers of each answer are known.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;

use retracker::clock::Clock;
use retracker::{supervise, udp};

use crate::harness::{HTTP_WORKERS, PATIENCE, Server, connect, peers, start};

const OTHER: &str = "127.0.0.9";
const OTHER_PORT: u16 = 9999;

/// P2, P3, P6, P7, P9, P10
#[test]
fn announces_of_real_clients_over_http_are_answered() {
    for recorded in recorded("announce-", "http") {
        let server = start();
        let text = String::from_utf8(recorded.bytes.clone()).unwrap();
        let query = text.split(['?', ' ']).nth(2).unwrap();
        let info_hash = query
            .split('&')
            .find_map(|part| part.strip_prefix("info_hash="))
            .unwrap();
        join_as_other(&server, &unescaped(info_hash));

        let mut client = connect(recorded.source(), recorded.of(server.v4(), server.v6()));
        client.send(&recorded.bytes);
        let reply = client.reply();
        let counts = ["complete", "incomplete", "downloaded"].map(|key| reply.number(key));
        assert_eq!(counts, recorded.counts_after(), "{}", recorded.name);
        assert_eq!(reply.peers(), recorded.peers_after(), "{}", recorded.name);
        let (interval, least) = (reply.number("interval"), reply.number("min interval"));
        assert!(
            (1620..=1980).contains(&interval),
            "{}: {interval}",
            recorded.name
        );
        assert!(0 < least && least <= interval, "{}: {least}", recorded.name);
        if text.contains("Connection: close\r\n") {
            assert!(client.is_closed(), "{}", recorded.name);
        } else {
            client.send(&recorded.bytes);
            assert_eq!(
                client.reply().status,
                200,
                "{}: not kept open",
                recorded.name
            );
        }
    }
}

/// P8
#[test]
fn scrapes_of_real_clients_over_http_are_answered() {
    for recorded in recorded("scrape-", "http") {
        let server = start();
        let text = String::from_utf8(recorded.bytes.clone()).unwrap();
        let info_hash = unescaped(text.split(['=', ' ']).nth(2).unwrap());
        join_as_other(&server, &info_hash);

        let mut client = connect(recorded.source(), recorded.of(server.v4(), server.v6()));
        client.send(&recorded.bytes);
        let reply = client.reply().value();
        let file = &reply["files"].as_dict().unwrap()[info_hash.as_slice()];
        let counts = ["complete", "incomplete"].map(|key| file[key].as_u64().unwrap());
        assert_eq!(counts, [0, 1], "{}", recorded.name);
    }
}

/// P15, P9, P10
#[test]
fn datagrams_of_real_clients_are_answered() {
    let connects = recorded("connect-", "udp");
    // At once, because a UDP worker takes a quarter of a second to stop.
    std::thread::scope(|replays| {
        for asked in recorded("", "udp") {
            let is_its_own = |connect: &&Recorded| {
                connect.client == asked.client && connect.is_v6 == asked.is_v6
            };
            let connect = connects.iter().find(is_its_own).unwrap();
            if asked.name != connect.name {
                replays.spawn(move || {
                    let server = start();
                    join_as_other(&server, &asked.bytes[16..36]);
                    replay(&server, connect, &asked);
                });
            }
        }
    });
}

/// Connects as the client did, then sends what it sent with the connection id that it was given.
fn replay(server: &Server, connect: &Recorded, asked: &Recorded) {
    let settings = udp::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        workers: 1,
        ..udp::Settings::default()
    };
    let bound = udp::bind(&settings, Vec::new()).unwrap();
    let tracker = asked.of(bound.addresses()[0], bound.addresses()[1]);
    let (ends, _ends) = channel::<supervise::Exit>();
    let running = bound
        .start(
            &Arc::clone(&server.core),
            Clock::start(),
            HTTP_WORKERS,
            &ends,
        )
        .unwrap();
    let client = UdpSocket::bind((asked.source(), 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(tracker).unwrap();

    let connected = exchange(&client, &connect.bytes);
    assert_eq!(connected[..4], [0; 4], "{}", connect.name);
    assert_eq!(connected[4..8], connect.bytes[12..16], "{}", connect.name);
    let mut datagram = asked.bytes.clone();
    datagram[..8].copy_from_slice(&connected[8..16]);
    let reply = exchange(&client, &datagram);
    assert_eq!(
        reply[..8],
        datagram[8..16],
        "{}: action and transaction",
        asked.name
    );
    let number = |at: usize| u64::from(u32::from_be_bytes(reply[at..at + 4].try_into().unwrap()));
    if asked.name.contains("scrape-") {
        assert_eq!([8, 12, 16].map(number), [0, 0, 1], "{}", asked.name);
    } else {
        let [complete, incomplete, _] = asked.counts_after();
        assert_eq!(
            [12, 16].map(number),
            [incomplete, complete],
            "{}",
            asked.name
        );
        // Over UDP a client hears of its own family only.
        let others = if asked.is_v6 {
            Vec::new()
        } else {
            asked.peers_after()
        };
        let v4 = |peer: &[u8]| {
            let ip: [u8; 4] = peer[..4].try_into().unwrap();
            SocketAddr::from((ip, u16::from_be_bytes([peer[4], peer[5]])))
        };
        assert_eq!(
            reply[20..].chunks(6).map(v4).collect::<Vec<_>>(),
            others,
            "{}",
            asked.name
        );
    }
    running.stop();
}

fn exchange(client: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    client.send(datagram).unwrap();
    let mut reply = [0; 2048];
    let length = client.recv(&mut reply).unwrap();
    reply[..length].to_vec()
}

/// One recorded request.
struct Recorded {
    client: String,
    /// Folder and file, which tell what the client meant.
    name: String,
    is_v6: bool,
    bytes: Vec<u8>,
}

impl Recorded {
    fn source(&self) -> IpAddr {
        if self.is_v6 { "::1" } else { "127.0.0.1" }
            .parse()
            .unwrap()
    }

    fn of<T>(&self, v4: T, v6: T) -> T {
        if self.is_v6 { v6 } else { v4 }
    }

    fn is(&self, what: &str) -> bool {
        self.name.contains(&format!("announce-{what}-v"))
    }

    /// complete, incomplete and downloaded in a swarm that has one leecher besides.
    fn counts_after(&self) -> [u64; 3] {
        match () {
            () if self.is("started") => [0, 2, 0],
            // The regular ones were recorded from clients that had the whole file by then.
            () if self.is("started-seeding") || self.is("regular") => [1, 1, 0],
            () if self.is("completed") => [1, 1, 1],
            () if self.is("stopped") => [0, 1, 0],
            () => panic!("{}: what does it mean?", self.name),
        }
    }

    fn peers_after(&self) -> Vec<SocketAddr> {
        if self.is("stopped") {
            Vec::new()
        } else {
            peers(["127.0.0.9:9999"])
        }
    }
}

/// All recorded requests whose file names begin and end so.
fn recorded(kind: &str, transport: &str) -> Vec<Recorded> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/announces");
    let clients = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = clients
        .filter(|path| path.is_dir())
        .flat_map(|path| fs::read_dir(path).unwrap());
    let mut found = Vec::new();
    for path in files.map(|entry| entry.unwrap().path()) {
        let file = path.file_name().unwrap().to_str().unwrap();
        if file.starts_with(kind) && file.ends_with(transport) {
            let client = path
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap();
            let bytes = fs::read(&path).unwrap();
            found.push(Recorded {
                client: client.to_owned(),
                name: format!("{client}/{file}"),
                is_v6: file.contains("-v6."),
                bytes: if transport == "udp" {
                    unhexed(&bytes)
                } else {
                    bytes
                },
            });
        }
    }
    assert!(
        found.len() > 1,
        "only {} recordings of {kind} {transport}",
        found.len()
    );
    found
}

/// A leecher in the swarm, announced with every byte of the hash escaped.
fn join_as_other(server: &Server, info_hash: &[u8]) {
    assert_eq!(info_hash.len(), 20);
    let escaped: String = info_hash
        .iter()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let query =
        format!("info_hash={escaped}&peer_id=-XX0001-000000000000&port={OTHER_PORT}&left=1");
    assert_eq!(
        server
            .get_from(OTHER, &format!("/announce?{query}"), "")
            .number("incomplete"),
        1
    );
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte.unwrap()).to_digit(16).unwrap();
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next()) * 16 + digit(rest.next())).unwrap(),
            plain => plain,
        });
    }
    bytes
}

fn unhexed(line: &[u8]) -> Vec<u8> {
    let line = std::str::from_utf8(line).unwrap().trim_end();
    (0..line.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
        .collect()
}
