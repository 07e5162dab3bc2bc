//! `/torrents`: all torrents, searched, sorted and paged by the core; and one torrent's swarm. Each table also as CSV.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::clients::{client_rows, table as client_table};
use super::peers::{
    NO_ZONE, PeerSearch, have_zones, peer_rows, show_search, table as peer_table, view, whole,
};
use crate::tracker::report::census::{
    LISTED_ROWS, PeerOrder, PeersQuery, Roles, SwarmView, TorrentOrder, TorrentView, TorrentsQuery,
};
use crate::tracker::{self, InfoHash};
use crate::web::State;
use crate::web::refusal::{Refusal, error};
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;
use crate::web::view::parameters::{Column, Pager, Parameters};

/// Rows of a page.
const ROWS: u32 = 50;

/// One torrent as pages and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TorrentRow {
    info_hash: String,
    peers: u64,
    seeders: u64,
    leechers: u64,
    downloaded: u32,
}

pub(crate) fn torrent_row(torrent: &TorrentView) -> TorrentRow {
    TorrentRow {
        info_hash: torrent.info_hash.to_string(),
        peers: torrent.roles.peers(),
        seeders: torrent.roles.seeders,
        leechers: torrent.roles.leechers,
        downloaded: torrent.downloaded,
    }
}

/// Columns of the list: parameter value, key of the text, order.
const COLUMNS: [(&str, &str, TorrentOrder); 5] = [
    ("info_hash", "info_hash", TorrentOrder::Hash),
    ("peers", "peers", TorrentOrder::Peers),
    ("seeders", "seeders", TorrentOrder::Seeders),
    ("leechers", "leechers", TorrentOrder::Leechers),
    ("downloaded", "downloaded", TorrentOrder::Downloaded),
];

/// What the query asks for, and the key that it sorts by; anything odd means the default. `None` for the beginning of a hash that
/// no hash begins with.
pub(crate) fn query(params: &Parameters) -> Option<(TorrentsQuery, &'static str)> {
    let wanted = params.text("sort_by").unwrap_or("peers");
    let column = COLUMNS.iter().find(|(key, ..)| *key == wanted);
    let (key, _, order) = column
        .copied()
        .unwrap_or(("peers", "peers", TorrentOrder::Peers));
    // No prefix is that of all.
    let prefix = params.text("q").unwrap_or_default().to_ascii_lowercase();
    let is_hex = prefix.len() <= 40 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let query = TorrentsQuery {
        offset: (params.page() - 1) * u64::from(ROWS),
        limit: ROWS,
        order,
        is_descending: params.text("sort") != Some("asc"),
        hash_prefix: prefix,
    };
    is_hex.then_some((query, key))
}

/// The list, or its table as CSV.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "torrents");
    let params = page.params.clone();
    let is_csv = csv_table::wanted(&params, &["torrents"]).is_some();
    // The search is shown again, or an empty field.
    page.insert("q", params.text("q").unwrap_or_default());
    let Some((mut query, key)) = query(&params) else {
        if is_csv {
            return Refusal::SEARCH.shown(&state, &request);
        }
        page.insert("is_text_unread", &true);
        return page.render_as(Refusal::SEARCH.status, "torrents.html");
    };
    if is_csv {
        (query.offset, query.limit) = (0, LISTED_ROWS);
    }
    let is_descending = query.is_descending;
    let found = view(&state, move |tracker, now| {
        tracker.torrents_page(&query, now)
    });
    let found = match found.await {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).shown(&state, &request),
    };
    let rows: Vec<TorrentRow> = found.torrents.iter().map(torrent_row).collect();
    if is_csv {
        return table(&rows).reply("torrents");
    }
    let columns = COLUMNS.map(|(name, label, order)| {
        let column = if order == TorrentOrder::Hash {
            Column::plain(label)
        } else {
            Column::figures(label)
        };
        column.sorting(&params, "/torrents", "sort_by", name, (key, is_descending))
    });
    page.insert("is_text_unread", &false);
    page.insert("columns", &columns);
    page.insert("rows", &rows);
    let pager = Pager::new(&params, "/torrents", params.page(), ROWS, found.total);
    page.insert("pager", &pager);
    page.render("torrents.html")
}

/// Torrents as CSV.
pub(super) fn table(rows: &[TorrentRow]) -> Csv {
    let columns = ["info_hash", "peers", "seeders", "leechers", "downloaded"];
    let mut csv = Csv::new(&columns);
    for row in rows {
        let hash = &row.info_hash;
        csv.row(&[
            hash,
            &row.peers,
            &row.seeders,
            &row.leechers,
            &row.downloaded,
        ]);
    }
    csv
}

/// Peers shown of one torrent; all of them are in `/all_peers`.
const PEERS: u32 = 50;

#[derive(Serialize)]
struct ZoneRow {
    path: String,
    /// The link that narrows the list of peers down to it.
    link: String,
    seeders: u64,
    leechers: u64,
}

/// The zones of a torrent, with the links that narrow its page down to one.
fn zone_rows(swarm: &SwarmView, params: &Parameters) -> Vec<ZoneRow> {
    let page = format!("/torrents/{}", swarm.torrent.info_hash);
    let row = |(path, roles): &(String, Roles)| {
        let narrowed = if path.is_empty() { NO_ZONE } else { path };
        ZoneRow {
            link: params.link(&page, &[("zone", narrowed), ("q", "")]),
            path: path.clone(),
            seeders: roles.seeders,
            leechers: roles.leechers,
        }
    };
    swarm.zones.iter().map(row).collect()
}

/// The tables of a torrent's page, the first one the peers of the search.
const TABLES: [&str; 3] = ["peers", "zones", "clients"];

/// One torrent, or one of its tables as CSV.
pub(crate) async fn one(
    state: Data<State>,
    request: HttpRequest,
    hash: Path<String>,
) -> HttpResponse {
    let Some(hash) = InfoHash::from_hex(&hash) else {
        return Refusal::NOT_FOUND.shown(&state, &request);
    };
    let mut page = Page::new(&state, &request, "torrents");
    let table = csv_table::wanted(&page.params, &TABLES);
    let search = PeerSearch::of(&page.params, |path| state.tracker.has_zone(path));
    let (is_read, status) = (search.is_read(), search.status());
    if table == Some("peers") && !is_read {
        return Refusal::SEARCH.shown(&state, &request);
    }
    show_search(&mut page, &state, &search);
    let query = search.within(PeersQuery {
        limit: PEERS,
        order: PeerOrder::LastSeen,
        is_descending: true,
        torrent: Some(hash),
        ..PeersQuery::default()
    });
    let query = if table.is_some() { whole(query) } else { query };
    let found = view(&state, move |tracker, now| {
        let swarm = tracker.swarm_view(&hash, now);
        let peers = is_read.then(|| tracker.peers_page(&query, now));
        (swarm, peers.unwrap_or_default())
    });
    let (swarm, peers) = match found.await {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).shown(&state, &request),
    };
    let is_known = swarm.is_some();
    // A torrent that is unknown has no zones and no clients.
    let swarm = swarm.unwrap_or_else(|| SwarmView::unknown(hash));
    let rows = peer_rows(&state, &peers.peers);
    match table {
        Some("zones") => return zone_table(&swarm).reply("torrent-zones"),
        Some("clients") => {
            return client_table(&client_rows(&swarm.clients, true)).reply("torrent-clients");
        }
        Some(_) => return peer_table(&rows).reply("torrent-peers"),
        None => {}
    }
    let refused = state.tracker.access().admit_torrent(&hash).err();
    page.insert("info_hash", &hash.to_string());
    page.insert(
        "is_blocked",
        &(refused == Some(tracker::Refusal::TorrentBlocked)),
    );
    page.insert(
        "is_unlisted",
        &(refused == Some(tracker::Refusal::TorrentNotListed)),
    );
    page.insert("torrent", &is_known.then(|| torrent_row(&swarm.torrent)));
    page.insert("paused", &swarm.paused);
    page.insert("clients", &client_rows(&swarm.clients, true));
    let zones = zone_rows(&swarm, &page.params);
    page.insert("zones", &zones);
    page.insert("more_zones", &swarm.more_zones);
    page.insert("has_zones", &have_zones(&rows));
    page.insert("rows", &rows);
    page.insert("total", &peers.total);
    let all = page.params.link("/all_peers", &[("q", &hash.to_string())]);
    page.insert("all_peers_link", &all);
    page.render_as(status, "torrent.html")
}

/// The zones of a torrent as CSV.
fn zone_table(swarm: &SwarmView) -> Csv {
    let mut csv = Csv::new(&["zone", "seeders", "leechers"]);
    for (path, roles) in &swarm.zones {
        csv.row(&[path, &roles.seeders, &roles.leechers]);
    }
    csv
}

/// One torrent for the API.
pub(crate) async fn one_json(state: Data<State>, hash: Path<String>) -> HttpResponse {
    let Some(hash) = InfoHash::from_hex(&hash) else {
        return error(StatusCode::NOT_FOUND, "not an info hash");
    };
    let found = view(&state, move |tracker, now| tracker.swarm_view(&hash, now)).await;
    match found {
        Ok(Some(swarm)) => HttpResponse::Ok().json(serde_json::json!({
            "torrent": torrent_row(&swarm.torrent),
            "paused": swarm.paused,
            "more_zones": swarm.more_zones,
            "clients": client_rows(&swarm.clients, true),
            "zones": swarm.zones.iter().map(|(path, roles)| serde_json::json!({
                "zone": path, "seeders": roles.seeders, "leechers": roles.leechers,
            })).collect::<Vec<_>>(),
        })),
        Ok(None) => error(StatusCode::NOT_FOUND, "no such torrent"),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}
