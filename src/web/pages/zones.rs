//! `/zones`: who is where, what stays there, and what that saves, by hour and by day too (W7, O11).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::clients::percent;
use super::locality::locality;
use super::peers::{NO_ZONE, view};
use crate::invariant::present;
use crate::tracker::HOURS_KEPT;
use crate::tracker::report::census::{Census, HandedOut, ZoneCount};
use crate::web::State;
use crate::web::jobs::JobError;
use crate::web::refusal::Refusal;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;
use crate::web::view::parameters::Parameters;

/// One zone as pages and the API show it; all figures are for it and what lies below it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ZoneRow {
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
    announces_per_second: f64,
    local_share_percent: f64,
    had_local_percent: f64,
    had_local_seeder_percent: f64,
    saved_bytes: u64,
    is_strict: bool,
}

pub(crate) fn zone_row(zone: &ZoneCount) -> ZoneRow {
    let out = zone.handed_out;
    let name = present(
        zone.path.rsplit('/').next(),
        "splitting gives one part at least",
    );
    ZoneRow {
        name: name.unwrap_or_default().to_owned(),
        depth: zone.path.matches('/').count(),
        zone: zone.path.clone(),
        peers: zone.below.peers(),
        seeders: zone.below.seeders,
        leechers: zone.below.leechers,
        torrents: zone.torrents,
        announces: out.announces,
        announces_per_second: zone.announces_per_second,
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

pub(crate) const HOUR_SECONDS: u64 = 3_600;
const DAY_HOURS: usize = 24;

/// What was saved from `start` (Unix seconds) on, for an hour or a day; `percent` of the most in the chart.
#[derive(Clone, Copy, Debug, Serialize)]
struct Bar {
    start: u64,
    saved_bytes: u64,
    percent: f64,
}

/// Savings of one zone with all below it, or of everybody where the path is empty.
#[derive(Clone, Debug, Serialize)]
struct Savings {
    zone: String,
    /// The past day by hour and the past 30 days by day, oldest first; the last bar is under way.
    hours: Vec<Bar>,
    days: Vec<Bar>,
    day_bytes: u64,
    month_bytes: u64,
}

/// `count` bars of `width` hours each; the last ends with the hour `last`.
fn bars(saved: &[(u64, u64)], last: u64, count: usize, width: usize) -> Vec<Bar> {
    let (count, width) = (count as u64, width as u64);
    let first = (last + 1).saturating_sub(count * width);
    let mut bars: Vec<Bar> = (0..count)
        .map(|bar| Bar {
            start: (first + bar * width) * HOUR_SECONDS,
            saved_bytes: 0,
            percent: 0.0,
        })
        .collect();
    // A clock that went back leaves hours of a future behind.
    for (hour, mib) in saved.iter().filter(|(hour, _)| *hour <= last) {
        let at = hour.checked_sub(first).map(|since| since / width);
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(bar) = at.and_then(|at| bars.get_mut(at)) {
            bar.saved_bytes += mib.saturating_mul(1 << 20);
        }
    }
    // No bars have no highest one.
    let most = bars.iter().map(|bar| bar.saved_bytes).max().unwrap_or(0);
    for bar in &mut bars {
        bar.percent = percent(bar.saved_bytes, most);
    }
    bars
}

fn savings(zone: String, saved: &[(u64, u64)], now: u64) -> Savings {
    let last = now / HOUR_SECONDS;
    let hours = bars(saved, last, DAY_HOURS, 1);
    let days = bars(saved, last, HOURS_KEPT / DAY_HOURS, DAY_HOURS);
    let sum = |bars: &[Bar]| bars.iter().map(|bar| bar.saved_bytes).sum();
    Savings {
        zone,
        day_bytes: sum(&hours),
        month_bytes: sum(&days),
        hours,
        days,
    }
}

/// What was saved in a zone: hours since 1970 and MiB; nothing when there is no such zone.
pub(crate) async fn saved(
    state: &Data<State>,
    path: String,
) -> Result<Option<Vec<(u64, u64)>>, JobError> {
    view(state, move |tracker, _| tracker.savings(&path)).await
}

/// With so many rows at most the whole tree is open; above it the branches are.
const OPEN_ROWS: usize = 30;

/// A row of the tree, with the links to its savings and its peers.
#[derive(Serialize)]
struct Branch {
    #[serde(flatten)]
    zone: ZoneRow,
    link: String,
    peers_link: String,
    /// Whether rows below it follow.
    is_parent: bool,
    is_open: bool,
    /// Something for each branch that ends behind this row.
    ends: Vec<()>,
}

/// The tree, its rows in the order of the census: parents before children. `shown` is the zone whose savings are shown: the way
/// to it is open.
fn tree(params: &Parameters, zones: &[ZoneCount], shown: &str) -> Vec<Branch> {
    let is_whole = zones.len() <= OPEN_ROWS || params.text("open") == Some("all");
    let is_below = |path: &str, above: &str| {
        let rest = path.strip_prefix(above);
        !above.is_empty() && rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let paths = zones.iter().map(|zone| zone.path.as_str());
    // Behind the last row all branches end.
    let nexts = paths.clone().skip(1).chain([""]);
    let mut above: Vec<&str> = Vec::new();
    let rows = zones.iter().zip(nexts).map(|(zone, next)| {
        let path = zone.path.as_str();
        let is_parent = is_below(next, path);
        if is_parent {
            above.push(path);
        }
        let open = above.len();
        above.retain(|above| is_below(next, above));
        let narrowed = if path.is_empty() { NO_ZONE } else { path };
        Branch {
            link: params.link("/zones", &[("zone", path)]),
            peers_link: Parameters::default().link("/all_peers", &[("zone", narrowed)]),
            zone: zone_row(zone),
            is_parent,
            is_open: is_whole || is_below(shown, path),
            ends: vec![(); open - above.len()],
        }
    });
    rows.collect()
}

/// The zones as CSV; those without a row of their own are summed up in the last one.
fn table(census: &Census) -> Csv {
    let mut csv = Csv::new(&[
        "zone",
        "peers",
        "seeders",
        "leechers",
        "torrents",
        "announces",
        "announces_per_second",
        "local_share_percent",
        "had_local_percent",
        "had_local_seeder_percent",
        "saved_bytes",
        "is_strict",
    ]);
    for row in census.zones.iter().map(zone_row) {
        csv.row(&[
            &row.zone,
            &row.peers,
            &row.seeders,
            &row.leechers,
            &row.torrents,
            &row.announces,
            &csv_table::places(row.announces_per_second),
            &csv_table::places(row.local_share_percent),
            &csv_table::places(row.had_local_percent),
            &csv_table::places(row.had_local_seeder_percent),
            &row.saved_bytes,
            &row.is_strict,
        ]);
    }
    let rest = &census.rest;
    if rest.zones > 0 {
        let (roles, out) = (rest.roles, &rest.handed_out);
        csv.row(&[
            &format!("({} more zones)", rest.zones),
            &roles.peers(),
            &roles.seeders,
            &roles.leechers,
            &"",
            &out.announces,
            &"",
            &csv_table::places(percent(out.local_peers, out.peers)),
            &csv_table::places(percent(out.announces_with_local, out.announces)),
            &csv_table::places(percent(out.announces_with_local_seeder, out.announces)),
            &out.saved_mib.saturating_mul(1 << 20),
            &"",
        ]);
    }
    csv
}

/// Savings by hour as CSV, all that are kept.
fn savings_table(saved: &[(u64, u64)]) -> Csv {
    let mut csv = Csv::new(&["start", "saved_bytes"]);
    for (hour, mib) in saved {
        let start = csv_table::iso(hour.saturating_mul(HOUR_SECONDS));
        csv.row(&[&start, &mib.saturating_mul(1 << 20)]);
    }
    csv
}

/// The page, or one of its tables as CSV.
pub(crate) async fn zones(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "zones");
    let census = state.backend.census.load_full();
    let params = page.params.clone();
    match csv_table::wanted(&params, &["zones", "savings", "levels", "matrix"]) {
        Some("savings") => {
            let wanted = params.text("zone").unwrap_or_default().to_owned();
            return match saved(&state, wanted).await {
                Ok(Some(saved)) => savings_table(&saved).reply("savings"),
                Ok(None) => Refusal::NOT_FOUND.shown(&state, &request),
                Err(undone) => Refusal::from(undone).shown(&state, &request),
            };
        }
        // Nothing before anything was handed out, as on the page.
        Some(named @ ("levels" | "matrix")) => {
            let locality = locality(&census.flows);
            let file = locality.map(|locality| match named {
                "levels" => locality.level_table().reply(named),
                _ => locality.matrix_table().reply(named),
            });
            return file.unwrap_or_else(|| Refusal::NOT_FOUND.shown(&state, &request));
        }
        Some(_) => return table(&census).reply("zones"),
        None => {}
    }
    let rows = tree(
        &params,
        &census.zones,
        params.text("zone").unwrap_or_default(),
    );
    page.insert("sums", &sums(rows.len(), &census.handed_out));
    page.insert("rows", &rows);
    page.insert("more_zones", &census.rest.zones);
    page.insert("more_peers", &census.rest.roles.peers());
    let is_folded = rows.iter().any(|row| row.is_parent && !row.is_open);
    page.insert(
        "unfold",
        &is_folded.then(|| params.link("/zones", &[("open", "all")])),
    );
    page.insert("counted", &census.wall.0);
    page.insert("locality", &locality(&census.flows));
    if !rows.is_empty() {
        // No zone is all zones.
        let wanted = params.text("zone").unwrap_or_default().to_owned();
        // A zone that is none, or is no more, shows the sum of all.
        let found = match saved(&state, wanted.clone()).await {
            Ok(Some(saved)) => Some((wanted, saved)),
            Ok(None) => match saved(&state, String::new()).await {
                Ok(Some(saved)) => Some((String::new(), saved)),
                Ok(None) | Err(_) => None,
            },
            // The figures of the moment are there without them.
            Err(_) => None,
        };
        if let Some((zone, saved)) = found {
            page.insert("savings", &savings(zone, &saved, state.clock.wall().0));
        }
    }
    page.render("zones.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W15
    #[test]
    fn every_branch_of_the_tree_ends_where_its_last_zone_does() {
        let tree_of = |paths: &[&str], shown: &str| {
            let zone = |path: &&str| ZoneCount {
                path: (*path).to_owned(),
                ..ZoneCount::default()
            };
            let zones: Vec<ZoneCount> = paths.iter().map(zone).collect();
            tree(&Parameters::default(), &zones, shown)
        };
        let rows = tree_of(&["", "a", "a/b", "a/b/c", "a/d", "ab", "x/y"], "");
        let shape: Vec<(bool, usize)> = rows
            .iter()
            .map(|row| (row.is_parent, row.ends.len()))
            .collect();
        assert_eq!(
            shape,
            [
                (false, 0),
                (true, 0),
                (true, 0),
                (false, 1),
                (false, 1),
                (false, 0),
                (false, 0)
            ]
        );
        assert!(rows.iter().all(|row| row.is_open), "a short tree is open");
        assert_eq!(rows[0].peers_link, "/all_peers?zone=/");
        let long: Vec<String> = (0..40)
            .map(|house| format!("a/b/house-{house:02}"))
            .collect();
        let long: Vec<&str> = ["a", "a/b"]
            .into_iter()
            .chain(long.iter().map(String::as_str))
            .collect();
        let rows = tree_of(&long, "");
        assert!(!rows[0].is_open && !rows[1].is_open);
        assert_eq!(rows.last().map(|row| row.ends.len()), Some(2));
        let rows = tree_of(&long, "a/b");
        assert!(
            rows[0].is_open && !rows[1].is_open,
            "the way to the zone that is shown"
        );
        assert!(tree_of(&[], "").is_empty());
    }

    /// O11
    #[test]
    fn savings_fall_into_hours_and_days() {
        let now = 1_000 * HOUR_SECONDS + 60;
        let saved = [(100, 9), (281, 7), (976, 1), (977, 2), (1_000, 4)];
        let shown = savings("a".into(), &saved, now);
        assert_eq!((shown.hours.len(), shown.days.len()), (24, 30));
        assert_eq!((shown.day_bytes >> 20, shown.month_bytes >> 20), (6, 14));
        let [first, .., last] = shown.hours.as_slice() else {
            panic!("no bars")
        };
        assert_eq!(
            (first.start, first.saved_bytes >> 20),
            (977 * HOUR_SECONDS, 2)
        );
        assert_eq!(
            (last.start, last.saved_bytes >> 20),
            (1_000 * HOUR_SECONDS, 4)
        );
        assert_eq!((first.percent, last.percent), (50.0, 100.0));
        let days: Vec<u64> = shown.days.iter().map(|bar| bar.saved_bytes >> 20).collect();
        assert_eq!((days[0], days[28], days[29]), (7, 1, 6));
        assert_eq!(savings(String::new(), &saved, 0).month_bytes, 0);
    }
}
