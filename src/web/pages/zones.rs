//! `/zones`: who is where, what stays there, and what that saves, by hour and by day too (W7, O11).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::clients::percent;
use super::locality::locality;
use super::peers::view;
use crate::invariant::present;
use crate::tracker::HOURS_KEPT;
use crate::tracker::report::census::{HandedOut, ZoneCount};
use crate::web::State;
use crate::web::jobs::JobError;
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

/// A row of the page, with the link to its savings.
#[derive(Serialize)]
struct LinkedRow {
    #[serde(flatten)]
    zone: ZoneRow,
    link: String,
}

/// The page.
pub(crate) async fn zones(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "zones");
    let census = state.backend.census.load_full();
    let params = Parameters::of(&request);
    let linked = |zone: &ZoneCount| LinkedRow {
        link: params.link("/zones", &[("zone", &zone.path)]),
        zone: zone_row(zone),
    };
    let rows: Vec<LinkedRow> = census.zones.iter().map(linked).collect();
    page.insert("sums", &sums(rows.len(), &census.handed_out));
    page.insert("rows", &rows);
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
