//! A site on a port of its own, and a visitor with cookies.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHasher};
use retracker::audit;
use retracker::audit::Audit;
use retracker::clock::{Clock, Wall};
use retracker::http;
use retracker::metrics::{Gauge, Metrics};
use retracker::net::client_address::ClientAddressRules;
use retracker::net::handover;
use retracker::net::handover::{Handover, Source};
use retracker::net::limits::{Ban, Kind, Limits};
use retracker::secret::Secret;
use retracker::tracker::report::census::Census;
use retracker::tracker::{
    Announce, AnnounceContext, Block, Event, InfoHash, KeyRecord, ListOptions, ListedTorrents,
    NewKey, PeerId, PeerList, Tracker,
};
use retracker::watch::Watch;
use retracker::web::{
    Backend, BackendError, CertificateRow, ConfigurationRow, FullScrape, ListFile, ListFileSubject,
    Listening, NewBlock, NewToken, Running, Scope, Settings, Sites, TorrentListChange,
    TorrentListOutcome,
};

pub(crate) const PASSWORD: &str = "gutes-wort";

type Refuses = Arc<Mutex<Option<BackendError>>>;

/// A running site and what its backend keeps.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) clock: Clock,
    pub(crate) census: Arc<ArcSwap<Census>>,
    pub(crate) address_rules: Arc<ArcSwap<ClientAddressRules>>,
    pub(crate) blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// With what the backend refuses everything, if it does.
    pub(crate) refuses: Refuses,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: Option<Running>,
    pub(crate) audit: Audit,
    /// The thread that writes it.
    pub(crate) auditing: Option<audit::Running>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) watch: Arc<Watch>,
    /// The HTTP tracker before it, if it is not the plain listener that hands over.
    _front: Option<http::Running>,
}

/// A hash of [`PASSWORD`] that is quick to compute also without optimisation.
pub(crate) fn quick_hash() -> String {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let salt = SaltString::encode_b64(&[7; 16]).unwrap();
    argon
        .hash_password(PASSWORD.as_bytes(), &salt)
        .unwrap()
        .to_string()
}

pub(crate) fn start() -> Site {
    start_with(|_| {})
}

pub(crate) fn start_with(change: impl FnOnce(&mut Settings)) -> Site {
    start_among(change, None)
}

/// A site that is one of several.
pub(crate) fn start_among(change: impl FnOnce(&mut Settings), sites: Option<Sites>) -> Site {
    start_behind(
        change,
        ClientAddressRules::default(),
        sites,
        |pages, site| {
            site.address = listen(pages, Arc::clone(&site.address_rules));
        },
    )
}

/// A site whose connections come from the HTTP tracker, which knows clients by the rules of `address_rules` as the pages do.
pub(crate) fn start_behind_http(
    change: impl FnOnce(&mut Settings),
    address_rules: ClientAddressRules,
) -> Site {
    start_behind(change, address_rules.clone(), None, |pages, site| {
        let settings = http::Settings {
            address_rules,
            ..front_settings()
        };
        let bound = http::bind(&settings, Vec::new()).unwrap();
        let bound = bound.limited(Arc::clone(&site.limits));
        let bound = bound.watched(Arc::clone(&site.watch));
        let (ends, _) = std::sync::mpsc::channel();
        let front = bound.start(&site.tracker, site.clock, Some(pages), &ends);
        let front = front.unwrap();
        site.address = *front.addresses().first().unwrap();
        site._front = Some(front);
    })
}

/// How the HTTP tracker before a site is set up. It sends scrapes of all torrents to the pages, which have them too.
fn front_settings() -> http::Settings {
    http::Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: 1,
        max_connections_per_address: 0,
        request_timeout: Duration::from_secs(120),
        full_scrape: true,
        ..http::Settings::default()
    }
}

/// All torrents as the HTTP tracker tells them, ready to be sent.
fn full_scrape(tracker: &Arc<Tracker>, clock: Clock) -> FullScrape {
    let bound = http::bind(&front_settings(), Vec::new()).unwrap();
    let own = || bound.routes(tracker, clock).full_scrape();
    let (state, writer, denied, busy) = (own(), own(), own(), own());
    FullScrape {
        is_on: Box::new(move || state.is_on()),
        write: Box::new(move |take| writer.write(take)),
        denied: Box::new(move || denied.denied()),
        busy: Box::new(move || busy.busy()),
    }
}

/// A site behind a listener that has the other end of its channel.
fn start_behind(
    change: impl FnOnce(&mut Settings),
    address_rules: ClientAddressRules,
    sites: Option<Sites>,
    listener: impl FnOnce(handover::Sender, &mut Site),
) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        password: Some(Secret::new(quick_hash())),
        state_folder: folder.path().to_owned(),
        // No test meets the limit by being slow; those that are about it set their own.
        connection_limit: Duration::from_secs(120),
        ..Settings::default()
    };
    change(&mut settings);
    // One worker for HTTP, and one for UDP.
    let metrics = Arc::new(Metrics::new(2));
    metrics.set(Gauge::Restored, 1);
    let tracker = Arc::new(Tracker::new(Default::default(), metrics));
    let clock = Clock::start();
    let census = Arc::new(ArcSwap::from_pointee(Census::default()));
    let address_rules = Arc::new(ArcSwap::from_pointee(address_rules));
    let blobs = Arc::new(Mutex::new(HashMap::new()));
    let refuses = Refuses::default();
    let (ends, _) = std::sync::mpsc::channel();
    let window = settings.login_window;
    let auditing = audit::start(folder.path(), window, clock, ends.clone()).unwrap();
    let told = auditing.audit();
    let limits = Arc::new(Limits::default());
    let backend = backend(
        &tracker,
        clock,
        &census,
        &address_rules,
        &blobs,
        &refuses,
        told.clone(),
    );
    let mut backend = limited(backend, &limits, &refuses);
    backend.sites = sites;
    let watch = Arc::new(Watch::new(clock));
    backend.watch = Arc::clone(&watch);
    let (pages, connections) = handover::channel(settings.handover_limits());
    let core = Arc::clone(&tracker);
    let running = retracker::web::start(settings, core, clock, backend, connections, ends);
    let mut site = Site {
        address: "127.0.0.1:0".parse().unwrap(),
        tracker,
        clock,
        census,
        address_rules,
        blobs,
        refuses,
        folder,
        running: Some(running.unwrap()),
        audit: told,
        auditing: Some(auditing),
        limits,
        watch,
        _front: None,
    };
    listener(pages, &mut site);
    site
}

#[expect(
    clippy::too_many_lines,
    reason = "a closure for each thing that pages may ask for"
)]
fn backend(
    tracker: &Arc<Tracker>,
    clock: Clock,
    census: &Arc<ArcSwap<Census>>,
    address_rules: &Arc<ArcSwap<ClientAddressRules>>,
    blobs: &Arc<Mutex<HashMap<String, Vec<u8>>>>,
    refuses: &Refuses,
    audit: Audit,
) -> Backend {
    let may = || {
        let refuses = Arc::clone(refuses);
        move || refuses.lock().unwrap().map_or(Ok(()), Err)
    };
    let (may_block, may_unblock, may_save, may_list) = (may(), may(), may(), may());
    let (may_make, may_revoke) = (may(), may());
    let (making, revoking) = (Arc::clone(tracker), Arc::clone(tracker));
    let listing = Arc::clone(tracker);
    let (blocking, unblocking) = (Arc::clone(tracker), Arc::clone(tracker));
    let (put, get) = (Arc::clone(blobs), Arc::clone(blobs));
    Backend {
        block: Box::new(move |new: NewBlock| {
            may_block()?;
            let mut blocks = blocking.access().blocks();
            let block = Block {
                number: blocks.iter().map(|block| block.number).max().unwrap_or(0) + 1,
                target: new.target,
                reason: new.reason,
                created: clock.wall(),
                expires: new.expires,
            };
            blocks.push(block.clone());
            blocking.block(blocks, clock.wall(), clock.now());
            Ok(block)
        }),
        unblock: Box::new(move |number| {
            may_unblock()?;
            let mut blocks = unblocking.access().blocks();
            let before = blocks.len();
            blocks.retain(|block| block.number != number);
            let is_gone = blocks.len() < before;
            unblocking.block(blocks, clock.wall(), clock.now());
            Ok(is_gone)
        }),
        make_keys: Box::new(move |new| may_make().map(|()| make_keys(&making, clock, new))),
        revoke_keys: Box::new(move |numbers| {
            may_revoke().map(|()| revoke_keys(&revoking, clock, numbers))
        }),
        list_torrents: Box::new(move |change| {
            may_list()?;
            Ok(list_torrents(&listing, change, clock))
        }),
        list_files: Box::new(list_files),
        save: Box::new(move |()| may_save()),
        put: Box::new(move |name, bytes| {
            put.lock().unwrap().insert(name.to_owned(), bytes);
        }),
        get: Box::new(move |name| Ok(get.lock().unwrap().get(name).cloned())),
        census: Arc::clone(census),
        address_rules: Arc::clone(address_rules),
        configuration: Box::new(|| {
            vec![ConfigurationRow {
                section: "STATS".into(),
                key: "access_password".into(),
                value: "***".into(),
                origin: "file".into(),
            }]
        }),
        listening: Listening {
            http: vec!["0.0.0.0:80".parse().unwrap()],
            udp: vec!["0.0.0.0:6969".parse().unwrap()],
            ..Listening::default()
        },
        full_scrape: full_scrape(tracker, clock),
        certificates: Box::new(|| {
            vec![CertificateRow {
                file: "a \"quoted\" name.pem".into(),
                ends: Wall(2_000_000_000),
            }]
        }),
        routes: Vec::new(),
        sites: None,
        audit,
        watch: Arc::new(Watch::new(clock)),
        limits: Arc::default(),
        lift: Box::new(|_| Ok(None)),
    }
}

/// The same with these limits, whose bans can be lifted.
fn limited(backend: Backend, limits: &Arc<Limits>, refuses: &Refuses) -> Backend {
    let (lifting, refuses) = (Arc::clone(limits), Arc::clone(refuses));
    Backend {
        limits: Arc::clone(limits),
        lift: Box::new(move |number| {
            refuses.lock().unwrap().map_or(Ok(()), Err)?;
            Ok(lifting.lift(number).map(|ban| ban.network))
        }),
        ..backend
    }
}

fn make_keys(tracker: &Tracker, clock: Clock, new: Vec<NewKey>) -> Vec<i64> {
    let make = |key| {
        let number = i64::try_from(tracker.keys().len()).unwrap() + 1;
        tracker.keys().put(KeyRecord {
            number,
            key,
            is_from_file: false,
            created: clock.wall(),
            revoked: None,
        });
        number
    };
    new.into_iter().map(make).collect()
}

fn revoke_keys(tracker: &Tracker, clock: Clock, mut numbers: Vec<i64>) -> Vec<i64> {
    let is_in_force = |number: &i64| {
        let key = tracker.keys().one(*number);
        key.is_some_and(|key| key.record.revoked.is_none())
    };
    numbers.retain(is_in_force);
    for number in &numbers {
        tracker.revoke_key(*number, clock.wall(), clock.now());
    }
    numbers
}

fn list_torrents(tracker: &Tracker, change: TorrentListChange, clock: Clock) -> TorrentListOutcome {
    let TorrentListChange { added, removed } = change;
    let before = tracker.access().listed_torrents().added;
    let after = before.changed(&added, &[]).changed(&[], &removed);
    let removed = before.iter().filter(|hash| !after.contains(hash)).count();
    let outcome = TorrentListOutcome {
        added: after.len() + removed - before.len(),
        removed,
        total: after.len(),
    };
    let list = |listed: &mut ListedTorrents| listed.added = Arc::new(after);
    tracker.change_access(|access| access.list_torrents(list), clock.now());
    outcome
}

fn list_files() -> Vec<ListFile> {
    let file = |subject, path: &str, fault: Option<&str>| ListFile {
        subject,
        path: path.to_owned(),
        ranges: 7_000,
        torrents: 9_000,
        read: Some(1_700_000_000),
        fault: fault.map(str::to_owned),
    };
    let fault = Some("/etc/<b>:3: a <b>fault</b>");
    vec![
        file(ListFileSubject::Torrents, "/etc/listed", None),
        file(ListFileSubject::Blocklist, "/etc/<b>", fault),
    ]
}

/// Accepts connections as the tracker's listener does: reads the first bytes, then hands over.
fn listen(pages: handover::Sender, address_rules: Arc<ArcSwap<ClientAddressRules>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .name("listener".into())
        .spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut read = vec![0; 7];
                let length = stream.read(&mut read).unwrap_or(0);
                read.truncate(length);
                let Ok(peer) = stream.peer_addr() else {
                    continue;
                };
                stream.set_nonblocking(true).unwrap();
                let source = Source {
                    ip: peer.ip(),
                    is_admin: address_rules.load().is_admin_socket(peer.ip()),
                };
                let handover = Handover {
                    stream,
                    tls: None,
                    read,
                    peer,
                    hold: Box::new(()),
                };
                // One without a place, or after the end of the site, is closed.
                drop(pages.send(handover, source));
            }
        })
        .unwrap();
    address
}

impl Site {
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor {
            address: self.address,
            from: "127.0.0.1".into(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// A program with a token.
    pub(crate) fn program(&self, scope: Scope, expires: Option<Wall>) -> Visitor {
        let mut visitor = self.visitor();
        let header = format!("Bearer {}", self.token_for(scope, expires));
        visitor.headers.push(("Authorization".into(), header));
        visitor
    }

    /// A visitor whose program says that it shows pages.
    pub(crate) fn browser(&self) -> Visitor {
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        let mut visitor = self.visitor();
        visitor.headers.push(("Accept".into(), accept.into()));
        visitor
    }

    /// A visitor that has logged in.
    pub(crate) fn operator(&self) -> Visitor {
        let mut visitor = self.visitor();
        let reply = visitor.log_in("admin", PASSWORD);
        assert_eq!((reply.status, reply.header("location")), (302, "/stat"));
        visitor
    }

    /// Lets a client announce straight to the core; whether it was served.
    pub(crate) fn announce(&self, ip: &str, hash: [u8; 20], is_seeder: bool) -> bool {
        let announce = Announce {
            info_hash: InfoHash(hash),
            peer_id: PeerId(*b"-qB4520-abcdefghijkl"),
            key: None,
            ip: ip.parse().unwrap(),
            inner_ip: None,
            is_reported: false,
            port: 6881,
            is_seeder,
            downloaded: 0,
            event: Event::Started,
            num_want: None,
            options: ListOptions::default(),
        };
        let mut rng = fastrand::Rng::with_seed(7);
        let mut turn = AnnounceContext {
            now: self.clock.now(),
            rng: &mut rng,
            counters: self.tracker.metrics().counters(0),
        };
        self.tracker
            .announce(&announce, &mut turn, &mut PeerList::default())
            .is_ok()
    }

    /// Counts everything, as the reaper does.
    pub(crate) fn count(&self) {
        let census = self.tracker.census(self.clock.now(), self.clock.wall());
        self.census.store(Arc::new(census));
    }

    /// The backend refuses everything from here on.
    pub(crate) fn refuse(&self, error: BackendError) {
        *self.refuses.lock().unwrap() = Some(error);
    }

    /// Bans a source for an hour.
    pub(crate) fn ban(&self, network: &str, number: u64) {
        let now = self.clock.now();
        self.limits.restore([Ban {
            number,
            network: network.parse().unwrap(),
            kind: Kind::Requests,
            since: now,
            until: now.plus(3_600),
        }]);
    }

    pub(crate) fn token(&self) -> String {
        self.token_for(Scope::Admin, None)
    }

    pub(crate) fn token_for(&self, scope: Scope, expires: Option<Wall>) -> String {
        let tokens = retracker::web::Tokens::new(self.folder.path());
        let new = NewToken {
            name: "test",
            scope,
            expires,
        };
        tokens.create(&new, Wall(1)).unwrap()
    }
}

/// Somebody with a browser: keeps cookies, follows nothing.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) address: SocketAddr,
    pub(crate) from: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header; empty without.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The token in the first form of the page.
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) = self
            .body
            .split_once("name=\"csrf\" value=\"")
            .expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// The hidden fields of the page, as a browser sends them.
    pub(crate) fn hidden_fields(&self) -> Vec<(String, String)> {
        let plain = |text: &str| {
            let text = text.replace("&lt;", "<").replace("&gt;", ">");
            let text = text
                .replace("&quot;", "\"")
                .replace("&#x27;", "'")
                .replace("&#39;", "'")
                .replace("&#x2F;", "/");
            text.replace("&amp;", "&")
        };
        let fields = self.body.split("type=\"hidden\" name=\"").skip(1);
        let field = |text: &str| {
            let (name, rest) = text.split_once("\" value=\"").expect("a value");
            (plain(name), plain(rest.split('"').next().unwrap()))
        };
        fields.map(field).collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Visitor {
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, "")
    }

    pub(crate) fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let body: Vec<String> = form
            .iter()
            .map(|(key, value)| format!("{key}={}", encode(value)))
            .collect();
        self.send("POST", path, &body.join("&"))
    }

    /// Posts a form with the token of the page at `page`.
    pub(crate) fn submit(&mut self, page: &str, path: &str, form: &[(&str, &str)]) -> Reply {
        let csrf = self.get(page).csrf();
        let mut fields = vec![("csrf", csrf.as_str())];
        fields.extend_from_slice(form);
        self.post(path, &fields)
    }

    pub(crate) fn log_in(&mut self, username: &str, password: &str) -> Reply {
        let fields = [("username", username), ("password", password)];
        self.submit("/login", "/login", &fields)
    }

    /// Logs in by the form that is shown.
    pub(crate) fn log_in_by(&mut self, shown: &Reply, password: &str) -> Reply {
        let hidden = shown.hidden_fields();
        let mut fields: Vec<(&str, &str)> = vec![("username", "admin"), ("password", password)];
        fields.extend(
            hidden
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        self.post("/login", &fields)
    }

    /// What [`Visitor::send`] puts on the wire.
    pub(crate) fn wording(&self, method: &str, path: &str, body: &str) -> String {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !cookies.is_empty() {
            text.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if !body.is_empty() || method == "POST" {
            let kind = if body.starts_with('{') {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            let length = body.len();
            text.push_str(&format!(
                "Content-Type: {kind}\r\nContent-Length: {length}\r\n"
            ));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let text = self.wording(method, path, body);
        let reply = parse(&exchange(self.address, &self.from, text.as_bytes()));
        for (_, cookie) in reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }
}

/// Sends bytes from an address and reads until the other side closes.
pub(crate) fn exchange(to: SocketAddr, from: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(to, from);
    stream.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    let mut piece = [0; 16 * 1_024];
    // A server that refuses a long body closes before it has read it all.
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        reply.extend_from_slice(piece.get(..length).unwrap_or_default());
        // One that does not end is not waited for.
        if reply.starts_with(b"HTTP/1.1 200 ") && head_of(&reply).contains("text/event-stream") {
            break;
        }
    }
    reply
}

/// The head of a reply, as far as it has come.
fn head_of(reply: &[u8]) -> String {
    let head = reply.get(..1_024).unwrap_or(reply);
    let head = String::from_utf8_lossy(head).into_owned();
    head.split("\r\n\r\n").next().unwrap_or_default().to_owned()
}

/// A connection from an address.
pub(crate) fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

pub(crate) fn parse(bytes: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Reply {
        status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
        headers,
        body: body.to_owned(),
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Lines that were logged in this process, with their targets.
static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Keeper;

impl log::Log for Keeper {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = (record.target().to_owned(), record.args().to_string());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Keeps what is logged from `info` upwards from here on.
pub(crate) fn keep_log() {
    log::set_logger(&Keeper).unwrap();
    log::set_max_level(log::LevelFilter::Info);
}

/// What was logged under targets that begin so.
pub(crate) fn log_of(target: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    let lines = lines.iter().filter(|(of, _)| of.starts_with(target));
    lines.map(|(_, line)| line.clone()).collect()
}
