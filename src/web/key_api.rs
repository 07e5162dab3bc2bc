//! `/api/v1/keys…`: the keys of announce addresses for a site that gives them to its members, and its accounting (O16). A key itself is
//! in the answer that made it and nowhere else.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::api::error;
use super::pages::keys::{KeyRow, WantedKeys, after, found, key_row, make, revoke};
use super::refusal::Refusal;
use super::view::parameters::Parameters;
use crate::clock::Wall;
use crate::tracker::{KeyLimits, KeyReport};

/// Keys in one answer at most, and where nobody says how many.
const MAX_LISTED: usize = 1_000;
const LISTED: usize = 100;
/// Lines of one export at most: some 2 MB.
const MAX_EXPORTED: usize = 5_000;
/// Keys revoked at once at most.
const MAX_REVOKED: usize = 500;

/// How many are wanted.
fn limit(params: &Parameters, usual: usize, most: usize) -> usize {
    let wanted = params.text("limit").and_then(|text| text.parse().ok());
    // None, or a bad one, is the usual.
    wanted.unwrap_or(usual).clamp(1, most)
}

/// Keeps what was used, made or over at or after `since`.
fn changed_since(params: &Parameters, now: Wall) -> impl Fn(&KeyReport) -> bool + use<> {
    let since = params.text("since").and_then(|text| text.parse().ok());
    // None, or a bad one, is all.
    let since = Wall(since.unwrap_or(0));
    move |report| report.changed_at(now) >= since
}

pub(super) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let params = Parameters::of(&request);
    let (now, most) = (state.clock.wall(), limit(&params, LISTED, MAX_LISTED));
    let found = match found(&state, after(&params), most, changed_since(&params, now)).await {
        Ok(found) => found,
        Err(refusal) => return refusal.json(&state),
    };
    let last = found.last().filter(|_| found.len() == most);
    let next = last.map(|report| report.record.number);
    let rows: Vec<KeyRow> = found.iter().map(|report| key_row(report, now)).collect();
    let total = state.tracker.keys().len();
    HttpResponse::Ok().json(json!({ "total": total, "next": next, "keys": rows }))
}

/// A line of JSON for each key; whoever has the last line asks for what is behind its number.
pub(super) async fn export(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let params = Parameters::of(&request);
    let (now, most) = (
        state.clock.wall(),
        limit(&params, MAX_EXPORTED, MAX_EXPORTED),
    );
    let found = match found(&state, after(&params), most, changed_since(&params, now)).await {
        Ok(found) => found,
        Err(refusal) => return refusal.json(&state),
    };
    let mut lines = Vec::new();
    for report in &found {
        if let Err(fault) = serde_json::to_writer(&mut lines, &key_row(report, now)) {
            log::error!("the export of keys: {fault}");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "the export failed");
        }
        lines.push(b'\n');
    }
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .body(lines)
}

pub(super) async fn one(state: Data<State>, number: Path<String>) -> HttpResponse {
    let number = number.parse::<i64>().ok();
    let Some(report) = number.and_then(|number| state.tracker.keys().one(number)) else {
        return no_such_key();
    };
    let from: Vec<String> = report.addresses.iter().map(ToString::to_string).collect();
    let row = key_row(&report, state.clock.wall());
    HttpResponse::Ok().json(json!({ "key": row, "from": from }))
}

fn no_such_key() -> HttpResponse {
    error(StatusCode::NOT_FOUND, "no such key")
}

/// What keys are made of: one for each label.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    labels: Vec<String>,
    hours: Option<u64>,
    #[serde(default)]
    max_addresses: u32,
    #[serde(default)]
    max_torrents: u32,
}

pub(super) async fn create(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Wanted>,
) -> HttpResponse {
    let body = body.into_inner();
    let wanted = WantedKeys {
        labels: body.labels,
        hours: body.hours,
        limits: KeyLimits {
            addresses: body.max_addresses,
            torrents: body.max_torrents,
        },
    };
    match make(&state, &request, wanted).await {
        Ok(made) => HttpResponse::Created().json(json!({ "keys": made })),
        Err(refusal) => refusal.json(&state),
    }
}

/// Ends a key; answers with what was done with it in all.
pub(super) async fn end(
    state: Data<State>,
    request: HttpRequest,
    number: Path<String>,
) -> HttpResponse {
    let Ok(number) = number.parse::<i64>() else {
        return no_such_key();
    };
    match revoke(&state, &request, vec![number]).await {
        Ok(revoked) if revoked.is_empty() => no_such_key(),
        Ok(_) => match state.tracker.keys().one(number) {
            Some(report) => {
                let row = key_row(&report, state.clock.wall());
                HttpResponse::Ok().json(json!({ "key": row }))
            }
            None => no_such_key(),
        },
        Err(refusal) => refusal.json(&state),
    }
}

/// The keys that are to be revoked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unwanted {
    numbers: Vec<i64>,
}

pub(super) async fn end_many(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Unwanted>,
) -> HttpResponse {
    let numbers = body.into_inner().numbers;
    if !(1..=MAX_REVOKED).contains(&numbers.len()) {
        return Refusal {
            status: StatusCode::BAD_REQUEST,
            text: "keys_bad_numbers",
        }
        .json(&state);
    }
    match revoke(&state, &request, numbers).await {
        Ok(revoked) => HttpResponse::Ok().json(json!({ "revoked": revoked })),
        Err(refusal) => refusal.json(&state),
    }
}
