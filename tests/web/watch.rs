//! Requests as they are answered, for whoever watches the running tracker (O30): what is told of them, to whom, and what is never told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::channel;
use std::time::Duration;

use retracker::clock::{Clock, Wall};
use retracker::net::client_address::{ClientAddressRules, Mode};
use retracker::tracker::{Block, KeyMode, Settings as Core, Target};
use retracker::udp;
use retracker::web::Scope;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::{self, Reply, Site, start_behind_http};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const HASH: &str = "0707070707070707070707070707070707070707";

fn site() -> Site {
    start_behind_http(|_| {}, ClientAddressRules::default())
}

/// What comes on a stream, chunk by chunk.
struct Stream {
    reader: BufReader<TcpStream>,
    /// All that has come, for what must never come.
    text: String,
    waiting: Vec<(String, Value)>,
}

impl Stream {
    /// Watches what the query says, until dropped.
    fn open(site: &Site, query: &str) -> Stream {
        let token = site.token();
        let mut stream = harness::connect(site.address, "127.0.0.1");
        write!(
            stream,
            "GET /api/v1/watch{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        Stream::of(stream)
    }

    /// The stream behind the head of its reply. It is open when the first word has come.
    fn of(stream: TcpStream) -> Stream {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for field in [
            "content-type: text/event-stream\r\n",
            "cache-control: no-store\r\n",
            "transfer-encoding: chunked\r\n",
        ] {
            assert!(head.contains(field), "{head}");
        }
        let mut stream = Stream {
            reader,
            text: String::new(),
            waiting: Vec::new(),
        };
        assert_eq!(stream.chunk().unwrap(), ": watching\n\n");
        stream
    }

    /// The next chunk; nothing at the end of the reply.
    fn chunk(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        chunk.truncate(length);
        let chunk = String::from_utf8(chunk).unwrap();
        self.text.push_str(&chunk);
        (length > 0).then_some(chunk)
    }

    /// The next event with its data; nothing at the end.
    fn event(&mut self) -> Option<(String, Value)> {
        while self.waiting.is_empty() {
            let chunk = self.chunk()?;
            self.waiting.extend(events_of(&chunk));
        }
        Some(self.waiting.remove(0))
    }

    /// The next request that is told.
    fn request(&mut self) -> Value {
        let (name, data) = self.event().unwrap();
        assert_eq!(data["kind"], name.as_str(), "{data}");
        let description = include_str!("../../templates/api/openapi.json");
        let description: Value = serde_json::from_str(description).unwrap();
        assert_is_described(
            &data,
            &description["components"]["schemas"]["WatchedRequest"],
        );
        data
    }
}

/// The events of a chunk, which has whole ones.
fn events_of(chunk: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for event in chunk.split_terminator("\n\n") {
        let (mut name, mut id, mut data) = (String::new(), None, Value::Null);
        for line in event.lines() {
            match line.split_once(": ").unwrap() {
                ("event", text) => name = text.to_owned(),
                ("id", text) => id = Some(text.parse::<u64>().unwrap()),
                ("data", text) => data = serde_json::from_str(text).unwrap(),
                ("", _) => {}
                other => panic!("{other:?}"),
            }
        }
        if let Some(id) = id {
            assert_eq!(data["number"], id);
        }
        if !name.is_empty() {
            events.push((name, data));
        }
    }
    events
}

/// Every field is one of the description's, and those that it promises are there.
fn assert_is_described(value: &Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let schema = &schema["properties"][name];
                assert!(schema.is_object(), "{name} is not described");
                assert_is_described(value, schema);
            }
            for name in schema["required"].as_array().unwrap() {
                assert!(
                    fields.contains_key(name.as_str().unwrap()),
                    "{name} is missing"
                );
            }
        }
        Value::Array(values) => {
            for value in values {
                assert_is_described(value, &schema["items"]);
            }
        }
        _ => assert!(schema["type"].is_string(), "{value}: {schema}"),
    }
}

/// An announce by HTTP from an address; `more` stands behind what every announce has.
fn announce(site: &Site, from: &str, path: &str, more: &str) -> Reply {
    let query = format!(
        "info_hash={}&peer_id=-qB4520-abcdefghijkl&port=6881{more}",
        "%07".repeat(20)
    );
    let request = format!(
        "GET {path}?{query} HTTP/1.1\r\nHost: tracker:80\r\nUser-Agent: qBittorrent/4.5.2\r\nConnection: close\r\n\r\n"
    );
    let reply = harness::parse(&harness::exchange(site.address, from, request.as_bytes()));
    assert_eq!(reply.status, 200);
    reply
}

fn scrape(site: &Site, from: &str, path: &str, hashes: &[u8]) {
    let hashes: Vec<String> = hashes
        .iter()
        .map(|byte| format!("info_hash={}", format!("%{byte:02x}").repeat(20)))
        .collect();
    let request = format!(
        "GET {path}?{} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        hashes.join("&")
    );
    harness::exchange(site.address, from, request.as_bytes());
}

/// A UDP tracker beside the site.
struct Udp {
    running: udp::Running,
    address: SocketAddr,
}

fn udp(site: &Site) -> Udp {
    let settings = udp::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        ..udp::Settings::default()
    };
    let mut bound = udp::bind(&settings, Vec::new()).unwrap();
    bound.watch(std::sync::Arc::clone(&site.watch));
    let address = bound.addresses()[0];
    let (ends, _) = channel();
    let running = bound.start(&site.tracker, site.clock, 1, &ends).unwrap();
    Udp { running, address }
}

impl Udp {
    fn client(&self, from: &str) -> (UdpSocket, [u8; 8]) {
        let socket = UdpSocket::bind(format!("{from}:0")).unwrap();
        socket.connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut connect = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
        connect.extend(*b"\0\0\0\0tran");
        let reply = ask(&socket, &connect);
        (socket, reply[8..16].try_into().unwrap())
    }
}

fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).unwrap();
    let mut reply = [0; 2_048];
    let length = socket.recv(&mut reply).unwrap();
    reply[..length].to_vec()
}

fn udp_announce(id: [u8; 8], options: &[u8]) -> Vec<u8> {
    let mut datagram = id.to_vec();
    datagram.extend(*b"\0\0\0\x01tran");
    datagram.extend([7; 20]);
    datagram.extend(*b"-TR4050-abcdefghijkl");
    for number in [3_u64, 100, 5] {
        datagram.extend(number.to_be_bytes());
    }
    datagram.extend(2_u32.to_be_bytes());
    datagram.extend([0; 4]);
    datagram.extend(0x1234_5678_u32.to_be_bytes());
    datagram.extend((-1_i32).to_be_bytes());
    datagram.extend(6_882_u16.to_be_bytes());
    datagram.extend(options);
    datagram
}

fn path_option(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[2, length][..], path.as_bytes()].concat()
}

/// O30
#[test]
fn an_announce_over_http_is_told_as_it_came_and_as_it_was_read_and_answered() {
    let site = site();
    assert!(site.announce("192.0.2.1", [7; 20], true));
    let mut stream = Stream::open(&site, "");
    let more = "&uploaded=3&downloaded=5&left=100&event=started&numwant=10&compact=1&key=s3cret&corrupt=0&x=y";
    announce(&site, "127.0.0.1", "/bt/announce", more);
    let told = stream.request();
    assert_eq!(told["number"], 1);
    assert_eq!(told["transport"], "http");
    assert_eq!(
        (&told["ip_version"], &told["ip"]),
        (&4.into(), &"127.0.0.1".into())
    );
    assert!(told["port"].as_u64().unwrap() > 0);
    assert_eq!(told["path"], "/bt/announce");
    assert_eq!(told["user_agent"], "qBittorrent/4.5.2");
    assert_eq!(told["host"], "tracker:80");
    assert_eq!(
        told["client"],
        serde_json::json!({ "name": "qBittorrent", "version": "4.5.2" })
    );
    let time = told["time"].as_str().unwrap();
    assert!(
        time.len() == 24 && time.starts_with("20") && time.ends_with('Z'),
        "{time}"
    );
    let parameters = told["parameters"].as_array().unwrap();
    let named = |name: &str| {
        parameters
            .iter()
            .find(|parameter| parameter["name"] == name)
            .unwrap()
    };
    assert_eq!(named("info_hash")["value"], "%07".repeat(20));
    assert_eq!(named("left")["value"], "100");
    for (hidden, length) in [("key", 6), ("x", 1)] {
        assert_eq!(
            *named(hidden),
            serde_json::json!({ "name": hidden, "hidden": true, "length": length })
        );
    }
    assert!(told.get("truncated").is_none());
    let peer_id: String = b"-qB4520-abcdefghijkl"
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let read = serde_json::json!({
        "info_hash": HASH, "peer_id": peer_id, "port": 6881, "uploaded": 3, "downloaded": 5, "left": 100,
        "event": "started", "numwant": 10, "compact": true, "key": true,
    });
    assert_eq!(told["announce"], read);
    let answer = &told["answer"];
    assert_eq!(
        (&answer["seeders"], &answer["leechers"]),
        (&1.into(), &1.into())
    );
    assert_eq!(answer["peers"], serde_json::json!({ "ipv4": 1, "ipv6": 0 }));
    assert!(answer["interval"].as_u64().unwrap() >= answer["min_interval"].as_u64().unwrap());
    assert!(!stream.text.contains("s3cret"));
}

/// O30
#[test]
fn what_is_refused_is_told_with_what_the_client_reads() {
    let site = site();
    let mut stream = Stream::open(&site, "");
    announce(&site, "127.0.0.1", "/announce", "&port=70000");
    let wrong = "GET /announce?info_hash=x&peer_id=y HTTP/1.0\r\n\r\n";
    harness::exchange(site.address, "127.0.0.1", wrong.as_bytes());
    assert!(stream.request()["answer"]["interval"].is_u64());
    let refused = stream.request();
    assert_eq!(
        refused["answer"],
        serde_json::json!({ "failure": "invalid info_hash" })
    );
    assert!(refused["announce"].get("info_hash").is_none() && refused.get("host").is_none());
    let counts = site.watch.counts();
    assert_eq!(
        (counts.watchers, counts.told, counts.dropped, counts.skipped),
        (1, 2, 0, 0)
    );
}

/// O30
#[test]
fn scrapes_and_datagrams_are_told_too() {
    let site = site();
    let udp = udp(&site);
    let mut stream = Stream::open(&site, "");
    scrape(&site, "127.0.0.1", "/scrape", &[9, 8]);
    let told = stream.request();
    assert_eq!(
        (&told["kind"], &told["path"]),
        (&"scrape".into(), &"/scrape".into())
    );
    assert_eq!(told["scrape"]["torrents"], 2);
    assert_eq!(told["scrape"]["info_hashes"][0], "08".repeat(20));
    assert_eq!(told["answer"], serde_json::json!({ "torrents": 2 }));
    assert!(told.get("client").is_none());
    let (socket, id) = udp.client("127.0.0.1");
    ask(&socket, &udp_announce(id, &path_option("/announce")));
    let told = stream.request();
    assert_eq!(told["transport"], "udp");
    assert_eq!(told["ip"], "127.0.0.1");
    assert_eq!(told["port"], socket.local_addr().unwrap().port());
    assert_eq!(told["path"], "/announce");
    assert_eq!(told["client"]["name"], "Transmission");
    let read = &told["announce"];
    assert_eq!(
        (&read["downloaded"], &read["left"], &read["uploaded"]),
        (&3.into(), &100.into(), &5.into())
    );
    assert_eq!(
        (&read["event"], &read["numwant"], &read["port"]),
        (&"started".into(), &(-1).into(), &6_882.into())
    );
    assert_eq!(
        (&read["info_hash"], &read["key"]),
        (&HASH.into(), &true.into())
    );
    assert_eq!(
        told["answer"]["peers"],
        serde_json::json!({ "ipv4": 0, "ipv6": 0 })
    );
    assert!(told.get("parameters").is_none() && told["answer"].get("min_interval").is_none());
    assert!(!stream.text.contains("12345678"));
    let mut scrape = id.to_vec();
    scrape.extend(*b"\0\0\0\x02tran");
    ask(&socket, &[&scrape[..], &[7; 20]].concat());
    assert_eq!(stream.request()["scrape"]["info_hashes"][0], HASH);
    ask(&socket, &scrape);
    assert_eq!(stream.request()["answer"]["failure"], "no info hash");
    // Whoever has not proved its address is not shown: it may be anybody's.
    ask(&socket, &udp_announce([9; 8], &[]));
    ask(&socket, &udp_announce(id, &[])[..50]);
    assert_eq!(stream.request()["answer"]["failure"], "announce too short");
    udp.running.stop();
}

/// O30, O16: wherever a key stands, in whatever spelling, and whatever is answered.
#[test]
fn no_event_tells_a_key() {
    let site = site();
    site.tracker.configure(Core {
        keys: KeyMode::Accepted,
        ..Core::default()
    });
    let udp = udp(&site);
    let mut stream = Stream::open(&site, "?per_second=1000");
    let mut sent = 0;
    for path in [
        "/KEY/announce",
        "/KEY/announce/",
        "/bt/KEY/announce.php",
        "/announce/KEY",
        "/announce%2fKEY",
        "/%30123456789abcdef0123456789abcde%66/announce",
        "/KEYKEY/announce",
        "/short-key-1/announce",
    ] {
        let path = path.replace("KEY", KEY);
        announce(
            &site,
            "127.0.0.1",
            &path,
            &format!("&key={KEY}&passkey={KEY}&compact=1?{KEY}&{KEY}"),
        );
        let told = stream.request();
        assert!(told["path"].as_str().unwrap().contains("***"), "{told}");
        sent += 1;
    }
    scrape(&site, "127.0.0.1", &format!("/scrape/{KEY}"), &[7]);
    assert_eq!(stream.request()["path"], "/scrape/***");
    let (socket, id) = udp.client("127.0.0.1");
    for path in [
        format!("/{KEY}/announce"),
        format!("/{KEY}"),
        format!("/announce?{KEY}"),
    ] {
        ask(&socket, &udp_announce(id, &path_option(&path)));
        stream.request();
        sent += 1;
    }
    assert_eq!(sent, 11);
    // In the wrong place: each parameter of an announce that is refused for it or not, each field of the head.
    let encoded: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for key in [KEY, &KEY.to_uppercase(), &encoded] {
        for name in [
            "ip",
            "IPv6",
            "event",
            "numwant",
            "left",
            "compact",
            "trackerid",
        ] {
            announce(
                &site,
                "127.0.0.1",
                "/announce",
                &format!("&{name}={key}&{key}={name}"),
            );
            stream.request();
        }
        for query in [
            format!("info_hash={key}&peer_id=-qB4520-abcdefghijkl&port=1"),
            format!("info_hash={}&peer_id={key}&port=1", "%07".repeat(20)),
            format!(
                "info_hash={}&peer_id=-qB4520-abcdefghijkl&port={key}",
                "%07".repeat(20)
            ),
        ] {
            let request = format!(
                "GET /announce?{query} HTTP/1.1\r\nHost: {key}.tracker.example:80\r\nUser-Agent: a/1 ({key})\r\nConnection: close\r\n\r\n"
            );
            harness::exchange(site.address, "127.0.0.1", request.as_bytes());
            let told = stream.request();
            assert_eq!(
                (&told["host"], &told["user_agent"]),
                (&"***.tracker.example:80".into(), &"a/1 (***)".into())
            );
        }
        let request =
            format!("GET /scrape?info_hash={key} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        harness::exchange(site.address, "127.0.0.1", request.as_bytes());
        let told = stream.request();
        assert_eq!(
            told["scrape"]["info_hashes"],
            serde_json::json!([]),
            "{told}"
        );
    }
    let text = stream.text.to_lowercase();
    // As it is, encoded, and as the hash that it was read as.
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    for secret in [&KEY[4..12], &encoded.to_lowercase()[..12], &hex[..16]] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for secret in [KEY, "%30123456789", "123456789abcde", "short-key"] {
        assert!(!stream.text.contains(secret), "{secret}: {}", stream.text);
    }
    udp.running.stop();
}

/// O30
#[test]
fn a_watcher_sees_what_its_filter_lets_through() {
    let site = site();
    let mut all = Stream::open(&site, "?per_second=1000");
    let udp = udp(&site);
    let (socket, id) = udp.client("127.0.0.5");
    for (query, expected) in [
        ("?address=127.0.0.5", &["127.0.0.5 udp announce"][..]),
        (
            "?network=127.0.0.4/30&kind=announce",
            &["127.0.0.5 udp announce", "127.0.0.6 http announce"],
        ),
        ("?client=transmission", &["127.0.0.5 udp announce"]),
        (
            "?client=-qB45",
            &["127.0.0.6 http announce", "127.0.0.9 http announce"],
        ),
        (
            "?kind=scrape",
            &["127.0.0.7 http scrape", "127.0.0.8 http scrape"],
        ),
        (
            "?info_hash=0707070707070707070707070707070707070707&network=127.0.0.0/29",
            &[
                "127.0.0.5 udp announce",
                "127.0.0.6 http announce",
                "127.0.0.7 http scrape",
            ],
        ),
    ] {
        let mut stream = Stream::open(&site, query);
        ask(&socket, &udp_announce(id, &[]));
        announce(&site, "127.0.0.6", "/announce", "");
        scrape(&site, "127.0.0.7", "/scrape", &[6, 7]);
        scrape(&site, "127.0.0.8", "/scrape", &[6]);
        announce(&site, "127.0.0.9", "/announce", "");
        for told in expected {
            let event = stream.request();
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            assert_eq!(
                format!("{} {} {}", text("ip"), text("transport"), text("kind")),
                *told,
                "{query}"
            );
        }
        // Nothing but what was seen: all that was told to both is what came, and what is expected.
        for _ in 0..5 {
            all.request();
        }
        drop(stream);
        await_watchers(&site, 1);
    }
    let counts = site.watch.counts();
    assert_eq!(
        (counts.told, counts.dropped + counts.skipped),
        (6 * 5 + 11, 0)
    );
    udp.running.stop();
}

fn await_watchers(site: &Site, count: usize) {
    while site.watch.counts().watchers != count {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// O30: how fast is a unit test's matter (`watch::pace`); here, that whoever is not told is told how many.
#[test]
fn what_comes_faster_than_it_is_wanted_is_counted() {
    let site = site();
    let mut stream = Stream::open(&site, "?per_second=1");
    let requests =
        "GET /scrape?info_hash=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: t\r\n\r\n".repeat(500);
    let mut client = harness::connect(site.address, "127.0.0.1");
    client.write_all(requests.as_bytes()).unwrap();
    let mut replies = 0;
    let mut reader = BufReader::new(client);
    while replies < 500 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        replies += line.matches("HTTP/1.1 200").count();
    }
    site.watch.close();
    let (mut told, mut skipped) = (0, 0);
    while let Some((name, data)) = stream.event() {
        match name.as_str() {
            "scrape" => told += 1,
            "dropped" => {
                assert_eq!(data["dropped"], 0);
                skipped += data["skipped"].as_u64().unwrap();
            }
            "end" => assert_eq!(data["reason"], "stop"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(told + skipped, 500);
    let counts = site.watch.counts();
    assert_eq!((counts.told, counts.skipped), (told, skipped));
}

/// A watcher who has read nothing until the stream could take no more.
fn stuck(site: &Site) -> Stream {
    let token = site.token();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&site.address.into()).unwrap();
    let mut reader = TcpStream::from(socket);
    reader
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let request = format!(
        "GET /api/v1/watch?per_second=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    reader.write_all(request.as_bytes()).unwrap();
    let stream = Stream::of(reader);
    let long = "&left=18446744073709551615".repeat(70);
    let query = format!(
        "info_hash={}&peer_id=-qB4520-abcdefghijkl&port=1{long}",
        "%07".repeat(20)
    );
    let request = format!("GET /announce?{query} HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut reply = [0; 4_096];
    while site.watch.counts().dropped < 10 {
        let mut client = harness::connect(site.address, "127.0.0.1");
        for _ in 0..100 {
            client.write_all(request.as_bytes()).unwrap();
            assert!(client.read(&mut reply).unwrap() > 0);
        }
    }
    stream
}

fn revoke_all_tokens(site: &Site) {
    let tokens = retracker::web::Tokens::new(site.folder.path());
    for token in tokens.list().unwrap() {
        tokens.revoke(token.number).unwrap();
    }
}

/// O30: whoever takes nothing keeps no place that is not his any more.
#[test]
fn a_watch_whose_reader_takes_nothing_ends_with_its_token() {
    let patient = |settings: &mut retracker::web::Settings| {
        settings.connection_limit = Duration::from_secs(600);
    };
    let site = start_behind_http(patient, ClientAddressRules::default());
    let stream = stuck(&site);
    assert_eq!(site.watch.counts().watchers, 1);
    revoke_all_tokens(&site);
    await_watchers(&site, 0);
    drop(stream);
}

/// O30, R2: announces go on, memory is bounded by the queue, and the reader is told what it missed when it reads again.
#[test]
fn a_reader_that_takes_nothing_hinders_no_announce_and_misses_what_finds_no_room() {
    let site = site();
    let mut stream = stuck(&site);
    let mut told = 0;
    let missed = loop {
        let (name, data) = stream.event().unwrap();
        match name.as_str() {
            "announce" => {
                assert_eq!(data["truncated"], true);
                told += 1;
            }
            "dropped" => {
                let count = |name: &str| data[name].as_u64().unwrap();
                if count("dropped") > 0 {
                    break count("dropped");
                }
            }
            other => panic!("{other}"),
        }
    };
    assert!(told > 0 && missed >= 10);
}

/// O30: else whatever lies between takes the connection for dead.
#[test]
fn a_stream_that_has_nothing_to_tell_says_that_it_lives() {
    let site = site();
    let mut stream = Stream::open(&site, "?address=203.0.113.1");
    announce(&site, "127.0.0.1", "/announce", "");
    assert_eq!(stream.chunk().unwrap(), ": keep-alive\n\n");
}

/// O30, O2
#[test]
fn a_watch_ends_with_the_process() {
    let mut site = site();
    let mut stream = Stream::open(&site, "");
    site.running.take().unwrap().stop();
    assert_eq!(
        stream.event(),
        Some(("end".into(), serde_json::json!({ "reason": "stop" })))
    );
    assert_eq!(stream.event(), None);
    assert_eq!(site.watch.counts().watchers, 0);
}

/// O30: with its reader at once, so that its place is free; and with the right to it.
#[test]
fn a_watch_ends_with_its_reader_and_with_its_token() {
    let site = site();
    let streams = [(); 4].map(|()| Stream::open(&site, ""));
    let mut program = site.program(Scope::Admin, None);
    let refused = program.get("/api/v1/watch");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), "30");
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("as many watch")
    );
    assert_eq!(site.watch.counts().refused, 1);
    let metrics = program.get("/api/v1/metrics").body;
    assert!(metrics.contains("retracker_watchers 4\n"));
    assert!(metrics.contains("retracker_watch_refused_total 1\n"));
    drop(streams);
    await_watchers(&site, 0);
    let mut stream = Stream::open(&site, "");
    revoke_all_tokens(&site);
    assert_eq!(stream.event().unwrap().1["reason"], "revoked");
    assert_eq!(stream.event(), None);
    // A login that ends, ends what was opened with it.
    let mut operator = site.operator();
    let request = operator.wording("GET", "/api/v1/watch", "");
    let mut opened = harness::connect(site.address, "127.0.0.1");
    opened.write_all(request.as_bytes()).unwrap();
    let mut stream = Stream::of(opened);
    assert_eq!(operator.submit("/logout", "/logout", &[]).status, 302);
    assert_eq!(stream.event().unwrap().1["reason"], "revoked");
}

/// O30, W13
#[test]
fn only_who_may_see_who_does_what_may_watch() {
    let site = site();
    assert_eq!(site.visitor().get("/api/v1/watch").status, 401);
    for scope in [Scope::Read, Scope::Block] {
        assert_eq!(site.program(scope, None).get("/api/v1/watch").status, 403);
    }
    let ended = site
        .program(Scope::Admin, Some(Wall(2)))
        .get("/api/v1/watch");
    assert_eq!(ended.status, 401);
    assert_eq!(site.operator().get("/api/v1/watch").status, 200);
    let mut program = site.program(Scope::Admin, None);
    let head = program.send("HEAD", "/api/v1/watch", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), "text/event-stream");
    // As long as the reply to a GET, which nobody knows.
    assert_eq!(head.header("content-length"), "");
    assert_eq!(site.watch.counts().watchers, 0);
    for (query, right) in [
        ("?network=192.0.2.0", "as 192.0.2.0/24"),
        ("?info_hash=07", "40 or 64 hex digits"),
        ("?per_second=1001", "from 1 to 1000"),
        (
            "?hash=07",
            "address, network, info_hash, client, kind and per_second",
        ),
    ] {
        let refused = program.get(&format!("/api/v1/watch{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(
            refused.json()["error"].as_str().unwrap().contains(right),
            "{query}"
        );
    }
    let off = start_behind_http(
        |settings| settings.may_watch = false,
        ClientAddressRules::default(),
    );
    assert_eq!(
        off.program(Scope::Admin, None).get("/api/v1/watch").status,
        404
    );
}

/// O30, W12
#[test]
fn the_audit_has_who_watched_what() {
    let site = site();
    drop(Stream::open(&site, "?network=127.0.0.0/8&kind=announce"));
    let mut program = site.program(Scope::Admin, None);
    let entries = program.get("/api/v1/audit").json();
    let entry = entries["audit"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["deed"] == "watch");
    let entry = entry.unwrap();
    assert_eq!(
        (&entry["actor"], &entry["who"], &entry["from"]),
        (&"token".into(), &"test".into(), &"127.0.0.1".into())
    );
    assert_eq!(
        entry["about"],
        "network 127.0.0.0/8, kind announce, 100 a second"
    );
}

/// O30: behind a trusted proxy it is the client that is seen, and its port is not known.
#[test]
fn behind_a_proxy_the_client_is_seen() {
    let address_rules = ClientAddressRules {
        mode: Mode::Proxy,
        trusted_proxies: ["127.0.0.1/32".parse().unwrap()].into_iter().collect(),
        ..ClientAddressRules::default()
    };
    let site = start_behind_http(|_| {}, address_rules);
    let target = Target::Network("203.0.113.7/32".parse().unwrap());
    let block = Block {
        number: 1,
        target,
        reason: String::new(),
        created: Wall(1),
        expires: None,
    };
    site.tracker
        .block(vec![block], Wall(1), Clock::start().now());
    assert!(!site.announce("203.0.113.7", [7; 20], true));
    let mut stream = Stream::open(&site, "?address=203.0.113.7");
    let request = format!(
        "GET /announce?info_hash={}&peer_id=-qB4520-abcdefghijkl&port=1 HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n\r\n",
        "%07".repeat(20)
    );
    harness::exchange(site.address, "127.0.0.1", request.as_bytes());
    let told = stream.request();
    assert_eq!(told["ip"], "203.0.113.7");
    assert!(told.get("port").is_none(), "{told}");
    assert_eq!(told["answer"]["failure"], "address blocked");
}
