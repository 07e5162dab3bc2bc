//! What the tracker says to one request: from path, query and address to the body of the reply. No socket here, so the lean
//! loop and actix-web's routes answer alike.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Probe;
use super::codec::head::Head;
use super::codec::query::{Fault, Parameters};
use super::codec::reply::{AnnounceFormat, Retry};
use super::codec::{query, reply};
use super::settings::Settings;
use super::watched;
use crate::clock::{Clock, Seconds};
use crate::metrics::{Action, Failure, Family, Metrics, Transport, WorkerCounters};
use crate::net::client_address;
use crate::net::client_address::{ClientAddressRules, Forwarding, ProxyChain};
use crate::net::hosts::Browser;
use crate::net::limits::{Gate, Kind, Limits, Reason, Refused as Limited};
use crate::net::reported_address::Reports;
use crate::percent;
use crate::tracker::{
    Announce, AnnounceContext, AnnounceReply, InfoHash, KeyDigest, KeyUser, Keys, ListOptions,
    PeerList, Refusal, Tracker, name_before_key,
};
use crate::watch::{Answer, Asked, Kind as Watched, Scraped, Subject, Tap, Watch};

/// One in so many requests is timed: looking at the clock costs as much as parsing a query.
const TIMED_SHARE: u32 = 16;

/// What a path of the tracker asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Announce,
    Scrape,
    Status,
    Probe(Probe),
}

impl Endpoint {
    /// Whether admins are told more.
    pub(super) const fn knows_admins(self) -> bool {
        matches!(self, Endpoint::Status | Endpoint::Probe(_))
    }

    /// Whether it is the tracker's own; the rest are pages that the lean loop may answer in their stead.
    pub(super) const fn is_trackers(self) -> bool {
        !matches!(self, Endpoint::Probe(_))
    }
}

/// What a path and query ask the tracker for; `None` when they are none of its business (P1). The path counts as it is
/// decoded, for the pages' router decodes it as well.
#[inline]
pub(super) fn endpoint(path: &[u8], query: &[u8], keys: &Keys) -> Option<Endpoint> {
    match path {
        b"/announce" => Some(Endpoint::Announce),
        _ => less_common_endpoint(path, query, keys),
    }
}

fn less_common_endpoint(path: &[u8], query: &[u8], keys: &Keys) -> Option<Endpoint> {
    if !path.starts_with(b"/") {
        return None;
    }
    if path == b"/" {
        return query::names_info_hash(query).then_some(Endpoint::Announce);
    }
    let decoded = percent::decode_path(path);
    let path = decoded.strip_suffix(b"/").unwrap_or(&decoded);
    let is_last = |name: &[u8]| {
        let folder = path.strip_suffix(name);
        folder.is_some_and(|folder| folder.ends_with(b"/"))
    };
    if is_last(b"announce") || is_last(b"announce.php") || path == b"/ann" {
        Some(Endpoint::Announce)
    } else if is_last(b"scrape") || is_last(b"scrape.php") || path == b"/scr" {
        Some(Endpoint::Scrape)
    } else if let Some(name) = name_before_key(path).filter(|_| !keys.are_off()) {
        let is_announce = name.starts_with(b"announce");
        Some(if is_announce {
            Endpoint::Announce
        } else {
            Endpoint::Scrape
        })
    } else {
        match path {
            b"/status" => Some(Endpoint::Status),
            b"/health" => Some(Endpoint::Probe(Probe::Health)),
            b"/ready" => Some(Endpoint::Probe(Probe::Ready)),
            _ => None,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    /// The socket's address, canonical.
    socket: IpAddr,
    /// What is known of the client.
    found: client_address::Client,
    /// The headers that name an origin, when there are any.
    forwarding: Option<Forwarding<'a>>,
    /// What is told of the client's browser.
    browser: Browser,
}

impl<'a> Client<'a> {
    /// Finds out who asks. `forwarding` may be left out when the request has no such headers.
    pub(super) fn new(
        address_rules: &ClientAddressRules,
        socket: IpAddr,
        forwarding: Option<Forwarding<'a>>,
        browser: Browser,
    ) -> Client<'a> {
        let none = Forwarding::default();
        Client {
            socket,
            found: address_rules.decide(socket, forwarding.as_ref().unwrap_or(&none)),
            forwarding,
            browser,
        }
    }

    /// The address of a client that may announce and scrape.
    fn client_ip(&self) -> Result<IpAddr, Refused> {
        if self.browser.may_ask_for_other_site() {
            return Err(Refused::CrossSite);
        }
        self.found.address.known().ok_or(Refused::Address)
    }

    /// The client of a request that was sent to this `Host`. Before that is known it is no admin; nor is a foreign page in an
    /// admin's browser.
    pub(super) fn to_host(
        self,
        host: Option<&[u8]>,
        address_rules: &ClientAddressRules,
    ) -> Client<'a> {
        if self.browser.names_other_site() == Some(true) {
            return self;
        }
        Client {
            found: self.found.to_host(host, &address_rules.hosts),
            ..self
        }
    }

    /// Whether it is one of the people who run the tracker.
    pub(super) fn is_admin(&self, address_rules: &ClientAddressRules) -> bool {
        address_rules.is_admin(&self.found)
    }

    /// The address that its request counts for, where it is known.
    pub(super) const fn known_ip(&self) -> Option<IpAddr> {
        self.found.address.known()
    }

    /// The address under which a watcher sees it: that of the socket where the client's is not known.
    fn shown_ip(&self) -> IpAddr {
        self.known_ip().unwrap_or(self.socket)
    }

    /// Whether nobody speaks for it: the socket is its own.
    pub(super) fn is_direct(&self) -> bool {
        self.shown_ip() == self.socket
    }

    /// The proxies that its request came through.
    fn proxies<'b>(&'b self, address_rules: &'b ClientAddressRules) -> ProxyChain<'b> {
        address_rules.proxy_chain(self.socket, self.forwarding.as_ref())
    }
}

/// The fields of a request's head, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields<'a> {
    /// Not looked for yet.
    Head(&'a Head<'a>),
    /// Those that are shown.
    Known {
        host: Option<&'a [u8]>,
        user_agent: Option<&'a [u8]>,
    },
}

/// How a request came, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// The port at the socket's other end.
    pub port: u16,
    /// Whether it came by TLS to the tracker itself.
    pub is_tls: bool,
    pub fields: Fields<'a>,
}

/// One request, as it comes to the handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub endpoint: Endpoint,
    /// As it came. It may hold a key, so it is shown nowhere.
    pub path: &'a [u8],
    pub query: &'a [u8],
    pub client: &'a Client<'a>,
    pub arrival: Arrival<'a>,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The time.
    pub now: Seconds,
}

/// Where a handler counts; apart from its other fields, which an announce borrows meanwhile.
#[inline]
fn counters(metrics: &Metrics, worker: Option<usize>) -> &WorkerCounters {
    worker.map_or_else(|| metrics.spare(), |worker| metrics.counters(worker))
}

/// Answers requests, one at a time; keeps its buffers from one to the next.
#[derive(Debug)]
pub(super) struct Handler {
    tracker: Arc<Tracker>,
    clock: Clock,
    worker: Option<usize>,
    rng: fastrand::Rng,
    list: PeerList,
    hashes: Vec<InfoHash>,
    untimed: u32,
    /// Open to everybody where limits have been looked at before, or are nobody's matter.
    gate: Gate,
    tap: Tap,
}

impl Handler {
    /// A handler of the worker with this index, whose counters it uses; `None` for a thread that has none of its own.
    pub(super) fn new(tracker: Arc<Tracker>, clock: Clock, worker: Option<usize>) -> Handler {
        Handler {
            tracker,
            clock,
            worker,
            rng: fastrand::Rng::new(),
            list: PeerList::default(),
            hashes: Vec::new(),
            untimed: 0,
            gate: Gate::default(),
            tap: Tap::default(),
        }
    }

    /// The same, telling what it answers to whoever watches.
    pub(super) fn watched(self, watch: &Arc<Watch>) -> Handler {
        Handler {
            tap: Tap::new(watch),
            ..self
        }
    }

    /// The same, refusing who asks for too much.
    pub(super) fn limited(self, limits: &Arc<Limits>) -> Handler {
        Handler {
            gate: limits.gate(),
            ..self
        }
    }

    /// Tells the limits the time since the start of the clock, once for all that happened together.
    pub(super) fn set_limit_time(&mut self, now: Duration) {
        self.gate.set_now(now);
    }

    /// Counts a connection that was accepted from this socket address.
    ///
    /// # Errors
    /// When it is not to be served.
    pub(super) fn admit_connection(&mut self, socket: IpAddr) -> Result<(), Limited> {
        self.admit(Kind::Connections, socket.to_canonical())
    }

    /// Counts a request of this address, of the tracker or a page.
    ///
    /// # Errors
    /// When it is not to be served.
    pub(super) fn admit_request(&mut self, ip: IpAddr) -> Result<(), Limited> {
        self.admit(Kind::Requests, ip)
    }

    #[inline]
    fn admit(&mut self, kind: Kind, ip: IpAddr) -> Result<(), Limited> {
        if !self.gate.is_on() {
            return Ok(());
        }
        self.admit_limited(kind, ip)
    }

    /// Never where it is called, so that a request pays for no more than the look at [`Gate::is_on`] while there are no limits.
    #[inline(never)]
    fn admit_limited(&mut self, kind: Kind, ip: IpAddr) -> Result<(), Limited> {
        self.gate.admit(kind, ip).inspect_err(|limited| {
            let failure = match (limited.reason, kind) {
                (Reason::Banned, _) => Failure::Banned,
                (Reason::Rate, Kind::Connections) => Failure::ConnectionRate,
                (Reason::Rate, _) => Failure::RequestRate,
            };
            counters(self.tracker.metrics(), self.worker).failed(Transport::Http, failure);
        })
    }

    /// The same for a request that was read.
    #[cold]
    pub(super) fn refuse_limited(
        &mut self,
        limited: Limited,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) {
        self.turn_away(limited, out);
        if self.tap.is_on() {
            self.tell_refused(request, limited.text().into());
        }
    }

    /// Writes the body for a client of the tracker that is not served, behind what is in `out`.
    pub(super) fn turn_away(&self, limited: Limited, out: &mut Vec<u8>) {
        let tracker = self.tracker.settings();
        let min_interval = tracker.min_interval(tracker.announce_interval);
        let retry = Retry::Minutes(limited.minutes());
        reply::failure(out, limited.text(), min_interval, retry);
    }

    /// The keys of announce addresses, which decide what is a path of the tracker.
    pub(super) fn keys(&self) -> &Keys {
        self.tracker.keys()
    }

    /// The key in the path of a request, where keys mean something.
    #[inline]
    fn key(&self, path: &[u8]) -> Result<Option<KeyDigest>, Refusal> {
        let keys = self.tracker.keys();
        if keys.are_off() {
            return Ok(None);
        }
        keys.in_path(path)
    }

    /// Seeds the random numbers, so that what is drawn can be repeated.
    pub(super) fn seed(&mut self, seed: u64) {
        self.rng.seed(seed);
    }

    /// Where this handler counts.
    pub(super) fn counters(&self) -> &WorkerCounters {
        counters(self.tracker.metrics(), self.worker)
    }

    /// Counts a report that was given, of how the process is.
    pub(super) fn reported(&self, client: &Client<'_>, address_rules: &ClientAddressRules) {
        self.notice(client, address_rules);
        self.count(client, Action::Page);
    }

    fn notice(&self, client: &Client<'_>, address_rules: &ClientAddressRules) {
        if client.forwarding.is_some() {
            address_rules.notice(client.socket, &client.found, self.tracker.metrics());
        }
    }

    fn count(&self, client: &Client<'_>, action: Action) {
        let ip = client.found.address.known().unwrap_or(client.socket);
        self.counters()
            .answered(Transport::Http, Family::of(ip), action);
    }

    /// Writes the body of the reply behind what is in `out`, and counts.
    pub(super) fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let start = self
            .untimed
            .is_multiple_of(TIMED_SHARE)
            .then(|| self.clock.elapsed());
        self.untimed = self.untimed.wrapping_add(1);
        let client = request.client;
        self.notice(client, &request.settings.address_rules);
        let action = match request.endpoint {
            Endpoint::Announce => self.announce(request, out),
            Endpoint::Scrape => self.scrape(request, out),
            Endpoint::Status => {
                // Without a proxy there is nothing to tell of one.
                let forwarding = client.forwarding.unwrap_or_default();
                let address_rules = &request.settings.address_rules;
                let text = address_rules.status(client.socket, &client.found, &forwarding);
                out.extend_from_slice(text.as_bytes());
                Ok(Action::Page)
            }
            // Answered without the handler, by whoever knows.
            Endpoint::Probe(_) => Ok(Action::Page),
        };
        match action {
            Ok(action) => self.count(client, action),
            Err(refused) => self.refuse(refused, request, out),
        }
        if let Some(start) = start {
            let took = self.clock.elapsed().saturating_sub(start);
            self.counters().took(took);
        }
    }

    fn refuse(&mut self, refused: Refused, request: &Request<'_>, out: &mut Vec<u8>) {
        self.counters().failed(Transport::Http, refused.failure());
        let tracker = self.tracker.settings();
        let min_interval = tracker.min_interval(tracker.announce_interval);
        refused.write(min_interval, out);
        if self.tap.is_on() {
            self.tell_refused(request, refused.text());
        }
    }

    /// Tells whoever watches of an announce that was answered.
    #[cold]
    fn tell_announce(
        &mut self,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        announce: &Announce,
        replied: &AnnounceReply,
    ) {
        let ip = request.client.shown_ip();
        let list = &self.list;
        let subject = Subject {
            kind: Watched::Announce,
            ip,
            peer_id: Some(announce.peer_id),
            asks_for: &|hash| *hash == announce.info_hash,
        };
        self.tap.tell(&subject, |time| {
            let said = parameters.said(query::uploaded(request.query));
            let answer = Answer::announce(replied, list);
            watched::observed(time, request, ip, Asked::Announce(said), answer)
        });
    }

    /// Tells whoever watches of a scrape of these torrents.
    fn tell_scrape(&mut self, request: &Request<'_>, hashes: &[InfoHash], answer: Answer) {
        let ip = request.client.shown_ip();
        let subject = Subject {
            kind: Watched::Scrape,
            ip,
            peer_id: None,
            asks_for: &|hash| hashes.contains(hash),
        };
        self.tap.tell(&subject, |time| {
            let scraped = Scraped::new(hashes.iter().copied());
            watched::observed(time, request, ip, Asked::Scrape(scraped), answer)
        });
    }

    /// Tells whoever watches of a request that was refused; it is read for that once more.
    #[cold]
    fn tell_refused(&mut self, request: &Request<'_>, text: Cow<'static, str>) {
        let ip = request.client.shown_ip();
        let answer = Answer::failure(text);
        match request.endpoint {
            Endpoint::Announce if self.tap.may_want(Watched::Announce, ip) => {
                let parameters = Parameters::read(request.query, b"");
                let said = parameters.said(query::uploaded(request.query));
                let subject = Subject {
                    kind: Watched::Announce,
                    ip,
                    peer_id: said.peer_id,
                    asks_for: &|hash| said.info_hash == Some(*hash),
                };
                self.tap.tell(&subject, |time| {
                    watched::observed(time, request, ip, Asked::Announce(said.clone()), answer)
                });
            }
            Endpoint::Scrape if self.tap.may_want(Watched::Scrape, ip) => {
                let mut hashes = Vec::new();
                // What is wrong with it has been answered.
                let _ = query::scrape(request.query, request.settings.max_scrape, &mut hashes);
                self.tell_scrape(request, &hashes, answer);
            }
            _ => {}
        }
    }

    fn announce(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Action, Refused> {
        let Request {
            query,
            client,
            settings,
            now,
            ..
        } = *request;
        let client_ip = client.client_ip()?;
        let parameters = Parameters::read(query, settings.run_gc_key.as_bytes());
        if parameters.asks_sweep && client.is_admin(&settings.address_rules) {
            self.tracker.sweep(now);
            out.extend_from_slice(b"OK");
            return Ok(Action::Page);
        }
        let key = self.key(request.path)?;
        let is_compact = parameters.is_compact().unwrap_or(settings.compact_default);
        let options = ListOptions {
            with_ids: !is_compact && !parameters.spares_peer_ids(),
            ..ListOptions::default()
        };
        let mut context = AnnounceContext {
            now,
            rng: &mut self.rng,
            counters: counters(self.tracker.metrics(), self.worker),
        };
        let reports = Reports {
            source: client_ip,
            addresses: parameters.reported(),
            proxies: Some(client.proxies(&settings.address_rules)),
        };
        let (rules, transport) = (&settings.reported, Transport::Http);
        let required = parameters.required()?;
        let addresses = self
            .tracker
            .resolve_addresses(reports, rules, transport, &context)?;
        let announce = parameters.announce(&required, &addresses, options);
        let replied = match key {
            None => self
                .tracker
                .announce(&announce, &mut context, &mut self.list)?,
            Some(digest) => {
                let uploaded = query::uploaded(query).unwrap_or(0);
                let user = KeyUser { digest, uploaded };
                self.tracker
                    .announce_by_key(&announce, &user, &mut context, &mut self.list)?
            }
        };
        let form = AnnounceFormat {
            is_compact,
            wants_v6: client_ip.is_ipv6(),
            external_ip: settings.external_ip.then_some(client_ip),
        };
        let warned_by = replied.warned_by;
        let warning = warned_by.and_then(|zone| self.tracker.warning(zone));
        reply::announce(out, &replied, &self.list, form, warning.as_deref());
        let is_wanted = |tap: &mut Tap| {
            let ip = client.shown_ip();
            tap.may_want_announce(ip, &announce.info_hash, &announce.peer_id)
        };
        if self.tap.is_on() && is_wanted(&mut self.tap) {
            self.tell_announce(request, &parameters, &announce, &replied);
        }
        Ok(Action::Announce)
    }

    fn scrape(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Action, Refused> {
        let Request {
            query,
            client,
            settings,
            now,
            ..
        } = *request;
        let client_ip = client.client_ip()?;
        if let Some(key) = self.key(request.path)? {
            self.tracker.keys().admit(&key)?;
        }
        query::scrape(query, settings.max_scrape, &mut self.hashes)?;
        self.tracker.access().admit(client_ip)?;
        let tracker = &self.tracker;
        let files = self
            .hashes
            .iter()
            .map(|hash| (*hash, tracker.scrape(hash, now)));
        reply::scrape(out, files);
        if self.tap.is_on() && self.tap.may_want(Watched::Scrape, client.shown_ip()) {
            let hashes = std::mem::take(&mut self.hashes);
            let answer = Answer::Scrape {
                torrents: hashes.len(),
            };
            self.tell_scrape(request, &hashes, answer);
            self.hashes = hashes;
        }
        Ok(Action::Scrape)
    }
}

/// Why a request of the tracker is answered with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Query(Fault),
    Core(Refusal),
    Address,
    CrossSite,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused::Query(fault)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused::Core(refusal)
    }
}

impl Refused {
    const fn failure(self) -> Failure {
        match self {
            Refused::Query(fault) => fault.failure(),
            Refused::Core(refusal) => refusal.failure(),
            Refused::Address => Failure::InvalidAddress,
            Refused::CrossSite => Failure::CrossSite,
        }
    }

    /// What cannot change by itself is not worth asking again; what an operator may lift, or did by a slip, is, after an hour.
    const fn retry(self) -> Retry {
        match self {
            Refused::Query(_) => Retry::Unsaid,
            Refused::CrossSite | Refused::Core(Refusal::AddressIgnored | Refusal::ClientDenied) => {
                Retry::Never
            }
            Refused::Address
            | Refused::Core(
                Refusal::AddressNotServed
                | Refusal::AddressBlocked
                | Refusal::TorrentBlocked
                | Refusal::KeyMissing
                | Refusal::KeyUnknown
                | Refusal::KeyEnded
                | Refusal::KeyRevoked
                | Refusal::KeyAddresses
                | Refusal::KeyTorrents
                | Refusal::KeysFull,
            ) => Retry::Minutes(60),
            // It may be listed a moment later.
            Refused::Core(Refusal::TorrentNotListed) => Retry::Minutes(10),
        }
    }

    fn text(self) -> Cow<'static, str> {
        match self {
            Refused::Query(fault) => fault.to_string().into(),
            Refused::Core(refusal) => refusal.to_string().into(),
            Refused::Address => "client address unknown to the tracker".into(),
            Refused::CrossSite => "requests of web pages are not served".into(),
        }
    }

    fn write(self, min_interval: u32, out: &mut Vec<u8>) {
        reply::failure(out, &self.text(), min_interval, self.retry());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{KeyMode, Settings as TrackerSettings};

    fn tracker(keys: KeyMode) -> Tracker {
        let settings = TrackerSettings {
            keys,
            ..TrackerSettings::default()
        };
        Tracker::new(settings, Arc::new(Metrics::new(0)))
    }

    /// What a path asks for where keys mean nothing.
    fn of(path: &str, query: &[u8]) -> Option<Endpoint> {
        endpoint(path.as_bytes(), query, tracker(KeyMode::Off).keys())
    }

    /// O16, P1: what stands behind the name is a key only where there are any.
    #[test]
    fn a_key_behind_the_name_is_the_trackers_where_keys_are() {
        let key = "0123456789abcdef0123456789abcdef";
        let accepting = tracker(KeyMode::Accepted);
        for (path, endpoint_there) in [
            (format!("/announce/{key}"), Some(Endpoint::Announce)),
            (format!("/announce/{key}/"), Some(Endpoint::Announce)),
            (format!("/announce%2F{key}"), Some(Endpoint::Announce)),
            (
                format!("/announce/{key}{key}{key}"),
                Some(Endpoint::Announce),
            ),
            (format!("/bt/scrape/{key}"), Some(Endpoint::Scrape)),
            ("/announce/short".to_owned(), None),
            (format!("/stat/{key}"), None),
            (format!("/{key}"), None),
        ] {
            let there = endpoint(path.as_bytes(), b"", accepting.keys());
            assert_eq!(there, endpoint_there, "{path}");
            assert_eq!(of(&path, b""), None, "{path}");
        }
    }

    /// P1
    #[test]
    fn paths_of_the_tracker_are_known() {
        for path in [
            "/announce",
            "/announce.php",
            "/ann",
            "/x/announce",
            "/a/b/announce",
            "//announce",
            "/bt/announce.php",
            "/announce/",
            "/announce.php/",
            "/ann/",
            "/%61nnounce",
            "/bt%2Fannounce",
            "/%zz/announc%65%2F",
        ] {
            assert_eq!(of(path, b""), Some(Endpoint::Announce), "{path}");
        }
        for path in [
            "/scrape",
            "/scrape.php",
            "/scr",
            "/passkey/scrape",
            "/passkey/scrape.php/",
            "/%73crape",
        ] {
            assert_eq!(of(path, b""), Some(Endpoint::Scrape), "{path}");
        }
        assert_eq!(of("/", b"info_hash=x"), Some(Endpoint::Announce));
        let health = Endpoint::Probe(Probe::Health);
        for path in ["/health", "/health/", "/%68ealth"] {
            assert_eq!(of(path, b""), Some(health), "{path}");
        }
        for path in [
            "/",
            "",
            "*",
            "/announcement",
            "/announce//",
            "/announce.phtml",
            "/announce%",
            "/%2561nnounce",
            "announce",
            "x/announce",
            "/%2541nn",
            "/x/ann",
            "/Announce",
            "/stat",
            "/annannounce",
        ] {
            assert_eq!(of(path, b"x=info_hash"), None, "{path}");
        }
    }
}
