//! `/clients`: the programs that people use, by name and version (W10).

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::tracker::report::census::{ClientCount, Roles};
use crate::web::State;
use crate::web::view::client_name::recognise;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;

/// One row of the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClientRow {
    name: String,
    /// Empty for the sum over all versions.
    version: String,
    peers: u64,
    seeders: u64,
    leechers: u64,
    share_percent: f64,
}

/// Rows by client, most peers first; with versions apart or summed up. An empty name stands for those without peer id.
pub(crate) fn client_rows(counts: &[ClientCount], by_version: bool) -> Vec<ClientRow> {
    let mut sums: BTreeMap<(String, String), Roles> = BTreeMap::new();
    for count in counts {
        let client = recognise(&count.prefix);
        let version = if by_version {
            client.version
        } else {
            String::new()
        };
        let sum = sums.entry((client.name, version)).or_default();
        sum.seeders += count.roles.seeders;
        sum.leechers += count.roles.leechers;
    }
    let all: u64 = sums.values().map(|roles| roles.peers()).sum();
    let mut rows: Vec<ClientRow> = sums
        .into_iter()
        .map(|((name, version), roles)| ClientRow {
            name,
            version,
            peers: roles.peers(),
            seeders: roles.seeders,
            leechers: roles.leechers,
            share_percent: percent(roles.peers(), all),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.peers));
    rows
}

/// `part` of `all` in percent; 0 of nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "shown with one place after the point"
)]
pub(super) fn percent(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    100.0 * part as f64 / all as f64
}

/// Clients as CSV.
pub(super) fn table(rows: &[ClientRow]) -> Csv {
    let columns = [
        "client",
        "version",
        "peers",
        "seeders",
        "leechers",
        "share_percent",
    ];
    let mut csv = Csv::new(&columns);
    for row in rows {
        let share = csv_table::places(row.share_percent);
        csv.row(&[
            &row.name,
            &row.version,
            &row.peers,
            &row.seeders,
            &row.leechers,
            &share,
        ]);
    }
    csv
}

/// The page, or one of its tables as CSV.
pub(crate) async fn clients(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "clients");
    let census = state.backend.census.load_full();
    if let Some(named) = csv_table::wanted(&page.params, &["versions", "programs"]) {
        return table(&client_rows(&census.clients, named == "versions")).reply("clients");
    }
    page.insert("programs", &client_rows(&census.clients, false));
    page.insert("versions", &client_rows(&census.clients, true));
    page.insert("counted", &census.wall.0);
    page.render("clients.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W10
    #[test]
    fn versions_add_up_to_programs() {
        let count = |prefix: &[u8; 8], seeders, leechers| ClientCount {
            prefix: *prefix,
            roles: Roles { seeders, leechers },
        };
        let counts = [
            count(b"-qB4520-", 3, 1),
            count(b"-qB4610-", 1, 0),
            count(b"-TR3000-", 2, 3),
        ];
        let programs = client_rows(&counts, false);
        let names: Vec<(&str, u64)> = programs
            .iter()
            .map(|r| (r.name.as_str(), r.peers))
            .collect();
        assert_eq!(names, [("Transmission", 5), ("qBittorrent", 5)]);
        assert_eq!(client_rows(&counts, true).len(), 3);
        assert!((programs[0].share_percent - 50.0).abs() < 1e-9);
    }
}
