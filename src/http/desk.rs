//! What the tracker says to one request: from path, query and address to the body of the reply. No socket here, so the lean
//! loop and actix-web's routes answer alike.

use std::net::IpAddr;
use std::sync::Arc;

use super::Question;
use super::percent;
use super::query::{self, Fault, Parameters};
use super::reply::{self, Form, Retry};
use super::settings::Settings;
use crate::clock::{Clock, Seconds};
use crate::hosts::Browser;
use crate::metrics::{Action, Failure, Family, Sheet, Transport};
use crate::origin::{self, Forwarding, Origin};
use crate::reported::Addresses;
use crate::tracker::{InfoHash, PeerList, Refusal, Tracker, Turn};

/// One in so many requests is timed: looking at the clock costs as much as parsing a query.
const TIMED_SHARE: u32 = 16;

/// What a path of the tracker asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Announce,
    Scrape,
    Status,
    Report(Question),
}

impl Errand {
    /// Whether admins are told more.
    pub(super) const fn knows_admins(self) -> bool {
        matches!(self, Errand::Status | Errand::Report(_))
    }

    /// Whether it is the tracker's own; the rest are pages that the lean loop may answer in their stead.
    pub(super) const fn is_trackers(self) -> bool {
        !matches!(self, Errand::Report(_))
    }
}

/// What a path and query ask the tracker for; `None` when they are none of its business (P1). The path counts as it is
/// decoded, for the pages' router decodes it as well.
#[inline]
pub(super) fn errand(path: &[u8], query: &[u8]) -> Option<Errand> {
    match path {
        b"/announce" => Some(Errand::Announce),
        _ => less_common_errand(path, query),
    }
}

fn less_common_errand(path: &[u8], query: &[u8]) -> Option<Errand> {
    if !path.starts_with(b"/") {
        return None;
    }
    if path == b"/" {
        return query::names_info_hash(query).then_some(Errand::Announce);
    }
    let decoded = percent::decode_path(path);
    let path = decoded.strip_suffix(b"/").unwrap_or(&decoded);
    let is_last = |name: &[u8]| {
        let folder = path.strip_suffix(name);
        folder.is_some_and(|folder| folder.ends_with(b"/"))
    };
    if is_last(b"announce") || is_last(b"announce.php") || path == b"/ann" {
        Some(Errand::Announce)
    } else if is_last(b"scrape") || is_last(b"scrape.php") || path == b"/scr" {
        Some(Errand::Scrape)
    } else {
        match path {
            b"/status" => Some(Errand::Status),
            b"/health" => Some(Errand::Report(Question::Health)),
            b"/ready" => Some(Errand::Report(Question::Ready)),
            _ => None,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    /// The socket's address, canonical.
    socket: IpAddr,
    /// What is known of the client.
    found: origin::Caller,
    /// The headers that name an origin, when there are any.
    forwarding: Option<Forwarding<'a>>,
    /// What is told of the client's browser.
    browser: Browser,
}

impl<'a> Caller<'a> {
    /// Finds out who asks. `forwarding` may be left out when the request has no such headers.
    pub(super) fn new(
        origin: &Origin,
        socket: IpAddr,
        forwarding: Option<Forwarding<'a>>,
        browser: Browser,
    ) -> Caller<'a> {
        let none = Forwarding::default();
        Caller {
            socket,
            found: origin.decide(socket, forwarding.as_ref().unwrap_or(&none)),
            forwarding,
            browser,
        }
    }

    /// The address of a client that may announce and scrape.
    fn client(&self) -> Result<IpAddr, Refused> {
        if self.browser.may_ask_for_other_site() {
            return Err(Refused::CrossSite);
        }
        self.found.address.known().ok_or(Refused::Address)
    }

    /// The caller of a request that was sent to this `Host`. Before that is known it is no admin; nor is a foreign page in an
    /// admin's browser.
    pub(super) fn to_host(self, host: Option<&[u8]>, origin: &Origin) -> Caller<'a> {
        if self.browser.names_other_site() == Some(true) {
            return self;
        }
        Caller {
            found: self.found.to_host(host, &origin.hosts),
            ..self
        }
    }

    /// Whether it is one of the people who run the tracker.
    pub(super) fn is_admin(&self, origin: &Origin) -> bool {
        origin.is_admin(&self.found)
    }

    /// Whether a trusted proxy's chain holds the address.
    fn has_hop(&self, ip: IpAddr, origin: &Origin) -> bool {
        let forwarding = self.forwarding.as_ref();
        origin.believes(self.socket)
            && forwarding.is_some_and(|forwarding| forwarding.hops().any(|hop| hop == ip))
    }
}

/// One request, as it comes to the desk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) errand: Errand,
    pub(super) query: &'a [u8],
    pub(super) caller: &'a Caller<'a>,
    /// The settings in force.
    pub(super) settings: &'a Settings,
    /// The time.
    pub(super) now: Seconds,
}

/// Answers requests, one at a time; keeps its buffers from one to the next.
#[derive(Debug)]
pub(super) struct Desk {
    tracker: Arc<Tracker>,
    clock: Clock,
    sheet: usize,
    rng: fastrand::Rng,
    list: PeerList,
    hashes: Vec<InfoHash>,
    untimed: u32,
}

impl Desk {
    /// A desk that counts on the sheet of that index.
    pub(super) fn new(tracker: Arc<Tracker>, clock: Clock, sheet: usize) -> Desk {
        Desk {
            tracker,
            clock,
            sheet,
            rng: fastrand::Rng::new(),
            list: PeerList::default(),
            hashes: Vec::new(),
            untimed: 0,
        }
    }

    /// Makes chance repeat itself.
    pub(super) fn seed(&mut self, seed: u64) {
        self.rng.seed(seed);
    }

    /// Where this desk counts.
    pub(super) fn sheet(&self) -> &Sheet {
        self.tracker.metrics().sheet(self.sheet)
    }

    /// Counts a report that was given, of how the process is.
    pub(super) fn reported(&self, caller: &Caller<'_>, origin: &Origin) {
        self.notice(caller, origin);
        self.count(caller, Action::Page);
    }

    fn notice(&self, caller: &Caller<'_>, origin: &Origin) {
        if caller.forwarding.is_some() {
            origin.notice(caller.socket, &caller.found, self.tracker.metrics());
        }
    }

    fn count(&self, caller: &Caller<'_>, action: Action) {
        let ip = caller.found.address.known().unwrap_or(caller.socket);
        self.sheet()
            .answered(Transport::Http, Family::of(ip), action);
    }

    /// Writes the body of the reply behind what is in `out`, and counts.
    pub(super) fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let start = self
            .untimed
            .is_multiple_of(TIMED_SHARE)
            .then(|| self.clock.elapsed());
        self.untimed = self.untimed.wrapping_add(1);
        let caller = request.caller;
        self.notice(caller, &request.settings.origin);
        let action = match request.errand {
            Errand::Announce => self.announce(request, out),
            Errand::Scrape => self.scrape(request, out),
            Errand::Status => {
                let forwarding = caller.forwarding.unwrap_or_default();
                let origin = &request.settings.origin;
                let text = origin.status(caller.socket, &caller.found, &forwarding);
                out.extend_from_slice(text.as_bytes());
                Ok(Action::Page)
            }
            // Answered without the desk, by whoever knows.
            Errand::Report(_) => Ok(Action::Page),
        };
        let sheet = self.sheet();
        match action {
            Ok(action) => self.count(caller, action),
            Err(refused) => {
                sheet.failed(Transport::Http, refused.failure());
                let tracker = self.tracker.settings();
                let min_interval = tracker.min_interval(tracker.announce_interval);
                refused.write(min_interval, out);
            }
        }
        if let Some(start) = start {
            sheet.took(self.clock.elapsed().saturating_sub(start));
        }
    }

    fn announce(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Action, Refused> {
        let Request {
            query,
            caller,
            settings,
            now,
            ..
        } = *request;
        let client = caller.client()?;
        let parameters = Parameters::read(query, settings.run_gc_key.as_bytes());
        if parameters.asks_sweep && caller.is_admin(&settings.origin) {
            self.tracker.sweep(now);
            out.extend_from_slice(b"OK");
            return Ok(Action::Page);
        }
        let mut announce = parameters.announce(client)?;
        if !settings.reported.ignore {
            let Addresses { ip, inner_ip, .. } = self.judge(client, request, &parameters);
            if !self.tracker.report(&mut announce, ip, inner_ip, now)? {
                self.sheet()
                    .failed(Transport::Http, Failure::ReportedAddress);
            }
        }
        if settings.origin.believes(announce.ip) {
            // Where the proxy itself is reached there is no client: answered, and not stored (S13).
            announce.port = 0;
        }
        let is_compact = parameters.is_compact().unwrap_or(settings.compact_default);
        self.list.wants_ids = !is_compact && !parameters.spares_peer_ids();
        let mut turn = Turn {
            now,
            rng: &mut self.rng,
            sheet: self.tracker.metrics().sheet(self.sheet),
        };
        let replied = self
            .tracker
            .announce(&announce, &mut turn, &mut self.list)?;
        let form = Form {
            is_compact,
            wants_v6: client.is_ipv6(),
            external_ip: settings.external_ip.then_some(client),
        };
        let warning = self.tracker.warning(replied.warning);
        reply::announce(out, &replied, &self.list, form, warning.as_deref());
        Ok(Action::Announce)
    }

    fn judge(
        &self,
        client: IpAddr,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
    ) -> Addresses {
        let Request {
            caller, settings, ..
        } = *request;
        let rules = &settings.reported;
        let addresses = rules.judge(client, parameters.reported(), |ip| {
            caller.has_hop(ip, &settings.origin)
        });
        if addresses.has_refused {
            self.sheet()
                .failed(Transport::Http, Failure::ReportedAddress);
        }
        addresses
    }

    fn scrape(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Action, Refused> {
        let Request {
            query,
            caller,
            settings,
            now,
            ..
        } = *request;
        let client = caller.client()?;
        query::scrape(query, settings.max_scrape, &mut self.hashes)?;
        self.tracker.access().admit(client)?;
        let tracker = &self.tracker;
        let files = self
            .hashes
            .iter()
            .map(|hash| (*hash, tracker.scrape(hash, now)));
        reply::scrape(out, files);
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

    /// What cannot change by itself is not worth asking again; what an operator may lift is, after an hour.
    const fn retry(self) -> Retry {
        match self {
            Refused::Query(_) => Retry::Unsaid,
            Refused::CrossSite | Refused::Core(Refusal::AddressIgnored | Refusal::ClientDenied) => {
                Retry::Never
            }
            Refused::Address | Refused::Core(Refusal::AddressBlocked | Refusal::TorrentBlocked) => {
                Retry::Minutes(60)
            }
            Refused::Core(Refusal::TooMany) => Retry::Minutes(5),
        }
    }

    fn write(self, min_interval: u32, out: &mut Vec<u8>) {
        let mut write = |reason: &str| reply::failure(out, reason, min_interval, self.retry());
        match self {
            Refused::Query(fault) => write(&fault.to_string()),
            Refused::Core(refusal) => write(&refusal.to_string()),
            Refused::Address => write("client address unknown to the tracker"),
            Refused::CrossSite => write("requests of web pages are not served"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(
                errand(path.as_bytes(), b""),
                Some(Errand::Announce),
                "{path}"
            );
        }
        for path in [
            "/scrape",
            "/scrape.php",
            "/scr",
            "/passkey/scrape",
            "/passkey/scrape.php/",
            "/%73crape",
        ] {
            assert_eq!(errand(path.as_bytes(), b""), Some(Errand::Scrape), "{path}");
        }
        assert_eq!(errand(b"/", b"info_hash=x"), Some(Errand::Announce));
        let health = Errand::Report(Question::Health);
        for path in ["/health", "/health/", "/%68ealth"] {
            assert_eq!(errand(path.as_bytes(), b""), Some(health), "{path}");
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
            assert_eq!(errand(path.as_bytes(), b"x=info_hash"), None, "{path}");
        }
    }
}
