//! `/stats.json` and `/api/v1/…` (W9). The file that describes it is `templates/api/openapi.json`, served beside it.

use actix_web::error::{InternalError, JsonPayloadError};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, JsonConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::State;
use super::auth::caller;
use super::client::Client;
use super::monitor::history::Range;
use super::pages::audit::latest;
use super::pages::block_effects::Question;
use super::pages::block_entries::{
    Mistake, block_row, files, in_words, rows, target_of, told, wanted,
};
use super::pages::clients::client_rows;
use super::pages::overview::{Figures, figures};
use super::pages::peers::view;
use super::pages::sites::forgotten;
use super::pages::torrents::{TorrentRow, query, torrent_row};
use super::pages::zones::{HOUR_SECONDS, ZoneRow, saved, zone_row};
use super::refusal::{Refusal, error};
use super::server::reader::MAX_BODY;
use super::view::number::Number;
use super::view::parameters::Parameters;
use crate::audit::Deed;
use crate::tracker::report::census::LISTED_ROWS;

/// How JSON in bodies is read.
pub(super) fn json_config() -> JsonConfig {
    JsonConfig::default()
        .limit(MAX_BODY)
        .error_handler(|error, _| bad_json(error).into())
}

fn bad_json(fault: JsonPayloadError) -> InternalError<JsonPayloadError> {
    let status = match fault {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        JsonPayloadError::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    InternalError::from_response(
        fault,
        error(status, "the body is not the JSON that is needed"),
    )
}

pub(super) async fn stats(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(figures(&state))
}

/// The figures, and the zones with theirs.
#[derive(Serialize)]
struct Everything {
    #[serde(flatten)]
    figures: Figures,
    zones: Vec<ZoneRow>,
}

pub(super) async fn everything(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(Everything {
        figures: figures(&state),
        zones: zone_rows(&state),
    })
}

pub(super) async fn history(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let params = Parameters::of(&request);
    // No range, as a wrong one, is the default.
    let range = Range::from_name(params.text("range").unwrap_or_default());
    let history = state.history.lock();
    let chart = history
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .chart(range, state.clock.wall().0);
    HttpResponse::Ok().json(chart)
}

pub(super) async fn zones(state: Data<State>) -> HttpResponse {
    let more_zones = state.backend.census.load().rest.zones;
    HttpResponse::Ok().json(json!({ "zones": zone_rows(&state), "more_zones": more_zones }))
}

fn zone_rows(state: &State) -> Vec<ZoneRow> {
    let census = state.backend.census.load_full();
    census.zones.iter().map(zone_row).collect()
}

pub(super) async fn savings(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let params = Parameters::of(&request);
    // No zone is all zones.
    let zone = params.text("zone").unwrap_or_default().to_owned();
    match saved(&state, zone.clone()).await {
        Ok(Some(saved)) => {
            let hours: Vec<_> = saved
                .iter()
                .map(|(hour, mib)| {
                    json!({ "start": hour * HOUR_SECONDS, "saved_bytes": mib.saturating_mul(1 << 20) })
                })
                .collect();
            HttpResponse::Ok().json(json!({ "zone": zone, "hours": hours }))
        }
        Ok(None) => error(StatusCode::NOT_FOUND, "there is no such zone"),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

pub(super) async fn clients(state: Data<State>) -> HttpResponse {
    let census = state.backend.census.load_full();
    HttpResponse::Ok().json(json!({ "clients": client_rows(&census.clients, true) }))
}

pub(super) async fn torrents(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let Some((query, _)) = query(&Parameters::of(&request)) else {
        return Refusal::SEARCH.json(&state);
    };
    let found = view(&state, move |tracker, now| {
        tracker.torrents_page(&query, now)
    });
    let found = match found.await {
        Ok(found) => found,
        Err(undone) => return Refusal::from(undone).json(&state),
    };
    let torrents: Vec<TorrentRow> = found.torrents.iter().map(torrent_row).collect();
    let listed = found.total.min(LISTED_ROWS.into());
    HttpResponse::Ok().json(json!({ "total": found.total, "listed": listed, "torrents": torrents }))
}

pub(super) async fn blocklist(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "blocklist": rows(&state), "files": files(&state) }))
}

/// What a new entry is made of: exactly one of address and hash.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    ip: Option<String>,
    info_hash: Option<String>,
    #[serde(default)]
    reason: String,
    hours: Option<u32>,
    /// Whether it is made whatever it does (W11).
    #[serde(default)]
    force: bool,
}

pub(super) async fn block(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Wanted>,
) -> HttpResponse {
    let hours = body.hours.map(|hours| hours.to_string());
    let (ip, hash) = (body.ip.as_deref(), body.info_hash.as_deref());
    if ip.is_some() == hash.is_some() {
        return error(StatusCode::BAD_REQUEST, "either ip or info_hash is needed");
    }
    // As an empty field of the form on the page.
    let fields = [
        ip.unwrap_or_default(),
        hash.unwrap_or_default(),
        body.reason.as_str(),
        hours.as_deref().unwrap_or_default(),
    ];
    let block = wanted(fields, state.clock.wall()).map(Vec::into_iter);
    let mut block = match block.map(|mut blocks| blocks.next()) {
        Ok(Some(block)) => block,
        Ok(None) => return Refusal::from(Mistake::Nothing).json(&state),
        Err(mistake) => return Refusal::from(mistake).json(&state),
    };
    block.may_change = body.force;
    if !body.force {
        let asker = Client::of(&state, &request).ip;
        match Question::before(std::slice::from_ref(&block), asker, &state).await {
            Ok(None) => {}
            Ok(Some(question)) => return question.json(&state),
            Err(undone) => return Refusal::from(undone).json(&state),
        }
    }
    let (own, words) = (Data::clone(&state), in_words(&block));
    match state.writes.run(move || (own.backend.block)(block)).await {
        Ok(Ok(block)) => {
            caller::audit(&state, &request, Deed::Block, &words);
            HttpResponse::Created().json(block_row(&block))
        }
        Ok(Err(error)) => told(error).json(&state),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

pub(super) async fn unblock(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<i64>,
) -> HttpResponse {
    let (own, target) = (Data::clone(&state), target_of(&state, number));
    match state
        .writes
        .run(move || (own.backend.unblock)(number))
        .await
    {
        Ok(Ok(true)) => {
            caller::audit(&state, &request, Deed::Unblock, &target);
            HttpResponse::NoContent().finish()
        }
        Ok(Ok(false)) => error(StatusCode::NOT_FOUND, "no such entry"),
        Ok(Err(error)) => told(error).json(&state),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

/// Where this tracker is alone.
fn alone() -> HttpResponse {
    error(StatusCode::NOT_FOUND, "there are no other sites")
}

pub(super) async fn sites(state: Data<State>) -> HttpResponse {
    match &state.backend.sites {
        Some(sites) => HttpResponse::Ok().json((sites.status)()),
        None => alone(),
    }
}

/// What two trackers that know the same have alike.
pub(super) async fn digest(state: Data<State>) -> HttpResponse {
    match view(&state, |tracker, now| tracker.digest(now)).await {
        Ok(digest) => HttpResponse::Ok().json(json!({
            "digest": format!("{:016x}{:016x}", digest.peers_digest, digest.downloaded_digest),
            "peers": digest.peers,
            "seeders": digest.seeders,
            "torrents": digest.torrents,
            "downloads": digest.downloaded,
        })),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

pub(super) async fn resend(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let Some(sites) = &state.backend.sites else {
        return alone();
    };
    (sites.resend)();
    caller::audit(&state, &request, Deed::SitesResend, "");
    HttpResponse::NoContent().finish()
}

/// Which site is to be forgotten.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forgotten {
    name: String,
}

pub(super) async fn forget(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Forgotten>,
) -> HttpResponse {
    let Forgotten { name } = body.into_inner();
    if state.backend.sites.is_none() {
        return alone();
    }
    let own = Data::clone(&state);
    let work = move || forgotten(&own, &name).map(|peers| (name, peers));
    match state.writes.run(work).await {
        Ok(Some((name, peers))) => {
            caller::audit(&state, &request, Deed::SiteForgotten, &name);
            HttpResponse::Ok().json(json!({ "peers": peers }))
        }
        Ok(None) => error(
            StatusCode::NOT_FOUND,
            "no other tracker of this name is known",
        ),
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

pub(super) async fn audit(state: Data<State>) -> HttpResponse {
    match latest(&state).await {
        Ok(entries) => HttpResponse::Ok().json(json!({ "audit": entries })),
        Err(refusal) => refusal.json(&state),
    }
}

pub(super) async fn snapshot(state: Data<State>) -> HttpResponse {
    let own = Data::clone(&state);
    match state.saves.run(move || (own.backend.save)(())).await {
        Ok(Ok(())) => HttpResponse::NoContent().finish(),
        Ok(Err(error)) => {
            log::warn!("a snapshot on demand failed: {error}");
            Refusal::from(error).json(&state)
        }
        Err(undone) => Refusal::from(undone).json(&state),
    }
}

pub(super) async fn description(state: Data<State>) -> HttpResponse {
    match state.templates.description() {
        Some(bytes) => HttpResponse::Ok()
            .content_type("application/json")
            .body(bytes.into_owned()),
        None => error(StatusCode::NOT_FOUND, "not found"),
    }
}
