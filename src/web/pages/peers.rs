//! `/all_peers`: any page of all peers, with the original's parameters and a search by network, hash and client.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use serde::Serialize;

use crate::clock::{Seconds, Wall};
use crate::tracker::report::census::{PeerOrder, PeerView, PeersQuery};
use crate::tracker::{InfoHash, Tracker};
use crate::web::State;
use crate::web::jobs::JobError;
use crate::web::refusal::Refusal;
use crate::web::view::client_name::{prefixes, recognise};
use crate::web::view::page::Page;
use crate::web::view::parameters::{Column, Pager, Parameters};

/// Rows of a page, as in the original.
const ROWS: u32 = 20;

/// One peer as pages and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PeerRow {
    ip: String,
    port: u16,
    info_hash: String,
    client: String,
    client_version: String,
    is_seeder: bool,
    is_paused: bool,
    age_seconds: u32,
    update_time: u64,
}

pub(super) fn peer_row(peer: &PeerView, now: Seconds, wall: Wall) -> PeerRow {
    let client = recognise(&peer.client);
    let age = now.since(peer.last_seen);
    PeerRow {
        ip: peer.ip.to_string(),
        port: peer.port,
        info_hash: peer.info_hash.to_string(),
        client: client.name,
        client_version: client.version,
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

/// What the query asks for; anything odd means the default of the original.
fn query(params: &Parameters) -> (PeersQuery, &'static str) {
    let wanted = params.text("sort_by").unwrap_or("ip");
    let column = COLUMNS.iter().find(|(key, ..)| *key == wanted);
    let (key, _, order) = column
        .copied()
        .unwrap_or(("ip", "address", PeerOrder::Address));
    let mut query = PeersQuery {
        offset: (params.page() - 1) * u64::from(ROWS),
        limit: ROWS,
        order,
        is_descending: params.text("sort") != Some("asc"),
        ..PeersQuery::default()
    };
    if let Some(text) = params.text("q") {
        search(&mut query, text);
    }
    (query, key)
}

/// A search is an address or a network, a whole hash, or a client's name.
fn search(query: &mut PeersQuery, text: &str) {
    if let Some(network) = network(text) {
        query.network = Some(network);
    } else if let Some(hash) = InfoHash::from_hex(text) {
        query.torrent = Some(hash);
    } else {
        query.clients = prefixes(text);
        if query.clients.is_empty() {
            // Nobody has an id as long as this: a name that is unknown finds nobody.
            query.clients.push(vec![0xff; 21]);
        }
    }
}

/// The page.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "all_peers");
    let (query, key) = query(&page.params);
    let is_descending = query.is_descending;
    let found = view(&state, move |tracker, now| tracker.peers_page(&query, now)).await;
    let found = match found {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).plain(&state, &request),
    };
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
    let columns = [
        address,
        port,
        hash,
        Column::plain("client"),
        Column::plain("role"),
        updated,
    ];
    let (now, wall) = (state.clock.now(), state.clock.wall());
    let rows: Vec<PeerRow> = found.peers.iter().map(|p| peer_row(p, now, wall)).collect();
    page.insert("columns", &columns);
    page.insert("rows", &rows);
    // The search is shown again, or an empty field.
    page.insert("q", params.text("q").unwrap_or_default());
    let pager = Pager::new(&params, "/all_peers", params.page(), ROWS, found.total);
    page.insert("pager", &pager);
    page.render("all_peers.html")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn query_of(text: &str) -> PeersQuery {
        let request = TestRequest::with_uri(&format!("/all_peers?{text}")).to_http_request();
        query(&Parameters::of(&request)).0
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
        assert_eq!(query_of("q=nonsense").clients, [vec![0xff; 21]]);
    }
}
