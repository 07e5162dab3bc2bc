//! `/stat`: the overview. Figures, charts, the tracker's own state, the top torrents and the latest peers, as the original had
//! them; everything from counters and the last census.

use std::sync::PoisonError;

use actix_web::http::header::HOST;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::peers::{have_zones, peer_rows, table as peer_table};
use super::torrents::{TorrentRow, table as torrent_table, torrent_row};
use crate::metrics::{Action, Failure, Gauge, Totals, Transport};
use crate::net::client_address::Mode;
use crate::web::announce_url::Places;
use crate::web::monitor::health;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;
use crate::web::{State, client};

/// Torrents in the list of the largest.
const TOP: usize = 10;

/// The figures that the overview, `/stats.json` and the API show; the field names are the API's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    version: &'static str,
    time: u64,
    uptime_seconds: u64,
    announce_interval_seconds: u32,
    torrents: u64,
    peers: u64,
    seeders: u64,
    leechers: u64,
    peers_v4: u64,
    peers_v6: u64,
    addresses: u64,
    announces_per_second: f64,
    announces_http_per_second: f64,
    announces_udp_per_second: f64,
    announces: u64,
    scrapes: u64,
    refused: u64,
    peers_handed_out: u64,
    completed: u64,
    local_share_percent: Option<f64>,
    own_zone_share_percent: Option<f64>,
    saved_bytes: u64,
    census_age_seconds: Option<u32>,
    snapshot_age_seconds: Option<u64>,
    database_bytes: u64,
    database_peers: u64,
    snapshot_failures: u64,
    blocklist_entries: u64,
    faults: Vec<&'static str>,
}

/// The figures of the moment.
pub(crate) fn figures(state: &State) -> Figures {
    let gauge = |gauge| state.metrics.gauge(gauge);
    let totals = state.metrics.totals();
    let census = state.backend.census.load();
    let rates = state
        .rates
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let http = rates.announces_http.unwrap_or(0.0);
    let udp = rates.announces_udp.unwrap_or(0.0);
    let (wall, now) = (state.clock.wall().0, state.clock.now());
    let (v4, v6) = (
        [gauge(Gauge::SeedersV4), gauge(Gauge::LeechersV4)],
        [gauge(Gauge::SeedersV6), gauge(Gauge::LeechersV6)],
    );
    let [seeders, leechers] = [v4[0] + v6[0], v4[1] + v6[1]];
    let finished = state.metrics.moment(Gauge::SnapshotFinished);
    let faults = health::faults(state, health::sites(state).as_ref());
    Figures {
        version: env!("CARGO_PKG_VERSION"),
        time: wall,
        uptime_seconds: state.clock.elapsed().as_secs(),
        announce_interval_seconds: state.tracker.settings().announce_interval,
        torrents: gauge(Gauge::Torrents),
        peers: seeders + leechers,
        seeders,
        leechers,
        peers_v4: v4[0] + v4[1],
        peers_v6: v6[0] + v6[1],
        addresses: census.addresses,
        announces_per_second: http + udp,
        announces_http_per_second: http,
        announces_udp_per_second: udp,
        announces: sum(&totals, Action::Announce),
        scrapes: sum(&totals, Action::Scrape),
        refused: Failure::ALL.iter().map(|f| totals.failures(*f)).sum(),
        peers_handed_out: totals.handed_out,
        completed: census.downloaded,
        local_share_percent: rates.local_share,
        own_zone_share_percent: rates.own_share,
        saved_bytes: census.handed_out.saved_mib.saturating_mul(1 << 20),
        census_age_seconds: (census.wall.0 > 0).then(|| now.since(census.at)),
        snapshot_age_seconds: finished.map(|at| u64::from(now.raw()).saturating_sub(at)),
        database_bytes: gauge(Gauge::SnapshotBytes),
        database_peers: gauge(Gauge::DatabasePeers),
        snapshot_failures: gauge(Gauge::SnapshotFailures),
        blocklist_entries: gauge(Gauge::BlocklistEntries),
        faults: faults.into_iter().map(health::Fault::name).collect(),
    }
}

fn sum(totals: &Totals, action: Action) -> u64 {
    let transports = Transport::ALL.iter();
    transports.map(|t| totals.answered(*t, action)).sum()
}

/// Where clients announce: the addresses that subscribers are told, and those under which the tracker can be known otherwise.
fn announce_urls(state: &State, request: &HttpRequest) -> Vec<String> {
    let address_rules = state.backend.address_rules.load();
    let host = request.headers().get(HOST);
    let places = Places {
        http: &state.backend.listening.http,
        https: &state.backend.listening.https,
        udp: &state.backend.listening.udp,
        names: address_rules.hosts.configured(),
        is_behind_proxy: address_rules.mode == Mode::Proxy,
        host: host.and_then(|host| host.to_str().ok()),
        is_secure: client::is_secure(state, request),
    };
    places.urls(&state.settings.subscriber_page)
}

/// Answers and refusals of one protocol.
#[derive(Serialize)]
struct Protocol {
    name: &'static str,
    announces: u64,
    scrapes: u64,
    refused: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

fn protocols(totals: &Totals) -> Vec<Protocol> {
    let row = |transport: &Transport| {
        let (received_bytes, sent_bytes) = totals.moved(*transport);
        Protocol {
            name: transport.label(),
            announces: totals.answered(*transport, Action::Announce),
            scrapes: totals.answered(*transport, Action::Scrape),
            refused: totals.refused(*transport),
            received_bytes,
            sent_bytes,
        }
    };
    Transport::ALL.iter().map(row).collect()
}

/// What went over each protocol as CSV.
fn protocol_table(rows: &[Protocol]) -> Csv {
    let mut csv = Csv::new(&[
        "protocol",
        "announces",
        "scrapes",
        "refused",
        "received_bytes",
        "sent_bytes",
    ]);
    for row in rows {
        csv.row(&[
            &row.name,
            &row.announces,
            &row.scrapes,
            &row.refused,
            &row.received_bytes,
            &row.sent_bytes,
        ]);
    }
    csv
}

/// The page, or one of its tables as CSV.
pub(crate) async fn overview(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "stat");
    let census = state.backend.census.load_full();
    let top: Vec<TorrentRow> = census.top.iter().take(TOP).map(torrent_row).collect();
    let latest = peer_rows(&state, &census.latest);
    let protocols = protocols(&state.metrics.totals());
    match csv_table::wanted(&page.params, &["torrents", "peers", "protocols"]) {
        Some("peers") => return peer_table(&latest).reply("latest-peers"),
        Some("protocols") => return protocol_table(&protocols).reply("protocols"),
        Some(_) => return torrent_table(&top).reply("top-torrents"),
        None => {}
    }
    page.insert("figures", &figures(&state));
    page.insert("announce_urls", &announce_urls(&state, &request));
    page.insert("protocols", &protocols);
    page.insert("has_zones", &have_zones(&latest));
    page.insert("top", &top);
    page.insert("latest", &latest);
    page.render("stat.html")
}
