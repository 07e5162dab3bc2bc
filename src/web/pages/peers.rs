//! `/all_peers`: any page of all peers, with the original's parameters, a search by network, hash, client and zone, and as CSV.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use serde::Serialize;

use crate::clock::{Seconds, Wall};
use crate::tracker::report::census::{
    LISTED_ROWS, PeerOrder, PeerView, PeersPage, PeersQuery, ZoneFilter,
};
use crate::tracker::{InfoHash, Tracker};
use crate::web::State;
use crate::web::jobs::JobError;
use crate::web::refusal::Refusal;
use crate::web::view::client_name::{prefixes, recognise};
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;
use crate::web::view::parameters::{Column, Pager, Parameters};

/// Rows of a page, as in the original.
const ROWS: u32 = 20;
/// Zones that the field for one suggests at most; any zone can be written into it.
const SUGGESTED_ZONES: usize = 500;

/// One peer as pages and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PeerRow {
    ip: String,
    port: u16,
    info_hash: String,
    client: String,
    client_version: String,
    /// The path of its zone, empty for no zone; nothing where no zones are described.
    zone: Option<String>,
    is_seeder: bool,
    is_paused: bool,
    age_seconds: u32,
    update_time: u64,
}

/// The rows of these peers, with the zones of the moment.
pub(super) fn peer_rows(state: &State, peers: &[PeerView]) -> Vec<PeerRow> {
    let (now, wall) = (state.clock.now(), state.clock.wall());
    let zones = state.tracker.zone_paths(peers.iter().map(|peer| peer.ip));
    let mut rows: Vec<PeerRow> = peers.iter().map(|peer| peer_row(peer, now, wall)).collect();
    for (row, zone) in rows.iter_mut().zip(zones.into_iter().flatten()) {
        row.zone = Some(zone);
    }
    rows
}

/// Whether these peers are told with their zones.
pub(super) fn have_zones(rows: &[PeerRow]) -> bool {
    rows.iter().any(|row| row.zone.is_some())
}

fn peer_row(peer: &PeerView, now: Seconds, wall: Wall) -> PeerRow {
    let client = recognise(&peer.client);
    let age = now.since(peer.last_seen);
    PeerRow {
        ip: peer.ip.to_string(),
        port: peer.port,
        info_hash: peer.info_hash.to_string(),
        client: client.name,
        client_version: client.version,
        zone: None,
        is_seeder: peer.is_seeder,
        is_paused: peer.is_paused,
        age_seconds: age,
        update_time: wall.0.saturating_sub(age.into()),
    }
}

/// Runs a view of the swarms on a thread that may be busy, one at a time, so that people who reload pages cannot take both
/// cores from the announces. Nothing when the wait is too long.
pub(crate) async fn view<T, F>(state: &Data<State>, work: F) -> Result<T, JobError>
where
    T: Send + 'static,
    F: FnOnce(&Arc<Tracker>, Seconds) -> T + Send + 'static,
{
    let (tracker, now) = (Arc::clone(&state.tracker), state.clock.now());
    state.views.run(move || work(&tracker, now)).await
}

/// Columns of the list: the original's parameter values, key of the text, order.
const COLUMNS: [(&str, &str, PeerOrder); 4] = [
    ("ip", "address", PeerOrder::Address),
    ("port", "port", PeerOrder::Port),
    ("info_hash", "info_hash", PeerOrder::Torrent),
    ("update_time", "updated", PeerOrder::LastSeen),
];

/// A network from an address or a prefix, canonical; nothing for other texts.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let net: IpNet = match text.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().into(),
        Err(_) => text.parse().ok()?,
    };
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped(),
        _ => None,
    };
    match mapped {
        Some(v4) => IpNet::new(v4.into(), net.prefix_len() - 96)
            .ok()
            .map(|net| net.trunc()),
        None => Some(net.trunc()),
    }
}

/// What stands for the peers in no zone where a zone is asked for: no zone has such a path.
pub(super) const NO_ZONE: &str = "/";

/// What a search asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerSearch {
    query: PeersQuery,
    /// Whether the text or the zone that is looked for is nothing that there can be.
    pub is_text_unread: bool,
    pub is_zone_unread: bool,
}

impl PeerSearch {
    /// What the query of a page asks for: `q` is an address or a network, a whole hash, a zone or a client's name; `zone` is a zone.
    pub(super) fn of(params: &Parameters, is_zone: impl Fn(&str) -> bool) -> PeerSearch {
        let mut search = PeerSearch::default();
        let query = &mut search.query;
        if let Some(path) = params.text("zone") {
            query.zone = zone_filter(path, &is_zone);
            search.is_zone_unread = query.zone.is_none();
        }
        let Some(text) = params.text("q") else {
            return search;
        };
        if let Some(network) = network(text) {
            query.network = Some(network);
        } else if let Some(hash) = InfoHash::from_hex(text) {
            query.torrent = Some(hash);
        } else if let Some(zone) = zone_filter(text, &is_zone).filter(|_| query.zone.is_none()) {
            query.zone = Some(zone);
        } else {
            query.clients = prefixes(text);
            search.is_text_unread = query.clients.is_empty();
        }
        search
    }

    /// Whether all of it can be read.
    pub(super) fn is_read(&self) -> bool {
        !(self.is_text_unread || self.is_zone_unread)
    }

    /// The status of a page that shows what was found.
    pub(super) fn status(&self) -> StatusCode {
        if self.is_read() {
            StatusCode::OK
        } else {
            Refusal::SEARCH.status
        }
    }

    /// Those that it asks for, in this order, and of this torrent only.
    pub(super) fn within(self, mut range: PeersQuery) -> PeersQuery {
        range.torrent = range.torrent.or(self.query.torrent);
        range.network = self.query.network;
        range.clients = self.query.clients;
        range.zone = self.query.zone;
        range
    }
}

fn zone_filter(path: &str, is_zone: impl Fn(&str) -> bool) -> Option<ZoneFilter> {
    if path == NO_ZONE {
        return Some(ZoneFilter::Nowhere);
    }
    let path = path.trim_matches('/');
    is_zone(path).then(|| ZoneFilter::Within(path.to_owned()))
}

/// The page, or all rows that are listed, in the order that the query asks for; anything odd means the default of the original.
fn range(params: &Parameters, is_whole: bool) -> (PeersQuery, &'static str) {
    let wanted = params.text("sort_by").unwrap_or("ip");
    let column = COLUMNS.iter().find(|(key, ..)| *key == wanted);
    let (key, _, order) = column
        .copied()
        .unwrap_or(("ip", "address", PeerOrder::Address));
    let query = PeersQuery {
        offset: (params.page() - 1) * u64::from(ROWS),
        limit: ROWS,
        order,
        is_descending: params.text("sort") != Some("asc"),
        ..PeersQuery::default()
    };
    (if is_whole { whole(query) } else { query }, key)
}

/// All rows that are listed.
pub(super) fn whole(query: PeersQuery) -> PeersQuery {
    PeersQuery {
        offset: 0,
        limit: LISTED_ROWS,
        ..query
    }
}

/// What fills in the fields of a search of peers again, and says which of them cannot be read.
pub(super) fn show_search(page: &mut Page<'_>, state: &State, search: &PeerSearch) {
    let params = page.params.clone();
    // A field that was left empty is shown empty.
    page.insert("q", params.text("q").unwrap_or_default());
    page.insert("zone", params.text("zone").unwrap_or_default());
    page.insert("is_text_unread", &search.is_text_unread);
    page.insert("is_zone_unread", &search.is_zone_unread);
    let census = state.backend.census.load_full();
    let suggested = census.zones.iter().map(|zone| zone.path.as_str());
    let suggested = suggested.filter(|path| !path.is_empty());
    let suggested: Vec<&str> = suggested.take(SUGGESTED_ZONES).collect();
    page.insert("suggested_zones", &suggested);
    page.insert("can_search_zones", &!suggested.is_empty());
}

/// The page, or its table as CSV.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "all_peers");
    let is_csv = csv_table::wanted(&page.params, &["peers"]).is_some();
    let search = PeerSearch::of(&page.params, |path| state.tracker.has_zone(path));
    let (range, key) = range(&page.params, is_csv);
    let is_descending = range.is_descending;
    show_search(&mut page, &state, &search);
    let status = search.status();
    let found = if search.is_read() {
        let query = search.within(range);
        view(&state, move |tracker, now| tracker.peers_page(&query, now)).await
    } else if is_csv {
        return Refusal::SEARCH.shown(&state, &request);
    } else {
        Ok(PeersPage::default())
    };
    let found = match found {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).shown(&state, &request),
    };
    let rows = peer_rows(&state, &found.peers);
    if is_csv {
        return table(&rows).reply("peers");
    }
    let params = page.params.clone();
    let sorted = COLUMNS.map(|(name, label, order)| {
        let column = if order == PeerOrder::Port {
            Column::figures(label)
        } else {
            Column::plain(label)
        };
        column.sorting(&params, "/all_peers", "sort_by", name, (key, is_descending))
    });
    let [address, port, hash, updated] = sorted;
    let mut columns = vec![address, port, hash, Column::plain("client")];
    if have_zones(&rows) {
        columns.push(Column::plain("zone"));
    }
    columns.extend([Column::plain("role"), updated]);
    page.insert("has_zones", &have_zones(&rows));
    page.insert("columns", &columns);
    page.insert("rows", &rows);
    let pager = Pager::new(&params, "/all_peers", params.page(), ROWS, found.total);
    page.insert("pager", &pager);
    page.render_as(status, "all_peers.html")
}

/// Peers as CSV.
pub(super) fn table(rows: &[PeerRow]) -> Csv {
    let mut csv = Csv::new(&[
        "ip",
        "port",
        "info_hash",
        "client",
        "client_version",
        "zone",
        "role",
        "update_time",
    ]);
    for row in rows {
        let role = match (row.is_seeder, row.is_paused) {
            (true, _) => "seeder",
            (false, true) => "paused",
            (false, false) => "leecher",
        };
        csv.row(&[
            &row.ip,
            &row.port,
            &row.info_hash,
            &row.client,
            &row.client_version,
            &row.zone.as_deref().unwrap_or_default(),
            &role,
            &csv_table::iso(row.update_time),
        ]);
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn search_of(text: &str) -> PeerSearch {
        let request = TestRequest::with_uri(&format!("/all_peers?{text}")).to_http_request();
        PeerSearch::of(&Parameters::of(&request), |path| path == "moscow/north")
    }

    fn query_of(text: &str) -> PeersQuery {
        let request = TestRequest::with_uri(&format!("/all_peers?{text}")).to_http_request();
        let (range, _) = range(&Parameters::of(&request), false);
        search_of(text).within(range)
    }

    /// W5
    #[test]
    fn the_parameters_of_the_original_are_kept_and_bad_values_are_the_defaults() {
        let default = query_of("");
        assert_eq!(
            (default.order, default.is_descending),
            (PeerOrder::Address, true)
        );
        assert_eq!((default.offset, default.limit), (0, 20));
        let query = query_of("page=3&sort_by=update_time&sort=asc");
        assert_eq!(
            (query.order, query.is_descending),
            (PeerOrder::LastSeen, false)
        );
        assert_eq!(query.offset, 40);
        for odd in [
            "page=abc",
            "sort_by=left;--",
            "sort=up",
            "page=-1&sort=&sort_by=",
        ] {
            assert_eq!(query_of(odd), default, "{odd}");
        }
    }

    /// W5
    #[test]
    fn a_search_is_a_network_a_hash_or_a_client() {
        let net = |text: &str| Some(text.parse().unwrap());
        assert_eq!(query_of("q=10.1.2.3").network, net("10.1.2.3/32"));
        assert_eq!(query_of("q=10.1.2.3/8").network, net("10.0.0.0/8"));
        assert_eq!(query_of("q=::ffff:10.1.2.3").network, net("10.1.2.3/32"));
        assert_eq!(
            query_of("q=::ffff:10.1.2.3/112").network,
            net("10.1.0.0/16")
        );
        assert_eq!(query_of("q=2001:db8::1/64").network, net("2001:db8::/64"));
        let hash = "AB".repeat(20);
        assert_eq!(
            query_of(&format!("q={hash}")).torrent,
            InfoHash::from_hex(&hash)
        );
        assert_eq!(query_of("q=qBittorrent").clients, [b"-qB".to_vec()]);
    }

    /// W15
    #[test]
    fn a_search_is_a_zone_and_one_that_cannot_be_read_is_told() {
        let zone = |text: &str| query_of(text).zone;
        let north = Some(ZoneFilter::Within("moscow/north".into()));
        for text in ["q=moscow/north", "zone=moscow/north", "zone=/moscow/north/"] {
            assert_eq!(zone(text), north, "{text}");
        }
        assert_eq!(zone("zone=/"), Some(ZoneFilter::Nowhere));
        let both = query_of("zone=moscow/north&q=qBittorrent");
        assert_eq!((both.zone, both.clients), (north, vec![b"-qB".to_vec()]));
        for (text, unread) in [
            ("q=nonsense", (true, false)),
            ("q=10.0.0.0/99", (true, false)),
            ("zone=nowhere", (false, true)),
            ("q=moscow/north&zone=nowhere", (false, true)),
            ("q=10.0.0.0/8&zone=moscow/north", (false, false)),
            ("", (false, false)),
        ] {
            let search = search_of(text);
            let told = (search.is_text_unread, search.is_zone_unread);
            assert_eq!(told, unread, "{text}");
            assert_eq!(search.is_read(), unread == (false, false));
        }
    }
}
