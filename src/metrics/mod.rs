//! Counters and gauges. No I/O, and no label made of input: every label is one of a fixed set.
//!
//! Counters are sharded: each worker thread counts on a [`WorkerCounters`] of its own (a cache line apart from the others), and a
//! reader adds the counters up. Gauges are set by the one part that knows them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::invariant::present;

mod totals;

pub use full::Full;
pub use gauge::Gauge;
pub use totals::Totals;

/// Makes an enum whose values index an array of counters and carry a fixed label.
macro_rules! labelled {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $label:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $value,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];
            /// How many there are.
            pub const COUNT: usize = $name::ALL.len();

            /// The label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $($name::$value => $label,)+ }
            }
        }
    };
}

// Behind the macro that they use.
mod full;
mod gauge;

labelled! {
    /// The protocol that a request came by.
    Transport {
        /// HTTP, with or without TLS.
        Http = "http",
        /// UDP (BEP 15).
        Udp = "udp",
    }
}

labelled! {
    /// The address family of a client.
    Family {
        /// IPv4, v4-mapped addresses included.
        V4 = "4",
        /// IPv6.
        V6 = "6",
    }
}

impl Family {
    /// The family of a canonical address.
    pub const fn of(ip: std::net::IpAddr) -> Family {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

labelled! {
    /// What was asked for and answered.
    Action {
        /// An announce.
        Announce = "announce",
        /// A scrape.
        Scrape = "scrape",
        /// A connect (UDP only).
        Connect = "connect",
        /// A page, a static file, or anything else over HTTP.
        Page = "page",
    }
}

labelled! {
    /// Why a request was refused or a datagram dropped.
    Failure {
        /// Not HTTP, or a malformed request line or header.
        BadRequest = "bad_request",
        /// Head or query longer than the limit.
        TooLong = "too_long",
        /// A header of the PROXY protocol that is malformed, or whose sender is not believed.
        ProxyHeader = "proxy_header",
        /// Another method than the path takes: GET or HEAD on those of the tracker.
        Method = "method",
        /// A page or a call of the API for somebody else: by login, token or admin network.
        Forbidden = "forbidden",
        /// An unknown path.
        NotFound = "not_found",
        /// The client took longer than the limit for a request.
        TimedOut = "timed_out",
        /// Too many connections, in all or from one address.
        Connections = "connections",
        /// More connections of a source, or of the network around it, than `[LIMITS]` allows.
        ConnectionRate = "connection_rate",
        /// More requests, datagrams or logins than `[LIMITS]` allows, or wrong passwords than `[STATS]` does.
        RequestRate = "request_rate",
        /// Of a source that is banned for a time.
        Banned = "banned",
        /// No info hash.
        MissingInfoHash = "missing_info_hash",
        /// An info hash of a wrong length or encoding.
        InvalidInfoHash = "invalid_info_hash",
        /// A scrape of all torrents by somebody who may not have it, or while another is under way.
        FullScrape = "full_scrape",
        /// More info hashes in a scrape than are taken.
        TooManyInfoHashes = "too_many_info_hashes",
        /// No peer id.
        MissingPeerId = "missing_peer_id",
        /// A peer id of a wrong length or encoding.
        InvalidPeerId = "invalid_peer_id",
        /// No port.
        MissingPort = "missing_port",
        /// A port outside 0–65535, or no number.
        InvalidPort = "invalid_port",
        /// The client's address cannot be determined or is none that can be served.
        InvalidAddress = "invalid_address",
        /// A page of another site made a browser ask.
        CrossSite = "cross_site",
        /// `ignore_ip`.
        AddressIgnored = "address_ignored",
        /// `allow_networks`.
        AddressNotServed = "address_not_served",
        /// Blocklist, by address.
        AddressBlocked = "address_blocked",
        /// Blocklist, by info hash.
        TorrentBlocked = "torrent_blocked",
        /// Only listed torrents are served.
        TorrentNotListed = "torrent_not_listed",
        /// Rules for client ids.
        ClientDenied = "client_denied",
        /// No key in the announce address, where one is needed.
        KeyMissing = "key_missing",
        /// A key that there is not.
        KeyUnknown = "key_unknown",
        /// A key that has ended.
        KeyEnded = "key_ended",
        /// A key that was revoked.
        KeyRevoked = "key_revoked",
        /// A key that is used from as many addresses as it may be.
        KeyAddresses = "key_addresses",
        /// A key that is used for as many torrents as it may be.
        KeyTorrents = "key_torrents",
        /// As many clients with keys as can be accounted for.
        KeysFull = "keys_full",
        /// A datagram with a wrong or stale connection id.
        ConnectionId = "connection_id",
        /// A datagram that is too short or of an unknown action.
        Malformed = "malformed",
        /// An error of a socket (receiving, sending, accepting).
        Socket = "socket",
        /// A reported address that the rules did not accept; the announce went on with the source.
        ReportedAddress = "reported_address",
        /// TLS that failed, in its handshake or after it.
        Tls = "tls",
        /// A fault of ours (a page that failed).
        Internal = "internal",
    }
}

labelled! {
    /// How a TLS handshake ended.
    Handshake {
        /// It was whole.
        Full = "full",
        /// It went on from an earlier session, by a ticket.
        Resumed = "resumed",
        /// Too many were under way, in all or from one address, or too many connections held.
        TooMany = "too_many",
        /// All places were taken, and another had it.
        GaveWay = "gave_way",
        /// It took longer than the limit.
        TimedOut = "timed_out",
        /// The client went away.
        Gone = "gone",
        /// HTTP without TLS, which is told so.
        PlainHttp = "plain_http",
        /// What came is no TLS.
        NoTls = "no_tls",
        /// No protocol, cipher or kind of certificate in common with the client.
        NothingInCommon = "nothing_in_common",
        /// The client did not want what it was shown.
        Rejected = "rejected",
        /// A message was longer than is taken.
        TooLong = "too_long",
        /// The protocol was broken.
        Broken = "broken",
    }
}

labelled! {
    /// The version of TLS that a connection came by.
    TlsVersion {
        /// RFC 5246.
        V1_2 = "1.2",
        /// RFC 8446.
        V1_3 = "1.3",
    }
}

labelled! {
    /// The event of an announce.
    AnnounceEvent {
        /// None, or an unknown word.
        None = "none",
        /// `started`
        Started = "started",
        /// `completed`
        Completed = "completed",
        /// `stopped`
        Stopped = "stopped",
        /// `paused`
        Paused = "paused",
    }
}

labelled! {
    /// What became of an answered announce.
    AnnounceOutcome {
        /// A new peer was stored.
        Joined = "joined",
        /// A stored peer was refreshed.
        Refreshed = "refreshed",
        /// A peer was removed.
        Left = "left",
        /// Too early: answered, and nothing written (S11).
        Early = "early",
        /// Nothing to store: port 0, or `stopped` of a stranger.
        Passed = "passed",
        /// Not stored and nothing changed: another client's peer is at its address and port (S1).
        Foreign = "foreign",
        /// Not stored: the bound on peers in all.
        FullPeers = "bound_peers",
        /// Not stored: the bound on torrents in all.
        FullTorrents = "bound_torrents",
        /// Not stored: the bound on peers per torrent.
        FullSwarm = "bound_peers_per_torrent",
        /// Not stored: the bound on torrents per address.
        FullAddress = "bound_torrents_per_address",
        /// Not stored: the bound on ports per address and torrent.
        FullPorts = "bound_ports_per_address",
    }
}

/// Why what is indexed by a [`labelled`] enum is always there.
const LABELLED: &str = "each label has a place of its own";

labelled! {
    /// Why a list holds strangers by the rule `few` (S15).
    StrangerReason {
        /// Fewer neighbours than enough.
        FewNeighbours = "few_neighbours",
        /// Chance, in a zone that has not seeds enough.
        Chance = "chance",
        /// It came early, to look for what its zone lacks.
        Scout = "scout",
        /// So it did, and has downloaded nothing since its last announce.
        Idle = "idle",
        /// A seed whose zone has nobody who downloads.
        LoneSeed = "lone_seed",
    }
}

/// One of each reason; an array of so many has no `Default` of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByFailure<T>([T; Failure::COUNT]);

impl<T: Default> Default for ByFailure<T> {
    fn default() -> Self {
        ByFailure(std::array::from_fn(|_| T::default()))
    }
}

impl<T> std::ops::Deref for ByFailure<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> std::ops::DerefMut for ByFailure<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// Upper bounds of the latency histogram in microseconds; a last bucket holds what took longer.
pub const LATENCY_BOUNDS_US: [u64; 12] = [
    2, 5, 10, 20, 50, 100, 250, 1_000, 5_000, 25_000, 100_000, 1_000_000,
];

/// Whose counters they are.
#[derive(Debug)]
struct WorkerIndex(usize);

impl WorkerIndex {
    /// That of the spare ones.
    const NONE: WorkerIndex = WorkerIndex(usize::MAX);
}

impl Default for WorkerIndex {
    fn default() -> WorkerIndex {
        WorkerIndex::NONE
    }
}

/// One worker's counters. Only that worker counts on it, which spares it locked additions; all threads may read it. On the
/// spare counters any thread may count.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    worker: WorkerIndex,
    answered: [[[AtomicU64; Action::COUNT]; Family::COUNT]; Transport::COUNT],
    failures: [ByFailure<AtomicU64>; Transport::COUNT],
    by_event: [AtomicU64; AnnounceEvent::COUNT],
    outcomes: [AtomicU64; AnnounceOutcome::COUNT],
    evicted: [AtomicU64; Full::COUNT],
    stranger_lists: [AtomicU64; StrangerReason::COUNT],
    shortened_intervals: AtomicU64,
    received_bytes: [AtomicU64; Transport::COUNT],
    sent_bytes: [AtomicU64; Transport::COUNT],
    handed_out: AtomicU64,
    latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    latency_sum_us: AtomicU64,
    handshakes: [AtomicU64; Handshake::COUNT],
    tls_versions: [AtomicU64; TlsVersion::COUNT],
}

impl WorkerCounters {
    /// The worker that alone counts on these counters; `None` for the spare ones.
    #[inline]
    pub const fn worker(&self) -> Option<usize> {
        if self.worker.0 == WorkerIndex::NONE.0 {
            None
        } else {
            Some(self.worker.0)
        }
    }

    /// The same as a place in a list that has one for each worker: beyond its end for the spare ones.
    #[inline]
    pub const fn index(&self) -> usize {
        self.worker.0
    }

    #[inline]
    fn add(&self, counter: Option<&AtomicU64>, amount: u64) {
        if let Some(counter) = present(counter, LABELLED) {
            add(counter, amount, self.worker().is_some());
        }
    }

    /// Counts a request that was answered as asked.
    pub fn answered(&self, transport: Transport, family: Family, action: Action) {
        let by_family = self
            .answered
            .get(transport as usize)
            .and_then(|all| all.get(family as usize));
        self.add(by_family.and_then(|all| all.get(action as usize)), 1);
    }

    /// Counts a refusal.
    pub fn failed(&self, transport: Transport, failure: Failure) {
        self.add(
            self.failures
                .get(transport as usize)
                .and_then(|all| all.get(failure as usize)),
            1,
        );
    }

    /// Counts an announce by its event, by what became of it, and by the peers handed out. The core does this.
    pub fn announced(&self, by_event: AnnounceEvent, outcome: AnnounceOutcome, handed_out: usize) {
        self.add(self.by_event.get(by_event as usize), 1);
        self.add(self.outcomes.get(outcome as usize), 1);
        self.add(Some(&self.handed_out), handed_out as u64);
    }

    /// Counts peers that left at a bound so that a newcomer was stored. The core does this.
    pub fn evicted(&self, bound: Full, peers: u64) {
        self.add(self.evicted.get(bound as usize), peers);
    }

    /// Counts a list that holds strangers by the rule `few`, and an interval that it shortened. The core does this.
    pub fn decided(&self, reason: Option<StrangerReason>, is_short: bool) {
        if let Some(reason) = reason {
            self.add(self.stranger_lists.get(reason as usize), 1);
        }
        if is_short {
            self.add(Some(&self.shortened_intervals), 1);
        }
    }

    /// Counts bytes of requests and replies.
    pub fn moved(&self, transport: Transport, received_bytes: usize, sent_bytes: usize) {
        self.add(
            self.received_bytes.get(transport as usize),
            received_bytes as u64,
        );
        self.add(self.sent_bytes.get(transport as usize), sent_bytes as u64);
    }

    /// Counts a TLS handshake by how it ended.
    pub fn shook_hands(&self, end: Handshake) {
        self.add(self.handshakes.get(end as usize), 1);
    }

    /// Counts a connection by the version of TLS that it agreed on.
    pub fn agreed(&self, version: TlsVersion) {
        self.add(self.tls_versions.get(version as usize), 1);
    }

    /// Puts the time that a tracker request took (from parse to bytes) into the histogram.
    pub fn took(&self, time: Duration) {
        // Half a million years.
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US
            .iter()
            .position(|bound| micros <= *bound)
            .unwrap_or(LATENCY_BOUNDS_US.len());
        self.add(self.latency.get(bucket), 1);
        self.add(Some(&self.latency_sum_us), micros);
    }
}

/// Adds to a counter; without a locked addition when only this thread ever writes it.
#[inline]
pub fn add(counter: &AtomicU64, amount: u64, is_own: bool) {
    if is_own {
        counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
    } else {
        counter.fetch_add(amount, Relaxed);
    }
}

/// All counters and gauges of the process.
#[derive(Debug)]
pub struct Metrics {
    by_worker: Box<[CachePadded<WorkerCounters>]>,
    spare: CachePadded<WorkerCounters>,
    gauges: [AtomicU64; Gauge::COUNT],
}

impl Metrics {
    /// Makes counters for `workers` threads, and spare ones for all others.
    pub fn new(workers: usize) -> Metrics {
        let of = |worker| {
            CachePadded::new(WorkerCounters {
                worker,
                ..WorkerCounters::default()
            })
        };
        Metrics {
            by_worker: (0..workers).map(|worker| of(WorkerIndex(worker))).collect(),
            spare: of(WorkerIndex::NONE),
            gauges: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The counters of worker `index`, one of [`Metrics::workers`], for that worker alone.
    #[inline]
    pub fn counters(&self, index: usize) -> &WorkerCounters {
        let own = present(
            self.by_worker.get(index),
            "counters were made for each worker",
        );
        own.unwrap_or(&self.spare)
    }

    /// The counters of all threads that have none of their own.
    #[inline]
    pub fn spare(&self) -> &WorkerCounters {
        &self.spare
    }

    /// How many workers have counters of their own.
    pub fn workers(&self) -> usize {
        self.by_worker.len()
    }

    /// Reads a gauge.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.cell(gauge).map_or(0, |value| value.load(Relaxed))
    }

    fn cell(&self, gauge: Gauge) -> Option<&AtomicU64> {
        present(self.gauges.get(gauge as usize), LABELLED)
    }

    /// The moment that a gauge tells; `None` before it is first set.
    pub fn moment(&self, gauge: Gauge) -> Option<u64> {
        Some(self.gauge(gauge)).filter(|moment| *moment != 0)
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, value: u64) {
        if let Some(cell) = self.cell(gauge) {
            cell.store(value, Relaxed);
        }
    }

    /// Sets a gauge that is 0 to 1; whether it was 0.
    pub fn set_once(&self, gauge: Gauge) -> bool {
        let cell = self.cell(gauge);
        cell.is_some_and(|cell| cell.compare_exchange(0, 1, Relaxed, Relaxed).is_ok())
    }

    /// Adds to a gauge that counts.
    pub fn raise(&self, gauge: Gauge, amount: u64) {
        if let Some(cell) = self.cell(gauge) {
            cell.fetch_add(amount, Relaxed);
        }
    }

    /// Takes from a gauge that counts.
    pub fn lower(&self, gauge: Gauge, amount: u64) {
        if let Some(cell) = self.cell(gauge) {
            let before = cell.fetch_sub(amount, Relaxed);
            debug_assert!(before >= amount, "{gauge:?} was raised as often");
        }
    }

    /// Adds all counters up.
    pub fn totals(&self) -> Totals {
        Totals::of(
            self.by_worker
                .iter()
                .map(|counters| &**counters)
                .chain([&*self.spare]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_all_sheets_and_the_spare() {
        let metrics = Metrics::new(2);
        let own = (0..metrics.workers()).map(|worker| metrics.counters(worker));
        for counters in own.chain([metrics.spare(), metrics.spare()]) {
            counters.answered(Transport::Udp, Family::V6, Action::Scrape);
            counters.failed(Transport::Http, Failure::InvalidPort);
            counters.announced(AnnounceEvent::Started, AnnounceOutcome::Joined, 7);
        }
        let totals = metrics.totals();
        assert_eq!(totals.answered(Transport::Udp, Action::Scrape), 4);
        assert_eq!(totals.answered(Transport::Http, Action::Scrape), 0);
        assert_eq!(totals.failures(Failure::InvalidPort), 4);
        assert_eq!(
            (totals.outcomes(AnnounceOutcome::Joined), totals.handed_out),
            (4, 28)
        );
    }

    #[test]
    fn latencies_fall_into_their_buckets() {
        let metrics = Metrics::new(1);
        for micros in [0, 2, 3, 1_000_000, 9_000_000] {
            metrics.counters(0).took(Duration::from_micros(micros));
        }
        let latency = metrics.totals().latency;
        assert_eq!(
            (latency[0], latency[1], latency[11], latency[12]),
            (2, 1, 1, 1)
        );
    }
}
