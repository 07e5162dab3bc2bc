//! All torrents as one scrape, through the HTTP tracker to the pages, and as a file of the API (P22).

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bt_bencode::Value;
use retracker::clock::Wall;
use retracker::metrics::{Action, Failure, Gauge, Transport};
use retracker::net::client_address::ClientAddressRules;
use retracker::tracker::{Block, InfoHash, Target};
use retracker::web::{Scope, Settings};
use socket2::{Domain, Socket, Type};

use crate::harness::{Site, start, start_behind_http};

/// A site behind the HTTP tracker, whose only admin is 127.0.0.1.
fn start_here(change: impl FnOnce(&mut Settings)) -> Site {
    let address_rules = ClientAddressRules {
        admin_networks: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
        ..ClientAddressRules::default()
    };
    start_behind_http(change, address_rules)
}

/// A hash that lies anywhere, by its number.
fn hash(number: u32) -> [u8; 20] {
    let mut hash = [0xa5; 20];
    hash[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    hash[16..].copy_from_slice(&number.to_be_bytes());
    hash
}

/// Fills a site with so many torrents: one seeder each, and in every third a leecher.
fn crowd(site: &Site, torrents: u32) {
    for number in 0..torrents {
        let ip = |last: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 + number / 100 * 2 + last);
        assert!(site.announce(&ip(0).to_string(), hash(number), true));
        if number % 3 == 0 {
            assert!(site.announce(&ip(1).to_string(), hash(number), false));
        }
    }
}

/// What a visitor is sent: its head in lower case, and its body out of its chunks. The body has to be whole.
fn fetch(site: &Site, from: &str, request: &str) -> (String, Vec<u8>) {
    let bytes = crate::harness::exchange(site.address, from, request.as_bytes());
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (head, mut rest) = (head.to_ascii_lowercase(), &bytes[end + 4..]);
    if !head.contains("transfer-encoding: chunked") {
        return (head, rest.to_vec());
    }
    assert!(!head.contains("content-length"), "{head}");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|end| end == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let chunk = &rest[line + 2..];
        body.extend_from_slice(&chunk[..length]);
        assert_eq!(&chunk[length..length + 2], b"\r\n");
        rest = &chunk[length + 2..];
        if length == 0 {
            assert!(rest.is_empty());
            return (head, body);
        }
    }
}

fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// The files of a scrape, which are sorted, as bencode wants it.
fn files(body: &[u8]) -> Vec<(Vec<u8>, [u64; 4])> {
    let value: Value = bt_bencode::from_slice(body).unwrap();
    assert_eq!(bt_bencode::to_vec(&value).unwrap(), body, "canonical");
    let files = value["files"].as_dict().unwrap().iter();
    let keys = ["complete", "downloaded", "downloaders", "incomplete"];
    files
        .map(|(hash, file)| (hash.to_vec(), keys.map(|key| file[key].as_u64().unwrap())))
        .collect()
}

fn failure(body: &[u8]) -> String {
    let value: Value = bt_bencode::from_slice(body).unwrap();
    assert!(value.get("min interval").is_some() && value.get("files").is_none());
    value["failure reason"].as_str().unwrap().to_owned()
}

fn failures(site: &Site) -> u64 {
    let totals = site.tracker.metrics().totals();
    totals.failures(Failure::FullScrape)
}

const DENIED: &str = "a scrape of all torrents is for admins and tokens";

/// P22
#[test]
fn all_torrents_are_told_sorted_and_with_exact_counts() {
    let site = start_here(|_| {});
    assert_eq!(
        fetch(&site, "127.0.0.1", &request("/scrape", "")).1,
        b"d5:filesdee"
    );
    crowd(&site, 3_000);
    let block = Block {
        number: 1,
        target: Target::Torrent(InfoHash(hash(7))),
        reason: "spam".into(),
        created: Wall(1),
        expires: None,
    };
    let (clock, access) = (site.clock, &site.tracker);
    access.block(vec![block], clock.wall(), clock.now());
    let (head, body) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/plain\r\n"), "{head}");
    assert!(!head.contains("content-encoding"), "{head}");
    let mut expected: Vec<(Vec<u8>, [u64; 4])> = (0..3_000)
        .filter(|number| *number != 7)
        .map(|number| {
            let leechers = u64::from(number % 3 == 0);
            (hash(number).to_vec(), [1, 0, leechers, leechers])
        })
        .collect();
    expected.sort();
    assert!(files(&body) == expected);
    // The query may say other things, and nothing.
    for path in ["/scrape?", "/scrape?x=1&compact=1"] {
        assert_eq!(fetch(&site, "127.0.0.1", &request(path, "")).1, body);
    }
    // As programs of before there were chunks have it.
    let old = "GET /scrape HTTP/1.0\r\n\r\n";
    let (head, old) = fetch(&site, "127.0.0.1", old);
    assert!(!head.contains("transfer-encoding") && old == body, "{head}");
    let asked = "HEAD /scrape HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = crate::harness::exchange(site.address, "127.0.0.1", asked.as_bytes());
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n") && head.ends_with(b"\r\n\r\n"));
    let totals = site.tracker.metrics().totals();
    assert_eq!(totals.answered(Transport::Http, Action::Scrape), 6);
    assert_eq!(failures(&site), 0);
}

/// P22
#[test]
fn it_is_packed_for_whoever_asks() {
    let site = start_here(|_| {});
    crowd(&site, 3_000);
    let (_, plain) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    for path in ["/scrape", "/api/v1/full-scrape"] {
        let token = site.token_for(Scope::Read, None);
        let fields = format!("Accept-Encoding: zstd, gzip\r\nAuthorization: Bearer {token}\r\n");
        let (head, packed) = fetch(&site, "127.0.0.2", &request(path, &fields));
        assert!(head.contains("content-encoding: gzip"), "{head}");
        assert!(head.contains("vary: accept-encoding"), "{head}");
        let mut unpacked = Vec::new();
        let mut packed_bytes = flate2::read::GzDecoder::new(&packed[..]);
        packed_bytes.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain && packed.len() < plain.len() / 2);
    }
}

/// P22
#[test]
fn nobody_has_it_but_admins_and_tokens_and_all_others_are_told_as_trackers_tell() {
    let site = start_here(|_| {});
    crowd(&site, 3);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let ended = bearer(&site.token_for(Scope::Admin, Some(Wall(2))));
    let cookies = site.operator().cookies;
    let cookies: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut told = 0;
    for (from, fields) in [
        ("127.0.0.2", String::new()),
        ("127.0.0.2", bearer("nonsense")),
        ("127.0.0.2", ended),
        ("127.0.0.2", "X-Forwarded-For: 127.0.0.1\r\n".into()),
        ("127.0.0.2", format!("Cookie: {}\r\n", cookies.join("; "))),
        ("127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n".into()),
        ("127.0.0.1", "Sec-Fetch-Site: cross-site\r\n".into()),
        ("127.0.0.1", "Origin: http://evil.example\r\n".into()),
    ] {
        let (head, body) = fetch(&site, from, &request("/scrape", &fields));
        assert!(head.starts_with("http/1.1 200 ok"), "{fields}: {head}");
        assert_eq!(failure(&body), DENIED, "{fields}");
        told += 1;
        assert_eq!(failures(&site), told);
    }
    // Under the name of another site, an admin's browser asks for that site.
    let rebound = "GET /scrape HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let (_, body) = fetch(&site, "127.0.0.1", rebound);
    assert_eq!(failure(&body), DENIED);
    for scope in [Scope::Read, Scope::Block, Scope::Admin] {
        let fields = bearer(&site.token_for(scope, None));
        let (_, body) = fetch(&site, "127.0.0.2", &request("/scrape", &fields));
        assert_eq!(files(&body).len(), 3);
    }
}

/// P22, W9
#[test]
fn the_api_has_it_as_a_file_for_tokens_and_users() {
    let site = start_here(|_| {});
    crowd(&site, 30);
    let (_, told) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    let token = site.token_for(Scope::Read, None);
    let fields = format!("Authorization: Bearer {token}\r\n");
    let (head, body) = fetch(&site, "127.0.0.2", &request("/api/v1/full-scrape", &fields));
    assert!(body == told);
    let name = "content-disposition: attachment; filename=\"retracker-scrape.bencode\"";
    assert!(head.contains(name), "{head}");
    assert!(head.contains("content-type: application/octet-stream"));
    // An admin's address alone is no right to the API.
    assert_eq!(site.visitor().get("/api/v1/full-scrape").status, 401);
    assert_eq!(site.operator().get("/api/v1/full-scrape").status, 200);
}

/// A reader that takes nothing of what it asked for, over a window that holds little.
fn stalled(site: &Site, from: &str, request: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address: std::net::SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.connect(&site.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    // It is under way.
    stream.read_exact(&mut [0; 1]).unwrap();
    stream
}

/// More than fits into what the system keeps for a connection.
const MANY: u32 = 80_000;

/// P22: it holds no lock while it is sent, and there is one at a time, which ends with its reader.
#[test]
fn a_reader_that_stalls_hinders_no_announce_and_only_others_like_it() {
    let site = start_here(|_| {});
    crowd(&site, MANY);
    let reader = stalled(&site, "127.0.0.1", &request("/scrape", ""));
    // In every shard.
    for number in 0..19_000 {
        assert!(site.announce("192.0.2.1", hash(number), false));
    }
    assert!(site.announce("192.0.2.2", [1; 20], true));
    let (_, body) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    assert_eq!(
        failure(&body),
        "another scrape of all torrents is under way"
    );
    assert_eq!(failures(&site), 1);
    let token = site.token_for(Scope::Read, None);
    let fields = format!("Authorization: Bearer {token}\r\n");
    let (head, _) = fetch(&site, "127.0.0.2", &request("/api/v1/full-scrape", &fields));
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert_eq!(failures(&site), 2);
    drop(reader);
    let (_, body) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    assert_eq!(files(&body).len(), 80_001);
}

/// P22, R2
#[test]
fn a_reader_that_takes_nothing_for_the_time_of_a_page_is_left() {
    let site = start_here(|settings| settings.connection_limit = Duration::from_millis(500));
    crowd(&site, MANY);
    let metrics = site.tracker.metrics();
    let modern = request("/scrape", "");
    // To whoever knows no chunks only a reset tells that it is not whole.
    for request in [modern.replace("HTTP/1.1", "HTTP/1.0"), modern] {
        let mut reader = stalled(&site, "127.0.0.1", &request);
        while metrics.gauge(Gauge::Connections) > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut rest = Vec::new();
        let end = reader.read_to_end(&mut rest);
        assert!(end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        assert!(!rest.ends_with(b"0\r\n\r\n"));
    }
    let (_, body) = fetch(&site, "127.0.0.1", &request("/scrape", ""));
    assert!(body.starts_with(b"d5:filesd20:"));
}

/// P22
#[test]
fn without_the_http_tracker_in_front_the_right_is_the_same() {
    let site = start();
    site.address_rules
        .store(std::sync::Arc::new(ClientAddressRules {
            admin_networks: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
            ..ClientAddressRules::default()
        }));
    crowd(&site, 3);
    for path in ["/scrape", "/%73crape"] {
        let (_, body) = fetch(&site, "127.0.0.1", &request(path, ""));
        assert_eq!(files(&body).len(), 3);
        let (_, body) = fetch(&site, "127.0.0.2", &request(path, ""));
        assert_eq!(failure(&body), DENIED);
    }
}
