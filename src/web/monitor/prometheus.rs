//! `/metrics` (O4): Prometheus text 0.0.4. One prefix, base units, and no label made of input but the names of zones, of other
//! trackers and of the files of certificates, which are configured, and bounded in number and length.

use std::cmp::Reverse;
use std::fmt::Display;

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::health::{self, Fault};
use crate::metrics::{
    Action, AnnounceEvent, AnnounceOutcome, Failure, Family, Full, Gauge, Handshake,
    LATENCY_BOUNDS_US, StrangerReason, TlsVersion, Totals, Transport,
};
use crate::tracker::report::census::{Census, Roles, ZoneCount};
use crate::web::State;
use crate::web::sites::{Difference, ENGINE_STATES, Engine, SITES_TROUBLES, Site, SitesStatus};

/// Zones with series of their own, upper levels first and of one level the largest; the rest count in those above them, and
/// together in one that is called `other`.
const MAX_ZONES: usize = 100;
/// What the sum of the rest is called.
const OTHER: &str = "other";

/// The text.
pub(crate) async fn metrics(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text(&state))
}

/// Lines in the making.
struct Lines(String);

impl Lines {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let head = format!("# HELP retracker_{name} {help}\n# TYPE retracker_{name} {kind}\n");
        self.0.push_str(&head);
    }

    /// One value; labels as `a="b",c="d"`.
    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let line = if labels.is_empty() {
            format!("retracker_{name} {value}\n")
        } else {
            format!("retracker_{name}{{{labels}}} {value}\n")
        };
        self.0.push_str(&line);
    }

    /// A metric with a value for each of its labels.
    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        self.metric(name, kind, help);
        for (labels, value) in values {
            self.value(name, &labels, value);
        }
    }

    /// A counter for each value of one label.
    fn by_label<T: Copy>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        (values, value_of): (&[T], fn(T) -> &'static str),
        counts: impl IntoIterator<Item = u64>,
    ) {
        let labels = |value: &T| format!("{label}=\"{}\"", value_of(*value));
        let counts = values.iter().map(labels).zip(counts);
        self.family(name, "counter", help, counts);
    }

    /// A metric of one value.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, "", value);
    }
}

fn text(state: &State) -> String {
    let mut lines = Lines(String::with_capacity(32 * 1024));
    let totals = state.metrics.totals();
    let census = state.backend.census.load_full();
    let sites = health::sites(state);
    process(&mut lines, state, sites.as_ref());
    configuration(&mut lines, state);
    lists(&mut lines, state);
    requests(&mut lines, &totals);
    tls(&mut lines, state, &totals);
    announces(&mut lines, &totals);
    latency(&mut lines, &totals);
    watch(&mut lines, state);
    swarms(&mut lines, state, &census);
    snapshots(&mut lines, state);
    zones(&mut lines, &census);
    levels(&mut lines, &census);
    if let Some(sites) = &sites {
        sites_of(&mut lines, sites);
        engines(&mut lines, sites);
    }
    system(&mut lines);
    lines.0
}

fn process(lines: &mut Lines, state: &State, sites: Option<&SitesStatus>) {
    lines.metric("build_info", "gauge", "The program that runs.");
    let (version, architecture) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let build = format!("version=\"{version}\",arch=\"{architecture}\",profile=\"{profile}\"");
    lines.value("build_info", &build, 1);
    let help = "Unix time at which the process started.";
    lines.single("start_time_seconds", "gauge", help, state.started.0);
    let help = "1 when all parts are alive and snapshots succeed.";
    let faults = health::faults(state, sites);
    lines.single("healthy", "gauge", help, u8::from(faults.is_empty()));
    let help = "1 for what is wrong, as /health says it; all are 0 when nothing is.";
    let rows = Fault::ALL.map(|fault| {
        let labels = format!("fault=\"{}\"", fault.name());
        (labels, u8::from(faults.contains(&fault)))
    });
    lines.family("fault", "gauge", help, rows);
    let help = "Open HTTP connections.";
    let open = state.metrics.gauge(Gauge::Connections);
    lines.single("http_connections", "gauge", help, open);
    let help = "Panics that were caught.";
    lines.single(
        "panics_total",
        "counter",
        help,
        state.metrics.gauge(Gauge::Panics),
    );
}

/// The configuration in force, and how reloads ended.
fn configuration(lines: &mut Lines, state: &State) {
    let gauge = |gauge| state.metrics.gauge(gauge);
    let help = "0 when the last reload was refused, so that the configuration before it is still in force.";
    let is_successful = 1_u64.saturating_sub(gauge(Gauge::LastReloadRefused));
    lines.single(
        "config_last_reload_successful",
        "gauge",
        help,
        is_successful,
    );
    let help = "Unix time at which the configuration in force was read, by the start or a reload.";
    let configured = gauge(Gauge::ConfiguredAt);
    let name = "config_last_reload_success_timestamp_seconds";
    lines.single(name, "gauge", help, configured);
    let help = "Reloads by how they ended.";
    let reloads = [
        ("done", gauge(Gauge::ReloadsDone)),
        ("refused", gauge(Gauge::ReloadsRefused)),
    ];
    let reloads = reloads.map(|(result, count)| (format!("result=\"{result}\""), count));
    lines.family("config_reloads_total", "counter", help, reloads);
    let help = "Digest of the configuration in force, 48 bits, without secrets: equal where two trackers of one version are configured alike.";
    let digest = gauge(Gauge::ConfigurationDigest);
    lines.single("config_hash", "gauge", help, digest);
    let settings = state.tracker.settings();
    let help = "The bound on peers in all; 0 for none.";
    lines.single("max_peers", "gauge", help, settings.max_peers);
    let help = "The bound on torrents with peers; 0 for none.";
    lines.single("max_torrents", "gauge", help, settings.max_torrents);
}

/// The listed torrents, and the files of lists.
fn lists(lines: &mut Lines, state: &State) {
    let gauge = |gauge| state.metrics.gauge(gauge);
    let help = "1 while only listed torrents are served.";
    let listed = state.tracker.access().listed_torrents();
    lines.single("only_listed", "gauge", help, u8::from(listed.is_closed));
    let help = "Torrents on the list of those that are served, by where they are listed.";
    let torrents = [
        ("file", gauge(Gauge::TorrentsOfFile)),
        ("added", gauge(Gauge::TorrentsAdded)),
    ];
    let torrents = torrents.map(|(of, count)| (format!("source=\"{of}\""), count));
    lines.family("listed_torrents", "gauge", help, torrents);
    let help = "What the files of the blocklist block.";
    let blocked = [
        ("range", gauge(Gauge::RangesBlockedByFiles)),
        ("torrent", gauge(Gauge::TorrentsBlockedByFiles)),
    ];
    let blocked = blocked.map(|(kind, count)| (format!("kind=\"{kind}\""), count));
    lines.family("blocked_by_files", "gauge", help, blocked);
    let help = "Files of lists that are configured.";
    lines.single("list_files", "gauge", help, gauge(Gauge::ListFiles));
    let help = "Of these, files that cannot be read or have bad lines: what was read of them before is in force.";
    let refused = gauge(Gauge::ListFilesRefused);
    lines.single("list_files_refused", "gauge", help, refused);
    let help = "Readings of such files that were refused.";
    let failures = gauge(Gauge::ListFileFailures);
    lines.single("list_file_failures_total", "counter", help, failures);
    let help = "Unix time at which a file of a list was last read and taken; 0 before the first.";
    let read = gauge(Gauge::ListsReadAt);
    lines.single("lists_read_timestamp_seconds", "gauge", help, read);
    let help = "How long the last reading of the files took.";
    let seconds = millis(gauge(Gauge::ListReadMillis));
    lines.single("lists_read_duration_seconds", "gauge", help, seconds);
}

fn requests(lines: &mut Lines, totals: &Totals) {
    let help = "Requests that were answered.";
    let answered = Transport::ALL.iter().zip(&totals.answered);
    let answered = answered.flat_map(|(transport, families)| {
        let families = Family::ALL.iter().zip(families);
        families.flat_map(move |(family, actions)| {
            Action::ALL.iter().zip(actions).map(move |(action, count)| {
                let (t, a, f) = (transport.label(), action.label(), family.label());
                let labels = format!("transport=\"{t}\",action=\"{a}\",ip_version=\"{f}\"");
                (labels, count)
            })
        })
    });
    lines.family("requests_total", "counter", help, answered);
    let help = "Requests refused and datagrams dropped, by reason.";
    let failed = Transport::ALL.iter().zip(&totals.failures);
    let failed = failed.flat_map(|(transport, failures)| {
        let failures = Failure::ALL.iter().zip(failures.iter());
        failures.map(move |(failure, count)| {
            let (t, r) = (transport.label(), failure.label());
            (format!("transport=\"{t}\",reason=\"{r}\""), count)
        })
    });
    lines.family("errors_total", "counter", help, failed);
    let transports = (Transport::ALL, Transport::label as fn(_) -> _);
    let (help, bytes) = ("Bytes of requests.", totals.received_bytes);
    lines.by_label("received_bytes_total", help, "transport", transports, bytes);
    let (help, bytes) = ("Bytes of replies.", totals.sent_bytes);
    lines.by_label("sent_bytes_total", help, "transport", transports, bytes);
}

fn tls(lines: &mut Lines, state: &State, totals: &Totals) {
    let help = "Open HTTP connections over TLS, handshakes under way included.";
    let open = state.metrics.gauge(Gauge::TlsConnections);
    lines.single("tls_connections", "gauge", help, open);
    let help = "TLS handshakes by how they ended.";
    let ends = (Handshake::ALL, Handshake::label as fn(_) -> _);
    let handshakes = totals.handshakes;
    lines.by_label("tls_handshakes_total", help, "outcome", ends, handshakes);
    let help = "Connections over TLS by its version.";
    let versions = (TlsVersion::ALL, TlsVersion::label as fn(_) -> _);
    let counts = totals.tls_versions;
    lines.by_label("tls_connections_total", help, "version", versions, counts);
    let help = "Unix time at which the first certificate of a chain in force ends.";
    let certificates = (state.backend.certificates)().into_iter();
    let certificates = certificates.map(|certificate| {
        let labels = format!("certificate=\"{}\"", escape(&certificate.file));
        (labels, certificate.ends.0)
    });
    let name = "tls_certificate_expiry_timestamp_seconds";
    lines.family(name, "gauge", help, certificates);
    let help = "0 while files of certificates have changed and cannot be used, so that the certificates before them are still in force.";
    let is_successful = 1_u64.saturating_sub(state.metrics.gauge(Gauge::CertificatesRefused));
    let name = "tls_certificates_last_reload_successful";
    lines.single(name, "gauge", help, is_successful);
}

fn announces(lines: &mut Lines, totals: &Totals) {
    let help = "Announces answered, by event.";
    let events = (AnnounceEvent::ALL, AnnounceEvent::label as fn(_) -> _);
    lines.by_label("announces_total", help, "event", events, totals.by_event);
    let help = "What became of the announcer: joined, refreshed, left, or why it was not stored.";
    let outcomes = (AnnounceOutcome::ALL, AnnounceOutcome::label as fn(_) -> _);
    lines.by_label("announcers_total", help, "fate", outcomes, totals.outcomes);
    let help = "Peers that left at a bound so that a newcomer was stored: of partners, or else of the heaviest networks.";
    let bounds = (Full::ALL, Full::label as fn(_) -> _);
    lines.by_label("evicted_peers_total", help, "bound", bounds, totals.evicted);
    let help = "Lists with strangers by the rule `few`, by why they hold any.";
    let reasons = (StrangerReason::ALL, StrangerReason::label as fn(_) -> _);
    let lists = totals.stranger_lists;
    lines.by_label("stranger_lists_total", help, "reason", reasons, lists);
    let help = "Intervals that the rule `few` shortened.";
    lines.single(
        "shortened_intervals_total",
        "counter",
        help,
        totals.shortened_intervals,
    );
    let help = "Peers handed out.";
    lines.single("handed_out_peers_total", "counter", help, totals.handed_out);
}

fn watch(lines: &mut Lines, state: &State) {
    let counts = state.backend.watch.counts();
    let help = "Who watches requests by /api/v1/watch.";
    lines.single("watchers", "gauge", help, counts.watchers);
    let help = "Requests that were told to watchers.";
    lines.single("watch_events_total", "counter", help, counts.told);
    let help = "Requests that were wanted and not told: because a watcher reads slowly, or because they came too fast.";
    let dropped = [("slow", counts.dropped), ("rate", counts.skipped)];
    let dropped = dropped.map(|(reason, count)| (format!("reason=\"{reason}\""), count));
    lines.family("watch_dropped_total", "counter", help, dropped);
    let help = "Watchers that were refused because others watched.";
    lines.single("watch_refused_total", "counter", help, counts.refused);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of requests, for graphs"
)]
fn latency(lines: &mut Lines, totals: &Totals) {
    let name = "request_duration_seconds";
    let help =
        "Time from the request's last byte to the reply's first, of sampled tracker requests.";
    lines.metric(name, "histogram", help);
    let bucket = "request_duration_seconds_bucket";
    let mut sum = 0_u64;
    for (bound, count) in LATENCY_BOUNDS_US.iter().zip(totals.latency) {
        sum = sum.saturating_add(count);
        let seconds = *bound as f64 / 1e6;
        lines.value(bucket, &format!("le=\"{seconds}\""), sum);
    }
    let all: u64 = totals.latency.iter().sum();
    lines.value(bucket, "le=\"+Inf\"", all);
    let seconds = totals.latency_sum_us as f64 / 1e6;
    lines.value("request_duration_seconds_sum", "", seconds);
    lines.value("request_duration_seconds_count", "", all);
}

fn swarms(lines: &mut Lines, state: &State, census: &Census) {
    let gauge = |gauge| state.metrics.gauge(gauge);
    let help = "Torrents with at least one peer.";
    lines.single("torrents", "gauge", help, gauge(Gauge::Torrents));
    let peers = [
        ("seeder", "4", Gauge::SeedersV4),
        ("leecher", "4", Gauge::LeechersV4),
        ("seeder", "6", Gauge::SeedersV6),
        ("leecher", "6", Gauge::LeechersV6),
    ];
    let peers = peers.map(|(role, family, count)| {
        let labels = format!("role=\"{role}\",ip_version=\"{family}\"");
        (labels, gauge(count))
    });
    lines.family("peers", "gauge", "Living peers.", peers);
    let help = "Distinct addresses of peers; may be an estimate.";
    lines.single("peer_addresses", "gauge", help, census.addresses);
    let help = "Completed downloads of the torrents that are known; falls when one is forgotten.";
    lines.single("completed_downloads", "gauge", help, census.downloaded);
    let help = "Peers freed because their time was over.";
    let expired = gauge(Gauge::ExpiredPeers);
    lines.single("expired_peers_total", "counter", help, expired);
    let help = "Entries in the blocklist.";
    let entries = gauge(Gauge::BlocklistEntries);
    lines.single("blocklist_entries", "gauge", help, entries);
    let limits = &state.backend.limits;
    let help = "Sources that are banned for a time.";
    let bans = limits.bans(state.clock.now()).len();
    lines.single("bans", "gauge", help, bans);
    let help = "Bans made since the start.";
    lines.single("bans_total", "counter", help, limits.bans_made());
    let help = "Keys of announce addresses, those that ended or were revoked in the last 30 days included.";
    lines.single("keys", "gauge", help, gauge(Gauge::Keys));
    let help = "Whether keys_file is not in force as it is: what was read of it before is.";
    let refused = gauge(Gauge::KeysFileRefused);
    lines.single("keys_file_refused", "gauge", help, refused);
    let help = "Clients with keys, once for each of their torrents.";
    let sessions = state.tracker.keys().sessions();
    lines.single("key_sessions", "gauge", help, sessions);
    let help = "How long the last sweep took.";
    let seconds = millis(gauge(Gauge::SweepMillis));
    lines.single("sweep_duration_seconds", "gauge", help, seconds);
}

/// What [`Gauge::Restored`] is when the database was set aside.
const SET_ASIDE: u64 = 2;

#[expect(clippy::cast_precision_loss, reason = "for graphs")]
fn millis(millis: u64) -> f64 {
    millis as f64 / 1e3
}

fn snapshots(lines: &mut Lines, state: &State) {
    let gauge = |gauge| state.metrics.gauge(gauge);
    let help = "Unix time of the last snapshot that finished; 0 before the first.";
    let finished = gauge(Gauge::SnapshotFinishedAt);
    lines.single("snapshot_timestamp_seconds", "gauge", help, finished);
    let help = "How long the last snapshot took.";
    let seconds = millis(gauge(Gauge::SnapshotMillis));
    lines.single("snapshot_duration_seconds", "gauge", help, seconds);
    let help = "Size of the database with its log.";
    lines.single("snapshot_bytes", "gauge", help, gauge(Gauge::SnapshotBytes));
    let help = "Swarms that the last snapshot wrote.";
    lines.single(
        "snapshot_swarms",
        "gauge",
        help,
        gauge(Gauge::SnapshotSwarms),
    );
    let help = "Peers that the last snapshot wrote.";
    lines.single("snapshot_peers", "gauge", help, gauge(Gauge::SnapshotPeers));
    let help = "Peers that the database holds.";
    lines.single("database_peers", "gauge", help, gauge(Gauge::DatabasePeers));
    let help = "1 when the database could not be read at the start and was set aside.";
    let is_set_aside = u8::from(gauge(Gauge::Restored) == SET_ASIDE);
    lines.single("database_set_aside", "gauge", help, is_set_aside);
    let help = "Snapshots that failed.";
    let failures = gauge(Gauge::SnapshotFailures);
    lines.single("snapshot_errors_total", "counter", help, failures);
}

fn zones(lines: &mut Lines, census: &Census) {
    let mut shown: Vec<&ZoneCount> = census.zones.iter().collect();
    shown.sort_by_key(|zone| {
        let depth = zone.path.matches('/').count();
        (depth, Reverse(zone.below.peers()))
    });
    let hidden = shown.split_off(MAX_ZONES.min(shown.len()));
    let other = other(census, &hidden);
    shown.extend(&other);
    let zones = || shown.iter().copied();
    let help = "Zones without series of their own: their sum is in the zone `other`, each peer once, and in the zones above them.";
    let more = hidden.len() + census.rest.zones;
    lines.single("zones_in_other", "gauge", help, more);
    // Two rows of a zone, told apart by one more label.
    let pair = |zone: &ZoneCount, label: &str, rows: [(&str, u64); 2]| {
        let path = escape(&zone.path);
        rows.map(|(value, count)| (format!("zone=\"{path}\",{label}=\"{value}\""), count))
    };
    let help = "Living peers of a zone and below it.";
    let peers = zones().flat_map(|zone| {
        let Roles { seeders, leechers } = zone.below;
        pair(zone, "role", [("seeder", seeders), ("leecher", leechers)])
    });
    lines.family("zone_peers", "gauge", help, peers);
    let single = |zone: &ZoneCount, count| (format!("zone=\"{}\"", escape(&zone.path)), count);
    let help = "Announces of a zone and below it that were answered with a list.";
    let announces = zones().map(|zone| single(zone, zone.handed_out.announces));
    lines.family("zone_announces_total", "counter", help, announces);
    let help = "Those for which a peer of the same zone existed.";
    let with_local = zones().map(|zone| single(zone, zone.handed_out.announces_with_local));
    lines.family(
        "zone_announces_with_local_total",
        "counter",
        help,
        with_local,
    );
    let help = "Those for which a seeder of the same zone existed.";
    let with_seeder = zones().map(|zone| single(zone, zone.handed_out.announces_with_local_seeder));
    lines.family(
        "zone_announces_with_local_seeder_total",
        "counter",
        help,
        with_seeder,
    );
    let help = "Peers handed out to a zone and below it.";
    let handed_out = zones().flat_map(|zone| {
        let local = zone.handed_out.local_peers;
        let other = zone.handed_out.peers.saturating_sub(local);
        pair(zone, "nearness", [("local", local), ("other", other)])
    });
    lines.family("zone_handed_out_peers_total", "counter", help, handed_out);
    let help = "Upper bound of what was loaded from peers of the same zone.";
    let saved = zones().map(|zone| single(zone, zone.handed_out.saved_mib.saturating_mul(1 << 20)));
    lines.family("zone_saved_bytes_total", "counter", help, saved);
}

/// The sum of the zones that have no series of their own; nothing where all have.
fn other(census: &Census, hidden: &[&ZoneCount]) -> Option<ZoneCount> {
    let rest = &census.rest;
    if hidden.is_empty() && rest.zones == 0 {
        return None;
    }
    // A zone may have this name; no zone's path begins with a slash.
    let is_taken = census.zones.iter().any(|zone| zone.path == OTHER);
    let path = if is_taken {
        format!("/{OTHER}")
    } else {
        OTHER.to_owned()
    };
    let (mut below, mut handed_out) = (rest.roles, rest.handed_out);
    for zone in hidden {
        below.add(zone.own);
        handed_out.add(&zone.own_handed_out);
    }
    Some(ZoneCount {
        path,
        below,
        handed_out,
        ..ZoneCount::default()
    })
}

/// How near the peers were that were handed out: as many lines as the zones have levels.
fn levels(lines: &mut Lines, census: &Census) {
    let peers = census.flows.levels();
    let strangers = peers.len().saturating_sub(1);
    let used = peers.iter().take(strangers).rposition(|peers| *peers > 0);
    let label = |level: usize| {
        let level = match level {
            0 => "own".to_owned(),
            level if level == strangers => "stranger".to_owned(),
            level => level.to_string(),
        };
        format!("level=\"{level}\"")
    };
    let is_told = |level: usize| level == strangers || Some(level) <= used;
    let told = |figures: Vec<u64>| {
        let figures = figures.into_iter().enumerate();
        let told = figures.filter(move |(level, _)| is_told(*level));
        told.map(move |(level, figure)| (label(level), figure))
    };
    let help = "Peers handed out to askers in a zone: from their own zone, from so many levels up, strangers; estimated.";
    lines.family("handed_out_by_level_total", "counter", help, told(peers));
    let help = "The upper bound of what was saved, divided by level as the lists were.";
    let saved = census.flows.saved_by_level().into_iter();
    let saved = saved.map(|mib| mib.saturating_mul(1 << 20)).collect();
    lines.family("saved_by_level_bytes_total", "counter", help, told(saved));
}

/// The other trackers: what comes from them, and what is told to them.
fn sites_of(lines: &mut Lines, status: &SitesStatus) {
    let help = "1 when what the other trackers tell has been read since the start, or there was time enough to.";
    lines.single("sites_ready", "gauge", help, u8::from(status.ready));
    let help = "Time from a frame of another tracker entering a log to its being merged here, over the last minute: within what so great a share of the frames took; share 1 is the longest.";
    let lags = [
        ("0.5", status.lag.half_ms),
        ("0.99", status.lag.ninety_nine_ms),
        ("1", status.lag.longest_ms),
    ];
    let lags = lags.map(|(share, lag)| (format!("share=\"{share}\""), millis(lag)));
    lines.family("sites_lag_seconds", "gauge", help, lags);
    let help = "Living peers by the tracker that they last announced to; this one has no name.";
    let others = status.sites.iter().map(|site| (of_site(site), site.peers));
    let peers = others.chain([("site=\"\"".to_owned(), status.own_peers)]);
    lines.family("site_peers", "gauge", help, peers);
    let help = "Seconds since another tracker was heard last; not there before it has been.";
    let heard = status.sites.iter();
    let heard = heard.filter_map(|site| Some((of_site(site), site.heard_s?)));
    lines.family("site_silence_seconds", "gauge", help, heard);
    let mut counter = |name: &str, help: &str, count: &dyn Fn(&Site) -> u64| {
        let counts = status.sites.iter().map(|site| (of_site(site), count(site)));
        lines.family(name, "counter", help, counts);
    };
    counter(
        "site_frames_total",
        "Frames read of another tracker.",
        &|site| site.frames,
    );
    counter(
        "site_deltas_total",
        "Changes of peers read of another tracker.",
        &|site| site.deltas,
    );
    let help = "Frames of another tracker that are missing by their numbers.";
    counter("site_missed_frames_total", help, &|site| site.missed);
    let help = "Times that another tracker had to wait because it told more than one may.";
    counter("site_throttled_total", help, &|site| site.throttled);
    odd_sites(lines, status);
    outgoing(lines, status);
}

/// What is not as it should be with other trackers.
fn odd_sites(lines: &mut Lines, status: &SitesStatus) {
    let help = "What came from another tracker and was dropped, by reason.";
    let dropped = status.sites.iter().flat_map(|site| {
        let dropped = site.dropped.iter();
        dropped.map(|(reason, count)| (format!("{},reason=\"{reason}\"", of_site(site)), *count))
    });
    lines.family("site_dropped_total", "counter", help, dropped);
    let help = "1 for what another tracker has otherwise than this one.";
    let differs = status.sites.iter().flat_map(|site| {
        Difference::ALL.map(|difference| {
            let differs = site.differs.contains(&difference);
            let labels = format!("{},what=\"{}\"", of_site(site), difference.name());
            (labels, u8::from(differs))
        })
    });
    lines.family("site_differs", "gauge", help, differs);
    let help = "1 for what an operator has to mend: name_taken: another tracker has this one's name; own_log_ahead, other_log_ahead: a log is ahead of its engine's clock, so that nothing in it is dropped.";
    let troubles = SITES_TROUBLES.map(|kind| {
        let is_so = status.troubles.iter().any(|trouble| trouble.kind == kind);
        (format!("trouble=\"{kind}\""), u8::from(is_so))
    });
    lines.family("sites_trouble", "gauge", help, troubles);
}

/// What the other trackers are told.
fn outgoing(lines: &mut Lines, status: &SitesStatus) {
    let out = status.outgoing;
    for (name, help, count) in [
        (
            "sites_sent_frames_total",
            "Frames that an engine has taken.",
            out.sent_frames,
        ),
        (
            "sites_sent_deltas_total",
            "Changes of peers in them.",
            out.sent_deltas,
        ),
        ("sites_sent_bytes_total", "Bytes of them.", out.sent_bytes),
        (
            "sites_untold_deltas_total",
            "Changes that no engine took when they came; a repair tells them.",
            out.dropped,
        ),
        (
            "sites_overflows_total",
            "Times that the queue of a worker was full.",
            out.overflows,
        ),
        (
            "sites_resends_total",
            "Times that everything was told again.",
            out.resends,
        ),
        (
            "sites_engine_changes_total",
            "Times that another engine was chosen to write to.",
            out.engine_changes,
        ),
        (
            "sites_new_logs_total",
            "Times that the own log was begun anew, because it was ahead of the engine's clock.",
            out.new_logs,
        ),
    ] {
        lines.single(name, "counter", help, count);
    }
    let help = "Torrents that the repair under way has before it.";
    lines.single("sites_resend_torrents", "gauge", help, out.resend_left);
}

fn of_site(site: &Site) -> String {
    format!("site=\"{}\"", escape(&site.name))
}

/// The engines between the trackers.
#[expect(clippy::cast_precision_loss, reason = "for graphs")]
fn engines(lines: &mut Lines, status: &SitesStatus) {
    let label = |engine: &Engine| format!("engine=\"{}\"", escape(&engine.url));
    let engines = || status.engines.iter();
    let help = "1 for how an engine is.";
    let states = engines().flat_map(|engine| {
        ENGINE_STATES.map(|state| {
            let labels = format!("{},state=\"{state}\"", label(engine));
            (labels, u8::from(engine.state == state))
        })
    });
    lines.family("engine_state", "gauge", help, states);
    let help = "1 for an engine that answers.";
    let up = engines().map(|engine| (label(engine), u8::from(engine.is_up())));
    lines.family("engine_up", "gauge", help, up);
    let help = "1 for an engine whose logs have been read to their end since the start.";
    let read = engines().map(|engine| (label(engine), u8::from(engine.caught_up)));
    lines.family("engine_caught_up", "gauge", help, read);
    let help = "The last round trip to an engine.";
    let trips = engines().filter_map(|engine| Some((label(engine), engine.rtt_us? as f64 / 1e6)));
    lines.family("engine_round_trip_seconds", "gauge", help, trips);
    let help = "Memory that an engine uses.";
    let used = engines().filter_map(|engine| Some((label(engine), engine.memory?)));
    lines.family("engine_memory_bytes", "gauge", help, used);
    let help = "Memory that an engine may use; 0 for no bound.";
    let most = engines().filter_map(|engine| Some((label(engine), engine.max_memory?)));
    lines.family("engine_max_memory_bytes", "gauge", help, most);
    let help = "How far the clock of an engine is ahead of the one here.";
    let ahead = engines().filter_map(|engine| {
        let offset = engine.clock_offset_ms? as f64 / 1e3;
        Some((label(engine), offset))
    });
    lines.family("engine_clock_offset_seconds", "gauge", help, ahead);
    let help = "Bytes read from an engine.";
    let bytes = engines().map(|engine| (label(engine), engine.read_bytes));
    lines.family("engine_read_bytes_total", "counter", help, bytes);
    let help = "Times that the connection to an engine was made anew.";
    let reconnects = engines().map(|engine| (label(engine), engine.reconnects));
    lines.family("engine_reconnects_total", "counter", help, reconnects);
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// What the system says of the process, under the customary names; left out where it does not say it.
fn system(lines: &mut Lines) {
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        let text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        lines.0.push_str(&text);
    };
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    if let Some(bytes) = resident_bytes() {
        let help = "Resident memory size in bytes.";
        put("process_resident_memory_bytes", "gauge", help, bytes as f64);
    }
    if let Some(seconds) = cpu_seconds() {
        let help = "Total user and system CPU time spent in seconds.";
        put("process_cpu_seconds_total", "counter", help, seconds);
    }
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let help = "Number of open file descriptors.";
        put("process_open_fds", "gauge", help, files.count() as f64);
    }
}

/// Resident memory of the process.
pub(crate) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold blanks; the fields after it do not.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11);
    let user: f64 = ticks.next()?.parse().ok()?;
    let system: f64 = ticks.next()?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "100 on every Linux")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Some((user + system) / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::report::census::HandedOut;
    use crate::tracker::report::flows::{FlowZone, Flows, ZoneFlows};
    use std::time::Duration;

    #[test]
    fn the_histogram_adds_up_and_ends_in_infinity() {
        let metrics = crate::metrics::Metrics::new(1);
        for micros in [1, 3, 3, 9_000_000] {
            metrics.counters(0).took(Duration::from_micros(micros));
        }
        let mut lines = Lines(String::new());
        latency(&mut lines, &metrics.totals());
        let counts: Vec<&str> = lines
            .0
            .lines()
            .filter(|line| line.contains("_bucket"))
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(counts[..3], ["1", "3", "3"]);
        assert_eq!(counts.last(), Some(&"4"));
        assert!(lines.0.contains("le=\"0.000002\"") && lines.0.contains("le=\"+Inf\""));
    }

    /// O4
    #[test]
    fn of_very_many_zones_the_upper_levels_and_the_largest_are_told() {
        let zone = |path: String, seeders| ZoneCount {
            path,
            below: Roles {
                seeders,
                leechers: 0,
            },
            ..ZoneCount::default()
        };
        let mut census = Census::default();
        let houses = (0..MAX_ZONES as u64)
            .map(|dependencies| zone(format!("a/house-{dependencies}"), dependencies));
        census.zones.push(zone("a".into(), 5_000));
        census.zones.extend(houses);
        census.zones.push(zone("b".into(), 0));
        let mut lines = Lines(String::new());
        zones(&mut lines, &census);
        let is_told = |path: &str| {
            let row = format!("retracker_zone_announces_total{{zone=\"{path}\"}} 0");
            lines.0.contains(&row)
        };
        assert!(is_told("a") && is_told("b") && is_told("a/house-99"));
        assert!(is_told("a/house-2") && !is_told("a/house-1") && !is_told("a/house-0"));
        assert!(
            lines
                .0
                .contains("zone_announces_with_local_seeder_total{zone=\"b\"} 0")
        );
    }

    /// O4, W15
    #[test]
    fn zones_without_series_are_counted_in_other() {
        let zone = |path: String, seeders| {
            let own = Roles {
                seeders,
                leechers: 1,
            };
            let own_handed_out = HandedOut {
                announces: 10,
                ..HandedOut::default()
            };
            ZoneCount {
                path,
                own,
                below: own,
                own_handed_out,
                ..ZoneCount::default()
            }
        };
        let told = |census: &Census| {
            let mut lines = Lines(String::new());
            zones(&mut lines, census);
            lines.0
        };
        let mut census = Census::default();
        let houses = 0..MAX_ZONES as u64;
        census
            .zones
            .extend(houses.map(|house| zone(format!("house-{house}"), 7)));
        let text = told(&census);
        assert!(text.contains("zones_in_other 0\n") && !text.contains("zone=\"other\""));
        census
            .zones
            .extend([zone("small".into(), 3), zone("smaller".into(), 2)]);
        census.rest.zones = 40;
        census.rest.roles.seeders = 4;
        census.rest.handed_out.announces = 5;
        let text = told(&census);
        for line in [
            "zones_in_other 42\n",
            "zone_peers{zone=\"other\",role=\"seeder\"} 9\n",
            "zone_peers{zone=\"other\",role=\"leecher\"} 2\n",
            "zone_announces_total{zone=\"other\"} 25\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        census.zones.push(zone("other".into(), 1));
        assert!(told(&census).contains("zone_announces_total{zone=\"/other\"} 35\n"));
    }

    /// O4, O11
    #[test]
    fn levels_are_told_down_to_the_last_that_is_used_and_strangers() {
        let row = ZoneFlows {
            zone: FlowZone::Zone("a/b/c".into()),
            levels: vec![6, 3, 0, 0, 1],
            handed: vec![10],
            saved_mib: 9,
        };
        let flows = Flows { zones: vec![row] };
        let census = Census {
            flows,
            ..Census::default()
        };
        let mut lines = Lines(String::new());
        levels(&mut lines, &census);
        let told: Vec<&str> = lines
            .0
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(
            told,
            [
                "retracker_handed_out_by_level_total{level=\"own\"} 6",
                "retracker_handed_out_by_level_total{level=\"1\"} 3",
                "retracker_handed_out_by_level_total{level=\"stranger\"} 1",
                "retracker_saved_by_level_bytes_total{level=\"own\"} 6291456",
                "retracker_saved_by_level_bytes_total{level=\"1\"} 3145728",
                "retracker_saved_by_level_bytes_total{level=\"stranger\"} 0",
            ]
        );
    }

    #[test]
    fn names_of_zones_cannot_break_a_line() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn the_system_says_how_much_memory_and_time_went() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(cpu_seconds().is_some());
    }
}
