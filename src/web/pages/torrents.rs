//! `/torrents`: all torrents, searched, sorted and paged by the core; and one torrent's swarm.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::clients::client_rows;
use super::peers::{PeerRow, peer_row, view};
use crate::tracker::InfoHash;
use crate::tracker::report::census::{
    PeerOrder, PeersQuery, Roles, TorrentOrder, TorrentView, TorrentsQuery,
};
use crate::web::State;
use crate::web::refusal::Refusal;
use crate::web::view::page::{Page, plain};
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

/// What the query asks for; anything odd means the default.
pub(crate) fn query(params: &Parameters) -> (TorrentsQuery, &'static str) {
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
        hash_prefix: if is_hex { prefix } else { String::new() },
    };
    (query, key)
}

/// The list.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "torrents");
    let (query, key) = query(&page.params);
    let is_descending = query.is_descending;
    let found = view(&state, move |tracker, now| {
        tracker.torrents_page(&query, now)
    });
    let found = match found.await {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).plain(&state, &request),
    };
    let params = page.params.clone();
    let columns = COLUMNS.map(|(name, label, order)| {
        let column = if order == TorrentOrder::Hash {
            Column::plain(label)
        } else {
            Column::figures(label)
        };
        column.sorting(&params, "/torrents", "sort_by", name, (key, is_descending))
    });
    let rows: Vec<TorrentRow> = found.torrents.iter().map(torrent_row).collect();
    page.insert("columns", &columns);
    page.insert("rows", &rows);
    // The search is shown again, or an empty field.
    page.insert("q", params.text("q").unwrap_or_default());
    let pager = Pager::new(&params, "/torrents", params.page(), ROWS, found.total);
    page.insert("pager", &pager);
    page.render("torrents.html")
}

/// Peers shown of one torrent; all of them are in `/all_peers`.
const PEERS: u32 = 50;

#[derive(Serialize)]
struct ZoneRow<'a> {
    path: &'a str,
    seeders: u64,
    leechers: u64,
}

/// One torrent.
pub(crate) async fn one(
    state: Data<State>,
    request: HttpRequest,
    hash: Path<String>,
) -> HttpResponse {
    let Some(hash) = InfoHash::from_hex(&hash) else {
        return plain(StatusCode::NOT_FOUND, "not found");
    };
    let found = view(&state, move |tracker, now| {
        let query = PeersQuery {
            limit: PEERS,
            order: PeerOrder::LastSeen,
            is_descending: true,
            torrent: Some(hash),
            ..PeersQuery::default()
        };
        (
            tracker.swarm_view(&hash, now),
            tracker.peers_page(&query, now),
        )
    });
    let (swarm, peers) = match found.await {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).plain(&state, &request),
    };
    let mut page = Page::new(&state, &request, "torrents");
    let is_blocked = state.tracker.access().admit_torrent(&hash).is_err();
    page.insert("info_hash", &hash.to_string());
    page.insert("is_blocked", &is_blocked);
    page.insert(
        "torrent",
        &swarm.as_ref().map(|swarm| torrent_row(&swarm.torrent)),
    );
    page.insert("paused", &swarm.as_ref().map_or(0, |swarm| swarm.paused));
    let clients = swarm
        .as_ref()
        .map(|swarm| client_rows(&swarm.clients, true));
    // A torrent that is unknown has none.
    page.insert("clients", &clients.unwrap_or_default());
    let zone_row = |(path, roles): &'_ (String, Roles)| (path.clone(), *roles);
    let zones: Vec<(String, Roles)> = swarm
        .iter()
        .flat_map(|swarm| swarm.zones.iter().map(zone_row))
        .collect();
    let zones: Vec<ZoneRow<'_>> = zones
        .iter()
        .map(|(path, roles)| ZoneRow {
            path,
            seeders: roles.seeders,
            leechers: roles.leechers,
        })
        .collect();
    page.insert("zones", &zones);
    let (now, wall) = (state.clock.now(), state.clock.wall());
    let rows: Vec<PeerRow> = peers.peers.iter().map(|p| peer_row(p, now, wall)).collect();
    page.insert("rows", &rows);
    page.insert("total", &peers.total);
    page.render("torrent.html")
}

/// One torrent for the API.
pub(crate) async fn one_json(state: Data<State>, hash: Path<String>) -> HttpResponse {
    let Some(hash) = InfoHash::from_hex(&hash) else {
        return HttpResponse::NotFound().json(serde_json::json!({ "error": "not an info hash" }));
    };
    let found = view(&state, move |tracker, now| tracker.swarm_view(&hash, now)).await;
    match found {
        Ok(Some(swarm)) => HttpResponse::Ok().json(serde_json::json!({
            "torrent": torrent_row(&swarm.torrent),
            "paused": swarm.paused,
            "clients": client_rows(&swarm.clients, true),
            "zones": swarm.zones.iter().map(|(path, roles)| serde_json::json!({
                "zone": path, "seeders": roles.seeders, "leechers": roles.leechers,
            })).collect::<Vec<_>>(),
        })),
        Ok(None) => {
            HttpResponse::NotFound().json(serde_json::json!({ "error": "no such torrent" }))
        }
        Err(undone) => Refusal::from(undone).json(&state),
    }
}
