//! `/health` and `/ready` (O5): 503 when a part is down or snapshots fail, so that nobody finds out at the next restart.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::clock::Seconds;
use crate::metrics::Gauge;
use crate::web::sites::SitesStatus;
use crate::web::{State, client};

/// A part that has given no sign of life for this many seconds is down.
const SILENCE: u64 = 30;

/// So long the part that speaks with other sites may be silent: every call of an engine that answers only just in time takes a second.
const SITES_SILENCE: u32 = 60;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// The database is still being read.
    Restoring,
    /// The snapshot thread gives no sign of life.
    SnapshotsSilent,
    /// The last finished snapshot is older than three intervals.
    SnapshotsLate,
    /// The reaper gives no sign of life.
    ReaperSilent,
    /// The part that speaks with other sites gives no sign of life.
    SitesSilent,
    /// What other sites tell has not been read to its end.
    SitesUnread,
}

impl Fault {
    /// Every value.
    pub(crate) const ALL: [Fault; 6] = [
        Fault::Restoring,
        Fault::SnapshotsSilent,
        Fault::SnapshotsLate,
        Fault::ReaperSilent,
        Fault::SitesSilent,
        Fault::SitesUnread,
    ];

    /// Its name in replies, texts and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Fault::Restoring => "restoring",
            Fault::SnapshotsSilent => "snapshots_silent",
            Fault::SnapshotsLate => "snapshots_late",
            Fault::ReaperSilent => "reaper_silent",
            Fault::SitesSilent => "sites_silent",
            Fault::SitesUnread => "sites_unread",
        }
    }
}

/// What is wrong at the moment. A part that has never given a sign is not counted as down before its time has come.
pub(crate) fn faults(state: &State, sites: Option<&SitesStatus>) -> Vec<Fault> {
    let metrics = &state.metrics;
    let now = u64::from(state.clock.now().raw());
    let is_silent = |gauge| {
        let alive = metrics.moment(gauge);
        alive.is_some_and(|alive| now.saturating_sub(alive) > SILENCE)
    };
    let mut faults = Vec::new();
    if metrics.gauge(Gauge::Restored) == 0 {
        faults.push(Fault::Restoring);
    }
    if is_silent(Gauge::SnapshotAlive) {
        faults.push(Fault::SnapshotsSilent);
    }
    let interval = state.settings.snapshot_interval.as_secs();
    if interval > 0 {
        let begun = u64::from(Seconds::START.raw());
        let last = metrics.moment(Gauge::SnapshotFinished).unwrap_or(begun);
        if now.saturating_sub(last) > 3 * interval {
            faults.push(Fault::SnapshotsLate);
        }
    }
    if is_silent(Gauge::ReaperAlive) {
        faults.push(Fault::ReaperSilent);
    }
    if let Some(sites) = sites {
        if sites.silent_s > SITES_SILENCE {
            faults.push(Fault::SitesSilent);
        }
        if !sites.ready {
            faults.push(Fault::SitesUnread);
        }
    }
    faults
}

/// How the other sites are, where there are any.
pub(crate) fn sites(state: &State) -> Option<SitesStatus> {
    state.backend.sites.as_ref().map(|sites| (sites.status)())
}

/// Whether the process is alive and all of its parts are.
pub(crate) async fn health(state: Data<State>, request: HttpRequest) -> HttpResponse {
    reply(&state, &request, false)
}

/// Whether everything is restored, and snapshots succeed.
pub(crate) async fn ready(state: Data<State>, request: HttpRequest) -> HttpResponse {
    reply(&state, &request, true)
}

fn reply(state: &State, request: &HttpRequest, asks_ready: bool) -> HttpResponse {
    let (is_good, body) = report(state, asks_ready, client::is_admin(state, request));
    let mut reply = HttpResponse::build(if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    });
    reply.content_type("application/json").body(body)
}

/// Whether all is well, and the words for it, in JSON: to an admin with what is wrong and what to do. Neither waits nor
/// depends on the pages' thread.
pub(crate) fn report(state: &State, asks_ready: bool, is_admin: bool) -> (bool, String) {
    let sites = sites(state);
    let mut faults = faults(state, sites.as_ref());
    let only_unready = [Fault::Restoring, Fault::SitesUnread];
    faults.retain(|fault| asks_ready || !only_unready.contains(fault));
    let is_good = faults.is_empty();
    let status = if is_good { "ok" } else { "fault" };
    let text = |fault: &Fault| state.templates.english(&format!("fault_{}", fault.name()));
    let texts: Vec<_> = faults.iter().map(text).collect();
    let mut told = match (is_admin, is_good) {
        (false, _) => serde_json::json!({ "status": status }),
        (true, true) => serde_json::json!({ "status": status, "faults": faults }),
        (true, false) => {
            serde_json::json!({ "status": status, "faults": faults, "texts": texts })
        }
    };
    // Also where all is well: an engine may be out of reach of a tracker that serves.
    if let Some(sites) = sites.filter(|_| asks_ready && is_admin)
        && let Some(told) = told.as_object_mut()
    {
        told.insert("missing".into(), sites.missing.into());
    }
    (is_good, told.to_string())
}
