//! `/zones`: who is where, what stays there, and what that saves (W7, O11).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::State;
use super::clients::percent;
use super::page::Page;
use crate::tracker::census::{HandedOut, ZoneCount};

/// One zone as pages and the API show it; all figures are for it and what lies below it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ZoneRow {
    /// Its path; empty for the peers in no zone.
    zone: String,
    /// The last part of the path, and how deep it lies.
    name: String,
    depth: usize,
    peers: u64,
    seeders: u64,
    leechers: u64,
    torrents: u64,
    announces: u64,
    local_share_percent: f64,
    had_local_percent: f64,
    had_local_seeder_percent: f64,
    saved_bytes: u64,
    is_strict: bool,
}

pub(super) fn zone_row(zone: &ZoneCount) -> ZoneRow {
    let out = zone.handed_out;
    ZoneRow {
        name: zone.path.rsplit('/').next().unwrap_or_default().to_owned(),
        depth: zone.path.matches('/').count(),
        zone: zone.path.clone(),
        peers: zone.below.peers(),
        seeders: zone.below.seeders,
        leechers: zone.below.leechers,
        torrents: zone.torrents,
        announces: out.announces,
        local_share_percent: percent(out.local_peers, out.peers),
        had_local_percent: percent(out.announces_with_local, out.announces),
        had_local_seeder_percent: percent(out.announces_with_local_seeder, out.announces),
        saved_bytes: out.saved_mib.saturating_mul(1 << 20),
        is_strict: zone.is_strict,
    }
}

/// The sums over all zones.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sums {
    zones: usize,
    local_share_percent: f64,
    had_local_percent: f64,
    had_local_seeder_percent: f64,
    saved_bytes: u64,
}

fn sums(zones: usize, out: &HandedOut) -> Sums {
    Sums {
        zones,
        local_share_percent: percent(out.local_peers, out.peers),
        had_local_percent: percent(out.announces_with_local, out.announces),
        had_local_seeder_percent: percent(out.announces_with_local_seeder, out.announces),
        saved_bytes: out.saved_mib.saturating_mul(1 << 20),
    }
}

/// The page.
pub(super) async fn zones(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "zones");
    let census = state.doors.census.load_full();
    let rows: Vec<ZoneRow> = census.zones.iter().map(zone_row).collect();
    page.insert("sums", &sums(rows.len(), &census.handed_out));
    page.insert("rows", &rows);
    page.insert("counted", &census.wall.0);
    page.render("zones.html")
}
