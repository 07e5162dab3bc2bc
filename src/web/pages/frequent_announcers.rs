//! `/callers`: who announces more often than it was told to (W10), and who is banned for asking too much (O8).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::bans;
use crate::net::host_or_network;
use crate::web::State;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;

#[derive(Serialize)]
struct CallerRow {
    network: String,
    early: u64,
    age_seconds: u32,
}

/// The page, or its table as CSV.
pub(crate) async fn callers(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "callers");
    let census = state.backend.census.load_full();
    let now = state.clock.now();
    let rows: Vec<CallerRow> = census
        .callers
        .iter()
        .map(|caller| CallerRow {
            network: host_or_network(caller.network),
            early: caller.early,
            age_seconds: now.since(caller.last_seen),
        })
        .collect();
    let named = csv_table::wanted(&page.params, &["callers", "bans"]);
    if named == Some("bans") {
        return bans::table(&state).reply("bans");
    }
    if named.is_some() {
        let mut csv = Csv::new(&["network", "early", "age_seconds"]);
        for row in &rows {
            csv.row(&[&row.network, &row.early, &row.age_seconds]);
        }
        return csv.reply("callers");
    }
    let (bans, more_bans) = bans::shown(&state);
    let is_lifted = page.params.text("done") == Some("lift");
    page.insert("notice", &is_lifted.then_some("ban_lift_done"));
    page.insert("bans", &bans);
    page.insert("more_bans", &more_bans);
    page.insert("rows", &rows);
    page.insert("counted", &census.wall.0);
    page.render("callers.html")
}
