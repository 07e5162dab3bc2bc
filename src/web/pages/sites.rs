//! `/sites`: the other trackers and the engines between them (O26), and the two things that an operator may ask of them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::audit::Deed;
use crate::web::State;
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::refusal::Refusal;
use crate::web::sites::{Engine, Site, SitesStatus, WRITING};
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::{Page, redirect};

/// A site that has been silent for so long may be forgotten from the page; one that still runs would be known again.
const FORGETTABLE_SECONDS: u32 = 60;

/// A site as the page shows it.
#[derive(Serialize)]
struct SiteRow<'a> {
    #[serde(flatten)]
    site: &'a Site,
    /// The names of what is otherwise than here.
    other: Vec<&'static str>,
    dropped_in_all: u64,
    may_be_forgotten: bool,
}

fn row(site: &Site) -> SiteRow<'_> {
    SiteRow {
        site,
        other: site.differs.iter().map(|one| one.name()).collect(),
        dropped_in_all: site.dropped.values().sum(),
        may_be_forgotten: site
            .heard_s
            .is_none_or(|seconds| seconds >= FORGETTABLE_SECONDS),
    }
}

/// An engine as the page shows it.
#[derive(Serialize)]
struct EngineRow<'a> {
    #[serde(flatten)]
    engine: &'a Engine,
    /// How far its clock is ahead, in whole seconds: the clock here is read no finer.
    clock_ahead_s: Option<i64>,
}

fn engine_row(engine: &Engine) -> EngineRow<'_> {
    EngineRow {
        engine,
        clock_ahead_s: engine.clock_offset_ms.map(|offset| offset / 1_000),
    }
}

/// The sites as CSV.
fn table(status: &SitesStatus) -> Csv {
    let mut csv = Csv::new(&[
        "site",
        "heard_s",
        "lag_ms",
        "peers",
        "deltas",
        "missed",
        "dropped",
        "throttled",
        "version",
        "lifetime_s",
        "zones",
    ]);
    for site in &status.sites {
        let number =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let dropped: u64 = site.dropped.values().sum();
        csv.row(&[
            &site.name,
            &number(site.heard_s.map(u64::from)),
            &number(site.lag_ms),
            &site.peers,
            &site.deltas,
            &site.missed,
            &dropped,
            &site.throttled,
            &site.version,
            &number(site.lifetime_s.map(u64::from)),
            &site.zones.clone().unwrap_or_default(),
        ]);
    }
    csv
}

/// The page, or its table as CSV.
pub(crate) async fn sites(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "sites");
    let status = state.backend.sites.as_ref().map(|sites| (sites.status)());
    if csv_table::wanted(&page.params, &["sites"]).is_some() {
        return match &status {
            Some(status) => table(status).reply("sites"),
            None => Refusal::NOT_FOUND.shown(&state, &request),
        };
    }
    let notice = match page.params.text("done") {
        Some("resend") => Some("sites_resend_done"),
        Some("forget") => Some("sites_forget_done"),
        _ => None,
    };
    page.insert("notice", &notice);
    page.insert("status", &status);
    if let Some(status) = &status {
        let rows: Vec<SiteRow<'_>> = status.sites.iter().map(row).collect();
        page.insert("rows", &rows);
        let engines: Vec<EngineRow<'_>> = status.engines.iter().map(engine_row).collect();
        page.insert("engines", &engines);
        let unread: Vec<&Engine> = status
            .engines
            .iter()
            .filter(|engine| !engine.caught_up)
            .collect();
        page.insert("unread", &unread);
        let is_heard = status.engines.iter().any(|engine| engine.state == WRITING);
        page.insert("is_heard", &is_heard);
    }
    page.render("sites.html")
}

/// Has everything told again: 302 back to the page.
pub(crate) async fn resend(state: Data<State>, request: HttpRequest, _form: Form) -> HttpResponse {
    let Some(sites) = &state.backend.sites else {
        return Refusal::NOT_FOUND.shown(&state, &request);
    };
    (sites.resend)();
    audit(&state, &request, Deed::SitesResend, "");
    redirect("/sites?done=resend")
}

/// Drops what is known from one site only: 302 back to the page.
pub(crate) async fn forget(state: Data<State>, request: HttpRequest, form: Form) -> HttpResponse {
    let name = form.text("name").to_owned();
    let own = Data::clone(&state);
    let work = move || forgotten(&own, &name).map(|peers| (name, peers));
    match state.writes.run(work).await {
        Ok(Some((name, _))) => {
            audit(&state, &request, Deed::SiteForgotten, &name);
            redirect("/sites?done=forget")
        }
        Ok(None) => Refusal::NOT_FOUND.shown(&state, &request),
        Err(undone) => Refusal::from(undone).shown(&state, &request),
    }
}

/// Drops what is known from a site; how many peers, or nothing when there is no such site. Walks all peers: for threads that may wait.
pub(crate) fn forgotten(state: &State, name: &str) -> Option<u64> {
    let sites = state.backend.sites.as_ref()?;
    (sites.forget)(name)
}
