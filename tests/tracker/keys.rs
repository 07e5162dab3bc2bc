//! Keys in announce addresses (O16), over HTTP and UDP: who is served with which address, and what is shown of a key anywhere.

use std::net::UdpSocket;
use std::sync::mpsc::channel;

use retracker::clock::{Clock, Wall};
use retracker::http;
use retracker::metrics::Failure;
use retracker::net::client_address::Mode;
use retracker::tracker::{KeyDigest, KeyLimits, KeyMode, KeyRecord, NewKey, Settings};
use retracker::udp;

use crate::harness::{self, HASH_BYTES, HTTP_WORKERS, PATIENCE, Reply, Server, peers, start_all};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn closed(keys: KeyMode, change: impl FnOnce(&mut http::Settings)) -> Server {
    let mut settings = harness::settings();
    change(&mut settings);
    let core = Settings {
        keys,
        ..Settings::default()
    };
    let server = start_all(&settings, core, None);
    server.core.keys().set_wall(Wall(1_000));
    put(&server, 1, KEY, KeyLimits::default());
    server
}

fn put(server: &Server, number: i64, key: &str, limits: KeyLimits) {
    server.core.keys().put(KeyRecord {
        number,
        key: NewKey {
            digest: KeyDigest::of(key.as_bytes()).unwrap(),
            label: "member".into(),
            expires: None,
            limits,
        },
        is_from_file: false,
        created: Wall(1),
        revoked: None,
    });
}

/// An announce to an address with this path.
fn announce(server: &Server, ip: &str, path: &str, port: u16, more: &str) -> Reply {
    let plain = harness::announce(port, more);
    server.get_from(ip, &plain.replace("/announce", path), "")
}

/// O16
#[test]
fn a_key_may_stand_before_and_behind_the_name_in_any_spelling() {
    let server = closed(KeyMode::Required, |_| {});
    for (port, path) in (1..).zip([
        "/KEY/announce",
        "/KEY/announce/",
        "/KEY/announce.php",
        "/announce/KEY",
        "/announce/KEY/",
        "/bt/KEY/announce",
        "/%30123456789abcdef0123456789abcde%66/announce",
        "/announce%2fKEY",
        "/%zz/announce/KEY",
    ]) {
        let path = path.replace("KEY", KEY);
        let reply = announce(&server, "127.0.0.1", &path, port, "");
        assert_eq!(reply.number("incomplete"), u64::from(port), "{path}");
    }
    for path in ["/KEY/scrape", "/scrape/KEY"] {
        let path = path.replace("KEY", KEY);
        let reply = announce(&server, "127.0.0.1", &path, 1, "");
        assert!(reply.text_lossy().contains("incompletei9e"), "{path}");
    }
    assert_eq!(server.core.keys().one(1).unwrap().torrents, 1);
}

/// O16, P5
#[test]
fn who_has_no_key_in_force_reads_why_and_is_counted() {
    let server = closed(KeyMode::Required, |_| {});
    put(&server, 2, OTHER, KeyLimits::default());
    server.core.revoke_key(2, Wall(1_000), Clock::start().now());
    let long = "a".repeat(65);
    let short = "a".repeat(31);
    let missing = "this tracker needs an announce address with a key";
    let unknown = "unknown key in the announce address";
    let revoked = "the key of this announce address was revoked";
    for (path, text, failure) in [
        ("/announce".to_owned(), missing, Failure::KeyMissing),
        (format!("/{short}/announce"), missing, Failure::KeyMissing),
        ("//announce".to_owned(), missing, Failure::KeyMissing),
        ("/ann".to_owned(), missing, Failure::KeyMissing),
        ("/scrape".to_owned(), missing, Failure::KeyMissing),
        (format!("/{long}/announce"), unknown, Failure::KeyUnknown),
        (format!("/announce/{long}"), unknown, Failure::KeyUnknown),
        (
            format!("/{}/announce", KEY.replace('0', "1")),
            unknown,
            Failure::KeyUnknown,
        ),
        (
            format!("/{}/scrape", KEY.to_uppercase()),
            unknown,
            Failure::KeyUnknown,
        ),
        (format!("/{KEY}%3Fx/announce"), unknown, Failure::KeyUnknown),
        (format!("/{OTHER}/announce"), revoked, Failure::KeyRevoked),
        (format!("/scrape/{OTHER}"), revoked, Failure::KeyRevoked),
    ] {
        let before = server.failures(failure);
        let reply = announce(&server, "127.0.0.1", &path, 1, "");
        assert_eq!(reply.failure(), text, "{path}");
        assert!(reply.text_lossy().contains("8:retry ini60e"), "{path}");
        assert_eq!(server.failures(failure), before + 1, "{path}");
    }
    assert_eq!(server.core.peers(), 0);
    assert_eq!(
        announce(&server, "127.0.0.1", "/announce/short", 1, "").status,
        404
    );
}

/// O16: without a key everything is as ever; what can only be meant as one has to be one.
#[test]
fn where_keys_are_accepted_who_has_none_is_served_too() {
    let server = closed(KeyMode::Accepted, |_| {});
    for path in ["/announce", "/bt/announce", "/announce.php", "/ann"] {
        assert_eq!(
            announce(&server, "127.0.0.1", path, 1, "").number("incomplete"),
            1
        );
    }
    let keyed = format!("/{KEY}/announce");
    let reply = announce(&server, "127.0.0.2", &keyed, 2, "");
    assert_eq!(reply.peers(), peers(["127.0.0.1:1"]));
    let unknown = announce(&server, "127.0.0.1", &format!("/{OTHER}/announce"), 1, "");
    assert_eq!(unknown.failure(), "unknown key in the announce address");
    let off = closed(KeyMode::Off, |_| {});
    let reply = announce(&off, "127.0.0.1", &format!("/{OTHER}/announce"), 1, "");
    assert_eq!(reply.number("incomplete"), 1);
    assert_eq!(
        announce(&off, "127.0.0.1", &format!("/announce/{KEY}"), 1, "").status,
        404
    );
    assert_eq!(off.core.keys().one(1).unwrap().torrents, 0);
}

/// O16, C9
#[test]
fn behind_a_proxy_the_clients_addresses_count() {
    let limits = KeyLimits {
        addresses: 1,
        torrents: 0,
    };
    let server = closed(KeyMode::Required, |settings| {
        settings.address_rules.mode = Mode::Proxy;
        settings.address_rules.trusted_proxies =
            ["127.0.0.1/32".parse().unwrap()].into_iter().collect();
    });
    put(&server, 1, KEY, limits);
    let from = |ip: &str, port: u16| {
        let path = harness::announce(port, "").replace("/announce", &format!("/{KEY}/announce"));
        server.get_from("127.0.0.1", &path, &format!("X-Forwarded-For: {ip}\r\n"))
    };
    assert_eq!(from("198.51.100.1", 1).number("incomplete"), 1);
    assert_eq!(from("198.51.100.1", 2).number("incomplete"), 2);
    assert_eq!(
        from("198.51.100.2", 3).failure(),
        "too many addresses at once with this key"
    );
    assert_eq!(server.failures(Failure::KeyAddresses), 1);
    let report = server.core.keys().one(1).unwrap();
    assert_eq!(
        report.addresses,
        ["198.51.100.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

/// O16: what clients report, of any size, comes in as it is said.
#[test]
fn what_is_uploaded_is_read_from_the_query() {
    let server = closed(KeyMode::Required, |_| {});
    let path = format!("/{KEY}/announce");
    for more in [
        "&uploaded=7&downloaded=9",
        "&uploaded=99999999999999999999999&downloaded=-1",
        "&uploaded=",
        "&uploaded=x&uploaded=%31",
    ] {
        announce(&server, "127.0.0.1", &path, 1, more).number("incomplete");
        let totals = server.core.keys().one(1).unwrap().totals;
        assert_eq!(totals.last_seen, Some(Wall(1_000)));
    }
}

/// O16: no reply and no figure shows a key, whatever was asked.
#[test]
fn no_key_is_shown_to_anybody() {
    let server = closed(KeyMode::Accepted, |_| {});
    let mut shown = String::new();
    for path in [
        "/K/announce",
        "/announce/K",
        "/K/scrape",
        "/K",
        "/K/x",
        "/x/K",
        "/status/K",
    ] {
        for key in [KEY, OTHER] {
            let path = path.replace('K', key);
            shown.push_str(&announce(&server, "127.0.0.1", &path, 1, "").text_lossy());
            shown.push_str(
                &announce(&server, "127.0.0.2", "/announce", 2, "&compact=0").text_lossy(),
            );
        }
    }
    shown.push_str(&format!("{:?}", server.core));
    assert!(!shown.contains(KEY) && !shown.contains(OTHER));
}

struct Udp {
    socket: UdpSocket,
    id: u64,
}

impl Udp {
    fn ask(&self, action: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = self.id.to_be_bytes().to_vec();
        packet.extend(action.to_be_bytes());
        packet.extend(*b"tran");
        packet.extend(body);
        self.socket.send(&packet).unwrap();
        let mut reply = [0; 4_096];
        let length = self.socket.recv(&mut reply).unwrap();
        reply[..length].to_vec()
    }

    /// Announces with what stands behind the 98 bytes: the failure, or nothing.
    fn announce(&self, options: &[u8]) -> Option<String> {
        let mut body = HASH_BYTES.to_vec();
        body.extend(b"-XX0001-000000000001");
        body.extend([0; 23]);
        body.push(1);
        body.extend([0; 8]);
        body.extend([0; 4]);
        body.extend((-1_i32).to_be_bytes());
        body.extend(1_u16.to_be_bytes());
        body.extend(options);
        let reply = self.ask(1, &body);
        (reply[3] == 3).then(|| String::from_utf8(reply[8..].to_vec()).unwrap())
    }
}

/// The path of an announce address as BEP 41 has it, cut into pieces of that length.
fn url_data(path: &str, piece: usize) -> Vec<u8> {
    let pieces = path.as_bytes().chunks(piece);
    let mut options: Vec<u8> = pieces
        .flat_map(|piece| [&[2, u8::try_from(piece.len()).unwrap()], piece].concat())
        .collect();
    options.push(0);
    options
}

/// A tracker over UDP beside one over HTTP, and a client that has connected to it.
fn over_udp(server: &Server) -> (udp::Running, Udp) {
    let settings = udp::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        ..udp::Settings::default()
    };
    let bound = udp::bind(&settings, Vec::new()).unwrap();
    let address = bound.addresses()[0];
    let running = bound
        .start(&server.core, Clock::start(), HTTP_WORKERS, &channel().0)
        .unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Udp {
        socket,
        id: 0x0417_2710_1980,
    };
    let connected = client.ask(0, &[]);
    client.id = u64::from_be_bytes(connected[8..].try_into().unwrap());
    (running, client)
}

/// O16, P15: what is percent-encoded is the same address as over HTTP, in part or wholly, decoded once.
#[test]
fn over_udp_a_path_is_decoded_as_over_http() {
    let server = closed(KeyMode::Required, |_| {});
    let (running, client) = over_udp(&server);
    let encoded: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let unknown = Some("unknown key in the announce address".to_owned());
    for (path, refusal) in [
        (
            "/%30123456789abcdef0123456789abcde%66/announce".to_owned(),
            None,
        ),
        (format!("/announce%2f{KEY}"), None),
        (format!("/%zz/announce/{KEY}"), None),
        (format!("/{encoded}/announce"), None),
        (
            format!("/{}/announce", encoded.replace('%', "%25")),
            unknown.clone(),
        ),
        // An encoded question mark begins no query.
        (format!("/{KEY}%3Fx/announce"), unknown),
    ] {
        let options = url_data(&path, 255);
        assert_eq!(client.announce(&options), refusal, "{path}");
        let over_http = announce(&server, "127.0.0.1", &path, 2, "");
        assert_eq!(
            over_http.value().get("peers").is_none(),
            refusal.is_some(),
            "{path}"
        );
    }
    running.stop();
}

/// O16, P15
#[test]
fn over_udp_the_key_stands_in_the_options() {
    let server = closed(KeyMode::Required, |_| {});
    let (running, client) = over_udp(&server);
    for path in [
        "/KEY/announce",
        "/announce/KEY",
        "/KEY",
        "/KEY/announce?x=1",
        "/KEY?x=/announce",
        "/KEY/announce?x=LONG",
    ] {
        let path = path.replace("KEY", KEY);
        let path = path.replace("LONG", &"x".repeat(400));
        for piece in [255, 7, 1] {
            assert_eq!(client.announce(&url_data(&path, piece)), None, "{path}");
        }
    }
    assert_eq!(server.core.keys().one(1).unwrap().torrents, 1);
    for (options, text) in [
        (vec![], "this tracker needs an announce address with a key"),
        (
            vec![0, 0],
            "this tracker needs an announce address with a key",
        ),
        (
            url_data("/announce", 255),
            "this tracker needs an announce address with a key",
        ),
        (
            url_data(&format!("/{OTHER}/announce"), 255),
            "unknown key in the announce address",
        ),
        (
            url_data(&"a".repeat(255), 255),
            "unknown key in the announce address",
        ),
        // What is left of it is no key.
        (
            url_data(&format!("/{}/{KEY}/announce", "a".repeat(600)), 255),
            "announce address too long",
        ),
        (vec![2, 50, b'/'], "malformed options"),
    ] {
        assert_eq!(client.announce(&options).as_deref(), Some(text));
    }
    let scraped = client.ask(2, &HASH_BYTES);
    assert!(scraped.ends_with(b"this tracker needs an announce address with a key"));
    server.core.revoke_key(1, Wall(1_001), Clock::start().now());
    assert_eq!(server.core.peers(), 0);
    let revoked = client.announce(&url_data(&format!("/{KEY}/announce"), 255));
    assert_eq!(
        revoked.as_deref(),
        Some("the key of this announce address was revoked")
    );
    running.stop();
}
