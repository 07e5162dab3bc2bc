//! The lean loop and the tracker's routes on actix-web give the same answers: random requests, pipelined and cut anywhere to the
//! one, each by itself to the other (R31).
//!
//! `RETRACKER_PIPELINES` sets how many pipelines are sent; each has up to twelve requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use bt_bencode::Value;
use retracker::clock::Clock;
use retracker::http;
use retracker::http::{Ending, SocketlessConnection};
use retracker::metrics::Metrics;
use retracker::net::client_address::Mode;
use retracker::tracker;
use retracker::tracker::Tracker;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Pipelines in a common run.
const PIPELINES: u64 = 6_000;

/// The address that all requests come from: a proxy's, in proxy mode.
const SOCKET: &str = "127.0.0.1";

fn settings(mode: Mode) -> http::Settings {
    let mut settings = http::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        run_gc_key: "gc".into(),
        external_ip: true,
        max_scrape: 3,
        ..http::Settings::default()
    };
    settings.address_rules.mode = mode;
    settings
}

fn tracker() -> Arc<Tracker> {
    let settings = tracker::Settings {
        interval_jitter: 0,
        max_ports_per_address: 0,
        max_num_want: 200,
        ..tracker::Settings::default()
    };
    Arc::new(Tracker::new(settings, Arc::new(Metrics::new(1))))
}

/// One reply.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: u16,
    content_type: String,
    length: usize,
    body: Body,
}

/// A body; peers have no order, and everything else is to the byte.
#[derive(Clone, Debug, PartialEq)]
enum Body {
    Bytes(Vec<u8>),
    Bencoded(Value),
}

/// Reads the replies to requests of those methods from the start of some bytes; what is left must be none.
fn answers(mut bytes: &[u8], heads_only: &[bool]) -> Vec<Answer> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut reply = httparse::Response::new(&mut fields);
        let parsed = reply.parse(bytes);
        let Ok(httparse::Status::Complete(head)) = parsed else {
            panic!("{parsed:?}: {:?}", String::from_utf8_lossy(bytes));
        };
        let field = |name: &str| {
            let fields = reply.headers.iter();
            let found = fields.filter(|field| field.name.eq_ignore_ascii_case(name));
            found
                .map(|field| String::from_utf8(field.value.to_vec()).unwrap())
                .next()
        };
        let length = field("content-length").unwrap().parse().unwrap();
        let is_head_only = heads_only[found.len()];
        let sent = if is_head_only { 0 } else { length };
        let body = &bytes[head..head + sent];
        found.push(Answer {
            status: reply.code.unwrap(),
            content_type: field("content-type").unwrap_or_default(),
            length,
            body: read_body(body),
        });
        bytes = &bytes[head + sent..];
    }
    found
}

fn read_body(bytes: &[u8]) -> Body {
    let Ok(mut value) = bt_bencode::from_slice::<Value>(bytes) else {
        return Body::Bytes(bytes.to_vec());
    };
    assert_eq!(bt_bencode::to_vec(&value).unwrap(), bytes);
    if let Value::Dict(all) = &mut value {
        for (key, size) in [(&b"peers"[..], 6), (b"peers6", 18)] {
            match all.get_mut(key) {
                Some(Value::ByteStr(peers)) => {
                    let mut peers: Vec<_> = peers.as_slice().chunks(size).collect();
                    peers.sort_unstable();
                    let sorted = peers.concat();
                    all.insert(key.into(), Value::ByteStr(sorted.into()));
                }
                Some(Value::List(peers)) => {
                    peers.sort_by_cached_key(|peer| bt_bencode::to_vec(peer).unwrap());
                }
                _ => {}
            }
        }
    }
    Body::Bencoded(value)
}

/// One request: its bytes, and whether only a head is the reply.
#[derive(Clone, Debug)]
struct Sent {
    bytes: Vec<u8>,
    is_head_only: bool,
}

/// Makes requests that no client would send beside those that all do.
struct Maker(fastrand::Rng, u64);

impl Maker {
    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.0.usize(..all.len())]
    }

    fn request(&mut self) -> Sent {
        let is_plain = self.0.u8(..) < 200;
        let method = match self.0.u8(..20) {
            0 => self.pick(&["POST", "get", "PUT"]),
            1..5 => "HEAD",
            _ => "GET",
        };
        let version = self.pick(&[
            "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0",
            "HTTP/2.0",
        ]);
        let version = if self.0.u8(..) < 220 {
            "HTTP/1.1"
        } else {
            version
        };
        let target = if is_plain {
            let path = self.pick(&["/announce", "/announce", "/scrape"]);
            [path.as_bytes(), b"?", &self.query()].concat()
        } else {
            self.target()
        };
        let end = if self.0.u8(..) < 240 { "\r\n" } else { "\n" };
        let mut bytes = Vec::new();
        if self.0.u8(..) < 10 {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&target);
        bytes.extend_from_slice(format!(" {version}{end}").as_bytes());
        // The pages' side refuses a request of HTTP/1.1 without it; the lean loop does not need it.
        bytes.extend_from_slice(format!("Host: tracker.local{end}").as_bytes());
        for _ in 0..self.0.usize(..5) {
            bytes.extend_from_slice(self.field().as_bytes());
            bytes.extend_from_slice(end.as_bytes());
        }
        let body = self.body(&mut bytes, end);
        bytes.extend_from_slice(end.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
        Sent {
            bytes,
            is_head_only: method == "HEAD",
        }
    }

    fn target(&mut self) -> Vec<u8> {
        let start = self.pick(&[
            "",
            "",
            "",
            "",
            "",
            "http://tracker.local:8080",
            "http://x",
            "HTTP://x",
            "x",
        ]);
        let path = self.pick(&[
            "/announce",
            "/announce",
            "/announce",
            "/announce",
            "/scrape",
            "/scrape",
            "/announce.php",
            "/ann",
            "/scr",
            "/bt/announce.php/",
            "/%61nnounce",
            "/x%2Fscrape",
            "/a//announce",
            "/announce//",
            "/announcement",
            "/status",
            "/",
            "/other",
            "/%zz/announce",
            "*",
            "",
            "/an{nounce",
            "/a\"b/announce",
            "/a|b^/announce",
            "/%00/announce",
            "/%0a/announce",
            "/%ff/scrape",
            "/..%2f../scrape",
            "/health",
        ]);
        let mut target = format!("{start}{path}").into_bytes();
        if self.0.u8(..) < 240 {
            target.push(b'?');
            target.extend_from_slice(&self.query());
        }
        target
    }

    fn query(&mut self) -> Vec<u8> {
        let mut query = Vec::new();
        // Few torrents at a time, so that peers meet, but no more than a reply holds; many ports, so that each announce counts.
        let hash = self.0.u64(..6) + 6 * self.1;
        let [.., high, low] = hash.to_be_bytes();
        let name = self.pick(&[
            "info_hash",
            "info_hash",
            "info_hash",
            "info_hash",
            "Info_Hash",
            "info%5Fhash",
            "x",
        ]);
        let shape = self.0.u8(..20);
        let escaped = |times: usize| format!("%{high:02x}%{low:02x}").repeat(times);
        let text = match shape {
            0 => "%zz".into(),
            1 => format!("{low:02x}").repeat(20),
            2 => format!("+%2B{}", escaped(9)),
            _ => escaped(10),
        };
        query.extend_from_slice(format!("{name}={text}").as_bytes());
        let port = self.0.u16(1..);
        query
            .extend_from_slice(format!("&peer_id=-XX0001-0000000{port:05}&port={port}").as_bytes());
        for _ in 0..self.0.usize(..4) {
            let more = self.pick(&[
                "left=0",
                "left=1",
                "compact=0",
                "compact=1",
                "no_peer_id=1",
                "event=started",
                "event=stopped",
                "event=completed",
                "numwant=0",
                "numwant=200",
                "numwant=-1",
                "gc",
                "key=abc",
                "a=b+c",
                "??x",
                "x=%",
                "&&",
                "port=99999",
                "info_hash=bbbb",
                "x=|^`{}\\[]",
                "ip=192.0.2.1",
            ]);
            query.push(b'&');
            query.extend_from_slice(more.as_bytes());
        }
        if self.0.u8(..) < 12 {
            let odd = [
                0, 1, b'\t', b'"', b'<', b'>', 0x7f, 0x80, 0xff, b'\r', b'\\', b'`',
            ];
            query.push(odd[self.0.usize(..odd.len())]);
        }
        if self.0.u8(..) < 4 {
            let pad = self.0.usize(7_000..9_000);
            query.extend_from_slice(format!("&pad={}", "x".repeat(pad)).as_bytes());
        }
        query
    }

    fn field(&mut self) -> String {
        let common = [
            "User-Agent: qBittorrent/4.5.2",
            "Accept-Encoding: gzip",
            "Connection: keep-alive",
            "X-Real-IP: 192.0.2.7",
            "X-Forwarded-For: 192.0.2.8",
            "X-Forwarded-For: 6.6.6.6, 192.0.2.9",
            "x-forwarded-for: 2001:db8::5",
            "Accept: */*",
        ];
        let odd = [
            "Connection: close",
            "connection: Keep-Alive, Close",
            "Connection: upgrade",
            "Upgrade: h2c",
            "User-Agent: Mozilla/5.0 (X11)\r\nAccept-Language: ru",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: none",
            "Origin: http://x",
            "Accept-Language: ru",
            "User-Agent: Mozilla/5.0",
            "Via: 1.1 x",
            "sec-fetch-site: Same-Site",
            "X-Forwarded-For: 127.0.0.1",
            "X-Real-IP: 127.0.0.1",
            "X-Forwarded-For:",
            "Forwarded: for=192.0.2.1",
            "Content-Length: 0",
            "A:",
            "no colon",
            "Bad : name",
            " folded",
            "Content-Encoding: gzip",
            "X: \u{e9}",
            "X: a\u{1}",
            "Accept-Encoding: identity;q=0",
            "Range: bytes=0-1",
            "If-Match: x",
            "Content-Type: a/b",
        ];
        if self.0.u8(..) < 240 {
            self.pick(&common).to_owned()
        } else {
            self.pick(&odd).to_owned()
        }
    }

    /// Adds the fields of a body and makes it: mostly none; else one that looks like a request, by rules that contradict each
    /// other or do not.
    fn body(&mut self, head: &mut Vec<u8>, end: &str) -> String {
        if self.0.u8(..) >= 20 {
            return String::new();
        }
        let hidden = "GET /scrape?info_hash=cccccccccccccccccccc HTTP/1.1\r\n\r\n";
        let length = hidden.len();
        let chunked = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
        let (fields, body) = match self.0.u8(..6) {
            0 => (vec!["Transfer-Encoding: chunked".to_owned()], chunked),
            1 => (
                vec![
                    format!("Content-Length: {length}"),
                    "Transfer-Encoding: chunked".to_owned(),
                ],
                chunked,
            ),
            2 => (
                vec![
                    "Content-Length: 0".into(),
                    format!("Content-Length: {length}"),
                ],
                hidden.into(),
            ),
            3 => (vec![format!("Content-Length: +{length}")], hidden.into()),
            _ => (vec![format!("Content-Length: {length}")], hidden.into()),
        };
        for field in fields {
            head.extend_from_slice(format!("{field}{end}").as_bytes());
        }
        body
    }
}

/// Cuts bytes anywhere.
fn pieces(bytes: &[u8], rng: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let most = [1, 3, 40, 400, 20_000][rng.usize(..5)];
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(rng.usize(1..=most).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

/// What the tracker's routes say to one request on a connection of its own.
async fn routes_answer<S>(service: &S, request: &Sent) -> Vec<u8>
where
    S: Service<(DuplexStream, Option<SocketAddr>)>,
{
    let (mut near, far) = duplex(1 << 20);
    near.write_all(&request.bytes).await.unwrap();
    let peer = SocketAddr::new(SOCKET.parse().unwrap(), 4_711);
    let served = service.call((far, Some(peer)));
    let mut reply = Vec::new();
    let reading = async {
        near.shutdown().await.unwrap();
        near.read_to_end(&mut reply).await.unwrap();
    };
    let (_, ()) = tokio::join!(served, reading);
    reply
}

/// Sends pipelines to both and compares what comes back.
async fn compare(mode: Mode, seed: u64, pipelines: u64) {
    let (lean, other) = (tracker(), tracker());
    let (ends, _reports) = std::sync::mpsc::channel();
    let bound = http::bind(&settings(mode), Vec::new()).unwrap();
    let clock = Clock::start();
    let routes = bound.routes(&other, clock);
    let running = bound.start(&other, clock, None, &ends).unwrap();
    let app = App::new().configure(|service| routes.mount(service));
    let factory = HttpService::build()
        .keep_alive(actix_http::KeepAlive::Disabled)
        .h1(map_config(app.into_factory(), |()| AppConfig::default()));
    let service = factory.new_service(()).await.unwrap();
    let mut maker = Maker(fastrand::Rng::with_seed(seed), 0);
    let (mut compared, mut announced) = (0, 0);
    for number in 0..pipelines {
        maker.1 = number / 20;
        let count = maker.0.usize(1..=12);
        let pipeline: Vec<Sent> = (0..count).map(|_| maker.request()).collect();
        let whole: Vec<u8> = pipeline
            .iter()
            .flat_map(|sent| sent.bytes.clone())
            .collect();
        let socket: IpAddr = SOCKET.parse().unwrap();
        let mut talk = SocketlessConnection::new(&lean, settings(mode), socket, number);
        let mut out = Vec::new();
        for piece in pieces(&whole, &mut maker.0) {
            talk.hear(&piece, &mut out);
        }
        let heads_only: Vec<bool> = pipeline.iter().map(|sent| sent.is_head_only).collect();
        let lean_answers = answers(&out, &heads_only);
        for (sent, ours) in pipeline.iter().zip(&lean_answers) {
            // How long a head may be is the lean loop's affair, through which all requests come.
            if [414, 431].contains(&ours.status) {
                continue;
            }
            let theirs = routes_answer(&service, sent).await;
            let text = String::from_utf8_lossy(&sent.bytes);
            let theirs = answers(&theirs, &[sent.is_head_only; 8]);
            let first = theirs
                .first()
                .unwrap_or_else(|| panic!("no answer to {text:?}, ours: {ours:?}"));
            // What is refused by its form there is refused here as well, in more words.
            if first.status == 400 && first.length == 0 {
                assert!([400, 405].contains(&ours.status), "{text:?}: {ours:?}");
            } else {
                assert_eq!(ours, first, "{text:?}");
            }
            compared += 1;
            let is_announce =
                matches!(&ours.body, Body::Bencoded(value) if value.get("peers").is_some());
            announced += u64::from(is_announce);
        }
        let answered = lean_answers.len();
        match talk.ending() {
            None => assert_eq!(answered, pipeline.len()),
            Some(Ending::Closed) => assert!((1..=pipeline.len()).contains(&answered)),
            Some(Ending::HandedOver) => {
                let rest = pipeline.iter().skip(answered);
                let rest: Vec<u8> = rest.flat_map(|sent| sent.bytes.clone()).collect();
                assert_eq!(talk.unanswered(), rest);
            }
        }
    }
    assert!(
        compared >= pipelines && announced >= compared / 8,
        "{compared} answers of {pipelines} pipelines, {announced} of them to announces"
    );
    running.stop(std::time::Duration::ZERO);
}

fn pipelines() -> u64 {
    let told = std::env::var("RETRACKER_PIPELINES").ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(PIPELINES)
}

/// R31, P14
#[test]
fn every_request_has_its_own_answer_on_the_lean_loop_and_on_the_routes() {
    actix_rt::System::new().block_on(async {
        for (seed, mode) in [(1, Mode::Direct), (2, Mode::Proxy)] {
            compare(mode, seed, pipelines() / 2).await;
        }
    });
}

/// R31, P14: whatever the bytes are, and also when some of them are spoilt.
#[test]
fn answers_do_not_hang_on_how_the_bytes_were_cut() {
    let mut maker = Maker(fastrand::Rng::with_seed(3), 0);
    let socket: IpAddr = SOCKET.parse().unwrap();
    for number in 0..pipelines() / 20 {
        let mut bytes: Vec<u8> = (0..6).flat_map(|_| maker.request().bytes).collect();
        for _ in 0..maker.0.usize(..3) {
            let at = maker.0.usize(..bytes.len());
            bytes[at] = maker.0.u8(..);
        }
        let mut short = settings(Mode::Proxy);
        short.max_request_bytes = [512, 8_192][maker.0.usize(..2)];
        let cuts = [vec![bytes.clone()], pieces(&bytes, &mut maker.0)];
        let [whole, cut] = cuts.map(|pieces| {
            let mut talk = SocketlessConnection::new(&tracker(), short.clone(), socket, number);
            let mut out = Vec::new();
            for piece in pieces {
                talk.hear(&piece, &mut out);
            }
            (String::from_utf8_lossy(&out).into_owned(), talk.ending())
        });
        assert_eq!(whole, cut, "{:?}", String::from_utf8_lossy(&bytes));
    }
}
